/* Tests of connections that have something to read at the same time: one task serves them one after
 * the other, and each finds it as if it were new. */
#include "../web_check.h"

#include "async/debug/inspect.h"
#include "async/task/task.h"
#include "web/app/application.h"
#include "web/exchange/connection.h"
#include "web/message/request.h"
#include "web/server/server.h"
#include "web/exchange/h1.h"

#include <sys/socket.h>
#include <unistd.h>

enum { N = 4 };

static int fds[N];
static char answers[N][4096];

/* Connects N clients, each of which has asked for its target before the server looks. */
static void ask_at_once(const char *const targets[N])
{
    struct addr peer = { .un.sun_family = AF_UNIX };
    for (int i = 0; i < N; i++) {
        int pair[2];
        char text[128];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
                         0);
        fds[i] = pair[0];
        server_attach(app->server, pair[1], &peer);
        int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", targets[i]);
        assert_int_equal(write(fds[i], text, (size_t)n), n);
    }
}

static void run(void)
{
    while (loop_turn(loop_current, false))
        continue;
}

static void assert_answer(int i, const char *body)
{
    ssize_t n = recv(fds[i], answers[i], sizeof(answers[i]) - 1, 0);
    assert_true(n > 0);
    answers[i][n] = '\0';
    char *end = strstr(answers[i], "\r\n\r\n");
    assert_non_null(end);
    assert_string_equal(end + 4, body);
}

static void close_all(void)
{
    for (int i = 0; i < N; i++)
        close(fds[i]);
    run();
    assert_int_equal(loop_current->n_tasks, 0);
}

/* How many requests the task has served before: a count that a new task begins anew. */
static tepal_res *count(tepal_req *req)
{
    return tepal_textf(req, 200, "%u", loop_current->current->n_unwaited++);
}

static tepal_res *slow(tepal_req *req)
{
    int rc = tepal_sleep_ms(1000);
    return rc < 0 ? tepal_fail(req, rc) : count(req);
}

static const char *const counts[N] = { "/", "/", "/", "/" };

static void one_task_for_all(void **state)
{
    (void)state;
    tepal_get(app, "/", count);
    start(NULL);
    ask_at_once(counts);
    run();
    for (int i = 0; i < N; i++) {
        char text[16];
        sprintf(text, "%d", i);
        assert_answer(i, text);
    }
    close_all();
}

/* Who waits keeps the task, and is told by its name; those behind it get another one. */
static void who_waits_keeps_it(void **state)
{
    (void)state;
    char name[512];
    tepal_get(app, "/", count);
    tepal_get(app, "/slow", slow);
    start(NULL);
    ask_at_once((const char *const[N]){ "/", "/slow", "/", "/" });
    run();
    assert_answer(0, "0");
    assert_answer(2, "0");
    assert_answer(3, "1");
    assert_int_equal(loop_current->n_tasks, 1);
    inspect_name(CONTAINER_OF(loop_current->tasks.next, struct tepal_task, in_loop), name,
                 sizeof(name));
    assert_non_null(strstr(name, "GET /slow"));
    tepal_test_advance(client, 1000);
    assert_answer(1, "1");
    close_all();
}

/* Where each run of a task is measured, each connection has a task of its own. */
static void debug_mode_sees_each(void **state)
{
    (void)state;
    tepal_get(app, "/", count);
    start(NULL);
    assert_int_equal(tepal_debug(NULL), 0);
    ask_at_once(counts);
    run();
    for (int i = 0; i < N; i++)
        assert_answer(i, "0");
    close_all();
}

static const tepal_key key;

static tepal_res *leave_local(tepal_req *req)
{
    tepal_res *res = tepal_text(req, 200, tepal_task_local(&key) ? "set" : "none");
    tepal_task_set_local(&key, (void *)(uintptr_t)&key);
    return res;
}

static void shorten(void *arg)
{
    (void)arg;
    tepal_deadline_in_ms(10);
}

static tepal_res *leave_deadline(tepal_req *req)
{
    bool none = loop_current->current->deadline == TEPAL_NEVER;
    tepal_req_defer(req, shorten, NULL);
    return tepal_text(req, 200, none ? "none" : "set");
}

static tepal_res *leave_cancelled(tepal_req *req)
{
    bool cancelled = tepal_is_cancelled();
    task_cancel(loop_current->current);
    return tepal_text(req, 200, cancelled ? "set" : "none");
}

static void nothing_is_left_to_the_next(void **state)
{
    (void)state;
    tepal_get(app, "/local", leave_local);
    tepal_get(app, "/deadline", leave_deadline);
    tepal_get(app, "/cancelled", leave_cancelled);
    start(NULL);
    static const char *const targets[] = { "/local", "/deadline", "/cancelled" };
    for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
        ask_at_once((const char *const[N]){ targets[i], targets[i], targets[i], targets[i] });
        run();
        for (int n = 0; n < N; n++)
            assert_answer(n, "none");
        close_all();
    }
}

/* One that ends the connection that is next in line: its events are not told of any more. */
static tepal_res *end_next(tepal_req *req)
{
    struct list *next = ((struct h1_exchange *)req->exchange)->connection->node.next;
    if (next != &app->server->connections)
        connection_cancel(CONTAINER_OF(next, struct connection, node));
    return count(req);
}

static void one_that_has_gone_meanwhile(void **state)
{
    (void)state;
    tepal_get(app, "/", count);
    tepal_get(app, "/end", end_next);
    start(NULL);
    ask_at_once((const char *const[N]){ "/", "/end", "/", "/" });
    run();
    assert_answer(0, "0");
    assert_answer(1, "1");
    assert_true(recv(fds[2], answers[2], sizeof(answers[2]), 0) <= 0);
    assert_answer(3, "0");
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(one_task_for_all),
        WEB_TEST(who_waits_keeps_it),
        WEB_TEST(debug_mode_sees_each),
        WEB_TEST(nothing_is_left_to_the_next),
        WEB_TEST(one_that_has_gone_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
