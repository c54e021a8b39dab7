/* Tasks, groups and time on an event loop.
 *
 * A task is a plain function with a stack of its own. Many tasks share one thread: a task runs
 * until it calls something that suspends, and then another one runs. So there are no locks between
 * tasks of a loop, and no surprise between two calls that do not suspend.
 *
 * Every call that suspends returns -ECANCELED at once in a task that has been cancelled, and
 * -ETIMEDOUT once the task's deadline has passed; in one that is both, -ECANCELED. It is for the
 * task to end then. One that goes on and on all the same is no harm to the others: after a few such
 * results in a row its calls let the others run, then pause, for a tenth of a second in the end,
 * and the log names it once as a warning. When its group is being closed or the loop ends, a task
 * that was cancelled and goes on so for 3 seconds, be it in a shield whose time is over, is given
 * up: it does not run any more, what it holds is not given back, and the log says so as an error.
 * What must be done although the task is cancelled stands in a shield, see tepal_shield_begin_ms().
 * (On a connection, too, -ETIMEDOUT is always a deadline: that the system gives up a peer which
 * does not answer is TEPAL_ESILENT, see conn.h.)
 *
 * fork(): the child may exec, or leave by _exit(). It has no loop: to close what it has inherited
 * is harmless to the parent, and any call that needs the loop ends the child with a message, as
 * does a return into it. So do not fork() in a task to go on in two processes; start a program with
 * process.h, or fork before tepal_main() and tepal_run(). A child may call tepal_main() itself.
 *
 * All calls belong to the thread that runs the loop, unless they say otherwise.
 */
#ifndef TEPAL_TASK_H
#define TEPAL_TASK_H

#include <tepal/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a task runs. The result is 0 or a count, or a negative error. */
typedef int tepal_task_fn(void *arg);

/* Runs an event loop in this thread with fn(arg) as its first task, until that task returns; then
 * cancels and joins what else still runs, and returns the first task's result. When that takes
 * long, the log says what is waited for. Returns -EBUSY when this thread runs a loop already, or
 * the error that kept the loop from starting (-ENOMEM, -EMFILE). */
TEPAL_API int tepal_main(tepal_task_fn *fn, const void *arg);

/* --- Time ------------------------------------------------------------------------------------- */

/* A monotonic clock, in milliseconds and microseconds from an arbitrary beginning. Works without a
 * loop, too. In a test (testing.h), and after tepal_clock_fake(), it is the test's clock. */
TEPAL_API int64_t tepal_now_ms(void);
TEPAL_API int64_t tepal_now_us(void);

/* Sleeps for at least ms milliseconds; 0 lets the other tasks run once. Suspends. Returns 0,
 * -ECANCELED or -ETIMEDOUT. */
TEPAL_API int tepal_sleep_ms(int64_t ms);

/* Sleeps for at least us microseconds; 0 lets the other tasks run once. For pauses of less than a
 * millisecond, and for those that must not last a millisecond longer: it costs a system call more
 * than tepal_sleep_ms(), and ends some 10 to 100 us late, or when the other tasks let it. The
 * deadline of the task still counts in milliseconds. The first one in a loop takes memory and a
 * descriptor for it; while there are none, a sleep lasts whole milliseconds.
 * Suspends. Returns 0, -ECANCELED or -ETIMEDOUT. */
TEPAL_API int tepal_sleep_us(int64_t us);

/* Limits all that this task waits for from now on to ms milliseconds from now. Deadlines only
 * shrink: an earlier one that is in force stays in force. Returns the deadline that was in force
 * before, for tepal_deadline_restore(). Does not suspend. */
TEPAL_API int64_t tepal_deadline_in_ms(int64_t ms);

/* Moves the deadline that the task has set by tepal_deadline_in_ms() to ms milliseconds from now,
 * earlier or later, but not beyond before, which is what that call returned; TEPAL_NEVER puts it
 * there. For what may go on as long as it makes progress. One that has passed is in the future
 * again; tasks that were spawned meanwhile keep the one they have. Does not suspend. */
TEPAL_API void tepal_deadline_move_ms(int64_t before, int64_t ms);

/* Puts the deadline back that tepal_deadline_in_ms() returned. */
TEPAL_API void tepal_deadline_restore(int64_t before);

/* Runs fn(arg) in the calling task, and limits all that it waits for to ms milliseconds from now,
 * as tepal_deadline_in_ms() does; then the deadline is what it was before. So what fn waits for
 * returns -ETIMEDOUT when the time is over, and fn returns that to its caller:
 *
 *     rc = tepal_timeout_ms(500, ask_the_cache, &question);
 *     if (rc == -ETIME)
 *         rc = ask_the_database(&question);
 *
 * fn is called in any case, and the first thing that it waits for tells when its time is over
 * already (ms is 0 or less) or the task cancelled; TEPAL_NEVER gives it no time of its own.
 * Timeouts nest, and an earlier deadline that is in force stays in force. A shield that fn begins
 * must end within it, and a deadline that it moves or leaves behind ends with it.
 *
 * Suspends where fn does. Returns what fn returned; but -ETIME in place of -ETIMEDOUT when this
 * time has passed, and the deadline that was in force before has not. So -ETIMEDOUT is what the
 * calls of the caller are told, too, and for it to pass on. */
TEPAL_API int tepal_timeout_ms(int64_t ms, tepal_task_fn *fn, const void *arg);

/* Moments at equal distances. The members are tepal's own. */
typedef struct tepal_interval {
    int64_t period_ms, next_ms;
    uint64_t later[4];
} tepal_interval;

/* An interval whose first moment is ms milliseconds from now, and each other one ms after the one
 * before; ms is at least 1. Does not suspend, and works without a loop, too. */
TEPAL_API tepal_interval tepal_interval_start_ms(int64_t ms);

/* Waits for the next moment of the interval. Suspends; when that moment has passed already it only
 * lets the other tasks run now and then. The moments do not drift, however late the task comes to
 * them. Returns how many have come since the last call, that is 1, or more when some were missed;
 * -ECANCELED or -ETIMEDOUT when the wait was cut short, and then none is lost. */
TEPAL_API int64_t tepal_interval_wait(tepal_interval *interval);

/* Begins a shield: a clean-up that must finish although the task is cancelled or out of time. Until
 * the end of the shield a cancellation, be it from before or from now, is held back, and the
 * deadline is ms milliseconds from now, whatever it was; TEPAL_NEVER: none. Shields nest; each has
 * its own time, and the cancellation is told after the outermost one. A task or a handler must not
 * return within one. Returns the deadline that was in force before, for tepal_shield_end(). Does
 * not suspend. */
TEPAL_API int64_t tepal_shield_begin_ms(int64_t ms);

/* Ends the shield, with what tepal_shield_begin_ms() returned: the next call that suspends tells of
 * the cancellation, or that the time is over. Does not suspend. */
TEPAL_API void tepal_shield_end(int64_t before);

/* --- Tasks and groups ------------------------------------------------------------------------- */

/* A set of tasks that ends as a whole. A task that fails in it is never overlooked: an error that
 * tepal_group_wait() did not return is logged as a warning with the task's name, at the latest when
 * the group is closed. To return -ECANCELED after one was cancelled is no failure. */
typedef struct tepal_group tepal_group;

typedef struct tepal_spawn_options {
    const char *name;  /* of the task, in reports; must outlive it. Default "task" */
    size_t stack_size; /* octets; default that of the loop, 256 KiB; at least 16 KiB. See below */
    size_t arg_size;   /* octets of *arg that the task gets a copy of, at most half of its stack, on
                          which they lie; default 0: it gets arg itself. See tepal_spawn() */
    uint64_t later[4];
} tepal_spawn_options;

/* While a loop runs, a handler of tepal for SIGSEGV is in place, which reports overflows and then
 * leaves every fault to the handler, or the default, that was there before. It needs a signal stack
 * (sigaltstack()): the thread's own if it has one, else tepal gives it one. Both go with the loop,
 * and what the program puts in their places stays. A program built with AddressSanitizer or
 * ThreadSanitizer, whether libtepal is or not, has the sanitizer's report instead.
 *
 * In C++ a task may suspend while it handles an exception, and while one is on its way; one must
 * not leave the function of a task, or any other function that tepal calls. For that the C++
 * runtime must be there when the loop begins: as it is in a program that is linked with it. */

/* The stack of a task: stack_size is rounded up to whole pages. It is address space, and memory is
 * used page by page; what an ended task has used stays with the loop for the next one of that size,
 * and goes back to the system when it was idle for half a second to a second. Of sizes over 1 MiB,
 * and of more than eight other ones than the default, it goes back at once, and each such task
 * costs some 20 us more. Large arrays belong elsewhere.
 *
 * Below each stack lies a guard, on which a task that overflows its stack ends the program with a
 * message that has its name. The guard is a megabyte for the first 1,024 tasks of each size that
 * live at once, 64 KiB for further ones and where the system limits what the process may map
 * (RLIMIT_AS, RLIMIT_DATA). A function whose local variables are larger than that can reach over
 * the guard into memory that is not its own, unnoticed when it writes only there: a program with
 * such functions should be compiled with -fstack-clash-protection, which touches each page of a
 * large frame in order. On a kernel without MADV_GUARD_INSTALL (before 6.13) a guard takes two of
 * the mappings that vm.max_map_count allows the process: when half of them are taken, by whomever,
 * further stacks have a mark at their end instead, which is looked at whenever the task suspends or
 * ends. */

/* A new, empty group. It belongs to the calling task, which must close it: a group that is not
 * closed stays until the loop ends, and debug mode names it then. NULL when memory is short. */
TEPAL_API tepal_group *tepal_group_new(void);

/* Starts fn(arg) as a task of the group; it runs when the calling task next suspends, and inherits
 * its deadline and its task-local values. So what arg points to must be there as long as the task
 * uses it, and a local variable of a function that returns meanwhile is not. With arg_size it is
 * copied before the call returns, and fn gets the address of the copy, which is aligned for any
 * type and there until the task ends:
 *
 *     struct job job = { .id = id };
 *     tepal_spawn(group, run, &job, &(tepal_spawn_options){ .arg_size = sizeof(job) });
 *
 * Does not suspend. Returns 0, -ENOMEM, -ECANCELED when the group has been cancelled, or -EINVAL
 * when arg_size is too large for the stack, or there is one and arg is NULL. */
TEPAL_API int tepal_spawn(tepal_group *group, tepal_task_fn *fn, const void *arg,
                          const tepal_spawn_options *options);

/* Waits until all tasks of the group have ended. Suspends. Returns the first negative result of a
 * task of the group, or 0; -ECANCELED or -ETIMEDOUT when the wait was cut short (the tasks go on).
 * Not for a task of the group itself. */
TEPAL_API int tepal_group_wait(tepal_group *group);

/* Cancels all tasks of the group, now and those that are spawned later. Does not suspend. */
TEPAL_API void tepal_group_cancel(tepal_group *group);

/* Cancels all tasks of the group, waits until they have ended, and frees the group. Suspends, and
 * cannot itself be cancelled or time out; tasks that go on though cancelled are given up, see
 * above. One that takes longer than 5 seconds, as in a shield it may, is named in the log, and
 * waited for. Not for groups that tepal itself closes, those of a request or an application. NULL
 * is allowed. */
TEPAL_API void tepal_group_close(tepal_group *group);

/* Whether the calling task has been cancelled, and its next call that suspends says so: within a
 * shield it is false. Does not suspend. */
TEPAL_API bool tepal_is_cancelled(void);

/* --- Jobs ---------------------------------------------------------------------------------------
 *
 * A job is a task of a group whose result can be asked for. The struct is the caller's: fill in fn
 * and what else is wanted, and leave the rest zero. It must stay where it is until the job has been
 * joined, or taken by tepal_group_next(), or its group is closed; then it may be started again. A
 * failure that nobody joined or took is logged when the group is closed. */

typedef struct tepal_job {
    tepal_task_fn *fn;
    const void *arg;
    const char *name;  /* of the task, in reports; must stay as long as the job. Default "job" */
    size_t stack_size; /* as in tepal_spawn_options */
    int result;        /* what fn returned, once it is done */
    bool done;
    struct tepal_job_inside { /* tepal's own */
        struct tepal_task *task, *joiner;
        tepal_group *group;
        struct tepal_job *next, *previous;
        bool failed;
    } inside;
    uint64_t later[4];
} tepal_job;

/* Starts a job as a task of the group, as tepal_spawn() does, and with the same results. */
TEPAL_API int tepal_job_start(tepal_group *group, tepal_job *job);

/* Waits until the job is done. One task at a time may wait for a job; one that is done may be
 * joined any number of times. Suspends. Returns 0 when job->result is there, or -ECANCELED,
 * -ETIMEDOUT when the wait was cut short (the job goes on, and can be joined later). */
TEPAL_API int tepal_job_join(tepal_job *job);

/* Cancels this job alone; one that has not been started or is done is left as it is. Does not
 * suspend. */
TEPAL_API void tepal_job_cancel(tepal_job *job);

/* Takes the next job of the group that has ended, in the order in which they do, without those that
 * were joined. One task at a time may ask, and no job of the group. Suspends until there is one.
 * Returns 1 with the job in *job; 0 when none is left and none is running (tasks that are no jobs
 * do not count); -ECANCELED or -ETIMEDOUT when the wait was cut short. *job is NULL unless 1 was
 * returned. */
TEPAL_API int tepal_group_next(tepal_group *group, tepal_job **job);

typedef struct tepal_gather_options {
    bool collect;       /* an error of one job does not cancel the others */
    size_t max_at_once; /* how many run at once; default 0: all */
    uint64_t later[4];
} tepal_gather_options;

/* Runs n jobs and waits until all have ended. Afterwards each is done and has its result; one that
 * never began has -ECANCELED, or -ENOMEM when memory was short. The first error to be returned by a
 * job cancels the others, and is returned when they have ended; with collect all run to their ends,
 * and 0 is returned whatever their results. When the calling task is cancelled or out of time, the
 * jobs are cancelled, and -ECANCELED or -ETIMEDOUT is returned when they have ended. Suspends. */
TEPAL_API int tepal_gather(tepal_job *jobs, size_t n, const tepal_gather_options *options);

/* Runs n jobs at once until one of them has returned, whatever its result is: an error wins, too.
 * The others are cancelled and joined. Afterwards each has a result, as with tepal_gather(); the
 * losers' may be -ECANCELED or what they came to. Suspends. Returns the index of the winner;
 * -ECANCELED or -ETIMEDOUT when the calling task was cancelled or out of time, and -ENOMEM when
 * memory was short, after all have been cancelled and joined; -EINVAL when n is 0. */
TEPAL_API int tepal_race(tepal_job *jobs, size_t n);

/* --- Task-local values --------------------------------------------------------------------------
 *
 * What a task has set, the tasks that it spawns afterwards have, too, from their beginning: each
 * has its own from then on, and what one sets later no other sees. A handler of a request begins
 * with what the task had that called tepal_serve(), startup hooks included; what it sets is gone
 * with the request. Values are pointers to what the program keeps alive as long as tasks may ask
 * for it; tepal does not look into them nor free them. */

/* Sets the value of the key for the calling task; NULL is as good as none. Does not suspend.
 * Returns 0 or -ENOMEM. */
TEPAL_API int tepal_task_set_local(const tepal_key *key, const void *value);

/* The value of the key for the calling task, NULL when there is none. Takes time by the number of
 * keys that are set. Does not suspend. */
TEPAL_API void *tepal_task_local(const tepal_key *key);

#ifdef __cplusplus
}
#endif
#endif
