/* A child that ends the socket by which idle connections travel for all processes that have it, as
 * one could that somebody has broken into.
 *
 *     <Location /cut>
 *         SetHandler mpmxt-cut
 *     </Location>
 *
 *     /cut?HOW            0: nothing is received any more, 2: nor sent; answers how many were cut
 */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FDS 256

static int is_handover(int fd)
{
    int domain = 0, type = 0;
    socklen_t size = sizeof domain;

    return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) && domain == AF_UNIX
        && !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == SOCK_SEQPACKET;
}

static int handler(request_rec *r)
{
    int fd, n = 0;

    if (!r->handler || strcmp(r->handler, "mpmxt-cut"))
        return DECLINED;
    for (fd = 3; fd < FDS; fd++)
        n += is_handover(fd) && !shutdown(fd, r->args ? atoi(r->args) : SHUT_RDWR);
    ap_set_content_type(r, "text/plain");
    ap_rprintf(r, "cut %d\n", n);
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(mpmxt_cut) = {
    STANDARD20_MODULE_STUFF,
    NULL, NULL, NULL, NULL, NULL,
    register_hooks,
    0
};
