/* Tests of the places that a server listens at: several at once, and sockets that others have
 * made. */
#include "../web_check.h"

#include "base/mem.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_SITES = 4 };

/* What a visit to a served application has seen. */
struct visit {
    const tepal_run_options *options;
    size_t n;
    char urls[MAX_SITES][200];
    char answers[MAX_SITES][300];
    char slow[300];
    int refused; /* of the places, after the end has begun */
    bool url_before, url_beyond, url_after;
    int result;
};

static bool slow_runs, slow_may_end;

/* A handler that runs until it may end. */
static tepal_res *slowly(tepal_req *req)
{
    slow_runs = true;
    while (!slow_may_end)
        if (tepal_sleep_ms(1) < 0)
            return NULL;
    return tepal_text(req, 200, "slow");
}

/* Connects to a URL of the application. */
static int connect_to(tepal_conn **conn, const char *url)
{
    if (strncmp(url, "unix:", 5) == 0)
        return tepal_conn_open_unix(conn, url + 5);
    const char *host = strstr(url, "localhost") ? "localhost" : "127.0.0.1";
    return tepal_conn_open(conn, host, (uint16_t)atoi(strrchr(url, ':') + 1), NULL);
}

static int send_request(tepal_conn **conn, const char *url, const char *target)
{
    char request[100];
    int len = snprintf(request, sizeof(request),
                       "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", target);
    int rc = connect_to(conn, url);
    return rc < 0 ? rc : tepal_conn_write(*conn, request, (size_t)len);
}

/* Reads to the end, and keeps the body. */
static void read_answer(tepal_conn *conn, char *out, size_t size)
{
    char all[1000] = "";
    size_t len = 0;
    ssize_t n;
    while ((n = tepal_conn_read(conn, all + len, sizeof(all) - 1 - len)) > 0)
        len += (size_t)n;
    const char *body = strstr(all, "\r\n\r\n");
    snprintf(out, size, "%.9s%s", all, body ? body + 3 : "");
    tepal_conn_close(conn);
}

static int go_round(void *arg)
{
    struct visit *visit = arg;
    tepal_conn *slow, *conn;
    while (!tepal_app_url(app, 0))
        if (tepal_sleep_ms(1) < 0)
            return -ETIMEDOUT;
    int rc = send_request(&slow, tepal_app_url(app, 0), "/slow");
    for (size_t i = 0; i < visit->n && rc == 0; i++) {
        snprintf(visit->urls[i], sizeof(visit->urls[i]), "%s", tepal_app_url(app, i));
        rc = send_request(&conn, tepal_app_url(app, i), "/");
        if (rc == 0)
            read_answer(conn, visit->answers[i], sizeof(visit->answers[i]));
    }
    visit->url_beyond = tepal_app_url(app, visit->n) != NULL;
    while (!slow_runs && rc == 0)
        rc = tepal_sleep_ms(1);
    tepal_app_stop(app);
    if (rc == 0)
        rc = tepal_sleep_ms(0);
    for (size_t i = 0; i < visit->n && rc == 0; i++)
        if (connect_to(&conn, visit->urls[i]) == 0)
            tepal_conn_close(conn);
        else
            visit->refused++;
    slow_may_end = true;
    if (rc == 0)
        read_answer(slow, visit->slow, sizeof(visit->slow));
    return rc;
}

static int serve_and_visit(void *arg)
{
    struct visit *visit = arg;
    tepal_group *group = tepal_group_new();
    visit->url_before = tepal_app_url(app, 0) != NULL;
    int rc = tepal_spawn(group, go_round, visit, NULL);
    if (rc == 0)
        rc = tepal_serve(app, visit->options);
    visit->url_after = tepal_app_url(app, 0) != NULL;
    if (rc == 0)
        rc = tepal_group_wait(group);
    tepal_group_close(group);
    return rc;
}

static void visit_all(struct visit *visit)
{
    slow_runs = slow_may_end = false;
    tepal_get(app, "/", ok);
    tepal_get(app, "/slow", slowly);
    assert_int_equal(tepal_main(serve_and_visit, visit), 0);
    for (size_t i = 0; i < visit->n; i++)
        assert_string_equal(visit->answers[i], "HTTP/1.1 \nok");
    assert_string_equal(visit->slow, "HTTP/1.1 \nslow");
    assert_false(visit->url_before || visit->url_beyond || visit->url_after);
}

static void three_at_once(void **state)
{
    (void)state;
    static const tepal_site sites[] = {
        { .host = "127.0.0.1", .port = TEPAL_ANY_PORT },
        { .path = "@tepal-unit-sites" },
        { .port = TEPAL_ANY_PORT, .backlog = 10, .reuse_port = true },
    };
    const tepal_run_options options = { .sites = sites, .n_sites = 3, .access_log.off = true };
    struct visit visit = { .options = &options, .n = 3 };
    visit_all(&visit);
    assert_memory_equal(visit.urls[0], "http://127.0.0.1:", 17);
    assert_string_equal(visit.urls[1], "unix:@tepal-unit-sites");
    assert_memory_equal(visit.urls[2], "http://localhost:", 17);
    assert_string_not_equal(strrchr(visit.urls[0], ':'), strrchr(visit.urls[2], ':'));
    assert_int_equal(visit.refused, 3);
    for (size_t i = 0; i < 3; i++)
        assert_non_null(strstr(logged(), visit.urls[i]));
    assert_non_null(strstr(logged(), "serving on all addresses, port "));
}

/* --- Sockets that others have made ------------------------------------------------------------ */

/* A socket that listens at a free port of an address. */
static int listening_socket(in_addr_t address)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(fd, 10), 0);
    return fd;
}

static int listening_unix(const char *name, size_t len)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    memcpy(un.sun_path, name, len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, size), 0);
    assert_int_equal(listen(fd, 10), 0);
    return fd;
}

static void given_sockets(void **state)
{
    (void)state;
    char path[] = "/tmp/tepal-sites-XXXXXX", expected[100];
    close(mkstemp(path));
    unlink(path);
    static const char abstract[] = "\0tepal-unit-given";
    const tepal_site sites[MAX_SITES] = {
        { .fd = listening_socket(INADDR_LOOPBACK), .port = 7 }, /* which is not looked at */
        { .fd = listening_socket(INADDR_ANY) },
        { .fd = listening_unix(path, strlen(path)), .path = "/nowhere/else" },
        { .fd = listening_unix(abstract, sizeof(abstract) - 1) },
    };
    const tepal_run_options options = { .sites = sites, .n_sites = 4, .access_log.off = true };
    struct visit visit = { .options = &options, .n = 4 };
    visit_all(&visit);
    snprintf(expected, sizeof(expected), "unix:%s", path);
    assert_memory_equal(visit.urls[0], "http://127.0.0.1:", 17);
    assert_memory_equal(visit.urls[1], "http://localhost:", 17);
    assert_string_equal(visit.urls[2], expected);
    assert_string_equal(visit.urls[3], "unix:@tepal-unit-given");
    /* They are the caller's: they still listen, and can be served again. */
    assert_int_equal(visit.refused, 0);
    assert_int_equal(access(path, F_OK), 0);
    again();
    struct visit second = { .options = &options, .n = 4 };
    visit_all(&second);
    for (size_t i = 0; i < MAX_SITES; i++) {
        assert_string_equal(visit.urls[i], second.urls[i]);
        assert_int_equal(close(sites[i].fd), 0);
    }
    unlink(path);
}

/* --- What is refused -------------------------------------------------------------------------- */

static int only_serve(void *arg)
{
    return tepal_serve(app, arg);
}

static void assert_not_served(const tepal_site *sites, size_t n, int error, const char *text)
{
    tepal_run_options options = { .sites = sites, .n_sites = n, .access_log.off = true };
    log_forget();
    assert_int_equal(tepal_main(only_serve, &options), error);
    if (!strstr(logged(), text))
        fail_msg("\"%s\" is not in the log: %s", text, logged());
    assert_null(strstr(logged(), "serving on"));
    assert_null(tepal_app_url(app, 0));
}

static void refused_descriptors(void **state)
{
    (void)state;
    int pipe_ends[2], not_listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int packets = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(pipe(pipe_ends), 0);
    const struct {
        int fd, error;
    } rows[] = {
        { pipe_ends[0], -ENOTSOCK }, { not_listening, -EINVAL }, { datagrams, -EINVAL },
        { packets, -EINVAL },        { 999999, -EBADF },         { -1, -EBADF },
    };
    char text[200];
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const tepal_site site = { .fd = rows[i].fd };
        snprintf(text, sizeof(text), "cannot listen on descriptor %d: %s%s", rows[i].fd,
                 tepal_code_text(rows[i].error),
                 rows[i].error == -EINVAL ? " (it is no TCP or Unix stream socket that listens)"
                                          : "");
        assert_not_served(&site, 1, rows[i].error, text);
    }
    /* One that is refused is as it was. */
    assert_int_equal(fcntl(not_listening, F_GETFL) & O_NONBLOCK, 0);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    close(not_listening);
    close(datagrams);
    close(packets);
}

/* All or none: what was opened before the one that fails is closed again. */
static void one_of_several_fails(void **state)
{
    (void)state;
    const tepal_site sites[] = {
        { .path = "@tepal-unit-first" },
        { .path = "@tepal-unit-first" },
    };
    assert_not_served(sites, 2, -EADDRINUSE, "cannot listen on @tepal-unit-first: ");
    const tepal_run_options options = { .sites = sites, .n_sites = 1, .access_log.off = true };
    struct visit visit = { .options = &options, .n = 1 };
    visit_all(&visit);
}

/* --- A shortage of memory --------------------------------------------------------------------- */

static int stop_at_once(tepal_app *a, void *arg)
{
    (void)arg;
    tepal_app_stop(a);
    return 0;
}

static int n_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 200; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Starts and ends with each allocation failing once. Returns the result that did not fit, or 0. */
static int serve_with_failures(void *arg)
{
    int before = n_descriptors();
    for (size_t n = 1;; n++) {
        mem_fail_nth(n, 0);
        int rc = tepal_serve(app, arg);
        size_t failures = mem_failures();
        mem_fail_nth(0, 0);
        if (rc != 0 && !(rc == -ENOMEM && failures > 0))
            return rc;
        if (n_descriptors() != before || tepal_app_url(app, 0))
            return -EBADF;
        if (failures == 0)
            return rc;
    }
}

static void shortage_of_memory(void **state)
{
    (void)state;
    const tepal_site sites[] = {
        { .host = "127.0.0.1", .port = TEPAL_ANY_PORT },
        { .path = "@tepal-unit-shortage" },
        { .fd = listening_socket(INADDR_LOOPBACK) },
    };
    tepal_run_options options = { .sites = sites, .n_sites = 3, .access_log.off = true };
    tepal_on_startup(app, stop_at_once, NULL);
    assert_int_equal(tepal_main(serve_with_failures, &options), 0);
    close(sites[2].fd);
}

static void contradictions(void **state)
{
    (void)state;
    static const tepal_site sites[] = { { .port = 80 }, { .port = 65536 } };
    static const struct {
        tepal_run_options options;
        const char *text;
    } rows[] = {
        { { .sites = sites, .n_sites = 2 }, "site 1: port is not between 1 and 65535: 65536" },
        { { .sites = sites }, "sites are there, and n_sites is 0" },
        { { .n_sites = 3 }, "sites is NULL, and n_sites is 3" },
        { { .sites = sites, .n_sites = 1, .host = "::1" }, "which of them is meant" },
        { { .sites = sites, .n_sites = 1, .port = 80 }, "which of them is meant" },
        { { .sites = sites, .n_sites = 1, .path = "x" }, "which of them is meant" },
        { { .port = 65536 }, "port is not between 1 and 65535: 65536" },
        { { .port = -2 }, "port is not between 1 and 65535: -2" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        tepal_run_options options = rows[i].options;
        log_forget();
        assert_int_equal(tepal_main(only_serve, &options), -EINVAL);
        assert_non_null(strstr(logged(), rows[i].text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(three_at_once),        WEB_TEST(given_sockets),  WEB_TEST(refused_descriptors),
        WEB_TEST(one_of_several_fails), WEB_TEST(contradictions), WEB_TEST(shortage_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
