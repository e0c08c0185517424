/* See cores.h. A container or taskset(1) may have left us fewer than are online. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "cores.h"

#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

int mpmx_cores(void)
{
    long n;
#ifdef __linux__
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
#endif
    n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}
