/* Tests of the signals that tepal's own threads get, and of those that their children do. */
#include "in_loop.h"

#include "async/thread.h"

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

/* --- What is started in a thread of the pool --------------------------------------------------- */

/* In the child: 0 when SIGUSR2 is blocked, as it was by the program, and nothing else is. */
static int judge_mask(void)
{
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    for (int i = 0; i < N_OTHERS; i++)
        if (sigismember(&mask, of_others[i]))
            return of_others[i];
    return sigismember(&mask, SIGUSR2) ? 0 : SIGUSR2;
}

static int fork_child(void *arg)
{
    int status;
    (void)arg;
    pid_t child = fork();
    if (child == 0)
        _exit(judge_mask());
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -EPROTO;
    return WEXITSTATUS(status);
}

/* The mask is that of the program, also when the loop receives signals meanwhile. */
static int fork_in_the_pool(void *arg)
{
    tepal_signals *signals = tepal_signals_open((const int[]){ SIGTERM, SIGUSR1, 0 });
    assert_non_null(signals);
    assert_int_equal(tepal_offload(fork_child, arg), 0);
    tepal_signals_close(signals);
    return 0;
}

static void children_get_the_programs_mask(void **state)
{
    (void)state;
    sigset_t one, before;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &one, &before);
    assert_int_equal(run(fork_in_the_pool, NULL), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* --- Faults there ------------------------------------------------------------------------------ */

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
        cmocka_unit_test(children_get_the_programs_mask),
        cmocka_unit_test(handlers_see_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
