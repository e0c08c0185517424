/* Timed callbacks and when they really ran.
 *
 *     MpmxtTimerAtStart MS      registers one in child_init
 *     <Location /timers> SetHandler mpmxt-timers </Location>
 *
 *     /timers/add?COUNT,MS[,AGAIN]  registers COUNT callbacks of MS milliseconds, each
 *                                   of which registers itself AGAIN times
 *     /timers/spread?COUNT,MS       registers COUNT callbacks, the i-th of i * MS / COUNT,
 *                                   in a shuffled order
 *     /timers/seen                  fired=N early=N latest=US  of the process that answers;
 *                                   latest: of those since the last such request
 *
 * Each callback that was registered by child_init, or that re-registers
 * itself, is also logged: "mpmxt: timer of MS ms fired after US us".
 */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "http_log.h"
#include "ap_mpm.h"
#include "mpm_common.h"
#include "apr_thread_mutex.h"

#include <stdio.h>
#include <stdlib.h>

APLOG_USE_MODULE(mpmxt_proc_timers);

typedef struct {
    apr_time_t set_at;
    apr_time_t delay;
    int again;
    int loud;
} one_timer;

static int at_start_ms;
static server_rec *main_server;
static apr_thread_mutex_t *lock;
static long fired, early;
static apr_time_t latest;

static void fire(void *baton);

/* Timers outlive every request, so they are malloc'ed and freed by fire(). */
static apr_status_t set_timer(apr_time_t delay, int again, int loud)
{
    one_timer *t = malloc(sizeof *t);
    apr_status_t rv;

    t->delay = delay;
    t->again = again;
    t->loud = loud;
    t->set_at = apr_time_now();
    rv = ap_mpm_register_timed_callback(delay, fire, t);
    if (rv != APR_SUCCESS)
        free(t);
    return rv;
}

static void fire(void *baton)
{
    one_timer *t = baton;
    apr_time_t took = apr_time_now() - t->set_at;

    apr_thread_mutex_lock(lock);
    fired++;
    /* The MPM may count on another clock, which may be a millisecond coarse. */
    if (took < t->delay - 1000)
        early++;
    if (took - t->delay > latest)
        latest = took - t->delay;
    apr_thread_mutex_unlock(lock);
    if (t->loud)
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, main_server,
                     "mpmxt: timer of %ld ms fired after %ld us",
                     (long)(t->delay / 1000), (long)took);
    if (t->again > 0)
        set_timer(t->delay, t->again - 1, t->loud);
    free(t);
}

static int add(request_rec *r, int count, int ms, int again)
{
    int i, failed = 0;

    for (i = 0; i < count; i++) {
        if (set_timer(apr_time_from_msec(ms), again, again > 0) != APR_SUCCESS)
            failed++;
    }
    ap_rprintf(r, "added=%d failed=%d\n", count - failed, failed);
    return OK;
}

static int spread(request_rec *r, int count, int ms)
{
    int i, failed = 0;

    for (i = 0; i < count; i++) {
        /* 7919 is prime: a fixed shuffle of 0 .. count-1 */
        int step = (int)((long)i * 7919 % count);
        if (set_timer((apr_time_t)ms * 1000 * step / count, 0, 0) != APR_SUCCESS)
            failed++;
    }
    ap_rprintf(r, "added=%d failed=%d\n", count - failed, failed);
    return OK;
}

static int handler(request_rec *r)
{
    int count = 0, ms = 0, again = 0;
    const char *verb;

    if (!r->handler || strcmp(r->handler, "mpmxt-timers"))
        return DECLINED;
    verb = strrchr(r->uri, '/') + 1;
    if (r->args)
        sscanf(r->args, "%d,%d,%d", &count, &ms, &again);
    if (!strcmp(verb, "add"))
        return add(r, count, ms, again);
    if (!strcmp(verb, "spread"))
        return spread(r, count, ms);
    if (strcmp(verb, "seen"))
        return HTTP_NOT_FOUND;
    apr_thread_mutex_lock(lock);
    ap_rprintf(r, "fired=%ld early=%ld latest=%ld\n", fired, early, (long)latest);
    latest = 0;
    apr_thread_mutex_unlock(lock);
    return OK;
}

static void at_child_init(apr_pool_t *p, server_rec *s)
{
    main_server = s;
    apr_thread_mutex_create(&lock, APR_THREAD_MUTEX_DEFAULT, p);
    if (at_start_ms)
        set_timer(apr_time_from_msec(at_start_ms), 0, 1);
}

static const char *set_at_start(cmd_parms *cmd, void *dummy, const char *arg)
{
    at_start_ms = atoi(arg);
    return NULL;
}

static const command_rec commands[] = {
    AP_INIT_TAKE1("MpmxtTimerAtStart", set_at_start, NULL, RSRC_CONF,
                  "milliseconds of a timer registered in child_init"),
    { NULL, { NULL }, NULL, 0, RAW_ARGS, NULL }
};

static void register_hooks(apr_pool_t *p)
{
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(at_child_init, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA mpmxt_proc_timers_module = {
    STANDARD20_MODULE_STUFF,
    NULL, NULL, NULL, NULL,
    commands,
    register_hooks,
    0
};
