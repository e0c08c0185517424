/* See accept_filter.h. */
#include "accept_filter.h"

#include <strings.h>
#include "apr_tables.h"
#include "http_config.h"
#include "http_core.h"

mpmx_gate_mode mpmx_accept_filter_gate(server_rec *main_server, const char *protocol)
{
    core_server_config *core = ap_get_core_module_config(main_server->module_config);
    const char *filter;
    int tls;

    if (!protocol)
        protocol = "http";
    tls = !strcasecmp(protocol, "https");
    if (!tls && strcasecmp(protocol, "http"))
        return MPMX_GATE_OFF;
    filter = core->accf_map ? apr_table_get(core->accf_map, protocol) : NULL;
    if (filter && (!strcasecmp(filter, "none") || !strcasecmp(filter, "connect")))
        return MPMX_GATE_OFF;
    return tls ? MPMX_GATE_RECORDS : MPMX_GATE_HEADS;
}
