/*
 * conn_claim_test.c - promise: a connection has one owner at a time, whether a report, its
 * deadline or both at once end its waiting; none is forgotten: each request is answered or
 * its connection closed; and what is left of all that in the end is nothing.
 *
 * The records, crew, wheel, gate and poller are the real ones; in httpd's place are a few
 * lines that answer, wait again, or close, as chance will have it. At first without timeouts,
 * so that a lost report shows; then with so many that they and reports meet all the time.
 * Built with each poller.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/socket.h>
#include "apr_general.h"

#include "child.h"
#include "clock.h"
#include "expiry.h"
#include "hibernate.h"
#include "httpd_stubs.h"
#include "linger.h"
#include "serve.h"
#include "socket.h"
#include "tap.h"

#define WORKERS 4
#define CLIENTS 6
#define CONNECTIONS 150          /* one after the other, of each client, twice */
#define REQUESTS 12              /* at most, of each connection                */
#define FDS 4096

mpmx_server mpmx;

static mpmx_child child;
static mpmx_listener listener;
static server_rec server;
static apr_pool_t *pool;
static _Atomic int owners[FDS], two_owners, served, timed_out, slept;
static _Atomic int answers, ends, lost, broken, groundless;
static _Atomic int housekeeping = 1, disturbed, inspected;

static unsigned random_below(uint64_t *state, unsigned limit)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(*state >> 33) % limit;
}

static unsigned chance(unsigned limit)
{
    static __thread uint64_t seed;

    if (!seed)
        seed = (uint64_t)(uintptr_t)&seed;
    return random_below(&seed, limit);
}

/* --- in the place of httpd -------------------------------------------------------------- */

static void own(mpmx_conn *conn)
{
    if (atomic_fetch_add(&owners[conn->fd % FDS], 1))
        atomic_fetch_add(&two_owners, 1);
    mpmx_conn_set_state(conn, MPMX_CONN_SERVING);
    if (chance(16) == 0)
        sched_yield();
}

static void disown(mpmx_conn *conn)
{
    atomic_fetch_sub(&owners[conn->fd % FDS], 1);
}

static void end(mpmx_worker *w, mpmx_conn *conn)
{
    conn->c = NULL;
    mpmx_conn_drop_input(conn);
    disown(conn);
    mpmx_conn_close(w, conn);
}

static int timeout_ms(unsigned most)
{
    return atomic_load(&disturbed) ? 1 + (int)chance(most) : 60000;
}

/* Waits for the next request, or for something else, or not at all. */
static void go_on(mpmx_worker *w, mpmx_conn *conn)
{
    static conn_rec some;

    conn->c = &some;
    conn->restless = 0;
    mpmx_conn_set_idle_since(conn, 0);
    conn->view.keepalive_ms = timeout_ms(20);
    conn->view.timeout_ms = timeout_ms(20);
    switch (chance(10)) {
    case 0:
        end(w, conn);
        break;
    case 1:
    case 2:
        disown(conn);
        mpmx_conn_park(w, conn, MPMX_CONN_WRITING, MPMX_POLL_WRITE, timeout_ms(10));
        break;
    case 3:
    case 4:
        disown(conn);
        mpmx_conn_park(w, conn, MPMX_CONN_WAITIO, chance(2) ? MPMX_POLL_READ : MPMX_POLL_WRITE, timeout_ms(10));
        break;
    case 5:
        conn->c = NULL;
        conn->head_due = mpmx_clock_coarse_ms() + timeout_ms(10);
        shutdown(conn->fd, SHUT_WR);
        disown(conn);
        mpmx_conn_park(w, conn, MPMX_CONN_LINGER, MPMX_POLL_READ, timeout_ms(10));
        break;
    default:
        disown(conn);
        mpmx_conn_await_head(w, conn);
    }
}

void mpmx_serve(mpmx_worker *w, mpmx_conn *conn)
{
    own(conn);
    if (conn->input_len && !conn->head_late) {
        int whole = conn->input_len >= 4 && !memcmp(conn->input + conn->input_len - 4, "\r\n\r\n", 4);

        char more;

        /* Clients send one at a time, and some vanish in the middle. */
        if (!whole && recv(conn->fd, &more, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
            atomic_fetch_add(&broken, 1);
        mpmx_conn_drop_input(conn);
        atomic_fetch_add(&served, 1);
        if (send(conn->fd, "a", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) {
            end(w, conn);
            return;
        }
    }
    else if (conn->head_late) {
        end(w, conn);
        return;
    }
    go_on(w, conn);
}

void mpmx_serve_write(mpmx_worker *w, mpmx_conn *conn)
{
    own(conn);
    go_on(w, conn);
}

void mpmx_serve_timeout(mpmx_worker *w, mpmx_conn *conn)
{
    own(conn);
    atomic_fetch_add(&timed_out, 1);
    go_on(w, conn);
}

void mpmx_serve_idle(mpmx_worker *w, mpmx_conn *conn)
{
    own(conn);
    atomic_fetch_add(&timed_out, 1);
    if (chance(3))
        go_on(w, conn);
    else
        end(w, conn);
}

/* Nobody here has an APR socket. */
void mpmx_socket_unmake(mpmx_worker *w, mpmx_conn *conn)
{
    (void)w;
    (void)conn;
}

void mpmx_serve_gone(mpmx_worker *w, mpmx_conn *conn)
{
    own(conn);
    end(w, conn);
}

void mpmx_serve_abandon(mpmx_worker *w, mpmx_conn *conn)
{
    mpmx_serve_gone(w, conn);
}

/* Sleeps, or stays awake and is not asked again. */
void mpmx_hibernate(mpmx_worker *w, mpmx_conn *conn)
{
    own(conn);
    atomic_fetch_add(&slept, 1);
    conn->restless = 1;
    if (chance(4)) {
        conn->c = NULL;
        mpmx_conn_set_state(conn, MPMX_CONN_ASLEEP);
    }
    else {
        mpmx_conn_set_state(conn, MPMX_CONN_KEEPALIVE);
    }
    disown(conn);
    mpmx_conn_await_head(w, conn);
}

void mpmx_linger_asleep(mpmx_worker *w, mpmx_conn *conn)
{
    own(conn);
    atomic_fetch_add(&timed_out, 1);
    end(w, conn);
}

void mpmx_linger_drain(mpmx_worker *w, mpmx_conn *conn)
{
    char drop[256];
    ssize_t n;

    own(conn);
    while ((n = recv(conn->fd, drop, sizeof drop, 0)) > 0)
        ;
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK) || mpmx_clock_coarse_ms() >= conn->head_due) {
        end(w, conn);
        return;
    }
    disown(conn);
    mpmx_conn_park(w, conn, MPMX_CONN_LINGER, MPMX_POLL_READ, timeout_ms(10));
}

/* --- in the place of the rest of the child --------------------------------------------------- */

static _Atomic int handed_back;

/* The last thing before close(2). That a descriptor is given out anew only after it was
 * closed is known to the kernel; this tells it to the sanitizer. */
void mpmx_listeners_check_room(mpmx_worker *w)
{
    (void)w;
    atomic_fetch_add(&handed_back, 1);
}

void mpmx_child_kick(mpmx_child *c)
{
    (void)c;
}

void mpmx_child_awake_at(mpmx_child *c, int64_t when)
{
    (void)c;
    (void)when;
}

static void ready(mpmx_worker *w)
{
    (void)w;
}

static void run_conn(mpmx_worker *w, mpmx_work *work)
{
    mpmx_conn_ready(w, (mpmx_conn *)((char *)work - offsetof(mpmx_conn, work)), 0);
}

static void resubmit(mpmx_worker *blocked, const mpmx_poll_event *event)
{
    mpmx_conn *conn = mpmx_conn_claim(&child, event->token);

    (void)blocked;
    if (conn) {
        conn->work.run = run_conn;
        mpmx_crew_submit(&child.crew, &conn->work);
    }
}

/* A report that has been claimed must be about what its owner has been waiting for. */
static int has_ground(const mpmx_conn *conn)
{
    struct pollfd pfd = { .fd = conn->fd, .events = POLLIN };
    mpmx_conn_state state = mpmx_conn_get_state(conn);

    if (state == MPMX_CONN_WRITING || state == MPMX_CONN_WAITIO)
        pfd.events = POLLOUT;
    if (state == MPMX_CONN_WAITIO)
        pfd.events |= POLLIN;
    return poll(&pfd, 1, 0) == 1;
}

/* Returns, instead of apr_thread_exit(): AddressSanitizer takes a thread that ends within APR,
 * which it does not know, for one that overwrites its stack. */
static void *APR_THREAD_FUNC worker_main(apr_thread_t *thread, void *data)
{
    mpmx_worker *w = data;
    mpmx_poll_event event;
    mpmx_work *work;
    mpmx_conn *conn;
    int what;

    (void)thread;
    mpmx_crew_enter(w);
    while ((what = mpmx_crew_next(w, &event, &work)) != 0) {
        if (what == 2) {
            work->run(w, work);
        }
        else if ((conn = mpmx_conn_claim(&child, event.token)) != NULL) {
            if (!has_ground(conn))
                atomic_fetch_add(&groundless, 1);
            mpmx_conn_ready(w, conn, event.events);
        }
        if (chance(200) == 0)
            usleep(1500);                /* a blocking handler, for the crew */
    }
    mpmx_crew_leave(w);
    return NULL;
}

/* Reads what belongs to the owner alone. */
static void look(const mpmx_conn *conn, void *baton)
{
    if (atomic_fetch_add(&owners[conn->fd % FDS], 1))
        atomic_fetch_add(&two_owners, 1);
    *(unsigned *)baton += (unsigned)conn->peer.sa.sa_family + conn->buf_len + (conn->c != NULL);
    atomic_fetch_add(&inspected, 1);
    atomic_fetch_sub(&owners[conn->fd % FDS], 1);
}

/* As when it names those that it waits for: they go on waiting, and no report is lost. */
static void inspect_all(void)
{
    static unsigned sum;
    unsigned i, k;

    for (i = 0; i < child.chunks; i++) {
        mpmx_conn *chunk = atomic_load_explicit(&child.chunk[i], memory_order_acquire);

        for (k = 0; chunk && k < MPMX_CONN_CHUNK; k++)
            if (mpmx_conn_get_state(&chunk[k]) != MPMX_CONN_FREE)
                mpmx_conn_inspect(&child, &chunk[k], look, &sum);
    }
}

static void *housekeeper(void *arg)
{
    const struct timespec tick = { 0, 500000 };

    (void)arg;
    while (atomic_load(&housekeeping)) {
        mpmx_wheel_advance(&child.wheel, mpmx_clock_coarse_ms(), mpmx_expiry_visit, &child);
        mpmx_crew_tick(&child.crew, mpmx_clock_us());
        if (chance(4) == 0)
            inspect_all();
        nanosleep(&tick, NULL);
    }
    return NULL;
}

/* Most of those that wait; only looks at what may be looked at without owning it. */
static int is_due_soon(const mpmx_conn *conn, int64_t now)
{
    return atomic_load(&conn->deadline.due) <= now + 15;
}

/* As the housekeeper does when it is short of descriptors, but all the time. */
static void *disturber(void *arg)
{
    (void)arg;
    while (atomic_load(&housekeeping)) {
        if (atomic_load(&disturbed) && chance(4))
            mpmx_expiry_all(&child, is_due_soon);
        else if (atomic_load(&disturbed))
            mpmx_expiry_idlest(&child);
        /* Now and then it lets them be, for long enough to fall asleep. */
        usleep(chance(16) ? 100 + chance(400) : 20000);
    }
    return NULL;
}

static int start(void)
{
    mpmx_crew *crew = &child.crew;

    server.timeout = apr_time_from_sec(60);
    ap_server_conf = mpmx.main = child.server = &server;
    mpmx.conf.head_timeout = 60;
    mpmx.conf.hibernate_ms = 8;
    mpmx.conf.threads_per_child = WORKERS;
    mpmx.child = &child;
    atomic_store(&child.phase, MPMX_PHASE_RUNNING);
    listener.gated = 1;
    mpmx_wheel_init(&child.wheel, mpmx_clock_coarse_ms());
    if (mpmx_poller_create(&child.poller, pool, WORKERS) != APR_SUCCESS
        || mpmx_conn_table_init(&child, pool) != APR_SUCCESS)
        return 0;
    crew->child = &child;
    crew->poller = child.poller;
    crew->kick = mpmx_child_kick;
    crew->ready = ready;
    crew->resubmit = resubmit;
    crew->main = worker_main;
    mpmx_crew_init(crew, WORKERS, pool);
    atomic_store(&crew->base, 2);
    return mpmx_crew_start(crew, WORKERS, pool) == 0;
}

/* --- clients ---------------------------------------------------------------------------------- */

typedef struct arrival {
    mpmx_work work;
    int fd;
} arrival;

static _Atomic int arriving;         /* connected, and no worker has counted it yet */

static void accept_it(mpmx_worker *w, mpmx_work *work)
{
    arrival *a = (arrival *)work;
    mpmx_peer peer;
    mpmx_conn *conn;

    memset(&peer, 0, sizeof peer);
    conn = mpmx_conn_open(w, a->fd, &listener, &peer);
    atomic_fetch_sub(&arriving, 1);
    free(a);
    if (conn)
        mpmx_conn_start(w, conn);
}

static int connect_to_child(void)
{
    arrival *a = malloc(sizeof *a);
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) {
        diag("socketpair: %s", strerror(errno));
        exit(1);
    }
    atomic_fetch_add(&handed_back, 0);
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    a->fd = pair[0];
    a->work.run = accept_it;
    atomic_fetch_add(&arriving, 1);
    mpmx_crew_submit(&child.crew, &a->work);
    return pair[1];
}

/* 1: answered; 0: closed; -1: neither, for ten seconds. */
static int await_answer(int fd)
{
    struct pollfd pfd = { .fd = fd, .events = POLLIN };
    char answer;

    if (poll(&pfd, 1, 10000) <= 0)
        return -1;
    return read(fd, &answer, 1) == 1;
}

static int ask(int fd, uint64_t *seed)
{
    static const char head[] = "GET /some/where HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
    size_t len = sizeof head - 1, done = 0;

    while (done < len) {
        size_t n = random_below(seed, 3) ? len - done : 1 + random_below(seed, (unsigned)(len - done));
        ssize_t sent = send(fd, head + done, n, MSG_NOSIGNAL);

        if (sent <= 0)
            return 0;
        done += (size_t)sent;
        if (done < len) {
            if (random_below(seed, 40) == 0)
                return 0;                /* vanishes in the middle */
            usleep(random_below(seed, 3000));
        }
    }
    return await_answer(fd);
}

static void *client(void *arg)
{
    uint64_t seed = (uint64_t)(intptr_t)arg;
    int i, k, got = 1;

    for (i = 0; i < CONNECTIONS; i++) {
        int fd = connect_to_child();

        for (k = (int)random_below(&seed, REQUESTS + 1); k > 0; k--) {
            got = ask(fd, &seed);
            if (got != 1)
                break;
            atomic_fetch_add(&answers, 1);
            /* Sometimes just when it is given up. */
            usleep(random_below(&seed, random_below(&seed, 2) ? 200 : 25000));
        }
        if (got < 0)
            atomic_fetch_add(&lost, 1);
        else if (got == 0)
            atomic_fetch_add(&ends, 1);
        close(fd);
    }
    return NULL;
}

static int wait_until_empty(void)
{
    int i;

    for (i = 0; i < 20000 && (atomic_load(&arriving) || mpmx_crew_sum(&child.crew, MPMX_COUNT_CONNECTIONS)); i++)
        usleep(1000);
    return atomic_load(&arriving) + mpmx_crew_sum(&child.crew, MPMX_COUNT_CONNECTIONS);
}

static void check_sums(void)
{
    int i, sum = 0, open = 0;

    for (i = 0; i < MPMX_COUNTS; i++)
        sum += mpmx_crew_sum(&child.crew, i) != 0;
    is_num(sum, 0, "all sums are zero again");
    for (i = 0; i < FDS; i++)
        open += atomic_load(&owners[i]) != 0;
    is_num(open, 0, "nobody owns anything");
}

static void run_clients(void)
{
    pthread_t thread[CLIENTS];
    int i;

    lost = two_owners = broken = groundless = served = answers = ends = timed_out = slept = inspected = 0;
    for (i = 0; i < CLIENTS; i++)
        pthread_create(&thread[i], NULL, client, (void *)(intptr_t)(i + 1));
    for (i = 0; i < CLIENTS; i++)
        pthread_join(thread[i], NULL);
    is_num(lost, 0, "each request was answered, or its connection closed");
    is_num(two_owners, 0, "no connection had two owners");
    is_num(broken, 0, "no part of a head was served");
    is_num(wait_until_empty(), 0, "all connections are closed in the end");
    is_num(groundless, 0, "no report was about something else");
    check_sums();
    diag("%d served, %d answers received, %d ended by the child; %d deadlines passed, %d went to sleep, "
         "%d were looked at",
         atomic_load(&served), atomic_load(&answers), atomic_load(&ends), atomic_load(&timed_out),
         atomic_load(&slept), atomic_load(&inspected));
}

static void stop(pthread_t *keeper)
{
    apr_status_t rv;
    int i;

    atomic_store(&housekeeping, 0);
    for (i = 0; i < 2; i++)
        pthread_join(keeper[i], NULL);
    mpmx_crew_dismiss(&child.crew);
    for (i = 0; i < WORKERS; i++) {
        apr_thread_join(&rv, child.crew.worker[i].thread);
        free(child.crew.worker[i].scratch);
    }
    for (i = 0; (unsigned)i < child.chunks; i++)
        free(atomic_load(&child.chunk[i]));
    free((void *)child.chunk);
}

int main(void)
{
    pthread_t keeper[2];

    alarm(150);
    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (!ok(start(), "a child starts"))
        return tap_done();
    pthread_create(&keeper[0], NULL, housekeeper, NULL);
    pthread_create(&keeper[1], NULL, disturber, NULL);
    run_clients();
    ok(answers > 100 && inspected > 0 && timed_out == 0, "it was lively, by reports alone");
    atomic_store(&disturbed, 1);
    run_clients();
    ok(answers > 100 && timed_out > 20 && slept > 0, "it was lively, with reports and deadlines");
    stop(keeper);
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_done();
}
