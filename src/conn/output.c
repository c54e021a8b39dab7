/* The output buffer of a connection: several small writes, one system call. */
#include "async/task.h"
#include "conn/conn.h"

#include <errno.h>
#include <string.h>

/* Larger pieces are not copied. */
enum { MAX_COPY = 4096 };

static void give_output(struct http_conn *conn)
{
    block_give(&loop_current->buffers, conn->out);
    conn->out = NULL;
    conn->out_len = 0;
}

/* Writes the buffer and then data. */
static int write_through(struct http_conn *conn, const void *data, size_t len)
{
    struct iovec pieces[2] = {
        { .iov_base = conn->out, .iov_len = conn->out_len },
        { .iov_base = (void *)(uintptr_t)data, .iov_len = len },
    };
    int first = conn->out_len > 0 ? 0 : 1, last = len > 0 ? 2 : 1;
    if (first == last)
        return conn->error;
    /* The octets are the writer's now: a task that suspends in the write must not send them again
     * by conn_flush_some(). */
    char *out = conn->out;
    conn->out = NULL;
    conn->out_len = 0;
    if (conn->error == 0)
        conn->error = stream_writev(&conn->stream, pieces + first, last - first,
                                    conn->limits->write_timeout_ms);
    block_give(&loop_current->buffers, out);
    return conn->error;
}

int conn_flush(struct http_conn *conn)
{
    conn_flush_some(conn); /* mostly the peer takes it all */
    if (conn->out_len > 0)
        return write_through(conn, NULL, 0);
    if (conn->error == 0 && stream_is_holding(&conn->stream))
        conn->error = stream_flush(&conn->stream, conn->limits->write_timeout_ms);
    return conn->error;
}

char *conn_output(struct http_conn *conn, uint32_t n)
{
    if (n > LOOP_BUFFER_SIZE || conn->error < 0)
        return NULL;
    if (conn->out_len + n > LOOP_BUFFER_SIZE && conn_flush(conn) < 0)
        return NULL;
    if (!conn->out && !(conn->out = block_take(&loop_current->buffers)))
        return NULL;
    return conn->out + conn->out_len;
}

int conn_write(struct http_conn *conn, const void *data, size_t len)
{
    if (conn->error < 0)
        return conn->error;
    if (len > MAX_COPY || conn->out_len + len > LOOP_BUFFER_SIZE)
        return write_through(conn, data, len);
    char *room = conn_output(conn, (uint32_t)len);
    if (!room)
        return conn->error < 0 ? conn->error : write_through(conn, data, len);
    memcpy(room, data, len);
    conn_commit(conn, len);
    return 0;
}

void conn_flush_some(void *arg)
{
    struct http_conn *conn = arg;
    if (conn->error < 0 || !(conn->stream.io.state & IO_WRITE) ||
        (conn->out_len == 0 && !stream_is_holding(&conn->stream)))
        return;
    struct iovec piece = { .iov_base = conn->out, .iov_len = conn->out_len };
    ssize_t n = conn->stream.ops->writev(&conn->stream, &piece, 1);
    if (n == conn->out_len) {
        give_output(conn);
    } else if (n > 0) {
        conn->out_len -= (uint32_t)n;
        memmove(conn->out, conn->out + n, conn->out_len);
    } else if (n != -EAGAIN) {
        conn->error = (int)n;
    }
}
