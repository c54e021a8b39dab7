/* Tests of arguments that cannot be right, NULL for the most part: the program ends with a message
 * that names the call, and not by a bare fault. */
#include "../misuse.h"

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int spawn_nothing(void *arg)
{
    (void)arg;
    return tepal_spawn(tepal_group_new(), NULL, NULL, NULL);
}

static int spawn_nowhere(void *arg)
{
    (void)arg;
    return tepal_spawn(NULL, nothing, NULL, NULL);
}

static int wait_for_no_group(void *arg)
{
    (void)arg;
    return tepal_group_wait(NULL);
}

static int cancel_no_group(void *arg)
{
    (void)arg;
    tepal_group_cancel(NULL);
    return 0;
}

static int next_of_no_group(void *arg)
{
    tepal_job *job;
    (void)arg;
    return tepal_group_next(NULL, &job);
}

static int start_no_job(void *arg)
{
    (void)arg;
    return tepal_job_start(tepal_group_new(), NULL);
}

static int start_job_without_function(void *arg)
{
    tepal_job job = { 0 };
    (void)arg;
    return tepal_job_start(tepal_group_new(), &job);
}

static int join_no_job(void *arg)
{
    (void)arg;
    return tepal_job_join(NULL);
}

static int gather_without_function(void *arg)
{
    tepal_job job = { 0 };
    (void)arg;
    return tepal_gather(&job, 1, NULL);
}

static int gather_no_jobs(void *arg)
{
    (void)arg;
    return tepal_gather(NULL, 2, NULL);
}

static int race_no_jobs(void *arg)
{
    (void)arg;
    return tepal_race(NULL, 2);
}

static int select_from_nothing(void *arg)
{
    (void)arg;
    return tepal_select(NULL, 1, 0);
}

static int offload_nothing(void *arg)
{
    (void)arg;
    return tepal_offload(NULL, NULL);
}

static int abandon_nothing(void *arg)
{
    (void)arg;
    return tepal_offload_abandonable(NULL, NULL, NULL, NULL);
}

static int open_no_loop(void *arg)
{
    (void)arg;
    return tepal_loop_open(NULL);
}

static int open_no_pool(void *arg)
{
    (void)arg;
    return tepal_pool_open(NULL, NULL);
}

static int start_no_work(void *arg)
{
    return tepal_work_start(NULL, NULL, open_no_pool, arg, NULL);
}

static int next_nowhere(void *arg)
{
    (void)arg;
    return tepal_group_next(tepal_group_new(), NULL);
}

static int send_nowhere(void *arg)
{
    int item = 0;
    (void)arg;
    return tepal_channel_send(NULL, &item);
}

static int receive_nowhere(void *arg)
{
    int item;
    (void)arg;
    return tepal_channel_receive(NULL, &item);
}

static int try_send_nowhere(void *arg)
{
    int item = 0;
    (void)arg;
    return tepal_channel_try_send(NULL, &item);
}

static int try_receive_nowhere(void *arg)
{
    int item;
    (void)arg;
    return tepal_channel_try_receive(NULL, &item);
}

static int close_no_channel(void *arg)
{
    (void)arg;
    tepal_channel_end(NULL);
    return 0;
}

static int lock_nothing(void *arg)
{
    (void)arg;
    return tepal_mutex_lock(NULL);
}

static int acquire_nothing(void *arg)
{
    (void)arg;
    return tepal_semaphore_acquire(NULL);
}

static int wait_for_no_event(void *arg)
{
    (void)arg;
    return tepal_event_wait(NULL);
}

static int call_no_loop(void *arg)
{
    (void)arg;
    return tepal_loop_call(NULL, NULL, NULL);
}

static int call_nothing(void *arg)
{
    (void)arg;
    return tepal_loop_call(tepal_loop_current(), NULL, NULL);
}

static int receive_no_signals(void *arg)
{
    (void)arg;
    return tepal_signals_next(NULL);
}

static void null_is_named(void **state)
{
    static const struct {
        tepal_task_fn *fn;
        const char *message;
    } rows[] = {
        { NULL, "tepal_main: the function is NULL" },
        { spawn_nothing, "tepal_spawn: the function is NULL" },
        { spawn_nowhere, "tepal_spawn: the group is NULL" },
        { wait_for_no_group, "tepal_group_wait: the group is NULL" },
        { cancel_no_group, "tepal_group_cancel: the group is NULL" },
        { next_of_no_group, "tepal_group_next: the group is NULL" },
        { start_no_job, "tepal_job_start: the job is NULL" },
        { start_job_without_function, "tepal_job_start: the job's function is NULL" },
        { join_no_job, "tepal_job_join: the job is NULL" },
        { gather_without_function, "tepal_job_start: the job's function is NULL" },
        { gather_no_jobs, "tepal_gather: the jobs are NULL" },
        { race_no_jobs, "tepal_race: the jobs are NULL" },
        { select_from_nothing, "tepal_select: the cases are NULL" },
        { offload_nothing, "tepal_offload: fn is NULL" },
        { abandon_nothing, "tepal_offload_abandonable: fn is NULL" },
        { open_no_loop, "tepal_loop_open: there is no place for the result" },
        { open_no_pool, "tepal_pool_open: there is no place for the result" },
        { start_no_work, "tepal_work_start: there is no place for the result" },
        { next_nowhere, "tepal_group_next: there is no place for the result" },
        { send_nowhere, "tepal_channel_send: the channel is NULL" },
        { receive_nowhere, "tepal_channel_receive: the channel is NULL" },
        { try_send_nowhere, "tepal_channel_try_send: the channel is NULL" },
        { try_receive_nowhere, "tepal_channel_try_receive: the channel is NULL" },
        { close_no_channel, "tepal_channel_end: the channel is NULL" },
        { lock_nothing, "tepal_mutex_lock: the argument is NULL" },
        { acquire_nothing, "tepal_semaphore_acquire: the argument is NULL" },
        { wait_for_no_event, "tepal_event_wait: the argument is NULL" },
        { call_no_loop, "tepal_loop_call: the loop is NULL" },
        { call_nothing, "tepal_loop_call: the function is NULL" },
        { receive_no_signals, "tepal_signals_next: the signals are NULL" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_misuse(rows[i].fn, rows[i].message);
}

/* --- Waiting for oneself ---------------------------------------------------------------------- */

static int wait_for_own(void *arg)
{
    return tepal_group_wait(arg);
}

static int next_of_own(void *arg)
{
    tepal_job *job;
    return tepal_group_next(arg, &job);
}

static int close_own(void *arg)
{
    tepal_group_close(arg);
    return 0;
}

static int run_in_own_group(tepal_task_fn *fn)
{
    tepal_group *group = tepal_group_new();
    tepal_job job = { .fn = fn, .arg = group };
    assert_int_equal(tepal_job_start(group, &job), 0);
    return tepal_sleep_ms(100);
}

static int waits(void *arg)
{
    (void)arg;
    return run_in_own_group(wait_for_own);
}

static int asks_for_next(void *arg)
{
    (void)arg;
    return run_in_own_group(next_of_own);
}

static int closes(void *arg)
{
    (void)arg;
    return run_in_own_group(close_own);
}

static void a_task_cannot_wait_for_itself(void **state)
{
    (void)state;
    expect_misuse(waits, "tepal_group_wait: a task of the group would wait for itself");
    expect_misuse(asks_for_next, "tepal_group_next: a task of the group would wait for itself");
    expect_misuse(closes, "tepal_group_close: a task of the group would wait for itself");
}

/* --- A mutex that is kept --------------------------------------------------------------------- */

static tepal_mutex mutex;

static int keep(void *arg)
{
    (void)arg;
    return tepal_mutex_lock(&mutex);
}

static int keep_what_was_tried(void *arg)
{
    (void)arg;
    return tepal_mutex_try_lock(&mutex);
}

static int keep_what_was_handed_over(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_mutex_lock(&mutex), 0);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, keep, NULL, &(tepal_spawn_options){ .name = "heir" }), 0);
    assert_int_equal(tepal_sleep_ms(1), 0);
    tepal_mutex_unlock(&mutex);
    return tepal_group_wait(group);
}

static void a_mutex_is_given_back(void **state)
{
    (void)state;
    expect_misuse(keep, "tepal_mutex_lock: the function ended without tepal_mutex_unlock(), in "
                        "task \"main\"");
    expect_misuse(keep_what_was_tried, "tepal_mutex_unlock(), in task \"main\"");
    expect_misuse(keep_what_was_handed_over, "tepal_mutex_unlock(), in task \"heir\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_is_named),
        cmocka_unit_test(a_task_cannot_wait_for_itself),
        cmocka_unit_test(a_mutex_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
