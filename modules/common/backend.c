/* See backend.h. The bucket does what APR's own for sockets does, but for the announcement. */
#include "backend.h"
#include "child.h"
#include "clock.h"
#include "log.h"
#include "schedule.h"

#include "apr_support.h"

static apr_status_t backend_read(apr_bucket *b, const char **str, apr_size_t *len,
                                 apr_read_type_e block);

static const apr_bucket_type_t backend_type = {
    "MPMX_BACKEND", 5, APR_BUCKET_DATA,
    apr_bucket_destroy_noop,
    backend_read,
    apr_bucket_setaside_notimpl,
    apr_bucket_split_notimpl,
    apr_bucket_copy_notimpl
};

static apr_bucket *backend_create(apr_socket_t *socket, apr_bucket_alloc_t *list)
{
    apr_bucket *b = apr_bucket_alloc(sizeof *b, list);

    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = list;
    b->type = &backend_type;
    b->length = (apr_size_t)-1;
    b->start = -1;
    b->data = socket;
    return b;
}

#define AT_ONCE_WAITS 64         /* in the poller without a backend, until a thread waits its turn again */

/* Seldom written, as the clock is coarse: others read it with each request. */
static void note_wait(mpmx_crew *crew)
{
    int64_t now = mpmx_clock_coarse_ms();

    if (atomic_load_explicit(&crew->backend_at, memory_order_relaxed) != now)
        atomic_store_explicit(&crew->backend_at, now, memory_order_relaxed);
}

/* Waits for input as long as the socket's timeout says. Others run meanwhile. */
static apr_status_t await(apr_socket_t *socket)
{
    mpmx_worker *w = mpmx_crew_self();
    int counts = w && atomic_load_explicit(&w->state, memory_order_relaxed) == MPMX_W_SERVING;
    apr_status_t rv;

    if (counts) {
        /* With the answer it is this thread's turn: it has used up less of its time than
         * those that serve small requests, and others have waited for the backend as long. */
        mpmx_schedule_at_once();
        w->at_once = AT_ONCE_WAITS;
        note_wait(&w->child->crew);
        mpmx_crew_rest(w);
    }
    rv = apr_wait_for_io_or_timeout(NULL, socket, 1);
    if (counts)
        mpmx_crew_unrest(w);
    return rv;
}

/* apr_socket_recv() without the wait that it may do itself. */
static apr_status_t receive_now(apr_socket_t *socket, apr_interval_time_t timeout, char *buf,
                                apr_size_t *len)
{
    apr_status_t rv;

    apr_socket_timeout_set(socket, 0);
    rv = apr_socket_recv(socket, buf, len);
    apr_socket_timeout_set(socket, timeout);
    return rv;
}

static apr_status_t receive(apr_socket_t *socket, char *buf, apr_size_t *len, apr_read_type_e block)
{
    apr_interval_time_t timeout = 0;
    apr_size_t room = *len;
    apr_status_t rv;

    apr_socket_timeout_get(socket, &timeout);
    if (timeout < 0)                     /* a blocking socket: only the kernel can wait */
        return apr_socket_recv(socket, buf, len);
    for (;;) {
        *len = room;
        rv = receive_now(socket, timeout, buf, len);
        if (!APR_STATUS_IS_EAGAIN(rv) || block == APR_NONBLOCK_READ || timeout == 0)
            return rv;
        if ((rv = await(socket)) != APR_SUCCESS) {
            *len = 0;
            return rv;
        }
    }
}

static apr_status_t backend_read(apr_bucket *b, const char **str, apr_size_t *len,
                                 apr_read_type_e block)
{
    apr_socket_t *socket = b->data;
    char *buf = apr_bucket_alloc(APR_BUCKET_BUFF_SIZE, b->list);
    apr_bucket_heap *h;
    apr_status_t rv;

    *str = NULL;
    *len = APR_BUCKET_BUFF_SIZE;
    rv = receive(socket, buf, len, block);
    if (rv != APR_SUCCESS && rv != APR_EOF) {
        apr_bucket_free(buf);
        *len = 0;
        return rv;
    }
    if (*len == 0) {                     /* the end: the bucket ends, too */
        apr_bucket_free(buf);
        b = apr_bucket_immortal_make(b, "", 0);
        *str = b->data;
        return APR_SUCCESS;
    }
    b = apr_bucket_heap_make(b, buf, *len, apr_bucket_free);
    h = b->data;
    h->alloc_len = APR_BUCKET_BUFF_SIZE;
    *str = buf;
    APR_BUCKET_INSERT_AFTER(b, backend_create(socket, b->list));
    return APR_SUCCESS;
}

apr_status_t mpmx_backend_insert(conn_rec *c, apr_bucket_brigade *bb, apr_socket_t *socket)
{
    if (!socket || c->master || !mpmx_crew_self())
        return AP_DECLINED;
    APR_BRIGADE_INSERT_TAIL(bb, backend_create(socket, c->bucket_alloc));
    return APR_SUCCESS;
}
