"""Renewal: a replaced certificate is used within two seconds, without a reload by hand."""

import os
import signal
import threading
import time

import pytest

from authority import Authority
from server import wait_until
from tlswire import TlsWire, context, tls_fetch
from wire import Wire, fetch, request

pytestmark = pytest.mark.wproxy_only

HTTP = r"""
server { listen @host@:@port@ ssl; server_name a.test;
    ssl_certificate @a.pem@; ssl_certificate_key @a.key@; return 200 "a %s"; }
server { listen @host@:@port@ ssl; server_name b.test;
    ssl_certificate @b.pem@; ssl_certificate_key @b.key@; return 200 b; }
server { listen @host@:@port.plain@; return 200 "plain %s"; }
"""


class Site:
    def __init__(self, scope):
        folder = scope.folder()
        self.ca = Authority(folder)
        self.a = self.ca.issue("a.test", file="a")
        self.b = self.ca.issue("b.test", file="b")
        self.new = [self.ca.issue("a.test", file="new%d" % i) for i in range(3)]
        self.server = scope.server(HTTP % (1, 1), names={
            "a.pem": self.a.pem, "a.key": self.a.key, "b.pem": self.b.pem, "b.key": self.b.key})

    def shown(self, name="a.test"):
        with TlsWire(self.server.address(), name=name) as wire:
            return wire.certificate()

    def everywhere(self, der, name="a.test"):
        """All threads show it: many connections in a row."""
        return all(self.shown(name) == der for _ in range(8))

    def wait(self, der, since, what, limit=2.0):
        wait_until(lambda: self.everywhere(der), 10, what)
        took = time.monotonic() - since
        assert took < limit + 1.0, "%s took %.1f s" % (what, took)    # a busy machine's second


@pytest.fixture
def site(own):
    return Site(own)


def der(pair):
    import ssl
    return ssl.PEM_cert_to_DER_cert(pair.text("pem"))


def test_renewed(site):
    """Both files replaced: new handshakes use them; the other server is untouched; the same worker."""
    worker, b = site.server.workers(), site.shown("b.test")
    for new in site.new:
        since = time.monotonic()
        site.a.replace(new)
        site.wait(der(new), since, "the renewed certificate")
        assert site.shown("b.test") == b
    assert site.server.workers() == worker
    assert tls_fetch(site.server.address(), name="a.test", ctx=context(ca=site.ca.pem)).text == "a 1"


def test_one_file_after_the_other(site):
    """A certificate without its key leaves the old pair in service; with the key it is used."""
    old = site.shown()
    size = len(site.server.errors())
    site.a.replace(site.new[0], what=("pem",))
    site.server.wait_logged("key values mismatch", since=size)
    assert site.everywhere(old)
    assert '"%s"' % site.a.key in site.server.errors()[size:]
    since = time.monotonic()
    site.a.replace(site.new[0], what=("key",))
    site.wait(der(site.new[0]), since, "the whole pair")


@pytest.mark.parametrize("damage", ["half", "empty", "garbage", "missing", "key-garbage", "folder"])
def test_broken_pair(site, damage):
    """What cannot be used is told once, with file and reason, and changes nothing."""
    old, text = site.shown(), site.new[0].text("pem")
    size = len(site.server.errors())
    path = site.a.key if damage == "key-garbage" else site.a.pem
    if damage in ("missing", "folder"):
        os.unlink(path)
        if damage == "folder":
            os.mkdir(path)
    else:
        with open(path, "w") as out:
            out.write({"half": text[:len(text) // 2], "empty": ""}.get(damage, "garbage\n"))
    site.server.wait_logged('"%s"' % path, since=size)
    line = [one for one in site.server.errors()[size:].split("\n") if path in one][0]
    assert "[error]" in line and "the old certificate stays" in line
    assert site.everywhere(old)
    time.sleep(1.2)     # two more looks: nothing more is said
    assert site.server.errors()[size:].count("the old certificate stays") == 1
    if damage == "folder":
        os.rmdir(path)
    site.a.replace(site.new[1])
    site.wait(der(site.new[1]), time.monotonic(), "a good pair afterwards")


def test_symlinked_folder(own):
    """The way of certbot and of containers: the folder is a link that is turned."""
    ca = Authority(own.folder())
    pairs = [ca.issue("a.test", file="v%d" % i) for i in range(2)]
    top = own.folder()
    for i, pair in enumerate(pairs):
        os.mkdir(os.path.join(top, "v%d" % i))
        for what in ("pem", "key"):
            with open(os.path.join(top, "v%d" % i, "tls." + what), "w") as out:
                out.write(pair.text(what))
    os.symlink("v0", os.path.join(top, "live"))
    one = own.server("server { listen @host@:@port@ ssl; ssl_certificate @top@/live/tls.pem;"
                     " ssl_certificate_key @top@/live/tls.key; return 200 ok; }", names={"top": top})

    def shown():
        with TlsWire(one.address()) as wire:
            return wire.certificate()
    assert shown() == der(pairs[0])
    os.symlink("v1", os.path.join(top, "next"))
    os.rename(os.path.join(top, "next"), os.path.join(top, "live"))
    wait_until(lambda: shown() == der(pairs[1]), 5, "the other version")


def test_touched_file_is_no_renewal(site):
    size = len(site.server.errors())
    os.utime(site.a.pem)
    time.sleep(1.5)
    said = site.server.errors()[size:]
    assert "renewed" not in said and "[error]" not in said


def test_edited_configuration_is_not_read(site):
    """A renewal brings in certificates only; the file as edited waits for its reload."""
    site.server.write(HTTP % (2, 2))
    site.a.replace(site.new[0])
    site.wait(der(site.new[0]), time.monotonic(), "the renewed certificate")
    assert tls_fetch(site.server.address(), name="a.test", host="a.test").text == "a 1"
    site.server.kick(signal.SIGHUP)
    wait_until(lambda: fetch(site.server.address("plain"), "GET /").text == "plain 2", 10, "the reload")
    assert site.shown() == der(site.new[0])
    site.server.write("nonsense;")
    site.a.replace(site.new[1])
    site.wait(der(site.new[1]), time.monotonic(), "a renewal beside a broken file")


def test_connections_go_on(site):
    """A renewal ends no connection, idle or busy, and fails no request under load."""
    failures, stop = [], threading.Event()

    def load():
        wire = TlsWire(site.server.address(), name="a.test")
        while not stop.is_set():
            try:
                assert wire.ask(request("GET /", host="a.test")).text == "a 1"
                tls_fetch(site.server.address(), name="a.test", host="a.test")
            except Exception as failure:
                failures.append(failure)
                return
    idle = TlsWire(site.server.address(), name="a.test")
    threads = [threading.Thread(target=load) for _ in range(3)]
    for one in threads:
        one.start()
    for new in site.new:
        site.a.replace(new)
        wait_until(lambda: site.shown() == der(new), 10, "the renewal")
    stop.set()
    for one in threads:
        one.join()
    assert not failures
    assert idle.ask(request("GET /", host="a.test")).text == "a 1"


def test_after_a_crash(site):
    """The next worker shows the renewed certificate, not the first."""
    site.server.allow_trouble = True
    site.a.replace(site.new[0])
    site.wait(der(site.new[0]), time.monotonic(), "the renewal")
    before = site.server.worker()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: site.server.workers() not in ([], [before]), 10, "a new worker")

    def shown():
        try:
            return site.shown()
        except OSError:
            return None
    assert wait_until(shown, 10, "a handshake") == der(site.new[0])


@pytest.mark.root
def test_key_only_root_can_read(own):
    """The key belongs to root and is 0600: the worker, who is nobody, gets the new one all the same."""
    ca = Authority(own.folder())
    pair, new = ca.issue("a.test", file="x"), ca.issue("a.test", file="y")
    os.chmod(pair.key, 0o600)
    one = own.server("server { listen @host@:@port@ ssl; ssl_certificate @pem@; ssl_certificate_key @key@;"
                     " return 200 ok; }", main="user nobody nogroup;",
                     names={"pem": pair.pem, "key": pair.key})
    with open(pair.key, "w") as out:
        out.write(new.text("key"))
    with open(pair.pem, "w") as out:
        out.write(new.text("pem"))

    def shown():
        with TlsWire(one.address()) as wire:
            return wire.certificate()
    wait_until(lambda: shown() == der(new), 5, "the new pair")
