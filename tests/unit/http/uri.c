/* Tests of request targets, hosts, percent-coding and query strings. */
#include "http/h1_parse.h"
#include "http/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static char *copy_of(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    return copy;
}

/* The parts of a target as "scheme|authority|path|query", with "-" for NULL. */
static void describe(const struct uri_target *parts, char *out, size_t size)
{
    snprintf(out, size, "%.*s|%.*s|%.*s|%.*s", parts->scheme ? (int)parts->scheme_len : 1,
             parts->scheme ? parts->scheme : "-", parts->authority ? (int)parts->authority_len : 1,
             parts->authority ? parts->authority : "-", (int)parts->path_len, parts->path,
             parts->query ? (int)parts->query_len : 1, parts->query ? parts->query : "-");
}

static void good_targets(void **state)
{
    static const struct {
        const char *method, *target, *parts;
    } rows[] = {
        { "GET", "/", "-|-|/|-" },
        { "GET", "/a/b?c=d&e", "-|-|/a/b|c=d&e" },
        { "GET", "/?", "-|-|/|" },
        { "GET", "/a?b?c", "-|-|/a|b?c" },
        { "GET", "//a.example/b", "-|-|//a.example/b|-" }, /* a path, 9112 3.2.1 */
        { "GET", "/%41%2f%2E%2e", "-|-|/%41%2f%2E%2e|-" },
        { "GET", "/caf%c3%a9?%ff", "-|-|/caf%c3%a9|%ff" },
        { "GET", "/a[]?a|b\"<>^`{}\\[]", "-|-|/a[]|a|b\"<>^`{}\\[]" },
        { "GET", "/?%", "-|-|/|%" }, /* browsers send it as it was typed */
        { "GET", "/?q=100%&r=%zz%4", "-|-|/|q=100%&r=%zz%4" },
        { "GET", "/?%u0041", "-|-|/|%u0041" },
        { "GET", "http://a?50%", "http|a|/|50%" },
        { "GET", "/a|b\"<>^`{}\\", "-|-|/a|b\"<>^`{}\\|-" },
        { "GET", "/?a=%0d%0a", "-|-|/|a=%0d%0a" },
        { "GET", "/a:b@c", "-|-|/a:b@c|-" },
        { "OPTIONS", "*", "-|-|*|-" },
        { "OPTIONS", "/", "-|-|/|-" },
        { "GET", "http://a.example/b?c", "http|a.example|/b|c" },
        { "GET", "HTTPS://a:8443/", "HTTPS|a:8443|/|-" },
        { "GET", "http://a", "http|a|/|-" },
        { "GET", "http://a?b", "http|a|/|b" },
        { "GET", "http://[::1]:80/x", "http|[::1]:80|/x|-" },
        { "GET", "x+y-z.1://a/b", "x+y-z.1|a|/b|-" },
        { "CONNECT", "a.example:443", "-|a.example:443||-" },
        { "CONNECT", "[::1]:65535", "-|[::1]:65535||-" },
        { "connect", "/", "-|-|/|-" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct uri_target parts;
        char text[256];
        size_t len = strlen(rows[i].target);
        char *method = copy_of(rows[i].method, strlen(rows[i].method));
        char *target = copy_of(rows[i].target, len);
        if (uri_parse_target(method, strlen(rows[i].method), target, len, &parts) != 0)
            fail_msg("%s %s is refused", rows[i].method, rows[i].target);
        describe(&parts, text, sizeof text);
        assert_string_equal(text, rows[i].parts);
        free(method);
        free(target);
    }
}

static void bad_targets(void **state)
{
    static const struct {
        const char *method, *target;
    } rows[] = {
        { "GET", "" },
        { "GET", "*" }, /* 9112 3.2.4: only OPTIONS */
        { "OPTIONS", "**" },
        { "OPTIONS", "*?a" },
        { "GET", "a" },
        { "GET", "a/b" },
        { "GET", "?a" },
        { "GET", "a.example:80" }, /* 9112 3.2.3: only CONNECT */
        { "GET", "mailto:a@b" },
        { "GET", "http:" },
        { "GET", "http:/a" },
        { "GET", "http://" },
        { "GET", "http:///a" }, /* 9110 4.2.1: an empty host is invalid */
        { "GET", "http://:80/a" },
        { "GET", "http://u@a/" }, /* 9110 4.2.4 */
        { "GET", "http://u:p@a/" },
        { "GET", "http://a b/" },
        { "GET", "http://a\\b/" },
        { "GET", "http://a:x/" },
        { "GET", "http://a#b" },
        { "GET", "http://a,b/" },
        { "GET", "http://[::1/" },
        { "GET", "1http://a/" },
        { "GET", "://a/" },
        { "GET", "/a#b" },
        { "GET", "/?a#b" },
        { "GET", "/a b" },
        { "GET", "/a\tb" },
        { "GET", "/a\x7f" },
        { "GET", "/%" },
        { "GET", "/%4" },
        { "GET", "/%zz" },
        { "GET", "/%4g" },
        { "GET", "/caf\xc3\xa9" },
        { "GET", "/\x80" },
        { "GET", "/?\xff" },
        { "GET", "http://caf\xc3\xa9/" },
        { "GET", "/%?%" },
        { "GET", "/%00" },
        { "GET", "/a%0d" },
        { "GET", "/a%0Ab" },
        { "GET", "/?a%00" },
        { "CONNECT", "/" },
        { "CONNECT", "*" },
        { "CONNECT", "" },
        { "CONNECT", "a" },
        { "CONNECT", "a:" }, /* 9110 9.3.6 */
        { "CONNECT", "a:0" },
        { "CONNECT", "a:65536" },
        { "CONNECT", "a:99999999999999999999" },
        { "CONNECT", "a:8x" },
        { "CONNECT", ":80" },
        { "CONNECT", "u@a:80" },
        { "CONNECT", "http://a:80" },
        { "CONNECT", "a:80/" },
    };
    struct uri_target parts;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t len = strlen(rows[i].target);
        char *target = copy_of(rows[i].target, len);
        if (uri_parse_target(rows[i].method, strlen(rows[i].method), target, len, &parts) != -400)
            fail_msg("%s %s is taken", rows[i].method, rows[i].target);
        free(target);
    }
    assert_int_equal(uri_parse_target("GET", 3, "/a\0b", 4, &parts), -400);
    assert_int_equal(uri_parse_target("GET", 3, "/?\n", 3, &parts), -400);
}

/* Whoever wants text has to look at what is encoded, and only where there is something. */
static void high_octets(void **state)
{
    static const struct {
        const char *target;
        bool high;
    } rows[] = {
        { "/", false },    { "/%20%7f?%41", false }, { "/%80", true },     { "/%c3%a9", true },
        { "/?%ff", true }, { "/?a=b%C3", true },     { "/a?%&%8", false }, { "*", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct uri_target parts;
        size_t len = strlen(rows[i].target);
        assert_int_equal(uri_parse_target("OPTIONS", 7, rows[i].target, len, &parts), 0);
        if (parts.high != rows[i].high)
            fail_msg("%s", rows[i].target);
    }
}

static void hosts(void **state)
{
    static const struct {
        const char *host;
        bool valid;
    } rows[] = {
        { "", true }, /* 9110 7.2 */
        { "a", true },
        { "a.example", true },
        { "a.example.", true },
        { "a.example:80", true },
        { "a:", true }, /* port = *DIGIT, 3986 3.2.3 */
        { "a:0", true },
        { "a:65535", true },
        { "a:00080", true },
        { "a_b-c~d!$&'()*+;=", true },
        { "a%41b", true },
        { "127.0.0.1:8080", true },
        { "999.1", true }, /* a registered name */
        { "[::1]", true },
        { "[::]", true },
        { "[::]:80", true },
        { "[1:2:3:4:5:6:7:8]", true },
        { "[1:2:3:4:5:6:7::]", true },
        { "[::2:3:4:5:6:7:8]", true },
        { "[1::8]", true },
        { "[ABCD:ef01::]", true },
        { "[::ffff:1.2.3.4]", true },
        { "[1:2:3:4:5:6:1.2.3.4]", true },
        { "[::1.2.3.4]", true },
        { "[v1.a:b]", true },
        { "[vF0.~]", true },
        { ":80", false },
        { "a:65536", false },
        { "a:x", false },
        { "a:+80", false },
        { "a:80:80", false },
        { "a:80 ", false },
        { "a b", false },
        { " a", false },
        { "a,b", false },
        { "a@b", false },
        { "a/b", false },
        { "a?b", false },
        { "a#b", false },
        { "a\\b", false },
        { "a\"b", false },
        { "a<b>", false },
        { "a|b", false },
        { "a\tb", false },
        { "a\x7f", false },
        { "caf\xc3\xa9", false },
        { "http://a", false },
        { "a%", false },
        { "a%4", false },
        { "a%zz", false },
        { "a%00", false },
        { "a%0a", false },
        { "a%20", false },
        { "a%7f", false },
        { "::1", false },
        { "[", false },
        { "[]", false },
        { "]", false },
        { "[::1", false },
        { "::1]", false },
        { "[::1]x", false },
        { "[::1]80", false },
        { "[::1]]", false },
        { "[[::1]]", false },
        { "a[::1]", false },
        { "[:]", false },
        { "[:::]", false },
        { "[1]", false },
        { "[1:]", false },
        { "[:1]", false },
        { "[1::2::3]", false },
        { "[1:2:3:4:5:6:7]", false },
        { "[1:2:3:4:5:6:7:8:9]", false },
        { "[1:2:3:4:5:6:7:8::]", false },
        { "[::1:2:3:4:5:6:7:8]", false },
        { "[12345::]", false },
        { "[g::]", false },
        { "[::1%25eth0]", false },
        { "[::1%eth0]", false },
        { "[1.2.3.4]", false },
        { "[::1.2.3]", false },
        { "[::1.2.3.256]", false },
        { "[::1.2.3.04]", false },
        { "[::1.2.3.4.5]", false },
        { "[::1.2.3.4:5]", false },
        { "[1:2:3:4:5:6:7:1.2.3.4]", false },
        { "[::1111.2.3.4]", false },
        { "[v.a]", false },
        { "[v1]", false },
        { "[v1.]", false },
        { "[v1.a/]", false },
        { "[v1.a,b]", false },
        { "[vg.a]", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t len = strlen(rows[i].host);
        char *host = copy_of(rows[i].host, len);
        if (uri_is_host(host, len) != rows[i].valid)
            fail_msg("%s should be %svalid", rows[i].host, rows[i].valid ? "" : "in");
        free(host);
    }
    assert_false(uri_is_host("a\0", 2));
}

static void decoding(void **state)
{
    static const struct {
        const char *in, *out;
        bool plus;
    } rows[] = {
        { "", "", false },
        { "abc", "abc", false },
        { "%41%7a%7A", "Azz", false },
        { "a+b", "a+b", false },
        { "a+b%2B", "a b+", true },
        { "%", "%", false },
        { "%4", "%4", false },
        { "%zz%4g%g4", "%zz%4g%g4", false },
        { "%%41", "%A", false },
        { "%2541", "%41", false }, /* once only */
        { "%c3%A9", "\xc3\xa9", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t len = strlen(rows[i].in), expected = strlen(rows[i].out);
        char *in = copy_of(rows[i].in, len), *out = malloc(len ? len : 1);
        assert_int_equal(uri_decode(out, in, len, rows[i].plus), expected);
        assert_memory_equal(out, rows[i].out, expected);
        assert_int_equal(uri_decode(in, in, len, rows[i].plus), expected); /* in place */
        assert_memory_equal(in, rows[i].out, expected);
        free(in);
        free(out);
    }
    char nul[] = "%00";
    assert_int_equal(uri_decode(nul, nul, 3, false), 1);
    assert_int_equal(nul[0], 0);
}

static void encoding(void **state)
{
    static const struct {
        const char *in, *segment, *path, *query;
    } rows[] = {
        { "", "", "", "" },
        { "azAZ09-._~", "azAZ09-._~", "azAZ09-._~", "azAZ09-._~" },
        { "!$&'()*+,;=", "!$&'()*+,;=", "!$&'()*+,;=", "%21%24%26%27%28%29%2A%2B%2C%3B%3D" },
        { ":@", ":@", ":@", "%3A%40" },
        { "/", "%2F", "/", "%2F" },
        { "?#[]%", "%3F%23%5B%5D%25", "%3F%23%5B%5D%25", "%3F%23%5B%5D%25" },
        { " \"\\\xc3\xa9", "%20%22%5C%C3%A9", "%20%22%5C%C3%A9", "%20%22%5C%C3%A9" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *expected[] = { rows[i].segment, rows[i].path, rows[i].query };
        static const enum uri_part parts[] = { URI_SEGMENT, URI_PATH, URI_QUERY };
        for (size_t k = 0; k < 3; k++) {
            char out[128];
            size_t len = uri_encode(out, rows[i].in, strlen(rows[i].in), parts[k]);
            assert_int_equal(len, strlen(expected[k]));
            assert_memory_equal(out, expected[k], len);
        }
    }
}

/* Any octets come back. */
static void there_and_back(void **state)
{
    char octets[256], encoded[768];
    (void)state;
    for (int i = 0; i < 256; i++)
        octets[i] = (char)i;
    for (int part = URI_SEGMENT; part <= URI_QUERY; part++) {
        size_t len = uri_encode(encoded, octets, sizeof octets, (enum uri_part)part);
        assert_int_equal(uri_decode(encoded, encoded, len, part == URI_QUERY), 256);
        assert_memory_equal(encoded, octets, 256);
    }
}

static void pairs(void **state)
{
    static const struct {
        const char *query, *pairs;
    } rows[] = {
        { "", "" },
        { "a=b", "(a)(b)" },
        { "a=b&c=d", "(a)(b)(c)(d)" },
        { "a", "(a)()" },
        { "a=", "(a)()" },
        { "=b", "()(b)" },
        { "=", "()()" },
        { "&&a&&b&", "(a)()(b)()" },
        { "&", "" },
        { "a=b=c", "(a)(b=c)" },
        { "a;b=c", "(a;b)(c)" }, /* only '&' separates */
        { "a%26=%3d", "(a%26)(%3d)" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t len = strlen(rows[i].query);
        char *query = copy_of(rows[i].query, len), text[128] = "";
        const char *rest = query;
        struct uri_pair pair;
        while (uri_next_pair(&rest, &len, &pair)) {
            size_t n = strlen(text);
            snprintf(text + n, sizeof text - n, "(%.*s)(%.*s)", (int)pair.name_len, pair.name,
                     (int)pair.value_len, pair.value);
        }
        assert_string_equal(text, rows[i].pairs);
        assert_int_equal(len, 0);
        free(query);
    }
}

/* A path of which the parser knows that it stands for itself is what it is taken apart to. */
static void plain_paths(void **state)
{
    static const char *const methods[] = { "GET", "OPTIONS", "CONNECT" };
    static const char *const targets[] = { "/%c", "%c", "/a/%cb", "*%c", "http://h/%c", "a:1%c" };
    static const struct h1_limits limits = { 100, 200, 4 };
    (void)state;
    for (size_t i = 0; i < COUNT(methods) * COUNT(targets) * 256; i++) {
        char text[100], target[20];
        const char *method = methods[i / 256 / COUNT(targets)];
        size_t target_len =
            (size_t)sprintf(target, targets[i / 256 % COUNT(targets)], (int)(i % 256));
        size_t len = (size_t)sprintf(text, "%s ", method);
        memcpy(text + len, target, target_len);
        len += target_len + (size_t)sprintf(text + len + target_len, " HTTP/1.0\r\n\r\n");
        struct message_field fields[4];
        struct h1_head head;
        struct uri_target parts;
        h1_head_init(&head, false, fields);
        if (h1_parse(&head, text, len, &limits) <= 0 ||
            !uri_is_plain_path(head.message.method_len, text + head.message.target,
                               head.odd_target))
            continue;
        assert_int_equal(uri_parse_target(method, strlen(method), target, target_len, &parts), 0);
        assert_ptr_equal(parts.path, target);
        assert_int_equal(parts.path_len, target_len);
        assert_null(parts.query);
        assert_null(parts.scheme);
        assert_null(parts.authority);
        assert_false(parts.high);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_targets),   cmocka_unit_test(bad_targets),
        cmocka_unit_test(high_octets),    cmocka_unit_test(hosts),
        cmocka_unit_test(decoding),       cmocka_unit_test(encoding),
        cmocka_unit_test(there_and_back), cmocka_unit_test(pairs),
        cmocka_unit_test(plain_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
