/* Tests of stacks and blocks on a kernel with pages of 64 KiB. It is played: the linker puts the
 * functions below between the library and the system, which refuses what such a kernel refuses and
 * rounds as it rounds. */
#include "../in_loop.h"

#include "async/stack/stack.h"

#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum { PAGE = 64 * 1024 };

static int n_refused, n_discarded;
static bool has_guards;

long __real_sysconf(int name);
long __wrap_sysconf(int name);
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);
int __real_madvise(void *at, size_t size, int advice);
int __wrap_madvise(void *at, size_t size, int advice);
int __real_mprotect(void *at, size_t size, int protection);
int __wrap_mprotect(void *at, size_t size, int protection);

static size_t whole(size_t size)
{
    return (size + PAGE - 1) / PAGE * PAGE;
}

static bool is_refused(const void *at)
{
    if ((uintptr_t)at % PAGE == 0)
        return false;
    n_refused++;
    errno = EINVAL;
    return true;
}

long __wrap_sysconf(int name)
{
    return name == _SC_PAGESIZE ? PAGE : __real_sysconf(name);
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    char *base = __real_mmap(at, whole(size) + PAGE, protection, flags, fd, offset);
    if (base == MAP_FAILED)
        return base;
    char *page = (char *)whole((uintptr_t)base), *end = page + whole(size);
    if (page > base)
        __real_munmap(base, (size_t)(page - base));
    if (base + whole(size) + PAGE > end)
        __real_munmap(end, (size_t)(base + whole(size) + PAGE - end));
    return page;
}

/* Its name where files are large. */
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return __wrap_mmap(at, size, protection, flags, fd, offset);
}

int __wrap_munmap(void *at, size_t size)
{
    return is_refused(at) ? -1 : __real_munmap(at, whole(size));
}

int __wrap_madvise(void *at, size_t size, int advice)
{
    if (is_refused(at))
        return -1;
    if (advice == MADV_GUARD_INSTALL && !has_guards) {
        errno = EINVAL;
        return -1;
    }
    n_discarded += advice == MADV_DONTNEED;
    return __real_madvise(at, whole(size), advice);
}

int __wrap_mprotect(void *at, size_t size, int protection)
{
    return is_refused(at) ? -1 : __real_mprotect(at, whole(size), protection);
}

static int setup(void **state)
{
    (void)state;
    n_refused = n_discarded = 0;
    has_guards = false;
    return 0;
}

static int use_most(void *arg)
{
    size_t size = *(size_t *)arg;
    char *low = loop_current->current->stack->low;
    char *until = (char *)__builtin_frame_address(0) - 4096;
    if (until > low + size)
        until = low + size;
    for (char *p = low + 64; p < until; p += 512)
        *(volatile char *)p = 1;
    return tepal_sleep_ms(0);
}

/* Stacks of all sizes can be used as far down as was asked for. */
static int use_stacks(void *arg)
{
    static size_t sizes[] = { 0, 1, 16 * 1024, 48 * 1024, 64 * 1024, 65 * 1024, 300 * 1024 };
    (void)arg;
    tepal_group *group = tepal_group_new();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        tepal_spawn_options options = { .stack_size = sizes[i] };
        assert_int_equal(tepal_spawn(group, use_most, &sizes[i], &options), 0);
    }
    int rc = tepal_group_wait(group);
    tepal_group_close(group);
    return rc;
}

static void small_stacks_live(void **state)
{
    (void)state;
    if (SANITIZED)
        skip(); /* they have calls of their own behind these functions */
    for (int guards = 0; guards < 2; guards++) {
        has_guards = guards;
        assert_int_equal(run(use_stacks, NULL), 0);
    }
    assert_int_equal(n_refused, 0);
}

static void is_laid_out_in_pages(void **state)
{
    (void)state;
    struct stack_pool pool;
    if (SANITIZED)
        skip();
    stack_pool_init(&pool, 100 * 1024);
    assert_int_equal(pool.size, 2 * PAGE);
    for (int kind = STACK_GUARD_MADVISE; kind <= STACK_GUARD_CANARY; kind++) {
        pool.guard = (enum stack_guard)kind;
        struct stack *stacks[100];
        for (int i = 0; i < 100; i++) {
            stacks[i] = stack_take(&pool, 0);
            assert_int_equal((uintptr_t)stacks[i]->low % PAGE, 0);
            assert_int_equal(stacks[i]->guard_size % PAGE, 0);
            assert_true(stacks[i]->guard_size >= PAGE);
            memset(stacks[i]->low + 8, 1, (size_t)(stacks[i]->top - stacks[i]->low) - 8);
        }
        for (int i = 0; i < 100; i++)
            stack_give(&pool, stacks[i]);
        idle_begin_period(&pool.idle);
        assert_false(stack_pool_cool(&pool, 1000));
        for (int i = 0; i < 100 - STACK_KEEP_WARM; i++) { /* the first are the cold ones */
            size_t left = stacks[i]->guard == STACK_GUARD_CANARY ? PAGE : 0;
            assert_in_range(stack_used(stacks[i]), 0, left > 0 ? 2 * PAGE : 0);
            assert_int_equal(stacks[i]->top[-1], 0);
        }
        stack_pool_clear(&pool, true);
    }
    assert_true(n_discarded >= 3 * (100 - STACK_KEEP_WARM));
    assert_int_equal(n_refused, 0);
}

static void blocks_too(void **state)
{
    (void)state;
    struct block_pool pool;
    char *blocks[50];
    if (SANITIZED || RUNNING_ON_VALGRIND)
        skip(); /* they lie in the heap */
    block_pool_init(&pool, 16 * 1024, 5);
    for (int i = 0; i < 50; i++)
        memset(blocks[i] = block_take(&pool), 1, 16 * 1024);
    for (int i = 0; i < 50; i++)
        block_give(&pool, blocks[i]);
    idle_begin_period(&pool.idle);
    assert_false(block_pool_cool(&pool, 1000));
    for (int i = 0; i < 50; i++)
        assert_int_equal(blocks[i][0], i >= 45);
    assert_int_equal(n_refused, 0);
    block_pool_clear(&pool);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(small_stacks_live),
        TEST(is_laid_out_in_pages),
        TEST(blocks_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
