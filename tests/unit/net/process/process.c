/* Tests of processes: how they start, what they are given, and that each one ends and is reaped.
 *
 * Not under valgrind what cannot be started: it turns the vfork() in clone() into a fork(), so that
 * nothing is told, and searches the whole copy for leaks. */
#include "../children.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const tepal_process_options all_pipes = { TEPAL_STDIO_PIPE, TEPAL_STDIO_PIPE,
                                                 TEPAL_STDIO_PIPE };
static const tepal_process_options to_read = { .out = TEPAL_STDIO_PIPE };

static bool is_there(pid_t pid)
{
    return kill(pid, 0) == 0;
}

/* --- Ends ------------------------------------------------------------------------------------- */

static void await_stop(pid_t pid)
{
    siginfo_t info = { 0 };
    while (info.si_pid != pid) {
        assert_int_equal(tepal_sleep_ms(1), 0);
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT | WNOHANG), 0);
    }
}

static int end_somehow(void *arg)
{
    static const struct {
        const char *line;
        int exit_code, signal;
    } rows[] = {
        { "exit 0", 0, 0 },
        { "exit 1", 1, 0 },
        { "exit 255", 255, 0 },
        { "kill -TERM $$", -1, 15 },
        { "kill -KILL $$", -1, 9 },
        { "kill -ABRT $$", -1, 6 },
        { "kill -STOP $$; exit 5", 5, 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tepal_process *process = start_process(rows[i].line, NULL);
        if (strstr(rows[i].line, "STOP")) { /* that is no end */
            await_stop(tepal_process_pid(process));
            assert_int_equal(tepal_process_signal(process, SIGCONT), 0);
        }
        expect_end(process, rows[i].exit_code, rows[i].signal);
        expect_end(process, rows[i].exit_code, rows[i].signal); /* as often as one likes */
        assert_int_equal(tepal_process_wait(process, NULL), 0);
        assert_false(is_there(tepal_process_pid(process)));
        tepal_process_close(process);
    }
    tepal_process_close(NULL);
    (void)arg;
    return 0;
}

static void tells_how_it_ended(void **state)
{
    (void)state;
    run_children(end_somehow);
}

/* Nobody waits, and yet there is no zombie. */
static int forget(void *arg)
{
    tepal_process *process = start_process("exit 3", NULL);
    while (is_there(tepal_process_pid(process)))
        assert_int_equal(tepal_sleep_ms(1), 0);
    assert_int_equal(tepal_process_signal(process, SIGTERM), -ESRCH);
    expect_end(process, 3, 0);
    tepal_process_close(process);
    (void)arg;
    return 0;
}

static void reaps_by_itself(void **state)
{
    (void)state;
    run_children(forget);
}

static int wait_for(void *arg)
{
    return tepal_process_wait(arg, NULL);
}

static int interrupt_wait(void *arg)
{
    tepal_process *process = start_process("exec sleep 1000", NULL);
    expect_interruptible(wait_for, process);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, wait_for, process, NULL), 0);
    settle();
    assert_int_equal(tepal_process_wait(process, NULL), -EBUSY);
    assert_int_equal(tepal_process_signal(process, 0), 0);
    assert_int_equal(tepal_process_signal(process, 12345), -EINVAL);
    assert_int_equal(tepal_process_signal(process, SIGUSR1), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    expect_end(process, -1, SIGUSR1);
    tepal_process_close(process);
    (void)arg;
    return 0;
}

static void waiting_can_be_interrupted(void **state)
{
    (void)state;
    run_children(interrupt_wait);
}

/* --- What it is given ------------------------------------------------------------------------- */

static int talk(void *arg)
{
    char text[100];
    tepal_process *process = start_process("cat; echo done >&2", &all_pipes);
    tepal_conn *in = tepal_process_stdin(process), *out = tepal_process_stdout(process);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(tepal_conn_write(in, "hello\n", 6), 0);
        await_line(out, "hello");
    }
    assert_int_equal(tepal_conn_shutdown(in), 0);
    assert_int_equal(tepal_conn_write(in, "x", 1), -EPIPE);
    assert_string_equal(read_text(out, text, sizeof(text)), "");
    assert_string_equal(read_text(tepal_process_stderr(process), text, sizeof(text)), "done\n");
    expect_end(process, 0, 0);
    tepal_process_close(process);
    /* Closing one early is ending it, too. */
    process = start_process("cat; while echo more; do :; done", &all_pipes);
    tepal_conn_close(tepal_process_stdin(process));
    assert_null(tepal_process_stdin(process));
    await_line(tepal_process_stdout(process), "more");
    tepal_conn_close(tepal_process_stdout(process));
    tepal_conn_close(tepal_process_stderr(process));
    assert_null(tepal_process_stdout(process));
    assert_null(tepal_process_stderr(process));
    expect_end(process, -1, SIGPIPE);
    tepal_process_close(process);
    /* Writing to one that does not read. */
    process = start_process("exit 0", &all_pipes);
    expect_end(process, 0, 0);
    assert_int_equal(tepal_conn_write(tepal_process_stdin(process), "x", 1), -EPIPE);
    tepal_process_close(process);
    (void)arg;
    return 0;
}

static void pipes_are_conns(void **state)
{
    (void)state;
    run_children(talk);
}

/* What the line writes to standard output. */
static void expect_output(const char *line, const tepal_process_options *options, const char *text)
{
    char found[4000];
    tepal_process *process = start_process(line, options);
    tepal_conn *pipe = options->out == TEPAL_STDIO_PIPE ? tepal_process_stdout(process)
                                                        : tepal_process_stderr(process);
    assert_string_equal(read_text(pipe, found, sizeof(found)), text);
    expect_end(process, 0, 0);
    tepal_process_close(process);
}

static int redirect(void *arg)
{
    char mine[3][200] = { "", "", "" }, line[640];
    for (int fd = 0; fd < 3; fd++) {
        snprintf(line, sizeof(line), "/proc/self/fd/%d", fd);
        assert_true(readlink(line, mine[fd], sizeof(mine[fd]) - 1) > 0);
    }
    tepal_process *process = start_process("exit 0", NULL);
    assert_null(tepal_process_stdin(process));
    assert_null(tepal_process_stdout(process));
    assert_null(tepal_process_stderr(process));
    expect_end(process, 0, 0);
    tepal_process_close(process);
    snprintf(line, sizeof(line), "%s\n%s\n", mine[0], mine[2]);
    expect_output("readlink /proc/$$/fd/0 /proc/$$/fd/2", &to_read, line);
    tepal_process_options options = { TEPAL_STDIO_INHERIT, TEPAL_STDIO_INHERIT, TEPAL_STDIO_PIPE };
    snprintf(line, sizeof(line), "%s\n%s\n", mine[0], mine[1]);
    expect_output("x=$(readlink /proc/$$/fd/0 /proc/$$/fd/1); echo \"$x\" >&2", &options, line);
    options = (tepal_process_options){ TEPAL_STDIO_NULL, TEPAL_STDIO_PIPE, TEPAL_STDIO_NULL };
    expect_output("readlink /proc/$$/fd/0 /proc/$$/fd/2", &options, "/dev/null\n/dev/null\n");
    options = (tepal_process_options){ .out = TEPAL_STDIO_PIPE, .err = TEPAL_STDIO_OUTPUT };
    expect_output("echo out; echo err >&2; echo out", &options, "out\nerr\nout\n");
    options = (tepal_process_options){ .out = TEPAL_STDIO_NULL, .err = TEPAL_STDIO_OUTPUT };
    process = start_process("test /dev/null -ef /proc/$$/fd/2", &options);
    expect_end(process, 0, 0);
    tepal_process_close(process);
    (void)arg;
    return 0;
}

static void standard_descriptors(void **state)
{
    (void)state;
    run_children(redirect);
}

static int surround(void *arg)
{
    static const char *const env[] = { "GREETING=hello world", "PATH=/usr/bin:/bin", NULL };
    tepal_process_options options = to_read;
    setenv("TEPAL_TEST_VALUE", "inherited", 1);
    expect_output("echo $TEPAL_TEST_VALUE", &options, "inherited\n");
    options.cwd = "/proc";
    expect_output("pwd", &options, "/proc\n");
    options.env = env;
    expect_output("echo $GREETING$TEPAL_TEST_VALUE", &options, "hello world\n");
    /* A name is searched for, a path is not, and the arguments are left as they are. */
    const char *argv[] = { "printf", "%s,", "a b", "$HOME", "*", "", "'", NULL };
    char text[100];
    tepal_process *process;
    assert_int_equal(tepal_process_open(&process, argv, &to_read), 0);
    read_text(tepal_process_stdout(process), text, sizeof(text));
    assert_string_equal(text, "a b,$HOME,*,,',");
    expect_end(process, 0, 0);
    tepal_process_close(process);
    (void)arg;
    return 0;
}

static void environment_folder_arguments(void **state)
{
    (void)state;
    run_children(surround);
}

/* Nothing of this program's state gets into another one. */
static int start_clean(void *arg)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGCHLD, 0 };
    int leaked = open("/dev/null", O_RDWR);
    tepal_signals *received = tepal_signals_open(signals);
    sigset_t usr2;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &usr2, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    expect_output("exec ls /proc/self/fd", &to_read, "0\n1\n2\n3\n"); /* 3: the folder itself */
    char text[200];
    unsigned long long blocked_set, ignored_set, own_of_libc = 3ull << 31;
    tepal_process *process =
        start_process("exec grep -E '^Sig(Blk|Ign)' /proc/self/status", &to_read);
    read_text(tepal_process_stdout(process), text, sizeof(text));
    assert_int_equal(sscanf(text, "SigBlk: %llx SigIgn: %llx", &blocked_set, &ignored_set), 2);
    assert_int_equal(blocked_set, 0);
    assert_int_equal(ignored_set & ~own_of_libc, 0);
    expect_end(process, 0, 0);
    tepal_process_close(process);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    /* And the other way round. */
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGUSR2), 1);
    assert_int_equal(sigismember(&mask, SIGUSR1), 0);
    pthread_sigmask(SIG_UNBLOCK, &usr2, NULL);
    tepal_signals_close(received);
    close(leaked);
    (void)arg;
    return 0;
}

static void starts_clean(void **state)
{
    (void)state;
    run_children(start_clean);
}

/* Our own standard descriptors may be closed: those of the pipes are low then. */
static int start_from_closed(void *arg)
{
    int kept[3];
    char text[100];
    for (int fd = 0; fd < 3; fd++) {
        kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
        close(fd);
    }
    tepal_process *process = start_process("cat; echo done >&2", &all_pipes);
    assert_int_equal(tepal_conn_write(tepal_process_stdin(process), "hello", 5), 0);
    assert_int_equal(tepal_conn_shutdown(tepal_process_stdin(process)), 0);
    assert_string_equal(read_text(tepal_process_stdout(process), text, 100), "hello");
    assert_string_equal(read_text(tepal_process_stderr(process), text, 100), "done\n");
    expect_end(process, 0, 0);
    tepal_process_close(process);
    for (int fd = 0; fd < 3; fd++) {
        dup2(kept[fd], fd);
        close(kept[fd]);
    }
    (void)arg;
    return 0;
}

static void from_a_program_without_descriptors(void **state)
{
    (void)state;
    run_children(start_from_closed);
}

/* --- What does not start ---------------------------------------------------------------------- */

static void expect_failure(const char *const *argv, const tepal_process_options *options, int error)
{
    tepal_process *process = NULL;
    if (RUNNING_ON_VALGRIND)
        return;
    int rc = tepal_process_open(&process, argv, options);
    assert_int_equal(rc, error);
    assert_null(process);
}

static int start_nothing(void *arg)
{
    char name[] = "/tmp/tepal-test-XXXXXX";
    int file = mkstemp(name);
    assert_int_equal(write(file, "\1\2\3\n", 4), 4);
    assert_int_equal(fchmod(file, 0755), 0);
    close(file);
    size_t len = 200 * 1000;
    char *large = malloc(len + 1);
    memset(large, 'x', len);
    large[len] = '\0';
    const char *argv[] = { "tepal-no-such-program", NULL, NULL };
    expect_failure(argv, NULL, -ENOENT);
    expect_failure(argv, &all_pipes, -ENOENT);
    argv[0] = "";
    expect_failure(argv, NULL, -ENOENT);
    argv[0] = "/tmp";
    expect_failure(argv, NULL, -EACCES);
    argv[0] = "/etc/passwd";
    expect_failure(argv, &all_pipes, -EACCES);
    argv[0] = name;
    expect_failure(argv, NULL, -ENOEXEC);
    argv[0] = "true";
    argv[1] = large;
    expect_failure(argv, NULL, -E2BIG);
    argv[1] = NULL;
    expect_failure(argv, &(tepal_process_options){ .cwd = "/nowhere" }, -ENOENT);
    expect_failure(argv, &(tepal_process_options){ .cwd = "/etc/passwd" }, -ENOTDIR);
    free(large);
    unlink(name);
    (void)arg;
    return 0;
}

static void says_why_it_did_not_start(void **state)
{
    (void)state;
    run_children(start_nothing);
}

static int open_one(void *arg)
{
    tepal_process *process = NULL;
    (void)arg;
    int rc = tepal_process_open(&process, shell("exit 0"), &all_pipes);
    assert_null(process);
    return rc;
}

/* Whatever there is too little of: nothing is started, and nothing is left. */
static int run_short(void *arg)
{
    char name[] = "/tmp/tepal-test-XXXXXX", line[64];
    close(mkstemp(name));
    snprintf(line, sizeof(line), "echo >> %s", name);
    int rc = -EMFILE, spare, n_started = 0;
    for (spare = 0; rc < 0; spare++) {
        assert_true(spare < 20);
        tepal_process *process = NULL;
        struct rlimit old = limit_fds(spare);
        rc = tepal_process_open(&process, shell(line), &all_pipes);
        put_limit_back(old);
        if (rc == 0) {
            n_started++;
            expect_end(process, 0, 0);
        } else {
            assert_int_equal(rc, -EMFILE);
        }
        tepal_process_close(process);
    }
    assert_true(spare > 6); /* six of the pipes, and the process itself */
    struct stat status;
    assert_int_equal(stat(name, &status), 0);
    assert_int_equal(status.st_size, n_started);
    unlink(name);
    for (size_t n = 1; n <= 4; n++) {
        mem_fail_nth(n, 0);
        rc = open_one(NULL);
        assert_int_equal(mem_failures(), 1);
        assert_int_equal(rc, -ENOMEM);
    }
    mem_fail_nth(0, 0);
    expect_refusal(open_one, NULL);
    (void)arg;
    return 0;
}

static void out_of_memory_and_descriptors(void **state)
{
    (void)state;
    if (RUNNING_ON_VALGRIND)
        skip(); /* valgrind itself falls at a clone() that fails for want of descriptors */
    run_children(run_short);
}

/* --- Closing ---------------------------------------------------------------------------------- */

static int close_running(void *arg)
{
    static const tepal_process_options options[] = {
        { .out = TEPAL_STDIO_PIPE },
        { .out = TEPAL_STDIO_PIPE, .kill_after_ms = TEPAL_NEVER },
        { .out = TEPAL_STDIO_PIPE, .kill_after_ms = 1 },
    };
    for (int i = 0; i < 3; i++) {
        const char *line = i < 2 ? "echo ready; exec sleep 1000"
                                 : "trap '' TERM; echo ready; exec sleep 1000"; /* stubborn */
        tepal_process *process = start_process(line, &options[i]);
        pid_t pid = tepal_process_pid(process);
        await_line(tepal_process_stdout(process), "ready");
        assert_true(is_there(pid));
        tepal_process_close(process);
        assert_false(is_there(pid));
    }
    /* Before it has begun, stopped, and ended already. */
    tepal_process_close(start_process("exec sleep 1000", NULL));
    tepal_process *process = start_process("exec sleep 1000", NULL);
    assert_int_equal(tepal_process_signal(process, SIGSTOP), 0);
    tepal_process_close(process);
    process = start_process("exit 0", NULL);
    assert_int_equal(tepal_sleep_ms(20), 0);
    tepal_process_close(process);
    (void)arg;
    return 0;
}

static void closing_ends_it(void **state)
{
    (void)state;
    run_children(close_running);
}

/* It has its time to end as it wants: what it does after SIGTERM is seen. */
static int close_gently(void *arg)
{
    char name[] = "/tmp/tepal-test-XXXXXX", line[200];
    close(mkstemp(name));
    snprintf(
        line, sizeof(line),
        "trap 'sleep 0.1; echo clean > %s; exit' TERM; echo ready; while :; do sleep 0.01; done",
        name);
    tepal_process *process = start_process(line, &to_read);
    await_line(tepal_process_stdout(process), "ready");
    tepal_process_close(process);
    struct stat status;
    assert_int_equal(stat(name, &status), 0);
    assert_int_equal(status.st_size, strlen("clean\n"));
    unlink(name);
    (void)arg;
    return 0;
}

static void closing_is_gentle_first(void **state)
{
    (void)state;
    run_children(close_gently);
}

static int run_and_close(void *arg)
{
    tepal_process *process =
        start_process("trap '' TERM; echo ready; exec sleep 1000",
                      &(tepal_process_options){ .out = TEPAL_STDIO_PIPE, .kill_after_ms = 5 });
    if (*(int *)arg == 1)
        (void)tepal_deadline_in_ms(20);
    int rc = tepal_process_wait(process, NULL);
    pid_t pid = tepal_process_pid(process);
    tepal_process_close(process);
    assert_false(is_there(pid));
    return rc;
}

static int close_interrupted(void *arg)
{
    for (int late = 0; late < 2; late++) {
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, run_and_close, &late, NULL), 0);
        if (!late) {
            settle();
            tepal_group_cancel(group);
        }
        assert_int_equal(tepal_group_wait(group), late ? -ETIMEDOUT : -ECANCELED);
        tepal_group_close(group);
    }
    (void)arg;
    return 0;
}

static void closing_cannot_be_interrupted(void **state)
{
    (void)state;
    run_children(close_interrupted);
}

/* --- Groups ----------------------------------------------------------------------------------- */

static const tepal_process_options in_group = { .out = TEPAL_STDIO_PIPE, .own_group = true };

/* Whether all that have the other end of this pipe end: waits until they have. */
static bool all_end(int fd)
{
    struct pollfd poll_fd = { .fd = fd };
    return poll(&poll_fd, 1, 20000) == 1 && (poll_fd.revents & POLLHUP);
}

static int end_groups(void *arg)
{
    static const char *const lines[] = {
        "sleep 1000 & sleep 1000 & echo ready; wait",           /* ends by SIGTERM */
        "(trap '' TERM; echo ready; exec sleep 1000) & wait",   /* a stubborn one in it */
        "(trap '' TERM; echo ready; exec sleep 1000) & exit 7", /* whose leader is gone */
    };
    for (int i = 0; i < 3; i++) {
        tepal_process *process = start_process(lines[i], &in_group);
        pid_t pid = tepal_process_pid(process);
        await_line(tepal_process_stdout(process), "ready");
        if (i == 2)
            expect_end(process, 7, 0);
        assert_int_equal(getpgid(pid), pid);
        int pipe = dup(tepal_process_stdout(process)->io.fd);
        tepal_process_close(process);
        assert_true(all_end(pipe));
        assert_false(is_there(pid));
        close(pipe);
    }
    (void)arg;
    return 0;
}

static int signal_group(void *arg)
{
    char text[100];
    tepal_process *process =
        start_process("trap 'echo one' USR1; (trap 'echo two; exit' USR1; echo ready; "
                      "while :; do sleep 0.01; done) & wait; wait",
                      &in_group);
    await_line(tepal_process_stdout(process), "ready");
    assert_int_equal(tepal_process_signal(process, SIGUSR1), 0);
    read_text(tepal_process_stdout(process), text, sizeof(text));
    assert_non_null(strstr(text, "one"));
    assert_non_null(strstr(text, "two"));
    assert_int_equal(tepal_process_wait(process, NULL), 0);
    assert_int_equal(tepal_process_signal(process, SIGUSR1), -ESRCH);
    tepal_process_close(process);
    (void)arg;
    return 0;
}

static void groups_are_one(void **state)
{
    (void)state;
    run_children(end_groups);
    run_children(signal_group);
}

/* --- Many, and others ------------------------------------------------------------------------- */

static int echo_one(void *arg)
{
    char text[100], line[32];
    int number = *(int *)arg;
    snprintf(line, sizeof(line), "%d\n", number);
    tepal_process *process = start_process("read x; echo $x; exit $x", &all_pipes);
    assert_int_equal(tepal_sleep_ms(number % 3), 0);
    assert_int_equal(tepal_conn_write(tepal_process_stdin(process), line, strlen(line)), 0);
    assert_string_equal(read_text(tepal_process_stdout(process), text, sizeof(text)), line);
    expect_end(process, number, 0);
    tepal_process_close(process);
    return 0;
}

static int start_many(void *arg)
{
    enum { N = 50 };
    static int numbers[N];
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < N; i++) {
        numbers[i] = i;
        assert_int_equal(tepal_spawn(group, echo_one, &numbers[i], NULL), 0);
    }
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    /* And all of them cancelled at once. */
    group = tepal_group_new();
    int cancelled = 0;
    for (int i = 0; i < N; i++)
        assert_int_equal(tepal_spawn(group, run_and_close, &cancelled, NULL), 0);
    settle();
    tepal_group_cancel(group);
    assert_int_equal(tepal_group_wait(group), -ECANCELED);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void many_at_once(void **state)
{
    (void)state;
    run_children(start_many);
}

/* A program that ignores SIGCHLD has no children to wait for. */
static int ignore_children(void *arg)
{
    tepal_process_options options = all_pipes;
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        options.own_group = i;
        tepal_process *process = start_process("cat", &options);
        assert_int_equal(tepal_conn_shutdown(tepal_process_stdin(process)), 0);
        assert_int_equal(tepal_process_wait(process, NULL), -ECHILD);
        tepal_process_close(process);
    }
    tepal_process_close(start_process("exec sleep 1000", NULL));
    signal(SIGCHLD, SIG_DFL);
    (void)arg;
    return 0;
}

static void without_sigchld(void **state)
{
    (void)state;
    run_children(ignore_children);
}

/* In a sandbox that has no pidfd. */
static int forbid_pidfd(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1000, 0, 1), /* CLONE_PIDFD */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = 8, .filter = filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static void without_pidfd(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (RUNNING_ON_VALGRIND || forbid_pidfd() == 0) { /* valgrind has none, either */
            assert_int_equal(syscall(SYS_pidfd_open, getpid(), 0), -1);
            run_children(end_somehow);
            run_children(close_running);
            run_children(end_groups);
            run_children(start_many);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* --- Misuse ----------------------------------------------------------------------------------- */

static int input_to_output(void *arg)
{
    (void)arg;
    tepal_process *process;
    return tepal_process_open(&process, shell("cat"),
                              &(tepal_process_options){ .in = TEPAL_STDIO_OUTPUT });
}

static int no_program(void *arg)
{
    static const char *const argv[] = { NULL };
    tepal_process *process;
    (void)arg;
    return tepal_process_open(&process, argv, NULL);
}

static int close_waited_for(void *arg)
{
    tepal_process *process = start_process("exec cat", &all_pipes);
    tepal_group *group = tepal_group_new();
    (void)tepal_spawn(group, wait_for, process, NULL);
    tepal_sleep_ms(0);
    tepal_process_close(process);
    (void)arg;
    return 0;
}

static void misused(void **state)
{
    (void)state;
    expect_misuse(input_to_output, "not a place for a standard descriptor");
    expect_misuse(no_program, "argv names no program");
    expect_misuse(close_waited_for, "a task still waits for the process");
}

#define TEST(name) cmocka_unit_test(name)

/* --- Held back -------------------------------------------------------------------------------- */

struct held_back {
    tepal_process *process;
    int n_calls;
    bool stop;
};

/* Goes on though its time is over; so it is held back in some of its calls. */
static int wait_for_ever(void *arg)
{
    struct held_back *h = arg;
    tepal_deadline_in_ms(1);
    assert_int_equal(tepal_sleep_ms(TEPAL_NEVER), -ETIMEDOUT);
    while (!h->stop) {
        h->n_calls++;
        assert_int_equal(tepal_process_wait(h->process, NULL), -ETIMEDOUT);
    }
    return 0;
}

static int close_under_one_that_is_held_back(void *arg)
{
    tepal_group *group = tepal_group_new();
    struct held_back h = { .process = start_process("exit 0", NULL) };
    (void)arg;
    assert_int_equal(tepal_process_wait(h.process, NULL), 0);
    assert_int_equal(tepal_spawn(group, wait_for_ever, &h, NULL), 0);
    while (h.n_calls == 0)
        assert_int_equal(tepal_sleep_ms(0), 0);
    h.stop = true;
    tepal_process_close(h.process);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    return 0;
}

static void closed_under_one_that_is_held_back(void **state)
{
    (void)state;
    assert_int_equal(run(close_under_one_that_is_held_back, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tells_how_it_ended),
        TEST(reaps_by_itself),
        TEST(waiting_can_be_interrupted),
        TEST(pipes_are_conns),
        TEST(standard_descriptors),
        TEST(environment_folder_arguments),
        TEST(starts_clean),
        TEST(from_a_program_without_descriptors),
        TEST(says_why_it_did_not_start),
        TEST(out_of_memory_and_descriptors),
        TEST(closing_ends_it),
        TEST(closing_is_gentle_first),
        TEST(closing_cannot_be_interrupted),
        TEST(closed_under_one_that_is_held_back),
        TEST(groups_are_one),
        TEST(many_at_once),
        TEST(without_sigchld),
        TEST(without_pidfd),
        TEST(misused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
