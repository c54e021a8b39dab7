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

/* Receives the signals in the list, which ends with 0, from now on. They are blocked in this thread
 * while it is open (and in the loop's own threads); a program with further threads blocks them
 * there itself. NULL when memory or descriptors are short. */
TEPAL_API tepal_signals *tepal_signals_open(const int *signals);

/* The number of the next signal. Suspends. Returns it, or -ECANCELED, -ETIMEDOUT. When several
 * tasks wait, each signal goes to one of them, in the order they came. */
TEPAL_API int tepal_signals_next(tepal_signals *signals);

/* The channel that the signals come from, whose items are their numbers as int: for waiting with
 * tepal_select() for signals beside other things. It belongs to the signals and lives as long; it
 * may only be received from. It holds one signal, and the kernel keeps the others until there is
 * room: each signal once, however often it came meanwhile. Does not suspend. */
TEPAL_API tepal_channel *tepal_signals_channel(tepal_signals *signals);

/* Stops receiving, and unblocks the signals that were not blocked before. One that has come and was
 * not received then has its usual effect. No task may wait for one. Does not suspend. NULL is
 * allowed. */
TEPAL_API void tepal_signals_close(tepal_signals *signals);

#ifdef __cplusplus
}
#endif
#endif
