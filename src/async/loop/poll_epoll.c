/* The poller on Linux's epoll. It never reads or writes a descriptor. */
#include "async/loop/poll.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MAX_EVENTS = 256, ALL_EVENTS = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP };

int poller_init(struct poller *poller)
{
    *poller = (struct poller){ .fd = -1 };
    poller->events = mem_alloc(MAX_EVENTS * sizeof(struct epoll_event));
    if (!poller->events)
        return -ENOMEM;
    poller->fd = fd_keep(epoll_create1(EPOLL_CLOEXEC));
    if (poller->fd < 0) {
        int rc = -errno;
        mem_free(poller->events);
        return rc;
    }
    return 0;
}

void poller_clear(struct poller *poller)
{
    close(poller->fd);
    mem_free(poller->events);
}

void poller_abandon(struct poller *poller)
{
    close(poller->fd);
    poller->fd = -1;
}

static int control(struct poller *poller, int op, struct io *io, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = io };
    return epoll_ctl(poller->fd, op, io->fd, &event) < 0 ? -errno : 0;
}

int poller_add(struct poller *poller, struct io *io)
{
    int rc = control(poller, EPOLL_CTL_ADD, io, ALL_EVENTS | EPOLLET);
    poller->n_watched += rc == 0;
    return rc;
}

int poller_pause(struct poller *poller, struct io *io)
{
    return control(poller, EPOLL_CTL_MOD, io, EPOLLET);
}

int poller_resume(struct poller *poller, struct io *io)
{
    return control(poller, EPOLL_CTL_MOD, io, ALL_EVENTS | EPOLLET);
}

void poller_remove(struct poller *poller, struct io *io)
{
    /* Closing the descriptor would not end the registration while a child process of the program,
     * between fork() and exec(), has a copy of it. */
    if (control(poller, EPOLL_CTL_DEL, io, 0) == 0)
        poller->n_watched--;
    struct epoll_event *events = poller->events;
    for (int i = poller->next_event; i < poller->n_events; i++)
        if (events[i].data.ptr == io)
            events[i].data.ptr = NULL;
}

static uint32_t state_of(uint32_t events)
{
    uint32_t state = 0;
    if (LIKELY(events == (EPOLLIN | EPOLLOUT))) /* something to read, as mostly */
        return IO_READ | IO_WRITE;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        state |= IO_READ;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        state |= IO_WRITE;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        state |= IO_EOF;
    if (events & (EPOLLHUP | EPOLLERR))
        state |= IO_HUP;
    if (events & EPOLLPRI)
        state |= IO_READ | IO_STOPS;
    return state;
}

/* Nothing would ever happen again: a program that closed all descriptors it did not know of must be
 * told, and not spin. */
static _Noreturn void poller_is_gone(int error)
{
    char text[160];
    snprintf(text, sizeof(text),
             "the loop's descriptor does not work (epoll_wait: %s); did the program close it?",
             tepal_code_text(-error));
    misuse("loop", text);
}

int poller_wait(struct poller *poller, int timeout_ms)
{
    int n = epoll_wait(poller->fd, poller->events, MAX_EVENTS, timeout_ms);
    if (UNLIKELY(n < 0)) {
        if (errno != EINTR)
            poller_is_gone(errno);
        n = 0;
    }
    return poller->n_events = n;
}

bool poller_is_full(const struct poller *poller)
{
    return poller->n_events == MAX_EVENTS;
}

size_t poller_max_batches(const struct poller *poller)
{
    return poller->n_watched / MAX_EVENTS + 1;
}

void poller_dispatch(struct poller *poller)
{
    const struct epoll_event *events = poller->events;
    while (poller->next_event < poller->n_events) {
        const struct epoll_event *event = &events[poller->next_event++];
        struct io *io = event->data.ptr;
        if (UNLIKELY(!io))
            continue;
        io->state |= state_of(event->events);
        io->fn(io);
    }
    poller->n_events = poller->next_event = 0;
}

struct io *poller_take_next(struct poller *poller, void (*fn)(struct io *))
{
    if (poller->next_event == poller->n_events)
        return NULL;
    const struct epoll_event *event = (struct epoll_event *)poller->events + poller->next_event;
    struct io *io = event->data.ptr;
    if (!io || io->fn != fn)
        return NULL;
    poller->next_event++;
    io->state |= state_of(event->events);
    return io;
}
