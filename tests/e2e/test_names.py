"""Names of back ends that variables make: looked up at run time, by `resolver`."""

import signal
import socket
import subprocess

import pytest

import server
from nameserver import AAAA, NameServer
from origin import Origin
from server import wait_until
from test_stream_block import WHOLE as STREAM
from wire import Wire, WireError, fetch, request

HTTP = r"""
resolver @dns@ ipv6=off;
resolver_timeout 500ms;
upstream known { server @origin.app@; }
server {
    listen @host@:@port@;
    error_page 502 /down;
    location = /down { return 200 "down"; }
    location /to/ { proxy_pass http://$arg_host:@app_port@; }
    location /uri/ { proxy_pass http://$arg_host:@app_port@/there?x=y; }
    location /group/ { proxy_pass http://$arg_host; }
    location /valid/ { resolver @dns@ ipv6=off valid=1h; proxy_pass http://$arg_host:@app_port@; }
    location /six/ { resolver @dns@; proxy_pass http://$arg_host:@app_port@; }
    location /uwsgi/ { uwsgi_pass $arg_host:@app_port@; }
    location /post/ { client_body_buffer_size 1k; proxy_pass http://$arg_host:@app_port@; }
}
"""


@pytest.fixture(scope="module")
def stand(shared):
    class Stand:
        dns = shared.keep(NameServer())
        app = shared.origin()
        server = shared.server(HTTP, names={
            "dns": dns.address, "origin.app": app.name, "app_port": app.port})
        address = server.address()
    return Stand


@pytest.fixture(autouse=True)
def calm(stand):
    stand.dns.names = {"app.test": ["127.0.0.1"]}
    stand.dns.ttl = 0
    del stand.dns.asked[:]
    stand.app.clear()


def test_name_is_resolved(stand):
    response = fetch(stand.address, "GET /to/x?host=app.test")
    assert (response.status, response.body) == (200, b"ok")
    (received,) = stand.app.take(1)
    assert received.get("host") == "app.test:%d" % stand.app.port
    assert received.target == "/to/x?host=app.test"


def test_uri_of_proxy_pass(stand):
    assert fetch(stand.address, "GET /uri/x?host=app.test").status == 200
    (received,) = stand.app.take(1)
    assert received.target == "/there?x=y"


def test_group_is_not_asked_for(stand):
    assert fetch(stand.address, "GET /group/x?host=known").status == 200
    assert not stand.dns.asked


@pytest.mark.parametrize("answer, word", [
    (3, "Host not found"), (2, "Server failure"), (None, "timed out"), ([], "could not be resolved")])
def test_name_that_has_no_address(stand, answer, word):
    """502, which error_page may answer; the log says which name, and why."""
    name = "gone%s.test" % ("none" if answer is None else answer if answer else "empty")
    stand.dns.names[name] = answer
    since = len(stand.server.read("error.log"))
    response = fetch(stand.address, "GET /to/x?host=" + name)
    assert (response.status, response.body) == (502, b"down")
    stand.server.wait_logged("%s could not be resolved" % name, since=since)
    assert word in stand.server.read("error.log")[since:]


def test_unfinished_question_of_a_client_that_left(stand):
    stand.dns.names["slow.test"] = None
    wire = Wire(stand.address)
    wire.send(request("GET /to/x?host=slow.test"))
    wait_until(lambda: ("slow.test", 1) in stand.dns.asked)
    wire.reset()
    assert fetch(stand.address, "GET /to/x?host=app.test").status == 200


def test_next_address_is_tried(stand):
    """All addresses of a name are peers: one that refuses is passed over."""
    stand.dns.names["two.test"] = ["127.0.0.77", "127.0.0.1"]
    for _ in range(4):
        assert fetch(stand.address, "GET /to/x?host=two.test").body == b"ok"


def test_address_that_moves(stand):
    """A name's new address is used as soon as the time to live is over."""
    stand.dns.names["moving.test"] = ["127.0.0.1"]
    assert fetch(stand.address, "GET /to/x?host=moving.test").body == b"ok"
    other = Origin(("127.0.0.78", stand.app.port))
    try:
        other.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"
        stand.dns.names["moving.test"] = ["127.0.0.78"]
        wait_until(lambda: fetch(stand.address, "GET /to/x?host=moving.test").body == b"other")
    finally:
        other.stop()


def test_valid_outlives_the_ttl(stand):
    for _ in range(3):
        assert fetch(stand.address, "GET /valid/x?host=app.test").status == 200
    assert len([name for name, _ in stand.dns.asked]) == 1


def test_ttl_is_kept(stand):
    stand.dns.ttl = 3600
    stand.dns.names["kept.test"] = ["127.0.0.1"]
    for _ in range(3):
        assert fetch(stand.address, "GET /to/x?host=kept.test").status == 200
    assert len(stand.dns.asked) == 1


def test_ipv6_is_asked_for_unless_off(stand):
    assert fetch(stand.address, "GET /six/x?host=app.test").status == 200
    assert ("app.test", AAAA) in stand.dns.asked
    del stand.dns.asked[:]
    assert fetch(stand.address, "GET /to/x?host=app.test").status == 200
    assert ("app.test", AAAA) not in stand.dns.asked


def test_body_waits_for_the_name(stand):
    body = b"b" * 5000
    assert fetch(stand.address, "POST /post/x?host=app.test", body=body).status == 200
    (received,) = stand.app.take(1)
    assert received.body == body


@server.needs_localhost
@pytest.mark.skipif(server.subject_is_nginx(), reason="nginx asks the system at start only")
def test_system_resolver_without_a_directive(own):
    """localhost is in /etc/hosts of every machine."""
    app = own.origin()
    one = own.server(r"""
        server { listen @host@:@port@; location / { proxy_pass http://$arg_host:@app_port@; } }""",
                     names={"app_port": app.port})
    assert fetch(one.address(), "GET /?host=localhost").status == 200


@pytest.mark.skipif(server.subject_is_nginx(), reason="needs no port of its own")
def test_uwsgi_name(stand):
    def reply(listener):
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nuwsgi")
        connection.close()
    import threading
    with socket.socket() as listener:
        listener.bind(("127.0.0.79", stand.app.port))
        listener.listen(1)
        stand.dns.names["uwsgi.test"] = ["127.0.0.79"]
        threading.Thread(target=reply, args=(listener,), daemon=True).start()
        assert fetch(stand.address, "GET /uwsgi/x?host=uwsgi.test").body == b"uwsgi"


@pytest.mark.skipif(server.subject_is_nginx(), reason="nginx closes connections that read a body")
@pytest.mark.parametrize("again", range(2))
def test_names_while_the_process_drains(own, stand, again):
    """The thread that resolves for all has nothing left to serve itself: it answers until the last one is through."""
    one = own.server(r"""
        resolver @dns@ ipv6=off;
        server { listen @host@:@port@; location / { proxy_pass http://$arg_host:@app_port@; } }""",
                     names={"dns": stand.dns.address, "app_port": stand.app.port}, threads=8)
    assert fetch(one.address(), "GET /first?host=app.test").status == 200
    with Wire(one.address()) as wire:
        wire.send(b"POST /late?host=app.test HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        wait_until(lambda: fetch(one.address(), "GET /x?host=app.test").status == 200, 5, "it serves")
        one.kick(signal.SIGQUIT)
        wait_until(lambda: not server.accepts(one.address()), 10, "the port is closed")
        wire.send(b"b")
        assert wire.read_response("POST").status == 200
    assert one.wait() == 0


# -- `resolve`: a back end that nobody knows yet -------------------------------------------------------

LATER = r"""
resolver @dns@ ipv6=off valid=1s;
resolver_timeout 500ms;
upstream later { %s server later.test:@app_port@ resolve; }
server {
    listen @host@:@port@;
    error_page 502 /down;
    location = /down { return 200 "down"; }
    location / { proxy_pass http://later; }
}
"""


@pytest.mark.skipif(server.subject_is_nginx(), reason="nginx of Debian 12 has no resolve")
@pytest.mark.parametrize("method", [
    "", "least_conn;", "ip_hash;", "hash $uri;", "hash $uri consistent;", "random;", "random two least_conn;",
    "server 127.0.0.1:1 down;"])
def test_start_without_the_back_end(own, stand, method):
    """It starts with a warning, shows its page, and finds the back end when that comes."""
    one = own.server(LATER % method, names={"dns": stand.dns.address, "app_port": stand.app.port})
    one.allow_trouble = True
    assert 'host not found in upstream "later.test:%d", it is asked for again in' % stand.app.port in one.errors()
    assert fetch(one.address(), "GET /").body == b"down"
    one.wait_logged("no live upstreams while connecting to upstream")
    stand.dns.names["later.test"] = ["127.0.0.1"]
    wait_until(lambda: fetch(one.address(), "GET /").body == b"ok", 20, "the back end was found")


@pytest.mark.skipif(server.subject_is_nginx(), reason="nginx of Debian 12 has no resolve")
def test_wait_for_the_back_end(own, stand):
    """With `queue` a request waits for the name; that there is nobody is said once."""
    one = own.server(LATER % "queue 10 timeout=60s;", names={"dns": stand.dns.address, "app_port": stand.app.port})
    one.allow_trouble = True
    with Wire(one.address()) as wire:
        wire.send(request("GET /"))
        wait_until(lambda: len([x for x in stand.dns.asked if x[0] == "later.test"]) > 1, 20, "it asks again")
        stand.dns.names["later.test"] = ["127.0.0.1"]
        assert wire.read_response("GET").body == b"ok"
    assert one.errors().count("no live upstreams") == 1


@pytest.mark.skipif(server.subject_is_nginx(), reason="nginx of Debian 12 has no resolve")
def test_stream_without_the_back_end(own, stand):
    one = own.server("""
        resolver @dns@ ipv6=off valid=1s;
        upstream later { server later.test:@app_port@ resolve; }
        server { listen @host@:@port@; proxy_pass later; }""", whole=STREAM,
                     names={"dns": stand.dns.address, "app_port": stand.app.port})
    one.allow_trouble = True

    def answered():
        try:
            return fetch(one.address(), "GET /").status == 200
        except (WireError, OSError):
            return False
    assert not answered()
    stand.dns.names["later.test"] = ["127.0.0.1"]
    wait_until(answered, 20, "the back end was found")


@pytest.mark.skipif(server.subject_is_nginx(), reason="nginx asks for names to send a signal")
def test_signals_ask_for_no_names(own, stand):
    """A health check, or the end, depends on no name server: a name that is gone stands in nobody's way."""
    one = own.server("upstream app { server 127.0.0.1:@app_port@ weight=7; server later.test:@app_port@ resolve; }"
                     "server { listen @host@:@port@; location / { proxy_pass http://app; } }",
                     names={"app_port": stand.app.port})
    one.allow_trouble = True
    config = one.config
    with open(config) as file:
        text = file.read()
    was = "127.0.0.1:%d weight=7" % stand.app.port
    assert text.count(was) == 1
    with open(config, "w") as out:
        out.write(text.replace(was, "gone.invalid"))
    for word in ("check", "quit"):
        done = subprocess.run(one.command("-s", word), capture_output=True, text=True, timeout=20)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert one.wait(10) == 0
    one.process = None
