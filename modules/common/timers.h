/* Deadlines of connections (a timing wheel) and timed callbacks of modules.
 *
 * The wheel is lazy: setting a later deadline than before only stores a number,
 * so a busy keep-alive connection never touches the wheel's lock.  When a
 * connection's slot comes up, its real deadline decides whether it moves on.
 */
#ifndef MPMX_TIMERS_H
#define MPMX_TIMERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include "apr_pools.h"
#include "apr_skiplist.h"
#include "ap_mpm.h"

#define MPMX_NEVER INT64_MAX

/* One deadline, embedded in what it belongs to (a connection). Zero is valid. */
typedef struct mpmx_deadline {
    struct mpmx_deadline *next, *prev;   /* the wheel's, under its lock              */
    _Atomic int64_t due;                 /* milliseconds of mpmx_clock_coarse_ms()   */
    _Atomic int64_t visit;               /* when the wheel will look; 0: not linked  */
} mpmx_deadline;

#define MPMX_WHEEL_SLOTS 2048
#define MPMX_WHEEL_SHIFT 5               /* a slot is 32 ms; the wheel spans 65 s    */

typedef struct mpmx_wheel {
    pthread_mutex_t lock;
    int64_t position;                    /* slots up to this one have been visited   */
    int64_t linked;                      /* how many deadlines are in the wheel      */
    mpmx_deadline slot[MPMX_WHEEL_SLOTS];/* heads of rings                           */
    uint64_t used[MPMX_WHEEL_SLOTS / 64];
} mpmx_wheel;

/* What to do with a deadline whose slot came up. Called with the wheel locked:
 * must not call into the wheel. Returns 0 when the deadline was taken (it leaves
 * the wheel), else the time of the next look. */
typedef int64_t mpmx_wheel_visitor(mpmx_deadline *deadline, int64_t now, void *baton);

void mpmx_wheel_init(mpmx_wheel *wheel, int64_t now);

/* Sets the deadline; the caller owns what it is embedded in. Returns the time at
 * which the wheel must be advanced at the latest, so that a sleeping housekeeper
 * can be told, or MPMX_NEVER if nothing became earlier. Any thread. */
int64_t mpmx_wheel_set(mpmx_wheel *wheel, mpmx_deadline *deadline, int64_t due);

/* Visits all slots up to `now`. One thread only (the housekeeper). */
void mpmx_wheel_advance(mpmx_wheel *wheel, int64_t now, mpmx_wheel_visitor *visit, void *baton);

/* When to advance next, or MPMX_NEVER. Any thread. */
int64_t mpmx_wheel_next(mpmx_wheel *wheel);

/* --- timed callbacks: ap_mpm_register_timed_callback() ------------------- */

typedef struct mpmx_callback mpmx_callback;
struct mpmx_callback {
    mpmx_callback *next;                 /* for whoever holds it                     */
    int64_t due_us;                      /* mpmx_clock_us()                          */
    ap_mpm_callback_fn_t *fn;
    void *baton;
};

typedef struct mpmx_callbacks {
    pthread_mutex_t lock;
    apr_skiplist *list;                  /* by due_us                                */
    _Atomic int64_t first_us;            /* of the earliest, or MPMX_NEVER           */
} mpmx_callbacks;

apr_status_t mpmx_callbacks_init(mpmx_callbacks *set, apr_pool_t *pool);

/* A callback record due `delay_us` from now; the caller owns it until it is added.
 * malloc'ed, because it must outlive the connection it was registered from
 * (contract 6.11). NULL when memory is out. */
mpmx_callback *mpmx_callback_new(int64_t delay_us, ap_mpm_callback_fn_t *fn, void *baton);

/* Gives the record to the set. Nonzero when it became the earliest. Any thread. */
int mpmx_callbacks_add(mpmx_callbacks *set, mpmx_callback *callback);

/* Takes the earliest record that is due, or NULL; the caller runs and frees it. Any thread. */
mpmx_callback *mpmx_callbacks_take(mpmx_callbacks *set, int64_t now_us);

#endif
