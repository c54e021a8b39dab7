/* Tests of options that were not initialised, or cannot serve. */
#include "../web_check.h"

#include "web/server/options_check.h"

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
    assert_int_equal(check(&(tepal_run_options){ .no_signals = true }), 0);
    assert_int_equal(check(&(tepal_run_options){ .access_log = { .off = true, .fd = -1 } }), 0);
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
    assert_string_equal(text, "half_closed_clients is 173, which is neither true nor false: the "
                              "options are not initialised");
    options = (tepal_run_options){ .access_log.fd = -5 };
    assert_int_equal(check(&options), -EINVAL);
    assert_string_equal(text, "access_log.fd is -5");
    memset(&options, 0xad, sizeof(options));
    assert_int_equal(tepal_run(app, &options), 1);
    app = NULL;
    assert_non_null(strstr(logged(), "cannot start: half_closed_clients is 173"));
}

/* A program that was made for a newer library sets what this one does not know. */
static void room_that_is_not_zero(void **state)
{
    (void)state;
    static const tepal_site site = { .later = { [7] = 1 } };
    static bool flag;
    static const tepal_argument argument[] = { { "x", .flag = &flag, .later = { 1 } }, { 0 } };
    static const struct {
        tepal_run_options options;
        const char *text;
    } rows[] = {
        { { .later = { 1 } }, "tepal_run_options is" },
        { { .later = { [11] = 1 } }, "tepal_run_options is" },
        { { .limits = { .later = { [7] = 1 } } }, "tepal_limits is" },
        { { .access_log = { .later = { [3] = 1 } } }, "tepal_access_log is" },
        { { .sites = &site, .n_sites = 1 }, "a site is" },
        { { .arguments = argument }, "an argument is" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_int_equal(check(&rows[i].options), -EINVAL);
        assert_memory_equal(text, rows[i].text, strlen(rows[i].text));
        assert_string_equal(text + strlen(rows[i].text),
                            " not initialised, or made for a newer tepal");
    }
    assert_refused(&rows[0].options, "cannot start: tepal_run_options is not initialised, or");
}

static void arguments_that_set_nothing(void **state)
{
    (void)state;
    static bool flag;
    static const char *value;
    static const tepal_argument none[] = { { .name = "none" }, { 0 } };
    static const tepal_argument two[] = { { .name = "two", .flag = &flag, .text = &value }, { 0 } };
    assert_int_equal(check(&(tepal_run_options){ .arguments = none }), -EINVAL);
    assert_string_equal(text, "argument none has none of text, number and flag");
    assert_int_equal(check(&(tepal_run_options){ .arguments = two }), -EINVAL);
    assert_string_equal(text, "argument two has more than one of text, number and flag");
    char *argv[] = { "prog", NULL };
    assert_int_equal(tepal_read_args(1, argv, &(tepal_run_options){ .arguments = two }), 1);
    assert_non_null(strstr(logged(), "cannot start: argument two has more than one of"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(good_options),
        WEB_TEST(a_stack_that_is_too_small),
        WEB_TEST(what_was_not_initialised),
        WEB_TEST(room_that_is_not_zero),
        WEB_TEST(arguments_that_set_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
