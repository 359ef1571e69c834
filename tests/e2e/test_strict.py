"""Requests as an attacker writes them: what is refused, what is dropped, what can be read."""

import os
import re
import socket
import threading
import time

import pytest

from origin import OK, answer
from server import wait_until
from wire import Wire, WireError, chunked, fetch, request

HTTP = r"""
upstream app { server @origin.app@ fail_timeout=0; keepalive 8; }
map $uri $to_named { default $uri; }
log_format named '$remote_addr "$request" "$http_x" "$uri" "$args" $status';
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
proxy_set_header Host $http_host;
server {
    listen @host@:@port@;
    server_name example.test;
    root @www@;
    access_log @prefix@/open/access.log named;
    client_max_body_size 1m;
    location / { proxy_pass http://app; }
    location /static/ { alias @aliased@/static/; }
    location /return { return 200 "returned"; }
    location /own/ {
        proxy_set_header Host conf.example;
        proxy_set_header Cookie conf=1;
        proxy_set_header X-Own own;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Authorization "Basic conf";
        proxy_pass http://app;
    }
    location /up/ { proxy_request_buffering off; proxy_pass http://app; }
    location /small/ { client_max_body_size 100; proxy_pass http://app; }
    location /up/small/ { client_max_body_size 100; proxy_request_buffering off; proxy_pass http://app; }
    location /ws/ {
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
        proxy_pass http://app;
    }
    location /admin { deny all; }
    location ~ \.secret$ { deny all; }
    location /inject/return { return 302 $uri; }
    location /inject/return-args { return 302 /x?$arg_a; }
    location /inject/text { return 200 $uri; }
    location /inject/add { add_header X-Uri $uri always; return 200 "x"; }
    location /inject/trailer { add_header X-Ok yes; add_header Location $uri; return 200 "x"; }
    location /inject/rewrite { rewrite ^/inject/rewrite(.*)$ /moved$1 redirect; }
    location /inject/absolute { rewrite ^/inject/absolute(.*)$ http://example.test$1 permanent; }
    location /inject/header { proxy_set_header X-Uri $uri; proxy_pass http://app; }
    location /inject/host { proxy_set_header Host $uri; proxy_pass http://app; }
    location /inject/method { proxy_method $uri; proxy_pass http://app; }
    location /inject/pass { proxy_pass http://app$uri; }
    location /inject/break { rewrite ^/inject/break(.*)$ /b$1 break; proxy_pass http://app; }
    location /inject/redirect { proxy_redirect http://elsewhere/ $uri; proxy_pass http://app; }
    location /inject/cookie { proxy_cookie_path / $uri; proxy_pass http://app; }
    location /inject/expires { expires $uri; return 200 "x"; }
    location /inject/realm { satisfy any; auth_basic $uri; auth_basic_user_file @prefix@/none; return 200 "x"; }
    location /inject/type { default_type text/plain; charset $uri; charset_types *; return 200 "x"; }
    location ~ ^/inject/to/([^/]+)/ { proxy_pass http://$1/; }
}
server {
    listen @host@:@port@;
    server_name other.test;
    location / { return 200 "other server"; }
}
server {
    listen @host@:@port.pages@;
    server_name _;
    error_page 400 405 413 414 494 501 505 @app;
    location / { proxy_pass http://app; }
    location /small { client_max_body_size 10; proxy_pass http://app; }
    location @app { proxy_request_buffering off; proxy_pass http://app; }
}
server {
    listen @host@:@port.odd@;
    underscores_in_headers on;
    ignore_invalid_headers off;
    location / {
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Remote-User "";
        proxy_pass http://app;
    }
}
server {
    listen @host@:@port.wide@;
    client_header_buffer_size 24k;
    large_client_header_buffers 4 8k;
    location / { return 200 "wide"; }
}
"""

HOST = b"Host: example.test\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: example.test\r\n\r\n"


class Stand:
    def __init__(self, shared):
        self.app = shared.origin()
        self.server = shared.server(HTTP, names={"origin.app": self.app.name}, ports={
            "main": None, "pages": None, "odd": None, "wide": None})
        self.address = self.server.address()
        self.pages = self.server.address("pages")
        self.odd = self.server.address("odd")
        self.wide = self.server.address("wide")

    def renew(self):
        self.app.scripts.clear()
        self.app.reply = OK
        self.app.clear()
        return self

    def seen(self):
        """What reached the back end until now, a last request of our own apart."""
        assert fetch(self.address, "GET /after-all").status == 200
        return [r for r in self.app.take() if r.target != "/after-all"]


@pytest.fixture(scope="module")
def made(shared):
    return Stand(shared)


@pytest.fixture
def stand(made):
    return made.renew()


def refused(stand, data, status=400, address=None):
    """One answer, then the end; no byte goes on, and what follows is not a request."""
    statuses = status if isinstance(status, tuple) else (status,)
    with Wire(address or stand.address, 5) as wire:
        wire.try_send(data + SMUGGLED)
        got = wire.read_response()
        assert got.status in statuses, (got, got.body)
        assert not got.persistent
        assert wire.closes(), wire.buffer
        assert not wire.was_reset
    nothing_passed(stand, address)


def nothing_passed(stand, address=None):
    """Nothing reached the back end; where it has the error page, a GET for that without a field of the client's."""
    for received in stand.seen():
        assert address == stand.pages, received
        assert received.method == "GET" and "smuggled" not in received.target and received.body == b""
        assert not [n for n, _ in received.headers if n.lower() not in ("host", "connection", "x-forwarded-for", "x-forwarded-proto")]


# -- the request line -------------------------------------------------------------------------------

LINES = {
    "empty target": b"GET  HTTP/1.1", "no version word": b"GET /x HTTP", "version junk": b"GET /x HTTP/1.1x",
    "version long": b"GET /x HTTP/1.10", "version 01": b"GET /x HTTP/01.1", "version 0.9": b"GET /x HTTP/0.9",
    "version -1": b"GET /x HTTP/1.-1", "version space": b"GET /x HTTP/ 1.1", "three words more": b"GET /x y HTTP/1.1",
    "lower method": b"get /x HTTP/1.1", "method with digit": b"GE7 /x HTTP/1.1", "method colon": b"GET: /x HTTP/1.1",
    "method quote": b'"GET" /x HTTP/1.1', "vertical tab": b"GET\x0b/x HTTP/1.1", "form feed": b"GET /x\x0cHTTP/1.1",
    "no-break space": b"GET\xa0/x HTTP/1.1", "cr in method": b"G\rET /x HTTP/1.1", "cr before version": b"GET /x\r HTTP/1.1",
    "two crs": b"GET /x HTTP/1.1\r", "nul at end": b"GET /x HTTP/1.1\0", "tab at end": b"GET /x HTTP/1.1\t",
    "encoded nul": b"GET /x%00 HTTP/1.1", "encoded nul in the middle": b"GET /x%00.txt HTTP/1.1",
    "bad escape": b"GET /%zz HTTP/1.1", "short escape": b"GET /x% HTTP/1.1", "shorter escape": b"GET /x%2 HTTP/1.1",
    "fragment": b"GET /public#/../admin HTTP/1.1", "fragment after query": b"GET /x?a#b HTTP/1.1",
    "only fragment": b"GET #x HTTP/1.1", "backslash target": b"GET \\x HTTP/1.1", "dot target": b"GET ./x HTTP/1.1",
    "query target": b"GET ?x HTTP/1.1", "authority form": b"GET example.test:80 HTTP/1.1",
    "asterisk": b"GET * HTTP/1.1", "asterisk and more": b"OPTIONS *x HTTP/1.1",
    "above the root": b"GET /../x HTTP/1.1", "above the root encoded": b"GET /%2e%2e/x HTTP/1.1",
    "above the root half encoded": b"GET /.%2e%2fx HTTP/1.1", "above the root deep": b"GET /a/../../x HTTP/1.1",
    "above the root slashes": b"GET //..//../x HTTP/1.1", "dotdot alone": b"GET /.. HTTP/1.1",
    "scheme ftp": b"GET ftp://example.test/x HTTP/1.1", "scheme alone": b"GET http: HTTP/1.1",
    "no authority": b"GET http:///x HTTP/1.1", "one slash": b"GET http:/example.test/x HTTP/1.1",
    "userinfo": b"GET http://user@example.test/x HTTP/1.1", "userinfo pair": b"GET http://a:b@example.test/x HTTP/1.1",
    "absolute bad port": b"GET http://example.test:8x/x HTTP/1.1", "absolute big port": b"GET http://example.test:99999/ HTTP/1.1",
    "absolute space": b"GET http://exam ple.test/ HTTP/1.1", "absolute fragment": b"GET http://example.test#x HTTP/1.1",
    "absolute backslash": b"GET http://example.test\\@evil/ HTTP/1.1", "absolute empty port userinfo": b"GET http://:@/ HTTP/1.1",
}


@pytest.mark.wproxy_only
@pytest.mark.parametrize("name", LINES)
def test_request_line(stand, name):
    refused(stand, LINES[name] + b"\r\n" + HOST + b"\r\n")


@pytest.mark.parametrize("data,status", [
    (b"HEAD /x HTTP/1.1\r\n\r\n", 400), (b"HEAD /x HTTP/1.1\r\n" + HOST + b"X y\r\n\r\n", 400), (b"HEAD /x y HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"HEAD /%00 HTTP/1.1\r\n" + HOST + b"\r\n", 400), (b"HEAD /x HTTP/2.0\r\n" + HOST + b"\r\n", 505), (b"HEAD /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    (b"HEAD /x HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 9000 + b"\r\n\r\n", 400), (b"HEAD /x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: x\r\n\r\n", 501)],
    ids=["host", "field", "line", "nul", "version", "long", "large", "coding"])
@pytest.mark.parametrize("port", ["main", "pages"])
def test_refused_head(stand, data, status, port):
    """A refusal has no body where the method is HEAD, whatever is wrong with the rest."""
    with Wire(stand.server.address(port), 5) as wire:
        wire.try_send(data)
        assert wire.read_response("HEAD").status == status
        assert wire.closes(), wire.buffer
    stand.app.clear()


@pytest.mark.wproxy_only
@pytest.mark.parametrize("line", [b"CONNECT example.test:443", b"CONNECT /x", b"CONNECT http://example.test/",
                                  b"TRACE /x", b"TRACE *", b"TRACE http://example.test/"])
@pytest.mark.parametrize("version", [b" HTTP/1.1", b" HTTP/1.0"])
@pytest.mark.parametrize("port", ["main", "pages"])
def test_connect_and_trace(stand, line, version, port):
    refused(stand, line + version + b"\r\n" + HOST + b"\r\n", (400, 405), stand.server.address(port))


def test_absolute_form(stand):
    """The target's authority is the Host, for the server, the back end and the log."""
    for target, path in (("http://other.test/x", None), ("http://example.test/a%2Fb?c=d", "/a%2Fb?c=d"),
                         ("http://example.test", "/"), ("http://example.test?c=d", "/?c=d"),
                         ("HTTP://EXAMPLE.test/x", "/x"), ("http://example.test:81/x", "/x"),
                         ("https://example.test/x", "/x")):
        got = fetch(stand.address, "GET " + target, host="evil.test")
        assert got.status == 200
        if path is None:
            assert got.body == b"other server"
            continue
        received, = stand.app.take(1)
        assert received.target == path
        assert received.all("Host") == [re.split("[/?]", target.split("://")[1])[0]]


# -- Host -------------------------------------------------------------------------------------------

HOSTS = {
    "missing": b"", "empty": b"Host:\r\n", "blank": b"Host:   \r\n", "twice": HOST + HOST,
    "twice differing": HOST + b"Host: evil\r\n", "list": b"Host: a, b\r\n", "space": b"Host: a b\r\n",
    "userinfo": b"Host: user@example.test\r\n", "path": b"Host: example.test/x\r\n", "query": b"Host: example.test?x\r\n",
    "fragment": b"Host: example.test#x\r\n", "scheme": b"Host: http://example.test\r\n",
    "port letters": b"Host: example.test:http\r\n", "port sign": b"Host: example.test:+80\r\n",
    "port big": b"Host: example.test:65536\r\n", "port long": b"Host: example.test:000080\r\n",
    "two ports": b"Host: example.test:80:80\r\n", "only port": b"Host: :80\r\n", "port space": b"Host: example.test: 80\r\n",
    "bare ipv6": b"Host: ::1\r\n", "open bracket": b"Host: [::1\r\n", "close bracket": b"Host: ::1]\r\n",
    "empty brackets": b"Host: []\r\n", "name in brackets": b"Host: [example]\r\n", "zone": b"Host: [fe80::1%25lo]\r\n",
    "after bracket": b"Host: [::1]x\r\n", "ipv6 junk": b"Host: [:::1]\r\n", "ipv6 long": b"Host: [1:2:3:4:5:6:7:8:9]\r\n",
    "quote": b'Host: "example.test"\r\n', "angle": b"Host: <x>\r\n", "backslash": b"Host: a\\b\r\n",
    "two dots": b"Host: a..b\r\n", "dot": b"Host: .\r\n", "escape": b"Host: %65xample.test\r\n", "bad escape": b"Host: %zz\r\n",
    "nul": b"Host: a\0b\r\n", "control": b"Host: a\x01\r\n", "bare cr": b"Host: a\rb\r\n", "pipe": b"Host: a|b\r\n",
    "with fold": b"Host: example.test\r\n b\r\n", "caret": b"Host: a^b\r\n", "braces": b"Host: ${x}\r\n", "tab": b"Host: a\tb\r\n",
}


@pytest.mark.wproxy_only
@pytest.mark.parametrize("name", HOSTS)
def test_host(stand, name):
    refused(stand, b"GET /x HTTP/1.1\r\n" + HOSTS[name] + b"\r\n")


@pytest.mark.parametrize("host", ["example.test", "EXAMPLE.test.", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8080",
                                  "[::ffff:1.2.3.4]:1", "a-b_c.d", "example.test:", "xn--bcher-kva.example", "a", "1", "a~b!c$d"])
def test_good_host(stand, host):
    assert fetch(stand.address, "GET /x", host=host).status == 200
    assert stand.app.take(1)[0].all("Host") == [host]


# -- framing ----------------------------------------------------------------------------------------

def post(*lines, body=b"hello", path=b"/x", version=b"1.1"):
    return (b"POST " + path + b" HTTP/" + version + b"\r\n" + HOST
            + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body)


TE = b"Transfer-Encoding: chunked"
EMPTY = b"0\r\n\r\n"
FRAMINGS = {
    "conflict": (post(b"Content-Length: 5", b"Content-Length: 6"), 400),
    "conflict far apart": (post(b"Content-Length: 5", b"X: y", b"content-length: 0"), 400),
    "equal twice": (post(b"Content-Length: 5", b"Content-Length: 5"), 400),
    "list": (post(b"Content-Length: 5,5"), 400), "plus": (post(b"Content-Length: +5"), 400),
    "minus": (post(b"Content-Length: -5"), 400), "minus zero": (post(b"Content-Length: -0"), 400),
    "hex": (post(b"Content-Length: 0x5"), 400), "octal sign": (post(b"Content-Length: 0o5"), 400),
    "exponent": (post(b"Content-Length: 5e0"), 400), "underscore digits": (post(b"Content-Length: 1_0"), 400),
    "two numbers": (post(b"Content-Length: 5 5"), 400), "semicolon": (post(b"Content-Length: 5;a"), 400),
    "empty": (post(b"Content-Length:"), 400), "overflow": (post(b"Content-Length: 18446744073709551621"), 400),
    "2^63": (post(b"Content-Length: 9223372036854775808"), 400), "forty": (post(b"Content-Length: " + b"9" * 40), 400),
    "full-width": (post("Content-Length: \uff15".encode()), 400), "vt": (post(b"Content-Length: \x0b5"), 400),
    "nul": (post(b"Content-Length: 5\0"), 400), "space colon": (post(b"Content-Length : 5"), 400),
    "fold": (post(b"Content-Length:\r\n 5"), 400), "both": (post(b"Content-Length: 5", TE, body=EMPTY), 400),
    "both zero": (post(b"Content-Length: 0", TE, body=EMPTY), 400), "both reversed": (post(TE, b"Content-Length: 5", body=EMPTY), 400),
    "te 1.0": (post(TE, body=EMPTY, version=b"1.0"), 400), "te twice": (post(TE, TE, body=EMPTY), 400),
    "te gzip then chunked": (post(b"Transfer-Encoding: gzip", TE, body=EMPTY), 400),
    "te list": (post(b"Transfer-Encoding: gzip, chunked", body=EMPTY), 501),
    "te identity": (post(b"Transfer-Encoding: identity"), 501), "te x": (post(b"Transfer-Encoding: xchunked", body=EMPTY), 501),
    "te comma": (post(b"Transfer-Encoding: chunked,", body=EMPTY), 501), "te comma first": (post(b"Transfer-Encoding: ,chunked", body=EMPTY), 501),
    "te param": (post(b"Transfer-Encoding: chunked;a=b", body=EMPTY), 501), "te empty": (post(b"Transfer-Encoding:", body=EMPTY), 501),
    "te cr": (post(b"Transfer-Encoding: chunked\r", body=EMPTY), 400), "te nul": (post(b"Transfer-Encoding: chunked\0", body=EMPTY), 400),
    "te vt": (post(b"Transfer-Encoding: \x0bchunked", body=EMPTY), 400), "te in name": (post(b"Transfer-Encoding\x0b: chunked", body=EMPTY), 400),
    "te space": (post(b"Transfer-Encoding : chunked", body=EMPTY), 400), "te fold": (post(b"Transfer-Encoding:\r\n chunked", body=EMPTY), 400),
    "te quoted": (post(b'Transfer-Encoding: "chunked"', body=EMPTY), 501), "name then cr": (post(b"X: y\rTransfer-Encoding: chunked", body=EMPTY), 400),
    "get te": (b"GET /x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
}


@pytest.mark.wproxy_only
@pytest.mark.parametrize("path", [b"/x", b"/up/x", b"/return"])
@pytest.mark.parametrize("name", FRAMINGS)
def test_framing(stand, name, path):
    data, status = FRAMINGS[name]
    refused(stand, data.replace(b" /x ", b" " + path + b" ", 1), status)


BAD_CHUNKS = {
    "plus": b"+5\r\nhello\r\n", "minus": b"-5\r\nhello\r\n", "0x": b"0x5\r\nhello\r\n", "letter": b"g\r\n", "no size": b"\r\nhello\r\n",
    "space before": b" 5\r\nhello\r\n", "space after": b"5 \r\nhello\r\n", "tab after": b"5\t\r\nhello\r\n", "lf": b"5\nhello\r\n", "lf after data": b"5\r\nhello\n",
    "cr": b"5\rhello\r\n", "no end": b"5\r\nhello0\r\n\r\n", "too long": b"5\r\nhello!\r\n", "17 digits": b"10000000000000005\r\nhello\r\n",
    "2^63": b"8000000000000000\r\nhello\r\n", "underscore": b"5_\r\nhello\r\n", "comma": b"5,5\r\nhello\r\n",
    "ext lf": b"5;a\nhello\r\n", "ext cr": b"5;a\rb\r\nhello\r\n", "ext nul": b"5;a\0\r\nhello\r\n", "ext quote lf": b'5;a="\n"\r\nhello\r\n',
    "ext huge": b"5;" + b"a" * 5000 + b"\r\nhello\r\n", "zeros huge": b"0" * 5000 + b"5\r\nhello\r\n",
    "last lf": b"0\n\r\n", "last lf lf": b"0\r\n\n", "trailer no colon": b"0\r\nX\r\n\r\n", "trailer lf": b"0\r\nX: y\n\r\n",
    "trailer space": b"0\r\nX : y\r\n\r\n", "trailer fold": b"0\r\nX: y\r\n z\r\n\r\n", "trailer nul": b"0\r\nX: \0\r\n\r\n",
    "trailers huge": b"0\r\n" + b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 1000 + b"\r\n",
}


@pytest.mark.wproxy_only
@pytest.mark.parametrize("path", ["/x", "/up/x"])
@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_chunks(stand, name, path):
    """A malformed chunk is 400 and the end; a back end that streams is cut, never given a whole."""
    got = []

    def script(exchange, received):
        exchange.read_body(received)
        got.append(received)
        if received.complete:
            exchange.send(OK)
        else:
            exchange.close()
    stand.app.scripts[path] = script
    data = ("POST %s HTTP/1.1\r\nHost: example.test\r\nTransfer-Encoding: chunked\r\n\r\n" % path).encode()
    with Wire(stand.address, 5) as wire:
        wire.try_send(data + b"3\r\nabc\r\n")
        if path == "/up/x":
            wait_until(lambda: stand.app.requests, 5, "it is streamed")
        wire.try_send(BAD_CHUNKS[name] + SMUGGLED)
        answered = wire.read_response()
        assert answered.status == 400 and not answered.persistent
        assert wire.closes()
    wait_until(lambda: path == "/x" or got, 5, "the back end is told")
    assert all(not r.complete and r.body.startswith(b"abc") for r in got)
    assert "/smuggled" not in [r.target for r in stand.seen()]


@pytest.mark.wproxy_only
@pytest.mark.parametrize("path", ["/x", "/up/x", "/return", "/static/a.css", "/admin", "/none"])
@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_chunks_that_came_with_the_head(stand, name, path):
    """What can be seen to be malformed at once is 400 whoever would have answered, and no back end hears of it."""
    data = b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" + BAD_CHUNKS[name]
    if len(data) > 10000:
        pytest.skip("this does not come in one piece")
    refused(stand, data)


def test_good_chunks(stand):
    """Upper case, zeros, extensions and trailers; nothing of the trailers is merged."""
    body = (b'00A;a;b=c;d="e\\"f" ; g = h\r\n0123456789\r\n1\r\n!\r\n000;last\r\n'
            b"X-Forwarded-For: 6.6.6.6\r\nHost: evil\r\nContent-Length: 3\r\n\r\n")
    for path in ("/x", "/up/x"):
        with Wire(stand.address) as wire:
            got = wire.ask(request("POST " + path, "Transfer-Encoding: chunked", "Trailer: X-Forwarded-For", body=body))
            assert got.status == 200
            assert wire.ask(request("GET /next")).status == 200
        received, after = stand.app.take(2)
        assert received.body == b"0123456789!" and after.target == "/next"
        assert received.get("X-Forwarded-For") == "127.0.0.1" and received.all("Host") == ["example.test"]
        assert received.get("Trailer") is None and b"6.6.6.6" not in received.raw_body


# -- fields -----------------------------------------------------------------------------------------

FIELDS = {
    "fold": b"X: y\r\n z\r\n", "fold tab": b"X: y\r\n\tz\r\n", "fold first": b" X: y\r\n", "space colon": b"X : y\r\n", "tab colon": b"X\t: y\r\n",
    "no colon": b"X\r\n", "no name": b": y\r\n", "only colon": b":\r\n", "nul name": b"X\0: y\r\n", "nul value": b"X: \0\r\n",
    "cr value": b"X: a\rb\r\n", "cr end": b"X: a\r\r\n", "cr name": b"X\r: a\r\n", "del": b"X: \x7f\r\n", "bell": b"X: \x07\r\n",
    "escape": b"X: \x1b[0m\r\n", "space name": b"X Y: z\r\n", "high name": b"X\xe4: z\r\n", "paren name": b"X(): z\r\n", "quote name": b'"X": z\r\n',
    "slash name": b"X/Y: z\r\n", "at name": b"X@Y: z\r\n", "equals name": b"X=Y: z\r\n", "comma name": b"X,Y: z\r\n", "vt name": b"X\x0b: z\r\n",
}


@pytest.mark.wproxy_only
@pytest.mark.parametrize("port", ["main", "odd", "pages"])
@pytest.mark.parametrize("name", FIELDS)
def test_fields(stand, name, port):
    refused(stand, b"GET /x HTTP/1.1\r\n" + HOST + FIELDS[name] + b"\r\n", 400, stand.server.address(port))


@pytest.mark.parametrize("name", ["Authorization", "Content-Range", "Expect", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range",
                                  "If-Unmodified-Since"])
def test_fields_that_stand_once(stand, name):
    """As nginx: of two, the back end might believe the other one."""
    lines = ("%s: a\r\nX: y\r\n%s: a\r\n" % (name, name.lower())).encode()
    refused(stand, b"GET /x HTTP/1.1\r\n" + HOST * (name != "Host") + lines + b"\r\n")


def test_underscores(stand):
    """Names with '_' do not shadow what the configuration sets, not even where they are allowed."""
    fakes = ("X_Forwarded_For: 6.6.6.6", "X-Forwarded_For: 6.6.6.7", "X_Forwarded_Proto: https", "x-forwarded_proto: https",
             "Remote_User: root", "Content_Length: 3", "Transfer_Encoding: chunked")
    for address in (stand.address, stand.odd):
        assert fetch(address, "GET /x", "X_Other: fine", *fakes).status == 200
        received, = stand.app.take(1)
        for name, value in received.headers:
            plain = name.lower().replace("_", "-")
            assert plain not in ("content-length", "transfer-encoding", "remote-user"), (name, value)
            assert plain != "x-forwarded-for" or (name, value) == ("X-Forwarded-For", "127.0.0.1")
            assert plain != "x-forwarded-proto" or (name, value) == ("X-Forwarded-Proto", "http")
        assert received.get("X_Other") == (None if address == stand.address else "fine")


def test_connection_names_fields(stand):
    """What Connection names is for this hop; what the configuration sets stays."""
    listed = ("Host", "Content-Length", "X-Forwarded-Proto", "X-Forwarded-For", "Cookie", "X-Own", "Authorization", "Transfer-Encoding",
              "X-Drop", "x-CASE", "Connection", "close-not", "Accept")
    fields = ("Cookie: client=1", "X-Own: client", "Authorization: Basic client", "X-Drop: 1", "X-Case: 1", "X-Keep: 1", "X-Forwarded-For: 1.1.1.1",
              "X-Forwarded-Proto: https", "Keep-Alive: timeout=5", "TE: trailers", "Proxy-Connection: keep-alive", "Upgrade: h2c",
              "HTTP2-Settings: AAMAAABkAAQAAP__", "Trailer: X", "Accept: */*")
    for connection in (["Connection: " + ", ".join(listed)], ["Connection: " + name for name in listed],
                       ["Connection: ,, " + " ,\t".join(listed) + ",,"]):
        assert fetch(stand.address, "POST /own/x", *connection, *fields, body=b"hello").status == 200
        received, = stand.app.take(1)
        assert received.body == b"hello" and received.all("Content-Length") == ["5"]
        assert received.all("Host") == ["conf.example"] and received.all("Cookie") == ["conf=1"]
        assert received.all("X-Own") == ["own"] and received.all("X-Forwarded-Proto") == ["http"]
        assert received.all("Authorization") == ["Basic conf"] and received.get("X-Keep") == "1"
        for name in ("X-Drop", "X-Case", "Keep-Alive", "TE", "Proxy-Connection", "Upgrade", "Trailer", "Accept", "Transfer-Encoding"):
            assert received.all(name) == [], name
        assert received.get("Connection", "close") in ("close", "keep-alive")


def test_forwarded_once(stand):
    """However often and in whatever case the client sends them, the configuration's stand alone."""
    assert fetch(stand.address, "GET /x", "X-Forwarded-Proto: https", "x-forwarded-proto: https", "X-FORWARDED-PROTO: wss",
                 "X-Forwarded-For: 1.1.1.1", "x-forwarded-for: 2.2.2.2").status == 200
    received, = stand.app.take(1)
    assert received.all("X-Forwarded-Proto") == ["http"]
    assert received.all("X-Forwarded-For") == ["1.1.1.1, 2.2.2.2, 127.0.0.1"]


@pytest.mark.wproxy_only
def test_many_fields(stand):
    """Too many fields, or members of Connection, are refused: they would only cost time."""
    refused(stand, b"GET /x HTTP/1.1\r\n" + HOST + b"".join(b"X%d: y\r\n" % i for i in range(2000)) + b"\r\n", 400)
    refused(stand, b"GET /x HTTP/1.1\r\n" + HOST + b"Connection: " + b"a," * 1000 + b"\r\n\r\n", 400)
    many = b"".join(b"X%d:\r\n" % i for i in range(990))
    lines = b"Connection: " + b",".join(b" " * 100 + b"a%d" % i for i in range(60)) + b"\r\n"
    data = b"GET /x HTTP/1.1\r\n" + HOST + lines + many + b"\r\n"
    with Wire(stand.address) as wire:
        assert wire.ask(request("GET /warm")).status == 200
        before = time.monotonic()
        for _ in range(5):
            got = wire.ask(data, "GET")
            assert got.status in (200, 400)
            if not got.persistent:
                break
        assert time.monotonic() - before < 2.5
    stand.app.clear()


def test_upgrade_only_where_configured(stand):
    """h2c and WebSocket requests are plain requests where the file does not say otherwise; an unasked 101 is a 502."""
    stand.app.scripts["/upgraded"] = lambda e, r: e.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
    for upgrade in ("h2c", "websocket"):
        lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: " + upgrade, "HTTP2-Settings: AAMAAABkAAQAAP__", "Sec-WebSocket-Key: x")
        assert fetch(stand.address, "GET /plain", *lines).status == 200
        received, = stand.app.take(1)
        assert received.all("Upgrade") == [] and received.all("HTTP2-Settings") == []
        assert received.get("Connection", "close") in ("close", "keep-alive")
        with Wire(stand.address) as wire:
            assert wire.ask(request("GET /upgraded", *lines)).status == 502
        stand.app.clear()


def test_upgrade_of_an_old_client(stand):
    """HTTP/1.0 knows no Upgrade."""
    stand.app.scripts["/ws/x"] = lambda e, r: e.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    got = fetch(stand.address, "GET /ws/x HTTP/1.0", "Connection: upgrade", "Upgrade: websocket")
    assert got.status == 502


# -- large heads ------------------------------------------------------------------------------------

@pytest.mark.wproxy_only
@pytest.mark.parametrize("kind", ["line", "field", "fields", "never ends", "no end of line"])
def test_huge_heads(stand, kind):
    data = {"line": b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
            "field": b"GET /x HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 9000 + b"\r\n\r\n",
            "fields": b"GET /x HTTP/1.1\r\n" + HOST + b"X: yyyyyyyyyyyyyyyyyyyyyyy\r\n" * 2000 + b"\r\n",
            "never ends": b"GET /x HTTP/1.1\r\n" + HOST + b"X: yyyyyyyyyyyyyyyyyyyyyyy\r\n" * 200000,
            "no end of line": b"G" * 3000000}[kind]
    refused(stand, data, 414 if "line" in kind else 400)


def test_wide_first_buffer(stand):
    """client_header_buffer_size above the large buffers is what a line may have."""
    assert fetch(stand.wide, "GET /" + "x" * 20000).status == 200
    assert fetch(stand.wide, "GET /", "X: " + "x" * 20000).status == 200
    assert fetch(stand.wide, "GET /" + "x" * 30000).status == 414


# -- what follows a refusal, or the last request ------------------------------------------------------

@pytest.mark.parametrize("first", ["GET /x HTTP/1.0", "GET /return HTTP/1.0"])
def test_nothing_after_a_1_0_request(stand, first):
    with Wire(stand.address) as wire:
        wire.send(request(first) + SMUGGLED * 3)
        assert wire.read_response().status == 200
        assert wire.closes()
    assert "/smuggled" not in [r.target for r in stand.app.take()]


@pytest.mark.parametrize("path", ["/slow", "/return", "/static/a.css", "/static/none"])
@pytest.mark.parametrize("line", ["close", "CLOSE", "keep-alive, close", "foo,close , bar"])
def test_nothing_after_connection_close(stand, path, line):
    """Bytes that come after the last request, early or late, are neither processed nor destroy the answer."""
    sent = threading.Event()

    def script(exchange, received):
        sent.wait(5)
        exchange.send(answer("200 OK", body=b"z" * 100000))
    stand.app.scripts["/slow"] = script
    for late in (False, True):
        sent.clear()
        with Wire(stand.address) as wire:
            wire.send(request("GET " + path, "Connection: " + line) + (b"" if late else SMUGGLED * 1000))
            if late and path == "/slow":
                wait_until(lambda: any(r.target == "/slow" for r in stand.app.requests), 5, "it has arrived")
                wire.send(SMUGGLED * 1000)
            sent.set()
            got = wire.read_response()
            assert got.status in (200, 404) and not got.persistent
            assert path != "/slow" or len(got.body) == 100000
            assert wire.closes() and not wire.was_reset
        assert "/smuggled" not in [r.target for r in stand.app.take()]


@pytest.mark.wproxy_only
@pytest.mark.parametrize("where", ["refused line", "unterminated"])
def test_refusal_while_sending(stand, where):
    """The 400 is read although the client goes on sending."""
    with Wire(stand.address, 10) as wire:
        wire.send(b"GET /x y HTTP/1.1\r\n\r\n" if where == "refused line" else b"GET /x HTTP/1.1\r\nX : y\r\n\r\n")
        for _ in range(20):
            assert wire.try_send(SMUGGLED * 2000)
        assert wire.read_response().status == 400
        assert wire.closes() and not wire.was_reset
    assert stand.seen() == []


# -- pages for refusals ------------------------------------------------------------------------------

@pytest.mark.wproxy_only
@pytest.mark.parametrize("data", [
    b"GET /x y HTTP/1.1\r\n" + HOST + b"\r\n", b"junk\r\n\r\n", b"GET /%00 HTTP/1.1\r\n" + HOST + b"X-Client: c\r\n\r\n",
    post(b"Content-Length: 5", TE, body=EMPTY), post(b"Transfer-Encoding: identity"), b"GET /x HTTP/3.0\r\n\r\n",
    b"GET /x HTTP/1.1\r\n\r\n", b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    b"CONNECT evil.test:443 HTTP/1.1\r\n" + HOST + b"\r\n"])
def test_error_page_leads_to_a_back_end(stand, data):
    """error_page may lead a refused request to a proxied location: what was refused does not go there with it."""
    with Wire(stand.pages, 5) as wire:
        wire.try_send(data + SMUGGLED)
        got = wire.read_response()
        assert got.status in (400, 405, 414, 501, 505) and wire.closes()
    nothing_passed(stand, stand.pages)


@pytest.mark.wproxy_only
def test_error_page_of_413(stand):
    """A body that is too large is not streamed to the page's back end, nor given as a part of it."""
    for framing, body in (("Content-Length: 100000", b"u" * 100000), ("Transfer-Encoding: chunked", chunked(*[b"u" * 1000] * 100))):
        with Wire(stand.pages, 5) as wire:
            wire.try_send(request("POST /small", framing, body=body) + SMUGGLED)
            assert wire.read_response().status == 413
            assert wire.closes()
    for received in stand.seen():
        assert received.target == "/small" and received.method == "GET" and received.body == b""


# -- Expect -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/x", "/up/x"])
@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_expect_waits(stand, path, framing):
    with Wire(stand.address) as wire:
        wire.send(request("POST " + path, "Expect: 100-continue", framing))
        assert wire.read_head().status == 100
        wire.send(b"hello" if "Length" in framing else b"5\r\nhello\r\n0\r\n\r\n")
        got = wire.read_response("POST")
        assert got.status == 200 and got.infos == [] and got.persistent
        assert wire.ask(request("GET /next")).status == 200
    first, second = stand.app.take(2)
    assert first.body == b"hello" and first.all("Expect") == [] and second.target == "/next"


@pytest.mark.wproxy_only
@pytest.mark.parametrize("path", ["/x", "/up/x"])
def test_expect_with_body_at_once(stand, path):
    """A client that did not wait gets no 100, also when only a part came at once."""
    with Wire(stand.address) as wire:
        got = wire.ask(request("POST " + path, "Expect: 100-continue", body=b"hello"))
        assert got.status == 200 and got.infos == []
        wire.send(request("POST " + path, "Expect: 100-continue", "Content-Length: 10") + b"hello")
        assert not wire.readable(0.3)
        wire.send(b"world")
        got = wire.read_response("POST")
        assert got.status == 200 and got.infos == []
    assert [r.body for r in stand.app.take(2)] == [b"hello", b"helloworld"]


def test_expect_of_an_old_client(stand):
    with Wire(stand.address) as wire:
        wire.send(request("POST /x HTTP/1.0", "Expect: 100-continue", "Content-Length: 5"))
        assert not wire.readable(0.3)
        wire.send(b"hello")
        got = wire.read_response("POST")
        assert got.status == 200 and got.infos == []


@pytest.mark.wproxy_only
@pytest.mark.parametrize("path,status", [("/return", 200), ("/static/a.css", 405), ("/small/x", 413), ("/up/small/x", 413), ("/admin", 403)])
def test_expect_answered_early(stand, path, status):
    """A final answer instead of the 100: the client may send its body or not, and is told that the connection ends."""
    with Wire(stand.address) as wire:
        wire.send(request("POST " + path, "Expect: 100-continue", "Content-Length: 2000"))
        got = wire.read_response("POST")
        assert got.status == status and got.infos == [] and not got.persistent
        wire.try_send(b"u" * 2000 + SMUGGLED)
        assert wire.closes()
    with Wire(stand.address) as wire:       # the body came at once: it is skipped, the connection stays
        wire.send(request("POST " + path, "Expect: 100-continue", body=b"u" * 2000) + request("GET /return"))
        assert wire.read_response("POST").status == status
        if status not in (413,):
            assert wire.read_response().body == b"returned"
    assert stand.seen() == []


def test_expect_answered_by_the_back_end(stand):
    """A back end that refuses at once is heard before the body is asked for, when it is streamed."""
    stand.app.scripts["/up/no"] = lambda e, r: (e.send(answer("403 Forbidden", "Connection: close", body=b"no")), e.finish())
    with Wire(stand.address) as wire:
        wire.send(request("POST /up/no", "Expect: 100-continue", "Content-Length: 100000"))
        got = wire.read_response("POST")
        assert got.status == 403 and got.body == b"no"
        wire.try_send(SMUGGLED * 1000)
    assert "/smuggled" not in [r.target for r in stand.seen()]


# -- 413 --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("path", ["/small/x", "/up/small/x"])
def test_413_is_readable(stand, path, framing):
    """The client sends all of it first and reads then: no reset destroys the answer."""
    body = b"u" * 3000000
    for _ in range(5):
        with Wire(stand.address) as wire:
            if framing == "length":
                data = request("POST " + path, body=body)
            else:
                data = request("POST " + path, "Transfer-Encoding: chunked", body=chunked(*[body[:10000]] * 300))
            assert wire.try_send(data + SMUGGLED)
            got = wire.read_response("POST")
            assert got.status == 413 and not got.persistent and b"413 Request Entity Too Large" in got.body
            assert wire.closes() and not wire.was_reset
    seen = stand.seen()
    assert all(not r.complete or r.body == b"" for r in seen), seen


@pytest.mark.wproxy_only
def test_413_of_a_slow_sender(stand):
    """The client sends on for longer than lingering_timeout (5 s) in all, and reads then."""
    with Wire(stand.address, 30) as wire:
        wire.send(request("POST /small/x", "Content-Length: 100000000"))
        begun = time.monotonic()
        while time.monotonic() - begun < 6.5:
            assert wire.try_send(b"u" * 1000), "reset after %.1f s" % (time.monotonic() - begun)
            wait_until(lambda at=time.monotonic(): time.monotonic() - at > 0.2, 5)
        assert wire.read_response("POST").status == 413
        assert wire.closes() and not wire.was_reset


@pytest.mark.wproxy_only
def test_streamed_chunks_have_a_limit(stand):
    """client_max_body_size also bounds a chunked body that is streamed."""
    got = []

    def script(exchange, received):
        exchange.read_body(received)
        got.append(received)
        exchange.close()
    stand.app.scripts["/up/small/x"] = script
    with Wire(stand.address) as wire:
        wire.send(request("POST /up/small/x", "Transfer-Encoding: chunked") + b"32\r\n" + b"u" * 50 + b"\r\n")
        wait_until(lambda: stand.app.requests, 5, "it has arrived")
        wire.try_send(b"64\r\n" + b"u" * 100 + b"\r\n0\r\n\r\n")
        assert wire.read_response("POST").status == 413
        assert wire.closes()
    wait_until(lambda: got, 5, "the back end is told")
    assert not got[0].complete


# -- bodies that nobody reads --------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/return", "/static/a.css", "/static/none", "/admin"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unread_bodies(stand, path, framing, method):
    """The connection is used again after the unread body, whole or in pieces; no byte of it is a request."""
    body = SMUGGLED * 40
    data = (request(method + " " + path, body=body) if framing == "length" else
            request(method + " " + path, "Transfer-Encoding: chunked", body=chunked(body, body)))
    with Wire(stand.address) as wire:
        for cut in (len(data), 200, 1500):
            wire.send(data[:cut])
            status = wire.read_response(method).status
            assert status in (200, 403, 404, 405)
            wire.send(data[cut:] + request("GET /return"))
            assert wire.read_response().body == b"returned"
    assert stand.seen() == []


@pytest.mark.wproxy_only
def test_unread_body_is_malformed(stand):
    """A chunk that goes wrong in a body that is being skipped ends the connection."""
    with Wire(stand.address) as wire:
        wire.send(request("POST /return", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n")
        assert wire.read_response("POST").status == 200
        wire.send(b"zz\r\n" + SMUGGLED)
        assert wire.closes()
    assert stand.seen() == []


# -- injection ----------------------------------------------------------------------------------------

EVIL = "%0d%0aX-Injected:%20yes%0d%0a%0d%0aGET%20/smuggled%20HTTP/1.1%0d%0aHost:%20x%0d%0a%0d%0a"


@pytest.mark.wproxy_only
@pytest.mark.parametrize("where", ["return", "return-args?a=", "text", "add", "trailer", "rewrite", "absolute", "header", "host", "method", "pass",
                                   "break", "redirect", "cookie", "expires", "realm", "type"])
@pytest.mark.parametrize("evil", [EVIL, "%0aX-Injected:%20yes", "%0dX-Injected:%20yes", "%0D%0A%20folded"])
def test_injection(stand, where, evil):
    """No line end from a variable makes a line, in an answer or towards a back end."""
    path = "/inject/" + where + evil
    stand.app.reply = answer("200 OK", "Location: http://elsewhere/x", "Set-Cookie: a=b; Path=/x")
    with Wire(stand.address) as wire:
        wire.send(request("GET " + path))
        got = wire.read_response()
        assert b"\n" not in got.head.replace(b"\r\n", b"") and b"\r" not in got.head.replace(b"\r\n", b"")
        assert got.get("X-Injected") is None
        assert not [line for line in got.head.split(b"\r\n") if line.startswith((b" ", b"\t"))]
        if got.persistent:
            assert wire.ask(request("GET /next")).status == 200
    for received in stand.app.take():
        assert received.get("X-Injected") is None and "/smuggled" != received.target
        assert b"\r" not in received.head.replace(b"\r\n", b"") and b"\n" not in received.head.replace(b"\r\n", b"")
        assert " " not in received.target and received.method in ("GET",)


@pytest.mark.wproxy_only
@pytest.mark.parametrize("host", ["%0d%0aX-Injected:%20yes", "127.0.0.1%0d%0aX", "a%20b", "a%09b", "unix:%0d%0a:", "user@x", "%7f"])
def test_injection_into_the_address(stand, host):
    got = fetch(stand.address, "GET /inject/to/%s/" % host)
    assert got.status in (500, 502, 400)
    assert stand.seen() == []


def test_log_lines(stand):
    """Whatever a request holds, one request is one line in either log."""
    marks = []
    for i, line in enumerate((b"GET /l%0d%0a127.0.0.1%20-%20forged HTTP/1.1", b"GET /l%22%5c%1b[31m HTTP/1.1", b"GET /l?a=\"\\ HTTP/1.1",
                              b"GET /inject/to/a%0aforged/ HTTP/1.1", b"GET /static/%0d%0aforged HTTP/1.1",
                              b"GET /static/%1b]0;forged HTTP/1.1", b"GET /inject/rewrite%0aforged HTTP/1.1")):
        marks.append("mark%d" % i)
        with Wire(stand.address) as wire:
            wire.ask(line + b"\r\n" + HOST + b"X: mark%d \"quoted\" \\ \xff\r\nReferer: http://x/\"forged\r\nConnection: close\r\n\r\n" % i)
    wait_until(lambda: all(m in stand.server.read("open/access.log") for m in marks), 5, "all are logged")
    for line in stand.server.read("open/access.log").splitlines():
        assert line.startswith("127.0.0.1 \"") and line.count('"') == 8, line
    for line in stand.server.read("error.log").split("\n"):
        assert re.match(r"\d{4}/\d\d/\d\d |$", line), line
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", line), line


# -- paths ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", [
    "/admin", "/admin/", "//admin", "/./admin", "/x/../admin", "/%61dmin", "/x/%2e%2e/admin", "/x%2f..%2fadmin", "/x/..%2fadmin", "/x//..//admin",
    "/%2fadmin", "/.//./admin/x", "/admin%2fx", "/admin;x", "/admin?x", "/x/y/%2E%2e/../admin", "/return/../admin", "http://example.test/admin",
    "http://example.test//x/../admin", "/a.secret", "/a%2esecret", "/x/../a.secre%74", "/admin/..%2fadmin"])
def test_access_sees_the_normal_path(stand, path):
    assert fetch(stand.address, "GET " + path).status == 403
    assert stand.seen() == []


@pytest.mark.parametrize("path", [
    "/static/../be.py", "/static/%2e%2e/be.py", "/static/..%2fbe.py", "/static/%2e%2e%2fbe.py", "/static/..%5cbe.py", "/static/..\\be.py",
    "/static/sub/../../be.py", "/static/%252e%252e/be.py", "/static/..;/be.py", "/static/.%2e/be.py", "/static//../be.py", "/static/....//be.py",
    "/static/%c0%ae%c0%ae/be.py", "/static/..%00/be.py", "/static/a.css%00.html", "/static/.../be.py", "/static../be.py", "/static%2f../be.py",
    "/static/sub%2f..%2f..%2fbe.py", "/static/%uff0e%uff0e/be.py"])
def test_traversal(stand, path):
    got = fetch(stand.address, "GET " + path)
    assert b"parent secret" not in got.body
    assert b"a { }" not in got.body
    stand.app.clear()


# -- clients that are half gone --------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/return", "/static/a.css"])
def test_half_closed_client(stand, path):
    with Wire(stand.address) as wire:
        wire.send(request("GET " + path) * 3).shut()
        for _ in range(3):
            assert wire.read_response().status == 200
        assert wire.closes()


@pytest.mark.wproxy_only
@pytest.mark.parametrize("pause", [0.05, 0.4])
def test_half_closed_client_of_a_slow_back_end(stand, pause):
    """FIN after the request: the answer that comes soon is delivered, and in whole."""
    def script(exchange, received):
        exchange.read_body(received)
        threading.Event().wait(pause)
        exchange.send(answer("200 OK", body=b"z" * 3000000))
    stand.app.scripts["/late"] = stand.app.scripts["/up/late"] = script
    for data in (request("GET /late"), request("POST /late", body=b"b" * 100000), request("POST /up/late", body=b"b" * 100000),
                 request("GET /late HTTP/1.0")):
        with Wire(stand.address) as wire:
            wire.send(data).shut()
            got = wire.read_response()
            assert got.status == 200 and len(got.body) == 3000000


@pytest.mark.wproxy_only
def test_half_closed_pipeline(stand):
    stand.app.scripts["/late"] = lambda e, r: (threading.Event().wait(0.2), e.send(OK))
    with Wire(stand.address) as wire:
        wire.send(request("GET /late") * 4).shut()
        for _ in range(4):
            assert wire.read_response().body == b"ok"
        assert wire.closes()


def test_half_closed_in_the_body(stand):
    """FIN before the body is complete: nobody takes the part for the whole."""
    got = []

    def script(exchange, received):
        exchange.read_body(received)
        got.append(received)
        exchange.close()
    stand.app.scripts["/x"] = stand.app.scripts["/up/x"] = script
    for path in ("/x", "/up/x"):
        for framing in ("Content-Length: 100", "Transfer-Encoding: chunked"):
            with Wire(stand.address) as wire:
                wire.send(request("POST " + path, framing) + b"5\r\nhello\r\n").shut()
                wire.read_to_end()
    assert [r.target for r in stand.app.take(2)] == ["/up/x"] * 2      # the streamed ones
    wait_until(lambda: len(got) == 2, 5, "the back end is told")
    assert all(not r.complete for r in got)


@pytest.mark.parametrize("cut", [1, 10, 30, 38])
def test_half_closed_in_the_head(stand, cut):
    with Wire(stand.address) as wire:
        wire.send(request("GET /x")[:cut]).shut()
        assert wire.closes()
    assert stand.seen() == []
