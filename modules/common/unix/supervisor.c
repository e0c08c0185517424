/* The parent: one loop that turns flags and events into actions. See process.h.
 *
 * Core's signal handlers only set flags (a handler of ours would be unmapped while the
 * DSO is reloaded).  The loop looks at the flags with those signals blocked and lets
 * ppoll(2) unblock them, so none can slip in between; everywhere else they are
 * unblocked, because programs started meanwhile (piped loggers) inherit the mask.
 * A child's end is an event of its pidfd, or of its end of the control socket.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "process.h"
#include "accept_filter.h"
#include "aside.h"
#include "child.h"
#include "clock.h"
#include "compat.h"
#include "handover.h"
#include "hibernate.h"
#include "log.h"
#include "notify.h"
#include "reload.h"
#include "scoreboard.h"
#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/socket.h>
#include "http_main.h"
#include "mpm_common.h"

#define SECOND_MS        1000
#define MONITOR_SECONDS    10    /* hook monitor (contract 2.3)                        */
#define REASSURE_SECONDS    5
#define KILL_ROUNDS         4
static const int kill_after_ms[KILL_ROUNDS] = { 3000, 5000, 7000, 9000 };
#define GIVE_UP_MS      10000
#define READS_MAX           4    /* of what a child says, before others have their turn */
#define OTHER_FDS       (1 + MPMX_RELOAD_FDS)  /* terminal, reload */

/* --- what children say and how they end -------------------------------------------------- */

static void take_word(mpmx_retained *all, mpmx_proc *proc, char word)
{
    int i;

    if (word == MPMX_SAY_READY)
        proc->ready = 1;
    if (word == MPMX_SAY_READY && proc->phase == MPMX_PROC_STARTING) {
        proc->phase = MPMX_PROC_RUNNING;
        mpmx_generation_child_ready(proc);
        if (proc->generation == mpmx.retained->my_generation) {
            if (!mpmx_reload_wanted())   /* else the next reload has begun, and is not over */
                mpmx_notify_ready();
            mpmx_generation_retire_older(all);
            mpmx_generation_relieve(all, proc->bucket);
        }
    }
    else if (word == MPMX_SAY_WORN && proc->phase == MPMX_PROC_RUNNING && !proc->worn) {
        mpmx_generation_worn(all, proc);
    }
    else if (word == MPMX_SAY_LEAVING && proc->phase != MPMX_PROC_LEAVING) {
        proc->phase = MPMX_PROC_LEAVING;
        if (proc->generation == mpmx.retained->my_generation && !proc->worn)
            all->lost++;
        if (proc->slot >= 0)
            mpmx_scoreboard_quiescing(proc->slot, 2);
    }
    else if (word == MPMX_SAY_FULL) {
        /* The kernel told only that child of connections that now wait for anybody. */
        for (i = 0; i < all->procs; i++)
            if (&all->proc[i] != proc && all->proc[i].phase == MPMX_PROC_RUNNING)
                mpmx_proc_tell(&all->proc[i], MPMX_SAY_LISTEN);
    }
}

/* Who never stops talking is interrupted: the parent has other things to do, too. */
static void hear(mpmx_retained *all, mpmx_proc *proc)
{
    char word[16];
    ssize_t n, i;
    int reads = 0;

    do {
        n = recv(proc->control, word, sizeof word, MSG_DONTWAIT);
        for (i = 0; i < n; i++)
            take_word(all, proc, word[i]);
    } while ((n > 0 && ++reads < READS_MAX) || (n < 0 && errno == EINTR));
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) {
        close(proc->control);            /* ended, or about to */
        proc->control = -1;
    }
}

/* Has one that is dead by now said that it accepted, and nobody has heard it yet? It draws no
 * consequences any more but this: it could start. */
static void last_words(mpmx_proc *proc)
{
    char word[16];
    ssize_t n = !proc->ready && proc->control >= 0
              ? recv(proc->control, word, sizeof word, MSG_DONTWAIT) : 0;

    while (n > 0)
        if (word[--n] == MPMX_SAY_READY)
            proc->ready = 1;
}

/* Collects everybody who has ended, also those who are no children of ours in the sense
 * of an MPM: piped loggers, CGI daemons. Nonzero: the server must stop. */
static int reap(mpmx_retained *all)
{
    apr_exit_why_e why;
    apr_proc_t process;
    int code, fatal = 0;

    while (apr_proc_wait_all_procs(&process, &code, &why, APR_NOWAIT, mpmx.pconf) == APR_CHILD_DONE) {
        mpmx_proc *proc = mpmx_proc_find(all, process.pid);

        if (proc) {
            last_words(proc);
            fatal |= mpmx_generation_child_ended(all, proc, why, code);
            continue;
        }
        if (mpmx_reload_ended(process.pid, why, code))
            continue;
        ap_process_child_status(&process, why, code);
        if (apr_proc_other_child_alert(&process, APR_OC_REASON_DEATH, code) != APR_SUCCESS)
            ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, mpmx.main,
                         "an unknown child process (pid %" APR_PID_T_FMT ") has ended", process.pid);
    }
    return fatal;
}

void mpmx_flags_block(sigset_t *before)
{
    sigset_t flags;

    sigemptyset(&flags);
    sigaddset(&flags, SIGTERM);
    sigaddset(&flags, SIGINT);
    sigaddset(&flags, SIGHUP);
    sigaddset(&flags, AP_SIG_GRACEFUL);
    sigaddset(&flags, AP_SIG_GRACEFUL_STOP);
    sigprocmask(SIG_BLOCK, &flags, before);
}

/* Sleeps until `until` (coarse ms), a child's event or a signal, unless *flag1 or *flag2
 * is set already. Returns nonzero when the server must stop (a fatal child). */
static int await_event(mpmx_retained *all, int64_t until, const volatile int *flag1,
                       const volatile int *flag2)
{
    struct pollfd *pfd;
    struct timespec ts;
    sigset_t before;
    int64_t leaving = mpmx_leaving_look(all);
    int64_t left = (leaving < until ? leaving : until) - mpmx_clock_coarse_ms();
    int i, n = 0, children, ready = 0;

    if (all->pfds < all->procs * 2 + OTHER_FDS) {        /* grows with the table */
        int room = all->procs * 4 + OTHER_FDS;
        void *grown = realloc(all->pfd, (size_t)room * sizeof *pfd);

        if (grown) {
            all->pfd = grown;
            all->pfds = room;
        }
    }
    pfd = all->pfd;
    for (i = 0; i < all->procs && n + 2 + OTHER_FDS <= all->pfds; i++) {
        pfd[n++] = (struct pollfd){ all->proc[i].control, POLLIN, 0 };
        pfd[n++] = (struct pollfd){ all->proc[i].pidfd, POLLIN, 0 };
    }
    children = n;
    if (n + OTHER_FDS <= all->pfds) {
        pfd[n++] = (struct pollfd){ mpmx_terminal_descriptor(), POLLIN, 0 };
        n += mpmx_reload_watch(&pfd[n]);
    }
    if (left < 0)
        left = 0;
    ts.tv_sec = (time_t)(left / 1000);
    ts.tv_nsec = (long)(left % 1000) * 1000000;
    mpmx_flags_block(&before);
    if (!*flag1 && !*flag2)
        ready = ppoll(pfd, (nfds_t)n, &ts, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    mpmx_terminal_obey();
    for (i = 0; ready > 0 && i < children; i += 2)
        if (pfd[i].revents)
            hear(all, &all->proc[i / 2]);
    mpmx_reload_hear();
    return reap(all);
}

/* --- ends ---------------------------------------------------------------------------------- */

static void say_to_all(mpmx_retained *all, char word)
{
    int i;

    for (i = 0; i < all->procs; i++)
        mpmx_proc_say(&all->proc[i], word);
}

static void signal_all(mpmx_retained *all, int sig)
{
    int i;

    for (i = 0; i < all->procs; i++) {
        if (sig == SIGKILL)
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, mpmx.main, APLOGNO(00046)
                         "child process %" APR_PID_T_FMT " still did not exit, sending a SIGKILL",
                         all->proc[i].pid);
        mpmx_proc_signal(&all->proc[i], sig);
    }
}

/* Ends every child, of all generations: they are told, reminded, and killed at last. */
static void reclaim(mpmx_retained *all)
{
    static const volatile int no = 0;
    int64_t start = mpmx_clock_coarse_ms(), now = start;
    int round = 0;

    say_to_all(all, MPMX_SAY_STOP);
    signal_all(all, SIGTERM);            /* for one that does not listen yet */
    apr_proc_other_child_refresh_all(APR_OC_REASON_RESTART);
    while (all->procs > 0 && now - start < GIVE_UP_MS) {
        int64_t until = start + (round < KILL_ROUNDS ? kill_after_ms[round] : GIVE_UP_MS);

        await_event(all, until, &no, &no);
        now = mpmx_clock_coarse_ms();
        if (all->procs > 0 && round < KILL_ROUNDS && now >= start + kill_after_ms[round]) {
            if (round < KILL_ROUNDS - 1)
                ap_log_error(APLOG_MARK, APLOG_WARNING, 0, mpmx.main, APLOGNO(00045)
                             "%d child processes still did not exit, sending a SIGTERM", all->procs);
            signal_all(all, round < KILL_ROUNDS - 1 ? SIGTERM : SIGKILL);
            apr_proc_other_child_refresh_all(APR_OC_REASON_RESTART);
            round++;
        }
    }
    while (all->procs > 0) {             /* unkillable: nothing is to be had from waiting */
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, mpmx.main, APLOGNO(00047)
                     "could not make child process %" APR_PID_T_FMT " exit, attempting to continue anyway",
                     all->proc[0].pid);
        mpmx_proc_remove(all, &all->proc[0]);
    }
}

static int stop(mpmx_retained *all)
{
    mpmx_notify_stopping();
    reclaim(all);
    ap_remove_pid(mpmx.pconf, ap_pid_fname);
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, mpmx.main, MPMX_AH(STOP, "caught SIGTERM, shutting down"));
    return DONE;
}

static int graceful_stop(mpmx_retained *all)
{
    ap_unixd_mpm_retained_data *httpd = mpmx.retained;
    int64_t end = INT64_MAX;

    /* First: whatever comes from here on is a new order. */
    httpd->shutdown_pending = httpd->restart_pending = 0;
    if (httpd->is_ungraceful)            /* and so is what has come just before */
        httpd->shutdown_pending = 1;
    mpmx_notify_stopping();
    ap_close_listeners();
    say_to_all(all, MPMX_SAY_END);
    ap_remove_pid(mpmx.pconf, ap_pid_fname);
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, mpmx.main, MPMX_AH(GRACEFUL_STOP,
                 "caught " AP_SIG_GRACEFUL_STOP_STRING ", shutting down gracefully"));
    if (ap_graceful_shutdown_timeout > 0)
        end = mpmx_clock_coarse_ms() + (int64_t)ap_graceful_shutdown_timeout * 1000;
    while (all->procs > 0 && !httpd->shutdown_pending && mpmx_clock_coarse_ms() < end)
        await_event(all, end < INT64_MAX ? end : mpmx_clock_coarse_ms() + 60 * SECOND_MS,
                    &httpd->shutdown_pending, &httpd->shutdown_pending);
    reclaim(all);                        /* none, or the time is up, or told to hurry */
    return DONE;
}

static int restart(mpmx_retained *all)
{
    ap_unixd_mpm_retained_data *httpd = mpmx.retained;
    global_score *global = ap_get_scoreboard_global();

    mpmx_notify_reloading();
    /* Before anybody is told, and before the configuration is read again (2.5). */
    httpd->my_generation++;
    if (global)
        global->running_generation = httpd->my_generation;
    mpmx_leaving_ended(all, httpd->my_generation - 1);
    if (mpmx_this_policy.single && httpd->is_ungraceful) {
        /* There is one kind of restart, as on Windows: the old child goes when the new one
         * accepts (contract 8.7). */
        httpd->is_ungraceful = 0;
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, mpmx.main, MPMX_AH(RESTART,
                     "SIGHUP received.  Attempting to restart"));
        return OK;
    }
    if (httpd->is_ungraceful) {
        all->carry = 0;
        reclaim(all);
        if (httpd->shutdown_pending)     /* a stop while we waited: it would be forgotten */
            return stop(all);
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, mpmx.main, MPMX_AH(RESTART,
                     "SIGHUP received.  Attempting to restart"));
        return OK;
    }
    /* The old children go on, and go on accepting, until a new one does. */
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, mpmx.main, MPMX_AH(GRACEFUL,
                 AP_SIG_GRACEFUL_STRING " received.  Doing graceful restart"));
    return OK;
}

static int give_up(mpmx_retained *all)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, mpmx.main,
                 "a child reported a fatal error while starting: the server stops; see the "
                 "messages above");
    mpmx_notify_stopping();
    ap_close_listeners();
    reclaim(all);
    ap_remove_pid(mpmx.pconf, ap_pid_fname);
    return APEXIT_CHILDFATAL;
}

/* --- the loop --------------------------------------------------------------------------------- */

/* Runs until there is a flag to be obeyed (returns 0) or a child was fatal (returns 1). */
static int supervise(mpmx_retained *all)
{
    ap_unixd_mpm_retained_data *httpd = mpmx.retained;
    int64_t next_second = mpmx_clock_coarse_ms() + SECOND_MS, refill_at;
    int seconds = 0;

    while (!httpd->shutdown_pending && !mpmx_reload_due(all)) {
        int64_t now, until = mpmx_reload_until();

        refill_at = mpmx_generation_refill(all);
        if (until > refill_at)
            until = refill_at;
        if (await_event(all, until < next_second ? until : next_second,
                        &httpd->restart_pending, &httpd->shutdown_pending))
            return 1;
        now = mpmx_clock_coarse_ms();
        if (now >= next_second) {
            next_second = now + SECOND_MS;
            /* Else who has just been lost is missed twice, and two are started for one. */
            mpmx_generation_refill(all);
            mpmx_generation_maintain(all);
            mpmx_handover_remind(all);
            if (seconds % REASSURE_SECONDS == 0)
                mpmx_generation_reassure_older(all);
            if (++seconds % MONITOR_SECONDS == 0)
                ap_run_monitor(mpmx.pconf, mpmx.main);
        }
    }
    return 0;
}

static int start_up(apr_pool_t *pconf, apr_pool_t *plog, server_rec *s)
{
    ap_unixd_mpm_retained_data *httpd = mpmx.retained;

    ap_log_pid(pconf, ap_pid_fname);
    if (!httpd->was_graceful) {
        global_score *global;

        if (ap_run_pre_mpm(s->process->pool, SB_SHARED) != OK) {
            httpd->mpm_state = AP_MPMQ_STOPPING;
            return 0;
        }
        global = ap_get_scoreboard_global();
        global->running_generation = httpd->my_generation;
    }
    if (!mpmx_scoreboard_fits(s))
        return 0;
    mpmx_hibernate_init(s);
    mpmx_aside_init(pconf);
    (void)plog;
    mpmx_terminal_watch(pconf);
    ap_unixd_mpm_set_signals(pconf, mpmx.one_process);
    return 1;
}

static void say_hello(server_rec *s, apr_pool_t *plog)
{
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, MPMX_AH(CONFIGURED,
                 "%s configured -- resuming normal operations"), ap_get_server_description());
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, s, MPMX_AH(BUILT, "Server built: %s"), ap_get_server_built());
    ap_log_command_line(plog, s);
    ap_log_mpm_common(s);
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, s,
                 "mpmx: up to %d children of %d threads, RequestHeadTimeout %d s",
                 mpmx.conf.children_limit, mpmx.conf.threads_per_child, mpmx.conf.head_timeout);
    mpmx_accept_filter_report(s, mpmx.buckets[0]);
}

int mpmx_supervisor_run(apr_pool_t *pconf, apr_pool_t *plog, server_rec *s)
{
    ap_unixd_mpm_retained_data *httpd = mpmx.retained;
    mpmx_retained *all = mpmx_retained_get();
    int fatal;

    mpmx.reload = NULL;                  /* the last one, where modules are not unloaded */
    if (!start_up(pconf, plog, s))
        return !OK;
    if (mpmx.one_process) {
        mpmx_scoreboard_take(0, 0, getpid(), httpd->my_generation);
        say_hello(s, plog);
        mpmx_child_main(0, 0, -1);
    }
    if (!httpd->shutdown_pending)        /* asked to stop while the configuration was read */
        mpmx_generation_begin(all);
    say_hello(s, plog);
    httpd->mpm_state = AP_MPMQ_RUNNING;
    fatal = supervise(all);
    mpmx_reload_cancel();
    if (fatal)
        return give_up(all);
    httpd->mpm_state = AP_MPMQ_STOPPING;
    if (httpd->shutdown_pending)
        return httpd->is_ungraceful ? stop(all) : graceful_stop(all);
    all->carry = mpmx_procs_serving(all) + all->lost;
    return restart(all);
}
