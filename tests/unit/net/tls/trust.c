/* Tests of what becomes of trust: read from files, withdrawn by a reload, over with time, or kept
 * in sessions that are resumed. */
#include "../tls_check.h"

#include <dirent.h>
#include <time.h>

/* The calendar of this process, OpenSSL's part of it too: as late as a test wants. */
static int64_t time_offset;

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time_t late = now.tv_sec + (time_t)time_offset;
    if (out)
        *out = late;
    return late;
}

/* --- Files and contexts ----------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
    char buffer[65536];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    assert_true(in && out);
    size_t n = fread(buffer, 1, sizeof(buffer), in);
    assert_int_equal(fwrite(buffer, 1, n, out), n);
    fclose(in);
    fclose(out);
}

/* Lets the file that a context names as its authorities be that of this identity. */
static void trust(const char *authority)
{
    copy_file(certificate_file(authority, "crt"), certificate_file("trusted", "crt"));
}

static tepal_tls *new_verifying_server(void)
{
    return new_tls(&(tepal_tls_options){ .server = true,
                                         .certificate = certificate_file("server", "crt"),
                                         .key = certificate_file("server", "key"),
                                         .ca_file = certificate_file("trusted", "crt"),
                                         .verify_client = true });
}

static tepal_tls *new_client_with(const char *certificate)
{
    return new_tls(&(tepal_tls_options){ .ca_file = certificate_file("ca", "crt"),
                                         .certificate = certificate_file(certificate, "pem") });
}

static void speak(tepal_tls *client, int version)
{
    assert_true(SSL_CTX_set_max_proto_version(client->sites.sites[0].ctx, version));
}

/* Whether a new connection is by an earlier session. Both ends are content with it. */
static bool resumes(tepal_tls *client, tepal_tls *server)
{
    struct pair pair;
    open_pair(&pair, client, server, "localhost");
    bool resumed = expect_secure(&pair).resumed;
    assert_int_equal(info_of(pair.ends[1].conn).resumed, resumed);
    close_pair(&pair);
    return resumed;
}

/* The server's end of a handshake fails so. */
static void expect_refused(tepal_tls *client, tepal_tls *server)
{
    struct pair pair;
    open_pair(&pair, client, server, "localhost");
    assert_int_equal(pair.ends[1].result, TEPAL_ECERTIFICATE);
    close_pair(&pair);
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

static void run_for_each_version(int (*fn)(void *))
{
    for (int i = 0; i < 2; i++) {
        int version = versions[i];
        assert_int_equal(run(fn, &version), 0);
    }
}

/* --- Reloading -------------------------------------------------------------------------------- */

static int withdraw_from_clients(void *version)
{
    trust("ca");
    tepal_tls *server = new_verifying_server();
    tepal_tls *old = new_client_with("client"), *fresh = new_client_with("client");
    tepal_tls *new = new_client_with("other-client");
    speak(old, *(int *)version);
    assert_false(resumes(old, server));
    assert_true(resumes(old, server));
    expect_refused(new, server);
    /* As long as nothing has changed, a reload harms no session. */
    assert_int_equal(tepal_tls_reload(server), 0);
    assert_true(resumes(old, server));
    /* One that fails does not, either. */
    unlink(certificate_file("trusted", "crt"));
    assert_int_equal(tepal_tls_reload(server), -ENOENT);
    assert_true(resumes(old, server));
    trust("other-ca");
    assert_int_equal(tepal_tls_reload(server), 0);
    for (int i = 0; i < 3; i++)
        expect_refused(old, server);
    expect_refused(fresh, server);
    assert_false(resumes(new, server));
    assert_true(resumes(new, server));
    tepal_tls_close(server);
    tepal_tls_close(old);
    tepal_tls_close(fresh);
    tepal_tls_close(new);
    return 0;
}

static void an_authority_of_clients_is_withdrawn(void **state)
{
    (void)state;
    run_for_each_version(withdraw_from_clients);
}

/* A connection that is in the middle of its handshake when trust is withdrawn goes on with what it
 * has, but leaves no ticket that would do afterwards. */
static int withdraw_meanwhile(void *version)
{
    trust("ca");
    struct pair pair;
    tepal_conn *ends[2];
    tepal_tls *server = new_verifying_server(), *client = new_client_with("client");
    speak(client, *(int *)version);
    connect_conns(AF_UNIX, ends);
    /* An address, so that no name chooses a certificate of after the reload. */
    pair.ends[0] = (struct handshake){ .conn = ends[0], .tls = client, .host = "127.0.0.1" };
    pair.ends[1] = (struct handshake){ .conn = ends[1], .tls = server };
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, handshake_main, &pair.ends[1], NULL), 0);
    settle();
    trust("other-ca");
    assert_int_equal(tepal_tls_reload(server), 0);
    assert_int_equal(tepal_spawn(group, handshake_main, &pair.ends[0], NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    expect_secure(&pair);
    close_pair(&pair);
    assert_int_equal(client->sessions.n_hosts, 1);
    open_pair(&pair, client, server, "127.0.0.1");
    assert_int_equal(pair.ends[1].result, TEPAL_ECERTIFICATE);
    close_pair(&pair);
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void a_handshake_under_way_leaves_no_ticket(void **state)
{
    (void)state;
    run_for_each_version(withdraw_meanwhile);
}

static int withdraw_from_server(void *version)
{
    trust("ca");
    struct pair pair, late;
    tepal_tls *server = new_server("server");
    tepal_tls *client =
        new_tls(&(tepal_tls_options){ .ca_file = certificate_file("trusted", "crt") });
    speak(client, *(int *)version);
    assert_false(resumes(client, server));
    assert_true(resumes(client, server));
    open_pair(&late, client, server, "localhost"); /* its tickets have not been read yet */
    trust("other-ca");
    assert_int_equal(tepal_tls_reload(client), 0);
    speak(client, *(int *)version);
    expect_talk(&late);
    close_pair(&late);
    assert_int_equal(client->sessions.n_hosts, 0);
    for (int i = 0; i < 3; i++) {
        open_pair(&pair, client, server, "localhost");
        assert_int_equal(pair.ends[0].result, TEPAL_ECERTIFICATE);
        close_pair(&pair);
    }
    trust("ca");
    assert_int_equal(tepal_tls_reload(client), 0);
    speak(client, *(int *)version);
    assert_false(resumes(client, server));
    assert_int_equal(tepal_tls_reload(client), 0); /* nothing has changed */
    speak(client, *(int *)version);
    assert_true(resumes(client, server));
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void an_authority_of_servers_is_withdrawn(void **state)
{
    (void)state;
    run_for_each_version(withdraw_from_server);
}

/* Who we are is shown anew when it has changed, by either side. */
static int change_certificates(void *version)
{
    trust("ca");
    struct identity id = { .name = "changing", .issuer = "ca", .names = "DNS:localhost" };
    make_identity(&id);
    tepal_tls *server =
        new_tls(&(tepal_tls_options){ .server = true,
                                      .certificate = certificate_file("changing", "pem"),
                                      .ca_file = certificate_file("trusted", "crt"),
                                      .verify_client = true });
    tepal_tls *client = new_client_with("client");
    speak(client, *(int *)version);
    assert_false(resumes(client, server));
    /* A certificate more takes nothing away. */
    assert_int_equal(tepal_tls_add_certificate(server, certificate_file("server", "pem"), NULL), 0);
    assert_true(resumes(client, server));
    assert_int_equal(tepal_tls_reload(server), 0);
    assert_true(resumes(client, server));
    make_identity(&id);
    assert_int_equal(tepal_tls_reload(server), 0);
    assert_false(resumes(client, server));
    assert_true(resumes(client, server));
    make_identity(&(struct identity){ .name = "client", .issuer = "ca" });
    assert_int_equal(tepal_tls_reload(client), 0);
    speak(client, *(int *)version);
    assert_false(resumes(client, server));
    assert_true(resumes(client, server));
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void changed_certificates_end_sessions(void **state)
{
    (void)state;
    run_for_each_version(change_certificates);
}

/* A client that takes its session with one site to another one of the same server. */
static int switch_site(void *version)
{
    make_identity(
        &(struct identity){ .name = "site", .issuer = "ca", .names = "DNS:site.example" });
    tepal_tls *server = new_server("server");
    assert_int_equal(tepal_tls_add_certificate(server, certificate_file("site", "pem"), NULL), 0);
    tepal_tls *client = new_tls(&(tepal_tls_options){ .insecure_no_verify = true });
    speak(client, *(int *)version);
    static const struct {
        const char *host;
        bool resumed;
    } rows[] = {
        { "localhost", false }, { "localhost", true },     { "site.example", false },
        { "localhost", false }, { "site.example", false }, { "site.example", true },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair pair;
        const char *host = rows[i].host;
        /* What was kept last, for whichever host, is kept for this one. */
        int64_t until;
        char key[64];
        snprintf(key, sizeof(key), "%s 0", i > 0 ? rows[i - 1].host : "none");
        SSL_SESSION *session = tls_sessions_take(&client->sessions, key, &until);
        snprintf(key, sizeof(key), "%s 0", host);
        if (session && !tls_sessions_keep(&client->sessions, key, session, until))
            SSL_SESSION_free(session);
        open_pair(&pair, client, server, host);
        tepal_tls_info info = expect_secure(&pair);
        assert_int_equal(info.resumed, rows[i].resumed);
        assert_string_equal(info.peer_subject,
                            strcmp(host, "localhost") == 0 ? "CN=server" : "CN=site");
        close_pair(&pair);
    }
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void a_session_is_of_one_site(void **state)
{
    (void)state;
    run_for_each_version(switch_site);
}

/* --- Time ------------------------------------------------------------------------------------- */

enum { MINUTE = 60, HOUR = 60 * MINUTE };

static int outlive(void *version)
{
    trust("ca");
    struct identity id = { .name = "hour", .issuer = "ca", .until_h = 1 };
    make_identity(&id);
    tepal_tls *server = new_verifying_server(), *client = new_client_with("hour");
    speak(client, *(int *)version);
    assert_false(resumes(client, server));
    for (int i = 1; i <= 5; i++) {
        time_offset = i * 10L * MINUTE;
        assert_true(resumes(client, server));
    }
    time_offset = HOUR + MINUTE;
    expect_refused(client, server);
    time_offset = 0;
    tepal_tls_close(server);
    tepal_tls_close(client);
    /* The other way round: a server whose certificate has expired. */
    id.names = "DNS:localhost";
    make_identity(&id);
    server = new_server("hour");
    client = new_client();
    speak(client, *(int *)version);
    assert_false(resumes(client, server));
    time_offset = 50 * MINUTE;
    assert_true(resumes(client, server));
    time_offset = HOUR + MINUTE;
    struct pair pair;
    open_pair(&pair, client, server, "localhost");
    assert_int_equal(pair.ends[0].result, TEPAL_ECERTIFICATE);
    assert_string_equal(tepal_tls_error_text(client), "certificate has expired");
    close_pair(&pair);
    time_offset = 0;
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void no_session_outlives_a_certificate(void **state)
{
    (void)state;
    run_for_each_version(outlive);
}

/* However often it is resumed, each time with a new ticket. */
static int live(void *version)
{
    tepal_tls *server = new_server("server"), *client = new_client();
    speak(client, *(int *)version);
    assert_false(resumes(client, server));
    for (int i = 1; i < 12; i++) {
        time_offset = i * 10L * MINUTE;
        assert_true(resumes(client, server));
    }
    time_offset = 2 * HOUR + MINUTE;
    assert_false(resumes(client, server));
    assert_true(resumes(client, server));
    time_offset = 0;
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void a_session_has_its_lifetime(void **state)
{
    (void)state;
    run_for_each_version(live);
}

static void the_lifetime_has_bounds(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        int status;
    } rows[] = {
        { 0, 0 },
        { 60000, 0 },
        { 59999, -EINVAL },
        { -1, -EINVAL },
        { 7 * 86400000, 0 },
        { 7 * 86400000 + 1, -EINVAL },
        { TEPAL_NEVER, -EINVAL },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tepal_tls *tls = tepal_tls_new(
            &(tepal_tls_options){ .insecure_no_verify = true, .session_lifetime_ms = rows[i].ms });
        assert_int_equal(tepal_tls_error(tls), rows[i].status);
        tepal_tls_close(tls);
    }
}

/* The keys of tickets change by the clock of the loop: a ticket is good for the present and the
 * next period. */
static int rotate(void *version)
{
    tepal_tls *client = new_client();
    tepal_tls *server =
        new_tls(&(tepal_tls_options){ .server = true,
                                      .certificate = certificate_file("server", "pem"),
                                      .session_lifetime_ms = MINUTE * 1000 });
    speak(client, *(int *)version);
    assert_false(resumes(client, server));
    struct tls_ticket_key first = server->tickets.current;
    assert_int_equal(tepal_sleep_ms(MINUTE * 1000), 0);
    assert_true(resumes(client, server));
    assert_memory_not_equal(&server->tickets.current, &first, sizeof(first));
    assert_memory_equal(&server->tickets.previous, &first, sizeof(first));
    /* With TLS 1.3 there was a new ticket, which has the new key. */
    assert_int_equal(tepal_sleep_ms(MINUTE * 1000), 0);
    assert_int_equal(resumes(client, server), *(int *)version == TLS1_3_VERSION);
    assert_int_equal(tepal_sleep_ms(2 * MINUTE * 1000), 0);
    assert_false(resumes(client, server));
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void ticket_keys_rotate(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        int version = versions[i];
        assert_int_equal(run_fake(rotate, &version), 0);
    }
}

/* Workers that were forked from one process go on in step, without a word between them. */
static int rotate_apart(void *arg)
{
    (void)arg;
    tepal_tls *server = new_server("server"), *client = new_client();
    struct tls_tickets sibling = server->tickets;
    unsigned char digest[TLS_DIGEST_SIZE] = "changed";
    assert_int_equal(tepal_sleep_ms(5 * HOUR * 1000), 0);
    assert_int_equal(tls_tickets_change(&sibling, digest), 0);
    assert_false(resumes(client, server)); /* and goes on to the present key */
    assert_int_equal(tls_tickets_change(&server->tickets, digest), 0);
    assert_memory_equal(&sibling.current, &server->tickets.current, sizeof(sibling.current));
    assert_memory_equal(sibling.secret, server->tickets.secret, sizeof(sibling.secret));
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

static void forked_processes_have_the_same_keys(void **state)
{
    (void)state;
    assert_int_equal(run_fake(rotate_apart, NULL), 0);
}

/* --- The log ---------------------------------------------------------------------------------- */

static char lines[8][512];
static int n_lines;

static void keep_line(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    if (level == TEPAL_LOG_WARNING && n_lines < 8)
        snprintf(lines[n_lines++], sizeof(lines[0]), "%s", text);
}

static void expect_line(const char *file, const char *what)
{
    if (n_lines != 1 || !strstr(lines[0], file) || !strstr(lines[0], what) ||
        !strstr(lines[0], " UTC"))
        fail_msg("%d lines: %s", n_lines, lines[0]);
    n_lines = 0;
}

static void expired_certificates_are_told(void **state)
{
    (void)state;
    make_identity(&(struct identity){ .name = "was", .issuer = "ca", .from_h = -3, .until_h = -1 });
    make_identity(&(struct identity){ .name = "will", .issuer = "ca", .from_h = 2, .until_h = 3 });
    tepal_log_set_fn(keep_line, NULL);
    tepal_tls *server = new_server("server");
    assert_int_equal(n_lines, 0);
    assert_int_equal(tepal_tls_add_certificate(server, certificate_file("was", "pem"), NULL), 0);
    expect_line("was.pem", "CN=was has expired, on 20");
    assert_int_equal(tepal_tls_reload(server), 0);
    expect_line("was.pem", "CN=was has expired, on 20");
    assert_int_equal(tepal_tls_add_certificate(server, certificate_file("will", "pem"), NULL), 0);
    expect_line("will.pem", "CN=will is not valid before 20");
    tepal_tls_close(server);
    tepal_tls_close(new_client_with("was"));
    expect_line("was.pem", "CN=was has expired, on 20");
    tepal_log_set_fn(NULL, NULL);
}

/* --- Folders of authorities ------------------------------------------------------------------- */

static char folder[] = "/tmp/tepal-authorities-XXXXXX";

static void folder_path(char *path, const char *name)
{
    snprintf(path, 128, "%s/%s", folder, name);
}

/* Puts the certificate into the folder as "openssl rehash" would. Writes its path. */
static void add_authority(char *path, const char *name)
{
    char link[32];
    X509 *certificate = find_identity(name)->certificate;
    snprintf(link, sizeof(link), "%08lx.0", X509_subject_name_hash(certificate));
    folder_path(path, link);
    copy_file(certificate_file(name, "crt"), path);
}

static int use_folder(void *arg)
{
    (void)arg;
    char first[128], second[128], garbage[128], ignored[128], waiting[128];
    assert_non_null(mkdtemp(folder));
    add_authority(first, "ca");
    tepal_tls *server = new_server("server");
    tepal_tls *client = new_tls(&(tepal_tls_options){ .ca_dir = folder });
    assert_false(resumes(client, server));
    /* What is in the folder counts when it is read, and not in the middle of a handshake. */
    tepal_tls_close(client);
    client = new_tls(&(tepal_tls_options){ .ca_dir = folder, .no_resumption = true });
    unlink(first);
    add_authority(second, "other-ca");
    assert_false(resumes(client, server));
    assert_int_equal(tepal_tls_reload(client), 0);
    struct pair pair;
    open_pair(&pair, client, server, "localhost");
    assert_int_equal(pair.ends[0].result, TEPAL_ECERTIFICATE);
    close_pair(&pair);
    /* What cannot be used is told, and harms no other; other names are not looked at. */
    add_authority(first, "ca");
    folder_path(garbage, "00000000.0");
    folder_path(ignored, "garbage.pem");
    FILE *file = fopen(garbage, "w");
    fputs("nonsense", file);
    fclose(file);
    copy_file(garbage, ignored);
    folder_path(waiting, "00000001.0");
    assert_int_equal(mkfifo(waiting, 0600), 0);
    tepal_log_set_fn(keep_line, NULL);
    n_lines = 0;
    assert_int_equal(tepal_tls_reload(client), 0);
    tepal_log_set_fn(NULL, NULL);
    assert_int_equal(n_lines, 2);
    assert_non_null(strstr(lines[0], "00000000.0 is not trusted"));
    assert_non_null(strstr(lines[1], "00000001.0 is not trusted: not a regular file"));
    assert_false(resumes(client, server));
    tepal_tls_close(client);
    tepal_tls_close(server);
    const char *const all[] = { first, second, garbage, ignored, waiting };
    for (int i = 0; i < 5; i++)
        unlink(all[i]);
    rmdir(folder);
    return 0;
}

static void folders_are_read_at_once(void **state)
{
    (void)state;
    assert_int_equal(run(use_folder, NULL), 0);
}

/* A folder and a file as the system's. */
static int use_default(void *arg)
{
    (void)arg;
    tepal_tls *server = new_server("server");
    const char *ca = certificate_file("ca", "crt"), *other = certificate_file("other-ca", "crt");
    const struct {
        const char *file, *dirs;
        int result;
    } rows[] = {
        { ca, "/nonexistent", 0 },
        { other, "/nonexistent:/tmp", TEPAL_ECERTIFICATE },
        { "/nonexistent", "/nonexistent", TEPAL_ECERTIFICATE },
    };
    tepal_log_set_fn(keep_line, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair pair;
        n_lines = 0;
        setenv("SSL_CERT_FILE", rows[i].file, 1);
        setenv("SSL_CERT_DIR", rows[i].dirs, 1);
        tepal_tls *client = new_tls(NULL);
        assert_null(tepal_tls_error_text(client));
        assert_int_equal(n_lines, i == 2);
        open_pair(&pair, client, server, "localhost");
        assert_int_equal(pair.ends[0].result, rows[i].result);
        close_pair(&pair);
        tepal_tls_close(client);
    }
    tepal_log_set_fn(NULL, NULL);
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
    tepal_tls_close(server);
    return 0;
}

static void the_system_says_whom_to_trust(void **state)
{
    (void)state;
    assert_int_equal(run(use_default, NULL), 0);
}

static int make_all(void **state)
{
    make_certificates(state);
    make_identity(&(struct identity){ .name = "other-ca", .is_authority = true });
    make_identity(&(struct identity){ .name = "other-client", .issuer = "other-ca" });
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(an_authority_of_clients_is_withdrawn),
        TLS_TEST(a_handshake_under_way_leaves_no_ticket),
        TLS_TEST(an_authority_of_servers_is_withdrawn),
        TLS_TEST(changed_certificates_end_sessions),
        TLS_TEST(a_session_is_of_one_site),
        TLS_TEST(no_session_outlives_a_certificate),
        TLS_TEST(a_session_has_its_lifetime),
        TLS_TEST(the_lifetime_has_bounds),
        TLS_TEST(ticket_keys_rotate),
        TLS_TEST(forked_processes_have_the_same_keys),
        TLS_TEST(expired_certificates_are_told),
        TLS_TEST(folders_are_read_at_once),
        TLS_TEST(the_system_says_whom_to_trust),
    };
    return cmocka_run_group_tests(tests, make_all, remove_certificates);
}
