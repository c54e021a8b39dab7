/* Tests of everything that ends by the clock, which is the test's own: no test waits. */
#include "../web_check.h"

#include "async/task/task.h"
#include "web/app/application.h"
#include "web/server/server.h"
#include "net/addr.h"

#include <sys/socket.h>
#include <unistd.h>

static int64_t now(void)
{
    return loop_current->now;
}

static void advance(int64_t ms)
{
    tepal_test_advance(client, ms);
}

/* --- The head --------------------------------------------------------------------------------- */

static void head(void **state)
{
    (void)state;
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    tepal_get(app, "/", ok);
    start(NULL); /* 10 s */
    /* Wherever it stops. */
    for (size_t len = 1; len < sizeof(text) - 1; len++) {
        int64_t before = now();
        say_octets(text, len);
        tepal_test_reply *reply = hear("GET");
        assert_string_equal(wire(reply), "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n"
                                         "Connection: close\r\n\r\n");
        assert_true(reply->closed);
        assert_int_equal(now() - before, 10 * 1000);
    }
    /* Just in time; and the time of the next head is its own. */
    for (int i = 0; i < 3; i++) {
        say_octets(text, 5);
        advance(9999);
        say(text + 5);
        assert_reply(hear("GET"), 200, "ok");
    }
}

/* Slowloris: an octet now and then gains nothing. */
static void a_slow_head(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    start(&(tepal_run_options){ .limits.head_timeout_ms = 3000 });
    int64_t before = now();
    say("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    while (now() < before + 2999) {
        say("y");
        advance(1);
    }
    assert_int_equal(app->server->n_connections, 1);
    advance(1);
    assert_int_equal(hear("GET")->status, 408);
    assert_int_equal(app->server->n_connections, 0);
    /* The same behind a request that was answered. */
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET ");
    assert_reply(hear("GET"), 200, "ok");
    before = now();
    while (now() < before + 2998) {
        say("/");
        advance(100);
    }
    assert_int_equal(hear("GET")->status, 408);
}

/* --- Idle connections ------------------------------------------------------------------------- */

static void idle(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    start(NULL); /* 75 s */
    for (int i = 0; i < 3; i++) {
        assert_reply(get("/"), 200, "ok");
        advance(74999);
        assert_int_equal(app->server->n_connections, 1);
    }
    assert_reply(get("/"), 200, "ok");
    advance(75000);
    assert_int_equal(app->server->n_connections, 0);
    assert_gone(); /* without a word */
    /* One that has never asked for anything has the time of a head, and ends without a word,
     * too. */
    assert_int_equal(tepal_test_write(client, "", 0), 0);
    advance(9999);
    assert_int_equal(app->server->n_connections, 1);
    advance(1);
    assert_int_equal(app->server->n_connections, 0);
    assert_gone();
}

static void never(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    start(&(tepal_run_options){ .limits.keepalive_timeout_ms = TEPAL_NEVER,
                                .limits.head_timeout_ms = TEPAL_NEVER,
                                .limits.body_timeout_ms = TEPAL_NEVER,
                                .limits.write_timeout_ms = TEPAL_NEVER,
                                .limits.lingering_timeout_ms = TEPAL_NEVER,
                                .shutdown_timeout_ms = TEPAL_NEVER });
    assert_reply(get("/"), 200, "ok");
    advance(365LL * 24 * 3600 * 1000);
    say("GET / HT");
    advance(365LL * 24 * 3600 * 1000);
    say("TP/1.1\r\nHost: a\r\n\r\n");
    assert_reply(hear("GET"), 200, "ok");
    again();
    tepal_get(app, "/", ok);
    start(&(tepal_run_options){ .limits.keepalive_timeout_ms = TEPAL_NEVER - 1,
                                .limits.head_timeout_ms = TEPAL_NEVER - 1,
                                .shutdown_timeout_ms = TEPAL_NEVER - 1 });
    assert_reply(get("/"), 200, "ok");
    advance(1000);
    say("GET / HT");
    advance(1000);
    say("TP/1.1\r\nHost: a\r\n\r\n");
    assert_reply(hear("GET"), 200, "ok");
}

/* --- Writing ---------------------------------------------------------------------------------- */

enum { BIG = 8 * 1000 * 1000 };
static char *big;
static int written;
static int64_t took;

static tepal_res *send_big(tepal_req *req)
{
    return lent(req, big, BIG);
}

static tepal_res *stream_big(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    int64_t before = now();
    written = tepal_write(res, big, BIG);
    took = now() - before;
    return res;
}

static int attach(const char *request)
{
    int pair[2];
    struct addr peer = { .un.sun_family = AF_UNIX };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    server_attach(app->server, pair[1], &peer);
    assert_int_equal(write(pair[0], request, strlen(request)), (ssize_t)strlen(request));
    advance(0);
    return pair[0];
}

static void a_client_that_does_not_read(void **state)
{
    (void)state;
    big = octets(BIG);
    tepal_get(app, "/whole", send_big);
    tepal_get(app, "/stream", stream_big);
    start(NULL); /* 60 s */
    int fd = attach("GET /whole HTTP/1.1\r\nHost: a\r\n\r\n");
    advance(59999);
    assert_int_equal(app->server->n_connections, 1);
    /* A little progress begins the time anew. */
    char some[300 * 1024];
    assert_true(recv(fd, some, sizeof(some), 0) > 0);
    advance(59999);
    assert_int_equal(app->server->n_connections, 1);
    advance(1);
    assert_int_equal(app->server->n_connections, 0);
    close(fd);
    fd = attach("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    advance(60000);
    assert_int_equal(app->server->n_connections, 0);
    assert_int_equal(written, -ETIMEDOUT);
    assert_int_equal(took, 60000);
    close(fd);
    /* Many small responses are not different. */
    fd = attach("GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
    static const char request[] = "GET /none HTTP/1.1\r\nHost: a\r\n\r\n";
    while (write(fd, request, sizeof(request) - 1) > 0)
        advance(0);
    advance(60000);
    assert_int_equal(app->server->n_connections, 0);
    close(fd);
    free(big);
}

static void a_client_that_goes_while_it_is_written_to(void **state)
{
    (void)state;
    big = octets(BIG);
    tepal_get(app, "/stream", stream_big);
    start(NULL);
    int fd = attach("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    close(fd);
    advance(0);
    assert_int_equal(app->server->n_connections, 0);
    assert_true(written == -EPIPE || written == -ECONNRESET || written == -ECANCELED);
    free(big);
}

/* --- The handler's own time ------------------------------------------------------------------- */

static tepal_res *sleep_and_say(tepal_req *req)
{
    int rc = tepal_sleep_ms(tepal_req_match_int(req, "ms"));
    return rc < 0 ? tepal_fail(req, rc) : ok(req);
}

static tepal_res *sleep_and_be_silent(tepal_req *req)
{
    return tepal_sleep_ms(tepal_req_match_int(req, "ms")) < 0 ? NULL : ok(req);
}

static tepal_res *ignore_it(tepal_req *req)
{
    int rc = tepal_sleep_ms(3600 * 1000);
    return tepal_text(req, 200, tepal_code_name(rc));
}

static tepal_res *shorter(tepal_req *req)
{
    (void)tepal_deadline_in_ms(100); /* of the handler's own, and never taken back */
    return sleep_and_say(req);
}

static tepal_res *read_body(tepal_req *req)
{
    return tepal_req_body(req) ? ok(req) : NULL;
}

static int64_t deadline_seen;

static tepal_res *see_deadline(tepal_req *req, tepal_next *next)
{
    deadline_seen = loop_current->current->deadline;
    return tepal_next_call(next, req);
}

static void handlers(void **state)
{
    (void)state;
    static const tepal_route table[] = {
        { "GET", "/say/{ms:int}", sleep_and_say, .timeout_ms = 2000 },
        { "GET", "/silent/{ms:int}", sleep_and_be_silent, .timeout_ms = 2000 },
        { "GET", "/ignore", ignore_it, .timeout_ms = 2000 },
        { "GET", "/shorter/{ms:int}", shorter },
        { "GET", "/free/{ms:int}", sleep_and_say },
        { "POST", "/body", read_body, .timeout_ms = 2000 },
        { 0 },
    };
    tepal_routes(app, table);
    tepal_use(app, see_deadline, NULL);
    start(NULL);
    assert_reply(get("/say/1999"), 200, "ok");
    int64_t before = now();
    assert_reply(get("/say/3000"), 504, "504 Gateway Timeout\n");
    assert_int_equal(now() - before, 2000);
    assert_int_equal(deadline_seen, now());
    assert_reply(get("/silent/3000"), 504, "504 Gateway Timeout\n");
    assert_reply(get("/ignore"), 200, "ETIMEDOUT");
    assert_reply(get("/shorter/200"), 504, NULL);
    /* What one request set is not in force for the next one. */
    assert_reply(get("/free/100000"), 200, "ok");
    assert_int_equal(deadline_seen, TEPAL_NEVER);
    assert_reply(get("/say/1000"), 200, "ok");
    /* The handler's time is over while a slow client sends. */
    say("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    assert_reply(hear("POST"), 504, "504 Gateway Timeout\n");
}

/* --- The end of the server -------------------------------------------------------------------- */

static int told;

static tepal_res *work(tepal_req *req)
{
    int64_t ms = tepal_req_match_int(req, "ms");
    told = tepal_sleep_ms(ms);
    return told < 0 ? tepal_fail(req, told) : ok(req);
}

static tepal_res *stubborn(tepal_req *req)
{
    for (int i = 0; i < 30; i++) {
        (void)tepal_sleep_ms(1000);
        loop_current->current->cancelled = false; /* as one that is in a shielded wait */
    }
    return ok(req);
}

static tepal_res *stream_for_ever(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    while (tepal_writef(res, "x") == 0 && tepal_sleep_ms(1000) == 0)
        continue;
    return res;
}

static void read_all(int fd, char *got, size_t size)
{
    ssize_t n;
    size_t len = 0;
    while ((n = recv(fd, got + len, size - 1 - len, 0)) > 0)
        len += (size_t)n;
    assert_int_equal(n, 0);
    got[len] = '\0';
}

static void stop(void)
{
    tepal_test_close(client);
    client = NULL;
}

static int64_t ended_at;

static int note_end(tepal_app *a, void *arg)
{
    (void)arg;
    (void)a;
    ended_at = now();
    return 0;
}

static void shutdown_(void **state)
{
    (void)state;
    char got[4096];
    tepal_get(app, "/{ms:int}", work);
    tepal_get(app, "/stream", stream_for_ever);
    tepal_on_cleanup(app, note_end, NULL);
    tepal_run_options options = { .shutdown_timeout_ms = 5000,
                                  .limits.head_timeout_ms = 2000,
                                  .limits.lingering_timeout_ms = 1000 };
    /* What runs may finish, and so may a head; idle connections end at once. */
    start(&options);
    int64_t begin = now();
    int idle_one = attach(""), half = attach("GET / HT"),
        busy = attach("GET /4000 HTTP/1.1\r\nHost: a\r\n\r\n");
    int two = attach("GET /1000 HTTP/1.1\r\nHost: a\r\n\r\nGET /0 HTTP/1.1\r\nHost: a\r\n\r\n");
    stop();
    read_all(idle_one, got, sizeof(got));
    assert_string_equal(got, "");
    read_all(half, got, sizeof(got));
    assert_memory_equal(got, "HTTP/1.1 408 ", 13);
    read_all(busy, got, sizeof(got));
    assert_non_null(strstr(got, "Connection: close\r\n\r\nok"));
    read_all(two, got, sizeof(got));
    assert_non_null(strstr(got, "Connection: close\r\n\r\nok"));
    assert_null(strstr(got, "okHTTP"));
    assert_int_equal(ended_at, begin + 4000);
    assert_int_equal(told, 0);
    close(idle_one);
    close(half);
    close(busy);
    close(two);
    /* What takes too long is cancelled; what it answers then still goes out. */
    start(&options);
    begin = now();
    busy = attach("GET /3600000 HTTP/1.1\r\nHost: a\r\n\r\n");
    int endless = attach("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    stop();
    assert_int_equal(told, -ECANCELED);
    assert_int_equal(ended_at, begin + 5000);
    read_all(busy, got, sizeof(got));
    assert_memory_equal(got, "HTTP/1.1 503 Service Unavailable\r\n", 34);
    read_all(endless, got, sizeof(got));
    assert_non_null(strstr(got, "1\r\nx\r\n1\r\nx\r\n"));
    close(busy);
    close(endless);
    assert_non_null(strstr(logged(), "did not finish in time"));
}

static int serve(void *arg)
{
    loop_current->fake_time = true;
    return tepal_serve(app, arg);
}

enum { NOT_ANSWERED = -12345 };

static int request_and_cancel(void *arg)
{
    tepal_conn *stream;
    char got[4096];
    ssize_t n;
    size_t len = 0;
    tepal_group *group = tepal_group_new();
    int rc = tepal_spawn(group, serve, arg, NULL);
    if (rc == 0)
        rc = tepal_sleep_ms(10);
    if (rc == 0)
        rc = tepal_conn_open_unix(&stream, "@tepal-unit-timeouts");
    if (rc == 0)
        rc = tepal_conn_write(stream, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
    tepal_sleep_ms(10);
    tepal_group_cancel(group);
    tepal_sleep_ms(10);
    tepal_group_cancel(group); /* once more, while it ends */
    while (rc == 0 && len < sizeof(got) &&
           (n = tepal_conn_read(stream, got + len, sizeof(got) - len)) > 0)
        len += (size_t)n;
    tepal_group_close(group);
    tepal_conn_close(stream);
    return rc < 0 ? rc : len > 12 && memcmp(got, "HTTP/1.1 200", 12) == 0 ? 0 : NOT_ANSWERED;
}

/* A handler that does not even end when it is cancelled is named and left as it is: the server
 * ends, also when its own task is cancelled again and again, and the client sees the connection
 * close. */
static void a_handler_that_does_not_end(void **state)
{
    (void)state;
    tepal_get(app, "/", stubborn);
    tepal_run_options options = { .path = "@tepal-unit-timeouts",
                                  .access_log.off = true,
                                  .shutdown_timeout_ms = 1000 };
    assert_int_equal(tepal_main(request_and_cancel, &options), NOT_ANSWERED);
    assert_non_null(strstr(logged(), "1 request did not finish in time, and is cancelled"));
    assert_non_null(strstr(logged(), "was cancelled and does not end: it is left as it is"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(head),
        WEB_TEST(a_slow_head),
        WEB_TEST(idle),
        WEB_TEST(never),
        WEB_TEST(a_client_that_does_not_read),
        WEB_TEST(a_client_that_goes_while_it_is_written_to),
        WEB_TEST(handlers),
        WEB_TEST(shutdown_),
        WEB_TEST(a_handler_that_does_not_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
