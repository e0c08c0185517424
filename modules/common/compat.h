/* Version differences of httpd 2.4 in one place.
 *
 * Everything is decided by the headers the module is built against; the check
 * that the running server fits them is mpmx_scoreboard_fits().  Boundaries are
 * those of the module magic log (ap_mmn.h) of the 2.4 branch.
 */
#ifndef MPMX_COMPAT_H
#define MPMX_COMPAT_H

#include "ap_config.h"
#include "ap_mmn.h"
#include "ap_mpm.h"
#include "httpd.h"
#include "http_connection.h"
#include "mpm_common.h"
#include "scoreboard.h"
#include "apr_thread_proc.h"

#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 83)
#error "mpmx needs the headers of Apache httpd 2.4.37 or later"
#endif

/* 2.4.63 renamed two states and added one; the values never changed. */
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 135)
#define MPMX_CS_KEEPALIVE   CONN_STATE_KEEPALIVE
#define MPMX_CS_PROCESSING  CONN_STATE_PROCESSING
#define MPMX_HAVE_WAITIO    1
#define MPMX_CS_IS_WAITIO(s) ((s) == CONN_STATE_ASYNC_WAITIO)
#else
#define MPMX_CS_KEEPALIVE   CONN_STATE_CHECK_REQUEST_LINE_READABLE
#define MPMX_CS_PROCESSING  CONN_STATE_READ_REQUEST_LINE
#define MPMX_HAVE_WAITIO    0
#define MPMX_CS_IS_WAITIO(s) 0
#endif

/* process_score.wait_io exists since 2.4.63. */
#define MPMX_HAVE_SCORE_WAITIO AP_MODULE_MAGIC_AT_LEAST(20120211, 136)

/* AP_MPMQ_CAN_WAITIO is a number in the query interface, so it can be
 * answered whatever the headers call it. */
#define MPMX_MPMQ_CAN_WAITIO 19

/* The child_stopping hook came with 2.4.49. */
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
#define mpmx_run_child_stopping(pool, graceful) ap_run_child_stopping((pool), (graceful))
#else
#define mpmx_run_child_stopping(pool, graceful) ((void)(pool), (void)(graceful))
#endif

/* ap_pre_connection() (2.4.50) makes sure that the core filters are there even
 * when a hook failed; before, a failed hook left the connection without. */
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 117)
#define mpmx_pre_connection(c, sock) ap_pre_connection((c), (sock))
#else
#define mpmx_pre_connection(c, sock) ap_run_pre_connection((c), (sock))
#endif

/* Threads that know themselves (ap_thread_current) came with 2.4.53. */
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 122)
#define mpmx_thread_create ap_thread_create
#define mpmx_thread_main_create(thread, pool) ap_thread_main_create((thread), (pool))
#if AP_HAS_THREAD_LOCAL
#define mpmx_thread_after_fork() ap_thread_current_after_fork()
#else
#define mpmx_thread_after_fork() ((void)0)
#endif
#else
#define mpmx_thread_create apr_thread_create
#define mpmx_thread_main_create(thread, pool) (*(thread) = NULL, APR_SUCCESS)
#define mpmx_thread_after_fork() ((void)0)
#endif

#endif
