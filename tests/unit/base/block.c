/* Tests of the block pool. */
#include "../check.h"

#include "base/block.h"
#include "base/mem.h"
#include "base/poison.h"

#include <sys/mman.h>

static void last_in_first_out(void **state)
{
    (void)state;
    struct block_pool pool;
    block_pool_init(&pool, 100, 8);
    void *a = block_take(&pool), *b = block_take(&pool);
    assert_true(a && b && a != b);
    memset(a, 1, 100);
    memset(b, 2, 100);
    block_give(&pool, a);
    block_give(&pool, b);
    size_t n_idle = pool.idle.n;
    size_t before = mem_count();
    assert_ptr_equal(block_take(&pool), b);
    assert_ptr_equal(block_take(&pool), a);
    assert_int_equal(pool.idle.n, n_idle - 2);
    memset(a, 1, 100); /* all of it may be touched again */
    memset(b, 2, 100);
    assert_int_equal(mem_count(), before);
    block_give(&pool, a);
    block_give(&pool, b);
    block_give(&pool, NULL);
    block_pool_clear(&pool);
    assert_int_equal(pool.idle.n, 0);
    assert_int_equal(pool.n, 0);
}

/* Where a checker watches, each block is one of the heap, and none is made before it is asked
 * for. */
static bool is_checked(void)
{
#ifdef TEPAL_ASAN
    return true;
#else
    return RUNNING_ON_VALGRIND;
#endif
}

static size_t count_present(char **blocks, size_t n, size_t size)
{
    size_t count = 0;
    unsigned char resident[4];
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(mincore(blocks[i], size, resident), 0);
        count += resident[0] & resident[(size + 4095) / 4096 - 1] & 1;
    }
    return count;
}

/* What was not used for a period gives its memory back, but for as many as are to keep it. */
static void cools_what_rests(void **state)
{
    (void)state;
    enum { N = 100, SIZE = 16 * 1024, KEEP = 5 };
    struct block_pool pool;
    char *blocks[N];
    if (is_checked())
        skip();
    block_pool_init(&pool, SIZE, KEEP);
    for (int i = 0; i < N; i++) {
        assert_non_null(blocks[i] = block_take(&pool));
        memset(blocks[i], i, SIZE);
    }
    assert_false(block_pool_is_warm(&pool));
    for (int i = 0; i < N; i++) {
        assert_int_equal(blocks[i][0], i);
        assert_int_equal(blocks[i][SIZE - 1], i);
        block_give(&pool, blocks[i]);
    }
    assert_true(block_pool_is_warm(&pool));
    assert_false(block_pool_cool(&pool, N));
    assert_int_equal(count_present(blocks, N, SIZE), N);
    idle_begin_period(&pool.idle);
    assert_true(block_pool_cool(&pool, 40));
    assert_int_equal(count_present(blocks, N, SIZE), N - 40);
    assert_false(block_pool_cool(&pool, N));
    assert_int_equal(count_present(blocks, N, SIZE), KEEP);
    assert_false(block_pool_is_warm(&pool));
    for (int i = 0; i < N; i++) { /* all can be used again */
        assert_non_null(blocks[i] = block_take(&pool));
        memset(blocks[i], 1, SIZE);
    }
    for (int i = 0; i < N; i++)
        block_give(&pool, blocks[i]);
    block_pool_clear(&pool);
}

static void poisons_what_is_free(void **state)
{
    (void)state;
#ifdef TEPAL_ASAN
    struct block_pool pool;
    block_pool_init(&pool, 64, 3);
    char *block = block_take(&pool);
    block_give(&pool, block);
    assert_true(__asan_address_is_poisoned(block));
    assert_true(__asan_address_is_poisoned(block + 63));
    assert_ptr_equal(block_take(&pool), block);
    assert_null(__asan_region_is_poisoned(block, 64));
    block_give(&pool, block);
    block_pool_clear(&pool);
#else
    skip();
#endif
}

static void out_of_memory(void **state)
{
    (void)state;
    struct block_pool pool;
    block_pool_init(&pool, 64, 3);
    mem_fail_nth(1, 0);
    assert_null(block_take(&pool));
    void *block = block_take(&pool);
    assert_non_null(block);
    block_give(&pool, block);
    mem_fail_nth(1, 0);
    assert_non_null(block_take(&pool)); /* from the pool: nothing is allocated */
    assert_int_equal(mem_failures(), 0);
    mem_fail_nth(0, 0);
    block_give(&pool, block);
    block_pool_clear(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_in_first_out),
        cmocka_unit_test(cools_what_rests),
        cmocka_unit_test(poisons_what_is_free),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
