/* The loop of a connection: head, response, and again. While nothing has been asked there is
 * neither a task nor a buffer, only a struct connection that the poller and a timer know. */
#include "web/connection.h"

#include "async/task.h"
#include "base/mem.h"
#include "web/access_log.h"
#include "web/partial_head.h"
#include "web/request.h"
#include "web/short_answer.h"

#include <errno.h>

/* A client that always has more to send must leave the others their turn: after so many requests of
 * one connection, and so many reads of what is only dropped. */
enum { REQUESTS_AT_ONCE = 32, READS_AT_ONCE = 16 };

/* What becomes of a connection after a step. */
enum outcome {
    OUTCOME_NEXT,   /* the next request */
    OUTCOME_WAIT,   /* until more octets come; without a task */
    OUTCOME_CLOSE,  /* now */
    OUTCOME_LINGER, /* after what the client still sends has been read and dropped */
};

static void on_waiting(struct io *io);

static void set_deadline(struct connection *c, int64_t timeout_ms)
{
    c->deadline = loop_time_after(c->server->loop->now, timeout_ms);
    /* A timer that comes too early looks again; only one that would come too late is moved. */
    if (c->deadline != TEPAL_NEVER && (!timer_is_set(&c->timer) || c->timer.at > c->deadline))
        timer_set(&c->server->loop->timers, &c->timer, c->deadline);
}

static void destroy(struct connection *c)
{
    struct server *server = c->server;
    timer_cancel(&c->timer);
    list_remove(&c->node);
    conn_close(&c->http);
    partial_head_free(c->partial);
    mem_free(c);
    server_detached(server);
}

/* What the request has set is gone with it. */
static void reset_locals(struct tepal_task *task, struct local *locals)
{
    locals_drop(task->locals);
    task->locals = locals_share(locals);
}

/* --- A request -------------------------------------------------------------------------------- */

/* Reads until the head is complete. Returns its length; 0 when the rest has to be waited for;
 * a negative HTTP status; or TEPAL_ECLOSED, or another error of the connection, below -1000. */
static long read_head(struct connection *c, tepal_req *req)
{
    struct http_conn *http = &c->http;
    while (true) {
        req->data = http->in ? http->in + http->in_start : "";
        long rc = http->in_start < http->in_end
                      ? h1_parse(&req->head, req->data, http->in_end - http->in_start,
                                 &c->server->head_limits)
                      : 0;
        if (rc != 0)
            return rc;
        ssize_t n = conn_try_fill(http);
        if (n == -EAGAIN)
            return 0;
        if (n == -ENOBUFS)
            return -431;
        if (n <= 0)
            return TEPAL_ECLOSED;
    }
}

/* Whether something of a request may be had at once. */
static bool has_input(const struct connection *c)
{
    const struct http_conn *http = &c->http;
    return http->in_start < http->in_end || (http->stream.io.state & IO_READ) || c->partial;
}

/* Puts aside what has come of a head (NULL: nothing), and begins to count its time. */
static enum outcome wait_for_head(struct connection *c, const struct h1_head *head)
{
    struct http_conn *http = &c->http;
    if (conn_flush(http) < 0)
        return OUTCOME_CLOSE;
    bool begun = head && http->in_start < http->in_end;
    if (begun && partial_head_keep(&c->partial, http, head) < 0)
        return OUTCOME_CLOSE;
    if (!begun)
        set_deadline(c, c->server->options.keepalive_timeout_ms);
    else if (!c->in_head)
        set_deadline(c, c->server->options.head_timeout_ms);
    c->in_head = begun;
    /* More may have come while the output went. */
    return http->stream.io.state & IO_READ ? OUTCOME_NEXT : OUTCOME_WAIT;
}

/* After the response: whether, and how, the connection goes on. */
static enum outcome after_response(struct connection *c, tepal_req *req, int rc)
{
    struct http_conn *http = &c->http;
    if (rc == 1 && !req->body.done) {
        int64_t before = tepal_deadline_in(c->server->options.lingering_timeout_ms);
        rc = body_drop(&req->body, c->server->options.max_unread_body) == 1;
        tepal_deadline_restore(before);
    }
    if (rc == 1)
        return OUTCOME_NEXT;
    if (conn_flush(http) < 0 || rc < 0)
        return OUTCOME_CLOSE;
    /* A close while octets of the client are unread would be a reset, and could take the response
     * with it (RFC 9112 section 9.6). */
    bool unread = !req->body.done || req->refused || http->in_start < http->in_end ||
                  (http->stream.io.state & IO_READ);
    return unread ? OUTCOME_LINGER : OUTCOME_CLOSE;
}

static enum outcome respond(struct connection *c, tepal_req *req)
{
    struct server *server = c->server;
    if (server->access_log)
        req->start_us = loop_clock_us(server->loop);
    c->in_head = false;
    c->n_requests++;
    c->task->describe_arg = req;
    tepal_res *res = dispatch(req);
    int rc = response_send(res);
    if (server->access_log)
        access_log_write(server->access_log, req, req->sending ? req->sending : res, rc);
    enum outcome outcome = after_response(c, req, rc);
    c->task->describe_arg = NULL;
    return outcome;
}

/* One request, if it is there. */
static enum outcome serve_one(struct connection *c)
{
    tepal_req *req = request_new(c);
    if (!req)
        return OUTCOME_CLOSE;
    enum outcome outcome;
    long rc = partial_head_restore(&c->partial, &c->http, &req->head);
    if (rc == 0)
        rc = read_head(c, req);
    if (rc == 0) {
        outcome = wait_for_head(c, &req->head);
    } else if (rc < -1000 || rc == -ENOMEM) {
        conn_flush(&c->http); /* who sends no more may still wait for what was asked before */
        outcome = OUTCOME_CLOSE;
    } else {
        if (rc > 0) {
            conn_pin_head(&c->http, (uint32_t)rc);
            body_reader_init(&req->body, &c->http, &req->head);
            request_head_complete(req);
        } else {
            request_refuse(req, (int)-rc);
        }
        outcome = respond(c, req);
    }
    request_free(req);
    if (UNLIKELY(c->task->locals != c->server->locals))
        reset_locals(c->task, c->server->locals);
    conn_unpin_head(&c->http);
    return outcome;
}

/* --- The states of a connection --------------------------------------------------------------- */

/* Closing with an unread client: what it sends is dropped until it ends or the time is over. */
static void on_lingering(struct io *io)
{
    struct connection *c = CONTAINER_OF(io, struct connection, http.stream.io);
    ssize_t n;
    int left = READS_AT_ONCE;
    do {
        c->http.in_start = c->http.in_end = 0;
        n = conn_try_fill(&c->http);
    } while (n > 0 && --left > 0);
    if (n <= 0 && n != -EAGAIN) {
        destroy(c);
        return;
    }
    conn_release_input(&c->http);
    if (n > 0) /* goes on in on_timer() */
        timer_set(&c->server->loop->timers, &c->timer, c->server->loop->now);
}

static void linger(struct connection *c)
{
    struct io *io = &c->http.stream.io;
    if (c->server->closing || c->http.stream.ops->shutdown(&c->http.stream) < 0) {
        destroy(c);
        return;
    }
    io->fn = on_lingering;
    c->in_head = false;
    set_deadline(c, c->server->options.lingering_timeout_ms);
    on_lingering(io);
}

/* A task is at work: whoever waits on the stream goes on, and when the client has gone for good the
 * work is cancelled. */
static void on_working(struct io *io)
{
    struct connection *c = CONTAINER_OF(io, struct connection, http.stream.io);
    stream_on_event(io);
    if (UNLIKELY(io->state & IO_HUP))
        task_cancel(c->task);
}

/* Whether another request may begin: not at the end of the server, but for one whose head has
 * begun, and not when the client or the time of the server is gone. */
static bool may_go_on(const struct connection *c)
{
    return !c->task->cancelled && !(c->server->closing && !c->in_head && !c->partial);
}

/* The task of a connection that has something to read. */
static int work(void *arg)
{
    struct connection *c = arg;
    c->task = c->server->loop->current;
    c->task->locals = locals_share(c->server->locals);
    c->task->before_wait = conn_flush_some;
    c->task->before_wait_arg = &c->http;
    c->task->describe = request_describe;
    c->http.stream.io.fn = on_working;
    if (UNLIKELY(c->http.stream.io.state & IO_HUP)) /* it asked, and went: see on_working() */
        task_cancel(c->task);
    enum outcome outcome;
    unsigned n = 0;
    do {
        if (UNLIKELY(++n % REQUESTS_AT_ONCE == 0))
            tepal_sleep_ms(0);
        outcome = has_input(c) ? serve_one(c) : wait_for_head(c, NULL);
    } while (outcome == OUTCOME_NEXT && may_go_on(c));
    if (outcome == OUTCOME_NEXT)
        outcome = conn_flush(&c->http) < 0 ? OUTCOME_CLOSE : OUTCOME_LINGER;
    c->task->before_wait = NULL;
    c->task = NULL;
    if (outcome == OUTCOME_WAIT) {
        conn_release_input(&c->http);
        c->http.stream.io.fn = on_waiting;
        if (c->server->closing)
            destroy(c);
    } else if (outcome == OUTCOME_LINGER) {
        linger(c);
    } else {
        destroy(c);
    }
    return 0;
}

/* No task: the first octets of a request bring one. */
static void on_waiting(struct io *io)
{
    struct connection *c = CONTAINER_OF(io, struct connection, http.stream.io);
    struct loop *loop = c->server->loop;
    if (!(io->state & IO_READ))
        return;
    struct tepal_task *task = task_new(loop, work, c, "connection", 0);
    if (UNLIKELY(!task)) {
        destroy(c);
        return;
    }
    task_run(loop, task);
}

static void on_timer(struct timer *timer)
{
    struct connection *c = CONTAINER_OF(timer, struct connection, timer);
    if (c->task)
        return; /* set again when the connection waits again */
    if (c->server->loop->now < c->deadline) {
        timer_set(&c->server->loop->timers, timer, c->deadline);
        if (c->http.stream.io.fn == on_lingering && (c->http.stream.io.state & IO_READ))
            on_lingering(&c->http.stream.io);
        return;
    }
    if (c->in_head) /* RFC 9110 section 15.5.9: the client may try again */
        short_answer(c, 408);
    destroy(c);
}

int connection_open(struct server *server, int fd, const struct addr *peer)
{
    struct connection *c = mem_zalloc(sizeof(*c));
    if (!c)
        return -ENOMEM;
    int rc = conn_open(&c->http, fd, &server->conn_limits);
    if (rc < 0) {
        mem_free(c);
        return rc;
    }
    if (peer->sa.sa_family == AF_UNIX)
        c->http.stream.ops = &stream_unix_ops;
    c->server = server;
    c->peer = addr_to_peer(peer);
    c->http.stream.io.fn = on_waiting;
    timer_init(&c->timer, on_timer);
    list_append(&server->connections, &c->node);
    set_deadline(c, server->options.keepalive_timeout_ms);
    return 0;
}

void connection_end_gently(struct connection *c)
{
    if (!c->task)
        destroy(c);
}

void connection_cancel(struct connection *c)
{
    if (c->task)
        task_cancel(c->task);
    else
        destroy(c);
}
