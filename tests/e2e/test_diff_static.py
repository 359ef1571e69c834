"""Static files on the wire: ranges, conditional requests, methods, compression, headers."""

import pytest

from contrast import Case, cases
from difference import Want

HTTP = r"""
server {
    listen @host@:@port@;
    server_name example.test;
    root @www@;
    location / { }
    location /max/ { alias @www@/; max_ranges 1; }
    location /noranges/ { alias @www@/; max_ranges 0; }
    location /noetag/ { alias @www@/; etag off; }
    location /ims/off/ { alias @www@/; if_modified_since off; }
    location /ims/before/ { alias @www@/; if_modified_since before; }
    location /gz/ { alias @www@/; gzip on; gzip_types text/css application/javascript; gzip_vary on; }
    location /gz1/ { alias @www@/; gzip on; gzip_min_length 5000; gzip_types *; gzip_http_version 1.0; }
    location /gzd/ { alias @www@/; gzip on; gzip_types *; gzip_disable "MSIE [1-6]\.|bad"; }
    location /gzl/ { alias @www@/; gzip on; gzip_types *; gzip_comp_level 9; gzip_proxied off; }
    location /gzp/ { alias @www@/; gzip on; gzip_types *; gzip_proxied no-cache auth expired; }
    location /add/ { alias @www@/; add_header X-One 1; add_header X-Two "two $uri"; add_header X-Always yes always; add_header X-Empty ""; }
    location /add/nest/ { alias @www@/; add_header X-Nested n; }
    location /addcc/ { alias @www@/; add_header Cache-Control "no-store"; add_header Last-Modified ""; add_header ETag own; }
    location /exp/max/ { alias @www@/; expires max; }
    location /exp/0/ { alias @www@/; expires 0; }
    location /exp/24h/ { alias @www@/; expires 24h; }
    location /exp/neg/ { alias @www@/; expires -1; }
    location /exp/epoch/ { alias @www@/; expires epoch; }
    location /exp/off/ { alias @www@/; expires off; }
    location /exp/mod/ { alias @www@/; expires modified 1d; }
    location /exp/var/ { alias @www@/; expires $arg_e; }
    location /exp/pub/ { alias @www@/; expires 1y; add_header Cache-Control public; }
    location /exp/err/ { expires 1h; return 404; }
    location /lim/ { alias @www@/; limit_except GET { deny all; } }
    location /lim2/ { alias @www@/; limit_except GET POST { deny all; } }
    location /acl/deny/ { alias @www@/; deny all; }
    location /acl/allow/ { alias @www@/; allow 127.0.0.0/8; deny all; }
    location /acl/order/ { alias @www@/; deny 127.0.0.1; allow all; }
    location /acl/other/ { alias @www@/; allow 10.0.0.0/8; allow ::1; deny all; }
    location /acl/inherit/ { deny all; location /acl/inherit/sub/ { alias @www@/; } location /acl/inherit/open/ { alias @www@/; allow all; } }
    location /acl/page/ { deny all; error_page 403 /50x.html; }
    location /sat/ { alias @www@/; satisfy any; allow 127.0.0.1; deny all; }
    location /sf/ { alias @www@/; sendfile on; }
    location /rate/ { alias @www@/; limit_rate 4m; limit_rate_after 1m; }
    location /dtype/ { alias @www@/; types { } default_type application/x-all; }
}
"""
ERRORS = r"""
error_page 410 /http-level.html;
server {
    listen @host@:@port@;
    server_name example.test;
    root @www@;
    error_page 404 /404.html;
    error_page 500 502 503 504 /50x.html;

    location / { }
    location /e403 { return 403; }
    location /e410 { return 410; }
    location /e500 { return 500; }
    location /e503 { return 503; }
    location /own { error_page 404 = @handler; return 404; }
    location /eq200 { error_page 404 =200 /a.txt; return 404; }
    location /eq { error_page 404 = /a.txt; return 404; }
    location /eq204 { error_page 404 =204 /empty.txt; return 404; }
    location /code { error_page 404 =410 /a.txt; return 404; }
    location /url { error_page 403 http://other.test/denied; return 403; }
    location /urlcode { error_page 403 =301 http://other.test/denied?u=$uri; return 403; }
    location /urlrel { error_page 403 =302 /a.txt; return 403; }
    location /var { error_page 404 /$arg_page; return 404; }
    location /named { error_page 404 @handler; return 404; }
    location /named502 { error_page 502 @maintenance; return 502; }
    location /chain { error_page 404 /chain2; return 404; }
    location /chain2 { return 503; }
    location /rec { recursive_error_pages on; error_page 404 /rec2; return 404; }
    location /rec2 { recursive_error_pages on; error_page 503 /50x.html; return 503; }
    location /recloop { recursive_error_pages on; error_page 404 /recloop; return 404; }
    location /missing { error_page 404 /no-such-page.html; return 404; }
    location /flag { error_page 503 /50x.html; if (-f @www@/a.txt) { return 503; } }
    location /several { error_page 401 402 403 404 @handler; return 402; }
    location /args { error_page 404 /echo?from=$uri; return 404; }
    location /echo { return 200 "uri=$uri args=$args method=$request_method ru=$request_uri"; }
    location /nest { error_page 404 /a.txt; location /nest/in { return 404; } location /nest/own { error_page 500 /b.txt; return 404; } }
    location /hdr { add_header X-Loc loc always; error_page 404 @handler; return 404; }
    location /hdrs { add_header X-Loc loc; error_page 404 /page-with-header; return 404; }
    location /page-with-header { add_header X-Page page always; alias @www@/a.txt; }
    location /cors { add_header Access-Control-Allow-Origin * always; add_header X-Loc loc always; add_header Cache-Control immutable always; error_page 502 @maintenance; return 502; }
    location /corsown { add_header Access-Control-Allow-Origin * always; error_page 502 @own_cors; return 502; }
    location /try { error_page 404 @handler; try_files $uri =404; }
    location /trycode { try_files $uri =503; }
    location /redirect301 { error_page 301 =200 /a.txt; return 301 /x; }
    location /body { return 404 "own body"; }
    location /internal-only { internal; }
    location = /http-level.html { return 200 "http level page"; }
    location @handler { return 200 "handled $uri $status"; }
    location @maintenance { root @www@; rewrite ^(.*)$ /maintenance.html break; }
    location @own_cors { add_header Access-Control-Allow-Origin own always; root @www@; rewrite ^ /maintenance.html break; }
    location /e400 { return 400; }
    location /big { client_max_body_size 1; error_page 413 /413page; }
    location /413page { return 413 "too large, sorry"; }
    location /bigstatic { client_max_body_size 1; error_page 413 /50x.html; }
    location /post405 { error_page 405 =200 $uri; root @www@; }
    location /down/static { error_page 502 @maintenance; return 502; }
    location /down/page { error_page 502 /50x.html; return 502; }
}
"""
CHARSETS = r"""
server {
    listen @host@:@port@;
    root @www@;
    charset utf-8;
    location / { }
    location /off/ { alias @www@/; charset off; }
    location /koi/ { alias @www@/; charset koi8-r; }
    location /types/ { alias @www@/; charset_types application/json; }
    location /ret { return 200 "text"; }
    location /retj { default_type application/json; return 200 "{}"; }
    location /own { default_type "text/html; charset=latin1"; return 200 "own"; }
    location /redirect { return 302 /x; }
}
"""


@pytest.fixture(scope="module")
def pair(shared):
    return shared.pair(HTTP)


@pytest.fixture(scope="module")
def errors(shared):
    return shared.pair(ERRORS)


@pytest.fixture(scope="module")
def charsets(shared):
    return shared.pair(CHARSETS)


RANGES = ("bytes=0-0", "bytes=0-9", "bytes=5-", "bytes=-5", "bytes=-0", "bytes=-100", "bytes=36-36",
          "bytes=36-99", "bytes=37-", "bytes=37-40", "bytes=99-100", "bytes=5-3", "bytes=0-0,2-3",
          "bytes=0-1,-2", "bytes=0-,5-9", "bytes=0-1, 3-4 ,6-", "bytes=0-1,99-", "bytes=99-,0-1",
          "bytes=98-,99-", "bytes=", "bytes", "bytes= 0-1", "bytes=0 - 1", "bytes=a-b", "bytes=0-x",
          "bytes=-", "bytes=--1", "bytes=1-2-3", "bytes=,", "bytes=0-1,", "bytes=,0-1", "chars=0-1",
          "BYTES=0-1", "bytes=0-18446744073709551616", "bytes=18446744073709551616-",
          "bytes=0-9223372036854775807", "bytes=-9223372036854775808", "bytes=00-01", "bytes=0-1,0-1",
          "bytes=0-5,3-9", "bytes=10-20,0-5", "bytes=0-36", "bytes=0-37", "bytes=+1-2")


@cases(*[Case("GET /b.txt", "Range: " + value) for value in RANGES],
       Case("HEAD /b.txt", "Range: bytes=0-9"), Case("GET /empty.txt", "Range: bytes=0-0"),
       Case("GET /empty.txt", "Range: bytes=-1"), Case("POST /b.txt", "Range: bytes=0-1"),
       Case("GET /max/b.txt", "Range: bytes=0-1"), Case("GET /max/b.txt", "Range: bytes=0-1,3-4"),
       Case("GET /noranges/b.txt", "Range: bytes=0-1"), Case("GET /nope", "Range: bytes=0-1"),
       Case("GET /b.txt HTTP/1.0", "Range: bytes=0-1"),
       Case("GET /big.bin", "Range: bytes=1000000-1000999"),
       Case("GET /big.bin", "Range: bytes=0-99,3145000-"), Case("GET /sf/big.bin", "Range: bytes=-70000"),
       Case("GET /b.txt", "Range: bytes=0-1", "Range: bytes=3-4"),
       Case("GET /gz/style.css", "Range: bytes=0-9", "Accept-Encoding: gzip"),
       Case("GET /b.txt", "Range: bytes=" + ",".join("%d-%d" % (i, i) for i in range(20))),
       Case("GET /tile.jpg", "Range: bytes=1-2,4-5"), Case("GET /x.unknown", "Range: bytes=1-2,4-5"))
def test_range(pair, case):
    pair.compare(case)


MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT"
EARLIER = "Mon, 13 Nov 2023 22:13:20 GMT"
LATER = "Wed, 15 Nov 2023 22:13:20 GMT"
ETAG = '"6553f100-25"'


@cases(*[Case("GET /b.txt", *headers) for headers in (
    ("If-Modified-Since: " + MODIFIED,), ("If-Modified-Since: " + EARLIER,), ("If-Modified-Since: " + LATER,),
    ("If-Modified-Since: garbage",), ("If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT",),
    ("If-Modified-Since: Tue Nov 14 22:13:20 2023",), ("If-Modified-Since: ",),
    ("If-None-Match: " + ETAG,), ("If-None-Match: W/" + ETAG,), ('If-None-Match: "x", ' + ETAG,),
    ('If-None-Match: "x"',), ("If-None-Match: *",), ("If-None-Match: 6553f100-25",), ("If-None-Match:",),
    ('If-None-Match: "x"', "If-Modified-Since: " + MODIFIED),
    ("If-None-Match: " + ETAG, "If-Modified-Since: " + EARLIER),
    ("If-Match: " + ETAG,), ("If-Match: W/" + ETAG,), ('If-Match: "x"',), ("If-Match: *",),
    ('If-Match: "x", ' + ETAG,), ("If-Match: ",),
    ("If-Unmodified-Since: " + MODIFIED,), ("If-Unmodified-Since: " + EARLIER,),
    ("If-Unmodified-Since: " + LATER,), ("If-Unmodified-Since: garbage",),
    ("If-Match: " + ETAG, "If-None-Match: " + ETAG),
    ("If-Match: " + ETAG, "If-Unmodified-Since: " + EARLIER),
    ("Range: bytes=0-3", "If-Range: " + ETAG), ("Range: bytes=0-3", 'If-Range: "x"'),
    ("Range: bytes=0-3", "If-Range: W/" + ETAG), ("Range: bytes=0-3", "If-Range: " + MODIFIED),
    ("Range: bytes=0-3", "If-Range: " + EARLIER), ("Range: bytes=0-3", "If-Range: " + LATER),
    ("Range: bytes=0-3", "If-Range: garbage"), ("Range: bytes=0-3", "If-Range:"),
    ("Range: bytes=0-3", "If-None-Match: " + ETAG), ("Range: bytes=99-", "If-None-Match: " + ETAG),
    ("Range: bytes=0-3", 'If-Match: "x"'), ("Range: bytes=0-3", "If-Modified-Since: " + MODIFIED),
    ("Cache-Control: no-cache", "If-Modified-Since: " + MODIFIED))],
    Case("HEAD /b.txt", "If-None-Match: " + ETAG), Case("HEAD /b.txt", 'If-Match: "x"'),
    Case("GET /nope", "If-Modified-Since: " + MODIFIED), Case("GET /nope", "If-Match: *"),
    Case("GET /noetag/b.txt", "If-None-Match: " + ETAG), Case("GET /noetag/b.txt", "If-None-Match: *"),
    Case("GET /noetag/b.txt", "If-Match: *"), Case("GET /noetag/b.txt"),
    Case("GET /noetag/b.txt", "Range: bytes=0-3", "If-Range: " + ETAG),
    Case("GET /ims/off/b.txt", "If-Modified-Since: " + MODIFIED),
    Case("GET /ims/before/b.txt", "If-Modified-Since: " + LATER),
    Case("GET /ims/before/b.txt", "If-Modified-Since: " + EARLIER),
    Case("GET /exp/max/b.txt", "If-None-Match: " + ETAG), Case("GET /add/b.txt", "If-None-Match: " + ETAG),
    Case("GET /add/b.txt", 'If-Match: "x"'), Case("GET /gz/style.css", 'If-None-Match: W/"6553f100-1068"'),
    Case("GET /gz/style.css", "Accept-Encoding: gzip", 'If-None-Match: "6553f100-1068"'),
    Case("GET /b.txt HTTP/1.0", "If-Modified-Since: " + MODIFIED, "Connection: keep-alive"))
def test_conditional(pair, case):
    pair.compare(case)


@cases(*[Case("GET %s%s" % (place, name), "Accept-Encoding: " + accept)
         for place, name, accept in (
             ("/gz/", "style.css", "gzip"), ("/gz/", "style.css", "deflate"), ("/gz/", "style.css", "gzip;q=0"),
             ("/gz/", "style.css", "gzip;q=0.5"), ("/gz/", "style.css", "gzip; q=0"), ("/gz/", "style.css", "*"),
             ("/gz/", "style.css", "*;q=0"), ("/gz/", "style.css", "identity, gzip"), ("/gz/", "style.css", "GZIP"),
             ("/gz/", "style.css", "x-gzip"), ("/gz/", "style.css", "gzip;q=1.000"), ("/gz/", "style.css", ""),
             ("/gz/", "style.css", "br, gzip;q=0.8, *;q=0.1"), ("/gz/", "style.css", "gzipx"),
             ("/gz/", "app.js", "gzip"), ("/gz/", "a.html", "gzip"), ("/gz/", "a.txt", "gzip"),
             ("/gz/", "data.json", "gzip"), ("/gz/", "empty.txt", "gzip"), ("/gz/", "nope", "gzip"),
             ("/gz1/", "style.css", "gzip"), ("/gz1/", "app.js", "gzip"), ("/gz1/", "big.bin", "gzip"),
             ("/gzd/", "style.css", "gzip"), ("/gzl/", "style.css", "gzip"), ("/gzp/", "style.css", "gzip"),
             ("/gzp/", "tile.jpg", "gzip"), ("/gzl/", "b.txt", "gzip"))],
       Case("GET /gz/style.css"), Case("HEAD /gz/style.css", "Accept-Encoding: gzip"),
       Case("GET /gz/style.css HTTP/1.0", "Accept-Encoding: gzip"),
       Case("GET /gz1/style.css HTTP/1.0", "Accept-Encoding: gzip"),
       Case("GET /gz1/app.js HTTP/1.0", "Accept-Encoding: gzip"),
       Case("GET /gzd/style.css", "Accept-Encoding: gzip", "User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; X)"),
       Case("GET /gzd/style.css", "Accept-Encoding: gzip", "User-Agent: a bad one"),
       Case("GET /gzl/style.css", "Accept-Encoding: gzip", "Via: 1.1 p"),
       Case("GET /gzp/style.css", "Accept-Encoding: gzip", "Via: 1.1 p"),
       Case("GET /gzp/style.css", "Accept-Encoding: gzip", "Via: 1.1 p", "Authorization: x"),
       Case("GET /gz/style.css", "Accept-Encoding: gzip", "Accept-Encoding: br"),
       Case("GET /gz/style.css", "Accept-Encoding: gzip", "Range: bytes=1-5"))
def test_gzip(pair, case):
    pair.compare(case)


@cases(*["GET " + path for path in (
    "/add/a.txt", "/add/nope", "/add/nest/a.txt", "/add/sub", "/addcc/a.txt", "/exp/max/a.txt",
    "/exp/max/nope", "/exp/0/a.txt", "/exp/24h/a.txt", "/exp/neg/a.txt", "/exp/epoch/a.txt",
    "/exp/off/a.txt", "/exp/mod/a.txt", "/exp/var/a.txt?e=1h", "/exp/var/a.txt?e=max",
    "/exp/var/a.txt?e=bogus", "/exp/var/a.txt?e=off", "/exp/var/a.txt?e=epoch", "/exp/var/a.txt",
    "/exp/pub/a.txt", "/exp/err/", "/exp/max/sub", "/lim/a.txt", "/lim2/a.txt", "/acl/deny/a.txt",
    "/acl/allow/a.txt", "/acl/order/a.txt", "/acl/other/a.txt", "/acl/inherit/x", "/acl/inherit/sub/a.txt",
    "/acl/inherit/open/a.txt", "/acl/page/", "/sf/a.txt", "/sf/big.bin", "/rate/big.bin", "/rate/a.txt",
    "/dtype/a.txt", "/dtype/style.css", "/dtype/noext", "/acl/deny/nope")],
    *["%s %s" % (m, p) for m in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
      for p in ("/lim/a.txt", "/lim2/a.txt", "/acl/deny/a.txt")],
    *["%s /a.txt" % m for m in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "get", "MKCOL")],
    Case("POST /a.txt", body="discarded"), Case("PUT /a.txt", body="x" * 100000),
    Case("GET /a.txt", body="with a body"), Case("HEAD /acl/deny/a.txt"))
def test_headers_and_access(pair, case):
    pair.compare(case)


@cases(*["GET " + path for path in (
    "/nope", "/e403", "/e410", "/e500", "/e503", "/own", "/eq200", "/eq", "/eq204", "/code", "/url",
    "/urlcode", "/urlrel", "/var?page=a.txt", "/var?page=nope", "/named", "/named502", "/chain",
    "/rec", "/recloop", "/missing", "/flag", "/several", "/args?x=y", "/nest", "/nest/in", "/nest/own",
    "/hdr", "/hdrs", "/try", "/trycode", "/redirect301", "/body", "/internal-only", "/e400",
    "/corsown", "/down/static", "/down/page", "/post405", "/404.html", "/50x.html")],
    *["HEAD " + path for path in ("/nope", "/named", "/named502", "/e500", "/down/page", "/e403")],
    Case("GET /cors", want=Want("cors", status=502, headers={"Access-Control-Allow-Origin": "*"},
                                absent=("X-Loc", "Cache-Control"), body=b"maintenance page")),
    Case("POST /nope", body="b"),
    Case("POST /args", body="b"), Case("POST /named", body="b"),
    Case("POST /down/static", body="b", want=Want("post-down", status=502, body=b"maintenance page")),
    Case("PUT /down/static", body="b", want=Want("post-down", status=502, body=b"maintenance page")),
    Case("DELETE /down/static", want=Want("post-down", status=502, body=b"maintenance page")),
    Case("PATCH /down/static", body="b", want=Want("post-down", status=502, body=b"maintenance page")),
    "OPTIONS /down/static", "PROPFIND /down/static",
    Case("POST /down/page", body="b"), Case("POST /big", body="too long"),
    Case("POST /bigstatic", body="too long"), Case("POST /e500", body="b"),
    Case("GET /e403", "Connection: close"), Case("GET /nope HTTP/1.0"), Case("GET /bad%zz"),
    Case("GET /nope", "Range: bytes=0-3"), Case("GET /named502", "Range: bytes=0-3"),
    Case("GET /nope", "If-None-Match: *"), Case("GET /eq200", "If-None-Match: *"),
    Case("GET /eq200", "Range: bytes=0-3"))
def test_error_page(errors, case):
    errors.compare(case)


@cases(*["GET " + path for path in (
    "/a.html", "/a.txt", "/style.css", "/app.js", "/data.json", "/tile.jpg", "/a.xml", "/nope",
    "/off/a.html", "/koi/a.txt", "/types/data.json", "/types/a.txt", "/types/a.html", "/ret", "/retj",
    "/own", "/redirect", "/sub", "/x.unknown", "/noext")],
    Case("GET /b.txt", "Range: bytes=0-1,4-5"), Case("HEAD /a.html"))
def test_charset(charsets, case):
    charsets.compare(case)
