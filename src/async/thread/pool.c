/* Pools of the program's own, and calls that are waited for later. */
#include "async/thread/offload.h"
#include "async/task/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"

#include <errno.h>
#include <stdio.h>

int tepal_pool_open(tepal_pool **pool, const tepal_pool_options *options)
{
    static const tepal_pool_options defaults;
    struct loop *loop = loop_need("tepal_pool_open");
    need_place("tepal_pool_open", pool);
    options = options ? options : &defaults;
    *pool = NULL;
    int rc = room_check("tepal_pool_open", options->later, sizeof(options->later));
    if (rc < 0)
        return rc;
    char calls[80];
    snprintf(calls, sizeof(calls), "calls of pool \"%.40s\"",
             options->name ? options->name : "pool");
    rc = offload_new(loop, calls, "tepal_pool_options", pool);
    if (rc == 0)
        offload_set_limits(*pool, options->max_threads, options->max_queue);
    return rc;
}

static void need_own_pool(const char *call, const tepal_pool *pool)
{
    const struct loop *loop = loop_need(call);
    if (pool && offload_loop(pool) != loop)
        misuse(call, "the pool is another loop's");
}

int tepal_pool_run(tepal_pool *pool, int (*fn)(void *arg), const void *arg)
{
    need_own_pool("tepal_pool_run", pool);
    if (!fn)
        misuse("tepal_pool_run", "the function is NULL");
    struct job job = { .fn = fn, .arg = (void *)(uintptr_t)arg };
    return offload_run(pool, &job, LANE_PROGRAM, "tepal_pool_run");
}

void tepal_pool_close(tepal_pool *pool)
{
    if (!pool)
        return;
    task_need("tepal_pool_close");
    need_own_pool("tepal_pool_close", pool);
    if (offload_pool_is_busy(pool))
        misuse("tepal_pool_close", "a call of the pool has not ended, nor been abandoned");
    offload_end(pool);
}

/* --- Works ------------------------------------------------------------------------------------ */

struct tepal_work {
    struct job job;
};

static void need_work(const char *call, const tepal_work *work)
{
    if (!work)
        misuse(call, "the work is NULL");
}

int tepal_work_start(tepal_work **started, tepal_pool *pool, int (*fn)(void *arg), const void *arg,
                     void (*release)(void *arg))
{
    need_own_pool("tepal_work_start", pool);
    if (!fn)
        misuse("tepal_work_start", "the function is NULL");
    need_place("tepal_work_start", started);
    *started = NULL;
    int rc = pool ? 0 : offload_of_loop(loop_current, &pool);
    tepal_work *work = rc < 0 ? NULL : mem_alloc(sizeof(*work));
    if (!work)
        return rc < 0 ? rc : -ENOMEM;
    *work = (tepal_work){ .job = { .fn = fn, .arg = (void *)(uintptr_t)arg, .release = release } };
    rc = offload_begin(pool, &work->job, LANE_PROGRAM);
    if (rc < 0)
        mem_free(work);
    else
        *started = work;
    return rc;
}

bool tepal_work_is_done(const tepal_work *work)
{
    need_work("tepal_work_is_done", work);
    return work->job.reported;
}

int tepal_work_join(tepal_work *work, int *result)
{
    struct tepal_task *task = task_need("tepal_work_join");
    need_work("tepal_work_join", work);
    struct job *job = &work->job;
    if (job->task)
        misuse("tepal_work_join", "another task waits for this work");
    int rc = task_may_give_way(loop_current, task);
    if (rc == 0 && !job->reported) {
        job->task = task;
        rc = task_wait(loop_current, "a thread", TEPAL_NEVER);
        job->task = NULL;
    }
    if (rc == 0 && result)
        *result = job->result;
    return rc;
}

void tepal_work_close(tepal_work *work)
{
    if (!work)
        return;
    struct job *job = &work->job; /* and the memory of both is one */
    if (job->task)
        misuse("tepal_work_close", "a task waits for this work");
    if (job->reported || offload_withdraw(job))
        offload_free_job(job);
    else
        offload_abandon(job);
}
