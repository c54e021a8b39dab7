/* Tests of the input buffer of a connection: growing, what stays in place, and waiting for more. */
#include "http_pair.h"

#include <tepal/http_error.h>

/* The least room behind a head that a body is read into; see input.c. */
enum { MIN_ROOM = 4096 };

static char text[8 * LOOP_BUFFER_SIZE];

/* Lets the peer send as many octets of the pattern, from that place on, and takes them all. */
static void receive(size_t len, size_t from)
{
    fill_pattern(text, len, from);
    while (len > 0) {
        ssize_t sent = send(peer, text, len, MSG_NOSIGNAL);
        assert_true(sent > 0);
        fill_pattern(text, len -= (size_t)sent, from += (size_t)sent);
        while (sent > 0) {
            see_input();
            ssize_t n = h1_conn_try_fill(&http);
            assert_true(n > 0 || n == -EAGAIN);
            sent -= n > 0 ? n : 0;
        }
    }
}

/* --- Growing ---------------------------------------------------------------------------------- */

static int take_a_buffer(void *family)
{
    open_http(*(int *)family);
    assert_int_equal(h1_conn_try_fill(&http), -EAGAIN);
    assert_null(http.in); /* a connection that has nothing to say has none */
    assert_int_equal(h1_conn_reserve_input(&http), 0);
    assert_int_equal(http.in_cap, LOOP_BUFFER_SIZE);
    assert_int_equal(buffers_in_use(), 1);
    char *in = http.in;
    http.in_end = LOOP_BUFFER_SIZE - 1;
    assert_int_equal(h1_conn_reserve_input(&http), 0); /* one octet more has room */
    assert_ptr_equal(http.in, in);
    assert_int_equal(http.in_end, LOOP_BUFFER_SIZE - 1);
    h1_conn_release_input(&http);
    assert_null(http.in);
    assert_int_equal(http.in_start + http.in_end + http.in_cap, 0);
    assert_int_equal(buffers_in_use(), 0);
    h1_conn_release_input(&http); /* none is none */
    close_http();
    return 0;
}

static void a_buffer_while_it_is_needed(void **state)
{
    (void)state;
    each_family(take_a_buffer);
}

/* Fills a buffer that may have max octets. It takes max or, when that is less, what each buffer
 * has. */
static int fill_up(void *arg)
{
    uint32_t max = *(uint32_t *)arg,
             full = max > LOOP_BUFFER_SIZE ? max : (uint32_t)LOOP_BUFFER_SIZE;
    open_http(AF_UNIX);
    limits.max_input = max;
    receive(full - 1, 0);
    assert_int_equal(h1_conn_reserve_input(&http), 0);
    receive(1, full - 1);
    assert_int_equal(http.in_end, full);
    assert_int_equal(http.in_cap, full);
    peer_sends("x", 1);
    see_input();
    assert_int_equal(h1_conn_try_fill(&http), -ENOBUFS);
    assert_int_equal(h1_conn_reserve_input(&http), -ENOBUFS);
    assert_pattern(http.in, full, 0);
    assert_int_equal(buffers_in_use(), full == LOOP_BUFFER_SIZE ? 1 : 0);
    /* Where a request has been used there is room again, without a larger buffer. */
    h1_conn_pin_head(&http, 7);
    h1_conn_unpin_head(&http);
    assert_int_equal(h1_conn_try_fill(&http), 1);
    assert_int_equal(http.in_cap, full);
    assert_int_equal(http.in_start, 0);
    assert_int_equal(http.in_end, full - 7 + 1);
    assert_pattern(http.in, full - 7, 7);
    assert_int_equal(http.in[full - 7], 'x');
    close_http();
    return 0;
}

static void up_to_max_input(void **state)
{
    (void)state;
    static uint32_t max[] = { 1,
                              LOOP_BUFFER_SIZE - 1,
                              LOOP_BUFFER_SIZE,
                              LOOP_BUFFER_SIZE + 1,
                              2 * LOOP_BUFFER_SIZE - 1,
                              2 * LOOP_BUFFER_SIZE,
                              2 * LOOP_BUFFER_SIZE + 1,
                              4 * LOOP_BUFFER_SIZE,
                              4 * LOOP_BUFFER_SIZE + 5 };
    for (size_t i = 0; i < sizeof(max) / sizeof(max[0]); i++)
        assert_int_equal(run_fake(fill_up, &max[i]), 0);
}

/* It doubles, so that a head that comes octet by octet is not copied for each of them. */
static int grow_by_doubling(void *family)
{
    uint32_t caps[10], n = 0;
    open_http(*(int *)family);
    limits.max_input = 5 * LOOP_BUFFER_SIZE;
    for (size_t i = 0; i < 5 * LOOP_BUFFER_SIZE; i += 1024) {
        receive(1024, i);
        if (n == 0 || http.in_cap != caps[n - 1])
            caps[n++] = http.in_cap;
    }
    assert_int_equal(n, 4);
    assert_int_equal(caps[0], LOOP_BUFFER_SIZE);
    assert_int_equal(caps[1], 2 * LOOP_BUFFER_SIZE);
    assert_int_equal(caps[2], 4 * LOOP_BUFFER_SIZE);
    assert_int_equal(caps[3], 5 * LOOP_BUFFER_SIZE);
    assert_pattern(http.in, 5 * LOOP_BUFFER_SIZE, 0);
    h1_conn_release_input(&http); /* also one that is none of the loop's */
    close_http();
    return 0;
}

static void growing_doubles(void **state)
{
    (void)state;
    each_family(grow_by_doubling);
}

static int run_short_of_memory(void *family)
{
    open_http(*(int *)family);
    peer_sends("a", 1);
    see_input();
    mem_fail_nth(1, 0);
    assert_int_equal(h1_conn_try_fill(&http), -ENOMEM);
    assert_int_equal(mem_failures(), 1);
    mem_fail_nth(0, 0);
    assert_null(http.in);
    assert_int_equal(h1_conn_try_fill(&http), 1); /* the octet has waited */
    http.in_end = 0;
    receive(LOOP_BUFFER_SIZE, 0);
    peer_sends("b", 1);
    see_input();
    mem_fail_nth(1, 0);
    assert_int_equal(h1_conn_try_fill(&http), -ENOMEM);
    assert_int_equal(mem_failures(), 1);
    mem_fail_nth(0, 0);
    assert_int_equal(http.in_cap, LOOP_BUFFER_SIZE);
    assert_pattern(http.in, LOOP_BUFFER_SIZE, 0);
    assert_int_equal(h1_conn_try_fill(&http), 1);
    assert_pattern(http.in, LOOP_BUFFER_SIZE, 0);
    assert_int_equal(http.in[LOOP_BUFFER_SIZE], 'b');
    close_http();
    return 0;
}

static void shortage_of_memory(void **state)
{
    (void)state;
    each_family(run_short_of_memory);
}

/* --- The end ---------------------------------------------------------------------------------- */

static int see_the_end(void *family)
{
    open_http(*(int *)family);
    peer_sends("abc", 3);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    see_input();
    assert_int_equal(h1_conn_try_fill(&http), 3);
    assert_memory_equal(http.in, "abc", 3);
    assert_int_equal(h1_conn_try_fill(&http), 0);
    assert_int_equal(h1_conn_try_fill(&http), 0); /* it stays the end */
    assert_int_equal(http.in_end, 3);
    close_http();
    return 0;
}

static void the_end_of_the_stream(void **state)
{
    (void)state;
    each_family(see_the_end);
}

static int see_a_reset(void *arg)
{
    open_http(AF_INET);
    reset_fd(peer);
    peer = -1;
    see_input();
    assert_int_equal(h1_conn_try_fill(&http), -ECONNRESET);
    assert_int_equal(http.in_end, 0);
    close_http();
    (void)arg;
    return 0;
}

static void a_reset_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(run_fake(see_a_reset, NULL), 0);
}

/* --- A head that stays where it is ------------------------------------------------------------ */

/* Takes a head of that length, and whatever is behind it as used. */
static char *take_head(uint32_t len)
{
    receive(len, 0);
    h1_conn_pin_head(&http, len);
    assert_int_equal(http.in_start, len);
    return http.in;
}

/* A body behind a head of that length: behind it in the same buffer, if there is room enough. */
static int read_body_behind(uint32_t head_len, uint32_t cap, bool same)
{
    open_http(AF_UNIX);
    limits.max_input = cap;
    char *head = take_head(head_len);
    assert_int_equal(http.in_cap, cap);
    for (size_t i = 0; i < 3; i++) { /* each takes the place of the one before */
        fill_pattern(text, 1000, 77 + i);
        peer_sends(text, 1000);
        see_input();
        assert_int_equal(h1_conn_try_fill_body(&http, head_len), 1);
        assert_int_equal(http.in == head, same);
        assert_int_equal(work.pinned == head, !same);
        assert_int_equal(http.in_start, same ? head_len : 0);
        assert_int_equal(http.in_end - http.in_start, 1000);
        assert_pattern(http.in + http.in_start, 1000, 77 + i);
        assert_pattern(head, head_len, 0);
        http.in_start = http.in_end;
    }
    assert_int_equal(h1_conn_try_fill_body(&http, head_len), -EAGAIN);
    assert_pattern(head, head_len, 0);
    h1_conn_unpin_head(&http);
    assert_null(work.pinned);
    assert_int_equal(http.in_start + http.in_end, 0);
    close_http();
    return 0;
}

static int read_bodies(void *arg)
{
    enum { CAP = LOOP_BUFFER_SIZE, LARGE = 3 * LOOP_BUFFER_SIZE };
    (void)arg;
    read_body_behind(10, CAP, true);
    read_body_behind(CAP - MIN_ROOM - 1, CAP, true);
    read_body_behind(CAP - MIN_ROOM, CAP, true);
    read_body_behind(CAP - MIN_ROOM + 1, CAP, false);
    read_body_behind(CAP, CAP, false);
    read_body_behind(LARGE - MIN_ROOM, LARGE, true); /* a buffer that has grown */
    return read_body_behind(LARGE - MIN_ROOM + 1, LARGE, false);
}

static void a_body_leaves_the_head_alone(void **state)
{
    (void)state;
    assert_int_equal(run_fake(read_bodies, NULL), 0);
}

static int unpin(void *arg)
{
    open_http(AF_UNIX);
    char *head = take_head(10);
    receive(5, 10); /* the next request is behind it */
    h1_conn_unpin_head(&http);
    assert_ptr_equal(http.in, head);
    assert_int_equal(http.in_start, 10);
    assert_int_equal(http.in_end, 15);
    assert_pattern(http.in + 10, 5, 10);
    close_http();
    /* A connection that is closed in the middle gives both buffers back, as one without a task
     * does. */
    for (int working = 0; working < 2; working++) {
        open_http(AF_UNIX);
        take_head(LOOP_BUFFER_SIZE);
        peer_sends("abc", 3);
        see_input();
        assert_int_equal(h1_conn_try_fill_body(&http, LOOP_BUFFER_SIZE), 1);
        assert_int_equal(buffers_in_use(), 2);
        if (!working) {
            h1_conn_unpin_head(&http);
            assert_int_equal(buffers_in_use(), 1);
            http.work = NULL;
        }
        h1_conn_release_input(&http);
        assert_int_equal(buffers_in_use(), 0);
        close_http();
    }
    (void)arg;
    return 0;
}

static void the_head_goes(void **state)
{
    (void)state;
    assert_int_equal(run_fake(unpin, NULL), 0);
}

/* Takes all buffers that the loop can have without more memory, or gives them back. */
static void hold_idle_buffers(bool on)
{
    static char *held[64];
    static size_t n;
    for (; on && loop_current->buffers.idle.n > 0; n++)
        held[n] = block_take(&loop_current->buffers);
    while (!on && n > 0)
        block_give(&loop_current->buffers, held[--n]);
}

static int no_memory_for_a_body(void *arg)
{
    open_http(AF_UNIX);
    char *head = take_head(LOOP_BUFFER_SIZE);
    char octet;
    assert_int_equal(conn_try_read(&http.conn, &octet, 1), -EAGAIN);
    assert_int_equal(h1_conn_try_fill_body(&http, LOOP_BUFFER_SIZE), -EAGAIN);
    assert_null(work.pinned); /* nothing is taken for what has not come */
    peer_sends("abc", 3);
    see_input();
    hold_idle_buffers(true);
    for (int i = 0; i < 2; i++) {
        mem_fail_nth(1, 0);
        assert_int_equal(h1_conn_try_fill_body(&http, LOOP_BUFFER_SIZE), -ENOMEM);
        assert_int_equal(mem_failures(), 1);
        assert_ptr_equal(http.in, head);
        assert_null(work.pinned);
        mem_fail_nth(0, 0);
    }
    assert_int_equal(h1_conn_try_fill_body(&http, LOOP_BUFFER_SIZE), 1);
    assert_memory_equal(http.in, "abc", 3);
    assert_pattern(head, LOOP_BUFFER_SIZE, 0);
    hold_idle_buffers(false);
    close_http();
    (void)arg;
    return 0;
}

static void no_memory_behind_a_head(void **state)
{
    (void)state;
    assert_int_equal(run_fake(no_memory_for_a_body, NULL), 0);
}

/* --- Waiting ---------------------------------------------------------------------------------- */

enum { HEAD = 10 };

static int fill_body(void *timeout_ms)
{
    return h1_conn_fill_body(&http, HEAD, *(int64_t *)timeout_ms);
}

static int wait_for_a_body(void *family)
{
    int64_t never = TEPAL_NEVER, soon = 100;
    open_http(*(int *)family);
    take_head(HEAD);
    struct beside reader;
    begin_beside(&reader, fill_body, &never);
    assert_int_equal(fill_body(&soon), -EBUSY); /* one at a time */
    peer_sends("ab", 2);
    assert_int_equal(result_of(&reader), 1);
    assert_int_equal(http.in_end - http.in_start, 2);
    assert_memory_equal(http.in + HEAD, "ab", 2);
    /* What is there is not waited for; what does not come is, for its time and no more. */
    peer_sends("c", 1);
    see_input();
    int64_t before = tepal_now_ms();
    assert_int_equal(fill_body(&soon), 1);
    assert_int_equal(tepal_now_ms(), before);
    assert_int_equal(fill_body(&soon), -ETIMEDOUT);
    assert_int_equal(tepal_now_ms(), before + 100);
    /* Readiness that turns out to be none is waited on. */
    http.conn.io.state |= IO_READ;
    assert_int_equal(fill_body(&soon), -ETIMEDOUT);
    assert_int_equal(tepal_now_ms(), before + 200);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    assert_int_equal(fill_body(&never), TEPAL_ECLOSED);
    assert_int_equal(fill_body(&never), TEPAL_ECLOSED);
    assert_int_equal(h1_conn_try_fill_body(&http, HEAD), TEPAL_ECLOSED);
    close_http();
    return 0;
}

static void waiting_for_a_body(void **state)
{
    (void)state;
    each_family(wait_for_a_body);
}

/* What came while the process was held has come in time. */
static int look_once_more(void *family)
{
    int64_t soon = 100;
    open_http(*(int *)family);
    take_head(HEAD);
    struct beside reader;
    begin_beside(&reader, fill_body, &soon);
    peer_sends("ab", 2);
    hold(3600 * 1000);
    assert_int_equal(result_of(&reader), 1);
    assert_memory_equal(http.in + HEAD, "ab", 2);
    begin_beside(&reader, fill_body, &soon);
    hold(3600 * 1000);
    assert_int_equal(result_of(&reader), -ETIMEDOUT);
    close_http();
    return 0;
}

static void a_held_process_looks_once_more(void **state)
{
    (void)state;
    each_family(look_once_more);
}

static int interrupt(void *family)
{
    int64_t never = TEPAL_NEVER, soon = 100;
    open_http(*(int *)family);
    take_head(HEAD);
    struct beside reader;
    begin_beside(&reader, fill_body, &never);
    assert_int_equal(cancelled_result(&reader), -ECANCELED);
    /* The task's own time is over, not that of the peer: it is no reason to look once more. */
    int64_t before = tepal_deadline_in_ms(50), begun = tepal_now_ms();
    assert_int_equal(fill_body(&soon), -ETIMEDOUT);
    assert_int_equal(tepal_now_ms(), begun + 50);
    peer_sends("ab", 2);
    assert_int_equal(fill_body(&soon), -ETIMEDOUT);
    assert_int_equal(http.in_end, http.in_start);
    tepal_deadline_restore(before);
    assert_int_equal(fill_body(&soon), 1); /* nothing is lost by either */
    assert_memory_equal(http.in + HEAD, "ab", 2);
    close_http();
    return 0;
}

static void interruptions_lose_nothing(void **state)
{
    (void)state;
    each_family(interrupt);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_buffer_while_it_is_needed),
        TEST(up_to_max_input),
        TEST(growing_doubles),
        TEST(shortage_of_memory),
        TEST(the_end_of_the_stream),
        TEST(a_reset_is_an_error),
        TEST(a_body_leaves_the_head_alone),
        TEST(the_head_goes),
        TEST(no_memory_behind_a_head),
        TEST(waiting_for_a_body),
        TEST(a_held_process_looks_once_more),
        TEST(interruptions_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
