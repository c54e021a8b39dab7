/* What the tests of TLS share: contexts, and pairs of connections that are encrypted. */
#ifndef TEPAL_TESTS_UNIT_NET_TLS_CHECK_H
#define TEPAL_TESTS_UNIT_NET_TLS_CHECK_H

#include "certificates.h"
#include "sockets.h"

#include "net/tls/tls.h"

/* A context that is in order. */
static inline tepal_tls *new_tls(const tepal_tls_options *options)
{
    tepal_tls *tls = tepal_tls_new(options);
    assert_non_null(tls);
    if (tepal_tls_error(tls) < 0)
        fail_msg("%s", tepal_tls_error_text(tls));
    return tls;
}

static inline tepal_tls *new_server(const char *name)
{
    return new_tls(&(tepal_tls_options){
        .server = true,
        .certificate = certificate_file(name, "crt"),
        .key = certificate_file(name, "key"),
    });
}

static inline tepal_tls *new_client(void)
{
    return new_tls(&(tepal_tls_options){ .ca_file = certificate_file("ca", "crt") });
}

/* --- Handshakes ------------------------------------------------------------------------------- */

struct handshake {
    tepal_conn *conn;
    tepal_tls *tls;
    const char *host;
    int64_t deadline_in; /* 0: none */
    int result;
};

static inline int handshake_main(void *arg)
{
    struct handshake *h = arg;
    if (h->deadline_in)
        (void)tepal_deadline_in_ms(h->deadline_in);
    h->result = tepal_conn_start_tls(h->conn, h->tls, &(tepal_start_tls_options){ h->host });
    return 0;
}

/* Both ends of a connection; the first is the client. */
struct pair {
    struct handshake ends[2];
};

/* Runs the handshakes of both ends at once. What their connections are is set already. */
static inline void shake_both(struct pair *pair)
{
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 2; i++)
        assert_int_equal(tepal_spawn(group, handshake_main, &pair->ends[i], NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
}

/* By Unix sockets, which have no ports: a client takes them all for the same. */
static inline void open_pair(struct pair *pair, tepal_tls *client, tepal_tls *server,
                             const char *host)
{
    tepal_conn *ends[2];
    connect_conns(AF_UNIX, ends);
    pair->ends[0] = (struct handshake){ .conn = ends[0], .tls = client, .host = host };
    pair->ends[1] = (struct handshake){ .conn = ends[1], .tls = server };
    shake_both(pair);
}

static inline void close_pair(struct pair *pair)
{
    tepal_conn_close(pair->ends[0].conn);
    tepal_conn_close(pair->ends[1].conn);
}

/* Something small in each direction. */
static inline void expect_talk(struct pair *pair)
{
    char buffer[16];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tepal_conn_write(pair->ends[i].conn, "hello", 5), 0);
        assert_int_equal(tepal_conn_read(pair->ends[1 - i].conn, buffer, 16), 5);
        assert_memory_equal(buffer, "hello", 5);
    }
}

static inline tepal_tls_info info_of(const tepal_conn *conn)
{
    tepal_tls_info info;
    assert_int_equal(tepal_conn_tls_info(conn, &info), 0);
    return info;
}

/* Both have succeeded, and can talk. Returns what the client knows. */
static inline tepal_tls_info expect_secure(struct pair *pair)
{
    if (pair->ends[0].result < 0 || pair->ends[1].result < 0)
        fail_msg("client: %s (%s), server: %s (%s)", tepal_code_name(pair->ends[0].result),
                 tepal_tls_error_text(pair->ends[0].tls), tepal_code_name(pair->ends[1].result),
                 tepal_tls_error_text(pair->ends[1].tls));
    assert_null(tepal_conn_tls_error_text(pair->ends[0].conn));
    expect_talk(pair);
    return info_of(pair->ends[0].conn);
}

#define TLS_TEST(name) cmocka_unit_test(name)

#endif
