/* Tests of the hash map. */
#include "../check.h"

#include "base/map.h"
#include "base/mem.h"

static int values[5000];

static void set_get_replace(void **state)
{
    (void)state;
    struct map map = { 0 };
    assert_null(map_get(&map, "a", 1));
    assert_int_equal(map_set(&map, "a", 1, &values[0]), 0);
    assert_int_equal(map_set(&map, "ab", 2, &values[1]), 0);
    assert_ptr_equal(map_get(&map, "a", 1), &values[0]);
    assert_ptr_equal(map_get(&map, "abc", 2), &values[1]); /* only len octets count */
    assert_null(map_get(&map, "abc", 3));
    assert_null(map_get(&map, "A", 1));
    assert_null(map_get(&map, "", 0));
    assert_int_equal(map_set(&map, "a", 1, &values[2]), 0);
    assert_ptr_equal(map_get(&map, "a", 1), &values[2]);
    assert_int_equal(map.used, 2);
    map_clear(&map);
    assert_null(map_get(&map, "a", 1));
    assert_int_equal(map_set(&map, "a", 1, &values[0]), 0);
    assert_ptr_equal(map_get(&map, "a", 1), &values[0]);
    map_clear(&map);
    map_clear(&map);
}

static void unusual_keys(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        size_t len;
    } keys[] = {
        { "", 0 },
        { "\0", 1 },
        { "\0\0", 2 },
        { "a\0b", 3 },
        { "a\0c", 3 },
        { "1234567", 7 },
        { "12345678", 8 },
        { "12345678\0", 9 },
        { "123456781", 9 },
        { "\xff\xff", 2 },
        { "0123456789abcdef", 16 },
        { "0123456789abcdeg", 16 },
    };
    enum { N = sizeof(keys) / sizeof(keys[0]) };
    struct map map = { 0 };
    for (int i = 0; i < N; i++)
        assert_int_equal(map_set(&map, keys[i].key, keys[i].len, &values[i]), 0);
    assert_int_equal(map.used, N);
    for (int i = 0; i < N; i++)
        assert_ptr_equal(map_get(&map, keys[i].key, keys[i].len), &values[i]);
    map_clear(&map);
}

static void thousands(void **state)
{
    (void)state;
    static char keys[5000][12];
    struct map map = { 0 };
    for (int i = 0; i < 5000; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%d", i * 7);
        assert_int_equal(map_set(&map, keys[i], strlen(keys[i]), &values[i]), 0);
        assert_true(map.used * 2 <= map.size);
    }
    for (int i = 0; i < 5000; i++)
        assert_ptr_equal(map_get(&map, keys[i], strlen(keys[i])), &values[i]);
    for (int i = 0; i < 35000; i++) {
        char key[12];
        snprintf(key, sizeof(key), "%d", i);
        assert_int_equal(map_get(&map, key, strlen(key)) != NULL, i % 7 == 0);
    }
    map_clear(&map);
}

static void out_of_memory(void **state)
{
    (void)state;
    static char keys[100][12];
    struct map map = { 0 };
    mem_fail_nth(1, 0);
    assert_int_equal(map_set(&map, "a", 1, &values[0]), -ENOMEM);
    assert_null(map_get(&map, "a", 1));
    for (int i = 0; i < 100; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%d", i);
        mem_fail_nth(1, 0);
        int rc = map_set(&map, keys[i], strlen(keys[i]), &values[i]);
        assert_int_equal(rc, mem_failures() ? -ENOMEM : 0);
        mem_fail_nth(0, 0);
        if (rc < 0)
            assert_int_equal(map_set(&map, keys[i], strlen(keys[i]), &values[i]), 0);
        for (int k = 0; k <= i; k++)
            assert_ptr_equal(map_get(&map, keys[k], strlen(keys[k])), &values[k]);
    }
    map_clear(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_get_replace),
        cmocka_unit_test(unusual_keys),
        cmocka_unit_test(thousands),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
