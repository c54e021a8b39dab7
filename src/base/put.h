/* Writing octets one after another into memory that the caller has made large enough: each call
 * writes at p and returns the end of what it wrote. */
#ifndef TEPAL_BASE_PUT_H
#define TEPAL_BASE_PUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline char *put_bytes(char *p, const char *data, size_t len)
{
    memcpy(p, data, len);
    return p + len;
}

/* A number in decimal. Small ones, which most lengths are, in place. */
char *put_large_number(char *p, uint64_t number);
static inline char *put_number(char *p, uint64_t number)
{
    if (number >= 100)
        return put_large_number(p, number);
    if (number >= 10)
        *p++ = (char)('0' + number / 10);
    *p++ = (char)('0' + number % 10);
    return p;
}

#endif
