/* Tests of formatting for machines. */
#include "../check.h"
#include "../locales.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/print.h"

#include <wchar.h>

static int print(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int print(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = print_vsnprintf(out, size, format, args);
    va_end(args);
    return n;
}

static void check(void)
{
    char out[100];
    assert_int_equal(print(out, sizeof(out), "%.2f %s %d", 19.99, "1,5", 7), 11);
    assert_string_equal(out, "19.99 1,5 7");
    print(out, sizeof(out), "%5.1f|%-8.3e|%g|%.*f|%Lf|%a", 1.5, 1.5, 1.5, 1, 1.5, 1.5L, 1.5);
    assert_string_equal(out, "  1.5|1.500e+00|1.5|1.5|1.500000|0x1.8p+0");
    assert_int_equal(print(out, 3, "%.1f", 12.5), 4);
    assert_string_equal(out, "12");
    assert_int_equal(print(NULL, 0, "%f", 1.0), 8);
    print(out, sizeof(out), "100%% %d", 5);
    assert_string_equal(out, "100% 5");
    struct buf buf;
    buf_init(&buf, 100);
    assert_int_equal(buf_printf(&buf, "%.1f", 0.5), 0);
    assert_memory_equal(buf.data, "0.5", 3);
    buf_clear(&buf);
}

static void anywhere(void **state)
{
    (void)state;
    char text[32];
    check();
    if (!locale_begin())
        return;
    snprintf(text, sizeof(text), "%.1f", 0.5);
    assert_string_equal(text, "0,5");
    check();
    snprintf(text, sizeof(text), "%.1f", 0.5); /* the program keeps its own */
    assert_string_equal(text, "0,5");
    if (setlocale(LC_CTYPE, "C.UTF-8")) {
        print(text, sizeof(text), "%ls %.1f", L"\u00e9", 0.5); /* and its character set */
        assert_string_equal(text, "\xc3\xa9 0.5");
    }
    locale_end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(anywhere) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
