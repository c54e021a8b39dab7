#!/usr/bin/env python3
"""The keys example on a terminal, and where there is none."""
import os
import pty
import subprocess
import termios
import unittest

from server import TIME_FACTOR, command, run, wait_for


class Keys(unittest.TestCase):
    def setUp(self):
        self.master, self.slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        self.addCleanup(os.close, self.slave)
        os.set_blocking(self.master, False)
        self.written = ''

    def start(self):
        process = subprocess.Popen(command('keys'), stdin=self.slave, stdout=self.slave,
                                   stderr=self.slave, start_new_session=True)
        self.addCleanup(process.kill)
        wait_for('it reads key by key', lambda: not self.flags() & termios.ICANON)
        return process

    def flags(self):
        return termios.tcgetattr(self.slave)[3]

    def expect(self, text):
        def come():
            try:
                self.written += os.read(self.master, 4096).decode()
            except BlockingIOError:
                pass
            return text in self.written
        wait_for(repr(text), come)

    def test_keys_beside_time(self):
        before = self.flags()
        process = self.start()
        for key in 'ab\n':
            os.write(self.master, key.encode())
            self.expect('key %d\r\n' % ord(key))
        self.expect('1 s\r\n')
        os.write(self.master, b'q')
        self.assertEqual(process.wait(20 * TIME_FACTOR), 0)
        self.assertEqual(self.flags(), before)

    def test_interrupted(self):
        process = self.start()
        os.write(self.master, b'\x03')
        self.assertEqual(process.wait(20 * TIME_FACTOR), 0)
        self.assertTrue(self.flags() & termios.ISIG)

    def test_no_terminal(self):
        self.assertEqual(run('keys'), (0, ''))


if __name__ == '__main__':
    unittest.main()
