/* What only Unix sockets can do: pairs, credentials, and passing descriptors.
 *
 * The system hands descriptors over with the octets that they were sent with, and drops them when
 * those are read without asking for them.
 */
#include "async/task/task.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/conn/buffers.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The most that the system passes at once (SCM_MAX_FD). With room for that many, descriptors are
 * never left out because there were too many. */
enum { MAX_RECEIVED = 253 };

int tepal_conn_open_pair(tepal_conn **a, tepal_conn **b)
{
    struct loop *loop = loop_need("tepal_conn_open_pair");
    int fds[2];
    need_place("tepal_conn_open_pair", a);
    need_place("tepal_conn_open_pair", b);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    tepal_conn *first, *second;
    int rc = fd_keep_both(fds);
    if (rc < 0)
        return rc;
    rc = conn_new_socket(&first, loop, fds[0], AF_UNIX);
    if (rc < 0) {
        close(fds[0]);
        close(fds[1]);
        return rc;
    }
    rc = conn_new_socket(&second, loop, fds[1], AF_UNIX);
    if (rc < 0) {
        tepal_conn_close(first);
        close(fds[1]);
        return rc;
    }
    *a = first;
    *b = second;
    return 0;
}

int tepal_conn_credentials(const tepal_conn *conn, tepal_credentials *credentials)
{
    struct ucred found;
    socklen_t size = sizeof(found);
    conn_need(conn, "tepal_conn_credentials");
    need_place("tepal_conn_credentials", credentials);
    if (socket_option(conn->io.fd, SO_DOMAIN) != AF_UNIX ||
        getsockopt(conn->io.fd, SOL_SOCKET, SO_PEERCRED, &found, &size) < 0)
        return -EOPNOTSUPP;
    *credentials = (tepal_credentials){ .pid = found.pid, .uid = found.uid, .gid = found.gid };
    return 0;
}

/* --- Reading ---------------------------------------------------------------------------------- */

/* A socket that only knows octets does not say why it gave fewer than there was room for: that it
 * is empty, or that it stopped where descriptors were. recvmsg() does. */
static ssize_t receive(struct io *io, struct iovec piece, struct msghdr *message)
{
    message->msg_iov = &piece;
    message->msg_iovlen = 1;
    ssize_t n = recvmsg(io->fd, message, MSG_CMSG_CLOEXEC);
    if (n < 0)
        return conn_failed(io, IO_READ);
    bool stopped = message->msg_controllen > 0 || (message->msg_flags & MSG_CTRUNC);
    conn_read_short(io, (size_t)n < piece.iov_len && !stopped);
    return n;
}

ssize_t unix_read(struct tepal_conn *conn, void *buffer, size_t size)
{
    struct msghdr message = { 0 };
    return receive(&conn->io, (struct iovec){ .iov_base = buffer, .iov_len = size }, &message);
}

static void close_all(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

/* The descriptors in the message. Returns how many; fds has room for MAX_RECEIVED. */
static size_t collect(struct msghdr *message, int *fds)
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t some = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds + n, CMSG_DATA(c), some * sizeof(int));
        n += some;
    }
    return n;
}

/* Tries once to receive octets, and up to *n descriptors. */
static ssize_t receive_fds(struct tepal_conn *conn, struct iovec piece, int *fds, size_t *n)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(MAX_RECEIVED * sizeof(int))];
    } control;
    struct msghdr message = { .msg_control = &control, .msg_controllen = sizeof(control) };
    int received[MAX_RECEIVED];
    ssize_t got = receive(&conn->io, piece, &message);
    if (got < 0)
        return got;
    size_t n_received = collect(&message, received), room = *n;
    bool short_of = message.msg_flags & MSG_CTRUNC;
    *n = 0;
    if (short_of || n_received > room) {
        close_all(received, n_received);
        return short_of ? -EMFILE : -EMSGSIZE;
    }
    if (n_received > 0)
        memcpy(fds, received, n_received * sizeof(int));
    *n = n_received;
    return got;
}

/* Waits for octets, and receives them with their descriptors. */
static ssize_t read_with_fds(struct tepal_conn *conn, struct iovec piece, int *fds, size_t *n)
{
    size_t room = *n;
    ssize_t rc = conn->buffers ? conn->buffers->in_error : 0;
    *n = 0;
    while (rc == 0) {
        rc = conn_wait_read(conn, TEPAL_NEVER);
        if (rc < 0)
            return rc;
        *n = room;
        rc = receive_fds(conn, piece, fds, n);
        if (rc >= 0)
            return rc;
        *n = 0;
        if (rc == -EAGAIN)
            rc = 0;
    }
    return rc;
}

ssize_t tepal_conn_receive_fds(tepal_conn *conn, void *buffer, size_t size, int *fds, size_t *n)
{
    task_need("tepal_conn_receive_fds");
    conn_need(conn, "tepal_conn_receive_fds");
    need_place("tepal_conn_receive_fds", n);
    size_t room = *n;
    *n = 0;
    if (conn->ops != &conn_unix_ops)
        return -EOPNOTSUPP;
    if (size == 0)
        return -EINVAL;
    /* What was read ahead comes first; the descriptors that came with it are gone. */
    if (conn_has_unread(conn))
        return tepal_conn_read(conn, buffer, size);
    *n = room;
    struct iovec piece = { .iov_base = buffer, .iov_len = size };
    return conn_left(conn, read_with_fds(conn, piece, fds, n));
}

/* --- Writing ---------------------------------------------------------------------------------- */

/* Tries once to pass the descriptors with some of the octets. Returns how many octets. */
static ssize_t send_fds(struct tepal_conn *conn, const int *fds, size_t n, struct iovec *piece)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(TEPAL_MAX_PASSED_FDS * sizeof(int))];
    } control;
    memset(&control, 0, sizeof(control));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
    struct msghdr message = { .msg_iov = piece,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
    ssize_t sent = sendmsg(conn->io.fd, &message, MSG_NOSIGNAL);
    return conn_wrote(&conn->io, sent);
}

static int write_with_fds(struct tepal_conn *conn, const int *fds, size_t n, struct iovec piece)
{
    ssize_t sent = -EAGAIN;
    while (sent == -EAGAIN) {
        int rc = conn_wait_write(conn, TEPAL_NEVER);
        if (rc < 0)
            return rc;
        sent = send_fds(conn, fds, n, &piece);
    }
    if (sent < 0)
        return (int)sent;
    piece.iov_base = (char *)piece.iov_base + sent;
    piece.iov_len -= (size_t)sent;
    return conn_writev(conn, &piece, 1, TEPAL_NEVER);
}

int tepal_conn_send_fds(tepal_conn *conn, const int *fds, size_t n, const void *data, size_t len)
{
    task_need("tepal_conn_send_fds");
    conn_need(conn, "tepal_conn_send_fds");
    if (conn->ops != &conn_unix_ops)
        return -EOPNOTSUPP;
    if (n == 0 || n > TEPAL_MAX_PASSED_FDS || len == 0)
        return -EINVAL;
    int rc = writer_enter(conn, "tepal_conn_send_fds");
    if (rc < 0)
        return rc;
    rc = writer_flush(conn);
    if (rc == 0)
        rc = write_with_fds(conn, fds, n, (struct iovec){ (void *)(uintptr_t)data, len });
    return writer_leave(conn, rc);
}
