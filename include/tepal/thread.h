/* Work that blocks, done in threads while the tasks of the loop go on. */
#ifndef TEPAL_THREAD_H
#define TEPAL_THREAD_H

#include <tepal/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* While fn runs, its thread has the signal mask that the calling thread had when it was asked for,
 * and so have the programs that fn starts. But those that tell of a fault in the thread itself
 * (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT) and SIGPROF are never blocked there,
 * and SIGPIPE and SIGXFSZ always are, so that a write to what is gone or full is an error and does
 * not end the program; what fork() starts has them as the calling thread had. So a signal handler
 * of the program may be run in that thread, and end a system call with EINTR. A thread of the pool
 * that has nothing to do takes no signals. */

/* Runs fn(arg) in a thread of the loop's pool, while other tasks go on; for calls that block: a
 * database, a file system, a long computation. fn must not call tepal, but for what any thread may:
 * tepal_log() and tepal_logf(), tepal_loop_call(), the calls of queue.h and value.h, and what tells
 * the time.
 * Suspends. Returns what fn returned. A task that is cancelled or out of time before a thread has
 * begun gets -ECANCELED or -ETIMEDOUT, and fn is not called; once it has begun the call waits for
 * it in any case, since fn uses the caller's memory. -EAGAIN when no thread could be started,
 * -EBUSY when the queue is full, -ENOMEM or -EMFILE when the pool could not be made. */
TEPAL_API int tepal_offload(int (*fn)(void *arg), const void *arg);

/* The same with a wait that can be cut short: cancelled or out of time, the call returns at once,
 * and fn goes on in its thread. So arg belongs to the call, until it is given back:
 *
 *     int result, rc = tepal_offload_abandonable(query, job, job_free, &result);
 *     if (rc < 0)
 *         return rc; // job is not ours any more
 *     ...            // result is what query() returned, and job is ours again
 *     job_free(job);
 *
 * 0: fn has returned, *result (NULL is allowed) is what it returned, and arg is the caller's.
 * Negative: arg must not be touched any more. release(arg) (NULL: nothing) has been called if fn
 * was not; otherwise the loop calls it, outside of any task, when fn has returned: it must not
 * suspend. Suspends. Returns 0; -ECANCELED or -ETIMEDOUT, whether fn has begun or not; or an error
 * of tepal_offload(). What fn uses must be reachable from arg, and its own: the caller's stack may
 * be gone. An abandoned call counts as one that runs, for max_threads and max_queue, and
 * tepal_main() returns only when it has ended; tepal_run(), and a program in which a server had to
 * leave requests behind, do not wait for it beyond shutdown_timeout_ms and some: see run.h. */
TEPAL_API int tepal_offload_abandonable(int (*fn)(void *arg), const void *arg,
                                        void (*release)(void *arg), int *result);

typedef struct tepal_offload_options {
    unsigned max_threads; /* default: the number of CPUs + 4, but 32 at most; no more than 4096 */
    size_t max_queue;     /* calls that wait for a thread; default 10000 */
    uint64_t later[4];
} tepal_offload_options;

/* Sets the bounds of this loop's pool, from now on; calls that run already go on. The operations of
 * file.h have a queue and threads of their own, with the same bounds: no call of the program's is
 * in their way. Threads are started when they are needed, and end after 10 s without work. When
 * calls wait and for 3 s no thread has taken one, the log says so, once in a minute. Does not
 * suspend. Returns 0, -ENOMEM or -EMFILE. */
TEPAL_API int tepal_offload_configure(const tepal_offload_options *options);

/* --- Pools of one's own --------------------------------------------------------------------------
 *
 * Calls that share something that has room for a few only, such as a database with four
 * connections, have a pool of their own: its bound is theirs, and no other call waits behind
 * them. */

typedef struct tepal_pool tepal_pool;

typedef struct tepal_pool_options {
    const char *name;     /* in the log, up to 40 octets; it is copied. Default "pool" */
    unsigned max_threads; /* default: as in tepal_offload_options */
    size_t max_queue;     /* calls that wait for a thread; default 10000 */
    uint64_t later[5];
} tepal_pool_options;

/* Makes a pool for the tasks of this loop; NULL: all defaults. Its threads start when they are
 * needed, and end after 10 s without work. What the log says of calls that wait long is said of it,
 * too. Does not suspend. Returns 0 and the pool, which the caller must close; -EINVAL, -ENOMEM or
 * -EMFILE. */
TEPAL_API int tepal_pool_open(tepal_pool **pool, const tepal_pool_options *options);

/* Runs fn(arg) in a thread of the pool, as tepal_offload() does in one of the loop's own, with the
 * same results. NULL is the loop's own. Suspends. */
TEPAL_API int tepal_pool_run(tepal_pool *pool, int (*fn)(void *arg), const void *arg);

/* Waits until the calls of the pool that were abandoned have returned, ends its threads and frees
 * it. No other call of it may be under way. Suspends, and cannot itself be cancelled or time out.
 * NULL is allowed. A pool that is still there at the end of the loop goes with it. */
TEPAL_API void tepal_pool_close(tepal_pool *pool);

/* --- Calls that are waited for later -------------------------------------------------------------
 *
 *     tepal_work *work;
 *     int result, rc = tepal_work_start(&work, NULL, sum_up, numbers, free);
 *     ...                                     // meanwhile the task does something else
 *     if (rc == 0)
 *         rc = tepal_work_join(work, &result);
 *     tepal_work_close(work);                 // which frees the numbers, now or later
 */

/* A call that a thread makes while the task that has started it goes on. */
typedef struct tepal_work tepal_work;

/* Lets a thread of the pool (NULL: the loop's own) call fn(arg), and does not wait for it. The
 * caller must close it. Once it has been closed, and fn does not use arg any more, release(arg) is
 * called (NULL: nothing). Does not suspend. Returns 0 and the work; or an error of tepal_offload()
 * with NULL in *work, and then arg is the caller's as before. */
TEPAL_API int tepal_work_start(tepal_work **work, tepal_pool *pool, int (*fn)(void *arg),
                               const void *arg, void (*release)(void *arg));

/* Whether the work is done, so that joining it does not wait. Does not suspend. */
TEPAL_API bool tepal_work_is_done(const tepal_work *work);

/* Waits until the work is done. One task at a time may wait for it; one that is done may be joined
 * any number of times. Suspends. Returns 0 when it is, with what fn returned in *result (NULL is
 * allowed); -ECANCELED or -ETIMEDOUT when the wait was cut short (the work goes on, and can be
 * joined later). */
TEPAL_API int tepal_work_join(tepal_work *work, int *result);

/* Gives the work back, done or not. When no thread has begun, fn is not called; when one has, fn
 * goes on there, abandoned, as in tepal_offload_abandonable(). release is called before this
 * returns, or, for what goes on, by the loop, outside of any task, when fn has returned: then it
 * must not suspend. No task may wait for the work. Does not suspend. NULL is allowed. At the end of
 * the loop what no thread has begun is done, with the result -ECANCELED, and what is done may be
 * closed after it. */
TEPAL_API void tepal_work_close(tepal_work *work);

#ifdef __cplusplus
}
#endif
#endif
