/* Reading the body of a message from its connection, piece by piece. */
#ifndef TEPAL_CONN_BODY_H
#define TEPAL_CONN_BODY_H

#include "conn/conn.h"
#include "http/h1_parse.h"

#include <stdbool.h>
#include <stdint.h>

struct body_reader {
    struct http_conn *conn;
    enum h1_framing framing;
    uint32_t head_end; /* where in the input buffer the head ends */
    uint64_t left;     /* octets of a body with a length */
    uint64_t received; /* octets of the body so far */
    struct chunk_decoder chunks;
    bool send_continue; /* the peer waits for 100 (Continue) */
    bool done;
    int error; /* that ended the reading; said again by every further call */
};

/* A reader for the body that follows a head that has just been taken from the input. */
void body_reader_init(struct body_reader *reader, struct http_conn *conn,
                      const struct h1_head *head);

/* The next piece, valid until the next call. Suspends. Returns 1, 0 at the end, TEPAL_EMESSAGE for
 * malformed chunks, TEPAL_EBODY_SIZE for trailers or chunk-size lines over a limit, TEPAL_ECLOSED
 * when the peer closed in the middle, -ETIMEDOUT when nothing came for read_timeout_ms, or another
 * error. */
int body_read(struct body_reader *reader, tepal_bytes *piece);

/* Drops what of the body has been received already, without waiting. Returns 1 when that was all of
 * it, 0 when more is to come, or an error. */
int body_drop_received(struct body_reader *reader);

/* Reads and drops the rest, max octets at most. Suspends. Returns 1 when it is all read, 0 when
 * there was more, or an error. */
int body_drop(struct body_reader *reader, uint64_t max);

#endif
