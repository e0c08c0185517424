/*
 * gate_model.h - the gate's rules once more, as slowly and plainly as possible.
 *
 * A state machine that sees one byte, decides, and forgets it. The gate itself
 * looks at many bytes at once and goes back to the start of lines; if the two
 * ever disagree, one of them has misunderstood the rules. Shared by the unit
 * test and the fuzzer.
 */
#ifndef MPMX_GATE_MODEL_H
#define MPMX_GATE_MODEL_H

#include <stddef.h>
#include <string.h>

#include "gate.h"

typedef struct gate_model {
    enum {
        MODEL_FIRST, MODEL_LEAD, MODEL_LEAD_CR, MODEL_METHOD, MODEL_TARGET,
        MODEL_TARGET_CR, MODEL_LINE, MODEL_RECORD, MODEL_HEAD, MODEL_SERVE
    } state;
    size_t seen;             /* bytes fed */
    unsigned blanks;         /* empty lines before the request line */
    size_t length;           /* of the method, of what follows it, or of the header line so far */
    unsigned char first;     /* the header line's first byte */
    char tail[9];            /* the last bytes of the request line */
    unsigned char record[5]; /* TLS record header */
} gate_model;

static int model_token(unsigned char c)
{
    return c != 0 && strchr("!#$%&'*+-.^_`|~0123456789"
                            "abcdefghijklmnopqrstuvwxyz"
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ", c) != NULL;
}

static void model_lead(gate_model *m, unsigned char c)
{
    if (c == '\n')
        m->state = ++m->blanks > 10 ? MODEL_SERVE : MODEL_LEAD;
    else if (c == '\r' && m->state != MODEL_LEAD_CR)
        m->state = MODEL_LEAD_CR;
    else if (model_token(c) && m->state != MODEL_LEAD_CR) {
        m->state = MODEL_METHOD;
        m->length = 1;
    }
    else
        m->state = MODEL_SERVE;
}

static void model_request_line_end(gate_model *m)
{
    const char *t = m->tail;

    if (m->length >= 10 && !strncmp(t, " HTTP/", 6)
        && strchr("0123456789", t[6]) && t[7] == '.' && strchr("0123456789", t[8])) {
        m->state = MODEL_LINE;
        m->length = 0;
    }
    else
        m->state = MODEL_SERVE;
}

static void model_target(gate_model *m, unsigned char c)
{
    if (c == '\n')
        model_request_line_end(m);
    else if (m->state == MODEL_TARGET_CR)
        m->state = MODEL_SERVE;
    else if (c == '\r')
        m->state = MODEL_TARGET_CR;
    else if (c < 32 || c == 127 || (c == ' ' && m->length == 0))
        m->state = MODEL_SERVE;
    else {
        memmove(m->tail, m->tail + 1, 8);
        m->tail[8] = (char)c;
        m->length++;
    }
}

static void model_record(gate_model *m, unsigned char c)
{
    size_t length;

    if (m->seen <= 5)
        m->record[m->seen - 1] = c;
    if (m->seen == 2 && c != 3)
        m->state = MODEL_SERVE;
    if (m->seen >= 5) {
        length = m->record[3] * 256u + m->record[4];
        if (length > 18432 || m->seen == 5 + length)
            m->state = MODEL_SERVE;
    }
}

static void model_byte(gate_model *m, mpmx_gate_kind kind, unsigned char c)
{
    m->seen++;
    if (m->state == MODEL_FIRST) {
        m->state = MODEL_LEAD;
        if (kind == MPMX_GATE_TLS && !model_token(c))
            m->state = c >= 20 && c <= 23 ? MODEL_RECORD : MODEL_SERVE;
    }
    switch (m->state) {
    case MODEL_LEAD:
    case MODEL_LEAD_CR:
        model_lead(m, c);
        break;
    case MODEL_METHOD:
        if (c == ' ') {
            m->state = MODEL_TARGET;
            m->length = 0;
        }
        else if (!model_token(c) || ++m->length > 64)
            m->state = MODEL_SERVE;
        break;
    case MODEL_TARGET:
    case MODEL_TARGET_CR:
        model_target(m, c);
        break;
    case MODEL_LINE:
        if (c != '\n') {
            if (m->length++ == 0)
                m->first = c;
        }
        else if (m->length == 0 || (m->length == 1 && m->first == '\r'))
            m->state = MODEL_HEAD;
        else
            m->length = 0;
        break;
    case MODEL_RECORD:
        model_record(m, c);
        break;
    default:
        break;
    }
}

/*
 * The verdict on buf, and in *at the number of bytes with which it was certain
 * (len if it never was). For MPMX_GATE_HEAD that is the length of the head.
 */
static mpmx_gate_verdict model_judge(mpmx_gate_kind kind, const char *buf, size_t len, size_t *at)
{
    gate_model m;
    size_t i;

    memset(&m, 0, sizeof(m));
    for (i = 0; i < len && m.state != MODEL_HEAD && m.state != MODEL_SERVE; i++)
        model_byte(&m, kind, (unsigned char)buf[i]);
    *at = i;
    return m.state == MODEL_HEAD ? MPMX_GATE_HEAD
         : m.state == MODEL_SERVE ? MPMX_GATE_SERVE : MPMX_GATE_MORE;
}

#endif
