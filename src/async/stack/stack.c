/* The stack pool. It knows mappings, and nothing of what runs on a stack. */
#include "async/stack/stack.h"

#include "base/mem.h"
#include "base/memory_limit.h"
#include "base/sanitizer.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#define VALGRIND_DISABLE_ERROR_REPORTING ((void)0)
#define VALGRIND_ENABLE_ERROR_REPORTING ((void)0)
#define VALGRIND_MAKE_MEM_DEFINED(at, size) 0
#define VALGRIND_MAKE_MEM_NOACCESS(at, size) 0
#define VALGRIND_MAKE_MEM_UNDEFINED(at, size) ((void)(at), (void)(size), 0)
#endif

enum { SLAB_STACKS = 32 };

/* A mapping that stacks of the pool's size are cut from. */
struct stack_slab {
    char *base;
    size_t size;
    struct stack stacks[SLAB_STACKS];
};

static const uint64_t canary = 0x5ca1ab1e0ddba11ull;

/* A stack and its guard are whole pages, however large those are. */
static size_t whole_stack(size_t size)
{
    return mem_whole_pages(size < STACK_MIN_SIZE ? STACK_MIN_SIZE : size);
}

size_t stack_size_of(const struct stack_pool *pool, size_t size)
{
    return size == 0 || size > SIZE_MAX / 2 ? pool->size : whole_stack(size);
}

void stack_pool_init(struct stack_pool *pool, size_t size)
{
    *pool = (struct stack_pool){ .size = whole_stack(size ? size : STACK_DEFAULT_SIZE),
                                 .keep = STACK_KEEP_WARM };
}

/* Where mappings are limited (ulimit -v, ulimit -d) large guards would use the limit up. */
static size_t guard_size(bool large)
{
    bool can_be_large = large && memory_space() == SIZE_MAX;
    return mem_whole_pages(can_be_large ? STACK_LARGE_GUARD_SIZE : STACK_GUARD_SIZE);
}

/* Makes [low, top) a stack, with a guard below it. */
static void lay_out(struct stack_pool *pool, struct stack *stack, char *low, char *top,
                    size_t guard)
{
    *stack = (struct stack){ .low = low, .top = top, .guard_size = guard };
    stack->size = mem_whole_pages((size_t)(top - low));
    stack->guard = guard_make(low - guard, guard, &pool->guard);
    /* Else its search for leaks would fault on each page of it. */
    (void)VALGRIND_MAKE_MEM_NOACCESS(low - guard, guard);
    if (stack->guard == STACK_GUARD_MPROTECT)
        pool->n_mprotected++;
    if (stack->guard == STACK_GUARD_CANARY)
        memcpy(low, &canary, sizeof(canary));
    stack->valgrind_id = VALGRIND_STACK_REGISTER(low, top);
}

/* Makes room for one more slab, and for its stacks when they will all be idle. */
static int reserve_slab(struct stack_pool *pool)
{
    if (idle_reserve(&pool->idle, (pool->n_slabs + 1) * SLAB_STACKS) < 0)
        return -ENOMEM;
    if (pool->n_slabs < pool->slabs_room)
        return 0;
    size_t room = pool->slabs_room ? pool->slabs_room * 2 : 16;
    struct stack_slab **slabs = mem_resize(pool->slabs, room * sizeof(*slabs));
    if (!slabs)
        return -ENOMEM;
    pool->slabs = slabs;
    pool->slabs_room = room;
    return 0;
}

/* Adds stacks to home, which is the pool or one for another size. */
static int add_slab(struct stack_pool *pool, struct stack_pool *home)
{
    size_t guard = guard_size(home->n_slabs < STACK_LARGE_GUARDS / SLAB_STACKS);
    size_t stride = guard + home->size;
    struct stack_slab *slab = reserve_slab(home) == 0 ? mem_alloc(sizeof(*slab)) : NULL;
    if (!slab)
        return -ENOMEM;
    slab->size = stride * SLAB_STACKS;
    slab->base = mem_map(slab->size);
    if (!slab->base) {
        mem_free(slab);
        return -ENOMEM;
    }
    home->slabs[home->n_slabs++] = slab;
    for (size_t i = SLAB_STACKS; i-- > 0;) {
        struct stack *stack = &slab->stacks[i];
        char *low = slab->base + i * stride + guard;
        lay_out(pool, stack, low, low + home->size, guard);
        stack->home = home;
        idle_give_cold(&home->idle, stack);
    }
    return 0;
}

/* The pool for this size; NULL when there is none and will be none. */
static struct stack_pool *find_home(struct stack_pool *pool, size_t size)
{
    if (size == 0 || size == pool->size)
        return pool;
    if (size > STACK_LARGEST_POOLED)
        return NULL;
    size = whole_stack(size);
    struct stack_pool *home = size == pool->size ? pool : pool->others;
    while (home && home->size != size)
        home = home->others;
    if (home || pool->n_others == STACK_OTHER_SIZES)
        return home;
    home = mem_alloc(sizeof(*home));
    if (!home)
        return NULL;
    *home = (struct stack_pool){ .size = size, .others = pool->others };
    pool->others = home;
    pool->n_others++;
    return home;
}

static struct stack *take_own(struct stack_pool *pool, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = whole_stack(size);
    size_t guard = guard_size(true);
    char *base = mem_map(guard + size);
    if (!base)
        return NULL;
    struct stack *stack = (struct stack *)(void *)(base + guard + size - sizeof(*stack));
    lay_out(pool, stack, base + guard, (char *)stack, guard);
    return stack;
}

static NO_INLINE struct stack *take_other(struct stack_pool *pool, size_t size)
{
    struct stack_pool *home = find_home(pool, size);
    bool pooled = home && (home->idle.n > 0 || add_slab(pool, home) == 0);
    /* Where there is no room left for a whole slab there may be for one stack. */
    struct stack *stack =
        pooled ? idle_take(&home->idle) : take_own(pool, size ? size : pool->size);
    if (stack)
        pool->n_used++;
    return stack;
}

struct stack *stack_take(struct stack_pool *pool, size_t size)
{
    if (UNLIKELY(size != 0 || pool->idle.n == 0))
        return take_other(pool, size);
    pool->n_used++;
    return idle_take(&pool->idle);
}

/* Gives the memory of an idle stack of the pool back, but for the page that has the canary. */
static void cool(struct stack *stack)
{
    char *low = stack->low + (stack->guard == STACK_GUARD_CANARY ? mem_page_size() : 0);
    (void)mem_discard(low, (size_t)(stack->top - low)); /* else it stays as it is */
}

bool stack_pool_cool(struct stack_pool *pool, size_t max)
{
    for (; pool; pool = pool->others)
        for (; idle_is_resting(&pool->idle, pool->keep); max--) {
            if (max == 0)
                return true;
            cool(idle_cool(&pool->idle));
        }
    return false;
}

void stack_pool_begin_period(struct stack_pool *pool)
{
    for (; pool; pool = pool->others)
        idle_begin_period(&pool->idle);
}

bool stack_others_are_warm(const struct stack_pool *pool)
{
    for (pool = pool->others; pool; pool = pool->others)
        if (idle_warm(&pool->idle) > pool->keep)
            return true;
    return false;
}

static void destroy(struct stack *stack)
{
    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
    sanitizer_unpoison(stack->low, (size_t)(stack->top - stack->low));
}

static void give_own(struct stack_pool *pool, struct stack *stack)
{
    char *base = stack->low - stack->guard_size;
    size_t size = (size_t)((char *)(stack + 1) - base);
    if (stack->guard == STACK_GUARD_MPROTECT) {
        pool->n_mprotected--;
        guard_forget(1);
    }
    destroy(stack);
    mem_unmap(base, size);
}

void stack_reuse(void *at, size_t size)
{
    (void)VALGRIND_MAKE_MEM_UNDEFINED(at, size);
}

void stack_give(struct stack_pool *pool, struct stack *stack)
{
    struct stack_pool *home = stack->home;
    pool->n_used--;
    if (UNLIKELY(!home)) {
        give_own(pool, stack);
        return;
    }
    idle_give(&home->idle, stack);
    if (UNLIKELY(idle_warm(&home->idle) > STACK_MAX_WARM) && !pool->ending)
        cool(idle_cool(&home->idle));
}

/* Frees a slab of whose stacks none is used, or all of them. Else it is left as it is, and the
 * number of its stacks that have their guard from the budget is returned. */
static size_t free_slab(struct stack_slab *slab, bool all, bool *left)
{
    size_t n_used = 0, n_mprotected = 0;
    for (size_t i = 0; i < SLAB_STACKS; i++) {
        n_used += slab->stacks[i].low != NULL;
        n_mprotected += slab->stacks[i].guard == STACK_GUARD_MPROTECT;
    }
    if (n_used > 0 && !all) {
        *left = true;
        return n_mprotected;
    }
    mem_unmap(slab->base, slab->size);
    mem_free(slab);
    return 0;
}

/* Returns whether stacks are left, those of tasks that were abandoned. */
static bool free_stacks(struct stack_pool *pool, bool all, size_t *n_mprotected)
{
    bool left = false;
    while (pool->idle.n > 0) {
        struct stack *stack = idle_take(&pool->idle);
        destroy(stack);
        stack->low = NULL;
    }
    for (size_t i = 0; i < pool->n_slabs; i++)
        *n_mprotected -= free_slab(pool->slabs[i], all, &left);
    mem_free(pool->slabs);
    idle_clear(&pool->idle);
    return left;
}

void stack_pool_clear(struct stack_pool *pool, bool all)
{
    size_t n_mprotected = pool->n_mprotected;
    free_stacks(pool, all, &n_mprotected);
    while (pool->others) {
        struct stack_pool *other = pool->others;
        pool->others = other->others;
        if (!free_stacks(other, all, &n_mprotected))
            mem_free(other);
    }
    guard_forget(n_mprotected);
    stack_pool_init(pool, pool->size);
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
    size_t page = mem_page_size();
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
    uintptr_t mask = ~(uintptr_t)(mem_page_size() - 1);
    char *end = (char *)below - MARGIN, *page = (char *)((uintptr_t)end & mask);
    char *low = stack->low + (stack->guard == STACK_GUARD_CANARY ? sizeof(canary) : 0);
    char *first_page = (char *)(((uintptr_t)low + ~mask) & mask);
    if (page > first_page && mem_discard(first_page, (size_t)(page - first_page)) == 0) {
        clear(low, first_page);
        clear(page, end);
    } else if (end > low) {
        clear(low, end);
    }
}
