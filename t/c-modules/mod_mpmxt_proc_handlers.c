/* Handlers with which the process tests make a server thread do what they
 * need to look at: sleep, wait, crash, tell who it is.
 *
 *     MpmxtMarks /folder
 *     <Location /mpmxt>
 *         SetHandler mpmxt-proc
 *     </Location>
 *
 *     /mpmxt/sleep?MS     "begun" at once, "done" after MS milliseconds
 *     /mpmxt/quiet?MS     answers after MS milliseconds, nothing before
 *     /mpmxt/hold?NAME    "held" at once, "done" when MpmxtMarks/NAME is gone (5 minutes at most)
 *     /mpmxt/wait?NAME    the same, but says nothing before; MpmxtMarks/NAME.here tells that it waits
 *     /mpmxt/id?MS        after MS: connection id, pid, thread, UNIQUE_ID, and from when to
 *                         when that was (microseconds of the system's monotonic clock)
 *     /mpmxt/query        what the MPM answers to AP_MPMQ_* 1 to 19
 *     /mpmxt/stream?N     N blocks of 64 KiB, one each 20 ms, every byte its block's number
 *     /mpmxt/sink         reads the body of the request, tells its length
 *     /mpmxt/digest       the same, and the SHA-1 of the body in hex
 *     /mpmxt/signal?N     the process sends itself signal N
 *     /mpmxt/exit?N       the process ends with exit code N
 *     /mpmxt/suspend      returns SUSPENDED; nobody will ever continue it
 */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "http_core.h"
#include "http_log.h"
#include "ap_mpm.h"
#include "apr_strings.h"
#include "apr_file_info.h"
#include "apr_portable.h"
#include "apr_sha1.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char *marks = "/nonexistent";

typedef int (*verb_fn)(request_rec *r, const char *arg);

static int number(const char *arg)
{
    return arg ? atoi(arg) : 0;
}

/* The same for all processes. */
static apr_int64_t monotonic_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (apr_int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Sends what there is now, so that the client knows the handler runs. */
static void tell(request_rec *r, const char *text)
{
    ap_rputs(text, r);
    ap_rflush(r);
}

static int do_sleep(request_rec *r, const char *arg)
{
    tell(r, "begun\n");
    apr_sleep(apr_time_from_msec(number(arg)));
    ap_rputs("done\n", r);
    return OK;
}

static int do_quiet(request_rec *r, const char *arg)
{
    apr_sleep(apr_time_from_msec(number(arg)));
    ap_rputs("done\n", r);
    return OK;
}

static void wait_until_gone(request_rec *r, const char *mark)
{
    apr_time_t until = apr_time_now() + apr_time_from_sec(300);
    apr_finfo_t there;

    while (apr_stat(&there, mark, APR_FINFO_TYPE, r->pool) == APR_SUCCESS
           && apr_time_now() < until)
        apr_sleep(apr_time_from_msec(20));
}

static int do_hold(request_rec *r, const char *arg)
{
    tell(r, "held\n");
    wait_until_gone(r, apr_pstrcat(r->pool, marks, "/", arg ? arg : "hold", NULL));
    ap_rputs("done\n", r);
    return OK;
}

static int do_wait(request_rec *r, const char *arg)
{
    const char *mark = apr_pstrcat(r->pool, marks, "/", arg ? arg : "wait", NULL);
    apr_file_t *here;

    if (apr_file_open(&here, apr_pstrcat(r->pool, mark, ".here", NULL), APR_FOPEN_CREATE
                      | APR_FOPEN_WRITE, APR_FPROT_OS_DEFAULT, r->pool) != APR_SUCCESS)
        return HTTP_INTERNAL_SERVER_ERROR;
    apr_file_close(here);
    wait_until_gone(r, mark);
    ap_rputs("done\n", r);
    return OK;
}

static int do_id(request_rec *r, const char *arg)
{
    const char *unique = apr_table_get(r->subprocess_env, "UNIQUE_ID");
    apr_os_thread_t self = apr_os_thread_current();
    apr_int64_t from = monotonic_us();

    apr_sleep(apr_time_from_msec(number(arg)));
    ap_rprintf(r, "id=%ld pid=%ld thread=%pT unique=%s from=%" APR_INT64_T_FMT " until=%"
               APR_INT64_T_FMT "\n", r->connection->id, (long)getpid(), &self,
               unique ? unique : "-", from, monotonic_us());
    return OK;
}

static int do_query(request_rec *r, const char *arg)
{
    int code;

    for (code = 1; code <= 19; code++) {
        int value = -1;
        apr_status_t rv = ap_mpm_query(code, &value);
        if (rv == APR_SUCCESS)
            ap_rprintf(r, "%d=%d\n", code, value);
        else
            ap_rprintf(r, "%d=%s\n", code, rv == APR_ENOTIMPL ? "ENOTIMPL" : "error");
    }
    return OK;
}

static int do_stream(request_rec *r, const char *arg)
{
    int blocks = number(arg), i;
    char *block = apr_palloc(r->pool, 65536);

    ap_set_content_length(r, (apr_off_t)blocks * 65536);
    for (i = 0; i < blocks; i++) {
        memset(block, 'a' + i % 26, 65536);
        if (ap_rwrite(block, 65536, r) < 0 || ap_rflush(r) < 0)
            break;
        apr_sleep(apr_time_from_msec(20));
    }
    return OK;
}

static int do_sink(request_rec *r, const char *arg)
{
    char block[4096];
    long n, all = 0;
    int rc = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK);

    if (rc != OK)
        return rc;
    if (ap_should_client_block(r))
        while ((n = ap_get_client_block(r, block, sizeof block)) > 0)
            all += n;
    ap_rprintf(r, "read %ld\n", all);
    return OK;
}

static int do_digest(request_rec *r, const char *arg)
{
    unsigned char digest[APR_SHA1_DIGESTSIZE];
    apr_sha1_ctx_t sha;
    char block[4096];
    long n, all = 0;
    int i, rc = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK);

    if (rc != OK)
        return rc;
    apr_sha1_init(&sha);
    if (ap_should_client_block(r))
        while ((n = ap_get_client_block(r, block, sizeof block)) > 0) {
            apr_sha1_update_binary(&sha, (unsigned char *)block, (unsigned int)n);
            all += n;
        }
    apr_sha1_final(digest, &sha);
    ap_rprintf(r, "read %ld sha1 ", all);
    for (i = 0; i < APR_SHA1_DIGESTSIZE; i++)
        ap_rprintf(r, "%02x", digest[i]);
    ap_rputs("\n", r);
    return OK;
}

static int do_signal(request_rec *r, const char *arg)
{
    kill(getpid(), number(arg));
    apr_sleep(apr_time_from_sec(2));
    ap_rputs("still here\n", r);
    return OK;
}

static int do_exit(request_rec *r, const char *arg)
{
    _exit(number(arg));
}

static int do_suspend(request_rec *r, const char *arg)
{
    return SUSPENDED;
}

static const struct {
    const char *name;
    verb_fn run;
} verbs[] = {
    { "sleep", do_sleep },   { "quiet", do_quiet },   { "hold", do_hold },
    { "wait", do_wait },
    { "id", do_id },         { "query", do_query },   { "stream", do_stream },
    { "sink", do_sink },     { "digest", do_digest },
    { "signal", do_signal }, { "exit", do_exit },     { "suspend", do_suspend },
};

static int handler(request_rec *r)
{
    const char *verb;
    size_t i;

    if (!r->handler || strcmp(r->handler, "mpmxt-proc"))
        return DECLINED;
    verb = strrchr(r->uri, '/') + 1;
    for (i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (!strcmp(verb, verbs[i].name)) {
            ap_set_content_type(r, "text/plain");
            return verbs[i].run(r, r->args);
        }
    }
    return HTTP_NOT_FOUND;
}

static const char *set_marks(cmd_parms *cmd, void *dummy, const char *arg)
{
    marks = arg;
    return NULL;
}

static const command_rec commands[] = {
    AP_INIT_TAKE1("MpmxtMarks", set_marks, NULL, RSRC_CONF,
                  "folder of the marks that /hold looks at"),
    { NULL, { NULL }, NULL, 0, RAW_ARGS, NULL }
};

static void register_hooks(apr_pool_t *p)
{
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(mpmxt_proc_handlers) = {
    STANDARD20_MODULE_STUFF,
    NULL, NULL, NULL, NULL,
    commands,
    register_hooks,
    0
};
