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
#include "web/json_owner.h"
#include "web/json_scan.h"
#include "web/responses.h"

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

/* A body, what is made of it, and its answer. */
size_t server_request_memory(size_t max_body)
{
    size_t least = 16 * 1024 * 1024, times = 4;
    if (max_body > SIZE_MAX / times)
        return TEPAL_UNLIMITED;
    return max_body * times > least ? max_body * times : least;
}

static size_t at_most(size_t size, size_t most)
{
    return size < most ? size : most;
}

enum {
    MAX_HEAD = 16 * 1024 * 1024,
    MAX_FIELDS = 255,
    MIN_REQUEST_MEMORY = 64 * 1024,
    MIN_MEMORY = 1024 * 1024,
    MIN_UNSENT = 4096,
    DEFAULT_JSON_DEPTH = 128,
    /* Octets of a task's stack that are not for nested JSON, but for what all requests need; and for
     * each level of it. */
    PLAIN_STACK = 12 * 1024,
    LEVEL_STACK = 128,
};

/* Limits of the head, of which each has a default that suits the other. */
static void fill_in_head(tepal_run_options *out)
{
    const size_t line = 8192, head = 32 * 1024, fields = head - line;
    if (out->max_head == 0 && out->max_request_line > line && out->max_request_line <= MAX_HEAD)
        out->max_head = at_most(out->max_request_line + fields, MAX_HEAD);
    size_default(&out->max_head, head);
    size_default(&out->max_request_line, at_most(line, out->max_head));
    if (out->max_request_line == TEPAL_UNLIMITED)
        out->max_request_line = out->max_head;
}

/* How deep JSON may be nested on the stacks of the loop. */
static size_t json_depth_that_fits(void)
{
    size_t stack = loop_current->stacks.size;
    return stack > PLAIN_STACK ? (stack - PLAIN_STACK) / LEVEL_STACK : 0;
}

static void fill_in(tepal_run_options *out)
{
    fill_in_head(out);
    size_default(&out->max_fields, 128);
    size_default(&out->max_body, out->max_request_memory
                                     ? at_most(1024 * 1024, out->max_request_memory)
                                     : 1024 * 1024);
    size_default(&out->max_json_depth, at_most(DEFAULT_JSON_DEPTH, json_depth_that_fits()));
    size_default(&out->max_request_memory, server_request_memory(out->max_body));
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

/* --- Checking --------------------------------------------------------------------------------- */

/* Says why the options are refused. */
static int __attribute__((format(printf, 2, 3))) refuse(char *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, SERVER_WHY_SIZE, format, args);
    va_end(args);
    return -EINVAL;
}

static const char *size_text(char text[32], size_t size)
{
    if (size == TEPAL_UNLIMITED)
        return "TEPAL_UNLIMITED";
    snprintf(text, 32, "%zu", size);
    return text;
}

/* Sizes that have a highest or a least value of their own. */
static int check_sizes(const tepal_run_options *options, char *why)
{
    const struct {
        const char *name;
        size_t value, least, most;
    } rows[] = {
        { "max_fields", options->max_fields, 0, MAX_FIELDS },
        { "max_json_depth", options->max_json_depth, 0, JSON_SCAN_MAX_DEPTH },
        { "max_head", options->max_head, 0, MAX_HEAD },
        { "max_request_memory", options->max_request_memory, MIN_REQUEST_MEMORY, SIZE_MAX },
        { "max_memory", options->max_memory ? options->max_memory : SIZE_MAX, MIN_MEMORY,
          SIZE_MAX },
        { "max_unsent", options->max_unsent, MIN_UNSENT, SIZE_MAX },
    };
    char text[32];
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        bool over = rows[i].value > rows[i].most;
        if (over || rows[i].value < rows[i].least)
            return refuse(why, "%s is %s %zu: %s", rows[i].name, over ? "over" : "under",
                          over ? rows[i].most : rows[i].least, size_text(text, rows[i].value));
    }
    return 0;
}

/* Sizes of which one must fit another. */
static int check_pairs(const tepal_run_options *options, char *why)
{
    size_t line = options->max_request_line, head = options->max_head;
    size_t body = options->max_body, memory = options->max_request_memory;
    size_t depth = options->max_json_depth;
    if (line > head)
        return refuse(why, "max_request_line is over max_head: %zu, and %zu", line, head);
    if (body != TEPAL_UNLIMITED && body > memory)
        return refuse(why, "max_body is over max_request_memory: %zu, and %zu", body, memory);
    if (depth > json_depth_that_fits())
        return refuse(why, "max_json_depth is %zu, which needs a stack_size of %zu: it is %zu",
                      depth, PLAIN_STACK + depth * LEVEL_STACK, loop_current->stacks.size);
    return 0;
}

static int check_times(const tepal_run_options *options, char *why)
{
    const struct {
        const char *name;
        int64_t value;
    } rows[] = {
        { "head_timeout_ms", options->head_timeout_ms },
        { "keepalive_timeout_ms", options->keepalive_timeout_ms },
        { "body_timeout_ms", options->body_timeout_ms },
        { "write_timeout_ms", options->write_timeout_ms },
        { "lingering_timeout_ms", options->lingering_timeout_ms },
        { "shutdown_timeout_ms", options->shutdown_timeout_ms },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (rows[i].value < 0)
            return refuse(why, "%s is negative: %lld", rows[i].name, (long long)rows[i].value);
    return 0;
}

/* A body that a route wants must fit into the memory that was given: by default there is more. */
static int check_routes(const tepal_app *app, size_t memory, char *why)
{
    for (const struct route *route = app->router.routes; route; route = route->next_in_app)
        if (route->max_body != TEPAL_UNLIMITED && route->max_body > memory)
            return refuse(why, "route %s %s: max_body is over max_request_memory: %zu, and %zu",
                          route->method, route->pattern.source, route->max_body, memory);
    return 0;
}

int server_options(const tepal_app *app, tepal_run_options *out, const tepal_run_options *in,
                   char why[SERVER_WHY_SIZE])
{
    *out = in ? *in : (tepal_run_options){ 0 };
    bool own_memory = out->max_request_memory != 0;
    fill_in(out);
    if (out->port != TEPAL_ANY_PORT && (out->port < 1 || out->port > 65535))
        return refuse(why, "port is not between 1 and 65535: %d", out->port);
    if (!http_is_field_value(out->server, strlen(out->server)))
        return refuse(why, "server has control characters");
    int rc = check_sizes(out, why);
    if (rc == 0)
        rc = check_pairs(out, why);
    if (rc == 0)
        rc = check_times(out, why);
    if (rc == 0 && own_memory)
        rc = check_routes(app, out->max_request_memory, why);
    return rc;
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

int server_new(struct server **out, tepal_app *app, const tepal_run_options *options)
{
    struct server *server = mem_zalloc(sizeof(*server));
    if (!server)
        return -ENOMEM;
    server->app = app;
    server->loop = loop_current;
    server->options = *options;
    set_limits(server);
    memory_open(&server->memory, options->max_memory);
    list_init(&server->connections);
    size_t size = sizeof("Date: \r\nServer: \r\n") + HTTP_DATE_LEN + strlen(options->server);
    server->common_fields = mem_alloc(size);
    server->responses = responses_of(server->loop);
    server->json_given = json_given_new();
    int rc = server->common_fields && server->responses && server->json_given ? 0 : -ENOMEM;
    if (rc == 0)
        rc = usual_heads_init(server->usual_heads, size);
    if (rc == 0 && !options->no_access_log)
        rc =
            access_log_new(&server->access_log, options->access_log_format, options->access_log_fd);
    if (rc < 0)
        server_free(server);
    else
        *out = server;
    return rc;
}

void server_free(struct server *server)
{
    tepal_listener_close(server->listener);
    access_log_free(server->access_log);
    locals_drop(server->locals);
    memory_close(&server->memory);
    json_given_free(server->json_given);
    usual_heads_free(server->usual_heads);
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
    usual_heads_make(server->usual_heads, server->common_fields, server->common_len);
    server->common_until = server->loop->now + 1000 - now.tv_nsec / 1000000;
}

/* What may happen for each request is a line of the log now and then. */
static bool may_say(const struct server *server, int64_t *said_at)
{
    enum { SAY_EVERY_MS = 10 * 1000 };
    if (*said_at && server->loop->now < *said_at + SAY_EVERY_MS)
        return false;
    *said_at = server->loop->now;
    return true;
}

/* The connection that has been idle for longest and may be closed for another one; NULL: there is none
 * now. Those at work that are found before it go to the end of the list, where they belong: each will
 * be idle later than all that are. */
static struct connection *longest_idle(struct server *server)
{
    enum { MOST_YOUNG = 64 };
    size_t n_young = 0;
    struct list *node = server->connections.next;
    while (server->n_idle > n_young && n_young < MOST_YOUNG) {
        struct connection *c = CONTAINER_OF(node, struct connection, node);
        node = node->next;
        if (!c->idle) {
            list_remove(&c->node);
            list_append(&server->connections, &c->node);
        } else if (connection_is_young(c)) {
            n_young++;
        } else {
            return c;
        }
    }
    return NULL;
}

/* Closes the n connections that have been idle for longest. Returns whether there was any. */
static bool close_longest_idle(struct server *server, size_t n)
{
    size_t done = 0;
    struct connection *c;
    while (done < n && (c = longest_idle(server)))
        done += connection_make_room(c);
    return done > 0;
}

static bool has_room(struct tepal_listener *listener)
{
    struct server *server = listener->arg;
    return !server_is_full(server) || longest_idle(server);
}

static void on_accept(struct tepal_listener *listener, int fd, const struct addr *peer)
{
    server_attach(listener->arg, fd, peer);
}

/* There is no descriptor for a connection that waits, so there is none for a file either: some more are
 * made free. */
static bool on_shortage(struct tepal_listener *listener, int error)
{
    struct server *server = listener->arg;
    if (!close_longest_idle(server, 1 + server->n_idle / 64))
        return false;
    if (may_say(server, &server->room_said_at))
        tepal_log(TEPAL_LOG_WARNING, "%s: idle connections are closed for new ones",
                  tepal_error_text(error));
    return true;
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
        server->listener->has_room = has_room;
        server->listener->on_shortage = on_shortage;
    }
    return rc;
}

void server_note_shortage(struct server *server)
{
    server->n_short++;
    if (may_say(server, &server->short_said_at))
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
    if (server_is_full(server))
        close_longest_idle(server, 1);
    if (connection_open(server, fd, peer) < 0) {
        turn_away(server, fd);
        return;
    }
    server->n_connections++;
}

void server_no_more_room(struct server *server)
{
    if (!server->listener)
        return;
    server->wants_room = true;
    listener_pause(server->listener);
}

void server_may_accept(struct server *server)
{
    server->wants_room = false;
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

void server_abandon_all(struct server *server)
{
    while (!list_is_empty(&server->connections)) {
        struct list *node = server->connections.next;
        connection_abandon(CONTAINER_OF(node, struct connection, node));
    }
}
