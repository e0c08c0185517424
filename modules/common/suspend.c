/* See suspend.h. */
#include "suspend.h"
#include "clock.h"
#include "log.h"
#include "serve.h"

#include <stdlib.h>

typedef struct mpmx_callback_run {
    mpmx_work work;
    mpmx_callback *callback;
    uint64_t serial;             /* order in which callbacks have started             */
    struct mpmx_callback_run *next, **prev;
} mpmx_callback_run;

/* --- the list ----------------------------------------------------------------- */

static void unlink_conn(mpmx_conn *conn)
{
    *conn->susp_prev = conn->susp_next;
    if (conn->susp_next)
        conn->susp_next->susp_prev = conn->susp_prev;
    conn->susp_prev = NULL;
}

void mpmx_suspend(mpmx_worker *w, mpmx_conn *conn)
{
    mpmx_child *child = mpmx_child_of(w);

    mpmx_conn_count(w, conn, MPMX_COUNT_SUSPENDED);
    pthread_mutex_lock(&child->susp_lock);
    if (conn->dead) {                    /* a module's thread was faster than we */
        pthread_mutex_unlock(&child->susp_lock);
        conn->c = NULL;
        conn->pool = NULL;
        conn->sock = NULL;
        mpmx_conn_retire(w, conn);
        return;
    }
    mpmx_conn_set_state(conn, MPMX_CONN_SUSPENDED);
    conn->susp_seen = 0;
    conn->susp_next = child->suspended;
    conn->susp_prev = &child->suspended;
    if (conn->susp_next)
        conn->susp_next->susp_prev = &conn->susp_next;
    child->suspended = conn;
    pthread_mutex_unlock(&child->susp_lock);
    mpmx_child_awake_at(child, mpmx_clock_coarse_ms() + MPMX_SUSPENDED_MS);
}

int mpmx_suspend_drop(mpmx_child *child, mpmx_conn *conn)
{
    int was;

    pthread_mutex_lock(&child->susp_lock);
    was = mpmx_conn_get_state(conn) == MPMX_CONN_SUSPENDED && conn->susp_prev;
    if (was) {
        unlink_conn(conn);
        mpmx_conn_set_state(conn, MPMX_CONN_SERVING);
    }
    else {
        conn->dead = 1;
    }
    pthread_mutex_unlock(&child->susp_lock);
    return was;
}

static void resume(mpmx_worker *w, mpmx_work *work)
{
    mpmx_serve_resume(w, (mpmx_conn *)((char *)work - offsetof(mpmx_conn, work)));
}

/* Callbacks start in the order of their serials, but end in any. */
static uint64_t oldest_running(mpmx_child *child)
{
    uint64_t oldest = UINT64_MAX;
    mpmx_callback_run *run;

    for (run = child->callback_runs; run; run = run->next)
        if (run->serial < oldest)
            oldest = run->serial;
    return oldest;
}

void mpmx_suspend_look(mpmx_child *child)
{
    mpmx_conn *conn, *next;
    uint64_t oldest;

    pthread_mutex_lock(&child->susp_lock);
    oldest = oldest_running(child);
    for (conn = child->suspended; conn; conn = next) {
        next = conn->susp_next;
        if (*(volatile conn_state_e *)&conn->view.cs.state == CONN_STATE_SUSPENDED)
            continue;
        if (!conn->susp_seen)
            conn->susp_seen = child->callback_serial + 1;
        if (oldest < conn->susp_seen)
            continue;                    /* the one that finished it may still run */
        unlink_conn(conn);
        mpmx_conn_set_state(conn, MPMX_CONN_SERVING);
        conn->work.run = resume;
        mpmx_crew_submit(&child->crew, &conn->work);
    }
    pthread_mutex_unlock(&child->susp_lock);
}

/* --- timed callbacks ------------------------------------------------------------ */

static void run_callback(mpmx_worker *w, mpmx_work *work)
{
    mpmx_callback_run *run = (mpmx_callback_run *)work;
    mpmx_child *child = mpmx_child_of(w);

    pthread_mutex_lock(&child->susp_lock);
    run->serial = ++child->callback_serial;
    run->next = child->callback_runs;
    run->prev = &child->callback_runs;
    if (run->next)
        run->next->prev = &run->next;
    child->callback_runs = run;
    pthread_mutex_unlock(&child->susp_lock);

    run->callback->fn(run->callback->baton);

    pthread_mutex_lock(&child->susp_lock);
    *run->prev = run->next;
    if (run->next)
        run->next->prev = run->prev;
    pthread_mutex_unlock(&child->susp_lock);
    free(run->callback);
    free(run);
    mpmx_callbacks_unhold(w);
    mpmx_suspend_look(child);
}

static void add(mpmx_child *child, mpmx_callback *callback)
{
    int64_t due_ms = callback->due_us / 1000;

    if (mpmx_callbacks_add(&child->callbacks, callback))
        mpmx_child_awake_at(child, due_ms);
}

apr_status_t mpmx_timed_callback(apr_time_t delay, ap_mpm_callback_fn_t *fn, void *baton)
{
    mpmx_worker *w = mpmx_crew_self();
    mpmx_callback *callback;

    if (!mpmx.child)
        return APR_ENOTIMPL;             /* the parent has nobody to run it */
    callback = mpmx_callback_new(delay, fn, baton);
    if (!callback)
        return APR_ENOMEM;
    if (w) {
        callback->next = w->held;
        w->held = callback;
    }
    else {
        add(mpmx.child, callback);
    }
    return APR_SUCCESS;
}

void mpmx_callbacks_unhold(mpmx_worker *w)
{
    mpmx_callback *callback, *next;

    for (callback = w->held; callback; callback = next) {
        next = callback->next;
        add(mpmx_child_of(w), callback);
    }
    w->held = NULL;
}

void mpmx_callbacks_submit_due(mpmx_child *child)
{
    mpmx_callback *callback;

    while ((callback = mpmx_callbacks_take(&child->callbacks, mpmx_clock_us())) != NULL) {
        mpmx_callback_run *run = malloc(sizeof *run);

        if (!run) {                      /* memory is out: later, then */
            callback->due_us += 100000;
            mpmx_callbacks_add(&child->callbacks, callback);
            return;
        }
        run->work.run = run_callback;
        run->callback = callback;
        mpmx_crew_submit(&child->crew, &run->work);
    }
}
