/* The body reader: framing from the head, octets from the input buffer. It copies nothing. */
#include "conn/body.h"

#include "async/task.h"

static const char continue_response[] = "HTTP/1.1 100 Continue\r\n\r\n";

void body_reader_init(struct body_reader *reader, struct http_conn *conn,
                      const struct h1_head *head)
{
    *reader = (struct body_reader){
        .conn = conn,
        .framing = head->framing,
        .head_end = conn->in_start,
        .left = head->framing == H1_BODY_LENGTH ? head->content_length : 0,
        .send_continue = head->expect_continue && head->framing != H1_BODY_NONE,
        .done = head->framing == H1_BODY_NONE,
    };
}

/* Takes the next piece from what is in the input buffer. Returns 1 with a piece, 0 when there is
 * none (the end, or more must be read). */
static int take_piece(struct body_reader *reader, tepal_bytes *piece)
{
    struct http_conn *conn = reader->conn;
    const char *in = conn->in + conn->in_start;
    size_t len = conn->in_end - conn->in_start;
    *piece = (tepal_bytes){ .data = in };
    if (reader->framing == H1_BODY_CHUNKED) {
        struct chunk_step step;
        int rc = chunk_decode(&reader->chunks, in, len, &conn->limits->chunks, &step);
        if (rc < 0)
            return reader->error = rc == -413 ? TEPAL_EBODY_SIZE : TEPAL_EMESSAGE;
        conn->in_start += (uint32_t)step.used;
        reader->done = rc == 1;
        *piece = (tepal_bytes){ .data = step.data, .len = step.len };
    } else {
        bool until_close = reader->framing == H1_BODY_UNTIL_CLOSE;
        piece->len = !until_close && reader->left < len ? (size_t)reader->left : len;
        conn->in_start += (uint32_t)piece->len;
        if (!until_close)
            reader->done = (reader->left -= piece->len) == 0;
    }
    reader->received += piece->len;
    return piece->len > 0;
}

/* Waits for more input. What was answered before must not wait for it, and the peer may wait for
 * 100 (Continue), RFC 9110 section 10.1.1. */
static int fill(struct body_reader *reader)
{
    struct http_conn *conn = reader->conn;
    int rc = 0;
    if (reader->send_continue) {
        reader->send_continue = false;
        rc = conn_write(conn, continue_response, sizeof(continue_response) - 1);
    }
    if (rc == 0)
        rc = conn_flush(conn);
    if (rc == 0)
        rc = conn_fill_body(conn, reader->head_end);
    if (rc == TEPAL_ECLOSED && reader->framing == H1_BODY_UNTIL_CLOSE) {
        reader->done = true;
        return 0;
    }
    if (rc < 0)
        reader->error = rc;
    return rc;
}

int body_read(struct body_reader *reader, tepal_bytes *piece)
{
    *piece = (tepal_bytes){ 0 };
    while (reader->error == 0 && !reader->done) {
        struct http_conn *conn = reader->conn;
        if (conn->in_start == conn->in_end && fill(reader) <= 0)
            break;
        int rc = take_piece(reader, piece);
        if (rc != 0)
            return rc;
    }
    return reader->error;
}

int body_drop_received(struct body_reader *reader)
{
    struct http_conn *conn = reader->conn;
    tepal_bytes piece;
    while (reader->error == 0 && !reader->done && conn->in_start < conn->in_end)
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
