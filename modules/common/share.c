/* See share.h. */
#include "share.h"
#include "accept_queue.h"
#include "aside.h"
#include "clock.h"
#include "listener.h"
#include "scoreboard.h"

#define MARGIN      4            /* connections more than its share before it matters          */
#define LEAVE_MS    8            /* enough for a process that was woken to come to accept(2);
                                    twice the step of the coarse clock                         */
#define UNASKED    16            /* connections to take when the others took none; twice as
                                    many the next time, ...                                    */
#define UNASKED_MAX 1024

static int others_have(const mpmx_child *child, int *share)
{
    int children, mine = mpmx_scoreboard_connections(child->slot);

    *share = mpmx_scoreboard_average(child->bucket, &children);
    return children > 1 ? *share * children - mine : 0;
}

/* Connections that have come to this child, from clients and from others of us. */
static unsigned taken(mpmx_child *child)
{
    return atomic_load_explicit(&child->accepted, memory_order_relaxed)
         + atomic_load_explicit(&child->adopted, memory_order_relaxed);
}

int mpmx_share_leave(mpmx_child *child, const mpmx_listener *l)
{
    unsigned n = taken(child);
    int64_t when = mpmx_clock_coarse_ms() + LEAVE_MS;
    int share, others;

    mpmx_scoreboard_publish(child);
    others = others_have(child, &share);
    if (!share || mpmx_scoreboard_connections(child->slot) <= share + MARGIN
        || (int)(atomic_load(&child->unasked_until) - n) > 0 || mpmx_aside_anybody(child)
        || mpmx_accept_queue_is_long(l->fd))
        return 0;
    atomic_store(&child->others_had, others);
    atomic_store(&child->leave_until, when);
    mpmx_listeners_pause(child, MPMX_PAUSE_SHARE);
    mpmx_child_awake_at(child, when);
    return 1;
}

void mpmx_share_go_on(mpmx_child *child, int64_t now, int64_t *until)
{
    int64_t when = atomic_load(&child->leave_until);
    int share;

    if (!(atomic_load(&child->paused) & MPMX_PAUSE_SHARE))
        return;
    if (now < when) {
        *until = when < *until ? when : *until;
        return;
    }
    /* Average times number, so that a few more may not show. */
    if (others_have(child, &share) > atomic_load(&child->others_had))
        child->unasked = 0;
    else {
        child->unasked = child->unasked == 0 ? UNASKED
                       : child->unasked < UNASKED_MAX ? child->unasked * 2 : UNASKED_MAX;
        atomic_store(&child->unasked_until, taken(child) + child->unasked);
    }
    mpmx_listeners_go_on(child, MPMX_PAUSE_SHARE);
}
