/* Tests of what is told when a request is over. */
#include "../web_check.h"

#include "base/mem.h"

static tepal_done last;
static char story[500];
static unsigned n_told;

static void note(tepal_req *req, const tepal_done *done, void *arg)
{
    last = *done;
    n_told++;
    size_t len = strlen(story);
    snprintf(story + len, sizeof(story) - len, "%s%s %s %d; ", (const char *)arg,
             tepal_req_method(req), tepal_req_target(req), done->status);
}

static int setup(void **state)
{
    *story = '\0';
    n_told = 0;
    last = (tepal_done){ 0 };
    return web_setup(state);
}

#define DONE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, web_teardown)

static tepal_res *read_all(tepal_req *req)
{
    return tepal_req_body(req) && tepal_sleep_ms(10) == 0 ? tepal_text(req, 201, "four") : NULL;
}

static tepal_res *stream(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    for (int i = 0; i < 3; i++)
        if (tepal_write(res, "12345", 5) < 0 || tepal_sleep_ms(1000) < 0)
            break;
    return res;
}

static tepal_res *break_off(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    tepal_write(res, "12345", 5);
    return NULL;
}

static void what_was_counted(void **state)
{
    (void)state;
    static const char head[] = "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    tepal_post(app, "/read", read_all);
    tepal_get(app, "/stream", stream);
    tepal_on_done(app, note, "");
    start(NULL);
    say(head);
    say("hello");
    tepal_test_reply *reply = hear("POST");
    assert_reply(reply, 201, "four");
    assert_string_equal(story, "POST /read 201; ");
    assert_int_equal(last.error, 0);
    assert_int_equal(last.received, sizeof(head) - 1 + 5);
    assert_int_equal(last.sent, reply->raw.len);
    assert_int_equal(last.duration_us, 10 * 1000);
    /* What is chunked counts without that. */
    reply = get("/stream");
    assert_reply(reply, 200, "123451234512345");
    assert_int_equal(last.status, 200);
    assert_int_equal(last.error, 0);
    assert_int_equal(last.duration_us, 3000 * 1000);
    const char *body = strstr(reply->raw.data, "\r\n\r\n") + 4;
    assert_int_equal(last.sent, (size_t)(body - reply->raw.data) + 15);
    assert_int_equal(n_told, 2);
}

static void in_order_and_for_all(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    tepal_on_done(app, note, "1 ");
    tepal_on_done(app, note, "2 ");
    start(NULL);
    assert_reply(get("/"), 200, "ok");
    assert_reply(ask("HEAD", "/", NULL, NULL), 200, "");
    assert_reply(get("/none"), 404, NULL);
    assert_reply(ask("PUT", "/", NULL, ""), 405, NULL);
    assert_reply(talk("GET / HTTP/1.1\r\n\r\n"), 400, NULL);
    assert_string_equal(story, "1 GET / 200; 2 GET / 200; 1 HEAD / 200; 2 HEAD / 200; "
                               "1 GET /none 404; 2 GET /none 404; 1 PUT / 405; 2 PUT / 405; "
                               "1 GET / 400; 2 GET / 400; ");
}

static void what_did_not_go_out(void **state)
{
    (void)state;
    tepal_get(app, "/stream", stream);
    tepal_get(app, "/break", break_off);
    tepal_on_done(app, note, "");
    start(NULL);
    say("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_test_disconnect(client);
    tepal_test_advance(client, 5000);
    assert_int_equal(n_told, 1);
    assert_int_equal(last.status, 200);
    assert_true(last.error < 0);
    get("/break");
    assert_int_equal(n_told, 2);
    assert_int_equal(last.status, 200);
    assert_true(last.error < 0);
}

/* Has a head for which there is no memory any more when it is to be sent. */
static tepal_res *large_head(tepal_req *req)
{
    char *value = octets(8000), name[20];
    tepal_res *res = tepal_text(req, 200, "ok");
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "X-%d", i);
        tepal_res_set_header(res, name, value);
    }
    free(value);
    mem_fail_nth(1, -1);
    return res;
}

static void without_memory(void **state)
{
    (void)state;
    tepal_get(app, "/", large_head);
    tepal_on_done(app, note, "");
    start(NULL);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(mem_failures() > 0);
    mem_fail_nth(0, 0);
    assert_reply(hear("GET"), 503, NULL);
    assert_int_equal(n_told, 1);
    assert_int_equal(last.status, 503);
    assert_int_equal(last.error, -ENOMEM);
    assert_int_equal(last.sent, 0);
}

static void mistakes(void **state)
{
    (void)state;
    tepal_on_done(NULL, note, NULL);
    tepal_on_done(app, NULL, NULL);
    assert_refused(NULL, "tepal_on_done: the hook is NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DONE_TEST(what_was_counted),
        DONE_TEST(in_order_and_for_all),
        DONE_TEST(what_did_not_go_out),
        DONE_TEST(without_memory),
        DONE_TEST(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
