"""The servers that are compared: how each is started, whether it is here, and its version."""
import os
import shutil
import subprocess

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEERS = os.path.join(BENCH, "peers")
GO_PLACES = ["/usr/local/go/bin/go", "/usr/lib/go/bin/go"]


class Missing(Exception):
    """This server cannot run here; the text says what is missing."""


def output(*argv):
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=30)
    except OSError as e:
        raise Missing("%s: %s" % (argv[0], e.strerror))
    except subprocess.TimeoutExpired:
        raise Missing("%s does not answer" % " ".join(argv))
    if done.returncode != 0:
        last = done.stdout.strip().splitlines()[-1:] or ["failed"]
        raise Missing("%s: %s" % (os.path.basename(argv[0]), last[0]))
    return done.stdout.strip()


class Server:
    """One server of the comparison. prepare() raises Missing or sets version; argv() starts it."""
    name = ""
    real_json = True            # False: its /json is not JSON (the floor answers all alike)

    def __init__(self, build):
        self.dir = os.path.join(build, "bench")
        self.version = ""

    def prepare(self):
        raise NotImplementedError

    def argv(self, port):
        raise NotImplementedError


class Built(Server):
    """A C program of bench/ that meson builds."""
    program = ""
    needs = ""

    def prepare(self):
        self.path = os.path.join(self.dir, self.program)
        if not os.access(self.path, os.X_OK):
            raise Missing("%s is not built%s" % (self.path, self.needs and " (%s)" % self.needs))

    def argv(self, port):
        return [self.path, "--port", str(port)]


class Floor(Built):
    name = program = "floor"
    real_json = False


class Tepal(Built):
    name = "tepal"
    program = "tepal-server"


class Microhttpd(Built):
    name = "libmicrohttpd"
    program = "peer-microhttpd"
    needs = "needs libmicrohttpd-dev"

    def prepare(self):
        super().prepare()
        self.version = output(self.path, "--version")


class Evhttp(Built):
    name = "evhttp"
    program = "peer-evhttp"
    needs = "needs libevent-dev"

    def prepare(self):
        super().prepare()
        self.version = output(self.path, "--version")


class Nginx(Server):
    name = "nginx"

    def prepare(self):
        self.path = shutil.which("nginx") or "/usr/sbin/nginx"
        if not os.access(self.path, os.X_OK):
            raise Missing("nginx is not installed (nginx-light)")
        self.version = output(self.path, "-v").replace("nginx version: ", "")

    def argv(self, port):
        work = os.path.join(self.dir, "nginx")
        os.makedirs(work, exist_ok=True)
        with open(os.path.join(PEERS, "nginx.conf")) as f:
            text = f.read().replace("@PORT@", str(port)).replace("@DIR@", work)
        conf = os.path.join(work, "nginx.conf")
        with open(conf, "w") as f:
            f.write(text)
        # -e: before it has read its configuration, nginx would open /var/log/nginx/error.log.
        return [self.path, "-p", work, "-e", "stderr", "-c", conf]


class Aiohttp(Server):
    name = "aiohttp"

    def prepare(self):
        # Debian's own interpreter: the packages are for that one, whatever comes first on PATH.
        self.script = os.path.join(PEERS, "aiohttp_server.py")
        self.version = output("/usr/bin/python3", self.script, "--version")

    def argv(self, port):
        return ["/usr/bin/python3", self.script, "--port", str(port)]


class Node(Server):
    name = "node"

    def prepare(self):
        self.path = shutil.which("node")
        if not self.path:
            raise Missing("node is not installed (nodejs)")
        self.version = "Node " + output(self.path, "--version")

    def argv(self, port):
        return [self.path, os.path.join(PEERS, "node_server.js"), "--port", str(port)]


class GoProgram(Server):
    """A Go program of peers/, built when it is needed."""
    source = ""

    def prepare(self):
        places = [shutil.which("go")] + GO_PLACES
        go = next((p for p in places if p and os.access(p, os.X_OK)), None)
        if not go:
            raise Missing("go is not installed (golang-go)")
        source = os.path.join(PEERS, self.source, "main.go")
        self.path = os.path.join(self.dir, "peer-" + self.source)
        os.makedirs(self.dir, exist_ok=True)
        env = dict(os.environ, GO111MODULE="off", GOTOOLCHAIN="local", GOFLAGS="", CGO_ENABLED="0")
        built = subprocess.run([go, "build", "-o", self.path, source], env=env, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if built.returncode != 0:
            raise Missing("go build failed: " + built.stdout.strip())
        self.version = output(go, "version").replace("go version ", "")


class Go(GoProgram):
    name = source = "go"

    def argv(self, port):
        return [self.path, "--port", str(port)]


ALL = [Floor, Tepal, Nginx, Microhttpd, Evhttp, Go, Node, Aiohttp]
