/* Tests of the heads that are copied as a whole: they are the same, octet for octet, as those that
 * are put together from their parts. */
#include "../web_check.h"

#include "web/exchange/usual_head.h"

static size_t body_len;

static const char *body_of(tepal_req *req)
{
    char *text = tepal_req_alloc(req, body_len + 1);
    memset(text, 'x', body_len);
    text[body_len] = '\0';
    return text;
}

static tepal_res *text(tepal_req *req)
{
    return tepal_text(req, 200, body_of(req));
}

static tepal_res *html(tepal_req *req)
{
    return tepal_html(req, 200, body_of(req));
}

static tepal_res *json(tepal_req *req)
{
    return tepal_jsonf(req, 200, "s", body_of(req));
}

/* The same head from its parts: a reason makes it one that is not usual. */
static tepal_res *in_parts(tepal_req *req, tepal_next *next)
{
    tepal_res *res = tepal_next_call(next, req);
    if (tepal_req_header(req, "X-Parts"))
        tepal_res_set_status(res, 200, "OK");
    return res;
}

static tepal_res *own_type(tepal_req *req)
{
    tepal_res *res = text(req);
    tepal_res_set_header(res, "Content-Type", "text/plain; charset=utf-8x");
    return res;
}

static tepal_res *own_server(tepal_req *req)
{
    tepal_res *res = text(req);
    tepal_res_set_header(res, "Server", "mine");
    return res;
}

static tepal_res *another_status(tepal_req *req)
{
    return tepal_text(req, 201, body_of(req));
}

static void same_as_from_parts(void **state)
{
    static const char *const paths[] = {
        "/text", "/html", "/json", "/type", "/server", "/created"
    };
    static const size_t lengths[] = { 0, 1, 7, 8, 9, 10, 11, 97, 98, 99, 100, 101, 12345 };
    static char usual[32 * 1024];
    (void)state;
    tepal_use(app, in_parts, NULL);
    tepal_get(app, "/text", text);
    tepal_get(app, "/html", html);
    tepal_get(app, "/json", json);
    tepal_get(app, "/type", own_type);
    tepal_get(app, "/server", own_server);
    tepal_get(app, "/created", another_status);
    start(NULL);
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        for (size_t n = 0; n < sizeof(lengths) / sizeof(*lengths); n++) {
            body_len = lengths[n];
            snprintf(usual, sizeof(usual), "%s", wire(ask("GET", paths[i], NULL, NULL)));
            if (strcmp(paths[i], "/created") != 0)
                assert_string_equal(wire(ask("GET", paths[i], "X-Parts: 1", NULL)), usual);
            snprintf(usual, sizeof(usual), "Content-Length: %zu\r\n",
                     lengths[n] + (strcmp(paths[i], "/json") == 0 ? 2 : 0));
            assert_non_null(strstr(wire(ask("GET", paths[i], NULL, NULL)), usual));
            assert_non_null(strstr(wire(ask("HEAD", paths[i], NULL, NULL)), usual));
        }
    assert_field(ask("GET", "/server", NULL, NULL), "Server", "mine");
    assert_field(ask("GET", "/type", NULL, NULL), "Content-Type", "text/plain; charset=utf-8x");
}

/* Server is an option, and may be none. */
static void fields_of_the_server(void **state)
{
    static const char *const names[] = { "", "a",
                                         "a rather long name of a server, 1.0 (its comment)" };
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        body_len = 5;
        tepal_get(app, "/text", text);
        start(&(tepal_run_options){ .server = names[i] });
        tepal_test_reply *reply = get("/text");
        assert_reply(reply, 200, "xxxxx");
        assert_field(reply, "Server", *names[i] ? names[i] : NULL);
        assert_field(reply, "Content-Type", "text/plain; charset=utf-8");
        again();
    }
}

static void made_anew(void **state)
{
    struct usual_head heads[N_USUAL] = { { 0 } };
    (void)state;
    assert_int_equal(usual_heads_init(heads, 10), 0);
    usual_heads_make(heads, "A: b\r\n", 6);
    usual_heads_make(heads, "Ab: cde\r\n", 9);
    const struct usual_head *head = usual_head_of(heads, usual_types[USUAL_JSON].text);
    static const char whole[] = "HTTP/1.1 200 OK\r\nAb: cde\r\n"
                                "Content-Type: application/json\r\nContent-Length: ";
    assert_int_equal(head->len, sizeof(whole) - 1);
    assert_memory_equal(head->text, whole, head->len);
    char copy[] = "application/json";
    assert_null(usual_head_of(heads, copy));
    assert_null(usual_head_of(heads, NULL));
    usual_heads_free(heads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(same_as_from_parts),
        WEB_TEST(fields_of_the_server),
        cmocka_unit_test(made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
