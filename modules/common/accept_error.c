/* See listener.h: what an error of accept(2) says about the listening socket. */
#include "listener.h"

#include <errno.h>

mpmx_accept_verdict mpmx_accept_judge(int error)
{
    switch (error) {
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
        return MPMX_ACCEPT_NONE;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENOSPC:                 /* epoll_ctl(2): the user watches as many as he may */
#ifdef ENOSR
    case ENOSR:                  /* the same where sockets are STREAMS */
#endif
        return MPMX_ACCEPT_SHED;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
        return MPMX_ACCEPT_CLOSED;
    default:
        /* accept(2): Linux passes on what has happened to the new connection (ECONNABORTED,
         * EPROTO, ENETDOWN, EHOSTUNREACH, ...), and firewalls add EPERM; the next may be fine.
         * EOPNOTSUPP is one of these: its other meaning, "not a stream socket", cannot be,
         * because httpd makes no others. */
        return MPMX_ACCEPT_RETRY;
    }
}
