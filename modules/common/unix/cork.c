/* See ../farewell.h. */
#include "farewell.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

void mpmx_cork(int fd)
{
    int on = 1;

#if defined(TCP_CORK)
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
#elif defined(TCP_NOPUSH)
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOPUSH, &on, sizeof on);
#else
    (void)fd;
    (void)on;
#endif
}
