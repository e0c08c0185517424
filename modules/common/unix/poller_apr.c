/* poller.h on any Unix: one APR pollset.
 *
 * What APR offers is less than what is wanted here, and this file makes up for it:
 *
 *   - Only one thread may be in apr_pollset_poll(), which hands out an array that it
 *     uses again: the one that holds `leader`.  The others wait for that mutex.
 *   - Pollsets are level-triggered and know no one-shot: whoever gives a report out
 *     takes the descriptor out of the pollset, before another thread can poll.
 *   - apr_pollset_wakeup() is not reported when something else is ready as well, and
 *     several calls are reported as one: wake-ups are counted in `wakes`.
 *   - A report names the descriptor's record only (client_data), not the arming it is
 *     about.  Its connection may have timed out since, and be armed anew for another
 *     purpose, or its descriptor be another client's by now.  Polls are numbered, and
 *     a record keeps the number of the latest poll that can have seen its previous
 *     arming; a report of that poll, or an earlier one, is dropped.  Nothing is lost
 *     by that: what is still ready is reported by the next poll, being level-triggered.
 *
 * APR_POLLSET_THREADSAFE: apr_pollset_add() and _remove() may be called while another
 * thread polls.  The methods that can do it (epoll, kqueue, event ports, z/OS asio) all
 * include an added descriptor at once; the documentation also allows that the poll
 * returns with APR_EINTR, and then it is polled again.  poll(2) and select(2) cannot do
 * it: a system that has nothing else is refused.
 */
#include "poller.h"
#include "log.h"

#include <pthread.h>
#include <stdatomic.h>
#include "apr_allocator.h"
#include "apr_poll.h"
#include "apr_portable.h"
#include "apr_version.h"
#include "http_main.h"

#define FETCH 64                 /* reports of one poll; what is not asked for is kept */
#define NEEDED (APR_POLLSET_THREADSAFE | APR_POLLSET_NOCOPY | APR_POLLSET_WAKEABLE)

/* What the system knows about one descriptor. An entry gets one when it is first armed,
 * and keeps it: entries are found by descriptor, and used again for the next connection
 * with the same number.  Hence reports may point to a record however old they are. */
typedef struct record {
    pthread_mutex_t lock;        /* owner against leader; all of the following         */
    apr_pollfd_t pfd;            /* NOCOPY: must stay where it is                      */
    uint64_t token;
    uint64_t ended;              /* number of the last poll that may have seen the
                                    previous arming                                    */
    int fd;
    int armed;                   /* in the pollset                                     */
    int stays;                   /* a listening socket: armed until unlisten           */
} record;

struct mpmx_poller {
    apr_pollset_t *set;
    int threads;
    _Atomic int wakes;           /* wake-ups not yet reported                          */
    _Atomic int shut;
    _Atomic int polling;         /* AWAKE, ASLEEP or RUNG                              */
    _Atomic uint64_t polls;      /* number of the present poll, or of the last one     */
    pthread_mutex_t leader;      /* who polls, and the following                       */
    const apr_pollfd_t *report;  /* reports of the last poll, APR's array              */
    apr_int32_t reports, given;  /* how many there are, and how many were dealt with   */
    pthread_mutex_t alloc_lock;
    apr_pool_t *pool;            /* for records                                        */
};

enum { AWAKE, ASLEEP, RUNG };

/* A pool that nobody else allocates from, so that it can do without its parent's lock. */
static apr_status_t own_pool(apr_pool_t **pool, apr_pool_t *parent)
{
    apr_allocator_t *allocator;
    apr_status_t rv = apr_allocator_create(&allocator);

    if (rv != APR_SUCCESS)
        return rv;
    rv = apr_pool_create_ex(pool, parent, NULL, allocator);
    if (rv != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return rv;
    }
    apr_allocator_owner_set(allocator, *pool);
    apr_pool_tag(*pool, "mpmx_poller");
    return APR_SUCCESS;
}

apr_status_t mpmx_poller_create(mpmx_poller **poller, apr_pool_t *pool, int threads)
{
    mpmx_poller *p = apr_pcalloc(pool, sizeof *p);
    apr_pool_t *pset;
    apr_status_t rv;

    /* Two pools: kqueue's and event ports' add allocates, under a lock of the pollset. */
    if ((rv = own_pool(&p->pool, pool)) != APR_SUCCESS
        || (rv = own_pool(&pset, pool)) != APR_SUCCESS)
        return rv;
    rv = apr_pollset_create(&p->set, FETCH, pset, NEEDED);
    if (rv != APR_SUCCESS && !APR_STATUS_IS_ENOTIMPL(rv))
        return rv;                       /* a shortage, most likely */
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, rv, ap_server_conf,
                     "APR %s has no pollset that threads can share and wake up, its method here is "
                     "'%s'; it has to be an APR with threads and with epoll, kqueue or event ports",
                     apr_version_string(), apr_poll_method_defname());
        return rv;
    }
    pthread_mutex_init(&p->leader, NULL);
    pthread_mutex_init(&p->alloc_lock, NULL);
    p->threads = threads;
    *poller = p;
    return APR_SUCCESS;
}

/* --- descriptors ------------------------------------------------------------------ */

static record *record_of(mpmx_poller *p, mpmx_poll_entry *entry)
{
    record *rec = entry->impl;

    if (!rec) {
        pthread_mutex_lock(&p->alloc_lock);
        rec = apr_pcalloc(p->pool, sizeof *rec);
        pthread_mutex_init(&rec->lock, NULL);
        rec->fd = -1;
        /* Registers no cleanup: it never closes the descriptor. */
        apr_os_sock_put(&rec->pfd.desc.s, &rec->fd, p->pool);
        pthread_mutex_unlock(&p->alloc_lock);
        rec->pfd.p = p->pool;
        rec->pfd.desc_type = APR_POLL_SOCKET;
        rec->pfd.client_data = rec;
        entry->impl = rec;
    }
    return rec;
}

/* Nothing of what has been polled so far counts any more. To be called when the pollset
 * has been told: a poll that begins later than that sees what is true then. */
static void outdate(mpmx_poller *p, record *rec)
{
    rec->ended = atomic_load(&p->polls);
}

static void take_out(mpmx_poller *p, record *rec)
{
    apr_pollset_remove(p->set, &rec->pfd);
    rec->armed = 0;
    outdate(p, rec);
}

static apr_status_t put_in(mpmx_poller *p, mpmx_poll_entry *entry, int fd, uint64_t token,
                           apr_int16_t events, int stays)
{
    record *rec = record_of(p, entry);
    apr_status_t rv = APR_SUCCESS;

    /* From apr_pollset_add() on it may be reported, claimed and armed again by another
     * thread; the lock makes that thread wait until we have let go of the record. */
    pthread_mutex_lock(&rec->lock);
    if (rec->armed && (rec->pfd.reqevents != events || rec->fd != fd))
        take_out(p, rec);
    rec->token = token;
    rec->stays = stays;
    if (rec->armed) {
        outdate(p, rec);         /* it had timed out, and waits for the same again */
    }
    else {
        if (rec->fd != fd) {
            rec->fd = fd;
            apr_os_sock_put(&rec->pfd.desc.s, &rec->fd, p->pool);
        }
        rec->pfd.reqevents = events;
        rv = apr_pollset_add(p->set, &rec->pfd);
        rec->armed = rv == APR_SUCCESS;
    }
    pthread_mutex_unlock(&rec->lock);
    return rv;
}

apr_status_t mpmx_poller_arm(mpmx_poller *p, mpmx_poll_entry *entry, int fd,
                             uint64_t token, unsigned interest)
{
    apr_int16_t events = 0;

    if (interest & MPMX_POLL_READ)
        events |= APR_POLLIN;
    if (interest & MPMX_POLL_WRITE)
        events |= APR_POLLOUT;
    return put_in(p, entry, fd, token, events, 0);
}

apr_status_t mpmx_poller_listen(mpmx_poller *p, mpmx_poll_entry *entry, int fd,
                                uint64_t token)
{
    return put_in(p, entry, fd, token, APR_POLLIN, 1);
}

void mpmx_poller_release(mpmx_poller *p, mpmx_poll_entry *entry)
{
    record *rec = entry->impl;

    if (!rec)
        return;
    pthread_mutex_lock(&rec->lock);
    if (rec->armed)
        take_out(p, rec);
    pthread_mutex_unlock(&rec->lock);
}

void mpmx_poller_forget(mpmx_poller *p, mpmx_poll_entry *entry, int fd)
{
    (void)fd;
    mpmx_poller_release(p, entry);
}

void mpmx_poller_unlisten(mpmx_poller *p, mpmx_poll_entry *entry, int fd)
{
    (void)fd;
    mpmx_poller_release(p, entry);
}

/* --- waiting ------------------------------------------------------------------------ */

/* Nonzero: *event is a wake-up. Leader. */
static int take_wake(mpmx_poller *p, mpmx_poll_event *event)
{
    if (!atomic_load(&p->shut)) {
        if (atomic_load(&p->wakes) == 0)
            return 0;
        atomic_fetch_sub(&p->wakes, 1);      /* only the leader takes */
    }
    event->token = MPMX_POLL_WAKE_TOKEN;
    event->events = 0;
    return 1;
}

/* Gives at most `max` of the fetched reports out. Leader. */
static int give(mpmx_poller *p, mpmx_poll_event *event, int max)
{
    uint64_t poll = atomic_load_explicit(&p->polls, memory_order_relaxed);
    int n = 0;

    while (n < max && p->given < p->reports) {
        const apr_pollfd_t *report = &p->report[p->given++];
        record *rec = report->client_data;

        pthread_mutex_lock(&rec->lock);
        if (rec->armed && rec->ended < poll) {
            event[n].token = rec->token;
            event[n].events = ((report->rtnevents & APR_POLLIN) ? MPMX_POLL_READ : 0)
                            | ((report->rtnevents & APR_POLLOUT) ? MPMX_POLL_WRITE : 0)
                            | ((report->rtnevents & (APR_POLLERR | APR_POLLHUP | APR_POLLNVAL))
                               ? MPMX_POLL_HANGUP : 0);
            if (!rec->stays)
                take_out(p, rec);
            n++;
        }
        pthread_mutex_unlock(&rec->lock);
    }
    return n;
}

/* Sleeps until there is something to report. Leader; none of the reports is left. */
static void fetch(mpmx_poller *p)
{
    apr_interval_time_t timeout = -1;
    apr_int32_t n = 0;

    p->reports = p->given = 0;
    /* Sequentially consistent with ring(): we announce that we sleep, then look for
     * wake-ups; it adds one, then looks if we sleep. */
    atomic_store(&p->polling, ASLEEP);
    if (atomic_load(&p->wakes) || atomic_load(&p->shut))
        timeout = 0;             /* it may have rung: APR's pipe has to be emptied */
    atomic_fetch_add(&p->polls, 1);
    if (apr_pollset_poll(p->set, timeout, &n, &p->report) == APR_SUCCESS)
        p->reports = n;
    atomic_store(&p->polling, AWAKE);
}

int mpmx_poller_wait(mpmx_poller *p, mpmx_poll_event *events, int max)
{
    int n;

    pthread_mutex_lock(&p->leader);
    n = take_wake(p, events);
    if (!n)
        n = give(p, events, max);
    if (!n) {
        fetch(p);
        n = give(p, events, max);
        if (!n)
            n = take_wake(p, events);
    }
    pthread_mutex_unlock(&p->leader);
    return n;
}

int mpmx_poller_descriptor(mpmx_poller *p)
{
    (void)p;
    return -1;                           /* APR shows no pollset's descriptor */
}

/* At most one byte per poll goes into APR's pipe: a full one would block, and some
 * versions of APR block when they empty one that holds a multiple of 512 bytes. */
static void ring(mpmx_poller *p)
{
    int asleep = ASLEEP;

    if (atomic_compare_exchange_strong(&p->polling, &asleep, RUNG))
        apr_pollset_wakeup(p->set);
}

void mpmx_poller_wake(mpmx_poller *p)
{
    /* More than can wait need not be counted. */
    if (atomic_load(&p->wakes) < p->threads)
        atomic_fetch_add(&p->wakes, 1);
    ring(p);
}

void mpmx_poller_shut(mpmx_poller *p)
{
    atomic_store(&p->shut, 1);
    ring(p);
}
