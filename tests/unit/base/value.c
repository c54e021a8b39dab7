/* Tests of texts and octets as values. */
#include "../check.h"

#include <tepal/value.h>

static tepal_bytes bytes(const char *data, size_t len)
{
    return (tepal_bytes){ .data = data, .len = len };
}

static void octets_of_a_text(void **state)
{
    (void)state;
    const char *text = "a b";
    assert_ptr_equal(tepal_bytes_of(text).data, text);
    assert_int_equal(tepal_bytes_of(text).len, 3);
    assert_non_null(tepal_bytes_of("").data);
    assert_int_equal(tepal_bytes_of("").len, 0);
    assert_null(tepal_bytes_of(NULL).data);
    assert_int_equal(tepal_bytes_of(NULL).len, 0);
}

static void secret_texts(void **state)
{
    (void)state;
    const char copy[] = "secret";
    assert_true(tepal_secret_equal("secret", copy));
    assert_true(tepal_secret_equal("", ""));
    assert_false(tepal_secret_equal("secret", "Secret"));
    assert_false(tepal_secret_equal("secret", "secreT"));
    assert_false(tepal_secret_equal("secret", "secre"));
    assert_false(tepal_secret_equal("", "s"));
    assert_false(tepal_secret_equal("secret", NULL));
    assert_false(tepal_secret_equal(NULL, "secret"));
    assert_false(tepal_secret_equal(NULL, NULL));
}

static void secret_octets(void **state)
{
    (void)state;
    assert_true(tepal_secret_equal_bytes(bytes("a\0b", 3), bytes("a\0b", 3)));
    assert_false(tepal_secret_equal_bytes(bytes("a\0b", 3), bytes("a\0c", 3)));
    assert_false(tepal_secret_equal_bytes(bytes("a\0b", 3), bytes("a\0b", 2)));
    assert_true(tepal_secret_equal_bytes(bytes("", 0), bytes("x", 0)));
    assert_false(tepal_secret_equal_bytes(bytes(NULL, 0), bytes("", 0)));
    assert_false(tepal_secret_equal_bytes(bytes(NULL, 0), bytes(NULL, 0)));
    char a[256] = { 0 }, b[256] = { 0 };
    for (size_t i = 0; i < sizeof(a); i++)
        for (unsigned bit = 1; bit < 256; bit *= 2) {
            b[i] = (char)bit;
            assert_false(tepal_secret_equal_bytes(bytes(a, sizeof(a)), bytes(b, sizeof(b))));
            b[i] = 0;
        }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(octets_of_a_text),
        cmocka_unit_test(secret_texts),
        cmocka_unit_test(secret_octets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
