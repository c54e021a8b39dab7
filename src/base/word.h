/* Short texts as words, so that two can be compared, or one be hashed, without a loop. */
#ifndef TEPAL_BASE_WORD_H
#define TEPAL_BASE_WORD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WORD_MAX = 8 };

static inline uint64_t word_at(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof(word));
    return word;
}

/* All of at most WORD_MAX octets. Those in the middle may be in it twice: it stands for the text
 * among those of the same length. */
static inline uint64_t word_of(const char *text, size_t len)
{
    uint32_t first = 0, last = 0;
    if (len >= 4) {
        memcpy(&first, text, 4);
        memcpy(&last, text + len - 4, 4);
    } else if (len > 0) {
        first = (unsigned char)text[0];
        last = (uint32_t)(unsigned char)text[len / 2] << 8 | (unsigned char)text[len - 1];
    }
    return (uint64_t)first << 32 | last;
}

#endif
