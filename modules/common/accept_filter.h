/* AcceptFilter as this MPM means it, the same on every platform.
 *
 * The core keeps the table and applies what the kernel can do (TCP_DEFER_ACCEPT, BSD
 * accept filters).  `data`, `httpready` and any other name that makes the kernel wait
 * for data also switch the request-head gate on; `none` and `connect` leave it off.
 * Protocols other than http and https are never gated: their server may speak first.
 */
#ifndef MPMX_ACCEPT_FILTER_H
#define MPMX_ACCEPT_FILTER_H

#include "httpd.h"
#include "ap_listen.h"

typedef enum { MPMX_GATE_OFF, MPMX_GATE_HEADS, MPMX_GATE_RECORDS } mpmx_gate_mode;

/* What to collect on listeners of `protocol` (NULL: http). Any thread; reads the
 * configuration only. */
mpmx_gate_mode mpmx_accept_filter_gate(server_rec *main_server, const char *protocol);

/* Sets the filter of a protocol as an AcceptFilter directive here would. While the
 * configuration is read. */
void mpmx_accept_filter_set(server_rec *main_server, const char *protocol, const char *filter);

/* Logs for every listener which filter it has and what that means. Parent, at start. */
void mpmx_accept_filter_report(server_rec *main_server, ap_listen_rec *list);

#endif
