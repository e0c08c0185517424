/* The bucket below the core's input filter.
 *
 * It yields first what the MPM has received while it waited for a request head,
 * then reads the socket as httpd's own socket bucket does.  From a short read it
 * knows that the kernel has nothing more and answers the next non-blocking read (the
 * core's look for a pipelined request) without a system call, once.
 */
#ifndef MPMX_NETBUCKET_H
#define MPMX_NETBUCKET_H

#include "httpd.h"
#include "conn.h"

/* Hook insert_network_bucket. AP_DECLINED for connections that are not ours. */
apr_status_t mpmx_netbucket_insert(conn_rec *c, apr_bucket_brigade *bb, apr_socket_t *socket);

/* Saves what the bucket has not yet yielded from the worker's scratch memory. Returns
 * nonzero if there was anything. The owner, after each round of module code. */
int mpmx_netbucket_keep(mpmx_conn *conn);

/* Takes back what core has read but not used (a pipelined request) and has the gate
 * judge it: nonzero when it is to be served now. The owner, between requests. */
int mpmx_netbucket_reclaim(mpmx_worker *w, mpmx_conn *conn);

#endif
