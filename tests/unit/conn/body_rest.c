/* Tests of the body reader: what is left of a body when nobody wants it any more, and the times of
 * those that send one. */
#include "body_check.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

static int read_one(void *arg)
{
    tepal_bytes piece;
    (void)arg;
    return body_read(&reader, &piece);
}

static int drop(void *max)
{
    return body_drop(&reader, *(uint64_t *)max);
}

/* --- Dropping --------------------------------------------------------------------------------- */

/* Of each framing, cut anywhere: what has been received goes, and nothing else. */
static int drop_received(void *family)
{
    for (size_t i = 0; i < FRAMINGS; i++)
        for (size_t cut = 0; cut <= framings[i].len; cut++) {
            const struct framed *f = &framings[i];
            bool until_close = f->kind == KIND_UNTIL_CLOSE;
            open_body(*(int *)family, f->kind, f->len, f->text, cut);
            assert_int_equal(body_drop_received(&reader), cut == f->len && !until_close);
            assert_int_equal(http.in_start, http.in_end);
            if (f->kind != KIND_CHUNKED)
                assert_int_equal(reader.received, cut);
            if (cut < f->len || until_close) {
                send_rest(f, cut, f->len);
                assert_int_equal(read_on(), 0);
            }
            assert_int_equal(reader.received, sizeof(octets) - 1);
            close_body();
        }
    /* Behind it is another message. */
    open_body(*(int *)family, KIND_LENGTH, 3, "abcNEXT", 7);
    assert_int_equal(body_drop_received(&reader), 1);
    assert_memory_equal(http.in + http.in_start, "NEXT", 4);
    assert_int_equal(http.in_end - http.in_start, 4);
    close_body();
    open_body(*(int *)family, KIND_CHUNKED, 0, "1\r\nax", 5);
    assert_int_equal(body_drop_received(&reader), TEPAL_EMESSAGE);
    assert_for_ever(TEPAL_EMESSAGE);
    close_body();
    return 0;
}

static void what_has_come_is_dropped(void **state)
{
    (void)state;
    each_family(drop_received);
}

/* A body of len octets, of which max at most are read and dropped. Each read takes all that there
 * is, so that it is known only then that there was more. */
static void assert_drop(enum kind kind, size_t len, uint64_t max, int rc)
{
    char text[200];
    size_t n = 0;
    open_body(AF_UNIX, kind, len, NULL, 0);
    for (size_t i = 0; i < len; i++) /* one octet a chunk */
        n += (size_t)sprintf(text + n, kind == KIND_CHUNKED ? "1\r\nx\r\n" : "x");
    if (kind == KIND_CHUNKED)
        n += (size_t)sprintf(text + n, CHUNK_END);
    peer_sends(text, n);
    see_input();
    assert_int_equal(body_drop(&reader, max), rc);
    if (rc == 1)
        assert_for_ever(0);
    else /* the first octet that is too many ends it */
        assert_true(reader.received > max);
    close_body();
}

static int drop_at_bounds(void *arg)
{
    (void)arg;
    for (size_t len = 0; len < 10; len++)
        for (uint64_t max = 0; max < 12; max++)
            assert_drop(KIND_CHUNKED, len, max, len <= max);
    assert_drop(KIND_LENGTH, 9, 10, 1);
    assert_drop(KIND_LENGTH, 10, 10, 1);
    assert_drop(KIND_LENGTH, 100, UINT64_MAX, 1);
    return 0;
}

static void dropping_has_a_bound(void **state)
{
    (void)state;
    assert_int_equal(run_fake(drop_at_bounds, NULL), 0);
}

/* A body with a length that is over the bound: it ends with the read that is over it. */
static int drop_in_parts(void *family)
{
    uint64_t max = 4;
    struct beside task;
    open_body(*(int *)family, KIND_LENGTH, 10, "a", 1);
    assert_int_equal(read_one(NULL), 1); /* octets that were read before do not count */
    begin_beside(&task, drop, &max);
    for (int i = 0; i < 4; i++) {
        peer_sends("b", 1);
        settle();
        assert_false(task.ended);
    }
    peer_sends("c", 1);
    assert_int_equal(result_of(&task), 0);
    assert_int_equal(reader.received, 6);
    begin_beside(&task, drop, &max); /* again, it may be read to its end */
    peer_sends("defg", 4);
    assert_int_equal(result_of(&task), 1);
    close_body();
    /* An end that comes too early, and one that is the end. */
    open_body(*(int *)family, KIND_LENGTH, 10, "a", 1);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    assert_int_equal(drop(&max), TEPAL_ECLOSED);
    close_body();
    open_body(*(int *)family, KIND_UNTIL_CLOSE, 0, "a", 1);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    assert_int_equal(drop(&max), 1);
    close_body();
    return 0;
}

static void dropping_in_parts(void **state)
{
    (void)state;
    each_family(drop_in_parts);
}

/* --- Whether it is over ----------------------------------------------------------------------- */

/* The peer has ended its side behind so many octets of a body, of which so many came with the
 * head. */
static int end_anywhere(void *family)
{
    for (size_t i = 0; i < FRAMINGS; i++)
        for (size_t with = 0; with <= framings[i].len; with++)
            for (size_t to = with; to <= framings[i].len; to += RUNNING_ON_VALGRIND ? 9 : 1) {
                const struct framed *f = &framings[i];
                open_body(*(int *)family, f->kind, f->len, f->text, with);
                peer_sends(f->text + with, to - with);
                assert_int_equal(shutdown(peer, SHUT_WR), 0);
                see_input();
                uint32_t start = http.in_start;
                assert_true(body_is_over(&reader));     /* it is small: nothing is late */
                assert_int_equal(http.in_start, start); /* and all of it is still to be read */
                bool whole = f->kind == KIND_UNTIL_CLOSE || to == f->len;
                assert_int_equal(read_on(), whole ? 0 : TEPAL_ECLOSED);
                assert_memory_equal(got, octets, n_got);
                if (to == f->len)
                    assert_int_equal(n_got, sizeof(octets) - 1);
                assert_true(body_is_over(&reader));
                close_body();
            }
    return 0;
}

static void over_when_the_peer_has_ended(void **state)
{
    (void)state;
    each_family(end_anywhere);
}

/* Of a large one there is more in the socket than the buffer has room for: it is the reader that is
 * late. Each framing tells in its way when all is there. */
static int end_behind_much(void *arg)
{
    static char text[3 * LOOP_BUFFER_SIZE];
    struct framed large[] = {
        { KIND_LENGTH, text, sizeof(text) },
        { KIND_CHUNKED, text, 0 },
        { KIND_UNTIL_CLOSE, text, sizeof(text) },
    };
    (void)arg;
    for (size_t i = 0; i < 3; i++) {
        struct framed *f = &large[i];
        size_t data = sizeof(text), n = 0;
        if (f->kind == KIND_CHUNKED) {
            data = sizeof(text) - 100;
            n = chunk_write_head(text, data);
        }
        fill_pattern(text + n, data, 0);
        if (f->kind == KIND_CHUNKED) {
            memcpy(text + n + data, "\r\n0\r\n\r\n", 7);
            f->len = n + data + 7;
        }
        open_body(AF_UNIX, f->kind, f->len, NULL, 0);
        peer_sends(f->text, f->len);
        assert_int_equal(shutdown(peer, SHUT_WR), 0);
        see_input();
        tepal_bytes piece;
        size_t reads = 0;
        int rc;
        do {
            int unread = 0;
            assert_int_equal(ioctl(http.conn.io.fd, FIONREAD, &unread), 0);
            bool fits = (size_t)unread <= http.in_cap - http.in_end;
            assert_int_equal(body_is_over(&reader), reader.done || fits);
            reads++;
        } while ((rc = body_read(&reader, &piece)) == 1);
        assert_int_equal(rc, 0);
        assert_int_equal(reader.received, data);
        assert_true(reads > 3);
        close_body();
    }
    return 0;
}

static void not_over_while_much_is_unread(void **state)
{
    (void)state;
    assert_int_equal(run_fake(end_behind_much, NULL), 0);
}

/* Whether all of it is here does not depend on what is behind it, nor on how much of it has been
 * taken. */
static int end_before_more(void *family)
{
    for (size_t i = 0; i < FRAMINGS - 1; i++)
        for (size_t missing = 0; missing < 2; missing++)
            for (int taken = 0; taken < 3; taken++) {
                const struct framed *f = &framings[i];
                tepal_bytes piece;
                open_body(*(int *)family, f->kind, f->len, f->text, f->len - missing);
                for (int k = 0; k < taken && f->kind == KIND_CHUNKED; k++)
                    assert_int_equal(body_take(&reader, &piece), 1);
                peer_sends("xNEXT", 5);
                http.conn.io.state &= ~(uint32_t)IO_READ; /* not seen yet */
                assert_int_equal(body_is_over(&reader), missing == 0);
                close_body();
            }
    return 0;
}

static void over_whatever_is_behind(void **state)
{
    (void)state;
    each_family(end_before_more);
}

/* A task that waits will read what there is: the body is not over for it. What has been taken last
 * is not disturbed by the look. */
static int look_beside_a_reader(void *family)
{
    struct beside task;
    tepal_bytes piece;
    open_body(*(int *)family, KIND_LENGTH, 6, NULL, 0);
    begin_beside(&task, read_one, NULL);
    assert_false(body_is_over(&reader));
    assert_int_equal(cancelled_result(&task), -ECANCELED);
    peer_sends("abc", 3);
    assert_int_equal(body_read(&reader, &piece), 1);
    peer_sends("def", 3);
    see_input();
    assert_true(body_is_over(&reader));
    assert_int_equal(piece.len, 3);
    assert_memory_equal(piece.data, "abc", 3);
    assert_int_equal(body_take(&reader, &piece), 1);
    assert_memory_equal(piece.data, "def", 3);
    close_body();
    /* The same with chunks that have come, but not been read; and some that are malformed. */
    open_body(*(int *)family, KIND_CHUNKED, 0, chunks, sizeof(chunks) - 1);
    assert_true(body_is_over(&reader));
    assert_int_equal(read_on(), 0);
    assert_int_equal(n_got, sizeof(octets) - 1);
    close_body();
    open_body(*(int *)family, KIND_CHUNKED, 0, "1\r\nax", 5);
    assert_true(body_is_over(&reader)); /* nothing is unread */
    peer_sends("y", 1);
    http.conn.io.state &= ~(uint32_t)IO_READ; /* not seen yet */
    assert_false(body_is_over(&reader));
    close_body();
    /* Of what has come behind the head something has come. */
    open_body(*(int *)family, KIND_LENGTH, 6, NULL, 0);
    assert_false(reader.begun);
    peer_sends("a", 1);
    see_input();
    assert_true(body_is_over(&reader));
    assert_true(reader.begun);
    close_body();
    return 0;
}

static void looking_disturbs_nothing(void **state)
{
    (void)state;
    each_family(look_beside_a_reader);
}

/* --- Times ------------------------------------------------------------------------------------ */

enum { TIMEOUT = 1000 };

static int read_to_the_end(void *arg)
{
    tepal_bytes piece;
    int rc;
    while ((rc = body_read(&reader, &piece)) == 1)
        continue;
    (void)arg;
    return rc;
}

static int be_silent(void *family)
{
    struct beside task;
    open_body(*(int *)family, KIND_LENGTH, 100, NULL, 0);
    limits.read_timeout_ms = TIMEOUT;
    begin_beside(&task, read_to_the_end, NULL);
    for (int i = 0; i < 20; i++) { /* below, again and again */
        assert_int_equal(tepal_sleep_ms(TIMEOUT - 1), 0);
        assert_false(task.ended);
        peer_sends("a", 1);
        settle();
    }
    int64_t last = tepal_now_ms();
    assert_int_equal(result_of(&task), -ETIMEDOUT);
    assert_int_equal(tepal_now_ms(), last + TIMEOUT);
    peer_sends("a", 1);
    assert_for_ever(-ETIMEDOUT);
    close_body();
    return 0;
}

static void a_silent_peer(void **state)
{
    (void)state;
    each_family(be_silent);
}

/* For how long a peer is borne that sends so many octets every 100 ms; 0: until the end. */
static int64_t borne_for(int octets_each, bool chunked)
{
    char some[200];
    struct beside task;
    open_body(AF_UNIX, chunked ? KIND_CHUNKED : KIND_LENGTH, 1 << 30, NULL, 0);
    limits.read_timeout_ms = TIMEOUT;
    limits.min_read_rate = 1000;
    int n = chunked ? sprintf(some, "%x\r\n", octets_each) : 0;
    memset(some + n, 'x', (size_t)octets_each);
    n += octets_each;
    if (chunked)
        n += sprintf(some + n, "\r\n");
    begin_beside(&task, read_to_the_end, NULL);
    int64_t begun = tepal_now_ms();
    while (!task.ended && reader.received < 150000) {
        assert_int_equal(tepal_sleep_ms(100), 0);
        peer_sends(some, (size_t)n);
        settle();
    }
    int64_t ms = task.ended ? tepal_now_ms() - begun : 0;
    assert_int_equal(cancelled_result(&task), ms ? -ETIMEDOUT : -ECANCELED);
    close_body();
    return ms;
}

static int send_at_rates(void *arg)
{
    (void)arg;
    for (int chunked = 0; chunked < 2;
         chunked++) { /* the octets of the body count, and no others */
        assert_int_equal(borne_for(101, chunked), 0);
        assert_int_equal(borne_for(100, chunked), 0);
        /* Of its second it loses 1 ms with each 100, until what is left is less than the next. */
        assert_in_range(borne_for(99, chunked), 90000, 90300);
        assert_in_range(borne_for(50, chunked), 1900, 2100);
        assert_in_range(borne_for(1, chunked), 1000, 1100);
    }
    return 0;
}

static void a_slow_peer(void **state)
{
    (void)state;
    assert_int_equal(run_fake(send_at_rates, NULL), 0);
}

/* The time in which nobody reads is not the peer's. */
static int read_slowly(void *arg)
{
    tepal_bytes piece;
    (void)arg;
    open_body(AF_UNIX, KIND_LENGTH, 100, NULL, 0);
    limits.read_timeout_ms = TIMEOUT;
    limits.min_read_rate = 1000;
    for (int i = 0; i < 20; i++) {
        peer_sends("a", 1);
        assert_int_equal(tepal_sleep_ms(10 * TIMEOUT), 0);
        assert_int_equal(body_read(&reader, &piece), 1);
    }
    assert_int_equal(reader.waited_ms, 0);
    int64_t begun = tepal_now_ms();
    assert_int_equal(body_read(&reader, &piece), -ETIMEDOUT);
    assert_int_equal(tepal_now_ms(), begun + TIMEOUT);
    assert_int_equal(reader.waited_ms, TIMEOUT);
    close_body();
    return 0;
}

static void a_slow_reader_is_not_the_peer(void **state)
{
    (void)state;
    assert_int_equal(run_fake(read_slowly, NULL), 0);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_has_come_is_dropped),
        TEST(dropping_has_a_bound),
        TEST(dropping_in_parts),
        TEST(over_when_the_peer_has_ended),
        TEST(not_over_while_much_is_unread),
        TEST(over_whatever_is_behind),
        TEST(looking_disturbs_nothing),
        TEST(a_silent_peer),
        TEST(a_slow_peer),
        TEST(a_slow_reader_is_not_the_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
