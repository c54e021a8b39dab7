/* Signals that tasks receive: what a source tells is kept until there is room in a channel, which
 * brings it to the tasks. */
#include "async/sync/channel.h"
#include "async/signal/signal_source.h"
#include "async/task/task.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

struct tepal_signals {
    struct signal_receiver receiver;
    struct loop *loop;
    tepal_channel *channel;
    unsigned pending[NSIG]; /* that have come, and are not in the channel */
};

/* What does not fit into the channel stays here, so one place is enough. */
enum { CHANNEL_CAPACITY = 1 };

static bool channel_has_room(tepal_channel *channel)
{
    return !tepal_channel_has_ended(channel) && channel_can_send(channel);
}

/* Moves signals into the channel while there is room. */
static void fill_channel(void *arg)
{
    tepal_signals *signals = arg;
    for (int number = 1; number < NSIG; number++) {
        while (signals->pending[number] > 0) {
            if (!channel_has_room(signals->channel))
                return;
            signals->pending[number]--;
            (void)!tepal_channel_try_send(signals->channel, &number);
        }
    }
}

/* An ordinary signal is there or not; those that queue are counted. */
static void on_signal(struct signal_receiver *receiver, int number, unsigned n)
{
    tepal_signals *signals = CONTAINER_OF(receiver, tepal_signals, receiver);
    unsigned *pending = &signals->pending[number];
    *pending = number < SIGRTMIN ? 1 : n < UINT_MAX - *pending ? *pending + n : UINT_MAX;
    fill_channel(signals);
}

/* There is room: what has come by now may fill it. */
static void on_room(void *arg)
{
    tepal_signals *signals = arg;
    signal_source_look(signals->loop);
    fill_channel(signals);
}

static tepal_signals *signals_new(struct loop *loop)
{
    tepal_signals *signals = mem_zalloc(sizeof(*signals));
    if (!signals)
        return NULL;
    signals->channel = tepal_channel_new(sizeof(int), CHANNEL_CAPACITY);
    if (!signals->channel) {
        mem_free(signals);
        return NULL;
    }
    signals->channel->on_room = on_room;
    signals->channel->on_room_arg = signals;
    signals->receiver.fn = on_signal;
    signals->loop = loop;
    return signals;
}

static void signals_free(tepal_signals *signals)
{
    tepal_channel_close(signals->channel);
    mem_free(signals);
}

tepal_signals *tepal_signals_open(const int *signals)
{
    struct loop *loop = loop_need("tepal_signals_open");
    if (!signals)
        misuse("tepal_signals_open", "the list is NULL");
    for (const int *number = signals; *number; number++)
        if (!signal_can_be_received(*number))
            misuse("tepal_signals_open", "not a signal that can be received");
    tepal_signals *s = signals_new(loop);
    int rc = s ? 0 : -ENOMEM;
    for (; rc == 0 && *signals; signals++)
        rc = signal_receiver_add(loop, &s->receiver, *signals);
    if (rc == 0)
        return s;
    tepal_logf(TEPAL_LOG_WARNING, "signals cannot be received: %s", tepal_code_text(rc));
    if (s) {
        signal_receiver_close(loop, &s->receiver);
        signals_free(s);
    }
    return NULL;
}

int tepal_signals_next(tepal_signals *signals)
{
    if (!signals)
        misuse("tepal_signals_next", "the signals are NULL");
    int number;
    int rc = channel_receive(signals->channel, &number, "tepal_signals_next", "a signal");
    return rc < 0 ? rc : number;
}

tepal_channel *tepal_signals_channel(tepal_signals *signals)
{
    if (!signals)
        misuse("tepal_signals_channel", "the signals are NULL");
    return signals->channel;
}

/* What nobody took, and nobody else has been told, is as if it had just come. */
static void send_again(struct loop *loop, const tepal_signals *signals)
{
    for (int number = 1; number < NSIG; number++)
        if (signals->pending[number] > 0 && !signal_has_others(loop, &signals->receiver, number))
            kill(getpid(), number);
}

void tepal_signals_close(tepal_signals *signals)
{
    if (!signals)
        return;
    if (channel_is_awaited(signals->channel))
        misuse("tepal_signals_close", "a task still waits for a signal");
    struct loop *loop = signals->loop;
    signals->channel->on_room = NULL;
    signal_receiver_close(loop, &signals->receiver);
    int number;
    while (tepal_channel_try_receive(signals->channel, &number) == 0)
        signals->pending[number] = 1;
    send_again(loop, signals);
    signals_free(signals);
}
