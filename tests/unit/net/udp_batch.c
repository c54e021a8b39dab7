/* Tests of many datagrams in one call: all that have come, at most so many; errors of single ones;
 * who waits, and what cuts it short. */
#include "sockets.h"

#include <tepal/udp.h>

enum { MANY = 200, MOST = 64, SIZE = 16 };

static const char *const hosts[] = { "127.0.0.1", "::1" };
static tepal_udp *ends[2];
static tepal_addr addrs[2];

/* Two sockets on free ports; false where the machine has no such family. */
static bool open_ends(const char *host)
{
    for (int i = 0; i < 2; i++) {
        int rc = tepal_udp_open(&ends[i], &(tepal_udp_options){ .host = host });
        if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)
            return false;
        assert_int_equal(rc, 0);
        assert_int_equal(tepal_udp_local_addr(ends[i], &addrs[i]), 0);
    }
    return true;
}

static void close_ends(void)
{
    tepal_udp_close(ends[0]);
    tepal_udp_close(ends[1]);
}

/* Rooms, and datagrams that are in them. */
static char rooms[MANY][SIZE];
static tepal_datagram datagrams[MANY];

static void make_rooms(size_t size)
{
    memset(rooms, '-', sizeof(rooms));
    for (int i = 0; i < MANY; i++)
        datagrams[i] = (tepal_datagram){ .data = rooms[i], .size = size, .error = 1 };
}

/* The i-th is its number, so many times as fit. */
static void make_datagrams(const tepal_addr *to)
{
    make_rooms(0);
    for (int i = 0; i < MANY; i++) {
        memset(rooms[i], i, SIZE);
        datagrams[i].len = (size_t)(i % SIZE);
        if (to)
            datagrams[i].addr = *to;
    }
}

/* --- There and back --------------------------------------------------------------------------- */

/* Receives n of them, and compares: the first one is the first-th that was sent. */
static void expect_received(size_t first, size_t n, const tepal_addr *from)
{
    size_t done = 0;
    while (done < n) {
        make_rooms(SIZE);
        ssize_t got = tepal_udp_receive_all(ends[1], datagrams, n - done < MANY ? n - done : MANY);
        assert_true(got > 0 && got <= MOST);
        for (size_t i = 0; i < (size_t)got; i++) {
            size_t number = (first + done + i) % MANY;
            assert_int_equal(datagrams[i].len, number % SIZE);
            assert_ptr_equal(datagrams[i].data, rooms[i]);
            for (size_t k = 0; k < datagrams[i].len; k++)
                assert_int_equal((unsigned char)rooms[i][k], number);
            assert_int_equal(datagrams[i].error, 0);
            assert_false(datagrams[i].truncated);
            assert_true(tepal_addr_equal(&datagrams[i].addr, from));
        }
        done += (size_t)got;
    }
}

static int there_and_back(void *arg)
{
    if (!open_ends(arg))
        return 0;
    size_t counts[] = { 0, 1, MOST - 1, MOST, MOST + 1, MANY };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        make_datagrams(&addrs[1]);
        assert_int_equal(tepal_udp_send_all(ends[0], datagrams, counts[i]), counts[i]);
        for (size_t k = 0; k < counts[i]; k++)
            assert_int_equal(datagrams[k].error, 0);
        expect_received(0, counts[i], &addrs[0]);
    }
    /* As many as have come, and no more than are asked for. */
    make_datagrams(&addrs[1]);
    assert_int_equal(tepal_udp_send_all(ends[0], datagrams, 10), 10);
    assert_int_equal(tepal_udp_receive_all(ends[1], datagrams, 0), -EINVAL);
    make_rooms(SIZE);
    assert_int_equal(tepal_udp_receive_all(ends[1], datagrams, 4), 4);
    assert_int_equal(tepal_udp_receive_all(ends[1], datagrams, MANY), 6);
    /* What was received can be sent back as it is. */
    make_datagrams(&addrs[1]);
    assert_int_equal(tepal_udp_send_all(ends[0], datagrams, 10), 10);
    make_rooms(SIZE);
    assert_int_equal(tepal_udp_receive_all(ends[1], datagrams, MANY), 10);
    assert_int_equal(tepal_udp_send_all(ends[1], datagrams, 10), 10);
    tepal_udp *other = ends[0]; /* and comes back to where it was sent from */
    ends[0] = ends[1];
    ends[1] = other;
    expect_received(0, 10, &addrs[1]);
    close_ends();
    return 0;
}

static void all_that_have_come(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(there_and_back, (void *)(uintptr_t)hosts[i]), 0);
}

static int cut_off(void *arg)
{
    (void)arg;
    assert_true(open_ends(hosts[0]));
    for (size_t len = 3; len <= 5; len++) {
        assert_int_equal(tepal_udp_send(ends[0], &addrs[1], "12345", len), 0);
        make_rooms(4);
        datagrams[0].truncated = true; /* of an earlier one */
        assert_int_equal(tepal_udp_receive_all(ends[1], datagrams, MANY), 1);
        assert_int_equal(datagrams[0].truncated, len > 4);
        assert_int_equal(datagrams[0].len, len > 4 ? 4 : len);
        assert_memory_equal(rooms[0], "1234", datagrams[0].len);
        assert_int_equal(rooms[0][4], '-');
    }
    close_ends();
    return 0;
}

static void too_long_ones_are_marked(void **state)
{
    (void)state;
    assert_int_equal(run(cut_off, NULL), 0);
}

/* --- Errors ----------------------------------------------------------------------------------- */

static int fail_some(void *arg)
{
    static char large[70000];
    (void)arg;
    assert_true(open_ends(hosts[0]));
    make_datagrams(&addrs[1]);
    datagrams[0].addr =
        (tepal_addr){ .family = AF_INET6 }; /* first, in the middle, in a row, last */
    datagrams[3].data = large;
    datagrams[3].len = sizeof(large);
    datagrams[70].addr = (tepal_addr){ .family = 99 };
    datagrams[71].addr = (tepal_addr){ 0 };
    datagrams[99].addr = (tepal_addr){ .family = AF_INET6 };
    assert_int_equal(tepal_udp_send_all(ends[0], datagrams, 100), 95);
    for (int i = 0; i < 100; i++) {
        int expected = i == 0 || i == 70 || i == 99 ? -EAFNOSUPPORT
                       : i == 3                     ? -EMSGSIZE
                       : i == 71                    ? -EDESTADDRREQ
                                                    : 0;
        assert_int_equal(datagrams[i].error, expected);
    }
    expect_received(1, 2, &addrs[0]);
    expect_received(4, 66, &addrs[0]);
    expect_received(72, 27, &addrs[0]);
    make_datagrams(&addrs[1]);
    datagrams[5].later[0] = 1;
    assert_int_equal(tepal_udp_send_all(ends[0], datagrams, 10), -EINVAL);
    assert_int_equal(tepal_udp_receive_all(ends[1], datagrams, 10), -EINVAL);
    mem_fail_nth(1, 1);
    make_datagrams(&addrs[1]);
    ssize_t sent = tepal_udp_send_all(ends[0], datagrams, 10);
    mem_fail_nth(0, 0);
    assert_true(sent == -ENOMEM || sent == 10); /* a block may be there already */
    if (sent < 0)
        assert_int_equal(datagrams[9].error, -ENOMEM);
    close_ends();
    return 0;
}

static void errors_of_single_ones(void **state)
{
    (void)state;
    assert_int_equal(run(fail_some, NULL), 0);
}

/* Nobody receives at the peer: told by some call, and the socket can be used. */
static int talk_to_nobody(void *arg)
{
    (void)arg;
    assert_true(open_ends(hosts[0]));
    assert_int_equal(tepal_udp_connect(ends[0], &addrs[1]), 0);
    tepal_udp_close(ends[1]);
    make_datagrams(NULL);
    assert_int_equal(tepal_udp_send_all(ends[0], datagrams, 1), 1);
    make_rooms(SIZE);
    assert_int_equal(tepal_udp_receive_all(ends[0], datagrams, MANY), -ECONNREFUSED);
    assert_int_equal(tepal_udp_send(ends[0], NULL, "x", 1), 0);
    make_datagrams(NULL);
    assert_int_equal(tepal_udp_send_all(ends[0], datagrams, 2), 1);
    assert_int_equal(datagrams[0].error, -ECONNREFUSED);
    assert_int_equal(datagrams[1].error, 0);
    tepal_udp_close(ends[0]);
    return 0;
}

static void nobody_is_there(void **state)
{
    (void)state;
    assert_int_equal(run(talk_to_nobody, NULL), 0);
}

/* What had come from others before the socket was connected is dropped. */
static int drop_foreign(void *arg)
{
    tepal_udp *stranger;
    (void)arg;
    assert_true(open_ends(hosts[0]));
    assert_int_equal(tepal_udp_open(&stranger, &(tepal_udp_options){ .host = hosts[0] }), 0);
    for (int i = 0; i < 6; i++) {
        tepal_udp *from = i == 1 || i == 4 ? ends[0] : stranger;
        assert_int_equal(tepal_udp_send(from, &addrs[1], &"012345"[i], 1), 0);
    }
    assert_int_equal(tepal_udp_connect(ends[1], &addrs[0]), 0);
    make_rooms(SIZE);
    assert_int_equal(tepal_udp_receive_all(ends[1], datagrams, MANY), 2);
    assert_memory_equal(datagrams[0].data, "1", 1);
    assert_memory_equal(datagrams[1].data, "4", 1);
    char *seen[6];
    for (int i = 0; i < 6; i++) { /* each room is still there, once */
        seen[i] = datagrams[i].data;
        for (int k = 0; k < i; k++)
            assert_ptr_not_equal(seen[i], seen[k]);
    }
    /* With nothing else it goes on waiting. */
    assert_int_equal(tepal_udp_send(ends[0], &addrs[1], "x", 1), 0);
    assert_int_equal(tepal_udp_receive_all(ends[1], datagrams, 1), 1);
    tepal_udp_close(stranger);
    close_ends();
    return 0;
}

static void strangers_are_dropped(void **state)
{
    (void)state;
    assert_int_equal(run(drop_foreign, NULL), 0);
}

/* --- Waiting ---------------------------------------------------------------------------------- */

static void open_unix_ends(void)
{
    char name[64];
    snprintf(name, sizeof(name), "@tepal-batch-%d", (int)getpid());
    assert_int_equal(tepal_udp_open(&ends[1], &(tepal_udp_options){ .path = name }), 0);
    assert_int_equal(tepal_udp_open(&ends[0], &(tepal_udp_options){ .peer_path = name }), 0);
}

static ssize_t n_sent;

static int send_many(void *arg)
{
    (void)arg;
    n_sent = tepal_udp_send_all(ends[0], datagrams, MANY);
    return n_sent < 0 ? (int)n_sent : 0;
}

static int send_single(void *arg)
{
    return tepal_udp_send(ends[0], NULL, arg, 1);
}

/* A Unix socket holds back who sends too much. Nobody's datagram comes between. */
static int wait_for_room(void *arg)
{
    char buffer[SIZE];
    (void)arg;
    open_unix_ends();
    make_datagrams(NULL);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, send_many, NULL, NULL), 0);
    settle();
    assert_int_equal(tepal_spawn(group, send_single, "!", NULL), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(tepal_udp_receive(ends[1], buffer, SIZE, NULL), i % SIZE);
        settle();
    }
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(n_sent, MANY);
    assert_int_equal(tepal_udp_receive(ends[1], buffer, SIZE, NULL), 1);
    assert_int_equal(buffer[0], '!');
    tepal_group_close(group);
    close_ends();
    return 0;
}

/* By another task: those that were not tried say so. */
static int cut_short(void *arg)
{
    (void)arg;
    for (int why = 0; why < 3; why++) {
        open_unix_ends();
        make_datagrams(NULL);
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, send_many, NULL, NULL), 0);
        settle();
        int expected = why == 0 ? -EINTR : -ECANCELED, first = 0;
        if (why == 0)
            assert_true(tepal_udp_interrupt_senders(ends[0]));
        else if (why == 1)
            tepal_group_cancel(group);
        else
            tepal_udp_close(ends[0]);
        assert_int_equal(tepal_group_wait(group), expected);
        tepal_group_close(group);
        while (datagrams[first].error == 0)
            first++;
        assert_true(first > 0 && first < MANY);
        for (int i = first; i < MANY; i++)
            assert_int_equal(datagrams[i].error, expected);
        make_rooms(SIZE);
        for (int i = 0; i < first;) {
            ssize_t n = tepal_udp_receive_all(ends[1], datagrams, MANY);
            assert_true(n > 0);
            i += (int)n;
            assert_true(i <= first);
        }
        if (why < 2)
            tepal_udp_close(ends[0]);
        tepal_udp_close(ends[1]);
    }
    return 0;
}

static int receive_for_ever(void *arg)
{
    (void)arg;
    make_rooms(SIZE);
    return (int)tepal_udp_receive_all(ends[1], datagrams, MANY);
}

static int interrupt_all(void *arg)
{
    (void)arg;
    assert_true(open_ends(hosts[0]));
    expect_interruptible(receive_for_ever, NULL);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, receive_for_ever, NULL, NULL), 0);
    settle();
    assert_int_equal(tepal_udp_receive_all(ends[1], datagrams, 1), -EBUSY);
    tepal_udp_close(ends[1]);
    assert_int_equal(tepal_group_wait(group), -ECANCELED);
    tepal_group_close(group);
    tepal_udp_close(ends[0]);
    return 0;
}

static void waiting_and_interruptions(void **state)
{
    (void)state;
    assert_int_equal(run(wait_for_room, NULL), 0);
    assert_int_equal(run(cut_short, NULL), 0);
    assert_int_equal(run_fake(interrupt_all, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_have_come),    cmocka_unit_test(too_long_ones_are_marked),
        cmocka_unit_test(errors_of_single_ones), cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(strangers_are_dropped), cmocka_unit_test(waiting_and_interruptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
