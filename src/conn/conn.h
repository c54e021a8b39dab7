/* An HTTP/1 connection: a stream with an input and an output buffer, which it has only while there
 * is something in them.
 *
 * Input: octets from in_start to in_end have been received and not been used. A message head stays
 * where it is in the buffer for as long as the message lasts (conn_pin_head()), so that its fields
 * can be used in place.
 *
 * Output: what is written is collected, and goes out when the buffer is full, when the task that
 * owns the connection suspends, and on conn_flush().
 */
#ifndef TEPAL_CONN_CONN_H
#define TEPAL_CONN_CONN_H

#include "async/loop.h"
#include "http/chunk.h"
#include "net/stream.h"

#include <stdbool.h>
#include <stdint.h>

struct conn_limits {
    uint32_t max_input; /* octets of an input buffer: what a message head may need */
    int64_t read_timeout_ms, write_timeout_ms;
    struct chunk_limits chunks;
};

struct http_conn {
    struct tepal_conn stream;
    const struct conn_limits *limits;
    char *in;
    uint32_t in_start, in_end, in_cap;
    uint32_t out_len;
    char *out;    /* LOOP_BUFFER_SIZE octets */
    char *pinned; /* an earlier input buffer, in which the head of the present message lies */
    uint32_t pinned_cap;
    int error; /* of an output that failed: nothing more is written */
};

/* Makes conn one on this socket; io.fn is still the caller's to set. Returns 0 or a negative errno.
 */
int conn_open(struct http_conn *conn, int fd, const struct conn_limits *limits);

/* Closes the stream and gives the buffers back. */
void conn_close(struct http_conn *conn);

/* --- Input (input.c) -------------------------------------------------------------------------- */

/* Gives the input buffer back; what is in it is lost. */
void conn_release_input(struct http_conn *conn);

/* Makes room for at least one more octet behind in_end, growing the buffer up to max_input. Only
 * while no head is pinned. Returns 0, -ENOBUFS or -ENOMEM. */
int conn_reserve_input(struct http_conn *conn);

/* Reads what there is, without waiting. Returns how many octets, 0 at the end, -EAGAIN, -ENOBUFS or
 * another error. */
ssize_t conn_try_fill(struct http_conn *conn);

/* The octets up to in_start stay where they are until conn_unpin_head(). */
static inline void conn_pin_head(struct http_conn *conn, uint32_t head_len)
{
    conn->in_start += head_len;
}

/* The message is over: its head may go. */
void conn_unpin_head(struct http_conn *conn);

/* Fills the empty input buffer behind the pinned head, waiting for it at most read_timeout_ms.
 * Suspends. Returns 1, TEPAL_ECLOSED at the end, -ETIMEDOUT or another error. */
int conn_fill_body(struct http_conn *conn, uint32_t head_end);

/* --- Output (output.c) ------------------------------------------------------------------------ */

/* n contiguous octets of output, to be filled and then committed, or NULL when they do not fit an
 * empty buffer, memory is short, or the connection is broken (conn->error). Suspends if the buffer
 * must be emptied first. */
char *conn_output(struct http_conn *conn, uint32_t n);

static inline void conn_commit(struct http_conn *conn, size_t n)
{
    conn->out_len += (uint32_t)n;
}

/* Writes data: small pieces into the buffer, large ones straight through. Suspends while the peer
 * is slow. Returns 0 or a negative error, which is kept in conn->error. */
int conn_write(struct http_conn *conn, const void *data, size_t len);

/* Writes all that was collected. Suspends while the peer is slow. Returns as conn_write(). */
int conn_flush(struct http_conn *conn);

/* Writes as much of it as the peer takes at once. Does not suspend. Fits task->before_wait. */
void conn_flush_some(void *conn);

#endif
