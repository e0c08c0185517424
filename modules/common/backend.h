/* Connections that a worker opens itself, to the backend of a reverse proxy.
 *
 * A handler that waits for its backend blocks its thread, which the crew finds out within a
 * millisecond or so. Here it need not: the bucket below the core's input filter is ours, and
 * tells the crew before it waits. So the next report finds a thread at once.
 */
#ifndef MPMX_BACKEND_H
#define MPMX_BACKEND_H

#include "httpd.h"
#include "apr_buckets.h"

/* A part of hook insert_network_bucket, for connections that are not ours. AP_DECLINED if the
 * calling thread is no worker, or waits without counting anyway. */
apr_status_t mpmx_backend_insert(conn_rec *c, apr_bucket_brigade *bb, apr_socket_t *socket);

#endif
