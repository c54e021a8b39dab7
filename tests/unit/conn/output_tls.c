/* Tests of output over a connection that is encrypted: it holds records that the socket does not
 * take. */
#include "../net/tls_check.h"
#include "http_pair.h"

static tepal_tls *contexts[2];
static tepal_conn *reader; /* the other end */
static size_t n_written;

/* Opens both ends over a socket that takes little. */
static void open_encrypted(void)
{
    int little = 4096;
    open_http(AF_UNIX);
    reader = open_conn(peer);
    assert_int_equal(setsockopt(http.conn.io.fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)),
                     0);
    contexts[0] = new_client();
    contexts[1] = new_server("server");
    struct pair pair = {
        .ends = { { .conn = reader, .tls = contexts[0], .host = "a.example" },
                  { .conn = &http.conn, .tls = contexts[1] } },
    };
    shake_both(&pair);
    assert_int_equal(pair.ends[0].result, 0);
    assert_int_equal(pair.ends[1].result, 0);
    n_written = 0;
}

static void close_encrypted(void)
{
    tepal_conn_close(reader);
    peer = -1;
    close_http();
    tepal_tls_close(contexts[0]);
    tepal_tls_close(contexts[1]);
}

/* Writes until all has been taken, and the socket has no room for what is held of it. */
static void write_until_held(void)
{
    char text[1000];
    while (!conn_is_holding(&http.conn)) {
        assert_int_equal(http.out_len, 0);
        fill_pattern(text, sizeof(text), n_written);
        assert_int_equal(h1_conn_write(&http, text, sizeof(text)), 0);
        n_written += sizeof(text);
        h1_conn_flush_some(&http);
    }
    assert_int_equal(http.out_len, 0);
    assert_int_equal(work.sent, n_written);
    assert_false(h1_conn_is_flushed(&http));
}

static int read_all_of_it(void *arg)
{
    char text[7000];
    size_t n = 0;
    while (n < *(size_t *)arg) {
        ssize_t rc = tepal_conn_read(reader, text, sizeof(text));
        if (rc <= 0)
            return (int)rc;
        assert_pattern(text, (size_t)rc, n);
        n += (size_t)rc;
    }
    return 1;
}

static int flush(void *arg)
{
    (void)arg;
    return h1_conn_flush(&http);
}

static int write_all_sizes(void *arg)
{
    static char text[60000];
    size_t all = 0;
    struct beside peer_reads;
    (void)arg;
    open_encrypted();
    for (size_t len = 1; len < sizeof(text); len *= 3)
        all += 2 * len;
    begin_beside(&peer_reads, read_all_of_it, &all);
    for (size_t len = 1; len < sizeof(text); len *= 3)
        for (int i = 0; i < 2; i++, n_written += len) {
            fill_pattern(text, len, n_written);
            assert_int_equal(h1_conn_write(&http, text, len), 0);
            if (i == 1)
                assert_int_equal(h1_conn_flush(&http), 0);
        }
    assert_true(h1_conn_is_flushed(&http));
    assert_int_equal(result_of(&peer_reads), 1);
    close_encrypted();
    return 0;
}

static void all_goes_in_order(void **state)
{
    (void)state;
    assert_int_equal(run_fake(write_all_sizes, NULL), 0);
}

/* What is held when a flush is interrupted is not lost, nor the connection with it. */
static int interrupt_flushes(void *arg)
{
    struct beside task, peer_reads;
    (void)arg;
    open_encrypted();
    write_until_held();
    for (int i = 0; i < 2; i++) {
        begin_beside(&task, flush, NULL);
        assert_false(task.ended);
        assert_int_equal(cancelled_result(&task), -ECANCELED);
        int64_t before = tepal_deadline_in_ms(20);
        assert_int_equal(flush(NULL), -ETIMEDOUT);
        tepal_deadline_restore(before);
        assert_int_equal(http.error, 0);
        assert_true(conn_is_holding(&http.conn));
    }
    /* What is collected behind it is a record that the socket does not take at once either. */
    char text[4000];
    for (int i = 0; i < 4; i++, n_written += sizeof(text)) {
        fill_pattern(text, sizeof(text), n_written);
        assert_int_equal(h1_conn_write(&http, text, sizeof(text)), 0);
    }
    begin_beside(&task, flush, NULL);
    begin_beside(&peer_reads, read_all_of_it, &n_written);
    assert_int_equal(result_of(&task), 0);
    assert_true(h1_conn_is_flushed(&http));
    assert_int_equal(result_of(&peer_reads), 1);
    close_encrypted();
    return 0;
}

static void interrupted_flushes_lose_nothing(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_flushes, NULL), 0);
}

/* What is held goes also when there is nothing else to write. */
static int flush_what_is_held(void *arg)
{
    struct beside peer_reads;
    (void)arg;
    open_encrypted();
    write_until_held();
    h1_conn_flush_some(&http); /* there is no room */
    assert_true(conn_is_holding(&http.conn));
    begin_beside(&peer_reads, read_all_of_it, &n_written);
    while (conn_is_holding(&http.conn)) {
        settle();
        h1_conn_flush_some(&http);
    }
    assert_true(h1_conn_is_flushed(&http));
    assert_int_equal(result_of(&peer_reads), 1);
    close_encrypted();
    return 0;
}

static void held_octets_go_by_themselves(void **state)
{
    (void)state;
    assert_int_equal(run_fake(flush_what_is_held, NULL), 0);
}

/* A peer that does not take it has its time, and no more: of its silence, and of its rate. */
static int wait_for_held(void *arg)
{
    (void)arg;
    for (int rate = 0; rate < 2; rate++) {
        open_encrypted();
        write_until_held();
        h1_conn_begin_message(&http);
        limits.write_timeout_ms = 1000;
        limits.min_write_rate = rate ? 1000 : 0;
        if (rate)
            work.message_wait_ms = 400; /* it has been waited for already */
        int64_t begun = tepal_now_ms();
        assert_int_equal(flush(NULL), -ETIMEDOUT);
        assert_int_equal(tepal_now_ms() - begun, rate ? 600 : 1000);
        assert_int_equal(http.error, -ETIMEDOUT); /* for good */
        assert_int_equal(flush(NULL), -ETIMEDOUT);
        assert_int_equal(tepal_now_ms() - begun, rate ? 600 : 1000);
        close_encrypted();
    }
    /* One that goes. */
    open_encrypted();
    write_until_held();
    struct beside task;
    begin_beside(&task, flush, NULL);
    tepal_conn_abort(reader);
    reader = NULL;
    assert_int_equal(result_of(&task), -EPIPE);
    assert_int_equal(http.error, -EPIPE);
    close_encrypted();
    return 0;
}

static void a_peer_that_does_not_take_it(void **state)
{
    (void)state;
    assert_int_equal(run_fake(wait_for_held, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_goes_in_order),
        cmocka_unit_test(interrupted_flushes_lose_nothing),
        cmocka_unit_test(held_octets_go_by_themselves),
        cmocka_unit_test(a_peer_that_does_not_take_it),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
