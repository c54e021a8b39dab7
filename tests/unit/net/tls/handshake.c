/* Tests of the handshake: whom a client and a server accept, what they agree on, and everything
 * that can go wrong or come in between. */
#include "../tls_check.h"

static bool contains(const char *text, const char *part)
{
    return text && strstr(text, part);
}

/* --- Verification ----------------------------------------------------------------------------- */

static void make_more_identities(void)
{
    static const struct identity all[] = {
        { .name = "expired",
          .issuer = "ca",
          .names = "DNS:localhost",
          .from_h = -48,
          .until_h = -1 },
        { .name = "future", .issuer = "ca", .names = "DNS:localhost", .from_h = 1 },
        { .name = "self", .names = "DNS:localhost" },
        { .name = "strange-ca", .is_authority = true },
        { .name = "strange", .issuer = "strange-ca", .names = "DNS:localhost" },
        { .name = "between", .issuer = "ca", .is_authority = true },
        { .name = "chained", .issuer = "between", .names = "DNS:localhost" },
        { .name = "not-ca", .issuer = "server", .names = "DNS:localhost" },
        { .name = "wild", .issuer = "ca", .names = "DNS:*.w.example" },
        { .name = "cn-only.example", .issuer = "ca" },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        make_identity(&all[i]);
}

static int verify_servers(void *arg)
{
    (void)arg;
    static const struct {
        const char *identity, *host, *text; /* of the failure, NULL for none */
    } rows[] = {
        { "server", "localhost", NULL },
        { "server", "A.Example.", NULL },
        { "server", "127.0.0.1", NULL },
        { "server", "::1", NULL },
        { "server", "::1%lo", NULL },
        { "server", "0:0:0:0:0:0:0:1", NULL },
        { "chained", "localhost", NULL },
        { "wild", "x.w.example", NULL },
        { "cn-only.example", "cn-only.example", NULL },
        { "server", "b.example", "hostname mismatch" },
        { "server", "localhost.a.example", "hostname mismatch" },
        { "server", "127.0.0.2", "IP address mismatch" },
        { "server", "::2", "IP address mismatch" },
        { "wild", "w.example", "hostname mismatch" },
        { "wild", "x.y.w.example", "hostname mismatch" },
        { "server", "cn-only.example", "hostname mismatch" },
        { "expired", "localhost", "certificate has expired" },
        { "future", "localhost", "not yet valid" },
        { "self", "localhost", "self-signed certificate" },
        { "strange", "localhost", "unable to get local issuer" },
        { "not-ca", "localhost", "" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair pair;
        tepal_tls *server = new_tls(&(tepal_tls_options){
            .server = true, .certificate = certificate_file(rows[i].identity, "pem") });
        tepal_tls *client = new_client();
        open_pair(&pair, client, server, rows[i].host);
        if (!rows[i].text) {
            tepal_tls_info info = expect_secure(&pair);
            assert_true(info.verified);
            assert_string_equal(info.version, "TLSv1.3");
            assert_false(info_of(pair.ends[1].conn).verified);
            assert_null(info_of(pair.ends[1].conn).peer_subject);
        } else {
            if (pair.ends[0].result != TEPAL_ECERTIFICATE ||
                !contains(tepal_conn_tls_error_text(pair.ends[0].conn), rows[i].text))
                fail_msg("row %zu: %s, %s", i, tepal_code_name(pair.ends[0].result),
                         tepal_tls_error_text(client));
            assert_string_equal(tepal_tls_error_text(client),
                                tepal_conn_tls_error_text(pair.ends[0].conn));
            /* The server is told so. */
            assert_int_equal(pair.ends[1].result, TEPAL_ETLS);
            assert_true(contains(tepal_conn_tls_error_text(pair.ends[1].conn), "alert"));
            /* There is nothing but to close. */
            char octet;
            tepal_tls_info info;
            for (int k = 0; k < 2; k++) {
                tepal_conn *conn = pair.ends[k].conn;
                assert_int_equal(tepal_conn_read(conn, &octet, 1), pair.ends[k].result);
                assert_int_equal(tepal_conn_write(conn, "x", 1), pair.ends[k].result);
                assert_int_equal(tepal_conn_sendfile(conn, 0, 0, 1), pair.ends[k].result);
                assert_int_equal(tepal_conn_shutdown(conn), pair.ends[k].result);
                assert_int_equal(tepal_conn_tls_info(conn, &info), -ENOTCONN);
                assert_int_equal(
                    tepal_conn_start_tls(conn, pair.ends[k].tls, &(tepal_start_tls_options){ "a" }),
                    -EALREADY);
            }
        }
        close_pair(&pair);
        tepal_tls_close(server);
        tepal_tls_close(client);
    }
    return 0;
}

static void clients_verify_servers(void **state)
{
    (void)state;
    make_more_identities();
    assert_int_equal(run(verify_servers, NULL), 0);
}

static int refuse_hosts(void *arg)
{
    (void)arg;
    char long_host[255] = "";
    memset(long_host, 'a', 254);
    const char *const hosts[] = { NULL, "", ".", "a b", "a\nb", "m\xc3\xbcller", long_host };
    tepal_tls *client = new_client();
    tepal_conn *ends[2];
    connect_conns(AF_UNIX, ends);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        tepal_start_tls_options options = { hosts[i] };
        assert_int_equal(tepal_conn_start_tls(ends[0], client, &options), -EINVAL);
        assert_true(contains(tepal_tls_error_text(client), "host"));
    }
    assert_int_equal(tepal_conn_start_tls(ends[0], client, NULL), -EINVAL);
    /* The connection is as it was. */
    assert_int_equal(tepal_conn_write(ends[0], "plain", 5), 0);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    tepal_tls_close(client);
    return 0;
}

static void clients_must_say_whom_they_want(void **state)
{
    (void)state;
    assert_int_equal(run(refuse_hosts, NULL), 0);
}

static int insecure(void *arg)
{
    (void)arg;
    static const char *const hosts[] = { "wrong.example", NULL };
    tepal_tls *server = new_server("self");
    tepal_tls *client = new_tls(&(tepal_tls_options){ .insecure_no_verify = true });
    for (int i = 0; i < 2; i++) {
        struct pair pair;
        open_pair(&pair, client, server, hosts[i]);
        tepal_tls_info info = expect_secure(&pair);
        assert_false(info.verified);
        assert_string_equal(info.peer_subject, "CN=self");
        const char *asked = info_of(pair.ends[1].conn).server_name;
        assert_true(hosts[i] ? strcmp(asked, hosts[i]) == 0 : asked == NULL);
        close_pair(&pair);
    }
    tepal_tls_close(client);
    tepal_tls_close(server);
    return 0;
}

static void verification_can_be_turned_off(void **state)
{
    (void)state;
    assert_int_equal(run(insecure, NULL), 0);
}

static int verify_clients(void *arg)
{
    (void)arg;
    static const struct {
        const char *identity; /* of the client; NULL: none */
        bool required;
        int result; /* of the server */
    } rows[] = {
        { "client", true, 0 },
        { "client", false, 0 },
        { NULL, false, 0 },
        { NULL, true, TEPAL_ECERTIFICATE },
        { "self", true, TEPAL_ECERTIFICATE },
        { "self", false, TEPAL_ECERTIFICATE },
        { "expired", true, TEPAL_ECERTIFICATE },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair pair;
        const char *file = rows[i].identity ? certificate_file(rows[i].identity, "pem") : NULL;
        tepal_tls *server = new_tls(&(tepal_tls_options){
            .server = true,
            .certificate = certificate_file("server", "pem"),
            .ca_file = certificate_file("ca", "crt"),
            .verify_client = rows[i].required,
            .verify_client_if_any = !rows[i].required,
        });
        tepal_tls *client = new_tls(
            &(tepal_tls_options){ .ca_file = certificate_file("ca", "crt"), .certificate = file });
        for (int round = 0; round < 2; round++) { /* the second one resumes */
            open_pair(&pair, client, server, "localhost");
            assert_int_equal(pair.ends[1].result, rows[i].result);
            if (rows[i].result == 0) {
                assert_int_equal(expect_secure(&pair).resumed, round);
                tepal_tls_info info = info_of(pair.ends[1].conn);
                assert_int_equal(info.verified, rows[i].identity != NULL);
                assert_true(rows[i].identity ? strcmp(info.peer_subject, "CN=client") == 0
                                             : info.peer_subject == NULL);
            } else {
                /* With TLS 1.3 a client learns it by its first read. */
                char octet;
                assert_int_equal(pair.ends[0].result, 0);
                assert_int_equal(tepal_conn_read(pair.ends[0].conn, &octet, 1), TEPAL_ETLS);
                assert_true(contains(tepal_conn_tls_error_text(pair.ends[0].conn), "alert"));
                assert_int_equal(tepal_conn_read(pair.ends[0].conn, &octet, 1), TEPAL_ETLS);
            }
            close_pair(&pair);
        }
        tepal_tls_close(server);
        tepal_tls_close(client);
    }
    return 0;
}

static void servers_verify_clients(void **state)
{
    (void)state;
    assert_int_equal(run(verify_clients, NULL), 0);
}

/* --- What is agreed on ------------------------------------------------------------------------ */

static int versions(void *arg)
{
    (void)arg;
    static const struct {
        int client_min, client_max, server_min;
        const char *version; /* NULL: none */
    } rows[] = {
        { TLS1_VERSION, TLS1_1_VERSION, 0, NULL },
        { TLS1_2_VERSION, TLS1_2_VERSION, 0, "TLSv1.2" },
        { TLS1_2_VERSION, TLS1_2_VERSION, TEPAL_TLS_1_2, "TLSv1.2" },
        { TLS1_2_VERSION, TLS1_2_VERSION, TEPAL_TLS_1_3, NULL },
        { TLS1_2_VERSION, 0, TEPAL_TLS_1_3, "TLSv1.3" },
        { TLS1_3_VERSION, TLS1_3_VERSION, 0, "TLSv1.3" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair pair;
        tepal_tls *client = new_client();
        tepal_tls *server =
            new_tls(&(tepal_tls_options){ .server = true,
                                          .certificate = certificate_file("server", "pem"),
                                          .min_version = (tepal_tls_version)rows[i].server_min });
        SSL_CTX *ctx = client->sites.sites[0].ctx;
        SSL_CTX_set_security_level(ctx, 0); /* as an old client would be */
        assert_true(SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0"));
        assert_true(SSL_CTX_set_min_proto_version(ctx, rows[i].client_min));
        assert_true(SSL_CTX_set_max_proto_version(ctx, rows[i].client_max));
        open_pair(&pair, client, server, "localhost");
        if (rows[i].version) {
            assert_string_equal(expect_secure(&pair).version, rows[i].version);
            const char *cipher = info_of(pair.ends[1].conn).cipher;
            assert_true(contains(cipher, "AES_128_GCM") || contains(cipher, "AES128-GCM"));
        } else {
            assert_int_equal(pair.ends[0].result, TEPAL_ETLS);
            assert_int_equal(pair.ends[1].result, TEPAL_ETLS);
        }
        close_pair(&pair);
        tepal_tls_close(client);
        tepal_tls_close(server);
    }
    return 0;
}

static void nothing_old_is_spoken(void **state)
{
    (void)state;
    assert_int_equal(run(versions, NULL), 0);
}

static int protocols(void *arg)
{
    (void)arg;
    static const char *const h1[] = { "http/1.1", NULL },
                             *const both[] = { "h2", "http/1.1", NULL },
                             *const smtp[] = { "smtp", NULL };
    static const struct {
        const char *const *client, *const *server;
        const char *chosen;
        int result;
    } rows[] = {
        { both, both, "h2", 0 },          { h1, both, "http/1.1", 0 }, { both, h1, "http/1.1", 0 },
        { NULL, both, NULL, 0 },          { both, NULL, NULL, 0 },     { NULL, NULL, NULL, 0 },
        { smtp, both, NULL, TEPAL_ETLS },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair pair;
        tepal_tls *client = new_tls(&(tepal_tls_options){ .ca_file = certificate_file("ca", "crt"),
                                                          .alpn = rows[i].client });
        tepal_tls *server =
            new_tls(&(tepal_tls_options){ .server = true,
                                          .certificate = certificate_file("server", "pem"),
                                          .alpn = rows[i].server });
        open_pair(&pair, client, server, "localhost");
        assert_int_equal(pair.ends[0].result, rows[i].result);
        assert_int_equal(pair.ends[1].result, rows[i].result);
        for (int k = 0; k < 2 && rows[i].result == 0; k++) {
            const char *alpn = info_of(pair.ends[k].conn).alpn;
            assert_true(rows[i].chosen ? strcmp(alpn, rows[i].chosen) == 0 : alpn == NULL);
        }
        close_pair(&pair);
        tepal_tls_close(client);
        tepal_tls_close(server);
    }
    return 0;
}

static void the_server_chooses_the_protocol(void **state)
{
    (void)state;
    assert_int_equal(run(protocols, NULL), 0);
}

/* --- Resumption ------------------------------------------------------------------------------- */

static bool resumes(tepal_tls *client, tepal_tls *server, const char *host)
{
    struct pair pair;
    open_pair(&pair, client, server, host);
    bool resumed = expect_secure(&pair).resumed;
    assert_int_equal(info_of(pair.ends[1].conn).resumed, resumed);
    assert_true(info_of(pair.ends[0].conn).verified);
    assert_string_equal(info_of(pair.ends[0].conn).peer_subject, "CN=server");
    close_pair(&pair);
    return resumed;
}

static int resume(void *arg)
{
    int version = *(int *)arg;
    tepal_tls *server = new_server("server"), *client = new_client();
    assert_true(SSL_CTX_set_max_proto_version(client->sites.sites[0].ctx, version));
    assert_false(resumes(client, server, "localhost"));
    for (int i = 0; i < 5; i++)
        assert_true(resumes(client, server, "LOCALHOST."));
    /* Not with another host, though it has the same certificate. */
    assert_false(resumes(client, server, "a.example"));
    assert_true(resumes(client, server, "a.example"));
    assert_false(resumes(client, server, "127.0.0.1"));
    assert_true(resumes(client, server, "localhost"));
    /* A server that does not know the session makes a full handshake. */
    tepal_tls *restarted = new_server("server");
    assert_false(resumes(client, restarted, "localhost"));
    assert_true(resumes(client, restarted, "localhost"));
    tepal_tls_close(restarted);
    /* Other clients have sessions of their own. */
    tepal_tls *other = new_client();
    assert_false(resumes(other, server, "localhost"));
    tepal_tls_close(other);
    tepal_tls_close(client);
    /* It can be turned off on either side. */
    tepal_tls_options options = { .ca_file = certificate_file("ca", "crt"), .no_resumption = true };
    client = new_tls(&options);
    for (int i = 0; i < 2; i++)
        assert_false(resumes(client, server, "localhost"));
    tepal_tls_close(client);
    tepal_tls_close(server);
    options = (tepal_tls_options){ .server = true,
                                   .certificate = certificate_file("server", "pem"),
                                   .no_resumption = true };
    server = new_tls(&options);
    client = new_client();
    for (int i = 0; i < 2; i++)
        assert_false(resumes(client, server, "localhost"));
    assert_int_equal(client->sessions.n_hosts, 0);
    tepal_tls_close(client);
    tepal_tls_close(server);
    return 0;
}

static void sessions_are_resumed(void **state)
{
    (void)state;
    static int all[] = { TLS1_2_VERSION, TLS1_3_VERSION };
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(resume, &all[i]), 0);
}

/* The same name at another port is another server. */
static int other_ports(void *arg)
{
    (void)arg;
    tepal_tls *server = new_server("server"), *client = new_client();
    tepal_listener *listeners[2];
    static const int order[] = { 0, 1, 0, 1 };
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            tepal_listener_open(&listeners[i], &(tepal_listener_options){ .host = "127.0.0.1",
                                                                          .port = TEPAL_ANY_PORT }),
            0);
    for (int i = 0; i < 4; i++) {
        tepal_listener *listener = listeners[order[i]];
        tepal_conn *ends[2];
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct addr addr;
        assert_int_equal(addr_from_ip(&addr, "127.0.0.1", tepal_listener_port(listener)), 0);
        assert_int_equal(connect(fd, &addr.sa, addr.len), 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        ends[0] = open_conn(fd);
        assert_int_equal(tepal_listener_open_conn(listener, &ends[1]), 0);
        struct pair pair = { .ends = { { .conn = ends[0], .tls = client, .host = "localhost" },
                                       { .conn = ends[1], .tls = server } } };
        shake_both(&pair);
        assert_int_equal(expect_secure(&pair).resumed, i >= 2);
        close_pair(&pair);
    }
    for (int i = 0; i < 2; i++)
        tepal_listener_close(listeners[i]);
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void sessions_belong_to_a_port(void **state)
{
    (void)state;
    assert_int_equal(run(other_ports, NULL), 0);
}

/* More than the connection may hold at once, through a narrow socket. */
static int long_chain(void *arg)
{
    (void)arg;
    enum { N = 240 };
    make_identity(&(struct identity){ .name = "long", .issuer = "ca", .names = "DNS:localhost" });
    FILE *file = fopen(certificate_file("long", "pem"), "a");
    assert_non_null(file);
    for (int i = 0; i < N; i++)
        assert_true(PEM_write_X509(file, find_identity("ca")->certificate));
    fclose(file);
    tepal_tls *client = new_client();
    tepal_tls *server = new_tls(
        &(tepal_tls_options){ .server = true, .certificate = certificate_file("long", "pem") });
    tepal_conn *ends[2];
    connect_conns(AF_UNIX, ends);
    int size = 4096;
    assert_int_equal(setsockopt(ends[1]->io.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    struct pair pair = { .ends = { { .conn = ends[0], .tls = client, .host = "localhost" },
                                   { .conn = ends[1], .tls = server } } };
    assert_true(i2d_X509(find_identity("ca")->certificate, NULL) * N > TLS_MANY_UNSENT);
    shake_both(&pair);
    expect_secure(&pair);
    close_pair(&pair);
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void a_long_chain_through_a_narrow_socket(void **state)
{
    (void)state;
    assert_int_equal(run(long_chain, NULL), 0);
}

/* --- Start-TLS -------------------------------------------------------------------------------- */

static int upgrade(void *arg)
{
    (void)arg;
    for (int late = 0; late < 2; late++) {
        tepal_tls *server = new_server("server"), *client = new_client();
        struct pair pair = { .ends = { { .tls = client, .host = "localhost" },
                                       { .tls = server } } };
        tepal_conn *ends[2];
        tepal_tls_info info;
        char buffer[16];
        pair.ends[1].deadline_in = 1000; /* nobody tells the server that it failed */
        connect_conns(AF_UNIX, ends);
        assert_int_equal(tepal_conn_tls_info(ends[0], &info), -ENOTCONN);
        assert_int_equal(tepal_conn_write(ends[0], "STARTTLS", 8), 0);
        assert_int_equal(tepal_conn_read(ends[1], buffer, 16), 8);
        assert_int_equal(tepal_conn_write(ends[1], "go on", 5), 0);
        if (late) /* octets in plain text that come before the handshake are no part of it */
            assert_int_equal(tepal_conn_write(ends[1], "injected", 8), 0);
        assert_int_equal(tepal_conn_read(ends[0], buffer, 5), 5);
        pair.ends[0].conn = ends[0];
        pair.ends[1].conn = ends[1];
        shake_both(&pair);
        if (!late)
            expect_secure(&pair);
        else
            assert_int_equal(pair.ends[0].result, TEPAL_ETLS);
        close_pair(&pair);
        tepal_tls_close(server);
        tepal_tls_close(client);
    }
    return 0;
}

static void a_live_conn_is_upgraded(void **state)
{
    (void)state;
    assert_int_equal(run_fake(upgrade, NULL), 0);
}

/* Octets in plain text that were read ahead are never taken for encrypted ones, but for a handshake
 * that fails; nor is it the other way round for what was put. */
static int injection(void *arg)
{
    (void)arg;
    tepal_tls *client = new_client();
    tepal_start_tls_options options = { "localhost" };
    tepal_conn *ends[2];
    char *line, buffer[16];
    connect_conns(AF_UNIX, ends);
    assert_int_equal(tepal_conn_put(ends[0], "x", 1), 0);
    assert_int_equal(tepal_conn_start_tls(ends[0], client, &options), -EBUSY);
    assert_int_equal(tepal_conn_drain(ends[0]), 0); /* it is as it was */
    assert_int_equal(tepal_conn_write(ends[1], "go on\r\ninjected", 15), 0);
    assert_int_equal(tepal_conn_read_line(ends[0], 100, &line), 5);
    assert_int_equal(tepal_conn_start_tls(ends[0], client, &options), TEPAL_ETLS);
    assert_int_equal(tepal_conn_read(ends[0], buffer, 16), TEPAL_ETLS);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    tepal_tls_close(client);
    return 0;
}

static void plain_text_is_not_mixed_in(void **state)
{
    (void)state;
    assert_int_equal(run(injection, NULL), 0);
}

static int read_one(void *arg)
{
    char octet;
    return (int)tepal_conn_read(arg, &octet, 1);
}

static int busy(void *arg)
{
    (void)arg;
    tepal_conn *ends[2];
    tepal_tls *client = new_client();
    tepal_start_tls_options options = { "localhost" };
    connect_conns(AF_UNIX, ends);
    tepal_group *readers = tepal_group_new(), *others = tepal_group_new();
    assert_int_equal(tepal_spawn(readers, read_one, ends[0], NULL), 0);
    settle();
    assert_int_equal(tepal_conn_start_tls(ends[0], client, &options), -EBUSY);
    tepal_group_close(readers);
    /* And the other way round. */
    struct handshake h = { .conn = ends[0], .tls = client, .host = "localhost" };
    assert_int_equal(tepal_spawn(others, handshake_main, &h, NULL), 0);
    settle();
    assert_int_equal(read_one(ends[0]), -EBUSY);
    assert_int_equal(tepal_conn_write(ends[0], "x", 1), -EBUSY);
    assert_int_equal(tepal_conn_start_tls(ends[0], client, &options), -EALREADY);
    tepal_group_close(others);
    assert_int_equal(h.result, -ECANCELED);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    tepal_tls_close(client);
    return 0;
}

static void other_tasks_are_refused_meanwhile(void **state)
{
    (void)state;
    assert_int_equal(run(busy, NULL), 0);
}

/* --- Peers that do not play along ------------------------------------------------------------- */

static int garbage(void *arg)
{
    (void)arg;
    static const struct {
        const char *data;
        size_t len;     /* 0: that of the text */
        int results[2]; /* of a client, of a server */
    } rows[] = {
        { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0, { TEPAL_ETLS, TEPAL_ETLS } },
        { "\x16\x03\x01\xff\xff garbage garbage", 0, { TEPAL_ETLS, TEPAL_ETLS } },
        { "\x15\x03\x03\x00\x02\x02\x28", 7, { TEPAL_ETLS, TEPAL_ETLS } },    /* an alert */
        { "\x15\x03\x03\x00\x02\x01\x00", 7, { TEPAL_ECLOSED, TEPAL_ETLS } }, /* close_notify */
        { "\x16\x03\x01\x00\x05\x01\x00", 7, { TEPAL_ECLOSED, TEPAL_ECLOSED } },
        { "x", 0, { TEPAL_ECLOSED, TEPAL_ECLOSED } },
        { "", 0, { TEPAL_ECLOSED, TEPAL_ECLOSED } },
    };
    tepal_tls *both[] = { new_client(), new_server("server") };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int k = 0; k < 2; k++) {
            tepal_conn *ends[2];
            size_t len = rows[i].len ? rows[i].len : strlen(rows[i].data);
            connect_conns(AF_UNIX, ends);
            struct handshake h = { .conn = ends[0], .tls = both[k], .host = "a" };
            assert_int_equal(tepal_conn_write(ends[1], rows[i].data, len), 0);
            assert_int_equal(tepal_conn_shutdown(ends[1]), 0);
            handshake_main(&h);
            if (h.result != rows[i].results[k] || !tepal_conn_tls_error_text(ends[0]))
                fail_msg("row %zu, %d: %s", i, k, tepal_code_name(h.result));
            tepal_conn_close(ends[0]);
            tepal_conn_close(ends[1]);
        }
    }
    /* The peer is gone before it begins. */
    for (int k = 0; k < 2; k++) {
        tepal_conn *ends[2];
        connect_conns(AF_INET, ends);
        conn_reset_at_close(ends[1]);
        tepal_conn_close(ends[1]);
        settle();
        struct handshake h = { .conn = ends[0], .tls = both[k], .host = "a" };
        handshake_main(&h);
        assert_true(h.result == -ECONNRESET || h.result == -EPIPE);
        tepal_conn_close(ends[0]);
    }
    tepal_tls_close(both[0]);
    tepal_tls_close(both[1]);
    return 0;
}

static void garbage_instead_of_a_handshake(void **state)
{
    (void)state;
    assert_int_equal(run(garbage, NULL), 0);
}

/* A wire between client and server that passes only so many octets in each direction on, and then
 * stalls or ends. */
struct wire {
    tepal_conn *from, *to;
    size_t left;
    bool ends;
};

static int wire_main(void *arg)
{
    struct wire *w = arg;
    char buffer[256];
    ssize_t n = 0;
    while (w->left > 0) {
        n = tepal_conn_read(w->from, buffer, w->left < sizeof(buffer) ? w->left : sizeof(buffer));
        if (n <= 0 || tepal_conn_write(w->to, buffer, (size_t)n) < 0)
            break;
        w->left -= (size_t)n;
    }
    if (w->left == 0 && w->ends)
        (void)tepal_conn_shutdown(w->to);
    return 0;
}

/* One handshake over such a wire. Returns whether the wire was long enough for both ends. */
static bool shake_over_wire(struct pair *pair, size_t passes, int passing, bool ends)
{
    tepal_conn *left[2], *right[2];
    connect_conns(AF_UNIX, left);
    connect_conns(AF_UNIX, right);
    pair->ends[0].conn = left[0];
    pair->ends[1].conn = right[0];
    struct wire wires[2] = { { .from = left[1], .to = right[1], .left = SIZE_MAX },
                             { .from = right[1], .to = left[1], .left = SIZE_MAX } };
    wires[passing].left = passes;
    wires[passing].ends = ends;
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 2; i++)
        assert_int_equal(tepal_spawn(group, wire_main, &wires[i], NULL), 0);
    shake_both(pair);
    bool done = pair->ends[0].result == 0 && pair->ends[1].result == 0;
    close_pair(pair);
    tepal_group_close(group);
    tepal_conn_close(left[1]);
    tepal_conn_close(right[1]);
    return done;
}

static int bad_wires(void *arg)
{
    (void)arg;
    tepal_tls *server = new_server("server"), *client = new_client();
    for (int passing = 0; passing < 2; passing++) {
        for (int ends = 0; ends < 2; ends++) {
            struct pair pair = { .ends = { { .tls = client, .host = "localhost" },
                                           { .tls = server } } };
            pair.ends[0].deadline_in = pair.ends[1].deadline_in = 5000;
            int cut = ends ? TEPAL_ECLOSED : -ETIMEDOUT;
            size_t step = RUNNING_ON_VALGRIND ? 211 : 17;
            for (size_t n = 0; !shake_over_wire(&pair, n, passing, ends); n += step) {
                int results[] = { pair.ends[0].result, pair.ends[1].result };
                assert_true(results[1 - passing] == cut);
                /* The other one waits for an answer, or needs none. */
                assert_true(results[passing] == 0 || results[passing] == -ETIMEDOUT);
                assert_true(n < 5000);
            }
        }
    }
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void peers_that_stall_or_go_at_each_octet(void **state)
{
    (void)state;
    assert_int_equal(run_fake(bad_wires, NULL), 0);
}

/* --- Interruption ----------------------------------------------------------------------------- */

static tepal_tls *endless_tls;

/* As a client: waits for the first answer. As a server: for the first octet. */
static int endless_handshake(void *arg)
{
    (void)arg;
    tepal_conn *ends[2];
    connect_conns(AF_UNIX, ends);
    int rc = tepal_conn_start_tls(ends[0], endless_tls, &(tepal_start_tls_options){ "a" });
    if (ends[0]->tls) /* once begun it cannot go on */
        assert_int_equal(ends[0]->tls->write_error, rc);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return rc;
}

/* The same, while what it has to say does not go. */
static int stuffed_handshake(void *arg)
{
    tepal_conn *ends[2];
    static char octets[1 << 16];
    connect_conns(AF_UNIX, ends);
    while (send(ends[0]->io.fd, octets, sizeof(octets), MSG_DONTWAIT) > 0)
        continue;
    int rc = tepal_conn_start_tls(ends[0], endless_tls, &(tepal_start_tls_options){ "a" });
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    (void)arg;
    return rc;
}

static int interrupt_all(void *arg)
{
    (void)arg;
    endless_tls = new_client();
    expect_interruptible(endless_handshake, NULL);
    expect_interruptible(stuffed_handshake, NULL);
    tepal_tls_close(endless_tls);
    endless_tls = new_server("server");
    expect_interruptible(endless_handshake, NULL);
    tepal_tls_close(endless_tls);
    return 0;
}

static void the_handshake_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_all, NULL), 0);
}

static int short_of_memory(void *arg)
{
    (void)arg;
    static const char *const names[] = { "h2", NULL };
    tepal_tls *server = new_tls(&(tepal_tls_options){
        .server = true, .certificate = certificate_file("server", "pem"), .alpn = names });
    tepal_tls *client =
        new_tls(&(tepal_tls_options){ .ca_file = certificate_file("ca", "crt"), .alpn = names });
    bool failed = true;
    for (size_t n = 1; failed; n++) {
        tepal_conn *ends[2];
        connect_conns(AF_UNIX, ends);
        struct pair pair = { .ends = { { .conn = ends[0], .tls = client, .host = "localhost" },
                                       { .conn = ends[1], .tls = server } } };
        pair.ends[0].deadline_in = pair.ends[1].deadline_in = 1000;
        tepal_group *group = tepal_group_new();
        for (int i = 0; i < 2; i++)
            assert_int_equal(tepal_spawn(group, handshake_main, &pair.ends[i], NULL), 0);
        mem_fail_nth(n, 0);
        assert_int_equal(tepal_group_wait(group), 0);
        failed = mem_failures() > 0;
        mem_fail_nth(0, 0);
        if (failed)
            assert_true(pair.ends[0].result == -ENOMEM || pair.ends[1].result == -ENOMEM ||
                        (pair.ends[0].result == 0 && pair.ends[1].result == 0));
        else
            expect_secure(&pair);
        tepal_group_close(group);
        close_pair(&pair);
    }
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void memory_is_short(void **state)
{
    (void)state;
    assert_int_equal(run_fake(short_of_memory, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(clients_verify_servers),
        TLS_TEST(clients_must_say_whom_they_want),
        TLS_TEST(verification_can_be_turned_off),
        TLS_TEST(servers_verify_clients),
        TLS_TEST(nothing_old_is_spoken),
        TLS_TEST(the_server_chooses_the_protocol),
        TLS_TEST(sessions_are_resumed),
        TLS_TEST(sessions_belong_to_a_port),
        TLS_TEST(a_long_chain_through_a_narrow_socket),
        TLS_TEST(a_live_conn_is_upgraded),
        TLS_TEST(plain_text_is_not_mixed_in),
        TLS_TEST(other_tasks_are_refused_meanwhile),
        TLS_TEST(garbage_instead_of_a_handshake),
        TLS_TEST(peers_that_stall_or_go_at_each_octet),
        TLS_TEST(the_handshake_can_be_interrupted),
        TLS_TEST(memory_is_short),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
