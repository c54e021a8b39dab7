/* Tests of middlewares: what stands around what, and what they are given. */
#include "../web_check.h"

static tepal_res *trace(tepal_req *req, tepal_next *next, const char *name)
{
    tepal_res *res = tepal_next_call(next, req);
    const char *before = tepal_res_header(res, "X-Trace");
    tepal_res_set_headerf(res, "X-Trace", "%s%s", before ? before : "", name);
    return res;
}

static tepal_res *first(tepal_req *req, tepal_next *next)
{
    return trace(req, next, "1");
}

static tepal_res *second(tepal_req *req, tepal_next *next)
{
    return trace(req, next, "2");
}

static tepal_res *third(tepal_req *req, tepal_next *next)
{
    return trace(req, next, "3");
}

static tepal_res *nothing(tepal_req *req)
{
    (void)req;
    return NULL;
}

static tepal_res *text_body(tepal_req *req)
{
    const char *text = tepal_req_text(req);
    return text ? tepal_text(req, 200, text) : NULL;
}

static void order(void **state)
{
    (void)state;
    tepal_use(app, first, NULL);
    tepal_use(app, second, NULL);
    tepal_get(app, "/", ok);
    tepal_use(app, third, NULL);
    start(NULL);
    tepal_test_reply *reply = get("/");
    assert_reply(reply, 200, "ok");
    assert_field(reply, "X-Trace", "321");
}

static void around_errors(void **state)
{
    (void)state;
    tepal_use(app, first, NULL);
    tepal_get(app, "/", ok);
    tepal_get(app, "/nothing", nothing);
    tepal_post(app, "/text", text_body);
    start(NULL);
    static const struct {
        const char *request;
        int status;
    } rows[] = {
        { "GET /none HTTP/1.1\r\nHost: a\r\n\r\n", 404 },
        { "PUT / HTTP/1.1\r\nHost: a\r\n\r\n", 405 },
        { "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 500 },
        { "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n\xff", 400 },
        { "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n", 413 },
        { "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: a\r\nBad Field: x\r\n\r\n", 400 },
        { "GET / HTTP/2.0\r\n\r\n", 505 },
        { "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501 },
        { "\x16\x03\x01", 400 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        tepal_test_reply *reply = talk(rows[i].request);
        assert_reply(reply, rows[i].status, NULL);
        assert_field(reply, "X-Trace", "1");
        tepal_test_disconnect(client);
    }
}

static char seen[256];

static tepal_res *describe(tepal_req *req, tepal_next *next)
{
    tepal_res *res = tepal_next_call(next, req);
    const char *pattern = tepal_req_pattern(req);
    snprintf(seen, sizeof(seen), "%s %s %s %s HTTP/%d %d", tepal_req_method(req),
             tepal_req_target(req), tepal_req_path(req), pattern ? pattern : "-",
             tepal_req_version(req), tepal_res_status(res));
    return res;
}

static void what_they_see(void **state)
{
    (void)state;
    tepal_use(app, describe, NULL);
    tepal_get(app, "/a/{b}", ok);
    start(NULL);
    get("/a/b%20c?d");
    assert_string_equal(seen, "GET /a/b%20c?d /a/b c /a/{b} HTTP/11 200");
    get("/none");
    assert_string_equal(seen, "GET /none /none - HTTP/11 404");
    talk("GET / HTTP/1.1\r\nBad Field: x\r\n\r\n");
    assert_string_equal(seen, "GET / / - HTTP/11 400");
    talk("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(seen, "GET /%00 / - HTTP/11 400");
}

static tepal_res *barrier(tepal_req *req, tepal_next *next)
{
    return tepal_req_header(req, "X-Pass") ? tepal_next_call(next, req)
                                           : tepal_error(req, 401, "who are you");
}

static int calls;

static tepal_res *counted(tepal_req *req)
{
    calls++;
    return tepal_text(req, 200, "in");
}

static void short_circuit(void **state)
{
    (void)state;
    calls = 0;
    tepal_use(app, first, NULL);
    tepal_use(app, barrier, NULL);
    tepal_use(app, second, NULL);
    tepal_get(app, "/", counted);
    start(NULL);
    tepal_test_reply *reply = get("/");
    assert_reply(reply, 401, "401 Unauthorized: who are you\n");
    assert_field(reply, "X-Trace", "1");
    assert_int_equal(calls, 0);
    reply = ask("GET", "/", "X-Pass: 1", NULL);
    assert_reply(reply, 200, "in");
    assert_field(reply, "X-Trace", "21");
    assert_int_equal(calls, 1);
}

static tepal_res *swallow(tepal_req *req, tepal_next *next)
{
    tepal_next_call(next, req);
    return NULL;
}

static tepal_res *replace(tepal_req *req, tepal_next *next)
{
    return tepal_textf(req, 202, "was %d", tepal_res_status(tepal_next_call(next, req)));
}

static tepal_res *twice(tepal_req *req, tepal_next *next)
{
    tepal_next_call(next, req);
    return tepal_next_call(next, req);
}

/* What an inner one does not return is made up for before the outer one sees it. */
static void null_responses(void **state)
{
    (void)state;
    tepal_use(app, replace, NULL);
    tepal_use(app, swallow, NULL);
    tepal_get(app, "/", ok);
    start(NULL);
    assert_reply(get("/"), 202, "was 500");
    assert_non_null(strstr(logged(), "GET /: the handler returned no response"));
    again();
    tepal_use(app, swallow, NULL);
    tepal_get(app, "/", ok);
    tepal_post(app, "/", text_body);
    start(NULL);
    assert_reply(get("/"), 500, NULL);
    tepal_test_reply *reply = ask("POST", "/", NULL, "\xff");
    assert_reply(reply, 400, NULL); /* the cause was recorded inside */
}

static void called_again(void **state)
{
    (void)state;
    calls = 0;
    tepal_use(app, twice, NULL);
    tepal_use(app, first, NULL);
    tepal_get(app, "/", counted);
    start(NULL);
    tepal_test_reply *reply = get("/");
    assert_reply(reply, 200, "in");
    assert_field(reply, "X-Trace", "1");
    assert_int_equal(calls, 2);
}

static tepal_res *bad_field(tepal_req *req)
{
    tepal_res *res = ok(req);
    tepal_res_set_header(res, "X", "a\r\nb");
    return res;
}

static tepal_res *bad_field_outside(tepal_req *req, tepal_next *next)
{
    tepal_res *res = tepal_next_call(next, req);
    tepal_res_set_headerf(res, "X-Status", "%d", tepal_res_status(res));
    if (tepal_req_header(req, "X-Break"))
        tepal_res_set_header(res, "Y", "\n");
    return res;
}

static void responses_that_must_not_be_sent(void **state)
{
    (void)state;
    tepal_use(app, bad_field_outside, NULL);
    tepal_get(app, "/", ok);
    tepal_get(app, "/bad", bad_field);
    start(NULL);
    assert_field(get("/"), "X-Status", "200");
    tepal_test_reply *reply = get("/bad");
    assert_reply(reply, 500, "500 Internal Server Error\n");
    assert_field(reply, "X-Status", "500");
    assert_reply(ask("GET", "/", "X-Break: 1", NULL), 500, "500 Internal Server Error\n");
}

static tepal_res *sleepy(tepal_req *req, tepal_next *next)
{
    return tepal_sleep_ms(60 * 1000) == 0 ? tepal_next_call(next, req) : NULL;
}

static void they_may_suspend(void **state)
{
    (void)state;
    tepal_use(app, sleepy, NULL);
    tepal_get(app, "/", ok);
    start(NULL);
    assert_reply(get("/"), 200, "ok");
    assert_reply(get("/none"), 404, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(order),
        WEB_TEST(around_errors),
        WEB_TEST(what_they_see),
        WEB_TEST(short_circuit),
        WEB_TEST(null_responses),
        WEB_TEST(called_again),
        WEB_TEST(responses_that_must_not_be_sent),
        WEB_TEST(they_may_suspend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
