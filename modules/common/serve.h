/* A connection in httpd's hands: conn_rec, process_connection, what comes after.
 *
 * All functions are for workers that own the connection; it is no longer theirs
 * when the function returns.
 */
#ifndef MPMX_SERVE_H
#define MPMX_SERVE_H

#include "conn.h"
#include "http_config.h"

/* Runs module code on it: makes the conn_rec if there is none yet. */
void mpmx_serve(mpmx_worker *w, mpmx_conn *conn);

/* Has the client of the connection that this thread serves been told that the connection is kept,
 * and sent nothing since? Then the thread must take one more request, even in a child that ends: it
 * is answered with "Connection: close", or in HTTP/2 followed by GOAWAY. Any thread. */
int mpmx_serve_is_promised(void);

/* Sends what the core has kept back, as far as the client takes it. The thread that serves `c`. */
apr_status_t mpmx_serve_flush(conn_rec *c);

/* Goes on with a response that could not be written in one go. */
void mpmx_serve_write(mpmx_worker *w, mpmx_conn *conn);

/* A SUSPENDED connection that its module has finished with. */
void mpmx_serve_resume(mpmx_worker *w, mpmx_conn *conn);

/* Ends it: KeepAliveTimeout, Timeout, the client has closed, without any ceremony. */
void mpmx_serve_idle(mpmx_worker *w, mpmx_conn *conn);
void mpmx_serve_timeout(mpmx_worker *w, mpmx_conn *conn);
void mpmx_serve_gone(mpmx_worker *w, mpmx_conn *conn);
void mpmx_serve_abandon(mpmx_worker *w, mpmx_conn *conn);

/* Gives conn_rec and pool back for a while, without the end that modules would notice, and keeps
 * the record. The connection stays the caller's. */
void mpmx_serve_sleep(mpmx_worker *w, mpmx_conn *conn);

/* From now on the end of its pool is none of the connection's. Owner. */
void mpmx_serve_leave_pool(mpmx_conn *conn);

/* Takes the conn_rec off the connection, and the descriptor out of its socket; what is left to
 * do is to clear the pool, which is returned. The connection stays the caller's. */
apr_pool_t *mpmx_serve_strip(mpmx_conn *conn);

/* Reads away what the client still sends, until its end. */
void mpmx_linger_drain(mpmx_worker *w, mpmx_conn *conn);

/* The MPM's part of a conn_rec; NULL for one that the MPM did not make (a proxy's). */
mpmx_view *mpmx_view_of(conn_rec *c);

/* The record of a connection that the MPM has made; NULL for a secondary one, or one that has ended for
 * the MPM. */
mpmx_conn *mpmx_view_conn(conn_rec *c);

void mpmx_view_attach(conn_rec *c, mpmx_view *view);

/* Sets the timeouts that apply from now on. */
void mpmx_view_timeouts(mpmx_view *view, server_rec *keepalive, server_rec *timeout);

/* Hooks: pre_connection for secondary connections, pre_read_request, post_read_request,
 * protocol_switch. Any thread that runs the connection. */
int mpmx_view_secondary(conn_rec *c, void *csd);
void mpmx_view_pre_read(request_rec *r, conn_rec *c);
int mpmx_view_post_read(request_rec *r);
int mpmx_view_protocol_switch(conn_rec *c, request_rec *r, server_rec *s, const char *protocol);

/* What pools of connections are made of and go back to (see pools.c). */
apr_pool_t *mpmx_pool_take(mpmx_worker *w);
void mpmx_pool_give(mpmx_worker *w, apr_pool_t *pool);

/* The same for one that has not been used. */
void mpmx_pool_put_back(mpmx_worker *w, apr_pool_t *pool);

/* Has the pool's allocator return what it keeps for later to the system. Owner; nobody else may
 * use a subpool of it. */
void mpmx_pool_trim(apr_pool_t *pool);

/* Takes from the pool's allocator what it has for the next request, and puts as much back:
 * before nobody uses the pool, and before it is used again. */
void mpmx_pool_cool(mpmx_worker *w, apr_pool_t *pool);
void mpmx_pool_warm(mpmx_worker *w, apr_pool_t *pool);

#endif
