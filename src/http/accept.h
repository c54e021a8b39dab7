/* What a client prefers to get (RFC 9110 section 12.5.1). Pure. */
#ifndef TEPAL_HTTP_ACCEPT_H
#define TEPAL_HTTP_ACCEPT_H

/* The quality, 0 to 1000, that an Accept field value (NULL: everything is welcome) gives to a media
 * type "type/subtype": that of the most specific range that fits. What is malformed is skipped. */
int accept_quality(const char *accept, const char *type);

#endif
