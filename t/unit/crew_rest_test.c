/*
 * crew_rest_test.c - promise: when a worker rests, another one runs at once and serves what it had
 * fetched; it counts as running again when it is back. Where waits are announced, the housekeeper
 * ticks only while that is of use, and is told when the last thread is taken. However service,
 * rest and work mix: nobody waits for ever.
 *
 * The tests in between do without ticks, or tick by hand; the mixes have a housekeeper that
 * sleeps until it is called, however long, as the real one may.
 */
#include <unistd.h>

#include "crew_bed.h"
#include "clock.h"
#include "recall.h"
#include "recall_stubs.h"

#define SIZE MAX_SIZE

int64_t mpmx_clock_coarse_ms(void)
{
    return now_us / 1000;
}

static int descriptor[2];                /* of the poller, for the housekeeper: nothing comes */

int mpmx_poller_descriptor(mpmx_poller *p)
{
    (void)p;
    return descriptor[0];
}

/* The housekeeper looks: is every thread taken? If not, it is not told any more. */
static int look(void)
{
    int64_t until = MPMX_NEVER;

    mpmx_recall_watch(&child, mpmx_clock_coarse_ms(), &until);
    return atomic_load(&child.crew.all_taken);
}

/* Ticks until they may stop. */
static int ticks_stop(void)
{
    int i;

    for (i = 0; i < 1000 && tick(); i++)
        ;
    return i < 1000 && !atomic_load(&child.crew.tick_wanted);
}

/* Ticks until somebody is in the poller. */
static int await_waiting(void)
{
    int i;

    for (i = 0; i < 10000 && atomic_load(&child.crew.waiting) < 1; i++) {
        tick();
        bed_pause(1000);
    }
    return i < 10000;
}

static int wrongly_served(int n)
{
    int i, wrong = 0;

    for (i = 0; i < n; i++)
        wrong += served[i] != 1;
    return wrong;
}

/* --- rest ------------------------------------------------------------------------------------ */

static void test_rest(int announced)
{
    mpmx_crew *crew = &child.crew;
    int i, n = 0, off = 0, slow = 0;

    start(SIZE, 1, announced);
    ok(settle_to_one(), "%s: one runs", announced ? "announced" : "not announced");
    for (i = 1; i < SIZE; i++) {
        report((uint64_t)(REST | n++));
        slow += !happens(&resting, i);
        /* By the time that it rests, without anybody else's doing. */
        off += crew->running != 1 || crew->standing != SIZE - 1 - i;
        report((uint64_t)(FAST | n++));
        slow += !happens(&served_all, i);
    }
    is_num(off, 0, "whoever rests does not count, and has let another one run");
    is_num(slow, 0, "which serves, without a tick");
    report((uint64_t)(REST | n++));
    ok(happens(&resting, SIZE) && crew->running == 0 && crew->standing == 0, "all may rest at the same time");
    report((uint64_t)(FAST | n++));
    bed_pause(10000);
    is_num(served_all, SIZE - 1, "then a report has to wait");
    atomic_store(&let_go, 1);
    ok(happens(&served_all, n), "until they come back");
    ok(settle_to_one(), "and then one runs again");
    ok(crew->blocked == 0 && crew->allowed == 1, "nobody was taken for blocked");
    is_num(wrongly_served(n), 0, "each was served once");
    end();
}

static void test_hand_over(int announced)
{
    uint64_t token[20];
    int i;

    start(SIZE, 1, announced);
    settle_to_one();
    for (i = 0; i < 20; i++)
        token[i] = (uint64_t)((i ? FAST : REST) | i);
    report_all(token, 20);
    ok(happens(&resting, 1) && happens(&served_all, 19), "what a worker has fetched before it rests, others serve");
    atomic_store(&let_go, 1);
    happens(&served_all, 20);
    is_num(wrongly_served(20), 0, "each once");
    end();
}

/* Found out first, and then it says so. */
static void test_blocked_rests(void)
{
    mpmx_crew *crew = &child.crew;
    int n = 0;

    start(SIZE, 1, 0);
    settle_to_one();
    report(HOLD_REST);
    ok(await(&crew->blocked, 1) && crew->running > 1, "a handler blocks, and another worker runs");
    /* Those let run to be on the safe side find out with their next report that it was in vain. */
    while (crew->running > 2 && n < 2000 && await(&served_all, n))
        report((uint64_t)(FAST | ++n));
    await(&served_all, n);
    is_num(crew->running, 2, "and no more after a while");
    atomic_store(&may_rest, 1);
    ok(happens(&resting, 1) && crew->blocked == 0 && crew->running == 1, "if it rests then, it counts as neither any more");
    atomic_store(&let_go, 1);
    ok(happens(&served_all, n + 1) && settle_to_one(), "and comes back like any other");
    end();
}

/* --- announced waits: ticks -------------------------------------------------------------------- */

static void test_ticks(void)
{
    mpmx_crew *crew = &child.crew;
    int i, n = 0, kicked, slow = 0;

    start(SIZE, 2, 1);
    all_idle();
    ok(await(&crew->waiting, 2) && await(&crew->standing, SIZE - 2) && ticks_stop(), "two cores: two wait, no ticks");
    kicked = kicks;
    for (i = 0; i < 200; i++) {
        report((uint64_t)(FAST | n++));
        slow += !happens(&served_all, n) || !happens(&crew->waiting, 2);
    }
    ok(!slow && kicks == kicked && !crew->tick_wanted, "while somebody is in the poller, nobody wants ticks");
    report((uint64_t)(HOLD | n++));
    ok(happens(&holding, 1) && kicks == kicked && !crew->tick_wanted, "also if a handler blocks");
    report((uint64_t)(HOLD | n++));
    ok(happens(&holding, 2) && happens(&kicks, kicked + 1) && crew->tick_wanted,
       "the last one leaves the poller while others stand by: the housekeeper is called");
    ok(await(&crew->blocked, 2) && await_waiting(), "it finds the two blocked, and lets others run");
    ok(ticks_stop() && holding == 2, "then there are no ticks again, although handlers still block");

    /* So many cores that all may run. */
    atomic_store(&crew->base, SIZE);
    slow += !await(&crew->standing, 0) || !ticks_stop();
    for (i = 3; i < SIZE; i++) {
        report((uint64_t)(HOLD | n++));
        slow += !happens(&holding, i);
    }
    ok(!slow && happens(&crew->waiting, 1) && !crew->tick_wanted, "all but one block, and nobody is left to stand by");
    for (i = 1; i <= 20; i++) {
        report((uint64_t)(FAST | n++));
        slow += !happens(&served_all, 200 + i) || !happens(&crew->waiting, 1);
    }
    ok(!slow && !crew->tick_wanted, "where nobody stands by, nobody wants ticks");
    atomic_store(&let_go, 1);
    ok(happens(&served_all, n) && all_idle(), "they come back");
    await(&crew->blocked, 0);
    ok(ticks_stop(), "and all is quiet again");
    end();
}

/* Whoever was there first may fetch many, and the other one has none of them. */
static void test_not_held_up(int size, int base)
{
    mpmx_crew *crew = &child.crew;
    int i, n = 0, round, good = 1;

    start(size, base, 1);
    for (round = 1; round <= 20 && good; round++) {
        uint64_t token[6];

        atomic_store(&let_go, 0);
        good = all_idle() && await_waiting();
        ticks_stop();
        for (i = 0; i < 6; i++)
            token[i] = (uint64_t)((i ? FAST : HOLD) | n++);
        report_all(token, 6);
        good = good && await(&holding, 1) && await(&served_all, n - 1);
        atomic_store(&let_go, 1);
        good = happens(&served_all, n) && good;
    }
    ok(good, "%d threads, %d cores: what was fetched together with a request that blocks does not wait for it", size, base);
    if (!good)
        diag("%d waiting, %d standing, round %d", crew->waiting, crew->standing, round - 1);
    end();
}

/* --- announced waits: the last thread ------------------------------------------------------------ */

static void test_all_taken(int kind, const char *name)
{
    mpmx_crew *crew = &child.crew;
    _Atomic int *taken = kind == HOLD ? &holding : &resting;
    int i, round, n = 0, kicked, early = 0, slow = 0;

    start(SIZE, 1, 1);
    settle_to_one();
    for (round = 0; round < 3; round++) {
        atomic_store(&let_go, 0);
        for (i = 1; i < SIZE; i++) {
            report((uint64_t)(kind | n++));
            slow += !await(taken, i);
            /* It may be told while the one released last is on its way, but finds nothing then. */
            early += look();
        }
        slow += !await(&crew->standing, 0) || !await(&crew->waiting, 1) || !ticks_stop();
        kicked = kicks;
        report((uint64_t)(kind | n++));
        slow += !happens(taken, SIZE);
        ok(happens(&kicks, kicked + 1) && look(), "%s: the last thread is taken, the housekeeper is told",
           name);
        for (i = 0; i < 20; i++)
            tick();
        ok(look() && kicks == kicked + 1, "once, and it stays so");
        atomic_store(&let_go, 1);
        slow += !happens(&served_all, n) || !all_idle();
        ok(!look(), "until one is free");
    }
    is_num(early, 0, "and not before");
    is_num(slow, 0, "nobody had to wait for long");
    end();
}

/* --- mixes -------------------------------------------------------------------------------------- */

#define ROUNDS 250

static pthread_mutex_t keeper_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t keeper_called = PTHREAD_COND_INITIALIZER;
static int rung, keeper_ends;
static _Atomic int errands_due, errands_made;
static _Atomic int watching;             /* the poller's descriptor, because all are taken */

static void ring(void)
{
    pthread_mutex_lock(&keeper_lock);
    rung = 1;
    pthread_cond_signal(&keeper_called);
    pthread_mutex_unlock(&keeper_lock);
}

static int awake(void)
{
    int ends;

    pthread_mutex_lock(&keeper_lock);
    while (!rung && !keeper_ends && !atomic_load(&child.crew.tick_wanted))
        pthread_cond_wait(&keeper_called, &keeper_lock);
    rung = 0;
    ends = keeper_ends;
    pthread_mutex_unlock(&keeper_lock);
    return !ends;
}

static void *keeper(void *arg)
{
    (void)arg;
    while (awake()) {
        while (errands_made < errands_due)
            submit_errand((uint64_t)errands_made++);
        if (atomic_load(&child.crew.work_count) > 0)
            atomic_store(&child.crew.tick_wanted, 1);
        if (atomic_load(&child.crew.tick_wanted))
            tick();
        atomic_store(&watching, child.crew.announced && look());
        bed_pause(100);
    }
    return NULL;
}

static unsigned random_below(uint64_t *state, unsigned limit)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(*state >> 33) % limit;
}

static uint64_t any_kind(uint64_t *seed)
{
    static const int kinds[] = { FAST, FAST, FAST, FAST, RESTS, RESTS, RESTS, SLEEP };

    return (uint64_t)kinds[random_below(seed, 8)];
}

static int reaches(_Atomic int *number, int wanted)
{
    int i;

    for (i = 0; i < 100000 && atomic_load(number) < wanted; i++)
        bed_pause(200);
    return atomic_load(number) >= wanted;
}

/* Reports arrive together, or one by one; the housekeeper sees them if it looks after them. */
static void arrive(const uint64_t *token, int n, uint64_t *seed)
{
    int i, step;

    for (i = 0; i < n; i += step) {
        step = 1 + (int)random_below(seed, (unsigned)(n - i));
        report_all(&token[i], step);
        if (atomic_load(&watching))
            ring();
        if (random_below(seed, 3) == 0)
            sched_yield();
    }
}

/* Some of everything. */
static int mix(int *n, uint64_t *seed)
{
    int i, more = 1 + (int)random_below(seed, 2 * (unsigned)child.crew.size + 2);
    uint64_t token[2 * MAX_SIZE + 2];

    for (i = 0; i < more; i++)
        token[i] = any_kind(seed) | (uint64_t)(*n + i);
    *n += more;
    atomic_fetch_add(&errands_due, (int)random_below(seed, 3));
    ring();
    arrive(token, more, seed);
    return reaches(&served_all, *n) && reaches(&worked_all, errands_due);
}

/* Every thread is taken, by those who say so and those who do not, and more is to be served. */
static int take_all(int *n, uint64_t *seed)
{
    int i, size = child.crew.size;
    uint64_t token[MAX_SIZE];

    atomic_store(&let_go, 0);
    for (i = 0; i < size; i++)
        token[i] = (uint64_t)((random_below(seed, 2) ? REST : HOLD) | (*n + i));
    *n += size;
    arrive(token, size, seed);
    for (i = 0; i < 50000 && atomic_load(&holding) + atomic_load(&resting) < size; i++)
        bed_pause(200);
    if (atomic_load(&holding) + atomic_load(&resting) < size)
        return 0;
    if (child.crew.announced && !reaches(&watching, 1))
        return 0;
    token[0] = any_kind(seed) | (uint64_t)(*n)++;
    arrive(token, 1, seed);
    atomic_store(&let_go, 1);
    return reaches(&served_all, *n);
}

static void show_crew(void)
{
    mpmx_crew *crew = &child.crew;

    diag("%d served, %d waiting, %d standing, %d running, %d allowed, %d blocked, %d work, tick %d, all taken %d",
         served_all, crew->waiting, crew->standing, crew->running, crew->allowed, crew->blocked, crew->work_count,
         crew->tick_wanted, crew->all_taken);
}

static void test_mix(int size, int base, int announced)
{
    uint64_t seed = (uint64_t)(size * 100 + base * 10 + announced);
    pthread_t thread;
    int round, n = 0, good = 1, sum = 0;

    rung = keeper_ends = 0;
    errands_due = errands_made = watching = 0;
    bed_bell = ring;
    start(size, base, announced);
    pthread_create(&thread, NULL, keeper, NULL);
    ring();
    for (round = 0; round < ROUNDS && good; round++) {
        atomic_store(&let_go, 1);
        good = round % 10 == 9 ? take_all(&n, &seed) : mix(&n, &seed);
        /* At times until the ticks have stopped. */
        if (good && random_below(&seed, 3) == 0)
            bed_pause((long)random_below(&seed, 3000));
    }
    ok(good, "a mix for %d threads, %d cores, waits %s: nobody waits for ever", size, base,
       announced ? "announced" : "not announced");
    if (!good)
        show_crew();
    is_num(wrongly_served(n), 0, "each was served once");
    ok(all_idle() && happens(&child.crew.blocked, 0), "in the end, nobody is taken for blocked");
    for (round = 0; round < 30000; round++) {
        sum = child.crew.running + child.crew.standing;
        if (sum == size && child.crew.waiting == child.crew.running)
            break;
        bed_pause(1000);
    }
    ok(round < 30000 && child.crew.running >= 1, "and all are there: %d of them run", child.crew.running);
    pthread_mutex_lock(&keeper_lock);
    keeper_ends = 1;
    pthread_cond_signal(&keeper_called);
    pthread_mutex_unlock(&keeper_lock);
    pthread_join(thread, NULL);
    end();
    bed_bell = NULL;
}

int main(void)
{
    int announced;

    alarm(240);
    if (pipe(descriptor))
        return 1;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    for (announced = 0; announced < 2; announced++) {
        test_rest(announced);
        test_hand_over(announced);
    }
    test_blocked_rests();
    test_ticks();
    test_not_held_up(2, 2);
    test_not_held_up(8, 1);
    test_not_held_up(8, 3);
    test_all_taken(HOLD, "serving");
    test_all_taken(REST, "resting");
    for (announced = 0; announced < 2; announced++) {
        test_mix(1, 1, announced);
        test_mix(2, 1, announced);
        test_mix(8, 2, announced);
    }
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_done();
}
