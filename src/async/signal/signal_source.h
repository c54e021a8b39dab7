/* Signals of the process, told to any number of receivers between two tasks.
 *
 * Each signal that somebody wants has a handler, which only counts it and rings; the loops look at
 * the counts. So a program that a task starts by fork() and exec() inherits nothing: neither a
 * blocked signal nor an ignored one. When nobody wants a signal any more, what the program had for
 * it is put back.
 */
#ifndef TEPAL_ASYNC_SIGNAL_SIGNAL_SOURCE_H
#define TEPAL_ASYNC_SIGNAL_SIGNAL_SOURCE_H

#include "base/list.h"

#include <signal.h>
#include "base/platform.h"

#include <stdbool.h>

struct loop;

/* One that is told of signals. Zero but for its function before the first signal is added. */
struct signal_receiver {
    struct list node;
    sigset_t signals;
    bool is_open;
    /* Called by the loop, not in a task; n: how often the signal has come since the last time. */
    void (*fn)(struct signal_receiver *receiver, int number, unsigned n);
};

/* Whether a handler can receive the signal: it is one, and neither one that nobody can catch nor
 * one that says that the code cannot go on. */
bool signal_can_be_received(int number);

/* Tells the receiver of this signal, too, from now on. Returns 0 or a negative errno. */
int signal_receiver_add(struct loop *loop, struct signal_receiver *receiver, int number);

/* Tells it nothing any more. It may have no signals. Those that have come go to its function
 * first. */
void signal_receiver_close(struct loop *loop, struct signal_receiver *receiver);

/* Whether another receiver of the loop wants the signal. */
bool signal_has_others(const struct loop *loop, const struct signal_receiver *receiver, int number);

/* Tells the receivers what has come by now, before the poller does. */
void signal_source_look(struct loop *loop);

/* At the end of the loop, when no receiver is left, or those that are were forgotten. */
void signal_source_close(struct loop *loop);

/* In the child after fork(), with the loop of the forking thread or NULL: the program's own
 * handlers and mask are in force again. */
void signal_source_forked(struct loop *loop);

/* --- The wish to end -------------------------------------------------------------------------- */

/* While the count is above zero a second SIGINT or SIGTERM ends the process at once, by its
 * handler, whatever holds the loop; one that comes right after the first is the same wish, sent by
 * two. */
void signal_ending_begin(void);
void signal_ending_end(void);

#endif
