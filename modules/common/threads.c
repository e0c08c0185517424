/* See threads.h.
 *
 * It takes a tenth of a millisecond to start a thread, so that workers without one are as good as
 * idle, for mod_status, for the parent's number of spare threads and for whoever counts how many
 * connections there is room for: until one cannot be started.  Then none of them is, and all are
 * again as soon as there is what was short.
 */
#include "threads.h"
#include "clock.h"
#include "cores.h"
#include "log.h"
#include "scoreboard.h"

#include <errno.h>

#define AGAIN_MS      100        /* after which it is tried again, ...           */
#define AGAIN_MAX_MS 1000        /* twice as long each time that nothing is had  */

static void count_as_idle(mpmx_child *child, int idle)
{
    int i;

    for (i = 0; i < child->crew.size; i++) {
        mpmx_worker *w = &child->crew.worker[i];

        if (w->thread)
            continue;
        atomic_store(&w->state, idle ? MPMX_W_STANDBY : MPMX_W_GONE);
        if (idle)
            mpmx_scoreboard_worker_start(w);
        else
            mpmx_scoreboard_worker_end(w);
    }
}

static void report(mpmx_child *child, int error)
{
    if (!mpmx_may_log(&child->threads_logged, child->threads_tried))
        return;
    if (!atomic_load(&child->crew.alive))
        ap_log_error(APLOG_MARK, APLOG_ERR, error, child->server, "no worker thread could be started, "
                     "trying again; is there a limit on processes or memory?");
    else
        ap_log_error(APLOG_MARK, APLOG_WARNING, error, child->server,
                     "%d worker threads more could not be started; going on with %d, and trying again",
                     child->threads_missing, child->crew.size - atomic_load(&child->crew.unstarted));
}

static void start(mpmx_child *child, int n, apr_pool_t *pool)
{
    int without = atomic_load(&child->crew.unstarted), were_missing = child->threads_missing, error;

    child->threads_missing = mpmx_crew_start(&child->crew, n, pool);
    error = errno;
    child->threads_tried = mpmx_clock_coarse_ms();
    if (!child->threads_missing) {
        if (were_missing)
            count_as_idle(child, 1);
        child->threads_pause = AGAIN_MS;
        return;
    }
    if (atomic_load(&child->crew.unstarted) < without)
        child->threads_pause = AGAIN_MS;
    else if ((child->threads_pause *= 2) > AGAIN_MAX_MS)
        child->threads_pause = AGAIN_MAX_MS;
    count_as_idle(child, 0);
    report(child, error);
}

void mpmx_threads_begin(mpmx_child *child, apr_pool_t *pool)
{
    child->threads_pause = AGAIN_MS / 2;
    count_as_idle(child, 1);             /* a thread that has not run yet cannot say so itself */
    start(child, mpmx_crew_first(&child->crew, mpmx_cores()), pool);
}

void mpmx_threads_go_on(mpmx_child *child, apr_pool_t *pool, int64_t now, int64_t *until)
{
    int n = atomic_load(&child->crew.lacking);

    if (child->threads_missing > n)
        n = child->threads_missing;
    if (!n || child->acted >= MPMX_PHASE_STOPPING)
        return;
    if (!child->threads_missing || now - child->threads_tried >= child->threads_pause)
        start(child, n, pool);
    if (child->threads_missing && child->threads_tried + child->threads_pause < *until)
        *until = child->threads_tried + child->threads_pause;
}
