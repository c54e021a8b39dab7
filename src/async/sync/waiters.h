/* The queue of the tasks that wait for one thing: in order, without allocation, empty when zero.
 *
 * A waiter lies on the stack of its task, or in the cases of its select. index is the number of the
 * case or of the party, else 0; item what its task sends, or where it receives; closed says that
 * what it waits for will not come, and queued that it is in the queue.
 *
 * A task that has been cancelled or is out of time stays in the queue until it runs. It is passed
 * over and put out of the queue by whoever would serve it first: what is handed over always goes to
 * a task that will return it to its caller. The other way round, a task that has been woken is out
 * of reach of cancellation until it returns; see task_cancel(). Together that is why nothing is
 * ever lost.
 */
#ifndef TEPAL_ASYNC_SYNC_WAITERS_H
#define TEPAL_ASYNC_SYNC_WAITERS_H

#include "async/task/task.h"

#include <tepal/sync.h>

static inline void waiters_append(struct tepal_waiters *waiters, struct tepal_waiter *waiter)
{
    waiter->next = NULL;
    waiter->prev = waiters->last;
    *(waiters->last ? &waiters->last->next : &waiters->first) = waiter;
    waiters->last = waiter;
    waiter->queued = true;
}

static inline void waiters_remove(struct tepal_waiters *waiters, struct tepal_waiter *waiter)
{
    if (!waiter->queued)
        return;
    *(waiter->prev ? &waiter->prev->next : &waiters->first) = waiter->next;
    *(waiter->next ? &waiter->next->prev : &waiters->last) = waiter->prev;
    waiter->queued = false;
}

/* The first that still waits, or NULL. It stays in the queue. */
static inline struct tepal_waiter *waiters_first(struct tepal_waiters *waiters)
{
    struct tepal_waiter *waiter;
    while ((waiter = waiters->first) && UNLIKELY(!waiter->task->waiting))
        waiters_remove(waiters, waiter);
    return waiter;
}

/* Takes the first that still waits out of the queue: NULL when there is none. The caller must wake
 * its task. */
static inline struct tepal_waiter *waiters_take(struct tepal_waiters *waiters)
{
    struct tepal_waiter *waiter = waiters_first(waiters);
    if (waiter)
        waiters_remove(waiters, waiter);
    return waiter;
}

/* Suspends the running task in the queue; see task_wait(). */
static inline int waiters_wait(struct tepal_waiters *waiters, struct tepal_waiter *waiter,
                               const char *what)
{
    struct loop *loop = loop_current;
    waiter->task = loop->current;
    waiters_append(waiters, waiter);
    int rc = task_wait(loop, what, TEPAL_NEVER);
    waiters_remove(waiters, waiter);
    return rc;
}

#endif
