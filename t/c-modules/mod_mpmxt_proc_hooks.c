/* Logs every call of the process hooks, one "mpmxt:" line each, so that a
 * test can add them up:
 *
 *     mpmxt: child_init pid P
 *     mpmxt: child_stopping pid P graceful 0|1
 *     mpmxt: child_status started|exited|lost pid P generation G slot S
 *     mpmxt: end_generation G
 *     mpmxt: monitor
 */
#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "ap_mpm.h"
#include "mpm_common.h"

#include <unistd.h>

APLOG_USE_MODULE(mpmxt_proc_hooks);

static server_rec *main_server;

#define SAY(s, ...) ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "mpmxt: " __VA_ARGS__)

static void at_child_init(apr_pool_t *p, server_rec *s)
{
    SAY(s, "child_init pid %ld", (long)getpid());
}

static void at_child_stopping(apr_pool_t *p, int graceful)
{
    SAY(main_server, "child_stopping pid %ld graceful %d", (long)getpid(), graceful);
}

static void at_child_status(server_rec *s, pid_t pid, ap_generation_t gen, int slot,
                            mpm_child_status state)
{
    SAY(s, "child_status %s pid %ld generation %d slot %d",
        state == MPM_CHILD_STARTED ? "started" : state == MPM_CHILD_EXITED ? "exited" : "lost",
        (long)pid, gen, slot);
}

static void at_end_generation(server_rec *s, ap_generation_t gen)
{
    SAY(s, "end_generation %d", gen);
}

static int at_monitor(apr_pool_t *p, server_rec *s)
{
    SAY(s, "monitor");
    return DECLINED;
}

static int at_post_config(apr_pool_t *p, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    main_server = s;
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_post_config(at_post_config, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_child_init(at_child_init, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_child_stopping(at_child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
    /* before core's own, which runs end_generation from within */
    ap_hook_child_status(at_child_status, NULL, NULL, APR_HOOK_REALLY_FIRST - 1);
    ap_hook_end_generation(at_end_generation, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_monitor(at_monitor, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA mpmxt_proc_hooks_module = {
    STANDARD20_MODULE_STUFF,
    NULL, NULL, NULL, NULL,
    NULL,
    register_hooks,
    0
};
