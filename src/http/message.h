/* What a message is, in no syntax: a method and a target, or a status, and fields (RFC 9110 section
 * 6). Whoever carries it fills it in: HTTP/1's parser from the octets of a head, others from what
 * they have.
 *
 * Texts are offsets from data, so that a parser whose buffer grows need not mind that it moves.
 * Once the message is complete there is a NUL behind the method, the target, the reason, and each
 * name and value: they are C strings.
 */
#ifndef TEPAL_HTTP_MESSAGE_H
#define TEPAL_HTTP_MESSAGE_H

#include "http/field.h"
#include "http/uri.h"

#include <tepal/base.h>

#include <stdint.h>
#include <string.h>

/* One field line; the value has no whitespace around it. id is its HTTP_FIELD_ number,
 * HTTP_FIELD_OTHER for one without a number. */
struct message_field {
    uint32_t name, value, value_len;
    uint16_t name_len;
    uint8_t id;
};

struct message {
    const char *data;            /* what the offsets count from */
    uint32_t method, method_len; /* request */
    uint32_t target, target_len; /* request */
    uint32_t reason, reason_len; /* response; may be empty */
    uint16_t status;             /* response */
    uint8_t version;             /* 10, 11 */
    uint16_t n_fields;
    struct message_field *fields;     /* in order; the memory is the carrier's */
    uint64_t content_length;          /* octets of its content; TEPAL_UNKNOWN: its end will tell */
    uint16_t known[HTTP_FIELD_COUNT]; /* 1 + index in fields of the first of each id, or 0 */
    struct uri_target uri; /* request: its target taken apart, see message_take_target() */
};

static inline const char *message_method(const struct message *message)
{
    return message->data + message->method;
}

static inline const char *message_target(const struct message *message)
{
    return message->data + message->target;
}

/* Whether the method is this literal. */
static inline bool message_is(const struct message *message, const char *method, size_t len)
{
    return message->method_len == len && memcmp(message_method(message), method, len) == 0;
}

/* Finds out which fields there are: the id of each, and the first of each id. For carriers that
 * have them as a list; HTTP/1's parser does it as it goes. */
void message_know_fields(struct message *message);

/* Whether the fields of a request are as RFC 9110 wants them on any carrier: none twice that may be
 * there only once, and a Host that is one, which HTTP/1.1 cannot do without. Returns 0 or -400. */
int message_check_fields(const struct message *message);

/* Takes the target of a complete request apart. Returns 0, or -400 as uri_parse_target() does. */
int message_take_target(struct message *message, bool odd);

#endif
