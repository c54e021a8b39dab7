/* The stack pool. It knows mappings and guards, and nothing of what runs on a stack. */
#include "async/stack.h"

#include "base/mem.h"
#include "base/poison.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#define VALGRIND_DISABLE_ERROR_REPORTING ((void)0)
#define VALGRIND_ENABLE_ERROR_REPORTING ((void)0)
#define VALGRIND_MAKE_MEM_DEFINED(at, size) 0
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum { SLAB_STACKS = 32, MAX_WARM = 64 };

/* A mapping that stacks of the pool's size are cut from. */
struct stack_slab {
    char *base;
    struct stack stacks[SLAB_STACKS];
};

static const uint64_t canary = 0x5ca1ab1e0ddba11ull;

/* How many guards may use mprotect(): each splits a mapping in two, and the process wants some for
 * itself. */
static size_t max_mprotected(void)
{
    long count = 65530;
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
    if (f) {
        if (fscanf(f, "%ld", &count) != 1)
            count = 65530;
        fclose(f);
    }
    return count > 4000 ? (size_t)(count - 2000) / 2 : 1;
}

void stack_pool_init(struct stack_pool *pool, size_t size)
{
    size = size ? (size + 4095) & ~(size_t)4095 : STACK_DEFAULT_SIZE;
    *pool = (struct stack_pool){ .size = size < STACK_MIN_SIZE ? STACK_MIN_SIZE : size,
                                 .max_warm = MAX_WARM };
}

static void add_guard(struct stack_pool *pool, struct stack *stack)
{
    char *guard = stack->low - STACK_GUARD_SIZE;
    if (pool->guard == STACK_GUARD_MADVISE) {
        if (madvise(guard, STACK_GUARD_SIZE, MADV_GUARD_INSTALL) == 0) {
            stack->guard = STACK_GUARD_MADVISE;
            return;
        }
        pool->guard = STACK_GUARD_MPROTECT;
    }
    if (pool->guard == STACK_GUARD_MPROTECT && pool->max_mprotected == 0)
        pool->max_mprotected = max_mprotected();
    if (pool->guard == STACK_GUARD_MPROTECT && pool->n_mprotected < pool->max_mprotected &&
        mprotect(guard, STACK_GUARD_SIZE, PROT_NONE) == 0) {
        pool->n_mprotected++;
        stack->guard = STACK_GUARD_MPROTECT;
        return;
    }
    stack->guard = STACK_GUARD_CANARY;
    memcpy(stack->low, &canary, sizeof(canary));
}

/* Makes the mapping of size octets at base a stack, which ends at top. */
static void lay_out(struct stack_pool *pool, struct stack *stack, char *base, char *top,
                    size_t size)
{
    *stack = (struct stack){ .low = base + STACK_GUARD_SIZE, .top = top, .size = size };
    add_guard(pool, stack);
    stack->valgrind_id = VALGRIND_STACK_REGISTER(stack->low, base + size);
}

static char *map(size_t size)
{
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    /* One touched page must not become two megabytes. */
    madvise(base, size, MADV_NOHUGEPAGE);
    return base;
}

static void push(struct stack **list, struct stack *stack)
{
    stack->next_free = *list;
    *list = stack;
}

static struct stack *pop(struct stack **list)
{
    struct stack *stack = *list;
    *list = stack->next_free;
    return stack;
}

static int add_slab(struct stack_pool *pool)
{
    if (pool->n_slabs == pool->slabs_room) {
        size_t room = pool->slabs_room ? pool->slabs_room * 2 : 16;
        struct stack_slab **slabs = mem_resize(pool->slabs, room * sizeof(*slabs));
        if (!slabs)
            return -ENOMEM;
        pool->slabs = slabs;
        pool->slabs_room = room;
    }
    struct stack_slab *slab = mem_alloc(sizeof(*slab));
    if (!slab)
        return -ENOMEM;
    slab->base = map(pool->size * SLAB_STACKS);
    if (!slab->base) {
        mem_free(slab);
        return -ENOMEM;
    }
    pool->slabs[pool->n_slabs++] = slab;
    for (size_t i = SLAB_STACKS; i-- > 0;) {
        struct stack *stack = &slab->stacks[i];
        char *base = slab->base + i * pool->size;
        lay_out(pool, stack, base, base + pool->size, pool->size);
        stack->pooled = true;
        push(&pool->cold, stack);
    }
    return 0;
}

struct stack *stack_take(struct stack_pool *pool, size_t size)
{
    struct stack *stack;
    if (size != 0 && size != pool->size) {
        if (size > SIZE_MAX / 2)
            return NULL;
        size = (size + 4095) & ~(size_t)4095;
        size = size < STACK_MIN_SIZE ? STACK_MIN_SIZE : size;
        char *base = map(size);
        if (!base)
            return NULL;
        pool->n_used++;
        stack = (struct stack *)(void *)(base + size - sizeof(*stack));
        lay_out(pool, stack, base, (char *)stack, size);
        return stack;
    }
    if (LIKELY(pool->warm)) {
        stack = pop(&pool->warm);
        pool->n_warm--;
    } else {
        if (!pool->cold && add_slab(pool) < 0)
            return NULL;
        stack = pop(&pool->cold);
    }
    pool->n_used++;
    return stack;
}

/* Gives the memory of an unused stack of the pool back. */
static void cool(struct stack_pool *pool, struct stack *stack)
{
    char *low = stack->low + (stack->guard == STACK_GUARD_CANARY ? 4096 : 0);
    madvise(low, (size_t)(stack->top - low), MADV_DONTNEED);
    pool->n_cooled++;
}

static void destroy(struct stack *stack)
{
    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
    unpoison(stack->low, (size_t)(stack->top - stack->low));
}

void stack_give(struct stack_pool *pool, struct stack *stack)
{
    pool->n_used--;
    if (!stack->pooled) {
        char *base = stack->low - STACK_GUARD_SIZE;
        if (stack->guard == STACK_GUARD_MPROTECT)
            pool->n_mprotected--;
        destroy(stack);
        munmap(base, stack->size);
        return;
    }
    if (LIKELY(pool->n_warm < pool->max_warm)) {
        push(&pool->warm, stack);
        pool->n_warm++;
    } else {
        cool(pool, stack);
        push(&pool->cold, stack);
    }
}

void stack_pool_clear(struct stack_pool *pool)
{
    while (pool->warm)
        destroy(pop(&pool->warm));
    while (pool->cold)
        destroy(pop(&pool->cold));
    for (size_t i = 0; i < pool->n_slabs; i++) {
        munmap(pool->slabs[i]->base, pool->size * SLAB_STACKS);
        mem_free(pool->slabs[i]);
    }
    mem_free(pool->slabs);
    *pool = (struct stack_pool){ .size = pool->size, .max_warm = pool->max_warm };
}

/* The memory of frames that have returned is none of ours, as the checkers see it. */
static NO_INLINE __attribute__((no_sanitize("address"))) const char *first_used(const char *low,
                                                                                const char *end)
{
    VALGRIND_DISABLE_ERROR_REPORTING;
    const volatile uint64_t *word = (const volatile uint64_t *)(const void *)low;
    while ((const char *)word < end && *word == 0)
        word++;
    (void)VALGRIND_MAKE_MEM_DEFINED(&word, sizeof(word)); /* which depends on memory that is not */
    VALGRIND_ENABLE_ERROR_REPORTING;
    return (const char *)word;
}

size_t stack_used(const struct stack *stack)
{
    enum { PAGES = 64 };
    unsigned char resident[PAGES];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *at = (char *)((uintptr_t)stack->low & ~(uintptr_t)(page - 1));
    /* A page that is not there is not touched: it would come into being. */
    while (at < stack->top) {
        size_t n = ((size_t)(stack->top - at) + page - 1) / page;
        n = n < PAGES ? n : PAGES;
        if (mincore(at, n * page, resident) < 0)
            return 0;
        for (size_t i = 0; i < n; i++, at += page) {
            if (!(resident[i] & 1))
                continue;
            const char *low = at > stack->low ? at : stack->low, *end = at + page;
            if (low == stack->low && stack->guard == STACK_GUARD_CANARY)
                low += sizeof(canary);
            end = end < stack->top ? end : stack->top;
            const char *used = first_used(low, end);
            if (used < end)
                return (size_t)(stack->top - used);
        }
    }
    return 0;
}

static NO_INLINE __attribute__((no_sanitize("address"))) void clear(char *from, const char *to)
{
    VALGRIND_DISABLE_ERROR_REPORTING;
    for (volatile char *at = from; at < to; at++)
        *at = 0;
    VALGRIND_ENABLE_ERROR_REPORTING;
}

void stack_refresh(struct stack *stack, void *below)
{
    enum { MARGIN = 512 };
    uintptr_t mask = ~(uintptr_t)(sysconf(_SC_PAGESIZE) - 1);
    char *end = (char *)below - MARGIN, *page = (char *)((uintptr_t)end & mask);
    char *low = stack->low + (stack->guard == STACK_GUARD_CANARY ? sizeof(canary) : 0);
    char *first_page = (char *)(((uintptr_t)low + ~mask) & mask);
    if (page > first_page) {
        madvise(first_page, (size_t)(page - first_page), MADV_DONTNEED);
        clear(low, first_page);
        clear(page, end);
    } else if (end > low) {
        clear(low, end);
    }
}
