/* JSON text that is written into an arena, octet by octet; the first error stops it. */
#ifndef TEPAL_WEB_JSON_WRITER_H
#define TEPAL_WEB_JSON_WRITER_H

#include "base/arena.h"
#include "base/platform.h"

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How deep a json_t may be nested: deeper ones are in themselves, or a mistake. */
enum { JSON_WRITER_MAX_DEPTH = 2048 };

struct json_writer {
    struct arena *arena;
    char *data;
    size_t len, room; /* after -ENOMEM, len is what the arena did not have */
    int error;        /* -ENOMEM, -EILSEQ, -EDOM or -EINVAL; nothing is written after it */
};

/* A writer with the usual room. The other members of a struct around it need no zeroing. */
void json_writer_init(struct json_writer *w, struct arena *arena);

/* Stops the writer, unless it has stopped. */
void json_writer_fail(struct json_writer *w, int error);

/* Makes room for more octets, of which there is none. Returns false when it fails. */
bool json_writer_grow(struct json_writer *w, size_t more);

/* Makes room for more octets; false when there is none. */
static inline bool json_writer_reserve(struct json_writer *w, size_t more)
{
    return LIKELY(w->error == 0) && (LIKELY(more <= w->room - w->len) || json_writer_grow(w, more));
}

/* One octet, and octets, that are JSON already. */
static inline void json_put_char(struct json_writer *w, char c)
{
    if (json_writer_reserve(w, 1))
        w->data[w->len++] = c;
}

void json_put(struct json_writer *w, const char *data, size_t len);

/* A string. -EILSEQ when it is no UTF-8. */
void json_put_string(struct json_writer *w, const char *text, size_t len);

void json_put_integer(struct json_writer *w, long long value);

/* The shortest text that reads back as the same real, and as a real: 0.1, 1.0, 1e22, -0.0. -EDOM
 * when it is not finite. */
void json_put_real(struct json_writer *w, double value);

/* A value with all that is in it. -EINVAL for NULL, and for one that is nested too deep. */
void json_put_value(struct json_writer *w, const json_t *value);

#endif
