/* See ../handover.h. This file: a child that leaves.
 *
 * The housekeeper does it, so that connections travel also while all threads are busy.  It
 * claims them one by one like an expired one.  Those that are asleep or new it sends; module
 * code it does not run, so who is still awake is put to sleep by a worker first.
 */
#include "handover.h"
#include "child.h"
#include "clock.h"
#include "hibernate.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0               /* set by hand below */
#endif

#define AT_ONCE    256           /* sent before the housekeeper looks after other duties     */
#define PAUSE_MS     4           /* until the next try, if nothing can be sent, and twice ... */
#define PAUSE_MAX  250           /*     as long the next time                                 */
#define LOOK_MS     20           /* likewise, if there is nothing to send                     */
#define LOOK_MAX  1000

/* --- the parent's offer ------------------------------------------------------------------------- */

static void stop(mpmx_child *child)
{
    if (child->handover.on)
        close(child->handover.socket);
    child->handover.on = 0;
}

/* Marks the listeners that are also in the list. Their connections may travel. */
static int read_list(mpmx_child *child, int fd)
{
    mpmx_place place[MPMX_PLACES_MAX];
    uint32_t magic = 0;
    ssize_t len;
    int i, k, n;

    if (read(fd, &magic, sizeof magic) != (ssize_t)sizeof magic || magic != MPMX_HANDOVER_MAGIC
        || (len = read(fd, place, sizeof place)) < 0)
        return 0;
    n = (int)((size_t)len / sizeof *place);
    for (i = 0; i < child->ports; i++) {
        child->listener[i].travels = 0;
        for (k = 0; k < n; k++)
            child->listener[i].travels |= mpmx_place_equal(&child->listener[i].place, &place[k]);
    }
    return 1;
}

/* fd[0]: the sending end, fd[1]: the list. */
static void take_offer(mpmx_child *child, const int *fd)
{
    mpmx_handover *h = &child->handover;

    stop(child);
    if (!read_list(child, fd[1])) {
        close(fd[0]);
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, child->server,
                     "child %" APR_PID_T_FMT " cannot hand its idle connections over: the new "
                     "children are of another version", getpid());
        return;
    }
    fcntl(fd[0], F_SETFD, FD_CLOEXEC);
    h->on = 1;
    h->socket = fd[0];
    if (++h->offer == 0)
        h->offer = 1;
    h->at = 0;
    h->next = 0;
    h->pause_ms = h->moved = h->reported = 0;
}

ssize_t mpmx_handover_hear(mpmx_child *child, char *word)
{
    struct iovec iov = { word, 1 };
    union { struct cmsghdr head; char room[CMSG_SPACE(2 * sizeof(int))]; } control;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
                          .msg_controllen = sizeof control.room };
    ssize_t n = recvmsg(child->control, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *head = n == 1 ? CMSG_FIRSTHDR(&msg) : NULL;
    int fd[2] = { -1, -1 };
    size_t count = 0, i;

    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
        count = (head->cmsg_len - CMSG_LEN(0)) / sizeof *fd;
        memcpy(fd, CMSG_DATA(head), count * sizeof *fd);
    }
    if (n == 1 && *word == MPMX_SAY_HANDOVER) {
        if (count == 2)
            take_offer(child, fd);
        else
            stop(child);                 /* none, or no descriptor was left for it */
    }
    for (i = count == 2 && *word == MPMX_SAY_HANDOVER; i < count; i++)
        close(fd[i]);
    return n;
}

/* --- who travels ----------------------------------------------------------------------------------- */

/* As a hint, before it is claimed. What is decided on later is the owner's. */
static int may_travel(const mpmx_conn *conn, int64_t offer)
{
    mpmx_conn_state state = mpmx_conn_get_state(conn);

    if (state == MPMX_CONN_KEEPALIVE && (!mpmx.conf.hibernate_ms || mpmx.no_sleep))
        return 0;
    return mpmx_conn_is_idle(conn)
        && atomic_load_explicit(&conn->stays, memory_order_relaxed) != (unsigned char)offer;
}

static void wait_on(mpmx_worker *w, mpmx_work *work)
{
    mpmx_conn_await_head(w, (mpmx_conn *)((char *)work - offsetof(mpmx_conn, work)));
}

static void doze(mpmx_worker *w, mpmx_work *work)
{
    mpmx_hibernate(w, (mpmx_conn *)((char *)work - offsetof(mpmx_conn, work)));
    atomic_fetch_sub(&mpmx_child_of(w)->handover.dozing, 1);
}

/* What the crew counts for this thread is shared with modules' threads (serve.c). */
static void park(mpmx_child *child, mpmx_conn *conn)
{
    pthread_mutex_lock(&child->susp_lock);
    mpmx_conn_await_head(child->crew.nobody, conn);
    pthread_mutex_unlock(&child->susp_lock);
}

static void let_go(mpmx_child *child, mpmx_conn *conn)
{
    int fd = conn->fd;

    /* close(2) alone would leave it in epoll's set: the other process has the same socket. */
    mpmx_poller_forget(child->poller, &conn->poll, fd);
    pthread_mutex_lock(&child->susp_lock);
    mpmx_conn_retire(child->crew.nobody, conn);
    pthread_mutex_unlock(&child->susp_lock);
    close(fd);
}

static void stay(mpmx_child *child, mpmx_conn *conn)
{
    atomic_store_explicit(&conn->stays, child->handover.offer, memory_order_relaxed);
    if (!conn->c) {
        park(child, conn);
        return;
    }
    conn->work.run = wait_on;            /* if it cannot be parked, it is ended with module code */
    mpmx_crew_submit(&child->crew, &conn->work);
}

/* 0 or an errno. */
static int send_conn(const mpmx_child *child, const mpmx_conn *conn)
{
    int asleep = mpmx_conn_get_state(conn) == MPMX_CONN_ASLEEP;
    mpmx_handover_record record;
    struct iovec iov = { &record, sizeof record };
    union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
                          .msg_controllen = sizeof control.room };
    ssize_t sent;

    mpmx_handover_record_init(&record, &conn->listener->place,
                              asleep ? MPMX_TRAVELS_ASLEEP : MPMX_TRAVELS_NEW);
    record.idle_since = mpmx_conn_idle_since(conn);
    record.head_due = mpmx_conn_head_due(conn);
    record.keepalives = conn->keepalives;
    record.keepalive_ms = asleep ? conn->view.keepalive_ms : 0;
    record.timeout_ms = asleep ? conn->view.timeout_ms : 0;
    memset(&control, 0, sizeof control);
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.head), &conn->fd, sizeof(int));
    do
        sent = sendmsg(child->handover.socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

/* Full for now: unix(7). ETOOMANYREFS: more descriptors of this user are on their way than one
 * process may have open. */
static int will_pass(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == ENOMEM
        || error == ETOOMANYREFS;
}

/* A claimed connection travels, falls asleep, or goes on waiting. Nonzero: nobody can travel now. */
static int move(mpmx_child *child, mpmx_conn *conn)
{
    mpmx_handover *h = &child->handover;
    int error;

    if (!conn->listener->travels || conn->buf_len || (conn->c && conn->restless)) {
        stay(child, conn);
        return 0;
    }
    if (conn->c) {                       /* it is looked at again when it is asleep */
        atomic_fetch_add(&h->dozing, 1);
        conn->work.run = doze;
        mpmx_crew_submit(&child->crew, &conn->work);
        return 0;
    }
    error = send_conn(child, conn);
    if (!error) {
        h->moved++;
        h->gone++;
        let_go(child, conn);
        return 0;
    }
    park(child, conn);
    if (!will_pass(error)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, error, child->server,
                     "child %" APR_PID_T_FMT " cannot hand its idle connections over any more (%d "
                     "have gone); the others stay until they end", getpid(), h->gone);
        stop(child);
    }
    return 1;
}

/* --- a look at all of them --------------------------------------------------------------------------- */

/* Nonzero: came to the end. */
static int look(mpmx_child *child)
{
    mpmx_handover *h = &child->handover;
    int limit = h->moved + AT_ONCE;

    for (; h->at / MPMX_CONN_CHUNK < child->chunks; h->at++) {
        mpmx_conn *chunk = atomic_load_explicit(&child->chunk[h->at / MPMX_CONN_CHUNK], memory_order_acquire);

        if (!chunk) {
            h->at |= MPMX_CONN_CHUNK - 1;
            continue;
        }
        if (mpmx_conn_claim_parked(&chunk[h->at % MPMX_CONN_CHUNK], may_travel, h->offer)
            && move(child, &chunk[h->at % MPMX_CONN_CHUNK]))
            return 0;
        if (h->moved >= limit) {
            h->at++;
            return 0;
        }
    }
    h->at = 0;
    return 1;
}

/* Once for each offer, when whoever can travel at once has; later, if somebody is on the way to sleep
 * or has just become idle. */
static void report(mpmx_child *child)
{
    int idle = 0, busy = 0, closing = 0;
    unsigned i, k;

    for (i = 0; i < child->chunks; i++) {
        mpmx_conn *chunk = atomic_load_explicit(&child->chunk[i], memory_order_acquire);

        for (k = 0; chunk && k < MPMX_CONN_CHUNK; k++) {
            mpmx_conn_state state = mpmx_conn_get_state(&chunk[k]);

            if (may_travel(&chunk[k], child->handover.offer))
                return;
            if (mpmx_conn_is_idle(&chunk[k]))
                idle++;
            else if (state == MPMX_CONN_LINGER)
                closing++;
            else if (state != MPMX_CONN_FREE)
                busy++;
        }
    }
    child->handover.reported = 1;
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, child->server,
                 "child %" APR_PID_T_FMT " has handed %d idle connections over; %d stay: %d with a "
                 "request in progress, %d idle ones (TLS, HTTP/2, something that a module keeps, or "
                 "nobody listens there any more), %d that are being closed", getpid(),
                 child->handover.gone, idle + busy + closing, busy, idle, closing);
}

/* `least`, if something could be done; else twice as long as the last time, `most` at most. */
static int pause_after(mpmx_handover *h, int done, int least, int most)
{
    h->pause_ms = done || h->pause_ms < least ? least : h->pause_ms * 2 > most ? most : h->pause_ms * 2;
    return h->pause_ms;
}

void mpmx_handover_go_on(mpmx_child *child, int64_t now, int64_t *until)
{
    mpmx_handover *h = &child->handover;
    int before = h->moved;

    if (!h->on || child->acted < MPMX_PHASE_DRAINING)
        return;
    if (child->acted > MPMX_PHASE_DRAINING) {    /* nobody stays that could take them */
        stop(child);
        return;
    }
    if (now >= h->next) {
        if (!look(child)) {
            h->next = h->moved > before ? now : now + pause_after(h, 0, PAUSE_MS, PAUSE_MAX);
        }
        else {
            /* Read before the report looks: who is counted out afterwards is asleep by then. */
            int dozing = atomic_load(&h->dozing);

            if (!dozing && !h->reported)
                report(child);
            h->next = now + pause_after(h, h->moved || dozing, LOOK_MS, LOOK_MAX);
            h->moved = 0;
        }
    }
    if (h->on && h->next < *until)
        *until = h->next;
}
