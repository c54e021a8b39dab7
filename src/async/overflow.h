/* Telling by name the task that overflowed its stack, instead of a bare segmentation fault. */
#ifndef TEPAL_ASYNC_OVERFLOW_H
#define TEPAL_ASYNC_OVERFLOW_H

/* Installs the handler (once a process) and this thread's signal stack, kept in *stack. Does
 * nothing where a sanitizer reports overflows itself. */
void overflow_watch(void **stack);

/* Takes this thread's signal stack away. */
void overflow_unwatch(void **stack);

#endif
