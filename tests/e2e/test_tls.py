"""TLS of clients beside nginx: names, certificates, variables, who may see what."""

import http.server
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from authority import Authority
from origin import OK
from server import TOP, wait_until
from tlswire import (V12, V13, TlsWire, alert_of, context, s_client, tls_fetch)
from wire import Wire, WireError, fetch, request

TEXT = ("$server_name|$scheme|$https|$ssl_protocol|$ssl_cipher|$ssl_curve|$ssl_server_name|"
        "$ssl_session_reused|$ssl_alpn_protocol|$ssl_early_data|")
CLIENT = ("$ssl_client_verify|$ssl_client_s_dn|$ssl_client_i_dn|$ssl_client_s_dn_legacy|"
          "$ssl_client_i_dn_legacy|$ssl_client_serial|$ssl_client_fingerprint|$ssl_client_v_start|"
          "$ssl_client_v_end|$ssl_client_v_remain|$ssl_client_escaped_cert|$ssl_client_cert|"
          "$ssl_client_raw_cert")

HTTP = r"""
ssl_session_timeout 1m;
ssl_prefer_server_ciphers on;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_ciphers ECDHE+AESGCM;
ssl_ecdh_curve X25519:P-256;
ssl_conf_command Ciphersuites TLS_AES_256_GCM_SHA384;
ssl_certificate @a.pem@; ssl_certificate_key @a.key@;
server {
    listen @host@:@port@ ssl; listen @host@:@port.plain@;
    server_name a.test;
    ssl_certificate @a.pem@; ssl_certificate_key @a.key@;
    ssl_certificate @a.rsa@; ssl_certificate_key @a.rsakey@;
    ssl_client_certificate @ca@;
    location / { return 200 "@text@"; }
    location /to { return 301 /there; }
    location /set { add_header Ciphers "$ssl_ciphers"; add_header Curves "$ssl_curves"; return 204; }
    location /app { proxy_set_header X-Forwarded-Proto $scheme; proxy_pass http://@origin@; }
    location = /497 { return 302 https://$host:@port@/moved; }
    error_page 497 /497;
}
server { listen @host@:@port@ ssl; server_name b.test *.wild.test other.b.test; return 200 "@text@"; }
server { listen @host@:@port@ ssl; server_name ~^(?<who>[a-z]+)\.regex\.test$; return 200 "@text@$who"; }
server { listen @host@:@port@; server_name none.test; return 200 "@text@"; }
server { listen @host@:@port@ ssl; server_name refused.test; ssl_reject_handshake on; return 200 "@text@"; }

server { listen @host@:@port@ ssl; server_name on.test;
    ssl_verify_client on; ssl_client_certificate @ca@; ssl_verify_depth 2; return 200 "@text@@client@"; }
server { listen @host@:@port@ ssl; server_name optional.test also.optional.test;
    ssl_verify_client optional; ssl_client_certificate @ca@; return 200 "@text@@client@"; }
server { listen @host@:@port@ ssl; server_name noca.test;
    ssl_verify_client optional_no_ca; ssl_client_certificate @ca@; return 200 "@text@@client@"; }
server { listen @host@:@port@ ssl; server_name depth.test;
    ssl_verify_client on; ssl_client_certificate @ca@; ssl_verify_depth 0; return 200 "@text@@client@"; }
server { listen @host@:@port@ ssl; server_name crl.test;
    ssl_verify_client on; ssl_client_certificate @ca@; ssl_crl @crl@; return 200 "@text@@client@"; }
server { listen @host@:@port@ ssl; server_name foreign.test;
    ssl_verify_client on; ssl_client_certificate @foreignca@; return 200 "@text@@client@"; }
server { listen @host@:@port@ ssl; server_name pages.test; root @www@;
    ssl_verify_client on; ssl_client_certificate @ca@;
    error_page 495 /a.txt; error_page 496 =403 /404.html; location / { } }
server { listen @host@:@port@ ssl; server_name trusted.test;
    ssl_verify_client optional_no_ca; ssl_trusted_certificate @ca@; return 200 "@text@@client@"; }

server { listen @host@:@port.default@ ssl default_server; server_name x.test;
    ssl_verify_client on; ssl_client_certificate @ca@; return 200 "@text@@client@"; }
server { listen @host@:@port.default@ ssl; server_name y.test; return 200 "@text@"; }
server { listen @host@:@port.reject@ ssl default_server; ssl_reject_handshake on; return 200 "@text@"; }
server { listen @host@:@port.reject@ ssl; server_name a.test; return 200 "@text@"; }
server { listen @host@:@port.old@; ssl on; server_name a.test; return 200 "@text@"; }
server { listen @host@:@port.rsa@ ssl; ssl_certificate @a.rsa@; ssl_certificate_key @locked@;
    ssl_password_file @password@; return 200 "@text@"; }
"""


class Certificates:
    def __init__(self, folder):
        self.ca = Authority(folder)
        self.foreign = Authority(folder, "foreign")
        self.middle = Authority(folder, "middle", parent=self.ca)
        names = ["a.test", "b.test", "*.wild.test", "*.regex.test"]
        self.a = self.ca.issue("a.test", names=names)
        self.rsa = self.ca.issue("a.test", names=names, kind="rsa")
        self.good = self.ca.issue("good client")
        self.other = self.ca.issue("other client")
        self.deep = self.middle.issue("deep client")
        self.stranger = self.foreign.issue("stranger")
        self.revoked = self.ca.issue("revoked client")
        self.own = Authority(folder, "self signed").own
        self.ca.revoke(self.revoked)
        self.crl = self.ca.crl()
        self.locked = os.path.join(folder, "locked.key")
        self.password = os.path.join(folder, "password")
        os.system("openssl rsa -in '%s' -aes256 -passout pass:secret -out '%s' 2>/dev/null" % (
            self.rsa.key, self.locked))
        with open(self.password, "w") as out:
            out.write("no\nsecret\n")
        os.chmod(self.locked, 0o644)

    def names(self):
        return {"a.pem": self.a.pem, "a.key": self.a.key, "a.rsa": self.rsa.pem,
                "a.rsakey": self.rsa.key, "ca": self.ca.pem, "foreignca": self.foreign.pem,
                "crl": self.crl, "locked": self.locked, "password": self.password,
                "text": TEXT, "client": CLIENT}


@pytest.fixture(scope="module")
def certs(shared):
    return Certificates(shared.folder())


@pytest.fixture(scope="module")
def app(shared):
    return shared.origin()


@pytest.fixture(scope="module")
def pair(shared, certs, app):
    return shared.pair(HTTP, names=dict(certs.names(), origin=app.name))


def both(pair, ask):
    """What each server answers to ask(server); an exception's kind where it fails."""
    outcomes = []
    for role in ("oracle", "subject"):
        try:
            answer = ask(pair.servers[role])
        except (ssl.SSLError, WireError, ConnectionError) as failure:
            outcomes.append(type(failure).__name__ + str(getattr(failure, "reason", "")))
            continue
        if isinstance(answer, (str, int, type(None), tuple, list)):
            outcomes.append(answer)
            continue
        outcomes.append((answer.status, pair.plain(role, answer.text),
                         pair.plain(role, answer.get("Location") or "")))
    return outcomes


def same(pair, ask):
    oracle, subject = both(pair, ask)
    assert subject == oracle
    return subject


# -- names and variables ----------------------------------------------------------------------

NAMES = ["a.test", "A.Test", "a.test.", "b.test", "x.wild.test", "wild.test", "joe.regex.test", "unknown.test",
         "none.test", "refused.test", None]


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("name", NAMES, ids=str)
def test_server_by_name(pair, name, version):
    same(pair, lambda one: tls_fetch(one.address(), name=name, host=name or "a.test",
                                     ctx=context(maximum=version)))


@pytest.mark.parametrize("host", ["a.test", "b.test", "x.wild.test", "unknown.test", "A.TEST:1", "on.test",
                                  "optional.test", "noca.test", "also.optional.test"])
@pytest.mark.parametrize("name", ["a.test", "b.test", "optional.test", None], ids=str)
def test_host_beside_name(pair, certs, name, host):
    """A Host that is not the negotiated name: 421 where the other server verifies clients."""
    for client in (None, certs.good):
        if name is None and host != "a.test" and client and host in (
                "on.test", "optional.test", "noca.test", "also.optional.test"):
            continue    # test_no_name_no_trust
        same(pair, lambda one: tls_fetch(one.address(), name=name, host=host,
                                         ctx=context(pair=client)))


@pytest.mark.wproxy_only
def test_no_name_no_trust(pair, certs):
    """A certificate verified by the default server's authority passes no other server's."""
    for host, status in (("x.test", 200), ("y.test", 200)):
        got = tls_fetch(pair.subject.address("default"), name=None, host=host,
                        ctx=context(pair=certs.good))
        assert got.status == status
    ctx = context(pair=certs.good)
    assert tls_fetch(pair.subject.address(), name=None, host="foreign.test", ctx=ctx).status in (400, 421)


@pytest.mark.parametrize("name", ["a.test", "b.test", "on.test", "joe.regex.test"])
def test_without_host(pair, certs, name):
    """HTTP/1.0 without Host: the default server, whatever was negotiated."""
    same(pair, lambda one: tls_fetch(one.address(), "GET / HTTP/1.0", name=name, host=None,
                                     ctx=context(pair=certs.good)))


@pytest.mark.parametrize("alpn", [None, ["http/1.1"], ["h2", "http/1.1"], ["http/1.0"], ["h2"], ["spdy/3", "x"]],
                         ids=str)
def test_alpn(pair, alpn):
    same(pair, lambda one: tls_fetch(one.address(), name="a.test", ctx=context(alpn=alpn)))


def test_alpn_alert(pair):
    assert same(pair, lambda one: alert_of(one.address(), "-alpn", "h2")) == 120


def test_rejected_handshake(pair):
    for arguments in (["-servername", "refused.test"],):
        assert same(pair, lambda one: alert_of(one.address(), *arguments)) == 112
    for arguments in (["-noservername"], ["-servername", "nobody.test"]):
        assert same(pair, lambda one: alert_of(one.address("reject"), *arguments)) == 112
    same(pair, lambda one: tls_fetch(one.address("reject"), name="a.test", host="a.test"))


@pytest.mark.parametrize("ciphers, kind", [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "ec"), ("ECDHE-RSA-AES128-GCM-SHA256", "rsa"),
    ("ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384", None)])
def test_pairs(pair, certs, ciphers, kind):
    """Two certificates: which one is shown depends on what the client can check."""
    def ask(one):
        ctx = context(maximum=V12, ciphers=ciphers)
        with TlsWire(one.address(), name="a.test", ctx=ctx) as wire:
            return (wire.certificate().hex(), wire.ask(request("GET /", host="a.test")).text)
    shown = same(pair, ask)[0]
    with open(certs.a.pem if kind == "ec" else certs.rsa.pem) as file:
        if kind:
            assert bytes.fromhex(shown) == ssl.PEM_cert_to_DER_cert(file.read())


def test_chain_is_sent(own, certs):
    """A PEM file with authorities behind the certificate is sent whole."""
    pair = certs.middle.issue("chain.test")
    one = own.server("server { listen @host@:@port@ ssl; ssl_certificate @pem@; ssl_certificate_key @key@;"
                     " return 200 ok; }", names={"pem": pair.pem, "key": pair.key})
    ctx = context(ca=certs.ca.pem)
    assert tls_fetch(one.address(), name="chain.test", ctx=ctx).text == "ok"


def test_offers(pair):
    """$ssl_ciphers and $ssl_curves: what the client offered."""
    def ask(one):
        answer = tls_fetch(one.address(), "GET /set", name="a.test", host="a.test")
        return (answer.get("Ciphers"), answer.get("Curves"))
    same(pair, ask)


def test_password_file(pair):
    same(pair, lambda one: tls_fetch(one.address("rsa"), ctx=context(maximum=V12)))


def test_old_switch(pair):
    """`ssl on` makes every listen of the default server TLS."""
    same(pair, lambda one: tls_fetch(one.address("old"), name="a.test", host="a.test"))
    same(pair, lambda one: fetch(one.address("old"), "GET /", host="a.test"))


def test_redirects(pair, app):
    for port in ("main", "plain"):
        def ask(one, line="GET /to"):
            if port == "plain":
                return fetch(one.address(port), line, host="a.test")
            return tls_fetch(one.address(), line, name="a.test", host="a.test")
        same(pair, ask)


def test_forwarded_proto(pair, app):
    """X-Forwarded-Proto is what the client's connection is, whatever the client says."""
    plain = fetch(pair.subject.address("plain"), "GET /app", "X-Forwarded-Proto: https", host="a.test")
    secure = tls_fetch(pair.subject.address(), "GET /app", "X-Forwarded-Proto: ftp", name="a.test", host="a.test")
    assert (plain.status, secure.status) == (200, 200)
    seen = [one.all("X-Forwarded-Proto") for one in app.requests[-2:]]
    assert seen == [["http"], ["https"]]


def test_plain_http(pair):
    """Plain HTTP on a TLS port: 400 with nginx's text, or error_page 497."""
    same(pair, lambda one: fetch(one.address(), "GET /x", host="a.test"))
    same(pair, lambda one: fetch(one.address("default"), "GET /x", host="y.test"))
    same(pair, lambda one: fetch(one.address("default"), "POST /x", host="y.test", body=b"abc"))


# -- clients' certificates --------------------------------------------------------------------

VERIFYING = ["on.test", "optional.test", "noca.test", "depth.test", "crl.test", "foreign.test", "pages.test",
             "trusted.test", "b.test"]
CLIENTS = ["none", "good", "deep", "stranger", "revoked", "own"]


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", VERIFYING)
def test_client_certificate(pair, certs, name, client, version):
    shown = None if client == "none" else getattr(certs, client)

    same(pair, lambda one: tls_fetch(one.address(), name=name, host=name,
                                     ctx=context(pair=shown, maximum=version)))


def test_authorities_are_named(pair, certs):
    """The names of ssl_client_certificate are told to clients, those of trusted ones are not."""
    def ask(one):
        names = []
        for name in ("on.test", "trusted.test"):
            text = s_client(one.address(), "-servername", name, "-tls1_2")
            names.append(re.findall(r"^O = wproxy tests.*$", text.split(
                "Acceptable client certificate CA names")[-1].split("Client Certificate")[0], re.M)
                if "Acceptable client" in text else None)
        return str(names)
    same(pair, ask)


def test_default_server_verifies(pair, certs):
    for host in ("x.test", "y.test", "z.test"):
        for name in ("x.test", "y.test", "z.test", None):
            for client in (None, certs.good, certs.stranger):
                same(pair, lambda one: tls_fetch(one.address("default"), name=name, host=host,
                                                 ctx=context(pair=client)))


# -- our defaults -----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def plainest(shared, certs):
    """A server that says nothing but `ssl` and its pairs."""
    return shared.server(
        "server { listen @host@:@port@ ssl; ssl_certificate @a.pem@; ssl_certificate_key @a.key@;"
        " ssl_certificate @a.rsa@; ssl_certificate_key @a.rsakey@; return 200 \"@text@\"; }",
        names=certs.names())


@pytest.mark.wproxy_only
def test_default_protocols(plainest):
    for version in ("-tls1", "-tls1_1"):
        text = s_client(plainest.address(), version, "-cipher", "ALL:@SECLEVEL=0")
        assert "Cipher is (NONE)" in text, text
    for version in (V12, V13):
        assert tls_fetch(plainest.address(), ctx=context(maximum=version)).status == 200


@pytest.mark.wproxy_only
def test_default_ciphers(plainest):
    for cipher in ("AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256",
                   "AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-CCM"):
        assert "Cipher is (NONE)" in s_client(plainest.address(), "-tls1_2", "-cipher", cipher)
    for cipher in ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                   "ECDHE-RSA-CHACHA20-POLY1305"):
        assert "Cipher is %s" % cipher in s_client(plainest.address(), "-tls1_2", "-cipher", cipher)
    # Ours counts, not the client's order.
    text = s_client(plainest.address(), "-tls1_2", "-cipher",
                    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256")
    assert "Cipher is ECDHE-ECDSA-AES128-GCM-SHA256" in text


@pytest.mark.wproxy_only
def test_default_curves(plainest):
    for group, good in (("X25519", True), ("P-256", True), ("P-384", True), ("P-521", False), ("X448", False)):
        text = s_client(plainest.address(), "-tls1_3", "-groups", group)
        assert ("Cipher is TLS_" in text) == good, group


@pytest.mark.wproxy_only
def test_no_compression_no_renegotiation(plainest):
    text = s_client(plainest.address(), "-tls1_2", "-comp", data=b"R\n")
    assert "Compression: NONE" in text and "Secure Renegotiation IS supported" in text
    assert "no renegotiation" in text or "write R BLOCK" not in text or "handshake failure" in text


@pytest.mark.wproxy_only
def test_each_server_has_its_protocols(own, certs):
    """ssl_protocols, ssl_ecdh_curve and ssl_ciphers are those of the server that is meant."""
    one = own.server(
        "ssl_certificate @a.pem@; ssl_certificate_key @a.key@;"
        "server { listen @host@:@port@ ssl; server_name new.test; ssl_protocols TLSv1.3; return 200 new; }"
        "server { listen @host@:@port@ ssl; server_name old.test; ssl_protocols TLSv1.2;"
        " ssl_ecdh_curve P-384; ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384; return 200 $ssl_cipher/$ssl_curve; }",
        names=certs.names())
    assert tls_fetch(one.address(), name="new.test", host="new.test").text == "new"
    with pytest.raises(ssl.SSLError):
        tls_fetch(one.address(), name="new.test", ctx=context(maximum=V12))
    old = tls_fetch(one.address(), name="old.test", host="old.test")
    assert old.text == "ECDHE-ECDSA-AES256-GCM-SHA384/secp384r1"
    with pytest.raises(ssl.SSLError):
        tls_fetch(one.address(), name="old.test", ctx=context(minimum=V13))


# What only the operator can decide: the certificate itself, and headers.
OPERATORS = re.compile(r"cert_|HSTS|HPKP|security_headers|banner_|BREACH|DNS_|cipher_x|engine")

# Its clients leave at once, so that tickets of TLS 1.3 come too late for some of them, nginx's too.
LATE = ("sessionresumption_ticket", "check failed because of connect problem")


@pytest.mark.wproxy_only
@pytest.mark.skipif(not shutil.which("testssl"), reason="testssl.sh is not installed")
def test_testssl(plainest, own):
    """testssl.sh has nothing to say about the defaults; WPROXY_TESTSSL=all asks it everything."""
    found = os.path.join(own.folder(), "found.json")
    what = [] if os.environ.get("WPROXY_TESTSSL") == "all" else ["-p", "-f"]
    done = subprocess.run(
        ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--jsonfile", found,
         *what, "%s:%d" % plainest.address()], capture_output=True, timeout=1200)
    with open(found) as file:
        findings = json.load(file)
    assert len(findings) > 10, done.stdout
    bad = [one for one in findings if one["severity"] not in ("OK", "INFO", "DEBUG")
           and not OPERATORS.match(one["id"]) and (one["id"], one["finding"]) != LATE]
    assert not bad


# -- the ready site ---------------------------------------------------------------------------

@pytest.mark.wproxy_only
def test_example_site(own, certs):
    """conf.d/tls-site.conf.example with names, paths and ports of ours."""
    with open(os.path.join(TOP, "conf.d", "tls-site.conf.example")) as file:
        text = file.read()
    origin = own.origin()
    for old, new in (("/etc/ssl/example.org/fullchain.pem", certs.a.pem),
                     ("/etc/ssl/example.org/privkey.pem", certs.a.key),
                     ("example.org", "a.test"), ("include proxy_params;", ""),
                     ("listen 80;", "listen @host@:@port.plain@;"), ("listen 443", "listen @host@:@port@"),
                     ("http://127.0.0.1:4080", "http://" + origin.name), ("#add_header", "add_header")):
        assert old in text, old
        text = text.replace(old, new)
    one = own.server(re.sub(r" *listen \[::\].*", "", text))
    moved = fetch(one.address("plain"), "GET /x?y=1", host="a.test")
    assert (moved.status, moved.get("Location")) == (301, "https://a.test/x?y=1")
    assert fetch(one.address("plain"), "GET /.well-known/acme-challenge/x", host="a.test").status == 404
    answer = tls_fetch(one.address(), name="a.test", host="a.test")
    assert answer.status == 200 and answer.get("Strict-Transport-Security") == "max-age=63072000"
    assert alert_of(one.address(), "-servername", "other.test") == 112


# -- certificates by name ---------------------------------------------------------------------

@pytest.mark.wproxy_only
def test_certificate_with_variables(own, certs):
    """ssl_certificate $ssl_server_name.pem: looked up per handshake, new files are seen."""
    folder = own.folder()

    def put(name, pair):
        for what in ("pem", "key"):
            path = os.path.join(folder, "%s.%s" % (name, what))
            with open(path + ".new", "w") as out:
                out.write(pair.text(what))
            os.chmod(path + ".new", 0o644)
            os.rename(path + ".new", path)
    one = own.server(
        "server { listen @host@:@port@ ssl; server_name _;"
        " ssl_certificate @folder@/$ssl_server_name.pem; ssl_certificate_key @folder@/$ssl_server_name.key;"
        " return 200 ok; }", names={"folder": folder}, ready=[])
    put("one.test", certs.good)
    put("two.test", certs.rsa)

    def shown(name):
        with TlsWire(one.address(), name=name) as wire:
            assert wire.ask(request("GET /")).text == "ok"
            return wire.certificate()
    first, second = shown("one.test"), shown("two.test")
    assert first != second and shown("one.test") == first
    put("one.test", certs.other)
    assert shown("one.test") not in (first, second)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shown("missing.test")
    assert alert_of(one.address(), "-servername", "../%s/one.test" % os.path.basename(folder)) == 80
    one.wait_logged("cannot load certificate \"%s/missing.test.pem\"" % folder)


# -- staples ----------------------------------------------------------------------------------

def staple_of(address, name="a.test"):
    text = s_client(address, "-servername", name, "-status")
    if "no response sent" in text:
        return None
    return re.search(r"Cert Status: (\w+)", text).group(1)


def test_stapling_file(own, certs, pair):
    certs.ca.note(certs.a)
    path = os.path.join(own.folder(), "staple.der")
    with open(path, "wb") as out:
        out.write(certs.ca.ocsp(pair=certs.a))
    one = own.server("server { listen @host@:@port@ ssl; ssl_certificate @a.pem@; ssl_certificate_key @a.key@;"
                     " ssl_stapling on; ssl_stapling_file @staple@; return 200 ok; }",
                     names=dict(certs.names(), staple=path))
    assert staple_of(one.address()) == "good"


class Responder(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        import base64
        import urllib.parse
        self.server.seen.append(self.path)
        self.server.gate.wait(10)
        ask = base64.b64decode(urllib.parse.unquote(self.path.rsplit("/", 1)[1]))
        answer = self.server.authority.ocsp(request=ask)
        self.send_response(200)
        self.send_header("Content-Type", "application/ocsp-response")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.mark.wproxy_only
@pytest.mark.parametrize("verify", ["on", "off"])
def test_stapling_responder(own, certs, verify):
    """The responder is asked in the background: no handshake waits, the next one has the staple."""
    responder = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Responder)
    responder.authority, responder.seen, responder.gate = certs.ca, [], threading.Event()
    threading.Thread(target=responder.serve_forever, daemon=True).start()
    try:
        url = "http://127.0.0.1:%d/ocsp" % responder.server_address[1]
        leaf = certs.ca.issue("staple-%s.test" % verify, extra=["authorityInfoAccess=OCSP;URI:" + url])
        certs.ca.note(leaf)
        with open(leaf.pem, "a") as out:
            out.write(certs.ca.own.text("pem"))
        one = own.server("server { listen @host@:@port@ ssl; ssl_certificate @pem@; ssl_certificate_key @key@;"
                         " ssl_stapling on; ssl_stapling_verify @verify@; ssl_trusted_certificate @ca@;"
                         " return 200 ok; }",
                         names=dict(certs.names(), pem=leaf.pem, key=leaf.key, verify=verify))
        assert staple_of(one.address()) is None     # and did not wait for the gate
        wait_until(lambda: responder.seen, 5, "a question to the responder")
        for _ in range(3):
            assert staple_of(one.address()) is None
        assert len(responder.seen) == 1             # asked once, by all threads together
        responder.gate.set()
        wait_until(lambda: staple_of(one.address()) == "good", 10, "a staple")
        for _ in range(4):
            assert staple_of(one.address()) == "good"
        assert len(responder.seen) == 1
    finally:
        responder.shutdown()
        responder.server_close()


@pytest.mark.wproxy_only
def test_stapling_unanswered(own, certs):
    """A responder that never answers, one that is not there: served all the same, and stopped cleanly."""
    silent = socket.create_server(("127.0.0.1", 0))
    closed = socket.create_server(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in (silent, closed)]
    closed.close()
    for port in ports:
        one = own.server("server { listen @host@:@port@ ssl; ssl_certificate @a.pem@; ssl_certificate_key @a.key@;"
                         " ssl_stapling on; ssl_trusted_certificate @ca@; ssl_stapling_responder http://127.0.0.1:@to@/;"
                         " return 200 ok; }", names=dict(certs.names(), to=port))
        assert staple_of(one.address()) is None
        if port == ports[1]:
            one.wait_logged("connect() failed (111: Connection refused) while requesting certificate status")
        assert tls_fetch(one.address()).text == "ok"
        one.stop()
    silent.close()


@pytest.mark.wproxy_only
def test_stapling_refused(own, certs):
    """An answer that is not good for us is not stapled, and the log says why."""
    leaf = certs.ca.issue("revoked.test", extra=["authorityInfoAccess=OCSP;URI:http://127.0.0.1:1/"])
    certs.ca.revoke(leaf)
    responder = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Responder)
    responder.authority, responder.seen, responder.gate = certs.ca, [], threading.Event()
    responder.gate.set()
    threading.Thread(target=responder.serve_forever, daemon=True).start()
    try:
        one = own.server("server { listen @host@:@port@ ssl; ssl_certificate @pem@; ssl_certificate_key @key@;"
                         " ssl_stapling on; ssl_trusted_certificate @ca@;"
                         " ssl_stapling_responder http://127.0.0.1:@responder@/; return 200 ok; }",
                         names=dict(certs.names(), pem=leaf.pem, key=leaf.key,
                                    responder=responder.server_address[1]))
        assert staple_of(one.address()) is None
        one.wait_logged('certificate status "revoked" in the OCSP response')
        assert staple_of(one.address()) is None
        assert len(responder.seen) == 1
    finally:
        responder.shutdown()
        responder.server_close()


# -- early data -------------------------------------------------------------------------------

class Relay:
    """Stands before a server; holds back what the client says after the server's first words."""

    def __init__(self, address):
        self.gate = threading.Event()
        self.address = address
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        try:
            self.forward()
        except OSError:     # whoever ended first
            pass

    def forward(self):
        client, _ = self.listener.accept()
        back = socket.create_connection(self.address)
        spoken = threading.Event()

        def down():
            while data := back.recv(65536):
                spoken.set()
                client.sendall(data)
            client.close()
        threading.Thread(target=down, daemon=True).start()
        while data := client.recv(65536):
            if spoken.is_set():
                self.gate.wait(10)
            back.sendall(data)
        back.close()

    def stop(self):
        self.gate.set()
        self.listener.close()


EARLY = ("server { listen @host@:@port@ ssl; server_name a.test; ssl_certificate @a.pem@;"
         " ssl_certificate_key @a.key@; ssl_early_data @early@; ssl_protocols TLSv1.3;"
         " location / { proxy_set_header Early-Data $ssl_early_data; proxy_pass http://@origin@; } }")


def early(one, folder, relay=None):
    """s_client's text of a second connection, whose request /soon goes as early data."""
    session, path = os.path.join(folder, "session"), os.path.join(folder, "early")
    with open(path, "wb") as out:
        out.write(request("GET /soon", host="a.test"))
    s_client(one.address(), "-servername", "a.test", "-sess_out", session, "-ign_eof",
             data=request("GET /", "Connection: close", host="a.test"))
    address = ("127.0.0.1", relay.port) if relay else one.address()
    return s_client(address, "-servername", "a.test", "-sess_in", session, "-early_data", path,
                    "-ign_eof", data=request("GET /late", "Connection: close", host="a.test"))


def test_early_data(own, certs):
    """Early data is a request before the handshake ends, and is marked as such until then."""
    origin = own.origin()
    pair = own.pair(EARLY, names=dict(certs.names(), origin=origin.name, early="on"))
    for role in ("oracle", "subject"):
        relay = own.keep(Relay(pair.servers[role].address()))
        before = len(origin.requests)
        origin.scripts["/soon"] = lambda exchange, received: (relay.gate.set(), exchange.send(OK))
        text = early(pair.servers[role], own.folder(), relay)
        assert "Early data was accepted" in text, (role, text)
        seen = [(r.target, r.get("Early-Data")) for r in origin.requests[before:]]
        assert seen == [("/", None), ("/soon", "1"), ("/late", None)], (role, seen)


def test_too_early(own, certs):
    """A back end's 425 (Too Early) is passed on."""
    origin = own.origin()
    origin.scripts["/soon"] = lambda exchange, received: exchange.send(
        b"HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n")
    pair = own.pair(EARLY, names=dict(certs.names(), origin=origin.name, early="on"))
    for role in ("oracle", "subject"):
        assert "HTTP/1.1 425" in early(pair.servers[role], own.folder())


def test_no_early_data(own, certs):
    origin = own.origin()
    pair = own.pair(EARLY, names=dict(certs.names(), origin=origin.name, early="off"))
    for role in ("oracle", "subject"):
        before = len(origin.requests)
        assert "Early data was not sent" in early(pair.servers[role], own.folder())
        assert [r.target for r in origin.requests[before:]] == ["/", "/late"]
