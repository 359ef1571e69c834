"""Streaming, both ways: the first byte before the last, tunnels, events, bounded memory."""

import hashlib
import os
import socket
import threading
import time

import pytest

import server
from origin import OK, answer
from server import wait_until
from wire import Wire, WireError, chunked, fetch, request

HTTP = r"""
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
upstream app { server @origin@; }
proxy_http_version 1.1;
server {
    listen @host@:@port@;
    client_max_body_size 0;
    location / { proxy_pass http://app; }
    location /off/ { proxy_buffering off; proxy_pass http://app; }
    location /up/ { proxy_request_buffering off; proxy_pass http://app; }
    location /upoff/ { proxy_request_buffering off; proxy_buffering off; proxy_pass http://app; }
    location /small/ { proxy_buffers 4 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k;
                       proxy_max_temp_file_size 0; proxy_pass http://app; }
    location /temp/ { proxy_buffers 4 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k; proxy_pass http://app; }
    location /ws/ { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
                    proxy_read_timeout 30s; proxy_pass http://app/channels/; }
    location /wsshort/ { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
                    proxy_read_timeout 300ms; proxy_pass http://app/channels/; }
    location /wsif { if ($http_upgrade !~* websocket) { return 400; }
                    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; proxy_pass http://app; }
}
"""


# Only the floor of what is read ahead of a client: what many slow readers have each.
LEAST = "" if server.subject_is_nginx() else "proxy_read_ahead 16k;"
HTTP = HTTP.replace("    location /up/", "    location /least/ { proxy_buffering off; %s proxy_pass http://app; }\n    location /up/" % LEAST, 1)


@pytest.fixture(scope="module")
def app(shared):
    return shared.origin()


@pytest.fixture(scope="module")
def one(shared, app):
    return shared.server(HTTP.replace("@origin@", app.name))


def gated(app, path, head, first, second):
    """Scripts an answer whose second part waits for the returned event."""
    gate = threading.Event()

    def script(exchange, received):
        exchange.read_body(received)
        exchange.send(head + first)
        gate.wait(10)
        exchange.send(second)
        exchange.finish()
    app.scripts[path] = script
    return gate


HEADS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"first", b"later"),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nfirst\r\n", b"5\r\nlater\r\n0\r\n\r\n"),
    "close": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"first", b"later"),
    "1.0": (b"HTTP/1.0 200 OK\r\n\r\n", b"first", b"later"),
}


def read_part(wire, answer, size):
    """The first `size` bytes of a body, whatever its framing."""
    if (answer.get("Transfer-Encoding") or "") == "chunked":
        got = b""
        while len(got) < size:
            length = int(wire.read_until(b"\r\n"), 16)
            got += wire.read_exactly(length)
            wire.read_exactly(2)
        return got
    return wire.read_exactly(size)


@pytest.mark.parametrize("kind", HEADS)
def test_down_unbuffered(one, app, kind):
    """proxy_buffering off: the first byte arrives while the back end still holds the last."""
    gate = gated(app, "/off/x", *HEADS[kind])
    with Wire(one.address()) as wire:
        wire.send(request("GET /off/x"))
        head = wire.read_head()
        assert head.status == 200
        assert read_part(wire, head, 5) == b"first"
        assert not gate.is_set()
        gate.set()
        assert read_part(wire, head, 5) == b"later"


@pytest.mark.parametrize("kind", HEADS)
def test_down_accel_buffering(one, app, kind):
    """X-Accel-Buffering: no does the same for one answer."""
    head, first, second = HEADS[kind]
    gate = gated(app, "/acc", head.replace(b" OK\r\n", b" OK\r\nX-Accel-Buffering: no\r\n"), first, second)
    with Wire(one.address()) as wire:
        wire.send(request("GET /acc"))
        got = wire.read_head()
        assert got.get("X-Accel-Buffering") is None
        assert read_part(wire, got, 5) == b"first"
        gate.set()
        assert read_part(wire, got, 5) == b"later"


def test_head_before_body(one, app):
    """The head alone is passed on when the body lets us wait."""
    gate = gated(app, "/off/h", HEADS["chunked"][0], b"", HEADS["chunked"][2])
    with Wire(one.address()) as wire:
        wire.send(request("GET /off/h"))
        assert wire.read_head().status == 200
        gate.set()


def test_events(one, app):
    """Server-sent events arrive one by one."""
    step = threading.Semaphore(0)

    def script(exchange, received):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(5):
            step.acquire(timeout=10)
            data = b"data: %d\n\n" % i
            exchange.send(b"%x\r\n%s\r\n" % (len(data), data))
        exchange.send(b"0\r\n\r\n")
    app.scripts["/events"] = script
    with Wire(one.address()) as wire:
        wire.send(request("GET /events", "Accept: text/event-stream"))
        head = wire.read_head()
        assert head.get("Content-Type") == "text/event-stream"
        for i in range(5):
            step.release()
            assert read_part(wire, head, 9) == b"data: %d\n\n" % i
        assert wire.read_until(b"0\r\n\r\n") == b"0\r\n\r\n"


def test_real_events(shared, one):
    """The same from gunicorn's threads, through the documented proxy_buffering off."""
    from pool import HERE, Pool
    pool = shared.keep(Pool("gthread", shared.folder(), application="probe:application", chdir=HERE))
    front = shared.server("server { listen @host@:@port@; location / { proxy_buffering off; proxy_pass http://%s; } }" % pool.name)
    with Wire(front.address()) as wire:
        wire.send(request("GET /ticks?n=3&s=0.3"))
        head = wire.read_head()
        begun = time.monotonic()
        times = []
        for i in range(3):
            assert read_part(wire, head, 9) == b"data: %d\n\n" % i
            times.append(time.monotonic() - begun)
        assert times[0] < 0.25 and times[2] > 0.4, times


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("place", ["/up/x", "/upoff/x"])
def test_up_unbuffered(one, app, framing, place):
    """proxy_request_buffering off: the back end has the first part before the client sends the last."""
    seen = threading.Event()
    got = {}

    def script(exchange, received):
        while b"first" not in exchange.buffer:
            if not exchange.fill():
                return
        seen.set()
        got["body"] = exchange.read_body(received)
        exchange.send(OK)
    app.scripts[place] = script
    with Wire(one.address()) as wire:
        if framing == "length":
            wire.send(request("POST " + place, "Content-Length: 10") + b"first")
        else:
            wire.send(request("POST " + place, "Transfer-Encoding: chunked") + b"5\r\nfirst\r\n")
        assert seen.wait(5), "the first part did not arrive"
        wire.send(b"later" if framing == "length" else b"5\r\nlater\r\n0\r\n\r\n")
        assert wire.read_response("POST").status == 200
    assert got["body"] == b"firstlater"


def test_up_buffered(one, app):
    """With request buffering (the default) a back end hears nothing before the body is whole."""
    app.clear()
    app.scripts.pop("/whole", None)
    app.reply = OK
    with Wire(one.address()) as wire:
        wire.send(request("POST /whole", "Content-Length: 10") + b"first")
        connections = app.connections
        assert fetch(one.address(), "GET /other").status == 200
        assert [r.target for r in app.take()] == ["/other"]
        wire.send(b"later")
        assert wire.read_response("POST").status == 200
        assert app.connections >= connections
    assert app.take(1)[0].body == b"firstlater"


@pytest.mark.parametrize("place", ["/x", "/up/x2", "/small/x", "/temp/x", "/off/x2", "/least/x"])
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 65536, 1000000, 9000000])
def test_sizes_both_ways(one, app, place, size):
    """Bodies of every size around the buffers, up and down at once, unchanged."""
    block = hashlib.sha256(str(size).encode()).digest() * (size // 32 + 1)
    body = block[:size]

    def script(exchange, received):
        got = exchange.read_body(received)
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(got) + got)
    app.scripts[place] = script
    with Wire(one.address(), timeout=60) as wire:
        sender = threading.Thread(target=wire.try_send, args=(
            request("POST " + place, "Content-Length: %d" % size, body=body),))
        sender.start()
        got = wire.read_response("POST")
        sender.join()
    assert got.status == 200 and got.body == body


@pytest.mark.parametrize("place", ["/c", "/off/c", "/least/c", "/small/c", "/temp/c"])
def test_chunked_download(one, app, place):
    """20 MB in chunks of changing size come whole."""
    blocks = [os.urandom(1 + (i * 7919) % 70000) for i in range(600)]

    def script(exchange, received):
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for block in blocks:
            exchange.send(b"%x\r\n" % len(block) + block + b"\r\n")
        exchange.send(b"0\r\n\r\n")
    app.scripts[place] = script
    with Wire(one.address(), timeout=60) as wire:
        got = wire.ask(request("GET " + place))
        assert hashlib.sha256(got.body).digest() == hashlib.sha256(b"".join(blocks)).digest()
        app.reply = OK
        assert wire.ask(request("GET /after")).body == b"ok"


@pytest.mark.parametrize("place", ["/cut", "/off/cut"])
@pytest.mark.parametrize("kind", ["length", "chunked"])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_cut_body_never_ends_cleanly(one, app, place, kind, end):
    """A back end that dies in mid-body: the client sees it, the log says it."""
    head, first, _ = HEADS[kind]

    def script(exchange, received):
        exchange.send(head + first)
        exchange.close() if end == "close" else exchange.reset()
    app.scripts[place] = script
    size = len(one.errors())
    with Wire(one.address()) as wire:
        wire.send(request("GET " + place))
        try:
            wire.read_response()
        except WireError:
            pass
        else:
            pytest.fail("a cut body ended cleanly")
    wait_until(lambda: "upstream" in one.errors()[size:] and (
        "prematurely closed" in one.errors()[size:] or "reset by peer" in one.errors()[size:]), 5, "a log line")


def test_slow_reader_is_bounded(shared, app):
    """A reader that does not read: the back end is held back, memory stays small."""
    one = shared.server(HTTP.replace("@origin@", app.name))
    total = 128 << 20
    block = b"m" * 65536
    sent = {"bytes": 0}

    def script(exchange, received):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while sent["bytes"] < total and exchange.send(block):
            sent["bytes"] += len(block)
    app.scripts["/off/huge"] = script
    before = memory(one)
    with Wire(one.address(), timeout=60, receive_buffer=16384) as wire:
        wire.send(request("GET /off/huge"))
        assert wire.read_head().status == 200

        last = [-1]

        def stalled():
            now = sent["bytes"]
            same, last[0] = now == last[0], now
            return same
        wait_until(stalled, 20, "the back end is held back", step=0.3)
        assert sent["bytes"] < total // 2
        if not sanitized():
            assert memory(one) - before < 24 << 20
        rest = total
        while rest:
            rest -= len(wire.read_exactly(min(rest, 1 << 20)))
    if not sanitized():
        assert memory(one) - before < 24 << 20


def test_large_upload_is_bounded(shared, app):
    """256 MB up with proxy_request_buffering off cost little memory."""
    one = shared.server(HTTP.replace("@origin@", app.name))
    total = 256 << 20
    seen = {"bytes": 0}

    def script(exchange, received):
        left = total - len(exchange.buffer)
        exchange.buffer = b""
        while left:
            data = exchange.socket.recv(1 << 20)
            if not data:
                return
            left -= len(data)
        seen["bytes"] = total
        exchange.send(OK)
    app.scripts["/up/huge"] = script
    before = memory(one)
    with Wire(one.address(), timeout=120) as wire:
        wire.send(request("POST /up/huge", "Content-Length: %d" % total))
        block = b"u" * (1 << 20)
        for _ in range(total >> 20):
            wire.send(block)
        assert wire.read_response("POST").status == 200
    assert seen["bytes"] == total
    if not sanitized():
        assert memory(one) - before < 32 << 20


def test_many_slow_readers_are_bounded(shared, app):
    """200 readers that do not read an endless unbuffered answer cost less than 64 MB together."""
    one = shared.server(HTTP.replace("@origin@", app.name))
    stop = threading.Event()

    def script(exchange, received):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while not stop.is_set() and exchange.send(b"r" * 65536):
            pass
        exchange.close()
    app.scripts["/off/endless"] = script
    before = memory(one)
    wires = [Wire(one.address(), receive_buffer=16384) for _ in range(200)]
    try:
        for wire in wires:
            wire.send(request("GET /off/endless"))
        for wire in wires:
            assert wire.read_head().status == 200
        last = [-1]

        def settled():
            now = memory(one)
            same, last[0] = now == last[0], now
            return same
        wait_until(settled, 20, "the readers' buffers are full", step=0.2)
        if not sanitized():
            assert memory(one) - before < 64 << 20
        app.reply = OK
        assert fetch(one.address(), "GET /quick").status == 200
    finally:
        stop.set()
        for wire in wires:
            wire.reset()


def memory(one):
    """Resident anonymous bytes of the server's processes."""
    total = 0
    for pid in [one.pid] + one.workers():
        with open("/proc/%d/status" % pid) as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    total += int(line.split()[1]) << 10
    return total


def sanitized():
    with open(server.SUBJECT, "rb") as binary:
        text = binary.read()
    return b"__asan_init" in text or b"__tsan_init" in text


# -- tunnels ---------------------------------------------------------------------------------------

UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x")


def echo_tunnel(exchange, received):
    exchange.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Accept: y\r\n\r\nhello")
    while True:
        if exchange.buffer:
            data, exchange.buffer = exchange.buffer, b""
        else:
            try:
                data = exchange.socket.recv(65536)
            except OSError:
                break
        if not data:
            break
        if not exchange.send(data.upper()):
            break
    exchange.close()


def test_switch_at_a_limited_rate(own):
    """The 101 takes longer than the back end may be silent: that time is the client's."""
    app = own.origin()

    def switch(exchange, received):
        exchange.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      b"X-Accel-Limit-Rate: 100\r\n\r\n")
        exchange.send(exchange.socket.recv(100).upper())
        exchange.close()
    app.scripts["/x"] = switch
    slow = own.server(r"""
        server {
            listen @host@:@port@;
            proxy_read_timeout 200ms;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            location / { proxy_pass http://%s; }
        }""" % app.name)
    with Wire(slow.address()) as wire:
        wire.send(request("GET /x", *UPGRADE))
        assert wire.read_head().status == 101
        wire.send(b"data")
        assert wire.read_exactly(4) == b"DATA"


@pytest.fixture
def tunnel(app):
    app.scripts["/channels/x"] = echo_tunnel
    app.clear()
    return app


def test_tunnel(one, tunnel):
    with Wire(one.address()) as wire:
        wire.send(request("GET /ws/x", *UPGRADE) + b"early")
        head = wire.read_head()
        assert head.status == 101 and head.reason == "Switching Protocols"
        assert head.get("Upgrade") == "websocket" and head.get("Connection").lower() == "upgrade"
        assert head.get("Sec-WebSocket-Accept") == "y"
        assert wire.read_exactly(10) == b"helloEARLY"
        for i in range(50):
            data = b"message %d\x00\xff" % i
            wire.send(data)
            assert wire.read_exactly(len(data)) == data.upper()
    seen = tunnel.take(1)[0]
    assert seen.get("Upgrade") == "websocket" and seen.get("Connection").lower() == "upgrade"
    assert seen.target == "/channels/x"


def test_tunnel_bulk(one, tunnel):
    """8 MB through the tunnel at once, both directions full."""
    data = b"bulk" * (2 << 20)
    with Wire(one.address(), timeout=60) as wire:
        wire.send(request("GET /ws/x", *UPGRADE))
        wire.read_head()
        wire.read_exactly(5)
        sender = threading.Thread(target=wire.send, args=(data,))
        sender.start()
        assert wire.read_exactly(len(data)) == data.upper()
        sender.join()


def test_tunnel_ends(one, tunnel):
    """A client that leaves ends the tunnel at the back end, and the other way round."""
    before = tunnel.open_connections()
    with Wire(one.address()) as wire:
        wire.send(request("GET /ws/x", *UPGRADE))
        wire.read_head()
        wire.read_exactly(5)
    wait_until(lambda: tunnel.open_connections() <= before, 5, "the back end's connection is closed")

    def goodbye(exchange, received):
        exchange.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nbye")
        exchange.close()
    tunnel.scripts["/channels/bye"] = goodbye
    with Wire(one.address()) as wire:
        wire.send(request("GET /ws/bye", *UPGRADE))
        assert wire.read_head().status == 101
        assert wire.read_to_end() == b"bye"


def test_tunnel_refused(one, tunnel):
    """The back end may refuse with an ordinary answer; without Upgrade it is an ordinary request."""
    tunnel.scripts["/channels/no"] = lambda e, r: e.send(answer("403 Forbidden", body=b"no"))
    with Wire(one.address()) as wire:
        got = wire.ask(request("GET /ws/no", *UPGRADE))
        assert got.status == 403 and got.body == b"no"
    tunnel.scripts["/channels/plain"] = lambda e, r: e.send(answer("200 OK", body=b"plain"))
    tunnel.clear()
    got = fetch(one.address(), "GET /ws/plain")
    assert got.body == b"plain"
    assert tunnel.take(1)[0].get("Upgrade") is None
    assert fetch(one.address(), "GET /wsif").status == 400


def test_tunnel_not_configured(one, app):
    """Without the two headers in the file no Upgrade reaches the back end; an unasked 101 is a 502."""
    app.clear()
    app.reply = OK
    assert fetch(one.address(), "GET /plain", *UPGRADE).status == 200
    seen = app.take(1)[0]
    assert seen.get("Upgrade") is None
    app.scripts["/unasked"] = echo_tunnel
    if not server.subject_is_nginx():
        with Wire(one.address()) as wire:
            assert wire.ask(request("GET /unasked", *UPGRADE)).status == 502


def test_tunnel_times_out(one, tunnel):
    with Wire(one.address(), timeout=5) as wire:
        wire.send(request("GET /wsshort/x", *UPGRADE))
        assert wire.read_head().status == 101
        begun = time.monotonic()
        assert wire.read_to_end() == b"hello"
        assert 0.2 < time.monotonic() - begun < 3


def test_many_tunnels(one, tunnel):
    wires = [Wire(one.address()) for _ in range(50)]
    try:
        for wire in wires:
            wire.send(request("GET /ws/x", *UPGRADE))
        for wire in wires:
            assert wire.read_head().status == 101
            assert wire.read_exactly(5) == b"hello"
        for round_number in range(3):
            for i, wire in enumerate(wires):
                wire.send(b"%04d" % i)
            for i, wire in enumerate(wires):
                assert wire.read_exactly(4) == b"%04d" % i
    finally:
        for wire in wires:
            wire.close()


def test_trailers_are_dropped_or_kept_apart(one, app):
    """A trailer of the back end never becomes a header."""
    app.scripts["/trailer"] = lambda e, r: e.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"data", trailers=b"X-Trailer: t\r\n"))
    with Wire(one.address()) as wire:
        got = wire.ask(request("GET /trailer"))
        assert got.body == b"data" and got.get("X-Trailer") is None
        assert wire.ask(request("GET /next")).status == 200


def test_client_shuts_its_half(one, app):
    """A client that closes its sending half after the request still gets a static-size answer unless it left."""
    app.reply = answer("200 OK", body=b"for the half closed")
    with Wire(one.address()) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.send(request("GET /off/half", "Connection: close"))
        got = wire.read_response()
        assert got.body == b"for the half closed"
