"""The documented deployments, unchanged but for paths and addresses, before real pools."""

import concurrent.futures
import hashlib
import json
import os
import subprocess

import pytest

import server
from browser import Browser
from pool import Pool, prepare_demo
from wire import Wire, fetch, request

CONFIGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "configs")
SITES = [
    ("00a-seed-omero-5.4.conf", "sync", False),
    ("00a-seed-omero-5.4.conf", "gevent", True),
    ("01-omero-web-config-nginx.conf", "gthread", False),
    ("01-omero-web-config-nginx.conf", "uwsgi", False),
    ("00b-seed-catmaid-gevent.conf", "wsgiserver", False),
    ("00b-seed-catmaid-gevent.conf", "sync", True),
    ("17-catmaid-create_configuration.conf", "gthread", True),
    ("17-catmaid-create_configuration.conf", "gevent", False),
    ("17-catmaid-create_configuration.conf", "wsgiserver", True),
]


class Site:
    """A documented file in service: the server, its pool, where the application is mounted."""

    def __init__(self, shared, config, kind, unix, runtimes):
        self.config = config
        self.catmaid = "catmaid" in config
        self.mount = "/catmaid" if self.catmaid else ""
        self.runtime = runtimes[self.mount]
        self.kind = kind
        folder = shared.folder()
        self.pool = shared.keep(Pool(kind, folder, unix=unix, env={
            "DEMO_RUNTIME": self.runtime, "FORCE_SCRIPT_NAME": self.mount}))
        with open(os.path.join(CONFIGS, config)) as file:
            text = adapt(file.read(), self.pool.name, self.runtime, shared.names["www"],
                         shared.names["aliased"])
        self.server = shared.server(text)
        self.host = "catmaid.example.org" if self.catmaid else "omero.example.org"
        self.address = self.server.address()

    def browser(self):
        return Browser(self.address, self.host)

    def path(self, path):
        return self.mount + path


def adapt(text, pool, runtime, www, aliased):
    """Paths, ports and addresses by substitution; nothing else of the file changes."""
    for old, new in (
            ("127.0.0.1:4080", pool), ("127.0.0.1:8080;", pool + ";"), ("127.0.0.1:8020", pool),
            ("listen 80;", "listen @host@:@port@;"),
            ("/home/omero/OMERO.server/etc/templates/error", www + "/err"),
            ("/home/omero/OMERO.server/lib/python/omeroweb/static", runtime + "/static"),
            ("/opt/catmaid/django/static/", runtime + "/static/"),
            ("/home/alice/catmaid/docs/html", www), ("/home/alice/catmaid/django/static/", runtime + "/static/"),
            ("/home/alice/catmaid-writable/", www + "/"), ("/home/alice/catmaid/data", aliased + "/data")):
        text = text.replace(old, new)
    if "listen" not in text:
        text = text.replace("server {\n    # Handle", "server {\n    listen @host@:@port@;\n    # Handle")
    return text


@pytest.fixture(scope="session")
def runtimes(base):
    """The demo's database and static files; the two mounts share both."""
    folder = os.path.join(base, "demo")
    os.makedirs(folder)
    prepare_demo(folder)
    return {"": folder, "/catmaid": folder}


@pytest.fixture(scope="module", params=SITES, ids=lambda p: "%s-%s-%s" % (
    p[0].split("-")[0], p[1], "unix" if p[2] else "tcp"))
def site(shared, runtimes, request):
    return Site(shared, *request.param, runtimes)


def test_front(site):
    page = site.browser().get(site.path("/"))
    assert page.status == 200 and "wproxy" in page.text
    assert page.get("Content-Type").startswith("text/html")


def test_login(site):
    """Login form, wrong password, right password, redirect after POST, the session holds."""
    browser = site.browser()
    form = browser.get(site.path("/login/"))
    wrong = browser.post(site.path("/login/"), form, username="admin", password="wrong")
    assert wrong.status == 200 and "do not match" in wrong.text
    done = browser.post(site.path("/login/"), wrong, username="admin", password="admin")
    assert done.status == 302, done.text[:300]
    home = browser.follow(done)
    assert home.status == 200 and "admin" in home.text


def test_post_redirect(site):
    """POST, redirect, GET, without the mount doubled or lost."""
    browser = site.browser()
    form = browser.get(site.path("/notes/"))
    done = browser.post(site.path("/notes/"), form, text="a note to keep")
    assert done.status == 302
    assert done.get("Location") == site.path("/notes/")
    assert "a note to keep" in browser.follow(done).text


def test_admin_with_statics(site):
    browser = site.browser()
    page = browser.follow(browser.get(site.path("/admin/")))
    assert page.status == 200 and 'name="username"' in page.text
    style = [x.split('"')[0] for x in page.text.split('href="')[1:] if ".css" in x.split('"')[0]][0]
    assert style.startswith(site.path("/static/admin/")), style
    sheet = browser.get(style)
    assert sheet.status == 200 and sheet.get("ETag") and sheet.get("Content-Type").startswith("text/css")
    with open(site.runtime + "/static/" + style.split("/static/")[1], "rb") as file:
        assert sheet.body == file.read()
    again = browser.get(style, "If-None-Match: " + sheet.get("ETag"))
    assert again.status == 304 and again.body == b""


def test_admin_login(site):
    browser = site.browser()
    form = browser.get(site.path("/admin/login/?next=" + site.path("/admin/")))
    done = browser.post(site.path("/admin/login/?next=" + site.path("/admin/")), form,
                        username="admin", password="admin", next=site.path("/admin/"))
    assert done.status == 302 and done.get("Location") == site.path("/admin/")
    assert "Site administration" in browser.follow(done).text


def test_told_headers(site):
    """What the application is told, and what a client cannot fake."""
    answer = fetch(site.address, "GET " + site.path("/headers/?a=b"), "X-Forwarded-Proto: https",
                   "X-Forwarded-For: 6.6.6.6", "X_Forwarded_Proto: https", "X-Forwarded_For: 7.7.7.7",
                   "Connection: X-Forwarded-Proto, X-Forwarded-For, Host, close", host=site.host)
    told = json.loads(answer.text)
    assert told["scheme"] == "http" and told["query"] == "a=b" and told["path_info"] == "/headers/"
    assert told["headers"]["X-Forwarded-Proto"] == "http"
    seen = told["headers"]["X-Forwarded-For"]
    if site.config.startswith("17-"):
        assert seen == site.host, "the file says X-Forwarded-For $host"
    else:
        assert seen == "6.6.6.6, 127.0.0.1"
    assert "7.7.7.7" not in seen
    if site.catmaid:
        assert told["host"] in ("catmaid-wsgi", site.host)
    else:
        assert told["host"] == site.host


def test_thumbnail(site):
    with Wire(site.address) as wire:
        for i in range(5):
            got = wire.ask(request("GET " + site.path("/webclient/render_thumbnail/%d/" % i), host=site.host))
            assert got.status == 200 and len(got.body) == 4405
            assert got.get("Content-Length") == "4405"


def test_statuses_pass(site):
    """What the application says passes through, also when it says 502."""
    for code in (201, 403, 404, 500, 502, 503):
        got = fetch(site.address, "GET " + site.path("/status/%d/" % code), host=site.host)
        assert got.status == code and "the application says %d" % code in got.text


def test_upload(site):
    """An upload larger than the buffers, whole and unchanged, while client_max_body_size allows it."""
    size = 900000 if site.catmaid else 12000000
    body = os.urandom(1 << 16) * (size // (1 << 16) + 1)
    body = body[:size]
    got = fetch(site.address, "POST " + site.path("/upload/"), "Content-Type: application/octet-stream",
                body=body, host=site.host)
    assert got.status == 200, got.text[:200]
    assert json.loads(got.text) == {"size": size, "sha256": hashlib.sha256(body).hexdigest()}


def test_upload_limit(site):
    """Without client_max_body_size the default of 1m holds; the seed's 0 lifts it."""
    if not site.catmaid:
        pytest.skip("OMERO's file sets client_max_body_size 0")
    with Wire(site.address) as wire:
        wire.send(request("POST " + site.path("/upload/"), "Content-Length: 2000000", host=site.host))
        got = wire.read_response("POST")
        assert got.status == 413 and got.reason == "Request Entity Too Large"
        assert not got.persistent


def test_download(site):
    """A download larger than every buffer: each line of it is checked."""
    size = 8 << 20
    got = fetch(site.address, "GET " + site.path("/stream/?size=%d" % size), host=site.host)
    assert got.status == 200 and len(got.body) == size
    lines = size // 16
    for i in (0, 1, lines // 2, lines - 1):
        assert got.body[i * 16:i * 16 + 16] == b"%015d\n" % i
    assert hashlib.sha256(got.body).digest() == hashlib.sha256(
        b"".join(b"%015d\n" % i for i in range(lines))).digest()


def test_head(site):
    """HEAD, then GET, on one connection: no byte of a body in between."""
    with Wire(site.address) as wire:
        for method in ("HEAD", "GET", "HEAD", "HEAD", "GET"):
            got = wire.ask(request(method + " " + site.path("/webclient/render_thumbnail/7/"), host=site.host))
            assert got.status == 200
            assert len(got.body) == (4405 if method == "GET" else 0)


def test_many_clients(site):
    """100 clients at once, each several requests, none fails."""
    def visit(number):
        got = []
        with Wire(site.address, timeout=60) as wire:
            for i in range(3):
                answer = wire.ask(request("GET " + site.path("/webclient/render_thumbnail/%d/" % number),
                                          host=site.host))
                got.append((answer.status, len(answer.body)))
                if not answer.persistent:
                    break
        return got
    with concurrent.futures.ThreadPoolExecutor(100) as workers:
        for got in workers.map(visit, range(100)):
            assert got == [(200, 4405)] * 3


def test_static_of_the_file(site):
    """The file's own static locations."""
    if not site.catmaid:
        assert fetch(site.address, "GET /static/admin/css/base.css", host=site.host).status == 200
        assert fetch(site.address, "GET /static", host=site.host).status == 301
        assert fetch(site.address, "GET /static/", host=site.host).status == 403
        assert fetch(site.address, "GET /static/../demo.sqlite3", host=site.host).status == 404
        assert fetch(site.address, "GET /static/nope.css", host=site.host).status == 404
        return
    assert fetch(site.address, "GET /catmaid/static/admin/css/base.css", host=site.host).status == 200
    assert fetch(site.address, "GET /catmaid/static/nope", host=site.host).status == 404
    moved = fetch(site.address, "GET /catmaid", host=site.host)
    assert moved.status == 301
    assert moved.get("Location") == "http://%s:%d/catmaid/" % (site.host, site.server.ports["main"])


@pytest.mark.parametrize("keep", [False, True])
def test_benchmark(shared, runtimes, keep):
    """The seed's `ab -c 100`: no failed request, each of 4,405 bytes."""
    site = Site(shared, "01-omero-web-config-nginx.conf", "gthread", False, runtimes)
    done = subprocess.run(
        ["ab", "-q", "-n", "2000", "-c", "100"] + (["-k"] if keep else [])
        + [site.server.url("/webclient/render_thumbnail/1234/")], capture_output=True, timeout=120)
    out = done.stdout.decode()
    assert "Complete requests:      2000" in out, out + done.stderr.decode()
    assert "Failed requests:        0" in out, out
    assert "Document Length:        4405 bytes" in out
    assert "Non-2xx" not in out
    assert "Server Software:        %s/" % server.program_name(server.SUBJECT) in out


VARIANTS = {
    "off": ("proxy_redirect off;", "http://app-wsgi/catmaid/landed"),
    "default": ("", "http://sub.example.org:@port@/catmaid/catmaid/landed"),
    "host": ("proxy_redirect http://app-wsgi/ http://$host/;", "http://sub.example.org/catmaid/landed"),
    "root": ("proxy_redirect http://app-wsgi/ /;", "http://sub.example.org:@port@/catmaid/landed"),
}


@pytest.fixture(scope="module")
def mounts(shared):
    """The seed's long note: a sub-directory mount with FORCE_SCRIPT_NAME and absolute redirects."""
    here = os.path.dirname(os.path.abspath(__file__))
    pool = shared.keep(Pool("sync", shared.folder(), application="probe:application", chdir=here,
                            env={"FORCE_SCRIPT_NAME": "/catmaid"}))
    text = "upstream app-wsgi { server %s; }\n" % pool.name
    for name, (directive, _) in VARIANTS.items():
        text += ("server { listen @host@:@port.%s@; location /catmaid/ { proxy_pass http://app-wsgi/; %s } }\n"
                 % (name, directive))
    return shared.server(text)


@pytest.mark.parametrize("name", VARIANTS)
def test_mount_redirects(mounts, name):
    got = fetch(mounts.address(name), "GET /catmaid/absolute", host="sub.example.org")
    want = VARIANTS[name][1].replace("@port@", str(mounts.ports[name]))
    assert got.status == 302
    assert got.get("Location") == want
    refresh = got.get("Refresh")
    assert refresh.startswith("3;url=")
    if name == "host":
        assert refresh == "3;url=http://sub.example.org/catmaid/landed"
