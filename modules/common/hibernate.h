/* Hibernation: a keep-alive connection that stays idle gives its memory back.
 *
 * conn_rec, pools, buckets and buffers go; the descriptor, the record, the number of its
 * requests and its deadline stay.  When the next request head is complete, it gets a new
 * conn_rec as if it had never been without (serve.c).  Modules must not be able to tell, so
 * only a connection sleeps on which none of them keeps anything.  That is not guessed: what
 * httpd lets modules attach to a connection is looked at, one by one.
 */
#ifndef MPMX_HIBERNATE_H
#define MPMX_HIBERNATE_H

#include "conn.h"

/* Looks which modules have to do with connections; sets mpmx.no_sleep, and logs why. Parent,
 * when all modules are loaded and children do not yet exist. */
void mpmx_hibernate_init(server_rec *s);

/* KEEPALIVE has lasted for KeepAliveHibernate: puts the connection to sleep, or has it give
 * back what it can and wait on. Owner, worker; it is no longer the caller's afterwards. */
void mpmx_hibernate(mpmx_worker *w, mpmx_conn *conn);

/* Gives what sleepers have left to the system, if it is worth while and was not just done.
 * `until`: when the housekeeper looks again at the latest (coarse ms); made earlier. Housekeeper. */
void mpmx_hibernate_give_back(struct mpmx_child *child, int64_t now, int64_t *until);

#endif
