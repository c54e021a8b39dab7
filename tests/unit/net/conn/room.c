/* Tests that structs which are not initialised are refused by the calls that take them. */
#include "../../async/in_loop.h"

#include <tepal/net.h>

static char said[200];

static void keep(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    if (level == TEPAL_LOG_ERROR)
        snprintf(said, sizeof(said), "%s", text);
}

/* The call was refused, and the log names it. */
static void refused(int rc, const char *call)
{
    char expected[200];
    snprintf(expected, sizeof(expected),
             "%s: the options are not initialised, or made for a newer tepal", call);
    assert_int_equal(rc, -EINVAL);
    assert_string_equal(said, expected);
    said[0] = '\0';
}

static void serve(tepal_conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
    fail();
}

static int in_conns(void *arg)
{
    tepal_conn *conn = NULL, *other = NULL;
    tepal_conn_options opening = { .later = { 1 } };
    refused(tepal_conn_open(&conn, "127.0.0.1", 1, &opening), "tepal_conn_open");
    assert_int_equal(tepal_conn_open_pair(&conn, &other), 0);
    tepal_keepalive keepalive = { .later = { 1 } };
    refused(tepal_conn_set_keepalive(conn, &keepalive), "tepal_conn_set_keepalive");
    tepal_tls *tls = tepal_tls_new(&(tepal_tls_options){ .insecure_no_verify = true });
    tepal_start_tls_options starting = { .later = { 1 } };
    refused(tepal_conn_start_tls(conn, tls, &starting), "tepal_conn_start_tls");
    tepal_tls_close(tls);
    tepal_conn_close(conn);
    tepal_conn_close(other);
    (void)arg;
    return 0;
}

/* Options that are not initialised may hold anything: nothing of them is used. */
static int in_contexts(void *arg)
{
    tepal_tls_options options;
    memset(&options, 0xa5, sizeof(options));
    tepal_tls *tls = tepal_tls_new(&options);
    refused(tepal_tls_error(tls), "tepal_tls_new");
    assert_non_null(tepal_tls_error_text(tls));
    tepal_tls_close(tls);
    (void)arg;
    return 0;
}

static int in_listeners(void *arg)
{
    tepal_listener *listener = NULL;
    tepal_listener_options where = { .host = "127.0.0.1", .port = TEPAL_ANY_PORT };
    assert_int_equal(tepal_listener_open(&listener, &where), 0);
    tepal_listener_serve_options serving = { .later = { 1 } };
    refused(tepal_listener_serve(listener, serve, NULL, &serving), "tepal_listener_serve");
    tepal_listener_close(listener);
    where.later[1] = 1;
    refused(tepal_listener_open(&listener, &where), "tepal_listener_open");
    tepal_udp *udp = NULL;
    tepal_udp_options datagrams = { .host = "127.0.0.1", .later = { 1 } };
    refused(tepal_udp_open(&udp, &datagrams), "tepal_udp_open");
    (void)arg;
    return 0;
}

static int in_names(void *arg)
{
    tepal_addr addr;
    tepal_resolve_options resolving = { .later = { 1 } };
    refused(tepal_resolve(&addr, 1, "127.0.0.1", &resolving), "tepal_resolve");
    tepal_dns_options dns = { .later = { 1 } };
    refused(tepal_dns_configure(&dns), "tepal_dns_configure");
    (void)arg;
    return 0;
}

static int in_processes(void *arg)
{
    const char *const argv[] = { "true", NULL };
    tepal_process *process = NULL;
    tepal_process_options options = { .later = { 1 } };
    refused(tepal_process_open(&process, argv, &options), "tepal_process_open");
    tepal_process_result result;
    refused(tepal_process_run(argv, &options, &result), "tepal_process_open");
    tepal_process_result_clear(&result);
    (void)arg;
    return 0;
}

static void each_call(void **state)
{
    (void)state;
    tepal_log_set_fn(keep, NULL);
    assert_int_equal(tepal_main(in_conns, NULL), 0);
    assert_int_equal(tepal_main(in_contexts, NULL), 0);
    assert_int_equal(tepal_main(in_listeners, NULL), 0);
    assert_int_equal(tepal_main(in_names, NULL), 0);
    assert_int_equal(tepal_main(in_processes, NULL), 0);
    tepal_log_set_fn(NULL, NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(each_call) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
