/* Tests of the test client itself. */
#include "web_check.h"

#include "async/loop.h"
#include "web/application.h"
#include "web/server.h"

#include <time.h>

static tepal_res *echo(tepal_req *req)
{
    const char *text = tepal_req_text(req), *type = tepal_req_header(req, "Content-Type");
    return text ? tepal_textf(req, 200, "%s %s %s", tepal_req_method(req), type ? type : "-", text)
                : NULL;
}

static tepal_res *json(tepal_req *req)
{
    tepal_res *res = tepal_jsonf(req, 200, "{s:i}", "a", 1);
    tepal_res_set_header(res, "X-One", "1");
    tepal_res_add_header(res, "X-One", "2");
    return res;
}

static tepal_res *stream(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    for (int i = 0; i < 3; i++)
        if (tepal_sleep_ms(60 * 60 * 1000) < 0 || tepal_writef(res, "%d", i) < 0)
            break;
    return res;
}

static tepal_res *count(tepal_req *req)
{
    static const tepal_key key = { "count" };
    int *n = tepal_req_state(req, &key);
    return tepal_text(req, 200, n ? "?" : "ok");
}

static void requests(void **state)
{
    (void)state;
    tepal_any(app, "/echo", echo);
    tepal_get(app, "/json", json);
    start(NULL);
    assert_reply(tepal_testclient_get(client, "/echo"), 200, "GET - ");
    assert_reply(tepal_testclient_post(client, "/echo", "text/x", "body"), 200, "POST text/x body");
    const char *const headers[] = { "Content-Type: a/b", "X-Other: c", NULL };
    assert_reply(tepal_testclient_request(client, "PUT", "/echo", headers, ""), 200, "PUT a/b ");
    tepal_testreply *reply = tepal_testclient_get(client, "/json");
    assert_int_equal(json_integer_value(json_object_get(tepal_testreply_json(reply), "a")), 1);
    assert_ptr_equal(tepal_testreply_json(reply), tepal_testreply_json(reply));
    assert_string_equal(tepal_testreply_header(reply, "x-one"), "1");
    assert_null(tepal_testreply_header(reply, "X-Two"));
    assert_false(reply->closed);
    assert_null(tepal_testreply_json(tepal_testclient_get(client, "/echo")));
    /* Earlier replies are as they were. */
    assert_string_equal(tepal_testreply_header(reply, "X-One"), "1");
    reply = tepal_testclient_request(client, "HEAD", "/json", NULL, NULL);
    assert_reply(reply, 200, "");
    assert_field(reply, "Content-Length", "7");
}

static void the_clock(void **state)
{
    (void)state;
    tepal_get(app, "/", stream);
    start(NULL);
    int64_t before = tepal_now_ms();
    tepal_testreply *reply = get("/");
    assert_reply(reply, 200, "012");
    assert_int_equal(tepal_now_ms() - before, 3 * 60 * 60 * 1000);
    before = tepal_now_ms();
    tepal_testclient_advance(client, 12345);
    assert_int_equal(tepal_now_ms() - before, 12345);
    tepal_testclient_advance(client, 0);
    assert_int_equal(tepal_now_us(), (before + 12345) * 1000);
}

static void broken_replies(void **state)
{
    (void)state;
    tepal_get(app, "/", count);
    start(NULL);
    assert_reply(hear("GET"), 0, ""); /* not connected */
    say("GET / HTTP/1.1\r\nHost: a\r\n");
    tepal_testclient_shutdown(client);
    tepal_testreply *reply = hear("GET");
    assert_int_equal(reply->status, 0);
    assert_true(reply->closed);
    assert_int_equal(reply->raw.len, 0);
    assert_null(tepal_testreply_header(reply, "Date"));
    assert_reply(get("/"), 200, "ok"); /* on a connection of its own */
    tepal_testclient_disconnect(client);
    tepal_testclient_disconnect(client);
    tepal_testclient_shutdown(client);
    assert_reply(get("/"), 200, "ok");
}

static void interim_responses(void **state)
{
    (void)state;
    tepal_post(app, "/echo", echo);
    start(NULL);
    say("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    say("hi");
    tepal_testreply *reply = hear("POST");
    assert_reply(reply, 200, "POST - hi");
    assert_memory_equal(reply->raw.data, "HTTP/1.1 100 ", 13);
    assert_field(reply, "Content-Length", "9");
}

/* Two of them, one after the other, in one thread; and none within a loop. */
static int within(void *arg)
{
    (void)arg;
    client = tepal_testclient_new(app, NULL);
    return client ? 1 : 0;
}

static void loops(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    assert_int_equal(tepal_main(within, NULL), 0);
    start(NULL);
    assert_non_null(loop_current);
    /* A second one says why it is none. */
    assert_null(tepal_testclient_new(app, NULL));
    assert_non_null(strstr(logged(), "this thread has one that is not closed"));
    tepal_testclient_close(client);
    client = NULL;
    assert_null(loop_current);
    start(NULL);
    assert_reply(get("/"), 200, "ok");
}

/* --- When no reply can come ------------------------------------------------------------------- */

static tepal_event never_set;

static tepal_res *wait_for_ever(tepal_req *req)
{
    return tepal_event_wait(&never_set) < 0 ? tepal_error(req, 503, NULL) : ok(req);
}

static int sleep_a_while(void *arg)
{
    (void)arg;
    struct timespec ts = { .tv_nsec = 20 * 1000 * 1000 };
    nanosleep(&ts, NULL);
    return 7;
}

static tepal_res *wait_for_a_thread(tepal_req *req)
{
    return tepal_textf(req, 200, "%d", tepal_offload(sleep_a_while, NULL));
}

static void no_reply(void **state)
{
    (void)state;
    tepal_get(app, "/never", wait_for_ever);
    tepal_get(app, "/thread", wait_for_a_thread);
    tepal_get(app, "/", ok);
    start(NULL);
    tepal_testreply *reply = get("/never");
    assert_int_equal(reply->status, 0);
    assert_int_equal(reply->error, -EDEADLK);
    assert_int_equal(reply->raw.len, 0);
    assert_non_null(strstr(logged(), "no reply can come any more"));
    assert_non_null(strstr(logged(), "\"/never\" (GET /never from 127.0.0.1): waiting"));
    tepal_testclient_disconnect(client);
    assert_reply(get("/"), 200, "ok");
    /* A thread is not the clock's. */
    reply = get("/thread");
    assert_reply(reply, 200, "7");
    assert_int_equal(reply->error, 0);
    say("nonsense");
    tepal_testclient_shutdown(client);
    assert_int_equal(hear("GET")->error, TEPAL_ECLOSED);
}

/* --- Microseconds ----------------------------------------------------------------------------- */

static tepal_res *pause_shortly(tepal_req *req)
{
    (void)tepal_sleep_us(1500);
    return tepal_text(req, 200, "ok");
}

static void microseconds(void **state)
{
    (void)state;
    tepal_get(app, "/", pause_shortly);
    start(NULL);
    int64_t before = tepal_now_us();
    assert_reply(get("/"), 200, "ok");
    assert_int_equal(tepal_now_us() - before, 1500);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_testclient_advance(client, 1);
    assert_int_equal(tepal_now_us() - before, 2500);
    assert_reply(hear("GET"), 200, "ok");
    assert_int_equal(tepal_now_us() - before, 3000);
}

/* --- Ends as those of TCP ---------------------------------------------------------------------- */

static int wrote[2];

static tepal_res *write_to_gone(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    (void)tepal_sleep_ms(1000);
    static char block[100 * 1000];
    wrote[0] = tepal_write(res, block, sizeof(block));
    for (int i = 0; i < 10 && (wrote[1] = tepal_write(res, block, sizeof(block))) == 0;)
        i++;
    return res;
}

static void ends(void **state)
{
    (void)state;
    tepal_get(app, "/", write_to_gone);
    start(NULL);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_testclient_disconnect(client);
    assert_int_equal(wrote[0], 0); /* it only knows of the end of a side */
    assert_true(wrote[1] < 0);     /* and now of a reset */
    assert_int_equal(app->server->n_connections, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(requests),          WEB_TEST(the_clock), WEB_TEST(broken_replies),
        WEB_TEST(interim_responses), WEB_TEST(loops),     WEB_TEST(no_reply),
        WEB_TEST(microseconds),      WEB_TEST(ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
