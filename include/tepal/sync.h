/* What tasks of one loop share, and how they wait for one another: mutex, semaphore, event,
 * condition, barrier.
 *
 * Each is a plain struct that needs no call to be made and none to be ended: one that is zero is
 * ready for use. It must stay at its place while tasks wait, and belongs to one loop: between
 * threads it protects nothing. Between two calls that do not suspend nothing else runs, so a mutex
 * is needed only for what must stay whole while its task waits.
 *
 * Those who wait are served in the order they came, and one that has just come does not overtake
 * them: what is given back is handed to the first who waits. A task that is cancelled or out of
 * time before its turn leaves the queue, and what would have been its own goes to the next; one
 * that is cancelled after it was served returns 0 and is told by its next call. A call that need
 * not wait suspends only now and then, to let the others run once.
 *
 * A call that suspends returns -ECANCELED or -ETIMEDOUT when the wait was cut short, or at once in
 * a task that is cancelled or out of time; then nothing has happened.
 */
#ifndef TEPAL_SYNC_H
#define TEPAL_SYNC_H

#include <tepal/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tepal_task;

/* One who waits, and those who wait, first to last. Private, as are all members below that have no
 * comment. */
struct tepal_waiter {
    struct tepal_waiter *next, *prev;
    struct tepal_task *task;
    void *item;
    int index;
    bool queued, closed;
};

struct tepal_waiters {
    struct tepal_waiter *first, *last;
};

/* --- Mutex ------------------------------------------------------------------------------------ */

/* At most one task holds it. Zero: nobody does. The task that holds it gives it back: to end, or to
 * return from a handler, with one in hand ends the program with a message that names the task. */
typedef struct tepal_mutex {
    struct tepal_task *owner;
    struct tepal_waiters waiters;
    uint64_t later[4];
} tepal_mutex;

/* Takes the mutex, which the calling task must not hold. Suspends. Returns 0, -ECANCELED or
 * -ETIMEDOUT. */
TEPAL_MUST_CHECK TEPAL_API int tepal_mutex_lock(tepal_mutex *mutex);

/* Takes the mutex if nobody holds it. Does not suspend. Returns 0, or -EAGAIN when a task holds
 * it, the calling one included. */
TEPAL_MUST_CHECK TEPAL_API int tepal_mutex_try_lock(tepal_mutex *mutex);

/* Gives the mutex, which the calling task must hold, to the first that waits for it. Does not
 * suspend. */
TEPAL_API void tepal_mutex_unlock(tepal_mutex *mutex);

/* --- Semaphore -------------------------------------------------------------------------------- */

/* A number of permits, each of which one task has at a time: { .n = 10 }. */
typedef struct tepal_semaphore {
    size_t n; /* permits that are free */
    struct tepal_waiters waiters;
    uint64_t later[4];
} tepal_semaphore;

/* Takes a permit. Suspends. Returns 0, -ECANCELED or -ETIMEDOUT. */
TEPAL_MUST_CHECK TEPAL_API int tepal_semaphore_acquire(tepal_semaphore *semaphore);

/* Takes a permit if one is free. Does not suspend. Returns 0 or -EAGAIN. */
TEPAL_MUST_CHECK TEPAL_API int tepal_semaphore_try_acquire(tepal_semaphore *semaphore);

/* Gives a permit back, or adds one: to the first that waits, else to those that are free. Does not
 * suspend, and needs no task. */
TEPAL_API void tepal_semaphore_release(tepal_semaphore *semaphore);

/* --- Event ------------------------------------------------------------------------------------ */

/* Something that has happened or not. Zero: it has not. */
typedef struct tepal_event {
    bool happened;
    struct tepal_waiters waiters;
    uint64_t later[4];
} tepal_event;

/* Says that it has happened: all that wait go on, also if it is cleared before they run. Does not
 * suspend, and needs no task. */
TEPAL_API void tepal_event_set(tepal_event *event);

/* Says that it has not happened any more. Does not suspend, and needs no task. */
TEPAL_API void tepal_event_clear(tepal_event *event);

/* Whether it has happened. Does not suspend, and needs no task. */
TEPAL_API bool tepal_event_is_set(const tepal_event *event);

/* Waits until it has happened. Suspends. Returns 0, -ECANCELED or -ETIMEDOUT. */
TEPAL_MUST_CHECK TEPAL_API int tepal_event_wait(tepal_event *event);

/* --- Condition -------------------------------------------------------------------------------- */

/* Where tasks wait, with a mutex, for others to change what it protects. */
typedef struct tepal_condition {
    struct tepal_waiters waiters;
    uint64_t later[4];
} tepal_condition;

/* Unlocks the mutex, which the calling task must hold, waits for a signal, and locks it again: so
 * the caller holds it whatever is returned. Others may have run between the signal and the lock, so
 * this is called in a loop that looks at what is waited for. Suspends; the waiting for the mutex
 * can neither be cancelled nor time out. Returns 0, -ECANCELED or -ETIMEDOUT; a signal that has
 * been received is always a 0. */
TEPAL_MUST_CHECK TEPAL_API int tepal_condition_wait(tepal_condition *condition, tepal_mutex *mutex);

/* Ends the wait of the first that waits, or of all. Without any nothing happens. Does not suspend,
 * and needs neither the mutex nor a task. */
TEPAL_API void tepal_condition_signal(tepal_condition *condition);
TEPAL_API void tepal_condition_broadcast(tepal_condition *condition);

/* --- Barrier ---------------------------------------------------------------------------------- */

/* Where a number of tasks wait until all of them have come, again and again: { .parties = 3 }.
 *
 * All pass or none does. A party that is cancelled or out of time while it waits breaks the
 * barrier, since the others would wait for it in vain: they get -EPIPE, as do all that come later,
 * until the barrier is reset. */
typedef struct tepal_barrier {
    int parties; /* at least 1 */
    int n_waiting;
    bool broken;
    struct tepal_waiters waiters;
    uint64_t later[4];
} tepal_barrier;

/* Waits until all parties have come; the last one does not wait, and the next to come begin a
 * new round. Suspends. Returns the number in the order of arrival, from 0 to parties - 1: so that
 * exactly one of them can do what must be done once. -EPIPE when the barrier is or becomes broken;
 * -ECANCELED or -ETIMEDOUT: the barrier is broken by this, but not when the task was so already
 * when it came. */
TEPAL_MUST_CHECK TEPAL_API int tepal_barrier_wait(tepal_barrier *barrier);

/* Breaks the barrier: all that wait, now and later, get -EPIPE. Does not suspend, and needs no
 * task. */
TEPAL_API void tepal_barrier_break(tepal_barrier *barrier);

/* Makes the barrier as new; those who wait get -EPIPE. Does not suspend, and needs no task. */
TEPAL_API void tepal_barrier_reset(tepal_barrier *barrier);

#ifdef __cplusplus
}
#endif
#endif
