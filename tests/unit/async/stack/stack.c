/* Tests of the stack pool: its guards, its order, and what it keeps. */
#include "../../check.h"

#include "async/stack/stack.h"
#include "base/mem.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#ifndef VALGRIND_DISABLE_ERROR_REPORTING
#define VALGRIND_DISABLE_ERROR_REPORTING ((void)0)
#define VALGRIND_ENABLE_ERROR_REPORTING ((void)0)
#endif

static struct stack_pool pool;
static int probe_ends[2];

/* Whether the octet can be read: the kernel finds out without a fault in this process. */
static bool is_accessible(const char *p)
{
    char c;
    VALGRIND_DISABLE_ERROR_REPORTING;
    ssize_t n = write(probe_ends[1], p, 1);
    VALGRIND_ENABLE_ERROR_REPORTING;
    return n == 1 && read(probe_ends[0], &c, 1) == 1;
}

static int count_mappings(void)
{
    int c, n = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    assert_non_null(f);
    while ((c = getc(f)) != EOF)
        n += c == '\n';
    fclose(f);
    return n;
}

static size_t n_resident(const struct stack *stack)
{
    static unsigned char pages[1024];
    size_t len = (size_t)(stack->top - stack->low) & ~(size_t)4095, n = 0;
    assert_int_equal(mincore(stack->low, len, pages), 0);
    for (size_t i = 0; i < len / 4096; i++)
        n += pages[i] & 1;
    return n;
}

static bool is_intact(const struct stack *stack)
{
    return stack_is_intact(stack, stack->low);
}

static void touch(struct stack *stack)
{
    for (char *p = stack->low + 8; p < stack->top; p += 4096)
        *(volatile char *)p = 1;
}

static int setup(void **state)
{
    (void)state;
    stack_pool_init(&pool, 0);
    guard_set_max_mappings(0);
    return pipe(probe_ends);
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_nth(0, 0);
    stack_pool_clear(&pool, true);
    close(probe_ends[0]);
    close(probe_ends[1]);
    return 0;
}

static void lay_out(void **state)
{
    (void)state;
    struct stack *a = stack_take(&pool, 0), *b = stack_take(&pool, STACK_DEFAULT_SIZE);
    assert_true(a && b && a != b);
    assert_int_equal(pool.n_used, 2);
    assert_int_equal(a->size, STACK_DEFAULT_SIZE);
    assert_int_equal(b->size, STACK_DEFAULT_SIZE); /* the pool's own size is from the pool */
    assert_true(a->home == &pool && b->home == &pool);
    assert_int_equal(a->top - a->low, STACK_DEFAULT_SIZE); /* the guard is beside it */
    memset(a->low, 1, (size_t)(a->top - a->low));          /* all of it may be written */
    memset(b->low, 2, (size_t)(b->top - b->low));
    assert_int_equal(a->low[100], 1);
    stack_give(&pool, a);
    stack_give(&pool, b);
    assert_int_equal(pool.n_used, 0);
}

/* qemu-user takes every advice and does nothing. */
static bool has_madvise_guards(void)
{
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool has = madvise(p, 4096, MADV_GUARD_INSTALL) == 0 && !is_accessible(p);
    munmap(p, 4096);
    return has;
}

static void check_guards(enum stack_guard kind)
{
    struct stack *stacks[70];
    for (int i = 0; i < 70; i++) {
        stacks[i] = stack_take(&pool, i % 10 == 9 ? 64 * 1024 : 0);
        assert_non_null(stacks[i]);
        assert_int_equal(stacks[i]->guard, kind);
        bool guarded = kind != STACK_GUARD_CANARY;
        assert_true(is_accessible(stacks[i]->low));
        assert_true(is_accessible(stacks[i]->top - 1));
        assert_int_equal(is_accessible(stacks[i]->low - 1), !guarded);
        assert_true(stacks[i]->guard_size >= STACK_GUARD_SIZE);
        assert_int_equal(is_accessible(stacks[i]->low - stacks[i]->guard_size), !guarded);
        touch(stacks[i]);
        assert_true(is_intact(stacks[i]));
    }
    for (int round = 0; round < 2; round++) { /* the guard outlives the use */
        for (int i = 0; i < 70; i++)
            stack_give(&pool, stacks[i]);
        for (int i = 0; i < 70; i++) {
            stacks[i] = stack_take(&pool, 0);
            assert_true(is_intact(stacks[i]));
            if (kind != STACK_GUARD_CANARY)
                assert_false(is_accessible(stacks[i]->low - 1));
        }
    }
    for (int i = 0; i < 70; i++)
        stack_give(&pool, stacks[i]);
}

static void guards_by_madvise(void **state)
{
    (void)state;
    if (!has_madvise_guards())
        skip();
    check_guards(STACK_GUARD_MADVISE);
    assert_int_equal(pool.n_mprotected, 0);
}

static void guards_by_mprotect(void **state)
{
    (void)state;
    pool.guard = STACK_GUARD_MPROTECT;
    check_guards(STACK_GUARD_MPROTECT);
    assert_true(pool.n_mprotected > 0);
}

static void guards_by_canary(void **state)
{
    (void)state;
    pool.guard = STACK_GUARD_CANARY;
    check_guards(STACK_GUARD_CANARY);
    struct stack *stack = stack_take(&pool, 0);
    assert_true(is_intact(stack));
    stack->low[3] ^= 1;
    assert_false(is_intact(stack));
    stack->low[3] ^= 1;
    stack_give(&pool, stack);
}

static size_t count_kind(struct stack_pool *of, enum stack_guard kind, int n)
{
    size_t count = 0;
    for (int i = 0; i < n; i++)
        count += stack_take(of, 0)->guard == kind;
    return count;
}

/* All pools of the process share what there is, leave half of it to the program, and go on without
 * guards then. */
static void few_mappings_left(void **state)
{
    (void)state;
    enum { ROOM = 2000 };
    struct stack_pool others[3];
    size_t before = guard_count(), mapped = (size_t)count_mappings(), n_own = 0;
    guard_set_max_mappings(2 * (mapped + ROOM));
    for (int i = 0; i < 3; i++) {
        stack_pool_init(&others[i], 0);
        others[i].guard = STACK_GUARD_MPROTECT;
        assert_int_equal(count_kind(&others[i], STACK_GUARD_MADVISE, ROOM / 2), 0);
        n_own += others[i].n_mprotected;
    }
    size_t n_guards = guard_count() - before;
    assert_int_equal(n_guards, n_own);
    if (!SANITIZED && !RUNNING_ON_VALGRIND) { /* they map for themselves meanwhile */
        assert_in_range(n_guards, ROOM / 2 - 100, ROOM / 2);
        assert_in_range(count_mappings(), mapped + ROOM - 200, mapped + ROOM + 100);
    }
    assert_true(others[2].n_mprotected < ROOM / 2); /* the others have canaries */
    for (int i = 0; i < 3; i++)
        stack_pool_clear(&others[i], true);
    assert_int_equal(guard_count(), before);
}

/* A stack that is too large for any pool gives its guard back. */
static void budget_comes_back(void **state)
{
    (void)state;
    enum { LARGE = STACK_LARGEST_POOLED + 1 };
    size_t before = guard_count();
    pool.guard = STACK_GUARD_MPROTECT;
    struct stack *own = stack_take(&pool, LARGE);
    assert_int_equal(own->guard, STACK_GUARD_MPROTECT);
    assert_int_equal(guard_count(), before + 1);
    stack_give(&pool, own);
    assert_int_equal(guard_count(), before);
    guard_set_max_mappings(1); /* less than there are already */
    own = stack_take(&pool, LARGE);
    assert_int_equal(own->guard, STACK_GUARD_CANARY);
    assert_int_equal(guard_count(), before);
    stack_give(&pool, own);
    guard_set_max_mappings(0);
    own = stack_take(&pool, LARGE);
    assert_int_equal(own->guard, STACK_GUARD_MPROTECT);
    stack_give(&pool, own);
}

/* The first stacks have large guards, and all of them where those cost nothing but address
 * space. */
static void large_guards_for_the_first(void **state)
{
    (void)state;
    size_t n = STACK_LARGE_GUARDS + 64, n_large = 0;
    for (size_t i = 0; i < n; i++)
        n_large += stack_take(&pool, 0)->guard_size >= STACK_LARGE_GUARD_SIZE;
    assert_int_equal(n_large, STACK_LARGE_GUARDS);
    struct stack *own = stack_take(&pool, 64 * 1024);
    assert_true(own->guard_size >= STACK_LARGE_GUARD_SIZE);
    stack_give(&pool, own);
}

static void last_in_first_out(void **state)
{
    (void)state;
    struct stack *stacks[5];
    for (int i = 0; i < 5; i++)
        stacks[i] = stack_take(&pool, 0);
    for (int i = 0; i < 5; i++)
        stack_give(&pool, stacks[i]);
    for (int i = 5; i-- > 0;)
        assert_ptr_equal(stack_take(&pool, 0), stacks[i]);
    for (int i = 0; i < 5; i++)
        stack_give(&pool, stacks[i]);
}

static size_t count_resident(struct stack **stacks, int n)
{
    size_t warm = 0;
    for (int i = 0; i < n; i++) {
        warm += n_resident(stacks[i]) > (stacks[i]->guard == STACK_GUARD_CANARY);
        assert_true(is_intact(stacks[i]));
    }
    return warm;
}

static void take_and_touch(struct stack **stacks, int n)
{
    for (int i = 0; i < n; i++) {
        stacks[i] = stack_take(&pool, 0);
        touch(stacks[i]);
        assert_true(n_resident(stacks[i]) >= 60);
    }
}

static void give_all(struct stack **stacks, int n)
{
    for (int i = 0; i < n; i++)
        stack_give(&pool, stacks[i]);
}

/* A wave's stacks are warm for the next one. Those that no wave has used for a whole period give
 * their memory back, some at a time, and the ones that are used meanwhile are not among them. */
static void cools_what_rests(void **state)
{
    (void)state;
    static struct stack *stacks[300], *wave[100];
    for (int kind = STACK_GUARD_MPROTECT; kind <= STACK_GUARD_CANARY; kind++) {
        stack_pool_clear(&pool, true);
        pool.guard = (enum stack_guard)kind;
        take_and_touch(stacks, 300);
        give_all(stacks, 300);
        assert_true(stack_pool_is_warm(&pool));
        assert_false(stack_pool_cool(&pool, 1000)); /* all were used in this period */
        assert_int_equal(count_resident(stacks, 300), 300);
        idle_begin_period(&pool.idle);
        take_and_touch(wave, 100);
        give_all(wave, 100);
        assert_true(stack_pool_cool(&pool, 150));
        assert_int_equal(count_resident(stacks, 300), 150);
        assert_false(stack_pool_cool(&pool, 50)); /* the 100 that were used stay */
        assert_int_equal(count_resident(stacks, 300), 100);
        idle_begin_period(&pool.idle);
        assert_false(stack_pool_cool(&pool, 1000));
        assert_int_equal(count_resident(stacks, 300), STACK_KEEP_WARM);
        assert_false(stack_pool_is_warm(&pool));
        for (int i = 0; i < 100; i++) { /* from now on one at a time: always the same, and warm */
            struct stack *stack = stack_take(&pool, 0);
            assert_true(n_resident(stack) >= 60);
            stack_give(&pool, stack);
            assert_ptr_equal(stack, pool.idle.items[pool.idle.n - 1]);
        }
        take_and_touch(stacks, 300); /* the cold ones are as good as new */
        give_all(stacks, 300);
    }
}

/* However large the wave was, only so many keep their memory. */
static void warm_within_bounds(void **state)
{
    (void)state;
    if (RUNNING_ON_VALGRIND)
        skip(); /* it would take minutes */
    enum { N = STACK_MAX_WARM + 100 };
    struct stack **stacks = malloc(N * sizeof(*stacks));
    for (int i = 0; i < N; i++) {
        stacks[i] = stack_take(&pool, 0);
        assert_non_null(stacks[i]);
    }
    give_all(stacks, STACK_MAX_WARM);
    assert_int_equal(idle_warm(&pool.idle), STACK_MAX_WARM);
    give_all(stacks + STACK_MAX_WARM, 100);
    assert_int_equal(idle_warm(&pool.idle), STACK_MAX_WARM);
    assert_int_equal(pool.idle.n, N + (32 - N % 32) % 32);
    /* What comes back while the loop ends is unmapped soon, and not cooled one by one before. */
    pool.ending = true;
    for (int i = 0; i < N; i++)
        stacks[i] = stack_take(&pool, 0);
    give_all(stacks, N);
    assert_int_equal(idle_warm(&pool.idle), N);
    free(stacks);
}

static void other_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        1, 4096, 20000, STACK_DEFAULT_SIZE - 1, STACK_DEFAULT_SIZE + 1, 1 << 20, 64 << 20
    };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct stack *stack = stack_take(&pool, sizes[i]);
        assert_non_null(stack);
        size_t size = stack->size;
        assert_int_equal(size, stack_size_of(&pool, sizes[i]));
        assert_true(size >= sizes[i] && size >= STACK_MIN_SIZE && size % 4096 == 0);
        assert_true(size <= sizes[i] + STACK_MIN_SIZE);
        assert_true((size_t)(stack->top - stack->low) > size - 4096);
        stack->low[0] = stack->top[-1] = 1;
        assert_int_equal(pool.n_used, 1);
        char *low = stack->low;
        stack_give(&pool, stack);
        assert_int_equal(pool.n_used, 0);
        if (size > STACK_LARGEST_POOLED && !RUNNING_ON_VALGRIND)
            assert_false(is_accessible(low)); /* it is gone */
        else if (size <= STACK_LARGEST_POOLED)
            assert_ptr_equal(stack_take(&pool, size), stack); /* it waits for the next one */
        pool.n_used = 0;
    }
    assert_null(stack_take(&pool, (size_t)1 << 60));
    assert_null(stack_take(&pool, SIZE_MAX));
    assert_int_equal(pool.n_used, 0);
}

/* Those of other sizes cool like all others, and as far as the last one. */
static void other_sizes_cool(void **state)
{
    (void)state;
    enum { N = 50, SIZE = 64 * 1024 };
    static struct stack *stacks[N];
    for (int i = 0; i < N; i++) {
        stacks[i] = stack_take(&pool, SIZE);
        touch(stacks[i]);
    }
    assert_false(stack_pool_is_warm(&pool));
    give_all(stacks, N);
    assert_true(stack_pool_is_warm(&pool));
    assert_false(stack_pool_cool(&pool, N));
    stack_pool_begin_period(&pool);
    assert_true(stack_pool_cool(&pool, N - 1));
    assert_false(stack_pool_cool(&pool, 1));
    assert_false(stack_pool_is_warm(&pool));
    assert_int_equal(count_resident(stacks, N), 0);
}

/* There are pools for so many sizes; further ones are mapped by themselves. */
static void so_many_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i <= STACK_OTHER_SIZES + 1; i++) {
        struct stack *stack = stack_take(&pool, (20 + i) * 64 * 1024 / 4);
        assert_int_equal(stack->home != NULL, i < STACK_OTHER_SIZES);
        touch(stack);
        stack_give(&pool, stack);
    }
    assert_int_equal(pool.n_others, STACK_OTHER_SIZES);
    struct stack *known = stack_take(&pool, 20 * 64 * 1024 / 4);
    assert_non_null(known->home);
    stack_give(&pool, known);
}

static void size_of_the_pool(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 16384, 20000, 1 << 20 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct stack_pool other;
        stack_pool_init(&other, sizes[i]);
        struct stack *stack = stack_take(&other, 0);
        assert_true(stack->size >= sizes[i] && stack->size >= STACK_MIN_SIZE);
        assert_int_equal(stack->size % 4096, 0);
        touch(stack);
        stack_give(&other, stack);
        stack_pool_clear(&other, true);
    }
}

static void check_many(int n)
{
    struct stack **stacks = malloc((size_t)n * sizeof(struct stack *));
    int before = count_mappings();
    for (int i = 0; i < n; i++) {
        stacks[i] = stack_take(&pool, 0);
        assert_non_null(stacks[i]);
        memcpy(stacks[i]->top - sizeof(i), &i, sizeof(i));
    }
    assert_int_equal(pool.n_used, n);
    int more = count_mappings() - before;
    assert_true(more < 60000);
    if (pool.guard != STACK_GUARD_MPROTECT)
        assert_true(more < n / 16 + 100);
    for (int i = 0; i < n; i++) {
        assert_int_equal(memcmp(stacks[i]->top - sizeof(i), &i, sizeof(i)), 0);
        stack_give(&pool, stacks[i]);
    }
    assert_int_equal(pool.n_used, 0);
    free(stacks);
    stack_pool_clear(&pool, true);
    if (!SANITIZED) /* they map for themselves meanwhile */
        assert_true(count_mappings() <= before + 4);
}

static void twenty_thousand(void **state)
{
    (void)state;
    int n = RUNNING_ON_VALGRIND ? 1000 : 20000;
    check_many(n);
    pool.guard = STACK_GUARD_MPROTECT;
    check_many(n / 4);
    pool.guard = STACK_GUARD_CANARY;
    check_many(n / 4);
}

static void out_of_memory(void **state)
{
    (void)state;
    struct stack *stack = NULL;
    for (size_t n = 1; !stack; n++) {
        mem_fail_nth(n, 1);
        stack = stack_take(&pool, 0);
        assert_true(stack == NULL || mem_failures() == 0);
        assert_int_equal(pool.n_used, stack != NULL);
    }
    mem_fail_nth(0, 0);
    stack_give(&pool, stack);
    if (SANITIZED || RUNNING_ON_VALGRIND)
        return;
    struct rlimit old, tight;
    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
    tight = old;
    tight.rlim_cur = 64 << 20;
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    struct stack *stacks[1000];
    int n = 0;
    while (n < 1000 && (stacks[n] = stack_take(&pool, 0)))
        n++;
    struct stack *own = stack_take(&pool, 100 << 20);
    setrlimit(RLIMIT_AS, &old);
    if (own) /* qemu-user knows no such limit */
        stack_give(&pool, own);
    else
        assert_in_range(n, 1, 999);
    assert_int_equal(pool.n_used, n);
    assert_non_null(stack = stack_take(&pool, 0)); /* there is memory again */
    stack_give(&pool, stack);
    while (n > 0)
        stack_give(&pool, stacks[--n]);
}

/* Where the system counts what is mapped, no large guards are; and when it gives no slab any more,
 * it may still give a stack. */
static void mappings_are_limited(void **state)
{
    (void)state;
    static const __rlimit_resource_t resources[] = { RLIMIT_AS, RLIMIT_DATA };
    if (SANITIZED || RUNNING_ON_VALGRIND)
        skip();
    for (int i = 0; i < 2; i++) {
        struct rlimit old, tight;
        assert_int_equal(getrlimit(resources[i], &old), 0);
        tight = old;
        tight.rlim_cur = (rlim_t)1 << 40;
        assert_int_equal(setrlimit(resources[i], &tight), 0);
        assert_int_equal(getrlimit(resources[i], &tight), 0);
        if (tight.rlim_cur == old.rlim_cur) /* qemu-user knows no such limits */
            skip();
        struct stack *stack = stack_take(&pool, 0);
        setrlimit(resources[i], &old);
        assert_int_equal(stack->guard_size, STACK_GUARD_SIZE);
        stack_give(&pool, stack);
        stack_pool_clear(&pool, true);
    }
}

static void no_room_for_a_slab(void **state)
{
    (void)state;
    mem_fail_nth(1, 0); /* of a slab */
    struct stack *stack = stack_take(&pool, 0);
    assert_int_equal(mem_failures(), 1);
    assert_non_null(stack);
    assert_null(stack->home);
    assert_in_range(stack->top - stack->low, STACK_DEFAULT_SIZE - 4096, STACK_DEFAULT_SIZE);
    touch(stack);
    stack_give(&pool, stack);
    assert_int_equal(pool.n_used, 0);
    assert_non_null(stack = stack_take(&pool, 0));
    assert_ptr_equal(stack->home, &pool);
    stack_give(&pool, stack);
}

/* --- How much of it is used ------------------------------------------------------------------- */

static void used_down_to(void **state)
{
    (void)state;
    for (int kind = STACK_GUARD_MPROTECT; kind <= STACK_GUARD_CANARY; kind++) {
        stack_pool_clear(&pool, true);
        pool.guard = (enum stack_guard)kind;
        struct stack *stack = stack_take(&pool, 0);
        size_t all = (size_t)(stack->top - stack->low);
        assert_int_equal(stack_used(stack), 0);
        static const size_t depths[] = { 8, 16, 4096, 4104, 8192, 50000, 200000 };
        for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
            memset(stack->top - depths[i], 0, depths[i]); /* zeros say nothing */
            stack->top[-(ptrdiff_t)depths[i]] = 1;
            assert_int_equal(stack_used(stack), depths[i]);
            if (i > 0)
                assert_true(n_resident(stack) < 56); /* it looks only where something is */
        }
        stack->low[8] = 1;
        assert_int_equal(stack_used(stack), all - 8);
        stack_give(&pool, stack);
        stack = stack_take(&pool, 0);
        assert_int_equal(stack_used(stack), all - 8); /* a warm one keeps its past */
        stack_give(&pool, stack);
    }
}

static void used_of_an_own_size(void **state)
{
    (void)state;
    struct stack *stack = stack_take(&pool, 4 << 20);
    assert_int_equal(stack_used(stack), 0);
    stack->top[-8] = 1;
    assert_int_equal(stack_used(stack), 8);
    stack->low[0] = 1;
    assert_int_equal(stack_used(stack), stack->top - stack->low);
    stack_give(&pool, stack);
}

static void refreshed(void **state)
{
    (void)state;
    for (int kind = STACK_GUARD_MPROTECT; kind <= STACK_GUARD_CANARY; kind++) {
        stack_pool_clear(&pool, true);
        pool.guard = (enum stack_guard)kind;
        struct stack *stack = stack_take(&pool, 0);
        for (size_t depth = 1024; depth <= 20480; depth += 1000) {
            memset(stack->low + 8, 1, (size_t)(stack->top - stack->low) - 8);
            stack_refresh(stack, stack->top - depth);
            assert_in_range(stack_used(stack), depth, depth + 1024);
            assert_int_equal(stack->top[-(ptrdiff_t)depth], 1); /* what lies above stays */
            assert_true(is_intact(stack));
        }
        stack_refresh(stack, stack->low + 100); /* nothing, or next to it */
        stack_refresh(stack, stack->low + 600);
        assert_true(is_intact(stack));
        assert_true(is_accessible(stack->low));
        stack_give(&pool, stack);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lay_out),
        TEST(guards_by_madvise),
        TEST(guards_by_mprotect),
        TEST(guards_by_canary),
        TEST(few_mappings_left),
        TEST(budget_comes_back),
        TEST(large_guards_for_the_first),
        TEST(last_in_first_out),
        TEST(cools_what_rests),
        TEST(warm_within_bounds),
        TEST(other_sizes),
        TEST(other_sizes_cool),
        TEST(so_many_sizes),
        TEST(size_of_the_pool),
        TEST(twenty_thousand),
        TEST(out_of_memory),
        TEST(mappings_are_limited),
        TEST(no_room_for_a_slab),
        TEST(used_down_to),
        TEST(used_of_an_own_size),
        TEST(refreshed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
