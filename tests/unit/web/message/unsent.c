/* Tests of when the pieces of a stream go out: together, and at the latest when the task that has
 * written them waits for something else. */
#include "../web_check.h"

#include "web/message/request.h"
#include "web/testing/peer.h"
#include "web/exchange/h1.h"

#include <unistd.h>

static struct h1_conn *http_of(const tepal_res *res)
{
    return &((struct h1_exchange *)res->req->exchange)->connection->http;
}

/* Octets that the system has taken of the response, and that wait in its buffer. */
static uint64_t n_sent(const tepal_res *res)
{
    return h1_conn_message_sent(http_of(res));
}
static uint32_t n_unsent(const tepal_res *res)
{
    return http_of(res)->out_len;
}

static void write_two(tepal_res *res)
{
    assert_int_equal(tepal_write(res, "one ", 4), 0);
    assert_int_equal(tepal_write(res, "two ", 4), 0);
}

/* Two pieces are together in the buffer, with the head before the first ones. */
static void expect_unsent(const tepal_res *res, uint64_t sent)
{
    assert_true(n_sent(res) == sent);
    assert_true(n_unsent(res) >= 2 * (4 + 5));
}
static void expect_sent(const tepal_res *res, uint64_t more_than)
{
    assert_true(n_sent(res) > more_than);
    assert_int_equal(n_unsent(res), 0);
}

/* --- By the handler --------------------------------------------------------------------------- */

static int n_asked;

static int answer(void *arg)
{
    (void)arg;
    return ++n_asked;
}

/* What a task may wait for. */
static void wait_for(const char *what, tepal_req *req)
{
    if (strcmp(what, "sleep") == 0)
        tepal_sleep_ms(10);
    else if (strcmp(what, "others") == 0)
        tepal_sleep_ms(0);
    else if (strcmp(what, "thread") == 0)
        tepal_offload(answer, NULL);
    else if (strcmp(what, "task") == 0) {
        tepal_spawn(tepal_req_group(req), answer, NULL, NULL);
        tepal_group_wait(tepal_req_group(req));
    }
}

static tepal_res *write_and_wait(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    write_two(res);
    expect_unsent(res, 0);
    wait_for(tepal_req_match(req, "what"), req);
    uint64_t sent = n_sent(res);
    expect_sent(res, 0);
    write_two(res);
    expect_unsent(res, sent);
    wait_for(tepal_req_match(req, "what"), req);
    expect_sent(res, sent);
    return res;
}

static void sent_before_a_wait(void **state)
{
    (void)state;
    tepal_get(app, "/{what}", write_and_wait);
    start(NULL);
    assert_reply(get("/sleep"), 200, "one two one two ");
    assert_reply(get("/others"), 200, "one two one two ");
    assert_reply(get("/thread"), 200, "one two one two ");
    assert_reply(get("/task"), 200, "one two one two ");
}

/* --- By other tasks --------------------------------------------------------------------------- */

struct writer {
    tepal_res *res;
    const char *how;
};

static int write_as_task(void *arg)
{
    struct writer *writer = arg;
    uint64_t sent = n_sent(writer->res);
    write_two(writer->res);
    expect_unsent(writer->res, sent);
    if (strcmp(writer->how, "end") == 0)
        return 0;
    wait_for(writer->how, writer->res->req);
    expect_sent(writer->res, sent);
    sent = n_sent(writer->res);
    write_two(writer->res);
    expect_unsent(writer->res, sent);
    return 0;
}

static tepal_res *written_by_task(tepal_req *req)
{
    struct writer writer = { .res = tepal_stream(req, 200, NULL),
                             .how = tepal_req_match(req, "how") };
    tepal_spawn(tepal_req_group(req), write_as_task, &writer, NULL);
    assert_int_equal(tepal_group_wait(tepal_req_group(req)), 0);
    expect_sent(writer.res, 0);
    return writer.res;
}

static void sent_for_other_tasks(void **state)
{
    (void)state;
    tepal_get(app, "/{how}", written_by_task);
    start(NULL);
    assert_reply(get("/end"), 200, "one two ");
    assert_reply(get("/sleep"), 200, "one two one two ");
    assert_reply(get("/others"), 200, "one two one two ");
    assert_reply(get("/thread"), 200, "one two one two ");
}

/* Only the head, as nothing else is written, or nobody reads it. */
static int begin_as_task(void *arg)
{
    (void)tepal_write(arg, "", 0);
    expect_unsent(arg, 0);
    return 0;
}

static tepal_res *begun_by_task(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    tepal_spawn(tepal_req_group(req), begin_as_task, res, NULL);
    assert_int_equal(tepal_group_wait(tepal_req_group(req)), 0);
    expect_sent(res, 0);
    return res;
}

static void heads_alone(void **state)
{
    (void)state;
    tepal_get(app, "/", begun_by_task);
    start(NULL);
    assert_reply(get("/"), 200, "");
    assert_reply(ask("HEAD", "/", NULL, NULL), 200, "");
}

/* A handler that writes to the stream of another request, too: both go out. */
static tepal_res *kept;

static tepal_res *keep_stream(tepal_req *req)
{
    kept = tepal_stream(req, 200, NULL);
    assert_int_equal(tepal_write(kept, "begin ", 6), 0);
    while (n_asked == 0)
        tepal_sleep_ms(10);
    return kept;
}

static tepal_res *write_to_both(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    uint64_t sent = n_sent(kept);
    write_two(kept);
    write_two(res);
    expect_unsent(kept, sent);
    expect_unsent(res, 0);
    tepal_sleep_ms(1);
    expect_sent(kept, sent);
    expect_sent(res, 0);
    write_two(kept); /* and at the end */
    n_asked = 1;
    return res;
}

static void sent_to_several(void **state)
{
    (void)state;
    static const char request[] = "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n";
    char got[1024];
    tepal_get(app, "/keep", keep_stream);
    tepal_get(app, "/both", write_to_both);
    n_asked = 0;
    start(NULL);
    int fd = testpeer_open(app->server, NULL);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    tepal_test_advance(client, 5);
    assert_reply(get("/both"), 200, "one two ");
    tepal_test_advance(client, 20);
    ssize_t n = read(fd, got, sizeof(got) - 1);
    assert_true(n > 0);
    got[n] = '\0';
    const char *body = strstr(got, "\r\n\r\n");
    assert_string_equal(body ? body : got, "\r\n\r\n6\r\nbegin \r\n4\r\none \r\n4\r\ntwo \r\n"
                                           "4\r\none \r\n4\r\ntwo \r\n0\r\n\r\n");
    close(fd);
}

/* --- What the system does not take ------------------------------------------------------------ */

/* More is in the buffer than the system takes; the task waits for something else, and the rest goes
 * out as soon as there is room. */
static uint32_t left_before, left_after;

static tepal_res *write_too_much(tepal_req *req)
{
    static char piece[1000];
    tepal_res *res = tepal_stream(req, 200, NULL);
    tepal_sleep_ms(0);
    memset(piece, 'x', sizeof(piece));
    do {
        assert_int_equal(tepal_write(res, piece, sizeof(piece)), 0);
        h1_conn_flush_some(http_of(res));
    } while (n_unsent(res) == 0);
    left_before = n_unsent(res);
    tepal_sleep_ms(24 * 3600 * 1000);
    left_after = n_unsent(res);
    return res;
}

static void the_rest_follows(void **state)
{
    (void)state;
    tepal_get(app, "/", write_too_much);
    start(NULL);
    tepal_test_reply *reply = get("/");
    assert_int_equal(reply->status, 200);
    assert_true(left_before > 0);
    assert_int_equal(left_after, 0);
    for (size_t i = 0; i < reply->body.len; i++)
        assert_int_equal(reply->body.data[i], 'x');
    assert_int_equal(reply->body.len % 1000, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(sent_before_a_wait), WEB_TEST(sent_for_other_tasks), WEB_TEST(heads_alone),
        WEB_TEST(sent_to_several),    WEB_TEST(the_rest_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
