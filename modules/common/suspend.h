/* SUSPENDED connections and timed callbacks, which belong together.
 *
 * A handler that returns SUSPENDED leaves its connection to a module, which finishes
 * the request from a timed callback or a thread of its own and then sets c->cs->state.
 * httpd 2.4 has no function to tell the MPM (contract 6.7), so the MPM looks: after
 * every timed callback, and now and then while there are any.
 *
 * Two races are ruled out, not just unlikely:
 *  - A callback registered while a connection is being served could run before the MPM
 *    is done with that connection. It is held back until then.
 *  - A finished state is visible before the callback that set it has returned. The
 *    connection is continued only when all callbacks that ran at the time it was seen
 *    finished have returned.
 */
#ifndef MPMX_SUSPEND_H
#define MPMX_SUSPEND_H

#include "child.h"

#define MPMX_SUSPENDED_MS 100    /* how often those that are not finished are looked at */

/* The owner puts a connection on the list; it is the module's from now on. The housekeeper
 * is asked to look. Workers. */
void mpmx_suspend(mpmx_worker *w, mpmx_conn *conn);

/* Takes a connection off the list, because its pool is being destroyed by the module; if
 * it is not on it yet, remembers that for mpmx_suspend() and returns 0. Any thread. */
int mpmx_suspend_drop(mpmx_child *child, mpmx_conn *conn);

/* Continues the connections that their modules have finished. Any thread. */
void mpmx_suspend_look(mpmx_child *child);

/* Hook mpm_register_timed_callback. Any thread of a child. */
apr_status_t mpmx_timed_callback(apr_time_t delay, ap_mpm_callback_fn_t *fn, void *baton);

/* Lets go the callbacks that were registered while this worker served. */
void mpmx_callbacks_unhold(mpmx_worker *w);

/* Hands all due callbacks to workers. Housekeeper. */
void mpmx_callbacks_submit_due(mpmx_child *child);

#endif
