/* What is printed by a format of printf(), and must not be: a text that is NULL. */
#ifndef TEPAL_WEB_TEXT_PRINTING_H
#define TEPAL_WEB_TEXT_PRINTING_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether the text may have been made with NULL for a %s: it says "(null)". A quick look; what it
 * finds is settled by printing_has_null(). */
bool printing_looks_null(const char *text, size_t len);

/* Takes the arguments of a format off them, up to one whose type is not known. Returns 1 when one
 * is a text, and NULL; else -1 when one is not known, or 0. */
int printing_skip(const char *format, va_list *args);

/* Whether one of the arguments is a text, and NULL. */
bool printing_has_null(const char *format, va_list args);

#endif
