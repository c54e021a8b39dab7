/* Tests of reading answers of DNS: what is well-formed, each beginning of it, and what is not. */
#include "../../check.h"

#include "net/dns/message.h"

#include <errno.h>
#include <string.h>

#include <tepal/base.h>

/* One question for "a.b", at 12, and n answers. */
#define HEAD(n)                       \
    "\0\1\x81\x80\0\1\0" n "\0\0\0\0" \
    "\1a\1b\0\0\x10\0\1"
#define TEXT "\xc0\x0c\0\x10\0\1\0\0\0\x09"
#define SERVICE "\xc0\x0c\0\x21\0\1\0\0\0\x09"
#define POINTER "\xc0\x0c\0\x0c\0\1\0\0\0\x09"

/* Reads a message from memory of just its size, so that the sanitizers see what is behind it. */
static int read_exactly(struct dns_records **out, const void *data, size_t len, enum dns_type type,
                        size_t max)
{
    uint8_t *copy = malloc(len + (len == 0));
    assert_non_null(copy);
    memcpy(copy, data, len);
    int rc = dns_message_read(out, copy, len, type, max);
    free(copy);
    return rc;
}

#define ROW(type, message, result, texts)                 \
    {                                                     \
        type, message, sizeof(message) - 1, result, texts \
    }

static const struct {
    enum dns_type type;
    const char *data;
    size_t len;
    int result;
    const char *texts; /* each with '|' behind it */
} rows[] = {
    ROW(DNS_TXT, HEAD("\1") TEXT "\0\4\3abc", 0, "abc|"),
    ROW(DNS_TXT, HEAD("\1") TEXT "\0\4\1a\1b", 0, "ab|"),
    ROW(DNS_TXT, HEAD("\2") TEXT "\0\2\1a" TEXT "\0\1\0", 0, "a||"),
    ROW(DNS_TXT, HEAD("\1") TEXT "\0\0", 0, "|"),
    ROW(DNS_TXT, HEAD("\1") TEXT "\0\4\4abc", TEPAL_EDNS, NULL), /* longer than the record */
    ROW(DNS_TXT, HEAD("\1") TEXT "\0\5\3abc", TEPAL_EDNS, NULL), /* than the message */
    ROW(DNS_TXT, HEAD("\2") TEXT "\0\2\1a", TEPAL_EDNS, NULL),   /* one is missing */
    ROW(DNS_TXT, HEAD("\0"), TEPAL_ENONAME, NULL),
    /* Of another type or class. */
    ROW(DNS_SRV, HEAD("\1") TEXT "\0\4\3abc", TEPAL_ENONAME, NULL),
    ROW(DNS_TXT, HEAD("\1") "\xc0\x0c\0\x10\0\3\0\0\0\x09\0\2\1a", TEPAL_ENONAME, NULL),
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\x0b\0\1\0\2\0\3\1x\1y\0", 0, "x.y|"),
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\x08\0\1\0\2\0\3\xc0\x0c", 0, "a.b|"),
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\x0a\0\1\0\2\0\3\1x\xc0\x0c", 0, "x.a.b|"),
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\7\0\1\0\2\0\3\0", 0, "|"),         /* the root */
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\6\0\1\0\2\0\3", TEPAL_EDNS, NULL), /* no target */
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\5\0\1\0\2\0", TEPAL_EDNS, NULL),
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\x0a\0\1\0\2\0\3\1x\0y", TEPAL_EDNS, NULL), /* more behind */
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\x08\0\1\0\2\0\3\1x\0", TEPAL_EDNS, NULL), /* over its end */
    /* Pointers to themselves, forward, and round in a circle; a label of a kind that there is
     * not. */
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\x08\0\1\0\2\0\3\xc0\x27", TEPAL_EDNS, NULL),
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\x0a\0\1\0\2\0\3\xc0\x29\xc0\x27", TEPAL_EDNS, NULL),
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\x0a\0\1\0\2\0\3\1x\xc0\x27", TEPAL_EDNS, NULL),
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\x08\0\1\0\2\0\3\x41x", TEPAL_EDNS, NULL),
    /* What no host can be called: a dot or a NUL in a label, a space, an address. */
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\x0b\0\1\0\2\0\3\3x.y\0", TEPAL_ENONAME, NULL),
    ROW(DNS_SRV, HEAD("\1") SERVICE "\0\x0b\0\1\0\2\0\3\3x\0y\0", TEPAL_ENONAME, NULL),
    ROW(DNS_PTR, HEAD("\1") POINTER "\0\5\3x y\0", TEPAL_ENONAME, NULL),
    ROW(DNS_PTR, HEAD("\1") POINTER "\0\x09\1\x31\1\x31\1\x31\1\x31\0", TEPAL_ENONAME, NULL),
    ROW(DNS_PTR, HEAD("\2") POINTER "\0\5\3x y\0" POINTER "\0\3\1z\0", 0, "z|"),
    ROW(DNS_PTR, HEAD("\2") POINTER "\0\3\1y\0" POINTER "\0\3\1z\0", 0, "y|"),
};

static void reading(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dns_records *records = NULL;
        char texts[64] = "";
        int rc = read_exactly(&records, rows[i].data, rows[i].len, rows[i].type, 4);
        if (rc != rows[i].result)
            print_message("row %zu\n", i);
        assert_int_equal(rc, rows[i].result);
        for (size_t k = 0; rc == 0 && k < records->n; k++) {
            assert_int_equal(strlen(records->all[k].text), records->all[k].len);
            strcat(strcat(texts, records->all[k].text), "|");
        }
        if (rc == 0)
            assert_string_equal(texts, rows[i].texts);
        dns_records_release(records);
        for (size_t len = 0; len < rows[i].len; len++)
            assert_int_equal(read_exactly(&records, rows[i].data, len, rows[i].type, 4),
                             len < 21 || rows[i].data[7] ? TEPAL_EDNS : TEPAL_ENONAME);
    }
}

static void numbers(void **state)
{
    (void)state;
    static const char message[] =
        HEAD("\3") SERVICE "\0\x09\1\2\3\4\5\6\1x\0"
                           "\xc0\x0c\0\5\0\1\0\0\0\7\0\3\1q\0" /* a CNAME */
        SERVICE "\0\x09\0\0\0\0\0\0\1y\0";
    struct dns_records *records;
    for (size_t max = 1; max <= 3; max++) {
        assert_int_equal(read_exactly(&records, message, sizeof(message) - 1, DNS_SRV, max), 0);
        assert_int_equal(records->n, max < 2 ? 1 : 2);
        assert_int_equal(records->ttl, 7);
        assert_int_equal(records->all[0].priority, 0x102);
        assert_int_equal(records->all[0].weight, 0x304);
        assert_int_equal(records->all[0].port, 0x506);
        dns_records_release(records);
    }
    /* RFC 2181, section 8. */
    static const char late[] = HEAD("\1") "\xc0\x0c\0\x10\0\1\x80\0\0\x09\0\2\1a";
    assert_int_equal(read_exactly(&records, late, sizeof(late) - 1, DNS_TXT, 1), 0);
    assert_int_equal(records->ttl, 0);
    dns_records_release(records);
}

/* A name of 253 octets is the longest; one of 128 pointers has the most of them. */
static void long_names(void **state)
{
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        char message[500] = "\0\1\x81\x80\0\0\0\1\0\0\0\0"
                            "\0\0\x0c\0\1\0\0\0\x09\0";
        size_t at = 22;
        message[at++] = (char)(255 + extra);
        for (int i = 0; i < 4; i++) {
            int len = i < 3 ? 63 : 61 + extra;
            message[at++] = (char)len;
            memset(message + at, 'x', (size_t)len);
            at += (size_t)len;
        }
        message[at++] = '\0';
        if (extra > 0)
            memcpy(message + 21, "\1\0", 2);
        struct dns_records *records = NULL;
        assert_int_equal(read_exactly(&records, message, at, DNS_PTR, 1), extra ? TEPAL_EDNS : 0);
        if (extra == 0)
            assert_int_equal(records->all[0].len, 253);
        dns_records_release(records);
    }
    for (int n = 128; n <= 129; n++) {
        /* A TXT record whose data are a chain of pointers, and a PTR record that leads to its
         * end. */
        char message[600] = "\0\1\x81\x80\0\0\0\2\0\0\0\0"
                            "\0\0\x10\0\1\0\0\0\x09";
        size_t at = 21, begin = 24;
        size_t size = 1 + 2 * (size_t)(n - 1);
        message[at++] = (char)(size >> 8);
        message[at++] = (char)size;
        message[at++] = '\0'; /* the root */
        at--;
        begin = at++;
        for (int i = 1; i < n; i++) {
            size_t to = i == 1 ? begin : at - 2;
            message[at++] = (char)(0xc0 | to >> 8);
            message[at++] = (char)to;
        }
        size_t to = at - 2;
        memcpy(message + at, "\0\0\x0c\0\1\0\0\0\x09\0\4\1x", 13);
        at += 13;
        message[at++] = (char)(0xc0 | to >> 8);
        message[at++] = (char)to;
        struct dns_records *records = NULL;
        assert_int_equal(read_exactly(&records, message, at, DNS_PTR, 1),
                         n == 128 ? 0 : TEPAL_EDNS);
        dns_records_release(records);
    }
}

/* Whatever octets there are, nothing is read or written outside. */
static void noise(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int turn = 0; turn < times(20000); turn++) {
        const char *data = rows[turn % 20].data;
        size_t len = rows[turn % 20].len;
        char copy[200];
        memcpy(copy, data, len);
        for (int i = 0; i < 3; i++)
            copy[next_random(&seed) % len] = (char)next_random(&seed);
        struct dns_records *records = NULL;
        int rc = read_exactly(&records, copy, len, rows[turn % 20].type, 4);
        assert_true(rc == 0 || rc == TEPAL_EDNS || rc == TEPAL_ENONAME);
        dns_records_release(records);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading),
        cmocka_unit_test(numbers),
        cmocka_unit_test(long_names),
        cmocka_unit_test(noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
