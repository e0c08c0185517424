/*
 * held_test.c - promise: what is held is yielded as if it came just now: whatever is asked for, and
 * however it was cut into buckets, each byte comes once and in order, and metadata behind what it
 * came behind; nothing is left that has no bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "held.h"
#include "tap.h"

static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\nGET";

static apr_bucket_alloc_t *list;
static apr_bucket_brigade *held, *bb;

/* Holds `text` in pieces of `step` bytes (0: one), and the end of the stream behind it. */
static void hold(const char *bytes, size_t step, int eos)
{
    size_t at, len = strlen(bytes);

    apr_brigade_cleanup(held);
    apr_brigade_cleanup(bb);
    if (!step)
        step = len;
    for (at = 0; at < len; at += step)
        APR_BRIGADE_INSERT_TAIL(held, apr_bucket_transient_create(bytes + at, at + step < len ? step : len - at, list));
    if (eos)
        APR_BRIGADE_INSERT_TAIL(held, apr_bucket_eos_create(list));
}

/* Takes what is in bb, and says whether it is `want`. */
static int got(const char *want)
{
    char bytes[256];
    apr_size_t len = sizeof bytes;
    int same = apr_brigade_flatten(bb, bytes, &len) == APR_SUCCESS && len == strlen(want)
            && !memcmp(bytes, want, len);

    apr_brigade_cleanup(bb);
    return same;
}

static int ends_in_eos(void)
{
    return !APR_BRIGADE_EMPTY(bb) && APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb));
}

static void test_lines(size_t step)
{
    hold(text, step, 0);
    ok(mpmx_held_yield(held, bb, AP_MODE_GETLINE, 0) == APR_SUCCESS && got("GET / HTTP/1.1\r\n"), "a line, cut at %zu", step);
    mpmx_held_yield(held, bb, AP_MODE_SPECULATIVE, 4);
    ok(got("Host"), "a look at the next");
    mpmx_held_yield(held, bb, AP_MODE_GETLINE, 0);
    ok(got("Host: a\r\n"), "changes nothing");
    mpmx_held_yield(held, bb, AP_MODE_GETLINE, 0);
    ok(got("\r\n"), "an empty line");
    mpmx_held_yield(held, bb, AP_MODE_READBYTES, 5);
    ok(got("body\n"), "so many bytes");
    mpmx_held_yield(held, bb, AP_MODE_GETLINE, 0);
    ok(got("GET") && APR_BRIGADE_EMPTY(held), "a part of a line is all there is");
}

static void test_every_length(void)
{
    size_t step, n;
    unsigned bad = 0;

    for (step = 0; step < sizeof text; step++)
        for (n = 1; n < sizeof text + 3; n++) {
            char all[sizeof text + 8];
            apr_size_t sum = 0;

            hold(text, step, 0);
            while (!APR_BRIGADE_EMPTY(held)) {
                apr_size_t len = sizeof all - sum;

                bad += mpmx_held_yield(held, bb, AP_MODE_READBYTES, (apr_off_t)n) != APR_SUCCESS
                    || apr_brigade_flatten(bb, all + sum, &len) != APR_SUCCESS || !len || len > n;
                apr_brigade_cleanup(bb);
                sum += len;
                if (bad)
                    break;
            }
            bad += sum != strlen(text) || memcmp(all, text, sum);
        }
    ok(!bad, "any number of bytes at a time, in any pieces: %u bad", bad);
}

static void test_metadata(void)
{
    hold("ab", 1, 1);
    mpmx_held_yield(held, bb, AP_MODE_READBYTES, 2);
    ok(!ends_in_eos() && got("ab"), "bytes without what comes behind them");
    mpmx_held_yield(held, bb, AP_MODE_READBYTES, 2);
    ok(ends_in_eos() && APR_BRIGADE_EMPTY(held), "then that");
    hold("ab", 0, 1);
    mpmx_held_yield(held, bb, AP_MODE_GETLINE, 0);
    ok(ends_in_eos() && APR_BRIGADE_EMPTY(held), "a line that never ends, and the end");
    hold("ab", 0, 1);
    mpmx_held_yield(held, bb, AP_MODE_SPECULATIVE, 10);
    ok(ends_in_eos() && !APR_BRIGADE_EMPTY(held), "a look at the end takes nothing");
    hold("ab", 1, 1);
    mpmx_held_yield(held, bb, AP_MODE_EXHAUSTIVE, 0);
    ok(ends_in_eos() && APR_BRIGADE_EMPTY(held), "all of it");
}

static void test_line_ends(void)
{
    static const struct { const char *bytes, *rest; } cases[] = {
        { "\r\n\nGET", "GET" }, { "GET", "GET" }, { "\r\n\r\n", "" }, { "\n", "" }, { "\rx", "\rx" }, { "\n\r", "\r" },
    };
    size_t i;

    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        hold(cases[i].bytes, 0, 0);
        ok(mpmx_held_yield(held, bb, AP_MODE_EATCRLF, 0) == APR_SUCCESS && APR_BRIGADE_EMPTY(bb), "line ends are eaten");
        mpmx_held_yield(held, bb, AP_MODE_EXHAUSTIVE, 0);
        ok(got(cases[i].rest), "and nothing else (%zu)", i);
    }
}

int main(void)
{
    apr_pool_t *pool;

    apr_initialize();
    atexit(apr_terminate);
    apr_pool_create(&pool, NULL);
    list = apr_bucket_alloc_create(pool);
    held = apr_brigade_create(pool, list);
    bb = apr_brigade_create(pool, list);
    test_lines(0);
    test_lines(1);
    test_lines(7);
    test_every_length();
    test_metadata();
    test_line_ends();
    hold(text, 0, 0);
    mpmx_held_yield(held, bb, AP_MODE_INIT, 0);
    ok(APR_BRIGADE_EMPTY(bb) && !APR_BRIGADE_EMPTY(held), "AP_MODE_INIT takes nothing");
    apr_pool_destroy(pool);
    return tap_done();
}
