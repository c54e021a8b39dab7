/* Seeing inside a running program: what each task is at, how much stack the tasks need, and who
 * holds up the others.
 *
 * Functions in a back-trace have names where the dynamic linker knows them: those of shared
 * libraries, and those of a program that is linked with -rdynamic and not static. For each other
 * one "addr2line -fe OBJECT OFFSET" gives name and line: the addresses are those of the calls, not
 * of where they return to.
 */
#ifndef TEPAL_INSPECT_H
#define TEPAL_INSPECT_H

#include <tepal/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- All tasks -------------------------------------------------------------------------------- */

/* Receives one line of a report, without line end and control octets. Must not suspend. */
typedef void tepal_line_fn(const char *line, void *arg);

/* Reports all tasks of this thread's loop, in the order of their start: name, what it is at, state
 * (running; ready to run; not begun; waiting; shielded: waiting for something that cancelling does
 * not end), for how long and what for, when that wait and its deadline will be over, whether it is
 * cancelled, the octets of its stack that were ever used, and its back-trace, unless a task before
 * it had the same:
 *
 *   task 3 "/todos/{id}" (GET /todos/7 from 10.0.0.1): waiting for 812 ms (a thread), 3352 of
 *   245760 octets of stack
 *     #0 0x7f2ab1c0a3f4 tepal_offload+0xe4 (/usr/lib/libtepal.so.0+0xa3f4)
 *     #1 0x55d0a1b21189 (./todo+0x2189)
 *
 * The figure of the stack includes what earlier tasks used of the same memory, unless debug mode is
 * on; memory that was swapped out is not counted. A library that was built with ucontext has no
 * back-trace of a stack that is nearly full, nor any under a sanitizer.
 *
 * With fn NULL the lines go to the log, as warnings. Takes some 10 microseconds a task, during
 * which no task runs. From a task, it needs 12 KiB of stack beside what fn needs; 24 KiB when that
 * is NULL. Does not suspend. */
TEPAL_API void tepal_dump_tasks(tepal_line_fn *fn, const void *arg);

/* From now on, until the loop ends, it writes that report to the log whenever the signal comes. May
 * be called for several signals. It is a receiver of the signal beside those of
 * tepal_signals_open() (signal.h), and all get it. tepal_run() does it for SIGUSR1. Does not
 * suspend. Returns 0, -ENOMEM or -EMFILE. */
TEPAL_API int tepal_dump_on_signal(int signal);

/* --- Debug mode ------------------------------------------------------------------------------- */

/* Zero is the default. */
typedef struct tepal_debug_options {
    /* A task that runs for so long without suspending is reported. Default 50; TEPAL_NEVER: none.
     */
    int64_t slow_ms;
    /* Only when it has suspended or ended, not in the midst of it. */
    bool no_live_report;
    /* The signal that takes the back-trace of a task in the midst of it. Default SIGURG, which does
     * nothing elsewhere. It may end a blocking system call of that task early, with EINTR. */
    int signal;
    /* How many names of tasks the census of stacks tells apart; the others are counted as one.
     * Default 1000. */
    size_t max_names;
    uint64_t later[4];
} tepal_debug_options;

/* Switches debug mode on for this thread's loop, until it ends; the environment variable
 * TEPAL_DEBUG=1 does so for every loop. Called again, it changes the options. In debug mode these
 * go to the log:
 *  - a task that held up the others for slow_ms: its name, what it was at, and how much of that
 *    time it has computed; and while it still does so, at slow_ms and at 10, 100, ... times of it,
 *    where it is: its back-trace;
 *  - when the loop ends: the census of stacks; groups that were not closed, with who made them and
 *    where; connections, listeners and the like that were not closed, by their descriptors;
 *    receivers of signals.
 * And the memory of a request that has ended is overwritten with 0xdd, so that what was kept of it
 * is seen to be gone.
 * It costs about a microsecond each time a task is run, more when it is started, and a thread that
 * looks at the clock; while it is off, nothing. Does not suspend. Returns 0 or -ENOMEM. When there
 * can be no live report (no thread, no descriptor, or a handler of the program's own for the
 * signal) it is logged. */
TEPAL_API int tepal_debug(const tepal_debug_options *options);

/* --- Stack use -------------------------------------------------------------------------------- */

/* The tasks of one name. A stack_size (see tepal_spawn_options) must be larger than max_used by
 * what you think proper for cases that have not come up. */
typedef struct tepal_stack_use {
    const char *name; /* NULL: all names that are over max_names */
    size_t n_tasks;
    size_t max_used; /* octets, of the task that used the most */
    size_t size;     /* that this one had */
    uint64_t later[4];
} tepal_stack_use;

typedef void tepal_stack_use_fn(const tepal_stack_use *use, void *arg);

/* Calls fn for each name of a task, those with the highest use first: of all tasks that have ended
 * since debug mode was switched on, and of those that live, for which the figures without debug
 * mode are as in tepal_dump_tasks(). What use points to is valid in the call; fn must not suspend.
 * With fn NULL it goes to the log. Does not suspend. */
TEPAL_API void tepal_stack_census(tepal_stack_use_fn *fn, const void *arg);

#ifdef __cplusplus
}
#endif
#endif
