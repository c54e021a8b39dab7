/* tepal_conn_relay(): what comes from either of two connections goes to the other. One task does
 * it, in rounds that only try; it waits for both connections at once.
 *
 * Octets on their way are in the input buffer of the connection that they came from, or in a pipe
 * when they need not leave the kernel. Whatever ends the relay, those that have not gone are put
 * back into that buffer: nothing is lost that nobody has got.
 */
#include "async/task/task.h"
#include "net/conn/buffers.h"
#include "net/conn/splice.h"

#include <errno.h>

/* One direction. */
struct flow {
    struct tepal_conn *from, *to;
    struct splice *pipe; /* with octets on their way; NULL: there are none in a pipe */
    bool is_bulk;        /* more comes than a buffer holds: a pipe costs less than copies */
    bool never_splice;   /* it cannot be done */
    bool ended;          /* from has */
    bool told;           /* and to was told so */
    bool done;           /* nothing moves any more */
    int error;           /* why nothing can be written */
};

struct relay {
    struct flow flows[2];
    int64_t idle_ms, idle_at;
};

/* --- One direction ---------------------------------------------------------------------------- */

static bool is_carrying(const struct flow *f)
{
    return f->pipe || octets_len(&f->from->buffers->in) > 0;
}

/* Passes some of what is on its way on. Returns how many octets, or an error. */
static ssize_t pass_on(struct flow *f)
{
    struct octets *in = &f->from->buffers->in;
    if (f->pipe) {
        ssize_t n = splice_out(f->pipe, f->to);
        if (f->pipe->len > 0)
            return n;
        splice_give(f->pipe);
        f->pipe = NULL;
        return n;
    }
    if (octets_len(in) == 0)
        return 0;
    ssize_t n = conn_try_write(f->to, in->data + in->start, octets_len(in));
    if (n > 0)
        octets_drop(in, (size_t)n);
    octets_release(in);
    return n;
}

/* Writes what the other end takes: what was put into the connection, what is on its way, and what
 * the connection has taken and holds. Returns whether anything has gone, or an error. */
static int flow_write(struct flow *f)
{
    struct tepal_conn *to = f->to;
    bool was_holding = conn_is_holding(to);
    if (to->buffers->out_error < 0)
        return to->buffers->out_error;
    if (!(to->io.state & IO_WRITE))
        return 0;
    if (conn_has_unsent(to)) {
        writer_flush_some(to);
        octets_release(&to->buffers->out);
        return to->buffers->out_error < 0 ? to->buffers->out_error : 1;
    }
    ssize_t n = is_carrying(f) ? pass_on(f) : was_holding ? to->ops->writev(to, NULL, 0) : 0;
    if (n < 0 && n != -EAGAIN)
        return (int)n;
    return n > 0 || was_holding;
}

/* Tries to read into a pipe. Returns as splice_in(). */
static ssize_t read_into_pipe(struct flow *f)
{
    f->pipe = splice_take();
    ssize_t n = f->pipe ? splice_in(f->pipe, f->from) : -EINVAL;
    if (n <= 0 && f->pipe) {
        splice_give(f->pipe);
        f->pipe = NULL;
    }
    f->is_bulk = n >= LOOP_BUFFER_SIZE;
    f->never_splice |= n == -EINVAL;
    return n;
}

/* Reads into the buffer, which is empty. Returns as ops->read. */
static ssize_t read_into_buffer(struct flow *f)
{
    struct octets *in = &f->from->buffers->in;
    if (octets_reserve(in, LOOP_BUFFER_SIZE, LOOP_BUFFER_SIZE) < 0)
        return -ENOMEM;
    size_t room = in->cap - in->end;
    ssize_t n = conn_try_read(f->from, in->data + in->end, room);
    if (n > 0)
        in->end += (size_t)n;
    octets_release(in);
    f->is_bulk = n > 0 && (size_t)n == room;
    return n;
}

/* At urgent data splice() would stay where it is. */
static bool may_splice(const struct flow *f)
{
    return f->is_bulk && !f->never_splice && !(f->from->io.state & IO_STOPS) &&
           splice_knows(f->from) && splice_knows(f->to);
}

/* Reads what has come, when nothing is on its way. Returns whether anything has, or an error. */
static int flow_read(struct flow *f)
{
    struct tepal_conn *from = f->from;
    if (from->buffers->in_error < 0)
        return from->buffers->in_error;
    if (!(from->io.state & IO_READ))
        return 0;
    ssize_t n = may_splice(f) ? read_into_pipe(f) : -EINVAL;
    if (n == -EINVAL)
        n = read_into_buffer(f);
    f->ended = n == 0;
    return n >= 0 ? 1 : n == -EAGAIN ? 0 : (int)n;
}

/* Passes the end on. Returns whether anything has happened, or an error. */
static int flow_end(struct flow *f)
{
    int rc = f->told ? 0 : f->to->ops->shutdown(f->to);
    if (rc < 0)
        return rc;
    f->told = true;
    f->done = !conn_is_holding(f->to);
    return f->done;
}

/* One round. Returns whether anything has moved, or an error of the side that is read. One of the
 * other side ends this direction only: what that one has sent before may still be there. */
static int flow_step(struct flow *f)
{
    if (f->done)
        return 0;
    int wrote = flow_write(f), rc = 0;
    if (wrote >= 0 && !is_carrying(f) && !conn_has_unsent(f->to))
        rc = f->ended ? flow_end(f) : flow_read(f);
    if (wrote >= 0 && rc < 0 && !f->ended)
        return rc;
    if (wrote >= 0 && rc >= 0)
        return wrote > 0 || rc > 0;
    f->error = wrote < 0 ? wrote : rc;
    return f->done = true;
}

/* Whether nothing can be written any more, though nobody has tried: the other side is gone. */
static void flow_look(struct flow *f, const struct flow *back)
{
    if (f->done || !back->done || !(f->to->io.state & IO_HUP))
        return;
    int error = socket_option(f->to->io.fd, SO_ERROR);
    f->error = error > 0 ? conn_error(error) : is_carrying(f) ? -EPIPE : 0;
    f->done = true;
}

/* Puts back what is on its way. */
static void flow_close(struct flow *f)
{
    struct conn_buffers *b = f->from->buffers;
    if (!f->pipe)
        return;
    size_t len = f->pipe->len;
    if (octets_reserve(&b->in, len, len) == 0 && splice_empty(f->pipe, b->in.data + b->in.end))
        b->in.end += len;
    else
        b->in_error = -ENOMEM;
    splice_give(f->pipe);
}

/* --- Both ------------------------------------------------------------------------------------- */

/* Whether the connection was closed, or a task in a call on it interrupted, while this one
 * waited. */
static int look_for_interruption(struct tepal_conn *conn, int rc)
{
    int interrupted = IO_READER_INTERRUPTED | IO_WRITER_INTERRUPTED;
    return io_waited(&conn->io, (uint32_t)interrupted, rc);
}

/* Waits until something may move. Returns 0, 1 when nothing has for too long, or an error. */
static int relay_wait(struct relay *r, bool moved)
{
    struct loop *loop = loop_current;
    bool late = false;
    int rc;
    if (moved) {
        r->idle_at = loop_time_after(loop->now, r->idle_ms);
        rc = task_may_wait(loop, loop->current);
    } else {
        rc = task_wait(loop, "something to relay", r->idle_at);
    }
    if (rc == -ETIMEDOUT) {
        rc = task_check(loop, loop->current);
        late = rc == 0;
    }
    rc = look_for_interruption(r->flows[0].from, rc);
    rc = look_for_interruption(r->flows[1].from, rc);
    return rc < 0 ? rc : late;
}

static int relay_run(struct relay *r)
{
    struct flow *there = &r->flows[0], *back = &r->flows[1];
    bool late = false;
    int rc = 0;
    while (rc >= 0) {
        int moved = flow_step(there), moved_back = moved < 0 ? moved : flow_step(back);
        if (moved_back < 0)
            return moved_back;
        flow_look(there, back);
        flow_look(back, there);
        if (there->done && back->done)
            return there->error < 0 ? there->error : back->error;
        moved |= moved_back;
        if (late && !moved)
            return -ETIMEDOUT;
        rc = relay_wait(r, moved);
        late = rc > 0;
    }
    return rc;
}

static bool is_taken(const struct tepal_conn *conn)
{
    return conn->io.reader || writer_is_inside(conn);
}

static void set_task(struct relay *r, struct tepal_task *task)
{
    for (int i = 0; i < 2; i++)
        r->flows[i].from->io.reader = r->flows[i].from->io.writer = task;
}

int tepal_conn_relay(tepal_conn *a, tepal_conn *b, int64_t idle_ms)
{
    struct tepal_task *task = task_need("tepal_conn_relay");
    if (!a || !b || a == b || idle_ms <= 0)
        return -EINVAL;
    int rc = task_check(loop_current, task);
    if (rc < 0)
        return rc;
    if (is_taken(a) || is_taken(b))
        return -EBUSY;
    if (!buffers_need(a) || !buffers_need(b))
        return -ENOMEM;
    struct relay r = {
        .flows = { { .from = a, .to = b }, { .from = b, .to = a } },
        .idle_ms = idle_ms,
        .idle_at = loop_time_after(loop_current->now, idle_ms),
    };
    set_task(&r, task);
    rc = relay_run(&r);
    flow_close(&r.flows[0]);
    flow_close(&r.flows[1]);
    set_task(&r, NULL);
    (void)writer_leave(a, rc);
    return writer_leave(b, rc);
}
