/* See preflight.h. Nothing here may leave a trace: no file is made, nothing listens. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "preflight.h"
#include "log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "apr_strings.h"
#include "http_main.h"
#include "mpm_common.h"
#include "util_cfgtree.h"

#define ASKED_BY "MPMX_RELOAD_CHECK"     /* the parent's pid: not meant for grandchildren */
#define HELD     "MPMX_RELOAD_HELD_"     /* 0, 1, ...: an address each                    */

/* As core sets IPV6_V6ONLY on its listeners. */
#ifdef AP_ENABLE_V4_MAPPED
enum { V6ONLY = 0 };
#else
enum { V6ONLY = 1 };
#endif

/* --- the parent's side ----------------------------------------------------------------- */

extern char **environ;

/* One variable for each address: the length of one is limited (execve(2)), their number
 * hardly. Ours come first, so that they are the ones that getenv(3) finds. */
char **mpmx_preflight_environment(apr_pool_t *pool)
{
    const ap_listen_rec *lr;
    char **made;
    int held = 0, theirs = 0, n = 0, i;

    for (lr = ap_listeners; lr; lr = lr->next)
        held += lr->active;
    while (environ[theirs])
        theirs++;
    made = apr_palloc(pool, sizeof *made * (size_t)(held + theirs + 3));
    made[n++] = apr_psprintf(pool, ASKED_BY "=%ld", (long)getpid());
    for (lr = ap_listeners, held = 0; lr; lr = lr->next)
        if (lr->active)
            made[n++] = apr_psprintf(pool, HELD "%d=%pI", held++, lr->bind_addr);
    made[n++] = apr_psprintf(pool, HELD "%d=", held);     /* no older ones behind */
    for (i = 0; i < theirs; i++)
        if (strncmp(environ[i], "NOTIFY_SOCKET=", 14))   /* it is not the server */
            made[n++] = environ[i];
    made[n] = NULL;
    return made;
}

/* --- ports ------------------------------------------------------------------------------- */

/* Core takes over an address only once; what is written twice it tries to bind again. */
static int take_held(apr_pool_t *p, apr_array_header_t *held, const ap_listen_rec *lr)
{
    const char **one = (const char **)held->elts, *wanted = apr_psprintf(p, "%pI", lr->bind_addr);
    int i;

    for (i = 0; i < held->nelts; i++)
        if (one[i] && !strcmp(one[i], wanted)) {
            one[i] = NULL;
            return 1;
        }
    return 0;
}

static apr_array_header_t *read_held(apr_pool_t *p)
{
    apr_array_header_t *held = apr_array_make(p, 16, sizeof(const char *));
    const char *one;
    int i;

    for (i = 0; (one = getenv(apr_psprintf(p, HELD "%d", i))) != NULL && *one; i++)
        APR_ARRAY_PUSH(held, const char *) = one;
    return held;
}

static int is_any6(const ap_listen_rec *lr)
{
    return lr->bind_addr->family == AF_INET6
        && IN6_IS_ADDR_UNSPECIFIED(&lr->bind_addr->sa.sin6.sin6_addr);
}

static int is_any4(const ap_listen_rec *lr)
{
    return lr->bind_addr->family == AF_INET && lr->bind_addr->sa.sin.sin_addr.s_addr == htonl(INADDR_ANY);
}

/* Would the second of two be refused because the first one listens already? The sockets
 * here only bind, so the kernel would not tell. */
static int collide(apr_pool_t *p, const ap_listen_rec *one, const ap_listen_rec *two)
{
    if (one->bind_addr->port != two->bind_addr->port)
        return 0;
    if (!strcmp(apr_psprintf(p, "%pI", one->bind_addr), apr_psprintf(p, "%pI", two->bind_addr)))
        return 1;
    if (one->bind_addr->family != two->bind_addr->family)
        return !V6ONLY && (is_any6(one) || is_any6(two));
    return is_any4(one) || is_any4(two) || is_any6(one) || is_any6(two);
}

static int try_bind(const ap_listen_rec *lr, int share)
{
    int on = 1, v6only = V6ONLY, error = 0;
    int fd = socket(lr->bind_addr->family, SOCK_STREAM, 0);

    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
#ifdef SO_REUSEPORT
    if (share)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
#endif
    if (lr->bind_addr->family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
    if (bind(fd, (struct sockaddr *)&lr->bind_addr->sa, lr->bind_addr->salen))
        error = errno;
    close(fd);
    return error;
}

typedef struct wanted_listener {
    const ap_listen_rec *lr;     /* NULL: does not count any more                    */
    int held;                    /* by the parent                                    */
} wanted_listener;

static int same_port(const wanted_listener *one, const wanted_listener *two)
{
    return one->lr->bind_addr->port == two->lr->bind_addr->port;
}

/* The listeners in the order in which core binds them: of the two wildcards of a port, as
 * one "Listen 80" makes them, the IPv6 one goes first, which may serve both. */
static apr_array_header_t *in_order(apr_pool_t *p)
{
    apr_array_header_t *held = read_held(p), *all = apr_array_make(p, 16, sizeof(wanted_listener));
    wanted_listener *one, other;
    ap_listen_rec *lr;
    int i;

    for (lr = ap_listeners; lr; lr = lr->next)
        if (lr->bind_addr->family == AF_INET || lr->bind_addr->family == AF_INET6) {
            one = apr_array_push(all);
            one->lr = lr;
            one->held = take_held(p, held, lr);
        }
    one = (wanted_listener *)all->elts;
    for (i = 0; i + 1 < all->nelts; i++)
        if (is_any4(one[i].lr) && !one[i].held && is_any6(one[i + 1].lr) && same_port(&one[i], &one[i + 1])) {
            other = one[i];
            one[i] = one[i + 1];
            one[i + 1] = other;
        }
    return all;
}

/* Core leaves out an IPv4 wildcard after an IPv6 one that serves both ... */
static int covered(const wanted_listener *one, int i)
{
    int k;

    for (k = 0; k < i && !V6ONLY && is_any4(one[i].lr); k++)
        if (one[k].lr && is_any6(one[k].lr) && same_port(&one[k], &one[i]))
            return 1;
    return 0;
}

/* ... and forgives an IPv6 one that fails just before the IPv4 one, which it then tries. */
static int forgiven(const wanted_listener *one, int i, int n)
{
    return is_any6(one[i].lr) && i + 1 < n && is_any4(one[i + 1].lr) && same_port(&one[i], &one[i + 1]);
}

static int check_ports(apr_pool_t *p, int share)
{
    apr_array_header_t *all = in_order(p);
    wanted_listener *one = (wanted_listener *)all->elts;
    int i, k, bad = 0;

    for (i = 0; i < all->nelts; i++) {
        int error = 0;

        if (one[i].held || covered(one, i))
            continue;
        for (k = 0; k < i && !share && !error; k++)
            if (one[k].lr && collide(p, one[k].lr, one[i].lr))
                error = EADDRINUSE;
        if (!error)
            error = try_bind(one[i].lr, share);
        if (!error)
            continue;
        if (!forgiven(one, i, all->nelts)) {
            ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, error, NULL,
                         "Listen %pI: the server could not listen there", one[i].lr->bind_addr);
            bad = 1;
        }
        one[i].lr = NULL;                /* in nobody's way */
    }
    return bad;
}

/* --- files --------------------------------------------------------------------------------- */

static int complain(const char *directive, const char *name, int error)
{
    ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, error, NULL,
                 "%s %s: the server could not open it for writing", directive, name);
    return 1;
}

/* Can a file be made there? */
static int check_directory(apr_pool_t *p, const char *directive, const char *name)
{
    const char *slash = ap_strrchr_c(name, '/');
    const char *dir = !slash ? "." : slash == name ? "/" : apr_pstrmemdup(p, name, (apr_size_t)(slash - name));

    return faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) ? complain(directive, name, errno) : 0;
}

/* Pipes and devices are left alone: to open one may wait for its other end, or be noticed
 * there. So is a link that leads nowhere yet. */
static int check_appendable(apr_pool_t *p, const char *directive, const char *name)
{
    struct stat st;
    int fd;

    if (stat(name, &st))
        return errno != ENOENT ? complain(directive, name, errno)
             : lstat(name, &st) ? check_directory(p, directive, name) : 0;
    if (S_ISDIR(st.st_mode))
        return complain(directive, name, EISDIR);
    if (!S_ISREG(st.st_mode))
        return 0;
    fd = open(name, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return complain(directive, name, errno);
    close(fd);
    return 0;
}

/* Not a program, not syslog or another provider ("journald:...", mod_journald). */
static int is_file(const char *log)
{
    const char *end = log;

    while (isalnum((unsigned char)*end))
        end++;
    return *log && *log != '|' && *end != ':' && strcasecmp(log, "syslog");
}

static int check_log(apr_pool_t *p, const char *directive, const char *log)
{
    const char *name;

    if (!is_file(log))
        return 0;
    name = ap_server_root_relative(p, log);
    return name ? check_appendable(p, directive, name) : complain(directive, log, EINVAL);
}

/* Logs of modules, as far as they are opened at start. */
static int check_tree(apr_pool_t *p, const ap_directive_t *line)
{
    static const char *const logs[] = { "CustomLog", "TransferLog", "GlobalLog", "ForensicLog", NULL };
    int i, bad = 0;

    for (; line; line = line->next) {
        if (line->first_child)
            bad |= check_tree(p, line->first_child);
        for (i = 0; logs[i]; i++)
            if (!strcasecmp(line->directive, logs[i])) {
                const char *args = line->args;

                bad |= check_log(p, logs[i], ap_getword_conf(p, &args));
            }
    }
    return bad;
}

static int check_files(apr_pool_t *p, server_rec *s)
{
    const char *main_log = s->error_fname, *name;
    struct stat st;
    int bad = 0;

    if (main_log)
        bad |= check_log(p, "ErrorLog", main_log);
    for (s = s->next; s; s = s->next)
        if (s->error_fname && (!main_log || strcmp(s->error_fname, main_log)))
            bad |= check_log(p, "ErrorLog", s->error_fname);
    /* It is written beside and renamed, at each restart. */
    if (ap_pid_fname && (name = ap_server_root_relative(p, ap_pid_fname)) != NULL)
        bad |= !stat(name, &st) && S_ISDIR(st.st_mode) ? complain("PidFile", name, EISDIR)
             : check_directory(p, "PidFile", name);
    return bad | check_tree(p, ap_conftree);
}

/* --- the hook -------------------------------------------------------------------------------- */

static int shares_ports(apr_pool_t *p, const ap_directive_t *line)
{
    int yes = 0;

    for (; line; line = line->next) {
        if (!strcasecmp(line->directive, "ListenCoresBucketsRatio")) {
            const char *args = line->args;

            yes = atoi(ap_getword_conf(p, &args)) > 0;
        }
    }
    return yes && ap_have_so_reuseport;
}

int mpmx_preflight(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    const char *asked_by = getenv(ASKED_BY);
    int bad;

    (void)pconf;
    (void)plog;
    if (!asked_by || strtol(asked_by, NULL, 10) != (long)getppid()
        || ap_state_query(AP_SQ_RUN_MODE) != AP_SQ_RM_CONFIG_TEST)
        return OK;
    bad = check_ports(ptemp, shares_ports(ptemp, ap_conftree));
    bad |= check_files(ptemp, s);
    if (bad)
        return HTTP_INTERNAL_SERVER_ERROR;
    printf(MPMX_PREFLIGHT_PASSED "%s\n", mpmx_this_policy.name);
    fflush(stdout);
    return OK;
}
