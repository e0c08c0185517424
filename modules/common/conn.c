/* See conn.h.
 *
 * The claim word: bit 63 (ARMED) says that nobody owns the connection and a report
 * may claim it; bit 62 (SETTLED) that the poller has been told, so that the
 * housekeeper may claim it as well.  Until then the owner still has one system call
 * on the descriptor to make, and a deadline must not have it closed under its feet.
 * The rest is the token: 24 bits of descriptor (bit 61 marks listeners'), 38 bits that count the
 * armings.
 */
#include "conn.h"
#include "child.h"
#include "compat.h"
#include "head.h"
#include "linger.h"
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


/* --- the table ------------------------------------------------------------- */

apr_status_t mpmx_conn_table_init(mpmx_child *child, apr_pool_t *pool)
{
    struct rlimit limit;
    rlim_t max = MPMX_CONN_MAX, now = MPMX_CONN_MAX, spare = (rlim_t)mpmx.conf.threads_per_child * 2 + 8;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max != RLIM_INFINITY
        && limit.rlim_max < max)
        max = limit.rlim_max;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY
        && limit.rlim_cur < now)
        now = limit.rlim_cur;
    child->fd_spare = (int)(spare < now / 4 ? spare : now / 4);
    child->fd_high = (int)now - child->fd_spare;
    child->chunks = (unsigned)((max + MPMX_CONN_CHUNK - 1) / MPMX_CONN_CHUNK);
    /* From the system, not the pool: untouched pages of it cost nothing. */
    child->chunk = calloc(child->chunks, sizeof *child->chunk);
    pthread_mutex_init(&child->susp_lock, NULL);
    (void)pool;
    return child->chunk ? APR_SUCCESS : APR_ENOMEM;
}

static mpmx_conn *record_of(mpmx_child *child, unsigned fd)
{
    mpmx_conn *chunk;

    if (fd / MPMX_CONN_CHUNK >= child->chunks)
        return NULL;
    chunk = atomic_load_explicit(&child->chunk[fd / MPMX_CONN_CHUNK], memory_order_acquire);
    return chunk ? &chunk[fd % MPMX_CONN_CHUNK] : NULL;
}

static mpmx_conn *make_record(mpmx_child *child, unsigned fd)
{
    mpmx_conn *chunk, *none = NULL;
    unsigned i;

    if (fd / MPMX_CONN_CHUNK >= child->chunks
        || posix_memalign((void **)&chunk, MPMX_LINE, MPMX_CONN_CHUNK * sizeof *chunk) != 0)
        return NULL;
    memset(chunk, 0, MPMX_CONN_CHUNK * sizeof *chunk);
    for (i = 0; i < MPMX_CONN_CHUNK; i++) {
        chunk[i].fd = (int)(fd - fd % MPMX_CONN_CHUNK + i);
        atomic_store(&chunk[i].claim, (uint64_t)chunk[i].fd << SERIAL_BITS);
    }
    if (!atomic_compare_exchange_strong(&child->chunk[fd / MPMX_CONN_CHUNK], &none, chunk)) {
        free(chunk);                     /* another worker was faster */
        chunk = none;
    }
    return &chunk[fd % MPMX_CONN_CHUNK];
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
    conn->tls = conn->inner = listener->tls;
    conn->shaken = conn->ended = 0;
    conn->drained = conn->head_late = conn->notified = conn->closing = conn->linger_short = 0;
    conn->proto_known = conn->dead = conn->alone = conn->cool = 0;
    conn->restless = conn->hurry = conn->heard = 0;
    mpmx_conn_forget_head(conn);
    conn->keepalives = 0;
    atomic_store_explicit(&conn->stays, 0, memory_order_relaxed);
    mpmx_conn_set_idle_since(conn, 0);
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

/* The claim is read before what decides, and exchanged after it: if the connection was
 * taken and parked anew in between, its serial number has changed and we let go. */
int mpmx_conn_claim_parked(mpmx_conn *conn, int (*wanted)(const mpmx_conn *, int64_t), int64_t now)
{
    uint64_t claim = atomic_load(&conn->claim);

    if ((claim & (ARMED | SETTLED)) != (ARMED | SETTLED) || !wanted(conn, now))
        return 0;
    return atomic_compare_exchange_strong(&conn->claim, &claim, claim & ~(ARMED | SETTLED));
}

static int awaits_head(const mpmx_conn *conn)
{
    mpmx_conn_state state = mpmx_conn_get_state(conn);

    return state == MPMX_CONN_NEW || state == MPMX_CONN_KEEPALIVE || state == MPMX_CONN_ASLEEP;
}

int mpmx_conn_is_idle(const mpmx_conn *conn)
{
    return awaits_head(conn) && mpmx_conn_idle_since(conn) > 0;
}

int64_t mpmx_conn_waits_since(const mpmx_conn *conn)
{
    uint64_t parked = ARMED | SETTLED;
    int64_t since = mpmx_conn_idle_since(conn);

    if ((atomic_load(&conn->claim) & parked) != parked || since < 0 || !awaits_head(conn))
        return 0;
    return since ? since : atomic_load_explicit(&conn->head_since, memory_order_relaxed);
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
    case MPMX_CONN_KEEPALIVE:
    case MPMX_CONN_QUEUED:               /* it must not keep others out */
    case MPMX_CONN_ASLEEP:    return MPMX_COUNT_KEEPALIVE;
    case MPMX_CONN_WAITIO:    return MPMX_COUNT_WAITIO;
    case MPMX_CONN_WRITING:   return MPMX_COUNT_WRITING;
    case MPMX_CONN_SUSPENDED: return MPMX_COUNT_SUSPENDED;
    case MPMX_CONN_LINGER:    return MPMX_COUNT_LINGER;
    default:                  return MPMX_COUNT_NONE;
    }
}

/* --- parking ---------------------------------------------------------------- */

/* From here on it may be somebody else's, unless it fails. */
static apr_status_t arm(mpmx_child *child, mpmx_conn *conn, unsigned interest)
{
    uint64_t claim = atomic_load_explicit(&conn->claim, memory_order_relaxed);
    uint64_t token = (claim & ~SERIAL_MASK) | ((claim + 1) & SERIAL_MASK);
    uint64_t settled = token | ARMED;
    apr_status_t rv;

    conn->interest = (unsigned char)interest;
    atomic_store_explicit(&conn->claim, token | ARMED, memory_order_release);
    rv = mpmx_poller_arm(child->poller, &conn->poll, conn->fd, token, interest);
    if (rv == APR_SUCCESS)               /* also somebody else's record stays a record */
        atomic_compare_exchange_strong(&conn->claim, &settled, token | ARMED | SETTLED);
    else {                               /* not reported and not SETTLED: still ours */
        atomic_store(&conn->claim, token);
        if (mpmx_may_log(&child->park_logged, mpmx_clock_coarse_ms()))
            ap_log_error(APLOG_MARK, APLOG_WARNING, rv, child->server,
                         "cannot wait for a connection (descriptor %d), closing it, and others that "
                         "this happens to", conn->fd);
    }
    return rv;
}

static void cannot_wait(mpmx_worker *w, mpmx_work *work)
{
    mpmx_conn *conn = (mpmx_conn *)((char *)work - offsetof(mpmx_conn, work));

    if (conn->c)
        mpmx_serve_abandon(w, conn);
    else
        mpmx_conn_close(w, conn);
}

void mpmx_conn_park(mpmx_worker *w, mpmx_conn *conn, mpmx_conn_state state, unsigned interest,
                    int64_t timeout_ms)
{
    mpmx_child *child = mpmx_child_of(w);
    int64_t wake;

    mpmx_conn_set_state(conn, state);
    mpmx_conn_count(w, conn, count_of(state));
    wake = mpmx_wheel_set(&child->wheel, &conn->deadline, mpmx_clock_coarse_ms() + timeout_ms);
    if (arm(child, conn, interest) == APR_SUCCESS)
        mpmx_child_awake_at(child, wake);
    else
        cannot_wait(w, &conn->work);
}

static int is_parked(const mpmx_conn *conn, int64_t now)
{
    (void)now;
    return mpmx_conn_get_state(conn) != MPMX_CONN_FREE;
}

/* A report that comes meanwhile is out of date, but comes again for what is armed then. */
int mpmx_conn_inspect(mpmx_child *child, mpmx_conn *conn,
                      void (*look)(const mpmx_conn *conn, void *baton), void *baton)
{
    if (!mpmx_conn_claim_parked(conn, is_parked, 0))
        return 0;
    look(conn, baton);
    if (arm(child, conn, conn->interest) != APR_SUCCESS) {
        conn->work.run = cannot_wait;
        mpmx_crew_submit(&child->crew, &conn->work);
    }
    return 1;
}

/* All of a head within RequestHeadTimeout, and no pause longer than Timeout. */
static int64_t head_patience(mpmx_worker *w, mpmx_conn *conn, mpmx_conn_state state, int64_t now)
{
    int64_t timeout = state == MPMX_CONN_NEW && !conn->c
                    ? apr_time_as_msec(mpmx_child_of(w)->server->timeout) : conn->view.timeout_ms;

    if (!mpmx_conn_head_due(conn))
        mpmx_conn_set_head_due(conn, now + (int64_t)mpmx.conf.head_timeout * 1000);
    return timeout < mpmx_conn_head_due(conn) - now ? timeout : mpmx_conn_head_due(conn) - now;
}

/* KeepAliveTimeout from the last response on; before it ends, sleep. */
static int64_t idle_patience(const mpmx_conn *conn, int64_t now)
{
    int64_t left = mpmx_conn_idle_since(conn) + conn->view.keepalive_ms - now;

    if (conn->c && !conn->restless && mpmx.conf.hibernate_ms && mpmx.conf.hibernate_ms < left)
        left = mpmx.conf.hibernate_ms;
    return left;
}

static void await_input(mpmx_worker *w, mpmx_conn *conn, mpmx_conn_state state, int begun)
{
    int64_t now = mpmx_clock_coarse_ms(), timeout;

    if (begun) {
        mpmx_conn_set_idle_since(conn, 0);
        if (!atomic_load_explicit(&conn->head_since, memory_order_relaxed))
            atomic_store_explicit(&conn->head_since, now, memory_order_relaxed);
    }
    else if (mpmx_conn_idle_since(conn) <= 0)
        mpmx_conn_set_idle_since(conn, now);
    timeout = begun || state == MPMX_CONN_NEW ? head_patience(w, conn, state, now)
                                              : idle_patience(conn, now);
    mpmx_conn_park(w, conn, state, MPMX_POLL_READ, timeout < 1 ? 1 : timeout);
}

void mpmx_conn_await_rest(mpmx_worker *w, mpmx_conn *conn, mpmx_conn_state state)
{
    await_input(w, conn, state, 1);
}

void mpmx_conn_await_head(mpmx_worker *w, mpmx_conn *conn)
{
    await_input(w, conn, conn->c ? MPMX_CONN_KEEPALIVE
                : mpmx_conn_get_state(conn) == MPMX_CONN_ASLEEP ? MPMX_CONN_ASLEEP : MPMX_CONN_NEW,
                conn->buf_len != 0);
}

void mpmx_conn_drop_input(mpmx_conn *conn)
{
    free(conn->buf);
    conn->buf = NULL;
    conn->buf_len = conn->buf_size = 0;
    conn->input = NULL;
    conn->input_len = 0;
    mpmx_conn_forget_head(conn);
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

/* --- going on ------------------------------------------------------------------ */

void mpmx_conn_start(mpmx_worker *w, mpmx_conn *conn)
{
    if (conn->gated)
        mpmx_head_try(w, conn);
    else
        mpmx_serve(w, conn);
}

void mpmx_conn_ready(mpmx_worker *w, mpmx_conn *conn, unsigned events)
{
    (void)events;                        /* a hang-up shows in what recv and send say */
    switch (mpmx_conn_get_state(conn)) {
    case MPMX_CONN_NEW:
    case MPMX_CONN_KEEPALIVE:
    case MPMX_CONN_ASLEEP:
        if (conn->gated)
            mpmx_head_try(w, conn);
        else {
            conn->drained = 0;
            mpmx_serve(w, conn);
        }
        break;
    case MPMX_CONN_QUEUED:
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

void mpmx_conn_shut_all(mpmx_child *child)
{
    unsigned i, k;

    for (i = 0; i < child->chunks; i++) {
        mpmx_conn *chunk = atomic_load_explicit(&child->chunk[i], memory_order_acquire);

        for (k = 0; chunk && k < MPMX_CONN_CHUNK; k++)
            if (mpmx_conn_get_state(&chunk[k]) == MPMX_CONN_SERVING)
                shutdown(chunk[k].fd, SHUT_RDWR);
    }
}
