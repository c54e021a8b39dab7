#!/usr/bin/env python3
"""The end of a server: what runs is finished, what idles is closed, and nothing new is begun."""
import contextlib
import os
import signal
import threading
import time
import unittest

from load import *

SOON = 3 * TIME_FACTOR  # what "at once" means; the shutdown timeout is 60 s


class Shutdown(unittest.TestCase):
    def server(self, program=SLOW_SERVER, **settings):
        server = Server(program, env=dict(os.environ, **settings)).start()
        self.addCleanup(server.kill)
        return server

    def client(self, server, request=b''):
        sock = connect(server)
        self.addCleanup(sock.close)
        sock.sendall(request)
        return sock

    def end(self, server, how=signal.SIGTERM):
        """Begins the end, and waits until it has been noticed."""
        before = server.log().count('ending')
        server.process.send_signal(how)
        wait_for('it says so', lambda: server.log().count('ending') > before)

    def ended(self, server, status=0, seconds=SOON):
        self.assertEqual(server.process.wait(seconds), status, server.log())

    def refuses(self, server):
        try:
            connect(server).close()
        except ConnectionRefusedError:
            return True
        return False

    def test_idle_connections_do_not_hold_it(self):
        for how in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(how):
                server = self.server()
                never = self.client(server)
                idle = self.client(server, get('/sleep?ms=0'))
                self.assertEqual(read_response(idle)[0], 200)
                time.sleep(0.1 * SLOWNESS)
                self.end(server, how)
                self.ended(server)
                for sock in (never, idle):
                    self.assertEqual(read_to_end(sock), b'')

    def test_half_a_head_may_be_finished(self):
        server = self.server()
        request = get('/sleep?ms=0')
        sock = self.client(server, request[:-5])
        time.sleep(0.1 * SLOWNESS)
        self.end(server)
        wait_for('it accepts no more', lambda: self.refuses(server))
        sock.sendall(request[-5:])
        answer = read_to_end(sock)
        self.assertTrue(answer.startswith(b'HTTP/1.1 200 OK\r\n'), answer)
        self.assertIn(b'\r\nConnection: close\r\n', answer)
        self.ended(server)

    def test_what_waits_to_be_accepted_is_served(self):
        """Connections and requests that come while the server is held, the signal too."""
        server = self.server()
        kept = self.client(server, get('/sleep?ms=0'))
        self.assertEqual(read_response(kept)[0], 200)
        server.process.send_signal(signal.SIGSTOP)
        kept.sendall(get('/sleep?ms=0'))
        socks = [self.client(server, get('/sleep?ms=0')) for _ in range(100)]
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        for sock in socks + [kept]:
            answer = read_to_end(sock)
            self.assertTrue(answer.startswith(b'HTTP/1.1 200 OK\r\n'), answer)
        self.ended(server)

    def test_a_first_request_may_come_later(self):
        """Who has connected before the end is not turned away: accepted, or still in the queue."""
        server = self.server()
        socks = [self.client(server)]
        time.sleep(0.1 * SLOWNESS)
        server.process.send_signal(signal.SIGSTOP)
        socks += [self.client(server) for _ in range(20)]
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        wait_for('it accepts no more', lambda: self.refuses(server))
        for sock in socks:
            sock.sendall(get('/sleep?ms=0'))
        for sock in socks:
            answer = read_to_end(sock)
            self.assertTrue(answer.startswith(b'HTTP/1.1 200 OK\r\n'), answer)
            self.assertIn(b'\r\nConnection: close\r\n', answer)
        self.ended(server)

    def answer_after_stop(self, request, more=b''):
        """The lengths of the answers to a slow reader, while the server ends and more is sent: mostly
        one, and more where the server is told of its end late."""
        server = self.server()
        sock = connect(server, rcvbuf=65536)
        self.addCleanup(sock.close)
        sock.sendall(request)
        time.sleep(0.1 * SLOWNESS)
        self.end(server)
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.send(more)
        sock.settimeout(20 * TIME_FACTOR)
        got = b''
        while True:
            data = sock.recv(20000)
            if not data:
                break
            got += data
            if len(got) < 1000000:
                time.sleep(0.002)  # a client that is not the fastest
        sock.close()
        self.ended(server)
        return self.bodies_of(got)

    def bodies_of(self, answers):
        """The lengths of their bodies, each of which must be whole."""
        lengths, at = [], 0
        while at < len(answers):
            head = answers[at:answers.index(b'\r\n\r\n', at) + 4]
            lengths.append(int(head.lower().partition(b'\r\ncontent-length: ')[2].split()[0]))
            at += len(head) + lengths[-1]
        self.assertEqual(at, len(answers), 'the last answer is cut')
        self.assertIn(b'\r\nConnection: close\r\n', head)
        return lengths

    def test_no_answer_is_cut_by_a_reset(self):
        big = 'big?bytes=8388608&ms=300'
        for name, request, more in (
                ('body not read', post('/' + big, 'Content-Length: 400000', 'Connection: close')
                 + b'y' * 200000, b''),
                ('body still comes', post('/' + big, 'Content-Length: 4000000', 'Connection: close')
                 + b'y' * 2000, b'y' * 100000),
                ('next requests wait', get('/' + big) * 1000, b''),
                ('next requests come', get('/' + big), get() * 1000)):
            with self.subTest(name):
                self.assertEqual(self.answer_after_stop(request, more)[0], 8388608)

    def test_running_request_is_finished(self):
        for how in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(how):
                server = self.server()
                ms = int(1500 * SLOWNESS)
                # The second one has not begun: the client is told that it will not.
                sock = self.client(server, get('/sleep?ms=%d' % ms) + get('/sleep?ms=1'))
                time.sleep(0.3 * SLOWNESS)
                self.end(server, how)
                # It says so before it does so: a connection may still slip in between.
                wait_for('it accepts no more', lambda: self.refuses(server))
                self.assertIsNone(server.process.poll())
                answer = read_to_end(sock)
                self.assertEqual(answer.count(b'HTTP/1.1'), 1)
                self.assertTrue(answer.startswith(b'HTTP/1.1 200 OK\r\n'), answer)
                self.assertIn(b'\r\nConnection: close\r\n', answer)
                self.assertTrue(answer.endswith(b'\r\n\r\nslept\n'), answer)
                self.ended(server)

    def test_stream_is_finished(self):
        server = self.server()
        sock = self.client(server, get('/stream?lines=10&ms=%d' % (100 * SLOWNESS)))
        wait_for('a line', lambda: sock.recv(1))
        self.end(server)
        answer = read_to_end(sock)
        self.assertTrue(answer.endswith(b'line 9\n\r\n0\r\n\r\n'), answer)
        self.ended(server)

    def test_upload_is_finished(self):
        server = self.server()
        sock = self.client(server, post('/upload', 'Content-Length: 3000') + b'x' * 1000)
        time.sleep(0.2 * SLOWNESS)
        self.end(server)
        sock.sendall(b'x' * 1000)
        time.sleep(0.2)
        sock.sendall(b'x' * 1000)
        status, body = read_response(sock)
        self.assertEqual((status, body), (200, b'3000\n'))
        self.ended(server)

    def test_second_signal_ends_at_once(self):
        for second in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(second):
                server = self.server()
                sock = self.client(server, get('/sleep?ms=60000'))
                time.sleep(0.3 * SLOWNESS)
                self.end(server)
                self.assertIsNone(server.process.poll())
                time.sleep(0.3)  # right after the first it would be the same wish
                self.end(server, second)
                self.ended(server, 1)
                self.assertEqual(read_to_end(sock), b'')
                self.assertRegex(server.log(), r'(?m)^[0-9T:.-]+Z warning: ending at once \(%s\)$'
                                 % second.name[3:])

    def test_one_wish_that_is_sent_twice(self):
        server = self.server()
        sock = self.client(server, get('/sleep?ms=%d' % (500 * SLOWNESS)))
        time.sleep(0.2 * SLOWNESS)
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGTERM)
        self.assertTrue(read_to_end(sock).startswith(b'HTTP/1.1 200 OK'))
        self.ended(server)

    def test_hangup_is_a_graceful_end(self):
        server = self.server()
        sock = self.client(server, get('/sleep?ms=%d' % (500 * SLOWNESS)))
        time.sleep(0.2 * SLOWNESS)
        self.end(server, signal.SIGHUP)
        self.assertTrue(read_to_end(sock).startswith(b'HTTP/1.1 200 OK'))
        self.ended(server)

    def test_sigpipe_is_no_end(self):
        server = self.server()
        server.process.send_signal(signal.SIGPIPE)
        sock = self.client(server, get('/sleep?ms=0'))
        self.assertEqual(read_response(sock)[0], 200)
        self.end(server)
        self.ended(server)

    def test_what_takes_too_long_is_cancelled(self):
        server = self.server(SHUTDOWN_MS='500')
        sleeping = self.client(server, get('/sleep?ms=60000'))
        streaming = self.client(server, get('/stream?lines=1000000&ms=100'))
        old = self.client(server, b'GET /stream?lines=1000000&ms=100 HTTP/1.0\r\n\r\n')
        not_reading = connect(server, rcvbuf=4096)
        self.addCleanup(not_reading.close)
        not_reading.sendall(get('/stream'))
        uploading = self.client(server, post('/upload', 'Content-Length: 3000') + b'x')
        time.sleep(0.3 * SLOWNESS)
        self.end(server)
        time.sleep(0.2)
        self.assertIsNone(server.process.poll())
        self.ended(server, 0, 0.5 + SOON)
        for sock in (sleeping, uploading):
            answer = read_to_end(sock)
            self.assertIn(answer[9:10], (b'', b'5'), answer)
        # A stream that was cut off must not look complete.
        self.assertFalse(read_to_end(streaming).endswith(b'\r\n0\r\n\r\n'))
        # Where the close is the end of the body, it must be a reset.
        with self.assertRaises(ConnectionResetError):
            while old.recv(65536):
                pass

    def test_many_at_once(self):
        """Requests that come all the time while it ends: each is answered, or was never read."""
        server = self.server(TEST_SERVER)
        wrong, n = [], [0]

        def ask():
            with contextlib.suppress(ConnectionError):
                while True:
                    with contextlib.closing(connect(server)) as sock:
                        for _ in range(5):
                            sock.sendall(get())
                            status, body = read_response(sock)
                            if status != 200 and body:
                                wrong.append(body)
                            if status != 200:
                                break
                            n[0] += 1

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.5 * SLOWNESS)
        server.process.send_signal(signal.SIGTERM)
        self.ended(server)
        for thread in threads:
            thread.join(20 * TIME_FACTOR)
        self.assertEqual(wrong, [])
        self.assertGreater(n[0], 8)


if __name__ == '__main__':
    unittest.main()
