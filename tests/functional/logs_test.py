#!/usr/bin/env python3
"""Logs whose reader stands still or has gone, and standard descriptors that are closed."""
import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from load import *
from server import command, free_port

LINE = re.compile(r'127\.0\.0\.1 \[\d\d/[A-Z][a-z]{2}/\d{4}(:\d\d){3} [+-]\d{4}\] '
                  r'"GET /hello/n\d+ HTTP/1\.1" 200 \d+ "-" "-"$|'
                  r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (info|warning): ')


def ask(port, target, seconds=20):
    """A request on a connection of its own. Returns the status, 0 when there is no answer."""
    with socket.create_connection(('127.0.0.1', port), seconds * TIME_FACTOR) as sock:
        sock.sendall(b'GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' % target.encode())
        status = b''
        try:
            while len(status) < 12:
                piece = sock.recv(12 - len(status))
                if not piece:
                    break
                status += piece
        except OSError:
            pass
        return int(status[9:12] or 0)


@unittest.skipIf(UNDER_WRAPPER, 'valgrind writes to the same descriptors')
class Logs(unittest.TestCase):
    def start(self, stderr, **popen):
        """The hello example with standard error there. Returns (process, port)."""
        port = free_port()
        process = subprocess.Popen(command('hello') + ['--host', '127.0.0.1', '--port', str(port)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=stderr, **popen)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def accepts():
            try:
                socket.create_connection(('127.0.0.1', port), 1).close()
                return True
            except OSError:
                return process.poll() is not None
        wait_for('it accepts connections', accepts, 20)
        self.assertIsNone(process.poll())
        return process, port

    def end(self, process, seconds):
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(seconds * TIME_FACTOR), 0)

    def test_reader_stands_still(self):
        reader, writer = os.pipe()
        process, port = self.start(writer)
        for i in range(1500): # more than a pipe of 64 KiB takes
            self.assertEqual(ask(port, '/hello/n%d' % i), 200)
        os.set_blocking(reader, False)
        text = b''

        def read_on():
            nonlocal text
            try:
                text += os.read(reader, 1 << 20)
            except BlockingIOError:
                pass
            return b'/hello/n1499 ' in text
        wait_for('all lines have come', read_on, 20)
        numbers = [int(n) for n in re.findall(r'/hello/n(\d+) ', text.decode())]
        self.assertEqual(numbers, list(range(1500)))
        for line in text.decode().splitlines():
            self.assertRegex(line, LINE)
        os.close(writer)
        self.end(process, 10)
        os.close(reader)

    def test_reader_never_comes_back(self):
        reader, writer = os.pipe()
        process, port = self.start(writer)
        for i in range(1000):
            self.assertEqual(ask(port, '/hello/n%d' % i), 200)
        begin = time.monotonic()
        self.end(process, 10) # it waits a second for the reader
        self.assertLess(time.monotonic() - begin, 5 * TIME_FACTOR)
        os.close(reader)
        os.close(writer)

    def test_reader_has_gone(self):
        reader, writer = os.pipe()
        process, port = self.start(writer)
        os.close(reader)
        for i in range(10):
            self.assertEqual(ask(port, '/hello/n%d' % i), 200)
            time.sleep(0.01)
        self.assertIsNone(process.poll())
        self.end(process, 10)
        os.close(writer)

    def test_file_with_a_limit(self):
        """As on a full disk: what is in the file is whole, and the service goes on."""
        with tempfile.NamedTemporaryFile() as file:
            def limit():
                resource.setrlimit(resource.RLIMIT_FSIZE, (10000, resource.RLIM_INFINITY))
            with open(file.name, 'ab') as out:
                process, port = self.start(out, preexec_fn=limit)
            for i in range(200):
                self.assertEqual(ask(port, '/hello/n%d' % i), 200)
            wait_for('the file is full', lambda: os.path.getsize(file.name) == 10000)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE,
                             (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            self.assertEqual(ask(port, '/hello/n200'), 200)

            def lines():
                with open(file.name, encoding='ascii') as text:
                    return text.read().splitlines()
            wait_for('the rest has been written', lambda: 'n200' in lines()[-1])
            self.end(process, 10)
            self.assertEqual(sum('GET /hello' in line for line in lines()), 201)
            for line in lines():
                self.assertRegex(line, LINE)

    def test_closed_descriptors(self):
        """None of them becomes a connection that the log goes to."""
        for closed in ([2], [0, 1, 2], [1, 2], [0]):
            def close():
                for fd in closed:
                    os.close(fd)
            process, port = self.start(subprocess.DEVNULL, preexec_fn=close, close_fds=True)
            socks = [socket.create_connection(('127.0.0.1', port)) for _ in range(6)]
            self.assertEqual(ask(port, '/hello/secret'), 200)
            for fd in closed:
                self.assertEqual(os.readlink('/proc/%d/fd/%d' % (process.pid, fd)), '/dev/null')
            self.end(process, 10)
            for sock in socks: # its end, and nothing before
                self.assertEqual(sock.recv(1000), b'')
                sock.close()

    def test_words_of_the_end(self):
        server = Server('ticks').start()
        self.addCleanup(server.kill)
        with server.connect_socket() as sock:
            sock.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
            sock.recv(10)
            server.process.send_signal(signal.SIGINT)
            wait_for('it says what it waits for', lambda: 'waiting for' in server.log())
            self.assertRegex(server.log(), r'info: waiting for 1 request, at most 1 s; a second '
                                           r'Ctrl-C or SIGTERM ends it at once\n')


if __name__ == '__main__':
    unittest.main()
