/* Who gets memory, and who waits. Nothing is counted but sizes. */
#include "web/server/memory.h"

#include "async/task/task.h"
#include "base/memory_limit.h"
#include "web/message/request.h"

#include <errno.h>
#include <stdatomic.h>

/* How long a body waits for memory, and how often it is seen who is the slowest. */
enum { WAIT_MS = 10 * 1000, LOOK_MS = 100 };

struct memory_waiter {
    struct list node;
    struct tepal_task *task;
    size_t size;
};

/* The servers of this process, in all its threads, that share its memory. */
static atomic_uint n_sharing;

/* What this server may have of it, as of now. */
static void divide_share(struct memory *memory)
{
    unsigned n = atomic_load_explicit(&n_sharing, memory_order_relaxed);
    if (memory->share > 0 && n != memory->n_sharing) {
        memory->n_sharing = n;
        memory->budget.max = memory->share / n;
    }
}

void memory_open(struct memory *memory, size_t max)
{
    *memory = (struct memory){ .budget.max = max };
    list_init(&memory->waiting);
    list_init(&memory->collecting);
    if (max > 0)
        return;
    size_t limit = memory_limit();
    memory->share = limit == SIZE_MAX ? SIZE_MAX : limit / 2;
    atomic_fetch_add(&n_sharing, 1);
    divide_share(memory);
}

void memory_close(struct memory *memory)
{
    if (memory->share > 0)
        atomic_fetch_sub(&n_sharing, 1);
}

bool memory_has_more(struct memory *memory)
{
    divide_share(memory);
    return memory->budget.used + MEMORY_OF_WORK <= memory->budget.max;
}

/* Bodies leave a quarter for requests that have none. */
static bool fits(const struct memory *memory, size_t size)
{
    size_t most = memory->budget.max - memory->budget.max / 4, used = memory->budget.used;
    return used <= most && size <= most - used;
}

void memory_released(struct memory *memory)
{
    if (list_is_empty(&memory->waiting))
        return;
    struct memory_waiter *first = CONTAINER_OF(memory->waiting.next, struct memory_waiter, node);
    if (fits(memory, first->size))
        task_wake(first->task, 0);
}

void memory_collect(tepal_req *req)
{
    if (!req->collecting.next)
        list_append(&req->server->memory.collecting, &req->collecting);
}

/* Gives the slowest up. Returns how much memory it has; 0 when nobody is slow. */
static size_t give_slowest_up(struct memory *memory)
{
    tepal_req *slowest = NULL;
    struct tepal_task *reader = NULL;
    double least = 0;
    for (struct list *node = memory->collecting.next; node != &memory->collecting;
         node = node->next) {
        tepal_req *req = CONTAINER_OF(node, tepal_req, collecting);
        double rate;
        struct tepal_task *task = req->exchange->ops->slow_reader(req->exchange, &rate);
        if (task && (!slowest || rate < least)) {
            slowest = req;
            reader = task;
            least = rate;
        }
    }
    if (!slowest)
        return 0;
    task_wake(reader, -ENOBUFS);
    return slowest->arena.used;
}

static void free_for(struct memory *memory, size_t size)
{
    for (size_t given = 0, some = 1; given < size && some > 0; given += some)
        some = give_slowest_up(memory);
}

static int wait_in_order(struct memory *memory, struct memory_waiter *waiter)
{
    struct loop *loop = loop_current;
    int64_t until = loop_time_after(loop->now, WAIT_MS);
    while (true) {
        int64_t look = loop_time_after(loop->now, LOOK_MS);
        int rc = task_wait(loop, "memory for a body", look < until ? look : until);
        bool own = rc == -ETIMEDOUT && !task_deadline_passed(loop, waiter->task);
        if (rc < 0 && !own)
            return rc;
        if (memory->waiting.next == &waiter->node) {
            if (fits(memory, waiter->size))
                return 0;
            if (own)
                free_for(memory, waiter->size);
        }
        if (own && loop->now >= until)
            return -ENOBUFS;
    }
}

int memory_wait(tepal_req *req, size_t size)
{
    struct server *server = req->server;
    struct memory *memory = &server->memory;
    divide_share(memory);
    if (LIKELY(list_is_empty(&memory->waiting) && fits(memory, size)))
        return 0;
    struct memory_waiter waiter = { .task = loop_current->current, .size = size };
    list_init(&waiter.node);
    list_append(&memory->waiting, &waiter.node);
    int rc = wait_in_order(memory, &waiter);
    list_remove(&waiter.node);
    memory_released(memory); /* the next one is the first now */
    if (rc == -ENOBUFS)
        server_note_shortage(server);
    return rc;
}
