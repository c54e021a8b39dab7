/* Stacks of tasks: lazily committed mappings with a guard at their low end, pooled last-in
 * first-out. Those beyond max_warm that are not in use have given their memory back.
 *
 * Stacks of the pool's size are cut from slabs, so that a million of them need few mappings. A
 * guard is MADV_GUARD_INSTALL where the kernel has it, else mprotect(), and once the process nears
 * vm.max_map_count a canary that is checked whenever the task stops running.
 */
#ifndef TEPAL_ASYNC_STACK_H
#define TEPAL_ASYNC_STACK_H

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stack_guard { STACK_GUARD_MADVISE, STACK_GUARD_MPROTECT, STACK_GUARD_CANARY };

/* The guard is larger than most frames, so that they cannot reach over it. */
enum { STACK_DEFAULT_SIZE = 256 * 1024, STACK_MIN_SIZE = 32 * 1024, STACK_GUARD_SIZE = 16 * 1024 };

/* One stack. The struct lies at the high end of a mapping of its own, or with those of its slab,
 * outside of the mapping: so that all memory of an unused stack can be given back. */
struct stack {
    char *low;   /* the lowest octet that may be used, above the guard */
    char *top;   /* the end */
    size_t size; /* of the mapping, with the guard */
    struct stack *next_free;
    enum stack_guard guard;
    bool pooled;
    unsigned valgrind_id;
};

struct stack_slab;

struct stack_pool {
    size_t size;     /* of each stack's mapping */
    size_t max_warm; /* how many unused stacks keep their memory */
    size_t n_warm, n_used;
    size_t n_cooled; /* how many stacks have given their memory back; for the pool's owner */
    struct stack *warm, *cold; /* the unused ones; warm are taken first */
    struct stack_slab **slabs; /* what the stacks were cut from */
    size_t n_slabs, slabs_room;
    enum stack_guard guard;              /* the kind to try first */
    size_t n_mprotected, max_mprotected; /* guards by mprotect(), and how many there may be */
};

/* size 0 is the default. */
void stack_pool_init(struct stack_pool *pool, size_t size);

/* Unmaps everything; no stack may be in use. */
void stack_pool_clear(struct stack_pool *pool);

/* A stack of the pool's size (0), or of its own size; NULL when memory is short. */
struct stack *stack_take(struct stack_pool *pool, size_t size);

/* Gives a stack back that no code runs on. */
void stack_give(struct stack_pool *pool, struct stack *stack);

/* How many octets of the stack were ever used, by all that it was given to since its memory was
 * fresh: down to the lowest word that is not zero. Swapped out memory is not seen. */
size_t stack_used(const struct stack *stack);

/* Makes the memory below this place of an idle stack fresh, but for the few hundred octets that a
 * context that has not begun may have there. */
void stack_refresh(struct stack *stack, void *below);

/* False when the canary at the low end of the stack has been overwritten. */
static inline bool stack_is_intact(const struct stack *stack)
{
    return stack->guard != STACK_GUARD_CANARY ||
           *(const volatile uint64_t *)(const void *)stack->low == 0x5ca1ab1e0ddba11ull;
}

#endif
