/* A clock for deadlines that does not jump. */
#ifndef MPMX_CLOCK_H
#define MPMX_CLOCK_H

#include <stdint.h>

/* Milliseconds on a monotonic clock; cheap (no system call), coarse (a kernel
 * tick, up to 10 ms late).  For the deadlines of connections. */
int64_t mpmx_clock_coarse_ms(void);

/* Microseconds on the same clock, exact.  For timed callbacks and the crew's tick. */
int64_t mpmx_clock_us(void);

/* Microseconds of CPU time that all threads of this process have used. A system call. */
int64_t mpmx_clock_cpu_us(void);

#endif
