/* The to-do items, at most 1000 of them, kept in an SQLite file.
 *
 * All calls suspend, store_close() too: SQLite blocks, so its work is done in a thread of the pool,
 * while the loop goes on. They return 0 or a negative error: -ENOENT when there is no such item,
 * -EDQUOT when the list is full and -ENOSPC when the disk is, -EBUSY when another program keeps the
 * file locked, -ETIMEDOUT when others had their turn for too long, -ENOMEM or -EIO.
 *
 * An item is {"id": 1, "title": "Buy milk", "done": false, "created": "2026-11-22T13:00:00Z"}; the
 * caller gets a reference of its own. On failure the pointer is NULL. */
#ifndef STORE_H
#define STORE_H

#include <stdint.h>

#include <jansson.h>

struct store;

/* Opens the file; creates it, and the table in it, when they are not there. -EINVAL: no path of a
 * file. */
int store_open(const char *path, struct store **store);

/* Closes it. NULL is allowed. */
void store_close(struct store *store);

/* All items, the oldest first, as an array; one item. */
int store_list(struct store *store, json_t **items);
int store_get(struct store *store, int64_t id, json_t **item);

/* Adds an item that is not done yet. */
int store_add(struct store *store, const char *title, json_t **item);

/* What to change in an item: title NULL leaves the title as it is, done -1 the mark. */
struct store_change {
    const char *title;
    int done; /* 0, 1, or -1 */
};

int store_change(struct store *store, int64_t id, const struct store_change *change, json_t **item);

/* Removes an item; removes all that are done, and gives those. */
int store_remove(struct store *store, int64_t id);
int store_remove_done(struct store *store, json_t **items);

#endif
