/* The wheel of microseconds, and the timerfd that wakes the poller for it. Nobody reads the
 * descriptor: each time that it expires is an event of its own to a poller that is edge-triggered.
 * With a fake clock the loop looks at the wheel by itself, and what the descriptor tells is
 * ignored. */
#include "async/loop/microtimer.h"

#include "async/loop/loop.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct microtimers {
    struct loop *loop;
    struct timers timers;
    struct io io;
    int64_t armed_us; /* when the descriptor will expire; INT64_MAX: it will not */
};

/* Lets the descriptor expire when the first timer is due. */
static void arm(struct microtimers *microtimers)
{
    int64_t next = timers_next(&microtimers->timers);
    if (next >= microtimers->armed_us)
        return;
    struct itimerspec at = { .it_value = { .tv_sec = next / 1000000,
                                           .tv_nsec = next % 1000000 * 1000 } };
    if (timerfd_settime(microtimers->io.fd, TFD_TIMER_ABSTIME, &at, NULL) < 0)
        misuse("tepal_sleep_us", "a descriptor of the loop was closed by the program");
    microtimers->armed_us = next;
}

static void on_expired(struct io *io)
{
    struct microtimers *microtimers = CONTAINER_OF(io, struct microtimers, io);
    microtimers->armed_us = INT64_MAX;
    if (!microtimers->loop->fake_time)
        microtimers_advance(microtimers, loop_clock_us(microtimers->loop));
}

/* Makes the loop's if there are none. Returns 0 or a negative errno. */
static int open_microtimers(struct loop *loop)
{
    if (loop->microtimers)
        return 0;
    struct microtimers *new = mem_alloc(sizeof(*new));
    if (!new)
        return -ENOMEM;
    int fd = fd_keep(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    int rc = fd < 0 ? -errno : 0;
    new->loop = loop;
    new->io = (struct io){ .fd = fd, .fn = on_expired };
    new->armed_us = INT64_MAX;
    if (rc == 0)
        rc = poller_add(&loop->poller, &new->io);
    if (rc < 0) {
        if (fd >= 0)
            close(fd);
        mem_free(new);
        return rc;
    }
    timers_init(&new->timers, loop_clock_us(loop));
    loop->microtimers = new;
    return 0;
}

int microtimer_set(struct loop *loop, struct timer *timer, int64_t at_us)
{
    int rc = open_microtimers(loop);
    if (rc < 0)
        return rc;
    timer_set(&loop->microtimers->timers, timer, at_us);
    if (!loop->fake_time)
        arm(loop->microtimers);
    return 0;
}

int64_t microtimers_next(const struct microtimers *microtimers)
{
    return microtimers ? timers_next(&microtimers->timers) : INT64_MAX;
}

void microtimers_advance(struct microtimers *microtimers, int64_t now_us)
{
    if (!microtimers)
        return;
    timers_fire(&microtimers->timers, now_us);
    if (!microtimers->loop->fake_time)
        arm(microtimers);
}

void microtimers_close(struct microtimers *microtimers)
{
    if (!microtimers)
        return;
    close(microtimers->io.fd);
    mem_free(microtimers);
}
