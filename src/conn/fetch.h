/* A request as text, made from what describes it. */
#ifndef TEPAL_CONN_FETCH_H
#define TEPAL_CONN_FETCH_H

#include "base/buf.h"

#include <tepal/fetch.h>

/* The method that the options mean. */
const char *fetch_method(const tepal_fetch_options *options);

/* Appends the whole request: head and body. The target is written as it is, and so is what its query
 * has already. Takes the JSON over. Returns 0; -EINVAL for two bodies, a method that is no token, or
 * a struct that is not initialised, which is logged with the name of the call; TEPAL_EFIELD for a field
 * that HTTP forbids; TEPAL_EJSON for JSON that cannot be written; or what buf_reserve() returns. */
int fetch_write(struct buf *out, const char *call, const char *host, const char *target,
                const tepal_fetch_options *options);

#endif
