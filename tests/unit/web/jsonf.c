/* Tests of JSON that is written straight from a format. */
#include "web_check.h"

#include <locale.h>
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
        "[1.5,0.0,-1.0000000000000001e+300,1e+22,4.9406564584124654e-324]",
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
        tepal_testreply *reply = get("/");
        assert_reply(reply, which == 0 ? 201 : 200, expected[which]);
        assert_field(reply, "Content-Type", "application/json");
        if (which != 3) /* jansson takes no NUL */
            assert_non_null(tepal_testreply_json(reply));
        if (which == 8)
            assert_int_equal(reply->body.len, 2 * (2 * 2999 + 2) + 3);
    }
}

/* The decimal point is a point, whatever the locale says. */
static void locales(void **state)
{
    (void)state;
    static const char *const names[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8" };
    tepal_get(app, "/", make);
    start(NULL);
    which = 4;
    for (size_t i = 0; i < 3; i++)
        if (setlocale(LC_NUMERIC, names[i]))
            assert_reply(get("/"), 200,
                         "[1.5,0.0,-1.0000000000000001e+300,1e+22,4.9406564584124654e-324]");
    setlocale(LC_NUMERIC, "C");
}

/* --- What cannot be written ------------------------------------------------------------------- */

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
        while (tepal_req_alloc(req, 16))
            continue;
        res = tepal_jsonf(req, 200, "[o]", json_incref(held));
        break;
    }
    recorded = tepal_req_error(req);
    return res;
}

/* The fault is the server's own, and what it was given is not lost. */
static void failures(void **state)
{
    (void)state;
    held = json_string("held");
    tepal_get(app, "/", make_bad);
    start(&(tepal_run_options){ .max_request_memory = 64 * 1024 });
    for (which = 0; which <= 7; which++) {
        assert_reply(get("/"), 500, "500 Internal Server Error\n");
        assert_true(recorded < 0);
        assert_int_equal(held->refcount, 1);
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

static void ask_root(void *arg)
{
    (void)arg;
    get("/");
}

static void bad_formats(void **state)
{
    (void)state;
    static const char *const bad[] = { "",      "[",      "]",  "{s}", "{s:}", "{]",    "[}",
                                       "{i:s}", "{[]:s}", "ss", "[x]", "[s]s", "{s:s]", "[s}" };
    char deep[200];
    tepal_get(app, "/", make_format);
    start(NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        format = bad[i];
        assert_misuse(ask_root, NULL, "tepal_jsonf: bad format");
    }
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    deep[130] = '\0';
    format = deep;
    assert_misuse(ask_root, NULL, "tepal_jsonf: bad format");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(formats),
        WEB_TEST(locales),
        WEB_TEST(failures),
        WEB_TEST(bad_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
