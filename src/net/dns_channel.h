/* c-ares on the loop: its sockets with our poller, its timeouts by our timer. Knows nothing of
 * caches and tasks; dns.c does. */
#ifndef TEPAL_NET_DNS_CHANNEL_H
#define TEPAL_NET_DNS_CHANNEL_H

#include "async/loop.h"
#include "net/dns_message.h"
#include "net/dns_search.h"

#include <tepal/dns.h>

#define CARES_NO_DEPRECATED /* the functions that 1.18 has are there in all later versions, too */
#include <ares.h>

struct dns_channel {
    struct loop *loop;
    ares_channel ares;  /* asks name servers only, */
    ares_channel hosts; /* and this one /etc/hosts only */
    struct dns_search search;
    struct list sockets;
    struct timer timer; /* when c-ares wants to look at its timeouts */
    int n_left;         /* of the messages that may be read in this turn */
    int shortage;       /* why the latest socket could not be had, or 0 */
    void (*on_progress)(void *arg);
    void *arg;
};

/* One question for addresses; fn is called once, perhaps before dns_channel_ask() returns, and
 * frees what it gets. */
struct dns_question {
    const char *name; /* with a dot at its end, unless it is for /etc/hosts */
    int family;       /* AF_UNSPEC only for /etc/hosts */
    bool in_hosts;
    ares_addrinfo_callback fn;
    void *arg;
};

/* The files that the system's name servers and search domains stand in, and the order of sources;
 * NULL: those of the system. Only tests change them. */
extern const char *dns_resolv_conf, *dns_nsswitch_conf;

/* Opens a channel; c-ares reads the system's files. on_progress is called after answers may have
 * come. Returns 0, -EINVAL, -ENOMEM or TEPAL_EDNS. */
int dns_channel_open(struct dns_channel **channel, struct loop *loop,
                     const tepal_dns_options *options, void (*on_progress)(void *arg), void *arg);

/* Closes and frees it; the queries that are under way end with ARES_EDESTRUCTION. */
void dns_channel_close(struct dns_channel *channel);

/* dns_channel_watch() must follow, as after the next two. */
void dns_channel_ask(struct dns_channel *channel, const struct dns_question *question);

/* Asks name servers for the records of a type of a name; and /etc/hosts for the name of an
 * address, which is given as text. fn is called once, perhaps before these return; what it gets is
 * c-ares'. */
void dns_channel_ask_type(struct dns_channel *channel, const char *name, enum dns_type type,
                          ares_callback fn, void *arg);
void dns_channel_ask_host(struct dns_channel *channel, const char *addr, ares_host_callback fn,
                          void *arg);

/* Sets the timer by what c-ares waits for now. */
void dns_channel_watch(struct dns_channel *channel);

/* The error for a status of c-ares, which is not ARES_SUCCESS. */
int dns_channel_error(const struct dns_channel *channel, int status);

#endif
