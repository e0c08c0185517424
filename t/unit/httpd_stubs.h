/*
 * httpd_stubs.h - stands in for httpd where code that logs or makes threads is tested without it.
 *
 * Compile with -DMPMX_MODULE=mpm_unit; for one translation unit per program.
 */
#ifndef MPMX_HTTPD_STUBS_H
#define MPMX_HTTPD_STUBS_H

#include <stdarg.h>
#include <stdio.h>
#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "http_main.h"
#include "mpm_common.h"

module mpm_unit_module = { STANDARD20_MODULE_STUFF };
server_rec *ap_server_conf;
apr_size_t ap_thread_stacksize;

#ifndef ap_thread_create
apr_status_t ap_thread_create(apr_thread_t **thread, apr_threadattr_t *attr, apr_thread_start_t func,
                              void *data, apr_pool_t *pool)
{
    return apr_thread_create(thread, attr, func, data, pool);
}
#endif

#undef ap_log_error_
void ap_log_error_(const char *file, int line, int module_index, int level, apr_status_t status,
                   const server_rec *s, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "# log: %s:%d: (%d) ", file, line, (int)status);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

#endif
