/* Tests of octets that are written one after another: numbers as printf() writes them, and no octet
 * beside them. */
#include "../check.h"

#include "base/put.h"

#include <inttypes.h>

static void assert_number(uint64_t number)
{
    char expected[32], text[32];
    int len = snprintf(expected, sizeof(expected), "%" PRIu64, number);
    memset(text, '#', sizeof(text));
    assert_ptr_equal(put_number(text + 1, number), text + 1 + len);
    assert_memory_equal(text + 1, expected, (size_t)len);
    assert_int_equal(text[0], '#');
    assert_int_equal(text[1 + len], '#');
    assert_ptr_equal(put_large_number(text + 1, number), text + 1 + len); /* of any size, too */
    assert_memory_equal(text + 1, expected, (size_t)len);
    assert_int_equal(text[0], '#');
    assert_int_equal(text[1 + len], '#');
}

static void numbers(void **state)
{
    (void)state;
    for (uint64_t number = 0; number < 12000; number++)
        assert_number(number);
    uint64_t power = 1;
    for (int digits = 1; digits <= 20; digits++) { /* each number of digits, at its ends */
        assert_number(power - 1);
        assert_number(power);
        assert_number(power + 1);
        if (digits < 20)
            power *= 10;
    }
    assert_number(UINT64_MAX);
    assert_number(UINT64_MAX - 1);
    uint64_t random = 1;
    for (int i = 0; i < times(10000); i++)
        assert_number(((uint64_t)next_random(&random) << 33 | next_random(&random)) >>
                      next_random(&random) % 64);
}

static void bytes(void **state)
{
    (void)state;
    char text[] = "#######";
    assert_ptr_equal(put_bytes(text + 1, "a\0b", 3), text + 4);
    assert_memory_equal(text, "#a\0b###", sizeof(text));
    assert_ptr_equal(put_bytes(text + 2, "x", 0), text + 2);
    assert_memory_equal(text, "#a\0b###", sizeof(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
