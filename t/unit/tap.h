/*
 * tap.h - a test program's output for prove(1): the Test Anything Protocol.
 *
 * A program calls ok() and its relatives any number of times and ends with
 * `return tap_done();`. Because the plan is printed last, a program that dies
 * half-way has no plan and counts as failed.
 *
 * One translation unit per program: the counters are static.
 */
#ifndef MPMX_TAP_H
#define MPMX_TAP_H

#include <stdarg.h>
#include <stdio.h>

#if defined(__GNUC__)
#define TAP_PRINTF(nth, first) __attribute__((format(printf, nth, first), unused))
#else
#define TAP_PRINTF(nth, first)
#endif

static unsigned tap_run, tap_failed;

/* A line that prove shows to the reader and does not judge. */
static void TAP_PRINTF(1, 2) diag(const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fputs("# ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static int TAP_PRINTF(2, 0) tap_report(int good, const char *format, va_list args)
{
    tap_run++;
    if (!good)
        tap_failed++;
    printf("%s %u - ", good ? "ok" : "not ok", tap_run);
    vprintf(format, args);
    putchar('\n');
    /* what comes after may crash: the last line must be seen */
    fflush(stdout);
    return good;
}

/* Returns good, so that a caller can add a diag() to a failure. */
static int TAP_PRINTF(2, 3) ok(int good, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tap_report(good, format, args);
    va_end(args);
    return good;
}

static int TAP_PRINTF(3, 4) is_num(long got, long wanted, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tap_report(got == wanted, format, args);
    va_end(args);
    if (got != wanted)
        diag("got %ld, wanted %ld", got, wanted);
    return got == wanted;
}

/* Counts as passed, and says why it was not run. The name must hold no '#'. */
static void TAP_PRINTF(2, 3) skip(const char *name, const char *format, ...)
{
    va_list args;

    printf("ok %u - %s # SKIP ", ++tap_run, name);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

/* The plan; returns the program's exit status. */
static int tap_done(void)
{
    printf("1..%u\n", tap_run);
    if (tap_failed)
        diag("%u of %u failed", tap_failed, tap_run);
    return tap_failed != 0;
}

#endif
