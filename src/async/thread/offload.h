/* The thread pools of a loop, for calls that block: its own one, and those of the program. */
#ifndef TEPAL_ASYNC_THREAD_OFFLOAD_H
#define TEPAL_ASYNC_THREAD_OFFLOAD_H

#include "base/list.h"
#include "base/platform.h"

#include <tepal/thread.h>

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct lane;
struct loop;
struct tepal_task;

/* Of the loop's own pool: the program's calls and the library's have threads and a queue each. A
 * pool of the program's has the former only. */
enum { LANE_PROGRAM, LANE_LIBRARY, N_LANES };

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
    bool abandoned;          /* nobody will ask for it */
    sigset_t mask;           /* of the loop's thread */
    struct tepal_task *task; /* that waits for it; NULL: none does */
    void (*release)(void *); /* of arg, when it is abandoned */
};

/* Makes a pool for the loop, that has nothing to do yet. calls: what its calls are, and limits:
 * where their bounds are set, for the log. Returns 0 or a negative errno. */
int offload_new(struct loop *loop, const char *calls, const char *limits, tepal_pool **pool);

/* That of tepal_offload(), which is made at first use. */
int offload_of_loop(struct loop *loop, tepal_pool **pool);

/* Whose it is. */
const struct loop *offload_loop(const tepal_pool *pool);

/* Sets the bounds; 0: the default. */
void offload_set_limits(tepal_pool *pool, unsigned max_threads, size_t max_queue);

/* Sees that the job will run in a thread of this lane. Its task, if there is one, is woken when the
 * result is here. Returns 0 or a negative errno. */
int offload_begin(tepal_pool *pool, struct job *job, int lane);

/* Takes a job back that no thread has begun. Returns whether it could. */
bool offload_withdraw(struct job *job);

/* Lets go of a job that a thread has begun, and that has memory of its own: it is freed when its
 * function has returned. */
void offload_abandon(struct job *job);

/* Frees such a job, and calls release. */
void offload_free_job(struct job *job);

/* In a task: begins the job, and waits for it. Until a thread has begun it may be told to stop
 * waiting. call names the public one. */
int offload_run(tepal_pool *pool, struct job *job, int lane, const char *call);

/* Whether calls are under way that somebody wants the result of: in this pool, or in any of the
 * loop's. */
bool offload_pool_is_busy(const tepal_pool *pool);
bool offload_is_busy(const struct loop *loop);

/* Waits until the threads have nothing left to do, which are abandoned calls, and ends the pool. In
 * a task; nothing interrupts it. */
void offload_end(tepal_pool *pool);

/* At the end of the loop: joins the threads of all pools, which may take as long as the abandoned
 * calls do, and frees the pools. Threads that are still at work at the time until (TEPAL_NEVER:
 * none) are left alone, with all that they use. What has not begun never will. */
void offload_close_all(struct loop *loop, int64_t until);

/* As tepal_offload(), in threads that the library keeps for itself: no call of the program's is in
 * the way. call names the public one. */
int offload_own(int (*fn)(void *arg), void *arg, const char *call);

/* The same for what has to be done in any case, such as closing: nothing interrupts it, it comes
 * before the others that wait, and when no thread is to be had fn runs in the calling one. Returns
 * what fn returned. */
int offload_shielded(int (*fn)(void *arg), void *arg);

#endif
