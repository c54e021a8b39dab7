/* HTTP/1.0 and HTTP/1.1 message heads (RFC 9112): bytes in, structs out. No I/O, no allocation.
 *
 * The parser is strict: what could be read in two ways is refused. It works on a growing buffer: it
 * is called again with more bytes of the same message and goes on where it stopped, and everything
 * it remembers is an offset from the beginning of the buffer, so that the buffer may move between
 * two calls. It never changes the bytes; h1_head_terminate() does, once the head is complete.
 */
#ifndef TEPAL_HTTP_H1_PARSE_H
#define TEPAL_HTTP_H1_PARSE_H

#include "http/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the body that follows a head is delimited (RFC 9112 section 6.3). */
enum h1_framing {
    H1_BODY_NONE,        /* there is no body */
    H1_BODY_LENGTH,      /* content_length bytes, more than 0 */
    H1_BODY_CHUNKED,     /* the chunked coding, see chunk.h */
    H1_BODY_UNTIL_CLOSE, /* responses only: all until the peer closes */
};

/* Where the parser stands. */
enum h1_stage { H1_START_LINE, H1_FIELDS, H1_DONE };

/* The limits a head is held to. max_line counts the octets of the start-line without its CRLF,
 * max_head the octets of the whole head from the first of the start-line to the last CRLF,
 * max_fields the field lines. Beside them, a request-line may have 8 empty lines before it, and a
 * field name is at most 65535 octets long (-431). */
struct h1_limits {
    uint32_t max_line, max_head;
    uint16_t max_fields;
};

/* The last Host value that was found to be valid, kept by whoever parses many heads and all zero at
 * first. Most clients of a server ask for the same host, and what was valid once is so again: it
 * changes nothing but the time that it takes. */
struct h1_known_host {
    uint32_t len;
    char text[60];
};

struct h1_head {
    /* progress */
    enum h1_stage stage;
    uint32_t pos;      /* the first octet of the line that is not complete yet */
    uint32_t scanned;  /* octets from pos on that are known to hold no line end and nothing bad */
    uint32_t start;    /* the first octet of the start-line: empty lines before it are skipped */
    uint16_t name_len; /* of the field line at pos, once its ':' came; 0 before */

    /* results, with those in message */
    bool odd_target; /* it may have a '?', '#', '%' or an octet over 0x7f */
    bool response;
    struct h1_known_host *known_host; /* the caller's, which may set it before parsing; or NULL */

    /* message framing and connection options, valid once complete */
    enum h1_framing framing;
    bool has_content_length; /* there was a Content-Length, maybe 0 (of a response to HEAD, too) */
    bool keep_alive;         /* the connection may be used for more: the sender is willing to, and
                              * the end of the message can be told without closing */
    bool expect_continue;    /* Expect: 100-continue in an HTTP/1.1 request */
    bool upgrade;            /* Connection has the option "upgrade" and there is an Upgrade field,
                              * in HTTP/1.1 */

    /* private: the options that the Connection fields have so far, and whether Transfer-Encoding
     * has another coding than chunked */
    bool option_close, option_keep_alive, option_upgrade, other_coding;

    struct message message; /* data, and what is in uri, are the caller's to set */
};

/* Makes head ready for a new message. fields is the caller's table, room for limits->max_fields. */
void h1_head_init(struct h1_head *head, bool response, struct message_field *fields);

/* Parses the head in data[0..len). Returns its length in octets (what follows is the body) when it
 * is complete, 0 when more octets are needed, and a negative HTTP status when it must be refused:
 * -400 malformed or ambiguous, -414 start-line over max_line, -431 head or number of fields over
 * its limit, -501 a transfer coding that is not implemented or a method that leaves no room for a
 * target in max_line, -505 a version that is not 1.x. Refusal is immediate: it never waits for
 * octets that cannot make the message right, but for the lines that could make an unknown coding a
 * 501. For a response every refusal means "malformed". */
long h1_parse(struct h1_head *head, const char *data, size_t len, const struct h1_limits *limits);

/* For a response: settles the framing by the request's method (RFC 9112 section 6.3): none after
 * HEAD, and after a 2xx to CONNECT. 1xx, 204 and 304 are handled by h1_parse(). */
void h1_response_to(struct h1_head *head, const char *method);

/* Writes a NUL behind the method, the target, the reason and every field name and value, over the
 * delimiter there, so that they are C strings. Only for a complete head. */
void h1_head_terminate(const struct h1_head *head, char *data);

/* Whether the comma-separated list in value has the token (ASCII case-insensitive, RFC 9110 5.6.1).
 */
bool h1_list_has(const char *value, size_t len, const char *token);

#endif
