/* The memory of one owner, freed all at once: a bump pointer over a chain of chunks.
 *
 * The first chunk comes from a block pool, later ones from the system. What is over the owner's
 * limit is refused.
 */
#ifndef TEPAL_BASE_ARENA_H
#define TEPAL_BASE_ARENA_H

#include "base/block.h"
#include "base/platform.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct arena_chunk; /* one piece from the system */

/* What several owners may take together, in chunks but the first of each, and charged. */
struct arena_budget {
    size_t used, max;
};

struct arena {
    char *next, *end;           /* the free part of the current chunk */
    struct arena_chunk *chunks; /* all but the first, latest first */
    struct arena_chunk *large;  /* those of one allocation each: only they may move */
    void *first;
    struct block_pool *pool;
    size_t used, limit;          /* octets of all chunks and of what was charged; and how many there
                                    may be */
    struct arena_budget *budget; /* NULL: none; arena_init() sets none */
};

/* An arena whose first chunk is a block of the pool and which takes no more than limit octets in
 * all. Returns 0 or -ENOMEM. */
int arena_init(struct arena *arena, struct block_pool *pool, size_t limit);

/* Gives all memory back. */
void arena_clear(struct arena *arena);

/* An owner of size octets that lies in its own arena: the arena is its first member, the first
 * chunk has room for it, and nothing else of it is set. NULL when memory is short. */
void *arena_new_owner(struct block_pool *pool, size_t size, size_t limit);
void arena_free_owner(struct arena *arena);

/* Overwrites all of its memory with 0xdd, so that who looks at it after arena_clear() sees what it
 * is. Nothing but that may follow. */
void arena_overwrite(struct arena *arena);

/* Forgets all that was allocated, keeping the first chunk. */
void arena_reset(struct arena *arena);

/* size octets, aligned for any type and not zeroed; NULL when the limit or the system's memory is
 * reached, or the budget's. */
void *arena_alloc(struct arena *arena, size_t size);

/* The same with 1 as alignment, for text. */
char *arena_alloc_text(struct arena *arena, size_t size);

/* Zeroed. */
void *arena_zalloc(struct arena *arena, size_t size);

/* Makes the allocation at old (NULL: none yet), of old_size octets, new_size octets long: in place
 * when that is not more, or it is the latest one and there is room; a large one, which has a chunk
 * of its own, by moving that; else by a copy that is aligned for any type, and the old octets are
 * lost to the arena. NULL leaves old as it is. */
void *arena_resize(struct arena *arena, void *old, size_t old_size, size_t new_size);

/* Counts memory that is not in the arena, but of its owner. Returns false, and counts nothing, when
 * that is over the limit or the budget. What was counted is taken off by arena_discharge(), or by a
 * reset. */
bool arena_charge(struct arena *arena, size_t size);
void arena_discharge(struct arena *arena, size_t size);

/* Whether the octet lies in memory that the arena has taken. */
bool arena_has(const struct arena *arena, const void *p);

/* A copy of len octets with a NUL behind. */
char *arena_strndup(struct arena *arena, const char *s, size_t len);

/* Formatted text; the length goes to *len unless len is NULL. NULL on failure. */
char *arena_vprintf(struct arena *arena, size_t *len, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

#endif
