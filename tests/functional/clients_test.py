#!/usr/bin/env python3
"""Clients that people use: curl, Python's http.client, aiohttp, wrk, h2load."""
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from load import *

REUSED = r'Re-using existing (?:http: )?connection'  # in curl's words, old and new
SYSTEM_PYTHON = '/usr/bin/python3'  # that of Debian's packages

AIOHTTP_CLIENT = '''
import asyncio, sys
import aiohttp

async def main(url):
    async def chunks():
        for i in range(20):
            yield b'%d,' % i * 100
    async with aiohttp.ClientSession() as session:
        for i in range(20):
            async with session.get(url + '/json') as response:
                assert response.status == 200
                assert await response.json() == {'message': 'Hello, World!'}
        async with session.post(url + '/anything?a=1&b=%C3%A9', data=chunks(),
                                headers={'X-One': 'two'}) as response:
            told = await response.json()
            assert told['method'] == 'POST' and told['args'] == {'a': '1', 'b': '\\u00e9'}, told
            assert told['data'] == ''.join('%d,' % i * 100 for i in range(20)), told
        async with session.head(url + '/plaintext') as response:
            assert response.status == 200 and response.headers['Content-Length'] == '13'
        async with session.put(url + '/anything', data=b'x' * 100000, expect100=True) as response:
            assert (await response.json())['data'] == 'x' * 100000
        many = await asyncio.gather(*[session.get(url + '/hello/%d' % i) for i in range(200)])
        for i, response in enumerate(many):
            assert await response.text() == 'Hello, %d!\\n' % i
    print('fine')

asyncio.run(main(sys.argv[1]))
'''


def output_of(*command, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, timeout=60 * TIME_FACTOR, **more)
    output = done.stdout.decode(errors='replace')
    if done.returncode != 0:
        raise AssertionError('%s: exit status %d\n%s' % (command[0], done.returncode, output))
    return output


def curl(*arguments):
    return output_of('curl', '-sS', '--noproxy', '*', '-g', '--max-time', str(20 * TIME_FACTOR),
                     *arguments)


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(TEST_SERVER).start()
        cls.url = cls.server.url

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_http_client(self):
        with contextlib.closing(self.server.connect()) as connection:
            for i in range(10):
                connection.request('GET', '/hello/%d' % i)
                self.assertEqual(connection.getresponse().read(), b'Hello, %d!\n' % i)
            first = connection.sock
            connection.request('POST', '/anything', iter([b'one ', b'two ', b'three']),
                               encode_chunked=True, headers={'Transfer-Encoding': 'chunked'})
            told = json.loads(connection.getresponse().read())
            self.assertEqual((told['method'], told['data']), ('POST', 'one two three'))
            connection.request('HEAD', '/plaintext')
            response = connection.getresponse()
            self.assertEqual((response.read(), response.headers['Content-Length']), (b'', '13'))
            self.assertIs(connection.sock, first)
            self.assertIsNotNone(first)

    @unittest.skipUnless(os.access(SYSTEM_PYTHON, os.X_OK) and subprocess.run(
        [SYSTEM_PYTHON, '-c', 'import aiohttp'], stderr=subprocess.DEVNULL,
        check=False).returncode == 0, 'there is no python3-aiohttp')
    def test_aiohttp(self):
        output = output_of(SYSTEM_PYTHON, '-c', AIOHTTP_CLIENT, self.url)
        self.assertIn('fine', output)

    def no_errors(self, output, requests):
        if not UNDER_WRAPPER:
            self.assertGreater(requests, 100, output)

    @unittest.skipUnless(shutil.which('wrk'), 'there is no wrk')
    def test_wrk(self):
        for target in ('/plaintext', '/json'):
            output = output_of('wrk', '-t1', '-c64', '-d1', '--timeout', '%ds' % (5 * TIME_FACTOR),
                               self.url + target)
            self.assertNotIn('Socket errors', output)
            self.assertNotIn('Non-2xx', output)
            self.no_errors(output, int(re.search(r'(\d+) requests in', output).group(1)))

    @unittest.skipUnless(shutil.which('h2load'), 'there is no h2load')
    def test_h2load(self):
        output = output_of('h2load', '--h1', '-n', '2000', '-c', '20', '-m', '10',
                           self.url + '/plaintext')
        self.assertIn('2000 succeeded, 0 failed, 0 errored, 0 timeout', output)
        self.assertIn('2000 2xx, 0 3xx, 0 4xx, 0 5xx', output)


@unittest.skipUnless(shutil.which('curl'), 'there is no curl')
class Curl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(TEST_SERVER).start()
        cls.url = cls.server.url

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_keeps_the_connection(self):
        output = curl('-v', self.url + '/plaintext', self.url + '/json', self.url + '/none')
        self.assertEqual(len(re.findall(REUSED, output)), 2, output)
        self.assertEqual(output.count('HTTP/1.1 200 OK'), 2, output)
        self.assertEqual(output.count('HTTP/1.1 404 Not Found'), 1, output)

    def test_head(self):
        output = curl('-I', self.url + '/plaintext', self.url + '/plaintext')
        self.assertEqual(output.count('Content-Length: 13\r\n'.replace('\r\n', '')), 2, output)
        self.assertNotIn('Hello', output)

    def test_chunked_upload(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b'0123456789' * 50000)
            file.flush()
            told = json.loads(curl('-H', 'Transfer-Encoding: chunked', '-T', file.name,
                                   self.url + '/anything'))
            self.assertEqual(told['method'], 'PUT')
            self.assertEqual(told['data'], '0123456789' * 50000)
            self.assertEqual(told['headers']['Transfer-Encoding'], 'chunked')

    def test_expect_continue(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b'x' * 200000)
            file.flush()
            output = curl('-v', '-H', 'Expect: 100-continue', '--expect100-timeout', '60', '-o',
                          os.devnull, '--data-binary', '@' + file.name, self.url + '/anything')
            self.assertIn('HTTP/1.1 100 Continue', output)
            self.assertIn('HTTP/1.1 200 OK', output)
            # Nobody has to send what is not wanted.
            output = curl('-v', '-H', 'Expect: 100-continue', '--expect100-timeout', '60',
                          '--data-binary', '@' + file.name, self.url + '/none')
            self.assertNotIn('100 Continue', output)
            self.assertIn('HTTP/1.1 404 Not Found', output)

    def test_http_1_0(self):
        output = curl('-v', '--http1.0', self.url + '/plaintext')
        self.assertIn('HTTP/1.1 200 OK', output)
        self.assertIn('Connection: close', output)
        self.assertIn('Hello, World!', output)
        output = curl('-v', '--http1.0', '-H', 'Connection: keep-alive', self.url + '/plaintext',
                      self.url + '/plaintext')
        self.assertEqual(output.count('Connection: keep-alive'), 4, output)
        self.assertRegex(output, REUSED)

    def test_long_url(self):
        told = json.loads(curl(self.url + '/anything?q=' + 'a' * (8000 - len('/anything?q='))))
        self.assertEqual(len(told['args']['q']), 8000 - len('/anything?q='))
        self.assertEqual(curl('-o', os.devnull, '-w', '%{http_code}',
                              self.url + '/anything?q=' + 'a' * 9000), '414')

    def test_ipv6(self):
        if not os.path.exists('/proc/net/if_inet6'):
            self.skipTest('there is no IPv6')
        server = Server(TEST_SERVER)
        server.host = '::1'
        with server:
            self.assertEqual(curl('http://[::1]:%d/hello/six' % server.port), 'Hello, six!\n')


if __name__ == '__main__':
    unittest.main()
