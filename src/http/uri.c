/* Request targets, percent-coding and query strings. It owns the forms of a target and what is a
 * valid host; it never decides what a path means, and never removes dot segments. */
#include "http/uri.h"

#include "base/platform.h"
#include "http/octet.h"

#include <string.h>

/* Whether a percent-code begins at p[0..len). */
static bool is_percent_code(const char *p, size_t len)
{
    return len >= 3 && p[0] == '%' && octet_hex(p[1]) >= 0 && octet_hex(p[2]) >= 0;
}

/* The octet that a percent-code stands for. */
static int percent_octet(const char *p)
{
    return octet_hex(p[1]) * 16 + octet_hex(p[2]);
}

static bool is_ipv4(const char *p, size_t len)
{
    const char *end = p + len;
    for (int part = 0; part < 4; part++) {
        if (part > 0 && (p == end || *p++ != '.'))
            return false;
        size_t digits = octet_span(p, (size_t)(end - p), OCTET_DIGIT);
        int value = 0;
        if (digits < 1 || digits > 3 || (digits > 1 && *p == '0'))
            return false;
        for (size_t i = 0; i < digits; i++)
            value = value * 10 + (*p++ - '0');
        if (value > 255)
            return false;
    }
    return p == end;
}

/* Groups of up to 4 hexadecimal digits with at most one "::" and maybe an IPv4 address at the end
 * (RFC 3986 section 3.2.2). Zone identifiers mean nothing to a peer, and are no part of it. */
static bool is_ipv6(const char *p, size_t len)
{
    const char *end = p + len;
    int groups = 0;
    bool gap = len >= 2 && p[0] == ':' && p[1] == ':';
    for (p += gap ? 2 : 0; p < end || groups == 0;) {
        size_t digits = 0;
        while (p + digits < end && digits < 4 && octet_hex(p[digits]) >= 0)
            digits++;
        if (p + digits < end && p[digits] == '.') {
            if (!is_ipv4(p, (size_t)(end - p)))
                return false;
            groups += 2;
            break;
        }
        if (digits == 0)
            return gap && groups == 0 && p == end; /* "::" */
        groups++;
        p += digits;
        if (p == end)
            break;
        if (*p++ != ':' || p == end)
            return false;
        if (*p == ':') {
            if (gap)
                return false;
            gap = true;
            p++;
        }
    }
    return gap ? groups <= 7 : groups == 8;
}

/* An octet of a name: unreserved or sub-delims but ',', with which a list would pass for a host. */
/* "v" 1*HEXDIG "." 1*( host octet / ":" ) */
static bool is_ip_future(const char *p, size_t len)
{
    size_t n = 1;
    while (n < len && octet_hex(p[n]) >= 0)
        n++;
    if (n == 1 || len - n < 2 || p[n] != '.')
        return false;
    for (n++; n < len; n++)
        if (!octet_is(p[n], OCTET_HOST) && p[n] != ':')
            return false;
    return true;
}

/* The length of the registered name or IPv4 address that p[0..len) begins with. The grammar would
 * allow percent-codes of any octet, but no name has controls or spaces. */
static size_t reg_name_span(const char *p, size_t len)
{
    size_t n = octet_span(p, len, OCTET_HOST);
    while (n < len)
        if (octet_is(p[n], OCTET_HOST))
            n++;
        else if (is_percent_code(p + n, len - n) && percent_octet(p + n) > ' ' &&
                 percent_octet(p + n) != 0x7f)
            n += 3;
        else
            break;
    return n;
}

/* Takes host [ ":" port ] apart; port is NULL where there is no ':'. Returns false when it is
 * malformed. */
static bool parse_host(const char *p, size_t len, size_t *host_len, const char **port)
{
    const char *end = p + len;
    if (len && *p == '[') {
        const char *bracket = memchr(p, ']', len);
        size_t inside = bracket ? (size_t)(bracket - p) - 1 : 0;
        if (inside == 0)
            return false;
        bool future = p[1] == 'v' || p[1] == 'V';
        if (!(future ? is_ip_future(p + 1, inside) : is_ipv6(p + 1, inside)))
            return false;
        *host_len = inside + 2;
    } else {
        *host_len = reg_name_span(p, len);
    }
    p += *host_len;
    *port = p < end ? p + 1 : NULL;
    return p == end || *p == ':';
}

/* Whether the port is one: digits that fit 16 bits, or none. */
static bool is_port(const char *p, size_t len)
{
    unsigned port = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(unsigned char)p[i] - '0';
        if (digit > 9 || (port = port * 10 + digit) > UINT16_MAX)
            return false;
    }
    return true;
}

static NO_INLINE bool is_odd_host(const char *value, size_t len)
{
    size_t host_len;
    const char *port;
    if (!parse_host(value, len, &host_len, &port))
        return false;
    /* ":80" has a port of no host: http URIs without a host are invalid (RFC 9110 section 4.2.1) */
    return !port || (host_len > 0 && is_port(port, (size_t)(value + len - port)));
}

bool uri_is_host(const char *value, size_t len)
{
    /* Mostly a plain name or address, with or without a port. */
    size_t host_len = octet_span(value, len, OCTET_HOST);
    if (host_len == len)
        return true;
    if (host_len > 0 && value[host_len] == ':')
        return is_port(value + host_len + 1, len - host_len - 1);
    return is_odd_host(value, len);
}

/* Checks path and query: octets, percent-codes, and what must not be encoded in them. What browsers
 * leave unencoded, against RFC 3986, is taken as it is, a '%' that begins no code in a query
 * included; in a path that has no one meaning. Sets *high where an octet over 0x7f is encoded. */
static bool is_opaque(const char *p, size_t len, bool query, bool *high)
{
    for (size_t i = octet_span(p, len, OCTET_PLAIN); i < len; i++) {
        if (octet_is(p[i], OCTET_PLAIN))
            continue;
        if (p[i] == '%' && query && !is_percent_code(p + i, len - i))
            continue;
        if (p[i] != '%' || !is_percent_code(p + i, len - i))
            return false;
        int octet = percent_octet(p + i);
        if (octet == 0 || (!query && (octet == '\r' || octet == '\n')))
            return false;
        *high |= octet > 0x7f;
        i += 2;
    }
    return true;
}

/* Splits path and query, which begin with '/'. */
static int parse_path(const char *p, size_t len, struct uri_target *out)
{
    const char *mark = memchr(p, '?', len);
    out->path = p;
    out->path_len = mark ? (size_t)(mark - p) : len;
    if (mark) {
        out->query = mark + 1;
        out->query_len = len - out->path_len - 1;
    }
    bool good = is_opaque(p, out->path_len, false, &out->high) &&
                (!mark || is_opaque(out->query, out->query_len, true, &out->high));
    return good ? 0 : -400;
}

/* authority-form: the port is required, and must be one that can be connected to (RFC 9110 section
 * 9.3.6). */
static int parse_authority_form(const char *p, size_t len, struct uri_target *out)
{
    size_t host_len;
    const char *port;
    if (!parse_host(p, len, &host_len, &port) || host_len == 0 || !port)
        return -400;
    size_t port_len = (size_t)(p + len - port);
    if (!is_port(port, port_len))
        return -400;
    while (port_len && *port == '0') {
        port++;
        port_len--;
    }
    if (port_len == 0)
        return -400; /* no port, or 0 */
    out->authority = p;
    out->authority_len = len;
    out->path = p + len;
    return 0;
}

/* The length of the scheme at p, ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ); 0 for none. */
static size_t scheme_span(const char *p, size_t len)
{
    size_t n = len && octet_is(*p, OCTET_ALPHA);
    while (n && n < len &&
           (octet_is(p[n], OCTET_ALPHA | OCTET_DIGIT) || p[n] == '+' || p[n] == '-' || p[n] == '.'))
        n++;
    return n;
}

/* absolute-form, of a hierarchical scheme. User information is an error in a request (RFC 9110
 * section 4.2.4), and so is a missing host. */
static int parse_absolute_form(const char *p, size_t len, struct uri_target *out)
{
    const char *end = p + len;
    size_t n = scheme_span(p, len);
    if (n == 0 || len - n < 3 || memcmp(p + n, "://", 3) != 0)
        return -400;
    out->scheme = p;
    out->scheme_len = n;
    p += n + 3;
    out->authority = p;
    while (p < end && *p != '/' && *p != '?')
        p++;
    out->authority_len = (size_t)(p - out->authority);
    if (out->authority_len == 0 || !uri_is_host(out->authority, out->authority_len))
        return -400;
    if (p < end && *p == '/')
        return parse_path(p, (size_t)(end - p), out);
    int rc = parse_path(p, (size_t)(end - p), out);
    out->path = "/";
    out->path_len = 1;
    return rc;
}

int uri_parse_target(const char *method, size_t method_len, const char *target, size_t len,
                     struct uri_target *out)
{
    *out = (struct uri_target){ 0 };
    if (method_len == 7 && memcmp(method, "CONNECT", 7) == 0)
        return parse_authority_form(target, len, out);
    if (len && target[0] == '/')
        return parse_path(target, len, out);
    if (len == 1 && target[0] == '*') {
        out->path = target;
        out->path_len = 1;
        return method_len == 7 && memcmp(method, "OPTIONS", 7) == 0 ? 0 : -400;
    }
    return parse_absolute_form(target, len, out);
}

size_t uri_decode(char *out, const char *in, size_t len, bool plus)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (in[i] == '%' && is_percent_code(in + i, len - i)) {
            out[n++] = (char)percent_octet(in + i);
            i += 2;
        } else {
            out[n++] = plus && in[i] == '+' ? ' ' : in[i];
        }
    }
    return n;
}

size_t uri_encode(char *out, const char *in, size_t len, enum uri_part part)
{
    unsigned classes = OCTET_UNRESERVED | (part == URI_QUERY ? 0 : OCTET_SUB_DELIM);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char octet = (unsigned char)in[i];
        bool stays = octet_is(in[i], classes) || (part == URI_PATH && octet == '/') ||
                     (part != URI_QUERY && (octet == ':' || octet == '@'));
        if (stays) {
            out[n++] = in[i];
        } else {
            out[n++] = '%';
            out[n++] = "0123456789ABCDEF"[octet >> 4];
            out[n++] = "0123456789ABCDEF"[octet & 15];
        }
    }
    return n;
}

bool uri_next_pair(const char **rest, size_t *len, struct uri_pair *pair)
{
    while (*len) {
        const char *item = *rest, *ampersand = memchr(item, '&', *len);
        size_t item_len = ampersand ? (size_t)(ampersand - item) : *len;
        size_t used = ampersand ? item_len + 1 : item_len;
        *rest += used;
        *len -= used;
        if (item_len == 0)
            continue;
        const char *equals = memchr(item, '=', item_len);
        pair->name = item;
        pair->name_len = equals ? (size_t)(equals - item) : item_len;
        pair->value = equals ? equals + 1 : item + item_len;
        pair->value_len = equals ? item_len - pair->name_len - 1 : 0;
        return true;
    }
    return false;
}
