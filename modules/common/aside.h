/* A child that is not needed for short connections is not woken for them.
 *
 * While one child serves, the kernel tells another one of the next connection.  Where all that
 * comes is little enough for one core, that makes two half idle children: each sleeps and is
 * woken up some thousand times a second, and they and their clients interrupt each other.  So, where
 * connections come and go by the thousand, and what they cost fits into one core, all but the
 * first child that accepts stand aside: they do not listen, and look every few milliseconds
 * whether that one still copes.  Who serves slowly, or connections that stay, are not affected.
 */
#ifndef MPMX_ASIDE_H
#define MPMX_ASIDE_H

#include "child.h"

/* Memory in which the children count what they accept. Without it nobody stands aside. Parent, before it
 * starts any. */
void mpmx_aside_init(apr_pool_t *pool);

/* The slot is about to be a new child's. Parent, before it starts it. */
void mpmx_aside_begin(int slot);

/* Counts one connection. Workers, after an accept. */
void mpmx_aside_count(mpmx_child *child);

/* Nobody is left to be accepted. Workers. */
void mpmx_aside_emptied(mpmx_child *child);

/* Says to the other children whether all of this one's threads have come back soon for a while. Housekeeper. */
void mpmx_aside_say(mpmx_child *child, int calm);

/* Stands aside, if that is right. Workers, now and then after an accept; nearly always cheap. */
void mpmx_aside_consider(mpmx_child *child);

/* Does another child with the same sockets stand aside, and rely on those that do not? Any thread. */
int mpmx_aside_anybody(const mpmx_child *child);

/* Something has happened to another child: has the next look come at once. Housekeeper. */
void mpmx_aside_hurry(mpmx_child *child);

/* Listens again if it is needed. `until`: when the housekeeper looks again at the latest (coarse ms);
 * made earlier. Housekeeper. */
void mpmx_aside_go_on(mpmx_child *child, int64_t now, int64_t *until);

#endif
