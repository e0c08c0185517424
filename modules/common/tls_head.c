/* See tls_head.h. What is said of filters holds for mod_ssl and mod_reqtimeout of httpd 2.4. */
#include "tls_head.h"
#include "compat.h"
#include "head.h"
#include "held.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "http_protocol.h"
#include "util_filter.h"

#define FILTER_NAME "MPMX_TLS_HEAD"

/* Of the filter, for as long as the conn_rec lives. */
typedef struct held {
    mpmx_conn *conn;
    apr_bucket_brigade *bb;      /* taken and not yet yielded. May point into the TLS filter's
                                    buffer, so that is not asked while there is any        */
    apr_status_t rv;             /* how the filters have answered after that: an error, or 0 */
    apr_status_t init_rv;        /* how they have answered AP_MODE_INIT                     */
    unsigned init_done : 1;      /* ... which process_connection is still to ask for        */
    unsigned later_head : 1;     /* taken from beside mod_reqtimeout, see below             */
} held;

static ap_filter_rec_t *filter_rec;

/* --- mod_reqtimeout --------------------------------------------------------------------- */

/* Its filter is below TLS. Between two requests its clock is still the last one's, because it sets
 * it when the next one is read, in pre_read_request: a keep-alive connection would time out by
 * RequestReadTimeout body=. So it is left out where we read ahead... */
static ap_filter_t **link_to_reqtimeout(conn_rec *c)
{
    ap_filter_t **link;

    for (link = &c->input_filters; *link; link = &(*link)->next)
        if (!strcasecmp((*link)->frec->name, "reqtimeout"))
            return link;
    return NULL;
}

/* ... and what it has not seen, it must not wait for: it lets the first byte of a later request come
 * without a limit, and that would be the body's. A look shows it one, or that there is none. */
static void start_reqtimeout(conn_rec *c, mpmx_conn *conn, apr_bucket_brigade *bb)
{
    ap_filter_t **link = link_to_reqtimeout(c);
    unsigned drained = conn->drained;

    if (!link)
        return;
    conn->drained = 1;                   /* a look at what is here, not at the socket */
    ap_get_brigade(*link, bb, AP_MODE_SPECULATIVE, APR_NONBLOCK_READ, 1);
    conn->drained = drained;
    apr_brigade_cleanup(bb);
}

/* --- the filter ----------------------------------------------------------------------------- */

static apr_status_t yield(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                          apr_read_type_e block, apr_off_t readbytes)
{
    held *h = f->ctx;
    apr_status_t rv;

    if (mode == AP_MODE_INIT) {
        /* A second time would not be the same: mod_ssl takes it for a read after HTTP was
         * spoken to it, and the page that says so gets lost. */
        if (h->init_done) {
            h->init_done = 0;
            return h->init_rv;
        }
        return ap_get_brigade(f->next, bb, mode, block, readbytes);
    }
    if (h->later_head) {
        h->later_head = 0;
        if (APR_BRIGADE_EMPTY(bb))
            start_reqtimeout(f->c, h->conn, bb);
    }
    if (!APR_BRIGADE_EMPTY(h->bb)) {
        rv = mpmx_held_yield(h->bb, bb, mode, readbytes);
        if (rv != APR_SUCCESS || !APR_BRIGADE_EMPTY(h->bb)
            || (mode != AP_MODE_EATCRLF && mode != AP_MODE_EXHAUSTIVE))
            return rv;
    }
    if (h->rv != APR_SUCCESS) {
        rv = h->rv;
        if (mode != AP_MODE_SPECULATIVE)
            h->rv = APR_SUCCESS;         /* once, as it came */
        return rv;
    }
    return ap_get_brigade(f->next, bb, mode, block, readbytes);
}

void mpmx_tls_head_register(void)
{
    /* The highest that a connection may have: mod_ssl's is five below. */
    filter_rec = ap_register_input_filter(FILTER_NAME, yield, NULL, AP_FTYPE_CONNECTION);
}

/* Ours, which is there from the first look on. */
static ap_filter_t *our_filter(mpmx_conn *conn)
{
    conn_rec *c = conn->c;
    ap_filter_t *f;
    held *h;

    for (f = c->input_filters; f; f = f->next)
        if (f->frec == filter_rec)
            return f;
    h = apr_pcalloc(c->pool, sizeof *h);
    h->conn = conn;
    h->bb = apr_brigade_create(c->pool, c->bucket_alloc);
    return ap_add_input_filter_handle(filter_rec, h, NULL, c);
}

/* --- reading ahead ------------------------------------------------------------------------------ */

/* Nonzero if the filters have nothing more for now. At the end of the connection the core says so
 * once, and only then that it is the end: a report of the poller would tell no more. */
static int is_dry(mpmx_conn *conn, apr_status_t rv, const apr_bucket_brigade *bb)
{
    if (rv == APR_SUCCESS ? !APR_BRIGADE_EMPTY(bb) : !APR_STATUS_IS_EAGAIN(rv) && !APR_STATUS_IS_EINTR(rv))
        return 0;
    if (!conn->ended)
        return 1;
    conn->ended = 0;
    return 0;
}

/* Goes on with the handshake. Nonzero when it waits for the client. */
static int handshake_waits(mpmx_conn *conn, ap_filter_t *f)
{
    held *h = f->ctx;
    apr_status_t rv;

    do {
        rv = ap_get_brigade(f->next, h->bb, AP_MODE_INIT, APR_NONBLOCK_READ, 0);
        if ((APR_STATUS_IS_EAGAIN(rv) || APR_STATUS_IS_EINTR(rv)) && is_dry(conn, rv, h->bb))
            return 1;
    } while (APR_STATUS_IS_EAGAIN(rv) || APR_STATUS_IS_EINTR(rv));
    conn->shaken = 1;
    h->init_rv = rv;
    h->init_done = 1;
    /* The client may have asked for HTTP/2 or the like (ALPN). */
    if (rv != APR_SUCCESS || strcmp(ap_get_protocol(conn->c), AP_PROTOCOL_HTTP1))
        conn->inner = 0;
    return 0;
}

/* Has the gate judge what was taken. Nonzero when it is to be served; otherwise it is all in
 * conn->buf. */
static int judge(mpmx_conn *conn, apr_bucket_brigade *bb)
{
    while (!APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *b = APR_BRIGADE_FIRST(bb);
        const char *bytes = conn->buf;
        apr_size_t len = conn->buf_len;
        mpmx_gate_verdict verdict;
        int first = !conn->buf_len;

        if (APR_BUCKET_IS_METADATA(b)
            || apr_bucket_read(b, &bytes, &len, APR_NONBLOCK_READ) != APR_SUCCESS)
            return 1;
        if (first)                       /* where it is: usually it is a whole head */
            mpmx_gate_reset(&conn->gate);
        else if (!mpmx_head_append(conn, bytes, len))
            return 1;
        else
            apr_bucket_delete(b);
        verdict = first ? mpmx_gate_feed(&conn->gate, MPMX_GATE_HTTP, bytes, len)
                        : mpmx_gate_feed(&conn->gate, MPMX_GATE_HTTP, conn->buf, conn->buf_len);
        if (verdict == MPMX_GATE_SERVE)
            conn->inner = 0;             /* no HTTP/1: nothing to be judged later, either */
        if (verdict != MPMX_GATE_MORE)
            return 1;
        if (first) {
            if (!mpmx_head_append(conn, bytes, len))
                return 1;
            apr_bucket_delete(b);
        }
    }
    return 0;
}

/* Reads on. Nonzero when the head is incomplete and nothing more is here. */
static int head_waits(mpmx_conn *conn, ap_filter_t *f)
{
    held *h = f->ctx;

    for (;;) {
        apr_status_t rv;

        /* The buffer is in use for what the filters have not even asked for. */
        if (conn->input_len && conn->input == conn->buf)
            return 0;
        if (judge(conn, h->bb) || conn->buf_len >= MPMX_SCRATCH)
            return 0;
        rv = ap_get_brigade(f->next, h->bb, AP_MODE_READBYTES, APR_NONBLOCK_READ,
                            MPMX_SCRATCH - conn->buf_len);
        if (is_dry(conn, rv, h->bb))
            return 1;
        if (rv != APR_SUCCESS && !APR_STATUS_IS_EAGAIN(rv) && !APR_STATUS_IS_EINTR(rv)) {
            h->rv = rv;
            return 0;
        }
    }
}

static int waits(mpmx_conn *conn, ap_filter_t *f)
{
    ap_filter_t **link, *reqtimeout = NULL;
    int waiting;

    if (!conn->shaken && handshake_waits(conn, f))
        return 1;
    if (!conn->inner)
        return 0;
    if ((link = link_to_reqtimeout(conn->c)) != NULL) {
        reqtimeout = *link;
        *link = reqtimeout->next;
        ((held *)f->ctx)->later_head = 1;
    }
    waiting = head_waits(conn, f);
    if (link)
        *link = reqtimeout;
    return waiting;
}

/* What was collected goes to the front of what is held. */
static void hand_over(mpmx_conn *conn, held *h)
{
    apr_bucket *b;

    if (!conn->buf_len || conn->input == conn->buf)
        return;
    b = apr_bucket_heap_create(conn->buf, conn->buf_len, free, conn->c->bucket_alloc);
    APR_BRIGADE_INSERT_HEAD(h->bb, b);
    conn->buf = NULL;
    conn->buf_len = conn->buf_size = 0;
}

int mpmx_tls_head_waits(mpmx_conn *conn)
{
    unsigned late = conn->head_late;
    ap_filter_t *f;

    if (!conn->tls || (conn->shaken && !conn->inner))
        return 0;
    /* In the middle of something that only its module knows. */
    if (MPMX_CS_IS_WAITIO(conn->view.cs.state) || conn->c->clogging_input_filters)
        return 0;
    f = our_filter(conn);
    conn->head_late = 0;                 /* the rest may have come in the last moment */
    if (waits(conn, f)) {
        if (!late && !conn->input_len)
            return 1;
        conn->head_late = late;          /* the core's to say what it says then */
    }
    hand_over(conn, f->ctx);
    return 0;
}
