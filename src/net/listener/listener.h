/* Listening sockets as the server sees them: a function that is called with each new connection. */
#ifndef TEPAL_NET_LISTENER_LISTENER_H
#define TEPAL_NET_LISTENER_LISTENER_H

#include "async/loop/loop.h"
#include "base/log.h"
#include "net/addr.h"
#include "net/conn/unix_file.h"

#include <tepal/net.h>

#include <stdbool.h>

/* Between attempts to accept when descriptors or memory have run out, or when it fails for ever. */
enum { LISTENER_REST_MS = 100 };

struct listener_socket {
    struct io io;
    struct tepal_listener *listener;
    int n_failed;       /* attempts in a row */
    int64_t rest_until; /* ms */
};

struct tepal_listener {
    struct loop *loop;
    struct listener_socket *sockets;
    int n_sockets;
    int next; /* the socket that is the first in its turn */
    /* Called with each connection; the descriptor is its own from then on. NULL:
     * tepal_listener_open_conn() is used. */
    void (*on_accept)(struct tepal_listener *listener, int fd, const struct addr *peer);
    /* Asked before each: false lets all wait for a while. NULL: always. */
    bool (*has_room)(struct tepal_listener *listener);
    /* Called when there was no descriptor or no memory for a connection that waits: closes others,
     * and returns whether it did. NULL: nothing can be closed. */
    bool (*on_shortage)(struct tepal_listener *listener, int error);
    /* Called when the task that serves is to end, or the listener closes under it. NULL: none
     * serves. */
    void (*stop)(struct tepal_listener *listener);
    void *arg;
    struct unix_file file;
    struct timer again; /* set when there may be connections that nothing will tell of */
    int64_t rest_until; /* ms: out of descriptors or memory */
    bool paused;        /* by listener_pause() */
    bool complained;    /* in the log, and what it was about has not ended */
    bool closed;        /* under a task that leaves tepal_listener_open_conn(), and frees it */
};

/* Stops accepting; connections wait in the backlog. Resuming also ends a rest: something is
 * free. */
void listener_pause(struct tepal_listener *listener);
void listener_resume(struct tepal_listener *listener);

/* Before the end: accepts what waits in the backlog, however much that is, unless it is paused. */
void listener_accept_all(struct tepal_listener *listener);

/* Whether accepting failed for want of something that closing a connection gives back. Complains
 * about it in the log, once for each shortage. */
bool listener_is_shortage(struct tepal_listener *listener, int error);

/* Misuse, named call, when the listener is NULL. */
static inline void listener_need(const struct tepal_listener *listener, const char *call)
{
    if (UNLIKELY(!listener))
        misuse(call, "the listener is NULL");
}

/* Frees a listener that was closed under a task, which leaves it now. */
void listener_free(struct tepal_listener *listener);

/* --- accept.c, for listener.c ----------------------------------------------------------------- */

/* Something has happened to a socket. */
void listener_on_ready(struct io *io);

/* Connections may wait. */
void listener_on_again(struct timer *timer);

#endif
