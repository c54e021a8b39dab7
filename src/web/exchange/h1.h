/* HTTP/1 as a carrier of exchanges: one request that has come on a connection, and its response.
 * Reading and the state of both is h1.c, writing is h1_response.c; what comes before and behind is
 * connection.c's. */
#ifndef TEPAL_WEB_EXCHANGE_H1_H
#define TEPAL_WEB_EXCHANGE_H1_H

#include "conn/body.h"
#include "web/exchange/connection.h"
#include "web/exchange/exchange.h"
#include "web/exchange/fate.h"

struct h1_exchange {
    struct exchange base;
    struct connection *connection;
    struct h1_head head; /* of the request */
    struct body_reader body;
    bool continued;   /* 100 (Continue) has been sent */
    bool chunked;     /* the response's content is */
    bool until_close; /* the end of the connection is the end of its content */
    bool no_content;  /* none of it is sent */
};

/* One for the next request of the connection. NULL when memory is short. */
struct h1_exchange *h1_exchange_new(struct connection *connection);

/* The head of the request is complete, and has len octets at the beginning of the input: takes it.
 * Returns 0, or the status that its target is refused with. */
int h1_exchange_begin(struct h1_exchange *x, uint32_t len);

/* Makes the request one that could not be read, and is refused with this status, which it returns.
 * What the parser knows of it stays: the method, the target, the version and the fields before the
 * fault; UNKNOWN / HTTP/1.0 in place of what is not known. It has no content. */
int h1_exchange_refuse(struct h1_exchange *x, int status);

/* Whether the client keeps the content back until it is asked for it by 100 (Continue), as far as
 * can be told: nothing of it has come (RFC 9110 section 10.1.1). */
bool h1_exchange_is_kept_back(const struct h1_exchange *x);

/* What becomes of the connection. last: it ends with the response; reading: the handler may still
 * read the content. The first is for one that has not all been read: unless it may be, what has
 * come of it is dropped. */
enum fate h1_exchange_fate_unread(struct h1_exchange *x, bool last, bool reading);
static inline enum fate h1_exchange_fate(struct h1_exchange *x, bool last, bool reading)
{
    if (UNLIKELY(!x->body.done))
        return h1_exchange_fate_unread(x, last, reading);
    const struct fate_facts facts = { .last = last, .whole = true };
    return fate_of(&facts);
}

/* Reads and drops what is left of the request's content, for the sake of the next one. Suspends.
 * Returns whether that was all. */
bool h1_exchange_drain(struct h1_exchange *x);

/* Of h1_response.c: see struct exchange_ops. */
int h1_response_send(struct exchange *exchange, const struct response_head *head,
                     tepal_bytes content);
int h1_response_begin(struct exchange *exchange, const struct response_head *head, bool reading);
int h1_response_write(struct exchange *exchange, const void *data, size_t len);
int h1_response_end(struct exchange *exchange);
uint64_t h1_response_break_off(struct exchange *exchange);

#endif
