/* Fuzzes what stands around the JSON parser: what it will take is never thought too little, and
 * what is written of a value reads back as the same. */
#include "fuzz.h"

#include "../unit/web/counting.h"

#include "base/block.h"
#include "web/json/scan.h"
#include "web/json/writer.h"

enum { MAX_DEPTH = 100, ROOM = 4096 };

static json_t *parse(const char *text, size_t len)
{
    return json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
}

static void write_again(const json_t *value)
{
    struct block_pool pool;
    struct arena arena;
    struct json_writer w;
    block_pool_init(&pool, ROOM, 1);
    REQUIRE(arena_init(&arena, &pool, SIZE_MAX / 2) == 0);
    json_writer_init(&w, &arena);
    json_put_value(&w, value);
    REQUIRE(w.error == 0);
    json_t *again = parse(w.data, w.len);
    REQUIRE(json_equal(value, again));
    json_decref(again);
    arena_clear(&arena);
    block_pool_clear(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_scan scan, other;
    char *text = fuzz_copy(data, size);
    json_set_alloc_funcs(counting_alloc, counting_free);
    json_scan_init(&scan);
    json_scan_feed(&scan, text, size);
    json_scan_init(&other);
    for (size_t i = 0; i < size; i++)
        json_scan_feed(&other, text + i, 1);
    REQUIRE(scan.memory == other.memory && scan.max_depth == other.max_depth);
    REQUIRE(json_scan_passing(&scan) == json_scan_passing(&other));
    if (!scan.too_deep && scan.max_depth <= MAX_DEPTH) {
        live = peak = 0;
        json_t *value = parse(text, size);
        REQUIRE(live <= scan.memory);
        REQUIRE(peak <= scan.memory + json_scan_passing(&scan));
        if (value)
            write_again(value);
        json_decref(value);
    }
    free(text);
    return 0;
}
