/* What is read out of an answer of DNS: the records of one kind. Octets in, structs out. */
#ifndef TEPAL_NET_DNS_MESSAGE_H
#define TEPAL_NET_DNS_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/* The kinds that are asked for besides addresses, by their numbers in DNS. */
enum dns_type { DNS_ADDRESSES = 0, DNS_PTR = 12, DNS_TXT = 16, DNS_SRV = 33 };

struct dns_record {
    uint16_t priority, weight, port; /* SRV */
    size_t len;                      /* of the text, without its NUL */
    const char *text;                /* TXT: the octets. PTR, SRV: the name, "" for the root */
};

/* They belong to all who hold them. */
struct dns_records {
    size_t n_users;
    size_t n, size; /* records, and octets of memory for them */
    uint32_t ttl;   /* the smallest of all records of the answer, in seconds */
    struct dns_record all[];
};

struct dns_records *dns_records_hold(struct dns_records *records);

/* NULL is allowed. */
void dns_records_release(struct dns_records *records);

/* One record with a name; NULL when memory is short. */
struct dns_records *dns_records_of_name(const char *name);

/* Reads the records of this type out of an answer; of places of services max at most. Returns 0,
 * and the records, which the caller holds; TEPAL_ENONAME when there are none (names that no host
 * can have do not count); TEPAL_EDNS when the message is malformed; -ENOMEM. */
int dns_message_read(struct dns_records **out, const uint8_t *data, size_t len, enum dns_type type,
                     size_t max);

#endif
