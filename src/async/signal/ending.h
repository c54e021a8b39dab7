/* Signals by which a server is told to end: SIGINT, SIGTERM, and for a whole program SIGHUP. */
#ifndef TEPAL_ASYNC_SIGNAL_ENDING_H
#define TEPAL_ASYNC_SIGNAL_ENDING_H

#include "async/signal/signal_source.h"

#include <stdint.h>

/* Zero before the first call. */
struct ending {
    struct signal_receiver receiver;
    struct loop *loop;
    void (*fn)(void *arg,
               int number); /* called by the loop at the first signal; NULL from then on */
    void *arg;
    int64_t wished_at; /* ms */
};

/* Lets the loop call fn(arg) at the first of these signals. A second SIGINT or SIGTERM ends the
 * process, whatever holds the loop, until ending_close(). hangup: SIGHUP is such a wish, too, where
 * the program neither handles nor ignores it nor receives it itself. Returns 0 or a negative
 * errno, and then nothing is open. */
int ending_open(struct ending *ending, void (*fn)(void *arg, int number), void *arg, bool hangup);

/* Looks at these signals no more. Suspends for a moment after a signal, so that a second one that
 * was sent together with it does not find the handlers gone; nothing interrupts it. */
void ending_close(struct ending *ending);

/* How long tasks have to end after they were cancelled, when a server has waited so long for them:
 * a tenth of it, one second at least and ten at most; ten when it has not
 * waited at all. */
int64_t ending_grace_ms(int64_t patience_ms);

#endif
