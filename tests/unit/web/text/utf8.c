/* Tests of UTF-8: RFC 3629, whole and at every place of a word. */
#include "../web_check.h"

#include "web/text/utf8.h"

/* By the definition, slowly: decodes a code point. Returns its length, or 0. */
static size_t slow_sequence(const unsigned char *p, size_t len)
{
    if (p[0] < 0x80)
        return p[0] ? 1 : 0;
    size_t n = (p[0] & 0xe0) == 0xc0   ? 2
               : (p[0] & 0xf0) == 0xe0 ? 3
               : (p[0] & 0xf8) == 0xf0 ? 4
                                       : 0;
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (n == 0 || n > len)
        return 0;
    uint32_t code = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    return code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0 : n;
}

static void sequences(void **state)
{
    (void)state;
    unsigned char p[4];
    for (uint32_t lead = 0; lead < 256; lead++)
        for (uint32_t second = 0; second < 256; second++)
            for (uint32_t rest = 0; rest < 9; rest++)
                for (size_t len = 1; len <= 4; len++) {
                    static const unsigned char some[] = { 0x7f, 0x80, 0xbf };
                    p[0] = (unsigned char)lead;
                    p[1] = (unsigned char)second;
                    p[2] = some[rest / 3];
                    p[3] = some[rest % 3];
                    if (utf8_sequence((char *)p, len) != slow_sequence(p, len))
                        fail_msg("%02x %02x %02x %02x", p[0], p[1], p[2], p[3]);
                }
}

static void texts(void **state)
{
    (void)state;
    static const char *const pieces[] = { "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff",
                                          "\xc3",     "\xed\xa0\x80", "\xc0\x80" };
    char text[64];
    assert_true(utf8_is_text("", 0));
    for (size_t len = 1; len < 40; len++) {
        memset(text, 'a', sizeof(text));
        assert_true(utf8_is_text(text, len));
        for (size_t at = 0; at < len; at++) {
            memset(text, 'a', sizeof(text));
            text[at] = '\0';
            assert_false(utf8_is_text(text, len));
            for (size_t i = 0; i < 7; i++) {
                size_t n = strlen(pieces[i]);
                memset(text, 'a', sizeof(text));
                memcpy(text + at, pieces[i], n);
                assert_int_equal(utf8_is_text(text, len), i < 3 && at + n <= len);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(sequences), cmocka_unit_test(texts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
