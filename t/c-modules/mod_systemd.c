/* Stands for httpd's module of this name, which not every httpd has and which needs a library. Says
 * what that says, and when: at start that the server is ready and which process it is, and in hook
 * monitor that it is ready. With -D MPMXT_TALKS it is like later versions, which also say that the
 * configuration is about to be read (not when), and that it has been. Each message has VIA=module.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "ap_mpm.h"
#include "mpm_common.h"
#include "scoreboard.h"
#include "apr_strings.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/un.h>

static void say(const char *what)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to;
    int fd = name ? socket(AF_UNIX, SOCK_DGRAM, 0) : -1;
    char text[200];

    if (fd < 0)
        return;
    memset(&to, 0, sizeof to);
    to.sun_family = AF_UNIX;
    apr_cpystrn(to.sun_path, name, sizeof to.sun_path);
    if (*name == '@')
        to.sun_path[0] = '\0';
    apr_snprintf(text, sizeof text, "%s\nVIA=module\n", what);
    sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
           offsetof(struct sockaddr_un, sun_path) + strlen(name));
    close(fd);
}

static int talks(void)
{
    return ap_exists_config_define("MPMXT_TALKS");
}

static int before_configuration(apr_pool_t *p, apr_pool_t *plog, apr_pool_t *ptemp)
{
    if (talks())
        say("RELOADING=1");
    return OK;
}

static int after_configuration(apr_pool_t *p, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    if (talks() && ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG)
        say("READY=1");
    return OK;
}

static int before_mpm(apr_pool_t *p, ap_scoreboard_e type)
{
    char text[60];

    apr_snprintf(text, sizeof text, "READY=1\nMAINPID=%ld", (long)getpid());
    say(text);
    return OK;
}

static int from_time_to_time(apr_pool_t *p, server_rec *s)
{
    say("READY=1");
    return DECLINED;
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_pre_config(before_configuration, NULL, NULL, APR_HOOK_LAST);
    ap_hook_post_config(after_configuration, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_pre_mpm(before_mpm, NULL, NULL, APR_HOOK_LAST);
    ap_hook_monitor(from_time_to_time, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA systemd_module = {
    STANDARD20_MODULE_STUFF,
    NULL, NULL, NULL, NULL,
    NULL,
    register_hooks,
    0
};
