/* Tests of buffered writing: what goes when, in what order, and what an interruption or an error
 * leaves. */
#include "../sockets.h"

#include "net/conn/buffers.h"

static int families[] = { AF_UNIX, AF_INET };

static tepal_conn *open_pair(int family, int *peer)
{
    int fds[2];
    connect_fds(family, fds);
    *peer = fds[1];
    return open_conn(fds[0]);
}

/* What has arrived at the peer, and no more. */
static void expect(int peer, const char *text)
{
    char buffer[256];
    ssize_t n = recv(peer, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);
    buffer[n < 0 ? 0 : n] = '\0';
    assert_string_equal(buffer, text);
}

/* Counts system calls. */
static int n_writes;

static ssize_t count_writev(struct tepal_conn *conn, const struct iovec *pieces, int n)
{
    n_writes++;
    return conn_socket_ops.writev(conn, pieces, n);
}

/* --- Order ------------------------------------------------------------------------------------ */

static int collect(void *arg)
{
    int peer;
    tepal_conn *conn = open_pair(*(int *)arg, &peer);
    struct conn_ops ops = conn_socket_ops;
    ops.writev = count_writev;
    conn->ops = &ops;
    n_writes = 0;
    for (int i = 0; i < 50; i++)
        assert_int_equal(tepal_conn_put(conn, "a", 1), 0);
    assert_int_equal(tepal_conn_putf(conn, "%d %s\n", 42, "b"), 0);
    assert_int_equal(tepal_conn_putf(conn, "%s", ""), 0);
    assert_int_equal(tepal_conn_put(conn, "", 0), 0);
    assert_true(conn_has_unsent(conn));
    expect(peer, "");
    assert_int_equal(tepal_conn_drain(conn), 0);
    assert_int_equal(n_writes, 1);
    expect(peer, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa42 b\n");
    assert_false(conn_has_unsent(conn));
    assert_null(conn->buffers->out.data); /* nothing is held by a connection that is drained */
    assert_int_equal(tepal_conn_drain(conn), 0);
    assert_int_equal(n_writes, 1);
    conn->ops = &conn_socket_ops;
    tepal_conn_close(conn);
    close(peer);
    return 0;
}

static void small_pieces_go_together(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(collect, &families[i]), 0);
}

static int keep_order(void *arg)
{
    int peer, other;
    char name[] = "/tmp/tepal-test-XXXXXX";
    int file = mkstemp(name);
    unlink(name);
    assert_int_equal(write(file, "FILE", 4), 4);
    tepal_conn *conn = open_pair(*(int *)arg, &peer);
    assert_int_equal(tepal_conn_put(conn, "1", 1), 0);
    assert_int_equal(tepal_conn_write(conn, "2", 1), 0);
    expect(peer, "12");
    assert_int_equal(tepal_conn_put(conn, "3", 1), 0);
    assert_int_equal(tepal_conn_writev(conn, &(tepal_bytes){ "4", 1 }, 1), 0);
    expect(peer, "34");
    assert_int_equal(tepal_conn_put(conn, "5", 1), 0);
    assert_int_equal(tepal_conn_sendfile(conn, file, 0, 4), 0);
    expect(peer, "5FILE");
    assert_int_equal(tepal_conn_put(conn, "6", 1), 0);
    assert_int_equal(tepal_conn_shutdown(conn), 0);
    expect(peer, "6");
    char end;
    assert_int_equal(recv(peer, &end, 1, MSG_DONTWAIT), 0);
    tepal_conn_close(conn);
    close(peer);
    conn = open_pair(*(int *)arg, &other);
    assert_int_equal(tepal_conn_put(conn, "7", 1), 0);
    tepal_conn_close(conn); /* as much as goes at once */
    expect(other, "7");
    assert_int_equal(recv(other, &end, 1, MSG_DONTWAIT), 0);
    close(other);
    conn = open_pair(*(int *)arg, &other);
    assert_int_equal(tepal_conn_put(conn, "8", 1), 0);
    tepal_conn_abort(conn); /* nothing, and for TCP no proper end either */
    bool tcp = *(int *)arg == AF_INET;
    assert_int_equal(recv(other, &end, 1, MSG_DONTWAIT), tcp ? -1 : 0);
    if (tcp)
        assert_int_equal(errno, ECONNRESET);
    close(other);
    close(file);
    tepal_conn_abort(NULL);
    return 0;
}

static void order_is_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(keep_order, &families[i]), 0);
}

/* --- Sizes ------------------------------------------------------------------------------------ */

static char pattern(size_t i)
{
    return (char)(i * 31 + (i >> 8) * 7);
}

struct sink {
    tepal_conn *conn;
    size_t len; /* of what came */
    bool right;
};

static int read_pattern(void *arg)
{
    struct sink *sink = arg;
    char buffer[3000];
    ssize_t n;
    sink->right = true;
    while ((n = tepal_conn_read(sink->conn, buffer, sizeof(buffer))) > 0)
        for (ssize_t i = 0; i < n; i++)
            sink->right &= buffer[i] == pattern(sink->len++);
    return (int)n;
}

/* Pieces of many sizes, through buffers of many sizes; also as text. */
static int put_pattern(void *arg)
{
    static const size_t maxima[] = { 1, 100, 0, 50000, TEPAL_UNLIMITED };
    enum { MOST = 70000 };
    char *data = malloc(MOST + 1);
    for (size_t m = 0; m < sizeof(maxima) / sizeof(maxima[0]); m++) {
        tepal_conn *ends[2];
        struct sink sink = { 0 };
        size_t total = 0;
        connect_conns(AF_UNIX, ends);
        sink.conn = ends[1];
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, read_pattern, &sink, NULL), 0);
        assert_int_equal(tepal_conn_set_max_output(ends[0], maxima[m]), 0);
        for (size_t i = 0, len = 1; len <= MOST; len = len * 5 / 4 + 1, i++) {
            for (size_t k = 0; k < len; k++)
                data[k] = pattern(total + k);
            data[len] = '\0';
            bool text = i % 2 && !memchr(data, '\0', len);
            int rc =
                text ? tepal_conn_putf(ends[0], "%s", data) : tepal_conn_put(ends[0], data, len);
            assert_int_equal(rc, 0);
            total += len;
            if (maxima[m] <= 50000)
                assert_true(octets_len(&ends[0]->buffers->out) <= (maxima[m] ? maxima[m] : 16384));
        }
        assert_int_equal(tepal_conn_shutdown(ends[0]), 0);
        assert_int_equal(tepal_group_wait(group), 0);
        assert_int_equal(sink.len, total);
        assert_true(sink.right);
        tepal_group_close(group);
        tepal_conn_close(ends[0]);
        tepal_conn_close(ends[1]);
    }
    free(data);
    (void)arg;
    return 0;
}

static void any_size_through_any_buffer(void **state)
{
    (void)state;
    assert_int_equal(run(put_pattern, NULL), 0);
}

/* Fills what the system takes, so that nothing more goes. */
static void fill_up(tepal_conn *conn)
{
    static char data[4096];
    struct iovec piece = { data, sizeof(data) };
    while (conn->ops->writev(conn, &piece, 1) > 0)
        continue;
}

static size_t read_up(int peer)
{
    static char data[65536];
    size_t total = 0;
    ssize_t n;
    while ((n = recv(peer, data, sizeof(data), MSG_DONTWAIT)) > 0)
        total += (size_t)n;
    return total;
}

/* The high-water mark: below, at, above. */
static int high_water(void *arg)
{
    enum { MAX = 1000 };
    static char data[MAX + 1];
    for (size_t len = MAX - 1; len <= MAX + 1; len++) {
        int peer;
        tepal_conn *conn = open_pair(AF_UNIX, &peer);
        assert_int_equal(tepal_conn_set_max_output(conn, MAX), 0);
        fill_up(conn);
        int64_t before = tepal_deadline_in_ms(20);
        assert_int_equal(tepal_conn_put(conn, data, 1), 0);
        assert_int_equal(tepal_conn_put(conn, data, len - 1), len <= MAX ? 0 : -ETIMEDOUT);
        tepal_deadline_restore(before);
        /* What was put is still there, and of the piece that was refused nothing. */
        read_up(peer);
        settle();
        assert_int_equal(tepal_conn_drain(conn), 0);
        assert_int_equal(read_up(peer), len <= MAX ? len : 1);
        tepal_conn_close(conn);
        close(peer);
    }
    (void)arg;
    return 0;
}

static void suspends_above_the_mark(void **state)
{
    (void)state;
    assert_int_equal(run_fake(high_water, NULL), 0);
}

/* --- Interruption ----------------------------------------------------------------------------- */

static char block[LOOP_BUFFER_SIZE];

static int put_for_ever(void *arg)
{
    int rc;
    while ((rc = tepal_conn_put(arg, block, 1000)) == 0)
        continue;
    return rc;
}

static int printf_for_ever(void *arg)
{
    int rc;
    while ((rc = tepal_conn_putf(arg, "%1000d", 1)) == 0)
        continue;
    return rc;
}

static int drain_once(void *arg)
{
    return tepal_conn_drain(arg);
}

static int shutdown_once(void *arg)
{
    return tepal_conn_shutdown(arg);
}

static int interrupt_all(void *arg)
{
    int peer;
    tepal_conn *conn = open_pair(*(int *)arg, &peer);
    fill_up(conn);
    expect_interruptible(put_for_ever, conn);
    expect_interruptible(printf_for_ever, conn);
    expect_interruptible(drain_once, conn);
    expect_interruptible(shutdown_once, conn);
    assert_int_equal(octets_len(&conn->buffers->out), 16000); /* all that was put, once */
    for (size_t n = 0; conn_has_unsent(conn); n++) {
        read_up(peer);
        settle();
        writer_flush_some(conn);
        assert_true(n < 1000);
    }
    expect_refusal(put_for_ever, conn);
    expect_refusal(printf_for_ever, conn);
    expect_refusal(drain_once, conn);
    assert_false(conn_has_unsent(conn));
    tepal_conn_close(conn);
    close(peer);
    return 0;
}

static void interruption_loses_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run_fake(interrupt_all, &families[i]), 0);
}

/* Of data larger than the buffer a part has gone: nothing may follow it. */
static int cut_in_two(void *arg)
{
    static char large[4 << 20];
    int peer;
    tepal_conn *conn = open_pair(AF_UNIX, &peer);
    int64_t before = tepal_deadline_in_ms(20);
    assert_int_equal(tepal_conn_put(conn, large, sizeof(large)), -ETIMEDOUT);
    tepal_deadline_restore(before);
    assert_int_equal(tepal_conn_put(conn, "x", 1), -EPIPE);
    assert_int_equal(tepal_conn_putf(conn, "x"), -EPIPE);
    assert_int_equal(tepal_conn_write(conn, "x", 1), -EPIPE);
    assert_int_equal(tepal_conn_writev(conn, &(tepal_bytes){ "x", 1 }, 1), -EPIPE);
    assert_int_equal(tepal_conn_sendfile(conn, 0, 0, 1), -EPIPE);
    assert_int_equal(tepal_conn_drain(conn), -EPIPE);
    assert_null(conn->buffers->out.data);
    tepal_conn_close(conn);
    close(peer);
    (void)arg;
    return 0;
}

static void half_a_piece_ends_the_output(void **state)
{
    (void)state;
    assert_int_equal(run_fake(cut_in_two, NULL), 0);
}

/* --- Failures --------------------------------------------------------------------------------- */

static int peer_goes(void *arg)
{
    int peer;
    tepal_conn *conn = open_pair(*(int *)arg, &peer);
    assert_int_equal(tepal_conn_put(conn, "x", 1), 0);
    reset_fd(peer);
    settle();
    int rc = tepal_conn_drain(conn);
    assert_true(rc == -EPIPE || rc == -ECONNRESET);
    assert_int_equal(tepal_conn_drain(conn), rc);
    assert_int_equal(tepal_conn_put(conn, "x", 1), rc);
    assert_int_equal(tepal_conn_putf(conn, "x"), rc);
    assert_int_equal(tepal_conn_write(conn, "x", 1), rc);
    tepal_conn_close(conn);
    conn = open_pair(*(int *)arg, &peer);
    fill_up(conn);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, put_for_ever, conn, NULL), 0);
    settle();
    reset_fd(peer);
    rc = tepal_group_wait(group);
    assert_true(rc == -EPIPE || rc == -ECONNRESET);
    assert_false(conn_has_unsent(conn));
    tepal_group_close(group);
    tepal_conn_close(conn);
    return 0;
}

static void errors_are_sticky(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(peer_goes, &families[i]), 0);
}

static int put_something(tepal_conn *conn, int kind)
{
    switch (kind) {
    case 0:
        return tepal_conn_put(conn, block, 1000);
    case 1: /* through the buffer and past it */
        return tepal_conn_put(conn, block, sizeof(block));
    case 2:
        return tepal_conn_putf(conn, "%1000d", 1);
    default: /* longer than the free part of the buffer */
        return tepal_conn_putf(conn, "%16000d", 1);
    }
}

/* Each allocation fails once: nothing of the piece was put then, and all of it when repeated. */
static int short_of_memory(void *arg)
{
    int n_failed = 0;
    for (int kind = 0; kind < 4; kind++) {
        bool failed = true;
        for (size_t nth = 1; failed; nth++) {
            int peer;
            tepal_conn *conn = open_pair(AF_UNIX, &peer);
            block_pool_clear(&loop_current->buffers);
            mem_fail_nth(nth, 0);
            int first = put_something(conn, 0), rc = put_something(conn, kind);
            failed = mem_failures() > 0;
            mem_fail_nth(0, 0);
            size_t sizes[] = { 1000, sizeof(block), 1000, 16000 };
            if (first == 0 && rc == -ENOMEM)
                rc = put_something(conn, kind);
            assert_int_equal(rc, 0);
            assert_int_equal(tepal_conn_drain(conn), 0);
            assert_int_equal(read_up(peer), (first < 0 ? 0 : 1000) + sizes[kind]);
            n_failed += failed;
            tepal_conn_close(conn);
            close(peer);
        }
    }
    assert_true(n_failed >= 8);
    (void)arg;
    return 0;
}

static void memory_runs_out(void **state)
{
    (void)state;
    assert_int_equal(run(short_of_memory, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_pieces_go_together),
        cmocka_unit_test(order_is_kept),
        cmocka_unit_test(any_size_through_any_buffer),
        cmocka_unit_test(suspends_above_the_mark),
        cmocka_unit_test(interruption_loses_nothing),
        cmocka_unit_test(half_a_piece_ends_the_output),
        cmocka_unit_test(errors_are_sticky),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
