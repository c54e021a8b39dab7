/* HTTP dates (RFC 9110 section 5.6.7). Pure; independent of locale and time zone. */
#ifndef TEPAL_HTTP_DATE_H
#define TEPAL_HTTP_DATE_H

#include <stddef.h>
#include <stdint.h>

/* The length of an IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT". */
#define HTTP_DATE_LEN 29

/* Writes the date of a Unix time in seconds (years 1970 to 9999; others are clamped) to out, with a
 * NUL: HTTP_DATE_LEN + 1 octets. */
void http_date_write(char *out, int64_t unix_time);

/* Parses any of the three formats of RFC 9110 (IMF-fixdate, RFC 850, asctime), ASCII digits only.
 * Returns 0 and the Unix time, or -EINVAL. now settles the century of RFC 850 dates. */
int http_date_parse(const char *text, size_t len, int64_t now, int64_t *unix_time);

#endif
