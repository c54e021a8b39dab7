#!/usr/bin/env python3
"""The asyncio peer of tepal-async, on asyncio's own loop or on uvloop (--loop uvloop). Each figure
is the median of several repetitions of the CPU time of the process. asyncio has no channel; its
Queue is the nearest. Fewer tasks sleep than tepal's million: each takes the more."""
import argparse
import asyncio
import platform
import random
import time
from statistics import median

REPEAT = 5
SLEEPERS = 200000


def cpu_ns():
    return time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID) * 1e9


async def switch_ns(n=50000):
    """Two tasks give way to one another: there and back is one turn of each."""
    async def give_way():
        for _ in range(n):
            await asyncio.sleep(0)

    begin = cpu_ns()
    await asyncio.gather(give_way(), give_way())
    return (cpu_ns() - begin) / n


async def spawn_join_ns(n=30000):
    async def nothing():
        pass

    begin = cpu_ns()
    for _ in range(n):
        await asyncio.create_task(nothing())
    return (cpu_ns() - begin) / n


async def channel_ns(n=100000, capacity=64):
    queue = asyncio.Queue(capacity)

    async def send():
        for i in range(n):
            await queue.put(i)

    begin = cpu_ns()
    sender = asyncio.create_task(send())
    for _ in range(n):
        await queue.get()
    await sender
    return (cpu_ns() - begin) / n


def timer_rounds(loop, rounds, batch=1000, batches=10):
    """As tepal's: beside those that are set, a thousand at a time are set and cancelled."""
    for _ in range(rounds):
        begin = cpu_ns()
        for _ in range(batches):
            timers = [loop.call_later(random.random() * 3600, print) for _ in range(batch)]
            for timer in timers:
                timer.cancel()
        yield (cpu_ns() - begin) / (batch * batches)


async def timer_insert_cancel_ns(n=1000000):
    loop = asyncio.get_running_loop()
    timers = [loop.call_later(1 + random.random() * 3600, print) for _ in range(n)]
    result = median(timer_rounds(loop, REPEAT))
    for timer in timers:
        timer.cancel()
    return result


def memory():
    """Resident memory and page tables of the process, in octets."""
    with open("/proc/self/status") as f:
        return sum(int(line.split()[1]) * 1024 for line in f
                   if line.startswith(("VmRSS:", "VmPTE:")))


async def sleeping_tasks_bytes_each():
    before = memory()
    tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(SLEEPERS)]
    await asyncio.sleep(1)
    result = (memory() - before) / SLEEPERS
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return result


async def measure_all():
    for fn in (switch_ns, spawn_join_ns, channel_ns):
        print("%s %.1f" % (fn.__name__, median([await fn() for _ in range(REPEAT)])), flush=True)
    print("sleeping_tasks_bytes_each %.0f" % await sleeping_tasks_bytes_each(), flush=True)
    print("timer_insert_cancel_ns %.1f" % await timer_insert_cancel_ns(), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    p.add_argument("--version", action="store_true")
    args = p.parse_args()
    version = "Python " + platform.python_version()
    if args.loop == "uvloop":
        import uvloop
        uvloop.install()
        version = "uvloop %s, %s" % (uvloop.__version__, version)
    if args.version:
        print(version)
    else:
        asyncio.run(measure_all())


if __name__ == "__main__":
    main()
