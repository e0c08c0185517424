/* mpm_event: many processes, many threads, and no thread for a connection that waits.
 *
 * This file is the policy; how it is done is in ../common.  It bears the name that
 * httpd's own module has, because mod_http2, mod_watchdog and <IfModule event.c> know
 * the MPM by the file of its module record.
 */
#include "ap_config.h"
#include "httpd.h"
#include "http_config.h"
#include "ap_listen.h"
#include "directives.h"
#include "mpmx.h"
#include "old_names.h"

const mpmx_policy mpmx_this_policy = {
    .name = "event",
    .async = 1,
    .max_server_limit = 20000,
    .max_thread_limit = 100000,
    .server_limit = 16,
    .thread_limit = 64,
    .start_servers = 3,
    .threads_per_child = 25,
    .min_spare_threads = 75,
    .max_spare_threads = 250,
    .ah = {
        [MPMX_AH_DETACH] = 496, [MPMX_AH_NO_LISTENERS] = 3272, [MPMX_AH_BUCKETS] = 3273,
        [MPMX_AH_CONFIGURED] = 489, [MPMX_AH_BUILT] = 490, [MPMX_AH_STOP] = 491,
        [MPMX_AH_GRACEFUL_STOP] = 492, [MPMX_AH_GRACEFUL] = 493, [MPMX_AH_RESTART] = 494,
        [MPMX_AH_FORK] = 481, [MPMX_AH_FULL] = 484, [MPMX_AH_NEARLY_FULL] = 10159,
        [MPMX_AH_BUSY] = 486, [MPMX_AH_OLD_FATAL] = 487, [MPMX_AH_CRASHES] = 10392,
        [MPMX_AH_MAX_CLIENTS] = 521, [MPMX_AH_FIRST_CLAMP] = 497
    }
};

static const command_rec event_commands[] = {
    LISTEN_COMMANDS,
    MPMX_PROCESS_COMMANDS,
    MPMX_THREAD_COMMANDS,
    MPMX_ASYNC_COMMANDS,
    MPMX_COMMON_COMMANDS,
    MPMX_OLD_PROCESS_COMMANDS,
    { NULL, { NULL }, NULL, 0, RAW_ARGS, NULL }
};

/* The one symbol that the DSO shows. */
extern module AP_MODULE_DECLARE_DATA mpm_event_module __attribute__((visibility("default")));

AP_DECLARE_MODULE(mpm_event) = {
    MPM20_MODULE_STUFF,
    NULL,                        /* rewrite_args: never called for a DSO */
    NULL, NULL, NULL, NULL,
    event_commands,
    mpmx_register_hooks,
    0
};
