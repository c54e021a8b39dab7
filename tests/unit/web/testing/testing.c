/* Tests of tepal_test itself. */
#include "../web_check.h"

#include "async/loop/loop.h"
#include "base/mem.h"
#include "web/app/application.h"
#include "web/server/server.h"

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
    assert_reply(tepal_test_get(client, "/echo"), 200, "GET - ");
    assert_reply(ask("POST", "/echo", "Content-Type: text/x", "body"), 200, "POST text/x body");
    const tepal_pair headers[] = { { "Content-Type", "a/b" }, { "X-Other", "c" }, { 0 } };
    const tepal_fetch_options put = { .method = "PUT", .headers = headers, .text = "" };
    assert_reply(tepal_test_send(client, "/echo", &put), 200, "PUT a/b ");
    tepal_test_reply *reply = tepal_test_get(client, "/json");
    assert_int_equal(json_integer_value(json_object_get(tepal_test_json(reply), "a")), 1);
    assert_ptr_equal(tepal_test_json(reply), tepal_test_json(reply));
    assert_string_equal(tepal_test_header(reply, "x-one"), "1");
    assert_null(tepal_test_header(reply, "X-Two"));
    assert_false(reply->closed);
    assert_null(tepal_test_json(tepal_test_get(client, "/echo")));
    /* Earlier replies are as they were. */
    assert_string_equal(tepal_test_header(reply, "X-One"), "1");
    reply = ask("HEAD", "/json", NULL, NULL);
    assert_reply(reply, 200, "");
    assert_field(reply, "Content-Length", "7");
}

/* What came, octet by octet, as numbers. */
static tepal_res *show_octets(tepal_req *req)
{
    const tepal_bytes *body = tepal_req_body(req);
    char text[200] = "";
    for (size_t i = 0; body && i < body->len; i++)
        sprintf(text + strlen(text), "%d ", (unsigned char)body->data[i]);
    const char *type = tepal_req_header(req, "Content-Type"), *x = tepal_req_query(req, "x");
    return tepal_textf(req, 200, "%s %s %s %s", tepal_req_method(req), type ? type : "-",
                       x ? x : "-", text);
}

static void described_requests(void **state)
{
    (void)state;
    const tepal_pair pairs[] = { { "x", "a b" }, { 0 } };
    tepal_any(app, "/", show_octets);
    start(NULL);
    const tepal_fetch_options octets = { .data = { "\0\xff", 2 }, .query = pairs };
    assert_reply(tepal_test_send(client, "/", &octets), 200,
                 "POST application/octet-stream a b 0 255 ");
    assert_reply(tepal_test_send(client, "/?x=7", NULL), 200, "GET - 7 ");
    assert_reply(tepal_test_post_form(client, "/", pairs), 200,
                 "POST application/x-www-form-urlencoded - 120 61 97 37 50 48 98 ");
    assert_reply(tepal_test_post_json(client, "/", json_integer(7)), 200,
                 "POST application/json - 55 ");
    tepal_test_reply *reply = tepal_test_get(client, "/");
    assert_string_equal(reply->text, reply->body.data);
    tepal_test_forget(client);
    tepal_test_forget(client);
    assert_reply(get("/"), 200, "GET - - ");
}

static void requests_that_cannot_be_made(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    start(NULL);
    const tepal_pair bad[] = { { "X", "\n" }, { 0 } };
    const struct {
        tepal_fetch_options options;
        int error;
    } rows[] = {
        { { .headers = bad }, TEPAL_EFIELD },
        { { .method = "" }, -EINVAL },
        { { .text = "a", .form = bad }, -EINVAL },
        { { .later = { 1 } }, -EINVAL },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        tepal_test_reply *reply = tepal_test_send(client, "/", &rows[i].options);
        assert_reply(reply, 0, "");
        assert_int_equal(reply->error, rows[i].error);
        assert_string_equal(reply->text, "");
        assert_int_equal(reply->raw.len, 0);
        assert_null(tepal_test_json(reply));
    }
    log_forget();
    assert_int_equal(tepal_test_post_json(client, "/", NULL)->error, -EINVAL);
    assert_non_null(strstr(logged(), "tepal_test_post_json: the JSON is NULL"));
    assert_reply(get("/"), 200, "ok"); /* nothing of it all was sent */
}

static tepal_res *show_remote(tepal_req *req)
{
    return tepal_text(req, 200, tepal_req_remote(req));
}

static void options_of_tests(void **state)
{
    (void)state;
    static const char *const addresses[] = { NULL, "10.1.2.3", "2001:db8::1" };
    tepal_get(app, "/", show_remote);
    for (size_t i = 0; i < 3; i++) {
        client = tepal_test_new(app, &(tepal_test_options){ .remote = addresses[i] });
        assert_non_null(client);
        assert_reply(get("/"), 200, addresses[i] ? addresses[i] : "127.0.0.1");
        tepal_test_close(client);
    }
    client = tepal_test_new(app, &(tepal_test_options){ .remote = "nobody" });
    assert_null(client);
    assert_non_null(strstr(logged(), "tepal_test_new: remote is no address: nobody"));
    client = tepal_test_new(app, &(tepal_test_options){ .later = { [7] = 1 } });
    assert_null(client);
    assert_non_null(strstr(logged(), "tepal_test_new: the options are not initialised, or made"));
    /* Where to listen is not looked at. */
    static const tepal_site site = { .path = "/nowhere/at/all" };
    start(&(tepal_run_options){ .sites = &site, .n_sites = 1 });
    assert_reply(get("/"), 200, "127.0.0.1");
}

static void the_clock(void **state)
{
    (void)state;
    tepal_get(app, "/", stream);
    start(NULL);
    int64_t before = tepal_now_ms();
    tepal_test_reply *reply = get("/");
    assert_reply(reply, 200, "012");
    assert_int_equal(tepal_now_ms() - before, 3 * 60 * 60 * 1000);
    before = tepal_now_ms();
    tepal_test_advance(client, 12345);
    assert_int_equal(tepal_now_ms() - before, 12345);
    tepal_test_advance(client, 0);
    assert_int_equal(tepal_now_us(), (before + 12345) * 1000);
}

static void broken_replies(void **state)
{
    (void)state;
    tepal_get(app, "/", count);
    start(NULL);
    assert_reply(hear("GET"), 0, ""); /* not connected */
    say("GET / HTTP/1.1\r\nHost: a\r\n");
    tepal_test_shutdown(client);
    tepal_test_reply *reply = hear("GET");
    assert_int_equal(reply->status, 0);
    assert_true(reply->closed);
    assert_int_equal(reply->raw.len, 0);
    assert_null(tepal_test_header(reply, "Date"));
    assert_reply(get("/"), 200, "ok"); /* on a connection of its own */
    tepal_test_disconnect(client);
    tepal_test_disconnect(client);
    tepal_test_shutdown(client);
    assert_reply(get("/"), 200, "ok");
}

static void interim_responses(void **state)
{
    (void)state;
    tepal_post(app, "/echo", echo);
    start(NULL);
    say("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    say("hi");
    tepal_test_reply *reply = hear("POST");
    assert_reply(reply, 200, "POST - hi");
    assert_memory_equal(reply->raw.data, "HTTP/1.1 100 ", 13);
    assert_field(reply, "Content-Length", "9");
}

/* Two of them, one after the other, in one thread; and none within a loop. */
static int within(void *arg)
{
    (void)arg;
    client = tepal_test_new(app, NULL);
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
    assert_null(tepal_test_new(app, NULL));
    assert_non_null(strstr(logged(), "this thread has one that is not closed"));
    tepal_test_close(client);
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
    tepal_test_reply *reply = get("/never");
    assert_int_equal(reply->status, 0);
    assert_int_equal(reply->error, -EDEADLK);
    assert_int_equal(reply->raw.len, 0);
    assert_non_null(strstr(logged(), "no reply can come any more"));
    assert_non_null(strstr(logged(), "\"/never\" (GET /never from 127.0.0.1): waiting"));
    tepal_test_disconnect(client);
    assert_reply(get("/"), 200, "ok");
    /* A thread is not the clock's. */
    reply = get("/thread");
    assert_reply(reply, 200, "7");
    assert_int_equal(reply->error, 0);
    say("nonsense");
    tepal_test_shutdown(client);
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
    tepal_test_advance(client, 1);
    assert_int_equal(tepal_now_us() - before, 2500);
    assert_reply(hear("GET"), 200, "ok");
    assert_int_equal(tepal_now_us() - before, 3000);
}

/* --- Ends as those of TCP --------------------------------------------------------------------- */

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
    tepal_test_disconnect(client);
    assert_int_equal(wrote[0], 0); /* it only knows of the end of a side */
    assert_true(wrote[1] < 0);     /* and now of a reset */
    assert_int_equal(app->server->n_connections, 0);
}

/* --- In a task -------------------------------------------------------------------------------- */

static void write_x(void)
{
    tepal_test_write(client, "x", 1);
}

static void get_root(void)
{
    tepal_test_get(client, "/");
}

static void receive(void)
{
    tepal_test_receive(client, "GET");
}

static void post_json(void)
{
    tepal_test_post_json(client, "/", json_true());
}

static void post_form(void)
{
    tepal_test_post_form(client, "/", NULL);
}

static void disconnect(void)
{
    tepal_test_disconnect(client);
}

static void advance(void)
{
    tepal_test_advance(client, 1);
}

static void forget(void)
{
    tepal_test_forget(client);
}

static void close_test(void)
{
    tepal_test_close(client);
}

static void (*call_in_task)(void);

static int make_the_call(void *arg)
{
    (void)arg;
    call_in_task();
    return 0;
}

static void run_the_call(void *arg)
{
    tepal_test_run(arg, make_the_call, NULL);
}

/* Who is run by the loop cannot run it. */
static void in_a_task(void **state)
{
    (void)state;
    static const struct {
        void (*fn)(void);
        const char *name;
    } rows[] = {
        { write_x, "tepal_test_write" },       { get_root, "tepal_test_get" },
        { receive, "tepal_test_receive" },     { post_json, "tepal_test_post_json" },
        { post_form, "tepal_test_post_form" }, { disconnect, "tepal_test_disconnect" },
        { advance, "tepal_test_advance" },     { forget, "tepal_test_forget" },
        { close_test, "tepal_test_close" },
    };
    start(NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char text[128];
        snprintf(text, sizeof(text), "%s: it was called in a task", rows[i].name);
        call_in_task = rows[i].fn;
        assert_misuse(run_the_call, client, text);
    }
    tepal_test_forget(NULL);
}

/* --- Memory that is short --------------------------------------------------------------------- */

/* Whichever allocation fails: a client that is none says why. */
static void no_memory_to_start(void **state)
{
    (void)state;
    tepal_get(app, "/", ok);
    for (size_t n = 1; !client; n++) {
        log_forget();
        mem_fail_nth(n, 1);
        client = tepal_test_new(app, NULL);
        size_t failures = mem_failures();
        mem_fail_nth(0, 0);
        if (!client && !*logged())
            fail_msg("no client, and no word: allocation %zu failed", n);
        assert_true(client || failures > 0);
    }
    assert_reply(get("/"), 200, "ok");
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* The same for a test without an application, which is to be made, too. */
static void no_memory_for_its_own_application(void **state)
{
    (void)state;
    for (size_t n = 1; !client; n++) {
        log_forget();
        mem_fail_nth(n, 1);
        client = tepal_test_new(NULL, NULL);
        mem_fail_nth(0, 0);
        if (!client && !*logged())
            fail_msg("no client, and no word: allocation %zu failed", n);
    }
    assert_int_equal(tepal_test_run(client, nothing, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(no_memory_to_start),
        WEB_TEST(no_memory_for_its_own_application),
        WEB_TEST(in_a_task),
        WEB_TEST(requests),
        WEB_TEST(the_clock),
        WEB_TEST(broken_replies),
        WEB_TEST(interim_responses),
        WEB_TEST(loops),
        WEB_TEST(no_reply),
        WEB_TEST(microseconds),
        WEB_TEST(ends),
        WEB_TEST(described_requests),
        WEB_TEST(requests_that_cannot_be_made),
        WEB_TEST(options_of_tests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
