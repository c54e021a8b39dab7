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

/* Closes what is below the stream. */
static void close_below(struct tepal_conn *stream)
{
    poller_remove(&loop_current->poller, &stream->io);
    stream->ops->close(stream);
    stream->io.fd = -1;
}

void stream_close(struct tepal_conn *stream)
{
    if (stream->io.fd < 0)
        return;
    close_below(stream);
    if (UNLIKELY(stream->buffers != NULL))
        buffers_free(stream);
}

void stream_free_if_left(struct tepal_conn *stream)
{
    if (stream->io.reader || stream->io.writer ||
        (stream->buffers && stream->buffers->writers.next))
        return;
    if (stream->buffers)
        buffers_free(stream);
    mem_free(stream);
}

/* The end of a wait: a stream that was closed under it (see end()) is not to be touched. */
static int waited(struct io *io, int rc)
{
    return UNLIKELY(io->fd < 0) && rc == 0 ? -ECANCELED : rc;
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
    return waited(io, rc);
}

int stream_may_wait_read(struct tepal_conn *stream)
{
    struct loop *loop = loop_current;
    if (stream->io.reader)
        return -EBUSY;
    stream->io.reader = loop->current;
    int rc = task_may_wait(loop, loop->current);
    stream->io.reader = NULL;
    return waited(&stream->io, rc);
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
    if (stream->io.reader || writer_is_inside(stream) || stream_has_unsent(stream))
        return -EBUSY;
    return stream_has_unread(stream) ? TEPAL_EMESSAGE : 0;
}

int stream_writev(struct tepal_conn *stream, struct iovec *pieces, int n, int64_t timeout_ms)
{
    pieces_advance(&pieces, &n, 0);
    while (n > 0) {
        int rc = stream_wait_write(stream, time_limit(timeout_ms));
        if (rc < 0)
            return rc;
        ssize_t done = stream->ops->writev(stream, pieces, n);
        if (done >= 0)
            pieces_advance(&pieces, &n, (size_t)done);
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
    int rc = writer_enter(stream, "tepal_conn_write");
    if (rc < 0)
        return rc;
    struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
    rc = writer_flush(stream);
    if (rc == 0)
        rc = stream_writev(stream, &piece, 1, TEPAL_NEVER);
    return writer_leave(stream, rc);
}

int tepal_conn_writev(tepal_conn *stream, const tepal_bytes *pieces, size_t n)
{
    enum { AT_ONCE = 64 };
    struct iovec iov[AT_ONCE];
    int rc = writer_enter(stream, "tepal_conn_writev");
    if (rc < 0)
        return rc;
    rc = writer_flush(stream);
    while (n > 0 && rc == 0) {
        size_t some = n < AT_ONCE ? n : AT_ONCE;
        for (size_t i = 0; i < some; i++)
            iov[i] = (struct iovec){ .iov_base = (void *)(uintptr_t)pieces[i].data,
                                     .iov_len = pieces[i].len };
        rc = stream_writev(stream, iov, (int)some, TEPAL_NEVER);
        pieces += some;
        n -= some;
    }
    return writer_leave(stream, rc);
}

int tepal_conn_sendfile(tepal_conn *stream, int file, int64_t offset, size_t len)
{
    int rc = writer_enter(stream, "tepal_conn_sendfile");
    if (rc < 0)
        return rc;
    rc = writer_flush(stream);
    if (rc == 0)
        rc = stream_sendfile(stream, file, offset, len, TEPAL_NEVER);
    return writer_leave(stream, rc);
}

static int end_output(struct tepal_conn *stream)
{
    int rc = writer_flush(stream);
    if (rc == 0)
        rc = stream->ops->shutdown(stream);
    if (rc == 0 && stream_is_holding(stream)) {
        task_need("tepal_conn_shutdown");
        rc = stream_flush(stream, TEPAL_NEVER);
    }
    return rc;
}

int tepal_conn_shutdown(tepal_conn *stream)
{
    stream_need(stream, "tepal_conn_shutdown");
    /* Where there is nothing to wait for it needs no task. */
    bool waits = writer_is_inside(stream) || stream_has_unsent(stream);
    int rc = waits ? writer_enter(stream, "tepal_conn_shutdown") : 0;
    return rc < 0 ? rc : writer_leave(stream, end_output(stream));
}

/* Tasks that are about to leave the stream only need its memory. */
static void end(struct tepal_conn *stream, const char *call)
{
    struct stream_buffers *b = stream->buffers;
    if (!turns_is_leaving(stream->io.reader) || !turns_is_leaving(stream->io.writer) ||
        (b && turns_are_awaited(&b->writers)))
        misuse(call, "a task still waits on the stream");
    close_below(stream);
    stream_free_if_left(stream);
}

void tepal_conn_close(tepal_conn *stream)
{
    if (!stream)
        return;
    if (!loop_is_forked()) /* the parent sends it, too */
        writer_flush_some(stream);
    end(stream, "tepal_conn_close");
}

void tepal_conn_abort(tepal_conn *stream)
{
    if (!stream)
        return;
    if (!loop_is_forked())
        stream_reset_at_close(stream);
    end(stream, "tepal_conn_abort");
}
