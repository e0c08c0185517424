/* poller.h on Linux: one epoll instance, armed one-shot.
 *
 * epoll_ctl(2): EPOLLONESHOT disables a descriptor after one report, so no two
 * threads ever get the same connection; EPOLL_CTL_MOD arms it again and reports
 * at once what is already there, so nothing can be missed in between.
 * EPOLLEXCLUSIVE (Linux 4.5) wakes one epoll instance per new connection instead
 * of that of every child.  It does not go together with EPOLLONESHOT, hence
 * listeners stay level-triggered.
 */
#include "poller.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#ifndef EPOLLEXCLUSIVE
#define EPOLLEXCLUSIVE (1u << 28)
#endif

#define WAIT_MAX 64

struct mpmx_poller {
    int epfd;
    int wakefd;                  /* edge-triggered: each write wakes one waiter       */
    int shutfd;                  /* level-triggered: once written wakes all, for ever */
};

static apr_status_t poller_close(void *data)
{
    mpmx_poller *p = data;

    close(p->epfd);
    close(p->wakefd);
    close(p->shutfd);
    return APR_SUCCESS;
}

static int watch(int epfd, int fd, uint32_t events, uint64_t token)
{
    struct epoll_event ev;

    memset(&ev, 0, sizeof ev);
    ev.events = events;
    ev.data.u64 = token;
    return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev);
}

apr_status_t mpmx_poller_create(mpmx_poller **poller, apr_pool_t *pool, int threads)
{
    mpmx_poller *p = apr_palloc(pool, sizeof *p);

    (void)threads;
    p->epfd = epoll_create1(EPOLL_CLOEXEC);
    p->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->shutfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    apr_pool_cleanup_register(pool, p, poller_close, poller_close);
    if (p->epfd < 0 || p->wakefd < 0 || p->shutfd < 0
        || watch(p->epfd, p->wakefd, EPOLLIN | EPOLLET, MPMX_POLL_WAKE_TOKEN)
        || watch(p->epfd, p->shutfd, EPOLLIN, MPMX_POLL_WAKE_TOKEN))
        return errno;
    *poller = p;
    return APR_SUCCESS;
}

apr_status_t mpmx_poller_arm(mpmx_poller *p, mpmx_poll_entry *entry, int fd,
                             uint64_t token, unsigned interest)
{
    struct epoll_event ev;
    int op = entry->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    memset(&ev, 0, sizeof ev);
    ev.events = EPOLLONESHOT;
    if (interest & MPMX_POLL_READ)
        ev.events |= EPOLLIN | EPOLLRDHUP;
    if (interest & MPMX_POLL_WRITE)
        ev.events |= EPOLLOUT;
    ev.data.u64 = token;
    /* Before the call: once armed, the entry may be somebody else's. */
    entry->known = 1;
    if (epoll_ctl(p->epfd, op, fd, &ev)) {
        apr_status_t rv = errno;
        entry->known = op == EPOLL_CTL_MOD;
        return rv;
    }
    return APR_SUCCESS;
}

void mpmx_poller_forget(mpmx_poller *p, mpmx_poll_entry *entry, int fd)
{
    if (entry->known) {
        epoll_ctl(p->epfd, EPOLL_CTL_DEL, fd, NULL);
        entry->known = 0;
    }
}

void mpmx_poller_release(mpmx_poller *p, mpmx_poll_entry *entry)
{
    /* close(2) has removed the descriptor: epoll(7), "Will closing a file
     * descriptor cause it to be removed" - yes, nobody holds a duplicate. */
    (void)p;
    entry->known = 0;
}

apr_status_t mpmx_poller_listen(mpmx_poller *p, mpmx_poll_entry *entry, int fd,
                                uint64_t token)
{
    int rc = watch(p->epfd, fd, EPOLLIN | EPOLLEXCLUSIVE, token);

    if (rc && errno == EINVAL)           /* before Linux 4.5 */
        rc = watch(p->epfd, fd, EPOLLIN, token);
    if (rc && errno != EEXIST)
        return errno;
    entry->known = 1;
    return APR_SUCCESS;
}

void mpmx_poller_unlisten(mpmx_poller *p, mpmx_poll_entry *entry, int fd)
{
    mpmx_poller_forget(p, entry, fd);
}

int mpmx_poller_wait(mpmx_poller *p, mpmx_poll_event *events, int max)
{
    struct epoll_event ev[WAIT_MAX];
    int i, n;

    n = epoll_wait(p->epfd, ev, max < WAIT_MAX ? max : WAIT_MAX, -1);
    for (i = 0; i < n; i++) {
        uint32_t e = ev[i].events;

        events[i].token = ev[i].data.u64;
        events[i].events = ((e & (EPOLLIN | EPOLLRDHUP)) ? MPMX_POLL_READ : 0)
                         | ((e & EPOLLOUT) ? MPMX_POLL_WRITE : 0)
                         | ((e & (EPOLLERR | EPOLLHUP)) ? MPMX_POLL_HANGUP : 0);
    }
    return n > 0 ? n : 0;
}

int mpmx_poller_descriptor(mpmx_poller *p)
{
    return p->epfd;                      /* epoll(7): "Can an epoll file descriptor be monitored" */
}

static void post(int fd)
{
    uint64_t one = 1;

    /* A full counter (EAGAIN) means that a wake-up is pending anyway. */
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void mpmx_poller_wake(mpmx_poller *p)
{
    post(p->wakefd);
}

void mpmx_poller_shut(mpmx_poller *p)
{
    post(p->shutfd);
}
