/* Tests of the signals that tepal's own threads get, and of those that their children do. */
#include "../in_loop.h"

#include "async/thread/thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static const int of_faults[] = {
    SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF
};
static const int of_others[] = { SIGTERM, SIGINT,  SIGHUP,  SIGUSR1, SIGCHLD,
                                 SIGQUIT, SIGALRM, SIGPIPE, SIGURG };

enum { N_FAULTS = sizeof(of_faults) / sizeof(int), N_OTHERS = sizeof(of_others) / sizeof(int) };

static void *note_mask(void *arg)
{
    pthread_sigmask(SIG_BLOCK, NULL, arg);
    return NULL;
}

static void faults_are_not_blocked(void **state)
{
    (void)state;
    sigset_t before, in_thread, after;
    pthread_t thread;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    assert_int_equal(thread_start(&thread, note_mask, &in_thread), 0);
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    for (int i = 0; i < N_FAULTS; i++)
        assert_int_equal(sigismember(&in_thread, of_faults[i]), 0);
    for (int i = 0; i < N_OTHERS; i++)
        assert_int_equal(sigismember(&in_thread, of_others[i]), 1);
    for (int signal = 1; signal < NSIG; signal++)
        assert_int_equal(sigismember(&before, signal), sigismember(&after, signal));
}

/* --- Threads of the pool ---------------------------------------------------------------------- */

static const int blocked_by_program[] = { SIGUSR2, SIGQUIT, SIGSEGV };

static bool is_blocked_by_program(int signal)
{
    for (int i = 0; i < 3; i++)
        if (blocked_by_program[i] == signal)
            return true;
    return false;
}

/* The first signal that is blocked and should not be, or the other way round; 0: none. */
static int judge_child(void)
{
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    for (int signal = 1; signal < SIGRTMIN; signal++)
        if ((sigismember(&mask, signal) == 1) != is_blocked_by_program(signal))
            return signal;
    return 0;
}

static int judge_thread(void)
{
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    for (int signal = 1; signal < SIGRTMIN; signal++) {
        bool expected = is_blocked_by_program(signal) && signal != SIGSEGV;
        expected |= signal == SIGPIPE || signal == SIGXFSZ;
        if ((sigismember(&mask, signal) == 1) != expected)
            return signal;
    }
    return 0;
}

static int judge_here_and_in_children(void *arg)
{
    int status, here = judge_thread();
    (void)arg;
    pid_t child = fork();
    if (child == 0)
        _exit(judge_child());
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -EPROTO;
    return here ? here : WEXITSTATUS(status);
}

/* How many threads of the process have the signal blocked. */
static int count_blocked(int signal)
{
    char path[300], line[200];
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
        FILE *f = fopen(path, "r");
        while (f && fgets(line, sizeof(line), f))
            if (strncmp(line, "SigBlk:", 7) == 0)
                n += (strtoull(line + 7, NULL, 16) & 1ull << (signal - 1)) != 0;
        if (f)
            fclose(f);
    }
    closedir(tasks);
    return n;
}

static int offload_judge(void *arg)
{
    int before = count_blocked(SIGTERM);
    int rc = tepal_offload(judge_here_and_in_children, arg);
    assert_int_equal(rc, 0);
    if (!SANITIZED && !RUNNING_ON_VALGRIND) /* the idle thread */
        assert_int_equal(count_blocked(SIGTERM), before + 1);
    return rc;
}

static void calls_have_the_callers_mask(void **state)
{
    (void)state;
    sigset_t blocked, before, after;
    sigemptyset(&blocked);
    for (int i = 0; i < 3; i++)
        sigaddset(&blocked, blocked_by_program[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    assert_int_equal(run(offload_judge, NULL), 0);
    pthread_sigmask(SIG_SETMASK, &before, &after);
    for (int signal = 1; signal < SIGRTMIN; signal++)
        assert_int_equal(sigismember(&after, signal) == 1, sigismember(&blocked, signal) == 1);
}

/* --- Faults there ----------------------------------------------------------------------------- */

static void exit_with_seven(int signal)
{
    (void)signal;
    _exit(7);
}

static int fault(void *arg)
{
    *(volatile int *)arg = 1;
    return 0;
}

static int offload_fault(void *arg)
{
    return tepal_offload(fault, arg);
}

static void handlers_see_faults(void **state)
{
    (void)state;
    if (SANITIZED || RUNNING_ON_VALGRIND)
        skip(); /* they report it themselves */
    int status;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, exit_with_seven);
        tepal_main(offload_fault, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_are_not_blocked),
        cmocka_unit_test(calls_have_the_callers_mask),
        cmocka_unit_test(handlers_see_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
