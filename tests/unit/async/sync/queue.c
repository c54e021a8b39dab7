/* Tests of queues between threads and the tasks of loops. */
#include "../misuse.h"

#include "base/mem.h"

#include <tepal/async.h>

#include <pthread.h>
#include <sys/resource.h>

static tepal_queue *queue;

static void open_queue(size_t capacity)
{
    queue = tepal_queue_new(sizeof(int), capacity);
    assert_non_null(queue);
}

static void send_one(int item)
{
    assert_int_equal(tepal_queue_send(queue, &item, TEPAL_NEVER), 0);
}

static int receive_one(void)
{
    int item = -1;
    assert_int_equal(tepal_queue_receive(queue, &item, TEPAL_NEVER), 0);
    return item;
}

/* --- Tasks of one loop ------------------------------------------------------------------------ */

enum { N_ITEMS = 100 };

static int send_numbers(void *arg)
{
    (void)arg;
    for (int i = 0; i < N_ITEMS; i++)
        send_one(i);
    tepal_queue_end(queue);
    return 0;
}

static int receive_numbers(void *arg)
{
    int item;
    (void)arg;
    for (int i = 0; i < N_ITEMS; i++)
        assert_int_equal(receive_one(), i);
    assert_int_equal(tepal_queue_receive(queue, &item, TEPAL_NEVER), -EPIPE);
    return 0;
}

static int both(void *arg)
{
    (void)arg;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, receive_numbers, NULL, NULL), 0);
    assert_int_equal(tepal_spawn(group, send_numbers, NULL, NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    return 0;
}

static void between_tasks(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity < 4; capacity++) {
        open_queue(capacity);
        assert_int_equal(run(both, NULL), 0);
        assert_true(tepal_queue_has_ended(queue));
        tepal_queue_close(queue);
    }
}

/* --- Threads ---------------------------------------------------------------------------------- */

static void *thread_sends(void *arg)
{
    send_numbers(arg);
    return NULL;
}

static void *thread_receives(void *arg)
{
    receive_numbers(arg);
    return NULL;
}

static void *loop_sends(void *arg)
{
    assert_int_equal(tepal_main(send_numbers, arg), 0);
    return NULL;
}

static void *loop_receives(void *arg)
{
    assert_int_equal(tepal_main(receive_numbers, arg), 0);
    return NULL;
}

static void from_any_to_any(void **state)
{
    (void)state;
    void *(*const senders[])(void *) = { thread_sends, loop_sends };
    void *(*const receivers[])(void *) = { thread_receives, loop_receives };
    for (int i = 0; i < 16; i++) {
        pthread_t sender, receiver;
        open_queue((size_t)i / 4);
        assert_int_equal(pthread_create(&sender, NULL, senders[i % 2], NULL), 0);
        assert_int_equal(pthread_create(&receiver, NULL, receivers[i / 2 % 2], NULL), 0);
        pthread_join(sender, NULL);
        pthread_join(receiver, NULL);
        assert_int_equal(tepal_queue_length(queue), 0);
        tepal_queue_close(queue);
    }
}

static int send_in_offload(void *arg)
{
    return send_numbers(arg);
}

static int offload_sends(void *arg)
{
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, receive_numbers, NULL, NULL), 0);
    assert_int_equal(tepal_offload(send_in_offload, arg), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    return 0;
}

static void from_an_offload(void **state)
{
    (void)state;
    open_queue(1);
    assert_int_equal(run(offload_sends, NULL), 0);
    tepal_queue_close(queue);
}

/* --- Nothing is lost, nothing doubled --------------------------------------------------------- */

enum { N_THREADS = 3, N_TASKS = 4 };

static int n_each, n_received; /* the latter under the mutex */
static int last_of[N_THREADS];
static pthread_mutex_t count_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Items of one sender come in order to one receiver; here only their number is counted. */
static void count_item(void)
{
    pthread_mutex_lock(&count_mutex);
    n_received++;
    pthread_mutex_unlock(&count_mutex);
}

static void *send_many(void *arg)
{
    for (int i = 0; i < n_each; i++)
        send_one((int)(uintptr_t)arg * 1000000 + i);
    return NULL;
}

static void *receive_with_timeouts(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    int item, rc;
    while ((rc = tepal_queue_receive(queue, &item, next_random(&random) % 3)) != -EPIPE) {
        assert_true(rc == 0 || rc == -ETIMEDOUT || rc == -EAGAIN);
        if (rc == 0)
            count_item();
    }
    return NULL;
}

static int receive_as_task(void *arg)
{
    receive_with_timeouts(arg);
    return 0;
}

static int receive_until_cancelled(void *arg)
{
    int item, rc;
    (void)arg;
    while ((rc = tepal_queue_receive(queue, &item, TEPAL_NEVER)) == 0)
        count_item();
    assert_true(rc == -ECANCELED || rc == -EPIPE);
    return rc == -EPIPE ? 0 : rc;
}

static int receive_and_cancel(void *arg)
{
    uint64_t random = 7;
    tepal_group *steady = tepal_group_new();
    for (uintptr_t i = 0; i < N_TASKS; i++)
        assert_int_equal(tepal_spawn(steady, receive_as_task, (void *)i, NULL), 0);
    while (!tepal_queue_has_ended(queue)) {
        tepal_group *group = tepal_group_new();
        for (int i = 0; i < N_TASKS; i++)
            assert_int_equal(tepal_spawn(group, receive_until_cancelled, NULL, NULL), 0);
        (void)tepal_sleep_us(next_random(&random) % 200);
        tepal_group_close(group);
    }
    assert_int_equal(tepal_group_wait(steady), 0);
    tepal_group_close(steady);
    (void)arg;
    return 0;
}

static void *loop_receives_and_cancels(void *arg)
{
    assert_int_equal(tepal_main(receive_and_cancel, arg), 0);
    return NULL;
}

static void nothing_is_lost(void **state)
{
    (void)state;
    pthread_t senders[N_THREADS], receivers[N_THREADS];
    n_each = times(3000);
    n_received = 0;
    open_queue(2);
    for (uintptr_t i = 0; i < N_THREADS; i++) {
        pthread_create(&receivers[i], NULL,
                       i == 0 ? receive_with_timeouts : loop_receives_and_cancels, (void *)i);
        pthread_create(&senders[i], NULL, send_many, (void *)i);
    }
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(senders[i], NULL);
    tepal_queue_end(queue);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(receivers[i], NULL);
    assert_int_equal(n_received, N_THREADS * n_each);
    tepal_queue_close(queue);
}

/* One receiver sees what each sender has sent in its order. */
static int receive_in_order(void *arg)
{
    (void)arg;
    for (int i = 0; i < N_THREADS; i++)
        last_of[i] = -1;
    for (int i = 0; i < N_THREADS * n_each; i++) {
        int item = receive_one();
        assert_int_equal(item % 1000000, last_of[item / 1000000] + 1);
        last_of[item / 1000000]++;
    }
    return 0;
}

static void in_order(void **state)
{
    (void)state;
    pthread_t senders[N_THREADS];
    n_each = times(1000);
    open_queue(3);
    for (uintptr_t i = 0; i < N_THREADS; i++)
        pthread_create(&senders[i], NULL, send_many, (void *)i);
    assert_int_equal(run(receive_in_order, NULL), 0);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(senders[i], NULL);
    tepal_queue_close(queue);
}

/* The receiver of the last item closes the queue, while its sender may still be in the call. */
static void *send_the_last(void *arg)
{
    tepal_queue *own = arg;
    int item = 5;
    assert_int_equal(tepal_queue_send(own, &item, TEPAL_NEVER), 0);
    return NULL;
}

static int receive_and_close(void *arg)
{
    int item = 0;
    (void)arg;
    for (int i = 0; i < times(300); i++) {
        pthread_t thread;
        tepal_queue *own = tepal_queue_new(sizeof(int), (size_t)i % 2);
        pthread_create(&thread, NULL, send_the_last, own);
        assert_int_equal(tepal_queue_receive(own, &item, TEPAL_NEVER), 0);
        assert_int_equal(item, 5);
        tepal_queue_close(own);
        pthread_join(thread, NULL);
    }
    return 0;
}

static void closed_behind_the_last_item(void **state)
{
    (void)state;
    assert_int_equal(run(receive_and_close, NULL), 0);
}

/* --- Time ------------------------------------------------------------------------------------- */

static void check_times(void)
{
    int item = 1;
    int64_t before = tepal_now_us();
    assert_int_equal(tepal_queue_receive(queue, &item, 5), -ETIMEDOUT);
    assert_true(tepal_now_us() - before >= 5000);
    assert_int_equal(tepal_queue_receive(queue, &item, 0), -EAGAIN);
    assert_int_equal(tepal_queue_receive(queue, &item, INT64_MIN), -EAGAIN);
    assert_int_equal(tepal_queue_try_receive(queue, &item), -EAGAIN);
    assert_int_equal(item, 1);
    assert_int_equal(tepal_queue_send(queue, &item, 0), 0);
    before = tepal_now_us();
    assert_int_equal(tepal_queue_send(queue, &item, 5), -ETIMEDOUT);
    assert_true(tepal_now_us() - before >= 5000);
    assert_int_equal(tepal_queue_send(queue, &item, 0), -EAGAIN);
    assert_int_equal(tepal_queue_try_send(queue, &item), -EAGAIN);
    assert_int_equal(tepal_queue_length(queue), 1);
    assert_int_equal(tepal_queue_receive(queue, &item, INT64_MAX - 1), 0);
}

static int times_in_a_task(void *arg)
{
    int item = 1;
    (void)arg;
    check_times();
    int64_t none = tepal_deadline_in_ms(2);
    assert_int_equal(tepal_queue_receive(queue, &item, 3600 * 1000), -ETIMEDOUT);
    tepal_deadline_restore(none);
    return tepal_sleep_ms(0);
}

static void in_time_or_not(void **state)
{
    (void)state;
    open_queue(1);
    check_times();
    assert_int_equal(run(times_in_a_task, NULL), 0);
    assert_int_equal(run_fake(times_in_a_task, NULL), 0);
    tepal_queue_close(queue);
}

static int receive_for_ever(void *arg)
{
    int item;
    (void)arg;
    return tepal_queue_receive(queue, &item, TEPAL_NEVER);
}

static int send_for_ever(void *arg)
{
    int item = 0;
    (void)arg;
    return tepal_queue_send(queue, &item, TEPAL_NEVER);
}

static int interrupt(void *arg)
{
    (void)arg;
    expect_interruptible(receive_for_ever, NULL);
    send_one(1);
    expect_interruptible(send_for_ever, NULL);
    assert_int_equal(tepal_queue_length(queue), 1);
    assert_int_equal(receive_one(), 1);
    return 0;
}

static void cancelled_and_late(void **state)
{
    (void)state;
    open_queue(1);
    assert_int_equal(run_fake(interrupt, NULL), 0);
    assert_int_equal(run(interrupt, NULL), 0);
    tepal_queue_close(queue);
}

/* Served, and cancelled before it runs: it has the item, and is told of the rest by its next
 * call. */
static int serve_and_cancel(void *arg)
{
    int item = -1;
    tepal_group *group = arg;
    assert_int_equal(tepal_queue_receive(queue, &item, TEPAL_NEVER), 0);
    assert_int_equal(item, 9);
    assert_true(tepal_is_cancelled());
    assert_int_equal(tepal_queue_try_receive(queue, &item), -EAGAIN);
    (void)group;
    return tepal_sleep_ms(0);
}

static int served_first(void *arg)
{
    int item = 9;
    (void)arg;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, serve_and_cancel, group, NULL), 0);
    settle();
    assert_int_equal(tepal_queue_try_send(queue, &item), 0);
    assert_int_equal(tepal_queue_length(queue), 0);
    tepal_group_close(group);
    return 0;
}

static void an_item_comes_before_a_cancellation(void **state)
{
    (void)state;
    open_queue(1);
    assert_int_equal(run(served_first, NULL), 0);
    tepal_queue_close(queue);
}

/* --- The end ---------------------------------------------------------------------------------- */

static void *wait_for_the_end(void *arg)
{
    int item = 0;
    int rc = arg ? tepal_queue_send(queue, &item, TEPAL_NEVER)
                 : tepal_queue_receive(queue, &item, TEPAL_NEVER);
    assert_int_equal(rc, -EPIPE);
    return NULL;
}

static int task_waits_for_the_end(void *arg)
{
    wait_for_the_end(arg);
    return 0;
}

static int end_it(void *arg)
{
    pthread_t thread;
    bool *full = arg;
    tepal_group *group = tepal_group_new();
    pthread_create(&thread, NULL, wait_for_the_end, *full ? arg : NULL);
    assert_int_equal(tepal_spawn(group, task_waits_for_the_end, *full ? arg : NULL, NULL), 0);
    assert_int_equal(tepal_sleep_ms(2), 0);
    tepal_queue_end(queue);
    tepal_queue_end(queue);
    assert_int_equal(tepal_group_wait(group), 0);
    pthread_join(thread, NULL);
    tepal_group_close(group);
    return 0;
}

static void ended_while_others_wait(void **state)
{
    (void)state;
    for (int full = 0; full < 2; full++) {
        bool is_full = full == 1;
        int item = 4;
        open_queue(1);
        if (is_full)
            assert_int_equal(tepal_queue_try_send(queue, &item), 0);
        assert_false(tepal_queue_has_ended(queue));
        assert_int_equal(run(end_it, &is_full), 0);
        assert_true(tepal_queue_has_ended(queue));
        assert_int_equal(tepal_queue_try_send(queue, &item), -EPIPE);
        assert_int_equal(tepal_queue_send(queue, &item, TEPAL_NEVER), -EPIPE);
        if (is_full) /* what is in it can be had */
            assert_int_equal(receive_one(), 4);
        assert_int_equal(tepal_queue_try_receive(queue, &item), -EPIPE);
        assert_int_equal(tepal_queue_receive(queue, &item, TEPAL_NEVER), -EPIPE);
        tepal_queue_close(queue);
    }
    tepal_queue_close(NULL);
}

static int wait_in_a_shield(void *arg)
{
    int item;
    (void)arg;
    (void)tepal_shield_begin_ms(TEPAL_NEVER);
    return tepal_queue_receive(queue, &item, TEPAL_NEVER);
}

static int leave_it_waiting(void *arg)
{
    (void)arg;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, wait_in_a_shield, NULL, NULL), 0);
    settle();
    loop_current->end_until = loop_current->now;
    return 0;
}

/* A task that was given up waits for nothing any more. */
static void an_abandoned_task_gets_nothing(void **state)
{
    (void)state;
    int item = 3;
    open_queue(1);
    (void)tepal_main(leave_it_waiting, NULL);
    assert_int_equal(tepal_queue_try_send(queue, &item), 0);
    assert_int_equal(tepal_queue_length(queue), 1);
    tepal_queue_close(queue);
}

/* --- Short of memory or descriptors ----------------------------------------------------------- */

static int wait_without(void *arg)
{
    struct rlimit old, tight;
    int item;
    (void)arg;
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_queue_receive(queue, &item, 1000), -ENOMEM);
    assert_int_equal(mem_failures(), 1);
    mem_fail_nth(0, 0);
    getrlimit(RLIMIT_NOFILE, &old);
    int free_fd = dup(0);
    close(free_fd);
    tight = old;
    tight.rlim_cur = (rlim_t)free_fd;
    setrlimit(RLIMIT_NOFILE, &tight);
    int rc = tepal_queue_receive(queue, &item, 1000);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(rc, -EMFILE);
    assert_int_equal(tepal_queue_receive(queue, &item, 1), -ETIMEDOUT);
    return 0;
}

static void without_memory_or_descriptors(void **state)
{
    (void)state;
    mem_fail_nth(1, 0);
    assert_null(tepal_queue_new(1, 1));
    mem_fail_nth(0, 0);
    assert_null(tepal_queue_new(SIZE_MAX / 2, 3));
    open_queue(1);
    assert_int_equal(run(wait_without, NULL), 0);
    tepal_queue_close(queue);
}

/* --- Misuse ----------------------------------------------------------------------------------- */

static int no_queue(void *arg)
{
    return tepal_queue_receive(NULL, arg, 0);
}

static int no_size(void *arg)
{
    (void)arg;
    return tepal_queue_new(0, 1) != NULL;
}

static int wait_outside(void *arg)
{
    int item;
    open_queue(1);
    loop_current->current = NULL;
    assert_int_equal(tepal_queue_try_receive(queue, &item), -EAGAIN); /* this may be called */
    return tepal_queue_receive(queue, arg ? arg : &item, 1000);
}

static int close_while_awaited(void *arg)
{
    (void)arg;
    open_queue(1);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, receive_for_ever, NULL, NULL), 0);
    settle();
    tepal_queue_close(queue);
    return 0;
}

static void wrong_use_is_told(void **state)
{
    (void)state;
    expect_misuse(no_queue, "tepal_queue_receive: the queue is NULL");
    expect_misuse(no_size, "tepal_queue_new: an item has at least one octet");
    expect_misuse(wait_outside, "tepal_queue_receive: must be called from a task");
    expect_misuse(close_while_awaited, "tepal_queue_close: a task or a thread still waits");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_tasks),
        cmocka_unit_test(from_any_to_any),
        cmocka_unit_test(from_an_offload),
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(in_order),
        cmocka_unit_test(closed_behind_the_last_item),
        cmocka_unit_test(in_time_or_not),
        cmocka_unit_test(cancelled_and_late),
        cmocka_unit_test(an_item_comes_before_a_cancellation),
        cmocka_unit_test(ended_while_others_wait),
        cmocka_unit_test(an_abandoned_task_gets_nothing),
        cmocka_unit_test(without_memory_or_descriptors),
        cmocka_unit_test(wrong_use_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
