/* Tests of heads that come in parts: what is kept between two of them, and what is not. */
#include "../web_check.h"

#include "async/loop/loop.h"
#include "base/mem.h"
#include "web/app/application.h"
#include "web/exchange/connection.h"
#include "web/exchange/partial_head.h"

static tepal_res *show(tepal_req *req)
{
    const char *field = tepal_req_header(req, "X-Last");
    return tepal_textf(req, 200, "%s %s %s", tepal_req_method(req), tepal_req_target(req),
                       field ? field : "-");
}

static struct connection *the_connection(void)
{
    return CONTAINER_OF(app->server->connections.next, struct connection, node);
}

static void every_split(void **state)
{
    (void)state;
    static const char text[] =
        "\r\nGET /path?q HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nX-Last: last\r\n\r\n";
    size_t len = sizeof(text) - 1;
    tepal_get(app, "/path", show);
    start(NULL);
    for (size_t first = 1; first < len - 1; first++)
        for (size_t second = first + 1; second < len; second += RUNNING_ON_VALGRIND ? 7 : 1) {
            say_octets(text, first);
            assert_null(the_connection()->task);
            assert_null(the_connection()->http.in); /* no buffer while it waits */
            assert_non_null(the_connection()->partial);
            say_octets(text + first, second - first);
            say_octets(text + second, len - second);
            assert_reply(hear("GET"), 200, "GET /path?q last");
            assert_null(the_connection()->partial);
        }
}

/* Larger than the buffer that the connection begins with. */
static void large_heads(void **state)
{
    (void)state;
    static char text[32 * 1024];
    tepal_get(app, "/", show);
    start(NULL);
    int n = sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 6; i++) {
        n += sprintf(text + n, "X-%d: ", i);
        memset(text + n, 'x', 5000);
        n += sprintf(text + n + 5000, "\r\n") + 5000;
    }
    n += sprintf(text + n, "X-Last: last\r\n\r\n");
    for (size_t step = 997; step < (size_t)n; step += 3001) {
        for (size_t at = 0; at < (size_t)n; at += step)
            say_octets(text + at, (size_t)n - at < step ? (size_t)n - at : step);
        assert_reply(hear("GET"), 200, "GET / last");
        say_octets(text, (size_t)n); /* whole, and the next one on the same connection */
        assert_reply(hear("GET"), 200, "GET / last");
    }
}

/* What is kept is as large as what has come, and is given back when the client goes. */
static void given_up(void **state)
{
    (void)state;
    tepal_get(app, "/", show);
    start(NULL);
    say("GET / HTTP/1.1\r\nHost: a\r\nX");
    assert_non_null(the_connection()->partial);
    tepal_test_disconnect(client);
    assert_int_equal(app->server->n_connections, 0);
    say("GET / HTTP/1.1\r\nHost: a\r\nX");
    tepal_test_shutdown(client);
    assert_gone();
    assert_int_equal(app->server->n_connections, 0);
}

static void keep_and_restore(void **state)
{
    (void)state;
    struct loop *loop = calloc(1, sizeof(*loop));
    assert_int_equal(loop_open(loop, 0), 0);
    static const struct h1_conn_limits limits = { .max_input = 64 * 1024 };
    struct h1_conn http = { .limits = &limits };
    struct message_field fields[4], other[4];
    struct h1_head head, restored;
    struct partial_head *partial = NULL;
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    h1_head_init(&head, false, fields);
    assert_int_equal(partial_head_restore(&partial, &http, &head), 0); /* there is none */
    assert_int_equal(h1_conn_reserve_input(&http), 0);
    http.in_start = 100;
    memcpy(http.in + 100, text, sizeof(text) - 1);
    http.in_end = 100 + sizeof(text) - 1;
    const struct h1_limits head_limits = { 100, 1000, 4 };
    assert_int_equal(h1_parse(&head, http.in + 100, sizeof(text) - 1, &head_limits), 0);
    mem_fail_nth(1, 0);
    assert_int_equal(partial_head_keep(&partial, &http, &head), -ENOMEM);
    assert_null(partial);
    assert_int_equal(partial_head_keep(&partial, &http, &head), 0);
    h1_conn_release_input(&http);
    h1_head_init(&restored, false, other);
    assert_int_equal(partial_head_restore(&partial, &http, &restored), 0);
    assert_null(partial);
    assert_int_equal(http.in_end - http.in_start, sizeof(text) - 1);
    assert_memory_equal(http.in + http.in_start, text, sizeof(text) - 1);
    assert_ptr_equal(restored.message.fields, other);
    assert_int_equal(restored.message.n_fields, 1);
    assert_int_equal(other[0].name, fields[0].name);
    assert_int_equal(other[0].name_len, fields[0].name_len);
    assert_int_equal(other[0].value, fields[0].value);
    assert_int_equal(other[0].value_len, fields[0].value_len);
    assert_int_equal(other[0].id, fields[0].id);
    memcpy(http.in + http.in_end, "y\r\n\r\n", 5);
    assert_int_equal(
        h1_parse(&restored, http.in + http.in_start, sizeof(text) - 1 + 5, &head_limits),
        sizeof(text) - 1 + 5);
    h1_conn_release_input(&http);
    partial_head_free(NULL);
    loop_close(loop);
    free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(every_split),
        WEB_TEST(large_heads),
        WEB_TEST(given_up),
        cmocka_unit_test(keep_and_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
