/* Connections that wait in the kernel to be accepted. When the queue is full the kernel drops what comes,
 * and clients try again after some tenths of a second, or more. */
#ifndef MPMX_ACCEPT_QUEUE_H
#define MPMX_ACCEPT_QUEUE_H

/* Is the queue of a listening TCP socket more than half full? No where the system does not tell. A
 * system call. Any thread. */
int mpmx_accept_queue_is_long(int fd);

/* How many wait in it, and how many there may be at most. Zero: the system does not tell. A system call. Any
 * thread. */
int mpmx_accept_queue(int fd, int *waiting, int *most);

#endif
