#!/usr/bin/env python3
"""The lookup example with a name server of this test's own, as the system's files name it: in
namespaces where port 53 is free and /etc is ours."""
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

from server import run

A, PTR, TXT, AAAA, SRV, NXDOMAIN, NOERROR = 1, 12, 16, 28, 33, 3, 0


def name(text):
    return b''.join(bytes([len(label)]) + label.encode() for label in text.split('.') if label) + b'\0'


def service(priority, weight, port, host):
    return struct.pack('!HHH', priority, weight, port) + name(host)


ZONE = {
    ('host.test', A): [socket.inet_aton('192.0.2.1')],
    ('host.test', AAAA): [socket.inet_pton(socket.AF_INET6, '2001:db8::1')],
    ('1.2.0.192.in-addr.arpa', PTR): [name('host.test')],
    ('_a._tcp.test', SRV): [service(20, 0, 2, 'second.test'), service(10, 0, 1, 'first.test')],
    ('_none._tcp.test', SRV): [service(0, 0, 0, '')],
    ('long.test', TXT): [bytes([200]) + b'x' * 200 + bytes([50]) + b'y' * 50] * 3,
}


def answer(query, udp):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    kind = struct.unpack('!H', query[at + 1:at + 3])[0]
    key = ('.'.join(labels).lower(), kind)
    records = b''.join(b'\xc0\x0c' + struct.pack('!HHIH', kind, 1, 60, len(data)) + data
                       for data in ZONE.get(key, []))
    known = any(known == key[0] for known, _ in ZONE)
    flags, n = 0x8180 | (NOERROR if known else NXDOMAIN), len(ZONE.get(key, []))
    if udp and len(records) > 400:
        flags, n, records = flags | 0x200, 0, b''  # truncated
    return query[:2] + struct.pack('!HHHHH', flags, 1, n, 0, 0) + query[12:at + 5] + records


def serve(address):
    """Answers at this address, over UDP and TCP, until the process ends."""
    def over_udp(sock):
        while True:
            query, peer = sock.recvfrom(4096)
            sock.sendto(answer(query, True), peer)

    def over_tcp(sock):
        while True:
            conn, _ = sock.accept()
            with conn, conn.makefile('rwb') as file:
                size = file.read(2)
                reply = answer(file.read(int.from_bytes(size, 'big')), False)
                file.write(len(reply).to_bytes(2, 'big') + reply)

    udp, tcp = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
    for sock in udp, tcp:
        sock.bind((address, 53))
    tcp.listen()
    for fn, sock in (over_udp, udp), (over_tcp, tcp):
        threading.Thread(target=fn, args=(sock,), daemon=True).start()


def replace(path, text):
    """Lets a file of /etc be this text, for us alone."""
    with tempfile.NamedTemporaryFile('w', delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    subprocess.run(['mount', '--bind', file.name, path], check=True)
    os.unlink(file.name)


@unittest.skipUnless('TEPAL_LOOKUP_INSIDE' in os.environ, 'no namespaces here')
class Lookup(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
        replace('/etc/resolv.conf', 'nameserver 127.0.0.53\n')
        replace('/etc/hosts', '192.0.2.9 hosts-name.test alias\n2001:db8::9 six.test\n')
        serve('127.0.0.53')

    def expect(self, arguments, output, status=0):
        self.assertEqual(run('lookup', *arguments), (status, output))

    def test_host(self):
        status, output = run('lookup', 'host.test')
        self.assertEqual((status, sorted(output.split())), (0, ['192.0.2.1', '2001:db8::1']))
        self.expect(['hosts-name.test'], '192.0.2.9\n')

    def test_reverse(self):
        self.expect(['192.0.2.1'], 'host.test\n')
        self.expect(['192.0.2.9'], 'hosts-name.test\n')  # of /etc/hosts, as the next one
        self.expect(['2001:db8::9'], 'six.test\n')
        status, output = run('lookup', '192.0.2.2')
        self.assertEqual(status, 1)
        self.assertIn('no such host name', output)

    def test_services(self):
        self.expect(['srv', '_a._tcp.test'], 'first.test:1\nsecond.test:2\n')
        status, output = run('lookup', 'srv', '_none._tcp.test')
        self.assertEqual(status, 1)
        self.assertIn('does not have this service', output)

    def test_texts(self):
        self.expect(['txt', 'long.test'], ('x' * 200 + 'y' * 50 + '\n') * 3)


class WithoutNetwork(unittest.TestCase):
    def test_usage(self):
        for arguments in [], ['mx', 'a.test'], ['a', 'b', 'c']:
            status, output = run('lookup', *arguments)
            self.assertEqual(status, 2)
            self.assertIn('usage:', output)

    def test_localhost(self):
        self.assertEqual(run('lookup', 'localhost'), (0, '::1\n127.0.0.1\n'))
        self.assertEqual(run('lookup', 'txt', 'localhost')[0], 1)


if __name__ == '__main__':
    inside = ['unshare', '--mount', '--net'] + ['--map-root-user'] * (os.getuid() != 0)
    if 'TEPAL_LOOKUP_INSIDE' not in os.environ and shutil.which('ip') and \
            subprocess.run(inside + ['true'], check=False, stderr=subprocess.DEVNULL).returncode == 0:
        os.environ['TEPAL_LOOKUP_INSIDE'] = '1'
        os.execvp(inside[0], inside + [sys.executable] + sys.argv)
    unittest.main()
