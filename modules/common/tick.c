/* The housekeeper's part of the crew rule: who blocks, how many may run, and when to look again. See crew.h. */
#include "crew.h"
#include "crew_rule.h"
#include "threadstate.h"

#include <errno.h>

#define UNKNOWN_US     1500      /* ... where the system cannot say if it sleeps     */
#define LONG_US       10000      /* computing this long: others get a time slice     */
#define RECHECK_TICKS    16      /* how often a blocked one is asked whether it still is */
#define STATE_UNKNOWN   (-2)
#define IDLE_TICKS        3      /* who sees nobody serve so often looks less, or no more */
#define GOOD_MANY         8      /* served between two ticks: an eighth of a ms each      */
#define CALM_TICKS       64      /* in a row without anybody asleep: they may be fewer    */

/* Has this worker stopped computing (or computed for long)? Marks it if so. */
static int look_at(mpmx_crew *crew, mpmx_worker *w, unsigned serial, int64_t elapsed)
{
    int asleep;

    if (w->state_fd == MPMX_STATE_UNASKED) {
        w->state_fd = mpmx_threadstate_open(atomic_load(&w->tid));
        if (w->state_fd < 0 && errno != EMFILE && errno != ENFILE)
            w->state_fd = STATE_UNKNOWN; /* no /proc: do not ask again each time */
    }
    asleep = mpmx_threadstate_asleep(w->state_fd);
    crew->blind |= w->state_fd == STATE_UNKNOWN;
    if (atomic_load(&w->serial) != serial)
        return 0;                        /* it came back meanwhile and sleeps in the poller */
    if (asleep == 1 && w->suspect_serial != serial) {
        w->suspect_serial = serial;      /* a lock, a page: look again in a moment */
        crew->suspects++;
        return 0;
    }
    if ((asleep == 0 && elapsed < LONG_US) || (asleep < 0 && elapsed < UNKNOWN_US)) {
        w->suspect_serial = 0;
        return 0;
    }
    atomic_store(&w->blocked, asleep ? 1 : 2);
    atomic_fetch_add(&crew->blocked, 1);
    /* If it has come back meanwhile, it may have missed the mark. */
    if (atomic_load(&w->serial) != serial && atomic_exchange(&w->blocked, 0)) {
        atomic_fetch_sub(&crew->blocked, 1);
        return 0;
    }
    return 1;
}

static int watch_worker(mpmx_crew *crew, mpmx_worker *w, int64_t now, int *newly)
{
    unsigned serial = atomic_load(&w->serial);

    if (!(serial & 1))
        return 0;
    if (atomic_load(&w->blocked) == 0)
        crew->slow += serial - w->seen_serial < 2 * GOOD_MANY;
    if (serial != w->seen_serial) {
        w->seen_serial = serial;
        w->seen_since_us = now;
    }
    /* At first sight already: every tick that this is found out later, others wait. */
    if (!atomic_load(&w->blocked)) {
        if (look_at(crew, w, serial, now - w->seen_since_us)) {
            ++*newly;
            mpmx_crew_take_over(crew, w);
        }
    }
    else if (atomic_load(&w->blocked) == 1 && (crew->ticks + (unsigned)w->slot) % RECHECK_TICKS == 0
             && mpmx_threadstate_asleep(w->state_fd) == 0) {
        w->seen_since_us = now;          /* computing again: it counts as running */
        mpmx_crew_unmark(crew, w);
    }
    return !atomic_load(&w->blocked);
}

/* Nobody waits for reports, and all who should be computing are asleep. Even if they are only for
 * a moment: with a core idle, nothing is lost by one more that runs. Not where waits are announced:
 * there, nobody would look again while that one is in the poller. */
static int is_stuck(mpmx_crew *crew)
{
    return !crew->announced && crew->suspects > 0 && atomic_load(&crew->waiting) == 0
        && crew->suspects >= atomic_load(&crew->running) - atomic_load(&crew->blocked);
}

static int allowed_now(mpmx_crew *crew, int newly)
{
    int allowed;

    crew->spare_x16 -= crew->spare_x16 / 24 + (crew->spare_x16 > 0);
    if (crew->spare_x16 < newly * 16)
        crew->spare_x16 = newly * 16;
    allowed = atomic_load(&crew->base) + atomic_load(&crew->blocked) + (crew->spare_x16 + 8) / 16
            + is_stuck(crew);
    return allowed < 1 ? 1 : allowed;    /* not cut to `size`: who comes back takes one away */
}

/* What it has served unseen is not to count when it is seen. Has it served? */
static int see_at_rest(mpmx_worker *w)
{
    unsigned serial = atomic_load_explicit(&w->serial, memory_order_relaxed);

    if (serial == w->seen_serial)
        return 0;
    if (!(serial & 1))
        w->seen_serial = serial;
    return 1;
}

static int watch_all(mpmx_crew *crew, int64_t now, int *newly)
{
    int i, serving = 0;

    for (i = 0; i < crew->size; i++) {
        mpmx_worker *w = &crew->worker[i];
        int state = atomic_load_explicit(&w->state, memory_order_relaxed);

        if (state == MPMX_W_SERVING)
            serving += watch_worker(crew, w, now, newly);
        else if (state == MPMX_W_RESTING)
            crew->slow++;
        else
            crew->active += see_at_rest(w);
    }
    crew->active += serving;
    return serving;
}

/* Is somebody serving who may rely on the ticks to go on, or is nobody there for what comes although
 * somebody could be? Who is blocked wants a tick when he comes back. */
static int anybody_relies(mpmx_crew *crew)
{
    int i;

    if (mpmx_crew_is_of_use(crew))
        return 1;
    if (crew->announced)
        return 0;
    for (i = 0; i < crew->size; i++) {
        mpmx_worker *w = &crew->worker[i];

        if ((atomic_load(&w->serial) & 1) && !atomic_load(&w->blocked))
            return 1;
    }
    return 0;
}

int mpmx_crew_is_calm(const mpmx_crew *crew)
{
    return crew->calm_ticks >= CALM_TICKS && !crew->blind;
}

/* How long until the next tick. Each one wakes up a core that may be idle, or interrupts somebody. */
static int interval(mpmx_crew *crew)
{
    if (crew->suspects)
        return MPMX_TICK_SOON_US;
    /* Nobody has blocked for long: who takes his time computes, or waits for a core. */
    if (mpmx_crew_is_calm(crew))
        return MPMX_TICK_RARE_US;
    /* Somebody takes his time, or some have blocked lately. */
    if (crew->slow || crew->spare_x16 > 0)
        return MPMX_TICK_US;
    return crew->idle_ticks < IDLE_TICKS ? MPMX_TICK_LATE_US : MPMX_TICK_RARE_US;
}

int mpmx_crew_tick(mpmx_crew *crew, int64_t now)
{
    int serving = 0, newly = 0;

    crew->ticks++;
    crew->suspects = crew->slow = crew->active = 0;
    /* Else looking costs more than it brings. */
    if (!crew->announced || mpmx_crew_is_of_use(crew))
        serving = watch_all(crew, now, &newly);
    atomic_store(&crew->allowed, allowed_now(crew, newly));
    mpmx_crew_release(crew, atomic_load(&crew->allowed));
    mpmx_crew_wake_for_work(crew);
    crew->idle_ticks = serving ? 0 : crew->idle_ticks + 1;
    if (crew->suspects || crew->spare_x16 > 0)
        crew->calm_ticks = 0;
    else if (crew->calm_ticks < CALM_TICKS)
        crew->calm_ticks++;
    crew->interval_us = interval(crew);
    if (crew->active || crew->idle_ticks < IDLE_TICKS || crew->spare_x16 > 0)
        return 1;
    crew->interval_us = MPMX_TICK_US;    /* whoever calls wants the next one soon */
    atomic_store(&crew->tick_wanted, 0);
    if (!anybody_relies(crew))           /* who has just not kicked us */
        return 0;
    atomic_store(&crew->tick_wanted, 1);
    return 1;
}
