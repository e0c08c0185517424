/* See old_names.h. */
#include "old_names.h"
#include "accept_filter.h"
#include "log.h"

#include <strings.h>
#include "apr_strings.h"

enum { OLD_MAX_CLIENTS = 1, OLD_ACCEPT_MUTEX = 2, OLD_LOCK_FILE = 4, OLD_DISABLE_ACCEPTEX = 8 };

static const char *only_global(cmd_parms *cmd)
{
    const char *err = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    return err ? apr_pstrcat(cmd->pool, err, " (it is for the whole server)", NULL) : NULL;
}

const char *mpmx_old_max_clients(cmd_parms *cmd, void *dummy, const char *arg)
{
    (void)dummy;
    mpmx.conf.old_names |= OLD_MAX_CLIENTS;
    return mpmx_set_named(cmd, "MaxRequestWorkers", arg);
}

const char *mpmx_old_accept_mutex(cmd_parms *cmd, void *dummy, const char *arg)
{
    /* What 2.2 took. A misspelt one was an error then and is one now. */
    static const char *const known[] = {
        "default", "flock", "fcntl", "sysvsem", "posixsem", "pthread", NULL
    };
    const char *err = only_global(cmd);
    int i;

    (void)dummy;
    if (err)
        return err;
    for (i = 0; known[i]; i++)
        if (!strcasecmp(arg, known[i])) {
            mpmx.conf.old_names |= OLD_ACCEPT_MUTEX;
            return NULL;
        }
    return apr_psprintf(cmd->pool, "AcceptMutex: '%s' is not valid, the value must be default, "
                        "flock, fcntl, sysvsem, posixsem or pthread", arg);
}

const char *mpmx_old_lock_file(cmd_parms *cmd, void *dummy, const char *arg)
{
    const char *err = only_global(cmd);

    (void)dummy;
    (void)arg;
    if (!err)
        mpmx.conf.old_names |= OLD_LOCK_FILE;
    return err;
}

const char *mpmx_old_disable_acceptex(cmd_parms *cmd, void *dummy)
{
    const char *err = only_global(cmd);

    (void)dummy;
    if (err)
        return err;
    mpmx.conf.old_names |= OLD_DISABLE_ACCEPTEX;
    mpmx_accept_filter_set(cmd->server, "http", "none");
    mpmx_accept_filter_set(cmd->server, "https", "none");
    return NULL;
}

void mpmx_old_names_report(const mpmx_config *conf, int console, server_rec *s)
{
    const struct { unsigned bit; int ah; const char *text; } notice[] = {
        { OLD_MAX_CLIENTS, mpmx_this_policy.ah[MPMX_AH_MAX_CLIENTS],
          "MaxClients is the old name of MaxRequestWorkers; it still works" },
        { OLD_ACCEPT_MUTEX, 0,
          "AcceptMutex is now spelt \"Mutex <mechanism> mpm-accept\"; it has no effect, because "
          "this MPM needs no accept mutex" },
        { OLD_LOCK_FILE, 0,
          "LockFile is now spelt \"Mutex file:<directory> mpm-accept\"; it has no effect, because "
          "this MPM needs no accept mutex" },
        { OLD_DISABLE_ACCEPTEX, 0,
          "Win32DisableAcceptEx is now spelt \"AcceptFilter http none\" and \"AcceptFilter https "
          "none\", and is taken for these" },
    };
    int level = console ? APLOG_NOTICE | APLOG_STARTUP : APLOG_NOTICE;
    unsigned i;

    for (i = 0; i < sizeof notice / sizeof notice[0]; i++) {
        if (!(conf->old_names & notice[i].bit))
            continue;
        if (notice[i].ah)
            ap_log_error(APLOG_MARK, level, 0, console ? NULL : s, "AH%05d: %s", notice[i].ah,
                         notice[i].text);
        else
            ap_log_error(APLOG_MARK, level, 0, console ? NULL : s, "%s", notice[i].text);
    }
}
