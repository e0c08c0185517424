/* Connection pools, kept for the next connection.
 *
 * Each has an allocator of its own without a mutex (contract 6.1), so that what runs
 * on a connection never meets a lock.  A worker keeps a few; the rest goes back to
 * the system.
 *
 * What a request needs is memory of its connection's allocator, and would stay there until
 * the next one: with many clients, every request would be handled in memory that is in no
 * cache any more.  So a connection that becomes idle leaves its free blocks to the worker,
 * and gets as many back, which are warm, from the one that serves it next.
 */
#include "child.h"
#include "serve.h"
#include "mpm_common.h"

#define BLOCK    8192            /* the smallest that APR allocates, of which pools are made */
#define BLOCKS      4            /* a request for a small file needs no more                */
#define BLOCKS_KEPT 16           /* by a worker; the rest goes back to the system           */

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

void mpmx_pool_trim(apr_pool_t *pool)
{
    apr_allocator_t *allocator = apr_pool_allocator_get(pool);
    apr_memnode_t *block, *taken = NULL;
    int i;

    /* An allocator returns nothing that it has, only what it is given while it has enough: so
     * take out what requests usually leave, and give it back with the limit lowered. */
    for (i = 0; i < BLOCKS_KEPT; i++)
        if ((block = apr_allocator_alloc(allocator, BLOCK - APR_MEMNODE_T_SIZE)) != NULL) {
            block->next = taken;
            taken = block;
        }
    apr_allocator_max_free_set(allocator, 1);
    if (taken)
        apr_allocator_free(allocator, taken);
    apr_allocator_max_free_set(allocator, ap_max_mem_free);
}

void mpmx_pool_put_back(mpmx_worker *w, apr_pool_t *pool)
{
    if (w->spare_pools < MPMX_SPARE_POOLS)
        w->spare_pool[w->spare_pools++] = pool;
    else
        apr_pool_destroy(pool);
}

void mpmx_pool_give(mpmx_worker *w, apr_pool_t *pool)
{
    if (w->spare_pools < MPMX_SPARE_POOLS)
        apr_pool_clear(pool);            /* else it is destroyed */
    mpmx_pool_put_back(w, pool);
}

static int has_blocks(mpmx_worker *w)
{
    if (!w->blocks) {
        if (apr_allocator_create(&w->blocks) != APR_SUCCESS)
            return 0;
        apr_allocator_max_free_set(w->blocks, BLOCKS_KEPT * BLOCK);
    }
    return 1;
}

/* As many as a request needs; what is not there is allocated, so that the count stays even. */
static void move_blocks(apr_allocator_t *from, apr_allocator_t *to)
{
    int i;

    for (i = 0; i < BLOCKS; i++) {
        apr_memnode_t *block = apr_allocator_alloc(from, BLOCK - APR_MEMNODE_T_SIZE);

        if (block)
            apr_allocator_free(to, block);
    }
}

void mpmx_pool_cool(mpmx_worker *w, apr_pool_t *pool)
{
    if (has_blocks(w))
        move_blocks(apr_pool_allocator_get(pool), w->blocks);
}

void mpmx_pool_warm(mpmx_worker *w, apr_pool_t *pool)
{
    if (has_blocks(w))
        move_blocks(w->blocks, apr_pool_allocator_get(pool));
}
