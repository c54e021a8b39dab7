/* Jobs: tasks of a group whose results are kept, each in a struct of the caller's. Whoever learns
 * of a job's end first, by joining it or as the group's next one, has taken it. */
#include "async/task/group.h"
#include "base/log.h"
#include "base/room.h"

#include <errno.h>

static void append(struct ended_jobs *list, tepal_job *job)
{
    job->inside.next = NULL;
    job->inside.previous = list->last;
    if (list->last)
        list->last->inside.next = job;
    else
        list->first = job;
    list->last = job;
}

/* Takes an ended job out of its group's list; nothing happens when it is in none. */
static void take(tepal_job *job)
{
    if (!job->inside.group)
        return;
    struct ended_jobs *list = &job->inside.group->ended_jobs;
    tepal_job *next = job->inside.next, *previous = job->inside.previous;
    if (next)
        next->inside.previous = previous;
    else
        list->last = previous;
    if (previous)
        previous->inside.next = next;
    else
        list->first = next;
    job->inside.group = NULL;
}

static void need_job(const char *call, const tepal_job *job)
{
    if (UNLIKELY(!job))
        misuse(call, "the job is NULL");
}

int tepal_job_start(tepal_group *group, tepal_job *job)
{
    need_job("tepal_job_start", job);
    need_group("tepal_job_start", group);
    if (UNLIKELY(!job->fn))
        misuse("tepal_job_start", "the job's function is NULL");
    if (job->inside.task || job->inside.group)
        misuse("tepal_job_start", "the job has been started and not joined");
    tepal_spawn_options options = { .name = job->name ? job->name : "job",
                                    .stack_size = job->stack_size };
    struct tepal_task *task;
    int rc = room_check("tepal_job_start", job->later, sizeof(job->later));
    if (rc < 0)
        return rc;
    job->done = false;
    rc = group_spawn(group, job->fn, (void *)job->arg, &options, &task);
    if (rc < 0)
        return rc;
    task->job = job;
    job->inside.task = task;
    job->inside.group = group;
    group->n_jobs++;
    return 0;
}

void job_ended(tepal_job *job, int result, bool failed)
{
    tepal_group *group = job->inside.group;
    struct tepal_task *joiner = job->inside.joiner;
    job->result = result;
    job->inside.failed = failed;
    job->done = true;
    job->inside.task = NULL;
    group->n_jobs--;
    /* One that has been interrupted, and has not run since, does not take the job. */
    if (joiner && joiner->waiting) {
        job->inside.group = NULL;
        task_wake(joiner, 0);
    } else {
        append(&group->ended_jobs, job);
    }
    if (group->taker)
        task_wake(group->taker, 0);
}

void jobs_release(tepal_group *group, bool report)
{
    while (group->ended_jobs.first) {
        tepal_job *job = group->ended_jobs.first;
        if (report && job->inside.failed && job->result != group->told_error)
            tepal_logf(TEPAL_LOG_WARNING, "job \"%s\" failed: %s", job->name ? job->name : "job",
                       tepal_code_text(job->result));
        take(job);
    }
}

int tepal_job_join(tepal_job *job)
{
    struct tepal_task *task = task_need("tepal_job_join");
    need_job("tepal_job_join", job);
    if (job->inside.joiner)
        misuse("tepal_job_join", "another task joins this job");
    if (job->inside.task == task)
        misuse("tepal_job_join", "the job would wait for itself");
    if (!job->inside.task && !job->done)
        misuse("tepal_job_join", "the job has not been started");
    int rc = task_may_give_way(loop_current, task);
    if (rc == 0 && !job->done) {
        job->inside.joiner = task;
        rc = task_wait(loop_current, "a job", TEPAL_NEVER);
        job->inside.joiner = NULL;
    }
    if (rc == 0)
        take(job);
    else if (job->inside.group)
        group_told(job->inside.group, rc);
    return rc;
}

void tepal_job_cancel(tepal_job *job)
{
    need_job("tepal_job_cancel", job);
    if (job->inside.task)
        task_cancel(job->inside.task);
}

int tepal_group_next(tepal_group *group, tepal_job **job)
{
    struct tepal_task *task = task_need("tepal_group_next");
    need_group("tepal_group_next", group);
    need_place("tepal_group_next", job);
    if (task->job) /* one that is no job would not wait for itself */
        need_other_group("tepal_group_next", group, task);
    if (group->taker)
        misuse("tepal_group_next", "another task waits for the next job of this group");
    *job = NULL;
    int rc = task_may_give_way(loop_current, task);
    while (rc == 0 && !group->ended_jobs.first && group->n_jobs > 0) {
        group->taker = task;
        rc = task_wait(loop_current, "the next job of a group", TEPAL_NEVER);
        group->taker = NULL;
    }
    if (rc < 0)
        group_told(group, rc);
    if (rc < 0 || !group->ended_jobs.first)
        return rc;
    *job = group->ended_jobs.first;
    take(*job);
    return 1;
}
