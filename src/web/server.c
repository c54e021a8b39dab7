/* The server: what all its connections share. What happens on one of them is connection.c's. */
#include "web/server.h"

#include "async/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/field.h"
#include "net/listener.h"
#include "web/access_log.h"
#include "web/application.h"
#include "web/connection.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void size_default(size_t *size, size_t value)
{
    if (*size == 0)
        *size = value;
}

static void time_default(int64_t *ms, int64_t value)
{
    if (*ms == 0)
        *ms = value;
}

/* A body that is read as it grows is there twice, and as JSON or text perhaps once more. */
static size_t default_request_memory(size_t max_body)
{
    size_t least = 16 * 1024 * 1024, times = 4;
    if (max_body > SIZE_MAX / times)
        return TEPAL_UNLIMITED;
    return max_body * times > least ? max_body * times : least;
}

static void fill_in(tepal_run_options *out)
{
    size_default(&out->max_request_line, 8192);
    size_default(&out->max_head, 32 * 1024);
    size_default(&out->max_fields, 128);
    size_default(&out->max_body, 1024 * 1024);
    size_default(&out->max_json_depth, 128);
    size_default(&out->max_request_memory, default_request_memory(out->max_body));
    size_default(&out->max_connections, 100000);
    size_default(&out->max_requests, TEPAL_UNLIMITED);
    size_default(&out->max_unread_body, 256 * 1024);
    size_default(&out->max_unsent, 256 * 1024);
    size_default(&out->min_body_rate, 100);
    size_default(&out->min_write_rate, 100);
    time_default(&out->head_timeout_ms, 10 * 1000);
    time_default(&out->keepalive_timeout_ms, 75 * 1000);
    time_default(&out->body_timeout_ms, 30 * 1000);
    time_default(&out->write_timeout_ms, 60 * 1000);
    time_default(&out->lingering_timeout_ms, 10 * 1000);
    time_default(&out->shutdown_timeout_ms, 60 * 1000);
    if (out->port == 0)
        out->port = 8080;
    if (!out->server)
        out->server = "tepal";
    if (out->access_log_fd == 0)
        out->access_log_fd = STDERR_FILENO;
    if (!out->access_log_format)
        out->access_log_format = ACCESS_LOG_DEFAULT;
}

int server_options(tepal_run_options *out, const tepal_run_options *in, const char **why)
{
    *out = in ? *in : (tepal_run_options){ 0 };
    fill_in(out);
    *why = NULL;
    if (out->port != TEPAL_ANY_PORT && (out->port < 1 || out->port > 65535))
        *why = "port is not between 1 and 65535";
    else if (out->max_fields > 255)
        *why = "max_fields is over 255";
    else if (out->max_json_depth > 512)
        *why = "max_json_depth is over 512";
    else if (out->max_head > 16 * 1024 * 1024 || out->max_request_line > out->max_head)
        *why = "max_head is over 16 MiB or under max_request_line";
    else if (out->max_request_memory < 64 * 1024)
        *why = "max_request_memory is under 64 KiB";
    else if (out->head_timeout_ms < 0 || out->keepalive_timeout_ms < 0 ||
             out->body_timeout_ms < 0 || out->write_timeout_ms < 0 ||
             out->lingering_timeout_ms < 0 || out->shutdown_timeout_ms < 0)
        *why = "a timeout is negative";
    else if (out->max_memory > 0 && out->max_memory < 1024 * 1024)
        *why = "max_memory is under 1 MiB";
    else if (out->max_unsent < 4096)
        *why = "max_unsent is under 4 KiB";
    else if (!http_is_field_value(out->server, strlen(out->server)))
        *why = "server has control characters";
    return *why ? -EINVAL : 0;
}

static uint64_t rate(size_t octets)
{
    return octets == TEPAL_UNLIMITED ? 0 : octets;
}

static void set_limits(struct server *server)
{
    const tepal_run_options *options = &server->options;
    server->head_limits = (struct h1_limits){
        .max_line = (uint32_t)options->max_request_line,
        .max_head = (uint32_t)options->max_head,
        .max_fields = (uint16_t)options->max_fields,
    };
    server->conn_limits = (struct conn_limits){
        /* A head that is over its limit must fit, to be seen to be. */
        .max_input = (uint32_t)options->max_head + LOOP_BUFFER_SIZE,
        .read_timeout_ms = options->body_timeout_ms,
        .write_timeout_ms = options->write_timeout_ms,
        .min_read_rate = rate(options->min_body_rate),
        .min_write_rate = rate(options->min_write_rate),
        .chunks = {
            .max_line = (uint32_t)options->max_request_line,
            .max_trailers = (uint32_t)options->max_head,
            .max_trailer_fields = (uint16_t)options->max_fields,
        },
    };
}

struct server *server_new(tepal_app *app, const tepal_run_options *options)
{
    struct server *server = mem_zalloc(sizeof(*server));
    if (!server)
        return NULL;
    server->app = app;
    server->loop = loop_current;
    server->options = *options;
    set_limits(server);
    memory_open(&server->memory, options->max_memory);
    list_init(&server->connections);
    size_t size = sizeof("Date: \r\nServer: \r\n") + HTTP_DATE_LEN + strlen(options->server);
    server->common_fields = mem_alloc(size);
    if (!options->no_access_log)
        server->access_log = access_log_new(options->access_log_format, options->access_log_fd);
    if (!server->common_fields || (!options->no_access_log && !server->access_log)) {
        server_free(server);
        return NULL;
    }
    return server;
}

void server_free(struct server *server)
{
    tepal_listener_close(server->listener);
    access_log_free(server->access_log);
    locals_drop(server->locals);
    memory_close(&server->memory);
    mem_free(server->common_fields);
    mem_free(server);
}

void server_make_common_fields(struct server *server)
{
    struct timespec now;
    char date[HTTP_DATE_LEN + 1];
    clock_gettime(CLOCK_REALTIME, &now);
    http_date_write(date, now.tv_sec);
    const char *name = server->options.server, *format = "Date: %s\r\nServer: %s\r\n";
    server->common_len = (size_t)(*name ? sprintf(server->common_fields, format, date, name)
                                        : sprintf(server->common_fields, "Date: %s\r\n", date));
    server->common_until = server->loop->now + 1000 - now.tv_nsec / 1000000;
}

static bool is_full(const struct server *server)
{
    return server->n_connections >= server->options.max_connections;
}

/* Closes the n connections that have been idle for longest. Those at work that are found among them go
 * to the end of the list, where they belong: each was idle later than all that are left. Returns
 * whether there was any. */
static bool close_longest_idle(struct server *server, size_t n)
{
    size_t done = 0;
    while (done < n && server->n_idle > 0) {
        struct list *node = server->connections.next;
        list_remove(node);
        list_append(&server->connections, node);
        done += connection_make_room(CONTAINER_OF(node, struct connection, node));
    }
    return done > 0;
}

static void on_accept(struct tepal_listener *listener, int fd, const struct addr *peer)
{
    server_attach(listener->arg, fd, peer);
}

/* There is no descriptor for a connection that waits, so there is none for a file either: some more are
 * made free. */
static bool on_shortage(struct tepal_listener *listener)
{
    struct server *server = listener->arg;
    return close_longest_idle(server, 1 + server->n_idle / 64);
}

/* The sockets of connections have from their listener what is set there: it costs no call for each. All
 * are a help only. Who has vanished without a word is found within two minutes. */
static void set_socket_options(struct server *server)
{
    enum { IDLE_S = 60, INTERVAL_S = 15, COUNT = 4 };
    size_t max_unsent = server->options.max_unsent;
    const struct {
        int option, value;
    } options[] = {
        { TCP_KEEPIDLE, IDLE_S },
        { TCP_KEEPINTVL, INTERVAL_S },
        { TCP_KEEPCNT, COUNT },
        { TCP_NOTSENT_LOWAT, max_unsent > INT_MAX ? INT_MAX : (int)max_unsent },
    };
    for (int i = 0; !server->options.path && i < server->listener->n_sockets; i++)
        for (size_t j = 0; j < sizeof(options) / sizeof(options[0]); j++)
            (void)setsockopt(server->listener->sockets[i].io.fd, IPPROTO_TCP, options[j].option,
                             &options[j].value, sizeof(options[j].value));
}

int server_listen(struct server *server)
{
    const tepal_run_options *options = &server->options;
    int rc = tepal_listen(&server->listener, &(tepal_listen_options){
                                                 .host = options->host,
                                                 .port = options->port,
                                                 .path = options->path,
                                                 .backlog = options->backlog,
                                                 .reuse_port = options->reuse_port,
                                             });
    if (rc == 0) {
        set_socket_options(server);
        server->listener->arg = server;
        server->listener->on_accept = on_accept;
        server->listener->on_shortage = on_shortage;
    }
    return rc;
}

void server_note_shortage(struct server *server)
{
    enum { SAY_EVERY_MS = 10 * 1000 };
    server->n_short++;
    if (server->short_said_at && server->loop->now < server->short_said_at + SAY_EVERY_MS)
        return;
    server->short_said_at = server->loop->now;
    tepal_log(TEPAL_LOG_ERROR, "no memory for a request: answered with 503 (%zu so far)",
              server->n_short);
}

/* There is not even memory to know the connection by. */
static void turn_away(struct server *server, int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
                                 "Content-Length: 0\r\nConnection: close\r\n\r\n";
    char dropped[4096];
    server_note_shortage(server);
    (void)!send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_WR);
    /* What is unread would make of the close a reset, which takes the answer away. */
    while (recv(fd, dropped, sizeof(dropped), MSG_DONTWAIT) == (ssize_t)sizeof(dropped))
        continue;
    close(fd);
}

void server_attach(struct server *server, int fd, const struct addr *peer)
{
    if (is_full(server))
        close_longest_idle(server, 1);
    if (connection_open(server, fd, peer) < 0) {
        turn_away(server, fd);
        return;
    }
    server->n_connections++;
}

void server_no_more_room(struct server *server)
{
    if (server->listener && is_full(server))
        listener_pause(server->listener);
}

void server_may_accept(struct server *server)
{
    if (server->listener)
        listener_resume(server->listener);
}

void server_detached(struct server *server)
{
    server->n_connections--;
    server_may_accept(server);
    if (server->n_connections == 0 && server->closing && server->waiter)
        task_wake(server->waiter, 0);
}

bool server_has_socket(const struct server *server, int fd)
{
    for (const struct list *node = server->connections.next; node != &server->connections;
         node = node->next)
        if (CONTAINER_OF(node, struct connection, node)->http.stream.io.fd == fd)
            return true;
    return false;
}

void server_close_gently(struct server *server)
{
    server->closing = true;
    if (server->listener) {
        listener_accept_all(server->listener);
        tepal_listener_close(server->listener);
        server->listener = NULL;
    }
    struct list all;
    list_init(&all);
    list_move_all(&all, &server->connections);
    while (!list_is_empty(&all)) {
        struct list *node = list_take_first(&all);
        list_append(&server->connections, node);
        connection_end_gently(CONTAINER_OF(node, struct connection, node));
    }
}

int server_wait_idle(struct server *server, int64_t until)
{
    int rc = 0;
    while (server->n_connections > 0 && rc == 0) {
        server->waiter = server->loop->current;
        rc = task_wait(server->loop, "connections to end", until);
        server->waiter = NULL;
    }
    return rc;
}

void server_cancel_all(struct server *server)
{
    server->cancelled = true;
    for (struct list *node = server->connections.next; node != &server->connections;) {
        struct connection *connection = CONTAINER_OF(node, struct connection, node);
        node = node->next;
        connection_cancel(connection);
    }
}
