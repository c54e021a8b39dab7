/* The steps in which a name is looked up: who is asked, and for what. */
#ifndef TEPAL_NET_DNS_STEPS_H
#define TEPAL_NET_DNS_STEPS_H

#include "net/dns_host.h"
#include "net/dns_message.h"
#include "net/dns_search.h"

enum dns_source { DNS_NOBODY, DNS_HOSTS, DNS_SERVERS, DNS_TOO_LONG };

/* Octets of the name that is asked for, with a dot at its end and a NUL. */
enum { DNS_STEP_SIZE = DNS_MAX_NAME + 2 };

/* Who is asked in this step, from 0 on; DNS_NOBODY when there is no such step, and DNS_TOO_LONG
 * when the name behind its search domain would be none. text is a normalised name, or for DNS_PTR
 * an address. Writes to out what is asked for: of servers a name with a dot at its end, of
 * /etc/hosts the text without one. */
enum dns_source dns_step(const struct dns_search *search, const char *text, enum dns_type type,
                         int step, char *out);

#endif
