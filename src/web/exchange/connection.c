/* The loop of a connection: head, response, and again. While nothing has been asked there is
 * neither a task nor a buffer, only a struct connection that the poller and a timer know. */
#include "web/exchange/connection.h"

#include "async/debug/inspect.h"
#include "async/task/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "web/exchange/partial_head.h"
#include "web/exchange/h1.h"
#include "web/exchange/user.h"
#include "web/exchange/short_answer.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* A client that always has more to send must leave the others their turn: after so many requests of
 * one connection, and so many reads of what is only dropped. */
enum { REQUESTS_AT_ONCE = 32, READS_AT_ONCE = 32, READ_SIZE = 8192 };

/* What becomes of a connection after a step. */
enum outcome {
    OUTCOME_NEXT,   /* the next request */
    OUTCOME_WAIT,   /* until more octets come; without a task */
    OUTCOME_CLOSE,  /* now */
    OUTCOME_LINGER, /* after what the client still sends has been read and dropped */
    OUTCOME_LATE,   /* the time of the head is over */
    OUTCOME_SHORT,  /* there is no memory for a request */
};

/* What there is of a connection while a task works on it. */
struct work {
    struct h1_conn_work http;
    struct h1_exchange *exchange; /* whose response is under way; or NULL */
};

static struct work *work_of(const struct connection *c)
{
    return CONTAINER_OF(c->http.work, struct work, http);
}

static void on_waiting(struct io *io);
static int work(void *arg);

static void set_deadline(struct connection *c, int64_t timeout_ms)
{
    c->deadline = loop_time_after(c->server->loop->now, timeout_ms);
    /* A timer that comes too early looks again; only one that would come too late is moved. */
    if (c->deadline != TEPAL_NEVER && (!timer_is_set(&c->timer) || c->timer.at > c->deadline))
        timer_set(&c->server->loop->timers, &c->timer, c->deadline);
}

/* Idle is who has no task, and no part of a head that would be lost: such a connection can be
 * closed to make room for another one. The list of the server has them in the order in which they
 * became so. */
static void become_idle(struct connection *c)
{
    struct server *server = c->server;
    if (c->idle)
        return;
    c->idle = true;
    list_remove(&c->node);
    list_append(&server->connections, &c->node);
    server->n_idle++;
    if (UNLIKELY(server->wants_room))
        server_may_accept(server);
}

static void end_idling(struct connection *c)
{
    struct server *server = c->server;
    if (!c->idle)
        return;
    c->idle = false;
    if (--server->n_idle == 0 && UNLIKELY(server_is_full(server)))
        server_no_more_room(server);
}

static NO_INLINE void destroy(struct connection *c)
{
    struct server *server = c->server;
    end_idling(c);
    timer_cancel(&c->timer);
    list_remove(&c->node);
    h1_conn_close(&c->http);
    partial_head_free(c->partial);
    mem_free(c);
    server_detached(server);
}

/* What the request has set is gone with it. */
static NO_INLINE void reset_locals(struct tepal_task *task, struct local *locals)
{
    locals_drop(task->locals);
    task->locals = locals_share(locals);
}

/* --- A request -------------------------------------------------------------------------------- */

/* Reads until the head is complete. Returns its length; 0 when the rest has to be waited for;
 * a negative HTTP status; or TEPAL_ECLOSED, or another error of the connection, below -1000. */
static long read_head(struct connection *c, struct h1_head *head)
{
    struct h1_conn *http = &c->http;
    while (true) {
        long rc = http->in_start < http->in_end
                      ? h1_parse(head, http->in + http->in_start, http->in_end - http->in_start,
                                 &c->server->h1->head_limits)
                      : 0;
        if (rc != 0)
            return rc;
        ssize_t n = h1_conn_try_fill(http);
        if (n == -EAGAIN)
            return 0;
        if (n == -ENOMEM)
            return -ENOMEM;
        if (n <= 0)
            return TEPAL_ECLOSED;
    }
}

/* Whether something of a request may be had at once. */
static bool has_input(const struct connection *c)
{
    const struct h1_conn *http = &c->http;
    return http->in_start < http->in_end || (http->conn.io.state & IO_READ) || c->partial;
}

/* Puts aside what has come of a head (NULL: nothing), and begins to count its time. One whose time
 * was over when the poller was last asked is late: all that had come by then is in. */
static enum outcome wait_for_head(struct connection *c, const struct h1_head *head)
{
    struct h1_conn *http = &c->http;
    if (LIKELY(http->out_len > 0))
        h1_conn_flush_here(http);
    if (UNLIKELY(!h1_conn_is_flushed(http)) && h1_conn_flush(http) < 0)
        return OUTCOME_CLOSE;
    bool begun = head && http->in_start < http->in_end;
    if (begun && c->in_head && loop_is_past(c->server->loop, c->deadline))
        return OUTCOME_LATE;
    if (begun && partial_head_keep(&c->partial, http, head) < 0)
        return OUTCOME_SHORT;
    if (!begun)
        set_deadline(c, c->server->options.limits.keepalive_timeout_ms);
    else if (!c->in_head)
        set_deadline(c, c->server->options.limits.head_timeout_ms);
    c->in_head = begun;
    /* More may have come while the output went. */
    return http->conn.io.state & IO_READ ? OUTCOME_NEXT : OUTCOME_WAIT;
}

/* The end of the connection behind a response. A close while octets of the client are unread, or
 * about to come, would be a reset, and could take the response with it (RFC 9112 section 9.6). */
static NO_INLINE enum outcome close_behind(struct connection *c, const struct h1_exchange *x)
{
    struct h1_conn *http = &c->http;
    if (h1_conn_flush(http) < 0)
        return OUTCOME_CLOSE;
    bool unread = !x->body.done || x->base.refused || http->in_start < http->in_end ||
                  (http->conn.io.state & IO_READ);
    return unread || h1_conn_is_untaken(http) ? OUTCOME_LINGER : OUTCOME_CLOSE;
}

/* After the response, which exchange_serve() has returned rc for: whether, and how, the connection
 * goes on. */
static inline enum outcome after_response(struct connection *c, struct h1_exchange *x, int rc)
{
    static const struct fate_facts broken = { .broken = true };
    enum fate fate = LIKELY(rc >= 0) ? h1_exchange_fate(x, rc == 0, false) : fate_of(&broken);
    if (LIKELY(fate == FATE_NEXT) || (fate == FATE_DRAIN && h1_exchange_drain(x)))
        return OUTCOME_NEXT;
    if (fate != FATE_CLOSE)
        return close_behind(c, x);
    h1_conn_flush(&c->http);
    return OUTCOME_CLOSE;
}

static inline enum outcome respond(struct connection *c, struct h1_exchange *x, int refused)
{
    struct work *work = work_of(c);
    c->in_head = false;
    c->n_requests++;
    work->exchange = x;
    int rc = exchange_serve(&x->base, refused);
    enum outcome outcome =
        UNLIKELY(rc == -ENOMEM) && !x->base.begun ? OUTCOME_SHORT : after_response(c, x, rc);
    work->exchange = NULL;
    return outcome;
}

/* One request, if it is there. */
static enum outcome serve_one(struct connection *c)
{
    struct h1_exchange *x = h1_exchange_new(c);
    if (!x)
        return OUTCOME_SHORT;
    enum outcome outcome;
    long rc = partial_head_restore(&c->partial, &c->http, &x->head);
    if (rc == 0)
        rc = read_head(c, &x->head);
    if (rc == 0) {
        outcome = wait_for_head(c, &x->head);
    } else if (rc == -ENOMEM) {
        outcome = OUTCOME_SHORT;
    } else if (rc < -1000) {
        h1_conn_flush(&c->http); /* who sends no more may still wait for what was asked before */
        outcome = OUTCOME_CLOSE;
    } else {
        int refused = rc > 0 ? h1_exchange_begin(x, (uint32_t)rc) : h1_exchange_refuse(x, (int)-rc);
        outcome = respond(c, x, refused);
    }
    exchange_close(&x->base);
    if (UNLIKELY(c->task->locals != c->server->locals))
        reset_locals(c->task, c->server->locals);
    h1_conn_unpin_head(&c->http);
    return outcome;
}

/* --- The end of the client -------------------------------------------------------------------- */

/* A client that has gone for good ends all that its request does. */
static void cancel_work(struct connection *c)
{
    struct h1_conn_work *work = c->http.work;
    struct tepal_task *writer = c->http.conn.io.writer;
    bool ended = work && work->peer_ended;
    if (work)
        work->peer_ended = false;
    task_cancel(c->task);
    /* A task of the request's group goes on writing to a client that has ended its side, although
     * it has been cancelled. */
    if (ended && writer && writer != c->task)
        task_wake(writer, -ECANCELED);
}

void connection_look_for_end(struct connection *c)
{
    const struct io *io = &c->http.conn.io;
    struct h1_conn_work *work = c->http.work;
    struct h1_exchange *x = work ? work_of(c)->exchange : NULL;
    if (!x || x->base.shielded)
        return;
    if (io->state & IO_HUP) {
        cancel_work(c);
    } else if ((io->state & IO_EOF) && !work->peer_ended &&
               !c->server->options.limits.half_closed_clients && body_is_over(&x->body)) {
        work->peer_ended = true;
        task_cancel(c->task);
    }
}

/* Whether the client has reset the connection, as one that has gone does when it is written to. */
static bool was_reset(const struct connection *c)
{
    struct pollfd p = { .fd = c->http.conn.io.fd };
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP));
}

/* Behind a request whose client has ended its side: the requests that it sent before it did so are
 * served, unless it turns out to be gone. Returns whether to go on. */
static NO_INLINE bool go_on_after_end(struct connection *c)
{
    c->http.work->peer_ended = false;
    c->task->cancelled = false;
    c->task->n_refused_cancelled = 0;
    return h1_conn_flush(&c->http) == 0 && tepal_sleep_ms(0) == 0 && !was_reset(c);
}

/* --- The states of a connection --------------------------------------------------------------- */

/* While the server ends, a client that has taken its answer and says nothing more, or has never
 * said anything, is not waited for any longer than this. */
enum { QUIET_MS = 1000 };

/* Closing with an unread client: what it sends is dropped until it ends or the time is over. */
static void on_lingering(struct io *io)
{
    struct connection *c = CONTAINER_OF(io, struct connection, http.conn.io);
    char dropped[READ_SIZE];
    ssize_t n;
    int left = READS_AT_ONCE;
    do {
        n = io->state & IO_READ ? conn_try_read(&c->http.conn, dropped, sizeof(dropped)) : -EAGAIN;
        c->heard |= n > 0;
    } while (n > 0 && --left > 0);
    if (n <= 0 && n != -EAGAIN)
        destroy(c);
    else if (n > 0) /* goes on in on_timer() */
        timer_set(&c->server->loop->timers, &c->timer, c->server->loop->now);
}

static bool is_lingering(const struct connection *c)
{
    return c->http.conn.io.fn == on_lingering;
}

/* Looks at a client that lingers while the server ends. */
static void look_at_lingering(struct connection *c)
{
    int untaken = 0;
    bool taken = ioctl(c->http.conn.io.fd, SIOCOUTQ, &untaken) < 0 || untaken == 0;
    if (taken && !c->heard) {
        destroy(c);
        return;
    }
    c->heard = false;
    timer_set(&c->server->loop->timers, &c->timer, c->server->loop->now + QUIET_MS);
}

static NO_INLINE void linger(struct connection *c)
{
    struct io *io = &c->http.conn.io;
    struct server *server = c->server;
    h1_conn_release_input(&c->http);
    if (c->http.conn.ops->shutdown(&c->http.conn) < 0) {
        destroy(c);
        return;
    }
    io->fn = on_lingering;
    c->in_head = false;
    become_idle(c);
    set_deadline(c, server->cancelled ? QUIET_MS : server->options.limits.lingering_timeout_ms);
    if (server->closing)
        timer_set(&server->loop->timers, &c->timer, server->loop->now + QUIET_MS);
    on_lingering(io);
}

/* Ends a connection whose request cannot be served. */
static NO_INLINE void end_with(struct connection *c, int status)
{
    if (status == 503)
        server_note_shortage(c->server);
    short_answer(c, status);
    linger(c);
}

/* Nothing is under way. */
static void close_idle(struct connection *c)
{
    if (h1_conn_is_untaken(&c->http))
        linger(c);
    else
        destroy(c);
}

/* Nothing is under way, and the server ends. The first request of a connection may be: who was
 * accepted must not be turned away without an answer. */
static void end_idle(struct connection *c)
{
    if (c->n_requests > 0)
        close_idle(c);
    else if (c->deadline > loop_time_after(c->server->loop->now, QUIET_MS))
        set_deadline(c, QUIET_MS);
}

/* A task is at work: whoever waits on the stream goes on, and when the client has gone that is the
 * end of the work. */
static void on_working(struct io *io)
{
    struct connection *c = CONTAINER_OF(io, struct connection, http.conn.io);
    conn_on_event(io);
    /* What the system did not take when the task that wrote it began to wait for something else. */
    if (UNLIKELY(c->http.out_len > 0) && !io->writer && c->http.work)
        h1_conn_flush_some(&c->http);
    if (UNLIKELY(io->state & (IO_EOF | IO_HUP)))
        connection_look_for_end(c);
}

/* No task any more: the connection waits. */
static void wait_without_task(struct connection *c)
{
    h1_conn_release_input(&c->http);
    c->http.conn.io.fn = on_waiting;
    if (c->in_head)
        return;
    become_idle(c);
    if (UNLIKELY(c->server->closing))
        end_idle(c);
}

/* What else may become of it. */
static NO_INLINE void end_work(struct connection *c, enum outcome outcome)
{
    if (outcome == OUTCOME_LATE || outcome == OUTCOME_SHORT)
        end_with(c, outcome == OUTCOME_LATE ? 408 : 503);
    else if (outcome == OUTCOME_LINGER)
        linger(c);
    else
        destroy(c);
}

/* Serves the connection until it has to wait, or ends. */
static void serve(struct connection *c, struct tepal_task *task)
{
    struct work work = { 0 };
    c->http.work = &work.http;
    if (UNLIKELY(task->locals != c->server->locals))
        reset_locals(task, c->server->locals);
    task->before_wait = h1_conn_flush_some;
    task->before_wait_arg = &c->http;
    enum outcome outcome;
    bool has_more = true; /* what has come is why there is a task */
    for (unsigned n = 1;; n++) {
        outcome = has_more ? serve_one(c) : wait_for_head(c, NULL);
        if (outcome == OUTCOME_NEXT && UNLIKELY(work.http.peer_ended) && !go_on_after_end(c))
            outcome = OUTCOME_CLOSE;
        /* Not when the client, or the time of the server, is over. */
        if (outcome != OUTCOME_NEXT || task->cancelled)
            break;
        if (UNLIKELY(n % REQUESTS_AT_ONCE == 0))
            tepal_sleep_ms(0);
        has_more = has_input(c);
    }
    if (UNLIKELY(outcome != OUTCOME_WAIT)) {
        if (h1_conn_flush(&c->http) < 0)
            outcome = OUTCOME_CLOSE;
        else if (outcome == OUTCOME_NEXT)
            outcome = OUTCOME_LINGER;
    }
    task->before_wait = NULL;
    c->task = NULL;
    c->http.work = NULL;
    memory_end_work(&c->server->memory);
    if (LIKELY(outcome == OUTCOME_WAIT))
        wait_without_task(c);
    else
        end_work(c, outcome);
}

/* Sets a task to work on the connection: this one, which is done with another connection, or a new
 * one (NULL). Returns it; NULL: the connection has been refused. */
static struct tepal_task *begin_work(struct connection *c, struct tepal_task *task)
{
    struct server *server = c->server;
    bool counted = memory_begin_work(&server->memory);
    if (LIKELY(counted) && !task)
        task = task_new(server->loop, work, c, "connection", 0);
    if (UNLIKELY(!counted || !task)) {
        if (counted)
            memory_end_work(&server->memory);
        end_with(c, 503);
        return NULL;
    }
    c->task = task;
    c->http.conn.io.fn = on_working;
    end_idling(c);
    return task;
}

/* The connection that the poller would tell of next, if that has something to read and no task:
 * this one, which is done with another connection, is its task now. NULL if not. */
static struct connection *take_next(struct tepal_task *task)
{
    struct loop *loop = loop_current;
    struct io *io = NULL;
    while (LIKELY(task_is_as_new(loop, task)) &&
           (io = poller_take_next(&loop->poller, on_waiting))) {
        struct connection *c = CONTAINER_OF(io, struct connection, http.conn.io);
        if ((io->state & IO_READ) && begin_work(c, task))
            return c;
    }
    return NULL;
}

/* The task of a connection that has something to read, and of those that are next: to end a task
 * and to begin another one costs a tenth of a small request. */
static int work(void *arg)
{
    struct connection *c = arg;
    struct tepal_task *task = c->task;
    task->describe = request_describe;
    for (; c; c = take_next(task))
        serve(c, task);
    return 0;
}

/* No task: the first octets of a request bring one. */
static void on_waiting(struct io *io)
{
    struct connection *c = CONTAINER_OF(io, struct connection, http.conn.io);
    struct tepal_task *task = io->state & IO_READ ? begin_work(c, NULL) : NULL;
    if (LIKELY(task != NULL))
        task_run(c->server->loop, task);
}

/* Before a connection that waits is given up: whether something has come that the loop has not seen
 * yet. Then there is a task for it. */
static bool has_arrived(struct connection *c)
{
    char octet;
    if (recv(c->http.conn.io.fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN)
        return false;
    c->http.conn.io.state |= IO_READ;
    struct tepal_task *task = begin_work(c, NULL);
    if (task)
        task_start(c->server->loop, task);
    return true;
}

static void on_timer(struct timer *timer)
{
    struct connection *c = CONTAINER_OF(timer, struct connection, timer);
    if (c->task)
        return; /* set again when the connection waits again */
    if (c->server->loop->now < c->deadline) {
        if (c->deadline != TEPAL_NEVER)
            timer_set(&c->server->loop->timers, timer, c->deadline);
        if (is_lingering(c) && (c->http.conn.io.state & IO_READ))
            on_lingering(&c->http.conn.io);
        else if (is_lingering(c) && c->server->closing)
            look_at_lingering(c);
        return;
    }
    if (is_lingering(c))
        destroy(c);
    else if (has_arrived(c))
        return;          /* it was in time: the process was held */
    else if (c->in_head) /* RFC 9110 section 15.5.9: the client may try again */
        end_with(c, 408);
    else
        close_idle(c);
}

int connection_open(struct server *server, int fd, const struct addr *peer)
{
    struct connection *c = mem_zalloc(sizeof(*c));
    if (!c)
        return -ENOMEM;
    int rc = h1_conn_open(&c->http, fd, &server->h1->conn_limits);
    if (rc < 0) {
        mem_free(c);
        return rc;
    }
    if (peer->sa.sa_family == AF_UNIX)
        c->http.conn.ops = &conn_unix_ops;
    c->server = server;
    c->peer = addr_to_peer(peer);
    c->http.conn.io.fn = on_waiting;
    timer_init(&c->timer, on_timer);
    list_append(&server->connections, &c->node);
    become_idle(c);
    set_deadline(c, server->options.limits.head_timeout_ms);
    return 0;
}

bool connection_is_young(const struct connection *c)
{
    enum { YOUNG_MS = 1000 };
    int64_t came_at = c->deadline - c->server->options.limits.head_timeout_ms;
    return c->n_requests == 0 && !is_lingering(c) && c->server->loop->now < came_at + YOUNG_MS;
}

bool connection_make_room(struct connection *c)
{
    if (!c->idle || (!is_lingering(c) && has_arrived(c)))
        return false;
    destroy(c);
    return true;
}

void connection_end_gently(struct connection *c)
{
    if (is_lingering(c))
        look_at_lingering(c);
    else if (!c->task && !c->in_head && !has_arrived(c))
        end_idle(c);
}

void connection_cancel(struct connection *c)
{
    if (c->task)
        cancel_work(c);
    else
        destroy(c);
}

void connection_abandon(struct connection *c)
{
    char name[512];
    struct server *server = c->server;
    struct tepal_task *task = c->task;
    if (!task) {
        destroy(c);
        return;
    }
    inspect_name(task, name, sizeof(name));
    tepal_logf(TEPAL_LOG_ERROR, "task %s was cancelled and does not end: it is left as it is",
               name);
    c->task = NULL;
    task_abandon(server->loop, task);
    timer_cancel(&c->timer);
    list_remove(&c->node);
    conn_close(&c->http.conn);
    server_detached(server);
}
