#!/usr/bin/env python3
"""TLS with clients of others: openssl s_client, curl, and Python's ssl, against bench's
tls_handshake.c, which answers a line with what it knows about the connection."""
import hashlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

from server import SKIPPED, TIME_FACTOR, Server, wait_for

PROGRAM = os.path.join(os.environ.get('TEPAL_TEST_SERVERS', ''), 'tls-server')
SOON = 20 * TIME_FACTOR
NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']


def openssl(*arguments, **options):
    return subprocess.run(('openssl',) + arguments, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=SOON, check=False, **options)


AUTHORITY = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']


class Certificates:
    """An authority, one below it, and what it has issued: NAME.pem has certificate, chain and key."""

    def __init__(self, folder):
        self.folder = folder
        self.make('ca', '/CN=Test CA', None, AUTHORITY)
        self.make('stranger', '/CN=Stranger', None, AUTHORITY)
        self.make('between', '/CN=Between', 'ca', AUTHORITY)
        self.issue('server', 'DNS:localhost,IP:127.0.0.1')
        self.issue('other', 'DNS:other.example')
        self.issue('client', 'DNS:client.example')

    def path(self, name):
        return os.path.join(self.folder, name + '.pem')

    def make(self, name, subject, issuer, extensions):
        command = ['req', '-x509', '-days', '30', '-subj', subject, '-keyout',
                   self.path(name + '-key'), '-out', self.path(name)] + NEW_KEY
        for extension in extensions:
            command += ['-addext', extension]
        if issuer:
            command += ['-CA', self.path(issuer), '-CAkey', self.path(issuer + '-key')]
        done = openssl(*command)
        assert done.returncode == 0, done.stdout

    def issue(self, name, names):
        self.make(name, '/CN=' + name, 'between',
                  ['basicConstraints=critical,CA:FALSE', 'subjectAltName=' + names])
        with open(self.path(name), 'a', encoding='ascii') as out:
            for part in ('between', name + '-key'):
                with open(self.path(part), encoding='ascii') as file:
                    out.write(file.read())


class TlsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.certificates = Certificates(cls.folder.name)

    def path(self, name):
        return self.certificates.path(name)

    def server(self, *arguments):
        server = Server(PROGRAM, '--certificate', self.path('server'), *arguments)
        server.start()
        self.addCleanup(server.stop)
        return server

    def s_client(self, server, *arguments, text='hello\n'):
        """What s_client and the server say."""
        return openssl('s_client', '-connect', '127.0.0.1:%d' % server.port, '-ign_eof',
                       '-CAfile', self.path('ca'), *arguments,
                       input=text.encode()).stdout.decode(errors='replace')

    def curl(self, server, *arguments):
        done = subprocess.run(['curl', '-sS', '--max-time', str(SOON), '--cacert', self.path('ca'),
                               'https://localhost:%d/' % server.port] + list(arguments),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout.decode(errors='replace')

    def context(self):
        return ssl.create_default_context(cafile=self.path('ca'))

    def ask(self, server, context, session=None, name='localhost'):
        """One connection. Returns the answer and the session."""
        with socket.create_connection((server.host, server.port), SOON) as sock, \
                context.wrap_socket(sock, server_hostname=name, session=session) as tls:
            tls.sendall(b'hello\n')
            answer = b''
            while True:
                piece = tls.recv(4096)  # without close_notify this would be an error
                if not piece:
                    return answer.decode(), tls.session
                answer += piece

    def test_versions(self):
        server = self.server()
        for option, version in (('-tls1_2', 'TLSv1.2'), ('-tls1_3', 'TLSv1.3')):
            output = self.s_client(server, option, '-verify_return_error')
            self.assertIn(version + ' ', output)
            self.assertIn('Verify return code: 0 (ok)', output)
            self.assertIn('HTTP/1.0 200 OK', output)
        for option in ('-tls1', '-tls1_1'):
            output = self.s_client(server, option, '-cipher', 'ALL:@SECLEVEL=0')
            self.assertNotIn('HTTP/1.0 200 OK', output)
            self.assertIn('alert protocol version', output)
        # What is not forward secret or not authenticated.
        for cipher in ('AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384'):
            output = self.s_client(server, '-tls1_2', '-cipher', cipher + ':@SECLEVEL=0')
            self.assertIn('handshake failure', output)

    def test_chain_is_sent(self):
        output = self.s_client(self.server(), '-showcerts')
        self.assertEqual(output.count('-----BEGIN CERTIFICATE-----'), 2)
        self.assertRegex(output, r'1 s:CN ?= ?Between\n +i:CN ?= ?Test CA')

    def test_curl(self):
        server = self.server('--alpn', 'http/1.1')
        for option, version in (('--tls-max 1.2', 'TLSv1.2'), ('--tlsv1.3', 'TLSv1.3')):
            status, output = self.curl(server, *option.split())
            self.assertEqual(status, 0, output)
            self.assertIn(version, output)
            self.assertIn('alpn=http/1.1 name=localhost', output)
        status, output = self.curl(server, '--tls-max', '1.1')
        self.assertEqual(status, 35, output)
        status, output = self.curl(server, '--cacert', self.path('stranger'))
        self.assertEqual(status, 60, output)

    def test_resumption(self):
        server = self.server()
        for option in ('-tls1_2', '-tls1_3'):
            path = os.path.join(self.folder.name, 'session' + option)
            self.assertIn('resumed=0', self.s_client(server, option, '-sess_out', path))
            output = self.s_client(server, option, '-sess_in', path)
            self.assertIn('resumed=1', output)
            self.assertRegex(output, r'(?m)^Reused, TLSv1')
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context()
            context.maximum_version = version
            answer, session = self.ask(server, context)
            self.assertIn('resumed=0', answer)
            self.assertIn('resumed=1', self.ask(server, context, session)[0])

    def test_names(self):
        server = self.server('--more', self.path('other'))
        self.assertRegex(self.s_client(server, '-noservername'), 'subject=CN ?= ?server')
        self.assertRegex(self.s_client(server, '-servername', 'other.example'),
                         'subject=CN ?= ?other')
        self.assertIn('name=other.example', self.ask(server, self.context(), None,
                                                     'other.example')[0])
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.ask(server, self.context(), None, 'third.example')

    def test_alpn(self):
        server = self.server('--alpn', 'h2')
        self.assertIn('ALPN protocol: h2', self.s_client(server, '-alpn', 'http/1.1,h2'))
        self.assertIn('no application protocol', self.s_client(server, '-alpn', 'http/1.1'))

    def test_client_certificates(self):
        server = self.server('--ca', self.path('ca'))
        context = self.context()
        context.load_cert_chain(self.path('client'))
        self.assertIn('peer=CN=client', self.ask(server, context)[0])
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.ask(server, self.context())
        self.assertIn('certificate required', self.s_client(server))
        self.assertRegex(self.s_client(server, '-cert', self.path('client'), '-key',
                                       self.path('client-key')), 'CN ?= ?Test CA')

    def test_reload(self):
        server = self.server()
        served = re.compile(r'-----BEGIN CERTIFICATE-----.*?-----END', re.S)
        first = served.search(self.s_client(server)).group()
        self.certificates.issue('server', 'DNS:localhost,IP:127.0.0.1')
        self.assertEqual(served.search(self.s_client(server)).group(), first)
        server.process.send_signal(signal.SIGHUP)
        wait_for('it reloads', lambda: 'reloaded' in server.log())
        self.assertNotEqual(served.search(self.s_client(server)).group(), first)

    def fingerprint(self, name):
        """Of the key in a certificate, as tepal_tls_peer has it."""
        key = openssl('pkey', '-in', self.path(name + '-key'), '-pubout', '-outform', 'DER').stdout
        return hashlib.sha256(key).hexdigest()

    def test_client_keys(self):
        # Self-signed: its key is all that is known of it.
        self.certificates.make('mine', '/CN=Mine', None, ['basicConstraints=critical,CA:FALSE'])
        mine = ['-cert', self.path('mine'), '-key', self.path('mine-key')]
        server = self.server('--client-key', self.fingerprint('mine'))
        session = os.path.join(self.folder.name, 'session')
        for version in '-tls1_2', '-tls1_3':
            output = self.s_client(server, version, *mine, '-sess_out', session)
            self.assertIn('peer=CN=Mine resumed=0', output)
            output = self.s_client(server, version, *mine, '-sess_in', session)
            self.assertIn('peer=CN=Mine resumed=1', output)
            output = self.s_client(server, version, '-cert', self.path('client'), '-key',
                                   self.path('client-key'))
            self.assertIn('alert bad certificate', output)
        self.assertIn('the client has another key', server.log())

    @staticmethod
    def secrets(path):
        """The lines of a log of keys, but for comments."""
        with open(path, encoding='ascii') as file:
            return {line for line in file if not line.startswith('#')}

    def test_key_log(self):
        ours, theirs = (os.path.join(self.folder.name, name) for name in ('ours', 'theirs'))
        server = self.server('--key-log', ours)
        self.assertEqual(os.stat(ours).st_mode & 0o777, 0o600)
        for version, lines in ((ssl.TLSVersion.TLSv1_2, 1), (ssl.TLSVersion.TLSv1_3, 5)):
            context = self.context()
            context.maximum_version = version
            context.keylog_filename = theirs
            before = self.secrets(theirs)
            self.ask(server, context)
            self.assertEqual(len(self.secrets(theirs) - before), lines)
            self.assertEqual(self.secrets(ours), self.secrets(theirs))
        os.environ['SSLKEYLOGFILE'] = theirs
        try:
            status, output = self.curl(server)
        finally:
            del os.environ['SSLKEYLOGFILE']
        self.assertEqual(status, 0, output)
        self.assertEqual(len(self.secrets(ours)), 1 + 5 + 5)
        self.assertLessEqual(self.secrets(theirs), self.secrets(ours))

    def test_plain_text(self):
        server = self.server()
        with socket.create_connection((server.host, server.port), SOON) as sock:
            sock.sendall(b'GET / HTTP/1.1\r\n\r\n')
            try:
                answer = sock.recv(1000)
            except ConnectionResetError:
                answer = b''
            self.assertNotIn(b'200 OK', answer)
        self.assertIn('200 OK', self.ask(server, self.context())[0])


if __name__ == '__main__':
    if not shutil.which('openssl') or not shutil.which('curl'):
        sys.exit(SKIPPED)
    unittest.main()
