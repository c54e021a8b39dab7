/* Tasks that go on although they are cancelled, or out of time: each of their calls is refused at
 * once, so a loop around one would never let another task run. After a few refusals in a row the
 * task gives way with each, then it has to pause, longer and longer, and the log names it. When
 * somebody waits for its end, who would wait in vain, it is given up after a while. */
#include "async/task/group.h"
#include "async/debug/inspect.h"
#include "base/log.h"

#include <errno.h>

/* So many calls are refused without more, as a task that unwinds makes some; so many more let the
 * others run; and after those each pause is twice as long as the one before. */
enum { REFUSALS_FREE = 4, REFUSALS_GIVING_WAY = 16 };

/* How long a task may go on when its group is being closed, or its loop ends. */
enum { GIVE_UP_MS = 3000 };

/* Returns how many times in a row the task has been refused. A cancellation is for ever; a new
 * deadline is a new chance. */
static unsigned count_refusal(struct loop *loop, struct tepal_task *task, int error)
{
    bool cancelled = error == -ECANCELED;
    if (!cancelled && task->refused_deadline != task->deadline) {
        task->n_refused_late = 0;
        task->refused_deadline = task->deadline;
    }
    unsigned *n = cancelled ? &task->n_refused_cancelled : &task->n_refused_late;
    if (*n == 0 && (cancelled || task->n_refused_cancelled == 0))
        task->refused_since = loop_clock_us(loop) / 1000;
    return ++*n;
}

static void name_in_log(const struct tepal_task *task, const char *why)
{
    char name[512];
    inspect_name(task, name, sizeof(name));
    tepal_logf(TEPAL_LOG_WARNING, "task %s goes on though %s", name, why);
}

/* Whether the task has had its time, and that of the tasks in its own groups, which are cancelled
 * here, too. One that is within a shield is refused when that one's time is over. */
static bool is_given_up(struct loop *loop, struct tepal_task *task)
{
    if (!(task->cancelled || task->cancel_held) || !task->group ||
        !(loop->ending || task->group->closing))
        return false;
    int64_t gone = loop_clock_us(loop) / 1000 - task->refused_since;
    if (gone < GIVE_UP_MS)
        return false;
    return gone >= 2 * GIVE_UP_MS || !groups_cancel_owned(loop, task);
}

static void give_up(struct loop *loop, struct tepal_task *task)
{
    char name[512];
    inspect_name(task, name, sizeof(name));
    tepal_logf(TEPAL_LOG_ERROR, "task %s was cancelled and does not end: it is left as it is",
               name);
    task_give_up(loop, task);
}

/* The n-th refusal in a row costs so much. */
static int64_t pause_ms(unsigned n, int64_t most_ms)
{
    if (n < REFUSALS_GIVING_WAY)
        return 0;
    unsigned doublings = n - REFUSALS_GIVING_WAY;
    int64_t ms = (int64_t)1 << (doublings < 8 ? doublings : 8);
    return ms < most_ms ? ms : most_ms;
}

void task_hold_back(struct loop *loop, struct tepal_task *task, unsigned n, int64_t most_ms,
                    const char *why)
{
    if (n <= REFUSALS_FREE)
        return;
    if (n == REFUSALS_GIVING_WAY)
        name_in_log(task, why);
    task_pause(loop, task, pause_ms(n, most_ms));
}

void task_look_before_place(struct loop *loop, struct tepal_task *task)
{
    bool late = task_deadline_passed(loop, task) && task->deadline == task->refused_deadline;
    unsigned n = task->cancelled ? task->n_refused_cancelled : late ? task->n_refused_late : 0;
    if (n >= REFUSALS_FREE && is_given_up(loop, task))
        give_up(loop, task);
    task->spared = true;
}

int task_refuse(struct loop *loop, struct tepal_task *task, int error)
{
    unsigned n = count_refusal(loop, task, error);
    bool spared = task->spared;
    task->spared = false;
    if (n > REFUSALS_FREE && !spared && is_given_up(loop, task))
        give_up(loop, task);
    task_hold_back(loop, task, n, TASK_MOST_PAUSE_MS,
                   error == -ECANCELED ? "it was cancelled" : "its time is over");
    return error;
}
