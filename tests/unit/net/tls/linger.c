/* Tests of the end of encrypted connections over TCP: what was written arrives, whatever has not
 * been read; and what lives on after a close has its limits. */
#include "../tls_check.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

enum { LEN = 3000000 };

/* --- All arrives ------------------------------------------------------------------------------ */

struct ending {
    tepal_conn *from, *to;
    bool shuts_down, closed;
    int result;
    size_t got;
};

static int send_and_close(void *arg)
{
    struct ending *e = arg;
    char *data = calloc(1, LEN);
    e->result = tepal_conn_write(e->from, data, LEN);
    if (e->result == 0 && e->shuts_down)
        e->result = tepal_conn_shutdown(e->from);
    tepal_conn_close(e->from);
    e->closed = true;
    free(data);
    return 0;
}

/* Reads only as much as the sender needs to go on, until that has closed: so there is much under
 * way then. */
static int receive_slowly(void *arg)
{
    struct ending *e = arg;
    static char buffer[16384];
    ssize_t n;
    do {
        while (!e->closed && !e->from->io.writer)
            assert_int_equal(tepal_sleep_ms(0), 0);
        n = tepal_conn_read(e->to, buffer, e->closed ? sizeof(buffer) : 4096);
        e->got += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    return (int)n;
}

static void open_tcp_pair(struct pair *pair, tepal_tls *client, tepal_tls *server)
{
    tepal_conn *ends[2];
    connect_conns(AF_INET, ends);
    pair->ends[0] = (struct handshake){ .conn = ends[0], .tls = client, .host = "localhost" };
    pair->ends[1] = (struct handshake){ .conn = ends[1], .tls = server };
    shake_both(pair);
    assert_int_equal(pair->ends[0].result, 0);
    assert_int_equal(pair->ends[1].result, 0);
}

/* Sends from one end, which has not read what the other one has said by TLS: a client has not read
 * its tickets, a server not the client's end. */
static void expect_all_arrives(struct pair *pair, int sender, bool shuts_down)
{
    char buffer[8];
    struct ending e = { .from = pair->ends[sender].conn, .to = pair->ends[1 - sender].conn };
    e.shuts_down = shuts_down;
    if (sender == 1) {
        assert_int_equal(tepal_conn_write(e.to, "GET\n", 4), 0);
        assert_int_equal(tepal_conn_read(e.from, buffer, 4), 4);
        assert_int_equal(tepal_conn_shutdown(e.to), 0);
    }
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, send_and_close, &e, NULL), 0);
    assert_int_equal(tepal_spawn(group, receive_slowly, &e, NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    assert_int_equal(e.result, 0);
    assert_int_equal(e.got, LEN);
    tepal_conn_close(e.to);
}

static int close_all_ways(void *arg)
{
    (void)arg;
    tepal_tls *server = new_server("server"), *client = new_client();
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        assert_true(SSL_CTX_set_max_proto_version(client->sites.sites[0].ctx, version));
        for (int sender = 0; sender < 2; sender++) {
            for (int shuts_down = 0; shuts_down < 2; shuts_down++) {
                struct pair pair;
                open_tcp_pair(&pair, client, server);
                expect_all_arrives(&pair, sender, shuts_down);
            }
        }
    }
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void what_was_written_arrives(void **state)
{
    (void)state;
    assert_int_equal(run(close_all_ways, NULL), 0);
}

/* What a close has to say itself may not fit the socket any more. */
static int close_into_full_socket(void *arg)
{
    (void)arg;
    tepal_tls *server = new_server("server"), *client = new_client();
    struct pair pair;
    char *data = calloc(1, LEN);
    open_tcp_pair(&pair, client, server);
    tepal_conn *from = pair.ends[0].conn, *to = pair.ends[1].conn;
    assert_int_equal(tepal_conn_set_max_output(from, LEN), 0);
    /* What is put is not promised to arrive, but no record may be cut in two. */
    int64_t before = tepal_deadline_in_ms(20);
    assert_int_equal(tepal_conn_write(from, data, 100), 0);
    while (tepal_conn_write(from, data, LEN) == 0)
        continue;
    tepal_deadline_restore(before);
    assert_true(conn_is_holding(from));
    tepal_conn_close(from);
    ssize_t n;
    while ((n = tepal_conn_read(to, data, LEN)) > 0)
        continue;
    assert_int_equal(n, 0); /* and not TEPAL_ETRUNCATED */
    tepal_conn_close(to);
    free(data);
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void the_farewell_waits_for_room(void **state)
{
    (void)state;
    assert_int_equal(run(close_into_full_socket, NULL), 0);
}

/* --- The end of the program ------------------------------------------------------------------- */

static int send_and_end(void *arg)
{
    int fd = *(int *)arg;
    tepal_tls *client = new_client();
    tepal_conn *conn;
    char *data = calloc(1, LEN);
    assert_int_equal(tepal_conn_open_fd(&conn, fd), 0);
    int rc = tepal_conn_start_tls(conn, client, &(tepal_start_tls_options){ "localhost" });
    if (rc == 0)
        rc = tepal_conn_write(conn, data, 100000);
    tepal_conn_close(conn);
    tepal_tls_close(client);
    free(data);
    return rc;
}

/* A peer that says much after the handshake, and reads only later. */
static int receive_from_process(void *arg)
{
    int *fds = arg;
    static char buffer[16384];
    tepal_tls *server = new_server("server");
    tepal_conn *conn;
    size_t got = 0;
    ssize_t n;
    assert_int_equal(tepal_conn_open_fd(&conn, fds[1]), 0);
    assert_int_equal(tepal_conn_start_tls(conn, server, NULL), 0);
    int status;
    while (waitpid((pid_t)fds[2], &status, WNOHANG) == 0)
        assert_int_equal(tepal_sleep_ms(1), 0);
    assert_int_equal(status, 0);
    while ((n = tepal_conn_read(conn, buffer, sizeof(buffer))) > 0)
        got += (size_t)n;
    assert_int_equal(n, 0);
    assert_int_equal(got, 100000);
    tepal_conn_close(conn);
    tepal_tls_close(server);
    return 0;
}

static void the_program_may_end_at_once(void **state)
{
    (void)state;
    int fds[3];
    connect_fds(AF_INET, fds);
    fds[2] = fork();
    assert_true(fds[2] >= 0);
    if (fds[2] == 0) {
        close(fds[1]);
        _exit(tepal_main(send_and_end, &fds[0]) < 0);
    }
    close(fds[0]);
    assert_int_equal(tepal_main(receive_from_process, fds), 0);
}

/* --- Limits ----------------------------------------------------------------------------------- */

/* A socket that lives on; the other end is returned. */
static int leave_one(int family)
{
    int fds[2];
    struct buf rest;
    buf_init(&rest, TLS_MAX_UNSENT);
    connect_fds(family, fds);
    tls_linger(fds[0], &rest, 0);
    return fds[1];
}

/* Waits until there are so many descriptors: the loopback takes its time on a busy machine. */
static void await_fds(int n)
{
    for (int i = 0; i < 5000 && count_fds() != n; i++) {
        settle();
        usleep(1000);
    }
    assert_int_equal(count_fds(), n);
}

/* Says something, and waits until it has been seen. */
static void say(int peer, const void *data, size_t len)
{
    int n_left = 1;
    for (size_t done = 0; done < len || n_left > 0;) {
        ssize_t n = done < len ? write(peer, (const char *)data + done, len - done) : 0;
        done += n > 0 ? (size_t)n : 0;
        settle();
        assert_int_equal(ioctl(peer, SIOCOUTQ, &n_left), 0);
    }
    settle();
}

static int live_on(void *arg)
{
    (void)arg;
    int none = count_fds();
    /* It ends when the peer does. */
    int peer = leave_one(AF_INET);
    char octet;
    assert_int_equal(count_fds(), none + 2);
    while (read(peer, &octet, 1) != 0)
        assert_int_equal(errno, EAGAIN);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    await_fds(none + 1);
    close(peer);
    /* A peer that has ended already is not waited for. */
    int fds[2];
    struct buf rest;
    connect_fds(AF_INET, fds);
    buf_init(&rest, TLS_MAX_UNSENT);
    assert_int_equal(buf_append_str(&rest, "the rest"), 0);
    assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
    while (recv(fds[0], &octet, 1, MSG_PEEK) != 0)
        assert_int_equal(errno, EAGAIN);
    tls_linger(fds[0], &rest, 4);
    assert_int_equal(count_fds(), none + 1);
    char text[8];
    while (recv(fds[1], text, 8, MSG_PEEK) < 4)
        continue;
    assert_int_equal(read(fds[1], text, 8), 4);
    assert_memory_equal(text, "rest", 4);
    close(fds[1]);
    return 0;
}

static void it_ends_with_the_peer(void **state)
{
    (void)state;
    assert_int_equal(run_fake(live_on, NULL), 0);
}

static int wait_long(void *arg)
{
    (void)arg;
    int none = count_fds();
    /* 10 s without a word. */
    int peer = leave_one(AF_INET);
    assert_int_equal(tepal_sleep_ms(9999), 0);
    assert_int_equal(count_fds(), none + 2);
    /* On a busy machine the peer's system has taken our end only since: that was a word. */
    assert_int_equal(tepal_sleep_ms(10002), 0);
    assert_int_equal(count_fds(), none + 1);
    close(peer);
    /* A minute for one that says something all the time. */
    peer = leave_one(AF_INET);
    for (int i = 1; i < 12; i++) {
        say(peer, "x", 1);
        assert_int_equal(tepal_sleep_ms(5000), 0);
        assert_int_equal(count_fds(), none + 2);
    }
    say(peer, "x", 1);
    assert_int_equal(tepal_sleep_ms(5001), 0);
    assert_int_equal(count_fds(), none + 1);
    close(peer);
    return 0;
}

static void it_has_its_time(void **state)
{
    (void)state;
    assert_int_equal(run_fake(wait_long, NULL), 0);
}

static int say_much(void *arg)
{
    (void)arg;
    static char much[256 * 1024];
    int none = count_fds(), peer = leave_one(AF_INET);
    say(peer, much, sizeof(much) - 1);
    assert_int_equal(count_fds(), none + 2);
    assert_int_equal(write(peer, much, 1), 1);
    await_fds(none + 1);
    close(peer);
    return 0;
}

static void it_drops_only_so_much(void **state)
{
    (void)state;
    assert_int_equal(run_fake(say_much, NULL), 0);
}

static int leave_many(void *arg)
{
    enum { MOST = 1000 };
    static int peers[MOST + 2];
    (void)arg;
    int none = count_fds();
    for (int i = 0; i < MOST; i++)
        peers[i] = leave_one(AF_UNIX);
    assert_int_equal(count_fds(), none + 2 * MOST);
    for (int i = 0; i < 2; i++) {
        peers[MOST + i] = leave_one(AF_UNIX);
        assert_int_equal(count_fds(), none + 2 * MOST + 1 + i);
        assert_int_equal(write(peers[i], "x", 1), -1); /* the oldest has gone */
    }
    assert_int_equal(write(peers[2], "x", 1), 1);
    for (int i = 0; i < MOST + 2; i++)
        close(peers[i]);
    await_fds(none);
    return 0;
}

static void there_are_only_so_many(void **state)
{
    (void)state;
    struct rlimit old, wide;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    wide = old;
    wide.rlim_cur = old.rlim_max < 4096 ? old.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &wide), 0);
    signal(SIGPIPE, SIG_IGN);
    if (wide.rlim_cur >= 2100)
        assert_int_equal(run_fake(leave_many, NULL), 0);
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* Without memory the socket is closed at once. */
static int without_memory(void *arg)
{
    (void)arg;
    int none = count_fds();
    for (size_t n = 1;; n++) {
        int fds[2];
        struct buf rest;
        buf_init(&rest, TLS_MAX_UNSENT);
        connect_fds(AF_INET, fds);
        mem_fail_nth(n, 0);
        tls_linger(fds[0], &rest, 0);
        bool failed = mem_failures() > 0;
        mem_fail_nth(0, 0);
        assert_int_equal(count_fds(), none + (failed ? 1 : 2));
        close(fds[1]);
        await_fds(none);
        if (!failed)
            return 0;
    }
}

static void memory_is_short(void **state)
{
    (void)state;
    assert_int_equal(run(without_memory, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(what_was_written_arrives),
        TLS_TEST(the_farewell_waits_for_room),
        TLS_TEST(the_program_may_end_at_once),
        TLS_TEST(it_ends_with_the_peer),
        TLS_TEST(it_has_its_time),
        TLS_TEST(it_drops_only_so_much),
        TLS_TEST(there_are_only_so_many),
        TLS_TEST(memory_is_short),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
