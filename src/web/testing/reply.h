/* The replies that a test has got: parsing them, and keeping them. */
#ifndef TEPAL_WEB_TESTING_REPLY_H
#define TEPAL_WEB_TESTING_REPLY_H

#include "base/buf.h"
#include "http/h1_parse.h"

#include <tepal/testing.h>

#include <stdbool.h>

enum { TESTREPLY_MAX_FIELDS = 255 };

struct kept_reply {
    tepal_test_reply reply; /* first: what the user holds */
    struct kept_reply *next;
    json_t *json;
    size_t head_at; /* where the final head begins in raw */
    struct h1_head head;
    struct message_field fields[TESTREPLY_MAX_FIELDS];
    char *
        values; /* the text that the fields are in, terminated: a copy of raw from there on, when it
                     is asked for; or all there is */
};

/* A new one at the head of the list. NULL when memory is short. */
struct kept_reply *testreply_new(struct kept_reply **list);
void testreply_free_all(struct kept_reply **list);

/* Tries to make a reply to a request with this method of what has been received; its decoded body
 * goes to body. Returns its length, 0 when more is needed, or -1 when it is malformed. */
long testreply_parse(struct kept_reply *kept, const char *method, tepal_bytes received, bool at_end,
                     struct buf *body);

/* Gives it copies of its raw octets and its body. Returns 0 or -ENOMEM. */
int testreply_fill(struct kept_reply *kept, tepal_bytes raw, tepal_bytes body);

/* Makes it one that came as a message, not as octets. Returns 0 or -ENOMEM. */
int testreply_take(struct kept_reply *kept, const struct message *message, size_t text_len,
                   tepal_bytes body);

/* Ends a test that gave NULL as this argument to the call: as for a test that could not start. */
void testreply_need(const char *call, const void *argument, const char *what);

#endif
