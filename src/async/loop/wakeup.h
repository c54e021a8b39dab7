/* What other threads wake the loop with. */
#ifndef TEPAL_ASYNC_LOOP_WAKEUP_H
#define TEPAL_ASYNC_LOOP_WAKEUP_H

#include "async/loop/poll.h"

struct loop;

struct wakeup {
    struct io io; /* an eventfd; its fn is called in the loop, once or more often after a ring */
};

/* Returns 0 or a negative errno. */
int wakeup_open(struct wakeup *wakeup, struct loop *loop, void (*fn)(struct io *io));

/* At the end of the loop, which does not look at its poller any more. */
void wakeup_close(struct wakeup *wakeup);

/* From any thread. call is what misuse is named after. */
void wakeup_ring(struct wakeup *wakeup, const char *call);

#endif
