/*
 * timers_test.c - promise: a deadline comes up when it has passed and at most one slot
 * later, however it was moved before; moving it to later costs nothing; one that nobody needs
 * any more leaves the wheel with its next look, and can be set again before and after that.
 * Timed callbacks come in the order of their times, each once.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include "apr_general.h"

#include "clock.h"
#include "tap.h"
#include "timers.h"

#define SLOT ((int64_t)1 << MPMX_WHEEL_SHIFT)
#define SPAN (SLOT * MPMX_WHEEL_SLOTS)
#define START 1000003            /* within a slot, not at its beginning */

/* The clock is ours. */
static int64_t clock_us;

int64_t mpmx_clock_us(void)
{
    return clock_us;
}

int64_t mpmx_clock_coarse_ms(void)
{
    return clock_us / 1000;
}

static unsigned random_below(uint64_t *state, unsigned limit)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(*state >> 33) % limit;
}

/* The last moment at which a deadline may come up, if the wheel is advanced then. */
static int64_t latest(int64_t due)
{
    return ((due >> MPMX_WHEEL_SHIFT) + 1) << MPMX_WHEEL_SHIFT;
}

/* --- the wheel ----------------------------------------------------------------- */

typedef struct item {
    mpmx_deadline d;
    int64_t fired;               /* 0: has not come up since it was last set */
    int visits;
    int closed;                  /* until it is set again, nobody needs it   */
} item;

static item *item_of(mpmx_deadline *d)
{
    return (item *)((char *)d - offsetof(item, d));
}

/* Takes what has passed, and moves the rest on, as a connection's visitor does. */
static int64_t take_due(mpmx_deadline *d, int64_t now, void *baton)
{
    item *it = item_of(d);

    (void)baton;
    it->visits++;
    if (it->closed)
        return 0;
    if (atomic_load(&d->due) > now)
        return atomic_load(&d->due);
    it->fired = now;
    return 0;
}

static mpmx_wheel wheel;

static void new_wheel(void)
{
    mpmx_wheel_init(&wheel, START);
}

/* Advances in steps of `step` until the item comes up, and says when that was. */
static int64_t when_fired(item *it, int64_t from, int64_t step)
{
    int64_t now, end = atomic_load(&it->d.due) + 2 * SPAN;

    for (now = from; !it->fired && now < end; now += step)
        mpmx_wheel_advance(&wheel, now, take_due, NULL);
    return it->fired;
}

static void test_in_time(void)
{
    static const int64_t delays[] = { 0, 1, 2, 28, 29, 30, 31, 32, 33, 63, 64, 65, 500, 5000, 30000,
        SPAN - 65, SPAN - 64, SPAN - 33, SPAN - 32, SPAN - 1, SPAN, SPAN + 1, SPAN + 32, 2 * SPAN, 300000 };
    unsigned i;
    int early = 0, late = 0, told_late = 0, left = 0;

    for (i = 0; i < sizeof delays / sizeof *delays; i++) {
        int64_t due = START + delays[i], told;
        item it;

        new_wheel();
        memset(&it, 0, sizeof it);
        told = mpmx_wheel_set(&wheel, &it.d, due);
        when_fired(&it, START, 1);
        early += it.fired < due;
        late += it.fired > latest(due);
        told_late += told > latest(due) || told <= START;
        left += wheel.linked != 0 || atomic_load(&it.d.visit) != 0;
    }
    is_num(early, 0, "no deadline comes up before it has passed");
    is_num(late, 0, "each comes up within a slot, also those beyond the wheel's span");
    is_num(told_late, 0, "set says when the wheel must be advanced for it");
    is_num(left, 0, "what was taken is in the wheel no more");
}

static void test_past(void)
{
    item it;

    new_wheel();
    memset(&it, 0, sizeof it);
    mpmx_wheel_set(&wheel, &it.d, START - 100000);
    ok(when_fired(&it, START, 1) && it.fired <= START + SLOT, "a deadline in the past comes up with the next slot");
}

static void test_later(void)
{
    mpmx_deadline *next, *prev;
    int64_t visit, due, changed = 0;
    item it;

    new_wheel();
    memset(&it, 0, sizeof it);
    mpmx_wheel_set(&wheel, &it.d, START + 1000);
    next = it.d.next;
    prev = it.d.prev;
    visit = atomic_load(&it.d.visit);
    /* Whoever would take the lock now would wait for ever. */
    pthread_mutex_lock(&wheel.lock);
    for (due = START + 1000; due < START + 10 * SPAN; due += 777)
        changed += mpmx_wheel_set(&wheel, &it.d, due) != MPMX_NEVER;
    pthread_mutex_unlock(&wheel.lock);
    is_num((long)changed, 0, "a later deadline changes nothing for the housekeeper");
    ok(it.d.next == next && it.d.prev == prev && atomic_load(&it.d.visit) == visit,
       "and neither moves it in the wheel nor takes the lock");
    due = START + 3000;
    mpmx_wheel_set(&wheel, &it.d, due);
    when_fired(&it, START, 1);
    ok(it.fired >= due && it.fired <= latest(due), "the latest one set is the one that counts");
    is_num(it.visits, 2, "the wheel has looked at it twice: at the old time and at the new one");
}

static void test_earlier(void)
{
    int64_t due = START + 500, told;
    item it[3];
    int i;

    new_wheel();
    memset(it, 0, sizeof it);
    for (i = 0; i < 3; i++)
        mpmx_wheel_set(&wheel, &it[i].d, START + 60000);
    told = mpmx_wheel_set(&wheel, &it[1].d, due);
    ok(told > due && told <= latest(due), "an earlier deadline is told to the housekeeper");
    is_num((long)mpmx_wheel_next(&wheel), (long)told, "and is the next one");
    when_fired(&it[1], START, 1);
    ok(it[1].fired >= due && it[1].fired <= latest(due), "it comes up at the earlier time");
    ok(!it[0].visits && !it[2].visits, "its neighbours stay where they are");
    mpmx_wheel_advance(&wheel, START + 2 * SPAN, take_due, NULL);
    is_num(it[1].visits, 1, "and only then");
    ok(it[0].fired && it[2].fired, "and they come up at their time");
}

/* As a closed connection does: its deadline stays in the wheel, where the next connection
 * with the same record finds it. */
static void test_closed(void)
{
    int64_t due = START + 3000;
    item it[3];
    int i;

    new_wheel();
    memset(it, 0, sizeof it);
    for (i = 0; i < 3; i++)
        mpmx_wheel_set(&wheel, &it[i].d, START + 100);
    it[1].closed = 1;
    mpmx_wheel_advance(&wheel, latest(START + 100), take_due, NULL);
    ok(it[0].fired && it[2].fired && !it[1].fired, "what nobody needs does not come up, its neighbours do");
    ok(wheel.linked == 0 && mpmx_wheel_next(&wheel) == MPMX_NEVER, "nothing is left then");
    it[1].closed = 0;
    mpmx_wheel_set(&wheel, &it[1].d, due);
    when_fired(&it[1], START + 200, 1);
    ok(it[1].fired >= due && it[1].fired <= latest(due), "what has left the wheel can be set again");

    new_wheel();
    memset(it, 0, sizeof it);
    mpmx_wheel_set(&wheel, &it[0].d, START + 100);
    mpmx_wheel_set(&wheel, &it[1].d, START + 60000);
    mpmx_wheel_set(&wheel, &it[0].d, due);       /* both by the next one */
    mpmx_wheel_set(&wheel, &it[1].d, due);
    when_fired(&it[0], START, 1);
    ok(it[0].fired >= due && it[0].fired <= latest(due) && it[1].fired == it[0].fired,
       "so can what is still in the wheel, for a sooner or a later time");
}

/* Not to be had now: look again at *baton. */
static int64_t refuse(mpmx_deadline *d, int64_t now, void *baton)
{
    item_of(d)->visits++;
    item_of(d)->fired = now;
    return *(int64_t *)baton;
}

static void test_moved_on(void)
{
    int64_t again = START + 2000;
    item it;

    new_wheel();
    memset(&it, 0, sizeof it);
    mpmx_wheel_set(&wheel, &it.d, START + 100);
    mpmx_wheel_advance(&wheel, START + 200, refuse, &again);
    is_num(it.visits, 1, "a visitor may leave a deadline in the wheel");
    mpmx_wheel_advance(&wheel, again - 1, refuse, &again);
    is_num(it.visits, 1, "it is not looked at before the time it gave");
    mpmx_wheel_advance(&wheel, latest(again), take_due, NULL);
    ok(it.visits == 2 && it.fired == latest(again), "but then");
    mpmx_wheel_advance(&wheel, again + SPAN, take_due, NULL);
    is_num(it.visits, 2, "and no more once it was taken");
}

static void test_long_sleep(void)
{
    static item it[3000];
    int64_t woken = START + 100 * SPAN + 17, now;
    unsigned i;
    int early = 0, missing = 0, late = 0;

    new_wheel();
    memset(it, 0, sizeof it);
    for (i = 0; i < 3000; i++)           /* over 180 spans of the wheel */
        mpmx_wheel_set(&wheel, &it[i].d, START + (int64_t)i * SPAN * 180 / 3000);
    mpmx_wheel_advance(&wheel, woken, take_due, NULL);
    for (i = 0; i < 3000; i++) {
        int64_t due = atomic_load(&it[i].d.due);

        early += it[i].fired && due > woken;
        missing += !it[i].fired && latest(due) <= woken;
    }
    is_num(missing, 0, "after a long sleep all that has passed comes up at once");
    is_num(early, 0, "and nothing else");
    for (now = woken; wheel.linked && now < START + 200 * SPAN; now += 29)
        mpmx_wheel_advance(&wheel, now, take_due, NULL);
    for (i = 0; i < 3000; i++) {
        int64_t due = atomic_load(&it[i].d.due);

        late += !it[i].fired || (it[i].fired > latest(due) + 29 && it[i].fired != woken);
        early += it[i].fired < due;
    }
    is_num(late + early, 0, "the rest comes in time");
}

/* --- random operations against a naive model -------------------------------------- */

#define ITEMS 150

/* What must hold between two operations. */
static int wrong_next(const item *it, int64_t now)
{
    int64_t first = MPMX_NEVER, next = mpmx_wheel_next(&wheel);
    int i, linked = 0, wrong = 0;

    for (i = 0; i < ITEMS; i++) {
        int64_t visit = atomic_load(&it[i].d.visit), due = atomic_load(&it[i].d.due);

        linked += visit != 0;
        if (visit && visit < first)
            first = visit;
        /* The housekeeper may sleep that long without being late for anything. */
        wrong += visit && due >= now && next > latest(due);
    }
    return wrong + (first != next) + (linked != wheel.linked);
}

static void test_random(void)
{
    static item it[ITEMS];
    uint64_t seed = 20240607;
    int64_t now = START;
    int step, i, wrong = 0, early = 0, late = 0, fired = 0;

    new_wheel();
    memset(it, 0, sizeof it);
    for (step = 0; step < 60000; step++) {
        item *one = &it[random_below(&seed, ITEMS)];

        switch (random_below(&seed, 8)) {
        case 0:
            one->closed = 1;
            break;
        case 1:
        case 2:
            now += random_below(&seed, random_below(&seed, 200) ? 150 : 200000);
            mpmx_wheel_advance(&wheel, now, take_due, NULL);
            break;
        default:
            one->fired = one->closed = 0;
            mpmx_wheel_set(&wheel, &one->d, now + random_below(&seed, random_below(&seed, 10) ? 3000 : 150000));
        }
        for (i = 0; i < ITEMS; i++) {
            int64_t due = atomic_load(&it[i].d.due);

            if (it[i].fired == now && it[i].visits) {
                fired++;
                early += due > now;
                it[i].visits = 0;
            }
            late += atomic_load(&it[i].d.visit) && latest(due) <= now;
        }
        wrong += wrong_next(it, now);
    }
    ok(fired > 1000, "random: thousands of deadlines came up");
    is_num(early, 0, "random: none too early");
    is_num(late, 0, "random: none is overdue in the wheel");
    is_num(wrong, 0, "random: next() is the earliest look there is");
}

/* Sleeps as long as it is told to, and no shorter. */
static void test_housekeeper(void)
{
    static item it[ITEMS];
    uint64_t seed = 4711;
    int64_t now = START, wake = MPMX_NEVER;
    int rounds, i, late = 0, wakes = 0;

    new_wheel();
    memset(it, 0, sizeof it);
    for (rounds = 0; rounds < 20000; rounds++) {
        item *one = &it[random_below(&seed, ITEMS)];
        int64_t told;

        one->fired = 0;
        told = mpmx_wheel_set(&wheel, &one->d, now + 1 + random_below(&seed, 90000));
        if (told < wake)
            wake = told;
        now += random_below(&seed, 40);
        while (wake <= now) {
            mpmx_wheel_advance(&wheel, wake, take_due, NULL);
            wakes++;
            wake = mpmx_wheel_next(&wheel);
        }
        for (i = 0; i < ITEMS; i++)
            late += (it[i].fired && it[i].fired > latest(atomic_load(&it[i].d.due)))
                 || (!it[i].fired && atomic_load(&it[i].d.visit) && latest(atomic_load(&it[i].d.due)) <= now);
    }
    is_num(late, 0, "a housekeeper that wakes up only when told is never late");
    ok(wakes < 20000, "and sleeps in between");
    diag("%d wake-ups for 20000 deadlines over %ld s", wakes, (long)((now - START) / 1000));
}

/* --- timed callbacks ---------------------------------------------------------------- */

static void nothing(void *baton)
{
    (void)baton;
}

static mpmx_callbacks callbacks;

static int add(int64_t delay_us, void *baton)
{
    mpmx_callback *cb = mpmx_callback_new(delay_us, nothing, baton);

    return cb ? mpmx_callbacks_add(&callbacks, cb) : -1;
}

/* The baton of the next one that is due, -1 if there is none. */
static long take(int64_t now_us)
{
    mpmx_callback *cb = mpmx_callbacks_take(&callbacks, now_us);
    long baton = cb ? (long)(intptr_t)cb->baton : -1;

    free(cb);
    return baton;
}

static void test_callback_order(void)
{
    static const int delays[] = { 500, 100, 300, 200, 400, 50 };
    static const int earliest[] = { 1, 1, 0, 0, 0, 1 };
    long i, wrong = 0;

    clock_us = 1000000;
    ok(take(MPMX_NEVER - 1) == -1 && atomic_load(&callbacks.first_us) == MPMX_NEVER, "callbacks: none at first");
    for (i = 0; i < 6; i++)
        wrong += add(delays[i], (void *)(intptr_t)delays[i]) != earliest[i];
    is_num(wrong, 0, "callbacks: add says whether it became the earliest");
    is_num((long)atomic_load(&callbacks.first_us), 1000050, "callbacks: the first one's time is known");
    is_num(take(1000049), -1, "callbacks: none is taken before its time");
    is_num(take(1000050), 50, "callbacks: but at its time");
    for (i = 100; i <= 500; i += 100)
        wrong += take(1000500) != i;
    is_num(wrong, 0, "callbacks: they come in the order of their times");
    ok(take(MPMX_NEVER - 1) == -1 && atomic_load(&callbacks.first_us) == MPMX_NEVER, "callbacks: and none is left");
}

static void test_callback_extremes(void)
{
    long i, seen = 0;

    clock_us = 5000000;
    for (i = 0; i < 100; i++)
        add(1000, (void *)(intptr_t)i);
    for (i = 0; i < 100; i++)
        seen += take(5001000);
    ok(seen == 99 * 100 / 2 && take(5001000) == -1, "callbacks: all of those for the same time come, each once");

    add(-1, (void *)1);
    add(INT64_MIN, (void *)1);
    ok(atomic_load(&callbacks.first_us) == 5000000 && take(5000000) == 1 && take(5000000) == 1, "callbacks: a negative delay means now, not before");

    add(INT64_MAX, (void *)2);
    add(INT64_MAX - clock_us + 1, (void *)2);
    add(3600 * INT64_C(1000000), (void *)1);
    is_num((long)atomic_load(&callbacks.first_us), 5000000 + 3600000000L, "callbacks: a huge delay is not in the past");
    ok(take(5000000 + 3600000000L) == 1 && take(5000000 + 3600000000L) == -1, "callbacks: nor sooner than an hour");
    ok(atomic_load(&callbacks.first_us) != MPMX_NEVER && take(MPMX_NEVER - 1) == 2 && take(MPMX_NEVER - 1) == 2,
       "callbacks: it is kept, however long it takes");
}

static long memory_used(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return -1;
#elif defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    return (long)mallinfo2().uordblks;
#else
    return -1;
#endif
}

#define MANY 10000

static int many_callbacks(uint64_t *seed)
{
    static unsigned char seen[MANY];
    int64_t last = 0;
    int i, wrong = 0;

    memset(seen, 0, sizeof seen);
    for (i = 0; i < MANY; i++)
        add(random_below(seed, 1000000), (void *)(intptr_t)i);
    for (i = 0; i < MANY; i++) {
        mpmx_callback *cb = mpmx_callbacks_take(&callbacks, MPMX_NEVER - 1);

        if (!cb)
            return wrong + MANY - i;
        wrong += cb->due_us < last || seen[(intptr_t)cb->baton]++;
        last = cb->due_us;
        free(cb);
    }
    return wrong;
}

static void test_callback_many(void)
{
    uint64_t seed = 99;
    long before = memory_used(), first = 0, last = 0;
    int round, wrong = 0;

    for (round = 0; round < 10; round++) {
        wrong += many_callbacks(&seed);
        last = memory_used();
        if (!round)
            first = last;
    }
    is_num(wrong, 0, "callbacks: 10 times 10000 come sorted, each once");
    if (before < 0)
        skip("callbacks: memory is used again", "cannot be measured here");
    else
        ok(last - first < (first - before) / 4, "callbacks: memory is used again");
    if (before >= 0)
        diag("memory after 10000 callbacks came and went: %ld KB more, after nine times that: %ld KB more",
             (first - before) / 1024, (last - before) / 1024);
}

int main(void)
{
    alarm(120);
    apr_initialize();
    test_in_time();
    test_past();
    test_later();
    test_earlier();
    test_closed();
    test_moved_on();
    test_long_sleep();
    test_random();
    test_housekeeper();
    mpmx_callbacks_init(&callbacks, NULL);
    test_callback_order();
    test_callback_extremes();
    test_callback_many();
    return tap_done();
}
