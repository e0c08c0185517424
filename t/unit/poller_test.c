/*
 * poller_test.c - promise: a connection that is armed is reported once, as soon as it is
 * ready, under the token it was armed with last; not before it is armed again, nor after it
 * was forgotten. A listening socket is reported until nobody is left in its queue. A wake-up
 * makes one waiting thread return, shutting all. The same for every back-end of poller.h:
 * this file is built with each.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "apr_general.h"

#include "httpd_stubs.h"
#include "poller.h"
#include "tap.h"

#define SENTINEL UINT64_C(0x5e5e5e5e)
#define MANY 200

static apr_pool_t *pool;
static mpmx_poller *poller;

/* --- a pair of sockets, of which one end is polled ---------------------------------- */

typedef struct peer {
    mpmx_poll_entry entry;
    int fd, far;
} peer;

static void open_peer(peer *p)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) {
        diag("socketpair: %s", strerror(errno));
        exit(1);
    }
    p->fd = pair[0];
    p->far = pair[1];
    fcntl(p->fd, F_SETFL, O_NONBLOCK);
}

static void close_peer(peer *p)
{
    mpmx_poller_release(poller, &p->entry);
    close(p->fd);
    close(p->far);
}

static void say(peer *p)
{
    if (write(p->far, "x", 1) != 1)
        diag("write: %s", strerror(errno));
}

/* --- what is reported --------------------------------------------------------------- */

static struct { uint64_t token; unsigned events; } got[MANY * 2];
static int gots;

/* Collects all that is ready, `max` at a time: something else that is ready, and became so
 * later, says that it was all. Twice, because the order is not promised. */
static int collect(int max)
{
    mpmx_poll_event event[64];
    int round, i, n, done;

    gots = 0;
    for (round = 0; round < 2; round++) {
        peer sentinel = { { NULL, 0 }, -1, -1 };

        open_peer(&sentinel);
        say(&sentinel);
        mpmx_poller_arm(poller, &sentinel.entry, sentinel.fd, SENTINEL, MPMX_POLL_READ);
        for (done = 0; !done;) {
            n = mpmx_poller_wait(poller, event, max);
            for (i = 0; i < n; i++) {
                if (event[i].token == SENTINEL) {
                    done = 1;
                }
                else if (gots < MANY * 2) {
                    got[gots].token = event[i].token;
                    got[gots++].events = event[i].events;
                }
            }
        }
        close_peer(&sentinel);
    }
    return gots;
}

static int got_only(uint64_t token, unsigned events)
{
    int n = collect(16);

    if (n == 1 && got[0].token == token && (got[0].events & events) == events)
        return 1;
    diag("%d reports, the first for token %ld with events %u", n, n ? (long)got[0].token : 0, n ? got[0].events : 0);
    return 0;
}

/* --- connections ---------------------------------------------------------------------- */

static void test_one_shot(void)
{
    peer p = { { NULL, 0 }, -1, -1 };

    open_peer(&p);
    mpmx_poller_arm(poller, &p.entry, p.fd, 1, MPMX_POLL_READ);
    is_num(collect(16), 0, "nothing is reported for a connection that is not ready");
    say(&p);
    ok(got_only(1, MPMX_POLL_READ), "what comes later is reported");
    is_num(collect(16), 0, "once");
    say(&p);
    is_num(collect(16), 0, "also when more comes");
    mpmx_poller_arm(poller, &p.entry, p.fd, 2, MPMX_POLL_READ);
    ok(got_only(2, MPMX_POLL_READ), "armed again, what is there already is reported, under the new token");
    mpmx_poller_arm(poller, &p.entry, p.fd, 3, MPMX_POLL_WRITE);
    ok(got_only(3, MPMX_POLL_WRITE), "room for writing is reported");
    shutdown(p.far, SHUT_RDWR);
    is_num(collect(16), 0, "the end of a connection that is not armed is not reported");
    mpmx_poller_arm(poller, &p.entry, p.fd, 4, MPMX_POLL_READ);
    ok(got_only(4, MPMX_POLL_READ), "it is when it is armed for reading");
    close_peer(&p);
}

/* A connection whose deadline has passed is owned, but still armed. */
static void test_armed_anew(void)
{
    peer p = { { NULL, 0 }, -1, -1 };

    open_peer(&p);
    mpmx_poller_arm(poller, &p.entry, p.fd, 10, MPMX_POLL_READ);
    mpmx_poller_arm(poller, &p.entry, p.fd, 11, MPMX_POLL_READ);
    say(&p);
    ok(got_only(11, MPMX_POLL_READ), "armed twice for the same: reported under the later token only");
    is_num(collect(16), 0, "and once");
    mpmx_poller_arm(poller, &p.entry, p.fd, 12, MPMX_POLL_WRITE);
    mpmx_poller_arm(poller, &p.entry, p.fd, 13, MPMX_POLL_READ);
    ok(got_only(13, MPMX_POLL_READ), "armed for something else instead: reported for that only");
    mpmx_poller_arm(poller, &p.entry, p.fd, 14, MPMX_POLL_READ);
    mpmx_poller_forget(poller, &p.entry, p.fd);
    is_num(collect(16), 0, "forgotten: not reported");
    mpmx_poller_forget(poller, &p.entry, p.fd);
    mpmx_poller_arm(poller, &p.entry, p.fd, 15, MPMX_POLL_READ | MPMX_POLL_WRITE);
    ok(got_only(15, MPMX_POLL_READ | MPMX_POLL_WRITE) || (gots == 2 && got[0].token == 15),
       "armed after that: reported");
    close_peer(&p);
}

/* Both are ready, one has been given out. The other one's owner finds that its deadline has
 * passed, reads what there is, and waits for more. */
static void test_overtaken(void)
{
    peer p[2] = { { { NULL, 0 }, -1, -1 }, { { NULL, 0 }, -1, -1 } };
    mpmx_poll_event event;
    uint64_t other;
    char byte;
    int i;

    for (i = 0; i < 2; i++) {
        open_peer(&p[i]);
        say(&p[i]);
        mpmx_poller_arm(poller, &p[i].entry, p[i].fd, (uint64_t)i, MPMX_POLL_READ);
    }
    while (mpmx_poller_wait(poller, &event, 1) != 1)
        ;
    other = !event.token;
    if (read(p[other].fd, &byte, 1) != 1)
        diag("read: %s", strerror(errno));
    mpmx_poller_arm(poller, &p[other].entry, p[other].fd, 20, MPMX_POLL_READ);
    is_num(collect(16), 0, "what was ready for an earlier arming is not reported for a later one");
    say(&p[other]);
    ok(got_only(20, MPMX_POLL_READ), "but what comes after that");
    for (i = 0; i < 2; i++)
        close_peer(&p[i]);
}

static void test_closed(void)
{
    peer p = { { NULL, 0 }, -1, -1 };
    int old, i, wrong = 0;

    for (i = 0; i < 20; i++) {
        open_peer(&p);
        old = p.fd;
        mpmx_poller_arm(poller, &p.entry, p.fd, 100, MPMX_POLL_READ);
        if (i % 2)
            say(&p);
        close_peer(&p);
        open_peer(&p);                   /* the same number, as a rule */
        mpmx_poller_arm(poller, &p.entry, p.fd, 101, MPMX_POLL_READ);
        if (i >= 10)
            wrong += collect(16) != 0;   /* nothing of the old one */
        say(&p);
        wrong += !got_only(101, MPMX_POLL_READ);
        if (p.fd != old && !i)
            diag("descriptor %d was not used again", old);
        close_peer(&p);
    }
    is_num(wrong, 0, "a new connection with the descriptor of a closed one is a new one");
}

static void test_many(int max)
{
    static peer p[MANY];
    static int seen[MANY];
    int i, wrong = 0;

    memset(p, 0, sizeof p);
    memset(seen, 0, sizeof seen);
    for (i = 0; i < MANY; i++) {
        open_peer(&p[i]);
        mpmx_poller_arm(poller, &p[i].entry, p[i].fd, (uint64_t)i, MPMX_POLL_READ);
        say(&p[i]);
    }
    is_num(collect(max), MANY, "of %d ready ones, asked for %d at a time, all are reported", MANY, max);
    for (i = 0; i < gots; i++)
        seen[got[i].token % MANY]++;
    for (i = 0; i < MANY; i++) {
        wrong += seen[i] != 1;
        close_peer(&p[i]);
    }
    is_num(wrong, 0, "each once");
}

/* --- listening sockets -------------------------------------------------------------------- */

static int connect_to(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (connect(fd, (const struct sockaddr *)address, sizeof *address))
        diag("connect: %s", strerror(errno));
    return fd;
}

static void test_listener(void)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    mpmx_poll_entry entry = { NULL, 0 };
    int fd = socket(AF_INET, SOCK_STREAM, 0), client[2], i;

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&address, len) || listen(fd, 5) || getsockname(fd, (struct sockaddr *)&address, &len)) {
        ok(0, "listen: %s", strerror(errno));
        return;
    }
    is_num(mpmx_poller_listen(poller, &entry, fd, 7), APR_SUCCESS, "a listening socket can be polled");
    is_num(collect(16), 0, "nobody comes: nothing is reported");
    for (i = 0; i < 2; i++)
        client[i] = connect_to(&address);
    /* Each poll may say so. */
    ok(collect(1) > 0 && got[0].token == 7 && (got[0].events & MPMX_POLL_READ), "somebody comes: it is reported");
    close(accept(fd, NULL, NULL));
    ok(collect(1) > 0 && got[0].token == 7, "without being armed again, it is reported for the next");
    mpmx_poller_unlisten(poller, &entry, fd);
    is_num(collect(16), 0, "no more after unlisten");
    is_num(mpmx_poller_listen(poller, &entry, fd, 8), APR_SUCCESS, "it can be listened to again");
    ok(collect(1) > 0 && got[0].token == 8, "and what has come in between is reported");
    close(accept(fd, NULL, NULL));
    is_num(collect(16), 0, "nobody is left: nothing is reported");
    mpmx_poller_unlisten(poller, &entry, fd);
    mpmx_poller_release(poller, &entry);
    for (i = 0; i < 2; i++)
        close(client[i]);
    close(fd);
}

/* --- waking -------------------------------------------------------------------------------- */

#define WAITERS 4

static _Atomic int waiting, returned, wrong_token;

static void *wait_once(void *arg)
{
    mpmx_poll_event event;
    int n;

    (void)arg;
    atomic_fetch_add(&waiting, 1);
    do                                   /* 0 is allowed at any time */
        n = mpmx_poller_wait(poller, &event, 1);
    while (n == 0);
    if (n != 1 || event.token != MPMX_POLL_WAKE_TOKEN)
        atomic_fetch_add(&wrong_token, 1);
    atomic_fetch_add(&returned, 1);
    return NULL;
}

static void await(_Atomic int *number, int wanted)
{
    const struct timespec ms = { 0, 1000000 };
    int i;

    for (i = 0; i < 20000 && atomic_load(number) < wanted; i++)
        nanosleep(&ms, NULL);
}

static void test_wake(void)
{
    pthread_t thread[WAITERS];
    mpmx_poll_event event;
    int i, n;

    mpmx_poller_wake(poller);
    n = mpmx_poller_wait(poller, &event, 1);
    ok(n == 1 && event.token == MPMX_POLL_WAKE_TOKEN, "a wake-up is for the next one that waits");
    for (i = 0; i < WAITERS; i++)
        pthread_create(&thread[i], NULL, wait_once, NULL);
    await(&waiting, WAITERS);
    for (i = 0; i < WAITERS; i++) {
        mpmx_poller_wake(poller);
        await(&returned, i + 1);
    }
    for (i = 0; i < WAITERS; i++)
        pthread_join(thread[i], NULL);
    is_num(returned, WAITERS, "each wake-up makes one waiting thread return");
    is_num(wrong_token, 0, "with the token that means it");
}

static void test_shut(void)
{
    pthread_t thread[WAITERS];
    mpmx_poll_event event;
    int i;

    returned = waiting = 0;
    for (i = 0; i < WAITERS; i++)
        pthread_create(&thread[i], NULL, wait_once, NULL);
    await(&waiting, WAITERS);
    mpmx_poller_shut(poller);
    for (i = 0; i < WAITERS; i++)
        pthread_join(thread[i], NULL);
    is_num(returned, WAITERS, "shut: all return");
    for (i = 0; i < 1000; i++)
        mpmx_poller_wait(poller, &event, 1);
    ok(1, "and nobody waits ever again");
}

int main(void)
{
    alarm(60);
    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (!ok(mpmx_poller_create(&poller, pool, WAITERS) == APR_SUCCESS, "a poller is made"))
        return tap_done();
    test_one_shot();
    test_armed_anew();
    test_overtaken();
    test_closed();
    test_many(1);
    test_many(7);
    test_many(64);
    test_listener();
    test_wake();
    test_shut();
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_done();
}
