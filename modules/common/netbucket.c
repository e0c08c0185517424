/* See netbucket.h. */
#include "netbucket.h"
#include "ack.h"
#include "backend.h"
#include "child.h"
#include "compat.h"
#include "head.h"
#include "log.h"
#include "recall.h"
#include "serve.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "apr_buckets.h"
#include "util_filter.h"

static apr_status_t net_read(apr_bucket *b, const char **str, apr_size_t *len,
                             apr_read_type_e block);

static const apr_bucket_type_t net_type = {
    "MPMX_NET", 5, APR_BUCKET_DATA,
    apr_bucket_destroy_noop,
    net_read,
    apr_bucket_setaside_notimpl,
    apr_bucket_split_notimpl,
    apr_bucket_copy_notimpl
};

static apr_bucket *net_make(apr_bucket *b, mpmx_conn *conn)
{
    b->type = &net_type;
    b->length = (apr_size_t)-1;
    b->start = -1;
    b->data = conn;
    return b;
}

static apr_bucket *net_create(mpmx_conn *conn, apr_bucket_alloc_t *list)
{
    apr_bucket *b = apr_bucket_alloc(sizeof *b, list);

    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = list;
    return net_make(b, conn);
}

/* Turns `b` into a heap bucket of these bytes and lets the socket follow it. */
static void yield(apr_bucket *b, mpmx_conn *conn, char *bytes, apr_size_t size, apr_size_t len,
                  void (*free_bytes)(void *))
{
    apr_bucket_heap *h;

    b = apr_bucket_heap_make(b, bytes, len, free_bytes);
    h = b->data;
    h->alloc_len = size;
    APR_BUCKET_INSERT_AFTER(b, net_create(conn, b->list));
}

static void yield_input(apr_bucket *b, mpmx_conn *conn)
{
    char *bytes = (char *)conn->input;

    if (bytes == conn->buf) {            /* malloc'ed: the bucket takes it as it is */
        yield(b, conn, bytes, conn->buf_size, conn->input_len, free);
        conn->buf = NULL;
        conn->buf_len = conn->buf_size = 0;
    }
    else {                               /* NULL: copied */
        yield(b, conn, bytes, conn->input_len, conn->input_len, NULL);
    }
    conn->input = NULL;
    conn->input_len = 0;
}

/* Waits until there is input. Others run meanwhile, if this is a worker; where a thread stays
 * with a connection, it waits most of the time, so that it does not count any more at all.
 * `idle`: between two requests. */
static apr_status_t await_input(mpmx_conn *conn, apr_interval_time_t timeout, int idle)
{
    struct pollfd pfd = { conn->fd, POLLIN, 0 };
    mpmx_worker *w = mpmx_crew_self();
    int n, error;

    /* Core keeps a response back while more input is there, to answer it all in one packet. That may
     * be half a request: a client must not wait for an answer until it has sent the rest. What is
     * wrong shows at the next write. */
    mpmx_serve_flush(conn->c);
    if (!idle)
        mpmx_ack_now(conn->fd);
    if (w && !conn->alone)
        mpmx_crew_rest(w);
    if (w && !mpmx_this_policy.async) {
        conn->alone = 1;
        if (idle)
            return mpmx_recall_wait(w, conn->fd, timeout);
    }
    do
        n = poll(&pfd, 1, timeout < 0 ? -1 : (int)((timeout + 999) / 1000));
    while (n < 0 && errno == EINTR);
    error = errno;
    if (w && mpmx_this_policy.async)
        mpmx_crew_unrest(w);
    return n > 0 ? APR_SUCCESS : n == 0 ? APR_TIMEUP : error;
}

/* The core knows that there is nothing yet: it has just looked (it says so where an MPM is
 * not async, between two requests). Once only. */
static int is_known_empty(mpmx_conn *conn)
{
    apr_int32_t empty = 0;

    if (apr_socket_opt_get(conn->sock, APR_INCOMPLETE_READ, &empty) != APR_SUCCESS || !empty)
        return 0;
    apr_socket_opt_set(conn->sock, APR_INCOMPLETE_READ, 0);
    return 1;
}

/* recv(2), waiting as long as the socket's timeout says if `block`. */
static apr_status_t receive(mpmx_conn *conn, char *buf, apr_size_t *len, apr_read_type_e block)
{
    apr_interval_time_t timeout = 0;
    apr_size_t room = *len;
    ssize_t n;

    *len = 0;
    if (block == APR_BLOCK_READ)
        apr_socket_timeout_get(conn->sock, &timeout);
    if (timeout != 0 && is_known_empty(conn)) {
        apr_status_t rv = await_input(conn, timeout, 1);

        if (rv != APR_SUCCESS)
            return rv;
    }
    for (;;) {
        n = recv(conn->fd, buf, room, MSG_DONTWAIT);
        if (n >= 0) {
            conn->drained = n > 0 && (apr_size_t)n < room;
            conn->ended = n == 0;
            if (!conn->gated && mpmx_child_phase(mpmx.child) > MPMX_PHASE_RUNNING)
                conn->heard = 1;         /* see mpmx_serve_is_promised() */
            *len = (apr_size_t)n;
            return APR_SUCCESS;
        }
        if ((errno == EAGAIN || errno == EWOULDBLOCK) && timeout != 0) {
            apr_status_t rv = await_input(conn, timeout, 0);

            if (rv != APR_SUCCESS)
                return rv;
        }
        else if (errno != EINTR) {
            return errno;
        }
    }
}

static apr_status_t net_read(apr_bucket *b, const char **str, apr_size_t *len,
                             apr_read_type_e block)
{
    mpmx_conn *conn = b->data;
    apr_status_t rv;
    char *buf;

    *str = NULL;
    if (conn->input_len) {
        apr_size_t n = conn->input_len;

        yield_input(b, conn);
        *str = ((apr_bucket_heap *)b->data)->base;
        *len = n;
        return APR_SUCCESS;
    }
    *len = 0;
    if (conn->head_late)
        return block == APR_BLOCK_READ ? APR_TIMEUP : APR_EAGAIN;
    if (conn->drained && block == APR_NONBLOCK_READ) {
        conn->drained = 0;               /* true once: whoever asks again has news */
        return APR_EAGAIN;
    }
    buf = apr_bucket_alloc(APR_BUCKET_BUFF_SIZE, b->list);
    *len = APR_BUCKET_BUFF_SIZE;
    rv = receive(conn, buf, len, block);
    if (rv != APR_SUCCESS || *len == 0) {
        apr_bucket_free(buf);
        if (rv == APR_SUCCESS) {         /* the end: the bucket ends, too */
            b = apr_bucket_immortal_make(b, "", 0);
            *str = b->data;
        }
        return rv;
    }
    yield(b, conn, buf, APR_BUCKET_BUFF_SIZE, *len, apr_bucket_free);
    *str = buf;
    return APR_SUCCESS;
}

apr_status_t mpmx_netbucket_insert(conn_rec *c, apr_bucket_brigade *bb, apr_socket_t *socket)
{
    mpmx_view *view = mpmx_view_of(c);

    /* Also run for a proxy's connection to its backend and for secondary ones. */
    if (!view || !view->conn || view->conn->c != c || view->conn->sock != socket)
        return mpmx_backend_insert(c, bb, socket);
    APR_BRIGADE_INSERT_TAIL(bb, net_create(view->conn, c->bucket_alloc));
    return APR_SUCCESS;
}

int mpmx_netbucket_keep(mpmx_conn *conn)
{
    const char *bytes = conn->input;
    uint32_t len = conn->input_len;

    if (!len)
        return 0;
    if (bytes == conn->buf)
        return 1;
    if ((conn->buf = malloc(len)) != NULL) {
        memcpy(conn->buf, bytes, len);
        conn->buf_len = conn->buf_size = len;
        conn->input = conn->buf;
        return 1;
    }
    conn->input = NULL;
    conn->input_len = 0;
    conn->c->aborted = 1;                /* bytes are lost: the connection is, too */
    return 0;
}

/* The core's filter, if all above it pass bytes on as they are and keep none; else NULL:
 * what is pending may be in one of them (TLS, PROXY protocol), already decoded. */
static ap_filter_t *core_filter(conn_rec *c)
{
    static const char *const clear[] = { "reqtimeout", "log_input_output", NULL };
    ap_filter_t *f;
    int i;

    for (f = c->input_filters; f && f->next; f = f->next) {
        for (i = 0; clear[i] && strcasecmp(f->frec->name, clear[i]); i++)
            ;
        if (!clear[i])
            return NULL;
    }
    return f && !strcasecmp(f->frec->name, "core_in") ? f : NULL;
}

/* Reads `len` bytes at most from the filter without waiting. Returns how many. */
static apr_size_t peek_or_take(mpmx_conn *conn, ap_filter_t *f, ap_input_mode_t mode, char *to,
                               apr_size_t len)
{
    apr_size_t got = 0;

    if (ap_get_brigade(f, conn->bb, mode, APR_NONBLOCK_READ, (apr_off_t)len) == APR_SUCCESS) {
        got = len;
        if (apr_brigade_flatten(conn->bb, to, &got) != APR_SUCCESS)
            got = 0;
    }
    apr_brigade_cleanup(conn->bb);
    return got;
}

int mpmx_netbucket_reclaim(mpmx_worker *w, mpmx_conn *conn)
{
    conn_rec *c = conn->c;
    ap_filter_t *f = core_filter(c);
    apr_size_t got;

    if (!conn->gated || !f)
        return 1;                        /* serve, as httpd does */
    if (!conn->bb)
        conn->bb = apr_brigade_create(c->pool, c->bucket_alloc);
    /* Only what is no whole head may be taken out: everything else stays, in its order,
     * where core will look for it. */
    got = peek_or_take(conn, f, AP_MODE_SPECULATIVE, w->scratch, MPMX_SCRATCH);
    if (!got || mpmx_head_judge(conn, w->scratch, (uint32_t)got)) {
        conn->input = NULL;
        conn->input_len = 0;
        return 1;
    }
    peek_or_take(conn, f, AP_MODE_READBYTES, w->scratch, got);
    c->data_in_input_filters = 0;
    return 0;
}
