"""Who may, who is it, and what is added: access, auth_basic, realip, geo, split_clients, headers."""

import base64
import os
import re

import pytest

from contrast import Case, cases
from server import wait_until

LOGINS = r"""# a comment:with colon
plain:{PLAIN}pass
apr1:$apr1$abcdefgh$rK/lObuciIG5ziaV8BdHR/
sha512:$6$saltsalt$KN.twvCyfwE67paW76hS2/bacYkY9PxIhxqYG9vL5bZmIwWBGDJ6mu4HlCosKUBfQwVXKXxXVXPcqdwd1Ip0X/
sha:{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ=
ssha:{SSHA}EfVjnyJSUVXLC0NXPuQhKDjHjYdzYWx0:and a comment
crypt:aaW3cJZ7OSoQM
empty:
nocolon
"""

HTTP = r"""
proxy_http_version 1.1;
map $remote_port $port_kind { ~^\d+$ number; default "[$remote_port]"; }
geo $net { default other; 127.0.0.0/8 loop; 127.0.0.1 self; 10.0.0.0/8 ten; 10.1.0.0/16 ten-one; 2001:db8::/32 doc; delete 10.2.0.0/16; }
geo $arg_ip $given { default none; 10.0.0.0/8 ten; 10.1.0.0/16 ten-one; 10.1.2.3 exact; 2001:db8::/32 doc; 255.255.255.255 bad; ::1 six; 0.0.0.0/1 low; }
geo $arg_ip $ranged { ranges; default none; 10.0.0.0-10.0.0.255 first; 10.0.1.0-10.1.255.255 second; 10.2.0.0-10.2.0.0 single; 128.0.0.0-255.255.255.254 high; }
geo $proxied { default far; proxy 127.0.0.0/8; proxy 10.0.0.0/8; proxy_recursive; 9.0.0.0/8 nine; 10.0.0.0/8 ten; }
geo $proxied_once { default far; proxy 127.0.0.0/8; proxy 10.0.0.0/8; 9.0.0.0/8 nine; 10.0.0.0/8 ten; }
split_clients $arg_s $half { 50% a; * b; }
split_clients "x$arg_s" $parts { 0.5% tiny; 20% some; 33.33% third; * rest; }
split_clients $arg_s $partly { 10% in; }

server {
    listen @host@:@port@;
    server_name example.test;
    root @www@;

    location /allow/ { alias @www@/; allow 127.0.0.1; deny all; }
    location /deny/ { alias @www@/; deny 127.0.0.1; allow all; }
    location /denynet/ { alias @www@/; allow 127.0.0.0/30; deny all; }
    location /denyelse/ { alias @www@/; allow 10.0.0.0/8; deny all; }
    location /six/ { alias @www@/; deny ::1; deny 2001:db8::/32; }
    location /unix/ { alias @www@/; allow unix:; deny all; }
    location /first/ { alias @www@/; deny 127.0.0.1; deny all; location /first/in/ { allow all; } location /first/same/ { alias @www@/; } }
    location /denypage/ { alias @www@/; deny all; error_page 403 /a.txt; }
    location /denyvia/ { alias @www@/; deny all; error_page 403 = @ok; }
    location @ok { return 200 "ok $uri"; }

    location /le/ { alias @www@/; limit_except GET { deny all; } }
    location /lepost/ { limit_except POST { deny all; } return 200 "le $request_method"; }
    location /leallow/ { alias @www@/; limit_except GET { allow 127.0.0.1; deny all; } }
    location /leauth/ { alias @www@/; limit_except GET { auth_basic "writers"; auth_basic_user_file @logins@; } }
    location /lelower/ { alias @www@/; limit_except get head { deny all; } }

    location /auth/ { alias @www@/; auth_basic "the realm"; auth_basic_user_file @logins@; }
    location /authvar/ { alias @www@/; auth_basic "realm $arg_r"; auth_basic_user_file @logins@; }
    location /authoff/ { alias @www@/; auth_basic "x"; auth_basic_user_file @logins@; location /authoff/in/ { alias @www@/; auth_basic off; } }
    location /authvaroff/ { alias @www@/; auth_basic $arg_r; auth_basic_user_file @logins@; }
    location /authnofile/ { alias @www@/; auth_basic "x"; auth_basic_user_file @logins@.none; }
    location /authnone/ { alias @www@/; auth_basic "x"; }
    location /authfilevar/ { alias @www@/; auth_basic "x"; auth_basic_user_file @logins@$arg_f; }
    location /authpage/ { alias @www@/; auth_basic "x"; auth_basic_user_file @logins@; error_page 401 /a.txt; }
    location /authpage200/ { alias @www@/; auth_basic "x"; auth_basic_user_file @logins@; error_page 401 =200 /a.txt; }
    location /authuser/ { auth_basic "x"; auth_basic_user_file @logins@; try_files /none @user; }
    location @user { return 200 "user=[$remote_user]"; }

    location /any/ { alias @www@/; satisfy any; allow 127.0.0.1; deny all; auth_basic "x"; auth_basic_user_file @logins@; }
    location /anydeny/ { alias @www@/; satisfy any; deny all; auth_basic "x"; auth_basic_user_file @logins@; }
    location /anynone/ { alias @www@/; satisfy any; auth_basic "x"; auth_basic_user_file @logins@; }
    location /anyonly/ { alias @www@/; satisfy any; deny all; }
    location /all/ { alias @www@/; satisfy all; allow 127.0.0.1; deny all; auth_basic "x"; auth_basic_user_file @logins@; }
    location /alldeny/ { alias @www@/; satisfy all; deny all; auth_basic "x"; auth_basic_user_file @logins@; }

    location /geo { return 200 "$net"; }
    location /given { return 200 "$given"; }
    location /ranged { return 200 "$ranged"; }
    location /proxied { return 200 "$proxied $proxied_once"; }
    location /split { return 200 "$half $parts [$partly]"; }

    location /exp/ { alias @www@/; }
    location /exp/24h/ { alias @www@/; expires 24h; }
    location /exp/neg/ { alias @www@/; expires -1h; }
    location /exp/plus/ { alias @www@/; expires +2d; }
    location /exp/epoch/ { alias @www@/; expires epoch; }
    location /exp/max/ { alias @www@/; expires max; }
    location /exp/zero/ { alias @www@/; expires 0; }
    location /exp/mod/ { alias @www@/; expires modified 10y; }
    location /exp/modneg/ { alias @www@/; expires modified -1h; }
    location /exp/daily/ { alias @www@/; expires @12h; }
    location /exp/daily0/ { alias @www@/; expires @0h; }
    location /exp/var/ { alias @www@/; expires $arg_e; }
    location /exp/varmod/ { alias @www@/; expires modified $arg_e; }
    location /exp/off/ { alias @www@/; expires 1h; location /exp/off/in/ { alias @www@/; expires off; } location /exp/off/same/ { alias @www@/; } }
    location /exp/cc/ { alias @www@/; expires 1h; add_header Cache-Control public; add_header Cache-Control "x=1"; }
    location /exp/return { expires 1h; return 200 "x"; }
    location /exp/redirect { expires 1h; return 302 /x; }

    location /hdr/ { alias @www@/; add_header X-A a; add_header X-Arg "[$arg_a]"; add_header X-Empty $arg_none; add_header X-Always y always; }
    location /hdr/in/ { alias @www@/; add_header X-B b; }
    location /hdr/same/ { alias @www@/; }
    location /hdr/lm/ { alias @www@/; add_header Last-Modified "Sun, 06 Nov 1994 08:49:37 GMT"; }
    location /hdr/nolm/ { alias @www@/; add_header Last-Modified ""; }
    location /hdr/etag/ { alias @www@/; add_header ETag '"mine"'; }
    location /hdr/noetag/ { alias @www@/; add_header ETag ""; }
    location /hdr/nocc/ { alias @www@/; expires 1h; add_header Cache-Control ""; }
    location /hdr/link/ { alias @www@/; add_header Link "<a>"; add_header Link "<b>"; }
    location /hdr/sent/ { alias @www@/; add_header X-Sent "$sent_http_content_type|$sent_http_content_length|$sent_http_last_modified|$sent_http_etag|$sent_http_connection|$sent_http_x_a|$sent_http_location"; }
    location /hdr/201 { add_header X-A a; add_header X-B b always; return 201 "x"; }
    location /hdr/202 { add_header X-A a; add_header X-B b always; return 202 "x"; }
    location /hdr/308 { add_header X-A a; return 308 /x; }
    location /hdr/503 { add_header X-A a; add_header X-B b always; return 503; }
    location /hdr/page { add_header X-A a always; error_page 404 /hdrpage.txt; return 404; }
    location = /hdrpage.txt { internal; add_header X-P p always; return 200 "page"; }
    location /trl/ { alias @www@/; add_trailer X-T t; add_trailer X-Arg "$arg_a$status"; }
    location /trlup { add_trailer X-T "t $body_bytes_sent"; add_trailer X-None $arg_a; proxy_pass http://app; }
    location /trlup404 { add_trailer X-T t; add_trailer X-A a always; proxy_pass http://app; }
}

server {
    listen @host@:@port.real@;
    set_real_ip_from 127.0.0.0/8;
    set_real_ip_from 10.0.0.0/8;
    allow 127.0.0.0/8; allow 10.0.0.0/8; allow 8.8.8.8; deny 9.0.0.0/8;
    location / { return 200 "$remote_addr|$port_kind|$realip_remote_addr|$binary_remote_addr"; }
    location /deny { alias @www@/a.txt; }
}
server {
    listen @host@:@port.xff@;
    set_real_ip_from 127.0.0.0/8;
    set_real_ip_from 10.0.0.0/8;
    real_ip_header X-Forwarded-For;
    return 200 "$remote_addr|$realip_remote_addr|$proxy_add_x_forwarded_for";
}
server {
    listen @host@:@port.rec@;
    set_real_ip_from 127.0.0.0/8;
    set_real_ip_from 10.0.0.0/8;
    set_real_ip_from 2001:db8::/32;
    real_ip_header X-Forwarded-For;
    real_ip_recursive on;
    return 200 "$remote_addr|$realip_remote_addr";
}
server {
    listen @host@:@port.untrusted@;
    set_real_ip_from 10.0.0.0/8;
    return 200 "$remote_addr|$realip_remote_addr";
}
server {
    listen @host@:@port.own@;
    set_real_ip_from 127.0.0.1;
    real_ip_header CF-Connecting-IP;
    location / { return 200 "$remote_addr"; }
}
server {
    listen @host@:@port.loc@;
    location / { return 200 "$remote_addr"; }
    location /real/ { set_real_ip_from 127.0.0.1; alias @www@/; allow 8.8.8.8; deny all; }
}
server {
    listen @host@:@port.pp@ proxy_protocol;
    set_real_ip_from 127.0.0.1;
    real_ip_header proxy_protocol;
    return 200 "$remote_addr|$port_kind|$proxy_protocol_addr|$proxy_protocol_port|$proxy_protocol_server_addr|$proxy_protocol_server_port|$realip_remote_addr";
}
server {
    listen @host@:@port.pponly@ proxy_protocol;
    return 200 "$remote_addr|$proxy_protocol_addr|$proxy_protocol_port";
}
upstream app { server @origin.app@; }
"""


@pytest.fixture(scope="module")
def app(shared):
    return shared.origin()


@pytest.fixture(scope="module")
def pair(shared, app):
    folder = shared.folder()
    os.chmod(folder, 0o755)
    logins = os.path.join(folder, "logins")
    with open(logins, "w") as out:
        out.write(LOGINS)
    app.scripts["/trlup404"] = lambda exchange, received: exchange.send(
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")
    app.reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    return shared.pair(HTTP.replace("@logins@", logins), origins={"app": app})


def basic(user, password="pass"):
    return "Authorization: Basic " + base64.b64encode(
        ("%s:%s" % (user, password)).encode()).decode()


@cases(*["GET /%s/a.txt" % name for name in (
    "allow", "deny", "denynet", "denyelse", "six", "unix", "first", "first/in", "first/same",
    "denypage", "denyvia")])
def test_allow_deny(pair, case):
    pair.compare(case)


@cases(*["%s /%s/a.txt" % (method, name) for name in ("le", "lepost", "leallow", "leauth", "lelower")
         for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "FOO")],
       Case("POST /leauth/a.txt", basic("apr1")), Case("POST /leauth/a.txt", basic("apr1", "no")))
def test_limit_except(pair, case):
    pair.compare(case)


@cases(*[Case("GET /auth/a.txt", basic(user)) for user in (
    "plain", "apr1", "sha512", "sha", "ssha", "crypt", "empty", "nocolon", "nobody", "# a comment",
    "apr", "")],
    *[Case("GET /auth/a.txt", basic(user, "wrong")) for user in (
        "plain", "apr1", "sha512", "sha", "ssha", "crypt")],
    Case("GET /auth/a.txt", basic("empty", "")), Case("HEAD /auth/a.txt", basic("sha512")),
    "GET /auth/a.txt", "POST /auth/a.txt", Case("POST /auth/a.txt", body="x" * 100),
    Case("GET /auth/a.txt", "Authorization: Basic"), Case("GET /auth/a.txt", "Authorization: Basic "),
    Case("GET /auth/a.txt", "Authorization: basic " + basic("sha").split()[-1]),
    Case("GET /auth/a.txt", "Authorization: Bearer x"), Case("GET /auth/a.txt", "Authorization: Basic %%%"),
    "GET /authvar/a.txt?r=here", "GET /authvar/a.txt", "GET /authoff/a.txt", "GET /authoff/in/a.txt",
    "GET /authvaroff/a.txt?r=off", "GET /authvaroff/a.txt?r=on", Case("GET /authnofile/a.txt", basic("sha")),
    "GET /authnofile/a.txt", "GET /authnone/a.txt", Case("GET /authfilevar/a.txt", basic("sha")),
    Case("GET /authfilevar/a.txt?f=.none", basic("sha")), Case("GET /authfilevar/a.txt?f=/x", basic("sha")),
    "GET /authpage/a.txt", "GET /authpage200/a.txt", Case("GET /authpage/a.txt", basic("sha")),
    Case("GET /authuser/x", basic("sha")), Case("GET /authuser/x", basic("sha512")))
def test_auth_basic(pair, case):
    pair.compare(case)


@cases(*["GET /%s/a.txt" % name for name in ("any", "anydeny", "anynone", "anyonly", "all", "alldeny")],
       *[Case("GET /%s/a.txt" % name, basic(user))
         for name in ("any", "anydeny", "anynone", "all", "alldeny")
         for user in ("sha", "sha512", "nobody")],
       Case("GET /anydeny/a.txt", basic("sha512", "no")))
def test_satisfy(pair, case):
    pair.compare(case)


@cases("GET /geo", *["GET /given?ip=" + ip for ip in (
    "10.0.0.1", "10.1.0.1", "10.1.2.3", "11.0.0.1", "200.0.0.1", "2001:db8::1", "::1", "::2", "nonsense",
    "", "10.1.2.3:80", "255.255.255.255", "::ffff:10.1.2.3")],
    *["GET /ranged?ip=" + ip for ip in (
        "10.0.0.0", "10.0.0.255", "10.0.1.0", "10.1.255.255", "10.2.0.0", "10.2.0.1", "9.255.255.255",
        "127.255.255.255", "128.0.0.0", "255.255.255.254", "255.255.255.255", "::1", "x")],
    "GET /proxied", *[Case("GET /proxied", "X-Forwarded-For: " + value) for value in (
        "9.9.9.9", "9.9.9.9, 10.0.0.1", "9.9.9.9, 8.8.8.8", "10.0.0.1", "x", "9.9.9.9, x, 10.0.0.1")],
    Case("GET /proxied", "X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 10.0.0.1"))
def test_geo(pair, case):
    pair.compare(case)


@cases(*["GET /split?s=%s" % value for value in (
    "", "a", "b", "ab", "abc", "abcd", "abcde", "user-%d" % 17, "x" * 100, *map(str, range(12)))])
def test_split_clients(pair, case):
    pair.compare(case)


@cases(*["GET /exp/%s/a.txt" % name for name in (
    "24h", "neg", "plus", "epoch", "max", "zero", "mod", "modneg", "daily", "daily0", "var", "varmod",
    "off", "off/in", "off/same", "cc")],
    *["GET /exp/var/a.txt?e=" + value for value in (
        "1h", "-1", "max", "epoch", "off", "@1h", "modified", "", "x", "0", "+1d")],
    *["GET /exp/varmod/a.txt?e=" + value for value in ("10y", "max", "@1h", "-1", "x")],
    "GET /exp/24h/nope", "GET /exp/return", "GET /exp/redirect", "HEAD /exp/24h/a.txt")
def test_expires(pair, case):
    pair.compare(case)


@cases(*["GET /hdr/" + name for name in (
    "a.txt", "a.txt?a=1", "nope", "in/a.txt", "same/a.txt", "same/nope", "lm/a.txt", "nolm/a.txt",
    "etag/a.txt", "noetag/a.txt", "nocc/a.txt", "link/a.txt", "sent/a.txt", "201", "202", "308", "503",
    "page")], "HEAD /hdr/a.txt", "POST /hdr/a.txt", Case("GET /hdr/a.txt", "Range: bytes=0-1"),
    Case("GET /hdr/etag/a.txt", 'If-None-Match: "mine"'),
    Case("GET /hdr/a.txt", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"))
def test_headers(pair, case):
    pair.compare(case)


@cases("GET /trl/a.txt", "GET /trl/a.txt?a=x", "GET /trlup", "GET /trlup?a=1", "GET /trlup404",
       "GET /trlup HTTP/1.0", "HEAD /trlup")
def test_trailers(pair, case):
    pair.compare(case)


def ask(line, *headers, port, **options):
    return Case(line, *headers, port=port, name="%s %s" % (port, " ".join((line,) + headers)), **options)


@cases(
    ask("GET /", port="real"), ask("GET /", "X-Real-IP: 8.8.8.8", port="real"),
    ask("GET /", "X-Real-IP: 10.1.1.1", port="real"), ask("GET /", "X-Real-IP: junk", port="real"),
    ask("GET /", "X-Real-IP: 8.8.8.8:99", port="real"), ask("GET /", "X-Real-IP: 2001:db8::1", port="real"),
    ask("GET /deny", "X-Real-IP: 9.9.9.9", port="real"), ask("GET /deny", "X-Real-IP: 8.8.8.8", port="real"),
    ask("GET /", "X-Real-IP: 8.8.8.8", "X-Real-IP: 10.1.1.1", port="real"),
    ask("GET /", port="xff"), ask("GET /", "X-Forwarded-For: 8.8.8.8", port="xff"),
    ask("GET /", "X-Forwarded-For: 1.1.1.1, 8.8.8.8", port="xff"),
    ask("GET /", "X-Forwarded-For: 1.1.1.1, 10.0.0.1", port="xff"),
    ask("GET /", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 10.0.0.1", port="xff"),
    ask("GET /", "X-Forwarded-For: 1.1.1.1, ", port="xff"), ask("GET /", "X-Forwarded-For: ,", port="xff"),
    ask("GET /", "X-Forwarded-For: 1.1.1.1, 10.0.0.1", port="rec"),
    ask("GET /", "X-Forwarded-For: 1.1.1.1, 8.8.8.8, 10.0.0.1, 10.0.0.2", port="rec"),
    ask("GET /", "X-Forwarded-For: 10.0.0.3, 10.0.0.1", port="rec"),
    ask("GET /", "X-Forwarded-For: 1.1.1.1, junk, 10.0.0.1", port="rec"),
    ask("GET /", "X-Forwarded-For: 1.1.1.1, 2001:db8::5", port="rec"),
    ask("GET /", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 10.0.0.1", port="rec"),
    ask("GET /", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: junk", port="rec"),
    ask("GET /", "X-Real-IP: 8.8.8.8", port="untrusted"),
    ask("GET /", "CF-Connecting-IP: 8.8.8.8", port="own"), ask("GET /", "X-Real-IP: 8.8.8.8", port="own"),
    ask("GET /", "X-Real-IP: 8.8.8.8", port="loc"), ask("GET /real/a.txt", "X-Real-IP: 8.8.8.8", port="loc"),
    ask("GET /real/a.txt", "X-Real-IP: 8.8.4.4", port="loc"))
def test_realip(pair, case):
    pair.compare(case)


def proxied(line, port):
    head = b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n"
    return Case("GET /", raw=line + head, port=port, name="%s %r" % (port, line))


V2 = b"\r\n\r\n\0\r\nQUIT\n"


@cases(*[proxied(line, port) for port in ("pp", "pponly") for line in (
    b"PROXY TCP4 8.8.8.8 9.9.9.9 1234 80\r\n", b"PROXY UNKNOWN\r\n",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 1234 80\r\n",
    V2 + b"\x21\x11\0\x0c" + bytes((8, 8, 8, 8, 9, 9, 9, 9, 4, 210, 0, 80)),
    V2 + b"\x20\0\0\0")])
def test_proxy_protocol(pair, case):
    pair.compare(case)


def test_addresses_of_kept_connection(pair):
    """What one request says of its client holds for no other on the connection."""
    text = ("GET / HTTP/1.1\r\nHost: example.test\r\nX-Real-IP: 8.8.8.8\r\n\r\n"
            "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n"
            "GET / HTTP/1.1\r\nHost: example.test\r\nX-Real-IP: 10.9.9.9\r\n\r\n")
    pair.compare(Case("GET /", raw=text.encode(), answers=3, port="real"))


LINES = re.compile(r"\[(\w+)\] [0-9#]+: \*\d+ (.*?), client: ([^,]*),")


@pytest.mark.parametrize("line, headers", [
    ("GET /deny/a.txt", ()), ("GET /anyonly/a.txt", ()), ("GET /auth/a.txt", ()),
    ("GET /auth/a.txt", (basic("nobody"),)), ("GET /auth/a.txt", (basic("sha", "no"),)),
    ("GET /auth/a.txt", (basic("sha512", "no"),)), ("GET /authnofile/a.txt", (basic("sha"),))])
def test_error_lines(pair, line, headers):
    def said(one):
        role = "subject" if one is pair.subject else "oracle"
        with open(one.log) as log:
            log.seek(0, 2)
            begin = log.tell()

            def lines():
                log.seek(begin)
                return [pair.plain(role, " ".join(found)) for found in LINES.findall(log.read())
                        if "closed" not in found[1]]
            pair.ask(role, Case(line, *headers))
            return wait_until(lines, 10, "the error line")
    assert pair.both(said)
