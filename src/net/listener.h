/* Listening sockets as the server sees them: a function that is called with each new connection. */
#ifndef TEPAL_NET_LISTENER_H
#define TEPAL_NET_LISTENER_H

#include "async/loop.h"
#include "net/addr.h"

#include <tepal/net.h>

#include <stdbool.h>

/* REST_MS: between attempts to accept when descriptors or memory have run out. */
enum { LISTENER_MAX_SOCKETS = 4, LISTENER_REST_MS = 100 };

struct listener_socket {
    struct io io;
    struct tepal_listener *listener;
};

struct tepal_listener {
    struct loop *loop;
    struct listener_socket sockets[LISTENER_MAX_SOCKETS];
    int n_sockets;
    /* Called with each connection; the descriptor is its own from then on. NULL: tepal_accept()
     * is used. */
    void (*on_accept)(struct tepal_listener *listener, int fd, const struct addr *peer);
    /* Called when there was no descriptor or no memory for a connection that waits: closes others, and
     * returns whether it did. NULL: nothing can be closed. */
    bool (*on_shortage)(struct tepal_listener *listener);
    void *arg;
    char *path;        /* of a Unix socket, to be removed */
    struct timer rest; /* set while out of descriptors or memory */
    bool paused;       /* by listener_pause() */
    bool complained;   /* about descriptors, and the shortage has not ended */
};

/* Stops accepting; connections wait in the backlog. */
void listener_pause(struct tepal_listener *listener);
void listener_resume(struct tepal_listener *listener);

/* Before the end: accepts what waits in the backlog, however much that is, unless it is paused. */
void listener_accept_all(struct tepal_listener *listener);

/* Whether accepting failed for want of something that closing a connection gives back. Complains
 * about it in the log, once for each shortage. */
bool listener_is_shortage(struct tepal_listener *listener, int error);

#endif
