/* One end of a pipe as a connection, for the standard descriptors of a process. */
#ifndef TEPAL_NET_CONN_PIPE_H
#define TEPAL_NET_CONN_PIPE_H

#include "base/platform.h"
#include "net/conn/conn.h"

#include <stdbool.h>

struct loop;

/* Makes a pipe: *other is a blocking descriptor for another process, close-on-exec and above the
 * standard ones; *conn is a connection on the end that is written to or read from. When the
 * connection is closed *conn becomes NULL, so it must stay where it is. Returns 0 or a negative
 * errno. */
int pipe_open(struct tepal_conn **conn, int *other, struct loop *loop, bool to_write);

#endif
