/* Taking turns at a socket: who comes while another task is in the middle of what must not be cut
 * in two waits in a queue, in order, and has its turn when all before it have ended theirs.
 *
 * Also how a socket is closed under tasks that are about to leave it: see turns_is_leaving().
 */
#ifndef TEPAL_NET_TURNS_H
#define TEPAL_NET_TURNS_H

#include "async/waiters.h"

/* All zero at the beginning. */
struct turns {
    struct tepal_waiters queue;
    struct tepal_task *next; /* was told that it is its turn, and has not run since */
};

/* Waits for its turn. Suspends. Returns 0, and turns_pass() must follow; or an error, and then
 * nothing more may be done with turns, which may be gone. */
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

/* Whether a task that is in a call that waits (NULL: none is) returns from it without waiting again,
 * since it has been cancelled or its time is over, and only has not run since; or never, in a child of
 * fork(). What it waits for may
 * be closed then, as a channel may; it is freed when the task has left. */
static inline bool turns_is_leaving(const struct tepal_task *task)
{
    return !task || task->cancelled || (!task->waiting && task->result < 0) || loop_is_forked();
}

/* Whether a task waits for its turn that is not about to leave. */
static inline bool turns_are_awaited(struct turns *turns)
{
    return (waiters_first(&turns->queue) && !loop_is_forked()) || !turns_is_leaving(turns->next);
}

#endif
