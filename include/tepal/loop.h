/* The event loop of a thread as a whole: calls into it from other threads, and its clock in tests.
 * tepal_main() runs one; each thread may run one of its own. */
#ifndef TEPAL_LOOP_H
#define TEPAL_LOOP_H

#include <tepal/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The loop of a thread, as other threads know it. It lives until tepal_main() or tepal_run()
 * returns; a thread that may call later must be told before, or joined. */
typedef struct tepal_loop tepal_loop;

/* The loop of the calling thread; the threads that will call it are given the result. Does not
 * suspend. NULL when memory or descriptors are short. */
TEPAL_API tepal_loop *tepal_loop_current(void);

/* Lets the loop call fn(arg) in its own thread, between two tasks, in the order of the calls that
 * were accepted: in its next turn, or, when many wait, a later one, since a turn makes at most 64.
 * The only call of this library, besides tepal_log() and those that tell the time, that other
 * threads may make; it wakes the loop. In the loop's own thread it may be made, too. Does not
 * suspend, and fn must not call what does; it may start tasks, and do what wakes them. What was
 * accepted runs in any case, at the latest at the end of the loop. Returns 0, -EAGAIN when
 * max_calls wait to run, -ENOMEM, or -ECANCELED when the loop is at its end. */
TEPAL_API int tepal_loop_call(tepal_loop *loop, void (*fn)(void *arg), const void *arg);

typedef struct tepal_loop_options {
    size_t max_calls; /* of tepal_loop_call() that have not run; default 100000 */
    uint64_t later[4];
} tepal_loop_options;

/* Sets the bounds of the calling thread's loop, from now on. Does not suspend. Returns 0, -ENOMEM
 * or -EMFILE. */
TEPAL_API int tepal_loop_configure(const tepal_loop_options *options);

/* For tests: from now on the clock of the calling thread's loop stands still while anything can
 * happen, and when all tasks wait it jumps to the time of the first that waits for one. So times
 * are exact, and an hour takes no time. tepal_now_ms() and tepal_now_us() tell it; calls of
 * tepal_offload() are waited for, but other threads and processes take no time on it: a task that
 * waits for one of them with a deadline is out of time at once. Does not suspend. */
TEPAL_API void tepal_clock_fake(void);

#ifdef __cplusplus
}
#endif
#endif
