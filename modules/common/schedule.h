/* How the operating system schedules worker threads. */
#ifndef MPMX_SCHEDULE_H
#define MPMX_SCHEDULE_H

/* For worker threads: the calling thread, when woken, is to wait for its turn and not to
 * interrupt the one that is running, which is most likely another worker in the middle of a
 * request.  docs/internals/crew.md has what that saves.  Has no effect where the system
 * cannot, or where the administrator has chosen a scheduling class. */
void mpmx_schedule_in_turn(void);

/* Takes that back: the calling thread is to run soon after it is woken. Cheap if it was not given. */
void mpmx_schedule_at_once(void);

#endif
