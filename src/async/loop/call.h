/* The loop's side of tepal_loop_call(). */
#ifndef TEPAL_ASYNC_LOOP_CALL_H
#define TEPAL_ASYNC_LOOP_CALL_H

#include <tepal/loop.h>

#include <stdbool.h>

struct loop;

/* Makes the loop's queue if there is none. Returns 0 or a negative errno. */
int calls_open(struct loop *loop);

/* Whose it is. */
struct loop *calls_loop(const tepal_loop *calls);

/* Runs the calls that are queued, but not more than a turn has room for, nor those that they queue
 * themselves. Returns whether there were any. */
bool calls_run(struct loop *loop);

/* Accepts no more calls, and runs those that are queued. */
void calls_end(struct loop *loop);

/* Frees the queue, which has ended; NULL is allowed. */
void calls_close(tepal_loop *calls);

#endif
