/* Waiting on connections: the calls that look blocking, over operations that only try. */
#include "net/conn/conn.h"

#include "async/task/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/conn/buffers.h"

#include <errno.h>

void conn_on_event(struct io *io)
{
    if (io->reader && (io->state & IO_READ))
        task_wake(io->reader, 0);
    if (io->writer && (io->state & IO_WRITE))
        task_wake(io->writer, 0);
}

/* Closes what is below the connection. */
static void close_below(struct tepal_conn *conn)
{
    poller_remove(&loop_current->poller, &conn->io);
    conn->ops->close(conn);
    conn->io.fd = -1;
}

void conn_close(struct tepal_conn *conn)
{
    if (conn->io.fd < 0)
        return;
    close_below(conn);
    if (UNLIKELY(conn->buffers != NULL))
        buffers_free(conn);
}

void conn_free_if_left(struct tepal_conn *conn)
{
    if (conn->io.reader || conn->io.writer || (conn->buffers && conn->buffers->writers.next))
        return;
    if (conn->buffers)
        buffers_free(conn);
    mem_free(conn);
}

static int wait_ready(struct io *io, uint32_t state, struct tepal_task **waiter, int64_t until)
{
    /* First: what the other task is in the middle of must not be cut in two. */
    if (*waiter)
        return -EBUSY;
    struct loop *loop = loop_current;
    task_takes_place(loop, loop->current);
    *waiter = loop->current;
    int rc = io->state & state
                 ? task_may_wait(loop, loop->current)
                 : task_wait_fd(loop, state == IO_READ ? "reading" : "writing", io->fd, until);
    *waiter = NULL;
    return io_waited(io, state == IO_READ ? IO_READER_INTERRUPTED : IO_WRITER_INTERRUPTED, rc);
}

int conn_may_wait_read(struct tepal_conn *conn)
{
    struct loop *loop = loop_current;
    if (conn->io.reader)
        return -EBUSY;
    task_takes_place(loop, loop->current);
    conn->io.reader = loop->current;
    int rc = task_may_wait(loop, loop->current);
    conn->io.reader = NULL;
    return io_waited(&conn->io, IO_READER_INTERRUPTED, rc);
}

int conn_wait_read(struct tepal_conn *conn, int64_t until)
{
    return wait_ready(&conn->io, IO_READ, &conn->io.reader, until);
}

int conn_wait_write(struct tepal_conn *conn, int64_t until)
{
    return wait_ready(&conn->io, IO_WRITE, &conn->io.writer, until);
}

static int64_t time_limit(int64_t timeout_ms)
{
    return loop_time_after(loop_current->now, timeout_ms);
}

ssize_t conn_read(struct tepal_conn *conn, void *buffer, size_t size, int64_t timeout_ms)
{
    while (true) {
        int rc = conn_wait_read(conn, time_limit(timeout_ms));
        if (rc < 0)
            return rc;
        ssize_t n = conn_try_read(conn, buffer, size);
        if (n != -EAGAIN)
            return n;
    }
}

int conn_flush(struct tepal_conn *conn, int64_t timeout_ms)
{
    while (conn_is_holding(conn)) {
        int rc = conn_wait_write(conn, time_limit(timeout_ms));
        if (rc == 0)
            rc = (int)conn->ops->writev(conn, NULL, 0);
        if (rc < 0 && rc != -EAGAIN)
            return rc;
    }
    return 0;
}

int conn_may_upgrade(const struct tepal_conn *conn)
{
    if (conn->io.reader || writer_is_inside(conn) || conn_has_unsent(conn))
        return -EBUSY;
    return conn->buffers ? conn->buffers->in_error : 0;
}

int conn_writev(struct tepal_conn *conn, struct iovec *pieces, int n, int64_t timeout_ms)
{
    pieces_advance(&pieces, &n, 0);
    while (n > 0) {
        int rc = conn_wait_write(conn, time_limit(timeout_ms));
        if (rc < 0)
            return rc;
        ssize_t done = conn->ops->writev(conn, pieces, n);
        if (done >= 0)
            pieces_advance(&pieces, &n, (size_t)done);
        else if (done != -EAGAIN)
            return (int)done;
    }
    return conn_flush(conn, timeout_ms);
}

int conn_sendfile(struct tepal_conn *conn, int file, int64_t offset, size_t len, int64_t timeout_ms)
{
    while (len > 0) {
        int rc = conn_wait_write(conn, time_limit(timeout_ms));
        if (rc < 0)
            return rc;
        ssize_t done = conn->ops->sendfile(conn, file, &offset, len);
        if (done == 0)
            return -EIO;
        if (done > 0)
            len -= (size_t)done;
        else if (done != -EAGAIN)
            return (int)done;
    }
    return conn_flush(conn, timeout_ms);
}

int tepal_conn_write(tepal_conn *conn, const void *data, size_t len)
{
    int rc = writer_enter(conn, "tepal_conn_write");
    if (rc < 0)
        return rc;
    struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
    rc = writer_flush(conn);
    if (rc == 0)
        rc = conn_writev(conn, &piece, 1, TEPAL_NEVER);
    return writer_leave(conn, rc);
}

int tepal_conn_writev(tepal_conn *conn, const tepal_bytes *pieces, size_t n)
{
    enum { AT_ONCE = 64 };
    struct iovec iov[AT_ONCE];
    int rc = writer_enter(conn, "tepal_conn_writev");
    if (rc < 0)
        return rc;
    rc = writer_flush(conn);
    while (n > 0 && rc == 0) {
        size_t some = n < AT_ONCE ? n : AT_ONCE;
        for (size_t i = 0; i < some; i++)
            iov[i] = (struct iovec){ .iov_base = (void *)(uintptr_t)pieces[i].data,
                                     .iov_len = pieces[i].len };
        rc = conn_writev(conn, iov, (int)some, TEPAL_NEVER);
        pieces += some;
        n -= some;
    }
    return writer_leave(conn, rc);
}

int tepal_conn_sendfile(tepal_conn *conn, int file, int64_t offset, size_t len)
{
    int rc = writer_enter(conn, "tepal_conn_sendfile");
    if (rc < 0)
        return rc;
    rc = writer_flush(conn);
    if (rc == 0)
        rc = conn_sendfile(conn, file, offset, len, TEPAL_NEVER);
    return writer_leave(conn, rc);
}

static int end_output(struct tepal_conn *conn)
{
    int rc = writer_flush(conn);
    if (rc == 0)
        rc = conn->ops->shutdown(conn);
    if (rc == 0 && conn_is_holding(conn)) {
        task_need("tepal_conn_shutdown");
        rc = conn_flush(conn, TEPAL_NEVER);
    }
    return rc;
}

int tepal_conn_shutdown(tepal_conn *conn)
{
    conn_need(conn, "tepal_conn_shutdown");
    /* Where there is nothing to wait for it needs no task. */
    bool waits = writer_is_inside(conn) || conn_has_unsent(conn);
    int rc = waits ? writer_enter(conn, "tepal_conn_shutdown") : 0;
    return rc < 0 ? rc : writer_leave(conn, end_output(conn));
}

/* --- The end, and interruptions --------------------------------------------------------------- */

/* A handshake reads and writes. */
static bool is_shaking_hands(const struct tepal_conn *conn)
{
    return conn->tls && !tls_is_open(conn->tls);
}

bool tepal_conn_interrupt_reader(tepal_conn *conn)
{
    conn_need(conn, "tepal_conn_interrupt_reader");
    return io_interrupt_reader(&conn->io) ||
           (is_shaking_hands(conn) && io_interrupt_writer(&conn->io));
}

bool tepal_conn_interrupt_writers(tepal_conn *conn)
{
    conn_need(conn, "tepal_conn_interrupt_writers");
    bool one = io_interrupt_writer(&conn->io);
    bool others = conn->buffers && turns_refuse(&conn->buffers->writers, -EINTR);
    return one || others || (is_shaking_hands(conn) && io_interrupt_reader(&conn->io));
}

/* Tasks that are in a call on the connection leave it. From then on they only need its memory. */
static void end(struct tepal_conn *conn)
{
    io_dismiss(&conn->io);
    if (conn->buffers && !loop_is_forked())
        (void)turns_refuse(&conn->buffers->writers, -ECANCELED);
    close_below(conn);
    conn_free_if_left(conn);
}

void tepal_conn_close(tepal_conn *conn)
{
    if (!conn)
        return;
    if (!loop_is_forked()) /* the parent sends it, too */
        writer_flush_some(conn);
    end(conn);
}

void tepal_conn_abort(tepal_conn *conn)
{
    if (!conn)
        return;
    if (!loop_is_forked())
        conn_reset_at_close(conn);
    end(conn);
}
