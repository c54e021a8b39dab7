/* The primitives of writing JSON (RFC 8259): no recursion, no locale, one walk. */
#include "web/json/writer.h"

#include "base/mem.h"
#include "base/put.h"
#include "web/text/utf8.h"

#include <errno.h>
#include <langinfo.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Octets of a string that room is made for at a time: each may become six. */
enum { FIRST_ROOM = 256, STRING_STEP = 1024, ESCAPED = 6 };

void json_writer_init(struct json_writer *w, struct arena *arena)
{
    w->arena = arena;
    w->len = 0;
    w->error = 0;
    w->room = FIRST_ROOM;
    w->data = arena_alloc(arena, FIRST_ROOM);
    if (UNLIKELY(!w->data)) {
        w->error = -ENOMEM;
        w->len = FIRST_ROOM;
    }
}

void json_writer_fail(struct json_writer *w, int error)
{
    if (w->error == 0)
        w->error = error;
}

NO_INLINE bool json_writer_grow(struct json_writer *w, size_t more)
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

void json_put(struct json_writer *w, const char *data, size_t len)
{
    if (!json_writer_reserve(w, len))
        return;
    memcpy(w->data + w->len, data, len);
    w->len += len;
}

/* --- Strings ---------------------------------------------------------------------------------- */

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
    p = put_bytes(p, "u00", 3);
    *p++ = hex[c >> 4];
    *p++ = hex[c & 15];
    return p;
}

static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* The same of eight octets at once. */
static inline bool are_plain(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
    uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
    uint64_t bad = (word - ones * 0x20) | (quote - ones) | (slash - ones) | word;
    return (bad & high) == 0;
}

static inline uint64_t load_word(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof(word));
    return word;
}

/* Copies a short text of 4 to 16 octets, as keys are, if it is plain: by its first and its last
 * words, which may overlap. */
static inline bool copy_short(char *p, const char *text, size_t len)
{
    if (len >= 8) {
        uint64_t first = load_word(text), last = load_word(text + len - 8);
        memcpy(p, &first, sizeof(first));
        memcpy(p + len - 8, &last, sizeof(last));
        return are_plain(first) && are_plain(last);
    }
    uint32_t first, last;
    memcpy(&first, text, sizeof(first));
    memcpy(&last, text + len - 4, sizeof(last));
    memcpy(p, &first, sizeof(first));
    memcpy(p + len - 4, &last, sizeof(last));
    return are_plain((uint64_t)first << 32 | last);
}

/* Writes a character that is not plain. Returns NULL when it is none. */
static NO_INLINE char *put_other(char *p, const char **text, const char *end)
{
    unsigned char c = (unsigned char)**text;
    if (c < 0x80) {
        ++*text;
        return put_escaped(p, c);
    }
    size_t n = utf8_sequence(*text, (size_t)(end - *text));
    if (n == 0)
        return NULL;
    p = put_bytes(p, *text, n);
    *text += n;
    return p;
}

/* Writes the characters that begin before stop; the last one may end behind it, but not behind end.
 * Returns NULL when one is none, and leaves *text behind them. */
static inline char *put_characters(char *p, const char **text, const char *stop, const char *end)
{
    const char *at = *text;
    while (true) {
        for (; stop - at >= 8 && are_plain(load_word(at)); p += 8, at += 8)
            memcpy(p, at, 8);
        while (at < stop && is_plain((unsigned char)*at))
            *p++ = *at++;
        if (at >= stop)
            break;
        p = put_other(p, &at, end);
        if (!p)
            return NULL;
    }
    *text = at;
    return p;
}

/* In steps, so that room is made for what it is and not for what it might become. */
static NO_INLINE void put_long_string(struct json_writer *w, const char *text, const char *end)
{
    json_put_char(w, '"');
    while (text < end) {
        const char *stop = end - text < STRING_STEP ? end : text + STRING_STEP;
        if (!json_writer_reserve(w, ESCAPED * STRING_STEP))
            return;
        char *p = put_characters(w->data + w->len, &text, stop, end);
        if (!p) {
            w->error = -EILSEQ;
            return;
        }
        w->len = (size_t)(p - w->data);
    }
    json_put_char(w, '"');
}

void json_put_string(struct json_writer *w, const char *text, size_t len)
{
    const char *end = text + len;
    if (UNLIKELY(len > STRING_STEP)) {
        put_long_string(w, text, end);
        return;
    }
    if (!json_writer_reserve(w, ESCAPED * len + 2))
        return;
    char *p = w->data + w->len;
    *p++ = '"';
    bool copied = len - 4 <= 12 && copy_short(p, text, len);
    p = copied ? p + len : put_characters(p, &text, end, end);
    if (UNLIKELY(!p)) {
        w->error = -EILSEQ;
        return;
    }
    *p++ = '"';
    w->len = (size_t)(p - w->data);
}

/* --- Numbers ---------------------------------------------------------------------------------- */

void json_put_integer(struct json_writer *w, long long value)
{
    char text[24], *p = text;
    if (value < 0)
        *p++ = '-';
    p = put_number(p, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    json_put(w, text, (size_t)(p - text));
}

/* Writes a real that is a decimal of at most 15 digits with at most 6 behind the point, as those
 * that people make are. Returns its length, or 0 when it is none. No other decimal of 15 digits
 * reads back as the same real, and the division is exact to the last bit: so it is the text. */
static size_t write_decimal(char *text, double value)
{
    static const double powers[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6 };
    double size = fabs(value);
    for (unsigned n = 0; n < sizeof(powers) / sizeof(*powers) && size * powers[n] < 1e15; n++) {
        uint64_t digits = (uint64_t)(size * powers[n] + 0.5), unit = (uint64_t)powers[n];
        if ((double)digits / powers[n] != size)
            continue;
        char *p = text;
        if (signbit(value))
            *p++ = '-';
        p = put_number(p, digits / unit);
        *p++ = '.';
        if (n == 0)
            *p++ = '0';
        for (uint64_t rest = digits % unit; n-- > 0; rest %= unit) {
            unit /= 10;
            *p++ = (char)('0' + rest / unit);
        }
        return (size_t)(p - text);
    }
    return 0;
}

/* Puts text in the form of all: a point that is a point, and an exponent without '+' and zeros in
 * front. */
static void tidy_real(char *text)
{
    /* In another locale the decimal point may be something else, of more than one octet. */
    const char *point = nl_langinfo(RADIXCHAR);
    size_t point_len = strlen(point);
    char *found = point_len > 0 ? strstr(text, point) : NULL;
    if (found) {
        *found = '.';
        memmove(found + 1, found + point_len, strlen(found + point_len) + 1);
    }
    char *exponent = strchr(text, 'e');
    if (!exponent)
        return;
    char *to = exponent + 1 + (exponent[1] == '-'), *from = exponent + 2;
    from += strspn(from, "0");
    memmove(to, from, strlen(from) + 1);
}

static bool reads_back(const char *text, double value)
{
    return strtod(text, NULL) == value;
}

/* The decimal of 16 digits that is next to the nearest one, away from zero: below a power of two
 * the reals lie closer together than above, so that this one may be the better. */
static bool write_next(char *text, size_t size, double value)
{
    snprintf(text, size, "%#.16g", value);
    char *digit = text + strcspn(text, "e") - 1;
    for (; digit > text && (*digit < '0' || *digit > '8'); digit--)
        if (*digit == '9')
            *digit = '0'; /* and one to carry */
    ++*digit;
    return reads_back(text, value);
}

/* Any other real. A decimal of 15 digits or fewer that reads back as this real is the one that
 * 15 digits of it give; a subnormal real has fewer digits of its own than that. */
static size_t write_shortest(char *text, size_t size, double value)
{
    int precision = fabs(value) < 0x1p-1022 ? 1 : 15;
    do
        snprintf(text, size, "%.*g", precision, value);
    while (!reads_back(text, value) && ++precision < 17);
    if (precision == 17 && !write_next(text, size, value))
        snprintf(text, size, "%.17g", value);
    tidy_real(text);
    if (!strpbrk(text, ".e"))
        strcat(text, ".0");
    return strlen(text);
}

void json_put_real(struct json_writer *w, double value)
{
    char text[40];
    if (!isfinite(value)) {
        json_writer_fail(w, -EDOM);
        return;
    }
    size_t len = value == 0 || fabs(value) >= 1e-4 ? write_decimal(text, value) : 0;
    if (len == 0)
        len = write_shortest(text, sizeof(text), value);
    json_put(w, text, len);
}

/* --- Values ----------------------------------------------------------------------------------- */

/* A container that is being written. */
struct level {
    const json_t *value;
    void *member; /* of an object: the next one */
    size_t index; /* of the next element */
};

enum { FIRST_LEVELS = 16 };

struct walk {
    struct json_writer *w;
    struct level *levels, few[FIRST_LEVELS];
    size_t depth, room;
};

static int grow_levels(struct walk *walk)
{
    size_t room = walk->room * 2;
    if (walk->depth >= JSON_WRITER_MAX_DEPTH)
        return -EINVAL;
    struct level *old = walk->levels == walk->few ? NULL : walk->levels;
    struct level *levels = mem_resize(old, room * sizeof(*levels));
    if (!levels)
        return -ENOMEM;
    if (!old)
        memcpy(levels, walk->few, sizeof(walk->few));
    walk->levels = levels;
    walk->room = room;
    return 0;
}

static void enter(struct walk *walk, const json_t *value)
{
    int rc = walk->depth == walk->room ? grow_levels(walk) : 0;
    if (rc < 0) {
        json_writer_fail(walk->w, rc);
        return;
    }
    bool object = json_is_object(value);
    walk->levels[walk->depth++] = (struct level){
        .value = value,
        .member = object ? json_object_iter((json_t *)(uintptr_t)value) : NULL,
    };
    json_put_char(walk->w, object ? '{' : '[');
}

static size_t key_len_of(void *member)
{
#if JANSSON_VERSION_HEX >= 0x020e00
    return json_object_iter_key_len(member);
#else
    return strlen(json_object_iter_key(member)); /* it knows no key with a NUL */
#endif
}

/* The next value of the container, with what stands before it; NULL at its end. */
static const json_t *next_of(struct json_writer *w, struct level *level)
{
    bool object = json_is_object(level->value);
    if (object ? !level->member : level->index == json_array_size(level->value)) {
        json_put_char(w, object ? '}' : ']');
        return NULL;
    }
    if (level->index++ > 0)
        json_put_char(w, ',');
    if (!object)
        return json_array_get(level->value, level->index - 1);
    void *member = level->member;
    json_put_string(w, json_object_iter_key(member), key_len_of(member));
    json_put_char(w, ':');
    level->member = json_object_iter_next((json_t *)(uintptr_t)level->value, member);
    return json_object_iter_value(member);
}

static void put_one(struct walk *walk, const json_t *value)
{
    struct json_writer *w = walk->w;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        enter(walk, value);
        break;
    case JSON_STRING:
        json_put_string(w, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        json_put_integer(w, json_integer_value(value));
        break;
    case JSON_REAL:
        json_put_real(w, json_real_value(value));
        break;
    case JSON_TRUE:
        json_put(w, "true", 4);
        break;
    case JSON_FALSE:
        json_put(w, "false", 5);
        break;
    case JSON_NULL:
        json_put(w, "null", 4);
        break;
    }
}

void json_put_value(struct json_writer *w, const json_t *value)
{
    if (!value) {
        json_writer_fail(w, -EINVAL);
        return;
    }
    struct walk walk = { .w = w, .room = FIRST_LEVELS };
    walk.levels = walk.few;
    put_one(&walk, value);
    while (walk.depth > 0 && w->error == 0) {
        const json_t *next = next_of(w, &walk.levels[walk.depth - 1]);
        if (next)
            put_one(&walk, next);
        else
            walk.depth--;
    }
    if (walk.levels != walk.few)
        mem_free(walk.levels);
}
