/* See extended_status.h. */
#include "extended_status.h"
#include "child.h"
#include "clock.h"
#include "log.h"
#include "serve.h"

#include <string.h>
#include "apr_optional.h"
#include "http_protocol.h"
#include "http_request.h"

#define BACKEND_MS 100           /* how long a wait for a backend counts as now */

static APR_OPTIONAL_FN_TYPE(ap_logio_get_last_bytes) *bytes_by_logio;

static void find_logio(void)
{
    bytes_by_logio = APR_RETRIEVE_OPTIONAL_FN(ap_logio_get_last_bytes);
}

/* From here on the request ends with the bucket that stands for its end, and is counted there. One that is logged
 * without ever having begun, because its head did not come in time, is not. */
static int begins(request_rec *r, int lookup)
{
    if (ap_extended_status && !lookup && !r->main && !r->prev && mpmx_view_conn(r->connection))
        ap_set_module_config(r->request_config, &MPMX_THIS_MODULE, r);
    return DECLINED;
}

static apr_off_t bytes_of(const request_rec *r)
{
    if (bytes_by_logio)
        return bytes_by_logio(r->connection);
    return r->method && !strcmp(r->method, "HEAD") ? 0 : r->bytes_sent;
}

static void count(worker_score *row, const request_rec *r, int64_t now)
{
    apr_off_t bytes = bytes_of(r);

    /* For the connection, for the thread, for the slot. */
    row->conn_count++;
    row->conn_bytes += bytes;
    row->my_access_count++;
    row->my_bytes_served += bytes;
    row->access_count++;
    row->bytes_served += bytes;
    mpmx_process_times(row, now);
}

static apr_status_t give_back_row(void *data)
{
    mpmx_conn *conn = data;

    if (conn->c)
        conn->c->sbh = conn->sbh;
    return APR_SUCCESS;
}

/* Do handlers block, or wait for a backend? */
static int somebody_waits(const mpmx_crew *crew, int64_t now)
{
    return mpmx_crew_blocks(crew)
        || now - atomic_load_explicit(&crew->backend_at, memory_order_relaxed) < BACKEND_MS;
}

/* Is it this thread that serves the connection, and its row? A module may end a suspended request on its own. */
static int serves(const mpmx_worker *w, const mpmx_conn *conn, const conn_rec *c)
{
    return conn && c->sbh && c->sbh == conn->sbh && mpmx_conn_get_state(conn) == MPMX_CONN_SERVING
        && atomic_load_explicit(&conn->server, memory_order_relaxed) == w->slot;
}

/* The core counts after this, unless the connection has no row: so it has none until the cleanup that calls
 * us has returned, and the next one of the same kind gives it back. */
static int logged(request_rec *r)
{
    conn_rec *c = r->connection;
    mpmx_worker *w = mpmx_crew_self();
    mpmx_conn *conn;
    worker_score *row;
    int64_t now;

    if (!ap_extended_status || !w || ap_get_module_config(r->request_config, &MPMX_THIS_MODULE) != r)
        return DECLINED;
    conn = mpmx_view_conn(c);
    now = mpmx_clock_coarse_ms();
    if (!serves(w, conn, c) || somebody_waits(&w->child->crew, now))
        return DECLINED;
    row = ap_get_scoreboard_worker(c->sbh);
    if (!row || row->status != SERVER_BUSY_LOG)
        return DECLINED;                 /* somebody else runs the hook */
    ap_set_module_config(r->request_config, &MPMX_THIS_MODULE, NULL);
    count(row, r, now);
    apr_pool_pre_cleanup_register(r->pool, conn, give_back_row);
    c->sbh = NULL;
    return DECLINED;
}

void mpmx_extended_status_register(void)
{
    ap_hook_optional_fn_retrieve(find_logio, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_quick_handler(begins, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_log_transaction(logged, NULL, NULL, APR_HOOK_REALLY_LAST);
}
