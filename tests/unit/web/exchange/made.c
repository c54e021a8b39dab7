/* Tests of exchanges in memory: what passes between a handler and a client that is a few
 * functions. */
#include "../web_check.h"

#include "async/loop/loop.h"
#include "async/task/task.h"
#include "web/app/application.h"
#include "web/exchange/made.h"
#include "web/server/serve.h"
#include "web/server/server.h"

/* A client whose pieces come one by one, and that takes as it is told. */
struct slow_client {
    struct made_client client;
    const char *const *pieces; /* ends with NULL */
    int read_end;              /* what it says behind them */
    int head_result, write_result;
    int64_t pause_ms; /* before each of its answers */
    int n_heads, status;
    char body[100];
    int result; /* of the whole */
};

static int pause(const struct slow_client *slow)
{
    return slow->pause_ms > 0 ? tepal_sleep_ms(slow->pause_ms) : 0;
}

static int read_piece(struct made_client *other, tepal_bytes *piece)
{
    struct slow_client *slow = CONTAINER_OF(other, struct slow_client, client);
    int rc = pause(slow);
    if (rc < 0 || !slow->pieces || !*slow->pieces)
        return rc < 0 ? rc : slow->read_end;
    *piece = (tepal_bytes){ *slow->pieces, strlen(*slow->pieces) };
    slow->pieces++;
    return 1;
}

static int take_head(struct made_client *other, const struct response_head *head)
{
    struct slow_client *slow = CONTAINER_OF(other, struct slow_client, client);
    int rc = pause(slow);
    if (rc < 0 || slow->head_result < 0)
        return rc < 0 ? rc : slow->head_result;
    slow->n_heads++;
    slow->status = head->status;
    return 0;
}

static int take_piece(struct made_client *other, const void *data, size_t len)
{
    struct slow_client *slow = CONTAINER_OF(other, struct slow_client, client);
    int rc = pause(slow);
    if (rc < 0 || slow->write_result < 0)
        return rc < 0 ? rc : slow->write_result;
    snprintf(slow->body + strlen(slow->body), sizeof(slow->body) - strlen(slow->body), "%.*s",
             (int)len, (const char *)data);
    return 0;
}

static struct slow_client slow_client(void)
{
    return (struct slow_client){
        .client = { .read = read_piece, .head = take_head, .write = take_piece },
    };
}

/* What is to be served, and by whom; in a task of the library's loop, without a test of
 * tepal/testing.h. */
static struct slow_client slow;
static struct made_request request;
static struct exchange_call how;
static int64_t leaves_after_ms;
static bool full; /* the memory of all requests is in use */

static int leave_later(void *arg)
{
    int rc = tepal_sleep_ms(leaves_after_ms);
    made_client_leave(arg);
    return rc;
}

static int serve_it(void *arg)
{
    (void)arg;
    struct arena_budget *budget = &app->server->memory.budget;
    size_t used = full ? budget->max : 0;
    budget->used += used;
    slow.result = made_serve(app->server, &request, &slow.client, how.handler ? &how : NULL);
    budget->used -= used;
    return budget->used == 0 ? 0 : -1; /* all is given back */
}

static int serve_once(void *arg)
{
    tepal_clock_fake();
    int rc = serve_open(app, &(tepal_run_options){ .access_log.off = true });
    tepal_group *group = rc == 0 ? tepal_group_new() : NULL;
    (void)arg;
    if (!group)
        return -1;
    rc = tepal_spawn(group, serve_it, NULL, NULL);
    if (rc == 0 && leaves_after_ms > 0)
        rc = tepal_spawn(group, leave_later, &slow.client, NULL);
    if (rc == 0)
        rc = tepal_group_wait(group);
    tepal_group_close(group);
    serve_close(app);
    return rc;
}

/* The response of the handler, or the application, to the request. */
static void serve_request(tepal_handler *handler)
{
    struct loop loop;
    how.handler = handler;
    assert_int_equal(loop_open(&loop, 0), 0);
    assert_int_equal(loop_run(&loop, serve_once, NULL), 0);
    loop_close(&loop);
    assert_null(slow.client.exchange);
}

static int setup(void **state)
{
    slow = slow_client();
    how = (struct exchange_call){ 0 };
    full = false;
    leaves_after_ms = 0;
    static const tepal_pair fields[] = { { "Host", "made" }, { "X-Null", NULL }, { 0 } };
    request = (struct made_request){
        .method = "POST",
        .target = "/",
        .fields = fields,
        .version = 11,
        .scheme = "http",
    };
    return web_setup(state);
}

#define MADE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, web_teardown)

/* --- Reading ---------------------------------------------------------------------------------- */

static int read_result;

static tepal_res *list_pieces(tepal_req *req)
{
    char text[100] = "";
    tepal_bytes piece;
    while ((read_result = tepal_req_read(req, &piece)) > 0)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s|", (int)piece.len,
                 piece.data);
    return read_result < 0 ? NULL : tepal_text(req, 200, text);
}

static void contents(void **state)
{
    (void)state;
    static const char *const pieces[] = { "ab", "c", NULL };
    static const struct {
        uint64_t length;
        int read_end, result, status;
    } rows[] = {
        { TEPAL_UNKNOWN, 0, 0, 200 },
        { 3, 0, 0, 200 },
        { 4, 0, TEPAL_ECLOSED, 400 },
        { 2, 0, TEPAL_EMESSAGE, 400 },
        { TEPAL_UNKNOWN, -EPIPE, TEPAL_ECLOSED, 400 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        slow = slow_client();
        slow.pieces = pieces;
        slow.read_end = rows[i].read_end;
        slow.pause_ms = 10;
        request.content_length = rows[i].length;
        serve_request(list_pieces);
        assert_int_equal(read_result, rows[i].result);
        assert_int_equal(slow.status, rows[i].status);
        assert_int_equal(slow.client.error, rows[i].result);
        assert_int_equal(slow.result, 0);
        if (rows[i].result == 0)
            assert_string_equal(slow.body, "ab|c|");
    }
}

static void no_content(void **state)
{
    (void)state;
    slow.client.read = NULL;
    serve_request(list_pieces);
    assert_int_equal(read_result, 0);
    assert_int_equal(slow.status, 200);
}

static tepal_res *read_with_deadlines(tepal_req *req)
{
    tepal_bytes piece;
    int rc, n_late = 0;
    do {
        int64_t before = tepal_deadline_in_ms(20);
        rc = tepal_req_read(req, &piece);
        tepal_deadline_restore(before);
        n_late += rc == -ETIMEDOUT;
    } while (rc == 1 || (rc == -ETIMEDOUT && n_late < 3));
    return tepal_textf(req, 200, "%d late, then %d", n_late, rc);
}

static void interrupted_reads(void **state)
{
    (void)state;
    static const char *const pieces[] = { "ab", NULL };
    slow.pieces = pieces;
    slow.pause_ms = 30;
    request.content_length = TEPAL_UNKNOWN;
    serve_request(read_with_deadlines);
    assert_string_equal(slow.body, "3 late, then -110");
}

static int second_read;

static int read_too(void *arg)
{
    tepal_bytes piece;
    second_read = tepal_req_read(arg, &piece);
    return 0;
}

static tepal_res *two_readers(tepal_req *req)
{
    tepal_bytes piece;
    if (tepal_spawn(tepal_req_group(req), read_too, req, NULL) < 0)
        return NULL;
    return tepal_textf(req, 200, "%d", tepal_req_read(req, &piece));
}

static void one_reader_at_a_time(void **state)
{
    (void)state;
    static const char *const pieces[] = { "ab", NULL };
    slow.pieces = pieces;
    slow.pause_ms = 10;
    request.content_length = 2;
    serve_request(two_readers);
    assert_int_equal(second_read, -EBUSY);
    assert_string_equal(slow.body, "1");
}

/* --- Writing ---------------------------------------------------------------------------------- */

static int write_result;

static tepal_res *write_some(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    write_result = 0;
    for (int i = 0; i < 3 && write_result == 0; i++)
        write_result = tepal_write(res, "ab", 2);
    return res;
}

static void clients_that_fail(void **state)
{
    (void)state;
    slow.write_result = -EPIPE;
    serve_request(write_some);
    assert_int_equal(write_result, -EPIPE);
    assert_int_equal(slow.result, -EPIPE);
    assert_int_equal(slow.n_heads, 1);
    slow = slow_client();
    slow.head_result = -EIO;
    serve_request(write_some);
    assert_int_equal(write_result, -EIO);
    assert_int_equal(slow.result, -EIO);
    slow = slow_client();
    slow.head_result = -EIO;
    serve_request(ok);
    assert_int_equal(slow.result, -EIO);
}

static tepal_res *write_with_a_deadline(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    int64_t before = tepal_deadline_in_ms(20);
    write_result = tepal_write(res, "lost", 4);
    tepal_deadline_restore(before);
    if (write_result == -ETIMEDOUT)
        return tepal_text(req, 503, "another");
    return res;
}

static void an_interrupted_head_is_none(void **state)
{
    (void)state;
    slow.pause_ms = 30;
    serve_request(write_with_a_deadline);
    assert_int_equal(write_result, -ETIMEDOUT);
    assert_int_equal(slow.n_heads, 1);
    assert_int_equal(slow.status, 503);
    assert_string_equal(slow.body, "another");
    assert_int_equal(slow.result, 0);
}

static tepal_res *left_stream;

static int write_late(void *arg)
{
    (void)arg;
    write_result = tepal_write(left_stream, "late", 4);
    return 0;
}

static tepal_res *with_a_late_writer(tepal_req *req)
{
    left_stream = tepal_stream(req, 200, NULL);
    if (tepal_write(left_stream, "a", 1) < 0 ||
        tepal_spawn(tepal_app_group(app), write_late, NULL, NULL) < 0)
        return NULL;
    tepal_sleep_ms(1);
    return left_stream;
}

static void writers_are_waited_for(void **state)
{
    (void)state;
    slow.pause_ms = 1000;
    serve_request(with_a_late_writer);
    assert_int_equal(write_result, 0);
    assert_string_equal(slow.body, "alate");
    assert_int_equal(slow.result, 0);
    /* Unless the client leaves. */
    slow = slow_client();
    slow.pause_ms = 1000;
    leaves_after_ms = 2500;
    serve_request(with_a_late_writer);
    assert_true(write_result < 0);
    assert_string_equal(slow.body, "a");
    assert_true(slow.result < 0);
}

/* --- The request ------------------------------------------------------------------------------ */

static tepal_res *show(tepal_req *req)
{
    return tepal_textf(req, 200, "%s %s %d %s %s", tepal_req_method(req), tepal_req_target(req),
                       tepal_req_version(req), tepal_req_host(req),
                       tepal_req_header(req, "X-Null") ? "field" : "none");
}

static void versions_and_peers(void **state)
{
    (void)state;
    request.method = "GET";
    request.target = "/a?b";
    serve_request(show);
    assert_string_equal(slow.body, "GET /a?b 11 made none");
    slow = slow_client();
    request.fields = NULL;
    request.version = 10;
    serve_request(show);
    assert_string_equal(slow.body, "GET /a?b 10  none");
    slow = slow_client();
    request.version = 11; /* which must have a Host */
    serve_request(show);
    assert_int_equal(slow.status, 400);
}

static tepal_res *show_rest(tepal_req *req)
{
    char text[100];
    snprintf(text, sizeof(text), "%s %s %s", tepal_req_method(req), tepal_req_target(req),
             tepal_req_header(req, "X-A") ? "X-A" : "-");
    return tepal_text(req, 200, text);
}

static tepal_res *see_refused(tepal_req *req, tepal_next *next)
{
    tepal_res *res = tepal_next_call(next, req);
    tepal_res *shown = show_rest(req);
    const tepal_bytes *text = tepal_res_body(shown);
    tepal_res_set_body(res, text->data, text->len);
    return res;
}

/* A middleware sees of a refused request what can be known of it, as on a connection. */
static void refused(void **state)
{
    (void)state;
    static const tepal_pair bad_name[] = { { "Host", "a" }, { "X-A", "1" }, { "X B", "2" }, { 0 } };
    static const tepal_pair bad_value[] = { { "X-A", "1\r\nX-B: 2" }, { 0 } };
    static const struct {
        const char *method, *target;
        const tepal_pair *fields;
        int status;
        const char *seen;
    } rows[] = {
        { "G T", "/x", NULL, 400, "UNKNOWN / -" },    { "", "/x", NULL, 400, "UNKNOWN / -" },
        { "GET", "/x", bad_name, 400, "GET /x X-A" }, { "GET", "/x", bad_value, 400, "GET /x -" },
        { "GET", "/x y", NULL, 400, "GET /x -" },     { "GET", "/x\ty", NULL, 400, "GET / -" },
        { "GET", "", NULL, 400, "GET / -" },
    };
    tepal_use(app, see_refused, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        slow = slow_client();
        request.method = rows[i].method;
        request.target = rows[i].target;
        if (rows[i].fields)
            request.fields = rows[i].fields;
        serve_request(NULL);
        assert_int_equal(slow.status, rows[i].status);
        assert_string_equal(slow.body, rows[i].seen);
    }
}

static void no_memory_for_a_request(void **state)
{
    (void)state;
    full = true;
    serve_request(ok);
    assert_int_equal(slow.status, 503);
    assert_string_equal(slow.body, "");
    assert_non_null(strstr(logged(), "no memory for a request"));
}

/* --- Tasks ------------------------------------------------------------------------------------ */

static const tepal_key local = { "local" };

static tepal_res *show_local(tepal_req *req)
{
    char *value = tepal_task_local(&local);
    tepal_task_set_local(&local, "of the request");
    return tepal_text(req, 200, value ? value : "none");
}

static int set_at_start(tepal_app *of, void *arg)
{
    (void)of;
    return tepal_task_set_local(&local, arg);
}

static void locals(void **state)
{
    (void)state;
    tepal_on_startup(app, set_at_start, "of the application");
    serve_request(show_local);
    assert_string_equal(slow.body, "of the application");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MADE_TEST(contents),
        MADE_TEST(no_content),
        MADE_TEST(interrupted_reads),
        MADE_TEST(one_reader_at_a_time),
        MADE_TEST(clients_that_fail),
        MADE_TEST(an_interrupted_head_is_none),
        MADE_TEST(writers_are_waited_for),
        MADE_TEST(versions_and_peers),
        MADE_TEST(refused),
        MADE_TEST(no_memory_for_a_request),
        MADE_TEST(locals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
