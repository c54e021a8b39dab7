/* Tests of what the HTTP/1 connections of a server share: its limits, and the fields that hold for
 * a second. The time of day is the test's: see __wrap_clock_gettime(). */
#include "../../check.h"

#include "async/loop/loop.h"
#include "base/mem.h"
#include "web/exchange/h1_ways.h"

#include <time.h>

static struct timespec day; /* the time of day */
static int n_asked;         /* how often it was asked for */

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    if (clock != CLOCK_REALTIME)
        return __real_clock_gettime(clock, out);
    n_asked++;
    *out = day;
    return 0;
}

static struct loop loop; /* of which only the time is looked at */

static const tepal_run_options plain = {
    .server = "name",
    .limits = { .max_request_line = 100, .max_head = 1000, .max_fields = 10 },
};

static void assert_fields(struct h1_ways *ways, const char *text)
{
    size_t len;
    const char *fields = h1_ways_common_fields(ways, &len);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(fields, text, len);
    /* The usual heads begin with the same. */
    for (size_t i = 0; i < N_USUAL; i++) {
        const struct usual_head *head = usual_head_of(ways->usual_heads, usual_types[i].text);
        assert_memory_equal(head->text, "HTTP/1.1 200 OK\r\n", 17);
        assert_memory_equal(head->text + 17, text, len);
        assert_memory_equal(head->text + 17 + len, "Content-Type: ", 14);
    }
}

/* --- Date and Server -------------------------------------------------------------------------- */

static void date_once_a_second(void **state)
{
    (void)state;
    struct h1_ways *ways;
    loop.now = 5000;
    assert_int_equal(h1_ways_new(&ways, &loop, &plain), 0);
    day = (struct timespec){ .tv_sec = 784111777, .tv_nsec = 250 * 1000000L };
    n_asked = 0;
    static const char at_37[] = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: name\r\n",
                      at_38[] = "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\nServer: name\r\n";
    assert_fields(ways, at_37);
    for (; loop.now < 5750; loop.now++) /* what is left of this second */
        assert_fields(ways, at_37);
    assert_int_equal(n_asked, 1);
    day = (struct timespec){ .tv_sec = 784111778 };
    assert_fields(ways, at_38);
    for (; loop.now < 6750; loop.now++)
        assert_fields(ways, at_38);
    assert_int_equal(n_asked, 2);
    day.tv_sec = 784111779;
    assert_fields(ways, "Date: Sun, 06 Nov 1994 08:49:39 GMT\r\nServer: name\r\n");
    /* The last moment of a second, an hour without a response, and a clock that is put back. */
    loop.now += 3600 * 1000;
    day = (struct timespec){ .tv_sec = 784111777, .tv_nsec = 999999999 };
    assert_fields(ways, at_37);
    day = (struct timespec){ .tv_sec = 784111778 };
    loop.now++;
    assert_fields(ways, at_38);
    assert_int_equal(n_asked, 5);
    h1_ways_free(ways);
}

static void names_of_the_server(void **state)
{
    (void)state;
    char name[3000], expected[4000];
    day = (struct timespec){ .tv_sec = 0 };
    for (size_t len = 0; len < sizeof(name); len += len < 3 ? 1 : 999) {
        struct h1_ways *ways;
        tepal_run_options options = plain;
        memset(name, 'n', len);
        name[len] = '\0';
        options.server = name;
        assert_int_equal(h1_ways_new(&ways, &loop, &options), 0);
        snprintf(expected, sizeof(expected), "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n%s%s%s",
                 len > 0 ? "Server: " : "", name, len > 0 ? "\r\n" : "");
        assert_fields(ways, expected);
        h1_ways_free(ways);
    }
}

/* --- Limits ----------------------------------------------------------------------------------- */

static void limits_as_the_options_say(void **state)
{
    (void)state;
    struct h1_ways *ways;
    tepal_run_options options = {
        .server = "",
        .limits = {
            .max_request_line = 101,
            .max_head = 202,
            .max_fields = 33,
            .body_timeout_ms = 404,
            .write_timeout_ms = 505,
            .min_body_rate = 606,
            .min_write_rate = 707,
        },
    };
    assert_int_equal(h1_ways_new(&ways, &loop, &options), 0);
    assert_int_equal(ways->head_limits.max_line, 101);
    assert_int_equal(ways->head_limits.max_head, 202);
    assert_int_equal(ways->head_limits.max_fields, 33);
    const struct h1_conn_limits *conn = &ways->conn_limits;
    assert_true(conn->max_input > 202); /* one that is too large must be seen to be */
    assert_int_equal(conn->read_timeout_ms, 404);
    assert_int_equal(conn->write_timeout_ms, 505);
    assert_int_equal(conn->min_read_rate, 606);
    assert_int_equal(conn->min_write_rate, 707);
    assert_int_equal(conn->chunks.max_line, 101);
    assert_int_equal(conn->chunks.max_trailers, 202);
    assert_int_equal(conn->chunks.max_trailer_fields, 33);
    h1_ways_free(ways);
    options.limits.body_timeout_ms = options.limits.write_timeout_ms = TEPAL_NEVER;
    options.limits.min_body_rate = options.limits.min_write_rate = TEPAL_UNLIMITED;
    options.limits.max_head = 16 * 1024 * 1024;
    assert_int_equal(h1_ways_new(&ways, &loop, &options), 0);
    assert_true(ways->conn_limits.read_timeout_ms == TEPAL_NEVER);
    assert_true(ways->conn_limits.write_timeout_ms == TEPAL_NEVER);
    assert_int_equal(ways->conn_limits.min_read_rate, 0); /* any */
    assert_int_equal(ways->conn_limits.min_write_rate, 0);
    assert_true(ways->conn_limits.max_input > 16 * 1024 * 1024);
    h1_ways_free(ways);
}

static void shortage_of_memory(void **state)
{
    (void)state;
    struct h1_ways *ways = NULL;
    size_t n = 1;
    for (;; n++) {
        mem_fail_nth(n, 0);
        int rc = h1_ways_new(&ways, &loop, &plain);
        bool failed = mem_failures() > 0;
        mem_fail_nth(0, 0);
        if (!failed)
            break;
        assert_int_equal(rc, -ENOMEM); /* what was made is for a checker to find */
        assert_null(ways);
    }
    assert_true(n > 1 + N_USUAL);
    h1_ways_free(ways);
    h1_ways_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(date_once_a_second),
        cmocka_unit_test(names_of_the_server),
        cmocka_unit_test(limits_as_the_options_say),
        cmocka_unit_test(shortage_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
