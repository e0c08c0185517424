/* A child that talks to the parent without end, as one could that somebody has broken into.
 *
 *     <Location /shout>
 *         SetHandler mpmxt-shout
 *     </Location>
 *
 *     /shout?WORDS        writes them, again and again, to every stream socket of its own that
 *                         has no address; answers once that has begun
 */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "apr_strings.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FDS 256

static int is_private(int fd)
{
    int domain = 0, type = 0;
    socklen_t size = sizeof domain;

    return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) && domain == AF_UNIX
        && !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == SOCK_STREAM;
}

static void *shout(void *words)
{
    char text[4096];
    size_t n = strlen(words), i;

    for (i = 0; i < sizeof text; i++)
        text[i] = ((char *)words)[i % n];
    for (;;) {
        struct pollfd pfd[FDS];
        int fd, fds = 0;

        for (fd = 3; fd < FDS; fd++)
            if (is_private(fd))
                pfd[fds++] = (struct pollfd){ fd, POLLOUT, 0 };
        poll(pfd, fds, 100);
        while (fds--)
            while (send(pfd[fds].fd, text, sizeof text, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
                ;
    }
    return NULL;
}

static int handler(request_rec *r)
{
    pthread_t thread;

    if (!r->handler || strcmp(r->handler, "mpmxt-shout"))
        return DECLINED;
    if (!r->args || !*r->args || pthread_create(&thread, NULL, shout, strdup(r->args)))
        return HTTP_INTERNAL_SERVER_ERROR;
    pthread_detach(thread);
    ap_set_content_type(r, "text/plain");
    ap_rputs("shouting\n", r);
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(mpmxt_shout) = {
    STANDARD20_MODULE_STUFF,
    NULL, NULL, NULL, NULL, NULL,
    register_hooks,
    0
};
