/* A message head of which only a part has come, kept as small as it is: a client that is slow, or
 * wants to be, costs little more than what it has sent. */
#ifndef TEPAL_WEB_EXCHANGE_PARTIAL_HEAD_H
#define TEPAL_WEB_EXCHANGE_PARTIAL_HEAD_H

#include "conn/h1_conn.h"
#include "http/h1_parse.h"

struct partial_head;

/* Takes the octets of the input buffer, and where the parser stands. Returns 0 or -ENOMEM. */
int partial_head_keep(struct partial_head **partial, struct h1_conn *http,
                      const struct h1_head *head);

/* Puts them back, into the empty input buffer and into head, which has its own table of fields;
 * NULL is nothing to put back. Returns 0 or -ENOMEM. */
long partial_head_restore(struct partial_head **partial, struct h1_conn *http,
                          struct h1_head *head);

/* What has come, where it is kept: the parser's state, with its fields, and the octets. Returns
 * false when there is nothing. */
bool partial_head_look(struct partial_head *partial, struct h1_head *head, tepal_bytes *octets);

/* NULL is allowed. */
void partial_head_free(struct partial_head *partial);

#endif
