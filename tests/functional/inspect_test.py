#!/usr/bin/env python3
"""Looking into a server that runs: its tasks at SIGUSR1, and debug mode."""
import os
import re
import signal
import unittest

from load import *


class Inspect(unittest.TestCase):
    def server(self, **popen):
        server = Server(SLOW_SERVER, **popen).start()
        self.addCleanup(server.kill)
        return server

    def client(self, server, request):
        sock = connect(server)
        self.addCleanup(sock.close)
        sock.sendall(request)
        return sock

    def dump(self, server, text):
        """Asks for the tasks until the report has the text in it. Returns the last report."""
        reports = []

        def ask():
            n = len(re.findall(r' \d+ tasks?\n', server.log()))
            server.process.send_signal(signal.SIGUSR1)
            wait_for('a report', lambda: len(re.findall(r' \d+ tasks?\n', server.log())) > n)
            reports.append(re.split(r' \d+ tasks?\n', server.log())[-1])
            return text in reports[-1]

        wait_for('a report with ' + text, ask)
        return reports[-1]

    def test_tasks_at_a_signal(self):
        server = self.server()
        self.client(server, get('/sleep?ms=60000'))
        uploading = self.client(server, post('/upload', 'Content-Length: 3000') + b'x' * 1000)
        report = self.dump(server, 'POST /upload')
        report = self.dump(server, 'GET /sleep?ms=60000')
        self.assertRegex(report, r'task \d+ "/sleep" \(GET /sleep\?ms=60000 from 127\.0\.0\.1\): '
                                 r'waiting for \d+ ms \(sleep\), .* octets of stack\n')
        self.assertRegex(report, r'task \d+ "/upload" \(POST /upload from 127\.0\.0\.1\): '
                                 r'waiting for \d+ ms \(reading fd \d+\), ')
        self.assertRegex(report, r'task \d+ "main": waiting for \d+ ms \(the end of serving\)')
        self.assertRegex(report, r' #0 0x')
        # It goes on.
        uploading.sendall(b'x' * 2000)
        self.assertEqual(read_response(uploading), (200, b'3000\n'))
        self.assertNotIn('/upload', self.dump(server, 'GET /sleep'))

    def test_the_program_may_ignore_the_signal(self):
        server = self.server(preexec_fn=lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN))
        for _ in range(3):
            server.process.send_signal(signal.SIGUSR1)
            self.assertEqual(read_response(self.client(server, get('/sleep?ms=0')))[0], 200)
        self.assertNotIn('task', server.log())
        server.stop()

    def test_debug_mode_by_the_environment(self):
        server = self.server(env=dict(os.environ, TEPAL_DEBUG='1'))
        for _ in range(3):
            self.assertEqual(read_response(self.client(server, get('/sleep?ms=0')))[0], 200)
        server.stop()
        self.assertRegex(server.log(), r'stacks of "connection": \d+ tasks, at most \d+ of \d+ ')
        self.assertNotIn('not closed', server.log())


if __name__ == '__main__':
    unittest.main()
