/* Tests of what is answered where no route has been found, and of heads that were refused: what is
 * known of them, and what becomes of the connection. */
#include "../web_check.h"

static const tepal_route table[] = {
    { .method = "GET", .pattern = "/item/{id}", .handler = ok },
    { .method = "DELETE", .pattern = "/item/{id}", .handler = ok },
    { .method = "OPTIONS", .pattern = "/own", .handler = ok },
    { .method = "*", .pattern = "/any", .handler = ok },
    { 0 },
};

/* Who may use what, without a handler for it. */
static void options(void **state)
{
    (void)state;
    tepal_routes(app, table);
    start(NULL);
    tepal_test_reply *reply = ask("OPTIONS", "/item/7", NULL, NULL);
    assert_reply(reply, 204, "");
    assert_field(reply, "Allow", "DELETE, GET, HEAD, OPTIONS");
    assert_field(reply, "Content-Length", NULL);
    assert_false(reply->closed);
    assert_reply(ask("OPTIONS", "/own", NULL, NULL), 200, "ok");
    assert_reply(ask("OPTIONS", "/any", NULL, NULL), 200, "ok");
    assert_reply(ask("OPTIONS", "/none", NULL, NULL), 404, NULL);
    reply = ask("OPTIONS", "*", NULL, NULL);
    assert_reply(reply, 204, "");
    assert_false(reply->closed);
    reply = ask("POST", "/item/7", NULL, "");
    assert_reply(reply, 405, NULL);
    assert_field(reply, "Allow", "DELETE, GET, HEAD, OPTIONS");
}

static tepal_res *cors(tepal_req *req, tepal_next *next)
{
    tepal_res *res = tepal_next_call(next, req);
    tepal_res_set_header(res, "Access-Control-Allow-Origin", "*");
    return res;
}

/* So that a middleware can answer the preflights of browsers. */
static void options_and_middlewares(void **state)
{
    (void)state;
    tepal_use(app, cors, NULL);
    tepal_routes(app, table);
    start(NULL);
    tepal_test_reply *reply = ask("OPTIONS", "/item/7", NULL, NULL);
    assert_reply(reply, 204, "");
    assert_field(reply, "Access-Control-Allow-Origin", "*");
}

static tepal_res *nobody(tepal_req *req, tepal_next *next)
{
    (void)next;
    return tepal_error(req, 401, NULL);
}

/* What follows are octets of a tunnel that is not there, whoever has refused it. */
static void connect_is_refused(void **state)
{
    (void)state;
    tepal_any(app, "/{p:path}", ok);
    start(NULL);
    tepal_test_reply *reply = talk("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"
                                   "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_reply(reply, 501, "501 Not Implemented\n");
    assert_field(reply, "Connection", "close");
    assert_gone();
    again();
    tepal_use(app, nobody, NULL);
    start(NULL);
    reply = talk("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_reply(reply, 401, NULL);
    assert_field(reply, "Connection", "close");
    assert_gone();
    again();
    start(NULL);
    assert_reply(talk("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, NULL);
}

/* RFC 9110 section 7.4. */
static void foreign_schemes(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    start(NULL);
    assert_reply(talk("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 200, "ok");
    assert_reply(talk("GET HTTP://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 200, "ok");
    assert_reply(talk("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 421, NULL);
    assert_gone();
    assert_reply(talk("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 421, NULL);
    tepal_test_disconnect(client);
    assert_reply(talk("GET httpx://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 421, NULL);
}

static tepal_res *in_json(tepal_req *req)
{
    return tepal_jsonf(req, 200, "[s?,s?,s]", tepal_req_match(req, "name"),
                       tepal_req_query(req, "q"), tepal_req_path(req));
}

/* Whatever a handler does with a path or a query, what is no text is the client's fault. */
static void text_only(void **state)
{
    static const char *const bad[] = {
        "/n/%ff",        "/n/%c3",       "/n/%c3x",          "/n/%c3%41",       "/n/%e2%82",
        "/n/%e2%82/%ac", "/n/%c0%80",    "/n/%ed%a0%80",     "/n/%f4%90%80%80", "/n/%80",
        "/n/a?q=%ff",    "/n/a?%c3=%a9", "/n/a?q=%c3&r=%a9", "/n/a?q=%e2%82%",  "/n/a?other=%fe",
        "/n/\xc3\xa9",   "/n/a?q=\xff",
    };
    static const struct {
        const char *target, *json;
    } good[] = {
        { "/n/caf%c3%a9", "[\"caf\xc3\xa9\",null,\"/n/caf\xc3\xa9\"]" },
        { "/n/%F0%9F%98%80?q=%e2%82%ac%", "[\"\xf0\x9f\x98\x80\",\"\xe2\x82\xac%\",\"/n/"
                                          "\xf0\x9f\x98\x80\"]" },
        { "/n/a?q=100%", "[\"a\",\"100%\",\"/n/a\"]" },
        { "/n/a?q=%zz", "[\"a\",\"%zz\",\"/n/a\"]" },
        { "/n/a|b^c{d}`?q=|^{}`[]", "[\"a|b^c{d}`\",\"|^{}`[]\",\"/n/a|b^c{d}`\"]" },
    };
    (void)state;
    tepal_get(app, "/n/{name}", in_json);
    start(NULL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        tepal_test_reply *reply = get(bad[i]);
        if (reply->status != 400)
            fail_msg("%s: %d", bad[i], reply->status);
        tepal_test_disconnect(client);
    }
    assert_string_equal(logged(), "");
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_reply(get(good[i].target), 200, good[i].json);
}

/* --- Heads that were refused ------------------------------------------------------------------ */

static char seen[300];

static tepal_res *describe(tepal_req *req, tepal_next *next)
{
    tepal_res *res = tepal_next_call(next, req);
    const char *host = tepal_req_header(req, "Host"), *agent = tepal_req_header(req, "User-Agent");
    const char *length = tepal_req_header(req, "Content-Length");
    tepal_pair pair;
    size_t at = 0, n = 0;
    while (tepal_req_each_header(req, &at, &pair))
        n++;
    snprintf(seen, sizeof(seen), "%s %s HTTP/%d %s %s %s %zu %lld", tepal_req_method(req),
             tepal_req_target(req), tepal_req_version(req), host ? host : "-", agent ? agent : "-",
             length ? length : "-", n, (long long)tepal_req_content_length(req));
    return res;
}

/* What had come before the fault can be told, whole or cut anywhere. */
static void what_is_known(void **state)
{
    static const struct {
        const char *head, *seen;
        int status;
    } rows[] = {
        { "\x01", "UNKNOWN / HTTP/10 - - - 0 0", 400 },
        { "GET\x01", "UNKNOWN / HTTP/10 - - - 0 0", 400 },
        { "PUT \r\n", "PUT / HTTP/10 - - - 0 0", 400 },
        { "PUT /x \r\n", "PUT /x HTTP/10 - - - 0 0", 400 },
        { "PUT /x HTTP/2.0\r\n", "PUT /x HTTP/10 - - - 0 0", 505 },
        { "PUT /x HTTP/1.1\r\nBad Name: x\r\n", "PUT /x HTTP/11 - - - 0 0", 400 },
        { "PUT /x HTTP/1.1\r\nHost: a\r\nUser-Agent: curl\r\nBad Name: x\r\n",
          "PUT /x HTTP/11 a curl - 2 0", 400 },
        { "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
          "PUT /x HTTP/11 a - 5 2 0", 400 },
        { "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n", "PUT /x HTTP/11 a - - 1 0", 400 },
        { "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: a\r\nTransfer-Encoding: chunked\r\n\r\n",
          "PUT /x HTTP/11 a - - 3 0", 501 },
        { "PUT /x HTTP/1.1\r\nHost: a b\r\n", "PUT /x HTTP/11 - - - 0 0", 400 },
        { "PUT /x HTTP/1.1\r\nUser-Agent: curl\r\n\r\n", "PUT /x HTTP/11 - curl - 1 0", 400 },
        { "PUT /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n",
          "PUT / HTTP/10 - - - 0 0", 414 },
        { "PUTPUTPUTPUTPUTPUTPUTPUTPUTPUTPUTPUTPUTPUTPUTPUT / HTTP/1.1\r\n",
          "UNKNOWN / HTTP/10 - - - 0 0", 501 },
        { "PUT /x HTTP/1.1\r\nHost: a\r\nX: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
          "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n",
          "PUT /x HTTP/11 a - - 1 0", 431 },
    };
    (void)state;
    tepal_use(app, describe, NULL);
    start(&(tepal_run_options){ .limits.max_request_line = 40, .limits.max_head = 120 });
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        size_t len = strlen(rows[i].head);
        for (size_t cut = 0; cut < len; cut++) {
            say_octets(rows[i].head, cut);
            tepal_test_advance(client, 1);
            say_octets(rows[i].head + cut, len - cut);
            tepal_test_reply *reply = hear("PUT");
            if (reply->status != rows[i].status || strcmp(seen, rows[i].seen) != 0)
                fail_msg("%s: %d %s", rows[i].head, reply->status, seen);
            assert_field(reply, "Connection", "close");
            tepal_test_disconnect(client);
        }
    }
}

/* A response to HEAD never has a body, nor has one to a HEAD that was refused. */
static void refused_head_requests(void **state)
{
    static const struct {
        const char *head;
        int status;
    } rows[] = {
        { "HEAD /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n\r\n", 414 },
        { "HEAD /x HTTP/1.1\r\nHost: a\r\nX: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n",
          431 },
        { "HEAD /x HTTP/1.1\r\nBad Name: x\r\n\r\n", 400 },
        { "HEAD /x HTTP/1.1\r\n\r\n", 400 },
        { "HEAD /%ff HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
        { "HEAD /x HTTP/3.1\r\n\r\n", 505 },
        { "HEAD ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 421 },
        { "HEAD /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: a, chunked\r\n\r\n", 501 },
    };
    (void)state;
    start(&(tepal_run_options){ .limits.max_request_line = 40, .limits.max_head = 80 });
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        say(rows[i].head);
        tepal_test_reply *reply = hear("HEAD");
        assert_int_equal(reply->status, rows[i].status);
        assert_memory_equal(reply->raw.data + reply->raw.len - 4, "\r\n\r\n", 4);
        assert_gone();
        tepal_test_disconnect(client);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        WEB_TEST(options),
        WEB_TEST(options_and_middlewares),
        WEB_TEST(connect_is_refused),
        WEB_TEST(foreign_schemes),
        WEB_TEST(text_only),
        WEB_TEST(what_is_known),
        WEB_TEST(refused_head_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
