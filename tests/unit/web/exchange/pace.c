/* Tests of clients that are slow, and of those that only seem to be because the process was held:
 * what has arrived is read before a time is judged. */
#include "../web_check.h"

#include "async/task/task.h"
#include "web/app/application.h"
#include "web/server/server.h"
#include "web/testing/peer.h"

#include <sys/socket.h>
#include <unistd.h>

static int64_t now(void)
{
    return loop_current->now;
}

static void run(void)
{
    while (loop_turn(loop_current, false))
        continue;
}

static void put(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static int attach(const char *text)
{
    int fd = testpeer_open(app->server, NULL);
    assert_true(fd >= 0);
    put(fd, text);
    run();
    return fd;
}

static void assert_got(int fd, const char *status, const char *end)
{
    char got[4096];
    ssize_t n = recv(fd, got, sizeof(got) - 1, 0);
    assert_true(n > 0);
    got[n] = '\0';
    assert_memory_equal(got + 9, status, 3);
    assert_string_equal(got + n - strlen(end), end);
}

static tepal_res *length_of_body(tepal_req *req)
{
    const tepal_bytes *body = tepal_req_body(req);
    return body ? tepal_textf(req, 200, "%zu", body->len) : NULL;
}

/* --- A process that was held ------------------------------------------------------------------ */

/* The clock goes on, and the loop has not seen what came meanwhile. */
static void hold(int64_t ms)
{
    loop_current->now += ms;
    timers_advance(&loop_current->timers, loop_current->now);
    run();
}

static void a_held_process(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    tepal_post(app, "/", length_of_body);
    start(NULL);
    /* Half a head, of which the rest came in time; one of which it did not. */
    int fd = attach("GET / HTTP/1.1\r\nHo");
    put(fd, "st: a\r\n\r\n");
    hold(3600 * 1000);
    assert_got(fd, "200", "ok");
    /* A keep-alive connection on which the next request waits. */
    put(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    hold(3600 * 1000);
    assert_got(fd, "200", "ok");
    close(fd);
    /* One that had not asked yet. */
    fd = attach("");
    put(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    hold(3600 * 1000);
    assert_got(fd, "200", "ok");
    close(fd);
    /* A body. */
    fd = attach("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    put(fd, "def");
    hold(3600 * 1000);
    assert_got(fd, "200", "6");
    close(fd);
    /* What has not come is late. */
    fd = attach("GET / HTTP/1.1\r\nHo");
    put(fd, "st: a\r\n");
    hold(3600 * 1000);
    tepal_test_advance(client, 1);
    assert_got(fd, "408", "\r\n\r\n");
    close(fd);
    fd = attach("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    put(fd, "de");
    hold(3600 * 1000);
    tepal_test_advance(client, 60 * 1000);
    assert_got(fd, "408", "Timeout\n");
    close(fd);
    run();
    assert_int_equal(app->server->n_connections, 0);
}

/* --- The rate of a body ----------------------------------------------------------------------- */

/* One octet every so often, and a while for a beginning. */
static int trickle(int64_t every_ms, int octets_each, int n)
{
    char some[1000];
    memset(some, 'x', sizeof(some));
    tepal_test_disconnect(client);
    say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n");
    for (int i = 0; i < n && app->server->n_connections > 0; i++) {
        tepal_test_advance(client, every_ms);
        if (tepal_test_write(client, some, (size_t)octets_each) < 0)
            break;
    }
    return hear("POST")->status;
}

static void a_slow_body(void **state)
{
    (void)state;
    tepal_post(app, "/", length_of_body);
    start(NULL); /* 30 s, and 100 octets a second */
    int64_t before = now();
    assert_int_equal(trickle(29 * 1000, 1, 1000), 408);
    assert_true(now() - before <= 60 * 1000);
    /* Between the two: 30 s, and what 99 octets a second lack of 100 in that time. */
    assert_int_equal(trickle(1000, 100, 200), 200);
    assert_int_equal(trickle(1000, 80, 250), 408);
    before = now();
    assert_int_equal(trickle(2000, 100, 200), 408);
    assert_in_range(now() - before, 55 * 1000, 95 * 1000);
    again();
    tepal_post(app, "/", length_of_body);
    start(&(tepal_run_options){ .limits.min_body_rate = 1000 });
    assert_int_equal(trickle(1000, 500, 40), 200);
    assert_int_equal(trickle(1000, 200, 100), 408);
    again();
    tepal_post(app, "/", length_of_body);
    start(&(tepal_run_options){ .limits.min_body_rate = TEPAL_UNLIMITED });
    assert_int_equal(trickle(29 * 1000, 20, 1000), 200);
}

/* The time that the handler takes is not the client's. */
static tepal_res *takes_its_time(tepal_req *req)
{
    tepal_bytes piece;
    size_t len = 0;
    int rc;
    while ((rc = tepal_req_read(req, &piece)) > 0) {
        len += piece.len;
        if (tepal_sleep_ms(3600 * 1000) < 0)
            return NULL;
    }
    return rc < 0 ? NULL : tepal_textf(req, 200, "%zu", len);
}

static void a_slow_handler(void **state)
{
    (void)state;
    tepal_post(app, "/", takes_its_time);
    start(NULL);
    say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        say("x");
        tepal_test_advance(client, 3600 * 1000);
        tepal_test_advance(client, 1000);
    }
    assert_reply(hear("POST"), 200, "5");
}

/* --- The rate of a reader --------------------------------------------------------------------- */

enum { BIG = 8 * 1000 * 1000 };
static char *big;

static tepal_res *send_big(tepal_req *req)
{
    return lent(req, big, BIG);
}

/* Takes so much every second. Returns after how many the connection was given up; 0: it was not. */
static int read_slowly(size_t each, int seconds)
{
    static char got[512 * 1024];
    int fd = attach("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), given_up = 0;
    for (int i = 1; i <= seconds && given_up == 0; i++) {
        tepal_test_advance(client, 1000);
        if (app->server->n_connections == 0)
            given_up = i;
        (void)!recv(fd, got, each, 0);
        run();
    }
    close(fd);
    run();
    return given_up;
}

static void a_slow_reader(void **state)
{
    (void)state;
    big = octets(BIG);
    tepal_get(app, "/", send_big);
    start(&(tepal_run_options){ .limits.min_write_rate = 4000 });
    assert_int_equal(read_slowly(100 * 1000, 70), 0);
    int given_up = read_slowly(1000, 1000);
    assert_in_range(given_up, 60, 300);
    again();
    tepal_get(app, "/", send_big);
    start(&(tepal_run_options){ .limits.min_write_rate = TEPAL_UNLIMITED });
    assert_int_equal(read_slowly(5000, 400), 0);
    free(big);
}

/* --- The handler's own deadline --------------------------------------------------------------- */

static int polls;

static tepal_res *polls_for_body(tepal_req *req)
{
    tepal_bytes piece;
    size_t len = 0;
    int rc;
    for (polls = 0;;) {
        int64_t before = tepal_deadline_in_ms(1000);
        rc = tepal_req_read(req, &piece);
        tepal_deadline_restore(before);
        len += rc > 0 ? piece.len : 0;
        if (rc == -ETIMEDOUT && tepal_req_error(req) == -ETIMEDOUT)
            polls++;
        else if (rc <= 0)
            break;
    }
    if (rc == 0 && tepal_req_error(req) != 0)
        return tepal_text(req, 500, "the cause is left");
    return rc < 0 ? NULL : tepal_textf(req, 200, "%zu", len);
}

static void a_polled_body(void **state)
{
    (void)state;
    tepal_post(app, "/", polls_for_body);
    start(NULL);
    say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    tepal_test_advance(client, 3500);
    assert_int_equal(polls, 3);
    say("world");
    assert_reply(hear("POST"), 200, "10");
    /* The client's own silence ends it all the same. */
    say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    int64_t before = now();
    assert_reply(hear("POST"), 408, NULL);
    assert_in_range(now() - before, 29 * 1000, 32 * 1000);
}

/* A client that takes nothing for a while: what a deadline has interrupted can be written again. */
static tepal_res *polls_to_write(tepal_req *req)
{
    char piece[1000];
    memset(piece, 'x', sizeof(piece));
    tepal_res *res = tepal_stream(req, 200, NULL);
    polls = 0;
    for (int i = 0; i < BIG / 1000;) {
        int64_t before = tepal_deadline_in_ms(1000);
        int rc = tepal_write(res, piece, sizeof(piece));
        tepal_deadline_restore(before);
        if (rc == 0)
            i++;
        else if (rc == -ETIMEDOUT && polls < 40)
            polls++;
        else
            break;
    }
    return res;
}

static void a_polled_write(void **state)
{
    (void)state;
    static char got[512 * 1024];
    tepal_get(app, "/", polls_to_write);
    start(NULL);
    int fd = attach("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_test_advance(client, 5500);
    assert_int_equal(polls, 5);
    size_t n_x = 0;
    ssize_t n;
    char last[8] = "";
    while ((n = recv(fd, got, sizeof(got), 0)) > 0 || app->server->n_idle == 0) {
        for (ssize_t i = 0; i < n; i++)
            n_x += got[i] == 'x';
        if (n >= 5)
            memcpy(last, got + n - 5, 5);
        run();
    }
    assert_int_equal(n_x, BIG);
    assert_string_equal(last, "0\r\n\r\n");
    close(fd);
}

/* A second reader is turned away, and does the first no harm. */
static int second;

static int read_too(void *arg)
{
    tepal_bytes piece;
    second = tepal_req_read(arg, &piece);
    return 0;
}

static tepal_res *two_readers(tepal_req *req)
{
    tepal_bytes piece;
    size_t len = 0;
    int rc = tepal_spawn(tepal_req_group(req), read_too, req, NULL);
    while (rc == 0 && (rc = tepal_req_read(req, &piece)) > 0) {
        len += piece.len;
        rc = 0;
    }
    return rc < 0 ? NULL : tepal_textf(req, 200, "%zu", len);
}

static void a_second_reader(void **state)
{
    (void)state;
    tepal_post(app, "/", two_readers);
    start(NULL);
    say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    assert_int_equal(second, -EBUSY);
    say("hello");
    say("world");
    assert_reply(hear("POST"), 200, "10");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(a_held_process),  WEB_TEST(a_slow_body),   WEB_TEST(a_slow_handler),
        WEB_TEST(a_slow_reader),   WEB_TEST(a_polled_body), WEB_TEST(a_polled_write),
        WEB_TEST(a_second_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
