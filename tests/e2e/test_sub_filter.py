"""sub_filter: strings of a body replaced on its way, as in nginx, however the body is cut."""

import random
import re
import subprocess
import threading

import pytest

from contrast import Case, cases
from origin import answer
from wire import Wire, fetch, request

HTTP = r"""
proxy_http_version 1.1;
default_type text/html;
server {
    listen @host@:@port@;
    server_name example.test;
    root @www@;

    location / { sub_filter a A; alias @www@/; }
    location /every/ { sub_filter a [a]; sub_filter_once off; alias @www@/; }
    location /head/ { sub_filter '</h1>' '<small>$host</small></h1>'; alias @www@/; }
    location /several/ { sub_filter p P1; sub_filter '<P>' '<p class="x">'; sub_filter '&amp;' 'and'; sub_filter_once off; alias @www@/; }
    location /several-once/ { sub_filter p P1; sub_filter '<P>' '<p class="x">'; sub_filter '&amp;' 'and'; alias @www@/; }
    location /order/ { sub_filter '<p>a' 1; sub_filter '<p>' 2; sub_filter '<p>a &amp; b' 3; sub_filter_once off; alias @www@/; }
    location /longest/ { sub_filter '<p>a &amp; b' 3; sub_filter '<p>a' 1; sub_filter '<p>' 2; alias @www@/; }
    location /case/ { sub_filter 'TOP' 'bottom'; alias @www@/; }
    location /empty-value/ { sub_filter 'a' ''; sub_filter_once off; alias @www@/; }
    location /nothing/ { sub_filter 'not there' 'x'; alias @www@/; }
    location /modified/ { sub_filter a A; sub_filter_last_modified on; alias @www@/; }
    location /types/ { sub_filter a A; sub_filter_types text/css application/javascript; alias @www@/; }
    location /any/ { sub_filter a A; sub_filter_types *; alias @www@/; location /any/typeless/ { types { } default_type ""; alias @www@/; } }
    location /off/ { sub_filter a A; alias @www@/; location /off/in/ { sub_filter b B; alias @www@/; } location /off/same/ { alias @www@/; } }
    location /variable/ { sub_filter "$arg_from" "$arg_to:$uri:$upstream_status"; sub_filter_once off; alias @www@/; }
    location /variables/ { sub_filter "$arg_from" 1; sub_filter "$arg_also" 2; sub_filter b 3; alias @www@/; }
    location /gzip/ { sub_filter a AAA; sub_filter_once off; gzip on; gzip_min_length 1; alias @www@/; }
    location /return { sub_filter o 0; return 200 "hello $arg_x, good old world o"; }
    location /return-404 { sub_filter 'not found' 'here'; sub_filter '<hr>' '<hr><hr>'; sub_filter_once off; return 404; }
    location /page { sub_filter custom our; error_page 404 /404.html; return 404; }
    location = /404.html { sub_filter custom our; }
    location /redirect { sub_filter Moved Gone; return 301 /x; }
    location /204 { sub_filter a b; return 204; }
    location /added/ { sub_filter a A; add_header X-Length "[$sent_http_content_length]"; add_trailer X-T t; expires 1h; charset utf-8; alias @www@/; }
    location /big/ { sub_filter "\x00\x01" "x"; sub_filter_types *; sub_filter_once off; alias @www@/; }
    location /proxy/ { sub_filter one ONE; sub_filter 'two three' '23'; sub_filter_once off; proxy_pass http://@origin.app@; }
    location /proxy-any/ { sub_filter one ONE; sub_filter_types *; sub_filter_once off; sub_filter_last_modified on; proxy_pass http://@origin.app@; }
    location /proxy-gzip/ { sub_filter one ONE; sub_filter_once off; gzip on; gzip_min_length 1; gzip_proxied any; proxy_pass http://@origin.app@; }
    location /stream/ { sub_filter one ONE; sub_filter_once off; proxy_buffering off; proxy_pass http://@origin.app@; }
    location /grow/ { sub_filter one "$arg_x ONE and much more than that"; sub_filter_once off; proxy_pass http://@origin.app@/stream/; }
    location /accel/ { sub_filter one ONE; proxy_pass http://@origin.app@; }
    location /star-gzip/ { types { } default_type ""; gzip on; gzip_types *; gzip_min_length 1; alias @www@/; }
}
"""

PAGE = "Content-Type: text/html"
TEXT = b"one, two three, ONE two three, onetwo threeone on e two  three"
STAMP = "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.fixture(scope="module")
def pair(shared):
    return shared.pair(HTTP, origins={"app": shared.origin()})


def proxied(path, *headers, reply, **options):
    return Case("GET %s HTTP/1.1" % path, *headers, reply=reply, name=options.pop("name", None) or path, **options)


def chunks(*parts, headers=(PAGE,)):
    return ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + "".join(h + "\r\n" for h in headers) + "\r\n").encode() + b"".join(
        b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@cases(
    "GET /a.html HTTP/1.1", "GET /index.html HTTP/1.1", "GET /a.txt HTTP/1.1", "GET /empty.txt HTTP/1.1", "GET /a.html HTTP/1.0",
    "HEAD /a.html HTTP/1.1", "HEAD /a.txt HTTP/1.1", "GET /none HTTP/1.1", "GET /sub/ HTTP/1.1", "GET /sub HTTP/1.1", "POST /a.html HTTP/1.1",
    "GET /every/a.html HTTP/1.1", "GET /head/index.html HTTP/1.1", "GET /several/a.html HTTP/1.1", "GET /several-once/a.html HTTP/1.1",
    "GET /order/a.html HTTP/1.1", "GET /longest/a.html HTTP/1.1", "GET /case/index.html HTTP/1.1", "GET /empty-value/a.html HTTP/1.1",
    "GET /nothing/a.html HTTP/1.1", "GET /modified/a.html HTTP/1.1", "HEAD /modified/a.html HTTP/1.1", "GET /types/style.css HTTP/1.1",
    "GET /types/app.js HTTP/1.1", "GET /types/a.html HTTP/1.1", "GET /types/a.txt HTTP/1.1", "GET /any/a.txt HTTP/1.1",
    "GET /any/data.json HTTP/1.1", "GET /any/typeless/a.txt HTTP/1.1", "GET /off/a.html HTTP/1.1", "GET /off/in/a.html HTTP/1.1",
    "GET /off/same/a.html HTTP/1.1",
    "GET /variable/a.html?from=a&to=b HTTP/1.1", "GET /variable/a.html?from=AMP&to=b HTTP/1.1", "GET /variable/a.html HTTP/1.1",
    "GET /variables/a.html?from=a&also=mp HTTP/1.1", "GET /variables/a.html?also=p HTTP/1.1", "GET /variables/a.html HTTP/1.1",
    Case("GET /gzip/a.html HTTP/1.1", "Accept-Encoding: gzip"), "GET /gzip/a.html HTTP/1.1", Case("HEAD /gzip/a.html HTTP/1.1", "Accept-Encoding: gzip"),
    "GET /return?x=foo HTTP/1.1", "GET /return-404 HTTP/1.1", "HEAD /return-404 HTTP/1.1", "GET /page HTTP/1.1", "GET /redirect HTTP/1.1",
    "GET /204 HTTP/1.1", "GET /added/a.html HTTP/1.1", "HEAD /added/a.html HTTP/1.1",
    Case("GET /a.html HTTP/1.1", "Range: bytes=3-9"), Case("GET /modified/a.html HTTP/1.1", "Range: bytes=3-9"),
    Case("GET /a.html HTTP/1.1", "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT"), Case("GET /a.html HTTP/1.1", "If-None-Match: *"),
    Case("GET /a.html HTTP/1.1", 'If-Match: "x"'), Case("GET /modified/a.html HTTP/1.1", "If-None-Match: *"),
    Case("GET / HTTP/1.1", raw=request("GET /a.html HTTP/1.1") + request("HEAD /a.html HTTP/1.1") + request("GET /a.txt HTTP/1.1"),
         answers=3, methods=["GET", "HEAD", "GET"], name="pipelined"),
    Case("GET /star-gzip/style.css HTTP/1.1", "Accept-Encoding: gzip"),
    "GET /big/big.bin HTTP/1.1",
    proxied("/proxy/length", reply=answer("200 OK", PAGE, body=TEXT)),
    proxied("/proxy/charset", reply=answer("200 OK", PAGE + "; charset=utf-8", body=TEXT)),
    proxied("/proxy/plain", reply=answer("200 OK", "Content-Type: text/plain", body=TEXT)),
    proxied("/proxy/typeless", reply=answer("200 OK", body=TEXT)), proxied("/proxy-any/typeless", reply=answer("200 OK", body=TEXT)),
    proxied("/proxy/none", reply=answer("200 OK", PAGE, body=b"")), proxied("/proxy/404", reply=answer("404 Not Found", PAGE, body=TEXT)),
    proxied("/proxy/500", reply=answer("500 Oops", PAGE, body=TEXT)), proxied("/proxy/204", reply=b"HTTP/1.1 204 No\r\nContent-Type: text/html\r\n\r\n"),
    proxied("/proxy/304", reply=b"HTTP/1.1 304 Not Modified\r\nContent-Type: text/html\r\nETag: \"x\"\r\nLast-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\n"),
    proxied("/proxy/validators", reply=answer("200 OK", PAGE, 'ETag: "x"', STAMP, "Accept-Ranges: bytes", body=TEXT)),
    proxied("/proxy-any/validators", reply=answer("200 OK", PAGE, 'ETag: "x"', STAMP, "Accept-Ranges: bytes", body=TEXT)),
    proxied("/proxy-any/weak", reply=answer("200 OK", PAGE, 'ETag: W/"x"', body=TEXT)),
    proxied("/proxy-any/bad-etag", reply=answer("200 OK", PAGE, 'ETag: x', body=TEXT)),
    proxied("/proxy/encoded", reply=answer("200 OK", PAGE, "Content-Encoding: gzip", body=TEXT), ignore=("content-encoding",)),
    proxied("/proxy/range", "Range: bytes=0-3", reply=answer("206 Partial Content", PAGE, "Content-Range: bytes 0-3/100", body=b"one,")),
    proxied("/proxy-gzip/x", "Accept-Encoding: gzip", reply=answer("200 OK", PAGE, 'ETag: "x"', STAMP, body=TEXT * 50)),
    proxied("/proxy/chunked", reply=chunks(b"on", b"e, tw", b"o three", b" o", b"n", b"e")),
    proxied("/proxy/unfinished", reply=chunks(b"one on")), proxied("/proxy/bytes", reply=chunks(*(TEXT[i:i + 1] for i in range(len(TEXT))))),
    proxied("/stream/chunked", reply=chunks(b"on", b"e, tw", b"o three", b" o", b"n", b"e")), proxied("/stream/unfinished", reply=chunks(b"one on")),
    proxied("/accel/x", reply=answer("200 OK", "X-Accel-Redirect: /a.html")),
)
def test_like_nginx(pair, case):
    pair.compare(case)


@pytest.mark.parametrize("size", [1, 7, 16383, 16384, 16385, 70000])
def test_cut_anywhere(own, size):
    """A body in pieces of that size; needles over every seam, held to a search of the whole."""
    app = own.origin()
    one = own.server(HTTP, names={"origin.app": app.name})
    rng = random.Random(size)
    body = b"".join(rng.choice((b"one", b"ONE ", b"on", b"two three", b"two thre", b"e", b"o", b"x" * rng.randrange(40)))
                    for _ in range(300 if size < 10 else 30000))
    want = re.sub(b"(?i)one|two three", lambda m: b"ONE" if m.group().lower() == b"one" else b"23", body)
    app.reply = chunks(*(body[at:at + size] for at in range(0, len(body), size)))
    assert fetch(one.address(), "GET /proxy/x HTTP/1.1").body == want
    app.reply = answer("200 OK", PAGE, body=body)
    assert fetch(one.address(), "GET /proxy/x HTTP/1.1").body == want
    assert fetch(one.address(), "GET /stream/x HTTP/1.1").body == re.sub(b"(?i)one", b"ONE", body)
    assert fetch(one.address(), "GET /proxy-gzip/x HTTP/1.1", "Accept-Encoding: gzip").inflated() == re.sub(b"(?i)one", b"ONE", body)


@pytest.mark.wproxy_only
def test_nothing_is_held_back(own):
    """Unbuffered, each byte that cannot begin a needle is there before the next is sent."""
    app = own.origin()
    one = own.server(HTTP, names={"origin.app": app.name})
    step, seen = threading.Semaphore(0), []

    def play(exchange, received):
        exchange.read_body(received)
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (b"hey", b" o", b"n", b"ly on", b"e!"):
            exchange.send(b"%x\r\n%s\r\n" % (len(part), part))
            assert step.acquire(timeout=20)
        exchange.send(b"0\r\n\r\n")
    app.scripts["/stream/x"] = play
    with Wire(one.address()) as wire:
        wire.send(request("GET /stream/x HTTP/1.1"))
        for text, more in ((b"hey", 1), (b" ", 2), (b"only ", 1), (b"ONE!", 1)):
            seen.append(wire.read_until(b"\r\n" + text + b"\r\n"))
            for _ in range(more):
                step.release()
        wire.read_until(b"0\r\n\r\n")
    assert b"ONE" not in b"".join(seen[:3])


@pytest.mark.wproxy_only
def test_slow_reader_of_a_long_body(own):
    """A long body that grows on its way costs no more than a part of it."""
    app = own.origin()
    one = own.server(HTTP, names={"origin.app": app.name})
    piece = b"one" * 20000

    def play(exchange, received):
        exchange.read_body(received)
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1000):
            if not exchange.send(b"%x\r\n%s\r\n" % (len(piece), piece)):
                return
        exchange.send(b"0\r\n\r\n")
    app.scripts["/stream/x"] = play

    def memory():
        with open("/proc/%d/status" % one.worker()) as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))
    fetch(one.address(), "GET /a.html HTTP/1.1")
    before = memory()
    with Wire(one.address(), receive_buffer=65536) as wire:
        wire.send(request("GET /grow/x HTTP/1.1"))
        head = wire.read_head()
        assert head.status == 200
        for _ in range(200):
            wire.read_exactly(100000)
            assert memory() - before < 48 * 1024


def test_errors_of_the_file(pair):
    """Words of errors are nginx's."""
    for text in ("sub_filter '' x;", "sub_filter a;", "sub_filter a b c;", "sub_filter_once maybe;",
                 "sub_filter_last_modified 1;", "sub_filter_once on; sub_filter_once on;"):
        said = []
        for one in (pair.oracle, pair.subject):
            path = one.prefix + "/wrong.conf"
            with open(path, "w") as out:
                out.write("events { }\nhttp {\n%s\n}\n" % text)
            done = subprocess.run([one.binary, "-t", "-c", path, "-p", one.prefix + "/"], capture_output=True, text=True)
            assert done.returncode != 0
            said.append(re.search(r"\[emerg\] (?:\d+#\d+: )?(.*?) in ", done.stderr.replace(one.prefix, "")).group(1))
        assert said[0] == said[1]
