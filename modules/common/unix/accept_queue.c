/* See ../accept_queue.h. */
#include "../accept_queue.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

int mpmx_accept_queue(int fd, int *waiting, int *most)
{
#if defined(__linux__) && defined(TCP_INFO)
    struct tcp_info info;
    socklen_t len = sizeof info;

    /* Of a listening socket these are the length of the queue and the most that it may be (ss(8) has
     * its numbers from here, too). */
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0) {
        *waiting = (int)info.tcpi_unacked;
        *most = (int)info.tcpi_sacked;
        return 1;
    }
#else
    (void)fd;
    (void)waiting;
    (void)most;
#endif
    return 0;
}

int mpmx_accept_queue_is_long(int fd)
{
    int waiting, most;

    return mpmx_accept_queue(fd, &waiting, &most) && most > 0 && waiting > most / 2;
}
