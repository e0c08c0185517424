/*
 * recall_test.c - promise: a wait for a client's next request ends with its input, with its
 * timeout, or when it is called back: the longest first, one at a time, the next when that one is
 * through, none before it has had a second, and only while requests wait that no thread is there
 * for. Input wins. Nobody else notices: not a thread that does something else, nor the next wait.
 *
 * The housekeeper is the test; the clock that it goes by is set by hand. Signals are blocked
 * everywhere, as in a child. When the housekeeper looks: recall_watch_test.c.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/socket.h>
#include "apr_general.h"

#include "child.h"
#include "clock.h"
#include "httpd_stubs.h"
#include "recall.h"
#include "recall_stubs.h"
#include "tap.h"

#define WORKERS 4
#define IDLE_MS 1000             /* what every client has    */
#define SOON_MS 300              /* then called within that  */

static mpmx_child child;
static apr_pool_t *pool;
static _Atomic int64_t clock_ms;

int64_t mpmx_clock_coarse_ms(void)
{
    return atomic_load(&clock_ms);
}

/* Nobody looks at these here. */
int mpmx_crew_idle(mpmx_crew *crew)
{
    (void)crew;
    return 0;
}

int mpmx_poller_descriptor(mpmx_poller *p)
{
    (void)p;
    return -1;
}

/* --- workers ---------------------------------------------------------------------------------- */

enum { NOTHING, WAIT, POLL, SLEEP, LEAVE };

/* A worker does what it is told to, and says how that went. */
static struct {
    _Atomic int todo;
    int fd[2];                           /* its end, the client's end                  */
    apr_interval_time_t timeout;
    apr_status_t rv;
    int64_t took_ms;                     /* real time                                  */
    int blocked, pending;                /* the signal, afterwards                     */
} job[WORKERS];

static _Atomic int lazy;                 /* nobody gets through with its job */
static _Atomic int preempted;            /* nobody gets on just before its accept */

static int64_t real_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void pause_us(long us)
{
    const struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

    nanosleep(&ts, NULL);
}

static _Atomic int not_yet;          /* who sleeps is to stay until this is over */

static void do_job(mpmx_worker *w, int i, int todo)
{
    const struct timespec ts = { 0, 100 * 1000 * 1000 };
    struct pollfd pfd = { job[i].fd[0], POLLIN, 0 };
    int64_t began = real_ms();
    sigset_t mask, pending;

    if (todo == WAIT)
        job[i].rv = mpmx_recall_wait(w, job[i].fd[0], job[i].timeout);
    else if (todo == POLL)
        job[i].rv = poll(&pfd, 1, 100) < 0 ? errno : 0;
    else if (todo == SLEEP)
        job[i].rv = nanosleep(&ts, NULL) < 0 ? errno : 0;
    while (todo == SLEEP && atomic_load(&not_yet))
        pause_us(200);
    job[i].took_ms = real_ms() - began;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    sigpending(&pending);
    job[i].blocked = sigismember(&mask, SIGUSR1);
    job[i].pending = sigismember(&pending, SIGUSR1);
}

static void *APR_THREAD_FUNC worker_main(apr_thread_t *thread, void *data)
{
    mpmx_worker *w = data;
    int i = (int)(w - child.crew.worker), todo;

    (void)thread;
    while ((todo = atomic_load(&job[i].todo)) != LEAVE) {
        if (todo == NOTHING) {
            pause_us(200);
            continue;
        }
        do_job(w, i, todo);
        while (atomic_load(&lazy))
            pause_us(200);
        /* It rests no more, is through with it, has its next report, and accepts what waited. */
        atomic_fetch_add(&w->serial, 3);
        while (atomic_load(&preempted))
            pause_us(200);
        atomic_fetch_add(&child.accepted, 1);
        atomic_store(&job[i].todo, NOTHING);
    }
    return NULL;
}

static int start(void)
{
    static mpmx_worker worker[WORKERS];
    apr_threadattr_t *attr;
    int i;

    child.crew.worker = worker;
    child.crew.size = WORKERS;
    apr_threadattr_create(&attr, pool);
    for (i = 0; i < WORKERS; i++) {
        mpmx_worker *w = &child.crew.worker[i];

        w->child = &child;
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, job[i].fd)
            || apr_thread_create(&w->thread, attr, worker_main, w, pool) != APR_SUCCESS)
            return 0;
    }
    return 1;
}

static void stop(void)
{
    apr_status_t rv;
    int i;

    for (i = 0; i < WORKERS; i++) {
        atomic_store(&job[i].todo, LEAVE);
        apr_thread_join(&rv, child.crew.worker[i].thread);
        close(job[i].fd[0]);
        close(job[i].fd[1]);
    }
}

static void begin(int i, int todo, int timeout_ms)
{
    job[i].timeout = timeout_ms < 0 ? -1 : (apr_interval_time_t)timeout_ms * 1000;
    atomic_store(&job[i].todo, todo);
}

/* Until it waits, as the housekeeper sees it. */
static int is_waiting(int i)
{
    int k;

    for (k = 0; k < 50000 && !atomic_load(&child.crew.worker[i].idle); k++)
        pause_us(200);
    return k < 50000;
}

static int is_done(int i)
{
    int k;

    for (k = 0; k < 50000 && atomic_load(&job[i].todo) != NOTHING; k++)
        pause_us(200);
    return k < 50000;
}

static int result_of(int i)
{
    return is_done(i) ? job[i].rv : -1;
}

static void send_byte(int i)
{
    if (write(job[i].fd[1], "x", 1) != 1)
        diag("write: %s", strerror(errno));
}

static void take_byte(int i)
{
    char byte;

    if (read(job[i].fd[0], &byte, 1) != 1)
        diag("read: %s", strerror(errno));
}

/* Ends a wait that nothing else shall end. */
static int end_wait(int i)
{
    int rv;

    send_byte(i);
    rv = result_of(i);
    take_byte(i);
    return rv;
}

/* --- the housekeeper ------------------------------------------------------------------------- */

/* It finds that reports wait, whenever it is to look again, for so long. Stops as soon as a
 * worker has been called back; returns which, or -1. */
static int reports_wait(int64_t for_ms)
{
    int64_t end = clock_ms + for_ms;
    int i;

    for (; clock_ms < end; clock_ms += 2) {
        int64_t waiting[WORKERS];

        if (clock_ms < child.recall_at)
            continue;
        for (i = 0; i < WORKERS; i++)
            waiting[i] = atomic_load(&child.crew.worker[i].idle);
        mpmx_recall_reports_wait(&child, clock_ms);
        for (i = 0; i < WORKERS; i++)
            if (atomic_load(&child.crew.worker[i].idle) != waiting[i])
                return i;
    }
    return -1;
}

/* As if all had been free for a while. */
static void forget(void)
{
    child.recall_at = 0;
    clock_ms += 5000;
}

/* --- a wait ---------------------------------------------------------------------------------- */

static void test_wait(void)
{
    begin(0, WAIT, 20000);
    ok(is_waiting(0), "a worker waits");
    is_num(end_wait(0), APR_SUCCESS, "until there is input");
    ok(job[0].took_ms < 15000 && !child.crew.worker[0].idle, "and then does not wait any more");
    send_byte(0);
    begin(0, WAIT, 20000);
    is_num(result_of(0), APR_SUCCESS, "also if it is there before");
    begin(0, WAIT, 0);
    is_num(result_of(0), APR_SUCCESS, "also without a time to wait");
    take_byte(0);
    begin(0, WAIT, 0);
    is_num(result_of(0), APR_TIMEUP, "else, that is over at once");
    begin(0, WAIT, 50);
    is_num(result_of(0), APR_TIMEUP, "and another one in its time");
    ok(job[0].took_ms >= 49, "not before");
    begin(0, WAIT, -1);
    ok(is_waiting(0), "without a limit it waits");
    pause_us(50000);
    is_num(job[0].todo, WAIT, "and waits");
    is_num(end_wait(0), APR_SUCCESS, "for its input");
    begin(0, WAIT, 20000);
    is_waiting(0);
    shutdown(job[0].fd[1], SHUT_WR);
    is_num(result_of(0), APR_SUCCESS, "the client's end is input, too");
    close(job[0].fd[0]);
    begin(0, WAIT, 20000);
    is_num(result_of(0), APR_SUCCESS, "and an error is for whoever reads then");
    ok(job[0].blocked && !job[0].pending, "the signal is blocked before and after");
    close(job[0].fd[1]);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, job[0].fd))
        diag("socketpair: %s", strerror(errno));
}

/* --- calling back ------------------------------------------------------------------------------- */

static void test_order(void)
{
    static const int order[WORKERS] = { 2, 0, 3, 1 };
    int64_t began[WORKERS], last = 0;
    int i, wrong = 0, early = 0, late = 0, together = 0;

    forget();
    for (i = 0; i < WORKERS; i++) {
        began[i] = clock_ms += 50;
        begin(order[i], WAIT, 60000);
        wrong += !is_waiting(order[i]);
    }
    clock_ms += 50;
    for (i = 0; i < WORKERS; i++) {
        int called = reports_wait(10000);

        wrong += called != order[i] || result_of(order[i]) != APR_TIMEUP;
        early += clock_ms < began[i] + IDLE_MS;
        late += clock_ms > began[i] + IDLE_MS + SOON_MS;
        together += clock_ms <= last;
        last = clock_ms;
        if (i + 1 < WORKERS)
            wrong += atomic_load(&job[order[i + 1]].todo) != WAIT;
    }
    is_num(wrong, 0, "called back are the longest first, and only they come back, as if time was up");
    is_num(early, 0, "none before it has had a second");
    is_num(late, 0, "each soon after");
    is_num(together, 0, "one at a time");
    is_num(reports_wait(5000), -1, "and when nobody waits, nobody is called");
    for (i = 0; i < WORKERS; i++)
        wrong += !job[i].blocked || job[i].pending;
    is_num(wrong, 0, "no signal is left over");
}

/* All have waited for long already when requests come, and then they are all wanted. */
static void test_many(void)
{
    int64_t since;
    int i, called = 0;

    forget();
    for (i = 0; i < WORKERS; i++) {
        begin(i, WAIT, 60000);
        is_waiting(i);
    }
    since = clock_ms += 30000;
    mpmx_recall_reports_wait(&child, clock_ms);
    for (i = 0; i < WORKERS; i++)
        called += job[i].todo != WAIT;
    is_num(called, 0, "requests that have come just now do not call anybody back");
    for (i = 0; i < WORKERS; i++) {
        int who = reports_wait(SOON_MS);

        called += who >= 0 && result_of(who) == APR_TIMEUP;
    }
    is_num(called, WORKERS, "those that wait for longer do, one after the other, and come back");
    ok(clock_ms - since >= 4 * 5 && clock_ms - since < SOON_MS + WORKERS * 50, "swiftly, but with a pause between: %ld ms",
       (long)(clock_ms - since));
}

/* Its wait is over, whatever it does then. */
static int wait_is_over(int i)
{
    int k;

    for (k = 0; k < 50000 && atomic_load(&child.crew.worker[i].idle); k++)
        pause_us(200);
    return k < 50000;
}

static int two_wait(void)
{
    int waiting;

    forget();
    begin(0, WAIT, 60000);
    begin(1, WAIT, 60000);
    waiting = is_waiting(0) + is_waiting(1);
    clock_ms += 30000;
    return waiting == 2;
}

/* One that was called, but takes its time to end its connection, here: to say that it is through. */
static void test_on_its_way(void)
{
    int first;

    ok(two_wait(), "two wait");
    atomic_store(&lazy, 1);
    first = reports_wait(SOON_MS);
    ok((first == 0 || first == 1) && wait_is_over(first), "one of them is called");
    is_num(reports_wait(SOON_MS), -1, "and while it is on its way, not the other one");
    atomic_store(&lazy, 0);
    is_num(result_of(first), APR_TIMEUP, "when it is back");
    is_num(reports_wait(SOON_MS), !first, "and requests still wait, that is the next");
    is_num(result_of(!first), APR_TIMEUP, "which comes back");

    two_wait();
    atomic_store(&lazy, 1);
    first = reports_wait(SOON_MS);
    wait_is_over(first == 1);
    is_num(reports_wait(3000), !first, "nor is one waited for that is held up");
    atomic_store(&lazy, 0);
    ok(result_of(0) == APR_TIMEUP && result_of(1) == APR_TIMEUP, "both come back");
}

/* The same, but it is not run just before its accept. */
static void test_about_to_accept(void)
{
    unsigned serial;
    int first;

    two_wait();
    atomic_store(&preempted, 1);
    serial = atomic_load(&child.crew.worker[0].serial) + atomic_load(&child.crew.worker[1].serial);
    first = reports_wait(SOON_MS);
    while (atomic_load(&child.crew.worker[0].serial) + atomic_load(&child.crew.worker[1].serial) == serial)
        pause_us(200);
    is_num(reports_wait(80), -1, "nobody else is called when one is about to accept");
    atomic_store(&preempted, 0);
    is_num(result_of(first), APR_TIMEUP, "which it does");
    is_num(reports_wait(SOON_MS), !first, "then the next one is, if requests still wait");
    is_num(result_of(!first), APR_TIMEUP, "and comes back");
}

static void test_seldom(void)
{
    int i;

    forget();
    begin(0, WAIT, 60000);
    is_waiting(0);
    clock_ms += 30000;
    for (i = 0; i < 50; i++) {
        mpmx_recall_reports_wait(&child, clock_ms);
        clock_ms += 1000;
    }
    is_num(job[0].todo, WAIT, "requests now and then, with pauses between, are no reason to call");
    end_wait(0);
}

/* --- others do not notice -------------------------------------------------------------------------- */

static void test_others(void)
{
    int round, wrong = 0;

    forget();
    for (round = 0; round < 3; round++) {
        begin(0, POLL, 0);
        begin(1, SLEEP, 0);
        pause_us(20000);
        wrong += reports_wait(3000) != -1;
        kill(getpid(), SIGUSR1);         /* whoever sends it: others must not be hit */
        wrong += result_of(0) != 0 || result_of(1) != 0;
        wrong += job[0].took_ms < 99 || job[1].took_ms < 99;
    }
    is_num(wrong, 0, "who does something else is not called, and not disturbed");
    /* That signal is still there for anybody who takes it; or the call below is taken, and it stays. */
    begin(2, WAIT, 10);
    ok(result_of(2) == APR_TIMEUP && !job[2].pending, "who waits takes the signal, and waits on");

    forget();
    begin(2, WAIT, 60000);
    is_waiting(2);
    begin(0, POLL, 0);
    begin(1, SLEEP, 0);
    clock_ms += 3000;
    is_num(reports_wait(3000), 2, "among them, the one that waits is called");
    is_num(result_of(2), APR_TIMEUP, "and comes back");
    wrong = result_of(0) != 0 || result_of(1) != 0 || job[0].took_ms < 99 || job[1].took_ms < 99
        || job[0].pending || job[1].pending;
    ok(!wrong, "without anybody else noticing");

    begin(3, WAIT, 300);
    is_waiting(3);
    kill(getpid(), SIGUSR1);
    ok(result_of(3) == APR_TIMEUP && job[3].took_ms >= 299, "the signal alone does not end a wait");
}

/* A call that came when the wait was just over. */
static void test_late_signal(void)
{
    apr_os_thread_t *thread;

    atomic_store(&not_yet, 1);
    begin(0, SLEEP, 0);
    pause_us(10000);
    apr_os_thread_get(&thread, child.crew.worker[0].thread);
    pthread_kill(*thread, SIGUSR1);
    atomic_store(&not_yet, 0);
    ok(result_of(0) == 0 && job[0].pending, "a signal that comes late waits");
    begin(0, WAIT, 100);
    ok(result_of(0) == APR_TIMEUP && job[0].took_ms >= 99, "and does not end the next wait");
    ok(!job[0].pending, "but is gone then");
}

/* --- input and call meet ---------------------------------------------------------------------------- */

static void test_input_wins(void)
{
    int round, called = 0, lost = 0, wrong = 0;

    for (round = 0; round < 300; round++) {
        forget();
        begin(0, WAIT, 60000);
        is_waiting(0);
        clock_ms += 3000;
        mpmx_recall_reports_wait(&child, clock_ms);
        if (round % 2)
            send_byte(0);
        called += reports_wait(SOON_MS) == 0;
        if (round % 2) {
            lost += result_of(0) != APR_SUCCESS;
            take_byte(0);
        }
        else {
            wrong += result_of(0) != APR_TIMEUP;
        }
        if (round % 30 < 2) {
            begin(0, WAIT, 20);
            wrong += result_of(0) != APR_TIMEUP || job[0].took_ms < 19;
        }
    }
    is_num(lost, 0, "whose input came before the call has not been called");
    is_num(wrong, 0, "others have, and no wait is ended by the call of an earlier one");
    ok(called >= 150, "it happened: %d calls", called);
}

static struct {
    int64_t since;                       /* by the clock; 0: it does not wait          */
    int sent;
} tried[WORKERS];

static int answered, sent_away, too_early, groundless;

static unsigned random_below(uint64_t *state, unsigned limit)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(*state >> 33) % limit;
}

/* Whatever comes next for this one. */
static void go_on(int i, uint64_t *seed)
{
    if (atomic_load(&job[i].todo) != NOTHING) {
        if (!tried[i].sent && random_below(seed, 8) == 0) {
            tried[i].sent = 1;
            send_byte(i);
        }
    }
    else if (tried[i].since) {
        if (job[i].rv == APR_SUCCESS) {
            answered++;
            groundless += !tried[i].sent;
        }
        else {
            sent_away++;
            too_early += clock_ms - tried[i].since < IDLE_MS;
        }
        if (tried[i].sent)
            take_byte(i);
        tried[i].since = tried[i].sent = 0;
    }
    else {
        tried[i].since = clock_ms;
        begin(i, WAIT, 60000);
    }
}

/* Is it still at it? Not one that was called, and is about to come back: nobody is called any more. */
static int still_waits(int i)
{
    int k;

    for (k = 0; k < 50000 && atomic_load(&job[i].todo) != NOTHING
                && atomic_load(&child.crew.worker[i].idle) <= 0; k++)
        pause_us(200);
    return atomic_load(&job[i].todo) != NOTHING;
}

/* Waits, calls and clients at random. */
static void test_stress(void)
{
    int64_t until = real_ms() + 1500;
    uint64_t seed = 17;
    int i;

    forget();
    /* For longer where the machine stood still meanwhile. */
    while (real_ms() < until || ((answered <= 20 || sent_away <= 20) && real_ms() < until + 30000)) {
        go_on((int)random_below(&seed, WORKERS), &seed);
        if (clock_ms >= child.recall_at)
            mpmx_recall_reports_wait(&child, clock_ms);
        clock_ms += 12;
        if (random_below(&seed, 4) == 0)
            pause_us(100);
    }
    for (i = 0; i < WORKERS; i++) {
        if (!tried[i].sent && still_waits(i))
            groundless += end_wait(i) != APR_SUCCESS;
        if (tried[i].sent && is_done(i))
            take_byte(i);
    }
    is_num(too_early, 0, "at random: nobody is sent away too early");
    is_num(groundless, 0, "and nobody comes back without a reason");
    ok(answered > 20 && sent_away > 20, "it was lively: %d answered, %d sent away", answered, sent_away);
}

int main(void)
{
    sigset_t all;

    alarm(120);
    sigfillset(&all);
    sigdelset(&all, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    apr_initialize();
    apr_pool_create(&pool, NULL);
    mpmx_recall_init();
    if (ok(start(), "workers start")) {
        test_wait();
        test_order();
        test_many();
        test_on_its_way();
        test_about_to_accept();
        test_seldom();
        test_others();
        test_late_signal();
        test_input_wins();
        test_stress();
        stop();
    }
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_done();
}
