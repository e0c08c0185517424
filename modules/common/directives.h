/* Every directive: parsing, limits, defaults. The MPMs pick from these lists. */
#ifndef MPMX_DIRECTIVES_H
#define MPMX_DIRECTIVES_H

#include "httpd.h"
#include "http_config.h"
#include "mpmx.h"

/* Defaults; at each pre_config. */
void mpmx_directives_reset(mpmx_config *conf);

/* Clamps what does not fit, with httpd's numbers (contract 3.5). `console`: the first
 * reading, whose messages go to the terminal. Fixes the two limits that cannot change
 * while the server runs. Hook check_config. */
void mpmx_directives_check(mpmx_config *conf, int *first_server_limit, int *first_thread_limit,
                           int console, server_rec *s);

const char *mpmx_set_number(cmd_parms *cmd, void *dummy, const char *arg);
/* As mpmx_set_number, for the setting of that name. */
const char *mpmx_set_named(cmd_parms *cmd, const char *name, const char *arg);
const char *mpmx_set_factor(cmd_parms *cmd, void *dummy, const char *arg);
const char *mpmx_set_hibernate(cmd_parms *cmd, void *dummy, const char *arg);
const char *mpmx_set_reload_check(cmd_parms *cmd, void *dummy, const char *arg);
const char *mpmx_set_handover(cmd_parms *cmd, void *dummy, const char *arg);
const char *mpmx_set_shutdown_timeout(cmd_parms *cmd, void *dummy, const char *arg);

/* For the processes of event and worker. */
#define MPMX_PROCESS_COMMANDS \
    AP_INIT_TAKE1("StartServers", mpmx_set_number, NULL, RSRC_CONF, \
                  "Number of child processes launched at server startup"), \
    AP_INIT_TAKE1("ServerLimit", mpmx_set_number, NULL, RSRC_CONF, \
                  "Upper limit of the number of child processes for this run of the server"), \
    AP_INIT_TAKE1("MinSpareThreads", mpmx_set_number, NULL, RSRC_CONF, \
                  "Idle threads below which child processes are added"), \
    AP_INIT_TAKE1("MaxSpareThreads", mpmx_set_number, NULL, RSRC_CONF, \
                  "Idle threads above which a child process is taken away"), \
    AP_INIT_TAKE1("MaxRequestWorkers", mpmx_set_number, NULL, RSRC_CONF, \
                  "Threads of all child processes together, the most requests served at once")

/* For the threads of all three. */
#define MPMX_THREAD_COMMANDS \
    AP_INIT_TAKE1("ThreadsPerChild", mpmx_set_number, NULL, RSRC_CONF, \
                  "Number of threads of each child process"), \
    AP_INIT_TAKE1("ThreadLimit", mpmx_set_number, NULL, RSRC_CONF, \
                  "Upper limit of ThreadsPerChild for this run of the server")

#define MPMX_ASYNC_COMMANDS \
    AP_INIT_TAKE1("AsyncRequestWorkerFactor", mpmx_set_factor, NULL, RSRC_CONF, \
                  "Connections that a child accepts beyond its threads, per idle thread")

#define MPMX_COMMON_COMMANDS \
    AP_INIT_TAKE1("GracefulShutdownTimeout", mpmx_set_shutdown_timeout, NULL, RSRC_CONF, \
                  "Seconds that a graceful stop may take (0: no limit)"), \
    AP_INIT_TAKE1("GracefulDrainTimeout", mpmx_set_number, NULL, RSRC_CONF, \
                  "Seconds that an old generation may finish its work after a restart (0: no limit)"), \
    AP_INIT_TAKE1("RequestHeadTimeout", mpmx_set_number, NULL, RSRC_CONF, \
                  "Seconds that a client may take for a complete request head"), \
    AP_INIT_TAKE1("KeepAliveHibernate", mpmx_set_hibernate, NULL, RSRC_CONF, \
                  "Seconds after which an idle keep-alive connection gives its memory back, or off"), \
    AP_INIT_TAKE1("ReloadCheck", mpmx_set_reload_check, NULL, RSRC_CONF, \
                  "On: a restart is refused if the new configuration does not pass a check; or Off"), \
    AP_INIT_TAKE1("GracefulHandover", mpmx_set_handover, NULL, RSRC_CONF, \
                  "On: idle connections of a child that leaves go on in another one")

#endif
