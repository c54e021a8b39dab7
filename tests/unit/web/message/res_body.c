/* Tests of whole bodies: copied, lent and given back exactly once, looked at and replaced. */
#include "../web_check.h"

static int n_released;
static void *released;

static void release(void *arg)
{
    released = arg;
    n_released++;
}

static const char *no_data; /* NULL */
static char *big;
enum { BIG = 8 * 1000 * 1000 };

/* --- Copies ----------------------------------------------------------------------------------- */

static tepal_res *copied_data(tepal_req *req)
{
    char text[] = "of the stack";
    tepal_res *res = tepal_data(req, 200, "text/x", text, strlen(text));
    memset(text, '?', sizeof(text));
    return res;
}

static tepal_res *copied_body(tepal_req *req)
{
    char text[] = "a\0b";
    tepal_res *res = tepal_data(req, 200, "text/x", "before", 6);
    assert_int_equal(tepal_res_set_body(res, text, 3), 0);
    memset(text, '?', sizeof(text));
    return res;
}

static tepal_res *no_octets(tepal_req *req)
{
    tepal_res *res = tepal_text(req, 200, "before");
    assert_int_equal(tepal_res_set_body(res, NULL, 0), 0);
    return res;
}

static tepal_res *too_large(tepal_req *req)
{
    return tepal_data(req, 200, NULL, big, (size_t)tepal_req_match_int(req, "n"));
}

static void copies(void **state)
{
    (void)state;
    big = octets(BIG);
    tepal_get(app, "/data", copied_data);
    tepal_get(app, "/body", copied_body);
    tepal_get(app, "/none", no_octets);
    tepal_get(app, "/large/{n:int}", too_large);
    start(&(tepal_run_options){ .limits = { .max_request_memory = 256 * 1024 } });
    assert_reply(get("/data"), 200, "of the stack");
    tepal_test_reply *reply = get("/body");
    assert_field(reply, "Content-Length", "3");
    assert_field(reply, "Content-Type", "text/x");
    assert_memory_equal(reply->body.data, "a\0b", 3);
    assert_field(get("/none"), "Content-Length", "0");
    assert_int_equal(get("/large/200000")->body.len, 200000);
    assert_reply(get("/large/262144"), 413, NULL);
    free(big);
}

/* --- Lent, and given back --------------------------------------------------------------------- */

enum how { SENT, NO_RELEASE, REPLACED, LENT_AGAIN, NOT_RETURNED, NULL_RETURNED, REFUSED };
static enum how how;
static int in_handler; /* how often it was called before the handler returned */

static tepal_res *lend_it(tepal_req *req)
{
    static const char data[] = "lent octets";
    tepal_res *res = tepal_data(req, 200, "text/x", NULL, 0);
    void (*fn)(void *arg) = how == NO_RELEASE ? NULL : release;
    assert_int_equal(tepal_res_lend_body(res, data, 11, fn, data), 0);
    assert_ptr_equal(tepal_res_body(res)->data, data);
    if (how == REPLACED)
        tepal_res_set_body(res, "other", 5);
    if (how == LENT_AGAIN)
        tepal_res_lend_body(res, "others", 6, release, "again");
    if (how == REFUSED)
        tepal_res_set_header(res, "bad name", "x");
    in_handler = n_released;
    return how == NOT_RETURNED ? ok(req) : how == NULL_RETURNED ? NULL : res;
}

static void expect_lent(enum how now, const char *method, int status, const char *body)
{
    how = now;
    n_released = 0;
    assert_reply(ask(method, "/", NULL, NULL), status, body);
    assert_int_equal(n_released, now == NO_RELEASE ? 0 : now == LENT_AGAIN ? 2 : 1);
    assert_int_equal(in_handler, now == REPLACED || now == LENT_AGAIN);
    if (now != NO_RELEASE)
        assert_string_equal(released, now == LENT_AGAIN ? "again" : "lent octets");
}

static void given_back_once(void **state)
{
    (void)state;
    tepal_get(app, "/", lend_it);
    start(NULL);
    expect_lent(SENT, "GET", 200, "lent octets");
    expect_lent(SENT, "HEAD", 200, "");
    expect_lent(NO_RELEASE, "GET", 200, "lent octets");
    expect_lent(REPLACED, "GET", 200, "other");
    expect_lent(LENT_AGAIN, "GET", 200, "others");
    expect_lent(NOT_RETURNED, "GET", 200, "ok");
    expect_lent(NULL_RETURNED, "GET", 500, NULL);
    expect_lent(REFUSED, "GET", 500, NULL);
}

static tepal_res *lend_big(tepal_req *req)
{
    tepal_res *res = tepal_data(req, 200, NULL, NULL, 0);
    tepal_res_lend_body(res, big, BIG, release, big);
    return res;
}

/* Not before all of it has been taken; and also when the client does not take it. */
static void given_back_late(void **state)
{
    (void)state;
    big = octets(BIG);
    n_released = 0;
    tepal_get(app, "/", lend_big);
    start(NULL);
    tepal_test_reply *reply = get("/");
    assert_int_equal(reply->body.len, BIG);
    assert_memory_equal(reply->body.data, big, BIG);
    assert_int_equal(n_released, 1);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_test_disconnect(client);
    tepal_test_close(client);
    client = NULL;
    assert_int_equal(n_released, 2);
    free(big);
}

/* --- Mistakes --------------------------------------------------------------------------------- */

static tepal_res *lend_wrongly(tepal_req *req)
{
    const char *kind = tepal_req_match(req, "kind");
    tepal_res *res = tepal_text(req, 200, "before");
    const char *data = "x";
    size_t len = 1;
    if (strcmp(kind, "null") == 0)
        data = no_data;
    else if (strcmp(kind, "negative") == 0)
        len = (size_t)-1;
    else if (strcmp(kind, "stream") == 0)
        res = tepal_stream(req, 200, NULL);
    else if (strcmp(kind, "none") == 0)
        res = NULL;
    else if (strcmp(kind, "memory") == 0)
        while (tepal_req_alloc(req, 1))
            continue;
    int rc = tepal_res_lend_body(res, data, len, release, "x");
    assert_int_equal(n_released, 1);
    if (rc != TEPAL_EREQUEST_MEMORY)
        assert_int_equal(rc, -EINVAL);
    return res ? res : ok(req);
}

static tepal_res *set_after_head(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    tepal_write(res, "x", 1);
    assert_null(tepal_res_body(res));
    assert_int_equal(tepal_res_set_body(res, "y", 1), TEPAL_ESENT);
    assert_int_equal(tepal_res_lend_body(res, "y", 1, release, NULL), TEPAL_ESENT);
    return res;
}

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        int status;
    } rows[] = {
        { "null", 500 }, { "negative", 500 }, { "stream", 500 }, { "none", 200 }, { "memory", 413 }
    };
    tepal_get(app, "/{kind}", lend_wrongly);
    tepal_get(app, "/after/head", set_after_head);
    start(&(tepal_run_options){ .limits = { .max_request_memory = 64 * 1024 } });
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char target[32];
        snprintf(target, sizeof(target), "/%s", rows[i].kind);
        n_released = 0;
        assert_int_equal(get(target)->status, rows[i].status);
        assert_int_equal(n_released, 1);
    }
    assert_reply(get("/after/head"), 200, "x");
}

/* --- Middlewares ------------------------------------------------------------------------------ */

static tepal_res *upper_case(tepal_req *req, tepal_next *next)
{
    tepal_res *res = tepal_next_call(next, req);
    const tepal_bytes *body = tepal_res_body(res);
    char *text = body ? tepal_req_alloc(req, body->len) : NULL;
    if (!text)
        return res;
    for (size_t i = 0; i < body->len; i++)
        text[i] = body->data[i] >= 'a' && body->data[i] <= 'z' ? (char)(body->data[i] - 32)
                                                               : body->data[i];
    tepal_res_lend_body(res, text, body->len, NULL, NULL);
    return res;
}

static tepal_res *stream(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    tepal_write(res, "stream", 6);
    return res;
}

static tepal_res *json(tepal_req *req)
{
    return tepal_jsonf(req, 200, "{s:i}", "a", 1);
}

static void middlewares(void **state)
{
    (void)state;
    tepal_use(app, upper_case, NULL);
    tepal_get(app, "/text", ok);
    tepal_get(app, "/json", json);
    tepal_get(app, "/stream", stream);
    start(NULL);
    assert_reply(get("/text"), 200, "OK");
    assert_reply(get("/json"), 200, "{\"A\":1}");
    assert_reply(get("/none"), 404, "404 NOT FOUND\n");
    assert_reply(get("/stream"), 200, "stream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(copies),   WEB_TEST(given_back_once), WEB_TEST(given_back_late),
        WEB_TEST(mistakes), WEB_TEST(middlewares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
