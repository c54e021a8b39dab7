/* The input buffer of a connection. It moves octets, and knows nothing of what they mean. */
#include "async/task.h"
#include "base/mem.h"
#include "conn/h1_conn.h"

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

static NO_INLINE void give_pinned(struct h1_conn_work *work)
{
    give_buffer(work->pinned, work->pinned_cap);
    work->pinned = NULL;
}

void h1_conn_release_input(struct h1_conn *http)
{
    if (UNLIKELY(http->work && http->work->pinned))
        give_pinned(http->work);
    char *buffer = http->in;
    uint32_t cap = http->in_cap;
    http->in = NULL;
    http->in_start = http->in_end = http->in_cap = 0;
    give_buffer(buffer, cap);
}

void h1_conn_unpin_head(struct h1_conn *http)
{
    if (UNLIKELY(http->work->pinned != NULL))
        give_pinned(http->work);
    if (http->in_start == http->in_end)
        http->in_start = http->in_end = 0;
}

/* For octets that begin where the buffer does. */
static int grow_input(struct h1_conn *http)
{
    uint32_t max = http->limits->max_input;
    if (http->in_cap >= max)
        return -ENOBUFS;
    uint32_t cap = http->in_cap > max / 2 ? max : http->in_cap * 2;
    char *buffer = mem_alloc(cap);
    if (!buffer)
        return -ENOMEM;
    memcpy(buffer, http->in, http->in_end);
    give_buffer(http->in, http->in_cap);
    http->in = buffer;
    http->in_cap = cap;
    return 0;
}

static NO_INLINE int make_input_room(struct h1_conn *http)
{
    if (http->in_start == 0)
        return grow_input(http);
    memmove(http->in, http->in + http->in_start, http->in_end - http->in_start);
    http->in_end -= http->in_start;
    http->in_start = 0;
    return 0;
}

int h1_conn_reserve_input(struct h1_conn *http)
{
    if (http->in)
        return http->in_end < http->in_cap ? 0 : make_input_room(http);
    http->in = block_take(&loop_current->buffers);
    if (!http->in)
        return -ENOMEM;
    http->in_cap = LOOP_BUFFER_SIZE;
    return 0;
}

ssize_t h1_conn_try_fill(struct h1_conn *http)
{
    if (!(http->conn.io.state & IO_READ))
        return -EAGAIN;
    int rc = h1_conn_reserve_input(http);
    if (rc < 0)
        return rc;
    ssize_t n = conn_try_read(&http->conn, http->in + http->in_end, http->in_cap - http->in_end);
    if (n > 0)
        http->in_end += (uint32_t)n;
    return n;
}

/* Empties the input buffer for a body, leaving the head where it is: behind it if there is room, in
 * a new buffer if not. */
static int make_body_room(struct h1_conn *http, uint32_t head_end)
{
    struct h1_conn_work *work = http->work;
    uint32_t from = work->pinned ? 0 : head_end;
    if (http->in_cap - from < MIN_ROOM) {
        char *buffer = block_take(&loop_current->buffers);
        if (!buffer)
            return -ENOMEM;
        work->pinned = http->in;
        work->pinned_cap = http->in_cap;
        http->in = buffer;
        http->in_cap = LOOP_BUFFER_SIZE;
        from = 0;
    }
    http->in_start = http->in_end = from;
    return 0;
}

/* Takes the result of an attempt to read into the room behind the head. */
static int took(struct h1_conn *http, ssize_t n)
{
    if (n <= 0)
        return n == 0 ? TEPAL_ECLOSED : (int)n;
    http->in_end += (uint32_t)n;
    return 1;
}

static int read_behind_head(struct h1_conn *http, uint32_t head_end)
{
    int rc = make_body_room(http, head_end);
    if (rc < 0)
        return rc;
    return took(http,
                conn_try_read(&http->conn, http->in + http->in_end, http->in_cap - http->in_end));
}

int h1_conn_try_fill_body(struct h1_conn *http, uint32_t head_end)
{
    return http->conn.io.state & IO_READ ? read_behind_head(http, head_end) : -EAGAIN;
}

int h1_conn_fill_body(struct h1_conn *http, uint32_t head_end, int64_t timeout_ms)
{
    while (true) {
        int rc = h1_conn_wait(http, IO_READ, loop_time_after(loop_current->now, timeout_ms));
        bool late = rc == -ETIMEDOUT && !task_was_interrupted(rc);
        if (rc < 0 && !late)
            return rc;
        /* Also when it is late: the process may have been held, and not the peer. */
        rc = read_behind_head(http, head_end);
        if (rc != -EAGAIN)
            return rc;
        if (late)
            return -ETIMEDOUT;
    }
}
