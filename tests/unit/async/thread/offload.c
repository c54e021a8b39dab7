/* Tests of blocking calls in threads. Nothing here depends on how fast a thread is: what must be
 * under way is held there by a gate until the test opens it. */
#include "../misuse.h"

#include "async/thread/offload.h"
#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool open_gate;
static int n_called, n_inside, max_inside;

static int setup(void **state)
{
    (void)state;
    open_gate = false;
    n_called = n_inside = max_inside = 0;
    return 0;
}

static int pass_gate(void *arg)
{
    pthread_mutex_lock(&mutex);
    n_called++;
    if (++n_inside > max_inside)
        max_inside = n_inside;
    pthread_cond_broadcast(&changed);
    while (!open_gate)
        pthread_cond_wait(&changed, &mutex);
    n_inside--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    return *(int *)arg;
}

static void set_gate(bool is_open)
{
    pthread_mutex_lock(&mutex);
    open_gate = is_open;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

/* Waits, blocking the loop, until all calls have left, and gives them the time to say so. */
static void await_outside(void)
{
    struct timespec pause = { .tv_nsec = 1000 * 1000 };
    pthread_mutex_lock(&mutex);
    while (n_inside > 0)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    nanosleep(&pause, NULL);
}

/* Waits, blocking the loop, until n calls are inside. */
static void await_inside(int n)
{
    pthread_mutex_lock(&mutex);
    while (n_inside < n)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static int called(void)
{
    pthread_mutex_lock(&mutex);
    int n = n_called;
    pthread_mutex_unlock(&mutex);
    return n;
}

static int offload_gate(void *arg)
{
    return tepal_offload(pass_gate, arg);
}

static int numbers[64];

static tepal_group *start(int n)
{
    tepal_group *group = tepal_group_new();
    assert_non_null(group);
    for (int i = 0; i < n; i++) {
        numbers[i] = i;
        assert_int_equal(tepal_spawn(group, offload_gate, &numbers[i], NULL), 0);
    }
    settle();
    return group;
}

/* --- Results ---------------------------------------------------------------------------------- */

static int square(void *arg)
{
    /* There is no loop in the thread. */
    return loop_current ? -1 : *(int *)arg * *(int *)arg;
}

static int call_one_by_one(void *arg)
{
    for (int i = 0; i < times(300); i++)
        assert_int_equal(tepal_offload(square, &i), i * i);
    int error = -ENOENT;
    set_gate(true);
    assert_int_equal(tepal_offload(pass_gate, &error), -ENOENT);
    assert_false(offload_is_busy(loop_current));
    (void)arg;
    return 0;
}

static int check_square(void *arg)
{
    for (int i = 0; i < 20; i++) {
        int n = *(int *)arg + i;
        assert_int_equal(tepal_offload(square, &n), n * n);
    }
    return 0;
}

static int call_all_at_once(void *arg)
{
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 64; i++) {
        numbers[i] = i;
        assert_int_equal(tepal_spawn(group, check_square, &numbers[i], NULL), 0);
    }
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void returns_the_result(void **state)
{
    (void)state;
    assert_int_equal(run(call_one_by_one, NULL), 0);
    assert_int_equal(run(call_all_at_once, NULL), 0);
    assert_int_equal(run_fake(call_all_at_once, NULL), 0);
}

static int go_on_meanwhile(void *arg)
{
    tepal_group *group = start(1);
    assert_int_equal(tepal_sleep_ms(5), 0); /* the loop is not blocked */
    await_inside(1);
    assert_true(offload_is_busy(loop_current));
    set_gate(true);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void others_go_on(void **state)
{
    (void)state;
    assert_int_equal(run(go_on_meanwhile, NULL), 0);
}

/* --- Bounds ----------------------------------------------------------------------------------- */

static int fill_threads(void *arg)
{
    assert_int_equal(tepal_offload_configure(&(tepal_offload_options){ .max_threads = 3 }), 0);
    tepal_group *group = start(20);
    await_inside(3);
    settle();
    assert_int_equal(called(), 3); /* and no fourth one */
    set_gate(true);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    assert_int_equal(called(), 20);
    assert_int_equal(max_inside, 3);
    /* More from now on, */
    set_gate(false);
    assert_int_equal(tepal_offload_configure(&(tepal_offload_options){ .max_threads = 8 }), 0);
    group = start(20);
    await_inside(8);
    settle();
    assert_int_equal(called(), 28);
    set_gate(true);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    /* and less again, though there are threads. */
    set_gate(false);
    max_inside = 0;
    assert_int_equal(tepal_offload_configure(&(tepal_offload_options){ .max_threads = 2 }), 0);
    group = start(20);
    await_inside(2);
    assert_int_equal(tepal_sleep_ms(20), 0); /* time for a third one, if there were one */
    set_gate(true);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    assert_int_equal(max_inside, 2);
    (void)arg;
    return 0;
}

static void no_more_than_max_threads(void **state)
{
    (void)state;
    assert_int_equal(run(fill_threads, NULL), 0);
}

static int fill_queue(void *arg)
{
    int zero = 0;
    tepal_offload_options options = { .max_threads = 2, .max_queue = 3 };
    assert_int_equal(tepal_offload_configure(&options), 0);
    tepal_group *group = start(4);
    await_inside(2); /* two run, two wait: there is room for one more */
    tepal_group *last = start(1);
    assert_int_equal(tepal_offload(pass_gate, &zero), -EBUSY);
    assert_int_equal(tepal_offload(pass_gate, &zero), -EBUSY);
    assert_int_equal(called(), 2);
    tepal_group_close(last); /* one that waits gives up: room again */
    last = start(1);
    assert_int_equal(tepal_offload(pass_gate, &zero), -EBUSY);
    options.max_queue = TEPAL_UNLIMITED;
    assert_int_equal(tepal_offload_configure(&options), 0);
    tepal_group *more = start(30);
    set_gate(true);
    assert_int_equal(tepal_offload(pass_gate, &zero), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(tepal_group_wait(last), 0);
    assert_int_equal(tepal_group_wait(more), 0);
    tepal_group_close(group);
    tepal_group_close(last);
    tepal_group_close(more);
    assert_int_equal(called(), 4 + 1 + 30 + 1);
    assert_int_equal(tepal_offload_configure(NULL), 0);
    assert_int_equal(tepal_offload(pass_gate, &zero), 0);
    (void)arg;
    return 0;
}

static void a_full_queue_is_busy(void **state)
{
    (void)state;
    assert_int_equal(run(fill_queue, NULL), 0);
}

/* All calls of one turn, as many as threads and queue allow, get in, however slow threads begin. */
static int fill_in_one_turn(void *arg)
{
    for (int round = 0; round < 20; round++) {
        tepal_offload_options options = { .max_threads = 4, .max_queue = 1 };
        assert_int_equal(tepal_offload_configure(&options), 0);
        set_gate(false);
        tepal_group *group = start(5);
        int zero = 0;
        assert_int_equal(tepal_offload(pass_gate, &zero), -EBUSY);
        set_gate(true);
        assert_int_equal(tepal_group_wait(group), 0);
        tepal_group_close(group);
    }
    (void)arg;
    return 0;
}

static void the_limit_does_not_depend_on_chance(void **state)
{
    (void)state;
    assert_int_equal(run(fill_in_one_turn, NULL), 0);
}

/* --- Interruption ----------------------------------------------------------------------------- */

static int offload_endless(void *arg)
{
    return tepal_offload(pass_gate, arg);
}

/* While it waits for a thread: fn is not called. */
static int interrupt_queued(void *arg)
{
    int one = 1;
    assert_int_equal(tepal_offload_configure(&(tepal_offload_options){ .max_threads = 1 }), 0);
    tepal_group *group = start(1);
    await_inside(1);
    expect_refusal(offload_endless, &one);
    expect_cancellation(offload_endless, &one);
    expect_timeout(offload_endless, &one);
    expect_either(offload_endless, &one);
    set_gate(true);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    assert_int_equal(tepal_offload(square, &one), 1);
    assert_int_equal(called(), 1);
    (void)arg;
    return 0;
}

static void cancelled_in_the_queue(void **state)
{
    (void)state;
    assert_int_equal(run(interrupt_queued, NULL), 0);
}

struct held {
    int number, result;
    bool ended;
    int64_t deadline_in;
};

static int hold(void *arg)
{
    struct held *held = arg;
    (void)tepal_deadline_in_ms(held->deadline_in);
    held->result = tepal_offload(pass_gate, &held->number);
    held->ended = true;
    return tepal_sleep_ms(0);
}

/* While fn runs: the call waits for it, returns its result, and the next call is told. */
static int interrupt_running(void *arg)
{
    struct held held[2] = { { .number = 11, .deadline_in = TEPAL_NEVER },
                            { .number = 12, .deadline_in = 1 } };
    for (int i = 0; i < 2; i++) {
        set_gate(false);
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, hold, &held[i], NULL), 0);
        /* The second one must have begun within its millisecond, or it has not been called. */
        int before = called();
        settle();
        if (i == 0) {
            await_inside(1);
            tepal_group_cancel(group);
        }
        assert_int_equal(tepal_sleep_ms(10), 0);
        bool begun = called() > before;
        if (begun)
            assert_false(held[i].ended);
        set_gate(true);
        int rc = tepal_group_wait(group);
        assert_int_equal(rc, i == 0 ? -ECANCELED : -ETIMEDOUT);
        assert_int_equal(held[i].result, begun ? held[i].number : -ETIMEDOUT);
        tepal_group_close(group);
    }
    (void)arg;
    return 0;
}

static void cancelled_while_it_runs(void **state)
{
    (void)state;
    assert_int_equal(run(interrupt_running, NULL), 0);
}

/* Cancelled in the very turn in which the result comes in. */
static int interrupt_at_the_end(void *arg)
{
    for (int i = 0; i < times(200); i++) {
        struct held held = { .number = 5, .deadline_in = TEPAL_NEVER };
        int before = called();
        set_gate(i % 2);
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, hold, &held, NULL), 0);
        assert_int_equal(tepal_sleep_ms(0), 0);
        if (i % 4 == 0)
            await_inside(1);
        set_gate(true);
        if (i % 4 == 0) /* the result is there, but the loop has not seen it */
            await_outside();
        else
            for (int k = 0; k < i % 5; k++)
                assert_int_equal(tepal_sleep_ms(0), 0);
        tepal_group_close(group);
        assert_int_equal(held.result, called() > before ? 5 : -ECANCELED);
    }
    assert_false(offload_is_busy(loop_current));
    (void)arg;
    return 0;
}

static void cancelled_as_it_ends(void **state)
{
    (void)state;
    assert_int_equal(run(interrupt_at_the_end, NULL), 0);
}

/* --- The test's clock ------------------------------------------------------------------------- */

static int release(void *arg)
{
    struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
    nanosleep(&pause, NULL);
    *(int64_t *)arg = 1;
    return 0;
}

static int offload_release(void *arg)
{
    return tepal_offload(release, arg);
}

static int sleep_beside_call(void *arg)
{
    int64_t released = 0;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, offload_release, &released, NULL), 0);
    settle();
    assert_int_equal(tepal_sleep_ms(3600 * 1000), 0); /* not before the call is over */
    assert_int_equal(released, 1);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void fake_time_waits_for_calls(void **state)
{
    (void)state;
    assert_int_equal(run_fake(sleep_beside_call, NULL), 0);
}

/* --- Calls that can be abandoned -------------------------------------------------------------- */

/* What such a call is given: every one of them must come back once, by either way. */
struct parcel {
    int number;
    bool in_thread; /* written by fn without a lock: it has the parcel for itself */
};

static int n_made, n_released;
static bool released_in_loop;

static struct parcel *make_parcel(int number)
{
    struct parcel *parcel = malloc(sizeof(*parcel));
    *parcel = (struct parcel){ .number = number };
    n_made++;
    return parcel;
}

static void release_parcel(void *arg)
{
    n_released++;
    released_in_loop = loop_current != NULL;
    free(arg);
}

static int use_parcel(void *arg)
{
    struct parcel *parcel = arg;
    parcel->in_thread = true;
    return pass_gate(&parcel->number);
}

/* Returns what the call did, or what fn did. */
static int offload_parcel(void *arg)
{
    struct parcel *parcel = make_parcel(*(int *)arg);
    int result, rc = tepal_offload_abandonable(use_parcel, parcel, release_parcel, &result);
    if (rc < 0)
        return rc;
    assert_true(parcel->in_thread);
    release_parcel(parcel);
    return result;
}

static int setup_parcels(void **state)
{
    n_made = n_released = 0;
    return setup(state);
}

static tepal_group *start_parcels(int n)
{
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < n; i++) {
        numbers[i] = i;
        assert_int_equal(tepal_spawn(group, offload_parcel, &numbers[i], NULL), 0);
    }
    settle();
    return group;
}

static int give_back(void *arg)
{
    int result, number = -77;
    set_gate(true);
    for (int i = 0; i < times(200); i++) {
        struct parcel *parcel = make_parcel(i);
        int rc = tepal_offload_abandonable(use_parcel, parcel, release_parcel, &result);
        assert_int_equal(rc, 0);
        assert_int_equal(result, i);
        assert_int_equal(n_released, i); /* it is ours again */
        release_parcel(parcel);
    }
    /* An error of fn is a result. */
    assert_int_equal(tepal_offload_abandonable(pass_gate, &number, NULL, &result), 0);
    assert_int_equal(result, -77);
    assert_int_equal(tepal_offload_abandonable(pass_gate, &number, NULL, NULL), 0);
    (void)arg;
    return 0;
}

static void gives_the_argument_back_with_the_result(void **state)
{
    (void)state;
    assert_int_equal(run(give_back, NULL), 0);
}

/* Not begun: released before the call returns, and not used. */
static int abandon_queued(void *arg)
{
    int one = 1;
    assert_int_equal(tepal_offload_configure(&(tepal_offload_options){ .max_threads = 1 }), 0);
    tepal_group *group = start(1);
    await_inside(1);
    expect_interruptible(offload_parcel, &one);
    assert_true(n_made > 5);
    assert_int_equal(n_released, n_made);
    set_gate(true);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    assert_int_equal(called(), 1);
    (void)arg;
    return 0;
}

static void abandoned_in_the_queue(void **state)
{
    (void)state;
    assert_int_equal(run(abandon_queued, NULL), 0);
}

static int abandon_running(void *arg)
{
    int one = 1;
    assert_int_equal(tepal_offload_configure(&(tepal_offload_options){ .max_threads = 40 }), 0);
    /* For certain: fn has begun, and the call returns without it. */
    tepal_group *group = start_parcels(3);
    await_inside(3);
    tepal_group_close(group);
    assert_int_equal(n_released, 0);
    assert_false(offload_is_busy(loop_current)); /* nobody waits */
    expect_interruptible(offload_parcel, &one);
    set_gate(true);
    await_outside();
    for (int i = 0; i < 1000 && n_released < n_made; i++)
        assert_int_equal(tepal_sleep_ms(1), 0);
    assert_int_equal(n_released, n_made);
    assert_true(released_in_loop);
    (void)arg;
    return 0;
}

static void abandoned_while_it_runs(void **state)
{
    (void)state;
    assert_int_equal(run(abandon_running, NULL), 0);
}

/* Cancelled about when the result comes in: it is had by the caller or by release, not both. */
static int abandon_at_the_end(void *arg)
{
    for (int i = 0; i < times(200); i++) {
        set_gate(i % 2);
        tepal_group *group = start_parcels(2);
        if (i % 4 == 0)
            await_inside(2);
        set_gate(true);
        if (i % 4 == 0)
            await_outside();
        else
            for (int k = 0; k < i % 5; k++)
                assert_int_equal(tepal_sleep_ms(0), 0);
        tepal_group_close(group);
    }
    (void)arg;
    return 0;
}

static void abandoned_as_it_ends(void **state)
{
    (void)state;
    assert_int_equal(run(abandon_at_the_end, NULL), 0);
    assert_int_equal(n_released, n_made); /* the loop has ended, and nothing is left */
}

static int abandon_to_the_limit(void *arg)
{
    int zero = 0;
    tepal_offload_options options = { .max_threads = 1, .max_queue = 2 };
    assert_int_equal(tepal_offload_configure(&options), 0);
    tepal_group *group = start_parcels(1);
    await_inside(1);
    tepal_group_close(group);
    /* It still has the thread: two wait, and that is all. */
    group = start_parcels(2);
    assert_int_equal(offload_parcel(&zero), -EBUSY);
    assert_int_equal(n_released, 1);
    set_gate(true);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    assert_int_equal(n_released, n_made);
    assert_int_equal(offload_parcel(&zero), 0);
    (void)arg;
    return 0;
}

static void abandoned_calls_count(void **state)
{
    (void)state;
    assert_int_equal(run(abandon_to_the_limit, NULL), 0);
}

static void *open_gate_later(void *arg)
{
    struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
    nanosleep(&pause, NULL);
    set_gate(true);
    return arg;
}

static int abandon_and_end(void *arg)
{
    tepal_group *group = start_parcels(4);
    await_inside(4);
    tepal_group_close(group);
    assert_int_equal(n_released, 0);
    assert_int_equal(pthread_create(arg, NULL, open_gate_later, NULL), 0);
    return 0;
}

static void the_loop_waits_for_abandoned_calls(void **state)
{
    (void)state;
    pthread_t helper;
    assert_int_equal(run(abandon_and_end, &helper), 0);
    assert_int_equal(n_inside, 0);
    assert_int_equal(n_released, 4);
    assert_true(released_in_loop);
    pthread_join(helper, NULL);
}

static int abandon_in_fake_time(void *arg)
{
    tepal_group *group = start_parcels(1);
    await_inside(1);
    tepal_group_close(group);
    assert_int_equal(tepal_sleep_ms(3600 * 1000), 0); /* the clock does not wait for it */
    assert_int_equal(n_released, 0);
    set_gate(true);
    (void)arg;
    return 0;
}

static void fake_time_does_not_wait_for_abandoned_calls(void **state)
{
    (void)state;
    assert_int_equal(run_fake(abandon_in_fake_time, NULL), 0);
    assert_int_equal(n_released, 1);
}

static int fail_parcels(void *arg)
{
    int five = 5;
    set_gate(true);
    for (size_t i = 1; i <= 3; i++) { /* the job, the pool, the list of threads */
        mem_fail_nth(i, 0);
        int rc = offload_parcel(&five);
        assert_int_equal(mem_failures(), 1);
        assert_int_equal(rc, i < 3 ? -ENOMEM : -EAGAIN);
        assert_int_equal(n_released, n_made);
    }
    mem_fail_nth(0, 0);
    assert_int_equal(offload_parcel(&five), 5);
    assert_int_equal(called(), 1);
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_offload_abandonable(pass_gate, &five, NULL, NULL), -ENOMEM);
    (void)arg;
    return 0;
}

static void abandonable_calls_fail(void **state)
{
    (void)state;
    assert_int_equal(run(fail_parcels, NULL), 0);
}

/* --- Calls that nothing interrupts ------------------------------------------------------------ */

static int store_thread(void *arg)
{
    *(pthread_t *)arg = pthread_self();
    return 33;
}

static int call_shielded(void *arg)
{
    assert_int_equal(tepal_sleep_ms(0), -ECANCELED);
    return offload_shielded(store_thread, arg);
}

static int gate_of_library(void *arg)
{
    return offload_own(pass_gate, arg, "test");
}

static int shield(void *arg)
{
    pthread_t thread = pthread_self();
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, call_shielded, &thread, NULL), 0);
    tepal_group_cancel(group);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    assert_false(pthread_equal(thread, pthread_self()));
    /* No room in the queue: here and now. */
    tepal_offload_options options = { .max_threads = 1, .max_queue = 1 };
    assert_int_equal(tepal_offload_configure(&options), 0);
    group = tepal_group_new();
    for (int i = 0; i < 2; i++)
        assert_int_equal(tepal_spawn(group, gate_of_library, &numbers[i], NULL), 0);
    settle();
    await_inside(1);
    assert_int_equal(offload_shielded(store_thread, &thread), 33);
    assert_true(pthread_equal(thread, pthread_self()));
    set_gate(true);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void shielded_calls(void **state)
{
    (void)state;
    assert_int_equal(run(shield, NULL), 0);
}

/* --- Failures --------------------------------------------------------------------------------- */

/* --- Threads that have nothing to do, calls that have no thread ------------------------------- */

/* Time flies for threads that wait for work. */
static bool time_flies;

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *m, const struct timespec *until)
{
    static const struct timespec past;
    bool flies = __atomic_load_n(&time_flies, __ATOMIC_SEQ_CST);
    return pthread_cond_clockwait(cond, m, CLOCK_MONOTONIC, flies ? &past : until);
}

static int count_threads(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/task");
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static int let_threads_idle(void *arg)
{
    (void)arg;
    int two = 2, none = count_threads();
    for (int round = 0; round < 3; round++) {
        __atomic_store_n(&time_flies, false, __ATOMIC_SEQ_CST);
        set_gate(false);
        tepal_group *group = start(5);
        await_inside(5);
        assert_int_equal(count_threads(), none + 5);
        __atomic_store_n(&time_flies, true, __ATOMIC_SEQ_CST);
        set_gate(true);
        assert_int_equal(tepal_group_wait(group), 0);
        tepal_group_close(group);
        while (count_threads() > none)
            assert_int_equal(tepal_sleep_ms(1), 0);
        assert_int_equal(tepal_offload(square, &two), 4);
    }
    for (int i = 0; i < times(300); i++) /* while threads come and go */
        assert_int_equal(tepal_offload(square, &two), 4);
    __atomic_store_n(&time_flies, false, __ATOMIC_SEQ_CST);
    return 0;
}

static void idle_threads_end(void **state)
{
    (void)state;
    assert_int_equal(run(let_threads_idle, NULL), 0);
}

static char said[512];
static int n_said;

static void keep_said(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    assert_int_equal(level, TEPAL_LOG_WARNING);
    snprintf(said, sizeof(said), "%s", text);
    n_said++;
}

/* Lets the timers of the next ms milliseconds fire; more than before. */
static void pass_time(int64_t ms)
{
    timers_fire(&loop_current->timers, loop_current->now + ms);
}

static int all_run(void *arg)
{
    (void)arg;
    n_said = 0;
    tepal_log_set_fn(keep_said, NULL);
    tepal_group *group = start(2);
    await_inside(2);
    pass_time(10000);
    assert_int_equal(n_said, 0); /* nobody waits */
    tepal_log_set_fn(NULL, NULL);
    set_gate(true);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    return 0;
}

static int stand_still(void *arg)
{
    (void)arg;
    n_said = 0;
    tepal_log_set_fn(keep_said, NULL);
    assert_int_equal(tepal_offload_configure(&(tepal_offload_options){ .max_threads = 2 }), 0);
    tepal_group *group = start(2);
    await_inside(2);
    tepal_group *more = start(3);
    pass_time(2000);
    assert_int_equal(n_said, 0);
    pass_time(4000);
    assert_int_equal(n_said, 1);
    assert_non_null(strstr(said, "no thread has been free for 3 s: 3 calls of tepal_offload() "
                                 "wait, 2 run"));
    pass_time(20000);
    assert_int_equal(n_said, 1); /* and not again at once */
    tepal_log_set_fn(NULL, NULL);
    set_gate(true);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(tepal_group_wait(more), 0);
    tepal_group_close(group);
    tepal_group_close(more);
    return 0;
}

static void a_queue_that_stands_still_is_told(void **state)
{
    (void)state;
    assert_int_equal(run(all_run, NULL), 0);
    set_gate(false);
    assert_int_equal(run(stand_still, NULL), 0);
}

static int offload_nothing(void *arg)
{
    return tepal_offload(NULL, arg);
}

static int abandon_nothing(void *arg)
{
    return tepal_offload_abandonable(NULL, arg, NULL, NULL);
}

static void no_function_is_misuse(void **state)
{
    (void)state;
    expect_misuse(offload_nothing, "tepal_offload: fn is NULL");
    expect_misuse(abandon_nothing, "tepal_offload_abandonable: fn is NULL");
}

static int fail_allocations(void *arg)
{
    int two = 2;
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_offload_configure(NULL), -ENOMEM);
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_offload(square, &two), -ENOMEM); /* the pool */
    mem_fail_nth(2, 0);
    assert_int_equal(tepal_offload(square, &two), -EAGAIN); /* the first thread */
    mem_fail_nth(0, 0);
    assert_int_equal(tepal_offload(square, &two), 4);
    assert_int_equal(tepal_offload_configure(&(tepal_offload_options){ .max_threads = 64 }), 0);
    tepal_group *group = start(8);
    await_inside(8);
    tepal_group *more = tepal_group_new();
    int three = 3;
    assert_int_equal(tepal_spawn(more, offload_gate, &three, NULL), 0);
    mem_fail_nth(1, 0);
    settle(); /* no ninth thread: the call waits for one of the others */
    assert_int_equal(mem_failures(), 1);
    assert_int_equal(called(), 8);
    set_gate(true);
    assert_int_equal(tepal_group_wait(more), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(more);
    tepal_group_close(group);
    assert_int_equal(called(), 9);
    (void)arg;
    return 0;
}

static int without_descriptors(void *arg)
{
    struct rlimit old, tight;
    int two = 2, free_fd = dup(0);
    close(free_fd);
    getrlimit(RLIMIT_NOFILE, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)free_fd;
    setrlimit(RLIMIT_NOFILE, &tight);
    int rc = tepal_offload(square, &two), configured = tepal_offload_configure(NULL);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(rc, -EMFILE);
    assert_int_equal(configured, -EMFILE);
    assert_int_equal(tepal_offload(square, &two), 4);
    (void)arg;
    return 0;
}

static void failures(void **state)
{
    (void)state;
    assert_int_equal(run(fail_allocations, NULL), 0);
    assert_int_equal(run(without_descriptors, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)
#define PARCELS(name) cmocka_unit_test_setup(name, setup_parcels)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(returns_the_result),
        TEST(others_go_on),
        TEST(no_more_than_max_threads),
        TEST(a_full_queue_is_busy),
        TEST(the_limit_does_not_depend_on_chance),
        TEST(cancelled_in_the_queue),
        TEST(cancelled_while_it_runs),
        TEST(cancelled_as_it_ends),
        TEST(fake_time_waits_for_calls),
        PARCELS(gives_the_argument_back_with_the_result),
        PARCELS(abandoned_in_the_queue),
        PARCELS(abandoned_while_it_runs),
        PARCELS(abandoned_as_it_ends),
        PARCELS(abandoned_calls_count),
        PARCELS(the_loop_waits_for_abandoned_calls),
        PARCELS(fake_time_does_not_wait_for_abandoned_calls),
        PARCELS(abandonable_calls_fail),
        TEST(shielded_calls),
        TEST(idle_threads_end),
        TEST(a_queue_that_stands_still_is_told),
        TEST(no_function_is_misuse),
        TEST(failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
