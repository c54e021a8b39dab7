/* Tests of the calls on connections that wait: reading, writing, both ways at once, ends and
 * interruptions. */
#include "../sockets.h"

static int families[] = { AF_INET, AF_UNIX };

static void each_family(tepal_task_fn *fn)
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(fn, &families[i]), 0);
}

/* The octet at each place of a long conn. */
static char pattern(size_t i)
{
    return (char)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static char *new_pattern(size_t len)
{
    char *data = malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = pattern(i);
    return data;
}

struct transfer {
    tepal_conn *conn;
    size_t len, done, step; /* step: how much is read at once */
    int64_t pause_ms;       /* before the first read */
    char *data;
};

static int read_all(void *arg)
{
    struct transfer *t = arg;
    char *buffer = malloc(t->step);
    ssize_t n;
    assert_int_equal(tepal_sleep_ms(t->pause_ms), 0);
    while ((n = tepal_conn_read(t->conn, buffer, t->step)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            if (buffer[i] != pattern(t->done + (size_t)i)) {
                free(buffer);
                return -EBADMSG;
            }
        t->done += (size_t)n;
    }
    free(buffer);
    return (int)n;
}

static int write_all(void *arg)
{
    struct transfer *t = arg;
    int rc = tepal_conn_write(t->conn, t->data, t->len);
    return rc < 0 ? rc : tepal_conn_shutdown(t->conn);
}

/* --- Reading and writing ---------------------------------------------------------------------- */

static int small_talk(void *arg)
{
    tepal_conn *ends[2];
    char buffer[16];
    connect_conns(*(int *)arg, ends);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(tepal_conn_write(ends[0], "ping", 4), 0);
        assert_int_equal(tepal_conn_read(ends[1], buffer, 2), 2); /* at most size octets */
        assert_int_equal(tepal_conn_read(ends[1], buffer + 2, 14), 2);
        assert_memory_equal(buffer, "ping", 4);
        assert_int_equal(tepal_conn_write(ends[1], "po", 2), 0);
        assert_int_equal(tepal_conn_write(ends[1], "", 0), 0);
        assert_int_equal(tepal_conn_write(ends[1], "ng", 2), 0);
        ssize_t n = 0;
        while (n < 4)
            n += tepal_conn_read(ends[0], buffer + n, (size_t)(16 - n));
        assert_memory_equal(buffer, "pong", 4);
    }
    tepal_conn_close(ends[0]);
    assert_int_equal(tepal_conn_read(ends[1], buffer, 16), 0);
    tepal_conn_close(ends[1]);
    tepal_conn_close(NULL);
    return 0;
}

static void reads_what_was_written(void **state)
{
    (void)state;
    each_family(small_talk);
}

/* The peer has ended its side, and goes on reading. */
static int half_close(void *arg)
{
    tepal_conn *ends[2];
    char buffer[16];
    connect_conns(*(int *)arg, ends);
    assert_int_equal(tepal_conn_write(ends[0], "question", 8), 0);
    assert_int_equal(tepal_conn_shutdown(ends[0]), 0);
    assert_int_equal(tepal_conn_write(ends[0], "x", 1), -EPIPE);
    assert_int_equal(tepal_conn_read(ends[1], buffer, 16), 8);
    assert_int_equal(tepal_conn_read(ends[1], buffer, 16), 0);
    assert_int_equal(tepal_conn_write(ends[1], "answer", 6), 0);
    assert_int_equal(tepal_conn_read(ends[0], buffer, 16), 6);
    assert_int_equal(tepal_conn_shutdown(ends[1]), 0);
    assert_int_equal(tepal_conn_read(ends[0], buffer, 16), 0);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

static void half_closed(void **state)
{
    (void)state;
    each_family(half_close);
}

/* Much in both directions at once, with readers that are slow at first. */
static int both_ways(void *arg)
{
    size_t len = RUNNING_ON_VALGRIND ? 1 << 20 : 8 << 20;
    tepal_conn *ends[2];
    connect_conns(*(int *)arg, ends);
    struct transfer writes[2], reads[2];
    char *data = new_pattern(len);
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 2; i++) {
        writes[i] = (struct transfer){ .conn = ends[i], .len = len, .data = data };
        reads[i] = (struct transfer){ .conn = ends[i], .step = i ? 65536 : 1777, .pause_ms = i };
        assert_int_equal(tepal_spawn(group, write_all, &writes[i], NULL), 0);
        assert_int_equal(tepal_spawn(group, read_all, &reads[i], NULL), 0);
    }
    assert_int_equal(tepal_group_wait(group), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(reads[i].done, len);
    tepal_group_close(group);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    free(data);
    return 0;
}

static void large_writes_with_back_pressure(void **state)
{
    (void)state;
    each_family(both_ways);
}

struct pieces {
    tepal_conn *conn;
    const tepal_bytes *pieces;
    size_t n;
};

static int write_pieces(void *arg)
{
    struct pieces *p = arg;
    int rc = tepal_conn_writev(p->conn, p->pieces, p->n);
    return rc < 0 ? rc : tepal_conn_shutdown(p->conn);
}

static int many_pieces(void *arg)
{
    enum { N = 1500 };
    static tepal_bytes pieces[N];
    size_t len = 0, max = 4 << 20;
    uint64_t seed = 3;
    char *data = new_pattern(max);
    for (int i = 0; i < N; i++) { /* of all sizes, none among them */
        uint32_t kind = next_random(&seed) % 10;
        size_t size = kind < 2   ? 0
                      : kind < 9 ? next_random(&seed) % 100
                                 : next_random(&seed) % 20000;
        pieces[i] = (tepal_bytes){ size ? data + len : NULL, size };
        len += size;
    }
    assert_true(len < max);
    static const size_t numbers[] = { N, 0, 1, 63, 64, 65, 129 };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        tepal_conn *ends[2];
        connect_conns(*(int *)arg, ends);
        struct pieces p = { ends[0], pieces, numbers[i] };
        struct transfer t = { .conn = ends[1], .step = 5000, .pause_ms = 1 };
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, write_pieces, &p, NULL), 0);
        assert_int_equal(tepal_spawn(group, read_all, &t, NULL), 0);
        assert_int_equal(tepal_group_wait(group), 0);
        size_t expected = 0;
        for (size_t k = 0; k < numbers[i]; k++)
            expected += pieces[k].len;
        assert_int_equal(t.done, expected);
        tepal_group_close(group);
        tepal_conn_close(ends[0]);
        tepal_conn_close(ends[1]);
    }
    free(data);
    return 0;
}

static void writev_of_many_pieces(void **state)
{
    (void)state;
    each_family(many_pieces);
}

struct file_part {
    tepal_conn *conn;
    int file;
    int64_t offset;
    size_t len;
};

static int send_part(void *arg)
{
    struct file_part *part = arg;
    int rc = tepal_conn_sendfile(part->conn, part->file, part->offset, part->len);
    (void)tepal_conn_shutdown(part->conn);
    return rc;
}

static int send_files(void *arg)
{
    enum { LEN = 2 << 20 };
    static const struct {
        int64_t begin; /* where the connection's pattern begins in the file */
        size_t len;
        int result;
    } rows[] = {
        { 0, LEN, 0 }, { 1000, LEN, 0 }, { 4096, 0, 0 }, { 77, LEN + 1, -EIO }, { 5000, 1, 0 }
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[] = "/tmp/tepal-test-XXXXXX", *data = new_pattern(LEN);
        int file = mkstemp(name);
        unlink(name);
        assert_int_equal(pwrite(file, data, LEN, rows[i].begin), LEN);
        free(data);
        tepal_conn *ends[2];
        connect_conns(*(int *)arg, ends);
        struct file_part part = { ends[0], file, rows[i].begin, rows[i].len };
        struct transfer t = { .conn = ends[1], .step = 30000, .pause_ms = 1 };
        tepal_group *group = tepal_group_new(), *readers = tepal_group_new();
        assert_int_equal(tepal_spawn(group, send_part, &part, NULL), 0);
        assert_int_equal(tepal_spawn(readers, read_all, &t, NULL), 0);
        assert_int_equal(tepal_group_wait(group), rows[i].result);
        assert_int_equal(tepal_group_wait(readers), 0);
        assert_int_equal(t.done, rows[i].len < LEN ? rows[i].len : LEN);
        assert_int_equal(lseek(file, 0, SEEK_CUR), 0); /* the file's own place does not move */
        tepal_group_close(group);
        tepal_group_close(readers);
        tepal_conn_close(ends[0]);
        tepal_conn_close(ends[1]);
        close(file);
    }
    return 0;
}

static int send_a_bad_file(void *arg)
{
    tepal_conn *ends[2];
    connect_conns(*(int *)arg, ends);
    assert_int_equal(tepal_conn_sendfile(ends[0], -1, 0, 10), -EBADF);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

static void sendfile_sends_parts_of_files(void **state)
{
    (void)state;
    each_family(send_files);
    each_family(send_a_bad_file);
}

/* --- Peers that go ---------------------------------------------------------------------------- */

static int write_for_ever(void *arg)
{
    static char data[1 << 18];
    int rc;
    while ((rc = tepal_conn_write(arg, data, sizeof(data))) == 0)
        continue;
    return rc;
}

static int read_once(void *arg)
{
    char buffer[10];
    return (int)tepal_conn_read(arg, buffer, sizeof(buffer));
}

static int peer_goes(void *arg)
{
    for (int reset = 0; reset < 2; reset++) {
        int fds[2];
        connect_fds(*(int *)arg, fds);
        tepal_conn *conn = open_conn(fds[0]);
        tepal_group *writers = tepal_group_new(), *readers = tepal_group_new();
        assert_int_equal(tepal_spawn(writers, write_for_ever, conn, NULL), 0);
        assert_int_equal(tepal_spawn(readers, read_once, conn, NULL), 0);
        settle();
        if (reset)
            reset_fd(fds[1]);
        else
            close(fds[1]); /* with unread data, so that this is a reset, too */
        int rc = tepal_group_wait(writers);
        assert_true(rc == -EPIPE || rc == -ECONNRESET);
        rc = tepal_group_wait(readers);
        assert_true(rc == 0 || rc == -ECONNRESET);
        assert_int_equal(tepal_conn_write(conn, "x", 1), -EPIPE);
        tepal_group_close(writers);
        tepal_group_close(readers);
        tepal_conn_close(conn);
    }
    return 0;
}

static void the_peer_goes(void **state)
{
    (void)state;
    each_family(peer_goes);
}

/* --- Interruption ----------------------------------------------------------------------------- */

static int sendfile_for_ever(void *arg)
{
    char name[] = "/tmp/tepal-test-XXXXXX";
    int file = mkstemp(name), rc;
    unlink(name);
    assert_int_equal(ftruncate(file, 1 << 20), 0);
    while ((rc = tepal_conn_sendfile(arg, file, 0, 1 << 20)) == 0)
        continue;
    close(file);
    return rc;
}

static int writev_for_ever(void *arg)
{
    static char data[1 << 18];
    tepal_bytes pieces[3] = { { data, 100 }, { data, sizeof(data) }, { data, 100 } };
    int rc;
    while ((rc = tepal_conn_writev(arg, pieces, 3)) == 0)
        continue;
    return rc;
}

static int interrupt_all(void *arg)
{
    tepal_conn *ends[2];
    connect_conns(*(int *)arg, ends);
    expect_interruptible(read_once, ends[0]);
    expect_interruptible(write_for_ever, ends[0]);
    expect_interruptible(writev_for_ever, ends[0]);
    expect_interruptible(sendfile_for_ever, ends[0]);
    /* Reading was interrupted many times, and nothing is lost. */
    assert_int_equal(tepal_conn_write(ends[1], "abc", 3), 0);
    expect_refusal(read_once, ends[0]);
    assert_int_equal(read_once(ends[0]), 3);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

static void every_call_can_be_interrupted(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run_fake(interrupt_all, &families[i]), 0);
}

/* Each wait of the inner calls has its own limit. */
static int wait_limits(void *arg)
{
    tepal_conn *ends[2];
    char buffer[10];
    connect_conns(AF_UNIX, ends);
    int64_t now = tepal_now_ms();
    assert_int_equal(conn_read(ends[0], buffer, 10, 250), -ETIMEDOUT);
    assert_true(tepal_now_ms() == now + 250);
    assert_int_equal(conn_wait_read(ends[0], now + 300), -ETIMEDOUT);
    assert_true(tepal_now_ms() == now + 300);
    (void)tepal_deadline_in_ms(50); /* the ambient one is earlier */
    assert_int_equal(conn_read(ends[0], buffer, 10, 1000), -ETIMEDOUT);
    assert_true(tepal_now_ms() == now + 350);
    tepal_deadline_restore(TEPAL_NEVER);
    assert_int_equal(tepal_conn_write(ends[1], "abc", 3), 0);
    assert_int_equal(conn_read(ends[0], buffer, 10, 250), 3);
    assert_int_equal(conn_read(ends[0], buffer, 10, INT64_MAX / 2), -ETIMEDOUT);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    (void)arg;
    return 0;
}

static void waits_have_limits(void **state)
{
    (void)state;
    assert_int_equal(run_fake(wait_limits, NULL), 0);
}

/* --- Two tasks on one connection -------------------------------------------------------------- */

/* A reader and a writer may use a connection at once; closing other connections in the same turn
 * does not disturb them. */
static int chat(void *arg)
{
    tepal_conn **ends = arg;
    char buffer[100];
    for (int i = 0; i < 50; i++) {
        int rc = tepal_conn_write(ends[0], "hello", 5);
        if (rc < 0)
            return rc;
        for (ssize_t n = 0; n < 5;) {
            ssize_t more = tepal_conn_read(ends[0], buffer, (size_t)(5 - n));
            if (more <= 0)
                return more < 0 ? (int)more : -EIO;
            n += more;
        }
    }
    tepal_conn_close(ends[0]);
    ends[0] = NULL;
    return 0;
}

static int many_pairs(void *arg)
{
    enum { N = 60 };
    static tepal_conn *ends[N][2];
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < N; i++) {
        connect_conns(*(int *)arg, ends[i]);
        assert_int_equal(tepal_spawn(group, chat, &ends[i][0], NULL), 0);
        assert_int_equal(tepal_spawn(group, chat, &ends[i][1], NULL), 0);
    }
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    return 0;
}

static void many_at_once(void **state)
{
    (void)state;
    each_family(many_pairs);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_what_was_written),
        TEST(half_closed),
        TEST(large_writes_with_back_pressure),
        TEST(writev_of_many_pieces),
        TEST(sendfile_sends_parts_of_files),
        TEST(the_peer_goes),
        TEST(every_call_can_be_interrupted),
        TEST(waits_have_limits),
        TEST(many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
