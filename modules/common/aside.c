/* See aside.h. What others have counted is in shared memory, where any process can write anything: it decides
 * about nothing but whether this child listens in the next milliseconds. */
#include "aside.h"
#include "accept_queue.h"
#include "clock.h"
#include "listener.h"
#include "scoreboard.h"

#include "apr_shm.h"

#define LOOK_MS          8       /* between two looks                                       */
#define SPAN_MS        200       /* what has been counted for longer is not the present     */
#define ENOUGH          16       /* connections to judge by                                 */
#define PER_MS           1       /* connections of the first child, that it is worth while  */
#define CORE_PERCENT   105       /* of a core that all may take                             */
#define STAY_ONE_IN      4       /* connections that may stay                               */
#define QUEUE           16       /* may wait in any case while the first child copes, ...   */
#define WAIT_US       4000       /* ... and as many as it accepts in so long                */
#define LONG_LOOKS       4       /* in a row without that it does not cope                  */
#define GROWN           16       /* connections more of the first child, that may stay      */
#define LASTED_MS     1000       /* who was right so long tries again soon                  */
#define PAUSE_MS       250       /* ... namely then; else after twice as much as before     */
#define PAUSE_MAX_MS 16000

/* Of each slot, on a line of its own: written with every connection. */
struct mpmx_tally {
    _Alignas(MPMX_LINE) _Atomic unsigned accepted;
    _Atomic unsigned emptied;    /* how often it has found nobody left to accept            */
    _Atomic int calm;            /* none of its threads has blocked for a while             */
    _Atomic int aside;           /* it stands aside                                         */
};

/* What has happened between two looks of a child that accepts. */
struct span {
    int64_t us;                  /* how long                                               */
    int64_t cpu_us;              /* CPU time of this child                                 */
    unsigned mine;               /* connections that it has accepted                       */
    unsigned others;             /* ... and the other children with these sockets          */
    unsigned leader;             /* ... and the first of them                              */
    int more;                    /* connections that it has more than before               */
    int calm;                    /* no thread of the first child has blocked for a while   */
};

/* Is one core enough for all, does the first child do its part, and do connections go as they come?
 * 1: yes, 0: no, -1: it is too early to say. */
static int judge(const struct span *span)
{
    if (span->us > SPAN_MS * 1000)
        return 0;
    if (span->mine < ENOUGH || span->us < LOOK_MS * 1000)
        return -1;
    /* One has come or gone, or somebody writes what is not his. */
    if (span->others > INT32_MAX || span->mine > INT32_MAX || span->leader > span->others)
        return 0;
    return span->calm && (int64_t)span->leader * 1000 >= PER_MS * span->us
        && (int64_t)span->more * STAY_ONE_IN <= (int64_t)span->mine
        && span->cpu_us * ((int64_t)span->mine + span->others) / span->mine <= span->us * CORE_PERCENT / 100;
}

void mpmx_aside_init(apr_pool_t *pool)
{
    apr_size_t size = (apr_size_t)mpmx_scoreboard_slots(mpmx.conf.server_limit) * sizeof *mpmx.tally;
    apr_shm_t *shm;

    mpmx.tally = NULL;
    if (mpmx.one_process || mpmx_this_policy.single || !mpmx_this_policy.async)
        return;                          /* nobody else accepts, or a thread goes with each connection */
    /* Anonymous: nobody else finds it. The kernel's is zeroed, and begins with a page; APR puts its own
     * record in front. */
    if (apr_shm_create(&shm, size + MPMX_LINE, NULL, pool) == APR_SUCCESS) {
        uintptr_t base = (uintptr_t)apr_shm_baseaddr_get(shm);

        mpmx.tally = (struct mpmx_tally *)((base + MPMX_LINE - 1) / MPMX_LINE * MPMX_LINE);
    }
}

void mpmx_aside_begin(int slot)
{
    if (!mpmx.tally)
        return;
    atomic_store(&mpmx.tally[slot].calm, 0);
    atomic_store(&mpmx.tally[slot].aside, 0);    /* whose the slot was may not have come back */
}

/* Not exact where two threads count at once. */
static void one_more(_Atomic unsigned *count)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Or another process counts there. */
static int has_tally(const mpmx_child *child)
{
    return mpmx.tally && !child->slot_lost;
}

void mpmx_aside_count(mpmx_child *child)
{
    if (has_tally(child))
        one_more(&mpmx.tally[child->slot].accepted);
}

void mpmx_aside_emptied(mpmx_child *child)
{
    if (has_tally(child))
        one_more(&mpmx.tally[child->slot].emptied);
}

void mpmx_aside_say(mpmx_child *child, int calm)
{
    if (has_tally(child))
        atomic_store_explicit(&mpmx.tally[child->slot].calm, calm && !atomic_load(&child->deaf), memory_order_relaxed);
}

static void say_aside(mpmx_child *child, int yes)
{
    if (has_tally(child))
        atomic_store(&mpmx.tally[child->slot].aside, yes);
}

int mpmx_aside_anybody(const mpmx_child *child)
{
    int i;

    if (mpmx.tally)
        for (i = 0; i < mpmx_scoreboard_slots(mpmx.conf.server_limit); i++)
            if (mpmx_scoreboard_is_partner(child, i) && atomic_load(&mpmx.tally[i].aside))
                return 1;
    return 0;
}

static int is_calm(int slot)
{
    return atomic_load_explicit(&mpmx.tally[slot].calm, memory_order_relaxed);
}

static unsigned accepted_by(int slot)
{
    return atomic_load_explicit(&mpmx.tally[slot].accepted, memory_order_relaxed);
}

/* The first child that accepts on the same sockets, which may be this one; and what the others have accepted. */
static int first_of_all(const mpmx_child *child, unsigned *others)
{
    int i, first = child->slot;

    *others = 0;
    for (i = mpmx_scoreboard_slots(mpmx.conf.server_limit); i-- > 0; ) {
        if (i == child->slot || !mpmx_scoreboard_is_partner(child, i))
            continue;
        *others += accepted_by(i);
        if (i < first)
            first = i;
    }
    return first;
}

/* What has changed since the last time; what is so now is taken down, once that was enough to judge by. */
static int judge_now(mpmx_child *child)
{
    mpmx_aside *seen = &child->aside, now;
    struct span span;
    int verdict;

    now.leader = first_of_all(child, &now.others);
    now.leads = accepted_by(now.leader);
    now.mine = atomic_load_explicit(&child->accepted, memory_order_relaxed);
    now.connections = mpmx_crew_sum(&child->crew, MPMX_COUNT_CONNECTIONS);
    now.us = mpmx_clock_us();
    now.cpu_us = mpmx_clock_cpu_us();
    span.us = now.leader == seen->leader ? now.us - seen->us : MPMX_NEVER;
    span.cpu_us = now.cpu_us - seen->cpu_us;
    span.mine = now.mine - seen->mine;
    span.others = now.others - seen->others;
    span.leader = now.leads - seen->leads;
    span.more = now.connections - seen->connections;
    span.calm = is_calm(now.leader);
    verdict = now.leader == child->slot ? 0 : judge(&span);
    if (verdict >= 0)
        *seen = now;
    return verdict;
}

/* Is a queue half full, or does the system not say? `longest`: the length of the longest. */
static int is_half_full(const mpmx_child *child, int *longest)
{
    int i, waiting, most;

    *longest = 0;
    for (i = 0; i < child->ports; i++) {
        if (!mpmx_accept_queue(child->listener[i].fd, &waiting, &most) || waiting > most / 2)
            return 1;
        if (waiting > *longest)
            *longest = waiting;
    }
    return 0;
}

static void stand_aside(mpmx_child *child, int64_t now)
{
    child->aside_since = now;
    child->aside_long = 0;
    child->aside_leader_had = mpmx_scoreboard_connections(child->aside.leader);
    atomic_store(&child->aside_until, now + LOOK_MS);
    say_aside(child, 1);
    mpmx_listeners_pause(child, MPMX_PAUSE_ASIDE);
    /* The kernel may have told this child alone of a connection to another of its ports. */
    mpmx_child_say(child, MPMX_SAY_FULL);
    mpmx_child_awake_at(child, now + LOOK_MS);
}

static int is_time(mpmx_child *child, int64_t now)
{
    return now >= atomic_load_explicit(&child->aside_next, memory_order_relaxed);
}

void mpmx_aside_consider(mpmx_child *child)
{
    int64_t now;
    int longest;

    if (!has_tally(child) || !is_time(child, now = mpmx_clock_coarse_ms()) || atomic_exchange(&child->aside_lock, 1))
        return;
    if (is_time(child, now)) {           /* still: it may have come back meanwhile */
        atomic_store(&child->aside_next, now + LOOK_MS);
        if (!atomic_load(&child->paused) && mpmx_child_phase(child) == MPMX_PHASE_RUNNING
            && judge_now(child) > 0 && !is_half_full(child, &longest))
            stand_aside(child, now);
    }
    atomic_store(&child->aside_lock, 0);
}

/* Has the first child, which has accepted so many in so long, left more in a queue than it accepts in some
 * milliseconds, and found none empty since the last look, several times in a row? */
static int falls_behind(mpmx_child *child, int longest, unsigned led, int64_t past)
{
    unsigned emptied = atomic_load_explicit(&mpmx.tally[child->aside.leader].emptied, memory_order_relaxed);
    int64_t may_wait = (int64_t)led * WAIT_US / past;

    if (longest > (may_wait > QUEUE ? may_wait : QUEUE) && emptied == child->aside_emptied)
        child->aside_long++;
    else
        child->aside_long = 0;
    child->aside_emptied = emptied;
    return child->aside_long >= LONG_LOOKS;
}

/* Is the first child there, undisturbed, and do the connections that come to it go again? */
static int leader_is_well(const mpmx_child *child)
{
    int leader = child->aside.leader;

    return is_calm(leader) && mpmx_scoreboard_is_partner(child, leader)
        && mpmx_scoreboard_connections(leader) - child->aside_leader_had <= GROWN;
}

/* Who had to come back soon waits longer before it tries again. */
static void come_back(mpmx_child *child, int64_t now)
{
    if (now - child->aside_since >= LASTED_MS)
        child->aside_pause = PAUSE_MS;
    else
        child->aside_pause = child->aside_pause == 0 ? PAUSE_MS
                           : child->aside_pause < PAUSE_MAX_MS ? child->aside_pause * 2 : PAUSE_MAX_MS;
    atomic_store(&child->aside_next, now + child->aside_pause);
    child->aside.leader = -1;            /* what is counted next begins then */
    say_aside(child, 0);
    mpmx_listeners_go_on(child, MPMX_PAUSE_ASIDE);
}

static int is_needed(mpmx_child *child)
{
    mpmx_aside *seen = &child->aside;
    int64_t us = mpmx_clock_us(), past = us - seen->us;
    unsigned leads = accepted_by(seen->leader), led = leads - seen->leads;
    int longest;

    if (mpmx_child_phase(child) != MPMX_PHASE_RUNNING || !leader_is_well(child) || is_half_full(child, &longest))
        return 1;
    if (past < LOOK_MS * 1000 / 2)
        return 0;                        /* called early: too short a time to count in */
    seen->us = us;
    seen->leads = leads;
    return led > INT32_MAX || (int64_t)led * 2000 < PER_MS * past || falls_behind(child, longest, led, past);
}

void mpmx_aside_hurry(mpmx_child *child)
{
    atomic_store(&child->aside_until, 0);
}

void mpmx_aside_go_on(mpmx_child *child, int64_t now, int64_t *until)
{
    int64_t when = atomic_load(&child->aside_until);

    if (!(atomic_load(&child->paused) & MPMX_PAUSE_ASIDE))
        return;
    if (now >= when) {
        when = now + LOOK_MS;            /* in any case */
        if (!atomic_exchange(&child->aside_lock, 1)) {
            atomic_store(&child->aside_until, when);
            if (is_needed(child))
                come_back(child, now);
            atomic_store(&child->aside_lock, 0);
        }
    }
    if (when < *until)
        *until = when;
}
