/* How names are searched: what the system's files, or options in their place, say of it.
 */
#ifndef TEPAL_NET_DNS_SEARCH_H
#define TEPAL_NET_DNS_SEARCH_H

#include <tepal/dns.h>

struct dns_search {
    char **domains;
    int n_domains;
    int ndots; /* a name with so many dots is asked for as it is before it is in the domains */
    char lookups[3]; /* who is asked, in this order: 'f' /etc/hosts, 'b' name servers */
};

/* Reads resolv.conf(5) and nsswitch.conf(5), from these paths, with the variables LOCALDOMAIN and
 * RES_OPTIONS; what options say goes before. A file that is not there says nothing. Returns 0 or
 * -ENOMEM, and then nothing is to be cleared. */
int dns_search_read(struct dns_search *search, const tepal_dns_options *options,
                    const char *resolv_conf, const char *nsswitch_conf);

void dns_search_clear(struct dns_search *search);

#endif
