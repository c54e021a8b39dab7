/* Waiting on streams: the calls that look blocking, over operations that only try. */
#include "net/stream.h"

#include "async/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/buffers.h"

#include <errno.h>

void stream_on_event(struct io *io)
{
    if (io->reader && (io->state & IO_READ))
        task_wake(io->reader, 0);
    if (io->writer && (io->state & IO_WRITE))
        task_wake(io->writer, 0);
}

void stream_close(struct tepal_conn *stream)
{
    if (stream->io.fd < 0)
        return;
    poller_remove(&loop_current->poller, &stream->io);
    stream->ops->close(stream);
    stream->io.fd = -1;
    if (UNLIKELY(stream->buffers != NULL))
        buffers_free(stream);
}

static int wait_ready(struct io *io, uint32_t state, struct tepal_task **waiter, int64_t until)
{
    /* First: what the other task is in the middle of must not be cut in two. */
    if (*waiter)
        return -EBUSY;
    struct loop *loop = loop_current;
    *waiter = loop->current;
    int rc = io->state & state
                 ? task_may_wait(loop, loop->current)
                 : task_wait_fd(loop, state == IO_READ ? "reading" : "writing", io->fd, until);
    *waiter = NULL;
    return rc;
}

int stream_wait_read(struct tepal_conn *stream, int64_t until)
{
    return wait_ready(&stream->io, IO_READ, &stream->io.reader, until);
}

int stream_wait_write(struct tepal_conn *stream, int64_t until)
{
    return wait_ready(&stream->io, IO_WRITE, &stream->io.writer, until);
}

static int64_t time_limit(int64_t timeout_ms)
{
    return loop_time_after(loop_current->now, timeout_ms);
}

ssize_t stream_read(struct tepal_conn *stream, void *buffer, size_t size, int64_t timeout_ms)
{
    while (true) {
        int rc = stream_wait_read(stream, time_limit(timeout_ms));
        if (rc < 0)
            return rc;
        ssize_t n = stream_try_read(stream, buffer, size);
        if (n != -EAGAIN)
            return n;
    }
}

/* Moves the pieces on by done octets. */
static void advance(struct iovec **pieces, int *n, size_t done)
{
    while (*n > 0 && done >= (*pieces)->iov_len) {
        done -= (*pieces)->iov_len;
        ++*pieces;
        --*n;
    }
    if (*n > 0) {
        (*pieces)->iov_base = (char *)(*pieces)->iov_base + done;
        (*pieces)->iov_len -= done;
    }
}

int stream_flush(struct tepal_conn *stream, int64_t timeout_ms)
{
    while (stream_is_holding(stream)) {
        int rc = stream_wait_write(stream, time_limit(timeout_ms));
        if (rc == 0)
            rc = (int)stream->ops->writev(stream, NULL, 0);
        if (rc < 0 && rc != -EAGAIN)
            return rc;
    }
    return 0;
}

int stream_may_upgrade(const struct tepal_conn *stream)
{
    if (stream->io.reader || stream->io.writer || stream_has_unsent(stream))
        return -EBUSY;
    return stream_has_unread(stream) ? TEPAL_EMESSAGE : 0;
}

int stream_writev(struct tepal_conn *stream, struct iovec *pieces, int n, int64_t timeout_ms)
{
    advance(&pieces, &n, 0);
    while (n > 0) {
        int rc = stream_wait_write(stream, time_limit(timeout_ms));
        if (rc < 0)
            return rc;
        ssize_t done = stream->ops->writev(stream, pieces, n);
        if (done >= 0)
            advance(&pieces, &n, (size_t)done);
        else if (done != -EAGAIN)
            return (int)done;
    }
    return stream_flush(stream, timeout_ms);
}

int stream_sendfile(struct tepal_conn *stream, int file, int64_t offset, size_t len,
                    int64_t timeout_ms)
{
    while (len > 0) {
        int rc = stream_wait_write(stream, time_limit(timeout_ms));
        if (rc < 0)
            return rc;
        ssize_t done = stream->ops->sendfile(stream, file, &offset, len);
        if (done == 0)
            return -EIO;
        if (done > 0)
            len -= (size_t)done;
        else if (done != -EAGAIN)
            return (int)done;
    }
    return stream_flush(stream, timeout_ms);
}

int tepal_conn_write(tepal_conn *stream, const void *data, size_t len)
{
    task_need("tepal_conn_write");
    int rc = writer_flush(stream);
    struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
    return rc < 0 ? rc : stream_writev(stream, &piece, 1, TEPAL_NEVER);
}

int tepal_conn_writev(tepal_conn *stream, const tepal_bytes *pieces, size_t n)
{
    enum { AT_ONCE = 64 };
    task_need("tepal_conn_writev");
    struct iovec iov[AT_ONCE];
    int rc = writer_flush(stream);
    while (n > 0 && rc == 0) {
        size_t some = n < AT_ONCE ? n : AT_ONCE;
        for (size_t i = 0; i < some; i++)
            iov[i] = (struct iovec){ .iov_base = (void *)(uintptr_t)pieces[i].data,
                                     .iov_len = pieces[i].len };
        rc = stream_writev(stream, iov, (int)some, TEPAL_NEVER);
        pieces += some;
        n -= some;
    }
    return rc;
}

int tepal_conn_sendfile(tepal_conn *stream, int file, int64_t offset, size_t len)
{
    task_need("tepal_conn_sendfile");
    int rc = writer_flush(stream);
    return rc < 0 ? rc : stream_sendfile(stream, file, offset, len, TEPAL_NEVER);
}

int tepal_conn_shutdown(tepal_conn *stream)
{
    int rc = 0;
    if (stream_has_unsent(stream)) {
        task_need("tepal_conn_shutdown");
        rc = writer_flush(stream);
    }
    if (rc == 0)
        rc = stream->ops->shutdown(stream);
    if (rc == 0 && stream_is_holding(stream)) {
        task_need("tepal_conn_shutdown");
        rc = stream_flush(stream, TEPAL_NEVER);
    }
    return rc;
}

static void end(struct tepal_conn *stream, const char *call)
{
    if (stream->io.reader || stream->io.writer)
        misuse(call, "a task still waits on the stream");
    stream_close(stream);
    mem_free(stream);
}

void tepal_conn_close(tepal_conn *stream)
{
    if (!stream)
        return;
    writer_flush_some(stream);
    end(stream, "tepal_conn_close");
}

void tepal_conn_abort(tepal_conn *stream)
{
    if (!stream)
        return;
    stream_reset_at_close(stream);
    end(stream, "tepal_conn_abort");
}
