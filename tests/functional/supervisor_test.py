#!/usr/bin/env python3
"""The supervisor example: it keeps programs running, and leaves none behind."""
import os
import signal
import subprocess
import tempfile
import time
import unittest

from server import TIME_FACTOR, command, run, wait_for


class Supervisor:
    """A running supervisor of these lines, in a folder of its own."""

    def __init__(self, *lines):
        self.folder = tempfile.TemporaryDirectory()
        self.output = open(self.path('log'), 'w+b')
        self.process = subprocess.Popen(command('supervisor') + list(lines),
                                        cwd=self.folder.name, stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=subprocess.STDOUT)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def read(self, name):
        """What is in a file that the lines write; empty when there is none."""
        try:
            with open(self.path(name), encoding='utf-8', errors='replace') as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def stop(self, number=signal.SIGTERM):
        """Ends it by a signal, which it must do well; returns how many seconds it took."""
        start = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(20 * TIME_FACTOR)
        if status != 0:
            raise AssertionError('ended with %d\n%s' % (status, self.read('log')))
        return time.monotonic() - start

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if kind:
            print(self.read('log'), flush=True)
        self.output.close()
        self.folder.cleanup()


def is_alive(pid):
    """Whether it runs: one that nobody has waited for yet does not."""
    try:
        with open('/proc/%d/stat' % pid, encoding='ascii') as file:
            return file.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return False


class SupervisorTest(unittest.TestCase):
    def test_starts_again_after_longer_and_longer_pauses(self):
        with Supervisor('date +%s%N >>times; exit 3', 'kill -9 $$', 'exec sleep 1000') as it:
            wait_for('four starts', lambda: it.read('times').count('\n') >= 4)
            times = [int(line) / 1e6 for line in it.read('times').split()]
            for i, pause_ms in enumerate((100, 200, 400)):
                self.assertGreaterEqual(times[i + 1] - times[i], pause_ms - 10)
            it.stop()
            log = it.read('log')
            self.assertIn('exit 3: ended with 3', log)
            self.assertIn('kill -9 $$: ended by signal 9', log)
            self.assertEqual(log.count('exec sleep 1000: started'), 1)
            self.assertEqual(log.count(': stopped'), 3)

    def test_killed_it_leaves_none_behind(self):
        with Supervisor(*['echo $$ >>pids; exec sleep %d' % n for n in (1000, 1001)]) as it:
            wait_for('both run', lambda: it.read('pids').count('\n') == 2)
            pids = [int(pid) for pid in it.read('pids').split()]
            self.assertTrue(all(map(is_alive, pids)))
            it.process.kill()
            wait_for('none is left', lambda: not any(map(is_alive, pids)))

    def test_stops_all_gracefully(self):
        line = ("trap 'sleep 0.2; echo clean >>ends; exit' TERM; echo $$ >>pids; "
                'sleep 1000 & echo $! >>pids; wait')
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number), Supervisor(line, line + '; :') as it:
                wait_for('all run', lambda: it.read('pids').count('\n') == 4)
                pids = [int(pid) for pid in it.read('pids').split()]
                self.assertTrue(all(map(is_alive, pids)))
                it.stop(number)
                self.assertEqual(it.read('ends'), 'clean\n' * 2)
                wait_for('none is left', lambda: not any(map(is_alive, pids)))

    def test_kills_what_does_not_stop(self):
        with Supervisor("trap '' TERM; echo $$ >>pids; exec sleep 1000") as it:
            wait_for('it runs', lambda: it.read('pids').count('\n') == 1)
            self.assertGreater(it.stop(), 4.9)
            self.assertFalse(is_alive(int(it.read('pids'))))

    def test_command_line(self):
        status, output = run('supervisor')
        self.assertEqual(status, 2, output)
        self.assertIn('usage:', output)


if __name__ == '__main__':
    unittest.main()
