/* The request's side: taking its head, reading its content, seeing whether its client is still
 * there. */
#include "web/exchange/h1.h"

#include "async/task/task.h"
#include "web/exchange/user.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static struct h1_exchange *h1_of(const struct exchange *exchange)
{
    return (struct h1_exchange *)(uintptr_t)exchange;
}

static struct h1_conn *http_of(const struct exchange *exchange)
{
    return &h1_of(exchange)->connection->http;
}

bool h1_exchange_is_kept_back(const struct h1_exchange *x)
{
    return x->head.expect_continue && x->head.framing != H1_BODY_NONE && !x->body.begun &&
           !x->continued;
}

NO_INLINE enum fate h1_exchange_fate_unread(struct h1_exchange *x, bool last, bool reading)
{
    struct body_reader *body = &x->body;
    /* What has come while a stream was written, and was not read, costs nothing. */
    if (!last && !reading && !h1_exchange_is_kept_back(x))
        body_drop_received(body);
    const struct fate_facts facts = {
        .last = last,
        .whole = body->done,
        .lost = body->error < 0,
        .kept_back = h1_exchange_is_kept_back(x),
        .reading = reading,
        .unknown = body->framing != H1_BODY_LENGTH,
        .left = body->left,
        .max_drain = x->connection->server->options.limits.max_unread_body,
    };
    return fate_of(&facts);
}

/* --- The content ------------------------------------------------------------------------------ */

/* Waits for more of it. This is the one place where a client is told to send it: when that is what
 * it waits for, and no response has begun, into which the 100 would be mixed. */
static int wait_for_content(struct h1_exchange *x)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (h1_exchange_is_kept_back(x) && !x->base.begun) {
        int rc = body_try_fill(&x->body);
        if (rc != -EAGAIN)
            return rc;
        rc = h1_conn_write(x->body.http, go_on, sizeof(go_on) - 1);
        if (rc < 0)
            return rc;
        x->continued = true;
    }
    return body_fill(&x->body);
}

static int h1_read(struct exchange *exchange, tepal_bytes *piece)
{
    struct h1_exchange *x = h1_of(exchange);
    int rc;
    while ((rc = body_take(&x->body, piece)) == -EAGAIN) {
        rc = wait_for_content(x);
        if (UNLIKELY(x->body.http->conn.io.state & IO_EOF))
            connection_look_for_end(x->connection);
        if (rc < 0)
            break;
    }
    exchange->body_error = x->body.error;
    return rc;
}

NO_INLINE bool h1_exchange_drain(struct h1_exchange *x)
{
    const tepal_limits *limits = &x->connection->server->options.limits;
    int64_t before = tepal_deadline_in_ms(limits->lingering_timeout_ms);
    int rc = body_drop(&x->body, limits->max_unread_body);
    tepal_deadline_restore(before);
    return rc == 1;
}

/* --- The client ------------------------------------------------------------------------------- */

static void h1_look(struct exchange *exchange)
{
    if (UNLIKELY(http_of(exchange)->conn.io.state & (IO_EOF | IO_HUP)))
        connection_look_for_end(h1_of(exchange)->connection);
}

static bool h1_is_half_closed(const struct exchange *exchange)
{
    return http_of(exchange)->work->peer_ended;
}

static int h1_may_wait(struct exchange *exchange)
{
    return h1_conn_may_wait(http_of(exchange));
}

static int h1_check(struct exchange *exchange)
{
    return h1_conn_check(http_of(exchange));
}

static int h1_failure(const struct exchange *exchange)
{
    return http_of(exchange)->error;
}

static void h1_cut_writer(struct exchange *exchange, bool on)
{
    struct h1_conn *http = http_of(exchange);
    http->work->cut = on; /* else its wait would go on: see h1_conn_wait() */
    if (on && http->conn.io.writer)
        task_wake(http->conn.io.writer, -ECANCELED);
}

static struct tepal_task *h1_slow_reader(const struct exchange *exchange, double *rate)
{
    enum { SLOW_MS = 1000 }; /* a client that was waited for for less is not slow */
    const struct body_reader *body = &h1_of(exchange)->body;
    struct tepal_task *reader = body->http->conn.io.reader;
    if (!reader || !reader->waiting)
        return NULL;
    int64_t ms = body->waited_ms + loop_current->now - reader->waits_since;
    if (ms < SLOW_MS)
        return NULL;
    *rate = (double)body->received / (double)ms;
    return reader;
}

static uint64_t h1_received(const struct exchange *exchange)
{
    const struct h1_exchange *x = h1_of(exchange);
    return x->head.pos + x->body.received;
}

static void h1_local(const struct exchange *exchange, struct addr_peer *out)
{
    struct addr addr = { .len = sizeof(addr.storage) };
    *out = (struct addr_peer){ .family = AF_UNIX };
    if (getsockname(http_of(exchange)->conn.io.fd, &addr.sa, &addr.len) == 0)
        *out = addr_to_peer(&addr);
}

static bool h1_has(const struct exchange *exchange, const void *text)
{
    const struct h1_conn *http = http_of(exchange);
    return http->in && (uintptr_t)text - (uintptr_t)http->in < http->in_cap;
}

/* --- The exchange ----------------------------------------------------------------------------- */

static const struct exchange_ops h1_ops = {
    .read = h1_read,
    .send = h1_response_send,
    .begin = h1_response_begin,
    .write = h1_response_write,
    .end = h1_response_end,
    .break_off = h1_response_break_off,
    .failure = h1_failure,
    .cut_writer = h1_cut_writer,
    .may_wait = h1_may_wait,
    .check = h1_check,
    .look = h1_look,
    .is_half_closed = h1_is_half_closed,
    .slow_reader = h1_slow_reader,
    .received = h1_received,
    .local = h1_local,
    .has = h1_has,
};

struct h1_exchange *h1_exchange_new(struct connection *connection)
{
    struct server *server = connection->server;
    struct h1_ways *ways = server->h1;
    size_t fields_size = ways->head_limits.max_fields * sizeof(struct message_field);
    struct exchange *exchange = exchange_open(server, sizeof(struct h1_exchange) + fields_size);
    if (!exchange)
        return NULL;
    struct h1_exchange *x = h1_of(exchange);
    tepal_req *req = exchange->req;
    *exchange = (struct exchange){
        .ops = &h1_ops,
        .message = &x->head.message,
        .req = req,
        .task = connection->task,
        .peer = &connection->peer,
        .scheme = "http", /* no connection carries TLS yet: whatever is served here is plain */
    };
    x->connection = connection;
    h1_head_init(&x->head, false, (struct message_field *)(x + 1));
    x->head.known_host = &ways->known_host;
    x->continued = x->chunked = x->until_close = x->no_content = false;
    return x;
}

int h1_exchange_begin(struct h1_exchange *x, uint32_t len)
{
    struct h1_conn *http = &x->connection->http;
    struct h1_head *head = &x->head;
    /* The terminators go over delimiters inside the head, which nobody needs any more. */
    head->message.data = http->in + http->in_start;
    h1_head_terminate(head, http->in + http->in_start);
    h1_conn_pin_head(http, len);
    body_reader_init(&x->body, http, head);
    int rc = message_take_target(&head->message, head->odd_target);
    /* CONNECT: who hopes for a tunnel may send its octets before the answer; they are no
     * requests. */
    if (UNLIKELY(head->message.uri.path_len == 0))
        head->keep_alive = false;
    return -rc;
}

/* Text in place of a head whose target is not known: the method if it is, and "/". */
static void stand_in(struct h1_exchange *x)
{
    static const char nothing[] = "UNKNOWN\0/";
    struct message *message = &x->head.message;
    uint32_t len = message->method_len;
    char *text = len > 0 ? exchange_alloc(&x->base, len + sizeof("\0/")) : NULL;
    if (text) {
        memcpy(text, message_method(message), len);
        memcpy(text + len, "\0/", sizeof("\0/"));
    }
    message->data = text ? text : nothing;
    message->method = 0;
    message->method_len = text ? len : 7;
    message->target = message->method_len + 1;
    message->target_len = 1;
}

int h1_exchange_refuse(struct h1_exchange *x, int status)
{
    struct h1_conn *http = &x->connection->http;
    struct h1_head *head = &x->head;
    struct message *message = &head->message;
    char *in = http->in ? http->in + http->in_start : NULL;
    x->body = (struct body_reader){ .http = http, .done = true };
    /* A field that was refused is in the index, but not among the fields. */
    for (size_t id = 0; id < HTTP_FIELD_COUNT; id++)
        if (message->known[id] > message->n_fields)
            message->known[id] = 0;
    head->framing = H1_BODY_NONE;
    message->content_length = 0;
    head->has_content_length = head->keep_alive = head->expect_continue = head->upgrade = false;
    message->data = in ? in : "";
    if (head->stage == H1_START_LINE) {
        message->version = 10;
        x->base.unread =
            (tepal_bytes){ .data = message->data, .len = http->in_end - http->in_start };
    }
    if (message->target_len == 0)
        stand_in(x);
    else
        h1_head_terminate(head, in);
    return status;
}
