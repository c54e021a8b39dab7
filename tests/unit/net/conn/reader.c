/* Tests of buffered reading: splits at every octet, limits, ends, interruptions, and what is left
 * for the next call. */
#include "../sockets.h"

#include "net/conn/buffers.h"

static void write_plain(int fd, const char *data, size_t len)
{
    assert_int_equal(write(fd, data, len), (ssize_t)len);
}

/* A connection, and its peer as a plain descriptor. */
static tepal_conn *open_pair(int family, int *peer)
{
    int fds[2];
    connect_fds(family, fds);
    *peer = fds[1];
    return open_conn(fds[0]);
}

/* The call that the table of the tests below names. */
struct call {
    enum { EXACTLY, UNTIL, LINE } kind;
    const char *delimiter;
    size_t max; /* or size */
    char text[64];
    tepal_conn *conn;
};

static ssize_t do_call(struct call *c)
{
    char *data = NULL;
    ssize_t n;
    if (c->kind == EXACTLY) {
        memset(c->text, 'x', sizeof(c->text));
        n = tepal_conn_read_exactly(c->conn, c->text, c->max);
        c->text[n < 0 ? 0 : c->max] = '\0';
        return n < 0 ? n : (ssize_t)c->max;
    }
    if (c->kind == UNTIL)
        n = tepal_conn_read_until(c->conn, c->delimiter, strlen(c->delimiter), c->max, &data);
    else
        n = tepal_conn_read_line(c->conn, c->max, &data);
    if (n < 0)
        return n;
    assert_int_equal(data[n], '\0');
    memcpy(c->text, data, (size_t)n + 1);
    return n;
}

static int call_main(void *arg)
{
    return (int)do_call(arg);
}

/* --- Splits and limits ------------------------------------------------------------------------ */

static const struct row {
    struct call call;
    const char *in;
    int rc;
    const char *out, *rest; /* what was read, and what a plain read gets then */
} rows[] = {
    { { EXACTLY, NULL, 5 }, "hello", 5, "hello", "" },
    { { EXACTLY, NULL, 5 }, "hello, you", 5, "hello", ", you" },
    { { EXACTLY, NULL, 0 }, "hello", 0, "", "hello" },
    { { EXACTLY, NULL, 6 }, "hello", TEPAL_ECLOSED, "", "hello" },
    { { LINE, NULL, 5 }, "hello\n", 5, "hello", "" },
    { { LINE, NULL, 5 }, "hello\r\nx", 5, "hello", "x" },
    { { LINE, NULL, 4 }, "hello\n", -EMSGSIZE, "", "hello\n" },
    { { LINE, NULL, 4 }, "hello\r\n", -EMSGSIZE, "", "hello\r\n" },
    { { LINE, NULL, 4 }, "hello there", -EMSGSIZE, "", "hello there" },
    { { LINE, NULL, 9 }, "\nabc", 0, "", "abc" },
    { { LINE, NULL, 0 }, "\r\nabc", 0, "", "abc" },
    { { LINE, NULL, 0 }, "\nabc", 0, "", "abc" },
    { { LINE, NULL, 0 }, "a\n", -EMSGSIZE, "", "a\n" },
    { { LINE, NULL, 9 }, "a\rb\r\r\nc", 4, "a\rb\r", "c" },
    { { LINE, NULL, 9 }, "", TEPAL_ECLOSED, "", "" },
    { { LINE, NULL, 9 }, "no end", TEPAL_ECLOSED, "", "no end" },
    { { LINE, NULL, 9 }, "no end\r", TEPAL_ECLOSED, "", "no end\r" },
    { { LINE, NULL, TEPAL_UNLIMITED }, "any\n", 3, "any", "" },
    { { UNTIL, "\r\n\r\n", 9 }, "a\r\nb\r\n\r\nc", 4, "a\r\nb", "c" },
    { { UNTIL, "\r\n\r\n", 4 }, "a\r\nb\r\n\r\n", 4, "a\r\nb", "" },
    { { UNTIL, "\r\n\r\n", 3 }, "a\r\nb\r\n\r\n", -EMSGSIZE, "", "a\r\nb\r\n\r\n" },
    { { UNTIL, "\r\n\r\n", 9 }, "\r\n\r\r\n\r\n", 3, "\r\n\r", "" },
    { { UNTIL, "aab", 9 }, "aaaab", 2, "aa", "" },
    { { UNTIL, "ab", 0 }, "abab", 0, "", "ab" },
    { { UNTIL, "ab", 9 }, "aaaa", TEPAL_ECLOSED, "", "aaaa" },
    { { UNTIL, ";", 3 }, "abc;d", 3, "abc", "d" },
    { { UNTIL, ";", 2 }, "abc;d", -EMSGSIZE, "", "abc;d" },
    { { UNTIL, ";", TEPAL_UNLIMITED }, "abc;d", 3, "abc", "d" },
};

/* Sends the row's input in two parts, and then the end. Both = 0: one octet at a time. */
static void check_row(const struct row *row, size_t split)
{
    int peer;
    char rest[64] = "";
    struct call call = row->call;
    size_t len = strlen(row->in), at = 0, n_rest = 0;
    tepal_conn *conn = call.conn = open_pair(AF_UNIX, &peer);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, call_main, &call, NULL), 0);
    while (at < len) {
        size_t some = split == 0 ? 1 : at == 0 ? split : len - at;
        write_plain(peer, row->in + at, some);
        at += some;
        settle();
    }
    close(peer);
    assert_int_equal(tepal_group_wait(group), row->rc < 0 ? row->rc : 0);
    assert_string_equal(call.text, row->out);
    tepal_group_close(group);
    ssize_t n;
    while ((n = tepal_conn_read(conn, rest + n_rest, 3)) > 0)
        n_rest += (size_t)n;
    assert_int_equal(n, 0);
    assert_string_equal(rest, row->rest);
    tepal_conn_close(conn);
}

static int all_rows(void *arg)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t split = 0; split <= strlen(rows[i].in); split++)
            check_row(&rows[i], split);
    (void)arg;
    return 0;
}

static void cut_at_every_octet(void **state)
{
    (void)state;
    assert_int_equal(run(all_rows, NULL), 0);
}

static int mixed_calls(void *arg)
{
    int peer;
    tepal_conn *conn = open_pair(*(int *)arg, &peer);
    char buffer[16], *text;
    static const char in[] = "first\r\nsecond\n\0\0\n4;five;ab\nrest";
    write_plain(peer, in, sizeof(in) - 1);
    assert_int_equal(tepal_conn_read_line(conn, 80, &text), 5);
    assert_string_equal(text, "first");
    text[0] = 'F'; /* it may be changed */
    assert_true(conn_has_unread(conn));
    assert_int_equal(tepal_conn_read_line(conn, 80, &text), 6);
    assert_string_equal(text, "second");
    assert_int_equal(tepal_conn_read_line(conn, 80, &text), 2); /* NULs are octets */
    assert_memory_equal(text, "\0\0", 3);
    assert_int_equal(tepal_conn_read(conn, buffer, 2), 2);
    assert_memory_equal(buffer, "4;", 2);
    assert_int_equal(tepal_conn_read_until(conn, ";", 1, 4, &text), 4);
    assert_string_equal(text, "five");
    /* One that is refused may be read with a larger limit. */
    assert_int_equal(tepal_conn_read_line(conn, 1, &text), -EMSGSIZE);
    assert_int_equal(tepal_conn_read_line(conn, 2, &text), 2);
    assert_int_equal(tepal_conn_read_exactly(conn, buffer, 3), 0);
    assert_memory_equal(buffer, "res", 3);
    assert_int_equal(tepal_conn_read(conn, buffer, 16), 1);
    assert_false(conn_has_unread(conn));
    assert_null(conn->buffers->in.data); /* nothing is held by a connection that is read up */
    close(peer);
    assert_int_equal(tepal_conn_read_exactly(conn, buffer, 1), TEPAL_ECLOSED);
    assert_int_equal(tepal_conn_read_line(conn, 80, &text), TEPAL_ECLOSED);
    assert_int_equal(tepal_conn_read(conn, buffer, 16), 0);
    assert_null(conn->buffers->in.data);
    tepal_conn_close(conn);
    return 0;
}

static void calls_can_be_mixed(void **state)
{
    (void)state;
    static int families[] = { AF_UNIX, AF_INET };
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(mixed_calls, &families[i]), 0);
}

/* --- Large amounts ---------------------------------------------------------------------------- */

struct source {
    tepal_conn *conn;
    size_t n_lines;
};

/* Lines of all lengths: line i has i * 37 % 5000 octets of the letter i % 26. */
static size_t line_len(size_t i)
{
    return i * 37 % 5000;
}

static int write_lines(void *arg)
{
    struct source *s = arg;
    static char line[5002];
    int rc = 0;
    for (size_t i = 0; i < s->n_lines && rc == 0; i++) {
        size_t len = line_len(i);
        memset(line, (int)('a' + i % 26), len);
        memcpy(line + len, "\r\n", 2);
        rc = tepal_conn_write(s->conn, line, len + 2);
    }
    return rc < 0 ? rc : tepal_conn_shutdown(s->conn);
}

static int read_lines(void *arg)
{
    tepal_conn *ends[2];
    struct source source = { .n_lines = (size_t)times(3000) + 200 };
    char *line;
    connect_conns(AF_UNIX, ends);
    source.conn = ends[1];
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, write_lines, &source, NULL), 0);
    for (size_t i = 0; i < source.n_lines; i++) {
        size_t len = line_len(i);
        assert_int_equal(tepal_conn_read_line(ends[0], 5000, &line), (ssize_t)len);
        for (size_t k = 0; k < len; k += 97)
            assert_int_equal(line[k], 'a' + i % 26);
    }
    assert_int_equal(tepal_conn_read_line(ends[0], 5000, &line), TEPAL_ECLOSED);
    tepal_group_close(group);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    (void)arg;
    return 0;
}

static void many_lines(void **state)
{
    (void)state;
    assert_int_equal(run(read_lines, NULL), 0);
}

static int write_long_line(void *arg)
{
    struct source *s = arg;
    size_t len = s->n_lines;
    char *data = malloc(len + 1);
    memset(data, 'x', len);
    data[len] = '\n';
    int rc = tepal_conn_write(s->conn, data, len + 1);
    free(data);
    return rc;
}

/* The limit, however far from the buffer's first size it is: below, at and above. */
static int long_lines(void *arg)
{
    enum { MAX = 100000 };
    char *line;
    for (size_t len = MAX - 1; len <= MAX + 1; len++) {
        tepal_conn *ends[2];
        connect_conns(AF_UNIX, ends);
        struct source source = { .conn = ends[1], .n_lines = len };
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, write_long_line, &source, NULL), 0);
        ssize_t n = tepal_conn_read_line(ends[0], MAX, &line);
        if (len > MAX) {
            assert_int_equal(n, -EMSGSIZE);
            assert_true(ends[0]->buffers->in.cap <= MAX + 2);
            n = tepal_conn_read_line(ends[0], MAX + 1, &line);
        }
        assert_int_equal(n, (ssize_t)len);
        assert_int_equal(strlen(line), len);
        assert_int_equal(tepal_group_wait(group), 0);
        tepal_group_close(group);
        assert_int_equal(tepal_conn_write(ends[1], "\n", 1), 0);
        assert_int_equal(tepal_conn_read_line(ends[0], MAX, &line), 0);
        assert_int_equal(ends[0]->buffers->in.cap, LOOP_BUFFER_SIZE); /* small again */
        tepal_conn_close(ends[0]);
        tepal_conn_close(ends[1]);
    }
    (void)arg;
    return 0;
}

static void limits_of_long_lines(void **state)
{
    (void)state;
    assert_int_equal(run(long_lines, NULL), 0);
}

/* Around the size up to which it goes through the buffer, behind what is in it already. */
static int exact_sizes(void *arg)
{
    enum { AROUND = LOOP_BUFFER_SIZE };
    static const size_t sizes[] = { AROUND - 1, AROUND, AROUND + 1, 5 * AROUND };
    char *got = malloc(5 * AROUND), *line;
    for (int i = 0; i < 4; i++) {
        tepal_conn *ends[2];
        connect_conns(AF_UNIX, ends);
        struct source source = { .conn = ends[1], .n_lines = sizes[i] };
        assert_int_equal(tepal_conn_write(ends[1], "line\nab", 7), 0);
        assert_int_equal(tepal_conn_read_line(ends[0], 80, &line), 4);
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, write_long_line, &source, NULL), 0);
        assert_int_equal(tepal_conn_read_exactly(ends[0], got, sizes[i]), 0);
        assert_memory_equal(got, "abxx", 4);
        assert_int_equal(got[sizes[i] - 1], 'x');
        assert_int_equal(tepal_conn_read_line(ends[0], 80, &line), 2);
        assert_string_equal(line, "xx");
        assert_int_equal(tepal_group_wait(group), 0);
        tepal_group_close(group);
        tepal_conn_close(ends[0]);
        tepal_conn_close(ends[1]);
    }
    free(got);
    (void)arg;
    return 0;
}

static void exactly_any_size(void **state)
{
    (void)state;
    assert_int_equal(run(exact_sizes, NULL), 0);
}

/* --- Interruption ----------------------------------------------------------------------------- */

static int read_line_once(void *arg)
{
    char *line;
    return (int)tepal_conn_read_line(arg, 80, &line);
}

static int read_until_once(void *arg)
{
    char *data;
    return (int)tepal_conn_read_until(arg, "\r\n\r\n", 4, 80, &data);
}

static int read_eleven(void *arg)
{
    char data[11];
    return tepal_conn_read_exactly(arg, data, sizeof(data));
}

static char large[3 * LOOP_BUFFER_SIZE];

static int read_large(void *arg)
{
    return tepal_conn_read_exactly(arg, large, sizeof(large));
}

static int interrupt_all(void *arg)
{
    int peer;
    char *line;
    tepal_conn *conn = open_pair(*(int *)arg, &peer);
    for (int i = 0; i < 2; i++) { /* with nothing, and with something read that is not enough */
        expect_interruptible(read_line_once, conn);
        expect_interruptible(read_until_once, conn);
        expect_interruptible(read_eleven, conn);
        expect_interruptible(read_large, conn);
        if (i == 0)
            write_plain(peer, "unfinished", 10);
    }
    /* Nothing was lost, and a call that could be answered from the buffer is refused, too. */
    write_plain(peer, " line\nmore\nmore\r\n\r\nand more, longer", 35);
    assert_int_equal(tepal_conn_read_line(conn, 80, &line), 15);
    assert_string_equal(line, "unfinished line");
    expect_refusal(read_line_once, conn);
    expect_refusal(read_until_once, conn);
    expect_refusal(read_eleven, conn);
    assert_int_equal(tepal_conn_read_line(conn, 80, &line), 4);
    assert_string_equal(line, "more");
    tepal_conn_close(conn);
    close(peer);
    return 0;
}

static void interruption_loses_nothing(void **state)
{
    (void)state;
    static int families[] = { AF_UNIX, AF_INET };
    for (int i = 0; i < 2; i++)
        assert_int_equal(run_fake(interrupt_all, &families[i]), 0);
}

/* A direct read that was cut short: what it had is read again. */
static int interrupt_large(void *arg)
{
    int peer;
    static char data[2 * LOOP_BUFFER_SIZE];
    tepal_conn *conn = open_pair(AF_UNIX, &peer);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 31 + (i >> 8));
    for (size_t at = 0; at < sizeof(data); at += sizeof(data) / 8) {
        write_plain(peer, data + at, sizeof(data) / 8);
        int64_t before = tepal_deadline_in_ms(20);
        assert_int_equal(read_large(conn), -ETIMEDOUT);
        tepal_deadline_restore(before);
    }
    if (*(int *)arg) { /* the same at the end of the connection */
        close(peer);
        peer = -1;
        assert_int_equal(read_large(conn), TEPAL_ECLOSED);
    }
    assert_int_equal(tepal_conn_read_exactly(conn, large, sizeof(data)), 0);
    assert_memory_equal(large, data, sizeof(data));
    assert_null(conn->buffers->in.data);
    tepal_conn_close(conn);
    if (peer >= 0)
        close(peer);
    return 0;
}

static void large_reads_are_put_back(void **state)
{
    (void)state;
    static int variants[] = { 0, 1 };
    for (int i = 0; i < 2; i++)
        assert_int_equal(run_fake(interrupt_large, &variants[i]), 0);
}

static int second_reader(void *arg)
{
    int peer;
    char buffer[8], *line;
    tepal_conn *conn = open_pair(AF_UNIX, &peer);
    write_plain(peer, "un", 2);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, read_line_once, conn, NULL), 0);
    settle();
    /* It has octets in the buffer, which are its own until it has ended. */
    assert_int_equal(tepal_conn_read(conn, buffer, 8), -EBUSY);
    assert_int_equal(tepal_conn_read_exactly(conn, buffer, 1), -EBUSY);
    assert_int_equal(tepal_conn_read_until(conn, "n", 1, 8, &line), -EBUSY);
    assert_int_equal(tepal_conn_read_line(conn, 8, &line), -EBUSY);
    write_plain(peer, "cut\n", 4);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    tepal_conn_close(conn);
    close(peer);
    (void)arg;
    return 0;
}

static void one_reader_at_a_time(void **state)
{
    (void)state;
    assert_int_equal(run(second_reader, NULL), 0);
}

static int count_turns(void *arg)
{
    int rc;
    while ((rc = tepal_sleep_ms(0)) == 0)
        ++*(int *)arg;
    return rc;
}

/* Lines that are all in the buffer already. */
static int read_many_at_once(void *arg)
{
    enum { N = 1000 };
    int peer, n_turns = 0;
    char *line;
    tepal_conn *conn = open_pair(AF_UNIX, &peer);
    char data[2 * N];
    for (int i = 0; i < N; i++)
        memcpy(data + 2 * (size_t)i, "x\n", 2);
    write_plain(peer, data, sizeof(data));
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, count_turns, &n_turns, NULL), 0);
    settle();
    n_turns = 0;
    for (int i = 0; i < N; i++)
        assert_int_equal(tepal_conn_read_line(conn, 80, &line), 1);
    assert_true(n_turns > N / 50);
    tepal_group_close(group);
    tepal_conn_close(conn);
    close(peer);
    (void)arg;
    return 0;
}

static void others_have_their_turn(void **state)
{
    (void)state;
    assert_int_equal(run(read_many_at_once, NULL), 0);
}

/* --- Failures --------------------------------------------------------------------------------- */

static int peer_resets(void *arg)
{
    int peer;
    tepal_conn *conn = open_pair(AF_INET, &peer);
    tepal_group *group = tepal_group_new();
    write_plain(peer, "half", 4);
    assert_int_equal(tepal_spawn(group, read_line_once, conn, NULL), 0);
    settle();
    reset_fd(peer);
    assert_int_equal(tepal_group_wait(group), -ECONNRESET);
    tepal_group_close(group);
    tepal_conn_close(conn);
    (void)arg;
    return 0;
}

static void the_peer_vanishes(void **state)
{
    (void)state;
    assert_int_equal(run(peer_resets, NULL), 0);
}

/* Each allocation fails once: the call says so, and goes well when repeated. */
static int short_of_memory(void *arg)
{
    static char line_in[40000];
    char *line = NULL;
    memset(line_in, 'x', sizeof(line_in));
    line_in[sizeof(line_in) - 1] = '\n';
    size_t nth = 1;
    bool failed = true;
    for (; failed; nth++) {
        int peer;
        tepal_conn *conn = open_pair(AF_UNIX, &peer);
        write_plain(peer, line_in, sizeof(line_in));
        block_pool_clear(&loop_current->buffers);
        mem_fail_nth(nth, 0);
        ssize_t n = tepal_conn_read_line(conn, 50000, &line);
        failed = mem_failures() > 0;
        mem_fail_nth(0, 0);
        if (failed) {
            assert_int_equal(n, -ENOMEM);
            n = tepal_conn_read_line(conn, 50000, &line);
        }
        assert_int_equal(n, sizeof(line_in) - 1);
        assert_int_equal(strlen(line), n);
        tepal_conn_close(conn);
        close(peer);
    }
    assert_true(nth > 4); /* the struct, and the buffer as it grew */
    (void)arg;
    return 0;
}

/* Octets that could not be kept are not passed over in silence. */
static int lost_octets(void *arg)
{
    int peer;
    char *line;
    tepal_conn *conn = open_pair(AF_UNIX, &peer);
    write_plain(peer, large, LOOP_BUFFER_SIZE + 1); /* more than a block can take back */
    assert_int_equal(tepal_conn_read_exactly(conn, large, 0), 0); /* makes the struct */
    (void)tepal_deadline_in_ms(20);
    mem_fail_nth(1, 1);
    assert_int_equal(read_large(conn), -ENOMEM);
    mem_fail_nth(0, 0);
    tepal_deadline_restore(TEPAL_NEVER);
    write_plain(peer, "more\n", 5);
    assert_int_equal(tepal_conn_read_line(conn, 80, &line), -ENOMEM);
    assert_int_equal(tepal_conn_read_exactly(conn, large, 1), -ENOMEM);
    assert_int_equal(tepal_conn_read(conn, large, 80), -ENOMEM);
    tepal_conn_close(conn);
    close(peer);
    (void)arg;
    return 0;
}

static void memory_runs_out(void **state)
{
    (void)state;
    assert_int_equal(run(short_of_memory, NULL), 0);
    assert_int_equal(run_fake(lost_octets, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_at_every_octet),
        cmocka_unit_test(calls_can_be_mixed),
        cmocka_unit_test(many_lines),
        cmocka_unit_test(limits_of_long_lines),
        cmocka_unit_test(exactly_any_size),
        cmocka_unit_test(interruption_loses_nothing),
        cmocka_unit_test(large_reads_are_put_back),
        cmocka_unit_test(one_reader_at_a_time),
        cmocka_unit_test(others_have_their_turn),
        cmocka_unit_test(the_peer_vanishes),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
