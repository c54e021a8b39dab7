/* JSON written straight from a format: see tepal_jsonf() in tepal/res.h. */
#ifndef TEPAL_WEB_JSON_FORMAT_H
#define TEPAL_WEB_JSON_FORMAT_H

#include <tepal/base.h>

#include <stdarg.h>

struct arena;

/* Writes the JSON to the arena. Returns 0; -EILSEQ for a string that is no UTF-8 text; -EDOM for a
 * real that is no number; -EINVAL for a json_t that cannot be written; -ENOMEM when the arena had
 * no out->len octets. Values that the format takes over are released in any case. */
int json_format(struct arena *arena, tepal_bytes *out, const char *format, va_list args);

#endif
