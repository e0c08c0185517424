/* A restart that is asked for: the new configuration is checked before the present one is
 * given up (ReloadCheck).
 *
 * httpd has thrown the old configuration away when it finds that the new one is broken,
 * and exits. So the order is first taken away from where the signal handler has put it, a
 * process checks the files (`httpd -t` and preflight.h), and the parent goes on with what
 * it does until that process has ended. Only then the order is carried out, or refused.
 */
#ifndef MPMX_RELOAD_H
#define MPMX_RELOAD_H

#include <poll.h>
#include "process.h"

#define MPMX_RELOAD_FDS 2

/* Takes orders, starts checks and draws the consequences; each time before the loop
 * sleeps. Nonzero: restart now, the flags say how. */
int mpmx_reload_due(mpmx_retained *all);

/* Nonzero: an order is being checked. */
int mpmx_reload_wanted(void);

/* When to call it again without an event, coarse ms, or INT64_MAX. */
int64_t mpmx_reload_until(void);

/* Fills in what to wait for; returns how many, at most MPMX_RELOAD_FDS. */
int mpmx_reload_watch(struct pollfd *pfd);

/* Collects what the process has said; after each sleep. */
void mpmx_reload_hear(void);

/* A process has ended: was it one of ours? */
int mpmx_reload_ended(pid_t pid, apr_exit_why_e why, int code);

/* Ends a check in progress: the server stops. */
void mpmx_reload_cancel(void);

/* In a new child: closes what belongs to the check. */
void mpmx_reload_forget(void);

#endif
