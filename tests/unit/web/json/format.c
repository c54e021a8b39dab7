/* Tests of JSON that is written straight from a format. */
#include "../../locales.h"
#include "../web_check.h"

#include <math.h>

static int which;

static tepal_res *make(tepal_req *req)
{
    json_t *value = NULL;
    tepal_res *res = NULL;
    char longer[3000];
    memset(longer, '"', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    switch (which) {
    case 0:
        return tepal_jsonf(req, 201, "{s:s, s:i, s:I}", "a", "b", "c", -5, "d",
                           (json_int_t)INT64_MIN);
    case 1:
        return tepal_jsonf(req, 200, " [ i , I\n,\t[ ],{ } ] ", 2147483647, (json_int_t)INT64_MAX);
    case 2:
        return tepal_jsonf(req, 200, "[b,b,n,s?,s?]", 1, 0, "x", NULL);
    case 3:
        return tepal_jsonf(req, 200, "[s#,s%]", "a\0c", 2, "abc", (size_t)1);
    case 4:
        return tepal_jsonf(req, 200, "[f,f,f,f,f]", 1.5, 0.0, -1e300, 1e22, 5e-324);
    case 5:
        return tepal_jsonf(req, 200, "s",
                           "\" \\ / \n \r \t \b \f \x01 \x1f \x7f \xc3\xa9 \xf0\x9f\x98\x80");
    case 6:
        value = json_pack("[i]", 1);
        res = tepal_jsonf(req, 200, "[o,O,S]", json_string("o"), value, "{\"raw\":1}");
        json_decref(value);
        return res;
    case 7:
        return tepal_jsonf(req, 200, "{s:{s:[{s:[[]]}]}}", "a", "b", "c");
    case 8:
        return tepal_jsonf(req, 200, "[s,s]", longer, longer);
    case 9:
        return tepal_jsonf(req, 200, "i", 7);
    case 10:
        return tepal_jsonf(req, 200, "{s#:i, s:i}", "keys", 1, 1, "l\n", 2);
    case 11:
        return tepal_jsonf(req, 200, "{si,si}", "a", 1, "b", 2);
    }
    return NULL;
}

static void formats(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "{\"a\":\"b\",\"c\":-5,\"d\":-9223372036854775808}",
        "[2147483647,9223372036854775807,[],{}]",
        "[true,false,null,\"x\",null]",
        "[\"a\\u0000\",\"a\"]",
        "[1.5,0.0,-1e300,1e22,5e-324]",
        "\"\\\" \\\\ / \\n \\r \\t \\b \\f \\u0001 \\u001f \x7f \xc3\xa9 \xf0\x9f\x98\x80\"",
        "[\"o\",[1],{\"raw\":1}]",
        "{\"a\":{\"b\":[{\"c\":[[]]}]}}",
        NULL,
        "7",
        "{\"k\":1,\"l\\n\":2}",
        "{\"a\":1,\"b\":2}",
    };
    tepal_get(app, "/", make);
    start(NULL);
    for (which = 0; which < (int)(sizeof(expected) / sizeof(*expected)); which++) {
        tepal_test_reply *reply = get("/");
        assert_reply(reply, which == 0 ? 201 : 200, expected[which]);
        assert_field(reply, "Content-Type", "application/json");
        if (which != 3) /* jansson takes no NUL */
            assert_non_null(tepal_test_json(reply));
        if (which == 8)
            assert_int_equal(reply->body.len, 2 * (2 * 2999 + 2) + 3);
    }
}

/* --- Numbers ---------------------------------------------------------------------------------- */

static double real;
static bool as_value; /* by way of a json_t */

static tepal_res *make_real(tepal_req *req)
{
    return as_value ? tepal_json(req, 200, json_real(real)) : tepal_jsonf(req, 200, "f", real);
}

static const struct {
    double value;
    const char *text;
} reals[] = {
    { 19.99, "19.99" },
    { 0.1, "0.1" },
    { 0.1 + 0.2, "0.30000000000000004" },
    { 1.0 / 3, "0.3333333333333333" },
    { 0, "0.0" },
    { -0.0, "-0.0" },
    { 1, "1.0" },
    { -1, "-1.0" },
    { 100, "100.0" },
    { 1e5, "100000.0" },
    { 1e14, "100000000000000.0" },
    { 999999999999999, "999999999999999.0" },
    { 1e15, "1e15" },
    { 1e22, "1e22" },
    { 1e23, "1e23" },
    { -1e300, "-1e300" },
    { 9007199254740991, "9007199254740991.0" },
    { 9007199254740992, "9007199254740992.0" },
    { 0.0001, "0.0001" },
    { 0.00001, "1e-5" },
    { 1.5e-7, "1.5e-7" },
    { 123456.789, "123456.789" },
    { 0.000001234, "1.234e-6" },
    { 1234567.123456, "1234567.123456" },
    { -0.015625, "-0.015625" },
    { 2.5e-10, "2.5e-10" },
    { 1.7976931348623157e308, "1.7976931348623157e308" },
    { 2.2250738585072014e-308, "2.2250738585072014e-308" },
    { 2.225073858507201e-308, "2.225073858507201e-308" },
    { 5e-324, "5e-324" },
    { 1e-323, "1e-323" },
    { 4.35, "4.35" },
    { 0x1p-1017, "7.120236347223045e-307" }, /* below a power of two reals are closer */
    { 0x1p-44, "5.684341886080802e-14" },
    { 2675.0 / 1000, "2.675" },
};

static void shortest_reals(void **state)
{
    (void)state;
    tepal_get(app, "/", make_real);
    start(NULL);
    for (int i = 0; i < 2; i++) {
        as_value = i == 1;
        for (size_t k = 0; k < sizeof(reals) / sizeof(*reals); k++) {
            real = reals[k].value;
            tepal_test_reply *reply = get("/");
            assert_reply(reply, 200, reals[k].text);
            json_t *back = tepal_test_json(reply);
            assert_true(json_is_real(back)); /* and not an integer */
            real = json_real_value(back);
            assert_memory_equal(&real, &reals[k].value, sizeof(real));
        }
    }
}

/* How many digits a text has before its exponent, without zeros at both ends. */
static size_t digits_of(const char *text)
{
    char digits[40];
    size_t n = 0;
    for (; *text && *text != 'e'; text++)
        if (*text >= '0' && *text <= '9' && (n > 0 || *text != '0'))
            digits[n++] = *text;
    while (n > 0 && digits[n - 1] == '0')
        n--;
    return n;
}

/* Any real comes back, in as few digits as printf() can do it with. */
static void any_real(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u, word;
    tepal_get(app, "/", make_real);
    start(NULL);
    as_value = false;
    for (int i = 0; i < (RUNNING_ON_VALGRIND ? 100 : 3000); i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        word = i % 8 == 7 ? seed >> (seed & 63) : seed; /* small ones, too */
        memcpy(&real, &word, sizeof(real));
        if (i % 2 == 1)
            real = (double)(int64_t)(seed % 2000001) / 1000 - 1000;
        if (!isfinite(real))
            continue;
        const char *text = get("/")->body.data;
        if (strtod(text, NULL) != real)
            fail_msg("%.17g is written as %s", real, text);
        char other[40];
        int precision = 1;
        do
            snprintf(other, sizeof(other), "%.*g", precision, real);
        while (precision++ < 17 && strtod(other, NULL) != real);
        if (digits_of(text) > digits_of(other))
            fail_msg("%s is written as %s", other, text);
        if (i % 500 == 499) { /* replies live as long as the client */
            tepal_test_close(client);
            client = NULL;
            start(NULL);
        }
    }
}

static tepal_res *formatted(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    tepal_res_set_headerf(res, "Server-Timing", "app;dur=%.1f", 1.5);
    tepal_res_set_header(res, "X-TITLE", "a");
    tepal_res_set_headerf(res, "x-title", "%g", 0.5);
    tepal_writef(res, "%.2f %s %s", 2.25, tepal_req_printf(req, "%.3f", 0.125),
                 tepal_req_header(req, "x-title"));
    return res;
}

/* The decimal point is a point, and a field name has the letters of ASCII, whatever the locale
 * says. */
static void locales(void **state)
{
    (void)state;
    tepal_get(app, "/", make_real);
    tepal_get(app, "/formatted", formatted);
    start(NULL);
    for (int i = 0; i < 2; i++) {
        if (i == 1 && !locale_begin())
            break;
        for (size_t k = 0; k < sizeof(reals) / sizeof(*reals); k++) {
            real = reals[k].value;
            as_value = k % 2;
            assert_reply(get("/"), 200, reals[k].text);
        }
        tepal_test_reply *reply = ask("GET", "/formatted", "X-TITLE: i", NULL);
        assert_reply(reply, 200, "2.25 0.125 i");
        assert_field(reply, "Server-Timing", "app;dur=1.5");
        assert_null(strstr(reply->raw.data, "X-TITLE"));
        assert_field(reply, "x-title", "0.5");
    }
    locale_end();
}

/* --- Values ----------------------------------------------------------------------------------- */

static json_t *deep_value(size_t depth)
{
    json_t *value = json_array();
    for (size_t i = 1; i < depth; i++) {
        json_t *outer = i % 2 ? json_object() : json_array();
        if (i % 2)
            json_object_set_new(outer, "k", value);
        else
            json_array_append_new(outer, value);
        value = outer;
    }
    return value;
}

static json_t *value_of(int n)
{
    json_t *value;
    switch (n) {
    case 0:
        return json_pack("{s:[i,f,b,b,n],s:{},s:[],s:s}", "a", -1, 0.1, 1, 0, "o", "e", "t\"x",
                         "\x01\xc3\xa9");
    case 1:
        return json_stringn("a\0b", 3);
    case 2:
        return json_string_nocheck("\xff");
    case 3:
        value = json_object();
        json_object_set_new(value, "z", json_integer(1));
        json_object_set_new(value, "a", json_integer(2));
        json_object_set_new(value, "m", deep_value(3));
        return value;
    case 4:
        return deep_value(2048);
    case 5:
        return deep_value(2049);
    case 6:
        return json_false();
    default:
        return json_integer(INT64_MIN);
    }
}

static tepal_res *make_value(tepal_req *req)
{
    return tepal_json(req, 200, value_of(which));
}

static void values(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "{\"a\":[-1,0.1,true,false,null],\"o\":{},\"e\":[],\"t\\\"x\":\"\\u0001\xc3\xa9\"}",
        "\"a\\u0000b\"",
        NULL, /* not UTF-8 */
        "{\"z\":1,\"a\":2,\"m\":[{\"k\":[]}]}",
        "",   /* as deep as may be */
        NULL, /* deeper */
        "false",
        "-9223372036854775808",
    };
    tepal_get(app, "/", make_value);
    start(NULL);
    for (which = 0; which < (int)(sizeof(expected) / sizeof(*expected)); which++) {
        tepal_test_reply *reply = get("/");
        if (!expected[which])
            assert_reply(reply, 500, NULL);
        else if (*expected[which])
            assert_reply(reply, 200, expected[which]);
        else
            assert_int_equal(reply->status, 200);
    }
}

static tepal_res *make_long(tepal_req *req)
{
    size_t len = 3000000;
    char *text = octets(len);
    memset(text, which == 0 ? 'x' : 0xc3, len);
    for (size_t i = 1; which == 1 && i < len; i += 2)
        text[i] = (char)0xa9;
    tepal_res *res = tepal_jsonf(req, 200, "[s%]", text, len);
    free(text);
    return res;
}

/* A string takes the memory that it is, not that which it could become. */
static void long_strings(void **state)
{
    (void)state;
    tepal_get(app, "/", make_long);
    start(&(tepal_run_options){ .limits.max_request_memory = 8 * 1024 * 1024 });
    for (which = 0; which < 2; which++) {
        tepal_test_reply *reply = get("/");
        assert_int_equal(reply->status, 200);
        assert_int_equal(reply->body.len, 3000004);
    }
}

/* --- What cannot be written ------------------------------------------------------------------- */

enum { LAST_BAD = 13 };

static int recorded;
static json_t *held;

static tepal_res *make_bad(tepal_req *req)
{
    tepal_res *res = NULL;
    switch (which) {
    case 0:
        res = tepal_jsonf(req, 200, "[s]", "\xff");
        break;
    case 1:
        res = tepal_jsonf(req, 200, "[s#]", "\xc3\xa9", 1);
        break;
    case 2:
        res = tepal_jsonf(req, 200, "[s]", (char *)NULL);
        break;
    case 3:
        res = tepal_jsonf(req, 200, "{s:f}", "a", (double)NAN);
        break;
    case 4:
        res = tepal_jsonf(req, 200, "{s:f}", "a", -(double)INFINITY);
        break;
    case 5:
        res = tepal_jsonf(req, 200, "[o,o]", (json_t *)NULL, json_incref(held));
        break;
    case 6:
        res = tepal_jsonf(req, 200, "[s,o]", "\xc3", json_incref(held));
        break;
    case 7:
        res = tepal_jsonf(req, 99, "[o]", json_incref(held));
        break;
    case 8:
        res = tepal_jsonf(req, 200, "[s#]", "abc", -1);
        break;
    case 9:
        res = tepal_jsonf(req, 200, "{s:s%}", "a", "abc", (size_t)-1);
        break;
    case 10:
        res = tepal_jsonf(req, 200, "{s?:i}", (char *)NULL, 1);
        break;
    case 11:
        res = tepal_jsonf(req, 200, "[S]", (char *)NULL);
        break;
    case 12:
        res = tepal_jsonf(req, 200, "{s:s}", "a", (char *)(uintptr_t)42);
        break;
    case 13:
        res = tepal_jsonf(req, 200, "[O]", (json_t *)NULL);
        break;
    case LAST_BAD + 1:
        while (tepal_req_alloc(req, 16))
            continue;
        res = tepal_jsonf(req, 200, "[o]", json_incref(held));
        break;
    }
    recorded = tepal_req_error(req);
    return res;
}

/* The fault is the server's own, the log says where and what, and what it was given is not lost. */
static void failures(void **state)
{
    (void)state;
    static const char *const said[LAST_BAD + 1] = {
        "a string is not UTF-8, at 2 of the format \"[s]\"",
        "a string is not UTF-8",
        "a string is NULL",
        "a real is not finite, at 4 of the format \"{s:f}\"",
        "a real is not finite",
        "a json_t is NULL",
        "a string is not UTF-8, at 2 of the format \"[s,o]\"",
        "",
        "the length of a string is -1, at 3 of the format \"[s#]\"",
        "the length of a string is -1",
        "GET /?x: tepal_jsonf: bad format: a key must be a string, at 3",
        "a string is NULL",
        "a string is 42, which is no address, at 4 of the format \"{s:s}\"",
        "a json_t is NULL",
    };
    held = json_string("held");
    tepal_get(app, "/", make_bad);
    start(&(tepal_run_options){ .limits.max_request_memory = 64 * 1024 });
    for (which = 0; which <= LAST_BAD; which++) {
        log_forget();
        assert_reply(get("/?x"), 500, "500 Internal Server Error\n");
        assert_true(recorded < 0);
        assert_int_equal(held->refcount, 1);
        if (!strstr(logged(), said[which]))
            fail_msg("%d: %s", which, logged());
    }
    assert_reply(get("/"), 413, NULL);
    assert_int_equal(held->refcount, 1);
    json_decref(held);
}

static const char *format;

static tepal_res *make_format(tepal_req *req)
{
    return tepal_jsonf(req, 200, format, "a", "b", "c", "d");
}

/* It is the program's fault, but its clients should not have to pay for it with all they have
 * under way: so the log has what there is to say, and the process goes on. */
static void bad_formats(void **state)
{
    (void)state;
    static const char *const bad[] = { "",      "[",      "]",  "{s}", "{s:}", "{]",    "[}",
                                       "{i:s}", "{[]:s}", "ss", "[x]", "[s]s", "{s:s]", "[s}" };
    char deep[200], said[300];
    tepal_get(app, "/a/{b}", make_format);
    start(NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        format = bad[i];
        log_forget();
        assert_reply(get("/a/x"), 500, "500 Internal Server Error\n");
        snprintf(said, sizeof(said), "of the format \"%s\"", format);
        if (!strstr(logged(), "GET /a/x: tepal_jsonf: bad format: ") || !strstr(logged(), said))
            fail_msg("%s: %s", format, logged());
    }
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    deep[130] = '\0';
    format = deep;
    log_forget();
    assert_reply(get("/a/x"), 500, NULL);
    assert_non_null(strstr(logged(), "nested over 64 deep, at 65"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(formats), WEB_TEST(shortest_reals), WEB_TEST(any_real), WEB_TEST(locales),
        WEB_TEST(values),  WEB_TEST(long_strings),   WEB_TEST(failures), WEB_TEST(bad_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
