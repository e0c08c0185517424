/* The scoreboard: what mod_status and others see of us.
 *
 * Records are reached only through httpd's accessor functions: the records have grown
 * over the versions of 2.4, and the core knows their real size.  Nothing here decides
 * anything; see supervisor.c for the parent's own table.
 */
#ifndef MPMX_SCOREBOARD_H
#define MPMX_SCOREBOARD_H

#include "child.h"
#include "scoreboard.h"

/* How many slots to ask for: ServerLimit, and as many again (8 to 64; with a single child
 * one) for processes that only finish what they have. */
int mpmx_scoreboard_slots(int server_limit);

/* Is the running server's scoreboard laid out as the headers said that this module was
 * built with? Logs why not. Parent, after pre_mpm. */
int mpmx_scoreboard_fits(server_rec *s);

/* A slot is taken by a new process; or its process has ended. Parent. */
void mpmx_scoreboard_take(int slot, int bucket, pid_t pid, ap_generation_t generation);
void mpmx_scoreboard_free(int slot);
void mpmx_scoreboard_quiescing(int slot, char how);

/* A worker begins, waits, ends. That worker. */
void mpmx_scoreboard_worker_start(mpmx_worker *w);
void mpmx_scoreboard_worker_ready(mpmx_worker *w);
void mpmx_scoreboard_worker_end(mpmx_worker *w);

/* The slot is another process's now: what httpd and we go on writing in it goes to memory of this
 * process alone, where it may be looked up as before. Housekeeper. */
void mpmx_scoreboard_lose_slot(mpmx_child *child);

/* Writes the child's counters. Any of its threads. */
void mpmx_scoreboard_publish(mpmx_child *child);

/* Connections of a slot's process as it has said last. Any process. */
int mpmx_scoreboard_connections(int slot);

/* Average number of connections of the server's children that accept, or of those with the sockets of one
 * bucket only; 0 if there is just one. `children`: how many they are. Any process. */
#define MPMX_ALL_BUCKETS (-1)
int mpmx_scoreboard_average(int bucket, int *children);

/* Is the slot that of another living child of this generation that accepts on the same sockets, as
 * far as it says? Any thread. */
int mpmx_scoreboard_is_partner(const mpmx_child *child, int slot);

/* Has another living child of this generation, with the same sockets, an idle thread, as far as they say?
 * Housekeeper. */
int mpmx_scoreboard_others_idle(const mpmx_child *child);

/* Threads of a slot that are idle or busy, as the child says. The parent uses it for
 * nothing but the number of spare threads, and bounds it. */
void mpmx_scoreboard_threads(int slot, int threads, int *idle, int *busy);

#endif
