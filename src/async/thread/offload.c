/* Blocking calls in threads. The loop's thread and the pool's threads meet only in the lists behind
 * the mutex, and in the wake-up that says that the list of done calls is not empty.
 *
 * The program's calls and the library's own (files) have a lane each, with threads and a queue of
 * its own: the program's may take long, or wait for what a task will do after it has closed a file.
 *
 * A job that has begun is let go only by its thread, through the list of done calls: a task that
 * abandons one takes its own name off it, and the loop frees it when it comes back. What the public
 * calls make of it is in offload_call.c and pool.c. */
#include "async/thread/offload.h"

#include "async/task/task.h"
#include "async/thread/thread.h"
#include "async/loop/wakeup.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { DEFAULT_MAX_THREADS = 32, DEFAULT_MAX_QUEUE = 10000, THREADS_HARD_MAX = 4096 };
enum { IDLE_S = 10, STALLED_MS = 3000, TELL_EVERY_MS = 60 * 1000 };

struct lane {
    tepal_pool *pool;
    pthread_cond_t work;
    struct list queue; /* under the mutex, as is all until n_begun */
    size_t n_queued;
    unsigned n_threads, n_idle, n_running, max_running;
    uint64_t n_begun;
    size_t n_jobs;           /* queued, running, or done and not reported: the loop's own count */
    uint64_t n_begun_before; /* when the queue was looked at */
    int64_t tell_at;         /* not before it is said again that the queue stands still */
    const char *calls;       /* what they are, and */
    const char *limits;      /* where their bounds are set, for the log */
};

/* A thread. Under the mutex, but for the list, which is the loop's. */
struct worker {
    struct list node;
    struct lane *lane;
    pthread_t thread;
    bool ended;
};

struct tepal_pool {
    struct list node; /* in the loop's list */
    struct loop *loop;
    struct tepal_task *closer; /* waits until no abandoned call is left */
    char calls[96];            /* of one that is the program's */
    struct wakeup wakeup;
    pthread_mutex_t mutex;
    pthread_cond_t ended; /* a worker has */
    struct lane lanes[N_LANES];
    struct list done; /* under the mutex, as are the next two */
    bool closing;
    bool worker_ended;  /* at least one is to be joined */
    size_t max_jobs;    /* in each lane */
    size_t n_abandoned; /* jobs */
    struct list workers;
    struct timer look; /* at the queues, whether they move */
};

/* --- In the threads --------------------------------------------------------------------------- */

/* Waits for work, with the mutex held. False when this thread is to end: there is no more, or there
 * has been none for long. */
static bool await_work(struct lane *lane)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_S;
    int rc = 0;
    while (!lane->pool->closing &&
           (list_is_empty(&lane->queue) || lane->n_running >= lane->max_running)) {
        if (rc == ETIMEDOUT)
            return false;
        lane->n_idle++;
        rc = pthread_cond_timedwait(&lane->work, &lane->pool->mutex, &until);
        lane->n_idle--;
    }
    return !lane->pool->closing;
}

static void *thread_main(void *arg)
{
    struct worker *worker = arg;
    struct lane *lane = worker->lane;
    tepal_pool *pool = lane->pool;
    pthread_mutex_lock(&pool->mutex);
    while (await_work(lane)) {
        struct job *job = CONTAINER_OF(lane->queue.next, struct job, node);
        list_remove(&job->node);
        lane->n_queued--;
        lane->n_running++;
        lane->n_begun++;
        job->begun = true;
        pthread_mutex_unlock(&pool->mutex);
        thread_enter_program(&job->mask);
        int result = job->fn(job->arg);
        thread_leave_program();
        pthread_mutex_lock(&pool->mutex);
        lane->n_running--;
        job->result = result;
        list_append(&pool->done, &job->node);
        wakeup_ring(&pool->wakeup, "tepal_offload");
    }
    lane->n_threads--;
    worker->ended = true;
    pthread_cond_signal(&pool->ended);
    if (!pool->closing) {
        pool->worker_ended = true;
        wakeup_ring(&pool->wakeup, "tepal_offload");
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* --- In the loop ------------------------------------------------------------------------------ */

void offload_free_job(struct job *job)
{
    if (job->release)
        job->release(job->arg);
    mem_free(job);
}

/* The function of these calls has returned. */
static void report(tepal_pool *pool, struct list *done)
{
    while (!list_is_empty(done)) {
        struct job *job = CONTAINER_OF(done->next, struct job, node);
        list_remove(&job->node);
        job->lane->n_jobs--;
        job->reported = true;
        if (job->abandoned) {
            pool->n_abandoned--;
            offload_free_job(job);
        } else if (job->task) {
            task_wake(job->task, 0);
        }
    }
    if (pool->closer && pool->n_abandoned == 0)
        task_wake(pool->closer, 0);
}

/* Joins the threads that have ended, or all of them, which end. */
static void join_workers(tepal_pool *pool, bool all)
{
    struct list *node = pool->workers.next;
    while (node != &pool->workers) {
        struct worker *worker = CONTAINER_OF(node, struct worker, node);
        node = node->next;
        pthread_mutex_lock(&pool->mutex);
        bool ended = worker->ended;
        pthread_mutex_unlock(&pool->mutex);
        if (!all && !ended)
            continue;
        pthread_join(worker->thread, NULL);
        list_remove(&worker->node);
        mem_free(worker);
    }
}

static void on_wakeup(struct io *io)
{
    tepal_pool *pool = CONTAINER_OF(io, struct tepal_pool, wakeup.io);
    struct list done;
    list_init(&done);
    pthread_mutex_lock(&pool->mutex);
    list_move_all(&done, &pool->done);
    bool worker_ended = pool->worker_ended;
    pool->worker_ended = false;
    pthread_mutex_unlock(&pool->mutex);
    if (worker_ended)
        join_workers(pool, false);
    report(pool, &done);
}

/* Says that no thread has become free for a while. Returns whether there are calls that wait. */
static bool look_at_lane(struct lane *lane, int64_t now)
{
    pthread_mutex_lock(&lane->pool->mutex);
    size_t n_queued = lane->n_queued;
    unsigned n_running = lane->n_running;
    bool moves = lane->n_begun != lane->n_begun_before;
    lane->n_begun_before = lane->n_begun;
    pthread_mutex_unlock(&lane->pool->mutex);
    if (n_queued > 0 && !moves && now >= lane->tell_at) {
        tepal_logf(TEPAL_LOG_WARNING,
                   "no thread has been free for %d s: %zu %s wait, %u run; see %s",
                   STALLED_MS / 1000, n_queued, lane->calls, n_running, lane->limits);
        lane->tell_at = loop_time_after(now, TELL_EVERY_MS);
    }
    return n_queued > 0;
}

/* From this very moment on: a task may have held the loop for longer than that. */
static void look_later(tepal_pool *pool)
{
    timer_set(&pool->loop->timers, &pool->look, loop_time_in(pool->loop, STALLED_MS));
}

static void on_look(struct timer *timer)
{
    tepal_pool *pool = CONTAINER_OF(timer, struct tepal_pool, look);
    bool waits = false;
    for (int i = 0; i < N_LANES; i++)
        waits |= look_at_lane(&pool->lanes[i], pool->loop->now);
    if (waits)
        look_later(pool);
}

void offload_set_limits(tepal_pool *pool, unsigned max_threads, size_t max_queue)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = max_threads;
    if (threads == 0)
        threads =
            cpus > 0 && cpus + 4 < DEFAULT_MAX_THREADS ? (unsigned)cpus + 4 : DEFAULT_MAX_THREADS;
    if (threads > THREADS_HARD_MAX)
        threads = THREADS_HARD_MAX;
    size_t queue = max_queue ? max_queue : DEFAULT_MAX_QUEUE;
    pool->max_jobs = queue < SIZE_MAX - threads ? queue + threads : SIZE_MAX;
    pthread_mutex_lock(&pool->mutex);
    for (int i = 0; i < N_LANES; i++) {
        pool->lanes[i].max_running = threads;
        pthread_cond_broadcast(&pool->lanes[i].work);
    }
    pthread_mutex_unlock(&pool->mutex);
}

static void make_lanes(tepal_pool *pool, const char *calls, const char *limits)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    snprintf(pool->calls, sizeof(pool->calls), "%s", calls);
    for (int i = 0; i < N_LANES; i++) {
        struct lane *lane = &pool->lanes[i];
        lane->pool = pool;
        lane->calls = i == LANE_LIBRARY ? "operations on files" : pool->calls;
        lane->limits = limits;
        pthread_cond_init(&lane->work, &monotonic);
        list_init(&lane->queue);
    }
    pthread_cond_init(&pool->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

int offload_new(struct loop *loop, const char *calls, const char *limits, tepal_pool **made)
{
    tepal_pool *pool = mem_zalloc(sizeof(*pool));
    if (!pool)
        return -ENOMEM;
    int rc = wakeup_open(&pool->wakeup, loop, on_wakeup);
    if (rc < 0) {
        mem_free(pool);
        return rc;
    }
    pool->loop = loop;
    pthread_mutex_init(&pool->mutex, NULL);
    make_lanes(pool, calls, limits);
    list_init(&pool->done);
    list_init(&pool->workers);
    timer_init(&pool->look, on_look);
    offload_set_limits(pool, 0, 0);
    list_init(&pool->node);
    list_append(&loop->pools, &pool->node);
    *made = pool;
    return 0;
}

const struct loop *offload_loop(const tepal_pool *pool)
{
    return pool->loop;
}

int offload_of_loop(struct loop *loop, tepal_pool **pool)
{
    int rc = loop->pool ? 0
                        : offload_new(loop, "calls of tepal_offload()", "tepal_offload_configure()",
                                      &loop->pool);
    *pool = loop->pool;
    return rc;
}

/* Lets the threads end. Returns how many have not at that time. */
static unsigned end_workers(tepal_pool *pool, int64_t until)
{
    struct timespec at = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
    struct lane *a = &pool->lanes[LANE_PROGRAM], *b = &pool->lanes[LANE_LIBRARY];
    int rc = 0;
    unsigned n_left;
    pthread_mutex_lock(&pool->mutex);
    pool->closing = true;
    for (int i = 0; i < N_LANES; i++)
        pthread_cond_broadcast(&pool->lanes[i].work);
    while ((n_left = a->n_threads + b->n_threads) > 0 && rc == 0) {
        bool idle = a->n_running + b->n_running < n_left; /* then one ends at once */
        if (idle || until == TEPAL_NEVER)
            rc = pthread_cond_wait(&pool->ended, &pool->mutex);
        else
            rc = pthread_cond_timedwait(&pool->ended, &pool->mutex, &at);
    }
    pthread_mutex_unlock(&pool->mutex);
    return n_left;
}

/* What the threads use stays: the pool, its descriptor, and what they were called with. */
static void leave_workers(tepal_pool *pool, unsigned n)
{
    tepal_logf(TEPAL_LOG_ERROR, "%u offloaded call%s did not return in time, and %s left as %s", n,
               n == 1 ? "" : "s", n == 1 ? "is" : "are", n == 1 ? "it is" : "they are");
    join_workers(pool, false);
    for (struct list *node = pool->workers.next; node != &pool->workers; node = node->next)
        pthread_detach(CONTAINER_OF(node, struct worker, node)->thread);
}

/* What no thread has begun, and nobody waits for: its result is that it was cancelled. */
static void drop_queued(tepal_pool *pool)
{
    for (int i = 0; i < N_LANES; i++) {
        struct list *queue = &pool->lanes[i].queue;
        while (!list_is_empty(queue)) {
            struct job *job = CONTAINER_OF(list_take_first(queue), struct job, node);
            job->result = -ECANCELED;
            job->reported = true;
        }
    }
}

static void close_pool(tepal_pool *pool, int64_t until)
{
    list_remove(&pool->node);
    timer_cancel(&pool->look);
    unsigned n_left = end_workers(pool, until);
    drop_queued(pool);
    if (n_left > 0) {
        leave_workers(pool, n_left);
        return;
    }
    join_workers(pool, true);
    report(pool, &pool->done); /* what is abandoned: no task is left */
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->ended);
    for (int i = 0; i < N_LANES; i++)
        pthread_cond_destroy(&pool->lanes[i].work);
    wakeup_close(&pool->wakeup);
    mem_free(pool);
}

void offload_end(tepal_pool *pool)
{
    while (pool->n_abandoned > 0) {
        pool->closer = pool->loop->current;
        task_wait_shielded(pool->loop, "abandoned calls of a pool");
        pool->closer = NULL;
    }
    poller_remove(&pool->loop->poller, &pool->wakeup.io);
    close_pool(pool, TEPAL_NEVER);
}

void offload_close_all(struct loop *loop, int64_t until)
{
    while (!list_is_empty(&loop->pools))
        close_pool(CONTAINER_OF(loop->pools.next, struct tepal_pool, node), until);
    loop->pool = NULL;
}

bool offload_pool_is_busy(const tepal_pool *pool)
{
    size_t n_jobs = 0;
    for (int i = 0; i < N_LANES; i++)
        n_jobs += pool->lanes[i].n_jobs;
    return n_jobs > pool->n_abandoned;
}

bool offload_is_busy(const struct loop *loop)
{
    for (const struct list *node = loop->pools.next; node != &loop->pools; node = node->next)
        if (offload_pool_is_busy(CONTAINER_OF(node, struct tepal_pool, node)))
            return true;
    return false;
}

/* Starts one more thread. */
static int add_thread(struct lane *lane)
{
    struct worker *worker = mem_zalloc(sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    worker->lane = lane;
    list_init(&worker->node);
    int rc = thread_start(&worker->thread, thread_main, worker);
    if (rc < 0) {
        mem_free(worker);
        return rc;
    }
    list_append(&lane->pool->workers, &worker->node);
    return 0;
}

bool offload_withdraw(struct job *job)
{
    struct lane *lane = job->lane;
    pthread_mutex_lock(&lane->pool->mutex);
    bool waiting = !job->begun;
    if (waiting) {
        list_remove(&job->node);
        lane->n_queued--;
    }
    pthread_mutex_unlock(&lane->pool->mutex);
    if (waiting)
        lane->n_jobs--;
    return waiting;
}

/* Queues the job. Returns whether one more thread should take it; that is counted already. */
static bool enqueue(struct lane *lane, struct job *job)
{
    tepal_pool *pool = lane->pool;
    pthread_mutex_lock(&pool->mutex);
    if (job->first)
        list_prepend(&lane->queue, &job->node);
    else
        list_append(&lane->queue, &job->node);
    lane->n_queued++;
    bool waits = lane->n_queued > lane->n_idle;
    bool more = waits && lane->n_threads < lane->max_running;
    lane->n_threads += more;
    bool looks = waits && !timer_is_set(&pool->look);
    if (looks)
        lane->n_begun_before = lane->n_begun;
    pthread_cond_signal(&lane->work);
    pthread_mutex_unlock(&pool->mutex);
    if (looks)
        look_later(pool);
    lane->n_jobs++;
    return more;
}

/* The thread that was counted could not be started. Returns whether there is any. */
static bool uncount_thread(struct lane *lane)
{
    pthread_mutex_lock(&lane->pool->mutex);
    bool any = --lane->n_threads > 0;
    pthread_mutex_unlock(&lane->pool->mutex);
    return any;
}

/* Queues the job and sees that a thread will take it. The job comes first: so no thread that has
 * been idle for long can end in between. */
static int submit(struct lane *lane, struct job *job)
{
    if (lane->n_jobs >= lane->pool->max_jobs)
        return -EBUSY;
    bool more = enqueue(lane, job);
    if (more && add_thread(lane) < 0 && !uncount_thread(lane) && offload_withdraw(job))
        return -EAGAIN;
    return 0;
}

int offload_begin(tepal_pool *pool, struct job *job, int lane)
{
    list_init(&job->node);
    pthread_sigmask(SIG_BLOCK, NULL, &job->mask);
    job->lane = &pool->lanes[lane];
    return submit(job->lane, job);
}

void offload_abandon(struct job *job)
{
    job->task = NULL;
    job->abandoned = true;
    job->lane->pool->n_abandoned++;
}

static int await_result(struct loop *loop, struct job *job)
{
    while (!job->reported)
        task_wait_shielded(loop, "a thread");
    return job->result;
}

int offload_run(tepal_pool *pool, struct job *job, int lane, const char *call)
{
    struct tepal_task *task = task_need(call);
    struct loop *loop = loop_current;
    int rc = task_check(loop, task);
    if (rc == 0 && !pool)
        rc = offload_of_loop(loop, &pool);
    job->task = task;
    if (rc == 0)
        rc = offload_begin(pool, job, lane);
    if (rc < 0)
        return rc;
    rc = task_wait(loop, "a thread", TEPAL_NEVER);
    if (!job->reported && offload_withdraw(job))
        return rc;
    return await_result(loop, job);
}

int offload_shielded(int (*fn)(void *arg), void *arg)
{
    struct job job = { .fn = fn, .arg = arg, .first = true, .task = task_need("offload_shielded") };
    tepal_pool *pool;
    int rc = offload_of_loop(loop_current, &pool);
    if (rc == 0)
        rc = offload_begin(pool, &job, LANE_LIBRARY);
    return rc < 0 ? fn(arg) : await_result(loop_current, &job);
}
