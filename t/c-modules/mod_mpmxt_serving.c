/*
 * What the test suite needs from the server and no stock module has. Never installed.
 *
 * Handlers (SetHandler):
 *   mpmx-whoami   who serves: process, thread, request number on this connection
 *   mpmx-mpm      what the MPM tells a module about itself and about this connection
 *   mpmx-sleep    ?ms=N      holds its thread that long
 *   mpmx-gen      ?bytes=N[&flush=1][&length=1]   a body and, in X-SHA1, its checksum
 *   mpmx-sink     reads the request body, answers with its length and checksum
 *
 * Line protocol (MpmxLine block|wait|park, per virtual host): the server speaks first.
 * The three words are three ways in which a protocol module may wait for the next line.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_connection.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "ap_mmn.h"
#include "ap_mpm.h"
#include "apr_atomic.h"
#include "apr_sha1.h"
#include "apr_strings.h"
#include "mpm_common.h"
#include "util_filter.h"

#include <string.h>
#include <unistd.h>

module AP_MODULE_DECLARE_DATA mpmxt_serving_module;

/* ---- handlers ---- */

static apr_int64_t argument(request_rec *r, const char *name, apr_int64_t otherwise)
{
    const char *at = r->args;
    apr_size_t n = strlen(name);

    while (at && *at) {
        if (!strncmp(at, name, n) && at[n] == '=')
            return apr_atoi64(at + n + 1);
        at = strchr(at, '&');
        if (at)
            ++at;
    }
    return otherwise;
}

static const char *hex_digest(apr_pool_t *p, apr_sha1_ctx_t *sha)
{
    unsigned char digest[APR_SHA1_DIGESTSIZE];
    char *out = apr_palloc(p, APR_SHA1_DIGESTSIZE * 2 + 1);
    int i;

    apr_sha1_final(digest, sha);
    for (i = 0; i < APR_SHA1_DIGESTSIZE; ++i)
        apr_snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return out;
}

static int whoami(request_rec *r)
{
    apr_os_thread_t self = apr_os_thread_current();

    ap_set_content_type(r, "text/plain");
    ap_rprintf(r, "pid=%ld thread=%lx connection=%ld request=%d client=%s host=%s\n",
               (long)getpid(), (unsigned long)self, r->connection->id,
               r->connection->keepalives + 1, r->useragent_ip,
               r->server->server_hostname);
    return OK;
}

/* How often a connection of this process has gone on without a thread. */
static apr_uint32_t suspensions;

static void count_suspension(conn_rec *c, request_rec *r)
{
    (void)c;
    (void)r;
    apr_atomic_inc32(&suspensions);
}

static const char *answer_to(int query)
{
    int result = 0;
    apr_status_t rv = ap_mpm_query(query, &result);

    return rv == APR_ENOTIMPL ? "unknown" : rv != APR_SUCCESS ? "error" : result ? "yes" : "no";
}

static void nothing(void *baton)
{
    (void)baton;
}

static int tell_mpm(request_rec *r)
{
    apr_status_t timers = ap_mpm_register_timed_callback(0, nothing, NULL);

    ap_set_content_type(r, "text/plain");
    ap_rprintf(r, "name=%s threaded=%s async=%s waitio=%s cs=%s timers=%s suspensions=%lu\n",
               ap_show_mpm(), answer_to(AP_MPMQ_IS_THREADED), answer_to(AP_MPMQ_IS_ASYNC),
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 137)
               answer_to(AP_MPMQ_CAN_WAITIO),
#else
               "unknown",
#endif
               r->connection->cs ? "yes" : "no",
               timers == APR_SUCCESS ? "yes" : timers == APR_ENOTIMPL ? "unknown" : "error",
               (unsigned long)apr_atomic_read32(&suspensions));
    return OK;
}

static int slow(request_rec *r)
{
    apr_int64_t ms = argument(r, "ms", 100);

    apr_sleep(ms * 1000);
    ap_set_content_type(r, "text/plain");
    ap_rprintf(r, "slept %" APR_INT64_T_FMT " ms\n", ms);
    return OK;
}

/* Lines that say when they were written, each sent at once. */
static int stamps(request_rec *r)
{
    apr_int64_t count = argument(r, "count", 3), ms = argument(r, "ms", 300), i;

    ap_set_content_type(r, "text/plain");
    for (i = 0; i < count; ++i) {
        ap_rprintf(r, "%" APR_TIME_T_FMT "\n", apr_time_now());
        if (ap_rflush(r) < 0)
            return OK;
        apr_sleep(ms * 1000);
    }
    return OK;
}

/* The body is a function of its offset, so that a lost, doubled or moved piece shows. */
static apr_size_t fill(char *to, apr_size_t size, apr_int64_t offset, apr_int64_t total)
{
    apr_size_t i, n = (total - offset < (apr_int64_t)size) ? (apr_size_t)(total - offset) : size;

    for (i = 0; i < n; ++i) {
        apr_uint64_t x = (apr_uint64_t)(offset + i);
        to[i] = (char)('!' + ((x * 2654435761u) >> 13) % 90);
    }
    return n;
}

static int generate(request_rec *r)
{
    apr_int64_t total = argument(r, "bytes", 1000), at;
    int flush = (int)argument(r, "flush", 0);
    apr_sha1_ctx_t sha;
    char piece[8000];

    apr_sha1_init(&sha);
    for (at = 0; at < total; at += sizeof(piece))
        apr_sha1_update_binary(&sha, (unsigned char *)piece,
                               (unsigned int)fill(piece, sizeof(piece), at, total));
    apr_table_setn(r->headers_out, "X-SHA1", hex_digest(r->pool, &sha));
    ap_set_content_type(r, "application/octet-stream");
    if (argument(r, "length", 0))
        ap_set_content_length(r, total);
    if (r->header_only)
        return OK;

    for (at = 0; at < total; at += sizeof(piece)) {
        int n = (int)fill(piece, sizeof(piece), at, total);
        if (ap_rwrite(piece, n, r) < 0 || (flush && ap_rflush(r) < 0))
            return OK;          /* the client has gone */
    }
    return OK;
}

static int swallow(request_rec *r)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_int64_t total = 0;
    apr_sha1_ctx_t sha;
    int done = 0;

    apr_sha1_init(&sha);
    while (!done) {
        apr_bucket *b;
        apr_status_t rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES,
                                         APR_BLOCK_READ, HUGE_STRING_LEN);
        if (rv != APR_SUCCESS)
            return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
        for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
            const char *data;
            apr_size_t len;

            if (APR_BUCKET_IS_EOS(b)) {
                done = 1;
                break;
            }
            if (APR_BUCKET_IS_METADATA(b))
                continue;
            rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
            if (rv != APR_SUCCESS)
                return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
            apr_sha1_update_binary(&sha, (const unsigned char *)data, (unsigned int)len);
            total += len;
        }
        apr_brigade_cleanup(bb);
    }
    ap_set_content_type(r, "text/plain");
    ap_rprintf(r, "length=%" APR_INT64_T_FMT " sha1=%s\n", total, hex_digest(r->pool, &sha));
    return OK;
}

static int handle(request_rec *r)
{
    static const struct {
        const char *name;
        int (*serve)(request_rec *r);
    } table[] = {
        { "mpmx-whoami", whoami }, { "mpmx-mpm", tell_mpm }, { "mpmx-sleep", slow },
        { "mpmx-gen", generate }, { "mpmx-sink", swallow }, { "mpmx-stamps", stamps },
    };
    apr_size_t i;

    for (i = 0; r->handler && i < sizeof(table) / sizeof(table[0]); ++i)
        if (!strcmp(r->handler, table[i].name))
            return table[i].serve(r);
    return DECLINED;
}

/* ---- line protocol ---- */

typedef enum {
    LINE_OFF,
    LINE_BLOCK,     /* reads blocking: keeps its thread for the connection's life */
    LINE_WAIT,      /* returns ASYNC_WAITIO: "call me when something can be read" */
    LINE_PARK       /* returns WRITE_COMPLETION with keep-alive on: idle between lines */
} line_mode_e;

typedef struct {
    int greeted;
    apr_size_t used;
    char line[1000];
} line_state_t;

static void say(conn_rec *c, const char *text)
{
    apr_bucket_brigade *bb = apr_brigade_create(c->pool, c->bucket_alloc);

    ap_fputs(c->output_filters, bb, text);
    ap_fflush(c->output_filters, bb);
}

/* Takes what has arrived (or, blocking, waits for it) to the end of the first line.
 * 1: st->line holds a line; 0: not yet; -1: the client has gone or talks nonsense. */
static int read_line(conn_rec *c, line_state_t *st, apr_read_type_e block)
{
    apr_bucket_brigade *bb = apr_brigade_create(c->pool, c->bucket_alloc);

    while (!memchr(st->line, '\n', st->used)) {
        apr_size_t room = sizeof(st->line) - 1 - st->used;
        apr_status_t rv;

        if (!room)
            return -1;
        rv = ap_get_brigade(c->input_filters, bb, AP_MODE_READBYTES, block, room);
        if (APR_STATUS_IS_EAGAIN(rv) || (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(bb)))
            return 0;
        if (rv != APR_SUCCESS || APR_BUCKET_IS_EOS(APR_BRIGADE_FIRST(bb)))
            return -1;
        rv = apr_brigade_flatten(bb, st->line + st->used, &room);
        apr_brigade_cleanup(bb);
        if (rv != APR_SUCCESS || !room)
            return -1;
        st->used += room;
    }
    return 1;
}

/* Answers all complete lines in the buffer; 0 when the client said QUIT. */
static int answer(conn_rec *c, line_state_t *st)
{
    char *end;

    while ((end = memchr(st->line, '\n', st->used)) != NULL) {
        apr_size_t n = (apr_size_t)(end + 1 - st->line);

        *end = '\0';
        if (end > st->line && end[-1] == '\r')
            end[-1] = '\0';
        if (!strcmp(st->line, "QUIT")) {
            say(c, "221 bye\r\n");
            return 0;
        }
        say(c, apr_psprintf(c->pool, "250 %s\r\n", st->line));
        st->used -= n;
        memmove(st->line, st->line + n, st->used);
    }
    return 1;
}

static int can_wait(void)
{
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 137)
    int able = 0;

    return ap_mpm_query(AP_MPMQ_CAN_WAITIO, &able) == APR_SUCCESS && able;
#else
    return 0;
#endif
}

static int speak(conn_rec *c)
{
    line_mode_e mode = (line_mode_e)(apr_uintptr_t)
        ap_get_module_config(c->base_server->module_config, &mpmxt_serving_module);
    line_state_t *st = ap_get_module_config(c->conn_config, &mpmxt_serving_module);
    int got;

    if (mode == LINE_OFF)
        return DECLINED;
    if (!c->cs)
        mode = LINE_BLOCK;      /* a synchronous MPM has no other way */
    if (!st) {
        st = apr_pcalloc(c->pool, sizeof(*st));
        ap_set_module_config(c->conn_config, &mpmxt_serving_module, st);
    }
    if (!st->greeted) {
        st->greeted = 1;
        say(c, "220 hello\r\n");
    }
    while ((got = read_line(c, st, mode == LINE_BLOCK ? APR_BLOCK_READ : APR_NONBLOCK_READ)) > 0)
        if (!answer(c, st)) {
            got = -1;
            break;
        }
    if (got < 0 || mode == LINE_BLOCK) {
        c->keepalive = AP_CONN_CLOSE;
        if (c->cs)
            c->cs->state = CONN_STATE_LINGER;
        return OK;
    }
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 135)
    if (mode == LINE_WAIT && can_wait()) {
        c->cs->state = CONN_STATE_ASYNC_WAITIO;
        return OK;
    }
#else
    (void)can_wait;
#endif
    c->keepalive = AP_CONN_KEEPALIVE;
    c->cs->state = CONN_STATE_WRITE_COMPLETION;
    return OK;
}

/* ---- directives and hooks ---- */

static const char *set_line(cmd_parms *cmd, void *dummy, const char *word)
{
    line_mode_e mode;

    (void)dummy;
    if (!strcmp(word, "block"))
        mode = LINE_BLOCK;
    else if (!strcmp(word, "wait"))
        mode = LINE_WAIT;
    else if (!strcmp(word, "park"))
        mode = LINE_PARK;
    else
        return "MpmxLine takes block, wait or park";
    ap_set_module_config(cmd->server->module_config, &mpmxt_serving_module,
                         (void *)(apr_uintptr_t)mode);
    return NULL;
}

static const command_rec commands[] = {
    AP_INIT_TAKE1("MpmxLine", set_line, NULL, RSRC_CONF, "block, wait or park"),
    { NULL }
};

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_handler(handle, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_process_connection(speak, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_suspend_connection(count_suspension, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(mpmxt_serving) = {
    STANDARD20_MODULE_STUFF,
    NULL, NULL, NULL, NULL,
    commands,
    register_hooks,
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 70)
    AP_MODULE_FLAG_NONE
#endif
};
