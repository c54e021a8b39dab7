#!/usr/bin/env python3
"""The examples, asked over real sockets, as a newcomer would with curl."""
import concurrent.futures
import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest

from server import EXAMPLES, TIME_FACTOR, Server, command, free_port, run, wait_for


class Hello(unittest.TestCase):
    def test_says_hello(self):
        with Server('hello') as server:
            response = server.request('GET', '/hello/you')
            self.assertEqual((response.status, response.text), (200, 'Hello, you!\n'))
            self.assertEqual(response.headers['Content-Type'], 'text/plain; charset=utf-8')
            response = server.request('GET', '/hello/%C3%A9t%C3%A9%20100%25')
            self.assertEqual(response.text, 'Hello, été 100%!\n')

    def test_head_404_405(self):
        with Server('hello') as server:
            response = server.request('HEAD', '/hello/you')
            self.assertEqual((response.status, response.body), (200, b''))
            self.assertEqual(response.headers['Content-Length'], '12')
            self.assertEqual(server.request('GET', '/').status, 404)
            self.assertEqual(server.request('GET', '/hello/').status, 404)
            response = server.request('POST', '/hello/you', b'')
            self.assertEqual((response.status, allowed(response)), (405, {'GET', 'HEAD'}))

    def test_many_on_one_connection(self):
        with Server('hello') as server, contextlib.closing(server.connect()) as connection:
            for i in range(50):
                connection.request('GET', '/hello/%d' % i)
                self.assertEqual(connection.getresponse().read(), b'Hello, %d!\n' % i)

    @unittest.skipUnless(shutil.which('curl'), 'there is no curl')
    def test_curl(self):
        with Server('hello') as server:
            output = subprocess.run(['curl', '-sS', '--noproxy', '*', server.url + '/hello/curl'],
                                    stdout=subprocess.PIPE, check=True, timeout=20).stdout
            self.assertEqual(output, b'Hello, curl!\n')

    def test_command_line(self):
        for arguments, status in ((['--port', 'x'], 2), (['--nonsense'], 2), (['--help'], 0)):
            found, output = run('hello', *arguments)
            self.assertEqual(found, status, output)
            self.assertIn('--port', output)


class Rest(unittest.TestCase):
    def test_life_of_items(self):
        with Server('rest') as server:
            self.assertEqual(server.request('GET', '/todos').json(), {})
            milk = {'id': 1, 'title': 'Buy "milk" \u20ac'}
            tea = {'id': 2, 'title': 'Buy tea'}
            for item in (milk, tea):
                response = server.request('POST', '/todos', {'title': item['title']})
                self.assertEqual((response.status, response.json()), (201, item))
                self.assertTrue(response.headers['Content-Type'].startswith('application/json'))
            response = server.request('GET', '/todos')
            self.assertEqual((response.status, response.json()), (200, {'1': milk, '2': tea}))
            response = server.request('GET', '/todos/1')
            self.assertEqual((response.status, response.json()), (200, milk))
            response = server.request('DELETE', '/todos/1')
            self.assertEqual((response.status, response.body), (204, b''))
            self.assertEqual(server.request('GET', '/todos/1').status, 404)
            self.assertEqual(server.request('DELETE', '/todos/1').status, 404)
            self.assertEqual(server.request('GET', '/todos').json(), {'2': tea})
            # An id is not used again.
            self.assertEqual(server.request('POST', '/todos', {'title': 'x'}).json()['id'], 3)

    def test_what_is_refused(self):
        with Server('rest') as server:
            for body in ({}, {'title': ''}, {'title': 7}, {'title': None}, {'name': 'x'}, []):
                self.assertEqual(server.request('POST', '/todos', body).status, 422, body)
            for body in ('', '{', '{"title": "x"', 'nonsense', b'{"title": "\xff"}'):
                self.assertEqual(server.request('POST', '/todos', body).status, 400, body)
            self.assertEqual(server.request('POST', '/todos', b'"' + b'x' * 2000000).status, 413)
            for target in ('/', '/todos/', '/todos/7', '/todos/x', '/todos/1/2'):
                self.assertEqual(server.request('GET', target).status, 404, target)
            response = server.request('PUT', '/todos', b'')
            self.assertEqual((response.status, allowed(response)), (405, {'GET', 'HEAD', 'POST'}))
            response = server.request('PATCH', '/todos/1', b'')
            self.assertEqual((response.status, allowed(response)), (405, {'GET', 'HEAD', 'DELETE'}))
            self.assertEqual(server.request('GET', '/todos').json(), {})

    def test_full_list(self):
        with Server('rest') as server, contextlib.closing(server.connect()) as connection:
            for i in range(1001):
                connection.request('POST', '/todos', '{"title": "x"}')
                response = connection.getresponse()
                response.read()
                self.assertEqual(response.status, 201 if i < 1000 else 507)
            self.assertEqual(len(server.request('GET', '/todos').json()), 1000)
            self.assertEqual(server.request('DELETE', '/todos/500').status, 204)
            self.assertEqual(server.request('POST', '/todos', {'title': 'x'}).status, 201)


class Echo(unittest.TestCase):
    def server(self):
        return Server('echo', where=['{port}'])

    def test_sends_back(self):
        with self.server() as server, server.connect_socket() as sock:
            for text in (b'hello', b'x', b'\0\xff\n' * 1000):
                sock.sendall(text)
                self.assertEqual(receive(sock, len(text)), text)
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(sock.recv(1), b'')

    def test_many_at_once(self):
        def talk(number):
            with server.connect_socket() as sock:
                barrier.wait(20 * TIME_FACTOR)
                for i in range(20):
                    text = b'%d:%d;' % (number, i) * (i * i + 1)
                    sock.sendall(text)
                    self.assertEqual(receive(sock, len(text)), text)
        barrier = threading.Barrier(20)
        with self.server() as server:
            with concurrent.futures.ThreadPoolExecutor(20) as pool:
                list(pool.map(talk, range(20)))

    def test_clients_that_do_not_read_or_vanish(self):
        with self.server() as server, server.connect_socket() as greedy:
            greedy.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    greedy.send(b'x' * 65536)
            with server.connect_socket() as rude:
                rude.sendall(b'x' * 100000)
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            with server.connect_socket() as sock:
                sock.sendall(b'hello')
                self.assertEqual(receive(sock, 5), b'hello')

    def test_port_that_is_taken(self):
        with self.server() as server:
            status, output = run('echo', str(server.port))
            self.assertEqual(status, 1, output)
            self.assertIn('in use', output)
        status, output = run('echo', 'nonsense')
        self.assertEqual(status, 1, output)


class Chat(unittest.TestCase):
    @staticmethod
    def hear(file):
        """The next line. The first client was the one that looked whether the server accepts: it
        has left, and others may still be told so."""
        line = file.readline()
        return file.readline() if line == b'1 has left\n' else line

    @contextlib.contextmanager
    def room(self, n):
        """A server with n clients, all of which have come; their sockets and files to read."""
        with Server('chat', where=['{port}']) as server, contextlib.ExitStack() as stack:
            clients = []
            for _ in range(n):
                sock = stack.enter_context(server.connect_socket())
                file = stack.enter_context(sock.makefile('rb'))
                for _, other in clients:
                    self.assertIn(b' has come', self.hear(other))
                # The first line may overtake nothing: who has been heard is there.
                for _, other in clients[:1]:
                    sock.sendall(b'here\n')
                    self.assertTrue(self.hear(other).endswith(b': here\n'))
                for _, other in clients[1:]:
                    self.assertTrue(self.hear(other).endswith(b': here\n'))
                clients.append((sock, file))
            yield clients

    def test_a_line_goes_to_all_others(self):
        with self.room(4) as clients:
            for i, (sock, _) in enumerate(clients):
                for text in (b'hello', b'', b'x' * 500):
                    sock.sendall(text + b'\r\n')
                    for k, (_, other) in enumerate(clients):
                        if k != i:
                            self.assertRegex(self.hear(other), b'^[0-9]+: ' + text + b'\n$')
            clients[0][0].shutdown(socket.SHUT_WR)
            self.assertEqual(clients[0][1].read(), b'')
            for _, other in clients[1:]:
                self.assertIn(b' has left', self.hear(other))

    def test_a_line_that_is_too_long(self):
        with self.room(2) as clients:
            clients[0][0].sendall(b'x' * 501 + b'\n')
            self.assertIn(b' has left', clients[1][1].readline())

    def test_one_that_does_not_read_holds_nobody(self):
        with self.room(3) as clients:
            (talker, _), (_, listener), (sock, deaf) = clients
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            text = b'x' * 490
            for i in range(1000):
                talker.sendall(b'%d %s\n' % (i, text) * 20)
                for _ in range(20):
                    self.assertIn(text, listener.readline())
            # What it missed it is told when it reads again.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            lines = 0
            while True:
                line = deaf.readline()
                if b'missed' in line:
                    missed = int(re.search(b'[0-9]+', line)[0])
                    break
                lines += 1
            self.assertEqual(lines + missed, 20000)


class Ticks(unittest.TestCase):
    def test_a_line_a_second_until_the_client_leaves(self):
        with Server('ticks') as server:
            with contextlib.closing(server.connect()) as connection:
                connection.request('GET', '/')
                stream = connection.getresponse()
                self.assertEqual(stream.status, 200)
                self.assertEqual(stream.headers['Transfer-Encoding'], 'chunked')
                times = []
                for i in range(1, 4):
                    self.assertEqual(stream.readline(), b'tick %d\n' % i)
                    times.append(time.monotonic())
                for before, after in zip(times, times[1:]):
                    self.assertGreater(after - before, 0.7)
                    self.assertLess(after - before, 2.5 * TIME_FACTOR)
                # Others are served meanwhile, and this response is still open: not logged yet.
                self.assertEqual(server.request('GET', '/other').status, 404)
                self.assertNotIn('"GET / HTTP/1.1"', server.log())
                stream.close()
            # The server sees that the client is gone, and ends the handler: it logs the response.
            wait_for('the stream ends', lambda: '"GET / HTTP/1.1"' in server.log(), 5)
            self.assertEqual(server.request('GET', '/other').status, 404)

    def test_stops_while_a_client_listens(self):
        server = Server('ticks').start()
        try:
            with contextlib.closing(server.connect()) as connection:
                connection.request('GET', '/')
                stream = connection.getresponse()
                self.assertEqual(stream.readline(), b'tick 1\n')
                start = time.monotonic()
                server.stop()
                self.assertLess(time.monotonic() - start, 3 * TIME_FACTOR)
        finally:
            server.kill()


@unittest.skipUnless(os.path.exists(os.path.join(EXAMPLES, 'todo')), 'todo was not built')
class Beat(unittest.TestCase):
    def test_beats_until_the_end(self):
        with Server('beat') as server:
            wait_for('a beat', lambda: server.request('GET', '/').json()['beats'] > 0)
        self.assertRegex(server.log(), r'the last of \d+ beats')


class Bearer(unittest.TestCase):
    def test_token(self):
        with Server('bearer', '--token', 's3cret') as server:
            def status(target, authorization=None):
                headers = {'Authorization': authorization} if authorization else {}
                return server.request('GET', target, headers=headers).status
            self.assertEqual(status('/health'), 200)
            for wrong in (None, 'Bearer', 'Bearer x', 'Bearer s3cret1', 'Bearer s3cre', 'Basic s3cret'):
                self.assertEqual(status('/api/me', wrong), 401, wrong)
            self.assertEqual(status('/api/nothing'), 401)
            self.assertEqual(status('/api/me', 'bearer s3cret'), 200)
            response = server.request('GET', '/api/me')
            self.assertEqual(response.headers['WWW-Authenticate'], 'Bearer')

    def test_without_a_token_it_does_not_start(self):
        status, output = run('bearer', '--port', str(free_port()))
        self.assertEqual(status, 1, output)
        self.assertIn('--token is required', output)


class Greeter(unittest.TestCase):
    def test_its_own_test(self):
        self.assertEqual(run('greeter', '--test'), (0, 'every test passed\n'))

    def test_serves(self):
        with Server('greeter') as server:
            response = server.request('POST', '/hello', {'name': 'Ann'})
            self.assertEqual(response.json(), {'greeting': 'hello', 'name': 'Ann'})


class Todo(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.db = os.path.join(folder.name, 'todo.db')

    def server(self):
        return Server('todo', '--db', self.db)

    def test_life_of_items(self):
        with self.server() as server:
            self.assertEqual(server.request('GET', '/api/todos').json(), [])
            title = '<b>Buy</b> "milk" \u20ac \U0001f95b'
            response = server.request('POST', '/api/todos', {'title': title})
            milk = response.json()
            self.assertEqual(response.status, 201)
            self.assertEqual(response.headers['Location'], '/api/todos/1')
            self.assertRegex(milk.pop('created'), r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
            self.assertEqual(milk, {'id': 1, 'title': title, 'done': False})
            for change, expected in (({'done': True}, (title, True)),
                                     ({'title': 'Tea'}, ('Tea', True)),
                                     ({'title': 'Milk', 'done': False}, ('Milk', False)),
                                     ({'done': True}, ('Milk', True))):
                response = server.request('PATCH', '/api/todos/1', change)
                self.assertEqual(response.status, 200)
                item = response.json()
                self.assertEqual((item['title'], item['done']), expected)
                self.assertEqual(server.request('GET', '/api/todos/1').json(), item)
            server.request('POST', '/api/todos', {'title': 'Tea'})
        with self.server() as server:
            # The data is there after a restart.
            items = server.request('GET', '/api/todos').json()
            self.assertEqual([(item['id'], item['title'], item['done']) for item in items],
                             [(1, 'Milk', True), (2, 'Tea', False)])
            response = server.request('DELETE', '/api/todos?done=1')
            self.assertEqual((response.status, response.json()), (200, items[:1]))
            response = server.request('DELETE', '/api/todos/2')
            self.assertEqual((response.status, response.body), (204, b''))
            self.assertEqual(server.request('GET', '/api/todos').json(), [])
            self.assertEqual(server.request('POST', '/api/todos', {'title': 'x'}).json()['id'], 3)

    def test_what_is_refused(self):
        with self.server() as server:
            def status(method, target, *more):
                response = server.request(method, target, *more, **as_json)
                if response.status >= 400:
                    self.assertEqual(response.json()['status'], response.status)
                    self.assertTrue(response.json()['error'])
                return response.status
            as_json = {'headers': {'Accept': 'application/json'}}
            for body in ({}, {'title': ''}, {'title': ' \t'}, {'title': 7}, {'title': 'x' * 201},
                         {'title': 'x', 'more': 1}, {'title': 'x', 'done': True}, [], 'x', 1):
                body = body if isinstance(body, (dict, list)) else [body]
                self.assertEqual(status('POST', '/api/todos', body), 422, body)
            self.assertEqual(status('POST', '/api/todos', {'title': '\u20ac' * 200}), 201)
            for body in ({}, {'title': ''}, {'done': 1}, {'done': 'true'}, {'title': None}):
                self.assertEqual(status('PATCH', '/api/todos/1', body), 422, body)
            self.assertEqual(status('DELETE', '/api/todos'), 422)
            self.assertEqual(status('DELETE', '/api/todos?done=0'), 422)
            # A page of another site can send this one, without a question before it.
            self.assertEqual(status('POST', '/api/todos', '{"title": "x"}'), 415)
            as_json['headers']['Content-Type'] = 'application/json'
            self.assertEqual(status('POST', '/api/todos', '{"title": '), 400)
            self.assertEqual(status('POST', '/api/todos', '"' + 'x' * 20000), 413)
            for method in ('GET', 'DELETE'):
                self.assertEqual(status(method, '/api/todos/7'), 404)
            self.assertEqual(status('PATCH', '/api/todos/7', {'done': True}), 404)
            for target in ('/api/todos/x', '/api/todos/99999999999999999999', '/api', '/nothing'):
                self.assertEqual(status('GET', target), 404)
            response = server.request('PUT', '/api/todos/1', b'')
            self.assertEqual((response.status, allowed(response)),
                             (405, {'GET', 'HEAD', 'PATCH', 'DELETE'}))

    def test_page(self):
        with self.server() as server:
            for target, kind, piece in (('/', 'text/html', '<script src="app.js"'),
                                        ('/style.css', 'text/css', ':root'),
                                        ('/app.js', 'text/javascript', "'use strict'")):
                response = server.request('GET', target)
                self.assertEqual(response.status, 200)
                self.assertEqual(response.headers['Content-Type'], kind + '; charset=utf-8')
                self.assertIn(piece, response.text)
            for target in ('/', '/api/todos', '/nothing'):
                headers = server.request('GET', target).headers
                self.assertIn("default-src 'none'", headers['Content-Security-Policy'])
                self.assertNotIn('unsafe', headers['Content-Security-Policy'])
                self.assertEqual(headers['X-Content-Type-Options'], 'nosniff')

    def test_full_list(self):
        with self.server() as server:
            with contextlib.closing(sqlite3.connect(self.db, timeout=20)) as db, db:
                db.executemany('INSERT INTO todos (title) VALUES (?)', [('x',)] * 999)
            self.assertEqual(server.request('POST', '/api/todos', {'title': 'x'}).status, 201)
            self.assertEqual(server.request('POST', '/api/todos', {'title': 'x'}).status, 507)
            self.assertEqual(len(server.request('GET', '/api/todos').json()), 1000)

    def test_waiting_for_the_database_holds_nobody_up(self):
        with self.server() as server, contextlib.ExitStack() as stack:
            db = stack.enter_context(contextlib.closing(sqlite3.connect(self.db, timeout=20)))
            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor())
            db.isolation_level = None
            db.execute('BEGIN IMMEDIATE')
            post = pool.submit(server.request, 'POST', '/api/todos', {'title': 'x'})
            time.sleep(0.5)
            self.assertEqual(server.request('GET', '/').status, 200)
            self.assertFalse(post.done())
            db.execute('COMMIT')
            self.assertEqual(post.result(20 * TIME_FACTOR).status, 201)

    def test_readers_pass_while_the_file_is_locked(self):
        with self.server() as server, contextlib.ExitStack() as stack:
            db = stack.enter_context(contextlib.closing(sqlite3.connect(self.db, timeout=20)))
            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor())
            db.isolation_level = None
            db.execute('BEGIN IMMEDIATE')
            posts = [pool.submit(server.request, 'POST', '/api/todos', {'title': 'x'})
                     for _ in range(3)]
            self.assertEqual(server.request('GET', '/api/todos').json(), [])
            self.assertFalse(any(post.done() for post in posts))
            # However many wait, each has its answer after a time that does not add up.
            self.assertEqual({post.result().status for post in posts}, {503})
            db.execute('COMMIT')
            self.assertEqual(server.request('POST', '/api/todos', {'title': 'x'}).status, 201)

    def test_full_disk(self):
        folder = os.path.dirname(self.db)
        script = os.path.join(folder, 'on-a-small-disk')
        mounted = 'mount -t tmpfs -o size=300k tmpfs %s' % folder
        if subprocess.run(['unshare', '-rm', 'sh', '-c', mounted], check=False,
                          stderr=subprocess.DEVNULL).returncode:
            self.skipTest('no file system can be mounted here')
        with open(script, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\nexec unshare -rm sh -c \'%s && exec "$0" "$@"\' %s "$@"\n'
                       % (mounted, os.path.join(EXAMPLES, 'todo')))
        os.chmod(script, 0o755)
        with Server(script, '--db', self.db) as server:
            for _ in range(1000):
                response = server.request('POST', '/api/todos', {'title': 'x' * 200})
                if response.status != 201:
                    break
            self.assertEqual((response.status, response.json()['error']), (507, 'the disk is full'))
            self.assertIn('SQLite: database or disk is full', server.log())
            self.assertEqual(server.request('GET', '/api/todos').status, 200)

    def test_file_that_is_gone(self):
        with self.server() as server:
            self.assertEqual(server.request('POST', '/api/todos', {'title': 'x'}).status, 201)
            os.rename(self.db, self.db + '.old')
            # What is said to be written must be there after a restart.
            self.assertEqual(server.request('POST', '/api/todos', {'title': 'y'}).status, 500)
            self.assertEqual(server.request('GET', '/api/todos').status, 500)
            self.assertIn('the database has been moved or removed', server.log())
            os.rename(self.db + '.old', self.db)
            self.assertEqual(server.request('POST', '/api/todos', {'title': 'z'}).status, 201)
        with self.server() as server:
            titles = [item['title'] for item in server.request('GET', '/api/todos').json()]
            self.assertEqual(titles, ['x', 'z'])

    def test_database_must_be_a_file(self):
        for name in ('', ':memory:'):
            status, output = run('todo', '--port', str(free_port()), '--db', name)
            self.assertEqual(status, 1, output)
            self.assertIn('the database must be a file', output)

    def test_file_that_cannot_be_opened(self):
        status, output = run('todo', '--port', str(free_port()), '--db', '/nowhere/x')
        self.assertEqual(status, 1, output)
        self.assertIn('cannot open /nowhere/x', output)


def receive(sock, size):
    """So many octets."""
    data = b''
    while len(data) < size:
        # No more at once: Python makes room for all that is asked for, and MALLOC_PERTURB_ fills it.
        more = sock.recv(min(size - len(data), 1 << 18))
        if not more:
            break
        data += more
    return data


def allowed(response):
    """The methods in the Allow field."""
    return {method.strip() for method in response.headers['Allow'].split(',')} - {'OPTIONS'}


class Portscan(unittest.TestCase):
    def test_finds_what_listens(self):
        with Server('hello') as server:
            first = max(1, server.port - 150)
            status, output = run('portscan', '127.0.0.1', str(first), str(server.port))
            self.assertEqual(status, 0, output)
            self.assertIn(str(server.port), output.split())
        status, output = run('portscan', '127.0.0.1', str(server.port))
        self.assertEqual((status, output), (0, ''))

    def test_bad_command_line(self):
        for arguments in ([], ['127.0.0.1', '0'], ['127.0.0.1', '9', '8'], ['a', '1', '65536']):
            status, output = run('portscan', *arguments)
            self.assertEqual(status, 2, output)
            self.assertIn('usage', output)


class Relay(unittest.TestCase):
    """TLS goes to a server of Python's, HTTP to the hello example."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.hello = self.stack.enter_context(Server('hello'))
        self.listener = self.stack.enter_context(socket.create_server(('127.0.0.1', 0)))

    def relay(self, other_port=None):
        targets = ['127.0.0.1:%d' % port for port in
                   (self.listener.getsockname()[1], other_port or self.hello.port)]
        return Server('relay', *targets, where=['{port}'])

    def test_http(self):
        with self.relay() as relay, contextlib.closing(relay.connect()) as connection:
            for name in ('you', 'me'):
                connection.request('GET', '/hello/' + name)
                response = connection.getresponse()
                self.assertEqual(response.read(), b'Hello, %s!\n' % name.encode())

    @unittest.skipUnless(shutil.which('openssl'), 'there is no openssl')
    def test_tls(self):
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        pem = os.path.join(folder, 'server.pem')
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                        'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=localhost',
                        '-keyout', pem, '-out', pem + '.crt'], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem + '.crt', pem)

        def serve():
            with context.wrap_socket(self.listener.accept()[0], server_side=True) as sock:
                data = receive(sock, 1000000)
                sock.sendall(data)
                return len(data)
        client = ssl.create_default_context(cafile=pem + '.crt')
        client.check_hostname = False
        text = bytes(range(250)) * 4000
        with self.relay() as relay, concurrent.futures.ThreadPoolExecutor(1) as pool:
            served = pool.submit(serve)
            with client.wrap_socket(relay.connect_socket()) as sock:
                sock.sendall(text)  # not in a thread: an SSLSocket is for one at a time
                self.assertEqual(receive(sock, len(text)), text)
            self.assertEqual(served.result(20 * TIME_FACTOR), len(text))

    def test_much_and_half_closes(self):
        def serve():
            with self.listener.accept()[0] as sock:
                data = receive(sock, 1 << 30)  # to the client's end
                sock.sendall(data)
        with self.relay() as relay, concurrent.futures.ThreadPoolExecutor(1) as pool, \
                relay.connect_socket() as sock:
            served = pool.submit(serve)
            text = b'\x16' + os.urandom(1 << 20) * 4
            sock.sendall(text)
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(receive(sock, len(text)), text)
            self.assertEqual(sock.recv(1), b'')
            served.result(20 * TIME_FACTOR)

    def test_client_that_waits_for_the_server(self):
        with socket.create_server(('127.0.0.1', 0)) as other:
            with self.relay(other.getsockname()[1]) as relay, relay.connect_socket() as sock:
                # The first one is of the look whether the relay accepts.
                other.settimeout(20 * TIME_FACTOR)
                accepted = [self.stack.enter_context(other.accept()[0]) for _ in range(2)]
                for server in accepted:
                    with contextlib.suppress(OSError):
                        server.sendall(b'welcome\n')
                self.assertEqual(receive(sock, 8), b'welcome\n')

    def test_nobody_there(self):
        with self.relay(free_port()) as relay:
            with relay.connect_socket() as sock:
                sock.sendall(b'hello')
                self.assertEqual(sock.recv(1), b'')
            wait_for('a line in the log', lambda: 'Connection refused' in relay.log())

    def test_bad_command_line(self):
        for arguments in ([], ['7777', 'a:1'], ['7777', 'a', 'b:1'], ['7777', 'a:0', 'b:1']):
            status, output = run('relay', *arguments)
            self.assertEqual(status, 2, output)
            self.assertIn('usage', output)


class UdpEcho(unittest.TestCase):
    @staticmethod
    def free_udp_port():
        while True:
            port = free_port()
            with contextlib.suppress(OSError), \
                    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(('127.0.0.1', port))
                return port

    def test_sends_back(self):
        port = self.free_udp_port()
        with subprocess.Popen(command('udpecho') + [str(port)]) as program, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            self.addCleanup(program.kill)
            sock.connect(('127.0.0.1', port))
            sock.settimeout(0.2)

            def answers():
                with contextlib.suppress(OSError):  # it does not receive yet
                    sock.send(b'?')
                    return sock.recv(10) == b'?'
                return False
            wait_for('an answer', answers)
            sock.settimeout(20 * TIME_FACTOR)
            texts = [b'%d;' % i * i for i in range(50)]
            for text in texts:
                sock.send(text)
            seen = []
            while len(seen) < len(texts):
                text = sock.recv(3000)
                if text != b'?':  # of those before
                    seen.append(text)
            self.assertEqual(seen, texts)
            program.send_signal(signal.SIGTERM)
            self.assertEqual(program.wait(20 * TIME_FACTOR), 0)


if __name__ == '__main__':
    unittest.main()
