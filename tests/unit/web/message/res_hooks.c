/* Tests of the hooks that see every response before its head goes out. */
#include "../web_check.h"

static char story[256];
static int failing; /* what the last hook returns */

static int note(tepal_req *req, tepal_res *res, void *arg)
{
    strcat(story, *story ? " " : "");
    strcat(story, arg);
    int rc = tepal_res_add_header(res, "X-Hook", (const char *)arg);
    return rc < 0 ? rc : strcmp(arg, "last") == 0 && tepal_req_query(req, "fail") ? failing : 0;
}

static tepal_res *streamed(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    char written[32];
    sprintf(written, "%d", tepal_write(res, "begun", 5));
    strcat(story, " wrote ");
    strcat(story, written);
    tepal_write(res, " and ended", 10);
    return res;
}

static tepal_res *stream_without_a_piece(tepal_req *req)
{
    return tepal_stream(req, 200, "text/plain");
}

static tepal_res *with_own_hooks(tepal_req *req)
{
    int rc = tepal_req_on_response(req, note, "own1");
    if (rc == 0)
        rc = tepal_req_on_response(req, note, "own2");
    return rc == 0 ? streamed(req) : NULL;
}

static tepal_res *nothing(tepal_req *req)
{
    (void)req;
    return NULL;
}

static void start_all(void)
{
    story[0] = '\0';
    tepal_on_response(app, note, "first");
    tepal_on_response(app, note, "last");
    tepal_get(app, "/", ok);
    tepal_get(app, "/stream", streamed);
    tepal_get(app, "/empty", stream_without_a_piece);
    tepal_get(app, "/own", with_own_hooks);
    tepal_get(app, "/nothing", nothing);
    start(NULL);
}

/* The fields of both hooks are there, and each ran once. */
static void expect_hooks(const char *target, int status, const char *body, const char *told)
{
    story[0] = '\0';
    tepal_test_reply *reply = get(target);
    assert_reply(reply, status, body);
    const char *fields = strstr(wire(reply), "X-Hook: first\r\nX-Hook: last\r\n");
    assert_non_null(fields);
    assert_string_equal(story, told);
}

static void every_response(void **state)
{
    (void)state;
    start_all();
    expect_hooks("/", 200, "ok", "first last");
    expect_hooks("/stream", 200, "begun and ended", "first last wrote 0");
    expect_hooks("/empty", 200, "", "first last");
    expect_hooks("/none", 404, "404 Not Found\n", "first last");
    expect_hooks("/nothing", 500, "500 Internal Server Error\n", "first last");
    expect_hooks("/own", 200, "begun and ended", "own1 own2 first last wrote 0");
    story[0] = '\0';
    tepal_test_reply *reply = talk("GET /a b HTTP/1.1\r\n\r\n"); /* one that is refused */
    assert_int_equal(reply->status, 400);
    assert_non_null(strstr(wire(reply), "X-Hook: first\r\nX-Hook: last\r\n"));
    assert_string_equal(story, "first last");
}

static void a_hook_that_fails(void **state)
{
    (void)state;
    start_all();
    failing = -EIO;
    tepal_test_reply *reply = get("/?fail");
    assert_reply(reply, 500, "500 Internal Server Error\n");
    assert_field(reply, "X-Hook", NULL);
    assert_string_equal(story, "first last");
    assert_string_equal(logged(), "GET /?fail: a hook of tepal_on_response() failed: "
                                  "Input/output error\n");
    story[0] = '\0';
    assert_reply(get("/stream?fail"), 500, "500 Internal Server Error\n");
    char told[64];
    sprintf(told, "first last wrote %d", -EIO);
    assert_string_equal(story, told);
    failing = -EBUSY;
    assert_reply(get("/?fail"), 503, NULL);
}

/* --- What hooks may do ------------------------------------------------------------------------ */

static int change(tepal_req *req, tepal_res *res, void *arg)
{
    (void)arg;
    int rc = tepal_sleep_ms(1000);
    if (rc == 0)
        rc = tepal_res_set_status(res, 203, NULL);
    if (rc == 0)
        rc = tepal_res_set_header(res, "X-Path", tepal_req_path(req));
    return rc;
}

static int spoil(tepal_req *req, tepal_res *res, void *arg)
{
    (void)req;
    tepal_res_set_header(res, "X", (const char *)arg);
    return 0;
}

static void hooks_change_and_wait(void **state)
{
    (void)state;
    tepal_on_response(app, change, NULL);
    tepal_routes(app, (const tepal_route[]){ { "GET", "/", ok, .timeout_ms = 10 },
                                             { "GET", "/stream", streamed },
                                             { 0 } });
    start(NULL);
    tepal_test_reply *reply = get("/");
    assert_reply(reply, 203, "ok");
    assert_field(reply, "X-Path", "/");
    story[0] = '\0';
    assert_reply(get("/stream"), 203, "begun and ended");
}

static void a_hook_that_spoils(void **state)
{
    (void)state;
    tepal_on_response(app, spoil, "a\nb");
    tepal_get(app, "/", ok);
    start(NULL);
    assert_reply(get("/"), 500, "500 Internal Server Error\n");
    assert_string_equal(logged(), "GET /: tepal_res_set_header: the field \"X\" has a forbidden "
                                  "character in its value: \"a\\x0ab\"\n");
}

/* Another task begins the stream: the hooks run there. */
static tepal_res *shared;

static int write_for_it(void *arg)
{
    (void)arg;
    return tepal_write(shared, "from the background", 19);
}

static tepal_res *written_by_another(tepal_req *req)
{
    shared = tepal_stream(req, 200, "text/plain");
    int rc = tepal_spawn(tepal_app_group(tepal_req_app(req)), write_for_it, NULL, NULL);
    if (rc == 0)
        rc = tepal_sleep_ms(5000);
    return rc == 0 ? shared : NULL;
}

static void a_stream_begun_by_another_task(void **state)
{
    (void)state;
    tepal_on_response(app, change, NULL);
    tepal_get(app, "/", written_by_another);
    start(NULL);
    tepal_test_reply *reply = get("/");
    assert_reply(reply, 203, "from the background");
    assert_field(reply, "X-Path", "/");
}

/* What a hook, or a deferred function, starts in the request's group ends with the request. */
static int n_running;

static int outlive(void *arg)
{
    n_running++;
    int rc = tepal_sleep_ms(100000);
    assert_non_null(tepal_req_path(arg));
    n_running--;
    return rc;
}

static int spawn_for(tepal_req *req)
{
    int rc = tepal_spawn(tepal_req_group(req), outlive, req, NULL);
    return rc == 0 ? tepal_sleep_ms(1) : rc;
}

static int spawn_in_hook(tepal_req *req, tepal_res *res, void *arg)
{
    (void)res, (void)arg;
    return spawn_for(req);
}

static void spawn_at_the_end(void *req)
{
    assert_int_equal(spawn_for(req), 0);
    assert_int_equal(n_running, 1);
}

static tepal_res *deferring(tepal_req *req)
{
    return tepal_req_defer(req, spawn_at_the_end, req) < 0 ? NULL : ok(req);
}

static void groups_of_hooks(void **state)
{
    (void)state;
    tepal_on_response(app, spawn_in_hook, NULL);
    tepal_get(app, "/", ok);
    tepal_get(app, "/defer", deferring);
    start(NULL);
    for (int i = 0; i < 3; i++) {
        assert_reply(get("/"), 200, "ok");
        assert_int_equal(n_running, 0);
        assert_reply(get("/defer"), 200, "ok");
        assert_reply(get("/"), 200, "ok"); /* the same connection: the one before has ended */
        assert_int_equal(n_running, 0);
    }
}

static int too_late_result;

static tepal_res *too_late(tepal_req *req)
{
    tepal_res *res = streamed(req);
    too_late_result = tepal_req_on_response(req, note, "late");
    return res;
}

static tepal_res *null_hook(tepal_req *req)
{
    return tepal_req_on_response(req, NULL, NULL) < 0 ? NULL : ok(req);
}

static void wrong_use(void **state)
{
    (void)state;
    tepal_on_response(NULL, note, NULL);
    tepal_on_response(app, NULL, NULL);
    assert_string_equal(tepal_app_error_text(app), "tepal_on_response: the hook is NULL");
    again();
    story[0] = '\0';
    tepal_on_response(app, note, "first");
    tepal_get(app, "/late", too_late);
    tepal_get(app, "/null", null_hook);
    start(NULL);
    assert_reply(get("/late"), 200, "begun and ended");
    assert_int_equal(too_late_result, TEPAL_ESENT);
    assert_string_equal(story, "first wrote 0");
    log_forget();
    assert_reply(get("/null"), 500, NULL);
    assert_string_equal(logged(), "GET /null: tepal_req_on_response: the hook is NULL\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(every_response),
        WEB_TEST(a_hook_that_fails),
        WEB_TEST(hooks_change_and_wait),
        WEB_TEST(a_hook_that_spoils),
        WEB_TEST(a_stream_begun_by_another_task),
        WEB_TEST(groups_of_hooks),
        WEB_TEST(wrong_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
