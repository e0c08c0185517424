/* A child process: its crew, its poller, its connections, and how it ends. */
#ifndef MPMX_CHILD_H
#define MPMX_CHILD_H

#include <pthread.h>
#include <stdatomic.h>
#include "conn.h"
#include "crew.h"
#include "drain.h"
#include "handover.h"
#include "listener.h"
#include "mpmx.h"
#include "poller.h"
#include "timers.h"

typedef enum {
    MPMX_PHASE_STARTING,
    MPMX_PHASE_RUNNING,
    MPMX_PHASE_DRAINING,         /* no accepting; idle keep-alive connections stay for
                                    one more request or until they time out           */
    MPMX_PHASE_ENDING,           /* graceful stop: idle ones are closed               */
    MPMX_PHASE_STOPPING          /* forced: everything is cut off                     */
} mpmx_phase;

/* Words between parent and child over the control socket; one byte each. */
#define MPMX_SAY_READY   'R'     /* child: accepting                                  */
#define MPMX_SAY_LEAVING 'Q'     /* child: draining of its own accord                 */
#define MPMX_SAY_WORN    'W'     /* child: has had MaxConnectionsPerChild; goes on until told */
#define MPMX_SAY_FULL    'F'     /* child: does not accept for now                    */
#define MPMX_SAY_LISTEN  'L'     /* parent: another child is full, look at the sockets */
#define MPMX_SAY_STAY    'S'     /* parent: a newer generation is coming, go on until then */
#define MPMX_SAY_NO_SLOT 'N'     /* parent: your slot is another process's now        */
#define MPMX_SAY_HANDOVER 'H'    /* parent: with descriptors, where idle ones may travel to;
                                    without, nowhere (handover.h)                     */
#define MPMX_SAY_DRAIN   '!'     /* parent: MPMX_PHASE_DRAINING                       */
#define MPMX_SAY_END     '%'     /* parent: MPMX_PHASE_ENDING                         */
#define MPMX_SAY_STOP    '$'     /* parent: MPMX_PHASE_STOPPING                       */

/* See aside.c. */
typedef struct mpmx_aside {
    int leader;                  /* slot of the first child that accepts              */
    unsigned leads;              /* connections that it has accepted                  */
    unsigned others;             /* ... and all that are not this child               */
    unsigned mine;
    int connections;             /* open in this child                                */
    int64_t us;                  /* mpmx_clock_us()                                   */
    int64_t cpu_us;              /* mpmx_clock_cpu_us()                               */
} mpmx_aside;

typedef struct mpmx_child {
    mpmx_crew crew;              /* first: crew.c relies on it                        */
    mpmx_poller *poller;
    mpmx_wheel wheel;
    mpmx_callbacks callbacks;
    server_rec *server;
    apr_pool_t *pool;            /* pchild                                            */
    apr_pool_t *pconns;          /* parent of the connections' pools                  */
    int slot;                    /* process slot in the scoreboard                    */
    int bucket;                  /* whose listening sockets it has                    */
    _Atomic int slot_lost;       /* it is another process's by now                    */
    uid_t started_as;
    int control;                 /* socket to the parent, or -1 (one process mode)    */
    _Atomic int phase;           /* mpmx_phase; only ever grows                       */
    mpmx_listener *listener;
    int listeners;
    int ports;                   /* the first of them, which accept; never less       */
    pthread_mutex_t listen_lock; /* paused, and the poller's idea of the listeners    */
    _Atomic int paused;          /* MPMX_PAUSE_* bits                                 */
    _Atomic int deaf;            /* it cannot listen to one of its ports              */
    _Atomic int64_t shed_until;  /* coarse ms; when to try again after SHED           */
    _Atomic int64_t shed_logged; /* coarse ms; or 0                                   */
    _Atomic int64_t room_made;   /* coarse ms; idle ones were closed near the limit   */
    _Atomic int64_t room_logged;
    _Atomic int64_t park_logged; /* coarse ms; of connections that cannot be waited for */
    _Atomic int slept;           /* since memory was last given back to the system    */
    int64_t gave_back;           /* coarse ms; the last time                          */
    /* Changed with every connection; what every request looks at is on other lines. */
    _Alignas(MPMX_LINE) _Atomic int accepting;   /* workers inside accept(2)          */
    _Atomic int credit;          /* connections to accept before room is counted anew */
    _Atomic unsigned accepted;   /* since start, for MaxConnectionsPerChild           */
    _Alignas(MPMX_LINE)
    mpmx_work last_accept;       /* see mpmx_listeners_leave()                        */
    _Atomic int last_accept_waits;       /* 1: it is among the crew's work            */
    _Atomic unsigned adopted;    /* taken over from others (handover.h), besides      */
    int max_accepted;            /* 0: no limit                                       */
    pthread_mutex_t publish_lock;        /* the child's numbers in the scoreboard     */
    _Atomic int fair_share;      /* connections per child with these sockets, a hint  */
    _Atomic int64_t leave_until; /* coarse ms; end of MPMX_PAUSE_SHARE                */
    _Atomic int others_had;      /* connections, when it began                        */
    _Atomic unsigned unasked_until;      /* `accepted` up to which there is none      */
    unsigned unasked;            /* housekeeper's; for how many the last time         */
    /* What was so when it last looked whether it is needed, see aside.c: who holds the lock has it. */
    _Atomic int aside_lock;
    mpmx_aside aside;
    int64_t aside_since;         /* coarse ms; MPMX_PAUSE_ASIDE began                 */
    int aside_leader_had;        /* connections, then                                 */
    unsigned aside_emptied;      /* how often that child had found nobody left        */
    int aside_long;              /* looks in a row at a queue that it left long       */
    int aside_pause;             /* ms until it tries again after it was wrong        */
    _Atomic int64_t aside_until; /* coarse ms; the next look while it stands aside    */
    _Atomic int64_t aside_next;  /* coarse ms; ... and while it does not, the first   */
    /* the table of connection records: chunks of records by descriptor */
    mpmx_conn *_Atomic *chunk;
    unsigned chunks;
    int fd_high;                 /* descriptors from here on are for handlers         */
    int fd_spare;                /* ... so many                                       */
    /* SUSPENDED connections, see suspend.c */
    pthread_mutex_t susp_lock;
    mpmx_conn *suspended;
    uint64_t callback_serial;
    struct mpmx_callback_run *callback_runs;
    mpmx_handover handover;      /* housekeeper's                                     */
    /* the housekeeper's bell */
    int bell[2];                 /* a pipe: read end, write end                       */
    _Atomic int rung;
    _Atomic int64_t wake_at;     /* coarse ms; when it wakes up by itself             */
    int64_t others_at;           /* coarse ms; when to look again if others have threads */
    int64_t recall_at;           /* coarse ms; see recall.c                           */
    int64_t reports_since;       /* coarse ms; reports have waited then, or 0         */
    mpmx_worker *_Atomic called; /* who was called back last, see recall.c            */
    unsigned called_serial;      /* what it served then                               */
    unsigned called_accepted;    /* `accepted` at that moment                         */
    int64_t called_at;           /* coarse ms                                         */
    mpmx_phase acted;            /* phase whose consequences have been drawn          */
    int64_t published;           /* coarse ms                                         */
    int threads_missing;         /* could not be started, see threads.c               */
    int threads_pause;           /* ms until they are tried again                     */
    int64_t threads_tried;       /* coarse ms                                         */
    _Atomic int64_t threads_logged;
    int said_ready;              /* to the parent                                     */
    int64_t drain_since;
    mpmx_drain drain;                    /* see drain.c                               */
    int64_t orphan_until;        /* coarse ms; the parent is gone                     */
    int64_t outdated_since;      /* coarse ms; a newer generation is said to run      */
    int told_stopping;           /* child_stopping hook was run with graceful         */
} mpmx_child;

/* Runs a child until its end and does not return. `control`: -1 in one process mode.
 * Called by the freshly forked process with all signals blocked. */
void mpmx_child_main(int slot, int bucket, int control) __attribute__((noreturn));

/* Has the child end when its parent does, however that ends. To be called after privileges
 * were dropped, which makes the kernel forget it. Main thread. */
void mpmx_child_follow_parent(void);

/* Leaves RUNNING for a later phase; later calls can only go further. Any thread. */
void mpmx_child_leave(mpmx_child *child, mpmx_phase phase);

/* MaxConnectionsPerChild is reached: asks the parent to be relieved; leaves if there is none. Any
 * thread. */
void mpmx_child_worn(mpmx_child *child);

/* Says a word to the parent, if there is one. Any thread. */
void mpmx_child_say(mpmx_child *child, char word);

/* Wakes the housekeeper. Any thread. */
void mpmx_child_kick(mpmx_child *child);

/* Makes sure the housekeeper is awake at `when` (mpmx_clock_coarse_ms, MPMX_NEVER: no
 * need). Any thread. */
void mpmx_child_awake_at(mpmx_child *child, int64_t when);

static inline mpmx_child *mpmx_child_of(mpmx_worker *w)
{
    return w->child;
}

static inline mpmx_phase mpmx_child_phase(mpmx_child *child)
{
    return (mpmx_phase)atomic_load_explicit(&child->phase, memory_order_relaxed);
}

#endif
