/* A free list of equal blocks. It never looks into a block that is in use. */
#include "base/block.h"

#include "base/mem.h"
#include "base/poison.h"

#include <string.h>

void block_pool_init(struct block_pool *pool, size_t size, size_t max_free)
{
    *pool = (struct block_pool){ .size = size, .max_free = max_free };
}

/* The link to the next free block is in the block's first octets, which are readable only here. */
static void *next_of(void *block)
{
    void *next;
    unpoison(block, sizeof(next));
    memcpy(&next, block, sizeof(next));
    return next;
}

void *block_take(struct block_pool *pool)
{
    void *block = pool->free;
    if (!block)
        return mem_alloc(pool->size);
    pool->free = next_of(block);
    pool->n_free--;
    unpoison(block, pool->size);
    return block;
}

void block_give(struct block_pool *pool, void *block)
{
    if (!block)
        return;
    unpoison(block, pool->size);
    if (pool->n_free >= pool->max_free) {
        mem_free(block);
        return;
    }
    memcpy(block, &pool->free, sizeof(pool->free));
    pool->free = block;
    pool->n_free++;
    poison(block, pool->size);
}

void block_pool_clear(struct block_pool *pool)
{
    while (pool->free) {
        void *block = pool->free;
        pool->free = next_of(block);
        unpoison(block, pool->size);
        mem_free(block);
    }
    pool->n_free = 0;
}
