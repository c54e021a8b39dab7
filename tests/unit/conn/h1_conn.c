/* Tests of the life of a connection: what it has while it is open, and that nothing of it is
 * left. */
#include "http_pair.h"

static int open_fds(void *family)
{
    int before = count_fds(), fds[2];
    connect_fds(*(int *)family, fds);
    set_wide_limits();
    memset(&http, 0xff, sizeof(http)); /* whatever lay there */
    assert_int_equal(h1_conn_open(&http, fds[0], &limits), 0);
    assert_ptr_equal(http.limits, &limits);
    assert_null(http.in);
    assert_null(http.out);
    assert_null(http.work);
    assert_int_equal(http.error, 0);
    assert_true(h1_conn_is_flushed(&http));
    assert_int_equal(buffers_in_use(), 0);
    assert_int_equal(loop_current->poller.n_watched, 1);
    h1_conn_close(&http); /* without a task */
    assert_int_equal(http.conn.io.fd, -1);
    assert_int_equal(loop_current->poller.n_watched, 0);
    char octet;
    assert_int_equal(recv(fds[1], &octet, 1, 0), 0); /* the peer is told */
    h1_conn_close(&http);                            /* once more is harmless */
    close(fds[1]);
    assert_int_equal(count_fds(), before);
    return 0;
}

static void costs_nothing_while_idle(void **state)
{
    (void)state;
    each_family(open_fds);
}

static int open_what_is_not_there(void *arg)
{
    int fds[2];
    (void)arg;
    set_wide_limits();
    connect_fds(AF_UNIX, fds);
    close(fds[0]);
    assert_int_equal(h1_conn_open(&http, fds[0], &limits), -EBADF);
    close(fds[1]);
    /* One that the poller refuses is still the caller's. */
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(h1_conn_open(&http, fileno(file), &limits), -EPERM);
    assert_true(fcntl(fileno(file), F_GETFD) >= 0);
    fclose(file);
    assert_int_equal(loop_current->poller.n_watched, 0);
    return 0;
}

static void a_descriptor_that_is_refused(void **state)
{
    (void)state;
    assert_int_equal(run_fake(open_what_is_not_there, NULL), 0);
}

/* Closed at each stage of its work: close_http() sees that no buffer is left, and a checker that no
 * memory is. */
static int close_at_each_stage(void *family)
{
    static char text[2 * LOOP_BUFFER_SIZE];
    for (int stage = 0; stage < 4; stage++) {
        open_http(*(int *)family);
        for (size_t at = 0; at < (stage > 0 ? 8000 : 3); at += 1000) {
            peer_sends(text, 1000);
            see_input();
            assert_true(h1_conn_try_fill(&http) > 0);
        }
        if (stage >= 2) { /* a buffer that has grown, and pinned */
            http.in_end = http.in_cap;
            assert_int_equal(h1_conn_reserve_input(&http), 0);
            h1_conn_pin_head(&http, http.in_cap);
            peer_sends(text, 1000);
            see_input();
            assert_int_equal(h1_conn_try_fill_body(&http, http.in_cap), 1);
            assert_non_null(work.pinned);
        }
        if (stage == 3)
            assert_int_equal(h1_conn_write(&http, text, 100), 0);
        assert_true(buffers_in_use() > 0);
        close_http();
        assert_null(http.in);
        assert_null(http.out);
        assert_int_equal(http.in_cap + http.out_len, 0);
    }
    return 0;
}

static void gives_everything_back(void **state)
{
    (void)state;
    each_family(close_at_each_stage);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(costs_nothing_while_idle),
        TEST(a_descriptor_that_is_refused),
        TEST(gives_everything_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
