/* What a connection holds for its user: octets that have come and were not asked for yet
 * (reader.c), and octets that were put and have not gone yet (writer.c).
 *
 * Made at first use. Memory for octets is held only while there are some, so that a connection that
 * waits for its peer costs this struct and no more.
 */
#ifndef TEPAL_NET_CONN_BUFFERS_H
#define TEPAL_NET_CONN_BUFFERS_H

#include "base/platform.h"

#include "net/conn/conn.h"
#include "net/conn/turns.h"

#include <stddef.h>

/* A queue of octets in one piece of memory: those from start to end. */
struct octets {
    char *data;
    size_t start, end, cap;
};

struct conn_buffers {
    struct octets in, out;
    struct turns writers; /* while another task is in the middle of writing */
    size_t max_out;       /* octets that may be put without one of them going */
    int in_error;         /* octets that had come were lost: nothing more is read */
    int out_error;        /* of writing: nothing more is written */
};

/* The connection's buffers; NULL when memory is short. */
struct conn_buffers *buffers_need(struct tepal_conn *conn);

/* Frees them, with all that is in them. */
void buffers_free(struct tepal_conn *conn);

static inline size_t octets_len(const struct octets *octets)
{
    return octets->end - octets->start;
}

/* Makes room for more octets behind the end. max: how many there will be in all at most, for which
 * memory is made ahead. Returns 0 or -ENOMEM, and then nothing has changed. */
int octets_reserve(struct octets *octets, size_t more, size_t max);

/* Takes n octets away from the start. */
void octets_drop(struct octets *octets, size_t n);

/* Moves at most size octets from the start to the caller. Returns how many. */
size_t octets_take(struct octets *octets, char *to, size_t size);

/* Gives the memory back if there are no octets. */
void octets_release(struct octets *octets);

/* Gives the octets up, and the memory back. */
void octets_clear(struct octets *octets);

/* --- writer.c --------------------------------------------------------------------------------- */

/* Whether a task is in the middle of writing. */
static inline bool writer_is_inside(const struct tepal_conn *conn)
{
    return conn->io.writer || (conn->buffers && UNLIKELY(conn->buffers->writers.next != NULL));
}

/* Begins a call that writes: waits until no other task is in the middle of one. Misuse, named call,
 * outside of a task. Suspends if there is one. Returns 0, and writer_leave() must follow; or an
 * error, and then the connection must not be touched any more. */
int writer_enter(struct tepal_conn *conn, const char *call);

/* Ends it, with this result. */
int writer_leave(struct tepal_conn *conn, int result);

/* Writes all that was put. Suspends while the peer is slow. Returns 0 or a negative error, the same
 * again for each call after one that has made the output useless. */
int writer_flush(struct tepal_conn *conn);

/* Writes as much of it as the peer takes at once. Does not suspend. */
void writer_flush_some(struct tepal_conn *conn);

#endif
