/* Calls into the loop: a queue that any thread fills, behind a mutex, and the loop empties. A
 * thread rings only when the loop has not been rung since it last looked. */
#include "async/call.h"

#include "async/loop.h"
#include "async/wakeup.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>

enum { DEFAULT_MAX_CALLS = 100000, FIRST_ROOM = 32, MAX_ROOM_KEPT = 1024 };

struct call {
    void (*fn)(void *);
    void *arg;
};

struct call_queue {
    struct call *calls;
    size_t n, room;
};

struct tepal_loop {
    struct wakeup wakeup;
    struct loop *loop;
    pthread_mutex_t mutex;
    struct call_queue queue; /* under the mutex, as is all below */
    size_t max;
    bool rung, ended;
};

static void on_wakeup(struct io *io)
{
    struct wakeup *wakeup = CONTAINER_OF(io, struct wakeup, io);
    CONTAINER_OF(wakeup, struct tepal_loop, wakeup)->loop->calls_due = true;
}

/* Makes the loop's queue if there is none. Returns 0 or a negative errno. */
static int calls_open(struct loop *loop)
{
    if (loop->calls)
        return 0;
    tepal_loop *calls = mem_zalloc(sizeof(*calls));
    if (!calls)
        return -ENOMEM;
    int rc = wakeup_open(&calls->wakeup, loop, on_wakeup);
    if (rc < 0) {
        mem_free(calls);
        return rc;
    }
    calls->loop = loop;
    calls->max = DEFAULT_MAX_CALLS;
    pthread_mutex_init(&calls->mutex, NULL);
    loop->calls = calls;
    return 0;
}

void calls_close(tepal_loop *calls)
{
    if (!calls)
        return;
    wakeup_close(&calls->wakeup);
    pthread_mutex_destroy(&calls->mutex);
    mem_free(calls->queue.calls);
    mem_free(calls);
}

/* The queue as it is, with an empty one in its place. */
static struct call_queue take_all(tepal_loop *calls)
{
    pthread_mutex_lock(&calls->mutex);
    struct call_queue queue = calls->queue;
    calls->queue = (struct call_queue){ 0 };
    calls->rung = false;
    pthread_mutex_unlock(&calls->mutex);
    return queue;
}

/* Lets the memory of a queue that has been run serve again. */
static void give_back(tepal_loop *calls, struct call_queue *queue)
{
    queue->n = 0;
    pthread_mutex_lock(&calls->mutex);
    if (!calls->queue.calls && queue->room <= MAX_ROOM_KEPT) {
        calls->queue = *queue;
        queue->calls = NULL;
    }
    pthread_mutex_unlock(&calls->mutex);
    mem_free(queue->calls);
}

bool calls_run(struct loop *loop)
{
    tepal_loop *calls = loop->calls;
    loop->calls_due = false;
    struct call_queue queue = take_all(calls);
    loop->in_call = true;
    for (size_t i = 0; i < queue.n; i++)
        queue.calls[i].fn(queue.calls[i].arg);
    loop->in_call = false;
    bool ran = queue.n > 0;
    give_back(calls, &queue);
    return ran;
}

void calls_end(struct loop *loop)
{
    tepal_loop *calls = loop->calls;
    if (!calls)
        return;
    pthread_mutex_lock(&calls->mutex);
    calls->ended = true;
    pthread_mutex_unlock(&calls->mutex);
    calls_run(loop);
}

static int append(struct call_queue *queue, struct call call)
{
    if (queue->n == queue->room) {
        size_t room = queue->room ? queue->room * 2 : FIRST_ROOM;
        struct call *larger = mem_resize(queue->calls, room * sizeof(*larger));
        if (!larger)
            return -ENOMEM;
        queue->calls = larger;
        queue->room = room;
    }
    queue->calls[queue->n++] = call;
    return 0;
}

int tepal_call_soon(tepal_loop *loop, void (*fn)(void *arg), void *arg)
{
    bool own = loop_current == loop->loop, ring = false;
    pthread_mutex_lock(&loop->mutex);
    int rc = loop->ended ? -ECANCELED : loop->queue.n >= loop->max ? -EAGAIN : 0;
    if (rc == 0)
        rc = append(&loop->queue, (struct call){ .fn = fn, .arg = arg });
    if (rc == 0 && !own && !loop->rung)
        ring = loop->rung = true;
    /* Still under the mutex: the loop that has run the call may end, and close the descriptor. */
    if (ring)
        wakeup_ring(&loop->wakeup, "tepal_call_soon");
    pthread_mutex_unlock(&loop->mutex);
    if (own) {
        loop->loop->calls_due = true;
        loop_end_turn(loop->loop);
    }
    return rc;
}

tepal_loop *tepal_loop_current(void)
{
    struct loop *loop = loop_need("tepal_loop_current");
    return calls_open(loop) < 0 ? NULL : loop->calls;
}

int tepal_loop_configure(const tepal_loop_options *options)
{
    struct loop *loop = loop_need("tepal_loop_configure");
    int rc = calls_open(loop);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&loop->calls->mutex);
    loop->calls->max = options && options->max_calls ? options->max_calls : DEFAULT_MAX_CALLS;
    pthread_mutex_unlock(&loop->calls->mutex);
    return 0;
}
