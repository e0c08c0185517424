/* What modules may do with a connection, for tests of connections that are idle:
 * keep something on it, hook into its life, notice the end of its conn_rec.
 *
 *     <Location /mpmxt-conn>
 *         SetHandler mpmxt-conn
 *     </Location>
 *
 *     /mpmxt-conn/about        about this connection: keepalives, addresses
 *     /mpmxt-conn/watch        the same; the conn_rec counts as watched until its pool is cleared
 *     /mpmxt-conn/config?TEXT  keeps TEXT in the module's slot of conn_config
 *     /mpmxt-conn/note?TEXT    ... in the connection's notes
 *     /mpmxt-conn/input?TEXT   ... in a connection input filter
 *     /mpmxt-conn/output?TEXT  ... in a connection output filter
 *     /mpmxt-conn/kept         what is kept on this connection
 *     /mpmxt-conn/counts       of this process: alive (watched conn_recs), pre and live
 *                              (connections that pre_connection has seen, that have not ended)
 *
 * -D MPMXT_HOOK_CREATE, _PRE, _PROCESS, _PRE_CLOSE, _SUSPEND, _RESUME: it hooks into that one
 * (_PRE is pre_connection); without any of them it hooks into none.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_connection.h"
#include "http_core.h"
#include "http_protocol.h"
#include "ap_mpm.h"
#include "apr_atomic.h"
#include "apr_strings.h"
#include "mpm_common.h"
#include "util_filter.h"

#include <string.h>
#include <unistd.h>

module AP_MODULE_DECLARE_DATA mpmxt_connections_module;

#define NOTE "mpmxt-connections"

static apr_uint32_t alive, pre, live;

/* ---- hooks ---- */

static apr_status_t one_less(void *count)
{
    apr_atomic_dec32(count);
    return APR_SUCCESS;
}

static void count_until_end(conn_rec *c, apr_uint32_t *count)
{
    apr_atomic_inc32(count);
    apr_pool_cleanup_register(c->pool, count, one_less, apr_pool_cleanup_null);
}

static int at_pre_connection(conn_rec *c, void *csd)
{
    apr_atomic_inc32(&pre);
    count_until_end(c, &live);
    return DECLINED;
}

static conn_rec *at_create_connection(apr_pool_t *p, server_rec *s, apr_socket_t *csd, long id,
                                      void *sbh, apr_bucket_alloc_t *alloc)
{
    return NULL;
}

static int at_process_connection(conn_rec *c)
{
    return DECLINED;
}

static int at_pre_close_connection(conn_rec *c)
{
    return DECLINED;
}

static void at_suspend_or_resume(conn_rec *c, request_rec *r)
{
}

/* ---- filters ---- */

static apr_status_t pass_input(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                               apr_read_type_e block, apr_off_t bytes)
{
    return ap_get_brigade(f->next, bb, mode, block, bytes);
}

static apr_status_t pass_output(ap_filter_t *f, apr_bucket_brigade *bb)
{
    return ap_pass_brigade(f->next, bb);
}

static const char *kept_in(ap_filter_t *f, const char *name)
{
    for (; f; f = f->next)
        if (!strcasecmp(f->frec->name, name))
            return f->ctx;
    return "-";
}

/* ---- the handler ---- */

static void about(request_rec *r)
{
    conn_rec *c = r->connection;

    ap_rprintf(r, "pid=%ld id=%ld keepalives=%d client=%s:%d local=%s:%d\n", (long)getpid(), c->id,
               c->keepalives, c->client_ip, c->client_addr->port, c->local_ip, c->local_addr->port);
}

static void tell_kept(request_rec *r)
{
    conn_rec *c = r->connection;
    const char *config = ap_get_module_config(c->conn_config, &mpmxt_connections_module);
    const char *note = apr_table_get(c->notes, NOTE);

    ap_rprintf(r, "config=%s note=%s input=%s output=%s\n", config ? config : "-", note ? note : "-",
               kept_in(c->input_filters, "MPMXT_IN"), kept_in(c->output_filters, "MPMXT_OUT"));
}

static int handler(request_rec *r)
{
    conn_rec *c = r->connection;
    const char *verb;
    char *text;

    if (!r->handler || strcmp(r->handler, "mpmxt-conn"))
        return DECLINED;
    ap_set_content_type(r, "text/plain");
    verb = strrchr(r->uri, '/') + 1;
    text = apr_pstrdup(c->pool, r->args ? r->args : "");
    if (!strcmp(verb, "counts")) {
        ap_rprintf(r, "alive=%u pre=%u live=%u\n", apr_atomic_read32(&alive),
                   apr_atomic_read32(&pre), apr_atomic_read32(&live));
        return OK;
    }
    if (!strcmp(verb, "kept")) {
        tell_kept(r);
        return OK;
    }
    if (!strcmp(verb, "watch"))
        count_until_end(c, &alive);
    else if (!strcmp(verb, "config"))
        ap_set_module_config(c->conn_config, &mpmxt_connections_module, text);
    else if (!strcmp(verb, "note"))
        apr_table_setn(c->notes, NOTE, text);
    else if (!strcmp(verb, "input"))
        ap_add_input_filter("MPMXT_IN", text, NULL, c);
    else if (!strcmp(verb, "output"))
        ap_add_output_filter("MPMXT_OUT", text, NULL, c);
    else if (strcmp(verb, "about"))
        return HTTP_NOT_FOUND;
    about(r);
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_register_input_filter("MPMXT_IN", pass_input, NULL, AP_FTYPE_CONNECTION);
    ap_register_output_filter("MPMXT_OUT", pass_output, NULL, AP_FTYPE_CONNECTION);
    if (ap_exists_config_define("MPMXT_HOOK_CREATE"))
        ap_hook_create_connection(at_create_connection, NULL, NULL, APR_HOOK_FIRST);
    if (ap_exists_config_define("MPMXT_HOOK_PRE"))
        ap_hook_pre_connection(at_pre_connection, NULL, NULL, APR_HOOK_MIDDLE);
    if (ap_exists_config_define("MPMXT_HOOK_PROCESS"))
        ap_hook_process_connection(at_process_connection, NULL, NULL, APR_HOOK_FIRST);
    if (ap_exists_config_define("MPMXT_HOOK_PRE_CLOSE"))
        ap_hook_pre_close_connection(at_pre_close_connection, NULL, NULL, APR_HOOK_MIDDLE);
    if (ap_exists_config_define("MPMXT_HOOK_SUSPEND"))
        ap_hook_suspend_connection(at_suspend_or_resume, NULL, NULL, APR_HOOK_MIDDLE);
    if (ap_exists_config_define("MPMXT_HOOK_RESUME"))
        ap_hook_resume_connection(at_suspend_or_resume, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA mpmxt_connections_module = {
    STANDARD20_MODULE_STUFF,
    NULL, NULL, NULL, NULL,
    NULL,
    register_hooks,
    0
};
