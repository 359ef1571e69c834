"""auth_request: another location decides who may see this one, as in nginx; and where nginx has no word."""

import concurrent.futures
import re
import signal
import socket
import struct
import threading

import pytest

from contrast import Case, cases
from origin import answer
from server import wait_until
from wire import Wire, fetch, request

HTTP = r"""
proxy_http_version 1.1;
log_format plain '$remote_addr "$request" $status $body_bytes_sent $uri [$user] [$upstream_status]';
access_log @prefix@/access.log plain;
map $http_x_want $mapped { default "map:$http_x_want"; }
upstream app { server @origin.app@; keepalive 8; }
upstream auth { server @origin.auth@; keepalive 8; }

server {
    listen @host@:@port@;
    server_name example.test;
    root @www@;

    location = /auth {
        internal;
        proxy_pass http://auth;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        proxy_set_header X-Original-URI $request_uri;
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header X-Uri "$uri|$args|$is_args|$document_uri";
        add_header X-From-Auth never always;
        set $seen "by auth";
    }
    location = /auth-variable { set $target auth; proxy_pass http://$target/auth; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
    location = /auth-intercept { proxy_pass http://auth/auth; proxy_intercept_errors on; error_page 401 403 = @auth-page; }
    location @auth-page { return 204; }
    location = /auth-intercept-plain { proxy_pass http://auth/auth; proxy_intercept_errors on; error_page 401 /a.txt; }
    location = /auth-200 { return 200 "yes"; }
    location = /auth-202 { return 202; }
    location = /auth-204 { return 204; }
    location = /auth-301 { return 301 /a.txt; }
    location = /auth-401 { return 401; }
    location = /auth-403 { return 403; }
    location = /auth-444 { return 444; }
    location = /auth-500 { return 500; }
    location = /auth-file { alias @www@/a.txt; }
    location = /auth-big { alias @www@/big.bin; gzip on; gzip_types *; }
    location = /auth-none { alias @www@/none; }
    location = /auth-down { proxy_pass http://127.0.0.1:1; }
    location = /auth-down-page { proxy_pass http://127.0.0.1:1; error_page 502 =200 /a.txt; }
    location = /auth-rewrite { rewrite ^ /auth last; }
    location = /auth-cycle { rewrite ^ /auth-cycle last; }
    location = /auth-tries { try_files /none /auth; }
    location = /auth-itself { auth_request /auth-itself; return 200; }
    location = /auth-denied { deny all; return 200; }
    location = /auth-basic { auth_basic "x"; auth_basic_user_file @logins@; return 200; }
    location = /auth-limit { limit_except POST { deny all; } return 200 "x"; }
    location = /auth-set { set $made "made of $uri"; return 200; }
    location = /auth-forbids { return 403; error_page 403 = @auth-page; }

    location / { auth_request /auth; proxy_pass http://app; proxy_set_header X-User $user; auth_request_set $user $upstream_http_x_user; }
    location /file/ { auth_request /auth; alias @www@/; add_header X-Here here always; }
    location /var { auth_request /auth-variable; return 200 "v"; }
    location /variable/ { auth_request /auth-variable; proxy_pass http://app; }
    location /set/ {
        auth_request /auth;
        auth_request_set $status_seen $upstream_status;
        auth_request_set $user $upstream_http_x_user;
        auth_request_set $cookie $upstream_cookie_session;
        auth_request_set $type $sent_http_content_type;
        auth_request_set $where $uri;
        auth_request_set $both "$upstream_http_x_user:$mapped:$request_uri:$request_method";
        add_header X-Set "$status_seen|$user|$cookie|$type|$where|$both|$seen" always;
        alias @www@/;
    }
    location /set/in/ { alias @www@/; }
    location /set/own/ { alias @www@/; auth_request_set $user "own"; add_header X-Set "$user|$status_seen" always; }
    location /unset/ { alias @www@/; auth_request_set $user $upstream_http_x_user; add_header X-Set "[$user]" always; }
    location /off/ { auth_request /auth; alias @www@/; location /off/in/ { auth_request off; alias @www@/; } }
    location /intercept/ { auth_request /auth-intercept; alias @www@/; }
    location /intercept-plain/ { auth_request /auth-intercept-plain; alias @www@/; }
    location /200/ { auth_request /auth-200; alias @www@/; }
    location /202/ { auth_request /auth-202; alias @www@/; }
    location /204/ { auth_request /auth-204; alias @www@/; }
    location /301/ { auth_request /auth-301; alias @www@/; }
    location /401/ { auth_request /auth-401; alias @www@/; }
    location /403/ { auth_request /auth-403; alias @www@/; }
    location /444/ { auth_request /auth-444; alias @www@/; }
    location /500/ { auth_request /auth-500; alias @www@/; }
    location /by-file/ { auth_request /auth-file; alias @www@/; }
    location /by-big/ { auth_request /auth-big; alias @www@/; }
    location /by-none/ { auth_request /auth-none; alias @www@/; }
    location /by-nothing/ { auth_request /nothing/there; alias @www@/; }
    location /by-query/ { auth_request /auth-200?x=1; alias @www@/; }
    location /by-named/ { auth_request @auth-page; alias @www@/; }
    location /down/ { auth_request /auth-down; alias @www@/; }
    location /down-page/ { auth_request /auth-down-page; alias @www@/; }
    location /rewrite/ { auth_request /auth-rewrite; alias @www@/; }
    location /cycle/ { auth_request /auth-cycle; alias @www@/; }
    location /tries/ { auth_request /auth-tries; alias @www@/; }
    location /itself/ { auth_request /auth-itself; alias @www@/; }
    location /denied/ { auth_request /auth-denied; alias @www@/; }
    location /basic/ { auth_request /auth-basic; alias @www@/; }
    location /limit/ { auth_request /auth-limit; alias @www@/; }
    location /made/ { auth_request /auth-set; add_header X-Made "[$made]"; alias @www@/; }
    location /forbids/ { auth_request /auth-forbids; alias @www@/; }

    location /any/ { satisfy any; allow 127.0.0.1; deny all; auth_request /auth; alias @www@/; }
    location /any-deny/ { satisfy any; deny all; auth_request /auth; alias @www@/; }
    location /any-basic/ { satisfy any; auth_basic "b"; auth_basic_user_file @logins@; auth_request /auth; alias @www@/; }
    location /any-all/ { satisfy any; deny all; auth_basic "b"; auth_basic_user_file @logins@; auth_request /auth; alias @www@/; }
    location /all-deny/ { deny all; auth_request /auth; alias @www@/; }
    location /all-basic/ { auth_basic "b"; auth_basic_user_file @logins@; auth_request /auth; alias @www@/; }

    location /login/ { auth_request /auth; error_page 401 = @login; alias @www@/; }
    location @login { return 302 "/sign-in?rd=$request_uri"; }
    location /login-page/ { auth_request /auth; error_page 401 /a.txt; alias @www@/; }
    location = /a.txt { }
    location /login-again/ { auth_request /auth; error_page 401 403 /login-again/a.txt; alias @www@/; }
    location /page500/ { auth_request /auth; error_page 500 =503 /50x.html; alias @www@/; }
    location = /50x.html { }
    location /index/ { auth_request /auth; alias @www@/sub/; }
    location /fall/ { auth_request /auth; try_files /none @fallen; }
    location @fallen { auth_request /auth-204; auth_request_set $user "[$user]"; return 200 "$uri $user"; }
    location /returned/ { auth_request /auth-403; return 200 "rewrite goes first"; }
    location /stream/ { auth_request /auth; proxy_pass http://app; proxy_request_buffering off; proxy_buffering off; }
}
"""

ANSWERS = {
    "200": answer("200 OK", "X-User: ann", "Content-Type: text/x-auth", "Set-Cookie: session=s1; Path=/", "Set-Cookie: other=o"),
    "201": answer("201 Created"), "204": b"HTTP/1.1 204 No Content\r\nX-User: none\r\n\r\n",
    "299": answer("299 Odd", "X-User: odd"), "301": answer("301 Moved", "Location: http://elsewhere/"),
    "302": answer("302 Found", "Location: /oauth2/sign_in"), "304": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "401": answer("401 Unauthorized", 'WWW-Authenticate: Bearer realm="r", error="e"', "X-User: nobody", "Set-Cookie: session=s2"),
    "401bare": answer("401 Unauthorized"), "403": answer("403 Forbidden", "X-User: mallory", 'WWW-Authenticate: Never'),
    "404": answer("404 Not Found"), "429": answer("429 Too Many"), "500": answer("500 Oops"), "503": answer("503 Busy"),
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "large": answer("200 OK", "X-User: large", body=b"x" * 300000),
    "junk": b"nonsense\r\n\r\n",
    "redirect": answer("200 OK", "X-Accel-Redirect: /auth-403"),
}


def decide(exchange, received):
    exchange.read_body(received)
    want = received.get("X-Want", "200")
    if want == "cut":
        exchange.send(b"HTTP/1.1 200 OK\r\nX-User: cut\r\nContent-Length: 100\r\n\r\nshort")
        exchange.close()
    elif want == "close":
        exchange.close()
    else:
        exchange.send(ANSWERS[want])
        if want == "junk":
            exchange.close()


@pytest.fixture(scope="module")
def logins(shared):
    path = shared.folder() + "/logins"
    with open(path, "w") as out:
        out.write("plain:{PLAIN}pass\nslow:" + SLOW_HASH + "\n")
    return path


@pytest.fixture(scope="module")
def pair(shared, logins):
    origins = {"app": shared.origin(), "auth": shared.origin()}
    origins["auth"].scripts["/auth"] = decide
    return shared.pair(HTTP, origins=origins, names={"logins": logins})


BASIC = "Authorization: Basic cGxhaW46cGFzcw=="
SLOW = "Authorization: Basic c2xvdzpwYXNz"         # a helper thread computes its hash: the request waits twice
SLOW_WRONG = "Authorization: Basic c2xvdzp3cm9uZw=="
SLOW_HASH = "$6$saltsalt$KN.twvCyfwE67paW76hS2/bacYkY9PxIhxqYG9vL5bZmIwWBGDJ6mu4HlCosKUBfQwVXKXxXVXPcqdwd1Ip0X/"
WRONG = "Authorization: Basic cGxhaW46d3Jvbmc="
WANTS = sorted(set(ANSWERS) - {"junk"}) + ["cut", "close"]


@pytest.mark.parametrize("want", WANTS)
def test_what_the_answer_means(pair, want):
    for path in ("/", "/file/a.txt", "/set/a.txt", "/intercept/a.txt"):
        pair.compare(Case("GET %s HTTP/1.1" % path, "X-Want: " + want))


@cases(
    "GET /x/y?a=b&c=%20d HTTP/1.1", "HEAD /x HTTP/1.1", "HEAD /file/a.txt HTTP/1.1", "GET /file/a.txt HTTP/1.0",
    "OPTIONS /x HTTP/1.1", "DELETE /x HTTP/1.1", "PROPFIND /x HTTP/1.1",
    Case("POST /x HTTP/1.1", body=b"hello"), Case("PUT /x HTTP/1.1", body=b"h" * 100000),
    Case("POST /x HTTP/1.1", "X-Want: 403", body=b"hello"),
    Case("POST /x HTTP/1.1", "X-Want: 401", body=b"h" * 100000),
    Case("POST /stream/x HTTP/1.1", body=b"hello"), Case("PUT /stream/x HTTP/1.1", body=b"h" * 300000),
    Case("POST /stream/x HTTP/1.1", "X-Want: 403", body=b"hello"),
    Case("POST /x HTTP/1.1", "Content-Type: text/x", "Cookie: a=b", "X-Forwarded-For: 1.2.3.4", body=b"z"),
    Case("GET /auth HTTP/1.1", name="internal to clients"),
    "GET /var HTTP/1.1", "GET /set/in/a.txt HTTP/1.1", "GET /set/own/a.txt HTTP/1.1", "GET /set/none HTTP/1.1",
    "GET /unset/a.txt HTTP/1.1", "GET /off/a.txt HTTP/1.1", Case("GET /off/in/a.txt HTTP/1.1", "X-Want: 403"),
    Case("GET /intercept-plain/a.txt HTTP/1.1", "X-Want: 401"),
    "GET /200/a.txt HTTP/1.1", "GET /202/a.txt HTTP/1.1", "GET /204/a.txt HTTP/1.1", "GET /301/a.txt HTTP/1.1",
    "GET /401/a.txt HTTP/1.1", "GET /403/a.txt HTTP/1.1", "GET /500/a.txt HTTP/1.1",
    "GET /by-file/a.txt HTTP/1.1", "GET /by-big/a.txt HTTP/1.1", "GET /by-none/a.txt HTTP/1.1",
    Case("GET /by-file/a.txt HTTP/1.1", "Range: bytes=0-2"), Case("GET /by-big/b.txt HTTP/1.1", "Range: bytes=1-2"),
    Case("GET /by-file/a.txt HTTP/1.1", "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT"),
    "GET /by-nothing/a.txt HTTP/1.1", "GET /by-query/a.txt HTTP/1.1", "GET /by-named/a.txt HTTP/1.1",
    "GET /down/a.txt HTTP/1.1", "GET /down-page/a.txt HTTP/1.1", "GET /rewrite/a.txt HTTP/1.1",
    Case("GET /rewrite/a.txt HTTP/1.1", "X-Want: 403"), "GET /cycle/a.txt HTTP/1.1",
    "GET /tries/a.txt HTTP/1.1", Case("GET /tries/a.txt HTTP/1.1", "X-Want: 401"),
    "GET /itself/a.txt HTTP/1.1", "GET /denied/a.txt HTTP/1.1", "GET /basic/a.txt HTTP/1.1",
    "GET /limit/a.txt HTTP/1.1", Case("POST /limit/a.txt HTTP/1.1", body=b"x"), "GET /made/a.txt HTTP/1.1",
    "GET /forbids/a.txt HTTP/1.1",
    Case("GET /any/a.txt HTTP/1.1", "X-Want: 403"), "GET /any-deny/a.txt HTTP/1.1",
    Case("GET /any-deny/a.txt HTTP/1.1", "X-Want: 401"), Case("GET /any-deny/a.txt HTTP/1.1", "X-Want: 403"),
    Case("GET /any-deny/a.txt HTTP/1.1", "X-Want: 500"),
    "GET /any-basic/a.txt HTTP/1.1", Case("GET /any-basic/a.txt HTTP/1.1", "X-Want: 401"),
    Case("GET /any-basic/a.txt HTTP/1.1", "X-Want: 401bare"), Case("GET /any-basic/a.txt HTTP/1.1", "X-Want: 403"),
    Case("GET /any-basic/a.txt HTTP/1.1", "X-Want: 403", BASIC), Case("GET /any-basic/a.txt HTTP/1.1", WRONG),
    "GET /any-all/a.txt HTTP/1.1", Case("GET /any-all/a.txt HTTP/1.1", "X-Want: 403"),
    Case("GET /any-all/a.txt HTTP/1.1", "X-Want: 401"), Case("GET /any-all/a.txt HTTP/1.1", "X-Want: 401", BASIC),
    "GET /all-deny/a.txt HTTP/1.1", "GET /all-basic/a.txt HTTP/1.1", Case("GET /all-basic/a.txt HTTP/1.1", BASIC),
    Case("GET /all-basic/a.txt HTTP/1.1", BASIC, "X-Want: 401"), Case("GET /all-basic/a.txt HTTP/1.1", BASIC, "X-Want: 401bare"),
    Case("GET /all-basic/a.txt HTTP/1.1", BASIC, "X-Want: 403"),
    *(Case("GET /%s/a.txt HTTP/1.1" % where, login, "X-Want: " + want) for where in ("all-basic", "any-basic", "any-all")
      for login in (SLOW, SLOW_WRONG) for want in ("200", "401", "403")),
    Case("GET /login/a.txt?x=y HTTP/1.1", "X-Want: 401"), Case("GET /login/a.txt HTTP/1.1", "X-Want: 403"),
    Case("POST /login/a.txt HTTP/1.1", "X-Want: 401", body=b"form"), "GET /login/a.txt HTTP/1.1",
    Case("GET /login-page/a.txt HTTP/1.1", "X-Want: 401"), Case("GET /login-again/a.txt HTTP/1.1", "X-Want: 403"),
    Case("GET /page500/a.txt HTTP/1.1", "X-Want: 302"), "GET /index/ HTTP/1.1", "GET /fall/x HTTP/1.1",
    Case("GET /fall/x HTTP/1.1", "X-Want: 403"), "GET /returned/x HTTP/1.1",
    Case("GET /file/a.txt HTTP/1.1", "Range: bytes=0-3"), Case("GET /file/a.txt HTTP/1.1", "If-None-Match: *"),
    Case("GET / HTTP/1.1", raw=request("GET /1 HTTP/1.1") + request("GET /2 HTTP/1.1", "X-Want: 403") +
         request("GET /3 HTTP/1.1"), answers=3, name="pipelined"),
    Case("POST / HTTP/1.1", raw=request("POST /1 HTTP/1.1", "X-Want: 403", body=b"b" * 5000) +
         request("GET /2 HTTP/1.1"), answers=2, methods=["POST", "GET"], name="refused with a body, then another"),
)
def test_like_nginx(pair, case):
    pair.compare(case)


def test_access_log(pair):
    """The request is logged, its subrequest is not; variables are the request's own."""
    for one in (pair.oracle, pair.subject):
        for want in ("200", "403", "500"):
            fetch(one.address(), "GET /logged-%s HTTP/1.1" % want, "X-Want: " + want)
        wait_until(lambda: "logged-500" in one.read("access.log"), what="the last line")
    lines = [[line for line in pair.plain(role, one.read("access.log")).splitlines() if "/logged-" in line]
             for role, one in pair.servers.items()]
    assert lines[0] == lines[1] and len(lines[0]) == 3


def test_error_log(pair):
    for one in (pair.oracle, pair.subject):
        fetch(one.address(), "GET /file/said HTTP/1.1", "X-Want: 302")
        fetch(one.address(), "GET /down/said HTTP/1.1")
        wait_until(lambda: "unexpected status: 502" in one.errors(), what="the last line")
        assert re.search(r'auth request unexpected status: 302( while sending to client)?, client: 127\.0\.0\.1, '
                         r'server: example\.test, request: "GET /file/said HTTP/1\.1", host', one.errors())
        assert ('server: example.test, request: "GET /down/said HTTP/1.1", subrequest: "/auth-down", '
                'upstream: "http://127.0.0.1:1/auth-down"') in one.errors()


@pytest.fixture
def script(pair):
    """Plays the auth service otherwise for one test."""
    def play(function):
        pair.origins["auth"].scripts["/auth"] = function
    yield play
    pair.origins["auth"].scripts["/auth"] = decide


def test_two_challenges(pair, script):
    """nginx 1.22 passes one of them, newer ones both."""
    script(lambda e, r: e.send(answer("401 No", "WWW-Authenticate: Negotiate", 'WWW-Authenticate: Basic realm="x"')))
    got = fetch(pair.subject.address(), "GET /file/a.txt HTTP/1.1")
    assert got.status == 401 and got.all("WWW-Authenticate") == ["Negotiate", 'Basic realm="x"']


def test_challenge_of_the_last(pair):
    """An error page that is refused too: one challenge (nginx repeats it)."""
    got = fetch(pair.subject.address(), "GET /login-again/a.txt HTTP/1.1", "X-Want: 401")
    assert got.status == 401 and len(got.all("WWW-Authenticate")) == 1


def test_no_answer_at_all(pair):
    """What is no HTTP lets nobody in (nginx takes it for HTTP/0.9, a success)."""
    assert fetch(pair.subject.address(), "GET /file/a.txt HTTP/1.1", "X-Want: junk").status == 500


def test_upgrade_is_refused(pair, script):
    """An auth service that switches protocols has not said yes."""
    script(lambda e, r: e.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"))
    got = fetch(pair.subject.address(), "GET /file/a.txt HTTP/1.1", "Connection: upgrade", "Upgrade: x")
    assert got.status == 500


def test_kept_connections(pair):
    """The auth service is asked over kept connections, the client's stays open through every outcome."""
    auth = pair.origins["auth"]
    before = auth.connections
    with Wire(pair.subject.address()) as wire:
        for want, status in (("200", 200), ("403", 403), ("large", 200), ("401", 401), ("chunked", 200)) * 20:
            assert wire.ask(request("GET /file/a.txt HTTP/1.1", "X-Want: " + want)).status == status
    assert auth.connections - before <= 3


LIVELY = r"""
proxy_http_version 1.1;
log_format plain '$request_uri $status $request_time';
access_log @prefix@/access.log plain;
upstream auth { server @origin.auth@ max_conns=2 max_fails=0; queue 2000 timeout=20s; }
server {
    listen @host@:@port@;
    root @www@;
    location = /auth { internal; proxy_pass http://auth; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
    location = /auth-plain { proxy_pass http://@origin.auth@/auth; }
    location = /auth-impatient { proxy_pass http://@origin.auth@/auth; proxy_read_timeout 200ms; }
    location = /auth-ignoring { proxy_pass http://@origin.auth@/auth; proxy_ignore_client_abort on; }
    location / { auth_request /auth; proxy_pass http://@origin.app@; }
    location /free/ { alias @www@/; }
    location /plain/ { auth_request /auth-plain; proxy_pass http://@origin.app@; }
    location /plain-stream/ { auth_request /auth-plain; proxy_request_buffering off; proxy_pass http://@origin.app@; }
    location /impatient/ { auth_request /auth-impatient; alias @www@/; }
    location /ignoring/ { auth_request /auth-ignoring; alias @www@/; }
    location /second { auth_request /auth-plain; return 204; }
}
"""


class Held:
    """An auth service that answers when it is let."""

    def __init__(self):
        self.go = threading.Event()
        self.gone = threading.Event()

    def __call__(self, exchange, received):
        exchange.read_body(received)
        exchange.socket.settimeout(0.01)
        while not self.go.is_set():
            try:
                if exchange.socket.recv(1, socket.MSG_PEEK) == b"":
                    self.gone.set()
                    exchange.close()
                    return
            except socket.timeout:
                continue
            except OSError:
                self.gone.set()
                exchange.close()
                return
        exchange.socket.settimeout(None)
        exchange.send(ANSWERS[received.get("X-Want", "200")])


@pytest.fixture
def lively(own):
    origins = {"app": own.origin(), "auth": own.origin()}
    origins["auth"].scripts["/auth"] = decide
    one = own.server(LIVELY, names={"origin." + name: origin.name for name, origin in origins.items()})
    one.origins = origins
    return one


def hold(one):
    held = Held()
    one.origins["auth"].scripts["/auth"] = held
    return held


@pytest.mark.wproxy_only
def test_slow_service_holds_nobody_else(lively):
    held = hold(lively)
    with Wire(lively.address()) as slow:
        slow.send(request("GET /slow HTTP/1.1"))
        lively.origins["auth"].take(1)
        for _ in range(50):
            assert fetch(lively.address(), "GET /free/a.txt HTTP/1.1").status == 200
        assert not slow.readable()
        assert lively.origins["app"].take() == []
        held.go.set()
        assert slow.read_response().status == 200
    wait_until(lambda: "/slow 200" in lively.read("access.log"), what="the line")


@pytest.mark.wproxy_only
@pytest.mark.parametrize("path", ["/plain/x", "/plain-stream/x"])
@pytest.mark.parametrize("framing", ["length", "chunked", "expect"])
def test_body_goes_to_the_application_only(lively, path, framing):
    """Also where nobody said proxy_pass_request_body off: nginx announces a body that never comes."""
    body = bytes(range(256)) * 1200
    with Wire(lively.address()) as wire:
        for _ in range(3):
            if framing == "length":
                wire.send(request("POST %s HTTP/1.1" % path, body=body))
            elif framing == "expect":
                wire.send(request("POST %s HTTP/1.1" % path, "Expect: 100-continue", "Content-Length: %d" % len(body)))
                wire.read_until(b"100 Continue\r\n\r\n")
                wire.send(body)
            else:
                wire.send(request("POST %s HTTP/1.1" % path, "Transfer-Encoding: chunked"))
                for at in range(0, len(body), 50000):
                    piece = body[at:at + 50000]
                    wire.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
                wire.send(b"0\r\n\r\n")
            assert wire.read_response("POST").status == 200
            asked, = lively.origins["auth"].take(1)
            got, = lively.origins["app"].take(1)
            assert got.method == "POST" and got.body == body and got.complete
            assert asked.method == "GET" and asked.body == b"" and asked.get("Transfer-Encoding") is None
            assert asked.get("Content-Length") in (None, "0") and asked.get("Expect") is None


@pytest.mark.wproxy_only
def test_impatience_and_death(lively):
    hold(lively)
    assert fetch(lively.address(), "GET /impatient/a.txt HTTP/1.1").status == 500
    lively.wait_logged("auth request unexpected status: 504")
    lively.origins["auth"].refuse()
    assert fetch(lively.address(), "GET /impatient/a.txt HTTP/1.1").status == 500
    lively.wait_logged("auth request unexpected status: 502")
    lively.origins["auth"].listen()
    lively.origins["auth"].scripts["/auth"] = decide
    assert fetch(lively.address(), "GET /impatient/a.txt HTTP/1.1").status == 200


@pytest.mark.wproxy_only
@pytest.mark.parametrize("path", ["/left", "/plain/left", "/ignoring/left"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_leaves(lively, path, how):
    """The auth service's connection is closed, or given up, and the application is never asked."""
    held = hold(lively)
    wire = Wire(lively.address())
    wire.send(request("GET %s HTTP/1.1" % path))
    lively.origins["auth"].take(1)
    if how == "reset":
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()
    wait_until(lambda: path + " 499" in lively.read("access.log"), what="the line of who left")
    if path == "/plain/left":
        assert held.gone.wait(5)
    held.go.set()
    assert fetch(lively.address(), "GET /second HTTP/1.1").status == 204
    assert lively.origins["app"].take() == []


@pytest.mark.wproxy_only
def test_reload_in_the_middle(lively):
    """What was asked under the old file is answered by it; the next request is the new one's."""
    held = hold(lively)
    with Wire(lively.address()) as wire:
        wire.send(request("GET /old HTTP/1.1"))
        lively.origins["auth"].take(1)
        lively.write(LIVELY.replace("auth_request /auth;", "auth_request off; return 418;").replace("alias @www@/;", "return 418;"))
        since = len(lively.errors())
        lively.kick(signal.SIGHUP)
        wait_until(lambda: fetch(lively.address(), "GET /free/a.txt HTTP/1.1").status == 418, what="the new file")
        held.go.set()
        assert wire.read_response().status == 200
        assert wire.ask(request("GET /new HTTP/1.1")).status == 418
    assert "alert" not in lively.errors()[since:]


@pytest.mark.wproxy_only
def test_quit_waits_for_it(lively):
    held = hold(lively)
    with Wire(lively.address()) as wire:
        wire.send(request("GET /last HTTP/1.1"))
        lively.origins["auth"].take(1)
        lively.kick(signal.SIGQUIT)
        lively.wait_logged("gracefully")
        held.go.set()
        assert wire.read_response().status == 200
    assert lively.wait() == 0


@pytest.mark.wproxy_only
def test_term_ends_it(lively):
    hold(lively)
    with Wire(lively.address()) as wire:
        wire.send(request("GET /last HTTP/1.1"))
        lively.origins["auth"].take(1)
        lively.stop()


@pytest.mark.wproxy_only
def test_thousand_requests(lively):
    """Twenty clients, two slots at the auth service, every outcome: nobody gets another's."""
    meanings = {"200": 200, "401": 401, "403": 403, "302": 500, "204": 200}

    def client(number):
        wire = Wire(lively.address())
        for turn in range(50):
            want = sorted(meanings)[(number + turn) % len(meanings)]
            got = wire.ask(request("POST /%d/%d HTTP/1.1" % (number, turn), "X-Want: " + want, body=b"b" * 100), "POST")
            if got.status != meanings[want]:
                return "%s for %s" % (got.status, want)
            if not got.persistent:      # a 500 ends the connection, as in nginx
                wire.close()
                wire = Wire(lively.address())
        wire.close()
        return None
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert [said for said in pool.map(client, range(20)) if said] == []
    assert len(lively.origins["app"].take()) == 400


# --- the documented deployments ---------------------------------------------------------------

OAUTH2_PROXY = r"""
server {
    listen @host@:@port@;
    server_name example.test;
    location /oauth2/ {
        proxy_pass http://@origin.auth@;
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Auth-Request-Redirect $request_uri;
    }
    location = /oauth2/auth {
        proxy_pass http://@origin.auth@;
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-Uri $request_uri;
        proxy_set_header Content-Length "";
        proxy_pass_request_body off;
    }
    location / {
        auth_request /oauth2/auth;
        error_page 401 =403 /oauth2/sign_in;
        auth_request_set $user $upstream_http_x_auth_request_user;
        auth_request_set $email $upstream_http_x_auth_request_email;
        proxy_set_header X-User $user;
        proxy_set_header X-Email $email;
        auth_request_set $token $upstream_http_x_auth_request_access_token;
        proxy_set_header X-Access-Token $token;
        auth_request_set $auth_cookie $upstream_http_set_cookie;
        add_header Set-Cookie $auth_cookie;
        auth_request_set $auth_cookie_name_upstream_1 $upstream_cookie_auth_cookie_name_1;
        if ($auth_cookie ~* "(; .*)") {
            set $auth_cookie_name_0 $auth_cookie;
            set $auth_cookie_name_1 "auth_cookie_name_1=$auth_cookie_name_upstream_1$1";
        }
        if ($auth_cookie_name_upstream_1) {
            add_header Set-Cookie $auth_cookie_name_0;
            add_header Set-Cookie $auth_cookie_name_1;
        }
        proxy_pass http://@origin.app@/;
    }
    location /redirected/ {
        auth_request /oauth2/auth;
        error_page 401 = @oauth2_signin;
        proxy_pass http://@origin.app@;
    }
    location @oauth2_signin { return 302 /oauth2/sign_in?rd=$scheme://$host$request_uri; }
}
"""

AUTHELIA = r"""
server {
    listen @host@:@port@;
    server_name example.test;
    location /authelia {
        internal;
        set $upstream_authelia http://@origin.auth@/api/verify;
        proxy_pass_request_body off;
        proxy_pass $upstream_authelia;
        proxy_set_header Content-Length "";
        proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header X-Forwarded-Method $request_method;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_next_upstream error timeout invalid_header http_500 http_502 http_503;
        client_body_buffer_size 128k;
        proxy_redirect http:// $scheme://;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffers 64 256k;
        send_timeout 5m;
    }
    location / {
        auth_request /authelia;
        auth_request_set $target_url $scheme://$http_host$request_uri;
        auth_request_set $user $upstream_http_remote_user;
        auth_request_set $groups $upstream_http_remote_groups;
        proxy_set_header Remote-User $user;
        proxy_set_header Remote-Groups $groups;
        error_page 401 =302 https://auth.example.test/?rd=$target_url;
        proxy_set_header Host $host;
        proxy_pass http://@origin.app@;
    }
}
"""

VOUCH = r"""
server {
    listen @host@:@port@;
    server_name example.test;
    auth_request /validate;
    location = /validate {
        proxy_pass http://@origin.auth@/validate;
        proxy_set_header Host $http_host;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        auth_request_set $auth_resp_x_vouch_user $upstream_http_x_vouch_user;
        auth_request_set $auth_resp_jwt $upstream_http_x_vouch_jwt;
        auth_request_set $auth_resp_err $upstream_http_x_vouch_err;
        auth_request_set $auth_resp_failcount $upstream_http_x_vouch_failcount;
    }
    error_page 401 = @error401;
    location @error401 {
        return 302 https://vouch.example.test/login?url=$scheme://$http_host$request_uri&vouch-failcount=$auth_resp_failcount&X-Vouch-Token=$auth_resp_jwt&error=$auth_resp_err;
    }
    location / {
        auth_request_set $auth_resp_x_vouch_user $upstream_http_x_vouch_user;
        proxy_set_header X-Vouch-User $auth_resp_x_vouch_user;
        proxy_pass http://@origin.app@;
    }
    location /files/ { alias @www@/; }
}
"""


def verify(exchange, received):
    """Who has the cookie is ann, who has another is refused, the rest are asked to sign in."""
    exchange.read_body(received)
    cookie = received.get("Cookie", "")
    if "good" in cookie:
        exchange.send(answer("202 Accepted", "X-Auth-Request-User: ann", "X-Auth-Request-Email: ann@example.test",
                             "X-Auth-Request-Access-Token: t0k", "Remote-User: ann", "Remote-Groups: a,b", "X-Vouch-User: ann",
                             "Set-Cookie: auth_cookie_name=one; Path=/; Secure", "Set-Cookie: auth_cookie_name_1=two; Path=/"))
    elif cookie:
        exchange.send(answer("403 Forbidden", body="<h1>no</h1>"))
    else:
        exchange.send(answer("401 Unauthorized", "Location: /sign-in", "X-Vouch-Err: no jwt", "X-Vouch-Failcount: 1",
                             body="<h1>who?</h1>"))


@pytest.fixture(scope="module", params=["oauth2-proxy", "authelia", "vouch"])
def deployment(shared, request):
    files = {"oauth2-proxy": OAUTH2_PROXY, "authelia": AUTHELIA, "vouch": VOUCH}
    origins = {"app": shared.origin(), "auth": shared.origin()}
    for path in ("/oauth2/auth", "/api/verify", "/validate"):
        origins["auth"].scripts[path] = verify
    return shared.pair("proxy_http_version 1.1;" + files[request.param], origins=origins)


@cases(*(Case(line, *headers, body=body)
         for headers in ((), ("Cookie: good=1",), ("Cookie: bad=1",))
         for line, body in (("GET /page?a=1&b=2 HTTP/1.1", b""), ("HEAD /page HTTP/1.1", b""), ("POST /form HTTP/1.1", b"a=b"),
                            ("GET /redirected/x?y=z HTTP/1.1", b""), ("GET /files/a.txt HTTP/1.1", b""),
                            ("GET /oauth2/sign_in HTTP/1.1", b""), ("GET /oauth2/auth HTTP/1.1", b""),
                            ("GET /authelia HTTP/1.1", b""), ("GET /validate HTTP/1.1", b""))))
def test_deployment(deployment, case):
    deployment.compare(case)


def test_log_subrequest(own):
    origins = {"auth": own.origin()}
    origins["auth"].scripts["/auth"] = decide
    pair = own.pair(r"""
log_format sub '$request_uri $uri $status $body_bytes_sent $upstream_status $request_method';
access_log @prefix@/access.log sub;
server { listen @host@:@port@; root @www@;
    location / { auth_request /auth; auth_request_set $x $upstream_http_x_user; }
    location = /auth { proxy_pass http://@origin.auth@; log_subrequest on; } }
""", origins=origins)
    for one in (pair.oracle, pair.subject):
        for want in ("200", "403"):
            fetch(one.address(), "GET /a.txt?%s HTTP/1.1" % want, "X-Want: " + want)
        wait_until(lambda: one.read("access.log").count("\n") == 4, what="four lines")
    # threads have buffers of their own
    assert sorted(pair.subject.read("access.log").split("\n")) == sorted(pair.oracle.read("access.log").split("\n"))
