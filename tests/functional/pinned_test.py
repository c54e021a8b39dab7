#!/usr/bin/env python3
"""The pinned example against openssl s_server with a self-signed certificate."""
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

from server import SKIPPED, TIME_FACTOR, free_port, run, wait_for


def openssl(*arguments):
    return subprocess.run(('openssl',) + arguments, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, timeout=20 * TIME_FACTOR, check=True).stdout


def listens(port):
    with socket.socket() as sock:
        return sock.connect_ex(('127.0.0.1', port)) == 0


class Pinned(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.key, certificate = (os.path.join(folder.name, name) for name in ('key', 'crt'))
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                '-subj', '/CN=device', '-keyout', self.key, '-out', certificate)
        self.port = free_port()
        server = subprocess.Popen(['openssl', 's_server', '-accept', str(self.port), '-cert',
                                   certificate, '-key', self.key, '-quiet'],
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.addCleanup(server.stdin.close)
        wait_for('s_server listens', lambda: listens(self.port))

    def test_fingerprints(self):
        key = openssl('pkey', '-in', self.key, '-pubout', '-outform', 'DER')
        fingerprint = hashlib.sha256(key).hexdigest()
        place = ['127.0.0.1', str(self.port)]
        self.assertEqual(run('pinned', *place),
                         (1, "the server's key is not known\n%s\n" % fingerprint))
        self.assertEqual(run('pinned', *place, fingerprint), (0, fingerprint + '\n'))
        self.assertEqual(run('pinned', *place, fingerprint[::-1]),
                         (1, 'the server has another key\n%s\n' % fingerprint))

    def test_usage(self):
        self.assertEqual(run('pinned', 'host')[0], 2)


if __name__ == '__main__':
    if not shutil.which('openssl'):
        sys.exit(SKIPPED)
    unittest.main()
