"""Slots and queues: `max_conns` is a cap over all threads and reloads, `queue` makes requests wait."""

import concurrent.futures
import re
import signal
import threading
import time

import pytest

from origin import OK
from pool import HERE, Pool
from server import wait_until
from wire import Wire, fetch, request

pytestmark = pytest.mark.wproxy_only

HTTP = r"""
log_format queued "$request_uri $status $upstream_status [$upstream_queue_time]";
log_format tries "$request_uri $upstream_addr";
access_log queue.log queued;
upstream slots { server @origin.app@ max_conns=2 max_fails=0; queue 100 timeout=10s; }
upstream narrow { server @origin.app@ max_conns=1 max_fails=0; queue 1 timeout=300ms status=503 retry_after=7; }
upstream unqueued { server @origin.app@ max_conns=1 max_fails=0; }
upstream bridged { server @origin.other@ max_fails=0; queue 100 timeout=5s; }
upstream bridged-narrow { server @origin.other@ max_conns=1 max_fails=0; queue 3 timeout=5s; }
upstream bridged-pair { server @origin.other@; server @origin.app@ down; queue 100 timeout=400ms status=503; }
server {
    listen @host@:@port@;
    location / { proxy_pass http://slots; }
    location /narrow/ { proxy_pass http://narrow; }
    location /unqueued/ { proxy_pass http://unqueued; }
    location /bridged/ { proxy_pass http://bridged; }
    location /one-by-one/ { proxy_pass http://bridged-narrow; }
    location /pair/ { access_log tries.log tries; proxy_pass http://bridged-pair; }
    location /slow/ { proxy_read_timeout 300ms; proxy_pass http://unqueued; }
}
"""


class Slow:
    """A back end that counts how many requests it runs at a time."""

    def __init__(self, origin, seconds):
        self.seconds = seconds
        self.lock = threading.Lock()
        self.now = self.most = self.runs = 0
        self.release = threading.Event()

    def __call__(self, exchange, received):
        with self.lock:
            self.now += 1
            self.runs += 1
            self.most = max(self.most, self.now)
        if self.seconds is None:
            self.release.wait(10)
        else:
            time.sleep(self.seconds)
        with self.lock:
            self.now -= 1
        exchange.send(OK)


class Stand:
    def __init__(self, shared):
        self.app, self.other = shared.origin(), shared.origin()
        self.server = shared.server(HTTP, threads=2, names={
            "origin.app": self.app.name, "origin.other": self.other.name})
        self.address = self.server.address()

    def together(self, path, count):
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda i: fetch(self.address, "GET %s%d" % (path, i)), range(count)))


@pytest.fixture
def stand(shared):
    return Stand(shared)


def scripts(origin, path, script, count):
    for i in range(count):
        origin.scripts["%s%d" % (path, i)] = script


def test_slots_are_a_cap(stand):
    """20 at once on 2 slots: all are answered, never more than 2 run, none waits longer than it must."""
    slow = Slow(stand.app, 0.1)
    scripts(stand.app, "/s", slow, 20)
    start = time.monotonic()
    answers = stand.together("/s", 20)
    assert [a.status for a in answers] == [200] * 20
    assert slow.most == 2 and slow.runs == 20
    assert time.monotonic() - start < 1.6


def test_cap_holds_across_a_reload(stand):
    slow = Slow(stand.app, 0.05)
    scripts(stand.app, "/s", slow, 40)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        all_of_it = pool.submit(stand.together, "/s", 40)
        seen = 0
        for _ in range(3):
            wait_until(lambda: slow.runs > seen + 5, 5, "requests run")
            stand.server.kick(signal.SIGHUP)
            seen = slow.runs
        assert [a.status for a in all_of_it.result()] == [200] * 40
    assert slow.most == 2


def test_without_a_queue(stand):
    slow = Slow(stand.app, None)
    scripts(stand.app, "/unqueued/", slow, 2)
    with Wire(stand.address) as wire:
        wire.send(request("GET /unqueued/0"))
        wait_until(lambda: slow.now == 1, 5, "the slot is taken")
        assert fetch(stand.address, "GET /unqueued/1").status == 502
        slow.release.set()
        assert wire.read_response("GET").status == 200


def test_overflow_and_timeout(stand):
    slow = Slow(stand.app, None)
    scripts(stand.app, "/narrow/", slow, 3)
    with Wire(stand.address) as first, Wire(stand.address) as second:
        first.send(request("GET /narrow/0"))
        wait_until(lambda: slow.now == 1, 5, "the slot is taken")
        second.send(request("GET /narrow/1"))
        start = time.monotonic()
        # one of the two is refused at once, the other when its time is over
        third = fetch(stand.address, "GET /narrow/2")
        late = second.read_response("GET")
        assert time.monotonic() - start < 2
        assert (third.status, late.status) == (503, 503)
        assert third.get("Retry-After") == "7"
        slow.release.set()
        assert first.read_response("GET").status == 200
    assert slow.runs == 1
    wait_until(lambda: "upstream queue is full" in stand.server.errors() and
               "upstream queue timed out" in stand.server.errors(), 5, "both are logged")


def test_who_left_is_dropped(stand):
    """Clients that leave while they wait never reach the application; a slot in use is kept until it ends."""
    slow = Slow(stand.app, None)
    scripts(stand.app, "/s", slow, 20)
    wires = [Wire(stand.address) for _ in range(20)]
    for i, wire in enumerate(wires):
        wire.send(request("GET /s%d" % i))
    wait_until(lambda: slow.now == 2, 5, "both slots are taken")
    for wire in wires:
        wire.reset()
    wait_until(lambda: stand.server.read("queue.log").count(" 499 ") == 20, 5, "all are logged")
    time.sleep(0.1)     # nothing may come: there is no condition to wait for
    assert slow.runs == 2 and slow.most == 2
    slow.release.set()
    wait_until(lambda: slow.now == 0, 5, "the application is through")
    assert fetch(stand.address, "GET /after").status == 200


def test_timed_out_worker_keeps_its_slot(stand):
    """After our 504 the worker still runs: the slot is free when it has answered, or a read timeout later."""
    slow = Slow(stand.app, None)
    scripts(stand.app, "/slow/", slow, 3)
    assert fetch(stand.address, "GET /slow/0").status == 504
    assert fetch(stand.address, "GET /slow/1").status == 502
    assert slow.runs == 1
    slow.release.set()
    wait_until(lambda: fetch(stand.address, "GET /slow/2").status == 200, 5, "the slot is free again")


def test_the_slot_of_who_left_has_a_deadline(stand):
    """Nobody waits for the answer any more: its slot is kept for a read timeout, however slowly a head drips."""
    stop = threading.Event()
    dripping = threading.Event()

    def drip(exchange, received):
        exchange.send(b"HTTP/1.1 200 OK\r\n")
        for _ in range(200):
            dripping.set()
            try:
                exchange.send(b"X-Drop: drip\r\n")
            except OSError:
                break
            if stop.wait(0.1):
                break
        exchange.open = False
    stand.app.scripts["/slow/drip"] = drip
    with Wire(stand.address) as wire:
        wire.send(request("GET /slow/drip"))
        assert dripping.wait(5)
        wire.reset()
    try:
        wait_until(lambda: fetch(stand.address, "GET /slow/next").status == 200, 5, "the slot is free again")
    finally:
        stop.set()


def test_restart_is_bridged(stand):
    """A back end that is away for a moment is latency, not errors; one line is logged a request."""
    stand.other.refuse()
    with concurrent.futures.ThreadPoolExecutor(11) as pool:
        asked = [pool.submit(fetch, stand.address, "GET /bridged/%d" % i) for i in range(10)]
        wait_until(lambda: stand.server.errors().count("Connection refused") >= 10, 5, "all were refused")
        time.sleep(0.3)
        stand.other.listen()
        assert [a.result().status for a in asked] == [200] * 10
    assert stand.server.errors().count("Connection refused") == 10
    times = re.findall(r"/bridged/\d+ 200 .*\[.*?([\d.]+)\]", stand.server.read("queue.log"))
    assert len(times) == 10 and all(0.2 < float(t) < 2 for t in times)


def test_bridge_keeps_its_places(stand):
    """Who waits for the restart has a place in the queue already, also when there are fewer slots than places."""
    slow = Slow(stand.other, 0.1)
    scripts(stand.other, "/one-by-one/", slow, 3)
    stand.other.refuse()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(fetch, stand.address, "GET /one-by-one/%d" % i) for i in range(3)]
        wait_until(lambda: stand.server.errors().count("Connection refused") >= 3, 5, "all were refused")
        stand.other.listen()
        assert [a.result().status for a in asked] == [200] * 3
    assert slow.most == 1


def test_bridge_ends(stand):
    stand.other.refuse()
    start = time.monotonic()
    assert fetch(stand.address, "GET /pair/x").status == 503
    assert 0.35 < time.monotonic() - start < 2
    wait_until(lambda: "/pair/x" in stand.server.read("tries.log"), 5, "it is logged")
    assert stand.server.read("tries.log").split() == ["/pair/x", stand.other.name + ",", "bridged-pair"]


def test_post_is_bridged_once(stand):
    """What never met a back end may wait, whatever its method; it arrives once and whole."""
    stand.other.refuse()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(fetch, stand.address, "POST /bridged/p", body=b"x" * 100000)
        wait_until(lambda: "Connection refused" in stand.server.errors(), 5, "it was refused")
        stand.other.listen()
        assert asked.result().status == 200
    (one,) = stand.other.take(1)
    assert one.body == b"x" * 100000


@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_real_pool(shared, kind):
    """20 requests of 0.3 s on a pool with 2 slots."""
    pool = shared.keep(Pool(kind, shared.folder(), application="probe:application", chdir=HERE))
    one = shared.server(r"""
        upstream app { server %s max_conns=2 fail_timeout=0; queue 100; }
        server { listen @host@:@port@; location / { proxy_pass http://app; } }""" % pool.name, threads=2)
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda i: fetch(one.address(), "GET /pause?s=0.3"), range(20)))
    assert [a.status for a in answers] == [200] * 20
    assert time.monotonic() - start < 4.5
