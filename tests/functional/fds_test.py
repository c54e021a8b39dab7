#!/usr/bin/env python3
"""Running out of descriptors, and of connections; and Unix sockets."""
import contextlib
import os
import resource
import select
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from load import *

LIMIT = 64      # descriptors of the server
CLIENTS = 100   # more than that


def limit_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))


def begun(socks, wanted=None):
    """Those of the connections on which a stream has begun: so many, or as many as there are before
    nothing has come for a while."""
    patience = 1.5 * SLOWNESS if wanted is None else 20 * TIME_FACTOR
    found, left = [], list(socks)
    while len(found) != wanted and left:
        readable = select.select(left, [], [], patience)[0]
        if not readable:
            break
        for sock in readable:
            head = sock.recv(4096)
            assert head.startswith(b'HTTP/1.1 200 '), head
            found.append(sock)
            left.remove(sock)
    return found


class Shortage(unittest.TestCase):
    def pauses_and_resumes(self, server, logged):
        """More clients than the server can have, and none of them idle: some wait in the kernel's
        queue, until others leave."""
        raise_descriptor_limit(CLIENTS * 2)
        with connections(server, CLIENTS) as socks:
            for sock in socks:
                sock.sendall(get('/events'))
            served = begun(socks)
            waiting = [sock for sock in socks if sock not in served]
            print('%d served, %d wait' % (len(served), len(waiting)))
            self.assertGreater(len(served), 10)
            self.assertGreater(len(waiting), 10)
            self.assertEqual(server.log().count('accepting pauses'), logged)
            # It waits for better times without asking for them all the time.
            before = processor_seconds(server)
            time.sleep(1)
            if not is_instrumented():
                self.assertLess(processor_seconds(server) - before, 0.3)
            self.assertEqual(select.select(waiting, [], [], 0.1)[0], [])
            # One goes, another comes; the shortage is still the same one.
            leaving = len(waiting) // 2
            for sock in served[:leaving]:
                reset(sock)
            found = begun(waiting, leaving)
            self.assertEqual(len(found), leaving)
            time.sleep(0.3 * SLOWNESS)
            self.assertEqual(select.select(set(waiting) - set(found), [], [], 0)[0], [])
            self.assertEqual(server.log().count('accepting pauses'), logged)
            waiting = [sock for sock in waiting if sock not in found]
            for sock in served[leaving:]:
                reset(sock)
            self.assertEqual(len(begun(waiting, len(waiting))), len(waiting))

    def makes_room(self, server, most):
        """As many clients as one likes, all but one of them idle: those that have been so for longest
        are closed for the next one, which does not wait. Some have never asked for anything."""
        raise_descriptor_limit(CLIENTS * 4)
        with connections(server, CLIENTS) as silent, contextlib.ExitStack() as stack:
            socks = []
            for i in range(CLIENTS):
                sock = stack.enter_context(contextlib.closing(connect(server)))
                sock.sendall(get('/sleep?ms=0'))
                self.assertEqual(read_response(sock)[0], 200)
                socks.append(sock)
            readable = select.select(silent + socks, [], [], 0)[0]
            self.assertGreaterEqual(len(readable), 2 * CLIENTS - most)
            for sock in readable:
                self.assertEqual(read_to_end(sock), b'')
            # Those that came last are there.
            for sock in socks[-10:]:
                sock.sendall(get('/sleep?ms=0'))
                self.assertEqual(read_response(sock)[0], 200)

    @unittest.skipIf(UNDER_WRAPPER, 'valgrind closes what comes over its own limit')
    def test_descriptors(self):
        with Server(SLOW_SERVER, preexec_fn=limit_descriptors) as server:
            self.pauses_and_resumes(server, 1)
            time.sleep(0.3)
            # A second shortage is another one.
            self.pauses_and_resumes(server, 2)
            self.assertEqual(server.request('GET', '/sleep').status, 200)

    @unittest.skipIf(UNDER_WRAPPER, 'valgrind closes what comes over its own limit')
    def test_idle_ones_make_room_for_others(self):
        with Server(SLOW_SERVER, preexec_fn=limit_descriptors) as server:
            self.makes_room(server, LIMIT)
            self.assertEqual(server.log().count('idle connections are closed for new ones'), 1)

    def test_max_connections(self):
        with Server(SLOW_SERVER, env=dict(os.environ, MAX_CONNECTIONS='50')) as server:
            self.pauses_and_resumes(server, 0)
            self.assertEqual(server.request('GET', '/sleep?ms=0').status, 200)
            self.makes_room(server, 50)

    def test_max_connections_exactly(self):
        with Server(SLOW_SERVER, env=dict(os.environ, MAX_CONNECTIONS='10')) as server:
            time.sleep(0.1 * SLOWNESS)
            with connections(server, 11) as socks:
                for sock in socks:
                    sock.sendall(get('/events'))
                    time.sleep(0.01)
                self.assertCountEqual(begun(socks), socks[:10])
                reset(socks[3])
                self.assertEqual(begun(socks[10:], 1), socks[10:])


class UnixServer(Server):
    """On a Unix socket."""

    def __init__(self, path, **more):
        super().__init__(TEST_SERVER, '--path', path, **more)
        self.path = path

    def _accepts_or_ended(self):
        if self.process.poll() is not None:
            return True
        try:
            self.connect_unix().close()
            return True
        except OSError:
            return False

    def connect_unix(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20 * TIME_FACTOR)
        try:
            sock.connect(self.path)
        except OSError:
            sock.close()
            raise
        return sock


class UnixSockets(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, 'http.sock')

    def ask(self, server):
        with contextlib.closing(server.connect_unix()) as sock:
            sock.sendall(get())
            self.assertEqual(read_response(sock), (200, b'Hello, World!'))

    def test_served_and_removed(self):
        with UnixServer(self.path) as server:
            self.ask(server)
            if shutil.which('curl'):
                output = subprocess.run(['curl', '-sS', '--unix-socket', self.path,
                                         'http://localhost/plaintext', 'http://localhost/json'],
                                        stdout=subprocess.PIPE, check=True, timeout=60).stdout
                self.assertEqual(output, b'Hello, World!{"message":"Hello, World!"}')
        self.assertFalse(os.path.exists(self.path))

    def test_stale_one_is_replaced(self):
        dead = UnixServer(self.path).start()
        dead.kill()
        self.assertTrue(os.path.exists(self.path))
        with UnixServer(self.path) as server:
            self.ask(server)
        self.assertFalse(os.path.exists(self.path))

    def test_living_one_is_not(self):
        with UnixServer(self.path) as server:
            other = subprocess.run([TEST_SERVER, '--path', self.path], stderr=subprocess.PIPE,
                                   check=False, timeout=20 * TIME_FACTOR)
            self.assertEqual(other.returncode, 1)
            self.assertIn(self.path.encode(), other.stderr)
            self.ask(server)

    def test_file_is_not(self):
        with open(self.path, 'w', encoding='ascii') as file:
            file.write('precious')
        other = subprocess.run([TEST_SERVER, '--path', self.path], stderr=subprocess.PIPE,
                               check=False, timeout=20 * TIME_FACTOR)
        self.assertEqual(other.returncode, 1)
        self.assertIn(b'what is there is not a socket', other.stderr)
        with open(self.path, encoding='ascii') as file:
            self.assertEqual(file.read(), 'precious')


if __name__ == '__main__':
    unittest.main()
