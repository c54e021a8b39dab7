/* Tests of receiving signals in a task. */
#include "../misuse.h"

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

/* Whether the system does with the signal what it does when nobody asks otherwise. */
static bool is_default(int signal)
{
    struct sigaction action;
    assert_int_equal(sigaction(signal, NULL, &action), 0);
    return !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_DFL;
}

static int receive(void *arg)
{
    static const int numbers[] = { SIGUSR1, SIGUSR2, SIGTERM, 0 };
    assert_true(is_default(SIGUSR1));
    tepal_signals *signals = tepal_signals_open(numbers);
    assert_non_null(signals);
    assert_false(is_default(SIGUSR1) || is_default(SIGUSR2) || is_default(SIGTERM));
    assert_true(is_default(SIGINT));
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
    (void)tepal_deadline_in_ms(5);
    assert_int_equal(tepal_signals_next(signals), -ETIMEDOUT); /* none left */
    tepal_signals_close(signals);
    assert_true(is_default(SIGUSR1) && is_default(SIGUSR2) && is_default(SIGTERM));
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
    tepal_channel_close(other);
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

static int open_fault(void *arg)
{
    (void)arg;
    (void)tepal_signals_open((const int[]){ SIGTERM, SIGSEGV, 0 });
    return 0;
}

static void misused(void **state)
{
    (void)state;
    expect_misuse(close_awaited, "tepal_signals_close: a task still waits for a signal");
    expect_misuse(open_wrongly, "tepal_signals_open: not a signal that can be received");
    expect_misuse(open_fault, "tepal_signals_open: not a signal that can be received");
}

/* --- Opening ---------------------------------------------------------------------------------- */

/* One that the program has blocked is received all the same, and blocked again afterwards. */
static int masks(void *arg)
{
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    raise(SIGUSR1);
    tepal_signals *a = tepal_signals_open((const int[]){ SIGUSR1, SIGUSR2, 0 });
    assert_int_equal(tepal_signals_next(a), SIGUSR1);
    raise(SIGUSR1);
    assert_int_equal(tepal_signals_next(a), SIGUSR1);
    tepal_signals_close(a);
    assert_true(is_blocked(SIGUSR1));
    assert_false(is_blocked(SIGUSR2));
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    (void)arg;
    return 0;
}

static void the_mask_is_put_back(void **state)
{
    (void)state;
    assert_int_equal(run(masks, NULL), 0);
}

/* What the program had for a signal is put back, unless it has something new by then. */
static int handlers(void *arg)
{
    static const int numbers[] = { SIGUSR1, SIGUSR2, SIGHUP, 0 };
    struct sigaction now;
    signal(SIGUSR1, handle);
    signal(SIGUSR2, SIG_IGN);
    tepal_signals *signals = tepal_signals_open(numbers);
    n_handled = 0;
    for (int i = 0; numbers[i]; i++) {
        raise(numbers[i]);
        assert_int_equal(tepal_signals_next(signals), numbers[i]);
    }
    assert_int_equal(n_handled, 0);
    signal(SIGHUP, handle);
    tepal_signals_close(signals);
    sigaction(SIGUSR1, NULL, &now);
    assert_true(now.sa_handler == handle);
    sigaction(SIGUSR2, NULL, &now);
    assert_true(now.sa_handler == SIG_IGN);
    sigaction(SIGHUP, NULL, &now);
    assert_true(now.sa_handler == handle);
    for (int i = 0; numbers[i]; i++)
        signal(numbers[i], SIG_DFL);
    (void)arg;
    return 0;
}

static void the_handler_is_put_back(void **state)
{
    (void)state;
    assert_int_equal(run(handlers, NULL), 0);
}

/* --- Several receivers ------------------------------------------------------------------------ */

/* Each gets each signal, in whatever order they are closed. */
static int fan_out(void *arg)
{
    static const int both[] = { SIGUSR1, SIGTERM, 0 }, one[] = { SIGTERM, 0 };
    for (int first = 0; first < 3; first++) {
        tepal_signals *all[] = { tepal_signals_open(both), tepal_signals_open(one),
                                 tepal_signals_open(both) };
        for (int round = 0; round < 3; round++) {
            raise(SIGTERM);
            for (int i = 0; i < 3; i++)
                assert_int_equal(tepal_signals_next(all[i]), SIGTERM);
        }
        raise(SIGUSR1);
        assert_int_equal(tepal_signals_next(all[0]), SIGUSR1);
        assert_int_equal(tepal_signals_next(all[2]), SIGUSR1);
        tepal_signals_close(all[first]);
        raise(SIGTERM);
        for (int i = 0; i < 3; i++)
            if (i != first)
                assert_int_equal(tepal_signals_next(all[i]), SIGTERM);
        raise(SIGTERM); /* one does not take it, and does not give it back: another has it */
        tepal_signals_close(all[(first + 1) % 3]);
        assert_int_equal(tepal_signals_next(all[(first + 2) % 3]), SIGTERM);
        (void)tepal_deadline_in_ms(1);
        assert_int_equal(tepal_signals_next(all[(first + 2) % 3]), -ETIMEDOUT);
        tepal_deadline_restore(TEPAL_NEVER);
        tepal_signals_close(all[(first + 2) % 3]);
        assert_true(is_default(SIGTERM) && is_default(SIGUSR1));
    }
    (void)arg;
    return 0;
}

static int n_lines;

static void count_line(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    (void)level;
    n_lines += strstr(text, " task") != NULL;
}

/* A dump is a receiver as any other. */
static int dump_beside(void *arg)
{
    static const int usr1[] = { SIGUSR1, 0 };
    tepal_log_set_fn(count_line, NULL);
    assert_int_equal(tepal_dump_on_signal(SIGUSR1), 0);
    tepal_signals *signals = tepal_signals_open(usr1);
    for (int i = 1; i <= 3; i++) {
        raise(SIGUSR1);
        assert_int_equal(tepal_signals_next(signals), SIGUSR1);
        assert_int_equal(n_lines, i);
    }
    tepal_signals_close(signals);
    raise(SIGUSR1);
    settle();
    assert_int_equal(n_lines, 4);
    tepal_log_set_fn(NULL, NULL);
    (void)arg;
    return 0;
}

static void all_receivers_get_it(void **state)
{
    (void)state;
    assert_int_equal(run(fan_out, NULL), 0);
    assert_int_equal(run(dump_beside, NULL), 0);
    assert_true(is_default(SIGUSR1));
}

/* Loops in other threads, too. */
static pthread_barrier_t all_open;

static int receive_in_thread(void *arg)
{
    tepal_signals *signals = tepal_signals_open((const int[]){ SIGUSR1, 0 });
    assert_non_null(signals);
    pthread_barrier_wait(&all_open);
    (void)tepal_deadline_in_ms(20000);
    *(int *)arg = tepal_signals_next(signals);
    pthread_barrier_wait(&all_open);
    tepal_signals_close(signals);
    return 0;
}

static void *run_loop(void *arg)
{
    return tepal_main(receive_in_thread, arg) == 0 ? NULL : arg;
}

static void loops_of_all_threads_get_it(void **state)
{
    (void)state;
    enum { N = 4 };
    pthread_t threads[N];
    int numbers[N] = { 0 };
    pthread_barrier_init(&all_open, NULL, N + 1);
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_loop, &numbers[i]), 0);
    pthread_barrier_wait(&all_open);
    kill(getpid(), SIGUSR1);
    pthread_barrier_wait(&all_open);
    for (int i = 0; i < N; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
        assert_int_equal(numbers[i], SIGUSR1);
    }
    pthread_barrier_destroy(&all_open);
    assert_true(is_default(SIGUSR1));
}

/* --- fork() ----------------------------------------------------------------------------------- */

static int fork_in_task(void *arg)
{
    static const int numbers[] = { SIGTERM, SIGUSR1, 0 };
    tepal_signals *signals = tepal_signals_open(numbers);
    int ends[2], status;
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        bool as_before = is_default(SIGTERM) && is_default(SIGUSR1) && !is_blocked(SIGTERM);
        (void)!write(ends[1], as_before ? "y" : "n", 1);
        while (true)
            pause();
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    kill(child, SIGTERM); /* it is not deaf */
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    raise(SIGUSR1); /* and the parent still receives */
    assert_int_equal(tepal_signals_next(signals), SIGUSR1);
    tepal_signals_close(signals);
    close(ends[0]);
    close(ends[1]);
    (void)arg;
    return 0;
}

static void a_child_has_the_programs_own(void **state)
{
    (void)state;
    assert_int_equal(run(fork_in_task, NULL), 0);
}

static int fail_to_open(void *arg)
{
    static const int numbers[] = { SIGUSR1, 0 };
    for (size_t n = 1; n <= 3; n++) {
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
    assert_true(is_default(SIGUSR1));
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
        cmocka_unit_test(the_handler_is_put_back),
        cmocka_unit_test(all_receivers_get_it),
        cmocka_unit_test(loops_of_all_threads_get_it),
        cmocka_unit_test(a_child_has_the_programs_own),
        cmocka_unit_test(failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
