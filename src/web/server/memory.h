/* The memory of all requests of a server that are under way: each of their limits is single, and
 * this bounds the sum. A request counts for what it needs at least, and for the chunks of its
 * arena, in which whole bodies lie.
 */
#ifndef TEPAL_WEB_SERVER_MEMORY_H
#define TEPAL_WEB_SERVER_MEMORY_H

#include "base/arena.h"
#include "base/list.h"

#include <tepal/req.h>

#include <stdbool.h>

/* MEMORY_OF_WORK: a request's buffers, first chunk, and the part of a stack that is mostly used.
 * MEMORY_SMALL: a body up to this size does not wait. */
enum { MEMORY_OF_WORK = 48 * 1024, MEMORY_SMALL = 64 * 1024 };

struct memory {
    struct arena_budget budget;
    size_t share;           /* of the process; 0: budget.max was given */
    unsigned n_sharing;     /* when budget.max was made of it */
    struct list waiting;    /* for memory, in order */
    struct list collecting; /* requests that read a large body */
};

/* max 0: half of what the process may have, shared by all its servers. */
void memory_open(struct memory *memory, size_t max);
void memory_close(struct memory *memory);

/* Whether there is memory for another request, when the share was last divided otherwise. */
bool memory_has_more(struct memory *memory);

/* A request begins. Returns whether there is memory for it; then memory_end_work() follows. */
static inline bool memory_begin_work(struct memory *memory)
{
    struct arena_budget *budget = &memory->budget;
    if (UNLIKELY(budget->used + MEMORY_OF_WORK > budget->max) && !memory_has_more(memory))
        return false;
    budget->used += MEMORY_OF_WORK;
    return true;
}
static inline void memory_end_work(struct memory *memory)
{
    memory->budget.used -= MEMORY_OF_WORK;
}

/* Waits until a body of size octets may have memory. A client that is slower than all others is
 * given up for one that waits. Suspends. Returns 0, -ENOBUFS when there was none in time, or
 * -ECANCELED or -ETIMEDOUT of the task. */
int memory_wait(tepal_req *req, size_t size);

/* The request has a chunk for a large body, and reads it from now on until it is freed. */
void memory_collect(tepal_req *req);

/* A request has given its memory back: those that wait may go on. */
void memory_released(struct memory *memory);

#endif
