/* Tests of the block pool. */
#include "../check.h"

#include "base/block.h"
#include "base/mem.h"
#include "base/poison.h"

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
    assert_int_equal(pool.n_free, 2);
    size_t before = mem_count();
    assert_ptr_equal(block_take(&pool), b);
    assert_ptr_equal(block_take(&pool), a);
    assert_int_equal(pool.n_free, 0);
    memset(a, 1, 100); /* all of it may be touched again */
    memset(b, 2, 100);
    assert_int_equal(mem_count(), before);
    block_give(&pool, a);
    block_give(&pool, b);
    block_give(&pool, NULL);
    block_pool_clear(&pool);
    assert_int_equal(pool.n_free, 0);
    assert_null(pool.free);
}

static void keeps_no_more_than_max_free(void **state)
{
    (void)state;
    struct block_pool pool;
    block_pool_init(&pool, 64, 3);
    void *blocks[10];
    for (int i = 0; i < 10; i++)
        assert_non_null(blocks[i] = block_take(&pool));
    for (int i = 0; i < 10; i++) {
        block_give(&pool, blocks[i]);
        assert_true(pool.n_free <= 3);
    }
    assert_int_equal(pool.n_free, 3);
    block_pool_clear(&pool);
    block_pool_init(&pool, 64, 0); /* a pool that keeps nothing */
    block_give(&pool, block_take(&pool));
    assert_int_equal(pool.n_free, 0);
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
        cmocka_unit_test(keeps_no_more_than_max_free),
        cmocka_unit_test(poisons_what_is_free),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
