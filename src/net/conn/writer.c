/* Buffered writing: small pieces are collected and go out together.
 *
 * An interrupted call leaves what was put where it is, for the next one. Only octets that were not
 * put yet, of a piece larger than the buffer, can be left half written; nothing more is written
 * then, so that the peer never sees a hole.
 */
#include "net/conn/buffers.h"

#include "async/task/task.h"
#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Waits behind the task that is in the middle of writing. */
static NO_INLINE int wait_for_turn(struct tepal_conn *conn)
{
    /* A handshake is no message that others could wait behind: who writes then has not waited for
     * its result. */
    if (conn->tls && !tls_is_open(conn->tls))
        return -EBUSY;
    if (!buffers_need(conn))
        return -ENOMEM;
    int rc = turns_wait(&conn->buffers->writers, "its turn to write");
    if (rc < 0)
        return rc;
    bool interrupted = turns_was_interrupted(&conn->buffers->writers);
    if (conn->io.fd < 0)
        return writer_leave(conn, -ECANCELED);
    return interrupted ? writer_leave(conn, -EINTR) : 0;
}

int writer_enter(struct tepal_conn *conn, const char *call)
{
    task_need(call);
    conn_need(conn, call);
    return UNLIKELY(writer_is_inside(conn)) ? wait_for_turn(conn) : 0;
}

int writer_leave(struct tepal_conn *conn, int result)
{
    if (UNLIKELY(conn->buffers != NULL))
        turns_pass(&conn->buffers->writers);
    return (int)conn_left(conn, result);
}

/* Refuses a task that was cancelled or is out of time. One that goes on all the same is held back
 * there, and others may interrupt it or close the connection meanwhile. */
static int refuse_if_over(struct tepal_conn *conn)
{
    struct tepal_task *task = loop_current->current;
    conn->io.writer = task;
    int rc = task_check(loop_current, task);
    conn->io.writer = NULL;
    return io_waited(&conn->io, IO_WRITER_INTERRUPTED, rc);
}

/* Begins a call that puts. As writer_enter(). */
static int begin(struct tepal_conn *conn, const char *call)
{
    int rc = writer_enter(conn, call);
    if (rc < 0)
        return rc;
    rc = refuse_if_over(conn);
    if (rc == 0)
        rc = buffers_need(conn) ? conn->buffers->out_error : -ENOMEM;
    return rc < 0 ? writer_leave(conn, rc) : 0;
}

static int fail(struct conn_buffers *b, int error)
{
    octets_drop(&b->out, octets_len(&b->out));
    octets_release(&b->out);
    return b->out_error = error;
}

/* Tries to write what was put, and this data behind it. Takes away what has gone. Returns 0, also
 * when nothing can go now, or an error that ends all writing. */
static int write_some(struct tepal_conn *conn, const char **data, size_t *len)
{
    struct conn_buffers *b = conn->buffers;
    size_t put = octets_len(&b->out);
    struct iovec pieces[2] = {
        { .iov_base = b->out.data + b->out.start, .iov_len = put },
        { .iov_base = (void *)(uintptr_t)*data, .iov_len = *len },
    };
    int first = put == 0, last = *len > 0;
    ssize_t n = conn->ops->writev(conn, pieces + first, 1 + last - first);
    if (n < 0)
        return n == -EAGAIN ? 0 : fail(b, (int)n);
    size_t of_put = (size_t)n < put ? (size_t)n : put, of_data = (size_t)n - of_put;
    octets_drop(&b->out, of_put);
    *data += of_data;
    *len -= of_data;
    return 0;
}

bool conn_has_unsent(const struct tepal_conn *conn)
{
    return conn->buffers && octets_len(&conn->buffers->out) > 0;
}

int writer_flush(struct tepal_conn *conn)
{
    struct conn_buffers *b = conn->buffers;
    if (LIKELY(!b))
        return 0;
    const char *data = "";
    size_t len = 0;
    int rc = b->out_error;
    while (rc == 0 && octets_len(&b->out) > 0) {
        rc = conn_wait_write(conn, TEPAL_NEVER);
        if (rc == 0)
            rc = write_some(conn, &data, &len);
    }
    octets_release(&b->out);
    return rc;
}

void writer_flush_some(struct tepal_conn *conn)
{
    const char *data = "";
    size_t len = 0;
    while (conn_has_unsent(conn) && (conn->io.state & IO_WRITE))
        if (write_some(conn, &data, &len) < 0)
            return;
}

/* The room of a buffer for max octets. */
static size_t room(const struct conn_buffers *b, size_t max)
{
    size_t len = octets_len(&b->out);
    return len < max ? max - len : 0;
}

/* Writes until the rest of the data fits into a buffer for max octets. */
static int write_until_it_fits(struct tepal_conn *conn, size_t max, const char **data, size_t *len)
{
    struct conn_buffers *b = conn->buffers;
    size_t whole = *len;
    int rc = 0;
    while (*len > room(b, max) && rc == 0) {
        rc = conn_wait_write(conn, TEPAL_NEVER);
        if (rc == 0)
            rc = write_some(conn, data, len);
        else if (*len < whole) /* what comes later has no deadline over, and is not interrupted */
            fail(b, -EPIPE);
    }
    return rc;
}

static int put(struct tepal_conn *conn, const char *data, size_t len)
{
    struct conn_buffers *b = conn->buffers;
    /* First, so that nothing can fail when a part of the data has gone; and for the size that the
     * buffer has now: it may be given another one while the task waits. */
    size_t max = b->max_out, fitting = len < room(b, max) ? len : room(b, max);
    int rc = octets_reserve(&b->out, fitting, max);
    if (rc == 0 && len > fitting)
        rc = write_until_it_fits(conn, max, &data, &len);
    if (rc == 0 && len > 0)
        rc = octets_reserve(&b->out, len, max); /* what is there is moved at most */
    if (rc == 0 && len > 0) {
        memcpy(b->out.data + b->out.end, data, len);
        b->out.end += len;
    }
    octets_release(&b->out);
    return rc;
}

int tepal_conn_put(tepal_conn *conn, const void *data, size_t len)
{
    int rc = begin(conn, "tepal_conn_put");
    return rc < 0 ? rc : writer_leave(conn, put(conn, data, len));
}

/* Formats straight into the buffer if the text fits. Returns the length of the text. */
static int format_in_place(struct conn_buffers *b, const char *format, va_list args)
{
    enum { LIKELY_ENOUGH = 256 };
    size_t space = room(b, b->max_out);
    if (space >= LIKELY_ENOUGH)
        (void)octets_reserve(&b->out, LIKELY_ENOUGH, b->max_out);
    if (space > b->out.cap - b->out.end)
        space = b->out.cap - b->out.end;
    int len = vsnprintf(space > 0 ? b->out.data + b->out.end : NULL, space, format, args);
    if (len > 0 && (size_t)len < space)
        b->out.end += (size_t)len;
    return len;
}

int tepal_conn_putf(tepal_conn *conn, const char *format, ...)
{
    int rc = begin(conn, "tepal_conn_putf");
    if (rc < 0)
        return rc;
    struct conn_buffers *b = conn->buffers;
    size_t before = octets_len(&b->out);
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = format_in_place(b, format, args);
    if (len < 0) {
        rc = -EINVAL;
    } else if (len > 0 && octets_len(&b->out) == before) {
        char *text = mem_alloc((size_t)len + 1);
        rc = -ENOMEM;
        if (text) {
            vsnprintf(text, (size_t)len + 1, format, again);
            rc = put(conn, text, (size_t)len);
        }
        mem_free(text);
    }
    octets_release(&b->out);
    va_end(again);
    va_end(args);
    return writer_leave(conn, rc);
}

int tepal_conn_drain(tepal_conn *conn)
{
    int rc = begin(conn, "tepal_conn_drain");
    if (rc < 0)
        return rc;
    rc = writer_flush(conn);
    if (rc == 0) /* what is below the buffer may hold something, too */
        rc = conn_writev(conn, NULL, 0, TEPAL_NEVER);
    return writer_leave(conn, rc);
}

int tepal_conn_set_max_output(tepal_conn *conn, size_t max)
{
    conn_need(conn, "tepal_conn_set_max_output");
    if (!buffers_need(conn))
        return -ENOMEM;
    conn->buffers->max_out = max ? max : LOOP_BUFFER_SIZE;
    return 0;
}
