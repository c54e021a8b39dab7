/* Tests of receiving signals in a task. */
#include "misuse.h"

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

struct reader {
    tepal_signals *signals;
    int number;
};

static int read_one(void *arg)
{
    struct reader *reader = arg;
    reader->number = tepal_signals_next(reader->signals);
    return 0;
}

static int several_readers(void *arg)
{
    tepal_signals *signals = tepal_signals_open((const int[]){ SIGUSR1, SIGUSR2, 0 });
    tepal_group *group = tepal_group_new();
    struct reader readers[] = { { signals, 0 }, { signals, 0 } };
    for (int i = 0; i < 2; i++)
        assert_int_equal(tepal_spawn(group, read_one, &readers[i], NULL), 0);
    settle();
    raise(SIGUSR2);
    settle();
    assert_int_equal(readers[0].number, SIGUSR2);
    assert_int_equal(readers[1].number, 0);
    raise(SIGUSR1);
    settle();
    assert_int_equal(readers[1].number, SIGUSR1);
    tepal_group_close(group);
    tepal_signals_close(signals);
    (void)arg;
    return 0;
}

static void readers_in_order(void **state)
{
    (void)state;
    assert_int_equal(run(several_readers, NULL), 0);
}

/* --- The channel ------------------------------------------------------------------------------ */

static int select_signal(void *arg)
{
    int number = 0, item = 0, usr1 = SIGUSR1;
    tepal_signals *signals = tepal_signals_open((const int[]){ SIGUSR1, 0 });
    tepal_channel *other = tepal_channel_new(sizeof(int), 1);
    tepal_group *group = tepal_group_new();
    tepal_select_case cases[] = {
        { .channel = other, .receive = &item },
        { .channel = tepal_signals_channel(signals), .receive = &number },
    };
    for (int i = 0; i < 5; i++) {
        number = 0;
        assert_int_equal(tepal_select(cases, 2, 0), -EAGAIN);
        assert_int_equal(tepal_spawn(group, raise_later, &usr1, NULL), 0);
        assert_int_equal(tepal_select(cases, 2, TEPAL_NEVER), 1);
        assert_int_equal(number, SIGUSR1);
        assert_int_equal(tepal_channel_try_send(other, &i), 0);
        assert_int_equal(tepal_select(cases, 2, TEPAL_NEVER), 0);
        assert_int_equal(item, i);
    }
    tepal_group_close(group);
    tepal_channel_free(other);
    tepal_signals_close(signals);
    (void)arg;
    return 0;
}

static void selected_beside_other_things(void **state)
{
    (void)state;
    assert_int_equal(run(select_signal, NULL), 0);
}

/* More signals than the channel holds. */
static int overfill(void *arg)
{
    static const int numbers[] = { SIGUSR1, SIGUSR2, SIGTERM, SIGHUP, 0 };
    tepal_signals *signals = tepal_signals_open(numbers);
    tepal_channel *channel = tepal_signals_channel(signals);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; numbers[i]; i++)
            raise(numbers[i]);
        settle();
        assert_int_equal(tepal_channel_length(channel), 1);
        int in_channel, number;
        assert_int_equal(tepal_channel_try_receive(channel, &in_channel), 0);
        raise(in_channel); /* again: the first is not forgotten, and this one comes, too */
        unsigned seen = 0;
        for (int i = 0; numbers[i]; i++) {
            assert_int_equal(tepal_channel_try_receive(channel, &number), 0);
            for (int k = 0; numbers[k]; k++)
                seen |= (unsigned)(numbers[k] == number) << k;
        }
        assert_int_equal(seen, 15);
        assert_int_equal(tepal_channel_try_receive(channel, &number), -EAGAIN);
    }
    tepal_signals_close(signals);
    (void)arg;
    return 0;
}

static void nothing_is_lost_when_the_channel_is_full(void **state)
{
    (void)state;
    assert_int_equal(run(overfill, NULL), 0);
}

static volatile sig_atomic_t n_handled;

static void handle(int number)
{
    (void)number;
    n_handled++;
}

/* One is in the channel, one still with the kernel. */
static int close_with_signals(void *arg)
{
    signal(SIGUSR1, handle);
    signal(SIGUSR2, handle);
    n_handled = 0;
    tepal_signals *signals = tepal_signals_open((const int[]){ SIGUSR1, SIGUSR2, 0 });
    raise(SIGUSR1);
    raise(SIGUSR2);
    settle();
    assert_int_equal(tepal_channel_length(tepal_signals_channel(signals)), 1);
    assert_int_equal(n_handled, 0);
    tepal_signals_close(signals);
    while (n_handled < 2)
        assert_int_equal(tepal_sleep_ms(1), 0);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
    (void)arg;
    return 0;
}

static void what_was_not_received_has_its_usual_effect(void **state)
{
    (void)state;
    assert_int_equal(run(close_with_signals, NULL), 0);
}

static int close_awaited(void *arg)
{
    tepal_signals *signals = tepal_signals_open((const int[]){ SIGUSR1, 0 });
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, next_signal, signals, NULL), 0);
    settle();
    tepal_signals_close(signals);
    (void)arg;
    return 0;
}

static int open_wrongly(void *arg)
{
    (void)arg;
    (void)tepal_signals_open((const int[]){ 100000, 0 });
    return 0;
}

static void misused(void **state)
{
    (void)state;
    expect_misuse(close_awaited, "tepal_signals_close: a task still waits for a signal");
    expect_misuse(open_wrongly, "tepal_signals_open: not a signal");
}

/* --- Opening ---------------------------------------------------------------------------------- */

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
    for (size_t n = 1; n <= 2; n++) {
        mem_fail_nth(n, 0);
        assert_null(tepal_signals_open(numbers));
        assert_int_equal(mem_failures(), 1);
    }
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
        cmocka_unit_test(received_by_a_task),
        cmocka_unit_test(waited_for),
        cmocka_unit_test(interruptible),
        cmocka_unit_test(readers_in_order),
        cmocka_unit_test(selected_beside_other_things),
        cmocka_unit_test(nothing_is_lost_when_the_channel_is_full),
        cmocka_unit_test(what_was_not_received_has_its_usual_effect),
        cmocka_unit_test(misused),
        cmocka_unit_test(the_mask_is_put_back),
        cmocka_unit_test(failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
