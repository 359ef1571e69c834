"""Which location answers, and which file: location, root, alias, try_files, index."""

import pytest

from contrast import Case, cases
from difference import Want

HTTP = r"""
default_type application/octet-stream;
server {
    listen @host@:@port@;
    server_name example.test;
    root @www@;

    location = /exact { return 200 "exact"; }
    location /exact { return 200 "prefix"; }
    location ^~ /exact/no { return 200 "no regex"; }
    location ~* /exact/.*\.(jpg|png)$ { return 200 "regex $1"; }
    location ~ /exact/(?<what>[a-z]+)\.gif$ { return 200 "named $what"; }
    location ~ \.gif$ { return 200 "gif"; }
    location /a/long { return 200 "a-long"; }
    location /a/long/er { return 200 "a-longer"; }
    location /a/ { return 200 "a"; }
    location /outer {
        location /outer/inner { return 200 "inner"; }
        location = /outer/exact { return 200 "outer exact"; }
        location ~ \.txt$ { return 200 "outer regex"; }
        location ^~ /outer/stop {
            location ~ /outer/stop/(\d+) { return 200 "nested $1"; }
            return 200 "stop";
        }
        return 200 "outer";
    }
    location ~ ^/re/(.*)$ {
        location ~ ^/re/x(.*)$ { return 200 "re x [$1]"; }
        return 200 "re [$1]";
    }
    location ~ /tiles/dataset/(.*)$ {
        try_files /data/dataset/tiles/$1 /data/dataset/tiles/black.jpg =404;
        expires max;
        add_header Cache-Control public;
    }
    location /api/* { return 200 "literal star"; }
    location /dec { return 200 "[$uri] [$request_uri] [$document_uri]"; }
    location "/with space" { return 200 "spaced"; }
    location /hidden { internal; return 200 "internal"; }
    location = /to-hidden { rewrite ^ /hidden/x last; }
    location = /err-hidden { error_page 404 /hidden/e; return 404; }

    location /static { alias @aliased@/static; }
    location /slashed/ { alias @aliased@/static/; }
    location /mixed/ { alias @aliased@/data; }
    location /hole { alias @aliased@/static/; }
    location ~ ^/ra/(.+)\.x$ { alias @aliased@/static/$1.css; }
    location /va/ { set $dir static; alias @aliased@/$dir/; }
    location = /one.css { alias @aliased@/static/a.css; }
    location /ti/ { alias @aliased@/static/; try_files $uri $uri/ =404; }

    location /t/uri { try_files $uri =404; }
    location /t/fall { try_files $uri @named; }
    location /t/code { try_files $uri =503; }
    location /t/redir { try_files $uri /a.txt; }
    location /t/redirargs { try_files $uri /a.txt?x=1; }
    location /t/dir { try_files $uri $uri/ =404; }
    location /t/two { try_files /nope.txt /b.txt =404; }
    location /t/var { try_files /$arg_f /empty.txt =404; }
    location /t/loc { try_files /nope /exact; }
    location /t/undef { try_files /nope @undefined; }
    location /t/html { try_files $uri.html $uri /404.html; }
    location /sub { try_files $uri $uri/ @named; }
    location /bare { }
    location @named { return 200 "named: $uri $args"; }

    location /ix/ { alias @www@/sub/; index index.txt index.html; }
    location /ix2/ { alias @www@/sub/; index nope.html index.txt; }
    location /ix3/ { alias @www@/bare/; index nope.html /a.txt; }
    location /ix4/ { alias @www@/sub/; index $arg_i index.html; }
    location /auto/ { alias @www@/bare/; autoindex off; }
    location /types { root @www@; }
    location /dt { alias @www@; default_type text/x-own; }
    location /ty { alias @www@; types { text/x-text txt; } default_type text/x-rest; }
    location /rootnest { root @aliased@; location /rootnest/static { root @aliased@; } }
}
server {
    listen @host@:@port.loose@;
    merge_slashes off;
    root @www@;
    location / { return 200 "[$uri]"; }
    location /x/ { return 200 "x [$uri]"; }
}
server {
    listen @host@:@port.bare@;
    root @www@;
}
server {
    listen @host@:@port.log@;
    root @www@;
    location / { log_not_found off; }
    location /a.txt { sendfile on; }
    location /down/ { alias @www@/; if_modified_since off; etag off; }
}
"""


@pytest.fixture(scope="module")
def pair(shared):
    return shared.pair(HTTP)


@cases(
    "GET /exact", "GET /exact/", "GET /exact/a", "GET /exactly", "GET /exact/a.jpg",
    "GET /exact/a.JPG", "GET /exact/a.png?x", "GET /exact/no/a.jpg", "GET /exact/nota.jpg",
    "GET /exact/pic.gif", "GET /exact/PIC.gif", "GET /x.gif", "GET /x.GIF", "GET /Exact",
    "GET /exact?a=b", "GET /exact%2Fa", "GET /%65xact", "GET /exact/../exact", "GET /./exact",
    "GET //exact", "GET /a/", "GET /a/lon", "GET /a/long", "GET /a/longe", "GET /a/long/er/x",
    "GET /a", "GET /outer", "GET /outer/inner", "GET /outer/innermost", "GET /outer/exact",
    "GET /outer/exactly", "GET /outer/x.txt", "GET /outer/inner/x.txt", "GET /outer/stop/12",
    "GET /outer/stop/ab", "GET /outer/stop/x.txt", "GET /outer/x.gif", "GET /re/", "GET /re/abc",
    "GET /re/xyz", "GET /re/x", "GET /re/a%20b", "GET /re/a/../b", "GET /api/*", "GET /api/x",
    "GET /api/*/y", "GET /with%20space", "GET /with%20space/x", "GET /dec/%41%42",
    "GET /dec/a%2Fb", "GET /dec/a%2fb/../c", "GET /dec//x///y", "GET /dec/.", "GET /dec/./x",
    "GET /dec/..", "GET /dec/a/..", "GET /dec/a/../..", "GET /dec/...", "GET /dec/.x",
    "GET /dec/a%3Fb", "GET /dec/a%23b", "GET /dec/a%25b", "GET /dec/a+b", "GET /dec/a;b=c",
    "GET /dec/%E2%82%AC", "GET /dec/%ff", Case("GET /dec/a?x=%2F#frag", want=Want("strict-head", status=400, closes=True)),
    Case("GET /dec/a#frag", want=Want("strict-head", status=400, closes=True)),
    "GET /dec/%2e%2e/x", "GET /dec/%2e/x", "GET /dec/a/%2e%2E/b", "GET /dec/?", "GET /dec?",
    "GET /dec/a?b?c", "GET /dec/~user", "GET /dec/a:b@c", "GET /dec/a!$&'()*,=",
)
def test_choice(pair, case):
    pair.compare(case)


@cases(
    "GET /../x", "GET /../../etc/passwd", "GET /%2e%2e/x", "GET /a/../../x",
    "GET /a/%2e%2e/%2e%2e/x", "GET /..", "GET /%00", "GET /a%00b", "GET /dec/%zz", "GET /dec/%4",
    "GET /dec/%", "GET /a.txt/..%2f..%2fx", "GET /sub/..%5c..%5cx",
)
def test_traversal(pair, case):
    pair.compare(case)


@cases(
    "GET /hidden", "GET /hidden/x", "HEAD /hidden", "GET /to-hidden", "GET /err-hidden",
)
def test_internal(pair, case):
    pair.compare(case)


@cases(
    "GET /static/a.css", "GET /static", "GET /static/", "GET /static?x=1", "GET /staticsecret",
    "GET /static/nope", "GET /static/sub", "GET /static/sub/", "GET /static/sub/x.js",
    "GET /slashed/a.css", "GET /slashed", "GET /slashed/", "GET /slashed/sub",
    "GET /slashed/../be.py", "GET /static/..%2fbe.py", "GET /slashed/%2e%2e/be.py",
    "GET /mixed/a.css", "GET /mixed/", "GET /mixed/nope", "GET /mixed", "GET /ra/a.x",
    "GET /ra/sub/../a.x", "GET /ra/nope.x", "GET /va/a.css", "GET /va/", "GET /one.css",
    "GET /ti/a.css", "GET /ti/sub", "GET /ti/sub/", "GET /ti/nope", "GET /ti/",
    "HEAD /static/a.css", "HEAD /static", "POST /static/a.css",
    "GET /hole/a.css", "GET /holea.css", "GET /hole",
    Case("GET /hole../be.py", want=Want("alias", status=404)),
    Case("GET /hole../static/a.css", want=Want("alias", status=404)),
    Case("GET /hole../../../../etc/passwd", want=Want("alias", status=(400, 404))),
)
def test_alias(pair, case):
    pair.compare(case)


@cases(
    "GET /t/uri", "GET /t/fall", "GET /t/fall/x?a=b", "GET /t/fall//x/%2F?y", "GET /t/code",
    "GET /t/redir", "GET /t/redir?keep=1", "GET /t/redirargs?lost=1", "GET /t/dir",
    "GET /t/two", "HEAD /t/two", "POST /t/two", "POST /t/fall", "PUT /t/fall",
    "GET /t/var?f=a.txt", "GET /t/var?f=nope", "GET /t/var?f=sub", "GET /t/var",
    "GET /t/var?f=../aliased/be.py", "GET /t/loc", "GET /t/undef", "GET /t/html",
    "GET /sub", "GET /sub/", "GET /sub/page.html", "GET /sub/nope", "GET /sub/page",
    "GET /bare", "GET /bare/", "GET /bare/file.txt", "GET /bare/file.txt/", "GET /a.txt/",
    "GET /tiles/dataset/1/2/3.jpg", "GET /tiles/dataset/9/9/9.jpg", "GET /p/tiles/dataset/1/2/3.jpg",
    "GET /tiles/dataset/", "GET /tiles/dataset/1", "HEAD /tiles/dataset/1/2/3.jpg",
)
def test_try_files(pair, case):
    pair.compare(case)


@cases(
    "GET /", "GET /sub", "GET /sub?x=y", "GET /ix/", "GET /ix2/", "GET /ix3/", "GET /ix4/?i=index.txt",
    "GET /ix4/?i=nope", "GET /auto/", "GET /auto", "HEAD /", "POST /", "OPTIONS /",
    "DELETE /a.txt", "PUT /a.txt", "PATCH /a.txt", "FOO /a.txt", "GET /nope", "HEAD /nope",
    "GET /deep", "GET /deep/", "GET /deep/er", "GET /deep/er?a&b", "GET /dir.d/.ht", "GET /.hidden",
    "GET /a.txt", "GET /style.css", "GET /app.js", "GET /data.json", "GET /x.unknown", "GET /noext",
    "GET /UPPER.TXT", "GET /tile.jpg", "GET /a.html", "GET /empty.txt", "HEAD /empty.txt",
    "HEAD /a.txt", "GET /with%20space.txt", "GET /per%25cent.txt", "GET /plus+name.txt",
    "GET /semi;colon.txt", "GET /h%23sh.txt", "GET /qu%3Fst.txt", "GET /%C3%BCml%C3%A4ut.txt",
    "GET /with+space.txt", "GET /big.bin", "HEAD /big.bin", "GET /dt/a.txt", "GET /dt/x.unknown",
    "GET /dt/noext", "GET /ty/a.txt", "GET /ty/style.css", "GET /ty/noext", "GET /types",
    "GET /rootnest/static", "GET /data/dataset/tiles/black.jpg", "GET /a.txt?query",
    Case("GET /a.txt#f", want=Want("strict-head", status=400, closes=True)),
)
def test_files(pair, case):
    pair.compare(case)


@cases(
    Case("GET //a//b", port="loose"), Case("GET /x//y", port="loose"),
    Case("GET //x/", port="loose"), Case("GET /a/../b//c", port="loose"),
    Case("GET /a//../b", port="loose"), Case("GET /a/.//b", port="loose"),
    Case("GET /", port="bare"), Case("GET /sub", port="bare"), Case("GET /bare/", port="bare"),
    Case("GET /nope", port="log"), Case("GET /a.txt", port="log"),
    Case("GET /down/a.txt", port="log"),
    Case("GET /down/a.txt", "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", port="log"),
)
def test_variants(pair, case):
    pair.compare(case)
