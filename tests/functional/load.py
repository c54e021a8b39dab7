"""Many clients at once, bad ones among them, and what they cost the server.

TEPAL_TEST_SERVERS is the folder of the programs that these tests are about, test-server (which is
bench/tepal_server.c) and slow-server (slow_server.c beside this file).
"""
import contextlib
import os
import resource
import select
import socket
import struct
import threading
import time

from server import ROOT, TIME_FACTOR, Server, wait_for

SERVERS = os.environ.get('TEPAL_TEST_SERVERS') or os.path.join(ROOT, 'build', 'tests', 'functional')
TEST_SERVER = os.path.join(SERVERS, 'test-server')
SLOW_SERVER = os.path.join(SERVERS, 'slow-server')
# For times that the test itself takes in any case: waiting for what must not happen, for instance.
SLOWNESS = min(TIME_FACTOR, 3)
UNDER_WRAPPER = bool(os.environ.get('TEPAL_WRAPPER'))
RESET = struct.pack('ii', 1, 0)  # SO_LINGER: closing is a reset


def _is_sanitized(path):
    with open(path, 'rb') as file:
        return b'__asan_' in file.read()


def is_instrumented():
    """Whether the server runs under valgrind or has a sanitizer in it: then its memory is the
    tool's more than its own, and says nothing, and masses of clients must be smaller ones."""
    return UNDER_WRAPPER or _is_sanitized(TEST_SERVER)


def scaled(usual, sanitized, wrapped):
    """How many of something: usually, of a server with a sanitizer in it, and under valgrind."""
    return wrapped if UNDER_WRAPPER else sanitized if is_instrumented() else usual


def raise_descriptor_limit(wanted):
    """Lets this process, and those that it starts, have so many descriptors. Returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return soft
    for new_hard in (max(hard, wanted), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, new_hard), new_hard))
            break
        except (ValueError, OSError):  # only root may raise the hard limit
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


# --- What the server uses ---

def memory(server):
    """Resident memory of the server, in octets."""
    return _status(server, 'VmRSS')


def _status(server, name):
    with open('/proc/%d/status' % server.process.pid, encoding='ascii') as file:
        for line in file:
            if line.startswith(name + ':'):
                return int(line.split()[1]) * 1024
    raise AssertionError('no %s in /proc/PID/status' % name)


class Growth:
    """How far above its first value the resident memory of the server has been."""

    def __init__(self, server):
        self.server = server
        # The peak begins anew, at what it is now.
        with open('/proc/%d/clear_refs' % server.process.pid, 'w', encoding='ascii') as file:
            file.write('5')
        self.before = memory(server)

    def peak(self):
        return _status(self.server, 'VmHWM') - self.before

    def now(self):
        return memory(self.server) - self.before


def descriptors(server):
    return len(os.listdir('/proc/%d/fd' % server.process.pid))


def processor_seconds(server):
    with open('/proc/%d/stat' % server.process.pid, encoding='ascii') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


@contextlib.contextmanager
def no_descriptor_lost(server):
    """After the block the server gets back to as many descriptors as it had."""
    time.sleep(0.1)
    before = descriptors(server)
    yield
    wait_for('descriptors back to %d' % before, lambda: descriptors(server) <= before, 15)


# --- Clients ---

def connect(server, rcvbuf=None):
    family = socket.AF_INET6 if ':' in server.host else socket.AF_INET
    sock = socket.socket(family)
    try:
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(20 * TIME_FACTOR)
        sock.connect((server.host, server.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def reset(sock):
    """Closes it by a reset; that leaves no port in TIME_WAIT, of which there are not many."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


@contextlib.contextmanager
def connections(server, n):
    """n connections, reset at the end of the block."""
    socks = []
    try:
        for _ in range(n):
            socks.append(connect(server))
        yield socks
    finally:
        for sock in socks:
            reset(sock)


def get(target='/plaintext', *fields):
    return '\r\n'.join(['GET %s HTTP/1.1' % target, 'Host: x', *fields, '', '']).encode()


def post(target, *fields):
    return '\r\n'.join(['POST %s HTTP/1.1' % target, 'Host: x', *fields, '', '']).encode()


def read_response(sock):
    """One response with a Content-Length. Returns (status, body); b'' stands for the end."""
    data = b''
    while b'\r\n\r\n' not in data:
        more = sock.recv(65536)
        if not more:
            return 0, data
        data += more
    head, body = data.split(b'\r\n\r\n', 1)
    length = int(head.lower().split(b'content-length:')[1].split(b'\r\n')[0])
    while len(body) < length:
        more = sock.recv(65536)
        if not more:
            return 0, data
        body += more
    return int(head[9:12]), body


def read_to_end(sock):
    """Everything until the other side ends or resets."""
    data = b''
    with contextlib.suppress(ConnectionError):
        while more := sock.recv(65536):
            data += more
    return data


def send_until_refused(sock, block, total):
    """Sends block again and again. Returns how many octets went, at most total, before the other
    side answered, closed, or took no more for a while."""
    sent = 0
    view = memoryview(block)
    sock.setblocking(False)
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    patience = 1.0 * TIME_FACTOR
    while sent < total:
        events = dict(poll.poll(patience * 1000)).get(sock.fileno(), 0)
        if not events & select.POLLOUT or events & (select.POLLIN | select.POLLHUP):
            break
        try:
            sent += sock.send(view[sent % len(block):])
        except OSError:
            break
    sock.settimeout(20 * TIME_FACTOR)
    return sent


class Others:
    """Well-behaved clients while others are not: one request after the other, each on a connection
    of its own, by a thread. At the end of the block all but the worst 2 % of them (the machine has
    its moments, too) must have been answered within a second, and every one within five."""

    def __init__(self, server, target='/plaintext'):
        self.server = server
        self.target = target
        self.seconds = []
        self.error = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self):
        try:
            while not self._end.is_set() or not self.seconds:
                start = time.monotonic()
                with contextlib.closing(connect(self.server)) as sock:
                    sock.sendall(get(self.target))
                    status, _ = read_response(sock)
                self.seconds.append(time.monotonic() - start)
                if status != 200:
                    raise AssertionError('another client was answered %d' % status)
                self._end.wait(0.02)
        except (OSError, AssertionError) as error:
            self.error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self._end.set()
        self._thread.join()
        if kind:
            return
        if self.error:
            raise AssertionError('another client: %r' % self.error)
        times = sorted(self.seconds)
        usual, worst = times[int(0.98 * (len(times) - 1))], times[-1]
        if usual > 1.0 * TIME_FACTOR or worst > 5.0 * TIME_FACTOR:
            raise AssertionError('another client waited %.2f s, the usual one %.2f s'
                                 % (worst, usual))

    def __str__(self):
        times = sorted(self.seconds)
        return '%d others: median %.1f ms, worst %.1f ms' % (
            len(times), 1000 * times[len(times) // 2], 1000 * times[-1])


__all__ = [name for name in dir() if not name.startswith('_')]
