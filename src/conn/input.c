/* The input buffer of a connection. It moves octets, and knows nothing of what they mean. */
#include "async/task.h"
#include "base/mem.h"
#include "conn/conn.h"

#include <errno.h>
#include <string.h>

/* Less room than this behind a head is not worth a read. */
enum { MIN_ROOM = 4096 };

static void give_buffer(char *buffer, uint32_t cap)
{
    if (cap == LOOP_BUFFER_SIZE)
        block_give(&loop_current->buffers, buffer);
    else
        mem_free(buffer);
}

static NO_INLINE void give_pinned(struct conn_work *work)
{
    give_buffer(work->pinned, work->pinned_cap);
    work->pinned = NULL;
}

void conn_release_input(struct http_conn *conn)
{
    if (UNLIKELY(conn->work && conn->work->pinned))
        give_pinned(conn->work);
    char *buffer = conn->in;
    uint32_t cap = conn->in_cap;
    conn->in = NULL;
    conn->in_start = conn->in_end = conn->in_cap = 0;
    give_buffer(buffer, cap);
}

void conn_unpin_head(struct http_conn *conn)
{
    if (UNLIKELY(conn->work->pinned != NULL))
        give_pinned(conn->work);
    if (conn->in_start == conn->in_end)
        conn->in_start = conn->in_end = 0;
}

static int grow_input(struct http_conn *conn)
{
    uint32_t max = conn->limits->max_input;
    if (conn->in_cap >= max)
        return -ENOBUFS;
    uint32_t cap = conn->in_cap > max / 2 ? max : conn->in_cap * 2;
    char *buffer = mem_alloc(cap);
    if (!buffer)
        return -ENOMEM;
    memcpy(buffer, conn->in + conn->in_start, conn->in_end - conn->in_start);
    give_buffer(conn->in, conn->in_cap);
    conn->in = buffer;
    conn->in_cap = cap;
    conn->in_end -= conn->in_start;
    conn->in_start = 0;
    return 0;
}

static NO_INLINE int make_input_room(struct http_conn *conn)
{
    if (conn->in_start == 0)
        return grow_input(conn);
    memmove(conn->in, conn->in + conn->in_start, conn->in_end - conn->in_start);
    conn->in_end -= conn->in_start;
    conn->in_start = 0;
    return 0;
}

int conn_reserve_input(struct http_conn *conn)
{
    if (conn->in)
        return conn->in_end < conn->in_cap ? 0 : make_input_room(conn);
    conn->in = block_take(&loop_current->buffers);
    if (!conn->in)
        return -ENOMEM;
    conn->in_cap = LOOP_BUFFER_SIZE;
    return 0;
}

ssize_t conn_try_fill(struct http_conn *conn)
{
    if (!(conn->stream.io.state & IO_READ))
        return -EAGAIN;
    int rc = conn_reserve_input(conn);
    if (rc < 0)
        return rc;
    ssize_t n =
        stream_try_read(&conn->stream, conn->in + conn->in_end, conn->in_cap - conn->in_end);
    if (n > 0)
        conn->in_end += (uint32_t)n;
    return n;
}

/* Empties the input buffer for a body, leaving the head where it is: behind it if there is room, in
 * a new buffer if not. */
static int make_body_room(struct http_conn *conn, uint32_t head_end)
{
    struct conn_work *work = conn->work;
    uint32_t from = work->pinned ? 0 : head_end;
    if (conn->in_cap - from < MIN_ROOM) {
        char *buffer = block_take(&loop_current->buffers);
        if (!buffer)
            return -ENOMEM;
        work->pinned = conn->in;
        work->pinned_cap = conn->in_cap;
        conn->in = buffer;
        conn->in_cap = LOOP_BUFFER_SIZE;
        from = 0;
    }
    conn->in_start = conn->in_end = from;
    return 0;
}

/* Takes the result of an attempt to read into the room behind the head. */
static int took(struct http_conn *conn, ssize_t n)
{
    if (n <= 0)
        return n == 0 ? TEPAL_ECLOSED : (int)n;
    conn->in_end += (uint32_t)n;
    return 1;
}

static int read_behind_head(struct http_conn *conn, uint32_t head_end)
{
    int rc = make_body_room(conn, head_end);
    if (rc < 0)
        return rc;
    return took(
        conn, stream_try_read(&conn->stream, conn->in + conn->in_end, conn->in_cap - conn->in_end));
}

int conn_try_fill_body(struct http_conn *conn, uint32_t head_end)
{
    return conn->stream.io.state & IO_READ ? read_behind_head(conn, head_end) : -EAGAIN;
}

int conn_fill_body(struct http_conn *conn, uint32_t head_end, int64_t timeout_ms)
{
    while (true) {
        int rc = conn_wait(conn, IO_READ, loop_time_after(loop_current->now, timeout_ms));
        bool late = rc == -ETIMEDOUT && !conn_was_interrupted(rc);
        if (rc < 0 && !late)
            return rc;
        /* Also when it is late: the process may have been held, and not the peer. */
        rc = read_behind_head(conn, head_end);
        if (rc != -EAGAIN)
            return rc;
        if (late)
            return -ETIMEDOUT;
    }
}
