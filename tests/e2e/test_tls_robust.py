"""TLS under bad and strange clients, and large bodies through it."""

import hashlib
import os
import random
import re
import select
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from authority import Authority
from server import wait_until
from tlsrecords import ALERT, HANDSHAKE, RecordClient
from tlswire import (V12, V13, TlsWire, alert_of, client_hello, context, plain, records, s_client,
                     tls_fetch)
from wire import Wire, WireError, fetch, request

HTTP = r"""
client_header_timeout @timeout@;
client_max_body_size 0;
server {
    listen @host@:@port@ ssl;
    server_name a.test;
    ssl_certificate @pem@; ssl_certificate_key @key@;
    root @www@;
    location / { }
    location /hi { return 200 hi; }
    location /app { proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off; proxy_pass http://@origin@; }
}
"""


@pytest.fixture(scope="module")
def ca(shared):
    return Authority(shared.folder())


@pytest.fixture(scope="module")
def app(shared):
    return shared.origin()


def serve(scope, ca, app, timeout="60s", http=HTTP, **options):
    pair = ca.issue("a.test", names=["a.test", "*.test"])
    return scope.server(http, names={"pem": pair.pem, "key": pair.key, "origin": app.name,
                                     "timeout": timeout, "ca": ca.pem}, **options)


@pytest.fixture(scope="module")
def one(shared, ca, app):
    return serve(shared, ca, app)


def lives(one):
    assert tls_fetch(one.address(), "GET /hi", name="a.test", host="a.test").text == "hi"


def memory(one):
    """Private bytes of the worker."""
    with open("/proc/%d/smaps_rollup" % one.worker()) as file:
        return sum(int(n) for n in re.findall(r"Private_\w+: +(\d+) kB", file.read())) * 1024


def is_sanitized(binary):
    """Built with a sanitizer, whose shadow memory is not the program's."""
    with open(binary, "rb") as file:
        data = file.read()
    return b"__asan_init" in data or b"__tsan_init" in data


# -- before the handshake ends ----------------------------------------------------------------

HELLO = client_hello()

GARBAGE = {
    "zeros": b"\0" * 200, "ones": b"\xff" * 200, "handshake-of-nothing": b"\x16\x03\x01\x00\x00",
    "huge-record": b"\x16\x03\x01\xff\xff" + b"a" * 70000,
    "bad-version": b"\x16\x09\x09\x00\x05hello",
    "alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "data-first": b"\x17\x03\x03\x00\x05hello",
    "ccs-flood": b"\x14\x03\x03\x00\x01\x01" * 500,
    "hello-with-huge-length": b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
    "hello-cut-by-another-record": HELLO[:5] + HELLO[5:60] + b"\x15\x03\x01\x00\x02\x01\x00",
    "sslv2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\x01\x00\x80" * 7 + b"a" * 16,
    "ssh": b"SSH-2.0-x\r\n", "random": random.Random(7).randbytes(4000),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage(one, kind):
    """Whatever a stranger sends first: the connection ends, and nobody else notices."""
    with Wire(one.address(), timeout=10) as wire:
        wire.try_send(GARBAGE[kind])
        wire.try_send(b"x" * 40000)
        try:
            wire.shut()
        except OSError:
            pass
        wire.read_to_end()
    lives(one)


def test_cut_anywhere(one):
    """A ClientHello that ends after any number of its bytes."""
    for size in range(0, len(HELLO), 7):
        with Wire(one.address()) as wire:
            wire.send(HELLO[:size]).shut()
            wire.read_to_end()
    for size in range(0, len(HELLO), 40):
        wire = Wire(one.address())
        wire.send(HELLO[:size])
        wire.reset()
    lives(one)


def test_changed_anywhere(one):
    """A ClientHello with bytes changed at random."""
    chance = random.Random(11)
    for _ in range(300):
        hello = bytearray(HELLO)
        for _ in range(chance.randrange(1, 6)):
            hello[chance.randrange(len(hello))] = chance.randrange(256)
        with Wire(one.address()) as wire:
            wire.try_send(bytes(hello))
            try:
                wire.shut()
            except OSError:
                pass
            wire.read_to_end()
    lives(one)


class Slow:
    """A TLS client over memory, whose bytes the test sends as it likes."""

    def __init__(self, address, ctx=None, name="a.test"):
        self.socket = plain(address)
        self.socket.settimeout(20)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (ctx or context()).wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def step(self, what, send):
        """Runs one ssl operation to its end; send(bytes) puts what it writes on the wire."""
        while True:
            try:
                result = what()
                send(self.outgoing.read())
                return result
            except ssl.SSLWantReadError:
                send(self.outgoing.read())
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionError("closed")
                self.incoming.write(data)

    def ask(self, send, path="/hi"):
        self.step(self.tls.do_handshake, send)
        self.step(lambda: self.tls.write(request("GET " + path, host="a.test")), send)
        return self.step(lambda: self.tls.read(65536), send)

    def close(self):
        self.socket.close()


@pytest.mark.parametrize("version", [V12, V13])
def test_byte_by_byte(one, version):
    """Each byte of handshake and request in a segment of its own."""
    slow = Slow(one.address(), context(maximum=version))

    def send(data):
        for i in range(len(data)):
            slow.socket.sendall(data[i:i + 1])
    assert slow.ask(send).endswith(b"hi")
    slow.close()


@pytest.mark.parametrize("version", [V12, V13])
def test_fragmented_records(one, version):
    """The ClientHello over many records of few bytes."""
    slow = Slow(one.address(), context(maximum=version))
    first = []

    def send(data):
        if not first and data:
            first.append(True)
            (kind, head, payload), = records(data)
            pieces = [payload[i:i + 11] for i in range(0, len(payload), 11)]
            data = b"".join(bytes([kind]) + head + struct.pack(">H", len(p)) + p for p in pieces)
        slow.socket.sendall(data)
    assert slow.ask(send).endswith(b"hi")
    slow.close()


def test_large_hello(one):
    """A ClientHello of 12 KiB is served, in one record or in small ones."""
    ctx = context(alpn=["http/1.1"] + ["x%03d" % i + "y" * 240 for i in range(48)])
    assert tls_fetch(one.address(), "GET /hi", name="a.test", host="a.test", ctx=ctx).text == "hi"


def in_pieces(payload, size):
    """The bytes of a handshake in records of few bytes."""
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(piece)) + piece for piece in (
        payload[at:at + size] for at in range(0, len(payload), size)))


@pytest.mark.wproxy_only
@pytest.mark.parametrize("size", [1, 9, 16384])
def test_huge_hello(one, size):
    """A ClientHello that claims 128 KiB is not waited for."""
    with Wire(one.address(), timeout=20) as wire:
        wire.try_send(in_pieces(b"\1\1\xff\xff\3\3" + b"x" * 60000, size))
        wire.read_to_end()
    one.wait_logged("client sent too large ClientHello while SSL handshaking")
    lives(one)


HALVES = {"nothing": b"", "byte": b"\x16", "part": HELLO[:100], "all": HELLO,
          "record-of-it": in_pieces(HELLO[5:], 100)[:105 + 4],
          "claims-much": b"\x16\x03\x01\x40\x00\x01\x00\x3f\xf0\x03\x03"}


def opened(one, sent, count=1000):
    made = []
    for _ in range(count):
        made.append(socket.create_connection(one.address(), 20))
        made[-1].sendall(sent)
    return made


@pytest.mark.wproxy_only
@pytest.mark.parametrize("kind", HALVES)
def test_half_open_memory(own, ca, app, kind):
    """1,000 half-open handshakes cost no more than 32 KiB each, wherever they stopped."""
    one = serve(own, ca, app, connections=4096, threads="1")
    lives(one)
    before = memory(one)
    waiting = opened(one, HALVES[kind])
    lives(one)
    lives(one)
    each = (memory(one) - before) / len(waiting)
    # They were not just closed.
    assert not select.select(waiting[:500], [], [], 0)[0] or kind == "all"
    for wire in waiting:
        wire.close()
    assert each <= 32 * 1024 or is_sanitized(one.binary), each


def test_half_open_goes_on(own, ca, app):
    """A handshake is finished although a thousand others wait."""
    one = serve(own, ca, app, connections=4096, threads="1")
    waiting = opened(one, HELLO, 300)
    for version in (V12, V13):
        slow = [Slow(one.address(), context(maximum=version)) for _ in range(100)]
        for client in slow:
            with pytest.raises(ssl.SSLWantReadError):
                client.tls.do_handshake()
            client.socket.sendall(client.outgoing.read())
        lives(one)
        for client in slow:
            assert client.ask(client.socket.sendall).endswith(b"hi")
            client.close()
    for wire in waiting:
        wire.close()


def test_half_open(own, ca, app):
    """Half-open handshakes: bounded by client_header_timeout, harmless to others."""
    one = serve(own, ca, app, timeout="2s", connections=4096)
    lives(one)
    start = time.monotonic()
    waiting = []
    for sent in HALVES.values():
        waiting += opened(one, sent, 170)
    took = []
    for _ in range(20):
        begin = time.monotonic()
        lives(one)
        took.append(time.monotonic() - begin)
    assert sorted(took)[18] < 0.5, took
    for wire in waiting:
        wire.settimeout(10)
        while True:
            try:
                if not wire.recv(65536):
                    break
            except ConnectionResetError:
                break
        wire.close()
    assert time.monotonic() - start < 15
    assert "client timed out (110: Connection timed out) while SSL handshaking" in one.errors()


# -- afterwards -------------------------------------------------------------------------------

def test_renegotiation_is_refused(one):
    text = s_client(one.address(), "-tls1_2", "-servername", "a.test", data=b"R\nR\nR\n")
    assert "RENEGOTIATING" in text
    assert "no renegotiation" in text or "SSL alert number 100" in text or "handshake failure" in text
    lives(one)


def test_key_updates(one):
    """A few key updates are served."""
    done = subprocess.Popen(["openssl", "s_client", "-connect", "%s:%d" % one.address(), "-tls1_3", "-servername", "a.test"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def wait_for(text, out=b""):
        while text not in out:
            data = done.stdout.read1()
            assert data, out
            out += data
    wait_for(b"Verify return code")
    for letter in (b"K\n", b"k\n", b"K\n"):
        # s_client looks for its letters at the start of what it reads at once.
        done.stdin.write(letter)
        done.stdin.flush()
        wait_for(b"KEYUPDATE")
    done.stdin.write(b"GET /hi HTTP/1.1\nHost: a.test\nConnection: close\n\n")
    done.stdin.flush()
    wait_for(b"\r\nhi")
    done.communicate(timeout=20)


AGAIN = b"\1\0\0\x2d\3\3" + bytes(32) + b"\0\0\4\xc0\x2b\xc0\x2f\1\0\0\0"     # a ClientHello

FLOODS = {
    "empty-1.2": (V12, lambda client: client.data(b"")),
    "empty-1.3": (V13, lambda client: client.data(b"")),
    "warnings-1.2": (V12, lambda client: client.seal_record(ALERT, b"\1\x5a")),
    "warnings-1.3": (V13, lambda client: client.seal_record(ALERT, b"\1\x5a")),
    "renegotiation": (V12, lambda client: client.seal_record(HANDSHAKE, AGAIN)),
    "parts-of-renegotiation": (V12, lambda client: client.seal_record(HANDSHAKE, b"\1")),
    "parts-of-handshake-1.3": (V13, lambda client: client.seal_record(HANDSHAKE, b"\1")),
    "key-updates": (V13, lambda client: client.key_update(0)),
    "wanted-key-updates": (V13, lambda client: client.key_update(1)),
}


@pytest.mark.wproxy_only
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in-body"])
@pytest.mark.parametrize("kind", FLOODS)
def test_flood(one, app, kind, busy):
    """Records that carry no data end the connection, after a few hundred at the latest."""
    version, make = FLOODS[kind]
    client = RecordClient(one.address(), version)
    if busy:
        client.socket.sendall(client.data(request("POST /app/flood", "Content-Length: 1000", host="a.test")))
    assert client.taken(make(client) for _ in range(60000)) is not None
    client.close()
    lives(one)


def test_data_between(one, app):
    """400 requests, each behind a key update and an empty record: served."""
    client = RecordClient(one.address())
    before = len(app.requests)
    for _ in range(399):
        client.socket.sendall(client.key_update(1) + client.data(b"") +
                              client.data(request("GET /app/between", host="a.test")))
        assert client.socket.recv(65536)
    client.socket.sendall(client.data(request("GET /app/between", "Connection: close", host="a.test")))
    while client.socket.recv(65536):
        pass
    client.close()
    assert len(app.requests) - before == 400


def test_cut_in_record(one):
    """A client that leaves in the middle of a record, with FIN and with RST."""
    for end in ("close", "reset"):
        slow = Slow(one.address())
        sent = []

        def send(data, sent=sent, slow=slow):
            sent.append(data)
            slow.socket.sendall(data)
        slow.step(slow.tls.do_handshake, send)
        slow.tls.write(request("GET /hi", host="a.test"))
        slow.socket.sendall(slow.outgoing.read()[:-9])
        if end == "reset":
            slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        slow.close()
    lives(one)


def test_damaged_record(one):
    """A record that does not decrypt: an alert, and the end."""
    slow = Slow(one.address())
    slow.step(slow.tls.do_handshake, slow.socket.sendall)
    slow.tls.write(request("GET /hi", host="a.test"))
    data = bytearray(slow.outgoing.read())
    data[-1] ^= 1
    slow.socket.sendall(data)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        slow.step(lambda: slow.tls.read(100), slow.socket.sendall)
    slow.close()
    lives(one)


def test_close_notify(one):
    """Our end of a connection is announced, and a client's close_notify is understood."""
    with TlsWire(one.address(), name="a.test") as wire:
        answer = wire.ask(request("GET /hi", "Connection: close", host="a.test"))
        assert answer.text == "hi" and wire.closes() and not wire.was_reset
    with TlsWire(one.address(), name="a.test") as wire:
        assert wire.ask(request("GET /hi", host="a.test")).text == "hi"
        wire.socket.settimeout(10)
        wire.socket.unwrap()        # fails unless the server answers with its own
    lives(one)


def test_pipelined(one):
    with TlsWire(one.address(), name="a.test") as wire:
        wire.send(request("GET /hi", host="a.test") * 50)
        assert all(wire.read_response().text == "hi" for _ in range(50))


# -- bulk -------------------------------------------------------------------------------------

BULK = 200 * 1024 * 1024
BLOCK = random.Random(3).randbytes(1 << 20)


def bulk(total):
    """The same pseudo-random bytes each time, in pieces."""
    for i in range(total >> 20):
        yield BLOCK[i % 97:] + BLOCK[:i % 97]


def digest(pieces):
    made = hashlib.sha256()
    for piece in pieces:
        made.update(piece)
    return made.hexdigest()


@pytest.mark.parametrize("version", [V12, V13])
def test_bulk_up_and_down(one, app, version):
    """200 MB up and 200 MB down, in random pieces with pauses, arrive as they were sent."""
    got = {}

    def sink(exchange, received):
        left, made = int(received.get("Content-Length")), hashlib.sha256()
        made.update(exchange.buffer)
        left -= len(exchange.buffer)
        exchange.buffer = b""
        while left > 0:
            data = exchange.socket.recv(min(left, 262144))
            if not data:
                break
            made.update(data)
            left -= len(data)
        got["up"] = made.hexdigest()
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def source(exchange, received):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BULK)
        for piece in bulk(BULK):
            exchange.send(piece)
    app.scripts["/app/up"] = sink
    app.scripts["/app/down"] = source
    want = digest(bulk(BULK))
    chance = random.Random(5)
    with TlsWire(one.address(), name="a.test", ctx=context(maximum=version), timeout=120) as wire:
        wire.send(request("POST /app/up", "Content-Length: %d" % BULK, host="a.test"))
        for piece in bulk(BULK):
            at = 0
            while at < len(piece):
                size = chance.choice((1, 100, 1400, 16384, 16385, 70000, 300000))
                wire.send(piece[at:at + size])
                at += size
        assert wire.read_response().text == "ok" and got["up"] == want
        wire.send(request("GET /app/down", host="a.test"))
        head, made, left = wire.read_head(), hashlib.sha256(), BULK
        made.update(wire.buffer)
        left -= len(wire.buffer)
        wire.buffer = b""
        while left > 0:
            if chance.random() < 0.002:
                select.select([], [], [], 0.02)     # a pause of the reader
            data = wire.socket.recv(chance.choice((1000, 16384, 65536)))
            assert data, "cut with %d bytes left" % left
            made.update(data)
            left -= len(data)
        assert head.status == 200 and made.hexdigest() == want
        assert wire.ask(request("GET /hi", host="a.test")).text == "hi"


def test_static_bulk(one, www):
    """A file is read and encrypted whole, ranges too."""
    with open(os.path.join(www, "big.bin"), "rb") as file:
        data = file.read()
    with TlsWire(one.address(), name="a.test") as wire:
        assert wire.ask(request("GET /big.bin", host="a.test")).body == data
        part = wire.ask(request("GET /big.bin", "Range: bytes=100000-2000000", host="a.test"))
        assert part.status == 206 and part.body == data[100000:2000001]


def test_many_clients(one):
    """100 clients at once, new and resumed connections mixed."""
    failures = []

    def client():
        ctx, session = context(), None
        try:
            for i in range(10):
                with TlsWire(one.address(), name="a.test", ctx=ctx, session=session) as wire:
                    assert wire.ask(request("GET /hi", host="a.test")).text == "hi"
                    assert wire.ask(request("GET /style.css", host="a.test")).status == 200
                    session = wire.socket.session
        except Exception as failure:
            failures.append(failure)
    threads = [threading.Thread(target=client) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("version", [V12, V13])
def test_kernel_tls(own, ca, app, www, version):
    """ssl_conf_command Options KTLS: where the kernel has no TLS, everything is as without it."""
    one = serve(own, ca, app, http=HTTP.replace("root", "ssl_conf_command Options KTLS; root"))
    with open(os.path.join(www, "big.bin"), "rb") as file:
        data = file.read()
    seen = {}

    def echo(exchange, received):
        seen["body"] = exchange.buffer
        while len(seen["body"]) < len(data):
            seen["body"] += exchange.socket.recv(65536)
        exchange.buffer = b""
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    app.scripts["/app/kernel"] = echo
    with TlsWire(one.address(), name="a.test", ctx=context(maximum=version), receive_buffer=4096) as wire:
        for path, sent in (("GET /big.bin", b""), ("POST /app/kernel", data), ("GET /big.bin", b"")):
            wire.send(request(path, "Content-Length: %d" % len(sent), host="a.test"))
            wire.send(sent)
            assert not select.select([], [], [], 0.3)[0]    # the socket is full by now
            assert wire.read_response().body == data
        assert seen["body"] == data
        wire.send(request("GET /hi", host="a.test") * 50)
        assert all(wire.read_response().text == "hi" for _ in range(50))
        wire.socket.unwrap()
    client = RecordClient(one.address(), version)
    assert client.taken(client.data(b"") for _ in range(60000)) is not None
    client.close()
    with Wire(one.address()) as wire:
        wire.send(HELLO).shut()
        wire.read_to_end()
    lives(one)


@pytest.mark.parametrize("size", ["1k", "4k", "16k"])
def test_buffer_size(own, ca, app, size):
    """ssl_buffer_size bounds the records that are sent; ssl records are whole."""
    one = serve(own, ca, app, http=HTTP.replace("root", "ssl_buffer_size %s; root" % size))
    slow = Slow(one.address())
    slow.step(slow.tls.do_handshake, slow.socket.sendall)
    slow.step(lambda: slow.tls.write(request("GET /big.bin", "Connection: close", host="a.test")),
              slow.socket.sendall)
    data = b""
    while piece := slow.socket.recv(65536):
        data += piece
    sizes = [len(payload) for kind, _, payload in records(data) if kind == 23]
    assert max(sizes) <= {"1k": 1024, "4k": 4096, "16k": 16384}[size] + 64
    assert sum(sizes) > 3 << 20
    if size == "16k":
        assert sizes.count(max(sizes)) > len(sizes) // 2
        assert any(n < 2000 for n in sizes[:4])     # the first one is not waited for
    slow.close()


# -- memory -----------------------------------------------------------------------------------

@pytest.mark.wproxy_only
def test_idle_memory(own, ca, app):
    """An idle TLS connection costs little more than OpenSSL's own 13.9 kB."""
    one = serve(own, ca, app, connections=4096, threads="1")
    lives(one)

    def opened(count):
        made = []
        for _ in range(count):
            wire = TlsWire(one.address(), name="a.test")
            wire.ask(request("GET /hi", host="a.test"))
            made.append(wire)
        return made
    warm = opened(50)
    before = memory(one)
    many = opened(400)
    each = (memory(one) - before) / 400
    for wire in warm + many:
        wire.close()
    assert each <= 16 * 1024 or is_sanitized(one.binary), each
