"""Fixtures shared by the end-to-end and the differential tests."""

import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import server  # noqa: E402
from contrast import Pair  # noqa: E402
from origin import Origin  # noqa: E402
from server import NGINX, SUBJECT, Server, subject_is_nginx  # noqa: E402

LIVE = []
MTIME = 1700000000

FILES = {
    "index.html": "<h1>top</h1>\n",
    "a.txt": "the file a\n",
    "b.txt": "0123456789abcdefghijklmnopqrstuvwxyz\n",
    "empty.txt": "",
    "style.css": "body { color: #234; }\n" * 200,
    "app.js": "var x = 1;\n" * 400,
    "data.json": '{"a": 1}\n',
    "x.unknown": "no such type\n",
    "noext": "no extension\n",
    "UPPER.TXT": "upper case\n",
    "tile.jpg": "\xff\xd8\xff\xe0 tile",
    "50x.html": "<h1>custom error</h1>\n",
    "404.html": "<h1>custom 404</h1>\n",
    "maintenance.html": "<h1>maintenance page</h1>\n",
    "sub/index.html": "<h1>sub</h1>\n",
    "sub/page.html": "<h1>page</h1>\n",
    "sub/index.txt": "index text\n",
    "bare/file.txt": "in bare\n",
    "with space.txt": "space\n",
    "per%cent.txt": "percent\n",
    "plus+name.txt": "plus\n",
    "semi;colon.txt": "semi\n",
    "h#sh.txt": "hash\n",
    "qu?st.txt": "question\n",
    "\u00fcml\u00e4ut.txt": "umlaut\n",
    ".hidden": "dot file\n",
    "dir.d/.ht": "dot in dir\n",
    "a.html": "<p>a &amp; b</p>\n" * 30,
    "deep/er/file.txt": "deep\n",
    "data/dataset/tiles/1/2/3.jpg": "tile 1/2/3",
    "data/dataset/tiles/black.jpg": "black",
    "gz/plain.css": "p { margin: 0 }\n" * 100,
    "err/maintainance.html": "<h1>OMERO maintainance</h1>\n",
}
ALIASED = {
    "static/a.css": "a { }\n", "static/sub/x.js": "x\n", "static/index.html": "static index\n",
    "staticsecret": "sibling\n", "be.py": "parent secret\n", "dataa.css": "dataa\n",
    "data/a.css": "data a\n",
}


@pytest.fixture(scope="session")
def base():
    """A scratch folder that every user can enter."""
    folder = tempfile.mkdtemp(prefix="wproxy-e2e-")
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def grow(folder, files):
    for name, text in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(text.encode("latin-1" if name.endswith(".jpg") else "utf-8"))
    for top, _, names in os.walk(folder):
        os.chmod(top, 0o755)
        for name in names:
            os.chmod(os.path.join(top, name), 0o644)
            os.utime(os.path.join(top, name), (MTIME, MTIME))


@pytest.fixture(scope="session")
def www(base):
    """The document root that most tests serve."""
    folder = os.path.join(base, "www")
    grow(folder, FILES)
    with open(os.path.join(folder, "big.bin"), "wb") as out:
        out.write(bytes(range(256)) * 4096 * 3)
    os.utime(os.path.join(folder, "big.bin"), (MTIME, MTIME))
    return folder


@pytest.fixture(scope="session")
def aliased(base):
    """Folders for alias tests: a static folder, its sibling and its parent's secret."""
    folder = os.path.join(base, "aliased")
    grow(folder, ALIASED)
    return folder


class Scope:
    """Makes servers, pairs and origins and ends them all, in reverse order."""

    def __init__(self, base, www, aliased):
        self.base = base
        self.names = {"www": www, "aliased": aliased, "base": base}
        self.made = []

    def folder(self):
        path = tempfile.mkdtemp(dir=self.base)
        os.chmod(path, 0o755)
        return path

    def keep(self, thing):
        """Registers something with a stop() method."""
        self.made.append(thing)
        return thing

    def origin(self, address=("127.0.0.1", 0)):
        return self.keep(Origin(address))

    def pair(self, http, **options):
        names = dict(self.names, **options.pop("names", {}))
        pair = self.keep(Pair(self.folder(), http, names=names, **options))
        LIVE.extend(pair.servers.values())
        return pair

    def server(self, http="", binary=None, **options):
        names = dict(self.names, **options.pop("names", {}))
        one = self.keep(Server(binary or SUBJECT, options.pop("folder", None) or self.folder(),
                               http, names=names, **options))
        LIVE.append(one)
        return one

    def close(self):
        failures = []
        for thing in reversed(self.made):
            try:
                thing.stop()
            except AssertionError as failure:
                failures.append(failure)
            if thing in LIVE:
                LIVE.remove(thing)
            for one in getattr(thing, "servers", {}).values():
                if one in LIVE:
                    LIVE.remove(one)
        if failures:
            raise failures[0]


@pytest.fixture(scope="module")
def shared(base, www, aliased):
    """What a module makes once and all its tests use."""
    scope = Scope(base, www, aliased)
    yield scope
    scope.close()


@pytest.fixture
def own(base, www, aliased):
    """What one test makes for itself."""
    scope = Scope(base, www, aliased)
    yield scope
    scope.close()


@pytest.fixture(autouse=True)
def watch():
    """After each test: every running server still lives and no sanitizer spoke."""
    yield
    for one in list(LIVE):
        one.check()


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("wproxy_only") and subject_is_nginx():
            item.add_marker(pytest.mark.skip(reason="the subject is nginx itself"))


def pytest_configure(config):
    config.addinivalue_line("markers", "wproxy_only: a promise that nginx does not make")
    config.addinivalue_line("markers", "root: needs to run as root")


def pytest_runtest_setup(item):
    if item.get_closest_marker("root") and os.getuid() != 0:
        pytest.skip("needs root")


def pytest_report_header(config):
    return "subject: %s (%s), oracle: %s" % (SUBJECT, server.program_name(SUBJECT)
                                             if os.path.exists(SUBJECT) else "missing", NGINX)
