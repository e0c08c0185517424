/* See serve.h. The rules for what process_connection may leave behind are those of
 * contract sections 6.2 to 6.6. */
#include "serve.h"
#include "ack.h"
#include "child.h"
#include "compat.h"
#include "head.h"
#include "linger.h"
#include "log.h"
#include "netbucket.h"
#include "socket.h"
#include "suspend.h"
#include "tls_head.h"

#include <string.h>
#include <unistd.h>
#include "apr_portable.h"
#include "apr_strings.h"
#include "http_connection.h"
#include "http_protocol.h"
#include "http_vhost.h"
#include "mpm_common.h"
#include "scoreboard.h"
#include "util_filter.h"

#define ROUNDS 16                /* pipelined requests served before others have a turn */

static __thread mpmx_conn *served;       /* by this thread */

/* What is next for a connection after a piece of work. */
typedef enum { NEXT_NONE, NEXT_PROCESS, NEXT_LATER } mpmx_next;

/* --- the beginning ------------------------------------------------------------- */

/* Runs when c->pool goes away. Normally by us; but a module may end a connection that
 * it has suspended by destroying the pool, and that is the only way we hear of it. */
static apr_status_t pool_gone(void *data)
{
    mpmx_conn *conn = data;
    mpmx_child *child = mpmx.child;

    if (conn->notified) {
        /* So that modules can let go of what they hold for it (contract 6.6). */
        conn->notified = 0;
        ap_run_resume_connection(conn->c, conn->view.r);
    }
    if (!conn->closing && mpmx_suspend_drop(child, conn)) {
        mpmx_worker *w = mpmx_crew_self();

        conn->c = NULL;
        conn->pool = NULL;
        conn->sock = NULL;
        if (w) {
            mpmx_conn_retire(w, conn);
        }
        else {                           /* a module's thread */
            pthread_mutex_lock(&child->susp_lock);
            mpmx_conn_retire(child->crew.nobody, conn);
            pthread_mutex_unlock(&child->susp_lock);
        }
    }
    return APR_SUCCESS;
}

void mpmx_serve_leave_pool(mpmx_conn *conn)
{
    apr_pool_cleanup_kill(conn->pool, conn, pool_gone);
}

static int begin(mpmx_worker *w, mpmx_conn *conn)
{
    mpmx_child *child = mpmx_child_of(w);
    apr_bucket_alloc_t *buckets;
    conn_rec *c = NULL;
    int rc;

    if (!conn->sock) {
        conn->pool = mpmx_pool_take(w);
        if (!conn->pool || mpmx_socket_make(conn, conn->pool) != APR_SUCCESS)
            goto failed;
    }
    conn->bb = NULL;
    if (conn->tls)
        conn->gated = 0;                 /* from now on what is inside is judged */
    ap_create_sb_handle(&conn->sbh, conn->pool, child->slot, w->slot);
    buckets = apr_bucket_alloc_create(conn->pool);
    c = ap_run_create_connection(conn->pool, child->server, conn->sock, w->connection_id,
                                 conn->sbh, buckets);
    if (!c)
        goto failed;
    conn->c = c;
    c->current_thread = w->thread;
    if (conn->keepalives) {              /* it has slept, and modules are not to notice */
        c->keepalives = conn->keepalives;
        c->keepalive = AP_CONN_KEEPALIVE;
    }
    memset(&conn->view, 0, sizeof conn->view);
    conn->view.conn = conn;
    conn->view.cs.state = MPMX_CS_PROCESSING;
    conn->view.cs.sense = CONN_SENSE_DEFAULT;
    mpmx_view_attach(c, &conn->view);
    if (mpmx_this_policy.async)
        c->cs = &conn->view.cs;
    apr_pool_pre_cleanup_register(conn->pool, conn, pool_gone);
    ap_update_vhost_given_ip(c);
    mpmx_view_timeouts(&conn->view, c->base_server, c->base_server);
    rc = mpmx_pre_connection(c, conn->sock);
    if (rc != OK && rc != DONE)
        c->aborted = 1;
    return 1;

failed:
    /* create_connection closes the socket before it says no: the descriptor is then
     * not ours any more, and the record was not in anybody's hands yet. */
    if (conn->pool) {
        int closed = 0;

        if (conn->sock) {
            apr_os_sock_t fd = -1;

            closed = apr_os_sock_get(&fd, conn->sock) != APR_SUCCESS || fd < 0;
            fd = -1;
            apr_os_sock_put(&conn->sock, &fd, conn->pool);
        }
        conn->closing = 1;
        mpmx_pool_give(w, conn->pool);
        conn->pool = NULL;
        conn->sock = NULL;
        if (closed) {
            mpmx_conn_retire(w, conn);
            return 0;
        }
    }
    mpmx_conn_close(w, conn);
    return 0;
}

/* --- between threads ------------------------------------------------------------ */

/* Tells modules that nobody runs the connection now. To be called before parking. */
static void pause_modules(mpmx_conn *conn)
{
    if (mpmx_this_policy.async) {        /* with others a connection keeps its thread, for all they know */
        conn->notified = 1;
        ap_run_suspend_connection(conn->c, conn->view.r);
    }
    conn->c->sbh = NULL;
}

static void go_on(mpmx_worker *w, mpmx_conn *conn)
{
    conn_rec *c = conn->c;

    mpmx_conn_set_serving(conn, w);
    mpmx_conn_count(w, conn, MPMX_COUNT_NONE);
    if (conn->cool) {
        conn->cool = 0;
        mpmx_pool_warm(w, conn->pool);
    }
    ap_update_sb_handle(conn->sbh, mpmx_child_of(w)->slot, w->slot);
    c->sbh = conn->sbh;
    c->current_thread = w->thread;
    c->id = w->connection_id;
    if (conn->notified) {
        conn->notified = 0;
        ap_run_resume_connection(c, conn->view.r);
    }
}

/* --- after process_connection ----------------------------------------------------- */

static conn_state_e state_after(mpmx_conn *conn, int rc)
{
    conn_rec *c = conn->c;
    conn_state_e state = conn->view.cs.state;

    if (rc != OK && rc != DONE) {
        ap_log_cerror(APLOG_MARK, APLOG_DEBUG, 0, c, APLOGNO(10111)
                      "process_connection returned %d, closing the connection", rc);
        return CONN_STATE_LINGER;
    }
    if (c->aborted || state == MPMX_CS_PROCESSING)
        return CONN_STATE_LINGER;        /* the latter: a module that knows no async MPM */
    if (state == MPMX_CS_KEEPALIVE || state == CONN_STATE_WRITE_COMPLETION)
        return CONN_STATE_WRITE_COMPLETION;
    if (MPMX_CS_IS_WAITIO(state) || state == CONN_STATE_SUSPENDED || state == CONN_STATE_LINGER)
        return state;
    ap_log_cerror(APLOG_MARK, APLOG_DEBUG, 0, c, APLOGNO(10111)
                  "process_connection left state %d, closing the connection", (int)state);
    return CONN_STATE_LINGER;
}

static void park_io(mpmx_worker *w, mpmx_conn *conn, mpmx_conn_state state, unsigned interest)
{
    conn->view.cs.sense = CONN_SENSE_DEFAULT;
    pause_modules(conn);
    mpmx_conn_park(w, conn, state, interest, conn->view.timeout_ms);
}

/* HTTP/2 by prior knowledge begins like HTTP/1 and switches nothing. */
static void know_protocol(mpmx_conn *conn)
{
    if (conn->proto_known || !(conn->gated || conn->inner))
        return;
    conn->proto_known = 1;
    if (strcmp(ap_get_protocol(conn->c), AP_PROTOCOL_HTTP1))
        conn->gated = conn->inner = 0;
}

static void park_idle(mpmx_worker *w, mpmx_conn *conn)
{
    conn->view.cs.state = MPMX_CS_KEEPALIVE;
    conn->view.cs.sense = CONN_SENSE_DEFAULT;
    pause_modules(conn);
    /* Of other protocols' pools we do not know that nobody uses them meanwhile. */
    if (conn->gated || !strcmp(ap_get_protocol(conn->c), AP_PROTOCOL_HTTP1)) {
        mpmx_pool_cool(w, conn->pool);
        conn->cool = 1;
    }
    mpmx_conn_await_head(w, conn);
}

/* In the middle of a TLS handshake, or of a head inside TLS. */
static void park_head(mpmx_worker *w, mpmx_conn *conn)
{
    conn->view.cs.state = MPMX_CS_KEEPALIVE;
    conn->view.cs.sense = CONN_SENSE_DEFAULT;
    conn->c->data_in_input_filters = 0;
    pause_modules(conn);
    if (conn->buf_len)                   /* a part of a head; not in every handshake */
        mpmx_ack_now(conn->fd);
    mpmx_conn_await_rest(w, conn, conn->c->keepalives ? MPMX_CONN_KEEPALIVE : MPMX_CONN_NEW);
}

apr_status_t mpmx_serve_flush(conn_rec *c)
{
    ap_filter_t *f = c->output_filters;

    if (!c->data_in_output_filters)
        return APR_SUCCESS;
    /* The core's filter writes what it holds when it is given nothing (contract 2.6). */
    while (f->next)
        f = f->next;
    return f->frec->filter_func.out_func(f, NULL);
}

static mpmx_next after_write(mpmx_worker *w, mpmx_conn *conn)
{
    conn_rec *c = conn->c;
    mpmx_child *child = mpmx_child_of(w);

    conn->view.cs.state = CONN_STATE_WRITE_COMPLETION;
    if (c->data_in_output_filters)
        ap_update_child_status(c->sbh, SERVER_BUSY_WRITE, NULL);
    if (mpmx_serve_flush(c) != APR_SUCCESS) {
        mpmx_linger_start(w, conn);
        return NEXT_NONE;
    }
    if (c->data_in_output_filters || conn->view.cs.sense == CONN_SENSE_WANT_READ) {
        park_io(w, conn, MPMX_CONN_WRITING, conn->view.cs.sense == CONN_SENSE_WANT_READ
                ? MPMX_POLL_READ : MPMX_POLL_WRITE);
        return NEXT_NONE;
    }
    if (c->keepalive != AP_CONN_KEEPALIVE || c->aborted) {
        mpmx_linger_start(w, conn);
        return NEXT_NONE;
    }
    know_protocol(conn);
    if (c->data_in_input_filters) {
        if (mpmx_netbucket_reclaim(w, conn))
            return NEXT_PROCESS;
    }
    else if (conn->input_len) {
        return NEXT_PROCESS;
    }
    /* HTTP/2 and its like have said goodbye, or do so now, with the number of the last stream that is
     * answered. A client that has just sent another one knows that it can repeat it. */
    if (mpmx_child_phase(child) >= MPMX_PHASE_DRAINING && strcmp(ap_get_protocol(c), AP_PROTOCOL_HTTP1)) {
        mpmx_linger_start(w, conn);
        return NEXT_NONE;
    }
    /* The client was told to keep the connection: even a draining child does, for the
     * next request, which is then answered with "Connection: close"; at a graceful stop, if it
     * has come already. */
    if (mpmx_child_phase(child) >= MPMX_PHASE_ENDING
        && (mpmx_child_phase(child) > MPMX_PHASE_ENDING || !mpmx_head_has_input(conn))) {
        mpmx_linger_start(w, conn);
        return NEXT_NONE;
    }
    park_idle(w, conn);
    return NEXT_NONE;
}

static mpmx_next after_process(mpmx_worker *w, mpmx_conn *conn, int rc)
{
    conn_state_e state = state_after(conn, rc);

    if (state == CONN_STATE_WRITE_COMPLETION)
        return after_write(w, conn);
    if (state == CONN_STATE_SUSPENDED) {
        pause_modules(conn);
        mpmx_suspend(w, conn);
        return NEXT_NONE;
    }
    if (MPMX_CS_IS_WAITIO(state)) {
        unsigned interest = conn->view.cs.sense == CONN_SENSE_WANT_WRITE ? MPMX_POLL_WRITE
                                                                         : MPMX_POLL_READ;
        if (interest == MPMX_POLL_READ && conn->input_len)
            return NEXT_LATER;           /* what it waits for is already here */
        park_io(w, conn, MPMX_CONN_WAITIO, interest);
        return NEXT_NONE;
    }
    mpmx_linger_start(w, conn);
    return NEXT_NONE;
}

static void process(mpmx_worker *w, mpmx_conn *conn)
{
    int rounds;

    for (rounds = 0; rounds < ROUNDS; rounds++) {
        mpmx_next next;
        int rc;

        if (conn->c->aborted) {
            mpmx_linger_start(w, conn);
            return;
        }
        if (mpmx_tls_head_waits(conn)) {
            park_head(w, conn);
            return;
        }
        conn->view.cs.state = MPMX_CS_PROCESSING;
        mpmx_conn_forget_head(conn);
        conn->restless = conn->hurry = 0;
        mpmx_conn_set_idle_since(conn, 0);
        mpmx_gate_reset(&conn->gate);
        served = conn;
        rc = ap_run_process_connection(conn->c);
        served = NULL;
        mpmx_netbucket_keep(conn);
        next = after_process(w, conn, rc);
        if (next == NEXT_NONE)
            return;
        if (next == NEXT_LATER)
            break;
    }
    /* Fairness: a client that pipelines without end does not keep the thread. It queues up behind
     * all that is ready, by waiting for what is there, or will be when it has read its responses. */
    mpmx_netbucket_keep(conn);
    park_io(w, conn, MPMX_CONN_QUEUED, MPMX_POLL_WRITE);
}

/* --- not async: the thread stays with the connection ---------------------------------- */

static void process_to_the_end(mpmx_worker *w, mpmx_conn *conn)
{
    if (!conn->c->aborted && mpmx_tls_head_waits(conn)) {
        park_head(w, conn);
        return;
    }
    /* The thread waits by itself: every packet would pass by the poller, too, for nothing. */
    mpmx_poller_forget(mpmx_child_of(w)->poller, &conn->poll, conn->fd);
    served = conn;
    if (!conn->c->aborted)
        ap_run_process_connection(conn->c);
    served = NULL;
    if (conn->alone)
        mpmx_crew_unrest(w);
    mpmx_linger_start(w, conn);
}

int mpmx_serve_is_promised(void)
{
    if (!served || !served->c)
        return 0;
    /* A session of HTTP/2 that was idle looks at this before it reads the request that has woken it,
     * and would send it back. It can say goodbye in the next moment, when that is in. */
    if (strcmp(ap_get_protocol(served->c), AP_PROTOCOL_HTTP1))
        return !served->heard;
    /* Between the head of a response and the next request's. Where others wait with the connection
     * they keep the promise. */
    return !mpmx_this_policy.async && served->c->keepalive == AP_CONN_KEEPALIVE;
}

/* --- the end ------------------------------------------------------------------------ */

apr_pool_t *mpmx_serve_strip(mpmx_conn *conn)
{
    apr_pool_t *pool = conn->pool;

    mpmx_socket_release(conn);
    conn->closing = 1;
    conn->notified = 0;
    conn->c = NULL;
    conn->pool = NULL;
    conn->view.r = NULL;
    return pool;
}

/* --- entries ------------------------------------------------------------------------ */

void mpmx_serve(mpmx_worker *w, mpmx_conn *conn)
{
    w->status_ready = 0;
    if (!conn->input_len && conn->buf_len && !(conn->tls && conn->c)) {
        conn->input = conn->buf;
        conn->input_len = conn->buf_len;
    }
    if (conn->c) {
        go_on(w, conn);
    }
    else {
        mpmx_conn_set_serving(conn, w);
        mpmx_conn_count(w, conn, MPMX_COUNT_NONE);
        if (!begin(w, conn))
            return;
    }
    if (mpmx_this_policy.async)
        process(w, conn);
    else
        process_to_the_end(w, conn);
}

static void serve_on(mpmx_worker *w, mpmx_conn *conn)
{
    w->status_ready = 0;
    go_on(w, conn);
}

void mpmx_serve_write(mpmx_worker *w, mpmx_conn *conn)
{
    serve_on(w, conn);
    if (conn->c->clogging_input_filters || after_write(w, conn) == NEXT_PROCESS)
        process(w, conn);
}

void mpmx_serve_resume(mpmx_worker *w, mpmx_conn *conn)
{
    conn_state_e state = conn->view.cs.state;

    serve_on(w, conn);
    if (conn->c->aborted || (state != CONN_STATE_WRITE_COMPLETION && state != MPMX_CS_KEEPALIVE)) {
        mpmx_linger_start(w, conn);
        return;
    }
    if (after_write(w, conn) == NEXT_PROCESS)
        process(w, conn);
}

void mpmx_serve_idle(mpmx_worker *w, mpmx_conn *conn)
{
    serve_on(w, conn);
    /* The client has had its time: two seconds for the goodbye are enough (6.4), and none for the
     * rest of a handshake, which TLS would wait for before it says a word. */
    conn->head_late = 1;
    apr_table_setn(conn->c->notes, "short-lingering-close", "1");
    mpmx_linger_start(w, conn);
}

void mpmx_serve_sleep(mpmx_worker *w, mpmx_conn *conn)
{
    conn->cool = 0;                      /* no memory for a request is wanted */
    serve_on(w, conn);
    conn->keepalives = conn->c->keepalives;
    apr_pool_destroy(mpmx_serve_strip(conn));
    conn->closing = 0;
}

void mpmx_serve_timeout(mpmx_worker *w, mpmx_conn *conn)
{
    serve_on(w, conn);
    mpmx_linger_start(w, conn);
}

void mpmx_serve_gone(mpmx_worker *w, mpmx_conn *conn)
{
    serve_on(w, conn);
    mpmx_linger_gone(w, conn);
}

void mpmx_serve_abandon(mpmx_worker *w, mpmx_conn *conn)
{
    serve_on(w, conn);
    conn->c->aborted = 1;
    mpmx_linger_start(w, conn);
}
