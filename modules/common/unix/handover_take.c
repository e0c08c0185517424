/* See ../handover.h. This file: a child that stays.
 *
 * To the poller the receiving end is one more listening socket: a datagram wakes one thread of
 * one child, and what pauses the listeners pauses it.
 */
#include "handover.h"
#include "child.h"
#include "clock.h"
#include "log.h"
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0               /* set by hand below */
#endif

#define TAKE_MANY  16            /* per report                                                */
#define TAKE_LAST 4096           /* at the end of all                                         */
#define ASK         4            /* connections between two looks at the others' share        */
#define FDS         4            /* one is expected; others would be closed                   */

/* --- receiving ------------------------------------------------------------------------------------ */

/* A descriptor for which no number is free is lost (unix(7): it is closed), and with it the
 * connection. So first look whether there is one, well below the limit; near it, those that are
 * idle the longest make room. */
static int has_room(mpmx_child *child)
{
    int fd = fcntl(child->bell[0], F_DUPFD_CLOEXEC, 0);

    if (fd >= 0)
        close(fd);
    if (fd < 0 || fd >= child->fd_high)
        mpmx_listeners_near_limit(child, fd < 0 ? INT_MAX : fd);
    return fd >= 0 && fd < child->fd_high + child->fd_spare / 2;
}

/* One datagram. Returns its length and sets *fd (-1: there was none, or more than one), or -1. */
static ssize_t receive(int from, mpmx_handover_record *record, int *fd)
{
    struct iovec iov = { record, sizeof *record };
    union { struct cmsghdr head; char room[CMSG_SPACE(FDS * sizeof(int))]; } control;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
                          .msg_controllen = sizeof control.room };
    struct cmsghdr *head;
    int got[FDS];
    size_t n = 0, i;
    ssize_t len;

    *fd = -1;
    do
        len = recvmsg(from, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (len < 0 && errno == EINTR);
    head = len >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
        n = (head->cmsg_len - CMSG_LEN(0)) / sizeof *got;
        if (n > FDS)
            n = FDS;
        memcpy(got, CMSG_DATA(head), n * sizeof *got);
    }
    if (n == 1 && !(msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) {
        *fd = got[0];
        if (!MSG_CMSG_CLOEXEC)
            fcntl(*fd, F_SETFD, FD_CLOEXEC);
        return len;
    }
    for (i = 0; i < n; i++)
        close(got[i]);
    return len;
}

/* --- believing ------------------------------------------------------------------------------------ */

static mpmx_listener *listener_at(mpmx_child *child, const mpmx_place *place)
{
    int i;

    for (i = 0; i < child->ports; i++)
        if (mpmx_place_equal(&child->listener[i].place, place))
            return &child->listener[i];
    return NULL;
}

/* Is this a connection that has come in there? Its client's address is what the kernel says. */
static const char *check_socket(int fd, const mpmx_place *place, mpmx_peer *peer)
{
    mpmx_peer local;
    socklen_t len = sizeof *peer, local_len = sizeof local, type_len = sizeof(int);
    int type = 0, flags;

    memset(peer, 0, sizeof *peer);
    memset(&local, 0, sizeof local);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) || type != SOCK_STREAM)
        return "it is no stream";
    if (getsockname(fd, &local.sa, &local_len) || !mpmx_place_has(place, &local.sa))
        return "it is of another listener";
    if (getpeername(fd, &peer->sa, &len))
        return "";                       /* the client has gone meanwhile */
    if (peer->sa.sa_family != place->family)
        return "its client is of another family";
    if ((flags = fcntl(fd, F_GETFL)) < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK)))
        return "it would block";
    return NULL;
}

/* The listener that it belongs to, and its client's address, or NULL: it is not to be used. */
static mpmx_listener *believe(mpmx_child *child, mpmx_handover_record *record, ssize_t len, int fd,
                              mpmx_peer *peer)
{
    const char *why = fd < 0 ? "it came without a descriptor"
                    : mpmx_handover_record_check(record, (size_t)len, mpmx_clock_coarse_ms(),
                                                 (int64_t)mpmx.conf.head_timeout * 1000);
    mpmx_listener *l = why ? NULL : listener_at(child, &record->place);

    if (!why && !l)                      /* sent before the next restart, taken after it */
        why = "nobody listens there any more";
    if (!why)
        why = check_socket(fd, &record->place, peer);
    if (!why)
        return l;
    if (*why)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, child->server,
                     "a connection handed over by another child is closed: %s", why);
    return NULL;
}

/* --- taking ---------------------------------------------------------------------------------------- */

/* Goes on as if it had always been here. */
static void settle(mpmx_worker *w, mpmx_conn *conn, const mpmx_handover_record *record)
{
    conn->keepalives = record->keepalives;
    mpmx_conn_set_head_due(conn, record->head_due);
    conn->view.keepalive_ms = record->keepalive_ms;
    conn->view.timeout_ms = record->timeout_ms;
    mpmx_conn_set_idle_since(conn, record->idle_since);
    if (record->state == MPMX_TRAVELS_ASLEEP)
        mpmx_conn_set_state(conn, MPMX_CONN_ASLEEP);
    mpmx_conn_await_head(w, conn);
}

/* Only somebody who means harm ends it: it would be reported for ever. Those who send are told by
 * the kernel, and the next generation gets another one. */
static void ended(mpmx_child *child, mpmx_listener *l)
{
    pthread_mutex_lock(&child->listen_lock);
    mpmx_poller_unlisten(child->poller, &l->poll, l->fd);
    pthread_mutex_unlock(&child->listen_lock);
}

/* Nonzero: there may be more. */
static int take(mpmx_worker *w, mpmx_listener *receiver)
{
    mpmx_child *child = mpmx_child_of(w);
    mpmx_handover_record record;
    mpmx_listener *l;
    mpmx_conn *conn;
    mpmx_peer peer;
    ssize_t len;
    int fd;

    if (!has_room(child))
        return 0;
    len = receive(receiver->fd, &record, &fd);
    if (len == 0 && fd < 0)
        ended(child, receiver);
    if (len < 0 || (len == 0 && fd < 0))
        return 0;
    l = believe(child, &record, len, fd, &peer);
    if (!l) {
        if (fd >= 0)
            close(fd);
        return 1;
    }
    conn = mpmx_conn_open(w, fd, l, &peer);
    if (conn) {
        atomic_fetch_add_explicit(&child->adopted, 1, memory_order_relaxed);
        settle(w, conn, &record);
    }
    return 1;
}

static void ready(mpmx_worker *w, mpmx_listener *l)
{
    mpmx_child *child = mpmx_child_of(w);
    int n, more = 1;

    for (n = 1; more && n <= TAKE_MANY; n++) {
        atomic_fetch_add(&child->accepting, 1);
        more = !atomic_load(&child->paused) && take(w, l);
        atomic_fetch_sub(&child->accepting, 1);
        if (more && n % ASK == 0)
            mpmx_share_leave(child, l);
    }
}

void mpmx_handover_listen(mpmx_listener *l, int fd)
{
    l->fd = fd;
    l->ready = ready;
}

void mpmx_handover_leave(mpmx_worker *w, mpmx_listener *l)
{
    mpmx_child *child = mpmx_child_of(w);
    int n;

    /* The kernel may have told nobody else of what is there. */
    if (mpmx_child_phase(child) == MPMX_PHASE_DRAINING) {
        mpmx_child_say(child, MPMX_SAY_FULL);
        return;
    }
    for (n = 0; n < TAKE_LAST && mpmx_child_phase(child) == MPMX_PHASE_ENDING && take(w, l); n++)
        ;
}
