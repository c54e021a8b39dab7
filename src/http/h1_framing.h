/* What the fields of a head say about the message: its framing and its connection. Private to the
 * parser of heads. */
#ifndef TEPAL_HTTP_H1_FRAMING_H
#define TEPAL_HTTP_H1_FRAMING_H

#include "http/h1_parse.h"

/* Takes notice of a field with a known number, which is about to become
 * head->message.fields[n_fields]. Returns 0, or a negative HTTP status when it must not be there or
 * not have this value. */
int h1_framing_field(struct h1_head *head, const char *data, const struct message_field *field);

/* Settles framing and connection after the last field. Returns 0, or a negative HTTP status. */
int h1_framing_finish(struct h1_head *head);

#endif
