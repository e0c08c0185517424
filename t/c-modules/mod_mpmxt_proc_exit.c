/* Children that end while they start.
 *
 *     MpmxtExit child_init|drop_privileges CODE [MARK]
 *
 * Every child ends with that code in that hook; with a MARK only while the
 * file MARK exists.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "ap_mpm.h"
#include "mpm_common.h"
#include "apr_file_info.h"

#include <stdlib.h>

APLOG_USE_MODULE(mpmxt_proc_exit);

static const char *where, *mark;
static int code;

static void maybe_exit(apr_pool_t *p, server_rec *s, const char *here)
{
    apr_finfo_t there;

    if (!where || strcmp(where, here))
        return;
    if (mark && apr_stat(&there, mark, APR_FINFO_TYPE, p) != APR_SUCCESS)
        return;
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "mpmxt: ending in %s with code %d", here, code);
    exit(code);
}

static void at_child_init(apr_pool_t *p, server_rec *s)
{
    maybe_exit(p, s, "child_init");
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

static const command_rec commands[] = {
    AP_INIT_TAKE23("MpmxtExit", set_exit, NULL, RSRC_CONF, "hook, exit code, [mark file]"),
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
