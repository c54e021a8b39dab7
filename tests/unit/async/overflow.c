/* Tests of what happens to a task that overflows its stack, each in a process of its own. */
#include "in_loop.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static int depth_reached;

/* A frame of some hundred octets, so that none jumps over the guard. */
static NO_INLINE int recurse(int depth)
{
    volatile char frame[300];
    frame[0] = frame[299] = (char)depth;
    depth_reached = depth;
    int deeper = depth == 0 ? 0 : recurse(depth - 1);
    return deeper + frame[0] + frame[299];
}

static int overflow(void *arg)
{
    (void)arg;
    return recurse(1 << 30);
}

/* Writes just below its stack, but into the canary only. */
static int spoil_canary(void *arg)
{
    (void)arg;
    char *low = loop_current->current->stack->low;
    memset(low, 0, 8);
    return 0;
}

static enum stack_guard guard;
static tepal_task_fn *victim;
static size_t stack_size;

static int run_victim(void *arg)
{
    (void)arg;
    loop_current->stacks.guard = guard;
    tepal_group *group = tepal_group_new();
    /* Not one from the slab, which has its guards already. */
    tepal_spawn_options options = { .name = "greedy", .stack_size = stack_size };
    if (tepal_spawn(group, victim, NULL, &options) < 0)
        return -1;
    int rc = tepal_group_wait(group);
    tepal_group_close(group);
    return rc;
}

static void *run_in_thread(void *arg)
{
    tepal_main(run_victim, arg);
    return NULL;
}

static void in_main_thread(void)
{
    tepal_main(run_victim, NULL);
}

static void in_a_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, run_in_thread, NULL);
    pthread_join(thread, NULL);
}

/* Runs body in a child. Returns its status, and what it wrote to standard error in text. */
static int in_child(void (*body)(void), char *text, size_t size)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGSEGV, SIG_DFL); /* cmocka has handlers of its own */
        signal(SIGABRT, SIG_DFL);
        body();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = read(ends[0], text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void expect_report(void (*body)(void))
{
    char text[1000];
    int status = in_child(body, text, sizeof(text));
    assert_non_null(strstr(text, "task \"greedy\" overflowed its stack of 64 KiB"));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static bool has_madvise_guards(void)
{
    int ends[2];
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(pipe(ends), 0);
    bool has = madvise(p, 4096, MADV_GUARD_INSTALL) == 0 && write(ends[1], p, 1) < 0;
    close(ends[0]);
    close(ends[1]);
    munmap(p, 4096);
    return has;
}

static int setup(void **state)
{
    (void)state;
    victim = overflow;
    stack_size = 64 * 1024;
    guard = STACK_GUARD_MADVISE;
    return 0;
}

static void skip_where_faults_are_not_ours(void)
{
    if (SANITIZED || RUNNING_ON_VALGRIND)
        skip();
}

static void named_with_madvise(void **state)
{
    (void)state;
    skip_where_faults_are_not_ours();
    if (!has_madvise_guards())
        skip();
    expect_report(in_main_thread);
    expect_report(in_a_thread);
}

static void named_with_mprotect(void **state)
{
    (void)state;
    skip_where_faults_are_not_ours();
    guard = STACK_GUARD_MPROTECT;
    expect_report(in_main_thread);
    expect_report(in_a_thread);
}

static void named_with_canary(void **state)
{
    (void)state;
    char text[1000];
    skip_where_faults_are_not_ours();
    guard = STACK_GUARD_CANARY;
    victim = spoil_canary;
    int status = in_child(in_main_thread, text, sizeof(text));
    assert_non_null(strstr(text, "greedy"));
    assert_non_null(strstr(text, "overflowed its stack"));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* Another fault is not called an overflow. */
static int read_null(void *arg)
{
    return *(volatile int *)arg;
}

static void other_faults_are_left_alone(void **state)
{
    (void)state;
    char text[1000];
    skip_where_faults_are_not_ours();
    victim = read_null;
    int status = in_child(in_main_thread, text, sizeof(text));
    assert_null(strstr(text, "overflowed"));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

/* The handler that the program had is called then. */
static void on_fault(int signal)
{
    (void)signal;
    static const char said[] = "the program's own handler\n";
    _exit(write(STDERR_FILENO, said, sizeof(said) - 1) > 0 ? 7 : 8);
}

static void with_own_handler(void)
{
    struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_ONSTACK };
    sigaction(SIGSEGV, &action, NULL);
    tepal_main(run_victim, NULL);
}

static void own_handlers_are_kept(void **state)
{
    (void)state;
    char text[1000];
    skip_where_faults_are_not_ours();
    guard = STACK_GUARD_MPROTECT;
    int status = in_child(with_own_handler, text, sizeof(text));
    char *report = strstr(text, "\"greedy\" overflowed"), *own = strstr(text, "own handler");
    assert_true(report && own && report < own);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

/* A deep but bounded recursion is nobody's business. */
static int recurse_within(void *arg)
{
    (void)arg;
    (void)recurse(60);
    return depth_reached;
}

static void enough_is_enough(void **state)
{
    (void)state;
    victim = recurse_within;
    assert_int_equal(run(run_victim, NULL), 0);
    stack_t now;
    assert_int_equal(sigaltstack(NULL, &now), 0);
    if (!SANITIZED)
        assert_true(now.ss_flags & SS_DISABLE); /* the loop has taken its signal stack away */
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(named_with_madvise),          TEST(named_with_mprotect),   TEST(named_with_canary),
        TEST(other_faults_are_left_alone), TEST(own_handlers_are_kept), TEST(enough_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
