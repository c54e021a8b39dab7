/* Fuzzes what looks at text: the Accept field, and the UTF-8 check, against the plain definition of
 * it. */
#include "fuzz.h"

#include "http/accept.h"
#include "web/text/utf8.h"

/* RFC 3629 section 4, character by character. */
static bool is_text(const uint8_t *p, size_t len)
{
    while (len > 0) {
        size_t n = *p == 0     ? 0
                   : *p < 0x80 ? 1
                   : *p < 0xc0 ? 0
                   : *p < 0xe0 ? 2
                   : *p < 0xf0 ? 3
                   : *p < 0xf8 ? 4
                               : 0;
        static const uint32_t smallest[] = { 0, 1, 0x80, 0x800, 0x10000 };
        if (n == 0 || n > len)
            return false;
        uint32_t c = n == 1 ? *p : *p & (0x7fu >> n);
        for (size_t i = 1; i < n; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return false;
            c = c << 6 | (p[i] & 0x3fu);
        }
        if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return false;
        p += n;
        len -= n;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = { "text/html", "application/json", "text/plain" };
    char *in = fuzz_copy(data, size), *field = calloc(size + 1, 1);
    REQUIRE(field);
    REQUIRE(utf8_is_text(in, size) == is_text(data, size));
    memcpy(field, in, size);
    for (size_t i = 0; i < 3; i++) {
        int quality = accept_quality(field, types[i]);
        REQUIRE(quality >= 0 && quality <= 1000);
    }
    free(field);
    free(in);
    return 0;
}
