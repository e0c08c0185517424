/* See recall.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE              /* ppoll(2) */
#endif
#include "recall.h"
#include "clock.h"
#include "log.h"
#include "scoreboard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include "apr_portable.h"

#define RECALL_SIGNAL  SIGUSR1   /* children get no other use of it (contract 4.6)        */
#define IDLE_MS        1000      /* every client has that long                            */
#define RECALL_MS        10      /* reports have waited that long; between two calls      */
#define BUSY_MS         100
#define WAY_MS         1000      /* who was called and is not back by then is held up         */

/* What `idle` of a worker says: since when it waits (coarse ms, above 0), or one of these. One
 * word, so that who calls somebody back for having waited long cannot meet his next wait. */
#define NOT    INT64_C(0)
#define CALLED INT64_C(-1)

static sigset_t waiting_mask;    /* all but RECALL_SIGNAL; read-only after init           */

static void nothing(int sig)
{
    (void)sig;
}

void mpmx_recall_init(void)
{
    struct sigaction action = { .sa_handler = nothing };

    sigemptyset(&action.sa_mask);
    sigaction(RECALL_SIGNAL, &action, NULL);
    sigfillset(&waiting_mask);
    sigdelset(&waiting_mask, RECALL_SIGNAL);
}

static struct timespec span(int64_t us)
{
    struct timespec ts = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };

    return ts;
}

apr_status_t mpmx_recall_wait(mpmx_worker *w, int fd, apr_interval_time_t timeout_us)
{
    struct pollfd pfd = { fd, POLLIN, 0 };
    struct timespec ts = span(timeout_us > 0 ? timeout_us : 0);
    int64_t since = mpmx_clock_coarse_ms(), was, left;
    mpmx_worker *self = w;
    int n, error;

    if (since < 1)
        since = 1;
    atomic_store(&w->idle, since);
    while ((n = ppoll(&pfd, 1, timeout_us < 0 ? NULL : &ts, &waiting_mask)) < 0
           && errno == EINTR && atomic_load(&w->idle) == since) {
        /* The signal was for an earlier wait: what is left of the time. */
        left = timeout_us - (mpmx_clock_coarse_ms() - since) * 1000;
        ts = span(left > 0 ? left : 0);
    }
    error = errno;
    was = atomic_exchange(&w->idle, NOT);
    /* ppoll(2) looks for input first and for signals afterwards: what came in between wins. */
    if (n > 0 || (was == CALLED && poll(&pfd, 1, 0) > 0)) {
        if (was == CALLED)               /* not on its way then */
            atomic_compare_exchange_strong(&w->child->called, &self, NULL);
        return APR_SUCCESS;
    }
    return n == 0 || was == CALLED ? APR_TIMEUP : error;
}

/* --- the housekeeper's side ---------------------------------------------------------------- */

/* NULL if none waits; *since: since when. */
static mpmx_worker *longest_idle(mpmx_crew *crew, int64_t *since)
{
    mpmx_worker *longest = NULL;
    int i;

    for (i = 0; i < crew->size; i++) {
        int64_t idle = atomic_load(&crew->worker[i].idle);

        if (idle > 0 && (!longest || idle < *since)) {
            longest = &crew->worker[i];
            *since = idle;
        }
    }
    return longest;
}

/* New connections are for children that have threads for them. Only if none has, those that
 * wait at our sockets are reason enough to call somebody back. */
static void leave_to_others(mpmx_child *child, int64_t now, int64_t *until)
{
    if (now >= child->others_at) {
        child->others_at = now + BUSY_MS;
        if (mpmx_scoreboard_others_idle(child))
            mpmx_listeners_pause(child, MPMX_PAUSE_FULL);
        else
            mpmx_listeners_go_on(child, MPMX_PAUSE_FULL);
        if (mpmx_crew_idle(&child->crew) > 0)    /* meanwhile; he has seen no pause */
            mpmx_listeners_go_on(child, MPMX_PAUSE_FULL);
    }
    if (child->others_at < *until)
        *until = child->others_at;
}

int mpmx_recall_watch(mpmx_child *child, int64_t now, int64_t *until)
{
    mpmx_crew *crew = &child->crew;

    if (!atomic_load(&crew->all_taken))
        return 0;
    if (mpmx_crew_idle(crew) > 0) {
        /* Whoever is the last to be taken from now on says so again, unless it was before. */
        atomic_store(&crew->all_taken, 0);
        if (mpmx_crew_idle(crew) > 0) {
            mpmx_listeners_go_on(child, MPMX_PAUSE_FULL);
            child->reports_since = child->others_at = 0;
            return 0;
        }
        atomic_store(&crew->all_taken, 1);
    }
    leave_to_others(child, now, until);
    if (now >= child->recall_at) {
        /* Work is nothing that the poller knows of: a head that was fetched together with
         * the one that is served, an expired deadline. Leaving the ports can wait. */
        if (atomic_load(&crew->work_count) <= atomic_load(&child->last_accept_waits))
            return mpmx_poller_descriptor(crew->poller) >= 0;
        mpmx_recall_reports_wait(child, now);
    }
    if (child->recall_at < *until)
        *until = child->recall_at;
    return 0;
}

/* On a busy machine it may take a while until who was called runs at all, and then it has a
 * connection to end and to come to the poller. What waits is still there meanwhile, and no reason
 * to call a second one. Its serial makes a step when it rests no more, one at the end of what it served, and
 * one at its next report; from there it is a moment to the accept. If that is no new connection, what waits
 * has to wait for another one. */
static int is_on_its_way(mpmx_child *child, int64_t now)
{
    mpmx_worker *w = atomic_load(&child->called);
    int64_t ago = now - child->called_at;
    unsigned steps;

    if (!w || ago >= WAY_MS)
        return 0;
    steps = atomic_load(&w->serial) - child->called_serial;
    if (steps >= 4 || (steps == 3 && (ago >= BUSY_MS || atomic_load(&child->accepted) != child->called_accepted)))
        atomic_store(&child->called, NULL);
    return 1;
}

static void call_back(mpmx_child *child, mpmx_worker *w, int64_t since, int64_t now)
{
    apr_os_thread_t *thread;

    child->called_serial = atomic_load(&w->serial);
    child->called_accepted = atomic_load(&child->accepted);
    child->called_at = now;
    atomic_store(&child->called, w);
    if (!atomic_compare_exchange_strong(&w->idle, &since, CALLED))
        atomic_store(&child->called, NULL);
    else if (apr_os_thread_get(&thread, w->thread) == APR_SUCCESS)
        pthread_kill(*thread, RECALL_SIGNAL);
}

void mpmx_recall_reports_wait(mpmx_child *child, int64_t now)
{
    int64_t since = now;
    mpmx_worker *w = longest_idle(&child->crew, &since);

    child->recall_at = now + RECALL_MS;
    if (!child->reports_since || now - child->reports_since > 4 * RECALL_MS) {
        child->reports_since = now;      /* a thread may be on its way: once more */
        return;
    }
    if (!w || now - since < IDLE_MS) {   /* all are at work: look again from time to time */
        child->recall_at = w ? since + IDLE_MS : now + BUSY_MS;
        child->reports_since = child->recall_at;
        return;
    }
    child->reports_since = now;
    if (!is_on_its_way(child, now))
        call_back(child, w, since, now);
}
