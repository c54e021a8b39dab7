/* Tests of passing octets on from one connection to another: between sockets, through pipes and
 * copied, encrypted, half-closed, idle, cut short; and that nothing is lost. */
#include "../tls_check.h"

#include "net/conn/buffers.h"
#include "net/conn/splice.h"

#include <sys/wait.h>

/* A client and a server, and the two inner ends, which are relayed. */
static struct {
    tepal_conn *client, *a, *b, *server;
} all;

static int64_t idle_ms = TEPAL_NEVER;
static size_t n_written; /* by write_some() */

static void open_all(int family_a, int family_b)
{
    tepal_conn *ends[2];
    connect_conns(family_a, ends);
    all.client = ends[0], all.a = ends[1];
    connect_conns(family_b, ends);
    all.b = ends[0], all.server = ends[1];
    limit_buffers(all.client);
    limit_buffers(all.a);
    limit_buffers(all.b);
    limit_buffers(all.server);
    n_written = 0;
}

static void close_all(void)
{
    tepal_conn_close(all.client);
    tepal_conn_close(all.a);
    tepal_conn_close(all.b);
    tepal_conn_close(all.server);
    idle_ms = TEPAL_NEVER;
}

static int relay(void *arg)
{
    (void)arg;
    return tepal_conn_relay(all.a, all.b, idle_ms);
}

static tepal_group *start_relay(void)
{
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, relay, NULL, NULL), 0);
    return group;
}

static void expect_end(tepal_group *group, int result)
{
    assert_int_equal(tepal_group_wait(group), result);
    tepal_group_close(group);
    assert_null(all.a->io.reader);
    assert_null(all.a->io.writer);
    assert_null(all.b->io.reader);
    assert_null(all.b->io.writer);
}

static void expect_read(tepal_conn *conn, const char *text)
{
    char buffer[100] = "";
    assert_true(strlen(text) < sizeof(buffer));
    assert_int_equal(tepal_conn_read_exactly(conn, buffer, strlen(text)), 0);
    assert_string_equal(buffer, text);
}

static void expect_closed_side(tepal_conn *conn)
{
    char octet;
    assert_int_equal(tepal_conn_read(conn, &octet, 1), 0);
}

/* --- A talk ----------------------------------------------------------------------------------- */

/* Small pieces in both directions, and each side's end by itself. */
static int talk(void *arg)
{
    const int *families = arg;
    open_all(families[0], families[1]);
    tepal_group *group = start_relay();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tepal_conn_write(all.client, "question", 8), 0);
        expect_read(all.server, "question");
        assert_int_equal(tepal_conn_write(all.server, "answer", 6), 0);
        expect_read(all.client, "answer");
    }
    char octet;
    assert_int_equal(tepal_conn_read(all.a, &octet, 1), -EBUSY);
    assert_int_equal(tepal_conn_relay(all.b, all.client, TEPAL_NEVER), -EBUSY);
    assert_int_equal(tepal_conn_shutdown(all.client), 0);
    expect_closed_side(all.server);
    assert_int_equal(tepal_conn_write(all.server, "more", 4), 0); /* the other direction goes on */
    expect_read(all.client, "more");
    assert_int_equal(tepal_conn_shutdown(all.server), 0);
    expect_closed_side(all.client);
    expect_end(group, 0);
    close_all();
    return 0;
}

static int families[][2] = {
    { AF_INET, AF_INET }, { AF_INET, AF_UNIX }, { AF_UNIX, AF_INET }, { AF_UNIX, AF_UNIX }
};

static void each_pair_of_families(tepal_task_fn *fn)
{
    for (int i = 0; i < 4; i++)
        assert_int_equal(run(fn, families[i]), 0);
}

static void both_directions_and_ends(void **state)
{
    (void)state;
    each_pair_of_families(talk);
}

/* What was read ahead, peeked at and put goes first. */
static int leftovers(void *arg)
{
    const char *data;
    char *line;
    const int *family = arg;
    open_all(family[0], family[1]);
    assert_int_equal(tepal_conn_write(all.client, "line\nahead", 10), 0);
    assert_int_equal(tepal_conn_write(all.server, "greeting", 8), 0);
    assert_int_equal(tepal_conn_read_line(all.a, 10, &line), 4);
    assert_true(tepal_conn_peek(all.a, 5, &data) == 5);
    assert_true(tepal_conn_peek(all.b, 8, &data) == 8);
    assert_int_equal(tepal_conn_put(all.b, "header\n", 7), 0);
    tepal_group *group = start_relay();
    expect_read(all.server, "header\nahead");
    expect_read(all.client, "greeting");
    assert_int_equal(tepal_conn_write(all.client, "!", 1), 0);
    expect_read(all.server, "!");
    tepal_conn_close(all.client);
    all.client = NULL;
    expect_closed_side(all.server);
    assert_int_equal(tepal_conn_shutdown(all.server), 0);
    expect_end(group, 0);
    close_all();
    return 0;
}

static void what_was_there_goes_first(void **state)
{
    (void)state;
    each_pair_of_families(leftovers);
}

/* --- Much ------------------------------------------------------------------------------------- */

enum { MUCH = 4 << 20 };

static char sent[MUCH];

struct end {
    tepal_conn *conn;
    size_t len, step;
};

static int write_much(void *arg)
{
    const struct end *end = arg;
    int rc = tepal_conn_write(end->conn, sent, end->len);
    return rc < 0 ? rc : tepal_conn_shutdown(end->conn);
}

static int read_much(void *arg)
{
    const struct end *end = arg;
    char *buffer = malloc(end->step);
    size_t len = 0;
    ssize_t n;
    while ((n = tepal_conn_read(end->conn, buffer, end->step)) > 0) {
        assert_true(len + (size_t)n <= end->len);
        assert_memory_equal(buffer, sent + len, (size_t)n);
        len += (size_t)n;
    }
    free(buffer);
    assert_int_equal(n, 0);
    assert_int_equal(len, end->len);
    return 0;
}

/* Both directions at once, one with a slow reader. */
static void exchange_much(size_t len)
{
    struct end outs[] = { { all.client, len, 0 }, { all.server, len, 0 } };
    struct end ins[] = { { all.client, len, 1000 }, { all.server, len, 1 << 17 } };
    for (size_t i = 0; i < len; i++)
        sent[i] = (char)(i % 251 + i / 65536);
    tepal_group *group = start_relay(), *others = tepal_group_new();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tepal_spawn(others, write_much, &outs[i], NULL), 0);
        assert_int_equal(tepal_spawn(others, read_much, &ins[i], NULL), 0);
    }
    assert_int_equal(tepal_group_wait(others), 0);
    tepal_group_close(others);
    expect_end(group, 0);
}

static int relay_much(void *arg)
{
    const int *family = arg;
    open_all(family[0], family[1]);
    exchange_much(RUNNING_ON_VALGRIND ? MUCH / 8 : MUCH);
    close_all();
    return 0;
}

/* Nor with no descriptor left for a pipe, or no memory. */
static int relay_without_pipes(void *arg)
{
    const int *family = arg;
    open_all(family[0], family[1]);
    struct rlimit old = limit_fds(0);
    exchange_much(MUCH / 8);
    put_limit_back(old);
    close_all();
    return 0;
}

static void much_in_both_directions(void **state)
{
    (void)state;
    each_pair_of_families(relay_much);
    each_pair_of_families(relay_without_pipes);
}

static void encrypt(struct pair *pair, tepal_conn *client, tepal_conn *server, tepal_tls **tls)
{
    *pair = (struct pair){ { { .conn = client, .tls = tls[0], .host = "localhost" },
                             { .conn = server, .tls = tls[1] } } };
    shake_both(pair);
    expect_secure(pair);
}

static int relay_tls(void *arg)
{
    int which = *(int *)arg;
    struct pair pairs[2];
    tepal_tls *tls[2] = { new_client(), new_server("server") };
    open_all(AF_INET, AF_UNIX);
    if (which & 1)
        encrypt(&pairs[0], all.client, all.a, tls);
    if (which & 2)
        encrypt(&pairs[1], all.b, all.server, tls);
    exchange_much(MUCH / 4);
    close_all();
    tepal_tls_close(tls[0]);
    tepal_tls_close(tls[1]);
    return 0;
}

static void encrypted_ones(void **state)
{
    (void)state;
    for (int which = 1; which < 4; which++)
        assert_int_equal(run(relay_tls, &which), 0);
}

/* --- Cut short -------------------------------------------------------------------------------- */

/* Writes what the peer takes at once. */
static void write_some(tepal_conn *conn)
{
    ssize_t n;
    while ((n = conn_try_write(conn, sent + n_written, 5000)) > 0) {
        n_written += (size_t)n;
        assert_true(n_written + 5000 < MUCH);
    }
    assert_int_equal(n, -EAGAIN);
}

/* Fills all there is on the way, so that octets are in the middle, in a pipe or a buffer. */
static void fill_up(tepal_conn *conn)
{
    for (int i = 0; i < 20; i++) {
        write_some(conn);
        settle();
    }
}

/* Interrupted again and again with octets on their way: the peer reads them all, in order. */
static int relay_on(void *arg)
{
    const int *family = arg;
    static char buffer[MUCH];
    for (size_t i = 0; i < MUCH; i++)
        sent[i] = (char)(i % 251 + i / 65536);
    open_all(family[0], family[1]);
    size_t len = 0;
    for (int i = 0; i < 6; i++) {
        tepal_group *group = start_relay();
        fill_up(all.client);
        assert_true(i % 2 ? tepal_conn_interrupt_reader(all.a)
                          : tepal_conn_interrupt_writers(all.b));
        expect_end(group, -EINTR);
        ssize_t n; /* what has got there, so that there is room for the next round */
        while ((n = conn_try_read(all.server, buffer + len, MUCH - len)) > 0)
            len += (size_t)n;
        assert_int_equal(n, -EAGAIN);
    }
    tepal_group *group = start_relay();
    assert_int_equal(tepal_conn_shutdown(all.client), 0);
    ssize_t n;
    while ((n = tepal_conn_read(all.server, buffer + len, MUCH - len)) > 0)
        len += (size_t)n;
    assert_int_equal(n, 0);
    assert_int_equal(len, n_written);
    assert_memory_equal(buffer, sent, len);
    tepal_group_cancel(group);
    expect_end(group, -ECANCELED);
    close_all();
    return 0;
}

static void nothing_is_lost_when_it_ends_early(void **state)
{
    (void)state;
    each_pair_of_families(relay_on);
}

/* No memory to put back what is in a pipe: it is lost, and nothing is read behind the hole. Returns
 * false when there was nothing in a pipe this time: then nothing is lost. */
static bool relay_into_a_hole(const int *family)
{
    char buffer[10];
    open_all(family[0], family[1]);
    tepal_group *group = start_relay();
    fill_up(all.client);
    tepal_group_cancel(group);
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_group_wait(group), -ECANCELED);
    mem_fail_nth(0, 0);
    tepal_group_close(group);
    ssize_t n = tepal_conn_read(all.a, buffer, sizeof(buffer));
    if (n > 0)
        assert_int_equal(n, sizeof(buffer));
    else
        assert_int_equal(n, -ENOMEM);
    if (n < 0)
        assert_int_equal(relay(NULL), -ENOMEM);
    close_all();
    return n < 0;
}

static int relay_into_holes(void *arg)
{
    int n_tries = 0;
    while (!relay_into_a_hole(arg))
        assert_true(++n_tries < 100);
    return 0;
}

static void without_memory_the_rest_is_lost(void **state)
{
    (void)state;
    assert_int_equal(run(relay_into_holes, families[0]), 0);
}

static int relay_for_ever(void *arg)
{
    return relay(arg);
}

static int cut_short(void *arg)
{
    open_all(AF_INET, AF_INET);
    expect_interruptible(relay_for_ever, NULL);
    close_all();
    (void)arg;
    return 0;
}

/* Another task closes one of the two, or the other one. */
static int closed_meanwhile(void *arg)
{
    for (int i = 0; i < 2; i++) {
        open_all(AF_INET, AF_INET);
        tepal_group *group = start_relay();
        fill_up(all.client);
        tepal_conn_close(i ? all.a : all.b);
        assert_int_equal(tepal_group_wait(group), -ECANCELED);
        tepal_group_close(group);
        tepal_conn_close(i ? all.b : all.a);
        tepal_conn_close(all.client);
        tepal_conn_close(all.server);
    }
    (void)arg;
    return 0;
}

/* One that waits for its turn to write has it when the relay is over. */
static int write_name(void *arg)
{
    return tepal_conn_write(all.b, arg, 1);
}

static int write_behind(void *arg)
{
    open_all(AF_INET, AF_INET);
    tepal_group *group = start_relay(), *writers = tepal_group_new();
    settle();
    assert_int_equal(tepal_spawn(writers, write_name, "z", NULL), 0);
    settle();
    assert_int_equal(tepal_conn_write(all.client, "abc", 3), 0);
    assert_int_equal(tepal_conn_shutdown(all.client), 0);
    expect_read(all.server, "abc");
    expect_closed_side(all.server);
    assert_int_equal(tepal_conn_shutdown(all.server), 0);
    expect_end(group, 0);
    assert_int_equal(tepal_group_wait(writers), -EPIPE); /* that side has ended */
    tepal_group_close(writers);
    close_all();
    (void)arg;
    return 0;
}

static void it_can_be_cut_short(void **state)
{
    (void)state;
    assert_int_equal(run_fake(cut_short, NULL), 0);
    assert_int_equal(run(closed_meanwhile, NULL), 0);
    assert_int_equal(run(write_behind, NULL), 0);
}

/* --- Idle ------------------------------------------------------------------------------------- */

/* Time begins anew with whatever moves, in either direction; also for what waits for a slow
 * peer. */
static int fall_idle(void *arg)
{
    open_all(AF_UNIX, AF_UNIX); /* where what is written has come at once */
    idle_ms = 100;
    tepal_group *group = start_relay();
    int64_t start = tepal_now_ms();
    for (int i = 0; i < 5; i++) {
        assert_int_equal(tepal_sleep_ms(90), 0);
        tepal_conn *from = i % 2 ? all.client : all.server;
        assert_int_equal(tepal_conn_write(from, "x", 1), 0);
        settle();
    }
    assert_int_equal(tepal_group_wait(group), -ETIMEDOUT);
    assert_int_equal(tepal_now_ms() - start, 5 * 90 + 100);
    tepal_group_close(group);
    group = start_relay();
    fill_up(all.client); /* the server reads nothing */
    start = tepal_now_ms();
    assert_int_equal(tepal_group_wait(group), -ETIMEDOUT);
    assert_true(tepal_now_ms() - start <= 100);
    tepal_group_close(group);
    /* The task's own deadline is another one. */
    int64_t before = tepal_deadline_in_ms(50);
    start = tepal_now_ms();
    assert_int_equal(relay(NULL), -ETIMEDOUT);
    assert_int_equal(tepal_now_ms() - start, 50);
    assert_int_equal(tepal_sleep_ms(0), -ETIMEDOUT);
    tepal_deadline_restore(before);
    assert_int_equal(tepal_conn_relay(all.a, all.b, 1), -ETIMEDOUT);
    close_all();
    (void)arg;
    return 0;
}

static void idle_ones_end(void **state)
{
    (void)state;
    assert_int_equal(run_fake(fall_idle, NULL), 0);
}

/* --- Failures --------------------------------------------------------------------------------- */

static void reset(tepal_conn **conn)
{
    tepal_conn_abort(*conn);
    *conn = NULL;
}

/* A peer that is reset ends both, whichever side has ended before. */
static int reset_one(void *arg)
{
    for (int i = 0; i < 4; i++) {
        open_all(AF_INET, AF_INET);
        tepal_group *group = start_relay();
        settle();
        if (i & 1) {
            assert_int_equal(tepal_conn_shutdown(all.server), 0);
            expect_closed_side(all.client);
        }
        if (i & 2) {
            assert_int_equal(tepal_conn_write(all.client, "x", 1), 0);
            expect_read(all.server, "x");
        }
        reset(&all.server);
        expect_end(group, i & 1 ? -EPIPE : -ECONNRESET); /* as the system calls it */
        close_all();
    }
    (void)arg;
    return 0;
}

/* A server that answers early, and reads no more: its answer arrives, though what the client sends
 * does not. */
static int answer_early(void *arg)
{
    open_all(AF_INET, AF_UNIX);
    tepal_group *group = start_relay();
    settle();
    assert_int_equal(tepal_conn_write(all.server, "too much", 8), 0);
    tepal_conn_close(all.server);
    all.server = NULL;
    assert_int_equal(tepal_conn_write(all.client, "more and more", 13), 0);
    expect_read(all.client, "too much");
    expect_closed_side(all.client);
    expect_end(group, -EPIPE);
    close_all();
    (void)arg;
    return 0;
}

/* A server on a Unix socket that has said all, and is gone: there is nobody to wait for. */
static int answer_and_go(void *arg)
{
    open_all(AF_INET, AF_UNIX);
    tepal_group *group = start_relay();
    settle();
    assert_int_equal(tepal_conn_write(all.server, "bye", 3), 0);
    tepal_conn_close(all.server);
    all.server = NULL;
    expect_read(all.client, "bye");
    expect_closed_side(all.client);
    expect_end(group, 0);
    close_all();
    (void)arg;
    return 0;
}

static void broken_peers(void **state)
{
    (void)state;
    assert_int_equal(run(reset_one, NULL), 0);
    assert_int_equal(run(answer_early, NULL), 0);
    assert_int_equal(run(answer_and_go, NULL), 0);
}

static int refuse(void *arg)
{
    open_all(AF_UNIX, AF_UNIX);
    assert_int_equal(tepal_conn_relay(NULL, all.b, 1), -EINVAL);
    assert_int_equal(tepal_conn_relay(all.a, NULL, 1), -EINVAL);
    assert_int_equal(tepal_conn_relay(all.a, all.a, 1), -EINVAL);
    assert_int_equal(tepal_conn_relay(all.a, all.b, 0), -EINVAL);
    assert_int_equal(tepal_conn_relay(all.a, all.b, -1), -EINVAL);
    for (size_t nth = 1; nth <= 2; nth++) {
        mem_fail_nth(nth, 0);
        assert_int_equal(relay(NULL), -ENOMEM);
        mem_fail_nth(0, 0);
        close_all();
        open_all(AF_UNIX, AF_UNIX);
    }
    close_all();
    (void)arg;
    return 0;
}

static void what_is_refused(void **state)
{
    (void)state;
    assert_int_equal(run(refuse, NULL), 0);
}

/* Urgent data, at which splice() would stay for ever: much before it, and a little behind. */
static int relay_urgent(void *arg)
{
    enum { LEN = 40000 };
    static char buffer[LEN];
    memset(sent, 'a', LEN);
    open_all(AF_INET, AF_INET);
    int fd = tepal_conn_fd(all.client);
    assert_int_equal(tepal_conn_write(all.client, sent, LEN), 0);
    assert_int_equal(send(fd, "u", 1, MSG_OOB | MSG_NOSIGNAL), 1);
    assert_int_equal(tepal_conn_write(all.client, "behind", 6), 0);
    settle(); /* all of it has come, and nothing more will tell of it */
    tepal_group *group = start_relay();
    assert_int_equal(tepal_conn_read_exactly(all.server, buffer, LEN), 0);
    assert_memory_equal(buffer, sent, LEN);
    expect_read(all.server, "behind");
    tepal_group_cancel(group);
    expect_end(group, -ECANCELED);
    close_all();
    (void)arg;
    return 0;
}

static void urgent_data_is_passed_over(void **state)
{
    (void)state;
    assert_int_equal(run(relay_urgent, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_and_ends),
        cmocka_unit_test(what_was_there_goes_first),
        cmocka_unit_test(much_in_both_directions),
        cmocka_unit_test(encrypted_ones),
        cmocka_unit_test(nothing_is_lost_when_it_ends_early),
        cmocka_unit_test(without_memory_the_rest_is_lost),
        cmocka_unit_test(it_can_be_cut_short),
        cmocka_unit_test(idle_ones_end),
        cmocka_unit_test(broken_peers),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(urgent_data_is_passed_over),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
