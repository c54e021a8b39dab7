/* One connection of a server: idle, at work, or being closed. */
#ifndef TEPAL_WEB_EXCHANGE_CONNECTION_H
#define TEPAL_WEB_EXCHANGE_CONNECTION_H

#include "async/loop/timer.h"
#include "conn/h1_conn.h"
#include "net/addr.h"
#include "web/exchange/h1_ways.h"
#include "web/server/server.h"

struct h1_exchange;
struct partial_head;

/* While no request is under way this struct is all that there is of a connection; its size is what
 * an idle keep-alive connection costs, and a test holds it to its bound. */
struct connection {
    struct h1_conn http;
    struct server *server;
    struct list node; /* in the server's list */
    struct timer timer;
    int64_t deadline;             /* of what the connection waits for while it has no task */
    struct tepal_task *task;      /* that runs its requests; NULL while it waits for one */
    struct partial_head *partial; /* a head of which a part has come, while it waits for the rest */
    struct addr_peer peer;
    uint32_t n_requests;
    bool in_head; /* the first octets of a head have come; deadline is that of its end */
    bool idle;    /* it has no task, and no part of a head */
    bool heard;   /* while it lingers: something has come since the last look */
};

static inline int connection_fd(const struct connection *connection)
{
    return connection->http.conn.io.fd;
}

/* Takes over a connected socket. Returns 0, or a negative errno, and then it is still the
 * caller's. */
int connection_open(struct server *server, int fd, const struct addr *peer);

/* While a request is under way: sees whether its client has gone, and ends the work if it has. A
 * reset ends all; the end of the client's side, once the request has come whole, what the handler
 * waits for: see app.h. */
void connection_look_for_end(struct connection *connection);

/* Whether it has come only just now, so that its first request may be on its way. */
bool connection_is_young(const struct connection *connection);

/* Closes the connection for the sake of another one if it is idle; one whose next request has come
 * is served instead. Returns whether it was closed. */
bool connection_make_room(struct connection *connection);

/* Ends the connection as soon as it has answered what it is at, and what has come already. */
void connection_end_gently(struct connection *connection);

/* Ends it now; the request that runs is cancelled. */
void connection_cancel(struct connection *connection);

/* Ends it though its request does not end: the client is told by the close, and what the request
 * uses stays. */
void connection_abandon(struct connection *connection);

#endif
