"""The load: what is asked of the servers in each row, wrk to ask it, and idle connections."""
import json
import os
import select
import socket
import struct
import subprocess
import time

import proc
from proc import BenchError

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wrk.lua")
HELLO = b"Hello, World!"

# What Chromium sends when one follows a link inside a site and has a cookie: 12 fields with Host.
BROWSER = [
    ("Connection", "keep-alive"),
    ("Cache-Control", "max-age=0"),
    ("sec-ch-ua", '"Chromium";v="128", "Not;A=Brand";v="24", "Google Chrome";v="128"'),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", '"Linux"'),
    ("Upgrade-Insecure-Requests", "1"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                   "Chrome/128.0.0.0 Safari/537.36"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
               "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en-US;q=0.9,en;q=0.8,uk;q=0.7"),
    ("Cookie", "session=Zx81fQm3T0pYk2uVb7Ls9A; theme=dark; _ga=GA1.1.1234567890.1700000000"),
]


class Row:
    def __init__(self, name, title, path="/plaintext", connections=64, pipeline=1, fields=()):
        self.name, self.title, self.path = name, title, path
        self.connections, self.pipeline, self.fields = connections, pipeline, fields

    def request(self, port):
        lines = ["GET %s HTTP/1.1" % self.path, "Host: 127.0.0.1:%d" % port]
        lines += ["%s: %s" % field for field in self.fields]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def check(self, server, port):
        """Insists on the right answer; returns its size in bytes."""
        return check(server, self, port)

    def run(self, port, seconds, core, response_bytes, under_load=None):
        """Loads the server on port once, and returns the figures."""
        return wrk(self, port, seconds, core, response_bytes, under_load)


ROWS = [
    Row("plaintext", "plain text, 64 connections"),
    Row("json", "JSON, 64 connections", path="/json"),
    Row("pipelined16", "plain text, 64 connections, 16 requests pipelined", pipeline=16),
    Row("conns512", "plain text, 512 connections", connections=512),
    Row("browser", "plain text, 64 connections, a browser's 12 header fields", fields=BROWSER),
]
IDLE = Row("idle-memory", "memory per idle keep-alive connection")


def connect(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Closing with a reset: thousands of connections in TIME_WAIT would outlive the measurement.
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.settimeout(10)
    try:
        s.connect(("127.0.0.1", port))
    except OSError:
        s.close()
        raise
    return s


def exchange(sock, request):
    """Sends one request; returns (head, body) of its response, which must have a Content-Length."""
    sock.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise BenchError("closed the connection after %r" % data[:200])
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = None
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    if length is None:
        raise BenchError("answered without Content-Length: %r" % head[:200])
    while len(body) < length:
        more = sock.recv(65536)
        if not more:
            raise BenchError("closed the connection within a body")
        body += more
    return head, body


def wait_ready(process, port, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise BenchError("ended at once with status %d" % process.returncode)
        try:
            connect(port).close()
            return
        except OSError:
            time.sleep(0.02)
    raise BenchError("did not listen within %d s" % seconds)


def check(server, row, port):
    """Asks twice over one connection and insists on the right answer; returns its size in bytes."""
    with connect(port) as s:
        for _ in range(2):
            try:
                head, body = exchange(s, row.request(port))
            except OSError as e:
                raise BenchError("did not answer: %s" % e)
            if not head.startswith(b"HTTP/1.1 200 "):
                raise BenchError("answered %r" % head[:100])
            if row.path == "/json" and server.real_json:
                right = json.loads(body) == {"message": HELLO.decode()}
            else:
                right = body == HELLO
            if not right:
                raise BenchError("answered the body %r" % body[:100])
    return len(head) + 4 + len(body)


def wrk(row, port, seconds, core, response_bytes, under_load=None):
    """Runs wrk once. Returns its figures; any error it saw is ours. under_load() is called shortly
    before the end, while all connections are still busy."""
    env = dict(os.environ, BENCH_REQUEST=row.request(port).decode(),
               BENCH_PIPELINE=str(row.pipeline), BENCH_CONNECTIONS=str(row.connections))
    process = proc.start(
        ["wrk", "-t1", "-c%d" % row.connections, "-d%ds" % seconds, "--latency", "--timeout", "5s",
         "-s", SCRIPT, "http://127.0.0.1:%d%s" % (port, row.path)],
        core, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        time.sleep(seconds * 0.8)
        if under_load:
            under_load()
        out, _ = process.communicate(timeout=seconds + 60)
    except subprocess.TimeoutExpired:
        raise BenchError("wrk did not end")
    finally:
        proc.stop(process)
    line = next((l for l in out.splitlines() if l.startswith("BENCH ")), None)
    if process.returncode != 0 or not line:
        raise BenchError("wrk failed: %s" % out.strip()[-300:])
    result = json.loads(line[len("BENCH "):])
    errors = {k: v for k, v in result["errors"].items() if v}
    if errors:
        raise BenchError("wrk saw errors: %s" % ", ".join("%s %d" % e for e in errors.items()))
    if result["requests"] == 0:
        raise BenchError("wrk got no response")
    # A server that answers a batch short, or with something else, shows in the bytes.
    if abs(result["bytes"] / result["requests"] / response_bytes - 1) > 0.05:
        raise BenchError("wrk counted %d responses in %d bytes, but one has %d bytes"
                         % (result["requests"], result["bytes"], response_bytes))
    return result


def idle_memory(pid, port, count):
    """Opens count connections, one request on each; returns what they cost the server at rest."""
    request = IDLE.request(port)
    # As many requests as will be made, over one connection: what a server keeps for having served
    # (compiled code, a grown heap) is not the price of a connection.
    with connect(port) as s:
        for _ in range(count):
            exchange(s, request)
    time.sleep(1)
    before = proc.private_memory(pid)
    socks = []
    try:
        for i in range(count):
            try:
                s = connect(port)
                socks.append(s)
                exchange(s, request)
            except OSError as e:
                raise BenchError("connection %d of %d: %s" % (i + 1, count, e))
        time.sleep(1)
        after = proc.private_memory(pid)
        poll = select.poll()
        for s in socks:
            poll.register(s, select.POLLIN)
        closed = len(poll.poll(0))
        held = proc.open_sockets(pid)
        if closed or held < count:
            raise BenchError("closed connections that should rest: %d readable, %d of %d held"
                             % (closed, held, count))
    finally:
        for s in socks:
            s.close()
    return {"connections": count, "before_bytes": before, "after_bytes": after,
            "bytes_per_connection": (after - before) / count}
