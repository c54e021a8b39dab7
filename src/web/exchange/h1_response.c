/* The response's side: the octets of its head, how its content is framed (RFC 9112 section 6), and
 * its end. */
#include "async/task/task.h"
#include "base/log.h"
#include "base/put.h"
#include "http/chunk.h"
#include "http/date.h"
#include "http/h1_write.h"
#include "http/status.h"
#include "web/exchange/h1.h"
#include "web/exchange/user.h"

#include <errno.h>
#include <string.h>

/* Content up to this size is copied behind the head; what is larger is written from where it is. */
enum { MAX_COPIED = 4096 };

static inline struct h1_exchange *sender(struct exchange *exchange)
{
    return (struct h1_exchange *)exchange;
}

/* --- The head --------------------------------------------------------------------------------- */

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

static const char *reason_of(const struct response_head *head)
{
    return head->reason ? head->reason : http_status_reason(head->status);
}

/* The octets that the head takes at most. */
static NO_INLINE size_t head_room(struct h1_ways *ways, const struct response_head *head)
{
    size_t common_len,
        reason_len = head->status == 200 && !head->reason ? 0 : strlen(reason_of(head));
    h1_ways_common_fields(ways, &common_len);
    return FIXED_ROOM + reason_len + head->type_len + common_len + head->fields_size;
}

static char *write_fields(char *p, const struct response_head *head)
{
    for (const struct response_field *field = head->fields; field; field = field->next)
        p = h1_write_field(p, field->name, field->name_len, field->value, field->value_len);
    return p;
}

/* The Date and Server fields, but for those that the handler has set itself. */
static char *write_common(char *p, struct h1_ways *ways, const struct response_head *head)
{
    size_t len;
    const char *common = h1_ways_common_fields(ways, &len);
    if (LIKELY(!head->own_date && !head->own_server))
        return put_bytes(p, common, len);
    size_t date_len = sizeof("Date: \r\n") - 1 + HTTP_DATE_LEN;
    if (!head->own_date)
        p = put_bytes(p, common, date_len);
    if (!head->own_server)
        p = put_bytes(p, common + date_len, len - date_len);
    return p;
}

/* What the head begins with, up to Content-Length; NULL: it is not as most are. */
static inline const struct usual_head *usual_begin(struct h1_ways *ways,
                                                   const struct response_head *head)
{
    if (head->status != 200 || head->reason || !head->has_length || head->own_date ||
        head->own_server)
        return NULL;
    h1_ways_keep_up(ways);
    return usual_head_of(ways->usual_heads, head->content_type);
}

/* The same for any other. */
static NO_INLINE char *write_begin(char *p, const struct h1_exchange *x,
                                   const struct response_head *head)
{
    if (LIKELY(head->status == 200 && !head->reason)) {
        p = put_bytes(p, ok_line, sizeof(ok_line) - 1);
    } else {
        const char *reason = reason_of(head);
        p = h1_write_status_line(p, head->status, reason, strlen(reason));
    }
    p = write_common(p, x->connection->server->h1, head);
    if (head->content_type) {
        p = put_bytes(p, type_name, sizeof(type_name) - 1);
        p = put_bytes(p, head->content_type, head->type_len);
        p = put_bytes(p, "\r\n", 2);
    }
    if (head->has_length)
        p = h1_write_content_length(p, head->length);
    else if (x->chunked)
        p = put_bytes(p, chunked_field, sizeof(chunked_field) - 1);
    return p;
}

/* usual: what the head begins with, or NULL. */
static inline char *write_head(char *p, const struct h1_exchange *x,
                               const struct response_head *head, const struct usual_head *usual)
{
    if (LIKELY(usual != NULL)) {
        p = put_bytes(p, usual->text, usual->len);
        p = put_number(p, head->length);
        p = put_bytes(p, "\r\n", 2);
    } else {
        p = write_begin(p, x, head);
    }
    p = write_fields(p, head);
    if (!x->base.keep_alive)
        p = put_bytes(p, close_field, sizeof(close_field) - 1);
    else if (x->head.message.version < 11)
        p = put_bytes(p, keep_alive_field, sizeof(keep_alive_field) - 1);
    return put_bytes(p, "\r\n", 2);
}

/* Whether anybody has said that the connection ends with this response. */
static inline bool is_last(const struct h1_exchange *x, const struct response_head *head)
{
    const struct server *server = x->connection->server;
    return head->close || !x->head.keep_alive || x->until_close || server->closing ||
           x->connection->n_requests >= server->options.limits.max_requests;
}

/* How content is delimited whose length is not known (RFC 9112 section 6.3). HTTP/1.0 knows no
 * chunks: there it ends with the connection. */
static NO_INLINE void settle_framing(struct h1_exchange *x, const struct response_head *head)
{
    x->chunked = x->head.message.version >= 11;
    x->until_close = !x->chunked && !head->bodiless;
}

/* Settles how the content is delimited, and what becomes of the connection. */
static inline void settle(struct h1_exchange *x, const struct response_head *head, bool reading)
{
    x->no_content = head->bodiless;
    if (UNLIKELY(!head->has_length && !head->unframed))
        settle_framing(x, head);
    x->base.keep_alive = fate_goes_on(h1_exchange_fate(x, is_last(x, head), reading));
}

/* The head could not be written now: it can be another time, or that of another response. */
static int head_interrupted(struct h1_exchange *x, int rc)
{
    if ((task_was_interrupted(rc) || rc == -ENOMEM) && x->connection->http.error == 0)
        x->base.begun = x->chunked = x->until_close = false;
    return rc;
}

/* A head that has more fields than fit into the connection's buffer. */
static NO_INLINE int send_large_head(struct h1_exchange *x, const struct response_head *head,
                                     size_t room)
{
    char *text = exchange_alloc(&x->base, room);
    if (!text)
        return head_interrupted(x, -ENOMEM);
    x->base.head_len = (uint32_t)(write_head(text, x, head, NULL) - text);
    return head_interrupted(x, h1_conn_write(&x->connection->http, text, x->base.head_len));
}

/* Writes the head, and the content behind it if there is room. Returns 0, 1 when the content is
 * written, too, or a negative error. */
static inline int send_head(struct h1_exchange *x, const struct response_head *head,
                            tepal_bytes content)
{
    struct h1_conn *http = &x->connection->http;
    x->base.begun = true;
    h1_conn_begin_message(http);
    struct h1_ways *ways = x->connection->server->h1;
    const struct usual_head *usual = usual_begin(ways, head);
    size_t len = content.len, room = LIKELY(usual != NULL)
                                         ? usual->len + FIXED_ROOM + head->fields_size
                                         : head_room(ways, head);
    bool together = len <= MAX_COPIED && room + len <= LOOP_BUFFER_SIZE;
    if (UNLIKELY(room > LOOP_BUFFER_SIZE))
        return send_large_head(x, head, room);
    char *start;
    int rc = h1_conn_output(http, (uint32_t)(room + (together ? len : 0)), &start);
    if (UNLIKELY(rc < 0))
        return head_interrupted(x, rc);
    char *p = write_head(start, x, head, usual);
    x->base.head_len = (uint32_t)(p - start);
    if (together && len > 0)
        p = put_bytes(p, content.data, len);
    h1_conn_commit(http, (size_t)(p - start));
    return together;
}

/* --- The content ------------------------------------------------------------------------------ */

/* A client that has gone takes nothing any more. */
static inline int see_it_gone(struct h1_exchange *x, int rc)
{
    struct h1_conn *http = &x->connection->http;
    if (rc >= 0 && UNLIKELY(http->conn.io.state & (IO_EOF | IO_HUP)))
        rc = h1_conn_flush(http);
    return rc;
}

int h1_response_send(struct exchange *exchange, const struct response_head *head,
                     tepal_bytes content)
{
    struct h1_exchange *x = sender(exchange);
    /* What has come of the request's content unasked is done with. */
    if (UNLIKELY(!x->body.done) && !h1_exchange_is_kept_back(x))
        body_drop_received(&x->body);
    settle(x, head, false);
    if (x->no_content)
        content.len = 0;
    int rc = send_head(x, head, content);
    if (rc == 0 && content.len > 0)
        rc = h1_conn_write(&x->connection->http, content.data, content.len);
    return see_it_gone(x, rc < 0 ? rc : 0);
}

/* What was written goes out when the task that has written it next suspends: that of the connection
 * does so by itself. */
static void see_off(struct h1_exchange *x)
{
    if (loop_current->current != x->base.task)
        h1_conn_flush_at_leaving(&x->connection->http);
}

NO_INLINE int h1_response_begin(struct exchange *exchange, const struct response_head *head,
                                bool reading)
{
    struct h1_exchange *x = sender(exchange);
    if (!reading && !x->body.done && !h1_exchange_is_kept_back(x))
        body_drop_received(&x->body);
    settle(x, head, reading);
    int rc = send_head(x, head, (tepal_bytes){ 0 });
    if (rc < 0)
        return rc;
    see_off(x);
    return 0;
}

int h1_response_write(struct exchange *exchange, const void *data, size_t len)
{
    struct h1_exchange *x = sender(exchange);
    struct h1_conn *http = &x->connection->http;
    char size_line[CHUNK_HEAD_MAX];
    struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
    struct iovec framed[] = {
        { .iov_base = size_line, .iov_len = x->chunked ? chunk_write_head(size_line, len) : 0 },
        piece,
        { .iov_base = (void *)(uintptr_t)CHUNK_TAIL, .iov_len = sizeof(CHUNK_TAIL) - 1 },
    };
    int rc = x->chunked ? h1_conn_writev(http, framed, 3) : h1_conn_writev(http, &piece, 1);
    if (rc == 0)
        see_off(x);
    return rc;
}

int h1_response_end(struct exchange *exchange)
{
    struct h1_exchange *x = sender(exchange);
    int rc = 0;
    if (x->chunked && !x->no_content)
        rc = h1_conn_write(&x->connection->http, CHUNK_END, sizeof(CHUNK_END) - 1);
    return see_it_gone(x, rc);
}

/* Of the content no more was written than the system has taken. */
uint64_t h1_response_break_off(struct exchange *exchange)
{
    struct h1_exchange *x = sender(exchange);
    struct h1_conn *http = &x->connection->http;
    const struct message *message = exchange->message;
    if (http->error == -EFAULT) /* freed already; or a mapped file that has become shorter */
        tepal_logf(TEPAL_LOG_ERROR, "%s %s: the body is in memory that is not there any more",
                   message_method(message), message_target(message));
    h1_conn_flush(http); /* what is whole of it still goes out, or is known not to */
    if (!exchange->begun)
        return 0;
    /* Where the end of the connection is the end of the content, only a reset tells the client that
     * it has not got all of it. */
    if (x->until_close)
        conn_reset_at_close(&http->conn);
    uint64_t sent = h1_conn_message_sent(http);
    return sent > exchange->head_len ? sent - exchange->head_len : 0;
}
