/*
 * crew_bed.h - a crew with nothing real around it, for tests of the rule who runs.
 *
 * Poller, clock and the states of threads are made up here, so that the rule can be looked at
 * step by step; httpd's place is taken by handlers that block, compute or rest as their tokens say.
 * There is a housekeeper only if a test is one, by calling tick(), or runs one in a thread.
 *
 * One translation unit per program, as tap.h.
 */
#ifndef MPMX_CREW_BED_H
#define MPMX_CREW_BED_H

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "apr_general.h"

#include "child.h"
#include "crew.h"
#include "httpd_stubs.h"
#include "tap.h"
#include "threadstate.h"

#define MAX_SIZE 8               /* workers */
#define BED_UNUSED __attribute__((unused))

static void bed_pause(long us)
{
    const struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

    nanosleep(&ts, NULL);
}

/* --- the poller: a queue of tokens -------------------------------------------------- */

#define QUEUE 40000

struct mpmx_poller {
    pthread_mutex_t lock;
    pthread_cond_t more;
    uint64_t token[QUEUE];
    int first, last, wakes, shut;
};

static struct mpmx_poller poller;

/* All of them can be fetched in one call. */
static void report_all(const uint64_t *token, int n)
{
    int i;

    pthread_mutex_lock(&poller.lock);
    for (i = 0; i < n; i++)
        poller.token[poller.last++ % QUEUE] = token[i];
    pthread_cond_signal(&poller.more);
    pthread_mutex_unlock(&poller.lock);
}

static void report(uint64_t token)
{
    report_all(&token, 1);
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
    /* One signal may stand for more than one report. */
    if (p->first != p->last || p->wakes)
        pthread_cond_signal(&p->more);
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
static _Atomic int asleep[MAX_SIZE * 8];
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

/* --- handlers --------------------------------------------------------------------------- */

/* A token is a kind and a number. */
enum {
    NUMBERS = 1 << 16,
    FAST = 1 << 16,              /* is served at once                                         */
    SLEEP = 2 << 16,             /* blocks for 2 ms                                           */
    HOLD = 3 << 16,              /* blocks until let go                                       */
    BUSY = 4 << 16,              /* computes until let go                                     */
    REST = 5 << 16,              /* rests until let go                                        */
    RESTS = 6 << 16,             /* rests some times, for very short or not at all            */
    HOLD_REST = 7 << 16,         /* blocks until it may rest, and then rests until let go     */
    KIND = 7 << 16
};

static mpmx_child child;
static apr_pool_t *pool;
static _Atomic int kicks, holding, resting, may_rest, let_go, served_all, worked_all;
static _Atomic unsigned char served[NUMBERS], worked[NUMBERS];
static int64_t now_us;

static void hold_until(_Atomic int *flag)
{
    atomic_fetch_add(&holding, 1);
    while (!atomic_load(flag))
        bed_pause(1000);
    atomic_fetch_sub(&holding, 1);
}

static void rest(mpmx_worker *w)
{
    mpmx_crew_rest(w);
    atomic_fetch_add(&resting, 1);
    while (!atomic_load(&let_go))
        bed_pause(1000);
    atomic_fetch_sub(&resting, 1);
    mpmx_crew_unrest(w);
}

static void rest_often(mpmx_worker *w, unsigned number)
{
    unsigned i;

    for (i = 0; i <= number % 3; i++) {
        mpmx_crew_rest(w);
        if ((number + i) % 5 == 0)
            bed_pause(100);
        mpmx_crew_unrest(w);
        if ((number + i) % 7 == 0)
            sched_yield();
    }
}

static void serve(mpmx_worker *w, uint64_t token)
{
    int kind = (int)token & KIND;
    unsigned number = (unsigned)(token & ~(uint64_t)KIND);

    atomic_store(&asleep[me], kind != BUSY && kind != FAST && kind != RESTS);
    if (kind == SLEEP)
        bed_pause(2000);
    else if (kind == HOLD || kind == BUSY)
        hold_until(&let_go);
    else if (kind == REST)
        rest(w);
    else if (kind == RESTS)
        rest_often(w, number);
    else if (kind == HOLD_REST) {
        hold_until(&may_rest);
        rest(w);
    }
    atomic_store(&asleep[me], 0);
    atomic_fetch_add(&served[number], 1);
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

    free(e);
    serve(w, token);
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

static void BED_UNUSED submit_errand(uint64_t number)
{
    submit(do_errand, number);
}

/* --- the child -------------------------------------------------------------------------- */

static void resubmit(mpmx_worker *blocked, const mpmx_poll_event *event)
{
    (void)blocked;
    submit(serve_errand, event->token);
}

/* What a kick is to the test that runs; NULL: it looks at `kicks`. */
static void (*bed_bell)(void);

static void kick(struct mpmx_child *c)
{
    (void)c;
    atomic_fetch_add(&kicks, 1);
    if (bed_bell)
        bed_bell();
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
            serve(w, event.token);
        else
            work->run(w, work);
    }
    mpmx_crew_leave(w);
    return NULL;
}

static void prepare(int size, int base, int announced)
{
    mpmx_crew *crew = &child.crew;

    memset(&child, 0, sizeof child);
    memset(&poller, 0, sizeof poller);
    pthread_mutex_init(&poller.lock, NULL);
    pthread_cond_init(&poller.more, NULL);
    memset((void *)served, 0, sizeof served);
    memset((void *)worked, 0, sizeof worked);
    threads = kicks = holding = resting = may_rest = let_go = served_all = worked_all = 0;
    memset((void *)asleep, 0, sizeof asleep);
    crew->child = &child;
    crew->poller = &poller;
    crew->kick = kick;
    crew->ready = ready;
    crew->resubmit = resubmit;
    crew->main = worker_main;
    crew->announced = announced;
    mpmx_crew_init(crew, size, pool);
    atomic_store(&crew->base, base);
}

static void start(int size, int base, int announced)
{
    prepare(size, base, announced);
    is_num(mpmx_crew_start(&child.crew, size, pool), 0, "all workers are started");
}

/* What the housekeeper does. */
static int tick(void)
{
    int lacking = atomic_load(&child.crew.lacking);

    if (lacking)
        mpmx_crew_start(&child.crew, lacking, pool);
    now_us += 1000;
    return mpmx_crew_tick(&child.crew, now_us);
}

static void end(void)
{
    apr_status_t rv;
    int i;

    atomic_store(&may_rest, 1);
    atomic_store(&let_go, 1);
    mpmx_crew_dismiss(&child.crew);
    for (i = 0; i < child.crew.size; i++) {
        apr_thread_join(&rv, child.crew.worker[i].thread);
        free(child.crew.worker[i].scratch);
    }
    ok(child.crew.alive == 0 && child.crew.running == 0, "dismissed, all workers leave");
}

/* --- waiting ------------------------------------------------------------------------------ */

/* Until *number is what it should be, without ticks. */
static int happens(_Atomic int *number, int wanted)
{
    int i;

    for (i = 0; i < 10000 && atomic_load(number) != wanted; i++)
        bed_pause(1000);
    return atomic_load(number) == wanted;
}

/* The same with ticks, at the real time of a millisecond. */
static int BED_UNUSED await(_Atomic int *number, int wanted)
{
    int i;

    for (i = 0; i < 10000 && atomic_load(number) != wanted; i++) {
        tick();
        bed_pause(1000);
    }
    return atomic_load(number) == wanted;
}

static int all_idle(void)
{
    int i;

    for (i = 0; i < 30000 && mpmx_crew_idle(&child.crew) != child.crew.size; i++)
        bed_pause(1000);
    return mpmx_crew_idle(&child.crew) == child.crew.size;
}

/* One waits for reports, the others stand by. */
static int BED_UNUSED settle_to_one(void)
{
    mpmx_crew *crew = &child.crew;

    return all_idle() && happens(&crew->standing, crew->size - 1) && happens(&crew->waiting, 1)
        && atomic_load(&crew->running) == 1;
}

#endif
