/* The client's ends of a test's connections.
 *
 * They are socket pairs, on which nothing takes time, so that a fake clock knows when nothing can
 * happen any more. But they end as TCP connections do: a close is at first only the end of the
 * client's side, and a reset when the server writes to it after that, or had written what was not
 * read. */
#ifndef TEPAL_WEB_TESTING_PEER_H
#define TEPAL_WEB_TESTING_PEER_H

#include <stdbool.h>

struct addr;
struct server;

/* An end that the client has closed, and of which the server may still think. */
struct closed_peer {
    int fd;
    struct closed_peer *next;
};

/* A connection from this address; NULL: from 127.0.0.1. Returns the client's end or a negative
 * errno. */
int testpeer_open(struct server *server, const struct addr *remote);

/* Closes the client's end. */
void testpeer_close(struct closed_peer **closed, int fd);

/* Answers what the server has written to closed ends. Returns whether it had. */
bool testpeer_answer(struct closed_peer **closed);

/* Forgets all closed ends. */
void testpeer_clear(struct closed_peer **closed);

#endif
