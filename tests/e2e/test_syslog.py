"""Logs to a syslog server: nginx's records, over UDP and unix sockets; nobody waits for a server that is not there."""

import os
import re
import signal
import socket
import subprocess

import pytest

import server
from server import Server, wait_until
from wire import fetch


class Collector:
    """A syslog server: the datagrams that came."""

    def __init__(self, path=None):
        self.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(path or ("127.0.0.1", 0))
        if path:
            os.chmod(path, 0o777)
        self.name = "unix:" + path if path else "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.socket.settimeout(10)

    def take(self, marker):
        """The next record with the text in it."""
        while True:
            record = self.socket.recv(65536).decode()
            if marker in record:
                return record

    def close(self):
        self.socket.close()


@pytest.fixture
def collector():
    one = Collector()
    yield one
    one.close()


HTTP = """
log_format short '"$request" $status';
access_log syslog:server=%(name)s%(options)s short;
error_log syslog:server=%(name)s%(options)s;
server { listen @host@:@port@; root /nowhere; location = /quiet { access_log off; log_not_found off; return 204; } }
"""


@pytest.mark.parametrize("options", ["", ",nohostname", ",facility=auth,severity=crit", ",tag=some_app2,nohostname", ",facility=cron,tag="])
def test_records_are_nginx_s(own, collector, options):
    """Both programs' records for the same requests, but for names, numbers and the time."""
    seen = {}
    for binary in (server.NGINX, server.SUBJECT):
        one = Server(binary, own.folder(), HTTP % {"name": collector.name, "options": options}, threads=1)
        try:
            records = []
            for path in ("/a", "/b"):
                assert fetch(one.address(), "GET " + path).status == 404
                got = sorted((collector.take(path + " HTTP"), collector.take(path + " HTTP")), key=len)
                records += [re.sub(r"\b(nginx|wproxy)\b", "NAME", re.sub(
                    r"\d+#\d+: \*\d+", "N", re.sub(r"\d\d:\d\d:\d\d", "T", r))) for r in got]
            seen[binary] = records
        finally:
            one.stop()
    assert seen[server.SUBJECT] == seen[server.NGINX]
    assert not any(r.endswith("\n") for r in seen[server.SUBJECT])


@pytest.mark.wproxy_only
def test_server_comes_and_goes(own):
    """No server, then one, then another at its place, over a reload and a reopening: every request is answered, and what can be told is."""
    path = own.folder() + "/log"
    os.chmod(os.path.dirname(path), 0o755)
    one = own.server(HTTP % {"name": "unix:" + path, "options": ""})
    assert fetch(one.address(), "GET /unheard").status == 404
    for turn, kick in enumerate((None, signal.SIGUSR1, signal.SIGHUP)):
        collector = Collector(path)
        if kick is not None:
            one.kick(kick)

        def heard():
            assert fetch(one.address(), "GET /turn%d" % turn).status == 404
            return collector.take("/turn%d HTTP" % turn)
        collector.socket.settimeout(1)
        record = wait_until(lambda: _told(heard), 20, "a record")
        assert record.startswith("<1")
        assert fetch(one.address(), "GET /quiet").status == 204
        collector.close()
        os.unlink(path)
        assert fetch(one.address(), "GET /unheard").status == 404


def _told(heard):
    try:
        return heard()
    except socket.timeout:
        return None


@pytest.mark.parametrize("text", [
    "", "server=", "server=127.0.0.1,facility=x", "server=127.0.0.1,severity=x", "server=127.0.0.1,tag=a-b", "server=127.0.0.1,foo=1",
    "server=127.0.0.1,server=127.0.0.1", "server=127.0.0.1:99999", "facility=local1", "server=127.0.0.1,", "server=127.0.0.1,nohostname,nohostname",
    "server=127.0.0.1,tag=" + "a" * 33, "server=127.0.0.1 combined buffer=4k", "server=127.0.0.1 combined flush=1s", "server=127.0.0.1 combined if=$arg_x"])
def test_texts(own, text):
    """What is wrong is said in nginx's words."""
    config = own.folder() + "/c.conf"
    with open(config, "w") as out:
        out.write("pid %s.pid;\nevents { }\nhttp { access_log syslog:%s; server { listen 127.0.0.1:%d; } }\n" % (config, text, server.free_port()))
    said = {}
    for binary in (server.NGINX, server.SUBJECT):
        done = subprocess.run([binary, "-t", "-e", "stderr", "-c", config], capture_output=True, timeout=30)
        found = re.search(r"\[emerg\] (?:\d+#\d+: )?(.*) in ", done.stderr.decode())
        said[binary] = done.returncode, found and found.group(1)
    assert said[server.SUBJECT] == said[server.NGINX]
