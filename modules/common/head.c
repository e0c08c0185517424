/* See head.h. */
#include "head.h"
#include "ack.h"
#include "child.h"
#include "linger.h"
#include "log.h"
#include "serve.h"
#include "socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST    1024
#define BUF_MAX      MPMX_SCRATCH        /* holds any TLS record: 5 + 18432 */

static int grow(mpmx_conn *conn, uint32_t need)
{
    uint32_t size = conn->buf_size ? conn->buf_size : BUF_FIRST;
    char *buf;

    if (need > BUF_MAX)
        return 0;
    while (size < need)
        size *= 4;
    if (size > BUF_MAX)
        size = BUF_MAX;
    if (size == conn->buf_size)
        return 1;
    if (!(buf = realloc(conn->buf, size)))
        return 0;
    conn->buf = buf;
    conn->buf_size = size;
    return 1;
}

int mpmx_head_append(mpmx_conn *conn, const char *bytes, size_t len)
{
    if (len > BUF_MAX - conn->buf_len)
        return 0;
    if (conn->buf_len + len > conn->buf_size && !grow(conn, conn->buf_len + (uint32_t)len))
        return 0;
    memcpy(conn->buf + conn->buf_len, bytes, len);
    conn->buf_len += (uint32_t)len;
    return 1;
}

static int judge(mpmx_conn *conn, const char *bytes, uint32_t len)
{
    mpmx_gate_kind kind = conn->tls ? MPMX_GATE_TLS : MPMX_GATE_HTTP;

    if (conn->gated) {
        mpmx_gate_verdict verdict = mpmx_gate_feed(&conn->gate, kind, bytes, len);

        if (verdict == MPMX_GATE_MORE && len < BUF_MAX)
            return 0;
        if (verdict == MPMX_GATE_SERVE)  /* no HTTP/1: nothing to be judged later, either */
            conn->gated = 0;
    }
    conn->input = bytes;
    conn->input_len = len;
    return 1;
}

int mpmx_head_judge(mpmx_conn *conn, const char *bytes, uint32_t len)
{
    if (judge(conn, bytes, len))
        return 1;
    if (grow(conn, len)) {
        memcpy(conn->buf, bytes, len);
        conn->buf_len = len;
        return 0;
    }
    conn->input = bytes;                 /* memory is out: a worker must wait for the rest */
    conn->input_len = len;
    return 1;
}

/* Receives what is there. 1: serve conn->input; 0: wait for more; -1: the peer has
 * closed and nothing is left to be answered. */
static int collect(mpmx_worker *w, mpmx_conn *conn)
{
    char *to = w->scratch;
    uint32_t room = MPMX_SCRATCH;
    ssize_t n;

    if (conn->buf_len) {
        if (conn->buf_len == conn->buf_size && !grow(conn, conn->buf_size + 1)) {
            conn->input = conn->buf;
            conn->input_len = conn->buf_len;
            return 1;
        }
        to = conn->buf + conn->buf_len;
        room = conn->buf_size - conn->buf_len;
    }
    do
        n = recv(conn->fd, to, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    conn->drained = n > 0 && (uint32_t)n < room;
    if (n == 0) {
        if (!conn->buf_len)
            return -1;
        conn->input = conn->buf;         /* the core sees the same: a part and the end */
        conn->input_len = conn->buf_len;
        return 1;
    }
    if (!conn->buf_len)
        return mpmx_head_judge(conn, w->scratch, (uint32_t)n);
    conn->buf_len += (uint32_t)n;
    return judge(conn, conn->buf, conn->buf_len);
}

static void gone(mpmx_worker *w, mpmx_conn *conn)
{
    if (conn->c)
        mpmx_serve_gone(w, conn);
    else {
        mpmx_socket_unmake(w, conn);
        mpmx_conn_close(w, conn);
    }
}

void mpmx_head_try(mpmx_worker *w, mpmx_conn *conn)
{
    switch (collect(w, conn)) {
    case 1:
        mpmx_serve(w, conn);
        break;
    case 0:
        mpmx_socket_unmake(w, conn);
        if (conn->buf_len)
            mpmx_ack_now(conn->fd);
        mpmx_conn_await_head(w, conn);
        break;
    default:
        gone(w, conn);
    }
}

int mpmx_head_has_input(mpmx_conn *conn)
{
    char byte;

    return recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* What has come meanwhile, and only found no thread. As collect(). */
static int collect_rest(mpmx_worker *w, mpmx_conn *conn)
{
    int got = 0;

    while (got == 0 && mpmx_head_has_input(conn))  /* the buffer grows with what is in it */
        got = collect(w, conn);
    return got;
}

int mpmx_head_is_complete(mpmx_worker *w, mpmx_conn *conn)
{
    return collect_rest(w, conn) > 0;
}

/* Unless it is complete by now, let the core answer 408 and log it, as it does when a worker waits
 * in vain. */
void mpmx_head_expired(mpmx_worker *w, mpmx_conn *conn)
{
    int got;

    if (conn->tls && conn->c) {          /* what is in the buffer is decoded (tls_head.c) */
        conn->head_late = 1;
        mpmx_serve(w, conn);
        return;
    }
    got = collect_rest(w, conn);
    if (got < 0) {
        gone(w, conn);
        return;
    }
    if (got == 0) {
        conn->input = conn->buf;
        conn->input_len = conn->buf_len;
        conn->head_late = 1;
    }
    mpmx_serve(w, conn);
}
