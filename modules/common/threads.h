/* When a child's worker threads are started, and what follows if they cannot be. */
#ifndef MPMX_THREADS_H
#define MPMX_THREADS_H

#include "child.h"

/* Those that are there before anything happens. `pool`: theirs. Housekeeper. */
void mpmx_threads_begin(mpmx_child *child, apr_pool_t *pool);

/* Those that have become necessary, or could not be started the last time; `*until` is brought
 * forward to when to try again (coarse ms). Housekeeper. */
void mpmx_threads_go_on(mpmx_child *child, apr_pool_t *pool, int64_t now, int64_t *until);

#endif
