/* httpd's hooks, filled from the policy. Contract section 2 has the names, orders and
 * answers; this file is the only one that knows them. */
#include "mpmx.h"
#include "compat.h"
#include "directives.h"
#include "extended_status.h"
#include "farewell.h"
#include "log.h"
#include "netbucket.h"
#include "notify.h"
#include "old_names.h"
#include "scoreboard.h"
#include "serve.h"
#include "suspend.h"
#include "tls_head.h"
#include "unix/preflight.h"
#include "unix/process.h"

#include <fcntl.h>
#include <string.h>
#include "apr_portable.h"
#include "apr_strings.h"
#include "apr_thread_proc.h"
#include "http_connection.h"
#include "http_main.h"
#include "http_protocol.h"
#include "util_mutex.h"

mpmx_server mpmx;

/* --- before the configuration is read ---------------------------------------------------- */

/* Core refuses two MPMs without saying which they are (AH00534) and exits; this is run
 * then, before the modules are unloaded, and names them. */
static apr_status_t name_rivals(void *data)
{
    static const char *const mpms[] = {
        "event.c", "worker.c", "prefork.c", "mpm_winnt.c", "itk.c", "mpm_itk.c", "peruser.c", NULL
    };
    const char *names = "";
    apr_pool_t *pool = data;
    int i, k, found = 0;

    if (mpmx.retained)                   /* the configuration was read to its end */
        return APR_SUCCESS;
    for (i = 0; ap_loaded_modules[i]; i++)
        for (k = 0; mpms[k]; k++)
            if (!strcmp(ap_loaded_modules[i]->name, mpms[k]))
                names = apr_psprintf(pool, "%s%s%s", names, found++ ? " and " : "", mpms[k]);
    if (found > 1)
        ap_log_error(APLOG_MARK, APLOG_CRIT | APLOG_STARTUP, 0, NULL,
                     "more than one MPM is loaded: %s. Keep one LoadModule line of mpm_event_module, "
                     "mpm_worker_module, mpm_prefork_module and mpm_winnt_module, and remove the "
                     "others", names);
    return APR_SUCCESS;
}

static int detach(ap_unixd_mpm_retained_data *httpd)
{
    int how = APR_PROC_DETACH_DAEMONIZE;
    apr_status_t rv;

    mpmx.one_process = ap_exists_config_define("ONE_PROCESS") || ap_exists_config_define("DEBUG");
    if (httpd->module_loads != 2 || mpmx.one_process || ap_exists_config_define("FOREGROUND"))
        return OK;
    if (ap_exists_config_define("NO_DETACH"))
        how = APR_PROC_DETACH_FOREGROUND;
    rv = apr_proc_detach(how);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, NULL, MPMX_AH(DETACH, "cannot detach from the terminal"));
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    ap_unixd_mpm_retained_data *httpd = ap_unixd_mpm_get_retained_data();
    mpmx_retained *ours = mpmx_retained_get();

    (void)plog;
    (void)ptemp;
    mpmx.retained = httpd;
    if (httpd->baton != ours) {
        httpd->was_graceful = 0;
        httpd->baton = ours;
    }
    httpd->mpm_state = AP_MPMQ_STARTING;
    httpd->module_loads++;
    if (detach(httpd) != OK)
        return HTTP_INTERNAL_SERVER_ERROR;
    if (httpd->my_generation > 0)        /* a signal up to here is lost, but also served */
        mpmx_notify_reloading();
    ap_listen_pre_config();
    mpmx_directives_reset(&mpmx.conf);
    ap_extended_status = 0;              /* mod_status turns it on later */
    /* There is no such mutex here, but files say "Mutex sysvsem mpm-accept". */
    return ap_mutex_register(pconf, AP_ACCEPT_MUTEX_TYPE, NULL, APR_LOCK_DEFAULT, 0) == APR_SUCCESS
         ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

/* --- after it was read ----------------------------------------------------------------------- */

static int check_config(apr_pool_t *p, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    mpmx_retained *ours = mpmx_retained_get();
    int console = mpmx.retained->module_loads == 1;

    (void)p;
    (void)plog;
    (void)ptemp;
    mpmx_directives_check(&mpmx.conf, &ours->first_server_limit, &ours->first_thread_limit, console, s);
    mpmx_old_names_report(&mpmx.conf, console, s);
    return OK;
}

/* Buckets make the least numbers larger: each must have a child and spare threads. */
static void fit_buckets(mpmx_config *conf, int buckets)
{
    int threads = conf->threads_per_child;

    if (mpmx_this_policy.single)
        return;
    if (conf->children_limit < buckets)
        conf->children_limit = buckets;
    if (conf->start_servers < buckets)
        conf->start_servers = buckets;
    if (conf->start_servers > conf->children_limit)
        conf->start_servers = conf->children_limit;
    if (conf->min_spare_threads < threads * (buckets - 1) + buckets)
        conf->min_spare_threads = threads * (buckets - 1) + buckets;
    if (conf->max_spare_threads < conf->min_spare_threads + (threads + 1) * buckets)
        conf->max_spare_threads = conf->min_spare_threads + (threads + 1) * buckets;
}

/* A lone listener is made blocking by core, and the flag belongs to the socket, not to a
 * process: set it before any child, old or new, could block in accept(2). */
static void unblock(ap_listen_rec *list)
{
    for (; list; list = list->next) {
        apr_os_sock_t fd;

        if (apr_os_sock_get(&fd, list->sd) == APR_SUCCESS)
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    }
}

static int open_logs(apr_pool_t *p, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    int to_console = mpmx.retained->module_loads == 1 ? APLOG_STARTUP : 0, i;
    apr_status_t rv;

    (void)plog;
    (void)ptemp;
    mpmx.pconf = p;
    mpmx.main = s;
    if (ap_setup_listeners(s) < 1) {
        ap_log_error(APLOG_MARK, APLOG_ALERT | to_console, 0, to_console ? NULL : s,
                     MPMX_AH(NO_LISTENERS, "no listening sockets available, shutting down"));
        return !OK;
    }
    mpmx.num_buckets = mpmx.one_process || mpmx_this_policy.single ? 1
                     : mpmx.retained->was_graceful ? mpmx.retained->num_buckets : 0;
    rv = ap_duplicate_listeners(p, s, &mpmx.buckets, &mpmx.num_buckets);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT | to_console, rv, to_console ? NULL : s,
                     MPMX_AH(BUCKETS, "cannot open the listening sockets of all buckets"));
        return !OK;
    }
    mpmx.retained->num_buckets = mpmx.num_buckets;
    for (i = 0; i < mpmx.num_buckets; i++)
        unblock(mpmx.buckets[i]);
    fit_buckets(&mpmx.conf, mpmx.num_buckets);
    return OK;
}

/* --- questions --------------------------------------------------------------------------------- */

static int slots_used(void)
{
    mpmx_retained *ours = mpmx_retained_get();
    int i, used = 0;

    for (i = 0; i < ours->procs; i++)
        if (ours->proc[i].slot >= used)
            used = ours->proc[i].slot + 1;
    return used;
}

/* May be asked before pre_config (httpd -V): nothing here may rely on it. */
static int query(int code, int *result, apr_status_t *rv)
{
    const mpmx_config *conf = &mpmx.conf;

    *rv = APR_SUCCESS;
    switch (code) {
    case AP_MPMQ_MAX_DAEMON_USED:     *result = mpmx.retained ? slots_used() : 0; break;
    case AP_MPMQ_IS_THREADED:         *result = AP_MPMQ_STATIC; break;
    case AP_MPMQ_IS_FORKED:           *result = AP_MPMQ_DYNAMIC; break;
    case AP_MPMQ_HARD_LIMIT_DAEMONS:  *result = mpmx_scoreboard_slots(conf->server_limit); break;
    case AP_MPMQ_HARD_LIMIT_THREADS:  *result = conf->thread_limit; break;
    case AP_MPMQ_MAX_THREADS:         *result = conf->threads_per_child; break;
    case AP_MPMQ_MIN_SPARE_DAEMONS:   *result = 0; break;
    case AP_MPMQ_MIN_SPARE_THREADS:   *result = conf->min_spare_threads; break;
    case AP_MPMQ_MAX_SPARE_DAEMONS:   *result = 0; break;
    case AP_MPMQ_MAX_SPARE_THREADS:   *result = conf->max_spare_threads; break;
    case AP_MPMQ_MAX_REQUESTS_DAEMON: *result = ap_max_requests_per_child; break;
    case AP_MPMQ_MAX_DAEMONS:         *result = conf->children_limit; break;
    case AP_MPMQ_MPM_STATE:
        *result = mpmx.retained ? mpmx.retained->mpm_state : AP_MPMQ_STARTING;
        if (*result == AP_MPMQ_STOPPING && mpmx_serve_is_promised())
            *result = AP_MPMQ_RUNNING;
        break;
    case AP_MPMQ_GENERATION:
        *result = mpmx.retained ? mpmx.retained->my_generation : 0;
        break;
    case AP_MPMQ_IS_ASYNC:
    case MPMX_MPMQ_CAN_WAITIO:
        if (mpmx_this_policy.async && (code == AP_MPMQ_IS_ASYNC || MPMX_HAVE_WAITIO))
            *result = 1;
        else
            *rv = APR_ENOTIMPL;
        break;
    default:
        *rv = APR_ENOTIMPL;
    }
    return OK;
}

static const char *get_name(void)
{
    return mpmx_this_policy.name;
}

void mpmx_register_hooks(apr_pool_t *pool)
{
    static const char *const before_core[] = { "core.c", NULL };

    apr_pool_pre_cleanup_register(pool, pool, name_rivals);
    /* Before core's, so that a port in use is still reported on the terminal. */
    ap_hook_open_logs(open_logs, NULL, before_core, APR_HOOK_REALLY_FIRST);
    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(mpmx_preflight, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_mpm(mpmx_supervisor_run, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_mpm_query(query, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_mpm_get_name(get_name, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_network_bucket(mpmx_netbucket_insert, NULL, NULL, APR_HOOK_MIDDLE);
    mpmx_tls_head_register();
    mpmx_farewell_register();
    mpmx_extended_status_register();
    ap_hook_post_read_request(mpmx_view_post_read, NULL, NULL, APR_HOOK_MIDDLE);
    if (mpmx_this_policy.async) {
        ap_hook_mpm_register_timed_callback(mpmx_timed_callback, NULL, NULL, APR_HOOK_MIDDLE);
        ap_hook_pre_connection(mpmx_view_secondary, NULL, NULL, APR_HOOK_REALLY_FIRST);
        ap_hook_protocol_switch(mpmx_view_protocol_switch, NULL, NULL, APR_HOOK_REALLY_FIRST);
        ap_hook_pre_read_request(mpmx_view_pre_read, NULL, NULL, APR_HOOK_MIDDLE);
    }
}
