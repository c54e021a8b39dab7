/* Telling by name the task that overflowed its stack, instead of a bare segmentation fault. */
#ifndef TEPAL_ASYNC_STACK_OVERFLOW_H
#define TEPAL_ASYNC_STACK_OVERFLOW_H

struct tepal_task;

/* Sees that an overflow in this thread is reported, until overflow_unwatch(): the handler is
 * installed in the process unless it is already, and the thread has a signal stack, its own if it
 * has one. Does nothing where a sanitizer reports overflows itself. */
void overflow_watch(void);

/* Undoes what is still as overflow_watch() has left it: the signal stack of the thread, and the
 * handler when this was the last thread. */
void overflow_unwatch(void);

/* The report. Safe in a signal handler. */
void overflow_report(const struct tepal_task *task);

#endif
