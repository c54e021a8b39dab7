#!/usr/bin/env python3
"""scripts/check-names: finds each kind of wrong name, and nothing where all is well."""
import os
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(__file__), '..', '..', 'scripts', 'check-names')

# A header that is in order.
GOOD = '''/* A comment with tepal_get_it(); and int tepal_x_new(void); */
#ifndef TEPAL_X_H
#define TEPAL_X_H
#ifdef __cplusplus
extern "C" {
#endif
#define TEPAL_MANY (-1)
enum { TEPAL_A, TEPAL_B };
typedef struct tepal_x tepal_x;
typedef int tepal_x_fn(int number, void *arg);
typedef struct tepal_x_options {
    const char *name; /* new; delete; */
    int64_t wait_ms, idle_ms;
    tepal_x_fn *fn;
    const void *arg;
    struct tepal_x_inside {
        int a;
    } inside;
    uint64_t later[4];
} tepal_x_options;
TEPAL_API int tepal_x_open(tepal_x **x, const tepal_x_options *options);
TEPAL_API int tepal_x_open_pair(tepal_x **x, tepal_x **y);
TEPAL_API int tepal_x_put(tepal_x *x, const char *text);
TEPAL_API int tepal_x_putf(tepal_x *x, const char *format, ...) TEPAL_PRINTF(2, 3);
TEPAL_API void tepal_x_each(tepal_x *x, tepal_x_fn *fn, const void *arg);
TEPAL_MUST_CHECK TEPAL_API int tepal_x_run(tepal_x *x, int (*fn)(void *arg), const void *arg,
                                           const tepal_x_options *options);
TEPAL_API void tepal_x_rest_ms(int64_t ms);
TEPAL_API void tepal_x_close(tepal_x *x);
#ifdef __cplusplus
}
#endif
#endif
'''
NAMES = ['tepal_x_' + n for n in ('open', 'open_pair', 'put', 'putf', 'each', 'run', 'rest_ms',
                                  'close')]


def check(extra, names, *options):
    """Runs the checker over GOOD and extra; returns (exit status, lines, symbols afterwards)."""
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(os.path.join(root, 'include', 'tepal'))
        os.makedirs(os.path.join(root, 'scripts'))
        with open(os.path.join(root, 'include', 'tepal', 'x.h'), 'w', encoding='utf-8') as file:
            file.write(GOOD.replace('#ifdef __cplusplus\n}', extra + '#ifdef __cplusplus\n}'))
        symbols = os.path.join(root, 'scripts', 'symbols')
        with open(symbols, 'w', encoding='utf-8') as file:
            file.write('\n'.join(names) + '\n')
        done = subprocess.run([sys.executable, SCRIPT, '--root', root] + list(options), text=True,
                              stdout=subprocess.PIPE)
        with open(symbols, encoding='utf-8') as file:
            return done.returncode, done.stdout.splitlines(), file.read()


class CheckNames(unittest.TestCase):
    def refused(self, extra, reason, *names):
        """What is added breaks one rule, for that reason."""
        status, lines, _ = check(extra + '\n', NAMES + list(names))
        self.assertEqual(status, 1, lines)
        self.assertEqual(len(lines), 2, lines)
        line = GOOD.split('#ifdef __cplusplus\n}')[0].count('\n') + 1
        self.assertTrue(lines[0].startswith('include/tepal/x.h:%d: ' % line), lines)
        self.assertIn(reason, lines[0])

    def test_names_in_order_pass(self):
        status, lines, _ = check('', NAMES)
        self.assertEqual((status, lines), (0, ['8 public names keep to the rules']))

    def test_parameters(self):
        self.refused('TEPAL_API int tepal_y(int a, int b, int c, int d, int e, int f);',
                     'has 6 parameters', 'tepal_y')
        status, lines, _ = check('TEPAL_API int tepal_yf(int a, int b, int c, int d, int e, ...);\n',
                                 NAMES + ['tepal_yf'])
        self.assertEqual(status, 0, lines)

    def test_formats(self):
        self.refused('TEPAL_API int tepal_say(const char *text) TEPAL_PRINTF(1, 0);',
                     'takes a format', 'tepal_say')
        self.refused('TEPAL_API int tepal_say(const char *name, ...);', 'takes any arguments',
                     'tepal_say')

    def test_get(self):
        self.refused('TEPAL_API int tepal_get_y(void);', 'bare noun', 'tepal_get_y')
        self.refused('TEPAL_API int tepal_y_get(void);', 'bare noun', 'tepal_y_get')
        status, lines, _ = check('TEPAL_API void tepal_get(void);\n', NAMES + ['tepal_get'])
        self.assertEqual(status, 0, lines)

    def test_close(self):
        self.refused('TEPAL_API tepal_y *tepal_y_new(void);', 'no tepal_y_close()', 'tepal_y_new')
        self.refused('TEPAL_API int tepal_y_open_fd(int fd);', 'no tepal_y_close()',
                     'tepal_y_open_fd')

    def test_words_of_cpp(self):
        self.refused('TEPAL_API int tepal_y(int class);', 'word of C++', 'tepal_y')
        self.refused('typedef struct tepal_y { int new; uint64_t later[4]; } tepal_y;',
                     'word of C++')
        self.refused('typedef struct tepal_y { int (*delete)(int n); uint64_t later[4]; } tepal_y;',
                     'word of C++')

    def test_room(self):
        self.refused('typedef struct tepal_y { int a; } tepal_y;', 'does not end with room')
        self.refused('typedef struct tepal_y { uint64_t later[4]; int a; } tepal_y;',
                     'does not end with room')

    def test_arguments(self):
        self.refused('TEPAL_API int tepal_y(tepal_x_fn *fn, void *arg);', 'no const void *',
                     'tepal_y')
        self.refused('TEPAL_API int tepal_y(const void *arg, tepal_x_fn *fn);',
                     'no argument behind it', 'tepal_y')
        self.refused('TEPAL_API int tepal_y(void (*fn)(void *arg));', 'no argument behind it',
                     'tepal_y')
        self.refused('typedef void tepal_y_fn(void *arg, int number);', 'not the last parameter')
        self.refused('typedef struct tepal_y { tepal_x_fn *fn; uint64_t later[4]; } tepal_y;',
                     'no argument behind it')

    def test_units(self):
        self.refused('TEPAL_API int tepal_y(int64_t timeout);', 'has no unit', 'tepal_y')
        self.refused('typedef struct tepal_y { int idle; uint64_t later[4]; } tepal_y;',
                     'has no unit')
        self.refused('TEPAL_API int tepal_y(int64_t ms);', 'is not in its name', 'tepal_y')

    def test_macros(self):
        self.refused('#define TEPAL_MAX(a, b) ((a) > (b) ? (a) : (b))', 'macro with arguments')

    def test_symbols(self):
        status, lines, _ = check('TEPAL_API int tepal_y(void);\n', NAMES)
        self.assertEqual(status, 1)
        self.assertTrue(lines[0].startswith('tepal_y is in the headers, but not in'), lines)
        status, lines, _ = check('', NAMES + ['tepal_y'])
        self.assertEqual(status, 1)
        self.assertTrue(lines[0].startswith('tepal_y is in scripts/symbols, but not in'), lines)
        status, _, symbols = check('', ['tepal_y'], '--write')
        self.assertEqual((status, symbols.split()), (0, sorted(NAMES)))

    def test_library(self):
        with tempfile.TemporaryDirectory() as folder:
            source, library = os.path.join(folder, 'x.c'), os.path.join(folder, 'x.so')
            with open(source, 'w', encoding='utf-8') as file:
                file.write('int tepal_x(void) { return 0; }\nint own(void) { return 0; }\n')
            subprocess.run(['cc', '-shared', '-fPIC', '-o', library, source], check=True)
            status, lines, _ = check('', ['tepal_x', 'own'], '--library', library)
            self.assertEqual(status, 0, lines)
            status, lines, _ = check('', ['tepal_x', 'tepal_y'], '--library', library)
            self.assertEqual(status, 1)
            self.assertTrue(lines[0].startswith('own is in the library, but not in'), lines)
            self.assertTrue(lines[1].startswith('tepal_y is in scripts/symbols, but not'), lines)


if __name__ == '__main__':
    unittest.main()
