/* A hash map from octet strings to pointers; keys are not copied and must outlive their entry.
 *
 * Made for tables that are filled at the start and looked up on every request.
 */
#ifndef TEPAL_BASE_MAP_H
#define TEPAL_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_entry {
    const char *key;
    size_t len;
    uint32_t hash;
    void *value; /* never NULL in an entry that is used */
};

struct map {
    struct map_entry *entries; /* open addressing, linear probing */
    size_t size, used;         /* size is 0 or a power of two */
};

/* Frees the table, not the values; the map is empty then. A zeroed struct is an empty map. */
void map_clear(struct map *map);

/* The value of the key, or NULL. */
void *map_get(const struct map *map, const char *key, size_t len);

/* Sets the value (not NULL) of the key, replacing an earlier one. Returns 0 or -ENOMEM. */
int map_set(struct map *map, const char *key, size_t len, void *value);

/* Makes room for n keys more, so that setting them cannot fail. Returns 0 or -ENOMEM. */
int map_reserve(struct map *map, size_t n);

#endif
