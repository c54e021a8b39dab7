/* The writer behind tepal_jsonf(): one walk over the format, octets out. */
#include "web/json_format.h"

#include "base/arena.h"
#include "base/log.h"
#include "http/h1_write.h"
#include "web/request.h"
#include "web/utf8.h"

#include <tepal/res.h>

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NESTING = 64, FIRST_ROOM = 256 };

struct writer {
    struct arena *arena;
    char *data;
    size_t len, room;
    int error;
    const char *at;         /* the format */
    char open[MAX_NESTING]; /* what has been opened: '{' or '[' */
    size_t depth;
    size_t n[MAX_NESTING + 1]; /* values so far at each depth; in an object, keys count too */
};

static _Noreturn void bad_format(void)
{
    misuse("tepal_jsonf", "bad format");
}

static void fail(struct writer *w, int error)
{
    if (w->error == 0)
        w->error = error;
}

static NO_INLINE bool grow(struct writer *w, size_t more)
{
    size_t room = w->room * 2 > w->len + more ? w->room * 2 : w->len + more;
    char *data = arena_resize(w->arena, w->data, w->room, room);
    if (!data) {
        w->error = -ENOMEM;
        w->len = room;
        return false;
    }
    w->data = data;
    w->room = room;
    return true;
}

/* Makes room for more octets; false when there is none. */
static inline bool reserve(struct writer *w, size_t more)
{
    return LIKELY(w->error == 0) && (LIKELY(w->len + more <= w->room) || grow(w, more));
}

static inline void put_char(struct writer *w, char c)
{
    if (reserve(w, 1))
        w->data[w->len++] = c;
}

static void put(struct writer *w, const char *data, size_t len)
{
    if (!reserve(w, len))
        return;
    memcpy(w->data + w->len, data, len);
    w->len += len;
}

static void put_text(struct writer *w, const char *text)
{
    put(w, text, strlen(text));
}

/* Writes an ASCII octet that must not stand for itself in a string (RFC 8259 section 7). */
static char *put_escaped(char *p, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    const char *letter = c ? strchr("\"\"\\\\\nn\rr\tt\bb\ff", c) : NULL;
    *p++ = '\\';
    if (letter) {
        *p++ = letter[1];
        return p;
    }
    p = h1_write_bytes(p, "u00", 3);
    *p++ = hex[c >> 4];
    *p++ = hex[c & 15];
    return p;
}

static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void put_string(struct writer *w, const char *text, size_t len)
{
    if (!reserve(w, 6 * len + 2))
        return;
    char *p = w->data + w->len;
    const char *end = text + len;
    *p++ = '"';
    while (text < end) {
        unsigned char c = (unsigned char)*text;
        if (LIKELY(is_plain(c))) {
            *p++ = *text++;
        } else if (c < 0x80) {
            p = put_escaped(p, c);
            text++;
        } else {
            size_t n = utf8_sequence(text, (size_t)(end - text));
            if (n == 0) {
                w->error = -EILSEQ;
                return;
            }
            p = h1_write_bytes(p, text, n);
            text += n;
        }
    }
    *p++ = '"';
    w->len = (size_t)(p - w->data);
}

static void put_integer(struct writer *w, long long value)
{
    char text[24], *p = text;
    if (value < 0)
        *p++ = '-';
    p = h1_write_number(p, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    put(w, text, (size_t)(p - text));
}

static void put_real(struct writer *w, double value)
{
    char text[40];
    if (!isfinite(value)) {
        fail(w, -EDOM);
        return;
    }
    int n = snprintf(text, sizeof(text), "%.17g", value);
    /* In another locale the decimal point may be something else, of more than one octet. */
    const char *point = localeconv()->decimal_point;
    size_t point_len = strlen(point);
    char *found = strcmp(point, ".") != 0 ? strstr(text, point) : NULL;
    if (found) {
        *found = '.';
        memmove(found + 1, found + point_len, strlen(found + point_len) + 1);
        n -= (int)point_len - 1;
    }
    put(w, text, (size_t)n);
    if (!strpbrk(text, ".e"))
        put_text(w, ".0");
}

static void put_value(struct writer *w, json_t *value, bool steal)
{
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    size_t len = value ? json_dumpb(value, NULL, 0, flags) : 0;
    if (len == 0)
        fail(w, -EINVAL);
    else if (reserve(w, len))
        w->len += json_dumpb(value, w->data + w->len, len, flags);
    if (steal)
        json_decref(value);
}

/* Writes what stands between the last thing and the next one. */
static void put_separator(struct writer *w)
{
    size_t n = w->n[w->depth]++;
    if (w->depth == 0) {
        if (n > 0)
            bad_format();
    } else if (w->open[w->depth - 1] == '{' && n % 2 == 1) {
        put_char(w, ':');
    } else if (n > 0) {
        put_char(w, ',');
    }
}

static bool wants_key(const struct writer *w)
{
    return w->depth > 0 && w->open[w->depth - 1] == '{' && w->n[w->depth] % 2 == 0;
}

static void open_value(struct writer *w, char c)
{
    if (wants_key(w))
        bad_format();
    put_separator(w);
    if (w->depth == MAX_NESTING)
        bad_format();
    w->open[w->depth++] = c;
    w->n[w->depth] = 0;
    put_char(w, c);
}

static void close_value(struct writer *w, char c)
{
    if (w->depth == 0 || w->open[w->depth - 1] != (c == '}' ? '{' : '['))
        bad_format();
    if (c == '}' && w->n[w->depth] % 2 == 1)
        bad_format();
    w->depth--;
    put_char(w, c);
}

/* A string with what may follow its s: '?' (may be NULL), '#' (an int length), '%' (a size_t). */
static void string_value(struct writer *w, va_list *args)
{
    const char *text = va_arg(*args, const char *);
    bool nullable = *w->at == '?';
    w->at += nullable;
    size_t len = 0;
    if (*w->at == '#')
        len = (size_t)va_arg(*args, int);
    else if (*w->at == '%')
        len = va_arg(*args, size_t);
    else if (text)
        len = strlen(text);
    w->at += *w->at == '#' || *w->at == '%';
    if (text)
        put_string(w, text, len);
    else if (nullable)
        put_text(w, "null");
    else
        fail(w, -EINVAL);
}

static void scalar(struct writer *w, char c, va_list *args)
{
    if (wants_key(w) && c != 's')
        bad_format();
    put_separator(w);
    switch (c) {
    case 's':
        string_value(w, args);
        break;
    case 'S':
        put_text(w, va_arg(*args, const char *));
        break;
    case 'i':
        put_integer(w, va_arg(*args, int));
        break;
    case 'I':
        put_integer(w, va_arg(*args, json_int_t));
        break;
    case 'f':
        put_real(w, va_arg(*args, double));
        break;
    case 'b':
        put_text(w, va_arg(*args, int) ? "true" : "false");
        break;
    case 'n':
        put_text(w, "null");
        break;
    case 'o':
    case 'O':
        put_value(w, va_arg(*args, json_t *), c == 'o');
        break;
    default:
        bad_format();
    }
}

int json_format(struct arena *arena, tepal_bytes *out, const char *format, va_list args)
{
    struct writer w; /* not zeroed as a whole: the counters are set when they are needed */
    va_list rest;
    w.arena = arena;
    w.at = format;
    w.len = w.depth = w.n[0] = 0;
    w.error = 0;
    w.room = FIRST_ROOM;
    w.data = arena_alloc(arena, FIRST_ROOM);
    /* A failure is told at the end: values that are given away must be released in any case. */
    if (UNLIKELY(!w.data)) {
        w.error = -ENOMEM;
        w.len = FIRST_ROOM;
    }
    va_copy(rest, args);
    while (*w.at) {
        char c = *w.at++;
        if (c == '{' || c == '[')
            open_value(&w, c);
        else if (c == '}' || c == ']')
            close_value(&w, c);
        else if (c != ' ' && c != ':' && c != ',' && c != '\n' && c != '\t')
            scalar(&w, c, &rest);
    }
    va_end(rest);
    if (w.depth > 0 || w.n[0] != 1)
        bad_format();
    *out = (tepal_bytes){ .data = w.data, .len = w.len };
    return w.error;
}

tepal_res *tepal_jsonf(tepal_req *req, int status, const char *format, ...)
{
    tepal_bytes text;
    va_list args;
    va_start(args, format);
    int rc = json_format(&req->arena, &text, format, args);
    va_end(args);
    if (rc == -ENOMEM)
        rc = request_no_memory(req, text.len);
    tepal_res *res = rc < 0 ? NULL : response_new(req, status);
    if (!res) {
        request_fail(req, rc);
        return NULL;
    }
    response_set_type(res, "application/json");
    res->body = text.data;
    res->len = text.len;
    return res;
}
