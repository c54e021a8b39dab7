/* Tests of made requests: handlers without a socket and without a turn of the loop, and that they
 * see what they would see on a connection. */
#include "../web_check.h"

#include "async/loop/loop.h"
#include "base/mem.h"
#include "http/h1_parse.h"
#include "web/testing/reply.h"

#include <dirent.h>

/* Linked with --wrap=loop_turn. */
bool __real_loop_turn(struct loop *loop, bool wait);
bool __wrap_loop_turn(struct loop *loop, bool wait);
static int n_turns;

bool __wrap_loop_turn(struct loop *loop, bool wait)
{
    n_turns++;
    return __real_loop_turn(loop, wait);
}

/* The descriptors that are open, as a sum that tells them apart from others. */
static unsigned long open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned long sum = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(folder))
            sum += 1UL << atoi(entry->d_name) % 60;
    closedir(folder);
    return sum;
}

static unsigned long descriptors_within;

/* A number of the query; what is sent and is none is recorded. */
static int number(tepal_req *req, const char *name, int *value)
{
    const char *text = tepal_req_query(req, name);
    char *end;
    if (!text)
        return 0;
    *value = (int)strtol(text, &end, 10);
    if (!*end)
        return 0;
    tepal_reject(req, 400, "no number");
    return TEPAL_EREJECTED;
}

static tepal_res *greet(tepal_req *req)
{
    int n = 1;
    descriptors_within = open_descriptors();
    if (number(req, "times", &n) < 0)
        return NULL;
    return tepal_textf(req, 200, "%d times %s\n", n, tepal_req_match(req, "name"));
}

static void no_application_no_socket_no_turn(void **state)
{
    (void)state;
    client = tepal_test_new(NULL, NULL);
    const tepal_pair match[] = { { "name", "bob" }, { 0 } };
    tepal_made made = { .target = "/?times=3", .match = match };
    unsigned long before = open_descriptors();
    n_turns = 0;
    assert_reply(tepal_test_call(client, greet, &made), 200, "3 times bob\n");
    assert_int_equal(n_turns, 0);
    assert_int_equal(descriptors_within, before);
    assert_int_equal(open_descriptors(), before);
    made.target = "/?times=many";
    tepal_test_reply *reply = tepal_test_call(client, greet, &made);
    assert_int_equal(reply->status, 400);
    assert_int_equal(reply->error, TEPAL_EREJECTED);
    assert_int_equal(n_turns, 0);
    assert_string_equal(logged(), "");
}

static void send_to_none(void *arg)
{
    tepal_test_get(arg, "/");
}

static void call_none(void *arg)
{
    tepal_test_call(arg, NULL, NULL);
}

static void without_an_application(void **state)
{
    (void)state;
    client = tepal_test_new(NULL, NULL);
    assert_misuse(send_to_none, client, "without an application");
    assert_misuse(call_none, client, "no application");
}

/* --- What a handler is given ------------------------------------------------------------------ */

static const tepal_key key = { "key" };

static int prepare(tepal_req *req, void *arg)
{
    return strcmp(arg, "fail") == 0 ? TEPAL_ECHARSET : tepal_req_set_state(req, &key, arg);
}

static tepal_res *show(tepal_req *req)
{
    const tepal_bytes *body = tepal_req_body(req);
    return tepal_textf(req, 200, "%s %s %s %d %s %s %s %s %d %.*s", tepal_req_method(req),
                       tepal_req_target(req), tepal_req_scheme(req), tepal_req_version(req),
                       tepal_req_remote(req), tepal_req_host(req), tepal_req_pattern(req),
                       (char *)tepal_req_arg(req), (int)tepal_req_match_int(req, "id"),
                       (int)body->len, body->data);
}

static tepal_res *show_state(tepal_req *req)
{
    return tepal_textf(req, 200, "%s %s", (char *)tepal_req_state(req, &key),
                       (char *)tepal_app_state(app, &key));
}

static void parts(void **state)
{
    (void)state;
    client = tepal_test_new(NULL, &(tepal_test_options){ .remote = "203.0.113.7" });
    const tepal_pair match[] = { { "a", "x" }, { "id", "-7" }, { 0 } };
    const tepal_pair query[] = { { "q", "1 2" }, { 0 } };
    const tepal_fetch_options fetch = { .method = "PUT", .query = query, .text = "body" };
    const tepal_made made = {
        .target = "/a%20b", .fetch = &fetch, .match = match, .arg = "arg", .https = true
    };
    assert_reply(tepal_test_call(client, show, &made), 200,
                 "PUT /a%20b?q=1%202 https 11 203.0.113.7 test (made) arg -7 body");
    assert_reply(tepal_test_call(client, ok, NULL), 200, "ok");
}

static int rejects(tepal_req *req, void *arg)
{
    (void)req;
    (void)arg;
    return TEPAL_EREJECTED;
}

static void preparing(void **state)
{
    (void)state;
    tepal_app_set_state(app, &key, "apps");
    start(NULL);
    tepal_made made = { .prepare = prepare, .prepare_arg = "own" };
    assert_reply(tepal_test_call(client, show_state, &made), 200, "own apps");
    made.prepare = NULL;
    assert_reply(tepal_test_call(client, show_state, &made), 200, "apps apps");
    made.prepare = prepare;
    made.prepare_arg = "fail";
    tepal_test_reply *reply = tepal_test_call(client, show_state, &made);
    assert_int_equal(reply->status, 400);
    assert_int_equal(reply->error, TEPAL_ECHARSET);
    /* A rejection that nobody has made. */
    made.prepare = rejects;
    assert_int_equal(tepal_test_call(client, show_state, &made)->status, 500);
    made.target = "no path";
    assert_int_equal(tepal_test_call(client, show_state, &made)->status, 400);
}

static tepal_res *note_middleware(tepal_req *req, tepal_next *next)
{
    tepal_res *res = tepal_next_call(next, req);
    if (strncmp(tepal_req_path(req), "/stream", 7) != 0 &&
        strncmp(tepal_req_path(req), "/lost", 5) != 0) {
        tepal_res_set_headerf(res, "X-Seen", "%s %s %d", tepal_req_method(req),
                              tepal_req_target(req), tepal_req_version(req));
        tepal_res_set_header(res, "X-Middleware", tepal_req_state(req, &key) ? "state" : "none");
    }
    return res;
}

static int note_hook(tepal_req *req, tepal_res *res, void *arg)
{
    (void)req;
    return tepal_res_set_header(res, "X-Hook", (const char *)arg);
}

static void handlers_and_applications(void **state)
{
    (void)state;
    tepal_use(app, note_middleware, NULL);
    tepal_on_response(app, note_hook, "yes");
    tepal_add_route(
        app, &(tepal_route){
                 .method = "GET", .pattern = "/show/{id:int}", .handler = show, .arg = "routes" });
    start(NULL);
    tepal_test_reply *reply = tepal_test_call(client, ok, NULL);
    assert_reply(reply, 200, "ok");
    assert_null(tepal_test_header(reply, "X-Middleware"));
    assert_field(reply, "X-Hook", "yes");
    const tepal_made made = { .target = "/show/5", .prepare = prepare, .prepare_arg = "x" };
    reply = tepal_test_call(client, NULL, &made);
    assert_reply(reply, 200, "GET /show/5 http 11 127.0.0.1 test /show/{id:int} routes 5 ");
    assert_field(reply, "X-Middleware", "state");
    assert_field(reply, "X-Hook", "yes");
    assert_int_equal(tepal_test_call(client, NULL, NULL)->status, 404);
}

/* --- As on a connection ----------------------------------------------------------------------- */

static tepal_res *streamed(tepal_req *req)
{
    int length = -1, given = 3;
    number(req, "length", &length);
    number(req, "given", &given);
    tepal_res *res = tepal_stream(req, 200, "text/plain");
    if (length >= 0)
        tepal_res_set_length(res, (uint64_t)length);
    int rc = 0;
    for (int i = 0; i < given && rc == 0; i++)
        rc = tepal_write(res, "x", 1);
    tepal_logf(TEPAL_LOG_INFO, "write: %s", tepal_code_text(rc));
    return res;
}

static tepal_res *lost_stream(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    tepal_write(res, "abc", 3);
    return tepal_req_query(req, "other") ? tepal_text(req, 200, "other") : NULL;
}

static tepal_res *status(tepal_req *req)
{
    int code = 200;
    number(req, "code", &code);
    tepal_res *res = tepal_text(req, code, "text");
    tepal_res_add_header(res, "X-Twice", "1");
    tepal_res_add_header(res, "X-Twice", "2");
    if (tepal_req_query(req, "own")) {
        tepal_res_set_header(res, "Date", "today");
        tepal_res_set_header(res, "Server", "me");
    }
    return res;
}

static tepal_res *echo(tepal_req *req)
{
    const char *text = tepal_req_text(req);
    const char *a = tepal_req_header(req, "X-A");
    return text ? tepal_textf(req, 200, "%s %s", a ? a : "-", text) : NULL;
}

static tepal_res *format_of_the_client(tepal_req *req)
{
    const char *text = tepal_req_text(req);
    return tepal_textf(req, 200, tepal_req_query(req, "x") ? tepal_req_query(req, "x") : text, "a");
}

static int add_one(void *arg)
{
    int rc = tepal_sleep_ms(1000);
    ++*(int *)arg;
    return rc;
}

static void log_it(void *arg)
{
    tepal_logf(TEPAL_LOG_INFO, "deferred %s", (char *)arg);
}

static tepal_res *belongings(tepal_req *req)
{
    int *n = tepal_req_alloc(req, sizeof(*n));
    tepal_req_defer(req, log_it, "first");
    tepal_req_defer(req, log_it, "second");
    tepal_spawn(tepal_req_group(req), add_one, n, NULL);
    tepal_sleep_ms(2000);
    return tepal_textf(req, 200, "%d", *n);
}

static tepal_res *read_all(tepal_req *req)
{
    tepal_bytes piece;
    size_t n = 0;
    int rc;
    while ((rc = tepal_req_read(req, &piece)) > 0)
        n += piece.len;
    return rc < 0 ? NULL : tepal_textf(req, 200, "%zu", n);
}

static void add_routes(void)
{
    tepal_any(app, "/stream", streamed);
    tepal_any(app, "/lost", lost_stream);
    tepal_any(app, "/status", status);
    tepal_post(app, "/echo", echo);
    tepal_any(app, "/format", format_of_the_client);
    tepal_get(app, "/belongings", belongings);
    tepal_any(app, "/read", read_all);
    tepal_any(app, "/{name}/x", ok);
}

static bool is_of_http1(const char *name)
{
    return strcasecmp(name, "Connection") == 0 || strcasecmp(name, "Transfer-Encoding") == 0;
}

/* The fields of a reply but those, and with the time left out. */
static void list_fields(const tepal_test_reply *reply, char *out, size_t size)
{
    struct kept_reply *kept = (struct kept_reply *)(uintptr_t)reply;
    tepal_test_header(reply, "Date"); /* so that the text is there */
    *out = '\0';
    for (size_t i = 0; reply->status && i < kept->head.message.n_fields; i++) {
        const char *name = kept->values + kept->fields[i].name;
        const char *value = kept->values + kept->fields[i].value;
        bool is_time = strcmp(name, "Date") == 0 && strlen(value) > 20;
        if (!is_of_http1(name))
            snprintf(out + strlen(out), size - strlen(out), "%s=%s\n", name, is_time ? "" : value);
    }
}

static const tepal_pair two_hosts[] = { { "Host", "a" }, { "host", "b" }, { 0 } };
static const tepal_pair no_host[] = { { "Host", NULL }, { 0 } };
static const tepal_pair bad_host[] = { { "Host", "a/b" }, { 0 } };
static const tepal_pair two_types[] = { { "Content-Type", "a/b" }, { "Content-Type", "c" }, { 0 } };
static const tepal_pair accept_json[] = { { "Accept", "application/json" }, { 0 } };
static const tepal_pair spaces[] = { { "X-A", " \t a b\t" }, { 0 } };
static const tepal_pair no_length[] = { { "Content-Length", "" }, { 0 } };
static const tepal_pair many[] = { { "A", "" }, { "B", "" }, { "C", "" },
                                   { "D", "" }, { "E", "" }, { 0 } };

/* Each is sent on a connection, and called. */
static const struct {
    const char *target;
    tepal_fetch_options fetch;
} requests[] = {
    { "/status", { 0 } },
    { "/status", { .method = "HEAD" } },
    { "/status?code=204", { 0 } },
    { "/status?code=205", { 0 } },
    { "/status?code=304", { 0 } },
    { "/status?code=404&own=1", { 0 } },
    { "/status?code=x", { 0 } },
    { "/stream", { 0 } },
    { "/stream", { .method = "HEAD" } },
    { "/stream?length=3", { 0 } },
    { "/stream?length=3", { .method = "HEAD" } },
    { "/stream?length=4", { 0 } },
    { "/stream?length=2", { 0 } },
    { "/stream?given=0", { 0 } },
    { "/lost", { 0 } },
    { "/lost?other=1", { 0 } },
    { "/lost?other=1", { .method = "HEAD" } },
    { "/echo", { .text = "text", .headers = spaces } },
    { "/echo", { .text = "" } },
    { "/echo", { .data = { "\xff", 1 } } },
    { "/echo", { .text = "over the limit of this test" } },
    { "/echo", { .method = "PUT" } },
    { "/echo", { .method = "OPTIONS" } },
    { "/echo", { .method = "GET" } },
    { "/format", { .text = "a %s of a client" } },
    { "/format?x=%25s", { 0 } },
    { "/read", { .text = "so much" } },
    { "/read", { .method = "POST" } },
    { "/belongings", { 0 } },
    { "/none", { 0 } },
    { "/none", { .headers = accept_json } },
    { "*", { .method = "OPTIONS" } },
    { "*", { 0 } },
    { "http://test/status", { 0 } },
    { "https://test/status", { 0 } },
    { "test:80", { .method = "CONNECT" } },
    { "/status", { .method = "CONNECT" } },
    { "/a b", { .headers = accept_json } },
    { " /a", { 0 } },
    { "/a\tb", { 0 } },
    { "/a#b", { .headers = accept_json } },
    { "/\xff", { .headers = accept_json } },
    { "/%zz", { 0 } },
    { "/%ff/x", { 0 } },
    { "/%c3%a4/x?y=%00", { 0 } },
    { "", { 0 } },
    { "status", { 0 } },
    { "/status", { .headers = two_hosts } },
    { "/status", { .headers = no_host } },
    { "/status", { .headers = bad_host } },
    { "/status", { .headers = two_types } },
    { "/status", { .headers = no_length } },
    { "/status", { .headers = many } },
    { "/status?long=0123456789012345678901234567890123456789012345678901234567", { 0 } },
    { "/status?long=01234567890123456789012345678901234567890123456789012345678", { 0 } },
    { "/",
      { .method = "VERYVERYVERYVERYVERYVERYVERYVERYVERYVERYVERYVERYVERYVERYVERYVERYVERYVERY"
                  "VERYVERY" } },
};

static void as_on_a_connection(void **state)
{
    (void)state;
    add_routes();
    tepal_use(app, note_middleware, NULL);
    tepal_on_response(app, note_hook, "yes");
    start(&(tepal_run_options){
        .server = "this",
        .limits = { .max_body = 20, .max_fields = 5, .max_request_line = 85, .max_head = 4096 } });
    for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
        char sent_fields[1000], called_fields[1000], said[2000];
        log_forget();
        tepal_test_reply *sent = tepal_test_send(client, requests[i].target, &requests[i].fetch);
        snprintf(said, sizeof(said), "%s", logged());
        log_forget();
        const tepal_made made = { .target = requests[i].target, .fetch = &requests[i].fetch };
        tepal_test_reply *called = tepal_test_call(client, NULL, &made);
        list_fields(sent, sent_fields, sizeof(sent_fields));
        list_fields(called, called_fields, sizeof(called_fields));
        if (sent->status != called->status || strcmp(sent_fields, called_fields) != 0 ||
            (sent->status && strcmp(sent->text, called->text) != 0) || strcmp(said, logged()) != 0)
            fail_msg("%zu: %s\nsent: %d\n%s%s\n%s\ncalled: %d\n%s%s\n%s", i, requests[i].target,
                     sent->status, sent_fields, sent->text, said, called->status, called_fields,
                     called->text, logged());
    }
}

/* --- Bodies ----------------------------------------------------------------------------------- */

static tepal_res *list_pieces(tepal_req *req)
{
    char text[200] = "";
    tepal_bytes piece;
    int rc;
    while ((rc = tepal_req_read(req, &piece)) > 0)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s|", (int)piece.len,
                 piece.data);
    uint64_t length = tepal_req_content_length(req);
    return tepal_textf(req, 200, "%s %d %s", text, rc, length == TEPAL_UNKNOWN ? "?" : "known");
}

static void bodies_in_pieces(void **state)
{
    (void)state;
    client = tepal_test_new(NULL, NULL);
    const tepal_pair unknown[] = { { "Content-Length", NULL }, { 0 } };
    tepal_fetch_options fetch = { .text = "abcde" };
    tepal_made made = { .fetch = &fetch };
    assert_reply(tepal_test_call(client, list_pieces, &made), 200, "abcde| 0 known");
    made.max_piece = 2;
    assert_reply(tepal_test_call(client, list_pieces, &made), 200, "ab|cd|e| 0 known");
    fetch.headers = unknown;
    made.max_piece = 5;
    assert_reply(tepal_test_call(client, list_pieces, &made), 200, "abcde| 0 ?");
    fetch.text = NULL;
    assert_reply(tepal_test_call(client, list_pieces, &made), 200, " 0 known");
}

static void lengths_that_are_not(void **state)
{
    (void)state;
    client = tepal_test_new(NULL, NULL);
    static const struct {
        tepal_pair field;
        int status;
    } rows[] = {
        { { "Content-Length", "5" }, 200 },
        { { "Content-Length", "05" }, 200 },
        { { "Content-Length", "4" }, 400 },
        { { "Content-Length", "6" }, 400 },
        { { "Content-Length", "5x" }, 400 },
        { { "Content-Length", "99999999999999999999" }, 400 },
        { { "Transfer-Encoding", "chunked" }, 400 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const tepal_pair fields[] = { rows[i].field, { 0 } };
        const tepal_fetch_options fetch = { .text = "abcde", .headers = fields };
        const tepal_made made = { .fetch = &fetch };
        assert_int_equal(tepal_test_call(client, list_pieces, &made)->status, rows[i].status);
    }
}

static void limits_of_bodies(void **state)
{
    (void)state;
    start(&(tepal_run_options){ .limits = { .max_body = 5 } });
    static const tepal_pair unknown[] = { { "Content-Length", NULL }, { 0 } };
    static const struct {
        const char *text;
        int status;
    } rows[] = { { "abcd", 200 }, { "abcde", 200 }, { "abcdef", 413 } };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (int known = 0; known < 2; known++) {
            const tepal_fetch_options fetch = { .text = rows[i].text,
                                                .headers = known ? NULL : unknown };
            const tepal_made made = { .fetch = &fetch, .max_piece = 1 };
            assert_int_equal(tepal_test_call(client, echo, &made)->status, rows[i].status);
        }
}

static tepal_res *many_fields(tepal_req *req)
{
    tepal_res *res = ok(req);
    const int *n = tepal_req_arg(req);
    for (int i = 0; i < *n; i++)
        tepal_res_add_header(res, "X-Many", "x");
    return res;
}

static tepal_res *too_large(tepal_req *req)
{
    const tepal_bytes *body = tepal_req_arg(req);
    return lent(req, body->data, body->len);
}

/* What of a response a call takes: 255 fields, four of them the server's own, and 256 MiB. */
static void limits_of_responses(void **state)
{
    (void)state;
    int n = 251;
    client = tepal_test_new(NULL, NULL);
    tepal_made made = { .arg = &n };
    assert_reply(tepal_test_call(client, many_fields, &made), 200, "ok");
    n++;
    tepal_test_reply *reply = tepal_test_call(client, many_fields, &made);
    assert_int_equal(reply->status, 0);
    assert_int_equal(reply->error, TEPAL_EMESSAGE);
    size_t len = 256 * 1024 * 1024 + 1;
    char *data = calloc(len, 1);
    const tepal_bytes body = { .data = data, .len = len };
    made.arg = &body;
    reply = tepal_test_call(client, too_large, &made);
    assert_int_equal(reply->status, 0);
    assert_int_equal(reply->error, -ENOBUFS);
    assert_int_equal(reply->body.len, 0);
    free(data);
}

/* --- Ends ------------------------------------------------------------------------------------- */

static tepal_res *slow(tepal_req *req)
{
    return tepal_sleep_ms(60 * 60 * 1000) < 0 ? NULL : tepal_text(req, 200, "slow");
}

static tepal_res *slow_stream(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    int rc = 0;
    for (int i = 0; i < 10 && rc == 0; i++) {
        rc = tepal_write(res, "x", 1);
        if (rc == 0)
            rc = tepal_sleep_ms(100);
    }
    tepal_logf(TEPAL_LOG_INFO, "stream: %s", tepal_code_text(rc));
    return res;
}

static tepal_res *shielded(tepal_req *req)
{
    int rc = tepal_sleep_ms(1000);
    tepal_logf(TEPAL_LOG_INFO, "sleep: %d", rc);
    return tepal_text(req, 200, "done");
}

static void clients_that_leave(void **state)
{
    (void)state;
    tepal_add_route(
        app, &(tepal_route){
                 .method = "GET", .pattern = "/shielded", .handler = shielded, .shield = true });
    start(NULL);
    assert_reply(tepal_test_call(client, slow, NULL), 200, "slow");
    const tepal_made made = { .leaves_after_ms = 250 };
    tepal_test_reply *reply = tepal_test_call(client, slow, &made);
    assert_reply(reply, 0, "");
    assert_int_equal(reply->error, -ECONNRESET);
    reply = tepal_test_call(client, slow_stream, &made);
    assert_reply(reply, 0, "xxx");
    assert_true(reply->error < 0);
    assert_non_null(strstr(logged(), "stream: "));
    assert_null(strstr(logged(), "stream: no error"));
    /* One that is over before is whole. */
    assert_reply(tepal_test_call(client, ok, &made), 200, "ok");
    const tepal_made to_shielded = { .target = "/shielded", .leaves_after_ms = 250 };
    reply = tepal_test_call(client, NULL, &to_shielded);
    assert_int_equal(reply->status, 0);
    assert_non_null(strstr(logged(), "sleep: 0"));
}

static tepal_channel *never;

static tepal_res *stuck(tepal_req *req)
{
    void *item;
    int rc = tepal_channel_receive(never, &item);
    tepal_logf(TEPAL_LOG_INFO, "stuck: %d", rc);
    return tepal_text(req, 200, "free");
}

static void handlers_without_an_end(void **state)
{
    (void)state;
    start(NULL);
    never = tepal_channel_new(sizeof(void *), 1);
    tepal_test_reply *reply = tepal_test_call(client, stuck, NULL);
    assert_reply(reply, 0, "free");
    assert_int_equal(reply->error, -EDEADLK);
    assert_non_null(strstr(logged(), "no reply can come any more"));
    assert_reply(tepal_test_call(client, ok, NULL), 200, "ok");
    tepal_channel_close(never);
}

static tepal_res *stubborn(tepal_req *req)
{
    void *item;
    int64_t before = tepal_shield_begin_ms(TEPAL_NEVER);
    int rc = tepal_channel_receive(never, &item);
    tepal_shield_end(before);
    return tepal_textf(req, 200, "%d", rc);
}

/* Its task is left as it is, and so is what that uses. */
static void handlers_that_cannot_be_cancelled(void **state)
{
    (void)state;
    start(NULL);
    never = tepal_channel_new(sizeof(void *), 1);
    tepal_test_reply *reply = tepal_test_call(client, stubborn, NULL);
    assert_reply(reply, 0, "");
    assert_int_equal(reply->error, -EDEADLK);
    assert_non_null(strstr(logged(), "it is left as it is"));
    assert_reply(tepal_test_call(client, ok, NULL), 200, "ok");
    assert_int_equal(get("/none")->status, 404);
}

static int run_it(void *arg)
{
    int rc = tepal_sleep_ms(60 * 60 * 1000);
    return rc < 0 ? rc : *(int *)arg;
}

static int run_stuck(void *arg)
{
    void *item;
    return tepal_channel_receive(arg, &item);
}

static void run_without_a_function(void *arg)
{
    tepal_test_run(arg, NULL, NULL);
}

static void tasks(void **state)
{
    (void)state;
    client = tepal_test_new(NULL, NULL);
    int seven = 7;
    assert_int_equal(tepal_test_run(client, run_it, &seven), 7);
    tepal_channel *channel = tepal_channel_new(sizeof(void *), 1);
    assert_int_equal(tepal_test_run(client, run_stuck, channel), -EDEADLK);
    tepal_channel_close(channel);
    assert_misuse(run_without_a_function, client, "the function is NULL");
}

static tepal_res *calls_in_a_task(tepal_req *req)
{
    tepal_test_call(client, ok, NULL);
    return ok(req);
}

static void call_within(void *arg)
{
    tepal_test_call(arg, calls_in_a_task, NULL);
}

static void call_with_no_value(void *arg)
{
    const tepal_pair match[] = { { "a", "1" }, { "b", NULL }, { 0 } };
    tepal_test_call(arg, ok, &(tepal_made){ .match = match });
}

static void call_without_a_test(void *arg)
{
    tepal_test_call(arg, ok, NULL);
}

static void mistakes(void **state)
{
    (void)state;
    assert_misuse(call_without_a_test, NULL, "tepal_test_call: the test is NULL");
    start(NULL);
    tepal_pair match[34] = { { 0 } };
    for (int i = 0; i < 33; i++)
        match[i] = (tepal_pair){ "x", "y" };
    tepal_made made = { .match = match };
    assert_int_equal(tepal_test_call(client, ok, &made)->error, -EINVAL);
    match[32].name = NULL;
    assert_reply(tepal_test_call(client, ok, &made), 200, "ok");
    log_forget();
    assert_int_equal(tepal_test_call(client, NULL, &made)->error, -EINVAL);
    assert_non_null(strstr(logged(), "for a handler"));
    const tepal_fetch_options json = { .method = "", .json = json_integer(1) };
    made = (tepal_made){ .fetch = &json };
    assert_int_equal(tepal_test_call(client, ok, &made)->error, -EINVAL);
    made = (tepal_made){ .later = { 1 } };
    assert_int_equal(tepal_test_call(client, ok, &made)->error, -EINVAL);
    assert_misuse(call_within, client, "called in a task");
    assert_misuse(call_with_no_value, client, "the value of a variable in match is NULL");
}

static void short_of_memory(void **state)
{
    (void)state;
    start(NULL);
    const tepal_fetch_options fetch = { .text = "text" };
    const tepal_made made = { .fetch = &fetch };
    bool failed = true;
    for (size_t n = 1; failed; n++) {
        mem_fail_nth(n, 0);
        tepal_test_reply *reply = tepal_test_call(client, echo, &made);
        failed = mem_failures() > 0;
        mem_fail_nth(0, 0);
        if (reply && reply->status)
            assert_true(reply->status == 200 || reply->status == 503 || reply->status == 500);
    }
    assert_int_equal(tepal_test_call(client, echo, &made)->status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(no_application_no_socket_no_turn),
        WEB_TEST(without_an_application),
        WEB_TEST(parts),
        WEB_TEST(preparing),
        WEB_TEST(handlers_and_applications),
        WEB_TEST(as_on_a_connection),
        WEB_TEST(bodies_in_pieces),
        WEB_TEST(lengths_that_are_not),
        WEB_TEST(limits_of_bodies),
        WEB_TEST(limits_of_responses),
        WEB_TEST(clients_that_leave),
        WEB_TEST(handlers_without_an_end),
        WEB_TEST(handlers_that_cannot_be_cancelled),
        WEB_TEST(tasks),
        WEB_TEST(mistakes),
        WEB_TEST(short_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
