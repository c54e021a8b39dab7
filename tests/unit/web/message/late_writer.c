/* Tests of a task that is in the midst of writing to a stream whose handler has returned. */
#include "../web_check.h"

#include "web/app/application.h"
#include "web/testing/peer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BIG = 3 * 1000 * 1000, NOT_YET = 1 };

static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
static char *big;
static int first, second, slept;

/* Another task than those of the request. */
static int write_twice(void *arg)
{
    first = tepal_write(arg, big, BIG);
    second = tepal_write(arg, "late", 4);
    return 0;
}

static tepal_res *be_written(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    tepal_spawn(app->group, write_twice, res, NULL);
    slept = tepal_sleep_ms(10);
    return res;
}

/* A client that does not read yet, and whose handler has begun to sleep. */
static int ask_slowly(void)
{
    big = octets(BIG);
    first = second = NOT_YET;
    tepal_get(app, "/", be_written);
    start(NULL);
    int fd = testpeer_open(app->server, NULL);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    tepal_test_advance(client, 1);
    assert_int_equal(first, NOT_YET);
    return fd;
}

/* Reads what comes within some time, or up to the end. Returns its length. */
static size_t read_all(int fd, char *got, size_t size)
{
    size_t len = 0;
    for (int quiet = 0; quiet < 5; quiet++) {
        ssize_t n = recv(fd, got + len, size - len, MSG_DONTWAIT);
        if (n == 0)
            break;
        if (n > 0) {
            len += (size_t)n;
            quiet = 0;
        }
        tepal_test_advance(client, 1);
    }
    return len;
}

/* What it writes is waited for, and is a part of the body; what it would write then is not. */
static void is_waited_for(void **state)
{
    (void)state;
    static const char end[] = "\r\n0\r\n\r\n";
    char *got = malloc(BIG + 1000);
    int fd = ask_slowly();
    tepal_test_advance(client, 20);
    assert_int_equal(slept, 0);
    assert_int_equal(first, NOT_YET);
    size_t len = read_all(fd, got, BIG + 1000);
    assert_int_equal(first, 0);
    assert_int_equal(second, TEPAL_ESENT);
    assert_true(len > BIG);
    assert_memory_equal(got + len - strlen(end), end, strlen(end));
    assert_memory_equal(got + len - strlen(end) - BIG, big, BIG);
    /* The connection goes on. */
    first = NOT_YET;
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    tepal_test_advance(client, 20);
    assert_true(read_all(fd, got, BIG + 1000) > BIG);
    assert_int_equal(first, 0);
    close(fd);
    free(got);
    free(big);
}

/* A client that has ended its side, and reads nothing, is not waited for. */
static void is_cut_short(void **state)
{
    (void)state;
    int fd = ask_slowly();
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    tepal_test_advance(client, 100);
    assert_int_equal(slept, -ECANCELED);
    assert_int_equal(first, -ECANCELED);
    assert_int_equal(second, TEPAL_ESENT);
    close(fd);
    free(big);
}

/* Nor is anybody when the server has had its patience. */
static void ends_with_the_server(void **state)
{
    (void)state;
    int fd = ask_slowly();
    tepal_test_advance(client, 20);
    assert_int_equal(first, NOT_YET);
    again();
    assert_true(first < 0);
    close(fd);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(is_waited_for),
        WEB_TEST(is_cut_short),
        WEB_TEST(ends_with_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
