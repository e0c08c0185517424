/* See hibernate.h. */
#include "hibernate.h"
#include "child.h"
#include "clock.h"
#include "log.h"
#include "memory.h"
#include "serve.h"

#include <string.h>
#include <strings.h>
#include "apr_strings.h"
#include "http_connection.h"
#include "http_protocol.h"
#include "mpm_common.h"
#include "util_filter.h"

#define WORTH_WHILE  64          /* sleepers, at some 20 KB each                              */
#define FEW_MS     5000          /* fewer than that: when it was quiet for so long            */
#define MANY_MS    1000          /* between two times                                         */

/* Modules that take part in a connection's beginning or end, and keep nothing there beyond what
 * is looked at below. Of others it is not known. */
static const char *const harmless[] = {
    "core.c", "http_core.c", "event.c", "worker.c", "mpm_winnt.c", "mod_logio.c", "mod_reqtimeout.c",
    "mod_ssl.c", "mod_http2.c", "mod_remoteip.c", "mod_dumpio.c", "mod_echo.c", "mod_dialup.c", NULL
};

/* Modules that keep things in the connection's pool and nowhere else: by LuaScope conn. */
static const char *const secretive[] = { "mod_lua.c", NULL };

/* Modules whose slot of conn_config says nothing that a new conn_rec would not say: core's socket,
 * ours; counters that are zero between requests (mod_logio); which timeout a request begins with
 * (mod_reqtimeout). */
static const char *const forgetful[] = {
    "core.c", "event.c", "worker.c", "mpm_winnt.c", "mod_logio.c", "mod_reqtimeout.c", NULL
};

/* Filters of connections that hold nothing while no data is pending. */
static const char *const transparent[] = { "core_in", "core", "reqtimeout", "log_input_output", NULL };

static int is_among(const char *name, const char *const *list)
{
    while (*list && strcasecmp(*list, name))
        list++;
    return *list != NULL;
}

/* --- which modules are there --------------------------------------------------------------- */

/* All hooks have records of one form (apr_hooks.h). */
static const char *stranger_in(const apr_array_header_t *hooks)
{
    const ap_LINK_pre_connection_t *hook;
    int i;

    for (i = 0; hooks && i < hooks->nelts; i++) {
        hook = (const ap_LINK_pre_connection_t *)(hooks->elts + (apr_size_t)i * (apr_size_t)hooks->elt_size);
        if (!hook->szName || !is_among(hook->szName, harmless))
            return hook->szName ? hook->szName : "a module without a name";
    }
    return NULL;
}

static const char *find_stranger(void)
{
    apr_array_header_t *(*const hooks[])(void) = {
        ap_hook_get_create_connection, ap_hook_get_pre_connection, ap_hook_get_process_connection,
        ap_hook_get_suspend_connection, ap_hook_get_resume_connection, ap_hook_get_pre_close_connection
    };
    const char *name = NULL;
    apr_size_t i;

    for (i = 0; !name && i < sizeof hooks / sizeof *hooks; i++)
        name = stranger_in(hooks[i]());
    for (i = 0; !name && ap_loaded_modules[i]; i++)
        if (is_among(ap_loaded_modules[i]->name, secretive))
            name = ap_loaded_modules[i]->name;
    return name;
}

void mpmx_hibernate_init(server_rec *s)
{
    const char *stranger = mpmx_this_policy.async && mpmx.conf.hibernate_ms ? find_stranger() : NULL;

    mpmx.no_sleep = stranger != NULL;
    if (stranger)
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, s,
                     "KeepAliveHibernate has no effect: %s may keep something on connections, so they "
                     "do not sleep", stranger);
}

/* --- what is on this connection --------------------------------------------------------------- */

static int has_state(const conn_rec *c)
{
    int i;

    for (i = 0; ap_loaded_modules[i]; i++)
        if (ap_get_module_config(c->conn_config, ap_loaded_modules[i])
            && !is_among(ap_loaded_modules[i]->name, forgetful))
            return 1;
    return 0;
}

static int has_filter(const ap_filter_t *f)
{
    for (; f; f = f->next)
        if (!is_among(f->frec->name, transparent))
            return 1;
    return 0;
}

/* Behind a proxy whose protocol tells the client's address, or rewritten by a module. */
static int has_other_address(const mpmx_conn *conn)
{
    apr_sockaddr_t *remote;

    return apr_socket_addr_get(&remote, APR_REMOTE, conn->sock) != APR_SUCCESS
        || conn->c->client_addr != remote;
}

static int may_sleep(mpmx_conn *conn)
{
    conn_rec *c = conn->c;

    return !mpmx.no_sleep && conn->gated && !conn->tls
        && c->keepalive == AP_CONN_KEEPALIVE && !c->aborted && !c->master
        && !c->data_in_input_filters && !c->data_in_output_filters && !c->clogging_input_filters
        && apr_is_empty_table(c->notes)
        && !has_other_address(conn)
        && !has_filter(c->input_filters) && !has_filter(c->output_filters)
        && !has_state(c)
        && !strcmp(ap_get_protocol(c), AP_PROTOCOL_HTTP1);
}

/* --- sleep --------------------------------------------------------------------------------- */

void mpmx_hibernate(mpmx_worker *w, mpmx_conn *conn)
{
    mpmx_child *child = mpmx_child_of(w);
    int gave = 1;

    conn->restless = 1;                  /* until its next request */
    if (may_sleep(conn)) {
        mpmx_serve_sleep(w, conn);
        mpmx_conn_set_state(conn, MPMX_CONN_ASLEEP);
    }
    else if (!strcmp(ap_get_protocol(conn->c), AP_PROTOCOL_HTTP1)) {
        mpmx_pool_trim(conn->pool);      /* others may have threads in subpools */
    }
    else {
        gave = 0;
    }
    if (gave && atomic_fetch_add(&child->slept, 1) == 0)
        mpmx_child_kick(child);
    mpmx_conn_await_head(w, conn);
}

void mpmx_hibernate_give_back(mpmx_child *child, int64_t now, int64_t *until)
{
    int slept = atomic_load(&child->slept);
    int64_t due = child->gave_back + (slept >= WORTH_WHILE ? MANY_MS : FEW_MS);

    if (!slept)
        return;
    if (now >= due) {
        atomic_store(&child->slept, 0);
        child->gave_back = now;
        mpmx_memory_give_back();
    }
    else if (due < *until) {
        *until = due;
    }
}
