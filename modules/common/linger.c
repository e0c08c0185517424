/* See linger.h. */
#include "linger.h"
#include "child.h"
#include "clock.h"
#include "log.h"
#include "serve.h"
#include "socket.h"

#include <errno.h>
#include <unistd.h>
#include <sys/socket.h>
#include "apr_portable.h"
#include "http_connection.h"
#include "http_core.h"

#define FLUSH_US    (2 * APR_USEC_PER_SEC)   /* for the last bytes and the goodbye */
#define DRAIN_READS 8                        /* per report: 160 KB, then others' turn */

/* What is left goes with the pool: last of all the descriptor, which the socket's cleanup closes. */
static void end_with_pool(mpmx_worker *w, mpmx_conn *conn)
{
    apr_pool_t *pool = conn->pool;

    conn->closing = 1;
    conn->notified = 0;
    conn->c = NULL;
    conn->pool = NULL;
    conn->sock = NULL;
    conn->view.r = NULL;
    mpmx_conn_retire(w, conn);
    mpmx_pool_give(w, pool);
}

/* The descriptor is not ours any more. Its number may be somebody else's as soon as the record is free: what
 * the pool still does is then no news of ours. */
static void end_without_descriptor(mpmx_worker *w, mpmx_conn *conn)
{
    mpmx_serve_leave_pool(conn);
    end_with_pool(w, conn);
}

/* Nothing unread, which would turn the close into a reset, and the client has not closed. */
static int is_silent(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* The module side of the end: hooks, flush, FIN. Nonzero: close without lingering. */
static int say_goodbye(mpmx_worker *w, mpmx_conn *conn, int *is_short)
{
    conn_rec *c = conn->c;
    int at_once;

    (void)w;
    apr_socket_timeout_set(conn->sock, FLUSH_US);
    /* Where the response has taken the end of the connection along, there is nothing to be flushed or shut. */
    at_once = conn->view.parted ? ap_prep_lingering_close(c) || c->aborted : ap_start_lingering_close(c);
    *is_short = apr_table_get(c->notes, "short-lingering-close") != NULL;
    return at_once;
}

static void end(mpmx_worker *w, mpmx_conn *conn, int gone)
{
    int is_short, at_once;

    if (!ap_get_conn_socket(conn->c)) {
        /* A module has taken the socket: it closes it, or the pool does. */
        mpmx_poller_forget(mpmx_child_of(w)->poller, &conn->poll, conn->fd);
        end_without_descriptor(w, conn);
        return;
    }
    at_once = say_goodbye(w, conn, &is_short);
    if (mpmx_socket_is_closed(conn)) {
        end_without_descriptor(w, conn);
        return;
    }
    /* TLS has a goodbye of its own to come, and so may a protocol that we do not know. */
    if (conn->view.last_request && conn->gated && !conn->tls && !at_once && is_silent(conn->fd)) {
        end_with_pool(w, conn);
        return;
    }
    mpmx_pool_give(w, mpmx_serve_strip(conn));
    mpmx_conn_drop_input(conn);
    if (at_once || gone || mpmx_child_phase(mpmx_child_of(w)) >= MPMX_PHASE_STOPPING) {
        mpmx_conn_close(w, conn);
        return;
    }
    conn->linger_short = is_short || mpmx_child_phase(mpmx_child_of(w)) > MPMX_PHASE_RUNNING;
    mpmx_linger_drain(w, conn);
}

void mpmx_linger_start(mpmx_worker *w, mpmx_conn *conn)
{
    end(w, conn, 0);
}

void mpmx_linger_gone(mpmx_worker *w, mpmx_conn *conn)
{
    end(w, conn, 1);
}

void mpmx_linger_asleep(mpmx_worker *w, mpmx_conn *conn)
{
    conn->linger_short = 1;
    if (shutdown(conn->fd, SHUT_WR) < 0)
        mpmx_conn_close(w, conn);
    else
        mpmx_linger_drain(w, conn);
}

/* How long to wait for more. Where the MPM is not async, httpd takes two seconds of silence for
 * the end (contract 6.5), and old children go that much earlier. */
static int64_t patience(int64_t left)
{
    return !mpmx_this_policy.async && left > LINGER_SHORT_MS ? LINGER_SHORT_MS : left;
}

void mpmx_linger_drain(mpmx_worker *w, mpmx_conn *conn)
{
    int64_t now = mpmx_clock_coarse_ms();
    int i;

    if (mpmx_conn_get_state(conn) != MPMX_CONN_LINGER)
        mpmx_conn_set_head_due(conn, now + (conn->linger_short ? LINGER_SHORT_MS : LINGER_MS));
    for (i = 0; i < DRAIN_READS; i++) {
        ssize_t n = recv(conn->fd, w->scratch, MPMX_SCRATCH, MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n <= 0) {
            mpmx_conn_close(w, conn);
            return;
        }
        if (n < MPMX_SCRATCH)
            break;                       /* that was all; the end is reported */
    }
    if (now >= mpmx_conn_head_due(conn))
        mpmx_conn_close(w, conn);
    else
        mpmx_conn_park(w, conn, MPMX_CONN_LINGER, MPMX_POLL_READ, patience(mpmx_conn_head_due(conn) - now));
}
