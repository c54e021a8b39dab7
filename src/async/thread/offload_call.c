/* The calls that have something done in a thread of the loop's own pool. */
#include "async/thread/offload.h"
#include "async/task/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"

#include <errno.h>

int tepal_offload(int (*fn)(void *arg), const void *arg)
{
    if (!fn)
        misuse("tepal_offload", "fn is NULL");
    struct job job = { .fn = fn, .arg = (void *)(uintptr_t)arg };
    return offload_run(NULL, &job, LANE_PROGRAM, "tepal_offload");
}

int offload_own(int (*fn)(void *arg), void *arg, const char *call)
{
    return offload_run(NULL, &(struct job){ .fn = fn, .arg = arg }, LANE_LIBRARY, call);
}

/* Waits for a job in memory of its own, which is given back or abandoned. */
static int await_or_abandon(struct job *job, int *result)
{
    int rc = task_wait(loop_current, "a thread", TEPAL_NEVER);
    if (job->reported) {
        if (result)
            *result = job->result;
        mem_free(job);
        return 0;
    }
    if (offload_withdraw(job))
        offload_free_job(job);
    else
        offload_abandon(job);
    return rc;
}

int tepal_offload_abandonable(int (*fn)(void *arg), const void *arg, void (*release)(void *arg),
                              int *result)
{
    struct tepal_task *task = task_need("tepal_offload_abandonable");
    if (!fn)
        misuse("tepal_offload_abandonable", "fn is NULL");
    void *own = (void *)(uintptr_t)arg;
    int rc = task_check(loop_current, task);
    struct job *job = rc < 0 ? NULL : mem_zalloc(sizeof(*job));
    if (!job) {
        if (release)
            release(own);
        return rc < 0 ? rc : -ENOMEM;
    }
    *job = (struct job){ .fn = fn, .arg = own, .release = release, .task = task };
    tepal_pool *pool;
    rc = offload_of_loop(loop_current, &pool);
    if (rc == 0)
        rc = offload_begin(pool, job, LANE_PROGRAM);
    if (rc < 0) {
        offload_free_job(job);
        return rc;
    }
    return await_or_abandon(job, result);
}

int tepal_offload_configure(const tepal_offload_options *options)
{
    static const tepal_offload_options defaults;
    struct loop *loop = loop_need("tepal_offload_configure");
    options = options ? options : &defaults;
    tepal_pool *pool;
    int rc = room_check("tepal_offload_configure", options->later, sizeof(options->later));
    if (rc == 0)
        rc = offload_of_loop(loop, &pool);
    if (rc == 0)
        offload_set_limits(pool, options->max_threads, options->max_queue);
    return rc;
}
