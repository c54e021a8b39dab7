/* Timers of microseconds, for the few who need them: those of the loop count milliseconds, as the
 * poller does, and are as quick as they are because of it. They are a wheel of their own, and one
 * descriptor of the system's tells when its first timer is due.
 */
#ifndef TEPAL_ASYNC_LOOP_MICROTIMER_H
#define TEPAL_ASYNC_LOOP_MICROTIMER_H

#include "async/loop/timer.h"

#include <stdint.h>

struct loop;
struct microtimers;

/* Sets the timer, whose unit is the microsecond, on the loop's clock. It may fire too early when
 * the time is weeks away: whoever sets it looks at the clock. timer_cancel() cancels it. Returns 0,
 * or a negative errno when there is no memory or no descriptor. */
int microtimer_set(struct loop *loop, struct timer *timer, int64_t at_us);

/* As timers_next() and timers_advance(). NULL is allowed. */
int64_t microtimers_next(const struct microtimers *microtimers);
void microtimers_advance(struct microtimers *microtimers, int64_t now_us);

/* Frees them; NULL is allowed. */
void microtimers_close(struct microtimers *microtimers);

#endif
