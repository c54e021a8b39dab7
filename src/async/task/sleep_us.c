/* Sleeping for less than a millisecond, or more exactly than to one. */
#include "async/loop/microtimer.h"
#include "async/task/task.h"

#include <errno.h>

struct short_sleep {
    struct timer timer;
    struct tepal_task *task;
};

static void on_slept(struct timer *timer)
{
    task_wake(CONTAINER_OF(timer, struct short_sleep, timer)->task, 0);
}

static int64_t in_whole_ms(int64_t us)
{
    return us / 1000 + (us % 1000 != 0);
}

static int sleep_until_us(struct loop *loop, int64_t until_us)
{
    struct short_sleep sleep = { .task = loop->current };
    timer_init(&sleep.timer, on_slept);
    int rc;
    do {
        if (microtimer_set(loop, &sleep.timer, until_us) < 0)
            return tepal_sleep_ms(in_whole_ms(until_us - loop_clock_us(loop)));
        rc = task_wait(loop, "sleep", TEPAL_NEVER);
        timer_cancel(&sleep.timer);
    } while (rc == 0 && loop_clock_us(loop) < until_us);
    return rc == -ETIMEDOUT && in_whole_ms(until_us) <= loop->current->deadline ? 0 : rc;
}

int tepal_sleep_us(int64_t us)
{
    struct tepal_task *task = task_need("tepal_sleep_us");
    struct loop *loop = loop_current;
    if (us <= 0)
        return tepal_sleep_ms(0);
    int rc = task_check(loop, task);
    return rc < 0 ? rc : sleep_until_us(loop, loop_time_after(loop_clock_us(loop), us));
}
