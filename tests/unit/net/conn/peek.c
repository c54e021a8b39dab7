/* Tests of looking at what has come without taking it: at every length, at the end, in front of the
 * other calls that read, and in front of a handshake. */
#include "../tls_check.h"

#include "net/conn/buffers.h"

static int families[] = { AF_INET, AF_UNIX };
static tepal_conn *ends[2];

static void open_ends(int family)
{
    if (family == AF_UNIX)
        assert_int_equal(tepal_conn_open_pair(&ends[0], &ends[1]), 0);
    else
        connect_conns(family, ends);
}

static void close_ends(void)
{
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
}

/* --- One connection --------------------------------------------------------------------------- */

struct look {
    size_t n;
    ssize_t result;
    bool ended;
};

static int look(void *arg)
{
    struct look *l = arg;
    const char *data;
    l->result = tepal_conn_peek(ends[0], l->n, &data);
    l->ended = true;
    return 0;
}

static int look_and_read(void *arg)
{
    const char *data, *again;
    char buffer[16], *line;
    open_ends(*(int *)arg);
    struct look l = { .n = 5 };
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, look, &l, NULL), 0);
    settle();
    assert_null(ends[0]->buffers->in.data); /* who waits needs none */
    assert_int_equal(tepal_conn_write(ends[1], "hell", 4), 0);
    settle();
    assert_false(l.ended);
    assert_int_equal(tepal_conn_peek(ends[0], 1, &data), -EBUSY);
    assert_int_equal(tepal_conn_write(ends[1], "o\nyou", 5), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(l.result, 9);
    tepal_group_close(group);
    /* As often as one likes, and all that there is. */
    assert_int_equal(tepal_conn_peek(ends[0], 1, &data), 9);
    assert_string_equal(data, "hello\nyou");
    assert_int_equal(tepal_conn_peek(ends[0], 9, &again), 9);
    assert_string_equal(again, "hello\nyou");
    /* All calls that read get them. */
    assert_int_equal(tepal_conn_read(ends[0], buffer, 2), 2);
    assert_memory_equal(buffer, "he", 2);
    assert_int_equal(tepal_conn_peek(ends[0], 1, &data), 7);
    assert_string_equal(data, "llo\nyou");
    assert_int_equal(tepal_conn_read_line(ends[0], 10, &line), 3);
    assert_string_equal(line, "llo");
    assert_int_equal(tepal_conn_peek(ends[0], 3, &data), 3);
    assert_string_equal(data, "you");
    assert_int_equal(tepal_conn_write(ends[1], "!", 1), 0);
    assert_int_equal(tepal_conn_read_exactly(ends[0], buffer, 4), 0);
    assert_memory_equal(buffer, "you!", 4);
    assert_int_equal(tepal_conn_peek(ends[0], 0, &data), -EINVAL);
    /* Fewer at the end, and none. */
    assert_int_equal(tepal_conn_write(ends[1], "end", 3), 0);
    assert_int_equal(tepal_conn_shutdown(ends[1]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tepal_conn_peek(ends[0], 5, &data), 3);
        assert_string_equal(data, "end");
    }
    assert_int_equal(tepal_conn_read(ends[0], buffer, 16), 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tepal_conn_peek(ends[0], 1, &data), 0);
        assert_string_equal(data, "");
    }
    assert_int_equal(tepal_conn_read(ends[0], buffer, 16), 0);
    close_ends();
    return 0;
}

static void octets_stay(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(look_and_read, &families[i]), 0);
}

static char large[2 * TEPAL_MAX_PEEK];

static int write_large(void *arg)
{
    (void)arg;
    return tepal_conn_write(ends[1], large, sizeof(large));
}

/* At, below and above the sizes where the buffer grows, and the limit. */
static int look_at_much(void *arg)
{
    static char buffer[sizeof(large)];
    size_t sizes[] = { 1,     LOOP_BUFFER_SIZE - 1, LOOP_BUFFER_SIZE, LOOP_BUFFER_SIZE + 1,
                       20000, TEPAL_MAX_PEEK - 1,   TEPAL_MAX_PEEK };
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)(i % 251);
    open_ends(*(int *)arg);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, write_large, NULL, NULL), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const char *data;
        ssize_t n = tepal_conn_peek(ends[0], sizes[i], &data);
        assert_true(n >= (ssize_t)sizes[i]);
        assert_memory_equal(data, large, (size_t)n);
        assert_int_equal(data[n], '\0');
        if (sizes[i] == TEPAL_MAX_PEEK)
            assert_true(n <= TEPAL_MAX_PEEK + 1);
    }
    const char *data;
    assert_int_equal(tepal_conn_peek(ends[0], TEPAL_MAX_PEEK + 1, &data), -EMSGSIZE);
    assert_int_equal(tepal_conn_read_exactly(ends[0], buffer, sizeof(buffer)), 0);
    assert_memory_equal(buffer, large, sizeof(large));
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    close_ends();
    return 0;
}

static void many_octets(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(look_at_much, &families[i]), 0);
}

static int look_without_memory(void *arg)
{
    const char *data;
    char buffer[16];
    (void)arg;
    for (size_t nth = 1; nth < 2; nth++) {
        open_ends(AF_UNIX);
        assert_int_equal(tepal_conn_write(ends[1], "abc", 3), 0);
        mem_fail_nth(nth, 0);
        assert_int_equal(tepal_conn_peek(ends[0], 1, &data), -ENOMEM);
        mem_fail_nth(0, 0);
        assert_int_equal(tepal_conn_peek(ends[0], 1, &data), 3);
        assert_int_equal(tepal_conn_read(ends[0], buffer, 16), 3);
        close_ends();
    }
    return 0;
}

static void memory_is_short(void **state)
{
    (void)state;
    assert_int_equal(run(look_without_memory, NULL), 0);
}

static int look_for_ever(void *arg)
{
    const char *data;
    (void)arg;
    return (int)tepal_conn_peek(ends[0], 4, &data);
}

static int cut_short(void *arg)
{
    char buffer[16];
    (void)arg;
    open_ends(AF_UNIX);
    assert_int_equal(tepal_conn_write(ends[1], "abc", 3), 0);
    expect_interruptible(look_for_ever, NULL);
    assert_int_equal(tepal_conn_read(ends[0], buffer, 16), 3);
    close_ends();
    return 0;
}

static void a_look_can_be_cut_short(void **state)
{
    (void)state;
    assert_int_equal(run_fake(cut_short, NULL), 0);
}

/* --- TLS -------------------------------------------------------------------------------------- */

/* A server that looks at what a client begins with, in plain text, then begins TLS, and looks
 * again. */
struct server {
    tepal_tls *tls;
    size_t n;     /* to look at */
    bool proxied; /* a line comes before it */
    int family;
};

static int serve(void *arg)
{
    struct server *s = arg;
    const char *data;
    char *line;
    if (s->proxied) {
        assert_int_equal(tepal_conn_read_line(ends[1], 100, &line), 18);
        assert_string_equal(line, "PROXY TCP4 1.2.3.4");
    }
    ssize_t n = tepal_conn_peek(ends[1], s->n, &data);
    assert_true(n >= (ssize_t)s->n);
    assert_int_equal(data[0], 0x16); /* a record of a handshake */
    int rc = tepal_conn_start_tls(ends[1], s->tls, NULL);
    if (rc < 0)
        return rc;
    assert_false(conn_has_unread(ends[1]));
    assert_int_equal(tepal_conn_peek(ends[1], 3, &data), 5);
    assert_string_equal(data, "hell\n");
    assert_int_equal(tepal_conn_read_line(ends[1], 10, &line), 4);
    assert_string_equal(line, "hell");
    return 0;
}

static int look_before_tls(void *arg)
{
    struct server *s = arg;
    tepal_tls *client = new_client();
    s->tls = new_server("server");
    connect_conns(s->family, ends);
    tepal_group *group = tepal_group_new();
    if (s->proxied)
        assert_int_equal(tepal_conn_put(ends[0], "PROXY TCP4 1.2.3.4\r\n", 20), 0);
    assert_int_equal(tepal_conn_drain(ends[0]), 0);
    assert_int_equal(tepal_spawn(group, serve, s, NULL), 0);
    tepal_start_tls_options options = { "localhost" };
    assert_int_equal(tepal_conn_start_tls(ends[0], client, &options), 0);
    assert_int_equal(tepal_conn_write(ends[0], "hell\n", 5), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    close_ends();
    tepal_tls_close(s->tls);
    tepal_tls_close(client);
    return 0;
}

static void tls_begins_with_what_was_seen(void **state)
{
    (void)state;
    size_t sizes[] = { 1, 5, 100 };
    for (int i = 0; i < 12; i++) {
        struct server server = { .n = sizes[i % 3],
                                 .proxied = i / 3 % 2,
                                 .family = families[i / 6] };
        assert_int_equal(run(look_before_tls, &server), 0);
    }
}

/* Closed with all that was seen: nothing is left behind. */
static int close_before_tls(void *arg)
{
    const char *data;
    tepal_tls *server = new_server("server");
    (void)arg;
    open_ends(AF_UNIX);
    assert_int_equal(tepal_conn_write(ends[1], "\x16\x03\x01\x02", 4), 0);
    assert_int_equal(tepal_conn_peek(ends[0], 4, &data), 4);
    struct handshake h = { .conn = ends[0], .tls = server };
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, handshake_main, &h, NULL), 0);
    settle();
    tepal_conn_close(ends[0]);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(h.result, -ECANCELED);
    tepal_group_close(group);
    tepal_conn_close(ends[1]);
    tepal_tls_close(server);
    return 0;
}

static void a_handshake_that_was_begun_is_closed(void **state)
{
    (void)state;
    assert_int_equal(run(close_before_tls, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(octets_stay),
        cmocka_unit_test(many_octets),
        cmocka_unit_test(memory_is_short),
        cmocka_unit_test(a_look_can_be_cut_short),
        cmocka_unit_test(tls_begins_with_what_was_seen),
        cmocka_unit_test(a_handshake_that_was_begun_is_closed),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
