/* The carrier's side: a message out of parts, and what passes between the request and the
 * client. */
#include "web/exchange/made.h"

#include "async/task/local.h"
#include "async/loop/loop.h"
#include "async/task/task.h"
#include "base/mem.h"
#include "http/octet.h"
#include "http/scan.h"
#include "web/server/server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct made_exchange {
    struct exchange base;
    struct message message;
    char *text; /* in which its offsets are, */
    size_t text_size;
    struct message_field *fields; /* and the memory of both */
    tepal_bytes piece;            /* that the client has given last */
    struct addr_peer peer;
    struct made_client *client;
    struct tepal_task *writer;  /* that waits for the client to take what it writes */
    uint64_t received, written; /* octets of content, each way */
    int failure;                /* why nothing can be read or written any more, or 0 */
    bool reading;               /* a task waits for the client's next piece */
    bool read_all;              /* the client has no more of the content */
};

static struct made_exchange *made_of(const struct exchange *exchange)
{
    return (struct made_exchange *)(uintptr_t)exchange;
}

/* --- The content of the request --------------------------------------------------------------- */

/* What the client has said of its content before must be true. */
static int count_content(struct made_exchange *x, int rc, size_t len)
{
    uint64_t announced = x->message.content_length;
    if (announced == TEPAL_UNKNOWN || rc < 0)
        return rc;
    if (rc == 0)
        return x->received < announced ? TEPAL_ECLOSED : 0;
    return len > announced - x->received ? TEPAL_EMESSAGE : rc;
}

static int read_on(struct made_exchange *x)
{
    x->reading = true;
    int rc = x->failure ? x->failure : x->client->read(x->client, &x->piece);
    x->reading = false;
    return count_content(x, x->failure ? x->failure : rc, x->piece.len);
}

static int made_read(struct exchange *exchange, tepal_bytes *piece)
{
    struct made_exchange *x = made_of(exchange);
    if (x->reading)
        return -EBUSY;
    if (x->read_all || exchange->body_error < 0)
        return exchange->body_error;
    x->piece = (tepal_bytes){ 0 };
    int rc = read_on(x);
    *piece = x->piece;
    if (rc > 0)
        x->received += piece->len;
    else if (rc == 0)
        x->read_all = true;
    else if (x->failure || !task_was_interrupted(rc))
        exchange->body_error = rc;
    return rc;
}

/* --- The response ----------------------------------------------------------------------------- */

/* What the client has answered. Who was only interrupted may try again. */
static int note_what_client_said(struct made_exchange *x, int rc)
{
    if (x->failure == 0 && rc < 0 && !task_was_interrupted(rc))
        x->failure = rc;
    return x->failure ? x->failure : rc;
}

static int made_begin(struct exchange *exchange, const struct response_head *head, bool reading)
{
    (void)reading;
    struct made_exchange *x = made_of(exchange);
    exchange->begun = true;
    exchange->keep_alive = !head->close;
    int rc = x->failure ? x->failure : note_what_client_said(x, x->client->head(x->client, head));
    if (rc < 0 && x->failure == 0)
        exchange->begun = false;
    return rc;
}

static int made_write(struct exchange *exchange, const void *data, size_t len)
{
    struct made_exchange *x = made_of(exchange);
    if (x->failure)
        return x->failure;
    x->writer = loop_current->current;
    int rc = note_what_client_said(x, x->client->write(x->client, data, len));
    x->writer = NULL;
    if (rc == 0)
        x->written += len;
    return rc;
}

static int made_send(struct exchange *exchange, const struct response_head *head,
                     tepal_bytes content)
{
    int rc = made_begin(exchange, head, false);
    if (rc == 0 && content.len > 0 && !head->bodiless)
        rc = made_write(exchange, content.data, content.len);
    return rc;
}

static int made_failure(const struct exchange *exchange)
{
    return made_of(exchange)->failure;
}

static int made_end(struct exchange *exchange)
{
    return made_failure(exchange);
}

static uint64_t made_break_off(struct exchange *exchange)
{
    return made_of(exchange)->written;
}

static void made_cut_writer(struct exchange *exchange, bool on)
{
    struct tepal_task *writer = made_of(exchange)->writer;
    if (on && writer)
        task_wake(writer, -ECANCELED);
}

/* --- The client ------------------------------------------------------------------------------- */

static int made_may_wait(struct exchange *exchange)
{
    (void)exchange;
    return task_may_wait(loop_current, loop_current->current);
}

static int made_check(struct exchange *exchange)
{
    (void)exchange;
    return task_check(loop_current, loop_current->current);
}

/* It tells by itself when it goes. */
static void made_look(struct exchange *exchange)
{
    (void)exchange;
}

static bool made_is_half_closed(const struct exchange *exchange)
{
    (void)exchange;
    return false;
}

static struct tepal_task *made_slow_reader(const struct exchange *exchange, double *rate)
{
    (void)exchange;
    (void)rate;
    return NULL;
}

static uint64_t made_received(const struct exchange *exchange)
{
    return made_of(exchange)->received;
}

static void made_local(const struct exchange *exchange, struct addr_peer *out)
{
    (void)exchange;
    *out = (struct addr_peer){ .family = AF_UNIX };
}

static bool made_has(const struct exchange *exchange, const void *text)
{
    const struct made_exchange *x = made_of(exchange);
    return (uintptr_t)text - (uintptr_t)x->text < x->text_size ||
           (uintptr_t)text - (uintptr_t)x->piece.data < x->piece.len;
}

static const struct exchange_ops made_ops = {
    .read = made_read,
    .send = made_send,
    .begin = made_begin,
    .write = made_write,
    .end = made_end,
    .break_off = made_break_off,
    .failure = made_failure,
    .cut_writer = made_cut_writer,
    .may_wait = made_may_wait,
    .check = made_check,
    .look = made_look,
    .is_half_closed = made_is_half_closed,
    .slow_reader = made_slow_reader,
    .received = made_received,
    .local = made_local,
    .has = made_has,
};

/* --- The message ------------------------------------------------------------------------------ */

/* Appends text with a NUL. Returns where it begins. */
static uint32_t put_part(struct made_exchange *x, const char *text, size_t len)
{
    uint32_t at = (uint32_t)x->text_size;
    memcpy(x->text + at, text, len);
    x->text[at + len] = '\0';
    x->text_size += len + 1;
    return at;
}

/* Memory for all of it. Returns 0 or -ENOMEM. */
static int allot_message(struct made_exchange *x, const struct made_request *request)
{
    size_t n = 0, size = strlen(request->method) + strlen(request->target) + sizeof("UNKNOWN\0/");
    for (const tepal_pair *pair = request->fields; pair && pair->name; pair++)
        if (pair->value) {
            n++;
            size += strlen(pair->name) + strlen(pair->value) + 2;
        }
    x->fields = mem_alloc(n * sizeof(*x->fields) + size);
    if (!x->fields)
        return -ENOMEM;
    x->text = (char *)(x->fields + n);
    x->message = (struct message){
        .data = x->text,
        .fields = x->fields,
        .version = (uint8_t)request->version,
    };
    return 0;
}

/* A method and a target, and the octets that they are as a line, in which limits count. */
struct first_line {
    tepal_bytes method, target;
    size_t len;
};

/* Returns 0, or the status that the line is refused with; then what is left of it is what HTTP/1's
 * parser has of such a line. */
static int check_first_line(struct first_line *line, size_t max)
{
    tepal_bytes *method = &line->method, *target = &line->target;
    size_t n = http_scan.target_end(target->data, target->len), whole = target->len;
    bool is_seen = method->len + 1 + n <= max; /* the end of what may be a target */
    if (!is_seen || (n < whole && target->data[n] != ' '))
        target->len = 0;
    else
        target->len = n;
    if (!http_is_token(method->data, method->len) || method->len >= max) {
        int status = method->len >= max ? 501 : 400;
        method->len = target->len = 0;
        return status;
    }
    if ((n < whole && is_seen) || whole == 0)
        return 400;
    return line->len > max ? 414 : 0;
}

/* The method and the target. Returns 0, or the status that they are refused with: nothing else is
 * looked at then. */
static int take_first_line(struct made_exchange *x, struct first_line *line, size_t max)
{
    struct message *message = &x->message;
    int refused = check_first_line(line, max);
    if (refused)
        message->version = 10;
    if (line->method.len == 0)
        line->method = (tepal_bytes){ .data = "UNKNOWN", .len = sizeof("UNKNOWN") - 1 };
    if (line->target.len == 0)
        line->target = (tepal_bytes){ .data = "/", .len = 1 };
    message->method = put_part(x, line->method.data, line->method.len);
    message->method_len = (uint32_t)line->method.len;
    message->target = put_part(x, line->target.data, line->target.len);
    message->target_len = (uint32_t)line->target.len;
    return refused;
}

static int take_field(struct made_exchange *x, const tepal_pair *pair)
{
    const char *value = pair->value;
    size_t name_len = strlen(pair->name), len = strlen(value);
    if (!http_is_token(pair->name, name_len) || !http_is_field_value(value, len))
        return 400;
    octet_trim(&value, &len);
    struct message_field *field = &x->fields[x->message.n_fields++];
    field->name = put_part(x, pair->name, name_len);
    field->name_len = (uint16_t)name_len;
    field->value = put_part(x, value, len);
    field->value_len = (uint32_t)len;
    return 0;
}

/* The fields up to the first that is refused. len: the octets of the head before them. Returns 0,
 * or a status. */
static int take_fields(struct made_exchange *x, const tepal_pair *pair, const tepal_limits *limits,
                       size_t len)
{
    int refused = 0;
    for (; pair && pair->name && refused == 0; pair++) {
        if (!pair->value)
            continue;
        size_t name_len = strlen(pair->name);
        len += name_len + strlen(pair->value) + sizeof(": \r\n") - 1;
        bool over = x->message.n_fields == limits->max_fields || len > limits->max_head;
        refused = over || name_len > UINT16_MAX ? 431 : take_field(x, pair);
    }
    message_know_fields(&x->message);
    return refused;
}

/* A Content-Length; -1 when it is none. */
static int64_t length_of(const struct message *message, const struct message_field *field)
{
    const char *value = message->data + field->value;
    int64_t n = 0;
    for (size_t i = 0; i < field->value_len; i++) {
        unsigned digit = (unsigned)(unsigned char)value[i] - '0';
        if (digit > 9 || n > (INT64_MAX - digit) / 10)
            return -1;
        n = n * 10 + digit;
    }
    return field->value_len > 0 ? n : -1;
}

/* How long the content is. Nothing is framed here, so nothing may say how. */
static int take_length(struct message *message, uint64_t length)
{
    uint16_t at = message->known[HTTP_FIELD_CONTENT_LENGTH];
    message->content_length = length;
    if (message->known[HTTP_FIELD_TRANSFER_ENCODING])
        return 400;
    if (at == 0)
        return 0;
    int64_t n = length_of(message, &message->fields[at - 1]);
    if (n < 0 || (length != TEPAL_UNKNOWN && length != (uint64_t)n))
        return 400;
    message->content_length = (uint64_t)n;
    return 0;
}

/* Returns 0, or the status that the request is refused with. */
static int take_message(struct made_exchange *x, const struct made_request *request,
                        const tepal_limits *limits)
{
    size_t max =
        limits->max_request_line < limits->max_head ? limits->max_request_line : limits->max_head;
    struct first_line line = {
        .method = { .data = request->method, .len = strlen(request->method) },
        .target = { .data = request->target, .len = strlen(request->target) },
    };
    line.len = line.method.len + line.target.len + sizeof("  HTTP/1.1") - 1;
    int refused = take_first_line(x, &line, max);
    if (refused == 0)
        refused = take_fields(x, request->fields, limits, line.len + sizeof("\r\n\r\n") - 1);
    if (refused == 0)
        refused = -message_check_fields(&x->message);
    if (refused == 0)
        refused = take_length(&x->message, request->content_length);
    if (refused == 0)
        refused = -message_take_target(&x->message, true);
    if (refused) {
        x->message.content_length = 0;
        x->read_all = true;
    }
    return refused;
}

/* --- Serving ---------------------------------------------------------------------------------- */

/* There is no memory for the request, or the head of its response. */
static int answer_shortly(struct server *server, struct made_client *client)
{
    struct response_field again = {
        .name = "Retry-After",
        .name_len = sizeof("Retry-After") - 1,
        .value = "1",
        .value_len = 1,
    };
    const struct response_head head = {
        .status = 503,
        .fields = &again,
        .last = &again,
        .has_length = true,
        .close = true,
    };
    server_note_shortage(server);
    return client->head(client, &head);
}

static struct made_exchange *made_new(struct server *server, const struct made_request *request,
                                      struct made_client *client)
{
    struct exchange *exchange = exchange_open(server, sizeof(struct made_exchange));
    if (!exchange)
        return NULL;
    struct made_exchange *x = made_of(exchange);
    *x = (struct made_exchange){
        .base = {
            .ops = &made_ops,
            .message = &x->message,
            .req = exchange->req,
            .task = loop_current->current,
            .peer = &x->peer,
            .scheme = request->scheme,
        },
        .peer = request->peer,
        .client = client,
        .read_all = !client->read,
    };
    return x;
}

/* Returns what exchange_serve() does. */
static int serve_message(struct made_exchange *x, const struct made_request *request,
                         const tepal_limits *limits, const struct exchange_call *call)
{
    int rc = allot_message(x, request);
    if (rc == 0) {
        int refused = take_message(x, request, limits);
        x->client->exchange = x;
        rc = call ? exchange_call(&x->base, refused, call) : exchange_serve(&x->base, refused);
    }
    return rc;
}

static int serve_made_exchange(struct server *server, const struct made_request *request,
                               struct made_client *client, const struct exchange_call *call)
{
    struct made_exchange *x = made_new(server, request, client);
    if (!x)
        return answer_shortly(server, client);
    int rc = serve_message(x, request, &server->options.limits, call);
    bool begun = x->base.begun;
    void *memory = x->fields;
    client->error = exchange_error(&x->base);
    client->exchange = NULL;
    exchange_close(&x->base);
    mem_free(memory);
    return rc == -ENOMEM && !begun ? answer_shortly(server, client) : rc;
}

/* The locals of the task are those that each request begins with. */
static void set_locals(struct tepal_task *task, struct local *locals)
{
    locals_drop(task->locals);
    task->locals = locals_share(locals);
}

int made_serve(struct server *server, const struct made_request *request,
               struct made_client *client, const struct exchange_call *call)
{
    struct tepal_task *task = task_need("made_serve");
    const char *name = task->name;
    if (!memory_begin_work(&server->memory))
        return answer_shortly(server, client);
    set_locals(task, server->locals);
    task->describe = request_describe;
    int rc = serve_made_exchange(server, request, client, call);
    task->describe = NULL;
    task->name = name;
    set_locals(task, server->locals);
    memory_end_work(&server->memory);
    return rc < 0 ? rc : 0;
}

void made_client_leave(struct made_client *client)
{
    struct made_exchange *x = client->exchange;
    if (!x || x->failure)
        return;
    x->failure = -ECONNRESET;
    if (!x->base.shielded)
        task_cancel(x->base.task);
}
