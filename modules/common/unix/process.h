/* The parent's own table of its children.
 *
 * It is private memory of the parent: children run unprivileged and can write anything
 * into the scoreboard, so neither pids nor slots nor phases are ever read from there.
 * It lives in httpd's global pool, because the DSO is unloaded and loaded again over a
 * restart; hence no pointers into the DSO, no constants of it.
 */
#ifndef MPMX_PROCESS_H
#define MPMX_PROCESS_H

#include <poll.h>
#include <stdatomic.h>
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>
#include "mpmx.h"

typedef enum {
    MPMX_PROC_STARTING,          /* forked, has not said that it accepts             */
    MPMX_PROC_RUNNING,
    MPMX_PROC_LEAVING            /* drains; does not count as a server any more      */
} mpmx_proc_phase;

typedef struct mpmx_proc {
    pid_t pid;
    int slot;                    /* in the scoreboard; -1: has lost it               */
    int bucket;
    ap_generation_t generation;
    mpmx_proc_phase phase;
    int worn;                    /* has had MaxConnectionsPerChild: a replacement is on its
                                    way, after which it is told to drain             */
    int ready;                   /* has accepted at some time                        */
    int late;                    /* it was logged that it takes long to start        */
    int told;                    /* last word said to it (MPMX_SAY_*), or 0          */
    int unsaid;                  /* ... for which there was no room in the socket    */
    int control;                 /* our end of the socket, or -1                     */
    int pidfd;                   /* readable when it has ended, or -1                */
    int64_t born;                /* coarse ms                                        */
    int64_t retired;             /* told to drain for a newer generation: coarse ms, or 0 */
    int64_t stopped;             /* told to stop, as its time was over: coarse ms, or 0 */
    int signals;                 /* ... and how many signals it was sent since       */
    ap_generation_t offered;     /* whose listeners it may hand connections over to, + 1;
                                    0: nobody's (handover.h)                         */
} mpmx_proc;

/* What outlives a restart, besides what httpd retains for every MPM. */
typedef struct mpmx_retained {
    int first_server_limit;
    int first_thread_limit;
    mpmx_proc *proc;             /* allocated by malloc                              */
    int procs, room;
    struct pollfd *pfd;          /* scratch memory of the loop                       */
    int pfds;
    int spawn_rate;              /* children to start in the next second, if short   */
    int hold_off;                /* idle seconds before the rate may grow            */
    int lost;                    /* ended or leaving without being told, to be replaced */
    int crashes;                 /* in a row, without a quiet second                 */
    int64_t calm_at;             /* when that second is over, coarse ms              */
    int64_t next_spawn;          /* not before (coarse ms)                           */
    int spawn_pause;             /* ms; fork and the like have failed, the last time */
    _Atomic int64_t spawn_logged;        /* coarse ms                                */
    int reported_limit;          /* logged: 1 "within MinSpareThreads of it", 2 "reached" */
    int carry;                   /* children the next generation should start with   */
    ap_generation_t begun;       /* the last one whose configuration was read        */
    ap_generation_t *over;       /* whose last process has ended meanwhile (malloc)  */
    int overs;
    int restart_order;           /* came too late for the last restart (reload.c), or 0 */
    int handover_open;           /* ... and it is there:                             */
    int handover[2];             /* idle connections on their way: receiving end,
                                    sending end                                      */
} mpmx_retained;

/* The record of this DSO, made when it is not there. Parent; also before pre_config. */
mpmx_retained *mpmx_retained_get(void);

/* Forks a child of the current generation. 0: it runs, else an errno. spawn.c */
int mpmx_spawn(mpmx_retained *all, int bucket);

/* Readable when the process has ended; or -1 where there is no such thing. spawn.c */
int mpmx_pidfd_of(pid_t pid);

/* A free slot, or -1. spawn.c */
int mpmx_slot_find(mpmx_retained *all);

/* The table's entry of `pid`, or NULL. */
mpmx_proc *mpmx_proc_find(mpmx_retained *all, pid_t pid);

/* Takes an entry out; pointers to others are void afterwards. */
void mpmx_proc_remove(mpmx_retained *all, mpmx_proc *proc);

/* Sends a word to a child that changes nothing about it. 0: there is no room for it now. */
int mpmx_proc_tell(mpmx_proc *proc, char word);

/* Says to a child that it is to leave; a later word never goes back behind an earlier one. */
void mpmx_proc_say(mpmx_proc *proc, char word);

/* Sends the last one to a child that was too far behind for it (SIGSTOP, or flooded by another). */
void mpmx_proc_say_again(mpmx_proc *proc);

/* Sends it a signal, and surely to nobody else. */
void mpmx_proc_signal(const mpmx_proc *proc, int sig);

/* How many are in the current generation, not leaving and not to be replaced. */
int mpmx_procs_serving(mpmx_retained *all);

/* --- generation.c: who should be there -------------------------------------------- */

/* The first child of the current generation accepts: the older ones are to drain. */
void mpmx_generation_retire_older(mpmx_retained *all);

/* Tells older children that nobody has forgotten them: no new one accepts yet. Once in ten seconds
 * at least. */
void mpmx_generation_reassure_older(mpmx_retained *all);

/* A child has had its share of connections (MaxConnectionsPerChild): another one is started
 * for it. It may leave as soon as somebody else accepts, which may be now. */
void mpmx_generation_worn(mpmx_retained *all, mpmx_proc *proc);

/* A child accepts for the first time: says so if it was late. */
void mpmx_generation_child_ready(const mpmx_proc *proc);

/* A child accepts: those of its bucket that are worn may leave. */
void mpmx_generation_relieve(mpmx_retained *all, int bucket);

/* Starts what the new generation begins with. */
void mpmx_generation_begin(mpmx_retained *all);

/* Once a second: keeps the number of spare threads within its limits. */
void mpmx_generation_maintain(mpmx_retained *all);

/* A child has ended; decides what follows. Nonzero: the server must stop. */
int mpmx_generation_child_ended(mpmx_retained *all, mpmx_proc *proc, apr_exit_why_e why, int code);

/* Starts children that are missing after a death, without waiting for the next second.
 * Returns when to try again (coarse ms) or INT64_MAX. */
int64_t mpmx_generation_refill(mpmx_retained *all);

/* --- leaving.c: how long older generations may take --------------------------------- */

/* From now on counts what an older child has of GracefulDrainTimeout. Again: no effect. */
void mpmx_leaving_begin(mpmx_proc *proc);

/* Does what is due to those whose time is over. Returns when to look again (coarse ms) or INT64_MAX;
 * to be called before every wait. */
int64_t mpmx_leaving_look(mpmx_retained *all);

/* A process of that generation has ended, or there was none: says so if it was the last of an
 * older one. */
void mpmx_leaving_ended(mpmx_retained *all, ap_generation_t generation);

/* The configuration of the current generation has been read, and so its log files are open. */
void mpmx_leaving_logs_open(mpmx_retained *all);

/* --- supervisor.c --------------------------------------------------------------------- */

/* Blocks the signals that core's handlers turn into flags. */
void mpmx_flags_block(sigset_t *before);

/* Hook mpm. */
int mpmx_supervisor_run(apr_pool_t *pconf, apr_pool_t *plog, server_rec *s);

#endif
