/* Tests of the names and texts of errors. */
#include "../check.h"

#include <tepal/base.h>
#include <tepal/http_error.h>

#include <limits.h>

static void of_errno(void **state)
{
    (void)state;
    assert_string_equal(tepal_code_name(-ECONNREFUSED), "ECONNREFUSED");
    assert_string_equal(tepal_code_name(-ETIMEDOUT), "ETIMEDOUT");
    assert_string_equal(tepal_code_name(-ECANCELED), "ECANCELED");
    assert_string_equal(tepal_code_name(-EAGAIN), "EAGAIN");
    assert_string_equal(tepal_code_text(-ECONNREFUSED), "Connection refused");
    assert_string_equal(tepal_code_text(-ETIMEDOUT), "timed out");
}

static void of_tepal(void **state)
{
    (void)state;
    assert_string_equal(tepal_code_name(TEPAL_EBODY_SIZE), "TEPAL_EBODY_SIZE");
    assert_string_equal(tepal_code_name(TEPAL_EPATTERN), "TEPAL_EPATTERN");
    assert_string_equal(tepal_code_name(TEPAL_ENOBODY), "TEPAL_ENOBODY");
    assert_string_equal(tepal_code_text(TEPAL_ENOBODY), "nobody reads this body");
    for (int error = TEPAL_ECLOSED; error >= TEPAL_ENOSERVICE; error--) {
        assert_int_equal(strncmp(tepal_code_name(error), "TEPAL_E", 7), 0);
        assert_string_not_equal(tepal_code_text(error), "unknown error");
        for (int other = TEPAL_ECLOSED; other > error; other--) {
            assert_string_not_equal(tepal_code_name(error), tepal_code_name(other));
            assert_string_not_equal(tepal_code_text(error), tepal_code_text(other));
        }
    }
}

static void of_what_is_none(void **state)
{
    (void)state;
    static const int counts[] = { 0, 1, 4097, INT_MAX };
    static const int unknown[] = { INT_MIN, -100000, TEPAL_ENOSERVICE - 1, -4096, -4095, -3000 };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        assert_string_equal(tepal_code_name(counts[i]), "0");
        assert_non_null(tepal_code_text(counts[i]));
    }
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_string_equal(tepal_code_name(unknown[i]), "EUNKNOWN");
        assert_string_equal(tepal_code_text(unknown[i]), "unknown error");
    }
    for (int error = -5000; error < 10; error++) {
        assert_true(tepal_code_name(error)[0] != '\0');
        assert_true(tepal_code_text(error)[0] != '\0');
    }
}

static void version(void **state)
{
    (void)state;
    assert_string_equal(tepal_version(), TEPAL_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_errno),
        cmocka_unit_test(of_tepal),
        cmocka_unit_test(of_what_is_none),
        cmocka_unit_test(version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
