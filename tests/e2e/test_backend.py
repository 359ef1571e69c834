"""Back ends that misbehave, die, come back, close idle connections or answer early."""

import concurrent.futures
import os
import signal
import threading
import time

import pytest

import server
from origin import OK, answer
from pool import HERE, Pool
from server import wait_until
from wire import Wire, WireError, chunked, fetch, request

HTTP = r"""
proxy_http_version 1.1;
upstream app { server @origin.app@ fail_timeout=0; keepalive 8; }
upstream pair { server @origin.app@ fail_timeout=0; server @origin.other@ fail_timeout=0; keepalive 8; }
upstream marked { server @origin.app@ max_fails=1 fail_timeout=60s; server @origin.other@ max_fails=1 fail_timeout=60s; }
upstream weighted { server @origin.app@ weight=3; server @origin.other@; }
upstream hashed { ip_hash; server @origin.app@; server @origin.other@; }
upstream least { least_conn; server @origin.app@; server @origin.other@; }
upstream backed { server @origin.app@ fail_timeout=0; server @origin.other@ backup; }
proxy_set_header Connection "";
server {
    listen @host@:@port@;
    client_max_body_size 0;
    location / { proxy_pass http://app; }
    location /pair/ { proxy_pass http://pair; }
    location /marked/ { proxy_pass http://marked; }
    location /weighted/ { proxy_pass http://weighted; }
    location /hashed/ { proxy_pass http://hashed; }
    location /least/ { proxy_pass http://least; }
    location /backed/ { proxy_pass http://backed; }
    location /up/ { proxy_request_buffering off; proxy_pass http://app; }
    location /ignore/ { proxy_ignore_client_abort on; proxy_pass http://app; }
    location /keep/ { proxy_connect_timeout 1s; proxy_pass http://app; }
}
"""


class Stand:
    """The server and its two back ends, as good as new for each test."""

    def __init__(self, shared):
        self.app, self.other = shared.origin(), shared.origin()
        self.server = shared.server(HTTP, names={
            "origin.app": self.app.name, "origin.other": self.other.name})
        self.address = self.server.address()

    def renew(self):
        for origin in (self.app, self.other):
            origin.scripts.clear()
            origin.reply = OK
            origin.close_after = False
            if origin.listener is None:
                origin.listen()
            origin.clear()


@pytest.fixture(scope="module")
def made(shared):
    return Stand(shared)


@pytest.fixture
def stand(made):
    made.renew()
    return made


# -- answers that would poison the next ------------------------------------------------------------

@pytest.mark.wproxy_only
@pytest.mark.parametrize("tail", [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", b"x", b"\r\n",
                                  b"GET / HTTP/1.1\r\n\r\n"])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_bytes_after_the_end(stand, tail, method):
    """Bytes after an answer's end never answer another request."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
    stand.app.scripts["/x"] = lambda e, r: e.send(head + (b"body" if method == "GET" else b"") + tail)
    for _ in range(5):
        got = fetch(stand.address, method + " /x")
        assert got.status == 200
        assert got.body == (b"" if method == "HEAD" else b"body")
        after = fetch(stand.address, "GET /clean")
        assert after.status == 200 and after.body == b"ok"


@pytest.mark.wproxy_only
def test_head_with_body(stand):
    """A back end that answers HEAD with a body, late: the connection is not used again."""
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

    def script(exchange, received):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        exchange.send(body)
    stand.app.scripts["/h"] = script
    for _ in range(10):
        with Wire(stand.address) as wire:
            assert wire.ask(request("HEAD /h")).status == 200
            assert wire.ask(request("GET /clean")).body == b"ok"
    seen = [r.connection for r in stand.app.take(20)]
    for at, connection in enumerate(seen):
        if at % 2 == 0:
            assert connection not in seen[at + 1:], "used again after it had served HEAD"


def test_statuses_without_body(stand):
    """204 and 304 have no body whatever their head says."""
    for status in ("204 No Content", "304 Not Modified"):
        stand.app.scripts["/n"] = lambda e, r: e.send(
            ("HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status).encode())
        with Wire(stand.address) as wire:
            assert wire.ask(request("GET /n")).status == int(status[:3])
            assert wire.ask(request("GET /clean")).body == b"ok"


@pytest.mark.wproxy_only
@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent", "wsgiserver"])
def test_head_of_real_servers(shared, kind):
    """gunicorn and gevent send a body with HEAD; the next client must not meet it."""
    pool = shared.keep(Pool(kind, shared.folder(), application="probe:application", chdir=HERE))
    one = shared.server("proxy_http_version 1.1; upstream app { server %s; keepalive 8; }"
                        "server { listen @host@:@port@; location / { proxy_set_header Connection \"\"; proxy_pass http://app; } }" % pool.name)
    wrong = 0
    for i in range(20):
        assert fetch(one.address(), "HEAD /head").status == 200
        got = fetch(one.address(), "GET /n%d" % i)
        wrong += got.status != 200 or got.body != b"probe GET /n%d" % i
    assert wrong == 0


@pytest.mark.wproxy_only
@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent", "uwsgi"])
@pytest.mark.parametrize("status", ["204%20No%20Content", "304%20Not%20Modified"])
def test_empty_answers_of_real_servers(shared, kind, status):
    """gunicorn passes on the body of a 204, too, as bytes that look like the next answer."""
    pool = shared.keep(Pool(kind, shared.folder(), application="probe:application", chdir=HERE))
    one = shared.server("upstream app { server %s; } server { listen @host@:@port@; location / { proxy_pass http://app; } }" % pool.name)
    for i in range(20):
        with Wire(one.address()) as wire:
            assert wire.ask(request("GET /empty?status=" + status)).status == int(status[:3])
            got = wire.ask(request("GET /n%d" % i))
            assert (got.status, got.body) == (200, b"probe GET /n%d" % i)


# -- connections that are kept ---------------------------------------------------------------------

def test_connections_are_reused(stand):
    """Keep-alive to back ends: 30 requests need few connections."""
    before = stand.app.connections
    for i in range(30):
        assert fetch(stand.address, "GET /r%d" % i).status == 200
    assert stand.app.connections - before <= 8


@pytest.mark.wproxy_only
def test_keepalive_by_default(shared):
    """No directive at all: HTTP/1.1 and kept connections; keepalive 0 and 1.0 bring the old way back."""
    origin = shared.origin()
    one = shared.server("""upstream app { server @origin@; }
        upstream old { server @origin@; keepalive 0; }
        server { listen @host@:@port@; location / { proxy_pass http://app; }
        location /old { proxy_http_version 1.0; proxy_pass http://old; } }""".replace("@origin@", origin.name))
    for i in range(20):
        assert fetch(one.address(), "GET /x").status == 200
    assert origin.connections <= 8
    assert {r.version for r in origin.take(20)} == {"HTTP/1.1"}
    before = origin.connections
    for i in range(5):
        assert fetch(one.address(), "GET /old").status == 200
    assert origin.connections - before == 5
    assert {(r.version, r.get("Connection")) for r in origin.take(5)} == {("HTTP/1.0", "close")}


@pytest.mark.wproxy_only
def test_kept_connections_move_on(shared):
    """A pool's processes share the load only if connections are renewed, at different times; what the file says is kept to."""
    origin = shared.origin()
    one = shared.server("""upstream app { server @origin@; keepalive 8; }
        upstream told { server @origin@; keepalive 8; keepalive_requests 1000; }
        server { listen @host@:@port@; location / { proxy_pass http://app; } location /told { proxy_pass http://told; } }
        """.replace("@origin@", origin.name))
    for path, many in (("/x", True), ("/told", False)):
        before = origin.connections
        with Wire(one.address(), 20) as wire:
            for _ in range(900):
                assert wire.ask(request("GET " + path)).status == 200
        assert origin.connections - before in (range(2, 8) if many else (1,))
        served = [r.connection for r in origin.take(900)]
        counts = sorted(served.count(number) for number in set(served))[1:]	# the last is still at work
        assert all(128 <= count <= 512 for count in counts) or not many
        assert len(set(counts)) == len(counts)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_idle_close_race(stand, method):
    """A back end that closes its idle connection as the request arrives: the request is tried again."""
    counted = {}

    def script(exchange, received):
        exchange.read_body(received)
        counted[exchange.number] = counted.get(exchange.number, 0) + 1
        if counted[exchange.number] > 1:
            exchange.close()            # a kept connection: gone without a byte
            return
        exchange.send(OK)
    stand.app.scripts["/race"] = script
    for _ in range(30):
        got = fetch(stand.address, method + " /race", body=b"b" if method == "PUT" else b"")
        assert got.status == 200, got


@pytest.mark.wproxy_only
def test_post_is_never_run_twice(stand):
    """A POST that met a dying connection is an error or an answer, and never two runs."""
    runs = []

    def script(exchange, received):
        exchange.read_body(received)
        runs.append(received.get("X-Number"))
        if len(runs) % 2:
            exchange.send(OK)
        else:
            exchange.close()
    stand.app.scripts["/post"] = script
    for i in range(20):
        got = fetch(stand.address, "POST /post", "X-Number: %d" % i, body=b"once")
        assert got.status in (200, 502)
    assert len(runs) == len(set(runs)) == 20


def test_idle_timeout_of_gunicorn(shared):
    """gunicorn closes idle connections after its --keep-alive: think times around it meet no 502."""
    pool = shared.keep(Pool("gthread", shared.folder(), application="probe:application", chdir=HERE,
                            workers=1, options=["--keep-alive", "1"]))
    one = shared.server("upstream app { server %s; keepalive 8; }"
                        "server { listen @host@:@port@; location / { proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_pass http://app; } }" % pool.name)
    for think in (0.98, 1.0, 1.01):
        assert fetch(one.address(), "GET /think").status == 200
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun >= think, 5, "the think time", step=0.002)
    assert fetch(one.address(), "GET /think").status == 200


def test_backend_said_close(stand):
    """Connection: close from the back end ends that connection, not the client's."""
    stand.app.scripts["/close"] = lambda e, r: (e.send(answer("200 OK", "Connection: close", body=b"c")), e.finish())
    with Wire(stand.address) as wire:
        for _ in range(5):
            got = wire.ask(request("GET /close"))
            assert got.body == b"c" and got.persistent


# -- early answers ---------------------------------------------------------------------------------

@pytest.mark.parametrize("place", ["/up/early", "/early"])
def test_early_answer_is_heard(stand, place):
    """An answer to a large upload before it is read, then a reset: heard every time."""
    rounds = 40 if not server.subject_is_nginx() else 3

    def script(exchange, received):
        exchange.send(answer("403 Forbidden", "Connection: close", body=b"refused unread"))
        exchange.socket.close()       # unread bytes make this a reset
        exchange.open = False
    stand.app.scripts[place] = script
    heard = 0
    for _ in range(rounds):
        with Wire(stand.address) as wire:
            body = b"u" * 2000000
            sender = threading.Thread(target=wire.try_send, args=(
                request("POST " + place, "Content-Length: %d" % len(body), body=body),))
            sender.start()
            try:
                got = wire.read_response("POST")
                heard += got.status == 403 and got.body == b"refused unread"
            except WireError:
                pass
            wire.close()
            sender.join()
    assert heard == rounds or server.subject_is_nginx(), "%d of %d" % (heard, rounds)


@pytest.mark.parametrize("kind", ["sync", "gthread"])
@pytest.mark.parametrize("place", ["on", "off"])
def test_gunicorn_refuses_unread(shared, kind, place):
    """The same with gunicorn: 100 of 100."""
    pool = shared.keep(Pool(kind, shared.folder(), application="probe:application", chdir=HERE))
    one = shared.server("server { listen @host@:@port@; client_max_body_size 0; location / {"
                        "proxy_request_buffering %s; proxy_pass http://%s; } }" % (place, pool.name))
    rounds = 100 if not server.subject_is_nginx() else 3
    heard = []
    for _ in range(rounds):
        with Wire(one.address()) as wire:
            sent = wire.try_send(request("POST /refuse", body=b"u" * 1000000))
            try:
                heard.append(wire.read_response("POST").status)
            except WireError as error:
                heard.append(str(error))
    assert heard == [403] * rounds or server.subject_is_nginx(), {h: heard.count(h) for h in heard}


def test_early_answer_keeps_framing(stand):
    """After an early answer no byte of the unread upload is taken for a request."""
    stand.app.scripts["/up/e"] = lambda e, r: (e.send(answer("401 Unauthorized", body=b"no")), e.finish())
    with Wire(stand.address) as wire:
        wire.send(request("POST /up/e", "Content-Length: 100000") + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.read_response("POST").status == 401
        wire.try_send(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
    fetch(stand.address, "GET /last")
    assert "/smuggled" not in [r.target for r in stand.app.take()]


# -- clients that leave ----------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_leaves(stand, how):
    """A client that leaves frees its back-end connection within a second, and is logged with 499."""
    arrived, gone = threading.Event(), threading.Event()

    def script(exchange, received):
        exchange.read_body(received)
        arrived.set()
        if exchange.gone(3):
            gone.set()
        exchange.close()
    stand.app.scripts["/leave"] = script
    wire = Wire(stand.address)
    wire.send(request("GET /leave"))
    assert arrived.wait(5)
    wire.close() if how == "close" else wire.reset()
    assert gone.wait(1.0), "the back end's connection is still open"


def test_client_abort_ignored(stand):
    """proxy_ignore_client_abort on: the back end may finish."""
    arrived, gone, may_end = threading.Event(), threading.Event(), threading.Event()

    def script(exchange, received):
        arrived.set()
        if exchange.gone(0.7):
            gone.set()
        exchange.send(OK)
        may_end.set()
    stand.app.scripts["/ignore/x"] = script
    wire = Wire(stand.address)
    wire.send(request("GET /ignore/x"))
    assert arrived.wait(5)
    wire.close()
    assert may_end.wait(5) and not gone.is_set()


ANSWERS_TO_NOBODY = {
    "a file": b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: /file\r\nContent-Length: 0\r\n\r\n",
    "a text": b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: @text\r\nContent-Length: 0\r\n\r\n",
    "a page": b"nonsense\r\n\r\n",
    "its own": OK,
}


@pytest.mark.parametrize("what", ANSWERS_TO_NOBODY)
def test_client_abort_ignored_ends(own, what):
    """What a back end makes of a request whose client has left ends too: nothing of it stays."""
    app = own.origin()
    arrived, left = threading.Event(), threading.Event()

    def script(exchange, received):
        arrived.set()
        left.wait(5)
        exchange.send(ANSWERS_TO_NOBODY[what])
    app.scripts["/x"] = script
    one = own.server(r"""
        access_log requests.log;
        server {
            listen @host@:@port@;
            root @www@;
            error_page 502 /a.txt;
            location = /x { proxy_ignore_client_abort on; proxy_pass http://%s; }
            location = /file { alias @www@/a.txt; }
            location @text { return 200 text; }
        }""" % app.name, level="info")
    with Wire(one.address()) as wire:
        wire.send(request("GET /x"))
        assert arrived.wait(5)
        wire.reset()
    wait_until(lambda: fetch(one.address(), "GET /a.txt").status == 200, 5, "a turn")
    left.set()
    wait_until(lambda: "GET /x " in one.read("requests.log"), 5, "the request is over")
    one.kick(signal.SIGQUIT)
    assert one.wait() == 0


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_client_abort_ignored_in_download(own, buffering):
    """The same in the middle of a long answer that waits for the client: it is read to its end."""
    app = own.origin()
    sent, through = [], threading.Event()

    def script(exchange, received):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n")
        for _ in range(400):
            if not exchange.send(b"x" * 100000):
                return
            sent.append(time.monotonic())
        through.set()
    app.scripts["/x"] = script
    one = own.server(r"""
        server {
            listen @host@:@port@;
            proxy_ignore_client_abort on;
            proxy_buffering %s;
            proxy_max_temp_file_size 0;
            location / { proxy_pass http://%s; }
        }""" % (buffering, app.name))
    with Wire(one.address()) as wire:
        wire.send(request("GET /x"))
        wait_until(lambda: sent and time.monotonic() - sent[-1] > 0.4, 5, "the back end waits")
        assert not through.is_set()
        wire.reset()
    assert through.wait(5), "%d of 400 parts were sent" % len(sent)


def test_client_leaves_in_download(stand):
    """A client that leaves in mid-download ends the back end's sending."""
    over = threading.Event()

    def script(exchange, received):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while exchange.send(b"d" * 65536):
            pass
        over.set()
        exchange.close()
    stand.app.scripts["/keep/dl"] = script
    wire = Wire(stand.address)
    wire.send(request("GET /keep/dl"))
    wire.read_head()
    wire.read_exactly(100000)
    wire.reset()
    assert over.wait(5)


def test_client_leaves_in_upload(stand):
    """A client that leaves in mid-upload: the back end never takes the part for the whole."""
    seen = []

    def script(exchange, received):
        exchange.read_body(received)
        seen.append(received)
        exchange.send(OK)
    stand.app.scripts["/up/part"] = script
    for framing in ("Content-Length: 100", "Transfer-Encoding: chunked"):
        wire = Wire(stand.address)
        wire.send(request("POST /up/part", framing) + b"a\r\n0123456789\r\n")
        wait_until(lambda: any(r.target == "/up/part" for r in stand.app.requests), 5, "the request arrives")
        wire.close()
        wait_until(lambda: seen, 5, "the back end is told")
        assert not seen.pop().complete
        stand.app.clear()


# -- failures and balancing ------------------------------------------------------------------------

@pytest.mark.wproxy_only
def test_one_of_two_dies(stand):
    """While one back end lives, no idempotent request fails."""
    for victim in (stand.app, stand.other):
        victim.refuse()
        for i in range(20):
            assert fetch(stand.address, "GET /pair/%d" % i).status == 200
        victim.listen()
    for i in range(6):
        assert fetch(stand.address, "PUT /pair/%d" % i, body=b"x").status == 200


@pytest.mark.wproxy_only
def test_all_marked_failed(stand):
    """D8: peers all marked failed are tried as if none were."""
    stand.app.refuse()
    stand.other.refuse()
    for _ in range(6):
        assert fetch(stand.address, "GET /marked/x").status == 502
    stand.other.listen()
    for _ in range(10):
        assert fetch(stand.address, "GET /marked/x").status == 200


@pytest.mark.wproxy_only
def test_dies_under_load(stand):
    """Back ends killed and brought back one after the other, under load: no client sees it."""
    stop = threading.Event()
    failures = []

    def visit(number):
        count = 0
        while not stop.is_set():
            try:
                with Wire(stand.address) as wire:
                    for _ in range(10):
                        got = wire.ask(request("GET /pair/%d" % number))
                        if got.status != 200:
                            failures.append(got.status)
                        count += 1
                        if not got.persistent:
                            break
            except (WireError, OSError) as error:
                failures.append(repr(error))
        return count
    with concurrent.futures.ThreadPoolExecutor(8) as workers:
        visits = [workers.submit(visit, i) for i in range(8)]
        for _ in range(6):
            for origin in (stand.app, stand.other):
                origin.refuse()
                seen = len(origin.requests)
                begun = time.monotonic()
                wait_until(lambda: time.monotonic() - begun > 0.1, 5, "a while down")
                origin.listen()
                # Every visitor: none is between a refusal here and its connection to the other, which goes next.
                wait_until(lambda: len(origin.requests) > seen + 8, 5, "it is used again")
        stop.set()
        total = sum(v.result() for v in visits)
    assert not failures, (len(failures), failures[:5])
    assert total > 200


@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_real_pool_restarts(shared, kind):
    """gunicorn stopped, started again, killed: the proxy needs no restart."""
    folder = shared.folder()
    pool = shared.keep(Pool(kind, folder, application="probe:application", chdir=HERE))
    one = shared.server("upstream app { server %s fail_timeout=0; }"
                        "server { listen @host@:@port@; location / { proxy_pass http://app; } }" % pool.name)
    for end in (pool.kill, pool.kill):
        assert fetch(one.address(), "GET /up").status == 200
        end()
        assert fetch(one.address(), "GET /down").status == 502
        pool.start()
        assert fetch(one.address(), "GET /up").status == 200


def test_weights(stand):
    for _ in range(40):
        fetch(stand.address, "GET /weighted/x")
    a, b = len(stand.app.take()), len(stand.other.take())
    assert (a, b) == (30, 10), "exact over all threads"


def test_round_robin_is_exact(stand):
    for _ in range(20):
        fetch(stand.address, "GET /pair/x")
    assert len(stand.app.take()) == len(stand.other.take()) == 10


def test_ip_hash(stand):
    for _ in range(10):
        fetch(stand.address, "GET /hashed/x")
    assert sorted((len(stand.app.take()), len(stand.other.take()))) == [0, 10]


def test_least_conn(stand):
    """Ten slow requests at once spread five and five."""
    gate = threading.Event()

    def script(exchange, received):
        gate.wait(10)
        exchange.send(OK)
    for origin in (stand.app, stand.other):
        origin.scripts["/least/x"] = script
    wires = [Wire(stand.address) for _ in range(10)]
    for i, wire in enumerate(wires):
        wire.send(request("GET /least/x"))
        wait_until(lambda: len(stand.app.requests) + len(stand.other.requests) == i + 1, 5, "it arrived")
    assert len(stand.app.take()) == len(stand.other.take()) == 5
    gate.set()
    for wire in wires:
        assert wire.read_response().status == 200
        wire.close()


def test_backup(stand):
    assert fetch(stand.address, "GET /backed/x").status == 200
    assert len(stand.app.take(1)) == 1 and not stand.other.take()
    stand.app.refuse()
    assert fetch(stand.address, "GET /backed/x").status == 200
    assert len(stand.other.take(1)) == 1


def test_smuggling_towards_the_back_end(stand):
    """What a client sends in a body never reaches the back end as a request of its own."""
    inner = b"GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
    for data in (request("POST /o", body=inner),
                 request("POST /o", "Transfer-Encoding: chunked", body=chunked(inner)),
                 request("GET /o", body=inner)):
        with Wire(stand.address) as wire:
            assert wire.ask(data).status == 200
            assert wire.ask(request("GET /after")).status == 200
    assert [r.target for r in stand.app.take(6)] == ["/o", "/after"] * 3


def test_header_injection(stand):
    """CR and LF from a decoded path or a variable never make a header line at the back end."""
    for target in ("/pair/%0d%0aX-Injected:%20yes", "/pair/a%20HTTP/1.1%0d%0aHost:%20evil%0d%0a%0d%0a"):
        fetch(stand.address, "GET " + target)
    for received in stand.app.take() + stand.other.take():
        assert received.get("X-Injected") is None
        assert b"evil" not in received.head.split(b"\r\n", 1)[1]


def test_slow_bodies_do_not_hold_a_backend(stand):
    """Twenty slow uploads hold no back-end connection (request buffering)."""
    wires = [Wire(stand.address) for _ in range(20)]
    try:
        for wire in wires:
            wire.send(request("POST /slow-up", "Content-Length: 100") + b"part")
        before = stand.app.connections
        assert fetch(stand.address, "GET /quick").status == 200
        assert stand.app.connections - before <= 1
        assert [r.target for r in stand.app.take()] == ["/quick"]
    finally:
        for wire in wires:
            wire.close()


def test_unix_socket_missing(shared):
    """The log line for a missing socket, which people search for."""
    folder = shared.folder()
    one = shared.server("server { listen @host@:@port@; location / { proxy_pass http://unix:%s/no.sock:/; } }" % folder)
    assert fetch(one.address(), "GET /x").status == 502
    one.wait_logged("connect() to unix:%s/no.sock failed (2: No such file or directory) while connecting to upstream" % folder)
    assert os.path.exists(one.log)
