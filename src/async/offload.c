/* Blocking calls in threads. The loop's thread and the pool's threads meet only in the lists behind
 * the mutex, and in the wake-up that says that the list of done calls is not empty.
 *
 * The program's calls and the library's own (files) have a lane each, with threads and a queue of its
 * own: the program's may take long, or wait for what a task will do after it has closed a file.
 *
 * A job that has begun is let go only by its thread, through the list of done calls: a task that
 * abandons one takes its own name off it, and the loop frees it when it comes back. */
#include "async/offload.h"

#include "async/task.h"
#include "async/thread.h"
#include "async/wakeup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { DEFAULT_MAX_THREADS = 32, DEFAULT_MAX_QUEUE = 10000, THREADS_HARD_MAX = 4096 };
enum { IDLE_S = 10, STALLED_MS = 3000, TELL_EVERY_MS = 60 * 1000 };

/* One call. It lies on the stack of the task that waits for it, or in memory of its own when it can
 * be abandoned. */
struct job {
    struct list node;
    struct lane *lane;
    int (*fn)(void *);
    void *arg;
    int result;
    bool first;              /* of those in the queue */
    bool begun;              /* under the mutex */
    bool reported;           /* the result is here */
    sigset_t mask;           /* of the loop's thread */
    struct tepal_task *task; /* NULL: abandoned */
    void (*release)(void *); /* of arg, when it is abandoned */
};

struct lane {
    struct offload *offload;
    pthread_cond_t work;
    struct list queue; /* under the mutex, as is all until n_begun */
    size_t n_queued;
    unsigned n_threads, n_idle, n_running, max_running;
    uint64_t n_begun;
    size_t n_jobs;           /* queued, running, or done and not reported: the loop's own count */
    uint64_t n_begun_before; /* when the queue was looked at */
    int64_t tell_at;         /* not before it is said again that the queue stands still */
    const char *calls;       /* what they are, for the log */
};

enum { LANE_PROGRAM, LANE_LIBRARY, N_LANES };

/* A thread. Under the mutex, but for the list, which is the loop's. */
struct worker {
    struct list node;
    struct lane *lane;
    pthread_t thread;
    bool ended;
};

struct offload {
    struct loop *loop;
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
    while (!lane->offload->closing &&
           (list_is_empty(&lane->queue) || lane->n_running >= lane->max_running)) {
        if (rc == ETIMEDOUT)
            return false;
        lane->n_idle++;
        rc = pthread_cond_timedwait(&lane->work, &lane->offload->mutex, &until);
        lane->n_idle--;
    }
    return !lane->offload->closing;
}

static void *thread_main(void *arg)
{
    struct worker *worker = arg;
    struct lane *lane = worker->lane;
    struct offload *offload = lane->offload;
    pthread_mutex_lock(&offload->mutex);
    while (await_work(lane)) {
        struct job *job = CONTAINER_OF(lane->queue.next, struct job, node);
        list_remove(&job->node);
        lane->n_queued--;
        lane->n_running++;
        lane->n_begun++;
        job->begun = true;
        pthread_mutex_unlock(&offload->mutex);
        thread_enter_program(&job->mask);
        int result = job->fn(job->arg);
        thread_leave_program();
        pthread_mutex_lock(&offload->mutex);
        lane->n_running--;
        job->result = result;
        list_append(&offload->done, &job->node);
        wakeup_ring(&offload->wakeup, "tepal_offload");
    }
    lane->n_threads--;
    worker->ended = true;
    pthread_cond_signal(&offload->ended);
    if (!offload->closing) {
        offload->worker_ended = true;
        wakeup_ring(&offload->wakeup, "tepal_offload");
    }
    pthread_mutex_unlock(&offload->mutex);
    return NULL;
}

/* --- In the loop ------------------------------------------------------------------------------ */

static void job_free(struct job *job)
{
    if (job->release)
        job->release(job->arg);
    mem_free(job);
}

/* The function of these calls has returned. */
static void report(struct offload *offload, struct list *done)
{
    while (!list_is_empty(done)) {
        struct job *job = CONTAINER_OF(done->next, struct job, node);
        list_remove(&job->node);
        job->lane->n_jobs--;
        job->reported = true;
        if (job->task) {
            task_wake(job->task, 0);
        } else {
            offload->n_abandoned--;
            job_free(job);
        }
    }
}

/* Joins the threads that have ended, or all of them, which end. */
static void join_workers(struct offload *offload, bool all)
{
    struct list *node = offload->workers.next;
    while (node != &offload->workers) {
        struct worker *worker = CONTAINER_OF(node, struct worker, node);
        node = node->next;
        pthread_mutex_lock(&offload->mutex);
        bool ended = worker->ended;
        pthread_mutex_unlock(&offload->mutex);
        if (!all && !ended)
            continue;
        pthread_join(worker->thread, NULL);
        list_remove(&worker->node);
        mem_free(worker);
    }
}

static void on_wakeup(struct io *io)
{
    struct offload *offload = CONTAINER_OF(io, struct offload, wakeup.io);
    struct list done;
    list_init(&done);
    pthread_mutex_lock(&offload->mutex);
    list_move_all(&done, &offload->done);
    bool worker_ended = offload->worker_ended;
    offload->worker_ended = false;
    pthread_mutex_unlock(&offload->mutex);
    if (worker_ended)
        join_workers(offload, false);
    report(offload, &done);
}

/* Says that no thread has become free for a while. Returns whether there are calls that wait. */
static bool look_at_lane(struct lane *lane, int64_t now)
{
    pthread_mutex_lock(&lane->offload->mutex);
    size_t n_queued = lane->n_queued;
    unsigned n_running = lane->n_running;
    bool moves = lane->n_begun != lane->n_begun_before;
    lane->n_begun_before = lane->n_begun;
    pthread_mutex_unlock(&lane->offload->mutex);
    if (n_queued > 0 && !moves && now >= lane->tell_at) {
        tepal_logf(TEPAL_LOG_WARNING,
                   "no thread has been free for %d s: %zu %s wait, %u run; see "
                   "tepal_offload_configure()",
                   STALLED_MS / 1000, n_queued, lane->calls, n_running);
        lane->tell_at = loop_time_after(now, TELL_EVERY_MS);
    }
    return n_queued > 0;
}

static void look_later(struct offload *offload)
{
    timer_set(&offload->loop->timers, &offload->look,
              loop_time_after(offload->loop->now, STALLED_MS));
}

static void on_look(struct timer *timer)
{
    struct offload *offload = CONTAINER_OF(timer, struct offload, look);
    bool waits = false;
    for (int i = 0; i < N_LANES; i++)
        waits |= look_at_lane(&offload->lanes[i], offload->loop->now);
    if (waits)
        look_later(offload);
}

static void set_limits(struct offload *offload, const tepal_offload_options *options)
{
    static const tepal_offload_options defaults;
    options = options ? options : &defaults;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = options->max_threads;
    if (threads == 0)
        threads =
            cpus > 0 && cpus + 4 < DEFAULT_MAX_THREADS ? (unsigned)cpus + 4 : DEFAULT_MAX_THREADS;
    if (threads > THREADS_HARD_MAX)
        threads = THREADS_HARD_MAX;
    size_t queue = options->max_queue ? options->max_queue : DEFAULT_MAX_QUEUE;
    offload->max_jobs = queue < SIZE_MAX - threads ? queue + threads : SIZE_MAX;
    pthread_mutex_lock(&offload->mutex);
    for (int i = 0; i < N_LANES; i++) {
        offload->lanes[i].max_running = threads;
        pthread_cond_broadcast(&offload->lanes[i].work);
    }
    pthread_mutex_unlock(&offload->mutex);
}

static void make_lanes(struct offload *offload)
{
    static const char *const calls[] = { "calls of tepal_offload()", "operations on files" };
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    for (int i = 0; i < N_LANES; i++) {
        struct lane *lane = &offload->lanes[i];
        lane->offload = offload;
        lane->calls = calls[i];
        pthread_cond_init(&lane->work, &monotonic);
        list_init(&lane->queue);
    }
    pthread_cond_init(&offload->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Makes the loop's pool if there is none. Returns 0 or a negative errno. */
static int offload_open(struct loop *loop)
{
    if (loop->offload)
        return 0;
    struct offload *offload = mem_zalloc(sizeof(*offload));
    if (!offload)
        return -ENOMEM;
    int rc = wakeup_open(&offload->wakeup, loop, on_wakeup);
    if (rc < 0) {
        mem_free(offload);
        return rc;
    }
    offload->loop = loop;
    pthread_mutex_init(&offload->mutex, NULL);
    make_lanes(offload);
    list_init(&offload->done);
    list_init(&offload->workers);
    timer_init(&offload->look, on_look);
    set_limits(offload, NULL);
    loop->offload = offload;
    return 0;
}

/* Lets the threads end. Returns how many have not at that time. */
static unsigned end_workers(struct offload *offload, int64_t until)
{
    struct timespec at = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
    struct lane *a = &offload->lanes[LANE_PROGRAM], *b = &offload->lanes[LANE_LIBRARY];
    int rc = 0;
    unsigned n_left;
    pthread_mutex_lock(&offload->mutex);
    offload->closing = true;
    for (int i = 0; i < N_LANES; i++)
        pthread_cond_broadcast(&offload->lanes[i].work);
    while ((n_left = a->n_threads + b->n_threads) > 0 && rc == 0) {
        bool idle = a->n_running + b->n_running < n_left; /* then one ends at once */
        if (idle || until == TEPAL_NEVER)
            rc = pthread_cond_wait(&offload->ended, &offload->mutex);
        else
            rc = pthread_cond_timedwait(&offload->ended, &offload->mutex, &at);
    }
    pthread_mutex_unlock(&offload->mutex);
    return n_left;
}

/* What the threads use stays: the pool, its descriptor, and what they were called with. */
static void leave_workers(struct offload *offload, unsigned n)
{
    tepal_logf(TEPAL_LOG_ERROR, "%u offloaded call%s did not return in time, and %s left as %s", n,
               n == 1 ? "" : "s", n == 1 ? "is" : "are", n == 1 ? "it is" : "they are");
    join_workers(offload, false);
    for (struct list *node = offload->workers.next; node != &offload->workers; node = node->next)
        pthread_detach(CONTAINER_OF(node, struct worker, node)->thread);
}

void offload_close(struct offload *offload, int64_t until)
{
    if (!offload)
        return;
    timer_cancel(&offload->look);
    unsigned n_left = end_workers(offload, until);
    if (n_left > 0) {
        leave_workers(offload, n_left);
        return;
    }
    join_workers(offload, true);
    report(offload, &offload->done); /* what is abandoned: no task is left */
    pthread_mutex_destroy(&offload->mutex);
    pthread_cond_destroy(&offload->ended);
    for (int i = 0; i < N_LANES; i++)
        pthread_cond_destroy(&offload->lanes[i].work);
    wakeup_close(&offload->wakeup);
    mem_free(offload);
}

bool offload_is_busy(const struct offload *offload)
{
    size_t n_jobs = 0;
    for (int i = 0; offload && i < N_LANES; i++)
        n_jobs += offload->lanes[i].n_jobs;
    return offload && n_jobs > offload->n_abandoned;
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
    list_append(&lane->offload->workers, &worker->node);
    return 0;
}

/* Takes a job back that no thread has begun. */
static bool withdraw(struct job *job)
{
    struct lane *lane = job->lane;
    pthread_mutex_lock(&lane->offload->mutex);
    bool waiting = !job->begun;
    if (waiting) {
        list_remove(&job->node);
        lane->n_queued--;
    }
    pthread_mutex_unlock(&lane->offload->mutex);
    if (waiting)
        lane->n_jobs--;
    return waiting;
}

/* Queues the job. Returns whether one more thread should take it; that is counted already. */
static bool enqueue(struct lane *lane, struct job *job)
{
    struct offload *offload = lane->offload;
    pthread_mutex_lock(&offload->mutex);
    if (job->first)
        list_prepend(&lane->queue, &job->node);
    else
        list_append(&lane->queue, &job->node);
    lane->n_queued++;
    bool waits = lane->n_queued > lane->n_idle;
    bool more = waits && lane->n_threads < lane->max_running;
    lane->n_threads += more;
    bool looks = waits && !timer_is_set(&offload->look);
    if (looks)
        lane->n_begun_before = lane->n_begun;
    pthread_cond_signal(&lane->work);
    pthread_mutex_unlock(&offload->mutex);
    if (looks)
        look_later(offload);
    lane->n_jobs++;
    return more;
}

/* The thread that was counted could not be started. Returns whether there is any. */
static bool uncount_thread(struct lane *lane)
{
    pthread_mutex_lock(&lane->offload->mutex);
    bool any = --lane->n_threads > 0;
    pthread_mutex_unlock(&lane->offload->mutex);
    return any;
}

/* Queues the job and sees that a thread will take it. The job comes first: so no thread that has been
 * idle for long can end in between. */
static int submit(struct lane *lane, struct job *job)
{
    if (lane->n_jobs >= lane->offload->max_jobs)
        return -EBUSY;
    bool more = enqueue(lane, job);
    if (more && add_thread(lane) < 0 && !uncount_thread(lane) && withdraw(job))
        return -EAGAIN;
    return 0;
}

/* Sees that the job will run in a thread of this lane, and that the task can be told. */
static int begin(struct loop *loop, struct job *job, int lane)
{
    int rc = offload_open(loop);
    if (rc < 0)
        return rc;
    list_init(&job->node);
    job->task = loop->current;
    pthread_sigmask(SIG_BLOCK, NULL, &job->mask);
    job->lane = &loop->offload->lanes[lane];
    return submit(job->lane, job);
}

static int await_result(struct loop *loop, struct job *job)
{
    while (!job->reported)
        task_wait_shielded(loop, "a thread");
    return job->result;
}

/* Until a thread has begun the task may be told to stop waiting. */
static int run_in_lane(struct job *job, int lane, const char *call)
{
    struct tepal_task *task = task_need(call);
    struct loop *loop = loop_current;
    int rc = task_check(loop, task);
    if (rc == 0)
        rc = begin(loop, job, lane);
    if (rc < 0)
        return rc;
    rc = task_wait(loop, "a thread", TEPAL_NEVER);
    if (!job->reported && withdraw(job))
        return rc;
    return await_result(loop, job);
}

int tepal_offload(int (*fn)(void *arg), const void *arg)
{
    if (!fn)
        misuse("tepal_offload", "fn is NULL");
    struct job job = { .fn = fn, .arg = (void *)arg };
    return run_in_lane(&job, LANE_PROGRAM, "tepal_offload");
}

int offload_own(int (*fn)(void *arg), void *arg, const char *call)
{
    return run_in_lane(&(struct job){ .fn = fn, .arg = arg }, LANE_LIBRARY, call);
}

int offload_shielded(int (*fn)(void *arg), void *arg)
{
    struct job job = { .fn = fn, .arg = arg, .first = true };
    task_need("offload_shielded");
    int rc = begin(loop_current, &job, LANE_LIBRARY);
    return rc < 0 ? fn(arg) : await_result(loop_current, &job);
}

int tepal_offload_abandonable(int (*fn)(void *arg), const void *arg, void (*release)(void *arg),
                              int *result)
{
    struct tepal_task *task = task_need("tepal_offload_abandonable");
    if (!fn)
        misuse("tepal_offload_abandonable", "fn is NULL");
    struct loop *loop = loop_current;
    int rc = task_check(loop, task);
    struct job *job = rc < 0 ? NULL : mem_zalloc(sizeof(*job));
    if (!job) {
        if (release)
            release((void *)arg);
        return rc < 0 ? rc : -ENOMEM;
    }
    job->fn = fn;
    job->arg = (void *)arg;
    job->release = release;
    rc = begin(loop, job, LANE_PROGRAM);
    if (rc < 0) {
        job_free(job);
        return rc;
    }
    rc = task_wait(loop, "a thread", TEPAL_NEVER);
    if (job->reported) {
        if (result)
            *result = job->result;
        mem_free(job);
        return 0;
    }
    if (withdraw(job)) {
        job_free(job);
    } else {
        job->task = NULL;
        loop->offload->n_abandoned++;
    }
    return rc;
}

int tepal_offload_configure(const tepal_offload_options *options)
{
    struct loop *loop = loop_need("tepal_offload_configure");
    int rc =
        options ? room_check("tepal_offload_configure", options->later, sizeof(options->later)) : 0;
    if (rc == 0)
        rc = offload_open(loop);
    if (rc == 0)
        set_limits(loop->offload, options);
    return rc;
}
