/* See housekeeper.h.
 *
 * It sleeps in ppoll(2) until somebody rings the bell, the parent says something or
 * ends, a signal comes, or the next deadline is due; while a worker serves, it wakes
 * up every one to four milliseconds for the crew's tick.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "housekeeper.h"
#include "aside.h"
#include "clock.h"
#include "compat.h"
#include "cores.h"
#include "linger.h"
#include "expiry.h"
#include "handover.h"
#include "hibernate.h"
#include "log.h"
#include "recall.h"
#include "scoreboard.h"
#include "share.h"
#include "suspend.h"
#include "terminal.h"
#include "threads.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <sys/socket.h>
#include "mpm_common.h"

#define PUBLISH_MS         50
#define STOP_GRACE_MS    2000    /* what a handler gets to notice that its socket is shut */
#define ORPHAN_GRACE_MS  2000    /* to finish requests after the parent's death         */
#define ENDING_MS         200    /* between two looks for idle ones at a graceful stop */
#define OUTDATED_MS     30000    /* an old generation that nobody tells to drain        */

/* --- the bell ----------------------------------------------------------------------- */

void mpmx_child_kick(mpmx_child *child)
{
    if (!atomic_exchange(&child->rung, 1))
        while (write(child->bell[1], "", 1) < 0 && errno == EINTR)
            ;
}

void mpmx_child_awake_at(mpmx_child *child, int64_t when)
{
    if (when < atomic_load(&child->wake_at))
        mpmx_child_kick(child);
}

void mpmx_child_say(mpmx_child *child, char word)
{
    if (child->control >= 0)
        while (send(child->control, &word, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR)
            ;
}

void mpmx_child_worn(mpmx_child *child)
{
    if (child->control >= 0)
        mpmx_child_say(child, MPMX_SAY_WORN);
    else
        mpmx_child_leave(child, MPMX_PHASE_DRAINING);
}

/* The parent is gone: let go of the ports at once, finish what is being answered if that
 * does not take long, and end. */
static void be_orphan(mpmx_child *child)
{
    if (child->orphan_until)
        return;
    child->orphan_until = mpmx_clock_coarse_ms() + ORPHAN_GRACE_MS;
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, child->server,
                 "the parent process is gone, child %" APR_PID_T_FMT " ends", getpid());
    mpmx_child_leave(child, MPMX_PHASE_ENDING);
}

static void listen_to_parent(mpmx_child *child)
{
    char word;
    ssize_t n = mpmx_handover_hear(child, &word);

    if (n == 1) {
        if (word == MPMX_SAY_DRAIN)
            mpmx_child_leave(child, MPMX_PHASE_DRAINING);
        else if (word == MPMX_SAY_END)
            mpmx_child_leave(child, MPMX_PHASE_ENDING);
        else if (word == MPMX_SAY_STOP)
            mpmx_child_leave(child, MPMX_PHASE_STOPPING);
        else if (word == MPMX_SAY_LISTEN) {
            mpmx_listeners_look(child);
            mpmx_aside_hurry(child);
        }
        else if (word == MPMX_SAY_STAY)
            child->outdated_since = 0;
        else if (word == MPMX_SAY_NO_SLOT)
            mpmx_scoreboard_lose_slot(child);
    }
    else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
        close(child->control);
        child->control = -1;
        be_orphan(child);
    }
}

static void obey_signals(mpmx_child *child)
{
    /* Set by core's handlers, which run in this thread only. */
    if (mpmx.retained->shutdown_pending) {
        mpmx.retained->shutdown_pending = 0;
        if (!mpmx.one_process && getppid() != mpmx.parent)
            be_orphan(child);            /* the kernel's word of its death */
        else
            mpmx_child_leave(child, mpmx.retained->is_ungraceful ? MPMX_PHASE_STOPPING
                                                                : MPMX_PHASE_ENDING);
    }
    if (child->orphan_until && mpmx_clock_coarse_ms() >= child->orphan_until)
        mpmx_child_leave(child, MPMX_PHASE_STOPPING);
}

/* --- phases --------------------------------------------------------------------------- */

static int is_idle(const mpmx_conn *conn, int64_t now)
{
    mpmx_conn_state state = mpmx_conn_get_state(conn);

    if (state == MPMX_CONN_LINGER)       /* at the end, two seconds must do */
        return !conn->linger_short && now >= mpmx_conn_head_due(conn) - LINGER_MS + LINGER_SHORT_MS;
    return mpmx_conn_is_idle(conn);
}

static int is_any(const mpmx_conn *conn, int64_t now)
{
    (void)now;
    return mpmx_conn_get_state(conn) != MPMX_CONN_FREE;
}

static void mark_threads(mpmx_child *child)
{
    int i;

    for (i = 0; i < child->crew.size; i++) {
        worker_score *ws = ap_get_scoreboard_worker_from_indexes(child->slot, i);

        if (ws && ws->status == SERVER_READY)
            ap_update_child_status_from_indexes(child->slot, i, SERVER_GRACEFUL, NULL);
    }
}

static void stop_accepting(mpmx_child *child)
{
    mpmx.retained->mpm_state = AP_MPMQ_STOPPING;
    child->drain_since = mpmx_clock_coarse_ms();
    mpmx_listeners_leave(child);
    if (!child->slot_lost)
        mpmx_scoreboard_quiescing(child->slot, 1);
    mark_threads(child);
    mpmx_child_say(child, MPMX_SAY_LEAVING);
}

static void draw_consequences(mpmx_child *child)
{
    mpmx_phase phase = mpmx_child_phase(child);

    if (phase == child->acted)
        return;
    if (child->acted < MPMX_PHASE_DRAINING) {
        stop_accepting(child);
        if (phase < MPMX_PHASE_STOPPING) {
            mpmx_run_child_stopping(child->pool, 1);
            child->told_stopping = 1;
        }
    }
    if (phase == MPMX_PHASE_STOPPING) {
        mpmx_drain_cut(child);
        /* Once per transition: a forced end may follow a graceful one (2.3). */
        mpmx_run_child_stopping(child->pool, 0);
        child->told_stopping = 1;
        child->drain_since = mpmx_clock_coarse_ms();
        mpmx_conn_shut_all(child);
        mpmx_expiry_all(child, is_any);
    }
    child->acted = phase;
}

/* A connection that a module has suspended and forgotten must not keep a child for ever:
 * with no timer pending, it gets Timeout to come back. */
static int only_forgotten(mpmx_child *child, int connections)
{
    return connections == mpmx_crew_sum(&child->crew, MPMX_COUNT_SUSPENDED)
        && atomic_load(&child->callbacks.first_us) == MPMX_NEVER
        && mpmx_clock_coarse_ms() - child->drain_since >= apr_time_as_msec(child->server->timeout);
}

/* Is there nothing left to do? */
static int is_done(mpmx_child *child)
{
    int connections;

    if (child->acted < MPMX_PHASE_DRAINING || atomic_load(&child->accepting))
        return 0;
    connections = mpmx_crew_sum(&child->crew, MPMX_COUNT_CONNECTIONS);
    return connections == 0 || child->acted == MPMX_PHASE_STOPPING || only_forgotten(child, connections);
}

/* --- regular duties ---------------------------------------------------------------------- */

/* Cores for this child: its share of the server's connections, at least one. */
static void set_base(mpmx_child *child)
{
    int children, mine = mpmx_crew_sum(&child->crew, MPMX_COUNT_CONNECTIONS);
    int average = mpmx_scoreboard_average(MPMX_ALL_BUCKETS, &children), here;
    int cores = mpmx_cores(), total = average * children, base;

    atomic_store(&child->fair_share, mpmx.num_buckets > 1 ? mpmx_scoreboard_average(child->bucket, &here)
                                                          : average);
    if (children == 1)
        base = cores;
    else if (total <= 0 || mine > total)
        base = (cores + children / 2) / children;
    else
        base = (cores * mine + total / 2) / total;
    atomic_store(&child->crew.base, base < 1 ? 1 : base > cores ? cores : base);
}

/* A newer generation tells this one to drain as soon as it accepts, and the parent says from time
 * to time that it still tries. If nobody ever says anything, because the new configuration loads
 * another MPM of the same name, time does. */
static void check_generation(mpmx_child *child, int64_t now)
{
    global_score *global = ap_get_scoreboard_global();

    if (!global || global->running_generation == mpmx.retained->my_generation)
        return;
    if (!child->outdated_since)
        child->outdated_since = now;
    else if (now - child->outdated_since >= OUTDATED_MS)
        mpmx_child_leave(child, MPMX_PHASE_DRAINING);
}

static void publish(mpmx_child *child, int64_t now)
{
    child->published = now;
    mpmx_scoreboard_publish(child);
    set_base(child);
}

/* What has been said to it while it started: who is told to go before he has come accepts nobody. */
static void hear_what_waits(mpmx_child *child)
{
    struct pollfd pfd = { child->control, POLLIN, 0 };

    while (child->control >= 0 && poll(&pfd, 1, 0) > 0)
        listen_to_parent(child);
}

/* Accepts, and says so, as soon as there are threads to serve and the sockets are listened to: upon
 * that word, older children leave. */
static void get_ready(mpmx_child *child)
{
    if (child->said_ready || child->acted > MPMX_PHASE_RUNNING || !atomic_load(&child->crew.alive))
        return;
    hear_what_waits(child);
    if (mpmx_child_phase(child) > MPMX_PHASE_RUNNING)
        return;                          /* the bell has been rung for it */
    mpmx_listeners_go_on(child, MPMX_PAUSE_START);
    if (atomic_load(&child->paused) & MPMX_PAUSE_SHED)
        return;
    child->said_ready = 1;
    mpmx_child_say(child, MPMX_SAY_READY);
}

static int64_t do_duties(mpmx_child *child, apr_pool_t *pruntime)
{
    int64_t now = mpmx_clock_coarse_ms(), until = now + OUTDATED_MS, next;

    check_generation(child, now);
    draw_consequences(child);
    mpmx_callbacks_submit_due(child);
    mpmx_wheel_advance(&child->wheel, now, mpmx_expiry_visit, child);
    if (atomic_load(&child->paused) & MPMX_PAUSE_SHED) {
        if (now >= atomic_load(&child->shed_until))
            mpmx_listeners_try_again(child);
        until = atomic_load(&child->shed_until);
    }
    mpmx_share_go_on(child, now, &until);
    mpmx_aside_go_on(child, now, &until);
    if (atomic_load_explicit(&child->crew.work_count, memory_order_relaxed) > 0)
        atomic_store(&child->crew.tick_wanted, 1);       /* somebody must take it */
    if (child->acted == MPMX_PHASE_ENDING) {
        /* Again and again: one that was being served may have been parked after a look. */
        mpmx_expiry_all(child, is_idle);
        until = now + ENDING_MS;
    }
    mpmx_handover_go_on(child, now, &until);
    if (child->suspended) {
        mpmx_suspend_look(child);
        until = until < now + MPMX_SUSPENDED_MS ? until : now + MPMX_SUSPENDED_MS;
    }
    mpmx_drain_report(child, now, &until);
    mpmx_threads_go_on(child, pruntime, now, &until);
    get_ready(child);
    mpmx_hibernate_give_back(child, now, &until);
    next = mpmx_wheel_next(&child->wheel);
    return next < until ? next : until;
}

/* Runs the crew's tick. Nonzero while the next one is due in a millisecond. */
static int tick(mpmx_child *child, int64_t *last_us)
{
    int64_t now = mpmx_clock_us();
    int more = 1;

    if (!atomic_load(&child->crew.tick_wanted)) {
        if (mpmx_clock_coarse_ms() - child->published >= PUBLISH_MS)
            publish(child, mpmx_clock_coarse_ms());
        return 0;
    }
    if (now - *last_us >= child->crew.interval_us * 7 / 8) {
        more = mpmx_crew_tick(&child->crew, now);
        mpmx_aside_say(child, mpmx_crew_is_calm(&child->crew));
        *last_us = mpmx_clock_us();      /* two looks at a thread are to be apart, however long this took */
    }
    now = mpmx_clock_coarse_ms();
    if (!more || now - child->published >= PUBLISH_MS)
        publish(child, now);
    return more;
}

/* What to sleep: until `due` (coarse ms), the next timed callback, or the next tick; the last one was at
 * `tick_us`. */
static struct timespec span(mpmx_child *child, int64_t due, int ticking, int64_t tick_us)
{
    int64_t us = INT64_MAX, now_us = mpmx_clock_us(), first = atomic_load(&child->callbacks.first_us);
    struct timespec ts;

    if (due != MPMX_NEVER)
        us = (due - mpmx_clock_coarse_ms()) * 1000 + 4000;   /* the coarse clock is late */
    if (first != MPMX_NEVER && first - now_us < us)
        us = first - now_us;
    if (ticking && us > child->crew.interval_us - (now_us - tick_us))
        us = child->crew.interval_us - (now_us - tick_us);
    if (us < 0)
        us = 0;
    if (us > INT64_C(3600000000))
        us = INT64_C(3600000000);
    ts.tv_sec = (time_t)(us / 1000000);
    ts.tv_nsec = (long)(us % 1000000) * 1000;
    return ts;
}

/* `reports`: the poller's descriptor, or -1 when others look after it. poll(2) ignores -1. */
static void sleep_well(mpmx_child *child, const struct timespec *ts, const sigset_t *mask, int reports)
{
    struct pollfd pfd[4] = { { child->bell[0], POLLIN, 0 }, { child->control, POLLIN, 0 },
                             { reports, POLLIN, 0 }, { mpmx_terminal_descriptor(), POLLIN, 0 } };
    char drop[16];

    if (ppoll(pfd, 4, ts, mask) <= 0)
        return;
    if (pfd[3].revents)
        mpmx_terminal_obey();
    if (pfd[2].revents)
        mpmx_recall_reports_wait(child, mpmx_clock_coarse_ms());
    if (pfd[0].revents) {
        /* First empty it: a ring in between finds `rung` set and writes nothing, but what
         * it rang for is seen, because all that is looked at comes after this. The other
         * way round its byte could be read away, and nobody could ring ever again. */
        while (read(child->bell[0], drop, sizeof drop) > 0)
            ;
        atomic_store(&child->rung, 0);
    }
    if (child->control >= 0 && pfd[1].revents)
        listen_to_parent(child);
}

static void signals_while_asleep(sigset_t *mask)
{
    sigfillset(mask);
    sigdelset(mask, SIGTERM);
    if (mpmx.one_process) {              /* nobody else will tell us */
        sigdelset(mask, SIGINT);
        if (mpmx_terminal_descriptor() < 0)
            sigdelset(mask, AP_SIG_GRACEFUL_STOP);
    }
}

/* Waits for the workers to end. If handlers do not come back from what they wait for, the
 * process ends without them, because nothing can be torn down around a running thread. */
static void dismiss(mpmx_child *child, const sigset_t *mask)
{
    int64_t end = mpmx_clock_coarse_ms() + STOP_GRACE_MS;
    const struct timespec ts = { 0, 100 * 1000 * 1000 };

    mpmx_crew_dismiss(&child->crew);
    while (atomic_load(&child->crew.alive) > 0) {
        sleep_well(child, &ts, mask, -1);
        obey_signals(child);
        draw_consequences(child);
        if (child->acted < MPMX_PHASE_STOPPING)
            end = mpmx_clock_coarse_ms() + STOP_GRACE_MS;
        if (mpmx_clock_coarse_ms() >= end) {
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, child->server,
                         "child %" APR_PID_T_FMT " ends with %d requests still being handled",
                         getpid(), atomic_load(&child->crew.alive));
            _exit(0);
        }
    }
}

static void join(mpmx_child *child)
{
    int i;

    for (i = 0; i < child->crew.size; i++) {
        apr_status_t rv;

        if (child->crew.worker[i].thread)
            apr_thread_join(&rv, child->crew.worker[i].thread);
    }
}

void mpmx_housekeeper_run(mpmx_child *child, apr_pool_t *pruntime)
{
    int64_t due, last_us = 0;
    struct timespec ts;
    sigset_t mask;
    int ticking, reports;

    signals_while_asleep(&mask);
    child->acted = MPMX_PHASE_RUNNING;
    mpmx_threads_begin(child, pruntime);
    mpmx.retained->mpm_state = AP_MPMQ_RUNNING;
    publish(child, mpmx_clock_coarse_ms());
    while (!is_done(child)) {
        obey_signals(child);
        atomic_store(&child->wake_at, INT64_MAX);    /* from here on: ring when it matters */
        due = do_duties(child, pruntime);
        ticking = tick(child, &last_us);
        if (is_done(child))
            break;
        atomic_store(&child->wake_at, due);
        if (mpmx_recall_watch(child, mpmx_clock_coarse_ms(), &due))
            reports = mpmx_poller_descriptor(child->poller);
        else
            reports = -1;
        ts = span(child, due, ticking, last_us);
        if (child->acted >= MPMX_PHASE_DRAINING && ts.tv_sec >= 1)
            ts = (struct timespec){ 1, 0 };  /* forgotten suspended ones are a matter of time */
        sleep_well(child, &ts, &mask, reports);
    }
    dismiss(child, &mask);
    join(child);
}
