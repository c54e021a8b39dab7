/* Cookie and Set-Cookie fields (RFC 6265). Pure. */
#ifndef TEPAL_HTTP_COOKIE_H
#define TEPAL_HTTP_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One cookie of a Cookie field, inside the input. */
struct cookie_pair {
    const char *name, *value;
    size_t name_len, value_len;
};

/* Takes the next cookie off the field value *rest of *len octets. Lenient: what is no cookie (no
 * '=', a name that is no token, a control octet in the value) is skipped alone; a value in double
 * quotes comes without them. Returns false when nothing is left. */
bool cookie_next(const char **rest, size_t *len, struct cookie_pair *pair);

enum cookie_same_site {
    COOKIE_SAME_SITE_UNSET,
    COOKIE_SAME_SITE_LAX,
    COOKIE_SAME_SITE_STRICT,
    COOKIE_SAME_SITE_NONE
};

/* The attributes of a Set-Cookie field. NULL and zero members are left out. */
struct cookie_attributes {
    const char *domain, *path;
    int64_t max_age; /* seconds, with has_max_age */
    int64_t expires; /* Unix time in seconds, with has_expires */
    bool has_max_age, has_expires, secure, http_only, partitioned;
    enum cookie_same_site same_site;
};

/* Why no browser would keep such a cookie, though it is well formed (RFC 6265bis section 5.7);
 * NULL: they do. */
const char *cookie_fault(const char *name, const struct cookie_attributes *attributes);

/* Whether the name begins with __Secure- or __Host-, in any case: such a cookie must be secure. */
bool cookie_name_is_secure(const char *name);

/* Writes a Set-Cookie field value to out of size octets, with a NUL. Returns its length (as
 * snprintf, also when it did not fit), or -EINVAL when the name is no token or the value, domain or
 * path has an octet that RFC 6265 section 4.1.1 forbids there (in a value: controls, space, '"',
 * ',', ';', '\\', octets over 0x7f). */
long cookie_write(char *out, size_t size, const char *name, const char *value,
                  const struct cookie_attributes *attributes);

#endif
