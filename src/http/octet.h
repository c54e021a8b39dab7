/* The classes of octets that HTTP and URIs are made of, as one table, and ASCII helpers that know
 * no locale. Private to src/http; it never looks at more than one octet at a time. */
#ifndef TEPAL_HTTP_OCTET_H
#define TEPAL_HTTP_OCTET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    OCTET_TOKEN = 1,      /* tchar, RFC 9110 section 5.6.2 */
    OCTET_VALUE = 2,      /* in a field value, RFC 9110 section 5.5: HTAB, SP, VCHAR, obs-text */
    OCTET_TARGET = 4,     /* in a request target: anything but controls, space and DEL */
    OCTET_UNRESERVED = 8, /* RFC 3986 section 2.3 */
    OCTET_SUB_DELIM = 16, /* RFC 3986 section 2.2 */
    OCTET_COOKIE = 32,    /* cookie-octet, RFC 6265 section 4.1.1 */
    OCTET_DIGIT = 64,
    OCTET_ALPHA = 128,
    OCTET_HOST = 256,  /* in a registered name or IPv4 address, unencoded */
    OCTET_PLAIN = 512, /* ASCII in a request target that stands only for itself: no '#', no '%' */
    OCTET_PATH = 1024, /* the same, where no query can begin: no '?' */
};

extern const uint16_t http_octets[256];

/* Whether the octet is of one of the classes. */
static inline bool octet_is(char octet, unsigned classes)
{
    return (http_octets[(unsigned char)octet] & classes) != 0;
}

/* The number of octets at the beginning of p[0..len) that are of one of the classes. */
static inline size_t octet_span(const char *p, size_t len, unsigned classes)
{
    size_t n = 0;
    for (; len - n >= 4; n += 4) { /* the bound is looked at once for four of them */
        if (!octet_is(p[n], classes))
            return n;
        if (!octet_is(p[n + 1], classes))
            return n + 1;
        if (!octet_is(p[n + 2], classes))
            return n + 2;
        if (!octet_is(p[n + 3], classes))
            return n + 3;
    }
    while (n < len && octet_is(p[n], classes))
        n++;
    return n;
}

/* The value of a hexadecimal digit, or -1. */
static inline int octet_hex(char octet)
{
    unsigned digit = (unsigned)(unsigned char)octet - '0';
    unsigned letter = ((unsigned)(unsigned char)octet | 0x20) - 'a';
    if (digit < 10)
        return (int)digit;
    return letter < 6 ? (int)letter + 10 : -1;
}

static inline char octet_lower(char octet)
{
    return octet >= 'A' && octet <= 'Z' ? (char)(octet | 0x20) : octet;
}

static inline bool octet_is_ows(char octet)
{
    return octet == ' ' || octet == '\t';
}

/* Takes the whitespace (SP, HTAB) off both ends of (*p)[0..*len). */
static inline void octet_trim(const char **p, size_t *len)
{
    while (*len && octet_is_ows(**p)) {
        ++*p;
        --*len;
    }
    while (*len && octet_is_ows((*p)[*len - 1]))
        --*len;
}

static inline bool octet_same_word(const char *a, const char *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x == y;
}

/* Whether the octets of both are the same. In place and by words, for what is short; the last word
 * may have octets of the one before. */
static inline bool octet_equal(const char *a, const char *b, size_t len)
{
    enum { WORD = sizeof(uint64_t) };
    if (len < WORD)
        return memcmp(a, b, len) == 0;
    for (size_t i = 0; i < len - WORD; i += WORD)
        if (!octet_same_word(a + i, b + i))
            return false;
    return octet_same_word(a + len - WORD, b + len - WORD);
}

/* Whether p[0..len) is word, whatever the case of ASCII letters. */
static inline bool octet_same(const char *p, size_t len, const char *word, size_t word_len)
{
    if (len != word_len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (octet_lower(p[i]) != octet_lower(word[i]))
            return false;
    return true;
}

#endif
