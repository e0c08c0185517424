/*
 * crew_test.c - promise: each report and each piece of work is given to exactly one worker,
 * also when the worker that fetched it has blocked; no more workers run than there are cores,
 * but for each that blocks another one; all leave when told.
 *
 * Poller, clock and the states of threads are made up here, so that the rule can be looked at
 * step by step. The stresses are worth most under -fsanitize=thread (unit-tsan).
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "apr_general.h"

#include "crew.h"
#include "httpd_stubs.h"
#include "tap.h"
#include "threadstate.h"

#define SIZE 8                   /* workers */

/* --- the poller: a queue of tokens -------------------------------------------------- */

#define QUEUE 40000

struct mpmx_poller {
    pthread_mutex_t lock;
    pthread_cond_t more;
    uint64_t token[QUEUE];
    int first, last, wakes, shut;
};

static struct mpmx_poller poller;

static void report(uint64_t token)
{
    pthread_mutex_lock(&poller.lock);
    poller.token[poller.last++ % QUEUE] = token;
    pthread_cond_signal(&poller.more);
    pthread_mutex_unlock(&poller.lock);
}

int mpmx_poller_wait(mpmx_poller *p, mpmx_poll_event *events, int max)
{
    int n = 0;

    pthread_mutex_lock(&p->lock);
    while (p->first == p->last && !p->wakes && !p->shut)
        pthread_cond_wait(&p->more, &p->lock);
    while (n < max && p->first != p->last) {
        events[n].token = p->token[p->first++ % QUEUE];
        events[n++].events = MPMX_POLL_READ;
    }
    if (n < max && (p->wakes || p->shut)) {
        p->wakes = 0;            /* wake-ups may merge */
        events[n].token = MPMX_POLL_WAKE_TOKEN;
        events[n++].events = 0;
    }
    pthread_mutex_unlock(&p->lock);
    return n;
}

void mpmx_poller_wake(mpmx_poller *p)
{
    pthread_mutex_lock(&p->lock);
    p->wakes++;
    pthread_cond_signal(&p->more);
    pthread_mutex_unlock(&p->lock);
}

void mpmx_poller_shut(mpmx_poller *p)
{
    pthread_mutex_lock(&p->lock);
    p->shut = 1;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
}

/* --- the states of threads: what they say of themselves ------------------------------ */

static _Atomic int threads;
static _Atomic int asleep[SIZE * 8];
static _Atomic int all_seem_asleep;
static __thread int me;

int mpmx_threadstate_self(void)
{
    me = atomic_fetch_add(&threads, 1);
    return me;
}

int mpmx_threadstate_open(int tid)
{
    return tid;
}

int mpmx_threadstate_asleep(int handle)
{
    return atomic_load(&all_seem_asleep) || atomic_load(&asleep[handle]);
}

void mpmx_threadstate_close(int handle)
{
    (void)handle;
}

/* --- the child -------------------------------------------------------------------------- */

/* Tokens: FAST is served at once, SLEEP blocks for 2 ms, HOLD and BUSY until let go, the
 * latter computing. */
enum { INDEXES = 1 << 16, FAST = 1 << 16, SLEEP = 2 << 16, HOLD = 3 << 16, BUSY = 4 << 16, KIND = 7 << 16 };

static struct { mpmx_crew crew; } child;       /* begins with its crew, as crew.c expects */
static apr_pool_t *pool;
static _Atomic int kicks, holding, let_go, served_all, worked_all;
static _Atomic unsigned char served[INDEXES], worked[INDEXES];
static int64_t now_us;

static void serve(uint64_t token)
{
    const struct timespec ms = { 0, 1000000 }, two_ms = { 0, 2000000 };
    int kind = (int)token & KIND;

    atomic_store(&asleep[me], kind != BUSY && kind != FAST);
    if (kind == SLEEP)
        nanosleep(&two_ms, NULL);
    if (kind == HOLD || kind == BUSY) {
        atomic_fetch_add(&holding, 1);
        while (!atomic_load(&let_go))
            nanosleep(&ms, NULL);
        atomic_fetch_sub(&holding, 1);
    }
    atomic_store(&asleep[me], 0);
    atomic_fetch_add(&served[token & ~(uint64_t)KIND], 1);
    atomic_fetch_add(&served_all, 1);
}

typedef struct errand {
    mpmx_work work;
    uint64_t token;
} errand;

static void serve_errand(mpmx_worker *w, mpmx_work *work)
{
    errand *e = (errand *)work;
    uint64_t token = e->token;

    (void)w;
    free(e);
    serve(token);
}

static void do_errand(mpmx_worker *w, mpmx_work *work)
{
    errand *e = (errand *)work;

    (void)w;
    atomic_fetch_add(&worked[e->token], 1);
    atomic_fetch_add(&worked_all, 1);
    free(e);
}

static void submit(void (*run)(mpmx_worker *, mpmx_work *), uint64_t token)
{
    errand *e = malloc(sizeof *e);

    e->work.run = run;
    e->token = token;
    mpmx_crew_submit(&child.crew, &e->work);
}

static void resubmit(mpmx_worker *blocked, const mpmx_poll_event *event)
{
    (void)blocked;
    submit(serve_errand, event->token);
}

static void kick(struct mpmx_child *c)
{
    (void)c;
    atomic_fetch_add(&kicks, 1);
}

static void ready(mpmx_worker *w)
{
    (void)w;
}

/* Returns, instead of apr_thread_exit(): AddressSanitizer takes a thread that ends within APR,
 * which it does not know, for one that overwrites its stack. */
static void *APR_THREAD_FUNC worker_main(apr_thread_t *thread, void *data)
{
    mpmx_worker *w = data;
    mpmx_poll_event event;
    mpmx_work *work;
    int what;

    (void)thread;
    mpmx_crew_enter(w);
    while ((what = mpmx_crew_next(w, &event, &work)) != 0) {
        if (what == 1)
            serve(event.token);
        else
            work->run(w, work);
    }
    mpmx_crew_leave(w);
    return NULL;
}

static void start(int base)
{
    mpmx_crew *crew = &child.crew;

    memset(&child, 0, sizeof child);
    memset(&poller, 0, sizeof poller);
    pthread_mutex_init(&poller.lock, NULL);
    pthread_cond_init(&poller.more, NULL);
    memset((void *)served, 0, sizeof served);
    memset((void *)worked, 0, sizeof worked);
    threads = kicks = holding = let_go = served_all = worked_all = 0;
    memset((void *)asleep, 0, sizeof asleep);
    crew->child = (struct mpmx_child *)&child;
    crew->poller = &poller;
    crew->kick = kick;
    crew->ready = ready;
    crew->resubmit = resubmit;
    crew->main = worker_main;
    mpmx_crew_init(crew, SIZE, pool);
    atomic_store(&crew->base, base);
    is_num(mpmx_crew_start(crew, pool), 0, "all workers are started");
    is_num(mpmx_crew_start(crew, pool), 0, "and not a second time");
}

static int tick(void)
{
    now_us += 1000;
    return mpmx_crew_tick(&child.crew, now_us);
}

static void end(void)
{
    apr_status_t rv;
    int i;

    atomic_store(&let_go, 1);
    mpmx_crew_dismiss(&child.crew);
    for (i = 0; i < SIZE; i++) {
        apr_thread_join(&rv, child.crew.worker[i].thread);
        free(child.crew.worker[i].scratch);
    }
    ok(child.crew.alive == 0 && child.crew.running == 0, "dismissed, all workers leave");
}

/* Ticks, with the real time of a millisecond, until *number is what it should be. */
static int await(_Atomic int *number, int wanted)
{
    const struct timespec ms = { 0, 1000000 };
    int i;

    for (i = 0; i < 30000 && atomic_load(number) != wanted; i++) {
        tick();
        nanosleep(&ms, NULL);
    }
    return atomic_load(number) == wanted;
}

/* The same without ticks. */
static int happens(_Atomic int *number, int wanted)
{
    const struct timespec ms = { 0, 1000000 };
    int i;

    for (i = 0; i < 10000 && atomic_load(number) != wanted; i++)
        nanosleep(&ms, NULL);
    return atomic_load(number) == wanted;
}

static int all_idle(void)
{
    const struct timespec ms = { 0, 1000000 };
    int i;

    for (i = 0; i < 30000 && mpmx_crew_idle(&child.crew) != SIZE; i++)
        nanosleep(&ms, NULL);
    return mpmx_crew_idle(&child.crew) == SIZE;
}

/* --- the rule ------------------------------------------------------------------------------ */

static void test_rule(void)
{
    mpmx_crew *crew = &child.crew;
    int i, n, wrong = 0;

    start(1);
    ok(all_idle() && await(&crew->running, 1), "one core: one worker runs, the others stand by");
    submit(do_errand, 0);
    ok(happens(&worked_all, 1), "work that is submitted wakes somebody up");
    for (i = 0; i < 1000; i++)
        report((uint64_t)(FAST | i));
    ok(await(&served_all, 1000), "fast handlers are served");
    ok(crew->running == 1 && crew->blocked == 0, "by one worker");

    report(HOLD | 1000);
    ok(await(&holding, 1), "a handler blocks");
    report(FAST | 1001);
    ok(await(&served_all, 1001) && holding == 1, "beside it, another worker serves");
    is_num(crew->blocked, 1, "one is known to be blocked");
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
    ok(await(&served_all, n) && kicks > i, "with the next report, the housekeeper is called");
    for (i = 0; i < n; i++)
        wrong += served[i] != 1;
    is_num(wrong, 0, "each was served once");
    end();
}

static void test_take_over(void)
{
    mpmx_crew *crew = &child.crew;
    int i, wrong = 0;

    start(1);
    all_idle();
    await(&crew->running, 1);
    pthread_mutex_lock(&poller.lock);    /* so that they are fetched together */
    for (i = 0; i < 20; i++)
        poller.token[poller.last++ % QUEUE] = (uint64_t)((i ? FAST : HOLD) | i);
    pthread_cond_signal(&poller.more);
    pthread_mutex_unlock(&poller.lock);
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

    start(1);
    all_idle();
    await(&crew->running, 1);
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

/* --- stresses -------------------------------------------------------------------------------- */

#define REPORTS 20000
#define SUBMITTERS 2
#define ERRANDS 4000             /* of each submitter */

static void *submitter(void *arg)
{
    uint64_t first = (uint64_t)(intptr_t)arg * ERRANDS, i;

    for (i = first; i < first + ERRANDS; i++) {
        submit(do_errand, i);
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

    start(base);
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
        start(3);
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
    test_take_over();
    test_computing();
    test_stress(1, 0);
    test_stress(3, 0);
    test_stress(2, 1);
    test_dismissal();
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_done();
}
