/* Tests of the chunked coding: each row whole, split at each place and octet by octet. */
#include "http/chunk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))
#define INPUT(literal) literal, sizeof(literal) - 1

/* A body and what comes of it: its octets and what is left behind it, or the status with which it
 * is refused after at octets (0: wherever). */
struct row {
    const char *why;
    const char *input;
    size_t len;
    const char *body;
    size_t rest;
    int status;
    size_t refused;
};

static const struct chunk_limits ample = { 100, 200, 10 };

/* What a decoder made of the octets it got. */
struct outcome {
    char body[4096];
    size_t body_len, used;
    int rc;
};

/* Feeds in[0..len) from a block of exactly that size. */
static void feed(struct chunk_decoder *decoder, const char *in, size_t len,
                 const struct chunk_limits *limits, struct outcome *outcome)
{
    char *copy = malloc(len ? len : 1);
    size_t at = 0;
    memcpy(copy, in, len);
    do {
        struct chunk_step step;
        outcome->rc = chunk_decode(decoder, copy + at, len - at, limits, &step);
        if (outcome->rc < 0)
            break;
        assert_true(step.used <= len - at);
        assert_true(step.data >= copy + at && step.data + step.len <= copy + at + step.used);
        assert_true(step.used > 0 || at == len || outcome->rc == 1);
        memcpy(outcome->body + outcome->body_len, step.data, step.len);
        outcome->body_len += step.len;
        at += step.used;
    } while (outcome->rc == 0 && at < len);
    outcome->used += at;
    free(copy);
}

static void check_outcome(const struct row *row, const struct outcome *outcome, const char *how)
{
    if (outcome->rc != (row->body ? 1 : row->status))
        fail_msg("%s, %s: %d", row->why, how, outcome->rc);
    if (!row->body)
        return;
    if (outcome->body_len != strlen(row->body) ||
        memcmp(outcome->body, row->body, outcome->body_len) != 0)
        fail_msg("%s, %s: \"%.*s\"", row->why, how, (int)outcome->body_len, outcome->body);
    if (outcome->used != row->len - row->rest)
        fail_msg("%s, %s: %zu octets used", row->why, how, outcome->used);
}

static void check(const struct row *row, const struct chunk_limits *limits)
{
    struct chunk_decoder bytewise = { 0 };
    struct outcome outcome = { 0 };
    size_t settled = 0;
    while (settled < row->len && outcome.rc == 0)
        feed(&bytewise, row->input + settled++, 1, limits, &outcome);
    check_outcome(row, &outcome, "octet by octet");
    if (outcome.rc == 0)
        settled++; /* never */
    if (row->refused && row->refused != settled)
        fail_msg("%s: refused after %zu octets", row->why, settled);
    for (size_t cut = 0; cut <= row->len; cut++) {
        struct chunk_decoder decoder = { 0 };
        memset(&outcome, 0, sizeof outcome);
        feed(&decoder, row->input, cut, limits, &outcome);
        if ((outcome.rc != 0) != (cut >= settled))
            fail_msg("%s: %d after %zu octets", row->why, outcome.rc, cut);
        if (outcome.rc == 0)
            feed(&decoder, row->input + cut, row->len - cut, limits, &outcome);
        check_outcome(row, &outcome, "split");
    }
}

static void bodies(void **state)
{
    static const struct row rows[] = {
        { "one chunk, 9112 7.1", INPUT("5\r\nhello\r\n0\r\n\r\n"), "hello" },
        { "what follows is left", INPUT("5\r\nhello\r\n0\r\n\r\nGET /"), "hello", .rest = 5 },
        { "empty", INPUT("0\r\n\r\n"), "" },
        { "several zeros", INPUT("000\r\n\r\n"), "" },
        { "hexadecimal in both cases", INPUT("a\r\n0123456789\r\nB\r\nabcdefghijk\r\n0\r\n\r\n"),
          "0123456789abcdefghijk" },
        { "leading zeros", INPUT("000000000000000000000005\r\nhello\r\n0\r\n\r\n"), "hello" },
        { "CRLF in the data", INPUT("4\r\n\r\n\r\n\r\n0\r\n\r\n"), "\r\n\r\n" },
        { "an end in the data", INPUT("5\r\n0\r\n\r\n\r\n0\r\n\r\n"), "0\r\n\r\n" },
        { "tiny chunks", INPUT("1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"), "abc" },
        { "extensions, 9112 7.1.1",
          INPUT("5;a;b=c;d=\"e;\\\"\\\\\xe9\t \"\r\nhello\r\n0;x=y\r\n\r\n"), "hello" },
        { "whitespace in extensions (BWS)",
          INPUT("5 \t; a = b ;c =\t\"d\" ; e\r\nhello\r\n0\r\n\r\n"), "hello" },
        { "an empty quoted string", INPUT("5;a=\"\"\r\nhello\r\n0\r\n\r\n"), "hello" },
        { "trailers, 9112 7.1.2", INPUT("5\r\nhello\r\n0\r\nX-T: v\r\nY:\r\n\r\nGET"), "hello",
          .rest = 3 },
        { "trailers never frame", INPUT("0\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n"),
          "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check(&rows[i], &ample);
}

static void malformed(void **state)
{
    static const struct row rows[] = {
        { "no digit", INPUT("\r\nhello"), .status = -400, .refused = 1 },
        { "no hexadecimal digit", INPUT("g\r\n"), .status = -400, .refused = 1 },
        { "sign", INPUT("+5\r\nhello\r\n0\r\n\r\n"), .status = -400, .refused = 1 },
        { "minus", INPUT("-5\r\nhello\r\n0\r\n\r\n"), .status = -400, .refused = 1 },
        { "0x", INPUT("0x5\r\nhello\r\n0\r\n\r\n"), .status = -400, .refused = 2 },
        { "underscore", INPUT("1_0\r\n"), .status = -400, .refused = 2 },
        { "leading space", INPUT(" 5\r\nhello\r\n0\r\n\r\n"), .status = -400, .refused = 1 },
        { "trailing space", INPUT("5 \r\nhello\r\n0\r\n\r\n"), .status = -400, .refused = 3 },
        { "NUL", INPUT("5\0\r\nhello\r\n0\r\n\r\n"), .status = -400, .refused = 2 },
        { "obs-text", INPUT("\xef\xbc\x95\r\nhello"), .status = -400, .refused = 1 },
        { "64 bits", INPUT("8000000000000000\r\n"), .status = -400, .refused = 16 },
        { "all 64 bits", INPUT("ffffffffffffffff\r\n"), .status = -400, .refused = 16 },
        { "17 digits, 9112 7.1", INPUT("10000000000000005\r\nhello"), .status = -400,
          .refused = 17 },
        { "bare LF behind a size", INPUT("5\nhello\r\n0\r\n\r\n"), .status = -400, .refused = 2 },
        { "bare CR behind a size", INPUT("5\rhello\r\n0\r\n\r\n"), .status = -400, .refused = 3 },
        { "CR CR LF", INPUT("5\r\r\nhello"), .status = -400, .refused = 3 },
        { "data too long", INPUT("5\r\nhello!\r\n0\r\n\r\n"), .status = -400, .refused = 9 },
        { "data too short", INPUT("6\r\nhello\r\n0\r\n\r\n"), .status = -400, .refused = 10 },
        { "no CRLF behind data", INPUT("5\r\nhello0\r\n\r\n"), .status = -400, .refused = 9 },
        { "LF behind data", INPUT("5\r\nhello\n0\r\n\r\n"), .status = -400, .refused = 9 },
        { "CR behind data", INPUT("5\r\nhello\r0\r\n\r\n"), .status = -400, .refused = 10 },
        { "empty extension", INPUT("5;\r\nhello"), .status = -400, .refused = 3 },
        { "no extension name", INPUT("5;=a\r\nhello"), .status = -400, .refused = 3 },
        { "no extension value", INPUT("5;a=\r\nhello"), .status = -400, .refused = 5 },
        { "two words", INPUT("5;a b\r\nhello"), .status = -400, .refused = 5 },
        { "two values", INPUT("5;a=b c\r\nhello"), .status = -400, .refused = 7 },
        { "space at the end", INPUT("5;a \r\nhello"), .status = -400, .refused = 5 },
        { "text behind a quoted string", INPUT("5;a=\"b\"c\r\nhello"), .status = -400,
          .refused = 8 },
        { "LF in an extension", INPUT("5;a\nb\r\nhello"), .status = -400, .refused = 4 },
        { "CR in an extension", INPUT("5;a\rb\r\nhello"), .status = -400, .refused = 5 },
        { "CRLF in a quoted string", INPUT("5;a=\"\r\n\"\r\nhello"), .status = -400, .refused = 6 },
        { "LF in a quoted string", INPUT("5;a=\"\n\"\r\nhello"), .status = -400, .refused = 6 },
        { "LF escaped", INPUT("5;a=\"\\\n\"\r\nhello"), .status = -400, .refused = 7 },
        { "NUL in a quoted string", INPUT("5;a=\"\0\"\r\nhello"), .status = -400, .refused = 6 },
        { "LF ends the body", INPUT("0\r\n\n"), .status = -400, .refused = 4 },
        { "CR ends the body", INPUT("0\r\n\rG"), .status = -400, .refused = 5 },
        { "trailer without name", INPUT("0\r\n: a\r\n\r\n"), .status = -400, .refused = 4 },
        { "space before the colon", INPUT("0\r\na : b\r\n\r\n"), .status = -400, .refused = 5 },
        { "obs-fold in trailers", INPUT("0\r\na: b\r\n c\r\n\r\n"), .status = -400, .refused = 10 },
        { "no colon", INPUT("0\r\nGET / HTTP/1.1\r\n"), .status = -400, .refused = 7 },
        { "LF in a trailer", INPUT("0\r\na: b\nc: d\r\n\r\n"), .status = -400, .refused = 8 },
        { "CR in a trailer", INPUT("0\r\na: b\rc: d\r\n\r\n"), .status = -400, .refused = 9 },
        { "NUL in a trailer", INPUT("0\r\na: \0\r\n\r\n"), .status = -400, .refused = 7 },
        { "unfinished size", INPUT("5"), .status = 0 },
        { "unfinished data", INPUT("5\r\nhell"), .status = 0 },
        { "unfinished trailers", INPUT("0\r\n\r"), .status = 0 },
        { "63 bits of data", INPUT("7fffffffffffffff\r\nhello"), .status = 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check(&rows[i], &ample);
}

static void limits(void **state)
{
    static const struct chunk_limits tight = { 6, 20, 2 };
    static const struct row rows[] = {
        { "size line, below", INPUT("00000\r\n\r\n"), "" },
        { "size line, at", INPUT("000000\r\n\r\n"), "" },
        { "size line, above", INPUT("0000000\r\n\r\n"), .status = -413, .refused = 7 },
        { "extension, at", INPUT("0;a=bc\r\n\r\n"), "" },
        { "extension, above", INPUT("0;a=bcd\r\n\r\n"), .status = -413, .refused = 7 },
        { "each line anew", INPUT("000001\r\na\r\n000001\r\nb\r\n000000\r\n\r\n"), "ab" },
        { "trailer line, at", INPUT("0\r\na: bcd\r\n\r\n"), "" },
        { "trailer line, above", INPUT("0\r\na: bcde\r\n\r\n"), .status = -413, .refused = 10 },
        { "trailers, at", INPUT("0\r\na: bcd\r\ne: fg\r\n\r\n"), "" },
        { "trailer fields, above", INPUT("0\r\na:\r\nb:\r\nc:\r\n\r\n"), .status = -413,
          .refused = 12 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check(&rows[i], &tight);
    struct row row = { "of all trailers", INPUT("0\r\na: bcd\r\ne:f\r\n\r\n"), "" };
    struct chunk_limits of_all = { 6, 13, 2 }; /* the two lines with their CRLF */
    check(&row, &of_all);
    of_all.max_trailers = 12;
    row.body = NULL;
    row.status = -413;
    row.refused = 16;
    check(&row, &of_all);
    struct row none = { "none allowed", INPUT("0\r\n\r\n"), "" };
    of_all = (struct chunk_limits){ 6, 0, 0 };
    check(&none, &of_all);
}

/* What size lines have in excess of their data: so much of it in a body, and no more; a chunk with
 * enough data makes up for that of those before it. */
static void overhead(void **state)
{
    static const struct chunk_limits limits = { 2000, 0, 0 };
    static const char modest[] = "1\r\nx\r\n000000001\r\nx\r\n0\r\n\r\n";
    static char tiny[1100], large[20000];
    struct chunk_decoder decoder = { 0 };
    struct outcome outcome = { 0 };
    int line = 1024 + 16 + 1; /* 16 octets and as many as there are data are free of charge */
    (void)state;
    int n = snprintf(tiny, sizeof tiny, "1;%0*d\r\nx\r\n", line - 2, 0);
    for (int i = 0; i < 16; i++) {
        feed(&decoder, tiny, (size_t)n, &limits, &outcome);
        assert_int_equal(outcome.rc, 0);
    }
    struct chunk_decoder full = decoder;
    feed(&full, tiny, (size_t)n, &limits, &outcome);
    assert_int_equal(outcome.rc, -413);
    /* The lines of other clients have none. */
    full = decoder;
    feed(&full, modest, sizeof modest - 1, &limits, &outcome);
    assert_int_equal(outcome.rc, 1);
    n = snprintf(large, sizeof large, "400\r\n%01024d\r\n", 0);
    outcome.body_len = 0;
    feed(&decoder, large, (size_t)n, &limits, &outcome);
    feed(&decoder, tiny, (size_t)strlen(tiny), &limits, &outcome);
    assert_int_equal(outcome.rc, 0);
    feed(&decoder, tiny, (size_t)strlen(tiny), &limits, &outcome);
    assert_int_equal(outcome.rc, -413);
}

/* A body that is over takes nothing more. */
static void done_stays_done(void **state)
{
    struct chunk_decoder decoder = { 0 };
    struct chunk_step step;
    (void)state;
    assert_int_equal(chunk_decode(&decoder, "0\r\n\r\nx", 6, &ample, &step), 1);
    assert_int_equal(step.used, 5);
    assert_int_equal(step.len, 0);
    assert_int_equal(chunk_decode(&decoder, "x", 1, &ample, &step), 1);
    assert_int_equal(step.used, 0);
}

static void data_in_place(void **state)
{
    static const char in[] = "5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n";
    struct chunk_decoder decoder = { 0 };
    struct chunk_step step;
    (void)state;
    assert_int_equal(chunk_decode(&decoder, in, sizeof in - 1, &ample, &step), 0);
    assert_ptr_equal(step.data, in + 3);
    assert_int_equal(step.len, 5);
    assert_int_equal(step.used, 8);
}

static void heads(void **state)
{
    static const struct {
        uint64_t size;
        const char *head;
    } rows[] = {
        { 1, "1\r\n" },
        { 9, "9\r\n" },
        { 10, "a\r\n" },
        { 15, "f\r\n" },
        { 16, "10\r\n" },
        { 255, "ff\r\n" },
        { 65536, "10000\r\n" },
        { INT64_MAX, "7fffffffffffffff\r\n" },
        { UINT64_MAX, "ffffffffffffffff\r\n" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char head[CHUNK_HEAD_MAX];
        size_t len = chunk_write_head(head, rows[i].size);
        assert_int_equal(len, strlen(rows[i].head));
        assert_memory_equal(head, rows[i].head, len);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies),          cmocka_unit_test(malformed),
        cmocka_unit_test(limits),          cmocka_unit_test(overhead),
        cmocka_unit_test(done_stays_done), cmocka_unit_test(data_in_place),
        cmocka_unit_test(heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
