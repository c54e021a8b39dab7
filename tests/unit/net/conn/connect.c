/* Tests of connecting: addresses, names, Unix sockets, the race between addresses, refusals,
 * time-outs and failures. */
#include "../dns_server.h"
#include "../folder.h"

#include "net/conn/connect.h"

#include <netinet/tcp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <sys/stat.h>

/* A listening socket, and its port. */
static int listen_on(const char *host, int backlog, uint16_t *port)
{
    struct addr addr;
    assert_int_equal(addr_from_ip(&addr, host, 0), 0);
    int fd = socket(addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, &addr.sa, addr.len) < 0) {
        close(fd);
        return -1; /* a machine without IPv6 */
    }
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);
    *port = addr_to_peer(&addr).port;
    return fd;
}

/* A port of this machine that nobody listens on; it is taken as long as the descriptor is open. */
static int closed_port(uint16_t *port)
{
    struct addr addr;
    assert_int_equal(addr_from_ip(&addr, "127.0.0.1", 0), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
    assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);
    *port = addr_to_peer(&addr).port;
    return fd;
}

static void talk(tepal_conn *conn, int listener)
{
    char buffer[10];
    int peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    assert_int_equal(tepal_conn_write(conn, "hello", 5), 0);
    assert_int_equal(read(peer, buffer, sizeof(buffer)), 5);
    assert_int_equal(write(peer, "hi", 2), 2);
    assert_int_equal(tepal_conn_read(conn, buffer, sizeof(buffer)), 2);
    close(peer);
    assert_int_equal(tepal_conn_read(conn, buffer, sizeof(buffer)), 0);
}

/* --- TCP -------------------------------------------------------------------------------------- */

static int connect_by_address(void *arg)
{
    static const char *const hosts[] = { "127.0.0.1", "::1" };
    for (int i = 0; i < 2; i++) {
        uint16_t port;
        int listener = listen_on(hosts[i], 5, &port);
        if (listener < 0 && i == 1)
            break;
        tepal_conn *conn = NULL;
        assert_int_equal(tepal_conn_open(&conn, hosts[i], port, NULL), 0);
        int on = 0;
        socklen_t size = sizeof(on);
        getsockopt(conn->io.fd, IPPROTO_TCP, TCP_NODELAY, &on, &size);
        assert_true(on);
        talk(conn, listener);
        tepal_conn_close(conn);
        close(listener);
    }
    assert_true(list_is_empty(&loop_current->parts)); /* nobody was asked for a name */
    (void)arg;
    return 0;
}

static int connect_by_name(void *arg)
{
    uint16_t port;
    int listener = listen_on("127.0.0.1", 5, &port);
    tepal_conn *conn = NULL;
    /* ::1 may be tried first, and refuses. */
    assert_int_equal(tepal_conn_open(&conn, "localhost", port, NULL), 0);
    talk(conn, listener);
    tepal_conn_close(conn);
    close(listener);
    conn = (tepal_conn *)arg;
    assert_int_equal(tepal_conn_open(&conn, "not a name", port, NULL), -EINVAL);
    assert_ptr_equal(conn, arg);
    assert_null(loop_current->pool); /* no thread */
    return 0;
}

static int connect_to_nobody(void *arg)
{
    uint16_t port;
    int fd = closed_port(&port);
    tepal_conn *conn = (tepal_conn *)arg;
    assert_int_equal(tepal_conn_open(&conn, "127.0.0.1", port, NULL), -ECONNREFUSED);
    assert_int_equal(tepal_conn_open(&conn, "localhost", port, NULL), -ECONNREFUSED);
    assert_ptr_equal(conn, arg); /* nothing is returned */
    close(fd);
    return 0;
}

static void over_tcp(void **state)
{
    (void)state;
    assert_int_equal(run(connect_by_address, NULL), 0);
    assert_int_equal(run(connect_by_name, NULL), 0);
    assert_int_equal(run(connect_to_nobody, NULL), 0);
    assert_int_equal(run_fake(connect_by_name, NULL), 0);
}

/* --- Interruption ----------------------------------------------------------------------------- */

/* A listener that is full does not answer at all. */
struct silent {
    uint16_t port;
    int listener, fillers[8];
};

static void fill(struct silent *silent)
{
    silent->listener = listen_on("127.0.0.1", 0, &silent->port);
    struct addr addr;
    assert_int_equal(addr_from_ip(&addr, "127.0.0.1", silent->port), 0);
    for (int i = 0; i < 8; i++) {
        silent->fillers[i] = socket_new(AF_INET);
        assert_true(silent->fillers[i] >= 0);
        (void)connect(silent->fillers[i], &addr.sa, addr.len);
    }
}

static void empty(struct silent *silent)
{
    for (int i = 0; i < 8; i++)
        close(silent->fillers[i]);
    close(silent->listener);
}

static int connect_endless(void *arg)
{
    tepal_conn *conn = NULL;
    int rc = tepal_conn_open(&conn, "127.0.0.1", ((struct silent *)arg)->port, NULL);
    tepal_conn_close(conn);
    return rc;
}

static int connect_name_endless(void *arg)
{
    tepal_conn *conn = NULL;
    int rc = tepal_conn_open(&conn, "localhost", ((struct silent *)arg)->port, NULL);
    tepal_conn_close(conn);
    return rc;
}

static int interrupt(void *arg)
{
    struct silent silent;
    fill(&silent);
    expect_interruptible(connect_endless, &silent);
    expect_refusal(connect_name_endless, &silent);
    expect_timeout(connect_name_endless, &silent);
    empty(&silent);
    (void)arg;
    return 0;
}

/* A connection that could be had at once is not begun by a task that is cancelled. */
static int connect_unix_at_once(void *arg)
{
    tepal_conn *conn = NULL;
    int rc = tepal_conn_open_unix(&conn, arg);
    tepal_conn_close(conn);
    return rc;
}

static int refuse_unix(void *arg)
{
    tepal_listener *listener;
    assert_int_equal(tepal_listener_open(&listener, &(tepal_listener_options){ .path = path }), 0);
    expect_refusal(connect_unix_at_once, path);
    assert_int_equal(connect_unix_at_once(path), 0);
    tepal_listener_close(listener);
    (void)arg;
    return 0;
}

static void can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt, NULL), 0);
    assert_int_equal(run_fake(refuse_unix, NULL), 0);
}

/* --- The race --------------------------------------------------------------------------------- */

/* Addresses that are silent, that refuse, and that listen; port is 0 where there is no IPv6. */
struct course {
    struct silent silent;
    int fds[4], fillers6[8];
    tepal_addr silent4, silent6, closed4, good4, good6;
};

static tepal_addr addr_of(const char *host, uint16_t port)
{
    tepal_addr addr;
    assert_int_equal(tepal_addr_parse(&addr, host, port), 0);
    return addr;
}

static void lay_out(struct course *c)
{
    uint16_t port;
    fill(&c->silent);
    c->silent4 = addr_of("127.0.0.1", c->silent.port);
    c->fds[0] = listen_on("127.0.0.1", 50, &port);
    c->good4 = addr_of("127.0.0.1", port);
    c->fds[1] = closed_port(&port);
    c->closed4 = addr_of("127.0.0.1", port);
    port = 0;
    c->fds[2] = listen_on("::1", 50, &port);
    c->good6 = addr_of("::1", port);
    port = 0;
    c->fds[3] = listen_on("::1", 0, &port);
    c->silent6 = addr_of("::1", port);
    for (int i = 0; i < 8 && c->fds[3] >= 0; i++) {
        int fd = socket_new(AF_INET6);
        struct addr addr;
        assert_int_equal(addr_from_public(&addr, &c->silent6), 0);
        (void)connect(fd, &addr.sa, addr.len);
        c->fillers6[i] = fd;
    }
}

static void clear_up(struct course *c)
{
    for (int i = 0; i < 8 && c->fds[3] >= 0; i++)
        close(c->fillers6[i]);
    for (int i = 0; i < 4; i++)
        if (c->fds[i] >= 0)
            close(c->fds[i]);
    empty(&c->silent);
}

static const tepal_conn_options plain;

/* The race is won at the last of the addresses after ms. */
static void expect_win(const tepal_addr *addrs, int n, const tepal_conn_options *options,
                       int64_t ms, uint16_t port)
{
    int before = count_fds();
    int64_t begin = tepal_now_ms();
    tepal_conn *conn = NULL;
    assert_int_equal(connect_addrs(&conn, addrs, n, options), 0);
    assert_int_equal(tepal_now_ms() - begin, ms);
    assert_int_equal(count_fds(), before + 1); /* those that lost have gone */
    struct addr peer = { .len = sizeof(peer.storage) };
    assert_int_equal(getpeername(conn->io.fd, &peer.sa, &peer.len), 0);
    assert_int_equal(addr_to_peer(&peer).port, port);
    tepal_conn_close(conn);
    /* And not a millisecond before. */
    if (ms > 0) {
        int64_t deadline = tepal_deadline_in_ms(ms - 1);
        assert_int_equal(connect_addrs(&conn, addrs, n, options), -ETIMEDOUT);
        tepal_deadline_restore(deadline);
        assert_int_equal(count_fds(), before);
    }
}

static int race_one_family(void *arg)
{
    struct course c;
    lay_out(&c);
    const tepal_addr S = c.silent4, X = c.closed4, G = c.good4;
    const tepal_conn_options quick = { .attempt_delay_ms = 7 };
    expect_win((tepal_addr[]){ G }, 1, &plain, 0, G.port);
    expect_win((tepal_addr[]){ G, S }, 2, &plain, 0, G.port);
    expect_win((tepal_addr[]){ S, G }, 2, &plain, 250, G.port);
    expect_win((tepal_addr[]){ S, S, G }, 3, &plain, 500, G.port);
    expect_win((tepal_addr[]){ S, S, G }, 3, &quick, 14, G.port);
    /* A failure does not wait. */
    expect_win((tepal_addr[]){ X, X, G }, 3, &plain, 0, G.port);
    expect_win((tepal_addr[]){ S, X, G }, 3, &plain, 250, G.port);
    expect_win((tepal_addr[]){ X, S, X, S, G }, 5, &plain, 500, G.port);
    clear_up(&c);
    (void)arg;
    return 0;
}

static int race_two_families(void *arg)
{
    struct course c;
    lay_out(&c);
    if (c.good6.port == 0 || c.silent6.port == 0) {
        print_message("there is no IPv6 here\n");
        clear_up(&c);
        return 0;
    }
    const tepal_addr S4 = c.silent4, S6 = c.silent6, G4 = c.good4, G6 = c.good6;
    expect_win((tepal_addr[]){ S6, S6, S6, G4 }, 4, &plain, 250, G4.port);
    expect_win((tepal_addr[]){ S6, S6, S4, G4 }, 4, &plain, 750, G4.port);
    expect_win((tepal_addr[]){ S6, S4, G6, S4 }, 4, &plain, 500, G6.port);
    expect_win((tepal_addr[]){ S4, S4, S4, G6 }, 4, &plain, 250, G6.port);
    expect_win((tepal_addr[]){ S6, S4, S4, G4 }, 4, &plain, 750, G4.port);
    clear_up(&c);
    (void)arg;
    return 0;
}

static int lose(void *arg)
{
    struct course c;
    tepal_conn *conn = (tepal_conn *)arg;
    lay_out(&c);
    int before = count_fds();
    tepal_addr none = addr_of("::1", 9),
               orders[2][2] = { { c.closed4, none }, { none, c.closed4 } };
    const tepal_conn_options from4 = { .local_host = "127.0.0.1" };
    /* What happened on the way tells more than that there is no way. */
    for (int i = 0; i < 2; i++)
        assert_int_equal(connect_addrs(&conn, orders[i], 2, &from4), -ECONNREFUSED);
    assert_int_equal(connect_addrs(&conn, &none, 1, &from4), -EADDRNOTAVAIL);
    assert_ptr_equal(conn, arg);
    assert_int_equal(count_fds(), before);
    clear_up(&c);
    return 0;
}

static int race_endless(void *arg)
{
    const struct course *c = arg;
    tepal_conn *conn;
    tepal_conn_options options = { .attempt_delay_ms = 10 };
    return connect_addrs(&conn, (tepal_addr[]){ c->silent4, c->closed4, c->silent4 }, 3, &options);
}

static int interrupt_race(void *arg)
{
    struct course c;
    lay_out(&c);
    int before = count_fds();
    expect_interruptible(race_endless, &c);
    assert_int_equal(count_fds(), before);
    /* Both are under way. */
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, race_endless, &c, NULL), 0);
    assert_int_equal(tepal_sleep_ms(11), 0);
    assert_int_equal(count_fds(), before + 2);
    tepal_group_close(group);
    assert_int_equal(count_fds(), before);
    clear_up(&c);
    (void)arg;
    return 0;
}

static void racing(void **state)
{
    (void)state;
    assert_int_equal(run_fake(race_one_family, NULL), 0);
    assert_int_equal(run_fake(race_two_families, NULL), 0);
    assert_int_equal(run_fake(interrupt_race, NULL), 0);
    assert_int_equal(run(lose, NULL), 0);
}

/* --- Options ---------------------------------------------------------------------------------- */

static int connect_with_options(void *arg)
{
    uint16_t port;
    int listener = listen_on("127.0.0.1", 5, &port), on = 1;
    socklen_t size = sizeof(on);
    tepal_conn *conn = (tepal_conn *)arg;
    tepal_conn_options options = { .family = AF_INET6 };
    int rc = tepal_conn_open(&conn, "localhost", port, &options);
    assert_true(rc == -ECONNREFUSED || rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT);
    assert_int_equal(tepal_conn_open(&conn, "127.0.0.1", port, &options), TEPAL_ENONAME);
    options.family = 77;
    assert_int_equal(tepal_conn_open(&conn, "localhost", port, &options), -EINVAL);
    options = (tepal_conn_options){ .local_host = "localhost" };
    assert_int_equal(tepal_conn_open(&conn, "127.0.0.1", port, &options), -EINVAL);
    options.local_host = "fe80::1%nothing";
    assert_int_equal(tepal_conn_open(&conn, "127.0.0.1", port, &options), -ENODEV);
    assert_ptr_equal(conn, arg);
    options = (tepal_conn_options){ .local_host = "127.0.0.1", .family = AF_INET, .nagle = true };
    assert_int_equal(tepal_conn_open(&conn, "localhost", port, &options), 0);
    assert_int_equal(getsockopt(conn->io.fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    assert_false(on);
    talk(conn, listener);
    tepal_conn_close(conn);
    options.local_host = "127.0.0.77"; /* all of 127.0.0.0/8 is this machine */
    conn = NULL;
    if (tepal_conn_open(&conn, "localhost", port, &options) == 0) {
        char text[TEPAL_ADDR_TEXT_SIZE];
        struct addr own = { .len = sizeof(own.storage) };
        assert_int_equal(getsockname(conn->io.fd, &own.sa, &own.len), 0);
        tepal_addr addr = addr_to_public(&own);
        addr.port = 0;
        assert_string_equal(tepal_addr_text(&addr, text, sizeof(text)), "127.0.0.77");
        tepal_conn_close(conn);
    }
    close(listener);
    return 0;
}

static void options(void **state)
{
    (void)state;
    assert_int_equal(run(connect_with_options, NULL), 0);
}

/* --- Names ------------------------------------------------------------------------------------ */

static struct dns_server server;

static int connect_name_silent(void *arg)
{
    tepal_conn *conn;
    (void)arg;
    return tepal_conn_open(&conn, "silent.test", 80, NULL);
}

static int connect_by_dns(void *arg)
{
    uint16_t port;
    int listener = listen_on("127.0.0.1", 5, &port);
    tepal_conn *conn = (tepal_conn *)arg;
    use_server(&server, (tepal_dns_options){ .tries = 1 });
    assert_int_equal(tepal_conn_open(&conn, "nothing.test", port, NULL), TEPAL_ENONAME);
    assert_int_equal(tepal_conn_open(&conn, "fail.test", port, NULL), TEPAL_EDNS);
    assert_ptr_equal(conn, arg);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tepal_conn_open(&conn, "both.test", port, NULL), 0);
        talk(conn, listener);
        tepal_conn_close(conn);
    }
    assert_int_equal(server.n_queries, 3); /* the second time it was known */
    expect_cancellation(connect_name_silent, NULL);
    expect_timeout(connect_name_silent, NULL);
    close(listener);
    return 0;
}

static bool has_ipv6(void)
{
    uint16_t port;
    int fd = listen_on("::1", 1, &port);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* A name server that is silent about one family does not hold the other one up. */
static int connect_to_half(void *arg)
{
    static const char *const hosts[] = { "four.test", "six.test", "four.test" };
    static const char *const addrs[] = { "127.0.0.1", "::1", "127.0.0.1" };
    (void)arg;
    use_server(&server, (tepal_dns_options){ .timeout_ms = 60000 });
    for (int i = 0; i < 3; i++) {
        uint16_t port;
        tepal_conn *conn;
        if (i == 1 && !has_ipv6())
            continue;
        int listener = listen_on(addrs[i], 5, &port);
        int64_t before = tepal_now_ms();
        assert_int_equal(tepal_conn_open(&conn, hosts[i], port, NULL), 0);
        assert_true(tepal_now_ms() - before < 30000); /* mostly 50 ms */
        talk(conn, listener);
        tepal_conn_close(conn);
        close(listener);
    }
    assert_int_equal(loop_current->n_outside, 0);
    return 0;
}

static int release_server(void *arg)
{
    (void)arg;
    while (!server.holds || server.n_queries == 0)
        assert_int_equal(tepal_sleep_ms(1), 0);
    assert_int_equal(tepal_sleep_ms(100), 0); /* the first attempt has failed by then, or not */
    server.released = true;
    return 0;
}

/* The only address that answers comes after the others have failed, or while they are tried. */
static int connect_to_late(void *arg)
{
    uint16_t port;
    tepal_conn *conn;
    (void)arg;
    if (!has_ipv6())
        return 0;
    int listener = listen_on("::1", 5, &port);
    for (int i = 0; i < 2; i++) {
        server.released = false;
        use_server(&server, (tepal_dns_options){ 0 });
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, release_server, NULL, NULL), 0);
        assert_int_equal(tepal_conn_open(&conn, i ? "later.test" : "late.test", port, NULL), 0);
        talk(conn, listener);
        tepal_conn_close(conn);
        assert_int_equal(tepal_group_wait(group), 0);
        tepal_group_close(group);
    }
    /* It never comes: what the attempts have said is the result. */
    use_server(&server, (tepal_dns_options){ .timeout_ms = 200, .tries = 20 });
    assert_int_equal(tepal_conn_open(&conn, "four.test", port, NULL), -ECONNREFUSED);
    close(listener);
    return 0;
}

static void halves_of_names(void **state)
{
    /* 192.0.2.1 is for documentation: nobody is there, and mostly nobody says so. */
    static const struct record zone[] = {
        { .name = "four.test", .addrs = { "127.0.0.1" }, .ttl = 60, .trick = TRICK_SILENT6 },
        { .name = "six.test", .addrs = { "::1" }, .ttl = 60, .trick = TRICK_SILENT4 },
        { .name = "late.test", .addrs = { "127.0.0.1", "::1" }, .trick = TRICK_LATE6 },
        { .name = "later.test", .addrs = { "192.0.2.1", "::1" }, .trick = TRICK_LATE6 },
        { NULL },
    };
    (void)state;
    dns_server_start(&server, zone);
    assert_int_equal(run(connect_to_half, NULL), 0);
    assert_int_equal(run(connect_to_late, NULL), 0);
    dns_server_stop(&server);
}

static void names(void **state)
{
    static const struct record zone[] = {
        { .name = "both.test", .addrs = { "::1", "127.0.0.1" }, .ttl = 60 },
        { .name = "fail.test", .rcode = 2 },
        { .name = "silent.test", .trick = TRICK_SILENT },
        { NULL },
    };
    (void)state;
    for (int fake = 0; fake < 2; fake++) {
        dns_server_start(&server, zone);
        assert_int_equal(fake ? run_fake(connect_by_dns, NULL) : run(connect_by_dns, NULL), 0);
        dns_server_stop(&server);
    }
}

/* --- Unix sockets ----------------------------------------------------------------------------- */

static int connect_unix(void *arg)
{
    char name[64];
    snprintf(name, sizeof(name), "@tepal-test-%d", (int)getpid());
    const char *const paths[] = { path, name };
    for (int i = 0; i < 2; i++) {
        struct addr addr;
        tepal_conn *conn = (tepal_conn *)arg;
        assert_int_equal(tepal_conn_open_unix(&conn, paths[i]), i ? -ECONNREFUSED : -ENOENT);
        assert_ptr_equal(conn, arg);
        assert_int_equal(addr_from_path(&addr, paths[i]), 0);
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(listener, &addr.sa, addr.len), 0);
        assert_int_equal(tepal_conn_open_unix(&conn, paths[i]), -ECONNREFUSED);
        assert_int_equal(listen(listener, 5), 0);
        assert_int_equal(tepal_conn_open_unix(&conn, paths[i]), 0);
        talk(conn, listener);
        tepal_conn_close(conn);
        close(listener);
    }
    unlink(path);
    tepal_conn *conn;
    char too_long[200];
    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    assert_int_equal(tepal_conn_open_unix(&conn, too_long), -ENAMETOOLONG);
    return 0;
}

static void over_unix_sockets(void **state)
{
    (void)state;
    assert_int_equal(run(connect_unix, NULL), 0);
}

/* --- Failures --------------------------------------------------------------------------------- */

/* Calls connect with each allocation failing in turn. */
/* --- A full backlog, and nobody --------------------------------------------------------------- */

static int connect_full(void *name)
{
    tepal_conn *conn;
    int rc = tepal_conn_open_unix(&conn, name);
    if (rc == 0)
        tepal_conn_close(conn);
    return rc;
}

static int wait_for_room(void *arg)
{
    enum { MOST = 50 };
    char name[64];
    tepal_conn *conns[MOST], *accepted;
    tepal_listener *listener;
    int n = 0, rc = 0;
    snprintf(name, sizeof(name), "@tepal-full-%d", (int)getpid());
    tepal_listener_options options = { .path = name, .backlog = 2 };
    assert_int_equal(tepal_listener_open(&listener, &options), 0);
    while (rc == 0) {
        int64_t before = tepal_deadline_in_ms(500);
        assert_true(n < MOST);
        rc = tepal_conn_open_unix(&conns[n], name);
        tepal_deadline_restore(before);
        n += rc == 0;
    }
    assert_int_equal(rc, -ETIMEDOUT);
    expect_interruptible(connect_full, name);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, connect_full, name, NULL), 0);
    settle();
    assert_int_equal(tepal_listener_open_conn(listener, &accepted), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_conn_close(accepted);
    tepal_group_close(group);
    while (n > 0)
        tepal_conn_close(conns[--n]);
    tepal_listener_close(listener);
    (void)arg;
    return 0;
}

static void a_full_backlog(void **state)
{
    (void)state;
    assert_int_equal(run_fake(wait_for_room, NULL), 0);
}

enum { SELF = 45678 };

/* All ports but that one are forbidden to choose: the socket gets the port that it connects to. */
static int connect_to_self(void *arg)
{
    tepal_conn *conn;
    (void)arg;
    int rc = tepal_conn_open(&conn, "127.0.0.1", SELF, NULL);
    return rc == 0 ? 1 : rc;
}

static void in_a_small_world(void)
{
    if (unshare(CLONE_NEWNET) < 0)
        _exit(77); /* not allowed here */
    int fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);
    struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || dprintf(fd, "%d %d", SELF, SELF) < 0 || ioctl(any, SIOCSIFFLAGS, &lo) < 0)
        _exit(77);
    loop_current = NULL;
    _exit(tepal_main(connect_to_self, NULL) == -ECONNREFUSED ? 0 : 1);
}

static void nobody_but_itself(void **state)
{
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0)
        in_a_small_world();
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

static int fail_allocations(void *arg)
{
    uint16_t port;
    int listener = listen_on("127.0.0.1", 50, &port);
    struct addr addr;
    assert_int_equal(addr_from_path(&addr, path), 0);
    int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(local, &addr.sa, addr.len), 0);
    assert_int_equal(listen(local, 50), 0);
    for (int kind = 0; kind < 3; kind++) {
        for (size_t n = 1;; n++) {
            tepal_conn *conn = NULL;
            int before = count_fds();
            mem_fail_nth(n, 0);
            int rc = kind == 0   ? tepal_conn_open(&conn, "127.0.0.1", port, NULL)
                     : kind == 1 ? tepal_conn_open_unix(&conn, path)
                                 : tepal_conn_open(&conn, "localhost", port, NULL);
            size_t failures = mem_failures();
            mem_fail_nth(0, 0);
            if (failures == 0) {
                assert_int_equal(rc, 0);
                assert_true(n > 1);
                tepal_conn_close(conn);
                break;
            }
            /* Without ::1 there is still 127.0.0.1. */
            assert_true(rc == -ENOMEM || (kind == 2 && rc == 0));
            assert_true((rc == 0) == (conn != NULL));
            tepal_conn_close(conn);
            assert_int_equal(count_fds(), before);
        }
    }
    unlink(path);
    close(local);
    close(listener);
    (void)arg;
    return 0;
}

static int without_descriptors(void *arg)
{
    uint16_t port;
    int listener = listen_on("127.0.0.1", 50, &port);
    tepal_conn *conn = NULL;
    struct rlimit old = limit_fds(0);
    int rc = tepal_conn_open(&conn, "127.0.0.1", port, NULL);
    int local = tepal_conn_open_unix(&conn, path);
    put_limit_back(old);
    assert_int_equal(rc, -EMFILE);
    assert_int_equal(local, -EMFILE);
    assert_null(conn);
    close(listener);
    (void)arg;
    return 0;
}

static void failures(void **state)
{
    (void)state;
    assert_int_equal(run(fail_allocations, NULL), 0);
    assert_int_equal(run(without_descriptors, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_tcp),
        cmocka_unit_test(can_be_interrupted),
        cmocka_unit_test(racing),
        cmocka_unit_test(options),
        cmocka_unit_test(names),
        cmocka_unit_test(halves_of_names),
        cmocka_unit_test(over_unix_sockets),
        cmocka_unit_test(failures),
        cmocka_unit_test(a_full_backlog),
        cmocka_unit_test(nobody_but_itself),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
