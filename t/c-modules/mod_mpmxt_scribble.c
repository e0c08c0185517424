/* A child that writes garbage over all of the scoreboard, as one could that somebody has broken
 * into: it runs unprivileged, but that memory is shared with the parent.
 *
 *     <Location /scribble>
 *         SetHandler mpmxt-scribble
 *     </Location>
 *
 *     /scribble?PID       every number of a process becomes PID, everything else nonsense
 */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "ap_mpm.h"
#include "scoreboard.h"

#include <stdlib.h>
#include <string.h>

static int handler(request_rec *r)
{
    int slots, threads, i, k;
    pid_t pid;

    if (!r->handler || strcmp(r->handler, "mpmxt-scribble"))
        return DECLINED;
    pid = r->args ? (pid_t)atol(r->args) : 1;
    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &slots);
    ap_mpm_query(AP_MPMQ_HARD_LIMIT_THREADS, &threads);
    for (i = 0; i < slots; i++) {
        process_score *ps = ap_get_scoreboard_process(i);

        memset(ps, 0xe7, sizeof *ps);
        ps->pid = pid;
        for (k = 0; k < threads; k++) {
            worker_score *ws = ap_get_scoreboard_worker_from_indexes(i, k);

            memset(ws, 0xe7, sizeof *ws);
            ws->pid = pid;
        }
    }
    memset(ap_get_scoreboard_global(), 0xe7, sizeof(global_score));
    ap_set_content_type(r, "text/plain");
    ap_rputs("scribbled\n", r);
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(mpmxt_scribble) = {
    STANDARD20_MODULE_STUFF,
    NULL, NULL, NULL, NULL, NULL,
    register_hooks,
    0
};
