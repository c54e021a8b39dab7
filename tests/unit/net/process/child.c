/* Tests of what a child of fork() has inherited: whatever it closes is harmless to its parent. */
#include "../children.h"
#include "../folder.h"

#include <poll.h>
#include <sys/stat.h>
#include <tepal/udp.h>

/* Calls fn(arg) in a child of this process, which must come back from it. */
static void in_child(void (*fn)(void *arg), void *arg)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        fn(arg);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static bool exists(void)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void close_listener(void *listener)
{
    tepal_listener_close(listener);
}

static int accept_one(void *arg)
{
    tepal_conn *conn;
    int rc = tepal_listener_open_conn(arg, &conn);
    if (rc == 0)
        tepal_conn_close(conn);
    return rc;
}

/* Also while a task of the parent waits for a connection. */
static int listen_and_fork(void *arg)
{
    (void)arg;
    tepal_listener *listener;
    tepal_conn *client;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_listener_open(&listener, &(tepal_listener_options){ .path = path }), 0);
    in_child(close_listener, listener);
    assert_true(exists());
    assert_int_equal(tepal_spawn(group, accept_one, listener, NULL), 0);
    settle();
    in_child(close_listener, listener);
    assert_true(exists());
    assert_int_equal(tepal_conn_open_unix(&client, path), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_conn_close(client);
    tepal_group_close(group);
    tepal_listener_close(listener);
    assert_false(exists());
    return 0;
}

static void a_listener(void **state)
{
    (void)state;
    assert_int_equal(run(listen_and_fork, NULL), 0);
}

static void close_udp(void *udp)
{
    tepal_udp_close(udp);
}

static int open_udp_and_fork(void *arg)
{
    (void)arg;
    tepal_udp *udp;
    assert_int_equal(tepal_udp_open(&udp, &(tepal_udp_options){ .path = path }), 0);
    in_child(close_udp, udp);
    assert_true(exists());
    tepal_udp_close(udp);
    assert_false(exists());
    return 0;
}

static void a_socket_for_datagrams(void **state)
{
    (void)state;
    assert_int_equal(run(open_udp_and_fork, NULL), 0);
}

static void close_process(void *process)
{
    tepal_process_close(process);
}

/* Nothing of the parent's processes is killed: not one that runs, nor what is left of a group whose
 * leader has ended. */
static int start_and_fork(void *arg)
{
    static const tepal_process_options options = { .own_group = true, .out = TEPAL_STDIO_PIPE };
    const char *line = arg;
    tepal_process *process = start_process(line, &options);
    await_line(tepal_process_stdout(process), "ready");
    if (strstr(line, "& echo"))
        expect_end(process, 0, 0);
    in_child(close_process, process);
    struct pollfd output = { .fd = tepal_process_stdout(process)->io.fd };
    assert_int_equal(poll(&output, 1, 20), 0); /* somebody can still write to it */
    tepal_process_close(process);
    return 0;
}

static void a_process(void **state)
{
    (void)state;
    assert_int_equal(run(start_and_fork, "echo ready; exec sleep 1000"), 0);
    assert_int_equal(run(start_and_fork, "sleep 1000 & echo ready"), 0);
}

static void close_conn(void *conn)
{
    tepal_conn_close(conn);
}

static void abort_conn(void *conn)
{
    tepal_conn_abort(conn);
}

static int read_in_parent(void *conn)
{
    char octet;
    return tepal_conn_read(conn, &octet, 1) == 1 ? 0 : -EIO;
}

/* What was written and has not gone yet is sent once; and the parent may be in the middle of a
 * read. */
static int write_and_fork(void *arg)
{
    void (*fn)(void *) = arg ? abort_conn : close_conn;
    tepal_conn *ends[2];
    char text[10];
    tepal_group *group = tepal_group_new();
    connect_conns(AF_INET, ends);
    assert_int_equal(tepal_spawn(group, read_in_parent, ends[0], NULL), 0);
    settle();
    assert_int_equal(tepal_conn_write(ends[0], "once", 4), 0);
    in_child(fn, ends[0]);
    assert_int_equal(tepal_conn_write(ends[1], "x", 1), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    tepal_conn_close(ends[0]);
    assert_string_equal(read_text(ends[1], text, sizeof(text)), "once"); /* and no reset */
    tepal_conn_close(ends[1]);
    return 0;
}

static void a_conn(void **state)
{
    (void)state;
    assert_int_equal(run(write_and_fork, NULL), 0);
    assert_int_equal(run(write_and_fork, "abort"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener),
        cmocka_unit_test(a_socket_for_datagrams),
        cmocka_unit_test(a_process),
        cmocka_unit_test(a_conn),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
