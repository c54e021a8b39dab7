/* The bump allocator behind every request. It never frees a single allocation. */
#include "base/arena.h"

#include "base/mem.h"
#include "base/poison.h"
#include "base/print.h"

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

/* The first chunk is free, and there are no others. */
static inline void begin(struct arena *arena)
{
    arena->next = arena->first;
    arena->end = arena->next + arena->pool->size;
    arena->used = arena->pool->size;
    poison(arena->next, arena->pool->size);
}

int arena_init(struct arena *arena, struct block_pool *pool, size_t limit)
{
    *arena = (struct arena){ .pool = pool, .limit = limit };
    arena->first = block_take(pool);
    if (!arena->first)
        return -ENOMEM;
    begin(arena);
    return 0;
}

static size_t left_of(const struct arena *arena)
{
    return arena->limit > arena->used ? arena->limit - arena->used : 0;
}

/* Counts octets beyond the first chunk. False when they are over the limit, or the budget. */
static bool count(struct arena *arena, size_t size)
{
    struct arena_budget *budget = arena->budget;
    if (size > left_of(arena))
        return false;
    if (budget) {
        if (budget->used > budget->max || size > budget->max - budget->used)
            return false;
        budget->used += size;
    }
    arena->used += size;
    return true;
}

static void uncount(struct arena *arena, size_t size)
{
    arena->used -= size;
    if (arena->budget)
        arena->budget->used -= size;
}

static void free_chunks(struct arena_chunk **list)
{
    while (*list) {
        struct arena_chunk *chunk = *list;
        *list = chunk->next;
        unpoison(chunk, chunk->size);
        mem_free(chunk);
    }
}

/* What is beyond the first chunk. */
static NO_INLINE void free_rest(struct arena *arena)
{
    uncount(arena, arena->used - arena->pool->size);
    free_chunks(&arena->chunks);
    free_chunks(&arena->large);
}

void *arena_new_owner(struct block_pool *pool, size_t size, size_t limit)
{
    struct arena *arena = block_take(pool);
    if (UNLIKELY(!arena))
        return NULL;
    *arena = (struct arena){ .pool = pool, .limit = limit, .first = arena };
    arena->next = (char *)arena + size;
    arena->end = (char *)arena + pool->size;
    arena->used = pool->size;
    poison(arena->next, pool->size - size);
    return arena;
}

void arena_free_owner(struct arena *arena)
{
    if (UNLIKELY(arena->used > arena->pool->size))
        free_rest(arena);
    block_give(arena->pool, arena);
}

void arena_reset(struct arena *arena)
{
    if (UNLIKELY(arena->used > arena->pool->size))
        free_rest(arena);
    begin(arena);
}

enum { GONE = 0xdd };

static void overwrite_chunks(struct arena_chunk *chunk)
{
    for (; chunk; chunk = chunk->next) {
        unpoison(chunk, chunk->size);
        memset(chunk + 1, GONE, chunk->size - sizeof(*chunk));
    }
}

void arena_overwrite(struct arena *arena)
{
    overwrite_chunks(arena->chunks);
    overwrite_chunks(arena->large);
    unpoison(arena->first, arena->pool->size);
    memset(arena->first, GONE, arena->pool->size);
}

static bool is_in_chunks(const struct arena_chunk *chunk, const void *p)
{
    while (chunk && (uintptr_t)p - (uintptr_t)chunk >= chunk->size)
        chunk = chunk->next;
    return chunk != NULL;
}

bool arena_has(const struct arena *arena, const void *p)
{
    return (uintptr_t)p - (uintptr_t)arena->first < arena->pool->size ||
           is_in_chunks(arena->chunks, p) || is_in_chunks(arena->large, p);
}

void arena_clear(struct arena *arena)
{
    if (!arena->first)
        return;
    if (UNLIKELY(arena->used > arena->pool->size))
        free_rest(arena);
    block_give(arena->pool, arena->first);
    arena->first = arena->next = arena->end = NULL;
}

/* size, rounded up such that what follows it is aligned. */
static size_t aligned(size_t size)
{
    return (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
}

/* A new current chunk with room for size octets, or one of its own for a large allocation. */
static NO_INLINE void *alloc_from_new_chunk(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = aligned(size);
    size_t need = sizeof(struct arena_chunk) + size;
    size_t left = left_of(arena);
    if (need > left)
        return NULL;
    bool is_large = need > ARENA_MIN_CHUNK / 4;
    size_t take = is_large ? need : ARENA_MIN_CHUNK;
    if (take > left)
        take = left;
    if (!count(arena, take))
        return NULL;
    struct arena_chunk *chunk = mem_alloc(take);
    if (!chunk) {
        uncount(arena, take);
        return NULL;
    }
    struct arena_chunk **list = is_large ? &arena->large : &arena->chunks;
    *chunk = (struct arena_chunk){ .next = *list, .size = take };
    *list = chunk;
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

/* Where the list has the chunk that holds this allocation and nothing else; NULL: there is none. */
static struct arena_chunk **own_chunk(struct arena *arena, const void *old)
{
    struct arena_chunk **at = &arena->large;
    while (*at && (void *)(*at + 1) != old)
        at = &(*at)->next;
    return *at ? at : NULL;
}

static void *resize_own(struct arena *arena, struct arena_chunk **at, size_t size)
{
    size_t old_size = (*at)->size, new_size = sizeof(**at) + aligned(size);
    if (size > SIZE_MAX / 2 || !count(arena, new_size - old_size))
        return NULL;
    struct arena_chunk *chunk = mem_resize(*at, new_size);
    if (!chunk) {
        uncount(arena, new_size - old_size);
        return NULL;
    }
    chunk->size = new_size;
    *at = chunk;
    return chunk + 1;
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
    struct arena_chunk **at = old_size > ARENA_MIN_CHUNK / 4 ? own_chunk(arena, old) : NULL;
    if (at)
        return resize_own(arena, at, new_size);
    void *p = arena_alloc(arena, new_size);
    if (p && old)
        memcpy(p, old, old_size);
    return p;
}

bool arena_charge(struct arena *arena, size_t size)
{
    return count(arena, size);
}

void arena_discharge(struct arena *arena, size_t size)
{
    uncount(arena, size);
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
    int n = print_vsnprintf(arena->next, room, format, args);
    char *text = NULL;
    if (n >= 0 && (size_t)n < room) {
        text = arena->next;
        arena->next += n + 1;
    }
    poison(arena->next, (size_t)(arena->end - arena->next));
    if (n >= 0 && !text && (text = arena_alloc_text(arena, (size_t)n + 1)))
        print_vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    if (text && len)
        *len = (size_t)n;
    return text;
}
