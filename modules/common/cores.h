/* How many processors this process may use. */
#ifndef MPMX_CORES_H
#define MPMX_CORES_H

/* At least 1. Any thread. */
int mpmx_cores(void);

#endif
