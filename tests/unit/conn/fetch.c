/* Tests of requests that are written from options. */
#include "../check.h"

#include "base/mem.h"
#include "conn/fetch.h"

#include <tepal/http_error.h>
#include <tepal/log.h>

static struct buf out;
static char said[500];

static void keep_line(tepal_log_level level, const char *text, void *arg)
{
    (void)level;
    (void)arg;
    snprintf(said, sizeof(said), "%s", text);
}

static int setup(void **state)
{
    (void)state;
    buf_init(&out, 1 << 20);
    *said = '\0';
    tepal_log_set_fn(keep_line, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_clear(&out);
    tepal_log_set_fn(NULL, NULL);
    return 0;
}

static int write_request(const char *target, const tepal_fetch_options *options)
{
    out.len = 0;
    int rc = fetch_write(&out, "call", "host:8", target, options);
    assert_int_equal(buf_reserve(&out, 1), 0);
    out.data[out.len] = '\0';
    return rc;
}

static void assert_written(const char *target, const tepal_fetch_options *options, const char *text)
{
    assert_int_equal(write_request(target, options), 0);
    assert_string_equal(out.data, text);
}

static void heads(void **state)
{
    (void)state;
    const tepal_pair query[] = { { "a", "1 & 2" }, { "b/", "\xc3\xa4" }, { "c", NULL }, { 0 } };
    const tepal_pair none[] = { { 0 } };
    const tepal_pair headers[] = { { "X-A", "b" }, { "X-B", NULL }, { "X-A", "" }, { 0 } };
    const tepal_pair other_host[] = { { "hOST", "other" }, { 0 } };
    const tepal_pair no_host[] = { { "host", NULL }, { 0 } };
    assert_written("/", NULL, "GET / HTTP/1.1\r\nHost: host:8\r\n\r\n");
    assert_written("/x", &(tepal_fetch_options){ .method = "HEAD", .headers = headers },
                   "HEAD /x HTTP/1.1\r\nHost: host:8\r\nX-A: b\r\nX-A: \r\n\r\n");
    assert_written("/", &(tepal_fetch_options){ .query = query },
                   "GET /?a=1%20%26%202&b%2F=%C3%A4&c HTTP/1.1\r\nHost: host:8\r\n\r\n");
    assert_written("/?z=1", &(tepal_fetch_options){ .query = query + 2 },
                   "GET /?z=1&c HTTP/1.1\r\nHost: host:8\r\n\r\n");
    assert_written("/", &(tepal_fetch_options){ .query = none, .headers = none },
                   "GET / HTTP/1.1\r\nHost: host:8\r\n\r\n");
    assert_written("/", &(tepal_fetch_options){ .headers = other_host },
                   "GET / HTTP/1.1\r\nhOST: other\r\n\r\n");
    assert_written("/", &(tepal_fetch_options){ .headers = no_host }, "GET / HTTP/1.1\r\n\r\n");
}

static void bodies(void **state)
{
    (void)state;
    const tepal_pair form[] = { { "a", "1+1" }, { "b", "" }, { 0 } }, empty[] = { { 0 } };
    const tepal_pair own[] = { { "content-type", "a/b" }, { "Content-length", "7" }, { 0 } };
    const tepal_pair chunked[] = { { "Transfer-Encoding", "chunked" }, { 0 } };
#define HEAD(method, type, length)                                                            \
    method " / HTTP/1.1\r\nHost: host:8\r\nContent-Type: " type "\r\nContent-Length: " length \
           "\r\n\r\n"
    assert_written("/", &(tepal_fetch_options){ .text = "hi" },
                   HEAD("POST", "text/plain; charset=utf-8", "2") "hi");
    assert_written("/", &(tepal_fetch_options){ .text = "", .method = "GET" },
                   HEAD("GET", "text/plain; charset=utf-8", "0"));
    assert_written("/", &(tepal_fetch_options){ .form = form },
                   HEAD("POST", "application/x-www-form-urlencoded", "10") "a=1%2B1&b=");
    assert_written("/", &(tepal_fetch_options){ .form = empty },
                   HEAD("POST", "application/x-www-form-urlencoded", "0"));
    assert_written("/",
                   &(tepal_fetch_options){ .json = json_pack("{s:i}", "a", 1), .method = "PUT" },
                   HEAD("PUT", "application/json", "7") "{\"a\":1}");
    assert_written("/", &(tepal_fetch_options){ .json = json_null(), .content_type = "x/y" },
                   HEAD("POST", "x/y", "4") "null");
    assert_written("/", &(tepal_fetch_options){ .text = "hi", .headers = own },
                   "POST / HTTP/1.1\r\nHost: host:8\r\ncontent-type: a/b\r\nContent-length: "
                   "7\r\n\r\nhi");
    assert_written("/", &(tepal_fetch_options){ .text = "0\r\n\r\n", .headers = chunked },
                   "POST / HTTP/1.1\r\nHost: host:8\r\nTransfer-Encoding: chunked\r\nContent-Type: "
                   "text/plain; charset=utf-8\r\n\r\n0\r\n\r\n");
    /* Octets, with a NUL among them. */
    const tepal_fetch_options octets = { .data = { "\0\xff\0", 3 } };
    assert_int_equal(write_request("/", &octets), 0);
    const char head[] = HEAD("POST", "application/octet-stream", "3");
    assert_int_equal(out.len, sizeof(head) - 1 + 3);
    assert_memory_equal(out.data, head, sizeof(head) - 1);
    assert_memory_equal(out.data + sizeof(head) - 1, "\0\xff\0", 3);
    /* Methods that mean to have a body say that there is none. */
    assert_written("/", &(tepal_fetch_options){ .method = "PATCH" },
                   "PATCH / HTTP/1.1\r\nHost: host:8\r\nContent-Length: 0\r\n\r\n");
    assert_written("/", &(tepal_fetch_options){ .method = "DELETE" },
                   "DELETE / HTTP/1.1\r\nHost: host:8\r\n\r\n");
}

static void methods(void **state)
{
    (void)state;
    assert_string_equal(fetch_method(NULL), "GET");
    assert_string_equal(fetch_method(&(tepal_fetch_options){ .query = NULL }), "GET");
    assert_string_equal(fetch_method(&(tepal_fetch_options){ .text = "" }), "POST");
    assert_string_equal(fetch_method(&(tepal_fetch_options){ .text = "", .method = "GET" }), "GET");
}

static void refusals(void **state)
{
    (void)state;
    const tepal_pair line_end[] = { { "X", "a\r\nY: b" }, { 0 } },
                     space[] = { { "X Y", "a" }, { 0 } };
    assert_int_equal(write_request("/", &(tepal_fetch_options){ .headers = line_end }),
                     TEPAL_EFIELD);
    assert_int_equal(write_request("/", &(tepal_fetch_options){ .headers = space }), TEPAL_EFIELD);
    assert_int_equal(
        write_request("/", &(tepal_fetch_options){ .text = "", .content_type = "a\nb: c" }),
        TEPAL_EFIELD);
    assert_string_equal(said, "");
    assert_int_equal(write_request("/", &(tepal_fetch_options){ .method = "A B" }), -EINVAL);
    assert_string_equal(said, "call: the method is no token");
    /* JSON is taken over in any case: leaks are the sanitizer's to find. */
    assert_int_equal(
        write_request("/", &(tepal_fetch_options){ .text = "", .json = json_object() }), -EINVAL);
    assert_string_equal(said, "call: the request has more than one body");
    json_t *circle = json_array();
    json_array_append(circle, circle);
    json_t *inner = json_array();
    json_array_append(circle, inner);
    json_array_append(inner, circle);
    assert_int_equal(write_request("/", &(tepal_fetch_options){ .json = json_incref(circle) }),
                     TEPAL_EJSON);
    json_array_clear(circle);
    json_decref(inner);
    json_decref(circle);
    assert_int_equal(write_request("/", &(tepal_fetch_options){ .later = { [23] = 1 } }), -EINVAL);
    assert_string_equal(said, "call: the options are not initialised, or made for a newer tepal");
}

static void shortage_of_memory(void **state)
{
    (void)state;
    const tepal_pair form[] = { { "name", "value" }, { 0 } };
    for (int kind = 0; kind < 2; kind++)
        for (size_t n = 1;; n++) {
            tepal_fetch_options options = { .query = form };
            if (kind == 0)
                options.form = form;
            else
                options.json = json_pack("[s, i]", "text", 7);
            buf_clear(&out);
            mem_fail_nth(n, 0);
            int rc = fetch_write(&out, "call", "host", "/", &options);
            bool failed = mem_failures() > 0;
            mem_fail_nth(0, 0);
            assert_int_equal(rc, failed ? -ENOMEM : 0);
            if (!failed)
                break;
        }
}

#define FETCH_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FETCH_TEST(heads),
        FETCH_TEST(bodies),
        FETCH_TEST(methods),
        FETCH_TEST(refusals),
        FETCH_TEST(shortage_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
