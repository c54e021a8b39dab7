/* Fuzzes the chunked coding: however the input is cut, the same body comes out and the same octets
 * are left; and what is encoded comes back. The first octet of the input chooses the limits, the
 * second where it is cut in two. */
#include "fuzz.h"

#include "http/chunk.h"

struct outcome {
    char *body;
    size_t len, used;
    int rc;
};

/* Decodes in[0..size) in a block of its own until it is used up or settled. */
static void feed(struct chunk_decoder *decoder, const char *in, size_t size,
                 const struct chunk_limits *limits, struct outcome *outcome)
{
    char *copy = fuzz_copy(in, size);
    size_t at = 0;
    do {
        struct chunk_step step;
        outcome->rc = chunk_decode(decoder, copy + at, size - at, limits, &step);
        if (outcome->rc < 0)
            break;
        REQUIRE(step.used <= size - at);
        REQUIRE(fuzz_inside(step.data, step.len, copy + at, step.used));
        REQUIRE(step.used > 0 || at == size || outcome->rc == 1);
        if (step.len)
            memcpy(outcome->body + outcome->len, step.data, step.len);
        outcome->len += step.len;
        at += step.used;
    } while (outcome->rc == 0 && at < size);
    outcome->used += at;
    free(copy);
}

/* Decodes in steps of step octets, the first of which ends at first. */
static struct outcome decode(const char *in, size_t size, size_t first, size_t step,
                             const struct chunk_limits *limits)
{
    struct chunk_decoder decoder = { 0 };
    struct outcome outcome = { .body = malloc(size + 1) };
    REQUIRE(outcome.body);
    for (size_t at = 0, end = first; outcome.rc == 0 && at < size; end += step) {
        if (end > size)
            end = size;
        feed(&decoder, in + at, end - at, limits, &outcome);
        at = end;
    }
    return outcome;
}

static void require_same(const struct outcome *a, const struct outcome *b)
{
    REQUIRE(a->rc == b->rc && a->len == b->len && memcmp(a->body, b->body, a->len) == 0);
    REQUIRE(a->rc < 0 || a->used == b->used);
}

/* Writes body in chunks of at most part octets and reads it back. */
static void there_and_back(const char *body, size_t size, size_t part)
{
    static const struct chunk_limits limits = { 16, 0, 0 };
    char *coded = malloc(size + (size / part + 2) * (CHUNK_HEAD_MAX + 2) + 5);
    size_t len = 0;
    REQUIRE(coded);
    for (size_t at = 0; at < size; at += part) {
        size_t n = size - at < part ? size - at : part;
        len += chunk_write_head(coded + len, n);
        memcpy(coded + len, body + at, n);
        memcpy(coded + len + n, CHUNK_TAIL, 2);
        len += n + 2;
    }
    memcpy(coded + len, CHUNK_END, 5);
    len += 5;
    struct outcome outcome = decode(coded, len, len, len, &limits);
    REQUIRE(outcome.rc == 1 && outcome.used == len && outcome.len == size);
    REQUIRE(memcmp(outcome.body, body, size) == 0);
    free(outcome.body);
    free(coded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct chunk_limits choices[] = { { 256, 4096, 32 }, { 8, 24, 2 }, { 3, 0, 0 } };
    if (size < 2)
        return 0;
    const struct chunk_limits *limits = &choices[data[0] % 3];
    const char *in = (const char *)data + 2;
    size_t len = size - 2;
    struct outcome whole = decode(in, len, len, 1, limits);
    struct outcome split = decode(in, len, len * data[1] / 255, len, limits);
    struct outcome bytewise = decode(in, len, 1, 1, limits);
    require_same(&whole, &split);
    require_same(&whole, &bytewise);
    there_and_back(in, len, (size_t)data[1] + 1);
    free(whole.body);
    free(split.body);
    free(bytewise.body);
    return 0;
}
