/* Reading the body of a message from its connection, piece by piece. */
#ifndef TEPAL_CONN_BODY_H
#define TEPAL_CONN_BODY_H

#include "conn/h1_conn.h"
#include "http/h1_parse.h"

#include <stdbool.h>
#include <stdint.h>

struct body_reader {
    struct h1_conn *http;
    enum h1_framing framing;
    uint32_t head_end; /* where in the input buffer the head ends */
    uint64_t left;     /* octets of a body with a length (of no meaning otherwise) */
    uint64_t received; /* octets of the body so far */
    int64_t waited_ms; /* for the peer to send them */
    struct chunk_decoder chunks;
    bool begun; /* something of it has come */
    bool done;
    int error; /* that ended the reading; said again by every further call */
};

/* A reader for the body that follows a head that has just been taken from the input. */
void body_reader_init(struct body_reader *reader, struct h1_conn *http, const struct h1_head *head);

/* The next piece of what has been read from the connection, valid until the next call. Returns 1, 0
 * at the end, -EAGAIN when body_fill() must come first, TEPAL_EMESSAGE for malformed chunks,
 * TEPAL_EBODY_SIZE for trailers or chunk-size lines over a limit, or the error that ended it. */
int body_take(struct body_reader *reader, tepal_bytes *piece);

/* Reads from the connection: what is there, without waiting (or -EAGAIN); or waiting for it, when
 * what was written has gone. The second suspends. Both return 0, TEPAL_ECLOSED when the peer closed
 * in the middle, -ETIMEDOUT when it was silent or slow for too long, or another error. They write
 * nothing of their own: whether the peer waits for 100 (Continue) is the caller's business. */
int body_try_fill(struct body_reader *reader);
int body_fill(struct body_reader *reader);

/* Both: the next piece. An interruption (task_was_interrupted()) is told once, all other errors for
 * ever. */
int body_read(struct body_reader *reader, tepal_bytes *piece);

/* Whether no more of it will be read, the peer having ended its side: all of it has been, or what
 * has not will never come. As long as a large body is still to be read it is the reader that is
 * late, and not the peer that has gone. */
bool body_is_over(struct body_reader *reader);

/* Drops what of the body has been received already, without waiting. Returns 1 when that was all of
 * it, 0 when more is to come, or an error. */
int body_drop_received(struct body_reader *reader);

/* Reads and drops the rest, and stops with the piece that makes it more than max octets. Suspends.
 * Returns 1 when it is all read, 0 when there was more, or an error. */
int body_drop(struct body_reader *reader, uint64_t max);

#endif
