/* See drain.h.
 *
 * Whoever serves a connection may free its request at any moment, so of those only what is
 * made to be looked at is: the scoreboard's strings (with ExtendedStatus, which mod_status
 * switches on) and the kernel's idea of the peer.  A parked connection is claimed for as long
 * as the look takes; then everything about it may be read.
 */
#include "drain.h"
#include "child.h"
#include "clock.h"
#include "log.h"
#include "scoreboard.h"
#include "serve.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include "http_protocol.h"

#define FIRST_MS   10000         /* the first report ...                               */
#define GAP_MS     20000         /* ... the second one after it, then twice as much ... */
#define GAP_MAX_MS 600000        /* ... up to this                                     */
#define NAMED          5         /* connections in one report                          */

typedef struct portrait {
    mpmx_child *child;
    const char *doing;
    int64_t for_ms;              /* how long; -1: unknown                              */
    char client[64];
    char vhost[64];
    char request[128];
} portrait;

/* --- one connection -------------------------------------------------------------------- */

static void name_peer(portrait *who, const struct sockaddr *sa, socklen_t len)
{
    char host[48], port[8];

    if (!getnameinfo(sa, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV))
        snprintf(who->client, sizeof who->client,
                 sa->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* The descriptor may be another connection's by now: then that is named, which is there, too. */
static void name_peer_of(portrait *who, int fd)
{
    mpmx_peer peer;
    socklen_t len = sizeof peer;

    if (getpeername(fd, &peer.sa, &len) == 0)
        name_peer(who, &peer.sa, len);
}

/* Strings of another thread, or of anybody: they may change while they are read. */
static void copy(char *to, size_t size, const char *from, size_t most)
{
    size_t n;

    for (n = 0; n < most && n + 1 < size && from[n]; n++)
        to[n] = from[n];
    to[n] = '\0';
}

static worker_score *score_of(mpmx_child *child, const mpmx_conn *conn)
{
    return ap_get_scoreboard_worker_from_indexes(child->slot,
               atomic_load_explicit(&conn->server, memory_order_relaxed));
}

static void look_at_score(portrait *who, const mpmx_conn *conn)
{
    worker_score *ws = score_of(who->child, conn);
    apr_time_t started;

    if (!ws || !ap_extended_status)
        return;
    copy(who->vhost, sizeof who->vhost, ws->vhost, sizeof ws->vhost);
    copy(who->request, sizeof who->request, ws->request, sizeof ws->request);
    started = ws->start_time;
    if (started > 0 && started <= apr_time_now())
        who->for_ms = apr_time_as_msec(apr_time_now() - started);
}

/* The caller owns the connection. */
static void look_at_parked(const mpmx_conn *conn, void *baton)
{
    portrait *who = baton;
    mpmx_conn_state state = mpmx_conn_get_state(conn);
    int64_t idle = mpmx_conn_idle_since(conn);
    const request_rec *r = conn->c && state == MPMX_CONN_WRITING
                           && !strcmp(ap_get_protocol(conn->c), AP_PROTOCOL_HTTP1) ? conn->view.r : NULL;

    name_peer(who, &conn->peer.sa, conn->peer.sa.sa_family == AF_INET6 ? sizeof conn->peer.in6
                                                                      : sizeof conn->peer.in);
    switch (state) {
    case MPMX_CONN_WRITING: who->doing = "does not read its response fast enough"; break;
    case MPMX_CONN_LINGER:  who->doing = "is being closed"; break;
    case MPMX_CONN_QUEUED:
    case MPMX_CONN_WAITIO:  who->doing = "in progress"; break;
    default:                who->doing = idle > 0 ? "idle" : "sends a request head";
    }
    if (idle > 0)
        who->for_ms = mpmx_clock_coarse_ms() - idle;
    if (!r)
        return;
    if (r->server && r->server->server_hostname)
        snprintf(who->vhost, sizeof who->vhost, "%s:%d", r->server->server_hostname, (int)r->server->port);
    if (r->the_request)
        copy(who->request, sizeof who->request, r->the_request, sizeof who->request);
    who->for_ms = apr_time_as_msec(apr_time_now() - r->request_time);
}

/* A thread waits on it for the next request? (Not async.) */
static int keeps_alive(mpmx_child *child, const mpmx_conn *conn)
{
    worker_score *ws = score_of(child, conn);

    return ws && ws->status == SERVER_BUSY_KEEPALIVE;
}

static int is_at_work(mpmx_child *child, const mpmx_conn *conn)
{
    mpmx_conn_state state = mpmx_conn_get_state(conn);

    if (state == MPMX_CONN_SERVING)
        return !keeps_alive(child, conn);
    return state != MPMX_CONN_LINGER && !mpmx_conn_is_idle(conn);
}

static void name(mpmx_child *child, mpmx_conn *conn, int level)
{
    portrait who = { 0 };
    char how_long[32] = "";

    who.child = child;
    who.for_ms = -1;
    if (!mpmx_conn_inspect(child, conn, look_at_parked, &who)) {
        name_peer_of(&who, conn->fd);
        if (mpmx_conn_get_state(conn) == MPMX_CONN_SUSPENDED) {
            who.doing = "suspended by a module";
        }
        else {
            who.doing = keeps_alive(child, conn) ? "idle" : "being served";
            look_at_score(&who, conn);
        }
    }
    if (who.for_ms >= 0)
        snprintf(how_long, sizeof how_long, ", for %d s", (int)(who.for_ms / 1000));
    ap_log_error(APLOG_MARK, level, 0, child->server,
                 "child %" APR_PID_T_FMT " waits for client %s%s%s%s%s%s: %s%s", getpid(),
                 *who.client ? who.client : "(gone)", *who.vhost ? " at " : "", who.vhost,
                 *who.request ? ", \"" : "", who.request, *who.request ? "\"" : "", who.doing, how_long);
}

/* --- all of them -------------------------------------------------------------------------- */

/* Those that `at_work` is true of, or not. Names the first ones while *names is above 0. */
static int look_through(mpmx_child *child, int at_work, int *names, int level)
{
    unsigned i, k;
    int n = 0;

    for (i = 0; i < child->chunks; i++) {
        mpmx_conn *chunk = atomic_load_explicit(&child->chunk[i], memory_order_acquire);

        for (k = 0; chunk && k < MPMX_CONN_CHUNK; k++) {
            if (mpmx_conn_get_state(&chunk[k]) == MPMX_CONN_FREE
                || is_at_work(child, &chunk[k]) != at_work)
                continue;
            n++;
            if (*names > 0) {
                --*names;
                name(child, &chunk[k], level);
            }
        }
    }
    return n;
}

static void tell(mpmx_child *child, int level, const char *what, int with_idle)
{
    int none = 0, names = NAMED, busy = look_through(child, 1, &none, level), more;
    int idle = look_through(child, 0, &none, level);

    if (busy + (with_idle ? idle : 0) == 0)
        return;
    ap_log_error(APLOG_MARK, level, 0, child->server,
                 "child %" APR_PID_T_FMT " of generation %d has drained for %d s and %s: %d connections "
                 "at work, %d idle", getpid(), (int)mpmx.retained->my_generation,
                 (int)((mpmx_clock_coarse_ms() - child->drain.since) / 1000), what, busy, idle);
    more = look_through(child, 1, &names, level);
    if (with_idle)
        more += look_through(child, 0, &names, level);
    more -= NAMED - names;
    if (more > 0)
        ap_log_error(APLOG_MARK, level, 0, child->server,
                     "child %" APR_PID_T_FMT " waits for clients: ... and %d more", getpid(), more);
}

/* A child that just gives way to another one has no deadline, and nobody waits for its end. */
static int level_now(const mpmx_child *child)
{
    global_score *global = ap_get_scoreboard_global();

    return child->acted == MPMX_PHASE_ENDING
        || (global && global->running_generation != mpmx.retained->my_generation) ? APLOG_NOTICE : APLOG_INFO;
}

void mpmx_drain_report(mpmx_child *child, int64_t now, int64_t *until)
{
    mpmx_drain *drain = &child->drain;
    int64_t limit_ms = (int64_t)mpmx.conf.drain_timeout * 1000;

    if (child->acted < MPMX_PHASE_DRAINING || child->acted >= MPMX_PHASE_STOPPING)
        return;
    if (!drain->since) {
        drain->since = now;
        drain->gap = GAP_MS;
        drain->next = now + (limit_ms > 0 && limit_ms / 2 < FIRST_MS ? limit_ms / 2 : FIRST_MS);
    }
    if (now >= drain->next) {
        tell(child, level_now(child), "goes on", 1);
        drain->next = now + drain->gap;
        drain->gap = drain->gap * 2 < GAP_MAX_MS ? drain->gap * 2 : GAP_MAX_MS;
    }
    if (drain->next < *until)
        *until = drain->next;
}

void mpmx_drain_cut(mpmx_child *child)
{
    if (child->drain.since)
        tell(child, APLOG_WARNING, "is stopped, which cuts them off", 0);
}
