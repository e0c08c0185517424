/* Connections that wait in the kernel to be accepted. */
#ifndef MPMX_ACCEPT_QUEUE_H
#define MPMX_ACCEPT_QUEUE_H

/* Is the queue of a listening TCP socket half full, or more? No where the system does not tell. A
 * system call. Any thread. */
int mpmx_accept_queue_is_long(int fd);

#endif
