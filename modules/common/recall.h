/* Where a thread stays with its connection (not async): its wait for the client's next
 * request, and calling it back from there.
 *
 * Idle clients must not keep others out.  When requests wait although every thread of the
 * child is taken, the thread that has waited for its client the longest, a second at
 * least, is called back; to the client that is an early KeepAliveTimeout.  One at a time, the
 * next when that one is through with its connection, or has its client's request after all.
 *
 *   worker                                 housekeeper
 *   wait: NOT -> since when                ... has every thread: mpmx_recall_watch()
 *   ppoll(2), signal unblocked             the poller has reports, twice in RECALL_MS
 *   input, timeout: since -> NOT     or    since -> CALLED, signal
 *   CALLED: input is served, else as if KeepAliveTimeout had passed
 *
 * The signal is blocked everywhere else, so that module code never sees it (contract 4.6).
 */
#ifndef MPMX_RECALL_H
#define MPMX_RECALL_H

#include "child.h"

/* Waits for input on `fd`, `timeout_us` microseconds at most (negative: no limit). APR_SUCCESS,
 * APR_TIMEUP (also when called back), or an errno. Worker that serves; it rests already. */
apr_status_t mpmx_recall_wait(mpmx_worker *w, int fd, apr_interval_time_t timeout_us);

/* Prepares this process for it. Main thread of a child, before there are others. */
void mpmx_recall_init(void);

/* Should the housekeeper look at the poller's descriptor now? Sets *until (coarse ms) lower if
 * it has to look again by itself. Housekeeper. */
int mpmx_recall_watch(mpmx_child *child, int64_t now, int64_t *until);

/* The poller's descriptor was readable. Housekeeper. */
void mpmx_recall_reports_wait(mpmx_child *child, int64_t now);

#endif
