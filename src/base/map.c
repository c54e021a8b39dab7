/* The hash map. Keys come from the program's own tables (paths, names), not from peers; entries are
 * never removed one by one. */
#include "base/map.h"

#include "base/mem.h"
#include "base/word.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static inline uint64_t mix(uint64_t h)
{
    h *= 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

static inline uint32_t hash_of(const char *key, size_t len)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ len;
    if (len <= WORD_MAX)
        return (uint32_t)(mix(h ^ word_of(key, len)) >> 16);
    h ^= word_at(key + len - WORD_MAX);
    for (; len > WORD_MAX; key += WORD_MAX, len -= WORD_MAX)
        h = mix(h ^ word_at(key));
    return (uint32_t)(h >> 16);
}

static inline bool same(const char *a, const char *b, size_t len)
{
    if (len <= WORD_MAX)
        return word_of(a, len) == word_of(b, len);
    size_t last = len - WORD_MAX;
    if (len <= 2 * (size_t)WORD_MAX)
        return word_at(a) == word_at(b) && word_at(a + last) == word_at(b + last);
    return memcmp(a, b, len) == 0;
}

/* The entry of the key, or the free one where it belongs. The table is not full. */
static inline struct map_entry *find(struct map_entry *entries, size_t size, const char *key,
                                     size_t len, uint32_t hash)
{
    for (size_t i = hash & (size - 1);; i = (i + 1) & (size - 1)) {
        struct map_entry *e = &entries[i];
        if (!e->value || (e->hash == hash && e->len == len && same(e->key, key, len)))
            return e;
    }
}

static int grow(struct map *map)
{
    size_t size = map->size ? map->size * 2 : 8;
    struct map_entry *entries = mem_zalloc(size * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    for (size_t i = 0; i < map->size; i++) {
        struct map_entry *e = &map->entries[i];
        if (e->value)
            *find(entries, size, e->key, e->len, e->hash) = *e;
    }
    mem_free(map->entries);
    map->entries = entries;
    map->size = size;
    return 0;
}

void map_clear(struct map *map)
{
    mem_free(map->entries);
    *map = (struct map){ 0 };
}

void *map_get(const struct map *map, const char *key, size_t len)
{
    if (map->used == 0)
        return NULL;
    return find(map->entries, map->size, key, len, hash_of(key, len))->value;
}

int map_reserve(struct map *map, size_t n)
{
    while ((map->used + n) * 2 > map->size) {
        int rc = grow(map);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int map_set(struct map *map, const char *key, size_t len, void *value)
{
    int rc = map_reserve(map, 1);
    if (rc < 0)
        return rc;
    uint32_t hash = hash_of(key, len);
    struct map_entry *e = find(map->entries, map->size, key, len, hash);
    if (!e->value)
        map->used++;
    *e = (struct map_entry){ .key = key, .len = len, .hash = hash, .value = value };
    return 0;
}
