/* See ../ack.h. */
#include "../ack.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static void quick(int fd, int on)
{
#ifdef TCP_QUICKACK
    (void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
#else
    (void)fd;
    (void)on;
#endif
}

void mpmx_ack_with_answer(int listening)
{
    quick(listening, 0);
}

void mpmx_ack_now(int fd)
{
    quick(fd, 1);
}
