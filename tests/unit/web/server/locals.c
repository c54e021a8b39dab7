/* Tests of what a handler leaves behind in its task, which serves other requests afterwards. */
#include "../web_check.h"

#include "base/mem.h"

static const tepal_key WHO = { "who" }, WHERE = { "where" };

static const char *text_of(const tepal_key *key)
{
    const char *value = tepal_task_local(key);
    return value ? value : "-";
}

static tepal_res *show(tepal_req *req)
{
    return tepal_textf(req, 200, "%s %s", text_of(&WHO), text_of(&WHERE));
}

static tepal_res *set_both(tepal_req *req)
{
    if (tepal_task_set_local(&WHO, "handler") < 0 || tepal_task_set_local(&WHERE, "here") < 0)
        return tepal_fail(req, -ENOMEM);
    return show(req);
}

static int set_in_child(void *arg)
{
    (void)arg;
    return tepal_task_set_local(&WHO, "child");
}

static tepal_res *spawn(tepal_req *req)
{
    int rc = tepal_spawn(tepal_req_group(req), set_in_child, NULL, NULL);
    if (rc == 0)
        rc = tepal_group_wait(tepal_req_group(req));
    return rc < 0 ? tepal_fail(req, rc) : show(req);
}

static tepal_res *middleware(tepal_req *req, tepal_next *next)
{
    if (tepal_req_query(req, "who"))
        (void)!tepal_task_set_local(&WHO, "middleware");
    return tepal_next_call(next, req);
}

static int set_at_startup(tepal_app *served, void *arg)
{
    (void)arg;
    (void)served;
    return tepal_task_set_local(&WHO, "startup");
}

static void register_routes(void)
{
    tepal_use(app, middleware, NULL);
    tepal_get(app, "/show", show);
    tepal_get(app, "/set", set_both);
    tepal_get(app, "/spawn", spawn);
}

static void gone_with_the_request(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        register_routes();
        if (i > 0)
            tepal_on_startup(app, set_at_startup, NULL);
        start(NULL);
        const char *initial = i > 0 ? "startup -" : "- -";
        for (int k = 0; k < 2; k++) {
            assert_reply(get("/show"), 200, initial);
            assert_reply(get("/set"), 200, "handler here");
            assert_reply(get("/show"), 200, initial);
            assert_reply(get("/show?who"), 200, "middleware -");
            assert_reply(get("/spawn"), 200, initial);
            assert_reply(get("/spawn?who"), 200, "middleware -");
            assert_reply(get("/show"), 200, initial);
        }
        again();
    }
}

/* In one task, one right after the other. */
static void gone_between_pipelined_requests(void **state)
{
    (void)state;
    register_routes();
    tepal_on_startup(app, set_at_startup, NULL);
    start(NULL);
    say("GET /set HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /show HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /show?who HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /show HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_reply(hear("GET"), 200, "handler here");
    assert_reply(hear("GET"), 200, "startup -");
    assert_reply(hear("GET"), 200, "middleware -");
    assert_reply(hear("GET"), 200, "startup -");
}

/* With values inherited, and none set, a request allocates nothing for them. */
static void inherited_at_no_cost(void **state)
{
    (void)state;
    register_routes();
    tepal_on_startup(app, set_at_startup, NULL);
    start(NULL);
    size_t costs[2];
    for (int i = 0; i < 2; i++) {
        size_t before = mem_count();
        assert_reply(get("/show"), 200, "startup -");
        costs[i] = mem_count() - before;
    }
    again();
    register_routes();
    start(NULL);
    for (int i = 0; i < 2; i++) {
        size_t before = mem_count();
        assert_reply(get("/show"), 200, "- -");
        assert_int_equal(mem_count() - before, costs[i]);
    }
}

/* --- The task that serves --------------------------------------------------------------------- */

static char answer[256];

static int ask_self(void *arg)
{
    tepal_conn *conn;
    size_t len = 0;
    static const char request[] = "GET /show HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    (void)arg;
    while (!tepal_app_url(app, 0))
        if (tepal_sleep_ms(1) < 0)
            return -ETIMEDOUT;
    int port = atoi(strrchr(tepal_app_url(app, 0), ':') + 1);
    int rc = tepal_conn_open(&conn, "127.0.0.1", (uint16_t)port, NULL);
    if (rc < 0)
        return rc;
    rc = tepal_conn_write(conn, request, sizeof(request) - 1);
    ssize_t n = rc;
    while (n >= 0 && (n = tepal_conn_read(conn, answer + len, sizeof(answer) - 1 - len)) > 0)
        len += (size_t)n;
    tepal_conn_close(conn);
    tepal_app_stop(app);
    return (int)n;
}

static int serve(void *arg)
{
    tepal_group *group = tepal_group_new();
    int rc = tepal_spawn(group, ask_self, arg, NULL);
    if (rc == 0)
        rc = tepal_task_set_local(&WHERE, "caller");
    if (rc == 0)
        rc = tepal_serve(app, &(tepal_run_options){ .host = "127.0.0.1",
                                                    .port = TEPAL_ANY_PORT,
                                                    .access_log.off = true });
    if (rc == 0)
        rc = tepal_group_wait(group);
    tepal_group_close(group);
    return rc;
}

static void inherited_from_the_task_that_serves(void **state)
{
    (void)state;
    register_routes();
    tepal_on_startup(app, set_at_startup, NULL);
    memset(answer, 0, sizeof(answer));
    assert_int_equal(tepal_main(serve, NULL), 0);
    assert_non_null(strstr(answer, "\r\n\r\nstartup caller"));
}

/* --- A shield --------------------------------------------------------------------------------- */

static tepal_res *leave_shield(tepal_req *req)
{
    (void)tepal_shield_begin_ms(1000);
    return show(req);
}

static void ask_it(void *arg)
{
    get(arg);
}

static void no_shield_is_left_behind(void **state)
{
    (void)state;
    tepal_get(app, "/shield", leave_shield);
    start(NULL);
    assert_misuse(ask_it, "/shield",
                  "tepal_shield_begin_ms: the function ended without tepal_shield_end()");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(gone_with_the_request),    WEB_TEST(gone_between_pipelined_requests),
        WEB_TEST(inherited_at_no_cost),     WEB_TEST(inherited_from_the_task_that_serves),
        WEB_TEST(no_shield_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
