/* Channels from the inside: for select, and for those who fill one from a callback. */
#ifndef TEPAL_ASYNC_SYNC_CHANNEL_H
#define TEPAL_ASYNC_SYNC_CHANNEL_H

#include <tepal/channel.h>

#include <stdbool.h>
#include <stddef.h>

/* While a receiver waits the channel is empty, and while a sender waits it is full: whoever makes
 * room or brings an item serves the first that waits at once. */
struct tepal_channel {
    size_t item_size, capacity;
    size_t n;         /* items that are held */
    char *put, *take; /* the places of the next item to come, and to go */
    char *end;        /* of the ring */
    struct tepal_waiters senders, receivers;
    bool closed;
    void (*on_room)(void *arg); /* when set: an item was received. May send; may not suspend */
    void *on_room_arg;
    char items[];
};

/* Whether a send or a receive would be done at once; it may be an -EPIPE. */
bool channel_can_send(tepal_channel *channel);
bool channel_can_receive(tepal_channel *channel);

/* As tepal_channel_receive(), named call when it is misused; what: what the task waits for. */
int channel_receive(tepal_channel *channel, void *item, const char *call, const char *what);

/* Whether a task waits to receive or to send. */
bool channel_is_awaited(tepal_channel *channel);

#endif
