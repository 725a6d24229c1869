# SPDX-License-Identifier: Apache-2.0
"""A headless chromium, driven through the DevTools protocol over a pair of pipes, with the standard library
alone."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find():
    """The browser's path, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class BrowserError(RuntimeError):
    pass


class Browser:
    """with Browser(path) as browser: page = browser.open("file:///...")"""

    def __init__(self, program):
        self.program = program
        self.last = 0
        self.events = []
        self.buffer = b""

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(prefix="detente-browser-", ignore_cleanup_errors=True)
        to_browser, self.out = os.pipe()
        self.into, from_browser = os.pipe()

        def place():
            # The protocol's numbers; through high ones, for a pipe may have got 3 or 4 itself.
            high = [os.dup(to_browser), os.dup(from_browser)]
            while min(high) < 10:
                high = [os.dup(fd) for fd in high]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)
            for fd in (3, 4):
                os.set_inheritable(fd, True)

        self.process = subprocess.Popen(
            [self.program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
             "--disable-background-networking", "--disable-component-update",
             "--user-data-dir=" + self.profile.name, "about:blank"],
            close_fds=False, preexec_fn=place, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close", timeout=5)
        except (BrowserError, OSError):
            pass
        for fd in (self.out, self.into):
            os.close(fd)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.profile.cleanup()

    def receive(self, until):
        """One message, or None when the time `until` has come."""
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.into], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            block = os.read(self.into, 1 << 20)
            if not block:
                raise BrowserError("the browser has gone")
            self.buffer += block
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, timeout=60, session=None, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        text = json.dumps(message).encode() + b"\0"
        while text:
            text = text[os.write(self.out, text):]
        until = time.monotonic() + timeout
        while True:
            answer = self.receive(until)
            if answer is None:
                raise BrowserError(f"{method}: no answer in {timeout} s")
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def open(self, address, width=1200, dark=False):
        return Page(self, address, width, dark)


class Page:
    """A loaded page. `complaints` are its console's errors, `requests` the addresses it asked for,
    `seconds` is the time until it was loaded and drawn."""

    def __init__(self, browser, address, width, dark):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.target = target
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(domain + ".enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        began = time.monotonic()
        self.call("Page.navigate", url=address)
        until = began + 60
        while not any(event["method"] == "Page.loadEventFired" for event in self.own_events()):
            event = browser.receive(until)
            if event is None:
                raise BrowserError(f"{address}: not loaded in a minute")
            if "method" in event:
                browser.events.append(event)
        # Two frames: laid out, and drawn.
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
        self.seconds = time.monotonic() - began

    def call(self, method, **params):
        return self.browser.call(method, session=self.session, **params)

    def own_events(self):
        return [event for event in self.browser.events if event.get("sessionId") == self.session]

    def run(self, script):
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    @property
    def complaints(self):
        found = []
        for event in self.own_events():
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled":
                if params["type"] in ("error", "assert", "warning"):
                    found.append(str(params["args"]))
            elif event["method"] == "Log.entryAdded":
                if params["entry"]["level"] in ("error", "warning"):
                    found.append(str(params["entry"]))
        return found

    @property
    def requests(self):
        return [event["params"]["request"]["url"] for event in self.own_events()
                if event["method"] == "Network.requestWillBeSent"]

    def press(self, key, times=1):
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def move(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, path, clip=None):
        """A PNG of the page, or of clip = (x, y, width, height) of it."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        x, y, width, height = clip or (0, 0, size["width"], size["height"])
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True,
                           clip={"x": x, "y": y, "width": width, "height": height, "scale": 1})
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
