/* Mutex, semaphore, event, condition and barrier. What is given back is handed over at once to the
 * first that waits, so that nobody can come between; waiters.h says why that is safe. */
#include "async/sync/waiters.h"
#include "base/log.h"

#include <errno.h>

/* Lets the first that waits go on. Returns its task, or NULL when none waits. */
static struct tepal_task *wake_first(struct tepal_waiters *waiters)
{
    struct tepal_waiter *waiter = waiters_take(waiters);
    if (!waiter)
        return NULL;
    task_wake(waiter->task, 0);
    return waiter->task;
}

static void wake_all(struct tepal_waiters *waiters)
{
    while (wake_first(waiters))
        continue;
}

static inline void need(const char *call, const void *thing)
{
    if (UNLIKELY(!thing))
        misuse(call, "the argument is NULL");
}

/* --- Mutex ------------------------------------------------------------------------------------ */

/* A task that ends must not hold one, so that an owner is always a task that lives. */
static void own(tepal_mutex *mutex, struct tepal_task *task)
{
    mutex->owner = task;
    if (task)
        task->n_mutexes++;
}

int tepal_mutex_lock(tepal_mutex *mutex)
{
    struct tepal_task *task = task_need("tepal_mutex_lock");
    need("tepal_mutex_lock", mutex);
    if (mutex->owner == task)
        misuse("tepal_mutex_lock", "the task holds this mutex already");
    int rc = task_may_give_way(loop_current, task);
    if (rc < 0)
        return rc;
    if (!mutex->owner) {
        own(mutex, task);
        return 0;
    }
    return waiters_wait(&mutex->waiters, &(struct tepal_waiter){ 0 }, "a mutex");
}

int tepal_mutex_try_lock(tepal_mutex *mutex)
{
    struct tepal_task *task = task_need("tepal_mutex_try_lock");
    need("tepal_mutex_try_lock", mutex);
    if (mutex->owner)
        return -EAGAIN;
    own(mutex, task);
    return 0;
}

void tepal_mutex_unlock(tepal_mutex *mutex)
{
    struct tepal_task *task = task_need("tepal_mutex_unlock");
    need("tepal_mutex_unlock", mutex);
    if (mutex->owner != task)
        misuse("tepal_mutex_unlock", "the task does not hold this mutex");
    task->n_mutexes--;
    own(mutex, wake_first(&mutex->waiters));
}

/* Locks the mutex, whatever happens to the task meanwhile. */
static void lock_shielded(tepal_mutex *mutex, struct tepal_task *task)
{
    if (!mutex->owner) {
        own(mutex, task);
        return;
    }
    struct tepal_waiter waiter = { .task = task };
    waiters_append(&mutex->waiters, &waiter);
    task_wait_shielded(loop_current, "the mutex of a condition");
}

/* --- Semaphore -------------------------------------------------------------------------------- */

int tepal_semaphore_acquire(tepal_semaphore *semaphore)
{
    need("tepal_semaphore_acquire", semaphore);
    int rc = task_may_give_way(loop_current, task_need("tepal_semaphore_acquire"));
    if (rc < 0 || tepal_semaphore_try_acquire(semaphore) == 0)
        return rc;
    return waiters_wait(&semaphore->waiters, &(struct tepal_waiter){ 0 }, "a semaphore");
}

int tepal_semaphore_try_acquire(tepal_semaphore *semaphore)
{
    need("tepal_semaphore_try_acquire", semaphore);
    if (semaphore->n == 0)
        return -EAGAIN;
    semaphore->n--;
    return 0;
}

void tepal_semaphore_release(tepal_semaphore *semaphore)
{
    need("tepal_semaphore_release", semaphore);
    if (wake_first(&semaphore->waiters))
        return;
    if (semaphore->n == SIZE_MAX)
        misuse("tepal_semaphore_release", "more permits than can be counted");
    semaphore->n++;
}

/* --- Event ------------------------------------------------------------------------------------ */

void tepal_event_set(tepal_event *event)
{
    need("tepal_event_set", event);
    event->happened = true;
    wake_all(&event->waiters);
}

void tepal_event_clear(tepal_event *event)
{
    need("tepal_event_clear", event);
    event->happened = false;
}

bool tepal_event_is_set(const tepal_event *event)
{
    need("tepal_event_is_set", event);
    return event->happened;
}

int tepal_event_wait(tepal_event *event)
{
    need("tepal_event_wait", event);
    int rc = task_may_give_way(loop_current, task_need("tepal_event_wait"));
    if (rc < 0 || event->happened)
        return rc;
    return waiters_wait(&event->waiters, &(struct tepal_waiter){ 0 }, "an event");
}

/* --- Condition -------------------------------------------------------------------------------- */

int tepal_condition_wait(tepal_condition *condition, tepal_mutex *mutex)
{
    struct tepal_task *task = task_need("tepal_condition_wait");
    need("tepal_condition_wait", condition);
    need("tepal_condition_wait", mutex);
    if (mutex->owner != task)
        misuse("tepal_condition_wait", "the task does not hold the mutex");
    int rc = task_check(loop_current, task);
    if (rc < 0)
        return rc;
    tepal_mutex_unlock(mutex);
    rc = waiters_wait(&condition->waiters, &(struct tepal_waiter){ 0 }, "a condition");
    lock_shielded(mutex, task);
    return rc;
}

void tepal_condition_signal(tepal_condition *condition)
{
    need("tepal_condition_signal", condition);
    wake_first(&condition->waiters);
}

void tepal_condition_broadcast(tepal_condition *condition)
{
    need("tepal_condition_broadcast", condition);
    wake_all(&condition->waiters);
}

/* --- Barrier ---------------------------------------------------------------------------------- */

/* Ends the round: all that came get their number, or with broken -EPIPE. That includes those that
 * have been cancelled and did not run yet, so that all of a round are told the same. */
static void end_round(tepal_barrier *barrier, bool broken)
{
    struct tepal_waiter *waiter;
    for (int i = 0; (waiter = barrier->waiters.first); i++) {
        waiters_remove(&barrier->waiters, waiter);
        waiter->index = i;
        waiter->closed = broken;
        task_wake(waiter->task, 0);
    }
    barrier->n_waiting = 0;
}

int tepal_barrier_wait(tepal_barrier *barrier)
{
    need("tepal_barrier_wait", barrier);
    int rc = task_may_give_way(loop_current, task_need("tepal_barrier_wait"));
    if (barrier->parties < 1)
        misuse("tepal_barrier_wait", "a barrier has at least one party");
    if (rc < 0)
        return rc;
    if (barrier->broken)
        return -EPIPE;
    if (barrier->n_waiting == barrier->parties - 1) {
        end_round(barrier, false);
        return barrier->parties - 1;
    }
    struct tepal_waiter waiter = { .task = loop_current->current };
    waiters_append(&barrier->waiters, &waiter);
    barrier->n_waiting++;
    rc = task_wait(loop_current, "a barrier", TEPAL_NEVER);
    if (waiter.queued)
        tepal_barrier_break(barrier);
    else if (!waiter.closed)
        return waiter.index;
    return rc < 0 ? rc : -EPIPE;
}

void tepal_barrier_break(tepal_barrier *barrier)
{
    need("tepal_barrier_break", barrier);
    barrier->broken = true;
    end_round(barrier, true);
}

void tepal_barrier_reset(tepal_barrier *barrier)
{
    need("tepal_barrier_reset", barrier);
    end_round(barrier, true);
    barrier->broken = false;
}
