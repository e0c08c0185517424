/* See ../handover.h. This file: the parent's part.
 *
 * One socket pair serves all generations, and the parent keeps both ends: what is on its way
 * when a child dies, or when the next restart comes, is taken by whoever listens then.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE              /* POLLRDHUP */
#endif
#include "handover.h"
#include "accept_filter.h"
#include "child.h"
#include "clock.h"
#include "log.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

#define START_MS 1000

int mpmx_handover_receiver(void)
{
    mpmx_retained *all = mpmx_retained_get();

    return all->handover_open ? all->handover[0] : -1;
}

static short look(const mpmx_retained *all)
{
    struct pollfd pfd = { all->handover[0], POLLIN | POLLRDHUP, 0 };

    return poll(&pfd, 1, 0) > 0 ? pfd.revents : 0;
}

/* A child that was taken over by an attacker may shut it down for all, in one direction or both. */
static int has_ended(const mpmx_retained *all)
{
    return (look(all) & (POLLHUP | POLLRDHUP | POLLERR)) != 0;
}

void mpmx_handover_prepare(mpmx_retained *all)
{
    int i;

    if (all->handover_open && has_ended(all)) {
        close(all->handover[0]);
        close(all->handover[1]);
        all->handover_open = 0;
    }
    if (all->handover_open || !mpmx.conf.handover)
        return;
    /* Not every system has SEQPACKET; what matters is that a message comes whole, and once. */
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, all->handover)
        && socketpair(AF_UNIX, SOCK_DGRAM, 0, all->handover)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, errno, mpmx.main,
                     "GracefulHandover: no socket pair; idle connections stay with the children "
                     "that have them until they end");
        return;
    }
    for (i = 0; i < 2; i++) {
        fcntl(all->handover[i], F_SETFD, FD_CLOEXEC);
        fcntl(all->handover[i], F_SETFL, O_NONBLOCK);
    }
    all->handover_open = 1;
}

void mpmx_handover_become_child(mpmx_retained *all)
{
    if (all->handover_open)
        close(all->handover[1]);
}

/* --- what is offered ------------------------------------------------------------------------ */

/* Where this generation listens. The first bucket stands for all. */
static int list_places(mpmx_place *place)
{
    ap_listen_rec *rec;
    int n = 0;

    for (rec = mpmx.buckets[0]; rec && n < MPMX_PLACES_MAX; rec = rec->next) {
        mpmx_place_set(&place[n], (const struct sockaddr *)&rec->bind_addr->sa,
                       mpmx_accept_filter_gate(mpmx.main, rec->protocol), rec->protocol);
        n += place[n].family != 0;
    }
    return n;
}

/* A pipe with the list in it; what it holds at least is more than that. -1: cannot be made. */
static int open_list(void)
{
    mpmx_place place[MPMX_PLACES_MAX];
    size_t len = (size_t)list_places(place) * sizeof *place;
    uint32_t magic = MPMX_HANDOVER_MAGIC;
    int end[2];
    int good;

    if (pipe(end))
        return -1;
    fcntl(end[0], F_SETFD, FD_CLOEXEC);
    fcntl(end[1], F_SETFD, FD_CLOEXEC);
    fcntl(end[0], F_SETFL, O_NONBLOCK);
    fcntl(end[1], F_SETFL, O_NONBLOCK);
    good = write(end[1], &magic, sizeof magic) == (ssize_t)sizeof magic
        && (!len || write(end[1], place, len) == (ssize_t)len);
    close(end[1]);
    if (good)
        return end[0];
    close(end[0]);
    return -1;
}

/* The word with `n` descriptors. It is one byte, so they cannot be taken for another word's. */
static int send_offer(mpmx_proc *proc, const int *fd, size_t n)
{
    char word = MPMX_SAY_HANDOVER;
    struct iovec iov = { &word, 1 };
    union { struct cmsghdr head; char room[CMSG_SPACE(2 * sizeof(int))]; } control;
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t sent;

    if (n) {
        memset(&control, 0, sizeof control);
        msg.msg_control = control.room;
        msg.msg_controllen = CMSG_SPACE(n * sizeof *fd);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(n * sizeof *fd);
        memcpy(CMSG_DATA(&control.head), fd, n * sizeof *fd);
    }
    do
        sent = sendmsg(proc->control, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == 1;
}

/* Are all there who will take them? The first one would have to take everybody's connections, and
 * might not have descriptors for all. Who has not started in time is not waited for. */
static int all_are_there(const mpmx_retained *all)
{
    int64_t now = mpmx_clock_coarse_ms();
    int i;

    for (i = 0; i < all->procs; i++)
        if (all->proc[i].phase == MPMX_PROC_STARTING && now - all->proc[i].born < START_MS
            && all->proc[i].generation == mpmx.retained->my_generation)
            return 0;
    return 1;
}

void mpmx_handover_offer(mpmx_retained *all, mpmx_proc *proc)
{
    static _Atomic int64_t logged;
    ap_generation_t now = mpmx.retained->my_generation + 1;
    int fd[2];

    if (proc->control < 0 || proc->offered == now || !all_are_there(all))
        return;
    if (!mpmx.conf.handover || !all->handover_open) {
        if (proc->offered && send_offer(proc, NULL, 0))  /* of an earlier generation's order */
            proc->offered = 0;
        return;
    }
    fd[0] = all->handover[1];
    fd[1] = open_list();
    if (fd[1] >= 0 && send_offer(proc, fd, 2))
        proc->offered = now;
    else if (errno != EPIPE && mpmx_may_log(&logged, mpmx_clock_coarse_ms()))    /* tried again */
        ap_log_error(APLOG_MARK, APLOG_WARNING, errno, mpmx.main,
                     "GracefulHandover: cannot tell child %" APR_PID_T_FMT ", which keeps its idle "
                     "connections until it can be told or they end", proc->pid);
    if (fd[1] >= 0)
        close(fd[1]);
}

void mpmx_handover_remind(mpmx_retained *all)
{
    int i;

    for (i = 0; i < all->procs; i++)
        if (all->proc[i].told == MPMX_SAY_DRAIN)
            mpmx_handover_offer(all, &all->proc[i]);
    if (!all->handover_open || look(all) != POLLIN)
        return;
    for (i = 0; i < all->procs; i++)
        if (all->proc[i].phase == MPMX_PROC_RUNNING)
            mpmx_proc_tell(&all->proc[i], MPMX_SAY_LISTEN);
}
