/* Tests of finding the NULL that a format has printed. */
#include "../web_check.h"

#include "web/text/printing.h"

#include <wchar.h>

static bool looks_null(const char *text)
{
    return printing_looks_null(text, strlen(text));
}

static void looks(void **state)
{
    (void)state;
    assert_true(looks_null("(null)"));
    assert_true(looks_null("(a) ((null)"));
    assert_false(looks_null(""));
    assert_false(looks_null("(null"));
    assert_false(looks_null("(nil) (nul) null"));
    assert_false(printing_looks_null("(null)", 5));
}

static bool TEPAL_PRINTF(1, 2) has_null(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool found = printing_has_null(format, args);
    va_end(args);
    return found;
}

static void arguments(void **state)
{
    (void)state;
    const char *null = getenv("tepal-no-such-variable"); /* the compiler must not know */
    assert_false(has_null("%s", "a"));
    assert_true(has_null("%s", null));
    assert_true(has_null("%%%-8s", null));
    assert_true(has_null("%d %ld %lld %hd %c %zu %s", 1, 2L, 3LL, (short)4, '5', (size_t)6, null));
    assert_true(has_null("%f %Lf %p %s", 1.5, 2.5L, (void *)&null, null));
    assert_true(has_null("%*d %.*f %s", 3, 4, 2, 1.0, null));
    assert_true(has_null("%lc %ls", (wint_t)L'x', (const wchar_t *)(const void *)null));
    assert_true(has_null("%2$s %1$d", 1, null));
    assert_false(has_null("%2$s %1$d", 1, "a"));
    assert_false(has_null("%p %d", (void *)NULL, 0));
    assert_false(has_null("%d%f%Lf%s%s", 0, 0.0, 0.0L, "", "b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks),
        cmocka_unit_test(arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
