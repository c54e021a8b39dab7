/* What the HTTP/1 connections of a server share: their limits, and the octets that all responses of
 * a second have in common. */
#ifndef TEPAL_WEB_EXCHANGE_H1_WAYS_H
#define TEPAL_WEB_EXCHANGE_H1_WAYS_H

#include "conn/h1_conn.h"
#include "http/h1_parse.h"
#include "web/exchange/usual_head.h"

#include <tepal/run.h>

struct h1_ways {
    struct loop *loop;
    const char *server_name; /* of the Server field; "": there is none */
    struct h1_limits head_limits;
    struct h1_known_host known_host;
    struct h1_conn_limits conn_limits;
    /* The Date and Server fields of responses, the heads that begin with them, and until when (in
     * the loop's ms) they hold. */
    struct usual_head usual_heads[N_USUAL];
    char *common_fields;
    size_t common_len;
    int64_t common_until;
};

/* By options that have been checked and that outlive it. Returns 0 or -ENOMEM. */
int h1_ways_new(struct h1_ways **out, struct loop *loop, const tepal_run_options *options);
void h1_ways_free(struct h1_ways *ways); /* NULL is allowed */

/* Makes the Date and Server fields, and the heads with them, anew. */
void h1_ways_make_common_fields(struct h1_ways *ways);

/* Sees to it that they are as of this second. */
static inline void h1_ways_keep_up(struct h1_ways *ways)
{
    if (UNLIKELY(ways->loop->now >= ways->common_until))
        h1_ways_make_common_fields(ways);
}

/* The Date and Server fields, as of this second. */
static inline const char *h1_ways_common_fields(struct h1_ways *ways, size_t *len)
{
    h1_ways_keep_up(ways);
    *len = ways->common_len;
    return ways->common_fields;
}

#endif
