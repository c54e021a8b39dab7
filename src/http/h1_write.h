/* Writing message heads. Pure: into memory that the caller has made large enough; nothing is
 * checked here, names and values have been when they were set. */
#ifndef TEPAL_HTTP_H1_WRITE_H
#define TEPAL_HTTP_H1_WRITE_H

#include "base/put.h"

/* Room for a status line with a reason of that length, and for a Content-Length field. */
#define H1_STATUS_LINE_MAX(reason_len) (16 + (reason_len))
#define H1_CONTENT_LENGTH_MAX 40

/* Each writes at p and returns the end of what it wrote. */

/* Name and value with ": " and CRLF. */
static inline char *h1_write_field(char *p, const char *name, size_t name_len, const char *value,
                                   size_t value_len)
{
    p = put_bytes(p, name, name_len);
    *p++ = ':';
    *p++ = ' ';
    p = put_bytes(p, value, value_len);
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

/* "HTTP/1.1 200 OK" and CRLF; always 1.1, the version of this server (RFC 9110 section 2.5). */
char *h1_write_status_line(char *p, int status, const char *reason, size_t reason_len);

/* The field Content-Length. */
char *h1_write_content_length(char *p, uint64_t length);

#endif
