/* Tests of receiving signals in a task. */
#include "in_loop.h"

#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static bool is_blocked(int signal)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, signal) == 1;
}

static int receive(void *arg)
{
    static const int numbers[] = { SIGUSR1, SIGUSR2, SIGTERM, 0 };
    assert_false(is_blocked(SIGUSR1));
    tepal_signals *signals = tepal_signals_open(numbers);
    assert_non_null(signals);
    assert_true(is_blocked(SIGUSR1) && is_blocked(SIGUSR2) && is_blocked(SIGTERM));
    assert_false(is_blocked(SIGINT));
    for (int round = 0; round < 3; round++) { /* before the call */
        raise(SIGUSR1);
        assert_int_equal(tepal_signals_next(signals), SIGUSR1);
    }
    raise(SIGTERM); /* several: each once */
    raise(SIGUSR2);
    int first = tepal_signals_next(signals), second = tepal_signals_next(signals);
    assert_true((first == SIGTERM && second == SIGUSR2) || (first == SIGUSR2 && second == SIGTERM));
    kill(getpid(), SIGUSR2);
    assert_int_equal(tepal_signals_next(signals), SIGUSR2);
    (void)tepal_deadline_in(5);
    assert_int_equal(tepal_signals_next(signals), -ETIMEDOUT); /* none left */
    tepal_signals_close(signals);
    assert_false(is_blocked(SIGUSR1) || is_blocked(SIGUSR2) || is_blocked(SIGTERM));
    tepal_signals_close(NULL);
    (void)arg;
    return 0;
}

static void received_by_a_task(void **state)
{
    (void)state;
    assert_int_equal(run(receive, NULL), 0);
}

static int raise_later(void *arg)
{
    settle();
    raise(*(int *)arg);
    return 0;
}

static int wait_for_signal(void *arg)
{
    int number = SIGUSR1;
    tepal_signals *signals = tepal_signals_open((const int[]){ SIGUSR1, 0 });
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 5; i++) { /* each is a new edge */
        assert_int_equal(tepal_spawn(group, raise_later, &number, NULL), 0);
        assert_int_equal(tepal_signals_next(signals), SIGUSR1);
    }
    tepal_group_close(group);
    tepal_signals_close(signals);
    (void)arg;
    return 0;
}

static void waited_for(void **state)
{
    (void)state;
    assert_int_equal(run(wait_for_signal, NULL), 0);
    assert_int_equal(run_fake(wait_for_signal, NULL), 0);
}

static int next_signal(void *arg)
{
    return tepal_signals_next(arg);
}

static int interrupt(void *arg)
{
    tepal_signals *signals = tepal_signals_open((const int[]){ SIGUSR1, 0 });
    expect_interruptible(next_signal, signals);
    raise(SIGUSR1); /* nothing is lost by an interruption */
    expect_refusal(next_signal, signals);
    assert_int_equal(tepal_signals_next(signals), SIGUSR1);
    tepal_signals_close(signals);
    (void)arg;
    return 0;
}

static void interruptible(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt, NULL), 0);
}

static int second_reader(void *arg)
{
    tepal_signals *signals = tepal_signals_open((const int[]){ SIGUSR1, 0 });
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, next_signal, signals, NULL), 0);
    settle();
    assert_int_equal(tepal_signals_next(signals), -EBUSY);
    tepal_group_close(group);
    raise(SIGUSR1);
    assert_int_equal(tepal_signals_next(signals), SIGUSR1);
    tepal_signals_close(signals);
    (void)arg;
    return 0;
}

static void one_reader_at_a_time(void **state)
{
    (void)state;
    assert_int_equal(run(second_reader, NULL), 0);
}

/* What was blocked before stays so, and several may be open in any order. */
static int masks(void *arg)
{
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    tepal_signals *a = tepal_signals_open((const int[]){ SIGUSR1, SIGUSR2, 0 });
    tepal_signals *b = tepal_signals_open((const int[]){ SIGTERM, 0 });
    tepal_signals_close(a);
    assert_true(is_blocked(SIGTERM)); /* b is still open */
    assert_true(is_blocked(SIGUSR1));
    assert_false(is_blocked(SIGUSR2));
    raise(SIGTERM);
    assert_int_equal(tepal_signals_next(b), SIGTERM);
    tepal_signals_close(b);
    assert_false(is_blocked(SIGTERM));
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    (void)arg;
    return 0;
}

static void the_mask_is_put_back(void **state)
{
    (void)state;
    assert_int_equal(run(masks, NULL), 0);
}

static int fail_to_open(void *arg)
{
    static const int numbers[] = { SIGUSR1, 0 };
    mem_fail_nth(1, 0);
    assert_null(tepal_signals_open(numbers));
    mem_fail_nth(0, 0);
    struct rlimit old, tight;
    int free_fd = dup(0);
    close(free_fd);
    getrlimit(RLIMIT_NOFILE, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)free_fd;
    setrlimit(RLIMIT_NOFILE, &tight);
    tepal_signals *none = tepal_signals_open(numbers);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_null(none);
    assert_false(is_blocked(SIGUSR1));
    (void)arg;
    return 0;
}

static void failures(void **state)
{
    (void)state;
    assert_int_equal(run(fail_to_open, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(received_by_a_task),   cmocka_unit_test(waited_for),
        cmocka_unit_test(interruptible),        cmocka_unit_test(one_reader_at_a_time),
        cmocka_unit_test(the_mask_is_put_back), cmocka_unit_test(failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
