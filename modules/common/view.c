/* The MPM's part of every conn_rec, and which timeouts apply to it.
 *
 * httpd lets a virtual host have its own KeepAliveTimeout and Timeout; which host it
 * is shows only when a request has been read.  Until then the first host of the
 * address counts (contract 2.2, post_read_request).
 */
#include "child.h"
#include "compat.h"
#include "farewell.h"
#include "log.h"
#include "serve.h"

#include <limits.h>
#include <string.h>

mpmx_view *mpmx_view_of(conn_rec *c)
{
    return ap_get_module_config(c->conn_config, &MPMX_THIS_MODULE);
}

void mpmx_view_attach(conn_rec *c, mpmx_view *view)
{
    ap_set_module_config(c->conn_config, &MPMX_THIS_MODULE, view);
}

mpmx_conn *mpmx_view_conn(conn_rec *c)
{
    const mpmx_view *view = mpmx_view_of(c);
    mpmx_conn *conn = view ? view->conn : NULL;

    return conn && conn->c == c ? conn : NULL;
}

static int milliseconds(apr_interval_time_t t)
{
    apr_int64_t ms = apr_time_as_msec(t);

    return ms > INT_MAX ? INT_MAX : (int)ms;
}

void mpmx_view_timeouts(mpmx_view *view, server_rec *keepalive, server_rec *timeout)
{
    view->keepalive_ms = milliseconds(keepalive->keep_alive_timeout);
    view->timeout_ms = milliseconds(timeout->timeout);
}

int mpmx_view_secondary(conn_rec *c, void *csd)
{
    mpmx_view *view;

    (void)csd;
    if (!c->master)
        return DECLINED;
    /* mod_http2 copies its master's slots: without one of its own the stream would
     * write into the master's state while that runs elsewhere. */
    view = apr_pcalloc(c->pool, sizeof *view);
    view->cs.state = MPMX_CS_PROCESSING;
    view->cs.sense = CONN_SENSE_DEFAULT;
    mpmx_view_timeouts(view, c->base_server, c->base_server);
    mpmx_view_attach(c, view);
    c->cs = &view->cs;
    return DECLINED;
}

static apr_status_t forget_request(void *data)
{
    mpmx_view *view = data;

    view->r = NULL;
    return APR_SUCCESS;
}

void mpmx_view_pre_read(request_rec *r, conn_rec *c)
{
    mpmx_view *view = mpmx_view_of(c);

    if (!view)
        return;
    view->r = r;
    mpmx_view_timeouts(view, c->base_server, c->base_server);
    apr_pool_cleanup_register(r->pool, view, forget_request, apr_pool_cleanup_null);
}

/* RFC 9112, 9.6: who sends "Connection: close" sends no further request; without a body, a
 * tunnel or another protocol to follow nothing at all will come. */
static int is_last(const request_rec *r)
{
    const char *connection = apr_table_get(r->headers_in, "Connection");

    return connection && ap_find_token(r->pool, connection, "close")
        && r->method_number != M_CONNECT
        && !apr_table_get(r->headers_in, "Upgrade")
        && !apr_table_get(r->headers_in, "Content-Length")
        && !apr_table_get(r->headers_in, "Transfer-Encoding");
}

int mpmx_view_post_read(request_rec *r)
{
    mpmx_view *view = mpmx_view_of(r->connection);

    /* Where the MPM is not async, a secondary connection has its master's. */
    if (view && (!view->conn || view->conn->c == r->connection)) {
        view->last_request = is_last(r);
        if (view->last_request && view->conn)
            mpmx_farewell_expect(r);
        /* A pipelined head was read without a wait for it: what is waited for from now on is
         * no request any more, and nobody to be called back from (netbucket.c). */
        if (!mpmx_this_policy.async && view->conn)
            apr_socket_opt_set(view->conn->sock, APR_INCOMPLETE_READ, 0);
        else
            mpmx_view_timeouts(view, r->server->keep_alive_timeout_set ? r->server
                                 : r->connection->base_server, r->server);
    }
    return DECLINED;
}

int mpmx_view_protocol_switch(conn_rec *c, request_rec *r, server_rec *s, const char *protocol)
{
    mpmx_view *view = mpmx_view_of(c);

    if (view && view->conn && strcmp(protocol, "http/1.1"))
        view->conn->gated = view->conn->inner = 0;   /* what follows are no HTTP/1 heads */
    if (view && !r && s)                 /* ALPN: the host is known before any request */
        mpmx_view_timeouts(view, s->keep_alive_timeout_set ? s : c->base_server, s);
    return DECLINED;
}
