/* The access log. The format is taken apart once; a line is made on the stack and written at
 * once. */
#include "web/access_log.h"

#include "async/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "web/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* One atom, or text between atoms. */
struct atom {
    char kind;        /* the letter; 'F' is %Tf; 0 is text */
    const char *text; /* the text, or what stands in braces */
    size_t len;
};

struct access_log {
    int fd;
    char *format; /* with a NUL behind each text in braces */
    struct atom *atoms;
    size_t n_atoms;
};

/* A line that is being made. What does not fit is left out. */
struct line {
    char text[ACCESS_LOG_LINE_MAX];
    size_t len;
};

static void add_atom(struct access_log *log, char kind, const char *text, size_t len)
{
    log->atoms[log->n_atoms++] = (struct atom){ .kind = kind, .text = text, .len = len };
}

/* Takes the atom at p, behind the percent sign. Returns what follows it, or NULL when it is
 * none. */
static char *parse_atom(struct access_log *log, char *p)
{
    if (p[0] == 'T' && p[1] == 'f') {
        add_atom(log, 'F', p, 0);
        return p + 2;
    }
    if (*p && strchr("%atPrsbOTD", *p)) {
        add_atom(log, *p, p, 0);
        return p + 1;
    }
    char *close = *p == '{' ? strchr(p, '}') : NULL;
    if (!close || !close[1] || !strchr("ioe", close[1]))
        return NULL;
    *close = '\0';
    add_atom(log, close[1], p + 1, (size_t)(close - p - 1));
    return close + 2;
}

struct access_log *access_log_new(const char *format, int fd)
{
    struct access_log *log = mem_zalloc(sizeof(*log));
    if (!log)
        return NULL;
    log->fd = fd;
    log->format = mem_strdup(format);
    log->atoms = mem_alloc((strlen(format) + 1) * sizeof(*log->atoms));
    if (!log->format || !log->atoms) {
        access_log_free(log);
        return NULL;
    }
    for (char *p = log->format; *p;) {
        size_t len = strcspn(p, "%");
        char *next = p[len] ? parse_atom(log, p + len + 1) : NULL;
        if (next) { /* the text before it comes first */
            struct atom atom = log->atoms[--log->n_atoms];
            if (len > 0)
                add_atom(log, 0, p, len);
            log->atoms[log->n_atoms++] = atom;
            p = next;
        } else {
            if (p[len])
                tepal_log(TEPAL_LOG_WARNING, "access_log_format: unknown atom at \"%s\"", p + len);
            len += p[len] != '\0';
            add_atom(log, 0, p, len);
            p += len;
        }
    }
    return log;
}

void access_log_free(struct access_log *log)
{
    if (!log)
        return;
    mem_free(log->format);
    mem_free(log->atoms);
    mem_free(log);
}

/* Text that may come from the client: control octets, quotes and backslashes are escaped, so that
 * neither a line nor a field can be forged. */
static void add_text(struct line *line, const char *text)
{
    if (!text)
        text = "-";
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = c >= 0x20 && c != 0x7f && c != '"' && c != '\\';
        if (line->len + 8 > sizeof(line->text))
            return;
        if (plain)
            line->text[line->len++] = (char)c;
        else if (c == '"' || c == '\\')
            line->len += (size_t)sprintf(line->text + line->len, "\\%c", c);
        else
            line->len += (size_t)sprintf(line->text + line->len, "\\x%02x", c);
    }
}

static void TEPAL_PRINTF(2, 3) add_format(struct line *line, const char *format, ...)
{
    char text[64];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    add_text(line, text);
}

static void add_raw(struct line *line, const char *text, size_t len)
{
    if (line->len + len + 8 > sizeof(line->text))
        return;
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void add_time(struct line *line, int64_t elapsed_us)
{
    char text[64];
    struct tm tm;
    time_t started = time(NULL) - (time_t)(elapsed_us / 1000000);
    localtime_r(&started, &tm);
    size_t n = strftime(text, sizeof(text), "[%d/%b/%Y:%H:%M:%S %z]", &tm);
    add_raw(line, text, n);
}

static void add_request_line(struct line *line, tepal_req *req)
{
    add_text(line, tepal_req_method(req));
    add_raw(line, " ", 1);
    add_text(line, tepal_req_target(req));
    add_format(line, " HTTP/1.%d", req->head.minor);
}

static void add_one(struct line *line, const struct atom *atom, tepal_req *req,
                    const tepal_res *res, int64_t elapsed_us)
{
    const char *remote;
    switch (atom->kind) {
    case 0:
        add_raw(line, atom->text, atom->len);
        break;
    case '%':
        add_raw(line, "%", 1);
        break;
    case 'a':
        remote = tepal_req_remote(req);
        add_text(line, *remote ? remote : NULL);
        break;
    case 't':
        add_time(line, elapsed_us);
        break;
    case 'P':
        add_format(line, "%ld", (long)getpid());
        break;
    case 'r':
        add_request_line(line, req);
        break;
    case 's':
        add_format(line, "%d", res->status);
        break;
    case 'b':
        add_format(line, "%llu", (unsigned long long)res->written);
        break;
    case 'O':
        add_format(line, "%llu", (unsigned long long)(res->written + res->head_len));
        break;
    case 'T':
        add_format(line, "%lld", (long long)((elapsed_us + 500000) / 1000000));
        break;
    case 'F':
        add_format(line, "%.6f", (double)elapsed_us / 1e6);
        break;
    case 'D':
        add_format(line, "%lld", (long long)elapsed_us);
        break;
    case 'i':
        add_text(line, tepal_req_header(req, atom->text));
        break;
    case 'o':
        add_text(line, tepal_res_get_header(res, atom->text));
        break;
    case 'e':
        add_text(line, getenv(atom->text));
        break;
    }
}

void access_log_write(struct access_log *log, tepal_req *req, const tepal_res *res,
                      int64_t start_us)
{
    struct line line;
    int64_t elapsed_us = loop_clock_us(req->connection->server->loop) - start_us;
    line.len = 0;
    for (size_t i = 0; i < log->n_atoms; i++)
        add_one(&line, &log->atoms[i], req, res, elapsed_us);
    line.text[line.len++] = '\n';
    /* A log that cannot be written must not stop the service. */
    ssize_t n;
    do
        n = write(log->fd, line.text, line.len);
    while (n < 0 && errno == EINTR);
}
