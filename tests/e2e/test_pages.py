"""The demo's pages in a real browser: what they show, without an error in the console.

A picture of each is kept in the build directory, in screenshots/, for people to look at.
"""

import os
import re

import pytest

from chromium import BINARY, Chromium
from pool import Pool, prepare_demo
from server import SUBJECT, TOP, child_pids, wait_until

pytestmark = pytest.mark.skipif(BINARY is None, reason="chromium is not installed")

ACCENT = (0x0f, 0x76, 0x6e)
CELLS = [(38, 70, 110), (46, 104, 138), (160, 190, 120), (206, 98, 92)]     # of make_tiles.py


@pytest.fixture(scope="session")
def pictures(base):
    """Below the build directory; a scratch folder where the program was not built."""
    folder = os.path.dirname(SUBJECT)
    if not os.path.exists(os.path.join(folder, "config.status")):
        folder = base
    folder = os.path.join(folder, "screenshots")
    os.makedirs(folder, exist_ok=True)
    return folder


class Site:
    """conf.d/demo.conf of the tree as it is, but for addresses and paths, and its four pools."""

    def __init__(self, scope):
        self.scope = scope
        self.runtime = prepare_demo(scope.folder())
        self.pools = [scope.keep(Pool("sync", scope.folder(), workers=1, env={"DEMO_RUNTIME": self.runtime}))
                      for _ in range(4)]
        with open(os.path.join(TOP, "conf.d", "demo.conf")) as file:
            text = file.read()
        for i, pool in enumerate(self.pools):
            text, count = re.subn(r"127\.0\.0\.1:408%d\b" % i, pool.name, text)
            assert count == 1
        for old, new in (("listen 8080 default_server;", "listen @host@:@port@ default_server;"),
                         ("include run/tls/*.conf;", "include %s/conf.d/mime.types;" % TOP),
                         ("alias run/static/;", "alias %s/static/;" % self.runtime),
                         ("static-test", TOP + "/static-test"),
                         ("include conf.d/proxy_params;", "include %s/conf.d/proxy_params;" % TOP)):
            assert old in text
            text = text.replace(old, new)
        self.server = scope.server(text)

    def url(self, path):
        return self.server.url(path)

    def processes(self):
        return {pid for pool in self.pools for pid in child_pids(pool.process.pid)}


@pytest.fixture(scope="module")
def site(shared):
    return Site(shared)


@pytest.fixture(scope="module")
def window(shared):
    return shared.keep(Chromium(shared.folder()))


@pytest.fixture
def browser(window):
    """The window, and after the test: nothing was wrong in it."""
    window.troubles.clear()
    yield window
    assert window.troubles == []


def test_front(site, browser, pictures):
    """Who answered is drawn: all four processes, about as often as each other."""
    browser.open(site.url("/"))
    browser.wait("/16 answers/.test(document.getElementById('asked').textContent)")
    rows = browser.value("[...document.querySelectorAll('.bars div')].map(x => x.innerText.split(/\\s+/))")
    assert {int(row[1]) for row in rows} == site.processes()
    counts = [int(row[2]) for row in rows]
    assert sum(counts) == 16 and max(counts) <= 8, counts
    assert int(re.search(r"Process (\d+) of the pool", browser.value("document.body.innerText")).group(1)) \
        in site.processes()
    assert browser.value("[...document.images].every(x => x.complete && x.naturalWidth > 0)")
    assert browser.value("document.images.length") == 14
    # The plane's colours: drawn from 262,144 bytes that came through.
    browser.wait("document.getElementById('plane').getContext('2d').getImageData(0, 0, 1, 1).data[3] === 255")
    seen = browser.picture(os.path.join(pictures, "front.png"))
    assert ACCENT in seen and len(seen) > 500 and all(cell in seen for cell in CELLS)


def test_asked_again(site, browser):
    browser.open(site.url("/"))
    browser.wait("/16 answers/.test(document.getElementById('asked').textContent)")
    browser.value("document.getElementById('ask').click()")
    browser.wait("/32 answers/.test(document.getElementById('asked').textContent)")
    counts = browser.value("[...document.querySelectorAll('.bars b')].map(x => +x.textContent)")
    assert len(counts) == 4 and sum(counts) == 48 and max(counts) <= 24, counts


def test_viewer(site, browser, pictures):
    browser.open(site.url("/files/viewer.html"))
    browser.wait("/16 tiles in sight, 16 loaded/.test(document.getElementById('said').textContent)")
    seen = browser.picture(os.path.join(pictures, "viewer.png"))
    assert all(cell in seen for cell in CELLS)
    browser.value("document.getElementById('in').click()")
    browser.wait("/^level 3 of 3/.test(document.getElementById('said').textContent)")
    browser.wait("[...document.images].length > 16 && [...document.images].every(x => x.naturalWidth === 256)")
    assert browser.value("[...document.images].every(x => x.src.includes('/tiles/3/'))")


def test_events(site, browser, pictures):
    """The first is there long before the last: they come one by one."""
    browser.open(site.url("/events/"))
    browser.wait("document.querySelectorAll('#events li').length > 0")
    assert browser.value("document.querySelectorAll('#events li').length") < 20
    browser.wait("document.getElementById('ended').textContent.startsWith('20 events')", timeout=60)
    told = browser.value("[...document.querySelectorAll('#events li')].map(x => x.textContent)")
    assert [int(x.split()[1]) for x in told] == list(range(1, 21))
    browser.picture(os.path.join(pictures, "events.png"))


def test_upload(site, browser, pictures):
    """A form with a file of 3 MB: what arrived is what was sent."""
    browser.open(site.url("/upload/"))
    browser.value("""(() => {
        const files = new DataTransfer();
        const bytes = new Uint8Array(3000000).map((_, i) => i % 251);
        files.items.add(new File([bytes], 'three million.bin'));
        document.querySelector('input[type=file]').files = files.files;
        document.getElementById('send').requestSubmit();
    })()""")
    browser.wait("document.querySelector('#said code') !== null")
    said = browser.value("document.getElementById('said').innerText")
    assert "three million.bin" in said and "3,000,000 bytes" in said
    sum_ = browser.value("""crypto.subtle.digest('SHA-256', new Uint8Array(3000000).map((_, i) => i % 251))
        .then(x => [...new Uint8Array(x)].map(y => y.toString(16).padStart(2, '0')).join(''))""")
    assert sum_ in said
    assert browser.value("document.getElementById('sent').value") == 1
    browser.picture(os.path.join(pictures, "upload.png"))


def test_login(site, browser):
    browser.open(site.url("/login/"))
    browser.value("""(() => {
        document.querySelector('input[name=username]').value = 'admin';
        document.querySelector('input[name=password]').value = 'admin';
        document.querySelector('.stack').requestSubmit();
    })()""")
    browser.wait("document.body && document.body.innerText.includes('Log out admin')")
    browser.open(site.url("/admin/"))
    assert "Site administration" in browser.value("document.body.innerText")


def test_maintenance(site, window, pictures):
    """The pool stops: the page with status 502. It returns: the page finds that by itself."""
    for pool in site.pools:
        pool.end()
    window.open(site.url("/notes/"))
    assert window.status == 502
    assert window.value("document.title") == "Under maintenance"
    seen = window.picture(os.path.join(pictures, "maintenance.png"))
    assert ACCENT in seen
    for pool in site.pools:
        pool.start()
    window.wait("document.title === 'Notes - wproxy demo'", timeout=60)
    wait_until(lambda: window.ask("Page.getLayoutMetrics") and window.status == 200, 10, "status 200")
