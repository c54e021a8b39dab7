/* Signals by signalfd, so that they arrive between two tasks and never inside one. */
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
    sigset_t blocked; /* by us: they were not before */
};

static void on_ready(struct io *io)
{
    if (io->reader)
        task_wake(io->reader, 0);
}

tepal_signals *tepal_signals_open(const int *signals)
{
    struct loop *loop = loop_need("tepal_signals_open");
    sigset_t mask;
    sigemptyset(&mask);
    for (; *signals; signals++)
        if (sigaddset(&mask, *signals) < 0)
            misuse("tepal_signals_open", "not a signal");
    tepal_signals *s = mem_zalloc(sizeof(*s));
    if (!s)
        return NULL;
    s->loop = loop;
    s->io = (struct io){ .fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC), .fn = on_ready };
    if (s->io.fd < 0 || poller_add(&loop->poller, &s->io) < 0) {
        if (s->io.fd >= 0)
            close(s->io.fd);
        mem_free(s);
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
    struct tepal_task *task = task_need("tepal_signals_next");
    struct signalfd_siginfo info;
    if (signals->io.reader)
        return -EBUSY;
    while (true) {
        int rc = task_check(signals->loop, task);
        if (rc < 0)
            return rc;
        if (read(signals->io.fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
            return (int)info.ssi_signo;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        signals->io.reader = task;
        rc = task_wait_fd(signals->loop, "a signal on", signals->io.fd, TEPAL_NEVER);
        signals->io.reader = NULL;
        if (rc < 0)
            return rc;
    }
}

void tepal_signals_close(tepal_signals *signals)
{
    if (!signals)
        return;
    if (signals->io.reader)
        misuse("tepal_signals_close", "a task still waits for a signal");
    poller_remove(&signals->loop->poller, &signals->io);
    close(signals->io.fd);
    pthread_sigmask(SIG_UNBLOCK, &signals->blocked, NULL);
    mem_free(signals);
}
