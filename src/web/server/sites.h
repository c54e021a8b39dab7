/* The places that a server listens at. */
#ifndef TEPAL_WEB_SERVER_SITES_H
#define TEPAL_WEB_SERVER_SITES_H

#include "web/server/server.h"

struct server_site {
    struct tepal_listener *listener; /* NULL: closed */
    char *url;                       /* the text of tepal_app_url() */
};

/* Begins to accept connections at all of them, or at none. Returns 0 or a negative error, which is
 * logged. */
int sites_open(struct server *server);

/* Stops accepting for a while, and goes on. */
void sites_pause(struct server *server);
void sites_resume(struct server *server);

/* Accepts what waits, and closes the listeners. */
void sites_close(struct server *server);

/* Forgets them. */
void sites_free(struct server *server);

#endif
