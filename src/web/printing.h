/* What is printed by a format of printf(), and must not be: a text that is NULL. */
#ifndef TEPAL_WEB_PRINTING_H
#define TEPAL_WEB_PRINTING_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether the text may have been made with NULL for a %s: it says "(null)". A quick look; what it
 * finds is settled by printing_has_null(). */
bool printing_looks_null(const char *text, size_t len);

/* Whether one of the arguments is a text, and NULL. */
bool printing_has_null(const char *format, va_list args);

#endif
