/* Tests of the URLs of named routes. */
#include "../web_check.h"

static const char *name_, *variable, *value;

static tepal_res *build(tepal_req *req)
{
    const char *url =
        tepal_req_url(req, name_, (tepal_pair[]){ { variable, value }, { "other", "o" }, { 0 } });
    return tepal_text(req, 200, url ? url : "(null)");
}

static const tepal_route table[] = {
    { "GET", "/fixed/caf\xc3\xa9%20x/", build, .name = "fixed" },
    { "GET", "/u/{x}", ok, .name = "user" },
    { "GET", "/i/{x:int}/edit", ok, .name = "int" },
    { "GET", "/r/{x:[a-z]{2}}", ok, .name = "regex" },
    { "GET", "/m/{x}.{other}-v", ok, .name = "mixed" },
    { "GET", "/p/{x:path}", ok, .name = "path" },
    { "GET", "/s%2Ft/{x}", ok, .name = "slash" },
    { "POST", "/u/{x}", ok, .name = "a.b:c-d" },
    { "GET", "/build", build },
    { 0 },
};

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *name, *variable, *value, *url, *log;
    } rows[] = {
        { "fixed", "x", "1", "/fixed/caf%C3%A9%20x/", NULL },
        { "user", "x", "7", "/u/7", NULL },
        { "user", "x", "a b/c?d#e%f", "/u/a%20b%2Fc%3Fd%23e%25f", NULL },
        { "user", "x", "\xc3\xa9", "/u/%C3%A9", NULL },
        { "user", "x", "a:b@c;d=e&f,g+h~", "/u/a:b@c;d=e&f,g+h~", NULL },
        { "int", "x", "-5", "/i/-5/edit", NULL },
        { "regex", "x", "ab", "/r/ab", NULL },
        { "mixed", "x", "a", "/m/a.o-v", NULL },
        { "path", "x", "a/b c/d", "/p/a/b%20c/d", NULL },
        { "path", "x", "", "/p/", NULL },
        { "slash", "x", "y", "/s%2Ft/y", NULL },
        { "a.b:c-d", "x", "y", "/u/y", NULL },
        { "user", "y", "7", "(null)", "tepal_req_url: no value for \"x\"" },
        { "user", "x", NULL, "(null)", "tepal_req_url: no value for \"x\"" },
        { "none", "x", "7", "(null)", "tepal_req_url: no route is named \"none\"" },
    };
    tepal_routes(app, table);
    start(NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        name_ = rows[i].name;
        variable = rows[i].variable;
        value = rows[i].value;
        tepal_test_reply *reply = get("/build");
        assert_reply(reply, 200, rows[i].url);
        /* What is built leads back to the route. */
        if (!rows[i].log && strcmp(rows[i].name, "fixed") != 0)
            assert_reply(ask(rows[i].name[0] == 'a' ? "POST" : "GET", rows[i].url, NULL, NULL), 200,
                         "ok");
        if (rows[i].log)
            assert_non_null(strstr(logged(), rows[i].log));
        log_forget();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { WEB_TEST(urls) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
