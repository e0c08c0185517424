/*
 * gate_fuzz.c - promise: for any bytes in any pieces the gate agrees with its
 * model, reads no byte beyond those it was given, and keeps to its verdict.
 *
 * Input: one byte for the listener ('T': TLS, anything else: plain HTTP), one
 * byte for how the rest is cut into pieces ('0': not at all, '1': into single
 * bytes, anything else: by a generator seeded with it), then what the client sends.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate.h"
#include "gate_model.h"

#define INVARIANT(holds) \
    do { \
        if (!(holds)) { \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #holds); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of its own for each feed: the buffer may move, and what lies behind it is poisoned. */
static mpmx_gate_verdict feed(mpmx_gate *g, mpmx_gate_kind kind, const uint8_t *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    mpmx_gate_verdict verdict;

    if (copy == NULL)
        abort();
    memcpy(copy, bytes, len);
    verdict = mpmx_gate_feed(g, kind, copy, len);
    if (verdict == MPMX_GATE_HEAD) {
        INVARIANT(g->head_len > 0 && g->head_len <= len);
        INVARIANT(copy[g->head_len - 1] == '\n');
    }
    else {
        INVARIANT(g->head_len == 0);
    }
    INVARIANT(g->scanned <= len);
    free(copy);
    return verdict;
}

static size_t next_piece(uint8_t cut, uint32_t *seed, size_t left)
{
    size_t piece;

    if (cut == '0')
        return left;
    if (cut == '1')
        return 1;
    *seed = *seed * 1664525 + 1013904223;
    /* mostly short pieces, now and then none at all or a long one */
    piece = (*seed >> 24) & 15;
    if (piece == 15)
        piece = (*seed >> 8) & 1023;
    return piece < left ? piece : left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mpmx_gate_verdict once, due, verdict = MPMX_GATE_MORE;
    mpmx_gate_kind kind;
    mpmx_gate g;
    uint32_t seed;
    uint8_t cut;
    size_t at, n = 0;

    if (size < 2)
        return 0;
    kind = data[0] == 'T' ? MPMX_GATE_TLS : MPMX_GATE_HTTP;
    cut = data[1];
    seed = cut;
    data += 2;
    size -= 2;

    due = model_judge(kind, (const char *)data, size, &at);
    mpmx_gate_reset(&g);
    once = feed(&g, kind, data, size);
    INVARIANT(once == due);
    INVARIANT(once != MPMX_GATE_HEAD || g.head_len == at);

    mpmx_gate_reset(&g);
    while (n < size) {
        n += next_piece(cut, &seed, size - n);
        verdict = feed(&g, kind, data, n);
        INVARIANT(verdict == (due != MPMX_GATE_MORE && n >= at ? due : MPMX_GATE_MORE));
        if (verdict != MPMX_GATE_MORE)
            break;
    }
    if (verdict != MPMX_GATE_MORE) {
        /* final: neither more bytes nor the same ones again change it */
        uint32_t head_len = g.head_len;

        INVARIANT(head_len == (verdict == MPMX_GATE_HEAD ? at : 0));
        INVARIANT(feed(&g, kind, data, size) == verdict && g.head_len == head_len);
        INVARIANT(feed(&g, kind, data, size) == verdict && g.head_len == head_len);
    }
    return 0;
}
