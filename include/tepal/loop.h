/* The event loop of a thread as a whole: calls into it from other threads, running it within
 * another loop, and its clock in tests. tepal_main() runs one; each thread may run one of its
 * own. */
#ifndef TEPAL_LOOP_H
#define TEPAL_LOOP_H

#include <tepal/base.h>
#include <tepal/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The loop of a thread, as other threads know it. It lives until tepal_main() or tepal_run()
 * returns, or tepal_loop_close(); a thread that may call later must be told before, or joined. */
typedef struct tepal_loop tepal_loop;

/* The loop of the calling thread; the threads that will call it are given the result. Does not
 * suspend. NULL when memory or descriptors are short. */
TEPAL_API tepal_loop *tepal_loop_current(void);

/* Lets the loop call fn(arg) in its own thread, between two tasks, in the order of the calls that
 * were accepted: in its next turn, or, when many wait, a later one, since a turn makes at most 64.
 * Besides it, other threads may make only the calls of queue.h and value.h, tepal_log() and
 * tepal_logf(), and those that tell the time; it wakes the loop. In the loop's own thread it may be
 * made, too. Does not suspend, and fn must not call what does; it may start tasks, and do what
 * wakes them. What was accepted runs in any case, at the latest at the end of the loop. Returns 0,
 * -EAGAIN when max_calls wait to run, -ENOMEM, or -ECANCELED when the loop is at its end. */
TEPAL_API int tepal_loop_call(tepal_loop *loop, void (*fn)(void *arg), const void *arg);

typedef struct tepal_loop_options {
    size_t max_calls; /* of tepal_loop_call() that have not run; default 100000 */
    uint64_t later[4];
} tepal_loop_options;

/* Sets the bounds of the calling thread's loop, from now on. Does not suspend. Returns 0, -ENOMEM
 * or -EMFILE. */
TEPAL_API int tepal_loop_configure(const tepal_loop_options *options);

/* --- A guest of another loop ---------------------------------------------------------------------
 *
 * A program that has a loop already, that of GLib, Qt, libuv or a game, can run tepal's tasks in
 * the same thread: it opens a loop that does not run by itself, and gives it a turn whenever its
 * own loop has come back from waiting. Around each wait of the program's loop:
 *
 *     int64_t ms = tepal_loop_next_ms(loop);          // before: wait no longer than that
 *     struct pollfd fd = { .fd = tepal_loop_fd(loop), .events = POLLIN };
 *     poll(&fd, 1, ms > INT_MAX ? -1 : (int)ms);      // the wait, also for what else there is
 *     tepal_loop_turn(loop);                          // after
 *
 * examples/glib.c serves HTTP in the loop of GLib, examples/libuv.c in that of libuv.
 *
 * Outside of a task, and that is where the program's own loop calls, what says that it does not
 * suspend may be called: tepal_loop_spawn(), tepal_channel_try_send(), tepal_event_set(),
 * tepal_app_stop(), ... What suspends is misuse there. A task in turn must not wait by the
 * program's loop, as a dialog that runs until it is closed does. All of these calls belong to the
 * thread that has opened the loop; other threads have tepal_loop_call().
 *
 * fork() between two turns, to exec: nothing is to be done. In a child that goes on by itself the
 * loop is that of its parent: it may be closed, which only forgets it, with the memory of its
 * tasks, and then another one be opened; the descriptors that its tasks used are open in the child
 * until it closes them. Whoever forks to go on in two processes better does so before
 * tepal_loop_open(). */

/* Opens a loop for the calling thread, which the caller must close. Tasks of it have stacks,
 * timers, threads and all else that they have in tepal_main(). Returns 0 and the loop; -EBUSY when
 * the thread has one already, -ENOMEM or -EMFILE. */
TEPAL_API int tepal_loop_open(tepal_loop **loop);

/* Starts fn(arg) as a task of the loop, from outside of a task or in one, of which it inherits
 * nothing; otherwise as tepal_spawn(). It runs in the next turn. It ends by itself, or is cancelled
 * by tepal_loop_close(); a negative result is logged as a warning with the task's name. Does not
 * suspend. Returns 0, -ENOMEM, -EINVAL as tepal_spawn(), or -ECANCELED while the loop is being
 * closed. */
TEPAL_API int tepal_loop_spawn(tepal_loop *loop, tepal_task_fn *fn, const void *arg,
                               const tepal_spawn_options *options);

/* The descriptor that is readable when something has happened that a turn has to look at. It is the
 * loop's, and is always the same: to be polled for reading, and nothing else. */
TEPAL_API int tepal_loop_fd(const tepal_loop *loop);

/* How many milliseconds from now the next turn is due although the descriptor is not readable: 0 at
 * once, for tasks are ready to run; TEPAL_NEVER: not at all. It may change with each turn and each
 * call of this library that the thread makes, so it is asked right before the wait. */
TEPAL_API int64_t tepal_loop_next_ms(const tepal_loop *loop);

/* Runs the tasks that are ready, those whose time has come, and those for which something has
 * happened, until all wait or a tenth of a millisecond has passed; a task is not interrupted,
 * though, and each runs once at least. Waits for nothing, so a turn too many does no harm. Not in a
 * task of the loop, nor in a call of tepal_loop_call(). Returns how many tasks have not ended. */
TEPAL_API size_t tepal_loop_turn(tepal_loop *loop);

/* Cancels all tasks, waits until they have ended, as tepal_main() does at its end, and frees the
 * loop. The program's own loop stands still meanwhile: what shall end gracefully is told to before,
 * and given turns until tepal_loop_turn() returns 0. Not in a task of the loop. NULL is allowed. */
TEPAL_API void tepal_loop_close(tepal_loop *loop);

/* For tests: from now on the clock of the calling thread's loop stands still while anything can
 * happen, and when all tasks wait it jumps to the time of the first that waits for one. So times
 * are exact, and an hour takes no time. tepal_now_ms() and tepal_now_us() tell it; calls of
 * tepal_offload() are waited for, but other threads and processes take no time on it: a task that
 * waits for one of them with a deadline is out of time at once. While one waits in a queue of
 * queue.h, though, the clock goes no faster than the real one. Not in a loop of tepal_loop_open(),
 * whose time is that of the loop around it. Does not suspend. */
TEPAL_API void tepal_clock_fake(void);

#ifdef __cplusplus
}
#endif
#endif
