/* What a request is made of, for whoever sends one: a test (testing.h). */
#ifndef TEPAL_FETCH_H
#define TEPAL_FETCH_H

#include <tepal/base.h>

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Lists end with a pair without a name. All is copied or sent before the call returns. */
typedef struct tepal_fetch_options {
    const char *method;        /* default "GET"; with a body "POST" */
    const tepal_pair *headers; /* a field that would come by itself (Host, Content-Type,
                                  Content-Length) is in its place, and with a value of NULL is not
                                  sent at all */
    const tepal_pair *query;   /* is encoded, and added to that of the target; a value of NULL is
                                  the name alone */

    /* The body: one of these, or none. JSON is taken over, also when the call fails. */
    const char *text;         /* text/plain in UTF-8 */
    tepal_bytes data;         /* application/octet-stream; with data.data not NULL */
    json_t *json;             /* application/json */
    const tepal_pair *form;   /* application/x-www-form-urlencoded, as the query is */
    const char *content_type; /* in place of those */
    uint64_t later[24];
} tepal_fetch_options;

#ifdef __cplusplus
}
#endif
#endif
