/* See ../accept_queue.h. */
#include "../accept_queue.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

int mpmx_accept_queue_is_long(int fd)
{
#if defined(__linux__) && defined(TCP_INFO)
    struct tcp_info info;
    socklen_t len = sizeof info;

    /* Of a listening socket these are the length of the queue and the most that it may be (ss(8) has
     * its numbers from here, too). */
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0)
        return info.tcpi_sacked > 0 && info.tcpi_unacked > info.tcpi_sacked / 2;
#else
    (void)fd;
#endif
    return 0;
}
