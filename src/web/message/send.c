/* Responses onto the connection: framing, head, body. The one place that decides where a response
 * ends (RFC 9112 section 6). */
#include "async/task.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/print.h"
#include "http/chunk.h"
#include "http/h1_write.h"
#include "http/status.h"
#include "web/message/mistake.h"
#include "web/text/printing.h"
#include "web/message/res_hooks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Bodies up to this size are copied behind the head; larger ones are written from where they
 * are. */
enum { MAX_COPIED_BODY = 4096 };

static struct h1_conn *http_of(const tepal_res *res)
{
    return &res->req->connection->http;
}

/* Whether the connection may be used again after this response, as far as is known before it.
 * early: the handler still runs, and may read the body. */
static bool may_keep_alive(tepal_res *res, bool early)
{
    tepal_req *req = res->req;
    const struct server *server = req->connection->server;
    if (res->close || req->refused || !req->head.keep_alive || server->closing ||
        req->connection->n_requests >= server->options.limits.max_requests)
        return false;
    struct body_reader *body = &req->body;
    if (body->done)
        return true;
    /* A client that waits for 100 (Continue) may send the body, or not: nobody can know. */
    if (request_awaits_continue(req) || body->error < 0)
        return false;
    if (early)
        return true;
    if (body_drop_received(body) < 0)
        return false;
    return body->framing != H1_BODY_LENGTH || body->left <= server->options.limits.max_unread_body;
}

/* The length of a response that is whole: that of its body, or of what a HEAD or a 304 without one
 * stands for, if that was declared. */
static NO_INLINE void settle_length(tepal_res *res, bool stands_for_other)
{
    if (res->has_length && res->body.len == 0 && stands_for_other)
        return;
    if (res->has_length && res->declared != res->body.len)
        tepal_logf(TEPAL_LOG_ERROR, "%s %s: the body has %zu octets, not the declared %llu",
                   tepal_req_method(res->req), tepal_req_target(res->req), res->body.len,
                   (unsigned long long)res->declared);
    res->declared = res->body.len;
    res->has_length = res->status != 304;
}

/* Settles how the body is delimited, and what becomes of the connection. */
static void settle(tepal_res *res, bool early)
{
    const tepal_req *req = res->req;
    bool head = request_is(req, "HEAD", 4);
    bool tunnel = request_is(req, "CONNECT", 7) && res->status < 300;
    res->keep_alive = may_keep_alive(res, early) && !tunnel;
    bool no_content = http_status_is_bodiless(res->status), no_length = tunnel || no_content;
    res->bodiless = head || no_length;
    if (LIKELY(!res->stream && !res->has_length && !no_length)) {
        res->declared = res->body.len;
        res->has_length = true;
    } else if (!res->stream) {
        settle_length(res, head || res->status == 304);
    }
    if (UNLIKELY(res->status == 205)) {
        /* RFC 9110 section 15.3.6: no content, and it says so. */
        res->bodiless = res->has_length = true;
        res->declared = 0;
        res->content_type = NULL;
    }
    if (no_content)
        res->content_type = NULL;
    if (no_length) {
        /* RFC 9110 section 8.6: no Content-Length with 204, nor with 2xx to CONNECT; with 304 it is
         * that of the representation, if that is known. */
        res->has_length &= res->status == 304;
    } else if (!res->has_length) {
        /* HTTP/1.0 knows no chunks: there the body ends with the connection. */
        res->chunked = req->head.minor >= 1;
        if (!res->chunked && !head)
            res->keep_alive = false;
    }
}

static char *write_fields(char *p, const tepal_res *res)
{
    for (const struct res_field *field = res->fields; field; field = field->next)
        p = h1_write_field(p, field->name, field->name_len, field->value, field->value_len);
    return p;
}

/* The Date and Server fields, but for those that the handler has set itself. */
static char *write_common(char *p, const tepal_res *res)
{
    size_t len;
    struct server *server = res->req->connection->server;
    const char *common = server_common_fields(server, &len);
    if (LIKELY(!res->own_date && !res->own_server))
        return h1_write_bytes(p, common, len);
    size_t date_len = sizeof("Date: \r\n") - 1 + HTTP_DATE_LEN;
    if (!res->own_date)
        p = h1_write_bytes(p, common, date_len);
    if (!res->own_server)
        p = h1_write_bytes(p, common + date_len, len - date_len);
    return p;
}

static const char ok_line[] = "HTTP/1.1 200 OK\r\n";
static const char type_name[] = "Content-Type: ";
static const char chunked_field[] = "Transfer-Encoding: chunked\r\n";
static const char close_field[] = "Connection: close\r\n";
static const char keep_alive_field[] = "Connection: keep-alive\r\n";

/* More than all that write_head() writes besides the parts that are counted. */
enum {
    FIXED_ROOM = 64 + sizeof(type_name) + H1_CONTENT_LENGTH_MAX + sizeof(chunked_field) +
                 sizeof(keep_alive_field)
};

static const char *reason_of(const tepal_res *res)
{
    return res->reason ? res->reason : http_status_reason(res->status);
}

/* The octets that the head takes at most. */
static size_t head_room(const tepal_res *res)
{
    size_t common_len, reason_len = res->status == 200 && !res->reason ? 0 : strlen(reason_of(res));
    server_common_fields(res->req->connection->server, &common_len);
    return FIXED_ROOM + reason_len + res->type_len + common_len + res->fields_size;
}

/* What the head begins with, up to Content-Length; NULL: it is not as most are. */
static const struct usual_head *usual_begin(const tepal_res *res)
{
    if (res->status != 200 || res->reason || !res->has_length || res->own_date || res->own_server)
        return NULL;
    return usual_head_of(res->req->connection->server->usual_heads, res->content_type);
}

/* The same for any other. */
static NO_INLINE char *write_begin(char *p, const tepal_res *res)
{
    if (LIKELY(res->status == 200 && !res->reason)) {
        p = h1_write_bytes(p, ok_line, sizeof(ok_line) - 1);
    } else {
        const char *reason = reason_of(res);
        p = h1_write_status_line(p, res->status, reason, strlen(reason));
    }
    p = write_common(p, res);
    if (res->content_type) {
        p = h1_write_bytes(p, type_name, sizeof(type_name) - 1);
        p = h1_write_bytes(p, res->content_type, res->type_len);
        p = h1_write_bytes(p, "\r\n", 2);
    }
    if (res->has_length)
        p = h1_write_content_length(p, res->declared);
    else if (res->chunked)
        p = h1_write_bytes(p, chunked_field, sizeof(chunked_field) - 1);
    return p;
}

static inline char *write_head(char *p, const tepal_res *res)
{
    const tepal_req *req = res->req;
    const struct usual_head *usual = usual_begin(res);
    if (LIKELY(usual != NULL)) {
        p = h1_write_bytes(p, usual->text, usual->len);
        p = h1_write_number(p, res->declared);
        p = h1_write_bytes(p, "\r\n", 2);
    } else {
        p = write_begin(p, res);
    }
    p = write_fields(p, res);
    if (!res->keep_alive)
        p = h1_write_bytes(p, close_field, sizeof(close_field) - 1);
    else if (req->head.minor == 0)
        p = h1_write_bytes(p, keep_alive_field, sizeof(keep_alive_field) - 1);
    return h1_write_bytes(p, "\r\n", 2);
}

/* The head could not be written now: it can be another time, or that of another response. */
static int head_interrupted(tepal_res *res, int rc)
{
    if ((h1_conn_was_interrupted(rc) || rc == -ENOMEM) && http_of(res)->error == 0) {
        res->head_sent = false;
        res->req->sending = NULL;
    }
    return rc;
}

/* The head of a response that has more fields than fit into the connection's buffer. */
static NO_INLINE int send_large_head(tepal_res *res, size_t room)
{
    char *head = request_alloc_text(res->req, room);
    if (!head)
        return head_interrupted(res, -ENOMEM);
    res->head_len = (uint32_t)(write_head(head, res) - head);
    return head_interrupted(res, h1_conn_write(http_of(res), head, res->head_len));
}

/* Writes the head, and the first len octets behind it if there is room. Returns 0, 1 when the
 * octets are written, too, or a negative error. */
static int send_head(tepal_res *res, const char *body, size_t len, bool early)
{
    struct h1_conn *http = http_of(res);
    settle(res, early);
    res->req->sending = res;
    res->head_sent = true;
    h1_conn_begin_message(http);
    if (res->bodiless)
        len = 0;
    size_t room = head_room(res);
    bool together = len <= MAX_COPIED_BODY && room + len <= LOOP_BUFFER_SIZE;
    if (UNLIKELY(room > LOOP_BUFFER_SIZE))
        return send_large_head(res, room);
    char *start;
    int rc = h1_conn_output(http, (uint32_t)(room + (together ? len : 0)), &start);
    if (UNLIKELY(rc < 0))
        return head_interrupted(res, rc);
    char *p = write_head(start, res);
    res->head_len = (uint32_t)(p - start);
    if (together && len > 0)
        p = h1_write_bytes(p, body, len);
    h1_conn_commit(http, (size_t)(p - start));
    return together;
}

static int send_whole(tepal_res *res)
{
    int rc = send_head(res, res->body.data, res->body.len, false);
    if (rc == 0 && !res->bodiless)
        rc = h1_conn_write(http_of(res), res->body.data, res->body.len);
    if (rc < 0)
        return rc;
    res->written = res->bodiless ? 0 : res->body.len;
    return 0;
}

/* What was cancelled in the middle must not look complete: the server ends, the client has reset the
 * connection; or it has ended its side, and the handler has been told so in a wait of its own. */
static bool was_cut(const tepal_res *res)
{
    const struct tepal_task *task = res->req->connection->task;
    if (!res->head_sent || res->bodiless || !task->cancelled)
        return false;
    bool whole = res->has_length && res->written == res->declared;
    return !http_of(res)->work->peer_ended || (task->cancel_told && !whole);
}

/* The end of a stream. A body that is too short leaves nothing but to close. */
static int finish_stream(tepal_res *res)
{
    if (was_cut(res))
        return -ECANCELED;
    int rc = res->missing;
    if (rc == 0)
        rc = res->head_sent ? res->error : send_head(res, NULL, 0, false);
    if (rc < 0)
        return rc;
    if (!res->bodiless && res->chunked)
        return h1_conn_write(http_of(res), CHUNK_END, sizeof(CHUNK_END) - 1);
    if (!res->bodiless && res->has_length && res->written != res->declared) {
        tepal_logf(TEPAL_LOG_ERROR, "%s %s: the body has %llu octets, not the declared %llu",
                   tepal_req_method(res->req), tepal_req_target(res->req),
                   (unsigned long long)res->written, (unsigned long long)res->declared);
        return TEPAL_ELENGTH;
    }
    return 0;
}

/* Ends what has begun instead of the response that was returned: it cannot be taken back, and must not
 * look complete. Where there is no body its head was all there is. */
static int end_other(tepal_res *begun)
{
    if (begun->bodiless)
        return begun->error;
    tepal_logf(TEPAL_LOG_ERROR, "%s %s: a stream was begun and not returned",
               tepal_req_method(begun->req), tepal_req_target(begun->req));
    return -EPIPE;
}

/* A response that is broken off: of its body no more was written than the system has taken. */
static void break_off(tepal_res *res)
{
    struct h1_conn *http = http_of(res);
    if (http->error == -EFAULT) /* freed already; or a mapped file that has become shorter */
        tepal_logf(TEPAL_LOG_ERROR, "%s %s: the body is in memory that is not there any more",
                   tepal_req_method(res->req), tepal_req_target(res->req));
    h1_conn_flush(http); /* what is whole of it still goes out, or is known not to */
    /* Where the end of the connection is the end of the body, only a reset tells the client that it has
     * not got all of it. */
    if (res->head_sent && !res->chunked && !res->has_length && !res->bodiless)
        conn_reset_at_close(&http->conn);
    uint64_t sent = res->head_sent ? h1_conn_message_sent(http) : 0;
    uint64_t body = sent > res->head_len ? sent - res->head_len : 0;
    res->broken = true;
    if (!res->stream || body < res->written)
        res->written = body;
}

/* What a task is in the midst of writing when the handler has returned is a part of the body, and waited
 * for; where the request has been cancelled it is cut short. Only behind it can the response end, and
 * the connection go: the task uses both. */
static NO_INLINE void wait_for_writer(tepal_res *res)
{
    enum { LOOK_AGAIN_MS = 10 }; /* at a writer that did not wait for the client just then */
    static const char what[] = "a write to the response";
    struct loop *loop = loop_current;
    struct h1_conn *http = http_of(res);
    bool peer_ended = http->work->peer_ended;
    int rc = 0;
    res->waiter = loop->current;
    while (res->writing && rc == 0)
        rc = task_wait(loop, what, TEPAL_NEVER);
    while (res->writing) {
        http->work->peer_ended = false; /* else its wait would go on: see h1_conn_wait() */
        if (http->conn.io.writer)
            task_wake(http->conn.io.writer, -ECANCELED);
        (void)task_wait_shielded_until(loop, what, loop_time_in(loop, LOOK_AGAIN_MS));
    }
    http->work->peer_ended |= peer_ended;
    res->waiter = NULL;
}

/* From here on nothing more is written to the streams of the request. */
static NO_INLINE void end_streams(tepal_req *req)
{
    for (tepal_res *res = req->responses; res; res = res->next_of_req) {
        res->ended = res->stream;
        if (UNLIKELY(res->writing))
            wait_for_writer(res);
    }
}

int response_send(tepal_res *res)
{
    tepal_req *req = res->req;
    int rc;
    if (UNLIKELY(req->has_streams))
        end_streams(req);
    if (UNLIKELY(req->sending && req->sending != res)) {
        res = req->sending;
        rc = end_other(res);
    } else {
        rc = res->stream ? finish_stream(res) : send_whole(res);
    }
    /* One that has gone takes nothing any more. */
    if (rc >= 0 && UNLIKELY(http_of(res)->conn.io.state & (IO_EOF | IO_HUP)))
        rc = h1_conn_flush(http_of(res));
    if (UNLIKELY(rc < 0)) {
        break_off(res);
        return rc;
    }
    return res->keep_alive & !res->close; /* which may have been asked for after the head */
}

/* One piece of a stream's body, framed. */
static int send_piece(tepal_res *res, const void *data, size_t len)
{
    char head[CHUNK_HEAD_MAX];
    struct iovec body = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
    struct iovec framed[] = {
        { .iov_base = head, .iov_len = res->chunked ? chunk_write_head(head, len) : 0 },
        body,
        { .iov_base = (void *)(uintptr_t)CHUNK_TAIL, .iov_len = sizeof(CHUNK_TAIL) - 1 },
    };
    int rc = res->chunked ? h1_conn_writev(http_of(res), framed, 3)
                          : h1_conn_writev(http_of(res), &body, 1);
    if (rc == 0)
        res->written += len;
    return rc;
}

/* What a write must return before it does anything. A loop around it lets others run, and learns that
 * it is over, also when there is nothing to write. Small pieces are collected: to let others run
 * after each would send each by itself. */
static int may_write(tepal_res *res, size_t len)
{
    enum { PIECES_AT_ONCE = 64 };
    struct h1_conn *http = http_of(res);
    if (len == 0 || res->bodiless || res->error < 0 || res->n_pieces++ % PIECES_AT_ONCE == 0)
        return h1_conn_may_wait(http);
    return h1_conn_check(http);
}

static int write_piece(tepal_res *res, const void *data, size_t len)
{
    int rc = may_write(res, len);
    if (rc == 0 && !res->head_sent)
        rc = send_head(res, NULL, 0, true);
    if (rc < 0)
        return rc;
    if (res->has_length && !res->bodiless && len > res->declared - res->written)
        return TEPAL_ELENGTH;
    if (len > 0 && !res->bodiless)
        rc = send_piece(res, data, len);
    /* It goes out when the task that has written it next suspends. */
    if (rc >= 0 && loop_current->current != res->req->connection->task)
        h1_conn_flush_at_leaving(http_of(res));
    return rc < 0 ? rc : res->bodiless ? TEPAL_ENOBODY : 0;
}

/* A body in which a piece is missing must not be ended as if it were whole. A piece of which nothing
 * was written can still be, by another call. */
static void note_result(tepal_res *res, int rc)
{
    if (rc == TEPAL_ELENGTH || rc == TEPAL_ENOBODY)
        return;
    bool again = h1_conn_was_interrupted(rc) && rc != -ECANCELED && http_of(res)->error == 0;
    res->missing = rc;
    if (rc == 0)
        res->n_refused = 0;
    else if (!again)
        res->error = rc;
}

/* Whether there is a response that can be written to. If not, a loop of writes to none lets others
 * run. */
static bool is_written_to(tepal_res *res, const char *call)
{
    bool usable = response_is_usable(res, call, true);
    if (usable)
        task_need(call);
    else if (loop_current && loop_current->current)
        (void)task_may_wait(loop_current, loop_current->current);
    return usable;
}

/* A piece is not written, and the next one will not be either. Who does not heed that is held back, and
 * does not hold up the others: without a body only a little, as a program may go on to its end there
 * without a look at the results. The response may have ended when this returns. */
static NO_INLINE int refuse_piece(tepal_res *res, int error)
{
    enum { FREE_WITHOUT_BODY = 1000 };
    bool no_body = error == TEPAL_ENOBODY;
    if (res->n_refused < UINT16_MAX)
        res->n_refused++;
    unsigned n = res->n_refused, least = no_body ? FREE_WITHOUT_BODY : 0;
    task_hold_back(loop_current, loop_current->current, n > least ? n - least : 0,
                   no_body ? 1 : TASK_MOST_PAUSE_MS,
                   no_body ? "nobody reads the body that it writes (TEPAL_ENOBODY)"
                           : "its writes to the response fail");
    return error;
}

/* A piece that is missing: the body must not be ended without it as if it were whole. */
static int fail_piece(tepal_res *res, int error)
{
    if (res->error == 0)
        res->error = error;
    return refuse_piece(res, error);
}

int tepal_write(tepal_res *res, const void *data, size_t len)
{
    static const char call[] = "tepal_write";
    if (!is_written_to(res, call))
        return -EINVAL;
    if (UNLIKELY(!res->stream))
        return fail_piece(
            res, mistake(res->req, -EINVAL, call, "the response was not made by tepal_stream()"));
    if (UNLIKELY(!data && len > 0))
        return fail_piece(res, mistake_null(res->req, call, "the data"));
    int rc = res->error;
    if (res->ended || (res->req->sending && res->req->sending != res))
        rc = TEPAL_ESENT;
    else if (res->writing) /* two pieces that are on their way at once would be mixed up */
        rc = -EBUSY;
    if (UNLIKELY(rc < 0)) {
        int interrupted = h1_conn_may_wait(http_of(res));
        if (interrupted < 0)
            return interrupted == -ECANCELED ? interrupted : rc;
        return refuse_piece(res, rc);
    }
    res->writing = true;
    rc = !res->head_sent && res_hooks_wait(res->req) ? res_hooks_run(res) : 0;
    if (rc == 0)
        rc = write_piece(res, data, len);
    res->writing = false;
    if (UNLIKELY(res->waiter != NULL))
        task_wake(res->waiter, 0);
    note_result(res, rc);
    if (UNLIKELY(rc < 0) && !h1_conn_was_interrupted(rc))
        return refuse_piece(res, rc);
    return rc;
}

/* The text of a piece: not in the arena, as a stream may go on for ever. */
struct printed {
    char small[512];
    struct buf large; /* when that has no room for it */
    const char *data;
    size_t len;
};

/* Returns 0, or an error: memory is short, the format cannot be printed, or a text is NULL, which is
 * said. */
static int __attribute__((format(printf, 3, 0)))
print_piece(tepal_req *req, struct printed *text, const char *format, va_list args)
{
    static const struct caller caller = { .call = "tepal_writef" };
    va_list again;
    va_copy(again, args);
    int n = print_vsnprintf(text->small, sizeof(text->small), format, again), rc = 0;
    va_end(again);
    if (n < 0)
        return mistake_in_format(req, &caller, format, args) == -ENOMEM ? -ENOMEM : -EINVAL;
    bool fits = (size_t)n < sizeof(text->small);
    if (!fits) {
        va_copy(again, args);
        rc = buf_vprintf(&text->large, format, again);
        va_end(again);
    }
    text->data = fits ? text->small : text->large.data;
    text->len = (size_t)n;
    if (rc == 0 && UNLIKELY(printing_looks_null(text->data, text->len)) &&
        printing_has_null(format, args))
        rc = mistake_in_format(req, &caller, format, args);
    return rc;
}

int tepal_writef(tepal_res *res, const char *format, ...)
{
    static const char call[] = "tepal_writef";
    if (!is_written_to(res, call))
        return -EINVAL;
    if (UNLIKELY(!format))
        return fail_piece(res, mistake_null(res->req, call, "the format"));
    if (UNLIKELY(request_refuses_format(res->req, call, format)))
        return fail_piece(res, -EINVAL);
    struct printed text;
    buf_init(&text.large, SIZE_MAX / 2);
    va_list args;
    va_start(args, format);
    int rc = print_piece(res->req, &text, format, args);
    va_end(args);
    if (rc == 0)
        rc = tepal_write(res, text.data, text.len);
    else
        rc = fail_piece(res, rc);
    buf_clear(&text.large);
    return rc;
}
