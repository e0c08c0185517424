/* Lingering close: the response is out, the client may still be sending.
 *
 * Closing a socket with unread input makes the kernel send a reset, which can destroy
 * the end of the response on its way (RFC 9112, 9.6).  So the sending side is shut
 * down first and input is read away until the client closes.  This needs neither the
 * conn_rec nor a thread: both are given back at once.  A client that has announced that
 * it sends nothing more (plain HTTP, "Connection: close", no body) needs none of this:
 * there is nothing that could be unread.
 */
#ifndef MPMX_LINGER_H
#define MPMX_LINGER_H

#include "conn.h"

/* How long, counted from its beginning (contract 6.5); the short one for clients that have
 * had their time, and while the child ends. */
#define LINGER_MS       30000
#define LINGER_SHORT_MS  2000

/* Ends the conn_rec and begins the lingering close. Owner, worker; the connection is
 * no longer the caller's afterwards. */
void mpmx_linger_start(mpmx_worker *w, mpmx_conn *conn);

/* The same for one that is asleep: there is no conn_rec, and the client has had its time. */
void mpmx_linger_asleep(mpmx_worker *w, mpmx_conn *conn);

/* As mpmx_linger_start(), for a client that has closed its side already. */
void mpmx_linger_gone(mpmx_worker *w, mpmx_conn *conn);

#endif
