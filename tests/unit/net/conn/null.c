/* Tests of calls with NULL: a message that names the call, and no crash without one. */
#include "../../async/misuse.h"

#include <tepal/net.h>
#include <tepal/process.h>
#include <tepal/udp.h>

static const struct null_case {
    const char *message;
    int number;
} cases[] = {
    { "tepal_conn_read: the connection is NULL", 0 },
    { "tepal_conn_read_exactly: the connection is NULL", 1 },
    { "tepal_conn_read_until: the connection is NULL", 2 },
    { "tepal_conn_read_line: the connection is NULL", 3 },
    { "tepal_conn_write: the connection is NULL", 4 },
    { "tepal_conn_writev: the connection is NULL", 5 },
    { "tepal_conn_sendfile: the connection is NULL", 6 },
    { "tepal_conn_put: the connection is NULL", 7 },
    { "tepal_conn_putf: the connection is NULL", 8 },
    { "tepal_conn_drain: the connection is NULL", 9 },
    { "tepal_conn_set_max_output: the connection is NULL", 10 },
    { "tepal_conn_shutdown: the connection is NULL", 11 },
    { "tepal_conn_peer_addr: the connection is NULL", 12 },
    { "tepal_conn_local_addr: the connection is NULL", 13 },
    { "tepal_conn_fd: the connection is NULL", 14 },
    { "tepal_conn_set_keepalive: the connection is NULL", 15 },
    { "tepal_conn_credentials: the connection is NULL", 16 },
    { "tepal_conn_send_fds: the connection is NULL", 17 },
    { "tepal_conn_receive_fds: the connection is NULL", 18 },
    { "tepal_listener_open_conn: the listener is NULL", 19 },
    { "tepal_listener_port: the listener is NULL", 20 },
    { "tepal_listener_serve: the listener is NULL", 21 },
    { "tepal_conn_open: the host is NULL", 22 },
    { "tepal_conn_open_unix: the path is NULL", 23 },
    { "tepal_udp_send: the socket is NULL", 24 },
    { "tepal_udp_receive: the socket is NULL", 25 },
    { "tepal_udp_connect: the socket is NULL", 26 },
    { "tepal_udp_join: the socket is NULL", 27 },
    { "tepal_udp_leave: the socket is NULL", 28 },
    { "tepal_udp_local_addr: the socket is NULL", 29 },
    { "tepal_udp_fd: the socket is NULL", 30 },
    { "tepal_process_wait: the process is NULL", 31 },
    { "tepal_process_signal: the process is NULL", 32 },
    { "tepal_process_pid: the process is NULL", 33 },
    { "tepal_process_stdin: the process is NULL", 34 },
    { "tepal_process_stdout: the process is NULL", 35 },
    { "tepal_process_stderr: the process is NULL", 36 },
    { "tepal_process_open: argv names no program", 37 },
    { "tepal_addr_parse: the text is NULL", 38 },
    { "tepal_addr_text: the address is NULL", 39 },
    { "tepal_conn_peek: the connection is NULL", 40 },
    { "tepal_conn_interrupt_reader: the connection is NULL", 41 },
    { "tepal_conn_interrupt_writers: the connection is NULL", 42 },
    { "tepal_listener_interrupt: the listener is NULL", 43 },
    { "tepal_udp_interrupt_receiver: the socket is NULL", 44 },
    { "tepal_udp_interrupt_senders: the socket is NULL", 45 },
    { "tepal_udp_receive_all: the socket is NULL", 46 },
    { "tepal_udp_send_all: the socket is NULL", 47 },
};

static int number;

static int call_on_connection(void)
{
    char buffer[4], *data;
    int fd = 0;
    size_t n = 1;
    tepal_addr addr;
    tepal_credentials credentials;
    tepal_bytes piece = { "x", 1 };
    switch (number) {
    case 0:
        return (int)tepal_conn_read(NULL, buffer, 4);
    case 1:
        return tepal_conn_read_exactly(NULL, buffer, 4);
    case 2:
        return (int)tepal_conn_read_until(NULL, "x", 1, 4, &data);
    case 3:
        return (int)tepal_conn_read_line(NULL, 4, &data);
    case 4:
        return tepal_conn_write(NULL, "x", 1);
    case 5:
        return tepal_conn_writev(NULL, &piece, 1);
    case 6:
        return tepal_conn_sendfile(NULL, 0, 0, 1);
    case 7:
        return tepal_conn_put(NULL, "x", 1);
    case 8:
        return tepal_conn_putf(NULL, "x");
    case 9:
        return tepal_conn_drain(NULL);
    case 10:
        return tepal_conn_set_max_output(NULL, 1);
    case 11:
        return tepal_conn_shutdown(NULL);
    case 12:
        return tepal_conn_peer_addr(NULL, &addr);
    case 13:
        return tepal_conn_local_addr(NULL, &addr);
    case 14:
        return tepal_conn_fd(NULL);
    case 15:
        return tepal_conn_set_keepalive(NULL, NULL);
    case 16:
        return tepal_conn_credentials(NULL, &credentials);
    case 17:
        return tepal_conn_send_fds(NULL, &fd, 1, "x", 1);
    default:
        return (int)tepal_conn_receive_fds(NULL, buffer, 4, &fd, &n);
    }
}

static int call_on_others(void)
{
    char buffer[4];
    tepal_addr addr = { .family = AF_INET };
    tepal_conn *conn;
    tepal_process *process;
    switch (number) {
    case 19:
        return tepal_listener_open_conn(NULL, &conn);
    case 20:
        return tepal_listener_port(NULL);
    case 21:
        return tepal_listener_serve(NULL, NULL, NULL, NULL);
    case 22:
        return tepal_conn_open(&conn, NULL, 80, NULL);
    case 23:
        return tepal_conn_open_unix(&conn, NULL);
    case 24:
        return tepal_udp_send(NULL, NULL, "x", 1);
    case 25:
        return (int)tepal_udp_receive(NULL, buffer, 4, NULL);
    case 26:
        return tepal_udp_connect(NULL, &addr);
    case 27:
        return tepal_udp_join(NULL, &addr);
    case 28:
        return tepal_udp_leave(NULL, &addr);
    case 29:
        return tepal_udp_local_addr(NULL, &addr);
    case 30:
        return tepal_udp_fd(NULL);
    case 31:
        return tepal_process_wait(NULL, NULL);
    case 32:
        return tepal_process_signal(NULL, 15);
    case 33:
        return tepal_process_pid(NULL);
    case 34:
        return tepal_process_stdin(NULL) != NULL;
    case 35:
        return tepal_process_stdout(NULL) != NULL;
    case 36:
        return tepal_process_stderr(NULL) != NULL;
    case 37:
        return tepal_process_open(&process, NULL, NULL);
    case 38:
        return tepal_addr_parse(&addr, NULL, 80);
    default:
        return tepal_addr_text(NULL, buffer, 4) != NULL;
    }
}

static int call_on_many(void)
{
    tepal_datagram datagram = { .data = "x", .len = 1 };
    const char *data;
    switch (number) {
    case 40:
        return (int)tepal_conn_peek(NULL, 1, &data);
    case 41:
        return tepal_conn_interrupt_reader(NULL);
    case 42:
        return tepal_conn_interrupt_writers(NULL);
    case 43:
        return tepal_listener_interrupt(NULL);
    case 44:
        return tepal_udp_interrupt_receiver(NULL);
    case 45:
        return tepal_udp_interrupt_senders(NULL);
    case 46:
        return (int)tepal_udp_receive_all(NULL, &datagram, 1);
    default:
        return (int)tepal_udp_send_all(NULL, &datagram, 1);
    }
}

static int call(void *arg)
{
    (void)arg;
    if (number >= 40)
        return call_on_many();
    return number < 19 ? call_on_connection() : call_on_others();
}

static void each_call_says_what_is_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        number = cases[i].number;
        expect_misuse(call, cases[i].message);
    }
}

/* What ends something takes NULL for nothing. */
static int close_nothing(void *arg)
{
    tepal_conn_close(NULL);
    tepal_conn_abort(NULL);
    tepal_listener_close(NULL);
    tepal_udp_close(NULL);
    tepal_process_close(NULL);
    assert_int_equal(tepal_listener_open_and_serve(NULL, NULL, NULL, NULL), -EINVAL);
    (void)arg;
    return 0;
}

static void closing_nothing_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(tepal_main(close_nothing, NULL), 0);
}

/* --- Places for results ----------------------------------------------------------------------- */

static const char *const placed[] = {
    "tepal_conn_open",        "tepal_conn_open_unix",  "tepal_conn_open_fd",
    "tepal_conn_open_pair",   "tepal_listener_open",   "tepal_process_open",
    "tepal_udp_open",         "tepal_addr_parse",      "tepal_listener_open_conn",
    "tepal_conn_peer_addr",   "tepal_conn_local_addr", "tepal_conn_credentials",
    "tepal_udp_local_addr",   "tepal_conn_read_until", "tepal_conn_read_line",
    "tepal_conn_receive_fds", "tepal_conn_peek",       "tepal_udp_receive_all",
    "tepal_udp_send_all",
};

static int call_without_place(void *arg)
{
    const tepal_listener_options where = { .host = "127.0.0.1", .port = TEPAL_ANY_PORT };
    static const char *const argv[] = { "true", NULL };
    tepal_conn *conn, *other;
    tepal_listener *listener;
    tepal_udp *udp;
    char buffer[4];
    (void)arg;
    if (tepal_conn_open_pair(&conn, &other) < 0)
        return 0;
    switch (number) {
    case 0:
        return tepal_conn_open(NULL, "127.0.0.1", 1, NULL);
    case 1:
        return tepal_conn_open_unix(NULL, "/none");
    case 2:
        return tepal_conn_open_fd(NULL, 0);
    case 3:
        return tepal_conn_open_pair(&conn, NULL);
    case 4:
        return tepal_listener_open(NULL, &where);
    case 5:
        return tepal_process_open(NULL, argv, NULL);
    case 6:
        return tepal_udp_open(NULL, NULL);
    case 7:
        return tepal_addr_parse(NULL, "::1", 1);
    case 8:
        return tepal_listener_open(&listener, &where) == 0
                   ? tepal_listener_open_conn(listener, NULL)
                   : 0;
    case 9:
        return tepal_conn_peer_addr(conn, NULL);
    case 10:
        return tepal_conn_local_addr(conn, NULL);
    case 11:
        return tepal_conn_credentials(conn, NULL);
    case 12:
        return tepal_udp_open(&udp, NULL) == 0 ? tepal_udp_local_addr(udp, NULL) : 0;
    case 13:
        return (int)tepal_conn_read_until(conn, "x", 1, 4, NULL);
    case 14:
        return (int)tepal_conn_read_line(conn, 4, NULL);
    case 15:
        return (int)tepal_conn_receive_fds(conn, buffer, 4, NULL, NULL);
    case 16:
        return (int)tepal_conn_peek(conn, 1, NULL);
    case 17:
        return tepal_udp_open(&udp, NULL) == 0 ? (int)tepal_udp_receive_all(udp, NULL, 1) : 0;
    case 18:
        return tepal_udp_open(&udp, NULL) == 0 ? (int)tepal_udp_send_all(udp, NULL, 1) : 0;
    }
    return 0;
}

static void no_place_for_a_result(void **state)
{
    (void)state;
    for (number = 0; number < (int)(sizeof(placed) / sizeof(*placed)); number++) {
        char message[100];
        snprintf(message, sizeof(message), "%s: there is no place for the result", placed[number]);
        expect_misuse(call_without_place, message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_says_what_is_missing),
        cmocka_unit_test(no_place_for_a_result),
        cmocka_unit_test(closing_nothing_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
