#!/usr/bin/env python3
"""The small examples stay small: lines that are neither blank nor comment, none too long."""
import os
import re
import unittest

from server import ROOT

LIMITS = {'beat': 35, 'bearer': 60, 'echo': 20, 'glib': 100, 'greeter': 90, 'hello': 12, 'keys': 55,
          'libuv': 110, 'lookup': 60, 'pinned': 60, 'portscan': 60, 'quotes': 120, 'relay': 60,
          'rest': 45, 'supervisor': 70, 'ticks': 18, 'udpecho': 55}
COLUMNS = 100
# A string, a character, or a comment: what looks like a comment inside a string is none.
TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.DOTALL)


def code_lines(text):
    """The lines that count."""
    def keep(match):
        return ' ' if match[0].startswith('/') else match[0]
    return [line for line in TOKEN.sub(keep, text).split('\n') if line.strip()]


class ExamplesLines(unittest.TestCase):
    def test_counting(self):
        text = '/* one\n\n two */\nint a; // b\n\n// c\nchar *d = "// /* no */";\n/* e */ int f;\n'
        self.assertEqual(len(code_lines(text)), 3)

    def test_limits(self):
        for name, limit in LIMITS.items():
            with self.subTest(name):
                with open(os.path.join(ROOT, 'examples', name + '.c'), encoding='utf-8') as file:
                    text = file.read()
                lines = code_lines(text)
                print('%s: %d of %d lines' % (name, len(lines), limit))
                self.assertLessEqual(len(lines), limit)
                self.assertLessEqual(max(map(len, text.split('\n'))), COLUMNS)
                for line in lines:
                    # One statement a line: no ; before another, but in the head of a for.
                    statements = re.sub(r'for \(.*?;.*?;', '', TOKEN.sub('""', line))
                    self.assertLessEqual(statements.count(';'), 1, line)


if __name__ == '__main__':
    unittest.main()
