"""Reload: in place, under load, without one failed request; a broken file changes nothing."""

import os
import re
import signal
import subprocess
import threading
import time

import pytest

import server
from origin import OK, answer
from server import wait_until
from test_stream import UPGRADE, echo_tunnel
from wire import Wire, WireError, fetch, request

HTTP = r"""
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
limit_conn_zone $arg_k zone=conn:1m;
limit_req_zone $arg_k zone=req:1m rate=1r/m;
upstream app { server @origin@ fail_timeout=0; }
server {
    listen @host@:@port@;
    server_name example.test;
    root @www@;
    access_log @prefix@/access.log;
    location / { }
    location /which { return 200 "generation %(generation)s"; }
    location /app { proxy_http_version 1.1; proxy_pass http://app; }
    location /ws/ { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection $connection_upgrade; proxy_pass http://app/channels/; }
    location /conn { limit_conn conn 1; proxy_pass http://app; }
    location /req { limit_req zone=req; alias @www@/a.txt; }
    %(more)s
}
"""


def text(generation=1, more=""):
    return HTTP % {"generation": generation, "more": more}


class Site:
    def __init__(self, scope):
        self.origin = scope.origin()
        self.generation = 1
        self.server = scope.server(text(), names={"origin": self.origin.name})
        self.address = self.server.address()

    def reload(self, more=""):
        """Writes the next generation and waits until a new connection sees it."""
        self.generation += 1
        self.server.write(text(self.generation, more))
        self.server.kick(signal.SIGHUP)
        self.wait_generation()

    def wait_generation(self):
        """Until connections to every thread see the generation: 16 in a row."""
        want = "generation %d" % self.generation
        wait_until(lambda: all(fetch(self.address, "GET /which").text == want for _ in range(16)),
                   10, want)


@pytest.fixture
def site(own):
    return Site(own)


def test_reload(site):
    assert fetch(site.address, "GET /which").text == "generation 1"
    assert fetch(site.address, "GET /more").status == 404
    site.reload("location /more { return 200 more; }")
    assert fetch(site.address, "GET /more").status == 200


@pytest.mark.wproxy_only
def test_no_second_worker(site):
    """A reload starts no process: the same worker goes on."""
    before = site.server.workers()
    for _ in range(3):
        site.reload()
    assert site.server.workers() == before


@pytest.mark.wproxy_only
def test_idle_connections_survive(site):
    """An idle connection is not closed by a reload; its next request is served by the new file."""
    wires = [Wire(site.address) for _ in range(20)]
    for wire in wires:
        assert wire.ask(request("GET /which")).text == "generation 1"
    site.reload()
    for wire in wires:
        assert wire.ask(request("GET /which")).text == "generation 2"
        wire.close()


def test_request_keeps_its_generation(site):
    """What began under the old file ends under it: a download and a tunnel in flight."""
    gate = threading.Event()

    def script(exchange, received):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        gate.wait(10)
        exchange.send(b"later")
    site.origin.scripts["/app/hold"] = script
    site.origin.scripts["/channels/x"] = echo_tunnel
    with Wire(site.address) as wire, Wire(site.address) as tunnel:
        wire.send(request("GET /app/hold"))
        tunnel.send(request("GET /ws/x", *UPGRADE))
        assert tunnel.read_head().status == 101
        assert tunnel.read_exactly(5) == b"hello"
        for _ in range(3):
            site.reload()
            tunnel.send(b"ping")
            assert tunnel.read_exactly(4) == b"PING"
        gate.set()
        assert wire.read_response().body == b"firstlater"


def test_broken_file_changes_nothing(site):
    """The error is logged with its reason; the old configuration stays; a good file works after it."""
    size = len(site.server.errors())
    site.server.write(text(2, "bogus_directive on;"))
    site.server.kick(signal.SIGHUP)
    site.server.wait_logged('unknown directive "bogus_directive"', since=size)
    assert fetch(site.address, "GET /which").text == "generation 1"
    site.server.write(text(2, "location /a { } location /a { }"))
    site.server.kick(signal.SIGHUP)
    site.server.wait_logged('duplicate location "/a"', since=size)
    assert fetch(site.address, "GET /which").text == "generation 1"
    site.reload()
    assert site.server.read("server.pid").strip() == str(site.server.pid)


def test_signal_option(site):
    site.server.write(text(5))
    done = subprocess.run(site.server.command("-s", "reload"), capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: fetch(site.address, "GET /which").text == "generation 5", 10, "the reload")
    site.server.write(text(6, "nonsense;"))
    done = subprocess.run(site.server.command("-s", "reload"), capture_output=True, timeout=20)
    assert done.returncode == 1 and b"nonsense" in done.stderr


@pytest.mark.wproxy_only
def test_counters_hold(site):
    """limit_conn and limit_req count on across reloads."""
    gate = threading.Event()

    def script(exchange, received):
        if "hold" in received.target:
            gate.wait(10)
        exchange.send(OK)
    site.origin.scripts["/conn"] = script
    with Wire(site.address) as wire:
        wire.send(request("GET /conn?k=a&hold"))
        wait_until(lambda: site.origin.requests, 5, "the request under way")
        assert fetch(site.address, "GET /conn?k=a").status == 503
        assert fetch(site.address, "GET /req?k=a").status == 200
        site.reload()
        assert fetch(site.address, "GET /conn?k=a").status == 503, "the slot is still taken"
        assert fetch(site.address, "GET /req?k=a").status == 503
        gate.set()
        assert wire.read_response().status == 200
    wait_until(lambda: fetch(site.address, "GET /conn?k=a").status == 200, 5, "the slot is free")


def test_listeners_change(own):
    """A reload adds and removes addresses; what stays is never closed."""
    ports = {"main": server.free_port(), "extra": server.free_port()}
    one = own.server("server { listen @host@:@port@; return 200 main; }", ports=dict(ports),
                     ready=[("127.0.0.1", ports["main"])])
    extra = ("127.0.0.1", ports["extra"])
    assert not server.accepts(extra)
    one.write("server { listen @host@:@port@; return 200 main2; } server { listen @host@:@port.extra@; return 200 extra; }")
    one.kick(signal.SIGHUP)
    wait_until(lambda: server.accepts(extra), 10, "the new address")
    assert fetch(extra, "GET /").body == b"extra"
    kept = Wire(extra)
    assert kept.ask(request("GET /")).body == b"extra"
    one.write("server { listen @host@:@port@; return 200 main3; }")
    one.kick(signal.SIGHUP)
    wait_until(lambda: not server.accepts(extra), 10, "the address is gone")
    assert fetch(one.address(), "GET /").body == b"main3"
    kept.close()


def test_listen_taken(own):
    """A reload that needs an address that is taken changes nothing and says so."""
    taken = own.origin()
    one = own.server("server { listen @host@:@port@; return 200 one; }")
    one.write("server { listen @host@:@port@; return 200 two; } server { listen %s; }" % taken.name)
    one.kick(signal.SIGHUP)
    one.wait_logged("bind() to %s failed (98: Address already in use)" % taken.name)
    assert fetch(one.address(), "GET /").body == b"one"


def test_upstream_changes(site, own):
    """New peers are used, removed ones are not."""
    other = own.origin()
    other.reply = answer("200 OK", body=b"the other")
    assert fetch(site.address, "GET /app").body == b"ok"
    site.server.names["origin"] = other.name
    site.reload()
    wait_until(lambda: all(fetch(site.address, "GET /app").body == b"the other" for _ in range(8)),
               5, "only the new peer is asked")


def test_log_file_changes(site):
    site.reload("location /l { access_log @prefix@/second.log; return 200 l; }")
    fetch(site.address, "GET /l?marked")
    wait_until(lambda: "marked" in site.server.read("second.log"), 5, "the new log")


class Load:
    """Clients of several kinds; every failed request is kept in `failures`."""

    def __init__(self, site):
        self.site = site
        self.over = threading.Event()
        self.failures = []
        self.counts = {}
        self.threads = []

    def start(self, name, turn):
        def play():
            while not self.over.is_set():
                try:
                    turn(name)
                except (WireError, OSError, AssertionError) as error:
                    self.failures.append((name, repr(error)))
        thread = threading.Thread(target=play)
        thread.start()
        self.threads.append(thread)

    def good(self, name, condition, what):
        self.counts[name] = self.counts.get(name, 0) + 1
        if not condition:
            self.failures.append((name, what))

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(30)


@pytest.mark.wproxy_only
def test_under_load(site):
    """30 reloads, one each 0.5 s, under load of every kind: not one failed request."""
    load = Load(site)
    site.origin.scripts["/channels/x"] = echo_tunnel
    slow_block = b"d" * 65536

    def download_script(exchange, received):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (40 * 65536))
        for _ in range(40):
            exchange.send(slow_block)
            load.over.wait(0.05)
    site.origin.scripts["/app/download"] = download_script

    def fresh(name):
        got = fetch(site.address, "GET /a.txt")
        load.good(name, got.status == 200 and got.body == b"the file a\n", got)

    def proxied(name):
        got = fetch(site.address, "GET /app/x")
        load.good(name, got.status == 200 and got.body == b"ok", got)

    def kept(name):
        with Wire(site.address) as wire:
            while not load.over.is_set():
                got = wire.ask(request("GET /which"))
                load.good(name, got.status == 200 and got.text.startswith("generation"), got)
                assert got.persistent, "the connection was closed by a reload"
                if name.endswith("idle"):
                    load.over.wait(0.3)
                if load.counts[name] % 900 == 0:
                    return          # keepalive_requests would close it soon

    def posted(name):
        got = fetch(site.address, "POST /app/x", body=b"b" * 20000)
        load.good(name, got.status == 200, got)

    def download(name):
        got = fetch(site.address, "GET /app/download")
        load.good(name, got.status == 200 and len(got.body) == 40 * 65536, got)

    def tunnelled(name):
        with Wire(site.address) as wire:
            wire.send(request("GET /ws/x", *UPGRADE))
            assert wire.read_head().status == 101
            wire.read_exactly(5)
            while not load.over.is_set():
                wire.send(b"ping")
                load.good(name, wire.read_exactly(4) == b"PING", "tunnel")
                load.over.wait(0.05)
    for name, turn in (("new", fresh), ("proxied", proxied), ("kept", kept), ("kept idle", kept),
                       ("posted", posted), ("download", download), ("tunnel", tunnelled)):
        load.start(name, turn)
    worker = site.server.workers()
    for i in range(30):
        begun = time.monotonic()
        site.generation += 1
        site.server.write(text(site.generation))
        site.server.kick(signal.SIGHUP)
        wait_until(lambda: time.monotonic() - begun >= 0.5, 5, "half a second")
    load.stop()
    assert not load.failures, (len(load.failures), load.failures[:5], load.counts)
    for name, least in (("new", 100), ("proxied", 100), ("kept", 100), ("kept idle", 20), ("posted", 50),
                        ("download", 2), ("tunnel", 50)):
        assert load.counts.get(name, 0) >= least, load.counts
    assert site.server.workers() == worker
    site.wait_generation()


@pytest.mark.wproxy_only
def test_generations_are_freed(site):
    """A hundred reloads do not leave memory or descriptors behind."""
    from test_stream import memory, sanitized

    def descriptors():
        return sum(len(os.listdir("/proc/%d/fd" % pid)) for pid in [site.server.pid] + site.server.workers())
    for _ in range(10):
        site.reload()
    before, files = memory(site.server), descriptors()
    for _ in range(40):
        site.reload()
    wait_until(lambda: descriptors() <= files + 2, 5, "no descriptor is left behind")
    if not sanitized():
        assert memory(site.server) - before < 4 << 20


@pytest.mark.wproxy_only
def test_upgrade_binary(site):
    """USR2 starts the new binary beside the old; QUIT ends the old one; nothing is refused."""
    pid_path = site.server.prefix + "/server.pid"
    old = site.server.pid
    site.server.kick(signal.SIGUSR2)

    def new_pid():
        try:
            with open(pid_path) as file:
                pid = int(file.read() or "0")
        except (OSError, ValueError):
            return None
        return pid if pid != old else None
    new = wait_until(new_pid, 15, "the new master's pid file")
    try:
        for _ in range(20):
            assert fetch(site.address, "GET /which").status == 200
        site.server.kick(signal.SIGQUIT)
        assert site.server.wait(15) == 0
        for _ in range(20):
            assert fetch(site.address, "GET /which").status == 200
    finally:
        os.kill(new, signal.SIGQUIT)
        wait_until(lambda: not os.path.exists("/proc/%d" % new) or re.search(
            r"^State:\s+Z", open("/proc/%d/status" % new).read(), re.M), 15, "the new one ends")
        site.server.process = None
