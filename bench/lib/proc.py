"""Processes of the comparison: started pinned, measured by the kernel's accounts, always killed.

CPU time is read from each process's CPU clock (what clock_getcpuclockid(3) names): in nanoseconds,
over all its threads, the ended ones included, where /proc/PID/stat only has hundredths of a second.
"""
import ctypes
import os
import resource
import signal
import subprocess
import time

_PR_SET_PDEATHSIG = 1
_CPUCLOCK_SCHED = 2
_TICK = os.sysconf("SC_CLK_TCK")
_libc = ctypes.CDLL(None, use_errno=True)
_running = []


class BenchError(Exception):
    """A measurement that cannot be trusted, or a server that does not do its part."""


def start(argv, core, log=None, env=None, **popen):
    """Starts argv in a session of its own on the given core (None: not pinned)."""
    def child():
        # Should bench/run itself be killed, nobody else would end the servers.
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if core is not None:
            os.sched_setaffinity(0, {core})
    if log is not None:
        popen.update(stdout=log, stderr=subprocess.STDOUT)
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=env, preexec_fn=child,
                               start_new_session=True, **popen)
    _running.append(process)
    return process


def stop(process):
    """Kills a process and its session: at the end of a measurement nothing is worth a farewell."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    if process in _running:
        _running.remove(process)


def stop_all():
    for process in list(_running):
        stop(process)


def raise_fd_limit(wanted):
    """Raises RLIMIT_NOFILE as far as wanted and allowed; returns it. Children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        except (ValueError, PermissionError):
            wanted = hard
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return soft


def tree(pid):
    """The process and all its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name) as f:
                    parent = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                continue                    # ended while we looked
            children.setdefault(parent, []).append(int(name))
    found = [pid]
    for p in found:
        found.extend(children.get(p, []))
    return found


def _cpu_of(pid):
    try:
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    except OSError:                         # some sandboxes know no clocks of other processes
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK


def cpu_times(pid):
    """{pid: CPU seconds so far} for the process tree."""
    return {p: _cpu_of(p) for p in tree(pid)}


def cpu_between(before, after):
    """CPU seconds spent between two cpu_times(); a process that ended in between took its account
    with it, so that is an error rather than a guess."""
    gone = set(before) - set(after)
    if gone:
        raise BenchError("process %s of the server ended during the measurement" % sorted(gone))
    return sum(t - before.get(p, 0.0) for p, t in after.items())


def _sum_kb(path, fields):
    total = 0
    with open(path) as f:
        for line in f:
            if line.startswith(fields):
                total += int(line.split()[1])
    return total * 1024


def rss(pid):
    """VmRSS summed over the tree, in bytes (pages shared between its processes count for each)."""
    return sum(_sum_kb("/proc/%d/status" % p, ("VmRSS:",)) for p in tree(pid))


def private_memory(pid):
    """Resident memory that is the tree's alone, in bytes; VmRSS where the kernel does not tell."""
    total = 0
    for p in tree(pid):
        try:
            total += _sum_kb("/proc/%d/smaps_rollup" % p, ("Private_Clean:", "Private_Dirty:"))
        except OSError:
            total += _sum_kb("/proc/%d/status" % p, ("VmRSS:",))
    return total


def open_sockets(pid):
    count = 0
    for p in tree(pid):
        for fd in os.listdir("/proc/%d/fd" % p):
            try:
                count += os.readlink("/proc/%d/fd/%s" % (p, fd)).startswith("socket:")
            except OSError:
                pass
    return count


def core_busy(core):
    """Seconds the core has spent on anything, stolen time included; None if unknown."""
    with open("/proc/stat") as f:
        for line in f:
            if core is not None and line.startswith("cpu%d " % core):
                user, nice, system, _, _, irq, softirq, steal = map(int, line.split()[1:9])
                return (user + nice + system + irq + softirq + steal) / _TICK
    return None
