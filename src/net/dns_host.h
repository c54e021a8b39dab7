/* What is a name of a host, as text. */
#ifndef TEPAL_NET_DNS_HOST_H
#define TEPAL_NET_DNS_HOST_H

#include <stdbool.h>

/* Octets of a name without the dot at its end (RFC 1035, section 2.3.4), and of a label. */
enum { DNS_MAX_NAME = 253, DNS_MAX_LABEL = 63 };

/* Whether a label of a host's name may have it. */
bool dns_host_has_char(char c);

/* Writes the name in lower case to out, of DNS_MAX_NAME + 2 octets, with the dot that it may have
 * at its end. Returns 0, or -EINVAL for what is no host's name. */
int dns_host_normalise(const char *host, char *out);

/* Whether a normalised name is "localhost" or below it. */
bool dns_host_is_local(const char *text);

#endif
