/* Connecting to addresses that are known already. */
#ifndef TEPAL_NET_CONN_CONNECT_H
#define TEPAL_NET_CONN_CONNECT_H

#include "net/addr.h"

#include <tepal/net.h>

/* Connects to one of n addresses (n > 0), which are tried in turns of their families. Suspends.
 * Returns as tepal_conn_open(). */
int connect_addrs(tepal_conn **conn, const tepal_addr *addrs, int n,
                  const tepal_conn_options *options);

#endif
