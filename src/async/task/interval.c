/* Intervals: each moment is counted from the first, so that they do not drift. */
#include "async/task/task.h"
#include "base/log.h"

#include <errno.h>

tepal_interval tepal_interval_start_ms(int64_t ms)
{
    if (ms < 1)
        misuse("tepal_interval_start_ms", "the period is less than a millisecond");
    return (tepal_interval){ .period_ms = ms, .next_ms = loop_time_in(loop_current, ms) };
}

int64_t tepal_interval_wait(tepal_interval *interval)
{
    struct tepal_task *task = task_need("tepal_interval_wait");
    struct loop *loop = loop_current;
    int64_t next = interval->next_ms;
    bool late = loop_clock_us(loop) / 1000 >= next;
    int rc = late ? task_may_wait(loop, task) : task_wait(loop, "the next moment", next);
    if (rc < 0 && (late || rc != -ETIMEDOUT || next > task->deadline))
        return rc;
    int64_t n = (loop_clock_us(loop) / 1000 - next) / interval->period_ms + 1;
    interval->next_ms = loop_time_after(next, n * interval->period_ms);
    return n;
}
