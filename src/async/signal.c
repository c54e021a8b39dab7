/* Signals by signalfd, so that they arrive between two tasks and never inside one. A channel brings
 * them to the tasks. */
#include "async/channel.h"
#include "async/inspect.h"
#include "async/task.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct tepal_signals {
    struct io io;
    struct loop *loop;
    tepal_channel *channel;
    sigset_t blocked; /* by us: they were not before */
};

/* What does not fit into the channel stays with the kernel, so one place is enough. */
enum { CHANNEL_CAPACITY = 1 };

static bool channel_has_room(tepal_channel *channel)
{
    return !tepal_channel_is_closed(channel) && channel_can_send(channel);
}

/* Moves signals from the kernel into the channel while there is room. */
static void fill_channel(void *arg)
{
    tepal_signals *signals = arg;
    struct signalfd_siginfo info;
    while (channel_has_room(signals->channel)) {
        ssize_t n;
        do
            n = read(signals->io.fd, &info, sizeof(info));
        while (n < 0 && errno == EINTR);
        if (n != (ssize_t)sizeof(info))
            return;
        int number = (int)info.ssi_signo;
        (void)!tepal_channel_try_send(signals->channel, &number);
    }
}

static void on_ready(struct io *io)
{
    fill_channel(CONTAINER_OF(io, tepal_signals, io));
}

static tepal_signals *signals_new(void)
{
    tepal_signals *signals = mem_zalloc(sizeof(*signals));
    if (!signals)
        return NULL;
    signals->channel = tepal_channel_new(sizeof(int), CHANNEL_CAPACITY);
    if (!signals->channel) {
        mem_free(signals);
        return NULL;
    }
    signals->channel->on_room = fill_channel;
    signals->channel->on_room_arg = signals;
    return signals;
}

static void signals_free(tepal_signals *signals)
{
    if (signals->io.fd >= 0)
        close(signals->io.fd);
    tepal_channel_free(signals->channel);
    mem_free(signals);
}

tepal_signals *tepal_signals_open(const int *signals)
{
    struct loop *loop = loop_need("tepal_signals_open");
    sigset_t mask;
    sigemptyset(&mask);
    for (; *signals; signals++)
        if (sigaddset(&mask, *signals) < 0)
            misuse("tepal_signals_open", "not a signal");
    tepal_signals *s = signals_new();
    if (!s)
        return NULL;
    s->loop = loop;
    s->io = (struct io){ .fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC), .fn = on_ready };
    if (s->io.fd < 0 || poller_add(&loop->poller, &s->io) < 0) {
        signals_free(s);
        return NULL;
    }
    dump_signal_leave(loop, &mask);
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &mask, &before);
    sigemptyset(&s->blocked);
    for (int signal = 1; signal < NSIG; signal++)
        if (sigismember(&mask, signal) == 1 && sigismember(&before, signal) == 0)
            sigaddset(&s->blocked, signal);
    return s;
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
    return signals->channel;
}

void tepal_signals_close(tepal_signals *signals)
{
    if (!signals)
        return;
    if (channel_is_awaited(signals->channel))
        misuse("tepal_signals_close", "a task still waits for a signal");
    poller_remove(&signals->loop->poller, &signals->io);
    signals->channel->on_room = NULL;
    int number;
    while (tepal_channel_try_receive(signals->channel, &number) == 0)
        kill(getpid(), number); /* as if it had not been taken from the kernel */
    sigset_t blocked = signals->blocked;
    signals_free(signals);
    pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
}
