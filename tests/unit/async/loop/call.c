/* Tests of calls into the loop, from its own thread and from others. */
#include "../misuse.h"

#include "base/mem.h"

#include <pthread.h>
#include <sys/resource.h>

static char trace[64];

static int setup(void **state)
{
    (void)state;
    trace[0] = '\0';
    return 0;
}

static void mark(void *arg)
{
    strncat(trace, arg, sizeof(trace) - strlen(trace) - 1);
}

static void count(void *arg)
{
    ++*(int *)arg;
}

/* --- In the loop's own thread ----------------------------------------------------------------- */

static int mark_task(void *arg)
{
    mark(arg);
    return 0;
}

static int call_in_order(void *arg)
{
    tepal_loop *loop = tepal_loop_current();
    assert_non_null(loop);
    assert_ptr_equal(tepal_loop_current(), loop);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, mark_task, "A", NULL), 0);
    assert_int_equal(tepal_loop_call(loop, mark, "1"), 0);
    assert_int_equal(tepal_loop_call(loop, mark, "2"), 0);
    assert_int_equal(tepal_spawn(group, mark_task, "B", NULL), 0);
    assert_int_equal(tepal_loop_call(loop, mark, "3"), 0);
    mark("m"); /* none of it at once */
    assert_int_equal(tepal_sleep_ms(0), 0);
    assert_string_equal(trace, "m123AB");
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void calls_run_in_order_between_tasks(void **state)
{
    (void)state;
    assert_int_equal(run(call_in_order, NULL), 0);
    trace[0] = '\0';
    assert_int_equal(run_fake(call_in_order, NULL), 0);
}

static void wake(void *arg)
{
    assert_null(loop_current->current);
    task_wake(arg, 42);
}

/* The loop has nothing else to do, and does not go to sleep over the call; a clock that is fake
 * does not move. */
static int be_woken_by_a_call(void *arg)
{
    int64_t before = tepal_now_ms();
    assert_int_equal(tepal_loop_call(tepal_loop_current(), wake, loop_current->current), 0);
    assert_int_equal(task_wait(loop_current, "a test", TEPAL_NEVER), 42);
    if (loop_current->fake_time) {
        assert_int_equal(tepal_loop_call(tepal_loop_current(), wake, loop_current->current), 0);
        assert_int_equal(task_wait(loop_current, "a test", before + 1000), 42);
        assert_true(tepal_now_ms() == before);
    }
    (void)arg;
    return 0;
}

static void a_call_wakes_a_task(void **state)
{
    (void)state;
    assert_int_equal(run(be_woken_by_a_call, NULL), 0);
    assert_int_equal(run_fake(be_woken_by_a_call, NULL), 0);
}

static tepal_group *spawned;

static void spawn_and_call_again(void *arg)
{
    mark("s");
    assert_int_equal(tepal_spawn(spawned, mark_task, arg, NULL), 0);
    assert_int_equal(tepal_loop_call(tepal_loop_current(), mark, "c"), 0);
}

static int call_what_calls(void *arg)
{
    spawned = tepal_group_new();
    assert_int_equal(tepal_loop_call(tepal_loop_current(), spawn_and_call_again, "t"), 0);
    assert_int_equal(tepal_loop_call(tepal_loop_current(), mark, "n"), 0);
    settle();
    assert_string_equal(trace, "sntc"); /* what a call queues is for the turn after */
    tepal_group_close(spawned);
    (void)arg;
    return 0;
}

static void calls_may_spawn_and_call(void **state)
{
    (void)state;
    assert_int_equal(run(call_what_calls, NULL), 0);
}

/* --- From other threads ----------------------------------------------------------------------- */

enum { THREADS = 4, CALLS = 5000 };

struct caller {
    pthread_t thread;
    tepal_loop *loop;
    int n_calls; /* that it makes */
    int n_ran;   /* in the loop's thread alone */
    bool ended;  /* the same */
    struct tepal_task *waiter;
};

struct numbered {
    struct caller *caller;
    int number;
};

static void run_numbered(void *arg)
{
    struct numbered *numbered = arg;
    assert_int_equal(numbered->number, numbered->caller->n_ran); /* in order */
    numbered->caller->n_ran++;
}

static void caller_ended(void *arg)
{
    struct caller *caller = arg;
    caller->ended = true;
    task_wake(caller->waiter, 0);
}

static void call_persistently(tepal_loop *loop, void (*fn)(void *), void *arg)
{
    struct timespec pause = { .tv_nsec = 100 * 1000 };
    int rc;
    while ((rc = tepal_loop_call(loop, fn, arg)) == -EAGAIN)
        nanosleep(&pause, NULL);
    assert_int_equal(rc, 0);
}

static void *caller_main(void *arg)
{
    static struct numbered all[THREADS][CALLS];
    static int n_callers;
    struct caller *caller = arg;
    struct numbered *calls = all[__atomic_fetch_add(&n_callers, 1, __ATOMIC_RELAXED) % THREADS];
    for (int i = 0; i < caller->n_calls; i++) {
        calls[i] = (struct numbered){ .caller = caller, .number = i };
        call_persistently(caller->loop, run_numbered, &calls[i]);
    }
    call_persistently(caller->loop, caller_ended, caller);
    return NULL;
}

static int be_called(void *arg)
{
    struct caller callers[THREADS];
    tepal_loop_options few = { .max_calls = 10 };
    if (arg)
        assert_int_equal(tepal_loop_configure(&few), 0);
    tepal_loop *loop = tepal_loop_current();
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){ .loop = loop,
                                      .n_calls = times(CALLS),
                                      .waiter = loop_current->current };
        assert_int_equal(pthread_create(&callers[i].thread, NULL, caller_main, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        while (!callers[i].ended)
            assert_int_equal(task_wait(loop_current, "a test", TEPAL_NEVER), 0);
        assert_int_equal(callers[i].n_ran, callers[i].n_calls);
        pthread_join(callers[i].thread, NULL);
    }
    return 0;
}

static void other_threads_call(void **state)
{
    (void)state;
    assert_int_equal(run(be_called, NULL), 0);
    assert_int_equal(run(be_called, "few"), 0);
    assert_int_equal(run_fake(be_called, NULL), 0);
}

/* One call at a time, each to a loop that sleeps: no ring is lost. */
static void *call_one_by_one(void *arg)
{
    struct caller *caller = arg;
    for (int i = 0; i < caller->n_calls; i++) {
        call_persistently(caller->loop, wake, caller->waiter);
        while (__atomic_load_n(&caller->n_ran, __ATOMIC_ACQUIRE) == i)
            sched_yield();
    }
    return NULL;
}

static int be_woken_one_by_one(void *arg)
{
    struct caller caller = { .loop = tepal_loop_current(),
                             .n_calls = times(2000),
                             .waiter = loop_current->current };
    assert_int_equal(pthread_create(&caller.thread, NULL, call_one_by_one, &caller), 0);
    for (int i = 0; i < caller.n_calls; i++) {
        assert_int_equal(task_wait(loop_current, "a test", TEPAL_NEVER), 42);
        __atomic_store_n(&caller.n_ran, i + 1, __ATOMIC_RELEASE);
    }
    pthread_join(caller.thread, NULL);
    (void)arg;
    return 0;
}

static void every_call_wakes_the_loop(void **state)
{
    (void)state;
    assert_int_equal(run(be_woken_one_by_one, NULL), 0);
}

/* --- Several loops ---------------------------------------------------------------------------- */

enum { LOOPS = 4 };

static struct station {
    pthread_t thread;
    tepal_loop *loop;
    struct tepal_task *task;
    int n_laps;
} stations[LOOPS];

static pthread_barrier_t all_stand, all_done;
static int n_wanted_laps;

static void pass_on(void *arg)
{
    struct station *here = arg;
    struct station *next = &stations[(here - stations + 1) % LOOPS];
    if (++here->n_laps <= n_wanted_laps)
        assert_int_equal(tepal_loop_call(next->loop, pass_on, next), 0);
    if (here->n_laps >= n_wanted_laps)
        task_wake(here->task, 0);
}

static int sleep_briefly(void *arg)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(tepal_sleep_ms(i % 2), 0);
    return *(int *)arg;
}

static int run_station(void *arg)
{
    struct station *here = arg;
    int result = 0;
    here->loop = tepal_loop_current();
    here->task = loop_current->current;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, sleep_briefly, &result, NULL), 0);
    pthread_barrier_wait(&all_stand);
    if (here == stations)
        assert_int_equal(tepal_loop_call(here->loop, pass_on, here), 0);
    while (here->n_laps < n_wanted_laps)
        assert_int_equal(task_wait(loop_current, "a test", TEPAL_NEVER), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    pthread_barrier_wait(&all_done); /* nobody calls a loop that has ended */
    return here->n_laps;
}

static void *station_main(void *arg)
{
    return (void *)(intptr_t)tepal_main(run_station, arg);
}

static void loops_call_one_another(void **state)
{
    (void)state;
    n_wanted_laps = times(2000);
    pthread_barrier_init(&all_stand, NULL, LOOPS);
    pthread_barrier_init(&all_done, NULL, LOOPS);
    for (int i = 0; i < LOOPS; i++) {
        stations[i].n_laps = 0;
        assert_int_equal(pthread_create(&stations[i].thread, NULL, station_main, &stations[i]), 0);
    }
    for (int i = 0; i < LOOPS; i++) {
        void *laps;
        pthread_join(stations[i].thread, &laps);
        assert_true((intptr_t)laps >= n_wanted_laps);
    }
    pthread_barrier_destroy(&all_stand);
    pthread_barrier_destroy(&all_done);
}

/* --- Limits ----------------------------------------------------------------------------------- */

/* Waits for that many calls, of which no turn makes more than 64. */
static void wait_for_calls(const int *n, int wanted)
{
    while (*n < wanted) {
        int before = *n;
        loop_end_turn(loop_current);
        assert_int_equal(tepal_sleep_ms(0), 0);
        assert_true(*n > before && *n - before <= 64);
    }
    assert_int_equal(*n, wanted);
}

static void fill(size_t max)
{
    int n = 0;
    tepal_loop *loop = tepal_loop_current();
    for (int round = 0; round < 2; round++) {
        n = 0;
        for (size_t i = 0; i < max; i++)
            assert_int_equal(tepal_loop_call(loop, count, &n), 0);
        assert_int_equal(tepal_loop_call(loop, count, &n), -EAGAIN);
        assert_int_equal(tepal_loop_call(loop, count, &n), -EAGAIN);
        wait_for_calls(&n, (int)max);
    }
}

static int fill_queues(void *arg)
{
    fill(100000);
    assert_int_equal(tepal_loop_configure(&(tepal_loop_options){ .max_calls = 1 }), 0);
    fill(1);
    assert_int_equal(tepal_loop_configure(&(tepal_loop_options){ .max_calls = 1000 }), 0);
    fill(1000);
    assert_int_equal(tepal_loop_configure(NULL), 0);
    fill(100000);
    int n = 0;
    assert_int_equal(tepal_loop_configure(&(tepal_loop_options){ .max_calls = TEPAL_UNLIMITED }),
                     0);
    for (int i = 0; i < 150000; i++)
        assert_int_equal(tepal_loop_call(tepal_loop_current(), count, &n), 0);
    wait_for_calls(&n, 150000);
    (void)arg;
    return 0;
}

/* A call that makes the next one, for ever: a timer still comes. */
static bool enough;
static void call_again(void *arg)
{
    if (!enough)
        assert_int_equal(tepal_loop_call(tepal_loop_current(), call_again, arg), 0);
}

static int sleep_beside_calls(void *arg)
{
    enough = false;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(tepal_loop_call(tepal_loop_current(), call_again, NULL), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(tepal_sleep_ms(1), 0);
    enough = true;
    (void)arg;
    return 0;
}

static void a_flood_leaves_time_for_the_rest(void **state)
{
    (void)state;
    assert_int_equal(run(sleep_beside_calls, NULL), 0);
}

static void the_queue_has_its_limit(void **state)
{
    (void)state;
    assert_int_equal(run(fill_queues, NULL), 0);
}

static int use_no_memory(void *arg)
{
    int n = 0;
    tepal_loop *loop = tepal_loop_current();
    for (int i = 0; i < 20; i++)
        assert_int_equal(tepal_loop_call(loop, count, &n), 0);
    assert_int_equal(tepal_sleep_ms(0), 0);
    size_t before = mem_count();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(tepal_loop_call(loop, count, &n), 0);
        assert_int_equal(tepal_sleep_ms(0), 0);
    }
    assert_int_equal(mem_count(), before);
    assert_int_equal(n, 120);
    (void)arg;
    return 0;
}

static int have_no_memory(void *arg)
{
    int n = 0;
    mem_fail_nth(1, 0);
    assert_null(tepal_loop_current());
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_loop_configure(NULL), -ENOMEM);
    tepal_loop *loop = tepal_loop_current();
    assert_non_null(loop);
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_loop_call(loop, count, &n), -ENOMEM);
    assert_int_equal(tepal_loop_call(loop, count, &n), 0);
    mem_fail_nth(0, 0);
    assert_int_equal(tepal_sleep_ms(0), 0);
    assert_int_equal(n, 1);
    (void)arg;
    return 0;
}

static void memory(void **state)
{
    (void)state;
    assert_int_equal(run(use_no_memory, NULL), 0);
    assert_int_equal(run(have_no_memory, NULL), 0);
}

static int have_no_descriptors(void *arg)
{
    struct rlimit old, tight;
    getrlimit(RLIMIT_NOFILE, &old);
    int free_fd = dup(0);
    close(free_fd);
    tight = old;
    tight.rlim_cur = (rlim_t)free_fd;
    setrlimit(RLIMIT_NOFILE, &tight);
    tepal_loop *loop = tepal_loop_current();
    int rc = tepal_loop_configure(NULL);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_null(loop);
    assert_int_equal(rc, -EMFILE);
    assert_non_null(tepal_loop_current());
    (void)arg;
    return 0;
}

static void no_descriptors(void **state)
{
    (void)state;
    assert_int_equal(run(have_no_descriptors, NULL), 0);
}

/* --- The end of the loop ---------------------------------------------------------------------- */

static int after_the_end; /* what tepal_loop_call() returned in the last call */

static int sleep_for_ever(void *arg)
{
    int rc = tepal_sleep_ms(TEPAL_NEVER);
    if (rc == -ECANCELED)
        mark(arg);
    return rc;
}

static void last_call(void *arg)
{
    mark(arg);
    assert_int_equal(tepal_spawn(spawned, sleep_for_ever, "t", NULL), 0);
    after_the_end = tepal_loop_call(tepal_loop_current(), mark, "x");
}

static void call_once_more(void *arg)
{
    mark(arg);
    after_the_end = tepal_loop_call(tepal_loop_current(), mark, "x");
}

static int leave_calls(void *arg)
{
    (void)arg;
    spawned = tepal_group_new();
    assert_int_equal(tepal_loop_call(tepal_loop_current(), last_call, "a"), 0);
    return 7;
}

static void what_is_queued_runs_before_the_end(void **state)
{
    (void)state;
    assert_int_equal(run(leave_calls, NULL), 7);
    assert_string_equal(trace, "at");
    assert_int_equal(after_the_end, -ECANCELED);
    free(spawned); /* nobody could close it */
}

static int call_within_cancelled_task(void *arg)
{
    int rc = tepal_sleep_ms(TEPAL_NEVER);
    assert_int_equal(tepal_loop_call(tepal_loop_current(), call_once_more, arg), 0);
    return rc;
}

static int leave_a_task_that_calls(void *arg)
{
    spawned = tepal_group_new();
    return tepal_spawn(spawned, call_within_cancelled_task, arg, NULL);
}

static void tasks_may_call_at_the_end(void **state)
{
    (void)state;
    after_the_end = 0;
    assert_int_equal(run(leave_a_task_that_calls, "a"), 0);
    assert_string_equal(trace, "a");
    assert_int_equal(after_the_end, -ECANCELED);
    free(spawned);
}

/* --- Misuse ----------------------------------------------------------------------------------- */

static void sleep_in_call(void *arg)
{
    (void)arg;
    (void)tepal_sleep_ms(1);
}

static void close_in_call(void *arg)
{
    tepal_group_close(arg);
}

static int call_what_sleeps(void *arg)
{
    (void)arg;
    (void)tepal_loop_call(tepal_loop_current(), sleep_in_call, NULL);
    return tepal_sleep_ms(10);
}

static int call_what_closes(void *arg)
{
    (void)arg;
    tepal_group *group = tepal_group_new();
    (void)tepal_spawn(group, sleep_for_ever, "x", NULL);
    (void)tepal_loop_call(tepal_loop_current(), close_in_call, group);
    return tepal_sleep_ms(10);
}

static void misuse_stops_the_program(void **state)
{
    (void)state;
    expect_misuse(call_what_sleeps, "tepal_sleep_ms: must be called from a task; what "
                                    "tepal_loop_call() runs cannot suspend");
    expect_misuse(call_what_closes, "tepal_group_close: must be called from a task; what "
                                    "tepal_loop_call() runs cannot suspend");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(calls_run_in_order_between_tasks),
        TEST(a_call_wakes_a_task),
        TEST(calls_may_spawn_and_call),
        TEST(other_threads_call),
        TEST(every_call_wakes_the_loop),
        TEST(loops_call_one_another),
        TEST(the_queue_has_its_limit),
        TEST(a_flood_leaves_time_for_the_rest),
        TEST(memory),
        TEST(no_descriptors),
        TEST(what_is_queued_runs_before_the_end),
        TEST(tasks_may_call_at_the_end),
        TEST(misuse_stops_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
