/* Tests of channels: order, bounds, closing, and that an item is never lost or doubled. */
#include "../misuse.h"

#include "async/sync/channel.h"
#include "base/mem.h"

static tepal_channel *channel;

/* --- Without waiting -------------------------------------------------------------------------- */

static void fill_and_drain(size_t capacity)
{
    channel = tepal_channel_new(sizeof(int), capacity);
    assert_non_null(channel);
    int got = -1, next_in = 0, next_out = 0;
    for (int round = 0; round < 5;
         round++) { /* the ring goes round, and by other steps than its size */
        while (next_in - next_out < (int)capacity) {
            assert_int_equal(tepal_channel_length(channel), next_in - next_out);
            assert_int_equal(tepal_channel_try_send(channel, &next_in), 0);
            next_in++;
        }
        assert_int_equal(tepal_channel_try_send(channel, &next_in), -EAGAIN);
        for (size_t i = 0; i < (capacity + 1) / 2; i++) {
            assert_int_equal(tepal_channel_try_receive(channel, &got), 0);
            assert_int_equal(got, next_out++);
        }
    }
    assert_false(tepal_channel_has_ended(channel));
    tepal_channel_end(channel);
    tepal_channel_end(channel);
    assert_true(tepal_channel_has_ended(channel));
    assert_int_equal(tepal_channel_try_send(channel, &next_in), -EPIPE);
    while (next_out < next_in) { /* what is there can still be received */
        assert_int_equal(tepal_channel_try_receive(channel, &got), 0);
        assert_int_equal(got, next_out++);
    }
    got = -1;
    assert_int_equal(tepal_channel_try_receive(channel, &got), -EPIPE);
    assert_int_equal(got, -1);
    assert_int_equal(tepal_channel_length(channel), 0);
    tepal_channel_close(channel);
}

static void capacities(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity < 10; capacity++)
        fill_and_drain(capacity);
    fill_and_drain(1000);
    tepal_channel_close(NULL);
}

static void item_sizes(void **state)
{
    (void)state;
    unsigned char in[300], out[300 + 1];
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (unsigned char)(i * 7);
    static const size_t sizes[] = { 1, 2, 3, 4, 7, 8, 9, 16, 300 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        channel = tepal_channel_new(sizes[i], 3);
        for (int k = 0; k < 7; k++) {
            in[0] = (unsigned char)k;
            memset(out, 0xee, sizeof(out));
            assert_int_equal(tepal_channel_try_send(channel, in), 0);
            assert_int_equal(tepal_channel_try_receive(channel, out), 0);
            assert_memory_equal(out, in, sizes[i]);
            assert_int_equal(out[sizes[i]], 0xee);
        }
        in[0] = 0;
        assert_int_equal(tepal_channel_try_send(channel, in), 0);
        tepal_channel_close(channel); /* with an item in it */
    }
}

static void memory_is_short(void **state)
{
    (void)state;
    mem_fail_nth(1, 0);
    assert_null(tepal_channel_new(8, 8));
    mem_fail_nth(0, 0);
    assert_null(tepal_channel_new(8, SIZE_MAX / 8));
    assert_null(tepal_channel_new(2, SIZE_MAX));
    assert_null(tepal_channel_new(SIZE_MAX, SIZE_MAX));
}

/* --- Between tasks ---------------------------------------------------------------------------- */

enum { N_ITEMS = 500 };

static int send_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < N_ITEMS; i++)
        assert_int_equal(tepal_channel_send(channel, &i), 0);
    tepal_channel_end(channel);
    return 0;
}

static int receive_many(void *arg)
{
    int got;
    channel = tepal_channel_new(sizeof(int), *(size_t *)arg);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, send_many, NULL, NULL), 0);
    settle();
    size_t before = mem_count();
    for (int i = 0; i < N_ITEMS; i++) {
        assert_int_equal(tepal_channel_receive(channel, &got), 0);
        assert_int_equal(got, i);
    }
    assert_int_equal(tepal_channel_receive(channel, &got), -EPIPE);
    assert_int_equal(mem_count(), before);
    tepal_group_close(group);
    tepal_channel_close(channel);
    return 0;
}

static void from_task_to_task(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity < 5; capacity++)
        assert_int_equal(run(receive_many, &capacity), 0);
    assert_int_equal(run(receive_many, &(size_t){ N_ITEMS + 1 }), 0);
}

/* A task that sends or receives one item, in a group of its own. */
struct actor {
    int item, result;
    bool ended;
    tepal_group *group;
};

static int end(struct actor *actor, int result)
{
    actor->result = result;
    actor->ended = true;
    /* Who was cancelled and could not be told is told by the next call. */
    assert_int_equal(tepal_sleep_ms(0), tepal_is_cancelled() ? -ECANCELED : 0);
    return 0;
}

static int send_one(void *arg)
{
    struct actor *actor = arg;
    return end(actor, tepal_channel_send(channel, &actor->item));
}

static int receive_one(void *arg)
{
    struct actor *actor = arg;
    return end(actor, tepal_channel_receive(channel, &actor->item));
}

static void start(struct actor *actor, tepal_task_fn *fn, int item)
{
    *actor = (struct actor){ .item = item, .group = tepal_group_new() };
    assert_non_null(actor->group);
    assert_int_equal(tepal_spawn(actor->group, fn, actor, NULL), 0);
    settle();
}

static void finish(struct actor *actor, int result, int item)
{
    (void)tepal_group_wait(actor->group);
    assert_true(actor->ended);
    tepal_group_close(actor->group);
    assert_int_equal(actor->result, result);
    assert_int_equal(actor->item, item);
}

static void send(int item)
{
    assert_int_equal(tepal_channel_send(channel, &item), 0);
}

static void expect_item(int item)
{
    int got = -1;
    assert_int_equal(tepal_channel_receive(channel, &got), 0);
    assert_int_equal(got, item);
}

static void expect_no_item(void)
{
    int got;
    assert_int_equal(tepal_channel_try_receive(channel, &got), -EAGAIN);
}

static void in_channels(tepal_task_fn *fn)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        channel = tepal_channel_new(sizeof(int), capacity);
        assert_int_equal(run_fake(fn, &capacity), 0);
        assert_null(channel->senders.first);
        assert_null(channel->receivers.first);
        tepal_channel_close(channel);
    }
}

static int serve_in_order(void *arg)
{
    int capacity = (int)*(size_t *)arg;
    struct actor a[5];
    for (int i = 0; i < 5; i++) /* 0 to 4 receive */
        start(&a[i], receive_one, -1);
    for (int i = 0; i < 5; i++)
        send(i);
    for (int i = 0; i < 5; i++) /* what has come was theirs at once, and nobody overtakes */
        finish(&a[i], 0, i);
    expect_no_item();
    for (int i = 0; i < capacity; i++)
        send(i);
    for (int i = 0; i < 5; i++)
        start(&a[i], send_one, capacity + i);
    int got, late = 99;
    assert_int_equal(tepal_channel_try_receive(channel, &got), 0);
    assert_int_equal(got, 0);
    assert_int_equal(tepal_channel_try_send(channel, &late), -EAGAIN); /* the room is the first's */
    for (int i = 1; i < capacity + 5; i++)
        expect_item(i);
    for (int i = 0; i < 5; i++)
        finish(&a[i], 0, capacity + i);
    expect_no_item();
    return 0;
}

static void first_come_first_served(void **state)
{
    (void)state;
    in_channels(serve_in_order);
}

static int rendezvous(void *arg)
{
    struct actor sender;
    if (*(size_t *)arg > 0)
        return 0;
    start(&sender, send_one, 7);
    assert_false(sender.ended);
    assert_int_equal(tepal_channel_length(channel), 0);
    expect_item(7);
    finish(&sender, 0, 7);
    return 0;
}

static void without_capacity_the_sender_waits(void **state)
{
    (void)state;
    in_channels(rendezvous);
}

/* --- Cancelled and out of time ---------------------------------------------------------------- */

static void fill(size_t capacity)
{
    for (size_t i = 0; i < capacity; i++)
        send((int)i);
}

static void expect_fill(size_t capacity)
{
    for (size_t i = 0; i < capacity; i++)
        expect_item((int)i);
}

/* Cancelled first, and served before they have run: the next one is served. */
static int cancel_then_serve(void *arg)
{
    size_t capacity = *(size_t *)arg;
    struct actor a[2];
    start(&a[0], receive_one, -1);
    start(&a[1], receive_one, -1);
    tepal_group_cancel(a[0].group);
    send(5);
    finish(&a[0], -ECANCELED, -1);
    finish(&a[1], 0, 5);
    fill(capacity);
    start(&a[0], send_one, 100);
    start(&a[1], send_one, 101);
    tepal_group_cancel(a[0].group);
    expect_fill(capacity);
    expect_item(101);
    finish(&a[0], -ECANCELED, 100);
    finish(&a[1], 0, 101);
    expect_no_item();
    return 0;
}

static void who_is_cancelled_is_passed_over(void **state)
{
    (void)state;
    in_channels(cancel_then_serve);
}

/* Served, and then cancelled before they have run. */
static int serve_then_cancel(void *arg)
{
    size_t capacity = *(size_t *)arg;
    struct actor a;
    start(&a, receive_one, -1);
    send(5);
    tepal_group_cancel(a.group);
    finish(&a, 0, 5);
    expect_no_item();
    fill(capacity);
    start(&a, send_one, 100);
    expect_item(capacity > 0 ? 0 : 100);
    tepal_group_cancel(a.group);
    finish(&a, 0, 100);
    for (size_t i = 1; i < capacity; i++)
        expect_item((int)i);
    if (capacity > 0)
        expect_item(100);
    expect_no_item();
    return 0;
}

static void who_is_served_has_it(void **state)
{
    (void)state;
    in_channels(serve_then_cancel);
}

/* Cancelled, with nobody behind: the item stays where it was. */
static int cancel_and_keep(void *arg)
{
    size_t capacity = *(size_t *)arg;
    struct actor a;
    int item = 5;
    start(&a, receive_one, -1);
    tepal_group_cancel(a.group);
    assert_int_equal(tepal_channel_try_send(channel, &item), capacity > 0 ? 0 : -EAGAIN);
    finish(&a, -ECANCELED, -1);
    if (capacity > 0)
        expect_item(5);
    fill(capacity);
    start(&a, send_one, 100);
    tepal_group_cancel(a.group);
    expect_fill(capacity);
    expect_no_item();
    finish(&a, -ECANCELED, 100);
    return 0;
}

static void nobody_takes_what_is_cancelled(void **state)
{
    (void)state;
    in_channels(cancel_and_keep);
}

static int receive_for_50_ms(void *arg)
{
    struct actor *actor = arg;
    int64_t before = tepal_deadline_in_ms(50);
    int rc = tepal_channel_receive(channel, &actor->item);
    tepal_deadline_restore(before);
    return end(actor, rc);
}

static int send_for_50_ms(void *arg)
{
    struct actor *actor = arg;
    int64_t before = tepal_deadline_in_ms(50);
    int rc = tepal_channel_send(channel, &actor->item);
    tepal_deadline_restore(before);
    return end(actor, rc);
}

static int serve_at_the_deadline(void *arg)
{
    size_t capacity = *(size_t *)arg;
    for (int64_t ms = 48; ms <= 52; ms++) {
        struct actor a, other;
        int64_t begin = tepal_now_ms();
        start(&a, receive_for_50_ms, -1);
        assert_int_equal(tepal_sleep_ms(begin + ms - tepal_now_ms()), 0);
        start(&other, send_one, 5);
        if (a.result == 0) {
            finish(&a, 0, 5);
            assert_true(ms <= 50);
        } else { /* it has missed it, and it is still there */
            finish(&a, -ETIMEDOUT, -1);
            assert_true(ms >= 50);
            expect_item(5);
        }
        finish(&other, 0, 5);
        fill(capacity);
        begin = tepal_now_ms();
        start(&a, send_for_50_ms, 100);
        assert_int_equal(tepal_sleep_ms(begin + ms - tepal_now_ms()), 0);
        start(&other, receive_one, -1);
        if (a.result == 0) {
            finish(&other, 0, capacity > 0 ? 0 : 100);
            finish(&a, 0, 100);
            for (size_t i = 1; i < capacity; i++)
                expect_item((int)i);
            if (capacity > 0)
                expect_item(100);
        } else {
            finish(&a, -ETIMEDOUT, 100);
            if (capacity == 0)
                send(0);
            finish(&other, 0, 0);
            for (size_t i = 1; i < capacity; i++)
                expect_item((int)i);
        }
        expect_no_item();
    }
    return 0;
}

static void served_at_the_deadline(void **state)
{
    (void)state;
    in_channels(serve_at_the_deadline);
}

static int receive_endless(void *arg)
{
    (void)arg;
    int got = -1;
    int rc = tepal_channel_receive(channel, &got);
    assert_int_equal(got, -1);
    return rc;
}

static int send_endless(void *arg)
{
    (void)arg;
    return tepal_channel_send(channel, &(int){ 1000 });
}

static int interrupt(void *arg)
{
    size_t capacity = *(size_t *)arg;
    expect_interruptible(receive_endless, NULL);
    if (capacity > 0)
        expect_refusal(send_endless, NULL); /* also when there is room */
    expect_no_item();
    fill(capacity);
    expect_interruptible(send_endless, NULL);
    if (capacity > 0)
        expect_refusal(receive_endless, NULL); /* also when there are items */
    expect_fill(capacity);
    expect_no_item();
    tepal_channel_end(channel);
    expect_refusal(receive_endless, NULL);
    expect_refusal(send_endless, NULL);
    return 0;
}

static void waiting_can_be_interrupted(void **state)
{
    (void)state;
    in_channels(interrupt);
}

/* --- Closing ---------------------------------------------------------------------------------- */

static int close_on_receivers(void *arg)
{
    struct actor a[3];
    for (int i = 0; i < 3; i++)
        start(&a[i], receive_one, -1);
    tepal_group_cancel(a[1].group);
    tepal_channel_end(channel);
    tepal_group_cancel(a[2].group);
    finish(&a[0], -EPIPE, -1);
    finish(&a[1], -ECANCELED, -1);
    finish(&a[2], -EPIPE, -1);
    assert_int_equal(receive_endless(NULL), -EPIPE);
    (void)arg;
    return 0;
}

static int close_on_senders(void *arg)
{
    size_t capacity = *(size_t *)arg;
    struct actor a[3];
    fill(capacity);
    for (int i = 0; i < 3; i++)
        start(&a[i], send_one, 100 + i);
    tepal_group_cancel(a[1].group);
    tepal_channel_end(channel);
    tepal_group_cancel(a[2].group);
    finish(&a[0], -EPIPE, 100);
    finish(&a[1], -ECANCELED, 101);
    finish(&a[2], -EPIPE, 102);
    assert_int_equal(send_endless(NULL), -EPIPE);
    expect_fill(capacity); /* and nothing of those who waited */
    assert_int_equal(receive_endless(NULL), -EPIPE);
    return 0;
}

static void closing_ends_the_waits(void **state)
{
    (void)state;
    in_channels(close_on_receivers);
    in_channels(close_on_senders);
}

/* Tasks whose wait has ended, but which have not run yet, need the channel no more. */
static int close_and_free(void *arg)
{
    struct actor a[3];
    (void)arg;
    for (int i = 0; i < 2; i++) {
        tepal_channel *before = channel;
        channel = tepal_channel_new(sizeof(int), 1);
        start(&a[0], receive_one, -1);
        start(&a[1], receive_one, -1);
        start(&a[2], receive_one, -1);
        send(5);
        tepal_group_cancel(a[1].group);
        if (i == 0)
            tepal_channel_end(channel);
        else
            tepal_group_cancel(a[2].group);
        tepal_channel_close(channel);
        channel = before;
        finish(&a[0], 0, 5);
        finish(&a[1], -ECANCELED, -1);
        finish(&a[2], i == 0 ? -EPIPE : -ECANCELED, -1);
    }
    return 0;
}

static void closed_ones_can_be_freed(void **state)
{
    (void)state;
    in_channels(close_and_free);
}

/* --- Callbacks and misuse --------------------------------------------------------------------- */

static void send_on_timer(struct timer *timer)
{
    assert_null(loop_current->current);
    assert_int_equal(tepal_channel_try_send(channel, &(int){ 5 }), 0);
    (void)timer;
}

static int receive_from_callback(void *arg)
{
    struct timer timer;
    timer_init(&timer, send_on_timer);
    timer_set(&loop_current->timers, &timer, loop_current->now + 5);
    expect_item(5);
    (void)arg;
    return 0;
}

static void callbacks_may_send(void **state)
{
    (void)state;
    in_channels(receive_from_callback);
}

static int free_awaited(void *arg)
{
    struct actor a;
    (void)arg;
    channel = tepal_channel_new(sizeof(int), 1);
    start(&a, receive_one, -1);
    tepal_channel_close(channel);
    return 0;
}

static int free_awaited_by_sender(void *arg)
{
    struct actor a;
    (void)arg;
    channel = tepal_channel_new(sizeof(int), 0);
    start(&a, send_one, 1);
    tepal_channel_close(channel);
    return 0;
}

static int new_without_size(void *arg)
{
    (void)arg;
    (void)tepal_channel_new(0, 1);
    return 0;
}

static void misused(void **state)
{
    (void)state;
    expect_misuse(free_awaited, "tepal_channel_close: a task still waits for the channel");
    expect_misuse(free_awaited_by_sender,
                  "tepal_channel_close: a task still waits for the channel");
    expect_misuse(new_without_size, "tepal_channel_new: an item has at least one octet");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capacities),
        cmocka_unit_test(item_sizes),
        cmocka_unit_test(memory_is_short),
        cmocka_unit_test(from_task_to_task),
        cmocka_unit_test(first_come_first_served),
        cmocka_unit_test(without_capacity_the_sender_waits),
        cmocka_unit_test(who_is_cancelled_is_passed_over),
        cmocka_unit_test(who_is_served_has_it),
        cmocka_unit_test(nobody_takes_what_is_cancelled),
        cmocka_unit_test(served_at_the_deadline),
        cmocka_unit_test(waiting_can_be_interrupted),
        cmocka_unit_test(closing_ends_the_waits),
        cmocka_unit_test(closed_ones_can_be_freed),
        cmocka_unit_test(callbacks_may_send),
        cmocka_unit_test(misused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
