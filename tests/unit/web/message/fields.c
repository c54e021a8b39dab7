/* Tests of the family of response fields: adding lists, elements of lists, taking away, going
 * through. */
#include "../web_check.h"

static tepal_res *(*make)(tepal_req *req);
static tepal_res *call_make(tepal_req *req)
{
    return make(req);
}

/* The response of the handler on the wire, without what the server writes. */
static void expect(tepal_res *(*handler)(tepal_req *req), const char *text)
{
    make = handler;
    assert_string_equal(wire(get("/")), text);
}

static int results[8];

static tepal_res *remove_them(tepal_req *req)
{
    tepal_res *res = tepal_text(req, 200, "x");
    tepal_res_add_headers(res,
                          (tepal_pair[]){ { "X-A", "1" }, { "X-B", "2" }, { "x-a", "3" }, { 0 } });
    results[0] = tepal_res_remove_header(res, "X-a");
    results[1] = tepal_res_remove_header(res, "X-A");
    results[2] = tepal_res_remove_header(res, "content-type");
    results[3] = tepal_res_remove_header(res, "Content-Type");
    results[4] = tepal_res_remove_header(res, "Content-Length");
    results[5] = tepal_res_add_headers(res, NULL);
    results[6] = tepal_res_add_header(res, "X-C", "4");
    return res;
}

static tepal_res *own_date(tepal_req *req)
{
    tepal_res *res = ok(req);
    tepal_res_set_header(res, "Date", "never");
    tepal_res_set_header(res, "Server", "mine");
    assert_int_equal(tepal_res_remove_header(res, "date"), 1);
    assert_int_equal(tepal_res_remove_header(res, "server"), 1);
    return res;
}

static void removed(void **state)
{
    (void)state;
    tepal_get(app, "/", call_make);
    start(NULL);
    expect(remove_them, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-B: 2\r\nX-C: 4\r\n\r\nx");
    static const int expected[] = { 1, 0, 1, 0, -EINVAL, 0, 0 };
    for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
        assert_int_equal(results[i], expected[i]);
    make = own_date;
    tepal_test_reply *reply = get("/");
    assert_field(reply, "Server", "tepal");
    assert_string_not_equal(tepal_test_header(reply, "Date"), "never");
}

static tepal_res *go_through(tepal_req *req)
{
    char text[256] = "";
    tepal_pair pair;
    tepal_res *res = tepal_text(req, 200, ""), *empty = tepal_empty(req, 204);
    tepal_res_add_headers(res,
                          (tepal_pair[]){ { "X-A", "1" }, { "X-B", "2" }, { "X-a", "3" }, { 0 } });
    for (size_t at = 0; tepal_res_each_header(res, &at, &pair);)
        sprintf(text + strlen(text), "[%s: %s]", pair.name, pair.value);
    tepal_res_set_header(empty, "X-D", "4");
    for (size_t at = 0; tepal_res_each_header(empty, &at, &pair);)
        sprintf(text + strlen(text), "[%s: %s]", pair.name, pair.value);
    return tepal_text(req, 200, text);
}

static void each(void **state)
{
    (void)state;
    tepal_get(app, "/", go_through);
    start(NULL);
    assert_reply(get("/"), 200,
                 "[Content-Type: text/plain; charset=utf-8][X-A: 1][X-B: 2][X-a: 3][X-D: 4]");
}

static tepal_res *add_elements(tepal_req *req)
{
    tepal_res *res = tepal_empty(req, 204);
    tepal_res_add_to_list(res, "Vary", "Accept");
    tepal_res_add_to_list(res, "vary", "Origin");
    tepal_res_add_to_list(res, "Vary", "ACCEPT");
    tepal_res_add_to_list(res, "Vary", " , Origin ,Cookie");
    tepal_res_add_header(res, "Allow", "GET, HEAD");
    tepal_res_add_header(res, "Allow", "PUT");
    tepal_res_add_to_list(res, "Allow", "HEAD");
    tepal_res_add_to_list(res, "Allow", "POST");
    tepal_res_add_header(res, "X-Q", "a=\"b, c\\\", d\"");
    tepal_res_add_to_list(res, "X-Q", "c");
    tepal_res_add_to_list(res, "X-Q", "a=\"b, c\\\", d\"");
    tepal_res_add_header(res, "X-E", "");
    tepal_res_add_to_list(res, "X-E", "e");
    return res;
}

static void elements(void **state)
{
    (void)state;
    tepal_get(app, "/", call_make);
    start(NULL);
    expect(add_elements, "HTTP/1.1 204 No Content\r\nVary: Accept, Origin, Cookie\r\n"
                         "Allow: GET, HEAD\r\nAllow: PUT, POST\r\n"
                         "X-Q: a=\"b, c\\\", d\", c\r\nX-E: e\r\n\r\n");
}

static tepal_res *add_much(tepal_req *req)
{
    char text[64];
    tepal_res *res = ok(req);
    for (int i = 0; i < 10000 && results[0] == 0; i++) {
        snprintf(text, sizeof(text), "element-%d", i);
        results[0] = tepal_res_add_to_list(res, "X-A", text);
    }
    return res;
}

static tepal_res *bad_element(tepal_req *req)
{
    tepal_res *res = ok(req);
    results[0] = tepal_res_add_to_list(res, "Vary", "a\r\nb");
    return res;
}

static tepal_res *null_element(tepal_req *req)
{
    tepal_res *res = ok(req);
    results[0] = tepal_res_add_to_list(res, "Vary", tepal_req_query(req, "none"));
    return res;
}

static tepal_res *bad_in_list(tepal_req *req)
{
    tepal_res *res = ok(req);
    results[0] = tepal_res_add_headers(res, (tepal_pair[]){ { "A", "1" }, { "b c", "2" }, { 0 } });
    return res;
}

static tepal_res *null_in_list(tepal_req *req)
{
    tepal_res *res = ok(req);
    results[0] = tepal_res_add_headers(res, (tepal_pair[]){ { "A", NULL }, { 0 } });
    return res;
}

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        tepal_res *(*make)(tepal_req *req);
        int error;
    } rows[] = { { add_much, TEPAL_EFIELD },
                 { bad_element, TEPAL_EFIELD },
                 { null_element, -EINVAL },
                 { bad_in_list, TEPAL_EFIELD },
                 { null_in_list, -EINVAL } };
    tepal_get(app, "/", call_make);
    start(&(tepal_run_options){ .limits = { .max_request_memory = 1000 * 1000 * 1000 } });
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        make = rows[i].make;
        results[0] = 0;
        assert_reply(get("/"), 500, NULL);
        assert_int_equal(results[0], rows[i].error);
    }
}

static tepal_res *after_head(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    results[0] = tepal_res_is_sent(res);
    tepal_write(res, "x", 1);
    results[1] = tepal_res_is_sent(res);
    results[2] = tepal_res_remove_header(res, "X-A");
    results[3] = tepal_res_add_to_list(res, "X-A", "b");
    results[4] = tepal_res_set_close(res);
    return res;
}

static void sent(void **state)
{
    (void)state;
    tepal_get(app, "/", after_head);
    start(NULL);
    tepal_test_reply *reply = get("/");
    assert_reply(reply, 200, "x");
    static const int expected[] = { 0, 1, TEPAL_ESENT, TEPAL_ESENT, 0 };
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(results[i], expected[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(removed), WEB_TEST(each), WEB_TEST(elements), WEB_TEST(mistakes), WEB_TEST(sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
