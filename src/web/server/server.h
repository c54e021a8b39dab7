/* A server: an application, its limits, and the connections it has open. */
#ifndef TEPAL_WEB_SERVER_SERVER_H
#define TEPAL_WEB_SERVER_SERVER_H

#include "base/list.h"
#include "web/server/memory.h"

#include <tepal/run.h>

#include <stdbool.h>
#include <stddef.h>

struct access_log;
struct addr;
struct h1_ways;
struct local;
struct json_given;
struct responses;
struct tepal_listener;

struct server {
    tepal_app *app;
    struct loop *loop;
    tepal_run_options options; /* with defaults filled in */
    bool default_memory;       /* max_request_memory is the default, for limits.max_body */
    struct h1_ways *h1;        /* of its HTTP/1 connections */
    struct server_site *sites; /* see sites.h; NULL: connections are attached one by one */
    size_t n_sites;
    struct access_log *access_log; /* NULL: none */
    bool observed;                 /* there is such a log, or somebody else is told of all ends */
    struct memory memory;          /* of all requests */
    struct local *locals;          /* that each request begins with */
    struct responses *responses;   /* of the loop */
    struct json_given *json_given;
    struct list connections; /* the idle ones among them in the order in which they became so */
    size_t n_connections, n_idle;
    bool wants_room;            /* accepting has paused until a connection is idle, or has ended */
    bool closing;               /* connections end with their present request */
    bool cancelled;             /* and that has been cancelled: the time of the server is over */
    bool stopped;               /* tepal_app_stop() */
    bool start_ended;           /* by that: the task that starts was cancelled for it */
    struct tepal_task *starter; /* while it starts */
    struct tepal_task *waiter;  /* for stopped, or for the last connection to end */
    size_t n_short;             /* requests for which there was no memory */
    int64_t short_said_at;      /* when that was last a line of the log; 0: never */
    int64_t room_said_at;       /* the same of idle connections that were closed for others */
};

/* Room for why options are refused. */
enum { SERVER_WHY_SIZE = 200 };

/* Fills in the defaults. Returns 0, or -EINVAL when they do not fit each other, the loop's stacks,
 * or the routes of the application; why names the option and its value. */
int server_options(const tepal_app *app, tepal_run_options *out, const tepal_run_options *in,
                   char why[SERVER_WHY_SIZE]);

/* The default of max_request_memory for bodies of at most this size. */
size_t server_request_memory(size_t max_body);

/* A server with no connections. Returns 0 or a negative errno. */
int server_new(struct server **out, tepal_app *app, const tepal_run_options *options);
void server_free(struct server *server);

/* Sees to it that what the listener accepts is attached to the server. */
void server_on_listener(struct server *server, struct tepal_listener *listener);

/* Takes over a connected socket. Does not fail: when memory is short the client is told so. */
void server_attach(struct server *server, int fd, const struct addr *peer);

/* There was no memory for a request: says so in the log, now and then. */
void server_note_shortage(struct server *server);

/* A connection has ended or become idle: another one may have its place. And: none is idle. */
void server_may_accept(struct server *server);
void server_no_more_room(struct server *server);

/* Whether it is the socket of a connection of this server: a walk along all. */
bool server_has_socket(const struct server *server, int fd);

/* Called by connections that have ended. */
void server_detached(struct server *server);

/* Accepts no more, and lets every connection end with its present request. */
void server_close_gently(struct server *server);

/* Waits until all connections have ended, at most until that time. Suspends. Returns 0, -ETIMEDOUT
 * or -ECANCELED. */
int server_wait_idle(struct server *server, int64_t until);

/* Cancels all running requests. */
void server_cancel_all(struct server *server);

/* Closes the connections of requests that do not end, and leaves the rest of them as it is: see
 * task_abandon(). */
void server_abandon_all(struct server *server);

static inline bool server_is_full(const struct server *server)
{
    return server->n_connections >= server->options.limits.max_connections;
}

#endif
