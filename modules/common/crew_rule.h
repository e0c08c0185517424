/* What crew.c and tick.c have in common, and nobody else may use. */
#ifndef MPMX_CREW_RULE_H
#define MPMX_CREW_RULE_H

#include "crew.h"

#define MPMX_STATE_UNASKED (-1)          /* of a worker's state_fd                   */

/* Gives what a worker that blocks or rests has fetched but not served to the others. That worker, or the
 * housekeeper. */
void mpmx_crew_take_over(mpmx_crew *crew, mpmx_worker *w);

/* It counts as blocked no more, if it did. That worker, or the housekeeper. */
void mpmx_crew_unmark(mpmx_crew *crew, mpmx_worker *w);

/* Lets workers run until `want` do, and asks for threads if too few are in reserve then. Any thread. */
void mpmx_crew_release(mpmx_crew *crew, int want);

/* There is work, and somebody in the poller: wakes one up. Any thread. */
void mpmx_crew_wake_for_work(mpmx_crew *crew);

/* Is it of any use to know who blocks? Not while somebody waits for reports, nor when
 * nobody stands by who could be let run. Any thread. */
int mpmx_crew_is_of_use(mpmx_crew *crew);

#endif
