/* Field names and numbers, and what octets names and values may have. It owns the list of known
 * fields and how one is found; it never looks at what a value means. */
#include "http/field.h"

#include "http/octet.h"
#include "http/scan.h"

#include <string.h>

/* The longest known name, and the room for each, so that it can be compared by whole words. */
#define LONGEST 19
#define NAME_ROOM 24

static const char names[HTTP_FIELD_COUNT][NAME_ROOM] = {
    [HTTP_FIELD_ACCEPT] = "Accept",
    [HTTP_FIELD_ACCEPT_ENCODING] = "Accept-Encoding",
    [HTTP_FIELD_ACCEPT_LANGUAGE] = "Accept-Language",
    [HTTP_FIELD_ALLOW] = "Allow",
    [HTTP_FIELD_AUTHORIZATION] = "Authorization",
    [HTTP_FIELD_CACHE_CONTROL] = "Cache-Control",
    [HTTP_FIELD_CONNECTION] = "Connection",
    [HTTP_FIELD_CONTENT_ENCODING] = "Content-Encoding",
    [HTTP_FIELD_CONTENT_LENGTH] = "Content-Length",
    [HTTP_FIELD_CONTENT_LOCATION] = "Content-Location",
    [HTTP_FIELD_CONTENT_RANGE] = "Content-Range",
    [HTTP_FIELD_CONTENT_TYPE] = "Content-Type",
    [HTTP_FIELD_COOKIE] = "Cookie",
    [HTTP_FIELD_DATE] = "Date",
    [HTTP_FIELD_ETAG] = "ETag",
    [HTTP_FIELD_EXPECT] = "Expect",
    [HTTP_FIELD_HOST] = "Host",
    [HTTP_FIELD_IF_MATCH] = "If-Match",
    [HTTP_FIELD_IF_MODIFIED_SINCE] = "If-Modified-Since",
    [HTTP_FIELD_IF_NONE_MATCH] = "If-None-Match",
    [HTTP_FIELD_IF_RANGE] = "If-Range",
    [HTTP_FIELD_IF_UNMODIFIED_SINCE] = "If-Unmodified-Since",
    [HTTP_FIELD_KEEP_ALIVE] = "Keep-Alive",
    [HTTP_FIELD_LAST_MODIFIED] = "Last-Modified",
    [HTTP_FIELD_LOCATION] = "Location",
    [HTTP_FIELD_MAX_FORWARDS] = "Max-Forwards",
    [HTTP_FIELD_ORIGIN] = "Origin",
    [HTTP_FIELD_RANGE] = "Range",
    [HTTP_FIELD_REFERER] = "Referer",
    [HTTP_FIELD_SEC_WEBSOCKET_KEY] = "Sec-WebSocket-Key",
    [HTTP_FIELD_SERVER] = "Server",
    [HTTP_FIELD_SET_COOKIE] = "Set-Cookie",
    [HTTP_FIELD_TE] = "TE",
    [HTTP_FIELD_TRAILER] = "Trailer",
    [HTTP_FIELD_TRANSFER_ENCODING] = "Transfer-Encoding",
    [HTTP_FIELD_UPGRADE] = "Upgrade",
    [HTTP_FIELD_USER_AGENT] = "User-Agent",
    [HTTP_FIELD_VARY] = "Vary",
};

/* A perfect hash of the known names: length, first and last letter. The factors were found by
 * trying; a new name that collides is a compile error below (an element initialised twice), and
 * then needs other factors. */
#define SLOT(first, last, len) \
    ((((unsigned)(first) | 0x20) * 9 + ((unsigned)(last) | 0x20) * 13 + (unsigned)(len)*4) & 127)

static const uint8_t slots[128] = {
    [SLOT('a', 't', 6)] = HTTP_FIELD_ACCEPT,
    [SLOT('a', 'g', 15)] = HTTP_FIELD_ACCEPT_ENCODING,
    [SLOT('a', 'e', 15)] = HTTP_FIELD_ACCEPT_LANGUAGE,
    [SLOT('a', 'w', 5)] = HTTP_FIELD_ALLOW,
    [SLOT('a', 'n', 13)] = HTTP_FIELD_AUTHORIZATION,
    [SLOT('c', 'l', 13)] = HTTP_FIELD_CACHE_CONTROL,
    [SLOT('c', 'n', 10)] = HTTP_FIELD_CONNECTION,
    [SLOT('c', 'g', 16)] = HTTP_FIELD_CONTENT_ENCODING,
    [SLOT('c', 'h', 14)] = HTTP_FIELD_CONTENT_LENGTH,
    [SLOT('c', 'n', 16)] = HTTP_FIELD_CONTENT_LOCATION,
    [SLOT('c', 'e', 13)] = HTTP_FIELD_CONTENT_RANGE,
    [SLOT('c', 'e', 12)] = HTTP_FIELD_CONTENT_TYPE,
    [SLOT('c', 'e', 6)] = HTTP_FIELD_COOKIE,
    [SLOT('d', 'e', 4)] = HTTP_FIELD_DATE,
    [SLOT('e', 'g', 4)] = HTTP_FIELD_ETAG,
    [SLOT('e', 't', 6)] = HTTP_FIELD_EXPECT,
    [SLOT('h', 't', 4)] = HTTP_FIELD_HOST,
    [SLOT('i', 'h', 8)] = HTTP_FIELD_IF_MATCH,
    [SLOT('i', 'e', 17)] = HTTP_FIELD_IF_MODIFIED_SINCE,
    [SLOT('i', 'h', 13)] = HTTP_FIELD_IF_NONE_MATCH,
    [SLOT('i', 'e', 8)] = HTTP_FIELD_IF_RANGE,
    [SLOT('i', 'e', 19)] = HTTP_FIELD_IF_UNMODIFIED_SINCE,
    [SLOT('k', 'e', 10)] = HTTP_FIELD_KEEP_ALIVE,
    [SLOT('l', 'd', 13)] = HTTP_FIELD_LAST_MODIFIED,
    [SLOT('l', 'n', 8)] = HTTP_FIELD_LOCATION,
    [SLOT('m', 's', 12)] = HTTP_FIELD_MAX_FORWARDS,
    [SLOT('o', 'n', 6)] = HTTP_FIELD_ORIGIN,
    [SLOT('r', 'e', 5)] = HTTP_FIELD_RANGE,
    [SLOT('r', 'r', 7)] = HTTP_FIELD_REFERER,
    [SLOT('s', 'y', 17)] = HTTP_FIELD_SEC_WEBSOCKET_KEY,
    [SLOT('s', 'r', 6)] = HTTP_FIELD_SERVER,
    [SLOT('s', 'e', 10)] = HTTP_FIELD_SET_COOKIE,
    [SLOT('t', 'e', 2)] = HTTP_FIELD_TE,
    [SLOT('t', 'r', 7)] = HTTP_FIELD_TRAILER,
    [SLOT('t', 'g', 17)] = HTTP_FIELD_TRANSFER_ENCODING,
    [SLOT('u', 'e', 7)] = HTTP_FIELD_UPGRADE,
    [SLOT('u', 't', 10)] = HTTP_FIELD_USER_AGENT,
    [SLOT('v', 'y', 4)] = HTTP_FIELD_VARY,
};

/* Whether octets of a name, as a word, are those of a known one in any case. A letter differs from
 * its other case in bit 5, and only letters of the known names have bit 6 ('-' has not), so that no
 * other octet passes for one. */
static inline bool same_word(uint64_t name, uint64_t known)
{
    uint64_t either_case = (known & UINT64_C(0x4040404040404040)) >> 1;
    return ((name ^ known) & ~either_case) == 0;
}

/* Loads a word of width octets; a constant width makes it one instruction. */
static inline uint64_t load(const char *p, size_t width)
{
    uint64_t word = 0;
    memcpy(&word, p, width);
    return word;
}

/* Compares width octets at a time; the last ones may overlap those before. */
static inline bool same_by(const char *name, const char *known, size_t len, size_t width)
{
    for (size_t i = 0; i + width < len; i += width)
        if (!same_word(load(name + i, width), load(known + i, width)))
            return false;
    size_t last = len - width;
    return same_word(load(name + last, width), load(known + last, width));
}

static bool same_name(const char *name, const char *known, size_t len)
{
    if (len >= 8)
        return same_by(name, known, len, 8);
    return len >= 4 ? same_by(name, known, len, 4) : same_by(name, known, len, 2);
}

enum http_field http_field_id(const char *name, size_t len)
{
    if (len < 2 || len > LONGEST)
        return HTTP_FIELD_OTHER;
    unsigned id = slots[SLOT((unsigned char)name[0], (unsigned char)name[len - 1], len)];
    if (id == HTTP_FIELD_OTHER || names[id][len] || !names[id][len - 1])
        return HTTP_FIELD_OTHER;
    return same_name(name, names[id], len) ? (enum http_field)id : HTTP_FIELD_OTHER;
}

bool http_same_name(const char *name, size_t len, const char *other, size_t other_len)
{
    return octet_same(name, len, other, other_len);
}

const char *http_field_name(enum http_field id)
{
    return id > HTTP_FIELD_OTHER && id < HTTP_FIELD_COUNT ? names[id] : NULL;
}

bool http_field_is_singleton(enum http_field id)
{
    switch (id) {
    case HTTP_FIELD_CONTENT_LENGTH:
    case HTTP_FIELD_CONTENT_LOCATION:
    case HTTP_FIELD_CONTENT_RANGE:
    case HTTP_FIELD_CONTENT_TYPE:
    case HTTP_FIELD_ETAG:
    case HTTP_FIELD_HOST:
    case HTTP_FIELD_MAX_FORWARDS:
        return true;
    default:
        return false;
    }
}

bool http_is_token(const char *name, size_t len)
{
    return len > 0 && octet_span(name, len, OCTET_TOKEN) == len;
}

bool http_is_field_value(const char *value, size_t len)
{
    return http_scan.value_end(value, len) == len;
}
