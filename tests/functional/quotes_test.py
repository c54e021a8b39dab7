#!/usr/bin/env python3
"""The quotes example against a real PostgreSQL, which this test starts in a folder of its own."""
import concurrent.futures
import glob
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import unittest

from server import SKIPPED, TIME_FACTOR, Server, wait_for


def programs():
    """The folder of PostgreSQL's programs, None where it is not installed."""
    found = sorted(glob.glob('/usr/lib/postgresql/*/bin/initdb')) or [shutil.which('initdb') or '']
    return os.path.dirname(found[-1]) or None


class Database:
    """A database server on a Unix socket, whose only user needs no password."""

    def __init__(self, bin):
        self.bin = bin
        self.folder = tempfile.mkdtemp(prefix='tepal-pg-')
        # It refuses to run as root.
        self.user = 'postgres' if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        if os.getuid() == 0:
            shutil.chown(self.folder, self.user)
        self.run('initdb', '-D', self.data(), '-U', 'tester', '-A', 'trust', '--no-sync')
        self.server = self.start()
        wait_for('the database answers', lambda: self.sql('SELECT 1', check=False) == '1', 30)

    def data(self):
        return os.path.join(self.folder, 'data')

    def start(self):
        log = open(os.path.join(self.folder, 'log'), 'wb')
        return subprocess.Popen([os.path.join(self.bin, 'postgres'), '-D', self.data(),
                                 '-k', self.folder, '-c', 'listen_addresses=', '-F'],
                                user=self.user, cwd='/', stdout=log, stderr=log)

    def run(self, program, *arguments, check=True):
        done = subprocess.run([os.path.join(self.bin, program), *arguments], user=self.user,
                              cwd='/', stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, timeout=60 * TIME_FACTOR)
        if check and done.returncode != 0:
            raise AssertionError(done.stdout.decode())
        return done.stdout.decode().strip()

    def sql(self, text, check=True):
        return self.run('psql', '-h', self.folder, '-U', 'tester', '-d', 'postgres', '-qAtc', text,
                        check=check)

    def session(self, text):
        """A session that holds what this statement took until its end."""
        session = subprocess.Popen([os.path.join(self.bin, 'psql'), '-h', self.folder, '-U',
                                    'tester', '-d', 'postgres', '-qAt'], user=self.user, cwd='/',
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        session.stdin.write(('BEGIN; %s; SELECT 1;\n' % text).encode())
        session.stdin.flush()
        session.stdout.readline()
        return session

    def stop(self):
        self.server.terminate()
        self.server.wait(30 * TIME_FACTOR)
        shutil.rmtree(self.folder)


class Quotes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.database = Database(programs())

    @classmethod
    def tearDownClass(cls):
        cls.database.stop()

    def setUp(self):
        self.database.sql('DROP TABLE IF EXISTS quotes')
        self.database.sql('CREATE TABLE quotes (id serial PRIMARY KEY, text text NOT NULL)')

    def serve(self):
        return Server('quotes', '--database',
                      'host=%s user=tester dbname=postgres' % self.database.folder)

    def quotes(self, server):
        response = server.request('GET', '/')
        self.assertEqual(response.status, 200)
        return json.loads(response.body)

    def test_add_and_list(self):
        with self.serve() as server:
            self.assertEqual(self.quotes(server), [])
            texts = ['Stay hungry', 'It\'s "so"; DROP TABLE quotes', '\u00e9' * 5000]
            for n, text in enumerate(texts, 1):
                response = server.request('POST', '/', body=text.encode())
                self.assertEqual((response.status, json.loads(response.body)), (201, {'id': n}))
                self.assertEqual(self.quotes(server)[-1], {'id': n, 'text': text})

    def test_more_requests_than_connections(self):
        with self.serve() as server, concurrent.futures.ThreadPoolExecutor(20) as pool:
            def add(n):
                return server.request('POST', '/', body=b'%d' % n).status
            self.assertEqual(set(pool.map(add, range(100))), {201})
            self.assertEqual(sorted(int(quote['text']) for quote in self.quotes(server)),
                             list(range(100)))

    def test_a_query_that_waits_holds_nobody_up(self):
        with self.serve() as server, concurrent.futures.ThreadPoolExecutor(2) as pool:
            lock = self.database.session('LOCK TABLE quotes')
            waiting = pool.submit(self.quotes, server)
            wait_for('the query waits', lambda: self.database.sql(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == '1')
            self.assertEqual(server.request('GET', '/nothing').status, 404)
            self.assertFalse(waiting.done())
            lock.communicate(b'COMMIT;\n')
            self.assertEqual(waiting.result(20 * TIME_FACTOR), [])

    def test_errors_and_lost_connections(self):
        with self.serve() as server:
            self.database.sql('ALTER TABLE quotes RENAME TO others')
            self.assertEqual(server.request('GET', '/').status, 500)
            self.database.sql('ALTER TABLE others RENAME TO quotes')
            for _ in range(5):  # of which no connection remembers
                self.assertEqual(self.quotes(server), [])
            self.database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                              "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
            statuses = [server.request('GET', '/').status for _ in range(10)]
            self.assertLessEqual(set(statuses[:4]), {200, 500})
            self.assertIn(500, statuses)
            self.assertEqual(set(statuses[4:]), {200})


if __name__ == '__main__':
    if not programs():
        print('skipped: there is no PostgreSQL here')
        sys.exit(SKIPPED)
    unittest.main()
