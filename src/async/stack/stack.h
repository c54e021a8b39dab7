/* Stacks of tasks: lazily committed mappings with a guard below their low end, pooled last-in
 * first-out. What is idle stays warm for a while, so that tasks that come in waves find it so; the
 * loop calls stack_pool_cool() from time to time for those that were not used meanwhile.
 *
 * Stacks of the pool's size are cut from slabs, so that a million of them need few mappings. Where
 * no guard can be had (guard.h) the stack has a canary, which is checked whenever the task stops
 * running.
 */
#ifndef TEPAL_ASYNC_STACK_STACK_H
#define TEPAL_ASYNC_STACK_STACK_H

#include "async/stack/guard.h"
#include "base/idle.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a guard has at least, and what it has below the pool's first stacks and below those of a
 * size of their own: a frame of a megabyte that is written at its low end only must not reach over
 * it. The larger one costs two more KiB of page tables for each stack: too much for a million of
 * them, little for as many as most programs ever have. */
enum {
    STACK_GUARD_SIZE = 64 * 1024,
    STACK_LARGE_GUARD_SIZE = 1024 * 1024,
    STACK_LARGE_GUARDS = 1024
};

enum { STACK_DEFAULT_SIZE = 256 * 1024, STACK_MIN_SIZE = 16 * 1024 };

/* How many idle stacks of the pool's size stay warm in any case, and how many of each size do until
 * they have rested. */
enum { STACK_KEEP_WARM = 64, STACK_MAX_WARM = 16 * 1024 };

/* For how many other sizes there is a pool beside that of the pool's own, and up to which: further
 * ones and larger ones are mapped and unmapped each time, which takes some 20 us. */
enum { STACK_OTHER_SIZES = 8, STACK_LARGEST_POOLED = 1024 * 1024 };

struct stack_slab;
struct stack_pool;

/* One stack. The struct lies at the high end of a mapping of its own, or with those of its slab,
 * outside of the mapping: so that all memory of an unused stack can be given back. */
struct stack {
    char *low;         /* the lowest octet that may be used, above the guard */
    char *top;         /* the end */
    size_t size;       /* of the pages between guard and end */
    size_t guard_size; /* octets below low that no other stack uses, guarded or not */
    enum stack_guard guard;
    struct stack_pool *home; /* NULL: a mapping of its own */
    unsigned valgrind_id;
};

struct stack_pool {
    size_t size;   /* of each stack, without its guard */
    size_t keep;   /* how many idle ones stay warm in any case */
    size_t n_used; /* of all sizes */
    struct idle idle;
    struct stack_slab **slabs; /* what the stacks were cut from */
    size_t n_slabs, slabs_room;
    enum stack_guard guard; /* the kind to try first */
    size_t n_mprotected;    /* guards by mprotect(), of all sizes */
    struct stack_pool
        *others; /* for other sizes: a list, of which each has only what is above guard */
    size_t n_others;
    bool ending; /* all of it is unmapped soon, so what comes back need not be cooled */
};

/* size 0 is the default. */
void stack_pool_init(struct stack_pool *pool, size_t size);

/* Unmaps everything, also stacks that are in use; or, with all false, all but what has such a
 * stack, in use for ever: that of a task that was abandoned. */
void stack_pool_clear(struct stack_pool *pool, bool all);

/* The size of what stack_take() returns. */
size_t stack_size_of(const struct stack_pool *pool, size_t size);

/* A stack of the pool's size (0), or of its own size; NULL when memory is short. */
struct stack *stack_take(struct stack_pool *pool, size_t size);

/* Something is put there before code runs on the stack: valgrind takes what the code before it has
 * left for out of use. */
void stack_reuse(void *at, size_t size);

/* Gives a stack back that no code runs on. */
void stack_give(struct stack_pool *pool, struct stack *stack);

/* Whether more idle stacks of other sizes than the pool's have memory than are to keep it. */
bool stack_others_are_warm(const struct stack_pool *pool);

/* The same of all sizes. */
static inline bool stack_pool_is_warm(const struct stack_pool *pool)
{
    return idle_warm(&pool->idle) > pool->keep || (pool->others && stack_others_are_warm(pool));
}

/* Gives the memory of at most max idle stacks back that were not taken in this period. Returns true
 * when there are more of them. */
bool stack_pool_cool(struct stack_pool *pool, size_t max);

/* Begins a period: see idle_begin_period(). */
void stack_pool_begin_period(struct stack_pool *pool);

/* How many octets of the stack were ever used, by all that it was given to since its memory was
 * fresh: down to the lowest word that is not zero. Swapped out memory is not seen. */
size_t stack_used(const struct stack *stack);

/* Makes the memory below this place of an idle stack fresh, but for the few hundred octets that a
 * context that has not begun may have there. */
void stack_refresh(struct stack *stack, void *below);

/* False when the canary at the low end of the stack has been overwritten, or when the place where
 * its context was left is not on it: a large frame can reach over the guard without a fault. */
static inline bool stack_is_intact(const struct stack *stack, const void *left_at)
{
    return (const char *)left_at >= stack->low &&
           (stack->guard != STACK_GUARD_CANARY ||
            *(const volatile uint64_t *)(const void *)stack->low == 0x5ca1ab1e0ddba11ull);
}

#endif
