/* Tests of handlers that go on writing whatever the result: whatever it is, others are served
 * meanwhile, the log names the task, and the loop of writes does not run at full speed. */
#include "../web_check.h"

#include "web/app/application.h"
#include "web/server/server.h"
#include "async/loop/loop.h"

static tepal_res *volatile none;
static bool over;
static int n_calls, result;

static int write_to(tepal_res *res)
{
    return tepal_write(res, "x", 1);
}

static int write_nothing(tepal_res *res)
{
    return tepal_write(res, NULL, 1);
}

static int print_no_format(tepal_res *res)
{
    const char *format = (const char *)none;
    return tepal_writef(res, format, 0);
}

static int print_null(tepal_res *res)
{
    return tepal_writef(res, "%s", (const char *)none);
}

static tepal_res *go_on(tepal_res *res, int (*call)(tepal_res *res))
{
    n_calls = 0;
    for (over = false; !over; n_calls++)
        result = call(res);
    return res;
}

static tepal_res *stream(tepal_req *req)
{
    return go_on(tepal_stream(req, 200, NULL), write_to);
}
static tepal_res *too_long(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    tepal_res_set_length(res, 0);
    return go_on(res, write_to);
}
static tepal_res *second(tepal_req *req)
{
    tepal_res *first = tepal_stream(req, 200, NULL), *res = tepal_stream(req, 200, NULL);
    write_to(first);
    go_on(res, write_to);
    return first;
}
static tepal_res *whole(tepal_req *req)
{
    return go_on(ok(req), write_to);
}
static tepal_res *no_data(tepal_req *req)
{
    return go_on(tepal_stream(req, 200, NULL), write_nothing);
}
static tepal_res *no_format(tepal_req *req)
{
    return go_on(tepal_stream(req, 200, NULL), print_no_format);
}
static tepal_res *null_in_text(tepal_req *req)
{
    return go_on(tepal_stream(req, 200, NULL), print_null);
}

static tepal_res *end(tepal_req *req)
{
    over = true;
    return ok(req);
}

/* Another client's request, meanwhile. */
static void end_it(void)
{
    tepal_test_disconnect(client);
    assert_reply(get("/end"), 200, "ok");
    tepal_test_advance(client, 1000);
    assert_int_equal(app->server->n_connections, 1);
}

/* The handler's calls in a minute return this, and they are not many more than one for each
 * pause. */
static void expect_held_back(const char *method, const char *path, int error, int most)
{
    char request[64], name[160];
    log_forget();
    snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", method, path);
    say(request);
    tepal_test_advance(client, 60 * 1000);
    assert_int_equal(result, error);
    assert_in_range(n_calls, 16, most);
    snprintf(name, sizeof(name), "\"%s\" (%s %s from 127.0.0.1) goes on though ", path, method,
             path);
    if (!strstr(logged(), name))
        fail_msg("\"%s\" is not in the log: %s", name, logged());
    end_it();
}

/* A pause is 100 ms at last. */
enum { MOST_IN_A_MINUTE = 32 + 600 };

static void errors(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        tepal_handler *handler;
        int error;
    } rows[] = {
        { "/too-long", too_long, TEPAL_ELENGTH },
        { "/second", second, TEPAL_ESENT },
        { "/whole", whole, -EINVAL },
        { "/data", no_data, -EINVAL },
        { "/format", no_format, -EINVAL },
        { "/null", null_in_text, -EINVAL },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        tepal_get(app, rows[i].path, rows[i].handler);
    tepal_get(app, "/end", end);
    start(NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        expect_held_back("GET", rows[i].path, rows[i].error, MOST_IN_A_MINUTE);
}

static void a_client_that_has_gone(void **state)
{
    (void)state;
    tepal_routes(app, (const tepal_route[]){ { "GET", "/", stream, .shield = true }, { 0 } });
    tepal_get(app, "/end", end);
    start(NULL);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_test_disconnect(client);
    tepal_test_advance(client, 1000);
    assert_true(result == -EPIPE || result == -ECONNRESET);
    int before = n_calls;
    tepal_test_advance(client, 60 * 1000);
    assert_in_range(n_calls - before, 500, MOST_IN_A_MINUTE);
    assert_non_null(strstr(logged(), " goes on though its writes to the response fail"));
    end_it();
}

/* Without a body a program may go on to its end: that is held up a little only. */
static void no_body(void **state)
{
    (void)state;
    tepal_get(app, "/", stream);
    tepal_get(app, "/end", end);
    start(NULL);
    expect_held_back("HEAD", "/", TEPAL_ENOBODY, 1000 + 60 * 1000 + 32);
    assert_in_range(n_calls, 50 * 1000, 65 * 1000);
}

static int n_left;

static tepal_res *rows_of_a_table(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    for (n_left = 1000; n_left > 0; n_left--)
        (void)write_to(res);
    return res;
}

static void no_body_of_a_table(void **state)
{
    (void)state;
    tepal_get(app, "/", rows_of_a_table);
    start(NULL);
    say("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_test_advance(client, 0);
    assert_int_equal(n_left, 0);
    assert_string_equal(logged(), "");
}

/* What has been written again is a new beginning. */
static int n_written;

static tepal_res *busy_now_and_then(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    tepal_res_set_length(res, 100);
    for (n_written = 0; n_written < 100; n_written++)
        for (int i = 0; i < 3; i++)
            (void)tepal_write(res, "0123456789", i == 2 ? 1 : 101);
    return res;
}

static void refused_now_and_then(void **state)
{
    (void)state;
    tepal_get(app, "/", busy_now_and_then);
    start(NULL);
    int64_t before = loop_current->now;
    assert_reply(get("/"), 200, NULL);
    assert_int_equal(loop_current->now, before);
    assert_string_equal(logged(), "");
}

/* There is no response to count at: others run all the same. */
static tepal_res *to_none(tepal_req *req)
{
    go_on(none, write_to);
    return ok(req);
}

static void no_response(void **state)
{
    (void)state;
    tepal_get(app, "/", to_none);
    tepal_get(app, "/end", end);
    start(NULL);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_test_disconnect(client);
    assert_reply(get("/end"), 200, "ok");
    assert_true(over);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(errors),
        WEB_TEST(a_client_that_has_gone),
        WEB_TEST(no_body),
        WEB_TEST(no_body_of_a_table),
        WEB_TEST(refused_now_and_then),
        WEB_TEST(no_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
