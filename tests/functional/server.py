"""Starts programs of ours for the functional tests, and sees that they end as they should.

    with Server('hello') as server:
        response = server.request('GET', '/hello/you')
        assert response.status == 200 and response.body == b'Hello, you!\n'

At the end of the block the program gets SIGTERM and must exit with 0, in time: an error found by
valgrind or a sanitizer is reported only there. What it wrote to standard error is in the message
of every failure. The environment that the tests run in is described in scripts/check; besides:
TEPAL_EXAMPLES is the folder of the example programs (default build/examples).
"""
import http.client
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
EXAMPLES = os.environ.get('TEPAL_EXAMPLES') or os.path.join(ROOT, 'build', 'examples')
TIME_FACTOR = float(os.environ.get('TEPAL_TIME_FACTOR') or 1)
SKIPPED = 77  # the exit status that means so to meson


def free_port():
    """A port of 127.0.0.1 that nothing listens on.

    Not one that the kernel would pick (bind to port 0): those also serve outgoing connections, so
    that another test's client might sit on it when our program wants it.
    """
    with open('/proc/sys/net/ipv4/ip_local_port_range', encoding='ascii') as file:
        first = int(file.read().split()[0])
    while True:
        port = random.randrange(10000, first) if first > 11000 else 0
        with socket.socket() as sock:
            try:
                sock.bind(('127.0.0.1', port))
            except OSError:
                continue
            return sock.getsockname()[1]


def wait_for(what, condition, seconds=10.0):
    """Waits until condition() is true; returns its value. Fails after so many seconds."""
    end = time.monotonic() + seconds * TIME_FACTOR
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError('this did not happen within %g s: %s'
                                 % (seconds * TIME_FACTOR, what))
        time.sleep(0.02)


def command(program):
    """The words that start a program of ours: an example by its name, or a path."""
    path = program if os.sep in program else os.path.join(EXAMPLES, program)
    return shlex.split(os.environ.get('TEPAL_WRAPPER', '')) + [path]


def default_signals():
    """What these tests were started by may ignore signals (nohup does); our programs respect that."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)


def run(program, *arguments):
    """Runs one that ends by itself. Returns (exit status, what it wrote)."""
    done = subprocess.run(command(program) + list(arguments), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=20 * TIME_FACTOR)
    return done.returncode, done.stdout.decode(errors='replace')


class Response:
    """A whole response."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


class Server:
    """A running program: one of the examples by its name, or a path, with further arguments.

    where: the arguments that tell the program its address, with '{host}' and '{port}' in them.
    Keyword arguments that are not listed go to subprocess.Popen().
    """

    def __init__(self, program, *arguments, stop_seconds=10.0,
                 where=('--host', '{host}', '--port', '{port}'), **popen):
        self.program = program
        self.arguments = list(arguments)
        self.stop_seconds = stop_seconds
        self.where = where
        self.popen = {'preexec_fn': default_signals, **popen}
        self.host = '127.0.0.1'
        self.port = None
        self.process = None
        self.output = None  # the file that takes what it writes; None when it has ended
        self.written = ''   # what it had written when it ended

    def start(self, port=None):
        """Starts it, on a port that is free or on this one. Returns self."""
        for last in (False, False, True):
            self.port = port or free_port()
            self.output = tempfile.TemporaryFile()
            where = [word.format(host=self.host, port=self.port) for word in self.where]
            self.process = subprocess.Popen(command(self.program) + where + self.arguments,
                                            stdin=subprocess.DEVNULL, stdout=self.output,
                                            stderr=subprocess.STDOUT, **self.popen)
            try:
                wait_for('%s accepts connections' % self.program, self._accepts_or_ended, 20)
            except AssertionError as error:
                self.kill()
                raise AssertionError('%s%s' % (error, self._report())) from None
            if self.process.poll() is None:
                return self
            self._ended()
            # Perhaps another program took the port between our look at it and the start.
            if last or 'in use' not in self.log():
                raise AssertionError('%s ended with %d%s' % (
                    self.program, self.process.returncode, self._report()))
        return None

    def stop(self):
        """Ends the program by SIGTERM and checks how it ended."""
        if self.process.poll() is not None:
            self._ended()
            raise AssertionError('%s has ended by itself, with %d%s' % (
                self.program, self.process.returncode, self._report()))
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(self.stop_seconds * TIME_FACTOR)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError('%s still runs %g s after SIGTERM%s' % (
                self.program, self.stop_seconds * TIME_FACTOR, self._report())) from None
        self._ended()
        if status != 0:
            raise AssertionError('%s ended with %d after SIGTERM%s' % (
                self.program, status, self._report()))

    def kill(self):
        """Ends the program at once, whatever its state."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._ended()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        if not kind:
            self.stop()
            return
        self.kill()
        print(self._report(), flush=True)

    def log(self):
        """What the program has written to standard error and output so far."""
        if not self.output:
            return self.written
        size = os.fstat(self.output.fileno()).st_size
        return os.pread(self.output.fileno(), size, 0).decode(errors='replace')

    def _ended(self):
        if self.output:
            self.written = self.log()
            self.output.close()
            self.output = None

    def _report(self):
        return '\n---- what %s wrote:\n%s----' % (self.program, self.log())

    def _accepts_or_ended(self):
        if self.process.poll() is not None:
            return True
        try:
            with socket.create_connection((self.host, self.port), 1):
                return True
        except OSError:
            return False

    # --- Talking to it ---

    @property
    def url(self):
        return 'http://%s:%d' % (self.host, self.port)

    def connect_socket(self):
        """A new connection as a plain socket, to be closed by the caller."""
        return socket.create_connection((self.host, self.port), 20 * TIME_FACTOR)

    def connect(self):
        """A new connection, to be closed by the caller; contextlib.closing() does it."""
        return http.client.HTTPConnection(self.host, self.port, timeout=20 * TIME_FACTOR)

    def request(self, method, target, body=None, headers=None):
        """One request on a connection of its own. A body that is no bytes or str goes as JSON."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault('Content-Type', 'application/json')
        connection = self.connect()
        try:
            connection.request(method, target, body, headers)
            return Response(connection.getresponse())
        finally:
            connection.close()
