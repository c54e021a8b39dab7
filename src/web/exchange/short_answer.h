/* Answers that no handler makes, on a connection that has no request to make them for: the time of
 * its head is over, or there is no memory or stack for a request. */
#ifndef TEPAL_WEB_EXCHANGE_SHORT_ANSWER_H
#define TEPAL_WEB_EXCHANGE_SHORT_ANSWER_H

struct connection;

/* Writes a response without a body that says that the connection ends, as far as the socket takes
 * it at once. Each answer that is made without a request passes here. Does not suspend; the caller
 * closes the connection. */
void short_answer(struct connection *connection, int status);

#endif
