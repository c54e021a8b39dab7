#!/usr/bin/env python3
"""What connections cost while nothing is asked on them, and what a rush leaves behind."""
import time
import unittest

from load import *

MAX_IDLE = 384  # octets of process memory for a keep-alive connection
IDLE = scaled(9000, 2000, 200)
RUSH = scaled(2000, 500, 100)
# What a rush may leave: pools that stay warm (64 stacks, 32 buffers of 16 KiB and 32 chunks of 8), 100
# octets for each stack that there ever was, and pages of the heap of which a part is in use.
MAX_LEFT = 2 << 20


def ask(socks, request, statuses):
    for sock in socks:
        sock.sendall(request)
    for sock in socks:
        status, _ = read_response(sock)
        statuses.append(status)


class IdleMemory(unittest.TestCase):
    def test_idle_connections(self):
        limit = raise_descriptor_limit(IDLE + 100)
        n = min(IDLE, limit - 100)
        with Server(TEST_SERVER) as server, no_descriptor_lost(server):
            statuses = []
            with connections(server, 100) as socks:  # what the pools will keep
                ask(socks, get(), statuses)
            time.sleep(0.2)
            before = memory(server)
            with connections(server, n) as socks:
                ask(socks, get(), statuses)
                time.sleep(0.2)
                each = (memory(server) - before) / n
                print('%d idle connections: %d octets each' % (n, each))
                self.assertEqual(set(statuses), {200})
                if not is_instrumented():
                    self.assertLessEqual(each, MAX_IDLE)
                # They are as good as new.
                ask(socks[::100], get(), statuses)
                self.assertEqual(set(statuses), {200})

    def test_after_a_rush(self):
        limit = raise_descriptor_limit(RUSH + 100)
        n = min(RUSH, limit - 100)
        with Server(SLOW_SERVER) as server, no_descriptor_lost(server):
            statuses = []
            with connections(server, 100) as socks:
                ask(socks, get('/sleep?ms=100'), statuses)
            time.sleep(0.2)
            growth = Growth(server)
            with connections(server, n) as socks:
                ask(socks, get('/sleep?ms=%d' % (2000 * SLOWNESS)), statuses)
            time.sleep(1.5 * SLOWNESS)  # it takes a second until it goes back
            self.assertEqual(set(statuses), {200})
            print('%d requests at once: %d octets each; %d KiB left afterwards'
                  % (n, growth.peak() / n, growth.now() / 1024))
            if not is_instrumented():
                self.assertGreater(growth.peak(), n * 4096)  # they were at once
                self.assertLess(growth.now(), MAX_LEFT)


if __name__ == '__main__':
    unittest.main()
