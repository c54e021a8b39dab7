/* The timer wheel. It has no clock: the loop tells it the time. */
#include "async/loop/timer.h"

enum { SLOT_BITS = 6 };

/* Times are kept below this distance, which no one will see pass. */
static const int64_t far = (int64_t)1 << (SLOT_BITS * TIMER_LEVELS - 1);

void timers_init(struct timers *timers, int64_t now)
{
    timers->now = now;
    timers->next = INT64_MAX;
    for (int level = 0; level < TIMER_LEVELS; level++) {
        timers->used[level] = 0;
        for (int slot = 0; slot < TIMER_SLOTS; slot++)
            list_init(&timers->slots[level][slot]);
    }
}

void timer_init(struct timer *timer, void (*fn)(struct timer *))
{
    list_init(&timer->node);
    timer->at = 0;
    timer->fn = fn;
}

/* The level is that of the highest bits in which the time differs from now, so the slot is always
 * one that the level has still before it in this round. */
static void insert(struct timers *timers, struct timer *timer)
{
    uint64_t differ = (uint64_t)(timer->at ^ timers->now) | 1;
    int level = (63 - __builtin_clzll(differ)) / SLOT_BITS;
    if (level >= TIMER_LEVELS)
        level = TIMER_LEVELS - 1;
    unsigned slot = (unsigned)(timer->at >> (level * SLOT_BITS)) % TIMER_SLOTS;
    list_append(&timers->slots[level][slot], &timer->node);
    timers->used[level] |= (uint64_t)1 << slot;
}

void timer_set(struct timers *timers, struct timer *timer, int64_t at)
{
    list_remove(&timer->node);
    /* What is due already fires in the next millisecond, never in the same round again. */
    if (at <= timers->now)
        at = timers->now + 1;
    if (at > timers->now + far)
        at = timers->now + far;
    timer->at = at;
    if (at < timers->next)
        timers->next = at;
    insert(timers, timer);
}

/* The first slot with timers of the lowest level that has any: all other timers are later. Returns
 * the time when it begins, or INT64_MAX. */
static int64_t first_slot(struct timers *timers, int *level, unsigned *slot)
{
    for (*level = 0; *level < TIMER_LEVELS; ++*level) {
        uint64_t *used = &timers->used[*level];
        int shift = *level * SLOT_BITS;
        unsigned here = (unsigned)(timers->now >> shift) % TIMER_SLOTS;
        while (*used != 0) {
            /* The top level goes round; on the others no slot is behind the present one. */
            uint64_t turned = *used >> here | (here ? *used << (64 - here) : 0);
            unsigned ahead = (unsigned)__builtin_ctzll(turned);
            *slot = (here + ahead) % TIMER_SLOTS;
            if (!list_is_empty(&timers->slots[*level][*slot]))
                return ((timers->now >> shift) + ahead) << shift;
            *used &= ~((uint64_t)1 << *slot);
        }
    }
    return INT64_MAX;
}

void timers_fire(struct timers *timers, int64_t now)
{
    int level = 0;
    unsigned slot = 0;
    for (;;) {
        int64_t begins = first_slot(timers, &level, &slot);
        if (begins > now)
            break;
        if (begins > timers->now)
            timers->now = begins;
        /* What its functions set for the same slot belongs to the next round. */
        struct list due;
        list_init(&due);
        list_move_all(&due, &timers->slots[level][slot]);
        timers->used[level] &= ~((uint64_t)1 << slot);
        while (!list_is_empty(&due)) {
            struct timer *timer = CONTAINER_OF(due.next, struct timer, node);
            list_remove(&timer->node);
            if (timer->at <= timers->now)
                timer->fn(timer);
            else
                insert(timers, timer);
        }
    }
    if (now > timers->now)
        timers->now = now;
    timers->next = first_slot(timers, &level, &slot);
}
