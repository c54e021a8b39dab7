/* One request and its response on some carrier: all that a request and a response know of the world
 * below them. A carrier is HTTP/1 on a connection (h1.c), or memory (made.c); what is above is
 * written against this header alone.
 *
 * A carrier's own struct begins with a struct exchange. It lies in the memory of the request: see
 * user.h.
 */
#ifndef TEPAL_WEB_EXCHANGE_EXCHANGE_H
#define TEPAL_WEB_EXCHANGE_EXCHANGE_H

#include "http/message.h"
#include "web/exchange/response_head.h"

#include <tepal/app.h>

struct addr_peer;
struct exchange;
struct tepal_task;

/* What each carrier does in its way. Those that return an int return 0 or a negative error. */
struct exchange_ops {
    /* The next piece of the request's content, valid until the next call. A client that waits to be
     * asked for it (100, Continue) is asked when this is about to wait, and no response has begun.
     * Suspends. Returns 1, 0 at the end, or an error; those that are for good are in body_error,
     * too. */
    int (*read)(struct exchange *exchange, tepal_bytes *piece);

    /* A whole response; or the head of one whose content follows. reading: the handler may still
     * read the request's. Suspend. When they were interrupted before anything of it was written,
     * begun is false, and this or another response may be sent. */
    int (*send)(struct exchange *exchange, const struct response_head *head, tepal_bytes content);
    int (*begin)(struct exchange *exchange, const struct response_head *head, bool reading);

    /* The next octets of a content that has begun, and its end. Suspend. An interrupted write has
     * written nothing, unless there is a failure(). */
    int (*write)(struct exchange *exchange, const void *data, size_t len);
    int (*end)(struct exchange *exchange);

    /* A response that has gone wrong is ended such that it does not look whole. Returns how many
     * octets of its content have gone. Suspends. */
    uint64_t (*break_off)(struct exchange *exchange);

    /* Why nothing can be written any more; 0: it can. */
    int (*failure)(const struct exchange *exchange);

    /* Whoever waits in write() returns -ECANCELED, if on; off: writing is as ever again. */
    void (*cut_writer)(struct exchange *exchange, bool on);

    /* For calls that could have suspended and did not have to, and before they begin: see
     * task_may_wait() and task_check(). */
    int (*may_wait)(struct exchange *exchange);
    int (*check)(struct exchange *exchange);

    /* Looks whether the client has gone, and cancels the task if so, unless shielded. Whether it
     * has ended its side, but takes what is written. */
    void (*look)(struct exchange *exchange);
    bool (*is_half_closed)(const struct exchange *exchange);

    /* The task that waits for the client to send content, for a second at least, and how many
     * octets of it came in a millisecond so far; NULL: there is none. */
    struct tepal_task *(*slow_reader)(const struct exchange *exchange, double *rate);

    /* Octets of the request, as they came; the address of this side; whether text lies in what was
     * received, where a client may have chosen it. */
    uint64_t (*received)(const struct exchange *exchange);
    void (*local)(const struct exchange *exchange, struct addr_peer *out);
    bool (*has)(const struct exchange *exchange, const void *text);
};

struct exchange {
    const struct exchange_ops *ops;
    struct message *message; /* the request's */
    tepal_req *req;
    struct tepal_task *task;      /* that serves it; its cancellation is the request's */
    const struct addr_peer *peer; /* who is at the other end */
    const char *scheme;           /* "http", "https" */
    /* What has come of a request whose first line is not whole; data NULL: it is. */
    tepal_bytes unread;
    int body_error;    /* that ended the reading of the content for good, or 0 */
    uint32_t head_len; /* octets of the response's head, as it was written */
    bool begun;        /* the head of a response has gone */
    bool keep_alive;   /* the carrier goes on after this, as far as the head has said */
    bool shielded;     /* the handler goes on when the client has gone */
    bool refused;      /* before it was routed; the client may well send more behind it */
};

#endif
