/* Children that end while they start, or take their time for it.
 *
 *     MpmxtExit child_init|drop_privileges CODE [MARK]
 *     MpmxtStartDelay MS [MARK]
 *     MpmxtStartHang MARK
 *
 * Every child ends with that code in that hook (by signal -CODE if it is negative), or takes that
 * long in child_init; with a MARK only while the file MARK exists. The first child that finds the MARK of
 * MpmxtStartHang makes MARK.held and waits in child_init until MARK is gone, two minutes at most.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "ap_mpm.h"
#include "mpm_common.h"
#include "apr_file_info.h"
#include "apr_file_io.h"
#include "apr_strings.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

APLOG_USE_MODULE(mpmxt_proc_exit);

static const char *where, *mark, *delay_mark, *hang_mark;
static int code, delay_ms;

static int is_there(apr_pool_t *p, const char *file)
{
    apr_finfo_t there;

    return !file || apr_stat(&there, file, APR_FINFO_TYPE, p) == APR_SUCCESS;
}

static void maybe_exit(apr_pool_t *p, server_rec *s, const char *here)
{
    if (!where || strcmp(where, here) || !is_there(p, mark))
        return;
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "mpmxt: ending in %s with code %d", here, code);
    if (code < 0) {
        signal(-code, SIG_DFL);
        kill(getpid(), -code);
        apr_sleep(apr_time_from_sec(1));
    }
    exit(code);
}

static void hang(apr_pool_t *p, server_rec *s)
{
    apr_file_t *held;
    int i;

    if (apr_file_open(&held, apr_pstrcat(p, hang_mark, ".held", NULL),
                      APR_FOPEN_CREATE | APR_FOPEN_EXCL | APR_FOPEN_WRITE, APR_FPROT_OS_DEFAULT, p) != APR_SUCCESS)
        return;
    apr_file_close(held);
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "mpmxt: pid %ld hangs", (long)getpid());
    for (i = 0; i < 2400 && is_there(p, hang_mark); i++)
        apr_sleep(apr_time_from_msec(50));
}

static void at_child_init(apr_pool_t *p, server_rec *s)
{
    maybe_exit(p, s, "child_init");
    if (hang_mark && is_there(p, hang_mark))
        hang(p, s);
    if (delay_ms && is_there(p, delay_mark)) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "mpmxt: pid %ld takes %d ms to start",
                     (long)getpid(), delay_ms);
        apr_sleep(apr_time_from_msec(delay_ms));
    }
}

static int at_drop_privileges(apr_pool_t *p, server_rec *s)
{
    maybe_exit(p, s, "drop_privileges");
    return OK;
}

static const char *set_exit(cmd_parms *cmd, void *dummy, const char *w, const char *c, const char *m)
{
    where = w;
    code = atoi(c);
    mark = m;
    return NULL;
}

static const char *set_delay(cmd_parms *cmd, void *dummy, const char *ms, const char *m)
{
    delay_ms = atoi(ms);
    delay_mark = m;
    return NULL;
}

static const char *set_hang(cmd_parms *cmd, void *dummy, const char *m)
{
    hang_mark = m;
    return NULL;
}

static const command_rec commands[] = {
    AP_INIT_TAKE23("MpmxtExit", set_exit, NULL, RSRC_CONF, "hook, exit code, [mark file]"),
    AP_INIT_TAKE12("MpmxtStartDelay", set_delay, NULL, RSRC_CONF, "milliseconds, [mark file]"),
    AP_INIT_TAKE1("MpmxtStartHang", set_hang, NULL, RSRC_CONF, "mark file"),
    { NULL, { NULL }, NULL, 0, RAW_ARGS, NULL }
};

static void register_hooks(apr_pool_t *p)
{
    ap_hook_child_init(at_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_drop_privileges(at_drop_privileges, NULL, NULL, APR_HOOK_LAST);
}

module AP_MODULE_DECLARE_DATA mpmxt_proc_exit_module = {
    STANDARD20_MODULE_STUFF,
    NULL, NULL, NULL, NULL,
    commands,
    register_hooks,
    0
};
