/* See scoreboard.h. */
#include "scoreboard.h"
#include "compat.h"
#include "log.h"
#include "mpmx.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "apr_portable.h"
#include "http_main.h"

#define DRAIN_SLOTS_MIN  8
#define DRAIN_SLOTS_MAX 64

int mpmx_scoreboard_slots(int server_limit)
{
    int drain = server_limit < DRAIN_SLOTS_MIN ? DRAIN_SLOTS_MIN
              : server_limit > DRAIN_SLOTS_MAX ? DRAIN_SLOTS_MAX : server_limit;

    /* Who replaces an only child needs a slot while that is still there. */
    return server_limit + (mpmx_this_policy.single ? 1 : drain);
}

int mpmx_scoreboard_fits(server_rec *s)
{
    char *p0 = (char *)ap_get_scoreboard_process(0);
    char *p1 = (char *)ap_get_scoreboard_process(1);
    char *w0 = (char *)ap_get_scoreboard_worker_from_indexes(0, 0);
    char *w1 = (char *)ap_get_scoreboard_worker_from_indexes(1, 0);
    apr_size_t process = (apr_size_t)(p1 - p0);
    apr_size_t worker = (apr_size_t)(w1 - w0) / (apr_size_t)mpmx.conf.thread_limit;

    if (!p0 || !p1 || !w0 || !w1) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s, "the scoreboard has not the slots asked for");
        return 0;
    }
    if (process == sizeof(process_score) && worker == sizeof(worker_score))
        return 1;
    ap_log_error(APLOG_MARK, APLOG_CRIT, 0, s,
                 "this mpm_%s module was built for another httpd 2.4 than this one (%s): "
                 "scoreboard records of %" APR_SIZE_T_FMT " and %" APR_SIZE_T_FMT " bytes instead of %"
                 APR_SIZE_T_FMT " and %" APR_SIZE_T_FMT "; build it again with this server's apxs",
                 mpmx_this_policy.name, ap_get_server_description(), process, worker,
                 sizeof(process_score), sizeof(worker_score));
    return 0;
}

void mpmx_scoreboard_take(int slot, int bucket, pid_t pid, ap_generation_t generation)
{
    process_score *ps = ap_get_scoreboard_process(slot);

    if (!ps)
        return;
    ps->connections = ps->write_completion = ps->lingering_close = 0;
    ps->keep_alive = ps->suspended = 0;
#if MPMX_HAVE_SCORE_WAITIO
    ps->wait_io = 0;
#endif
    ps->quiescing = 0;
    ps->not_accepting = 0;
    /* A word to the other children, to be compared and no more: CVE-2019-0211. Nor does the parent
     * read it. */
    ps->bucket = bucket;
    ps->generation = generation;
    ps->pid = pid;
}

void mpmx_scoreboard_free(int slot)
{
    process_score *ps = ap_get_scoreboard_process(slot);
    int i;

    for (i = 0; i < mpmx.conf.thread_limit; i++)
        ap_update_child_status_from_indexes(slot, i, SERVER_DEAD, NULL);
    if (ps) {
        ps->quiescing = 0;
        ps->not_accepting = 0;
        ps->pid = 0;                     /* last: now the slot is free */
    }
}

void mpmx_scoreboard_quiescing(int slot, char how)
{
    process_score *ps = ap_get_scoreboard_process(slot);

    if (ps)
        ps->quiescing = how;
}

void mpmx_scoreboard_worker_start(mpmx_worker *w)
{
    worker_score *ws = ap_get_scoreboard_worker_from_indexes(mpmx_child_of(w)->slot, w->slot);

    if (mpmx_child_of(w)->slot_lost)
        return;
    ap_update_child_status_from_indexes(mpmx_child_of(w)->slot, w->slot, SERVER_STARTING, NULL);
    if (ws) {
        ws->pid = getpid();
        ws->tid = apr_os_thread_current();
        ws->generation = mpmx.retained->my_generation;
    }
    w->status_ready = 0;
    mpmx_scoreboard_worker_ready(w);
}

void mpmx_scoreboard_worker_ready(mpmx_worker *w)
{
    if (w->status_ready || mpmx_child_of(w)->slot_lost)
        return;
    w->status_ready = 1;
    ap_update_child_status_from_indexes(mpmx_child_of(w)->slot, w->slot,
                                        mpmx_child_phase(mpmx_child_of(w)) > MPMX_PHASE_RUNNING
                                        ? SERVER_GRACEFUL : SERVER_READY, NULL);
}

void mpmx_scoreboard_worker_end(mpmx_worker *w)
{
    if (mpmx_child_of(w)->slot_lost)
        return;
    ap_update_child_status_from_indexes(mpmx_child_of(w)->slot, w->slot, SERVER_DEAD, NULL);
}

/* Handlers in progress hold httpd's handle of the slot, so it is the rows behind it that change.
 * The index of rows is memory of each process; who reads the old pointer meanwhile writes once
 * more to where he did before. */
void mpmx_scoreboard_lose_slot(mpmx_child *child)
{
    size_t size = (size_t)mpmx.conf.thread_limit * sizeof(worker_score);
    worker_score *rows = child->slot_lost ? NULL : malloc(size);

    atomic_store(&child->slot_lost, 1);
    if (!rows || child->slot < 0)
        return;
    memcpy(rows, ap_scoreboard_image->servers[child->slot], size);
    atomic_thread_fence(memory_order_release);
    ap_scoreboard_image->servers[child->slot] = rows;
}

void mpmx_scoreboard_publish(mpmx_child *child)
{
    process_score *ps = ap_get_scoreboard_process(child->slot);
    mpmx_crew *crew = &child->crew;

    if (!ps || child->slot_lost)
        return;
    /* Who adds up later also writes later: what was true last stays there when all are idle. */
    pthread_mutex_lock(&child->publish_lock);
    ps->connections = (apr_uint32_t)mpmx_crew_sum(crew, MPMX_COUNT_CONNECTIONS);
    ps->keep_alive = (apr_uint32_t)mpmx_crew_sum(crew, MPMX_COUNT_KEEPALIVE);
    ps->write_completion = (apr_uint32_t)mpmx_crew_sum(crew, MPMX_COUNT_WRITING);
    ps->lingering_close = (apr_uint32_t)mpmx_crew_sum(crew, MPMX_COUNT_LINGER);
    ps->suspended = (apr_uint32_t)mpmx_crew_sum(crew, MPMX_COUNT_SUSPENDED);
#if MPMX_HAVE_SCORE_WAITIO
    ps->wait_io = (apr_uint32_t)mpmx_crew_sum(crew, MPMX_COUNT_WAITIO);
#endif
    pthread_mutex_unlock(&child->publish_lock);
}

/* Any process can write anything there. */
static int believable(apr_uint32_t connections)
{
    return connections < MPMX_CONN_MAX ? (int)connections : MPMX_CONN_MAX;
}

int mpmx_scoreboard_connections(int slot)
{
    process_score *ps = ap_get_scoreboard_process(slot);

    return ps ? believable(ps->connections) : 0;
}

int mpmx_scoreboard_average(int bucket, int *children)
{
    int64_t sum = 0;
    int i, n = 0;

    for (i = 0; i < mpmx_scoreboard_slots(mpmx.conf.server_limit); i++) {
        process_score *ps = ap_get_scoreboard_process(i);

        if (ps && ps->pid && !ps->quiescing && !ps->not_accepting
            && (bucket == MPMX_ALL_BUCKETS || bucket == ps->bucket)) {
            n++;
            sum += believable(ps->connections);
        }
    }
    if (sum > INT_MAX / 2)               /* callers multiply again */
        sum = INT_MAX / 2;
    *children = n > 0 ? n : 1;
    return n > 1 ? (int)(sum / n) : 0;
}

void mpmx_scoreboard_threads(int slot, int threads, int *idle, int *busy)
{
    int i;

    *idle = *busy = 0;
    for (i = 0; i < threads; i++) {
        worker_score *ws = ap_get_scoreboard_worker_from_indexes(slot, i);

        if (!ws)
            continue;
        if (ws->status == SERVER_READY)
            ++*idle;
        else if (ws->status > SERVER_READY && ws->status < SERVER_GRACEFUL)
            ++*busy;
    }
}

int mpmx_scoreboard_is_partner(const mpmx_child *child, int slot)
{
    const process_score *ps = slot != child->slot ? ap_get_scoreboard_process(slot) : NULL;

    return ps && ps->pid && ps->bucket == child->bucket && !ps->quiescing && !ps->not_accepting
        && ps->generation == mpmx.retained->my_generation;
}

int mpmx_scoreboard_others_idle(const mpmx_child *child)
{
    int i, idle, busy;

    for (i = 0; i < mpmx_scoreboard_slots(mpmx.conf.server_limit); i++) {
        if (!mpmx_scoreboard_is_partner(child, i))
            continue;
        mpmx_scoreboard_threads(i, mpmx.conf.threads_per_child, &idle, &busy);
        if (idle > 0)
            return 1;
    }
    return 0;
}
