/*
 * recall_watch_test.c - promise: the housekeeper watches for requests that wait only while every
 * thread is taken, and then not all the time; new connections are left to other children as
 * long as these have threads for them, and no longer.
 *
 * Crew, poller and other children are made up. Who is called back: recall_test.c.
 */
#include <string.h>
#include <unistd.h>
#include "apr_general.h"

#include "child.h"
#include "clock.h"
#include "httpd_stubs.h"
#include "recall.h"
#include "recall_stubs.h"
#include "tap.h"

#define SOON_MS 300

static mpmx_child child;
static int64_t now_ms;
static int idle[2];                      /* threads that the first look finds, and later ones */
static int looks, descriptor, requests[2];

int64_t mpmx_clock_coarse_ms(void)
{
    return now_ms;
}

int mpmx_crew_idle(mpmx_crew *crew)
{
    (void)crew;
    return idle[looks++ > 0];
}

int mpmx_poller_descriptor(mpmx_poller *p)
{
    (void)p;
    return descriptor;
}

/* A new child, whose threads are all taken. */
static void start(void)
{
    memset(&child, 0, sizeof child);
    atomic_store(&child.crew.all_taken, 1);
    descriptor = requests[0];
    idle[0] = idle[1] = others_idle = 0;
    now_ms += 5000;
}

static int64_t until;

static int watch(void)
{
    until = now_ms + 30000;
    looks = 0;
    return mpmx_recall_watch(&child, now_ms, &until);
}

/* It looks again soon, by itself. */
static int again_soon(void)
{
    return until > now_ms && until <= now_ms + SOON_MS;
}

static void test_when(void)
{
    start();
    atomic_store(&child.crew.all_taken, 0);
    ok(!watch() && until == now_ms + 30000, "the poller need not be watched while nobody says that all are taken");
    atomic_store(&child.crew.all_taken, 1);
    ok(watch() && child.crew.all_taken, "but then");
    idle[0] = idle[1] = 1;
    ok(!watch() && !child.crew.all_taken, "until one is free");
    idle[1] = 0;
    atomic_store(&child.crew.all_taken, 1);
    ok(watch() && child.crew.all_taken, "or was, and is taken again just then");
    idle[0] = 0;
    descriptor = -1;
    ok(!watch(), "a poller that cannot be watched is not");
}

static void test_pauses(void)
{
    char byte;

    start();
    if (write(requests[1], "x", 1) != 1)
        diag("write failed");
    watch();
    mpmx_recall_reports_wait(&child, now_ms);
    ok(!watch() && again_soon(), "after a look there is a pause, which is told");
    now_ms = until;
    mpmx_recall_reports_wait(&child, now_ms);
    ok(!watch() && again_soon(), "also if all are at work");
    if (read(requests[0], &byte, 1) != 1)
        diag("read failed");
}

/* Work never shows at the poller's descriptor. */
static void test_work(void)
{
    int64_t end;
    int watched = 0, late = 0;

    start();
    atomic_store(&child.crew.work_count, 1);
    for (end = now_ms + 5000; now_ms < end; now_ms = until) {
        watched += watch();
        late += !again_soon();
    }
    is_num(late + watched, 0, "while work waits, it looks again and again by itself");
    descriptor = -1;
    late = 0;
    for (end = now_ms + 5000; now_ms < end; now_ms = until) {
        watch();
        late += !again_soon();
    }
    is_num(late, 0, "whatever the poller");
}

static void test_others(void)
{
    start();
    watch();
    ok(!child.paused, "where nobody else has a thread, new connections are awaited, although all are taken");
    others_idle = 1;
    now_ms += SOON_MS;
    watch();
    ok(child.paused && again_soon(), "else they are left to the others");
    others_idle = 0;
    now_ms = until;
    watch();
    ok(!child.paused, "for as long as these have threads");
    others_idle = 1;
    now_ms += SOON_MS;
    idle[0] = idle[1] = 1;
    watch();
    ok(!child.paused, "and not while one is free here");
    /* The one that becomes free just now may have looked at `paused` before it was set. */
    atomic_store(&child.crew.all_taken, 1);
    idle[0] = 0;
    now_ms += SOON_MS;
    watch();
    ok(!child.paused, "also if that was in this moment");
}

int main(void)
{
    alarm(60);
    apr_initialize();
    if (pipe(requests))
        return 1;
    test_when();
    test_pauses();
    test_work();
    test_others();
    apr_terminate();
    return tap_done();
}
