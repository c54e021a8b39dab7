/* Where something listens, or why it cannot, in words for the log. */
#ifndef TEPAL_NET_LISTENER_PLACE_H
#define TEPAL_NET_LISTENER_PLACE_H

#include <tepal/conn.h>

#include <stddef.h>

/* Such as "all addresses, port 8080", "::1, port 80", "/run/x.sock" or "descriptor 3"; port: the
 * one that it is, or that is wanted. */
void place_write(char *out, size_t size, const tepal_listener_options *where, int port);

/* Logs that tepal_listener_open() has failed by rc. */
void place_complain(const tepal_listener_options *where, int rc);

#endif
