/* Tests of the body reader: framings that are cut anywhere, their ends and errors, and
 * interruptions. Heads are parsed, as they are in earnest. */
#include "body_check.h"

/* --- Framings --------------------------------------------------------------------------------- */

/* Cut in three: what came with the head, and two more parts. */
static void read_cut(int family, const struct framed *f, size_t first, size_t second)
{
    open_body(family, f->kind, f->len, f->text, first);
    assert_int_equal(read_on(), -EAGAIN);
    assert_int_equal(reader.done, false);
    if (second > first)
        send_rest(f, first, second);
    assert_int_equal(read_on(), -EAGAIN);
    assert_true(n_got <= sizeof(octets) - 1);
    send_rest(f, second, f->len);
    assert_int_equal(read_on(), 0);
    assert_got(octets, sizeof(octets) - 1);
    assert_true(reader.begun);
    assert_for_ever(0);
    if (f->kind != KIND_UNTIL_CLOSE) {
        while (http.in_end - http.in_start < 4) {
            see_input();
            (void)h1_conn_try_fill(&http);
        }
        assert_memory_equal(http.in + http.in_start, "NEXT", 4);
    }
    close_body();
}

static int read_all_cuts(void *family)
{
    for (size_t i = 0; i < FRAMINGS; i++)
        for (size_t first = 0; first < framings[i].len; first++)
            for (size_t second = first; second < framings[i].len;
                 second += RUNNING_ON_VALGRIND ? 9 : 1)
                read_cut(*(int *)family, &framings[i], first, second);
    return 0;
}

static void cut_anywhere(void **state)
{
    (void)state;
    each_family(read_all_cuts);
}

static int read_none(void *family)
{
    tepal_bytes piece;
    open_body(*(int *)family, KIND_NONE, 0, NULL, 0);
    assert_int_equal(body_take(&reader, &piece), 0); /* nothing has to come first */
    close_body();
    open_body(*(int *)family, KIND_NONE, 0, "NEXT", 4);
    assert_for_ever(0);
    assert_true(body_is_over(&reader));
    assert_int_equal(http.in_end - http.in_start, 4);
    close_body();
    open_body(*(int *)family, KIND_LENGTH, 0, "NEXT", 4);
    assert_for_ever(0);
    assert_int_equal(http.in_end - http.in_start, 4);
    close_body();
    return 0;
}

static void none_has_ended_already(void **state)
{
    (void)state;
    each_family(read_none);
}

/* As the task of a connection reads: all of a large body, with waits. */
static int read_large(void *arg)
{
    tepal_bytes piece;
    size_t n = 0;
    int rc;
    while ((rc = body_read(&reader, &piece)) == 1) {
        for (size_t i = 0; i < piece.len; i++)
            if (piece.data[i] != pattern(n + i))
                return -EBADMSG;
        n += piece.len;
    }
    *(size_t *)arg = n;
    return rc;
}

enum { LARGE = 300000 };

static int send_large(int chunk)
{
    char text[5000 + CHUNK_HEAD_MAX + 2];
    for (size_t at = 0, len; at < LARGE; at += len) {
        len = LARGE - at < 5000 ? LARGE - at : 5000;
        size_t n = chunk ? chunk_write_head(text, len) : 0;
        fill_pattern(text + n, len, at);
        n += len;
        if (chunk) {
            memcpy(text + n, CHUNK_TAIL, 2);
            n += 2;
        }
        for (size_t sent = 0; sent < n;) {
            ssize_t rc = send(peer, text + sent, n - sent, MSG_NOSIGNAL);
            sent += rc > 0 ? (size_t)rc : 0;
            assert_int_equal(tepal_sleep_ms(0), 0);
        }
    }
    if (chunk)
        peer_sends(CHUNK_END, sizeof(CHUNK_END) - 1);
    return 0;
}

static int exchange_large(void *family)
{
    for (enum kind kind = KIND_LENGTH; kind <= KIND_UNTIL_CLOSE; kind++) {
        size_t n = 0;
        struct beside task;
        open_body(*(int *)family, kind, LARGE, NULL, 0);
        begin_beside(&task, read_large, &n);
        assert_int_equal(send_large(kind == KIND_CHUNKED), 0);
        if (kind == KIND_UNTIL_CLOSE)
            assert_int_equal(shutdown(peer, SHUT_WR), 0);
        assert_int_equal(result_of(&task), 0);
        assert_int_equal(n, LARGE);
        assert_memory_equal(http.in, kind == KIND_UNTIL_CLOSE ? "HTTP/1.1" : "POST", 4);
        close_body();
    }
    return 0;
}

static void large_bodies(void **state)
{
    (void)state;
    each_family(exchange_large);
}

/* --- Ends and errors -------------------------------------------------------------------------- */

/* The peer ends its side anywhere before the body does. */
static int end_early(void *family)
{
    for (size_t i = 0; i < FRAMINGS - 1; i++)
        for (size_t cut = 0; cut < framings[i].len; cut++) {
            open_body(*(int *)family, framings[i].kind, framings[i].len, framings[i].text, cut);
            assert_int_equal(shutdown(peer, SHUT_WR), 0);
            see_input();
            assert_int_equal(read_on(), TEPAL_ECLOSED);
            assert_for_ever(TEPAL_ECLOSED);
            assert_memory_equal(got, octets, n_got);
            close_body();
        }
    return 0;
}

static void ends_that_come_early(void **state)
{
    (void)state;
    each_family(end_early);
}

static int reset_meanwhile(void *arg)
{
    (void)arg;
    for (enum kind kind = KIND_LENGTH; kind <= KIND_UNTIL_CLOSE; kind++) {
        size_t n = 0;
        struct beside task;
        open_body(AF_INET, kind, 100, NULL, 0);
        begin_beside(&task, read_large, &n);
        reset_fd(peer);
        peer = -1;
        assert_int_equal(result_of(&task), -ECONNRESET); /* also where the end would be the end */
        assert_for_ever(-ECONNRESET);
        close_body();
    }
    return 0;
}

static void a_reset_is_no_end(void **state)
{
    (void)state;
    assert_int_equal(run_fake(reset_meanwhile, NULL), 0);
}

/* Chunks that are refused, and as what; the limits are those of set_wide_limits(). */
static void assert_chunks(const char *text, int rc)
{
    size_t len = strlen(text);
    for (size_t cut = 0; cut < len; cut += len - 1) { /* at once, and cut */
        open_body(AF_UNIX, KIND_CHUNKED, 0, text, cut);
        peer_sends(text + cut, len - cut);
        see_input();
        assert_int_equal(read_on(), rc);
        assert_for_ever(rc);
        close_body();
    }
}

static void assert_line(const char *begin, size_t n, const char *end, int rc)
{
    char text[1000];
    size_t len = strlen(begin);
    memcpy(text, begin, len);
    memset(text + len, 'x', n - len);
    strcpy(text + n, end);
    assert_chunks(text, rc);
}

static int read_bad_chunks(void *arg)
{
    (void)arg;
    assert_chunks("x\r\n", TEPAL_EMESSAGE);
    assert_chunks("1\r\nab\r\n", TEPAL_EMESSAGE);
    assert_chunks("1\na\r\n", TEPAL_EMESSAGE);
    assert_chunks("0\r\n: v\r\n\r\n", TEPAL_EMESSAGE);
    assert_chunks("ffffffffffffffff1\r\n", TEPAL_EMESSAGE);
    /* Below, at and above: octets of a line, */
    assert_line("0;", 99, "\r\n\r\n", 0);
    assert_line("0;", 100, "\r\n\r\n", 0);
    assert_line("0;", 101, "\r\n\r\n", TEPAL_EBODY_SIZE);
    assert_line("0\r\nT:", 3 + 99, "\r\n\r\n", 0);
    assert_line("0\r\nT:", 3 + 100, "\r\n\r\n", 0);
    assert_line("0\r\nT:", 3 + 101, "\r\n\r\n", TEPAL_EBODY_SIZE);
    /* of all trailers, with their CRLF (60 + 60 + 78, 79, ...), */
    static const char two[] = "0\r\nT:345678901234567890123456789012345678901234567890123456\r\n"
                              "T:345678901234567890123456789012345678901234567890123456\r\nT:";
    size_t at = sizeof(two) - 1 - 3;
    assert_true(at < 200);
    assert_line(two, 3 + 200 - 3, "\r\n\r\n", 0);
    assert_line(two, 3 + 200 - 2, "\r\n\r\n", 0);
    assert_line(two, 3 + 200 - 1, "\r\n\r\n", TEPAL_EBODY_SIZE);
    /* and their number. */
    assert_chunks("0\r\nA:\r\nA:\r\nA:\r\n\r\n", 0);
    assert_chunks("0\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n", 0);
    assert_chunks("0\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n", TEPAL_EBODY_SIZE);
    return 0;
}

static void chunks_that_are_refused(void **state)
{
    (void)state;
    assert_int_equal(run_fake(read_bad_chunks, NULL), 0);
}

/* --- Interruptions ---------------------------------------------------------------------------- */

static int read_one(void *arg)
{
    tepal_bytes piece;
    int rc = body_read(&reader, &piece);
    if (rc == 1)
        memcpy(arg, piece.data, piece.len < 10 ? piece.len : 10);
    return rc;
}

static int interrupt(void *family)
{
    char text[10] = "";
    struct beside task;
    tepal_bytes piece;
    open_body(*(int *)family, KIND_LENGTH, 6, NULL, 0);
    begin_beside(&task, read_one, text);
    assert_int_equal(body_read(&reader, &piece), -EBUSY); /* its buffer is not moved away */
    assert_int_equal(body_drop(&reader, 100), -EBUSY);
    assert_int_equal(cancelled_result(&task), -ECANCELED);
    int64_t before = tepal_deadline_in_ms(20);
    assert_int_equal(read_one(text), -ETIMEDOUT);
    tepal_deadline_restore(before);
    assert_int_equal(reader.error, 0);
    peer_sends("abc", 3);
    assert_int_equal(read_one(text), 1);
    assert_string_equal(text, "abc");
    begin_beside(&task, read_one, text);
    assert_int_equal(body_read(&reader, &piece), -EBUSY);
    peer_sends("def", 3);
    assert_int_equal(result_of(&task), 1);
    assert_string_equal(text, "def");
    assert_for_ever(0);
    close_body();
    return 0;
}

static void interruptions_are_told_once(void **state)
{
    (void)state;
    each_family(interrupt);
}

/* A shortage of memory passes, too. */
static int run_short(void *arg)
{
    char text[10] = "";
    (void)arg;
    open_body(AF_UNIX, KIND_LENGTH, 3, NULL, 0);
    http.in_start = http.in_end = reader.head_end = LOOP_BUFFER_SIZE; /* a head that fills it */
    peer_sends("abc", 3);
    see_input();
    char *held[64];
    size_t n = 0;
    while (loop_current->buffers.idle.n > 0)
        held[n++] = block_take(&loop_current->buffers);
    mem_fail_nth(1, 0);
    assert_int_equal(read_one(text), -ENOMEM);
    mem_fail_nth(0, 0);
    assert_int_equal(reader.error, 0);
    assert_int_equal(read_one(text), 1);
    assert_string_equal(text, "abc");
    assert_int_equal(read_one(text), 0);
    while (n > 0)
        block_give(&loop_current->buffers, held[--n]);
    close_body();
    return 0;
}

static void a_shortage_of_memory_passes(void **state)
{
    (void)state;
    assert_int_equal(run_fake(run_short, NULL), 0);
}

/* What was answered before goes out first; and when it cannot, that is the end of the reading,
 * too. */
static int answer_first(void *family)
{
    char text[10] = "";
    struct beside task;
    open_body(*(int *)family, KIND_LENGTH, 6, NULL, 0);
    assert_int_equal(h1_conn_write(&http, "answer", 6), 0);
    begin_beside(&task, read_one, text);
    assert_int_equal(peer_takes(text, sizeof(text)), 6);
    assert_memory_equal(text, "answer", 6);
    peer_sends("abc", 3);
    assert_int_equal(result_of(&task), 1);
    http.error = -EPIPE; /* an output that was lost meanwhile */
    assert_int_equal(read_one(text), -EPIPE);
    assert_for_ever(-EPIPE);
    close_body();
    return 0;
}

static void answers_go_first(void **state)
{
    (void)state;
    each_family(answer_first);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cut_anywhere),
        TEST(none_has_ended_already),
        TEST(large_bodies),
        TEST(ends_that_come_early),
        TEST(a_reset_is_no_end),
        TEST(chunks_that_are_refused),
        TEST(interruptions_are_told_once),
        TEST(a_shortage_of_memory_passes),
        TEST(answers_go_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
