/* See accept_filter.h. */
#include "accept_filter.h"
#include "log.h"

#include <strings.h>
#include "apr_tables.h"
#include "http_config.h"
#include "http_core.h"

static int is_http(const char *protocol)
{
    return !protocol || !strcasecmp(protocol, "http");
}

/* NULL: none was named, nor does the core know one for this system. */
static const char *filter_of(server_rec *main_server, const char *protocol)
{
    core_server_config *core = ap_get_core_module_config(main_server->module_config);

    return core->accf_map ? apr_table_get(core->accf_map, protocol ? protocol : "http") : NULL;
}

mpmx_gate_mode mpmx_accept_filter_gate(server_rec *main_server, const char *protocol)
{
    const char *filter = filter_of(main_server, protocol);
    int tls = protocol && !strcasecmp(protocol, "https");

    if (!tls && !is_http(protocol))
        return MPMX_GATE_OFF;
    if (filter && (!strcasecmp(filter, "none") || !strcasecmp(filter, "connect")))
        return MPMX_GATE_OFF;
    return tls ? MPMX_GATE_RECORDS : MPMX_GATE_HEADS;
}

void mpmx_accept_filter_set(server_rec *main_server, const char *protocol, const char *filter)
{
    core_server_config *core = ap_get_core_module_config(main_server->module_config);

    if (core->accf_map)
        apr_table_setn(core->accf_map, protocol, filter);
}

void mpmx_accept_filter_report(server_rec *main_server, ap_listen_rec *list)
{
    static const char *const meaning[] = {
        [MPMX_GATE_OFF] = "a thread is used at once",
        [MPMX_GATE_HEADS] = "a thread is used once a whole request head is there",
        [MPMX_GATE_RECORDS] = "a thread is used once a whole TLS record is there"
    };

    for (; list; list = list->next) {
        const char *filter = filter_of(main_server, list->protocol);

        ap_log_error(APLOG_MARK, APLOG_INFO, 0, main_server, "listening on %pI (%s), AcceptFilter %s: %s",
                     list->bind_addr, list->protocol ? list->protocol : "http",
                     filter ? filter : "not set",
                     meaning[mpmx_accept_filter_gate(main_server, list->protocol)]);
    }
}
