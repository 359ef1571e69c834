"""Answers of back ends that break the rules, or break off: what clients get of them."""

import os
import socket
import struct
import threading
import time
import zlib

import pytest

import server
from origin import OK, answer
from server import wait_until
from wire import Wire, WireError, fetch, request

HTTP = r"""
upstream app { server @origin.app@ fail_timeout=0; keepalive 8; }
gzip_types *;
gzip_min_length 0;
gzip_proxied any;
gzip_http_version 1.0;
server {
    listen @host@:@port@;
    proxy_read_timeout 5s;
    location / { proxy_pass http://app; }
    location /un/ { proxy_buffering off; proxy_pass http://app; }
    location /gz/ { gzip on; proxy_pass http://app; }
    location /ungz/ { gzip on; proxy_buffering off; proxy_pass http://app; }
    location /up/ { proxy_request_buffering off; proxy_pass http://app; }
    location /ws/ {
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
        proxy_pass http://app;
    }
    location /head4k/ { proxy_buffer_size 4k; proxy_pass http://app; }
    location /head8k/ { proxy_buffer_size 8k; proxy_pass http://app; }
    location /protected/ { internal; alias @base@/protected/; }
    location /uwsgi/ { uwsgi_pass 127.0.0.1:@port.uwsgi@; uwsgi_param X y; }
}
"""
PLACES = ["/", "/un/", "/gz/", "/ungz/"]


class Stand:
    def __init__(self, shared, base):
        self.app = shared.origin()
        self.uwsgi = shared.keep(Uwsgi())
        folder = os.path.join(base, "protected", "in")
        os.makedirs(folder, exist_ok=True)
        for path, text in ((base + "/secret.txt", "secret"), (base + "/protected/file.txt", "the file")):
            with open(path, "w") as out:
                out.write(text)
            os.chmod(path, 0o644)
        os.chmod(os.path.join(base, "protected"), 0o755)
        self.server = shared.server(HTTP, names={"origin.app": self.app.name}, ports={"main": None, "uwsgi": self.uwsgi.port},
                                    ready=[])
        self.address = self.server.address()
        wait_until(lambda: server.accepts(self.address), 10, "it accepts")

    def renew(self):
        self.app.scripts.clear()
        self.app.reply = OK
        self.app.clear()
        return self


class Uwsgi:
    """A uwsgi back end that answers `reply` and closes."""

    def __init__(self):
        self.reply = b""
        self.packets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                head = connection.recv(4, socket.MSG_WAITALL)
                if len(head) != 4:
                    continue
                self.packets.append(connection.recv(struct.unpack("<BHB", head)[1], socket.MSG_WAITALL))
                try:
                    connection.sendall(self.reply)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                except OSError:
                    pass

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture(scope="module")
def made(shared, base):
    return Stand(shared, base)


@pytest.fixture
def stand(made):
    return made.renew()


def says(stand, path, data, end="close"):
    """The back end's answer at that path: these bytes, then its end."""
    def script(exchange, received):
        exchange.read_body(received)
        exchange.send(data)
        if end == "close":
            exchange.close()
        elif end == "reset":
            # The bytes have to arrive before the reset takes them away.
            threading.Event().wait(0.1)
            exchange.reset()
    stand.app.scripts[path] = script


# -- heads ------------------------------------------------------------------------------------------

def head(*lines, status=b"HTTP/1.1 200 OK", body=b"hello"):
    return status + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


CL = b"Content-Length: 5"
HEADS = {
    "nothing": b"", "0.9": b"<html>hello</html>", "0.9 line": b"hello\r\n", "0.9 head": b"hello\r\nX: y\r\n\r\nhello", "cut in version": b"HTTP/1.",
    "cut in line": b"HTTP/1.1 200 O", "cut in head": b"HTTP/1.1 200 OK\r\nX: y\r\n", "cut in name": b"HTTP/1.1 200 OK\r\nX",
    "only 100": b"HTTP/1.1 100 Continue\r\n\r\n", "junk after 100": b"HTTP/1.1 100 Continue\r\n\r\nhello\r\n\r\n",
    "no status": head(CL, status=b"HTTP/1.1"), "empty status": head(CL, status=b"HTTP/1.1 "), "letters": head(CL, status=b"HTTP/1.1 abc OK"),
    "two digits": head(CL, status=b"HTTP/1.1 20 OK"), "four digits": head(CL, status=b"HTTP/1.1 2000 OK"), "zero": head(CL, status=b"HTTP/1.1 000 OK"),
    "099": head(CL, status=b"HTTP/1.1 099 OK"), "sign": head(CL, status=b"HTTP/1.1 -20 OK"), "plus": head(CL, status=b"HTTP/1.1 +20 OK"),
    "two blanks": head(CL, status=b"HTTP/1.1  200 OK"), "tab": head(CL, status=b"HTTP/1.1\t200 OK"), "no blank": head(CL, status=b"HTTP/1.1 200OK"),
    "version 2": head(CL, status=b"HTTP/2.0 200 OK"), "version 2 short": head(CL, status=b"HTTP/2 200 OK"), "version 0.9": head(CL, status=b"HTTP/0.9 200 OK"),
    "version 11": head(CL, status=b"HTTP/11.1 200 OK"), "lower": head(CL, status=b"http/1.1 200 OK"), "blank first": b" " + head(CL), "line first": b"\r\n" + head(CL),
    "bom": b"\xef\xbb\xbf" + head(CL), "nul reason": head(CL, status=b"HTTP/1.1 200 O\0K"), "cr reason": head(CL, status=b"HTTP/1.1 200 O\rK"),
    "bell reason": head(CL, status=b"HTTP/1.1 200 O\x07K"), "icy": head(CL, status=b"ICY 200 OK"), "status colon": head(CL, status=b"Status: 200 OK"),
    "fold": head(CL, b"X: y", b" z"), "fold first": head(b" X: y", CL), "space colon": head(CL, b"X : y"), "no colon": head(CL, b"X"), "no name": head(CL, b": y"),
    "nul value": head(CL, b"X: a\0b"), "nul name": head(CL, b"X\0: b"), "cr value": head(CL, b"X: a\rb"), "cr injection": head(CL, b"X: a\rSet-Cookie: b"),
    "bell value": head(CL, b"X: a\x07"), "space name": head(CL, b"X Y: z"), "high name": head(CL, b"X\xe4: z"), "html": head(CL, b"<html>"),
    "two lengths": head(CL, b"Content-Length: 6"), "equal lengths": head(CL, CL), "list": head(b"Content-Length: 5, 5"), "length plus": head(b"Content-Length: +5"),
    "length minus": head(b"Content-Length: -5"), "length hex": head(b"Content-Length: 0x5"), "length empty": head(b"Content-Length:"),
    "length letters": head(b"Content-Length: five"), "length 2^63": head(b"Content-Length: 9223372036854775808"), "length huge": head(b"Content-Length: " + b"9" * 30),
    "length blank": head(b"Content-Length: 5 5"), "both": head(CL, b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "both reversed": head(b"Transfer-Encoding: chunked", CL, body=b"0\r\n\r\n"), "te gzip": head(b"Transfer-Encoding: gzip"), "te identity": head(b"Transfer-Encoding: identity"),
    "te list": head(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), "te twice": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "te 1.0": head(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK", body=b"0\r\n\r\n"), "te vt": head(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "te empty": head(b"Transfer-Encoding:"), "101": head(b"Upgrade: x", b"Connection: upgrade", status=b"HTTP/1.1 101 Switching Protocols"),
    "204 two lengths": head(CL, b"Content-Length: 6", status=b"HTTP/1.1 204 No Content"), "304 both": head(CL, b"Transfer-Encoding: chunked", status=b"HTTP/1.1 304 Not Modified"),
    "many fields": head(CL, *[b"X%d:" % i for i in range(1100)]), "long connection": head(CL, b"Connection: " + b"a," * 200),
    "too big": head(CL, b"X: " + b"x" * 70000), "never ends": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000,
}


@pytest.mark.wproxy_only
@pytest.mark.parametrize("end", ["close", "stay"])
@pytest.mark.parametrize("place", ["/", "/un/"])
@pytest.mark.parametrize("name", HEADS)
def test_invalid_heads(stand, name, place, end):
    """502, the client's connection stays, and no byte of the answer is passed on."""
    if end == "stay" and (name.startswith("cut") or name in ("nothing", "only 100")):
        pytest.skip("this would be waited for")
    says(stand, place + "bad", HEADS[name], end)
    with Wire(stand.address, 10) as wire:
        for method in ("GET", "HEAD", "POST"):
            got = wire.ask(request(method + " " + place + "bad"))
            assert got.status == 502 and got.persistent and b"hello" not in got.body
            assert got.all("X") == [] and got.all("Set-Cookie") == []
            assert wire.ask(request("GET /fine")).body == b"ok"


def test_odd_heads_are_fine(stand):
    """What the grammar allows is passed on."""
    for data, status, body in (
            (head(CL, status=b"HTTP/1.1 200"), 200, b"hello"), (head(CL, status=b"HTTP/1.1 200 "), 200, b"hello"),
            (head(CL, status=b"HTTP/1.1 299 \xe4 odd"), 299, b"hello"), (head(CL, status=b"HTTP/1.0 200 OK"), 200, b"hello"),
            (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 200, b"hello"), (head(b"Content-Length:5"), 200, b"hello"),
            (head(b"transfer-encoding:  Chunked", body=b"5\r\nhello\r\n0\r\nX: trailer\r\n\r\n"), 200, b"hello"), (head(), 200, b"hello"),
            (head(CL, b"X_Y: z", b"X.Y: z", b"X: \t \xe4 \t"), 200, b"hello"), (head(CL, status=b"HTTP/1.1 599 Odd"), 599, b"hello")):
        for place in PLACES:
            says(stand, place + "fine", data)
            got = fetch(stand.address, "GET " + place + "fine")
            assert got.status == status and got.body == body and got.all("X-Trailer") == []


def test_head_byte_by_byte(stand):
    data = b"HTTP/1.1 100 Continue\r\n\r\n" + head(b"Transfer-Encoding: chunked", b"X: y", body=b"5;a\r\nhello\r\n6\r\n world\r\n0\r\nT: u\r\n\r\n")

    def script(exchange, received):
        for at in range(len(data)):
            exchange.send(data[at:at + 1])
            threading.Event().wait(0.001)
    for place in PLACES:
        stand.app.scripts[place + "drip"] = script
        with Wire(stand.address) as wire:
            for _ in range(2):
                got = wire.ask(request("GET %sdrip" % place))
                assert got.status == 200 and got.body == b"hello world" and got.get("X") == "y" and got.persistent


# -- heads that are large -----------------------------------------------------------------------------

@pytest.mark.parametrize("at_once", [True, False])
def test_buffer_for_the_head(stand, at_once):
    """A head above proxy_buffer_size is a 502, however it arrives; the log says both sizes."""
    def script(exchange, received):
        data = answer("200 OK", "X: " + "x" * int(received.target.split("?")[1]), body=b"hello")
        if at_once:
            exchange.send(data)
        else:
            for at in range(0, len(data), 1000):
                exchange.send(data[at:at + 1000])
                threading.Event().wait(0.01)
    stand.app.scripts["/head4k/big"] = stand.app.scripts["/head8k/big"] = script
    for path, size, status in (("/head4k/big", 3000, 200), ("/head4k/big", 5000, 502), ("/head8k/big", 5000, 200), ("/head8k/big", 9000, 502),
                               ("/head4k/big", 100000, 502)):
        mark = len(stand.server.errors())
        got = fetch(stand.address, "GET %s?%d" % (path, size))
        assert got.status == status
        if status == 502:
            stand.server.wait_logged("upstream sent too big header", since=mark)
        if status == 502 and at_once and size < 10000 and not server.subject_is_nginx():
            assert "%d" % (8192 if "8k" in path else 4096) in stand.server.errors()[mark:]


# -- interim answers ------------------------------------------------------------------------------------

@pytest.mark.wproxy_only
@pytest.mark.parametrize("line", ["GET %s HTTP/1.1", "GET %s HTTP/1.0", "HEAD %s HTTP/1.1", "POST %s HTTP/1.1"])
def test_interim_answers(stand, line):
    interim = (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nSet-Cookie: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
               b"HTTP/1.1 199 Odd\r\nX-Odd: 1\r\n\r\n")
    for place in ("/", "/un/"):
        says(stand, place + "x", interim * 3 + head(CL, body=b"" if line.startswith("HEAD") else b"hello"), "stay")
        for _ in range(2):
            got = fetch(stand.address, line % (place + "x"))
            assert got.status == 200 and got.all("Set-Cookie") == [] and got.all("X-Odd") == []
            assert got.body == (b"" if line.startswith("HEAD") else b"hello")


@pytest.mark.wproxy_only
def test_endless_interim_answers(stand):
    """They neither hold the thread nor grow anything: a 502 in the end."""
    def script(exchange, received):
        while exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000):
            pass
        exchange.close()
    stand.app.scripts["/endless"] = script
    with Wire(stand.address, 10) as wire:
        wire.send(request("GET /endless"))
        for _ in range(20):
            assert fetch(stand.address, "GET /quick", timeout=3).status == 200
        assert wire.read_response().status == 502


def test_switch_that_was_asked_for(stand):
    """Upgrade where the file has it: bytes behind the head belong to the tunnel, in both directions."""
    def script(exchange, received):
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nearly")
        data, _ = exchange.read_exactly(4)
        exchange.send(b"got " + data)
        exchange.close()
    stand.app.scripts["/ws/x"] = script
    if server.subject_is_nginx():
        pytest.skip("nginx 1.22 takes the 100 for the answer")
    with Wire(stand.address) as wire:
        wire.send(request("GET /ws/x", "Connection: Upgrade", "Upgrade: websocket") + b"ping")
        got = wire.read_response()
        assert got.status == 101 and got.get("Upgrade") == "websocket"
        assert wire.read_to_end() == b"earlygot ping"


@pytest.mark.wproxy_only
def test_switch_that_is_declined(stand):
    """The back end answers an Upgrade as a plain request: pipelining goes on, no byte is taken for a tunnel's."""
    with Wire(stand.address) as wire:
        wire.send(request("GET /ws/x", "Connection: Upgrade", "Upgrade: websocket") + request("GET /fine"))
        assert wire.read_response().status == 200
        assert wire.read_response().status == 200
    assert [r.target for r in stand.app.take(2)] == ["/ws/x", "/fine"]


# -- bodies that are cut ----------------------------------------------------------------------------------

SMALL, LARGE = b"z" * 1000, os.urandom(1500000)


def chunks(body, size=100000):
    return b"".join(b"%x\r\n%s\r\n" % (len(body[at:at + size]), body[at:at + size]) for at in range(0, len(body), size))


def cuts(body):
    whole = chunks(body)
    te = b"Transfer-Encoding: chunked"
    return {
        "length": head(b"Content-Length: %d" % (len(body) + 10), body=body), "length by one": head(b"Content-Length: %d" % (len(body) + 1), body=body),
        "chunked, no last": head(te, body=whole), "chunked, in size": head(te, body=whole + b"1"), "chunked, in data": head(te, body=whole + b"10\r\nabc"),
        "chunked, no crlf": head(te, body=whole + b"3\r\nabc"), "chunked, in last": head(te, body=whole + b"0\r\n"), "chunked, in trailer": head(te, body=whole + b"0\r\nX: y\r\n"),
        "bad size": head(te, body=whole + b"zz\r\nabc"), "bad lf": head(te, body=whole + b"3\nabc\n0\n\n"), "bad sign": head(te, body=whole + b"-3\r\nabc\r\n0\r\n\r\n"),
        "bad end": head(te, body=whole + b"3\r\nabcd\r\n0\r\n\r\n"), "bad overflow": head(te, body=whole + b"fffffffffffffffff\r\nabc"),
        "bad trailer": head(te, body=whole + b"0\r\nX\r\n\r\n"), "bad last lf": head(te, body=whole + b"0\n\n"),
    }


def ends_short(wire, got):
    """Reads an answer's body; whether its end is one that no client takes for clean."""
    if got.get("Transfer-Encoding") == "chunked":
        data = wire.read_to_end()
        return not data.endswith(b"0\r\n\r\n")
    if got.get("Content-Length") is not None:
        return len(wire.read_to_end()) < int(got.get("Content-Length"))
    wire.read_to_end()
    return wire.was_reset


@pytest.mark.wproxy_only
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("name", cuts(SMALL))
def test_cut_bodies(stand, name, size, place, version):
    """Never a clean end, for whatever client, and a line in the log."""
    data = cuts(SMALL if size == "small" else LARGE)[name]
    says(stand, place + "cut", data, "stay" if name.startswith("bad") else "close")
    mark = len(stand.server.errors())
    with Wire(stand.address, 10) as wire:
        wire.send(request("GET %scut HTTP/%s" % (place, version), "Accept-Encoding: gzip") + request("GET /smuggled"))
        got = wire.read_head()
        assert got.status == 200
        assert ends_short(wire, got)
    stand.server.wait_logged("upstream sent invalid chunked response" if name.startswith("bad") else "upstream prematurely closed connection", since=mark)


@pytest.mark.wproxy_only
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["length", "chunked", "close"])
def test_reset_bodies(stand, kind, place, version):
    """A reset is no end either, not even of a body that ends with its connection."""
    lines = {"length": [b"Content-Length: 2000000"], "chunked": [b"Transfer-Encoding: chunked"], "close": []}[kind]
    says(stand, place + "reset", head(*lines, body=chunks(SMALL) if kind == "chunked" else SMALL), "reset")
    mark = len(stand.server.errors())
    with Wire(stand.address, 10) as wire:
        wire.send(request("GET %sreset HTTP/%s" % (place, version), "Accept-Encoding: gzip"))
        assert ends_short(wire, wire.read_head())
    stand.server.wait_logged("failed (104: Connection reset by peer)", since=mark)


@pytest.mark.wproxy_only
@pytest.mark.parametrize("place", ["/", "/un/"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_cut_body_of_a_slow_client(stand, place, version):
    """The back end is gone long before the client has read what there was."""
    body = os.urandom(6000000)
    says(stand, place + "slow", head(b"Content-Length: 7000000", body=body))
    with Wire(stand.address, 20, receive_buffer=16384) as wire:
        wire.send(request("GET %sslow HTTP/%s" % (place, version)))
        got = wire.read_head()
        threading.Event().wait(0.3)
        data = wire.read_to_end()
        assert len(data) < 7000000 and body.startswith(data)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_clean_ends(stand, place, version, method):
    """The same paths with whole bodies: whole, and clean."""
    for data in (head(b"Content-Length: %d" % len(LARGE), body=LARGE), head(b"Transfer-Encoding: chunked", body=chunks(LARGE) + b"0\r\nX: y\r\n\r\n"), head(body=LARGE)):
        says(stand, place + "whole", data if method == "GET" else data[:data.index(b"\r\n\r\n") + 4])
        got = fetch(stand.address, "%s %swhole HTTP/%s" % (method, place, version), "Accept-Encoding: gzip")
        assert got.status == 200
        assert (got.inflated() if method == "GET" else got.body) == (LARGE if method == "GET" else b"")


# -- the connection behind an answer ------------------------------------------------------------------------

@pytest.mark.wproxy_only
@pytest.mark.parametrize("data", [
    head(status=b"HTTP/1.1 204 No Content", body=b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
    head(CL, status=b"HTTP/1.1 304 Not Modified", body=b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
    head(b"Transfer-Encoding: chunked", status=b"HTTP/1.1 204 No Content", body=b"6\r\npoison\r\n0\r\n\r\n"),
    head(b"Content-Length: 0", body=b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
    head(b"Transfer-Encoding: chunked", body=b"0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
    head(CL, b"Connection: close", body=b"helloHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")])
@pytest.mark.parametrize("late", [False, True])
def test_poison(stand, data, late):
    """What comes behind an answer never answers another request, at once or a moment later."""
    sent = threading.Event()

    def script(exchange, received):
        cut = data.index(b"\r\n\r\n") + 4 if late else len(data)
        exchange.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        exchange.send(data[:cut])
        if late:
            threading.Event().wait(0.02)
            exchange.send(data[cut:])
        sent.set()
    for place in ("/", "/un/"):
        stand.app.scripts[place + "p"] = script
        for _ in range(3):
            with Wire(stand.address) as wire:
                got = wire.ask(request("GET %sp" % place))
                assert got.status in (200, 204, 304) and b"poison" not in got.body and wire.buffer == b""
                assert sent.wait(5)
                sent.clear()
                threading.Event().wait(0.01)
                for _ in range(2):
                    after = wire.ask(request("GET /fine"))
                    assert after.status == 200 and after.body == b"ok"


@pytest.mark.wproxy_only
@pytest.mark.parametrize("place", ["/", "/un/"])
@pytest.mark.parametrize("line", [b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified"])
@pytest.mark.parametrize("field,kept", [(b"X: y", False), (CL, False), (b"Transfer-Encoding: chunked", False), (b"Content-Length: 0", True)])
def test_connection_after_an_answer_without_body(stand, line, field, kept, place):
    """A body that comes all the same, when the next request is already on its way, finds no request: only who says that there is none is trusted."""
    says(stand, place + "n", head(field, status=line, body=b""), "stay")
    with Wire(stand.address) as wire:
        for _ in range(5):
            assert wire.ask(request("GET %sn" % place)).status in (204, 304)
            assert wire.ask(request("GET /fine")).body == b"ok"
    seen = [r.connection for r in stand.app.take(10)]
    assert [seen[at] == seen[at + 1] for at in range(0, 10, 2)] == [kept] * 5


@pytest.mark.wproxy_only
@pytest.mark.parametrize("promise", [False, True])
def test_post_behind_a_slow_close(own, promise):
    """uWSGI closes after each answer and does not say so, and under load not at once: no POST goes there before it has proved to keep its connections."""
    app = own.origin()
    one = own.server("server { listen @host@:@port@; location / { proxy_pass http://%s; } }" % app.name)
    app.reply = head(CL, *[b"Connection: keep-alive"] * promise)
    with Wire(one.address()) as wire:
        assert wire.ask(request("GET /first")).status == 200
        begun = time.monotonic()
        threading.Event().wait(0.1)
        assert wire.ask(request("POST /second", body=b"once")).status == 200
    first, second = app.take(2)
    if time.monotonic() - begun < (0.9 if promise else 0.2):    # else this machine is slower than any back end
        assert (first.connection == second.connection) == promise


def test_fields_for_this_hop(stand):
    """What the back end names in Connection, and the rest of the hop's own, stays here."""
    says(stand, "/hop", head(CL, b"Connection: X-Drop, keep-alive, Set-Cookie2", b"X-Drop: 1", b"x-drop: 2", b"Set-Cookie2: 1", b"Keep-Alive: timeout=7",
                             b"Proxy-Connection: close", b"Upgrade: h2c", b"TE: trailers", b"Trailer: X", b"X-Keep: 1", b"Status: 500 no"), "stay")
    if server.subject_is_nginx():
        pytest.skip("nginx passes some of them on")
    got = fetch(stand.address, "GET /hop")
    assert got.status == 200 and got.body == b"hello" and got.get("X-Keep") == "1"
    for name in ("X-Drop", "Set-Cookie2", "Proxy-Connection", "Upgrade", "TE", "Trailer", "Keep-Alive"):
        assert got.all(name) == [], name
    assert got.get("Connection") == "keep-alive"


def test_connection_cannot_take_the_length_away(stand):
    says(stand, "/own", head(CL, b"Connection: Content-Length, Content-Type, Date, Server, Location", b"Content-Type: text/x"), "stay")
    with Wire(stand.address) as wire:
        for _ in range(2):
            got = wire.ask(request("GET /own"))
            assert got.body == b"hello" and got.framing in ("length", "chunked") and got.all("Date") and got.all("Server")


def test_early_answer_in_the_upload(stand):
    """The back end answers, keeps its connection and reads on, or half-closes: heard, and the upload is over for good."""
    def script(exchange, received):
        exchange.send(answer("403 Forbidden", body=b"early"))
        exchange.finish()
    stand.app.scripts["/up/early"] = script
    for framing in ("length", "chunked"):
        with Wire(stand.address, 10) as wire:
            if framing == "length":
                wire.send(request("POST /up/early", "Content-Length: 500000") + b"u" * 1000)
            else:
                wire.send(request("POST /up/early", "Transfer-Encoding: chunked") + b"a\r\n0123456789\r\n")
            got = wire.read_response("POST")
            assert got.status == 403 and got.body == b"early"
            if got.persistent:
                wire.send(b"u" * 499000 if framing == "length" else b"0\r\n\r\n")
                assert wire.ask(request("GET /fine")).body == b"ok"


# -- X-Accel-Redirect -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("value", [
    "/protected/../secret.txt", "/protected/..%2fsecret.txt", "/protected/%2e%2e/secret.txt", "/protected/in/../../secret.txt", "/protected/%2e%2e%2fsecret.txt",
    "/protected/../../etc/passwd", "/protected/file.txt%00", "/protected/in%2f%2e%2e%2f..%2fsecret.txt", "../secret.txt", "..", "/..", "/protected/.%2e/secret.txt",
    "protected/file.txt", "secret.txt", "http://x/protected/file.txt", "file:///etc/passwd", "@nowhere", "/protected%0d%0aX-Injected:%20y", "?x", "%2e%2e/secret.txt", "."])
def test_accel_redirect_leaves_no_folder(stand, value):
    stand.app.reply = answer("200 OK", "X-Accel-Redirect: " + value)
    stand.app.scripts["/once"] = lambda e, r: e.send(answer("200 OK", "X-Accel-Redirect: " + value, "Set-Cookie: a=b"))
    stand.app.reply = answer("404 Not Found", body=b"none")
    got = fetch(stand.address, "GET /once")
    assert got.status in (404, 500, 403, 400), got
    assert b"secret" not in got.body and b"root:" not in got.body and b"the file" not in got.body
    assert got.get("X-Injected") is None


def test_accel_redirect(stand):
    stand.app.scripts["/once"] = lambda e, r: e.send(answer("200 OK", "X-Accel-Redirect: /protected/%66ile.txt?x=y"))
    assert fetch(stand.address, "GET /once").body == b"the file"
    assert fetch(stand.address, "GET /protected/file.txt").status == 404


# -- uwsgi -------------------------------------------------------------------------------------------------------

UWSGI = {
    "nothing": b"", "text": b"hello", "text lines": b"hello\r\n\r\n", "html": b"<html></html>\r\n\r\n", "cut head": b"Status: 200 OK\r\nX: y\r\n",
    "status letters": b"Status: abc\r\n\r\nhello", "status short": b"Status: 20\r\n\r\nhello", "status long": b"Status: 2000 OK\r\n\r\nhello", "status low": b"Status: 099\r\n\r\nhello",
    "fold": b"Status: 200 OK\r\nX: y\r\n z\r\n\r\nhello", "space colon": b"Status : 200 OK\r\n\r\nhello", "nul": b"Status: 200 OK\r\nX: \0\r\n\r\nhello", "cr": b"Status: 200 OK\r\nX: a\rb\r\n\r\nhello",
    "two lengths": b"Status: 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "sign": b"Status: 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "both": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "te 1.0": b"Status: 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "status line": b"HTTP/1.1 2000 OK\r\n\r\nhello", "version": b"HTTP/2 200 OK\r\n\r\nhello", "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nhello",
    "too big": b"Status: 200 OK\r\nX: " + b"x" * 70000 + b"\r\n\r\nhello",
}


@pytest.mark.wproxy_only
@pytest.mark.parametrize("name", UWSGI)
def test_uwsgi_answers(stand, name):
    stand.uwsgi.reply = UWSGI[name]
    with Wire(stand.address, 10) as wire:
        got = wire.ask(request("GET /uwsgi/x"))
        assert got.status == 502 and b"hello" not in got.body and got.persistent
        assert wire.ask(request("GET /fine")).body == b"ok"


@pytest.mark.wproxy_only
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("data", [b"Status: 200 OK\r\nContent-Length: 50\r\n\r\nhello", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"])
def test_uwsgi_cut(stand, data, version):
    stand.uwsgi.reply = data
    with Wire(stand.address, 10) as wire:
        wire.send(request("GET /uwsgi/x HTTP/" + version))
        assert ends_short(wire, wire.read_head())


@pytest.mark.wproxy_only
def test_uwsgi_request(stand):
    """Fields for this hop and CGI's own names do not become variables."""
    stand.uwsgi.reply = b"Status: 200 OK\r\n\r\nhello"
    stand.uwsgi.packets.clear()
    got = fetch(stand.address, "POST /uwsgi/x", "Proxy: http://evil/", "Transfer-Encoding: chunked", "Connection: X-Drop", "X-Drop: 1", "X-Under_Score: 1",
                "X-Keep: a", "x-keep: b", body=b"5\r\nhello\r\n0\r\n\r\n")
    assert got.body == b"hello"
    packet = stand.uwsgi.packets[0]
    for name in (b"HTTP_PROXY", b"HTTP_TRANSFER_ENCODING", b"HTTP_X_DROP", b"HTTP_X_UNDER_SCORE"):
        assert name not in packet
    assert b"HTTP_X_KEEP\x04\x00a, b" in packet
