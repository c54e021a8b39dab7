/* Tests of datagrams: between two sockets of ours on both families, connected and not, what is
 * refused, and interruptions. */
#include "folder.h"
#include "sockets.h"

#include <net/if.h>
#include <sys/stat.h>
#include <tepal/udp.h>

static const char *const hosts[] = { "127.0.0.1", "::1" };

/* A socket on a free port, and its address; NULL where the machine has no IPv6. */
static tepal_udp *open_on(const char *host, tepal_addr *addr)
{
    tepal_udp *udp = NULL;
    int rc = tepal_udp_open(&udp, &(tepal_udp_options){ .host = host });
    if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)
        return NULL;
    assert_int_equal(rc, 0);
    assert_int_equal(tepal_udp_local_addr(udp, addr), 0);
    assert_true(addr->port > 0);
    return udp;
}

/* --- Sending and receiving -------------------------------------------------------------------- */

static int exchange(void *arg)
{
    tepal_addr addrs[2], from;
    tepal_udp *a = open_on(arg, &addrs[0]), *b = open_on(arg, &addrs[1]);
    char buffer[16];
    if (!a)
        return 0;
    assert_int_equal(tepal_udp_send(a, &addrs[1], "hello", 5), 0);
    assert_int_equal(tepal_udp_send(a, &addrs[1], "", 0), 0);
    assert_int_equal(tepal_udp_send(a, &addrs[1], "you", 3), 0);
    assert_int_equal(tepal_udp_receive(b, buffer, 16, &from), 5);
    assert_memory_equal(buffer, "hello", 5);
    assert_true(tepal_addr_equal(&from, &addrs[0]));
    assert_int_equal(tepal_udp_receive(b, buffer, 16, &from), 0); /* it is a datagram, no end */
    assert_true(tepal_addr_equal(&from, &addrs[0]));
    assert_int_equal(tepal_udp_receive(b, buffer, 16, NULL), 3);
    /* Longer than the room for it, just as long, and shorter. */
    for (size_t size = 4; size <= 6; size++) {
        memset(buffer, 'x', sizeof(buffer));
        memset(&from, 0, sizeof(from));
        assert_int_equal(tepal_udp_send(b, &addrs[0], "12345", 5), 0);
        assert_int_equal(tepal_udp_receive(a, buffer, size, &from), size < 5 ? -EMSGSIZE : 5);
        assert_memory_equal(buffer, "12345", size < 5 ? size : 5);
        assert_int_equal(buffer[size], 'x');
        assert_true(tepal_addr_equal(&from, &addrs[1]));
    }
    static char large[70000];
    assert_int_equal(tepal_udp_send(a, &addrs[1], large, sizeof(large)), -EMSGSIZE);
    assert_int_equal(tepal_udp_send(a, NULL, "x", 1), -EDESTADDRREQ);
    tepal_addr none = { 0 };
    assert_int_equal(tepal_udp_send(a, &none, "x", 1), -EAFNOSUPPORT);
    tepal_udp_close(a);
    tepal_udp_close(b);
    tepal_udp_close(NULL);
    return 0;
}

static void both_families(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(exchange, (void *)(uintptr_t)hosts[i]), 0);
}

/* A socket for all addresses speaks to both families. */
static int all_addresses(void *arg)
{
    tepal_addr local, from, addr;
    char buffer[16];
    tepal_udp *all = open_on(NULL, &local);
    for (int i = 0; i < 2; i++) {
        tepal_udp *other = open_on(hosts[i], &addr);
        if (!other)
            continue;
        tepal_addr to = local;
        assert_int_equal(tepal_addr_parse(&to, hosts[i], local.port), 0);
        assert_int_equal(tepal_udp_send(other, &to, "hello", 5), 0);
        assert_int_equal(tepal_udp_receive(all, buffer, 16, &from), 5);
        assert_true(tepal_addr_equal(&from, &addr));
        assert_int_equal(tepal_udp_send(all, &from, "hi", 2), 0);
        assert_int_equal(tepal_udp_receive(other, buffer, 16, &from), 2);
        assert_true(tepal_addr_equal(&from, &to));
        tepal_udp_close(other);
    }
    tepal_udp_close(all);
    (void)arg;
    return 0;
}

static void one_socket_for_both(void **state)
{
    (void)state;
    assert_int_equal(run(all_addresses, NULL), 0);
}

/* --- Connected -------------------------------------------------------------------------------- */

static int connected(void *arg)
{
    tepal_addr addrs[3], from;
    tepal_udp *a = open_on(arg, &addrs[0]), *b = open_on(arg, &addrs[1]),
              *c = open_on(arg, &addrs[2]);
    char buffer[16];
    if (!a)
        return 0;
    assert_int_equal(tepal_udp_connect(a, &addrs[1]), 0);
    assert_int_equal(tepal_udp_send(a, NULL, "hello", 5), 0);
    assert_int_equal(tepal_udp_receive(b, buffer, 16, &from), 5);
    /* Only the peer's datagrams come in. */
    assert_int_equal(tepal_udp_send(c, &addrs[0], "not this", 8), 0);
    assert_int_equal(tepal_udp_send(b, &addrs[0], "hi", 2), 0);
    assert_int_equal(tepal_udp_receive(a, buffer, 16, &from), 2);
    assert_true(tepal_addr_equal(&from, &addrs[1]));
    /* Nobody is there any more: that is told, and the socket goes on. */
    tepal_udp_close(b);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tepal_udp_send(a, NULL, "hello", 5), 0);
        assert_int_equal(tepal_udp_receive(a, buffer, 16, &from), -ECONNREFUSED);
    }
    assert_int_equal(tepal_udp_send(a, NULL, "hello", 5), 0);
    settle();
    assert_int_equal(tepal_udp_send(a, NULL, "hello", 5), -ECONNREFUSED);
    assert_int_equal(tepal_udp_connect(a, &addrs[2]), 0); /* to another peer */
    assert_int_equal(tepal_udp_send(a, NULL, "hello", 5), 0);
    assert_int_equal(tepal_udp_receive(c, buffer, 16, &from), 5);
    tepal_udp_close(a);
    tepal_udp_close(c);
    return 0;
}

static void connected_sockets(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(connected, (void *)(uintptr_t)hosts[i]), 0);
}

/* --- Opening ---------------------------------------------------------------------------------- */

static int open_and_refuse(void *arg)
{
    static const tepal_udp_options bad[] = {
        { .host = "localhost" },
        { .host = "1.2.3" },
        { .port = 65536 },
        { .port = -2 },
    };
    tepal_udp *udp = arg, *second;
    tepal_addr addr, broadcast;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(tepal_udp_open(&udp, &bad[i]), -EINVAL);
    assert_ptr_equal(udp, arg);
    assert_int_equal(tepal_udp_open(&udp, NULL), 0);
    tepal_udp_close(udp);
    assert_int_equal(tepal_udp_open(&udp, &(tepal_udp_options){ .port = TEPAL_ANY_PORT }), 0);
    tepal_udp_close(udp);
    for (int reuse = 0; reuse < 2; reuse++) {
        tepal_udp_options options = { .host = "127.0.0.1", .reuse_port = reuse };
        assert_int_equal(tepal_udp_open(&udp, &options), 0);
        assert_int_equal(tepal_udp_local_addr(udp, &addr), 0);
        options.port = addr.port;
        assert_int_equal(tepal_udp_open(&second, &options), reuse ? 0 : -EADDRINUSE);
        tepal_udp_close(udp);
        if (reuse)
            tepal_udp_close(second);
    }
    for (int allowed = 0; allowed < 2; allowed++) {
        tepal_udp_options options = { .host = "127.0.0.1", .broadcast = allowed };
        assert_int_equal(tepal_udp_open(&udp, &options), 0);
        assert_int_equal(tepal_addr_parse(&broadcast, "127.255.255.255", 9), 0);
        assert_int_equal(tepal_udp_send(udp, &broadcast, "x", 1), allowed ? 0 : -EACCES);
        tepal_udp_close(udp);
    }
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_udp_open(&udp, NULL), -ENOMEM);
    mem_fail_nth(0, 0);
    if (!RUNNING_ON_VALGRIND) { /* it keeps limits of its own */
        struct rlimit limit = limit_fds(0);
        assert_int_equal(tepal_udp_open(&udp, NULL), -EMFILE);
        put_limit_back(limit);
    }
    return 0;
}

static void opening(void **state)
{
    (void)state;
    assert_int_equal(run(open_and_refuse, NULL), 0);
}

static int multicast(void *arg)
{
    tepal_addr local, group, from;
    char buffer[16];
    tepal_udp *receiver = open_on("0.0.0.0", &local), *sender = open_on("127.0.0.1", &from);
    struct ip_mreqn by = { .imr_ifindex = (int)if_nametoindex("lo") };
    assert_int_equal(tepal_addr_parse(&group, "239.255.42.42", local.port), 0);
    group.scope = (uint32_t)by.imr_ifindex;
    assert_int_equal(tepal_udp_leave(receiver, &group), -EADDRNOTAVAIL);
    assert_int_equal(tepal_udp_join(receiver, &group), 0);
    assert_int_equal(tepal_udp_join(receiver, &group), -EADDRINUSE);
    assert_int_equal(tepal_udp_join(receiver, &local), -EINVAL);
    assert_int_equal(setsockopt(tepal_udp_fd(sender), IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(by)),
                     0);
    assert_int_equal(tepal_udp_send(sender, &group, "hello", 5), 0);
    assert_int_equal(tepal_udp_receive(receiver, buffer, 16, &from), 5);
    assert_int_equal(tepal_udp_leave(receiver, &group), 0);
    tepal_udp_close(receiver);
    tepal_udp_close(sender);
    (void)arg;
    return 0;
}

static void multicast_groups(void **state)
{
    (void)state;
    assert_int_equal(run(multicast, NULL), 0);
}

/* --- Unix datagram sockets -------------------------------------------------------------------- */

static int unix_datagrams(void *arg)
{
    tepal_udp *server, *client, *second;
    tepal_addr from;
    char buffer[16];
    struct stat st;
    tepal_udp_options options = { .path = path }, to = { .peer_path = path };
    assert_int_equal(tepal_udp_open(&client, &to), -ENOENT);
    assert_int_equal(tepal_udp_open(&server, &options), 0);
    assert_int_equal(tepal_udp_open(&second, &options), -EADDRINUSE);
    assert_int_equal(tepal_udp_open(&client, &to), 0);
    assert_int_equal(tepal_udp_send(client, NULL, "hello", 5), 0);
    assert_int_equal(tepal_udp_send(client, NULL, "", 0), 0);
    assert_int_equal(tepal_udp_receive(server, buffer, 4, &from), -EMSGSIZE);
    assert_int_equal(from.family, AF_UNIX);
    assert_int_equal(tepal_udp_receive(server, buffer, 4, &from), 0);
    tepal_udp_close(server);
    assert_int_equal(lstat(path, &st), -1);
    assert_int_equal(tepal_udp_send(client, NULL, "hello", 5), -ECONNREFUSED);
    tepal_udp_close(client);
    /* Replaced when nobody receives on it; not when it is something else. */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct addr addr;
    assert_int_equal(addr_from_path(&addr, path), 0);
    assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
    close(fd);
    assert_int_equal(tepal_udp_open(&server, &options), 0);
    tepal_udp_close(server);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(tepal_udp_open(&server, &options), -EADDRINUSE);
    assert_int_equal(unlink(path), 0);
    /* Abstract names, both ways. */
    tepal_udp_options a = { .path = "@tepal-udp-a", .peer_path = "@tepal-udp-b" };
    tepal_udp_options b = { .path = "@tepal-udp-b" };
    assert_int_equal(tepal_udp_open(&server, &b), 0);
    assert_int_equal(tepal_udp_open(&client, &a), 0);
    assert_int_equal(tepal_udp_send(client, NULL, "hello", 5), 0);
    assert_int_equal(tepal_udp_receive(server, buffer, 16, NULL), 5);
    tepal_udp_close(client);
    tepal_udp_close(server);
    char long_path[200];
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    for (int i = 0; i < 2; i++) {
        tepal_udp_options too_long = { 0 };
        *(i ? &too_long.path : &too_long.peer_path) = long_path;
        assert_int_equal(tepal_udp_open(&server, &too_long), -ENAMETOOLONG);
    }
    (void)arg;
    return 0;
}

static void on_unix_sockets(void **state)
{
    (void)state;
    assert_int_equal(run(unix_datagrams, NULL), 0);
}

/* --- Interruption ----------------------------------------------------------------------------- */

static int receive_once(void *arg)
{
    char buffer[16];
    return (int)tepal_udp_receive(arg, buffer, 16, NULL);
}

static int send_for_ever(void *arg)
{
    int rc;
    while ((rc = tepal_udp_send(arg, NULL, "hello", 5)) == 0)
        continue;
    return rc;
}

static int interrupt_all(void *arg)
{
    tepal_udp *server, *client;
    tepal_udp_options options = { .path = "@tepal-udp-c" }, to = { .peer_path = "@tepal-udp-c" };
    assert_int_equal(tepal_udp_open(&server, &options), 0);
    assert_int_equal(tepal_udp_open(&client, &to), 0);
    expect_interruptible(receive_once, server);
    expect_interruptible(send_for_ever, client); /* the queue of a Unix socket is short */
    expect_refusal(receive_once, server);
    assert_int_equal(receive_once(server), 5);
    settle();
    expect_refusal(send_for_ever, client);
    assert_int_equal(tepal_udp_send(client, NULL, "there is room again", 19), 0);
    /* A second one that receives. */
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, receive_once, client, NULL), 0);
    settle();
    assert_int_equal(tepal_udp_receive(client, &options, 1, NULL), -EBUSY);
    tepal_group_close(group);
    tepal_udp_close(client);
    tepal_udp_close(server);
    (void)arg;
    return 0;
}

static void every_call_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_all, NULL), 0);
}

/* --- Several tasks ---------------------------------------------------------------------------- */

enum { SENDERS = 4, EACH = 50 };

static tepal_udp *pair[2];

static void open_unix_pair(void)
{
    char name[64];
    snprintf(name, sizeof(name), "@tepal-udp-%d", (int)getpid());
    assert_int_equal(tepal_udp_open(&pair[1], &(tepal_udp_options){ .path = name }), 0);
    assert_int_equal(tepal_udp_open(&pair[0], &(tepal_udp_options){ .peer_path = name }), 0);
}

static int send_each(void *arg)
{
    int rc = 0;
    for (int i = 0; i < EACH && rc == 0; i++)
        rc = tepal_udp_send(pair[0], NULL, arg, 1);
    return rc;
}

static int send_from_many_tasks(void *arg)
{
    static char names[] = "abcd";
    int seen[SENDERS] = { 0 };
    char octet;
    open_unix_pair();
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(tepal_spawn(group, send_each, &names[i], NULL), 0);
    settle(); /* they fill the queue, and wait */
    for (int i = 0; i < SENDERS * EACH; i++) {
        assert_int_equal(tepal_udp_receive(pair[1], &octet, 1, NULL), 1);
        seen[octet - 'a']++;
        assert_int_equal(tepal_sleep_ms(0), 0);
    }
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(seen[i], EACH);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    tepal_udp_close(pair[0]);
    tepal_udp_close(pair[1]);
    (void)arg;
    return 0;
}

static int close_under_tasks(void *arg)
{
    for (int why = 0; why < 3; why++) { /* cancelled, out of time, or neither */
        bool late = why == 1;
        open_unix_pair();
        tepal_group *group = tepal_group_new();
        int64_t before = tepal_deadline_in_ms(late ? 20 : TEPAL_NEVER);
        for (int i = 0; i < 3; i++)
            assert_int_equal(tepal_spawn(group, send_for_ever, pair[0], NULL), 0);
        assert_int_equal(tepal_spawn(group, receive_once, pair[0], NULL), 0);
        settle();
        tepal_deadline_restore(before);
        if (late)
            assert_int_equal(tepal_sleep_ms(20), 0);
        else if (why == 0)
            tepal_group_cancel(group);
        tepal_udp_close(pair[0]);
        tepal_udp_close(pair[1]);
        assert_int_equal(tepal_group_wait(group), late ? -ETIMEDOUT : -ECANCELED);
        tepal_group_close(group);
    }
    (void)arg;
    return 0;
}

static void several_tasks(void **state)
{
    (void)state;
    assert_int_equal(run(send_from_many_tasks, NULL), 0);
    assert_int_equal(run_fake(close_under_tasks, NULL), 0);
}

/* --- Strangers -------------------------------------------------------------------------------- */

/* What had come from others before the socket was connected, or connected to another peer. */
static int ignore_strangers(void *arg)
{
    tepal_addr mine, its, his, from;
    char buffer[16];
    tepal_udp *me = open_on(arg, &mine), *peer = open_on(arg, &its), *other = open_on(arg, &his);
    if (!me)
        return 0;
    assert_int_equal(tepal_udp_send(other, &mine, "forged and much too long", 24), 0);
    assert_int_equal(tepal_udp_send(other, &mine, "forged", 6), 0);
    assert_int_equal(tepal_udp_send(peer, &mine, "early", 5), 0);
    settle();
    assert_int_equal(tepal_udp_connect(me, &its), 0);
    assert_int_equal(tepal_udp_send(peer, &mine, "late", 4), 0);
    assert_int_equal(tepal_udp_receive(me, buffer, 16, &from), 5); /* its own had come before */
    assert_true(tepal_addr_equal(&from, &its));
    assert_int_equal(tepal_udp_receive(me, buffer, 16, NULL), 4);
    assert_int_equal(tepal_udp_send(peer, &mine, "of the former one", 17), 0);
    settle();
    assert_int_equal(tepal_udp_connect(me, &his), 0);
    int64_t before = tepal_deadline_in_ms(1);
    assert_int_equal(tepal_udp_receive(me, buffer, 16, &from), -ETIMEDOUT);
    tepal_deadline_restore(before);
    assert_int_equal(tepal_udp_send(other, &mine, "hi", 2), 0);
    assert_int_equal(tepal_udp_receive(me, buffer, 16, NULL), 2);
    tepal_udp_close(me);
    tepal_udp_close(peer);
    tepal_udp_close(other);
    return 0;
}

/* A socket for all addresses that is connected to one of IPv4. */
static int ignore_strangers_everywhere(void *arg)
{
    tepal_addr all, its, his;
    char buffer[16];
    tepal_udp *me = open_on(NULL, &all), *peer = open_on(hosts[0], &its),
              *other = open_on(hosts[0], &his);
    tepal_addr mine = its;
    mine.port = all.port;
    assert_int_equal(tepal_udp_send(other, &mine, "forged", 6), 0);
    assert_int_equal(tepal_udp_connect(me, &its), 0);
    assert_int_equal(tepal_udp_send(peer, &mine, "hi", 2), 0);
    assert_int_equal(tepal_udp_receive(me, buffer, 16, NULL), 2);
    tepal_udp_close(me);
    tepal_udp_close(peer);
    tepal_udp_close(other);
    (void)arg;
    return 0;
}

static void strangers_are_not_heard(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(ignore_strangers, (void *)(uintptr_t)hosts[i]), 0);
    assert_int_equal(run(ignore_strangers_everywhere, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_families),
        cmocka_unit_test(one_socket_for_both),
        cmocka_unit_test(connected_sockets),
        cmocka_unit_test(opening),
        cmocka_unit_test(multicast_groups),
        cmocka_unit_test(on_unix_sockets),
        cmocka_unit_test(every_call_can_be_interrupted),
        cmocka_unit_test(several_tasks),
        cmocka_unit_test(strangers_are_not_heard),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
