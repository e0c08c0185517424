/*
 * accept_judge_test.c - promise: no error of accept(2) that is in its manual pages ends the
 * accepting, but those that say that the listening socket is none; for lack of descriptors
 * or memory there is a pause; whatever happened to one new connection concerns that one.
 */
#include <errno.h>
#include <string.h>

#include "listener.h"
#include "tap.h"

static const struct {
    int error;
    mpmx_accept_verdict verdict;
    const char *why;
} cases[] = {
    { EAGAIN, MPMX_ACCEPT_NONE, "nobody is waiting" },
    { EWOULDBLOCK, MPMX_ACCEPT_NONE, "nobody is waiting, on some systems" },

    { EMFILE, MPMX_ACCEPT_SHED, "this process has too many open files" },
    { ENFILE, MPMX_ACCEPT_SHED, "the system has too many open files" },
    { ENOBUFS, MPMX_ACCEPT_SHED, "no memory for the socket" },
    { ENOMEM, MPMX_ACCEPT_SHED, "no memory" },
    { ENOSPC, MPMX_ACCEPT_SHED, "no more descriptors to be watched, says epoll_ctl(2)" },
#ifdef ENOSR
    { ENOSR, MPMX_ACCEPT_SHED, "no memory for STREAMS" },
#endif

    { EBADF, MPMX_ACCEPT_CLOSED, "the descriptor is closed" },
    { ENOTSOCK, MPMX_ACCEPT_CLOSED, "it is something else by now" },
    { EINVAL, MPMX_ACCEPT_CLOSED, "it does not listen" },

    { ECONNABORTED, MPMX_ACCEPT_RETRY, "the client has left the queue" },
    { EINTR, MPMX_ACCEPT_RETRY, "a signal" },
    { EPERM, MPMX_ACCEPT_RETRY, "a firewall forbids this one" },
    { EPROTO, MPMX_ACCEPT_RETRY, "protocol error" },
    { ETIMEDOUT, MPMX_ACCEPT_RETRY, "timed out in the queue" },
    { ECONNRESET, MPMX_ACCEPT_RETRY, "reset in the queue" },
    { ESOCKTNOSUPPORT, MPMX_ACCEPT_RETRY, "socket type not supported" },
    { EPROTONOSUPPORT, MPMX_ACCEPT_RETRY, "protocol not supported" },
    /* section "Error handling": "should detect the network errors defined for the protocol
     * after accept() and treat them like EAGAIN by retrying. In the case of TCP/IP, ..." */
    { ENETDOWN, MPMX_ACCEPT_RETRY, "pending: network is down" },
    { ENOPROTOOPT, MPMX_ACCEPT_RETRY, "pending: protocol not available" },
    { EHOSTDOWN, MPMX_ACCEPT_RETRY, "pending: host is down" },
#ifdef ENONET
    { ENONET, MPMX_ACCEPT_RETRY, "pending: not on the network" },
#endif
    { EHOSTUNREACH, MPMX_ACCEPT_RETRY, "pending: no route to host" },
    { EOPNOTSUPP, MPMX_ACCEPT_RETRY, "pending: operation not supported" },
    { ENETUNREACH, MPMX_ACCEPT_RETRY, "pending: network is unreachable" },

    { 0, MPMX_ACCEPT_RETRY, "unknown" },
    { 99999, MPMX_ACCEPT_RETRY, "unknown" },
};

int main(void)
{
    unsigned i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++)
        is_num(mpmx_accept_judge(cases[i].error), cases[i].verdict, "%s: %s", strerror(cases[i].error), cases[i].why);
    return tap_done();
}
