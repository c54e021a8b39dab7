/* Writing message heads. Pure: into memory that the caller has made large enough; nothing is
 * checked here, names and values have been when they were set. */
#ifndef TEPAL_HTTP_H1_WRITE_H
#define TEPAL_HTTP_H1_WRITE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Room for a status line with a reason of that length, and for a Content-Length field. */
#define H1_STATUS_LINE_MAX(reason_len) (16 + (reason_len))
#define H1_CONTENT_LENGTH_MAX 40

/* Each writes at p and returns the end of what it wrote. */

static inline char *h1_write_bytes(char *p, const char *data, size_t len)
{
    memcpy(p, data, len);
    return p + len;
}

/* Name and value with ": " and CRLF. */
static inline char *h1_write_field(char *p, const char *name, size_t name_len, const char *value,
                                   size_t value_len)
{
    p = h1_write_bytes(p, name, name_len);
    *p++ = ':';
    *p++ = ' ';
    p = h1_write_bytes(p, value, value_len);
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

/* A number in decimal. Small ones, which most lengths are, in place. */
char *h1_write_large_number(char *p, uint64_t number);
static inline char *h1_write_number(char *p, uint64_t number)
{
    if (number >= 100)
        return h1_write_large_number(p, number);
    if (number >= 10)
        *p++ = (char)('0' + number / 10);
    *p++ = (char)('0' + number % 10);
    return p;
}

/* "HTTP/1.1 200 OK" and CRLF; always 1.1, the version of this server (RFC 9110 section 2.5). */
char *h1_write_status_line(char *p, int status, const char *reason, size_t reason_len);

/* The field Content-Length. */
char *h1_write_content_length(char *p, uint64_t length);

#endif
