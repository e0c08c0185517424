/* See conn.h.
 *
 * The claim word: bit 63 (ARMED) says that nobody owns the connection and a report
 * may claim it; bit 62 (SETTLED) that the poller has been told, so that the
 * housekeeper may claim it as well.  Until then the owner still has one system call
 * on the descriptor to make, and a deadline must not have it closed under its feet.
 * The rest is the token: 24 bits of descriptor, 38 bits that count the armings.
 */
#include "conn.h"
#include "child.h"
#include "compat.h"
#include "log.h"
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "clock.h"

#define ARMED        (UINT64_C(1) << 63)
#define SETTLED      (UINT64_C(1) << 62)
#define SERIAL_BITS  38
#define SERIAL_MASK  ((UINT64_C(1) << SERIAL_BITS) - 1)
#define FD_MAX       (1 << 23)           /* bit 61 marks listeners' tokens */
#define CHUNK        256

#define BUF_FIRST    1024
#define BUF_MAX      MPMX_SCRATCH        /* holds any TLS record: 5 + 18432 */

/* --- the table ------------------------------------------------------------- */

apr_status_t mpmx_conn_table_init(mpmx_child *child, apr_pool_t *pool)
{
    struct rlimit limit;
    rlim_t max = FD_MAX, now = FD_MAX, spare = (rlim_t)mpmx.conf.threads_per_child * 2 + 8;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max != RLIM_INFINITY
        && limit.rlim_max < max)
        max = limit.rlim_max;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY
        && limit.rlim_cur < now)
        now = limit.rlim_cur;
    child->fd_high = (int)(now - (spare < now / 4 ? spare : now / 4));
    child->chunks = (unsigned)((max + CHUNK - 1) / CHUNK);
    /* From the system, not the pool: untouched pages of it cost nothing. */
    child->chunk = calloc(child->chunks, sizeof *child->chunk);
    pthread_mutex_init(&child->susp_lock, NULL);
    (void)pool;
    return child->chunk ? APR_SUCCESS : APR_ENOMEM;
}

static mpmx_conn *record_of(mpmx_child *child, unsigned fd)
{
    mpmx_conn *chunk;

    if (fd / CHUNK >= child->chunks)
        return NULL;
    chunk = atomic_load_explicit(&child->chunk[fd / CHUNK], memory_order_acquire);
    return chunk ? &chunk[fd % CHUNK] : NULL;
}

static mpmx_conn *make_record(mpmx_child *child, unsigned fd)
{
    mpmx_conn *chunk, *none = NULL;
    unsigned i;

    if (fd / CHUNK >= child->chunks || !(chunk = calloc(CHUNK, sizeof *chunk)))
        return NULL;
    for (i = 0; i < CHUNK; i++) {
        chunk[i].fd = (int)(fd - fd % CHUNK + i);
        atomic_store(&chunk[i].claim, (uint64_t)chunk[i].fd << SERIAL_BITS);
    }
    if (!atomic_compare_exchange_strong(&child->chunk[fd / CHUNK], &none, chunk)) {
        free(chunk);                     /* another worker was faster */
        chunk = none;
    }
    return &chunk[fd % CHUNK];
}

mpmx_conn *mpmx_conn_open(mpmx_worker *w, int fd, mpmx_listener *listener, const mpmx_peer *peer)
{
    mpmx_child *child = mpmx_child_of(w);
    mpmx_conn *conn = record_of(child, (unsigned)fd);

    if (!conn)
        conn = make_record(child, (unsigned)fd);
    /* A module may have closed a descriptor that it took from a connection before that
     * connection's owner was done with the record: leave that alone. */
    while (conn && mpmx_conn_get_state(conn) != MPMX_CONN_FREE) {
        int moved = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);

        close(fd);
        if ((fd = moved) < 0)
            return NULL;
        conn = record_of(child, (unsigned)fd);
        if (!conn)
            conn = make_record(child, (unsigned)fd);
    }
    if (!conn) {
        close(fd);
        return NULL;
    }
    mpmx_conn_set_state(conn, MPMX_CONN_NEW);
    conn->listener = listener;
    conn->peer = *peer;
    conn->gated = listener->gated;
    conn->tls = listener->tls;
    conn->drained = conn->head_late = conn->notified = conn->closing = conn->linger_short = 0;
    conn->proto_known = conn->dead = conn->no_more = conn->alone = 0;
    conn->head_due = 0;
    conn->c = NULL;
    conn->pool = NULL;
    conn->sock = NULL;
    conn->susp_prev = NULL;
    mpmx_gate_reset(&conn->gate);
    mpmx_count(w, MPMX_COUNT_CONNECTIONS, 1);
    return conn;
}

mpmx_conn *mpmx_conn_claim(mpmx_child *child, uint64_t token)
{
    mpmx_conn *conn = record_of(child, (unsigned)(token >> SERIAL_BITS));
    uint64_t claim;

    if (!conn)
        return NULL;
    claim = atomic_load(&conn->claim);
    while ((claim & ~SETTLED) == (token | ARMED))
        if (atomic_compare_exchange_weak(&conn->claim, &claim, token))
            return conn;
    return NULL;
}

/* --- counting --------------------------------------------------------------- */

void mpmx_conn_count(mpmx_worker *w, mpmx_conn *conn, int which)
{
    if (conn->counted)
        mpmx_count(w, conn->counted - 1, -1);
    conn->counted = (unsigned char)(which + 1);
    if (conn->counted)
        mpmx_count(w, which, 1);
}

static int count_of(mpmx_conn_state state)
{
    switch (state) {
    case MPMX_CONN_NEW:       return MPMX_COUNT_GATED;
    case MPMX_CONN_KEEPALIVE: return MPMX_COUNT_KEEPALIVE;
    case MPMX_CONN_WAITIO:    return MPMX_COUNT_WAITIO;
    case MPMX_CONN_WRITING:   return MPMX_COUNT_WRITING;
    case MPMX_CONN_SUSPENDED: return MPMX_COUNT_SUSPENDED;
    case MPMX_CONN_LINGER:    return MPMX_COUNT_LINGER;
    default:                  return MPMX_COUNT_NONE;
    }
}

/* --- parking ---------------------------------------------------------------- */

void mpmx_conn_park(mpmx_worker *w, mpmx_conn *conn, mpmx_conn_state state, unsigned interest,
                    int64_t timeout_ms)
{
    mpmx_child *child = mpmx_child_of(w);
    uint64_t claim = atomic_load_explicit(&conn->claim, memory_order_relaxed);
    uint64_t token = (claim & ~SERIAL_MASK) | ((claim + 1) & SERIAL_MASK);
    uint64_t settled = token | ARMED;
    int64_t wake;
    apr_status_t rv;

    mpmx_conn_set_state(conn, state);
    mpmx_conn_count(w, conn, count_of(state));
    wake = mpmx_wheel_set(&child->wheel, &conn->deadline, mpmx_clock_coarse_ms() + timeout_ms);
    atomic_store_explicit(&conn->claim, token | ARMED, memory_order_release);
    rv = mpmx_poller_arm(child->poller, &conn->poll, conn->fd, token, interest);
    if (rv == APR_SUCCESS) {
        /* From here on it may be somebody else's, but records stay records. */
        atomic_compare_exchange_strong(&conn->claim, &settled, token | ARMED | SETTLED);
        mpmx_child_awake_at(child, wake);
        return;
    }
    /* Not reported and not SETTLED: still ours. */
    atomic_store(&conn->claim, token);
    ap_log_error(APLOG_MARK, APLOG_WARNING, rv, child->server,
                 "cannot wait for a connection (descriptor %d), closing it", conn->fd);
    if (conn->c)
        mpmx_serve_abandon(w, conn);
    else
        mpmx_conn_close(w, conn);
}

void mpmx_conn_await_head(mpmx_worker *w, mpmx_conn *conn)
{
    int64_t timeout = conn->view.keepalive_ms;

    if (!conn->c || conn->buf_len) {
        /* A head has begun (or a first one is expected): all of it within
         * RequestHeadTimeout, and no pause longer than Timeout. */
        int64_t now = mpmx_clock_coarse_ms();

        if (!conn->head_due)
            conn->head_due = now + (int64_t)mpmx.conf.head_timeout * 1000;
        timeout = conn->c ? conn->view.timeout_ms : apr_time_as_msec(mpmx_child_of(w)->server->timeout);
        if (timeout > conn->head_due - now)
            timeout = conn->head_due - now;
        if (timeout < 1)
            timeout = 1;
    }
    mpmx_conn_park(w, conn, conn->c ? MPMX_CONN_KEEPALIVE : MPMX_CONN_NEW, MPMX_POLL_READ, timeout);
}

void mpmx_conn_drop_input(mpmx_conn *conn)
{
    free(conn->buf);
    conn->buf = NULL;
    conn->buf_len = conn->buf_size = 0;
    conn->input = NULL;
    conn->input_len = 0;
    conn->head_due = 0;
    conn->head_late = 0;
    mpmx_gate_reset(&conn->gate);
}

void mpmx_conn_retire(mpmx_worker *w, mpmx_conn *conn)
{
    mpmx_child *child = mpmx_child_of(w);

    mpmx_conn_drop_input(conn);
    mpmx_conn_count(w, conn, MPMX_COUNT_NONE);
    mpmx_count(w, MPMX_COUNT_CONNECTIONS, -1);
    mpmx_poller_release(child->poller, &conn->poll);
    mpmx_conn_set_state(conn, MPMX_CONN_FREE);
    mpmx_listeners_check_room(w);
    if (mpmx_child_phase(child) > MPMX_PHASE_RUNNING)
        mpmx_child_kick(child);          /* it may have been the last one */
}

void mpmx_conn_close(mpmx_worker *w, mpmx_conn *conn)
{
    int fd = conn->fd;

    mpmx_conn_retire(w, conn);
    close(fd);
}

/* --- collecting a head ------------------------------------------------------- */

static int grow(mpmx_conn *conn, uint32_t need)
{
    uint32_t size = conn->buf_size ? conn->buf_size : BUF_FIRST;
    char *buf;

    if (need > BUF_MAX)
        return 0;
    while (size < need)
        size *= 4;
    if (size > BUF_MAX)
        size = BUF_MAX;
    if (size == conn->buf_size)
        return 1;
    if (!(buf = realloc(conn->buf, size)))
        return 0;
    conn->buf = buf;
    conn->buf_size = size;
    return 1;
}

static int judge(mpmx_conn *conn, const char *bytes, uint32_t len)
{
    mpmx_gate_kind kind = conn->tls ? MPMX_GATE_TLS : MPMX_GATE_HTTP;

    if (conn->gated) {
        mpmx_gate_verdict verdict = mpmx_gate_feed(&conn->gate, kind, bytes, len);

        if (verdict == MPMX_GATE_MORE && len < BUF_MAX)
            return 0;
        if (verdict == MPMX_GATE_SERVE)  /* no HTTP/1: nothing to be judged later, either */
            conn->gated = 0;
    }
    conn->input = bytes;
    conn->input_len = len;
    return 1;
}

int mpmx_conn_judge(mpmx_conn *conn, const char *bytes, uint32_t len)
{
    if (judge(conn, bytes, len))
        return 1;
    if (grow(conn, len)) {
        memcpy(conn->buf, bytes, len);
        conn->buf_len = len;
        return 0;
    }
    conn->input = bytes;                 /* memory is out: a worker must wait for the rest */
    conn->input_len = len;
    return 1;
}

/* Receives what is there. 1: serve conn->input; 0: wait for more; -1: the peer has
 * closed and nothing is left to be answered. */
static int collect(mpmx_worker *w, mpmx_conn *conn)
{
    char *to = w->scratch;
    uint32_t room = MPMX_SCRATCH;
    ssize_t n;

    if (conn->buf_len) {
        if (conn->buf_len == conn->buf_size && !grow(conn, conn->buf_size + 1)) {
            conn->input = conn->buf;
            conn->input_len = conn->buf_len;
            return 1;
        }
        to = conn->buf + conn->buf_len;
        room = conn->buf_size - conn->buf_len;
    }
    do
        n = recv(conn->fd, to, room, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    conn->drained = n > 0 && (uint32_t)n < room;
    if (n == 0) {
        if (!conn->buf_len)
            return -1;
        conn->input = conn->buf;         /* the core sees the same: a part and the end */
        conn->input_len = conn->buf_len;
        return 1;
    }
    if (!conn->buf_len)
        return mpmx_conn_judge(conn, w->scratch, (uint32_t)n);
    conn->buf_len += (uint32_t)n;
    return judge(conn, conn->buf, conn->buf_len);
}

static void gone(mpmx_worker *w, mpmx_conn *conn)
{
    if (conn->c)
        mpmx_serve_gone(w, conn);
    else
        mpmx_conn_close(w, conn);
}

static void try_head(mpmx_worker *w, mpmx_conn *conn)
{
    switch (collect(w, conn)) {
    case 1:
        mpmx_serve(w, conn);
        break;
    case 0:
        mpmx_conn_await_head(w, conn);
        break;
    default:
        gone(w, conn);
    }
}

void mpmx_conn_start(mpmx_worker *w, mpmx_conn *conn)
{
    if (conn->gated)
        try_head(w, conn);
    else
        mpmx_serve(w, conn);
}

void mpmx_conn_ready(mpmx_worker *w, mpmx_conn *conn, unsigned events)
{
    (void)events;                        /* a hang-up shows in what recv and send say */
    switch (mpmx_conn_get_state(conn)) {
    case MPMX_CONN_NEW:
        try_head(w, conn);
        break;
    case MPMX_CONN_KEEPALIVE:
        if (conn->gated)
            try_head(w, conn);
        else {
            conn->drained = 0;
            mpmx_serve(w, conn);
        }
        break;
    case MPMX_CONN_WAITIO:
        conn->drained = 0;
        mpmx_serve(w, conn);
        break;
    case MPMX_CONN_WRITING:
        mpmx_serve_write(w, conn);
        break;
    case MPMX_CONN_LINGER:
        mpmx_linger_drain(w, conn);
        break;
    default:
        /* Not parked: nothing could have claimed it. */
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, mpmx_child_of(w)->server,
                     "report for descriptor %d in state %d", conn->fd, mpmx_conn_get_state(conn));
    }
}

/* --- deadlines ---------------------------------------------------------------- */

static int has_input(mpmx_conn *conn)
{
    char byte;

    return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* A part of a head, and its time is over: unless the rest has come meanwhile and only found no
 * thread, let the core answer 408 and log it, as it does when a worker waits in vain. */
static void head_expired(mpmx_worker *w, mpmx_conn *conn)
{
    int got = 0;

    while (got == 0 && has_input(conn))  /* the buffer grows with what is in it */
        got = collect(w, conn);
    if (got < 0) {
        gone(w, conn);
        return;
    }
    if (got == 0) {
        conn->input = conn->buf;
        conn->input_len = conn->buf_len;
        conn->head_late = 1;
    }
    mpmx_serve(w, conn);
}

/* On a worker: the deadline of a claimed connection has passed. */
static void expired(mpmx_worker *w, mpmx_work *work)
{
    mpmx_conn *conn = (mpmx_conn *)((char *)work - offsetof(mpmx_conn, work));
    int stopping = mpmx_child_phase(mpmx_child_of(w)) >= MPMX_PHASE_STOPPING;

    switch (mpmx_conn_get_state(conn)) {
    case MPMX_CONN_NEW:
    case MPMX_CONN_KEEPALIVE:
        if (conn->buf_len && !stopping)
            head_expired(w, conn);
        else if (!stopping && has_input(conn))
            mpmx_conn_ready(w, conn, MPMX_POLL_READ);    /* just in time */
        else if (conn->c)
            mpmx_serve_idle(w, conn);
        else
            mpmx_conn_close(w, conn);
        break;
    case MPMX_CONN_WAITIO:
    case MPMX_CONN_WRITING:
        mpmx_serve_timeout(w, conn);
        break;
    default:
        mpmx_conn_close(w, conn);
    }
}

/* The claim is read before what decides, and exchanged after it: if the connection was
 * taken and parked anew in between, its serial number has changed and we let go. */
static int claim_parked(mpmx_conn *conn, int (*wanted)(const mpmx_conn *, int64_t), int64_t now)
{
    uint64_t claim = atomic_load(&conn->claim);

    if ((claim & (ARMED | SETTLED)) != (ARMED | SETTLED) || !wanted(conn, now))
        return 0;
    return atomic_compare_exchange_strong(&conn->claim, &claim, claim & ~(ARMED | SETTLED));
}

static void hand_over(mpmx_child *child, mpmx_conn *conn)
{
    conn->work.run = expired;
    mpmx_crew_submit(&child->crew, &conn->work);
}

static int is_due(const mpmx_conn *conn, int64_t now)
{
    return atomic_load(&conn->deadline.due) <= now;
}

int64_t mpmx_conn_visit(mpmx_deadline *deadline, int64_t now, void *baton)
{
    mpmx_conn *conn = (mpmx_conn *)((char *)deadline - offsetof(mpmx_conn, deadline));
    int64_t due = atomic_load(&deadline->due);       /* before the state, see below */

    /* A closed connection leaves its deadline in the wheel, where the next one on the same
     * descriptor finds it; if there is none, it goes now. Either that next one sees that it
     * is out and puts it in again, or we see the deadline it has set, and so its state. */
    if (mpmx_conn_get_state(conn) == MPMX_CONN_FREE)
        return 0;
    if (due > now)
        return due;
    if (!claim_parked(conn, is_due, now))
        return now + 1000;               /* being served: it sets a new one when parked */
    hand_over(baton, conn);
    return 0;
}

int mpmx_conn_expire_all(mpmx_child *child, int (*wanted)(const mpmx_conn *conn, int64_t now))
{
    int64_t now = mpmx_clock_coarse_ms();
    unsigned i, k;
    int n = 0;

    for (i = 0; i < child->chunks; i++) {
        mpmx_conn *chunk = atomic_load_explicit(&child->chunk[i], memory_order_acquire);

        for (k = 0; chunk && k < CHUNK; k++)
            if (claim_parked(&chunk[k], wanted, now)) {
                hand_over(child, &chunk[k]);
                n++;
            }
    }
    return n;
}

void mpmx_conn_shut_all(mpmx_child *child)
{
    unsigned i, k;

    for (i = 0; i < child->chunks; i++) {
        mpmx_conn *chunk = atomic_load_explicit(&child->chunk[i], memory_order_acquire);

        for (k = 0; chunk && k < CHUNK; k++)
            if (mpmx_conn_get_state(&chunk[k]) == MPMX_CONN_SERVING)
                shutdown(chunk[k].fd, SHUT_RDWR);
    }
}
