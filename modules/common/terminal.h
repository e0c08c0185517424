/* SIGWINCH is httpd's order for a graceful stop, and what a terminal sends when its window changes
 * its size. A server that has a terminal must tell one from the other. */
#ifndef MPMX_TERMINAL_H
#define MPMX_TERMINAL_H

#include "apr_pools.h"

/* Keeps SIGWINCH from core's handler, until `pool` goes, if a terminal could send it. To be called in
 * every run of the MPM, before core's handlers are set: by the parent, or the only process. */
void mpmx_terminal_watch(apr_pool_t *pool);

/* For poll(2): readable when mpmx_terminal_obey() has something to look at. -1: there is none, as
 * where SIGWINCH is not kept from anybody. */
int mpmx_terminal_descriptor(void);

/* Hands a SIGWINCH that somebody has sent to core's handler, and drops those of a terminal. */
void mpmx_terminal_obey(void);

/* In a forked child: it has nothing to do with it. */
void mpmx_terminal_forget(void);

#endif
