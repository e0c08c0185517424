/* Older generations: how long they may take to finish, and that they have. See process.h.
 *
 * GracefulDrainTimeout counts from the moment when the first child of a newer generation
 * accepted.  What is over is decided by the parent's own table and clock, and by the value of
 * the configuration that is in force now: with a shorter one a reload ends what an earlier
 * one has left.  Nobody is asked who may be stopped (SIGSTOP), stuck or hostile.
 */
#include "process.h"
#include "child.h"
#include "clock.h"
#include "log.h"

#include <signal.h>
#include <stdlib.h>

#define TERM_MS  3000            /* a child that is told to stop does so within 2 s    */
#define KILL_MS  5000
#define AGAIN_MS  100            /* between two tries to say something                */

/* When the next step is due for it; INT64_MAX: none is. */
static int64_t due(const mpmx_proc *p)
{
    if (p->stopped)
        return p->signals == 0 ? p->stopped + TERM_MS
             : p->signals == 1 ? p->stopped + KILL_MS : INT64_MAX;
    if (!p->retired || p->told == MPMX_SAY_STOP || mpmx.conf.drain_timeout <= 0)
        return INT64_MAX;
    return p->retired + (int64_t)mpmx.conf.drain_timeout * 1000;
}

void mpmx_leaving_begin(mpmx_proc *proc)
{
    if (!proc->retired)
        proc->retired = mpmx_clock_coarse_ms();
}

/* Tells all those of a generation whose time is over. */
static void stop_generation(mpmx_retained *all, ap_generation_t generation, int64_t now)
{
    int i, n = 0;

    for (i = 0; i < all->procs; i++) {
        mpmx_proc *p = &all->proc[i];

        if (p->generation == generation && !p->stopped && due(p) <= now) {
            mpmx_proc_say(p, MPMX_SAY_STOP);
            p->stopped = now;
            n++;
        }
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, mpmx.main,
                 "generation %d: GracefulDrainTimeout (%d s) is over, %d %s still at work and "
                 "will be stopped", (int)generation, mpmx.conf.drain_timeout, n,
                 n == 1 ? "process is" : "processes are");
}

static void send_next_signal(mpmx_proc *p)
{
    int sig = p->signals++ == 0 ? SIGTERM : SIGKILL;

    ap_log_error(APLOG_MARK, sig == SIGTERM ? APLOG_WARNING : APLOG_ERR, 0, mpmx.main,
                 "child process %" APR_PID_T_FMT " of generation %d was told to stop and still did not "
                 "exit, sending a %s", p->pid, (int)p->generation, sig == SIGTERM ? "SIGTERM" : "SIGKILL");
    mpmx_proc_signal(p, sig);
}

int64_t mpmx_leaving_look(mpmx_retained *all)
{
    int64_t now = mpmx_clock_coarse_ms(), next = INT64_MAX;
    int i;

    for (i = 0; i < all->procs; i++) {
        mpmx_proc *p = &all->proc[i];
        int64_t when = due(p);

        if (when <= now) {
            if (p->stopped)
                send_next_signal(p);
            else
                stop_generation(all, p->generation, now);
            when = due(p);
        }
        mpmx_proc_say_again(p);
        if (p->unsaid && now + AGAIN_MS < when)
            when = now + AGAIN_MS;
        if (when < next)
            next = when;
    }
    return next;
}

/* --- the last one ---------------------------------------------------------------------------- */

/* This wording is documented: log rotation waits for it. */
static void announce(mpmx_retained *all, ap_generation_t generation)
{
    int i, older = 0;

    for (i = 0; i < all->procs; i++)
        older += all->proc[i].generation < all->begun;
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, mpmx.main,
                 "generation %d: the last process has ended, its log files are no longer in use; "
                 "processes of older generations left: %d", (int)generation, older);
}

void mpmx_leaving_ended(mpmx_retained *all, ap_generation_t generation)
{
    ap_generation_t *grown;
    int i;

    if (generation >= mpmx.retained->my_generation)
        return;
    for (i = 0; i < all->procs; i++)
        if (all->proc[i].generation == generation)
            return;
    if (all->begun != mpmx.retained->my_generation) {
        /* In the middle of a restart: the parent has the old files still open, and a line in
         * them would not be seen by who looks at the new ones. */
        grown = realloc(all->over, (size_t)(all->overs + 1) * sizeof *grown);
        if (grown) {
            all->over = grown;
            all->over[all->overs++] = generation;
            return;
        }
    }
    announce(all, generation);
}

void mpmx_leaving_logs_open(mpmx_retained *all)
{
    int i;

    all->begun = mpmx.retained->my_generation;
    for (i = 0; i < all->overs; i++)
        announce(all, all->over[i]);
    all->overs = 0;
}
