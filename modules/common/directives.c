/* See directives.h.
 *
 * A value that is no number is an error at -t; one that is out of range is corrected
 * with a warning, as httpd's own MPMs do, so that files written for them go on working.
 */
#include "directives.h"
#include "log.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "apr_strings.h"
#include "mpm_common.h"

#define FACTOR_DEFAULT 2
#define FACTOR_SCALE   16
#define FACTOR_MAX     1000000
#define HEAD_DEFAULT   20
#define HEAD_MAX       3600
#define SLEEP_DEFAULT  1
#define DRAIN_DEFAULT  300
#define SLEEP_MAX      3600
#define TIMEOUT_MAX    (INT_MAX / 1000)

typedef struct setting {
    const char *name;
    size_t where;                /* offset in mpmx_config                             */
    int least;
    int most;                    /* 0: the policy's limit, see below                  */
    int clamped;                 /* out of range is for mpmx_directives_check()       */
} setting;

#define AT(member) offsetof(mpmx_config, member)

static const setting settings[] = {
    { "StartServers",       AT(start_servers),       1, INT_MAX, 1 },
    { "ServerLimit",        AT(server_limit),        1, 0,       1 },
    { "ThreadLimit",        AT(thread_limit),        1, -1,      1 },
    { "ThreadsPerChild",    AT(threads_per_child),   1, -1,      1 },
    { "MinSpareThreads",    AT(min_spare_threads),   1, INT_MAX, 1 },
    { "MaxSpareThreads",    AT(max_spare_threads),   1, INT_MAX, 1 },
    { "MaxRequestWorkers",  AT(max_request_workers), 1, INT_MAX, 1 },
    { "RequestHeadTimeout", AT(head_timeout),        1, HEAD_MAX, 0 },
    { "GracefulDrainTimeout", AT(drain_timeout),     0, TIMEOUT_MAX, 0 },
    { NULL, 0, 0, 0, 0 }
};

static int most_of(const setting *set)
{
    return set->most == 0 ? mpmx_this_policy.max_server_limit
         : set->most == -1 ? mpmx_this_policy.max_thread_limit : set->most;
}

static const char *bad(cmd_parms *cmd, const char *arg, const char *range)
{
    return apr_psprintf(cmd->pool, "%s: '%s' is not valid, the value must be %s",
                        cmd->cmd->name, arg, range);
}

/* Numbers only; what does not fit an int is out of range in any case. */
static int parse(const char *arg, int *value)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(arg, &end, 10);
    if (end == arg || *end)
        return 0;
    *value = n > INT_MAX ? INT_MAX : n < INT_MIN ? INT_MIN : (int)n;
    return 1;
}

static const char *range_of(cmd_parms *cmd, const setting *set)
{
    if (most_of(set) == INT_MAX)
        return apr_psprintf(cmd->pool, "a number of at least %d", set->least);
    return apr_psprintf(cmd->pool, "a number from %d to %d", set->least, most_of(set));
}

/* In a section it would look as if it applied there only. */
static const char *not_here(cmd_parms *cmd, const char *arg, const char *range)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    return err ? apr_psprintf(cmd->pool, "%s ('%s'; %s, for the whole server)", err, arg, range) : NULL;
}

const char *mpmx_set_named(cmd_parms *cmd, const char *name, const char *arg)
{
    const setting *set = settings;
    const char *err;
    int value;

    while (set->name && strcasecmp(set->name, name))
        set++;
    if (!set->name)
        return apr_pstrcat(cmd->pool, name, " is not a setting of this MPM", NULL);
    if ((err = not_here(cmd, arg, range_of(cmd, set))) != NULL)
        return err;
    if (!parse(arg, &value)
        || (!set->clamped && (value < set->least || value > most_of(set))))
        return bad(cmd, arg, range_of(cmd, set));
    *(int *)((char *)&mpmx.conf + set->where) = value;
    return NULL;
}

const char *mpmx_set_number(cmd_parms *cmd, void *dummy, const char *arg)
{
    (void)dummy;
    return mpmx_set_named(cmd, cmd->cmd->name, arg);
}

const char *mpmx_set_factor(cmd_parms *cmd, void *dummy, const char *arg)
{
    static const char range[] = "a number above 0, up to 1000000";
    const char *err = not_here(cmd, arg, range);
    char *end;
    double factor;

    (void)dummy;
    if (err)
        return err;
    factor = strtod(arg, &end);
    if (end == arg || *end || !(factor > 0) || factor > FACTOR_MAX)
        return bad(cmd, arg, range);
    mpmx.conf.worker_factor16 = (int)(factor * FACTOR_SCALE);
    if (mpmx.conf.worker_factor16 < 1)
        mpmx.conf.worker_factor16 = 1;
    return NULL;
}

const char *mpmx_set_shutdown_timeout(cmd_parms *cmd, void *dummy, const char *arg)
{
    const char *range = apr_psprintf(cmd->pool, "a number of seconds from 0 to %d", TIMEOUT_MAX);
    const char *err = not_here(cmd, arg, range);
    int value;

    (void)dummy;
    if (err)
        return err;
    if (!parse(arg, &value) || value < 0 || value > TIMEOUT_MAX)
        return bad(cmd, arg, range);
    ap_graceful_shutdown_timeout = value;
    return NULL;
}

const char *mpmx_set_hibernate(cmd_parms *cmd, void *dummy, const char *arg)
{
    const char *range = apr_psprintf(cmd->pool, "off or a number of seconds from 1 to %d", SLEEP_MAX);
    const char *err = not_here(cmd, arg, range);
    int value = 0;

    (void)dummy;
    if (err)
        return err;
    if (strcasecmp(arg, "off") && (!parse(arg, &value) || value < 1 || value > SLEEP_MAX))
        return bad(cmd, arg, range);
    mpmx.conf.hibernate_ms = value * 1000;
    return NULL;
}

static const char *set_switch(cmd_parms *cmd, const char *arg, int *is_on)
{
    const char *err = not_here(cmd, arg, "On or Off");

    if (err)
        return err;
    if (strcasecmp(arg, "on") && strcasecmp(arg, "off"))
        return bad(cmd, arg, "On or Off");
    *is_on = !strcasecmp(arg, "on");
    return NULL;
}

const char *mpmx_set_reload_check(cmd_parms *cmd, void *dummy, const char *arg)
{
    (void)dummy;
    return set_switch(cmd, arg, &mpmx.conf.reload_check);
}

const char *mpmx_set_handover(cmd_parms *cmd, void *dummy, const char *arg)
{
    (void)dummy;
    return set_switch(cmd, arg, &mpmx.conf.handover);
}

void mpmx_directives_reset(mpmx_config *conf)
{
    const mpmx_policy *policy = &mpmx_this_policy;

    conf->start_servers = policy->start_servers;
    conf->server_limit = policy->server_limit;
    conf->thread_limit = policy->thread_limit;
    conf->threads_per_child = policy->threads_per_child;
    conf->min_spare_threads = policy->min_spare_threads;
    conf->max_spare_threads = policy->max_spare_threads;
    conf->max_request_workers = policy->server_limit * policy->threads_per_child;
    conf->worker_factor16 = FACTOR_DEFAULT * FACTOR_SCALE;
    conf->head_timeout = HEAD_DEFAULT;
    conf->hibernate_ms = SLEEP_DEFAULT * 1000;
    conf->drain_timeout = DRAIN_DEFAULT;
    conf->reload_check = 1;
    conf->handover = 1;
    conf->old_names = 0;
}

/* --- limits ------------------------------------------------------------------------------ */

typedef struct report {
    int console;
    server_rec *s;
} report;

/* `nth` counts from the policy's first number; the form for the error log has the next. */
static void warn(const report *to, int nth, const char *what)
{
    int number = mpmx_this_policy.ah[MPMX_AH_FIRST_CLAMP] + nth;

    if (to->console)
        ap_log_error(APLOG_MARK, APLOG_WARNING | APLOG_STARTUP, 0, NULL, "AH%05d: WARNING: %s",
                     number, what);
    else
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, to->s, "AH%05d: %s", number + 1, what);
}

static void at_most(const report *to, int nth, const char *name, int *value, int most, const char *limit)
{
    char what[240];

    if (*value <= most)
        return;
    apr_snprintf(what, sizeof what, "%s of %d exceeds %s of %d, decreasing %s to %d",
                 name, *value, limit, most, name, most);
    warn(to, nth, what);
    *value = most;
}

static void at_least_one(const report *to, int nth, const char *name, int *value)
{
    char what[240];

    if (*value >= 1)
        return;
    apr_snprintf(what, sizeof what, "%s of %d not allowed, increasing to 1", name, *value);
    warn(to, nth, what);
    *value = 1;
}

static void unchanged(const report *to, int nth, const char *name, int *value, int *first)
{
    if (!*first)
        *first = *value;
    if (*value == *first)
        return;
    if (!to->console)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, to->s, "AH%05d: changing %s to %d from original "
                     "value of %d not allowed during restart",
                     mpmx_this_policy.ah[MPMX_AH_FIRST_CLAMP] + nth, name, *value, *first);
    *value = *first;
}

static void check_workers(const report *to, mpmx_config *conf)
{
    int threads = conf->threads_per_child;
    char what[320];

    if (conf->max_request_workers < threads) {
        apr_snprintf(what, sizeof what, "MaxRequestWorkers of %d is less than ThreadsPerChild of "
                     "%d, increasing to %d. MaxRequestWorkers must be at least as large as the "
                     "number of threads in a single server", conf->max_request_workers, threads, threads);
        warn(to, 14, what);
        conf->max_request_workers = threads;
    }
    if (conf->max_request_workers % threads) {
        int down = conf->max_request_workers / threads * threads;

        apr_snprintf(what, sizeof what, "MaxRequestWorkers of %d is not an integer multiple of "
                     "ThreadsPerChild of %d, decreasing to nearest multiple %d, for a maximum of %d "
                     "servers", conf->max_request_workers, threads, down, down / threads);
        warn(to, 16, what);
        conf->max_request_workers = down;
    }
    conf->children_limit = conf->max_request_workers / threads;
    if (conf->children_limit > conf->server_limit) {
        apr_snprintf(what, sizeof what, "MaxRequestWorkers of %d would require %d servers and would "
                     "exceed ServerLimit of %d, decreasing to %d. To increase, please see the "
                     "ServerLimit directive", conf->max_request_workers, conf->children_limit,
                     conf->server_limit, conf->server_limit * threads);
        warn(to, 18, what);
        conf->children_limit = conf->server_limit;
        conf->max_request_workers = conf->server_limit * threads;
    }
}

/* One child: its threads are all there are. */
static void single_child(mpmx_config *conf)
{
    conf->max_request_workers = conf->threads_per_child;
    conf->children_limit = 1;
}

static void check_processes(const report *to, mpmx_config *conf)
{
    check_workers(to, conf);
    at_least_one(to, 20, "StartServers", &conf->start_servers);
    at_least_one(to, 22, "MinSpareThreads", &conf->min_spare_threads);
}

void mpmx_directives_check(mpmx_config *conf, int *first_server_limit, int *first_thread_limit,
                           int console, server_rec *s)
{
    const mpmx_policy *policy = &mpmx_this_policy;
    report to = { console, s };

    at_most(&to, 0, "ServerLimit", &conf->server_limit, policy->max_server_limit, "compile time limit");
    at_least_one(&to, 2, "ServerLimit", &conf->server_limit);
    unchanged(&to, 4, "ServerLimit", &conf->server_limit, first_server_limit);
    at_most(&to, 5, "ThreadLimit", &conf->thread_limit, policy->max_thread_limit, "compile time limit");
    at_least_one(&to, 7, "ThreadLimit", &conf->thread_limit);
    unchanged(&to, 9, "ThreadLimit", &conf->thread_limit, first_thread_limit);
    at_most(&to, 10, "ThreadsPerChild", &conf->threads_per_child, conf->thread_limit, "ThreadLimit");
    at_least_one(&to, 12, "ThreadsPerChild", &conf->threads_per_child);
    if (policy->single)
        single_child(conf);
    else
        check_processes(&to, conf);
}
