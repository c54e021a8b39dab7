/* The eventfd by which other threads wake the loop. Nobody reads it: each ring is an event of its
 * own to a poller that is edge-triggered, and the count does not overflow in a lifetime. */
#include "async/loop/wakeup.h"

#include "async/loop/loop.h"
#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int wakeup_open(struct wakeup *wakeup, struct loop *loop, void (*fn)(struct io *io))
{
    int fd = fd_keep(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (fd < 0)
        return -errno;
    wakeup->io = (struct io){ .fd = fd, .fn = fn };
    int rc = poller_add(&loop->poller, &wakeup->io);
    if (rc < 0)
        close(fd);
    return rc;
}

void wakeup_close(struct wakeup *wakeup)
{
    close(wakeup->io.fd);
}

void wakeup_ring(struct wakeup *wakeup, const char *call)
{
    uint64_t one = 1;
    if (write(wakeup->io.fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        misuse(call, "the wake-up descriptor was closed by the program");
}
