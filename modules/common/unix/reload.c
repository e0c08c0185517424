/* See reload.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "reload.h"
#include "clock.h"
#include "log.h"
#include "notify.h"
#include "preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif
#include "apr_strings.h"
#include "http_main.h"
#include "mpm_common.h"

#define LIMIT_MS     60000       /* names that a slow resolver has to look up take their time */
#define RETRY_MS      1000       /* after a fork that failed                               */
#define EXIT_POLL_MS    20       /* without a pidfd, from the end of its output on         */
#define AGAIN_MAX        3       /* checks in a row, because orders came in meanwhile      */
#define LINES_MAX       40
#define READS_MAX       16       /* at once, of one that never ends to talk                */
#define NO_EXEC        127

typedef enum { NO_ORDER, GRACEFUL, UNGRACEFUL } restart_order;
typedef enum { IDLE, RUNNING, ENDED } check_phase;

struct mpmx_reload {
    restart_order wanted;        /* what the check is for                            */
    restart_order again;         /* came while it ran: may mean files that it has not seen */
    int rechecks;
    check_phase phase;
    pid_t pid;                   /* while RUNNING                                    */
    pid_t buried;                /* killed, its death is nobody's business           */
    int pidfd, out;              /* or -1                                            */
    int64_t since;               /* of the order, then of the fork; coarse ms        */
    int64_t retry_at;
    int start_error;             /* errno                                            */
    int timed_out;
    apr_exit_why_e why;
    int code;
    int cut;                     /* the beginning of the text is missing             */
    apr_size_t len;
    char text[16384 + 1];
};

static struct mpmx_reload *state(void)
{
    if (!mpmx.reload) {
        mpmx.reload = apr_pcalloc(mpmx.pconf, sizeof *mpmx.reload);
        mpmx.reload->pidfd = mpmx.reload->out = -1;
    }
    return mpmx.reload;
}

/* --- orders -------------------------------------------------------------------------------- */

/* Makes the flags as if nobody had asked. Modules and piped loggers must not find a server
 * that is stopping while it only checks. */
static restart_order take_order(mpmx_retained *all)
{
    ap_unixd_mpm_retained_data *httpd = mpmx.retained;
    restart_order order = (restart_order)all->restart_order;
    sigset_t before;

    mpmx_flags_block(&before);
    if (!httpd->shutdown_pending) {
        if (httpd->restart_pending && order != UNGRACEFUL)
            order = httpd->is_ungraceful ? UNGRACEFUL : GRACEFUL;
        all->restart_order = NO_ORDER;
        if (httpd->restart_pending) {
            httpd->restart_pending = httpd->is_ungraceful = 0;
            httpd->mpm_state = AP_MPMQ_RUNNING;
        }
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return order;
}

/* Puts it where the handlers do. Nonzero, unless there is no order. */
static int carry_out(restart_order order)
{
    ap_unixd_mpm_retained_data *httpd = mpmx.retained;
    sigset_t before;

    if (order == NO_ORDER)
        return 0;
    mpmx_flags_block(&before);
    if (!httpd->shutdown_pending) {
        httpd->mpm_state = AP_MPMQ_STOPPING;
        if (order == UNGRACEFUL)
            httpd->is_ungraceful = 1;
        httpd->restart_pending = 1;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return 1;
}

/* --- the process ---------------------------------------------------------------------------- */

/* The server's arguments, without those that tell it to do something else or to talk to
 * somebody else, and with -t. Several letters may share an argument ("-Xf file"). */
static char **arguments(apr_pool_t *p, const process_rec *process)
{
    static const char known[] = AP_SERVER_BASEARGS "k:", dropped[] = "kEetvVlLSMhX?";
    apr_array_header_t *args = apr_array_make(p, process->argc + 8, sizeof(char *));
    int i;

    APR_ARRAY_PUSH(args, char *) = apr_pstrdup(p, process->argv[0]);
    for (i = 1; i < process->argc && process->argv[i][0] == '-'; i++) {
        const char *letter = process->argv[i] + 1;

        for (; *letter; letter++) {
            const char *found = *letter == ':' ? NULL : ap_strchr_c(known, *letter);
            int takes_value = found && found[1] == ':';
            const char *value = takes_value && letter[1] ? letter + 1 : NULL;

            if (takes_value && !value && i + 1 < process->argc)
                value = process->argv[++i];
            if (!ap_strchr_c(dropped, *letter)) {
                APR_ARRAY_PUSH(args, char *) = apr_psprintf(p, "-%c", *letter);
                if (value)
                    APR_ARRAY_PUSH(args, char *) = apr_pstrdup(p, value);
            }
            if (takes_value)
                break;
        }
    }
    APR_ARRAY_PUSH(args, char *) = apr_pstrdup(p, "-t");
    APR_ARRAY_PUSH(args, char *) = NULL;
    return (char **)args->elts;
}

/* In the new process. Only what is safe in the copy of a process that may have threads. */
static void become_check(char **argv, char **environment, int out, pid_t parent)
{
    extern char **environ;
    int null = open("/dev/null", O_RDWR), error;
    sigset_t none;

    setpgid(0, 0);                       /* what it starts ends with it */
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (getppid() != parent)
        _exit(NO_EXEC);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
#if defined(__linux__) && defined(SYS_close_range)
    syscall(SYS_close_range, 3U, ~0U, 0U);
#endif
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* This very program, even if another one has its name by now. */
    execve("/proc/self/exe", argv, environment);
    environ = environment;
    if (errno == ENOENT)
        execvp(argv[0], argv);
    error = errno;
    if (write(STDOUT_FILENO, "", 1) == 1 && write(STDOUT_FILENO, &error, sizeof error) > 0)
        _exit(NO_EXEC);
    _exit(NO_EXEC);
}

/* 0, or an errno. */
static int launch(struct mpmx_reload *r)
{
    apr_pool_t *p;
    char **argv, **environment;
    sigset_t every, before;
    int pair[2], error;
    pid_t pid, parent = getpid();

    if (pipe(pair))
        return errno;
    fcntl(pair[0], F_SETFD, FD_CLOEXEC);
    fcntl(pair[1], F_SETFD, FD_CLOEXEC);
    fcntl(pair[0], F_SETFL, fcntl(pair[0], F_GETFL) | O_NONBLOCK);
    apr_pool_create(&p, mpmx.pconf);
    argv = arguments(p, mpmx.main->process);
    environment = mpmx_preflight_environment(p);
    sigfillset(&every);
    sigprocmask(SIG_SETMASK, &every, &before);
    pid = fork();
    if (pid == 0)
        become_check(argv, environment, pair[1], parent);
    error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    apr_pool_destroy(p);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return error;
    }
    setpgid(pid, pid);                   /* whoever comes first */
    r->pid = pid;
    r->pidfd = mpmx_pidfd_of(pid);
    r->out = pair[0];
    return 0;
}

static void start(struct mpmx_reload *r)
{
    int64_t now = mpmx_clock_coarse_ms();

    if (now < r->retry_at)
        return;
    r->len = 0;
    r->cut = r->timed_out = 0;
    r->start_error = launch(r);
    if (!r->start_error) {
        r->since = now;
        r->retry_at = 0;
        r->phase = RUNNING;
        return;
    }
    if (!r->retry_at)
        ap_log_error(APLOG_MARK, APLOG_WARNING, r->start_error, mpmx.main,
                     "the process that checks the new configuration cannot be started; trying again "
                     "for %d s", LIMIT_MS / 1000);
    r->retry_at = now + RETRY_MS;
    if (now - r->since >= LIMIT_MS)
        r->phase = ENDED;
}

static void close_all(struct mpmx_reload *r)
{
    if (r->out >= 0)
        close(r->out);
    if (r->pidfd >= 0)
        close(r->pidfd);
    r->out = r->pidfd = -1;
}

static void bury(struct mpmx_reload *r)
{
    kill(-r->pid, SIGKILL);
    r->buried = r->pid;
    r->pid = 0;
    close_all(r);
}

/* --- its words -------------------------------------------------------------------------------- */

/* Keeps the end, where the error is. */
void mpmx_reload_hear(void)
{
    struct mpmx_reload *r = mpmx.reload;
    const apr_size_t room = sizeof r->text - 1;
    int i;

    if (!r || r->out < 0)
        return;
    for (i = 0; i < READS_MAX; i++) {
        ssize_t n;

        if (r->len == room) {
            memmove(r->text, r->text + room / 2, room - room / 2);
            r->len = room - room / 2;
            r->cut = 1;
        }
        n = read(r->out, r->text + r->len, room - r->len);
        if (n > 0)
            r->len += (apr_size_t)n;
        else if (n == 0) {
            close(r->out);
            r->out = -1;
            return;
        }
        else if (errno != EINTR)
            return;
    }
}

static int exec_failed(const struct mpmx_reload *r, int *error)
{
    if (r->code != NO_EXEC || r->len < 1 + sizeof *error || r->text[r->len - 1 - sizeof *error])
        return 0;
    memcpy(error, r->text + r->len - sizeof *error, sizeof *error);
    return 1;
}

static void log_text(struct mpmx_reload *r)
{
    char *line, *rest, *last = r->text + r->len;
    int lines = 0;

    for (line = r->text; line < last; line++)
        if (!*line)
            *line = '?';
    *last = '\0';
    for (line = last; line > r->text && lines <= LINES_MAX; line--)
        lines += line[-1] == '\n';
    if (r->cut || lines > LINES_MAX)
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, mpmx.main, "check of the new configuration: (the last lines)");
    for (line = apr_strtok(line, "\n", &rest); line; line = apr_strtok(NULL, "\n", &rest))
        if (strncmp(line, MPMX_PREFLIGHT_PASSED, sizeof MPMX_PREFLIGHT_PASSED - 1) && strcmp(line, "Syntax OK"))
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, mpmx.main, "check of the new configuration: %s", line);
}

/* --- the verdict ------------------------------------------------------------------------------- */

static int said_passed(struct mpmx_reload *r)
{
    char line[80];

    apr_snprintf(line, sizeof line, MPMX_PREFLIGHT_PASSED "%s\n", mpmx_this_policy.name);
    r->text[r->len] = '\0';
    return strstr(r->text, line) != NULL;
}

static void refuse(struct mpmx_reload *r)
{
    char why[160];
    int error = r->start_error, no_exec = !error && !r->timed_out && exec_failed(r, &error);

    if (error)
        apr_snprintf(why, sizeof why, "the process that checks the new configuration cannot be %s",
                     no_exec ? "run" : "started");
    else if (r->timed_out)
        apr_snprintf(why, sizeof why, "the check of the new configuration did not end within %d s and "
                     "was ended", LIMIT_MS / 1000);
    else if (APR_PROC_CHECK_SIGNALED(r->why))
        apr_snprintf(why, sizeof why, "the check of the new configuration was ended by signal %d", r->code);
    else if (r->code)
        apr_snprintf(why, sizeof why, "the new configuration cannot be used, see the lines above");
    else
        apr_snprintf(why, sizeof why, "the new configuration does not load this MPM (%s); to change "
                     "the MPM, stop and start the server", mpmx_this_policy.name);
    if (!error)
        log_text(r);
    ap_log_error(APLOG_MARK, APLOG_ERR, error, mpmx.main,
                 "%s received, but the server was not restarted: %s. The present configuration stays "
                 "in force", r->wanted == UNGRACEFUL ? "SIGHUP" : AP_SIG_GRACEFUL_STRING, why);
}

/* Nonzero: restart. Else it may be that the next check is to be started. */
static int judge(struct mpmx_reload *r, mpmx_retained *all)
{
    restart_order wanted = r->wanted, again = r->again;
    int64_t now = mpmx_clock_coarse_ms();
    int passed = !r->start_error && !r->timed_out && APR_PROC_CHECK_EXIT(r->why) && !r->code && said_passed(r);

    r->phase = IDLE;
    r->again = NO_ORDER;
    r->retry_at = 0;
    if (!passed) {
        refuse(r);
        mpmx_notify_ready();
        if (again)
            mpmx_notify_reloading();     /* that is the next one */
        r->wanted = again;
        r->rechecks = 0;
        r->since = now;
        return 0;
    }
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, mpmx.main, "the new configuration has passed the check "
                 "(%" APR_INT64_T_FMT " ms)", (apr_int64_t)(now - r->since));
    /* The files may have changed since it read them. But who asks all the time shall get
     * his restart. */
    if (again && r->rechecks < AGAIN_MAX) {
        mpmx_notify_reloading();         /* for who has asked last, if it is refused */
        r->rechecks++;
        r->wanted = again > wanted ? again : wanted;
        r->since = now;
        return 0;
    }
    r->wanted = NO_ORDER;
    all->restart_order = (int)again;
    return carry_out(wanted);
}

int mpmx_reload_due(mpmx_retained *all)
{
    struct mpmx_reload *r = state();
    restart_order order = take_order(all);

    if (!mpmx.conf.reload_check)
        return carry_out(order);
    if (order)                           /* whoever asked waits for word that is younger than that */
        mpmx_notify_reloading();
    if (order && r->wanted)
        r->again = order > r->again ? order : r->again;
    else if (order) {
        r->wanted = order;
        r->rechecks = 0;
        r->since = mpmx_clock_coarse_ms();
    }
    if (r->phase == RUNNING && mpmx_clock_coarse_ms() - r->since >= LIMIT_MS) {
        mpmx_reload_hear();
        bury(r);
        r->timed_out = 1;
        r->phase = ENDED;
    }
    if (r->phase == ENDED && judge(r, all))
        return 1;
    if (r->wanted && r->phase == IDLE)
        start(r);
    return 0;
}

int mpmx_reload_wanted(void)
{
    return mpmx.reload && mpmx.reload->wanted;
}

/* --- for the loop ------------------------------------------------------------------------------- */

int64_t mpmx_reload_until(void)
{
    const struct mpmx_reload *r = mpmx.reload;

    if (!r || !r->wanted)
        return INT64_MAX;
    if (r->phase == IDLE)
        return r->retry_at;
    if (r->phase == ENDED)
        return 0;
    if (r->out < 0 && r->pidfd < 0)
        return mpmx_clock_coarse_ms() + EXIT_POLL_MS;
    return r->since + LIMIT_MS;
}

int mpmx_reload_watch(struct pollfd *pfd)
{
    const struct mpmx_reload *r = mpmx.reload;

    if (!r || r->phase != RUNNING)
        return 0;
    pfd[0] = (struct pollfd){ r->out, POLLIN, 0 };       /* negative ones are skipped */
    pfd[1] = (struct pollfd){ r->pidfd, POLLIN, 0 };
    return MPMX_RELOAD_FDS;
}

int mpmx_reload_ended(pid_t pid, apr_exit_why_e why, int code)
{
    struct mpmx_reload *r = mpmx.reload;

    if (!r || (pid != r->pid && pid != r->buried))
        return 0;
    if (pid == r->buried) {
        r->buried = 0;
        return 1;
    }
    mpmx_reload_hear();
    close_all(r);
    r->pid = 0;
    r->why = why;
    r->code = code;
    r->phase = ENDED;
    return 1;
}

void mpmx_reload_cancel(void)
{
    struct mpmx_reload *r = mpmx.reload;

    if (!r)
        return;
    if (r->phase == RUNNING)
        bury(r);
    r->phase = IDLE;
    r->wanted = r->again = NO_ORDER;
}

void mpmx_reload_forget(void)
{
    if (mpmx.reload)
        close_all(mpmx.reload);
}
