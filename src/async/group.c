/* Groups: the owner of tasks. A group never outlives the tasks in it. */
#include "async/task.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>

struct tepal_group {
    struct list node; /* in the loop's list */
    struct list tasks;
    struct tepal_task *waiter; /* in tepal_group_wait() or tepal_group_close() */
    int first_error;
    bool cancelled;
};

tepal_group *tepal_group_new(void)
{
    struct loop *loop = loop_need("tepal_group_new");
    tepal_group *group = mem_zalloc(sizeof(*group));
    if (!group)
        return NULL;
    list_init(&group->node);
    list_append(&loop->groups, &group->node);
    list_init(&group->tasks);
    return group;
}

int tepal_spawn(tepal_group *group, tepal_task_fn *fn, void *arg,
                const tepal_spawn_options *options)
{
    struct loop *loop = loop_need("tepal_spawn");
    if (group->cancelled)
        return -ECANCELED;
    const char *name = options && options->name ? options->name : "task";
    struct tepal_task *task = task_new(loop, fn, arg, name, options ? options->stack_size : 0);
    if (!task)
        return -ENOMEM;
    task->group = group;
    if (loop->current)
        task->deadline = loop->current->deadline;
    list_append(&group->tasks, &task->in_group);
    task_start(loop, task);
    return 0;
}

void group_task_ended(tepal_group *group, struct tepal_task *task, int result)
{
    list_remove(&task->in_group);
    if (result < 0 && group->first_error == 0)
        group->first_error = result;
    if (group->waiter && list_is_empty(&group->tasks))
        task_wake(group->waiter, 0);
}

int tepal_group_wait(tepal_group *group)
{
    struct tepal_task *task = task_need("tepal_group_wait");
    if (group->waiter)
        misuse("tepal_group_wait", "another task waits for this group");
    int rc = task_check(loop_current, task);
    while (rc == 0 && !list_is_empty(&group->tasks)) {
        group->waiter = task;
        rc = task_wait(loop_current, "tasks of a group", TEPAL_NEVER);
        group->waiter = NULL;
    }
    return rc < 0 ? rc : group->first_error;
}

void tepal_group_cancel(tepal_group *group)
{
    group->cancelled = true;
    for (struct list *node = group->tasks.next; node != &group->tasks; node = node->next)
        task_cancel(CONTAINER_OF(node, struct tepal_task, in_group));
}

void group_cancel_all(struct loop *loop)
{
    for (struct list *node = loop->groups.next; node != &loop->groups; node = node->next)
        tepal_group_cancel(CONTAINER_OF(node, struct tepal_group, node));
}

void tepal_group_close(tepal_group *group)
{
    if (!group)
        return;
    if (group->waiter)
        misuse("tepal_group_close", "another task waits for this group");
    tepal_group_cancel(group);
    if (!list_is_empty(&group->tasks)) {
        struct tepal_task *task = task_need("tepal_group_close");
        if (task->group == group)
            misuse("tepal_group_close", "a task of the group would wait for itself");
        group->waiter = task;
        task_wait_shielded(loop_current, "tasks of a group to end");
    }
    list_remove(&group->node);
    mem_free(group);
}
