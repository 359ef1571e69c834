"""Resumption: over threads, reloads and workers; never from one trust into another."""

import os
import re
import signal
import socket
import ssl

import pytest

from authority import Authority
from server import wait_until
from tlswire import V12, V13, TlsWire, context, s_client
from wire import WireError, fetch, request

HTTP = r"""
ssl_protocols TLSv1.2 TLSv1.3;
%(http)s
server { listen @host@:@port.plain@; return 200 "generation %(generation)d"; }
server {
    listen @host@:@port@ ssl;
    server_name a.test;
    ssl_certificate @pem@; ssl_certificate_key @key@;
    %(server)s
    return 200 "$ssl_session_reused $pid $ssl_client_verify";
}
server {
    listen @host@:@port@ ssl;
    server_name b.test;
    ssl_certificate @pem@; ssl_certificate_key @key@;
    ssl_verify_client on; ssl_client_certificate @ca@;
    return 200 "$ssl_session_reused $pid $ssl_client_verify";
}
server {
    listen @host@:@port@ ssl;
    server_name c.test;
    ssl_certificate @pem@; ssl_certificate_key @key@;
    ssl_verify_client on; ssl_client_certificate @foreignca@;
    return 200 "$ssl_session_reused $pid $ssl_client_verify";
}
"""


class Site:
    def __init__(self, scope, certs, http="", server="", **options):
        self.parts = {"http": http, "server": server, "generation": 1}
        self.server = scope.server(HTTP % self.parts, names=dict(certs.names()), **options)

    @property
    def address(self):
        return self.server.address()

    def reload(self, **parts):
        self.parts.update(parts, generation=self.parts["generation"] + 1)
        self.server.write(HTTP % self.parts)
        self.server.kick(signal.SIGHUP)
        want = "generation %d" % self.parts["generation"]
        plain = self.server.address("plain")
        wait_until(lambda: all(fetch(plain, "GET /").text == want for _ in range(16)), 10, want)


class Certificates:
    def __init__(self, folder):
        self.ca = Authority(folder)
        self.foreign = Authority(folder, "foreign")
        self.server = self.ca.issue("a.test", names=["a.test", "b.test", "c.test"])
        self.other = self.ca.issue("a.test", file="other")
        self.client = self.ca.issue("client")
        self.folder = folder

    def names(self):
        return {"pem": self.server.pem, "key": self.server.key, "ca": self.ca.pem,
                "foreignca": self.foreign.pem}


@pytest.fixture(scope="module")
def certs(shared):
    return Certificates(shared.folder())


# Which kind of resumption a client can do: TLS 1.2 by id, by ticket, 1.3.
KINDS = {"id": dict(maximum=V12, tickets=False), "ticket": dict(maximum=V12),
         "1.3": dict(minimum=V13)}


class Client:
    """A client that keeps its session; one SSLContext, as Python ties sessions to it."""

    def __init__(self, kind, pair=None):
        self.ctx = context(pair=pair, **KINDS[kind])
        self.session = None

    def ask(self, address, name="a.test", host=None, keep=True):
        """What the server says; ours and its opinion about resumption agree."""
        with TlsWire(address, name=name, ctx=self.ctx, session=self.session) as wire:
            answer = wire.ask(request("GET /", "Connection: close", host=host or name))
            if answer.status == 200:
                assert answer.text.startswith("r " if wire.reused else ". ")
            if keep:
                self.session = wire.socket.session
            answer.reused = wire.reused
            return answer


@pytest.mark.parametrize("kind", KINDS)
def test_threads(own, certs, kind):
    """Each of many connections, on whatever thread, resumes the session of the first."""
    site = Site(own, certs, http="ssl_session_cache shared:S:1m;", threads="4")
    client = Client(kind)
    assert not client.ask(site.address).reused
    assert all(client.ask(site.address, keep=False).reused for _ in range(24))


@pytest.mark.wproxy_only
@pytest.mark.parametrize("kind", KINDS)
def test_reload(own, certs, kind):
    site = Site(own, certs, http="ssl_session_cache shared:S:1m;")
    client = Client(kind)
    client.ask(site.address)
    for _ in range(4):
        site.reload()
        assert client.ask(site.address).reused
    # A session of before outlives several reloads, too, and other sizes of the cache.
    kept = client.session
    site.reload(http="ssl_session_cache shared:S:2m;")
    client.session = kept
    assert client.ask(site.address).reused


@pytest.mark.wproxy_only
@pytest.mark.parametrize("kind", ["ticket", "1.3"])
def test_new_worker(own, certs, kind):
    """Tickets are still read by the worker that replaces a crashed one."""
    site = Site(own, certs)
    site.server.allow_trouble = True
    client = Client(kind)
    client.ask(site.address)
    before = site.server.worker()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: site.server.workers() not in ([], [before]), 10, "a new worker")

    def served():
        try:
            return client.ask(site.address)
        except (OSError, WireError, ssl.SSLError):
            return None
    answer = wait_until(served, 10, "an answer")
    assert answer.reused and str(before) not in answer.text


@pytest.mark.parametrize("cache, resumed", [("none", False), ("off", False), ("builtin", True), ("builtin:100", True),
                                            ("shared:S:1m", True), ("builtin shared:S:1m", True)])
def test_cache_kinds(own, certs, cache, resumed):
    """ssl_session_cache decides about ids; tickets are another matter."""
    site = Site(own, certs, http="ssl_session_cache %s;" % cache, threads="1")
    client = Client("id")
    client.ask(site.address)
    assert client.ask(site.address).reused == resumed
    for kind in ("ticket", "1.3"):
        client = Client(kind)
        client.ask(site.address)
        assert client.ask(site.address).reused


@pytest.mark.parametrize("cache", ["none", "shared:S:1m"])
def test_without_tickets(own, certs, cache):
    """ssl_session_tickets off: TLS 1.3 resumes through the cache, or not at all."""
    site = Site(own, certs, http="ssl_session_tickets off; ssl_session_cache %s;" % cache)
    assert "TLS session ticket:" not in s_client(site.address, "-tls1_2", "-servername", "a.test")
    for kind in ("id", "1.3"):
        client = Client(kind)
        client.ask(site.address)
        assert client.ask(site.address).reused == (cache != "none"), kind


def test_timeout(own, certs):
    site = Site(own, certs, http="ssl_session_cache shared:S:1m; ssl_session_timeout 1s;")
    for kind in KINDS:
        client = Client(kind)
        client.ask(site.address)
        assert client.ask(site.address, keep=False).reused, kind
        wait_until(lambda: not client.ask(site.address, keep=False).reused, 5, "the session's end")


@pytest.mark.wproxy_only
def test_small_cache_is_bounded(own, certs):
    """A full cache forgets the least recently used; the newest always resumes."""
    site = Site(own, certs, http="ssl_session_cache shared:S:32k;")
    first = Client("id")
    first.ask(site.address)
    for _ in range(250):
        last = Client("id")
        last.ask(site.address)
    assert last.ask(site.address).reused
    assert not first.ask(site.address).reused


# -- keys of files ----------------------------------------------------------------------------

@pytest.mark.parametrize("size", [48, 80])
def test_ticket_key_files(own, certs, size):
    """The first key seals, all of them open; two servers with one key share sessions."""
    paths = [os.path.join(own.folder(), "key%d" % i) for i in range(3)]
    for path in paths:
        with open(path, "wb") as out:
            out.write(os.urandom(size))
        os.chmod(path, 0o644)
    keys = ["ssl_session_ticket_key %s;" % path for path in paths]
    one = Site(own, certs, http=keys[0])
    two = Site(own, certs, http=keys[1] + keys[0])
    three = Site(own, certs, http=keys[2])
    for kind in ("ticket", "1.3"):
        client = Client(kind)
        client.ask(one.address)
        assert client.ask(one.address, keep=False).reused
        assert client.ask(two.address, keep=False).reused
        assert not client.ask(three.address, keep=False).reused
        with open(paths[0], "rb") as file:
            name = file.read(16).hex(" ").replace(" ", "")
        text = s_client(one.address, "-tls1_2", "-servername", "a.test")
        assert name[:8] in re.sub(r"[ -]", "", text.split("TLS session ticket:")[1][:60])


# -- trust (CVE-2025-23419) -------------------------------------------------------------------

@pytest.mark.wproxy_only
@pytest.mark.parametrize("kind", KINDS)
def test_session_stays_with_its_trust(own, certs, kind):
    """A session of one server is not resumed by one that believes other clients."""
    site = Site(own, certs, http="ssl_session_cache shared:S:1m;")
    client = Client(kind, pair=certs.client)
    assert client.ask(site.address, "b.test").text.endswith(" SUCCESS")
    assert client.ask(site.address, "b.test", keep=False).reused
    for name in ("a.test", "c.test"):
        answer = client.ask(site.address, name, keep=False)
        assert not answer.reused
        assert answer.status == (200 if name == "a.test" else 400)
    # And the other way: what was never verified does not pass a server that verifies.
    plain = Client(kind)
    plain.ask(site.address, "a.test")
    answer = plain.ask(site.address, "b.test", keep=False)
    assert not answer.reused and answer.status == 400


@pytest.mark.wproxy_only
@pytest.mark.parametrize("kind", KINDS)
def test_new_authority_ends_sessions(own, certs, kind):
    """After a reload with another authority, or a list of revocations, clients are verified again."""
    site = Site(own, certs, http="ssl_session_cache shared:S:1m;",
                server="ssl_verify_client on; ssl_client_certificate @ca@;")
    client = Client(kind, pair=certs.client)
    assert client.ask(site.address).status == 200
    site.reload(server="ssl_verify_client on; ssl_client_certificate @foreignca@;")
    answer = client.ask(site.address, keep=False)
    assert not answer.reused and answer.status == 400
    certs.ca.revoke(certs.client)
    crl = certs.ca.crl()
    site.reload(server="ssl_verify_client on; ssl_client_certificate @ca@; ssl_crl %s;" % crl)
    answer = client.ask(site.address, keep=False)
    assert not answer.reused and answer.status == 400
    os.unlink(crl)
    open(certs.ca.database, "w").close()


@pytest.mark.parametrize("kind", KINDS)
def test_client_certificate_is_resumed(own, certs, kind):
    """$ssl_client_* of a resumed session are those of the session."""
    site = Site(own, certs, http="ssl_session_cache shared:S:1m;",
                server="ssl_verify_client optional; ssl_client_certificate @ca@;")
    client = Client(kind, pair=certs.client)
    assert client.ask(site.address).text.endswith("SUCCESS")
    answer = client.ask(site.address)
    assert answer.reused and answer.text.endswith("SUCCESS")


def test_gnutls(own, certs):
    """Another implementation resumes, too."""
    import subprocess
    site = Site(own, certs, http="ssl_session_cache shared:S:1m;")
    for priority in ("NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"):
        done = subprocess.run(
            ["gnutls-cli", "--no-ca-verification", "--priority", priority, "--resume", "--waitresumption",
             "-p", str(site.address[1]), "--sni-hostname", "a.test", site.address[0]],
            input=request("GET /", "Connection: close", host="a.test"), capture_output=True, timeout=30)
        text = done.stdout.decode("utf-8", "replace")
        assert "This is a resumed session" in text, text + done.stderr.decode()
        assert "200 OK" in text
