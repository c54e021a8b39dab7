/* Tests of waiting for several channels: exactly one case happens, whatever else happens. */
#include "../misuse.h"

#include "async/sync/channel.h"
#include "base/mem.h"

enum { N = 3 };
static tepal_channel *channels[N];

static void in_channels(tepal_task_fn *fn)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        for (int i = 0; i < N; i++)
            channels[i] = tepal_channel_new(sizeof(int), capacity);
        assert_int_equal(run_fake(fn, &capacity), 0);
        for (int i = 0; i < N; i++) {
            assert_null(channels[i]->senders.first);
            assert_null(channels[i]->receivers.first);
            tepal_channel_close(channels[i]);
        }
    }
}

/* A task that selects once, in a group of its own: to receive from all channels, or to send to all
 * of them. */
struct actor {
    int items[N]; /* what it sends, or has received */
    tepal_select_case cases[N];
    bool sends;
    int64_t timeout_ms;
    int result;
    bool ended;
    tepal_group *group;
};

static int select_once(void *arg)
{
    struct actor *a = arg;
    for (int i = 0; i < N; i++) {
        a->cases[i] = (tepal_select_case){ .channel = channels[i], .result = 77 };
        if (a->sends)
            a->cases[i].send = &a->items[i];
        else
            a->cases[i].receive = &a->items[i];
    }
    a->result = tepal_select(a->cases, N, a->timeout_ms);
    a->ended = true;
    /* Who was cancelled and could not be told is told by the next call. */
    assert_int_equal(tepal_sleep_ms(0), tepal_is_cancelled() ? -ECANCELED : 0);
    return 0;
}

static void start(struct actor *a, bool sends, int item)
{
    *a = (struct actor){ .sends = sends, .timeout_ms = TEPAL_NEVER, .group = tepal_group_new() };
    for (int i = 0; i < N; i++)
        a->items[i] = sends ? item + i : -1;
    assert_non_null(a->group);
    assert_int_equal(tepal_spawn(a->group, select_once, a, NULL), 0);
    settle();
}

/* The call returned this, and nothing else has happened. */
static void finish(struct actor *a, int result)
{
    (void)tepal_group_wait(a->group);
    assert_true(a->ended);
    tepal_group_close(a->group);
    assert_int_equal(a->result, result);
    for (int i = 0; i < N; i++) {
        if (i != result)
            assert_int_equal(a->cases[i].result, 77);
        if (!a->sends && (i != result || a->cases[i].result != 0))
            assert_int_equal(a->items[i], -1);
    }
}

static void finish_received(struct actor *a, int from, int item)
{
    finish(a, from);
    assert_int_equal(a->cases[from].result, 0);
    assert_int_equal(a->items[from], item);
}

static void send(int to, int item)
{
    assert_int_equal(tepal_channel_send(channels[to], &item), 0);
}

static void expect_item(int from, int item)
{
    int got = -1;
    assert_int_equal(tepal_channel_try_receive(channels[from], &got), 0);
    assert_int_equal(got, item);
}

static void expect_empty(void)
{
    int got;
    for (int i = 0; i < N; i++)
        assert_int_equal(tepal_channel_try_receive(channels[i], &got), -EAGAIN);
}

static void fill_all(size_t capacity)
{
    for (int i = 0; i < N; i++)
        for (size_t k = 0; k < capacity; k++)
            send(i, (int)k);
}

/* --- One of several --------------------------------------------------------------------------- */

static int receive_whatever_comes(void *arg)
{
    struct actor a;
    int item;
    for (int i = 0; i < N; i++) {
        start(&a, false, 0);
        assert_false(a.ended);
        send(i, 10 + i);
        /* It is served: what comes elsewhere is not its own. */
        for (int k = 0; k < N; k++)
            assert_int_equal(tepal_channel_try_send(channels[k], &(int){ 99 }),
                             *(size_t *)arg > 0 ? 0 : -EAGAIN);
        finish_received(&a, i, 10 + i);
        for (int k = 0; k<N &&*(size_t *)arg> 0; k++)
            expect_item(k, 99);
        expect_empty();
        if (*(size_t *)arg == 0)
            continue;
        send(i, 10 + i);
        tepal_select_case cases[] = { { .channel = channels[i], .receive = &item } };
        assert_int_equal(tepal_select(cases, 1, 0), 0);
        assert_int_equal(cases[0].result, 0);
        assert_int_equal(item, 10 + i);
    }
    return 0;
}

static int send_wherever_there_is_room(void *arg)
{
    size_t capacity = *(size_t *)arg;
    struct actor a;
    for (int i = 0; i < N; i++) {
        fill_all(capacity);
        start(&a, true, 100);
        assert_false(a.ended);
        expect_item(i, capacity > 0 ? 0 : 100 + i);
        finish(&a, i);
        assert_int_equal(a.cases[i].result, 0);
        for (int k = 0; k < N; k++) {
            for (size_t j = k == i; j < capacity; j++)
                expect_item(k, (int)j);
            if (k == i && capacity > 0)
                expect_item(k, 100 + i);
        }
        expect_empty();
    }
    return 0;
}

static void exactly_one_happens(void **state)
{
    (void)state;
    in_channels(receive_whatever_comes);
    in_channels(send_wherever_there_is_room);
}

static int meet(void *arg)
{
    struct actor receiver, sender;
    for (int first = 0; first < 2; first++) {
        start(first ? &sender : &receiver, first, 50);
        start(first ? &receiver : &sender, !first, 50);
        int at = receiver.result;
        finish_received(&receiver, at, 50 + at);
        finish(&sender, at);
        expect_empty();
    }
    (void)arg;
    return 0;
}

static void selects_meet_one_another(void **state)
{
    (void)state;
    in_channels(meet);
}

/* To send and to receive on one channel, and one case twice: it does not serve itself. */
static int both_ways(void *arg)
{
    if (*(size_t *)arg > 0)
        return 0;
    int in = -1, in2 = -1, out = 5;
    tepal_select_case cases[] = { { .channel = channels[0], .receive = &in },
                                  { .channel = channels[0], .send = &out },
                                  { .channel = channels[0], .receive = &in2 },
                                  { .channel = NULL, .receive = &in } };
    assert_int_equal(tepal_select(cases, 4, 20), -ETIMEDOUT);
    struct actor a;
    start(&a, true, 50);
    int i = tepal_select(cases, 4, TEPAL_NEVER);
    assert_true(i == 0 || i == 2);
    assert_int_equal(i == 0 ? in : in2, 50);
    assert_int_equal(i == 0 ? in2 : in, -1);
    finish(&a, 0);
    start(&a, false, 0);
    assert_int_equal(tepal_select(cases, 4, TEPAL_NEVER), 1);
    finish_received(&a, 0, 5);
    return 0;
}

static void one_channel_in_several_cases(void **state)
{
    (void)state;
    in_channels(both_ways);
}

static int waits_in_line(void *arg)
{
    struct actor a, b;
    start(&a, false, 0);
    start(&b, false, 0);
    send(2, 1);
    send(1, 2);
    finish_received(&a, 2, 1);
    finish_received(&b, 1, 2);
    (void)arg;
    return 0;
}

static void first_come_first_served(void **state)
{
    (void)state;
    in_channels(waits_in_line);
}

static int count_picks(void *arg)
{
    enum { ROUNDS = 3000 };
    (void)arg;
    int item, picks[3] = { 0 };
    tepal_channel *ready = tepal_channel_new(sizeof(int), ROUNDS);
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal(tepal_channel_try_send(ready, &i), 0);
    /* The first is never ready, which must not be of use to the next one. */
    tepal_select_case cases[] = { { .channel = channels[0], .receive = &item },
                                  { .channel = ready, .receive = &item },
                                  { .channel = ready, .receive = &item },
                                  { .channel = ready, .receive = &item } };
    for (int i = 0; i < ROUNDS; i++)
        picks[tepal_select(cases, 4, TEPAL_NEVER) - 1]++;
    for (int i = 0; i < 3; i++)
        assert_in_range(picks[i], ROUNDS / 4, ROUNDS / 2);
    tepal_channel_close(ready);
    return 0;
}

static void each_that_is_ready_has_its_turn(void **state)
{
    (void)state;
    in_channels(count_picks);
}

/* --- Closing ---------------------------------------------------------------------------------- */

static int close_one(void *arg)
{
    size_t capacity = *(size_t *)arg;
    struct actor a, b;
    start(&a, false, 0);
    tepal_channel_end(channels[1]);
    finish(&a, 1);
    assert_int_equal(a.cases[1].result, -EPIPE);
    start(&a, false, 0); /* closed before */
    finish(&a, 1);
    assert_int_equal(a.cases[1].result, -EPIPE);
    for (size_t k = 0; k < capacity; k++) {
        send(0, 1);
        send(2, 1);
    }
    start(&a, true, 100);
    finish(&a, 1);
    assert_int_equal(a.cases[1].result, -EPIPE);
    tepal_channel_close(channels[1]);
    channels[1] = tepal_channel_new(sizeof(int), capacity);
    for (size_t k = 0; k < capacity; k++)
        send(1, 1);
    start(&a, true, 100);
    start(&b, true, 200);
    tepal_channel_end(channels[1]); /* each of them is told */
    finish(&a, 1);
    finish(&b, 1);
    assert_int_equal(a.cases[1].result, -EPIPE);
    assert_int_equal(b.cases[1].result, -EPIPE);
    return 0;
}

/* The one that ends the wait, and one that does not need it any more before the task has run. */
static int close_and_free(void *arg)
{
    struct actor a;
    (void)arg;
    start(&a, false, 0);
    tepal_channel_end(channels[1]);
    tepal_channel_close(channels[1]);
    tepal_channel_close(channels[2]);
    channels[1] = channels[2] = NULL;
    finish(&a, 1);
    for (int i = 1; i < N; i++)
        channels[i] = tepal_channel_new(sizeof(int), 1);
    return 0;
}

static void closed_channels(void **state)
{
    (void)state;
    in_channels(close_one);
    in_channels(close_and_free);
}

/* --- Time and cancellation -------------------------------------------------------------------- */

static int limit_time(void *arg)
{
    (void)arg;
    int item = -1;
    tepal_select_case cases[] = { { .channel = channels[0], .receive = &item },
                                  { .channel = NULL, .receive = &item } };
    int64_t begin = tepal_now_ms();
    assert_int_equal(tepal_select(cases, 2, 0), -EAGAIN);
    assert_int_equal(tepal_select(cases, 2, -5), -EAGAIN);
    assert_int_equal(tepal_select(NULL, 0, 0), -EAGAIN);
    assert_int_equal(tepal_now_ms(), begin);
    assert_int_equal(tepal_select(cases, 2, 30), -ETIMEDOUT);
    assert_int_equal(tepal_now_ms(), begin + 30);
    assert_int_equal(tepal_select(NULL, 0, 30), -ETIMEDOUT);
    assert_int_equal(tepal_now_ms(), begin + 60);
    int64_t none = tepal_deadline_in_ms(20); /* the earlier one ends it */
    assert_int_equal(tepal_select(cases, 2, 10), -ETIMEDOUT);
    assert_int_equal(tepal_now_ms(), begin + 70);
    assert_int_equal(tepal_sleep_ms(0), 0);
    assert_int_equal(tepal_select(cases, 2, 100), -ETIMEDOUT);
    assert_int_equal(tepal_now_ms(), begin + 80);
    assert_int_equal(tepal_sleep_ms(0), -ETIMEDOUT);
    assert_int_equal(tepal_select(cases, 2, 0), -ETIMEDOUT);
    tepal_deadline_restore(none);
    assert_int_equal(item, -1);
    return 0;
}

static void time_limits(void **state)
{
    (void)state;
    in_channels(limit_time);
}

static int cancel_around(void *arg)
{
    size_t capacity = *(size_t *)arg;
    struct actor a;
    start(&a, false, 0); /* served, and then cancelled */
    send(1, 5);
    tepal_group_cancel(a.group);
    finish_received(&a, 1, 5);
    start(&a, false, 0); /* cancelled, and passed over */
    tepal_group_cancel(a.group);
    for (int i = 0; i < N; i++)
        assert_int_equal(tepal_channel_try_send(channels[i], &(int){ 6 }),
                         capacity > 0 ? 0 : -EAGAIN);
    finish(&a, -ECANCELED);
    for (int i = 0; i < N && capacity > 0; i++)
        expect_item(i, 6);
    fill_all(capacity);
    start(&a, true, 100);
    tepal_group_cancel(a.group);
    for (int i = 0; i < N; i++)
        for (size_t k = 0; k < capacity; k++)
            expect_item(i, (int)k);
    expect_empty();
    finish(&a, -ECANCELED);
    fill_all(capacity);
    start(&a, true, 100);
    expect_item(2, capacity > 0 ? 0 : 102);
    tepal_group_cancel(a.group);
    finish(&a, 2);
    for (int i = 0; i < N; i++)
        for (size_t k = i == 2; k < capacity; k++)
            expect_item(i, (int)k);
    if (capacity > 0)
        expect_item(2, 102);
    expect_empty();
    return 0;
}

static void nothing_is_lost_by_a_cancellation(void **state)
{
    (void)state;
    in_channels(cancel_around);
}

static int select_endless(void *arg)
{
    int item = 1000, got = -1;
    tepal_select_case cases[] = { { .channel = channels[0], .receive = &got },
                                  { .channel = channels[1], .send = &item },
                                  { .channel = channels[2], .receive = &got } };
    int rc = tepal_select(cases, 3, arg ? 1000000 : TEPAL_NEVER);
    assert_int_equal(got, -1);
    return rc;
}

static int interrupt(void *arg)
{
    size_t capacity = *(size_t *)arg;
    if (capacity > 0)
        expect_refusal(select_endless, NULL); /* also when a case could happen */
    for (size_t k = 0; k < capacity; k++)
        send(1, (int)k);
    expect_interruptible(select_endless, NULL);
    expect_interruptible(select_endless, "a time limit");
    for (size_t k = 0; k < capacity; k++)
        expect_item(1, (int)k);
    expect_empty();
    return 0;
}

static void waiting_can_be_interrupted(void **state)
{
    (void)state;
    in_channels(interrupt);
}

/* --- Misuse and many -------------------------------------------------------------------------- */

static int select_many(void *arg)
{
    enum { MANY = 1000 };
    (void)arg;
    static tepal_select_case cases[MANY];
    static int items[MANY];
    tepal_channel *many[MANY];
    for (int i = 0; i < MANY; i++) {
        many[i] = tepal_channel_new(sizeof(int), 1);
        cases[i] = (tepal_select_case){ .channel = many[i], .receive = &items[i] };
    }
    size_t before = mem_count();
    assert_int_equal(tepal_select(cases, MANY, 10), -ETIMEDOUT);
    assert_int_equal(tepal_channel_try_send(many[MANY - 1], &(int){ 5 }), 0);
    assert_int_equal(tepal_select(cases, MANY, 10), MANY - 1);
    assert_int_equal(items[MANY - 1], 5);
    assert_int_equal(mem_count(), before);
    for (int i = 0; i < MANY; i++)
        tepal_channel_close(many[i]);
    return 0;
}

static void many_cases(void **state)
{
    (void)state;
    assert_int_equal(run_fake(select_many, NULL), 0);
}

static int select_nothing(void *arg)
{
    (void)arg;
    return tepal_select(&(tepal_select_case){ 0 }, 1, 0);
}

static int select_both(void *arg)
{
    int item = 0;
    tepal_select_case both = { .send = &item, .receive = &item };
    (void)arg;
    return tepal_select(&both, 1, 0);
}

static int select_too_many(void *arg)
{
    (void)arg;
    return tepal_select(NULL, (size_t)INT32_MAX + 1, 0);
}

static int free_awaited(void *arg)
{
    struct actor a;
    (void)arg;
    for (int i = 0; i < N; i++)
        channels[i] = tepal_channel_new(sizeof(int), 1);
    start(&a, false, 0);
    tepal_channel_close(channels[1]);
    return 0;
}

static void misused(void **state)
{
    (void)state;
    expect_misuse(select_nothing, "tepal_select: a case has one of send and receive");
    expect_misuse(select_both, "tepal_select: a case has one of send and receive");
    expect_misuse(select_too_many, "tepal_select: more cases than an index can tell");
    expect_misuse(free_awaited, "tepal_channel_close: a task still waits for the channel");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_one_happens),
        cmocka_unit_test(selects_meet_one_another),
        cmocka_unit_test(one_channel_in_several_cases),
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(each_that_is_ready_has_its_turn),
        cmocka_unit_test(closed_channels),
        cmocka_unit_test(time_limits),
        cmocka_unit_test(nothing_is_lost_by_a_cancellation),
        cmocka_unit_test(waiting_can_be_interrupted),
        cmocka_unit_test(many_cases),
        cmocka_unit_test(misused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
