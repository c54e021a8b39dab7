/* Channels: tasks of one loop hand items to one another, in order; and waiting for whichever of
 * several channels is first.
 *
 * An item is copied in by the sender and out by the receiver. It is never lost and never doubled by
 * a cancellation or a deadline: a call that returns 0 has sent or received, and one that returns an
 * error has not. A channel is a queue with a bound, so that a sender cannot run away from its
 * receivers.
 *
 * Senders are served in the order they came, and so are receivers; one that has just come does not
 * overtake those who wait. A call that need not wait suspends only now and then, to let the others
 * run once: so a task that does nothing but send or receive, or goes on with a channel that has
 * ended, does not have the loop to itself. What must not suspend is called try.
 */
#ifndef TEPAL_CHANNEL_H
#define TEPAL_CHANNEL_H

#include <tepal/base.h>
#include <tepal/sync.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Items on their way from senders to receivers. */
typedef struct tepal_channel tepal_channel;

/* A channel for items of item_size octets (at least 1), of which it holds capacity when no
 * receiver waits. Capacity 0: it holds none, and a sender waits until a receiver has taken the item
 * from it. The memory for all items is taken at once. The caller closes it. NULL when memory is
 * short. */
TEPAL_API tepal_channel *tepal_channel_new(size_t item_size, size_t capacity);

/* Closes the channel, and drops the items in it. No task may wait for it: end it first, which ends
 * their waits. NULL is allowed. Does not suspend. */
TEPAL_API void tepal_channel_close(tepal_channel *channel);

/* Sends a copy of the item; waits while the channel is full. Suspends. Returns 0, -EPIPE when the
 * channel has ended or ends, -ECANCELED or -ETIMEDOUT. */
TEPAL_MUST_CHECK TEPAL_API int tepal_channel_send(tepal_channel *channel, const void *item);

/* Receives the oldest item; waits while there is none. Suspends. Returns 0, -EPIPE when the channel
 * has ended and is empty, -ECANCELED or -ETIMEDOUT; *item is written with 0 only. */
TEPAL_MUST_CHECK TEPAL_API int tepal_channel_receive(tepal_channel *channel, void *item);

/* The same without waiting: -EAGAIN when the channel is full, or empty. They do not suspend, and
 * need no task. */
TEPAL_MUST_CHECK TEPAL_API int tepal_channel_try_send(tepal_channel *channel, const void *item);
TEPAL_MUST_CHECK TEPAL_API int tepal_channel_try_receive(tepal_channel *channel, void *item);

/* Says that no more items come. Those that are in the channel can still be received; those of
 * senders that wait are not sent. Ending it again does nothing. Does not suspend, and needs no
 * task.
 */
TEPAL_API void tepal_channel_end(tepal_channel *channel);

/* Whether tepal_channel_end() has been called. */
TEPAL_API bool tepal_channel_has_ended(const tepal_channel *channel);

/* How many items are in the channel; those of senders that wait are not counted. */
TEPAL_API size_t tepal_channel_length(const tepal_channel *channel);

/* --- Select ----------------------------------------------------------------------------------- */

/* Something that tepal_select() waits for: a send or a receive, just as the call of that name. One
 * of send and receive is set. */
typedef struct tepal_select_case {
    tepal_channel *channel;     /* NULL: this case never happens */
    const void *send;           /* the item to send */
    void *receive;              /* where to put the item that is received */
    int result;                 /* once it has happened: 0, or -EPIPE for one that has ended */
    struct tepal_waiter waiter; /* private */
    uint64_t later[4];
} tepal_select_case;

/* Waits until one of n cases can happen, and lets that one happen and no other. When several can,
 * one is picked at random, so that each has its turn. The cases must stay until the call returns,
 * and can then be used again.
 *
 * timeout_ms: how long to wait at most; 0 or less does not wait, TEPAL_NEVER waits for ever. The
 * deadline of the task holds as well, whichever is first; both are a -ETIMEDOUT, and after the
 * task's deadline every further call that suspends says so, too.
 *
 * Suspends. Returns the index of the case that has happened (see its result); -EAGAIN when none
 * could and timeout_ms is 0 or less; -ECANCELED or -ETIMEDOUT. With an error no case has happened.
 */
TEPAL_MUST_CHECK TEPAL_API int tepal_select(tepal_select_case *cases, size_t n, int64_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
