/*
 * aside_test.c - promise: a child leaves short connections to the first one while that copes with all
 * of them, and only then; it listens again within some milliseconds when it is needed, and does not
 * try again and again what was wrong.
 *
 * The other children, the kernel's queue, the clock and the load are made up.
 */
#include <string.h>
#include "apr_general.h"

#include "accept_queue.h"
#include "aside.h"
#include "clock.h"
#include "httpd_stubs.h"
#include "listener.h"
#include "scoreboard.h"
#include "tap.h"

#define SLOTS 4

mpmx_server mpmx;
const mpmx_policy mpmx_this_policy = { .name = "unit", .async = 1 };

static mpmx_child child, first, third;
static int64_t now_us, cpu_us, woken_at;
static int open_here, open_there, queue, half_full, first_lives, said_full;

int64_t mpmx_clock_coarse_ms(void) { return now_us / 1000 / 4 * 4; }
int64_t mpmx_clock_us(void) { return now_us; }
int64_t mpmx_clock_cpu_us(void) { return cpu_us; }

int mpmx_scoreboard_slots(int limit)
{
    (void)limit;
    return SLOTS;
}

int mpmx_scoreboard_is_partner(const mpmx_child *c, int slot)
{
    return slot != c->slot && ((slot == first.slot && first_lives) || slot == child.slot || slot == third.slot);
}

int mpmx_scoreboard_connections(int slot)
{
    return slot == first.slot ? open_there : open_here;
}

int mpmx_crew_sum(mpmx_crew *crew, int which)
{
    (void)crew;
    (void)which;
    return open_here;
}

void mpmx_listeners_pause(mpmx_child *c, int reason) { atomic_fetch_or(&c->paused, reason); }
void mpmx_listeners_go_on(mpmx_child *c, int reason) { atomic_fetch_and(&c->paused, ~reason); }
void mpmx_child_say(mpmx_child *c, char word) { said_full += c == &child && word == MPMX_SAY_FULL; }
void mpmx_child_awake_at(mpmx_child *c, int64_t when) { (void)c; woken_at = when; }

int mpmx_accept_queue(int fd, int *waiting, int *most)
{
    (void)fd;
    *waiting = half_full ? 300 : queue;
    *most = 511;
    return queue >= 0;
}

/* A load, per millisecond. */
static struct load {
    int mine;                    /* connections that this child accepts while it listens; the others there */
    int theirs;
    int cost_us;                 /* of CPU time for each                                      */
    int stay;                    /* of mine, so many stay                                     */
    int empties;                 /* the first one finds its queue empty so often              */
} load;

static int is_aside(void)
{
    return atomic_load(&child.paused) & MPMX_PAUSE_ASIDE;
}

static void take(mpmx_child *c)
{
    atomic_fetch_add(&c->accepted, 1);
    mpmx_aside_count(c);
}

/* One millisecond. */
static void pass(void)
{
    int64_t look = MPMX_NEVER;
    int i;

    now_us += 1000;
    for (i = 0; i < load.theirs + (is_aside() ? load.mine : 0); i++)
        take(&first);
    for (i = 0; i < load.empties; i++)
        mpmx_aside_emptied(&first);
    if (!is_aside()) {
        for (i = 0; i < load.mine; i++)
            take(&child);
        open_here += load.stay;
        cpu_us += (int64_t)load.mine * load.cost_us;
        mpmx_aside_consider(&child);
    }
    mpmx_aside_go_on(&child, mpmx_clock_coarse_ms(), &look);
}

static void run(int ms)
{
    while (ms-- > 0)
        pass();
}

/* How long until it stands aside, or does not any more; `most` if it does not happen. */
static int until(int aside, int most)
{
    int ms;

    for (ms = 0; ms < most && !is_aside() == !!aside; ms++)
        pass();
    return ms;
}

static void start(apr_pool_t *pool)
{
    memset(&child, 0, sizeof child);
    memset(&first, 0, sizeof first);
    memset(&third, 0, sizeof third);
    child.slot = 1;
    third.slot = 3;
    child.ports = 1;
    child.listener = apr_pcalloc(pool, sizeof *child.listener);
    atomic_store(&child.phase, MPMX_PHASE_RUNNING);
    open_here = open_there = queue = half_full = said_full = 0;
    first_lives = 1;
    load = (struct load){ 5, 5, 40, 0, 3 };
    mpmx_aside_init(pool);
    mpmx_aside_say(&first, 1);
    now_us += 60 * 1000000;
}

static void test_when(apr_pool_t *pool)
{
    start(pool);
    ok(until(1, 1000) < 60, "10 connections per ms of 40 us each: one child is enough");
    ok(woken_at > 0, "and looks after them");
    is_num(said_full, 1, "after it has said that others may have to look at the sockets");
    ok(mpmx_aside_anybody(&first) && !mpmx_aside_anybody(&child), "the first one knows that somebody relies on it");
    run(3000);
    ok(is_aside(), "as long as the first one takes them");
    start(pool);
    load.cost_us = 120;
    ok(until(1, 5000) == 5000, "not if they need more than a core");
    start(pool);
    load.cost_us = 300;
    load.mine = load.theirs = 1;
    ok(until(1, 5000) < 5000, "for few that cost much as well");
    start(pool);
    load.theirs = 0;
    ok(until(1, 5000) == 5000, "not if the first one takes none");
    start(pool);
    load.stay = 2;
    ok(until(1, 5000) == 5000, "nor if they stay");
    start(pool);
    mpmx_aside_say(&first, 0);
    ok(until(1, 5000) == 5000, "nor while threads of the first one block");
    start(pool);
    first.slot = 2;
    ok(until(1, 5000) == 5000, "nor if this one is the first");
    start(pool);
    atomic_store(&child.paused, MPMX_PAUSE_FULL);
    run(1000);
    ok(!is_aside(), "nor if it does not listen for another reason");
    start(pool);
    atomic_store(&child.phase, MPMX_PHASE_DRAINING);
    ok(until(1, 1000) == 1000, "nor when it leaves");
    start(pool);
    mpmx.one_process = 1;
    mpmx_aside_init(pool);
    ok(!mpmx.tally && until(1, 1000) == 1000, "nor where there is only one process");
    mpmx.one_process = 0;
}

/* From now on something is different. */
static void aside(apr_pool_t *pool)
{
    start(pool);
    until(1, 1000);
    run(50);
    if (!is_aside())
        diag("it should stand aside");
}

static void test_back(apr_pool_t *pool)
{
    int i;

    aside(pool);
    load.mine = load.theirs = 0;
    ok(until(0, 1000) <= 16, "when the first one accepts no more, it listens again");
    ok(!mpmx_aside_anybody(&first), "and says so");
    aside(pool);
    until(0, 7);                         /* it has just looked, or is about to */
    now_us -= 900;
    load.mine = load.theirs = 0;         /* the first one accepts none in so short a time */
    for (i = 0; i < 3; i++) {
        mpmx_aside_hurry(&child);
        now_us -= 900;
        pass();
    }
    ok(is_aside(), "called to look again and again it does not take fright");
    aside(pool);
    mpmx_aside_hurry(&child);
    first_lives = 0;
    is_num(until(0, 1000), 1, "at once when it is told that something has happened");
    aside(pool);
    first_lives = 0;
    ok(until(0, 1000) <= 16, "when the first one leaves");
    aside(pool);
    mpmx_aside_say(&first, 0);
    ok(until(0, 1000) <= 16, "when a thread of the first one blocks");
    aside(pool);
    half_full = 1;
    ok(until(0, 1000) <= 16, "when the queue is half full");
    aside(pool);
    open_there = 40;
    ok(until(0, 1000) <= 16, "when connections stay with the first one");
    aside(pool);
    atomic_store(&child.phase, MPMX_PHASE_DRAINING);
    ok(until(0, 1000) <= 16, "when it is told to leave");
    aside(pool);
    queue = -1;
    ok(until(0, 1000) <= 16, "when the system does not say any more how long the queue is");
    start(pool);
    queue = -1;
    ok(until(1, 1000) == 1000, "where it never does, nobody stands aside");
    start(pool);
    atomic_store(&first.deaf, 1);
    mpmx_aside_say(&first, 1);
    ok(until(1, 1000) == 1000, "nor for one that cannot listen to one of the ports");
}

static void test_overload(apr_pool_t *pool)
{
    int first_time, second_time, lasted;

    aside(pool);
    queue = 60;
    run(500);
    ok(is_aside(), "a queue that is long now and then is no reason");
    load.empties = 0;
    lasted = until(0, 1000);
    ok(lasted > 16 && lasted <= 60, "but if it is never empty, it is (%d ms)", lasted);
    queue = 0;
    first_time = until(1, 60000);
    queue = 60;
    lasted = until(0, 1000);
    queue = 0;
    second_time = until(1, 60000);
    ok(first_time >= 250 && second_time >= first_time * 3 / 2 && lasted <= 60,
       "it tries again later (%d ms), and later still (%d ms)", first_time, second_time);
    load.empties = 3;
    run(1500);
    load.empties = 0;
    queue = 60;
    until(0, 1000);
    queue = 0;
    load.empties = 3;
    first_time = until(1, 60000);
    ok(first_time < 2 * 250 + 60, "once it was right for a second, soon again (%d ms)", first_time);
}

/* Whatever it was that has made it come back. */
static void test_flapping(apr_pool_t *pool)
{
    int i;

    start(pool);
    for (i = 0; i < 20000; i++) {
        mpmx_aside_say(&first, !is_aside());
        pass();
    }
    ok(said_full >= 4 && said_full <= 9, "what does not last is tried %d times in 20 seconds", said_full);
}

/* What others write need not be true. */
static void test_nonsense(apr_pool_t *pool)
{
    int i;

    aside(pool);
    memset(mpmx.tally, 0xff, MPMX_LINE * SLOTS);
    run(100);
    ok(1, "it lives with numbers that jump");
    start(pool);
    for (i = 0; i < 1000; i++) {
        memset(mpmx.tally, i * 37, MPMX_LINE * SLOTS);
        pass();
    }
    mpmx_aside_say(&first, 1);
    load.mine = load.theirs = 0;
    until(0, 1000);
    ok(!is_aside(), "and listens when nobody else does");
    aside(pool);
    mpmx_aside_begin(child.slot);
    ok(!mpmx_aside_anybody(&first), "a new child does not stand aside because the one before it in its slot did");
    start(pool);
    child.slot_lost = 1;
    memset(mpmx.tally, 0, MPMX_LINE * SLOTS);
    mpmx_aside_count(&child);
    mpmx_aside_emptied(&child);
    mpmx_aside_say(&child, 1);
    for (i = 0; i < MPMX_LINE * SLOTS && !((char *)mpmx.tally)[i]; i++)
        ;
    ok(i == MPMX_LINE * SLOTS, "who has lost its slot writes nothing there");
}

int main(void)
{
    apr_pool_t *pool;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_when(pool);
    test_back(pool);
    test_overload(pool);
    test_flapping(pool);
    test_nonsense(pool);
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_done();
}
