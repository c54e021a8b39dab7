/* The test client: the real server on one end of a connection, and on the other a client that runs the
 * loop until it has what it waits for. */
#include "async/offload.h"
#include "async/task.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/chunk.h"
#include "http/h1_parse.h"
#include "http/field.h"
#include "web/application.h"
#include "web/serve.h"
#include "web/server.h"
#include "web/testpeer.h"

#include <tepal/inspect.h>
#include <tepal/testing.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_REPLY = 256 * 1024 * 1024, MAX_FIELDS = 255, READ_SIZE = 64 * 1024 };

/* How long, in real time, a reply may be waited for that is never whole, and something from outside. */
enum { PATIENCE_MS = 60 * 1000, MOST_TURNS = 20 * 1000 };

struct kept_reply {
    tepal_testreply reply; /* first: what the user holds */
    struct kept_reply *next;
    json_t *json;
    size_t head_at; /* where the final head begins in raw */
    struct h1_head head;
    struct h1_field fields[MAX_FIELDS];
    char *values; /* a copy of raw from there on, with terminated fields */
};

struct tepal_testclient {
    struct loop loop;
    tepal_app *app;
    int fd;                     /* of the client's end; -1: not connected */
    struct closed_peer *closed; /* its earlier ends */
    struct buf in;              /* received and not yet part of a reply */
    bool at_end;                /* the server has closed */
    bool no_memory;             /* to receive what it has sent */
    struct kept_reply *replies;
};

/* --- Running the loop until something is done ------------------------------------------------- */

struct step {
    int (*fn)(tepal_testclient *client);
    tepal_testclient *client;
    int result;
    bool done;
};

static int run_step(void *arg)
{
    struct step *step = arg;
    step->result = step->fn(step->client);
    step->done = true;
    return 0;
}

/* Runs fn as a task of the loop until it has returned. */
static int run_task(tepal_testclient *client, int (*fn)(tepal_testclient *))
{
    struct step step = { .fn = fn, .client = client };
    struct tepal_task *task = task_new(&client->loop, run_step, &step, "test client", 0);
    if (!task)
        return -ENOMEM;
    task_start(&client->loop, task);
    while (!step.done) {
        testpeer_answer(&client->closed);
        loop_turn(&client->loop, true);
    }
    return step.result;
}

static tepal_run_options test_options(const tepal_run_options *options)
{
    tepal_run_options out = options ? *options : (tepal_run_options){ 0 };
    out.path = NULL;
    out.host = NULL;
    out.port = 0;
    out.sites = NULL;
    out.n_sites = 0;
    out.access_log.off = !out.access_log.format;
    return out;
}

struct start {
    tepal_app *app;
    tepal_run_options options;
    int result;
    bool done;
};

static int start_app(void *arg)
{
    struct start *start = arg;
    start->result = serve_open(start->app, &start->options);
    start->done = true;
    return 0;
}

tepal_testclient *tepal_testclient_new(tepal_app *app, const tepal_run_options *options)
{
    tepal_testclient *client = mem_zalloc(sizeof(*client));
    if (!client)
        return NULL;
    struct start start = { .app = app, .options = test_options(options), .result = -ENOMEM };
    int rc = loop_open(&client->loop, start.options.stack_size);
    if (rc < 0) {
        tepal_logf(TEPAL_LOG_ERROR, "no test client: %s",
                   rc == -EBUSY ? "this thread has one that is not closed, or runs a loop"
                                : tepal_code_text(rc));
        mem_free(client);
        return NULL;
    }
    client->app = app;
    tepal_clock_fake();
    client->fd = -1;
    buf_init(&client->in, MAX_REPLY);
    struct tepal_task *task = task_new(&client->loop, start_app, &start, "test client", 0);
    if (task) {
        task_start(&client->loop, task);
        while (!start.done)
            loop_turn(&client->loop, true);
    }
    if (start.result < 0) {
        loop_finish(&client->loop);
        loop_close(&client->loop);
        mem_free(client);
        return NULL;
    }
    return client;
}

static int stop_app(tepal_testclient *client)
{
    serve_close(client->app);
    return 0;
}

static void free_replies(tepal_testclient *client)
{
    while (client->replies) {
        struct kept_reply *kept = client->replies;
        client->replies = kept->next;
        json_decref(kept->json);
        mem_free((char *)(uintptr_t)kept->reply.raw.data);
        mem_free((char *)(uintptr_t)kept->reply.body.data);
        mem_free(kept->values);
        mem_free(kept);
    }
}

void tepal_testclient_close(tepal_testclient *client)
{
    if (!client)
        return;
    tepal_testclient_disconnect(client);
    if (run_task(client, stop_app) < 0)
        misuse("tepal_testclient_close", "no memory to stop the application");
    testpeer_clear(&client->closed);
    loop_finish(&client->loop);
    loop_close(&client->loop);
    free_replies(client);
    mem_free(client);
}

/* --- The connection --------------------------------------------------------------------------- */

static int connect_client(tepal_testclient *client)
{
    if (client->fd >= 0)
        return 0;
    int fd = testpeer_open(client->app->server);
    if (fd < 0)
        return fd;
    client->fd = fd;
    client->at_end = false;
    return 0;
}

static bool receive_some(tepal_testclient *client);

/* Lets everything happen that takes no time. A task that never waits is left at it after a while. */
static void let_happen(tepal_testclient *client)
{
    for (int left = MOST_TURNS; left > 0; left--)
        if (!receive_some(client) && !testpeer_answer(&client->closed) &&
            !loop_turn(&client->loop, false))
            return;
}

void tepal_testclient_disconnect(tepal_testclient *client)
{
    if (client->fd < 0)
        return;
    testpeer_close(&client->closed, client->fd);
    client->fd = -1;
    buf_clear(&client->in);
    let_happen(client);
}

void tepal_testclient_shutdown(tepal_testclient *client)
{
    if (client->fd >= 0)
        shutdown(client->fd, SHUT_WR);
}

/* Reads what the server has sent. Returns whether there was something new. */
static bool receive_some(tepal_testclient *client)
{
    if (client->fd < 0 || client->at_end)
        return false;
    if (buf_reserve(&client->in, READ_SIZE) < 0) {
        client->no_memory = true;
        return false;
    }
    ssize_t n = recv(client->fd, client->in.data + client->in.len, READ_SIZE, 0);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0)
        client->at_end = true;
    else
        client->in.len += (size_t)n;
    return true;
}

/* Whether a task waits for what is neither the clock's nor this client's. */
static bool waits_for_others(const tepal_testclient *client)
{
    const struct loop *loop = &client->loop;
    if (offload_is_busy(loop) || loop->n_outside > 0)
        return true;
    for (const struct list *node = loop->tasks.next; node != &loop->tasks; node = node->next) {
        const struct tepal_task *task = CONTAINER_OF(node, struct tepal_task, in_loop);
        if (task->waiting && task->waits_fd >= 0 &&
            !server_has_socket(client->app->server, task->waits_fd))
            return true;
    }
    return false;
}

/* Lets the next thing happen; on the fake clock that is the next timer. Returns 0, or -EDEADLK when
 * nothing can happen any more, and then says what all tasks wait for. */
static int wait_for_next(tepal_testclient *client)
{
    struct loop *loop = &client->loop;
    if (testpeer_answer(&client->closed) || loop_turn(loop, false))
        return 0;
    struct pollfd poller = { .fd = loop->poller.fd, .events = POLLIN };
    if (loop_next_us(loop) != INT64_MAX ||
        (waits_for_others(client) && poll(&poller, 1, PATIENCE_MS) > 0)) {
        loop_turn(loop, true);
        return 0;
    }
    tepal_log(TEPAL_LOG_ERROR, "test client: no reply can come any more; what all tasks wait for:");
    tepal_dump_tasks(NULL, NULL);
    return -EDEADLK;
}

int tepal_testclient_send(tepal_testclient *client, const void *data, size_t len)
{
    const char *p = data;
    int rc = connect_client(client);
    while (rc == 0 && len > 0) {
        ssize_t n = send(client->fd, p, len, MSG_NOSIGNAL);
        if (n >= 0) {
            p += n;
            len -= (size_t)n;
        } else if (errno != EAGAIN) {
            rc = -errno;
        }
        /* Let the server read, and do not let it wait for us. */
        let_happen(client);
        if (n < 0 && rc == 0)
            rc = wait_for_next(client);
    }
    return rc;
}

void tepal_testclient_advance(tepal_testclient *client, int64_t ms)
{
    struct loop *loop = &client->loop;
    int64_t now = loop_clock_us(loop);
    int64_t end = ms < (INT64_MAX - now) / 1000 ? now + ms * 1000 : INT64_MAX - 1;
    while (true) {
        let_happen(client);
        int64_t next = loop_next_us(loop);
        if (next > end)
            break;
        loop_move_fake_clock(loop, next);
    }
    loop_move_fake_clock(loop, end);
}

/* --- Replies ---------------------------------------------------------------------------------- */

/* Where the body of the head ends in data[0..len), and the decoded body; 0 when more is to come, -1
 * when it is malformed. */
static long body_end(struct kept_reply *kept, const char *data, size_t len, size_t head_len,
                     bool at_end, struct buf *body)
{
    const char *in = data + head_len;
    size_t left = len - head_len;
    buf_clear(body);
    switch (kept->head.framing) {
    case H1_BODY_LENGTH:
        if (left < kept->head.content_length)
            return 0;
        left = (size_t)kept->head.content_length;
        break;
    case H1_BODY_UNTIL_CLOSE:
        if (!at_end)
            return 0;
        break;
    case H1_BODY_CHUNKED: {
        struct chunk_decoder decoder = { 0 };
        const struct chunk_limits limits = { 8192, 32768, MAX_FIELDS };
        struct chunk_step step;
        int rc = 0;
        while (rc == 0 && left > 0) {
            rc = chunk_decode(&decoder, in, left, &limits, &step);
            if (rc < 0 || buf_append(body, step.data, step.len) < 0)
                return -1;
            in += step.used;
            left -= step.used;
        }
        return rc == 1 ? in - data : 0;
    }
    default:
        left = 0;
    }
    return buf_append(body, in, left) < 0 ? -1 : (long)(head_len + left);
}

/* Tries to make a reply of what has been received. Returns its length, 0 when more is needed, or
 * -1. */
static long parse_reply(tepal_testclient *client, struct kept_reply *kept, const char *method,
                        struct buf *body)
{
    const struct h1_limits limits = { 64 * 1024, 1024 * 1024, MAX_FIELDS };
    const char *data = client->in.data;
    size_t at = 0;
    while (client->in.len > at) {
        h1_head_init(&kept->head, true, kept->fields);
        long head_len = h1_parse(&kept->head, data + at, client->in.len - at, &limits);
        if (head_len <= 0)
            return head_len < 0 ? -1 : 0;
        h1_response_to(&kept->head, method);
        kept->head_at = at;
        if (kept->head.status >= 200) {
            long end = body_end(kept, data + at, client->in.len - at, (size_t)head_len,
                                client->at_end, body);
            return end <= 0 ? end : (long)at + end;
        }
        at += (size_t)head_len; /* 1xx: interim */
    }
    return 0;
}

/* Takes the first len octets of the input as the raw octets of the reply. */
static int take_raw(tepal_testclient *client, struct kept_reply *kept, size_t len)
{
    char *raw = mem_strndup(len ? client->in.data : "", len);
    if (!raw)
        return -ENOMEM;
    kept->reply.raw = (tepal_bytes){ .data = raw, .len = len };
    if (len > 0)
        memmove(client->in.data, client->in.data + len, client->in.len - len);
    client->in.len -= len;
    return 0;
}

static int64_t real_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Runs the loop until a reply is whole. Returns its length, or why there is none. */
static long wait_for_reply(tepal_testclient *client, struct kept_reply *kept, const char *method,
                           struct buf *body)
{
    int64_t until = real_ms() + PATIENCE_MS;
    client->no_memory = false;
    while (true) {
        long len = parse_reply(client, kept, method, body);
        if (len != 0)
            return len > 0 ? len : TEPAL_EMESSAGE;
        if (client->at_end || client->fd < 0)
            return TEPAL_ECLOSED;
        if (receive_some(client))
            continue;
        if (client->no_memory)
            return -ENOMEM;
        if (real_ms() > until) {
            tepal_log(TEPAL_LOG_ERROR,
                      "test client: a minute has passed, and the reply has no end");
            return -ETIMEDOUT;
        }
        int rc = wait_for_next(client);
        if (rc < 0)
            return rc;
    }
}

tepal_testreply *tepal_testclient_receive(tepal_testclient *client, const char *method)
{
    struct kept_reply *kept = mem_zalloc(sizeof(*kept));
    struct buf body;
    if (!kept)
        return NULL;
    kept->next = client->replies;
    client->replies = kept;
    buf_init(&body, MAX_REPLY);
    long len = wait_for_reply(client, kept, method, &body);
    if (len > 0)
        kept->reply.status = kept->head.status;
    else
        kept->reply.error = (int)len;
    if (len == -ENOMEM || take_raw(client, kept, len > 0 ? (size_t)len : client->in.len) < 0) {
        buf_clear(&body);
        return NULL;
    }
    kept->reply.body.len = body.len;
    kept->reply.body.data = mem_strndup(body.len ? body.data : "", body.len);
    buf_clear(&body);
    let_happen(client);
    kept->reply.closed = client->at_end;
    if (client->at_end && client->in.len == 0)
        tepal_testclient_disconnect(client);
    return kept->reply.body.data ? &kept->reply : NULL;
}

static int build_request(struct buf *out, const char *method, const char *target,
                         const char *const *headers, const char *body)
{
    int rc = buf_printf(out, "%s %s HTTP/1.1\r\nHost: test\r\n", method, target);
    for (; headers && *headers && rc == 0; headers++)
        rc = buf_printf(out, "%s\r\n", *headers);
    if (rc == 0 && body)
        rc = buf_printf(out, "Content-Length: %zu\r\n", strlen(body));
    if (rc == 0)
        rc = buf_append_str(out, "\r\n");
    return rc == 0 && body ? buf_append_str(out, body) : rc;
}

tepal_testreply *tepal_testclient_request(tepal_testclient *client, const char *method,
                                          const char *target, const char *const *headers,
                                          const char *body)
{
    struct buf request;
    buf_init(&request, MAX_REPLY);
    int rc = build_request(&request, method, target, headers, body);
    if (rc == 0)
        tepal_testclient_send(client, request.data,
                              request.len); /* a refusal may come before all is sent */
    buf_clear(&request);
    return rc == 0 ? tepal_testclient_receive(client, method) : NULL;
}

tepal_testreply *tepal_testclient_get(tepal_testclient *client, const char *target)
{
    return tepal_testclient_request(client, "GET", target, NULL, NULL);
}

tepal_testreply *tepal_testclient_post(tepal_testclient *client, const char *target,
                                       const char *content_type, const char *body)
{
    char field[256] = "Content-Type: ";
    strncat(field, content_type, sizeof(field) - 16);
    const char *const headers[] = { field, NULL };
    return tepal_testclient_request(client, "POST", target, headers, body);
}

const char *tepal_testreply_header(const tepal_testreply *reply, const char *name)
{
    struct kept_reply *kept = (struct kept_reply *)(uintptr_t)reply;
    if (reply->status == 0)
        return NULL;
    if (!kept->values) {
        kept->values = mem_strndup(reply->raw.data + kept->head_at, reply->raw.len - kept->head_at);
        if (!kept->values)
            return NULL;
        h1_head_terminate(&kept->head, kept->values);
    }
    for (size_t i = 0; i < kept->head.n_fields; i++)
        if (http_same_name(kept->values + kept->fields[i].name, kept->fields[i].name_len, name,
                           strlen(name)))
            return kept->values + kept->fields[i].value;
    return NULL;
}

json_t *tepal_testreply_json(tepal_testreply *reply)
{
    struct kept_reply *kept = (struct kept_reply *)reply;
    if (!kept->json)
        kept->json = json_loadb(reply->body.data, reply->body.len, JSON_DECODE_ANY, NULL);
    return kept->json;
}
