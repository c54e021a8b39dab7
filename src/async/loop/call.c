/* Calls into the loop: a queue that any thread fills, behind a mutex, and the loop empties, some in
 * each turn. A thread rings only when the loop has not been rung since it last looked. */
#include "async/loop/call.h"

#include "async/loop/loop.h"
#include "async/loop/wakeup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum { DEFAULT_MAX_CALLS = 100000, FIRST_ROOM = 32, MAX_ROOM_KEPT = 1024 };

/* In one turn of the loop: who floods it with calls must leave it time for the rest. */
enum { CALLS_AT_ONCE = 64 };

struct call {
    void (*fn)(void *);
    void *arg;
};

/* Calls in order: n of them from the first on. */
struct call_queue {
    struct call *calls;
    size_t first, n, room;
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

int calls_open(struct loop *loop)
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

struct loop *calls_loop(const tepal_loop *calls)
{
    return calls->loop;
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

/* Moves the first calls out of the queue. Returns how many. */
static size_t take_some(tepal_loop *calls, struct call *out)
{
    pthread_mutex_lock(&calls->mutex);
    struct call_queue *queue = &calls->queue;
    size_t n = queue->n < CALLS_AT_ONCE ? queue->n : CALLS_AT_ONCE;
    if (n > 0)
        memcpy(out, queue->calls + queue->first, n * sizeof(*out));
    queue->first += n;
    queue->n -= n;
    if (queue->n == 0) {
        calls->rung = false;
        queue->first = 0;
        if (queue->room > MAX_ROOM_KEPT) {
            mem_free(queue->calls);
            *queue = (struct call_queue){ 0 };
        }
    }
    calls->loop->calls_due = queue->n > 0;
    pthread_mutex_unlock(&calls->mutex);
    return n;
}

bool calls_run(struct loop *loop)
{
    struct call calls[CALLS_AT_ONCE];
    size_t n = take_some(loop->calls, calls);
    loop->in_call = true;
    for (size_t i = 0; i < n; i++)
        calls[i].fn(calls[i].arg);
    loop->in_call = false;
    return n > 0;
}

void calls_end(struct loop *loop)
{
    tepal_loop *calls = loop->calls;
    if (!calls)
        return;
    pthread_mutex_lock(&calls->mutex);
    calls->ended = true;
    pthread_mutex_unlock(&calls->mutex);
    while (calls_run(loop))
        continue;
}

/* Makes room for one more behind the last. */
static int make_room(struct call_queue *queue)
{
    if (queue->first > queue->room / 2) {
        memmove(queue->calls, queue->calls + queue->first, queue->n * sizeof(*queue->calls));
        queue->first = 0;
        return 0;
    }
    size_t room = queue->room ? queue->room * 2 : FIRST_ROOM;
    struct call *larger = mem_resize(queue->calls, room * sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    queue->calls = larger;
    queue->room = room;
    return 0;
}

static int append(struct call_queue *queue, struct call call)
{
    int rc = queue->first + queue->n == queue->room ? make_room(queue) : 0;
    if (rc == 0)
        queue->calls[queue->first + queue->n++] = call;
    return rc;
}

int tepal_loop_call(tepal_loop *loop, void (*fn)(void *arg), const void *arg)
{
    if (!loop || !fn)
        misuse("tepal_loop_call", loop ? "the function is NULL" : "the loop is NULL");
    bool own = loop_current == loop->loop, ring = false;
    pthread_mutex_lock(&loop->mutex);
    int rc = loop->ended ? -ECANCELED : loop->queue.n >= loop->max ? -EAGAIN : 0;
    if (rc == 0)
        rc = append(&loop->queue, (struct call){ .fn = fn, .arg = (void *)arg });
    if (rc == 0 && !own && !loop->rung)
        ring = loop->rung = true;
    /* Still under the mutex: the loop that has run the call may end, and close the descriptor. */
    if (ring)
        wakeup_ring(&loop->wakeup, "tepal_loop_call");
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
    int rc =
        options ? room_check("tepal_loop_configure", options->later, sizeof(options->later)) : 0;
    if (rc == 0)
        rc = calls_open(loop);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&loop->calls->mutex);
    loop->calls->max = options && options->max_calls ? options->max_calls : DEFAULT_MAX_CALLS;
    pthread_mutex_unlock(&loop->calls->mutex);
    return 0;
}
