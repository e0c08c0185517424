/* What the three MPMs share with the library, and nothing else.
 *
 * A DSO consists of one policy file (event.c, worker.c, mpm_winnt.c) that
 * defines the module record and `mpmx_policy`, and of the library, which fills
 * httpd's hooks from that policy.
 */
#ifndef MPMX_H
#define MPMX_H

#include "httpd.h"
#include "http_config.h"
#include "ap_listen.h"
#include "unixd.h"

/* Messages that administrators and their tools know by their AH number, which differs
 * from MPM to MPM. */
typedef enum {
    MPMX_AH_DETACH, MPMX_AH_NO_LISTENERS, MPMX_AH_BUCKETS, MPMX_AH_CONFIGURED, MPMX_AH_BUILT,
    MPMX_AH_STOP, MPMX_AH_GRACEFUL_STOP, MPMX_AH_GRACEFUL, MPMX_AH_RESTART, MPMX_AH_FORK,
    MPMX_AH_FULL, MPMX_AH_NEARLY_FULL, MPMX_AH_BUSY, MPMX_AH_OLD_FATAL, MPMX_AH_CRASHES,
    MPMX_AH_MAX_CLIENTS,
    MPMX_AH_FIRST_CLAMP,         /* the first of the clamp messages (contract 3.5);
                                    the others follow in the same order              */
    MPMX_AHS
} mpmx_ah;

/* What one MPM is, as opposed to how it works. */
typedef struct mpmx_policy {
    const char *name;            /* answer of mpm_get_name (contract 1.2)            */
    int async;                   /* AP_MPMQ_IS_ASYNC: parks connections. Else one
                                    keeps its thread from its first head on          */
    int single;                  /* one child, and a second one only for the overlap
                                    when it is replaced                              */
    int max_server_limit;        /* largest ServerLimit accepted                     */
    int max_thread_limit;        /* largest ThreadLimit accepted                     */
    int server_limit;            /* defaults of the directives ...                   */
    int thread_limit;
    int start_servers;
    int threads_per_child;
    int min_spare_threads;
    int max_spare_threads;
    int ah[MPMX_AHS];            /* AH numbers                                       */
} mpmx_policy;

extern const mpmx_policy mpmx_this_policy;

/* The values of the directives after parsing; reset by every pre_config. */
typedef struct mpmx_config {
    int start_servers;
    int server_limit;
    int thread_limit;
    int threads_per_child;
    int min_spare_threads;
    int max_spare_threads;
    int max_request_workers;     /* MaxRequestWorkers as in force                    */
    int children_limit;          /* derived: how many live children at most          */
    int worker_factor16;         /* AsyncRequestWorkerFactor x 16                    */
    int head_timeout;            /* RequestHeadTimeout, seconds                      */
    int hibernate_ms;            /* KeepAliveHibernate; 0: off                       */
    int drain_timeout;           /* GracefulDrainTimeout, seconds; 0: no limit       */
    int reload_check;            /* ReloadCheck                                      */
    int handover;                /* GracefulHandover                                 */
    unsigned old_names;          /* which names of httpd 2.2 were used, see
                                    old_names.c                                      */
} mpmx_config;

/* One bucket of listening sockets (ListenCoresBucketsRatio; else just one). */
typedef ap_listen_rec *mpmx_bucket;

/* State of this copy of the DSO in this process: the one place for what the
 * hook interface forces to be file-wide.  Set up by hooks.c, lost when httpd
 * unloads the DSO on a restart. */
typedef struct mpmx_server {
    mpmx_config conf;
    apr_pool_t *pconf;
    server_rec *main;
    ap_unixd_mpm_retained_data *retained;    /* httpd's, NULL before pre_config      */
    mpmx_bucket *buckets;
    int num_buckets;
    int one_process;
    int no_sleep;                /* a module may keep something on connections and not
                                    show it: nobody sleeps (hibernate.c)             */
    struct mpmx_reload *reload;  /* in the parent: what a restart waits for (reload.c) */
    struct mpmx_tally *tally;    /* what each child has accepted, or NULL (aside.c)   */
    pid_t parent;                /* in a child: who forked it                        */
    struct mpmx_child *child;    /* in a child: itself; NULL in the parent           */
} mpmx_server;

extern mpmx_server mpmx;

/* Registers every hook of an MPM; to be called from register_hooks. */
void mpmx_register_hooks(apr_pool_t *pool);

#endif
