/* Groups: the owner of tasks. A group never outlives the tasks in it. */
#include "async/task/group.h"

#include "async/debug/inspect.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"

#include <errno.h>
#include <stdio.h>

void need_group(const char *call, const tepal_group *group)
{
    if (UNLIKELY(!group))
        misuse(call, "the group is NULL");
}

void need_other_group(const char *call, const tepal_group *group, const struct tepal_task *task)
{
    if (UNLIKELY(task->group == group))
        misuse(call, "a task of the group would wait for itself");
}

void group_init(tepal_group *group, struct loop *loop)
{
    *group = (tepal_group){ 0 };
    list_init(&group->node);
    group->owner = loop->current;
    list_append(&loop->groups, &group->node);
    list_init(&group->tasks);
}

tepal_group *tepal_group_new(void)
{
    struct loop *loop = loop_need("tepal_group_new");
    tepal_group *group = mem_alloc(sizeof(*group));
    if (!group)
        return NULL;
    group_init(group, loop);
    if (UNLIKELY(loop->debug)) {
        group->made_at = (uintptr_t)__builtin_return_address(0);
        snprintf(group->made_by, sizeof(group->made_by), "%s",
                 loop->current ? loop->current->name : "");
    }
    return group;
}

/* What the task is to have a copy of must be there, and leave it enough of its stack. */
static bool arg_fits(const struct loop *loop, const void *arg, const tepal_spawn_options *options)
{
    size_t stack_size = stack_size_of(&loop->stacks, options->stack_size);
    return arg && options->arg_size <= stack_size / 2;
}

int group_spawn(tepal_group *group, tepal_task_fn *fn, void *arg,
                const tepal_spawn_options *options, struct tepal_task **task)
{
    struct loop *loop = loop_need("tepal_spawn");
    need_group("tepal_spawn", group);
    if (UNLIKELY(!fn))
        misuse("tepal_spawn", "the function is NULL");
    if (group->cancelled)
        return -ECANCELED;
    static const tepal_spawn_options defaults;
    if (!options)
        options = &defaults;
    else if (UNLIKELY(!room_is_empty(options->later, sizeof(options->later))))
        return room_refuse("tepal_spawn");
    if (UNLIKELY(options->arg_size > 0) && !arg_fits(loop, arg, options))
        return -EINVAL;
    const char *name = options->name ? options->name : "task";
    struct tepal_task *new = task_new(loop, fn, arg, name, options->stack_size);
    if (!new)
        return -ENOMEM;
    if (UNLIKELY(options->arg_size > 0))
        task_copy_arg(new, options->arg_size);
    new->group = group;
    if (loop->current) {
        new->deadline = loop->current->deadline;
        new->locals = locals_share(loop->current->locals);
    }
    list_append(&group->tasks, &new->in_group);
    task_start(loop, new);
    *task = new;
    return 0;
}

int tepal_spawn(tepal_group *group, tepal_task_fn *fn, const void *arg,
                const tepal_spawn_options *options)
{
    struct tepal_task *task;
    return group_spawn(group, fn, (void *)arg, options, &task);
}

/* A task has failed, which is no job. What tepal_group_wait() may still return has time. */
static NO_INLINE void note_failure(tepal_group *group, const struct tepal_task *task, int error)
{
    bool is_first = group->first_error == 0 || group->first_error == error;
    if (group->reports_at_once || (!is_first && error != group->told_error))
        tepal_logf(TEPAL_LOG_WARNING, "task \"%s\" failed: %s", task->name, tepal_code_text(error));
    else if (is_first && group->n_failed++ == 0)
        snprintf(group->failed, sizeof(group->failed), "%s", task->name);
}

static void report_untold(const tepal_group *group)
{
    if (group->first_error == group->told_error)
        return;
    const char *text = tepal_code_text(group->first_error);
    if (group->n_failed == 1)
        tepal_logf(TEPAL_LOG_WARNING, "task \"%s\" failed: %s", group->failed, text);
    else if (group->n_failed > 1)
        tepal_logf(TEPAL_LOG_WARNING, "task \"%s\" and %zu more of its group failed: %s",
                   group->failed, group->n_failed - 1, text);
}

void group_task_ended(tepal_group *group, struct tepal_task *task, int result)
{
    bool cancelled = task->cancelled || task->cancel_held;
    bool failed = result < 0 && !(result == -ECANCELED && cancelled);
    list_remove(&task->in_group);
    if (task->job)
        job_ended(task->job, result, failed);
    else if (UNLIKELY(failed))
        note_failure(group, task, result);
    if (result < 0 && group->first_error == 0)
        group->first_error = result;
    if (group->waiter && list_is_empty(&group->tasks))
        task_wake(group->waiter, 0);
}

int tepal_group_wait(tepal_group *group)
{
    struct tepal_task *task = task_need("tepal_group_wait");
    need_group("tepal_group_wait", group);
    need_other_group("tepal_group_wait", group, task);
    if (group->waiter)
        misuse("tepal_group_wait", "another task waits for this group");
    int rc = task_may_give_way(loop_current, task);
    while (rc == 0 && !list_is_empty(&group->tasks)) {
        group->waiter = task;
        rc = task_wait(loop_current, "tasks of a group", TEPAL_NEVER);
        group->waiter = NULL;
    }
    rc = rc < 0 ? rc : group->first_error;
    group_told(group, rc);
    return rc;
}

void tepal_group_cancel(tepal_group *group)
{
    need_group("tepal_group_cancel", group);
    group->cancelled = true;
    for (struct list *node = group->tasks.next; node != &group->tasks; node = node->next)
        task_cancel(CONTAINER_OF(node, struct tepal_task, in_group));
}

void group_forget_cancel(struct tepal_task *task)
{
    bool own = task->group && task->group->cancelled;
    task->cancelled = own && task->n_shields == 0;
    task->cancel_held = own && task->n_shields > 0;
}

void group_report_all(struct loop *loop)
{
    for (struct list *node = loop->groups.next; node != &loop->groups; node = node->next)
        report_untold(CONTAINER_OF(node, struct tepal_group, node));
}

void group_cancel_all(struct loop *loop)
{
    /* New groups come behind those that are cancelled already, into which nothing can be
     * spawned. */
    for (struct list *node = loop->groups.prev; node != &loop->groups; node = node->prev) {
        tepal_group *group = CONTAINER_OF(node, struct tepal_group, node);
        if (group->ends_with_loop)
            return;
        group->ends_with_loop = true;
        tepal_group_cancel(group);
    }
}

bool groups_cancel_owned(struct loop *loop, struct tepal_task *task)
{
    bool any = false;
    for (struct list *node = loop->groups.next; node != &loop->groups; node = node->next) {
        tepal_group *group = CONTAINER_OF(node, struct tepal_group, node);
        if (group->owner != task || list_is_empty(&group->tasks))
            continue;
        any = true;
        group->closing = true;
        tepal_group_cancel(group);
    }
    return any;
}

void groups_abandon_owned(struct loop *loop, struct tepal_task *task)
{
    for (struct list *node = loop->groups.next; node != &loop->groups; node = node->next) {
        tepal_group *group = CONTAINER_OF(node, struct tepal_group, node);
        if (group->owner == task)
            group_abandon(group);
    }
}

void group_abandon(tepal_group *group)
{
    while (!list_is_empty(&group->tasks))
        task_abandon(loop_current, CONTAINER_OF(group->tasks.next, struct tepal_task, in_group));
}

/* Who shields himself may take as long as he likes, and whoever wonders why nothing goes on wants
 * to know who that is. */
static void name_the_first(const tepal_group *group)
{
    char name[512];
    size_t n = list_length(&group->tasks);
    inspect_name(CONTAINER_OF(group->tasks.next, struct tepal_task, in_group), name, sizeof(name));
    tepal_logf(TEPAL_LOG_WARNING,
               "a group is closed, and %zu task%s still waited for; the first is %s", n,
               n == 1 ? " is" : "s are", name);
}

/* Waits for all tasks of the group. Returns 0, or -ETIMEDOUT. */
static int wait_for_tasks(tepal_group *group, int64_t until)
{
    enum { LONG_MS = 5000 };
    static const char what[] = "tasks of a group to end";
    struct loop *loop = loop_current;
    int64_t long_after = loop_time_in(loop, LONG_MS);
    int rc = task_wait_shielded_until(loop, what, until < long_after ? until : long_after);
    if (rc == 0 || until <= long_after)
        return rc;
    name_the_first(group);
    return task_wait_shielded_until(loop, what, until);
}

void group_finish(tepal_group *group, bool report, int64_t until)
{
    group->closing = true;
    tepal_group_cancel(group);
    if (!list_is_empty(&group->tasks)) {
        struct tepal_task *task = task_need("tepal_group_close");
        need_other_group("tepal_group_close", group, task);
        group->waiter = task;
        if (wait_for_tasks(group, until) < 0) {
            group->waiter = NULL;
            group_abandon(group);
        }
    }
    jobs_release(group, report);
    if (report)
        report_untold(group);
    list_remove(&group->node);
}

void group_close_until(tepal_group *group, int64_t until)
{
    if (!group)
        return;
    if (group->waiter || group->taker)
        misuse("tepal_group_close", "another task waits for this group");
    group_finish(group, true, until);
    mem_free(group);
}

void tepal_group_close(tepal_group *group)
{
    if (group && group->belongs_to)
        misuse("tepal_group_close", group->belongs_to);
    group_close_until(group, TEPAL_NEVER);
}
