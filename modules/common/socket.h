/* APR's view of a connection's descriptor, for as long as there is a conn_rec or may be one at once.
 *
 * A socket that APR has accepted itself knows who the client is, and that TCP_NODELAY comes with the
 * listening socket: two system calls less than one that is made for a descriptor.  So each connection
 * that may bring its request along is accepted by APR; one whose head is not complete gives socket
 * and pool back, and has another one made when it is.
 */
#ifndef MPMX_SOCKET_H
#define MPMX_SOCKET_H

#include "conn.h"

/* Accepts one connection, which becomes the caller's. NULL: errno says why, EAGAIN if there is none. Its
 * descriptor does not block and is closed by exec. Worker. */
mpmx_conn *mpmx_socket_take(mpmx_worker *w, mpmx_listener *l);

/* The same, with conn->sock and conn->pool. The descriptor blocks until APR is told of a timeout, or the
 * socket is unmade. Worker. */
mpmx_conn *mpmx_socket_take_made(mpmx_worker *w, mpmx_listener *l);

/* Makes conn->sock for a descriptor. Owner, worker. */
apr_status_t mpmx_socket_make(mpmx_conn *conn, apr_pool_t *pool);

/* Has a module closed conn->sock, and left it to the connection? Then the descriptor's number is not ours. Owner. */
int mpmx_socket_is_closed(const mpmx_conn *conn);

/* Takes the descriptor out of APR's hands, whose cleanup would close it. Owner. */
void mpmx_socket_release(mpmx_conn *conn);

/* Gives back socket and pool of a connection that has no conn_rec yet, if it has them. Owner, worker. */
void mpmx_socket_unmake(mpmx_worker *w, mpmx_conn *conn);

#endif
