/* Tests of the program's own check of certificates: when it is asked, what it is shown, and what
 * becomes of its word. */
#include "../async/misuse.h"
#include "tls_check.h"

/* What the check has been asked, and what it says. */
static struct check {
    int n_calls, n_resumed;
    int result;
    int result_resumed;
    const char *reason;
    bool waits;
    /* Of the latest call. */
    bool verified, has_host;
    char host[64], problem[64], subject[64], names[200];
    size_t n_chain;
    uint8_t sha256[32], key_sha256[32], first[32];
} checked;

static int verify(tepal_tls_peer *peer, void *arg)
{
    struct check *c = arg;
    assert_null(peer->reason);
    c->n_calls++;
    c->n_resumed += peer->resumed;
    c->verified = peer->verified;
    assert_int_equal(peer->problem == NULL, peer->verified);
    c->has_host = peer->host;
    snprintf(c->host, sizeof(c->host), "%s", peer->host ? peer->host : "");
    snprintf(c->problem, sizeof(c->problem), "%s", peer->problem ? peer->problem : "");
    snprintf(c->subject, sizeof(c->subject), "%s", peer->subject);
    c->names[0] = '\0';
    for (const char *const *name = peer->names; *name; name++)
        strcat(strcat(c->names, *name), "|");
    c->n_chain = peer->n_chain;
    memcpy(c->sha256, peer->sha256, 32);
    memcpy(c->key_sha256, peer->key_sha256, 32);
    EVP_Digest(peer->chain[0].data, peer->chain[0].len, c->first, NULL, EVP_sha256(), NULL);
    peer->reason = c->reason;
    if (c->waits)
        (void)tepal_sleep_ms(1);
    return peer->resumed ? c->result_resumed : c->result;
}

static void reset(int result, const char *reason)
{
    checked = (struct check){ .result = result, .reason = reason };
}

static tepal_tls *new_checking_client(bool alone, const char *ca)
{
    return new_tls(&(tepal_tls_options){
        .insecure_no_verify = alone, .ca_file = ca, .verify = verify, .verify_arg = &checked });
}

static const char *ca_file(void)
{
    return certificate_file("ca", "crt");
}

/* The digest of the key in a certificate. */
static void key_digest(const char *name, uint8_t *out)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(find_identity(name)->key, &der);
    assert_true(len > 0);
    EVP_Digest(der, (size_t)len, out, NULL, EVP_sha256(), NULL);
    OPENSSL_free(der);
}

/* --- Clients ---------------------------------------------------------------------------------- */

static int after_verification(void *arg)
{
    struct pair pair;
    (void)arg;
    tepal_tls *client = new_checking_client(false, ca_file());
    tepal_tls *server = new_server("rich");
    reset(0, NULL);
    open_pair(&pair, client, server, "A.example.");
    tepal_tls_info info = expect_secure(&pair);
    assert_true(info.verified);
    assert_int_equal(checked.n_calls, 1);
    assert_true(checked.verified);
    assert_string_equal(checked.host, "a.example");
    assert_string_equal(checked.subject, "CN=rich");
    assert_string_equal(checked.names, "DNS:a.example|IP:192.0.2.1|IP:2001:db8::1|"
                                       "email:me@a.example|URI:urn:x:1|");
    assert_int_equal(checked.n_chain, 3); /* up to the authority, which the server does not send */
    assert_memory_equal(checked.sha256, info.peer_sha256, 32);
    assert_memory_equal(checked.first, info.peer_sha256, 32);
    uint8_t key[32];
    key_digest("rich", key);
    assert_memory_equal(checked.key_sha256, key, 32);
    close_pair(&pair);
    /* It is not asked about what is wrong anyhow. */
    open_pair(&pair, client, server, "b.example");
    assert_int_equal(pair.ends[0].result, TEPAL_ECERTIFICATE);
    assert_int_equal(checked.n_calls, 1);
    close_pair(&pair);
    tepal_tls_close(client);
    tepal_tls_close(server);
    return 0;
}

static int refusing(void *arg)
{
    static char long_reason[300];
    memset(long_reason, 'r', sizeof(long_reason) - 1);
    static const struct {
        int result;
        const char *reason, *text;
    } rows[] = {
        { -EPERM, "not pinned", "not pinned" },
        { TEPAL_ECERTIFICATE, NULL, "certificate not accepted" },
        { -EACCES, NULL, "Permission denied" },
        { -EAGAIN, "come back", "come back" }, /* means no wait */
        { -ENOBUFS, NULL, "No buffer space available" },
        { -1000000, long_reason, long_reason },
    };
    (void)arg;
    tepal_tls *server = new_server("server");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair pair;
        tepal_tls *client = new_checking_client(i % 2, ca_file());
        reset(rows[i].result, rows[i].reason);
        open_pair(&pair, client, server, "localhost");
        assert_int_equal(pair.ends[0].result, rows[i].result);
        const char *text = tepal_conn_tls_error_text(pair.ends[0].conn);
        assert_int_equal(strncmp(text, rows[i].text, 200), 0);
        assert_true(strlen(text) <= 200);
        assert_string_equal(tepal_tls_error_text(client), text);
        assert_int_equal(pair.ends[1].result, TEPAL_ETLS); /* the server is told */
        assert_non_null(strstr(tepal_conn_tls_error_text(pair.ends[1].conn), "bad certificate"));
        assert_int_equal(checked.n_calls, 1);
        close_pair(&pair);
        tepal_tls_close(client);
    }
    tepal_tls_close(server);
    return 0;
}

static int alone(void *arg)
{
    static const struct {
        const char *identity, *host, *problem;
        bool has_ca;
    } rows[] = {
        { "self", "localhost", "self-signed certificate", false },
        { "self", NULL, "self-signed certificate", false },
        { "server", "localhost", "unable to get local issuer certificate", false },
        { "server", "localhost", "", true },
        { "server", "wrong.example", "hostname mismatch", true },
        { "server", NULL, "there is no host that it must be for", true },
    };
    (void)arg;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair pair;
        tepal_tls *server = new_server(rows[i].identity);
        tepal_tls *client = new_checking_client(true, rows[i].has_ca ? ca_file() : NULL);
        reset(0, NULL);
        open_pair(&pair, client, server, rows[i].host);
        assert_false(expect_secure(&pair).verified);
        assert_int_equal(checked.n_calls, 1);
        assert_int_equal(checked.verified, !*rows[i].problem);
        assert_string_equal(checked.problem, rows[i].problem);
        assert_int_equal(checked.has_host, rows[i].host != NULL);
        assert_memory_equal(checked.first, checked.sha256, 32);
        close_pair(&pair);
        tepal_tls_close(client);
        tepal_tls_close(server);
    }
    return 0;
}

static void clients(void **state)
{
    (void)state;
    make_identity(&(struct identity){ .name = "self", .names = "DNS:localhost" });
    make_identity(&(struct identity){ .name = "between", .issuer = "ca", .is_authority = true });
    make_identity(&(struct identity){ .name = "rich",
                                      .issuer = "between",
                                      .names = "DNS:a.example,IP:192.0.2.1,IP:2001:db8::1,"
                                               "email:me@a.example,URI:urn:x:1,RID:1.2.3.4" });
    assert_int_equal(run(after_verification, NULL), 0);
    assert_int_equal(run(refusing, NULL), 0);
    assert_int_equal(run(alone, NULL), 0);
}

/* --- Servers ---------------------------------------------------------------------------------- */

static tepal_tls *new_checking_server(bool if_any, const char *ca)
{
    return new_tls(&(tepal_tls_options){ .server = true,
                                         .certificate = certificate_file("server", "pem"),
                                         .ca_file = ca,
                                         .verify_client = !if_any,
                                         .verify_client_if_any = if_any,
                                         .verify = verify,
                                         .verify_arg = &checked });
}

static tepal_tls *new_showing_client(const char *name)
{
    return new_tls(&(tepal_tls_options){
        .ca_file = ca_file(), .certificate = name ? certificate_file(name, "pem") : NULL });
}

static int verify_clients(void *arg)
{
    static const struct {
        const char *identity; /* of the client */
        bool has_ca, if_any;
        int result, says; /* of the server, and of its check */
        int n_calls;
        bool verified;
    } rows[] = {
        { "client", true, false, 0, 0, 1, true },
        { "client", true, false, -EACCES, -EACCES, 1, true },
        { "self", true, false, TEPAL_ECERTIFICATE, 0, 0, false },
        { "self", false, false, 0, 0, 1, false },
        { "self", false, true, -EPERM, -EPERM, 1, false },
        { NULL, false, true, 0, -EPERM, 0, false },
        { NULL, false, false, TEPAL_ECERTIFICATE, 0, 0, false },
    };
    (void)arg;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair pair;
        tepal_tls *server = new_checking_server(rows[i].if_any, rows[i].has_ca ? ca_file() : NULL);
        tepal_tls *client = new_showing_client(rows[i].identity);
        reset(rows[i].says, NULL);
        open_pair(&pair, client, server, "localhost");
        assert_int_equal(pair.ends[1].result, rows[i].result);
        assert_int_equal(checked.n_calls, rows[i].n_calls);
        assert_int_equal(checked.verified, rows[i].verified);
        if (rows[i].n_calls > 0)
            assert_string_equal(checked.host, "localhost");
        if (rows[i].result == 0) {
            expect_secure(&pair);
            assert_int_equal(info_of(pair.ends[1].conn).verified, rows[i].verified);
        }
        close_pair(&pair);
        tepal_tls_close(client);
        tepal_tls_close(server);
    }
    return 0;
}

static void servers(void **state)
{
    (void)state;
    assert_int_equal(run(verify_clients, NULL), 0);
}

/* --- Sessions --------------------------------------------------------------------------------- */

/* One connection. Returns whether it was resumed. */
static bool connect_once(tepal_tls *client, tepal_tls *server)
{
    struct pair pair;
    checked.n_calls = checked.n_resumed = 0;
    open_pair(&pair, client, server, "localhost");
    tepal_tls_info info = expect_secure(&pair);
    assert_int_equal(info.resumed, info_of(pair.ends[1].conn).resumed);
    close_pair(&pair);
    return info.resumed;
}

/* The check of either side is asked before a session is resumed, with what was known of it. */
static int resume(void *arg)
{
    bool by_server = arg;
    for (int has_ca = 0; has_ca < 2; has_ca++) {
        const char *ca = has_ca ? ca_file() : NULL;
        tepal_tls *client =
            by_server ? new_showing_client("client") : new_checking_client(!has_ca, ca);
        tepal_tls *server = by_server ? new_checking_server(false, ca) : new_server("server");
        reset(0, NULL);
        assert_false(connect_once(client, server));
        assert_true(connect_once(client, server));
        assert_int_equal(checked.n_calls, 1);
        assert_int_equal(checked.n_resumed, 1);
        assert_int_equal(checked.verified, has_ca);
        assert_int_equal(checked.n_chain, 1);
        assert_string_equal(checked.subject, by_server ? "CN=client" : "CN=server");
        assert_string_equal(checked.host, "localhost");
        /* A refusal is none of the peer: it is looked at again. */
        checked.result_resumed = -EPERM;
        assert_false(connect_once(client, server));
        assert_int_equal(checked.n_resumed, 1);
        assert_int_equal(checked.n_calls, 2);
        assert_false(checked.n_resumed == checked.n_calls);
        tepal_tls_close(client);
        tepal_tls_close(server);
    }
    return 0;
}

static void sessions(void **state)
{
    (void)state;
    assert_int_equal(run(resume, NULL), 0);
    assert_int_equal(run(resume, &checked), 0);
}

/* --- Misuse and shortage ---------------------------------------------------------------------- */

static void options(void **state)
{
    (void)state;
    const char *pem = certificate_file("server", "pem");
    tepal_tls *tls =
        tepal_tls_new(&(tepal_tls_options){ .server = true, .certificate = pem, .verify = verify });
    assert_int_equal(tepal_tls_error(tls), -EINVAL);
    assert_non_null(strstr(tepal_tls_error_text(tls), "verify_client"));
    tepal_tls_close(tls);
}

static int wait_in_it(void *arg)
{
    struct pair pair;
    (void)arg;
    tepal_tls *client = new_checking_client(false, ca_file()), *server = new_server("server");
    reset(0, NULL);
    checked.waits = true;
    open_pair(&pair, client, server, "localhost");
    return 0;
}

/* Closes its end when it fails, so that the other one does not wait. */
static int shake_or_close(void *arg)
{
    struct handshake *h = arg;
    (void)handshake_main(h);
    if (h->result < 0) {
        tepal_conn_close(h->conn);
        h->conn = NULL;
    }
    return 0;
}

static int without_memory(void *arg)
{
    bool by_server = arg;
    tepal_tls *client =
        by_server ? new_showing_client("client") : new_checking_client(false, ca_file());
    tepal_tls *server = by_server ? new_checking_server(false, ca_file()) : new_server("server");
    size_t failed = 1;
    for (size_t n = 1; failed > 0; n++) {
        struct pair pair;
        tepal_conn *ends[2];
        connect_conns(AF_UNIX, ends);
        pair.ends[0] = (struct handshake){ .conn = ends[0], .tls = client, .host = "localhost" };
        pair.ends[1] = (struct handshake){ .conn = ends[1], .tls = server };
        tepal_group *group = tepal_group_new();
        for (int i = 0; i < 2; i++)
            assert_int_equal(tepal_spawn(group, shake_or_close, &pair.ends[i], NULL), 0);
        reset(0, NULL);
        mem_fail_nth(n, false);
        assert_int_equal(tepal_group_wait(group), 0);
        failed = mem_failures();
        mem_fail_nth(0, 0);
        tepal_group_close(group);
        for (int i = 0; i < 2 && failed == 0; i++)
            assert_int_equal(pair.ends[i].result, 0);
        close_pair(&pair);
        assert_true(n < 1000);
    }
    assert_int_equal(checked.n_calls, 1);
    tepal_tls_close(client);
    tepal_tls_close(server);
    return 0;
}

static void bounds(void **state)
{
    (void)state;
    expect_misuse(wait_in_it, "tepal_sleep_ms: must be called from a task");
    assert_int_equal(run(without_memory, NULL), 0);
    assert_int_equal(run(without_memory, &checked), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(clients), TLS_TEST(servers), TLS_TEST(sessions),
        TLS_TEST(options), TLS_TEST(bounds),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
