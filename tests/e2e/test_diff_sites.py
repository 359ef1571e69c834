"""Whole sites as people write them: what their parts do to each other."""

import gzip
import os
import re

import pytest

from contrast import Case, cases
from server import wait_until
from wire import Wire, fetch, request

FILES = r"""
log_format ratio '$uri "$gzip_ratio"';
log_format end '$request_uri [$args] [$request_completion] $status';
server {
    listen @host@:@port@;
    root @www@;
    index index.html;
    error_page 404 /404.html;

    # A home page for everybody: the documented recipe and its relatives.
    location ~ ^/home/([^/]+)(/.*)?$ { alias @www@/$1$2; index index.txt index.html; }
    location ~ ^/two/(.*)$ { alias @www@/$1; index nope.htm index.txt index.html; add_header F $request_filename; }
    location ~ ^/folder/(.*)/$ { alias @www@/$1; index index.txt; }
    location ~ ^/abs/(.*)$ { alias @www@/$1; index /a.txt; }
    location ~ ^/arg/(.*)$ { alias @www@/$1; index $arg_i index.html; }
    location ~ ^/own/(.*)$ { alias @www@/$1; try_files $uri =404; }
    location ~ ^/item/(.*)$ { alias @www@; try_files /$1 /sub/index.html =404; add_header F "$request_filename $uri"; }
    location ~ ^/dir/(.*)$ { alias @www@; try_files /$1/ /sub/ =404; add_header F "$request_filename $uri" always; }
    location ~ ^/jump/(.*)$ { alias @www@; try_files /$1 @seen; }
    location @seen { return 200 "$uri $request_filename"; }
    location /rewritten/ { alias @www@/; rewrite ^/rewritten/x/(.*)$ /rewritten/$1 break; }
    location /ratio/ { alias @www@/; gzip on; gzip_types text/css; gzip_types application/javascript; access_log @prefix@/ratio.log ratio; }
    location /gz/ { alias @packed@/; gzip on; gzip_static on; gzip_vary on; gzip_types text/css; }
    location /end/ { access_log @prefix@/end.log end; alias @www@/; location /end/cut { return 444; } }
    location = /404.html { access_log @prefix@/end.log end; }
    location /unpadded { msie_padding off; return 404; }
    location /empty { return 200 "[$arg_][$http_][$cookie_]"; }
}
server { listen @host@:@port.v6@ ipv6only=on; location @a { return 200 first; } location @a { return 200 second; }
    location / { error_page 404 = @a; return 404; } }
"""

# Rules for a whole server, before any location.
RULED = r"""
server {
    listen @host@:@port@;
    root @www@;
    error_page 405 =200 /a.txt;
    error_page 403 = @denied;
    if ($request_method !~ ^(GET|HEAD|POST)$) { return 405; }
    if ($http_user_agent ~* bot) { return 403; }
    if ($host ~* ^www\.(.*)$) { set $h $1; rewrite ^(.*)$ http://$h$1 permanent; }
    if ($uri ~* "\.(bak|sql)$") { return 404; }
    rewrite ^/feed/?$ /sub/ last;
    location / { try_files $uri $uri/ /index.html?$args; }
    location @denied { return 200 "denied $request_method $status"; }
    location ~ /\. { deny all; }
    location ~* \.(?:css|js)$ { expires 7d; add_header Pragma public; }
}
"""
AGENTS = ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", "Mozilla/4.0 (compatible; MSIE 6",
          "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
          "Mozilla/4.0 (compatible; MSIE 6.0) Opera 7", "Mozilla/5.0 (X11) Gecko/20100101 Chrome/1")

PLACES = ("home", "two", "folder", "abs", "arg", "own", "item", "dir", "jump", "rewritten/x")
ENDS = ("", "/", "/a.txt", "/sub", "/sub/", "/sub/index.html", "/bare", "/bare/", "/nope", "/nope/",
        "/../a.txt", "/?i=a.txt", "/sub/?i=page.html")

PROXIED = r"""
upstream app { server @origin.app@; keepalive 4; }
upstream two { server @origin.two@; keepalive 4; }
upstream dead { server 127.0.0.1:1; }
proxy_http_version 1.1;
proxy_set_header Connection "";
server {
    listen @host@:@port@;
    server_name example.test;
    root @www@;
    location / { proxy_pass http://app; }
    location /outer/ { proxy_pass http://app; location /outer/inner/ { proxy_pass http://two/in/; } }
    location /outer2/ { proxy_pass http://app; proxy_redirect http://app/ /x/; location /outer2/inner/ { proxy_pass http://two/in/; } }
    location /outer3/ { proxy_pass http://app; proxy_redirect off; location /outer3/inner/ { proxy_pass http://two/in/; } }
    location /seen { proxy_pass http://app; add_header X-Seen "$upstream_http_x_a|$sent_http_x_a|$upstream_http_set_cookie"; }
    location /pages/ { proxy_pass http://app; proxy_intercept_errors on; error_page 404 = @two; error_page 500 /50x.html; error_page 502 @two; }
    location @two { proxy_pass http://two; }
    location /down/ { proxy_pass http://dead; error_page 502 @two; }
    location /down200/ { proxy_pass http://dead; error_page 502 =200 @two; }
    location /cookies/ { proxy_pass http://app; set $f secure; proxy_cookie_path / /cookies/; proxy_cookie_flags ~s $f samesite=lax; }
    location /files/ { internal; alias @www@/; }
    location @words { return 200 "words $uri"; }
}
"""


def reply(status, *headers, body=b"body"):
    head = "".join(h + "\r\n" for h in headers)
    length = "" if body is None else "Content-Length: %d\r\n" % len(body)
    return ("HTTP/1.1 %s\r\n%s%s\r\n" % (status, head, length)).encode() + (body or b"")


@pytest.fixture(scope="module")
def files(shared):
    packed = shared.folder()
    for name in ("both.css", "plain.css"):
        with open(os.path.join(packed, name), "w") as out:
            out.write("p { margin: 0 }\n" * 100)
    for name in ("both.css.gz", "packed.css.gz"):
        with gzip.open(os.path.join(packed, name), "wb") as out:
            out.write(b"q { margin: 0 }\n" * 100)
    for name in os.listdir(packed):
        os.utime(os.path.join(packed, name), (1700000000, 1700000000))
    return shared.pair(FILES, names={"packed": packed})


@cases(*["%s /%s%s" % (method, place, end) for place in PLACES for end in ENDS
         for method in ("GET", "POST") if method == "GET" or end.endswith("/")],
       "GET /empty?=1", Case("GET /x", port="v6"),
       Case("GET /a.txt", raw=b"GET /a.txt HTTP/1.0\r\nHost: \r\n\r\n", name="1.0, Host empty"))
def test_files(files, case):
    files.compare(case)


@cases(*[Case("GET " + path, "User-Agent: " + agent, name="%s %s" % (path, agent))
         for path in ("/nope", "/unpadded", "/ratio/nope") for agent in AGENTS],
       *[Case("GET /gz/" + path, "Accept-Encoding: " + coding)
         for path in ("both.css", "plain.css", "packed.css", "nope")
         for coding in ("gzip", "br", "gzip;q=1.1", "gzip;q=1.000", "gzip;q=0.0001")],
       *[Case("GET /gz/" + path, "Accept-Encoding: gzip", condition)
         for path in ("both.css", "plain.css", "packed.css")
         for condition in ('If-Match: "other"', "If-Unmodified-Since: Tue, 14 Nov 2000 22:13:20 GMT",
                           "If-None-Match: *", "Range: bytes=99999-", "Range: bytes=1-2")])
def test_clients(files, case):
    """Pages for browsers that hide short ones; gzip for those that take it, Vary for all."""
    files.compare(case)


@pytest.fixture(scope="module")
def ruled(shared):
    return shared.pair(RULED)


@cases(*["%s %s" % (method, path) for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "FOO")
         for path in ("/", "/sub", "/feed", "/x.sql", "/.hidden", "/app.js", "/nope?x=1")],
       Case("GET /sub/x?y", host="WWW.site.test"), Case("PUT /", host="www.site.test"),
       Case("GET /a.txt", "User-Agent: GoogleBot"), Case("PUT /a.txt", "User-Agent: bot"))
def test_ruled(ruled, case):
    ruled.compare(case)


RATIOS = ("/ratio/style.css", "/ratio/app.js", "/ratio/a.txt")


def test_gzip_ratio(files):
    """The log says how well it went, and "-" where nothing was compressed."""
    def play(one):
        for path in RATIOS:
            fetch((one.host, one.ports["main"]), "GET " + path, "Accept-Encoding: gzip")
        lines = wait_until(lambda: (lines := one.read("ratio.log").splitlines())[len(RATIOS) - 1:]
                           and lines, what="three lines in the log")
        return sorted(lines, key=lambda line: RATIOS.index(line.split(" ")[0]))
    assert [line.split(" ")[0] for line in files.both(play)] == list(RATIOS)


def test_end_of_request(files):
    """What became of the query behind an error page, and whether the answer was sent whole."""
    def play(one):
        for path in ("/end/a.txt?q=1", "/end/nope?q=2", "/end/cut?q=3", "/end/a.txt?"):
            with Wire((one.host, one.ports["main"])) as wire:
                wire.send(request("GET " + path))
                wire.closes() if "cut" in path else wire.read_response("GET")
        lines = wait_until(lambda: (lines := one.read("end.log").splitlines())[3:] and lines)
        return sorted(lines)	# of four connections, perhaps of as many threads
    files.both(play)


@pytest.fixture(scope="module")
def proxied(shared):
    return shared.pair(PROXIED, origins={"app": shared.origin(), "two": shared.origin()})


LOCATIONS = ("http://app/x", "http://two/in/x", "http://two/x", "/x", "http://other/x")
STATUSES = ("200 OK", "200", "404 Nothing", "500 Own", "502 Own", "204 Gone quiet", "299 Odd")


@cases(*[Case("GET /%s/q" % place, reply=reply("302 Found", "Location: " + to),
              name="%s to %s" % (place, to))
         for place in ("outer", "outer/inner", "outer2/inner", "outer3/inner") for to in LOCATIONS],
       *[Case("GET /%s/q" % place, reply=reply(
              status, "Content-Type: text/plain", body=None if status[:3] == "204" else b"body"),
              name="%s %s" % (place, status))
         for place in ("pages", "down", "down200", "plain") for status in STATUSES],
       Case("GET /seen", reply=reply("200 OK", "X-A: 1", "X-A: 2", "Set-Cookie: a=1",
                                     "Set-Cookie: b=2", "Status: 299 kept")),
       *[Case("GET /cookies/", reply=reply("200 OK", "Set-Cookie: " + cookie), name=cookie)
         for cookie in ("sid=1; Path=/", "n=1; Path=/x", "s; Path=/", "s=2; SameSite=None")],
       *[Case("GET /accel?%s" % to, reply=reply(
              "200 OK", "X-Accel-Redirect: " + to, "Content-Type: text/own", "Set-Cookie: s=1",
              "Cache-Control: no-store", "Content-Disposition: attachment", "X-Gone: 1"),
              name="X-Accel-Redirect " + to)
         for to in ("/files/a.txt", "/files/sub", "/files/nope", "@words", "/files/../a.txt", "")])
def test_proxied(proxied, case):
    proxied.compare(case)


LOCAL = r"""
server {
    listen unix:@prefix@/site.sock;
    server_name first.test;
    location / { return 200 "[$remote_addr] [$server_addr] [$server_port] [$remote_port] $proxy_add_x_forwarded_for"; }
    location /moved { return 301 /x; }
    location /only { allow unix:; deny all; return 200 "let in"; }
}
server { listen unix:@prefix@/site.sock default_server; return 200 "the other"; }
server { listen @host@:@port@; return 200; }
"""


@pytest.mark.parametrize("host", ["first.test", "other.test"])
@pytest.mark.parametrize("path", ["/", "/moved", "/only"])
def test_unix_socket(shared, host, path):
    """Addresses, redirects and names where there is no port."""
    pair = shared.pair(LOCAL)

    def play(one):
        answer = fetch(one.prefix + "/site.sock", "GET " + path, host=host)
        return (answer.status, answer.get("Location"),
                pair.plain("subject" if one is pair.subject else "oracle", answer.body))
    pair.both(play)


@pytest.mark.wproxy_only
def test_target_is_written_anew(shared):
    """A decoded path in proxy_pass is escaped again; nginx sends the blank."""
    app = shared.origin()
    one = shared.server(r"""
server {
    listen @host@:@port@;
    location ~ ^/re/(.*)$ { proxy_pass http://@origin@/$1; }
    location /var/ { set $to @origin@; proxy_pass http://$to$uri?$args; }
}
""", names={"origin": app.name})
    for path, target in (("/re/a%20b", "/a%20b"), ("/re/a%0dX:%20y", "/a%0DX:%20y"),
                         ("/var/a%20b?c=%20", "/var/a%20b?c=%20")):
        assert fetch((one.host, one.ports["main"]), "GET " + path).status == 200
        assert app.take()[-1].target == target


MISSING = ("/nowhere/", "/nowhere/deep/", "/a.txt/", "/bare/", "/%s/" % ("n" * 256), "/sub/nope", "/quiet/x/")


def test_what_is_missing_is_told(shared):
    """A folder that is not there, one without an index, and a file: as nginx words each."""
    pair = shared.pair("server { listen @host@:@port@; root @www@; index nope.htm index.html; "
                       "location /quiet/ { log_not_found off; } }")

    def play(one):
        role = "subject" if one is pair.subject else "oracle"
        for path in MISSING:
            fetch((one.host, one.ports["main"]), "GET " + path)
        wait_until(lambda: one.read("error.log").count("[error]") >= 6, what="the last line")
        return sorted(re.sub(r"^.*?\[error\] \S+ \*\d+ ", "", pair.plain(role, line))
                      for line in one.read("error.log").splitlines() if "[error]" in line)
    assert len(pair.both(play)) == 6
