/* Tests of pools of the program's own, and of calls that are waited for later. */
#include "../misuse.h"
#include "../report.h"

#include "base/mem.h"

#include <tepal/async.h>

#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>

/* Calls of block() are let go one by one. */
static sem_t gate;
static int n_running, most_running, n_called; /* atomic */

static int block(void *arg)
{
    int now = __atomic_add_fetch(&n_running, 1, __ATOMIC_SEQ_CST);
    int most = __atomic_load_n(&most_running, __ATOMIC_SEQ_CST);
    while (now > most && !__atomic_compare_exchange_n(&most_running, &most, now, false,
                                                      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        continue;
    while (sem_wait(&gate) < 0)
        continue;
    __atomic_sub_fetch(&n_running, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&n_called, 1, __ATOMIC_SEQ_CST);
    return arg ? *(const int *)arg : 0;
}

static int return_it(void *arg)
{
    return *(const int *)arg;
}

static int n_released;

static void release(void *arg)
{
    n_released += *(const int *)arg == 7;
}

static int setup(void **state)
{
    (void)state;
    n_running = most_running = n_called = 0;
    return sem_init(&gate, 0, 0);
}

static int teardown(void **state)
{
    (void)state;
    return sem_destroy(&gate);
}

/* Not by the clock, for that of tests stands still while calls are under way. */
static void await_running(int n)
{
    while (__atomic_load_n(&n_running, __ATOMIC_SEQ_CST) != n)
        usleep(tepal_sleep_ms(0) == 0 ? 100 : 1000);
}

static void let_go(int n)
{
    while (n-- > 0)
        sem_post(&gate);
}

static tepal_pool *open_pool(unsigned max_threads, size_t max_queue)
{
    tepal_pool *pool;
    tepal_pool_options options = { .name = "db", .max_threads = max_threads };
    options.max_queue = max_queue;
    assert_int_equal(tepal_pool_open(&pool, &options), 0);
    assert_non_null(pool);
    return pool;
}

/* --- Pools ------------------------------------------------------------------------------------ */

static const int seven = 7;
static tepal_pool *the_pool;

static int run_one(void *arg)
{
    int rc = tepal_pool_run(the_pool, block, &seven);
    assert_int_equal(rc, arg ? *(const int *)arg : 7);
    return 0;
}

static int as_many_as_it_has(void *arg)
{
    (void)arg;
    the_pool = open_pool(4, 0);
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 20; i++)
        assert_int_equal(tepal_spawn(group, run_one, NULL, NULL), 0);
    await_running(4);
    /* No other call waits behind them. */
    assert_int_equal(tepal_offload(return_it, &seven), 7);
    assert_int_equal(tepal_pool_run(NULL, return_it, &seven), 7);
    let_go(20);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(most_running, 4);
    assert_int_equal(n_called, 20);
    tepal_group_close(group);
    tepal_pool_close(the_pool);
    tepal_pool_close(NULL);
    return 0;
}

static void no_more_threads_than_its_own(void **state)
{
    (void)state;
    assert_int_equal(run(as_many_as_it_has, NULL), 0);
    sem_init(&gate, 0, 0);
    n_called = most_running = 0;
    assert_int_equal(run_fake(as_many_as_it_has, NULL), 0);
}

static int full_queue(void *arg)
{
    (void)arg;
    the_pool = open_pool(1, 2);
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 3; i++)
        assert_int_equal(tepal_spawn(group, run_one, NULL, NULL), 0);
    await_running(1);
    assert_int_equal(tepal_pool_run(the_pool, return_it, &seven), -EBUSY);
    tepal_work *work = NULL;
    assert_int_equal(tepal_work_start(&work, the_pool, return_it, &seven, NULL), -EBUSY);
    assert_null(work);
    let_go(3);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(tepal_pool_run(the_pool, return_it, &seven), 7);
    tepal_group_close(group);
    tepal_pool_close(the_pool);
    return 0;
}

static void a_full_queue_is_busy(void **state)
{
    (void)state;
    assert_int_equal(run(full_queue, NULL), 0);
}

/* Below, at and above the default of the queue, by works that are never begun. */
static int default_queue(void *arg)
{
    enum { DEFAULT_QUEUE = 10000 };
    static tepal_work *works[DEFAULT_QUEUE + 2];
    (void)arg;
    the_pool = open_pool(1, 0);
    for (int i = 0; i < DEFAULT_QUEUE + 1; i++)
        assert_int_equal(tepal_work_start(&works[i], the_pool, block, NULL, NULL), 0);
    assert_int_equal(tepal_work_start(&works[DEFAULT_QUEUE + 1], the_pool, block, NULL, NULL),
                     -EBUSY);
    await_running(1);
    for (int i = 1; i < DEFAULT_QUEUE + 1; i++)
        tepal_work_close(works[i]);
    let_go(1);
    assert_int_equal(tepal_work_join(works[0], NULL), 0);
    tepal_work_close(works[0]);
    assert_int_equal(n_called, 1);
    tepal_pool_close(the_pool);
    return 0;
}

static void the_default_of_the_queue(void **state)
{
    (void)state;
    assert_int_equal(run(default_queue, NULL), 0);
}

static int cancel_in_the_queue(void *arg)
{
    static const int cancelled = -ECANCELED;
    (void)arg;
    the_pool = open_pool(1, 0);
    tepal_group *running = tepal_group_new(), *waiting = tepal_group_new();
    assert_int_equal(tepal_spawn(running, run_one, NULL, NULL), 0);
    await_running(1);
    assert_int_equal(tepal_spawn(waiting, run_one, &cancelled, NULL), 0);
    settle();
    tepal_group_close(waiting);
    int64_t none = tepal_deadline_in_ms(1);
    assert_int_equal(tepal_pool_run(the_pool, block, NULL), -ETIMEDOUT);
    tepal_deadline_restore(none);
    let_go(1);
    tepal_group_close(running); /* which waits for what has begun */
    assert_int_equal(n_called, 1);
    tepal_pool_close(the_pool);
    return 0;
}

static void cancelled_in_the_queue(void **state)
{
    (void)state;
    assert_int_equal(run(cancel_in_the_queue, NULL), 0);
}

static int leave_pools(void *arg)
{
    tepal_work *work;
    (void)arg;
    for (int i = 0; i < 3; i++) {
        tepal_pool *pool = open_pool(2, 0);
        assert_int_equal(tepal_pool_run(pool, return_it, &seven), 7);
        assert_int_equal(tepal_work_start(&work, pool, return_it, &seven, NULL), 0);
        assert_int_equal(tepal_work_join(work, NULL), 0);
        tepal_work_close(work);
    }
    return 0;
}

static void pools_go_with_the_loop(void **state)
{
    (void)state;
    assert_int_equal(run(leave_pools, NULL), 0);
}

static int open_without(void *arg)
{
    struct rlimit old, tight;
    tepal_pool *pool = (tepal_pool *)arg;
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_pool_open(&pool, NULL), -ENOMEM);
    mem_fail_nth(0, 0);
    assert_null(pool);
    getrlimit(RLIMIT_NOFILE, &old);
    int free_fd = dup(0);
    close(free_fd);
    tight = old;
    tight.rlim_cur = (rlim_t)free_fd;
    setrlimit(RLIMIT_NOFILE, &tight);
    int rc = tepal_pool_open(&pool, NULL);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(rc, -EMFILE);
    tepal_pool_options options = { .later = { 0, 1 } };
    assert_int_equal(tepal_pool_open(&pool, &options), -EINVAL);
    assert_null(pool);
    assert_int_equal(tepal_pool_open(&pool, NULL), 0);
    tepal_work *work;
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_work_start(&work, pool, return_it, &seven, NULL), -ENOMEM);
    mem_fail_nth(0, 0);
    assert_null(work);
    mem_fail_nth(2, 0); /* that of the first thread */
    n_released = 0;
    assert_int_equal(tepal_work_start(&work, pool, return_it, &seven, release), -EAGAIN);
    assert_int_equal(n_released, 0);
    mem_fail_nth(0, 0);
    assert_null(work);
    assert_int_equal(tepal_pool_run(pool, return_it, &seven), 7);
    tepal_pool_close(pool);
    return 0;
}

static void short_of_memory_and_descriptors(void **state)
{
    (void)state;
    assert_int_equal(run(open_without, NULL), 0);
}

/* --- Works ------------------------------------------------------------------------------------ */

static int start_and_join(void *arg)
{
    static const int numbers[] = { 0, 1, -EIO, 1234567 };
    enum { N = sizeof(numbers) / sizeof(numbers[0]) };
    tepal_work *works[N];
    int result;
    (void)arg;
    for (int i = 0; i < N; i++)
        assert_int_equal(tepal_work_start(&works[i], NULL, block, &numbers[i], NULL), 0);
    await_running(N); /* all at once, while this task goes on */
    for (int i = 0; i < N; i++)
        assert_false(tepal_work_is_done(works[i]));
    let_go(N);
    for (int i = N - 1; i >= 0; i--) {
        assert_int_equal(tepal_work_join(works[i], &result), 0);
        assert_int_equal(result, numbers[i]);
        assert_true(tepal_work_is_done(works[i]));
        assert_int_equal(tepal_work_join(works[i], NULL), 0); /* again */
        tepal_work_close(works[i]);
    }
    tepal_work_close(NULL);
    return 0;
}

static void started_now_joined_later(void **state)
{
    (void)state;
    assert_int_equal(run(start_and_join, NULL), 0);
}

static tepal_work *the_work;

static int join_it(void *arg)
{
    (void)arg;
    return tepal_work_join(the_work, NULL);
}

static int cut_short(void *arg)
{
    int result = 0;
    (void)arg;
    assert_int_equal(tepal_work_start(&the_work, NULL, block, &seven, NULL), 0);
    expect_interruptible(join_it, NULL);
    let_go(1);
    assert_int_equal(tepal_work_join(the_work, &result), 0); /* it went on */
    assert_int_equal(result, 7);
    tepal_work_close(the_work);
    return 0;
}

static void a_join_that_is_cut_short(void **state)
{
    (void)state;
    assert_int_equal(run(cut_short, NULL), 0);
}

static int close_at_all_times(void *arg)
{
    tepal_work *begun, *queued, *done;
    (void)arg;
    n_released = 0;
    the_pool = open_pool(1, 0);
    assert_int_equal(tepal_work_start(&done, the_pool, return_it, &seven, release), 0);
    assert_int_equal(tepal_work_join(done, NULL), 0);
    tepal_work_close(done);
    assert_int_equal(n_released, 1);
    assert_int_equal(tepal_work_start(&begun, the_pool, block, &seven, release), 0);
    await_running(1);
    assert_int_equal(tepal_work_start(&queued, the_pool, block, &seven, release), 0);
    tepal_work_close(queued);
    assert_int_equal(n_released, 2); /* at once, and it is never called */
    tepal_work_close(begun);
    assert_int_equal(n_released, 2);
    let_go(1);
    tepal_pool_close(the_pool); /* which waits for it */
    assert_int_equal(n_released, 3);
    assert_int_equal(n_called, 1);
    return 0;
}

static void closed_at_all_times(void **state)
{
    (void)state;
    assert_int_equal(run(close_at_all_times, NULL), 0);
}

static int leave_works(void *arg)
{
    tepal_work **works = arg;
    the_pool = open_pool(1, 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(tepal_work_start(&works[i], the_pool, block, &seven, release), 0);
    await_running(1);
    let_go(2); /* the second one may begin, or not */
    return 0;
}

static void works_outlive_the_loop(void **state)
{
    (void)state;
    tepal_work *works[2];
    n_released = 0;
    assert_int_equal(run(leave_works, works), 0);
    assert_true(tepal_work_is_done(works[0]));
    assert_true(tepal_work_is_done(works[1]));
    for (int i = 0; i < 2; i++)
        tepal_work_close(works[i]);
    assert_int_equal(n_released, 2);
}

/* --- The log ---------------------------------------------------------------------------------- */

static int stall(void *arg)
{
    (void)arg;
    report_clear();
    tepal_log_set_fn(report_log, NULL);
    tepal_work *works[2];
    the_pool = open_pool(1, 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(tepal_work_start(&works[i], the_pool, block, &seven, NULL), 0);
    await_running(1);
    for (int i = 0; i < 100 && !report_has("pool"); i++)
        assert_int_equal(tepal_sleep_ms(100), 0);
    expect_reported("no thread has been free for 3 s: 1 calls of pool \"db\" wait, 1 run; see "
                    "tepal_pool_options");
    tepal_log_set_fn(NULL, NULL);
    let_go(2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tepal_work_join(works[i], NULL), 0);
        tepal_work_close(works[i]);
    }
    tepal_pool_close(the_pool);
    return 0;
}

static void a_pool_that_stands_still_is_named(void **state)
{
    (void)state;
    assert_int_equal(run(stall, NULL), 0);
}

/* A call that has only been made waits for no thread, however long the task had held the loop. */
static int call_after_a_stall(void *arg)
{
    (void)arg;
    report_clear();
    tepal_log_set_fn(report_log, NULL);
    loop_current->now -= 4000; /* as if it had been looked at then */
    loop_current->due = loop_current->polled = loop_current->now;
    tepal_work *work;
    the_pool = open_pool(1, 0);
    assert_int_equal(tepal_work_start(&work, the_pool, block, &seven, NULL), 0);
    await_running(1);
    tepal_work_close(work);
    let_go(1);
    tepal_pool_close(the_pool);
    tepal_log_set_fn(NULL, NULL);
    expect_not_reported("no thread has been free");
    return 0;
}

static void held_by_a_task_before(void **state)
{
    (void)state;
    assert_int_equal(run(call_after_a_stall, NULL), 0);
}

/* --- Misuse ----------------------------------------------------------------------------------- */

static int no_function(void *arg)
{
    (void)arg;
    return tepal_pool_run(NULL, NULL, NULL);
}

static int start_nothing(void *arg)
{
    (void)arg;
    return tepal_work_start(&the_work, NULL, NULL, NULL, NULL);
}

static int join_nothing(void *arg)
{
    (void)arg;
    return tepal_work_join(NULL, NULL);
}

static int close_a_busy_pool(void *arg)
{
    (void)arg;
    the_pool = open_pool(1, 0);
    assert_int_equal(tepal_work_start(&the_work, the_pool, block, NULL, NULL), 0);
    tepal_pool_close(the_pool);
    return 0;
}

static int close_while_joined(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_work_start(&the_work, NULL, block, NULL, NULL), 0);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, join_it, NULL, NULL), 0);
    settle();
    tepal_work_close(the_work);
    return 0;
}

static int join_twice(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_work_start(&the_work, NULL, block, NULL, NULL), 0);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, join_it, NULL, NULL), 0);
    settle();
    return tepal_work_join(the_work, NULL);
}

static void *use_elsewhere(void *arg)
{
    (void)arg;
    tepal_main(run_one, NULL);
    return NULL;
}

static int of_another_loop(void *arg)
{
    pthread_t thread;
    (void)arg;
    the_pool = open_pool(1, 0);
    pthread_create(&thread, NULL, use_elsewhere, NULL);
    pthread_join(thread, NULL);
    return 0;
}

static void wrong_use_is_told(void **state)
{
    (void)state;
    expect_misuse(no_function, "tepal_pool_run: the function is NULL");
    expect_misuse(start_nothing, "tepal_work_start: the function is NULL");
    expect_misuse(join_nothing, "tepal_work_join: the work is NULL");
    expect_misuse(close_a_busy_pool, "tepal_pool_close: a call of the pool has not ended");
    expect_misuse(close_while_joined, "tepal_work_close: a task waits for this work");
    expect_misuse(join_twice, "tepal_work_join: another task waits for this work");
    expect_misuse(of_another_loop, "tepal_pool_run: the pool is another loop's");
}

#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        POOL_TEST(no_more_threads_than_its_own),
        POOL_TEST(a_full_queue_is_busy),
        POOL_TEST(the_default_of_the_queue),
        POOL_TEST(cancelled_in_the_queue),
        POOL_TEST(pools_go_with_the_loop),
        POOL_TEST(short_of_memory_and_descriptors),
        POOL_TEST(started_now_joined_later),
        POOL_TEST(a_join_that_is_cut_short),
        POOL_TEST(closed_at_all_times),
        POOL_TEST(works_outlive_the_loop),
        POOL_TEST(a_pool_that_stands_still_is_named),
        POOL_TEST(held_by_a_task_before),
        POOL_TEST(wrong_use_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
