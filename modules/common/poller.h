/* The one interface to "wait until a socket is ready".
 *
 * Any number of threads may wait on one poller.  A connection is armed for one
 * report; from that report on nothing more is reported for it until it is armed
 * again, so the thread that got the report may do with the connection what it
 * likes.  A listening socket stays armed, and a new connection wakes one waiting
 * thread of one process, not one of every process, where the system can do that.
 *
 * Back-ends: unix/poller_epoll.c (Linux), unix/poller_apr.c (any other Unix).
 */
#ifndef MPMX_POLLER_H
#define MPMX_POLLER_H

#include <stdint.h>
#include "apr_pools.h"
#include "apr_errno.h"

typedef struct mpmx_poller mpmx_poller;

#define MPMX_POLL_READ   1u
#define MPMX_POLL_WRITE  2u
#define MPMX_POLL_HANGUP 4u      /* error or hang-up; always reported */

/* Tokens are chosen by the caller; this one means "look around" (a wake-up). */
#define MPMX_POLL_WAKE_TOKEN UINT64_MAX

typedef struct mpmx_poll_event {
    uint64_t token;
    unsigned events;
} mpmx_poll_event;

/* What a back-end remembers about one descriptor; lives in the owner's record,
 * zeroed before first use. */
typedef struct mpmx_poll_entry {
    void *impl;                  /* poller_apr: its descriptor; poller_epoll: unused  */
    unsigned char known;         /* the system already knows the descriptor          */
} mpmx_poll_entry;

/* Makes a poller that lives as long as `pool`.  Called once per child, before
 * threads exist.  `threads`: how many may wait. */
apr_status_t mpmx_poller_create(mpmx_poller **poller, apr_pool_t *pool, int threads);

/* Arms `fd` for one report of `interest` (or hang-up).  Only the owner of the
 * entry may call it; after it returns another thread may already own the entry,
 * so it must be the last thing done with it.  Any thread. */
apr_status_t mpmx_poller_arm(mpmx_poller *poller, mpmx_poll_entry *entry, int fd,
                             uint64_t token, unsigned interest);

/* Forgets `fd`; needed before the descriptor is closed by somebody else or given
 * away.  close(2) alone suffices for poller_epoll, but not for every system.
 * Only the owner of the entry. */
void mpmx_poller_forget(mpmx_poller *poller, mpmx_poll_entry *entry, int fd);

/* The descriptor of this entry is about to be closed: nothing more is reported for it.
 * The entry may be armed again, for the next descriptor of that number; what a
 * back-end allocated for it is kept for then.  Only the owner of the entry. */
void mpmx_poller_release(mpmx_poller *poller, mpmx_poll_entry *entry);

/* Reports of a listening socket, until mpmx_poller_unlisten(). Any thread, but
 * the two calls for one socket must not overlap. */
apr_status_t mpmx_poller_listen(mpmx_poller *poller, mpmx_poll_entry *entry, int fd,
                                uint64_t token);
void mpmx_poller_unlisten(mpmx_poller *poller, mpmx_poll_entry *entry, int fd);

/* Waits for at most `max` reports; 0 after a signal or a lost race. Any thread. */
int mpmx_poller_wait(mpmx_poller *poller, mpmx_poll_event *events, int max);

/* A descriptor that is readable while reports wait for somebody, or -1 where the system has none.
 * For poll(2) only. Any thread. */
int mpmx_poller_descriptor(mpmx_poller *poller);

/* Makes one waiting thread (or the next one that waits) return with a report of
 * MPMX_POLL_WAKE_TOKEN. Any thread. */
void mpmx_poller_wake(mpmx_poller *poller);

/* From now on every wait returns at once. Any thread; irrevocable. */
void mpmx_poller_shut(mpmx_poller *poller);

#endif
