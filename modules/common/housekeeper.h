/* The child's main thread: ticks, deadlines, words from the parent, the end. */
#ifndef MPMX_HOUSEKEEPER_H
#define MPMX_HOUSEKEEPER_H

#include "child.h"

/* Starts the workers, keeps house, and returns when the child is done: all workers have
 * ended.  If some do not end although they must, it ends the process. Main thread. */
void mpmx_housekeeper_run(mpmx_child *child, apr_pool_t *pruntime);

#endif
