/* Memory as a carrier of exchanges: a request that somebody has made up, given to a server without
 * a connection, and whoever takes the response piece by piece. For tests of handlers, fuzzing, and
 * what passes requests on. Handlers see the same as on a connection; but a head has no octets here.
 */
#ifndef TEPAL_WEB_EXCHANGE_MADE_H
#define TEPAL_WEB_EXCHANGE_MADE_H

#include "base/buf.h"
#include "net/addr.h"
#include "web/exchange/user.h"

struct made_client;

/* All is copied. What is no request by the rules of HTTP is refused as on a connection, and over
 * the limits of the server, too. */
struct made_request {
    const char *method, *target;
    const tepal_pair *fields; /* ends with a pair without a name; a value of NULL is no field */
    int version;              /* 10, 11 */
    const char *scheme;       /* "http", "https"; constant */
    struct addr_peer peer;
    /* Octets of the content; TEPAL_UNKNOWN: its end will tell. A Content-Length must say the
     * same. */
    uint64_t content_length;
};

/* Who is at the other end. The calls are made in the task that reads or writes, and may suspend. */
struct made_client {
    /* The next piece of the request's content, valid until the next call. Returns 1, 0 at the end,
     * or a negative error: the content is broken off, unless the wait was interrupted. NULL: it has
     * none. */
    int (*read)(struct made_client *client, tepal_bytes *piece);

    /* The head of the response, and the next piece of its content. Return 0 or a negative error:
     * nothing can be written any more, unless the wait was interrupted; nothing was taken then. */
    int (*head)(struct made_client *client, const struct response_head *head);
    int (*write)(struct made_client *client, const void *data, size_t len);

    struct made_exchange *exchange; /* while it is served; else NULL */
    int error; /* behind that: the cause that the request has recorded last, or 0 */
};

/* Serves a request in the present task, whose name, locals and cancellation are the request's
 * meanwhile. call: see exchange_call(). The server must not end before that. Returns 0 when the
 * response is whole, or a negative error when it is not. Suspends. */
int made_serve(struct server *server, const struct made_request *request,
               struct made_client *client, const struct exchange_call *call);

/* The client goes away, as one that resets its connection: what waits in the handler is cancelled
 * unless that is shielded, and nothing can be read or written any more. Nothing happens when it is
 * not being served. */
void made_client_leave(struct made_client *client);

/* --- A client in memory ----------------------------------------------------------------------- */

enum { MADE_MAX_FIELDS = 255 }; /* of a response, with those that servers add */

/* It has the whole content, and takes the whole response at once, with the fields that servers
 * add. */
struct made_memory {
    struct made_client client;
    tepal_bytes content; /* of the request */
    size_t most_at_once; /* so much of it is read at once; 0: all */
    size_t n_read;
    const char *server_name; /* of the Server field; "": there is none */
    struct message message;  /* the response; status 0: not even a head has come */
    struct message_field fields[MADE_MAX_FIELDS];
    struct buf text; /* in which its offsets are */
    struct buf body;
};

/* A body of the response up to max octets. */
void made_memory_init(struct made_memory *memory, tepal_bytes content, size_t max);
void made_memory_clear(struct made_memory *memory);

#endif
