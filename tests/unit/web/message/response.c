/* Tests of making responses: the constructors, fields, statuses. */
#include "../web_check.h"

#include <time.h>

#define HEAD_OF(type, length) \
    "HTTP/1.1 200 OK\r\nContent-Type: " type "\r\nContent-Length: " length "\r\n"

/* --- The constructors ------------------------------------------------------------------------- */

static tepal_res *make(tepal_req *req)
{
    const char *kind = tepal_req_match(req, "kind");
    if (strcmp(kind, "text") == 0)
        return tepal_textf(req, 200, "%s %d", "a", 1);
    if (strcmp(kind, "plain") == 0)
        return tepal_text(req, 200, "plain");
    if (strcmp(kind, "empty") == 0)
        return tepal_text(req, 200, "");
    if (strcmp(kind, "html") == 0)
        return tepal_htmlf(req, 200, "<p>%d%%", 5);
    if (strcmp(kind, "data") == 0)
        return tepal_data(req, 200, NULL, "a\0b", 3);
    if (strcmp(kind, "typed") == 0)
        return tepal_data(req, 200, "image/x", "x", 1);
    if (strcmp(kind, "json") == 0)
        return tepal_json(req, 200, json_pack("{s:[i,b]}", "a", 1, 1));
    if (strcmp(kind, "string") == 0)
        return tepal_json(req, 200, json_string("\xc3\xa9/"));
    if (strcmp(kind, "nothing") == 0)
        return tepal_json(req, 200, NULL);
    if (strcmp(kind, "none") == 0)
        return tepal_empty(req, 204);
    return tepal_stream(req, 200, NULL);
}

static void constructors(void **state)
{
    (void)state;
    tepal_get(app, "/{kind}", make);
    start(NULL);
    assert_string_equal(wire(get("/text")), HEAD_OF("text/plain; charset=utf-8", "3") "\r\na 1");
    assert_string_equal(wire(get("/plain")), HEAD_OF("text/plain; charset=utf-8", "5") "\r\nplain");
    assert_string_equal(wire(get("/empty")), HEAD_OF("text/plain; charset=utf-8", "0") "\r\n");
    assert_string_equal(wire(get("/html")), HEAD_OF("text/html; charset=utf-8", "5") "\r\n<p>5%");
    tepal_test_reply *reply = get("/data");
    assert_string_equal(wire(reply), HEAD_OF("application/octet-stream", "3") "\r\na");
    assert_memory_equal(reply->body.data, "a\0b", 4);
    assert_string_equal(wire(get("/typed")), HEAD_OF("image/x", "1") "\r\nx");
    assert_string_equal(wire(get("/json")),
                        HEAD_OF("application/json", "14") "\r\n{\"a\":[1,true]}");
    assert_string_equal(wire(get("/string")), HEAD_OF("application/json", "5") "\r\n\"\xc3\xa9/\"");
    assert_reply(get("/nothing"), 500, NULL);
    assert_string_equal(wire(get("/none")), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_string_equal(wire(get("/stream")),
                        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

static void date_and_server(void **state)
{
    (void)state;
    char expected[256], day[64];
    tepal_get(app, "/", ok);
    start(NULL);
    tepal_test_reply *reply = get("/");
    time_t now = time(NULL);
    strftime(day, sizeof(day), "%a, %d %b %Y", gmtime(&now));
    assert_memory_equal(tepal_test_header(reply, "Date"), day, strlen(day));
    int n = sprintf(expected, "HTTP/1.1 200 OK\r\nDate: %s\r\nServer: tepal\r\nContent-Type: ",
                    tepal_test_header(reply, "Date"));
    assert_memory_equal(reply->raw.data, expected, (size_t)n);
    again();
    tepal_get(app, "/", ok);
    start(&(tepal_run_options){ .server = "" });
    assert_field(get("/"), "Server", NULL);
    assert_non_null(tepal_test_header(get("/"), "Date"));
    again();
    tepal_get(app, "/", ok);
    start(&(tepal_run_options){ .server = "mine/1.0" });
    assert_field(get("/"), "Server", "mine/1.0");
}

/* --- Fields ----------------------------------------------------------------------------------- */

static int results[16];
static const char *texts[4];

static tepal_res *set_fields(tepal_req *req)
{
    tepal_res *res = tepal_text(req, 200, "x");
    int *rc = results;
    *rc++ = tepal_res_set_headerf(res, "X-A", "%d", 1);
    *rc++ = tepal_res_add_header(res, "x-a", "2");
    *rc++ = tepal_res_set_header(res, "X-B", "b\tb");
    *rc++ = tepal_res_set_header(res, "X-a", "3");
    *rc++ = tepal_res_add_header(res, "X-A", "4");
    *rc++ = tepal_res_set_header(res, "X-C", "");
    *rc++ = tepal_res_set_header(res, "content-type", "text/x");
    *rc++ = tepal_res_set_header(res, "X-D", "\xc3\xa9");
    texts[0] = strcmp(tepal_res_header(res, "x-A"), "3") == 0 ? "3" : "?";
    texts[1] = strcmp(tepal_res_header(res, "Content-Type"), "text/x") == 0 ? "type" : "?";
    texts[2] = tepal_res_header(res, "X-None");
    texts[3] = tepal_res_header(NULL, "X-A");
    return res;
}

static void fields(void **state)
{
    (void)state;
    tepal_get(app, "/", set_fields);
    start(NULL);
    assert_string_equal(
        wire(get("/")),
        HEAD_OF("text/x", "1") "X-B: b\tb\r\nX-a: 3\r\nX-A: 4\r\nX-C: \r\nX-D: \xc3\xa9\r\n\r\nx");
    for (int i = 0; i < 8; i++)
        assert_int_equal(results[i], 0);
    assert_string_equal(texts[0], "3");
    assert_string_equal(texts[1], "type");
    assert_null(texts[2]);
    assert_null(texts[3]);
}

static const char *bad_name, *bad_value;
static bool in_stream;

static tepal_res *set_bad(tepal_req *req)
{
    tepal_res *res = in_stream ? tepal_stream(req, 200, NULL) : ok(req);
    tepal_res_set_header(res, "X-Good", "good");
    results[0] = tepal_res_set_header(res, bad_name, bad_value);
    results[1] = in_stream ? tepal_write(res, "x", 1) : results[0];
    return res;
}

static void fields_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
    } rows[] = {
        { "X", "a\r\nSet-Cookie: b" },
        { "X", "a\nb" },
        { "X", "a\rb" },
        { "X", "\x01" },
        { "X", "\x7f" },
        { "", "a" },
        { "X Y", "a" },
        { "X:", "a" },
        { "X\r\nY", "a" },
        { "X\xc3\xa9", "a" },
        { "Content-Type", "a\r\nb: c" },
        { "Set-Cookie", "a=b\r\nb: c" },
    };
    tepal_get(app, "/", set_bad);
    start(NULL);
    for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(*rows); i++) {
        in_stream = i % 2 == 1;
        bad_name = rows[i / 2].name;
        bad_value = rows[i / 2].value;
        tepal_test_reply *reply = get("/");
        assert_string_equal(
            wire(reply),
            "HTTP/1.1 500 Internal Server Error\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 26\r\nVary: Accept\r\n\r\n"
            "500 Internal Server Error\n");
        assert_int_equal(results[0], TEPAL_EFIELD);
        assert_int_equal(results[1], TEPAL_EFIELD);
    }
    assert_non_null(strstr(logged(), "GET /: "));
}

static tepal_res *set_framing(tepal_req *req)
{
    static const char *const names[] = { "Content-Length", "transfer-encoding", "Connection",
                                         "Keep-Alive", "UPGRADE" };
    tepal_res *res = ok(req);
    for (int i = 0; i < 5; i++)
        results[i] = i % 2 ? tepal_res_set_header(res, names[i], "1")
                           : tepal_res_add_header(res, names[i], "1");
    return res;
}

static void framing_is_the_server_s(void **state)
{
    (void)state;
    tepal_get(app, "/", set_framing);
    start(NULL);
    assert_string_equal(wire(get("/")), HEAD_OF("text/plain; charset=utf-8", "2") "\r\nok");
    for (int i = 0; i < 5; i++)
        assert_int_equal(results[i], -EINVAL);
}

static tepal_res *own_date(tepal_req *req)
{
    tepal_res *res = ok(req);
    tepal_res_set_header(res, "Date", "today");
    if (*tepal_req_query_string(req))
        tepal_res_set_header(res, "Server", "other");
    return res;
}

static void own_date_and_server(void **state)
{
    (void)state;
    tepal_get(app, "/", own_date);
    start(NULL);
    assert_string_equal(
        get("/?x")->raw.data,
        HEAD_OF("text/plain; charset=utf-8", "2") "Date: today\r\nServer: other\r\n\r\nok");
    assert_string_equal(get("/")->raw.data,
                        "HTTP/1.1 200 OK\r\nServer: tepal\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n"
                        "Date: today\r\n\r\nok");
}

static tepal_res *many_fields(tepal_req *req)
{
    tepal_res *res = tepal_text(req, 200, "body");
    for (int i = 0; i < 500; i++)
        tepal_res_add_headerf(res, "X-Field", "%0100d", i);
    return res;
}

static void huge_heads(void **state)
{
    (void)state;
    tepal_get(app, "/", many_fields);
    tepal_get(app, "/ok", ok);
    start(NULL);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    /* More fields than the client takes: they are counted in the octets. */
    static char text[64 * 1024];
    tepal_test_reply *reply = hear("GET");
    assert_true(reply->raw.len > 500 * 100);
    assert_true(reply->raw.len < sizeof(text));
    memcpy(text, reply->raw.data, reply->raw.len + 1);
    int n = 0;
    for (const char *p = text; (p = strstr(p, "X-Field: 0000")); p++)
        n++;
    assert_int_equal(n, 500);
    const char *end = strstr(text, "\r\n\r\n");
    assert_non_null(end);
    assert_memory_equal(end, "\r\n\r\nbodyHTTP/1.1 200 OK\r\n", 25);
}

/* --- The status ------------------------------------------------------------------------------- */

static tepal_res *set_status(tepal_req *req)
{
    tepal_res *res = ok(req);
    results[0] = tepal_res_set_status(res, (int)tepal_req_match_int(req, "status"),
                                      tepal_req_query(req, "reason"));
    results[1] = tepal_res_status(res);
    return res;
}

static void statuses(void **state)
{
    (void)state;
    tepal_any(app, "/{status:int}", set_status);
    start(NULL);
    assert_memory_equal(get("/418")->raw.data, "HTTP/1.1 418 \r\n", 15);
    assert_int_equal(results[1], 418);
    assert_memory_equal(get("/999?reason=So%20so")->raw.data, "HTTP/1.1 999 So so\r\n", 20);
    assert_memory_equal(get("/200?reason=Fine")->raw.data, "HTTP/1.1 200 Fine\r\n", 19);
    assert_memory_equal(get("/404")->raw.data, "HTTP/1.1 404 Not Found\r\n", 24);
    static const char *const bad[] = {
        "/99", "/100", "/199", "/1000", "/-1", "/0", "/404?reason=%09%01"
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_memory_equal(get(bad[i])->raw.data, "HTTP/1.1 200 OK\r\n", 17);
        assert_int_equal(results[0], -EINVAL);
    }
    assert_int_equal(tepal_res_status(NULL), -EINVAL);
    assert_int_equal(tepal_res_set_status(NULL, 200, NULL), -EINVAL);
    assert_int_equal(tepal_res_set_header(NULL, "A", "b"), -EINVAL);
    assert_int_equal(tepal_res_set_cookie(NULL, "A", "b", NULL), -EINVAL);
    assert_int_equal(tepal_res_remove_cookie(NULL, "A", NULL), -EINVAL);
    assert_int_equal(tepal_res_set_length(NULL, 1), -EINVAL);
    assert_int_equal(tepal_write(NULL, "a", 1), -EINVAL);
    assert_int_equal(tepal_writef(NULL, "a"), -EINVAL);
    assert_int_equal(tepal_res_set_close(NULL), -EINVAL);
    assert_int_equal(tepal_res_remove_header(NULL, "A"), -EINVAL);
    assert_int_equal(tepal_res_add_to_list(NULL, "A", "b"), -EINVAL);
    assert_int_equal(tepal_res_add_headers(NULL, (tepal_pair[]){ { "A", "b" }, { 0 } }), -EINVAL);
    assert_false(tepal_res_each_header(NULL, &(size_t){ 0 }, NULL));
    assert_false(tepal_res_is_sent(NULL));
}

static tepal_res *with_status(tepal_req *req)
{
    return tepal_text(req, (int)tepal_req_match_int(req, "status"), "x");
}

static void bad_statuses(void **state)
{
    (void)state;
    tepal_get(app, "/{status:int}", with_status);
    start(NULL);
    assert_reply(get("/100"), 500, NULL);
    assert_reply(get("/0"), 500, NULL);
    assert_reply(get("/1000"), 500, NULL);
    assert_reply(get("/200"), 200, "x");
}

/* --- Redirects -------------------------------------------------------------------------------- */

static const char *location;

static tepal_res *redirect(tepal_req *req)
{
    return tepal_redirect(req, (int)tepal_req_match_int(req, "status"), location);
}

static void redirects(void **state)
{
    (void)state;
    tepal_get(app, "/{status:int}", redirect);
    start(NULL);
    location = "/there";
    assert_string_equal(wire(get("/302")), "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
                                           "Location: /there\r\n\r\n");
    static const char *const good[] = { "/301", "/303", "/307", "/308" };
    static const char *const bad[] = { "/200", "/300", "/304", "/305", "/306", "/309", "/404" };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_int_equal(get(good[i])->status, strtol(good[i] + 1, NULL, 10));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_reply(get(bad[i]), 500, NULL);
    static const struct {
        const char *location, *sent;
    } rows[] = {
        { "https://a.b:1/c?d=e&f#g", "https://a.b:1/c?d=e&f#g" },
        { "/a b", "/a%20b" },
        { "/caf\xc3\xa9", "/caf%C3%A9" },
        { "/%41%zz", "/%41%zz" },
        { "/a\r\nSet-Cookie: b=c", "/a%0D%0ASet-Cookie:%20b=c" },
        { "/\"<>\\^`{|}\x7f", "/%22%3C%3E%5C%5E%60%7B%7C%7D%7F" },
        { "/[::1]~", "/[::1]~" },
        { "", "" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        location = rows[i].location;
        assert_field(get("/302"), "Location", rows[i].sent);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(constructors),
        WEB_TEST(date_and_server),
        WEB_TEST(fields),
        WEB_TEST(fields_that_are_refused),
        WEB_TEST(framing_is_the_server_s),
        WEB_TEST(own_date_and_server),
        WEB_TEST(huge_heads),
        WEB_TEST(statuses),
        WEB_TEST(bad_statuses),
        WEB_TEST(redirects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
