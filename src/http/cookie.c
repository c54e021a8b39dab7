/* Cookie and Set-Cookie fields. It owns what may be in a cookie; it never keeps one, and never
 * decides whether one applies. */
#include "http/cookie.h"

#include "http/date.h"
#include "http/field.h"
#include "http/octet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Makes a cookie of what stands between two semicolons. Returns false when it is none. */
static bool parse_pair(const char *item, size_t len, struct cookie_pair *pair)
{
    octet_trim(&item, &len);
    const char *equals = len ? memchr(item, '=', len) : NULL;
    if (!equals)
        return false;
    pair->name = item;
    pair->name_len = (size_t)(equals - item);
    pair->value = equals + 1;
    pair->value_len = len - pair->name_len - 1;
    octet_trim(&pair->value, &pair->value_len);
    if (pair->value_len >= 2 && pair->value[0] == '"' && pair->value[pair->value_len - 1] == '"') {
        pair->value++;
        pair->value_len -= 2;
    }
    for (size_t i = 0; i < pair->value_len; i++)
        if (pair->value[i] == '\t')
            return false;
    return http_is_token(pair->name, pair->name_len) &&
           http_is_field_value(pair->value, pair->value_len);
}

bool cookie_next(const char **rest, size_t *len, struct cookie_pair *pair)
{
    while (*len) {
        const char *item = *rest, *semicolon = memchr(item, ';', *len);
        size_t item_len = semicolon ? (size_t)(semicolon - item) : *len;
        size_t used = semicolon ? item_len + 1 : item_len;
        *rest += used;
        *len -= used;
        if (parse_pair(item, item_len, pair))
            return true;
    }
    return false;
}

/* Text that is written as far as there is room, as snprintf does. */
struct writer {
    char *out;
    size_t size, len;
};

static void put(struct writer *writer, const char *text)
{
    size_t len = strlen(text);
    size_t room = writer->len < writer->size ? writer->size - writer->len : 0;
    if (room)
        memcpy(writer->out + writer->len, text, len < room ? len : room);
    writer->len += len;
}

/* Whether an attribute can be written: of domain the octets of a host name, of path any but
 * controls and ';' (RFC 6265 section 4.1.1). NULL can. */
static bool is_domain(const char *domain)
{
    if (!domain)
        return true;
    size_t len = strlen(domain);
    for (size_t i = 0; i < len; i++)
        if (!octet_is(domain[i], OCTET_ALPHA | OCTET_DIGIT) && domain[i] != '-' && domain[i] != '.')
            return false;
    return len > 0;
}

static bool is_path(const char *path)
{
    for (; path && *path; path++)
        if (*path == ';' || (unsigned char)*path < ' ' || (unsigned char)*path >= 0x7f)
            return false;
    return true;
}

static const char *same_site_text(enum cookie_same_site same_site)
{
    switch (same_site) {
    case COOKIE_SAME_SITE_LAX:
        return "; SameSite=Lax";
    case COOKIE_SAME_SITE_STRICT:
        return "; SameSite=Strict";
    case COOKIE_SAME_SITE_NONE:
        return "; SameSite=None";
    default:
        return "";
    }
}

static void put_attributes(struct writer *writer, const struct cookie_attributes *attributes)
{
    char number[32], date[HTTP_DATE_LEN + 1];
    if (attributes->has_expires) {
        http_date_write(date, attributes->expires);
        put(writer, "; Expires=");
        put(writer, date);
    }
    if (attributes->has_max_age) {
        snprintf(number, sizeof number, "%" PRId64, attributes->max_age);
        put(writer, "; Max-Age=");
        put(writer, number);
    }
    if (attributes->domain) {
        put(writer, "; Domain=");
        put(writer, attributes->domain);
    }
    if (attributes->path) {
        put(writer, "; Path=");
        put(writer, attributes->path);
    }
    put(writer, attributes->secure ? "; Secure" : "");
    put(writer, attributes->http_only ? "; HttpOnly" : "");
    put(writer, same_site_text(attributes->same_site));
    put(writer, attributes->partitioned ? "; Partitioned" : "");
}

long cookie_write(char *out, size_t size, const char *name, const char *value,
                  const struct cookie_attributes *attributes)
{
    struct writer writer = { .out = out, .size = size };
    if (!name || !http_is_token(name, strlen(name)) || !value ||
        octet_span(value, strlen(value), OCTET_COOKIE) != strlen(value))
        return -EINVAL;
    if (attributes && (!is_domain(attributes->domain) || !is_path(attributes->path)))
        return -EINVAL;
    put(&writer, name);
    put(&writer, "=");
    put(&writer, value);
    if (attributes)
        put_attributes(&writer, attributes);
    if (size)
        out[writer.len < size ? writer.len : size - 1] = '\0';
    return (long)writer.len;
}

static bool begins_with(const char *name, const char *prefix)
{
    size_t len = strlen(prefix);
    return strlen(name) >= len && octet_same(name, len, prefix, len);
}

bool cookie_name_is_secure(const char *name)
{
    return begins_with(name, "__Secure-") || begins_with(name, "__Host-");
}

const char *cookie_fault(const char *name, const struct cookie_attributes *attributes)
{
    if (attributes->same_site == COOKIE_SAME_SITE_NONE && !attributes->secure)
        return "SameSite=None must be secure";
    if (attributes->partitioned && !attributes->secure)
        return "Partitioned must be secure";
    if (cookie_name_is_secure(name) && !attributes->secure)
        return "a name with this prefix must be secure";
    if (!begins_with(name, "__Host-"))
        return NULL;
    if (attributes->domain)
        return "__Host- must have no domain";
    bool whole = attributes->path && strcmp(attributes->path, "/") == 0;
    return whole ? NULL : "__Host- must have the path \"/\"";
}
