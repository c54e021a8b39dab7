/* Driving c-ares. It does its own reading and writing, through functions of ours: so we see when a
 * socket would block, which is what edge-triggered reports need, and make sockets the way all ours
 * are made. */
#include "net/dns_channel.h"

#include "base/fd.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    DEFAULT_TIMEOUT_MS = 2000,
    DEFAULT_TRIES = 3,
    MESSAGE_HEAD = 12, /* octets; RFC 1035, section 4.1.1 */
    MAX_AT_ONCE = 64,  /* messages read in one turn, so that nobody who floods us holds the loop */
};

struct channel_socket {
    struct list node;
    struct io io;
    struct dns_channel *channel;
    bool is_conn, wants_write;
    int error; /* that c-ares is to find when it reads */
};

static struct channel_socket *find_socket(struct dns_channel *channel, int fd)
{
    for (struct list *node = channel->sockets.next; node != &channel->sockets; node = node->next) {
        struct channel_socket *s = CONTAINER_OF(node, struct channel_socket, node);
        if (s->io.fd == fd)
            return s;
    }
    return NULL;
}

/* --- What c-ares calls ------------------------------------------------------------------------ */

static void note_shortage(struct dns_channel *channel, int rc)
{
    if (rc == -EMFILE || rc == -ENFILE || rc == -ENOBUFS || rc == -ENOMEM)
        channel->shortage = rc;
}

/* Also for sockets that only serve to learn the route to an address: these are never watched. */
static ares_socket_t open_socket(int family, int type, int protocol, void *arg)
{
    int fd = fd_keep(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
    if (fd < 0)
        note_shortage(arg, -errno);
    return fd;
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *addr, ares_socklen_t len,
                          void *arg)
{
    (void)arg;
    return connect(fd, addr, len);
}

static int close_socket(ares_socket_t fd, void *arg)
{
    struct dns_channel *channel = arg;
    struct channel_socket *s = find_socket(channel, fd);
    if (s) {
        poller_remove(&channel->loop->poller, &s->io);
        list_remove(&s->node);
        mem_free(s);
    }
    return close(fd);
}

static ares_ssize_t receive(ares_socket_t fd, void *buffer, size_t size, int flags,
                            struct sockaddr *from, ares_socklen_t *from_len, void *arg)
{
    struct dns_channel *channel = arg;
    struct channel_socket *s = find_socket(channel, fd);
    ssize_t n;
    if (s->error) {
        errno = s->error;
        s->error = 0;
        return -1;
    }
    do {
        if (channel->n_left-- <= 0) {
            s->io.state |= IO_READ;
            errno = EAGAIN;
            return -1;
        }
        n = recvfrom(fd, buffer, size, flags, from, from_len);
        /* What has not even a head is nothing; c-ares would give the server up. */
    } while (n >= 0 && n < MESSAGE_HEAD && !s->is_conn);
    if (n > 0)
        s->io.state |= IO_READ;
    return n;
}

static ares_ssize_t transmit(ares_socket_t fd, const struct iovec *pieces, int n, void *arg)
{
    struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)pieces,
                              .msg_iovlen = (size_t)n };
    struct channel_socket *s = find_socket(arg, fd);
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (!s)
        return sent;
    if (sent >= 0) {
        s->io.state |= IO_WRITE;
    } else if (errno == ECONNREFUSED && !s->is_conn) {
        /* That is about the datagram before. Nobody listens there, which c-ares has to know of all
         * its questions to that server, and not only of this one. */
        s->error = errno;
        s->io.state |= IO_READ;
        for (sent = 0; n > 0; n--)
            sent += (ssize_t)pieces[n - 1].iov_len;
    }
    return sent;
}

static void on_event(struct io *io);

/* A socket to a server was made. -1 is the only failure that c-ares understands. */
static int on_opened(ares_socket_t fd, int type, void *arg)
{
    struct dns_channel *channel = arg;
    struct channel_socket *s = mem_zalloc(sizeof(*s));
    int rc = -ENOMEM;
    if (s) {
        s->io = (struct io){ .fd = fd, .fn = on_event };
        s->channel = channel;
        s->is_conn = type == SOCK_STREAM;
        rc = poller_add(&channel->loop->poller, &s->io);
    }
    if (rc < 0) {
        note_shortage(channel, rc);
        mem_free(s);
        return -1;
    }
    list_append(&channel->sockets, &s->node);
    channel->shortage = 0;
    return 0;
}

static void on_interest(void *arg, ares_socket_t fd, int readable, int writable)
{
    (void)readable;
    struct channel_socket *s = find_socket(arg, fd);
    if (s)
        s->wants_write = writable;
}

/* --- Turns ------------------------------------------------------------------------------------ */

/* Lets c-ares use one socket that may be ready. False when there is none. The bit of the state is
 * taken away first, and given back by whatever succeeds: when c-ares leaves a socket alone, this
 * ends, too. */
static bool use_one(struct dns_channel *channel)
{
    for (struct list *node = channel->sockets.next; node != &channel->sockets; node = node->next) {
        struct channel_socket *s = CONTAINER_OF(node, struct channel_socket, node);
        int fd = s->io.fd;
        if (s->io.state & IO_READ) {
            s->io.state &= ~(uint32_t)IO_READ;
            ares_process_fd(channel->ares, fd, ARES_SOCKET_BAD);
            return true;
        }
        if (s->wants_write && (s->io.state & IO_WRITE)) {
            s->io.state &= ~(uint32_t)IO_WRITE;
            ares_process_fd(channel->ares, ARES_SOCKET_BAD, fd);
            return true;
        }
    }
    return false;
}

static void use_all(struct dns_channel *channel)
{
    channel->n_left = MAX_AT_ONCE;
    while (channel->n_left > 0 && use_one(channel))
        continue;
    channel->on_progress(channel->arg);
    dns_channel_watch(channel);
}

static void on_event(struct io *io)
{
    use_all(CONTAINER_OF(io, struct channel_socket, io)->channel);
}

static void on_timer(struct timer *timer)
{
    struct dns_channel *channel = CONTAINER_OF(timer, struct dns_channel, timer);
    ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    use_all(channel);
}

void dns_channel_watch(struct dns_channel *channel)
{
    struct timers *timers = &channel->loop->timers;
    struct timeval buffer, *left = ares_timeout(channel->ares, NULL, &buffer);
    if (!left) {
        timer_cancel(&channel->timer);
        return;
    }
    int64_t ms = (int64_t)left->tv_sec * 1000 + left->tv_usec / 1000 + 1;
    for (struct list *node = channel->sockets.next; node != &channel->sockets; node = node->next)
        if (CONTAINER_OF(node, struct channel_socket, node)->io.state & IO_READ)
            ms = 1; /* there is more to read */
    timer_set(timers, &channel->timer, channel->loop->now + ms);
}

/* --- Opening and asking ----------------------------------------------------------------------- */

static const struct ares_socket_functions functions = {
    .asocket = open_socket,
    .aclose = close_socket,
    .aconnect = connect_socket,
    .arecvfrom = receive,
    .asendv = transmit,
};

static int library_status;

static void init_library(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

const char *dns_resolv_conf, *dns_nsswitch_conf;

/* One of c-ares' channels, which asks one source for names as they are: searching is done above, so
 * that it goes on where c-ares would not. Returns a status. */
static int init(ares_channel *ares, struct dns_channel *channel, const tepal_dns_options *options,
                const char *lookups)
{
    int64_t timeout = options->timeout_ms > 0 ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
    unsigned tries = options->tries > 0 ? options->tries : DEFAULT_TRIES;
    struct ares_options o = {
        .flags = ARES_FLAG_NOSEARCH,
        .timeout = timeout < INT_MAX ? (int)timeout : INT_MAX,
        .tries = tries < INT_MAX ? (int)tries : INT_MAX,
        .lookups = (char *)(uintptr_t)lookups,
        .resolvconf_path = (char *)(uintptr_t)dns_resolv_conf,
        .sock_state_cb = on_interest,
        .sock_state_cb_data = channel,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
               ARES_OPT_LOOKUPS | ARES_OPT_DOMAINS;
    if (dns_resolv_conf)
        mask |= ARES_OPT_RESOLVCONF;
#ifdef ARES_OPT_QUERY_CACHE
    mask |= ARES_OPT_QUERY_CACHE; /* for 0 seconds: the cache is ours */
#endif
    return ares_init_options(ares, &o, mask);
}

static int init_both(struct dns_channel *channel, const tepal_dns_options *options)
{
    int status = init(&channel->ares, channel, options, "b");
    if (status == ARES_SUCCESS)
        status = init(&channel->hosts, channel, options, "f");
    return status;
}

/* Returns a status of c-ares. */
static int set_servers(struct dns_channel *channel, const tepal_addr *servers, size_t n)
{
    if (n == 0)
        return ARES_SUCCESS;
    struct ares_addr_port_node *nodes = mem_zalloc(n * sizeof(*nodes));
    if (!nodes)
        return ARES_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        nodes[i].family = servers[i].family;
        nodes[i].udp_port = nodes[i].tcp_port = servers[i].port;
        memcpy(&nodes[i].addr, servers[i].ip, servers[i].family == AF_INET ? 4 : 16);
        nodes[i].next = i + 1 < n ? &nodes[i + 1] : NULL;
    }
    int status = ares_set_servers_ports(channel->ares, nodes);
    mem_free(nodes);
    return status;
}

static int check(const tepal_dns_options *options)
{
    if (options->n_servers > INT_MAX || options->n_search > INT_MAX)
        return -EINVAL;
    for (size_t i = 0; i < options->n_servers; i++) {
        const tepal_addr *server = &options->servers[i];
        if ((server->family != AF_INET && server->family != AF_INET6) || server->scope != 0)
            return -EINVAL;
    }
    return 0;
}

int dns_channel_open(struct dns_channel **out, struct loop *loop, const tepal_dns_options *options,
                     void (*on_progress)(void *arg), void *arg)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int rc = check(options);
    if (rc < 0)
        return rc;
    pthread_once(&once, init_library);
    struct dns_channel *channel = mem_zalloc(sizeof(*channel));
    if (!channel)
        return -ENOMEM;
    channel->loop = loop;
    channel->on_progress = on_progress;
    channel->arg = arg;
    channel->n_left = MAX_AT_ONCE;
    list_init(&channel->sockets);
    timer_init(&channel->timer, on_timer);
    rc = dns_search_read(&channel->search, options,
                         dns_resolv_conf ? dns_resolv_conf : "/etc/resolv.conf",
                         dns_nsswitch_conf ? dns_nsswitch_conf : "/etc/nsswitch.conf");
    if (rc < 0) {
        mem_free(channel);
        return rc;
    }
    int status = library_status == ARES_SUCCESS ? init_both(channel, options) : library_status;
    if (status == ARES_SUCCESS) {
        ares_set_socket_functions(channel->ares, &functions, channel);
        ares_set_socket_callback(channel->ares, on_opened, channel);
        status = set_servers(channel, options->servers, options->n_servers);
    }
    if (status != ARES_SUCCESS) {
        rc = dns_channel_error(channel, status);
        dns_channel_close(channel);
        return rc;
    }
    *out = channel;
    return 0;
}

void dns_channel_close(struct dns_channel *channel)
{
    if (channel->ares)
        ares_destroy(channel->ares);
    if (channel->hosts)
        ares_destroy(channel->hosts);
    dns_search_clear(&channel->search);
    timer_cancel(&channel->timer);
    mem_free(channel);
}

void dns_channel_ask(struct dns_channel *channel, const struct dns_question *question)
{
    struct ares_addrinfo_hints hints = { .ai_family = question->family,
                                         .ai_socktype = SOCK_STREAM,
                                         .ai_flags = ARES_AI_NOSORT };
    ares_getaddrinfo(question->in_hosts ? channel->hosts : channel->ares, question->name, NULL,
                     &hints, question->fn, question->arg);
}

void dns_channel_ask_type(struct dns_channel *channel, const char *name, enum dns_type type,
                          ares_callback fn, void *arg)
{
    enum { CLASS_IN = 1 };
    ares_query(channel->ares, name, CLASS_IN, (int)type, fn, arg);
}

void dns_channel_ask_host(struct dns_channel *channel, const char *addr, ares_host_callback fn,
                          void *arg)
{
    uint8_t ip[16];
    int family = strchr(addr, ':') ? AF_INET6 : AF_INET;
    (void)inet_pton(family, addr, ip);
    ares_gethostbyaddr(channel->hosts, ip, family == AF_INET ? 4 : 16, family, fn, arg);
}

int dns_channel_error(const struct dns_channel *channel, int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_ENONAME:
    case ARES_EBADNAME: /* too long, behind a search domain */
        return TEPAL_ENONAME;
    case ARES_ENOMEM:
        return -ENOMEM;
    case ARES_ECONNREFUSED: /* also when no server could be asked for want of a socket */
        return channel->shortage < 0 ? channel->shortage : TEPAL_EDNS;
    default:
        return TEPAL_EDNS;
    }
}
