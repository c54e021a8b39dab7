"""The echo row: servers that send back what they read, and the load for them."""
import json
import os
import subprocess
import time

import load
import proc
import servers
from proc import BenchError


class FloorEcho(servers.Built):
    name = "floor"
    program = "floor-echo"


class TepalEcho(servers.Built):
    name = "tepal"
    program = "tepal-echo"


class UvEcho(servers.Built):
    name = "libuv"
    program = "peer-uv-echo"
    needs = "needs libuv1-dev"

    def prepare(self):
        super().prepare()
        self.version = servers.output(self.path, "--version")


SERVERS = [FloorEcho, TepalEcho, UvEcho]


class EchoRow(load.Row):
    """Each connection sends a message, waits for the whole of it, and sends the next."""
    size = 1024

    def check(self, server, port):
        message = bytes(range(256)) * (self.size // 256)
        with load.connect(port) as s:
            for _ in range(2):
                s.sendall(message)
                data = b""
                while len(data) < len(message):
                    more = s.recv(65536)
                    if not more:
                        raise BenchError("closed the connection")
                    data += more
                if data != message:
                    raise BenchError("sent something else back")
        self.program = os.path.join(server.dir, "echo-load")
        return self.size

    def run(self, port, seconds, core, _size, under_load=None):
        process = proc.start(
            [self.program, "--port", str(port), "--connections", str(self.connections),
             "--size", str(self.size), "--seconds", str(seconds)],
            core, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            time.sleep(seconds * 0.8)
            if under_load:
                under_load()
            out, _ = process.communicate(timeout=seconds + 60)
        except subprocess.TimeoutExpired:
            raise BenchError("echo-load did not end")
        finally:
            proc.stop(process)
        if process.returncode != 0:
            raise BenchError(out.strip()[-300:])
        result = json.loads(out)
        return {"requests": result["messages"], "duration_us": result["duration_s"] * 1e6,
                "load_cpu_s": result["cpu_s"], "p50_us": None, "p99_us": None,
                "latency_samples": 0}


ROW = EchoRow("echo", "TCP echo, 64 connections, messages of 1 KiB (a request is a message)")
