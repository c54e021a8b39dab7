/* Work that blocks, done in threads while the tasks of the loop go on. */
#ifndef TEPAL_THREAD_H
#define TEPAL_THREAD_H

#include <tepal/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs fn(arg) in a thread of the loop's pool, while other tasks go on; for calls that block: a
 * database, a file system, a long computation. fn must not call tepal, but for tepal_log().
 * Suspends. Returns what fn returned. A task that is cancelled or out of time before a thread has
 * begun gets -ECANCELED or -ETIMEDOUT, and fn is not called; once it has begun the call waits for
 * it in any case, since fn uses the caller's memory. -EAGAIN when no thread could be started,
 * -EBUSY when the queue is full, -ENOMEM or -EMFILE when the pool could not be made. */
TEPAL_API int tepal_offload(int (*fn)(void *arg), void *arg);

typedef struct tepal_offload_options {
    unsigned max_threads; /* default: the number of CPUs + 4, but 32 at most; no more than 4096 */
    size_t max_queue;     /* calls that wait for a thread; default 10000 */
} tepal_offload_options;

/* Sets the bounds of this loop's pool, from now on; calls that run already go on. Does not suspend.
 * Returns 0, -ENOMEM or -EMFILE. */
TEPAL_API int tepal_offload_configure(const tepal_offload_options *options);

#ifdef __cplusplus
}
#endif
#endif
