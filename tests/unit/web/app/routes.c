/* Tests of registering routes: single ones, tables, their arguments and their mistakes. */
#include "../web_check.h"

static tepal_res *show_arg(tepal_req *req)
{
    const char *arg = tepal_req_arg(req);
    return tepal_text(req, 200, arg ? arg : "none");
}

/* Answers what has no route. */
static tepal_res *show_arg_of_none(tepal_req *req, tepal_next *next)
{
    if (!tepal_req_pattern(req))
        return show_arg(req);
    return tepal_next_call(next, req);
}

static void arguments(void **state)
{
    (void)state;
    static const tepal_route table[] = {
        { .method = "GET", .pattern = "/a", .handler = show_arg, .arg = "first" },
        { .method = "GET", .pattern = "/b", .handler = show_arg, .arg = "second" },
        { 0 },
    };
    tepal_routes(app, table);
    tepal_add_route(
        app,
        &(tepal_route){ .method = "PUT", .pattern = "/a", .handler = show_arg, .arg = "third" });
    tepal_get(app, "/c", show_arg);
    tepal_use(app, show_arg_of_none, "not this");
    start(NULL);
    assert_reply(get("/a"), 200, "first");
    assert_reply(get("/b"), 200, "second");
    assert_reply(ask("PUT", "/a", NULL, ""), 200, "third");
    assert_reply(get("/c"), 200, "none");
    assert_reply(get("/d"), 200, "none");
}

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        tepal_route route;
        const char *text;
    } rows[] = {
        { { 0 }, "tepal_add_route: the route is NULL, or nothing of it is set" },
        { { .pattern = "/a", .handler = ok },
          "tepal_add_route: the method of a route is NULL: /a" },
        { { .handler = ok },
          "tepal_add_route: the method of a route is NULL: one without a pattern" },
        { { .method = "GET", .handler = ok }, "route GET: the pattern is NULL" },
        { { .method = "GET", .pattern = "/a" }, "route GET /a: the handler is NULL" },
        { { .method = "GET", .pattern = "/a", .handler = ok, .later = { 1 } },
          "a route is not initialised, or made for a newer tepal" },
        { { .method = "GET", .pattern = "/a", .handler = ok, .later = { [7] = 1 } },
          "a route is not initialised, or made for a newer tepal" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        tepal_add_route(app, &rows[i].route);
        assert_string_equal(tepal_app_error_text(app), rows[i].text);
        assert_refused(NULL, rows[i].text);
        again();
    }
    tepal_add_route(app, NULL);
    assert_string_equal(tepal_app_error_text(app), rows[0].text);
    tepal_add_route(NULL, &rows[1].route);
}

static void table_that_is_not_initialised(void **state)
{
    (void)state;
    tepal_route table[2] = { { .method = "GET", .pattern = "/a", .handler = ok, .later = { 7 } } };
    tepal_routes(app, table);
    assert_string_equal(tepal_app_error_text(app),
                        "a route is not initialised, or made for a newer tepal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(arguments),
        WEB_TEST(mistakes),
        WEB_TEST(table_that_is_not_initialised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
