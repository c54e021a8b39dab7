/* The output buffer of a connection: several small writes, one system call. */
#include "async/task.h"
#include "conn/conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

/* Larger pieces are not copied. */
enum { MAX_COPY = 4096 + 64 }; /* 64: for what frames a piece */

uint64_t conn_message_sent(const struct http_conn *conn)
{
    const struct conn_work *work = conn->work;
    return work->sent > work->message_start ? work->sent - work->message_start : 0;
}

/* For how long the peer may take nothing more now. What the system holds for it it has not taken. */
static int64_t write_time_left(const struct http_conn *conn)
{
    const struct conn_limits *limits = conn->limits;
    int held = 0;
    if (limits->write_timeout_ms == TEPAL_NEVER || limits->min_write_rate == 0)
        return limits->write_timeout_ms;
    if (ioctl(conn->stream.io.fd, SIOCOUTQ, &held) < 0)
        return limits->write_timeout_ms;
    uint64_t sent = conn_message_sent(conn),
             taken = sent > (uint64_t)held ? sent - (uint64_t)held : 0;
    return conn_time_left(limits->write_timeout_ms, limits->min_write_rate, taken,
                          conn->work->message_wait_ms);
}

/* Waits until the peer may take something. Returns 0, 1 when its time is over, or an interruption. */
static int wait_to_write(struct http_conn *conn)
{
    struct loop *loop = loop_current;
    if (LIKELY(conn->stream.io.state & IO_WRITE))
        return conn_wait(conn, IO_WRITE, TEPAL_NEVER);
    int64_t before = loop->now;
    int rc = conn_wait(conn, IO_WRITE, loop_time_after(before, write_time_left(conn)));
    conn->work->message_wait_ms += loop->now - before;
    return rc == -ETIMEDOUT && !conn_was_interrupted(rc) ? 1 : rc;
}

/* The system takes as much from one connection as it has room for: after so many octets the others have
 * their turn. Returns 0 or an interruption. */
static int let_others_write(struct http_conn *conn, size_t done)
{
    enum { AT_ONCE_BITS = 16 };
    uint64_t after = conn->work->sent, before = after - done;
    return after >> AT_ONCE_BITS == before >> AT_ONCE_BITS ? 0 : conn_give_way(conn);
}

static int write_pieces(struct http_conn *conn, struct iovec **pieces, int *n)
{
    struct tepal_conn *stream = &conn->stream;
    pieces_advance(pieces, n, 0);
    while (*n > 0) {
        int late = wait_to_write(conn);
        if (late < 0)
            return late;
        ssize_t done = stream->ops->writev(stream, *pieces, *n);
        if (done < 0 && done != -EAGAIN)
            return (int)done;
        if (late && done <= 0) /* nor now: it was not the process that was held */
            return -ETIMEDOUT;
        if (done > 0) {
            conn->work->sent += (uint64_t)done;
            pieces_advance(pieces, n, (size_t)done);
            int rc = let_others_write(conn, (size_t)done);
            if (rc < 0 && *n > 0)
                return rc;
        }
    }
    return stream_is_holding(stream) ? stream_flush(stream, conn->limits->write_timeout_ms) : 0;
}

static size_t length_of(const struct iovec *pieces, int n)
{
    size_t len = 0;
    for (int i = 0; i < n; i++)
        len += pieces[i].iov_len;
    return len;
}

/* Writes the buffer, and then more. An interruption costs nothing as long as only octets of the buffer
 * have gone: what is left of them stays there. */
static NO_INLINE int write_through(struct http_conn *conn, const struct iovec *more, int n_more)
{
    struct iovec all[1 + CONN_MAX_PIECES], *pieces = all;
    int n = 0;
    if (conn->error < 0)
        return conn->error;
    /* The octets are the writer's now: a task that suspends in the write must not send them again
     * by conn_flush_some(). */
    char *out = conn->out;
    uint32_t out_len = conn->out_len;
    conn->out = NULL;
    conn->out_len = 0;
    if (out_len > 0)
        all[n++] = (struct iovec){ .iov_base = out, .iov_len = out_len };
    for (int i = 0; i < n_more; i++)
        all[n++] = more[i];
    int rc = write_pieces(conn, &pieces, &n);
    size_t left = length_of(pieces, n), more_len = length_of(more, n_more);
    if (rc < 0 && conn_was_interrupted(rc) && left >= more_len && !conn->out) {
        left -= more_len;
        if (left > 0) {
            memmove(out, out + out_len - left, left);
            conn->out = out;
            conn->out_len = (uint32_t)left;
            return rc;
        }
    } else if (rc < 0) {
        conn->error = rc;
    }
    block_give(&loop_current->buffers, out);
    return rc;
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

int conn_output(struct http_conn *conn, uint32_t n, char **room)
{
    if (UNLIKELY(conn->error < 0))
        return conn->error;
    if (UNLIKELY(conn->out_len + n > LOOP_BUFFER_SIZE)) {
        int rc = conn_flush(conn);
        if (rc < 0)
            return rc;
    }
    if (!conn->out && !(conn->out = block_take(&loop_current->buffers)))
        return -ENOMEM;
    *room = conn->out + conn->out_len;
    return 0;
}

int conn_writev(struct http_conn *conn, const struct iovec *pieces, int n)
{
    size_t len = length_of(pieces, n);
    if (len > MAX_COPY)
        return write_through(conn, pieces, n);
    char *room;
    int rc = conn_output(conn, (uint32_t)len, &room);
    if (UNLIKELY(rc < 0))
        return rc == -ENOMEM ? write_through(conn, pieces, n) : rc;
    for (int i = 0; i < n; i++) {
        memcpy(room, pieces[i].iov_base, pieces[i].iov_len);
        room += pieces[i].iov_len;
    }
    conn_commit(conn, len);
    return 0;
}

int conn_write(struct http_conn *conn, const void *data, size_t len)
{
    struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
    return len > 0 ? conn_writev(conn, &piece, 1) : conn->error;
}

NO_INLINE void conn_flushed_part(struct http_conn *conn, ssize_t n)
{
    if (n > 0) {
        conn->work->sent += (uint64_t)n;
        conn->out_len -= (uint32_t)n;
        memmove(conn->out, conn->out + n, conn->out_len);
    } else if (n != -EAGAIN) {
        conn->error = (int)n;
    }
}

void conn_flush_some(void *arg)
{
    struct http_conn *conn = arg;
    if (conn->out_len > 0 || stream_is_holding(&conn->stream))
        conn_flush_here(conn);
}

static void flush_unsent(struct leaving *leaving)
{
    conn_flush_some(CONTAINER_OF(leaving, struct conn_work, unsent)->conn);
}

void conn_flush_at_leaving(struct http_conn *conn)
{
    struct conn_work *work = conn->work;
    work->unsent.fn = flush_unsent;
    work->conn = conn;
    loop_at_leaving(loop_current, &work->unsent);
}
