"""How long the server waits for whom: every time of the file fires, for the one it is meant for, and nothing else ends a connection."""

import os
import socket
import threading
import time

import pytest

import server
from origin import OK, answer
from server import wait_until
from wire import Wire, WireError, fetch, request

HTTP = r"""
upstream app { server @origin.app@; keepalive 8; }
client_header_timeout 1s;
client_body_timeout 1s;
send_timeout 1s;
keepalive_timeout 1s;
lingering_time 3s;
lingering_timeout 1s;
server {
    listen @host@:@port@;
    root @www@;
    client_max_body_size 0;
    location / { }
    location /return { return 200 "returned"; }
    location /app/ { proxy_read_timeout 1s; proxy_pass http://app; }
    location /up/ { proxy_request_buffering off; proxy_read_timeout 10s; proxy_send_timeout 10s; proxy_pass http://app; }
    location /upshort/ { proxy_request_buffering off; proxy_send_timeout 1s; proxy_pass http://app; }
    location /patient/ { send_timeout 60s; client_body_timeout 60s; proxy_read_timeout 60s; proxy_pass http://app; }
    location /un/ { proxy_buffering off; proxy_read_ahead 64k; proxy_read_timeout 1s; proxy_pass http://app; }
    location /small/ { client_max_body_size 10; return 200 "x"; proxy_pass http://app; }
    location /refused/ { client_max_body_size 10; proxy_pass http://app; }
    location /kept/ { keepalive_timeout 5s; return 200 "kept"; }
    location /rst/ { reset_timedout_connection on; client_body_timeout 1s; proxy_pass http://app; }
}
server {
    listen @host@:@port.first@;
    client_header_timeout 1s;
    keepalive_timeout 10s;
    keepalive_requests 3;
    location / { return 200 "x"; }
}
"""


class Stand:
    def __init__(self, shared):
        self.app = shared.origin()
        self.server = shared.server(HTTP.replace("proxy_read_ahead 64k;", "") if server.subject_is_nginx() else HTTP,
                                    names={"origin.app": self.app.name}, ports={"main": None, "first": None})
        self.address = self.server.address()
        self.first = self.server.address("first")


@pytest.fixture(scope="module")
def made(shared):
    return Stand(shared)


@pytest.fixture
def stand(made):
    made.app.scripts.clear()
    made.app.reply = OK
    made.app.clear()
    return made


class Clock:
    """Seconds since it was made, which is before the server can have begun to wait; `within` is generous above and strict below."""

    def __init__(self):
        self.begun = time.monotonic()

    def __call__(self):
        return time.monotonic() - self.begun

    def within(self, low, high):
        assert low - 0.1 <= self() <= high + 5, "%.2f s" % self()


def drip(wire, data, pause=0.25, most=40):
    """Sends byte by byte; how many were taken before the connection was ended."""
    for at in range(min(len(data), most)):
        if wire.readable(pause):
            return at
        if not wire.try_send(data[at:at + 1]):
            return at
    return most


def test_silent_connection(stand):
    """A connection that never says anything is given client_header_timeout."""
    clock = Clock()
    with Wire(stand.first, 8) as wire:
        assert wire.closes(8)
    clock.within(1, 1.5)


def test_silent_connection_costs_nothing(stand):
    """Whoever says nothing is accepted a second later; others are not kept waiting, and whoever leaves is noticed."""
    if server.subject_is_nginx():
        pytest.skip("nginx accepts at once where the file does not say deferred")
    fds = "/proc/%d/fd" % stand.server.worker()
    with Wire(stand.first, 8) as speaks:
        assert speaks.ask(request("GET /")).status == 200
        before = len(os.listdir(fds))
        with Wire(stand.first, 8) as silent, Wire(stand.first, 8):
            assert speaks.ask(request("GET /")).status == 200
            assert len(os.listdir(fds)) == before
            wait_until(lambda: len(os.listdir(fds)) == before + 2, what="silent connections are accepted")
            assert silent.ask(request("GET /")).status == 200


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: example.test\r\nX: " + b"y" * 100, b"\r\n" * 60])
def test_dripping_head(stand, data):
    """A byte now and then does not prolong the head's time."""
    clock = Clock()
    with Wire(stand.address, 8) as wire:
        drip(wire, data)
        clock.within(1, 2)
        if wire.more():
            assert wire.buffer.startswith(b"HTTP/1.1 4")


def test_dripping_second_head(stand):
    with Wire(stand.address, 8) as wire:
        clock = Clock()
        assert wire.ask(request("GET /return")).status == 200
        drip(wire, b"GET / HTTP/1.1\r\nX: " + b"y" * 100)
        clock.within(1, 2)


def test_idle_connection(stand):
    for path, seconds in (("/return", 1), ("/kept/x", 5)):
        with Wire(stand.address, 12) as wire:
            clock = Clock()
            assert wire.ask(request("GET " + path)).status == 200
            assert wire.closes(12)
            clock.within(seconds, seconds + 0.5)


def test_requests_on_a_connection(stand):
    with Wire(stand.first, 8) as wire:
        for left in (2, 1, 0):
            got = wire.ask(request("GET /"))
            assert got.persistent == (left > 0)
        assert wire.closes()


@pytest.mark.parametrize("path", ["/app/x", "/up/x"])
@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_silence_in_a_body(stand, path, framing):
    clock = Clock()
    with Wire(stand.address, 8) as wire:
        wire.send(request("POST " + path, framing) + b"5\r\nhello\r\n")
        wire.read_to_end()
    clock.within(1, 2)


@pytest.mark.parametrize("path", ["/app/x", "/up/x"])
def test_dripping_body(stand, path):
    """client_body_timeout is between two reads: a slow body arrives whole."""
    with Wire(stand.address, 8) as wire:
        wire.send(request("POST " + path, "Content-Length: 8"))
        assert drip(wire, b"slowbody", 0.3, 8) == 8
        assert wire.read_response("POST").status == 200
    assert stand.app.take(1)[0].body == b"slowbody"


@pytest.mark.wproxy_only
def test_body_timeout_resets(stand):
    """reset_timedout_connection: no FIN, a reset."""
    with Wire(stand.address, 8) as wire:
        wire.send(request("POST /rst/x", "Content-Length: 100") + b"part")
        wire.read_to_end()
        assert wire.was_reset


@pytest.mark.parametrize("path", ["/big.bin", "/app/large", "/un/large"])
def test_reader_that_stops(stand, path):
    """send_timeout: who takes nothing for so long is cut off."""
    stand.app.scripts[path] = lambda e, r: e.send(answer("200 OK", body=b"z" * 30000000))
    mark = len(stand.server.errors())
    with Wire(stand.address, 8, receive_buffer=4096) as wire:
        clock = Clock()
        wire.send(request("GET " + path))
        stand.server.wait_logged("client timed out" if not server.subject_is_nginx() else "timed out", timeout=8, since=mark)
        clock.within(1, 3)
        assert len(wire.read_to_end()) < 30000000


@pytest.mark.parametrize("path", ["/big.bin", "/patient/large"])
def test_reader_that_is_slow(stand, path):
    """Who takes a little now and then is not."""
    body = bytes(range(256)) * 12000
    stand.app.scripts["/patient/large"] = lambda e, r: e.send(answer("200 OK", body=body))
    with Wire(stand.address, 8, receive_buffer=65536) as wire:
        wire.send(request("GET " + path))
        got = wire.read_head()
        length, data, clock = int(got.get("Content-Length")), b"", Clock()
        while clock() < 3:
            data += wire.take(len(wire.buffer))
            wire.more()
            threading.Event().wait(0.1)
        data += wire.read_exactly(length - len(data))
        assert data.startswith(body[:1000]) and len(data) == length


def test_back_end_that_says_nothing(stand):
    stand.app.scripts["/app/mute"] = lambda e, r: e.gone(8)
    clock = Clock()
    with Wire(stand.address, 8) as wire:
        got = wire.ask(request("GET /app/mute"))
        clock.within(1, 2)
        assert got.status == 504 and got.persistent
        assert wire.ask(request("GET /return")).status == 200


@pytest.mark.wproxy_only
def test_back_end_that_stops_in_the_body(stand):
    """Cut, logged with its reason."""
    stand.app.scripts["/un/stop"] = lambda e, r: (e.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"), e.gone(8))
    clock = Clock()
    mark = len(stand.server.errors())
    with Wire(stand.address, 8) as wire:
        wire.send(request("GET /un/stop"))
        assert wire.read_head().status == 200
        assert wire.read_to_end() == b"part"
    clock.within(1, 2)
    stand.server.wait_logged("upstream timed out (110: Connection timed out) while reading upstream", since=mark)


@pytest.mark.wproxy_only
def test_back_end_that_drips(stand):
    """proxy_read_timeout is between two reads as well, of the head and of the body."""
    data = answer("200 OK", body=b"dripping")

    def script(exchange, received):
        for at in range(0, len(data), 12):
            exchange.send(data[at:at + 12])
            threading.Event().wait(0.4)
    stand.app.scripts["/app/drip"] = stand.app.scripts["/un/drip"] = script
    for path in ("/app/drip", "/un/drip"):
        assert fetch(stand.address, "GET " + path).body == b"dripping"


@pytest.mark.wproxy_only
def test_body_that_the_back_end_does_not_take(stand):
    """While the back end takes nothing it is not the client who is late; proxy_send_timeout is for that."""
    def script(exchange, received):
        threading.Event().wait(3)
        exchange.read_body(received)
        exchange.send(OK)
    stand.app.scripts["/up/slow"] = stand.app.scripts["/upshort/slow"] = script
    body = b"u" * 12000000
    for path, status in (("/up/slow", 200), ("/upshort/slow", 504)):
        with Wire(stand.address, 20) as wire:
            sender = threading.Thread(target=wire.try_send, args=(request("POST " + path, body=body),))
            sender.start()
            assert wire.read_response("POST").status == status
            if status == 200:
                sender.join()
            else:
                wire.reset()
                sender.join()


@pytest.mark.wproxy_only
def test_lingering_has_an_end(stand):
    """A refused client that goes on sending is read for lingering_time, one that stops for lingering_timeout."""
    for goes_on, low, high in ((True, 3, 4), (False, 1, 2)):
        with Wire(stand.address, 12) as wire:
            clock = Clock()
            wire.send(request("POST /refused/x", "Content-Length: 100000000"))
            assert wire.read_response("POST").status == 413
            while clock() < 8 and wire.try_send(b"u" * 100) and goes_on:
                threading.Event().wait(0.2)
            wait_until(lambda: not open_at_server(stand, wire), 8, "the server lets it go", step=0.05)
            clock.within(low, high)


def open_at_server(stand, wire):
    """Whether the server still has the connection: its end is not in CLOSE states only the kernel keeps."""
    here = "%s:%04X" % (hex_address(wire.socket.getsockname()[0]), wire.socket.getsockname()[1])
    with open("/proc/net/tcp") as table:
        for line in table:
            fields = line.split()
            if fields[2] == here and fields[9] != "0":
                return True
    return False


def hex_address(text):
    return "%08X" % int.from_bytes(socket.inet_aton(text), "little")


@pytest.mark.wproxy_only
def test_unwanted_body_has_an_end(stand):
    """An answered request whose body goes on: dropped for lingering_time, then closed; the others are served meanwhile."""
    with Wire(stand.address, 12) as wire:
        clock = Clock()
        wire.send(request("POST /return", "Content-Length: 100000000000"))
        assert wire.read_response("POST").status == 200
        stop = threading.Event()

        def flood():
            while not stop.is_set() and wire.try_send(b"u" * 262144):
                pass
        sender = threading.Thread(target=flood)
        sender.start()
        while sender.is_alive() and clock() < 12:
            before = time.monotonic()
            assert fetch(stand.address, "GET /return").status == 200
            assert time.monotonic() - before < 2
        stop.set()
        sender.join(5)
        clock.within(3, 4)
