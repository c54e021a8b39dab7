/* Tests of NULL for each pointer that a public call of the web room is given and that has no
 * meaning as NULL: a line that names the call and the argument, in the log where a handler runs,
 * whose answer is a 500 then, and as the last words of the program where none does. Never a crash
 * without a word. */
#include "../web_check.h"

/* As compilers see through a plain NULL. */
static void *volatile none;

static const tepal_key key = { "key" };

/* --- In a handler ----------------------------------------------------------------------------- */

struct row {
    const char *says;
    /* Makes the call, and returns whether the result is that of a failure. */
    bool (*fails)(tepal_req *req);
    bool only_said; /* it is no failure of the request */
};

static int n_deferred;

static void count_deferred(void *arg)
{
    (void)arg;
    n_deferred++;
}

static int hook(tepal_req *req, tepal_res *res, void *arg)
{
    (void)req;
    (void)res;
    (void)arg;
    return 0;
}

/* A call that returns a pointer, or a number that must be this one. */
#define NO_POINTER(name, call)       \
    static bool name(tepal_req *req) \
    {                                \
        (void)req;                   \
        return (call) == NULL;       \
    }
#define RESULT(name, call, result)   \
    static bool name(tepal_req *req) \
    {                                \
        (void)req;                   \
        return (call) == (result);   \
    }

NO_POINTER(method, tepal_req_method(none))
NO_POINTER(path, tepal_req_path(none))
NO_POINTER(target, tepal_req_target(none))
NO_POINTER(query_string, tepal_req_query_string(none))
NO_POINTER(query, tepal_req_query(none, "a"))
RESULT(query_all, *tepal_req_query_all(none, "a"), NULL)
NO_POINTER(header, tepal_req_header(none, "a"))
RESULT(header_all, *tepal_req_header_all(none, "a"), NULL)
NO_POINTER(cookie, tepal_req_cookie(none, "a"))
NO_POINTER(match, tepal_req_match(none, "a"))
RESULT(match_int, tepal_req_match_int(none, "a"), 0)
NO_POINTER(pattern, tepal_req_pattern(none))
NO_POINTER(host, tepal_req_host(none))
NO_POINTER(peer, tepal_req_remote(none))
NO_POINTER(scheme, tepal_req_scheme(none))
RESULT(version, tepal_req_version(none), 0)
NO_POINTER(content_type, tepal_req_content_type(none))
RESULT(content_length, tepal_req_content_length(none), 0)
NO_POINTER(app_of, tepal_req_app(none))
RESULT(set, tepal_req_set_state(none, &key, none), -EINVAL)
RESULT(set_key, tepal_req_set_state(req, none, none), -EINVAL)
NO_POINTER(state_of, tepal_req_state(none, &key))
NO_POINTER(state_key, tepal_req_state(req, none))
RESULT(read_piece, tepal_req_read(none, &(tepal_bytes){ 0 }), -EINVAL)
RESULT(read_nowhere, tepal_req_read(req, none), -EINVAL)
NO_POINTER(body, tepal_req_body(none))
NO_POINTER(text_of, tepal_req_text(none))
NO_POINTER(json_of, tepal_req_json(none))
NO_POINTER(alloc, tepal_req_alloc(none, 8))
NO_POINTER(copy, tepal_req_strdup(none, "a"))
NO_POINTER(print, tepal_req_printf(none, "%d", 1))
NO_POINTER(group, tepal_req_group(none))
NO_POINTER(url, tepal_req_url(none, "name", NULL))
RESULT(error_of, tepal_req_error(none), -EINVAL)
RESULT(on_response, tepal_req_on_response(none, hook, NULL), -EINVAL)
NO_POINTER(text, tepal_text(none, 200, "a"))
NO_POINTER(text_printed, tepal_textf(none, 200, "%d", 1))
NO_POINTER(html, tepal_html(none, 200, "a"))
NO_POINTER(data, tepal_data(none, 200, NULL, "a", 1))
NO_POINTER(empty, tepal_empty(none, 204))
NO_POINTER(json, tepal_json(none, 200, json_pack("{s:i}", "a", 1)))
NO_POINTER(jsonf, tepal_jsonf(none, 200, "{s:o}", "a", json_integer(1)))
NO_POINTER(redirect, tepal_redirect(none, 302, "/"))
NO_POINTER(error, tepal_error(none, 404, NULL))
NO_POINTER(fail_with, tepal_fail(none, -ENOMEM))
NO_POINTER(stream, tepal_stream(none, 200, NULL))
NO_POINTER(escape, tepal_html_escape(none, "a"))

static bool defer(tepal_req *req)
{
    (void)req;
    n_deferred = 0;
    return tepal_req_defer(none, count_deferred, NULL) == -EINVAL && n_deferred == 1;
}

typedef bool each(tepal_req *req, size_t *at, tepal_pair *pair);

static bool walk(each *call, tepal_req *req, int missing)
{
    tepal_pair pair;
    size_t at = 0;
    return !call(missing == 0 ? none : req, missing == 1 ? none : &at, missing == 2 ? none : &pair);
}

RESULT(query_walk, walk(tepal_req_each_query, req, 0), true)
RESULT(query_at, walk(tepal_req_each_query, req, 1), true)
RESULT(query_pair, walk(tepal_req_each_query, req, 2), true)
RESULT(header_walk, walk(tepal_req_each_header, req, 0), true)
RESULT(header_at, walk(tepal_req_each_header, req, 1), true)
RESULT(header_pair, walk(tepal_req_each_header, req, 2), true)
RESULT(field_at, tepal_res_each_header(ok(req), none, &(tepal_pair){ 0 }), false)
RESULT(field_pair, tepal_res_each_header(ok(req), &(size_t){ 0 }, none), false)
RESULT(failure_of, tepal_req_failure(none).status, 0)
RESULT(cookie_walk, walk(tepal_req_each_cookie, req, 0), true)
RESULT(cookie_at, walk(tepal_req_each_cookie, req, 1), true)
RESULT(cookie_pair, walk(tepal_req_each_cookie, req, 2), true)
NO_POINTER(argument, tepal_req_arg(none))
NO_POINTER(html_printed, tepal_htmlf(none, 200, "%d", 1))
NO_POINTER(error_printed, tepal_errorf(none, 404, "%d", 1))
NO_POINTER(rejected, tepal_reject(none, 404, NULL))
NO_POINTER(rejected_printed, tepal_rejectf(none, 404, "%d", 1))

static const struct row rows[] = {
    { "tepal_req_method: the request is NULL", method, false },
    { "tepal_req_path: the request is NULL", path, false },
    { "tepal_req_target: the request is NULL", target, false },
    { "tepal_req_query_string: the request is NULL", query_string, false },
    { "tepal_req_query: the request is NULL", query, false },
    { "tepal_req_query_all: the request is NULL", query_all, false },
    { "tepal_req_header: the request is NULL", header, false },
    { "tepal_req_header_all: the request is NULL", header_all, false },
    { "tepal_req_cookie: the request is NULL", cookie, false },
    { "tepal_req_match: the request is NULL", match, false },
    { "tepal_req_match_int: the request is NULL", match_int, false },
    { "tepal_req_pattern: the request is NULL", pattern, false },
    { "tepal_req_host: the request is NULL", host, false },
    { "tepal_req_remote: the request is NULL", peer, false },
    { "tepal_req_scheme: the request is NULL", scheme, false },
    { "tepal_req_version: the request is NULL", version, false },
    { "tepal_req_content_type: the request is NULL", content_type, false },
    { "tepal_req_content_length: the request is NULL", content_length, false },
    { "tepal_req_app: the request is NULL", app_of, false },
    { "tepal_req_set_state: the request is NULL", set, false },
    { "tepal_req_set_state: the key is NULL", set_key, false },
    { "tepal_req_state: the request is NULL", state_of, false },
    { "tepal_req_state: the key is NULL", state_key, true },
    { "tepal_req_read: the request is NULL", read_piece, false },
    { "tepal_req_read: piece is NULL", read_nowhere, false },
    { "tepal_req_body: the request is NULL", body, false },
    { "tepal_req_text: the request is NULL", text_of, false },
    { "tepal_req_json: the request is NULL", json_of, false },
    { "tepal_req_alloc: the request is NULL", alloc, false },
    { "tepal_req_strdup: the request is NULL", copy, false },
    { "tepal_req_printf: the request is NULL", print, false },
    { "tepal_req_defer: the request is NULL", defer, false },
    { "tepal_req_group: the request is NULL", group, false },
    { "tepal_req_url: the request is NULL", url, false },
    { "tepal_req_error: the request is NULL", error_of, false },
    { "tepal_req_on_response: the request is NULL", on_response, false },
    { "tepal_req_each_query: the request is NULL", query_walk, false },
    { "tepal_req_each_query: at is NULL", query_at, true },
    { "tepal_req_each_query: pair is NULL", query_pair, true },
    { "tepal_req_each_header: the request is NULL", header_walk, false },
    { "tepal_req_each_header: at is NULL", header_at, true },
    { "tepal_req_each_header: pair is NULL", header_pair, true },
    { "tepal_res_each_header: at is NULL", field_at, true },
    { "tepal_res_each_header: pair is NULL", field_pair, true },
    { "tepal_req_failure: the request is NULL", failure_of, false },
    { "tepal_req_each_cookie: the request is NULL", cookie_walk, false },
    { "tepal_req_each_cookie: at is NULL", cookie_at, true },
    { "tepal_req_each_cookie: pair is NULL", cookie_pair, true },
    { "tepal_req_arg: the request is NULL", argument, false },
    { "tepal_htmlf: the request is NULL", html_printed, false },
    { "tepal_errorf: the request is NULL", error_printed, false },
    { "tepal_reject: the request is NULL", rejected, false },
    { "tepal_rejectf: the request is NULL", rejected_printed, false },
    { "tepal_text: the request is NULL", text, false },
    { "tepal_textf: the request is NULL", text_printed, false },
    { "tepal_html: the request is NULL", html, false },
    { "tepal_data: the request is NULL", data, false },
    { "tepal_empty: the request is NULL", empty, false },
    { "tepal_json: the request is NULL", json, false },
    { "tepal_jsonf: the request is NULL", jsonf, false },
    { "tepal_redirect: the request is NULL", redirect, false },
    { "tepal_error: the request is NULL", error, false },
    { "tepal_fail: the request is NULL", fail_with, false },
    { "tepal_stream: the request is NULL", stream, false },
    { "tepal_html_escape: the request is NULL", escape, false },
};

enum { N_ROWS = sizeof(rows) / sizeof(*rows) };

static bool failed;

static tepal_res *make_call(tepal_req *req)
{
    const struct row *row = &rows[tepal_req_match_int(req, "row")];
    failed = row->fails(req);
    return row->only_said ? ok(req) : NULL;
}

static void calls_in_a_handler(void **state)
{
    (void)state;
    tepal_get(app, "/{row:int}", make_call);
    start(NULL);
    for (int i = 0; i < N_ROWS; i++) {
        char target_of_row[32], line[160];
        snprintf(target_of_row, sizeof(target_of_row), "/%d?a=b", i);
        snprintf(line, sizeof(line), "GET %s: %s (route /{row:int})\n", target_of_row,
                 rows[i].says);
        log_forget();
        assert_reply(get(target_of_row), rows[i].only_said ? 200 : 500, NULL);
        assert_string_equal(logged(), line);
        if (!failed)
            fail_msg("the result of row %d is none of a failure: %s", i, rows[i].says);
    }
}

/* What is still possible, is: a handler that has made its mistake may go on. */
static tepal_res *goes_on(tepal_req *req)
{
    return tepal_req_header(none, "Host") ? NULL : ok(req);
}

static void a_handler_that_goes_on(void **state)
{
    (void)state;
    tepal_get(app, "/", goes_on);
    start(NULL);
    assert_reply(get("/"), 200, "ok");
    assert_string_equal(logged(), "GET /: tepal_req_header: the request is NULL\n");
}

/* --- In a middleware -------------------------------------------------------------------------- */

static tepal_res *no_next(tepal_req *req, tepal_next *next)
{
    (void)next;
    return tepal_next_call(none, req);
}

static tepal_res *no_request_for_next(tepal_req *req, tepal_next *next)
{
    (void)req;
    return tepal_next_call(next, none);
}

static tepal_res *no_next_for_arg(tepal_req *req, tepal_next *next)
{
    (void)next;
    assert_null(tepal_next_arg(NULL));
    return tepal_text(req, 200, tepal_next_arg(NULL));
}

static void calls_of_a_middleware(void **state)
{
    static const struct {
        tepal_middleware *middleware;
        const char *line;
    } middlewares[] = {
        { no_next, "GET /: tepal_next_call: next is NULL\n" },
        { no_request_for_next, "GET /: tepal_next_call: the request is NULL\n" },
        { no_next_for_arg, "GET /: tepal_next_arg: next is NULL\n" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(middlewares) / sizeof(*middlewares); i++) {
        tepal_use(app, middlewares[i].middleware, NULL);
        tepal_get(app, "/", ok);
        start(NULL);
        assert_reply(get("/"), 500, NULL);
        assert_string_equal(logged(), middlewares[i].line);
        again();
    }
}

/* --- Without a request ------------------------------------------------------------------------ */

static void call_row(void *arg)
{
    const struct row *row = arg;
    row->fails(none);
}

static void calls_without_a_handler(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS; i++)
        if (strstr(rows[i].says, "the request is NULL"))
            assert_misuse(call_row, (void *)(uintptr_t)&rows[i], rows[i].says);
}

/* --- Applications ----------------------------------------------------------------------------- */

static int startup(tepal_app *of, void *arg)
{
    (void)arg;
    tepal_app_set_state(of, none, NULL);
    return 0;
}

static void keys_of_an_application(void **state)
{
    (void)state;
    tepal_app_set_state(app, none, NULL);
    assert_string_equal(tepal_app_error_text(app), "tepal_app_set_state: the key is NULL");
    again();
    tepal_on_startup(app, startup, NULL);
    start(NULL);
    assert_string_equal(logged(), "tepal_app_set_state: the key is NULL\n");
    log_forget();
    assert_null(tepal_app_state(app, none));
    assert_string_equal(logged(), "tepal_app_state: the key is NULL\n");
}

/* As the header says. */
static void no_application(void **state)
{
    (void)state;
    tepal_app *no_app = none;
    tepal_get(no_app, "/", ok);
    tepal_routes(no_app, none);
    tepal_use(no_app, none, NULL);
    tepal_on_response(no_app, none, NULL);
    tepal_on_startup(no_app, none, NULL);
    tepal_on_shutdown(no_app, none, NULL);
    tepal_on_cleanup(no_app, none, NULL);
    tepal_context(no_app, none, none, NULL);
    tepal_app_set_error_pages(no_app, none);
    tepal_app_set_state(no_app, &key, NULL);
    tepal_app_stop(no_app);
    tepal_app_close(no_app);
    assert_null(tepal_app_state(no_app, &key));
    assert_null(tepal_app_group(no_app));
    assert_null(tepal_app_url(no_app, 0));
    assert_non_null(strstr(tepal_app_error_text(no_app), "the application is NULL"));
    assert_int_equal(tepal_run(no_app, NULL), 1);
}

static void expect_no_start(int argc, char **argv, const tepal_run_options *options,
                            const char *line)
{
    log_forget();
    assert_int_equal(tepal_run_args(tepal_app_new(), argc, argv, options), 1);
    assert_string_equal(logged(), line);
}

static void command_lines(void **state)
{
    (void)state;
    char program[] = "program", *words[] = { program, NULL, NULL };
    const tepal_argument arguments[] = { { .name = "x" }, { 0 } };
    expect_no_start(1, none, NULL, "cannot start: tepal_run_args: argv is NULL\n");
    expect_no_start(2, words, NULL,
                    "cannot start: tepal_run_args: one of the words of argv is NULL\n");
    expect_no_start(1, words, &(tepal_run_options){ .arguments = arguments },
                    "cannot start: tepal_run_args: one of the arguments has no place for its "
                    "value\n");
}

/* --- Responses -------------------------------------------------------------------------------- */

static void no_response(void **state)
{
    (void)state;
    tepal_res *res = none;
    assert_int_equal(tepal_res_status(res), -EINVAL);
    assert_int_equal(tepal_res_set_status(res, 200, NULL), -EINVAL);
    assert_int_equal(tepal_res_set_header(res, "A", "b"), -EINVAL);
    assert_int_equal(tepal_res_add_header(res, "A", "b"), -EINVAL);
    assert_null(tepal_res_header(res, "A"));
    assert_int_equal(tepal_res_set_cookie(res, "a", "b", NULL), -EINVAL);
    assert_int_equal(tepal_res_remove_cookie(res, "a", NULL), -EINVAL);
    tepal_res_set_close(res);
    assert_int_equal(tepal_res_set_length(res, 1), -EINVAL);
    assert_int_equal(tepal_write(res, "a", 1), -EINVAL);
    assert_int_equal(tepal_writef(res, "a"), -EINVAL);
}

/* --- Tests ------------------------------------------------------------------------------------ */

static int number;

static void call_of_a_test(void *arg)
{
    (void)arg;
    tepal_test_reply *reply = number >= 12 ? get("/") : NULL;
    switch (number) {
    case 0:
        tepal_test_get(none, "/");
        break;
    case 1:
        tepal_test_get(client, none);
        break;
    case 2:
        tepal_test_send(none, "/", NULL);
        break;
    case 3:
        tepal_test_send(client, none, NULL);
        break;
    case 4:
        tepal_test_post_json(none, "/", NULL);
        break;
    case 5:
        tepal_test_post_form(client, none, NULL);
        break;
    case 6:
        tepal_test_write(none, "a", 1);
        break;
    case 7:
        tepal_test_write(client, none, 1);
        break;
    case 8:
        tepal_test_receive(client, none);
        break;
    case 9:
        tepal_test_shutdown(none);
        break;
    case 10:
        tepal_test_disconnect(none);
        break;
    case 11:
        tepal_test_advance(none, 1);
        break;
    case 12:
        tepal_test_header(none, "A");
        break;
    case 13:
        tepal_test_header(reply, none);
        break;
    default:
        tepal_test_json(none);
    }
}

static void calls_of_a_test(void **state)
{
    static const char *const said[] = {
        "tepal_test_get: the test is NULL",        "tepal_test_get: the target is NULL",
        "tepal_test_send: the test is NULL",       "tepal_test_send: the target is NULL",
        "tepal_test_post_json: the test is NULL",  "tepal_test_post_form: the target is NULL",
        "tepal_test_write: the test is NULL",      "tepal_test_write: the data is NULL",
        "tepal_test_receive: the method is NULL",  "tepal_test_shutdown: the test is NULL",
        "tepal_test_disconnect: the test is NULL", "tepal_test_advance: the test is NULL",
        "tepal_test_header: the reply is NULL",    "tepal_test_header: the name is NULL",
        "tepal_test_json: the reply is NULL",
    };
    (void)state;
    tepal_get(app, "/", ok);
    start(NULL);
    for (number = 0; number < (int)(sizeof(said) / sizeof(*said)); number++)
        assert_misuse(call_of_a_test, NULL, said[number]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(calls_in_a_handler),     WEB_TEST(a_handler_that_goes_on),
        WEB_TEST(calls_of_a_middleware),  WEB_TEST(calls_without_a_handler),
        WEB_TEST(keys_of_an_application), WEB_TEST(no_application),
        WEB_TEST(command_lines),          WEB_TEST(no_response),
        WEB_TEST(calls_of_a_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
