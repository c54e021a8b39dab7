/* Tests of setting cookies: what is careful is the default. No server carries TLS yet, so whether a
 * request came by HTTPS is what these tests say. */
#include "../web_check.h"

static const char *scheme = "http";

const char *__wrap_tepal_req_scheme(const tepal_req *req);
const char *__wrap_tepal_req_scheme(const tepal_req *req)
{
    (void)req;
    return scheme;
}

static const char *cookie_name, *cookie_value;
static tepal_cookie_options cookie_options;
static int result;

static tepal_res *set_it(tepal_req *req)
{
    tepal_res *res = ok(req);
    result = tepal_res_set_cookie(res, cookie_name, cookie_value, &cookie_options);
    return res;
}

static tepal_res *set_plainly(tepal_req *req)
{
    tepal_res *res = ok(req);
    result = tepal_res_set_cookie(res, "a", "1", NULL);
    return res;
}

static tepal_res *forget_it(tepal_req *req)
{
    tepal_res *res = ok(req);
    result = tepal_res_remove_cookie(res, cookie_name, &cookie_options);
    return res;
}

static tepal_res *forget_plainly(tepal_req *req)
{
    tepal_res *res = ok(req);
    result = tepal_res_remove_cookie(res, "a", NULL);
    return res;
}

static void begin(void)
{
    tepal_get(app, "/set", set_it);
    tepal_get(app, "/plain", set_plainly);
    tepal_get(app, "/forget", forget_it);
    tepal_get(app, "/forget-plainly", forget_plainly);
    start(NULL);
}

struct row {
    const char *name;
    tepal_cookie_options options;
    const char *attributes; /* or what the log says */
};

static void expect(const char *on, const struct row *row)
{
    char expected[256];
    scheme = on;
    cookie_name = row->name;
    cookie_value = "x";
    cookie_options = row->options;
    snprintf(expected, sizeof(expected), "%s=x; %s", row->name, row->attributes);
    assert_field(get("/set"), "Set-Cookie", expected);
    assert_int_equal(result, 0);
}

static void attributes(void **state)
{
    (void)state;
    static const struct row by_http[] = {
        { "a", { 0 }, "Path=/; HttpOnly; SameSite=Lax" },
        { "a", { .insecure = true }, "Path=/; HttpOnly; SameSite=Lax" },
        { "a", { .script = true }, "Path=/; SameSite=Lax" },
        { "a", { .same_site = TEPAL_SAME_SITE_LAX }, "Path=/; HttpOnly; SameSite=Lax" },
        { "a", { .same_site = TEPAL_SAME_SITE_STRICT }, "Path=/; HttpOnly; SameSite=Strict" },
        { "a", { .same_site = TEPAL_SAME_SITE_UNSET }, "Path=/; HttpOnly" },
        { "a", { .same_site = TEPAL_SAME_SITE_NONE }, "Path=/; Secure; HttpOnly; SameSite=None" },
        { "a", { .partitioned = true }, "Path=/; Secure; HttpOnly; SameSite=Lax; Partitioned" },
        { "__Host-a", { 0 }, "Path=/; Secure; HttpOnly; SameSite=Lax" },
        { "__secure-a", { .script = true }, "Path=/; Secure; SameSite=Lax" },
        { "a",
          { .path = "/x", .domain = "example.org", .max_age_s = 60 },
          "Max-Age=60; Domain=example.org; Path=/x; HttpOnly; SameSite=Lax" },
        { "a", { .max_age_s = -1 }, "Max-Age=-1; Path=/; HttpOnly; SameSite=Lax" },
    };
    static const struct row by_https[] = {
        { "a", { 0 }, "Path=/; Secure; HttpOnly; SameSite=Lax" },
        { "a", { .script = true }, "Path=/; Secure; SameSite=Lax" },
        { "a", { .insecure = true }, "Path=/; HttpOnly; SameSite=Lax" },
    };
    begin();
    for (size_t i = 0; i < sizeof(by_http) / sizeof(*by_http); i++)
        expect("http", &by_http[i]);
    for (size_t i = 0; i < sizeof(by_https) / sizeof(*by_https); i++)
        expect("https", &by_https[i]);
    assert_field(get("/plain"), "Set-Cookie", "a=1; Path=/; Secure; HttpOnly; SameSite=Lax");
    scheme = "http";
    assert_field(get("/plain"), "Set-Cookie", "a=1; Path=/; HttpOnly; SameSite=Lax");
}

static void forgotten(void **state)
{
    (void)state;
    begin();
    scheme = "http";
    assert_field(get("/forget-plainly"), "Set-Cookie",
                 "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; HttpOnly; "
                 "SameSite=Lax");
    cookie_name = "__Secure-b";
    cookie_options = (tepal_cookie_options){ .path = "/y", .max_age_s = 7, .script = true };
    assert_field(get("/forget"), "Set-Cookie",
                 "__Secure-b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/y; Secure; "
                 "SameSite=Lax");
    assert_int_equal(result, 0);
}

/* The response is a 500, and the log says why. */
static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        tepal_cookie_options options;
        int error;
        const char *why;
    } rows[] = {
        { "", "x", { 0 }, TEPAL_EFIELD, "a forbidden character" },
        { "a b", "x", { 0 }, TEPAL_EFIELD, "a forbidden character" },
        { "a=b", "x", { 0 }, TEPAL_EFIELD, "a forbidden character" },
        { "a", "x;y", { 0 }, TEPAL_EFIELD, "a forbidden character" },
        { "a", "x\r\ny", { 0 }, TEPAL_EFIELD, "a forbidden character" },
        { "a", "x y", { 0 }, TEPAL_EFIELD, "a forbidden character" },
        { "a", "\"", { 0 }, TEPAL_EFIELD, "a forbidden character" },
        { "a", "x,y", { 0 }, TEPAL_EFIELD, "a forbidden character" },
        { "a", "\xc3\xa9", { 0 }, TEPAL_EFIELD, "a forbidden character" },
        { "a", "x", { .path = "/;x" }, TEPAL_EFIELD, "a forbidden character" },
        { "a", "x", { .domain = "a;b" }, TEPAL_EFIELD, "a forbidden character" },
        { "a", "x", { .path = "/\n" }, TEPAL_EFIELD, "a forbidden character" },
        { "a",
          "x",
          { .same_site = TEPAL_SAME_SITE_NONE, .insecure = true },
          TEPAL_EFIELD,
          "tepal_res_set_cookie: browsers would drop the cookie \"a\": SameSite=None must be "
          "secure" },
        { "a", "x", { .partitioned = true, .insecure = true }, TEPAL_EFIELD, "Partitioned must" },
        { "__Host-a", "x", { .domain = "a.b" }, TEPAL_EFIELD, "__Host- must have no domain" },
        { "__Host-a", "x", { .path = "/x" }, TEPAL_EFIELD, "__Host- must have the path" },
        { "__Secure-a", "x", { .insecure = true }, TEPAL_EFIELD, "this prefix must be secure" },
        { "a", NULL, { 0 }, -EINVAL, "the value of a is NULL" },
        { NULL, "x", { 0 }, -EINVAL, "the name is NULL" },
        { "a",
          "x",
          { .later = { 1 } },
          -EINVAL,
          "tepal_res_set_cookie: the options are not "
          "initialised" },
        { "a", "x", { .later = { 0, 0, 0, 1 } }, -EINVAL, "the options are not initialised" },
    };
    begin();
    scheme = "http";
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        cookie_name = rows[i].name;
        cookie_value = rows[i].value;
        cookie_options = rows[i].options;
        log_forget();
        tepal_test_reply *reply = get("/set");
        assert_reply(reply, 500, NULL);
        assert_field(reply, "Set-Cookie", NULL);
        assert_int_equal(result, rows[i].error);
        if (!strstr(logged(), rows[i].why))
            fail_msg("\"%s\" is not in the log: %s", rows[i].why, logged());
        assert_ptr_equal(strchr(logged(), '\n') + 1, logged() + strlen(logged())); /* one line */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { WEB_TEST(attributes), WEB_TEST(forgotten),
                                        WEB_TEST(refused) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
