/* Tasks as the layers above see them: starting, waiting and waking.
 *
 * All waiting goes through task_wait(): it is the one place where cancellation and deadlines are
 * looked at.
 */
#ifndef TEPAL_ASYNC_TASK_TASK_H
#define TEPAL_ASYNC_TASK_TASK_H

#include "async/stack/ctx.h"
#include "async/task/local.h"
#include "async/loop/loop.h"
#include "async/stack/stack.h"
#include "async/loop/timer.h"
#include "base/list.h"
#include "base/platform.h"

#include <tepal/async.h>

#include <stdbool.h>
#include <stdint.h>

struct tepal_task {
    struct ctx ctx;
    struct list ready;    /* in the loop's list */
    struct list in_group; /* in the group's list */
    struct list in_loop;  /* in the list of all tasks */
    tepal_task_fn *fn;
    void *arg;
    tepal_group *group; /* NULL: nobody joins it */
    tepal_job *job;     /* that it runs; NULL: it is none */
    struct local *locals;
    const char *name;
    struct stack *stack;
    void (*before_wait)(void *arg); /* called each time before the task suspends; may not suspend */
    void *before_wait_arg;
    /* Says what it is at, for reports; may be NULL, and is not called while its argument is. */
    void (*describe)(void *arg, char *text, size_t size);
    void *describe_arg;
    struct timer timer;    /* the deadline of the present wait */
    const char *waits_for; /* what the present wait is for, as a phrase: "reading" */
    int64_t waits_since;   /* ms */
    int64_t deadline;      /* the ambient one */
    int64_t refused_since, refused_deadline; /* see refusal.c, as for the two counts */
    int waits_fd; /* the descriptor that the present wait is for; -1: none */
    int result;   /* that the present wait will return */
    unsigned n_refused_cancelled, n_refused_late;
    bool begun;         /* it has run */
    bool via_loop;      /* the loop looks at it after each run: its stack has a canary, or debug
                              mode wants to know for how long it ran */
    bool waiting;       /* in task_wait(), and not woken */
    bool interruptible; /* by cancellation, in the present wait */
    bool cancelled;     /* as its calls are told */
    bool cancel_held;   /* cancelled within a shield, and told after it */
    bool cancel_told;   /* a call has told it so; whoever wants to know clears it before */
    bool in_child;      /* of fork(): it must not return */
    bool abandoned;     /* it never runs again, and its stack stays as it is */
    bool spared;        /* the next refusal does not give it up: see task_takes_place() */
    uint8_t n_unwaited; /* see task_may_wait() */
    unsigned n_shields; /* that it is within */
    unsigned n_mutexes; /* that it holds */
};

/* The running task; misuse, named call, when there is none. */
struct tepal_task *task_need(const char *call);

/* A task on a stack from the pool (stack_size 0) that has not begun. NULL when memory is short. */
struct tepal_task *task_new(struct loop *loop, tepal_task_fn *fn, void *arg, const char *name,
                            size_t stack_size);

/* Gives a new task a copy of as many octets of its argument, which must fit into half its stack. */
void task_copy_arg(struct tepal_task *task, size_t size);

/* Lets a new task run in its turn. */
void task_start(struct loop *loop, struct tepal_task *task);

/* Runs a new or woken task at once, and those of the ready ones that it gives way to, until the
 * turn is over or a task ends. Only for the loop itself: not for use in a task. */
void task_run(struct loop *loop, struct tepal_task *task);

/* Suspends the running task until task_wake(), and returns the result given there; -ETIMEDOUT when
 * until (TEPAL_NEVER for none) or the ambient deadline has come first; -ECANCELED when the task was
 * cancelled. A task that is cancelled or late already does not suspend. what: what it waits for, as
 * a phrase that is constant. */
int task_wait(struct loop *loop, const char *what, int64_t until);

/* The same for a descriptor, so that a report can say which. */
static inline int task_wait_fd(struct loop *loop, const char *what, int fd, int64_t until)
{
    struct tepal_task *task = loop->current;
    task->waits_fd = fd;
    int rc = task_wait(loop, what, until);
    task->waits_fd = -1;
    return rc;
}

/* The same, but nothing ends it except task_wake() or that time (-ETIMEDOUT; TEPAL_NEVER for
 * none): for memory that others hold. */
int task_wait_shielded_until(struct loop *loop, const char *what, int64_t until);

static inline int task_wait_shielded(struct loop *loop, const char *what)
{
    return task_wait_shielded_until(loop, what, TEPAL_NEVER);
}

/* What a suspending call must return before it does anything: 0, -ECANCELED or -ETIMEDOUT. When the
 * task goes on and on in spite of it, others run meanwhile: see refusal.c. */
int task_check(struct loop *loop, struct tepal_task *task);

/* To be called by a call that waits in a place of its own (as the one that reads, or writes),
 * before it takes it. A task that is refused again and again is given up here, if it is to be: the
 * next refusal does not, so that nobody waits for the place for ever. */
void task_look_before_place(struct loop *loop, struct tepal_task *task); /* part of refusal.c */
static inline void task_takes_place(struct loop *loop, struct tepal_task *task)
{
    if (UNLIKELY((task->n_refused_cancelled | task->n_refused_late) > 0))
        task_look_before_place(loop, task);
}

/* Refuses a call of the running task with this error, which is returned, and sees that a task that
 * does not heed it is no harm to the others. Part of refusal.c. */
int task_refuse(struct loop *loop, struct tepal_task *task, int error);

/* Holds the running task back, of which the n-th call in a row (from 1) is refused for a reason
 * that is not the task's own: by a pause of most_ms at most, TASK_MOST_PAUSE_MS or less. why: for
 * the log, as in "it goes on though its time is over". */
enum { TASK_MOST_PAUSE_MS = 100 };
void task_hold_back(struct loop *loop, struct tepal_task *task, unsigned n, int64_t most_ms,
                    const char *why);

/* Lets the others run for so long (0: once). Nothing wakes the task meanwhile: to those in whose
 * queues it may be it is as one that has been woken and did not run yet. */
void task_pause(struct loop *loop, struct tepal_task *task, int64_t ms);

/* Ends a task that does not end by itself, not the running one: it never runs again. What it holds
 * and its stack stay as they are, for a thread may still use them; its result is -ECANCELED. Tasks
 * of its groups go with it. */
void task_abandon(struct loop *loop, struct tepal_task *task);

/* The same for the running task. */
_Noreturn void task_give_up(struct loop *loop, struct tepal_task *task);

/* Whether the result of a wait is none of the doing of what was waited for: the task was cancelled
 * or is out of time, or another one waits already. It can be begun again. */
bool task_was_interrupted(int rc);

/* For a task that could have waited and did not have to: every so often lets the others run, so
 * that a peer that is always ready does not have the loop to itself. Returns what task_check()
 * does. */
static inline int task_may_wait(struct loop *loop, struct tepal_task *task)
{
    enum { AT_ONCE = 16 };
    return UNLIKELY(++task->n_unwaited % AT_ONCE == 0) ? tepal_sleep_ms(0) : task_check(loop, task);
}

/* The same for a call that mostly has to wait, but whose caller may go round for ever where it does
 * not: on a channel that is closed, with an event that has happened. */
static inline int task_may_give_way(struct loop *loop, struct tepal_task *task)
{
    return UNLIKELY(++task->n_unwaited == 0) ? tepal_sleep_ms(0) : task_check(loop, task);
}

/* Ends the wait of a task with this result; a task that does not wait, or was woken, is left as it
 * is. */
void task_wake(struct tepal_task *task, int result);

/* Cancels a task: its present and all further waits return -ECANCELED, after the shield it may be
 * within. */
void task_cancel(struct tepal_task *task);

/* Sets aside that the running task has been cancelled, for what it has to do all the same: its
 * calls wait again, and only a further cancellation ends them. Returns what task_restore_cancel()
 * is to be given, which comes in any case. Within a shield nothing is there to set aside, and both
 * are harmless. Pairs nest. */
static inline bool task_set_aside_cancel(struct tepal_task *task)
{
    bool cancelled = task->cancelled;
    task->cancelled = false;
    return cancelled;
}

/* The task is cancelled again if it was before, or has been meanwhile. */
static inline void task_restore_cancel(struct tepal_task *task, bool cancelled)
{
    task->cancelled |= cancelled;
}

/* Whether the task's own deadline has passed, as distinct from that of its present wait. After a
 * stall it has not before the task could read what had come by then. */
static inline bool task_deadline_passed(const struct loop *loop, const struct tepal_task *task)
{
    return loop_is_past(loop, task->deadline);
}

/* At the end of a function of the user's: misuse when it has left a shield or a mutex
 * behind, or runs in a child of fork(). */
_Noreturn void task_left_open(const struct tepal_task *task);
static inline void task_need_nothing_open(const struct tepal_task *task)
{
    if (UNLIKELY((task->n_shields | task->n_mutexes | task->in_child) > 0))
        task_left_open(task);
}

/* Whether the running task, which has done its work, is as it was at its beginning and may do other
 * work: not when it was cancelled, say, nor where each run of a task is looked at by itself. What
 * belongs to the work (name, locals, what is said of it) is its own business. */
static inline bool task_is_as_new(const struct loop *loop, const struct tepal_task *task)
{
    task_need_nothing_open(task);
    return !task->via_loop && !loop->debug && !task->cancelled && task->deadline == TEPAL_NEVER &&
           (task->n_refused_cancelled | task->n_refused_late) == 0;
}

/* Called by a task that ends. Part of group.c. */
void group_task_ended(tepal_group *group, struct tepal_task *task, int result);

/* Logs the failures in groups that have not been closed, when no task is left that could. Part of
 * group.c. */
void group_report_all(struct loop *loop);

/* Cancels the tasks of all groups that have not been closed; called again, only those of groups
 * that are new. Part of group.c. */
void group_cancel_all(struct loop *loop);

/* Cancels the tasks in groups that the task has made, and abandons them. The former returns whether
 * there are any. Part of group.c. */
bool groups_cancel_owned(struct loop *loop, struct tepal_task *task);
void groups_abandon_owned(struct loop *loop, struct tepal_task *task);

#endif
