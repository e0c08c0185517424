/* The connection record and its state machine.
 *
 *   listener --accept--> NEW --head complete--> SERVING --keep-alive--> KEEPALIVE --idle--> ASLEEP
 *                         |  (gate)               ^  |                      |                |
 *                         |                       |  +--> QUEUED, WAITIO,   |                |
 *                         |                       |  |    WRITING           |                |
 *                         |                       +--|-------+--head complete----------------+
 *                         |                          +--> SUSPENDED
 *                         +--deadline, EOF--> LINGER --EOF, deadline--> FREE
 *
 *   NEW, ASLEEP --handed over--> FREE here, and NEW, ASLEEP in another process (handover.h)
 *
 * state      descriptor  conn_rec  armed for      deadline
 * FREE       -           -         -              -
 * NEW        open        TLS only  read           RequestHeadTimeout
 * SERVING    open        yes       -              - (the socket's timeout)
 * KEEPALIVE  open        yes       read           KeepAliveHibernate or KeepAliveTimeout; once
 *                                                 bytes of the next head are in: RequestHeadTimeout
 * ASLEEP     open        no        read           KeepAliveTimeout; RequestHeadTimeout as above
 * QUEUED     open        yes       write          Timeout (others are served first)
 * WAITIO     open        yes       read or write  Timeout
 * WRITING    open        yes       write or read  Timeout
 * SUSPENDED  open        yes       -              - (a module goes on with it)
 * LINGER     half closed no        read           30 s or 2 s from its start
 *
 * One owner at a time.  A record belongs to the thread that accepted or claimed it,
 * until that thread parks it (arms it in the poller); from then on nobody owns it,
 * and whoever claims it next does: a worker with a report of the poller, or the
 * housekeeper because the deadline has passed or it is to travel.  `claim` decides
 * between them.  A connection that travels has no record at all while it is on its way;
 * its descriptor is the socket's, and the first process closes its own.  A
 * SUSPENDED connection is on the child's list of those and belongs to the module.
 *
 * Records are found by descriptor and never freed, so a stale report can be told
 * from a current one by its serial number, however late it is looked at.  Closing
 * the descriptor, or clearing the pool whose socket does it, is therefore the last
 * thing an owner does: the next accept(2) may use the record at once.
 */
#ifndef MPMX_CONN_H
#define MPMX_CONN_H

#include <stdatomic.h>
#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "httpd.h"
#include "crew.h"
#include "gate.h"
#include "listener.h"
#include "poller.h"
#include "timers.h"

typedef struct mpmx_conn mpmx_conn;

typedef enum {
    MPMX_CONN_FREE,
    MPMX_CONN_NEW,
    MPMX_CONN_SERVING,
    MPMX_CONN_KEEPALIVE,
    MPMX_CONN_ASLEEP,
    MPMX_CONN_QUEUED,
    MPMX_CONN_WAITIO,
    MPMX_CONN_WRITING,
    MPMX_CONN_SUSPENDED,
    MPMX_CONN_LINGER
} mpmx_conn_state;

/* What our slot of conn_config points to: the MPM's part of a conn_rec. Secondary
 * connections (HTTP/2 streams) have one of their own without a record. */
typedef struct mpmx_view {
    conn_state_t cs;             /* c->cs                                             */
    mpmx_conn *conn;             /* NULL: secondary connection                        */
    request_rec *r;              /* being read or handled, or NULL                    */
    int keepalive_ms;            /* KeepAliveTimeout that applies now                 */
    int timeout_ms;              /* Timeout that applies now                          */
    int last_request;            /* the client has said that it sends nothing more    */
    int parting;                 /* MPMX_PARTS_*: the end of the last response has come by */
    const request_rec *last;     /* that response's request, until it is written      */
    int parted;                  /* it has been sent, and the end of the connection with it */
} mpmx_view;

enum { MPMX_PARTS_NOT, MPMX_PARTS_PLAIN, MPMX_PARTS_LATER };     /* farewell.c */

typedef union mpmx_peer {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
} mpmx_peer;

struct mpmx_conn {
    /* Neighbours in the table are in different threads' hands. */
    _Alignas(MPMX_LINE) _Atomic uint64_t claim;  /* see conn.c                        */
    mpmx_deadline deadline;
    mpmx_work work;              /* when it goes to a worker without a report         */
    int fd;
    _Atomic unsigned char state; /* mpmx_conn_state; by the two functions below only  */
    unsigned char counted;       /* which mpmx_count it is in, + 1; 0: none           */
    unsigned char interest;      /* what the poller was asked for last                */
    _Atomic unsigned char stays; /* offer under which it cannot travel (handover.h)   */
    unsigned gated : 1;          /* heads are collected by the gate                   */
    unsigned tls : 1;            /* ... as TLS records, and once there is a conn_rec: */
    unsigned inner : 1;          /*     inside TLS (tls_head.h)                       */
    unsigned shaken : 1;         /* the TLS handshake is over                         */
    unsigned ended : 1;          /* the last read was the end of the connection       */
    unsigned drained : 1;        /* the last read took all the kernel had             */
    unsigned head_late : 1;      /* RequestHeadTimeout has passed: reads time out     */
    unsigned notified : 1;       /* modules were told that it is suspended            */
    unsigned closing : 1;        /* its pool is being cleared by us                   */
    unsigned linger_short : 1;
    unsigned proto_known : 1;    /* c's protocol was looked at                        */
    unsigned alone : 1;          /* its thread rests (crew.h) until it ends: not async */
    unsigned cool : 1;           /* its pool's free memory is with a worker (pools.c) */
    unsigned dead : 1;           /* its pool was destroyed by a module                */
    unsigned restless : 1;       /* does not sleep: see hibernate.c                   */
    unsigned hurry : 1;          /* others need its descriptor (expiry.c)             */
    unsigned heard : 1;          /* not HTTP/1: something has come since the child leaves */
    mpmx_poll_entry poll;
    mpmx_gate gate;
    _Atomic int64_t head_due;    /* end of RequestHeadTimeout (0: no head begun) or of the
                                    lingering close; coarse ms                        */
    _Atomic int64_t head_since;  /* its first byte, or the handshake's; coarse ms, or 0   */
    char *buf;                   /* bytes of an incomplete head (malloc), or NULL     */
    uint32_t buf_len, buf_size;
    const char *input;           /* received and not yet given to httpd: in buf or in */
    uint32_t input_len;          /* the scratch memory of the worker that serves it   */
    _Atomic int server;          /* SERVING: slot of the worker                        */
    _Atomic int64_t idle_since;  /* NEW: accepted; KEEPALIVE, ASLEEP: the last response
                                    (coarse ms); 0: a head has begun, or MPMX_TO_GO     */
    int keepalives;              /* c->keepalives, while it sleeps                     */
    mpmx_listener *listener;
    mpmx_peer peer;
    conn_rec *c;
    apr_pool_t *pool;            /* c->pool                                           */
    apr_socket_t *sock;
    ap_sb_handle_t *sbh;
    apr_bucket_brigade *bb;      /* for looking at pipelined input; made when needed  */
    mpmx_view view;
    mpmx_conn *susp_next, **susp_prev;   /* child's list of SUSPENDED ones            */
    uint64_t susp_seen;          /* see suspend.c                                     */
};

/* Written by the owner alone, but others look before they claim it, or never do (conn.c).
 * Relaxed: what orders it is the claim or the deadline that is read beside it. */
static inline mpmx_conn_state mpmx_conn_get_state(const mpmx_conn *conn)
{
    return (mpmx_conn_state)atomic_load_explicit(&conn->state, memory_order_relaxed);
}

static inline void mpmx_conn_set_state(mpmx_conn *conn, mpmx_conn_state state)
{
    atomic_store_explicit(&conn->state, (unsigned char)state, memory_order_relaxed);
}

static inline void mpmx_conn_set_serving(mpmx_conn *conn, const mpmx_worker *w)
{
    atomic_store_explicit(&conn->server, w->slot, memory_order_relaxed);
    mpmx_conn_set_state(conn, MPMX_CONN_SERVING);
}

#define MPMX_CONN_MAX (1 << 23)          /* descriptors from here on have no record */
#define MPMX_CONN_CHUNK 256              /* records of one piece of the table       */

static inline int64_t mpmx_conn_idle_since(const mpmx_conn *conn)
{
    return atomic_load_explicit(&conn->idle_since, memory_order_relaxed);
}

#define MPMX_TO_GO (-1)                  /* idle_since: its time is over, whatever that was */

static inline void mpmx_conn_set_idle_since(mpmx_conn *conn, int64_t when)
{
    atomic_store_explicit(&conn->idle_since, when, memory_order_relaxed);
}

static inline void mpmx_conn_forget_head(mpmx_conn *conn)
{
    atomic_store_explicit(&conn->head_due, 0, memory_order_relaxed);
    atomic_store_explicit(&conn->head_since, 0, memory_order_relaxed);
}

static inline int64_t mpmx_conn_head_due(const mpmx_conn *conn)
{
    return atomic_load_explicit(&conn->head_due, memory_order_relaxed);
}

static inline void mpmx_conn_set_head_due(mpmx_conn *conn, int64_t when)
{
    atomic_store_explicit(&conn->head_due, when, memory_order_relaxed);
}

/* Prepares the table of records. By the child's main thread, before workers exist. */
apr_status_t mpmx_conn_table_init(struct mpmx_child *child, apr_pool_t *pool);

/* Makes the record of a just accepted descriptor; the caller owns it. NULL (and the
 * descriptor closed) if memory is out or the number is beyond the table. Workers. */
mpmx_conn *mpmx_conn_open(mpmx_worker *w, int fd, mpmx_listener *listener, const mpmx_peer *peer);

/* Takes the connection that a report is about; NULL when the report is out of date.
 * On success the caller owns it. Any thread. */
mpmx_conn *mpmx_conn_claim(struct mpmx_child *child, uint64_t token);

/* Takes a parked connection that `wanted` says yes to, for another reason than a report. Nonzero if
 * the caller owns it now. Any thread (housekeeper). */
int mpmx_conn_claim_parked(mpmx_conn *conn, int (*wanted)(const mpmx_conn *conn, int64_t now), int64_t now);

/* Has `look` look at a parked connection, which nobody else can own meanwhile. Zero if somebody
 * does already. Housekeeper. */
int mpmx_conn_inspect(struct mpmx_child *child, mpmx_conn *conn,
                      void (*look)(const mpmx_conn *conn, void *baton), void *baton);

/* The owner goes on with it after a report. The connection is no longer the
 * caller's afterwards. Workers. */
void mpmx_conn_ready(mpmx_worker *w, mpmx_conn *conn, unsigned events);

/* First look at a new connection, straight after accept. As above. */
void mpmx_conn_start(mpmx_worker *w, mpmx_conn *conn);

/* Gives it up until `interest` is there or `timeout_ms` have passed. Workers; the
 * connection is no longer the caller's afterwards. */
void mpmx_conn_park(mpmx_worker *w, mpmx_conn *conn, mpmx_conn_state state, unsigned interest,
                    int64_t timeout_ms);

/* Parks it as NEW or KEEPALIVE until (more of) a head comes. Owner, as park. */
void mpmx_conn_await_head(mpmx_worker *w, mpmx_conn *conn);

/* Parks it as `state` until more of a head comes that has begun or is overdue. Owner, as park. */
void mpmx_conn_await_rest(mpmx_worker *w, mpmx_conn *conn, mpmx_conn_state state);

/* Forgets what is buffered. Owner. */
void mpmx_conn_drop_input(mpmx_conn *conn);

/* Takes the record out of timers, poller and counts; what is left is to close the
 * descriptor, after which the record may be anybody's. Owner, worker. */
void mpmx_conn_retire(mpmx_worker *w, mpmx_conn *conn);

/* mpmx_conn_retire() and close(2). Owner, worker. There must be no conn_rec. */
void mpmx_conn_close(mpmx_worker *w, mpmx_conn *conn);

/* Waits for a head of which nothing has come. Any thread, as a hint; for certain the owner. */
int mpmx_conn_is_idle(const mpmx_conn *conn);

/* Since when it is parked for a head, or for the rest of one (coarse ms); 0: it is not, or has to go. As above. */
int64_t mpmx_conn_waits_since(const mpmx_conn *conn);

/* Shuts the sockets of all connections that are being served, so that whoever waits on one
 * comes back. For a forced end only: it does not care whose descriptor it is by now. */
void mpmx_conn_shut_all(struct mpmx_child *child);

/* Moves it into another of the child's sums. Owner, worker. */
void mpmx_conn_count(mpmx_worker *w, mpmx_conn *conn, int which);

#define MPMX_COUNT_NONE (-1)

#endif
