/* Tests of options that were not initialised, or cannot serve. */
#include "web_check.h"

#include "web/options_check.h"

static char text[160];

static int check(const tepal_run_options *options)
{
    *text = '\0';
    return options_check(options, text, sizeof(text));
}

static void good_options(void **state)
{
    (void)state;
    assert_int_equal(check(NULL), 0);
    assert_int_equal(check(&(tepal_run_options){ 0 }), 0);
    assert_int_equal(check(&(tepal_run_options){ .reuse_port = true, .no_signals = true }), 0);
    assert_int_equal(check(&(tepal_run_options){ .no_access_log = true, .access_log_fd = -1 }), 0);
    assert_int_equal(check(&(tepal_run_options){ .stack_size = 32 * 1024 }), 0);
    assert_int_equal(check(&(tepal_run_options){ .stack_size = 32 * 1024 + 1 }), 0);
}

static void a_stack_that_is_too_small(void **state)
{
    (void)state;
    assert_int_equal(check(&(tepal_run_options){ .stack_size = 1 }), -EINVAL);
    assert_string_equal(text, "stack_size 1 is under the least of 32768 octets");
    assert_int_equal(check(&(tepal_run_options){ .stack_size = 32 * 1024 - 1 }), -EINVAL);
    assert_refused(&(tepal_run_options){ .stack_size = 1 },
                   "cannot start: stack_size 1 is under the least of 32768 octets");
    assert_int_equal(tepal_run(app, &(tepal_run_options){ .stack_size = 7 }), 1);
    app = NULL;
    assert_non_null(strstr(logged(), "cannot start: stack_size 7 is under the least of"));
}

static void what_was_not_initialised(void **state)
{
    (void)state;
    tepal_run_options options;
    memset(&options, 0xad, sizeof(options));
    assert_int_equal(check(&options), -EINVAL);
    assert_string_equal(text, "reuse_port is 173, which is neither true nor false: the options are "
                              "not initialised");
    options = (tepal_run_options){ .access_log_fd = -5 };
    assert_int_equal(check(&options), -EINVAL);
    assert_string_equal(text, "access_log_fd is -5");
    memset(&options, 0xad, sizeof(options));
    assert_int_equal(tepal_run(app, &options), 1);
    app = NULL;
    assert_non_null(strstr(logged(), "cannot start: reuse_port is 173"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(good_options),
        WEB_TEST(a_stack_that_is_too_small),
        WEB_TEST(what_was_not_initialised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
