/* Directives under the names they had in httpd 2.2 and before, which users still have in
 * their files. Accepted where that MPM had them; one notice each names the present way. */
#ifndef MPMX_OLD_NAMES_H
#define MPMX_OLD_NAMES_H

#include "directives.h"

const char *mpmx_old_max_clients(cmd_parms *cmd, void *dummy, const char *arg);
const char *mpmx_old_accept_mutex(cmd_parms *cmd, void *dummy, const char *arg);
const char *mpmx_old_lock_file(cmd_parms *cmd, void *dummy, const char *arg);
const char *mpmx_old_disable_acceptex(cmd_parms *cmd, void *dummy);

/* Logs a notice for each old name in conf->old_names: to the terminal when `console`, else
 * to the error log. Once per reading of the configuration, when it is complete. */
void mpmx_old_names_report(const mpmx_config *conf, int console, server_rec *s);

/* For event and worker. */
#define MPMX_OLD_PROCESS_COMMANDS \
    AP_INIT_TAKE1("MaxClients", mpmx_old_max_clients, NULL, RSRC_CONF, \
                  "The name of MaxRequestWorkers before 2.4"), \
    AP_INIT_TAKE1("AcceptMutex", mpmx_old_accept_mutex, NULL, RSRC_CONF, \
                  "Before 2.4: how children took turns at accepting. No effect"), \
    AP_INIT_TAKE1("LockFile", mpmx_old_lock_file, NULL, RSRC_CONF, \
                  "Before 2.4: the file of the AcceptMutex. No effect")

/* Spelt out, because AP_INIT_NO_ARGS lets any arguments pass. */
#define MPMX_OLD_WINNT_COMMANDS \
    { "Win32DisableAcceptEx", { .no_args = mpmx_old_disable_acceptex }, NULL, RSRC_CONF, NO_ARGS, \
      "Before 2.4: AcceptFilter http none and AcceptFilter https none" }

#endif
