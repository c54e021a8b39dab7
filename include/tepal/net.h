/* The net room: addresses, names, connections, listeners, TLS, datagrams and processes. What
 * asyncio's streams are to Python. */
#ifndef TEPAL_NET_H
#define TEPAL_NET_H

#include <tepal/addr.h>
#include <tepal/conn.h>
#include <tepal/dns.h>
#include <tepal/process.h>
#include <tepal/tls.h>
#include <tepal/udp.h>

#endif
