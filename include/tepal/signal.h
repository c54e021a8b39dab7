/* Signals of the process, received by tasks instead of handlers. */
#ifndef TEPAL_SIGNAL_H
#define TEPAL_SIGNAL_H

#include <tepal/base.h>
#include <tepal/channel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Signals of the process, received one after the other by tasks instead of a handler. */
typedef struct tepal_signals tepal_signals;

/* Receives the signals in the list, which ends with 0, from now on. While anything receives a
 * signal it has a handler of tepal's own, in the whole process, and is not blocked in this thread;
 * then what the program had for it is put back. So it does not matter which thread the system
 * picks, and what a task starts by fork() and exec() inherits nothing of it. Of several receivers
 * of one signal, in this loop and others, all get it, and closing one is no matter to the others.
 * tepal_run(), stop_on_signal and tepal_dump_on_signal() are such receivers. SIGKILL and SIGSTOP
 * cannot be received, nor the signals of faults: SIGSEGV, SIGBUS, SIGFPE, SIGILL. NULL when memory
 * or descriptors are short; the log says which. */
TEPAL_API tepal_signals *tepal_signals_open(const int *signals);

/* The number of the next signal. Suspends. Returns it, or -ECANCELED, -ETIMEDOUT. When several
 * tasks wait, each signal goes to one of them, in the order they came. */
TEPAL_API int tepal_signals_next(tepal_signals *signals);

/* The channel that the signals come from, whose items are their numbers as int: for waiting with
 * tepal_select() for signals beside other things. It belongs to the signals and lives as long; it
 * may only be received from. It holds one signal, and the others are kept until there is room:
 * each signal once, however often it came meanwhile, those from SIGRTMIN on as often as they came.
 * Does not suspend. */
TEPAL_API tepal_channel *tepal_signals_channel(tepal_signals *signals);

/* Stops receiving. A signal that has come, was not received, and that nothing else receives, then
 * has its usual effect. No task may wait for one. Does not suspend. NULL is allowed. */
TEPAL_API void tepal_signals_close(tepal_signals *signals);

#ifdef __cplusplus
}
#endif
#endif
