#!/usr/bin/env python3
"""scripts/check-sizes: 80 lines of function and 600 of file pass, one more does not."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(__file__), '..', '..', 'scripts', 'check-sizes')
SKIPPED = 77


def function(lines, name='grow'):
    """A static function of that many lines, as this project writes them."""
    body = ['    n++; /* line: 1 end: 2 */'] * (lines - 4)
    return '\n'.join(['static int %s(int n)' % name, '{'] + body + ['    return n;', '}', ''])


def check(files):
    """Runs the checker over the files; returns (exit status, lines)."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), 'w', encoding='utf-8') as file:
                file.write(text)
        done = subprocess.run([sys.executable, SCRIPT, '--root', root], text=True,
                              stdout=subprocess.PIPE)
        return done.returncode, done.stdout.splitlines()


class CheckSizes(unittest.TestCase):
    def test_function_at_the_limit(self):
        status, lines = check({'src/base/a.c': '/* A */\n\n' + function(80)})
        self.assertEqual(status, 0, lines)
        self.assertIn('80 lines', lines[0])

    def test_function_over_the_limit(self):
        text = '/* A */\n\n' + function(20, 'small') + '\n' + function(81)
        for path in ['src/base/a.c', 'src/base/a.h', 'include/tepal/a.h', 'examples/a.c',
                     'bench/deep/a.c']:
            status, lines = check({path: text})
            self.assertEqual(status, 1, lines)
            self.assertEqual(lines, ['%s:24: grow() has 81 lines, over 80' % path])

    def test_file_at_and_over_the_limit(self):
        self.assertEqual(check({'src/base/a.c': '\n' * 600})[0], 0)
        status, lines = check({'src/base/a.c': '\n' * 601})
        self.assertEqual(status, 1)
        self.assertEqual(lines, ['src/base/a.c:1: the file has 601 lines, over 600'])

    def test_nothing_is_not_a_pass(self):
        self.assertEqual(check({'docs/a.md': ''})[0], 1)


if __name__ == '__main__':
    if not shutil.which('ctags'):
        sys.exit(SKIPPED)
    unittest.main()
