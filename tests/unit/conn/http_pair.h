/* What the tests of src/conn share: an HTTP/1 connection on a real socket, and the plain socket
 * that is its peer. */
#ifndef TEPAL_TESTS_UNIT_CONN_HTTP_PAIR_H
#define TEPAL_TESTS_UNIT_CONN_HTTP_PAIR_H

#include "../net/sockets.h"

#include "conn/h1_conn.h"

/* Of the present test: http is the connection, peer the descriptor of the other end. */
static struct h1_conn http;
static struct h1_conn_work work;
static struct h1_conn_limits limits;
static int peer;

static int families[] = { AF_INET, AF_UNIX };

/* Runs a test over TCP and over a Unix socket, in a loop of its own with a fake clock each. */
static inline void each_family(tepal_task_fn *fn)
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(run_fake(fn, &families[i]), 0);
}

/* Limits that are in nobody's way. */
static inline void set_wide_limits(void)
{
    limits = (struct h1_conn_limits){
        .max_input = 4 * LOOP_BUFFER_SIZE,
        .read_timeout_ms = TEPAL_NEVER,
        .write_timeout_ms = TEPAL_NEVER,
        .chunks = { .max_line = 100, .max_trailers = 200, .max_trailer_fields = 4 },
    };
}

static inline void open_http(int family)
{
    int fds[2];
    connect_fds(family, fds);
    peer = fds[1];
    set_wide_limits();
    assert_int_equal(h1_conn_open(&http, fds[0], &limits), 0);
    if (family == AF_UNIX)
        http.conn.ops = &conn_unix_ops;
    work = (struct h1_conn_work){ 0 };
    http.work = &work;
}

/* The buffers of the loop that somebody has at present. */
static inline size_t buffers_in_use(void)
{
    return loop_current->buffers.n - loop_current->buffers.idle.n;
}

static inline void close_peer(void)
{
    close(peer);
    peer = -1;
}

/* Closes both, and sees that no buffer is left behind. */
static inline void close_http(void)
{
    h1_conn_close(&http);
    assert_null(work.pinned);
    assert_int_equal(buffers_in_use(), 0);
    if (peer >= 0)
        close_peer();
}

/* The octet at each place of a long text. */
static inline char pattern(size_t i)
{
    return (char)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static inline void fill_pattern(char *data, size_t len, size_t from)
{
    for (size_t i = 0; i < len; i++)
        data[i] = pattern(from + i);
}

static inline void assert_pattern(const char *data, size_t len, size_t from)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] != pattern(from + i))
            fail_msg("octet %zu is not the one that was sent", from + i);
}

/* The peer sends; the loop has not seen it yet. */
static inline void peer_sends(const char *data, size_t len)
{
    assert_int_equal(send(peer, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* What the peer can take now, size octets at most. Returns how many, 0 also at the end. */
static inline size_t peer_takes(char *data, size_t size)
{
    size_t n = 0;
    ssize_t rc = 1;
    while (n < size && rc > 0) {
        rc = recv(peer, data + n, size - n, MSG_DONTWAIT);
        n += rc > 0 ? (size_t)rc : 0;
    }
    return n;
}

/* Waits until the loop knows that there is something to read. */
static inline void see_input(void)
{
    while (!(http.conn.io.state & IO_READ))
        settle();
}

/* The process is held for a while: the time of waits goes by, and the loop has not asked what
 * came. */
static inline void hold(int64_t ms)
{
    loop_current->now += ms;
    timers_advance(&loop_current->timers, loop_current->now);
}

/* A call that runs in a task of its own beside the test. */
struct beside {
    tepal_task_fn *fn;
    void *arg;
    int result;
    bool ended;
    tepal_group *group;
};

static inline int beside_main(void *arg)
{
    struct beside *b = arg;
    b->result = b->fn(b->arg);
    b->ended = true;
    return 0;
}

/* Begins it, and lets it run until it waits. */
static inline void begin_beside(struct beside *b, tepal_task_fn *fn, void *arg)
{
    *b = (struct beside){ .fn = fn, .arg = arg, .group = tepal_group_new() };
    assert_non_null(b->group);
    assert_int_equal(tepal_spawn(b->group, beside_main, b, NULL), 0);
    settle();
}

/* Its result, once it has ended. */
static inline int result_of(struct beside *b)
{
    assert_int_equal(tepal_group_wait(b->group), 0);
    tepal_group_close(b->group);
    assert_true(b->ended);
    return b->result;
}

/* The same of one that is cancelled. */
static inline int cancelled_result(struct beside *b)
{
    tepal_group_cancel(b->group);
    return result_of(b);
}

#endif
