/* Buffered reading: so many octets exactly, up to a delimiter, a line.
 *
 * Octets are taken from the buffer only when all that was asked for is there. So a call that is cut
 * short, or whose limit is too small, leaves them for the next one.
 */
#include "net/conn/buffers.h"

#include "async/task/task.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

/* What each call must do first. Returns 0 or the error to return. Every so often lets others run: a
 * task that reads line after line from the buffer must not have the loop to itself. */
static int begin(struct tepal_conn *conn, const char *call)
{
    task_need(call);
    conn_need(conn, call);
    int rc = conn_may_wait_read(conn);
    if (rc == 0)
        rc = buffers_need(conn) ? conn->buffers->in_error : -ENOMEM;
    return rc < 0 ? (int)conn_left(conn, rc) : 0;
}

/* Reads what there is behind what is in the buffer, which has room for want octets in all then, and
 * for max if it must grow. Suspends. Returns 1, TEPAL_ECLOSED at the end, or another error. */
static int fill(struct tepal_conn *conn, size_t want, size_t max)
{
    struct octets *in = &conn->buffers->in;
    ssize_t n;
    do {
        octets_release(in); /* a connection that waits needs none */
        int rc = conn_wait_read(conn, TEPAL_NEVER);
        if (rc == 0)
            rc = octets_reserve(in, want - octets_len(in), max);
        if (rc < 0)
            return rc;
        n = conn_try_read(conn, in->data + in->end, in->cap - in->end);
    } while (n == -EAGAIN);
    if (n > 0) {
        in->end += (size_t)n;
        return 1;
    }
    octets_release(in);
    return n == 0 ? TEPAL_ECLOSED : (int)n;
}

bool conn_has_unread(const struct tepal_conn *conn)
{
    return conn->buffers && octets_len(&conn->buffers->in) > 0;
}

ssize_t tepal_conn_read(tepal_conn *conn, void *buffer, size_t size)
{
    task_need("tepal_conn_read");
    conn_need(conn, "tepal_conn_read");
    if (size == 0) /* 0 is the end */
        return -EINVAL;
    if (!conn->buffers)
        return conn_left(conn, conn_read(conn, buffer, size, TEPAL_NEVER));
    int rc = begin(conn, "tepal_conn_read");
    if (rc < 0)
        return rc;
    struct octets *in = &conn->buffers->in;
    size_t n = octets_take(in, buffer, size);
    octets_release(in);
    if (n > 0)
        return (ssize_t)n;
    return conn_left(conn, conn_read(conn, buffer, size, TEPAL_NEVER));
}

/* --- Looking ---------------------------------------------------------------------------------- */

/* Fills the buffer until it has n octets, or fewer at the end of the peer's side, and room for a
 * NUL. Returns 0 or an error. Suspends. */
static int fill_up_to(struct tepal_conn *conn, size_t n)
{
    struct octets *in = &conn->buffers->in;
    int rc = 1;
    while (octets_len(in) < n && rc > 0)
        rc = fill(conn, n, n + 1);
    if (rc < 0 && rc != TEPAL_ECLOSED)
        return rc;
    return octets_len(in) > 0 ? octets_reserve(in, 1, octets_len(in) + 1) : 0;
}

ssize_t tepal_conn_peek(tepal_conn *conn, size_t n, const char **data)
{
    int rc = begin(conn, "tepal_conn_peek");
    need_place("tepal_conn_peek", data);
    if (rc < 0)
        return rc;
    if (n == 0 || n > TEPAL_MAX_PEEK) /* 0 is the end */
        return n == 0 ? -EINVAL : -EMSGSIZE;
    rc = fill_up_to(conn, n);
    if (rc < 0)
        return conn_left(conn, rc);
    struct octets *in = &conn->buffers->in;
    size_t len = octets_len(in);
    *data = "";
    if (len > 0) {
        in->data[in->end] = '\0';
        *data = in->data + in->start;
    }
    return (ssize_t)len;
}

/* --- Exactly ---------------------------------------------------------------------------------- */

/* Lets the octets that have come be read again, and returns error; -ENOMEM when they are lost. */
static int put_back(struct conn_buffers *b, const char *data, size_t len, int error)
{
    if (len == 0)
        return error;
    if (octets_reserve(&b->in, len, len) < 0)
        return b->in_error = -ENOMEM;
    memcpy(b->in.data, data, len);
    b->in.end = len;
    return error;
}

/* Without the way through the buffer. */
static int read_directly(struct tepal_conn *conn, char *to, size_t size)
{
    struct octets *in = &conn->buffers->in;
    size_t done = octets_take(in, to, size);
    octets_release(in);
    while (done < size) {
        ssize_t n = conn_read(conn, to + done, size - done, TEPAL_NEVER);
        if (n <= 0)
            return put_back(conn->buffers, to, done, n == 0 ? TEPAL_ECLOSED : (int)n);
        done += (size_t)n;
    }
    return 0;
}

static int read_buffered(struct tepal_conn *conn, void *buffer, size_t size)
{
    struct octets *in = &conn->buffers->in;
    while (octets_len(in) < size) {
        int rc = fill(conn, size, size);
        if (rc < 0)
            return rc;
    }
    octets_take(in, buffer, size);
    return 0;
}

int tepal_conn_read_exactly(tepal_conn *conn, void *buffer, size_t size)
{
    int rc = begin(conn, "tepal_conn_read_exactly");
    if (rc < 0)
        return rc;
    rc = size > LOOP_BUFFER_SIZE ? read_directly(conn, buffer, size)
                                 : read_buffered(conn, buffer, size);
    return (int)conn_left(conn, rc);
}

/* --- Up to a delimiter ------------------------------------------------------------------------ */

struct delimiter {
    const char *data;
    size_t len;
    bool after_cr; /* a CR before it belongs to it */
};

/* Where the delimiter first ends in the octets, or 0; the first known octets have been searched. */
static size_t find_end(const struct octets *in, size_t known, const struct delimiter *delimiter)
{
    size_t from = known < delimiter->len ? 0 : known - delimiter->len + 1;
    if (octets_len(in) - from < delimiter->len)
        return 0;
    const char *at = in->data + in->start, *found;
    if (delimiter->len == 1)
        found = memchr(at + from, delimiter->data[0], octets_len(in) - from);
    else
        found = memmem(at + from, octets_len(in) - from, delimiter->data, delimiter->len);
    return found ? (size_t)(found - at) + delimiter->len : 0;
}

/* Takes the octets up to end, the last of which are the delimiter, if there are no more than max
 * besides it. */
static ssize_t cut(struct octets *in, size_t end, size_t max, const struct delimiter *delimiter,
                   char **data)
{
    char *at = in->data + in->start;
    size_t len = end - delimiter->len;
    if (delimiter->after_cr && len > 0 && at[len - 1] == '\r')
        len--;
    if (len > max)
        return -EMSGSIZE;
    at[len] = '\0';
    *data = at;
    /* They stay where they are until the next call. */
    in->start += end;
    return (ssize_t)len;
}

static ssize_t read_until(struct tepal_conn *conn, const struct delimiter *delimiter, size_t max,
                          char **data)
{
    struct octets *in = &conn->buffers->in;
    size_t most = delimiter->len + delimiter->after_cr, known = 0;
    most = max < SIZE_MAX - most ? max + most : SIZE_MAX;
    while (true) {
        size_t end = find_end(in, known, delimiter);
        if (end > 0)
            return cut(in, end, max, delimiter, data);
        known = octets_len(in);
        if (known >= most)
            return -EMSGSIZE;
        int rc = fill(conn, known + 1, most);
        if (rc < 0)
            return rc;
    }
}

ssize_t tepal_conn_read_until(tepal_conn *conn, const void *delimiter, size_t delimiter_len,
                              size_t max, char **data)
{
    if (delimiter_len == 0 || !delimiter)
        misuse("tepal_conn_read_until", "the delimiter is empty");
    int rc = begin(conn, "tepal_conn_read_until");
    need_place("tepal_conn_read_until", data);
    if (rc < 0)
        return rc;
    struct delimiter wanted = { .data = delimiter, .len = delimiter_len };
    return conn_left(conn, read_until(conn, &wanted, max, data));
}

ssize_t tepal_conn_read_line(tepal_conn *conn, size_t max, char **line)
{
    static const struct delimiter newline = { .data = "\n", .len = 1, .after_cr = true };
    int rc = begin(conn, "tepal_conn_read_line");
    need_place("tepal_conn_read_line", line);
    return rc < 0 ? rc : conn_left(conn, read_until(conn, &newline, max, line));
}
