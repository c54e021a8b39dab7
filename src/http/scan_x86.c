/* Scanning 16 octets at a time with SSE4.2 and 32 with AVX2. It owns nothing but these two
 * variants; it never reads an octet past the end it is given, so the last octets go to the table,
 * and it is never called on a CPU without the instructions. */
#include "http/scan_variants.h"

#if defined(__x86_64__) || defined(__i386__)

#include <immintrin.h>

#define SSE42 __attribute__((target("sse4.2")))
#define AVX2 __attribute__((target("avx2")))

/* Each *_stop returns a mask with a bit for each octet that ends the scan. Octets compare as
 * unsigned through min and max, which have unsigned forms where compare has not. */

SSE42 static inline unsigned value_stop16(__m128i x)
{
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
    __m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
}

SSE42 static inline unsigned target_stop16(__m128i x)
{
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(' ')), x);
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(control, del));
}

SSE42 static inline unsigned plain_stop16(__m128i x)
{
    __m128i mark = _mm_cmpeq_epi8(x, _mm_set1_epi8('?'));
    __m128i hash = _mm_cmpeq_epi8(x, _mm_set1_epi8('#'));
    __m128i percent = _mm_cmpeq_epi8(x, _mm_set1_epi8('%'));
    __m128i odd = _mm_or_si128(_mm_or_si128(mark, hash), _mm_or_si128(percent, x));
    return target_stop16(x) | (unsigned)_mm_movemask_epi8(odd); /* octets over 0x7f: by their bit */
}

SSE42 static inline unsigned token_stop16(__m128i x)
{
    const __m128i low = _mm_setr_epi8(HTTP_SCAN_TOKEN_LOW);
    const __m128i high = _mm_setr_epi8(HTTP_SCAN_TOKEN_HIGH);
    const __m128i half = _mm_set1_epi8(0x0f);
    __m128i columns = _mm_shuffle_epi8(low, _mm_and_si128(x, half));
    __m128i rows = _mm_shuffle_epi8(high, _mm_and_si128(_mm_srli_epi16(x, 4), half));
    __m128i none = _mm_cmpeq_epi8(_mm_and_si128(columns, rows), _mm_setzero_si128());
    return (unsigned)_mm_movemask_epi8(none);
}

AVX2 static inline unsigned value_stop32(__m256i x)
{
    __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(x, _mm256_set1_epi8(0x1f)), x);
    __m256i tab = _mm256_cmpeq_epi8(x, _mm256_set1_epi8('\t'));
    __m256i del = _mm256_cmpeq_epi8(x, _mm256_set1_epi8(0x7f));
    return (unsigned)_mm256_movemask_epi8(_mm256_or_si256(_mm256_andnot_si256(tab, control), del));
}

AVX2 static inline unsigned target_stop32(__m256i x)
{
    __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(x, _mm256_set1_epi8(' ')), x);
    __m256i del = _mm256_cmpeq_epi8(x, _mm256_set1_epi8(0x7f));
    return (unsigned)_mm256_movemask_epi8(_mm256_or_si256(control, del));
}

AVX2 static inline unsigned plain_stop32(__m256i x)
{
    __m256i mark = _mm256_cmpeq_epi8(x, _mm256_set1_epi8('?'));
    __m256i hash = _mm256_cmpeq_epi8(x, _mm256_set1_epi8('#'));
    __m256i percent = _mm256_cmpeq_epi8(x, _mm256_set1_epi8('%'));
    __m256i odd = _mm256_or_si256(_mm256_or_si256(mark, hash), _mm256_or_si256(percent, x));
    return target_stop32(x) | (unsigned)_mm256_movemask_epi8(odd);
}

AVX2 static inline unsigned token_stop32(__m256i x)
{
    const __m256i low = _mm256_setr_epi8(HTTP_SCAN_TOKEN_LOW, HTTP_SCAN_TOKEN_LOW);
    const __m256i high = _mm256_setr_epi8(HTTP_SCAN_TOKEN_HIGH, HTTP_SCAN_TOKEN_HIGH);
    const __m256i half = _mm256_set1_epi8(0x0f);
    __m256i columns = _mm256_shuffle_epi8(low, _mm256_and_si256(x, half));
    __m256i rows = _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(x, 4), half));
    __m256i none = _mm256_cmpeq_epi8(_mm256_and_si256(columns, rows), _mm256_setzero_si256());
    return (unsigned)_mm256_movemask_epi8(none);
}

/* The loops. In the AVX2 ones a step of 16 shortens what is left for the table. */
#define SCAN16(what)                                                               \
    SSE42 static size_t what##_end16(const char *p, size_t len)                    \
    {                                                                              \
        size_t i = 0;                                                              \
        for (; len - i >= 16; i += 16) {                                           \
            unsigned stop = what##_stop16(_mm_loadu_si128((const void *)(p + i))); \
            if (stop)                                                              \
                return i + (unsigned)__builtin_ctz(stop);                          \
        }                                                                          \
        return i + http_scan_##what##_scalar(p + i, len - i);                      \
    }

#define SCAN32(what)                                                                  \
    AVX2 static size_t what##_end32(const char *p, size_t len)                        \
    {                                                                                 \
        size_t i = 0;                                                                 \
        for (; len - i >= 32; i += 32) {                                              \
            unsigned stop = what##_stop32(_mm256_loadu_si256((const void *)(p + i))); \
            if (stop)                                                                 \
                return i + (unsigned)__builtin_ctz(stop);                             \
        }                                                                             \
        if (len - i >= 16) {                                                          \
            unsigned stop = what##_stop16(_mm_loadu_si128((const void *)(p + i)));    \
            if (stop)                                                                 \
                return i + (unsigned)__builtin_ctz(stop);                             \
            i += 16;                                                                  \
        }                                                                             \
        return i + http_scan_##what##_scalar(p + i, len - i);                         \
    }

SCAN16(value)
SCAN16(target)
SCAN16(plain)
SCAN16(token)
SCAN32(value)
SCAN32(target)
SCAN32(plain)
SCAN32(token)

const struct http_scan http_scan_sse42 = { "sse4.2", value_end16, target_end16, plain_end16,
                                           token_end16 };
const struct http_scan http_scan_avx2 = { "avx2", value_end32, target_end32, plain_end32,
                                          token_end32 };

#else

const struct http_scan http_scan_sse42, http_scan_avx2;

#endif
