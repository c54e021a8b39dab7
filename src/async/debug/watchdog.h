/* The thread of debug mode that sees a task hold the loop while it does so, and where. */
#ifndef TEPAL_ASYNC_DEBUG_WATCHDOG_H
#define TEPAL_ASYNC_DEBUG_WATCHDOG_H

#include <stdint.h>

struct watchdog;

/* Starts to watch the calling thread, which runs a loop. Returns 0; -EBUSY when the program handles
 * the signal itself, or another negative errno. */
int watchdog_open(struct watchdog **watchdog, int64_t slow_us, int signal);

/* NULL is allowed. */
void watchdog_close(struct watchdog *watchdog);

/* A task begins or ends to run. NULL is allowed. When it ends, a report of it is in the log. */
void watchdog_begin(struct watchdog *watchdog, int64_t now_us);
void watchdog_end(struct watchdog *watchdog);

/* To be called by nobody else: the handler of the signal finds its watchdog so. Part of debug.c. */
struct watchdog *watchdog_current(void);

#endif
