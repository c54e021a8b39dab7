/* Tests of waiting for the peer of a connection: times, and cancellations that are not for the
 * wait. */
#include "http_pair.h"

struct wait {
    uint32_t state;
    int64_t until, deadline_ms;
    bool told_before; /* the task knows that it is cancelled */
    /* Of the task, when the wait is over. */
    bool cancelled, told, interrupted;
    int next;
};

static int wait_for_peer(void *arg)
{
    struct wait *w = arg;
    struct tepal_task *task = loop_current->current;
    (void)tepal_deadline_in_ms(w->deadline_ms);
    task->cancel_told = w->told_before;
    int rc = h1_conn_wait(&http, w->state, w->until);
    w->interrupted = rc < 0 && task_was_interrupted(rc);
    w->told = task->cancel_told;
    w->cancelled = tepal_is_cancelled(); /* which tells it */
    w->next = tepal_sleep_ms(0);
    return rc;
}

static const struct wait for_ever = { .state = IO_READ,
                                      .until = TEPAL_NEVER,
                                      .deadline_ms = TEPAL_NEVER };

static void open_full(int family)
{
    static char text[200000];
    open_http(family);
    while (http.conn.io.state & IO_WRITE)
        (void)conn_try_write(&http.conn, text, sizeof(text));
}

/* --- Times ------------------------------------------------------------------------------------ */

static int wait_for_times(void *family)
{
    open_full(*(int *)family);
    for (uint32_t state = IO_READ; state <= IO_WRITE; state++) {
        struct wait w = for_ever;
        w.state = state;
        int64_t begun = tepal_now_ms();
        w.until = begun + 100; /* of the wait: the peer is late */
        w.deadline_ms = 101;
        struct beside task;
        begin_beside(&task, wait_for_peer, &w);
        assert_int_equal(result_of(&task), -ETIMEDOUT);
        assert_false(w.interrupted);
        begun = tepal_now_ms();
        w.until = begun + 101; /* of the task: it is late itself */
        w.deadline_ms = 100;
        begin_beside(&task, wait_for_peer, &w);
        assert_int_equal(result_of(&task), -ETIMEDOUT);
        assert_true(w.interrupted);
        assert_int_equal(tepal_now_ms(), begun + 100);
        assert_int_equal(w.next, -ETIMEDOUT);
        w.deadline_ms = 0; /* late before it begins */
        begin_beside(&task, wait_for_peer, &w);
        assert_int_equal(result_of(&task), -ETIMEDOUT);
        assert_int_equal(tepal_now_ms(), begun + 100);
    }
    close_http();
    return 0;
}

static void of_the_peer_and_of_the_task(void **state)
{
    (void)state;
    each_family(wait_for_times);
}

static int wait_for_both(void *family)
{
    struct wait reads = for_ever, writes = for_ever, again = for_ever;
    struct beside reader, writer;
    char got[4096];
    writes.state = IO_WRITE;
    open_full(*(int *)family);
    begin_beside(&reader, wait_for_peer, &reads);
    begin_beside(&writer, wait_for_peer, &writes);
    assert_int_equal(wait_for_peer(&again), -EBUSY);
    assert_true(again.interrupted);
    again.state = IO_WRITE;
    assert_int_equal(wait_for_peer(&again), -EBUSY);
    peer_sends("a", 1);
    assert_int_equal(result_of(&reader), 0);
    assert_false(writer.ended); /* each has what it waits for */
    while (!writer.ended) {
        (void)peer_takes(got, sizeof(got));
        settle();
    }
    assert_int_equal(result_of(&writer), 0);
    close_http();
    return 0;
}

static void reading_and_writing(void **state)
{
    (void)state;
    each_family(wait_for_both);
}

static void rates(void **state)
{
    (void)state;
    const int64_t never = TEPAL_NEVER, most = INT64_MAX / 4000;
    static const struct {
        int64_t timeout, waited, left;
        uint64_t rate, octets;
    } cases[] = {
        /* Without a rate, or a time, they are as they are. */
        { .timeout = 100, .rate = 0, .octets = 5, .waited = 1000, .left = 100 },
        { .timeout = 0, .rate = 0, .octets = 0, .waited = 0, .left = 0 },
        /* Nothing has been moved: below, at and above. */
        { .timeout = 100, .rate = 10, .octets = 0, .waited = 0, .left = 100 },
        { .timeout = 100, .rate = 10, .octets = 0, .waited = 99, .left = 1 },
        { .timeout = 100, .rate = 10, .octets = 0, .waited = 100, .left = 0 },
        { .timeout = 100, .rate = 10, .octets = 0, .waited = 101, .left = 0 },
        /* An octet is worth 100 ms of waiting, and gives no more than the timeout at a time. */
        { .timeout = 100, .rate = 10, .octets = 1, .waited = 0, .left = 100 },
        { .timeout = 100, .rate = 10, .octets = 1, .waited = 100, .left = 100 },
        { .timeout = 100, .rate = 10, .octets = 1, .waited = 101, .left = 99 },
        { .timeout = 100, .rate = 10, .octets = 1, .waited = 200, .left = 0 },
        { .timeout = 100, .rate = 10, .octets = 1, .waited = 201, .left = 0 },
        /* Parts of a millisecond are not given. */
        { .timeout = 100, .rate = 3000, .octets = 2, .waited = 100, .left = 0 },
        { .timeout = 100, .rate = 3000, .octets = 3, .waited = 100, .left = 1 },
        { .timeout = 100, .rate = 3000, .octets = 3002, .waited = 1100, .left = 0 },
        { .timeout = 100, .rate = 3000, .octets = 3003, .waited = 1100, .left = 1 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(
            h1_conn_time_left(cases[i].timeout, cases[i].rate, cases[i].octets, cases[i].waited),
            cases[i].left);
    assert_int_equal(h1_conn_time_left(never, 1, 0, INT64_MAX - 1), never);
    assert_int_equal(h1_conn_time_left(never, 0, UINT64_MAX, 0), never);
    /* Transfers that are as large as can be, with rates that are as small, and the other way
     * round. */
    assert_int_equal(h1_conn_time_left(100, 1, (uint64_t)most, most * 1000 + 99), 1);
    assert_int_equal(h1_conn_time_left(100, 1, (uint64_t)most, 0), 100);
    assert_int_equal(h1_conn_time_left(100, 1, (uint64_t)most, INT64_MAX - 1), 0);
    assert_int_equal(h1_conn_time_left(100, 1, (uint64_t)most + 1, INT64_MAX - 1), 100);
    assert_int_equal(h1_conn_time_left(100, 1, UINT64_MAX, INT64_MAX - 1), 100);
    assert_int_equal(h1_conn_time_left(never - 1, 1, (uint64_t)most, 5), never - 5);
    assert_int_equal(h1_conn_time_left(100, UINT64_MAX, 1000, 99), 1);
    assert_int_equal(h1_conn_time_left(100, UINT64_MAX, UINT64_MAX, 1000), 100);
    assert_int_equal(h1_conn_time_left(100, UINT64_MAX, UINT64_MAX, 1099), 1);
}

/* Against the rule itself, in numbers of any size. */
static void rates_as_a_rule(void **state)
{
    (void)state;
    uint64_t random = 3;
    for (int i = 0; i < times(200000); i++) {
        uint64_t octets = (uint64_t)next_random(&random) << next_random(&random) % 20,
                 rate = 1 + (next_random(&random) >> next_random(&random) % 32);
        int64_t timeout = next_random(&random) >> next_random(&random) % 32,
                waited = (int64_t)next_random(&random) << next_random(&random) % 10;
        __int128 left = (__int128)octets * 1000 / rate + timeout - waited;
        left = left < 0 ? 0 : left > timeout ? timeout : left;
        assert_int_equal(h1_conn_time_left(timeout, rate, octets, waited), (int64_t)left);
    }
}

/* --- Cancellation ----------------------------------------------------------------------------- */

static int cancel_waits(void *family)
{
    struct wait w = for_ever;
    struct beside task;
    open_http(*(int *)family);
    for (int working = 0; working < 2; working++) {
        http.work = working ? &work : NULL;
        w.told_before = false;
        begin_beside(&task, wait_for_peer, &w);
        assert_int_equal(cancelled_result(&task), -ECANCELED);
        assert_true(w.cancelled && w.interrupted);
        assert_int_equal(w.next, -ECANCELED);
    }
    close_http();
    return 0;
}

static void ends_the_wait(void **state)
{
    (void)state;
    each_family(cancel_waits);
}

/* The peer has ended its side, and the task is cancelled for that: before its wait, or in it. */
static int wait_all_the_same(void *family)
{
    for (int before = 0; before < 2; before++)
        for (int told = 0; told < 2; told++) {
            struct wait w = for_ever;
            struct beside task = { .fn = wait_for_peer, .arg = &w, .group = tepal_group_new() };
            open_http(*(int *)family);
            w.told_before = told;
            assert_int_equal(tepal_spawn(task.group, beside_main, &task, NULL), 0);
            if (!before)
                settle();
            work.peer_ended = true;
            tepal_group_cancel(task.group);
            settle();
            assert_false(task.ended);
            peer_sends("a", 1);
            assert_int_equal(result_of(&task), 0);
            assert_true(w.cancelled);       /* for all else it still is */
            assert_int_equal(w.told, told); /* and was not told so by this */
            assert_int_equal(w.next, -ECANCELED);
            close_http();
        }
    return 0;
}

static void the_end_of_the_peer_does_not(void **state)
{
    (void)state;
    each_family(wait_all_the_same);
}

/* Times go on meanwhile. */
static int wait_in_time(void *family)
{
    struct wait w = for_ever;
    struct beside task;
    open_http(*(int *)family);
    int64_t begun = tepal_now_ms();
    w.until = begun + 100;
    begin_beside(&task, wait_for_peer, &w);
    work.peer_ended = true;
    tepal_group_cancel(task.group);
    assert_int_equal(result_of(&task), -ETIMEDOUT);
    assert_int_equal(tepal_now_ms(), begun + 100);
    assert_true(w.cancelled);
    assert_false(w.interrupted);
    close_http();
    return 0;
}

static void times_go_on(void **state)
{
    (void)state;
    each_family(wait_in_time);
}

/* A writer that is to end all the same: before its wait, or in it. */
static int cut_a_writer(void *family)
{
    for (int before = 0; before < 2; before++) {
        struct wait w = for_ever;
        struct beside task;
        w.state = IO_WRITE;
        open_full(*(int *)family);
        work.peer_ended = true;
        work.cut = before;
        begin_beside(&task, wait_for_peer, &w);
        tepal_group_cancel(task.group);
        if (!before) {
            settle();
            assert_false(task.ended);
            work.cut = true;
            task_wake(http.conn.io.writer, -ECANCELED);
        }
        assert_int_equal(result_of(&task), -ECANCELED);
        assert_true(w.cancelled);
        close_http();
    }
    return 0;
}

static void a_writer_that_is_cut(void **state)
{
    (void)state;
    each_family(cut_a_writer);
}

/* --- Calls that need not wait ----------------------------------------------------------------- */

static int turns;

static int count_turns(void *arg)
{
    while (tepal_sleep_ms(0) == 0)
        turns++;
    (void)arg;
    return 0;
}

struct call {
    int (*fn)(struct h1_conn *http);
    int n, turns; /* calls, and turns of others meanwhile */
    struct tepal_task *task;
    bool cancelled; /* after it */
    int rc;
};

static int call(void *arg)
{
    struct call *c = arg;
    c->task = loop_current->current;
    (void)task_wait_shielded(loop_current, "the test");
    c->task->n_unwaited = 0;
    int before = turns;
    for (int i = 0; i < c->n; i++)
        c->rc = c->fn(&http);
    c->turns = turns - before;
    c->cancelled = tepal_is_cancelled();
    return c->rc;
}

/* What it returns, as a task that may have been cancelled, because of its peer's end or not. */
static int call_as(struct call *c, bool cancelled, bool ended)
{
    struct beside task, other;
    begin_beside(&task, call, c);
    begin_beside(&other, count_turns, NULL);
    work.peer_ended = ended;
    if (cancelled)
        tepal_group_cancel(task.group);
    task_wake(c->task, 0);
    int rc = result_of(&task);
    assert_int_equal(c->cancelled, cancelled);
    assert_int_equal(cancelled_result(&other), 0);
    return rc;
}

static int call_each(void *arg)
{
    static const struct {
        int (*fn)(struct h1_conn *http);
        int turns; /* of others in 32 calls */
    } calls[] = { { h1_conn_may_wait, 2 }, { h1_conn_give_way, 32 }, { h1_conn_check, 0 } };
    (void)arg;
    open_http(AF_UNIX);
    for (size_t i = 0; i < 3; i++) {
        for (int ended = 0; ended < 2; ended++) {
            struct call c = { .fn = calls[i].fn, .n = 32 };
            assert_int_equal(call_as(&c, false, ended), 0);
            assert_int_equal(c.turns, calls[i].turns);
            c = (struct call){ .fn = calls[i].fn, .n = 1 };
            assert_int_equal(call_as(&c, true, ended), ended ? 0 : -ECANCELED);
        }
        struct call c = { .fn = calls[i].fn, .n = 32 };
        assert_int_equal(call_as(&c, true, true), 0);
        assert_int_equal(c.turns, calls[i].turns);
        int64_t before = tepal_deadline_in_ms(0);
        assert_int_equal(calls[i].fn(&http), -ETIMEDOUT);
        tepal_deadline_restore(before);
    }
    close_http();
    return 0;
}

static void calls_that_need_not_wait(void **state)
{
    (void)state;
    assert_int_equal(run_fake(call_each, NULL), 0);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(of_the_peer_and_of_the_task),
        TEST(reading_and_writing),
        TEST(rates),
        TEST(rates_as_a_rule),
        TEST(ends_the_wait),
        TEST(the_end_of_the_peer_does_not),
        TEST(times_go_on),
        TEST(a_writer_that_is_cut),
        TEST(calls_that_need_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
