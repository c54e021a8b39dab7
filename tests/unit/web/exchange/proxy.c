/* A proxy that knows of no HTTP/1: a handler that gives its request's message and content to
 * another application over a second exchange, and that one's response back, as both come. It shows
 * that a request and a response can be held by what http/message.h, web/exchange and web/message
 * say of them. */
#include "../web_check.h"

#include "http/message.h"
#include "web/exchange/made.h"
#include "web/message/request.h"

#include <strings.h>

static tepal_app *upstream; /* the application behind the proxy, which is the app of web_check.h */

/* --- The proxy -------------------------------------------------------------------------------- */

/* What the upstream's task offers, and waits with until it is taken. */
struct offer {
    const struct response_head *head; /* or */
    tepal_bytes piece;                /* or, when both are not there, */
    int result;                       /* the end: 0, or why the response is not whole */
};

/* A request on its way: the exchange behind is served in a task of its own, whose client this
 * is. */
struct passing {
    struct made_client client;
    tepal_req *req;
    tepal_channel *offers;
    tepal_event taken;
};

static struct passing *passing_of(struct made_client *other)
{
    return CONTAINER_OF(other, struct passing, client);
}

static int offer(struct passing *passing, struct offer what)
{
    tepal_event_clear(&passing->taken);
    int rc = tepal_channel_send(passing->offers, &what);
    return rc < 0 ? rc : tepal_event_wait(&passing->taken);
}

static int read_request(struct made_client *other, tepal_bytes *piece)
{
    return tepal_req_read(passing_of(other)->req, piece);
}

static int offer_head(struct made_client *other, const struct response_head *head)
{
    return offer(passing_of(other), (struct offer){ .head = head });
}

static int offer_piece(struct made_client *other, const void *data, size_t len)
{
    return offer(passing_of(other), (struct offer){ .piece = { data, len } });
}

/* Fields that are of one connection only (RFC 9110 section 7.6.1). */
static bool is_hop_by_hop(const char *name, const char *connection)
{
    static const char *const names[] = {
        "Connection",        "Keep-Alive", "Proxy-Connection",    "TE",    "Trailer",
        "Transfer-Encoding", "Upgrade",    "Proxy-Authorization", "Expect"
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    for (const char *p = connection; p && *p; p += strcspn(p, ",")) {
        p += strspn(p, ", \t");
        if (strncasecmp(p, name, strlen(name)) == 0 && strchr(", \t", p[strlen(name)]))
            return true;
    }
    return false;
}

/* The fields of the message that are passed on. */
static const tepal_pair *fields_of(tepal_req *req)
{
    const struct message *message = req->message;
    const char *connection = tepal_req_header(req, "Connection");
    tepal_pair *fields = tepal_req_alloc(req, (message->n_fields + 1u) * sizeof(*fields));
    tepal_pair *end = fields;
    for (size_t i = 0; fields && i < message->n_fields; i++) {
        const char *name = message->data + message->fields[i].name;
        if (!is_hop_by_hop(name, connection))
            *end++ = (tepal_pair){ name, message->data + message->fields[i].value };
    }
    return fields;
}

static int pass_on(void *arg)
{
    struct passing *passing = arg;
    tepal_req *req = passing->req;
    const struct made_request request = {
        .method = message_method(req->message),
        .target = message_target(req->message),
        .fields = fields_of(req),
        .version = 11,
        .scheme = req->exchange->scheme,
        .peer = *req->exchange->peer,
        .content_length = req->message->content_length,
    };
    struct server *server = upstream->server;
    int rc = server ? made_serve(server, &request, &passing->client, NULL) : -ECONNREFUSED;
    rc = offer(passing, (struct offer){ .result = rc });
    return rc == -ECANCELED ? 0 : rc; /* nobody waits for it any more */
}

/* What comes next. Returns 1; 0 at the end; or a negative error: the response is not whole, or this
 * task is to end. */
static int next(struct passing *passing, struct offer *what)
{
    tepal_event_set(&passing->taken);
    int rc = tepal_channel_receive(passing->offers, what);
    if (rc < 0)
        return rc;
    return what->head || what->piece.data ? 1 : what->result;
}

static tepal_res *begin(tepal_req *req, const struct response_head *head)
{
    tepal_res *res = tepal_stream(req, head->status, head->content_type);
    if (head->has_length)
        tepal_res_set_length(res, head->length);
    for (const struct response_field *field = head->fields; field; field = field->next)
        if (!is_hop_by_hop(field->name, NULL))
            tepal_res_add_header(res, field->name, field->value);
    return res;
}

/* NULL when it is broken off: so will be what was begun. */
static tepal_res *pass_back(struct passing *passing)
{
    struct offer what;
    size_t n_written = 0;
    tepal_res *res = NULL;
    int rc;
    while ((rc = next(passing, &what)) > 0) {
        if (what.head)
            res = begin(passing->req, what.head);
        else if (tepal_write(res, what.piece.data, what.piece.len) < 0)
            return res; /* the client has left */
        else
            n_written++;
    }
    if (rc < 0 && rc != -ECANCELED && n_written == 0)
        return tepal_error(passing->req, 502, NULL);
    return rc < 0 ? NULL : res;
}

static void end_passing(void *arg)
{
    tepal_channel_close(((struct passing *)arg)->offers);
}

static tepal_res *proxy(tepal_req *req)
{
    struct passing *passing = tepal_req_alloc(req, sizeof(*passing));
    if (!passing)
        return NULL;
    passing->req = req;
    passing->client.read = read_request;
    passing->client.head = offer_head;
    passing->client.write = offer_piece;
    passing->offers = tepal_channel_new(sizeof(struct offer), 1);
    if (!passing->offers || tepal_req_defer(req, end_passing, passing) < 0 ||
        tepal_spawn(tepal_req_group(req), pass_on, passing, NULL) < 0)
        return NULL;
    tepal_res *res = pass_back(passing);
    made_client_leave(&passing->client); /* if it is still there */
    return res;
}

/* --- The application behind it ---------------------------------------------------------------- */

static tepal_res *show(tepal_req *req)
{
    char text[1000];
    snprintf(text, sizeof(text), "%s %s %s %s:", tepal_req_method(req), tepal_req_target(req),
             tepal_req_remote(req), tepal_req_scheme(req));
    const struct message *message = req->message;
    for (size_t i = 0; i < message->n_fields; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s=%s",
                 message->data + message->fields[i].name, message->data + message->fields[i].value);
    tepal_res *res = tepal_text(req, 200, text);
    tepal_res_add_header(res, "X-Twice", "1");
    tepal_res_add_header(res, "X-Twice", "2");
    tepal_res_add_header(res, "Trailer", "X-Sum");
    return res;
}

/* Each piece comes back, between brackets, before the next one is read. */
static tepal_res *echo(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 201, "text/x");
    tepal_bytes piece;
    int rc;
    while ((rc = tepal_req_read(req, &piece)) > 0)
        if (tepal_writef(res, "[%.*s]", (int)piece.len, piece.data) < 0)
            return res;
    return rc < 0 ? NULL : res;
}

enum { LARGE = 3 * 1024 * 1024 };

static tepal_res *large(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    tepal_res_set_length(res, LARGE);
    char block[1000];
    int rc = 0;
    for (size_t at = 0; at < LARGE && rc == 0;) {
        size_t len = LARGE - at < sizeof(block) ? LARGE - at : sizeof(block);
        for (size_t i = 0; i < len; i++)
            block[i] = (char)((at + i) % 251);
        rc = tepal_write(res, block, len);
        at += len;
    }
    return res;
}

static tepal_res *sum(tepal_req *req)
{
    unsigned long n = 0, wrong = 0;
    tepal_bytes piece;
    int rc;
    while ((rc = tepal_req_read(req, &piece)) > 0)
        for (size_t i = 0; i < piece.len; i++, n++)
            wrong += piece.data[i] != (char)(n % 251);
    return rc < 0 ? NULL : tepal_textf(req, 200, "%lu octets, %lu wrong", n, wrong);
}

static tepal_res *status(tepal_req *req)
{
    return tepal_text(req, atoi(tepal_req_match(req, "code")), "text");
}

static tepal_res *nothing(tepal_req *req)
{
    (void)req;
    return NULL;
}

static tepal_res *broken(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    tepal_write(res, "a part", tepal_req_query(req, "empty") ? 0 : 6);
    return NULL;
}

static tepal_res *slow(tepal_req *req)
{
    int rc = tepal_sleep_ms(60 * 60 * 1000);
    tepal_logf(TEPAL_LOG_INFO, "upstream: %s", rc == -ECANCELED ? "cancelled" : "slept");
    return rc < 0 ? NULL : tepal_text(req, 200, "slow");
}

static tepal_res *slow_stream(tepal_req *req)
{
    tepal_res *res = tepal_stream(req, 200, NULL);
    int rc = 0, n = 0;
    while (rc == 0) {
        rc = tepal_write(res, "tick ", 5);
        if (rc == 0)
            rc = tepal_sleep_ms(10);
        n++;
    }
    tepal_logf(TEPAL_LOG_INFO, "upstream: ended after %s", n > 1 ? "some" : "none");
    return res;
}

static int serve_upstream(tepal_app *of, void *arg)
{
    (void)of;
    (void)arg;
    return tepal_serve(upstream, &(tepal_run_options){ .host = "127.0.0.1",
                                                       .port = TEPAL_ANY_PORT,
                                                       .access_log.off = true });
}

static int setup(void **state)
{
    upstream = tepal_app_new();
    tepal_get(upstream, "/show", show);
    tepal_any(upstream, "/echo", echo);
    tepal_get(upstream, "/large", large);
    tepal_post(upstream, "/sum", sum);
    tepal_get(upstream, "/status/{code:int}", status);
    tepal_get(upstream, "/nothing", nothing);
    tepal_get(upstream, "/broken", broken);
    tepal_get(upstream, "/slow", slow);
    tepal_get(upstream, "/slow_stream", slow_stream);
    int rc = web_setup(state);
    tepal_any(app, "/{rest:path}", proxy);
    return rc;
}

static int teardown(void **state)
{
    int rc = web_teardown(state);
    tepal_app_close(upstream);
    return rc;
}

static void start_both(void)
{
    tepal_background(app, serve_upstream, NULL);
    start(&(tepal_run_options){ .limits = { .max_unsent = 64 * 1024 } });
    tepal_test_advance(client, 0); /* the upstream begins to serve */
    assert_non_null(upstream->server);
    log_forget();
}

/* --- The tests -------------------------------------------------------------------------------- */

static const tepal_pair hop_by_hop[] = { { "X-A", "1" },
                                         { "Keep-Alive", "5" },
                                         { "TE", "gzip" },
                                         { "X-Hop", "2" },
                                         { "Connection", "x-hop, keep-alive" },
                                         { 0 } };

/* Sent on a connection, and called without one. */
static const struct {
    const char *target;
    tepal_fetch_options fetch;
    int status;
    const char *body;
} requests[] = {
    { "/show", { 0 }, 200, "GET /show 127.0.0.1 http: Host=test" },
    { "/show?a=%20b", { 0 }, 200, "GET /show?a=%20b 127.0.0.1 http: Host=test" },
    { "/show", { .headers = hop_by_hop }, 200, "GET /show 127.0.0.1 http: Host=test X-A=1" },
    { "/show", { .method = "HEAD" }, 200, "" },
    { "/echo", { .text = "abc" }, 201, "[abc]" },
    { "/echo", { .text = "" }, 201, "" },
    { "/status/204", { 0 }, 204, "" },
    { "/status/304", { 0 }, 304, "" },
    { "/status/404", { 0 }, 404, "text" },
    { "/nothing", { 0 }, 500, "500 Internal Server Error\n" },
    { "/none", { 0 }, 404, "404 Not Found\n" },
    { "/broken", { 0 }, 0, NULL },
    { "/broken?empty=1", { 0 }, 502, "502 Bad Gateway\n" },
    { "/slow", { 0 }, 200, "slow" },
};

static void messages_are_passed_on(void **state)
{
    (void)state;
    start_both();
    for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
        const tepal_made made = { .target = requests[i].target, .fetch = &requests[i].fetch };
        tepal_test_reply *replies[] = {
            tepal_test_send(client, requests[i].target, &requests[i].fetch),
            tepal_test_call(client, proxy, &made),
            tepal_test_call(client, NULL, &made),
        };
        for (size_t k = 0; k < 3; k++)
            if (replies[k]->status != requests[i].status ||
                (requests[i].body && strcmp(replies[k]->text, requests[i].body) != 0))
                fail_msg("%zu, %zu: %s: %d %s", i, k, requests[i].target, replies[k]->status,
                         replies[k]->text);
    }
}

static void fields_are_passed_back(void **state)
{
    (void)state;
    start_both();
    tepal_test_reply *reply = get("/show");
    assert_field(reply, "Content-Type", "text/plain; charset=utf-8");
    assert_field(reply, "Content-Length", "35");
    assert_null(tepal_test_header(reply, "Trailer"));
    assert_non_null(strstr(wire(reply), "X-Twice: 1\r\nX-Twice: 2\r\n"));
    reply = ask("HEAD", "/show", NULL, NULL);
    assert_field(reply, "Content-Length", "36");
    reply = ask("POST", "/echo", NULL, "a");
    assert_field(reply, "Transfer-Encoding", "chunked");
    assert_field(reply, "Content-Type", "text/x");
}

/* What the client sends is answered before it sends more. */
static void pieces_pass_as_they_come(void **state)
{
    (void)state;
    start_both();
    say("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n");
    tepal_test_advance(client, 10);
    say("2\r\nde\r\n");
    tepal_test_advance(client, 10);
    say("0\r\n\r\n");
    tepal_test_reply *reply = hear("POST");
    assert_reply(reply, 201, "[abc][de]");
    assert_non_null(strstr(reply->raw.data, "\r\n5\r\n[abc]\r\n4\r\n[de]\r\n0\r\n"));
    const tepal_fetch_options fetch = { .text = "abcde" };
    const tepal_made made = { .target = "/echo", .fetch = &fetch, .max_piece = 2 };
    assert_reply(tepal_test_call(client, proxy, &made), 201, "[ab][cd][e]");
}

static void large_contents(void **state)
{
    (void)state;
    start_both();
    tepal_test_reply *reply = get("/large");
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->body.len, LARGE);
    for (size_t i = 0; i < LARGE; i++)
        if (reply->body.data[i] != (char)(i % 251))
            fail_msg("octet %zu", i);
    const tepal_fetch_options fetch = { .data = reply->body };
    char expected[100];
    snprintf(expected, sizeof(expected), "%d octets, 0 wrong", LARGE);
    assert_reply(tepal_test_send(client, "/sum", &fetch), 200, expected);
    const tepal_made made = { .target = "/sum", .fetch = &fetch, .max_piece = 1000 };
    assert_reply(tepal_test_call(client, proxy, &made), 200, expected);
    assert_string_equal(logged(), "");
}

static void a_client_that_leaves_ends_the_upstream(void **state)
{
    (void)state;
    start_both();
    say("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_test_disconnect(client);
    tepal_test_advance(client, 10);
    assert_non_null(strstr(logged(), "upstream: cancelled"));
    log_forget();
    say("GET /slow_stream HTTP/1.1\r\nHost: a\r\n\r\n");
    tepal_test_advance(client, 100);
    tepal_test_disconnect(client);
    tepal_test_advance(client, 100);
    assert_non_null(strstr(logged(), "upstream: ended after some"));
    log_forget();
    const tepal_made made = { .target = "/slow", .leaves_after_ms = 100 };
    assert_int_equal(tepal_test_call(client, proxy, &made)->status, 0);
    assert_non_null(strstr(logged(), "upstream: cancelled"));
}

static void an_upstream_that_is_not_there(void **state)
{
    (void)state;
    start(NULL);
    assert_int_equal(get("/show")->status, 502);
    assert_int_equal(tepal_test_call(client, proxy, NULL)->status, 502);
}

#define PROXY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROXY_TEST(messages_are_passed_on),
        PROXY_TEST(fields_are_passed_back),
        PROXY_TEST(pieces_pass_as_they_come),
        PROXY_TEST(large_contents),
        PROXY_TEST(a_client_that_leaves_ends_the_upstream),
        PROXY_TEST(an_upstream_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
