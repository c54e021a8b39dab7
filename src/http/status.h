/* Status codes and their reason phrases (RFC 9110 section 15, IANA registry). Pure. */
#ifndef TEPAL_HTTP_STATUS_H
#define TEPAL_HTTP_STATUS_H

#include <stdbool.h>

/* The reason phrase of a status code, such as "Not Found"; "" for an unknown one. */
const char *http_status_reason(int status);

/* Whether a response with this status never has content: 1xx, 204, 304 (RFC 9110 section 6.4.1). */
static inline bool http_status_is_bodiless(int status)
{
    return (status >= 100 && status < 200) || status == 204 || status == 304;
}

#endif
