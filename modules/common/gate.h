/*
 * gate.h - has the client sent enough to be worth a thread?
 *
 * The gate looks at the first bytes of a request as they arrive and says when a
 * worker can start on them without having to wait for more. It parses nothing,
 * refuses nothing and changes nothing: whatever it lets through, httpd's core
 * reads from the first byte on and answers as it always did.
 *
 * Pure functions on caller-owned memory: no allocation, no system call, no
 * state outside the struct. Any thread may call them, one at a time per gate.
 */
#ifndef MPMX_GATE_H
#define MPMX_GATE_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    MPMX_GATE_MORE,      /* nothing to decide yet: wait for more bytes */
    MPMX_GATE_HEAD,      /* bytes [0, head_len) are a complete request head, blank line included */
    MPMX_GATE_SERVE      /* cannot or need not be judged (no HTTP/1.x, a whole TLS record): serve at once */
} mpmx_gate_verdict;

typedef enum {
    MPMX_GATE_HTTP,      /* plain listener: an HTTP/1.x head, possibly after blank lines */
    MPMX_GATE_TLS        /* TLS listener: one whole TLS record, or plain HTTP sent there by mistake */
} mpmx_gate_kind;

/*
 * One per connection that waits, so it is small and holds offsets, not pointers:
 * the buffer may move between two feeds. All zeros is the reset state.
 */
typedef struct mpmx_gate {
    uint32_t scanned;    /* bytes [0, scanned) need no second look */
    uint32_t head_len;   /* valid after MPMX_GATE_HEAD, else 0 */
    uint32_t mark;       /* start of the current line; within a request line, of its current word */
    uint8_t state;       /* private to gate.c */
    uint8_t blanks;      /* empty lines skipped before the request line */
} mpmx_gate;

/* Makes *g ready for a new request. */
void mpmx_gate_reset(mpmx_gate *g);

/*
 * Looks at the bytes that came in since the last feed.
 *
 * buf holds all len bytes received since the reset, old ones included, and is
 * not kept; len never shrinks (if it does, the answer is the last verdict).
 * kind must be the same for all feeds between two resets. buf may be NULL when
 * len is 0.
 *
 * The verdict depends on the bytes alone, not on the pieces in which they came.
 * A verdict other than MPMX_GATE_MORE is final until the next reset. Having
 * seen 2^31 bytes without being able to judge them is MPMX_GATE_SERVE.
 */
mpmx_gate_verdict mpmx_gate_feed(mpmx_gate *g, mpmx_gate_kind kind,
                                 const char *buf, size_t len);

#endif
