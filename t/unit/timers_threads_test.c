/*
 * timers_threads_test.c - promise: owners may set deadlines while the housekeeper advances the
 * wheel. Each that is left alone comes up once and in time; one that nobody needs any more
 * leaves the wheel, also if it is set again just then: that one comes up. Timed callbacks that
 * threads add and take are each taken once.
 *
 * The owners live as connections do: whoever claims a deadline's record owns it, be it an
 * owner with a report or the housekeeper because the time has passed. A closed connection
 * leaves its deadline in the wheel, for the next one with the same record.
 */
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "apr_general.h"

#include "clock.h"
#include "tap.h"
#include "timers.h"

#define OWNERS 3
#define EACH 40                  /* records of one owner */
#define ROUNDS 60000             /* steps of one owner   */

static _Atomic int64_t now_ms = 1000;

int64_t mpmx_clock_us(void)
{
    return atomic_load(&now_ms) * 1000;
}

int64_t mpmx_clock_coarse_ms(void)
{
    return atomic_load(&now_ms);
}

static unsigned random_below(uint64_t *state, unsigned limit)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(*state >> 33) % limit;
}

/* --- the wheel ------------------------------------------------------------------ */

static mpmx_wheel wheel;

/* The worst moment for the next connection: the wheel has just found that the last one was
 * closed, and is about to let the deadline go. */

static mpmx_deadline looked_at;
static _Atomic int is_closed, looking, has_set;
static int64_t came_up;

static int64_t look_slowly(mpmx_deadline *d, int64_t now, void *baton)
{
    const struct timespec ms = { 0, 1000000 };
    int i, closed = atomic_load(&is_closed);

    (void)baton;
    if (!closed) {
        came_up = now;
        return atomic_load(&d->due) > now ? atomic_load(&d->due) : 0;
    }
    atomic_store(&looking, 1);
    /* Setting it waits for us, because it is out of the wheel by now; then this is not ended by it. */
    for (i = 0; i < 100 && !atomic_load(&has_set); i++)
        nanosleep(&ms, NULL);
    return 0;
}

static void *look(void *arg)
{
    mpmx_wheel_advance(&wheel, 1100, look_slowly, arg);
    return NULL;
}

static void test_set_while_looked_at(void)
{
    pthread_t thread;

    mpmx_wheel_init(&wheel, 1000);
    mpmx_wheel_set(&wheel, &looked_at, 1010);
    atomic_store(&is_closed, 1);
    pthread_create(&thread, NULL, look, NULL);
    while (!atomic_load(&looking))
        sched_yield();
    atomic_store(&is_closed, 0);
    mpmx_wheel_set(&wheel, &looked_at, 1500);
    atomic_store(&has_set, 1);
    pthread_join(thread, NULL);
    ok(atomic_load(&looked_at.visit) != 0 && mpmx_wheel_next(&wheel) < 1600,
       "what is set while the wheel is about to let it go is in the wheel");
    mpmx_wheel_advance(&wheel, 1600, look_slowly, NULL);
    ok(came_up >= 1500 && wheel.linked == 0, "and comes up");
}

enum { OWNED, ARMED, FIRED, CLOSED };

typedef struct record {
    mpmx_deadline d;
    _Atomic int state;
} record;

static record all[OWNERS * EACH];
static _Atomic int owners_left = OWNERS, early, late;
static _Atomic int fired, closed, let_go;

static int64_t visit(mpmx_deadline *d, int64_t now, void *baton)
{
    record *rec = (record *)((char *)d - offsetof(record, d));
    int64_t due = atomic_load(&d->due);      /* before the state */
    int armed = ARMED;

    (void)baton;
    if (atomic_load(&rec->state) == CLOSED) {
        atomic_fetch_add(&let_go, 1);
        return 0;
    }
    if (due > now)
        return due;
    if (!atomic_compare_exchange_strong(&rec->state, &armed, OWNED))
        return now + 1000;               /* its owner sets a new one */
    if (atomic_load(&d->due) > now)
        atomic_fetch_add(&early, 1);
    atomic_store(&rec->state, FIRED);
    return 0;
}

static void *housekeeper(void *arg)
{
    uint64_t seed = 7;

    (void)arg;
    while (atomic_load(&owners_left)) {
        int64_t now = atomic_fetch_add(&now_ms, 1 + random_below(&seed, 40));

        mpmx_wheel_advance(&wheel, now, visit, NULL);
        mpmx_wheel_next(&wheel);
        if (random_below(&seed, 4) == 0)
            sched_yield();
    }
    return NULL;
}

static void park(record *rec, uint64_t *seed)
{
    mpmx_wheel_set(&wheel, &rec->d, atomic_load(&now_ms) + random_below(seed, 400));
    atomic_store(&rec->state, ARMED);
}

/* Nonzero: the caller owns it. */
static int claim(record *rec)
{
    int armed = ARMED;

    switch (atomic_load(&rec->state)) {
    case ARMED:
        return atomic_compare_exchange_strong(&rec->state, &armed, OWNED);
    case FIRED:
        atomic_fetch_add(&fired, 1);
        atomic_store(&rec->state, OWNED);
        return 1;
    default:
        return 0;
    }
}

static void serve(record *rec, uint64_t *seed)
{
    if (random_below(seed, 50) == 0)     /* beyond its deadline */
        while (atomic_load(&now_ms) < atomic_load(&rec->d.due) + 40)
            sched_yield();
    if (random_below(seed, 4) == 0) {
        atomic_store(&rec->state, CLOSED);
        atomic_fetch_add(&closed, 1);
        if (random_below(seed, 2)) {     /* till the wheel has found it, often */
            int64_t end = atomic_load(&now_ms) + random_below(seed, 600);

            while (atomic_load(&now_ms) < end)
                sched_yield();
        }
        atomic_store(&rec->state, OWNED);
    }
    park(rec, seed);
}

static void *owner(void *arg)
{
    uint64_t seed = (uint64_t)(intptr_t)arg;
    record *mine = &all[((intptr_t)arg - 1) * EACH];
    int i, round;

    for (i = 0; i < EACH; i++)
        park(&mine[i], &seed);
    for (round = 0; round < ROUNDS; round++) {
        i = (int)random_below(&seed, EACH);
        if (claim(&mine[i]))
            serve(&mine[i], &seed);
        else
            sched_yield();
    }
    /* What is still armed must come up: the housekeeper goes on as long as we are here. */
    for (i = 0; i < EACH; i++) {
        int64_t end = atomic_load(&now_ms) + 100000;

        while (atomic_load(&mine[i].state) != FIRED && atomic_load(&now_ms) < end)
            sched_yield();
        if (atomic_load(&mine[i].state) != FIRED)
            atomic_fetch_add(&late, 1);
        else
            atomic_fetch_add(&fired, 1);
        atomic_store(&mine[i].state, CLOSED);
    }
    atomic_fetch_sub(&owners_left, 1);
    return NULL;
}

static void test_wheel(void)
{
    pthread_t thread[OWNERS + 1];
    int i;

    mpmx_wheel_init(&wheel, atomic_load(&now_ms));
    for (i = 0; i < OWNERS; i++)
        pthread_create(&thread[i], NULL, owner, (void *)(intptr_t)(i + 1));
    pthread_create(&thread[OWNERS], NULL, housekeeper, NULL);
    for (i = 0; i <= OWNERS; i++)
        pthread_join(thread[i], NULL);
    is_num(early, 0, "no deadline comes up too early");
    is_num(late, 0, "what is left alone comes up");
    mpmx_wheel_advance(&wheel, atomic_load(&now_ms) + 2000, visit, NULL);
    is_num((long)wheel.linked, 0, "nothing is left in the wheel");
    ok(fired > 100 && closed > 100 && let_go > 100, "all has happened many times");
    diag("%d came up, %d were closed, %d of them let go", atomic_load(&fired), atomic_load(&closed),
         atomic_load(&let_go));
}

/* --- timed callbacks --------------------------------------------------------------- */

#define ADDERS 2
#define CALLBACKS 8000           /* of each adder */

static mpmx_callbacks callbacks;
static _Atomic unsigned char taken[ADDERS * CALLBACKS];
static _Atomic int adders_left = ADDERS, too_early;

static void nothing(void *baton)
{
    (void)baton;
}

static void *adder(void *arg)
{
    intptr_t first = (intptr_t)arg * CALLBACKS, i;
    uint64_t seed = (uint64_t)first + 1;

    for (i = first; i < first + CALLBACKS; i++) {
        mpmx_callback *cb = mpmx_callback_new(random_below(&seed, 5000), nothing, (void *)i);

        mpmx_callbacks_add(&callbacks, cb);
        if (i % 16 == 0)
            atomic_fetch_add(&now_ms, 1);
    }
    atomic_fetch_sub(&adders_left, 1);
    return NULL;
}

static void *taker(void *arg)
{
    (void)arg;
    while (atomic_load(&adders_left) || atomic_load(&callbacks.first_us) != MPMX_NEVER) {
        int64_t now = mpmx_clock_us() + (atomic_load(&adders_left) ? 0 : 10000000);
        mpmx_callback *cb = mpmx_callbacks_take(&callbacks, now);

        if (!cb) {
            sched_yield();
            continue;
        }
        if (cb->due_us > now)
            atomic_fetch_add(&too_early, 1);
        atomic_fetch_add(&taken[(intptr_t)cb->baton], 1);
        free(cb);
    }
    return NULL;
}

static void test_callbacks(void)
{
    pthread_t thread[ADDERS + 2];
    int i, wrong = 0;

    mpmx_callbacks_init(&callbacks, NULL);
    for (i = 0; i < ADDERS + 2; i++)
        pthread_create(&thread[i], NULL, i < ADDERS ? adder : taker, (void *)(intptr_t)i);
    for (i = 0; i < ADDERS + 2; i++)
        pthread_join(thread[i], NULL);
    for (i = 0; i < ADDERS * CALLBACKS; i++)
        wrong += taken[i] != 1;
    is_num(wrong, 0, "callbacks: each is taken once");
    is_num(too_early, 0, "callbacks: none before its time");
}

int main(void)
{
    alarm(120);
    apr_initialize();
    test_set_while_looked_at();
    test_wheel();
    test_callbacks();
    return tap_done();
}
