"""uwsgi_pass: packets as nginx makes them, its directives, and real uWSGI behind its own protocol."""

import concurrent.futures
import hashlib
import json
import os
import shutil
import subprocess
import threading
import time

import pytest

import server
from browser import Browser
from pool import Pool, prepare_demo
from server import NGINX, TOP, wait_until
from uwsgi_origin import OK, UwsgiOrigin
from wire import Wire, WireError, chunked, fetch, request

HERE = os.path.dirname(os.path.abspath(__file__))
HTTP = r"""
upstream app { server @app@; }
server {
    listen @host@:@port@;
    server_name first.test;
    root /srv/www;
    client_max_body_size 10m;
    include @params@;
    location / { uwsgi_pass 127.0.0.1:@app_port@; }
    location /group/ { uwsgi_pass app; }
    location /scheme/ { uwsgi_pass uwsgi://app; }
    location /unix/ { uwsgi_pass @unix@; }
    location /streamed/ { uwsgi_request_buffering off; uwsgi_pass app; }
    location /own/ {
        uwsgi_param QUERY $args;
        uwsgi_param EMPTY "";
        uwsgi_param NEVER "" if_not_empty;
        uwsgi_param SOMETIMES $arg_s if_not_empty;
        uwsgi_param CONTENT_LENGTH $content_length;
        uwsgi_param HTTP_X_FORWARDED_PROTO $scheme;
        uwsgi_modifier1 5;
        uwsgi_modifier2 7;
        uwsgi_pass app;
    }
    location /none/ { uwsgi_pass_request_body off; uwsgi_pass_request_headers off; uwsgi_param ONE 1; uwsgi_pass app; }
    location /rewritten/ { rewrite ^/rewritten/(.*)$ /new/$1?z=1 break; uwsgi_pass app; }
    location ~ ^/regex/([^/]+) { uwsgi_param CAPTURE $1; uwsgi_pass $arg_host:@app_port@; }
    location /if/ { uwsgi_param B b; uwsgi_pass app; if ($arg_x) { uwsgi_pass 127.0.0.1:@app_port@; } }
    location /twice/ { uwsgi_param HTTP_HOST $host; uwsgi_param HTTP_HOST other; uwsgi_param X 1; uwsgi_param X 2; uwsgi_pass app; }
    location /outer/ { uwsgi_param Q q; location /outer/inner/ { uwsgi_pass app; } }
    location /try/ { try_files $uri @app; }
    location @app { uwsgi_pass app; }
}
"""

PACKETS = {
    "get": request("GET /a%20b//c/../d?x=1&y=%20"), "post": request("POST /x", "Content-Type: text/x", body=b"hello"),
    "large": request("POST /x", body=b"h" * 300000), "empty": request("POST /x", "Content-Length: 0"), "head": request("HEAD /x"),
    "delete": request("DELETE /x", body=b"body"), "1.0": request("GET /x HTTP/1.0", host=None), "host": request("GET /x", host="Foo.test:81"),
    "absolute": request("GET http://abs.test:99/x?y", host="abs.test:99"), "bytes": request("GET /\xc3\xa4%c3%a4%0a?\xc3"),
    "known": request("GET /x", "Authorization: Basic YTpi", "Referer: r", "User-Agent: u", "If-Modified-Since: x", "Range: bytes=0-1", "Cookie: a=b"),
    "dropped": request("GET /x", "X_Under: 1", "X.Dot: 2", "X-Kept: 3"), "long": request("GET /x?" + "q" * 5000, "X-Long: " + "v" * 7000),
    "streamed": request("POST /streamed/x", body=b"hello" * 50000), "group": request("GET /group/x"), "scheme": request("GET /scheme/x"),
    "own": request("GET /own/?q=1"), "own body": request("POST /own/?s=1", body=b"hey"), "none": request("POST /none/x", "X-A: b", body=b"hello"),
    "rewritten": request("GET /rewritten/a%20b?c=d"), "regex": request("GET /regex/cap%41x/y?host=127.0.0.1"), "if": request("GET /if/?x=1"),
    "if not": request("GET /if/"), "twice": request("GET /twice/"), "inner": request("GET /outer/inner/x"), "named": request("GET /try/x"), "unix": request("GET /unix/x"),
}
# What a back end of nginx sees and ours does not, or otherwise.
STRICTER = {
    "chunked": (request("POST /x", "Transfer-Encoding: chunked", body=chunked(b"hello", b"abc")),
                {"CONTENT_LENGTH": ["8"], "HTTP_TRANSFER_ENCODING": []}, b"helloabc"),
    "chunked streamed": (request("POST /streamed/x", "Transfer-Encoding: chunked", body=chunked(b"hello", b"abc")),
                         {"CONTENT_LENGTH": ["8"], "HTTP_TRANSFER_ENCODING": []}, b"helloabc"),
    "proxy": (request("GET /x", "Proxy: http://evil/"), {"HTTP_PROXY": []}, b""),
    "hop": (request("GET /x", "Connection: X-Drop, keep-alive", "X-Drop: 1", "Keep-Alive: timeout=3", "X-Keep: 1"),
            {"HTTP_X_DROP": [], "HTTP_KEEP_ALIVE": [], "HTTP_X_KEEP": ["1"]}, b""),
    "repeated": (request("GET /x", "Cookie: a=1", "Cookie: b=2", "X-A: 1", "x-a: 2"), {"HTTP_COOKIE": ["a=1; b=2"], "HTTP_X_A": ["1, 2"]}, b""),
    "faked": (request("GET /own/", "X-Forwarded-Proto: https", "x-forwarded-proto: wss"), {"HTTP_X_FORWARDED_PROTO": ["http"]}, b""),
    "absolute": (request("GET http://abs.test:99/x?y", host="evil.test"), {"HTTP_HOST": ["abs.test:99"], "REQUEST_URI": ["/x?y"]}, b""),
}


class Stand:
    def __init__(self, shared, binary):
        folder = shared.folder()
        path = os.path.join(folder, "app.sock")
        self.app = shared.keep(UwsgiOrigin())
        self.unix = shared.keep(UwsgiOrigin(path))
        os.chmod(path, 0o666)
        params = os.path.join(folder, "uwsgi_params")
        shutil.copy(os.path.join(TOP, "conf.d", "uwsgi_params"), params)
        self.server = shared.server(HTTP, binary=binary, ready=[], names={
            "app": self.app.name, "app_port": self.app.port, "unix": "unix://" + path, "params": params})
        self.address = self.server.address()
        wait_until(lambda: server.accepts(self.address), 10, "it accepts")

    def ask(self, data):
        """The answer, and the one packet that it was made of, without what differs from run to run."""
        self.app.packets.clear()
        with Wire(self.address) as wire:
            got = wire.ask(data)
        packet, = (self.unix if b" /unix/" in data[:20] else self.app).take()
        packet.variables = [(n, v) for n, v in packet.variables if n not in ("REMOTE_PORT", "SERVER_PORT")]
        return got, packet


@pytest.fixture(scope="module")
def stand(shared):
    return Stand(shared, None)


@pytest.fixture(scope="module")
def oracle(shared):
    return Stand(shared, NGINX)


@pytest.mark.parametrize("name", PACKETS)
def test_packet_is_nginx_s(stand, oracle, name):
    """Variables, their order, modifiers and body: what an application sees does not change."""
    got, packet = stand.ask(PACKETS[name])
    want, model = oracle.ask(PACKETS[name])
    assert (got.status, got.body, got.get("Content-Type")) == (want.status, want.body, want.get("Content-Type"))
    assert packet.variables == model.variables
    assert (packet.modifiers, packet.body, packet.after) == (model.modifiers, model.body, model.after)


@pytest.mark.wproxy_only
@pytest.mark.parametrize("name", STRICTER)
def test_packet_is_stricter(stand, name):
    data, variables, body = STRICTER[name]
    got, packet = stand.ask(data)
    assert got.status == 200 and packet.body == body and packet.after == b""
    for variable, values in variables.items():
        assert packet.all(variable) == values


def test_large_packet(stand):
    with Wire(stand.address) as wire:
        fields = ["X-%d: %s" % (i, "v" * 7000) for i in range(4)]
        assert wire.ask(request("GET /x", *fields)).status == 200
    assert stand.app.take()[0].get("HTTP_X_3") == "v" * 7000


@pytest.mark.wproxy_only
def test_packet_that_cannot_be(shared):
    """64 KiB is the protocol's limit: more is the client's fault and reaches nobody."""
    app = shared.keep(UwsgiOrigin())
    one = shared.server("large_client_header_buffers 16 8k; server { listen @host@:@port@; location / { uwsgi_pass %s; } }" % app.name, ready=[])
    wait_until(lambda: server.accepts(one.address()), 10, "it accepts")
    got = fetch(one.address(), "GET /x", *["X-%d: %s" % (i, "v" * 7900) for i in range(9)])
    assert got.status == 400 and app.connections == 0
    assert fetch(one.address(), "GET /x", *["X-%d: %s" % (i, "v" * 7900) for i in range(8)]).status == 200


# -- answers and directives --------------------------------------------------------------------------

ANSWERS = r"""
upstream two { server @app@ max_fails=0; server @other@ max_fails=0; }
server {
    listen @host@:@port@;
    error_page 404 503 /page;
    location / { uwsgi_pass @app@; }
    location /hide/ { uwsgi_hide_header X-Hidden; uwsgi_pass_header X-Accel-Expires; uwsgi_pass @app@; }
    location /ignore/ { uwsgi_ignore_headers X-Accel-Redirect X-Accel-Buffering; uwsgi_pass @app@; }
    location /intercept/ { uwsgi_intercept_errors on; uwsgi_pass @app@; }
    location /un/ { uwsgi_buffering off; uwsgi_pass @app@; }
    location /short/ { uwsgi_read_timeout 300ms; uwsgi_pass @app@; }
    location /next/ { uwsgi_next_upstream error timeout http_503 invalid_header; uwsgi_pass two; }
    location /buffer/ { uwsgi_buffer_size 4k; uwsgi_pass @app@; }
    location /abort/ { uwsgi_ignore_client_abort on; uwsgi_pass @app@; }
    location /rate/ { uwsgi_limit_rate 1; uwsgi_pass @app@; }
    location /refused/ { uwsgi_pass 127.0.0.1:@port.nobody@; }
    location /missing/ { uwsgi_pass unix:///nowhere/app.sock; }
    location = /page { return 200 "the page"; }
    location = /inside { internal; return 200 "inside"; }
}
"""


class Answers:
    def __init__(self, shared):
        self.app, self.other = shared.keep(UwsgiOrigin()), shared.keep(UwsgiOrigin())
        self.server = shared.server(ANSWERS, ready=[], names={"app": self.app.name, "other": self.other.name})
        self.address = self.server.address()
        wait_until(lambda: server.accepts(self.address), 10, "it accepts")

    def renew(self):
        for one in (self.app, self.other):
            one.reply, one.script = OK, None
            one.packets.clear()
        return self


@pytest.fixture(scope="module")
def made(shared):
    return Answers(shared)


@pytest.fixture
def answers(made):
    return made.renew()


REPLIES = {
    "status": (b"Status: 418 Tea\r\n\r\nx", 418, b"x"), "http": (b"HTTP/1.1 201 Made\r\nX: y\r\n\r\nx", 201, b"x"), "http 1.0": (b"HTTP/1.0 299 Odd\r\n\r\nx", 299, b"x"),
    "no status": (b"X: y\r\n\r\nx", 200, b"x"), "location": (b"Location: http://127.0.0.1/x\r\n\r\n", 302, b""), "length": (b"Status: 200\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    "only lf": (b"Status: 200 OK\nX: y\n\nhello", 200, b"hello"), "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, b"hello"),
    "204": (b"Status: 204 No Content\r\n\r\n", 204, b""), "304": (b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", 304, b""), "empty": (b"Status: 200 OK\r\n\r\n", 200, b""),
}


@pytest.mark.parametrize("place", ["/", "/un/"])
@pytest.mark.parametrize("name", REPLIES)
def test_answers(answers, name, place):
    answers.app.reply, status, body = REPLIES[name]
    if name == "chunked" and server.subject_is_nginx():
        pytest.skip("nginx passes the chunks on as they are")
    with Wire(answers.address) as wire:
        for _ in range(2):
            got = wire.ask(request("GET %sx" % place))
            assert (got.status, got.body) == (status, body)
        assert name != "location" or got.get("Location") == "http://127.0.0.1/x"


@pytest.mark.parametrize("body", [b"", b"the body of HEAD"])
def test_head(answers, body):
    answers.app.reply = b"Status: 200 OK\r\nContent-Length: 16\r\n\r\n" + body
    with Wire(answers.address) as wire:
        for _ in range(3):
            got = wire.ask(request("HEAD /x"))
            assert got.status == 200 and got.get("Content-Length") == "16" and wire.buffer == b""


def test_header_directives(answers):
    answers.app.reply = b"Status: 200 OK\r\nX-Hidden: 1\r\nX-Accel-Expires: 5\r\nX-Shown: 1\r\nDate: then\r\nServer: app\r\n\r\nx"
    got = fetch(answers.address, "GET /x")
    assert got.get("X-Hidden") == "1" and got.get("X-Accel-Expires") is None
    assert (got.all("Date"), got.all("Server")) == (["then"], ["app"])
    got = fetch(answers.address, "GET /hide/x")
    assert got.get("X-Hidden") is None and got.get("X-Accel-Expires") == "5" and got.get("X-Shown") == "1"
    answers.app.reply = b"Status: 200 OK\r\nX-Accel-Redirect: /inside\r\n\r\nx"
    assert fetch(answers.address, "GET /x").body == b"inside"
    assert fetch(answers.address, "GET /ignore/x").body == b"x"


def test_errors_of_the_application(answers):
    answers.app.reply = b"Status: 404 Not Found\r\n\r\nthe application's"
    got = fetch(answers.address, "GET /x")
    assert (got.status, got.body) == (404, b"the application's")
    got = fetch(answers.address, "GET /intercept/x")
    assert (got.status, got.body) == (404, b"the page")


def test_next_peer(answers):
    answers.app.reply = b"Status: 503 Busy\r\n\r\nbusy"
    for _ in range(4):
        assert fetch(answers.address, "GET /next/x").body == b"hello"
    answers.app.reply = b"junk"
    for _ in range(4):
        assert fetch(answers.address, "GET /next/x").body == b"hello"
    answers.app.script = lambda connection, packet: connection.close()
    for _ in range(4):
        assert fetch(answers.address, "GET /next/x").body == b"hello"
    statuses = {fetch(answers.address, "POST /next/x", body=b"b").status for _ in range(4)}
    assert statuses == {200, 502}, "a POST that may have been run is not run again"


def test_no_back_end(answers):
    mark = len(answers.server.errors())
    assert fetch(answers.address, "GET /refused/x").status == 502
    answers.server.wait_logged('upstream: "uwsgi://127.0.0.1:%d"' % answers.server.ports["nobody"], since=mark)
    assert fetch(answers.address, "GET /missing/x").status == 502
    answers.server.wait_logged("connect() to unix:///nowhere/app.sock failed (2: No such file or directory)", since=mark)
    answers.server.wait_logged('upstream: "uwsgi://unix:///nowhere/app.sock:"', since=mark)


def test_read_timeout(answers):
    answers.app.script = lambda connection, packet: connection.recv(1)
    assert fetch(answers.address, "GET /short/x").status == 504


@pytest.mark.wproxy_only
def test_large_head(answers):
    answers.app.reply = b"Status: 200 OK\r\nX: " + b"x" * 5000 + b"\r\n\r\nhello"
    assert fetch(answers.address, "GET /x").status == 200
    mark = len(answers.server.errors())
    assert fetch(answers.address, "GET /buffer/x").status == 502
    answers.server.wait_logged("upstream sent too big header", since=mark)


@pytest.mark.parametrize("field,place", [(b"", "/un/"), (b"X-Accel-Buffering: no\r\n", "/")])
def test_each_piece_at_once(answers, field, place):
    """Unbuffered: the client has a piece before the next one is made."""
    go = threading.Semaphore(0)

    def script(connection, packet):
        connection.sendall(b"Status: 200 OK\r\n" + field + b"\r\n")
        for i in range(5):
            connection.sendall(b"piece %d\n" % i)
            assert go.acquire(timeout=10)
    answers.app.script = script
    with Wire(answers.address) as wire:
        wire.send(request("GET %sx HTTP/1.0" % place))
        assert wire.read_head().status == 200
        for i in range(5):
            assert wire.read_until(b"\n") == b"piece %d\n" % i
            go.release()
        assert wire.closes()


def test_upload_is_streamed(shared):
    """uwsgi_request_buffering off: the application has the first half before the client sends the second."""
    app = shared.keep(UwsgiOrigin())
    half = threading.Event()

    def script(connection, packet):
        while len(packet.body) < 200000:
            packet.body += connection.recv(65536)
            if len(packet.body) == 100000:
                half.set()
        connection.sendall(OK)
    app.script = script
    one = shared.server("server { listen @host@:@port@; uwsgi_request_buffering off; uwsgi_param CONTENT_LENGTH $content_length;"
                        " location / { uwsgi_pass %s; } }" % app.name, ready=[])
    wait_until(lambda: server.accepts(one.address()), 10, "it accepts")
    with Wire(one.address()) as wire:
        wire.send(request("POST /x", "Content-Length: 200000") + b"a" * 100000)
        assert half.wait(10)
        wire.send(b"b" * 100000)
        assert wire.read_response("POST").body == b"hello"
    assert app.packets[0].body == b"a" * 100000 + b"b" * 100000


@pytest.mark.parametrize("place", ["/", "/un/"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_cut_answer(answers, place, version):
    """A length that is not reached ends short for the client, too, and is logged."""
    answers.app.reply = b"Status: 200 OK\r\nContent-Length: 100\r\n\r\nhello"
    mark = len(answers.server.errors())
    with pytest.raises(WireError):
        fetch(answers.address, "GET %sx HTTP/%s" % (place, version))
    answers.server.wait_logged("upstream prematurely closed connection", since=mark)


def test_client_leaves(answers):
    """Its back-end connection ends with it, but where uwsgi_ignore_client_abort says otherwise."""
    ended = threading.Event()

    def script(connection, packet):
        connection.settimeout(10)
        try:
            if connection.recv(1) == b"":
                ended.set()
        except OSError:
            pass
    answers.app.script = script
    with Wire(answers.address) as wire:
        wire.send(request("GET /x"))
        answers.app.take()
        wire.reset()
    assert ended.wait(5)
    ended.clear()
    with Wire(answers.address) as wire:
        wire.send(request("GET /abort/x"))
        answers.app.take()
        wire.reset()
    assert not ended.wait(1.2)


BAD_FILES = [
    ("uwsgi_pass 127.0.0.1:99999;", "invalid port"), ("uwsgi_param A;", 'invalid number of arguments in "uwsgi_param" directive'),
    ("uwsgi_param A b c;", 'invalid parameter "c"'), ("uwsgi_pass app; uwsgi_pass app;", '"uwsgi_pass" directive is duplicate'),
    ("uwsgi_pass unix:;", "no path in the unix domain socket"), ("uwsgi_pass nowhere.invalid:1;", 'host not found in upstream "nowhere.invalid'),
]


@pytest.mark.parametrize("line,words", BAD_FILES, ids=[line for line, _ in BAD_FILES])
def test_bad_files(own, line, words):
    one = own.server("upstream app { server 127.0.0.1:1; } server { listen @host@:@port@; location / { %s } }" % line, start=False)
    done = subprocess.run(one.command("-t"), capture_output=True, timeout=30)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode != 0 and words in said, said


# -- uWSGI itself ----------------------------------------------------------------------------------------

class Real:
    """uWSGI with the probe application on its own protocol, TCP or unix."""

    def __init__(self, shared, unix):
        self.pool = shared.keep(Pool("uwsgi-socket", shared.folder(), unix=unix, application="probe:application", chdir=HERE))
        address = "unix://" + self.pool.address if unix else self.pool.name
        self.server = shared.server("server { listen @host@:@port@; client_max_body_size 0; include %s;"
                                    " location / { uwsgi_pass %s; } location /un/ { uwsgi_buffering off; uwsgi_request_buffering off;"
                                    " rewrite ^/un(/.*)$ $1 break; uwsgi_pass %s; } }" % (
                                        os.path.join(TOP, "conf.d", "uwsgi_params"), address, address), ready=[])
        self.address = self.server.address()
        wait_until(lambda: server.accepts(self.address), 10, "it accepts")


@pytest.fixture(scope="module", params=[False, True], ids=["tcp", "unix"])
def real(shared, request):
    return Real(shared, request.param)


PLACES = ["", "/un"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [0, 5, 70000, 9000000])
def test_uploads(real, place, framing, size):
    body = os.urandom(size)
    lines = [] if framing == "length" else ["Transfer-Encoding: chunked"]
    sent = body if framing == "length" else chunked(*[body[at:at + 65536] for at in range(0, size, 65536)])
    told = json.loads(fetch(real.address, "POST %s/echo?a=b" % place, *lines, body=sent).text)
    assert told["size"] == size and told["sha256"] == hashlib.sha256(body).hexdigest()
    assert told["environ"]["QUERY_STRING"] == "a=b" and told["environ"]["REQUEST_METHOD"] == "POST"
    assert told["environ"]["REQUEST_URI"] == place + "/echo?a=b"
    assert framing == "length" and size == 0 or told["environ"]["CONTENT_LENGTH"] == str(size)


@pytest.mark.parametrize("place", PLACES)
def test_downloads(real, place):
    want = (bytes(range(256)) * 64 * 600)[:9000000]
    for version in ("1.1", "1.0"):
        assert fetch(real.address, "GET %s/stream?n=9000000 HTTP/%s" % (place, version)).body == want


@pytest.mark.wproxy_only
def test_events(real):
    """The first event is there long before the last is made, buffered or not: it is an event."""
    for place in PLACES:
        with Wire(real.address) as wire:
            wire.send(request("GET %s/ticks?n=4&s=0.5 HTTP/1.0" % place))
            wire.read_head()
            assert wire.read_until(b"\n\n") == b"data: 0\n\n"
            begun = time.monotonic()
            assert wire.read_to_end() == b"data: 1\n\ndata: 2\n\ndata: 3\n\n"
            assert time.monotonic() - begun > 0.5


@pytest.mark.wproxy_only
@pytest.mark.parametrize("place", PLACES)
def test_refused_unread(real, place):
    """A hundred uploads that the application refuses without reading them: a hundred answers."""
    def refuse(_):
        got = fetch(real.address, "POST %s/refuse" % place, body=b"u" * 300000)
        return got.status, got.body
    with concurrent.futures.ThreadPoolExecutor(4) as workers:
        assert list(workers.map(refuse, range(100))) == [(403, b"refused unread")] * 100


@pytest.mark.parametrize("place", PLACES)
def test_head_with_body(real, place):
    with Wire(real.address) as wire:
        for _ in range(20):
            got = wire.ask(request("HEAD %s/head" % place))
            assert got.status == 200 and got.get("Content-Length") == "27"
            assert wire.ask(request("GET %s/x" % place)).body == b"probe GET /x"


def test_application_is_restarted(shared):
    """No restart of the proxy: 502 while it is away, and served by the next request when it is back."""
    real = Real(shared, False)
    assert fetch(real.address, "GET /x").status == 200
    real.pool.kill()
    assert fetch(real.address, "GET /x").status == 502
    real.pool.start()
    assert fetch(real.address, "GET /x").body == b"probe GET /x"


class Site:
    """CATMAID's documented uWSGI set-up (unix, below /catmaid), and uWSGI's own for Django (TCP, at the root)."""

    def __init__(self, shared, name, runtime):
        catmaid = name.startswith("10-")
        self.mount = "/catmaid" if catmaid else ""
        folder = shared.folder()
        self.pool = shared.keep(Pool("uwsgi-socket", folder, unix=catmaid, env={"DEMO_RUNTIME": runtime, "FORCE_SCRIPT_NAME": self.mount},
                                     options=["--mount=/catmaid=demo.wsgi:application", "--manage-script-name"] if catmaid else []))
        with open(os.path.join(HERE, "configs", name)) as file:
            text = file.read()
        for old, new in (("listen 80;", "listen @host@:@port@;"), ("listen      8000;", "listen @host@:@port@;"),
                         ("/var/run/catmaid/uwsgi.socket", str(self.pool.address)), ("127.0.0.1:8001", self.pool.name),
                         ("/opt/catmaid/django/static/", runtime + "/static/"), ("/path/to/your/mysite/mysite/static", runtime + "/static"),
                         ("uwsgi_params;", os.path.join(TOP, "conf.d", "uwsgi_params") + ";")):
            text = text.replace(old, new)
        self.host = "catmaid.example.org" if catmaid else "www.example.com"
        self.server = shared.server(text, ready=[])
        wait_until(lambda: server.accepts(self.server.address()), 10, "it accepts")


@pytest.fixture(scope="module", params=["10-catmaid-doc-uwsgi-unix.conf", "72-uwsgi-docs-django.conf"], ids=["catmaid", "uwsgi"])
def site(shared, request, base):
    runtime = os.path.join(base, "demo-uwsgi")
    if not os.path.exists(runtime):
        os.makedirs(runtime)
        prepare_demo(runtime)
    return Site(shared, request.param, runtime)


def test_site(site):
    """Login, POST and redirect, the admin with its static files, what the application is told."""
    browser = Browser(site.server.address(), site.host)
    form = browser.get(site.mount + "/login/")
    assert form.status == 200, form.text
    wrong = browser.post(site.mount + "/login/", form, username="admin", password="wrong")
    assert wrong.status == 200 and "do not match" in wrong.text
    done = browser.post(site.mount + "/login/", wrong, username="admin", password="admin")
    assert done.status == 302 and "admin" in browser.follow(done).text
    note = browser.post(site.mount + "/notes/", browser.get(site.mount + "/notes/"), text="a note to keep")
    assert (note.status, note.get("Location")) == (302, site.mount + "/notes/")
    assert "a note to keep" in browser.follow(note).text
    page = browser.get(site.mount + "/admin/")
    assert page.status == 200 and "Site administration" in page.text
    style = [x.split('"')[0] for x in page.text.split('href="')[1:] if ".css" in x.split('"')[0]][0]
    assert style.startswith(site.mount + "/static/admin/") and browser.get(style).status == 200
    told = json.loads(browser.get(site.mount + "/headers/?a=b").text)
    assert (told["path_info"], told["script_name"], told["query"], told["host"]) == ("/headers/", site.mount, "a=b", site.host)
    assert fetch(site.server.address(), "GET %s/headers/" % site.mount, "X_Forwarded_Proto: https", host=site.host).status == 200


def test_site_downloads(site):
    size = 8 << 20
    got = fetch(site.server.address(), "GET %s/stream/?size=%d" % (site.mount, size), host=site.host)
    assert got.status == 200 and got.body == b"".join(b"%015d\n" % i for i in range(size // 16))
    with Wire(site.server.address()) as wire:
        for method in ("HEAD", "GET", "HEAD", "GET"):
            got = wire.ask(request(method + " %s/webclient/render_thumbnail/7/" % site.mount, host=site.host))
            assert got.status == 200 and len(got.body) == (4405 if method == "GET" else 0)
