/* Several jobs at once, in a group that lives on the caller's stack: all of them (gather), or until
 * the first has ended (race). */
#include "async/task/group.h"
#include "base/log.h"
#include "base/room.h"

#include <errno.h>
#include <limits.h>

/* Gives every job a result, that of one that never began. */
static void reset(const char *call, tepal_job *jobs, size_t n)
{
    if (!jobs && n > 0)
        misuse(call, "the jobs are NULL");
    for (size_t i = 0; i < n; i++) {
        if (jobs[i].inside.task || jobs[i].inside.group)
            misuse(call, "a job has been started and not joined");
        jobs[i].result = -ECANCELED;
        jobs[i].done = true;
    }
}

/* A job that could not be started has ended with that error. */
static int start(tepal_group *group, tepal_job *job)
{
    int rc = tepal_job_start(group, job);
    if (rc < 0) {
        job->result = rc;
        job->done = true;
    }
    return rc;
}

int tepal_gather(tepal_job *jobs, size_t n, const tepal_gather_options *options)
{
    static const tepal_gather_options defaults;
    options = options ? options : &defaults;
    size_t max = options->max_at_once ? options->max_at_once : SIZE_MAX;
    struct tepal_task *task = task_need("tepal_gather");
    reset("tepal_gather", jobs, n);
    int rc = task_check(loop_current, task);
    if (rc == 0)
        rc = room_check("tepal_gather", options->later, sizeof(options->later));
    if (rc < 0)
        return rc;
    tepal_group group;
    group_init(&group, loop_current);
    size_t begun = 0;
    do {
        for (; rc == 0 && begun < n && group.n_jobs < max; begun++) {
            int started = start(&group, &jobs[begun]);
            rc = options->collect ? 0 : started;
        }
        tepal_job *ended = NULL;
        int next = rc < 0 ? 0 : tepal_group_next(&group, &ended);
        if (next < 0)
            rc = next;
        else if (next > 0 && ended->result < 0 && !options->collect)
            rc = ended->result;
    } while (rc == 0 && (begun < n || group.n_jobs > 0 || group.ended_jobs.first));
    group_finish(&group, false, TEPAL_NEVER);
    return rc;
}

int tepal_race(tepal_job *jobs, size_t n)
{
    struct tepal_task *task = task_need("tepal_race");
    reset("tepal_race", jobs, n);
    int rc = task_check(loop_current, task);
    if (rc == 0 && (n == 0 || n > INT_MAX))
        rc = -EINVAL;
    if (rc < 0)
        return rc;
    tepal_group group;
    group_init(&group, loop_current);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = start(&group, &jobs[i]);
    tepal_job *winner = NULL;
    if (rc == 0)
        rc = tepal_group_next(&group, &winner);
    group_finish(&group, false, TEPAL_NEVER);
    return rc < 0 ? rc : (int)(winner - jobs);
}
