/* Listeners: opening, accepting, and resting when descriptors run out. They know nothing of what is
 * spoken on a connection. */
#include "net/listener.h"

#include "async/task.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/stream.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    DEFAULT_BACKLOG = 1024,
    MAX_AT_ONCE = 64,  /* connections accepted in one turn, so that the others are not starved */
    PORT_ATTEMPTS = 8, /* at a port that is free for all families */
};

bool listener_is_shortage(struct tepal_listener *listener, int error)
{
    if (error != -EMFILE && error != -ENFILE && error != -ENOBUFS && error != -ENOMEM)
        return false;
    if (!listener->complained)
        tepal_log(TEPAL_LOG_WARNING, "accepting pauses: %s", tepal_error_text(error));
    listener->complained = true;
    return true;
}

/* Accepts one connection. Returns its descriptor or a negative errno, -EAGAIN when there is
 * none. */
static int accept_one(struct listener_socket *s, struct addr *peer)
{
    peer->len = sizeof(peer->storage);
    int fd = fd_keep(accept4(s->io.fd, &peer->sa, &peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd >= 0) {
        if (peer->len < sizeof(sa_family_t))
            peer->sa.sa_family = AF_UNIX;
        socket_set_stream_options(fd, peer->sa.sa_family);
        return fd;
    }
    if (errno == EAGAIN) {
        /* Nobody waits any more: the shortage is over. One accept() that goes well is not its end,
         * and would mean a line of the log for each. */
        s->listener->complained = false;
        s->io.state &= ~(uint32_t)IO_READ;
    }
    return -errno;
}

static void accept_some(struct listener_socket *s)
{
    struct tepal_listener *listener = s->listener;
    struct addr peer;
    for (int i = 0; i < MAX_AT_ONCE; i++) {
        if (listener->paused || timer_is_set(&listener->rest))
            return;
        int fd = accept_one(s, &peer);
        if (fd >= 0)
            listener->on_accept(listener, fd, &peer);
        else if (fd == -EAGAIN)
            return;
        else if (listener_is_shortage(listener, fd))
            timer_set(&listener->loop->timers, &listener->rest,
                      listener->loop->now + LISTENER_REST_MS);
        /* Everything else is about one connection that is gone already. */
    }
    /* There may be more: come back in the next turn. */
    timer_set(&listener->loop->timers, &listener->rest, listener->loop->now + 1);
}

static void on_ready(struct io *io)
{
    struct listener_socket *s = CONTAINER_OF(io, struct listener_socket, io);
    if (s->listener->on_accept)
        accept_some(s);
    else if (io->reader)
        task_wake(io->reader, 0);
}

static void accept_from_all(struct tepal_listener *listener)
{
    for (int i = 0; i < listener->n_sockets; i++)
        if (listener->sockets[i].io.state & IO_READ)
            on_ready(&listener->sockets[i].io);
}

static void on_rested(struct timer *timer)
{
    accept_from_all(CONTAINER_OF(timer, struct tepal_listener, rest));
}

void listener_pause(struct tepal_listener *listener)
{
    listener->paused = true;
}

void listener_resume(struct tepal_listener *listener)
{
    if (!listener->paused)
        return;
    listener->paused = false;
    if (!timer_is_set(&listener->rest))
        timer_set(&listener->loop->timers, &listener->rest, listener->loop->now + 1);
}

static int bind_socket(int fd, const struct addr *addr, const tepal_listen_options *options)
{
    int on = 1, family = addr->sa.sa_family;
    if (family == AF_UNIX)
        addr_remove_stale(addr, SOCK_STREAM);
    else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -errno;
    if (options->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
        return -errno;
    /* One socket for each family, whatever net.ipv6.bindv6only says. */
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return -errno;
    return bind(fd, &addr->sa, addr->len) < 0 ? -errno : 0;
}

static int add_socket(struct tepal_listener *listener, const struct addr *addr,
                      const tepal_listen_options *options)
{
    int fd = socket_new(addr->sa.sa_family);
    if (fd < 0)
        return fd;
    struct listener_socket *s = &listener->sockets[listener->n_sockets];
    *s = (struct listener_socket){ .io = { .fd = fd, .fn = on_ready }, .listener = listener };
    int rc = bind_socket(fd, addr, options);
    bool bound = rc == 0;
    if (bound && listen(fd, options->backlog ? options->backlog : DEFAULT_BACKLOG) < 0)
        rc = -errno;
    if (rc == 0)
        rc = poller_add(&listener->loop->poller, &s->io);
    if (rc < 0) {
        if (bound && addr->sa.sa_family == AF_UNIX && addr->un.sun_path[0] != '\0')
            unlink(addr->un.sun_path);
        close(fd);
        return rc;
    }
    listener->n_sockets++;
    return 0;
}

static int open_unix(struct tepal_listener *listener, const tepal_listen_options *options)
{
    struct addr addr;
    int rc = addr_from_path(&addr, options->path);
    if (rc == 0 && options->path[0] != '@' && !(listener->path = mem_strdup(options->path)))
        rc = -ENOMEM;
    if (rc == 0) {
        rc = add_socket(listener, &addr, options);
        if (rc < 0) { /* there is no file of ours */
            mem_free(listener->path);
            listener->path = NULL;
        }
    }
    return rc;
}

static void close_sockets(struct tepal_listener *listener)
{
    for (; listener->n_sockets > 0; listener->n_sockets--) {
        struct io *io = &listener->sockets[listener->n_sockets - 1].io;
        if (io->reader)
            misuse("tepal_listener_close", "a task still waits for a connection");
        poller_remove(&listener->loop->poller, io);
        close(io->fd);
    }
}

static int open_tcp(struct tepal_listener *listener, const tepal_listen_options *options)
{
    struct addr addrs[LISTENER_MAX_SOCKETS];
    uint16_t port = options->port == TEPAL_ANY_PORT ? 0 : (uint16_t)options->port;
    int n = options->host && addr_from_ip(&addrs[0], options->host, port) == 0
                ? 1
                : addr_lookup(addrs, LISTENER_MAX_SOCKETS, options->host, port);
    int rc = n;
    for (int i = 0; i < n; i++) {
        if (port == 0 && listener->n_sockets > 0) /* the same free port for both families */
            addrs[i].in.sin_port = htons(tepal_listener_port(listener));
        rc = add_socket(listener, &addrs[i], options);
        /* A machine without IPv6 is no reason not to serve IPv4. */
        if (rc < 0 && !(rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL))
            return rc;
    }
    return listener->n_sockets > 0 ? 0 : rc;
}

int tepal_listen(tepal_listener **out, const tepal_listen_options *options)
{
    struct loop *loop = loop_need("tepal_listen");
    bool has_port = options && (options->port == TEPAL_ANY_PORT ||
                                (options->port > 0 && options->port < 65536));
    if (!has_port && !(options && options->path))
        return -EINVAL;
    tepal_listener *listener = mem_zalloc(sizeof(*listener));
    if (!listener)
        return -ENOMEM;
    listener->loop = loop;
    timer_init(&listener->rest, on_rested);
    int rc = options->path ? open_unix(listener, options) : open_tcp(listener, options);
    /* The port that was free for one family may be taken for the other one. */
    for (int i = 1; i < PORT_ATTEMPTS && rc == -EADDRINUSE && listener->n_sockets > 0 &&
                    options->port == TEPAL_ANY_PORT;
         i++) {
        close_sockets(listener);
        rc = open_tcp(listener, options);
    }
    if (rc < 0) {
        tepal_listener_close(listener);
        return rc;
    }
    *out = listener;
    return 0;
}

uint16_t tepal_listener_port(const tepal_listener *listener)
{
    struct addr addr = { .len = sizeof(addr.storage) };
    if (getsockname(listener->sockets[0].io.fd, &addr.sa, &addr.len) < 0)
        return 0;
    return addr_to_peer(&addr).port;
}

/* Waits until any of the listener's sockets may have a connection. */
static int wait_for_any(struct tepal_listener *listener)
{
    struct tepal_task *task = loop_current->current;
    bool ready = false;
    for (int i = 0; i < listener->n_sockets; i++) {
        if (listener->sockets[i].io.reader)
            return -EBUSY;
        ready |= (listener->sockets[i].io.state & IO_READ) != 0;
    }
    for (int i = 0; i < listener->n_sockets; i++)
        listener->sockets[i].io.reader = task;
    int fd = listener->sockets[0].io.fd;
    int rc = ready ? task_may_wait(listener->loop, task)
                   : task_wait_fd(listener->loop, "a connection on", fd, TEPAL_NEVER);
    for (int i = 0; i < listener->n_sockets; i++)
        listener->sockets[i].io.reader = NULL;
    return rc;
}

/* Tries all sockets in turn. Returns a descriptor or a negative errno. */
static int accept_any(struct tepal_listener *listener, struct addr *peer)
{
    int fd = -EAGAIN;
    for (int i = 0; i < listener->n_sockets && fd == -EAGAIN; i++)
        if (listener->sockets[i].io.state & IO_READ)
            fd = accept_one(&listener->sockets[i], peer);
    return fd;
}

int tepal_accept(tepal_listener *listener, tepal_conn **stream)
{
    task_need("tepal_accept");
    struct addr peer;
    int fd;
    do {
        int rc = wait_for_any(listener);
        if (rc < 0)
            return rc;
        fd = accept_any(listener, &peer);
    } while (fd == -EAGAIN || fd == -ECONNABORTED || fd == -EINTR);
    if (fd < 0)
        return fd;
    int rc = stream_new_socket(stream, listener->loop, fd, peer.sa.sa_family);
    if (rc < 0)
        close(fd);
    return rc;
}

void tepal_listener_close(tepal_listener *listener)
{
    if (!listener)
        return;
    timer_cancel(&listener->rest);
    close_sockets(listener);
    if (listener->path)
        unlink(listener->path);
    mem_free(listener->path);
    mem_free(listener);
}
