/* Tests of TLS where connections are made: tepal_conn_open() and tepal_listener_serve() with a
 * context. */
#include "../tls_check.h"

#include <tepal/tls.h>

struct service {
    tepal_tls *client, *server;
    tepal_listener *listener;
    tepal_listener_serve_options options;
    tepal_group *group;
    int n_served;
};

/* Says what the connection is encrypted with. */
static void greet(tepal_conn *conn, void *arg)
{
    struct service *s = arg;
    tepal_tls_info info;
    s->n_served++;
    if (tepal_conn_tls_info(conn, &info) == 0)
        (void)tepal_conn_write(conn, info.version, strlen(info.version));
}

static int serve_main(void *arg)
{
    struct service *s = arg;
    return tepal_listener_serve(s->listener, greet, s, &s->options);
}

static void start(struct service *s)
{
    tepal_listener_options where = { .host = "127.0.0.1", .port = TEPAL_ANY_PORT };
    s->client = new_client();
    s->server = new_server("server");
    s->options.tls = s->server;
    assert_int_equal(tepal_listener_open(&s->listener, &where), 0);
    s->group = tepal_group_new();
    assert_int_equal(tepal_spawn(s->group, serve_main, s, NULL), 0);
}

static void stop(struct service *s)
{
    tepal_group_close(s->group);
    tepal_listener_close(s->listener);
    tepal_tls_close(s->server);
    tepal_tls_close(s->client);
}

static int connect_to(struct service *s, tepal_conn **conn, const char *host, tepal_tls *tls)
{
    tepal_conn_options options = { .tls = tls, .family = AF_INET };
    return tepal_conn_open(conn, host, tepal_listener_port(s->listener), &options);
}

static int greeted(void *arg)
{
    static const char *const hosts[] = { "localhost", "127.0.0.1" };
    struct service s = { .n_served = 0 };
    tepal_conn *conn;
    char buffer[20];
    start(&s);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(connect_to(&s, &conn, hosts[i], s.client), 0);
        assert_int_equal(tepal_conn_read(conn, buffer, sizeof(buffer)), 7);
        assert_memory_equal(buffer, "TLSv1.3", 7);
        assert_int_equal(tepal_conn_read(conn, buffer, sizeof(buffer)), 0);
        assert_true(info_of(conn).verified);
        tepal_conn_close(conn);
    }
    assert_int_equal(s.n_served, 2);
    stop(&s);
    (void)arg;
    return 0;
}

static void both_sides_encrypt(void **state)
{
    (void)state;
    assert_int_equal(run(greeted, NULL), 0);
}

/* Neither the program nor its other clients hear of it. */
static int refused(void *arg)
{
    struct service s = { .n_served = 0 };
    tepal_conn *conn;
    char octet;
    start(&s);
    tepal_tls *stranger =
        new_tls(&(tepal_tls_options){ .ca_file = certificate_file("other", "crt") });
    assert_int_equal(connect_to(&s, &conn, "localhost", stranger), TEPAL_ECERTIFICATE);
    assert_non_null(tepal_tls_error_text(stranger));
    tepal_tls_close(stranger);
    assert_int_equal(connect_to(&s, &conn, "127.0.0.1", NULL), 0);
    assert_int_equal(tepal_conn_write(conn, "GET / HTTP/1.1\r\n\r\n", 18), 0);
    while (tepal_conn_read(conn, &octet, 1) > 0) /* an alert, and the end */
        continue;
    tepal_conn_close(conn);
    assert_int_equal(s.n_served, 0);
    assert_int_equal(connect_to(&s, &conn, "localhost", s.client), 0);
    assert_int_equal(tepal_conn_read(conn, &octet, 1), 1);
    tepal_conn_close(conn);
    stop(&s);
    (void)arg;
    return 0;
}

static void failed_handshakes_end_one_connection(void **state)
{
    (void)state;
    assert_int_equal(run(refused, NULL), 0);
}

static char told[4][512];
static int n_told;

static void keep_told(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    if (level == TEPAL_LOG_INFO && n_told < 4)
        snprintf(told[n_told++], sizeof(told[0]), "%s", text);
}

static void fail_handshake(struct service *s, const char *octets)
{
    tepal_conn *conn;
    char octet;
    assert_int_equal(connect_to(s, &conn, "127.0.0.1", NULL), 0);
    assert_int_equal(tepal_conn_write(conn, octets, strlen(octets)), 0);
    assert_int_equal(tepal_conn_shutdown(conn), 0);
    while (tepal_conn_read(conn, &octet, 1) > 0)
        continue;
    tepal_conn_close(conn);
}

/* The first one has a line; those that follow at once are counted in the next. */
static int told_in_log(void *arg)
{
    struct service s = { .n_served = 0 };
    start(&s);
    tepal_log_set_fn(keep_told, NULL);
    n_told = 0;
    fail_handshake(&s, ""); /* only looks whether the port is open */
    assert_int_equal(n_told, 0);
    for (int i = 0; i < 5; i++)
        fail_handshake(&s, "GET / HTTP/1.1\r\n\r\n");
    assert_int_equal(n_told, 1);
    assert_non_null(strstr(told[0], "the TLS handshake with 127.0.0.1:"));
    assert_non_null(strstr(told[0], " failed: http request"));
    assert_int_equal(tepal_sleep_ms(10 * 1000), 0);
    fail_handshake(&s, "\x16\x03\x01");
    tepal_log_set_fn(NULL, NULL);
    assert_int_equal(n_told, 2);
    assert_non_null(strstr(told[1], "; 4 more since the last such line"));
    stop(&s);
    (void)arg;
    return 0;
}

static void failed_handshakes_are_told(void **state)
{
    (void)state;
    assert_int_equal(run_fake(told_in_log, NULL), 0);
}

/* A client that says nothing has its time, and no more. */
static int silent(void *arg)
{
    static const int64_t times[][2] = { { 0, 10 * 1000 }, { 300, 300 } };
    for (int i = 0; i < 2; i++) {
        struct service s = { .options.handshake_timeout_ms = times[i][0] };
        tepal_conn *conn;
        char octet;
        start(&s);
        assert_int_equal(connect_to(&s, &conn, "127.0.0.1", NULL), 0);
        int64_t none = tepal_deadline_in_ms(times[i][1] - 10);
        assert_int_equal(tepal_conn_read(conn, &octet, 1), -ETIMEDOUT);
        tepal_deadline_move_ms(none, 20);
        assert_int_equal(tepal_conn_read(conn, &octet, 1), 0);
        tepal_deadline_restore(none);
        tepal_conn_close(conn);
        assert_int_equal(s.n_served, 0);
        stop(&s);
    }
    (void)arg;
    return 0;
}

static void handshakes_have_their_time(void **state)
{
    (void)state;
    assert_int_equal(run_fake(silent, NULL), 0);
}

static int without_certificate(void *arg)
{
    struct service s = { .n_served = 0 };
    tepal_listener_options where = { .host = "127.0.0.1", .port = TEPAL_ANY_PORT };
    tepal_tls *tls = tepal_tls_new(&(tepal_tls_options){ .server = true, .certificate = "/none" });
    assert_int_equal(tepal_listener_open(&s.listener, &where), 0);
    s.options.tls = tls;
    assert_int_equal(tepal_listener_serve(s.listener, greet, &s, &s.options), -ENOENT);
    tepal_listener_close(s.listener);
    tepal_tls_close(tls);
    (void)arg;
    return 0;
}

static void bad_contexts_do_not_serve(void **state)
{
    (void)state;
    assert_int_equal(run(without_certificate, NULL), 0);
}

static int setup(void **state)
{
    make_certificates(state);
    make_identity(&(struct identity){ .name = "other", .is_authority = true });
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(both_sides_encrypt),         TLS_TEST(failed_handshakes_end_one_connection),
        TLS_TEST(failed_handshakes_are_told), TLS_TEST(handshakes_have_their_time),
        TLS_TEST(bad_contexts_do_not_serve),
    };
    return cmocka_run_group_tests(tests, setup, remove_certificates);
}
