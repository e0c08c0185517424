/* Connections are spread evenly over the children.
 *
 * The kernel hands a connection to whoever asks first, which under a burst is the child that
 * happens to have the core.  So who has clearly more than its share leaves what comes next to
 * the others for some milliseconds; if they take nothing meanwhile, it goes on for a while
 * without asking.  Of what has come by then, the others may not be told before the next one
 * comes, so it waits as long.  A queue that is half full is left to nobody.
 */
#ifndef MPMX_SHARE_H
#define MPMX_SHARE_H

#include "child.h"

/* Says how many connections this child has, and pauses its listeners if that is too many
 * compared with the others. Nonzero if it does. Workers, now and then after an accept. */
int mpmx_share_leave(mpmx_child *child, const mpmx_listener *l);

/* Ends that pause when it is time. `until`: when the housekeeper looks again at the latest
 * (coarse ms); made earlier. Housekeeper. */
void mpmx_share_go_on(mpmx_child *child, int64_t now, int64_t *until);

#endif
