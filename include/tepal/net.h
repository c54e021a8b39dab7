/* The net room: addresses, names, byte streams and listeners. What asyncio's streams are to Python. */
#ifndef TEPAL_NET_H
#define TEPAL_NET_H

#include <tepal/addr.h>
#include <tepal/dns.h>
#include <tepal/stream.h>
#include <tepal/udp.h>

#endif
