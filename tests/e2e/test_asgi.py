"""Daphne behind the documented files: WebSockets and HTTP of an ASGI application."""

import concurrent.futures
import hashlib
import json
import os
import time

import pytest

import server
from pool import Pool
from server import wait_until
from websocket_wire import BINARY, CLOSE, PING, PONG, TEXT, WebSocket
from wire import Wire, chunked, fetch, request

HERE = os.path.dirname(os.path.abspath(__file__))
SITES = ["15-catmaid-docker-nginx-catmaid.conf", "18-catmaid-doc-websockets-daphne.conf", "73-django-channels-docs.conf"]


class Site:
    def __init__(self, shared, name):
        unix = name.startswith("15-")
        self.pool = shared.keep(Pool("daphne", shared.folder(), unix=unix, application="asgi_probe:application", chdir=HERE,
                                     options=["--proxy-headers"]))
        with open(os.path.join(HERE, "configs", name)) as file:
            text = file.read()
        for old, new in (("/var/run/catmaid/daphne.sock", str(self.pool.address)), ("127.0.0.1:8001", self.pool.name),
                         ("localhost:8000", self.pool.name), ("listen      80 default_server;", "listen @host@:@port@;"),
                         ("include uwsgi_params;", ""), ("include nginx-cors.conf;", ""), ("127.0.0.1:8000", "127.0.0.1:1")):
            text = text.replace(old, new)
        if name.startswith("18-"):
            text = "server { listen @host@:@port@; server_name s.test;\n%s }" % text
        if name.startswith("73-"):
            text = text.replace("server {\n    location /", "server {\n    listen @host@:@port@;\n    location /")
        self.server = shared.server(text, ready=[])
        self.address = self.server.address()
        wait_until(lambda: server.accepts(self.address), 10, "it accepts")


@pytest.fixture(scope="module", params=SITES, ids=lambda name: name.split("-")[0])
def site(shared, request):
    return Site(shared, request.param)


@pytest.mark.parametrize("size", [1, 125, 126, 65535, 65536, 900000])
def test_echo(site, size):
    with Wire(site.address) as wire:
        socket = WebSocket(wire, "/channels/echo/")
        assert socket.answer.status == 101
        data = os.urandom(size)
        for _ in range(3):
            assert socket.send(data).read() == (BINARY, data)
            assert socket.send("x" * size).read() == (TEXT, b"x" * size)


def test_control_frames(site):
    """Ping, subprotocol, a close with its code, then the end of both connections."""
    with Wire(site.address) as wire:
        socket = WebSocket(wire, "/channels/echo/", "Sec-WebSocket-Protocol: one, two")
        assert socket.answer.get("Sec-WebSocket-Protocol") == "one"
        assert socket.send(b"p", PING).read() == (PONG, b"p")
        kind, data = socket.send("bye").read()
        assert kind == CLOSE and data[:2] == (4001).to_bytes(2, "big")
        socket.send(data[:2], CLOSE)
        assert wire.closes()


def test_refused(site):
    """The application does not accept: its 403 is the answer, and the connection is a plain one again."""
    with Wire(site.address) as wire:
        assert WebSocket(wire, "/channels/refused/").answer.status == 403


def test_speaks_unasked(site):
    """The first message is there long before the last is made."""
    with Wire(site.address) as wire:
        socket = WebSocket(wire, "/channels/tick/")
        assert socket.read() == (TEXT, b"tick 0")
        begun = time.monotonic()
        for i in range(1, 5):
            assert socket.read() == (TEXT, b"tick %d" % i)
        assert time.monotonic() - begun > 0.2


def test_first_frame_with_the_handshake(site):
    """A client that does not wait for the 101."""
    with Wire(site.address) as wire:
        socket = WebSocket(wire, "/channels/echo/", early=WebSocket.frame(TEXT, b"early"))
        assert socket.read() == (TEXT, b"early")
        assert socket.send("late").read() == (TEXT, b"late")


def test_told_headers(site):
    with Wire(site.address) as wire:
        told = json.loads(WebSocket(wire, "/channels/x/?y", "X-Forwarded-For: 6.6.6.6", host="Site.test:81").send("who").read()[1])
    assert told["headers"]["host"] == "site.test" and told["path"] == "/channels/x/"
    assert told["headers"]["x-forwarded-for"] == "6.6.6.6, 127.0.0.1"
    plain = json.loads(fetch(site.address, "GET /channels/x/", "Upgrade-Insecure-Requests: 1").text)
    assert plain["method"] == "GET" and "upgrade" not in plain["headers"]


def test_http_beside_it(site):
    """Requests that are no WebSockets, on the same location and connection."""
    body = os.urandom(900000)
    want = hashlib.sha256(body).hexdigest()
    with Wire(site.address) as wire:
        for _ in range(3):
            told = json.loads(wire.ask(request("POST /channels/up/", body=body)).text)
            assert (told["size"], told["sha256"]) == (len(body), want)
            told = json.loads(wire.ask(request("POST /channels/up/", "Transfer-Encoding: chunked", body=chunked(body[:400000], body[400000:]))).text)
            assert (told["size"], told["sha256"]) == (len(body), want)
            head = wire.ask(request("HEAD /channels/x/"))
            assert head.status == 200 and not wire.buffer
        assert json.loads(wire.ask(request("GET /channels/x/")).text)["size"] == 0


def test_events(site):
    with Wire(site.address) as wire:
        wire.send(request("GET /channels/stream/ HTTP/1.0"))
        assert wire.read_head().status == 200
        for i in range(5):
            assert wire.read_until(b"\n\n") == b"data: %d\n\n" % i


def test_many(site):
    """Fifty at once, each of its own mind."""
    def talk(number):
        with Wire(site.address, timeout=60) as wire:
            socket = WebSocket(wire, "/channels/echo/")
            return all(socket.send("%d-%d" % (number, i)).read() == (TEXT, b"%d-%d" % (number, i)) for i in range(20))
    with concurrent.futures.ThreadPoolExecutor(50) as workers:
        assert all(workers.map(talk, range(50)))


def test_back_end_goes(shared):
    """Daphne dies: its WebSockets end, new ones are 502, and served when it is back."""
    site = Site(shared, SITES[1])
    with Wire(site.address) as wire:
        socket = WebSocket(wire, "/channels/echo/")
        assert socket.send("x").read() == (TEXT, b"x")
        site.pool.kill()
        assert wire.closes()
    with Wire(site.address) as wire:
        assert WebSocket(wire, "/channels/echo/").answer.status == 502
    site.pool.start()
    with Wire(site.address) as wire:
        assert WebSocket(wire, "/channels/echo/").send("x").read() == (TEXT, b"x")
