/* The chunked transfer coding (RFC 9112 section 7.1), both ways. Pure: no I/O, no allocation. */
#ifndef TEPAL_HTTP_CHUNK_H
#define TEPAL_HTTP_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Limits: octets of one chunk-size line or one trailer line (without CRLF), octets of the whole
 * trailer section (field lines with their CRLF), and the number of trailer fields. Besides, the
 * chunk-size lines of a body may not have 16 KiB more than the data that they announce. */
struct chunk_limits {
    uint32_t max_line, max_trailers;
    uint16_t max_trailer_fields;
};

enum chunk_stage {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER,
    CHUNK_DONE
};

/* The state of one decoder; all zero at the beginning of a body. The input may be cut anywhere. */
struct chunk_decoder {
    enum chunk_stage stage;
    uint64_t left;       /* octets of the current chunk that have not come yet */
    uint32_t line;       /* octets of the current line so far */
    uint32_t overhead;   /* octets of chunk-size lines in excess of data */
    uint32_t trailers;   /* octets of the trailer section so far */
    uint16_t n_trailers; /* trailer fields so far */
    bool digits;         /* the size has a digit */
    uint8_t part;        /* where in an extension or a trailer line, see chunk.c */
};

/* What one step found: the next run of body octets, inside the input. */
struct chunk_step {
    const char *data; /* body octets, within the input */
    size_t len;
    size_t used; /* octets of the input that are done with, those of data included */
};

/* Decodes from in[0..len) up to the end of the first run of body octets, or to the end of the input
 * or of the body. Returns 1 when the body is complete (step->used octets were its last), 0 when
 * not, and -400 for malformed coding, -413 for a chunk-size line or trailers over a limit. Chunk
 * extensions are checked and ignored, trailers are checked by the rules of field lines and dropped.
 * Bare LF and bare CR are refused; a chunk size has 1 to 16 hex digits beside leading zeros, and
 * must fit 63 bits. Linear time whatever the size of the chunks. */
int chunk_decode(struct chunk_decoder *decoder, const char *in, size_t len,
                 const struct chunk_limits *limits, struct chunk_step *step);

/* Writes the size line of a chunk of size octets, with its CRLF, to out, which has room for
 * CHUNK_HEAD_MAX octets. Returns its length. size > 0. */
#define CHUNK_HEAD_MAX 18
size_t chunk_write_head(char *out, uint64_t size);

/* What follows the octets of each chunk, and what ends a body without trailers. */
#define CHUNK_TAIL "\r\n"
#define CHUNK_END "0\r\n\r\n"

#endif
