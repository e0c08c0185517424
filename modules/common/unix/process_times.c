/* See ../extended_status.h. */
#include "../extended_status.h"
#include "../crew.h"

#include <stdatomic.h>
#include <unistd.h>

#ifdef HAVE_TIMES

enum { USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM, KINDS };

/* Written once in the time in which the answer changes, read with each request. Between fork and the first request
 * it is all zero: the parent counts none. */
static struct {
    _Alignas(MPMX_LINE) _Atomic int64_t due;
    _Atomic clock_t used[KINDS];
} last;

/* times(2) counts in units of which sysconf() knows how many a second has. */
static int unit_ms(void)
{
    long per_second = sysconf(_SC_CLK_TCK);

    return per_second > 0 && per_second < 1000 ? (int)(1000 / per_second) : 1;
}

static void ask(void)
{
    struct tms now;

    if (times(&now) == (clock_t)-1)
        return;
    atomic_store_explicit(&last.used[USER], now.tms_utime, memory_order_relaxed);
    atomic_store_explicit(&last.used[SYSTEM], now.tms_stime, memory_order_relaxed);
    atomic_store_explicit(&last.used[CHILDREN_USER], now.tms_cutime, memory_order_relaxed);
    atomic_store_explicit(&last.used[CHILDREN_SYSTEM], now.tms_cstime, memory_order_relaxed);
}

static clock_t used(int kind)
{
    return atomic_load_explicit(&last.used[kind], memory_order_relaxed);
}

void mpmx_process_times(worker_score *row, int64_t now)
{
    int64_t due = atomic_load_explicit(&last.due, memory_order_relaxed);

    if (now >= due) {
        if (!atomic_compare_exchange_strong(&last.due, &due, now + unit_ms()))
            return;                      /* somebody asks: what is known is older than the row may be */
        ask();
    }
    row->times.tms_utime = used(USER);
    row->times.tms_stime = used(SYSTEM);
    row->times.tms_cutime = used(CHILDREN_USER);
    row->times.tms_cstime = used(CHILDREN_SYSTEM);
}

#else

void mpmx_process_times(worker_score *row, int64_t now)
{
    (void)row;
    (void)now;
}

#endif
