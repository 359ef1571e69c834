"""stub_status: what is counted and when, beside nginx; exact over threads, reloads and a worker's death."""

import os
import re
import signal
import socket
import threading

import pytest

from server import free_port, wait_until
from wire import Wire, fetch, request

HTTP = r"""
log_format counts "$connections_active $connections_reading $connections_writing $connections_waiting";
server {
    listen @host@:@port@;
    location /status { stub_status; }
    location /old { stub_status on; }
    location /off { stub_status off; }
    location /counts { return 200 "$connections_active $connections_reading $connections_writing $connections_waiting"; }
    location /charset { stub_status; charset utf-8; charset_types text/plain; add_header X-One 1; default_type text/html; }
    location /denied { stub_status; deny all; }
    location /small { return 200 small; }
    location /refused { client_max_body_size 1; return 200 taken; }
    location /limited { client_max_body_size 1; root @www@; }
    location /held { proxy_pass http://127.0.0.1:@held@; }
    location /tunnel { proxy_pass http://127.0.0.1:@held@; proxy_http_version 1.1; proxy_set_header Upgrade x; proxy_set_header Connection upgrade; }
}
server { listen @host@:@port.whole@; stub_status; location /inside { return 200 inside; } location /static/ { root @www@; } }
"""
PAGE = re.compile(r"Active connections: (\d+) \nserver accepts handled requests\n (\d+) (\d+) (\d+) \n"
                  r"Reading: (\d+) Writing: (\d+) Waiting: (\d+) \n\Z")
NAMES = ("active", "accepts", "handled", "requests", "reading", "writing", "waiting")


class Holder:
    """A back end that takes requests and says nothing, or 101 where an upgrade is asked for."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(100)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                peer = self.socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.hold, args=(peer,), daemon=True).start()

    @staticmethod
    def hold(peer):
        with peer:
            while data := peer.recv(65536):
                if b"upgrade" in data.lower():
                    peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.fixture(scope="module")
def held(shared):
    return shared.keep(Holder())


@pytest.fixture(scope="module")
def pair(shared, held):
    return shared.pair(HTTP, names={"held": held.port})


class Monitor:
    """One connection that asks for the page: the numbers besides itself."""

    def __init__(self, one):
        self.wire = Wire(one.address(), 20)
        # Whoever looked whether the server is up may wait in some thread's socket: these are accepted behind.
        behind = [Wire(address, 20) for address in one.ready for _ in range(40)]
        wait_until(lambda: self.read()["active"] > len(behind), 20, "all are accepted", step=0.02)
        for wire in behind:
            wire.close()
        wait_until(lambda: self.read()["active"] == 1, 20, "nobody else is there", step=0.02)
        self.first = self.read()
        self.own = 1

    def read(self):
        answer = self.wire.ask(request("GET /status"))
        found = PAGE.match(answer.body.decode())
        assert answer.status == 200 and found, answer.body
        return dict(zip(NAMES, map(int, found.groups())))

    def grown(self):
        """What is more than at the beginning, this monitor's own requests left out."""
        now = self.read()
        grown = {name: now[name] - self.first[name] for name in NAMES}
        grown["requests"] -= self.own
        self.own += 1
        return {name: n for name, n in grown.items() if n}

    def reaches(self, **wanted):
        try:
            wait_until(lambda: self.grown() == wanted, 20, "numbers grown by %r" % wanted, step=0.02)
        except AssertionError as failure:
            raise AssertionError("%s, and not %r" % (failure, self.grown())) from None


def wires(one, count, data=b""):
    made = [Wire(one.address(), 20) for _ in range(count)]
    for wire in made:
        wire.send(data)
    return made


def idle(one):
    return wires(one, 3)


def kept(one):
    made = wires(one, 3, request("GET /small"))
    for wire in made:
        assert wire.read_response().body == b"small"
    return made


def partial(one):
    return wires(one, 2, b"GET /small HTTP/1.1\r\nHo")


def partial_again(one):
    made = kept(one)
    made[0].send(b"GET")
    return made


def pipelined(one):
    made = wires(one, 1, request("GET /small") * 5)
    for _ in range(5):
        assert made[0].read_response().body == b"small"
    return made


def waiting_for_back_end(one):
    return wires(one, 4, request("GET /held"))


def sending_a_body(one):
    return wires(one, 2, b"POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")


def tunnel(one):
    made = wires(one, 2, b"GET /tunnel HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
    for wire in made:
        assert wire.read_head().status == 101
    return made


def refused_body(one):
    made = wires(one, 2, b"POST /limited HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
    for wire in made:
        assert wire.read_response().status == 413
    return made


def invalid(one):
    made = wires(one, 2, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    for wire in made:
        assert wire.read_response().status == 400
        wire.close()
    return []


def reached(count, **now):
    return dict(accepts=count, handled=count, **now)


@pytest.mark.parametrize("play, wanted", [
    (idle, reached(3, active=3, waiting=3)),
    (kept, reached(3, active=3, waiting=3, requests=3)),
    (partial, reached(2, active=2, reading=2, requests=2)),
    (partial_again, reached(3, active=3, waiting=2, reading=1, requests=4)),
    (pipelined, reached(1, active=1, waiting=1, requests=5)),
    (waiting_for_back_end, reached(4, active=4, writing=4, requests=4)),
    (sending_a_body, reached(2, active=2, writing=2, requests=2)),
    (tunnel, reached(2, active=2, writing=2, requests=2)),
    (refused_body, reached(2, active=2, writing=2, requests=2)),
    (invalid, reached(2, requests=2)),
], ids=lambda value: getattr(value, "__name__", ""))
def test_counted(pair, play, wanted):
    """Both reach the same numbers, and fall back to what stays when the clients are gone."""
    for one in (pair.oracle, pair.subject):
        monitor = Monitor(one)
        made = play(one)
        monitor.reaches(**wanted)
        for wire in made:
            wire.close()
        monitor.reaches(**{name: n for name, n in wanted.items() if name in ("accepts", "handled", "requests")})
        monitor.wire.close()


def shape(answer):
    """An answer without its numbers."""
    headers = sorted((n.lower(), re.sub(r"\d+", "N", v)) for n, v in answer.headers if n.lower() not in ("date", "server"))
    return answer.status, headers, re.sub(rb"\d+", b"N", re.sub(rb"(nginx|wproxy)/[\d.]+", b"S", answer.body))


@pytest.mark.parametrize("line", ["GET /status", "HEAD /status", "GET /status?x", "GET /status/below", "GET /old", "GET /off",
                                  "POST /status", "PUT /old", "DELETE /status", "OPTIONS /status", "GET /counts", "GET /charset",
                                  "GET /denied", "GET /status HTTP/1.0"])
def test_page(pair, line):
    body = b"abc" if line.startswith("P") else b""
    pair.both(lambda one: shape(fetch(one.address(), line, body=body)))


@pytest.mark.parametrize("path", ["/", "/x", "/inside", "/static/a.txt"])
def test_of_a_server(pair, path):
    pair.both(lambda one: shape(fetch(one.address("whole"), "GET " + path)))


def test_variables(pair):
    """The same numbers as on the page."""
    for one in (pair.oracle, pair.subject):
        with Wire(one.address(), 20) as wire:
            def counts():
                return wire.ask(request("GET /counts")).body
            wait_until(lambda: counts() == b"1 0 1 0", 20, "nobody else is there", step=0.02)
            made = idle(one) + partial(one) + waiting_for_back_end(one)
            wait_until(lambda: counts() == b"10 2 5 3", 20, "all are counted", step=0.02)
            for other in made:
                other.close()


def test_exact_over_threads(shared):
    """Several threads count for themselves; the sum is what was done."""
    one = shared.server(HTTP, names={"held": free_port()}, threads=4)
    monitor = Monitor(one)

    def clients():
        for _ in range(25):
            with Wire(one.address(), 20) as wire:
                for _ in range(4):
                    assert wire.ask(request("GET /small")).body == b"small"
    crowd = [threading.Thread(target=clients) for _ in range(8)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    monitor.reaches(accepts=200, handled=200, requests=800)
    held = wires(one, 100, b"GET")
    monitor.reaches(accepts=300, handled=300, requests=900, active=100, reading=100)
    for wire in held:
        wire.reset()
    monitor.reaches(accepts=300, handled=300, requests=900)


def test_a_reload_keeps_them(own):
    """Also the numbers of connections that live through it."""
    one = own.server(HTTP, names={"held": free_port()})
    monitor = Monitor(one)
    made = kept(one)
    monitor.reaches(accepts=3, handled=3, requests=3, active=3, waiting=3)
    one.write(HTTP.replace("200 small", "200 other"))
    one.kick(signal.SIGHUP)
    wait_until(lambda: fetch(one.address(), "GET /small").body == b"other", 20, "the new configuration")
    with Wire(one.address(), 20) as wire:
        after = wire.ask(request("GET /status")).body.decode()
        numbers = dict(zip(NAMES, map(int, PAGE.match(after).groups())))
    assert numbers["accepts"] == numbers["handled"] > monitor.first["accepts"] + 3
    assert numbers["requests"] > monitor.first["requests"] + 3
    for wire in made:
        wire.close()


@pytest.mark.wproxy_only
def test_a_connection_outlives_a_reload_in_the_numbers(own):
    """What waits through a reload goes on being counted once."""
    one = own.server(HTTP, names={"held": free_port()})
    monitor = Monitor(one)
    made = kept(one)
    one.kick(signal.SIGHUP)
    one.wait_logged("reconfigur")
    monitor.reaches(accepts=3, handled=3, requests=3, active=3, waiting=3)
    for wire in made:
        wire.close()
    monitor.reaches(accepts=3, handled=3, requests=3)


@pytest.mark.wproxy_only
def test_a_worker_that_dies(own):
    """What was stays; what was open went with it."""
    one = own.server(HTTP, names={"held": free_port()})
    one.allow_trouble = True
    monitor = Monitor(one)
    made = kept(one) + partial(one)
    monitor.reaches(accepts=5, handled=5, requests=5, active=5, waiting=3, reading=2)
    before = monitor.read()
    dead = one.worker()
    os.kill(dead, signal.SIGKILL)
    wait_until(lambda: one.workers() and dead not in one.workers(), 20, "a new worker")

    def after():
        with Wire(one.address(), 20) as wire:
            return dict(zip(NAMES, map(int, PAGE.match(wire.ask(request("GET /status")).body.decode()).groups())))
    numbers = after()
    assert numbers["requests"] == before["requests"] + 1
    assert numbers["accepts"] == numbers["handled"] == before["accepts"] + 1
    assert (numbers["active"], numbers["reading"], numbers["writing"], numbers["waiting"]) == (1, 0, 1, 0)
    for wire in made:
        wire.close()


STREAM = r"""@main@
daemon off;
pid @prefix@/server.pid;
error_log @prefix@/error.log @level@;
worker_processes @threads@;
events { worker_connections @connections@; }
stream { server { listen @host@:@port.stream@; proxy_pass 127.0.0.1:@held@; } }
http { server { listen @host@:@port@; location /status { stub_status; } } }
"""


@pytest.mark.wproxy_only
def test_connections_of_stream(shared, held):
    """They are active and accepted, and no more: they have no requests."""
    one = shared.server(whole=STREAM, names={"held": held.port})
    monitor = Monitor(one)
    made = [Wire(one.address("stream"), 20) for _ in range(3)]
    monitor.reaches(accepts=3, handled=3, active=3)
    for wire in made:
        wire.close()
    monitor.reaches(accepts=3, handled=3)
