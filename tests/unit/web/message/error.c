/* Tests of error pages, and of what becomes of a failure. */
#include "../web_check.h"

/* --- Error pages ------------------------------------------------------------------------------ */

static tepal_res *make_error(tepal_req *req)
{
    const char *message = tepal_req_query(req, "m");
    if (!message)
        message = tepal_req_header(req, "M");
    int status = (int)tepal_req_match_int(req, "status");
    return message ? tepal_error(req, status, message) : tepal_error(req, status, NULL);
}

static void error_pages(void **state)
{
    (void)state;
    static const char text[] = "text/plain; charset=utf-8", html[] = "text/html; charset=utf-8",
                      json[] = "application/json";
    static const struct {
        const char *accept, *type;
    } rows[] = {
        { NULL, text },
        { "Accept: */*", text },
        { "Accept:", text },
        { "Accept: text/html", html },
        { "Accept: application/json", json },
        { "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
          html },
        { "Accept: application/json, text/html", html },
        { "Accept: application/json, text/html;q=0.9", json },
        { "Accept: application/json;q=0.1, text/html;q=0.2, text/plain;q=0.3", text },
        { "Accept: application/json;q=0.3, text/html;q=0.2, text/plain;q=0.1", json },
        { "Accept: application/json;q=0, text/html;q=0.001", html },
        { "Accept: application/*", json },
        { "Accept: text/*", text },
        { "Accept: image/png", text },
        { "Accept: TEXT/HTML; Q=1.0", html },
    };
    tepal_get(app, "/{status:int}", make_error);
    start(NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        tepal_test_reply *reply = ask("GET", "/404", rows[i].accept, NULL);
        if (strcmp(tepal_test_header(reply, "Content-Type"), rows[i].type) != 0)
            print_error("%s\n", rows[i].accept);
        assert_field(reply, "Content-Type", rows[i].type);
    }
    assert_reply(get("/404"), 404, "404 Not Found\n");
    assert_field(get("/404"), "Vary", "Accept");
    assert_field(ask("GET", "/404", "Accept: text/html", NULL), "Vary", "Accept");
    assert_reply(get("/404?m=no%20such%20thing"), 404, "404 Not Found: no such thing\n");
    assert_reply(get("/404?m=Not%20Found"), 404, "404 Not Found\n");
    assert_reply(ask("GET", "/404", "M: \xff", NULL), 404, "404 Not Found\n");
    assert_reply(ask("GET", "/422?m=a%22%5C%01", "Accept: application/json", NULL), 422,
                 "{\"status\":422,\"error\":\"a\\\"\\\\\\u0001\"}");
    assert_reply(ask("GET", "/422?m=%3Cscript%3E%26%22%27", "Accept: text/html", NULL), 422,
                 "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                 "<title>422 Unprocessable Content</title></head>\n"
                 "<body><h1>422 Unprocessable Content</h1>\n"
                 "<p>&lt;script&gt;&amp;&quot;&#39;</p></body></html>\n");
}

static void preferred_error_pages(void **state)
{
    (void)state;
    tepal_app_set_error_pages(app, "application/json");
    start(NULL);
    assert_reply(get("/none"), 404, "{\"status\":404,\"error\":\"Not Found\"}");
    assert_reply(ask("GET", "/none", "Accept: */*", NULL), 404,
                 "{\"status\":404,\"error\":\"Not Found\"}");
    assert_reply(ask("GET", "/none", "Accept: text/plain", NULL), 404, "404 Not Found\n");
    again();
    tepal_app_set_error_pages(app, "text/xml");
    assert_refused(NULL, "tepal_app_set_error_pages: no pages are made of type text/xml");
}

static int failure;

static tepal_res *fail_with(tepal_req *req)
{
    return tepal_fail(req, failure);
}

static void failures(void **state)
{
    (void)state;
    static const struct {
        int error, status;
        const char *body;
    } rows[] = {
        { TEPAL_EBODY_SIZE, 413, "413 Content Too Large: body too large\n" },
        { TEPAL_EREQUEST_MEMORY, 413, NULL },
        { TEPAL_EMESSAGE, 400, NULL },
        { TEPAL_ECLOSED, 400, NULL },
        { TEPAL_EJSON, 400, NULL },
        { TEPAL_ECHARSET, 400, NULL },
        { -ETIMEDOUT, 504, "504 Gateway Timeout\n" },
        { -ETIME, 504, "504 Gateway Timeout\n" },
        { -EBUSY, 503, "503 Service Unavailable\n" },
        { -EAGAIN, 503, NULL },
        { -EMFILE, 503, NULL },
        { -ECANCELED, 503, NULL },
        { -EIO, 500, "500 Internal Server Error\n" },
        { -ENOENT, 500, "500 Internal Server Error\n" },
        { -ENOMEM, 500, NULL },
        { TEPAL_EFIELD, 500, NULL },
        { 0, 500, NULL },
        { 5, 500, NULL },
    };
    tepal_get(app, "/", fail_with);
    start(NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        failure = rows[i].error;
        assert_reply(get("/"), rows[i].status, rows[i].body);
        bool told = rows[i].status >= 500 && rows[i].error != -ECANCELED;
        assert_int_equal(strstr(logged(), "GET /: ") != NULL, told);
        log_forget();
    }
}

static tepal_res *escape(tepal_req *req)
{
    return tepal_html(req, 200, tepal_html_escape(req, "a<b>&\"'\xc3\xa9"));
}

static void html_escape(void **state)
{
    (void)state;
    tepal_get(app, "/", escape);
    start(NULL);
    assert_reply(get("/"), 200, "a&lt;b&gt;&amp;&quot;&#39;\xc3\xa9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(error_pages),
        WEB_TEST(preferred_error_pages),
        WEB_TEST(failures),
        WEB_TEST(html_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
