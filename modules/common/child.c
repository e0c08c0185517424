/* See child.h. This file: a child's beginning and end, and what its workers run. */
#include "child.h"
#include "compat.h"
#include "descriptors.h"
#include "housekeeper.h"
#include "log.h"
#include "recall.h"
#include "schedule.h"
#include "scoreboard.h"
#include "suspend.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/socket.h>
#include "apr_signal.h"
#include "apr_thread_proc.h"
#include "clock.h"
#include "http_main.h"

/* docs/internals/cost.md: what a request reads is on no line that a connection or wait writes. */
#define APART(type, a, b) \
    _Static_assert(offsetof(type, a) / MPMX_LINE != offsetof(type, b) / MPMX_LINE, #a " and " #b)
APART(mpmx_child, accepted, chunk);
APART(mpmx_child, accepted, paused);
APART(mpmx_child, accepting, phase);
APART(mpmx_crew, waiting, allowed);
APART(mpmx_crew, waiting, work_count);
APART(mpmx_crew, lock, work_count);
APART(mpmx_worker, taken, seen_serial);

/* --- workers --------------------------------------------------------------------- */

static void run_conn(mpmx_worker *w, mpmx_work *work)
{
    mpmx_conn_ready(w, (mpmx_conn *)((char *)work - offsetof(mpmx_conn, work)), 0);
}

/* A report that a worker had fetched before it blocked. A listener's is still there. */
static void resubmit(mpmx_worker *blocked, const mpmx_poll_event *event)
{
    mpmx_child *child = mpmx_child_of(blocked);
    mpmx_conn *conn;

    if (mpmx_listener_of(child, event->token))
        return;
    if ((conn = mpmx_conn_claim(child, event->token)) != NULL) {
        conn->work.run = run_conn;
        mpmx_crew_submit(&child->crew, &conn->work);
    }
}

static void handle(mpmx_worker *w, const mpmx_poll_event *event)
{
    mpmx_child *child = mpmx_child_of(w);
    mpmx_listener *listener = mpmx_listener_of(child, event->token);
    mpmx_conn *conn;

    if (listener)
        mpmx_listener_ready(w, listener);
    else if ((conn = mpmx_conn_claim(child, event->token)) != NULL)
        mpmx_conn_ready(w, conn, event->events);
}

/* About to wait: a thread is idle now. */
static void worker_ready(mpmx_worker *w)
{
    mpmx_scoreboard_worker_ready(w);
    mpmx_listeners_check_room(w);
}

static void *APR_THREAD_FUNC worker_main(apr_thread_t *thread, void *data)
{
    mpmx_worker *w = data;
    mpmx_poll_event event;
    mpmx_work *work;
    int what;

    mpmx_schedule_in_turn();
    w->thread = thread;
    w->connection_id = (long)mpmx_child_of(w)->slot * mpmx.conf.thread_limit + w->slot;
    mpmx_scoreboard_worker_start(w);
    mpmx_crew_enter(w);
    while ((what = mpmx_crew_next(w, &event, &work)) != 0) {
        if (what == 1)
            handle(w, &event);
        else
            work->run(w, work);
        if (w->held)
            mpmx_callbacks_unhold(w);
    }
    mpmx_scoreboard_worker_end(w);
    mpmx_crew_leave(w);
    apr_thread_exit(thread, APR_SUCCESS);
    return NULL;
}

/* --- the end ------------------------------------------------------------------------ */

void mpmx_child_leave(mpmx_child *child, mpmx_phase phase)
{
    int now = atomic_load(&child->phase);

    while (now < (int)phase)
        if (atomic_compare_exchange_weak(&child->phase, &now, (int)phase)) {
            mpmx_child_kick(child);
            return;
        }
}

static void leave_process(mpmx_child *child, int code) __attribute__((noreturn));

static void leave_process(mpmx_child *child, int code)
{
    mpmx.retained->mpm_state = AP_MPMQ_STOPPING;
    if (!child->told_stopping)
        mpmx_run_child_stopping(child->pool, 0);
    child->told_stopping = 1;
    apr_pool_destroy(child->pool);
    if (mpmx.one_process && geteuid() == child->started_as)
        ap_remove_pid(mpmx.pconf, ap_pid_fname);
    exit(code);
}

static void fail(mpmx_child *child, apr_status_t rv, const char *what) __attribute__((noreturn));

/* A shortage passes: the parent tries again later. So may EAGAIN. Anything else would not get better. */
static void fail(mpmx_child *child, apr_status_t rv, const char *what)
{
    int shortage = mpmx_accept_judge(rv) == MPMX_ACCEPT_SHED || rv == EAGAIN;

    ap_log_error(APLOG_MARK, shortage ? APLOG_ERR : APLOG_EMERG, rv, child->server,
                 "a child cannot start: %s", what);
    leave_process(child, shortage ? APEXIT_CHILDSICK : APEXIT_CHILDFATAL);
}

/* --- the beginning ------------------------------------------------------------------- */

static void open_bell(mpmx_child *child)
{
    int i;

    if (pipe(child->bell))
        fail(child, errno, "no pipe");
    for (i = 0; i < 2; i++) {
        fcntl(child->bell[i], F_SETFD, FD_CLOEXEC);
        fcntl(child->bell[i], F_SETFL, O_NONBLOCK);
    }
}

/* Everything that needs root or must be there for child_init, in the order of
 * contract 4.7. */
static void start_process(mpmx_child *child)
{
    apr_thread_t *thread;
    apr_status_t rv;

    mpmx.retained->mpm_state = AP_MPMQ_STARTING;
    mpmx_descriptors_raise(MPMX_CONN_MAX);
    if (!mpmx.one_process) {
        mpmx_thread_after_fork();
        ap_fatal_signal_child_setup(child->server);
    }
    apr_pool_create(&child->pool, mpmx.pconf);
    apr_pool_tag(child->pool, "pchild");
    if (!mpmx.one_process) {
        rv = mpmx_thread_main_create(&thread, child->pool);
        if (rv != APR_SUCCESS)
            fail(child, rv, "no main thread");
    }
    rv = ap_reopen_scoreboard(child->pool, NULL, 0);
    if (rv != APR_SUCCESS)
        fail(child, rv, "no scoreboard");
    if (ap_run_drop_privileges(child->pool, child->server))
        leave_process(child, APEXIT_CHILDFATAL);
    /* mod_unixd reports its failures with -1, which the hook takes for DECLINED. */
    if (child->started_as == 0 && geteuid() == 0 && ap_unixd_config.user_id != 0)
        fail(child, 0, "still running as root although User says otherwise, see above");
    if (!mpmx.one_process)
        mpmx_child_follow_parent();
    apr_setup_signal_thread();           /* modules' threads inherit a full mask */
    mpmx_recall_init();
    open_bell(child);
    rv = mpmx_callbacks_init(&child->callbacks, child->pool);
    if (rv != APR_SUCCESS)
        fail(child, rv, "no timers");
    ap_run_child_init(child->pool, child->server);
}

static void start_engine(mpmx_child *child, ap_listen_rec *bucket, apr_pool_t *pruntime)
{
    mpmx_crew *crew = &child->crew;
    apr_status_t rv;

    /* Not of pchild, which is destroyed before the last connection may have ended. */
    apr_pool_create(&child->pconns, pruntime);
    mpmx_wheel_init(&child->wheel, mpmx_clock_coarse_ms());
    rv = mpmx_poller_create(&child->poller, pruntime, mpmx.conf.threads_per_child);
    if (rv != APR_SUCCESS)
        fail(child, rv, "no poller");
    rv = mpmx_conn_table_init(child, pruntime);
    if (rv != APR_SUCCESS)
        fail(child, rv, "no memory for connections");
    rv = mpmx_listeners_init(child, bucket, pruntime);
    if (rv != APR_SUCCESS)
        fail(child, rv, "cannot use a listening socket");
    pthread_mutex_init(&child->publish_lock, NULL);
    crew->child = child;
    crew->poller = child->poller;
    crew->kick = mpmx_child_kick;
    crew->ready = worker_ready;
    crew->resubmit = resubmit;
    crew->main = worker_main;
    crew->announced = !mpmx_this_policy.async;
    mpmx_crew_init(crew, mpmx.conf.threads_per_child, pruntime);
}

void mpmx_child_main(int slot, int bucket, int control)
{
    static mpmx_child the_child;         /* one a process; too large for a stack */
    mpmx_child *child = &the_child;
    apr_pool_t *pruntime;

    child->slot = slot;
    child->bucket = bucket;
    child->control = control;
    child->server = mpmx.main;
    child->max_accepted = ap_max_requests_per_child > 0 ? ap_max_requests_per_child : 0;
    child->started_as = geteuid();
    mpmx.child = child;
    start_process(child);
    apr_pool_create(&pruntime, mpmx.pconf);
    apr_pool_tag(pruntime, "mpmx_runtime");
    start_engine(child, mpmx.buckets[bucket], pruntime);
    atomic_store(&child->phase, MPMX_PHASE_RUNNING);
    mpmx_housekeeper_run(child, pruntime);
    leave_process(child, 0);
}
