/* The lines of a message head (RFC 9112 sections 2 to 5). It owns the strictness of the syntax, the
 * limits, and going on where the last call stopped; what the fields mean is in h1_framing.c, and
 * what is in a target in uri.c. It never changes the bytes and never looks at an octet twice, but
 * for the few of a version or a line end that is not complete.
 *
 * Every part below returns 1 when it is complete, 0 when the octets do not suffice, and a negative
 * HTTP status when the message must be refused. What it decides must not depend on how the octets
 * were cut: so it looks at them in order, and only within the limit. */
#include "http/h1_parse.h"

#include "http/h1_framing.h"
#include "http/octet.h"
#include "http/scan.h"

#include <string.h>

/* Octets of empty lines that are skipped before a request-line (RFC 9112 section 2.2). */
#define MAX_EMPTY 16

/* The lengths of "HTTP/1.1" and of "Host". */
#define VERSION_LEN 8
#define HOST_LEN 4

void h1_head_init(struct h1_head *head, bool response, struct message_field *fields)
{
    /* One by one and in order: compilers make fewer stores of it than of a memset(). */
    struct message *message = &head->message;
    head->stage = H1_START_LINE;
    head->pos = head->scanned = head->start = 0;
    head->name_len = 0;
    head->odd_target = false;
    head->response = response;
    head->known_host = NULL;
    head->framing = H1_BODY_NONE;
    head->has_content_length = head->keep_alive = head->expect_continue = head->upgrade = false;
    head->option_close = head->option_keep_alive = head->option_upgrade = false;
    head->other_coding = false;
    message->data = NULL;
    message->method = message->method_len = 0;
    message->target = message->target_len = 0;
    message->reason = message->reason_len = 0;
    message->status = 0;
    message->version = 0;
    message->n_fields = 0;
    message->fields = fields;
    message->content_length = 0;
    memset(message->known, 0, sizeof message->known);
}

/* Records that n octets of the current line are known to be good. */
static int more(struct h1_head *head, size_t n)
{
    head->scanned = (uint32_t)n;
    return 0;
}

/* The CRLF that must stand at p. */
static int line_end(const char *p, size_t len)
{
    if (len == 0)
        return 0;
    if (p[0] != '\r')
        return -400;
    if (len == 1)
        return 0;
    return p[1] == '\n' ? 1 : -400;
}

/* The HTTP-version at p, octet by octet so that the first bad one is refused at once. */
static inline int version(struct h1_head *head, const char *p, size_t len)
{
    static const char form[] = "HTTP/0.0", usual[] = "HTTP/1.1";
    if (len >= VERSION_LEN && memcmp(p, usual, VERSION_LEN) == 0) {
        head->message.version = 11;
        return 1;
    }
    for (size_t i = 0; i < VERSION_LEN; i++) {
        if (i == len)
            return 0;
        if (form[i] == '0' ? !octet_is(p[i], OCTET_DIGIT) : p[i] != form[i])
            return -400;
    }
    head->message.version = p[7] != '0' ? 11 : 10;
    return p[5] == '1' ? 1 : -505;
}

static int empty_lines(struct h1_head *head, const char *data, size_t len)
{
    while (head->pos < len && data[head->pos] == '\r') {
        if (head->pos >= MAX_EMPTY)
            return -400;
        int rc = line_end(data + head->pos, len - head->pos);
        if (rc <= 0)
            return rc;
        head->pos += 2;
    }
    head->start = head->pos;
    return head->pos < len;
}

static int method(struct h1_head *head, const char *line, size_t len)
{
    size_t n = head->scanned;
    if (n == 0 && len > 3 && memcmp(line, "GET ", 4) == 0)
        n = 3;
    else
        n += octet_span(line + n, len - n, OCTET_TOKEN);
    if (n == len)
        return more(head, n);
    if (n == 0 || line[n] != ' ')
        return -400;
    head->message.method = head->start;
    head->message.method_len = (uint32_t)n;
    head->scanned = (uint32_t)n + 1;
    return 1;
}

static int target(struct h1_head *head, const char *line, size_t len)
{
    size_t begin = head->message.method_len + 1, n = head->scanned;
    if (!head->odd_target) {
        n += http_scan.plain_end(line + n, len - n);
        head->odd_target = n < len && line[n] != ' ';
    }
    if (head->odd_target)
        n += http_scan.target_end(line + n, len - n);
    if (n == len)
        return more(head, n);
    if (n == begin || line[n] != ' ')
        return -400;
    head->message.target = head->start + (uint32_t)begin;
    head->message.target_len = (uint32_t)(n - begin);
    head->scanned = (uint32_t)n + 1;
    return 1;
}

static int request_line(struct h1_head *head, const char *line, size_t len)
{
    int rc = 1;
    if (!head->message.method_len)
        rc = method(head, line, len);
    if (rc > 0 && !head->message.target_len)
        rc = target(head, line, len);
    if (rc > 0)
        rc = version(head, line + head->scanned, len - head->scanned);
    if (rc <= 0)
        return rc;
    size_t n = head->scanned + VERSION_LEN;
    rc = line_end(line + n, len - n);
    if (rc > 0)
        head->pos = head->start + (uint32_t)n + 2;
    return rc;
}

/* The status-code and the SP before it. Another first digit than 1 to 9 is no class of status; 6 to
 * 9 are for the caller to treat as 5 (RFC 9110 section 15). */
static int status(struct h1_head *head, const char *p, size_t len)
{
    for (size_t i = 0; i < 4; i++) {
        if (i == len)
            return 0;
        if (i == 0 ? p[i] != ' ' : !octet_is(p[i], OCTET_DIGIT) || (i == 1 && p[i] == '0'))
            return -400;
    }
    head->message.status = (uint16_t)((p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0'));
    return 1;
}

static int status_line(struct h1_head *head, const char *line, size_t len)
{
    size_t n = VERSION_LEN + 4; /* "HTTP/1.1 200" */
    if (!head->message.status) {
        int rc = version(head, line, len);
        if (rc > 0)
            rc = status(head, line + VERSION_LEN, len - VERSION_LEN);
        if (rc <= 0)
            return rc;
    }
    if (n < len && line[n] == ' ')
        n++; /* required, but often left out where the reason is empty */
    else if (n < len && line[n] != '\r')
        return -400;
    head->message.reason = head->start + (uint32_t)n;
    if (head->scanned > n)
        n = head->scanned;
    n += http_scan.value_end(line + n, len - n);
    int rc = line_end(line + n, len - n);
    if (rc <= 0)
        return rc < 0 ? rc : more(head, n);
    head->message.reason_len = head->start + (uint32_t)n - head->message.reason;
    head->pos = head->start + (uint32_t)n + 2;
    return 1;
}

/* Offsets are 32 bits wide; no limit reaches beyond them. */
static size_t at_most(uint32_t limit)
{
    return limit < UINT32_MAX - 64 ? limit : UINT32_MAX - 64;
}

/* Why a start-line that is over its limit is refused (RFC 9112 section 3): a method that fills it
 * is longer than any that is known. */
static int over_long(const struct h1_head *head, size_t max)
{
    bool only_method = !head->message.method_len || head->message.method_len >= max;
    return !head->response && only_method ? -501 : -414;
}

/* The start-line within its limit: of what is behind that many octets only a CRLF is looked at. */
static int start_line(struct h1_head *head, const char *data, size_t len,
                      const struct h1_limits *limits)
{
    if (!head->response && !head->scanned) {
        int rc = empty_lines(head, data, len);
        if (rc <= 0)
            return rc;
    }
    const char *line = data + head->start;
    size_t max = at_most(limits->max_line < limits->max_head ? limits->max_line : limits->max_head);
    size_t left = len - head->start;
    bool over = left > max && line[max] != '\r';
    size_t window = max + (over ? 1 : 2);
    if (left > window)
        left = window;
    int rc = head->response ? status_line(head, line, left) : request_line(head, line, left);
    if (rc == 0 && over)
        return over_long(head, max);
    if (rc <= 0)
        return rc;
    head->stage = H1_FIELDS;
    head->scanned = 0;
    return 1;
}

/* Whether it is the name that every request has, as it is mostly written. */
static bool is_host(const char *name, size_t len)
{
    return len == HOST_LEN && memcmp(name, "Host", HOST_LEN) == 0;
}

static int field_name(struct h1_head *head, const char *line, size_t len)
{
    size_t n = head->scanned;
    if (n == 0 && len > HOST_LEN && line[HOST_LEN] == ':' && is_host(line, HOST_LEN))
        n = HOST_LEN;
    else
        n += http_scan.token_end(line + n, len - n);
    if (n > UINT16_MAX)
        return -431;
    if (n == len)
        return more(head, n);
    if (n == 0 || line[n] != ':')
        return -400; /* also whitespace at the beginning (obs-fold) and before the colon */
    head->name_len = (uint16_t)n;
    head->scanned = (uint32_t)n + 1;
    return 1;
}

/* The rest of a field line, whose name is complete, and the entry for it. */
static int field_value(struct h1_head *head, const char *data, const char *line, size_t len)
{
    size_t n = head->scanned;
    n += http_scan.value_end(line + n, len - n);
    int rc = line_end(line + n, len - n);
    if (rc <= 0)
        return rc < 0 ? rc : more(head, n);
    const char *value = line + head->name_len + 1;
    size_t value_len = (size_t)(line + n - value);
    octet_trim(&value, &value_len);
    struct message_field *field = &head->message.fields[head->message.n_fields];
    *field = (struct message_field){
        .name = head->pos,
        .name_len = head->name_len,
        .value = (uint32_t)(value - data),
        .value_len = (uint32_t)value_len,
        .id = HTTP_FIELD_HOST,
    };
    if (!is_host(line, head->name_len))
        field->id = (uint8_t)http_field_id(line, head->name_len);
    if (field->id != HTTP_FIELD_OTHER && (rc = h1_framing_field(head, data, field)) < 0)
        return rc;
    head->message.n_fields++;
    head->pos += (uint32_t)n + 2;
    head->name_len = 0;
    head->scanned = 0;
    return 1;
}

static int fields(struct h1_head *head, const char *data, size_t len, uint16_t max_fields)
{
    for (;;) {
        const char *line = data + head->pos;
        size_t left = len - head->pos;
        int rc = 1;
        if (left == 0)
            return 0;
        if (line[0] == '\r')
            return line_end(line, left);
        if (head->message.n_fields == max_fields)
            return -431;
        if (!head->name_len)
            rc = field_name(head, line, left);
        if (rc > 0)
            rc = field_value(head, data, line, left);
        if (rc <= 0)
            return rc;
    }
}

long h1_parse(struct h1_head *head, const char *data, size_t len, const struct h1_limits *limits)
{
    int rc = 1;
    if (head->stage == H1_START_LINE)
        rc = start_line(head, data, len, limits);
    if (rc <= 0)
        return rc;
    if (head->stage == H1_DONE)
        return (long)head->pos;
    size_t bound = head->start + at_most(limits->max_head);
    if (bound <= head->pos)
        return -431;
    rc = fields(head, data, len < bound ? len : bound, limits->max_fields);
    if (rc <= 0)
        return rc == 0 && len >= bound ? -431 : rc;
    rc = h1_framing_finish(head);
    if (rc < 0)
        return rc;
    head->stage = H1_DONE;
    head->pos += 2;
    return (long)head->pos;
}

void h1_head_terminate(const struct h1_head *head, char *data)
{
    if (head->response) {
        data[head->message.reason + head->message.reason_len] = '\0';
    } else {
        data[head->message.method + head->message.method_len] = '\0';
        data[head->message.target + head->message.target_len] = '\0';
    }
    for (size_t i = 0; i < head->message.n_fields; i++) {
        const struct message_field *field = &head->message.fields[i];
        data[field->name + field->name_len] = '\0';
        data[field->value + field->value_len] = '\0';
    }
}
