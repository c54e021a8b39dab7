/* Blocking calls in threads. The loop's thread and the pool's threads meet only in the two lists
 * behind the mutex, and in the wake-up that says that the list of done calls is not empty.
 *
 * A job that has begun is let go only by its thread, through the list of done calls: a task that
 * abandons one takes its own name off it, and the loop frees it when it comes back. */
#include "async/offload.h"

#include "async/task.h"
#include "async/wakeup.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { DEFAULT_MAX_THREADS = 32, DEFAULT_MAX_QUEUE = 10000, THREADS_HARD_MAX = 4096 };

/* One call. It lies on the stack of the task that waits for it, or in memory of its own when it can
 * be abandoned. */
struct job {
    struct list node;
    int (*fn)(void *);
    void *arg;
    int result;
    bool begun;              /* under the mutex */
    bool reported;           /* the result is here */
    struct tepal_task *task; /* NULL: abandoned */
    void (*release)(void *); /* of arg, when it is abandoned */
};

struct offload {
    struct wakeup wakeup;
    pthread_mutex_t mutex;
    pthread_cond_t work, ended; /* a thread has */
    struct list queue, done;    /* under the mutex, as is all until closing */
    size_t n_queued;
    unsigned n_idle, n_running, n_ended, max_running;
    bool closing;
    size_t n_jobs, max_jobs; /* queued, running, or done and not reported: the loop's own count */
    size_t n_abandoned;      /* of them */
    pthread_t *threads;      /* the loop's own, too */
    unsigned n_threads, threads_room;
};

static void *thread_main(void *arg)
{
    struct offload *offload = arg;
    pthread_mutex_lock(&offload->mutex);
    while (true) {
        while (!offload->closing &&
               (list_is_empty(&offload->queue) || offload->n_running >= offload->max_running)) {
            offload->n_idle++;
            pthread_cond_wait(&offload->work, &offload->mutex);
            offload->n_idle--;
        }
        if (offload->closing)
            break;
        struct job *job = CONTAINER_OF(offload->queue.next, struct job, node);
        list_remove(&job->node);
        offload->n_queued--;
        offload->n_running++;
        job->begun = true;
        pthread_mutex_unlock(&offload->mutex);
        int result = job->fn(job->arg);
        pthread_mutex_lock(&offload->mutex);
        offload->n_running--;
        job->result = result;
        list_append(&offload->done, &job->node);
        wakeup_ring(&offload->wakeup, "tepal_offload");
    }
    offload->n_ended++;
    pthread_cond_signal(&offload->ended);
    pthread_mutex_unlock(&offload->mutex);
    return NULL;
}

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
        offload->n_jobs--;
        job->reported = true;
        if (job->task) {
            task_wake(job->task, 0);
        } else {
            offload->n_abandoned--;
            job_free(job);
        }
    }
}

static void on_wakeup(struct io *io)
{
    struct offload *offload = CONTAINER_OF(io, struct offload, wakeup.io);
    struct list done;
    list_init(&done);
    pthread_mutex_lock(&offload->mutex);
    list_move_all(&done, &offload->done);
    pthread_mutex_unlock(&offload->mutex);
    report(offload, &done);
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
    offload->max_running = threads;
    pthread_cond_broadcast(&offload->work);
    pthread_mutex_unlock(&offload->mutex);
}

/* It is waited for by the clock that cannot be set. */
static void init_ended(pthread_cond_t *ended)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(ended, &attributes);
    pthread_condattr_destroy(&attributes);
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
    pthread_mutex_init(&offload->mutex, NULL);
    pthread_cond_init(&offload->work, NULL);
    init_ended(&offload->ended);
    list_init(&offload->queue);
    list_init(&offload->done);
    set_limits(offload, NULL);
    loop->offload = offload;
    return 0;
}

/* Lets the threads end. Returns how many have not at that time. */
static unsigned end_threads(struct offload *offload, int64_t until)
{
    struct timespec at = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };
    int rc = 0;
    pthread_mutex_lock(&offload->mutex);
    offload->closing = true;
    pthread_cond_broadcast(&offload->work);
    while (offload->n_ended < offload->n_threads && rc == 0) {
        bool idle = offload->n_ended + offload->n_running < offload->n_threads;
        if (idle || until == TEPAL_NEVER) /* one that is idle ends at once */
            rc = pthread_cond_wait(&offload->ended, &offload->mutex);
        else
            rc = pthread_cond_timedwait(&offload->ended, &offload->mutex, &at);
    }
    unsigned n_left = offload->n_threads - offload->n_ended;
    pthread_mutex_unlock(&offload->mutex);
    return n_left;
}

/* What the threads use stays: the pool, its descriptor, and what they were called with. */
static void leave_threads(struct offload *offload, unsigned n)
{
    tepal_log(TEPAL_LOG_ERROR, "%u offloaded call%s did not return in time, and %s left as %s", n,
              n == 1 ? "" : "s", n == 1 ? "is" : "are", n == 1 ? "it is" : "they are");
    for (unsigned i = 0; i < offload->n_threads; i++)
        pthread_detach(offload->threads[i]);
    mem_free(offload->threads);
}

void offload_close(struct offload *offload, int64_t until)
{
    if (!offload)
        return;
    unsigned n_left = end_threads(offload, until);
    if (n_left > 0) {
        leave_threads(offload, n_left);
        return;
    }
    for (unsigned i = 0; i < offload->n_threads; i++)
        pthread_join(offload->threads[i], NULL);
    report(offload, &offload->done); /* what is abandoned: no task is left */
    pthread_mutex_destroy(&offload->mutex);
    pthread_cond_destroy(&offload->work);
    pthread_cond_destroy(&offload->ended);
    wakeup_close(&offload->wakeup);
    mem_free(offload->threads);
    mem_free(offload);
}

bool offload_is_busy(const struct offload *offload)
{
    return offload && offload->n_jobs > offload->n_abandoned;
}

/* Starts one more thread; signals stay with the program's own threads. */
static int add_thread(struct offload *offload)
{
    if (offload->n_threads == offload->threads_room) {
        unsigned room = offload->threads_room ? offload->threads_room * 2 : 8;
        pthread_t *threads = mem_resize(offload->threads, room * sizeof(*threads));
        if (!threads)
            return -ENOMEM;
        offload->threads = threads;
        offload->threads_room = room;
    }
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&offload->threads[offload->n_threads], NULL, thread_main, offload);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        offload->n_threads++;
    return -rc;
}

/* Queues the job and sees that a thread will take it. */
static int submit(struct offload *offload, struct job *job)
{
    if (offload->n_jobs >= offload->max_jobs)
        return -EBUSY;
    pthread_mutex_lock(&offload->mutex);
    bool more = offload->n_queued >= offload->n_idle && offload->n_threads < offload->max_running;
    pthread_mutex_unlock(&offload->mutex);
    if (more && add_thread(offload) < 0 && offload->n_threads == 0)
        return -EAGAIN;
    pthread_mutex_lock(&offload->mutex);
    list_append(&offload->queue, &job->node);
    offload->n_queued++;
    pthread_cond_signal(&offload->work);
    pthread_mutex_unlock(&offload->mutex);
    offload->n_jobs++;
    return 0;
}

/* Takes a job back that no thread has begun. */
static bool withdraw(struct offload *offload, struct job *job)
{
    pthread_mutex_lock(&offload->mutex);
    bool waiting = !job->begun;
    if (waiting) {
        list_remove(&job->node);
        offload->n_queued--;
    }
    pthread_mutex_unlock(&offload->mutex);
    if (waiting)
        offload->n_jobs--;
    return waiting;
}

/* Sees that the job will run in a thread, and that the task can be told. */
static int begin(struct loop *loop, struct job *job)
{
    int rc = offload_open(loop);
    list_init(&job->node);
    job->task = loop->current;
    return rc < 0 ? rc : submit(loop->offload, job);
}

static int await_result(struct loop *loop, struct job *job)
{
    while (!job->reported)
        task_wait_shielded(loop, "a thread");
    return job->result;
}

static void need_function(const char *call, int (*fn)(void *))
{
    if (UNLIKELY(!fn))
        misuse(call, "the function is NULL");
}

int tepal_offload(int (*fn)(void *arg), void *arg)
{
    struct tepal_task *task = task_need("tepal_offload");
    need_function("tepal_offload", fn);
    struct loop *loop = loop_current;
    struct job job = { .fn = fn, .arg = arg };
    int rc = task_check(loop, task);
    if (rc == 0)
        rc = begin(loop, &job);
    if (rc < 0)
        return rc;
    rc = task_wait(loop, "a thread", TEPAL_NEVER);
    if (!job.reported && withdraw(loop->offload, &job))
        return rc;
    return await_result(loop, &job);
}

int offload_shielded(int (*fn)(void *arg), void *arg)
{
    struct job job = { .fn = fn, .arg = arg };
    task_need("offload_shielded");
    return begin(loop_current, &job) < 0 ? fn(arg) : await_result(loop_current, &job);
}

int tepal_offload_abandonable(int (*fn)(void *arg), void *arg, void (*release)(void *arg),
                              int *result)
{
    struct tepal_task *task = task_need("tepal_offload_abandonable");
    need_function("tepal_offload_abandonable", fn);
    struct loop *loop = loop_current;
    int rc = task_check(loop, task);
    struct job *job = rc < 0 ? NULL : mem_zalloc(sizeof(*job));
    if (!job) {
        if (release)
            release(arg);
        return rc < 0 ? rc : -ENOMEM;
    }
    job->fn = fn;
    job->arg = arg;
    job->release = release;
    rc = begin(loop, job);
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
    if (withdraw(loop->offload, job)) {
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
    int rc = offload_open(loop);
    if (rc == 0)
        set_limits(loop->offload, options);
    return rc;
}
