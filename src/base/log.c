/* The log: one line a call, escaped, to standard error or to the program's own function. */
#include "base/log.h"

#include "base/sink.h"
#include "base/stamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_LINE_MAX = 4096, HEAD_MAX = 64 };

static tepal_log_level threshold = TEPAL_LOG_INFO;
static tepal_log_fn *log_fn;
static void *log_arg;

void tepal_log_set_level(tepal_log_level level)
{
    threshold = level;
}

void tepal_log_set_fn(tepal_log_fn *fn, const void *arg)
{
    log_fn = fn;
    log_arg = (void *)arg;
}

void tepal_log_set_max_buffer(size_t octets)
{
    sink_set_max(octets);
}

/* --- Escaping --------------------------------------------------------------------------------- */

/* The character at in, if it is UTF-8 of two and more octets: its length. 0 if it is not. */
static size_t take_utf8(const unsigned char *in, size_t len, uint32_t *character)
{
    size_t n = in[0] >= 0xc2 && in[0] < 0xe0   ? 2
               : in[0] >= 0xe0 && in[0] < 0xf0 ? 3
               : in[0] >= 0xf0 && in[0] < 0xf5 ? 4
                                               : 0;
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (n == 0 || n > len)
        return 0;
    uint32_t c = in[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((in[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (in[i] & 0x3f);
    }
    *character = c;
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

/* Whether a terminal or a viewer takes the character for a command or a line end: the controls of
 * ISO 6429, the separators of lines and paragraphs, and what turns the direction of writing. */
static bool is_control(uint32_t c)
{
    return c < 0xa0 || c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

/* How many octets at in may stand in a line as they are. 0: the first must be escaped. */
static size_t plain_octets(const char *in, size_t len)
{
    unsigned char first = (unsigned char)*in;
    if (first < 0x80)
        return first >= 0x20 && first != 0x7f;
    uint32_t character;
    size_t n = take_utf8((const unsigned char *)in, len, &character);
    return n > 0 && is_control(character) ? 0 : n;
}

size_t log_escape(char *out, size_t size, const char *in, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        size_t plain = plain_octets(in + i, len - i);
        if (n + (plain ? plain : 4) >= size)
            break;
        if (plain > 0) {
            memcpy(out + n, in + i, plain);
            n += plain;
            i += plain;
        } else {
            unsigned char c = (unsigned char)in[i++];
            const char escape[] = { '\\', 'x', hex[c >> 4], hex[c & 15] };
            memcpy(out + n, escape, sizeof(escape));
            n += sizeof(escape);
        }
    }
    out[n] = '\0';
    return n;
}

/* --- Lines ------------------------------------------------------------------------------------ */

static size_t write_head(char *out, tepal_log_level level)
{
    static const char *const names[] = { "?", " debug: ", " info: ", " warning: ", " error: " };
    size_t len = strlen(names[level]);
    stamp_now(out);
    memcpy(out + STAMP_LEN, names[level], len);
    return STAMP_LEN + len;
}

static bool is_logged(tepal_log_level level)
{
    return level >= threshold && level >= TEPAL_LOG_DEBUG && level < TEPAL_LOG_NONE;
}

static void log_line(tepal_log_level level, const char *text, size_t len)
{
    char line[HEAD_MAX + LOG_LINE_MAX];
    size_t head = log_fn ? 0 : write_head(line, level);
    len = log_escape(line + head, LOG_LINE_MAX, text, len);
    if (log_fn) {
        log_fn(level, line, log_arg);
        return;
    }
    line[head + len] = '\n';
    sink_write(sink_of_errors(), line, head + len + 1);
}

void tepal_log(tepal_log_level level, const char *text)
{
    if (is_logged(level))
        log_line(level, text ? text : "tepal_log: the text is NULL", text ? strlen(text) : 27);
}

void tepal_logf(tepal_log_level level, const char *format, ...)
{
    char text[LOG_LINE_MAX];
    if (!is_logged(level))
        return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format ? format : "tepal_logf: the format is NULL", args);
    va_end(args);
    if (n < 0) /* what cannot be printed: the format tells at least where it is said */
        n = snprintf(text, sizeof(text), "%s", format);
    log_line(level, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

void misuse(const char *call, const char *what)
{
    char text[1024];
    int n = snprintf(text, sizeof(text), "tepal: %s: %s\n", call, what);
    sink_last_words(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
    abort();
}
