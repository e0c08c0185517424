/*
 * gate_test.c - promise: the gate lets a request through with the byte that
 * completes its head, lets everything that is no HTTP/1.x through with the byte
 * that shows it, and says the same however the bytes were cut into pieces.
 */
#include <stdlib.h>
#include <string.h>
#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#endif

#include "gate.h"
#include "gate_model.h"
#include "tap.h"

#define HTTP MPMX_GATE_HTTP
#define TLS MPMX_GATE_TLS
#define MORE MPMX_GATE_MORE
#define HEAD MPMX_GATE_HEAD
#define SERVE MPMX_GATE_SERVE

/*
 * `upto` ends with the byte that must bring the verdict about, no earlier and no
 * later; `then` is what follows and must not matter. With MORE, upto is all of it.
 */
typedef struct {
    const char *name;
    mpmx_gate_kind kind;
    mpmx_gate_verdict verdict;
    const char *upto;
    size_t upto_len;
    const char *then;
    size_t then_len;
} gate_case;

#define CASE(name, kind, verdict, upto, then) \
    { name, kind, verdict, upto, sizeof(upto) - 1, then, sizeof(then) - 1 }

#define BLANK10 "\r\n\n\r\n\n\r\n\n\r\n\n\r\n\n"
#define A16 "AAAAAAAAAAAAAAAA"

static const gate_case cases[] = {
    /* complete heads */
    CASE("the smallest usual request", HTTP, HEAD, "GET / HTTP/1.0\r\n\r\n", ""),
    CASE("wrk", HTTP, HEAD, "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", ""),
    CASE("a body follows", HTTP, HEAD, "POST /f HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", "a\r\n\r\n"),
    CASE("a pipelined request follows", HTTP, HEAD, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"),
    CASE("lines end in LF", HTTP, HEAD, "GET / HTTP/1.1\nHost: h\n\n", "\n"),
    CASE("LF lines, CRLF at the end", HTTP, HEAD, "GET / HTTP/1.1\nHost: h\n\r\n", ""),
    CASE("CRLF lines, LF at the end", HTTP, HEAD, "GET / HTTP/1.1\r\nHost: h\r\n\n", ""),
    CASE("no header, LF LF", HTTP, HEAD, "GET / HTTP/1.1\n\n", "x"),
    CASE("no header, CRLF LF", HTTP, HEAD, "GET / HTTP/1.1\r\n\n", "x"),
    CASE("no header, LF CRLF", HTTP, HEAD, "GET / HTTP/1.1\n\r\n", "x"),
    CASE("OPTIONS *", HTTP, HEAD, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", ""),
    CASE("CONNECT", HTTP, HEAD, "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", "\x16\x03\x01"),
    CASE("absolute form", HTTP, HEAD, "GET http://h/x?y=z HTTP/1.1\r\nHost: h\r\n\r\n", ""),
    CASE("UTF-8 in the target", HTTP, HEAD, "GET /\xc3\xa4\xff\x80 HTTP/1.1\r\n\r\n", ""),
    CASE("spaces in the target", HTTP, HEAD, "GET /a b  c HTTP/1.1\r\n\r\n", ""),
    CASE("two spaces before the version", HTTP, HEAD, "GET /  HTTP/1.1\r\n\r\n", ""),
    CASE("a version within the target", HTTP, HEAD, "GET / HTTP/1.1 HTTP/1.1\r\n\r\n", ""),
    CASE("any version d.d", HTTP, HEAD, "GET / HTTP/9.0\r\n\r\n", ""),
    CASE("every token character in a method", HTTP, HEAD, "!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\n\r\n", ""),
    CASE("a method of 64 bytes", HTTP, HEAD, A16 A16 A16 A16 " / HTTP/1.1\r\n\r\n", ""),
    CASE("NUL in a header line", HTTP, HEAD, "GET / HTTP/1.1\r\nX: a\0b\r\n\0\r\n\r\n", ""),
    CASE("control bytes in a header line", HTTP, HEAD, "GET / HTTP/1.1\r\n\x01\x7f: \r\x0b\r\n\r\n", ""),
    CASE("a folded header line", HTTP, HEAD, "GET / HTTP/1.1\r\nX: a\r\n b\r\n\t\r\n \r\n\r\n", ""),
    CASE("CR CR LF is no empty line", HTTP, HEAD, "GET / HTTP/1.1\r\nX: a\r\n\r\r\n\r\n", ""),
    CASE("LF CR x LF is no empty line", HTTP, HEAD, "GET / HTTP/1.1\r\n\rx\n\n", ""),
    CASE("header without a colon", HTTP, HEAD, "GET / HTTP/1.1\r\nnonsense\r\n\r\n", ""),
    CASE("headers of one byte", HTTP, HEAD, "GET / HTTP/1.1\na\nb\nc\n\n", ""),
    CASE("the HTTP/2 preface", HTTP, HEAD, "PRI * HTTP/2.0\r\n\r\n", "SM\r\n\r\n"),
    CASE("HTTP/2 upgrade", HTTP, HEAD, "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", ""),
    CASE("a blank line before it", HTTP, HEAD, "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", ""),
    CASE("ten blank lines before it", HTTP, HEAD, BLANK10 "GET / HTTP/1.1\r\nHost: h\r\n\r\n", ""),

    /* not there yet */
    CASE("nothing", HTTP, MORE, "", ""),
    CASE("blank lines alone", HTTP, MORE, BLANK10, ""),
    CASE("a blank line begun", HTTP, MORE, "\r\n\r", ""),
    CASE("a method begun", HTTP, MORE, "GE", ""),
    CASE("a method of 64 bytes, no space yet", HTTP, MORE, A16 A16 A16 A16, ""),
    CASE("no target yet", HTTP, MORE, "GET ", ""),
    CASE("no line end yet", HTTP, MORE, "GET / HTTP/1.1", ""),
    CASE("half a line end", HTTP, MORE, "GET / HTTP/1.1\r", ""),
    CASE("an unended line without version", HTTP, MORE, "hello world", ""),
    CASE("no header yet", HTTP, MORE, "GET / HTTP/1.1\r\n", ""),
    CASE("half a blank line", HTTP, MORE, "GET / HTTP/1.1\r\n\r", ""),
    CASE("headers without end", HTTP, MORE, "GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n", ""),
    CASE("a lone CR at a header line's begin", HTTP, MORE, "GET / HTTP/1.1\r\nHost: h\r\n\rX", ""),
    CASE("CRs alone end nothing", HTTP, MORE, "GET / HTTP/1.1\r\nHost: h\r\r\r\r", ""),
    CASE("a folded blank line is no blank line", HTTP, MORE, "GET / HTTP/1.1\r\nX: a\r\n \r\n", ""),

    /* no HTTP/1.x: served as soon as that is certain */
    CASE("HTTP/0.9", HTTP, SERVE, "GET /\r\n", "\r\n"),
    CASE("HTTP/0.9, LF", HTTP, SERVE, "GET /\n", ""),
    CASE("a target that looks like a version", HTTP, SERVE, "GET HTTP/1.1\r\n", "Host: h\r\n\r\n"),
    CASE("two spaces after the method", HTTP, SERVE, "GET  ", "HTTP/1.1\r\n\r\n"),
    CASE("no target", HTTP, SERVE, "GET \r\n", ""),
    CASE("only a method", HTTP, SERVE, "QUIT\r", "\n"),
    CASE("mod_echo: hello", HTTP, SERVE, "hello\n", "world\n"),
    CASE("mod_echo: hello world", HTTP, SERVE, "hello world\n", ""),
    CASE("lower case version", HTTP, SERVE, "GET / http/1.1\r\n", "\r\n"),
    CASE("version without a minor", HTTP, SERVE, "GET / HTTP/1\r\n", "\r\n"),
    CASE("version with an empty minor", HTTP, SERVE, "GET / HTTP/1.\r\n", "\r\n"),
    CASE("version of letters", HTTP, SERVE, "GET / HTTP/x.1\r\n", "\r\n"),
    CASE("version with a comma", HTTP, SERVE, "GET / HTTP/1,1\r\n", "\r\n"),
    CASE("version of two digits", HTTP, SERVE, "GET / HTTP/1.10\r\n", "\r\n"),
    CASE("space after the version", HTTP, SERVE, "GET / HTTP/1.1 \r\n", "\r\n"),
    CASE("no space before the version", HTTP, SERVE, "GET /xHTTP/1.1\r\n", "\r\n"),
    CASE("another protocol's version", HTTP, SERVE, "OPTIONS rtsp://h/ RTSP/1.0\r\n", "CSeq: 1\r\n\r\n"),
    CASE("CR CR LF after the version", HTTP, SERVE, "GET / HTTP/1.1\r\r", "\n\r\n"),
    CASE("CR within the request line", HTTP, SERVE, "GET /\r ", "HTTP/1.1\r\n\r\n"),
    CASE("NUL in the target", HTTP, SERVE, "GET /\0", " HTTP/1.1\r\n\r\n"),
    CASE("TAB after the method", HTTP, SERVE, "GET\t", "/ HTTP/1.1\r\n\r\n"),
    CASE("TAB in the target", HTTP, SERVE, "GET /\t", "HTTP/1.1\r\n\r\n"),
    CASE("DEL, the ninth byte of the target", HTTP, SERVE, "GET /1234567\x7f", " HTTP/1.1\r\n\r\n"),
    CASE("separator in the method", HTTP, SERVE, "G(", "ET / HTTP/1.1\r\n\r\n"),
    CASE("space before the method", HTTP, SERVE, " ", "GET / HTTP/1.1\r\n\r\n"),
    CASE("header-like first line", HTTP, SERVE, "Host:", " h\r\n\r\n"),
    CASE("a method of 65 bytes", HTTP, SERVE, A16 A16 A16 A16 "A", " / HTTP/1.1\r\n\r\n"),
    CASE("eleven blank lines", HTTP, SERVE, BLANK10 "\r\n", "GET / HTTP/1.1\r\n\r\n"),
    CASE("CR, but no LF before the method", HTTP, SERVE, "\rG", "ET / HTTP/1.1\r\n\r\n"),
    CASE("CR CR LF before the method", HTTP, SERVE, "\r\r", "\nGET / HTTP/1.1\r\n\r\n"),
    CASE("PROXY protocol v1", HTTP, SERVE, "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "GET / HTTP/1.1\r\n\r\n"),
    CASE("PROXY protocol v1, unknown", HTTP, SERVE, "PROXY UNKNOWN\r\n", "GET / HTTP/1.1\r\n\r\n"),
    CASE("PROXY protocol v2", HTTP, SERVE, "\r\n\r\n\0", "\r\nQUIT\n\x21\x11\0\x0c"),
    CASE("a ClientHello on a plain listener", HTTP, SERVE, "\x16", "\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"),
    CASE("SSH", HTTP, SERVE, "SSH-2.0-OpenSSH_9.2p1\r", "\n"),
    CASE("SMTP", HTTP, SERVE, "EHLO client.example\r\n", ""),
    CASE("Telnet negotiation", HTTP, SERVE, "\xff", "\xfd\x01"),
    CASE("binary", HTTP, SERVE, "\0", "\x01\x02"),

    /* TLS listeners */
    CASE("TLS: nothing", TLS, MORE, "", ""),
    CASE("TLS: type alone", TLS, MORE, "\x16", ""),
    CASE("TLS: header begun", TLS, MORE, "\x16\x03\x01\0", ""),
    CASE("TLS: header alone", TLS, MORE, "\x16\x03\x01\0\x04", ""),
    CASE("TLS: one byte missing", TLS, MORE, "\x16\x03\x01\0\x04" "abc", ""),
    CASE("TLS: whole record", TLS, SERVE, "\x16\x03\x01\0\x04" "abcd", ""),
    CASE("TLS: record and a bit", TLS, SERVE, "\x16\x03\x01\0\x04" "abcd", "\x16\x03"),
    CASE("TLS: empty record", TLS, SERVE, "\x17\x03\x03\0\0", ""),
    CASE("TLS: alert", TLS, SERVE, "\x15\x03\x03\0\x02\x02\x28", ""),
    CASE("TLS: unknown minor version", TLS, SERVE, "\x16\x03\xff\0\x01" "a", ""),
    CASE("TLS: largest record announced", TLS, MORE, "\x16\x03\x01\x48\0", ""),
    CASE("TLS: too large a record announced", TLS, SERVE, "\x16\x03\x01\x48\x01", "abc"),
    CASE("TLS: absurd length", TLS, SERVE, "\x16\x03\x01\xff\xff", ""),
    CASE("TLS: other major version", TLS, SERVE, "\x16\x02", "\x01\0\x04" "abcd"),
    CASE("TLS: type 19", TLS, SERVE, "\x13", "\x03\x01\0\x04"),
    CASE("TLS: type 24", TLS, SERVE, "\x18", "\x03\x01\0\x04"),
    CASE("TLS: SSLv2 hello", TLS, SERVE, "\x80", "\x2e\x01\0\x02"),
    CASE("TLS: PROXY protocol v2", TLS, SERVE, "\r", "\n\r\n\0\r\nQUIT\n"),
    CASE("TLS: PROXY protocol v1", TLS, SERVE, "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "\x16\x03\x01"),
    CASE("TLS: plain HTTP by mistake", TLS, HEAD, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "x"),
    CASE("TLS: plain HTTP begun", TLS, MORE, "GET / HTTP/1.1\r\nHost: h\r\n", ""),
    CASE("TLS: plain HTTP/0.9", TLS, SERVE, "GET /\r\n", ""),
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

static const char *verdict_name(mpmx_gate_verdict v)
{
    return v == MORE ? "MORE" : v == HEAD ? "HEAD" : v == SERVE ? "SERVE" : "?";
}

/* Feeds a copy of exactly len bytes, so that a sanitizer sees the first byte read beyond them. */
static mpmx_gate_verdict feed(mpmx_gate *g, mpmx_gate_kind kind, const char *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    mpmx_gate_verdict v;

    if (copy == NULL) {
        printf("Bail out! out of memory\n");
        exit(1);
    }
    memcpy(copy, bytes, len);
    v = mpmx_gate_feed(g, kind, copy, len);
    free(copy);
    return v;
}

/* Is v what is due after n bytes, when `verdict` is due with byte number `at`? */
static int as_due(const mpmx_gate *g, mpmx_gate_verdict v, size_t n,
                  mpmx_gate_verdict verdict, size_t at)
{
    mpmx_gate_verdict due = n >= at ? verdict : MORE;
    uint32_t head_len = due == HEAD ? (uint32_t)at : 0;

    if (v == due && g->head_len == head_len)
        return 1;
    diag("after %lu bytes: %s, head_len %lu; due: %s, %lu", (unsigned long)n,
         verdict_name(v), (unsigned long)g->head_len, verdict_name(due), (unsigned long)head_len);
    return 0;
}

/* Byte by byte, in two pieces and in three, cut at every place. */
static int all_cuts(mpmx_gate_kind kind, const char *bytes, size_t len,
                    mpmx_gate_verdict verdict, size_t at)
{
    size_t first, second;
    mpmx_gate g;

    mpmx_gate_reset(&g);
    for (first = 0; first <= len; first++) {
        if (!as_due(&g, feed(&g, kind, bytes, first), first, verdict, at)) {
            diag("... fed byte by byte");
            return 0;
        }
    }
    for (first = 0; first <= len; first++) {
        for (second = first; second <= len; second++) {
            mpmx_gate_reset(&g);
            if (!as_due(&g, feed(&g, kind, bytes, first), first, verdict, at)
                || !as_due(&g, feed(&g, kind, bytes, second), second, verdict, at)
                || !as_due(&g, feed(&g, kind, bytes, len), len, verdict, at)) {
                diag("... cut at %lu and %lu of %lu", (unsigned long)first,
                     (unsigned long)second, (unsigned long)len);
                return 0;
            }
        }
    }
    return 1;
}

static void test_cases(void)
{
    char bytes[1024];
    size_t i, len, at;

    for (i = 0; i < CASES; i++) {
        const gate_case *c = &cases[i];

        len = c->upto_len + c->then_len;
        memcpy(bytes, c->upto, c->upto_len);
        memcpy(bytes + c->upto_len, c->then, c->then_len);
        ok(all_cuts(c->kind, bytes, len, c->verdict, c->verdict == MORE ? len + 1 : c->upto_len),
           "%s: %s", c->name, verdict_name(c->verdict));
        if (model_judge(c->kind, bytes, len, &at) != c->verdict || at != c->upto_len)
            ok(0, "%s: the model in gate_model.h differs from this table", c->name);
    }
}

/* A case found by the model rather than written down. */
static int agrees(mpmx_gate_kind kind, const char *bytes, size_t len)
{
    mpmx_gate_verdict verdict;
    size_t at;

    verdict = model_judge(kind, bytes, len, &at);
    return all_cuts(kind, bytes, len, verdict, verdict == MORE ? len + 1 : at);
}

/* Each of the 256 byte values at each place of a small request. */
static void test_every_byte(mpmx_gate_kind kind, const char *name, const char *bytes, size_t len)
{
    char changed[64];
    size_t place;
    int value, good = 1;

    for (place = 0; place < len && good; place++) {
        for (value = 0; value < 256 && good; value++) {
            memcpy(changed, bytes, len);
            changed[place] = (char)value;
            good = agrees(kind, changed, len);
            if (!good)
                diag("byte %d at place %lu", value, (unsigned long)place);
        }
    }
    ok(good, "%s: any byte at any place", name);
}

static void test_tokens(void)
{
    static const char tchar[] = "!#$%&'*+-.^_`|~0123456789"
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    int value, good = 1;

    for (value = 1; value < 256; value++) {
        mpmx_gate g;
        char c = (char)value;
        mpmx_gate_verdict due = strchr(tchar, c) || c == '\r' || c == '\n' ? MORE : SERVE;

        mpmx_gate_reset(&g);
        if (feed(&g, HTTP, &c, 1) != due) {
            diag("byte %d: due is %s", value, verdict_name(due));
            good = 0;
        }
    }
    ok(good, "a request begins with one of RFC 9110's token characters or an empty line");
}

static void test_records(void)
{
    static const unsigned lengths[] = { 0, 1, 255, 256, 512, 16384, 16385, 18432, 18433, 65535 };
    static char bytes[5 + 65535 + 1];
    size_t i;

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        unsigned n = lengths[i];
        size_t whole = n > 18432 ? 5 : 5 + n;
        mpmx_gate g;

        memcpy(bytes, "\x16\x03\x01", 3);
        bytes[3] = (char)(n >> 8);
        bytes[4] = (char)(n & 255);
        mpmx_gate_reset(&g);
        is_num(feed(&g, TLS, bytes, whole - 1), MORE, "TLS record of %u: waits with one byte missing", n);
        is_num(feed(&g, TLS, bytes, whole), SERVE, "TLS record of %u: decided with byte %lu", n, (unsigned long)whole);
        mpmx_gate_reset(&g);
        is_num(feed(&g, TLS, bytes, sizeof(bytes)), SERVE, "TLS record of %u: decided at once when all is there", n);
    }
}

/* Random bytes from the alphabet that matters, against the model. A fixed seed: a failure repeats. */
static void test_random(void)
{
    static const char *const words[] = {
        "GET", " ", "/", "HTTP/1.1", " HTTP/1.0", "\r", "\n", "\r\n", "\n\n", "\r\n\r\n",
        "Host: h", "x", "\t", ":", "\x16\x03\x01", "\x80", "1", ".", "HTTP/", "\x7f"
    };
    uint32_t seed = 20240229;
    int round, good = 1;

    for (round = 0; round < 3000 && good; round++) {
        char bytes[128];
        size_t len = 0;
        int n;

        if (round & 1) {
            memcpy(bytes, "GET / HTTP/1.1\r\n", 16);
            len = 16;
        }
        for (n = (int)(seed >> 28); n > 0; n--) {
            const char *word = words[(seed >> 16) % (sizeof(words) / sizeof(words[0]))];

            seed = seed * 1664525 + 1013904223;
            if (len + strlen(word) > 40)
                break;
            memcpy(bytes + len, word, strlen(word));
            len += strlen(word);
        }
        seed = seed * 1664525 + 1013904223;
        good = agrees(round & 2 ? TLS : HTTP, bytes, len);
        if (!good)
            diag("round %d", round);
    }
    ok(good, "random mixtures of what requests are made of");
}

static void test_use(void)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    size_t len = sizeof(head) - 1;
    mpmx_gate g;

    ok(sizeof(mpmx_gate) <= 16, "a gate takes at most 16 bytes");
    memset(&g, 0xff, sizeof(g));
    mpmx_gate_reset(&g);
    is_num(mpmx_gate_feed(&g, HTTP, NULL, 0), MORE, "no buffer, no bytes");
    is_num(feed(&g, HTTP, head, 10), MORE, "a beginning");
    is_num(feed(&g, HTTP, head, 10), MORE, "the same again");
    is_num(mpmx_gate_feed(&g, HTTP, NULL, 0), MORE, "fewer bytes than before change nothing");
    is_num(feed(&g, HTTP, head, len), HEAD, "the rest");
    is_num(g.head_len, (long)len, "head_len");
    is_num(feed(&g, HTTP, "\0\0\0", 3), HEAD, "a verdict stays until the reset");
    mpmx_gate_reset(&g);
    is_num(g.head_len, 0, "head_len after a reset");
    is_num(feed(&g, HTTP, "\0\0\0", 3), SERVE, "after a reset it is judged anew");
    is_num(feed(&g, HTTP, head, len), SERVE, "and that verdict stays, too");
    memset(&g, 0, sizeof(g));
    is_num(feed(&g, HTTP, head, len), HEAD, "zeroed memory is a reset gate");
}

/* Heads larger than any that httpd accepts: a caller's buffer may be as large as it likes. */
static void test_large(void)
{
    size_t len = 300000, n;
    char *bytes = malloc(len);
    mpmx_gate_verdict v = MORE;
    mpmx_gate g;

    if (bytes == NULL) {
        skip("large heads", "no memory");
        return;
    }
    memset(bytes, 'a', len);
    memcpy(bytes, "GET /", 5);
    memcpy(bytes + len - 13, " HTTP/1.1\r\n\r\n", 13);
    mpmx_gate_reset(&g);
    for (n = 1; v == MORE && n <= len; n++)
        v = mpmx_gate_feed(&g, HTTP, bytes, n);
    ok(v == HEAD && g.head_len == len, "a request line of 300000 bytes, byte by byte");

    memcpy(bytes, "GET / HTTP/1.1\r\nX: ", 19);
    for (n = 100; n + 100 < len; n += 100)
        bytes[n] = '\n';
    mpmx_gate_reset(&g);
    for (v = MORE, n = 1; v == MORE && n <= len; n += 7)
        v = mpmx_gate_feed(&g, HTTP, bytes, n < len ? n : len);
    if (v == MORE)
        v = mpmx_gate_feed(&g, HTTP, bytes, len);
    ok(v == HEAD && g.head_len == len, "3000 header lines, seven bytes at a time");
    free(bytes);
}

/* Offsets are 32 bits wide. Untouched pages cost no memory, and a NUL in a header line is just a byte. */
static void test_huge(void)
{
#if defined(MAP_ANONYMOUS) && defined(MAP_NORESERVE)
    static const char begin[] = "GET / HTTP/1.1\r\nX: ";
    size_t limit = (size_t)1 << 31;
    char *bytes = MAP_FAILED;
    mpmx_gate g;

    if (sizeof(size_t) > 4)
        bytes = mmap(NULL, limit + 4096, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bytes == MAP_FAILED) {
        skip("2^31 bytes", "no address space for them");
        return;
    }
    memcpy(bytes, begin, sizeof(begin) - 1);
    memcpy(bytes + limit - 4, "\r\n\r\n", 4);
    mpmx_gate_reset(&g);
    is_num(mpmx_gate_feed(&g, HTTP, bytes, limit - 1), MORE, "2^31 - 1 bytes and no end yet");
    is_num(mpmx_gate_feed(&g, HTTP, bytes, limit), HEAD, "a head of 2^31 bytes");
    ok(g.head_len == limit, "its length");

    bytes[limit - 1] = 0;
    bytes[limit] = '\n';
    bytes[limit + 1] = '\n';
    mpmx_gate_reset(&g);
    is_num(mpmx_gate_feed(&g, HTTP, bytes, limit + 4096), SERVE, "beyond 2^31 bytes nothing is awaited");
    is_num(mpmx_gate_feed(&g, HTTP, bytes, limit + 4096), SERVE, "and that is final");
    munmap(bytes, limit + 4096);
#else
    skip("2^31 bytes", "no anonymous mappings here");
#endif
}

int main(void)
{
    test_cases();
    test_tokens();
    test_every_byte(HTTP, "a request", "\r\nM /t HTTP/1.1\r\nh:v\r\n\r\n.", 25);
    test_every_byte(HTTP, "a request of LF lines", "M / HTTP/1.1\nh\n\n.", 17);
    test_every_byte(TLS, "a TLS record", "\x16\x03\x01\0\x03" "abc.", 9);
    test_records();
    test_random();
    test_use();
    test_large();
    test_huge();
    return tap_done();
}
