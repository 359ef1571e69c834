"""The proxied request and the proxied answer, as the back end and the client see them."""

import pytest

from contrast import Case, cases
from difference import Want
from origin import OK, answer
from wire import chunked

HTTP = r"""
proxy_http_version 1.1;
upstream app { server @origin.app@; keepalive 8; }
upstream app-host { server @origin.app@; keepalive 8; }
upstream dead { server 127.0.0.1:@port.nobody@ fail_timeout=0; }
upstream half { server 127.0.0.1:@port.nobody@ max_fails=0; server @origin.app@; }
upstream spare { server 127.0.0.1:@port.nobody@ max_fails=0; server @origin.app@ backup; }
upstream downed { server 127.0.0.1:@port.nobody@ down; server @origin.app@; }
upstream sock { server @origin.sock@; keepalive 8; }
upstream bad-then-good { server @origin.bad@ max_fails=0; server @origin.app@ backup; }
map $arg_u $picked { default app; d dead; }
map $http_upgrade $connection_upgrade { default upgrade; '' close; }

server {
    listen @host@:@port@;
    server_name example.test;
    root @www@;
    proxy_set_header X-Srv server-level;

    location / { proxy_pass http://app; }
    location /nouri/ { proxy_pass http://@origin.app@; }
    location /slash/ { proxy_pass http://app/; }
    location /nosl { proxy_pass http://app/; }
    location /sub/ { proxy_pass http://app/x; }
    location /deep/ { proxy_pass http://app/a/b/; }
    location /args/ { proxy_pass http://app/fixed?one=1; }
    location /catmaid/ { proxy_pass http://app-host/; proxy_redirect http://app-host/ http://$host/;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme; }
    location = /one { proxy_pass http://app/exactly; }
    location ~ ^/metrics/(\d+) { proxy_pass http://@origin.app@/metrics-$1; }
    location ~ ^/rx/ { proxy_pass http://app; }
    location /var/ { set $up app; proxy_pass http://$up; }
    location /varuri/ { set $up app; proxy_pass http://$up/$arg_p; }
    location /varreq/ { proxy_pass http://app$request_uri; }
    location /pick/ { proxy_pass http://$picked; }
    location /scheme/ { proxy_pass $scheme://app; }
    location /rw/ { rewrite ^/rw/(.*)$ /rewritten/$1 break; proxy_pass http://app; }
    location /rwuri/ { rewrite ^/rwuri/(.*)$ /rewritten/$1 break; proxy_pass http://app/ignored/; }
    location /rwargs/ { rewrite ^/rwargs/(.*)$ /rewritten?$1 break; proxy_pass http://app; }
    location /sock/ { proxy_pass http://sock; }
    location /sockdirect/ { proxy_pass http://@origin.sock@:/base/; }
    location /named/ { try_files /nope @proxied; }
    location @proxied { proxy_pass http://app; }
    location /limited/ { limit_except GET { proxy_pass http://app; } return 200 "get"; }
    location /ifd/ { if ($arg_p) { proxy_pass http://app; } return 200 "not proxied"; }

    location /h/own/ { proxy_set_header X-Own own; proxy_pass http://app; }
    location /h/host/ { proxy_set_header Host $http_host; proxy_pass http://app; }
    location /h/hosth/ { proxy_set_header Host $host; proxy_pass http://app; }
    location /h/fixed/ { proxy_set_header Host fixed.example:99; proxy_pass http://app; }
    location /h/ph/ { proxy_set_header X-PH "$proxy_host|$proxy_port"; proxy_pass http://@origin.app@; }
    location /h/empty/ { proxy_set_header X-Gone ""; proxy_set_header Accept-Encoding "";
        proxy_set_header User-Agent $nothing_set; proxy_pass http://app; set $nothing_set ""; }
    location /h/xff/ { proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $server_name; proxy_set_header Host $http_host; proxy_pass http://app; }
    location /h/up/ { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; proxy_pass http://app; }
    location /h/none/ { proxy_pass_request_headers off; proxy_pass http://app; }
    location /h/nobody/ { proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://app; }
    location /h/method/ { proxy_method PUT; proxy_pass http://app; }
    location /h/methodv/ { proxy_method $arg_m; proxy_pass http://app; }
    location /h/nest/ { proxy_set_header X-Out out; location /h/nest/in { proxy_pass http://app; }
        location /h/nest/own { proxy_set_header X-In in; proxy_pass http://app; } }
    location /h/acc/ { proxy_set_header X-A "$http_a|$arg_a|$cookie_a|$uri|$request_method|$content_length"; proxy_pass http://app; }

    location /redir/default/ { proxy_pass http://app/; }
    location /redir/nouri/ { proxy_pass http://app; }
    location /redir/deep/ { proxy_pass http://app/in/; }
    location /redir/off/ { proxy_redirect off; proxy_pass http://app/; }
    location /redir/path/ { proxy_redirect http://app/ /redir/path/; proxy_pass http://app/; }
    location /redir/host/ { proxy_redirect http://app/ http://$host/; proxy_pass http://app/; }
    location /redir/port/ { proxy_redirect http://app/ $scheme://$server_name:$server_port/; proxy_pass http://app/; }
    location /redir/root/ { proxy_redirect / /redir/root/; proxy_pass http://app/; }
    location /redir/two/ { proxy_pass http://app/; proxy_redirect default; proxy_redirect http://other/ /other/; }
    location /redir/rx/ { proxy_redirect ~^http://[^:]+:\d+(/.+)$ $1; proxy_redirect ~*^http://APP/(.*)$ /rx/$1; proxy_pass http://app/; }
    location /redir/rxn/ { proxy_redirect ~^http://(?<h>[a-z]+)/(?<p>.*)$ /$h/$p; proxy_pass http://app/; }
    location /redir/var/ { set $up app; proxy_redirect http://$up/ /var/; proxy_pass http://app/; }
    location /redir/server { proxy_redirect http://app $scheme://$server_name; proxy_pass http://app; }

    location /hide/ { proxy_hide_header X-Secret; proxy_hide_header Last-Modified; proxy_pass http://app; }
    location /pass/ { proxy_pass_header Server; proxy_pass_header Date; proxy_pass_header X-Accel-Expires; proxy_pass http://app; }
    location /ign/ { proxy_ignore_headers X-Accel-Redirect X-Accel-Charset X-Accel-Expires Expires Cache-Control Set-Cookie X-Accel-Limit-Rate X-Accel-Buffering; proxy_pass http://app; }
    location /accel/ { proxy_pass http://app; }
    location /protected/ { internal; alias @www@/; add_header X-Protected yes; }
    location /open/ { alias @www@/; }
    location /icept/ { proxy_intercept_errors on; error_page 404 /404.html; error_page 500 502 =200 /50x.html;
        error_page 403 @denied; error_page 302 = @moved; proxy_pass http://app; }
    location /icept-un/ { proxy_intercept_errors on; proxy_pass http://app; }
    location @denied { return 200 "denied page $status"; }
    location @moved { return 200 "moved: $upstream_http_location"; }
    location /buf/off/ { proxy_buffering off; proxy_pass http://app; }
    location /buf/req/ { proxy_request_buffering off; proxy_pass http://app; }
    location /buf/small/ { proxy_buffer_size 4k; proxy_buffers 4 4k; proxy_busy_buffers_size 4k; proxy_pass http://app; }
    location /gz/ { gzip on; gzip_types text/plain; gzip_min_length 10; gzip_proxied any; proxy_pass http://app; }
    location /gzno/ { gzip on; gzip_types text/plain; gzip_min_length 10; proxy_pass http://app; }
    location /hdr/ { add_header X-Added "$upstream_status|$upstream_http_x_up" always; expires 1h; proxy_pass http://app; }
    location /uv/ { add_header X-Up "$upstream_addr|$upstream_status|$upstream_http_etag|$upstream_cookie_sid" always; proxy_pass http://half; }

    location /dead/ { proxy_pass http://dead; }
    location /deadpage/ { error_page 502 /50x.html; proxy_pass http://dead; }
    location /deadnamed/ { error_page 502 @maintenance; proxy_pass http://dead; }
    location /deadcode/ { error_page 502 =503 /50x.html; proxy_pass http://dead; }
    location /dead200/ { error_page 502 =200 /50x.html; proxy_pass http://dead; }
    location /deadother/ { error_page 502 = @fallback; proxy_pass http://dead; }
    location /deadurl/ { error_page 502 http://other.test/down; proxy_pass http://dead; }
    location @maintenance { root @www@; rewrite ^(.*)$ /maintenance.html break; }
    location @fallback { proxy_pass http://app; }
    location /half/ { proxy_pass http://half; }
    location /spare/ { proxy_pass http://spare; }
    location /downed/ { proxy_pass http://downed; }
    location /next/status/ { proxy_next_upstream error timeout http_503; proxy_pass http://bad-then-good; }
    location /next/404/ { proxy_next_upstream http_404 http_403; proxy_pass http://bad-then-good; }
    location /next/off/ { proxy_next_upstream off; proxy_pass http://bad-then-good; }
    location /next/invalid/ { proxy_next_upstream error invalid_header; proxy_pass http://bad-then-good; }
    location /next/default/ { proxy_pass http://bad-then-good; }
    location /next/tries/ { proxy_next_upstream http_503; proxy_next_upstream_tries 1; proxy_pass http://bad-then-good; }
    location /next/non/ { proxy_next_upstream error http_503 non_idempotent; proxy_pass http://bad-then-good; }
    location /slow/ { proxy_read_timeout 100ms; proxy_pass http://app; }
    location /slowpage/ { proxy_read_timeout 100ms; error_page 504 /50x.html; error_page 502 /404.html; proxy_pass http://app; }
    location /big/ { client_max_body_size 10; proxy_pass http://app; }
    location /nested/ { proxy_pass http://app; location /nested/static/ { alias @www@/; } }
    location /ka/ { proxy_pass http://app; keepalive_timeout 0; }
    location /anycharset/ { charset utf-8; return 200 "so that the charset filter is there"; }
    location /etag/ { etag off; if_modified_since off; proxy_pass http://app; }
    location /acl/ { deny all; proxy_pass http://app; }
    location /auto { proxy_pass http://app; }
    location /auto/slash/ { proxy_pass http://app/; }
}
server { listen @host@:@port.under@; underscores_in_headers on; location / { proxy_pass http://app; } }
server { listen @host@:@port.ignore@; ignore_invalid_headers off; location / { proxy_pass http://app; } }
server { listen @host@:@port.merge@; merge_slashes off; location / { proxy_pass http://app; } location /p/ { proxy_pass http://app/q/; } }
"""


def slow_script(exchange, received):
    exchange.read_body(received)
    exchange.gone(3)
    exchange.close()


@pytest.fixture(scope="module")
def pair(shared):
    folder = shared.folder()
    app = shared.origin()
    bad = shared.origin()
    sock = shared.origin(folder + "/app.sock")
    for path in ("/slow/x", "/slowpage/x"):
        app.scripts[path] = slow_script
    # the port of "nobody" is picked but never listened on
    import server as servers
    nobody = servers.free_port(("127.0.0.1",))
    made = shared.pair(HTTP.replace("@port.nobody@", str(nobody)),
                       origins={"app": app, "bad": bad, "sock": sock})
    for one in made.origins.values():
        one.reply = OK
    return made


@cases(*["GET " + path for path in (
    "/", "/nouri/a%2Fb//c", "/nouri/a%20b/../c?x=%2F", "/nouri/./x", "/slash/", "/slash/a//b",
    "/slash/%41%20b%2Fc", "/slash/a?b=c%20d", "/slash/../slash/x", "/slash/%3Fq%23h", "/slash/%25",
    "/slash/a+b;c=d", "/slash/%C3%BC", "/slash/\"q\"", "/slash/%7f%01", "/slash", "/slash?a=b",
    "/noslfoo", "/nosl", "/nosl/x", "/sub/foo", "/sub/", "/deep/x/y?z", "/deep/", "/args/x?y=z",
    "/args/", "/catmaid//a//b", "/catmaid/x/", "/catmaid", "/one", "/one?a", "/metrics/9100",
    "/metrics/9100/rest?q", "/rx/a%20b", "/var/a%20b?c", "/varuri/x?p=y", "/varuri/x",
    "/varreq/a%20b?c=d", "/pick/x", "/scheme/x", "/rw/a%20b?c=d", "/rw/x", "/rwuri/x?y=z",
    "/rwargs/abc?d", "/sock/a%2Fb?c", "/sockdirect/a?b", "/named//a%20b/?x=1%2F2", "/limited/x",
    "/ifd/x", "/ifd/x%20y?p=1", "/nested/x", "/nested/static/a.txt", "/auto", "/auto/slash",
    "/auto/slash/", "/autox", "/acl/x")],
    "HEAD /limited/x", "POST /limited/x", "DELETE /slash/x", "OPTIONS /slash/x", "FOO /slash/x",
    "HEAD /slash/x", "PROPFIND /slash/x",
    Case("GET //p//x", port="merge"), Case("GET /p//x", port="merge"), Case("GET /p/x/../y", port="merge"))
def test_target(pair, case):
    case.reply = OK
    if case.methods[0] == "HEAD":
        case.reply = answer("200 OK", "Content-Length: 0", length=False, body=b"")
    pair.compare(case)


@cases(*["GET " + path for path in (
    "/h/own/x", "/h/host/x", "/h/hosth/x", "/h/fixed/x", "/h/empty/x", "/h/xff/x", "/h/up/x",
    "/h/none/x", "/h/nobody/x", "/h/method/x", "/h/methodv/x?m=PATCH", 
    "/h/nest/in", "/h/nest/own", "/h/acc/x?a=1", "/h/ph/x")],
    Case("GET /h/host/x", "Host: Name.Test:8080"), Case("GET /h/hosth/x", "Host: Name.Test:8080"),
    Case("GET /x", "Host: Name.Test:8080"), Case("GET /h/host/x HTTP/1.0", host=None, want=Want(
        "always-host", status=200, reaches=1, told={"host": "app"})),
    Case("GET /h/hosth/x HTTP/1.0", host=None), Case("GET /x HTTP/1.0", host=None),
    Case("GET /h/empty/x", "X-Gone: here", "Accept-Encoding: gzip", "User-Agent: ua"),
    Case("GET /h/xff/x", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Real-IP: 7.7.7.7"),
    Case("GET /h/xff/x", "X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 5.5.5.5"),
    Case("GET /h/xff/x", "X_Forwarded_For: 6.6.6.6", "X_Forwarded_Proto: https"),
    Case("GET /x", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https"),
    Case("GET /h/up/x", "Upgrade: websocket", "Connection: Upgrade"),
    Case("GET /x", "Upgrade: websocket", "Connection: Upgrade"),
    Case("GET /x", "Keep-Alive: 300", "Connection: keep-alive"), Case("GET /x", "TE: trailers"),
    Case("GET /x", "Expect: 100-continue", want=Want("expect", status=200, lacks=("expect",))), Case("GET /x", "Proxy-Connection: keep-alive",
                                                want=Want("hop-by-hop", status=200, reaches=1,
                                                          lacks=("proxy-connection",))),
    Case("GET /x", "X-Drop: secret", "Connection: X-Drop, X-Srv", "X-Kept: k",
         want=Want("hop-by-hop", status=200, reaches=1, lacks=("x-drop",),
                   told={"x-srv": "server-level", "x-kept": "k"})),
    Case("GET /x", "Under_Score: 1", "Good: 2"), Case("GET /x", "Under_Score: 1", port="under"),
    Case("GET /x", "Odd.Name: 1", "Good: 2"), Case("GET /x", "Odd.Name: 1", port="ignore"),
    Case("GET /x", "Inv@lid: 1", "Good: 2", want=Want("strict-head", status=400, closes=True)),
    Case("GET /x", "Inv@lid: 1", port="ignore", want=Want("strict-head", status=400, closes=True)),
    Case("GET /x", "Cookie: a=1", "Cookie: b=2"), Case("GET /x", "Accept: a", "Accept: b"),
    Case("GET /x", "X-Empty:"), Case("GET /x", "X-Space:    padded   "), Case("GET /x", "x-CaSe: V"),
    Case("GET /x", "Referer: http://r/?\"q\"", "User-Agent: Mozilla/5.0 (X; Y) \xe9"),
    Case("GET /x", "If-Modified-Since: x", "If-None-Match: \"a\"", "Range: bytes=0-1"),
    Case("GET /x", "Authorization: Basic abc"), Case("GET /h/none/x", "Cookie: a=1", "X-A: 1"),
    Case("GET /h/acc/x?a=1", "A: head", "Cookie: a=cook"), Case("GET /x", "Via: 1.1 other"),
    Case("GET /h/own/x", "X-Own: client", "X-Srv: client"),
    Case("GET http://abs.test/x?y HTTP/1.1", "Host: abs.test"),
    Case("GET http://abs.test/h/host/x HTTP/1.1", "Host: abs.test"),
    Case("GET http://abs.test/h/host/x HTTP/1.1", "Host: evil.test",
         want=Want("authority", status=200, reaches=1, told={"host": "abs.test"})),
    Case("GET /h/own/x", "Content-Length: 0"), Case("GET /h/ph/x", "Host: q.test"))
def test_request_headers(pair, case):
    case.reply = OK
    pair.compare(case)


BODY = b"a=1&b=" + b"x" * 500


@cases(
    Case("POST /x", body=BODY), Case("POST /x", "Content-Length: 0"), Case("POST /x"),
    Case("PUT /x", body=b"\x00\xff bytes"), Case("PATCH /x", body=b"p"), Case("DELETE /x", body=b"d"),
    Case("GET /x", body=b"body with get"), Case("POST /slash/x", "Content-Type: text/x", body=BODY),
    Case("POST /x", "Transfer-Encoding: chunked", body=chunked(b"one", b"two" * 100)),
    Case("POST /x", "Transfer-Encoding: chunked", body=chunked()),
    Case("POST /x", "Transfer-Encoding: CHUNKED", body=chunked(b"caps")),
    Case("POST /x", "Transfer-Encoding: chunked", body=chunked(b"t", trailers=b"X-T: 1\r\n")),
    Case("POST /buf/req/x", body=BODY),
    Case("POST /buf/req/x", "Transfer-Encoding: chunked", body=chunked(b"only one"),
         want=Want("streamed-framing", status=200, told={"transfer-encoding": "chunked"})),
    Case("POST /buf/req/x", "Transfer-Encoding: chunked", body=chunked(),
         want=Want("streamed-framing", status=200)),
    Case("POST /h/nobody/x", body=BODY),
    Case("POST /h/method/x", body=BODY), Case("POST /h/none/x", body=BODY), Case("HEAD /x"),
    Case("POST /named/x", body=BODY), Case("POST /big/x", body=b"12345"),
    Case("POST /big/x", body=b"12345678901"), Case("POST /big/x", "Content-Length: 99999999999", end=False),
    Case("POST /big/x", "Transfer-Encoding: chunked", body=chunked(b"1234567890", b"1")),
    Case("POST /big/x", "Transfer-Encoding: chunked", body=chunked(b"1234", b"1")),
    Case("POST /x", "Expect: 100-continue", body=b"waited", want=Want("expect", status=200)),
    Case("POST /x HTTP/1.0", body=b"old"), Case("POST /x HTTP/1.0", "Connection: keep-alive", body=b"o"),
    Case("POST /x", body=b"y" * 300000), Case("POST /buf/req/x", body=b"y" * 300000),
    Case("POST /sock/x", body=b"y" * 70000), Case("POST /rw/x", body=b"b"),
    Case("POST /half/x", body=b"retry"), Case("POST /dead/x", body=b"dead"),
    Case("POST /deadpage/x", body=b"dead"), Case("POST /acl/x", body=b"denied"),
    Case("POST /deadnamed/x", body=b"dead", want=Want("post-down", status=502, body=b"maintenance page")),
)
def test_body(pair, case):
    case.reply = OK
    if case.methods[0] == "HEAD":
        case.reply = answer("200 OK", "Content-Length: 0", length=False, body=b"")
    pair.compare(case)


LOCATIONS = ("http://app/x", "http://app", "http://app/", "http://app/in/x", "HTTP://app/x",
             "http://APP/x", "http://app:80/x", "https://app/x", "/relative", "relative", "//app/x",
             "http://other/x", "http://app.evil/x", "http://127.0.0.1:81/deep", "", "http://app?q")
REDIRECTS = ("default", "nouri", "deep", "off", "path", "host", "port", "root", "two", "rx", "rxn",
             "var", "server")


@cases(*[Case("GET /redir/%s/x" % kind, name="%s %s" % (kind, where),
              reply=answer("302 Found", "Location: " + where, body=b""))
         for kind in REDIRECTS for where in LOCATIONS])
def test_redirect(pair, case):
    pair.compare(case)


@cases(*[Case("GET /redir/%s/x" % kind, name="refresh %s %s" % (kind, value),
              reply=answer("200 OK", "Refresh: " + value))
         for kind in ("default", "off", "path", "two") for value in (
             "5;url=http://app/x", "5; url=http://app/x", "0;URL=http://app/x", "5", "http://app/x")],
       Case("GET /redir/default/x", reply=answer("201 Created", "Location: http://app/new")),
       Case("GET /redir/default/x", reply=answer("200 OK", "Location: http://app/new")),
       Case("GET /catmaid/x", reply=answer("302 Found", "Location: http://app-host/x")),
       Case("GET /catmaid/x", "Host: a.b:8080", reply=answer("302 Found", "Location: http://app-host/x")),
       Case("GET /catmaid/x", reply=answer("302 Found", "Location: http://app-host")),
       Case("GET /x", reply=answer("200 OK", "Set-Cookie: a=1; Path=/; Domain=app", "Set-Cookie: b=2")))
def test_refresh(pair, case):
    pair.compare(case)


ANSWERS = {
    "plain": answer("200 OK", "Content-Type: text/plain"),
    "no type": answer("200 OK"),
    "headers": answer("200 OK", "X-Secret: s", "X-Up: u", "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT",
                      'ETag: "abc"', "Set-Cookie: sid=1", "Set-Cookie: b=2", "Server: gunicorn",
                      "Date: Tue, 14 Nov 2023 22:13:20 GMT", "Cache-Control: no-cache", "Vary: Cookie"),
    "x-accel": answer("200 OK", "X-Accel-Expires: 5", "X-Accel-Limit-Rate: 100000", "X-Accel-Buffering: no",
                      "X-Accel-Charset: koi8-r", "Content-Type: text/plain"),
    "status-text": answer("299 Odd Reason", "X: 1"),
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "empty reason": b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok",
    "404": answer("404 Not Found", "Content-Type: text/html", body=b"their 404"),
    "403": answer("403 Forbidden", body=b"their 403"),
    "500": answer("500 Internal Server Error", body=b"their 500"),
    "502": answer("502 Bad Gateway", body=b"their 502"),
    "503": answer("503 Service Unavailable", "Retry-After: 7", body=b"their 503"),
    "302": answer("302 Found", "Location: /else", body=b""),
    "401": answer("401 Unauthorized", 'WWW-Authenticate: Basic realm="x"', body=b"auth"),
    "204": b"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n" + chunked(b"one", b"two"),
    "chunked empty": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(),
    "chunk ext": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
    "empty": answer("200 OK", body=b""),
    "100 first": b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    "repeated": answer("200 OK", "X-A: 1", "X-A: 2", "x-b: 3", "X-Empty:", "Content-Language: de"),
    "range": answer("206 Partial Content", "Content-Range: bytes 0-1/10", "Accept-Ranges: bytes"),
    "long header": answer("200 OK", "X-Long: " + "l" * 2000),
    "continued date": answer("200 OK", "Expires: Thu, 01 Jan 1970 00:00:01 GMT"),
    "connection": answer("200 OK", "Connection: keep-alive", "Keep-Alive: timeout=5"),
    "big": answer("200 OK", "Content-Type: text/plain", body=b"z" * 200000),
    "typed charset": answer("200 OK", "Content-Type: text/html; charset=latin1"),
}
PLACES = ("/x", "/hide/x", "/pass/x", "/ign/x", "/buf/off/x", "/buf/small/x", "/hdr/x", "/etag/x")


@cases(*[Case("GET " + place, name="%s %s" % (place, kind), reply=reply, timeout=2,
              want=Want("interim", status=200, body=b"ok") if kind == "100 first" else None)
         for kind, reply in ANSWERS.items() for place in PLACES
         if place == "/x" or kind in ("plain", "headers", "x-accel", "404", "302", "chunked", "304",
                                      "typed charset", "no type", "big")])
def test_answer(pair, case):
    pair.compare(case)


@cases(*[Case("GET " + place, "Accept-Encoding: gzip", name="gzip %s %s" % (place, kind), reply=reply)
         for place in ("/gz/x", "/gzno/x") for kind, reply in {
             "text": answer("200 OK", "Content-Type: text/plain", 'ETag: "e"', body=b"t" * 400),
             "html": answer("200 OK", "Content-Type: text/html; charset=utf-8", body=b"t" * 400),
             "image": answer("200 OK", "Content-Type: image/png", body=b"t" * 400),
             "short": answer("200 OK", "Content-Type: text/plain", body=b"t" * 9),
             "encoded": answer("200 OK", "Content-Type: text/plain", "Content-Encoding: br", body=b"t" * 40),
             "weak": answer("200 OK", "Content-Type: text/plain", 'ETag: W/"e"', "Accept-Ranges: bytes", body=b"t" * 40),
             "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n" + chunked(b"x" * 50),
             "404": answer("404 Not Found", "Content-Type: text/plain", body=b"t" * 400),
             "403": answer("403 Forbidden", "Content-Type: text/plain", body=b"t" * 400),
             "500": answer("500 Oops", "Content-Type: text/plain", body=b"t" * 400),
         }.items()],
       Case("GET /gz/x", reply=answer("200 OK", "Content-Type: text/plain", body=b"t" * 400)),
       Case("GET /gz/x", "Accept-Encoding: gzip;q=0", reply=answer("200 OK", "Content-Type: text/plain", body=b"t" * 400)),
       Case("GET /gz/x HTTP/1.0", "Accept-Encoding: gzip", reply=answer("200 OK", "Content-Type: text/plain", body=b"t" * 400)),
       Case("GET /gzno/x", "Accept-Encoding: gzip", "Via: 1.1 p", reply=answer("200 OK", "Content-Type: text/plain", body=b"t" * 400)),
       Case("GET /gz/x", "Accept-Encoding: gzip", "Via: 1.1 p", reply=answer("200 OK", "Content-Type: text/plain", body=b"t" * 400)),
       Case("HEAD /gz/x", "Accept-Encoding: gzip", reply=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 400\r\n\r\n"))
def test_gzip(pair, case):
    pair.compare(case)


@cases(*[Case("GET /icept/x", name="icept " + kind, reply=ANSWERS[kind])
         for kind in ("plain", "404", "403", "500", "502", "503", "302", "401", "304", "204")],
       *[Case("GET /icept-un/x", name="icept-un " + kind, reply=ANSWERS[kind])
         for kind in ("plain", "404", "500", "502", "503", "302", "401")],
       Case("HEAD /icept/x", reply=b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
       Case("POST /icept/x", body=b"b", reply=ANSWERS["404"]),
       Case("POST /icept/x", body=b"b", reply=ANSWERS["403"]))
def test_intercept(pair, case):
    pair.compare(case)


def accel(*headers, body=b"ignored"):
    return answer("200 OK", *headers, body=body)


@cases(
    Case("GET /accel/x", reply=accel("X-Accel-Redirect: /protected/a.txt")),
    Case("GET /accel/x", reply=accel("X-Accel-Redirect: /protected/a.txt", "Content-Type: text/own",
                                     "Set-Cookie: a=1", "Content-Disposition: attachment", "X-Other: o",
                                     "Cache-Control: private", "Expires: 0", "Accept-Ranges: none")),
    Case("GET /accel/x", "Range: bytes=1-3", reply=accel("X-Accel-Redirect: /protected/a.txt")),
    Case("GET /accel/x", reply=accel("X-Accel-Redirect: /protected/nope")),
    Case("GET /accel/x", reply=accel("X-Accel-Redirect: /open/a.txt")),
    Case("GET /accel/x", reply=accel("X-Accel-Redirect: /open/with%20space.txt")),
    Case("GET /accel/x", reply=accel("X-Accel-Redirect: /open/a.txt?x=y")),
    Case("GET /accel/x", reply=accel("X-Accel-Redirect: @denied")),
    Case("GET /accel/x", reply=accel("X-Accel-Redirect: /protected/../../x")),
    Case("GET /accel/x", reply=accel("X-Accel-Redirect: relative")),
    Case("GET /accel/x", reply=accel("X-Accel-Redirect: /protected/big.bin", "Last-Modified: Tue, 14 Nov 2000 22:13:20 GMT", 'ETag: "theirs"')),
    Case("GET /accel/x", reply=answer("404 Not Found", "X-Accel-Redirect: /protected/a.txt")),
    Case("GET /accel/x", reply=answer("500 Oops", "X-Accel-Redirect: /protected/a.txt")),
    Case("HEAD /accel/x", reply=b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: /protected/a.txt\r\nContent-Length: 0\r\n\r\n"),
    Case("POST /accel/x", body=b"b", reply=accel("X-Accel-Redirect: /protected/a.txt")),
    Case("GET /ign/x", reply=accel("X-Accel-Redirect: /protected/a.txt")),
    Case("GET /protected/a.txt"),
    Case("GET /accel/x", reply=accel("X-Accel-Charset: utf-8", "Content-Type: text/plain")),
    Case("GET /accel/x", reply=accel("X-Accel-Charset: koi8-r", "Content-Type: text/html")),
    Case("GET /accel/x", reply=accel("X-Accel-Charset: utf-8", "Content-Type: image/png")),
    Case("GET /accel/x", reply=accel("X-Accel-Expires: 60", "Content-Type: text/plain")),
    Case("GET /accel/x", reply=accel("X-Accel-Limit-Rate: 100k")),
)
def test_accel(pair, case):
    pair.compare(case)


BAD = answer("503 Service Unavailable", body=b"bad 503")


def with_bad(case, reply):
    case.bad = reply
    return case


@cases(
    *[Case("GET %s/x" % place) for place in (
        "/dead", "/deadpage", "/deadnamed", "/deadcode", "/dead200", "/deadother", "/deadurl",
        "/half", "/spare", "/downed", "/pick", "/uv")],
    Case("GET /pick/x?u=d"), Case("HEAD /dead/x"), Case("HEAD /deadpage/x"), Case("HEAD /deadnamed/x"),
    Case("GET /slow/x"), Case("GET /slowpage/x"),
    *[with_bad(Case("GET /next/%s/x" % kind, name="%s 503" % kind), BAD)
      for kind in ("status", "404", "off", "default", "tries", "non")],
    with_bad(Case("GET /next/404/x", name="404 404"), answer("404 Not Found", body=b"bad 404")),
    with_bad(Case("GET /next/404/x", name="404 403"), answer("403 Forbidden", body=b"bad 403")),
    with_bad(Case("GET /next/invalid/x", name="invalid", timeout=1,
                  want=Want("strict-answer", status=200)), b"garbage\r\n\r\n"),
    with_bad(Case("POST /next/status/x", name="post 503", body=b"p"), BAD),
    with_bad(Case("POST /next/non/x", name="post non 503", body=b"p"), BAD),
    with_bad(Case("PUT /next/status/x", name="put 503", body=b"p"), BAD),
    with_bad(Case("DELETE /next/status/x", name="delete 503"), BAD),
    with_bad(Case("PATCH /next/status/x", name="patch 503", body=b"p"), BAD),
)
def test_next_upstream(pair, case):
    case.reply = OK if "HEAD" not in case.methods else None
    bad = getattr(case, "bad", None)
    if bad is not None:
        def script(exchange, received):
            exchange.read_body(received)
            exchange.send(bad)
            exchange.finish()
        pair.origins["bad"].scripts = {"/next/%s/x" % k: script for k in (
            "status", "404", "off", "invalid", "default", "tries", "non")}
    pair.compare(case)


CUT = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nshort",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
    "close ends": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil close",
    "close empty": b"HTTP/1.1 200 OK\r\n\r\n",
    "v10 close": b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil close",
    "nothing": b"",
    "half head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "too big head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20000 + b"\r\n\r\n",
}


@cases(*[Case("GET %s" % place, *headers, name="%s %s %s" % (place, kind, headers), reply=reply)
         for kind, reply in CUT.items() for place, headers in (
             ("/x", ()), ("/buf/off/x", ()))],
       *[Case("GET /x HTTP/1.0", name="1.0 " + kind, reply=CUT[kind])
         for kind in ("length", "close ends", "no last chunk")])
def test_cut(pair, case):
    app = pair.origins["app"]
    app.close_after = True
    try:
        pair.compare(case)
    finally:
        app.close_after = False


@cases(*[Case("GET /x", name="answer " + name, reply=reply, timeout=2,
              want=Want("strict-answer", status=502, reaches=1))
         for name, reply in {
             "0.9": b"just some text without a status line\r\n\r\n",
             "bad version": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
             "bad status": b"HTTP/1.1 20x OK\r\nContent-Length: 0\r\n\r\n",
             "low status": b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
             "bad length": b"HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nok",
             "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
             "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
             "huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
             "both": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             "gzip te": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
             "space colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
             "no colon": b"HTTP/1.1 200 OK\r\nGarbage\r\nContent-Length: 2\r\n\r\nok",
             "nul": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok",
             "obs fold": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
             "unasked 101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
         }.items()])
def test_invalid_answer(pair, case):
    app = pair.origins["app"]
    app.close_after = True
    try:
        pair.compare(case)
    finally:
        app.close_after = False
