"""The command line and broken files: nginx's words, with the name changed."""

import os
import re
import subprocess

import pytest

import server
from server import NGINX, SUBJECT

GOOD = {
    "main": "%s\nevents { }\nhttp { }\n",
    "events": "events {\n%s\n}\nhttp { }\n",
    "http": "events { }\nhttp {\n%s\n}\n",
    "server": "events { }\nhttp {\n server {\n listen 127.0.0.1:@port@;\n%s\n }\n}\n",
    "location": "events { }\nhttp {\n server {\n listen 127.0.0.1:@port@;\n location / {\n%s\n }\n }\n}\n",
    "upstream": "events { }\nhttp {\n upstream u {\n%s\n }\n}\n",
    "whole": "%s",
}

BROKEN = [
    ("http", "body_in_file_only on;"),
    ("http", "upstream omeroweb { server fail_timeout=0; }"),
    ("http", "upstream empty { }"),
    ("http", "upstream u { server 127.0.0.1:80; } upstream u { server 127.0.0.1:81; }"),
    ("http", "upstream u { server 127.0.0.1:80 bogus=1; }"),
    ("http", "upstream u { server 127.0.0.1:80 weight=x; }"),
    ("http", "upstream u { server 127.0.0.1:99999; }"),
    ("http", "upstream u { server 127.0.0.1:80 max_fails=-1; }"),
    ("http", "upstream u { server 127.0.0.1:80 fail_timeout=x; }"),
    ("http", "upstream u { server 127.0.0.1:80; server { } }"),
    ("whole", "events { }\nhttp {\n  server {\n    listen 127.0.0.1:@port@\n    server_name x;\n  }\n}\n"),
    ("whole", "events { }\nhttp {\n  upstream a {\n    server 127.0.0.1:80;\n\n  server {\n    listen 127.0.0.1:@port@;\n  }\n}\n"),
    ("whole", "events { }\nhttp {\n"),
    ("whole", "events { }\nhttp { }\n}\n"),
    ("whole", "events { }\nhttp { server_tokens off }\n"),
    ("whole", "http { }\n"),
    ("whole", "events { }\nevents { }\nhttp { }\n"),
    ("whole", "events { }\nhttp { }\nhttp { }\n"),
    ("whole", "events;\nhttp { }\n"),
    ("whole", "events { }\nhttp { log_format x 'unterminated;\n}\n"),
    ("whole", "events { }\nhttp { default_type \"a\"b; }\n"),
    ("whole", "events { }\n; http { }\n"),
    ("main", "listen 80;"),
    ("main", "worker_processes x;"),
    ("main", "worker_processes 1; worker_processes 2;"),
    ("main", "user no-such-user-here;"),
    ("main", "error_log @prefix@/x.log bogus;"),
    ("main", "include @prefix@/does-not-exist.conf;"),
    ("main", "worker_rlimit_nofile many;"),
    ("events", "worker_connections;"),
    ("events", "use nosuchmethod;"),
    ("http", "server_name x;"),
    ("http", "client_max_body_size 1x;"),
    ("http", "client_max_body_size;"),
    ("http", "client_max_body_size 1 2;"),
    ("http", "keepalive_timeout forever;"),
    ("http", "keepalive_timeout 1s 2s 3s;"),
    ("http", "sendfile maybe;"),
    ("http", "gzip on; gzip off;"),
    ("http", "gzip_comp_level 10;"),
    ("http", "error_page 502;"),
    ("http", "error_page 200 /x;"),
    ("http", "error_page 99 /x;"),
    ("http", "error_page abc /x;"),
    ("http", "error_page 404 =200x /x;"),
    ("http", "map $a { }"),
    ("http", "map $a $b { x; }"),
    ("http", "map $a $b { default 1; default 2; }"),
    ("http", "map $a $b { x 1; x 2; }"),
    ("http", "map $a $b { ~[ 1; }"),
    ("http", "map $a b { }"),
    ("http", "log_format;"),
    ("http", "log_format a '$nosuchvariable';"),
    ("http", "access_log @prefix@/a.log nosuchformat;"),
    ("http", "limit_conn_zone $binary_remote_addr;"),
    ("http", "limit_req_zone $binary_remote_addr zone=a:1m;"),
    ("http", "limit_req_zone $binary_remote_addr zone=a:1m rate=fast;"),
    ("http", "limit_req_zone $binary_remote_addr zone=a:1k rate=1r/s;"),
    ("http", "limit_conn nozone 1;"),
    ("http", "location / { }"),
    ("http", "return 200;"),
    ("http", "client_body_buffer_size -1;"),
    ("http", "large_client_header_buffers 4;"),
    ("server", "listen 127.0.0.1:@port@;"),
    ("server", "listen 127.0.0.1:99999;"),
    ("server", "listen 127.0.0.1:0x50;"),
    ("server", "listen 127.0.0.1:@port.b@ bogus;"),
    ("server", "listen 127.0.0.1:@port.b@ backlog=x;"),
    ("server", "listen [::1;"),
    ("server", "listen unix:;"),
    ("server", "server_name;"),
    ("server", "server_name ~[;"),
    ("server", "server_name a*b.test;"),
    ("server", "root a; root b;"),
    ("server", "location / { } location / { }"),
    ("server", "location = / { } location = / { }"),
    ("server", "location / { location @m { } }"),
    ("server", "location /a { location /b { } }"),
    ("server", "location = /a { location /a/b { } }"),
    ("server", "location @n { location /x { } }"),
    ("server", "location { }"),
    ("server", "location ~ [ { }"),
    ("server", "location ~~ x { }"),
    ("server", "location ^ x y { }"),
    ("server", "location ~ ^/(\\d+ { }"),
    ("server", "if ($a { return 200; }"),
    ("server", "if ($a == 1) { return 200; }"),
    ("server", "if () { return 200; }"),
    ("server", "if ($nosuch) { return 200; }"),
    ("server", "if (a = b) { return 200; }"),
    ("server", "rewrite a;"),
    ("server", "rewrite [ b;"),
    ("server", "rewrite a b sideways;"),
    ("server", "rewrite a b last extra;"),
    ("server", "set a b;"),
    ("server", "set $a;"),
    ("server", "set $host x;"),
    ("server", "return;"),
    ("server", "return 1000;"),
    ("server", "return abc;"),
    ("server", "return 200 $nosuch;"),
    ("server", "return 200 \"${unclosed\";"),
    ("server", "try_files /only;"),
    ("server", "try_files $uri =abc;"),
    ("server", "try_files $uri =1000;"),
    ("server", "add_header X;"),
    ("server", "add_header X y sometimes;"),
    ("server", "expires never;"),
    ("server", "alias /x;"),
    ("server", "error_page 404 =@x;"),
    ("server", "proxy_pass http://127.0.0.1;"),
    ("location", "proxy_pass;"),
    ("location", "proxy_pass http://no-such-host.invalid;"),
    ("location", "proxy_pass omeroweb;"),
    ("location", "proxy_pass ftp://x;"),
    ("location", "proxy_pass http://;"),
    ("location", "proxy_pass http://127.0.0.1:99999;"),
    ("location", "proxy_pass http://127.0.0.1; proxy_pass http://127.0.0.1;"),
    ("location", "proxy_pass http://$nosuch;"),
    ("location", "proxy_set_header X;"),
    ("location", "proxy_set_header X a b;"),
    ("location", "proxy_redirect;"),
    ("location", "proxy_redirect default;"),
    ("location", "proxy_redirect off on;"),
    ("location", "proxy_pass http://$host; proxy_redirect default;"),
    ("location", "proxy_buffers 1 4k;"),
    ("location", "proxy_buffers 4;"),
    ("location", "proxy_buffer_size 0x;"),
    ("location", "proxy_busy_buffers_size 1k; proxy_buffers 4 4k; proxy_buffer_size 4k;"),
    ("location", "proxy_http_version 2.0;"),
    ("location", "proxy_next_upstream sometimes;"),
    ("location", "proxy_read_timeout -1;"),
    ("location", "proxy_buffering 1;"),
    ("location", "proxy_hide_header;"),
    ("location", "alias /x; root /y;"),
    ("location", "alias /x; alias /y;"),
    ("location", "root $nosuch;"),
    ("location", "limit_except GET { root /x; }"),
    ("location", "limit_except BOGUS { deny all; }"),
    ("location", "limit_except { deny all; }"),
    ("location", "allow;"),
    ("location", "allow 1.2.3.4/99;"),
    ("location", "deny somewhere;"),
    ("location", "limit_rate fast;"),
    ("location", "limit_rate_after -1;"),
    ("location", "limit_except GET { deny all; }\nif ($a) { proxy_pass http://127.0.0.1/uri; }"),
    ("location", "if ($uri) { proxy_pass http://127.0.0.1/uri; }"),
    ("server", "location @x { proxy_pass http://127.0.0.1/uri; }"),
    ("server", "location ~ x { proxy_pass http://127.0.0.1/; }"),
    ("server", "location @x { alias /y; }"),
    ("location", "internal on;"),
    ("location", "index;"),
    ("location", "types { text/html }"),
    ("location", "open_file_cache bogus;"),
]

# Where the words may go on after nginx's: the nearest known directive.
UNKNOWN = re.compile(r'unknown directive "([^"]*)"')


def run(binary, config, prefix, *options):
    done = subprocess.run([binary, "-c", config, "-p", prefix + "/", "-e", prefix + "/error.log"]
                          + list(options), capture_output=True, timeout=30)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def bench(shared):
    """A folder with the files that `-t` needs to be able to open its logs."""
    folder = shared.folder()
    return folder


def test_names(bench):
    """The table names: -v goes to stderr like nginx's."""
    for binary, name in ((NGINX, "nginx"), (SUBJECT, server.program_name(SUBJECT))):
        done = subprocess.run([binary, "-v"], capture_output=True, timeout=30)
        assert done.returncode == 0
        assert re.search(r"^%s version: %s/\d+\.\d+" % (name, name), done.stderr.decode(), re.M)


def settle(text, folder, port):
    text = text.replace("@prefix@", folder).replace("@port@", str(port))
    return text.replace("@port.b@", str(port + 1))


@pytest.mark.parametrize("where, text", BROKEN, ids=[
    "%d %s: %s" % (i, w, t.replace("\n", " ")[:60]) for i, (w, t) in enumerate(BROKEN)])
def test_broken(bench, where, text):
    """The same complaint, about the same line, and exit status 1 (or the same acceptance)."""
    config = os.path.join(bench, "broken.conf")
    port = server.free_port()
    with open(config, "w") as out:
        out.write("pid %s/t.pid;\nerror_log %s/e.log;\n" % (bench, bench)
                  + settle(GOOD[where].replace("%s", text), bench, port))
    want = run(NGINX, config, bench, "-t")
    got = run(SUBJECT, config, bench, "-t")
    assert got[0] == want[0], "exit status: nginx %r, wproxy %r" % (want, got)

    def complaints(result):
        return [re.sub(r"^(nginx|wproxy): ", "", line).rstrip() for line in result[2].split("\n")
                if re.match(r"(nginx|wproxy): \[(emerg|alert|crit)\]", line)]
    wanted, gotten = complaints(want), complaints(got)
    assert len(gotten) == len(wanted), "nginx %r, wproxy %r" % (want[2], got[2])
    for line, mine in zip(wanted, gotten):
        unknown = UNKNOWN.search(line)
        if unknown:
            assert 'unknown directive "%s"' % unknown.group(1) in mine
            assert re.search(r" in %s:\d+" % re.escape(config), mine), mine
            place = re.search(r" in (\S+:\d+)$", line).group(1)
            assert place in mine, (line, mine)
            continue
        place = re.search(r"^(.*) in (\S+:\d+)$", line)
        if place:
            assert mine.startswith(place.group(1)), "nginx %r, wproxy %r" % (line, mine)
            assert place.group(2) in mine, "nginx %r, wproxy %r" % (line, mine)
        else:
            assert mine.startswith(line), "nginx %r, wproxy %r" % (line, mine)


@pytest.mark.wproxy_only
def test_module_that_is_not_built_in(bench):
    """load_module of another is an [emerg] that names it, a [warn] where Debian loads it unasked."""
    config = os.path.join(bench, "module.conf")
    for name, status in (("no_such", 1), ("http_geoip", 0)):
        with open(config, "w") as out:
            out.write("load_module modules/ngx_%s_module.so;\nevents { }\nhttp { }\n" % name)
        got = run(SUBJECT, config, bench, "-t")
        assert got[0] == status and ("[emerg]" if status else "[warn]") in got[2] and name in got[2], got


@pytest.mark.wproxy_only
def test_unknown_directive_suggests(bench):
    """The seed's own trap: body_in_file_only is client_body_in_file_only."""
    config = os.path.join(bench, "suggest.conf")
    with open(config, "w") as out:
        out.write("events { }\nhttp { body_in_file_only on; }\n")
    status, _, err = run(SUBJECT, config, bench, "-t")
    assert status == 1 and "client_body_in_file_only" in err
    # Where the nearest one has another place, it is named all the same.
    with open(config, "w") as out:
        out.write("events { }\nhttp { proxypass http://x; }\n")
    status, _, err = run(SUBJECT, config, bench, "-t")
    assert status == 1 and 'did you mean "proxy_pass"?' in err


def good_config(bench, port):
    config = os.path.join(bench, "good.conf")
    with open(os.path.join(bench, "part.conf"), "w") as out:
        out.write("# a part\nserver_tokens off;\n")
    with open(config, "w") as out:
        out.write("pid %s/t.pid;\nerror_log %s/e.log;\nevents { }\nhttp {\n    include part.conf;\n"
                  "    access_log off;\n    server { listen 127.0.0.1:%d; }\n}\n" % (bench, bench, port))
    return config


def renamed(text):
    return re.sub(r"\bNAME/[0-9.]+( \(\w+\))?", "NAME/N", re.sub(r"\b(nginx|wproxy)\b", "NAME", text))


@pytest.mark.parametrize("options", [("-t",), ("-T",), ("-t", "-q"), ("-tq",), ("-t", "-g", "worker_rlimit_nofile 512;"), ("-t", "-g", ""), ("-vt",)])
def test_check_wording(bench, options):
    config = good_config(bench, server.free_port())
    want = run(NGINX, config, bench, *options)
    got = run(SUBJECT, config, bench, *options)
    assert got[0] == want[0] == 0
    assert renamed(got[1]) == renamed(want[1])
    assert renamed(got[2]) == renamed(want[2])


@pytest.mark.parametrize("options", [
    ("-x",), ("-c",), ("-p",), ("-g",), ("-s", "bogus"), ("-s",), ("extra",), ("-t", "-g", "bogus;"),
    ("-t", "-g", "pid a")])
def test_bad_options(bench, options):
    config = good_config(bench, server.free_port())
    want = run(NGINX, config, bench, *options)
    got = run(SUBJECT, config, bench, *options)
    assert got[0] == want[0] == 1

    def first(result):
        return re.sub(r" in .*", "", renamed(result[2]).split("\n")[0])
    assert first(got).startswith(first(want)), (want, got)


@pytest.mark.parametrize("option", ["-h", "-?"])
def test_help(option):
    done = subprocess.run([SUBJECT, option], capture_output=True, timeout=30)
    text = (done.stdout + done.stderr).decode()
    assert done.returncode == 0
    for word in ("-v", "-V", "-t", "-T", "-q", "-s signal", "-p prefix", "-c filename", "-g directives", "-e filename"):
        assert word in text, word


def test_version_with_parts():
    done = subprocess.run([SUBJECT, "-V"], capture_output=True, timeout=30)
    assert done.returncode == 0
    assert "configure arguments:" in done.stderr.decode()


def test_missing_file(bench):
    want = run(NGINX, bench + "/nowhere.conf", bench, "-t")
    got = run(SUBJECT, bench + "/nowhere.conf", bench, "-t")
    assert got[0] == want[0] == 1
    assert renamed(got[2]).split("\n")[0].startswith(renamed(want[2]).split("\n")[0])


def test_port_taken(shared, bench):
    """A second start on the same address fails with EADDRINUSE and exit status 1."""
    one = shared.server("server { listen @host@:@port@; return 200 first; }")
    config = os.path.join(bench, "taken.conf")
    with open(config, "w") as out:
        out.write("daemon off; pid %s/taken.pid; error_log %s/taken.log;\nevents { }\n"
                  "http { access_log off; client_body_temp_path %s/b; proxy_temp_path %s/p;\n"
                  "server { listen 127.0.0.1:%d; } }\n" % (bench, bench, bench, bench, one.ports["main"]))
    status, _, err = run(SUBJECT, config, bench)
    assert status == 1
    assert "bind() to 127.0.0.1:%d failed (98: Address already in use)" % one.ports["main"] in err


def test_conflicting_names_warn(bench):
    config = os.path.join(bench, "conflict.conf")
    port = server.free_port()
    with open(config, "w") as out:
        out.write("pid %s/t.pid; error_log %s/e.log; events { }\nhttp {\nserver { listen 127.0.0.1:%d; server_name a; }\n"
                  "server { listen 127.0.0.1:%d; server_name a; } }\n" % (bench, bench, port, port))
    want, got = run(NGINX, config, bench, "-t"), run(SUBJECT, config, bench, "-t")
    assert got[0] == want[0] == 0
    warning = 'conflicting server name "a" on 127.0.0.1:%d, ignored' % port
    assert warning in want[2] and warning in got[2]


@pytest.mark.wproxy_only
@pytest.mark.parametrize("text, warned", [
    ("location /static { alias /srv/static/; }", 'paths like "/static../" are refused'),
    ("location /data/ { alias /srv/data; }", '"/data/x" is looked for as "/srv/datax"'),
    ("location /static { alias /srv/static; } location /data/ { alias /srv/data/; }", None),
    ("location /data/ { alias /srv/$host; }", None)])
def test_mismatched_slashes_warn(bench, text, warned):
    """nginx says nothing of what then becomes a hole or a 404."""
    config = os.path.join(bench, "slashes.conf")
    with open(config, "w") as out:
        out.write("pid %s/t.pid; error_log %s/e.log; events { }\nhttp { access_log off; server { "
                  "listen 127.0.0.1:%d; %s } }\n" % (bench, bench, server.free_port(), text))
    status, _, err = run(SUBJECT, config, bench, "-t")
    assert status == 0 and ("[warn]" in err) == (warned is not None) and (warned or "") in err, err
