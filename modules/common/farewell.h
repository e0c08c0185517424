/* The end of the last response and the end of the connection leave in one packet.
 *
 * A client that says "Connection: close" gets its response, and right after it the FIN, which is a
 * packet of its own to send, to receive and to wake up for: a tenth of all that a short
 * connection costs in packets.  So what does not fill a packet is kept back from the moment that
 * the end of that response is written, until the socket is shut down, which comes next: before
 * what belongs to the request is let go of, as that may take long.  Where somebody has more to say,
 * like TLS, it is only those words that leave with the end.
 */
#ifndef MPMX_FAREWELL_H
#define MPMX_FAREWELL_H

#include "httpd.h"

/* Registers the output filter that sees the end, and what follows it. While the configuration is read. */
void mpmx_farewell_register(void);

/* This request, of which the head was read, is the last one on its connection. The thread that serves it. */
void mpmx_farewell_expect(request_rec *r);

/* Keeps back what fills no packet, until the socket is shut down (tcp(7), TCP_CORK); harmless where
 * the system has no such thing. Owner of the descriptor. unix/cork.c */
void mpmx_cork(int fd);

#endif
