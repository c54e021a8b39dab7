/* Tests of the timer wheel: against a model that keeps a plain table, and one by one at the edges
 * between its levels. */
#include "../../check.h"

#include "async/loop/timer.h"

static const int64_t farthest = (int64_t)1 << 41;

/* --- The model -------------------------------------------------------------------------------- */

enum { N = 200 };

static struct entry {
    struct timer timer;
    bool set;
    int64_t at;
} entries[N];

static struct timers wheel;
static uint64_t seed;
static int64_t last_fired, until, present;
static long n_fired;

static int64_t random_time(void)
{
    static const int64_t edges[] = { 0,
                                     1,
                                     62,
                                     63,
                                     64,
                                     65,
                                     127,
                                     128,
                                     4032,
                                     4094,
                                     4095,
                                     4096,
                                     4097,
                                     262143,
                                     262144,
                                     262145,
                                     16777215,
                                     16777216,
                                     1 << 30,
                                     (int64_t)1 << 36,
                                     (int64_t)1 << 41,
                                     (int64_t)1 << 50 };
    uint32_t kind = next_random(&seed) % 8;
    int64_t edge = edges[next_random(&seed) % (sizeof(edges) / sizeof(edges[0]))];
    switch (kind) {
    case 0:
        return wheel.now + edge;
    case 1: /* at a round time */
        return (wheel.now & ~(int64_t)4095) + edge;
    case 2:
        return (wheel.now & ~(int64_t)63) + edge;
    case 3:
        return wheel.now - (int64_t)(next_random(&seed) % 100);
    case 4:
        return wheel.now + (int64_t)(next_random(&seed) % 10000000);
    case 5:
        return wheel.now + (int64_t)(next_random(&seed) % 5000);
    default:
        return wheel.now + (int64_t)(next_random(&seed) % 200);
    }
}

static void set_random(struct entry *entry)
{
    int64_t at = random_time();
    timer_set(&wheel, &entry->timer, at);
    entry->set = true;
    entry->at = at <= wheel.now ? wheel.now + 1 : at;
    if (entry->at > wheel.now + farthest)
        entry->at = wheel.now + farthest;
    assert_true(timer_is_set(&entry->timer));
    assert_true(entry->timer.at == entry->at);
}

static void cancel(struct entry *entry)
{
    timer_cancel(&entry->timer);
    entry->set = false;
    assert_false(timer_is_set(&entry->timer));
}

static void on_entry(struct timer *timer)
{
    struct entry *entry = CONTAINER_OF(timer, struct entry, timer);
    assert_true(entry->set);
    assert_false(timer_is_set(timer));
    assert_true(entry->at == wheel.now); /* exactly in its millisecond */
    assert_true(entry->at <= until);
    assert_true(entry->at >= last_fired); /* in order */
    last_fired = entry->at;
    entry->set = false;
    n_fired++;
    for (uint32_t n = next_random(&seed) % 3; n > 0; n--) {
        struct entry *other = &entries[next_random(&seed) % N];
        if (next_random(&seed) % 2)
            cancel(other);
        else
            set_random(other);
    }
    if (next_random(&seed) % 3 == 0)
        set_random(entry);
}

static int64_t first_of_model(void)
{
    int64_t first = INT64_MAX;
    for (int i = 0; i < N; i++)
        if (entries[i].set && entries[i].at < first)
            first = entries[i].at;
    return first;
}

static void advance(int64_t to)
{
    until = present = to;
    last_fired = wheel.now;
    timers_advance(&wheel, to);
    assert_true(wheel.now <= to);
    assert_true(first_of_model() > to);
    assert_true(timers_next(&wheel) > to);
}

static void check_next(void)
{
    int64_t next = timers_next(&wheel), first = first_of_model();
    assert_true(next <= first);
    assert_true((next == INT64_MAX) == (first == INT64_MAX));
}

static void play(int64_t begin, int steps)
{
    seed = (uint64_t)begin + 77;
    present = begin;
    timers_init(&wheel, begin);
    for (int i = 0; i < N; i++) {
        timer_init(&entries[i].timer, on_entry);
        entries[i].set = false;
    }
    for (int step = 0; step < steps; step++) {
        struct entry *entry = &entries[next_random(&seed) % N];
        uint32_t kind = next_random(&seed) % 16;
        if (kind < 8)
            set_random(entry);
        else if (kind < 10)
            cancel(entry);
        else if (kind < 12)
            advance(present + (int64_t)(next_random(&seed) % 80));
        else if (kind < 13)
            advance(present + (int64_t)(next_random(&seed) % 10000));
        else if (kind < 14 && timers_next(&wheel) != INT64_MAX && timers_next(&wheel) > present)
            advance(timers_next(&wheel));
        else if (kind == 15 && next_random(&seed) % 50 == 0)
            advance(present + ((int64_t)1 << next_random(&seed) % 42));
        check_next();
    }
    advance(present + farthest / 2);
}

static void against_the_model(void **state)
{
    (void)state;
    static const int64_t begins[] = { 0,
                                      1,
                                      63,
                                      4095,
                                      262143,
                                      123456789,
                                      ((int64_t)1 << 36) - 5,
                                      ((int64_t)1 << 42) - 5,
                                      ((int64_t)1 << 45) + 12345 };
    n_fired = 0;
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
        play(begins[i], times(20000));
    assert_true(n_fired > times(20000));
}

/* --- One by one ------------------------------------------------------------------------------- */

struct probe {
    struct timer timer;
    int n_fired;
    int64_t fired_at;
    int64_t again_in; /* set again in the function */
    struct timer *victim;
};

static void on_probe(struct timer *timer)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    probe->n_fired++;
    probe->fired_at = wheel.now;
    if (probe->again_in != 0) {
        timer_set(&wheel, timer, wheel.now + probe->again_in);
        probe->again_in = 0;
    }
    if (probe->victim)
        timer_cancel(probe->victim);
}

static void probe_init(struct probe *probe)
{
    *probe = (struct probe){ 0 };
    timer_init(&probe->timer, on_probe);
}

/* Fires exactly in its millisecond, from whatever distance and however time is cut into steps. */
static void level_boundaries(void **state)
{
    (void)state;
    static const int64_t distances[] = { 1,
                                         2,
                                         62,
                                         63,
                                         64,
                                         65,
                                         127,
                                         128,
                                         129,
                                         4031,
                                         4032,
                                         4094,
                                         4095,
                                         4096,
                                         4097,
                                         8191,
                                         8192,
                                         262143,
                                         262144,
                                         262145,
                                         3600000,
                                         16777216,
                                         1 << 30,
                                         ((int64_t)1 << 36) - 1,
                                         (int64_t)1 << 36,
                                         ((int64_t)1 << 41) - 1,
                                         (int64_t)1 << 41 };
    static const int64_t begins[] = {
        0, 1, 62, 63, 64, 4095, 4096, 262143, 1 << 24, ((int64_t)1 << 42) - 1, (int64_t)1 << 42
    };
    struct probe probe;
    for (size_t b = 0; b < sizeof(begins) / sizeof(begins[0]); b++) {
        for (size_t d = 0; d < sizeof(distances) / sizeof(distances[0]); d++) {
            int64_t at = begins[b] + distances[d];
            /* One step to just before, one into it. */
            timers_init(&wheel, begins[b]);
            probe_init(&probe);
            timer_set(&wheel, &probe.timer, at);
            timers_advance(&wheel, at - 1);
            assert_int_equal(probe.n_fired, 0);
            assert_true(timer_is_set(&probe.timer));
            timers_advance(&wheel, at);
            assert_int_equal(probe.n_fired, 1);
            assert_true(probe.fired_at == at);
            assert_true(timers_next(&wheel) == INT64_MAX);
            /* From wake-up to wake-up, as the loop does: a few of them are enough. */
            timers_init(&wheel, begins[b]);
            probe_init(&probe);
            timer_set(&wheel, &probe.timer, at);
            int n = 0;
            while (probe.n_fired == 0) {
                int64_t next = timers_next(&wheel);
                assert_true(next > wheel.now && next <= at);
                timers_advance(&wheel, next);
                assert_true(++n <= TIMER_LEVELS + 1);
            }
            assert_true(probe.fired_at == at);
            /* Far over it. */
            timers_init(&wheel, begins[b]);
            probe_init(&probe);
            timer_set(&wheel, &probe.timer, at);
            timers_advance(&wheel, at + 1000000);
            assert_int_equal(probe.n_fired, 1);
            assert_true(probe.fired_at == at);
        }
    }
}

static void what_is_past_fires_next(void **state)
{
    (void)state;
    static const int64_t times_past[] = { INT64_MIN, -1, 0, 999, 1000 };
    struct probe probe;
    for (size_t i = 0; i < sizeof(times_past) / sizeof(times_past[0]); i++) {
        timers_init(&wheel, 1000);
        probe_init(&probe);
        timer_set(&wheel, &probe.timer, times_past[i]);
        timers_advance(&wheel, 1000);
        assert_int_equal(probe.n_fired, 0);
        timers_advance(&wheel, 1001);
        assert_int_equal(probe.n_fired, 1);
    }
}

static void the_far_future(void **state)
{
    (void)state;
    struct probe probe;
    timers_init(&wheel, 1000);
    probe_init(&probe);
    timer_set(&wheel, &probe.timer, INT64_MAX);
    assert_true(timers_next(&wheel) > (int64_t)1 << 40);
    timers_advance(&wheel, (int64_t)1 << 40); /* 34 years */
    assert_int_equal(probe.n_fired, 0);
    assert_true(timer_is_set(&probe.timer));
    timer_cancel(&probe.timer);
    timers_fire(&wheel, (int64_t)1 << 40);
    assert_true(timers_next(&wheel) == INT64_MAX);
}

/* Set again in its function: in a later millisecond, never in the same round for ever. */
static void set_again_in_its_function(void **state)
{
    (void)state;
    static const int64_t distances[] = { -5, 0, 1, 63, 64, 4096 };
    for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
        struct probe probe;
        timers_init(&wheel, 0);
        probe_init(&probe);
        probe.again_in = distances[i] ? distances[i] : INT64_MIN / 2;
        timer_set(&wheel, &probe.timer, 64);
        timers_advance(&wheel, 64);
        assert_int_equal(probe.n_fired, 1);
        timers_advance(&wheel, 64 + 4096);
        assert_int_equal(probe.n_fired, 2);
        assert_true(probe.fired_at == 64 + (distances[i] > 0 ? distances[i] : 1));
    }
}

/* A function that cancels the neighbour that is due in the same millisecond, in the same slot, or
 * that waits in the same slot of a higher level. */
static void cancel_a_neighbour(void **state)
{
    (void)state;
    static const int64_t neighbours[] = { 64, 65, 127, 4096, 4097 };
    for (size_t i = 0; i < sizeof(neighbours) / sizeof(neighbours[0]); i++) {
        int64_t first_at = neighbours[i] < 4096 ? 64 : 4096;
        struct probe killer, victim, third;
        timers_init(&wheel, 0);
        probe_init(&killer);
        probe_init(&victim);
        probe_init(&third);
        killer.victim = &victim.timer;
        timer_set(&wheel, &killer.timer, first_at);
        timer_set(&wheel, &victim.timer, neighbours[i]);
        timer_set(&wheel, &third.timer, neighbours[i]);
        timers_advance(&wheel, 100000);
        assert_int_equal(killer.n_fired, 1);
        assert_int_equal(victim.n_fired, 0);
        assert_int_equal(third.n_fired, 1);
        assert_true(third.fired_at == neighbours[i]);
    }
}

static void move_and_cancel(void **state)
{
    (void)state;
    struct probe probe;
    timers_init(&wheel, 10);
    probe_init(&probe);
    assert_false(timer_is_set(&probe.timer));
    timer_cancel(&probe.timer); /* not set: no harm */
    timer_set(&wheel, &probe.timer, 100);
    timer_set(&wheel, &probe.timer, 5000); /* moved */
    timers_advance(&wheel, 4999);
    assert_int_equal(probe.n_fired, 0);
    timer_set(&wheel, &probe.timer, 5001);
    timers_advance(&wheel, 5000);
    assert_int_equal(probe.n_fired, 0);
    timer_cancel(&probe.timer);
    timers_advance(&wheel, 10000);
    assert_int_equal(probe.n_fired, 0);
    timer_set(&wheel, &probe.timer, 10001);
    timers_advance(&wheel, 9000); /* time never goes back */
    assert_int_equal(probe.n_fired, 0);
    timers_advance(&wheel, 10001);
    assert_int_equal(probe.n_fired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_the_model),         cmocka_unit_test(level_boundaries),
        cmocka_unit_test(what_is_past_fires_next),   cmocka_unit_test(the_far_future),
        cmocka_unit_test(set_again_in_its_function), cmocka_unit_test(cancel_a_neighbour),
        cmocka_unit_test(move_and_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
