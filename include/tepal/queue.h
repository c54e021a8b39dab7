/* Queues between threads: tasks of any loop and threads without one hand items to one another, in
 * order. What queue.Queue is to Python's threads and janus to its tasks, a channel to Go, a
 * BlockingQueue to Java. Between tasks of one loop a channel costs less, and tepal_select() knows
 * it: see channel.h.
 *
 * All calls may be made by any thread. In a task they suspend it, in a thread that runs no loop,
 * that of a tepal_offload() included, they block the thread; in the thread of a loop, but outside
 * of a task, only what does not wait may be called, for the loop would stand still.
 *
 * An item is copied in by the sender and out by the receiver. It is never lost and never doubled by
 * a cancellation or a time that is over: a call that returns 0 has sent or received, though its
 * task has been cancelled meanwhile, and one that returns an error has not. Senders are served in
 * the order they came, and so are receivers, whether tasks or threads. A queue is bounded, so that
 * a sender cannot run away from its receivers.
 */
#ifndef TEPAL_QUEUE_H
#define TEPAL_QUEUE_H

#include <tepal/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Items on their way from senders to receivers. */
typedef struct tepal_queue tepal_queue;

/* A queue for items of item_size octets (at least 1), of which it holds capacity when no
 * receiver waits. Capacity 0: it holds none, and a sender waits until a receiver has taken the
 * item from it. The memory for all items is taken at once. The caller must close it. NULL when
 * memory is short. */
TEPAL_API tepal_queue *tepal_queue_new(size_t item_size, size_t capacity);

/* Frees the queue and the items in it. Nobody may wait for it, or call it any more: end it first,
 * and join those who use it, or learn from the last item, or its end, that they are through with
 * it; what one has sent another may have received, and then have closed the queue, before the call
 * of the first has returned. NULL is allowed. Does not wait. */
TEPAL_API void tepal_queue_close(tepal_queue *queue);

/* Sends a copy of the item; waits while the queue is full, for timeout_ms at most: 0 or less does
 * not wait, TEPAL_NEVER waits for ever. A task's deadline holds as well. Suspends or blocks.
 * Returns 0; -EPIPE when the queue has ended or ends meanwhile; -EAGAIN when it is full and
 * timeout_ms 0 or less; -ETIMEDOUT; in a task also -ECANCELED, and -ENOMEM or -EMFILE when it
 * cannot wait. */
TEPAL_MUST_CHECK TEPAL_API int tepal_queue_send(tepal_queue *queue, const void *item,
                                                int64_t timeout_ms);

/* Receives the oldest item; waits while there is none, as tepal_queue_send() does, with the same
 * results: -EPIPE when the queue has ended and is empty, -EAGAIN when it is empty. *item is written
 * with 0 only. */
TEPAL_MUST_CHECK TEPAL_API int tepal_queue_receive(tepal_queue *queue, void *item,
                                                   int64_t timeout_ms);

/* The same without waiting: 0, -EPIPE or -EAGAIN. They do not suspend, and need no task: for a
 * callback of a library, or of the loop around a guest; not for a handler of a signal. */
TEPAL_MUST_CHECK TEPAL_API int tepal_queue_try_send(tepal_queue *queue, const void *item);
TEPAL_MUST_CHECK TEPAL_API int tepal_queue_try_receive(tepal_queue *queue, void *item);

/* Says that no more items come. Those that are in the queue can still be received; those of senders
 * that wait are not sent. Again it does nothing. Does not wait, and needs no task. */
TEPAL_API void tepal_queue_end(tepal_queue *queue);

/* Whether tepal_queue_end() has been called. */
TEPAL_API bool tepal_queue_has_ended(tepal_queue *queue);

/* How many items are in the queue at this moment; those of senders that wait are not counted. */
TEPAL_API size_t tepal_queue_length(tepal_queue *queue);

#ifdef __cplusplus
}
#endif
#endif
