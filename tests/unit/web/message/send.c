/* Tests of responses on the wire: where they end, and streams. */
#include "../web_check.h"

#include "async/loop/loop.h"
#include "web/app/application.h"
#include "web/testing/peer.h"

#include <sys/mman.h>
#include <unistd.h>
#include <wchar.h>

#define HEAD_OF(type, length) \
    "HTTP/1.1 200 OK\r\nContent-Type: " type "\r\nContent-Length: " length "\r\n"

static int results[16];

/* --- Responses without a body ----------------------------------------------------------------- */

static tepal_res *any_status(tepal_req *req)
{
    int status = (int)tepal_req_match_int(req, "status");
    if (!*tepal_req_query_string(req))
        return tepal_text(req, status, "a body");
    tepal_res *res = tepal_stream(req, status, "text/x");
    if (tepal_req_query(req, "length"))
        tepal_res_set_length(res, 6);
    results[0] = tepal_write(res, "a body", 6);
    return res;
}

/* What follows on the connection is the next response, and nothing else. */
static void expect_bodiless(const char *method, const char *target, const char *expected)
{
    char text[256];
    sprintf(text, "%s %s HTTP/1.1\r\nHost: a\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n", method,
            target);
    say(text);
    tepal_test_reply *reply = hear(method);
    assert_string_equal(wire(reply), expected);
    assert_reply(hear("GET"), 200, "ok");
}

static void bodiless(void **state)
{
    (void)state;
    tepal_any(app, "/{status:int}", any_status);
    tepal_get(app, "/ok", ok);
    start(NULL);
    static const char *const forms[] = { "", "?stream", "?length" };
    char target[64];
    for (int i = 0; i < 3; i++) {
        sprintf(target, "/204%s", forms[i]);
        expect_bodiless("GET", target, "HTTP/1.1 204 No Content\r\n\r\n");
        expect_bodiless("HEAD", target, "HTTP/1.1 204 No Content\r\n\r\n");
        sprintf(target, "/304%s", forms[i]);
        expect_bodiless("GET", target,
                        i < 2 ? "HTTP/1.1 304 Not Modified\r\n\r\n"
                              : "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n");
    }
    expect_bodiless("HEAD", "/200", HEAD_OF("text/plain; charset=utf-8", "6") "\r\n");
    expect_bodiless("HEAD", "/404",
                    "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8"
                    "\r\nContent-Length: 6\r\n\r\n");
    expect_bodiless("HEAD", "/200?length", HEAD_OF("text/x", "6") "\r\n");
    expect_bodiless("HEAD", "/200?stream",
                    "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n");
    expect_bodiless("HEAD", "/none",
                    "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8"
                    "\r\nContent-Length: 14\r\nVary: Accept\r\n\r\n");
    /* A HEAD over HTTP/1.0 that streams need not close. */
    say("HEAD /200?stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_string_equal(wire(hear("HEAD")), "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\n"
                                            "Connection: keep-alive\r\n\r\n");
}

/* RFC 9110 section 15.4.6: 205 has no content, and says so. */
static void reset_content(void **state)
{
    (void)state;
    tepal_any(app, "/{status:int}", any_status);
    tepal_get(app, "/ok", ok);
    start(NULL);
    expect_bodiless("GET", "/205", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n");
    expect_bodiless("GET", "/205?stream",
                    "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n");
    expect_bodiless("GET", "/205?length",
                    "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n");
}

static tepal_res *answer_connect(tepal_req *req, tepal_next *next)
{
    (void)next;
    return tepal_text(req, (int)strtol(tepal_req_header(req, "X-Status"), NULL, 10), "text");
}

static void connect_(void **state)
{
    (void)state;
    tepal_use(app, answer_connect, NULL);
    start(NULL);
    say("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nX-Status: 200\r\n\r\n");
    tepal_test_reply *reply = hear("CONNECT");
    assert_string_equal(wire(reply),
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
                        "Connection: close\r\n\r\n");
    assert_true(reply->closed);
    say("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nX-Status: 403\r\n\r\n");
    assert_reply(hear("CONNECT"), 403, "text");
}

static tepal_res *without_body(tepal_req *req)
{
    tepal_res *res = tepal_empty(req, (int)tepal_req_match_int(req, "status"));
    tepal_res_set_length(res, 1234);
    return res;
}

/* The length of what is not sent: of HEAD what GET would have, of 304 what 200 would have. */
static void lengths_of_other(void **state)
{
    (void)state;
    tepal_any(app, "/{status:int}", without_body);
    tepal_get(app, "/ok", ok);
    start(NULL);
    expect_bodiless("HEAD", "/200", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    expect_bodiless("HEAD", "/304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n");
    expect_bodiless("GET", "/304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n");
    expect_bodiless("HEAD", "/204", "HTTP/1.1 204 No Content\r\n\r\n");
    assert_string_equal(logged(), "");
    /* What is sent has the length that it has. */
    expect_bodiless("GET", "/200", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_non_null(strstr(logged(), "GET /200: the body has 0 octets, not the declared 1234"));
}

static tepal_res *close_late(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/x");
    results[0] = tepal_write(res, "x", 1);
    tepal_res_set_close(res);
    return res;
}

/* The head cannot say it any more; it is done all the same. */
static void closing_late(void **state)
{
    (void)state;
    tepal_get(app, "/", close_late);
    start(NULL);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_test_reply *reply = hear("GET");
    assert_reply(reply, 200, "x");
    assert_field(reply, "Connection", NULL);
    assert_gone();
}

/* --- Streams ---------------------------------------------------------------------------------- */

static tepal_res *stream(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/x");
    results[0] = tepal_writef(res, "%d-", 1);
    results[1] = tepal_write(res, "", 0); /* not the end */
    results[2] = tepal_sleep_ms(1000);
    results[3] = tepal_res_set_header(res, "X-Late", "x");
    results[4] = tepal_res_set_status(res, 201, NULL);
    results[5] = tepal_res_set_length(res, 9);
    results[6] = tepal_res_set_cookie(res, "a", "b", NULL);
    results[7] = tepal_write(res, "23", 2);
    return res;
}

static void streams(void **state)
{
    (void)state;
    tepal_get(app, "/", stream);
    start(NULL);
    tepal_test_reply *reply = get("/");
    assert_string_equal(wire(reply),
                        "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n2\r\n1-\r\n2\r\n23\r\n0\r\n\r\n");
    static const int expected[] = {
        0, 0, 0, TEPAL_ESENT, TEPAL_ESENT, TEPAL_ESENT, TEPAL_ESENT, 0
    };
    assert_memory_equal(results, expected, sizeof(expected));
    /* HTTP/1.0 knows no chunks: the end is that of the connection, whatever the client wished. */
    reply = talk("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_string_equal(wire(reply), "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\n"
                                     "Connection: close\r\n\r\n1-23");
    assert_true(reply->closed);
}

static tepal_res *stream_length(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/x");
    tepal_res_set_length(res, 5);
    size_t len = (size_t)tepal_req_match_int(req, "len");
    for (size_t i = 0; i < len; i++)
        results[0] = tepal_write(res, "x", 1);
    return res;
}

static tepal_res *stream_too_much(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/x");
    tepal_res_set_length(res, 5);
    results[0] = tepal_write(res, "123456", 6);
    results[1] = tepal_write(res, "12345", 5);
    results[2] = tepal_write(res, "6", 1);
    return res;
}

static void declared_lengths(void **state)
{
    (void)state;
    tepal_get(app, "/{len:int}", stream_length);
    tepal_get(app, "/much", stream_too_much);
    start(NULL);
    assert_string_equal(wire(get("/5")), HEAD_OF("text/x", "5") "\r\nxxxxx");
    assert_string_equal(wire(talk("GET /5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")),
                        HEAD_OF("text/x", "5") "Connection: keep-alive\r\n\r\nxxxxx");
    assert_string_equal(wire(get("/6")), HEAD_OF("text/x", "5") "\r\nxxxxx");
    assert_int_equal(results[0], TEPAL_ELENGTH);
    assert_string_equal(wire(get("/much")), HEAD_OF("text/x", "5") "\r\n12345");
    assert_int_equal(results[0], TEPAL_ELENGTH);
    assert_int_equal(results[1], 0);
    assert_int_equal(results[2], TEPAL_ELENGTH);
    for (int i = 0; i < 2; i++) {
        tepal_test_reply *reply = get(i ? "/0" : "/4");
        assert_int_equal(reply->status, 0);
        assert_string_equal(wire(reply),
                            i ? HEAD_OF("text/x", "5") "\r\n" : HEAD_OF("text/x", "5") "\r\nxxxx");
        assert_true(reply->closed);
        assert_non_null(strstr(logged(), "not the declared 5"));
        log_forget();
    }
}

static tepal_res *stream_and_fail(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/x");
    tepal_write(res, "begun", 5);
    return *tepal_req_query_string(req) ? tepal_error(req, 500, NULL) : NULL;
}

static void streams_that_fail(void **state)
{
    (void)state;
    tepal_get(app, "/", stream_and_fail);
    start(NULL);
    for (int i = 0; i < 2; i++) {
        tepal_test_reply *reply = get(i ? "/" : "/?error");
        assert_int_equal(reply->status, 0);
        assert_string_equal(wire(reply), "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\n"
                                         "Transfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n");
        assert_true(reply->closed);
        assert_non_null(strstr(logged(), "a stream was begun and not returned"));
        log_forget();
    }
}

/* --- A stream that another task writes -------------------------------------------------------- */

static char *big;
enum { BIG = 3 * 1000 * 1000 };

static int write_big(void *arg)
{
    return results[0] = tepal_write(arg, big, BIG);
}

static int write_small(void *arg)
{
    return results[1] = tepal_write(arg, "small", 5);
}

static tepal_res *stream_by_two(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/x");
    tepal_group *group = tepal_req_group(req);
    tepal_spawn(group, write_big, res, NULL);
    tepal_spawn(group, write_small, res, NULL);
    tepal_group_wait(group);
    results[2] = tepal_write(res, "end", 3);
    return res;
}

static void two_writers(void **state)
{
    (void)state;
    big = octets(BIG);
    tepal_get(app, "/", stream_by_two);
    start(NULL);
    tepal_test_reply *reply = get("/");
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->body.len, BIG + 3);
    assert_memory_equal(reply->body.data, big, BIG);
    assert_string_equal(reply->body.data + BIG, "end");
    assert_int_equal(results[0], 0);
    assert_int_equal(results[1], -EBUSY);
    assert_int_equal(results[2], 0);
    free(big);
}

static tepal_res *send_big(tepal_req *req)
{
    size_t len = (size_t)tepal_req_match_int(req, "len");
    if (!*tepal_req_query_string(req))
        return lent(req, big, len);
    tepal_res *res = tepal_stream(req, 200, NULL);
    for (size_t at = 0; at < len; at += 7777)
        if (tepal_write(res, big + at, len - at < 7777 ? len - at : 7777) < 0)
            break;
    tepal_writef(res, "%.*s", 1000, big);
    return res;
}

static void large_bodies(void **state)
{
    (void)state;
    static const size_t lens[] = { 4095, 4096, 4097, 16 * 1024, 16 * 1024 + 1, BIG };
    char target[64];
    big = octets(BIG);
    tepal_get(app, "/{len:int}", send_big);
    start(NULL);
    for (size_t i = 0; i < 6; i++) {
        sprintf(target, "/%zu", lens[i]);
        tepal_test_reply *reply = get(target);
        assert_int_equal(reply->body.len, lens[i]);
        assert_memory_equal(reply->body.data, big, lens[i]);
        strcat(target, "?stream");
        reply = get(target);
        assert_int_equal(reply->body.len, lens[i] + 1000);
        assert_memory_equal(reply->body.data, big, lens[i]);
        assert_memory_equal(reply->body.data + lens[i], big, 1000);
    }
    free(big);
}

static int second;

/* The first cannot be taken back, and must not look complete. */
static tepal_res *begin_two(tepal_req *req)
{
    tepal_write(tepal_stream(req, 200, NULL), "x", 1);
    tepal_res *res = tepal_stream(req, 200, NULL);
    second = tepal_write(res, "y", 1);
    return res;
}

static void a_second_stream(void **state)
{
    (void)state;
    tepal_get(app, "/two", begin_two);
    start(NULL);
    tepal_test_reply *reply = get("/two");
    assert_int_equal(second, TEPAL_ESENT);
    assert_int_equal(reply->status, 0);
    assert_int_equal(reply->error, TEPAL_ECLOSED);
    assert_non_null(strstr(reply->raw.data, "1\r\nx\r\n"));
    assert_non_null(strstr(logged(), "a stream was begun and not returned"));
    /* Without a body its head was all there is. */
    reply = ask("HEAD", "/two", NULL, NULL);
    assert_int_equal(second, TEPAL_ESENT);
    assert_reply(reply, 200, "");
    assert_false(reply->closed);
}

/* A piece that could not be made must not be missing in what looks whole. */
static tepal_res *bad_piece(tepal_req *req)
{
    static const wchar_t bad[] = { 0x7fffffff, 0 };
    tepal_res *res = tepal_stream(req, 200, NULL);
    tepal_writef(res, "one");
    second = tepal_writef(res, "%ls", bad);
    tepal_writef(res, "three");
    return res;
}

static void a_piece_that_cannot_be_made(void **state)
{
    (void)state;
    tepal_get(app, "/", bad_piece);
    start(NULL);
    tepal_test_reply *reply = get("/");
    assert_int_equal(second, -EINVAL);
    assert_int_equal(reply->status, 0);
    assert_non_null(strstr(reply->raw.data, "one"));
    assert_null(strstr(reply->raw.data, "three"));
    assert_true(reply->closed);
}

/* --- Where nobody reads the body -------------------------------------------------------------- */

static int n_written, last_result;

static tepal_res *without_end(tepal_req *req)
{
    int status = (int)tepal_req_match_int(req, "status");
    tepal_res *res = tepal_stream(req, status, "text/plain");
    for (n_written = 0; (last_result = tepal_write(res, "x", 1)) == 0; n_written++)
        continue;
    return res;
}

static tepal_res *empty_pieces(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    while ((last_result = tepal_write(res, "", 0)) == 0)
        continue;
    return res;
}

static tepal_res *fail_at_its_end(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    last_result = tepal_writef(res, "x");
    return last_result < 0 ? tepal_fail(req, last_result) : res;
}

/* It is over with the first write, and properly. */
static void a_body_that_nobody_reads(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target;
        int status;
    } rows[] = {
        { "HEAD", "/end/200", 200 }, { "GET", "/end/204", 204 }, { "GET", "/end/205", 205 },
        { "GET", "/end/304", 304 },  { "HEAD", "/fail", 200 },
    };
    tepal_get(app, "/end/{status:int}", without_end);
    tepal_get(app, "/fail", fail_at_its_end);
    tepal_get(app, "/ok", ok);
    start(NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        tepal_test_reply *reply = ask(rows[i].method, rows[i].target, NULL, NULL);
        assert_int_equal(last_result, TEPAL_ENOBODY);
        assert_int_equal(n_written, 0);
        assert_reply(reply, rows[i].status, "");
        assert_false(reply->closed);
        assert_reply(get("/ok"), 200, "ok");
    }
    assert_string_equal(logged(), "");
}

/* A loop that writes nothing lets the others run, and ends with its client. */
static void a_loop_of_empty_pieces(void **state)
{
    (void)state;
    tepal_get(app, "/empty", empty_pieces);
    tepal_get(app, "/ok", ok);
    start(NULL);
    last_result = 1;
    int fd = testpeer_open(app->server, NULL);
    assert_int_equal(write(fd, "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n", 33), 33);
    for (int i = 0; i < 10; i++)
        loop_turn(loop_current, false);
    say("GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_reply(hear("GET"), 200, "ok");
    assert_int_equal(last_result, 0);
    close(fd);
    while (loop_turn(loop_current, false))
        continue;
    assert_true(last_result < 0);
    assert_int_equal(loop_current->n_tasks, 0);
}

/* As of a file that was mapped, and has become shorter since. */
static char *unreadable;
enum { UNREADABLE_SIZE = 64 * 1024 };

static tepal_res *unreadable_body(tepal_req *req)
{
    tepal_res *res = tepal_empty(req, 200);
    assert_int_equal(tepal_res_lend_body(res, unreadable, UNREADABLE_SIZE, NULL, NULL), 0);
    return res;
}

static tepal_res *unreadable_piece(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    results[0] = tepal_write(res, unreadable, UNREADABLE_SIZE);
    return res;
}

static void body_that_cannot_be_read(void **state)
{
    (void)state;
    if (RUNNING_ON_VALGRIND) /* it sees it, too */
        skip();
    unreadable = mmap(NULL, UNREADABLE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(unreadable != MAP_FAILED);
    tepal_get(app, "/whole", unreadable_body);
    tepal_get(app, "/piece", unreadable_piece);
    start(NULL);
    assert_int_equal(get("/whole")->status, 0);
    assert_non_null(strstr(logged(), "GET /whole: the body is in memory that is not there"));
    assert_int_equal(get("/piece")->status, 0);
    assert_int_equal(results[0], -EFAULT);
    assert_non_null(strstr(logged(), "GET /piece: the body is in memory that is not there"));
    munmap(unreadable, UNREADABLE_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(bodiless),
        WEB_TEST(reset_content),
        WEB_TEST(connect_),
        WEB_TEST(streams),
        WEB_TEST(declared_lengths),
        WEB_TEST(streams_that_fail),
        WEB_TEST(two_writers),
        WEB_TEST(large_bodies),
        WEB_TEST(a_second_stream),
        WEB_TEST(a_piece_that_cannot_be_made),
        WEB_TEST(a_body_that_nobody_reads),
        WEB_TEST(a_loop_of_empty_pieces),
        WEB_TEST(lengths_of_other),
        WEB_TEST(closing_late),
        WEB_TEST(body_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
