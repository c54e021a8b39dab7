/* The part of the loop that dumps its tasks when a signal comes. */
#ifndef TEPAL_ASYNC_DEBUG_INSPECT_H
#define TEPAL_ASYNC_DEBUG_INSPECT_H

#include <stddef.h>

struct loop;
struct tepal_task;

/* Ends it. */
void dump_signal_close(struct loop *loop);

/* Writes the task's name and what it is at: "connection" (GET / from 10.0.0.1). */
void inspect_name(const struct tepal_task *task, char *text, size_t size);

#endif
