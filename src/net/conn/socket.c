/* The connection operations straight on a socket. None of them waits. */
#include "async/loop/loop.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"
#include "net/addr.h"
#include "net/conn/sigpipe.h"
#include "net/conn/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

NO_INLINE ssize_t socket_read_failed(struct tepal_conn *conn, void *buffer, size_t size)
{
    struct io *io = &conn->io;
    ssize_t n = -1;
    /* At urgent data a signal that is pending lets the system say so with octets behind it. */
    if (errno == EAGAIN && (io->state & IO_STOPS))
        n = recv(io->fd, buffer, size, 0);
    if (n < 0)
        return conn_failed(io, IO_READ);
    conn_read_short(io, (size_t)n < size);
    return n;
}

static ssize_t socket_writev(struct tepal_conn *conn, const struct iovec *pieces, int n)
{
    if (n == 1)
        return conn_wrote(&conn->io,
                          send(conn->io.fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL));
    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)pieces,
                              .msg_iovlen = (size_t)n };
    return conn_wrote(&conn->io, sendmsg(conn->io.fd, &message, MSG_NOSIGNAL));
}

ssize_t conn_plain_sendfile(struct tepal_conn *conn, int file, int64_t *offset, size_t len)
{
    struct sigpipe sigpipe;
    sigpipe_block(&sigpipe);
    ssize_t n = conn_wrote(&conn->io, sendfile(conn->io.fd, file, offset, len));
    sigpipe_unblock(&sigpipe, n == -EPIPE);
    return n;
}

static int socket_shutdown(struct tepal_conn *conn)
{
    return shutdown(conn->io.fd, SHUT_WR) < 0 ? -errno : 0;
}

static void socket_close(struct tepal_conn *conn)
{
    close(conn->io.fd);
}

const struct conn_ops conn_socket_ops = {
    .read = socket_read,
    .writev = socket_writev,
    .sendfile = conn_plain_sendfile,
    .shutdown = socket_shutdown,
    .close = socket_close,
};

/* The same but for reading: a Unix socket stops where descriptors were passed. */
const struct conn_ops conn_unix_ops = {
    .read = unix_read,
    .writev = socket_writev,
    .sendfile = conn_plain_sendfile,
    .shutdown = socket_shutdown,
    .close = socket_close,
};

int socket_new(int family)
{
    int fd = fd_keep(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    return fd < 0 ? -errno : fd;
}

void socket_set_conn_options(int fd, int family)
{
    int on = 1;
    if (family == AF_UNIX)
        return;
    /* Both are a help; a socket that does not know them works as well. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

void conn_reset_at_close(struct tepal_conn *conn)
{
    /* A Unix socket has no such thing, and ends as it always does. */
    struct linger now = { .l_onoff = 1, .l_linger = 0 };
    (void)setsockopt(conn->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    if (conn->tls)
        tls_say_no_goodbye(conn->tls);
}

int conn_open_socket(struct tepal_conn *conn, struct loop *loop, int fd)
{
    conn->io = (struct io){ .fd = fd, .state = IO_WRITE, .fn = conn_on_event };
    conn->ops = &conn_socket_ops;
    conn->buffers = NULL;
    conn->tls = NULL;
    return poller_add(&loop->poller, &conn->io);
}

int conn_new_socket(struct tepal_conn **out, struct loop *loop, int fd, int family)
{
    tepal_conn *conn = mem_zalloc(sizeof(*conn));
    int rc = conn ? conn_open_socket(conn, loop, fd) : -ENOMEM;
    if (rc < 0) {
        mem_free(conn);
        return rc;
    }
    if (family == AF_UNIX)
        conn->ops = &conn_unix_ops;
    *out = conn;
    return 0;
}

/* --- Sockets of the program ------------------------------------------------------------------- */

int socket_option(int fd, int option)
{
    int value;
    socklen_t size = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -errno : value;
}

int tepal_conn_open_fd(tepal_conn **conn, int fd)
{
    struct loop *loop = loop_need("tepal_conn_open_fd");
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    int type = socket_option(fd, SO_TYPE), flags = fcntl(fd, F_GETFL);
    need_place("tepal_conn_open_fd", conn);
    if (type < 0)
        return type;
    if (type != SOCK_STREAM)
        return -ESOCKTNOSUPPORT;
    if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0)
        return -errno;
    tepal_conn *new;
    int family = socket_option(fd, SO_DOMAIN);
    int rc = conn_new_socket(&new, loop, fd, family);
    if (rc < 0)
        return rc;
    /* Only now, so that a descriptor that is refused is as it was. */
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        rc = -errno;
        poller_remove(&loop->poller, &new->io);
        mem_free(new);
        return rc;
    }
    socket_set_conn_options(fd, family);
    new->io.state |= IO_STOPS; /* of what kind it is, and when it stops, is not known */
    *conn = new;
    return 0;
}

/* --- About a connection ----------------------------------------------------------------------- */

int tepal_conn_peer_addr(const tepal_conn *conn, tepal_addr *addr)
{
    struct addr found = { .len = sizeof(found.storage) };
    conn_need(conn, "tepal_conn_peer_addr");
    need_place("tepal_conn_peer_addr", addr);
    if (getpeername(conn->io.fd, &found.sa, &found.len) < 0)
        return -errno;
    *addr = addr_to_public(&found);
    return 0;
}

int tepal_conn_local_addr(const tepal_conn *conn, tepal_addr *addr)
{
    struct addr found = { .len = sizeof(found.storage) };
    conn_need(conn, "tepal_conn_local_addr");
    need_place("tepal_conn_local_addr", addr);
    if (getsockname(conn->io.fd, &found.sa, &found.len) < 0)
        return -errno;
    *addr = addr_to_public(&found);
    return 0;
}

int tepal_conn_fd(const tepal_conn *conn)
{
    conn_need(conn, "tepal_conn_fd");
    return conn->io.fd;
}

int tepal_conn_set_keepalive(tepal_conn *conn, const tepal_keepalive *options)
{
    static const tepal_keepalive defaults = { 0 };
    enum { IDLE_S = 60, INTERVAL_S = 15, COUNT = 4 };
    const tepal_keepalive *o = options ? options : &defaults;
    conn_need(conn, "tepal_conn_set_keepalive");
    int rc = room_check("tepal_conn_set_keepalive", o->later, sizeof(o->later));
    if (rc < 0)
        return rc;
    int fd = conn->io.fd, on = 1;
    int idle = o->idle_s ? o->idle_s : IDLE_S;
    int interval = o->interval_s ? o->interval_s : INTERVAL_S;
    int count = o->count ? o->count : COUNT;
    int family = socket_option(fd, SO_DOMAIN);
    if (family != AF_INET && family != AF_INET6)
        return -EOPNOTSUPP;
    if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0)
        return -errno;
    return 0;
}
