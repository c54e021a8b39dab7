/* Connecting: a race between the addresses of a host, after RFC 8305 (Happy Eyeballs). All
 * attempts belong to the one task that calls: it starts them, waits for any, and closes those
 * that lost. It begins with the addresses that are there, and others join when the name servers
 * have told them. */
#include "net/conn/connect.h"

#include "async/task/task.h"
#include "base/mem.h"
#include "base/room.h"
#include "net/dns/dns.h"
#include "net/conn/conn.h"

#include <tepal/tls.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

/* RFC 8305, section 5. */
enum { DEFAULT_ATTEMPT_DELAY_MS = 250 };

/* Between two attempts at a Unix socket whose backlog is full. */
enum { MAX_PAUSE_MS = 50 };

struct race {
    struct loop *loop;
    struct addr *addrs; /* in the order in which they are tried */
    int n, next;
    struct dns_lookup *lookup; /* from which more may come, or NULL; the room is for all */
    size_t n_joined;           /* of its addresses */
    bool all_joined;
    uint16_t port;
    const struct addr *local; /* to connect from, or NULL */
    bool nagle;
    int64_t delay, next_at;      /* ms */
    struct tepal_conn **runners; /* attempts that are under way; the room is for all */
    int n_runners;
    struct tepal_conn *winner;
    int error; /* of the attempts that failed, the one that tells most */
};

/* That there is no way to an address from here says less than what happened on the way. */
static bool is_local(int error)
{
    return error == -ENETUNREACH || error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL;
}

static void note_failure(struct race *race, int error)
{
    if (race->error == 0 || is_local(race->error) || !is_local(error))
        race->error = error;
    race->next_at = race->loop->now; /* the next address need not wait */
}

/* Whether a socket is connected to itself: the system may choose as its port the very one that it
 * connects to, on which nobody listens then. */
static bool is_connected_to_itself(int fd)
{
    struct addr local = { .len = sizeof(local.storage) }, peer = { .len = sizeof(peer.storage) };
    if (getsockname(fd, &local.sa, &local.len) < 0 || getpeername(fd, &peer.sa, &peer.len) < 0)
        return false;
    return local.sa.sa_family != AF_UNIX && local.len == peer.len &&
           memcmp(&local.storage, &peer.storage, local.len) == 0;
}

/* A socket that is connected or begins to be: then *rc is 0 or -EINPROGRESS. Returns the
 * descriptor or a negative errno. */
static int begin_socket(const struct race *race, const struct addr *addr, int *rc)
{
    int family = addr->sa.sa_family, off = 0, on = 1;
    int fd = socket_new(family);
    if (fd < 0)
        return fd;
    socket_set_conn_options(fd, family);
    if (race->nagle && family != AF_UNIX)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof(off));
    *rc = 0;
    if (race->local) {
        /* The port is chosen with regard to the peer: many connections may share one. */
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
        *rc = bind(fd, &race->local->sa, race->local->len) < 0 ? -errno : 0;
    }
    if (*rc == 0 && connect(fd, &addr->sa, addr->len) < 0)
        *rc = -errno;
    else if (*rc == 0 && is_connected_to_itself(fd))
        *rc = -ECONNREFUSED;
    if (*rc == 0 || *rc == -EINPROGRESS)
        return fd;
    close(fd);
    return *rc;
}

/* Makes an attempt at the next address. Returns 0, or the error of one that failed at once. */
static int begin(struct race *race)
{
    const struct addr *addr = &race->addrs[race->next++];
    if (race->local && race->local->sa.sa_family != addr->sa.sa_family)
        return -EADDRNOTAVAIL;
    struct tepal_conn *conn = mem_zalloc(sizeof(*conn));
    if (!conn)
        return -ENOMEM;
    int rc, fd = begin_socket(race, addr, &rc);
    int added = fd < 0 ? fd : conn_open_socket(conn, race->loop, fd);
    if (added < 0) {
        if (fd >= 0)
            close(fd);
        mem_free(conn);
        return added;
    }
    if (rc == 0) {
        race->winner = conn;
        return 0;
    }
    conn->io.state &= ~(uint32_t)IO_WRITE;
    conn->io.writer = race->loop->current;
    race->runners[race->n_runners++] = conn;
    race->next_at = loop_time_after(race->loop->now, race->delay);
    return 0;
}

/* Takes a runner out of the race. */
static struct tepal_conn *take(struct race *race, int i)
{
    struct tepal_conn *conn = race->runners[i];
    conn->io.writer = NULL;
    race->n_runners--;
    for (; i < race->n_runners; i++)
        race->runners[i] = race->runners[i + 1];
    return conn;
}

/* Looks at the runners whose attempt has ended. */
static void look(struct race *race)
{
    for (int i = 0; i < race->n_runners && !race->winner;) {
        struct io *io = &race->runners[i]->io;
        int error = 0;
        socklen_t size = sizeof(error);
        if (!(io->state & IO_WRITE)) {
            i++;
            continue;
        }
        if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
            error = errno;
        else if (error == 0 && is_connected_to_itself(io->fd))
            error = ECONNREFUSED;
        struct tepal_conn *conn = take(race, i);
        if (error == 0) {
            race->winner = conn;
            return;
        }
        note_failure(race, conn_error(error));
        tepal_conn_close(conn);
    }
}

/* Begins all attempts that are due: the first, and each that follows a failure, at once. */
static void begin_due(struct race *race)
{
    while (race->next < race->n && !race->winner &&
           (race->n_runners == 0 || race->loop->now >= race->next_at)) {
        int rc = begin(race);
        if (rc < 0)
            note_failure(race, rc);
    }
}

/* RFC 8305, section 4: the addresses keep their order, but the families take turns. */
static void interleave(struct addr *out, const tepal_addr *addrs, int n)
{
    int same = 0, other = 0;
    for (int i = 0; i < n; i++) {
        while (same < n && addrs[same].family != addrs[0].family)
            same++;
        while (other < n && addrs[other].family == addrs[0].family)
            other++;
        bool takes_same = other == n || (i % 2 == 0 && same < n);
        (void)addr_from_public(&out[i], &addrs[takes_same ? same++ : other++]);
    }
}

static bool was_tried(const struct race *race, const tepal_addr *addr)
{
    for (int i = 0; i < race->next; i++) {
        tepal_addr tried = addr_to_public(&race->addrs[i]);
        if (tepal_addr_equal(&tried, addr))
            return true;
    }
    return false;
}

/* Takes the addresses that the lookup has learnt of, behind those that were tried. Returns 0 or
 * -ENOMEM. */
static int join_addrs(struct race *race)
{
    struct dns_lookup *lookup = race->lookup;
    if (!lookup || (lookup->n == race->n_joined && lookup->done == race->all_joined))
        return 0;
    tepal_addr *left = mem_alloc(lookup->n * sizeof(*left));
    if (!left)
        return -ENOMEM;
    int n = 0;
    for (size_t i = 0; i < lookup->n; i++) {
        left[n] = lookup->addrs[i];
        left[n].port = race->port;
        n += !was_tried(race, &left[n]);
    }
    interleave(race->addrs + race->next, left, n);
    mem_free(left);
    race->n = race->next + n;
    race->n_joined = lookup->n;
    race->all_joined = lookup->done;
    return 0;
}

/* Until when there is something to wait for besides the attempts: the next one, or the rest of the
 * lookup when all have failed. */
static int64_t race_until(const struct race *race)
{
    if (race->next < race->n)
        return race->next_at;
    return race->n_runners == 0 ? dns_lookup_until(race->lookup) : TEPAL_NEVER;
}

/* Whether no address is left to try, or likely to come. */
static bool is_lost(const struct race *race)
{
    if (race->n_runners > 0 || race->next < race->n)
        return false;
    return !race->lookup || race->lookup->done || race->loop->now >= dns_lookup_until(race->lookup);
}

static int run(struct race *race)
{
    struct loop *loop = race->loop;
    while (true) {
        int rc = join_addrs(race);
        if (rc < 0)
            return rc;
        begin_due(race);
        if (race->winner)
            return 0;
        if (is_lost(race))
            return race->error;
        rc = task_wait(loop, "connecting", race_until(race));
        if (rc < 0 && (rc != -ETIMEDOUT || (rc = task_check(loop, loop->current)) < 0))
            return rc;
        look(race);
    }
}

/* Runs the race, which has room for max addresses, and takes those that lost off the road. */
static int connect_any(tepal_conn **conn, struct race *race, size_t max)
{
    race->loop = loop_current;
    race->runners = mem_alloc(max * sizeof(struct tepal_conn *));
    int rc = race->runners ? run(race) : -ENOMEM;
    while (race->n_runners > 0)
        tepal_conn_close(take(race, race->n_runners - 1));
    mem_free(race->runners);
    if (rc == 0)
        *conn = race->winner;
    return rc;
}

/* Fills in what the options say. *local is for the address to connect from. */
static int set_options(struct race *race, const tepal_conn_options *options, struct addr *local)
{
    int64_t delay = options->attempt_delay_ms;
    race->nagle = options->nagle;
    race->delay = delay > 0 ? delay : DEFAULT_ATTEMPT_DELAY_MS;
    if (!options->local_host)
        return 0;
    tepal_addr from;
    int rc = tepal_addr_parse(&from, options->local_host, 0);
    if (rc == 0)
        rc = addr_from_public(local, &from);
    race->local = local;
    return rc;
}

int connect_addrs(tepal_conn **conn, const tepal_addr *addrs, int n,
                  const tepal_conn_options *options)
{
    struct addr local;
    struct race race = { .n = n };
    int rc = set_options(&race, options, &local);
    if (rc < 0)
        return rc;
    race.addrs = mem_alloc((size_t)n * sizeof(*race.addrs));
    if (!race.addrs)
        return -ENOMEM;
    interleave(race.addrs, addrs, n);
    rc = connect_any(conn, &race, (size_t)n);
    mem_free(race.addrs);
    return rc;
}

/* Connects to an address of a lookup that has begun. */
static int connect_found(tepal_conn **conn, struct dns_lookup *lookup, uint16_t port,
                         const tepal_conn_options *options)
{
    struct addr local;
    struct race race = { .lookup = lookup, .port = port };
    int rc = dns_lookup_wait_first(lookup);
    if (rc == 0 && lookup->done && lookup->result < 0)
        rc = lookup->result;
    if (rc == 0)
        rc = set_options(&race, options, &local);
    if (rc < 0)
        return rc;
    /* Each address may be in the list twice at most: tried, and not yet. */
    size_t max = 2 * lookup->max;
    race.addrs = mem_alloc(max * sizeof(*race.addrs));
    if (!race.addrs)
        return -ENOMEM;
    rc = connect_any(conn, &race, max);
    mem_free(race.addrs);
    return rc;
}

static int connect_host(tepal_conn **conn, const char *host, uint16_t port,
                        const tepal_conn_options *options)
{
    task_need("tepal_conn_open");
    struct dns_lookup lookup = { .max = dns_max_addresses() };
    lookup.addrs = mem_alloc(lookup.max * sizeof(*lookup.addrs));
    if (!lookup.addrs)
        return -ENOMEM;
    int rc = dns_lookup_begin(&lookup, host, options->family, "tepal_conn_open");
    if (rc == 0) {
        rc = connect_found(conn, &lookup, port, options);
        dns_lookup_end(&lookup);
    }
    mem_free(lookup.addrs);
    return rc;
}

int tepal_conn_open(tepal_conn **conn, const char *host, uint16_t port,
                    const tepal_conn_options *options)
{
    static const tepal_conn_options defaults;
    options = options ? options : &defaults;
    need_place("tepal_conn_open", conn);
    int rc = room_check("tepal_conn_open", options->later, sizeof(options->later));
    if (rc == 0)
        rc = connect_host(conn, host, port, options);
    if (rc < 0 || !options->tls)
        return rc;
    rc = tepal_conn_start_tls(*conn, options->tls, &(tepal_start_tls_options){ .host = host });
    if (rc < 0)
        tepal_conn_close(*conn);
    return rc;
}

int tepal_conn_open_unix(tepal_conn **conn, const char *path)
{
    int rc = task_check(loop_current, task_need("tepal_conn_open_unix"));
    if (!path)
        misuse("tepal_conn_open_unix", "the path is NULL");
    need_place("tepal_conn_open_unix", conn);
    struct addr addr;
    if (rc == 0)
        rc = addr_from_path(&addr, path);
    if (rc < 0)
        return rc;
    /* With a full backlog an attempt that does not block fails, and nothing tells when there is
     * room again: it has to be tried, less and less often. */
    for (int64_t pause_ms = 1; rc == 0;
         pause_ms = pause_ms * 2 < MAX_PAUSE_MS ? pause_ms * 2 : MAX_PAUSE_MS) {
        struct race race = { .addrs = &addr, .n = 1 };
        rc = connect_any(conn, &race, 1);
        if (rc != -EAGAIN)
            break;
        rc = tepal_sleep_ms(pause_ms);
    }
    if (rc == 0)
        (*conn)->ops = &conn_unix_ops;
    return rc;
}
