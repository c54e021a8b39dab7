/* The server: what all its connections share. What happens on one of them is connection.c's. */
#include "web/server/server.h"

#include "async/task/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/listener/listener.h"
#include "web/server/access_log.h"
#include "web/app/application.h"
#include "web/exchange/connection.h"
#include "web/exchange/h1_ways.h"
#include "web/json/owner.h"
#include "web/json/scan.h"
#include "web/message/responses.h"
#include "web/server/sites.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int server_new(struct server **out, tepal_app *app, const tepal_run_options *options)
{
    struct server *server = mem_zalloc(sizeof(*server));
    if (!server)
        return -ENOMEM;
    server->app = app;
    server->loop = loop_current;
    server->options = *options;
    memory_open(&server->memory, options->limits.max_memory);
    list_init(&server->connections);
    server->responses = responses_of(server->loop);
    server->json_given = json_given_new();
    int rc = server->responses && server->json_given ? 0 : -ENOMEM;
    if (rc == 0)
        rc = h1_ways_new(&server->h1, server->loop, &server->options);
    if (rc == 0 && !options->access_log.off)
        rc =
            access_log_new(&server->access_log, options->access_log.format, options->access_log.fd);
    server->observed = server->access_log || app->n_done_hooks > 0;
    if (rc < 0)
        server_free(server);
    else
        *out = server;
    return rc;
}

void server_free(struct server *server)
{
    sites_free(server);
    access_log_free(server->access_log);
    locals_drop(server->locals);
    memory_close(&server->memory);
    json_given_free(server->json_given);
    h1_ways_free(server->h1);
    mem_free(server);
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

/* The connection that has been idle for longest and may be closed for another one; NULL: there is
 * none now. Those at work that are found before it go to the end of the list, where they belong:
 * each will be idle later than all that are. */
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

/* There is no descriptor for a connection that waits, so there is none for a file either: some more
 * are made free. */
static bool on_shortage(struct tepal_listener *listener, int error)
{
    struct server *server = listener->arg;
    if (!close_longest_idle(server, 1 + server->n_idle / 64))
        return false;
    if (may_say(server, &server->room_said_at))
        tepal_logf(TEPAL_LOG_WARNING, "%s: idle connections are closed for new ones",
                   tepal_code_text(error));
    return true;
}

void server_on_listener(struct server *server, struct tepal_listener *listener)
{
    listener->arg = server;
    listener->on_accept = on_accept;
    listener->has_room = has_room;
    listener->on_shortage = on_shortage;
}

void server_note_shortage(struct server *server)
{
    server->n_short++;
    if (may_say(server, &server->short_said_at))
        tepal_logf(TEPAL_LOG_ERROR, "no memory for a request: answered with 503 (%zu so far)",
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
    server->wants_room = server->n_sites > 0;
    sites_pause(server);
}

void server_may_accept(struct server *server)
{
    server->wants_room = false;
    sites_resume(server);
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
        if (connection_fd(CONTAINER_OF(node, struct connection, node)) == fd)
            return true;
    return false;
}

void server_close_gently(struct server *server)
{
    server->closing = true;
    sites_close(server);
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
