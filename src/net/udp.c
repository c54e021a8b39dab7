/* Datagram sockets. A socket for all addresses is one of IPv6 that takes IPv4 addresses in their
 * mapped form, where the machine has IPv6. */
#include "async/task/task.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"
#include "net/addr.h"
#include "net/conn/conn.h"
#include "net/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static int new_socket(int family)
{
    int fd = fd_keep(socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    return fd < 0 ? -errno : fd;
}

static int switch_on(int fd, int level, int option, int on)
{
    return setsockopt(fd, level, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* --- Opening ---------------------------------------------------------------------------------- */

static int bind_to(struct tepal_udp *udp, const struct addr *addr, const tepal_udp_options *options)
{
    int fd = udp->io.fd = new_socket(addr->sa.sa_family), rc = fd < 0 ? fd : 0;
    udp->family = addr->sa.sa_family;
    if (rc == 0 && options->reuse_port)
        rc = switch_on(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0 && options->broadcast)
        rc = switch_on(fd, SOL_SOCKET, SO_BROADCAST, 1);
    /* For all addresses both families, whatever net.ipv6.bindv6only says. */
    if (rc == 0 && addr->sa.sa_family == AF_INET6)
        rc = switch_on(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->host != NULL);
    if (rc == 0 && bind(fd, &addr->sa, addr->len) < 0)
        rc = -errno;
    if (rc < 0 && fd >= 0) {
        close(fd);
        udp->io.fd = -1;
    }
    return rc;
}

static int open_ip(struct tepal_udp *udp, const tepal_udp_options *options)
{
    tepal_addr where;
    struct addr addr;
    int port = options->port == TEPAL_ANY_PORT ? 0 : options->port;
    if (port < 0 || port > 65535)
        return -EINVAL;
    int rc = tepal_addr_parse(&where, options->host ? options->host : "::", (uint16_t)port);
    if (rc == 0)
        rc = addr_from_public(&addr, &where);
    if (rc == 0)
        rc = bind_to(udp, &addr, options);
    if ((rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL) && !options->host) { /* without IPv6 */
        addr_from_ip(&addr, "0.0.0.0", (uint16_t)port);
        rc = bind_to(udp, &addr, options);
    }
    return rc;
}

static int bind_unix(struct tepal_udp *udp, const char *path)
{
    struct addr addr;
    int rc = addr_from_path(&addr, path);
    if (rc < 0)
        return rc;
    return unix_file_bind(&udp->file, udp->io.fd, &addr, SOCK_DGRAM);
}

static int open_unix(struct tepal_udp *udp, const tepal_udp_options *options)
{
    struct addr peer;
    int rc = options->peer_path ? addr_from_path(&peer, options->peer_path) : 0;
    if (rc < 0)
        return rc;
    udp->family = AF_UNIX;
    udp->io.fd = new_socket(AF_UNIX);
    if (udp->io.fd < 0)
        return udp->io.fd;
    /* In this order, so that nobody else finds it before it is connected. */
    if (options->peer_path && connect(udp->io.fd, &peer.sa, peer.len) < 0)
        return -errno;
    return options->path ? bind_unix(udp, options->path) : 0;
}

static void on_ready(struct io *io)
{
    if (io->reader && (io->state & IO_READ))
        task_wake(io->reader, 0);
    if (io->writer && (io->state & IO_WRITE))
        task_wake(io->writer, 0);
}

/* Closes a socket that is not watched. */
static void close_socket(struct tepal_udp *udp)
{
    unix_file_remove(&udp->file);
    if (udp->io.fd >= 0)
        close(udp->io.fd);
    udp->io.fd = -1;
}

int tepal_udp_open(tepal_udp **out, const tepal_udp_options *options)
{
    static const tepal_udp_options defaults = { 0 };
    struct loop *loop = loop_need("tepal_udp_open");
    need_place("tepal_udp_open", out);
    if (!options)
        options = &defaults;
    int rc = room_check("tepal_udp_open", options->later, sizeof(options->later));
    if (rc < 0)
        return rc;
    tepal_udp *udp = mem_zalloc(sizeof(*udp));
    if (!udp)
        return -ENOMEM;
    udp->loop = loop;
    udp->io = (struct io){ .fd = -1, .state = IO_READ | IO_WRITE, .fn = on_ready };
    rc = options->path || options->peer_path ? open_unix(udp, options) : open_ip(udp, options);
    if (rc == 0)
        rc = poller_add(&loop->poller, &udp->io);
    if (rc < 0) {
        close_socket(udp);
        mem_free(udp);
        return rc;
    }
    *out = udp;
    return 0;
}

static void free_if_left(struct tepal_udp *udp)
{
    if (!udp->io.reader && !udp->io.writer && !udp->senders.next)
        mem_free(udp);
}

ssize_t udp_left(struct tepal_udp *udp, ssize_t result)
{
    if (UNLIKELY(udp->io.fd < 0))
        free_if_left(udp);
    return result;
}

void tepal_udp_close(tepal_udp *udp)
{
    if (!udp)
        return;
    io_dismiss(&udp->io);
    if (!loop_is_forked())
        (void)turns_refuse(&udp->senders, -ECANCELED);
    poller_remove(&udp->loop->poller, &udp->io);
    close_socket(udp);
    free_if_left(udp);
}

bool tepal_udp_interrupt_receiver(tepal_udp *udp)
{
    udp_need(udp, "tepal_udp_interrupt_receiver");
    return io_interrupt_reader(&udp->io);
}

bool tepal_udp_interrupt_senders(tepal_udp *udp)
{
    udp_need(udp, "tepal_udp_interrupt_senders");
    bool one = io_interrupt_writer(&udp->io), others = turns_refuse(&udp->senders, -EINTR);
    return one || others;
}

/* --- Sending and receiving -------------------------------------------------------------------- */

int udp_fit(const struct tepal_udp *udp, const tepal_addr *in, struct addr *out)
{
    tepal_addr mapped = { .family = AF_INET6,
                          .port = in->port,
                          .ip = { [10] = 0xff, [11] = 0xff } };
    if (udp->family == AF_INET6 && in->family == AF_INET) {
        memcpy(mapped.ip + 12, in->ip, 4);
        in = &mapped;
    }
    return in->family == udp->family ? addr_from_public(out, in) : -EAFNOSUPPORT;
}

int tepal_udp_connect(tepal_udp *udp, const tepal_addr *peer)
{
    struct addr addr, now = { .len = sizeof(now.storage) };
    udp_need(udp, "tepal_udp_connect");
    int rc = udp_fit(udp, peer, &addr);
    if (rc == 0 && connect(udp->io.fd, &addr.sa, addr.len) < 0)
        rc = -errno;
    if (rc == 0 && getpeername(udp->io.fd, &now.sa, &now.len) < 0)
        rc = -errno;
    if (rc == 0) {
        udp->peer = addr_to_public(&now);
        udp->connected = true;
    }
    return rc;
}

int udp_wait_ready(struct tepal_udp *udp, uint32_t state)
{
    bool reads = state == IO_READ;
    struct tepal_task **waiter = reads ? &udp->io.reader : &udp->io.writer;
    if (*waiter)
        return -EBUSY;
    struct loop *loop = udp->loop;
    const char *what = reads ? "a datagram on" : "sending a datagram on";
    task_takes_place(loop, loop->current);
    *waiter = loop->current;
    int rc = udp->io.state & state ? task_may_wait(loop, loop->current)
                                   : task_wait_fd(loop, what, udp->io.fd, TEPAL_NEVER);
    *waiter = NULL;
    return io_waited(&udp->io, reads ? IO_READER_INTERRUPTED : IO_WRITER_INTERRUPTED, rc);
}

ssize_t udp_attempted(struct tepal_udp *udp, uint32_t state, ssize_t n, bool *again)
{
    int error = n < 0 ? errno : 0;
    if (error == EAGAIN)
        udp->io.state &= ~state;
    *again = error == EAGAIN || error == EINTR;
    return n < 0 ? -error : n;
}

int udp_begin_sending(struct tepal_udp *udp)
{
    if (!udp->io.writer && !udp->senders.next)
        return 0;
    int rc = turns_wait(&udp->senders, "its turn to send a datagram");
    if (rc < 0)
        return rc;
    bool interrupted = turns_was_interrupted(&udp->senders);
    if (udp->io.fd < 0)
        return (int)udp_end_sending(udp, -ECANCELED);
    return interrupted ? (int)udp_end_sending(udp, -EINTR) : 0;
}

ssize_t udp_end_sending(struct tepal_udp *udp, ssize_t result)
{
    turns_pass(&udp->senders);
    return udp_left(udp, result);
}

static int send_one(struct tepal_udp *udp, const tepal_addr *to, const void *data, size_t len)
{
    struct addr addr = { .len = 0 };
    int fits = to ? udp_fit(udp, to, &addr) : 0;
    bool again;
    ssize_t n;
    do {
        int rc = udp_wait_ready(udp, IO_WRITE);
        if (rc < 0 || fits < 0)
            return rc < 0 ? rc : fits;
        n = sendto(udp->io.fd, data, len, MSG_NOSIGNAL, to ? &addr.sa : NULL, addr.len);
        n = udp_attempted(udp, IO_WRITE, n, &again);
    } while (again);
    return n < 0 ? (int)n : 0;
}

int tepal_udp_send(tepal_udp *udp, const tepal_addr *to, const void *data, size_t len)
{
    task_need("tepal_udp_send");
    udp_need(udp, "tepal_udp_send");
    int rc = udp_begin_sending(udp);
    return rc < 0 ? rc : (int)udp_end_sending(udp, send_one(udp, to, data, len));
}

bool udp_is_foreign(const struct tepal_udp *udp, const struct addr *addr)
{
    tepal_addr from = addr_to_public(addr);
    return udp->connected && !tepal_addr_equal(&from, &udp->peer);
}

tepal_addr udp_source(const struct tepal_udp *udp, struct addr *addr)
{
    if (udp->family == AF_UNIX) /* of which the name may be missing */
        addr->sa.sa_family = AF_UNIX;
    return addr_to_public(addr);
}

static ssize_t receive_one(struct tepal_udp *udp, void *buffer, size_t size, tepal_addr *from)
{
    struct addr addr;
    struct iovec piece = { .iov_base = buffer, .iov_len = size };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
    bool again;
    ssize_t n;
    do {
        int rc = udp_wait_ready(udp, IO_READ);
        if (rc < 0)
            return rc;
        memset(&addr, 0, sizeof(addr));
        message.msg_name = &addr.sa;
        message.msg_namelen = sizeof(addr.storage);
        n = udp_attempted(udp, IO_READ, recvmsg(udp->io.fd, &message, MSG_CMSG_CLOEXEC), &again);
    } while (again || (n >= 0 && udp_is_foreign(udp, &addr)));
    if (n < 0)
        return n;
    if (from)
        *from = udp_source(udp, &addr);
    return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
}

ssize_t tepal_udp_receive(tepal_udp *udp, void *buffer, size_t size, tepal_addr *from)
{
    task_need("tepal_udp_receive");
    udp_need(udp, "tepal_udp_receive");
    return udp_left(udp, receive_one(udp, buffer, size, from));
}

/* --- Multicast and getters -------------------------------------------------------------------- */

static int membership(struct tepal_udp *udp, const tepal_addr *group, int option)
{
    struct group_req request = { .gr_interface = group->scope };
    struct addr addr;
    int rc = addr_from_public(&addr, group);
    if (rc < 0)
        return rc;
    memcpy(&request.gr_group, &addr.storage, sizeof(addr.storage));
    int level = group->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    return setsockopt(udp->io.fd, level, option, &request, sizeof(request)) < 0 ? -errno : 0;
}

int tepal_udp_join(tepal_udp *udp, const tepal_addr *group)
{
    udp_need(udp, "tepal_udp_join");
    return membership(udp, group, MCAST_JOIN_GROUP);
}

int tepal_udp_leave(tepal_udp *udp, const tepal_addr *group)
{
    udp_need(udp, "tepal_udp_leave");
    return membership(udp, group, MCAST_LEAVE_GROUP);
}

int tepal_udp_local_addr(const tepal_udp *udp, tepal_addr *addr)
{
    struct addr found = { .len = sizeof(found.storage) };
    udp_need(udp, "tepal_udp_local_addr");
    need_place("tepal_udp_local_addr", addr);
    if (getsockname(udp->io.fd, &found.sa, &found.len) < 0)
        return -errno;
    *addr = addr_to_public(&found);
    return 0;
}

int tepal_udp_fd(const tepal_udp *udp)
{
    udp_need(udp, "tepal_udp_fd");
    return udp->io.fd;
}
