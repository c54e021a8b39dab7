/* Tests of the memory of all requests together, and of what happens when there is none. */
#include "../web_check.h"

#include "async/task/task.h"
#include "base/mem.h"
#include "web/app/application.h"
#include "web/server/server.h"
#include "web/testing/peer.h"

#include <sys/socket.h>
#include <unistd.h>

/* Of bodies of this size three have room in three quarters of the memory; and a socket takes one
 * whole. */
enum { MAX = 1024 * 1024, BODY = 150 * 1000 };
static char *body;

static void run(void)
{
    while (loop_turn(loop_current, false))
        continue;
}

static int n_running;

static tepal_res *keep_body(tepal_req *req)
{
    const tepal_bytes *whole = tepal_req_body(req);
    if (!whole)
        return NULL;
    n_running++;
    int rc = tepal_sleep_ms(5000);
    n_running--;
    return rc < 0 ? tepal_fail(req, rc) : tepal_textf(req, 200, "%zu", whole->len);
}

static tepal_res *take(tepal_req *req)
{
    size_t size = (size_t)tepal_req_match_int(req, "size");
    return tepal_req_alloc(req, size) ? ok(req) : NULL;
}

/* As much as the server reads now. */
static void put(int fd, const char *data, size_t len)
{
    for (int refused = 0; len > 0 && refused < 2;) {
        ssize_t n = write(fd, data, len);
        assert_true(n > 0 || errno == EAGAIN);
        refused = n > 0 ? 0 : refused + 1;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
        run();
    }
}

static int send_body(size_t len)
{
    char head[200];
    sprintf(head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BODY);
    int fd = testpeer_open(app->server, NULL);
    put(fd, head, strlen(head));
    put(fd, body, len);
    return fd;
}

/* The status line that came; "" when nothing has. */
static const char *status_of(int fd)
{
    static char got[4096];
    ssize_t n = recv(fd, got, sizeof(got) - 1, 0);
    got[n > 0 ? n : 0] = '\0';
    return n > 12 ? got + 9 : "";
}

static void serve(void)
{
    n_running = 0;
    body = octets(BODY);
    tepal_post(app, "/", keep_body);
    tepal_get(app, "/{size:int}", take);
    start(&(tepal_run_options){ .limits.max_memory = MAX });
}

static void assert_status(int fd, const char *status)
{
    assert_int_equal(strncmp(status_of(fd), status, 3), 0);
}

static void bodies_wait(void **state)
{
    (void)state;
    serve();
    int fds[6];
    for (int i = 0; i < 6; i++)
        fds[i] = send_body(BODY);
    assert_int_equal(n_running, 3);
    assert_reply(get("/1000"), 200, "ok"); /* what is small does not wait */
    tepal_test_advance(client, 5000);
    for (int i = 0; i < 3; i++)
        assert_status(fds[i], "200");
    assert_int_equal(n_running, 3);
    tepal_test_advance(client, 5000);
    for (int i = 3; i < 6; i++)
        assert_status(fds[i], "200");
    assert_int_equal(app->server->memory.budget.used, 0);
    assert_string_equal(logged(), "");
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    free(body);
}

/* Not for ever: the fourth three have waited for 10 s before it would be their turn. */
static void bodies_wait_in_vain(void **state)
{
    (void)state;
    serve();
    int fds[12];
    for (int i = 0; i < 12; i++)
        fds[i] = send_body(BODY);
    tepal_test_advance(client, 30 * 1000);
    for (int i = 0; i < 6; i++)
        assert_status(fds[i], "200");
    for (int i = 9; i < 12; i++) {
        const char *status = status_of(fds[i]);
        assert_int_equal(strncmp(status, "503", 3), 0);
        assert_non_null(strstr(status, "Retry-After: 1\r\n"));
    }
    assert_non_null(strstr(logged(), "no memory for a request: answered with 503 (1 so far)"));
    for (int i = 0; i < 12; i++)
        close(fds[i]);
    run();
    assert_int_equal(app->server->memory.budget.used, 0);
    free(body);
}

/* Who has been waited for for less than a second is not slow, however little has come. */
static void nobody_is_slow_at_once(void **state)
{
    (void)state;
    serve();
    int first = send_body(100 * 1000), second = send_body(50 * 1000), fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = send_body(BODY);
    assert_int_equal(n_running, 1);
    tepal_test_advance(client, 900);
    assert_int_equal(strlen(status_of(first)) + strlen(status_of(second)), 0);
    assert_int_equal(n_running, 1);
    tepal_test_advance(client, 250);
    assert_status(second, "503");
    close(first);
    close(second);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    free(body);
}

/* Who sends slowly makes room for who waits. */
static void the_slowest_is_given_up(void **state)
{
    (void)state;
    serve();
    int slow = send_body(100 * 1000), slower = send_body(50 * 1000), fds[3];
    tepal_test_advance(client, 2000);
    for (int i = 0; i < 3; i++)
        fds[i] = send_body(BODY);
    assert_int_equal(n_running, 1);
    tepal_test_advance(client, 150);
    assert_status(slower, "503");
    assert_int_equal(strlen(status_of(slow)), 0);
    assert_int_equal(n_running, 2);
    tepal_test_advance(client, 150);
    assert_status(slow, "503");
    assert_int_equal(n_running, 3);
    close(slow);
    close(slower);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    free(body);
}

/* Beyond all of it nothing is begun. */
static void at_the_limit(void **state)
{
    (void)state;
    serve();
    assert_reply(get("/900000"), 200, "ok");
    tepal_test_reply *reply = get("/1100000");
    assert_reply(reply, 503, NULL);
    assert_field(reply, "Retry-After", "1");
    int fds[64], n = 0;
    for (; n < 64; n++) {
        fds[n] = testpeer_open(app->server, NULL);
        put(fds[n], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 47);
        if (*status_of(fds[n]))
            break;
    }
    assert_in_range(n, MAX / MEMORY_OF_WORK - 1, MAX / MEMORY_OF_WORK);
    assert_non_null(strstr(logged(), "no memory for a request: answered with 503 (1 so far)"));
    for (int i = 0; i <= n; i++)
        close(fds[i]);
    run();
    assert_int_equal(app->server->memory.budget.used, 0);
    assert_reply(get("/1000"), 200, "ok");
    free(body);
}

/* A request for which there is no stack or other memory is told so, and not often said in the
 * log. */
static void a_shortage(void **state)
{
    (void)state;
    serve();
    for (int i = 0; i < 20; i++) {
        int fd = testpeer_open(app->server, NULL);
        assert_int_equal(write(fd, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", 28), 28);
        /* A stack, then buffers; or all of it. */
        mem_fail_nth(1 + (size_t)i / 2 % 3, i % 2);
        run();
        bool failed = mem_failures() > 0;
        mem_fail_nth(0, 0);
        const char *status = status_of(fd);
        if (failed)
            assert_true(strncmp(status, "503", 3) == 0 || strncmp(status, "200", 3) == 0);
        close(fd);
        run();
        assert_int_equal(app->server->n_connections, 0);
    }
    const char *line = strstr(logged(), "no memory for a request");
    if (line)
        assert_null(strstr(line + 1, "no memory for a request"));
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(bodies_wait),
        WEB_TEST(bodies_wait_in_vain),
        WEB_TEST(the_slowest_is_given_up),
        WEB_TEST(nobody_is_slow_at_once),
        WEB_TEST(at_the_limit),
        WEB_TEST(a_shortage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
