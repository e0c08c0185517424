/* Logging under the module that this copy of the library is linked into.
 *
 * The common sources are compiled once per DSO with MPMX_MODULE set to the
 * module's name, so that `LogLevel mpm_event:debug` reaches them.
 */
#ifndef MPMX_LOG_H
#define MPMX_LOG_H

#include <stdatomic.h>
#include <stdint.h>
#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"

#define MPMX_USE_MODULE_(name) APLOG_USE_MODULE(name)
#define MPMX_USE_MODULE(name)  MPMX_USE_MODULE_(name)

#ifndef MPMX_MODULE
#error "compile with -DMPMX_MODULE=<module name>, e.g. mpm_event"
#endif

MPMX_USE_MODULE(MPMX_MODULE);

/* This DSO's module record: the key to its part of a conn_rec's or request_rec's configuration. */
#define MPMX_JOIN_(a, b) a##b
#define MPMX_JOIN(a, b)  MPMX_JOIN_(a, b)
#define MPMX_THIS_MODULE MPMX_JOIN(MPMX_MODULE, _module)

/* Format and first argument of a message whose AH number is the MPM's own (mpmx.h):
 * ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, MPMX_AH(STOP, "shutting down")) */
#define MPMX_AH(which, format) "AH%05d: " format, mpmx_this_policy.ah[MPMX_AH_##which]

#define MPMX_LOG_AGAIN_MS 60000

/* Is it time again to log something of which one line a minute says enough? `last`: when it was
 * logged, coarse ms, or 0. Any thread. */
static inline int mpmx_may_log(_Atomic int64_t *last, int64_t now)
{
    int64_t then = atomic_load(last);

    return (!then || now - then >= MPMX_LOG_AGAIN_MS)
        && atomic_compare_exchange_strong(last, &then, now);
}

#endif
