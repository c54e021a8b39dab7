/* The thread pool of a loop, for calls that block. */
#ifndef TEPAL_ASYNC_OFFLOAD_H
#define TEPAL_ASYNC_OFFLOAD_H

#include "base/platform.h"

#include <stdbool.h>
#include <stdint.h>

struct offload;

/* Joins the threads, which may take as long as the abandoned calls do, and frees the pool; NULL is
 * allowed. Threads that are still at work at the time until (TEPAL_NEVER: none) are left alone, with
 * all that they use. */
void offload_close(struct offload *offload, int64_t until);

/* Whether calls are under way that a task waits for. NULL is allowed. */
bool offload_is_busy(const struct offload *offload);

/* As tepal_offload(), in threads that the library keeps for itself: no call of the program's is in
 * the way. call names the public one. */
int offload_own(int (*fn)(void *arg), void *arg, const char *call);

/* The same for what has to be done in any case, such as closing: nothing interrupts it, it comes
 * before the others that wait, and when no thread is to be had fn runs in the calling one. Returns
 * what fn returned. */
int offload_shielded(int (*fn)(void *arg), void *arg);

#endif
