/* Taking turns at a socket: who comes while another task is in the middle of what must not be cut
 * in two waits in a queue, in order, and has its turn when all before it have ended theirs.
 *
 * Also how tasks are made to leave a socket, because another one interrupts them or closes it. A
 * task may have been woken then without having run since: it must not go on as if nothing had
 * happened.
 */
#ifndef TEPAL_NET_CONN_TURNS_H
#define TEPAL_NET_CONN_TURNS_H

#include "async/sync/waiters.h"

#include <errno.h>

/* All zero at the beginning. */
struct turns {
    struct tepal_waiters queue;
    struct tepal_task *next; /* was told that it is its turn, and has not run since */
    bool interrupted;        /* that one has been, meanwhile */
};

/* Waits for its turn. Suspends. Returns 0, and turns_pass() must follow; or an error, and then
 * nothing more may be done with turns, which may be gone. After 0 see turns_was_interrupted(). */
static inline int turns_wait(struct turns *turns, const char *what)
{
    struct tepal_waiter waiter = { 0 };
    int rc = waiters_wait(&turns->queue, &waiter, what);
    if (rc == 0)
        turns->next = NULL;
    return rc;
}

/* The end of a turn. */
static inline void turns_pass(struct turns *turns)
{
    struct tepal_waiter *waiter = waiters_take(&turns->queue);
    if (!waiter)
        return;
    turns->next = waiter->task;
    task_wake(waiter->task, 0);
}

/* Whether the task whose turn it is was interrupted before it ran. Forgets it. */
static inline bool turns_was_interrupted(struct turns *turns)
{
    bool interrupted = turns->interrupted;
    turns->interrupted = false;
    return interrupted;
}

/* Lets the calls of all that wait for their turn return error. Returns whether there are any. */
static inline bool turns_refuse(struct turns *turns, int error)
{
    struct tepal_waiter *waiter;
    bool any = turns->next != NULL;
    turns->interrupted = any;
    while ((waiter = waiters_take(&turns->queue))) {
        task_wake(waiter->task, error);
        any = true;
    }
    return any;
}

/* --- Leaving ---------------------------------------------------------------------------------- */

/* Lets the call of the task that waits on io, or was woken there and has not run since, return
 * -EINTR: see io_waited(). Returns whether there is one. */
static inline bool io_interrupt_reader(struct io *io)
{
    if (!io->reader)
        return false;
    io->state |= IO_READER_INTERRUPTED;
    task_wake(io->reader, 0);
    return true;
}

static inline bool io_interrupt_writer(struct io *io)
{
    if (!io->writer)
        return false;
    io->state |= IO_WRITER_INTERRUPTED;
    task_wake(io->writer, 0);
    return true;
}

/* The same at its close: they return -ECANCELED, and must find io->fd -1. In a child of fork() they
 * do not run. */
static inline void io_dismiss(struct io *io)
{
    if (loop_is_forked())
        return;
    if (io->reader)
        task_wake(io->reader, -ECANCELED);
    if (io->writer)
        task_wake(io->writer, -ECANCELED);
}

/* The result of a wait on io, which has returned rc; interrupted is the bit of its side. */
static inline int io_waited(struct io *io, uint32_t interrupted, int rc)
{
    if (LIKELY(io->fd >= 0 && !(io->state & interrupted)))
        return rc;
    io->state &= ~interrupted;
    return rc < 0 ? rc : io->fd < 0 ? -ECANCELED : -EINTR;
}

/* Whether a task that is in a call that waits (NULL: none is) returns from it without waiting
 * again, since it has been cancelled or its time is over, and only has not run since; or never, in
 * a child of fork(). What it waits for may be closed then, as a channel may; it is freed when the
 * task has left. */
static inline bool turns_is_leaving(const struct tepal_task *task)
{
    return !task || task->cancelled || (!task->waiting && task->result < 0) || loop_is_forked();
}

#endif
