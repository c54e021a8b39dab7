/* Tests of what is seen of a regular expression before it is compiled. */
#include "../web_check.h"

#include "web/routing/regex_text.h"

static void words(void **state)
{
    (void)state;
    static const char *const yes[] = { "integer", "str", " int", "a_b", "UUID4", "%d", "7" };
    static const char *const no[] = {
        "a|b", "[a-z]+", "\\d", "a.c", "(?:abc)", "a#b", "a-b", "^a"
    };
    for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
        assert_true(regex_text_is_word(yes[i]));
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        assert_false(regex_text_is_word(no[i]));
}

static void references(void **state)
{
    (void)state;
    static const char *const yes[] = { "(a)\\1",           "(a)\\g1",     "(a)\\g{1}",  "(a)\\g<1>",
                                       "(a)\\g'1'",        "(a)(?1)",     "a(?R)?",     "a(?0)",
                                       "(a)?(?(1)b)",      "(a)(?(R1)b)", "(a)(?(R)b)", "[a](b)\\1",
                                       "\\Q[\\E(a)\\1",    "[]](a)\\1",   "[^]](a)\\1", "\\[(a)\\1",
                                       "[[:alpha:]](a)\\1" };
    static const char *const no[] = { "a",
                                      "\\d",
                                      "\\\\1",
                                      "[\\1]",
                                      "\\Q\\1\\E",
                                      "\\Q\\1",
                                      "(?:a)",
                                      "(?<y>a)\\k<y>",
                                      "(?P<y>a)(?P=y)",
                                      "(?&y)(?<y>a)",
                                      "(a)\\g{-1}",
                                      "(a)\\g{y}",
                                      "(?-1)",
                                      "(?+1)(a)",
                                      "(?i)a",
                                      "(?=a)",
                                      "[",
                                      "[^",
                                      "\\",
                                      "(",
                                      "(?",
                                      "[[:x",
                                      "(?(<y>)a)",
                                      "[\\Q1" };
    for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
        if (!regex_text_counts_groups(yes[i]))
            fail_msg("%s", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        if (regex_text_counts_groups(no[i]))
            fail_msg("%s", no[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
