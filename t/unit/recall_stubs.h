/*
 * recall_stubs.h - stands in for the listeners and the other children where recall.c is tested
 * without them: child->paused says whether new connections are left to others.
 *
 * For one translation unit per program.
 */
#ifndef MPMX_RECALL_STUBS_H
#define MPMX_RECALL_STUBS_H

#include "child.h"
#include "scoreboard.h"

static int others_idle;                  /* another child has a thread */

int mpmx_scoreboard_others_idle(const mpmx_child *c)
{
    (void)c;
    return others_idle;
}

void mpmx_listeners_pause(mpmx_child *c, int reason)
{
    atomic_fetch_or(&c->paused, reason);
}

void mpmx_listeners_go_on(mpmx_child *c, int reason)
{
    atomic_fetch_and(&c->paused, ~reason);
}

#endif
