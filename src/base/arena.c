/* The bump allocator behind every request. It never frees a single allocation. */
#include "base/arena.h"

#include "base/mem.h"
#include "base/poison.h"

#include <errno.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { ARENA_ALIGN = alignof(max_align_t), ARENA_MIN_CHUNK = 16 * 1024 };

struct arena_chunk {
    alignas(max_align_t) struct arena_chunk *next;
    size_t size;
};

int arena_init(struct arena *arena, struct block_pool *pool, size_t limit)
{
    *arena = (struct arena){ .pool = pool, .limit = limit };
    arena->first = block_take(pool);
    if (!arena->first)
        return -ENOMEM;
    arena_reset(arena);
    return 0;
}

void arena_reset(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        if (arena->budget)
            arena->budget->used -= chunk->size;
        unpoison(chunk, chunk->size);
        mem_free(chunk);
    }
    arena->next = arena->first;
    arena->end = arena->next + arena->pool->size;
    arena->used = arena->pool->size;
    poison(arena->next, arena->pool->size);
}

void arena_clear(struct arena *arena)
{
    if (!arena->first)
        return;
    arena_reset(arena);
    block_give(arena->pool, arena->first);
    arena->first = arena->next = arena->end = NULL;
}

/* A new current chunk with room for size octets, or one of its own for a large allocation. */
static NO_INLINE void *alloc_from_new_chunk(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    size_t need = sizeof(struct arena_chunk) + size;
    size_t left = arena->limit > arena->used ? arena->limit - arena->used : 0;
    if (need > left)
        return NULL;
    size_t take = need > ARENA_MIN_CHUNK / 4 ? need : ARENA_MIN_CHUNK;
    if (take > left)
        take = left;
    struct arena_budget *budget = arena->budget;
    if (budget && (budget->used > budget->max || take > budget->max - budget->used))
        return NULL;
    struct arena_chunk *chunk = mem_alloc(take);
    if (!chunk)
        return NULL;
    if (budget)
        budget->used += take;
    *chunk = (struct arena_chunk){ .next = arena->chunks, .size = take };
    arena->chunks = chunk;
    arena->used += take;
    char *data = (char *)(chunk + 1);
    if (take > need) {
        arena->next = data + size;
        arena->end = (char *)chunk + take;
        poison(arena->next, take - need);
    }
    return data;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    uintptr_t at = ((uintptr_t)arena->next + ARENA_ALIGN - 1) & ~(uintptr_t)(ARENA_ALIGN - 1);
    size_t pad = at - (uintptr_t)arena->next, room = (size_t)(arena->end - arena->next);
    if (UNLIKELY(pad > room || size > room - pad))
        return alloc_from_new_chunk(arena, size);
    char *p = arena->next + pad;
    arena->next = p + size;
    unpoison(p, size);
    return p;
}

char *arena_alloc_text(struct arena *arena, size_t size)
{
    if (UNLIKELY(size > (size_t)(arena->end - arena->next)))
        return alloc_from_new_chunk(arena, size);
    char *p = arena->next;
    arena->next += size;
    unpoison(p, size);
    return p;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    void *p = arena_alloc(arena, size);
    if (p)
        memset(p, 0, size);
    return p;
}

void *arena_resize(struct arena *arena, void *old, size_t old_size, size_t new_size)
{
    if (old && new_size <= old_size)
        return old;
    if (old && (char *)old + old_size == arena->next &&
        new_size - old_size <= (size_t)(arena->end - arena->next)) {
        unpoison(arena->next, new_size - old_size);
        arena->next += new_size - old_size;
        return old;
    }
    void *p = arena_alloc(arena, new_size);
    if (p && old)
        memcpy(p, old, old_size);
    return p;
}

char *arena_strndup(struct arena *arena, const char *s, size_t len)
{
    char *copy = arena_alloc_text(arena, len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *arena_vprintf(struct arena *arena, size_t *len, const char *format, va_list args)
{
    /* Into what is left of the chunk first: mostly it fits, and is formatted only once. */
    size_t room = (size_t)(arena->end - arena->next);
    va_list again;
    va_copy(again, args);
    unpoison(arena->next, room);
    int n = vsnprintf(arena->next, room, format, args);
    char *text = NULL;
    if (n >= 0 && (size_t)n < room) {
        text = arena->next;
        arena->next += n + 1;
    }
    poison(arena->next, (size_t)(arena->end - arena->next));
    if (n >= 0 && !text && (text = arena_alloc_text(arena, (size_t)n + 1)))
        vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    if (text && len)
        *len = (size_t)n;
    return text;
}
