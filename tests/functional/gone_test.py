#!/usr/bin/env python3
"""Clients that go away while their handler waits or writes, over TCP and over a Unix socket; and those
that only end their side. None of them may hold anything, nor hold the others up."""
import os
import signal
import socket
import tempfile
import unittest

from load import *


class Gone(unittest.TestCase):
    def server(self, *arguments, **settings):
        server = Server(SLOW_SERVER, *arguments, env=dict(os.environ, **settings)).start()
        self.addCleanup(server.kill)
        return server

    def client(self, server, request):
        sock = connect(server)
        self.addCleanup(sock.close)
        sock.sendall(request)
        return sock

    def waiting(self, server):
        return int(server.request('GET', '/waiting').body)

    def wait_until(self, server, n):
        wait_for('%d handlers wait' % n, lambda: self.waiting(server) == n)

    def test_close_ends_what_the_handler_waits_for(self):
        server = self.server()
        chunked = post('/poll', 'Transfer-Encoding: chunked') + b'1\r\nx\r\n0\r\n\r\n'
        for request in (get('/poll'), get('/events'), get('/poll') * 3, chunked,
                        post('/poll', 'Content-Length: 1') + b'x'):
            with self.subTest(request), no_descriptor_lost(server):
                socks = [self.client(server, request) for _ in range(10)]
                self.wait_until(server, 10)
                for sock in socks:
                    sock.close()
                self.wait_until(server, 0)

    def test_reset_ends_what_the_handler_waits_for(self):
        server = self.server()
        for request in (get('/poll'), get('/events')):
            with self.subTest(request), no_descriptor_lost(server):
                sock = self.client(server, request)
                self.wait_until(server, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                sock.close()
                self.wait_until(server, 0)

    def test_the_end_of_its_side_does_too_and_it_gets_its_answer(self):
        server = self.server()
        sock = self.client(server, get('/poll'))
        self.wait_until(server, 1)
        sock.shutdown(socket.SHUT_WR)
        self.assertTrue(read_to_end(sock).startswith(b'HTTP/1.1 503 '))
        sock = self.client(server, get('/events'))
        self.wait_until(server, 1)
        sock.shutdown(socket.SHUT_WR)
        answer = read_to_end(sock)
        self.assertIn(b': hello\n', answer)
        self.assertFalse(answer.endswith(b'0\r\n\r\n'), 'it looks complete')

    def test_what_is_written_goes_out_to_its_end(self):
        server = self.server()
        sock = connect(server, rcvbuf=65536)
        self.addCleanup(sock.close)
        sock.sendall(get('/big?bytes=8388608'))
        sock.shutdown(socket.SHUT_WR)
        answer = read_to_end(sock)
        self.assertEqual(len(answer.partition(b'\r\n\r\n')[2]), 8388608)

    def test_requests_before_the_end_are_answered(self):
        server = self.server()
        sock = self.client(server, get('/sleep') * 3)
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(read_to_end(sock).count(b'HTTP/1.1'), 3)

    def test_a_shielded_route_goes_on(self):
        server = self.server()
        socks = [self.client(server, get('/shielded')) for _ in range(3)]
        self.wait_until(server, 3)
        socks[0].close()
        socks[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        socks[1].close()
        socks[2].shutdown(socket.SHUT_WR)
        other = self.client(server, get('/poll'))
        self.wait_until(server, 4)
        other.close()
        self.wait_until(server, 3)
        self.client(server, get('/release'))
        self.assertTrue(read_to_end(socks[2]).endswith(b'news\n'))
        self.wait_until(server, 0)

    def test_half_closed_clients(self):
        server = self.server(HALF_CLOSED='1')
        sock, reset = [self.client(server, get('/poll')) for _ in range(2)]
        self.wait_until(server, 2)
        sock.shutdown(socket.SHUT_WR)
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        reset.close()
        self.wait_until(server, 1)
        self.client(server, get('/release'))
        self.assertTrue(read_to_end(sock).endswith(b'news\n'))

    def test_unix_sockets(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 's')
            server = Server(SLOW_SERVER, '--path', path)
            server._accepts_or_ended = lambda: os.path.exists(path)
            server.start()
            self.addCleanup(server.kill)

            def ask(request):
                sock = socket.socket(socket.AF_UNIX)
                self.addCleanup(sock.close)
                sock.settimeout(20 * TIME_FACTOR)
                sock.connect(path)
                sock.sendall(request)
                return sock

            def until(n):
                wait_for('%d handlers wait' % n, lambda: read_response(ask(get('/waiting')))[1]
                         == b'%d\n' % n)

            for request in (get('/poll'), get('/events')):
                for end in (lambda sock: sock.close(), lambda sock: sock.shutdown(socket.SHUT_WR)):
                    sock = ask(request)
                    until(1)
                    end(sock)
                    until(0)

    def test_head_of_a_stream(self):
        server = self.server()
        with no_descriptor_lost(server):
            for target in ('/flood', '/stream', '/stream?lines=100000&ms=100', '/events'):
                with self.subTest(target):
                    sock = self.client(server, b'HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n'
                                       % target.encode())
                    if target != '/events':
                        sock.sendall(get('/sleep'))  # on the same connection
                        answer = b''
                        while not answer.endswith(b'slept\n'):
                            answer += sock.recv(4096)
                    self.assertEqual(server.request('GET', '/sleep').status, 200)
                    sock.close()
        server.stop()


if __name__ == '__main__':
    unittest.main()
