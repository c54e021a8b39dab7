#!/usr/bin/python3
"""The aiohttp peer: aiohttp.web on uvloop, as Debian packages them, one process, no access log."""
import sys

import aiohttp
import uvloop
from aiohttp import web


async def plaintext(request):
    return web.Response(text="Hello, World!")


async def json(request):
    return web.json_response({"message": "Hello, World!"})


def main():
    if sys.argv[1:] == ["--version"]:
        print("aiohttp %s, uvloop %s, Python %s"
              % (aiohttp.__version__, uvloop.__version__, sys.version.split()[0]))
        return
    if len(sys.argv) != 3 or sys.argv[1] != "--port":
        sys.exit("usage: aiohttp_server.py --port N | --version")
    uvloop.install()
    app = web.Application()
    app.router.add_get("/plaintext", plaintext)
    app.router.add_get("/json", json)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=None, print=None,
                keepalive_timeout=3600, backlog=4096)


if __name__ == "__main__":
    main()
