/* The thread pool of a loop, for calls that block. */
#ifndef TEPAL_ASYNC_OFFLOAD_H
#define TEPAL_ASYNC_OFFLOAD_H

#include <stdbool.h>

struct offload;

/* Joins the threads and frees the pool; NULL is allowed. */
void offload_close(struct offload *offload);

/* Whether calls are under way. NULL is allowed. */
bool offload_is_busy(const struct offload *offload);

#endif
