"""The async row: programs that print what tasks, channels and timers cost, one figure a line."""
import os
import subprocess
from statistics import median

import proc
import servers
from proc import BenchError

TITLE = "tasks, channels and timers (a figure, and its ratio to tepal's)"
TIMEOUT_S = 600


class Row:
    name = "async"


ROW = Row()


class Tepal(servers.Built):
    name = "tepal"
    program = "tepal-async"

    def argv(self):
        return [self.path]


class UvTimers(servers.Built):
    name = "libuv"
    program = "peer-uv-timers"
    needs = "needs libuv1-dev"

    def prepare(self):
        super().prepare()
        self.version = servers.output(self.path, "--version")

    def argv(self):
        return [self.path]


class Go(servers.GoProgram):
    name = "go"
    source = "go-async"

    def argv(self):
        return [self.path]


class Asyncio(servers.Server):
    name = loop = "asyncio"

    def prepare(self):
        self.script = os.path.join(servers.PEERS, "asyncio_tasks.py")
        self.version = servers.output(*self.argv(), "--version")

    def argv(self):
        # Debian's own interpreter: uvloop's package is for that one.
        return ["/usr/bin/python3", self.script, "--loop", self.loop]


class Uvloop(Asyncio):
    name = loop = "uvloop"


PROGRAMS = [Tepal, UvTimers, Go, Asyncio, Uvloop]


def measure(program, core):
    """Runs a program once; returns {figure: value} and what it said beside."""
    process = proc.start(program.argv(), core, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
    try:
        out, notes = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise BenchError("did not end")
    finally:
        proc.stop(process)
    if process.returncode != 0:
        raise BenchError(notes.strip()[-300:] or "ended with status %d" % process.returncode)
    figures = {}
    for line in out.splitlines():
        name, value = line.split()
        figures[name] = float(value)
    return figures, notes.splitlines()


def summarize(rounds):
    """The median of each figure over the rounds."""
    return {name: median(r[name] for r in rounds) for name in rounds[0]}
