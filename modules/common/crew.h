/* The crew: the worker threads of a child, and the rule who of them runs.
 *
 * All workers may wait on the child's one poller; the one that gets a report
 * serves it and comes back for the next (leader/followers, no hand-off).  But no
 * more of them run than there are cores for this child, the others stand by,
 * because every additional running thread costs context switches and cache
 * misses.  A thread that blocks in a handler does not count: the housekeeper's
 * tick (one millisecond, only while somebody serves) looks for workers that are
 * serving a report and are asleep for the operating system, twice within a quarter
 * of a millisecond, and lets one more run for each; so it does for one that has been
 * computing for long.  While nobody newly blocks, and whoever serves does so in no time, it looks half
 * as often, and with little load a quarter as often.
 *
 *   allowed = base (cores for this child) + blocked + spare
 *
 * `spare` follows how many threads newly blocked per tick lately and decays to
 * nothing, so that a steadily blocking load (a reverse proxy) finds a thread
 * waiting and does not pay the tick's delay for each request.
 * docs/internals/crew.md has the measurements behind this.
 *
 * Threads that were never needed do not exist: a stack less, and one less for the kernel to add up when
 * it is asked for the CPU time of the process. The housekeeper starts them ahead of their use.  Until
 * then their workers stand by.
 *
 *   STANDBY --released--> POLLING --report--> SERVING --+--> POLLING
 *      ^                                      |   ^     |
 *      |                        mpmx_crew_rest|   |     |
 *      |                                      v   |     |
 *      |                                     RESTING    |
 *      +----------- running > allowed ------------------+
 *
 * A worker that is about to wait for its client says so (RESTING) and does not count
 * as running from that moment on; nobody has to find out.
 */
#ifndef MPMX_CREW_H
#define MPMX_CREW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include "poller.h"
#include "httpd.h"
#include "apr_thread_proc.h"

struct mpmx_child;
struct mpmx_callback;
typedef struct mpmx_worker mpmx_worker;
typedef struct mpmx_crew mpmx_crew;

/* Work that did not come from the poller: an expired connection, a report taken
 * over from a blocked worker, a timed callback. Embedded in its subject. */
typedef struct mpmx_work mpmx_work;
struct mpmx_work {
    mpmx_work *next;
    void (*run)(mpmx_worker *worker, mpmx_work *work);
};

#define MPMX_TICK_US      1000   /* between two ticks                                 */
#define MPMX_TICK_SOON_US  250   /* ... when somebody was found asleep, to be sure    */
#define MPMX_TICK_LATE_US 2000   /* ... when nobody takes his time                    */
#define MPMX_TICK_RARE_US 4000   /* ... for long, or some looks in a row saw nobody at work */
#define MPMX_BATCH   32          /* reports taken from the poller in one call         */
#define MPMX_SCRATCH 20480       /* bytes a worker can receive before it needs memory */
#define MPMX_SPARE_POOLS 8
#define MPMX_LINE    64          /* cache line; where it is longer, that costs some sharing */

enum { MPMX_COUNT_CONNECTIONS, MPMX_COUNT_KEEPALIVE, MPMX_COUNT_WRITING, MPMX_COUNT_LINGER,
       MPMX_COUNT_SUSPENDED, MPMX_COUNT_WAITIO, MPMX_COUNT_GATED, MPMX_COUNTS };

typedef enum { MPMX_W_STANDBY, MPMX_W_POLLING, MPMX_W_SERVING, MPMX_W_RESTING, MPMX_W_GONE
} mpmx_worker_state;

/* Each part begins on a cache line of its own (MPMX_LINE), because different threads write them,
 * and so does each worker: neighbours in the array would else disturb each other. */
struct mpmx_worker {
    /* --- written by this thread; the housekeeper only reads ----------------- */
    _Alignas(MPMX_LINE) _Atomic unsigned serial;             /* odd: serving; changes with each report   */
    _Atomic int state;                   /* mpmx_worker_state                        */
    _Atomic int count[MPMX_COUNTS];      /* this thread's share of the child's sums  */
    int slot;                            /* thread slot in the scoreboard            */
    int status_ready;                    /* the scoreboard says READY                */
    int at_once;                         /* waits in the poller until it is scheduled in turn
                                            again (schedule.h), or 0                 */
    long connection_id;                  /* c->id of what it serves (contract 6.2)   */
    struct mpmx_child *child;
    apr_thread_t *thread;
    /* Reports fetched and not yet served. Filled only by this thread and only when
     * empty; taken by whoever moves `taken` forward. Both only ever grow. */
    struct { _Atomic uint64_t token; _Atomic unsigned events; } batch[MPMX_BATCH];
    _Atomic uint64_t filled, taken;
    struct mpmx_callback *held;          /* timers registered while serving (6.7)    */
    apr_pool_t *spare_pool[MPMX_SPARE_POOLS];
    int spare_pools;
    apr_allocator_t *blocks;             /* memory for the next request, see pools.c */
    char *scratch;
    /* --- shared with the housekeeper ---------------------------------------- */
    _Atomic int blocked;                 /* counted in crew->blocked                 */
    _Atomic int64_t idle;                /* see recall.c                             */
    /* --- the housekeeper's ---------------------------------------------------- */
    _Alignas(MPMX_LINE) unsigned seen_serial;
    unsigned suspect_serial;             /* was asleep in that one at the last look  */
    int64_t seen_since_us;
    int state_fd;                        /* see threadstate.h                        */
    _Atomic int tid;
    /* --- standing by, under crew->lock --------------------------------------- */
    _Alignas(MPMX_LINE) mpmx_worker *below;                  /* next on the stack                        */
    int released;
    pthread_cond_t release;
};

struct mpmx_crew {
    struct mpmx_child *child;
    mpmx_poller *poller;
    void (*kick)(struct mpmx_child *);   /* wakes the housekeeper                    */
    void (*ready)(mpmx_worker *);        /* a worker is about to wait                */
    /* takes a report over from a worker that blocked */
    void (*resubmit)(mpmx_worker *blocked, const mpmx_poll_event *event);
    apr_thread_start_t main;             /* what a worker's thread runs              */
    int announced;                       /* most waits are announced by mpmx_crew_rest():
                                            no ticks while somebody is in the poller */
    mpmx_worker *worker;                 /* all of them                              */
    int size;
    mpmx_worker *nobody;                 /* counts for threads that are no workers   */
    _Atomic int base;                    /* cores for this child                     */
    _Atomic int allowed;
    _Atomic int running;                 /* POLLING or SERVING                       */
    _Atomic int blocked;
    _Atomic int leaving;                 /* workers return from mpmx_crew_next()     */
    _Atomic int alive;                   /* threads that have started and not ended  */
    _Atomic int unstarted;               /* workers that have no thread yet          */
    _Atomic int lacking;                 /* threads that the housekeeper is to start */
    _Atomic int tick_wanted;             /* 0: the housekeeper sleeps, kick it       */
    _Atomic int all_taken;               /* announced: nobody is there for reports   */
    _Atomic int64_t backend_at;          /* a handler has waited for a backend; coarse ms */
    int spare_x16;                       /* housekeeper's                            */
    int suspects;                        /* asleep in this tick for the first time    */
    int slow;                            /* resting, or not a good many served since the last */
    int active;                          /* have served since the last tick, or serve */
    int idle_ticks;                      /* in a row in which nobody was seen to serve */
    int blind;                           /* the system does not say who is asleep    */
    int calm_ticks;                      /* in a row in which nobody was found asleep; up to CALM_TICKS */
    unsigned ticks;
    int interval_us;                     /* until the next tick                      */
    /* Changed by every worker around every wait: apart from what all only read. */
    _Alignas(MPMX_LINE) _Atomic int waiting;    /* in mpmx_poller_wait()                    */
    _Alignas(MPMX_LINE) pthread_mutex_t lock;   /* the stack of those who stand by, `work`  */
    mpmx_worker *standby;                /* last in, first out: warm caches          */
    _Atomic int standing;                /* how many                                 */
    mpmx_work *work_first, **work_last;
    /* Looked at by all before every wait, changed with the list only. */
    _Alignas(MPMX_LINE) _Atomic int work_count;
};

/* Prepares the crew (no threads yet): crew->child, poller and the functions are
 * set by the caller before. Once, by the child's main thread. */
void mpmx_crew_init(mpmx_crew *crew, int size, apr_pool_t *pool);

/* How many threads there should be before anything happens. */
int mpmx_crew_first(const mpmx_crew *crew, int cores);

/* Starts `n` threads more, or as many as are lacking, if there are workers without one; returns how
 * many could not be started (errno: why). The child's main thread. */
int mpmx_crew_start(mpmx_crew *crew, int n, apr_pool_t *pool);

/* To be called by a worker's thread first and last. */
void mpmx_crew_enter(mpmx_worker *worker);
void mpmx_crew_leave(mpmx_worker *worker);

/* The next thing for this worker to do: either a report (returns 1 and fills *event)
 * or work (returns 2, *work). Returns 0 when the worker should end. */
int mpmx_crew_next(mpmx_worker *worker, mpmx_poll_event *event, mpmx_work **work);

/* This worker is going to wait in a system call for its client while it serves; and it is
 * back, and computes. Others run meanwhile, and get the reports it has fetched. */
void mpmx_crew_rest(mpmx_worker *worker);
void mpmx_crew_unrest(mpmx_worker *worker);

/* Hands `work` to some worker. Any thread. */
void mpmx_crew_submit(mpmx_crew *crew, mpmx_work *work);

/* One tick of the crew rule. Returns nonzero while ticks should go on.
 * Housekeeper only. `now` in microseconds. */
int mpmx_crew_tick(mpmx_crew *crew, int64_t now);

/* Do handlers block that have not announced it, or did so lately? Not known where all waits are announced
 * (`announced`). Any thread. */
static inline int mpmx_crew_blocks(const mpmx_crew *crew)
{
    return atomic_load_explicit(&crew->allowed, memory_order_relaxed)
         > atomic_load_explicit(&crew->base, memory_order_relaxed) && !crew->announced;
}

/* Has no worker been found blocked in the last ticks? Housekeeper. */
int mpmx_crew_is_calm(const mpmx_crew *crew);

/* Makes all workers leave as soon as what they serve is done. Any thread. */
void mpmx_crew_dismiss(mpmx_crew *crew);

/* The worker that this thread is, or NULL (a thread of some module). */
mpmx_worker *mpmx_crew_self(void);

/* Sum of one of the counters over the crew. Any thread; exact when nobody moves. */
int mpmx_crew_sum(mpmx_crew *crew, int which);

/* Workers not serving anything. Any thread. */
int mpmx_crew_idle(mpmx_crew *crew);

static inline void mpmx_count(mpmx_worker *w, int which, int delta)
{
    /* Only this thread writes: no read-modify-write needed. */
    atomic_store_explicit(&w->count[which],
        atomic_load_explicit(&w->count[which], memory_order_relaxed) + delta,
        memory_order_relaxed);
}

#endif
