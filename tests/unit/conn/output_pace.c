/* Tests of the times of output: how long a peer may take nothing, how slow it may be, and the turns
 * of those that write much. */
#include "narrow.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

enum { TIMEOUT = 1000, LARGE = 200000 };

static char large[LARGE], got[LARGE];

static int write_large(void *arg)
{
    (void)arg;
    return h1_conn_write(&http, large, LARGE);
}

static void open_narrow(void)
{
    open_http(AF_UNIX);
    narrow_from(0);
    limits.write_timeout_ms = TIMEOUT;
}

/* The peer takes so many octets each time after so many ms, for a number of times. */
static void take_slowly(size_t octets, int64_t every_ms, int n)
{
    for (int i = 0; i < n; i++) {
        assert_int_equal(tepal_sleep_ms(every_ms), 0);
        narrow_by(octets);
        assert_int_equal(tepal_sleep_ms(0), 0); /* the writer's turn */
        assert_int_equal(tepal_sleep_ms(0), 0);
        (void)peer_takes(got, sizeof(got));
    }
}

/* --- Silence ---------------------------------------------------------------------------------- */

static int write_to_a_silent_peer(void *arg)
{
    struct beside writer;
    /* Below: each wait has its whole time. */
    open_narrow();
    begin_beside(&writer, write_large, NULL);
    take_slowly(10, TIMEOUT - 1, 50);
    assert_false(writer.ended);
    narrow_by(LARGE);
    assert_int_equal(tepal_sleep_ms(0), 0);
    while (!writer.ended)
        take_slowly(LARGE, 1, 1);
    assert_int_equal(result_of(&writer), 0);
    assert_int_equal(http.error, 0);
    close_http();
    /* At, and above: it is over to the millisecond, for good. */
    open_narrow();
    begin_beside(&writer, write_large, NULL);
    int64_t begun = tepal_now_ms();
    assert_int_equal(tepal_group_wait(writer.group), 0);
    assert_int_equal(tepal_now_ms(), begun + TIMEOUT);
    assert_int_equal(result_of(&writer), -ETIMEDOUT);
    assert_int_equal(http.error, -ETIMEDOUT);
    narrow_by(LARGE);
    assert_int_equal(h1_conn_flush(&http), -ETIMEDOUT);
    assert_int_equal(peer_takes(got, sizeof(got)), 0);
    close_http();
    /* None. */
    open_narrow();
    limits.write_timeout_ms = TEPAL_NEVER;
    limits.min_write_rate = 1000;
    begin_beside(&writer, write_large, NULL);
    assert_int_equal(tepal_sleep_ms(1000 * 3600 * 1000LL), 0);
    assert_false(writer.ended);
    assert_int_equal(cancelled_result(&writer), -ECANCELED);
    close_http();
    (void)arg;
    return 0;
}

static void a_silent_peer(void **state)
{
    (void)state;
    assert_int_equal(run_fake(write_to_a_silent_peer, NULL), 0);
}

/* What the peer has taken while the process was held it has taken in time. */
static int write_when_held(void *arg)
{
    struct beside writer;
    open_narrow();
    begin_beside(&writer, write_large, NULL);
    narrow_room = 10; /* nobody has told the loop */
    hold(3600 * 1000);
    settle();
    assert_false(writer.ended);
    assert_int_equal(work.sent, 10);
    hold(3600 * 1000); /* and now it has taken nothing */
    assert_int_equal(result_of(&writer), -ETIMEDOUT);
    close_http();
    (void)arg;
    return 0;
}

static void a_held_process_looks_once_more(void **state)
{
    (void)state;
    assert_int_equal(run_fake(write_when_held, NULL), 0);
}

/* The time of the task is its own, and no fault of the peer's. */
static int write_with_a_deadline(void *arg)
{
    open_narrow();
    assert_int_equal(h1_conn_write(&http, "abc", 3), 0);
    settle(); /* the poller tells of each new socket that there is room */
    h1_conn_flush_some(&http);
    int64_t before = tepal_deadline_in_ms(TIMEOUT - 1);
    narrow_room = 1; /* room comes too late for it */
    assert_int_equal(h1_conn_flush(&http), -ETIMEDOUT);
    assert_int_equal(http.error, 0);
    narrow_room = 0;
    assert_int_equal(http.out_len, 3);
    tepal_deadline_restore(before);
    before = tepal_deadline_in_ms(TIMEOUT + 1);
    assert_int_equal(h1_conn_flush(&http), -ETIMEDOUT);
    assert_int_equal(http.error, -ETIMEDOUT);
    tepal_deadline_restore(before);
    close_http();
    (void)arg;
    return 0;
}

static void a_time_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(run_fake(write_with_a_deadline, NULL), 0);
}

/* --- A least rate ----------------------------------------------------------------------------- */

/* For how long a peer is borne that takes so many octets every 100 ms; 0: until it has all. */
static int64_t borne_for(size_t octets)
{
    struct beside writer;
    open_narrow();
    limits.min_write_rate = 1000;
    h1_conn_begin_message(&http);
    begin_beside(&writer, write_large, NULL);
    int64_t begun = tepal_now_ms();
    while (!writer.ended && work.sent < 150000)
        take_slowly(octets, 100, 1);
    int64_t ms = writer.ended ? tepal_now_ms() - begun : 0;
    int rc = cancelled_result(&writer);
    assert_int_equal(rc, ms > 0 ? -ETIMEDOUT : -ECANCELED);
    close_http();
    return ms;
}

static int write_at_rates(void *arg)
{
    assert_int_equal(borne_for(101), 0);
    assert_int_equal(borne_for(100), 0);
    /* Of its second it loses 1 ms with each 100, until what is left is less than the next 100. */
    assert_in_range(borne_for(99), 90000, 90300);
    assert_in_range(borne_for(50), 1900, 2100);
    assert_in_range(borne_for(1), 1000, 1100);
    (void)arg;
    return 0;
}

static void a_slow_peer(void **state)
{
    (void)state;
    assert_int_equal(run_fake(write_at_rates, NULL), 0);
}

/* What the system holds for the peer it has not taken, and earns it no time. */
static int hold_for_a_neighbour(void *arg)
{
    open_http(AF_UNIX);
    limits.write_timeout_ms = TIMEOUT;
    limits.min_write_rate = 1000;
    while (http.conn.io.state & IO_WRITE) { /* many seconds' worth */
        ssize_t done = conn_try_write(&http.conn, large, LARGE);
        work.sent += done > 0 ? (uint64_t)done : 0;
    }
    assert_true(work.sent > 5000);
    work.message_wait_ms = 400; /* so long it has been waited for, and has taken nothing */
    int64_t begun = tepal_now_ms();
    assert_int_equal(h1_conn_write(&http, large, LARGE), -ETIMEDOUT);
    assert_int_equal(tepal_now_ms() - begun, TIMEOUT - 400);
    close_http();
    (void)arg;
    return 0;
}

static int hold_for_the_peer(void *arg)
{
    struct beside writer;
    open_http(AF_INET);
    limits.write_timeout_ms = TIMEOUT;
    limits.min_write_rate = 1000;
    size_t n = 0;
    while (http.conn.io.state & IO_WRITE) { /* what the system takes: many seconds' worth */
        h1_conn_begin_message(&http);
        ssize_t done = conn_try_write(&http.conn, large, LARGE);
        n += done > 0 ? (size_t)done : 0;
        work.sent += done > 0 ? (uint64_t)done : 0;
    }
    assert_true(n > 2 * 1000 * TIMEOUT / 1000);
    work.message_start = 0;
    int64_t begun = tepal_now_ms();
    begin_beside(&writer, write_large, NULL);
    assert_int_equal(result_of(&writer), -ETIMEDOUT);
    int held = 0;
    assert_int_equal(ioctl(http.conn.io.fd, SIOCOUTQ, &held), 0);
    int64_t earned = (int64_t)(work.sent - (uint64_t)held) * 1000 / 1000;
    assert_in_range(tepal_now_ms() - begun, 1, TIMEOUT + earned);
    close_http();
    (void)arg;
    return 0;
}

static void held_is_not_taken(void **state)
{
    (void)state;
    assert_int_equal(run_fake(hold_for_a_neighbour, NULL), 0);
    assert_int_equal(run_fake(hold_for_the_peer, NULL), 0);
}

/* A peer that was slow with one message begins anew with the next. */
static int write_messages(void *arg)
{
    struct beside writer;
    open_narrow();
    limits.min_write_rate = 1000;
    for (int i = 0; i < 3; i++) {
        h1_conn_begin_message(&http);
        assert_int_equal(work.message_wait_ms, 0);
        begin_beside(&writer, write_large, NULL);
        take_slowly(1, TIMEOUT - 1, 1);
        assert_int_equal(work.message_wait_ms, TIMEOUT - 1);
        assert_false(writer.ended);
        while (!writer.ended) {
            narrow_by(LARGE);
            settle();
            (void)peer_takes(got, sizeof(got));
        }
        assert_int_equal(result_of(&writer), 0);
        narrow_room = 0;
        http.conn.io.state &= ~(uint32_t)IO_WRITE;
    }
    close_http();
    (void)arg;
    return 0;
}

static void each_message_has_its_time(void **state)
{
    (void)state;
    assert_int_equal(run_fake(write_messages, NULL), 0);
}

/* --- Turns ------------------------------------------------------------------------------------ */

/* A peer that takes all at once, 32 KiB at a time. */
static ssize_t take_at_once(struct tepal_conn *conn, const struct iovec *pieces, int n)
{
    struct iovec some = pieces[0];
    some.iov_len = some.iov_len < 32768 ? some.iov_len : 32768;
    ssize_t done = conn_unix_ops.writev(conn, &some, 1);
    if (done > 0)
        assert_int_equal(peer_takes(got, (size_t)done), done);
    (void)n;
    return done;
}

static int turns_of_others;

static int count_turns(void *arg)
{
    while (tepal_sleep_ms(0) == 0)
        turns_of_others++;
    (void)arg;
    return 0;
}

static int write_much(void *arg)
{
    static struct conn_ops ops;
    struct beside other;
    open_http(AF_UNIX);
    ops = conn_unix_ops;
    ops.writev = take_at_once;
    http.conn.ops = &ops;
    begin_beside(&other, count_turns, NULL);
    /* Each 64 KiB of all that goes over the connection: 3 times in 200000, once in the next
     * 65536. */
    turns_of_others = 0;
    loop_current->current->n_unwaited = 0; /* every 16 attempts have their turns, too */
    assert_int_equal(write_large(NULL), 0);
    assert_int_equal(turns_of_others, 3);
    assert_int_equal(h1_conn_write(&http, large, 4 * 65536 - LARGE - 1), 0);
    assert_int_equal(turns_of_others, 3);
    assert_int_equal(h1_conn_write(&http, large, 65536), 0);
    assert_int_equal(turns_of_others, 4);
    assert_int_equal(cancelled_result(&other), 0);
    close_http();
    (void)arg;
    return 0;
}

static void those_that_write_much_take_turns(void **state)
{
    (void)state;
    assert_int_equal(run_fake(write_much, NULL), 0);
}

static int cancel_when_it_gives_way(void *arg)
{
    while (work.sent == 0)
        assert_int_equal(tepal_sleep_ms(0), 0);
    tepal_group_cancel(arg);
    return 0;
}

static int write_len(void *arg)
{
    return h1_conn_write(&http, large, *(size_t *)arg);
}

/* Cancelled where it gives way: a piece of which there is more is cut; one that has gone is
 * whole. */
static int interrupt_turns(void *arg)
{
    static struct conn_ops ops;
    for (size_t more = 0; more < 2; more++) {
        size_t len = 65536 + more;
        struct beside writer = { .fn = write_len, .arg = &len, .group = tepal_group_new() };
        struct beside other;
        open_http(AF_UNIX);
        ops = conn_unix_ops;
        ops.writev = take_at_once;
        http.conn.ops = &ops;
        begin_beside(&other, cancel_when_it_gives_way, writer.group);
        assert_int_equal(tepal_spawn(writer.group, beside_main, &writer, NULL), 0);
        settle();
        assert_int_equal(result_of(&other), 0);
        assert_int_equal(result_of(&writer), more ? -ECANCELED : 0);
        assert_int_equal(http.error, more ? -ECANCELED : 0);
        assert_int_equal(work.sent, 65536);
        close_http();
    }
    (void)arg;
    return 0;
}

static void interrupted_in_its_turn(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_turns, NULL), 0);
}

/* --- What the peer has not taken -------------------------------------------------------------- */

static int fill_the_peer(void *family)
{
    open_http(*(int *)family);
    assert_false(h1_conn_is_untaken(&http));
    assert_int_equal(h1_conn_write(&http, "abc", 3), 0);
    assert_int_equal(h1_conn_flush(&http), 0);
    assert_int_equal(tepal_sleep_ms(0), 0);
    assert_false(h1_conn_is_untaken(&http)); /* it lies with the peer */
    while (http.conn.io.state & IO_WRITE)
        (void)conn_try_write(&http.conn, large, LARGE);
    /* On a Unix socket all lies with the peer, whatever becomes of this end. */
    assert_int_equal(h1_conn_is_untaken(&http), *(int *)family == AF_INET);
    while (h1_conn_is_untaken(&http)) {
        (void)peer_takes(got, sizeof(got));
        settle();
    }
    close_http();
    return 0;
}

static void untaken_octets(void **state)
{
    (void)state;
    each_family(fill_the_peer);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_silent_peer),
        TEST(a_held_process_looks_once_more),
        TEST(a_time_of_its_own),
        TEST(a_slow_peer),
        TEST(held_is_not_taken),
        TEST(each_message_has_its_time),
        TEST(those_that_write_much_take_turns),
        TEST(interrupted_in_its_turn),
        TEST(untaken_octets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
