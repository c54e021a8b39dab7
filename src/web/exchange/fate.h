/* What becomes of an HTTP/1 connection behind a response (RFC 9112 sections 9.3 and 9.6): asked
 * before the head is written, as the head says whether the connection goes on, and again when the
 * content has gone. A function of facts, without effects. */
#ifndef TEPAL_WEB_EXCHANGE_FATE_H
#define TEPAL_WEB_EXCHANGE_FATE_H

#include <stdbool.h>
#include <stdint.h>

struct fate_facts {
    bool broken;        /* the response is not whole */
    bool last;          /* the client, the server or the response ends the connection with it */
    bool whole;         /* the request's content has been read to its end */
    bool lost;          /* what is left of it cannot be read any more */
    bool kept_back;     /* the client may wait to be asked for it, or not: nobody can know */
    bool reading;       /* the handler may still read it */
    bool unknown;       /* how many octets are left of it is not known, */
    uint64_t left;      /* or is this */
    uint64_t max_drain; /* so many are read and dropped for the sake of the next request */
};

enum fate {
    FATE_NEXT,   /* the next request */
    FATE_DRAIN,  /* the same, when what is left of the content has been read and dropped */
    FATE_LINGER, /* the end, when the client has taken the response: what it sends is dropped */
    FATE_CLOSE,  /* the end, now */
};

static inline enum fate fate_of(const struct fate_facts *facts)
{
    if (facts->broken)
        return FATE_CLOSE;
    if (facts->last)
        return FATE_LINGER;
    if (facts->whole)
        return FATE_NEXT;
    if (facts->lost || facts->kept_back)
        return FATE_LINGER;
    bool drains = facts->reading || facts->unknown || facts->left <= facts->max_drain;
    return drains ? FATE_DRAIN : FATE_LINGER;
}

/* Whether the connection goes on. */
static inline bool fate_goes_on(enum fate fate)
{
    return fate == FATE_NEXT || fate == FATE_DRAIN;
}

#endif
