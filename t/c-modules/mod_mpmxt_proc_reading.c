/* A configuration that takes its time to be read.
 *
 *     MpmxtReadingWaits MARK
 *
 * While the file MARK exists, whoever reads this line waits; its pid is in MARK.pid meanwhile.
 */
#include "httpd.h"
#include "http_config.h"
#include "apr_file_info.h"
#include "apr_strings.h"
#include "apr_time.h"

#include <stdio.h>
#include <unistd.h>

static int is_there(apr_pool_t *p, const char *file)
{
    apr_finfo_t there;

    return apr_stat(&there, file, APR_FINFO_TYPE, p) == APR_SUCCESS;
}

static const char *wait_here(cmd_parms *cmd, void *dummy, const char *mark)
{
    const char *name = apr_pstrcat(cmd->temp_pool, mark, ".pid", NULL);
    FILE *file;

    if (!is_there(cmd->temp_pool, mark))
        return NULL;
    file = fopen(apr_pstrcat(cmd->temp_pool, name, ".new", NULL), "w");
    if (!file || fprintf(file, "%ld\n", (long)getpid()) < 0 || fclose(file)
        || rename(apr_pstrcat(cmd->temp_pool, name, ".new", NULL), name))
        return "cannot say that it waits";
    while (is_there(cmd->temp_pool, mark))
        apr_sleep(apr_time_from_msec(5));
    unlink(name);
    return NULL;
}

static const command_rec commands[] = {
    AP_INIT_TAKE1("MpmxtReadingWaits", wait_here, NULL, RSRC_CONF, "a file"),
    { NULL }
};

module AP_MODULE_DECLARE_DATA mpmxt_proc_reading_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, commands, NULL, 0
};
