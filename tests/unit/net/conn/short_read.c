/* Tests of descriptors on which a read stops although there is more: urgent data, packets of a
 * pipe, sockets of the program. No octet may lie there while a reader waits. */
#include "../sockets.h"

#include "net/conn/pipe.h"

/* Writes the parts with an urgent octet between. Returns false where there is no urgent data. */
static bool send_urgently(int fd, const char *before, const char *behind)
{
    assert_int_equal(send(fd, before, strlen(before), 0), (ssize_t)strlen(before));
    if (send(fd, "!", 1, MSG_OOB) < 0) { /* of Unix sockets since Linux 5.15 */
        assert_int_equal(errno, EOPNOTSUPP);
        return false;
    }
    assert_int_equal(send(fd, behind, strlen(behind), 0), (ssize_t)strlen(behind));
    return true;
}

static void expect_line(tepal_conn *conn, const char *expected)
{
    char *line;
    int64_t before = tepal_deadline_in_ms(5000);
    assert_int_equal(tepal_conn_read_line(conn, 100, &line), strlen(expected));
    assert_string_equal(line, expected);
    tepal_deadline_restore(before);
}

/* All of it has come before it is read, or a part comes while the reader waits. */
static int read_around_urgent_data(void *arg)
{
    int family = *(int *)arg, fds[2];
    for (int early = 0; early < 2; early++) {
        tepal_conn *conn = NULL;
        connect_fds(family, fds);
        assert_int_equal(conn_new_socket(&conn, loop_current, fds[0], family), 0);
        settle();
        if (!early) {
            assert_int_equal(write(fds[1], "zero\n", 5), 5);
            expect_line(conn, "zero");
        }
        if (send_urgently(fds[1], "one\ntw", "o\n")) {
            if (early)
                settle();
            expect_line(conn, "one");
            expect_line(conn, "two");
            assert_int_equal(write(fds[1], "three\n", 6), 6); /* and as ever after it */
            expect_line(conn, "three");
        }
        tepal_conn_close(conn);
        close(fds[1]);
    }
    return 0;
}

static void urgent_data(void **state)
{
    static int families[] = { AF_INET, AF_UNIX };
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(read_around_urgent_data, &families[i]), 0);
}

/* Without a buffer, and with one that is larger than what comes. */
static int read_pieces(void *arg)
{
    int fds[2];
    char buffer[100];
    size_t len = 0;
    connect_fds(AF_INET, fds);
    tepal_conn *conn = open_conn(fds[0]);
    assert_true(send_urgently(fds[1], "abc", "def"));
    settle();
    (void)tepal_deadline_in_ms(5000);
    while (len < 6) {
        ssize_t n = tepal_conn_read(conn, buffer + len, sizeof(buffer) - len);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_int_equal(len, 6);
    assert_memory_equal(buffer, "abcdef", 6);
    tepal_conn_close(conn);
    close(fds[1]);
    (void)arg;
    return 0;
}

static void urgent_data_without_lines(void **state)
{
    (void)state;
    assert_int_equal(run(read_pieces, NULL), 0);
}

/* A read gives one packet at a time, however many there are. */
static int read_packets(void *arg)
{
    tepal_conn *conn;
    char buffer[100];
    int other;
    assert_int_equal(pipe_open(&conn, &other, loop_current, false), 0);
    assert_int_equal(fcntl(other, F_SETFL, O_DIRECT), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(write(other, "packet", 6), 6);
    settle();
    (void)tepal_deadline_in_ms(5000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tepal_conn_read(conn, buffer, sizeof(buffer)), 6);
    close(other);
    assert_int_equal(tepal_conn_read(conn, buffer, sizeof(buffer)), 0);
    tepal_conn_close(conn);
    (void)arg;
    return 0;
}

static void packets_of_a_pipe(void **state)
{
    (void)state;
    assert_int_equal(run(read_packets, NULL), 0);
}

/* Of a socket of the program it is not known when its reads stop: only that nothing is there says
 * that nothing is there. */
static int read_foreign(void *arg)
{
    int fds[2];
    char buffer[100];
    tepal_conn *conn;
    connect_fds(*(int *)arg, fds);
    assert_int_equal(tepal_conn_open_fd(&conn, fds[0]), 0);
    assert_int_equal(write(fds[1], "abc", 3), 3);
    assert_int_equal(tepal_conn_read(conn, buffer, sizeof(buffer)), 3);
    assert_true(conn->io.state & IO_READ);
    int64_t before = tepal_deadline_in_ms(1);
    assert_int_equal(tepal_conn_read(conn, buffer, sizeof(buffer)), -ETIMEDOUT);
    tepal_deadline_restore(before);
    assert_false(conn->io.state & IO_READ);
    assert_int_equal(write(fds[1], "def", 3), 3);
    assert_int_equal(tepal_conn_read(conn, buffer, sizeof(buffer)), 3);
    tepal_conn_close(conn);
    close(fds[1]);
    return 0;
}

static void sockets_of_the_program(void **state)
{
    static int families[] = { AF_INET, AF_UNIX };
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(read_foreign, &families[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urgent_data),
        cmocka_unit_test(urgent_data_without_lines),
        cmocka_unit_test(packets_of_a_pipe),
        cmocka_unit_test(sockets_of_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
