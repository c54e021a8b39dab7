/* Addresses of the internet: an IPv4 or IPv6 address with a port. */
#ifndef TEPAL_ADDR_H
#define TEPAL_ADDR_H

#include <tepal/base.h>

#include <sys/socket.h> /* AF_INET, AF_INET6, AF_UNIX */

#ifdef __cplusplus
extern "C" {
#endif

/* A value: copy it as you like. What came in as IPv4 in IPv6 (::ffff:1.2.3.4) is kept as IPv4. */
typedef struct tepal_addr {
    uint16_t family; /* AF_INET, AF_INET6; AF_UNIX, of which nothing else is kept; 0: none */
    uint16_t port;   /* in the order of this machine */
    uint32_t scope;  /* of a link-local IPv6 address: the index of the interface; else 0 */
    uint8_t ip[16];  /* in network order: 4 octets of IPv4 with zeros behind, or 16 of IPv6 */
} tepal_addr;

/* What tepal_addr_text() needs at most. */
enum { TEPAL_ADDR_TEXT_SIZE = 72 };

/* Makes an address of an IPv4 or IPv6 literal: "192.0.2.1", "2001:db8::1", "fe80::1%eth0" (after
 * the '%' an interface's name or index). Does not suspend. Returns 0; -EINVAL when the text is no
 * address (names are not looked up), -ENODEV when there is no such interface; then *addr is
 * unchanged. */
TEPAL_API int tepal_addr_parse(tepal_addr *addr, const char *text, uint16_t port);

/* Writes the address with its port as text, "192.0.2.1:80" or "[2001:db8::1]:80"; without the port
 * when that is 0, "192.0.2.1" or "2001:db8::1"; "unix" for AF_UNIX, "none" for no address. The text
 * is cut to size octets with its NUL; TEPAL_ADDR_TEXT_SIZE is enough for all. Does not suspend.
 * Returns out. */
TEPAL_API const char *tepal_addr_text(const tepal_addr *addr, char *out, size_t size);

/* Whether both are the same address and port (and scope). Two of AF_UNIX are never the same, since
 * nothing is known of them. */
TEPAL_API bool tepal_addr_equal(const tepal_addr *a, const tepal_addr *b);

#ifdef __cplusplus
}
#endif
#endif
