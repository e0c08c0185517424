/* What the server tells systemd about itself (Type=notify, Type=notify-reload), beyond what httpd's
 * mod_systemd does: it does not see a reload begin, nor who accepts afterwards, nor a stop. Without
 * that module nothing is said. The parent's business. */
#ifndef MPMX_NOTIFY_H
#define MPMX_NOTIFY_H

/* A reload begins. May be said again while it goes on: what counts is the last time before the
 * configuration is read, because a signal that came earlier is satisfied by it. */
void mpmx_notify_reloading(void);

/* The present generation accepts, or goes on because the reload was refused. Said once until the
 * next reload begins. */
void mpmx_notify_ready(void);

/* The server stops; there may be requests that it waits for. */
void mpmx_notify_stopping(void);

#endif
