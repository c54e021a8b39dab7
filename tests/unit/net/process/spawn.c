/* Tests of what a program is started with, and of whose process it is when others reap, too. */
#include "../children.h"

#include "base/fd_limit.h"

#include <sys/prctl.h>
#include <sys/stat.h>

static const tepal_process_options to_read = { .out = TEPAL_STDIO_PIPE };

/* Runs fn in a loop of a process of its own, whose limits, signals and children are not ours.
 * Returns its status. */
static int run_apart(tepal_task_fn *fn, void *arg)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        loop_current = NULL;
        _exit(tepal_main(fn, arg));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

enum { SKIPPED = 77 };

static void expect_apart(tepal_task_fn *fn, void *arg)
{
    int status = run_apart(fn, arg);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        skip();
    assert_int_equal(status, 0);
}

/* --- Reaped by others ------------------------------------------------------------------------- */

/* What a program does that reaps all its children by itself. Waits until there was one. */
static void reap_one(void)
{
    while (waitpid(-1, NULL, 0) < 0)
        assert_int_equal(errno, EINTR);
}

/* A child of ours with this number, or 0 where numbers cannot be had for the asking. */
static pid_t bystander_with(pid_t number)
{
    for (int i = 0; i < 20; i++) {
        FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "w");
        if (!file)
            return 0;
        fprintf(file, "%d", (int)number - 1);
        if (fclose(file) != 0)
            return 0;
        pid_t child = fork();
        if (child == 0) {
            setpgid(0, 0);
            while (true)
                pause();
        }
        setpgid(child, child);
        if (child == number)
            return child;
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    return 0;
}

static int signal_in_time(void *arg)
{
    tepal_process *process;
    tepal_process_options options = { .own_group = arg != NULL };
    assert_int_equal(tepal_process_open(&process, shell("exit 3"), &options), 0);
    pid_t number = tepal_process_pid(process);
    reap_one(); /* and the loop has not looked yet */
    pid_t bystander = bystander_with(number);
    if (bystander == 0)
        return SKIPPED;
    assert_int_equal(tepal_process_signal(process, SIGTERM), -ESRCH);
    assert_int_equal(tepal_process_wait(process, NULL), -ECHILD);
    assert_int_equal(tepal_process_signal(process, SIGKILL), -ESRCH);
    tepal_process_close(process);
    assert_int_equal(kill(bystander, 0), 0);
    assert_int_equal(waitpid(bystander, NULL, WNOHANG), 0); /* it lives */
    kill(bystander, SIGKILL);
    waitpid(bystander, NULL, 0);
    return 0;
}

static void bystanders_are_not_hit(void **state)
{
    (void)state;
    if (RUNNING_ON_VALGRIND) /* it does not know pidfd_send_signal(): the number is all there is */
        skip();
    expect_apart(signal_in_time, NULL);
    expect_apart(signal_in_time, "group");
}

static void on_child(int signal)
{
    int saved = errno;
    (void)signal;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
    errno = saved;
}

/* All of them end, whatever can be said of how. */
static int start_and_end(void *arg)
{
    static const char *const lines[] = { "exit 0", "exec sleep 1000" };
    if (arg) {
        struct sigaction action = { .sa_handler = on_child, .sa_flags = SA_RESTART };
        sigaction(SIGCHLD, &action, NULL);
    } else {
        signal(SIGCHLD, SIG_IGN);
    }
    for (int i = 0; i < times(100); i++) {
        tepal_process *process = NULL;
        tepal_process_options options = { .own_group = i % 3 == 0 };
        int rc = tepal_process_open(&process, shell(lines[i % 2]), &options);
        if (rc == -ECHILD)
            continue; /* where there is no pidfd from the beginning */
        assert_int_equal(rc, 0);
        if (i % 2 == 0) {
            rc = tepal_process_wait(process, NULL);
            assert_true(rc == 0 || rc == -ECHILD);
        }
        tepal_process_close(process);
    }
    static const char *const nothing[] = { "/nowhere/at/all", NULL };
    tepal_process *process;
    if (!RUNNING_ON_VALGRIND)
        assert_int_equal(tepal_process_open(&process, nothing, NULL), -ENOENT);
    return 0;
}

static void others_reap(void **state)
{
    (void)state;
    expect_apart(start_and_end, NULL);
    expect_apart(start_and_end, "handler");
}

/* --- What it begins with ---------------------------------------------------------------------- */

static void expect_limit(const char *expected)
{
    char text[100];
    tepal_process *process = start_process("ulimit -Sn; ulimit -Hn", &to_read);
    assert_string_equal(read_text(tepal_process_stdout(process), text, sizeof(text)), expected);
    expect_end(process, 0, 0);
    tepal_process_close(process);
}

static int limit_descriptors(void *arg)
{
    struct rlimit limit = { .rlim_cur = 200, .rlim_max = 400 };
    (void)arg;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    expect_limit("200\n400\n");
    assert_int_equal(fd_limit_raise(), 0);
    assert_int_equal(fd_limit_raise(), 0); /* nothing more */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, 400);
    expect_limit("200\n400\n");
    /* What the program sets itself its children get. */
    limit.rlim_cur = 300;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    expect_limit("300\n400\n");
    return 0;
}

static void limits_are_as_they_were(void **state)
{
    (void)state;
    if (RUNNING_ON_VALGRIND) /* which has descriptors of its own up there */
        skip();
    expect_apart(limit_descriptors, NULL);
}

/* In a folder that comes later in the PATH; one that may not be run does not end the search. */
static int search_path(void *arg)
{
    char folder[] = "/tmp/tepal-path-XXXXXX", text[300], name[300];
    assert_non_null(mkdtemp(folder));
    snprintf(name, sizeof(name), "%s/tepal-true", folder);
    assert_int_equal(symlink("/bin/true", name), 0);
    snprintf(name, sizeof(name), "%s/tepal-forbidden", folder);
    close(open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    snprintf(text, sizeof(text), "/nowhere:/etc/passwd::%s", folder);
    assert_int_equal(setenv("PATH", text, 1), 0);
    static const struct {
        const char *name;
        int rc;
    } rows[] = { { "tepal-true", 0 },
                 { "tepal-forbidden", -EACCES },
                 { "tepal-nothing", -ENOENT },
                 { "", -ENOENT },
                 { "./tepal-true", -ENOENT } };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *argv[] = { rows[i].name, NULL };
        tepal_process *process = NULL;
        if (rows[i].rc < 0 && RUNNING_ON_VALGRIND)
            continue;
        assert_int_equal(tepal_process_open(&process, argv, NULL), rows[i].rc);
        if (process)
            expect_end(process, 0, 0);
        tepal_process_close(process);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* those that failed are not left */
    unlink(name);
    snprintf(name, sizeof(name), "%s/tepal-true", folder);
    unlink(name);
    rmdir(folder);
    (void)arg;
    return 0;
}

static void programs_are_searched_for(void **state)
{
    (void)state;
    expect_apart(search_path, NULL);
}

/* --- The end of this program ------------------------------------------------------------------ */

static int be_killed(void *to)
{
    tepal_process *process;
    tepal_process_options options = { .death_signal = SIGTERM };
    assert_int_equal(tepal_process_open(&process, shell("exec sleep 1000"), &options), 0);
    pid_t pid = tepal_process_pid(process);
    assert_int_equal(write(*(int *)to, &pid, sizeof(pid)), sizeof(pid));
    return kill(getpid(), SIGKILL);
}

static void it_dies_with_us(void **state)
{
    int ends[2], status;
    pid_t pid;
    (void)state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* the orphan becomes ours */
    assert_int_equal(pipe(ends), 0);
    status = run_apart(be_killed, &ends[1]);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(read(ends[0], &pid, sizeof(pid)), sizeof(pid));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
    close(ends[0]);
    close(ends[1]);
}

static int ask_for_no_signal(void *arg)
{
    tepal_process *process = arg;
    const int wrong[] = { -1, 65, 12345 };
    for (int i = 0; i < 3; i++) {
        tepal_process_options options = { .death_signal = wrong[i] };
        assert_int_equal(tepal_process_open(&process, shell("exit 0"), &options), -EINVAL);
    }
    return 0;
}

static void a_death_signal_is_one(void **state)
{
    (void)state;
    run_children(ask_for_no_signal);
}

/* --- Closing ---------------------------------------------------------------------------------- */

static int wait_for(void *arg)
{
    return tepal_process_wait(arg, NULL);
}

static int read_output(void *arg)
{
    char text[10];
    return (int)tepal_conn_read(tepal_process_stdout(arg), text, sizeof(text));
}

/* It runs when it is closed under tasks that have been cancelled. */
static int close_running(void *arg)
{
    tepal_process *process = start_process("exec sleep 1000", &to_read);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, wait_for, process, NULL), 0);
    assert_int_equal(tepal_spawn(group, read_output, process, NULL), 0);
    settle();
    tepal_group_cancel(group);
    tepal_process_close(process);
    assert_int_equal(tepal_group_wait(group), -ECANCELED);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

struct ending {
    tepal_process *process;
    tepal_group *waiters;
};

/* The first one that is told of the end: the other one is cancelled before it has run. */
static int close_ended(void *arg)
{
    struct ending *e = arg;
    int rc = read_output(e->process); /* its end comes with that of the process */
    while (rc == 0 && tepal_process_signal(e->process, 0) == 0)
        rc = tepal_sleep_ms(0);
    tepal_group_cancel(e->waiters);
    tepal_process_close(e->process);
    return rc;
}

static int close_when_ended(void *arg)
{
    struct ending e = { .waiters = tepal_group_new() };
    tepal_group *group = tepal_group_new();
    e.process = start_process(
        "exec cat", &(tepal_process_options){ .in = TEPAL_STDIO_PIPE, .out = TEPAL_STDIO_PIPE });
    assert_int_equal(tepal_spawn(e.waiters, wait_for, e.process, NULL), 0);
    settle();
    assert_int_equal(tepal_conn_shutdown(tepal_process_stdin(e.process)), 0);
    assert_int_equal(tepal_spawn(group, close_ended, &e, NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    int rc = tepal_group_wait(e.waiters);
    assert_true(rc == 0 || rc == -ECANCELED);
    tepal_group_close(e.waiters);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void closed_under_tasks_that_leave(void **state)
{
    (void)state;
    run_children(close_running);
    run_children(close_when_ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bystanders_are_not_hit),
        cmocka_unit_test(others_reap),
        cmocka_unit_test(limits_are_as_they_were),
        cmocka_unit_test(programs_are_searched_for),
        cmocka_unit_test(it_dies_with_us),
        cmocka_unit_test(a_death_signal_is_one),
        cmocka_unit_test(closed_under_tasks_that_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
