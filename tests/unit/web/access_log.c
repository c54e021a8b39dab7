/* Tests of the access log. */
#include "web_check.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int log_fd;

static int setup(void **state)
{
    log_fd = memfd_create("access", MFD_CLOEXEC);
    return log_fd < 0 ? -1 : web_setup(state);
}

static int teardown(void **state)
{
    int rc = web_teardown(state);
    close(log_fd);
    return rc;
}

/* What has been written since the last call. */
static const char *lines(void)
{
    static char text[64 * 1024];
    ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    assert_int_equal(ftruncate(log_fd, 0), 0);
    lseek(log_fd, 0, SEEK_SET);
    return text;
}

static tepal_res *work(tepal_req *req)
{
    int64_t ms = tepal_req_match_int(req, "ms");
    tepal_sleep_ms(ms);
    tepal_res *res = tepal_text(req, 201, "body");
    tepal_res_header(res, "X-Out", "out \"quoted\"");
    return res;
}

static tepal_res *stream(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    tepal_write(res, "12345", 5);
    return *tepal_req_query_string(req) ? NULL : res;
}

static void serve(const char *format)
{
    tepal_get(app, "/{ms:int}", work);
    tepal_get(app, "/stream", stream);
    start(&(tepal_run_options){ .access_log_format = format, .access_log_fd = log_fd });
}

static void each_atom(void **state)
{
    (void)state;
    setenv("TEPAL_TEST_ENV", "env", 1);
    unsetenv("TEPAL_TEST_NONE");
    static const struct {
        const char *format, *line;
    } rows[] = {
        { "%%", "%\n" },
        { "%a", "127.0.0.1\n" },
        { "%r", "GET /1499?q=1 HTTP/1.1\n" },
        { "%s", "201\n" },
        { "%b", "4\n" },
        { "%T", "1\n" },
        { "%Tf", "1.499000\n" },
        { "%D", "1499000\n" },
        { "%{x-in}i", "in\n" },
        { "%{X-None}i", "-\n" },
        { "%{x-OUT}o", "out \\\"quoted\\\"\n" },
        { "%{X-None}o", "-\n" },
        { "%{Content-Type}o", "text/plain; charset=utf-8\n" },
        { "%{TEPAL_TEST_ENV}e", "env\n" },
        { "%{TEPAL_TEST_NONE}e", "-\n" },
        { "a%sb%sc", "a201b201c\n" },
        { "", "\n" },
        { "text", "text\n" },
        { "%x%", "%x%\n" },
        { "%{open", "%{open\n" },
        { "%{a}z", "%{a}z\n" },
        { "%s%%%s", "201%201\n" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        serve(rows[i].format);
        ask("GET", "/1499?q=1", "X-In: in", NULL);
        assert_string_equal(lines(), rows[i].line);
        again();
    }
}

static void process_time_and_size(void **state)
{
    (void)state;
    char expected[64];
    time_t before = time(NULL);
    serve("%P|%t|%O");
    tepal_testreply *reply = get("/0");
    const char *line = lines();
    char *end;
    assert_int_equal(strtol(line, &end, 10), getpid());
    struct tm tm = { 0 };
    end = strptime(end, "|[%d/%b/%Y:%H:%M:%S %z]|", &tm);
    assert_non_null(end);
    long offset = tm.tm_gmtoff;
    time_t logged_time = timegm(&tm) - offset;
    assert_true(logged_time >= before && logged_time <= time(NULL));
    sprintf(expected, "%zu\n", reply->raw.len);
    assert_string_equal(end, expected);
}

static void the_default(void **state)
{
    (void)state;
    serve("%a %t \"%r\" %s %b \"%{Referer}i\" \"%{User-Agent}i\"");
    const char *const headers[] = { "Referer: http://a/", "User-Agent: test/1.0", NULL };
    tepal_testclient_request(client, "GET", "/0", headers, NULL);
    const char *line = lines();
    assert_memory_equal(line, "127.0.0.1 [", 11);
    assert_string_equal(strchr(line, ']'),
                        "] \"GET /0 HTTP/1.1\" 201 4 \"http://a/\" \"test/1.0\"\n");
}

/* Neither a line nor a field of one can be forged. */
static void escaping(void **state)
{
    (void)state;
    serve("\"%r\" \"%{User-Agent}i\"");
    ask("GET", "/0?\"x\\", "User-Agent: a\" \"b\\\tc\x80", NULL);
    assert_string_equal(lines(), "\"GET /0?\\\"x\\\\ HTTP/1.1\" \"a\\\" \\\"b\\\\\\x09c\x80\"\n");
    /* What is too long is cut, and is a line all the same. */
    char field[9000] = "User-Agent: ";
    memset(field + 12, '\t', sizeof(field) - 13);
    field[12] = 'x';
    field[sizeof(field) - 2] = 'x';
    ask("GET", "/0", field, NULL);
    const char *line = lines();
    size_t len = strlen(line);
    assert_true(len > 8000 && len <= 8192);
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
}

static void every_response(void **state)
{
    (void)state;
    serve("%r %s %b");
    get("/none");
    say("BAD\r\n\r\n");
    hear("GET");
    ask("HEAD", "/0", NULL, NULL);
    get("/stream");
    get("/stream?broken");
    tepal_testclient_disconnect(client);
    say("GET /1000 HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_testclient_disconnect(client); /* gone before the answer: that is told, too */
    say("GET /0 HTTP/1.0\r\n\r\n");
    assert_string_equal(lines(), "GET /none HTTP/1.1 404 14\nUNKNOWN / HTTP/1.0 400 16\n"
                                 "HEAD /0 HTTP/1.1 201 0\nGET /stream HTTP/1.1 200 5\n"
                                 "GET /stream?broken HTTP/1.1 200 5\nGET /1000 HTTP/1.1 201 4\n"
                                 "GET /0 HTTP/1.0 201 4\n");
}

static void off(void **state)
{
    (void)state;
    tepal_get(app, "/{ms:int}", work);
    start(&(tepal_run_options){ .access_log_fd = log_fd });
    get("/0");
    assert_string_equal(lines(), "");
}

static void unknown_atoms_are_told(void **state)
{
    (void)state;
    serve("%x");
    assert_non_null(strstr(logged(), "access_log_format: unknown atom at \"%x\""));
}

/* A log that cannot be written stops nothing. */
static void a_broken_log(void **state)
{
    (void)state;
    tepal_get(app, "/{ms:int}", work);
    start(&(tepal_run_options){ .access_log_format = "%s", .access_log_fd = 999 });
    assert_int_equal(get("/0")->status, 201);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(each_atom),
        LOG_TEST(process_time_and_size),
        LOG_TEST(the_default),
        LOG_TEST(escaping),
        LOG_TEST(every_response),
        LOG_TEST(off),
        LOG_TEST(unknown_atoms_are_told),
        LOG_TEST(a_broken_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
