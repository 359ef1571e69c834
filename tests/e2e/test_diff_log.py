"""Access log lines, byte for byte, and the shape of error log lines."""

import re

import pytest

from contrast import Case, cases
from origin import OK, answer
from server import wait_until
from wire import chunked

HTTP = r"""
log_format plain '$remote_addr|$remote_user|$request|$status|$body_bytes_sent|$http_referer|$http_user_agent';
log_format json escape=json '{"r":"$request","ua":"$http_user_agent","u":"$uri","a":"$arg_a","none":"$http_none"}';
log_format none escape=none '$request "$http_user_agent" $arg_a';
log_format default2 escape=default 'd $http_x $cookie_c "$uri" $args $request_method $server_protocol $scheme $host $server_port';
log_format up '$upstream_addr|$upstream_status|$upstream_http_x_up|$upstream_response_length|$upstream_bytes_received|$sent_http_content_type|$proxy_host|$proxy_add_x_forwarded_for';
log_format sizes '$bytes_sent $request_length $content_length $sent_http_content_length $connection_requests $request_completion $pipe';
log_format shapes '$time_local|$time_iso8601|$msec|$request_time|$request_id|$connection|$pid|$upstream_response_time|$upstream_connect_time|$upstream_header_time';
log_format pieces "a"
                  'b $status'
                  " c";
upstream app { server @origin.app@; }
upstream dead { server 127.0.0.1:@nobody@; }
upstream two { server 127.0.0.1:@nobody@ max_fails=0; server @origin.app@; }
map $status $loggable { ~^[23] 0; default 1; }
proxy_http_version 1.1;
access_log @prefix@/http.log;

server {
    listen @host@:@port@;
    server_name example.test;
    root @www@;
    location / { access_log @prefix@/combined.log; access_log @prefix@/access.log combined; }
    location /p/ { access_log @prefix@/access.log plain; alias @www@/; }
    location /j/ { access_log @prefix@/access.log json; return 200 "j"; }
    location /n/ { access_log @prefix@/access.log none; return 200 "n"; }
    location /d/ { access_log @prefix@/access.log default2; return 200 "d"; }
    location /u/ { access_log @prefix@/access.log up; proxy_pass http://app; }
    location /u/dead/ { access_log @prefix@/access.log up; proxy_pass http://dead; }
    location /u/two/ { access_log @prefix@/access.log up; proxy_pass http://two; }
    location /u/static/ { access_log @prefix@/access.log up; alias @www@/; }
    location /s/ { access_log @prefix@/access.log sizes; alias @www@/; }
    location /s/proxy/ { access_log @prefix@/access.log sizes; proxy_pass http://app; }
    location /t/ { access_log @prefix@/access.log shapes; proxy_pass http://app; }
    location /c/ { access_log @prefix@/access.log pieces; return 404; }
    location /off/ { access_log off; return 200 "quiet"; }
    location /if/ { access_log @prefix@/access.log plain if=$loggable; alias @www@/; }
    location /inherit/ { return 200 "http level log"; }
    location /var/ { access_log @prefix@/open/var-$arg_f.log plain; return 200 "v"; }
    location /buffered/ { access_log @prefix@/buffered.log plain buffer=4k flush=100ms; return 200 "b"; }
}
"""


@pytest.fixture(scope="module")
def pair(shared):
    import server
    app = shared.origin()
    app.reply = answer("200 OK", "X-Up: up value", "Content-Type: text/plain", body=b"from the app")
    return shared.pair(HTTP.replace("@nobody@", str(server.free_port())), origins={"app": app})


def lines_after(one, size, name="access.log", count=1):
    def got():
        lines = one.read(name)[size:].split("\n")
        return lines[:-1] if len(lines) > count else None
    return wait_until(got, 5, "%d lines in %s of %s" % (count, name, one.name))


def normal(pair, role, line):
    line = pair.plain(role, line)
    line = re.sub(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", "LOCAL", line)
    return line


@cases(
    "GET /a.txt", "HEAD /a.txt", "GET /nope", "GET /sub", "GET /a.txt?x=y%20z", "POST /a.txt",
    "GET /bad%zz", "GET /p/a.txt", "GET /p/nope", "GET /j/x?a=b", "GET /n/x", "GET /d/x?y", "GET /u/x",
    "GET /u/dead/x", "GET /u/two/x", "GET /u/static/a.txt", "GET /c/",
    Case("GET /p/a.txt", "User-Agent: ua \"quoted\" \\back", "Referer: http://r/?a"),
    Case("GET /p/a.txt", "User-Agent: \xe4\xf6 \t tab", "Authorization: Basic dXNlcjpwYXNz"),
    Case("GET /p/a.txt", "Authorization: Basic dXMiZXI6cA=="),
    Case("GET /a.txt", "User-Agent: Mozilla/5.0 (X11)", "Referer: http://example.test/"),
    Case("GET /j/%22%5C%0A?a=\"\\", "User-Agent: \"\\/\t\xe4"), Case("GET /n/\"x", "User-Agent: \"\\\t\xe4"),
    Case("GET /d/%22x%01?q=\"", "X: \"\\\t\xe4", "Cookie: c=\"v\""), Case("GET /d/%E2%82%AC%7f%01"),
    Case("GET /u/x", "X-Forwarded-For: 1.2.3.4"), Case("GET /p/a.txt", "Range: bytes=0-3"),
    Case("GET /p/a.txt", "If-None-Match: *"), Case("GET /p/big.bin HTTP/1.0"),
    Case("GET /p/style.css", "Accept-Encoding: gzip"), Case("POST /p/a.txt", body="zz"),
    Case("GET /a.txt HTTP/1.0", host=None), Case("GET", raw=b"GET /a.txt\r\n", name="0.9"),
    Case("GET", raw=b"GET /p/a.txt\r\n", name="0.9 plain"),
)
def test_lines(pair, case):
    if "%zz" in case.name:
        case.logs = "http.log"
    result = {}
    for role in ("oracle", "subject"):
        one = pair.servers[role]
        name = getattr(case, "logs", "access.log")
        size = len(one.read(name))
        pair.ask(role, case)
        result[role] = [normal(pair, role, x) for x in lines_after(one, size, name)]
    assert result["subject"] == result["oracle"]


def test_bad_request_line(pair):
    """A request that cannot be parsed is logged as far as it came, with 400."""
    def play(one):
        size = len(one.read("http.log"))
        pair.ask("oracle" if one is pair.oracle else "subject",
                 Case("GET", raw=b"GET /a b c\r\nHost: x\r\n\r\n", name="bad"))
        return normal(pair, "oracle" if one is pair.oracle else "subject",
                      lines_after(one, size, "http.log")[0])
    assert '" 400 ' in pair.both(play)


@cases(
    "GET /s/a.txt", "HEAD /s/a.txt", Case("POST /s/proxy/x", body="12345"), "GET /s/proxy/x",
    Case("GET /s/a.txt", "Connection: close"))
def test_sizes(pair, case):
    """Sizes agree where the head's length does not depend on the program's name."""
    for role in ("oracle", "subject"):
        one = pair.servers[role]
        size = len(one.read("access.log"))
        outcome = pair.ask(role, case)
        fields = lines_after(one, size)[0].split()
        assert fields[1] == str(len(case.data)), "$request_length"
        assert fields[4:] == ["1", "OK", "."], fields
        assert outcome.answers[0]["status"] in (200,)


def test_shapes(pair):
    """Times and numbers have nginx's shapes."""
    shape = re.compile(
        r"^\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\|"
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d\|\d{10}\.\d{3}\|\d\.\d{3}\|[0-9a-f]{32}\|\d+\|\d+\|"
        r"\d\.\d{3}\|\d\.\d{3}\|\d\.\d{3}$")
    for role in ("oracle", "subject"):
        one = pair.servers[role]
        size = len(one.read("access.log"))
        pair.ask(role, Case("GET /t/x", reply=OK))
        assert shape.match(lines_after(one, size)[0]), lines_after(one, size)


def test_where(pair):
    """off, if=, inheritance and files named by variables."""
    def play(one):
        role = "oracle" if one is pair.oracle else "subject"
        before = {n: len(one.read(n)) for n in ("access.log", "http.log")}
        for path in ("/off/x", "/if/a.txt", "/if/nope", "/inherit/x", "/var/?f=one", "/buffered/x"):
            pair.ask(role, Case("GET " + path))
        got = {n: [normal(pair, role, x) for x in lines_after(one, before[n], n, c)]
               for n, c in (("access.log", 1), ("http.log", 1))}
        got["buffered"] = [normal(pair, role, x) for x in lines_after(one, 0, "buffered.log")][-1]
        got["var"] = [normal(pair, role, x) for x in lines_after(one, 0, "open/var-one.log")][-1]
        return got
    pair.both(play)


def test_pipelined_lines(pair):
    """Each request of a connection has its line, in order."""
    data = b"".join(b"GET /p/%s HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in (b"a.txt", b"nope", b"b.txt"))

    def play(one):
        role = "oracle" if one is pair.oracle else "subject"
        size = len(one.read("access.log"))
        pair.ask(role, Case("GET", raw=data, methods=["GET"] * 3, name="three"))
        return [normal(pair, role, x) for x in lines_after(one, size, count=3)]
    assert len(pair.both(play)) == 3


def test_error_lines(pair):
    """error.log has nginx's line shapes, which people parse."""
    def play(one):
        role = "oracle" if one is pair.oracle else "subject"
        seen = []
        for line, text in (("GET /u/dead/x?y", "Connection refused"), ("GET /nope/x", "No such file"),
                           ("GET /a.txt/x", "Not a directory")):
            size = len(one.errors())
            pair.ask(role, Case(line))
            one.wait_logged(text, since=size)
            found = [x for x in one.errors()[size:].split("\n") if text in x][0]
            found = pair.plain(role, found)
            seen.append(re.sub(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(\w+)\] \d+#\d+: \*\d+ ", r"[\1] ", found))
        return seen
    pair.both(play)


def test_body_too_large_line(pair):
    def play(one):
        role = "oracle" if one is pair.oracle else "subject"
        size = len(one.errors())
        pair.ask(role, Case("POST /p/a.txt", "Content-Length: 20000000", end=False))
        one.wait_logged("client intended to send too large body: 20000000 bytes", since=size)
        return True
    pair.both(play)


def test_chunked_request_length(pair):
    size = {r: len(pair.servers[r].read("access.log")) for r in ("oracle", "subject")}
    case = Case("POST /s/proxy/x", "Transfer-Encoding: chunked", body=chunked(b"abc"))
    for role in size:
        pair.ask(role, case)
        one = pair.servers[role]
        sizes = wait_until(lambda: [x for x in one.read("access.log")[size[role]:].split("\n")
                                    if x.endswith(" 1 OK .")], 5, "the line")
        assert sizes[0].split()[1] == str(len(case.data))
