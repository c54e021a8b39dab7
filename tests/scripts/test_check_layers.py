#!/usr/bin/env python3
"""scripts/check-layers: finds each kind of wrong include, and nothing where all is well."""
import os
import subprocess
import sys
import tempfile
import unittest

SCRIPT = os.path.join(os.path.dirname(__file__), '..', '..', 'scripts', 'check-layers')

# A small library that is in order.
GOOD = {
    'include/tepal.h': '#include <tepal/web.h>\n#include <tepal/client.h>\n',
    'include/tepal/base.h': '#include <stddef.h>\n',
    'include/tepal/async.h': '#include <tepal/base.h>\n',
    'include/tepal/client.h': '#include <tepal/net.h>\n',
    'include/tepal/net.h': '#include <tepal/async.h>\n',
    'include/tepal/web.h': '#include <tepal/net.h>\n',
    'src/base/buf.h': '#include <stdint.h>\n',
    'src/base/buf.c': '#include "base/buf.h"\n#include <tepal/log.h>\n',
    'src/async/task.h': '#include "base/buf.h"\n',
    'src/http/scan.h': '#include <tepal/base.h>\n',
    'src/http/scan_table.inc': '1, 2, 3\n',
    'src/http/scan.c': '#include "scan.h"\n#include "scan_table.inc"\n',
    'src/conn/head.c': '#include "http/scan.h"\n#include "async/task.h"\n',
    'src/web/app/app.h': '#include <tepal/web.h>\n',
    'src/web/app/app.c': '#include "web/app/app.h"\n#include "http/scan.h"\n#include <jansson.h>\n',
    'src/web/message/req.c': '#include "web/exchange/user.h"\n',
    'src/web/exchange/user.h': '',
    'src/web/exchange/h1.c': '#include "http/h1_parse.h"\n#include "conn/body.h"\n',
    'src/http/h1_parse.h': '',
    'src/conn/body.h': '',
    'src/client/session.c': '#include <tepal/client.h>\n#include "base/buf.h"\n',
    'examples/hello.c': '#include <tepal.h>\n',
    'bench/http_parse.c': '#include "http/scan.h"\n',
    'bench/load.h': '',
    'bench/load.c': '#include "load.h"\n#include <tepal/async.h>\n',
    'tests/unit/web/app/app.c': '#include "web/app/app.h"\n',
}


def check(extra):
    """Runs the checker over GOOD and the files in extra; returns (exit status, lines)."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**GOOD, **extra}.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), 'w', encoding='utf-8') as file:
                file.write(text)
        done = subprocess.run([sys.executable, SCRIPT, '--root', root], text=True,
                              stdout=subprocess.PIPE)
        return done.returncode, done.stdout.splitlines()


class CheckLayers(unittest.TestCase):
    def refused(self, path, text, line=1):
        status, lines = check({path: text})
        self.assertEqual(status, 1, lines)
        self.assertEqual(len(lines), 2, lines)
        self.assertTrue(lines[0].startswith('%s:%d: ' % (path, line)), lines)

    def allowed(self, path, text):
        status, lines = check({path: text})
        self.assertEqual(status, 0, lines)

    def test_a_tree_in_order_passes(self):
        self.assertEqual(check({})[0], 0)

    def test_an_empty_tree_does_not_pass(self):
        with tempfile.TemporaryDirectory() as root:
            done = subprocess.run([sys.executable, SCRIPT, '--root', root],
                                  stdout=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 1)

    def test_up(self):
        self.refused('src/base/map.c', '#include "async/task.h"\n')
        self.refused('src/async/group.c', '\n\n#include "conn/head.h"\n', 3)
        self.refused('src/net/addr.c', '#include "conn/head.h"\n')
        self.refused('src/http/uri.c', '#include "async/task.h"\n')
        self.refused('src/conn/body.c', '#include "web/app/app.h"\n')

    def test_sideways(self):
        self.refused('src/web/message/res.c', '#include "client/session.h"\n')
        self.refused('src/client/pool.c', '#include "web/app/app.h"\n')
        self.refused('src/net/addr.c', '#include "http/scan.h"\n')
        self.refused('src/web/message/res.c', '#include <tepal/client.h>\n')
        self.refused('src/client/pool.c', '#include <tepal/req.h>\n')

    def test_rooms(self):
        self.refused('src/web/text/utf8.c', '#include "web/message/req.h"\n')
        self.refused('src/web/routing/router.c', '#include "web/app/app.h"\n')
        self.refused('src/web/message/res.c', '#include "web/app/app.h"\n')
        self.refused('src/web/message/res.c', '#include "../app/app.h"\n')
        self.refused('src/web/app/app.h', '#include "web/server/sites.h"\n')
        self.refused('src/web/exchange/h1.h', '#include "web/message/req.h"\n')
        self.refused('src/web/server/sites.c', '#include "web/testing/reply.h"\n')
        self.allowed('src/web/json/body.c', '#include "web/message/req.h"\n')
        self.allowed('src/web/server/sites.c', '#include "web/app/app.h"\n')
        self.allowed('src/web/message/res.c', '#include "web/server/server.h"\n')
        self.refused('src/web/text/utf8.c', '#include "web/server/server.h"\n')
        self.refused('src/web/misc.c', '')
        self.refused('src/web/util/misc.c', '')

    def test_http1_is_in_the_exchange_only(self):
        for name in ['conn/body.h', 'http/h1_parse.h', 'http/h1_write.h', 'http/chunk.h']:
            text = '#include "%s"\n' % name
            self.allowed('src/web/exchange/h1.h', text)
            self.refused('src/web/message/send.c', text)
            self.refused('src/web/server/server.c', text)
        self.allowed('src/web/message/send.c', '#include "http/scan.h"\n')
        self.allowed('src/web/testing/reply.c', '#include "http/h1_parse.h"\n')
        self.refused('src/web/testing/reply.c', '#include "http/h1_write.h"\n')
        self.refused('src/web/testing/reply.c', '#include "conn/body.h"\n')

    def test_the_seam(self):
        for name in ['exchange.h', 'user.h', 'response_head.h']:
            self.allowed('src/web/message/send.c', '#include "web/exchange/%s"\n' % name)
        self.refused('src/web/message/send.c', '#include "web/exchange/h1.h"\n')
        self.refused('src/web/app/app.c', '#include "web/exchange/made.h"\n')
        self.allowed('src/web/server/server.c', '#include "web/exchange/connection.h"\n')
        self.allowed('src/web/testing/call.c', '#include "web/exchange/made.h"\n')
        self.refused('src/web/testing/call.c', '#include "web/exchange/connection.h"\n')

    def test_a_proxy_needs_no_http1(self):
        path = 'tests/unit/web/exchange/proxy.c'
        self.allowed(path, '#include "../web_check.h"\n#include "web/exchange/made.h"\n'
                           '#include "web/message/request.h"\n#include "http/message.h"\n')
        for name in ['web/exchange/h1.h', 'conn/body.h', 'http/h1_parse.h']:
            self.refused(path, '#include "%s"\n' % name)

    def test_ways_around(self):
        self.refused('src/base/map.c', '#include "../async/task.h"\n')
        self.refused('src/base/map.c', '#include <async/task.h>\n')
        self.refused('src/base/map.c', '#  include   "async/task.h" /* just this once */\n')
        self.refused('src/base/map.c', '#include "../../tests/x.h"\n')
        self.refused('src/base/map.c', '#define X "async/task.h"\n#include X\n', 2)
        self.refused('src/base/swap.S', '#include "async/task.h"\n')

    def test_public_headers_from_inside(self):
        self.refused('src/base/map.c', '#include <tepal/async.h>\n')
        self.refused('src/async/group.c', '#include <tepal/net.h>\n')
        self.allowed('src/async/group.c', '#include <tepal/sys/poller.h>\n')
        self.refused('src/http/uri.c', '#include <tepal/log.h>\n')
        self.refused('src/conn/body.c', '#include <tepal/req.h>\n')
        self.refused('src/web/message/res.c', '#include <tepal.h>\n')

    def test_public_headers_among_themselves(self):
        self.refused('include/tepal/base.h', '#include <tepal/log.h>\n')
        self.refused('include/tepal/async.h', '#include <tepal/web.h>\n')
        self.refused('include/tepal/web.h', '#include "base/buf.h"\n')
        self.allowed('include/tepal/req.h', '#include <tepal/app.h>\n')

    def test_users_see_only_public_headers(self):
        self.refused('examples/hello.c', '#include "web/app/app.h"\n')
        self.refused('ext/redis/redis.c', '#include "async/task.h"\n')
        self.refused('bench/load.c', '#include "http/scan.h"\n')
        self.refused('examples/hello.c', '#include "../src/web/app/app.h"\n')
        self.refused('bench/http_parse.c', '#include "web/app/app.h"\n')
        self.allowed('ext/redis/redis.c', '#include <tepal/async.h>\n#include <hiredis.h>\n')

    def test_what_is_in_no_layer(self):
        self.refused('src/util/misc.c', '')
        self.refused('src/misc.c', '')
        self.refused('include/tepal/misc.h', '')


if __name__ == '__main__':
    unittest.main()
