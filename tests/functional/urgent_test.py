#!/usr/bin/env python3
"""Urgent data in a request, over TCP and over a Unix socket: what stands behind it is read like all
else, whether it came before the server looked or after."""
import os
import socket
import tempfile
import time
import unittest

from load import *

ENDS_SOON = 8  # seconds: a head that is not read to its end is answered 408 after 10


def accepts(path):
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(path) == 0


class Urgent(unittest.TestCase):
    def connect(self, path=None):
        if path is None:
            sock = connect(self.server)
        else:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
        sock.settimeout(ENDS_SOON * TIME_FACTOR)
        self.addCleanup(sock.close)
        return sock

    def ask(self, sock, request, at, pause):
        """Sends a request with an urgent octet at a place of it, and all at once or not."""
        sock.sendall(request[:at])
        if pause:
            time.sleep(pause)
        try:
            sock.send(b'!', socket.MSG_OOB)
        except OSError:
            self.skipTest('no urgent data here')
        sock.sendall(request[at:])
        return sock.recv(4096)

    def ask_all(self, path=None):
        body = b'x' * 1000
        requests = [(b'GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n', (8, 30)),
                    (b'POST /anything HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n' + body,
                     (20, 300))]
        for request, places in requests:
            for at in places:
                for pause in (0, 0.1):
                    with self.subTest(request=request[:20], at=at, pause=pause):
                        sock = self.connect(path)
                        answer = self.ask(sock, request, at, pause)
                        self.assertTrue(answer.startswith(b'HTTP/1.1 200 '), answer)
                        # And the next one on the same connection.
                        sock.sendall(b'GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n')
                        self.assertIn(b'HTTP/1.1 200 ', sock.recv(4096))

    def test_over_tcp(self):
        self.server = Server(TEST_SERVER).start()
        self.addCleanup(self.server.kill)
        self.ask_all()

    def test_over_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'socket')
            self.server = Server(TEST_SERVER, '--path', path)
            self.server._accepts_or_ended = lambda: accepts(path)
            self.server.start()
            self.addCleanup(self.server.kill)
            self.ask_all(path)


if __name__ == '__main__':
    unittest.main()
