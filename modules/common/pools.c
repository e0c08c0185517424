/* Connection pools, kept for the next connection.
 *
 * Each has an allocator of its own without a mutex (contract 6.1), so that what runs
 * on a connection never meets a lock.  A worker keeps a few; the rest goes back to
 * the system.
 */
#include "child.h"
#include "serve.h"
#include "mpm_common.h"

apr_pool_t *mpmx_pool_take(mpmx_worker *w)
{
    apr_allocator_t *allocator;
    apr_pool_t *pool;

    if (w->spare_pools)
        return w->spare_pool[--w->spare_pools];
    if (apr_allocator_create(&allocator) != APR_SUCCESS)
        return NULL;
    apr_allocator_max_free_set(allocator, ap_max_mem_free);
    /* The parent's allocator has a mutex: children may be made by any thread. */
    if (apr_pool_create_ex(&pool, mpmx_child_of(w)->pconns, NULL, allocator) != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return NULL;
    }
    apr_allocator_owner_set(allocator, pool);
    apr_pool_tag(pool, "mpmx_connection");
    return pool;
}

void mpmx_pool_give(mpmx_worker *w, apr_pool_t *pool)
{
    if (w->spare_pools < MPMX_SPARE_POOLS) {
        apr_pool_clear(pool);
        w->spare_pool[w->spare_pools++] = pool;
    }
    else {
        apr_pool_destroy(pool);
    }
}
