/* The inside of groups and jobs, for those who make groups without asking for memory. */
#ifndef TEPAL_ASYNC_TASK_GROUP_H
#define TEPAL_ASYNC_TASK_GROUP_H

#include "async/task/task.h"

/* Jobs that have ended and that nobody has taken note of, in the order in which they did. */
struct ended_jobs {
    tepal_job *first, *last;
};

struct tepal_group {
    struct list node; /* in the loop's list */
    struct list tasks;
    struct tepal_task *waiter; /* in tepal_group_wait() or tepal_group_close() */
    struct tepal_task *taker;  /* in tepal_group_next() */
    struct ended_jobs ended_jobs;
    size_t n_jobs; /* that run */
    int first_error;
    int told_error;  /* that a wait for the group or a job has returned */
    size_t n_failed; /* tasks, no jobs, with the first error */
    char failed[48]; /* the name of the first of them, which may be gone when it is reported */
    const struct tepal_task *owner; /* that has made it; NULL: none did */
    uintptr_t made_at; /* the place in the program, and the task's name: in debug mode only */
    char made_by[40];
    const char *belongs_to; /* who closes it, when that is not the program; NULL: the program */
    bool cancelled;
    bool ends_with_loop;  /* group_cancel_all() has cancelled it */
    bool closing;         /* tasks that go on though cancelled are given up */
    bool reports_at_once; /* its failures are logged when they happen: nobody will wait */
};

/* Misuse of the call, when there is no group, and when the task is one of the group that it would
 * wait for. */
void need_group(const char *call, const tepal_group *group);
void need_other_group(const char *call, const tepal_group *group, const struct tepal_task *task);

/* Makes group a new, empty group of the loop. */
void group_init(tepal_group *group, struct loop *loop);

/* Cancels what still runs in the group, waits until it has ended, and forgets the group, without
 * freeing it. report: failures that nobody was told of are logged. Suspends, and nothing interrupts
 * it; at the time until (TEPAL_NEVER: none) what still runs is abandoned. */
void group_finish(tepal_group *group, bool report, int64_t until);

/* The same for one from tepal_group_new(), which is freed. NULL is allowed. */
void group_close_until(tepal_group *group, int64_t until);

/* Takes back what task_cancel() has told the task, but for what its group has been told. */
void group_forget_cancel(struct tepal_task *task);

/* Abandons all tasks of the group: see task_abandon(). */
void group_abandon(tepal_group *group);

/* As tepal_spawn(), with the new task in *task. */
int group_spawn(tepal_group *group, tepal_task_fn *fn, void *arg,
                const tepal_spawn_options *options, struct tepal_task **task);

/* A wait for the group, or a job of it, returns this error. When the time of the one that waits is
 * over, so is that of its children, and it need not be told of each. */
static inline void group_told(tepal_group *group, int error)
{
    if (group->first_error == 0 || group->told_error != group->first_error)
        group->told_error = error;
}

/* The end of a job of the group. failed: its result is an error that nothing but the job accounts
 * for. Part of job.c. */
void job_ended(tepal_job *job, int result, bool failed);

/* The group is being closed: takes its ended jobs from it. Part of job.c. */
void jobs_release(tepal_group *group, bool report);

#endif
