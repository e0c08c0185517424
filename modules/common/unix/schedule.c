/* See ../schedule.h. SCHED_BATCH of Linux, sched(7): the share of time is that of every
 * other thread, only waking up does not preempt. Allowed to everybody. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE              /* SCHED_BATCH */
#endif
#include "../schedule.h"

#include <sched.h>

#ifdef SCHED_BATCH
static __thread int in_turn;     /* by us: what the administrator has chosen stays */

/* 0: the calling thread, not the process. */
static int become(int policy)
{
    static const struct sched_param param = { .sched_priority = 0 };

    return sched_setscheduler(0, policy, &param) == 0;
}
#endif

void mpmx_schedule_in_turn(void)
{
#ifdef SCHED_BATCH
    /* Whoever was started with chrt(1) or systemd's CPUSchedulingPolicy= is something else. */
    if (!in_turn && sched_getscheduler(0) == SCHED_OTHER)
        in_turn = become(SCHED_BATCH);
#endif
}

void mpmx_schedule_at_once(void)
{
#ifdef SCHED_BATCH
    if (in_turn)
        in_turn = !become(SCHED_OTHER);
#endif
}
