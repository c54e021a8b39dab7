/* Blocks of one size, recycled last-in first-out so that they stay warm in the cache: the read and
 * write buffers of connections and the first chunk of each request's arena.
 *
 * A pool belongs to one loop. What it keeps beyond max_free goes back to the system at once, so an
 * idle process is small again after a burst.
 */
#ifndef TEPAL_BASE_BLOCK_H
#define TEPAL_BASE_BLOCK_H

#include <stddef.h>

struct block_pool {
    size_t size;     /* of each block, in octets */
    size_t max_free; /* how many unused blocks are kept */
    size_t n_free;
    void *free;
};

void block_pool_init(struct block_pool *pool, size_t size, size_t max_free);

/* Gives all unused blocks back to the system. */
void block_pool_clear(struct block_pool *pool);

/* A block of pool->size octets, or NULL. */
void *block_take(struct block_pool *pool);

/* Gives a block back; NULL is allowed. */
void block_give(struct block_pool *pool, void *block);

#endif
