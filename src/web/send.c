/* Responses onto the connection: framing, head, body. The one place that decides where a response
 * ends (RFC 9112 section 6). */
#include "async/task.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/print.h"
#include "http/chunk.h"
#include "http/h1_write.h"
#include "http/status.h"
#include "web/mistake.h"
#include "web/res_hooks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Bodies up to this size are copied behind the head; larger ones are written from where they
 * are. */
enum { MAX_COPIED_BODY = 4096 };

static struct http_conn *conn_of(const tepal_res *res)
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
        req->connection->n_requests >= server->options.max_requests)
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
    return body->framing != H1_BODY_LENGTH || body->left <= server->options.max_unread_body;
}

/* The length of a response that is whole: that of its body, or of what a HEAD or a 304 without one
 * stands for, if that was declared. */
static NO_INLINE void settle_length(tepal_res *res, bool stands_for_other)
{
    if (res->has_length && res->len == 0 && stands_for_other)
        return;
    if (res->has_length && res->declared != res->len)
        tepal_log(TEPAL_LOG_ERROR, "%s %s: the body has %zu octets, not the declared %llu",
                  tepal_req_method(res->req), tepal_req_target(res->req), res->len,
                  (unsigned long long)res->declared);
    res->declared = res->len;
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
        res->declared = res->len;
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
    if ((conn_was_interrupted(rc) || rc == -ENOMEM) && conn_of(res)->error == 0) {
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
    return head_interrupted(res, conn_write(conn_of(res), head, res->head_len));
}

/* Writes the head, and the first len octets behind it if there is room. Returns 0, 1 when the
 * octets are written, too, or a negative error. */
static int send_head(tepal_res *res, const char *body, size_t len, bool early)
{
    struct http_conn *conn = conn_of(res);
    settle(res, early);
    res->req->sending = res;
    res->head_sent = true;
    conn_begin_message(conn);
    if (res->bodiless)
        len = 0;
    size_t room = head_room(res);
    bool together = len <= MAX_COPIED_BODY && room + len <= LOOP_BUFFER_SIZE;
    if (UNLIKELY(room > LOOP_BUFFER_SIZE))
        return send_large_head(res, room);
    char *start;
    int rc = conn_output(conn, (uint32_t)(room + (together ? len : 0)), &start);
    if (UNLIKELY(rc < 0))
        return head_interrupted(res, rc);
    char *p = write_head(start, res);
    res->head_len = (uint32_t)(p - start);
    if (together && len > 0)
        p = h1_write_bytes(p, body, len);
    conn_commit(conn, (size_t)(p - start));
    return together;
}

static int send_whole(tepal_res *res)
{
    int rc = send_head(res, res->body, res->len, false);
    if (rc == 0 && !res->bodiless)
        rc = conn_write(conn_of(res), res->body, res->len);
    if (rc < 0)
        return rc;
    res->written = res->bodiless ? 0 : res->len;
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
    return !conn_of(res)->work->peer_ended || (task->cancel_told && !whole);
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
        return conn_write(conn_of(res), CHUNK_END, sizeof(CHUNK_END) - 1);
    if (!res->bodiless && res->has_length && res->written != res->declared) {
        tepal_log(TEPAL_LOG_ERROR, "%s %s: the body has %llu octets, not the declared %llu",
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
    tepal_log(TEPAL_LOG_ERROR, "%s %s: a stream was begun and not returned",
              tepal_req_method(begun->req), tepal_req_target(begun->req));
    return -EPIPE;
}

/* A response that is broken off: of its body no more was written than the system has taken. */
static void break_off(tepal_res *res)
{
    struct http_conn *conn = conn_of(res);
    conn_flush(conn); /* what is whole of it still goes out, or is known not to */
    /* Where the end of the connection is the end of the body, only a reset tells the client that it has
     * not got all of it. */
    if (res->head_sent && !res->chunked && !res->has_length && !res->bodiless)
        stream_reset_at_close(&conn->stream);
    uint64_t sent = res->head_sent ? conn_message_sent(conn) : 0;
    uint64_t body = sent > res->head_len ? sent - res->head_len : 0;
    res->broken = true;
    if (!res->stream || body < res->written)
        res->written = body;
}

int response_send(tepal_res *res)
{
    tepal_req *req = res->req;
    int rc;
    if (UNLIKELY(req->sending && req->sending != res)) {
        res = req->sending;
        rc = end_other(res);
    } else {
        rc = res->stream ? finish_stream(res) : send_whole(res);
    }
    /* One that has gone takes nothing any more. */
    if (rc >= 0 && UNLIKELY(conn_of(res)->stream.io.state & (IO_EOF | IO_HUP)))
        rc = conn_flush(conn_of(res));
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
    int rc =
        res->chunked ? conn_writev(conn_of(res), framed, 3) : conn_writev(conn_of(res), &body, 1);
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
    struct http_conn *conn = conn_of(res);
    if (len == 0 || res->bodiless || res->error < 0 || res->n_pieces++ % PIECES_AT_ONCE == 0)
        return conn_may_wait(conn);
    return conn_check(conn);
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
    /* What the connection's own task writes goes out when it next suspends; nobody sees to what
     * another one writes. */
    if (rc >= 0 && loop_current->current != res->req->connection->task) {
        rc = conn_flush(conn_of(res));
        if (conn_was_interrupted(rc) && conn_of(res)->error == 0) /* but the piece is written */
            rc = 0;
    }
    return rc < 0 ? rc : res->bodiless ? TEPAL_ENOBODY : 0;
}

/* A body in which a piece is missing must not be ended as if it were whole. A piece of which nothing
 * was written can still be, by another call. */
static void note_result(tepal_res *res, int rc)
{
    if (rc == TEPAL_ELENGTH || rc == TEPAL_ENOBODY)
        return;
    bool again = conn_was_interrupted(rc) && rc != -ECANCELED && conn_of(res)->error == 0;
    res->missing = rc;
    if (rc < 0 && !again)
        res->error = rc;
}

int tepal_write(tepal_res *res, const void *data, size_t len)
{
    if (!response_is_usable(res, "tepal_write", true))
        return -EINVAL;
    if (UNLIKELY(!res->stream))
        return res->error = mistake(res->req, -EINVAL, "tepal_write",
                                    "the response was not made by tepal_stream()");
    if (UNLIKELY(!data && len > 0))
        return res->error = mistake_null(res->req, "tepal_write", "the data");
    task_need("tepal_write");
    int rc = res->error;
    if (res->req->sending && res->req->sending != res)
        rc = TEPAL_ESENT;
    else if (res->writing) /* two pieces that are on their way at once would be mixed up */
        rc = -EBUSY;
    if (UNLIKELY(rc < 0)) {
        int interrupted = conn_may_wait(conn_of(res));
        return interrupted == -ECANCELED ? interrupted : rc;
    }
    res->writing = true;
    rc = !res->head_sent && res_hooks_wait(res->req) ? res_hooks_run(res) : 0;
    if (rc == 0)
        rc = write_piece(res, data, len);
    res->writing = false;
    note_result(res, rc);
    return rc;
}

int tepal_writef(tepal_res *res, const char *format, ...)
{
    if (!response_is_usable(res, "tepal_writef", true))
        return -EINVAL;
    if (UNLIKELY(!format))
        return res->error = mistake_null(res->req, "tepal_writef", "the format");
    if (UNLIKELY(request_refuses_format(res->req, "tepal_writef", format)))
        return res->error = -EINVAL;
    char small[512];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = print_vsnprintf(small, sizeof(small), format, args), rc = -EINVAL;
    struct buf text; /* not from the arena: a stream may go on for ever */
    buf_init(&text, SIZE_MAX / 2);
    if (n >= 0)
        rc = (size_t)n < sizeof(small) ? 0 : buf_vprintf(&text, format, again);
    va_end(again);
    va_end(args);
    if (rc == 0)
        rc = tepal_write(res, (size_t)n < sizeof(small) ? small : text.data, (size_t)n);
    else if (res->error == 0) /* the body must not be ended without it as if it were whole */
        res->error = rc;
    buf_clear(&text);
    return rc;
}
