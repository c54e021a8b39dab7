/* The pool of equal blocks. It never looks into a block that is in use. */
#include "base/block.h"

#include "base/mem.h"
#include "base/poison.h"

#include <errno.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

enum { SLAB_BLOCKS = 32 };

/* A mapping that blocks are cut from. */
struct block_slab {
    struct block_slab *next;
    char *base;
};

void block_pool_init(struct block_pool *pool, size_t size, size_t keep)
{
    *pool = (struct block_pool){ .size = size, .keep = keep };
}

/* A checker knows where a block of the heap ends, and whether it was initialised. */
static bool is_of_the_heap(void)
{
#ifdef TEPAL_ASAN
    return true;
#else
    return RUNNING_ON_VALGRIND;
#endif
}

/* Each block has pages of its own, so that its memory can be given back. */
static int add_block_slab(struct block_pool *pool)
{
    size_t stride = mem_whole_pages(pool->size);
    struct block_slab *slab = mem_alloc(sizeof(*slab));
    if (!slab)
        return -ENOMEM;
    slab->base = idle_reserve(&pool->idle, pool->n + SLAB_BLOCKS) == 0
                     ? mem_map(stride * SLAB_BLOCKS)
                     : NULL;
    if (!slab->base) {
        mem_free(slab);
        return -ENOMEM;
    }
    slab->next = pool->slabs;
    pool->slabs = slab;
    pool->n += SLAB_BLOCKS;
    for (size_t i = SLAB_BLOCKS; i-- > 0;)
        idle_give_cold(&pool->idle, slab->base + i * stride);
    return 0;
}

static void *new_heap_block(struct block_pool *pool)
{
    void *block = idle_reserve(&pool->idle, pool->n + 1) == 0 ? mem_alloc(pool->size) : NULL;
    if (block)
        pool->n++;
    return block;
}

static NO_INLINE void *take_new_block(struct block_pool *pool)
{
    if (is_of_the_heap())
        return new_heap_block(pool);
    return add_block_slab(pool) == 0 ? idle_take(&pool->idle) : NULL;
}

void *block_take(struct block_pool *pool)
{
    if (UNLIKELY(pool->idle.n == 0))
        return take_new_block(pool);
    void *block = idle_take(&pool->idle);
    unpoison(block, pool->size);
    return block;
}

void block_give(struct block_pool *pool, void *block)
{
    if (!block)
        return;
    poison(block, pool->size);
    idle_give(&pool->idle, block);
}

bool block_pool_cool(struct block_pool *pool, size_t max)
{
    for (; idle_is_resting(&pool->idle, pool->keep); max--) {
        if (max == 0)
            return true;
        void *block = idle_cool(&pool->idle);
        if (pool->slabs)
            (void)mem_discard(block, mem_whole_pages(pool->size)); /* else it stays as it is */
    }
    return false;
}

static void free_heap_blocks(struct block_pool *pool)
{
    while (pool->idle.n > 0) {
        void *block = idle_take(&pool->idle);
        unpoison(block, pool->size);
        mem_free(block);
    }
}

static void free_slabs(struct block_pool *pool)
{
    while (pool->slabs) {
        struct block_slab *slab = pool->slabs;
        pool->slabs = slab->next;
        mem_unmap(slab->base, mem_whole_pages(pool->size) * SLAB_BLOCKS);
        mem_free(slab);
    }
}

void block_pool_clear(struct block_pool *pool)
{
    if (!pool->slabs)
        free_heap_blocks(pool);
    else if (pool->idle.n == pool->n)
        free_slabs(pool);
    idle_clear(&pool->idle);
    pool->slabs = NULL;
    pool->n = 0;
}
