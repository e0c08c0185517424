/*
 * reload_test.c - promise: an order to restart is carried out only after a check that has passed; a
 * check is bounded in time, in what it may say, and in how often it is made again; no order is lost
 * or made less; the process that checks gets the server's own arguments and no other orders.
 *
 * The process that checks is this program: started with -t it does what REPLY says.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "ap_mpm.h"
#include "clock.h"
#include "mpmx.h"
#include "notify.h"
#include "unix/preflight.h"
#include "unix/process.h"
#include "unix/reload.h"
#include "tap.h"

/* --- what it needs of the rest ----------------------------------------------------------- */

module mpm_unit_module = { STANDARD20_MODULE_STUFF };
mpmx_server mpmx;
const mpmx_policy mpmx_this_policy = { .name = "unit" };
extern char **environ;

static int64_t passed_ms;        /* added to the clock                               */
static char said[200000];        /* all that was logged, a line each                 */
static int lines;
static int reloading;            /* what systemd was told last                       */
static char *too_much;           /* for the environment of a process                 */

int64_t mpmx_clock_coarse_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + passed_ms;
}

void mpmx_notify_reloading(void)
{
    reloading = 1;
}

void mpmx_notify_ready(void)
{
    reloading = 0;
}

void mpmx_flags_block(sigset_t *before)
{
    sigprocmask(SIG_BLOCK, NULL, before);
}

int mpmx_pidfd_of(pid_t pid)
{
    (void)pid;
    return -1;
}

char **mpmx_preflight_environment(apr_pool_t *pool)
{
    char **made;
    size_t n = 0;

    if (!too_much)
        return environ;
    while (environ[n])
        n++;
    made = apr_pcalloc(pool, (n + 2) * sizeof *made);
    memcpy(made, environ, n * sizeof *made);
    made[n] = too_much;
    return made;
}

#undef ap_log_error_
void ap_log_error_(const char *file, int line, int module_index, int level, apr_status_t status,
                   const server_rec *s, const char *format, ...)
{
    size_t at = strlen(said);
    va_list args;

    (void)file, (void)line, (void)module_index, (void)level, (void)status, (void)s;
    va_start(args, format);
    vsnprintf(said + at, sizeof said - at - 2, format, args);
    va_end(args);
    strcat(said, "\n");
    lines++;
}

/* --- the process that checks ---------------------------------------------------------------- */

static int check(int argc, char **argv)
{
    const char *reply = getenv("REPLY");
    int i;

    if (!strcmp(reply, "pass"))
        puts(MPMX_PREFLIGHT_PASSED "unit\nSyntax OK");
    else if (!strcmp(reply, "arguments"))
        for (i = 0; i < argc; i++)
            printf("<%s>", argv[i]);
    else if (!strcmp(reply, "talk"))
        for (i = 0; i < 20000; i++)
            printf("line %d of many\n", i);
    else if (!strcmp(reply, "binary"))
        fwrite("one\0two\nlast", 1, 12, stdout);
    fflush(stdout);
    if (!strcmp(reply, "hang"))
        pause();
    if (!strcmp(reply, "kill"))
        raise(SIGKILL);
    return strcmp(reply, "pass") && strcmp(reply, "other");
}

/* --- the loop around ---------------------------------------------------------------------------- */

static mpmx_retained all;
static ap_unixd_mpm_retained_data httpd;
static pid_t last_ended;

static void order(int ungraceful)
{
    httpd.mpm_state = AP_MPMQ_STOPPING;
    httpd.restart_pending = 1;
    if (ungraceful)
        httpd.is_ungraceful = 1;
}

/* One round of the parent's loop, which sleeps for `ms` at most. */
static void sleep_once(int ms)
{
    struct pollfd pfd[MPMX_RELOAD_FDS];
    int status, n = mpmx_reload_watch(pfd);
    int64_t left = mpmx_reload_until() - mpmx_clock_coarse_ms();
    pid_t pid;

    poll(pfd, (nfds_t)n, left < 0 ? 0 : left < ms ? (int)left : ms);
    mpmx_reload_hear();
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        last_ended = pid;
        ok(mpmx_reload_ended(pid, WIFSIGNALED(status) ? APR_PROC_SIGNAL : APR_PROC_EXIT,
                             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)), "an end is known");
    }
}

/* Runs the loop until nothing is going on: nonzero if there is to be a restart. */
static int run(void)
{
    int i;

    for (i = 0; i < 20000; i++) {
        if (mpmx_reload_due(&all))
            return 1;
        if (mpmx_reload_until() == INT64_MAX)
            return 0;
        sleep_once(10);
    }
    ok(0, "it comes to an end");
    return 0;
}

static void begin(const char *reply)
{
    setenv("REPLY", reply, 1);
    httpd.restart_pending = httpd.is_ungraceful = 0;
    httpd.mpm_state = AP_MPMQ_RUNNING;
    all.restart_order = 0;
    reloading = 0;
    said[0] = '\0';
    lines = 0;
}

static int flags(int pending, int ungraceful, int state)
{
    return httpd.restart_pending == pending && httpd.is_ungraceful == ungraceful && httpd.mpm_state == state;
}

static int refused(const char *why)
{
    return strstr(said, "but the server was not restarted") && strstr(said, why)
        && flags(0, 0, AP_MPMQ_RUNNING);
}

/* --- promises ------------------------------------------------------------------------------------- */

static void test_verdicts(void)
{
    int ungraceful;

    for (ungraceful = 0; ungraceful < 2; ungraceful++) {
        begin("pass");
        order(ungraceful);
        ok(!mpmx_reload_due(&all), "first there is a check");
        ok(flags(0, 0, AP_MPMQ_RUNNING), "the server is not stopping meanwhile");
        ok(reloading, "which systemd takes for a part of the reload");
        ok(run() && flags(1, ungraceful, AP_MPMQ_STOPPING), "then the order is carried out as it was given");
    }
    begin("fail");
    order(0);
    ok(!run() && refused("cannot be used"), "a failure: refused");
    ok(!reloading, "and no reload any more");
    begin("other");
    order(1);
    ok(!run() && refused("does not load this MPM (unit)"), "without our own checks: refused");
    begin("kill");
    order(0);
    ok(!run() && refused("ended by signal 9"), "killed by somebody: refused");
    begin("pass");
    too_much = malloc(1 << 20);          /* execve(2): the limit is 32 pages */
    memset(too_much, 'x', (1 << 20) - 1);
    too_much[(1 << 20) - 1] = '\0';
    order(0);
    ok(!run() && refused("cannot be run") && lines == 1, "the program cannot be run: refused");
    free(too_much);
    too_much = NULL;
    mpmx.conf.reload_check = 0;
    begin("fail");
    order(1);
    ok(mpmx_reload_due(&all) && flags(1, 1, AP_MPMQ_STOPPING), "ReloadCheck Off: at once");
    mpmx.conf.reload_check = 1;
}

static void test_words(void)
{
    begin("arguments");
    order(0);
    run();
    ok(strstr(said, ": <httpd><-f><a b><-D><FOO><-D><BAR><-C><c1><-c><c2><-d><root><-T><-t>\n") != NULL,
       "the arguments, without orders and redirections") || (diag("%s", said), 0);
    begin("talk");
    order(0);
    ok(!run() && refused("cannot be used"), "one that talks much: refused");
    ok(lines > 10 && lines <= 45, "its words are bounded (%d lines)", lines);
    ok(strstr(said, "line 19999 of many\n") && !strstr(said, "line 100 of many\n"), "the last ones are kept");
    begin("binary");
    order(0);
    ok(!run() && strstr(said, ": one?two\n") && strstr(said, ": last\n"), "no byte hides what comes behind it");
}

static void test_limits(void)
{
    struct rlimit files, few;
    int fd;

    begin("hang");
    order(0);
    ok(!mpmx_reload_due(&all), "one that hangs");
    passed_ms += 30000;
    ok(!mpmx_reload_due(&all) && !lines, "is given a minute");
    passed_ms += 30500;
    ok(!mpmx_reload_due(&all) && refused("did not end within 60 s"), "but not more");
    last_ended = 0;
    while (!last_ended)
        sleep_once(10);
    ok(kill(last_ended, 0) && errno == ESRCH, "it is gone");

    begin("hang");
    order(0);
    mpmx_reload_due(&all);
    mpmx_reload_cancel();
    ok(mpmx_reload_until() == INT64_MAX, "the server stops: nothing to be waited for");
    last_ended = 0;
    while (!last_ended)
        sleep_once(10);
    ok(kill(last_ended, 0) && errno == ESRCH && !lines, "it is gone, without a word");

    /* No descriptor for the pipe. */
    getrlimit(RLIMIT_NOFILE, &files);
    fd = dup(0);
    close(fd);
    few = files;
    few.rlim_cur = (rlim_t)fd;
    setrlimit(RLIMIT_NOFILE, &few);
    begin("pass");
    order(0);
    ok(!mpmx_reload_due(&all) && !mpmx_reload_due(&all), "one that cannot be started");
    ok(lines == 1 && strstr(said, "trying again") && flags(0, 0, AP_MPMQ_RUNNING), "is tried again, and the log says so once");
    setrlimit(RLIMIT_NOFILE, &files);
    passed_ms += 1500;
    ok(run() && flags(1, 0, AP_MPMQ_STOPPING), "with success");
    setrlimit(RLIMIT_NOFILE, &few);
    begin("pass");
    order(1);
    mpmx_reload_due(&all);
    passed_ms += 61000;
    mpmx_reload_due(&all);
    ok(!run() && refused("cannot be started"), "not for ever");
    setrlimit(RLIMIT_NOFILE, &files);
}

static void test_more_orders(void)
{
    int checks = 0;

    begin("pass");
    order(0);
    mpmx_reload_due(&all);
    order(1);
    mpmx_reload_due(&all);
    order(0);
    ok(run() && flags(1, 1, AP_MPMQ_STOPPING), "HUP between two USR1: a restart at once");
    ok(lines == 2, "after one more check");
    ok(!all.restart_order, "and one restart for all");

    begin("fail");
    order(1);
    mpmx_reload_due(&all);
    order(0);
    mpmx_reload_due(&all);
    setenv("REPLY", "pass", 1);
    ok(run() && flags(1, 0, AP_MPMQ_STOPPING), "HUP refused, then USR1: a graceful restart");
    ok(reloading, "a reload, for systemd");
    ok(strstr(said, "SIGHUP received, but") != NULL, "the first one is told of");

    begin("pass");
    order(0);
    while (!mpmx_reload_due(&all) && checks++ < 5000) {
        order(0);
        if (mpmx_reload_due(&all))
            break;
        sleep_once(10);
    }
    ok(flags(1, 0, AP_MPMQ_STOPPING), "one who asks all the time gets his restart");
    is_num(lines, 4, "after so many checks");
    ok(all.restart_order != 0, "the last order is kept for afterwards");
    httpd.restart_pending = httpd.is_ungraceful = 0;
    httpd.mpm_state = AP_MPMQ_RUNNING;
    mpmx.reload = NULL;                  /* as after a restart */
    ok(!mpmx_reload_due(&all) && !all.restart_order, "which begins with a check");
    ok(run() && httpd.restart_pending, "and is carried out, too");

    begin("pass");
    order(0);
    httpd.shutdown_pending = httpd.is_ungraceful = 1;
    mpmx_reload_due(&all);
    ok(httpd.shutdown_pending && httpd.is_ungraceful, "the flags of a stop are not touched");
    mpmx_reload_cancel();
    httpd.shutdown_pending = 0;
}

int main(int argc, char **argv)
{
    static const char *const as_started[] = {
        "httpd", "-k", "start", "-f", "a b", "-DFOO", "-XD", "BAR", "-E/x", "-e", "debug", "-Cc1", "-c", "c2",
        "-d", "root", "-T"
    };
    static process_rec process;
    static server_rec server;

    if (argc > 1 && !strcmp(argv[argc - 1], "-t"))
        return check(argc, argv);
    if (access("/proc/self/exe", X_OK)) {
        skip("reload", "this system has no /proc/self/exe");
        return tap_done();
    }
    alarm(120);                          /* for one that does not end */
    apr_initialize();
    apr_pool_create(&mpmx.pconf, NULL);
    process.argc = (int)(sizeof as_started / sizeof *as_started);
    process.argv = as_started;
    server.process = &process;
    /* The level of messages that ap_log_error() looks at. */
    server.log.level = APLOG_DEBUG;
    mpmx.main = &server;
    mpmx.retained = &httpd;
    mpmx.conf.reload_check = 1;
    test_verdicts();
    test_words();
    test_limits();
    test_more_orders();
    return tap_done();
}
