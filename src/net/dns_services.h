/* The order of the places of a service (RFC 2782). */
#ifndef TEPAL_NET_DNS_SERVICES_H
#define TEPAL_NET_DNS_SERVICES_H

#include "net/dns_message.h"

/* Brings n places into the order in which they should be tried. below(n) is a random number from 0
 * to n - 1. */
void dns_services_order(const struct dns_record **places, size_t n, uint32_t (*below)(uint32_t n));

#endif
