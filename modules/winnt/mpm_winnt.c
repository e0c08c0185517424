/* mpm_winnt: one control process and one child with many threads, as on Windows; but no
 * thread for a connection that waits, so that ThreadsPerChild is what is served at a time.
 *
 * This file is the policy; how it is done is in ../common.  It bears the name that httpd's
 * own module has, because mod_http2, mod_watchdog, mod_proxy and <IfModule mpm_winnt.c>
 * know the MPM by the file of its module record.
 */
#include "ap_config.h"
#include "httpd.h"
#include "http_config.h"
#include "ap_listen.h"
#include "directives.h"
#include "mpmx.h"
#include "old_names.h"

const mpmx_policy mpmx_this_policy = {
    .name = "WinNT",
    .async = 1,
    .single = 1,
    .max_server_limit = 1,
    .max_thread_limit = 15000,
    .server_limit = 1,
    .thread_limit = 1920,
    .start_servers = 1,
    .threads_per_child = 64,
    .ah = {
        [MPMX_AH_DETACH] = 496,      /* winnt has none: it does not detach */
        [MPMX_AH_NO_LISTENERS] = 451, [MPMX_AH_BUCKETS] = 451,
        [MPMX_AH_CONFIGURED] = 455, [MPMX_AH_BUILT] = 456, [MPMX_AH_STOP] = 422,
        [MPMX_AH_GRACEFUL_STOP] = 422, [MPMX_AH_GRACEFUL] = 424, [MPMX_AH_RESTART] = 424,
        [MPMX_AH_FORK] = 417, [MPMX_AH_FULL] = 326, [MPMX_AH_NEARLY_FULL] = 326,
        [MPMX_AH_BUSY] = 418, [MPMX_AH_OLD_FATAL] = 427, [MPMX_AH_CRASHES] = 428,
        /* ThreadLimit and ThreadsPerChild only: theirs are 439 to 447. */
        [MPMX_AH_FIRST_CLAMP] = 434
    }
};

static const command_rec winnt_commands[] = {
    LISTEN_COMMANDS,
    MPMX_THREAD_COMMANDS,
    MPMX_COMMON_COMMANDS,
    MPMX_OLD_WINNT_COMMANDS,
    { NULL, { NULL }, NULL, 0, RAW_ARGS, NULL }
};

/* The one symbol that the DSO shows. */
extern module AP_MODULE_DECLARE_DATA mpm_winnt_module __attribute__((visibility("default")));

AP_DECLARE_MODULE(mpm_winnt) = {
    MPM20_MODULE_STUFF,
    NULL,                        /* rewrite_args: never called for a DSO */
    NULL, NULL, NULL, NULL,
    winnt_commands,
    mpmx_register_hooks,
    0
};
