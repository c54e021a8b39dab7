/* Tests of every limit of tepal_run_options: below it, at it, above it. */
#include "../web_check.h"

#include "async/loop/loop.h"
#include "web/app/application.h"
#include "web/message/request.h"
#include "web/server/server.h"
#include "net/addr.h"
#include "web/exchange/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static char text[128 * 1024];

/* "GET /aaa... HTTP/1.1" of this many octets, and a Host. */
static const char *with_line(size_t len)
{
    size_t path = len - strlen("GET  HTTP/1.1");
    char *p = text + sprintf(text, "GET /");
    memset(p, 'a', path - 1);
    sprintf(p + path - 1, " HTTP/1.1\r\nHost: a\r\n\r\n");
    return text;
}

/* A head of this many octets in all. */
static const char *with_head(size_t len)
{
    int n = sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");
    while (len - (size_t)n > 2) {
        size_t left = len - (size_t)n - 2, line = left > 3000 ? 2000 : left;
        n += sprintf(text + n, "X: ");
        memset(text + n, 'x', line - 5);
        n += (int)line - 5;
        n += sprintf(text + n, "\r\n");
    }
    strcpy(text + n, "\r\n");
    assert_int_equal(strlen(text), len);
    return text;
}

static const char *with_fields(int count)
{
    int n = sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 1; i < count; i++)
        n += sprintf(text + n, "X: %d\r\n", i);
    strcpy(text + n, "\r\n");
    return text;
}

/* At once, octet by octet, and cut in the middle: the limit is the same. */
static void expect_status(const char *request, int status)
{
    for (int way = 0; way < 3; way++) {
        size_t len = strlen(request), cut = way == 1 ? len / 2 : 0;
        if (way == 2 && len < 4000) {
            for (; cut < len - 1 && tepal_test_write(client, request + cut, 1) == 0; cut++)
                continue;
        } else if (cut > 0) {
            tepal_test_write(client, request, cut);
        }
        tepal_test_write(client, request + cut, len - cut);
        tepal_test_reply *reply = hear("GET");
        assert_reply(reply, status, NULL);
        assert_field(reply, "Connection", status == 200 ? NULL : "close");
        tepal_test_disconnect(client);
    }
}

static void request_line(void **state)
{
    (void)state;
    tepal_get(app, "/{rest:path}", ok);
    start(&(tepal_run_options){ .limits.max_request_line = 100 });
    expect_status(with_line(99), 200);
    expect_status(with_line(100), 200);
    expect_status(with_line(101), 414);
    expect_status(with_line(50000), 414);
    again();
    tepal_get(app, "/{rest:path}", ok);
    start(NULL);
    expect_status(with_line(8191), 200);
    expect_status(with_line(8192), 200);
    expect_status(with_line(8193), 414);
}

static void head(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    start(&(tepal_run_options){ .limits.max_head = 1000, .limits.max_request_line = 500 });
    expect_status(with_head(999), 200);
    expect_status(with_head(1000), 200);
    expect_status(with_head(1001), 431);
    expect_status(with_head(100000), 431);
    again();
    tepal_get(app, "/", ok);
    start(NULL);
    expect_status(with_head(32767), 200);
    expect_status(with_head(32768), 200);
    expect_status(with_head(32769), 431);
    expect_status(with_head(20000), 200);
}

static void fields(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    start(&(tepal_run_options){ .limits.max_fields = 10 });
    expect_status(with_fields(9), 200);
    expect_status(with_fields(10), 200);
    expect_status(with_fields(11), 431);
    again();
    tepal_get(app, "/", ok);
    start(NULL);
    expect_status(with_fields(127), 200);
    expect_status(with_fields(128), 200);
    expect_status(with_fields(129), 431);
    again();
    tepal_get(app, "/", ok);
    start(&(tepal_run_options){ .limits.max_fields = 255 });
    expect_status(with_fields(255), 200);
    expect_status(with_fields(256), 431);
}

/* The trailers of a body have the limits of a head, and its chunk heads that of a line. */
static tepal_res *read_it(tepal_req *req)
{
    return tepal_req_body(req) ? ok(req) : NULL;
}

static int chunked_status(size_t extension, size_t trailer, int n_trailers)
{
    say("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;");
    memset(text, 'e', extension);
    tepal_test_write(client, text, extension);
    tepal_test_write(client, "\r\na\r\n0\r\n", 9 - 1);
    for (int i = 0; i < n_trailers; i++) {
        size_t n = (size_t)sprintf(text, "T: ");
        memset(text + n, 't', trailer);
        memcpy(text + n + trailer, "\r\n", 2);
        tepal_test_write(client, text, n + trailer + 2);
    }
    tepal_test_write(client, "\r\n", 2);
    int status = hear("POST")->status;
    tepal_test_disconnect(client);
    return status;
}

static void chunk_heads_and_trailers(void **state)
{
    (void)state;
    tepal_post(app, "/", read_it);
    start(&(tepal_run_options){
        .limits.max_fields = 20, .limits.max_head = 1000, .limits.max_request_line = 100 });
    assert_int_equal(chunked_status(90, 10, 1), 200);
    assert_int_equal(chunked_status(200, 10, 1), 413);
    assert_int_equal(chunked_status(1, 1, 20), 200);
    assert_int_equal(chunked_status(1, 1, 21), 413);
    assert_int_equal(chunked_status(1, 90, 10), 200);
    assert_int_equal(chunked_status(1, 90, 11), 413);
}

/* A stream of header octets without an end: refused, and then only dropped. */
static void endless_head(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    start(NULL);
    int pair[2];
    struct addr peer = { .un.sun_family = AF_UNIX };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    server_attach(app->server, pair[1], &peer);
    static const char begin[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    assert_int_equal(write(pair[0], begin, sizeof(begin) - 1), sizeof(begin) - 1);
    memset(text, 'x', sizeof(text));
    size_t sent = 0;
    while (sent < (size_t)times(20) * 1000 * 1000) {
        ssize_t n = write(pair[0], text, sizeof(text));
        sent += n > 0 ? (size_t)n : 0;
        while (loop_turn(loop_current, false))
            continue;
    }
    char got[64];
    assert_true(recv(pair[0], got, sizeof(got), 0) > 13);
    assert_memory_equal(got, "HTTP/1.1 431 ", 13);
    close(pair[0]);
    assert_reply(get("/"), 200, "ok");
}

/* --- Connections ------------------------------------------------------------------------------ */

static int open_client(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    unsigned port;
    assert_int_equal(sscanf(strrchr(tepal_app_url(app, 0), ':') + 1, "%u", &port), 1);
    addr.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static size_t seen[8];

static int use_connections(void *arg)
{
    (void)arg;
    int fds[5];
    tepal_sleep_ms(20);
    for (int i = 0; i < 5; i++)
        fds[i] = open_client();
    tepal_sleep_ms(50);
    seen[0] = app->server->n_connections; /* the others wait in the backlog */
    close(fds[0]);
    tepal_sleep_ms(50);
    seen[1] = app->server->n_connections;
    close(fds[1]);
    close(fds[2]);
    tepal_sleep_ms(50);
    seen[2] = app->server->n_connections;
    close(fds[3]);
    tepal_sleep_ms(50);
    seen[3] = app->server->n_connections;
    int fd = open_client();
    tepal_sleep_ms(50);
    seen[4] = app->server->n_connections;
    close(fd);
    close(fds[4]);
    tepal_app_stop(app);
    return 0;
}

static int serve_and_use(void *arg)
{
    tepal_group *group = tepal_group_new();
    int rc = tepal_spawn(group, use_connections, NULL, NULL);
    if (rc == 0)
        rc = tepal_serve(app, arg);
    tepal_group_close(group);
    return rc;
}

static void connections(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    tepal_run_options options = { .host = "127.0.0.1",
                                  .port = TEPAL_ANY_PORT,
                                  .access_log.off = true,
                                  .limits.max_connections = 2 };
    assert_int_equal(tepal_main(serve_and_use, &options), 0);
    static const size_t expected[] = { 2, 2, 2, 1, 2 };
    assert_memory_equal(seen, expected, sizeof(expected));
}

static int found[2];

static int see_options(void *arg)
{
    (void)arg;
    tepal_sleep_ms(20);
    int fd = open_client();
    tepal_sleep_ms(50);
    struct connection *c = CONTAINER_OF(app->server->connections.next, struct connection, node);
    int server_fd = c->http.conn.io.fd;
    socklen_t size = sizeof(int);
    getsockopt(server_fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &found[0], &size);
    getsockopt(server_fd, IPPROTO_TCP, TCP_KEEPIDLE, &found[1], &size);
    close(fd);
    tepal_app_stop(app);
    return 0;
}

static int serve_and_see(void *arg)
{
    tepal_group *group = tepal_group_new();
    int rc = tepal_spawn(group, see_options, NULL, NULL);
    if (rc == 0)
        rc = tepal_serve(app, arg);
    tepal_group_close(group);
    return rc;
}

/* What the system does for a connection: holds little for a slow client, and asks after one that is
 * silent. */
static void of_sockets(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        tepal_get(app, "/", ok);
        tepal_run_options options = { .host = "127.0.0.1",
                                      .port = TEPAL_ANY_PORT,
                                      .access_log.off = true,
                                      .limits.max_unsent = i ? 100000 : 0 };
        assert_int_equal(tepal_main(serve_and_see, &options), 0);
        assert_int_equal(found[0], i ? 100000 : 256 * 1024);
        assert_int_equal(found[1], 60);
        again();
    }
}

/* --- Bad options ------------------------------------------------------------------------------ */

static void bad_sizes(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    assert_refused(&(tepal_run_options){ .limits.max_unsent = 4095 },
                   "max_unsent is under 4096: 4095");
    assert_refused(&(tepal_run_options){ .limits.max_memory = 1024 * 1024 - 1 },
                   "max_memory is under 1048576: 1048575");
    start(&(tepal_run_options){ .limits.max_unsent = 4096, .limits.max_memory = 1024 * 1024 });
    assert_reply(get("/"), 200, "ok");
    again();
    tepal_get(app, "/", ok);
    start(&(tepal_run_options){ .limits.max_unsent = TEPAL_UNLIMITED,
                                .limits.max_memory = TEPAL_UNLIMITED });
    assert_reply(get("/"), 200, "ok");
}

static void bad_options(void **state)
{
    (void)state;
    static const struct {
        tepal_run_options options;
        const char *why;
    } rows[] = {
        { { .limits.max_fields = 256 }, "cannot start: max_fields is over 255: 256" },
        { { .limits.max_fields = TEPAL_UNLIMITED }, "max_fields is over 255: TEPAL_UNLIMITED" },
        { { .limits.max_json_depth = 513 }, "max_json_depth is over 512: 513" },
        { { .limits.max_json_depth = TEPAL_UNLIMITED },
          "max_json_depth is over 512: TEPAL_UNLIMITED" },
        { { .limits.max_head = 16 * 1024 * 1024 + 1 }, "max_head is over 16777216: 16777217" },
        { { .limits.max_head = TEPAL_UNLIMITED }, "max_head is over 16777216: TEPAL_UNLIMITED" },
        { { .limits.max_request_line = 16 * 1024 * 1024 + 1 },
          "max_request_line is over max_head: 16777217, and 32768" },
        { { .limits.max_request_line = 5000, .limits.max_head = 4999 },
          "max_request_line is over max_head: 5000, and 4999" },
        { { .limits.max_request_memory = 64 * 1024 - 1 },
          "max_request_memory is under 65536: 65535" },
        { { .limits.max_request_memory = 100000, .limits.max_body = 100001 },
          "max_body is over max_request_memory: 100001, and 100000" },
        { { .limits.head_timeout_ms = -1 }, "head_timeout_ms is negative: -1" },
        { { .limits.keepalive_timeout_ms = -1 }, "keepalive_timeout_ms is negative: -1" },
        { { .limits.body_timeout_ms = -1 }, "body_timeout_ms is negative: -1" },
        { { .limits.write_timeout_ms = -1 }, "write_timeout_ms is negative: -1" },
        { { .limits.lingering_timeout_ms = -1 }, "lingering_timeout_ms is negative: -1" },
        { { .shutdown_timeout_ms = INT64_MIN }, "shutdown_timeout_ms is negative: -9223372036854" },
        { { .stack_size = 32 * 1024, .limits.max_json_depth = 161 },
          "max_json_depth is 161, which needs a stack_size of 32896: it is 32768" },
        { { .server = "a\r\nb" }, "server has control characters" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        assert_refused(&rows[i].options, rows[i].why);
    static const tepal_run_options good[] = {
        { .limits.max_fields = 255,
          .limits.max_json_depth = 512,
          .limits.max_head = 16 * 1024 * 1024,
          .limits.max_request_line = 16 * 1024 * 1024,
          .limits.max_request_memory = 64 * 1024 },
        { .limits.max_fields = 1,
          .limits.max_json_depth = 1,
          .limits.max_head = 100,
          .limits.max_request_line = 100,
          .limits.max_body = 1,
          .limits.max_requests = 1,
          .limits.max_connections = 1,
          .limits.max_unread_body = 1 },
        { .limits.max_body = TEPAL_UNLIMITED,
          .limits.max_request_memory = TEPAL_UNLIMITED,
          .limits.max_unread_body = TEPAL_UNLIMITED,
          .limits.max_requests = TEPAL_UNLIMITED,
          .limits.max_connections = TEPAL_UNLIMITED },
        /* Each alone. */
        { .limits.max_head = 100 },
        { .limits.max_head = 4096 },
        { .limits.max_head = 16 * 1024 * 1024 },
        { .limits.max_request_line = 100 },
        { .limits.max_request_line = 40000 },
        { .limits.max_request_line = 16 * 1024 * 1024 },
        { .limits.max_request_line = TEPAL_UNLIMITED },
        { .limits.max_head = 5000, .limits.max_request_line = 5000 },
        { .limits.max_request_memory = 64 * 1024 },
        { .limits.max_request_memory = 100000, .limits.max_body = 100000 },
        { .limits.max_request_memory = 64 * 1024, .limits.max_body = TEPAL_UNLIMITED },
        { .limits.max_request_memory = TEPAL_UNLIMITED },
        { .limits.max_body = TEPAL_UNLIMITED },
        { .limits.max_json_depth = 512 },
        { .stack_size = 32 * 1024 },
        { .stack_size = 32 * 1024, .limits.max_json_depth = 160 },
    };
    tepal_get(app, "/", ok);
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        start(&good[i]);
        assert_reply(get("/"), 200, "ok");
        tepal_test_close(client);
        client = NULL;
    }
}

static int serve(void *arg)
{
    return tepal_serve(app, arg);
}

static void bad_ports(void **state)
{
    (void)state;
    static const int ports[] = { -2, 65536, 100000 };
    for (int i = 0; i < 3; i++) {
        tepal_run_options options = { .port = ports[i] };
        assert_int_equal(tepal_main(serve, &options), -EINVAL);
        assert_non_null(strstr(logged(), "port is not between 1 and 65535"));
        log_forget();
    }
}

/* A default gives way to what is set. */
static void defaults(void **state)
{
    (void)state;
    tepal_get(app, "/{rest:path}", ok);
    tepal_post(app, "/", read_it);
    start(&(tepal_run_options){ .limits.max_head = 4096 });
    expect_status(with_line(4000), 200);
    expect_status(with_line(4097), 414);
    again();
    tepal_get(app, "/{rest:path}", ok);
    start(&(tepal_run_options){ .limits.max_request_line = 60000 });
    expect_status(with_line(60000), 200);
    expect_status(with_line(60001), 414);
    again();
    tepal_get(app, "/{rest:path}", ok);
    start(&(tepal_run_options){ .limits.max_request_line = TEPAL_UNLIMITED });
    expect_status(with_line(32000), 200);
    again();
    tepal_post(app, "/", read_it);
    start(&(tepal_run_options){ .limits.max_request_memory = 64 * 1024 });
    char *body = octets(64 * 1024 + 1);
    assert_int_equal(ask("POST", "/", "Content-Type: text/plain", body)->status, 413);
    free(body);
}

/* A route that takes more than all others has the memory for it; unless less was given, and then it
 * could never work. */
static void larger_bodies_of_a_route(void **state)
{
    (void)state;
    enum { LARGE = 24 << 20 };
    static const tepal_route table[] = {
        { .method = "POST", .pattern = "/up", .handler = read_it, .max_body = LARGE }, { 0 }
    };
    char *body = malloc(LARGE + 2);
    assert_non_null(body);
    tepal_routes(app, table);
    start(NULL);
    for (size_t i = 0; i < 3; i++) {
        size_t len = LARGE - 1 + i;
        memset(body, 'x', len);
        body[len] = '\0';
        tepal_test_reply *reply = ask("POST", "/up", "Content-Type: text/plain", body);
        assert_int_equal(reply->status, i < 2 ? 200 : 413);
    }
    free(body);
    again();
    tepal_routes(app, table);
    assert_refused(&(tepal_run_options){ .limits.max_request_memory = 20 << 20 },
                   "route POST /up: max_body is over max_request_memory: 25165824, and 20971520");
    again();
    tepal_routes(app, table);
    start(&(tepal_run_options){ .limits.max_request_memory = LARGE });
}

static size_t used;

static tepal_res *measure(tepal_req *req)
{
    const tepal_bytes *body = tepal_req_body(req);
    used = req->arena.used;
    return body ? tepal_textf(req, 200, "%zu", body->len) : NULL;
}

/* A body costs what it is: nothing is left of the room that it has outgrown. */
static void memory_of_bodies(void **state)
{
    (void)state;
    enum { SIZE = 3000000 };
    char *body = octets(SIZE), *piece = malloc(SIZE + 100);
    assert_non_null(piece);
    tepal_post(app, "/", measure);
    start(&(tepal_run_options){ .limits.max_body = SIZE });
    assert_reply(ask("POST", "/", "Content-Type: text/plain", body), 200, "3000000");
    assert_in_range(used, SIZE, SIZE + 64 * 1024);
    size_t len = (size_t)sprintf(piece,
                                 "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                                 "\r\n%x\r\n",
                                 SIZE);
    memcpy(piece + len, body, SIZE);
    len += SIZE + (size_t)sprintf(piece + len + SIZE, "\r\n0\r\n\r\n");
    say_octets(piece, len);
    assert_reply(hear("POST"), 200, "3000000");
    assert_in_range(used, SIZE, SIZE + 64 * 1024);
    free(piece);
    free(body);
}

/* What max_body allows fits into the memory that a request has by default. */
static void memory_for_large_bodies(void **state)
{
    (void)state;
    enum { SIZE = 8 << 20 };
    char *body = malloc(SIZE + 1);
    assert_non_null(body);
    memset(body, 'x', SIZE);
    body[SIZE] = '\0';
    tepal_post(app, "/", read_it);
    start(&(tepal_run_options){ .limits.max_body = SIZE });
    assert_int_equal(ask("POST", "/", "Content-Type: text/plain", body)->status, 200);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(request_line),
        WEB_TEST(head),
        WEB_TEST(fields),
        WEB_TEST(chunk_heads_and_trailers),
        WEB_TEST(endless_head),
        WEB_TEST(connections),
        WEB_TEST(of_sockets),
        WEB_TEST(bad_sizes),
        WEB_TEST(bad_options),
        WEB_TEST(bad_ports),
        WEB_TEST(memory_for_large_bodies),
        WEB_TEST(defaults),
        WEB_TEST(larger_bodies_of_a_route),
        WEB_TEST(memory_of_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
