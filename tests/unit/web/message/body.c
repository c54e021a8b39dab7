/* Tests of reading the body: whole, as text, as JSON, piece by piece, and not at all. */
#include "../web_check.h"

#include "async/loop/loop.h"

static const char head[] = "POST /%s HTTP/1.1\r\nHost: a\r\n";

/* A request with a body that has a length, or is chunked in pieces of three octets. */
static char *request(const char *path, const char *body, bool chunked)
{
    static char text[4096];
    char *p = text + sprintf(text, head, path);
    size_t len = strlen(body);
    if (!chunked) {
        sprintf(p, "Content-Length: %zu\r\n\r\n%s", len, body);
        return text;
    }
    p += sprintf(p, "Transfer-Encoding: chunked\r\n\r\n");
    for (; len > 0; len -= len < 3 ? len : 3, body += 3)
        p += sprintf(p, "%zX;ext=\"v\"\r\n%.3s\r\n", len < 3 ? len : 3, body);
    sprintf(p, "0\r\nX-Trailer: t\r\n\r\n");
    return text;
}

static tepal_res *echo(tepal_req *req)
{
    const tepal_bytes *body = tepal_req_body(req);
    if (!body)
        return NULL;
    return body->data[body->len] == '\0' ? tepal_data(req, 200, "text/plain", body->data, body->len)
                                         : tepal_error(req, 500, NULL);
}

static tepal_res *echo_text(tepal_req *req)
{
    const char *text = tepal_req_text(req);
    return text ? tepal_text(req, 200, text) : NULL;
}

static tepal_res *echo_json(tepal_req *req)
{
    json_t *json = tepal_req_json(req);
    return json && json == tepal_req_json(req) ? tepal_json(req, 200, json_incref(json)) : NULL;
}

/* Collects the pieces; "|" between those that came apart would depend on the split. */
static tepal_res *echo_pieces(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    tepal_bytes piece;
    int rc;
    while ((rc = tepal_req_read(req, &piece)) > 0) {
        if (piece.len == 0)
            return tepal_error(req, 500, "an empty piece");
        if ((rc = tepal_write(res, piece.data, piece.len)) < 0)
            break;
    }
    if (tepal_req_read(req, &piece) != rc || (rc == 0 && piece.len != 0))
        return tepal_error(req, 500, "not the same again");
    return rc < 0 ? NULL : res;
}

static void register_echoes(void)
{
    tepal_post(app, "/body", echo);
    tepal_post(app, "/text", echo_text);
    tepal_post(app, "/json", echo_json);
    tepal_post(app, "/pieces", echo_pieces);
    tepal_post(app, "/none", ok);
}

/* All split points of a request, and one octet at a time. */
static void each_split_of(const char *text, const char *body)
{
    int status = 200;
    size_t len = strlen(text);
    for (size_t at = 0; at < len; at++) {
        say_octets(text, at);
        say_octets(text + at, len - at);
        assert_reply(hear("POST"), status, body);
    }
    for (size_t i = 0; i < len; i++)
        say_octets(text + i, 1);
    assert_reply(hear("POST"), status, body);
}

/* And then a second request on the connection. */
static void each_split(const char *text, int status, const char *body)
{
    each_split_of(text, body);
    say(text);
    say("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_reply(hear("POST"), status, body);
    assert_reply(hear("GET"), 200, "ok");
}

static void split_everywhere(void **state)
{
    (void)state;
    register_echoes();
    tepal_get(app, "/ok", ok);
    start(NULL);
    static const struct {
        const char *path, *body, *echo;
    } rows[] = {
        { "body", "hello world", "hello world" },
        { "text", "h\xc3\xa9llo", "h\xc3\xa9llo" },
        { "json", "{\"a\": [1, 2]}", "{\"a\":[1,2]}" },
        { "pieces", "0123456789", "0123456789" },
        { "none", "unread", "ok" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        each_split(request(rows[i].path, rows[i].body, false), 200, rows[i].echo);
        each_split(request(rows[i].path, rows[i].body, true), 200, rows[i].echo);
    }
}

static void empty_bodies(void **state)
{
    (void)state;
    register_echoes();
    start(NULL);
    assert_reply(talk("POST /body HTTP/1.1\r\nHost: a\r\n\r\n"), 200, "");
    assert_reply(talk(request("body", "", false)), 200, "");
    assert_reply(talk(request("body", "", true)), 200, "");
    assert_reply(talk(request("text", "", false)), 200, "");
    assert_reply(talk(request("pieces", "", true)), 200, "");
    assert_reply(talk(request("json", "", false)), 400, NULL);
}

static void large_bodies(void **state)
{
    (void)state;
    enum { LEN = 900 * 1000 };
    char *body = octets(LEN), text[256];
    register_echoes();
    start(NULL);
    for (int i = 0; i < 2; i++) {
        int n = sprintf(text, head, i ? "pieces" : "body");
        n += sprintf(text + n, "Content-Length: %d\r\n\r\n", LEN);
        say_octets(text, (size_t)n);
        say_octets(body, LEN);
        tepal_test_reply *reply = hear("POST");
        assert_int_equal(reply->body.len, LEN);
        assert_memory_equal(reply->body.data, body, LEN);
        n = sprintf(text, head, i ? "pieces" : "body");
        n += sprintf(text + n, "Transfer-Encoding: chunked\r\n\r\n%x\r\n", LEN);
        say_octets(text, (size_t)n);
        say_octets(body, LEN);
        say("\r\n0\r\n\r\n");
        reply = hear("POST");
        assert_int_equal(reply->body.len, LEN);
        assert_memory_equal(reply->body.data, body, LEN);
    }
    free(body);
}

static void limits(void **state)
{
    (void)state;
    register_echoes();
    const tepal_route small[] = { { "POST", "/small", echo, .max_body = 5 },
                                  { "POST", "/big", echo, .max_body = TEPAL_UNLIMITED },
                                  { 0 } };
    tepal_routes(app, small);
    start(&(tepal_run_options){ .limits.max_body = 10 });
    for (int chunked = 0; chunked < 2; chunked++) {
        assert_reply(talk(request("body", "123456789", chunked)), 200, "123456789");
        assert_reply(talk(request("body", "1234567890", chunked)), 200, "1234567890");
        assert_reply(talk(request("body", "12345678901", chunked)), 413,
                     "413 Content Too Large: body too large\n");
        tepal_test_disconnect(client);
        assert_reply(talk(request("json", "[1,2,3,4,5,6]", chunked)), 413, NULL);
        tepal_test_disconnect(client);
        assert_reply(talk(request("small", "12345", chunked)), 200, "12345");
        assert_reply(talk(request("small", "123456", chunked)), 413, NULL);
        tepal_test_disconnect(client);
        assert_reply(talk(request("big", "12345678901", chunked)), 200, "12345678901");
        /* The pieces are the handler's own business. */
        assert_reply(talk(request("pieces", "12345678901", chunked)), 200, "12345678901");
    }
    /* Refused by what is announced, before it has been sent. */
    say("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    assert_reply(hear("POST"), 413, NULL);
}

static void request_memory(void **state)
{
    (void)state;
    register_echoes();
    start(&(tepal_run_options){ .limits.max_request_memory = 64 * 1024,
                                .limits.max_body = TEPAL_UNLIMITED });
    char *body = octets(100000), text[256];
    for (int chunked = 0; chunked < 2; chunked++) {
        int n = sprintf(text, head, "body");
        n += sprintf(text + n, chunked ? "Transfer-Encoding: chunked\r\n\r\n186a0\r\n"
                                       : "Content-Length: 100000\r\n\r\n");
        say_octets(text, (size_t)n);
        tepal_test_write(client, body, 100000);
        assert_reply(hear("POST"), 413, NULL);
        tepal_test_disconnect(client);
    }
    free(body);
}

static void texts(void **state)
{
    (void)state;
    register_echoes();
    start(NULL);
    assert_reply(talk(request("text", "\xe2\x82\xac", true)), 200, "\xe2\x82\xac");
    static const char *const bad[] = { "\xff", "\xc3", "a\xc0\xaf", "\xed\xa0\x80",
                                       "\xf4\x90\x80\x80" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_reply(talk(request("text", bad[i], i % 2)), 400, NULL);
        assert_reply(talk(request("body", bad[i], i % 2)), 200, bad[i]);
    }
    static const char nul[] = "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na\0b";
    say_octets(nul, sizeof(nul) - 1);
    assert_reply(hear("POST"), 400, NULL);
    /* The connection is as good as before: the body has been read. */
    assert_reply(talk(request("text", "a", false)), 200, "a");
}

static void json_bodies(void **state)
{
    (void)state;
    char text[3000];
    register_echoes();
    start(&(tepal_run_options){ .limits.max_json_depth = 20 });
    static const char *const good[] = {
        "1", "\"a\"", "null", "[]", "{}", "[\"[[[{{{\\\"[[\"]", "{\"a\":{\"b\":[true,false,1.5]}}"
    };
    static const char *const bad[] = {
        "",
        "{",
        "{\"a\":1,}",
        "{\"a\":1}x",
        "[1] [2]",
        "{\"a\":1,\"a\":2}",
        "{a:1}",
        "'a'",
        "\"\\u0000\"",
        "\"\xff\"",
        "NaN",
        "01",
        "1e999",
        "9223372036854775808",
        "\"\\ud800\"",
        "[1,2",
        "\xef\xbb[]",
        "\xef\xbb\xbf",
        "[]\xef\xbb\xbf",
        "\xef\xbb\xbf\xef\xbb\xbf[]",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_reply(talk(request("json", good[i], i % 2)), 200, good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        tepal_test_reply *reply = talk(request("json", bad[i], i % 2));
        if (reply->status != 400)
            print_error("%s\n", bad[i]);
        assert_reply(reply, 400, NULL);
    }
    for (int depth = 19; depth <= 21; depth++) {
        for (int i = 0; i < depth; i++) {
            text[i] = '[';
            text[2 * depth - 1 - i] = ']';
        }
        text[2 * depth] = '\0';
        assert_reply(talk(request("json", text, true)), depth <= 20 ? 200 : 400, NULL);
    }
    assert_reply(talk(request("json", "\xef\xbb\xbf{\"a\":1}", true)), 200, "{\"a\":1}");
    /* Any content type, and a nested text that is a string. */
    assert_reply(ask("POST", "/json", "Content-Type: text/plain", "{}"), 200, "{}");
    again();
    register_echoes();
    start(NULL);
    memset(text, '[', 1400);
    text[1400] = '\0';
    assert_reply(talk(request("json", text, false)), 400, NULL);
}

/* --- In the middle ---------------------------------------------------------------------------- */

static int last_error;

static tepal_res *remember(tepal_req *req)
{
    last_error = 1;
    const tepal_bytes *body = tepal_req_body(req);
    last_error = tepal_req_error(req);
    return body ? ok(req) : NULL;
}

static void client_goes(void **state)
{
    (void)state;
    tepal_post(app, "/x", remember);
    start(NULL);
    for (int chunked = 0; chunked < 2; chunked++) {
        const char *text = request("x", "hello", chunked);
        say_octets(text, strlen(text) - 4);
        tepal_test_shutdown(client); /* it still listens */
        tepal_test_reply *reply = hear("POST");
        assert_reply(reply, 400, NULL);
        assert_true(reply->closed);
        assert_int_equal(last_error, TEPAL_ECLOSED);
        say_octets(text, strlen(text) - 4);
        tepal_test_disconnect(client); /* it is gone altogether */
        assert_true(last_error == TEPAL_ECLOSED || last_error == -ECANCELED);
    }
}

static void bad_chunks(void **state)
{
    (void)state;
    register_echoes();
    start(NULL);
    static const char *const bad[] = { "x\r\n",
                                       "-1\r\n",
                                       "5\r\nabcdeX",
                                       "5\nabcde",
                                       "11111111111111111\r\n",
                                       "1\r\naX",
                                       "0\r\nbad field\r\n\r\n",
                                       "1;\n\r\n" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        for (int which = 0; which < 2; which++) {
            char text[256];
            sprintf(text, head, which ? "none" : "body");
            strcat(text, "Transfer-Encoding: chunked\r\n\r\n");
            strcat(text, bad[i]);
            strcat(text, "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
            say(text);
            tepal_test_reply *reply = hear("POST");
            assert_reply(reply, which ? 200 : 400, NULL);
            assert_field(reply, "Connection", "close");
            assert_true(reply->closed);
        }
    }
}

static void silence(void **state)
{
    (void)state;
    register_echoes();
    start(&(tepal_run_options){ .limits.body_timeout_ms = 5000,
                                .limits.min_body_rate = TEPAL_UNLIMITED });
    for (int chunked = 0; chunked < 2; chunked++) {
        const char *text = request("body", "hello", chunked);
        size_t len = strlen(text);
        say_octets(text, len - 5);
        for (int i = 5; i > 1; i--) { /* each octet in time */
            tepal_test_advance(client, 4000);
            say_octets(text + len - i, 1);
        }
        tepal_test_advance(client, 4999);
        say_octets(text + len - 1, 1);
        assert_reply(hear("POST"), 200, "hello");
        say_octets(text, len - 1);
        int64_t before = loop_current->now;
        tepal_test_reply *reply = hear("POST");
        assert_reply(reply, 408, "408 Request Timeout\n");
        assert_field(reply, "Connection", "close");
        assert_int_equal(loop_current->now - before, 5000);
        assert_true(reply->closed);
    }
}

/* --- Reading twice, and in several ways ------------------------------------------------------- */

static tepal_res *read_twice(tepal_req *req)
{
    const tepal_bytes *first = tepal_req_body(req), *second = tepal_req_body(req);
    const char *text = tepal_req_text(req);
    json_t *json = tepal_req_json(req);
    tepal_bytes piece, none;
    int rc = tepal_req_read(req, &piece), end = tepal_req_read(req, &none);
    bool same = first == second && text == first->data && json;
    return tepal_textf(req, 200, "%s %d %.*s %d %zu", same ? "same" : "different", rc,
                       (int)piece.len, piece.data, end, none.len);
}

static tepal_res *read_piece_then_all(tepal_req *req)
{
    tepal_bytes piece;
    tepal_req_read(req, &piece);
    return tepal_req_body(req) ? ok(req) : NULL;
}

static void read_again(void **state)
{
    (void)state;
    tepal_post(app, "/twice", read_twice);
    tepal_post(app, "/piece", read_piece_then_all);
    start(NULL);
    assert_reply(talk(request("twice", "[1]", false)), 200, "same 1 [1] 0 0");
    assert_reply(talk(request("twice", "[1]", true)), 200, "same 1 [1] 0 0");
    assert_reply(talk(request("piece", "[1]", false)), 500, NULL);
}

/* --- Bodies that nobody reads ----------------------------------------------------------------- */

static void unread(void **state)
{
    (void)state;
    register_echoes();
    start(&(tepal_run_options){ .limits.max_unread_body = 1000 });
    static const struct {
        int len;
        bool kept;
    } rows[] = { { 999, true }, { 1000, true }, { 1001, false } };
    char text[4096], *body = octets(2000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        /* The body comes after the answer. */
        int n = sprintf(text, head, "none");
        n += sprintf(text + n, "Content-Length: %d\r\n\r\n", rows[i].len);
        say_octets(text, (size_t)n);
        tepal_test_reply *reply = hear("POST");
        assert_reply(reply, 200, "ok");
        assert_field(reply, "Connection", rows[i].kept ? NULL : "close");
        assert_int_equal(reply->closed, !rows[i].kept);
        if (rows[i].kept) {
            say_octets(body, (size_t)rows[i].len);
            assert_reply(talk(request("body", "next", false)), 200, "next");
        }
        tepal_test_disconnect(client);
        /* It is there already: then it costs nothing. */
        n += sprintf(text + n, "%.*s", rows[i].len, body);
        say_octets(text, (size_t)n);
        assert_field(hear("POST"), "Connection", NULL);
        tepal_test_disconnect(client);
    }
    /* Chunked, so that nobody knows: it is read up to the limit, and then closed. */
    sprintf(text, head, "none");
    say(text);
    say("Transfer-Encoding: chunked\r\n\r\n");
    assert_field(hear("POST"), "Connection", NULL);
    say("3e8\r\n");
    say_octets(body, 1000);
    say("\r\n0\r\n\r\n");
    assert_reply(talk(request("body", "next", false)), 200, "next");
    say(text);
    say("Transfer-Encoding: chunked\r\n\r\n");
    assert_reply(hear("POST"), 200, "ok");
    say("3e9\r\n");
    say_octets(body, 1001);
    assert_gone();
    free(body);
}

/* The client has lingering_timeout_ms for it in all. */
static void unread_and_slow(void **state)
{
    (void)state;
    register_echoes();
    start(&(tepal_run_options){ .limits.lingering_timeout_ms = 3000 });
    say("POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    assert_reply(hear("POST"), 200, "ok");
    tepal_test_advance(client, 2000);
    say("a");
    tepal_test_advance(client, 900);
    say("b");
    assert_int_equal(loop_current->n_tasks, 1);
    tepal_test_advance(client, 101);
    assert_int_equal(loop_current->n_tasks, 0);
    assert_gone();
}

/* --- Expect: 100-continue --------------------------------------------------------------------- */

static void continue_(void **state)
{
    (void)state;
    register_echoes();
    start(NULL);
    static const char expecting[] = "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    char text[256];
    sprintf(text, head, "body");
    strcat(text, expecting);
    /* Asked for: the 100 comes at once, and the answer behind it. */
    say(text);
    say("hello");
    tepal_test_reply *reply = hear("POST");
    assert_reply(reply, 200, "hello");
    assert_memory_equal(reply->raw.data, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", 42);
    /* The body is there already: no 100. */
    strcat(text, "hello");
    reply = talk(text);
    assert_reply(reply, 200, "hello");
    assert_memory_equal(reply->raw.data, "HTTP/1.1 200 OK\r\n", 17);
    /* An HTTP/1.0 client knows no 100. */
    say("POST /body HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    say("hello");
    reply = hear("POST");
    assert_memory_equal(reply->raw.data, "HTTP/1.1 200 OK\r\n", 17);
    /* Not asked for: the final answer only, and nobody knows whether the body will come. */
    sprintf(text, head, "none");
    strcat(text, expecting);
    reply = talk(text);
    assert_reply(reply, 200, "ok");
    assert_memory_equal(reply->raw.data, "HTTP/1.1 200 OK\r\n", 17);
    assert_field(reply, "Connection", "close");
    assert_true(reply->closed);
    /* Refused by its length. */
    say("POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
        "Content-Length: 9999999\r\n\r\n");
    reply = hear("POST");
    assert_reply(reply, 413, NULL);
    assert_memory_equal(reply->raw.data, "HTTP/1.1 413 ", 13);
    assert_true(reply->closed);
    /* Without a body there is nothing to wait for. */
    say("POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    reply = hear("POST");
    assert_reply(reply, 200, "");
    assert_memory_equal(reply->raw.data, "HTTP/1.1 200 OK\r\n", 17);
}

/* --- A response that begins before the body has been read ------------------------------------- */

static tepal_res *begin_then_read(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    tepal_bytes piece;
    int rc = tepal_writef(res, "begun:");
    while (rc == 0 && (rc = tepal_req_read(req, &piece)) > 0)
        rc = tepal_write(res, piece.data, piece.len);
    tepal_writef(res, ":%s", tepal_code_name(rc));
    return res;
}

static void both_ways_at_once(void **state)
{
    (void)state;
    tepal_post(app, "/x", begin_then_read);
    start(&(tepal_run_options){ .limits.max_unread_body = 3, .limits.body_timeout_ms = 1000 });
    for (int chunked = 0; chunked < 2; chunked++) {
        const char *text = request("x", "hello world", chunked);
        each_split_of(text, "begun:hello world:0");
    }
    /* No 100 in the middle of it; a client that waits for one gets the answer instead. */
    say("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    tepal_test_reply *reply = hear("POST");
    assert_reply(reply, 200, "begun::ETIMEDOUT");
    assert_memory_equal(reply->raw.data, "HTTP/1.1 200 OK\r\n", 17);
    assert_true(reply->closed);
}

/* --- 100 (Continue) --------------------------------------------------------------------------- */

static tepal_res *begins_first(tepal_req *req)
{
    tepal_bytes piece;
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    tepal_write(res, "begin,", 6);
    while (tepal_req_read(req, &piece) == 1)
        tepal_write(res, piece.data, piece.len);
    tepal_write(res, ",end", 4);
    return res;
}

/* It is never mixed into a response that has begun, and not sent to who does not wait for it. */
static void no_100_into_a_response(void **state)
{
    (void)state;
    static const struct {
        const char *target, *field, *now, *later, *body;
        bool interim, closes;
    } rows[] = {
        { "/begins", "", "", "hello", "begin,hello,end", false, true },
        { "/begins", "Connection: close\r\n", "", "hello", "begin,hello,end", false, true },
        { "/begins", "", "hello", "", "begin,hello,end", false, false },
        { "/begins", "", "he", "llo", NULL, false, false },
        { "/reads", "", "", "hello", "hello", true, false },
        { "/reads", "Connection: close\r\n", "", "hello", "hello", true, true },
        { "/reads", "", "hello", "", "hello", false, false },
        { "/reads", "", "h", "ello", "hello", false, false },
        { "/unread", "", "hello", "", "ok", false, false },
        { "/unread", "", "h", "ello", "ok", false, false },
        { "/unread", "", "", "", "ok", false, true },
    };
    register_echoes();
    tepal_post(app, "/begins", begins_first);
    tepal_post(app, "/reads", echo);
    tepal_post(app, "/unread", ok);
    start(NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char text[400];
        sprintf(
            text,
            "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n%s\r\n%s",
            rows[i].target, rows[i].field, rows[i].now);
        say(text);
        if (*rows[i].later)
            say(rows[i].later);
        tepal_test_reply *reply = hear("POST");
        assert_reply(reply, 200, rows[i].body);
        const char *interim = strstr(reply->raw.data, "100 Continue");
        assert_true(rows[i].interim ? interim == reply->raw.data + 9 : !interim);
        assert_int_equal(reply->closed, rows[i].closes);
        tepal_test_disconnect(client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(split_everywhere),  WEB_TEST(empty_bodies),
        WEB_TEST(large_bodies),      WEB_TEST(limits),
        WEB_TEST(request_memory),    WEB_TEST(texts),
        WEB_TEST(json_bodies),       WEB_TEST(client_goes),
        WEB_TEST(bad_chunks),        WEB_TEST(silence),
        WEB_TEST(read_again),        WEB_TEST(unread),
        WEB_TEST(unread_and_slow),   WEB_TEST(continue_),
        WEB_TEST(both_ways_at_once), WEB_TEST(no_100_into_a_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
