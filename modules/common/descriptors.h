/* How many descriptors this process may have. */
#ifndef MPMX_DESCRIPTORS_H
#define MPMX_DESCRIPTORS_H

/* Raises the soft limit to the hard one, `most` at most. Main thread, before others exist. */
void mpmx_descriptors_raise(unsigned most);

#endif
