"""Which server block answers: names, wildcards, regular expressions, default_server."""

import pytest

from contrast import Case, cases
from difference import Want

HTTP = r"""
server { listen @host@:@port@; server_name first.test; return 200 "first|$server_name|$host"; }
server { listen @host@:@port@; server_name exact.test also.test; return 200 "exact|$server_name"; }
server { listen @host@:@port@; server_name *.wild.test; return 200 "head|$server_name"; }
server { listen @host@:@port@; server_name *.deep.wild.test; return 200 "deeper|$server_name"; }
server { listen @host@:@port@; server_name tail.*; return 200 "tail|$server_name"; }
server { listen @host@:@port@; server_name .dot.test; return 200 "dot|$server_name"; }
server { listen @host@:@port@; server_name ~^re(?<num>\d+)\.test$; return 200 "re $num|$server_name"; }
server { listen @host@:@port@; server_name ~^(?<sub>.+)\.rx\.test$ ~^other\.(.+)$; return 200 "rx [$sub][$1]"; }
server { listen @host@:@port@; server_name sp.wild.test; return 200 "exact beats wildcard"; }
server { listen @host@:@port@; server_name $hostname; return 200 "hostname"; }
server { listen @host@:@port@; server_name ""; return 200 "empty|$server_name|$host"; }
server { listen @host@:@port@; server_name ~^UPPER\.; return 200 "upper regex"; }
server { listen @host@:@port@; server_name MiXed.Test; return 200 "mixed|$server_name"; }

server { listen @host@:@port.second@; server_name a.test; return 200 "second a|$server_port"; }
server { listen @host@:@port.second@ default_server; server_name b.test _; return 200 "second default|$host"; }
server { listen @host@:@port.second@; server_name c.test; return 200 "second c|$server_name"; }

server { listen @host@:@port.third@ default; server_name_in_redirect on; server_name canon.test x.test; location / { root @www@; } }
server { listen @host@:@port.fourth@; listen @host@:@port.fifth@; server_name multi.test; port_in_redirect off;
         location /r { return 301 /to; } location / { root @www@; return 200 "multi $server_port"; } location /sub { root @www@; } }
server { listen @host@:@port.fifth@; server_name multi2.test; absolute_redirect off;
         location /r { return 301 /to; } location /rw { rewrite ^ /x redirect; } location /sub { root @www@; } location /pp/ { proxy_pass http://127.0.0.1:9; } }
server { listen @host@:@port.sixth@; server_tokens off; location /x { return 404; } location / { return 200 "tokens"; } }
server { listen @host@:@port.sixth@; server_name build.test; server_tokens build; location / { return 404; } }
"""


@pytest.fixture(scope="module")
def pair(shared):
    return shared.pair(HTTP)


NAMES = ("first.test", "exact.test", "also.test", "EXACT.TEST", "exact.test.", "exact.test:8080",
         "a.wild.test", "a.b.wild.test", "wild.test", "x.deep.wild.test",
         "deep.wild.test", "tail.org", "tail.co.uk", "tail", "tail.", "dot.test", "x.dot.test",
         "xdot.test", "re12.test", "re.test", "re1.test.x", "sub.rx.test", "a.b.rx.test",
         "other.thing", "sp.wild.test", "upper.x", "mixed.test", "unknown.test", "127.0.0.1",
         "[::1]", "[::1]:80", "under_score.test", "a-b.test", "localhost", "1.2.3.4:5",
         "xn--mller-kva.test", "a..b.test", ".test", "a.wild.test:99", "RE7.TEST")


@cases(*[Case("GET /", "Host: " + name) for name in NAMES],
       *[Case("GET / HTTP/1.0", "Host: " + name) for name in ("exact.test", "x.wild.test", "no")],
       Case("GET / HTTP/1.0", host=None),
       Case("GET http://exact.test/ HTTP/1.1", "Host: exact.test"),
       Case("GET http://EXACT.test:90/ HTTP/1.1", "Host: exact.test:90"),
       Case("GET http://exact.test HTTP/1.1", "Host: exact.test"),
       Case("GET http://exact.test?x=1 HTTP/1.1", "Host: exact.test"),
       Case("GET http://exact.test/ HTTP/1.1", "Host: first.test"),
       Case("GET http://exact.test/ HTTP/1.0", host=None))
def test_names(pair, case):
    pair.compare(case)


@cases(*[Case("GET /", "Host: " + name, port="second") for name in (
    "a.test", "b.test", "c.test", "d.test", "_", "exact.test", "A.test:1")],
    Case("GET / HTTP/1.0", host=None, port="second"))
def test_default(pair, case):
    pair.compare(case)


@cases(*[Case("GET " + path, "Host: " + name, port=port)
         for port, name, path in (
             ("third", "x.test", "/sub"), ("third", "nobody", "/sub"), ("third", "x.test", "/a.txt"),
             ("fourth", "multi.test", "/r"), ("fourth", "multi.test:1", "/r"),
             ("fourth", "multi.test", "/sub"), ("fourth", "multi.test", "/"),
             ("fifth", "multi.test", "/r"), ("fifth", "multi.test", "/"),
             ("fifth", "multi2.test", "/r"), ("fifth", "multi2.test", "/rw"),
             ("fifth", "multi2.test", "/sub"), ("fifth", "multi2.test", "/pp"),
             ("fifth", "multi2.test", "/sub?a=b"), ("fourth", "multi2.test", "/r"),
             ("sixth", "x", "/"), ("sixth", "x", "/x"), ("sixth", "x", "/nope"))],
       Case("GET /sub HTTP/1.0", host=None, port="third"),
       Case("GET /r HTTP/1.0", host=None, port="fourth"))
def test_redirect_names(pair, case):
    pair.compare(case)


@cases(
    Case("GET /", host=None, want=None), Case("GET /", "Host:"), Case("GET /", "Host: a b"),
    Case("GET /", "Host: a/b"), Case("GET /", "Host: exact.test", "Host: exact.test"),
    Case("GET /", "Host: exact.test", "Host: first.test"), Case("GET /", "Host: a\x01b"),
    Case("GET /", "Host: \"quoted\"", want=Want("strict-head", status=400, closes=True)),
    Case("GET /", "Host: <CATMAID-HOST>", want=Want("strict-head", status=400, closes=True)),
    Case("GET /", "Host: a@b", want=Want("strict-head", status=400, closes=True)),
    Case("GET /", "Host: a,b"),
    Case("GET /", "Host: exact.test:x", want=Want("strict-head", status=400, closes=True)),
    Case("GET /", "Host: [::1", want=Want("strict-head", status=400, closes=True)),
    Case("GET /", "Host: [zz::1]", want=Want("strict-head", status=400, closes=True)),
    Case("GET /", "Host: exact.test:99999", want=Want("strict-head", status=(200, 400))),
    Case("GET /", "Host: exact.test:-1", want=Want("strict-head", status=400, closes=True)),
    Case("GET /", "Host: a%41.test", want=Want("strict-head", status=(200, 400))),
    Case("GET http://user@exact.test/ HTTP/1.1", "Host: exact.test",
         want=Want("strict-head", status=400, closes=True)),
    Case("GET http:///x HTTP/1.1", "Host: exact.test"),
    Case("GET ftp://exact.test/ HTTP/1.1", "Host: exact.test",
         want=Want("strict-head", status=(200, 400))),
    Case("OPTIONS * HTTP/1.1", "Host: exact.test", want=Want("strict-head", status=(200, 204, 400))),
    Case("GET * HTTP/1.1", "Host: exact.test"),
)
def test_bad_hosts(pair, case):
    pair.compare(case)
