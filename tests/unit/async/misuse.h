/* For tests of what ends the program: a call that is used wrongly, in a process of its own. */
#ifndef TEPAL_TESTS_UNIT_ASYNC_MISUSE_H
#define TEPAL_TESTS_UNIT_ASYNC_MISUSE_H

#include "in_loop.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs fn(NULL) as the first task of a loop: it must end the program with this message. */
static inline void expect_misuse(tepal_task_fn *fn, const char *message)
{
    int ends[2], status;
    char said[2048], rest[512];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL); /* cmocka has a handler of its own */
        loop_current = NULL;
        tepal_main(fn, NULL);
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while ((n = read(ends[0], said + len, sizeof(said) - 1 - len)) > 0)
        len += (size_t)n;
    said[len] = '\0';
    while (read(ends[0], rest, sizeof(rest)) > 0) /* what a sanitizer has to say */
        continue;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!strstr(said, message))
        fail_msg("\"%s\" is not in: %s", message, said);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

#endif
