/* Waiting for a descriptor that somebody else owns. It is watched for as long as a task waits for
 * it and no longer, so that its owner may close it at any other time. Whether it is ready is what
 * poll() says: the poller only tells when to ask again. */
#include "async/task/task.h"
#include "base/fd.h"

#include <tepal/fd.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum { ALL = TEPAL_READABLE | TEPAL_WRITABLE | TEPAL_URGENT };

/* What of events it is ready for now; 0: nothing. */
static int ready_for(int fd, int events)
{
    struct pollfd at = {
        .fd = fd,
        .events = (short)((events & TEPAL_READABLE ? POLLIN : 0) |
                          (events & TEPAL_WRITABLE ? POLLOUT : 0) |
                          (events & TEPAL_URGENT ? POLLPRI : 0)),
    };
    int n;
    do
        n = poll(&at, 1, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 ? -errno : 0;
    if (at.revents & POLLNVAL)
        return -EBADF;
    if (at.revents & (POLLERR | POLLHUP))
        return events;
    return (at.revents & POLLIN ? TEPAL_READABLE : 0) |
           (at.revents & POLLOUT ? TEPAL_WRITABLE : 0) | (at.revents & POLLPRI ? TEPAL_URGENT : 0);
}

static void wake_for_fd(struct io *io)
{
    task_wake(io->reader, 0);
}

/* Watches it; by a copy of the descriptor when it is watched already, for another task or as a
 * socket of the library's. Returns 0 or a negative errno. */
static int watch(struct poller *poller, struct io *io)
{
    int rc = poller_add(poller, io);
    if (rc != -EEXIST)
        return rc;
    int copy = fd_keep(fcntl(io->fd, F_DUPFD_CLOEXEC, 0));
    if (copy < 0)
        return -errno;
    io->fd = copy;
    rc = poller_add(poller, io);
    if (rc < 0)
        close(copy);
    return rc;
}

static int wait_until_ready(struct loop *loop, int fd, int events)
{
    struct io io = { .fd = fd, .fn = wake_for_fd, .reader = loop->current };
    int rc = watch(&loop->poller, &io), ready = 0;
    if (rc < 0)
        return rc;
    while (rc == 0 && ready == 0) {
        rc = task_wait_fd(loop, "a descriptor", fd, TEPAL_NEVER);
        if (rc == 0)
            ready = ready_for(fd, events);
    }
    poller_remove(&loop->poller, &io);
    if (io.fd != fd)
        close(io.fd);
    return rc < 0 ? rc : ready;
}

int tepal_wait_fd(int fd, int events)
{
    struct tepal_task *task = task_need("tepal_wait_fd");
    if (events == 0 || (events & ~ALL) != 0)
        return -EINVAL;
    int ready = ready_for(fd, events);
    if (ready == 0)
        return wait_until_ready(loop_current, fd, events);
    int rc = ready < 0 ? ready : task_may_wait(loop_current, task);
    return rc < 0 ? rc : ready;
}
