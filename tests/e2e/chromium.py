"""Debian's chromium without a window, spoken to through its debugging pipe.

Messages of the DevTools protocol are JSON objects, each with a NUL behind, on descriptors 3 and 4.
"""

import base64
import itertools
import json
import os
import select
import shutil
import struct
import subprocess
import time
import zlib

BINARY = os.environ.get("CHROMIUM") or shutil.which("chromium")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
           "--hide-scrollbars", "--disable-background-networking", "--disable-component-update",
           "--disable-sync", "--no-proxy-server", "--remote-debugging-pipe")


class Chromium:
    """One page. `troubles` are the errors that it wrote to its console."""

    def __init__(self, folder, width=1280, height=900):
        ours, theirs = os.pipe(), os.pipe()
        self.log = open(os.path.join(folder, "chromium.log"), "ab")
        self.process = subprocess.Popen(
            ["bash", "-c", 'exec "$@" 3<&%d 4>&%d' % (ours[0], theirs[1]), "chromium", BINARY, *OPTIONS,
             "--user-data-dir=" + os.path.join(folder, "profile"),
             "--window-size=%d,%d" % (width, height), "about:blank"],
            pass_fds=(ours[0], theirs[1]), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True)
        os.close(ours[0])
        os.close(theirs[1])
        self.out, self.into = ours[1], theirs[0]
        self.buffer = b""
        self.numbers = itertools.count(1)
        self.troubles = []
        self.status = None      # of the last document
        self.session = None
        page = [x for x in self.ask("Target.getTargets")["targetInfos"] if x["type"] == "page"][0]
        self.session = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(domain + ".enable")

    def stop(self):
        try:
            self.session = None
            self.ask("Browser.close")
            self.process.wait(20)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait(20)
        os.close(self.out)
        os.close(self.into)
        self.log.close()

    # -- messages ------------------------------------------------------------------------------------

    def read(self, until):
        """The next message."""
        while b"\0" not in self.buffer:
            left = until - time.monotonic()
            assert left > 0 and select.select([self.into], [], [], left)[0], "chromium is silent"
            more = os.read(self.into, 1 << 16)
            assert more, "chromium has ended"
            self.buffer += more
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def note(self, message):
        method, told = message.get("method"), message.get("params", {})
        if method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.troubles.append("%s %s" % (told["entry"]["text"], told["entry"].get("url", "")))
        elif method == "Runtime.exceptionThrown":
            self.troubles.append(told["exceptionDetails"]["text"])
        elif method == "Network.responseReceived" and told["type"] == "Document":
            self.status = told["response"]["status"]

    def ask(self, method, timeout=60, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + timeout
        while True:
            got = self.read(until)
            if got.get("id") == number:
                assert "error" not in got, (method, got["error"])
                return got["result"]
            self.note(got)

    # -- what a person does --------------------------------------------------------------------------

    def open(self, url):
        """Goes there; returns when the page says it is complete."""
        self.status = None
        failed = self.ask("Page.navigate", url=url).get("errorText")
        assert not failed, (url, failed)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'", url)

    def value(self, expression):
        """What an expression is in the page."""
        got = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in got, (expression, got)
        return got["result"].get("value")

    def wait(self, expression, what=None, timeout=30):
        """Waits until an expression is true in the page."""
        until = time.monotonic() + timeout
        while True:
            got = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
            if got["result"].get("value"):
                return
            assert time.monotonic() < until, "%s: never %s" % (what or "the page", expression)
            select.select([], [], [], 0.05)

    def picture(self, path):
        """Takes a screenshot of the whole page; returns its pixels."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        got = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip={
            "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})
        data = base64.b64decode(got["data"])
        with open(path, "wb") as out:
            out.write(data)
        return pixels(data)


def pixels(data):
    """The set of colours (r, g, b) of a PNG with 8 bits a channel."""
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", data[at + 8:at + 18])
        elif kind == b"IDAT":
            packed += data[at + 8:at + 8 + length]
        at += length + 12
    assert depth == 8 and colour in (2, 6)
    step = 3 if colour == 2 else 4
    raw, found, above = zlib.decompress(packed), set(), bytearray(width * step)
    for y in range(height):
        start = y * (width * step + 1)
        row = unfiltered(raw[start], bytearray(raw[start + 1:start + 1 + width * step]), above, step)
        found.update(zip(row[0::step], row[1::step], row[2::step]))
        above = row
    return found


def unfiltered(kind, row, above, step):
    for i in range(len(row) if kind else 0):
        left = row[i - step] if i >= step else 0
        corner = above[i - step] if i >= step else 0
        if kind == 4:
            guess = left + above[i] - corner
            add = min((abs(guess - left), 0, left), (abs(guess - above[i]), 1, above[i]),
                      (abs(guess - corner), 2, corner))[2]
        else:
            add = (0, left, above[i], (left + above[i]) // 2)[kind]
        row[i] = (row[i] + add) & 255
    return row
