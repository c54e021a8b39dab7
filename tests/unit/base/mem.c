/* Tests of the counter and the fault injection that the other tests rely on. */
#include "../check.h"

#include "base/mem.h"

static void counts_every_allocation(void **state)
{
    (void)state;
    size_t before = mem_count();
    char *a = mem_alloc(10);
    char *b = mem_zalloc(10);
    assert_non_null(a);
    assert_memory_equal(b, "\0\0\0\0\0\0\0\0\0\0", 10);
    a = mem_resize(a, 1000);
    assert_non_null(a);
    char *c = mem_strdup("text"), *d = mem_strndup("a\0bcd", 3);
    assert_string_equal(c, "text");
    assert_memory_equal(d, "a\0b\0", 4);
    assert_int_equal(mem_count() - before, 5);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(d);
    mem_free(NULL);
    assert_int_equal(mem_count() - before, 5);
}

static bool can_allocate(void)
{
    void *p = mem_alloc(1);
    mem_free(p);
    return p != NULL;
}

static void fails_the_nth_once(void **state)
{
    (void)state;
    mem_fail_nth(3, 0);
    assert_true(can_allocate());
    assert_true(can_allocate());
    assert_int_equal(mem_failures(), 0);
    assert_false(can_allocate());
    assert_int_equal(mem_failures(), 1);
    assert_true(can_allocate());
    assert_int_equal(mem_failures(), 1);
    mem_fail_nth(1, 0);
    assert_int_equal(mem_failures(), 0);
    assert_null(mem_strdup("x"));
    mem_fail_nth(1, 0);
    assert_null(mem_zalloc(1));
    char *p = mem_strdup("kept");
    mem_fail_nth(1, 0);
    assert_null(mem_resize(p, 100));
    assert_string_equal(p, "kept");
    mem_free(p);
    mem_fail_nth(0, 0);
    assert_true(can_allocate());
}

static void fails_all_after_the_nth(void **state)
{
    (void)state;
    mem_fail_nth(2, 1);
    assert_true(can_allocate());
    assert_false(can_allocate());
    assert_false(can_allocate());
    assert_int_equal(mem_failures(), 2);
    mem_fail_nth(0, 0);
    assert_true(can_allocate());
    assert_int_equal(mem_failures(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_every_allocation),
        cmocka_unit_test(fails_the_nth_once),
        cmocka_unit_test(fails_all_after_the_nth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
