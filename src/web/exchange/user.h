/* What is done with an exchange: called by the carriers, and defined above them (app/serve.c). */
#ifndef TEPAL_WEB_EXCHANGE_USER_H
#define TEPAL_WEB_EXCHANGE_USER_H

#include "web/exchange/exchange.h"

struct server;

/* A request, and size octets for the carrier's struct in its memory, of which only req is set. NULL
 * when memory is short. */
struct exchange *exchange_open(struct server *server, size_t size);

/* Memory that lives as long. NULL when it is short. */
void *exchange_alloc(struct exchange *exchange, size_t size);

/* Finds the response to the complete request and sends it: routes, middlewares, handler, hooks,
 * logs. refused: the status that it is refused with, unread; 0: it is not. Suspends. Returns 1 when
 * the carrier may go on, 0 when this was its last response, or a negative error when the response
 * is not whole; -ENOMEM and not begun: there was no memory even for a head. */
int exchange_serve(struct exchange *exchange, int refused);

/* An answer that is not all the application's to find. */
struct exchange_call {
    tepal_handler *handler;  /* in place of its routes and middlewares; NULL: those */
    const void *arg;         /* tepal_req_arg(), and tepal_req_match(), of such a handler */
    const tepal_pair *match; /* NULL: none; at most EXCHANGE_MAX_MATCH */
    /* Called before the handler, and the middlewares, unless the request is refused; or NULL. What
     * it fails with is the cause of the answer. */
    int (*prepare)(tepal_req *req, void *arg);
    void *prepare_arg;
};
enum { EXCHANGE_MAX_MATCH = 32 };

/* The same as exchange_serve() in this way. */
int exchange_call(struct exchange *exchange, int refused, const struct exchange_call *call);

/* The cause of a failure that its request has recorded last; 0: none. */
int exchange_error(const struct exchange *exchange);

/* The request ends, and its memory with it. Suspends if something that was deferred made a
 * group. */
void exchange_close(struct exchange *exchange);

/* What the task of an exchange is at, for reports, of its req: "GET /todos/7 from 10.0.0.1". */
void request_describe(void *req, char *text, size_t size);

#endif
