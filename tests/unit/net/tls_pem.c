/* Tests of certificates, keys and authorities that are given as text and not as files. */
#include "tls_check.h"

/* A file's content; valid for the next 8 calls. */
static const char *text_of(const char *name, const char *suffix)
{
    static char texts[8][16384];
    static unsigned next;
    char *text = texts[next++ % 8];
    FILE *file = fopen(certificate_file(name, suffix), "r");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof(texts[0]) - 1, file);
    text[n] = '\0';
    fclose(file);
    return text;
}

static int talk(void *arg)
{
    struct pair pair;
    (void)arg;
    /* Both sides have nothing but texts; that of the certificate may have the key, too. */
    for (int together = 0; together < 2; together++) {
        tepal_tls_options options = {
            .server = true,
            .certificate = text_of("chained", together ? "pem" : "crt"),
            .key = together ? NULL : text_of("chained", "key"),
            .ca_file = text_of("ca", "crt"),
            .verify_client = true,
        };
        tepal_tls *server = new_tls(&options);
        options.server = options.verify_client = false;
        options.certificate = text_of("client", together ? "pem" : "crt");
        options.key = together ? NULL : text_of("client", "key");
        tepal_tls *client = new_tls(&options);
        open_pair(&pair, client, server, "localhost");
        assert_true(expect_secure(&pair).verified);
        assert_true(info_of(pair.ends[1].conn).verified);
        close_pair(&pair);
        /* Reading the files again has none to read; sessions live on. */
        assert_int_equal(tepal_tls_reload(server), 0);
        assert_int_equal(tepal_tls_reload(client), 0);
        open_pair(&pair, client, server, "localhost");
        assert_true(expect_secure(&pair).resumed);
        close_pair(&pair);
        /* Who is not in the text is not trusted. */
        tepal_tls *stranger =
            new_tls(&(tepal_tls_options){ .ca_file = text_of("stranger", "crt") });
        open_pair(&pair, stranger, server, "localhost");
        assert_int_equal(pair.ends[0].result, TEPAL_ECERTIFICATE);
        close_pair(&pair);
        tepal_tls_close(stranger);
        tepal_tls_close(client);
        tepal_tls_close(server);
    }
    return 0;
}

/* Several authorities, with other things between them; more certificates of a server. */
static int several(void *arg)
{
    struct pair pair;
    char both[40000];
    (void)arg;
    snprintf(both, sizeof(both), "some words\n%s\nand\n%s", text_of("stranger", "pem"),
             text_of("ca", "crt"));
    tepal_tls *client = new_tls(&(tepal_tls_options){ .ca_file = both });
    tepal_tls *server =
        new_tls(&(tepal_tls_options){ .server = true, .certificate = text_of("server", "pem") });
    assert_int_equal(
        tepal_tls_add_certificate(server, text_of("other", "crt"), text_of("other", "key")), 0);
    static const char *const hosts[] = { "localhost", "other.example" };
    for (int i = 0; i < 2; i++) {
        open_pair(&pair, client, server, hosts[i]);
        assert_true(expect_secure(&pair).verified);
        close_pair(&pair);
    }
    /* One that fails leaves all as it was. */
    assert_int_equal(tepal_tls_add_certificate(server, text_of("other", "crt"), NULL),
                     TEPAL_ECERTIFICATE);
    assert_int_equal(tepal_tls_reload(server), 0);
    tepal_tls_close(client);
    tepal_tls_close(server);
    return 0;
}

static void texts(void **state)
{
    (void)state;
    make_identity(&(struct identity){ .name = "between", .issuer = "ca", .is_authority = true });
    make_identity(
        &(struct identity){ .name = "chained", .issuer = "between", .names = "DNS:localhost" });
    make_identity(&(struct identity){ .name = "stranger", .is_authority = true });
    make_identity(
        &(struct identity){ .name = "other", .issuer = "stranger", .names = "DNS:other.example" });
    assert_int_equal(run(talk, NULL), 0);
    assert_int_equal(run(several, NULL), 0);
}

static void expect_bad(tepal_tls_options options, const char *text)
{
    tepal_tls *tls = tepal_tls_new(&options);
    assert_int_equal(tepal_tls_error(tls), TEPAL_ECERTIFICATE);
    if (!strstr(tepal_tls_error_text(tls), text))
        fail_msg("%s", tepal_tls_error_text(tls));
    /* Nothing of a text, which may be a key, is in the message. */
    assert_null(strstr(tepal_tls_error_text(tls), "BEGIN"));
    tepal_tls_close(tls);
}

static void bad_texts(void **state)
{
    (void)state;
    static const char nonsense[] = "-----BEGIN CERTIFICATE-----\nnonsense\n";
    const char *crt = text_of("server", "crt"), *key = text_of("server", "key");
    expect_bad((tepal_tls_options){ .certificate = nonsense }, "the certificate in memory: ");
    expect_bad((tepal_tls_options){ .certificate = crt }, "the key in memory: ");
    expect_bad((tepal_tls_options){ .certificate = crt, .key = crt }, "the key in memory: ");
    expect_bad((tepal_tls_options){ .certificate = crt, .key = text_of("client", "key") },
               "the key in memory: ");
    expect_bad((tepal_tls_options){ .certificate = key }, "the certificate in memory: ");
    expect_bad((tepal_tls_options){ .ca_file = nonsense }, "the authorities in memory: ");
    expect_bad((tepal_tls_options){ .ca_file = key }, "the authorities in memory: ");
    /* A file and a text go together. */
    tepal_tls *tls = tepal_tls_new(&(tepal_tls_options){
        .certificate = certificate_file("server", "crt"), .key = key, .ca_file = crt });
    assert_int_equal(tepal_tls_error(tls), 0);
    tepal_tls_close(tls);
}

static char *encrypted_key(void)
{
    static char text[4096];
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio_PrivateKey(bio, find_identity("server")->key, EVP_aes_128_cbc(), NULL,
                                         0, NULL, (void *)(uintptr_t) "secret"));
    int n = BIO_read(bio, text, sizeof(text) - 1);
    assert_true(n > 0);
    text[n] = '\0';
    BIO_free(bio);
    return text;
}

static void passwords(void **state)
{
    (void)state;
    static const char *const rows[] = { "secret", "wrong", NULL };
    for (int i = 0; i < 3; i++) {
        tepal_tls *tls =
            tepal_tls_new(&(tepal_tls_options){ .certificate = text_of("server", "crt"),
                                                .key = encrypted_key(),
                                                .key_password = rows[i] });
        assert_int_equal(tepal_tls_error(tls), i == 0 ? 0 : TEPAL_ECERTIFICATE);
        tepal_tls_close(tls);
    }
}

static void without_memory(void **state)
{
    (void)state;
    size_t failed = 1;
    for (size_t n = 1; failed > 0; n++) {
        mem_fail_nth(n, false);
        tepal_tls *tls =
            tepal_tls_new(&(tepal_tls_options){ .server = true,
                                                .certificate = text_of("server", "pem"),
                                                .ca_file = text_of("ca", "crt"),
                                                .verify_client = true });
        failed = mem_failures();
        mem_fail_nth(0, 0);
        assert_int_equal(tepal_tls_error(tls), failed > 0 ? -ENOMEM : 0);
        tepal_tls_close(tls);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(texts),
        TLS_TEST(bad_texts),
        TLS_TEST(passwords),
        TLS_TEST(without_memory),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
