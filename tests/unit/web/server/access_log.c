/* Tests of the access log. */
#include "../web_check.h"

#include "web/app/application.h"
#include "web/server/server.h"
#include "net/addr.h"

#include <locale.h>
#include <sys/mman.h>
#include <sys/socket.h>
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
    tepal_res_set_header(res, "X-Out", "out \"quoted\"");
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
    start(&(tepal_run_options){ .access_log.format = format, .access_log.fd = log_fd });
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
    tepal_test_reply *reply = get("/0");
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
    const tepal_pair headers[] = { { "Referer", "http://a/" },
                                   { "User-Agent", "test/1.0" },
                                   { 0 } };
    tepal_test_send(client, "/0", &(tepal_fetch_options){ .headers = headers });
    const char *line = lines();
    assert_memory_equal(line, "127.0.0.1 [", 11);
    assert_string_equal(strchr(line, ']'),
                        "] \"GET /0 HTTP/1.1\" 201 4 \"http://a/\" \"test/1.0\"\n");
}

/* Months and decimals are the same everywhere, as is the zone's form. */
static void no_locale(void **state)
{
    (void)state;
    static const char *const names[] = { "de_DE.UTF-8", "tr_TR.UTF-8", "fr_FR.UTF-8", "C" };
    static const struct {
        const char *zone, *offset;
    } zones[] = { { "XXX-5:30", " +0530] " }, { "XXX9:30", " -0930] " }, { "UTC0", " +0000] " } };
    for (size_t i = 0; i < 4; i++) {
        setlocale(LC_ALL, names[i]); /* where it is installed */
        serve("%t %Tf");
        get("/1250");
        const char *line = lines();
        struct tm tm;
        setlocale(LC_ALL, "C");
        assert_non_null(strptime(line, "[%d/%b/%Y:%H:%M:%S %z] 1.250000\n", &tm));
        again();
    }
    for (size_t i = 0; i < 3; i++) {
        setenv("TZ", zones[i].zone, 1);
        tzset();
        serve("%t %s");
        get("/0");
        assert_non_null(strstr(lines(), zones[i].offset));
        again();
    }
    unsetenv("TZ");
    tzset();
}

/* Neither a line nor a field of one can be forged. */
static void escaping(void **state)
{
    (void)state;
    serve("\"%r\" \"%{User-Agent}i\"");
    ask("GET", "/0?\"x\\", "User-Agent: a\" \"b\\\tc\x80", NULL);
    assert_string_equal(lines(), "\"GET /0?\\\"x\\\\ HTTP/1.1\" \"a\\\" \\\"b\\\\\\x09c\\x80\"\n");
    /* U+0085, U+2028 and CSI are line ends and commands to some. */
    ask("GET", "/0", "User-Agent: \xc2\x85\xe2\x80\xa8\x9b\xff~", NULL);
    assert_string_equal(lines(), "\"GET /0 HTTP/1.1\" "
                                 "\"\\xc2\\x85\\xe2\\x80\\xa8\\x9b\\xff~\"\n");
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
    tepal_test_disconnect(client);
    say("GET /1000 HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_test_disconnect(client); /* gone before the answer: that is told, too */
    say("GET /0 HTTP/1.0\r\n\r\n");
    assert_string_equal(lines(), "GET /none HTTP/1.1 404 14\nBAD 400 16\n"
                                 "HEAD /0 HTTP/1.1 201 0\nGET /stream HTTP/1.1 200 5\n"
                                 "GET /stream?broken HTTP/1.1 200 5\nGET /1000 HTTP/1.1 201 4\n"
                                 "GET /0 HTTP/1.0 201 4\n");
}

/* Of a head that was refused: what has come of it, and nothing else. */
static void refused_heads(void **state)
{
    (void)state;
    static const struct {
        const char *request, *line;
    } rows[] = {
        { "GET /nohost HTTP/1.1\r\n\r\n", "GET /nohost HTTP/1.1 400 -\n" },
        { "GET /old HTTP/1.0\r\nUser-Agent: u\r\nBad Field: x\r\n\r\n",
          "GET /old HTTP/1.0 400 u\n" },
        { "DELETE /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "DELETE /x HTTP/1.1 400 -\n" },
        { "GET /coding HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: deflate, chunked\r\n\r\n",
          "GET /coding HTTP/1.1 501 -\n" },
        { "GET /two HTTP/2.0\r\n\r\n", "GET /two HTTP/2.0 505 -\n" },
        { "GET /a b HTTP/1.1\r\n\r\n", "GET /a b HTTP/1.1 400 -\n" },
        { "garbage\r\n\r\n", "garbage 400 -\n" },
        { "\r\n\r\nGET\r\n", "GET 400 -\n" },
        { "\x16\x03\x01\x02", "\\x16\\x03\\x01\\x02 400 -\n" },
        { "GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\\xff HTTP/1.1 400 -\n" },
        { "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a HTTP/1.1 400 -\n" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        serve("%r %s %{User-Agent}i");
        say(rows[i].request);
        hear("GET");
        assert_string_equal(lines(), rows[i].line);
        again();
    }
    /* Limits. */
    tepal_get(app, "/{ms:int}", work);
    start(&(tepal_run_options){ .access_log.format = "%r %s",
                                .access_log.fd = log_fd,
                                .limits.max_head = 200,
                                .limits.max_request_line = 40 });
    ask("GET", "/0",
        "X-Large: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        NULL);
    assert_string_equal(lines(), "GET /0 HTTP/1.1 431\n");
    get("/0123456789012345678901234567890");
    const char *line = lines();
    assert_memory_equal(line, "GET /0123456789", 15);
    assert_non_null(strstr(line, " 414\n"));
}

/* An answer that no request was there for. */
static void the_time_of_a_head(void **state)
{
    (void)state;
    static const struct {
        const char *request, *line;
    } rows[] = {
        { "GET /slow HTTP/1.1\r\nUser-Agent: \"me\"\r\nX",
          "127.0.0.1 GET /slow HTTP/1.1 408 0 3.000000 \\\"me\\\" - -\n" },
        { "GET /slo", "127.0.0.1 GET /slo 408 0 3.000000 - - -\n" },
        { "G", "127.0.0.1 G 408 0 3.000000 - - -\n" },
        { "\r\n", "127.0.0.1 - 408 0 3.000000 - - -\n" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        tepal_get(app, "/{ms:int}", work);
        start(&(tepal_run_options){ .access_log.format =
                                        "%a %r %s %b %Tf %{user-agent}i %{Content-Type}o %X",
                                    .access_log.fd = log_fd,
                                    .limits.head_timeout_ms = 3000 });
        say(rows[i].request);
        hear("GET");
        assert_string_equal(lines(), rows[i].line);
        again();
    }
    /* A connection on which nothing was asked ends without an answer, and without a line. */
    serve("%r %s");
    say("");
    assert_gone();
    assert_string_equal(lines(), "");
}

/* How a response has ended. */
static void how_it_ended(void **state)
{
    (void)state;
    serve("%s %X");
    get("/0");
    ask("GET", "/0", "Connection: close", NULL);
    get("/stream");
    get("/stream?broken");
    assert_string_equal(lines(), "201 +\n201 -\n200 +\n200 X\n");
}

static tepal_res *big(tepal_req *req)
{
    enum { SIZE = 8 * 1024 * 1024 };
    static char body[SIZE];
    return lent(req, body, SIZE);
}

/* A client that leaves in the midst of it has not been sent all. */
static void broken_off(void **state)
{
    (void)state;
    static const char request[] = "GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
    struct addr peer = { .un.sun_family = AF_UNIX };
    int ends[2], sent = -1;
    char end, octets[1000];
    tepal_get(app, "/big", big);
    serve("%s %b %X");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    server_attach(app->server, ends[0], &peer);
    assert_int_equal(write(ends[1], request, sizeof(request) - 1), sizeof(request) - 1);
    get("/0"); /* meanwhile the response has begun */
    assert_int_equal(read(ends[1], octets, sizeof(octets)), sizeof(octets));
    close(ends[1]);
    get("/0");
    get("/0");
    const char *line = strstr(lines(), "200 ");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "200 %d %c", &sent, &end), 2);
    assert_in_range(sent, 1, 8 * 1024 * 1024 - 1);
    assert_int_equal(end, 'X');
}

static void off(void **state)
{
    (void)state;
    tepal_get(app, "/{ms:int}", work);
    start(&(tepal_run_options){ .access_log.fd = log_fd });
    get("/0");
    assert_string_equal(lines(), "");
}

static void unknown_atoms_are_told(void **state)
{
    (void)state;
    serve("%x");
    assert_non_null(strstr(logged(), "access_log.format: unknown atom at \"%x\""));
}

/* A log that cannot be written stops nothing. */
static void a_broken_log(void **state)
{
    (void)state;
    tepal_get(app, "/{ms:int}", work);
    start(&(tepal_run_options){ .access_log.format = "%s", .access_log.fd = 999 });
    assert_int_equal(get("/0")->status, 201);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(each_atom),     LOG_TEST(process_time_and_size),
        LOG_TEST(the_default),   LOG_TEST(no_locale),
        LOG_TEST(escaping),      LOG_TEST(every_response),
        LOG_TEST(refused_heads), LOG_TEST(the_time_of_a_head),
        LOG_TEST(how_it_ended),  LOG_TEST(broken_off),
        LOG_TEST(off),           LOG_TEST(unknown_atoms_are_told),
        LOG_TEST(a_broken_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
