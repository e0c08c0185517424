/* Listening sockets as the poller sees them, and accepting. */
#ifndef MPMX_LISTENER_H
#define MPMX_LISTENER_H

#include <stdatomic.h>
#include "ap_listen.h"
#include "crew.h"
#include "handover_record.h"
#include "poller.h"

typedef struct mpmx_listener {
    ap_listen_rec *rec;          /* NULL: it takes connections from others of us (handover.h) */
    int fd;
    int gated;                   /* heads are collected before a worker is spent     */
    int tls;                     /* ... as TLS records                               */
    int specific;                /* bound to one address: no getsockname(2) needed   */
    mpmx_place place;            /* what other generations know it by                */
    _Atomic unsigned streak;     /* connections accepted since there was none, or since
                                    the queue's length was asked for                 */
    int travels;                 /* its connections may go to them; housekeeper's     */
    void (*ready)(mpmx_worker *w, struct mpmx_listener *l);  /* instead of accepting      */
    mpmx_poll_entry poll;
} mpmx_listener;

/* What to do about an errno of accept(2). Pure; accept(2), section "Error handling". */
typedef enum {
    MPMX_ACCEPT_NONE,            /* nobody there (any more): back to the poller      */
    MPMX_ACCEPT_RETRY,           /* this one is gone, the next may be there          */
    MPMX_ACCEPT_SHED,            /* out of descriptors or memory: pause              */
    MPMX_ACCEPT_CLOSED           /* the socket is no more                            */
} mpmx_accept_verdict;

mpmx_accept_verdict mpmx_accept_judge(int error);

struct mpmx_child;

/* Fills child->listener[] from a bucket; sets them non-blocking. Main thread. */
apr_status_t mpmx_listeners_init(struct mpmx_child *child, ap_listen_rec *bucket, apr_pool_t *pool);

/* Starts, interrupts and takes up again the accepting of this child. Any thread;
 * `reason` (MPMX_PAUSE_*) is one bit; accepting goes on when no reason is left. */
#define MPMX_PAUSE_START    1    /* not yet started                                   */
#define MPMX_PAUSE_SHED     2    /* out of descriptors or memory                      */
#define MPMX_PAUSE_FULL     4    /* AsyncRequestWorkerFactor reached                  */
#define MPMX_PAUSE_STOP     8    /* the child is ending                               */
#define MPMX_PAUSE_SHARE   16    /* it has more than its share (share.c)              */
#define MPMX_PAUSE_ASIDE   32    /* another one copes with all that comes (aside.c)   */
void mpmx_listeners_pause(struct mpmx_child *child, int reason);
void mpmx_listeners_go_on(struct mpmx_child *child, int reason);

/* Goes on after MPMX_PAUSE_SHED if there are descriptors again, else later. Housekeeper. */
void mpmx_listeners_try_again(struct mpmx_child *child);

/* A descriptor as high as `fd` is in use: idle connections make room, or this child pauses. Workers. */
void mpmx_listeners_near_limit(struct mpmx_child *child, int fd);

/* Looks for connections that the kernel has told somebody else of. Any thread. */
void mpmx_listeners_look(struct mpmx_child *child);

/* Stops accepting for good: a worker takes what has arrived, then closes this process's
 * copies of all listening sockets. Housekeeper. */
void mpmx_listeners_leave(struct mpmx_child *child);

/* Token of a listener's reports, and back (NULL: a connection's). */
uint64_t mpmx_listener_token(struct mpmx_child *child, const mpmx_listener *listener);
mpmx_listener *mpmx_listener_of(struct mpmx_child *child, uint64_t token);

/* Accepts what is there and starts serving it; of a crowd that fills the kernel's queue, half of the queue
 * is let in before anybody is served. Workers. */
void mpmx_listener_ready(mpmx_worker *w, mpmx_listener *listener);

/* Takes up accepting again if the child was full and is no more. Workers, cheap. */
void mpmx_listeners_check_room(mpmx_worker *w);

#endif
