/* Stands in for the listeners and the other children where recall.c is tested without them:
 * nobody else has threads. */
#ifndef RECALL_STUBS_H
#define RECALL_STUBS_H

#include "child.h"
#include "scoreboard.h"

void mpmx_listeners_pause(mpmx_child *c, int reason)
{
    (void)c;
    (void)reason;
}

void mpmx_listeners_go_on(mpmx_child *c, int reason)
{
    (void)c;
    (void)reason;
}

int mpmx_scoreboard_others_idle(const mpmx_child *c)
{
    (void)c;
    return 0;
}

#endif
