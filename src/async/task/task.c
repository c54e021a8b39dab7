/* The life of a task: on its stack, in the ready list, in a wait. A task's struct lies on top of
 * its own stack and goes with it. */
#include "async/task/task.h"

#include "async/debug/debug.h"
#include "async/loop/fork.h"
#include "async/debug/inspect.h"
#include "async/stack/overflow.h"
#include "base/log.h"

#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void no_task(const struct loop *loop, const char *call)
{
    if (loop && loop->forked)
        misuse(call, "a child of fork() has no loop; it may exec, or _exit()");
    misuse(call, loop && loop->in_call
                     ? "must be called from a task; what tepal_loop_call() runs cannot suspend"
                     : "must be called from a task");
}

struct tepal_task *task_need(const char *call)
{
    struct loop *loop = loop_current;
    if (UNLIKELY(!loop || !loop->current))
        no_task(loop, call);
    return loop->current;
}

static void end_wait(struct tepal_task *task, int result)
{
    task->waiting = false;
    task->result = result;
    timer_cancel(&task->timer);
}

/* The wait has taken too long, or the pause is over. */
static void on_timer(struct timer *timer)
{
    struct tepal_task *task = CONTAINER_OF(timer, struct tepal_task, timer);
    if (LIKELY(task->waiting))
        task_wake(task, -ETIMEDOUT);
    else
        list_append(&loop_current->ready, &task->ready);
}

/* The first function on a task's stack. */
static void task_main(void *arg)
{
    struct tepal_task *task = arg;
    struct loop *loop = loop_current;
    ctx_entered();
    task->begun = true;
    task->result = task->fn(task->arg);
    task_need_nothing_open(task);
    task->fn = NULL;
    ctx_leave(&task->ctx, &loop->ctx);
}

struct tepal_task *task_new(struct loop *loop, tepal_task_fn *fn, void *arg, const char *name,
                            size_t stack_size)
{
    struct stack *stack = stack_take(&loop->stacks, stack_size);
    if (!stack)
        return NULL;
    uintptr_t at = ((uintptr_t)stack->top - sizeof(struct tepal_task)) & ~(uintptr_t)63;
    struct tepal_task *task = (struct tepal_task *)at;
    task->fn = fn;
    task->arg = arg;
    task->group = NULL;
    task->job = NULL;
    task->locals = NULL;
    task->name = name;
    task->stack = stack;
    task->waits_for = NULL;
    task->waits_since = loop->now;
    task->waits_fd = -1;
    task->before_wait = NULL;
    task->describe = NULL;
    task->describe_arg = NULL;
    task->deadline = TEPAL_NEVER;
    task->result = 0;
    task->begun = task->waiting = task->interruptible = false;
    task->cancelled = task->cancel_held = task->cancel_told = false;
    task->abandoned = task->in_child = task->spared = false;
    task->refused_deadline = TEPAL_NEVER;
    task->n_refused_cancelled = task->n_refused_late = 0;
    task->via_loop = stack->guard == STACK_GUARD_CANARY || loop->debug;
    task->n_unwaited = 0;
    task->n_shields = task->n_mutexes = 0;
    list_init(&task->ready);
    list_init(&task->in_group);
    list_init(&task->in_loop);
    list_append(&loop->tasks, &task->in_loop);
    timer_init(&task->timer, on_timer);
    ctx_init(&task->ctx, stack->low, (size_t)((char *)task - stack->low), task_main, task);
    loop->n_tasks++;
    return task;
}

void task_copy_arg(struct tepal_task *task, size_t size)
{
    char *low = task->stack->low, *copy = (char *)(((uintptr_t)task - size) & ~(uintptr_t)63);
    stack_reuse(copy, size);
    memcpy(copy, task->arg, size);
    task->arg = copy;
    ctx_end(&task->ctx);
    ctx_init(&task->ctx, low, (size_t)(copy - low), task_main, task);
}

void task_start(struct loop *loop, struct tepal_task *task)
{
    list_append(&loop->ready, &task->ready);
}

/* What lies on its stack is still in use. */
static NO_INLINE void keep_stack(const struct tepal_task *task)
{
    ctx_keep_stack(task->stack->low, task->stack->top);
}

/* Does what is to be done when the running task leaves. */
static NO_INLINE void finish_leaving(struct loop *loop)
{
    while (!list_is_empty(&loop->leaving)) {
        struct list *node = list_take_first(&loop->leaving);
        struct leaving *leaving = CONTAINER_OF(node, struct leaving, node);
        leaving->fn(leaving);
    }
}

static void task_end(struct loop *loop, struct tepal_task *task)
{
    if (UNLIKELY(!list_is_empty(&loop->leaving)))
        finish_leaving(loop);
    tepal_group *group = task->group;
    int result = task->result;
    ctx_end(&task->ctx);
    loop->n_tasks--;
    list_remove(&task->in_loop);
    if (group)
        group_task_ended(group, task, result);
    if (UNLIKELY(task->locals != NULL))
        locals_drop(task->locals);
    if (UNLIKELY(task->abandoned))
        keep_stack(task);
    else
        stack_give(&loop->stacks, task->stack);
}

/* Where it had no guard, or reached over it. What lies beside the stack is not what it was. */
static _Noreturn void overflow_end(const struct tepal_task *task)
{
    overflow_report(task);
    abort();
}

void task_run(struct loop *loop, struct tepal_task *task)
{
    loop->current = task;
    if (UNLIKELY(loop->debug)) {
        debug_run(loop, task);
    } else {
        ctx_switch(&loop->ctx, &task->ctx);
        task = loop->current; /* another one may have come back */
    }
    loop->current = NULL;
    if (UNLIKELY(!stack_is_intact(task->stack, task->ctx.sp)))
        overflow_end(task);
    if (!task->fn)
        task_end(loop, task);
}

/* Whether a task that leaves is followed by the next one at once: the way through the loop is twice
 * as long. */
static bool may_hand_over(struct loop *loop, struct tepal_task *task)
{
    if (task->before_wait)
        task->before_wait(task->before_wait_arg);
    if (UNLIKELY(!list_is_empty(&loop->leaving)))
        finish_leaving(loop);
    return loop->n_to_run > 0 && !list_is_empty(&loop->ready) && !task->via_loop;
}

/* The context of the task that is next. */
static inline struct ctx *go_on_with(struct loop *loop, struct list *ready)
{
    loop->n_to_run--;
    loop->current = CONTAINER_OF(ready, struct tepal_task, ready);
    return &loop->current->ctx;
}

static inline void go_to(struct tepal_task *task, struct ctx *to)
{
    if (to != &task->ctx) /* else woken by what was called before the wait */
        ctx_switch(&task->ctx, to);
}

/* Leaves the task's stack, until somebody wakes it. */
static void leave(struct loop *loop, struct tepal_task *task)
{
    struct ctx *to = &loop->ctx;
    if (LIKELY(may_hand_over(loop, task)))
        to = go_on_with(loop, list_take_first(&loop->ready));
    go_to(task, to);
}

/* Leaves the task's stack for those that are ready now. */
static inline __attribute__((always_inline)) void give_way(struct loop *loop,
                                                           struct tepal_task *task)
{
    struct ctx *to = &loop->ctx;
    if (LIKELY(may_hand_over(loop, task)))
        to = go_on_with(loop, list_exchange_first(&loop->ready, &task->ready));
    else
        list_append(&loop->ready, &task->ready);
    go_to(task, to);
}

static int suspend(struct loop *loop, struct tepal_task *task, const char *what)
{
    task->waits_for = what;
    task->waits_since = loop->now;
    task->waiting = true;
    leave(loop, task);
    return task->result;
}

int task_check(struct loop *loop, struct tepal_task *task)
{
    if (UNLIKELY(task->cancelled)) {
        task->cancel_told = true;
        return task_refuse(loop, task, -ECANCELED);
    }
    return UNLIKELY(task_deadline_passed(loop, task)) ? task_refuse(loop, task, -ETIMEDOUT) : 0;
}

int task_wait(struct loop *loop, const char *what, int64_t until)
{
    struct tepal_task *task = loop->current;
    int rc = task_check(loop, task);
    if (rc < 0)
        return rc;
    if (task->deadline < until)
        until = task->deadline;
    if (until != TEPAL_NEVER)
        timer_set(&loop->timers, &task->timer, until);
    task->interruptible = true;
    return suspend(loop, task, what);
}

int task_wait_shielded_until(struct loop *loop, const char *what, int64_t until)
{
    struct tepal_task *task = loop->current;
    if (until != TEPAL_NEVER)
        timer_set(&loop->timers, &task->timer, until);
    task->interruptible = false;
    return suspend(loop, task, what);
}

void task_pause(struct loop *loop, struct tepal_task *task, int64_t ms)
{
    if (ms == 0) {
        give_way(loop, task);
        return;
    }
    timer_set(&loop->timers, &task->timer, loop_time_in(loop, ms));
    leave(loop, task);
}

static void mark_abandoned(struct loop *loop, struct tepal_task *task)
{
    groups_abandon_owned(loop, task);
    task->abandoned = true;
    task->fn = NULL;
    task->result = -ECANCELED;
}

void task_abandon(struct loop *loop, struct tepal_task *task)
{
    timer_cancel(&task->timer);
    list_remove(&task->ready);
    task->waiting = false;
    loop->leave_threads = true;
    mark_abandoned(loop, task);
    task_end(loop, task);
}

void task_give_up(struct loop *loop, struct tepal_task *task)
{
    mark_abandoned(loop, task);
    ctx_switch(&task->ctx, &loop->ctx); /* not ctx_leave(), which would free what ASan keeps */
    __builtin_unreachable();
}

void task_wake(struct tepal_task *task, int result)
{
    if (!task->waiting)
        return;
    end_wait(task, result);
    list_append(&loop_current->ready, &task->ready);
}

void task_cancel(struct tepal_task *task)
{
    if (UNLIKELY(task->n_shields > 0)) {
        task->cancel_held = true;
        return;
    }
    task->cancelled = true;
    if (task->waiting && task->interruptible) {
        task->cancel_told = true;
        task_wake(task, -ECANCELED);
    }
}

bool tepal_is_cancelled(void)
{
    struct tepal_task *task = task_need("tepal_is_cancelled");
    task->cancel_told |= task->cancelled;
    return task->cancelled;
}

/* Not inlined, so that giving way need not save registers for it. */
static NO_INLINE int sleep_for(struct loop *loop, int64_t ms, int64_t *until)
{
    *until = loop_time_in(loop, ms);
    return task_wait(loop, "sleep", *until);
}

/* Not inlined, not even at link time: the caller would keep the address of loop_current in a
 * register, and wait after each switch until that has come back from the stack. */
NO_INLINE int tepal_sleep_ms(int64_t ms)
{
    struct tepal_task *task = task_need("tepal_sleep_ms");
    struct loop *loop = loop_current;
    int64_t until;
    if (ms > 0) {
        int rc = sleep_for(loop, ms, &until);
        return rc == -ETIMEDOUT && until <= task->deadline ? 0 : rc;
    }
    int rc = task_check(loop, task);
    if (rc < 0)
        return rc;
    give_way(loop, task);
    return task_check(loop, task);
}

int64_t tepal_deadline_in_ms(int64_t ms)
{
    struct tepal_task *task = task_need("tepal_deadline_in_ms");
    int64_t before = task->deadline, at = loop_time_in(loop_current, ms);
    if (at < before)
        task->deadline = at;
    return before;
}

void tepal_deadline_move_ms(int64_t before, int64_t ms)
{
    struct tepal_task *task = task_need("tepal_deadline_move_ms");
    int64_t at = loop_time_in(loop_current, ms);
    task->deadline = at < before ? at : before;
}

void tepal_deadline_restore(int64_t before)
{
    task_need("tepal_deadline_restore")->deadline = before;
}

int64_t tepal_shield_begin_ms(int64_t ms)
{
    struct tepal_task *task = task_need("tepal_shield_begin_ms");
    int64_t before = task->deadline;
    task->n_shields++;
    task->cancel_held |= task->cancelled;
    task->cancelled = false;
    task->deadline = loop_time_in(loop_current, ms);
    return before;
}

void tepal_shield_end(int64_t before)
{
    struct tepal_task *task = task_need("tepal_shield_end");
    if (task->n_shields == 0)
        misuse("tepal_shield_end", "the task is within no shield");
    task->deadline = before;
    if (--task->n_shields == 0) {
        task->cancelled = task->cancel_held;
        task->cancel_held = false;
    }
}

void task_left_open(const struct tepal_task *task)
{
    char name[256], text[400];
    if (task->in_child)
        fork_child_returned();
    inspect_name(task, name, sizeof(name));
    bool shield = task->n_shields > 0;
    snprintf(text, sizeof(text), "the function ended without %s, in task %s",
             shield ? "tepal_shield_end()" : "tepal_mutex_unlock()", name);
    misuse(shield ? "tepal_shield_begin_ms" : "tepal_mutex_lock", text);
}

bool task_was_interrupted(int rc)
{
    return rc == -ECANCELED || rc == -EBUSY ||
           (rc == -ETIMEDOUT && task_deadline_passed(loop_current, loop_current->current));
}
