/* The names of the fields (RFC 9110 section 5.1) that tepal itself looks at, as small numbers.
 *
 * The numbers are internal and may change; field.c holds the names.
 */
#ifndef TEPAL_HTTP_FIELD_H
#define TEPAL_HTTP_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_field {
    HTTP_FIELD_OTHER,
    HTTP_FIELD_ACCEPT,
    HTTP_FIELD_ACCEPT_ENCODING,
    HTTP_FIELD_ACCEPT_LANGUAGE,
    HTTP_FIELD_ALLOW,
    HTTP_FIELD_AUTHORIZATION,
    HTTP_FIELD_CACHE_CONTROL,
    HTTP_FIELD_CONNECTION,
    HTTP_FIELD_CONTENT_ENCODING,
    HTTP_FIELD_CONTENT_LENGTH,
    HTTP_FIELD_CONTENT_LOCATION,
    HTTP_FIELD_CONTENT_RANGE,
    HTTP_FIELD_CONTENT_TYPE,
    HTTP_FIELD_COOKIE,
    HTTP_FIELD_DATE,
    HTTP_FIELD_ETAG,
    HTTP_FIELD_EXPECT,
    HTTP_FIELD_HOST,
    HTTP_FIELD_IF_MATCH,
    HTTP_FIELD_IF_MODIFIED_SINCE,
    HTTP_FIELD_IF_NONE_MATCH,
    HTTP_FIELD_IF_RANGE,
    HTTP_FIELD_IF_UNMODIFIED_SINCE,
    HTTP_FIELD_KEEP_ALIVE,
    HTTP_FIELD_LAST_MODIFIED,
    HTTP_FIELD_LOCATION,
    HTTP_FIELD_MAX_FORWARDS,
    HTTP_FIELD_ORIGIN,
    HTTP_FIELD_RANGE,
    HTTP_FIELD_REFERER,
    HTTP_FIELD_SEC_WEBSOCKET_KEY,
    HTTP_FIELD_SERVER,
    HTTP_FIELD_SET_COOKIE,
    HTTP_FIELD_TE,
    HTTP_FIELD_TRAILER,
    HTTP_FIELD_TRANSFER_ENCODING,
    HTTP_FIELD_UPGRADE,
    HTTP_FIELD_USER_AGENT,
    HTTP_FIELD_VARY,
    HTTP_FIELD_COUNT
};

/* The number of a field name (any case), HTTP_FIELD_OTHER when it has none. */
enum http_field http_field_id(const char *name, size_t len);

/* Whether two field names, or other ASCII words, are the same in any case. It knows no locale. */
bool http_same_name(const char *name, size_t len, const char *other, size_t other_len);

/* The name of a number in its usual spelling, such as "Content-Type"; NULL for HTTP_FIELD_OTHER. */
const char *http_field_name(enum http_field id);

/* Whether a field with this number may stand only once in a request (twice is refused with 400):
 * those whose second value would change what the message is. RFC 9110 section 5.3 forbids senders
 * to repeat others as well (User-Agent, Server), but leaves it to the recipient to go on; the lines
 * of Transfer-Encoding make one list. */
bool http_field_is_singleton(enum http_field id);

/* Whether name is a token (RFC 9110 section 5.6.2), and not empty. */
bool http_is_token(const char *name, size_t len);

/* Whether value has only octets that a field value may have (RFC 9110 section 5.5): no NUL, CR, LF,
 * other control octet but tab, nor DEL. */
bool http_is_field_value(const char *value, size_t len);

#endif
