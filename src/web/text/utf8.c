/* A UTF-8 validator: eight octets at a time while they are ASCII. */
#include "web/text/utf8.h"

#include <stdint.h>
#include <string.h>

size_t utf8_sequence(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t n = p[0] < 0x80   ? 1
               : p[0] < 0xc2 ? 0
               : p[0] < 0xe0 ? 2
               : p[0] < 0xf0 ? 3
               : p[0] < 0xf5 ? 4
                             : 0;
    if (n == 0 || n > len || p[0] == 0)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what is beyond U+10FFFF. */
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

/* Whether eight octets are ASCII and none is NUL. */
static bool is_plain(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    uint64_t high = 0x8080808080808080u, ones = 0x0101010101010101u;
    return ((word | (word - ones)) & high) == 0;
}

bool utf8_is_text(const char *text, size_t len)
{
    while (len > 0) {
        size_t n = len >= 8 && is_plain(text) ? 8 : utf8_sequence(text, len);
        if (n == 0)
            return false;
        text += n;
        len -= n;
    }
    return true;
}
