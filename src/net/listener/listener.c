/* Listeners: opening and closing them. They know nothing of what is spoken on a connection. */
#include "net/listener/listener.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"
#include "net/conn/conn.h"
#include "net/conn/turns.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <tepal/thread.h>

enum {
    DEFAULT_BACKLOG = 1024,
    PORT_ATTEMPTS = 8, /* at a port that is free for all families */
};

static int bind_socket(struct tepal_listener *listener, int fd, const struct addr *addr,
                       const tepal_listener_options *options)
{
    int on = 1, family = addr->sa.sa_family;
    if (options->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
        return -errno;
    if (family == AF_UNIX)
        return unix_file_bind(&listener->file, fd, addr, SOCK_STREAM);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -errno;
    /* One socket for each family, whatever net.ipv6.bindv6only says. */
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return -errno;
    return bind(fd, &addr->sa, addr->len) < 0 ? -errno : 0;
}

/* Watches a listening socket, which is the listener's then. There must be room for it in
 * sockets. */
static int watch_socket(struct tepal_listener *listener, int fd)
{
    struct listener_socket *s = &listener->sockets[listener->n_sockets];
    *s = (struct listener_socket){ .io = { .fd = fd, .fn = listener_on_ready },
                                   .listener = listener };
    int rc = poller_add(&listener->loop->poller, &s->io);
    listener->n_sockets += rc == 0;
    return rc;
}

/* There must be room for it in sockets. */
static int add_socket(struct tepal_listener *listener, const struct addr *addr,
                      const tepal_listener_options *options)
{
    int fd = socket_new(addr->sa.sa_family);
    if (fd < 0)
        return fd;
    int rc = bind_socket(listener, fd, addr, options);
    if (rc == 0 && listen(fd, options->backlog ? options->backlog : DEFAULT_BACKLOG) < 0)
        rc = -errno;
    if (rc == 0)
        rc = watch_socket(listener, fd);
    if (rc < 0) {
        unix_file_remove(&listener->file);
        close(fd);
    }
    return rc;
}

static int make_room(struct tepal_listener *listener, int n)
{
    mem_free(listener->sockets);
    listener->sockets = mem_alloc((size_t)n * sizeof(*listener->sockets));
    return listener->sockets ? 0 : -ENOMEM;
}

static int open_unix(struct tepal_listener *listener, const tepal_listener_options *options)
{
    struct addr addr;
    int rc = addr_from_path(&addr, options->path);
    if (rc == 0)
        rc = make_room(listener, 1);
    return rc < 0 ? rc : add_socket(listener, &addr, options);
}

static void close_sockets(struct tepal_listener *listener)
{
    for (int i = 0; i < listener->n_sockets; i++) {
        poller_remove(&listener->loop->poller, &listener->sockets[i].io);
        close(listener->sockets[i].io.fd);
    }
}

/* A machine without IPv6 is no reason not to serve IPv4. But an address that a name has, and that
 * is not served, is said. */
static bool may_do_without(const struct addr *addr, int error, const char *host)
{
    char text[TEPAL_ADDR_TEXT_SIZE];
    if (addr->sa.sa_family != AF_INET6 || (error != -EAFNOSUPPORT && error != -EADDRNOTAVAIL))
        return false;
    if (host && !IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr)) {
        tepal_addr missing = addr_to_public(addr);
        tepal_logf(TEPAL_LOG_WARNING, "%s: not listening on %s: %s", host,
                   tepal_addr_text(&missing, text, sizeof(text)), tepal_code_text(error));
    }
    return true;
}

static int open_addresses(struct tepal_listener *listener, struct addr *addrs, int n,
                          const tepal_listener_options *options)
{
    int rc = make_room(listener, n);
    listener->n_sockets = 0;
    for (int i = 0, added = rc; i < n && rc == 0; i++) {
        if (options->port == TEPAL_ANY_PORT) /* the same for all */
            addrs[i].in.sin_port =
                listener->n_sockets > 0 ? htons(tepal_listener_port(listener)) : 0;
        added = add_socket(listener, &addrs[i], options);
        if (added < 0 && !may_do_without(&addrs[i], added, options->host))
            rc = added;
        if (i == n - 1 && listener->n_sockets == 0)
            rc = added;
    }
    return rc;
}

/* --- Names ------------------------------------------------------------------------------------ */

/* A name that is looked up in a thread, which may be longer than the task waits for it. */
struct host_lookup {
    struct addr *addrs;
    uint16_t port;
    char host[];
};

static int look_up_host(void *arg)
{
    struct host_lookup *lookup = arg;
    int n = addr_lookup(&lookup->addrs, lookup->host, lookup->port);
    if (n < 0)
        lookup->addrs = NULL;
    return n;
}

static void free_host_lookup(void *arg)
{
    struct host_lookup *lookup = arg;
    mem_free(lookup->addrs);
    mem_free(lookup);
}

/* As addr_lookup(), but in a task it is the task that waits, and not the loop. The system's
 * look-up in both cases, so that the answer is the same. */
static int find_addresses(struct addr **addrs, const char *host, uint16_t port)
{
    if (!host || !loop_current->current)
        return addr_lookup(addrs, host, port);
    size_t size = strlen(host) + 1;
    struct host_lookup *lookup = mem_zalloc(sizeof(*lookup) + size);
    int n;
    if (!lookup)
        return -ENOMEM;
    lookup->port = port;
    memcpy(lookup->host, host, size);
    int rc = tepal_offload_abandonable(look_up_host, lookup, free_host_lookup, &n);
    if (rc < 0)
        return rc;
    *addrs = lookup->addrs;
    mem_free(lookup);
    return n;
}

/* --- Opening ---------------------------------------------------------------------------------- */

static int open_tcp(struct tepal_listener *listener, const tepal_listener_options *options)
{
    struct addr one, *addrs = NULL;
    uint16_t port = options->port == TEPAL_ANY_PORT ? 0 : (uint16_t)options->port;
    if (options->host && addr_from_ip(&one, options->host, port) == 0)
        return open_addresses(listener, &one, 1, options);
    int n = find_addresses(&addrs, options->host, port);
    if (n < 0)
        return n;
    int rc = open_addresses(listener, addrs, n, options);
    /* The port that was free for one address may be taken for another one. */
    for (int i = 1; i < PORT_ATTEMPTS && rc == -EADDRINUSE && listener->n_sockets > 0 &&
                    options->port == TEPAL_ANY_PORT;
         i++) {
        close_sockets(listener);
        rc = open_addresses(listener, addrs, n, options);
    }
    mem_free(addrs);
    return rc;
}

/* Whether a descriptor is a stream socket that listens, of a kind that can be served. */
static int check_given(int fd)
{
    int type = socket_option(fd, SO_TYPE);
    if (type < 0)
        return type;
    int family = socket_option(fd, SO_DOMAIN);
    bool is_known = family == AF_INET || family == AF_INET6 || family == AF_UNIX;
    return is_known && type == SOCK_STREAM && socket_option(fd, SO_ACCEPTCONN) == 1 ? 0 : -EINVAL;
}

/* Takes a duplicate of a socket that others have made: the original is theirs to close. */
static int open_given(struct tepal_listener *listener, int given)
{
    int rc = check_given(given);
    if (rc == 0)
        rc = make_room(listener, 1);
    if (rc < 0)
        return rc;
    int fd = fcntl(given, F_DUPFD_CLOEXEC, FD_FIRST);
    int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
    if (fd < 0)
        return -errno;
    rc = fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : watch_socket(listener, fd);
    if (rc < 0)
        close(fd);
    return rc;
}

static int open_sockets(struct tepal_listener *listener, const tepal_listener_options *options)
{
    if (options->fd)
        return open_given(listener, options->fd);
    return options->path ? open_unix(listener, options) : open_tcp(listener, options);
}

int tepal_listener_open(tepal_listener **out, const tepal_listener_options *options)
{
    struct loop *loop = loop_need("tepal_listener_open");
    need_place("tepal_listener_open", out);
    bool has_port = options && (options->port == TEPAL_ANY_PORT ||
                                (options->port > 0 && options->port < 65536));
    if (!has_port && !(options && (options->path || options->fd)))
        return -EINVAL;
    int rc = room_check("tepal_listener_open", options->later, sizeof(options->later));
    if (rc < 0)
        return rc;
    tepal_listener *listener = mem_zalloc(sizeof(*listener));
    if (!listener)
        return -ENOMEM;
    listener->loop = loop;
    timer_init(&listener->again, listener_on_again);
    rc = open_sockets(listener, options);
    if (rc < 0) {
        close_sockets(listener);
        listener_free(listener);
        return rc;
    }
    *out = listener;
    return 0;
}

uint16_t tepal_listener_port(const tepal_listener *listener)
{
    struct addr addr = { .len = sizeof(addr.storage) };
    listener_need(listener, "tepal_listener_port");
    if (getsockname(listener->sockets[0].io.fd, &addr.sa, &addr.len) < 0)
        return 0;
    return addr_to_peer(&addr).port;
}

void listener_free(struct tepal_listener *listener)
{
    mem_free(listener->sockets);
    mem_free(listener);
}

void tepal_listener_close(tepal_listener *listener)
{
    if (!listener)
        return;
    struct io *io = &listener->sockets[0].io; /* who waits does so at all */
    if (listener->stop && !loop_is_forked())
        listener->stop(listener);
    io_dismiss(io);
    timer_cancel(&listener->again);
    unix_file_remove(&listener->file);
    close_sockets(listener);
    listener->closed = true;
    if (!io->reader)
        listener_free(listener);
}

bool tepal_listener_interrupt(tepal_listener *listener)
{
    listener_need(listener, "tepal_listener_interrupt");
    if (listener->stop) {
        listener->stop(listener);
        return true;
    }
    return io_interrupt_reader(&listener->sockets[0].io);
}
