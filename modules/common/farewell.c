/* See farewell.h. */
#include "farewell.h"
#include "serve.h"
#include "socket.h"

#include <strings.h>
#include <sys/socket.h>
#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"
#include "util_filter.h"

#define FILTER_NAME "MPMX_FAREWELL"

static ap_filter_rec_t *filter_rec;

/* Does nobody keep back anything of it, or add a goodbye of its own, like TLS? */
static int is_plain(const ap_filter_t *f)
{
    for (; f; f = f->next)
        if (f->frec != filter_rec && strcasecmp(f->frec->name, "core")
            && strcasecmp(f->frec->name, "log_input_output"))
            return 0;
    return 1;
}

/* A module may have closed the socket: the number is somebody else's then. */
static int is_ours(const mpmx_view *view)
{
    return view->conn && view->conn->sock && !mpmx_socket_is_closed(view->conn);
}

/* Not before the end: a response that comes in pieces reaches its client piece by piece. Behind the end of the
 * response comes what stands for the request. An answer to a head that could not be accepted may have none, and is
 * then not yet written when its request is logged (httpd up to 2.4.48). */
static apr_status_t watch(ap_filter_t *f, apr_bucket_brigade *bb)
{
    apr_bucket *last = APR_BRIGADE_EMPTY(bb) ? NULL : APR_BRIGADE_LAST(bb);
    mpmx_view *view = mpmx_view_of(f->c);
    ap_filter_t *next = f->next;

    if (last && (APR_BUCKET_IS_EOS(last) || AP_BUCKET_IS_EOR(last)) && f->c->keepalive == AP_CONN_CLOSE
        && is_ours(view)) {
        int plain = is_plain(f->c->output_filters);

        if (APR_BUCKET_IS_EOS(last)) {
            if (plain)
                mpmx_cork(view->conn->fd);
        }
        else {
            view->last = f->ctx;
            view->parting = plain ? MPMX_PARTS_PLAIN : MPMX_PARTS_LATER;
            ap_remove_output_filter(f);
        }
    }
    return ap_pass_brigade(next, bb);
}

/* All of the response is written (that is what the bucket EOR stands for), and what belongs to the
 * request is let go of next. That may take its time: mod_cgid waits for the script's end. */
static int written(request_rec *r)
{
    mpmx_view *view = mpmx_view_of(r->connection);
    int parting;

    /* Of pipelined ones, those before the last may be written with it. */
    if (!mpmx_view_conn(r->connection) || !view->parting || view->last != r)
        return DECLINED;
    parting = view->parting;
    view->parting = MPMX_PARTS_NOT;
    if (!ap_get_conn_socket(r->connection) || !is_ours(view))
        return DECLINED;                 /* a module has taken it */
    if (parting == MPMX_PARTS_PLAIN)
        view->parted = shutdown(view->conn->fd, SHUT_WR) == 0;
    else
        mpmx_cork(view->conn->fd);
    return DECLINED;
}

void mpmx_farewell_register(void)
{
    filter_rec = ap_register_output_filter(FILTER_NAME, watch, NULL, AP_FTYPE_NETWORK - 1);
    ap_hook_log_transaction(written, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

void mpmx_farewell_expect(request_rec *r)
{
    if (!r->prev)                        /* else the filter is there, and the first one ends both */
        ap_add_output_filter_handle(filter_rec, r, r, r->connection);
}
