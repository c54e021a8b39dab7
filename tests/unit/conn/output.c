/* Tests of the output buffer of a connection: what is collected and what is not, what is left after
 * an interruption, and output that is lost. Its times are in output_pace.c. */
#include "narrow.h"

#include <sys/mman.h>

/* Larger pieces are not copied; see output.c. */
enum { MAX_COPY = 4096 + 64 };

static char text[4 * LOOP_BUFFER_SIZE], got[4 * LOOP_BUFFER_SIZE];

static void assert_peer_gets(const char *octets, size_t len)
{
    assert_int_equal(peer_takes(got, sizeof(got)), len);
    assert_memory_equal(got, octets, len);
}

static void write_pattern(size_t len, size_t from)
{
    fill_pattern(text, len, from);
    assert_int_equal(h1_conn_write(&http, text, len), 0);
}

static void assert_peer_gets_pattern(size_t len)
{
    assert_int_equal(peer_takes(got, sizeof(got)), len);
    assert_pattern(got, len, 0);
}

/* --- Collecting ------------------------------------------------------------------------------- */

static int collect(void *family)
{
    open_http(*(int *)family);
    assert_true(h1_conn_is_flushed(&http));
    assert_int_equal(h1_conn_write(&http, NULL, 0), 0);
    assert_null(http.out); /* who has written nothing has no buffer */
    assert_int_equal(h1_conn_write(&http, "one ", 4), 0);
    assert_int_equal(h1_conn_write(&http, "two", 3), 0);
    assert_false(h1_conn_is_flushed(&http));
    assert_peer_gets("", 0);
    assert_int_equal(h1_conn_flush(&http), 0);
    assert_peer_gets("one two", 7);
    assert_true(h1_conn_is_flushed(&http));
    assert_int_equal(buffers_in_use(), 0);
    assert_int_equal(work.sent, 7);
    assert_int_equal(h1_conn_flush(&http), 0); /* of nothing */
    h1_conn_flush_some(&http);
    assert_int_equal(work.sent, 7);
    close_http();
    return 0;
}

static void small_pieces_go_together(void **state)
{
    (void)state;
    each_family(collect);
}

/* What is collected, and what goes at once. */
static int cross_the_sizes(void *arg)
{
    open_http(AF_UNIX);
    write_pattern(MAX_COPY, 0);
    assert_int_equal(http.out_len, MAX_COPY);
    assert_peer_gets("", 0);
    write_pattern(MAX_COPY + 1, MAX_COPY); /* behind what was collected */
    assert_int_equal(http.out_len, 0);
    assert_int_equal(buffers_in_use(), 0);
    assert_peer_gets_pattern(2 * MAX_COPY + 1);
    /* A buffer that is full to its last octet does not go yet; the next octet lets it. */
    for (size_t i = 0; i < LOOP_BUFFER_SIZE; i += 1024)
        write_pattern(1024, i);
    assert_int_equal(http.out_len, LOOP_BUFFER_SIZE);
    assert_peer_gets("", 0);
    write_pattern(1, LOOP_BUFFER_SIZE);
    assert_int_equal(http.out_len, 1);
    assert_peer_gets_pattern(LOOP_BUFFER_SIZE);
    assert_int_equal(h1_conn_flush(&http), 0);
    assert_int_equal(peer_takes(got, 1), 1);
    close_http();
    (void)arg;
    return 0;
}

static void by_their_sizes(void **state)
{
    (void)state;
    assert_int_equal(run_fake(cross_the_sizes, NULL), 0);
}

/* Any number of pieces, each of any size around the bound, some empty. */
static int write_in_pieces(void *arg)
{
    static const size_t sizes[] = { 0, 1, 18, MAX_COPY - 1, MAX_COPY, MAX_COPY + 1, 9000 };
    enum { N = sizeof(sizes) / sizeof(sizes[0]) };
    open_http(AF_UNIX);
    for (size_t i = 0; i < (size_t)N * N * N; i += RUNNING_ON_VALGRIND ? 13 : 1)
        for (int n = 1; n <= H1_CONN_MAX_PIECES; n++) {
            size_t each[] = { sizes[i % N], sizes[i / N % N], sizes[i / N / N] }, len = 0;
            struct iovec pieces[3];
            fill_pattern(text, sizeof(text), 0);
            assert_int_equal(h1_conn_write(&http, text, 5), 0);
            for (int k = 0; k < n; k++, len += each[k - 1])
                pieces[k] = (struct iovec){ .iov_base = text + 5 + len, .iov_len = each[k] };
            assert_int_equal(h1_conn_writev(&http, pieces, n), 0);
            assert_int_equal(http.out_len, len > MAX_COPY ? 0 : 5 + len);
            assert_int_equal(h1_conn_flush(&http), 0);
            assert_peer_gets_pattern(5 + len);
        }
    close_http();
    (void)arg;
    return 0;
}

static void one_to_three_pieces(void **state)
{
    (void)state;
    assert_int_equal(run_fake(write_in_pieces, NULL), 0);
}

static int make_room(void *arg)
{
    char *room;
    open_http(AF_UNIX);
    assert_int_equal(h1_conn_output(&http, LOOP_BUFFER_SIZE, &room), 0);
    memcpy(room, "abc", 3);
    h1_conn_commit(&http, 3);
    assert_int_equal(h1_conn_output(&http, LOOP_BUFFER_SIZE - 3, &room), 0);
    assert_ptr_equal(room, http.out + 3);
    assert_peer_gets("", 0);
    assert_int_equal(h1_conn_output(&http, LOOP_BUFFER_SIZE - 2, &room), 0);
    assert_peer_gets("abc", 3);
    assert_ptr_equal(room, http.out);
    close_http(); /* with a buffer that nothing was written to */
    (void)arg;
    return 0;
}

static void room_for_octets(void **state)
{
    (void)state;
    assert_int_equal(run_fake(make_room, NULL), 0);
}

static int write_without_memory(void *family)
{
    struct iovec pieces[] = { { (void *)(uintptr_t) "ab", 2 }, { (void *)(uintptr_t) "c", 1 } };
    char *room;
    open_http(*(int *)family);
    mem_fail_nth(1, 1);
    assert_int_equal(h1_conn_output(&http, 5, &room), -ENOMEM);
    assert_int_equal(h1_conn_writev(&http, pieces, 2), 0);
    assert_true(mem_failures() >= 2);
    mem_fail_nth(0, 0);
    assert_int_equal(http.error, 0);
    assert_null(http.out);
    assert_peer_gets("abc", 3); /* at once: there is nowhere to collect it */
    assert_int_equal(work.sent, 3);
    close_http();
    return 0;
}

static void no_memory_for_a_buffer(void **state)
{
    (void)state;
    each_family(write_without_memory);
}

/* --- Parts ------------------------------------------------------------------------------------ */

static int flush(void *arg)
{
    (void)arg;
    return h1_conn_flush(&http);
}

/* A peer that takes one octet at a time gets all of them once, in order. */
static int take_octet_by_octet(void *arg)
{
    enum { LEN = 40 };
    struct beside writer;
    open_http(AF_UNIX);
    narrow_from(0);
    write_pattern(LEN, 0);
    for (size_t i = 0; i < 5; i++) { /* as far as it goes without waiting */
        narrow_by(1);
        h1_conn_flush_some(&http);
        assert_int_equal(http.out_len, LEN - 1 - i);
        assert_int_equal(work.sent, i + 1);
        h1_conn_flush_some(&http);
        h1_conn_flush_some(&http); /* the socket is full, and known to be */
        assert_int_equal(narrow_tries, 2 * (i + 1));
    }
    begin_beside(&writer, flush, NULL);
    for (size_t i = 5; i < LEN; i++) {
        assert_false(writer.ended);
        assert_int_equal(work.sent, i);
        narrow_by(1);
        settle();
    }
    assert_int_equal(result_of(&writer), 0);
    assert_true(h1_conn_is_flushed(&http));
    assert_peer_gets_pattern(LEN);
    close_http();
    (void)arg;
    return 0;
}

static void one_octet_at_a_time(void **state)
{
    (void)state;
    assert_int_equal(run_fake(take_octet_by_octet, NULL), 0);
}

/* What is written at each place of the next test: octets that are collected, and a large piece. */
enum { COLLECTED = 30, LARGE = MAX_COPY + 40, ALL = COLLECTED + LARGE };

static char large[LARGE];

static int write_large(void *deadline_ms)
{
    struct iovec pieces[] = { { large, 10 },
                              { large + 10, LARGE - 20 },
                              { large + LARGE - 10, 10 } };
    (void)tepal_deadline_in_ms(*(int64_t *)deadline_ms);
    return h1_conn_writev(&http, pieces, 3);
}

/* The task is interrupted when so many octets have gone: by a cancellation, or by its time. What
 * was collected before is not lost by that, and the piece is gone with it or not at all. */
static void interrupt_at(size_t at, int64_t deadline_ms)
{
    struct beside writer;
    open_http(AF_UNIX);
    narrow_from(at);
    write_pattern(COLLECTED, 0);
    fill_pattern(large, LARGE, COLLECTED);
    begin_beside(&writer, write_large, &deadline_ms);
    int rc = deadline_ms == TEPAL_NEVER ? cancelled_result(&writer) : result_of(&writer);
    bool cut = at > COLLECTED;
    assert_int_equal(rc, deadline_ms == TEPAL_NEVER ? -ECANCELED : -ETIMEDOUT);
    assert_int_equal(http.error, cut ? rc : 0);
    assert_int_equal(work.sent, at);
    narrow_by(SIZE_MAX / 2);
    settle();
    if (cut) { /* no octet may follow that would look like the rest of it */
        assert_int_equal(h1_conn_write(&http, "x", 1), rc);
        assert_int_equal(h1_conn_write(&http, NULL, 0), rc);
        assert_int_equal(h1_conn_write(&http, text, MAX_COPY + 1), rc);
        assert_int_equal(h1_conn_flush(&http), rc);
        assert_peer_gets_pattern(at);
    } else {
        assert_int_equal(http.out_len, COLLECTED - at);
        assert_int_equal(h1_conn_write(&http, large, LARGE), 0);
        assert_peer_gets_pattern(ALL);
    }
    close_http();
}

static int interrupt_everywhere(void *arg)
{
    /* With a checker, that is slow, not each in the midst of the piece. */
    size_t step = RUNNING_ON_VALGRIND || SANITIZED ? 97 : 1;
    for (size_t at = 0; at < ALL; at += at < COLLECTED + 20 || at > ALL - 20 ? 1 : step) {
        interrupt_at(at, TEPAL_NEVER);
        interrupt_at(at, 50);
    }
    (void)arg;
    return 0;
}

static void interrupted_at_every_octet(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_everywhere, NULL), 0);
}

/* A flush may be interrupted as often as one likes. */
static int interrupt_flushes(void *family)
{
    enum { LEN = 25 };
    struct beside writer;
    open_http(*(int *)family);
    narrow_from(0);
    write_pattern(LEN, 0);
    for (size_t i = 0; i < LEN; i++) {
        begin_beside(&writer, flush, NULL);
        assert_int_equal(cancelled_result(&writer), -ECANCELED);
        assert_int_equal(http.error, 0);
        assert_int_equal(http.out_len, LEN - i);
        narrow_by(1);
        h1_conn_flush_some(&http);
    }
    assert_true(h1_conn_is_flushed(&http));
    assert_int_equal(flush(NULL), 0);
    assert_peer_gets_pattern(LEN);
    close_http();
    return 0;
}

static void interrupted_flushes_lose_nothing(void **state)
{
    (void)state;
    each_family(interrupt_flushes);
}

/* The same where the sockets say what they take: large pieces and small ones, a writer that is
 * interrupted now and then, and a peer that takes what it likes. */
struct stream {
    size_t written;
    bool done;
};

enum { STREAM = 3 << 20 };

static int write_stream(void *arg)
{
    struct stream *s = arg;
    uint64_t random = 7;
    while (s->written < STREAM) {
        size_t len = next_random(&random) % 3 ? 1 + next_random(&random) % 900 : 60000;
        fill_pattern(text, len < sizeof(text) ? len : sizeof(text), s->written);
        len = len < sizeof(text) ? len : sizeof(text);
        int64_t before = tepal_deadline_in_ms(next_random(&random) % 5 == 0 ? 3 : TEPAL_NEVER);
        int rc = h1_conn_write(&http, text, len);
        tepal_deadline_restore(before);
        if (rc == 0)
            s->written += len;
        else if (rc != -ETIMEDOUT || http.error != 0)
            break;
    }
    s->done = true;
    return http.error ? http.error : h1_conn_flush(&http);
}

static int stream_to_a_slow_peer(void *family)
{
    struct stream s = { 0 };
    struct beside writer;
    size_t taken = 0;
    uint64_t random = 1;
    open_http(*(int *)family);
    begin_beside(&writer, write_stream, &s);
    while (!writer.ended) {
        size_t n = peer_takes(got, 1 + next_random(&random) % sizeof(got));
        assert_pattern(got, n, taken);
        taken += n;
        assert_int_equal(tepal_sleep_ms(next_random(&random) % 3), 0);
    }
    int rc = result_of(&writer);
    for (size_t n; (n = peer_takes(got, sizeof(got))) > 0; taken += n)
        assert_pattern(got, n, taken);
    if (rc == 0) {
        assert_int_equal(taken, s.written);
    } else { /* a piece was cut: nothing came behind it */
        assert_int_equal(rc, http.error);
        assert_int_equal(taken, work.sent);
        assert_true(taken > s.written - LOOP_BUFFER_SIZE);
    }
    close_http();
    return 0;
}

static void a_stream_to_a_slow_peer(void **state)
{
    (void)state;
    each_family(stream_to_a_slow_peer);
}

/* --- Output that is lost ---------------------------------------------------------------------- */

static void assert_lost_for_good(int error)
{
    assert_int_equal(http.error, error);
    assert_int_equal(h1_conn_write(&http, "x", 1), error);
    assert_int_equal(h1_conn_write(&http, NULL, 0), error);
    assert_int_equal(h1_conn_write(&http, text, sizeof(text)), error);
    assert_int_equal(h1_conn_flush(&http), error);
    h1_conn_flush_some(&http);
    assert_false(h1_conn_is_flushed(&http));
    assert_int_equal(http.error, error);
}

/* Memory that is not there any more, as that of a mapped file that has become shorter. */
static int write_what_is_not_there(void *family)
{
    size_t size = 16 * mem_page_size();
    char *gone = mem_map(size);
    open_http(*(int *)family);
    assert_non_null(gone);
    assert_int_equal(mprotect(gone, size, PROT_NONE), 0);
    assert_int_equal(h1_conn_write(&http, "abc", 3), 0);
    assert_int_equal(h1_conn_write(&http, gone, size), -EFAULT);
    assert_lost_for_good(-EFAULT);
    assert_true(peer_takes(got, sizeof(got)) <= 3);
    mem_unmap(gone, size);
    close_http();
    return 0;
}

static void memory_that_is_gone(void **state)
{
    (void)state;
    each_family(write_what_is_not_there);
}

static int write_to_nobody(void *arg)
{
    for (int way = 0; way < 3; way++) {
        open_http(AF_UNIX);
        close_peer();
        if (way == 0) { /* straight through */
            assert_int_equal(h1_conn_write(&http, text, MAX_COPY + 1), -EPIPE);
        } else { /* collected, and told later */
            assert_int_equal(h1_conn_write(&http, "abc", 3), 0);
            if (way == 1)
                assert_int_equal(h1_conn_flush(&http), -EPIPE);
            else
                h1_conn_flush_some(&http);
        }
        assert_lost_for_good(-EPIPE);
        assert_int_equal(work.sent, 0);
        close_http();
    }
    (void)arg;
    return 0;
}

/* Whatever was collected when a piece was lost: it would look like the rest of it. */
static int lose_with_a_buffer(void *arg)
{
    open_http(AF_UNIX);
    assert_int_equal(h1_conn_write(&http, "abc", 3), 0);
    http.error = -ECANCELED;
    h1_conn_flush_some(&http);
    assert_int_equal(h1_conn_flush(&http), -ECANCELED);
    assert_peer_gets("", 0);
    close_http();
    (void)arg;
    return 0;
}

static void nothing_follows_what_is_lost(void **state)
{
    (void)state;
    assert_int_equal(run_fake(lose_with_a_buffer, NULL), 0);
}

static void a_broken_pipe(void **state)
{
    (void)state;
    assert_int_equal(run_fake(write_to_nobody, NULL), 0);
}

static int write_large_for_ever(void *arg)
{
    (void)arg;
    return h1_conn_write(&http, large, LARGE);
}

/* A peer that goes while it is waited for. */
static int go_meanwhile(void *family)
{
    struct beside writer;
    open_http(*(int *)family);
    narrow_from(10);
    begin_beside(&writer, write_large_for_ever, NULL);
    assert_false(writer.ended);
    if (*(int *)family == AF_INET)
        reset_fd(peer);
    else
        close(peer);
    peer = -1;
    narrow_by(1000);
    int rc = result_of(&writer);
    assert_true(rc == -EPIPE || rc == -ECONNRESET);
    assert_lost_for_good(rc);
    close_http();
    return 0;
}

static void a_peer_that_goes_meanwhile(void **state)
{
    (void)state;
    each_family(go_meanwhile);
}

/* --- Messages --------------------------------------------------------------------------------- */

static int count_messages(void *arg)
{
    open_http(AF_UNIX);
    narrow_from(0);
    write_pattern(10, 0);
    h1_conn_begin_message(&http); /* while those of the one before have not gone */
    write_pattern(7, 10);
    for (size_t gone = 0; gone <= 17; gone++) {
        assert_int_equal(h1_conn_message_sent(&http), gone > 10 ? gone - 10 : 0);
        narrow_by(1);
        h1_conn_flush_some(&http);
    }
    h1_conn_begin_message(&http);
    assert_int_equal(h1_conn_message_sent(&http), 0);
    narrow_by(SIZE_MAX / 2);
    write_pattern(LARGE, 17); /* straight through is counted, too */
    assert_int_equal(h1_conn_message_sent(&http), LARGE);
    assert_peer_gets_pattern(17 + LARGE);
    close_http();
    (void)arg;
    return 0;
}

static void octets_of_a_message(void **state)
{
    (void)state;
    assert_int_equal(run_fake(count_messages, NULL), 0);
}

/* --- Other tasks ------------------------------------------------------------------------------ */

static int write_and_leave(void *arg)
{
    int rc = h1_conn_write(&http, "abc", 3);
    h1_conn_flush_at_leaving(&http);
    h1_conn_flush_at_leaving(&http); /* twice is once */
    if (rc == 0)
        rc = h1_conn_write(&http, "def", 3);
    assert_int_equal(peer_takes(got, sizeof(got)), 0); /* not before */
    if (!arg)
        return rc;
    rc = tepal_sleep_ms(0);
    assert_int_equal(peer_takes(got, sizeof(got)), 6); /* by then */
    (void)h1_conn_write(&http, "ghi", 3);
    return rc == 0 ? tepal_sleep_ms(0) : rc;
}

static int flush_for_others(void *arg)
{
    open_http(AF_UNIX);
    for (int waits = 0; waits < 2; waits++) {
        struct beside other;
        begin_beside(&other, write_and_leave, waits ? &other : NULL);
        assert_int_equal(result_of(&other), 0);
        if (!waits)
            assert_peer_gets("abcdef", 6); /* the end of a task is leaving, too */
    }
    assert_peer_gets("", 0); /* it is asked for each time */
    assert_int_equal(http.out_len, 3);
    assert_int_equal(h1_conn_flush(&http), 0);
    assert_peer_gets("ghi", 3);
    close_http();
    (void)arg;
    return 0;
}

static void others_flush_when_they_leave(void **state)
{
    (void)state;
    assert_int_equal(run_fake(flush_for_others, NULL), 0);
}

/* A second one that writes while the first waits writes nothing, and may come again. */
static int write_at_once(void *arg)
{
    struct beside first;
    open_http(AF_UNIX);
    narrow_from(5);
    fill_pattern(large, LARGE, 0);
    begin_beside(&first, write_large_for_ever, NULL);
    assert_int_equal(h1_conn_write(&http, text, sizeof(text)), -EBUSY);
    assert_int_equal(http.error, 0);
    narrow_by(SIZE_MAX / 2);
    assert_int_equal(result_of(&first), 0);
    assert_peer_gets_pattern(LARGE);
    write_pattern(LARGE, 0);
    assert_peer_gets_pattern(LARGE);
    close_http();
    (void)arg;
    return 0;
}

static void a_second_writer_is_refused(void **state)
{
    (void)state;
    assert_int_equal(run_fake(write_at_once, NULL), 0);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(small_pieces_go_together),
        TEST(by_their_sizes),
        TEST(one_to_three_pieces),
        TEST(room_for_octets),
        TEST(no_memory_for_a_buffer),
        TEST(one_octet_at_a_time),
        TEST(interrupted_at_every_octet),
        TEST(interrupted_flushes_lose_nothing),
        TEST(a_stream_to_a_slow_peer),
        TEST(memory_that_is_gone),
        TEST(a_broken_pipe),
        TEST(nothing_follows_what_is_lost),
        TEST(a_peer_that_goes_meanwhile),
        TEST(octets_of_a_message),
        TEST(others_flush_when_they_leave),
        TEST(a_second_writer_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
