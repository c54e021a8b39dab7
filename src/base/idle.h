/* What a pool has that nobody uses at present: taken last-in first-out, so that it is warm in the
 * cache. What has lain there for long can give its memory back without leaving the pool.
 *
 * The item that was given last is the last of the array, so those that were not taken for the
 * longest time are the first. From the beginning on some are cold, that is, have no memory.
 */
#ifndef TEPAL_BASE_IDLE_H
#define TEPAL_BASE_IDLE_H

#include "base/mem.h"
#include "base/platform.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

struct idle {
    void **items;
    size_t n, n_cold;
    size_t n_resting; /* as many of the first were not taken since idle_begin_period(); no fewer
                         than are cold */
    size_t room;
};

/* Makes room for as many items as there will ever be, so that giving one cannot fail. Returns 0 or
 * -ENOMEM. */
static inline int idle_reserve(struct idle *idle, size_t room)
{
    if (room <= idle->room)
        return 0;
    room = room > idle->room * 2 ? room : idle->room * 2;
    void **items = mem_resize(idle->items, room * sizeof(*items));
    if (!items)
        return -ENOMEM;
    idle->items = items;
    idle->room = room;
    return 0;
}

/* Forgets all items. */
static inline void idle_clear(struct idle *idle)
{
    mem_free(idle->items);
    *idle = (struct idle){ 0 };
}

/* Takes the item that was given last. There must be one. */
static inline void *idle_take(struct idle *idle)
{
    size_t n = --idle->n;
    if (UNLIKELY(n < idle->n_resting)) {
        idle->n_resting = n;
        if (n < idle->n_cold)
            idle->n_cold = n;
    }
    return idle->items[n];
}

static inline void idle_give(struct idle *idle, void *item)
{
    idle->items[idle->n++] = item;
}

/* Gives a new item that has no memory yet. None that has some may be there. */
static inline void idle_give_cold(struct idle *idle, void *item)
{
    idle_give(idle, item);
    idle->n_cold = idle->n_resting = idle->n;
}

static inline size_t idle_warm(const struct idle *idle)
{
    return idle->n - idle->n_cold;
}

/* The first warm item, which counts as cold from now on. There must be one. */
static inline void *idle_cool(struct idle *idle)
{
    void *item = idle->items[idle->n_cold++];
    if (idle->n_resting < idle->n_cold)
        idle->n_resting = idle->n_cold;
    return item;
}

/* Whether the first warm item was not taken in this period, and more than keep are warm. */
static inline bool idle_is_resting(const struct idle *idle, size_t keep)
{
    return idle->n_cold < idle->n_resting && idle_warm(idle) > keep;
}

/* From now on it counts what is taken. */
static inline void idle_begin_period(struct idle *idle)
{
    idle->n_resting = idle->n;
}

#endif
