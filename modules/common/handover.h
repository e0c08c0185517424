/* Handover: idle connections travel from a child that leaves to those that stay, with their
 * descriptor, their count of requests and what is left of their time (GracefulHandover).
 *
 *   parent                      child that leaves             child that stays
 *   one socket pair for all     H: its sending end, and       has the receiving end in its
 *   generations                 where is listened now         poller beside the listeners
 *                               !: drains; what is idle: one
 *                               datagram each ------------->  checks it, makes the record, waits
 *                               closes its own descriptor     for the next request
 *
 * What has arrived on a connection meanwhile stays in the kernel, which belongs to the
 * descriptor and not to a process.  docs/internals/handover.md has the reasons.
 */
#ifndef MPMX_HANDOVER_H
#define MPMX_HANDOVER_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>
#include "handover_record.h"

struct mpmx_child;
struct mpmx_listener;
struct mpmx_proc;
struct mpmx_retained;
struct mpmx_worker;

#define MPMX_PLACES_MAX 256              /* listeners that the parent tells of             */

/* A child's part of it as one that leaves. Housekeeper's, but for `dozing`. */
typedef struct mpmx_handover {
    int on;                      /* there are others who take connections             */
    int socket;                  /* to them                                           */
    unsigned char offer;         /* counts what the parent has said; never 0 once said */
    unsigned at;                 /* descriptor at which to go on                      */
    int64_t next;                /* coarse ms; not before                             */
    int pause_ms;                /* the next one, if nothing can be done              */
    int moved;                   /* in this look at all connections                   */
    _Atomic int dozing;          /* are being put to sleep; workers count them out    */
    int gone;                    /* have travelled, in all                            */
    int reported;                /* that was logged                                   */
} mpmx_handover;

/* --- parent (unix/handover.c) ------------------------------------------------------------ */

/* Makes the socket pair when it is wanted and not there. Before children are forked. */
void mpmx_handover_prepare(struct mpmx_retained *all);

/* Gives a child that is about to be told to drain what it needs to hand its idle connections
 * over, or takes that back (GracefulHandover Off). Before the word, when somebody else accepts; does
 * nothing as long as others are about to, and is called again then. */
void mpmx_handover_offer(struct mpmx_retained *all, struct mpmx_proc *proc);

/* Once a second: offers that had to wait, and what lies in the socket because it was told to somebody
 * who did not take it, or died. */
void mpmx_handover_remind(struct mpmx_retained *all);

/* Closes what a child needs only once it is given to it. Freshly forked child. */
void mpmx_handover_become_child(struct mpmx_retained *all);

/* The receiving end, or -1. Parent and children. */
int mpmx_handover_receiver(void);

/* --- child that leaves (unix/handover_send.c) -------------------------------------------------- */

/* recv(2) of one word from the parent; takes what comes with it. As recv(2). Housekeeper. */
ssize_t mpmx_handover_hear(struct mpmx_child *child, char *word);

/* Sends away who is idle, as long as that can be done without waiting. `until`: when to go on
 * (coarse ms); made earlier. Housekeeper. */
void mpmx_handover_go_on(struct mpmx_child *child, int64_t now, int64_t *until);

/* --- child that stays (unix/handover_take.c) ----------------------------------------------------- */

/* Makes `l` the receiving end, as one that can be paused like a listener. Main thread. */
void mpmx_handover_listen(struct mpmx_listener *l, int fd);

/* This child takes no more: others are to look, or at the end of all, it takes what is there. Worker. */
void mpmx_handover_leave(struct mpmx_worker *w, struct mpmx_listener *l);

#endif
