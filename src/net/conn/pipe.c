/* The connection operations on a pipe. Reading and writing are as on a socket; ending one side is
 * closing it, since a pipe has no other. */
#include "net/conn/pipe.h"

#include "async/loop/loop.h"
#include "base/fd.h"
#include "base/mem.h"
#include "net/conn/sigpipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct pipe_conn {
    struct tepal_conn conn; /* first: tepal_conn_close() frees it */
    struct tepal_conn **owner;
};

static ssize_t pipe_read(struct tepal_conn *conn, void *buffer, size_t size)
{
    /* A short read need not have emptied the pipe: the other end may write packets (O_DIRECT). */
    ssize_t n = read(conn->io.fd, buffer, size);
    return n < 0 ? conn_failed(&conn->io, IO_READ) : n;
}

static ssize_t pipe_writev(struct tepal_conn *conn, const struct iovec *pieces, int n)
{
    struct sigpipe sigpipe;
    sigpipe_block(&sigpipe);
    ssize_t done = conn_wrote(&conn->io, writev(conn->io.fd, pieces, n));
    sigpipe_unblock(&sigpipe, done == -EPIPE);
    return done;
}

static void pipe_close(struct tepal_conn *conn)
{
    struct pipe_conn *pipe = CONTAINER_OF(conn, struct pipe_conn, conn);
    close(conn->io.fd);
    *pipe->owner = NULL;
}

static ssize_t ended_read(struct tepal_conn *conn, void *buffer, size_t size)
{
    (void)conn, (void)buffer, (void)size;
    return 0;
}

static ssize_t ended_writev(struct tepal_conn *conn, const struct iovec *pieces, int n)
{
    (void)conn, (void)pieces, (void)n;
    return -EPIPE;
}

static ssize_t ended_sendfile(struct tepal_conn *conn, int file, int64_t *offset, size_t len)
{
    (void)conn, (void)file, (void)offset, (void)len;
    return -EPIPE;
}

static int ended_shutdown(struct tepal_conn *conn)
{
    (void)conn;
    return 0;
}

static const struct conn_ops ended_ops = {
    .read = ended_read,
    .writev = ended_writev,
    .sendfile = ended_sendfile,
    .shutdown = ended_shutdown,
    .close = pipe_close,
};

static int pipe_shutdown(struct tepal_conn *conn)
{
    struct poller *poller = &loop_current->poller;
    poller_remove(poller, &conn->io);
    /* Closes the pipe, but keeps the number taken, by a descriptor that is always there: the
     * connection lives until it is closed, and must not name somebody else's descriptor. */
    if (dup3(poller->fd, conn->io.fd, O_CLOEXEC) < 0)
        return -errno;
    conn->ops = &ended_ops;
    conn->io.state = IO_READ | IO_WRITE | IO_EOF | IO_HUP;
    conn_on_event(&conn->io);
    return 0;
}

static const struct conn_ops pipe_ops = {
    .read = pipe_read,
    .writev = pipe_writev,
    .sendfile = conn_plain_sendfile,
    .shutdown = pipe_shutdown,
    .close = pipe_close,
};

int pipe_open(struct tepal_conn **conn, int *other, struct loop *loop, bool to_write)
{
    int fds[2];
    struct pipe_conn *pipe = mem_zalloc(sizeof(*pipe));
    if (!pipe)
        return -ENOMEM;
    /* None of them a standard one, which are replaced in the child. */
    int rc = pipe2(fds, O_CLOEXEC) < 0 ? -errno : fd_keep_both(fds);
    if (rc < 0) {
        mem_free(pipe);
        return rc;
    }
    int *mine = &fds[to_write];
    if (fcntl(*mine, F_SETFL, O_NONBLOCK) < 0)
        rc = -errno;
    if (rc == 0) {
        /* What it cannot do is tried at once, and fails, instead of being waited for. */
        pipe->conn.io =
            (struct io){ .fd = *mine, .state = IO_READ | IO_WRITE, .fn = conn_on_event };
        pipe->conn.ops = &pipe_ops;
        pipe->owner = conn;
        rc = poller_add(&loop->poller, &pipe->conn.io);
    }
    if (rc < 0) {
        close(fds[0]);
        close(fds[1]);
        mem_free(pipe);
        return rc;
    }
    *conn = &pipe->conn;
    *other = fds[!to_write];
    return 0;
}
