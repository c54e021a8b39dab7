/* HTTP/1 on a connection: a tepal_conn with an input and an output buffer, which it has only while
 * there is something in them, and what it needs beside them while a task works on it.
 *
 * Input: octets from in_start to in_end have been received and not been used. A message head stays
 * where it is in the buffer for as long as the message lasts (h1_conn_pin_head()), so that its
 * fields can be used in place.
 *
 * Output: what is written is collected, and goes out when the buffer is full, when the task that
 * has written suspends, and on h1_conn_flush().
 */
#ifndef TEPAL_CONN_H1_CONN_H
#define TEPAL_CONN_H1_CONN_H

#include "async/loop/loop.h"
#include "http/chunk.h"
#include "net/conn/conn.h"

#include <stdbool.h>
#include <stdint.h>

/* A peer may be silent for a timeout at a time, and in all for that time and as long as its octets
 * take at the least rate (octets a second; 0: any). Only the time that it was waited for counts. */
struct h1_conn_limits {
    uint32_t max_input; /* octets of an input buffer: what a message head may need */
    int64_t read_timeout_ms, write_timeout_ms;
    uint64_t min_read_rate, min_write_rate;
    struct chunk_limits chunks;
};

/* What is needed only while a task works on the connection: it lies on the stack of that task. */
struct h1_conn_work {
    char *pinned; /* an earlier input buffer, in which the head of the present message lies */
    uint32_t pinned_cap;
    bool peer_ended;         /* see h1_conn_wait() */
    bool cut;                /* a cancelled writer is to end all the same */
    uint64_t sent;           /* octets that the system has taken */
    uint64_t message_start;  /* what sent is when all before the present message has gone */
    int64_t message_wait_ms; /* for which its writes have waited for the peer */
    struct leaving unsent;   /* of another task that has written: see h1_conn_flush_at_leaving() */
    struct h1_conn *http;    /* the same */
};

struct h1_conn {
    struct tepal_conn conn;
    const struct h1_conn_limits *limits;
    char *in;
    uint32_t in_start, in_end, in_cap;
    uint32_t out_len;
    char *out;                 /* LOOP_BUFFER_SIZE octets */
    struct h1_conn_work *work; /* NULL while no task works on the connection */
    int error;                 /* of an output that lost octets: nothing more is written */
};

/* Makes http one on this socket; io.fn is still the caller's to set. Returns 0 or a negative errno.
 */
int h1_conn_open(struct h1_conn *http, int fd, const struct h1_conn_limits *limits);

/* Closes the socket and gives the buffers back. */
void h1_conn_close(struct h1_conn *http);

/* --- Waiting ---------------------------------------------------------------------------------- */

/* Waits for the peer: for IO_READ or IO_WRITE, until that time at most. When it has ended its side
 * (work->peer_ended) and the task was cancelled for it, that is not for this wait: what is on its
 * way still comes and goes. Suspends. Returns 0, -ETIMEDOUT, -ECANCELED or -EBUSY. */
int h1_conn_wait(struct h1_conn *http, uint32_t state, int64_t until);

/* For a call that could have waited for the peer and did not have to: see task_may_wait(). And what
 * it must return before it does anything: see task_check(). */
int h1_conn_may_wait(struct h1_conn *http);
int h1_conn_give_way(struct h1_conn *http); /* in any case */
int h1_conn_check(struct h1_conn *http);

/* For how long a peer may be silent now that has moved so many octets of a message, and was waited
 * for for waited_ms: see struct h1_conn_limits. 0 when its time is over. */
int64_t h1_conn_time_left(int64_t timeout_ms, uint64_t min_rate, uint64_t octets,
                          int64_t waited_ms);

/* --- Input (input.c) -------------------------------------------------------------------------- */

/* Gives the input buffer back; what is in it is lost. */
void h1_conn_release_input(struct h1_conn *http);

/* Makes room for at least one more octet behind in_end, growing the buffer up to max_input. Only
 * while no head is pinned. Returns 0, -ENOBUFS or -ENOMEM. */
int h1_conn_reserve_input(struct h1_conn *http);

/* Reads what there is, without waiting. Returns how many octets, 0 at the end, -EAGAIN, -ENOBUFS or
 * another error. */
ssize_t h1_conn_try_fill(struct h1_conn *http);

/* The octets up to in_start stay where they are until h1_conn_unpin_head(). */
static inline void h1_conn_pin_head(struct h1_conn *http, uint32_t head_len)
{
    http->in_start += head_len;
}

/* The message is over: its head may go. */
void h1_conn_unpin_head(struct h1_conn *http);

/* Fills the empty input buffer behind the pinned head: with what there is, or -EAGAIN; or waiting
 * for it at most timeout_ms, and then looking once more. The second suspends. Return 1,
 * TEPAL_ECLOSED at the end, -ETIMEDOUT or another error. */
int h1_conn_try_fill_body(struct h1_conn *http, uint32_t head_end);
int h1_conn_fill_body(struct h1_conn *http, uint32_t head_end, int64_t timeout_ms);

/* --- Output (output.c) ------------------------------------------------------------------------ */

/* n contiguous octets of output, LOOP_BUFFER_SIZE at most, to be filled and then committed.
 * Suspends if the buffer must be emptied first. Returns 0, -ENOMEM, or as h1_conn_write(). */
int h1_conn_output(struct h1_conn *http, uint32_t n, char **room);

static inline void h1_conn_commit(struct h1_conn *http, size_t n)
{
    http->out_len += (uint32_t)n;
}

/* From here on the octets are those of another message: its writes have a time of their own. */
static inline void h1_conn_begin_message(struct h1_conn *http)
{
    http->work->message_start = http->work->sent + http->out_len;
    http->work->message_wait_ms = 0;
}

/* The octets of the present message that the system has taken. */
uint64_t h1_conn_message_sent(const struct h1_conn *http);

/* Writes data, or pieces of which there are H1_CONN_MAX_PIECES at most: small ones into the buffer,
 * large ones straight through. Suspends while the peer is slow. Returns 0 or a negative error.
 * After an interruption (task_was_interrupted()) nothing of it was written, unless http->error
 * is set: that is for good. */
enum { H1_CONN_MAX_PIECES = 3 };
int h1_conn_write(struct h1_conn *http, const void *data, size_t len);
int h1_conn_writev(struct h1_conn *http, const struct iovec *pieces, int n);

/* What is left to do when an attempt to write the output has had this result. */
void h1_conn_flushed_part(struct h1_conn *http, ssize_t n);

/* Writes all that was collected. Suspends while the peer is slow. Returns as h1_conn_write(): what
 * is left after an interruption is still there. */
int h1_conn_flush(struct h1_conn *http);

/* Whether all that was written has gone, without an error. */
static inline bool h1_conn_is_flushed(const struct h1_conn *http)
{
    return http->out_len == 0 && http->error == 0 && !conn_is_holding(&http->conn);
}

/* Whether the peer has not taken all yet that the system holds for it. What it may send meanwhile
 * would make of a close a reset, which takes that away. */
bool h1_conn_is_untaken(const struct h1_conn *http);

/* For a task that is not the connection's own: what was collected goes out when it leaves, as it
 * does with the connection's own task by h1_conn_flush_some(). */
void h1_conn_flush_at_leaving(struct h1_conn *http);

/* Writes as much of it as the peer takes at once. Does not suspend. Fits task->before_wait. */
void h1_conn_flush_some(void *http);

/* The same where it is called, for a connection with output: see socket_read(). */
static inline void h1_conn_flush_here(struct h1_conn *http)
{
    if (UNLIKELY(http->error < 0 || !(http->conn.io.state & IO_WRITE)))
        return;
    ssize_t n = conn_try_write(&http->conn, http->out, http->out_len);
    if (LIKELY(n == http->out_len)) {
        http->work->sent += (uint64_t)n;
        block_give(&loop_current->buffers, http->out);
        http->out = NULL;
        http->out_len = 0;
    } else {
        h1_conn_flushed_part(http, n);
    }
}

#endif
