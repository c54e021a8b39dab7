/* The steps of a look-up, by what the system's files say of them: /etc/hosts, and the name behind
 * each search domain; for an address its name below "arpa". */
#include "net/dns_steps.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* A name that ends with a dot is asked for as it is, and one with enough dots first of all; others
 * at last. */
static int n_candidates(const struct dns_search *search, const char *text, enum dns_type type)
{
    return type == DNS_PTR || text[strlen(text) - 1] == '.' ? 1 : search->n_domains + 1;
}

static bool as_it_is_first(const struct dns_search *search, const char *text)
{
    int n_dots = 0;
    for (const char *p = text; *p; p++)
        n_dots += *p == '.';
    return text[strlen(text) - 1] == '.' || n_dots >= search->ndots;
}

/* RFC 1035, section 3.5, and RFC 3596, section 2.5. */
static void write_arpa(const char *address, char *out)
{
    uint8_t ip[16];
    if (inet_pton(AF_INET, address, ip) == 1) {
        snprintf(out, DNS_STEP_SIZE, "%u.%u.%u.%u.in-addr.arpa.", ip[3], ip[2], ip[1], ip[0]);
        return;
    }
    (void)inet_pton(AF_INET6, address, ip);
    for (int i = 15; i >= 0; i--, out += 4)
        snprintf(out, 5, "%x.%x.", ip[i] & 0xfu, ip[i] >> 4u);
    strcpy(out, "ip6.arpa.");
}

static enum dns_source write_candidate(const struct dns_search *search, const char *text,
                                       int number, char *out)
{
    const char *domain = "";
    if (as_it_is_first(search, text))
        number--;
    if (number >= 0 && number < search->n_domains)
        domain = search->domains[number];
    domain += *domain == '.';
    size_t len = strlen(text), domain_len = strlen(domain);
    domain_len -= domain_len > 0 && domain[domain_len - 1] == '.';
    len -= text[len - 1] == '.';
    if (len + (domain_len > 0) + domain_len > DNS_MAX_NAME)
        return DNS_TOO_LONG;
    memcpy(out, text, len);
    out[len++] = '.';
    memcpy(out + len, domain, domain_len);
    len += domain_len;
    if (domain_len > 0)
        out[len++] = '.';
    out[len] = '\0';
    return DNS_SERVERS;
}

/* /etc/hosts has addresses and names only. */
static int n_steps(const struct dns_search *search, const char *text, enum dns_type type, char who)
{
    if (who == 'f')
        return type == DNS_ADDRESSES || type == DNS_PTR;
    return n_candidates(search, text, type);
}

enum dns_source dns_step(const struct dns_search *search, const char *text, enum dns_type type,
                         int step, char *out)
{
    for (const char *p = search->lookups; *p; p++) {
        int n = n_steps(search, text, type, *p);
        if (step >= n) {
            step -= n;
            continue;
        }
        if (*p != 'f' && type != DNS_PTR)
            return write_candidate(search, text, step, out);
        if (*p != 'f') {
            write_arpa(text, out);
            return DNS_SERVERS;
        }
        size_t len = strlen(text);
        memcpy(out, text, len + 1);
        if (out[len - 1] == '.')
            out[len - 1] = '\0';
        return DNS_HOSTS;
    }
    return DNS_NOBODY;
}
