#!/usr/bin/env python3
"""All cases of tests/http1 against the real server: as it is, under sanitizers and under valgrind.

The suite is started here rather than by its own --start, so that the server's end is looked at:
that is where a sanitizer or valgrind says what it found.
"""
import os
import subprocess
import sys
import unittest

from load import TEST_SERVER, TIME_FACTOR, ROOT, Server, is_instrumented

SUITE = os.path.join(ROOT, 'tests', 'http1', 'suite.py')


class Http1Suite(unittest.TestCase):
    def test_all_cases(self):
        with Server(TEST_SERVER) as server:
            command = [sys.executable, SUITE, '--port', str(server.port), '--path', '/plaintext',
                       '--echo', '/anything']
            if is_instrumented():
                # Its memory is mostly the tool's, so there is nothing to measure: no --pid. What
                # counts is who answers what; fewer at once keeps a slow server ahead of the clock.
                command += ['--jobs', '8', '--silence', str(min(2.0 * TIME_FACTOR, 4.0))]
            else:
                command += ['--pid', str(server.process.pid)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=280 * TIME_FACTOR, check=False)
            output = done.stdout.decode(errors='replace')
            print(output)
            self.assertEqual(done.returncode, 0)
            # Exit status 0 means little if hardly anything was tried.
            passed, _, skipped = (int(part.split()[0])
                                  for part in output.strip().splitlines()[-1].split(','))
            self.assertGreater(passed, 100)
            self.assertLessEqual(skipped, 1)


if __name__ == '__main__':
    unittest.main()
