/* What fork() leaves to the child: a loop that does nothing any more. */
#ifndef TEPAL_ASYNC_LOOP_FORK_H
#define TEPAL_ASYNC_LOOP_FORK_H

/* Sees to it from now on; called for each loop that opens. */
void fork_watch(void);

/* Misuse: the child has come back to where only its parent goes on. */
_Noreturn void fork_child_returned(void);

#endif
