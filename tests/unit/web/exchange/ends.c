/* Tests of connections that end at an odd moment: the client has gone when the answer is written,
 * memory is short, the server closes, or nobody takes what was sent. On sockets as they are, TCP
 * where that matters. */
#include "../../net/sockets.h"
#include "../web_check.h"

#include "web/app/application.h"
#include "web/exchange/connection.h"
#include "web/server/server.h"
#include "web/testing/peer.h"

static int fd = -1; /* the client's */

static void turn(void)
{
    while (loop_turn(loop_current, false))
        continue;
}

static void put(const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void attach(const char *text)
{
    fd = testpeer_open(app->server, NULL);
    assert_true(fd >= 0);
    put(text);
}

/* The same over TCP. Returns the server's end. */
static int attach_tcp(const char *text)
{
    int ends[2];
    struct addr addr;
    connect_fds(AF_INET, ends);
    fd = ends[0];
    assert_int_equal(addr_from_ip(&addr, "127.0.0.1", 7), 0);
    server_attach(app->server, ends[1], &addr);
    put(text);
    return ends[1];
}

static void close_client(void)
{
    close(fd);
    fd = -1;
}

/* What has come in all, up to an end. Returns how many octets; -errno when it is a reset. */
static char got[64 * 1024];
static ssize_t take_all(void)
{
    ssize_t n, all = 0;
    while ((n = recv(fd, got + all, sizeof(got) - 1 - (size_t)all, MSG_DONTWAIT)) > 0)
        all += n;
    got[all] = '\0';
    return n < 0 && errno != EAGAIN ? -errno : all;
}

static size_t connections(void)
{
    return app->server->n_connections;
}

static const char get_and_close[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                  get_one[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/* --- Clients that have gone ------------------------------------------------------------------- */

static tepal_res *client_goes(tepal_req *req)
{
    close_client();
    return ok(req);
}

static tepal_res *much(tepal_req *req)
{
    if (fd >= 0)
        close_client();
    char *text = tepal_req_alloc(req, 3921);
    memset(text, 'x', 3920);
    text[3920] = '\0';
    return tepal_text(req, 200, text);
}

static int n_asked;

static tepal_res *count(tepal_req *req)
{
    n_asked++;
    return ok(req);
}

static tepal_res *write_nothing(tepal_req *req)
{
    n_asked++;
    return tepal_stream(req, 200, "text/plain");
}

/* Answers that nobody takes end the connection wherever that is found out: behind the last of them,
 * or with those that no more fit into the buffer. */
static void gone_when_it_is_answered(void **state)
{
    (void)state;
    static const char *const fifth[] = { "/count", "/stream" };
    tepal_get(app, "/", client_goes);
    tepal_get(app, "/much", much);
    tepal_get(app, "/count", count);
    tepal_get(app, "/stream", write_nothing);
    start(NULL);
    attach(get_and_close);
    turn();
    assert_int_equal(connections(), 0);
    for (int i = 0; i < 2; i++) {
        char text[1000];
        size_t n = 0;
        for (int k = 0; k < 5; k++)
            n += (size_t)sprintf(text + n, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n",
                                 k < 4 ? "/much" : fifth[i]);
        n_asked = 0;
        attach(text);
        turn();
        assert_int_equal(connections(), 0);
        assert_int_equal(fd, -1);
        assert_int_equal(n_asked, 1);
    }
}

/* A client that has reset the connection when there is no memory to serve it. */
static void gone_when_memory_is_short(void **state)
{
    (void)state;
    struct stack *held[200];
    size_t n = 0;
    tepal_get(app, "/", ok);
    start(NULL);
    for (int reset = 0; reset < 2; reset++) {
        attach_tcp(get_one);
        while (loop_current->stacks.idle.n > 0)
            held[n++] = stack_take(&loop_current->stacks, 0);
        if (reset)
            reset_fd(fd);
        mem_fail_nth(1, 1);
        turn();
        assert_true(mem_failures() > 0);
        mem_fail_nth(0, 0);
        assert_int_equal(app->server->n_short, reset + 1);
        while (n > 0)
            stack_give(&loop_current->stacks, held[--n]);
        if (!reset) {
            assert_true(take_all() > 0);
            assert_memory_equal(got, "HTTP/1.1 503 ", 13);
            assert_int_equal(connections(), 1); /* it lingers */
            close_client();
            turn();
        }
        assert_int_equal(connections(), 0);
        assert_int_equal(app->server->memory.budget.used, 0); /* nor is what it would have taken */
    }
    attach_tcp(get_one); /* it was only short */
    turn();
    assert_true(take_all() > 0);
    assert_memory_equal(got, "HTTP/1.1 200 ", 13);
    close_client();
    turn();
}

/* --- Clients that do not take what was sent --------------------------------------------------- */

enum { LARGE = 400000 };

static char large[LARGE];

static tepal_res *send_large(tepal_req *req)
{
    return lent(req, large, LARGE);
}

static size_t take_large(void)
{
    size_t all = 0;
    for (ssize_t n; (n = recv(fd, got, sizeof(got), MSG_DONTWAIT)) != 0; turn())
        all += n > 0 ? (size_t)n : 0;
    return all;
}

/* The time between two requests is over, and the client has not taken its answer: it is not cut. */
static void untaken_when_its_time_is_over(void **state)
{
    (void)state;
    int size = 4 * LARGE, ends[2], little = 4096;
    struct addr addr;
    tepal_get(app, "/", send_large);
    start(&(tepal_run_options){ .limits = { .max_unsent = 4 * LARGE,
                                            .keepalive_timeout_ms = 5000,
                                            .lingering_timeout_ms = 5000 } });
    connect_fds(AF_INET, ends);
    fd = ends[0];
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)), 0);
    assert_int_equal(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    assert_int_equal(addr_from_ip(&addr, "127.0.0.1", 7), 0);
    server_attach(app->server, ends[1], &addr);
    put(get_one);
    turn();
    struct connection *c = CONTAINER_OF(app->server->connections.next, struct connection, node);
    if (c->task) /* the system takes less at once than this test needs */
        skip();
    tepal_test_advance(client, 5000);
    assert_int_equal(connections(), 1);
    assert_true(take_large() > LARGE);
    assert_int_equal(connections(), 1); /* until the client ends, too */
    close_client();
    turn();
    assert_int_equal(connections(), 0);
}

/* The server closes while a client slowly takes its answer. It gets all of it, and no more is
 * waited for. */
static void slow_when_the_server_closes(void **state)
{
    (void)state;
    tepal_get(app, "/", send_large);
    start(NULL);
    attach(get_one);
    turn();
    struct connection *c = CONTAINER_OF(app->server->connections.next, struct connection, node);
    assert_non_null(c->task);
    server_close_gently(app->server);
    assert_int_equal(connections(), 1);
    assert_true(take_large() > LARGE);
    assert_int_equal(connections(), 0);
    close_client();
}

/* --- Ends that are no end of the content ------------------------------------------------------ */

static tepal_res *break_off(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    tepal_write(res, "part", 4);
    tepal_sleep_ms(0);
    return NULL;
}

/* HTTP/1.0 has no other end of a stream than that of the connection: one that is not whole is a
 * reset. */
static void broken_off_without_chunks(void **state)
{
    (void)state;
    tepal_get(app, "/", break_off);
    start(NULL);
    attach_tcp("GET / HTTP/1.0\r\n\r\n");
    turn();
    assert_int_equal(take_all(), -ECONNRESET);
    assert_int_equal(connections(), 0);
    close_client();
}

/* --- Content that comes by itself ------------------------------------------------------------- */

static tepal_res *read_later(tepal_req *req)
{
    tepal_sleep_ms(100);
    const tepal_bytes *body = tepal_req_body(req);
    return body ? tepal_textf(req, 200, "%.*s", (int)body->len, body->data) : NULL;
}

/* A client that says that it waits for 100, and does not. */
static void not_asked_for(void **state)
{
    (void)state;
    tepal_post(app, "/", read_later);
    start(NULL);
    say("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    say("abc");
    tepal_test_reply *reply = hear("POST");
    assert_reply(reply, 200, "abc");
    assert_memory_equal(reply->raw.data, "HTTP/1.1 200 ", 13); /* and none before */
}

/* Of a request whose content nobody read what has come is dropped, and what comes is, before the
 * next one is served. */
static void unread_behind_an_empty_stream(void **state)
{
    (void)state;
    tepal_post(app, "/", write_nothing);
    tepal_get(app, "/", ok);
    start(NULL);
    n_asked = 0;
    attach("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabcde");
    turn();
    assert_int_equal(n_asked, 1);
    put("fghij");
    put(get_one);
    turn();
    assert_true(take_all() > 0);
    assert_non_null(strstr(got, "\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    close_client();
    turn();
    assert_int_equal(connections(), 0);
}

/* --- Memory and room -------------------------------------------------------------------------- */

/* A head that came in parts, and is larger than a buffer, when the n-th allocation of serving it
 * fails: it is answered, or the client is told to come again. */
static void short_when_a_head_goes_on(void **state)
{
    (void)state;
    static char text[20 * 1024];
    size_t n = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 3; i++) {
        n += (size_t)sprintf(text + n, "X: ");
        memset(text + n, 'x', 6000);
        n += 6000 + (size_t)sprintf(text + n + 6000, "\r\n");
    }
    tepal_get(app, "/", ok);
    start(&(tepal_run_options){ .access_log.off = true });
    bool failed = true;
    int n_short = 0;
    for (size_t nth = 1; failed; nth++) {
        attach(text);
        turn();
        assert_int_equal(connections(), 1);
        put("\r\n");
        mem_fail_nth(nth, 0);
        turn();
        failed = mem_failures() > 0;
        mem_fail_nth(0, 0);
        assert_true(take_all() > 0);
        bool is_short = memcmp(got, "HTTP/1.1 503 ", 13) == 0;
        n_short += is_short;
        if (!is_short)
            assert_memory_equal(got, failed ? "HTTP/1.1 " : "HTTP/1.1 200 ", failed ? 9 : 13);
        close_client();
        turn();
        assert_int_equal(connections(), 0);
    }
    assert_true(n_short > 0);
}

/* A name that leaves no room for it beside a short answer. */
static void a_long_name_of_the_server(void **state)
{
    (void)state;
    char name[1000];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    tepal_get(app, "/", ok);
    start(&(tepal_run_options){ .server = name, .limits.head_timeout_ms = 1000 });
    attach("GET / HTTP/1.1\r\n");
    turn();
    tepal_test_advance(client, 1000);
    assert_true(take_all() > 0);
    assert_string_equal(got, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n"
                             "Connection: close\r\n\r\n");
    close_client();
    turn();
}

static void room_for_another(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    start(&(tepal_run_options){ .limits.max_connections = 1 });
    attach("");
    turn();
    int first = fd;
    tepal_test_advance(client, 1000); /* who has only just come is spared for a second */
    attach(get_one);                  /* the one that is idle goes for it */
    assert_int_equal(connections(), 1);
    char octet;
    assert_int_equal(recv(first, &octet, 1, MSG_DONTWAIT), 0);
    close(first);
    turn();
    assert_true(take_all() > 0);
    put(get_one); /* one that has asked is served, although the loop did not know yet */
    first = fd;
    attach("");
    turn();
    assert_int_equal(connections(), 2);
    close_client();
    fd = first;
    assert_true(take_all() > 0);
    assert_memory_equal(got, "HTTP/1.1 200 ", 13);
    close_client();
    turn();
    assert_int_equal(connections(), 0);
}

/* What is no socket is told so like one for which memory is short, and closed. */
static void a_descriptor_that_is_refused(void **state)
{
    (void)state;
    struct addr addr;
    tepal_get(app, "/", ok);
    start(NULL);
    FILE *file = tmpfile();
    assert_non_null(file);
    int other = dup(fileno(file));
    assert_int_equal(addr_from_ip(&addr, "127.0.0.1", 7), 0);
    server_attach(app->server, other, &addr);
    assert_int_equal(connections(), 0);
    assert_int_equal(fcntl(other, F_GETFD), -1);
    fclose(file);
}

/* Those without a task are closed with the others when the server gives up. */
static void abandoned_without_a_task(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    start(NULL);
    attach("");
    turn();
    server_abandon_all(app->server);
    assert_int_equal(connections(), 0);
    assert_int_equal(take_all(), 0);
    close_client();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(gone_when_it_is_answered),      WEB_TEST(gone_when_memory_is_short),
        WEB_TEST(untaken_when_its_time_is_over), WEB_TEST(slow_when_the_server_closes),
        WEB_TEST(broken_off_without_chunks),     WEB_TEST(not_asked_for),
        WEB_TEST(unread_behind_an_empty_stream), WEB_TEST(short_when_a_head_goes_on),
        WEB_TEST(a_long_name_of_the_server),     WEB_TEST(room_for_another),
        WEB_TEST(a_descriptor_that_is_refused),  WEB_TEST(abandoned_without_a_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
