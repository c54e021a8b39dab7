/* Tests of mutex, semaphore, event, condition and barrier: their order, and that nothing is lost
 * when a task is cancelled or out of time. */
#include "../misuse.h"

#include "base/mem.h"

#include <tepal/sync.h>

static char trace[64];

static void mark(char c)
{
    size_t len = strlen(trace);
    assert_true(len + 1 < sizeof(trace));
    trace[len] = c;
    trace[len + 1] = '\0';
}

static void expect_trace(const char *expected)
{
    assert_string_equal(trace, expected);
    trace[0] = '\0';
}

static int setup(void **state)
{
    (void)state;
    trace[0] = '\0';
    return 0;
}

/* A task in a group of its own, so that it can be cancelled alone. */
struct actor {
    char name;
    int result;
    bool ended;
    tepal_group *group;
};

static void start(struct actor *actor, char name, tepal_task_fn *fn)
{
    *actor = (struct actor){ .name = name, .group = tepal_group_new() };
    assert_non_null(actor->group);
    assert_int_equal(tepal_spawn(actor->group, fn, actor, NULL), 0);
    settle();
}

/* Lets it end, and returns the result of its call. */
static int finish(struct actor *actor)
{
    (void)tepal_group_wait(actor->group);
    assert_true(actor->ended);
    tepal_group_close(actor->group);
    return actor->result;
}

static int end(struct actor *actor, int result)
{
    mark(actor->name);
    actor->result = result;
    actor->ended = true;
    /* Who was cancelled and could not be told is told by the next call. */
    assert_int_equal(tepal_sleep_ms(0), tepal_is_cancelled() ? -ECANCELED : 0);
    return 0;
}

/* --- Mutex and semaphore: something that one task has at a time ------------------------------- */

static tepal_mutex mutex;
static tepal_semaphore semaphore;

static int acquire(void *arg)
{
    (void)arg;
    return tepal_semaphore_acquire(&semaphore);
}

static void release(void)
{
    tepal_semaphore_release(&semaphore);
}

static int try_acquire(void)
{
    return tepal_semaphore_try_acquire(&semaphore);
}

static int lock(void *arg)
{
    (void)arg;
    return tepal_mutex_lock(&mutex);
}

static void unlock(void)
{
    tepal_mutex_unlock(&mutex);
}

static int try_lock(void)
{
    return tepal_mutex_try_lock(&mutex);
}

static const struct exclusive {
    endless_call *take;
    int (*try_take)(void);
    void (*give)(void);
} exclusives[] = { { lock, try_lock, unlock }, { acquire, try_acquire, release } }, *exclusive;

static void in_both(tepal_task_fn *fn)
{
    for (int i = 0; i < 2; i++) {
        mutex = (tepal_mutex){ 0 };
        semaphore = (tepal_semaphore){ .n = 1 };
        exclusive = &exclusives[i];
        assert_int_equal(run_fake(fn, NULL), 0);
        assert_null(mutex.owner);
        assert_null(mutex.waiters.first);
        assert_null(semaphore.waiters.first);
        assert_int_equal(semaphore.n, 1);
    }
}

/* Has it once, over a wait. */
static int take_once(void *arg)
{
    int rc = exclusive->take(NULL);
    if (rc == 0) {
        (void)tepal_sleep_ms(0);
        exclusive->give();
    }
    return end(arg, rc);
}

static int take_alone(void *arg)
{
    (void)arg;
    struct attempt a = { 0 };
    struct tepal_task *self = loop_current->current;
    self->before_wait = count_suspension;
    self->before_wait_arg = &a;
    assert_int_equal(exclusive->take(NULL), 0);
    assert_int_equal(exclusive->try_take(), -EAGAIN);
    exclusive->give();
    assert_int_equal(exclusive->try_take(), 0);
    exclusive->give();
    assert_int_equal(a.n_suspended, 0); /* what is free needs no wait */
    self->before_wait = NULL;
    return 0;
}

static void free_ones_are_taken_at_once(void **state)
{
    (void)state;
    in_both(take_alone);
}

static int take_in_order(void *arg)
{
    (void)arg;
    struct actor actors[5];
    size_t before = 0;
    assert_int_equal(exclusive->take(NULL), 0);
    for (int i = 0; i < 5; i++)
        start(&actors[i], (char)('A' + i), take_once);
    before = mem_count();
    exclusive->give();
    assert_int_equal(exclusive->try_take(), -EAGAIN); /* it is A's already */
    assert_int_equal(exclusive->take(NULL), 0);       /* behind E */
    assert_int_equal(mem_count(), before);
    expect_trace("ABCDE");
    exclusive->give();
    for (int i = 0; i < 5; i++)
        assert_int_equal(finish(&actors[i]), 0);
    return 0;
}

static void first_come_first_served(void **state)
{
    (void)state;
    in_both(take_in_order);
}

/* Cancelled, and then it would have been served. */
static int cancel_then_give(void *arg)
{
    (void)arg;
    struct actor actors[3];
    assert_int_equal(exclusive->take(NULL), 0);
    for (int i = 0; i < 3; i++)
        start(&actors[i], (char)('A' + i), take_once);
    tepal_group_cancel(actors[0].group);
    exclusive->give();
    assert_int_equal(exclusive->take(NULL), 0);
    expect_trace("ABC");
    exclusive->give();
    assert_int_equal(finish(&actors[0]), -ECANCELED);
    assert_int_equal(finish(&actors[1]), 0);
    assert_int_equal(finish(&actors[2]), 0);
    /* The same with nobody behind: it is free at once. */
    assert_int_equal(exclusive->take(NULL), 0);
    start(&actors[0], 'A', take_once);
    tepal_group_cancel(actors[0].group);
    exclusive->give();
    assert_int_equal(exclusive->try_take(), 0);
    exclusive->give();
    assert_int_equal(finish(&actors[0]), -ECANCELED);
    expect_trace("A");
    return 0;
}

static void who_is_cancelled_is_passed_over(void **state)
{
    (void)state;
    in_both(cancel_then_give);
}

/* Served, and then cancelled before it runs. */
static int give_then_cancel(void *arg)
{
    (void)arg;
    struct actor actors[2];
    assert_int_equal(exclusive->take(NULL), 0);
    for (int i = 0; i < 2; i++)
        start(&actors[i], (char)('A' + i), take_once);
    exclusive->give();
    tepal_group_cancel(actors[0].group);
    assert_int_equal(exclusive->take(NULL), 0);
    expect_trace("AB");
    exclusive->give();
    assert_int_equal(finish(&actors[0]), 0);
    assert_int_equal(finish(&actors[1]), 0);
    return 0;
}

static void who_is_served_has_it(void **state)
{
    (void)state;
    in_both(give_then_cancel);
}

static int take_for_50_ms(void *arg)
{
    int64_t before = tepal_deadline_in_ms(50);
    int rc = exclusive->take(NULL);
    tepal_deadline_restore(before);
    if (rc == 0)
        exclusive->give();
    else
        assert_int_equal(rc, -ETIMEDOUT);
    return end(arg, rc);
}

/* Given in the moment that it is out of time. */
static int give_at_the_deadline(void *arg)
{
    (void)arg;
    for (int64_t ms = 48; ms <= 52; ms++) {
        struct actor actors[2];
        assert_int_equal(exclusive->take(NULL), 0);
        int64_t begin = tepal_now_ms();
        start(&actors[0], 'A', take_for_50_ms);
        start(&actors[1], 'B', take_once);
        assert_int_equal(tepal_sleep_ms(begin + ms - tepal_now_ms()), 0);
        exclusive->give();
        assert_int_equal(exclusive->take(NULL), 0);
        exclusive->give();
        int rc = finish(&actors[0]);
        if (ms != 50)
            assert_int_equal(rc, ms < 50 ? 0 : -ETIMEDOUT);
        assert_int_equal(finish(&actors[1]), 0);
        expect_trace("AB");
    }
    return 0;
}

static void served_at_the_deadline(void **state)
{
    (void)state;
    in_both(give_at_the_deadline);
}

static int interrupt_take(void *arg)
{
    (void)arg;
    expect_refusal(exclusive->take, NULL); /* also when it is free */
    assert_int_equal(exclusive->take(NULL), 0);
    expect_interruptible(exclusive->take, NULL);
    exclusive->give();
    return 0;
}

static void taking_can_be_interrupted(void **state)
{
    (void)state;
    in_both(interrupt_take);
}

static int count_permits(void *arg)
{
    (void)arg;
    tepal_semaphore three = { .n = 3 };
    for (int i = 0; i < 3; i++)
        assert_int_equal(tepal_semaphore_acquire(&three), 0);
    assert_int_equal(tepal_semaphore_try_acquire(&three), -EAGAIN);
    for (int i = 0; i < 4; i++)
        tepal_semaphore_release(&three);
    assert_int_equal(three.n, 4); /* it may grow */
    return 0;
}

static void a_semaphore_has_many_permits(void **state)
{
    (void)state;
    assert_int_equal(run(count_permits, NULL), 0);
}

/* --- Event ------------------------------------------------------------------------------------ */

static tepal_event event;

static int wait_event(void *arg)
{
    (void)arg;
    return tepal_event_wait(&event);
}

static int wait_event_once(void *arg)
{
    return end(arg, wait_event(NULL));
}

static int use_event(void *arg)
{
    (void)arg;
    struct actor actors[4];
    event = (tepal_event){ 0 };
    assert_false(tepal_event_is_set(&event));
    for (int i = 0; i < 3; i++)
        start(&actors[i], (char)('A' + i), wait_event_once);
    tepal_event_set(&event);
    assert_true(tepal_event_is_set(&event));
    tepal_event_clear(&event); /* they go on all the same */
    assert_false(tepal_event_is_set(&event));
    tepal_group_cancel(actors[1].group); /* it has been told */
    start(&actors[3], 'D', wait_event_once);
    expect_trace("ABC");
    tepal_event_set(&event);
    tepal_event_set(&event);
    settle();
    expect_trace("D");
    assert_int_equal(wait_event(NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(finish(&actors[i]), 0);
    expect_refusal(wait_event, NULL); /* also when it is set */
    return 0;
}

static void an_event_wakes_all(void **state)
{
    (void)state;
    assert_int_equal(run_fake(use_event, NULL), 0);
}

static void on_timer(struct timer *timer)
{
    assert_null(loop_current->current);
    tepal_event_set(&event);
    (void)timer;
}

static int set_event_outside_tasks(void *arg)
{
    (void)arg;
    struct timer timer;
    event = (tepal_event){ 0 };
    timer_init(&timer, on_timer);
    timer_set(&loop_current->timers, &timer, loop_current->now + 5);
    return wait_event(NULL);
}

static void an_event_can_be_set_by_a_callback(void **state)
{
    (void)state;
    assert_int_equal(run_fake(set_event_outside_tasks, NULL), 0);
    tepal_event_clear(&event); /* without any loop */
    tepal_event_set(&event);
    assert_true(tepal_event_is_set(&event));
}

static int interrupt_event(void *arg)
{
    (void)arg;
    event = (tepal_event){ 0 };
    expect_interruptible(wait_event, NULL);
    assert_null(event.waiters.first);
    return 0;
}

static void waiting_for_an_event_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_event, NULL), 0);
}

/* --- Condition -------------------------------------------------------------------------------- */

static tepal_condition condition;

static bool is_mine(void)
{
    return mutex.owner == loop_current->current;
}

static int wait_condition(void *arg)
{
    (void)arg;
    int rc = tepal_mutex_lock(&mutex);
    if (rc < 0)
        return rc;
    rc = tepal_condition_wait(&condition, &mutex);
    assert_true(is_mine()); /* whatever has happened */
    tepal_mutex_unlock(&mutex);
    return rc;
}

static int wait_condition_once(void *arg)
{
    return end(arg, wait_condition(NULL));
}

static int signal_condition(void *arg)
{
    (void)arg;
    struct actor actors[4];
    condition = (tepal_condition){ 0 };
    tepal_condition_signal(&condition); /* nobody is there, and it is not kept */
    tepal_condition_broadcast(&condition);
    for (int i = 0; i < 4; i++)
        start(&actors[i], (char)('A' + i), wait_condition_once);
    assert_null(mutex.owner);
    tepal_condition_signal(&condition);
    settle();
    expect_trace("A");
    tepal_group_cancel(actors[1].group); /* passed over: the signal is C's */
    tepal_condition_signal(&condition);
    settle();
    expect_trace("BC");
    tepal_condition_signal(&condition);
    tepal_group_cancel(actors[3].group); /* it has the signal */
    settle();
    expect_trace("D");
    for (int i = 0; i < 4; i++)
        assert_int_equal(finish(&actors[i]), i == 1 ? -ECANCELED : 0);
    for (int i = 0; i < 4; i++)
        start(&actors[i], (char)('A' + i), wait_condition_once);
    tepal_condition_broadcast(&condition);
    settle();
    expect_trace("ABCD");
    for (int i = 0; i < 4; i++)
        assert_int_equal(finish(&actors[i]), 0);
    return 0;
}

static void a_condition_wakes_one_or_all(void **state)
{
    (void)state;
    mutex = (tepal_mutex){ 0 };
    assert_int_equal(run_fake(signal_condition, NULL), 0);
}

/* The mutex is held by another when the wait has ended, for any reason. */
static int lock_after_condition(void *arg)
{
    (void)arg;
    struct actor signalled, cancelled;
    condition = (tepal_condition){ 0 };
    start(&signalled, 'S', wait_condition_once);
    start(&cancelled, 'C', wait_condition_once);
    assert_int_equal(tepal_mutex_lock(&mutex), 0);
    tepal_condition_signal(&condition);
    settle();
    tepal_group_cancel(signalled.group); /* while it waits for the mutex */
    tepal_group_cancel(cancelled.group);
    settle();
    assert_false(signalled.ended || cancelled.ended);
    tepal_mutex_unlock(&mutex);
    assert_int_equal(finish(&signalled), 0);
    assert_int_equal(finish(&cancelled), -ECANCELED);
    expect_trace("SC");
    return 0;
}

static void a_condition_locks_again(void **state)
{
    (void)state;
    mutex = (tepal_mutex){ 0 };
    assert_int_equal(run_fake(lock_after_condition, NULL), 0);
    assert_null(mutex.owner);
}

static int wait_condition_locked(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_mutex_try_lock(&mutex), 0); /* in a cancelled task, too */
    int rc = tepal_condition_wait(&condition, &mutex);
    assert_true(is_mine());
    tepal_mutex_unlock(&mutex);
    return rc;
}

static int interrupt_condition(void *arg)
{
    (void)arg;
    condition = (tepal_condition){ 0 };
    expect_interruptible(wait_condition_locked, NULL);
    expect_interruptible(wait_condition, NULL);
    assert_null(condition.waiters.first);
    return 0;
}

static void waiting_for_a_condition_can_be_interrupted(void **state)
{
    (void)state;
    mutex = (tepal_mutex){ 0 };
    assert_int_equal(run_fake(interrupt_condition, NULL), 0);
}

/* --- Barrier ---------------------------------------------------------------------------------- */

static tepal_barrier barrier;

static int wait_barrier(void *arg)
{
    (void)arg;
    return tepal_barrier_wait(&barrier);
}

static int wait_barrier_once(void *arg)
{
    return end(arg, wait_barrier(NULL));
}

static int pass_barrier(void *arg)
{
    (void)arg;
    struct actor actors[2];
    barrier = (tepal_barrier){ .parties = 3 };
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++)
            start(&actors[i], (char)('A' + i), wait_barrier_once);
        expect_trace("");
        assert_int_equal(wait_barrier(NULL), 2);
        /* Nobody of the next round comes between. */
        struct actor next;
        start(&next, 'N', wait_barrier_once);
        expect_trace("AB");
        for (int i = 0; i < 2; i++)
            assert_int_equal(finish(&actors[i]), i);
        assert_false(next.ended);
        tepal_barrier_reset(&barrier);
        assert_int_equal(finish(&next), -EPIPE);
        expect_trace("N");
    }
    barrier = (tepal_barrier){ .parties = 1 };
    for (int round = 0; round < 3; round++)
        assert_int_equal(wait_barrier(NULL), 0);
    return 0;
}

static void a_barrier_lets_all_pass(void **state)
{
    (void)state;
    assert_int_equal(run_fake(pass_barrier, NULL), 0);
}

static int break_barrier(void *arg)
{
    (void)arg;
    struct actor actors[3];
    barrier = (tepal_barrier){ .parties = 4 };
    for (int i = 0; i < 3; i++)
        start(&actors[i], (char)('A' + i), wait_barrier_once);
    tepal_group_cancel(actors[1].group);
    settle();
    expect_trace("BAC");
    for (int i = 0; i < 3; i++)
        assert_int_equal(finish(&actors[i]), i == 1 ? -ECANCELED : -EPIPE);
    assert_int_equal(wait_barrier(NULL), -EPIPE); /* until it is reset */
    tepal_barrier_reset(&barrier);
    for (int i = 0; i < 3; i++)
        start(&actors[i], (char)('A' + i), wait_barrier_once);
    assert_int_equal(wait_barrier(NULL), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(finish(&actors[i]), i);
    trace[0] = '\0';
    start(&actors[0], 'A', wait_barrier_once);
    tepal_barrier_break(&barrier);
    assert_int_equal(finish(&actors[0]), -EPIPE);
    assert_int_equal(wait_barrier(NULL), -EPIPE);
    return 0;
}

static void who_leaves_breaks_the_barrier(void **state)
{
    (void)state;
    assert_int_equal(run_fake(break_barrier, NULL), 0);
}

static int cancel_at_the_barrier(void *arg)
{
    (void)arg;
    struct actor actors[2];
    barrier = (tepal_barrier){ .parties = 2 };
    /* In the moment that the last one comes, before and after: both pass. */
    for (int after = 0; after < 2; after++) {
        start(&actors[0], 'A', wait_barrier_once);
        if (!after)
            tepal_group_cancel(actors[0].group);
        assert_int_equal(wait_barrier(NULL), 1);
        tepal_group_cancel(actors[0].group);
        assert_int_equal(finish(&actors[0]), 0);
    }
    /* A reset comes between the cancellation and the task: the new round is whole. */
    start(&actors[0], 'A', wait_barrier_once);
    tepal_group_cancel(actors[0].group);
    tepal_barrier_reset(&barrier);
    start(&actors[1], 'B', wait_barrier_once);
    assert_int_equal(finish(&actors[0]), -ECANCELED);
    assert_int_equal(wait_barrier(NULL), 1);
    assert_int_equal(finish(&actors[1]), 0);
    return 0;
}

static void all_pass_or_none(void **state)
{
    (void)state;
    assert_int_equal(run_fake(cancel_at_the_barrier, NULL), 0);
}

static int wait_new_barrier(void *arg)
{
    tepal_barrier_reset(&barrier);
    return wait_barrier(arg);
}

static int interrupt_barrier(void *arg)
{
    (void)arg;
    barrier = (tepal_barrier){ .parties = 2 };
    expect_refusal(wait_barrier, NULL);
    assert_false(barrier.broken); /* they had not come */
    expect_interruptible(wait_new_barrier, NULL);
    assert_true(barrier.broken);
    assert_null(barrier.waiters.first);
    return 0;
}

static void waiting_at_a_barrier_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_barrier, NULL), 0);
}

/* --- Misuse ----------------------------------------------------------------------------------- */

static int lock_twice(void *arg)
{
    (void)arg;
    assert_int_equal(lock(NULL), 0);
    return lock(NULL);
}

static int unlock_free(void *arg)
{
    (void)arg;
    unlock();
    return 0;
}

static int unlock_in_task(void *arg)
{
    unlock();
    return end(arg, 0);
}

static int unlock_foreign(void *arg)
{
    (void)arg;
    struct actor actor;
    assert_int_equal(lock(NULL), 0);
    start(&actor, 'A', unlock_in_task);
    return 0;
}

static int wait_unlocked(void *arg)
{
    (void)arg;
    return tepal_condition_wait(&condition, &mutex);
}

static int overflow_semaphore(void *arg)
{
    (void)arg;
    semaphore = (tepal_semaphore){ .n = SIZE_MAX };
    release();
    return 0;
}

static int wait_without_parties(void *arg)
{
    (void)arg;
    barrier = (tepal_barrier){ 0 };
    return wait_barrier(NULL);
}

static void lock_on_timer(struct timer *timer)
{
    (void)timer;
    (void)!lock(NULL);
}

static int lock_outside_tasks(void *arg)
{
    struct timer timer;
    timer_init(&timer, lock_on_timer);
    timer_set(&loop_current->timers, &timer, loop_current->now);
    (void)arg;
    return tepal_sleep_ms(1000);
}

static void misused(void **state)
{
    (void)state;
    mutex = (tepal_mutex){ 0 };
    expect_misuse(lock_twice, "tepal_mutex_lock: the task holds this mutex already");
    expect_misuse(unlock_free, "tepal_mutex_unlock: the task does not hold this mutex");
    expect_misuse(unlock_foreign, "tepal_mutex_unlock: the task does not hold this mutex");
    expect_misuse(lock_outside_tasks, "tepal_mutex_lock: must be called from a task");
    expect_misuse(wait_unlocked, "tepal_condition_wait: the task does not hold the mutex");
    expect_misuse(overflow_semaphore, "tepal_semaphore_release: more permits than");
    expect_misuse(wait_without_parties, "tepal_barrier_wait: a barrier has at least one party");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(free_ones_are_taken_at_once),
        TEST(first_come_first_served),
        TEST(who_is_cancelled_is_passed_over),
        TEST(who_is_served_has_it),
        TEST(served_at_the_deadline),
        TEST(taking_can_be_interrupted),
        TEST(a_semaphore_has_many_permits),
        TEST(an_event_wakes_all),
        TEST(an_event_can_be_set_by_a_callback),
        TEST(waiting_for_an_event_can_be_interrupted),
        TEST(a_condition_wakes_one_or_all),
        TEST(a_condition_locks_again),
        TEST(waiting_for_a_condition_can_be_interrupted),
        TEST(a_barrier_lets_all_pass),
        TEST(who_leaves_breaks_the_barrier),
        TEST(all_pass_or_none),
        TEST(waiting_at_a_barrier_can_be_interrupted),
        TEST(misused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
