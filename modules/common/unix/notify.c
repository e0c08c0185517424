/* See ../notify.h. The protocol is one datagram of NAME=value lines (sd_notify(3)), which is promised
 * to stay, so no library is needed.
 *
 * mod_systemd says READY=1 when the configuration has been read, and in hook monitor. Some of its
 * versions say RELOADING=1 before that, but without the time, which notify-reload insists on. What is
 * said twice does no harm: it names a state, and systemd acts when it becomes another one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE              /* SOCK_CLOEXEC */
#endif
#include "../notify.h"
#include "../clock.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include "httpd.h"
#include "http_config.h"

#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0
#endif

#define PATIENCE_US 500000       /* a full queue: systemd is busy, but not for ever      */

static int said_ready;           /* for this generation                                  */

/* Fills in where to send to; 0 if there is nobody. */
static socklen_t find_listener(struct sockaddr_un *to)
{
    const char *name = getenv("NOTIFY_SOCKET");
    size_t n = name ? strlen(name) : 0;

    if (n < 2 || n >= sizeof to->sun_path || (*name != '/' && *name != '@')
        || !ap_find_linked_module("mod_systemd.c"))
        return 0;
    memset(to, 0, sizeof *to);
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, name, n);
    if (*name == '@')                    /* Linux's abstract names (unix(7)) */
        to->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

/* Whether it arrives is not ours to see to: the server serves all the same. */
static void tell(const char *state)
{
    static const struct timeval patience = { 0, PATIENCE_US };
    struct sockaddr_un to;
    socklen_t size = find_listener(&to);
    int fd;

    if (!size)
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, size);
    close(fd);
}

void mpmx_notify_reloading(void)
{
    char state[128];

    said_ready = 0;
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=Reloading...\n",
             (long long)mpmx_clock_us());
    tell(state);
}

void mpmx_notify_ready(void)
{
    if (said_ready)
        return;
    said_ready = 1;
    tell("READY=1\nSTATUS=Processing requests...\n");
}

void mpmx_notify_stopping(void)
{
    tell("STOPPING=1\nSTATUS=Shutting down...\n");
}
