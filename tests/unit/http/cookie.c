/* Tests of Cookie and Set-Cookie fields (RFC 6265). */
#include "http/cookie.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static void reading(void **state)
{
    static const struct {
        const char *field, *cookies;
    } rows[] = {
        { "", "" },
        { "a=b", "(a)(b)" },
        { "a=b; c=d", "(a)(b)(c)(d)" },
        { "a=b;c=d", "(a)(b)(c)(d)" },
        { "  a=b \t;\tc=d  ", "(a)(b)(c)(d)" },
        { "a=", "(a)()" },
        { "a=b=c", "(a)(b=c)" },
        { "a=\"b c\"", "(a)(b c)" },
        { "a=\"\"", "(a)()" },
        { "a=\"", "(a)(\")" },
        { "a=\"b", "(a)(\"b)" },
        { "a=b\"c\"", "(a)(b\"c\")" },
        { "a= b ", "(a)(b)" },
        { "a=b c,d\\e", "(a)(b c,d\\e)" },
        { "a=caf\xc3\xa9", "(a)(caf\xc3\xa9)" },
        { "a=1; a=2", "(a)(1)(a)(2)" },
        { "a=\"b;c\"; d=e", "(a)(\"b)(d)(e)" }, /* quotes do not protect, 6265 5.4 */
        { ";;a=b;;", "(a)(b)" },
        { "a", "" }, /* no '=' */
        { "a; b=c", "(b)(c)" },
        { "=a; b=c", "(b)(c)" },
        { "a b=c; d=e", "(d)(e)" },
        { "a =c; d=e", "(d)(e)" },
        { "a[]=c; d=e", "(d)(e)" },
        { "\xe2\x80\x80__Host-a=x; d=e", "(d)(e)" },
        { "a=b\001c; d=e", "(d)(e)" },
        { "a=b\tc; d=e", "(d)(e)" },
        { "a=b\x7f; d=e", "(d)(e)" },
        { "a=b\r\nc; d=e", "(d)(e)" },
        { "$Version=1; a=b", "($Version)(1)(a)(b)" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t len = strlen(rows[i].field);
        char *field = malloc(len ? len : 1), text[128] = "";
        memcpy(field, rows[i].field, len);
        const char *rest = field;
        struct cookie_pair pair;
        while (cookie_next(&rest, &len, &pair)) {
            size_t n = strlen(text);
            snprintf(text + n, sizeof text - n, "(%.*s)(%.*s)", (int)pair.name_len, pair.name,
                     (int)pair.value_len, pair.value);
        }
        assert_string_equal(text, rows[i].cookies);
        free(field);
    }
}

static void nul_is_a_control(void **state)
{
    const char *rest = "a=b\0c; d=e";
    size_t len = 10;
    struct cookie_pair pair;
    (void)state;
    assert_true(cookie_next(&rest, &len, &pair));
    assert_int_equal(pair.name[0], 'd');
    assert_false(cookie_next(&rest, &len, &pair));
}

static void writing(void **state)
{
    static const struct cookie_attributes none = { 0 },
                                          all = { .domain = "a.example",
                                                  .path = "/x y",
                                                  .max_age = 60,
                                                  .has_max_age = true,
                                                  .expires = 784111777,
                                                  .has_expires = true,
                                                  .secure = true,
                                                  .http_only = true,
                                                  .partitioned = true,
                                                  .same_site = COOKIE_SAME_SITE_NONE },
                                          now = { .has_max_age = true, .has_expires = true },
                                          before = { .has_max_age = true, .max_age = INT64_MIN },
                                          lax = { .same_site = COOKIE_SAME_SITE_LAX, .path = "" },
                                          strict = { .same_site = COOKIE_SAME_SITE_STRICT,
                                                     .domain = ".a-b.c" };
    static const struct {
        const struct cookie_attributes *attributes;
        const char *text;
    } rows[] = {
        { NULL, "a=b" },
        { &none, "a=b" },
        { &all, "a=b; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Max-Age=60; Domain=a.example; "
                "Path=/x y; Secure; HttpOnly; SameSite=None; Partitioned" },
        { &now, "a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0" },
        { &before, "a=b; Max-Age=-9223372036854775808" },
        { &lax, "a=b; Path=; SameSite=Lax" },
        { &strict, "a=b; Domain=.a-b.c; SameSite=Strict" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        long len = (long)strlen(rows[i].text);
        for (size_t size = 0; size < 200; size++) {
            char *out = malloc(size ? size : 1);
            assert_int_equal(cookie_write(out, size, "a", "b", rows[i].attributes), len);
            size_t kept = (long)size > len ? (size_t)len : size - 1;
            if (size) {
                assert_memory_equal(out, rows[i].text, kept);
                assert_int_equal(out[kept], 0);
            }
            free(out);
        }
    }
}

/* RFC 6265 section 4.1.1 */
static void refused(void **state)
{
    char out[64];
    (void)state;
    for (int octet = 1; octet < 256; octet++) {
        char text[3] = { 'a', (char)octet, '\0' };
        struct cookie_attributes domain = { .domain = text }, path = { .path = text };
        bool graphic = octet > 0x20 && octet < 0x7f;
        bool value = graphic && !strchr("\",;\\", octet);
        bool alnum = (octet >= '0' && octet <= '9') || (octet >= 'a' && octet <= 'z') ||
                     (octet >= 'A' && octet <= 'Z');
        bool name = alnum || (graphic && strchr("!#$%&'*+-.^_`|~", octet));
        assert_int_equal(cookie_write(out, 64, text, "", NULL), name ? 3 : -EINVAL);
        assert_int_equal(cookie_write(out, 64, "a", text, NULL), value ? 4 : -EINVAL);
        assert_int_equal(cookie_write(out, 64, "a", "b", &domain) > 0,
                         alnum || octet == '-' || octet == '.');
        assert_int_equal(cookie_write(out, 64, "a", "b", &path) > 0,
                         (graphic || octet == ' ') && octet != ';');
    }
    struct cookie_attributes no_domain = { .domain = "" };
    assert_int_equal(cookie_write(out, 64, "", "b", NULL), -EINVAL);
    assert_int_equal(cookie_write(out, 64, NULL, "b", NULL), -EINVAL);
    assert_int_equal(cookie_write(out, 64, "a", NULL, NULL), -EINVAL);
    assert_int_equal(cookie_write(out, 64, "a", "b", &no_domain), -EINVAL);
}

/* What browsers drop, RFC 6265bis section 5.7. */
static void dropped(void **state)
{
    static const struct {
        const char *name;
        struct cookie_attributes attributes;
        const char *fault;
    } rows[] = {
        { "a", { 0 }, NULL },
        { "a", { .same_site = COOKIE_SAME_SITE_NONE, .secure = true }, NULL },
        { "a", { .same_site = COOKIE_SAME_SITE_NONE }, "SameSite=None must be secure" },
        { "a", { .partitioned = true, .secure = true }, NULL },
        { "a", { .partitioned = true }, "Partitioned must be secure" },
        { "__Secure-a", { .secure = true, .domain = "a", .path = "/x" }, NULL },
        { "__Secure-a", { 0 }, "a name with this prefix must be secure" },
        { "__secure-a", { 0 }, "a name with this prefix must be secure" },
        { "__Secure", { 0 }, NULL },
        { "__Host-a", { .secure = true, .path = "/" }, NULL },
        { "__Host-a", { .path = "/" }, "a name with this prefix must be secure" },
        { "__HOST-a",
          { .secure = true, .path = "/", .domain = "a" },
          "__Host- must have no domain" },
        { "__Host-a", { .secure = true, .path = "/x" }, "__Host- must have the path \"/\"" },
        { "__Host-a", { .secure = true }, "__Host- must have the path \"/\"" },
        { "x__Host-a", { 0 }, NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *fault = cookie_fault(rows[i].name, &rows[i].attributes);
        assert_string_equal(fault ? fault : "", rows[i].fault ? rows[i].fault : "");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading), cmocka_unit_test(nul_is_a_control), cmocka_unit_test(writing),
        cmocka_unit_test(refused), cmocka_unit_test(dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
