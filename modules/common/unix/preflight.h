/* What a process that checks the next configuration looks at beyond `httpd -t`.
 *
 * The parent runs `httpd -t` before it gives up the running configuration (reload.h). A
 * file that passes can still end the server: a port is taken, a log cannot be opened. In
 * the process that checks, this module is loaded like any other, and finds that out.
 */
#ifndef MPMX_PREFLIGHT_H
#define MPMX_PREFLIGHT_H

#include "mpmx.h"

/* Begins the line that says that the checks were made; the name of the MPM follows. */
#define MPMX_PREFLIGHT_PASSED "mpmx reload check passed: "

/* The environment for a process that checks: ours, that it is one, and the addresses that
 * we listen on. In the parent. */
char **mpmx_preflight_environment(apr_pool_t *pool);

/* Hook check_config, last: does nothing unless our parent process has asked for it. A
 * failure is told on stderr, a line each, and ends httpd with status 1. */
int mpmx_preflight(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

#endif
