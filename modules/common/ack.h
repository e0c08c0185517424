/* When the system tells a client that its bytes have arrived.
 *
 * The first bytes of a connection are acknowledged at once, in a packet of its own; later ones with
 * what is sent in return, or after some 40 ms.  Where the first bytes are a request that is answered
 * right away, that packet is one in nine of a short connection.  So listening sockets hand on
 * the later habit to their connections, and where we have to wait for the rest of something the client is
 * told at once what we have: with Nagle's algorithm (RFC 896) it may send no more before. (Not in the middle
 * of a TLS record.)
 */
#ifndef MPMX_ACK_H
#define MPMX_ACK_H

/* What is accepted on this listening socket, where clients speak first, acknowledges with its answers; harmless where the system
 * has no such thing (tcp(7), TCP_QUICKACK). Any thread. unix/ack.c */
void mpmx_ack_with_answer(int listening);

/* Acknowledges what has arrived, and for a while what arrives. A system call. Owner of the descriptor. */
void mpmx_ack_now(int fd);

#endif
