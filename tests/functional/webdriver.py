"""A browser to click with: Chromium, driven by chromedriver over W3C WebDriver, which is JSON over
HTTP (https://www.w3.org/TR/webdriver2/). Only what the tests need, with the standard library."""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

from server import TIME_FACTOR, free_port, wait_for

ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'  # the key of a reference, fixed by the standard
FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync',
         '--disable-dev-shm-usage', '--no-proxy-server', '--lang=en',
         '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1']

KEYS = {'Enter': '\ue007', 'Escape': '\ue00c', 'Tab': '\ue004', 'Space': ' ', 'Shift': '\ue008'}


def missing():
    """What is not installed, or None."""
    return next((program for program in ('chromium', 'chromedriver')
                 if not shutil.which(program)), None)


class WebDriverError(AssertionError):
    """The browser refused a command."""


class Element:
    """An element of the page."""

    def __init__(self, browser, reference):
        self.browser = browser
        self.reference = reference

    def _call(self, method, what, **body):
        return self.browser.call(method, '/element/%s/%s' % (self.reference, what), **body)

    def click(self):
        """A click in its middle; fails when it is not visible or something covers it."""
        self._call('POST', 'click')

    def type(self, text):
        self._call('POST', 'value', text=text)

    def clear(self):
        self._call('POST', 'clear')

    @property
    def text(self):
        return self._call('GET', 'text')

    @property
    def displayed(self):
        return self._call('GET', 'displayed')

    def property(self, name):
        return self._call('GET', 'property/' + name)

    def attribute(self, name):
        return self._call('GET', 'attribute/' + name)

    def find(self, selector):
        return Element(self.browser, self._call('POST', 'element', using='css selector',
                                                value=selector)[ELEMENT])

    def double_click(self):
        press = [{'type': 'pointerDown', 'button': 0}, {'type': 'pointerUp', 'button': 0}]
        move = {'type': 'pointerMove', 'origin': {ELEMENT: self.reference}, 'x': 0, 'y': 0}
        self.browser.act({'type': 'pointer', 'id': 'mouse', 'actions': [move] + press + press})


class Browser:
    """A Chromium of its own, with an empty profile; a context manager."""

    def __init__(self, width=1100, height=800):
        self.size = (width, height)
        self.driver = None
        self.session = None
        self.profile = None

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        port = free_port()
        self.base = 'http://127.0.0.1:%d' % port
        self.log = open(os.path.join(self.profile.name, 'chromedriver.log'), 'wb')
        self.driver = subprocess.Popen(['chromedriver', '--port=%d' % port],
                                       stdin=subprocess.DEVNULL, stdout=self.log,
                                       stderr=subprocess.STDOUT)
        try:
            wait_for('chromedriver is ready', self._ready, 30)
            options = {'binary': shutil.which('chromium'),
                       'args': FLAGS + ['--user-data-dir=' + self.profile.name,
                                        '--window-size=%d,%d' % self.size]}
            capabilities = {'browserName': 'chrome', 'goog:chromeOptions': options,
                            'goog:loggingPrefs': {'browser': 'ALL'}}
            value = self._http('POST', '/session',
                               {'capabilities': {'alwaysMatch': capabilities}})
            self.session = value['sessionId']
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, error, trace):
        try:
            if self.session:
                self._http('DELETE', '/session/' + self.session)
        except (OSError, WebDriverError):
            pass
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.log.close()
            self.profile.cleanup()

    def _ready(self):
        try:
            return self._http('GET', '/status')['ready']
        except OSError:
            return False

    def _http(self, method, path, body=None):
        data = None if method != 'POST' else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, method=method,
                                         headers={'Content-Type': 'application/json'})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60 * TIME_FACTOR) as response:
                return json.load(response)['value']
        except urllib.error.HTTPError as error:
            value = json.load(error)['value']
            raise WebDriverError('%s %s: %s: %s' % (method, path, value['error'],
                                                    value['message'])) from None

    # --- What a user does ---

    def call(self, method, command, **body):
        return self._http(method, '/session/%s%s' % (self.session, command), body)

    def open(self, url):
        self.call('POST', '/url', url=url)

    def reload(self):
        self.call('POST', '/refresh')

    def find(self, selector):
        return self.find_all(selector)[0]

    def find_all(self, selector):
        return [Element(self, found[ELEMENT]) for found in
                self.call('POST', '/elements', using='css selector', value=selector)]

    def run(self, script, *arguments):
        """Runs JavaScript in the page; returns what it returns."""
        return self.call('POST', '/execute/sync', script=script, args=list(arguments))

    def act(self, *actions):
        self.call('POST', '/actions', actions=list(actions))

    def press(self, *keys):
        """Keys, one after the other, where the focus is."""
        actions = []
        for key in keys:
            value = KEYS.get(key, key)
            actions += [{'type': 'keyDown', 'value': value}, {'type': 'keyUp', 'value': value}]
        self.act({'type': 'key', 'id': 'keyboard', 'actions': actions})

    @property
    def title(self):
        return self.call('GET', '/title')

    def console(self):
        """What the browser has written to its console since the last call."""
        return [entry['message'] for entry in self.call('POST', '/se/log', type='browser')]

    def emulate(self, width, height, mobile=True):
        """Shows the page as on a screen of this size."""
        self.devtools('Emulation.setDeviceMetricsOverride', width=width, height=height,
                      deviceScaleFactor=2 if mobile else 1, mobile=mobile)
        self.devtools('Emulation.setTouchEmulationEnabled', enabled=mobile)

    def devtools(self, command, **parameters):
        return self.call('POST', '/goog/cdp/execute', cmd=command, params=parameters)

    def screenshot(self, path):
        with open(path, 'wb') as file:
            file.write(base64.b64decode(self.call('GET', '/screenshot')))
