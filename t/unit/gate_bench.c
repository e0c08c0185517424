/*
 * gate_bench.c - what a feed costs. Prints nanoseconds; promises nothing.
 * Run by `make -f Makefile.unix unit-bench`.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gate.h"

#define ROUNDS 2000000L
#define REPEATS 5

static const char wrk_head[] =
    "GET / HTTP/1.1\r\n"
    "Host: 127.0.0.1:8080\r\n"
    "\r\n";

static const char browser_head[] =
    "GET /shop/items/4711?colour=blue&size=42 HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8\r\n"
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Referer: https://www.example.com/shop/\r\n"
    "DNT: 1\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=5f2b8c0a9d7e4f61; theme=dark; consent=necessary; recent=4711,4712,815\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-User: ?1\r\n"
    "\r\n";

static const char client_hello[5 + 512] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* The best of a few repeats: the others were disturbed. step is the piece size in which the bytes come. */
static void measure(const char *what, mpmx_gate_kind kind, const char *buf, size_t len, size_t step)
{
    const char *volatile source = buf;
    double best = 0;
    long rounds = step == len ? ROUNDS : ROUNDS / (long)(len / step);
    int repeat;

    for (repeat = 0; repeat < REPEATS; repeat++) {
        double took, began = now();
        unsigned undecided = 0;
        long i;

        for (i = 0; i < rounds; i++) {
            mpmx_gate g;
            mpmx_gate_verdict v = MPMX_GATE_MORE;
            size_t n = 0;

            mpmx_gate_reset(&g);
            while (v == MPMX_GATE_MORE && n < len) {
                n = len - n < step ? len : n + step;
                v = mpmx_gate_feed(&g, kind, source, n);
            }
            undecided += v == MPMX_GATE_MORE;
        }
        took = (now() - began) / (double)rounds;
        if (undecided)
            printf("(undecided: not what was to be measured) ");
        if (repeat == 0 || took < best)
            best = took;
    }
    printf("%-28s %4u bytes, %4u at a time: %7.1f ns\n", what, (unsigned)len, (unsigned)step, best);
}

int main(void)
{
    size_t wrk = sizeof(wrk_head) - 1, browser = sizeof(browser_head) - 1;

    measure("wrk's request", MPMX_GATE_HTTP, wrk_head, wrk, wrk);
    measure("a browser's request", MPMX_GATE_HTTP, browser_head, browser, browser);
    measure("TLS ClientHello, plain gate", MPMX_GATE_HTTP, client_hello, sizeof(client_hello), sizeof(client_hello));
    measure("TLS ClientHello, TLS gate", MPMX_GATE_TLS, client_hello, sizeof(client_hello), sizeof(client_hello));
    measure("a browser's request", MPMX_GATE_HTTP, browser_head, browser, 100);
    measure("a browser's request", MPMX_GATE_HTTP, browser_head, browser, 1);
    return 0;
}
