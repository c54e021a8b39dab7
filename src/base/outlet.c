/* One opening, one lock, one write at a time: what each kind of descriptor needs so that nobody
 * waits and no line is mixed up with another. */
#include "base/outlet.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* More than that at once would hold the loop. */
enum { MOST_AT_ONCE = 256 * 1024 };

/* --- Signals ---------------------------------------------------------------------------------- */

/* A reader that has gone is a SIGPIPE, a file that has its limit a SIGXFSZ; both would end the
 * program. They are blocked for the moment of the write, and what the write has caused is taken
 * back: what the program does with these signals is its own affair. */
static void block_signals(struct outlet *o)
{
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGPIPE);
    sigaddset(&both, SIGXFSZ);
    o->caused = 0;
    pthread_sigmask(SIG_BLOCK, &both, &o->before);
    /* One that waits already is the program's. */
    sigemptyset(&o->pending);
    if (sigismember(&o->before, SIGPIPE) || sigismember(&o->before, SIGXFSZ))
        sigpending(&o->pending);
}

static void unblock_signals(struct outlet *o)
{
    int before = errno;
    if (o->caused && !sigismember(&o->pending, o->caused)) {
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, o->caused);
        while (sigtimedwait(&one, NULL, &(struct timespec){ 0 }) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &o->before, NULL);
    errno = before;
}

/* --- Opening ---------------------------------------------------------------------------------- */

void outlet_init(struct outlet *o, int fd)
{
    *o = (struct outlet){ .fd = fd, .again = -1 };
}

void outlet_clear(struct outlet *o)
{
    if (o->again >= 0)
        close(o->again);
    o->again = -1;
}

/* A standard descriptor that has been closed meanwhile must not become something else. */
static int look(const struct outlet *o, struct stat *now)
{
    if (fstat(o->fd, now) == 0)
        return 0;
    int rc = o->fd < FD_FIRST ? fd_fill_standard() : -errno;
    if (rc == 0 && fstat(o->fd, now) < 0)
        rc = -errno;
    return rc;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           (a->st_mode & S_IFMT) == (b->st_mode & S_IFMT) &&
           (!S_ISREG(a->st_mode) || a->st_size == b->st_size);
}

/* Held until the second opening is closed. A lock that is not to be had for other reasons than that
 * another process has it is done without. */
static int lock_pipe(const struct outlet *o)
{
    enum { ATTEMPTS = 8 };
    struct flock lock = { .l_type = F_WRLCK };
    for (int i = 0; i < ATTEMPTS; i++) {
        if (fcntl(o->again, F_OFD_SETLK, &lock) == 0 || (errno != EAGAIN && errno != EACCES))
            return 0;
        sched_yield();
    }
    return -EAGAIN;
}

static int open_again(struct outlet *o)
{
    char path[64];
    if (o->again >= 0)
        return 0; /* with its lock */
    snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", o->fd);
    o->again = fd_keep(open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (o->again < 0)
        return errno == ENXIO && S_ISFIFO(o->at.st_mode) ? -EPIPE : 0; /* nobody reads it */
    return S_ISFIFO(o->at.st_mode) ? lock_pipe(o) : 0;
}

/* Whether the file ends with a whole line, as far as can be seen. */
static bool ends_whole(const struct outlet *o)
{
    char path[64], last = '\n';
    snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", o->fd);
    int fd = o->at.st_size > 0 ? fd_keep(open(path, O_RDONLY | O_CLOEXEC)) : -1;
    if (fd < 0)
        return true;
    ssize_t n = pread(fd, &last, 1, o->at.st_size - 1);
    close(fd);
    return n != 1 || last == '\n';
}

/* Remembers what signal the failure has caused. Returns the error as a negative errno. */
static int failure(struct outlet *o)
{
    o->caused = errno == EPIPE ? SIGPIPE : errno == EFBIG ? SIGXFSZ : 0;
    return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

/* Another process may have been cut in the midst of a line when the disk was full. */
static int mend(struct outlet *o)
{
    if (!o->failed || ends_whole(o))
        return 0;
    return write(o->fd, "\n", 1) == 1 ? 0 : failure(o);
}

int outlet_begin(struct outlet *o, bool torn)
{
    struct stat now;
    block_signals(o);
    o->same = false;
    int rc = look(o, &now);
    if (rc < 0)
        return rc;
    o->same = is_same(&o->at, &now);
    o->at = now;
    if (!o->same)
        outlet_clear(o);
    if (S_ISFIFO(now.st_mode) || S_ISCHR(now.st_mode))
        return open_again(o);
    if (S_ISREG(now.st_mode) && !(torn && o->same))
        return mend(o);
    if (S_ISSOCK(now.st_mode)) {
        int type = SOCK_STREAM;
        socklen_t size = sizeof(type);
        getsockopt(o->fd, SOL_SOCKET, SO_TYPE, &type, &size);
        o->datagrams = type != SOCK_STREAM;
    }
    return 0;
}

/* --- Writing ---------------------------------------------------------------------------------- */

/* How much of the lines goes out in one call; at data is the rest of a line that was cut, if torn.
 */
static size_t piece(const struct outlet *o, const char *data, size_t len, bool torn)
{
    bool pipe = S_ISFIFO(o->at.st_mode);
    if (!pipe && !(S_ISSOCK(o->at.st_mode) && o->datagrams))
        return len < MOST_AT_ONCE ? len : MOST_AT_ONCE;
    if (pipe && !torn && len <= PIPE_BUF)
        return len;
    /* As many lines as the system writes all or not at all; a long one alone, under the lock. */
    const char *end = pipe && !torn ? memrchr(data, '\n', PIPE_BUF) : NULL;
    if (!end)
        end = memchr(data, '\n', len);
    return (size_t)(end - data) + 1;
}

/* Without a second opening: only what there is room for. */
static ssize_t write_carefully(int fd, const char *data, size_t len)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
    ssize_t n = pwritev2(fd, &iov, 1, -1, RWF_NOWAIT);
    if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL && errno != ESPIPE))
        return n;
    struct pollfd out = { .fd = fd, .events = POLLOUT };
    if (poll(&out, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(fd, data, len < PIPE_BUF ? len : PIPE_BUF);
}

static ssize_t write_once(const struct outlet *o, const char *data, size_t len)
{
    if (S_ISSOCK(o->at.st_mode))
        return send(o->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (o->again >= 0)
        return write(o->again, data, len);
    if (S_ISFIFO(o->at.st_mode) || S_ISCHR(o->at.st_mode))
        return write_carefully(o->fd, data, len);
    return write(o->fd, data, len);
}

ssize_t outlet_write(struct outlet *o, const char *data, size_t len, bool torn)
{
    ssize_t n;
    len = piece(o, data, len, torn);
    do
        n = write_once(o, data, len);
    while (n < 0 && errno == EINTR);
    return n < 0 ? failure(o) : n;
}

void outlet_end(struct outlet *o, ssize_t rc, bool torn)
{
    o->failed = rc < 0 && rc != -EAGAIN;
    if (!torn)
        outlet_clear(o);
    if (torn && S_ISREG(o->at.st_mode))
        fstat(o->fd, &o->at);
    unblock_signals(o);
}
