/* Tests of one call that cancels many tasks, each of which waits on a connection: all are told, and
 * nothing is lost or left behind. */
#include "../sockets.h"

enum { PAIRS = 200, TASKS = 2 * PAIRS };

static struct reader {
    tepal_conn *conn;
    int result;
    bool ended;
} readers[TASKS];

static int read_some(void *arg)
{
    struct reader *r = arg;
    char buffer[8];
    r->result = (int)tepal_conn_read(r->conn, buffer, sizeof(buffer));
    r->ended = true;
    return r->result;
}

static void connect_readers(int family)
{
    memset(readers, 0, sizeof(readers));
    for (int i = 0; i < TASKS; i += 2) {
        tepal_conn *ends[2];
        connect_conns(family, ends);
        readers[i].conn = ends[0];
        readers[i + 1].conn = ends[1];
    }
}

static tepal_group *start_readers(void)
{
    tepal_group *group = tepal_group_new();
    assert_non_null(group);
    for (int i = 0; i < TASKS; i++) {
        readers[i].ended = false;
        assert_int_equal(tepal_spawn(group, read_some, &readers[i], NULL), 0);
    }
    settle();
    for (int i = 0; i < TASKS; i++)
        assert_ptr_not_equal(readers[i].conn->io.reader, NULL);
    return group;
}

static void close_readers(void)
{
    for (int i = 0; i < TASKS; i++)
        tepal_conn_close(readers[i].conn); /* misuse, if a task still waited */
}

/* The next octets go to the next read, and not to one that has ended. */
static int cancel_all_reads(void *arg)
{
    size_t before = loop_current->n_tasks, stacks = loop_current->stacks.n_used;
    connect_readers(*(int *)arg);
    for (int round = 0; round < 2; round++) {
        tepal_group *group = start_readers();
        tepal_group_cancel(group);
        for (int i = 0; i < TASKS; i++)
            assert_false(readers[i].ended); /* each one at its turn */
        assert_int_equal(tepal_group_wait(group), -ECANCELED);
        for (int i = 0; i < TASKS; i++)
            assert_int_equal(readers[i].result, -ECANCELED);
        tepal_group_close(group);
        assert_int_equal(loop_current->n_tasks, before);
        assert_int_equal(loop_current->stacks.n_used, stacks);
    }
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(tepal_conn_write(readers[i].conn, "hello", 5), 0);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(read_some(&readers[i]), 5);
        assert_int_equal(readers[i].result, 5);
    }
    close_readers();
    return 0;
}

static void all_reads_end(void **state)
{
    (void)state;
    int families[] = { AF_UNIX, AF_INET };
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(cancel_all_reads, &families[i]), 0);
}

/* The octets are there, but the loop has not looked: the read is cancelled, and the next one gets
 * them. Those whose tasks have been woken by them before have read them. */
static int cancel_as_octets_come(void *arg)
{
    (void)arg;
    connect_readers(AF_UNIX);
    tepal_group *group = start_readers();
    for (int i = 0; i < TASKS; i += 4)
        assert_int_equal(tepal_conn_write(readers[i].conn, "early", 5), 0);
    settle();
    for (int i = 2; i < TASKS; i += 4)
        assert_int_equal(tepal_conn_write(readers[i].conn, "late", 4), 0);
    tepal_group_cancel(group);
    assert_int_equal(tepal_group_wait(group), -ECANCELED);
    tepal_group_close(group);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(readers[i].result, i % 4 == 1 ? 5 : -ECANCELED);
    for (int i = 3; i < TASKS; i += 4)
        assert_int_equal(read_some(&readers[i]), 4);
    close_readers();
    return 0;
}

static void nothing_is_lost(void **state)
{
    (void)state;
    assert_int_equal(run(cancel_as_octets_come, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_reads_end),
        cmocka_unit_test(nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
