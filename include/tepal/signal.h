/* Signals of the process, received by tasks instead of handlers. */
#ifndef TEPAL_SIGNAL_H
#define TEPAL_SIGNAL_H

#include <tepal/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Signals of the process, received one after the other by a task instead of a handler. */
typedef struct tepal_signals tepal_signals;

/* Receives the signals in the list, which ends with 0, from now on. They are blocked in this thread
 * while it is open (and in the loop's own threads); a program with further threads blocks them
 * there itself. NULL when memory or descriptors are short. */
TEPAL_API tepal_signals *tepal_signals_open(const int *signals);

/* The number of the next signal. Suspends. Returns it, or -ECANCELED, -ETIMEDOUT; -EBUSY when
 * another task waits for it. */
TEPAL_API int tepal_signals_next(tepal_signals *signals);

/* Stops receiving, and unblocks the signals that were not blocked before. No task may wait for one.
 * NULL is allowed. */
TEPAL_API void tepal_signals_close(tepal_signals *signals);

#ifdef __cplusplus
}
#endif
#endif
