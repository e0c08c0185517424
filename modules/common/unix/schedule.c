/* See ../schedule.h. SCHED_BATCH of Linux, sched(7): the share of time is that of every
 * other thread, only waking up does not preempt. Allowed to everybody. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE              /* SCHED_BATCH */
#endif
#include "../schedule.h"

#include <sched.h>

void mpmx_schedule_in_turn(void)
{
#ifdef SCHED_BATCH
    static const struct sched_param param = { .sched_priority = 0 };

    /* 0: the calling thread, not the process. Whoever was started with chrt(1) or systemd's
     * CPUSchedulingPolicy= stays what he was made. */
    if (sched_getscheduler(0) == SCHED_OTHER)
        (void)sched_setscheduler(0, SCHED_BATCH, &param);
#endif
}
