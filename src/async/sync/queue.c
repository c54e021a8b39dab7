/* Queues between threads: a ring of items behind a mutex, and those who wait for an item or for
 * room, be they tasks or threads. Whoever brings an item or makes room serves the first that waits
 * at once, under the mutex; so while a receiver waits the queue is empty, and while a sender waits
 * it is full.
 *
 * Who has been served may not have left yet when another one, who knows of it, closes the queue:
 * the last to leave frees it.
 *
 * A task that has been cancelled, or is out of time, takes itself out of the queue when it runs. It
 * may have been served by then, and then it has sent or received, whatever its wait has told. */
#include "async/loop/port.h"
#include "async/task/task.h"
#include "base/log.h"
#include "base/mem.h"

#include <tepal/queue.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

/* Who waits; on its stack, and in the list under the mutex of the queue, as is all of it. */
struct queue_waiter {
    struct list node;
    tepal_queue *queue;
    void *item;
    bool sends, served, refused;
    bool is_task;
    struct port_wait task;  /* a task */
    pthread_cond_t changed; /* or a thread */
};

struct tepal_queue {
    pthread_mutex_t mutex; /* of all below */
    size_t item_size, capacity;
    size_t n;         /* items that are held */
    char *put, *take; /* the places of the next item to come, and to go */
    struct list senders, receivers;
    size_t n_inside; /* who waits, or has been served and not left */
    bool ended, closed;
    char items[];
};

tepal_queue *tepal_queue_new(size_t item_size, size_t capacity)
{
    if (item_size == 0)
        misuse("tepal_queue_new", "an item has at least one octet");
    if (capacity > (SIZE_MAX - sizeof(tepal_queue)) / item_size)
        return NULL;
    tepal_queue *queue = mem_alloc(sizeof(*queue) + item_size * capacity);
    if (!queue)
        return NULL;
    *queue = (tepal_queue){ .item_size = item_size, .capacity = capacity };
    pthread_mutex_init(&queue->mutex, NULL);
    list_init(&queue->senders);
    list_init(&queue->receivers);
    queue->put = queue->take = queue->items;
    return queue;
}

static void need_queue(const char *call, const tepal_queue *queue)
{
    if (!queue)
        misuse(call, "the queue is NULL");
}

/* Unlocks the queue, and frees it when it has been closed and nobody is left. */
static void unlock_and_free(tepal_queue *queue)
{
    bool last = queue->closed && queue->n_inside == 0;
    pthread_mutex_unlock(&queue->mutex);
    if (last) {
        pthread_mutex_destroy(&queue->mutex);
        mem_free(queue);
    }
}

void tepal_queue_close(tepal_queue *queue)
{
    if (!queue)
        return;
    pthread_mutex_lock(&queue->mutex);
    bool awaited = !list_is_empty(&queue->senders) || !list_is_empty(&queue->receivers);
    if (awaited && !loop_is_forked())
        misuse("tepal_queue_close", "a task or a thread still waits for the queue");
    queue->closed = true;
    unlock_and_free(queue);
}

/* --- Under the mutex -------------------------------------------------------------------------- */

static char *next_place(tepal_queue *queue, char *place)
{
    place += queue->item_size;
    return place == queue->items + queue->item_size * queue->capacity ? queue->items : place;
}

static void put_item(tepal_queue *queue, const void *item)
{
    memcpy(queue->put, item, queue->item_size);
    queue->put = next_place(queue, queue->put);
    queue->n++;
}

static void take_item(tepal_queue *queue, void *item)
{
    memcpy(item, queue->take, queue->item_size);
    queue->take = next_place(queue, queue->take);
    queue->n--;
}

static struct queue_waiter *first_of(const struct list *waiters)
{
    return list_is_empty(waiters) ? NULL : CONTAINER_OF(waiters->next, struct queue_waiter, node);
}

static void serve(struct queue_waiter *waiter, bool refused)
{
    list_remove(&waiter->node);
    waiter->served = true;
    waiter->refused = refused;
    if (waiter->is_task)
        port_wake(&waiter->task);
    else
        pthread_cond_signal(&waiter->changed);
}

static int send_now(tepal_queue *queue, const void *item)
{
    if (queue->ended)
        return -EPIPE;
    struct queue_waiter *receiver = first_of(&queue->receivers);
    if (receiver) {
        memcpy(receiver->item, item, queue->item_size);
        serve(receiver, false);
        return 0;
    }
    if (queue->n == queue->capacity)
        return -EAGAIN;
    put_item(queue, item);
    return 0;
}

static int receive_now(tepal_queue *queue, void *item)
{
    bool held = queue->n > 0;
    if (held)
        take_item(queue, item);
    struct queue_waiter *sender = first_of(&queue->senders);
    if (!sender)
        return held ? 0 : queue->ended ? -EPIPE : -EAGAIN;
    if (held)
        put_item(queue, sender->item);
    else
        memcpy(item, sender->item, queue->item_size);
    serve(sender, false);
    return 0;
}

/* Does what the waiter wants, or puts it into the queue of those who wait: -EAGAIN. */
static int begin_wait(struct queue_waiter *waiter)
{
    tepal_queue *queue = waiter->queue;
    int rc = waiter->sends ? send_now(queue, waiter->item) : receive_now(queue, waiter->item);
    if (rc != -EAGAIN)
        return rc;
    list_append(waiter->sends ? &queue->senders : &queue->receivers, &waiter->node);
    queue->n_inside++;
    return rc;
}

/* Has waited, with this result; but what it was served with counts. */
static int end_wait(struct queue_waiter *waiter, int rc)
{
    list_remove(&waiter->node);
    waiter->queue->n_inside--;
    return !waiter->served ? rc : waiter->refused ? -EPIPE : 0;
}

/* --- Waiting ---------------------------------------------------------------------------------- */

static void leave_queue(struct port_wait *wait)
{
    struct queue_waiter *waiter = CONTAINER_OF(wait, struct queue_waiter, task);
    pthread_mutex_lock(&waiter->queue->mutex);
    end_wait(waiter, -ECANCELED);
    unlock_and_free(waiter->queue);
}

static int wait_as_task(struct queue_waiter *waiter, int64_t timeout_ms)
{
    struct loop *loop = loop_current;
    pthread_mutex_t *mutex = &waiter->queue->mutex;
    struct port *port;
    int rc = port_of(loop, &port);
    if (rc < 0)
        return rc;
    waiter->is_task = true;
    waiter->task.leave = leave_queue;
    port_begin(port, &waiter->task);
    pthread_mutex_lock(mutex);
    rc = begin_wait(waiter);
    pthread_mutex_unlock(mutex);
    if (rc != -EAGAIN)
        return rc;
    rc = port_wait(&waiter->task, waiter->sends ? "room in a queue" : "an item of a queue",
                   loop_time_in(loop, timeout_ms));
    pthread_mutex_lock(mutex);
    rc = end_wait(waiter, rc);
    unlock_and_free(waiter->queue);
    port_done(&waiter->task);
    return rc;
}

/* The time so many ms from now, on the clock of waits; longer than a century is one. */
static struct timespec time_after(int64_t ms)
{
    const int64_t most_ms = (int64_t)100 * 366 * 24 * 3600 * 1000;
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    ms = (ms < most_ms ? ms : most_ms) + at.tv_nsec / 1000000;
    at.tv_nsec = at.tv_nsec % 1000000 + ms % 1000 * 1000000;
    at.tv_sec += ms / 1000;
    return at;
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static int wait_as_thread(struct queue_waiter *waiter, int64_t timeout_ms)
{
    pthread_mutex_t *mutex = &waiter->queue->mutex;
    struct timespec until = time_after(timeout_ms);
    init_condition(&waiter->changed);
    pthread_mutex_lock(mutex);
    int rc = begin_wait(waiter);
    if (rc == -EAGAIN) {
        int waited = 0;
        while (!waiter->served && waited == 0)
            waited = timeout_ms == TEPAL_NEVER
                         ? pthread_cond_wait(&waiter->changed, mutex)
                         : pthread_cond_timedwait(&waiter->changed, mutex, &until);
        rc = end_wait(waiter, -waited);
    }
    unlock_and_free(waiter->queue);
    pthread_cond_destroy(&waiter->changed);
    return rc;
}

static int send_or_receive(struct queue_waiter *waiter, int64_t timeout_ms, const char *call)
{
    need_queue(call, waiter->queue);
    int rc = loop_current ? task_may_give_way(loop_current, task_need(call)) : 0;
    if (rc < 0)
        return rc;
    list_init(&waiter->node);
    if (timeout_ms <= 0)
        return waiter->sends ? tepal_queue_try_send(waiter->queue, waiter->item)
                             : tepal_queue_try_receive(waiter->queue, waiter->item);
    return loop_current ? wait_as_task(waiter, timeout_ms) : wait_as_thread(waiter, timeout_ms);
}

int tepal_queue_send(tepal_queue *queue, const void *item, int64_t timeout_ms)
{
    struct queue_waiter waiter = { .queue = queue, .sends = true };
    waiter.item = (void *)(uintptr_t)item;
    return send_or_receive(&waiter, timeout_ms, "tepal_queue_send");
}

int tepal_queue_receive(tepal_queue *queue, void *item, int64_t timeout_ms)
{
    struct queue_waiter waiter = { .queue = queue, .item = item };
    return send_or_receive(&waiter, timeout_ms, "tepal_queue_receive");
}

int tepal_queue_try_send(tepal_queue *queue, const void *item)
{
    need_queue("tepal_queue_try_send", queue);
    pthread_mutex_lock(&queue->mutex);
    int rc = send_now(queue, item);
    pthread_mutex_unlock(&queue->mutex);
    return rc;
}

int tepal_queue_try_receive(tepal_queue *queue, void *item)
{
    need_queue("tepal_queue_try_receive", queue);
    pthread_mutex_lock(&queue->mutex);
    int rc = receive_now(queue, item);
    pthread_mutex_unlock(&queue->mutex);
    return rc;
}

void tepal_queue_end(tepal_queue *queue)
{
    struct queue_waiter *waiter;
    need_queue("tepal_queue_end", queue);
    pthread_mutex_lock(&queue->mutex);
    queue->ended = true;
    while ((waiter = first_of(&queue->senders)) || (waiter = first_of(&queue->receivers)))
        serve(waiter, true);
    pthread_mutex_unlock(&queue->mutex);
}

bool tepal_queue_has_ended(tepal_queue *queue)
{
    need_queue("tepal_queue_has_ended", queue);
    pthread_mutex_lock(&queue->mutex);
    bool ended = queue->ended;
    pthread_mutex_unlock(&queue->mutex);
    return ended;
}

size_t tepal_queue_length(tepal_queue *queue)
{
    need_queue("tepal_queue_length", queue);
    pthread_mutex_lock(&queue->mutex);
    size_t n = queue->n;
    pthread_mutex_unlock(&queue->mutex);
    return n;
}
