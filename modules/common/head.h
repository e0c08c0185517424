/* Collecting a request head: bytes are received and the gate is asked, until a worker can
 * start on them. No conn_rec is needed; inside TLS see tls_head.h. All functions are for the owner.
 */
#ifndef MPMX_HEAD_H
#define MPMX_HEAD_H

#include "conn.h"

/* Receives what is there. Then it is served, waits for more, or is closed; it is no longer the
 * caller's. Workers. */
void mpmx_head_try(mpmx_worker *w, mpmx_conn *conn);

/* Has the gate look at `len` bytes, the first of a head. Either they are to be served
 * now (returns nonzero, conn->input points to them) or they are copied to conn->buf,
 * and what follows is collected there. */
int mpmx_head_judge(mpmx_conn *conn, const char *bytes, uint32_t len);

/* Adds bytes of a head to conn->buf. 0 if they are too many or memory is out. */
int mpmx_head_append(mpmx_conn *conn, const char *bytes, size_t len);

/* Is there input that nobody has received? */
int mpmx_head_has_input(mpmx_conn *conn);

/* RequestHeadTimeout has passed for the part that has come. It is no longer the caller's. Workers. */
void mpmx_head_expired(mpmx_worker *w, mpmx_conn *conn);

/* Has the rest of a head come, of which a part is there? Not inside TLS. If so, it is to be served now. Workers. */
int mpmx_head_is_complete(mpmx_worker *w, mpmx_conn *conn);

#endif
