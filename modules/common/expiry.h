/* Deadlines of connections, and who goes before his. Whoever is found is claimed and handed to a
 * worker, because closing runs module code that may block. */
#ifndef MPMX_EXPIRY_H
#define MPMX_EXPIRY_H

#include "conn.h"

/* Has connections closed that have waited the longest for a head, or for the rest of one: a part of them,
 * and not just a few if there are more. Any thread. Returns how many. */
int mpmx_expiry_idlest(struct mpmx_child *child);

/* Claims every connection that `wanted` says yes to and hands it to a worker, which
 * then treats its deadline as passed. Any thread (housekeeper). Returns how many. */
int mpmx_expiry_all(struct mpmx_child *child, int (*wanted)(const mpmx_conn *conn, int64_t now));

/* For mpmx_wheel_advance(); the baton is the child. */
int64_t mpmx_expiry_visit(mpmx_deadline *deadline, int64_t now, void *baton);

#endif
