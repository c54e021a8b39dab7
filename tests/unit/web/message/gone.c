/* Tests of clients that go away, or end their side, while their request is at work. The test
 * client's ends are those of TCP; a Unix socket that is closed is gone for good at once. */
#include "../web_check.h"

#include "async/task/task.h"
#include "web/app/application.h"
#include "web/server/server.h"
#include "net/addr.h"

#include <sys/socket.h>
#include <unistd.h>

static int told[8];

static void forget(void)
{
    for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++)
        told[i] = 1;
}

static void run(void)
{
    while (loop_turn(loop_current, false))
        continue;
}

/* --- What a handler may wait for -------------------------------------------------------------- */

static tepal_mutex mutex;
static tepal_channel *channel;
static tepal_event event;

static int sleep_long(void *arg)
{
    (void)arg;
    return tepal_sleep_ms(3600 * 1000);
}

static int wait_for(const char *what, tepal_req *req)
{
    void *item;
    if (strcmp(what, "sleep") == 0)
        return sleep_long(NULL);
    if (strcmp(what, "event") == 0)
        return tepal_event_wait(&event);
    if (strcmp(what, "mutex") == 0)
        return tepal_mutex_lock(&mutex);
    if (strcmp(what, "channel") == 0)
        return tepal_channel_receive(channel, &item);
    int rc = tepal_spawn(tepal_req_group(req), sleep_long, NULL, NULL);
    return rc < 0 ? rc : tepal_group_wait(tepal_req_group(req));
}

static tepal_res *waits(tepal_req *req)
{
    told[0] = 2;
    told[0] = wait_for(tepal_req_match(req, "what"), req);
    told[1] = tepal_is_cancelled();
    return told[0] < 0 ? tepal_fail(req, told[0]) : ok(req);
}

static int hold_mutex(void *arg)
{
    (void)arg;
    int rc = tepal_mutex_lock(&mutex);
    if (rc == 0) {
        sleep_long(NULL);
        tepal_mutex_unlock(&mutex);
    }
    return 0;
}

static int hold(tepal_app *a, void *arg)
{
    (void)arg;
    return tepal_spawn(tepal_app_group(a), hold_mutex, NULL, NULL);
}

/* Whatever it waits for, a client that closes ends it, and one that ends its side still gets what
 * the handler answers. */
static void ends_every_wait(void **state)
{
    (void)state;
    static const char *const kinds[] = { "sleep", "event", "mutex", "channel", "group" };
    channel = tepal_channel_new(sizeof(void *), 1);
    tepal_any(app, "/{what}", waits);
    tepal_on_startup(app, hold, NULL);
    start(NULL);
    for (size_t i = 0; i < 4 * sizeof(kinds) / sizeof(*kinds); i++) {
        char text[200];
        const char *body = i & 2 ? "Content-Length: 4\r\n\r\nbody" : "\r\n";
        sprintf(text, "POST /%s HTTP/1.1\r\nHost: a\r\n%s", kinds[i / 4], body);
        forget();
        int64_t before = loop_current->now;
        say(text);
        assert_int_equal(told[0], 2);
        if (i & 1) {
            tepal_test_shutdown(client);
            tepal_test_reply *reply = hear("POST");
            assert_reply(reply, 503, NULL);
            assert_true(reply->closed);
        } else {
            tepal_test_disconnect(client);
        }
        assert_int_equal(told[0], -ECANCELED);
        assert_int_equal(told[1], 1);
        assert_int_equal(loop_current->now, before);
        assert_int_equal(app->server->n_connections, 0);
    }
    assert_string_equal(logged(), "");
    tepal_channel_close(channel);
}

/* --- What is written -------------------------------------------------------------------------- */

enum { PIECE = 100 * 1000, PIECES = 30 };
static char *piece;

/* Large pieces, for which it has to wait; and then something that is not for the client. */
static tepal_res *writes(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    bool wait = strcmp(tepal_req_query_string(req), "wait") == 0;
    if (strcmp(tepal_req_query_string(req), "length") == 0)
        tepal_res_set_length(res, (uint64_t)PIECE * PIECES);
    for (int i = 0; i < PIECES; i++) {
        told[0] = tepal_write(res, piece, PIECE);
        if (told[0] < 0)
            break;
        if (wait && i == PIECES / 2 && (told[1] = tepal_sleep_ms(10)) < 0)
            break;
    }
    if (strcmp(tepal_req_query_string(req), "length") == 0)
        told[1] = tepal_sleep_ms(10); /* it is whole, whatever this says */
    return res;
}

static int attach(const char *request)
{
    int pair[2];
    struct addr peer = { .in.sin_family = AF_INET };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    server_attach(app->server, pair[1], &peer);
    assert_int_equal(write(pair[0], request, strlen(request)), (ssize_t)strlen(request));
    run();
    return pair[0];
}

/* What came, up to the end. */
static size_t read_all(int fd, char *got, size_t size)
{
    size_t len = 0;
    for (int idle = 0; idle < 3;) {
        ssize_t n = recv(fd, got + len, size - len - 1, 0);
        if (n == 0)
            break;
        idle = n < 0 ? idle + 1 : 0;
        len += n > 0 ? (size_t)n : 0;
        run();
    }
    got[len] = '\0';
    return len;
}

/* A client that has ended its side gets all that is written; what the handler cut short itself, for
 * it was told, does not look complete. */
static void what_is_written_goes_out(void **state)
{
    (void)state;
    static char got[PIECE * PIECES + 10000];
    piece = octets(PIECE);
    tepal_get(app, "/", writes);
    start(NULL);
    for (int i = 0; i < 3; i++) {
        static const char *const requests[] = { "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                                                "GET /?length HTTP/1.1\r\nHost: a\r\n\r\n",
                                                "GET /?wait HTTP/1.1\r\nHost: a\r\n\r\n" };
        forget();
        int fd = attach(requests[i]);
        shutdown(fd, SHUT_WR);
        run();
        size_t len = read_all(fd, got, sizeof(got));
        assert_int_equal(told[0], 0);
        assert_int_equal(told[1], i == 0 ? 1 : -ECANCELED);
        bool ended = strcmp(got + len - 5, "0\r\n\r\n") == 0;
        assert_int_equal(ended, i == 0);
        if (i < 2)
            assert_true(len > PIECE * PIECES);
        else
            assert_true(len > PIECE * PIECES / 2 && len < PIECE * PIECES);
        close(fd);
        run();
        assert_int_equal(app->server->n_connections, 0);
    }
    free(piece);
}

static tepal_res *big_answer(tepal_req *req)
{
    told[0] = tepal_sleep_ms(1000);
    return lent(req, piece, PIECE * PIECES);
}

/* A response that is returned all the same is sent, all of it. */
static void a_response_all_the_same(void **state)
{
    (void)state;
    static char got[PIECE * PIECES + 10000];
    piece = octets(PIECE * PIECES);
    tepal_get(app, "/", big_answer);
    start(NULL);
    int fd = attach("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(fd, SHUT_WR);
    run();
    assert_int_equal(told[0], -ECANCELED);
    assert_true(read_all(fd, got, sizeof(got)) > PIECE * PIECES);
    close(fd);
    free(piece);
}

static int write_all(void *arg)
{
    tepal_res *res = arg;
    for (int i = 0; i < PIECES && told[0] >= 0; i++)
        told[0] = tepal_write(res, piece, PIECE);
    return 0;
}

/* A task of the request's group writes, and the handler waits for it. */
static tepal_res *writes_by_another(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    if (tepal_spawn(tepal_req_group(req), write_all, res, NULL) == 0)
        told[1] = tepal_group_wait(tepal_req_group(req));
    return res;
}

static void what_another_task_writes(void **state)
{
    (void)state;
    static char got[PIECE * PIECES + 10000];
    piece = octets(PIECE);
    tepal_get(app, "/", writes_by_another);
    start(&(tepal_run_options){ .shutdown_timeout_ms = 1000 });
    forget();
    int fd = attach("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(fd, SHUT_WR);
    run();
    assert_int_equal(told[1], -ECANCELED);
    assert_true(read_all(fd, got, sizeof(got)) > PIECE * PIECES);
    assert_int_equal(told[0], 0);
    close(fd);
    run();
    /* The end of the server's patience ends that, too. */
    forget();
    fd = attach("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(fd, SHUT_WR);
    run();
    tepal_test_close(client);
    client = NULL;
    assert_int_equal(told[0], -ECANCELED);
    close(fd);
    free(piece);
}

/* --- When it does not count ------------------------------------------------------------------- */

static tepal_res *sleeps(tepal_req *req)
{
    told[0] = 2;
    told[0] = tepal_sleep_ms(1000);
    return told[0] < 0 ? tepal_fail(req, told[0]) : ok(req);
}

static void a_shielded_route(void **state)
{
    (void)state;
    static const tepal_route table[] = {
        { .method = "GET", .pattern = "/shield", .handler = sleeps, .shield = true }, { 0 }
    };
    tepal_routes(app, table);
    start(&(tepal_run_options){ .shutdown_timeout_ms = 500 });
    static const char request[] = "GET /shield HTTP/1.1\r\nHost: a\r\n\r\n";
    say(request);
    tepal_test_shutdown(client);
    assert_reply(hear("GET"), 200, "ok");
    say(request);
    tepal_test_disconnect(client);
    assert_int_equal(told[0], 2);
    tepal_test_advance(client, 1000);
    assert_int_equal(told[0], 0);
    /* Gone for good, before and while it works. */
    int fd = attach(request);
    close(fd);
    tepal_test_advance(client, 1000);
    assert_int_equal(told[0], 0);
    assert_int_equal(app->server->n_connections, 0);
    /* The end of the server is another matter. */
    fd = attach(request);
    tepal_test_close(client);
    client = NULL;
    assert_int_equal(told[0], -ECANCELED);
    close(fd);
}

static void half_closed_clients(void **state)
{
    (void)state;
    tepal_get(app, "/", sleeps);
    start(&(tepal_run_options){ .limits.half_closed_clients = true });
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_test_shutdown(client);
    assert_reply(hear("GET"), 200, "ok");
    assert_int_equal(told[0], 0);
    /* A reset is one. */
    int fd = attach("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    close(fd);
    run();
    assert_int_equal(told[0], -ECANCELED);
}

/* --- The request and the end ------------------------------------------------------------------ */

static tepal_res *reads_then_waits(tepal_req *req)
{
    tepal_bytes part;
    told[0] = tepal_sleep_ms(10);
    while ((told[1] = tepal_req_read(req, &part)) > 0)
        continue;
    told[2] = tepal_sleep_ms(10);
    return told[1] < 0 ? NULL : ok(req);
}

/* As long as a body is to be read the end behind it does not count; and a body that ends too early
 * is told as such. */
static void behind_a_large_body(void **state)
{
    (void)state;
    char *body = octets(100 * 1000), head[200];
    tepal_post(app, "/", reads_then_waits);
    start(NULL);
    for (int whole = 0; whole < 2; whole++) {
        sprintf(head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
                whole ? 100 * 1000 : 100 * 1000 + 1);
        forget();
        int fd = attach(head);
        assert_int_equal(write(fd, body, 100 * 1000), 100 * 1000);
        shutdown(fd, SHUT_WR);
        tepal_test_advance(client, 100);
        assert_int_equal(told[0], 0);
        assert_int_equal(told[1], whole ? 0 : TEPAL_ECLOSED);
        assert_int_equal(told[2], -ECANCELED);
        char got[1000];
        assert_true(read_all(fd, got, sizeof(got)) > 0);
        assert_memory_equal(got, whole ? "HTTP/1.1 200" : "HTTP/1.1 400", 12);
        close(fd);
        run();
    }
    free(body);
}

/* What is not read is looked at as far as there is room for it with the head. */
static void behind_an_unread_body(void **state)
{
    (void)state;
    enum { BUFFER = 16 * 1024, HEAD = 500 };
    char *body = octets(BUFFER), head[HEAD + 1], request[2 * BUFFER];
    tepal_post(app, "/", sleeps);
    start(NULL);
    for (int size = BUFFER - 1; size <= BUFFER + 1; size++) {
        int n =
            sprintf(head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nX: ", size - HEAD);
        sprintf(head + n, "%0*d\r\n\r\n", HEAD - n - 4, 0);
        assert_int_equal(sprintf(request, "%s%.*s", head, size - HEAD, body), size);
        forget();
        int fd = attach(request);
        shutdown(fd, SHUT_WR);
        tepal_test_advance(client, 2000);
        assert_int_equal(told[0], size <= BUFFER ? -ECANCELED : 0);
        close(fd);
        run();
    }
    free(body);
}

/* What was sent before the end is answered, each with its own wait ended. */
static void requests_before_the_end(void **state)
{
    (void)state;
    tepal_get(app, "/", sleeps);
    tepal_get(app, "/ok", ok);
    start(NULL);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_test_shutdown(client);
    assert_reply(hear("GET"), 503, NULL);
    assert_reply(hear("GET"), 200, "ok");
    assert_reply(hear("GET"), 503, NULL);
    assert_gone();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(ends_every_wait),         WEB_TEST(what_is_written_goes_out),
        WEB_TEST(a_response_all_the_same), WEB_TEST(what_another_task_writes),
        WEB_TEST(a_shielded_route),        WEB_TEST(half_closed_clients),
        WEB_TEST(behind_a_large_body),     WEB_TEST(behind_an_unread_body),
        WEB_TEST(requests_before_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
