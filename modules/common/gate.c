/*
 * gate.c - recognizes a complete request head, a few bytes at a time.
 *
 * The rules follow what httpd's core does with the bytes afterwards, not the
 * RFC alone: the only answer that may come later because of the gate is the 400
 * for a head which is broken before its end. docs/internals/gate.md has the
 * list and the reasons.
 */
#include <string.h>

#include "gate.h"

/*
 * What the next unscanned byte belongs to. A step returns to its caller without
 * changing the state when it needs more bytes.
 *
 *   START --token--> METHOD --SP--> TARGET --"... HTTP/d.d" EOL--> FIELDS --empty line--> HEAD
 *     |                |              |
 *     +----------------+--------------+--not HTTP/1.x, or a TLS record is whole--> SERVE
 */
enum {
    START,               /* before the request line, blank lines allowed; also within a TLS record */
    METHOD,              /* mark: first byte of the method */
    TARGET,              /* mark: first byte after the method's space */
    FIELDS,              /* mark: first byte of the current header line */
    HEAD,                /* final */
    SERVE                /* final */
};

/* DEFAULT_LIMIT_BLANK_LINES of httpd.h: the core answers the next empty line with 400. */
#define MAX_BLANK_LINES 10

/* The longest registered method has 17 bytes (UPDATEREDIRECTREF). */
#define MAX_METHOD_LEN 64

/* " HTTP/1.1" */
#define VERSION_LEN 9

/* RFC 8446 5.1 and RFC 5246 6.2.3: 2^14 bytes of content and 2048 of expansion. */
#define TLS_HEADER_LEN 5
#define TLS_MAX_RECORD (16384 + 2048)

/* Keeps every offset, and an offset plus a small number, within 32 bits. */
#define MAX_SCAN ((uint32_t)1 << 31)

/* tchar of RFC 9110 5.6.2, a bit for each ASCII code. */
static const uint32_t token_bits[4] = {
    0x00000000, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff
};

static int is_token(char ch)
{
    unsigned char c = (unsigned char)ch;

    return c < 128 && ((token_bits[c >> 5] >> (c & 31)) & 1);
}

static int is_control(char ch)
{
    unsigned char c = (unsigned char)ch;

    return c < 0x20 || c == 0x7f;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/*
 * Index of the first control byte in [i, len), or len. The request line is the
 * one part of a head of which every byte matters, so it is searched eight bytes
 * at a time: subtracting 0x20 from each byte borrows into its top bit if it was
 * smaller. A borrow can spill into the next byte, but only out of a byte that
 * is a hit itself, so a word without a control byte is never reported.
 */
static uint32_t find_control(const char *buf, uint32_t i, uint32_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);

    while (len - i >= sizeof(uint64_t)) {
        uint64_t word, del;

        memcpy(&word, buf + i, sizeof(word));
        del = word ^ (ones * 0x7f);
        if ((((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & (ones * 0x80))
            break;
        i += (uint32_t)sizeof(uint64_t);
    }
    while (i < len && !is_control(buf[i]))
        i++;
    return i;
}

static mpmx_gate_verdict serve(mpmx_gate *g)
{
    g->state = SERVE;
    return MPMX_GATE_SERVE;
}

static mpmx_gate_verdict wait_at(mpmx_gate *g, uint32_t scanned)
{
    g->scanned = scanned;
    return MPMX_GATE_MORE;
}

/*
 * The steps. Each starts at g->scanned and moves it on; each returns
 * MPMX_GATE_SERVE, or MPMX_GATE_MORE either with an unchanged state (it ran out
 * of bytes) or with the state of the next step.
 */

/*
 * Empty lines before a request line: browsers of old sent a CRLF too many after
 * a POST, and the core skips some for their sake.
 */
static mpmx_gate_verdict step_start(mpmx_gate *g, const char *buf, uint32_t len)
{
    uint32_t i = g->scanned;

    while (i < len) {
        if (is_token(buf[i])) {
            g->mark = i;
            g->state = METHOD;
            break;
        }
        if (buf[i] == '\r') {
            if (i + 1 == len)
                break;
            if (buf[i + 1] != '\n')
                return serve(g);
            i++;
        }
        else if (buf[i] != '\n') {
            return serve(g);
        }
        i++;
        if (++g->blanks > MAX_BLANK_LINES)
            return serve(g);
    }
    return wait_at(g, i);
}

static mpmx_gate_verdict step_method(mpmx_gate *g, const char *buf, uint32_t len)
{
    uint32_t i = g->scanned;
    uint32_t stop = g->mark + MAX_METHOD_LEN + 1;

    if (stop > len)
        stop = len;
    while (i < stop && is_token(buf[i]))
        i++;
    if (i == stop) {
        if (i - g->mark > MAX_METHOD_LEN)
            return serve(g);
        return wait_at(g, i);
    }
    if (buf[i] != ' ')
        return serve(g);
    g->mark = i + 1;
    g->state = TARGET;
    return wait_at(g, i + 1);
}

static int ends_in_version(const char *word, uint32_t len)
{
    const char *version = word + len - VERSION_LEN;

    return len > VERSION_LEN
           && memcmp(version, " HTTP/", 6) == 0
           && is_digit(version[6]) && version[7] == '.' && is_digit(version[8]);
}

static mpmx_gate_verdict step_target(mpmx_gate *g, const char *buf, uint32_t len)
{
    uint32_t eol, i;

    /* An empty target. "GET  HTTP/1.1" is a whole HTTP/0.9 request to a core
     * that was told to be lenient, and a 400 to any other. */
    if (g->mark < len && buf[g->mark] == ' ')
        return serve(g);
    eol = i = find_control(buf, g->scanned, len);
    if (i < len && buf[i] == '\r')
        i++;
    if (i == len)
        return wait_at(g, eol);
    if (buf[i] != '\n' || !ends_in_version(buf + g->mark, eol - g->mark))
        return serve(g);
    g->mark = i + 1;
    g->state = FIELDS;
    return wait_at(g, i + 1);
}

/*
 * Header lines may hold anything; whether it is allowed is for the core to say.
 * Only a line of nothing, or of a single CR, ends the head.
 */
static mpmx_gate_verdict step_fields(mpmx_gate *g, const char *buf, uint32_t len)
{
    const char *end = buf + len;
    const char *line = buf + g->mark;
    const char *from = buf + g->scanned;
    const char *eol;

    while ((eol = memchr(from, '\n', (size_t)(end - from))) != NULL) {
        if (eol == line || (eol == line + 1 && *line == '\r')) {
            g->state = HEAD;
            g->head_len = g->scanned = (uint32_t)(eol + 1 - buf);
            return MPMX_GATE_HEAD;
        }
        from = line = eol + 1;
    }
    g->mark = (uint32_t)(line - buf);
    return wait_at(g, len);
}

/* One pass over the steps, however many of them the new bytes complete. */
static mpmx_gate_verdict feed_http(mpmx_gate *g, const char *buf, uint32_t len)
{
    if (g->state == START && step_start(g, buf, len) != MPMX_GATE_MORE)
        return MPMX_GATE_SERVE;
    if (g->state == METHOD && step_method(g, buf, len) != MPMX_GATE_MORE)
        return MPMX_GATE_SERVE;
    if (g->state == TARGET && step_target(g, buf, len) != MPMX_GATE_MORE)
        return MPMX_GATE_SERVE;
    return g->state == FIELDS ? step_fields(g, buf, len) : MPMX_GATE_MORE;
}

/*
 * A record must be whole because a TLS library reads all of it before it acts
 * on any of it. Later records of the handshake are not awaited: the client
 * sends them only in answer to ours.
 */
static mpmx_gate_verdict feed_tls(mpmx_gate *g, const char *buf, uint32_t len)
{
    const unsigned char *b = (const unsigned char *)buf;
    uint32_t length;

    if (is_token(buf[0])) {
        /* Plain HTTP by mistake. Collected like any other request, so that the
         * page that says so is not lost to a reset by bytes still on their way. */
        g->state = METHOD;
        return feed_http(g, buf, len);
    }
    if (b[0] < 20 || b[0] > 23)
        return serve(g);
    if (len >= 2 && b[1] != 3)
        return serve(g);
    if (len < TLS_HEADER_LEN)
        return wait_at(g, len);
    length = ((uint32_t)b[3] << 8) | b[4];
    if (length > TLS_MAX_RECORD || len - TLS_HEADER_LEN >= length)
        return serve(g);
    return wait_at(g, len);
}

void mpmx_gate_reset(mpmx_gate *g)
{
    memset(g, 0, sizeof(*g));
}

mpmx_gate_verdict mpmx_gate_feed(mpmx_gate *g, mpmx_gate_kind kind,
                                 const char *buf, size_t len)
{
    uint32_t n = len < MAX_SCAN ? (uint32_t)len : MAX_SCAN;
    mpmx_gate_verdict verdict = MPMX_GATE_MORE;

    if (g->state == HEAD)
        return MPMX_GATE_HEAD;
    if (g->state == SERVE)
        return MPMX_GATE_SERVE;
    if (n > g->scanned) {
        if (kind == MPMX_GATE_TLS && g->state == START)
            verdict = feed_tls(g, buf, n);
        else
            verdict = feed_http(g, buf, n);
    }
    if (verdict == MPMX_GATE_MORE && n == MAX_SCAN)
        return serve(g);
    return verdict;
}
