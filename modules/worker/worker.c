/* mpm_worker: many processes, many threads, and a thread for every connection from its first
 * whole request head to its end, for modules that rely on that.
 *
 * This file is the policy; how it is done is in ../common.  There is no listener thread and
 * no queue: the thread that accepts a connection serves it, and slow heads cost no thread.
 * The file bears the name that httpd's own module has, because mod_http2 and
 * <IfModule worker.c> know the MPM by the file of its module record.
 */
#include "ap_config.h"
#include "httpd.h"
#include "http_config.h"
#include "ap_listen.h"
#include "directives.h"
#include "mpmx.h"
#include "old_names.h"

const mpmx_policy mpmx_this_policy = {
    .name = "worker",
    .max_server_limit = 20000,
    .max_thread_limit = 20000,
    .server_limit = 16,
    .thread_limit = 64,
    .start_servers = 3,
    .threads_per_child = 25,
    .min_spare_threads = 75,
    .max_spare_threads = 250,
    .ah = {
        [MPMX_AH_DETACH] = 299, [MPMX_AH_NO_LISTENERS] = 3290, [MPMX_AH_BUCKETS] = 3291,
        [MPMX_AH_CONFIGURED] = 292, [MPMX_AH_BUILT] = 293, [MPMX_AH_STOP] = 295,
        [MPMX_AH_GRACEFUL_STOP] = 296, [MPMX_AH_GRACEFUL] = 297, [MPMX_AH_RESTART] = 298,
        [MPMX_AH_FORK] = 283, [MPMX_AH_FULL] = 286, [MPMX_AH_NEARLY_FULL] = 287,
        [MPMX_AH_BUSY] = 289, [MPMX_AH_OLD_FATAL] = 290, [MPMX_AH_CRASHES] = 10393,
        [MPMX_AH_MAX_CLIENTS] = 324, [MPMX_AH_FIRST_CLAMP] = 300
    }
};

static const command_rec worker_commands[] = {
    LISTEN_COMMANDS,
    MPMX_PROCESS_COMMANDS,
    MPMX_THREAD_COMMANDS,
    MPMX_COMMON_COMMANDS,
    MPMX_OLD_PROCESS_COMMANDS,
    { NULL, { NULL }, NULL, 0, RAW_ARGS, NULL }
};

/* The one symbol that the DSO shows. */
extern module AP_MODULE_DECLARE_DATA mpm_worker_module __attribute__((visibility("default")));

AP_DECLARE_MODULE(mpm_worker) = {
    MPM20_MODULE_STUFF,
    NULL,                        /* rewrite_args: never called for a DSO */
    NULL, NULL, NULL, NULL,
    worker_commands,
    mpmx_register_hooks,
    0
};
