/* The body reader: framing from the head, octets from the input buffer. It copies nothing. */
#include "conn/body.h"

#include "async/task/task.h"

#include <tepal/http_error.h>

#include <errno.h>
#include <sys/ioctl.h>

void body_reader_init(struct body_reader *reader, struct h1_conn *http, const struct h1_head *head)
{
    reader->http = http;
    reader->framing = head->framing;
    reader->head_end = http->in_start;
    reader->left = head->message.content_length;
    reader->received = 0;
    reader->waited_ms = 0;
    reader->begun = http->in_start < http->in_end;
    reader->done = head->framing == H1_BODY_NONE;
    reader->error = 0;
    if (UNLIKELY(head->framing == H1_BODY_CHUNKED))
        reader->chunks = (struct chunk_decoder){ 0 };
}

/* Takes the next piece from what is in the input buffer. Returns 1 with a piece, 0 when there is
 * none (the end, or more must be read). */
static int take_piece(struct body_reader *reader, tepal_bytes *piece)
{
    struct h1_conn *http = reader->http;
    const char *in = http->in + http->in_start;
    size_t len = http->in_end - http->in_start;
    *piece = (tepal_bytes){ .data = in };
    if (reader->framing == H1_BODY_CHUNKED) {
        struct chunk_step step;
        int rc = chunk_decode(&reader->chunks, in, len, &http->limits->chunks, &step);
        if (rc < 0)
            return reader->error = rc == -413 ? TEPAL_EBODY_SIZE : TEPAL_EMESSAGE;
        http->in_start += (uint32_t)step.used;
        reader->done = rc == 1;
        *piece = (tepal_bytes){ .data = step.data, .len = step.len };
    } else {
        bool until_close = reader->framing == H1_BODY_UNTIL_CLOSE;
        piece->len = !until_close && reader->left < len ? (size_t)reader->left : len;
        http->in_start += (uint32_t)piece->len;
        if (!until_close)
            reader->done = (reader->left -= piece->len) == 0;
    }
    reader->received += piece->len;
    return piece->len > 0;
}

int body_take(struct body_reader *reader, tepal_bytes *piece)
{
    *piece = (tepal_bytes){ 0 };
    while (reader->error == 0 && !reader->done) {
        struct h1_conn *http = reader->http;
        if (http->in_start == http->in_end)
            return -EAGAIN;
        int rc = take_piece(reader, piece);
        if (rc != 0)
            return rc;
    }
    return reader->error;
}

/* What an attempt to fill the buffer says of the body. */
static int filled(struct body_reader *reader, int rc)
{
    if (rc == 1) {
        reader->begun = true;
        return 0;
    }
    if (rc == TEPAL_ECLOSED && reader->framing == H1_BODY_UNTIL_CLOSE) {
        reader->done = true;
        return 0;
    }
    if (rc != -EAGAIN && rc != -ENOMEM && !task_was_interrupted(rc))
        reader->error = rc;
    return rc;
}

int body_try_fill(struct body_reader *reader)
{
    return filled(reader, h1_conn_try_fill_body(reader->http, reader->head_end));
}

int body_fill(struct body_reader *reader)
{
    struct h1_conn *http = reader->http;
    const struct h1_conn_limits *limits = http->limits;
    /* Another task reads: its buffer must not be moved away. */
    if (http->conn.io.reader)
        return -EBUSY;
    /* What was answered before must not wait for it. */
    int rc = h1_conn_flush(http);
    if (rc < 0)
        return filled(reader, rc);
    int64_t before = loop_current->now;
    rc = h1_conn_fill_body(http, reader->head_end,
                           h1_conn_time_left(limits->read_timeout_ms, limits->min_read_rate,
                                             reader->received, reader->waited_ms));
    reader->waited_ms += loop_current->now - before;
    return filled(reader, rc);
}

int body_read(struct body_reader *reader, tepal_bytes *piece)
{
    int rc;
    while ((rc = body_take(reader, piece)) == -EAGAIN)
        if ((rc = body_fill(reader)) < 0)
            break;
    return rc;
}

/* Reads what there is from the connection and fits into what is left of the buffer, without waiting
 * and without disturbing the piece that was taken last. Returns 0, or -EBUSY while a task reads. */
static int read_ahead(struct body_reader *reader)
{
    struct h1_conn *http = reader->http;
    if (http->conn.io.reader)
        return -EBUSY;
    if (http->in_end == http->in_cap || !(http->conn.io.state & IO_READ))
        return 0;
    ssize_t n = conn_try_read(&http->conn, http->in + http->in_end, http->in_cap - http->in_end);
    if (n > 0) {
        http->in_end += (uint32_t)n;
        reader->begun = true;
    }
    return 0;
}

/* Whether nothing more of it has to be read from the connection. */
static bool is_all_here(const struct body_reader *reader)
{
    const struct h1_conn *http = reader->http;
    size_t len = http->in_end - http->in_start;
    if (reader->done || reader->framing != H1_BODY_CHUNKED)
        return reader->done || (reader->framing == H1_BODY_LENGTH && reader->left <= len);
    const char *in = http->in + http->in_start;
    struct chunk_decoder chunks = reader->chunks;
    struct chunk_step step;
    int rc = 0;
    while (rc == 0 && len > 0) {
        rc = chunk_decode(&chunks, in, len, &http->limits->chunks, &step);
        in += step.used;
        len -= step.used;
    }
    return rc == 1;
}

bool body_is_over(struct body_reader *reader)
{
    int unread = 0;
    if (!is_all_here(reader) && read_ahead(reader) < 0)
        return false;
    return is_all_here(reader) ||
           (ioctl(reader->http->conn.io.fd, FIONREAD, &unread) == 0 && unread == 0);
}

int body_drop_received(struct body_reader *reader)
{
    struct h1_conn *http = reader->http;
    tepal_bytes piece;
    while (reader->error == 0 && !reader->done && http->in_start < http->in_end)
        take_piece(reader, &piece);
    return reader->error < 0 ? reader->error : reader->done;
}

int body_drop(struct body_reader *reader, uint64_t max)
{
    uint64_t start = reader->received;
    tepal_bytes piece;
    int rc = 1;
    while (rc == 1 && reader->received - start <= max)
        rc = body_read(reader, &piece);
    return rc < 0 ? rc : reader->done;
}
