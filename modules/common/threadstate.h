/* Is another thread of this process asleep for the operating system? */
#ifndef MPMX_THREADSTATE_H
#define MPMX_THREADSTATE_H

/* An identification of the calling thread for mpmx_threadstate_open(). */
int mpmx_threadstate_self(void);

/* A handle for asking about thread `tid` of this process, or -1 if this system
 * cannot tell (the crew then goes by time alone), or not now (errno: EMFILE, ENFILE). */
int mpmx_threadstate_open(int tid);

/* 1: asleep (waiting for something); 0: running or ready to run; -1: unknown. */
int mpmx_threadstate_asleep(int handle);

void mpmx_threadstate_close(int handle);

#endif
