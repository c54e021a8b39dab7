/* Tests of the scanners: each variant against what the RFCs say of every octet, and against the
 * scalar one, at all lengths and alignments. */
#include "http/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_LEN 200

typedef size_t scan_function(const char *p, size_t len);

enum { VALUE, TARGET, PLAIN, TOKEN, N_FUNCTIONS };

static scan_function *pick(const struct http_scan *variant, int which)
{
    switch (which) {
    case VALUE:
        return variant->value_end;
    case TARGET:
        return variant->target_end;
    case PLAIN:
        return variant->plain_end;
    default:
        return variant->token_end;
    }
}

/* Whether an octet ends the scan, written apart from the tables of the library. */
static bool ends(int which, int octet)
{
    if (which == VALUE)
        return (octet < 0x20 && octet != '\t') || octet == 0x7f;
    if (which == TARGET)
        return octet <= 0x20 || octet == 0x7f;
    if (which == PLAIN)
        return octet <= 0x20 || octet >= 0x7f || strchr("?#%", octet);
    return octet == 0 || octet > 0x7f ||
           !strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
                   octet);
}

/* Every octet at every place of a block of exactly its size, so that ASan sees a read beyond. */
static void every_octet_everywhere(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 70; len++) {
        char *block = malloc(len ? len : 1);
        memset(block, 'a', len);
        for (const struct http_scan *const *v = http_scan_variants(); *v; v++)
            for (int which = 0; which < N_FUNCTIONS; which++)
                for (size_t at = 0; at < len; at++)
                    for (int octet = 0; octet < 256; octet++) {
                        block[at] = (char)octet;
                        size_t end = ends(which, octet) ? at : len;
                        assert_int_equal(pick(*v, which)(block, len), end);
                        block[at] = 'a';
                    }
        free(block);
    }
}

/* Fills p with octets that are mostly good, or all bad, or about to be, or anything. */
static void fill(char *p, size_t len, int kind)
{
    static const char edges[] = "\t\x1f\x20\x7e\x7f\x80\xff!\"(),/:@[{|}~";
    for (size_t i = 0; i < len; i++) {
        int r = rand();
        switch (kind) {
        case 0:
            p[i] = (char)r;
            break;
        case 1:
            p[i] = r % 97 == 0 ? (char)r : 'x';
            break;
        case 2:
            p[i] = edges[(size_t)r % (sizeof edges - 1)];
            break;
        default:
            p[i] = r % 50 == 0 ? '\0' : '\t';
        }
    }
}

/* All variants agree with the scalar one for random and nasty octets. */
static void variants_agree(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 40; round++)
        for (size_t offset = 0; offset < 32; offset++)
            for (size_t len = 0; len <= MAX_LEN; len += 1 + (size_t)rand() % 3) {
                char *block = malloc(offset + len + (offset + len == 0));
                fill(block, offset + len, round % 4);
                for (const struct http_scan *const *v = http_scan_variants(); *v; v++)
                    for (int which = 0; which < N_FUNCTIONS; which++) {
                        size_t expected = pick(*http_scan_variants(), which)(block + offset, len);
                        assert_int_equal(pick(*v, which)(block + offset, len), expected);
                    }
                free(block);
            }
}

static void one_is_chosen(void **state)
{
    const struct http_scan *const *v = http_scan_variants();
    (void)state;
    assert_string_equal((*v)->name, "scalar");
    while (v[1])
        v++;
    assert_string_equal(http_scan.name, (*v)->name);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_chosen),
        cmocka_unit_test(every_octet_everywhere),
        cmocka_unit_test(variants_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
