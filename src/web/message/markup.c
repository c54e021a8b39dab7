/* Escaping for HTML. A format is printed conversion by conversion, each with a copy of the
 * arguments that are left, and what it has printed is escaped where it stands. */
#include "web/message/markup.h"

#include "base/print.h"
#include "web/message/mistake.h"
#include "web/text/printing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A conversion of a format, with its NUL, is not longer than this. */
enum { MAX_CONVERSION = 64 };

/* The longest entity takes the place of one octet. */
enum { MAX_ENTITY = 6, FIRST_ROOM = 256 };

/* The text as far as it is made. */
struct markup {
    tepal_req *req;
    const struct caller *caller;
    char *data;
    size_t len, room;
    int error; /* of the program, that errno was: %m prints it */
};

static const char *entity_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static char *put_escaped(char *out, char c)
{
    const char *entity = entity_of(c);
    if (entity)
        return stpcpy(out, entity);
    *out = c;
    return out + 1;
}

/* Makes room for more octets, and a NUL. False when there is none: recorded. */
static bool reserve(struct markup *m, size_t more)
{
    if (more < m->room - m->len)
        return true;
    size_t room = m->room * 2 > m->len + more ? m->room * 2 : m->len + more + 1;
    char *data = more < SIZE_MAX / 4 ? arena_resize(&m->req->arena, m->data, m->room, room) : NULL;
    if (!data) {
        request_no_memory(m->req, more < SIZE_MAX / 4 ? room - m->room : more);
        return false;
    }
    m->data = data;
    m->room = room;
    return true;
}

static bool put(struct markup *m, const char *text, size_t len)
{
    if (!reserve(m, len))
        return false;
    memcpy(m->data + m->len, text, len);
    m->len += len;
    return true;
}

/* Escapes the last len octets, for whose entities there may be no room yet. */
static bool escape_last(struct markup *m, size_t len)
{
    size_t more = 0, from = m->len - len;
    for (size_t i = from; i < m->len; i++) {
        const char *entity = entity_of(m->data[i]);
        more += entity ? strlen(entity) - 1 : 0;
    }
    if (more == 0)
        return true;
    if (!reserve(m, more))
        return false;
    /* From behind, so that nothing is overwritten that is still to be read. */
    char *to = m->data + m->len + more;
    for (const char *at = m->data + m->len; at > m->data + from;) {
        const char *entity = entity_of(*--at);
        size_t n = entity ? strlen(entity) : 1;
        to -= n;
        memcpy(to, entity ? entity : at, n);
    }
    m->len += more;
    return true;
}

static bool put_text(struct markup *m, const char *text)
{
    size_t len = strlen(text);
    return put(m, text, len) && escape_last(m, len);
}

static bool fail(struct markup *m, int error, const char *conversion, const char *why)
{
    mistake(m->req, error, m->caller->call, "the conversion \"%s\" cannot be printed: %s",
            conversion, why);
    return false;
}

/* One conversion by itself, with the arguments that are left, and escaped. */
static bool __attribute__((format(printf, 2, 0)))
put_conversion(struct markup *m, const char *conversion, va_list args)
{
    va_list again;
    va_copy(again, args);
    errno = m->error;
    int n = print_vsnprintf(m->data + m->len, m->room - m->len, conversion, args);
    int error = errno;
    bool ok = n >= 0;
    if (!ok) {
        error = error > 0 ? error : EINVAL;
        fail(m, -error, conversion,
             error == EINVAL ? "a '%' that is meant is written %%" : tepal_code_text(-error));
    } else if ((size_t)n >= m->room - m->len) {
        ok = reserve(m, (size_t)n);
        if (ok) {
            errno = m->error;
            print_vsnprintf(m->data + m->len, m->room - m->len, conversion, again);
        }
    }
    va_end(again);
    if (!ok)
        return false;
    m->len += (size_t)n;
    return escape_last(m, (size_t)n);
}

/* The length of the conversion that begins here, with its '%'. */
static size_t conversion_length(const char *format)
{
    size_t len = 1 + strspn(format + 1, "#0- +'I123456789.*$hljztLqZw");
    if (format[len] == 'f' && format[len - 1] == 'w') /* %wf16d */
        len += 1 + strspn(format + len + 1, "123456789");
    return len + (format[len] != '\0');
}

/* Copies the conversion at this place of the format. Returns its length; 0 when it is none that can
 * be printed by itself. */
static size_t copy_conversion(struct markup *m, const char *format, char *conversion)
{
    size_t len = conversion_length(format);
    const char *why = NULL;
    if (len >= MAX_CONVERSION)
        why = "it is too long";
    else if (memchr(format, '$', len))
        why = "its argument is numbered";
    else if (format[len - 1] == 'n')
        why = "%n prints nothing";
    snprintf(conversion, MAX_CONVERSION, "%.*s", (int)(len < MAX_CONVERSION ? len : 0), format);
    if (!why)
        return len;
    if (len >= MAX_CONVERSION)
        snprintf(conversion, MAX_CONVERSION, "%.20s...", format);
    fail(m, -EINVAL, conversion, why);
    return 0;
}

/* Prints the conversion at this place of the format, and takes its arguments off. Returns its
 * length, or 0 when it cannot be printed. */
static size_t __attribute__((format(printf, 2, 0)))
print_conversion(struct markup *m, const char *format, va_list *args)
{
    char conversion[MAX_CONVERSION];
    size_t len = copy_conversion(m, format, conversion);
    if (len == 0)
        return 0;
    if (strcmp(conversion, "%s") == 0) {
        const char *text = va_arg(*args, const char *);
        if (!text)
            return m->req->error < 0 ? 0 : len;
        return put_text(m, text) ? len : 0;
    }
    va_list its_own;
    va_copy(its_own, *args);
    int found = printing_skip(conversion, args);
    bool ok = found == 0 && put_conversion(m, conversion, its_own);
    va_end(its_own);
    if (found > 0) /* a NULL */
        return m->req->error < 0 ? 0 : len;
    if (found < 0)
        fail(m, -EINVAL, conversion, "the type of its argument is not known");
    return ok ? len : 0;
}

static bool __attribute__((format(printf, 2, 0)))
print_all(struct markup *m, const char *format, va_list *args)
{
    while (*format) {
        size_t plain = strcspn(format, "%");
        if (!put(m, format, plain))
            return false;
        format += plain;
        size_t len = *format ? print_conversion(m, format, args) : 0;
        if (*format && len == 0)
            return false;
        format += len;
    }
    return true;
}

char *markup_vprintf(tepal_req *req, const struct caller *caller, size_t *len, const char *format,
                     va_list args)
{
    struct markup m = { .req = req, .caller = caller, .error = errno };
    if (request_refuses_format(req, caller->call, format))
        return NULL;
    va_list rest;
    va_copy(rest, args);
    bool ok = reserve(&m, strlen(format) + FIRST_ROOM) && print_all(&m, format, &rest);
    va_end(rest);
    if (!ok)
        return NULL;
    m.data[m.len] = '\0';
    *len = m.len;
    return m.data;
}

const char *tepal_html_escape(tepal_req *req, const char *text)
{
    if (!req || !text) {
        mistake_null(req, "tepal_html_escape", "the text");
        return NULL;
    }
    char *out = request_alloc_text(req, MAX_ENTITY * strlen(text) + 1), *p = out;
    for (; out && *text; text++)
        p = put_escaped(p, *text);
    if (out)
        *p = '\0';
    return out;
}
