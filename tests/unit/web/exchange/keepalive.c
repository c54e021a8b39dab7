/* Tests of how a connection goes on after a response, and how it ends. */
#include "../web_check.h"

#include "async/task/task.h"
#include "web/app/application.h"
#include "web/exchange/connection.h"
#include "web/server/server.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static tepal_res *show(tepal_req *req)
{
    return tepal_text(req, 200, tepal_req_path(req));
}

static tepal_res *slow(tepal_req *req)
{
    int rc = tepal_sleep_ms(10 * 1000);
    return rc < 0 ? tepal_fail(req, rc) : show(req);
}

static tepal_res *closing(tepal_req *req)
{
    tepal_res *res = show(req);
    tepal_res_set_close(res);
    return res;
}

static void register_routes(void)
{
    tepal_get(app, "/slow", slow);
    tepal_get(app, "/close", closing);
    tepal_any(app, "/{rest:path}", show);
}

static void versions_and_options(void **state)
{
    (void)state;
    static const struct {
        const char *version, *fields, *connection;
    } rows[] = {
        { "1.1", "", NULL },
        { "1.1", "Connection: close\r\n", "close" },
        { "1.1", "Connection: Close, te\r\n", "close" },
        { "1.1", "Connection: keep-alive\r\n", NULL },
        { "1.1", "Connection: keep-alive, close\r\n", "close" },
        { "1.1", "Connection: keep-alive\r\nConnection: close\r\n", "close" },
        { "1.1", "Connection: closed\r\n", NULL },
        { "1.0", "", "close" },
        { "1.0", "Connection: keep-alive\r\n", "keep-alive" },
        { "1.0", "Connection: Keep-Alive, x\r\n", "keep-alive" },
        { "1.0", "Connection: close\r\n", "close" },
        { "1.0", "Keep-Alive: timeout=5\r\n", "close" },
        { "1.7", "", NULL },
    };
    register_routes();
    start(NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char text[256];
        sprintf(text, "GET /x HTTP/%s\r\nHost: a\r\n%s\r\n", rows[i].version, rows[i].fields);
        tepal_test_reply *reply = talk(text);
        assert_reply(reply, 200, "/x");
        assert_field(reply, "Connection", rows[i].connection);
        bool closes = rows[i].connection && strcmp(rows[i].connection, "close") == 0;
        assert_int_equal(reply->closed, closes);
    }
    tepal_test_reply *reply = get("/close");
    assert_field(reply, "Connection", "close");
    assert_true(reply->closed);
}

static void pipelining(void **state)
{
    (void)state;
    char batch[16 * 1024] = "", path[32];
    register_routes();
    start(NULL);
    for (int i = 0; i < 200; i++)
        sprintf(batch + strlen(batch), "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
    for (size_t cut = 1; cut < 40; cut++) {
        say_octets(batch, cut);
        say(batch + cut);
        for (int i = 0; i < 200; i++) {
            sprintf(path, "/%d", i);
            assert_reply(hear("GET"), 200, path);
        }
    }
    /* Bodies in between, and empty lines before a request (RFC 9112 section 2.2). */
    say("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
        "GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
        "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n\r\n"
        "GET /d HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_reply(hear("POST"), 200, "/a");
    assert_reply(hear("GET"), 200, "/b");
    assert_reply(hear("POST"), 200, "/c");
    assert_reply(hear("GET"), 200, "/d");
}

/* What is answered is not held back by what takes long; and the order is kept. */
static void a_fast_one_before_a_slow_one(void **state)
{
    (void)state;
    register_routes();
    start(NULL);
    int64_t before = loop_current->now;
    say("GET /fast HTTP/1.1\r\nHost: a\r\n\r\nGET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /last HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_reply(hear("GET"), 200, "/fast");
    assert_int_equal(loop_current->now, before);
    assert_reply(hear("GET"), 200, "/slow");
    assert_int_equal(loop_current->now, before + 10 * 1000);
    assert_reply(hear("GET"), 200, "/last");
}

static void a_bad_one_behind_good_ones(void **state)
{
    (void)state;
    register_routes();
    start(NULL);
    say("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\nBAD\r\n\r\n"
        "GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_reply(hear("GET"), 200, "/a");
    assert_reply(hear("GET"), 200, "/b");
    tepal_test_reply *reply = hear("GET");
    assert_reply(reply, 400, NULL);
    assert_field(reply, "Connection", "close");
    assert_true(reply->closed);
    /* What comes behind a response that closes is not answered. */
    say("GET /close HTTP/1.1\r\nHost: a\r\n\r\nGET /never HTTP/1.1\r\nHost: a\r\n\r\n");
    reply = hear("GET");
    assert_reply(reply, 200, "/close");
    assert_true(reply->closed);
}

static void max_requests(void **state)
{
    (void)state;
    register_routes();
    start(&(tepal_run_options){ .limits.max_requests = 3 });
    for (int round = 0; round < 2; round++) {
        assert_field(get("/1"), "Connection", NULL);
        assert_field(get("/2"), "Connection", NULL);
        tepal_test_reply *reply = get("/3");
        assert_field(reply, "Connection", "close");
        assert_true(reply->closed);
    }
    say("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /3 HTTP/1.1\r\nHost: a\r\n\r\nGET /4 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_reply(hear("GET"), 200, "/1");
    assert_reply(hear("GET"), 200, "/2");
    assert_reply(hear("GET"), 200, "/3");
    assert_int_equal(hear("GET")->status, 0);
    again();
    register_routes();
    start(&(tepal_run_options){ .limits.max_requests = 1 });
    assert_field(get("/1"), "Connection", "close");
}

/* --- A client that sends no more, and still listens ------------------------------------------- */

static tepal_res *streams_unread(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, tepal_req_match(req, "none") ? 204 : 200, "text/plain");
    tepal_write(res, "unread", 6);
    return res;
}

/* The head of a stream says that the connection goes on, and so it does, when all of the request's
 * content has come though nobody reads it: with that head, or while the stream is written. */
static void a_stream_and_an_unread_body(void **state)
{
    (void)state;
    tepal_post(app, "/stream", streams_unread);
    tepal_put(app, "/{none}", streams_unread);
    register_routes();
    start(&(tepal_run_options){ .limits.max_unread_body = 3 });
    static const char *const frames[] = {
        "Content-Length: 9\r\n\r\n123456789",
        "Transfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n5\r\n56789\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(frames) / sizeof(*frames); i++) {
        char text[512];
        sprintf(text,
                "POST /stream HTTP/1.1\r\nHost: a\r\n%sPUT /x HTTP/1.1\r\nHost: a\r\n%s"
                "GET /next HTTP/1.1\r\nHost: a\r\n\r\n",
                frames[i], frames[i]);
        say(text);
        assert_reply(hear("POST"), 200, "unread");
        assert_reply(hear("PUT"), 204, "");
        assert_reply(hear("GET"), 200, "/next");
    }
    /* What is still to come, and is over the limit, ends it. */
    say("POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n12345");
    assert_true(hear("POST")->closed);
}

static void half_close(void **state)
{
    (void)state;
    register_routes();
    start(NULL);
    /* Octets and the end at once: nothing of the answer is lost. */
    int pair[2];
    char got[4096];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    static const char two[] =
        "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\nGET /";
    assert_int_equal(write(pair[0], two, sizeof(two) - 1), sizeof(two) - 1);
    shutdown(pair[0], SHUT_WR);
    struct addr peer = { .un.sun_family = AF_UNIX };
    server_attach(app->server, pair[1], &peer);
    while (loop_turn(loop_current, false))
        continue;
    ssize_t n = recv(pair[0], got, sizeof(got) - 1, 0);
    assert_true(n > 0);
    got[n] = '\0';
    assert_non_null(strstr(got, "\r\n\r\n/a"));
    assert_non_null(strstr(got, "\r\n\r\n/b"));
    assert_int_equal(recv(pair[0], got, sizeof(got), 0), 0);
    close(pair[0]);
    /* Later, while a handler waits: see gone.c. */
    say("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_test_shutdown(client);
    tepal_test_reply *reply = hear("GET");
    assert_reply(reply, 503, NULL);
    assert_true(reply->closed);
    /* Without anything. */
    say("\r\n");
    tepal_test_shutdown(client);
    assert_gone();
}

/* --- A client that is gone -------------------------------------------------------------------- */

static int slept, n_handled;

static tepal_res *wait_long(tepal_req *req)
{
    n_handled++;
    slept = 1;
    slept = tepal_sleep_ms(3600 * 1000);
    return slept < 0 ? tepal_fail(req, slept) : show(req);
}

static void disconnect_cancels(void **state)
{
    (void)state;
    tepal_get(app, "/", wait_long);
    start(NULL);
    n_handled = 0;
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(slept, 1);
    int64_t before = loop_current->now;
    tepal_test_disconnect(client);
    assert_int_equal(slept, -ECANCELED);
    assert_int_equal(loop_current->now, before);
    assert_int_equal(loop_current->n_tasks, 0);
    assert_int_equal(app->server->n_connections, 0);
    assert_int_equal(n_handled, 1); /* nobody waits for the second answer */
    assert_null(strstr(logged(), "GET /"));
    /* It had gone already when its request was read. */
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(write(pair[0], "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27), 27);
    close(pair[0]);
    slept = 1;
    struct addr peer = { .un.sun_family = AF_UNIX };
    server_attach(app->server, pair[1], &peer);
    while (loop_turn(loop_current, false))
        continue;
    assert_int_equal(app->server->n_connections, 0);
    assert_int_equal(slept, -ECANCELED);
}

/* --- Lingering -------------------------------------------------------------------------------- */

static int attach(void)
{
    int pair[2];
    struct addr peer = { .un.sun_family = AF_UNIX };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    server_attach(app->server, pair[1], &peer);
    return pair[0];
}

static void run(void)
{
    while (loop_turn(loop_current, false))
        continue;
}

/* After a refusal the server reads on for a while, so that its answer is not lost by a reset. */
static void lingering(void **state)
{
    (void)state;
    char got[4096], data[10000];
    memset(data, 'x', sizeof(data));
    register_routes();
    start(&(tepal_run_options){ .limits.lingering_timeout_ms = 5000 });
    /* A head that is none, and a whole one whose target is none. */
    static const char *const bad[] = { "BAD\r\n\r\n", "GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n" };
    for (int i = 0; i < 4; i++) {
        bool times_out = i & 1;
        const char *text = bad[i / 2];
        int fd = attach();
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        run();
        ssize_t n = recv(fd, got, sizeof(got), 0);
        assert_true(n > 0);
        assert_memory_equal(got, "HTTP/1.1 400 ", 13);
        assert_int_equal(recv(fd, got, sizeof(got), 0), 0); /* its side has ended */
        assert_int_equal(app->server->n_connections, 1);
        for (int k = 0; k < 100; k++) {
            assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
            run();
        }
        tepal_test_advance(client, 4999);
        assert_int_equal(app->server->n_connections, 1);
        if (times_out)
            tepal_test_advance(client, 1);
        close(fd);
        run();
        assert_int_equal(app->server->n_connections, 0);
    }
}

/* A client that never stops sending holds nobody up: there is a limit to what is read in one go. */
static void linger_in_turns(int64_t timeout_ms)
{
    static char data[64 * 1024];
    int size = 4 * 1024 * 1024, left;
    size_t total = 0;
    ssize_t n;
    register_routes();
    start(&(tepal_run_options){ .limits.lingering_timeout_ms = timeout_ms });
    int fd = attach();
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size,
                     sizeof(size)); /* as far as the system lets */
    assert_int_equal(write(fd, "BAD\r\n\r\n", 7), 7);
    run();
    memset(data, 'x', sizeof(data));
    while ((n = write(fd, data, sizeof(data))) > 0)
        total += (size_t)n;
    loop_turn(loop_current, false);
    struct connection *c = CONTAINER_OF(app->server->connections.next, struct connection, node);
    assert_int_equal(ioctl(c->http.conn.io.fd, FIONREAD, &left), 0);
    assert_true((size_t)left + 16 * LOOP_BUFFER_SIZE >= total);
    if (total > 16 * LOOP_BUFFER_SIZE)
        assert_true(left > 0);
    assert_reply(get("/x"), 200, "/x");
    tepal_test_advance(client, 100); /* and in the end all of it is read */
    assert_int_equal(ioctl(c->http.conn.io.fd, FIONREAD, &left), 0);
    assert_int_equal(left, 0);
    close(fd);
    run();
    assert_int_equal(app->server->n_connections, 1);
}

static void lingering_leaves_others_their_turn(void **state)
{
    (void)state;
    linger_in_turns(0);
}

static void lingering_without_end_leaves_others_their_turn(void **state)
{
    (void)state;
    linger_in_turns(TEPAL_NEVER);
}

static int n_served;

static tepal_res *count_served(tepal_req *req)
{
    n_served++;
    return tepal_empty(req, 204);
}

/* A flood of pipelined requests, too. */
static void pipelining_leaves_others_their_turn(void **state)
{
    (void)state;
    static char flood[8 * 1024];
    size_t len = 0;
    int n = 0;
    tepal_get(app, "/", count_served);
    start(NULL);
    for (; len < sizeof(flood) - 32; n++)
        len += (size_t)sprintf(flood + len, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    int fd = attach();
    n_served = 0;
    assert_int_equal(write(fd, flood, len), (ssize_t)len);
    loop_turn(loop_current, false);
    assert_true(n_served > 0 && n_served < n);
    run();
    assert_int_equal(n_served, n);
    close(fd);
    run();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(versions_and_options),
        WEB_TEST(pipelining),
        WEB_TEST(a_fast_one_before_a_slow_one),
        WEB_TEST(a_bad_one_behind_good_ones),
        WEB_TEST(max_requests),
        WEB_TEST(a_stream_and_an_unread_body),
        WEB_TEST(half_close),
        WEB_TEST(disconnect_cancels),
        WEB_TEST(lingering),
        WEB_TEST(lingering_leaves_others_their_turn),
        WEB_TEST(lingering_without_end_leaves_others_their_turn),
        WEB_TEST(pipelining_leaves_others_their_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
