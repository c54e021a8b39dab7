#!/usr/bin/env python3
"""Clients that mean harm, or have bad luck: what they cost is bounded, and others do not notice.

Bounds of memory, as growth of the server's resident memory at its peak:
  a head       an input buffer grows to 48 KiB (32 of head, and a read), a request has an arena of
               8 KiB: both a few times, for pools and malloc, is far below MAX_HEAD
  a body       /anything collects up to max_body, 1 MiB, in an arena that doubles (4 MiB with what
               is left behind), and answers with a copy of it in JSON, one in text: MAX_BODY
  a slow head  what has come of it, once, and the connection: SLOW_HEAD
  a slow body  a task waits for it, on a stack of which few pages are in use, with a buffer of 16
               KiB and an arena of 8: SLOW_BODY
  no reader    the same, and the rest of the response is not made before it is taken: SLOW_BODY
"""
import contextlib
import os
import select
import socket
import time
import unittest

from load import *

MAX_HEAD = 1 << 20
MAX_BODY = 8 << 20
SLOW_HEAD = 1536
SLOW_BODY = 48 << 10
FLOOD = 20 << 20  # far more than the kernel holds of it

HEAD = b'GET /plaintext HTTP/1.1\r\nHost: x\r\n'
CHUNKED = post('/anything', 'Transfer-Encoding: chunked')
FLOODS = [
    # what is endless, how it begins, how it goes on, the bound, the statuses it may be answered
    ('header lines', HEAD, b'X-Fill: ' + b'a' * 50 + b'\r\n', MAX_HEAD, (431,)),
    ('header line', HEAD + b'X-Fill: ', b'a' * 64, MAX_HEAD, (431,)),
    ('header name', HEAD, b'a' * 64, MAX_HEAD, (431,)),
    ('header fold', HEAD + b'X-Fill: a\r\n', b' a\r\n', MAX_HEAD, (400,)),
    ('method', b'', b'A' * 64, MAX_HEAD, (400, 414, 501)),
    ('target', b'GET /plaintext?', b'a' * 64, MAX_HEAD, (414,)),
    ('leading CRLF', b'', b'\r\n', MAX_HEAD, (400,)),
    ('NUL', b'', b'\0' * 64, MAX_HEAD, (400,)),
    ('chunk extension', CHUNKED + b'1;a=', b'a' * 64, MAX_HEAD, (400, 413)),
    ('chunk extensions', CHUNKED, b'1;' + b'a' * 3000 + b'\r\nx\r\n', MAX_HEAD, (400, 413)),
    ('chunk size', CHUNKED, b'0' * 64, MAX_HEAD, (400, 413)),
    ('trailers', CHUNKED + b'0\r\n', b'X-Fill: ' + b'a' * 50 + b'\r\n', MAX_HEAD, (400, 413, 431)),
    ('trailer', CHUNKED + b'0\r\nX-Fill: ', b'a' * 64, MAX_HEAD, (400, 413, 431)),
    ('tiny chunks', CHUNKED, b'1\r\nx\r\n', MAX_BODY, (413,)),
    ('chunks', CHUNKED, b'1000\r\n' + b'x' * 4096 + b'\r\n', MAX_BODY, (413,)),
    # The first one is the end of the body. What follows is another request, and none.
    ('empty chunks', CHUNKED, b'0\r\n\r\n', MAX_HEAD, (200, 400)),
]


class Hostile(unittest.TestCase):
    def setUp(self):
        self.raised = raise_descriptor_limit(12000)

    def bounded(self, growth, bound):
        """The peak of the memory; said, and judged where it is the server's own."""
        print('  memory grew by %d KiB' % (growth.peak() / 1024), flush=True)
        if not is_instrumented():
            self.assertLess(growth.peak(), bound)

    def flood(self, server, head, unit, total, answered=True):
        """Returns (octets sent, answer)."""
        sock = connect(server)
        try:
            sock.sendall(head)
            sent = send_until_refused(sock, unit * (65536 // len(unit)), total)
            return sent, read_to_end(sock) if answered else b''
        finally:
            reset(sock)

    def test_floods(self):
        with Server(TEST_SERVER) as server, no_descriptor_lost(server):
            for name, head, unit, bound, statuses in FLOODS:
                with self.subTest(name):
                    self.flood(server, head, unit, FLOOD // 8, False)  # what is kept anyway
                    growth = Growth(server)
                    with Others(server) as others:
                        sent, answer = self.flood(server, head, unit, FLOOD)
                    print('endless %s: %d octets taken; %s' % (name, sent, others))
                    self.bounded(growth, bound)
                    # It was refused at the limit, and not because there was nothing more.
                    self.assertLess(sent, FLOOD)
                    if answer:  # it may have been lost: the server does not read for ever
                        self.assertIn(int(answer[9:12]), statuses, answer[:200])

    def test_floods_of_clients_that_do_not_listen(self):
        """They go on sending although they have been answered: all of it is dropped."""
        with Server(TEST_SERVER) as server, no_descriptor_lost(server):
            for name, head, unit, bound, statuses in FLOODS:
                if name not in ('header lines', 'header line', 'target', 'trailers'):
                    continue
                with self.subTest(name):
                    growth = Growth(server)
                    with contextlib.closing(connect(server)) as sock, Others(server) as others:
                        sock.sendall(head)
                        block = unit * (65536 // len(unit))
                        for _ in range(FLOOD // len(block)):
                            sock.sendall(block)
                        sock.shutdown(socket.SHUT_WR)
                        answer = read_to_end(sock)
                    print('20 MiB of endless %s; %s' % (name, others))
                    self.bounded(growth, bound)
                    self.assertIn(int(answer[9:12]), statuses, answer[:200])
                    self.assertEqual(answer.count(b'HTTP/1.1 '), 1)

    def test_body_that_nobody_wants(self):
        with Server(TEST_SERVER) as server, no_descriptor_lost(server):
            growth = Growth(server)
            block = b'x' * 65536
            with Others(server):
                for target, fields in (('/plaintext', 'Content-Length: 99999999'),
                                       ('/anything', 'Content-Length: 99999999'),
                                       ('/none', 'Transfer-Encoding: chunked')):
                    head = post(target, fields)
                    if 'chunked' in fields:
                        head += b'ffffff0\r\n'
                    _, answer = self.flood(server, head, block, FLOOD)
                    if answer:
                        self.assertIn(int(answer[9:12]), (404, 405, 413), answer[:200])
            self.bounded(growth, MAX_HEAD)

    def test_vanishing_clients(self):
        """In the middle of a body, of a head and of a response; by a reset and by an end."""
        n = scaled(1000, 500, 120)
        starts = [post('/anything', 'Content-Length: 100000') + b'x' * 500,
                  CHUNKED + b'fff\r\nabc',
                  post('/anything', 'Content-Length: 100000'),
                  get()[:-2],
                  get() * 50,
                  post('/anything', 'Content-Length: 60000') + b'x' * 60000]
        with Server(TEST_SERVER) as server, no_descriptor_lost(server):
            for sock in [connect(server) for _ in range(50)]:
                sock.sendall(starts[0])
                reset(sock)
            growth = Growth(server)
            with Others(server) as others:
                for i in range(n):
                    for how in (reset, socket.socket.close):
                        sock = connect(server)
                        sock.sendall(starts[i % len(starts)])
                        if i % 4 == 0:
                            time.sleep(0.001)
                        how(sock)
            print('2 x %d clients vanish; %s' % (n, others))
            self.bounded(growth, MAX_BODY)

    def test_slow_clients(self):
        """Thousands of clients that send an octet now and then: half of them of a head, the others
        of a body. The heads get their time and no more, whatever still comes of them."""
        wanted = scaled(10000, 2000, 200)
        n = min(wanted, (self.raised - 100) // 2 * 2)
        if n < wanted:
            print('only %d slow clients: the limit of descriptors is %d' % (n, self.raised))
        with Server(TEST_SERVER) as server, no_descriptor_lost(server):
            with contextlib.ExitStack() as stack:
                growth = Growth(server)
                heads, bodies = [], []
                for socks, start in ((heads, b'GET /plaintext HTTP/1.1\r\nHost: x\r\nX-Slow: '),
                                     (bodies, post('/anything', 'Content-Length: 1000'))):
                    socks += stack.enter_context(connections(server, n // 2))
                    for sock in socks:
                        sock.sendall(start)
                    grown = growth.now()
                    print('%d slow clients: %d octets each' % (n // 2, grown / (n // 2)))
                    if not is_instrumented():
                        self.assertLess(grown / (n // 2), SLOW_HEAD if socks is heads else SLOW_BODY)
                with Others(server) as others:
                    end = time.monotonic() + 8 * SLOWNESS
                    while time.monotonic() < end:
                        for sock in heads + bodies:
                            with contextlib.suppress(ConnectionError):
                                sock.send(b'x')
                        time.sleep(0.3)
                print(others)
                self.bounded(growth, n // 2 * (SLOW_HEAD + SLOW_BODY))
                # 10 s after its first octet a head is over, and a body is not.
                for sock in heads:
                    answer = read_to_end(sock)
                    self.assertIn(answer[9:12], (b'408', b''), answer[:200])
                for sock in bodies[:100]:
                    sock.setblocking(False)
                    self.assertRaises(BlockingIOError, sock.recv, 1)

    def test_pipelining_without_reading(self):
        with Server(TEST_SERVER) as server, no_descriptor_lost(server):
            growth = Growth(server)
            sock = connect(server, rcvbuf=65536)
            with contextlib.closing(sock), Others(server) as others:
                sent = self.send_until_stuck(sock, get() * 200)
                self.assertLess(sent, 64 << 20)
                self.bounded(growth, MAX_HEAD)
                # Everything that has been sent is answered, once.
                sock.settimeout(20 * TIME_FACTOR)
                left = len(get()) - sent % len(get())
                wanted = sent // len(get()) + 1
                sock.setblocking(False)
                answers, tail, end = 0, b'', time.monotonic() + 30 * TIME_FACTOR
                while answers < wanted and time.monotonic() < end:
                    select.select([sock], [sock] if left else [], [], 1)
                    with contextlib.suppress(BlockingIOError):
                        if left:
                            left -= sock.send(get()[-left:])
                    with contextlib.suppress(BlockingIOError):
                        more = sock.recv(1 << 20)
                        self.assertTrue(more, 'closed')
                        data = tail + more
                        answers += data.count(b'HTTP/1.1 200 OK\r\n')
                        tail = data[-16:]
                self.assertEqual(answers, wanted)
            print('pipelined without reading: %d octets taken; %s' % (sent, others))

    def send_until_stuck(self, sock, block):
        """Sends until nothing has gone for half a second. Returns how many octets."""
        sock.setblocking(False)
        sent, view = 0, memoryview(block)
        while sent < 64 << 20 and select.select([], [sock], [], 0.5 * SLOWNESS)[1]:
            with contextlib.suppress(BlockingIOError):
                sent += sock.send(view[sent % len(block):])
        return sent

    def test_fast_client_does_not_hold_others_up(self):
        """One that always has more to send, and reads all answers: the server must look away from
        it. Both of an endless row of requests and of an endless body."""
        for server_path, head, block, target in (
                (TEST_SERVER, b'', get() * 500, '/plaintext'),
                (SLOW_SERVER, post('/upload', 'Transfer-Encoding: chunked'),
                 b'10000\r\n' + b'x' * 65536 + b'\r\n', '/sleep?ms=0')):
            with self.subTest(server_path), Server(server_path) as server:
                with contextlib.closing(connect(server)) as sock, Others(server, target) as others:
                    sock.sendall(head)
                    sock.setblocking(False)
                    sent, view, end = 0, memoryview(block), time.monotonic() + 3
                    while time.monotonic() < end:
                        select.select([sock], [sock], [])
                        with contextlib.suppress(BlockingIOError):
                            sent += sock.send(view[sent % len(block):])
                        with contextlib.suppress(BlockingIOError):
                            self.assertTrue(sock.recv(1 << 20), 'closed')
                    reset(sock)
                print('fast client: %d MiB; %s' % (sent >> 20, others))

    def test_responses_that_are_not_read(self):
        """Large ones and endless ones. They are given up after the time for a blocked write."""
        n = scaled(200, 100, 20)
        env = dict(os.environ, WRITE_MS=str(int(2000 * SLOWNESS)))
        with Server(SLOW_SERVER, env=env) as server, no_descriptor_lost(server):
            growth = Growth(server)
            with Others(server, '/sleep?ms=0') as others, contextlib.ExitStack() as stack:
                socks = [stack.enter_context(contextlib.closing(connect(server, rcvbuf=4096)))
                         for _ in range(n)]
                for sock in socks:
                    sock.sendall(get('/stream'))
                time.sleep(1.0 * SLOWNESS)
                print('%d responses are not read: %d octets each' % (n, growth.now() / n))
                busy = descriptors(server)
                self.assertGreater(busy, n)
                wait_for('responses given up', lambda: descriptors(server) < busy - n + 10, 10)
            print(others)
            self.bounded(growth, n * SLOW_BODY)


if __name__ == '__main__':
    unittest.main()
