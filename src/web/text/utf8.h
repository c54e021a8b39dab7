/* Checking that octets are text. Pure. */
#ifndef TEPAL_WEB_TEXT_UTF8_H
#define TEPAL_WEB_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The length of the character that text, of len > 0 octets, begins with; 0 when it is malformed or
 * NUL. */
size_t utf8_sequence(const char *text, size_t len);

/* Whether the octets are well-formed UTF-8 (RFC 3629) without NUL. */
bool utf8_is_text(const char *text, size_t len);

#endif
