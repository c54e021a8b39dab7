/* The inside of groups and jobs, for those who make groups without asking for memory. */
#ifndef TEPAL_ASYNC_GROUP_H
#define TEPAL_ASYNC_GROUP_H

#include "async/task.h"

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
    bool cancelled;
};

/* Makes group a new, empty group of the loop. */
void group_init(tepal_group *group, struct loop *loop);

/* Cancels what still runs in the group, waits until it has ended, and forgets the group, without
 * freeing it. Suspends, and nothing interrupts it. */
void group_finish(tepal_group *group);

/* As tepal_spawn(), with the new task in *task. */
int group_spawn(tepal_group *group, tepal_task_fn *fn, void *arg,
                const tepal_spawn_options *options, struct tepal_task **task);

/* Called with a job of the group whose task has ended. Part of job.c. */
void job_ended(tepal_job *job, const struct tepal_task *task, int result);

/* The group is being closed: takes its ended jobs from it. Part of job.c. */
void jobs_release(tepal_group *group);

#endif
