"""The bytes of HTTP/1: pipelining, persistence, Expect, and what is not HTTP at all."""

import pytest

from contrast import Case, cases
from difference import Want
from origin import OK
from wire import chunked, request

HTTP = r"""
proxy_http_version 1.1;
upstream app { server @origin.app@; keepalive 8; }
server {
    listen @host@:@port@;
    server_name example.test;
    root @www@;
    location / { }
    location /x { proxy_pass http://app; }
    location /stream { proxy_request_buffering off; proxy_pass http://app; }
    location /ret { return 200 "ret $uri $request_method"; }
    location /small { client_max_body_size 8; proxy_pass http://app; }
    location /ka0 { keepalive_timeout 0; return 200 "zero"; }
    location /ka2 { keepalive_timeout 65 15; return 200 "hinted"; }
    location /kareq { keepalive_requests 3; return 200 "$connection_requests"; }
    location /trace { return 200 "$request_method"; }
}
server {
    listen @host@:@port.tight@;
    client_header_buffer_size 256;
    large_client_header_buffers 2 1k;
    location / { return 200 "[$uri]$http_x"; }
}
server {
    listen @host@:@port.disable@;
    keepalive_disable none;
    location / { return 200 "ok"; }
}
"""


@pytest.fixture(scope="module")
def pair(shared):
    app = shared.origin()
    app.reply = OK
    return shared.pair(HTTP, origins={"app": app})


def raw(name, data, **options):
    if isinstance(data, str):
        data = data.encode("latin-1")
    return Case("GET", raw=data, name=name, **options)


def refused(name, data, status=400, row="strict-head", reaches=0, **options):
    """wproxy refuses, closes, and nothing of it reaches a back end, whatever nginx does."""
    return raw(name, data, timeout=2, want=Want(
        row, status=status, closes=True, reaches=reaches), **options)


A, B, C = (request("GET /%s.txt" % n) for n in ("a", "b", "empty"))
POST = request("POST /x", body=b"the body")


@cases(
    raw("three gets", A + B + C, methods=["GET"] * 3),
    raw("get post get", A + POST + B, methods=["GET", "POST", "GET"]),
    raw("post get", POST + A, methods=["POST", "GET"]),
    raw("head between", A + request("HEAD /b.txt") + B, methods=["GET", "HEAD", "GET"]),
    raw("404 between", A + request("GET /nope") + B, methods=["GET"] * 3),
    raw("304 between", request("GET /a.txt", "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT") + B,
        methods=["GET"] * 2),
    raw("chunked post between", request("POST /x", "Transfer-Encoding: chunked", body=chunked(b"c1", b"c2")) + A,
        methods=["POST", "GET"]),
    raw("body discarded between", request("POST /ret", body=b"zzzz") + A, methods=["POST", "GET"]),
    raw("chunked discarded between", request("POST /ret", "Transfer-Encoding: chunked", body=chunked(b"zz")) + A,
        methods=["POST", "GET"]),
    raw("get with body discarded", request("GET /a.txt", body=b"zzzz") + B, methods=["GET", "GET"]),
    raw("405 with body between", request("POST /a.txt", body=b"zz") + B, methods=["POST", "GET"]),
    raw("nothing after close", request("GET /a.txt", "Connection: close") + B, methods=["GET"]),
    raw("proxied pipeline", request("GET /x/1") + request("GET /x/2") + request("GET /x/3"),
        methods=["GET"] * 3),
    raw("1.0 then more", request("GET /a.txt HTTP/1.0") + B, methods=["GET"]),
    raw("1.0 keep-alive then more", request("GET /a.txt HTTP/1.0", "Connection: keep-alive") + B,
        methods=["GET", "GET"]),
    raw("crlf between", A + b"\r\n" + B, methods=["GET", "GET"]),
    raw("keepalive_requests", request("GET /kareq") * 4, methods=["GET"] * 3),
    raw("twenty", request("GET /ret") * 20, methods=["GET"] * 20),
    raw("400 after good", A + b"BAD LINE\r\n\r\n" + B, methods=["GET", "GET"]),
)
def test_pipeline(pair, case):
    pair.compare(case)


def split(data, *cuts):
    cuts = (0,) + cuts + (len(data),)
    return [data[a:b] for a, b in zip(cuts, cuts[1:])]


@cases(
    Case("GET /a.txt HTTP/1.0"), Case("GET /a.txt HTTP/1.0", "Connection: keep-alive"),
    Case("GET /a.txt HTTP/1.0", "Connection: Keep-Alive"), Case("GET /a.txt", "Connection: close"),
    Case("GET /a.txt", "Connection: CLOSE"), Case("GET /a.txt", "Connection: keep-alive, close"),
    Case("GET /a.txt", "Connection: close, keep-alive"), Case("GET /a.txt", "Connection: upgrade"),
    Case("GET /ka0"), Case("GET /ka2"), Case("GET /ka2 HTTP/1.0", "Connection: keep-alive"),
    Case("GET /x HTTP/1.0"), Case("GET /x HTTP/1.0", "Connection: keep-alive"),
    Case("GET /nope HTTP/1.0", "Connection: keep-alive"), Case("HEAD /a.txt HTTP/1.0"),
    Case("POST /x HTTP/1.0", "Connection: keep-alive", body=b"b"),
    Case("GET /a.txt", "Connection: close", "Connection: keep-alive", want=Want("close-wins", status=200, closes=True)),
    Case("GET /a.txt HTTP/1.1", "User-Agent: Mozilla/4.0 (compatible; MSIE 5.5; W)"),
    Case("POST /x", "User-Agent: Mozilla/4.0 (compatible; MSIE 5.5; W)", body=b"b"),
    Case("POST /", "User-Agent: Mozilla/4.0 (compatible; MSIE 5.5; W)", body=b"b", port="disable"),
    Case("GET /", port="disable"),
    raw("half closed static", A, shut=True), raw("half closed return", request("GET /ret"), shut=True),
    raw("bytewise head", A, segments=[A[i:i + 1] for i in range(len(A))]),
    raw("split body", POST, segments=split(POST, 10, 30, len(POST) - 4)),
    raw("split in crlf", A, segments=split(A, len(A) - 3, len(A) - 1)),
)
def test_persistence(pair, case):
    pair.compare(case)


@cases(
    Case("POST /x", "Expect: 100-continue", "Content-Length: 0", want=Want("expect", status=200)),
    Case("POST /x HTTP/1.0", "Expect: 100-continue", body=b"old"),
    Case("POST /x", "Expect: 200-maybe", body=b"b", want=Want("expect", status=(200, 417))),
    Case("GET /x", "Expect: 100-continue", want=Want("expect", status=200)),
    Case("POST /small", "Expect: 100-continue", "Content-Length: 100"),
    Case("POST /a.txt", "Expect: 100-continue", "Content-Length: 2", body=b"zz",
         want=Want("expect", status=405)),
)
def test_expect(pair, case):
    case.end = False
    pair.compare(case)


def test_expect_waits(pair):
    from wire import Wire

    def play(server):
        seen = []
        for path, extra in (("/x", "Expect: 100-continue"), ("/stream", "expect: 100-Continue")):
            with Wire(server.address(), source="127.0.0.1") as wire:
                wire.send(request("POST " + path, extra, "Content-Length: 4"))
                first = wire.read_head()
                wire.send(b"body")
                last = wire.read_response("POST")
                seen.append((first.status, first.headers, last.status, last.body))
        return seen
    pair.both(play)


HOST = "Host: example.test\r\n"


@cases(
    raw("bare LF head", "GET /a.txt HTTP/1.1\nHost: example.test\n\n"),
    raw("mixed LF head", "GET /a.txt HTTP/1.1\r\nHost: example.test\n\r\n"),
    raw("0.9", "GET /a.txt\r\n"), raw("0.9 LF", "GET /a.txt\n"),
    raw("0.9 proxied", "GET /x\r\n", end=False),
    raw("leading CRLF", b"\r\n" + A), raw("leading CRLFs", b"\r\n\r\n" + A),
    refused("two spaces", "GET  /a.txt HTTP/1.1\r\n" + HOST + "\r\n"),
    refused("two spaces before version", "GET /a.txt  HTTP/1.1\r\n" + HOST + "\r\n"),
    refused("trailing space", "GET /a.txt HTTP/1.1 \r\n" + HOST + "\r\n"),
    refused("leading space", " GET /a.txt HTTP/1.1\r\n" + HOST + "\r\n"),
    refused("tab", "GET\t/a.txt HTTP/1.1\r\n" + HOST + "\r\n"),
    refused("space in target", "GET /a b HTTP/1.1\r\n" + HOST + "\r\n"),
    raw("no target", "GET HTTP/1.1\r\n" + HOST + "\r\n"),
    refused("relative target", "GET a.txt HTTP/1.1\r\n" + HOST + "\r\n"),
    refused("empty version", "GET /a.txt HTTP/\r\n" + HOST + "\r\n"),
    refused("version 1", "GET /a.txt HTTP/1\r\n" + HOST + "\r\n"),
    refused("version 1.x", "GET /a.txt HTTP/1.x\r\n" + HOST + "\r\n"),
    refused("lower version", "GET /a.txt http/1.1\r\n" + HOST + "\r\n"),
    refused("version 11", "GET /a.txt HTTP/11.1\r\n" + HOST + "\r\n", status=(400, 505)),
    refused("version 2", "GET /a.txt HTTP/2.0\r\n" + HOST + "\r\n", status=(400, 505)),
    refused("version 3", "GET /a.txt HTTP/3.0\r\n" + HOST + "\r\n", status=(400, 505)),
    raw("version 1.2", "GET /a.txt HTTP/1.2\r\n" + HOST + "\r\n", want=Want("strict-head", status=(200, 505, 400))),
    refused("method punctuation", "G(T /a.txt HTTP/1.1\r\n" + HOST + "\r\n", status=(400, 405)),
    refused("empty method", " /a.txt HTTP/1.1\r\n" + HOST + "\r\n"),
    refused("control in method", "G\x01T /a.txt HTTP/1.1\r\n" + HOST + "\r\n"),
    refused("NUL in target", "GET /a\x00 HTTP/1.1\r\n" + HOST + "\r\n"),
    refused("control in target", "GET /a\x01 HTTP/1.1\r\n" + HOST + "\r\n"),
    refused("DEL in target", "GET /a\x7f HTTP/1.1\r\n" + HOST + "\r\n"),
    refused("bare CR in line", "GET /a\r.txt HTTP/1.1\r\n" + HOST + "\r\n"),
    refused("garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    refused("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status=(400, 505)),
    refused("only text", "hello\r\n\r\n"),
    refused("smtp", "EHLO there\r\nMAIL FROM:<x>\r\n\r\n"),
    refused("space before colon", "GET /x HTTP/1.1\r\n" + HOST + "X : y\r\n\r\n"),
    refused("tab before colon", "GET /x HTTP/1.1\r\n" + HOST + "X\t: y\r\n\r\n"),
    refused("obs-fold", "GET /x HTTP/1.1\r\n" + HOST + "X: y\r\n z\r\n\r\n"),
    refused("fold first", "GET /x HTTP/1.1\r\n X: y\r\n" + HOST + "\r\n"),
    refused("no colon", "GET /x HTTP/1.1\r\n" + HOST + "Garbage\r\n\r\n"),
    refused("empty name", "GET /x HTTP/1.1\r\n" + HOST + ": y\r\n\r\n"),
    refused("NUL in value", "GET /x HTTP/1.1\r\n" + HOST + "X: a\x00b\r\n\r\n"),
    refused("control in value", "GET /x HTTP/1.1\r\n" + HOST + "X: a\x01b\r\n\r\n"),
    refused("DEL in value", "GET /x HTTP/1.1\r\n" + HOST + "X: a\x7fb\r\n\r\n"),
    refused("bare CR in value", "GET /x HTTP/1.1\r\n" + HOST + "X: a\rb\r\n\r\n"),
    refused("bare CR ends line", "GET /x HTTP/1.1\r\n" + HOST + "X: a\rY: b\r\n\r\n"),
    refused("NUL in name", "GET /x HTTP/1.1\r\n" + HOST + "X\x00: b\r\n\r\n"),
    refused("space in name", "GET /x HTTP/1.1\r\n" + HOST + "X Y: b\r\n\r\n"),
    raw("tab in value", "GET /x HTTP/1.1\r\n" + HOST + "X: a\tb\r\n\r\n"),
    raw("high bytes in value", "GET /x HTTP/1.1\r\n" + HOST + "X: \xe4\xff\r\n\r\n"),
    raw("odd name ignored", "GET /x HTTP/1.1\r\n" + HOST + "X@Y: b\r\n\r\n",
        want=Want("strict-head", status=(200, 400))),
    raw("high bytes in target", "GET /ret/\xe4\xff HTTP/1.1\r\n" + HOST + "\r\n",
        want=Want("strict-head", status=(200, 400))),
    raw("unwise in target", "GET /ret/a\"<>{}|^`b HTTP/1.1\r\n" + HOST + "\r\n",
        want=Want("strict-head", status=(200, 400))),
    raw("backslash in target", "GET /ret/a\\b HTTP/1.1\r\n" + HOST + "\r\n",
        want=Want("strict-head", status=(200, 400))),
    refused("connect", "CONNECT example.test:443 HTTP/1.1\r\n" + HOST + "\r\n", row="refused-method",
            status=(400, 405, 501)),
    raw("trace", "TRACE /x HTTP/1.1\r\n" + HOST + "\r\n", want=Want("refused-method", status=405, reaches=0)),
    raw("track", "TRACK /ret HTTP/1.1\r\n" + HOST + "\r\n", want=Want("refused-method", status=(200, 405))),
    raw("long method", "A" * 40 + " /ret HTTP/1.1\r\n" + HOST + "\r\n", want=Want("strict-head", status=(200, 400, 405, 501))),
    raw("incomplete head", "GET /a.txt HTTP/1.1\r\nHo", shut=True, closing=True),
    raw("nothing", "", shut=True, closing=True),
)
def test_malformed_head(pair, case):
    pair.compare(case)


SMUGGLED = "GET /x/smuggled HTTP/1.1\r\n" + HOST + "\r\n"


def lengths(name, *fields, body="", **options):
    return refused(name, "POST /x HTTP/1.1\r\n" + HOST + "".join(f + "\r\n" for f in fields)
                   + "\r\n" + body + SMUGGLED, row=options.pop("row", "strict-head"), **options)


@cases(
    lengths("two lengths", "Content-Length: 5", "Content-Length: 6", body="hello"),
    lengths("same length twice", "Content-Length: 5", "Content-Length: 5", body="hello"),
    lengths("length list", "Content-Length: 5, 5", body="hello"),
    lengths("length list differing", "Content-Length: 5,6", body="hello"),
    lengths("plus", "Content-Length: +5", body="hello"),
    lengths("minus", "Content-Length: -5", body="hello"),
    lengths("hex", "Content-Length: 0x5", body="hello"),
    lengths("letters", "Content-Length: 5a", body="hello"),
    lengths("empty length", "Content-Length:", body=""),
    lengths("inner space", "Content-Length: 5 5", body="hello"),
    lengths("decimal", "Content-Length: 5.0", body="hello"),
    lengths("overflow", "Content-Length: 18446744073709551621", body="hello"),
    lengths("overflow 2", "Content-Length: 9223372036854775808", body="hello"),
    lengths("huge", "Content-Length: " + "9" * 40, body="hello"),
    lengths("quoted", 'Content-Length: "5"', body="hello"),
    lengths("length space colon", "Content-Length : 5", body="hello"),
    lengths("both", "Content-Length: 5", "Transfer-Encoding: chunked", body="0\r\n\r\n", row="transfer-encoding"),
    lengths("both reversed", "Transfer-Encoding: chunked", "Content-Length: 5", body="0\r\n\r\n", row="transfer-encoding"),
    lengths("te twice", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body="0\r\n\r\n", row="transfer-encoding"),
    lengths("te twice mixed", "Transfer-Encoding: chunked", "Transfer-Encoding: identity", body="0\r\n\r\n", row="transfer-encoding"),
    lengths("te list", "Transfer-Encoding: gzip, chunked", body="0\r\n\r\n", row="transfer-encoding", status=501),
    lengths("te list chunked", "Transfer-Encoding: chunked, chunked", body="0\r\n\r\n", row="transfer-encoding", status=(400, 501)),
    lengths("te identity", "Transfer-Encoding: identity", row="transfer-encoding", status=501),
    lengths("te gzip", "Transfer-Encoding: gzip", row="transfer-encoding", status=501),
    lengths("te empty", "Transfer-Encoding:", row="transfer-encoding", status=(400, 501)),
    lengths("te xchunked", "Transfer-Encoding: xchunked", row="transfer-encoding", status=501),
    lengths("te quoted", 'Transfer-Encoding: "chunked"', row="transfer-encoding", status=501),
    lengths("te param", "Transfer-Encoding: chunked;q=1", body="0\r\n\r\n", row="transfer-encoding", status=(400, 501)),
    lengths("te vt", "Transfer-Encoding: \x0bchunked", body="0\r\n\r\n", row="transfer-encoding", status=(400, 501)),
    lengths("te space colon", "Transfer-Encoding : chunked", body="0\r\n\r\n", row="transfer-encoding"),
    lengths("te fold", "Transfer-Encoding:\r\n chunked", body="0\r\n\r\n", row="transfer-encoding"),
    refused("te in 1.0", "POST /x HTTP/1.0\r\n" + HOST + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
            row="transfer-encoding"),
    refused("te in 1.0 keep", "POST /x HTTP/1.0\r\n" + HOST + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            + SMUGGLED, row="transfer-encoding"),
    raw("te caps", "POST /x HTTP/1.1\r\n" + HOST + "Transfer-Encoding:  ChUnKeD \r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    raw("te tab", "POST /x HTTP/1.1\r\n" + HOST + "Transfer-Encoding:\tchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        want=Want("transfer-encoding", status=200, reaches=1, told={"content-length": "2"})),
    raw("length zeros", "POST /x HTTP/1.1\r\n" + HOST + "Content-Length: 0005\r\n\r\nhello"),
    raw("length spaces", "POST /x HTTP/1.1\r\n" + HOST + "Content-Length:   5   \r\n\r\nhello"),
)
def test_framing(pair, case):
    pair.compare(case)


CHUNKY = "POST /%s HTTP/1.1\r\n" + HOST + "Transfer-Encoding: chunked\r\n\r\n"
BAD_CHUNKS = {
    "plus": "+5\r\nhello\r\n0\r\n\r\n", "minus": "-5\r\nhello\r\n0\r\n\r\n", "0x": "0x5\r\nhello\r\n0\r\n\r\n",
    "letter": "g\r\nhello\r\n0\r\n\r\n", "empty size": "\r\nhello\r\n0\r\n\r\n",
    "leading space": " 5\r\nhello\r\n0\r\n\r\n",
    "bare LF after size": "5\nhello\r\n0\r\n\r\n", "bare LF after data": "5\r\nhello\n0\r\n\r\n",
    "bare LF last": "5\r\nhello\r\n0\n\n", "bare CR": "5\rhello\r\n0\r\n\r\n",
    "data too long": "5\r\nhelloX\r\n0\r\n\r\n", "data too short": "5\r\nhell\r\n0\r\n\r\n",
    "overflow": "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n", "overflow 16": "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "LF in extension": "5;a\nb\r\nhello\r\n0\r\n\r\n", "NUL in extension": "5;a\x00\r\nhello\r\n0\r\n\r\n",
    "CR in extension": "5;a\rb\r\nhello\r\n0\r\n\r\n", "no semicolon": "5 x\r\nhello\r\n0\r\n\r\n",
    "two sizes": "5 5\r\nhello\r\n0\r\n\r\n", "long extension": "5;" + "x" * 70000 + "\r\nhello\r\n0\r\n\r\n",
    "trailer no colon": "5\r\nhello\r\n0\r\nGarbage\r\n\r\n", "trailer space colon": "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
    "trailer fold": "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
}


@cases(
    *[refused("chunk " + name, CHUNKY % "x" + body + SMUGGLED, row="strict-chunk", status=(400, 413))
      for name, body in BAD_CHUNKS.items()],
    raw("extension", CHUNKY % "x" + "5;a=b;c=\"d\"\r\nhello\r\n0;last\r\n\r\n"),
    raw("upper hex", CHUNKY % "x" + "A\r\n0123456789\r\n0\r\n\r\n"),
    raw("leading zeros", CHUNKY % "x" + "0005\r\nhello\r\n000\r\n\r\n"),
    raw("trailers dropped", CHUNKY % "x" + "5\r\nhello\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\nHost: evil\r\n\r\n"),
    raw("trailers streamed", CHUNKY % "stream" + "5\r\nhello\r\n0\r\nX-T: t\r\n\r\n",
        want=Want("streamed-framing", status=200, reaches=1, lacks=("x-t",))),
    raw("bytewise chunks", (CHUNKY % "x" + "5\r\nhello\r\n3;q\r\nabc\r\n0\r\nT: v\r\n\r\n").encode(),
        segments=[bytes([c]) for c in (CHUNKY % "x" + "5\r\nhello\r\n3;q\r\nabc\r\n0\r\nT: v\r\n\r\n").encode()]),
    raw("over limit", CHUNKY % "small" + "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", end=False),
)
def test_chunks(pair, case):
    pair.compare(case)


@cases(
    Case("GET /ret?" + "x" * 7000), Case("GET /ret?" + "x" * 8300), Case("GET /ret?" + "x" * 40000),
    Case("GET /ret", "X-Big: " + "y" * 7000), Case("GET /ret", "X-Big: " + "y" * 8300),
    Case("GET /ret", *["X-%d: %s" % (i, "y" * 6000) for i in range(3)]),
    Case("GET /ret", *["X-%d: %s" % (i, "y" * 6000) for i in range(6)]),
    Case("GET /ret", *["X-%d: y" % i for i in range(90)]),
    Case("GET /x", *["X-%d: y" % i for i in range(90)]),
    Case("GET /ret", "X-Big: " + "y" * 8100),
    Case("GET /" + "z" * 200, port="tight"), Case("GET /" + "z" * 900, port="tight"),
    Case("GET /" + "z" * 1100, port="tight"), Case("GET /", "X: " + "z" * 900, port="tight"),
    Case("GET /", "X: " + "z" * 1100, port="tight"),
    Case("GET /", "X: " + "z" * 600, "Y: " + "z" * 600, "Z: " + "z" * 600, "W: " + "z" * 600, port="tight"),
    Case("GET /ret", "Cookie: " + "c" * 8300),
)
def test_large_heads(pair, case):
    case.ignore = ("content-length",) if len(case.data) > 8000 else ()
    pair.compare(case)
