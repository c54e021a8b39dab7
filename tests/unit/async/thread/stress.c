/* Tasks that lock, wait, send, receive and select at random, and are cancelled and out of time at
 * random points; and what must hold all the same: nothing lost, nothing doubled, nobody forgotten.
 *
 * The numbers are the same in every run, and time is the test's own. More of it by hand:
 *   TEPAL_STRESS_STEPS  how many operations, default 1 million; 200 million take about a minute
 *   TEPAL_STRESS_SEED   other numbers, default 1
 */
#include "../in_loop.h"

#include "async/sync/channel.h"

#include <tepal/sync.h>

enum {
    WORKERS = 24,
    CHANNELS = 4,
    MUTEXES = 2,
    PERMITS = 3,
    EPOCH_STEPS = 2000, /* with one set of channels; then all must have ended */
    MAX_ITEMS = 4 * EPOCH_STEPS
};

struct item {
    uint16_t sender, channel;
    uint32_t number;
};

struct worker {
    tepal_group *group;
    bool ended;
    uint32_t seen[CHANNELS][WORKERS]; /* the last number that has come from each sender */
};

static uint64_t seed;
static long steps, epoch_end;
static bool stopping, paused;
static tepal_event resumed;
static struct worker workers[WORKERS];

static tepal_channel *channels[CHANNELS];
static uint32_t n_items;
static bool sent[MAX_ITEMS], received[MAX_ITEMS];

static tepal_mutex mutexes[MUTEXES];
static bool is_held[MUTEXES];
static tepal_semaphore semaphore;
static int n_permits_used;
static tepal_event event;
static tepal_mutex stock_mutex;
static tepal_condition stock_condition;
static int stock;
static tepal_barrier barrier;
static int n_passed, sum_passed;

static struct { /* what has been reached: a test that does nothing finds nothing */
    long sent, received, selected, cancelled, timed_out, refused, held, passed, consumed;
} reached;

static unsigned below(unsigned n)
{
    return next_random(&seed) % n;
}

static int note(int rc)
{
    if (rc == -ECANCELED) {
        assert_true(tepal_is_cancelled());
        reached.cancelled++;
    } else if (rc == -ETIMEDOUT) {
        reached.timed_out++;
    } else if (rc == -EPIPE) {
        reached.refused++;
    } else {
        assert_true(rc >= 0 || rc == -EAGAIN);
    }
    return rc;
}

static void hold_for_a_while(void)
{
    switch (below(4)) {
    case 0:
        (void)tepal_sleep_ms(0);
        break;
    case 1:
        (void)tepal_sleep_ms(1);
        break;
    }
}

/* --- Operations: each returns the result of its call ------------------------------------------ */

static int use_mutex(void)
{
    unsigned m = below(MUTEXES);
    int rc = below(4) ? tepal_mutex_lock(&mutexes[m]) : tepal_mutex_try_lock(&mutexes[m]);
    if (note(rc) < 0)
        return rc;
    assert_false(is_held[m]);
    is_held[m] = true;
    reached.held++;
    hold_for_a_while();
    is_held[m] = false;
    tepal_mutex_unlock(&mutexes[m]);
    return rc;
}

static int use_semaphore(void)
{
    int rc =
        below(4) ? tepal_semaphore_acquire(&semaphore) : tepal_semaphore_try_acquire(&semaphore);
    if (note(rc) < 0)
        return rc;
    assert_true(++n_permits_used <= PERMITS);
    hold_for_a_while();
    n_permits_used--;
    tepal_semaphore_release(&semaphore);
    return rc;
}

static int use_event(void)
{
    switch (below(4)) {
    case 0:
        tepal_event_set(&event);
        return 0;
    case 1:
        if (!stopping)
            tepal_event_clear(&event);
        return 0;
    }
    return note(tepal_event_wait(&event));
}

static int produce(void)
{
    int rc = note(tepal_mutex_lock(&stock_mutex));
    if (rc < 0)
        return rc;
    stock++;
    if (below(8))
        tepal_condition_signal(&stock_condition);
    else
        tepal_condition_broadcast(&stock_condition);
    hold_for_a_while();
    tepal_mutex_unlock(&stock_mutex);
    return rc;
}

static int consume(void)
{
    int rc = note(tepal_mutex_lock(&stock_mutex));
    if (rc < 0)
        return rc;
    while (rc == 0 && stock == 0 && !stopping) {
        rc = note(tepal_condition_wait(&stock_condition, &stock_mutex));
        assert_ptr_equal(stock_mutex.owner, loop_current->current);
    }
    if (rc == 0 && stock > 0) {
        stock--;
        reached.consumed++;
    }
    tepal_mutex_unlock(&stock_mutex);
    return rc;
}

static int meet(void)
{
    int rc = note(tepal_barrier_wait(&barrier));
    if (rc >= 0) {
        assert_in_range(rc, 0, barrier.parties - 1);
        n_passed++;
        sum_passed += rc;
        reached.passed++;
    } else if (rc == -EPIPE && !stopping) {
        tepal_barrier_reset(&barrier);
    }
    return rc;
}

static struct item new_item(const struct worker *self, unsigned channel)
{
    assert_true(n_items < MAX_ITEMS);
    return (struct item){ .sender = (uint16_t)(self - workers),
                          .channel = (uint16_t)channel,
                          .number = n_items++ };
}

static void item_sent(const struct item *item)
{
    sent[item->number] = true;
    reached.sent++;
}

static void item_received(struct worker *self, unsigned channel, const struct item *item)
{
    assert_int_equal(item->channel, channel);
    assert_true(item->number < n_items);
    assert_false(received[item->number]);
    received[item->number] = true;
    reached.received++;
    if (!self)
        return;
    /* One receiver sees what one sender sent in its order; 0 is for nothing yet. */
    uint32_t *last = &self->seen[channel][item->sender];
    assert_true(item->number + 1 > *last);
    *last = item->number + 1;
}

static int send(struct worker *self)
{
    unsigned c = below(CHANNELS);
    struct item item = new_item(self, c);
    int rc = below(4) ? tepal_channel_send(channels[c], &item)
                      : tepal_channel_try_send(channels[c], &item);
    if (note(rc) == 0)
        item_sent(&item);
    return rc;
}

static int receive(struct worker *self)
{
    unsigned c = below(CHANNELS);
    struct item item;
    int rc = below(4) ? tepal_channel_receive(channels[c], &item)
                      : tepal_channel_try_receive(channels[c], &item);
    if (note(rc) == 0)
        item_received(self, c, &item);
    return rc;
}

static int select_some(struct worker *self)
{
    enum { MAX_CASES = 4 };
    tepal_select_case cases[MAX_CASES];
    struct item items[MAX_CASES];
    unsigned places[MAX_CASES], n = 1 + below(MAX_CASES);
    for (unsigned i = 0; i < n; i++) {
        unsigned c = places[i] = below(CHANNELS);
        /* Not the first: a select of nothing but NULL can be ended by a cancellation only. */
        cases[i] = (tepal_select_case){ .channel = i == 0 || below(16) ? channels[c] : NULL };
        if (below(3)) {
            cases[i].receive = &items[i];
        } else {
            items[i] = new_item(self, c);
            cases[i].send = &items[i];
        }
    }
    int64_t timeout_ms = below(3) ? (int64_t)below(3) : TEPAL_NEVER;
    int rc = tepal_select(cases, n, timeout_ms);
    if (rc < 0)
        return rc == -EAGAIN ? 0 : note(rc);
    assert_true((unsigned)rc < n && cases[rc].channel);
    note(cases[rc].result);
    if (cases[rc].result < 0)
        return cases[rc].result;
    reached.selected++;
    if (cases[rc].send)
        item_sent(&items[rc]);
    else
        item_received(self, places[rc], &items[rc]);
    return 0;
}

static int do_something(struct worker *self)
{
    switch (below(16)) {
    case 0:
        return use_mutex();
    case 1:
        return use_semaphore();
    case 2:
        return use_event();
    case 3:
        return produce();
    case 4:
        return consume();
    case 5:
        return meet();
    case 6:
        return note(tepal_sleep_ms(below(3)));
    case 7: /* a neighbour, which may have been woken in this very turn */
        if (below(4) == 0)
            tepal_group_cancel(workers[below(WORKERS)].group);
        return 0;
    case 8:
        if (below(200) == 0)
            tepal_channel_end(channels[below(CHANNELS)]);
        return 0;
    case 9:
    case 10:
        return send(self);
    case 11:
    case 12:
        return receive(self);
    }
    return select_some(self);
}

static int work(void *arg)
{
    struct worker *self = arg;
    int rc = 0;
    while (rc != -ECANCELED && !stopping && steps < epoch_end) {
        if (paused && tepal_event_wait(&resumed) < 0)
            break;
        steps++;
        int64_t before = below(3) ? TEPAL_NEVER : tepal_deadline_in_ms(below(4));
        rc = do_something(self);
        tepal_deadline_restore(before);
    }
    self->ended = true;
    return 0;
}

/* --- What must hold --------------------------------------------------------------------------- */

static bool is_awaited(const struct tepal_waiters *waiters)
{
    for (struct tepal_waiter *w = waiters->first; w; w = w->next)
        if (w->task->waiting)
            return true;
    return false;
}

/* Nobody waits for what could be had, at any time. */
static void check_waits(void)
{
    for (int i = 0; i < MUTEXES; i++)
        assert_true(mutexes[i].owner || !is_awaited(&mutexes[i].waiters));
    assert_true(stock_mutex.owner || !is_awaited(&stock_mutex.waiters));
    assert_true(semaphore.n == 0 || !is_awaited(&semaphore.waiters));
    assert_true(!event.happened || !is_awaited(&event.waiters));
    assert_true(!barrier.broken || !is_awaited(&barrier.waiters));
    for (int i = 0; i < CHANNELS; i++) {
        tepal_channel *c = channels[i];
        bool senders = is_awaited(&c->senders), receivers = is_awaited(&c->receivers);
        assert_true(c->n <= c->capacity);
        assert_true(!senders || (c->n == c->capacity && !c->closed));
        assert_true(!receivers || (c->n == 0 && !c->closed));
    }
}

/* When nothing is under way nobody waits for a stock that is there. */
static void check_stock(void)
{
    paused = true;
    tepal_event_clear(&resumed);
    for (int i = 0; i < 10; i++)
        assert_int_equal(tepal_sleep_ms(1), 0);
    assert_null(stock_mutex.owner);
    assert_true(stock == 0 || !is_awaited(&stock_condition.waiters));
    paused = false;
    tepal_event_set(&resumed);
}

static void begin_epoch(void)
{
    stopping = false;
    epoch_end = steps + EPOCH_STEPS;
    n_items = 0;
    memset(sent, 0, sizeof(sent));
    memset(received, 0, sizeof(received));
    for (unsigned i = 0; i < CHANNELS; i++) {
        channels[i] = tepal_channel_new(sizeof(struct item), i < 2 ? i : below(10));
        assert_non_null(channels[i]);
    }
    semaphore = (tepal_semaphore){ .n = PERMITS };
    event = (tepal_event){ 0 };
    barrier = (tepal_barrier){ .parties = 1 + (int)below(4) };
    stock = n_passed = sum_passed = 0;
}

static void start_workers(void)
{
    for (int i = 0; i < WORKERS; i++) {
        struct worker *w = &workers[i];
        if (w->group && !w->ended)
            continue;
        tepal_group_close(w->group);
        *w = (struct worker){ .group = tepal_group_new() };
        assert_non_null(w->group);
        assert_int_equal(tepal_spawn(w->group, work, w, NULL), 0);
    }
}

/* Ends all tasks: by cancelling them, or without, by giving them what they wait for. */
static void stop_workers(bool cancel)
{
    stopping = true;
    for (int i = 0; i < CHANNELS && !cancel; i++)
        tepal_channel_end(channels[i]);
    if (!cancel) {
        tepal_event_set(&event);
        tepal_barrier_break(&barrier);
        tepal_condition_broadcast(&stock_condition);
    }
    for (int i = 0; i < WORKERS; i++) {
        if (!cancel)
            assert_int_equal(tepal_group_wait(workers[i].group), 0);
        tepal_group_close(workers[i].group);
        assert_true(workers[i].ended);
        workers[i].group = NULL;
    }
}

static void end_epoch(void)
{
    struct item item;
    for (unsigned i = 0; i < CHANNELS; i++) {
        while (tepal_channel_try_receive(channels[i], &item) == 0)
            item_received(NULL, i, &item);
        assert_null(channels[i]->senders.first);
        assert_null(channels[i]->receivers.first);
        tepal_channel_close(channels[i]);
    }
    for (uint32_t i = 0; i < n_items; i++)
        assert_int_equal(sent[i], received[i]);
    for (int i = 0; i < MUTEXES; i++)
        assert_true(!mutexes[i].owner && !mutexes[i].waiters.first);
    assert_true(!stock_mutex.owner && !stock_mutex.waiters.first);
    assert_null(stock_condition.waiters.first);
    assert_true(semaphore.n == PERMITS && !semaphore.waiters.first);
    assert_null(event.waiters.first);
    assert_null(barrier.waiters.first);
    int rounds = n_passed / barrier.parties; /* all of a round have passed, or none */
    assert_int_equal(n_passed, rounds * barrier.parties);
    assert_int_equal(sum_passed, rounds * barrier.parties * (barrier.parties - 1) / 2);
}

static int stress(void *arg)
{
    long total = *(long *)arg;
    while (steps < total) {
        begin_epoch();
        while (steps < epoch_end) {
            start_workers();
            assert_int_equal(tepal_sleep_ms(below(4) == 0), 0);
            check_waits();
            if (below(8) == 0)
                tepal_group_cancel(workers[below(WORKERS)].group);
            if (below(50) == 0)
                check_stock();
            check_waits();
        }
        stop_workers(below(2));
        end_epoch();
    }
    return 0;
}

static long number_from(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

static void random_tasks(void **state)
{
    (void)state;
    long total = number_from("TEPAL_STRESS_STEPS", times(1000000));
    seed = (uint64_t)number_from("TEPAL_STRESS_SEED", 1);
    assert_int_equal(run_fake(stress, &total), 0);
    print_message("%ld steps: %ld sent, %ld received, %ld selected, %ld cancelled, %ld timed out, "
                  "%ld refused, %ld held, %ld passed, %ld consumed\n",
                  steps, reached.sent, reached.received, reached.selected, reached.cancelled,
                  reached.timed_out, reached.refused, reached.held, reached.passed,
                  reached.consumed);
    assert_int_equal(reached.sent, reached.received);
    assert_true(reached.sent && reached.selected && reached.cancelled && reached.timed_out);
    assert_true(reached.refused && reached.held && reached.passed && reached.consumed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
