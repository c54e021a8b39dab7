/* The log: one line a call, escaped, to standard error or to the program's own function. */
#include "base/log.h"

#include "base/platform.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 4096 };

static enum tepal_log_level threshold = TEPAL_LOG_INFO;
static tepal_log_fn *log_fn;
static void *log_arg;

void tepal_log_set_level(enum tepal_log_level level)
{
    threshold = level;
}

void tepal_log_set(tepal_log_fn *fn, void *arg)
{
    log_fn = fn;
    log_arg = arg;
}

size_t log_escape(char *out, size_t size, const char *in, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)in[i];
        bool plain = c >= 0x20 && c != 0x7f;
        if (n + (plain ? 1 : 4) >= size)
            break;
        if (plain) {
            out[n++] = (char)c;
        } else {
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    out[n] = '\0';
    return n;
}

static void write_stderr(enum tepal_log_level level, const char *text)
{
    static const char *const names[] = { "?", "debug", "info", "warning", "error" };
    char line[LOG_LINE_MAX + 64], stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
    int n = snprintf(line, sizeof(line), "%s %s: %s\n", stamp, names[level], text);
    ssize_t done;
    do
        done = write(STDERR_FILENO, line, (size_t)n);
    while (done < 0 && errno == EINTR);
}

void tepal_log(enum tepal_log_level level, const char *format, ...)
{
    if (level < threshold || level >= TEPAL_LOG_NONE)
        return;
    char raw[LOG_LINE_MAX], text[LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(raw, sizeof(raw), format, args);
    va_end(args);
    if (n < 0)
        return;
    log_escape(text, sizeof(text), raw, (size_t)n < sizeof(raw) ? (size_t)n : sizeof(raw) - 1);
    if (log_fn)
        log_fn(log_arg, level, text);
    else
        write_stderr(level, text);
}

void misuse(const char *call, const char *what)
{
    fprintf(stderr, "tepal: %s: %s\n", call, what);
    abort();
}
