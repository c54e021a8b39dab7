/* Timers on a hierarchical wheel with a resolution of one millisecond: O(1) to set, move and
 * cancel, whatever their number.
 *
 * Level 0 has a slot for each of the next 64 ms, level 1 for each of the next 64 spans of 64 ms,
 * and so on. A timer of a higher level moves down when its span begins, so each one fires exactly
 * in its millisecond.
 */
#ifndef TEPAL_ASYNC_LOOP_TIMER_H
#define TEPAL_ASYNC_LOOP_TIMER_H

#include "base/list.h"

#include <stdint.h>

enum { TIMER_LEVELS = 7, TIMER_SLOTS = 64 };

struct timer {
    struct list node;
    int64_t at; /* ms */
    void (*fn)(struct timer *);
};

struct timers {
    int64_t now;                 /* all timers before it have fired */
    int64_t next;                /* no timer is due before it */
    uint64_t used[TIMER_LEVELS]; /* bit s: slot s may have timers */
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};

void timers_init(struct timers *timers, int64_t now);

/* Makes the timer ready for use, not set. */
void timer_init(struct timer *timer, void (*fn)(struct timer *));

/* Sets the timer, whether it is set or not, to fire at the time at; one that is past is the next
 * millisecond. */
void timer_set(struct timers *timers, struct timer *timer, int64_t at);

/* Cancels the timer if it is set. */
static inline void timer_cancel(struct timer *timer)
{
    list_remove(&timer->node);
}

static inline bool timer_is_set(const struct timer *timer)
{
    return list_is_linked(&timer->node);
}

/* A time that is not after the first timer's, but may be before it, or that of one that has been
 * cancelled; INT64_MAX when none was set. timers_fire() makes it later. */
static inline int64_t timers_next(const struct timers *timers)
{
    return timers->next;
}

/* Fires all timers up to the time now, in order of time. A timer is not set any more when its
 * function is called, which may set and cancel any. Mostly nothing is due, and it costs nothing. */
void timers_fire(struct timers *timers, int64_t now);

static inline void timers_advance(struct timers *timers, int64_t now)
{
    if (now >= timers->next)
        timers_fire(timers, now);
}

#endif
