/* Tests of the octet classes that no other test goes through octet by octet, and of the helpers. */
#include "http/octet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* RFC 3986 sections 2.2 and 2.3, RFC 6265 section 4.1.1, for each octet. */
static void classes(void **state)
{
    (void)state;
    for (int octet = 0; octet < 256; octet++) {
        char c = (char)octet;
        bool digit = octet >= '0' && octet <= '9';
        bool alpha = (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z');
        bool mark = octet && strchr("-._~", octet);
        bool cookie = octet > 0x20 && octet < 0x7f && !strchr("\",;\\", octet);
        assert_int_equal(octet_is(c, OCTET_DIGIT), digit);
        assert_int_equal(octet_is(c, OCTET_ALPHA), alpha);
        assert_int_equal(octet_is(c, OCTET_UNRESERVED), digit || alpha || mark);
        assert_int_equal(octet_is(c, OCTET_SUB_DELIM), octet && strchr("!$&'()*+,;=", octet));
        assert_int_equal(octet_is(c, OCTET_TARGET), octet > 0x20 && octet != 0x7f);
        assert_int_equal(octet_is(c, OCTET_COOKIE), cookie);
        assert_int_equal(octet_is_ows(c), octet == ' ' || octet == '\t');
    }
}

static void hexadecimal(void **state)
{
    static const char digits[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
    (void)state;
    for (int octet = 0; octet < 256; octet++) {
        const char *lower_at = octet ? strchr(digits, octet) : NULL;
        const char *upper_at = octet ? strchr(upper, octet) : NULL;
        int value = lower_at ? (int)(lower_at - digits) : upper_at ? (int)(upper_at - upper) : -1;
        assert_int_equal(octet_hex((char)octet), value);
    }
}

static void trimming(void **state)
{
    static const struct {
        const char *text, *trimmed;
    } rows[] = {
        { "", "" },       { " \t ", "" },   { "a", "a" }, { "\t a \t b ", "a \t b" },
        { "\va", "\va" }, { "a\r", "a\r" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *p = rows[i].text;
        size_t len = strlen(p);
        octet_trim(&p, &len);
        assert_int_equal(len, strlen(rows[i].trimmed));
        assert_memory_equal(p, rows[i].trimmed, len);
    }
}

/* Only the case of ASCII letters does not count. */
static void sameness(void **state)
{
    (void)state;
    assert_true(octet_same("", 0, "", 0));
    assert_true(octet_same("cHUNKED", 7, "chunked", 7));
    assert_false(octet_same("chunke", 6, "chunked", 7));
    assert_false(octet_same("@", 1, "`", 1));
    assert_false(octet_same("[", 1, "{", 1));
    assert_false(octet_same("\r", 1, "-", 1));
    assert_false(octet_same("\xc1", 1, "\xe1", 1));
    assert_false(octet_same("\xe2\x84\xaa", 3, "k\0\0", 3)); /* the sign for kelvin */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes),
        cmocka_unit_test(hexadecimal),
        cmocka_unit_test(trimming),
        cmocka_unit_test(sameness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
