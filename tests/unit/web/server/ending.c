/* Tests of the connections of a server that ends: who has never asked has a moment to do so, who
 * has had an answer has none. A shutdown hook is the time between. */
#include "../web_check.h"

#include "web/app/application.h"
#include "web/server/server.h"
#include "web/testing/peer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/* What the shutdown hook does: waits so long, and then sends something. */
static struct {
    int64_t after_ms;
    int fd;
    const char *text;
} late;

static int64_t began_at, ended_at;

static int send_late(tepal_app *of, void *arg)
{
    (void)arg;
    (void)of;
    began_at = tepal_now_ms();
    tepal_sleep_ms(late.after_ms);
    (void)!send(late.fd, late.text, strlen(late.text), MSG_NOSIGNAL);
    return 0;
}

static int note_end(tepal_app *of, void *arg)
{
    (void)arg;
    (void)of;
    ended_at = tepal_now_ms();
    return 0;
}

static void serve(const tepal_run_options *options)
{
    tepal_get(app, "/", ok);
    tepal_on_shutdown(app, send_late, NULL);
    tepal_on_cleanup(app, note_end, NULL);
    start(options);
}

/* A connection on which this has been sent. */
static int attach(const char *text)
{
    int fd = testpeer_open(app->server, NULL);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    tepal_test_advance(client, 0);
    return fd;
}

/* Ends the server, with this sent so much later. Returns for how long connections were waited
 * for. */
static int64_t end_and_send(int fd, const char *text, int64_t after_ms)
{
    late.fd = fd;
    late.text = text;
    late.after_ms = after_ms;
    tepal_test_close(client);
    client = NULL;
    return ended_at - began_at;
}

/* All that has come on the connection, which is closed. */
static const char *received(int fd)
{
    static char text[4096];
    size_t len = 0;
    ssize_t n;
    while ((n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
        len += (size_t)n;
    assert_true(n == 0 || errno == ECONNRESET);
    text[len] = '\0';
    close(fd);
    return text;
}

static void assert_answered(int fd)
{
    const char *text = received(fd);
    assert_non_null(strstr(text, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(text, "\r\nConnection: close\r\n"));
}

static void a_first_request_is_answered(void **state)
{
    (void)state;
    static const int64_t times[] = { 0, 1, 500, 999 };
    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
        serve(NULL);
        int fd = attach("");
        assert_in_range(end_and_send(fd, request, times[i]), times[i], times[i] + 1);
        assert_answered(fd);
        again();
    }
}

/* What has begun in time has the time of a head. */
static void a_part_of_a_first_request(void **state)
{
    (void)state;
    serve(NULL);
    int fd = attach("");
    assert_true(end_and_send(fd, "GET ", 500) >= 500 + 10 * 1000);
    assert_non_null(strstr(received(fd), "HTTP/1.1 408 "));
}

static void a_first_request_that_is_late(void **state)
{
    (void)state;
    serve(NULL);
    int fd = attach("");
    assert_int_equal(end_and_send(fd, request, 1001), 1001);
    assert_string_equal(received(fd), "");
}

static void nothing_is_asked(void **state)
{
    (void)state;
    serve(NULL);
    int fd = attach("");
    assert_int_equal(end_and_send(-1, "", 0), 1000);
    assert_string_equal(received(fd), "");
    /* Its own time may be over before. */
    again();
    serve(NULL);
    fd = attach("");
    tepal_test_advance(client, 9 * 1000 + 500);
    assert_int_equal(end_and_send(-1, "", 0), 500);
    assert_string_equal(received(fd), "");
}

/* Who has had an answer knows that a connection may end at any time. */
static void a_further_request(void **state)
{
    (void)state;
    serve(NULL);
    int fd = attach(request);
    char answer[4096];
    assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
    assert_int_equal(end_and_send(fd, request, 1), 1);
    assert_string_equal(received(fd), "");
}

/* A server that has less time has it for these, too, and no request was cancelled. */
static void a_short_end(void **state)
{
    (void)state;
    serve(&(tepal_run_options){ .shutdown_timeout_ms = 300 });
    int fd = attach("");
    assert_int_equal(end_and_send(-1, "", 0), 300);
    assert_string_equal(received(fd), "");
    assert_null(strstr(logged(), "did not finish in time"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(a_first_request_is_answered),
        WEB_TEST(a_part_of_a_first_request),
        WEB_TEST(a_first_request_that_is_late),
        WEB_TEST(nothing_is_asked),
        WEB_TEST(a_further_request),
        WEB_TEST(a_short_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
