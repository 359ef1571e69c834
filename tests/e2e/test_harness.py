"""The harness itself: it must see differences, cut answers, crashes and sanitizer reports."""

import os

import pytest

import server
from contrast import Case
from origin import answer
from server import NGINX, Server, ServerFailure, fill, wait_until
from wire import Wire, WireError, fetch, request

HTTP = """server { listen @host@:@port@; root @www@;
    location /same { return 200 "same"; }
    location /body { return 200 "body @role@"; }
    location /status { set $role @role@; if ($role = subject) { return 404; } return 403; }
    location /header { add_header X-Role @role@; return 200 "h"; }
    location /name { add_header @role@ x; return 200 "h"; }
    location /upstream { proxy_set_header X-Role @role@; proxy_pass http://@origin.app@; }
    location /close { set $role @role@; if ($role = subject) { return 444; } return 200 "ok"; } }
"""


@pytest.fixture(scope="module")
def pair(shared):
    return shared.pair(HTTP, origins={"app": shared.origin()})


def test_sees_no_difference(pair):
    pair.compare(Case("GET /same"))


@pytest.mark.parametrize("path", ["/body", "/status", "/header", "/name", "/upstream", "/close"])
def test_sees_differences(pair, path):
    with pytest.raises(pytest.fail.Exception):
        pair.compare(Case("GET " + path))


@pytest.mark.parametrize("reply", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsho",
    b"HTTP/1.1 200 OK\r\nContent-Le", b""])
def test_client_sees_cut_answers(own, reply):
    origin = own.origin()
    origin.reply = reply
    origin.close_after = True
    with pytest.raises(WireError):
        fetch(origin.bound, "GET /")


def test_client_reads_exactly(own):
    """Pipelined answers of every framing are told apart."""
    origin = own.origin()
    origin.reply = (b"HTTP/1.1 100 Continue\r\n\r\n" + answer("200 OK", body=b"one")
                    + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\nX-T: 1\r\n\r\n"
                    + b"HTTP/1.1 204 No Content\r\n\r\n" + b"HTTP/1.1 200 OK\r\n\r\nrest")
    origin.close_after = True
    with Wire(origin.bound) as wire:
        first = wire.ask(request("GET /"))
        assert first.body == b"one" and [i.status for i in first.infos] == [100]
        second = wire.read_response()
        assert second.body == b"two" and second.trailers == [("X-T", "1")]
        assert wire.read_response().status == 204
        assert wire.read_response().body == b"rest"
        assert wire.closes()


def plain(own, **options):
    one = Server(NGINX, own.folder(), "server { listen @host@:@port@; return 200 x; }", **options)
    one.allow_trouble = False
    return one


@pytest.mark.parametrize("text", [
    "==1==ERROR: AddressSanitizer: heap-use-after-free\n", "WARNING: ThreadSanitizer: data race (pid=1)\n",
    "x.c:1:2: runtime error: signed integer overflow\n", "worker process 1 exited on signal 11\n",
    "wproxy: x.c:10: f: Assertion `x' failed.\n"])
def test_reports_are_failures(own, text):
    """A report in the log or on stderr fails the test, once."""
    one = plain(own)
    with open(one.prefix + "/stderr", "a") as out:
        out.write(text)
    with pytest.raises(ServerFailure):
        one.check()
    one.stop()


def test_crash_is_a_failure(own):
    one = plain(own)
    one.kill()
    wait_until(lambda: not server.accepts(one.address()), 5, "the end of its workers")
    with pytest.raises(ServerFailure):
        one.check()
    one.process = None


def test_bad_start_is_a_failure(own):
    with pytest.raises(ServerFailure, match="bogus"):
        Server(NGINX, own.folder(), "server { listen @host@:@port@; bogus; }")


def test_fill():
    assert fill("@a@ @b@ $uri @named @unknown@", {"a": "x @b@", "b": 2}) == "x 2 2 $uri @named @unknown@"


def test_ports_are_free():
    ports = [server.free_port() for _ in range(50)]
    assert len(set(ports)) == 50


def test_names():
    assert server.program_name(NGINX) == "nginx"
    assert os.path.isabs(server.SUBJECT)
