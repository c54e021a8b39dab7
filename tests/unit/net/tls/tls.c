/* Tests of TLS contexts: options and files that are wrong, the choice of a certificate by name and
 * kind of key, reloading, sessions that are kept. */
#include "../tls_check.h"

#include <openssl/err.h>

/* --- Options ---------------------------------------------------------------------------------- */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void bad_options(void **state)
{
    (void)state;
    static const char *const no_names[] = { NULL }, *const empty[] = { "h2", "", NULL };
    char long_name[257] = "";
    const char *const long_names[] = { long_name, NULL };
    memset(long_name, 'x', 256);
    const char *crt = certificate_file("server", "crt"), *key = certificate_file("server", "key");
    const char *garbage = certificate_file("garbage", "crt");
    write_file(garbage, "-----BEGIN CERTIFICATE-----\nnonsense\n");
    make_identity(&(struct identity){ .name = "other", .issuer = "ca" });
    const char *other = certificate_file("other", "key");
    const struct {
        tepal_tls_options options;
        int status;
        const char *text; /* in the error */
    } rows[] = {
        { { 0 }, 0, NULL },
        { { .insecure_no_verify = true, .alpn = no_names }, 0, NULL },
        { { .insecure_no_verify = true, .certificate = crt, .key = key }, 0, NULL },
        { { .server = true, .certificate = crt, .key = key }, 0, NULL },
        { { .insecure_no_verify = true, .min_version = TEPAL_TLS_1_2 }, 0, NULL },
        { { .insecure_no_verify = true, .min_version = TEPAL_TLS_1_3 }, 0, NULL },
        { { .insecure_no_verify = true, .min_version = (tepal_tls_version)11 },
          -EINVAL,
          "version" },
        { { .insecure_no_verify = true, .min_version = (tepal_tls_version)14 },
          -EINVAL,
          "version" },
        { { .server = true }, -EINVAL, "certificate" },
        { { .insecure_no_verify = true, .key = key }, -EINVAL, "certificate" },
        { { .insecure_no_verify = true, .verify_client = true }, -EINVAL, "servers" },
        { { .insecure_no_verify = true, .verify_client_if_any = true }, -EINVAL, "servers" },
        { { .server = true, .certificate = crt, .key = key, .verify_client = true },
          -EINVAL,
          "ca_file" },
        { { .server = true, .certificate = crt, .key = key, .insecure_no_verify = true },
          -EINVAL,
          "clients" },
        { { .insecure_no_verify = true, .alpn = empty }, -EINVAL, "protocol" },
        { { .insecure_no_verify = true, .alpn = long_names }, -EINVAL, "protocol" },
        { { .insecure_no_verify = true, .certificate = "/nonexistent" },
          -ENOENT,
          "/nonexistent: No such file" },
        { { .insecure_no_verify = true, .certificate = crt, .key = "/nonexistent" },
          -ENOENT,
          "/nonexistent: No such file" },
        { { .ca_file = "/nonexistent" }, -ENOENT, "/nonexistent: No such file" },
        { { .ca_dir = "/nonexistent" }, -ENOENT, "/nonexistent: No such file" },
        { { .insecure_no_verify = true, .certificate = garbage, .key = key },
          TEPAL_ECERTIFICATE,
          "garbage.crt: " },
        { { .insecure_no_verify = true, .certificate = key, .key = key },
          TEPAL_ECERTIFICATE,
          "server.key: " },
        { { .insecure_no_verify = true, .certificate = crt },
          TEPAL_ECERTIFICATE,
          "server.crt: " }, /* no key in it */
        { { .ca_file = garbage }, TEPAL_ECERTIFICATE, "garbage.crt: " },
        { { .insecure_no_verify = true, .certificate = crt, .key = other },
          TEPAL_ECERTIFICATE,
          "key values mismatch" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tepal_tls *tls = tepal_tls_new(&rows[i].options);
        assert_non_null(tls);
        if (tepal_tls_error(tls) != rows[i].status)
            fail_msg("row %zu: %s, %s", i, tepal_code_name(tepal_tls_error(tls)),
                     tepal_tls_error_text(tls));
        if (rows[i].text)
            assert_non_null(strstr(tepal_tls_error_text(tls), rows[i].text));
        else
            assert_null(tepal_tls_error_text(tls));
        if (rows[i].status < 0) { /* and it stays so */
            assert_int_equal(tepal_tls_reload(tls), rows[i].status);
            assert_int_equal(tepal_tls_add_certificate(tls, crt, key), rows[i].status);
        }
        tepal_tls_close(tls);
    }
    /* What tepal_tls_new() returns for want of memory. */
    assert_int_equal(tepal_tls_error(NULL), -ENOMEM);
    assert_int_equal(tepal_tls_reload(NULL), -ENOMEM);
    assert_int_equal(tepal_tls_add_certificate(NULL, crt, key), -ENOMEM);
    assert_string_equal(tepal_tls_error_text(NULL), tepal_code_text(-ENOMEM));
    tepal_tls_close(NULL);
}

static int use_a_bad_one(void *arg)
{
    tepal_conn *ends[2];
    (void)arg;
    tepal_tls *tls = tepal_tls_new(&(tepal_tls_options){ .ca_file = "/nonexistent" });
    connect_conns(AF_UNIX, ends);
    assert_int_equal(tepal_conn_start_tls(ends[0], tls, &(tepal_start_tls_options){ "a" }),
                     -ENOENT);
    /* Nothing has happened to the connection. */
    assert_int_equal(tepal_conn_write(ends[0], "x", 1), 0);
    assert_null(tepal_conn_tls_error_text(ends[0]));
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    tepal_tls_close(tls);
    return 0;
}

static void a_bad_context_is_not_used(void **state)
{
    (void)state;
    assert_int_equal(run(use_a_bad_one, NULL), 0);
}

static void passwords(void **state)
{
    (void)state;
    const char *crt = certificate_file("server", "crt"), *path = certificate_file("secret", "key");
    FILE *file = fopen(path, "w");
    assert_true(PEM_write_PKCS8PrivateKey(file, find_identity("server")->key, EVP_aes_128_cbc(),
                                          "open sesame", 11, NULL, NULL));
    fclose(file);
    static const struct {
        const char *password;
        int status;
    } rows[] = { { "open sesame", 0 },
                 { "open", TEPAL_ECERTIFICATE },
                 { NULL, TEPAL_ECERTIFICATE } };
    for (int i = 0; i < 3; i++) {
        tepal_tls *tls = tepal_tls_new(&(tepal_tls_options){
            .server = true, .certificate = crt, .key = path, .key_password = rows[i].password });
        assert_int_equal(tepal_tls_error(tls), rows[i].status);
        tepal_tls_close(tls);
    }
}

/* --- Names ------------------------------------------------------------------------------------ */

/* The subject of the certificate that is shown to a client that asks for this host. */
static void expect_shown(tepal_tls *server, const char *host, const char *subject)
{
    struct pair pair;
    tepal_tls *client = new_tls(&(tepal_tls_options){ .insecure_no_verify = true });
    open_pair(&pair, client, server, host);
    tepal_tls_info info = expect_secure(&pair);
    if (strcmp(info.peer_subject, subject) != 0)
        fail_msg("%s: %s, not %s", host ? host : "(none)", info.peer_subject, subject);
    close_pair(&pair);
    tepal_tls_close(client);
}

static int choose_by_name(void *arg)
{
    (void)arg;
    static const struct identity all[] = {
        { .name = "b", .issuer = "ca", .names = "DNS:b.example,DNS:B2.example" },
        { .name = "wild", .issuer = "ca", .names = "DNS:*.c.example" },
        { .name = "exact", .issuer = "ca", .names = "DNS:x.c.example,DNS:b.example" },
        { .name = "no-names", .issuer = "ca" },
    };
    static const struct {
        const char *host, *subject;
    } rows[] = {
        { "a.example", "CN=server" },  { "b.example", "CN=b" },
        { "B.EXAMPLE.", "CN=b" },      { "b2.example", "CN=b" },
        { "y.c.example", "CN=wild" },  { "x.c.example", "CN=exact" },
        { "c.example", "CN=server" },  { "y.x.c.example", "CN=server" },
        { "unknown", "CN=server" },    { NULL, "CN=server" },
        { "127.0.0.1", "CN=server" },  { "*.c.example", "CN=wild" },
        { ".c.example", "CN=server" },
    };
    tepal_tls *server = new_server("server");
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        make_identity(&all[i]);
        assert_int_equal(
            tepal_tls_add_certificate(server, certificate_file(all[i].name, "pem"), NULL), 0);
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_shown(server, rows[i].host, rows[i].subject);
    /* One that fails changes nothing. */
    assert_int_equal(tepal_tls_add_certificate(server, "/nonexistent", NULL), -ENOENT);
    assert_int_equal(tepal_tls_add_certificate(server, certificate_file("ca", "crt"), NULL),
                     TEPAL_ECERTIFICATE);
    assert_int_equal(tepal_tls_add_certificate(server, NULL, NULL), -EINVAL);
    assert_int_equal(tepal_tls_error(server), 0);
    assert_int_equal(tepal_tls_reload(server), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_shown(server, rows[i].host, rows[i].subject);
    tepal_tls_close(server);
    tepal_tls *client = new_client();
    assert_int_equal(tepal_tls_add_certificate(client, certificate_file("b", "pem"), NULL),
                     -EINVAL);
    assert_int_equal(tepal_tls_error(client), 0);
    tepal_tls_close(client);
    return 0;
}

static void the_name_chooses_the_certificate(void **state)
{
    (void)state;
    assert_int_equal(run(choose_by_name, NULL), 0);
}

/* Two kinds of key for the same names: the client's abilities decide. */
static int choose_by_kind(void *arg)
{
    (void)arg;
    make_identity(&(struct identity){
        .name = "two-ec", .issuer = "ca", .names = "DNS:two.example,DNS:2.example" });
    make_identity(&(struct identity){ .name = "two-ed",
                                      .issuer = "ca",
                                      .kind = "ED25519",
                                      .names = "DNS:2.example,DNS:two.example" });
    tepal_tls *server = new_server("server");
    assert_int_equal(tepal_tls_add_certificate(server, certificate_file("two-ec", "pem"), NULL), 0);
    assert_int_equal(tepal_tls_add_certificate(server, certificate_file("two-ed", "pem"), NULL), 0);
    static const struct {
        const char *algorithms, *subject;
    } rows[] = { { "ecdsa_secp256r1_sha256", "CN=two-ec" }, { "ed25519", "CN=two-ed" } };
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2; i++) {
            struct pair pair;
            tepal_tls *client = new_tls(&(tepal_tls_options){ .insecure_no_verify = true });
            assert_true(SSL_CTX_set1_sigalgs_list(client->sites.sites[0].ctx, rows[i].algorithms));
            open_pair(&pair, client, server, "two.example");
            assert_string_equal(expect_secure(&pair).peer_subject, rows[i].subject);
            close_pair(&pair);
            tepal_tls_close(client);
        }
        assert_int_equal(tepal_tls_reload(server), 0);
    }
    tepal_tls_close(server);
    return 0;
}

static void the_kind_of_key_chooses_the_certificate(void **state)
{
    (void)state;
    assert_int_equal(run(choose_by_kind, NULL), 0);
}

/* --- Reloading -------------------------------------------------------------------------------- */

static int reload(void *arg)
{
    (void)arg;
    uint8_t first[32];
    struct identity id = { .name = "changing", .issuer = "ca", .names = "DNS:localhost" };
    make_identity(&id);
    tepal_tls *server = new_server("changing"), *client = new_client();
    struct pair old, new;
    open_pair(&old, client, server, "localhost");
    memcpy(first, expect_secure(&old).peer_sha256, 32);
    /* Nothing happens before it is told. */
    make_identity(&id);
    open_pair(&new, client, server, "localhost");
    assert_memory_equal(expect_secure(&new).peer_sha256, first, 32);
    close_pair(&new);
    assert_int_equal(tepal_tls_reload(server), 0);
    /* Sessions are over, or they would have the peer's old certificate. */
    open_pair(&new, client, server, "localhost");
    assert_false(expect_secure(&new).resumed);
    assert_memory_not_equal(expect_secure(&new).peer_sha256, first, 32);
    close_pair(&new);
    /* A failure leaves it as it is. */
    write_file(certificate_file("changing", "crt"), "nonsense");
    assert_int_equal(tepal_tls_reload(server), TEPAL_ECERTIFICATE);
    assert_non_null(strstr(tepal_tls_error_text(server), "changing.crt: "));
    unlink(certificate_file("changing", "crt"));
    assert_int_equal(tepal_tls_reload(server), -ENOENT);
    /* Who would open this pipe would wait for somebody who writes. */
    assert_int_equal(mkfifo(certificate_file("changing", "crt"), 0600), 0);
    assert_int_equal(tepal_tls_reload(server), TEPAL_ECERTIFICATE);
    assert_non_null(strstr(tepal_tls_error_text(server), "changing.crt: not a regular file"));
    open_pair(&new, client, server, "localhost");
    expect_secure(&new);
    close_pair(&new);
    expect_talk(&old);
    /* Connections outlive the context. */
    tepal_tls_close(server);
    tepal_tls_close(client);
    expect_talk(&old);
    close_pair(&old);
    return 0;
}

static void reloading(void **state)
{
    (void)state;
    assert_int_equal(run(reload, NULL), 0);
}

/* --- Sessions --------------------------------------------------------------------------------- */

static SSL_SESSION *new_session(int version)
{
    SSL_SESSION *session = SSL_SESSION_new();
    assert_non_null(session);
    assert_true(SSL_SESSION_set_protocol_version(session, version));
    return session;
}

static bool take(struct tls_sessions *sessions, const char *key, SSL_SESSION *expected)
{
    int64_t until;
    SSL_SESSION *session = tls_sessions_take(sessions, key, &until);
    assert_ptr_equal(session, expected);
    SSL_SESSION_free(session);
    return session != NULL;
}

static void sessions_are_kept_by_host(void **state)
{
    (void)state;
    struct tls_sessions sessions = { .max_hosts = 2 };
    list_init(&sessions.hosts);
    SSL_SESSION *all[5];
    for (int i = 0; i < 5; i++)
        all[i] = new_session(i < 4 ? TLS1_3_VERSION : TLS1_2_VERSION);
    /* With TLS 1.3 each is used once, the newest first, and two are kept. */
    assert_false(take(&sessions, "a", NULL));
    for (int i = 0; i < 3; i++)
        assert_true(tls_sessions_keep(&sessions, "a", all[i], INT64_MAX));
    assert_false(take(&sessions, "b", NULL));
    assert_true(take(&sessions, "a", all[2]));
    assert_true(take(&sessions, "a", all[1]));
    assert_false(take(&sessions, "a", NULL));
    assert_int_equal(sessions.n_hosts, 0);
    /* With TLS 1.2 again and again. */
    assert_true(tls_sessions_keep(&sessions, "old", all[4], INT64_MAX));
    assert_true(take(&sessions, "old", all[4]));
    assert_true(tls_sessions_keep(&sessions, "a", all[3], INT64_MAX));
    assert_int_equal(sessions.n_hosts, 2);
    /* The least recently used host goes. */
    assert_true(take(&sessions, "old", all[4]));
    assert_true(tls_sessions_keep(&sessions, "c", new_session(TLS1_3_VERSION), INT64_MAX));
    assert_int_equal(sessions.n_hosts, 2);
    assert_false(take(&sessions, "a", NULL));
    assert_true(take(&sessions, "old", all[4]));
    /* What is not good any more is not given out. */
    assert_true(tls_sessions_keep(&sessions, "late", new_session(TLS1_3_VERSION), 1));
    assert_true(tls_sessions_keep(&sessions, "late", new_session(TLS1_2_VERSION), 1));
    assert_false(take(&sessions, "late", NULL));
    assert_int_equal(sessions.n_hosts, 1);
    /* A failure keeps nothing. */
    SSL_SESSION *unkept = new_session(TLS1_3_VERSION);
    mem_fail_nth(1, 0);
    assert_false(tls_sessions_keep(&sessions, "d", unkept, INT64_MAX));
    mem_fail_nth(0, 0);
    SSL_SESSION_free(unkept);
    tls_sessions_clear(&sessions);
    assert_int_equal(sessions.n_hosts, 0);
}

/* --- Memory ----------------------------------------------------------------------------------- */

/* A certificate that cannot be added for want of memory leaves no trace. */
static void adding_is_all_or_nothing(void **state)
{
    (void)state;
    make_identity(&(struct identity){
        .name = "many", .issuer = "ca", .names = "DNS:1.m,DNS:2.m,DNS:3.m,DNS:4.m,DNS:5.m" });
    for (size_t n = 1;; n++) {
        tepal_tls *server = new_server("server");
        struct tls_sites before = server->sites;
        mem_fail_nth(n, 0);
        int rc = tepal_tls_add_certificate(server, certificate_file("many", "pem"), NULL);
        bool failed = mem_failures() > 0;
        mem_fail_nth(0, 0);
        assert_int_equal(rc, failed ? -ENOMEM : 0);
        if (failed) {
            assert_int_equal(server->sites.n_sites, before.n_sites);
            assert_int_equal(server->sites.n_names, before.n_names);
            assert_int_equal(server->sites.by_name.used, before.by_name.used);
            assert_memory_equal(server->sites.digest, before.digest, TLS_DIGEST_SIZE);
            assert_null(tls_sites_find(&server->sites, "1.m"));
            assert_int_equal(
                tepal_tls_add_certificate(server, certificate_file("many", "pem"), NULL), 0);
        }
        assert_non_null(tls_sites_find(&server->sites, "5.m"));
        tepal_tls_close(server);
        if (!failed)
            return;
    }
}

static void memory_is_short(void **state)
{
    (void)state;
    static const char *const names[] = { "h2", "http/1.1", NULL };
    const tepal_tls_options options = { .server = true,
                                        .certificate = certificate_file("server", "crt"),
                                        .key = certificate_file("server", "key"),
                                        .ca_file = certificate_file("ca", "crt"),
                                        .verify_client = true,
                                        .alpn = names };
    for (size_t n = 1;; n++) {
        mem_fail_nth(n, 0);
        tepal_tls *tls = tepal_tls_new(&options);
        int rc = tls ? tepal_tls_error(tls) : -ENOMEM;
        if (rc == 0)
            rc = tepal_tls_add_certificate(tls, certificate_file("client", "pem"), NULL);
        bool failed = mem_failures() > 0;
        mem_fail_nth(0, 0);
        assert_int_equal(rc, failed ? -ENOMEM : 0);
        tepal_tls_close(tls);
        if (!failed)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(bad_options),
        TLS_TEST(a_bad_context_is_not_used),
        TLS_TEST(passwords),
        TLS_TEST(the_name_chooses_the_certificate),
        TLS_TEST(the_kind_of_key_chooses_the_certificate),
        TLS_TEST(reloading),
        TLS_TEST(sessions_are_kept_by_host),
        TLS_TEST(adding_is_all_or_nothing),
        TLS_TEST(memory_is_short),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
