/* The access log. The format is taken apart once; a line is made on the stack, and goes out with
 * others (base/sink.c). It is for machines to read: nothing in it depends on the program's locale.
 */
#include "web/server/access_log.h"

#include "async/loop/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sink.h"
#include "http/octet.h"
#include "net/addr.h"
#include "web/message/request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
    struct sink *sink;
    time_t second; /* whose text stamp is */
    size_t stamp_len;
    char stamp[40];
    char *format; /* with a NUL behind each text in braces */
    struct atom *atoms;
    size_t n_atoms;
};

/* A line that is being made. What does not fit is left out. */
struct line {
    char text[ACCESS_LOG_LINE_MAX];
    size_t len;
};

/* What a line is about. */
struct entry {
    const struct addr_peer *peer;
    tepal_req *req;                /* NULL: the answer was made without one */
    const tepal_res *res;          /* the same */
    const struct message *message; /* NULL: nothing has come of one */
    tepal_bytes unread;            /* as in struct exchange */
    int status;
    int rc;             /* of response_send() */
    uint64_t body, all; /* octets */
    int64_t elapsed_us;
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
    if (*p && strchr("%atPrsbOTDX", *p)) {
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

static void parse_format(struct access_log *log)
{
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
                tepal_logf(TEPAL_LOG_WARNING, "access_log.format: unknown atom at \"%s\"", p + len);
            len += p[len] != '\0';
            add_atom(log, 0, p, len);
            p += len;
        }
    }
}

int access_log_new(struct access_log **out, const char *format, int fd)
{
    struct access_log *log = mem_zalloc(sizeof(*log));
    if (!log)
        return -ENOMEM;
    log->second = -1;
    log->format = mem_strdup(format);
    log->atoms = mem_alloc((strlen(format) + 1) * sizeof(*log->atoms));
    int rc = log->format && log->atoms ? sink_open(&log->sink, fd) : -ENOMEM;
    if (rc < 0) {
        access_log_free(log);
        return rc;
    }
    if (fcntl(fd, F_GETFD) < 0)
        tepal_logf(TEPAL_LOG_WARNING, "the access log's descriptor %d is not open", fd);
    parse_format(log);
    *out = log;
    return 0;
}

void access_log_free(struct access_log *log)
{
    if (!log)
        return;
    sink_close(log->sink);
    mem_free(log->format);
    mem_free(log->atoms);
    mem_free(log);
}

/* --- The pieces of a line --------------------------------------------------------------------- */

static void add_raw(struct line *line, const char *text, size_t len)
{
    if (line->len + len + 8 > sizeof(line->text))
        return;
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

/* Octets that may come from the client: all but plain ASCII, quotes and backslashes are escaped, so
 * that neither a line nor a field can be forged, whatever a reader takes for a line end. */
static void add_octets(struct line *line, const char *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t room = sizeof(line->text) - 8, n = line->len;
    char *out = line->text;
    for (size_t i = 0; i < len && n <= room; i++) {
        unsigned char c = (unsigned char)text[i];
        if (LIKELY(c >= 0x20 && c < 0x7f && c != '"' && c != '\\')) {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '\\';
        if (c == '"' || c == '\\') {
            out[n++] = (char)c;
        } else {
            out[n++] = 'x';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    line->len = n;
}

static void add_text(struct line *line, const char *text)
{
    if (!text)
        text = "-";
    add_octets(line, text, strlen(text));
}

/* With at least so many digits. */
static void add_number(struct line *line, uint64_t n, int digits)
{
    char text[24], *p = text + sizeof(text);
    for (; n > 0 || digits > 0; n /= 10, digits--)
        *--p = (char)('0' + n % 10);
    add_raw(line, p, (size_t)(text + sizeof(text) - p));
}

static void make_stamp(struct access_log *log, time_t second)
{
    static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    struct tm tm;
    localtime_r(&second, &tm);
    int offset = (int)(tm.tm_gmtoff / 60), minutes = offset < 0 ? -offset : offset;
    int n = snprintf(log->stamp, sizeof(log->stamp), "[%02d/%s/%04d:%02d:%02d:%02d %c%02d%02d]",
                     tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                     tm.tm_sec, offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
    log->stamp_len = (size_t)n < sizeof(log->stamp) ? (size_t)n : sizeof(log->stamp) - 1;
    log->second = second;
}

static void add_time(struct line *line, struct access_log *log, int64_t elapsed_us)
{
    time_t started = time(NULL) - (time_t)(elapsed_us / 1000000);
    if (UNLIKELY(started != log->second))
        make_stamp(log, started);
    add_raw(line, log->stamp, log->stamp_len);
}

/* What has come of a request line that the parser did not get to the end of. Where it found the
 * method and the target there may be NULs by now. */
static void add_unfinished_line(struct line *line, const struct entry *e)
{
    const struct message *message = e->message;
    const char *data = e->unread.data;
    size_t len = e->unread.len, i = 0, method_end = message->method + message->method_len,
           target_end = message->target_len ? message->target + message->target_len : SIZE_MAX;
    while (i < len && (data[i] == '\r' || data[i] == '\n'))
        i++;
    size_t begin = line->len;
    for (size_t end; i < len && data[i] != '\r' && data[i] != '\n'; i = end) {
        if (data[i] == '\0' && ((message->method_len && i == method_end) || i == target_end)) {
            add_raw(line, " ", 1);
            end = i + 1;
            continue;
        }
        for (end = i + 1; end < len && !strchr("\r\n", data[end]);)
            end++; /* strchr() finds the NUL, too */
        add_octets(line, data + i, end - i);
    }
    if (line->len == begin)
        add_raw(line, "-", 1);
}

static void add_request_line(struct line *line, const struct entry *e)
{
    const struct message *message = e->message;
    if (!message) {
        add_raw(line, "-", 1);
        return;
    }
    if (e->unread.data) {
        add_unfinished_line(line, e);
        return;
    }
    add_octets(line, message_method(message), message->method_len);
    add_raw(line, " ", 1);
    add_octets(line, message_target(message), message->target_len);
    add_raw(line, message->version >= 11 ? " HTTP/1.1" : " HTTP/1.0", 9);
}

static void add_remote(struct line *line, const struct entry *e)
{
    char text[INET6_ADDRSTRLEN];
    addr_peer_write(e->peer, text);
    const char *remote = e->req ? tepal_req_remote(e->req) : text;
    add_text(line, *remote ? remote : NULL);
}

/* A field of the request. */
static void add_field(struct line *line, const struct entry *e, const char *name)
{
    if (e->req) {
        add_text(line, tepal_req_header(e->req, name));
        return;
    }
    const struct message *message = e->message;
    for (size_t i = 0; message && i < message->n_fields; i++) {
        const struct message_field *field = &message->fields[i];
        if (octet_same(message->data + field->name, field->name_len, name, strlen(name))) {
            add_octets(line, message->data + field->value, field->value_len);
            return;
        }
    }
    add_raw(line, "-", 1);
}

static void add_seconds(struct line *line, int64_t us)
{
    add_number(line, (uint64_t)us / 1000000, 1);
    add_raw(line, ".", 1);
    add_number(line, (uint64_t)us % 1000000, 6);
}

static void add_one(struct line *line, struct access_log *log, const struct atom *atom,
                    const struct entry *e)
{
    switch (atom->kind) {
    case 0:
        add_raw(line, atom->text, atom->len);
        break;
    case '%':
        add_raw(line, "%", 1);
        break;
    case 'a':
        add_remote(line, e);
        break;
    case 't':
        add_time(line, log, e->elapsed_us);
        break;
    case 'P':
        add_number(line, (uint64_t)getpid(), 1);
        break;
    case 'r':
        add_request_line(line, e);
        break;
    case 's':
        add_number(line, (uint64_t)e->status, 1);
        break;
    case 'b':
        add_number(line, e->body, 1);
        break;
    case 'O':
        add_number(line, e->all, 1);
        break;
    case 'T':
        add_number(line, ((uint64_t)e->elapsed_us + 500000) / 1000000, 1);
        break;
    case 'F':
        add_seconds(line, e->elapsed_us);
        break;
    case 'D':
        add_number(line, (uint64_t)e->elapsed_us, 1);
        break;
    case 'X':
        add_raw(line, e->rc < 0 ? "X" : e->rc > 0 ? "+" : "-", 1);
        break;
    case 'i':
        add_field(line, e, atom->text);
        break;
    case 'o':
        add_text(line, e->res ? tepal_res_header(e->res, atom->text) : NULL);
        break;
    case 'e':
        add_text(line, getenv(atom->text));
        break;
    }
}

/* --- Lines ------------------------------------------------------------------------------------ */

static void write_entry(struct access_log *log, const struct entry *e)
{
    struct line line;
    line.len = 0;
    for (size_t i = 0; i < log->n_atoms; i++)
        add_one(&line, log, &log->atoms[i], e);
    line.text[line.len++] = '\n';
    sink_put(log->sink, line.text, line.len);
}

void access_log_write(struct access_log *log, tepal_req *req, const tepal_res *res, int rc)
{
    const struct exchange *exchange = req->exchange;
    const struct entry e = {
        .peer = exchange->peer,
        .req = req,
        .res = res,
        .message = exchange->message,
        .unread = exchange->unread,
        .status = res->head.status,
        .rc = rc,
        .body = res->written,
        .all = res->written + exchange->head_len,
        .elapsed_us = loop_clock_us(req->server->loop) - req->start_us,
    };
    write_entry(log, &e);
}

void access_log_write_bare(struct access_log *log, const struct bare_answer *answer)
{
    const struct entry e = {
        .peer = answer->peer,
        .message = answer->message,
        .unread = answer->unread,
        .status = answer->status,
        .rc = answer->sent < 0 ? -EPIPE : 0,
        .all = answer->sent < 0 ? 0 : (uint64_t)answer->sent,
        .elapsed_us = answer->elapsed_us,
    };
    write_entry(log, &e);
}
