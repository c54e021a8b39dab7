/* A request made from what describes it: its parts, and as the text of HTTP/1. */
#ifndef TEPAL_CONN_FETCH_H
#define TEPAL_CONN_FETCH_H

#include "base/buf.h"

#include <tepal/fetch.h>

/* A request in no syntax. What the options have is not copied. */
struct fetch_request {
    const char *method;
    struct buf target;   /* with the query, and a NUL behind it */
    tepal_pair *fields;  /* ends with a pair without a name */
    tepal_bytes content; /* data NULL: none */
    const char *content_type;
    struct buf made; /* a content that was made: JSON, a form */
    char length[24]; /* the value of Content-Length */
};

/* The method that the options mean. */
const char *fetch_method(const tepal_fetch_options *options);

/* The parts of the request that the options (NULL: none) describe; fetch_clear() frees them. The
 * target stays as it is, and so does what its query has already. Takes the JSON over. Returns 0;
 * -EINVAL for two bodies, a method that is no token, or a struct that is not initialised, which is
 * logged with the name of the call; TEPAL_EFIELD for a field that HTTP forbids; TEPAL_EJSON for
 * JSON that cannot be written; or what buf_reserve() returns. There is nothing to free then. */
int fetch_describe(struct fetch_request *out, const char *call, const char *host,
                   const char *target, const tepal_fetch_options *options);
void fetch_clear(struct fetch_request *request);

/* Appends the whole request: head and body. Returns as fetch_describe(). */
int fetch_write(struct buf *out, const char *call, const char *host, const char *target,
                const tepal_fetch_options *options);

#endif
