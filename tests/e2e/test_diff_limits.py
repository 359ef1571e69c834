"""Limits and bodies: limit_conn, limit_req, limit_rate, client_max_body_size, files of bodies."""

import glob
import os
import re
import threading
import time

import pytest

from contrast import Case
from difference import Want
from origin import OK, answer
from server import wait_until
from wire import Wire, chunked, fetch, request

HTTP = r"""
limit_conn_zone $arg_k zone=conn:1m;
limit_conn_zone $server_name zone=srv:1m;
limit_req_zone $arg_k zone=slow:1m rate=1r/m;
limit_req_zone $arg_k zone=fast:1m rate=10r/s;
log_format limits '$status $limit_conn_status $limit_req_status $uri $args';
proxy_http_version 1.1;
upstream app { server @origin.app@; }
server {
    listen @host@:@port@;
    root @www@;
    access_log @prefix@/limits.log limits;
    location /conn/ { limit_conn conn 1; proxy_pass http://app; }
    location /conn2/ { limit_conn conn 2; proxy_pass http://app; }
    location /conn429/ { limit_conn conn 1; limit_conn_status 429; proxy_pass http://app; }
    location /conndry/ { limit_conn conn 1; limit_conn_dry_run on; proxy_pass http://app; }
    location /connlog/ { limit_conn conn 1; limit_conn_log_level warn; proxy_pass http://app; }
    location /connpage/ { limit_conn conn 1; error_page 503 =200 /a.txt; proxy_pass http://app; }
    location /req/ { limit_req zone=slow; alias @www@/; }
    location /reqburst/ { limit_req zone=slow burst=2 nodelay; alias @www@/; }
    location /reqdelay/ { limit_req zone=fast burst=5; alias @www@/; }
    location /reqdelay2/ { limit_req zone=fast burst=5 delay=2; alias @www@/; }
    location /req429/ { limit_req zone=slow; limit_req_status 429; alias @www@/; }
    location /reqdry/ { limit_req zone=slow; limit_req_dry_run on; alias @www@/; }
    location /reqlog/ { limit_req zone=slow; limit_req_log_level notice; alias @www@/; }
    location /rate/ { limit_rate 200k; alias @www@/; }
    location /ratelarge/ { limit_rate 2m; alias @www@/; }
    location /rateafter/ { limit_rate 2m; limit_rate_after 1m; alias @www@/; }
    location /rateslow/ { limit_rate 500k; limit_rate_after 1200k; send_timeout 1s; alias @www@/; }
    location /ratevar/ { set $limit_rate 200k; alias @www@/; }
    location /ratedyn/ { limit_rate $arg_r; alias @www@/; }
    location /rateup/ { proxy_pass http://app; }

    location /body/0/ { client_max_body_size 0; proxy_pass http://app; }
    location /body/1k/ { client_max_body_size 1k; proxy_pass http://app; }
    location /body/default/ { proxy_pass http://app; }
    rewrite ^/body/top/last/(.*)$ /body/1k/$1 last;
    rewrite ^/body/top/break/(.*)$ /body/1k/$1 break;
    location /body/last/ { client_max_body_size 0; rewrite ^/body/last/(.*)$ /body/1k/$1 last; }
    location /body/tried/ { client_max_body_size 0; try_files /nope /body/1k/x; }
    location /body/failed/ { client_max_body_size 0; error_page 404 = /body/1k/x; return 404; }
    location /body/named/ { client_max_body_size 0; try_files /nope @small; }
    location @small { client_max_body_size 1k; proxy_pass http://app; }
    location /body/hidden/ { internal; proxy_pass http://app; }
    location /body/sent/ { client_max_body_size 0; proxy_pass http://app; }
    location /body/small/ { internal; client_max_body_size 1k; return 200 "small"; }
    location /file/on/ { client_body_in_file_only on; proxy_set_header X-File $request_body_file; proxy_pass http://app; }
    location /file/clean/ { client_body_in_file_only clean; proxy_set_header X-File $request_body_file; proxy_pass http://app; }
    location /file/levels/ { client_body_temp_path @prefix@/leveled 1 2 3; client_body_in_file_only on; proxy_set_header X-File $request_body_file; proxy_pass http://app; }
    location /file/off/ { client_body_buffer_size 1k; proxy_set_header X-File $request_body_file; proxy_set_header X-Body $request_body; proxy_pass http://app; }
    location /file/nobody/ { client_body_in_file_only on; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header X-File $request_body_file; proxy_pass http://app; }
    location /single/ { client_body_in_single_buffer on; proxy_set_header X-Body $request_body; proxy_pass http://app; }
    location /timeout/ { client_body_timeout 200ms; proxy_pass http://app; }
}
server { listen @host@:@port.head@; client_header_timeout 200ms; keepalive_timeout 200ms; return 200 "ok"; }
server { listen @host@:@port.send@; send_timeout 300ms; root @www@; }
"""


@pytest.fixture(scope="module")
def app(shared):
    return shared.origin()


@pytest.fixture(scope="module")
def pair(shared, app):
    def hold(exchange, received):
        app.release.wait(10)
        exchange.send(OK)
    app.release = threading.Event()
    for kind in ("conn", "conn2", "conn429", "conndry", "connlog", "connpage"):
        app.scripts["/%s/hold" % kind] = hold
    app.reply = OK
    return shared.pair(HTTP, origins={"app": app})


@pytest.mark.parametrize("kind, held", [("conn", 1), ("conn2", 1), ("conn2", 2), ("conn429", 1),
                                        ("conndry", 1), ("connlog", 1), ("connpage", 1)])
def test_limit_conn(pair, app, kind, held):
    """The limit counts over all threads: with `held` requests under way, what does one more get?"""
    def play(one):
        app.release.clear()
        app.clear()
        wires = [Wire(one.address()) for _ in range(held)]
        try:
            for wire in wires:
                wire.send(request("GET /%s/hold?k=%s" % (kind, kind)))
            wait_until(lambda: len(app.requests) == held, 5, "held requests")
            more = [fetch(one.address(), "GET /%s/x?k=%s" % (kind, kind)) for _ in range(4)]
            other = fetch(one.address(), "GET /%s/x?k=other" % kind)
            nokey = fetch(one.address(), "GET /%s/x" % kind)
            app.release.set()
            rest = [wire.read_response().status for wire in wires]
        finally:
            app.release.set()
            for wire in wires:
                wire.close()
        wait_until(lambda: fetch(one.address(), "GET /%s/x?k=%s" % (kind, kind)).status == 200, 5,
                   "the limit is free again")
        return [m.status for m in more], other.status, nokey.status, rest, more[0].get("Content-Type")
    pair.both(play)


@pytest.mark.parametrize("kind, count", [("req", 4), ("reqburst", 6), ("req429", 3), ("reqdry", 3),
                                         ("reqlog", 2)])
def test_limit_req(pair, kind, count):
    """Statuses of a burst on connections that land on several threads."""
    def play(one):
        return [fetch(one.address(), "GET /%s/a.txt?k=%s" % (kind, kind)).status
                for _ in range(count)] + [
                    fetch(one.address(), "GET /%s/a.txt" % kind).status for _ in range(3)]
    pair.both(play)


@pytest.mark.parametrize("kind, least, most", [("reqdelay", 0.35, 1.2), ("reqdelay2", 0.15, 0.9)])
def test_limit_req_delay(pair, kind, least, most):
    """Requests over the rate but within the burst are late, not refused."""
    for one in pair.servers.values():
        begun = time.monotonic()
        assert [fetch(one.address(), "GET /%s/a.txt?k=%s" % (kind, kind)).status
                for _ in range(5)] == [200] * 5
        assert least < time.monotonic() - begun < most, one.name


def test_limit_status_variables(pair):
    def play(one):
        size = len(one.read("limits.log"))
        for line in ("GET /req/a.txt?k=v1", "GET /req/a.txt?k=v1", "GET /reqdry/a.txt?k=v2",
                     "GET /reqdry/a.txt?k=v2", "GET /a.txt?k=v3"):
            fetch(one.address(), line)

        def lines():
            return [x for x in one.read("limits.log")[size:].split("\n") if "k=v" in x]
        wait_until(lambda: len(lines()) == 5, 5, "five lines")
        return sorted(lines())          # each thread writes its own
    pair.both(play)


def test_limit_messages(pair):
    """What is said in the error log, and at which level."""
    def play(one):
        size = len(one.errors())
        for _ in range(2):
            fetch(one.address(), "GET /reqlog/a.txt?k=say")
        one.wait_logged("limiting requests", since=size)
        line = [x for x in one.errors()[size:].split("\n") if "limiting requests" in x][0]
        return "[notice]" in line, 'by zone "slow"' in line
    assert pair.both(play) == (True, True)


@pytest.mark.parametrize("path, least, most", [
    ("/rate/style.css", 0.0, 0.8), ("/ratelarge/big.bin", 0.4, 2.6), ("/rateafter/big.bin", 0.3, 2.2), ("/ratevar/app.js", 0.0, 0.8),
    ("/ratedyn/big.bin?r=0", 0.0, 2.0), ("/ratedyn/big.bin?r=2m", 0.4, 2.6)])
def test_limit_rate(pair, path, least, most):
    for one in pair.servers.values():
        begun = time.monotonic()
        got = fetch(one.address(), "GET " + path)
        took = time.monotonic() - begun
        assert got.status == 200
        assert least <= took <= most, (one.name, took)


def test_limit_rate_is_no_timeout(pair):
    """Who is kept waiting by limit_rate for longer than send_timeout gets the whole answer."""
    for one in pair.servers.values():
        begun = time.monotonic()
        got = fetch(one.address(), "GET /rateslow/big.bin")
        assert len(got.body) == int(got.get("Content-Length")), one.name
        assert time.monotonic() - begun > 1, one.name


def test_limit_rate_of_a_half_closed_client(pair):
    """Who sent its FIN and is kept waiting by limit_rate has not left (for nginx it has, now and then)."""
    with Wire(pair.subject.address()) as wire:
        wire.send(request("GET /ratedyn/big.bin?r=900k")).shut()
        got = wire.read_response()
        assert len(got.body) == int(got.get("Content-Length"))


def test_accel_limit_rate(pair, app):
    for one in pair.servers.values():
        app.reply = answer("200 OK", "X-Accel-Limit-Rate: 1000000", body=b"r" * 1400000)
        begun = time.monotonic()
        assert len(fetch(one.address(), "GET /rateup/x").body) == 1400000
        assert 0.2 <= time.monotonic() - begun <= 3, one.name
    app.reply = OK


BODIES = [
    ("/body/0/x", 5000000, False), ("/body/0/x", 2000000, True), ("/body/1k/x", 1024, False),
    ("/body/1k/x", 1025, False), ("/body/1k/x", 1024, True), ("/body/1k/x", 1025, True),
    ("/body/default/x", 1048576, False), ("/body/default/x", 1048577, False),
    ("/body/default/x", 1048577, True), ("/file/off/x", 100, False), ("/single/x", 5000, False),
    ("/single/x", 5000, True), ("/file/off/x", 900, True),
    *[("/body/%s/x" % kind, size, in_chunks) for kind in (
        "top/last", "top/break", "last", "tried", "failed", "named", "hidden")
      for size in (1024, 1025, 1048577) for in_chunks in (False, True)],
]


@pytest.mark.parametrize("path, size, in_chunks", BODIES)
def test_body_size(pair, path, size, in_chunks):
    body = b"b" * size
    if in_chunks:
        case = Case("POST " + path, "Transfer-Encoding: chunked",
                    body=chunked(*[body[i:i + 65536] for i in range(0, size, 65536)]), end=False)
    else:
        case = Case("POST " + path, body=body, end=False)
    case.reply = OK
    pair.compare(case)


@pytest.mark.parametrize("size", [1024, 1025])
def test_body_size_after_accel(pair, size):
    want = Want("accepted-body", status=200, body=b"small", reaches=1) if size > 1024 else None
    case = Case("POST /body/sent/x", body=b"b" * size, want=want)
    case.reply = answer("200 OK", "X-Accel-Redirect: /body/small/x")
    pair.compare(case)


@pytest.mark.parametrize("kind, size", [("on", 10), ("on", 300000), ("clean", 10), ("clean", 300000),
                                        ("nobody", 20), ("levels", 10), ("levels", 300000)])
def test_body_in_file(pair, app, kind, size):
    """The body's file exists while the back end runs; `on` keeps it, `clean` removes it."""
    seen = {}

    def script(exchange, received):
        exchange.read_body(received)
        path = received.get("X-File")
        seen["path"] = path
        seen["same"] = os.path.exists(path) and open(path, "rb").read() == b"f" * size
        exchange.send(OK)
    app.scripts["/file/%s/x" % kind] = script

    def play(one):
        app.clear()
        seen.clear()
        got = fetch(one.address(), "POST /file/%s/x" % kind, body=b"f" * size)
        received = app.take(1)[0]
        path = seen["path"]
        if kind == "clean":
            wait_until(lambda: not os.path.exists(path), 5, "the file to be removed")
        folder = re.sub("[0-9]", "n", os.path.dirname(path).replace(one.prefix, "PREFIX"))
        return (got.status, seen["same"], folder,
                len(os.path.basename(path)), received.body == (b"" if kind == "nobody" else b"f" * size),
                os.path.exists(path))
    pair.both(play)


def test_body_spool_leaves_nothing(pair):
    """A buffered body that went to a file leaves no file behind."""
    for one in pair.servers.values():
        kept = glob.glob(one.prefix + "/body/*")
        fetch(one.address(), "POST /file/off/x", body=b"s" * 200000)
        wait_until(lambda: glob.glob(one.prefix + "/body/*") == kept, 5, "no new file")


def test_timeouts(pair):
    """A head, a body and an idle connection that take too long."""
    def play(one):
        seen = []
        with Wire(one.address("head"), timeout=5) as wire:
            wire.send(b"GET / HTTP/1.1\r\nHo")
            seen.append(wire.read_to_end()[:20])
        with Wire(one.address("head"), timeout=5) as wire:
            wire.ask(request("GET /"))
            seen.append(wire.closes(5))
        with Wire(one.address(), timeout=5) as wire:
            wire.send(request("POST /timeout/x", "Content-Length: 10") + b"half")
            seen.append(wire.read_to_end()[:20])
        return seen
    pair.both(play)


def test_send_timeout(pair):
    """A reader that stops reading is dropped."""
    for one in pair.servers.values():
        with Wire(one.address("send"), timeout=10, receive_buffer=4096) as wire:
            wire.send(request("GET /big.bin"))
            size = len(one.errors())
            one.wait_logged("timed out", timeout=10, since=max(0, size - 400))
