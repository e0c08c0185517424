/* See listener.h. */
#include "listener.h"
#include "accept_filter.h"
#include "accept_queue.h"
#include "ack.h"
#include "aside.h"
#include "child.h"
#include "clock.h"
#include "conn.h"
#include "expiry.h"
#include "handover.h"
#include "log.h"
#include "share.h"
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include "apr_portable.h"

#define LISTENER_TOKEN (UINT64_C(1) << 61)
#define ACCEPT_MANY    16        /* per report, while this child has not more than others */
#define ACCEPT_FEW      1
#define ACCEPT_CROWD 1024        /* ... of a crowd, to be served later                */
#define ACCEPT_LAST    64        /* per socket, when leaving                              */
#define ACCEPT_REST 65536        /* ... when all do: what any queue may hold               */
#define SHED_MS       100        /* pause after running out of descriptors or memory     */
#define ROOM_MS        10        /* between two times of closing idle ones near the limit   */
#define FAIR_MARGIN    16
#define CREDIT         32
#define ASK             4        /* connections between two looks at the others' share      */
#define QUEUE_UP        8        /* connections between two turns at the queue's end     */
#define REMIND         64        /* connections beyond MaxConnectionsPerChild until the
                                    parent is told again                                */

static int bound_to_one(const apr_sockaddr_t *sa)
{
    if (sa->family == APR_INET)
        return sa->sa.sin.sin_addr.s_addr != htonl(INADDR_ANY);
#if APR_HAVE_IPV6
    if (sa->family == APR_INET6)
        return !IN6_IS_ADDR_UNSPECIFIED(&sa->sa.sin6.sin6_addr);
#endif
    return 0;
}

apr_status_t mpmx_listeners_init(mpmx_child *child, ap_listen_rec *bucket, apr_pool_t *pool)
{
    ap_listen_rec *rec;
    int i = 1, receiver = mpmx_handover_receiver();

    for (rec = bucket; rec; rec = rec->next)
        i++;
    child->listener = apr_pcalloc(pool, (apr_size_t)i * sizeof *child->listener);
    child->listeners = 0;
    pthread_mutex_init(&child->listen_lock, NULL);
    atomic_store(&child->paused, MPMX_PAUSE_START);
    for (rec = bucket; rec; rec = rec->next) {
        mpmx_listener *l = &child->listener[child->listeners];
        mpmx_gate_mode mode = mpmx_accept_filter_gate(child->server, rec->protocol);

        if (apr_os_sock_get(&l->fd, rec->sd) != APR_SUCCESS || l->fd < 0)
            continue;
        l->rec = rec;
        l->gated = mode != MPMX_GATE_OFF;
        l->tls = mode == MPMX_GATE_RECORDS;
        l->specific = bound_to_one(rec->bind_addr);
        mpmx_place_set(&l->place, (const struct sockaddr *)&rec->bind_addr->sa, mode, rec->protocol);
        /* Core makes a sole listener blocking; siblings share the flag, so no thread
         * may ever rely on it, but a lost race must not block one. */
        if (fcntl(l->fd, F_SETFL, fcntl(l->fd, F_GETFL) | O_NONBLOCK) < 0)
            return errno;
        if (l->gated)
            mpmx_ack_with_answer(l->fd);
        child->listeners++;
    }
    child->ports = child->listeners;
    if (receiver >= 0)
        mpmx_handover_listen(&child->listener[child->listeners++], receiver);
    return APR_SUCCESS;
}

uint64_t mpmx_listener_token(mpmx_child *child, const mpmx_listener *l)
{
    return LISTENER_TOKEN | (uint64_t)(l - child->listener);
}

mpmx_listener *mpmx_listener_of(mpmx_child *child, uint64_t token)
{
    if (!(token & LISTENER_TOKEN))
        return NULL;
    return &child->listener[token & ~LISTENER_TOKEN];
}

/* --- pausing -------------------------------------------------------------------- */

static void shed(mpmx_child *child, int error);

/* For mod_status and the other children. A pause of some milliseconds is not worth a word. */
static void publish(mpmx_child *child)
{
    process_score *ps = child->slot_lost ? NULL : ap_get_scoreboard_process(child->slot);

    if (ps)
        ps->not_accepting = (atomic_load(&child->paused) & ~(MPMX_PAUSE_SHARE | MPMX_PAUSE_ASIDE)) != 0;
}

void mpmx_listeners_pause(mpmx_child *child, int reason)
{
    int i;

    pthread_mutex_lock(&child->listen_lock);
    if (!atomic_fetch_or(&child->paused, reason))
        for (i = 0; i < child->listeners; i++)
            mpmx_poller_unlisten(child->poller, &child->listener[i].poll, child->listener[i].fd);
    publish(child);
    pthread_mutex_unlock(&child->listen_lock);
}

/* Nonzero: it cannot be listened to for now (an errno). With the lock held. */
static apr_status_t listen_to(mpmx_child *child, mpmx_listener *l)
{
    apr_status_t rv = mpmx_poller_listen(child->poller, &l->poll, l->fd,
                                         mpmx_listener_token(child, l));

    if (mpmx_accept_judge(rv) != MPMX_ACCEPT_CLOSED)
        return rv;
    if (l->rec) {                        /* not the hand-over's (handover.h) */
        atomic_store(&child->deaf, 1);
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, child->server,
                     "cannot accept on %pI in this child", l->rec->bind_addr);
    }
    return APR_SUCCESS;                  /* and never will */
}

void mpmx_listeners_go_on(mpmx_child *child, int reason)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    pthread_mutex_lock(&child->listen_lock);
    if ((atomic_load(&child->paused) & reason)
        && (atomic_fetch_and(&child->paused, ~reason) & ~reason) == 0)
        for (i = 0; i < child->listeners && rv == APR_SUCCESS; i++)
            rv = listen_to(child, &child->listener[i]);
    publish(child);
    pthread_mutex_unlock(&child->listen_lock);
    if (rv != APR_SUCCESS)
        shed(child, rv);
}

/* AsyncRequestWorkerFactor: connections with something in progress against threads and
 * idle ones. Those that wait for a head (a first or a later one) or linger do not count:
 * else idle clients could keep others out, or would have to be thrown out for them. */
static int room(mpmx_child *child, int slack)
{
    mpmx_crew *crew = &child->crew;
    int held = mpmx_crew_sum(crew, MPMX_COUNT_CONNECTIONS) - mpmx_crew_sum(crew, MPMX_COUNT_LINGER)
             - mpmx_crew_sum(crew, MPMX_COUNT_GATED) - mpmx_crew_sum(crew, MPMX_COUNT_KEEPALIVE);
    int idle = mpmx_crew_idle(crew) - slack;

    if (idle < 0)
        idle = 0;
    return crew->size + (int)((int64_t)idle * mpmx.conf.worker_factor16 / 16) - held;
}

void mpmx_listeners_check_room(mpmx_worker *w)
{
    mpmx_child *child = mpmx_child_of(w);

    if ((atomic_load(&child->paused) & MPMX_PAUSE_FULL)
        && (mpmx_this_policy.async ? room(child, 1) : mpmx_crew_idle(&child->crew)) > 0)
        mpmx_listeners_go_on(child, MPMX_PAUSE_FULL);
}

/* Summing up the crew for each connection would cost more than the accept: what was
 * found free is given out in portions. Closed connections only make it too little. */
static int have_room(mpmx_child *child)
{
    int free_now;

    /* Where a thread stays with its connection, the one that accepts goes on to serve, and
     * with none left nobody waits for reports: the kernel turns to the other children. */
    if (!mpmx_this_policy.async)
        return 1;

    if (atomic_fetch_sub_explicit(&child->credit, 1, memory_order_relaxed) > 0)
        return 1;
    free_now = room(child, 0);
    atomic_store_explicit(&child->credit, free_now < CREDIT ? free_now - 1 : CREDIT,
                          memory_order_relaxed);
    return free_now > 0;
}

/* Out of descriptors, memory or what else the kernel may be short of: the child lives on and tries
 * again after a pause. Connections that have waited the longest give what they have to new ones. */
static void shed(mpmx_child *child, int error)
{
    int64_t now = mpmx_clock_coarse_ms();

    atomic_store(&child->shed_until, now + SHED_MS);
    mpmx_listeners_pause(child, MPMX_PAUSE_SHED);
    mpmx_child_say(child, MPMX_SAY_FULL);
    mpmx_expiry_idlest(child);
    if (mpmx_may_log(&child->shed_logged, now))
        ap_log_error(APLOG_MARK, APLOG_ERR, error, child->server, APLOGNO(02179)
                     "cannot accept connections for lack of resources (%d open); trying again "
                     "every %d ms. Consider raising %s or lowering MaxRequestWorkers",
                     mpmx_crew_sum(&child->crew, MPMX_COUNT_CONNECTIONS), SHED_MS,
                     error == ENOSPC ? "the limit of watched descriptors (fs.epoll.max_user_watches)"
                                     : "the limit of open files (ulimit -n)");
    mpmx_child_awake_at(child, now + SHED_MS);
}

/* accept(2) gives the lowest number that is free: a high one says that handlers will soon find no
 * descriptor for the files they serve. While connections that wait can be closed for it, everybody is
 * let in. */
void mpmx_listeners_near_limit(mpmx_child *child, int fd)
{
    int64_t now = mpmx_clock_coarse_ms(), last = atomic_load(&child->room_made);
    int n;

    if (fd >= child->fd_high + child->fd_spare / 2) {
        shed(child, EMFILE);
        return;
    }
    if (now - last < ROOM_MS || !atomic_compare_exchange_strong(&child->room_made, &last, now))
        return;                          /* those that were told to go are about to */
    if (!(n = mpmx_expiry_idlest(child)))
        shed(child, EMFILE);
    else if (mpmx_may_log(&child->room_logged, now))
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, child->server,
                     "%d connections are open, which is near the limit of open files: closing those "
                     "that are idle, or have not sent a whole request head, the longest (%d now) so "
                     "that new ones can come. Consider raising the limit (ulimit -n)",
                     mpmx_crew_sum(&child->crew, MPMX_COUNT_CONNECTIONS), n);
}

void mpmx_listeners_try_again(mpmx_child *child)
{
    int fd = fcntl(child->bell[0], F_DUPFD_CLOEXEC, 0);

    if (fd >= 0)
        close(fd);
    if (fd >= 0 && fd < child->fd_high) {
        mpmx_listeners_go_on(child, MPMX_PAUSE_SHED);
        return;
    }
    mpmx_expiry_idlest(child);
    atomic_store(&child->shed_until, mpmx_clock_coarse_ms() + SHED_MS);
}

/* --- accepting -------------------------------------------------------------------- */

/* Accepts one connection, which is to be looked at now, or waits for its turn. While `accepting` is
 * raised, the listening sockets stay open, and a draining child does not take itself for empty. */
static mpmx_conn *accept_conn(mpmx_worker *w, mpmx_listener *l, int now)
{
    mpmx_child *child = mpmx_child_of(w);
    mpmx_conn *conn = NULL;
    int error = EAGAIN;

    atomic_fetch_add(&child->accepting, 1);
    if (!atomic_load(&child->paused)) {
        conn = now ? mpmx_socket_take_made(w, l) : mpmx_socket_take(w, l);
        error = errno;
        if (conn && conn->fd >= child->fd_high)
            mpmx_listeners_near_limit(child, conn->fd);
        else if (!conn && mpmx_accept_judge(error) == MPMX_ACCEPT_NONE)
            mpmx_aside_emptied(child);
    }
    atomic_fetch_sub(&child->accepting, 1);
    errno = error;
    return conn;
}

/* How many to take: whoever has more than its share leaves some to the others. */
static int budget(mpmx_child *child)
{
    int share = atomic_load_explicit(&child->fair_share, memory_order_relaxed);

    /* One may be served to its end, and others have waited for this thread since. */
    if (!mpmx_this_policy.async)
        return ACCEPT_FEW;
    if (share && mpmx_crew_sum(&child->crew, MPMX_COUNT_CONNECTIONS) > share + FAIR_MARGIN)
        return ACCEPT_FEW;
    return ACCEPT_MANY;
}

/* Closes the sockets, after pausing for good. */
static void close_all(mpmx_child *child)
{
    int i, patience = 100000;

    /* Pausing keeps others from beginning an accept; those in one are about to leave, unless
     * somebody has made the socket blocking: then it stays open, which harms nobody. */
    while (atomic_load(&child->accepting)) {
        if (!patience--)
            return;
        sched_yield();
    }
    pthread_mutex_lock(&child->listen_lock);
    for (i = 0; i < child->listeners; i++) {
        ap_listen_rec *rec = child->listener[i].rec;

        if (rec && rec->active) {
            rec->active = 0;
            apr_socket_close(rec->sd);
        }
    }
    child->listeners = 0;
    pthread_mutex_unlock(&child->listen_lock);
}

static void start_conn(mpmx_worker *w, mpmx_work *work)
{
    mpmx_conn_start(w, (mpmx_conn *)((char *)work - offsetof(mpmx_conn, work)));
}

/* When the whole server ends nobody else is there for the rest. */
static int last_of(mpmx_child *child)
{
    return mpmx_child_phase(child) == MPMX_PHASE_ENDING ? ACCEPT_REST : ACCEPT_LAST;
}

/* The kernel may have told this child alone of a connection (EPOLLEXCLUSIVE): whoever leaves
 * takes with it what has arrived. */
static void accept_last(mpmx_worker *w, mpmx_work *work)
{
    mpmx_child *child = mpmx_child_of(w);
    int i, n;

    (void)work;
    atomic_store(&child->last_accept_waits, 0);
    mpmx_listeners_pause(child, MPMX_PAUSE_STOP);
    for (i = child->ports; i < child->listeners; i++)
        mpmx_handover_leave(w, &child->listener[i]);
    for (i = 0; i < child->ports && mpmx_child_phase(child) < MPMX_PHASE_STOPPING; i++)
        for (n = 0; n < last_of(child); n++) {
            mpmx_conn *conn = mpmx_socket_take(w, &child->listener[i]);

            if (!conn && (errno == ENOMEM || mpmx_accept_judge(errno) == MPMX_ACCEPT_RETRY))
                continue;                /* that one is gone, others may be there */
            if (!conn)
                break;
            conn->work.run = start_conn;
            mpmx_crew_submit(&child->crew, &conn->work);
        }
    atomic_fetch_sub(&child->accepting, 1);
    close_all(child);
    mpmx_child_kick(child);
}

void mpmx_listeners_leave(mpmx_child *child)
{
    if (!atomic_load(&child->crew.alive)) {      /* nobody has been told of a connection */
        mpmx_listeners_pause(child, MPMX_PAUSE_STOP);
        close_all(child);
        return;
    }
    atomic_fetch_add(&child->accepting, 1);      /* not done before that is */
    child->last_accept.run = accept_last;
    atomic_store(&child->last_accept_waits, 1);
    mpmx_crew_submit(&child->crew, &child->last_accept);
}

/* The kernel wakes the process that has been waiting on the socket the longest, which
 * stays the same one for ever. Queueing up anew lets the others have their share. */
static void queue_up(mpmx_child *child, mpmx_listener *l)
{
    apr_status_t rv = APR_SUCCESS;

    if (pthread_mutex_trylock(&child->listen_lock))
        return;
    if (!atomic_load(&child->paused)) {
        mpmx_poller_unlisten(child->poller, &l->poll, l->fd);
        rv = listen_to(child, l);
    }
    pthread_mutex_unlock(&child->listen_lock);
    if (rv != APR_SUCCESS)
        shed(child, rv);
}

void mpmx_listeners_look(mpmx_child *child)
{
    int i;

    for (i = 0; i < child->listeners; i++)
        queue_up(child, &child->listener[i]);
}

static void count_accepted(mpmx_child *child, mpmx_listener *l)
{
    unsigned n = atomic_fetch_add_explicit(&child->accepted, 1, memory_order_relaxed) + 1;

    mpmx_aside_count(child);
    if (n % ASK == 0 && !mpmx_share_leave(child, l)) {
        mpmx_aside_consider(child);
        if (n % QUEUE_UP == 0 && !mpmx_this_policy.single)
            queue_up(child, l);
    }
    /* Not the end yet: it may be the only one that accepts. The parent sees to another. */
    if (child->max_accepted > 0 && n >= (unsigned)child->max_accepted
        && (n - (unsigned)child->max_accepted) % REMIND == 0)
        mpmx_child_worn(child);
}

static void pause_when_full(mpmx_worker *w)
{
    mpmx_child *child = mpmx_child_of(w);

    mpmx_listeners_pause(child, MPMX_PAUSE_FULL);
    mpmx_child_say(child, MPMX_SAY_FULL);
    mpmx_listeners_check_room(w);        /* room made just before the pause */
}

/* A socket that cannot be accepted on: it would be reported for ever. */
static void forget(mpmx_child *child, mpmx_listener *l)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, errno, child->server,
                 "cannot accept on %pI any more in this child", l->rec->bind_addr);
    atomic_store(&child->deaf, 1);
    pthread_mutex_lock(&child->listen_lock);
    mpmx_poller_unlisten(child->poller, &l->poll, l->fd);
    pthread_mutex_unlock(&child->listen_lock);
}

/* Have so many come together that the queue may be full before they are served one after the other? Whom
 * this child lets in, it must serve: so only while half of its workers have nothing to do. Where
 * they block, the queue is common to all children, and there are those who come free first. */
static int is_crowded(mpmx_child *child, const mpmx_listener *l)
{
    return mpmx_accept_queue_is_long(l->fd) && mpmx_crew_idle(&child->crew) > child->crew.size / 2;
}

/* Asked for now and then only: if there have been many since there were none. */
static int seems_crowded(mpmx_child *child, mpmx_listener *l)
{
    if (atomic_load_explicit(&l->streak, memory_order_relaxed) < ACCEPT_MANY)
        return 0;
    atomic_store_explicit(&l->streak, 0, memory_order_relaxed);
    return l->gated && mpmx_this_policy.async && is_crowded(child, l);
}

/* Nonzero: there is no more for now. */
static int none_left(mpmx_child *child, mpmx_listener *l, int error)
{
    atomic_store_explicit(&l->streak, 0, memory_order_relaxed);
    switch (mpmx_accept_judge(error)) {
    case MPMX_ACCEPT_RETRY:
        return 0;
    case MPMX_ACCEPT_SHED:
        shed(child, error);
        break;
    case MPMX_ACCEPT_CLOSED:
        forget(child, l);
        break;
    default:
        break;
    }
    return 1;
}

void mpmx_listener_ready(mpmx_worker *w, mpmx_listener *l)
{
    mpmx_child *child = mpmx_child_of(w);
    int left, crowd;

    if (l->ready) {
        l->ready(w, l);
        return;
    }
    crowd = seems_crowded(child, l);
    for (left = crowd ? ACCEPT_CROWD : budget(child); left > 0; left--) {
        mpmx_conn *conn = accept_conn(w, l, !crowd);

        if (!conn && none_left(child, l, errno))
            return;
        if (!conn)
            continue;
        atomic_fetch_add_explicit(&l->streak, 1, memory_order_relaxed);
        count_accepted(child, l);
        /* After the accept: the kernel may have told nobody else of this one. */
        if (!have_room(child))
            pause_when_full(w);
        if (crowd)
            mpmx_conn_await_head(w, conn);
        else
            mpmx_conn_start(w, conn);
        if (crowd && left % ACCEPT_MANY == 0 && !is_crowded(child, l))
            return;
    }
}
