/* Tests of the file of secrets: who may have it, and what is in it. */
#include "tls_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <tepal/log.h>

static char warnings[2000];

static void note_warning(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    assert_int_equal(level, TEPAL_LOG_WARNING);
    strcat(strcat(warnings, text), "\n");
}

static const char *log_path(void)
{
    return certificate_file("keys", "log");
}

static int n_lines(const char *beginning)
{
    char line[512];
    int n = 0;
    FILE *file = fopen(log_path(), "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        assert_non_null(strchr(line, '\n'));
        n += strncmp(line, beginning, strlen(beginning)) == 0;
    }
    fclose(file);
    return n;
}

/* The same secrets, by client and server; the line's name, 32 octets of the client's, the secret.
 */
static int log_both(void *arg)
{
    struct pair pair;
    (void)arg;
    tepal_tls *client = new_tls(
        &(tepal_tls_options){ .ca_file = certificate_file("ca", "crt"), .key_log = log_path() });
    assert_non_null(strstr(warnings, log_path()));
    tepal_tls *server = new_tls(&(tepal_tls_options){
        .server = true, .certificate = certificate_file("server", "pem"), .key_log = log_path() });
    struct stat file;
    assert_int_equal(stat(log_path(), &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    open_pair(&pair, client, server, "localhost");
    expect_secure(&pair);
    assert_int_equal(n_lines("CLIENT_TRAFFIC_SECRET_0 "), 2);
    assert_int_equal(n_lines("SERVER_HANDSHAKE_TRAFFIC_SECRET "), 2);
    tepal_tls_close(client); /* the connections live on, and so does what they need */
    tepal_tls_close(server);
    expect_talk(&pair);
    close_pair(&pair);
    return 0;
}

static void logging(void **state)
{
    (void)state;
    assert_int_equal(run(log_both, NULL), 0);
}

static void expect_refused(int error, const char *text)
{
    tepal_tls *tls =
        tepal_tls_new(&(tepal_tls_options){ .insecure_no_verify = true, .key_log = log_path() });
    assert_int_equal(tepal_tls_error(tls), error);
    assert_non_null(strstr(tepal_tls_error_text(tls), text));
    tepal_tls_close(tls);
}

static void refusing(void **state)
{
    (void)state;
    static const mode_t modes[] = { 0640, 0604, 0620, 0602 };
    for (int i = 0; i < 4; i++) {
        assert_int_equal(chmod(log_path(), modes[i]), 0);
        expect_refused(-EPERM, "chmod 600");
    }
    assert_int_equal(chmod(log_path(), 0600), 0);
    if (geteuid() == 0 && chown(log_path(), 1, 1) == 0)
        expect_refused(-EPERM, "another user");
    assert_int_equal(unlink(log_path()), 0);
    assert_int_equal(mkdir(log_path(), 0700), 0);
    expect_refused(-EISDIR, "directory");
    assert_int_equal(rmdir(log_path()), 0);
    assert_int_equal(mkfifo(log_path(), 0600), 0);
    expect_refused(-ENXIO, log_path());
    int reader = open(log_path(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    expect_refused(-EINVAL, "not a regular file");
    close(reader);
    unlink(log_path());
}

static bool is_logged(const char *path)
{
    tepal_tls *tls = new_tls(&(tepal_tls_options){ .insecure_no_verify = true, .key_log = path });
    tepal_tls_close(tls);
    return access(log_path(), F_OK) == 0;
}

/* Nothing is written that the program has not asked for. */
static void by_environment(void **state)
{
    (void)state;
    setenv("SSLKEYLOGFILE", log_path(), 1);
    assert_false(is_logged(NULL));
    assert_false(is_logged(""));
    assert_true(is_logged(getenv("SSLKEYLOGFILE")));
    unsetenv("SSLKEYLOGFILE");
}

static int setup(void **state)
{
    tepal_log_set_fn(note_warning, NULL);
    return make_certificates(state);
}

static int teardown(void **state)
{
    tepal_log_set_fn(NULL, NULL);
    return remove_certificates(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(logging),
        TLS_TEST(refusing),
        TLS_TEST(by_environment),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
