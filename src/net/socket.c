/* The stream operations straight on a socket. None of them waits. */
#include "async/loop.h"
#include "net/sigpipe.h"
#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t socket_read(struct tepal_conn *stream, void *buffer, size_t size)
{
    struct io *io = &stream->io;
    ssize_t n = recv(io->fd, buffer, size, 0);
    if (n < 0) {
        if (errno == EAGAIN)
            io->state &= ~(uint32_t)IO_READ;
        return errno == EINTR ? -EAGAIN : -errno;
    }
    /* A short read has emptied the socket: the next octets make a new edge. Unless the end has come
     * already, which makes none. */
    if ((size_t)n < size && !(io->state & IO_EOF))
        io->state &= ~(uint32_t)IO_READ;
    return n;
}

static ssize_t wrote(struct io *io, ssize_t n)
{
    if (n >= 0)
        return n;
    if (errno == EAGAIN)
        io->state &= ~(uint32_t)IO_WRITE;
    return errno == EINTR ? -EAGAIN : -errno;
}

static ssize_t socket_writev(struct tepal_conn *stream, const struct iovec *pieces, int n)
{
    if (n == 1)
        return wrote(&stream->io,
                     send(stream->io.fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL));
    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)pieces,
                              .msg_iovlen = (size_t)n };
    return wrote(&stream->io, sendmsg(stream->io.fd, &message, MSG_NOSIGNAL));
}

static ssize_t socket_sendfile(struct tepal_conn *stream, int file, int64_t *offset, size_t len)
{
    struct sigpipe sigpipe;
    sigpipe_block(&sigpipe);
    ssize_t n = wrote(&stream->io, sendfile(stream->io.fd, file, offset, len));
    sigpipe_unblock(&sigpipe, n == -EPIPE);
    return n;
}

static int socket_shutdown(struct tepal_conn *stream)
{
    return shutdown(stream->io.fd, SHUT_WR) < 0 ? -errno : 0;
}

static void socket_close(struct tepal_conn *stream)
{
    close(stream->io.fd);
}

const struct stream_ops stream_socket_ops = {
    .read = socket_read,
    .writev = socket_writev,
    .sendfile = socket_sendfile,
    .shutdown = socket_shutdown,
    .close = socket_close,
};

int socket_new(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

void socket_set_stream_options(int fd, int family)
{
    int on = 1;
    if (family == AF_UNIX)
        return;
    /* Both are a help; a socket that does not know them works as well. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

void stream_reset_at_close(struct tepal_conn *stream)
{
    /* A Unix socket has no such thing, and ends as it always does. */
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    (void)setsockopt(stream->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

int stream_open_socket(struct tepal_conn *stream, struct loop *loop, int fd)
{
    stream->io = (struct io){ .fd = fd, .state = IO_WRITE, .fn = stream_on_event };
    stream->ops = &stream_socket_ops;
    return poller_add(&loop->poller, &stream->io);
}
