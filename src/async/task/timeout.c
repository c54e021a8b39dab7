/* A part of a task that has a time of its own, and is told from a time that somebody around it has
 * set. */
#include "async/task/task.h"
#include "base/log.h"

#include <errno.h>

int tepal_timeout_ms(int64_t ms, tepal_task_fn *fn, const void *arg)
{
    struct tepal_task *task = task_need("tepal_timeout_ms");
    if (!fn)
        misuse("tepal_timeout_ms", "the function is NULL");
    unsigned n_shields = task->n_shields;
    int64_t before = task->deadline, own = loop_time_in(loop_current, ms);
    if (own < before)
        task->deadline = own;
    int rc = fn((void *)(uintptr_t)arg);
    if (task->n_shields != n_shields)
        misuse("tepal_timeout_ms", "the function has begun or ended a shield, and not both");
    task->deadline = before;
    if (rc == -ETIMEDOUT && loop_is_past(loop_current, own) && !loop_is_past(loop_current, before))
        rc = -ETIME;
    return rc;
}
