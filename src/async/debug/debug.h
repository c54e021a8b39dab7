/* Debug mode: who holds up the others, who uses how much stack, and what was never closed. */
#ifndef TEPAL_ASYNC_DEBUG_DEBUG_H
#define TEPAL_ASYNC_DEBUG_DEBUG_H

#include "async/debug/census.h"

#include <stdint.h>

struct loop;
struct tepal_task;
struct watchdog;

struct debug {
    int64_t slow_us; /* a task that runs for so long is reported */
    struct census census;
    struct watchdog *watchdog; /* NULL: no live reports */
};

/* Switches it on if the environment says so. */
void debug_open(struct loop *loop);

/* At the end of the loop: says what was not closed. */
void debug_close(struct loop *loop);

/* Switches to the task, and looks at what it has done when it comes back. */
void debug_run(struct loop *loop, struct tepal_task *task);

#endif
