/* Blocks of one size, recycled last-in first-out so that they stay warm in the cache: the read and
 * write buffers of connections and the first chunk of each request's arena.
 *
 * A pool belongs to one loop. Its blocks lie in mappings of its own, not in the program's heap: so
 * those that were idle for a while give their memory back, and an idle process is small again after
 * a burst. Where a checker watches the heap (AddressSanitizer, valgrind) they lie there.
 */
#ifndef TEPAL_BASE_BLOCK_H
#define TEPAL_BASE_BLOCK_H

#include "base/idle.h"

#include <stdbool.h>
#include <stddef.h>

struct block_slab;

struct block_pool {
    size_t size; /* of each block, in octets */
    size_t keep; /* how many idle blocks keep their memory in any case */
    size_t n;    /* of all blocks, in use or idle */
    struct idle idle;
    struct block_slab *slabs; /* what the blocks were cut from; none when they are of the heap */
};

void block_pool_init(struct block_pool *pool, size_t size, size_t keep);

/* Gives all memory back to the system. When a block is still in use, by somebody who never gives it
 * back, what was mapped for it and others stays. */
void block_pool_clear(struct block_pool *pool);

/* A block of pool->size octets, or NULL. */
void *block_take(struct block_pool *pool);

/* Gives a block back; NULL is allowed. */
void block_give(struct block_pool *pool, void *block);

/* Whether more idle blocks have memory than are to keep it. */
static inline bool block_pool_is_warm(const struct block_pool *pool)
{
    return idle_warm(&pool->idle) > pool->keep;
}

/* Gives the memory of at most max idle blocks back that were not taken in this period (see
 * idle_begin_period()). Returns true when there are more of them. */
bool block_pool_cool(struct block_pool *pool, size_t max);

#endif
