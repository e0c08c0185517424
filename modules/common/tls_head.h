/* Waiting for a request head inside TLS without holding a thread.
 *
 * On a TLS listener the gate sees records, which say nothing about requests.  So the
 * connection's input filters are asked for what they can decode without waiting, first for
 * the handshake, then for bytes of a head, which the gate judges.  Until it is complete the
 * connection parks.  An input filter of ours above all others of the connection then
 * yields what was taken, to whoever reads.
 *
 *   first record --> handshake --> head --complete, not HTTP/1, an end or an error--> process_connection
 *                      |  ^         |  ^                                                   |
 *                      v  |         v  |                                                   |
 *                     NEW, KEEPALIVE (armed for read)  <--------------keep-alive-----------+
 *
 * Whatever cannot be judged is for core and the TLS module to answer and to log.
 */
#ifndef MPMX_TLS_HEAD_H
#define MPMX_TLS_HEAD_H

#include "conn.h"

/* Registers the input filter. While the configuration is read. */
void mpmx_tls_head_register(void);

/* To be asked before process_connection is run for a request: nonzero when nothing but waiting
 * for more input can be done, all input that had come being decoded by now. The owner, which
 * has told modules that it goes on with the connection. */
int mpmx_tls_head_waits(mpmx_conn *conn);

#endif
