/* What the tests of processes share: programs to start, and the proof that none is left. */
#ifndef TEPAL_TESTS_UNIT_NET_CHILDREN_H
#define TEPAL_TESTS_UNIT_NET_CHILDREN_H

#include "../async/misuse.h"
#include "sockets.h"

#include <signal.h>
#include <sys/wait.h>

/* Runs fn(arg) in a loop, and sees that there is neither a descriptor nor a child after it. */
static inline void run_children(tepal_task_fn *fn)
{
    assert_int_equal(run(fn, NULL), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* The words that run a line in a shell; static, until the next call. */
static inline const char *const *shell(const char *line)
{
    static const char *words[] = { "/bin/sh", "-c", NULL, NULL };
    words[2] = line;
    return words;
}

static inline tepal_process *start_process(const char *line, const tepal_process_options *options)
{
    tepal_process *process = NULL;
    assert_int_equal(tepal_process_open(&process, shell(line), options), 0);
    assert_true(tepal_process_pid(process) > 0);
    return process;
}

/* Reads until the end, or until there is no room. */
static inline const char *read_text(tepal_conn *conn, char *text, size_t size)
{
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = tepal_conn_read(conn, text + len, size - 1 - len)) != 0) {
        assert_true(n > 0);
        len += (size_t)n;
    }
    text[len] = '\0';
    return text;
}

/* Reads a line, by which the program says that it has come so far. */
static inline void await_line(tepal_conn *conn, const char *line)
{
    char octet;
    for (; *line; line++) {
        assert_int_equal(tepal_conn_read(conn, &octet, 1), 1);
        assert_int_equal(octet, *line);
    }
    assert_int_equal(tepal_conn_read(conn, &octet, 1), 1);
    assert_int_equal(octet, '\n');
}

static inline void expect_end(tepal_process *process, int exit_code, int signal)
{
    tepal_process_status status = { 77, 77 };
    assert_int_equal(tepal_process_wait(process, &status), 0);
    assert_int_equal(status.exit_code, exit_code);
    assert_int_equal(status.signal, signal);
}

#endif
