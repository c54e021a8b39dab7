/* The output buffer of a connection: several small writes, one system call. */
#include "async/task/task.h"
#include "conn/h1_conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

/* Larger pieces are not copied. */
enum { MAX_COPY = 4096 + 64 }; /* 64: for what frames a piece */

uint64_t h1_conn_message_sent(const struct h1_conn *http)
{
    const struct h1_conn_work *work = http->work;
    return work->sent > work->message_start ? work->sent - work->message_start : 0;
}

/* For how long the peer may take nothing more now. What the system holds for it it has not
 * taken. */
static int64_t write_time_left(const struct h1_conn *http)
{
    const struct h1_conn_limits *limits = http->limits;
    int held = 0;
    if (limits->write_timeout_ms == TEPAL_NEVER || limits->min_write_rate == 0)
        return limits->write_timeout_ms;
    if (ioctl(http->conn.io.fd, SIOCOUTQ, &held) < 0)
        return limits->write_timeout_ms;
    uint64_t sent = h1_conn_message_sent(http),
             taken = sent > (uint64_t)held ? sent - (uint64_t)held : 0;
    return h1_conn_time_left(limits->write_timeout_ms, limits->min_write_rate, taken,
                             http->work->message_wait_ms);
}

/* Waits until the peer may take something. Returns 0, 1 when its time is over, or an
 * interruption. */
static int wait_to_write(struct h1_conn *http)
{
    struct loop *loop = loop_current;
    if (LIKELY(http->conn.io.state & IO_WRITE))
        return h1_conn_wait(http, IO_WRITE, TEPAL_NEVER);
    int64_t before = loop->now;
    int rc = h1_conn_wait(http, IO_WRITE, loop_time_after(before, write_time_left(http)));
    http->work->message_wait_ms += loop->now - before;
    return rc == -ETIMEDOUT && !task_was_interrupted(rc) ? 1 : rc;
}

/* The system takes as much from one connection as it has room for: after so many octets the others
 * have their turn. Returns 0 or an interruption. */
static int let_others_write(struct h1_conn *http, size_t done)
{
    enum { AT_ONCE_BITS = 16 };
    uint64_t after = http->work->sent, before = after - done;
    return after >> AT_ONCE_BITS == before >> AT_ONCE_BITS ? 0 : h1_conn_give_way(http);
}

/* Waits until the connection holds nothing any more of what it has taken. */
static NO_INLINE int write_held(struct h1_conn *http)
{
    struct tepal_conn *conn = &http->conn;
    while (conn_is_holding(conn)) {
        int late = wait_to_write(http);
        if (late < 0)
            return late;
        ssize_t rc = conn->ops->writev(conn, NULL, 0);
        if (rc < 0 && rc != -EAGAIN)
            return (int)rc;
        if (late && rc < 0)
            return -ETIMEDOUT;
    }
    return 0;
}

static int write_pieces(struct h1_conn *http, struct iovec **pieces, int *n)
{
    struct tepal_conn *conn = &http->conn;
    pieces_advance(pieces, n, 0);
    while (*n > 0) {
        int late = wait_to_write(http);
        if (late < 0)
            return late;
        ssize_t done = conn->ops->writev(conn, *pieces, *n);
        if (done < 0 && done != -EAGAIN)
            return (int)done;
        if (late && done <= 0) /* nor now: it was not the process that was held */
            return -ETIMEDOUT;
        if (done > 0) {
            http->work->sent += (uint64_t)done;
            pieces_advance(pieces, n, (size_t)done);
            int rc = let_others_write(http, (size_t)done);
            if (rc < 0 && *n > 0)
                return rc;
        }
    }
    return conn_is_holding(conn) ? write_held(http) : 0;
}

static size_t length_of(const struct iovec *pieces, int n)
{
    size_t len = 0;
    for (int i = 0; i < n; i++)
        len += pieces[i].iov_len;
    return len;
}

/* Writes the buffer, and then more. An interruption costs nothing as long as only octets of the
 * buffer have gone: what is left of them stays there. */
static NO_INLINE int write_through(struct h1_conn *http, const struct iovec *more, int n_more)
{
    struct iovec all[1 + H1_CONN_MAX_PIECES], *pieces = all;
    int n = 0;
    if (http->error < 0)
        return http->error;
    /* The octets are the writer's now: a task that suspends in the write must not send them again
     * by h1_conn_flush_some(). */
    char *out = http->out;
    uint32_t out_len = http->out_len;
    http->out = NULL;
    http->out_len = 0;
    if (out_len > 0)
        all[n++] = (struct iovec){ .iov_base = out, .iov_len = out_len };
    for (int i = 0; i < n_more; i++)
        all[n++] = more[i];
    int rc = write_pieces(http, &pieces, &n);
    size_t left = length_of(pieces, n), more_len = length_of(more, n_more);
    if (rc < 0 && task_was_interrupted(rc) && left >= more_len && !http->out) {
        left -= more_len;
        if (left > 0) {
            memmove(out, out + out_len - left, left);
            http->out = out;
            http->out_len = (uint32_t)left;
            return rc;
        }
    } else if (rc < 0) {
        http->error = rc;
    }
    block_give(&loop_current->buffers, out);
    return rc;
}

int h1_conn_flush(struct h1_conn *http)
{
    h1_conn_flush_some(http); /* mostly the peer takes it all */
    if (http->out_len > 0)
        return write_through(http, NULL, 0);
    if (http->error == 0 && conn_is_holding(&http->conn)) {
        int rc = write_held(http);
        if (rc < 0 && task_was_interrupted(rc))
            return rc; /* it is still held */
        http->error = rc;
    }
    return http->error;
}

int h1_conn_output(struct h1_conn *http, uint32_t n, char **room)
{
    if (UNLIKELY(http->error < 0))
        return http->error;
    if (UNLIKELY(http->out_len + n > LOOP_BUFFER_SIZE)) {
        int rc = h1_conn_flush(http);
        if (rc < 0)
            return rc;
    }
    if (!http->out && !(http->out = block_take(&loop_current->buffers)))
        return -ENOMEM;
    *room = http->out + http->out_len;
    return 0;
}

int h1_conn_writev(struct h1_conn *http, const struct iovec *pieces, int n)
{
    size_t len = length_of(pieces, n);
    if (len > MAX_COPY)
        return write_through(http, pieces, n);
    char *room;
    int rc = h1_conn_output(http, (uint32_t)len, &room);
    if (UNLIKELY(rc < 0))
        return rc == -ENOMEM ? write_through(http, pieces, n) : rc;
    for (int i = 0; i < n; i++) {
        memcpy(room, pieces[i].iov_base, pieces[i].iov_len);
        room += pieces[i].iov_len;
    }
    h1_conn_commit(http, len);
    return 0;
}

int h1_conn_write(struct h1_conn *http, const void *data, size_t len)
{
    struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
    return len > 0 ? h1_conn_writev(http, &piece, 1) : http->error;
}

NO_INLINE void h1_conn_flushed_part(struct h1_conn *http, ssize_t n)
{
    if (n > 0) {
        http->work->sent += (uint64_t)n;
        http->out_len -= (uint32_t)n;
        memmove(http->out, http->out + n, http->out_len);
    } else if (n != -EAGAIN) {
        http->error = (int)n;
    }
}

void h1_conn_flush_some(void *arg)
{
    struct h1_conn *http = arg;
    if (http->out_len > 0 || conn_is_holding(&http->conn))
        h1_conn_flush_here(http);
}

static void flush_unsent(struct leaving *leaving)
{
    h1_conn_flush_some(CONTAINER_OF(leaving, struct h1_conn_work, unsent)->http);
}

void h1_conn_flush_at_leaving(struct h1_conn *http)
{
    http->work->unsent.fn = flush_unsent;
    http->work->http = http;
    loop_at_leaving(loop_current, &http->work->unsent);
}

bool h1_conn_is_untaken(const struct h1_conn *http)
{
    int n = 0;
    return ioctl(http->conn.io.fd, SIOCOUTQNSD, &n) == 0 && n > 0;
}
