#!/usr/bin/env python3
"""Serving within the loops of GLib and libuv: requests are answered while timers of the host go on."""
import concurrent.futures
import os
import re
import socket
import time
import unittest

from server import EXAMPLES, TIME_FACTOR, Server, free_port, run, wait_for


def start(name):
    return Server(name, where=('{port}',))


class Guest:
    """What is the same whoever the host is."""

    def connect(self, server):
        return socket.create_connection((server.host, server.port), 10 * TIME_FACTOR)

    def ticks(self, server):
        response = server.request('GET', '/')
        self.assertEqual(response.status, 200)
        return int(re.fullmatch(r'(\d+) ticks\n', response.text)[1])

    def test_both_go_on(self):
        with start(self.name) as server:
            first = self.ticks(server)
            wait_for('the timer of the host ticks', lambda: self.ticks(server) > first + 2)

    def test_many_at_once(self):
        with start(self.name) as server, concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: self.ticks(server), range(200)))
            self.assertEqual(len(found), 200)

    def test_ends_gracefully(self):
        with start(self.name) as server, self.connect(server) as waiting:
            waiting.sendall(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
            self.assertIn(b' 200 ', waiting.recv(4096))
            # At the end of the block SIGTERM ends it, with 0, though a connection is open.

    def test_rests(self):
        """It does not go round and round while nothing happens but ten-millisecond ticks."""
        with start(self.name) as server:
            self.ticks(server)

            def cpu():
                with open('/proc/%d/stat' % server.process.pid, encoding='ascii') as file:
                    fields = file.read().rsplit(')', 1)[1].split()
                return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

            before = cpu()
            time.sleep(1)
            self.assertLess(cpu() - before, 0.5)

    def test_port_taken(self):
        with socket.socket() as taken:
            taken.bind(('', free_port()))
            taken.listen()
            status, output = run(self.name, str(taken.getsockname()[1]))
            self.assertEqual(status, 1, output)
            self.assertIn('in use', output)


@unittest.skipUnless(os.path.exists(os.path.join(EXAMPLES, 'glib')), 'there is no GLib')
class InGlib(Guest, unittest.TestCase):
    name = 'glib'


@unittest.skipUnless(os.path.exists(os.path.join(EXAMPLES, 'libuv')), 'there is no libuv')
class InLibuv(Guest, unittest.TestCase):
    name = 'libuv'


if __name__ == '__main__':
    unittest.main()
