/* HTML that is made of a format: the markup is the format's own, and what its conversions print is
 * text, which cannot become markup. */
#ifndef TEPAL_WEB_MESSAGE_MARKUP_H
#define TEPAL_WEB_MESSAGE_MARKUP_H

#include "web/message/request.h"

#include <stdarg.h>
#include <stddef.h>

/* Markup for this call, in the request's memory. NULL, and the cause recorded, when memory is short
 * or the format cannot be printed; or when a text is NULL and a call has failed before, whose NULL
 * that then is. */
char *markup_vprintf(tepal_req *req, const struct caller *caller, size_t *len, const char *format,
                     va_list args) __attribute__((format(printf, 4, 0)));

#endif
