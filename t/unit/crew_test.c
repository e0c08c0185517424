/*
 * crew_test.c - promise: each report and each piece of work is given to exactly one worker,
 * also when the worker that fetched it has blocked; no more workers run than there are cores,
 * but for each that blocks another one; all leave when told.
 *
 * The stresses are worth most under -fsanitize=thread (unit-tsan). What workers that rest
 * change: crew_rest_test.c.
 */
#include <sched.h>
#include <unistd.h>

#include "crew_bed.h"

#define SIZE 8                   /* workers */

/* --- the rule ------------------------------------------------------------------------------ */

static void test_rule(void)
{
    mpmx_crew *crew = &child.crew;
    int i, n, wrong = 0;

    start(SIZE, 1, 0);
    is_num(mpmx_crew_start(crew, crew->size, pool), 0, "and not a second time");
    ok(settle_to_one(), "one core: one worker runs, the others stand by");
    submit_errand(0);
    ok(happens(&worked_all, 1), "work that is submitted wakes somebody up");
    for (i = 0; i < 1000; i++)
        report((uint64_t)(FAST | i));
    ok(await(&served_all, 1000), "fast handlers are served");
    ok(crew->running == 1 && crew->blocked == 0, "by one worker");

    report(HOLD | 1000);
    ok(await(&holding, 1), "a handler blocks");
    report(FAST | 1001);
    ok(await(&served_all, 1001) && holding == 1, "beside it, another worker serves");
    ok(await(&crew->blocked, 1), "one is known to be blocked");
    for (i = 2; i < SIZE; i++)
        report((uint64_t)(HOLD | (1000 + i)));
    ok(await(&holding, SIZE - 1), "so do others, and each time there is one more");
    report(FAST | (1000 + SIZE));
    ok(await(&served_all, 1002), "down to the last");
    atomic_store(&let_go, 1);
    n = 1001 + SIZE;
    ok(await(&served_all, n) && await(&crew->blocked, 0), "they come back");
    /* One that waits in the poller finds out with its next report. */
    while (crew->running > 1 && n < 20000 && await(&served_all, n))
        report((uint64_t)(FAST | n++));
    ok(crew->running == 1, "and stand by again");
    await(&served_all, n);
    for (i = 0; i < 1000 && tick(); i++)
        ;
    ok(i < 1000 && !crew->tick_wanted, "when nobody serves for a while, the ticks may stop");
    i = kicks;
    report((uint64_t)(FAST | n++));
    ok(happens(&served_all, n) && kicks > i, "with the next report, the housekeeper is called");
    for (i = 0; i < n; i++)
        wrong += served[i] != 1;
    is_num(wrong, 0, "each was served once");
    end();
}

static void test_threads_when_needed(void)
{
    mpmx_crew *crew = &child.crew;
    int i, most = 0;

    prepare(SIZE, 1, 0);
    is_num(mpmx_crew_first(crew, 1), 3, "a core's worth of threads, and two in reserve");
    is_num(mpmx_crew_start(crew, 3, pool), 0, "are started");
    ok(happens(&crew->standing, 2) && crew->running == 1, "one of them runs");
    is_num(mpmx_crew_idle(crew), SIZE, "those without a thread count as idle");
    for (i = 0; i < 1000; i++)
        report((uint64_t)(FAST | i));
    ok(happens(&served_all, 1000) && crew->unstarted == SIZE - 3, "fast handlers need no more");
    for (i = 0; i < SIZE; i++) {
        report((uint64_t)(HOLD | (1000 + i)));
        if (await(&holding, i + 1))
            most = i + 1;
    }
    is_num(most, SIZE, "one after the other blocks, and each time there is one more, up to all");
    is_num(crew->unstarted, 0, "which have a thread now");
    atomic_store(&let_go, 1);
    ok(await(&served_all, 1000 + SIZE), "all are served");
    end();
    prepare(SIZE, 1, 0);
    atomic_store(&crew->lacking, SIZE);
    is_num(mpmx_crew_start(crew, 3, pool), 0, "started while more are asked for");
    ok(crew->unstarted == 0 && crew->lacking == 0, "those are started, too, and the wish is not lost");
    end();
    prepare(SIZE, 1, 1);
    is_num(mpmx_crew_first(crew, 1), SIZE, "where waits are announced, all are started at once");
}

static void test_take_over(void)
{
    uint64_t token[20];
    int i, wrong = 0;

    start(SIZE, 1, 0);
    settle_to_one();
    for (i = 0; i < 20; i++)
        token[i] = (uint64_t)((i ? FAST : HOLD) | i);
    report_all(token, 20);
    ok(await(&holding, 1) && await(&served_all, 19), "what a worker has fetched before it blocked, others serve");
    atomic_store(&let_go, 1);
    await(&served_all, 20);
    for (i = 0; i < 20; i++)
        wrong += served[i] != 1;
    is_num(wrong, 0, "each once");
    end();
}

static void test_computing(void)
{
    mpmx_crew *crew = &child.crew;
    int i;

    start(SIZE, 1, 0);
    settle_to_one();
    report(BUSY);
    while (!atomic_load(&holding))
        sched_yield();
    for (i = 0; i < 9; i++)
        tick();
    ok(crew->blocked == 0 && crew->running == 1, "a handler that computes for some milliseconds is not blocked");
    for (i = 0; i < 5; i++)
        tick();
    is_num(crew->blocked, 1, "after a while, it has to share");
    report(FAST | 1);
    ok(await(&served_all, 1) && holding == 1, "beside it, another worker serves");
    end();
}

/* Serves 20 in no time, and is at work when the next tick comes. */
static void be_brisk(int seems_asleep)
{
    int i;

    start(SIZE, 1, 0);
    ok(settle_to_one(), "one waits for reports");
    for (i = 0; i < 20; i++)
        report((uint64_t)(FAST | i));
    happens(&served_all, 20);
    atomic_store(&all_seem_asleep, seems_asleep);
    report(BUSY | 20);
    while (!atomic_load(&holding))
        sched_yield();
    tick();
}

static void test_late_ticks(void)
{
    be_brisk(0);
    is_num(child.crew.interval_us, MPMX_TICK_LATE_US, "with fast handlers, the next tick comes later");
    tick();
    is_num(child.crew.interval_us, MPMX_TICK_US, "not while one takes its time");
    end();
    be_brisk(1);
    is_num(child.crew.interval_us, MPMX_TICK_SOON_US, "and soon if it is asleep");
    atomic_store(&all_seem_asleep, 0);
    end();
}

/* Long since nobody has blocked. */
static void test_calm_ticks(void)
{
    mpmx_crew *crew = &child.crew;
    int i, n, slow = 0;

    start(SIZE, 1, 0);
    settle_to_one();
    for (n = 0; n < 100; n++) {
        report((uint64_t)(FAST | n));
        slow += !happens(&served_all, n + 1) || !all_idle();
        tick();
    }
    ok(!slow && mpmx_crew_is_calm(crew), "when nobody has blocked in many ticks, the crew is calm");
    report((uint64_t)(BUSY | n++));
    while (!atomic_load(&holding))
        sched_yield();
    for (i = 0; i < 2; i++) {
        tick();
        is_num(crew->interval_us, MPMX_TICK_RARE_US, "then ticks are few, also while one takes its time");
    }
    atomic_store(&all_seem_asleep, 1);
    tick();
    is_num(crew->interval_us, MPMX_TICK_SOON_US, "but the next one is soon if it is asleep");
    tick();
    ok(!mpmx_crew_is_calm(crew) && crew->interval_us == MPMX_TICK_US, "and then it is not calm any more");
    atomic_store(&all_seem_asleep, 0);
    end();
}

static int ticks_stop(void)
{
    int i;

    for (i = 0; i < 1000 && tick(); i++)
        bed_pause(1000);
    return i < 1000 && !atomic_load(&child.crew.tick_wanted);
}

static void test_few_ticks(void)
{
    mpmx_crew *crew = &child.crew;
    int i, n = 0, slow = 0, stopped = 0, kicked;

    start(SIZE, 1, 0);
    settle_to_one();
    for (i = 0; i < 20; i++) {
        report((uint64_t)(FAST | n++));
        slow += !happens(&served_all, n) || !all_idle();
        stopped += !tick();
    }
    ok(!slow && !stopped, "while some are served between two ticks, these go on");
    is_num(crew->interval_us, MPMX_TICK_RARE_US, "but are few if they see nobody at work");
    ok(!tick() && !crew->tick_wanted, "and stop when nobody has served");

    kicked = kicks;
    report((uint64_t)(HOLD | n++));
    ok(happens(&holding, 1) && happens(&kicks, kicked + 1), "one blocks: the housekeeper was called");
    ok(await(&crew->blocked, 1), "and finds out");
    ok(ticks_stop() && holding == 1, "then the ticks stop, although it still blocks");
    for (i = 0; i < 20; i++) {
        report((uint64_t)(FAST | n++));
        slow += !happens(&served_all, n - 1);
    }
    ok(!slow, "others are served without a tick");
    ok(ticks_stop(), "and they stop again");
    kicked = kicks;
    report((uint64_t)(HOLD | n++));
    ok(happens(&holding, 2) && happens(&kicks, kicked + 1), "another one blocks: the housekeeper was called");
    report((uint64_t)(FAST | n++));
    ok(await(&served_all, n - 2) && await(&crew->blocked, 2), "beside them, another worker serves");
    atomic_store(&let_go, 1);
    ok(happens(&served_all, n) && happens(&crew->blocked, 0), "they come back");
    end();
}

/* --- stresses -------------------------------------------------------------------------------- */

#define REPORTS 20000
#define SUBMITTERS 2
#define ERRANDS 4000             /* of each submitter */

static void *submitter(void *arg)
{
    uint64_t first = (uint64_t)(intptr_t)arg * ERRANDS, i;

    for (i = first; i < first + ERRANDS; i++) {
        submit_errand(i);
        if (i % 64 == 0)
            sched_yield();
    }
    return NULL;
}

static void *reporter(void *arg)
{
    int i;

    (void)arg;
    for (i = 0; i < REPORTS; i++) {
        report((uint64_t)(i | (i % 100 == 7 ? SLEEP : FAST)));
        if (i % 256 == 0)
            sched_yield();
    }
    return NULL;
}

/* With `hostile`, every worker is taken for blocked at once, and the housekeeper takes away
 * all the time what they are about to serve. */
static void test_stress(int base, int hostile)
{
    pthread_t thread[SUBMITTERS + 1];
    int i, lost = 0, twice = 0;

    start(SIZE, base, 0);
    atomic_store(&all_seem_asleep, hostile);
    for (i = 0; i < SUBMITTERS; i++)
        pthread_create(&thread[i], NULL, submitter, (void *)(intptr_t)i);
    pthread_create(&thread[SUBMITTERS], NULL, reporter, NULL);
    while (hostile && atomic_load(&served_all) < REPORTS)
        tick();
    ok(await(&served_all, REPORTS) && await(&worked_all, SUBMITTERS * ERRANDS),
       "stress%s, %d cores: all reports are served, all work is done", hostile ? " and theft" : "", base);
    atomic_store(&all_seem_asleep, 0);
    for (i = 0; i <= SUBMITTERS; i++)
        pthread_join(thread[i], NULL);
    for (i = 0; i < REPORTS; i++) {
        lost += served[i] == 0;
        twice += served[i] > 1;
    }
    for (i = 0; i < SUBMITTERS * ERRANDS; i++) {
        lost += worked[i] == 0;
        twice += worked[i] > 1;
    }
    is_num(lost, 0, "none is lost");
    is_num(twice, 0, "none is done twice");
    end();
}

/* Whoever stands by, waits or serves when the end comes. */
static void test_dismissal(void)
{
    int round, i;

    for (round = 0; round < 5; round++) {
        start(SIZE, 3, 0);
        for (i = 0; i < round * 40; i++)
            report((uint64_t)(i | (i % 3 ? FAST : SLEEP)));
        for (i = 0; i < round * 3; i++)
            tick();
        end();
    }
}

int main(void)
{
    alarm(120);
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_rule();
    test_threads_when_needed();
    test_take_over();
    test_computing();
    test_late_ticks();
    test_calm_ticks();
    test_few_ticks();
    test_stress(1, 0);
    test_stress(3, 0);
    test_stress(2, 1);
    test_dismissal();
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_done();
}
