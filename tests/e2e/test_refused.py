"""Error pages of requests that broke the rules, and other ways to reach what "cannot happen"."""

import pytest

import server
from wire import Wire, WireError, chunked, request

pytestmark = pytest.mark.skipif(server.subject_is_nginx(), reason="what wproxy passes on is stricter")

HTTP = r"""
upstream app { server @origin.app@; keepalive 4; }
override_charset on;
charset utf-8;
charset_types *;
server {
    listen @host@:@port@;
    root @www@;
    client_max_body_size 100;
    error_page 400 405 414 494 @page;
    location @page { proxy_pass http://app; }
    location / { proxy_pass http://app; }
    location /limited { error_page 413 /page413; proxy_pass http://app; }
    location /page413 { proxy_pass http://app; }
    location /streamed { proxy_request_buffering off; proxy_pass http://app; }
    location /streamed/page { proxy_request_buffering off; error_page 400 413 /page413; proxy_pass http://app; }
    location /fallback { proxy_request_buffering off; error_page 502 @page; proxy_pass http://127.0.0.1:@nobody@; }
    location /tried/200 { try_files $uri =200; }
    location /tried/204 { try_files $uri =204; }
    location /tried/99 { try_files $uri =99; }
    location /fast {
        limit_rate 4611686018427387904;
        limit_rate_after 9223372036854775807;
        root @www@;
        rewrite ^ /big.bin break;
    }
}
"""


@pytest.fixture(scope="module")
def stand(shared):
    class Stand:
        app = shared.origin()
        server = shared.server(HTTP, threads=1, names={
            "origin.app": app.name, "nobody": server.free_port()})
        address = server.address()
    return Stand


@pytest.fixture(autouse=True)
def calm(stand):
    stand.app.scripts.clear()
    stand.app.clear()


def ask(stand, *pieces):
    with Wire(stand.address) as wire:
        for piece in pieces:
            wire.try_send(piece)
        return wire.read_response()


LONG = b"a" * 20000


@pytest.mark.parametrize("status, raw", [
    (400, b"POST /x?y HTTP/1.1\r\nHost: h\r\nX-Evil: 1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc"),
    (400, b"GET\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nX-Evil: 1\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost : h\r\nX-Evil: 1\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\nX-Evil: 1\r\n\r\n"),
    (400, b"GET /../../x HTTP/1.1\r\nHost: h\r\nX-Evil: 1\r\n\r\n"),
    (400, b"GET /%00 HTTP/1.1\r\nHost: h\r\nX-Evil: 1\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: h\r\nX-Evil: " + LONG + b"\r\n\r\n"),
    (414, b"GET /" + LONG + b" HTTP/1.1\r\nHost: h\r\n\r\n"),
    (405, b"TRACE /x HTTP/1.1\r\nHost: h\r\nX-Evil: 1\r\nContent-Length: 3\r\n\r\nabc"),
])
def test_refused_head_leaves_nothing(stand, status, raw):
    """A named error page is asked with GET, for a path that was understood, without the client's fields."""
    response = ask(stand, raw)
    assert response.status == status
    assert response.body == b"ok"
    assert response.get("connection") == "close"
    (received,) = stand.app.take(1)
    assert received.method == "GET" and received.target in ("/", "/x", "/x?y")
    assert [name for name, _ in received.headers] == ["Host"]


@pytest.mark.parametrize("pieces", [
    (chunked(b"a" * 200),),
    (b"c8\r\n" + b"a" * 10, b"a" * 190 + b"\r\n", b"0\r\n\r\n"),
])
def test_page_of_a_body_that_was_too_large(stand, pieces):
    """What was read of it is not taken for the whole, and not read again."""
    head = b"POST /limited HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    response = ask(stand, head, *pieces)
    assert (response.status, response.body) == (413, b"ok")
    (received,) = stand.app.take(1)
    assert (received.method, received.target, received.body) == ("GET", "/page413", b"")
    assert received.get("content-length") is None


def test_page_of_a_length_that_was_too_large(stand):
    """The page's own location does not judge the length again."""
    response = ask(stand, request("POST /limited", body=b"a" * 200))
    assert (response.status, response.body) == (413, b"ok")


def test_streamed_body_over_the_limit(stand):
    """client_max_body_size holds for a streamed body of unknown length, too."""
    response = ask(stand, b"POST /streamed HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
                   b"60\r\n" + b"a" * 96 + b"\r\n", b"60\r\n" + b"a" * 96 + b"\r\n0\r\n\r\n")
    assert response.status == 413
    assert not any(received.complete for received in stand.app.take())


@pytest.mark.parametrize("target, body", [("/streamed", None), ("/streamed/page", b"ok")])
def test_malformed_chunk_in_the_first_segment(stand, target, body):
    """The back end's kept connection is at hand, so the body fails while the content step runs."""
    with Wire(stand.address) as wire:
        wire.send(request("GET /warm"))
        assert wire.read_response().status == 200
        wire.send(b"POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" %
                  target.encode())
        response = wire.read_response()
    assert response.status == 400
    if body is not None:
        assert response.body == body


def test_streamed_body_is_not_cut_for_a_fallback(stand):
    """Nothing was sent to the dead back end: the next location has the body whole."""
    response = ask(stand, request("POST /fallback", body=b"whole"))
    assert response.status == 502
    (received,) = stand.app.take(1)
    assert (received.method, received.body) == ("POST", b"whole")


@pytest.mark.parametrize("status", [200, 204])
def test_try_files_with_a_status_that_is_no_error(stand, status):
    response = ask(stand, request("GET /tried/%d" % status))
    assert (response.status, response.body) == (status, b"")


def test_try_files_with_no_status_at_all(stand):
    with pytest.raises(WireError):
        ask(stand, request("GET /tried/99"))


def test_content_type_that_is_only_a_parameter(stand):
    def reply(exchange, received):
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: charset=foo\r\nContent-Length: 2\r\n\r\nok")
    stand.app.scripts["/type"] = reply
    response = ask(stand, request("GET /type"))
    assert (response.status, response.get("content-type")) == (200, "charset=foo")


def test_rate_beyond_counting(stand):
    """A rate times some seconds does not wrap around."""
    response = ask(stand, request("GET /fast"))
    assert len(response.body) == 3 * 1024 * 1024
