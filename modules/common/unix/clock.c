/* See clock.h.  apr_time_now() is the wall clock, which an administrator or NTP
 * may set back; a deadline on it could come years late. */
#include "clock.h"

#include <time.h>

#ifdef CLOCK_MONOTONIC_COARSE
#define COARSE CLOCK_MONOTONIC_COARSE   /* clock_gettime(2): vDSO, no TSC read */
#else
#define COARSE CLOCK_MONOTONIC
#endif

int64_t mpmx_clock_coarse_ms(void)
{
    struct timespec ts;

    clock_gettime(COARSE, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t us_of(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t mpmx_clock_us(void)
{
    return us_of(CLOCK_MONOTONIC);
}

int64_t mpmx_clock_cpu_us(void)
{
    return us_of(CLOCK_PROCESS_CPUTIME_ID);
}
