/* Request targets, percent-coding and query strings (RFC 3986, RFC 9112 section 3.2). Pure. */
#ifndef TEPAL_HTTP_URI_H
#define TEPAL_HTTP_URI_H

#include <stdbool.h>
#include <stddef.h>

/* A request target taken apart; the parts point into it and are not terminated. */
struct uri_target {
    const char *path; /* origin-form path (begins with '/'), "*" or, for CONNECT, empty */
    size_t path_len;
    const char *query; /* what follows '?', without it; NULL when there is no '?' */
    size_t query_len;
    const char *authority; /* of absolute-form and authority-form; NULL otherwise */
    size_t authority_len;
    const char *scheme; /* of absolute-form; NULL otherwise */
    size_t scheme_len;
    /* Path or query have percent-codes of octets over 0x7f: text that is to be checked. */
    bool high;
};

/* Whether the target of a request is a path that stands for itself, when the method and the target
 * are of such lengths and nothing in the target is odd: '?', '#', '%', or over 0x7f. */
static inline bool uri_is_plain_path(size_t method_len, const char *target, bool odd)
{
    return !odd && target[0] == '/' && method_len != sizeof("CONNECT") - 1;
}

/* Takes the target of a request apart. Returns 0, or -400 when the form does not fit the method
 * (asterisk-form only with OPTIONS, authority-form with CONNECT and only there), an octet is not
 * allowed in a target (controls, space, DEL, '#', octets over 0x7f), a percent-code in the path is
 * malformed (in the query it stands for itself), or the path has an encoded NUL, CR or LF, or the
 * query an encoded NUL. The rest of ASCII is taken, also what RFC 3986 wants to be encoded.
 * absolute-form with an empty path is "/". method and target need not be terminated. */
int uri_parse_target(const char *method, size_t method_len, const char *target, size_t len,
                     struct uri_target *out);

/* Whether value is a valid Host field value: uri-host [":" port] (RFC 9110 section 7.2); an empty
 * value is valid. No userinfo, no whitespace, no comma, no '/', '?', '#', '@', '\\'. IPv6 and
 * IPvFuture literals in brackets. */
bool uri_is_host(const char *value, size_t len);

/* Decodes percent-codes of in[0..len) to out (which may be in, and needs len octets; no NUL is
 * written). With plus, '+' becomes a space (query strings and forms). What is no percent-code stays
 * as it is. Returns the decoded length. */
size_t uri_decode(char *out, const char *in, size_t len, bool plus);

/* What uri_encode() leaves as it is, besides the unreserved characters of RFC 3986. */
enum uri_part {
    URI_SEGMENT, /* one segment of a path: sub-delims, ':' and '@' stay, '/' is encoded */
    URI_PATH,    /* a path: '/' stays as well */
    URI_QUERY,   /* a name or value in a query: only unreserved characters stay; space is %20 */
};

/* Percent-encodes in[0..len) to out, which has room for 3 * len octets. Returns the length. */
size_t uri_encode(char *out, const char *in, size_t len, enum uri_part part);

/* One name and value of a query string or an urlencoded form, still encoded, inside the input. */
struct uri_pair {
    const char *name, *value;
    size_t name_len, value_len;
};

/* Takes the next pair off the query *rest of *len octets, and moves *rest behind it. Pairs are
 * separated by '&' only; empty pairs are skipped; a pair without '=' has an empty value. Returns
 * false when nothing is left. */
bool uri_next_pair(const char **rest, size_t *len, struct uri_pair *pair);

#endif
