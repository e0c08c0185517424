/* See socket.h. */
#include "socket.h"
#include "child.h"
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include "apr_portable.h"

static void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int accept_one(const mpmx_listener *l, mpmx_peer *peer)
{
    socklen_t len = sizeof *peer;
    int fd;

#ifdef SOCK_CLOEXEC
    fd = accept4(l->fd, &peer->sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
    fd = accept(l->fd, &peer->sa, &len);

    if (fd >= 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        set_nonblocking(fd);
    }
#endif
    return fd;
}

mpmx_conn *mpmx_socket_take(mpmx_worker *w, mpmx_listener *l)
{
    mpmx_conn *conn;
    mpmx_peer peer;
    int fd = accept_one(l, &peer);

    if (fd < 0)
        return NULL;
    if (!(conn = mpmx_conn_open(w, fd, l, &peer)))
        errno = ENOMEM;
    return conn;
}

/* A record for what APR has accepted: it may have got another number, or been closed for lack of memory. */
static mpmx_conn *open_made(mpmx_worker *w, mpmx_listener *l, apr_socket_t *sock, apr_pool_t *pool)
{
    apr_sockaddr_t *remote;
    apr_os_sock_t fd = -1, now;
    mpmx_conn *conn;
    mpmx_peer peer;

    apr_os_sock_get(&fd, sock);
    apr_socket_addr_get(&remote, APR_REMOTE, sock);      /* known: nobody is asked */
    memcpy(&peer, &remote->sa, remote->salen < sizeof peer ? remote->salen : sizeof peer);
    conn = mpmx_conn_open(w, fd, l, &peer);
    now = conn ? conn->fd : -1;
    if (now != fd)
        apr_os_sock_put(&sock, &now, pool);
    if (conn) {
        conn->sock = sock;
        conn->pool = pool;
    }
    return conn;
}

mpmx_conn *mpmx_socket_take_made(mpmx_worker *w, mpmx_listener *l)
{
    apr_pool_t *pool = mpmx_pool_take(w);
    apr_socket_t *sock;
    mpmx_conn *conn;
    apr_status_t rv;

    if (!pool) {
        errno = ENOMEM;
        return NULL;
    }
    rv = apr_socket_accept(&sock, l->rec->sd, pool);
    if (rv != APR_SUCCESS) {
        mpmx_pool_put_back(w, pool);
        errno = rv;
        return NULL;
    }
    if (!(conn = open_made(w, l, sock, pool))) {
        mpmx_pool_give(w, pool);
        errno = ENOMEM;
    }
    return conn;
}

/* The address the client has connected to. A listener that is bound to one address
 * has told us; for the others it takes a system call that create_connection would
 * make anyway. */
static int local_address(const mpmx_conn *conn, mpmx_peer *local)
{
    socklen_t len = sizeof *local;

    if (conn->listener->specific) {
        const apr_sockaddr_t *bound = conn->listener->rec->bind_addr;

        memcpy(local, &bound->sa, bound->salen < sizeof *local ? bound->salen : sizeof *local);
        return 1;
    }
    return getsockname(conn->fd, &local->sa, &len) == 0;
}

apr_status_t mpmx_socket_make(mpmx_conn *conn, apr_pool_t *pool)
{
    apr_os_sock_info_t info;
    apr_sockaddr_t *remote;
    mpmx_peer local;
    apr_status_t rv;

    memset(&info, 0, sizeof info);
    info.os_sock = &conn->fd;
    info.family = conn->peer.sa.sa_family;
    info.type = SOCK_STREAM;
    info.protocol = APR_PROTO_TCP;
    if (!local_address(conn, &local))
        return APR_EGENERAL;             /* the client has reset it */
    info.local = &local.sa;
    rv = apr_os_sock_make(&conn->sock, &info, pool);
    /* Asks the kernel, and remembers (APR takes no remote address from us). Here, because
     * create_connection closes the socket if the client has reset it meanwhile, and a
     * closed descriptor's record would be somebody else's while we still hold it. */
    return rv == APR_SUCCESS ? apr_socket_addr_get(&remote, APR_REMOTE, conn->sock) : rv;
}

int mpmx_socket_is_closed(const mpmx_conn *conn)
{
    apr_os_sock_t fd = -1;

    return apr_os_sock_get(&fd, conn->sock) != APR_SUCCESS || fd < 0;
}

void mpmx_socket_release(mpmx_conn *conn)
{
    apr_os_sock_t none = -1;

    apr_os_sock_put(&conn->sock, &none, conn->pool);
    conn->sock = NULL;
}

void mpmx_socket_unmake(mpmx_worker *w, mpmx_conn *conn)
{
    if (conn->c || !conn->pool)
        return;
    mpmx_socket_release(conn);
    mpmx_pool_give(w, conn->pool);
    conn->pool = NULL;
    set_nonblocking(conn->fd);
}
