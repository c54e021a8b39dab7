/* Scanning 16 octets at a time with NEON, which every aarch64 CPU has. It owns nothing but this
 * variant; it never reads an octet past the end it is given. */
#include "http/scan_variants.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <stdint.h>

/* Each *_stop returns octets that are all ones where the scan ends, and zero elsewhere. */

static inline uint8x16_t value_stop(uint8x16_t x)
{
    uint8x16_t control = vcltq_u8(x, vdupq_n_u8(' '));
    uint8x16_t tab = vceqq_u8(x, vdupq_n_u8('\t'));
    return vorrq_u8(vbicq_u8(control, tab), vceqq_u8(x, vdupq_n_u8(0x7f)));
}

static inline uint8x16_t target_stop(uint8x16_t x)
{
    return vorrq_u8(vcleq_u8(x, vdupq_n_u8(' ')), vceqq_u8(x, vdupq_n_u8(0x7f)));
}

static inline uint8x16_t plain_stop(uint8x16_t x)
{
    uint8x16_t mark = vceqq_u8(x, vdupq_n_u8('?'));
    uint8x16_t hash = vceqq_u8(x, vdupq_n_u8('#'));
    uint8x16_t percent = vceqq_u8(x, vdupq_n_u8('%'));
    uint8x16_t high = vcgeq_u8(x, vdupq_n_u8(0x7f)); /* DEL, too */
    uint8x16_t control = vcleq_u8(x, vdupq_n_u8(' '));
    return vorrq_u8(vorrq_u8(vorrq_u8(mark, hash), vorrq_u8(percent, high)), control);
}

static inline uint8x16_t token_stop(uint8x16_t x)
{
    static const uint8_t low[16] = { HTTP_SCAN_TOKEN_LOW }, high[16] = { HTTP_SCAN_TOKEN_HIGH };
    uint8x16_t columns = vqtbl1q_u8(vld1q_u8(low), vandq_u8(x, vdupq_n_u8(0x0f)));
    uint8x16_t rows = vqtbl1q_u8(vld1q_u8(high), vshrq_n_u8(x, 4));
    return vmvnq_u8(vtstq_u8(columns, rows));
}

/* The index of the first octet of stop that is set, 16 when none is. Narrowing leaves 4 bits for
 * each octet, which fit a word: NEON has no movemask. */
static inline size_t first_set(uint8x16_t stop)
{
    uint8x8_t narrow = vshrn_n_u16(vreinterpretq_u16_u8(stop), 4);
    uint64_t bits = vget_lane_u64(vreinterpret_u64_u8(narrow), 0);
    return bits ? (size_t)__builtin_ctzll(bits) >> 2 : 16;
}

#define SCAN(what)                                                                \
    static size_t what##_end(const char *p, size_t len)                           \
    {                                                                             \
        size_t i = 0;                                                             \
        for (; len - i >= 16; i += 16) {                                          \
            size_t at = first_set(what##_stop(vld1q_u8((const uint8_t *)p + i))); \
            if (at < 16)                                                          \
                return i + at;                                                    \
        }                                                                         \
        return i + http_scan_##what##_scalar(p + i, len - i);                     \
    }

SCAN(value)
SCAN(target)
SCAN(plain)
SCAN(token)

const struct http_scan http_scan_neon = { "neon", value_end, target_end, plain_end, token_end };

#else

const struct http_scan http_scan_neon;

#endif
