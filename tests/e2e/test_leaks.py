"""What is lost over reloads and a stop: nothing, says valgrind."""

import os
import re
import shutil
import signal
import subprocess

import pytest

from certificate import make_certificate
from server import wait_until
from test_stream import sanitized
from test_upstream_tls import TlsOrigin
from wire import Wire, fetch, request

pytestmark = [pytest.mark.wproxy_only,
              pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed"),
              pytest.mark.skipif(sanitized(), reason="a sanitizer and valgrind exclude each other")]

HTTP = r"""
limit_req_zone $arg_k zone=req:1m rate=1000r/s;
limit_conn_zone $arg_k zone=conn:1m;
map $uri $part { default 0; ~^/x(?<n>.) $n; }
upstream app { least_conn; server @origin@ max_conns=50; server 127.0.0.1:1 backup; queue 5; }
server {
    listen @host@:@port@;
    listen @host@:@port.tls@ ssl;
    ssl_certificate @crt@;
    ssl_certificate_key @key@;
    ssl_session_cache shared:tls:1m;
    root @www@;
    gzip on;
    gzip_types *;
    access_log @prefix@/access.log;
    error_page 502 /a.txt;
    limit_req zone=req burst=1000 nodelay;
    limit_conn conn 100;
    location / { try_files $uri @app; }
    location @app { proxy_set_header X-Part $part; proxy_set_header Host $http_host; proxy_pass http://app; }
    location /off { proxy_buffering off; proxy_request_buffering off; proxy_pass http://app; }
    location /down { proxy_pass http://127.0.0.1:1; }
    location /kept { proxy_pass http://@origin@; }
    location /secure { proxy_pass https://@secure@; }
    location /named { set $host_of 127.0.0.1; proxy_pass http://$host_of:1; }
    location ~ ^/to/(\d+) { return 302 /y$1; }
    location /which { return 200 "generation %d"; }
}
"""


def visit(one, generation):
    """Everything once: files, pages, back ends, errors, both listeners."""
    for port in ("main", "tls"):
        for line, body in (("GET /a.txt", b""), ("GET /nope", b""), ("GET /off/x", b""), ("POST /off/x", b"u" * 100000),
                           ("POST /x1", b"u" * 100000), ("GET /down", b""), ("GET /named", b""), ("GET /to/12", b"")):
            method, path = line.split()
            url = ("https" if port == "tls" else "http") + one.url(path, port)[4:]
            status = subprocess.run(
                ["curl", "-sk", "-m", "30", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, "-H", "Accept-Encoding: gzip",
                 "-H", "Range: bytes=0-1,3-4", "--data-binary", "@-", url], input=body, capture_output=True).stdout
            assert status in (b"200", b"206", b"302", b"502"), (url, status)
    with Wire(one.address(), 30) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
        assert wire.read_response().status == 400
    with Wire(one.address(), 30) as wire:   # connections of both kinds are kept by one thread
        assert wire.ask(request("GET /kept")).status == 200
        assert wire.ask(request("GET /secure")).status == 200
    assert fetch(one.address(), "GET /which", timeout=30).body == b"generation %d" % generation


def test_nothing_is_lost(own):
    app = own.origin()
    folder = own.folder()
    os.chmod(folder, 0o777)
    crt, key = make_certificate(folder)
    secure = own.keep(TlsOrigin(crt, key))
    one = own.server(HTTP % 1, names={
        "origin": app.name, "secure": secure.name, "crt": crt, "key": key}, level="notice", threads=2, wrapper=(
        "valgrind", "--leak-check=full", "--show-leak-kinds=definite,indirect", "--trace-children=yes",
        "--log-file=%s/valgrind.%%p" % folder))
    visit(one, 1)
    with Wire(one.address(), 30) as kept:
        for generation in (2, 3):
            assert kept.ask(request("GET /a.txt")).status == 200
            one.write(HTTP % generation)
            one.kick(signal.SIGHUP)
            wait_until(lambda: fetch(one.address(), "GET /which").body == b"generation %d" % generation, 30, "the reload")
            visit(one, generation)
    one.stop(signal.SIGQUIT, 60)
    reports = [open(os.path.join(folder, name)).read() for name in os.listdir(folder) if name.startswith("valgrind.")]
    assert len(reports) == 2, "the master's and the worker's"
    for report in reports:
        assert re.search(r"ERROR SUMMARY: 0 errors", report), report
        assert re.search(r"definitely lost: 0 bytes|All heap blocks were freed", report), report
