/* Whose reference to a JSON value is whose: what a request has lent to its handler, and what a call
 * was given. A reference too few is seen here, and does not free what somebody still uses.
 */
#ifndef TEPAL_WEB_JSON_OWNER_H
#define TEPAL_WEB_JSON_OWNER_H

#include "web/message/request.h"

#include <jansson.h>

/* How many values that were given are remembered, and how large each may be as text. */
enum { JSON_GIVEN_MAX = 32, JSON_GIVEN_LARGEST = 16 * 1024 };

/* Values that calls of tepal_json() were given, and that nobody else refers to. They are kept for a
 * while: when the same one is given again, it was not the caller's to give. */
struct json_given;

/* NULL when memory is short. */
struct json_given *json_given_new(void);

/* NULL is allowed. */
void json_given_free(struct json_given *given);

/* The value of the request is lent to its handler: a reference that the handler drops does not free
 * it. */
void json_lend(json_t *value);

/* The request ends, which has the only reference then that it knows of. */
void json_take_back(const tepal_req *req, json_t *value);

/* Drops the reference that this call was given; len: as text. */
void json_drop_given(const tepal_req *req, const char *call, json_t *value, size_t len);

#endif
