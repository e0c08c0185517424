/* See crew.h for the rule; tick.c for who finds out that a worker blocks. */
#include "crew.h"
#include "crew_rule.h"
#include "log.h"
#include "compat.h"
#include "schedule.h"
#include "threadstate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "mpm_common.h"

#define SHARED_BATCH      4      /* reports per call while several workers may run   */
#define RESERVE           2      /* threads that stand by before more are started    */

static __thread mpmx_worker *self;

mpmx_worker *mpmx_crew_self(void)
{
    return self;
}

void mpmx_crew_init(mpmx_crew *crew, int size, apr_pool_t *pool)
{
    apr_size_t bytes = ((apr_size_t)size + 1) * sizeof *crew->worker;
    uintptr_t memory = (uintptr_t)apr_pcalloc(pool, bytes + MPMX_LINE - 1);
    int i;

    crew->worker = (mpmx_worker *)((memory + MPMX_LINE - 1) & ~(uintptr_t)(MPMX_LINE - 1));
    crew->size = size;
    crew->nobody = &crew->worker[size];
    crew->nobody->child = crew->child;
    crew->work_last = &crew->work_first;
    atomic_store(&crew->base, 1);
    atomic_store(&crew->allowed, 1);
    pthread_mutex_init(&crew->lock, NULL);
    for (i = 0; i < size; i++) {
        mpmx_worker *w = &crew->worker[i];

        w->slot = i;
        w->child = crew->child;
        w->state_fd = MPMX_STATE_UNASKED;
        atomic_store(&w->state, MPMX_W_STANDBY);
        pthread_cond_init(&w->release, NULL);
    }
    atomic_store(&crew->unstarted, size);
}

int mpmx_crew_first(const mpmx_crew *crew, int cores)
{
    /* Where a thread stays with its connection, the first clients would wait for theirs. */
    return crew->announced || cores + RESERVE > crew->size ? crew->size : cores + RESERVE;
}

/* An errno. */
static apr_status_t start_one(mpmx_crew *crew, mpmx_worker *w, apr_threadattr_t *attr, apr_pool_t *pool)
{
    apr_status_t rv;

    if (!w->scratch && !(w->scratch = malloc(MPMX_SCRATCH)))
        return ENOMEM;
    atomic_fetch_add(&crew->alive, 1);
    rv = mpmx_thread_create(&w->thread, attr, crew->main, w, pool);
    if (rv == APR_SUCCESS) {
        atomic_fetch_sub(&crew->unstarted, 1);
        return APR_SUCCESS;
    }
    atomic_fetch_sub(&crew->alive, 1);
    w->thread = NULL;
    return rv;
}

int mpmx_crew_start(mpmx_crew *crew, int n, apr_pool_t *parent)
{
    int i, lacking = atomic_exchange(&crew->lacking, 0), started = 0;
    apr_status_t rv = APR_SUCCESS;
    apr_threadattr_t *attr;
    apr_pool_t *pool;

    /* APR keeps the record of a thread that was not started for as long as the pool. */
    apr_pool_create(&pool, parent);
    apr_threadattr_create(&attr, pool);
    apr_threadattr_detach_set(attr, 0);
    if (ap_thread_stacksize)
        apr_threadattr_stacksize_set(attr, ap_thread_stacksize);
    if (lacking > n)
        n = lacking;
    if (n > atomic_load(&crew->unstarted))
        n = atomic_load(&crew->unstarted);
    for (i = 0; i < crew->size && started < n && rv == APR_SUCCESS; i++)
        if (!crew->worker[i].thread) {
            rv = start_one(crew, &crew->worker[i], attr, pool);
            started += rv == APR_SUCCESS;
        }
    if (!started)
        apr_pool_destroy(pool);
    errno = rv;
    return n - started;
}

/* Too few threads stand by for what may come next, or for what is wanted now. With many at work,
 * many more may be. */
static void ask_for_threads(mpmx_crew *crew, int want)
{
    int without = atomic_load_explicit(&crew->unstarted, memory_order_relaxed);
    int lacking, alive;

    if (without == 0)
        return;
    alive = crew->size - without;
    lacking = want - atomic_load(&crew->running) + RESERVE - atomic_load(&crew->standing);
    if (lacking <= 0)
        return;
    if (lacking < alive / 4)
        lacking = alive / 4;
    if (lacking > without)
        lacking = without;
    if (!atomic_exchange(&crew->lacking, lacking))
        crew->kick(crew->child);
}

/* --- work ------------------------------------------------------------------ */

void mpmx_crew_submit(mpmx_crew *crew, mpmx_work *work)
{
    work->next = NULL;
    pthread_mutex_lock(&crew->lock);
    *crew->work_last = work;
    crew->work_last = &work->next;
    pthread_mutex_unlock(&crew->lock);
    /* Sequentially consistent with await_report(): it announces that it waits,
     * then looks for work; we add work, then look who waits. */
    atomic_fetch_add(&crew->work_count, 1);
    if (atomic_load(&crew->waiting) > 0)
        mpmx_poller_wake(crew->poller);
    else if (atomic_load(&crew->all_taken))
        crew->kick(crew->child);         /* nobody is there for it: see recall.h */
}

/* Wake-ups may merge into one, so whoever took work sees to the rest. */
void mpmx_crew_wake_for_work(mpmx_crew *crew)
{
    if (atomic_load(&crew->work_count) > 0 && atomic_load(&crew->waiting) > 0)
        mpmx_poller_wake(crew->poller);
}

static mpmx_work *take_work(mpmx_crew *crew)
{
    mpmx_work *work;

    pthread_mutex_lock(&crew->lock);
    work = crew->work_first;
    if (work) {
        crew->work_first = work->next;
        if (!crew->work_first)
            crew->work_last = &crew->work_first;
        atomic_fetch_sub(&crew->work_count, 1);
    }
    pthread_mutex_unlock(&crew->lock);
    mpmx_crew_wake_for_work(crew);
    return work;
}

/* --- reports ---------------------------------------------------------------- */

/* Takes one report out of a worker's batch; by the worker or by the housekeeper. */
static int take_report(mpmx_worker *w, mpmx_poll_event *event)
{
    uint64_t taken = atomic_load(&w->taken);

    for (;;) {
        unsigned i;

        if (taken == atomic_load(&w->filled))
            return 0;
        /* If somebody else is faster, the slot may be refilled while we read; then
         * `taken` has moved and what was read is dropped. It never moves back. */
        i = (unsigned)(taken % MPMX_BATCH);
        event->token = atomic_load_explicit(&w->batch[i].token, memory_order_relaxed);
        event->events = atomic_load_explicit(&w->batch[i].events, memory_order_relaxed);
        if (atomic_compare_exchange_weak(&w->taken, &taken, taken + 1))
            return 1;
    }
}

/* Reports to take in one call, if nobody else waits: who takes many would make the rest wait
 * for him. So he would if he blocks, as others do now or did lately; and where nobody looks
 * after him as long as another one is in the poller. */
static int batch_size(mpmx_crew *crew)
{
    int allowed = atomic_load_explicit(&crew->allowed, memory_order_relaxed);

    if (crew->announced || mpmx_crew_blocks(crew))
        return 1;
    return allowed > 1 ? SHARED_BATCH : MPMX_BATCH;
}

/* Waits on the poller and fills the (empty) batch. */
static void await_report(mpmx_crew *crew, mpmx_worker *w)
{
    mpmx_poll_event event[MPMX_BATCH];
    uint64_t filled = atomic_load_explicit(&w->filled, memory_order_relaxed);
    int i, n, max;

    if (w->at_once && --w->at_once == 0)
        mpmx_schedule_in_turn();
    max = atomic_fetch_add(&crew->waiting, 1) > 0 ? 1 : batch_size(crew);
    if (atomic_load(&crew->work_count) > 0 || atomic_load(&crew->leaving)) {
        atomic_fetch_sub(&crew->waiting, 1);
        return;
    }
    n = mpmx_poller_wait(crew->poller, event, max);
    atomic_fetch_sub(&crew->waiting, 1);
    for (i = 0; i < n; i++) {
        unsigned k = (unsigned)((filled + (unsigned)i) % MPMX_BATCH);

        atomic_store_explicit(&w->batch[k].token, event[i].token, memory_order_relaxed);
        atomic_store_explicit(&w->batch[k].events, event[i].events, memory_order_relaxed);
    }
    if (n > 0)
        atomic_store(&w->filled, filled + (unsigned)n);
}

/* --- who runs --------------------------------------------------------------- */

int mpmx_crew_is_of_use(mpmx_crew *crew)
{
    return atomic_load(&crew->waiting) == 0 && atomic_load(&crew->standing) > 0;
}

/* Where waits are announced: was this the last one who was there for reports? Then the
 * housekeeper is to see to those that come (recall.h). */
static void note_all_taken(mpmx_crew *crew)
{
    if (atomic_load(&crew->waiting) == 0 && atomic_load(&crew->standing) == 0
        && !atomic_load(&crew->all_taken) && !atomic_exchange(&crew->all_taken, 1))
        crew->kick(crew->child);
}

/* Somebody serves, so that somebody must see whether he blocks. Where waits are announced,
 * that is so only when it is of use; who stops waiting or stands by comes by here, too. */
static void want_tick(mpmx_crew *crew)
{
    if (crew->announced && !mpmx_crew_is_of_use(crew)) {
        note_all_taken(crew);
        return;
    }
    if (!atomic_load(&crew->tick_wanted) && !atomic_exchange(&crew->tick_wanted, 1))
        crew->kick(crew->child);
}

/* `allowed` first: a tick in between is to find one too many, and none too few. The next one counts anew;
 * it may have to let somebody run. */
void mpmx_crew_unmark(mpmx_crew *crew, mpmx_worker *w)
{
    if (atomic_load_explicit(&w->blocked, memory_order_relaxed)
        && atomic_exchange(&w->blocked, 0)) {
        atomic_fetch_sub(&crew->allowed, 1);
        atomic_fetch_sub(&crew->blocked, 1);
        want_tick(crew);
    }
}

static void begin_service(mpmx_crew *crew, mpmx_worker *w)
{
    atomic_store_explicit(&w->state, MPMX_W_SERVING, memory_order_relaxed);
    /* Sequentially consistent with the end of mpmx_crew_tick(). */
    atomic_fetch_add(&w->serial, 1);
    want_tick(crew);
}

static void end_service(mpmx_crew *crew, mpmx_worker *w)
{
    atomic_fetch_add(&w->serial, 1);
    mpmx_crew_unmark(crew, w);
}

/* `allowed` may be short for the rest of a tick after blocked ones came back together:
 * one always stays. */
static int too_many(mpmx_crew *crew)
{
    int running = atomic_load_explicit(&crew->running, memory_order_relaxed);

    return running > 1 && running > atomic_load_explicit(&crew->allowed, memory_order_relaxed);
}

static void stand_by(mpmx_crew *crew, mpmx_worker *w)
{
    /* First: who is told that a thread is ready counts those that are. */
    atomic_store(&w->state, MPMX_W_STANDBY);
    crew->ready(w);
    pthread_mutex_lock(&crew->lock);
    if (too_many(crew) && !atomic_load(&crew->leaving)) {
        atomic_fetch_sub(&crew->running, 1);
        w->released = 0;
        w->below = crew->standby;
        crew->standby = w;
        atomic_fetch_add(&crew->standing, 1);
        if (crew->announced)
            want_tick(crew);             /* of those who serve */
        while (!w->released)
            pthread_cond_wait(&w->release, &crew->lock);
    }
    atomic_store(&w->state, MPMX_W_POLLING);
    pthread_mutex_unlock(&crew->lock);
}

/* Lets workers run until `running` reaches `want`. With the lock held. */
static void release_locked(mpmx_crew *crew, int want)
{
    while (crew->standby && atomic_load(&crew->running) < want) {
        mpmx_worker *w = crew->standby;

        crew->standby = w->below;
        atomic_fetch_sub(&crew->standing, 1);
        w->released = 1;
        atomic_fetch_add(&crew->running, 1);
        pthread_cond_signal(&w->release);
    }
}

void mpmx_crew_release(mpmx_crew *crew, int want)
{
    ask_for_threads(crew, want);
    if (atomic_load_explicit(&crew->running, memory_order_relaxed) >= want)
        return;
    pthread_mutex_lock(&crew->lock);
    release_locked(crew, want);
    pthread_mutex_unlock(&crew->lock);
}

void mpmx_crew_enter(mpmx_worker *w)
{
    mpmx_crew *crew = (mpmx_crew *)w->child;     /* the child begins with its crew */

    self = w;
    atomic_store(&w->tid, mpmx_threadstate_self());
    pthread_mutex_lock(&crew->lock);
    atomic_fetch_add(&crew->running, 1);
    atomic_store(&w->state, MPMX_W_POLLING);
    pthread_mutex_unlock(&crew->lock);
}

void mpmx_crew_leave(mpmx_worker *w)
{
    mpmx_crew *crew = (mpmx_crew *)w->child;

    pthread_mutex_lock(&crew->lock);
    atomic_fetch_sub(&crew->running, 1);
    atomic_store(&w->state, MPMX_W_GONE);
    pthread_mutex_unlock(&crew->lock);
    self = NULL;
    atomic_fetch_sub(&crew->alive, 1);
    crew->kick(crew->child);
}

int mpmx_crew_next(mpmx_worker *w, mpmx_poll_event *event, mpmx_work **work)
{
    mpmx_crew *crew = (mpmx_crew *)w->child;

    if (atomic_load_explicit(&w->serial, memory_order_relaxed) & 1)
        end_service(crew, w);
    for (;;) {
        if (take_report(w, event)) {
            if (event->token == MPMX_POLL_WAKE_TOKEN)
                continue;
            begin_service(crew, w);
            return 1;
        }
        if (atomic_load_explicit(&crew->work_count, memory_order_relaxed) > 0
            && (*work = take_work(crew)) != NULL) {
            begin_service(crew, w);
            return 2;
        }
        if (atomic_load(&crew->leaving))
            return 0;
        if (too_many(crew)) {
            stand_by(crew, w);
            continue;
        }
        /* Sequentially consistent with who pauses the listeners and then counts the idle. */
        atomic_store(&w->state, MPMX_W_POLLING);
        crew->ready(w);
        await_report(crew, w);
    }
}

void mpmx_crew_take_over(mpmx_crew *crew, mpmx_worker *w)
{
    mpmx_poll_event event;

    while (take_report(w, &event))
        if (event.token != MPMX_POLL_WAKE_TOKEN)
            crew->resubmit(w, &event);
}

void mpmx_crew_rest(mpmx_worker *w)
{
    mpmx_crew *crew = (mpmx_crew *)w->child;

    mpmx_crew_take_over(crew, w);
    end_service(crew, w);
    atomic_store_explicit(&w->state, MPMX_W_RESTING, memory_order_relaxed);
    /* Not in the middle of stand_by(): it would stand by for one who does not run any more. */
    pthread_mutex_lock(&crew->lock);
    atomic_fetch_sub(&crew->running, 1);
    release_locked(crew, atomic_load_explicit(&crew->allowed, memory_order_relaxed));
    pthread_mutex_unlock(&crew->lock);
    ask_for_threads(crew, atomic_load_explicit(&crew->allowed, memory_order_relaxed));
    if (crew->announced)
        note_all_taken(crew);
}

void mpmx_crew_unrest(mpmx_worker *w)
{
    mpmx_crew *crew = (mpmx_crew *)w->child;

    atomic_fetch_add(&crew->running, 1);
    begin_service(crew, w);
}

void mpmx_crew_dismiss(mpmx_crew *crew)
{
    atomic_store(&crew->leaving, 1);
    mpmx_poller_shut(crew->poller);
    mpmx_crew_release(crew, crew->size + 1);
}

/* --- numbers ------------------------------------------------------------------ */

int mpmx_crew_sum(mpmx_crew *crew, int which)
{
    int i, sum = 0;

    for (i = 0; i <= crew->size; i++)    /* and nobody */
        sum += atomic_load_explicit(&crew->worker[i].count[which], memory_order_relaxed);
    return sum > 0 ? sum : 0;
}

int mpmx_crew_idle(mpmx_crew *crew)
{
    int i, idle = 0;

    for (i = 0; i < crew->size; i++) {
        int state = atomic_load(&crew->worker[i].state);

        idle += state == MPMX_W_STANDBY || state == MPMX_W_POLLING;
    }
    return idle;
}
