/* Channels: a ring of items, and the tasks that wait for an item or for room. */
#include "async/sync/channel.h"

#include "async/sync/waiters.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

tepal_channel *tepal_channel_new(size_t item_size, size_t capacity)
{
    if (item_size == 0)
        misuse("tepal_channel_new", "an item has at least one octet");
    if (capacity > (SIZE_MAX - sizeof(tepal_channel)) / item_size)
        return NULL;
    tepal_channel *channel = mem_alloc(sizeof(*channel) + item_size * capacity);
    if (!channel)
        return NULL;
    *channel = (tepal_channel){ .item_size = item_size, .capacity = capacity };
    channel->put = channel->take = channel->items;
    channel->end = channel->items + item_size * capacity;
    return channel;
}

static inline void need_channel(const char *call, const tepal_channel *channel)
{
    if (UNLIKELY(!channel))
        misuse(call, "the channel is NULL");
}

bool channel_is_awaited(tepal_channel *channel)
{
    return !loop_is_forked() &&
           (waiters_first(&channel->senders) || waiters_first(&channel->receivers));
}

void tepal_channel_close(tepal_channel *channel)
{
    if (channel && channel_is_awaited(channel))
        misuse("tepal_channel_close", "a task still waits for the channel");
    mem_free(channel);
}

/* Most items are a pointer or a number. Not inlined: where the type of the item is seen, compilers
 * warn of the copy for the other size. */
static NO_INLINE void copy(const tepal_channel *channel, void *to, const void *from)
{
    if (LIKELY(channel->item_size == sizeof(void *)))
        memcpy(to, from, sizeof(void *));
    else
        memcpy(to, from, channel->item_size);
}

/* The place after this one in the ring. */
static char *place_after(tepal_channel *channel, char *place)
{
    place += channel->item_size;
    return place == channel->end ? channel->items : place;
}

static void put(tepal_channel *channel, const void *item)
{
    copy(channel, channel->put, item);
    channel->put = place_after(channel, channel->put);
    channel->n++;
}

static void take(tepal_channel *channel, void *item)
{
    copy(channel, item, channel->take);
    channel->take = place_after(channel, channel->take);
    channel->n--;
}

int tepal_channel_try_send(tepal_channel *channel, const void *item)
{
    need_channel("tepal_channel_try_send", channel);
    if (channel->closed)
        return -EPIPE;
    struct tepal_waiter *receiver = waiters_take(&channel->receivers);
    if (receiver) {
        copy(channel, receiver->item, item);
        task_wake(receiver->task, receiver->index);
        return 0;
    }
    if (channel->n == channel->capacity)
        return -EAGAIN;
    put(channel, item);
    return 0;
}

int tepal_channel_try_receive(tepal_channel *channel, void *item)
{
    need_channel("tepal_channel_try_receive", channel);
    bool held = channel->n > 0;
    if (held)
        take(channel, item);
    struct tepal_waiter *sender = waiters_take(&channel->senders);
    if (sender) {
        if (held)
            put(channel, sender->item);
        else
            copy(channel, item, sender->item);
        task_wake(sender->task, sender->index);
    } else if (!held) {
        return channel->closed ? -EPIPE : -EAGAIN;
    }
    if (UNLIKELY(channel->on_room))
        channel->on_room(channel->on_room_arg);
    return 0;
}

bool channel_can_send(tepal_channel *channel)
{
    return channel->closed || channel->n < channel->capacity || waiters_first(&channel->receivers);
}

bool channel_can_receive(tepal_channel *channel)
{
    return channel->closed || channel->n > 0 || waiters_first(&channel->senders);
}

/* Waits for what could not be done at once; whoever makes it possible does it. */
static int wait_in(struct tepal_waiters *waiters, void *item, const char *what)
{
    struct tepal_waiter waiter = { .item = item };
    int rc = waiters_wait(waiters, &waiter, what);
    return rc == 0 && waiter.closed ? -EPIPE : rc;
}

int tepal_channel_send(tepal_channel *channel, const void *item)
{
    need_channel("tepal_channel_send", channel);
    int rc = task_may_give_way(loop_current, task_need("tepal_channel_send"));
    if (rc == 0)
        rc = tepal_channel_try_send(channel, item);
    if (rc != -EAGAIN)
        return rc;
    return wait_in(&channel->senders, (void *)(uintptr_t)item, "room in a channel");
}

int channel_receive(tepal_channel *channel, void *item, const char *call, const char *what)
{
    need_channel(call, channel);
    int rc = task_may_give_way(loop_current, task_need(call));
    if (rc == 0)
        rc = tepal_channel_try_receive(channel, item);
    return rc == -EAGAIN ? wait_in(&channel->receivers, item, what) : rc;
}

int tepal_channel_receive(tepal_channel *channel, void *item)
{
    return channel_receive(channel, item, "tepal_channel_receive", "an item of a channel");
}

static void refuse_all(struct tepal_waiters *waiters)
{
    struct tepal_waiter *waiter;
    while ((waiter = waiters_take(waiters))) {
        waiter->closed = true;
        task_wake(waiter->task, waiter->index);
    }
}

void tepal_channel_end(tepal_channel *channel)
{
    need_channel("tepal_channel_end", channel);
    channel->closed = true;
    refuse_all(&channel->senders);
    refuse_all(&channel->receivers);
}

bool tepal_channel_has_ended(const tepal_channel *channel)
{
    need_channel("tepal_channel_has_ended", channel);
    return channel->closed;
}

size_t tepal_channel_length(const tepal_channel *channel)
{
    need_channel("tepal_channel_length", channel);
    return channel->n;
}
