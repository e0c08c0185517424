/* See ../terminal.h.
 *
 * The kernel says who has sent a signal (si_code, sigaction(2)): SI_KERNEL is a terminal, everything
 * else a process, also one outside of the container. Core's handler does not look at it, and a handler
 * of ours would be unmapped while the DSO is reloaded. So the signal stays blocked, over restarts too,
 * and waits until it is asked for.
 *
 * A signal that waits already is not queued again (signal(7)). An order that comes just after the
 * window has changed, while nobody looks because the configuration is read, is therefore lost. The
 * other way round nothing is: what waits then is the order.
 *
 * Programs that are started meanwhile, such as piped loggers, inherit the mask. What they lose is a
 * signal that is ignored by default.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../terminal.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <sys/signalfd.h>

static int watching, bell = -1;

static void only_winch(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGWINCH);
}

/* A daemon has none, unless it leads its session and has opened one, as a log for example. */
static int has_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

    if (fd >= 0) {
        close(fd);
        return 1;
    }
    /* There may be no such file in a container. These fail where it is not the terminal. */
    return errno != ENXIO && (tcgetpgrp(0) >= 0 || tcgetpgrp(1) >= 0 || tcgetpgrp(2) >= 0);
}

/* Blocked since an earlier run, or by whoever has started the server. */
static int is_blocked(void)
{
    sigset_t mask;

    return !sigprocmask(SIG_BLOCK, NULL, &mask) && sigismember(&mask, SIGWINCH) == 1;
}

static apr_status_t unwatch(void *unused)
{
    (void)unused;
    mpmx_terminal_forget();
    return APR_SUCCESS;
}

void mpmx_terminal_watch(apr_pool_t *pool)
{
    sigset_t winch;

    if (!is_blocked() && !has_terminal())
        return;
    only_winch(&winch);
    sigprocmask(SIG_BLOCK, &winch, NULL);
    watching = 1;
    /* Without it, the parent looks once a second. */
    bell = signalfd(-1, &winch, SFD_CLOEXEC | SFD_NONBLOCK);
    apr_pool_cleanup_register(pool, NULL, unwatch, apr_pool_cleanup_null);
}

int mpmx_terminal_descriptor(void)
{
    return bell;
}

void mpmx_terminal_obey(void)
{
    static const struct timespec now = { 0, 0 };
    sigset_t winch;
    siginfo_t info;

    if (!watching)
        return;
    only_winch(&winch);
    while (sigtimedwait(&winch, &info, &now) == SIGWINCH)
        if (info.si_code != SI_KERNEL) {
            raise(SIGWINCH);
            sigprocmask(SIG_UNBLOCK, &winch, NULL);      /* here core's handler runs */
            sigprocmask(SIG_BLOCK, &winch, NULL);
        }
}

void mpmx_terminal_forget(void)
{
    if (bell >= 0)
        close(bell);
    bell = -1;
    watching = 0;
}

#else

void mpmx_terminal_watch(apr_pool_t *pool)
{
    (void)pool;
}

int mpmx_terminal_descriptor(void)
{
    return -1;
}

void mpmx_terminal_obey(void)
{
}

void mpmx_terminal_forget(void)
{
}

#endif
