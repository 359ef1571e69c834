"""TLS towards back ends: verification, names, client certificates, resumption, ends without close_notify."""

import socket
import ssl
import threading

import pytest

from authority import Authority
from certificate import make_certificate
from wire import WireError, fetch

pytestmark = pytest.mark.wproxy_only


class TlsOrigin:
    """A back end that says what it saw of the handshake; keeps its connections."""

    def __init__(self, certificate, key, client_ca=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        if client_ca is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        self.names, self.resumed, self.versions, self.connections = [], [], [], 0
        self.clients = []
        self.cut = False
        self.context.sni_callback = lambda s, name, c: self.names.append(name)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.name = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(raw,), daemon=True).start()

    def serve(self, raw):
        try:
            with self.context.wrap_socket(raw, server_side=True) as tls:
                self.connections += 1
                self.resumed.append(tls.session_reused)
                self.versions.append(tls.version())
                shown = tls.getpeercert()
                self.clients.append(shown and dict(one[0] for one in shown["subject"])["commonName"])
                buffer = b""
                while True:
                    while b"\r\n\r\n" not in buffer:
                        data = tls.recv(65536)
                        if not data:
                            return
                        buffer += data
                    head, buffer = buffer.split(b"\r\n\r\n", 1)
                    if b"/big" in head:
                        body = bytes(range(256)) * 8192
                        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    elif b"/close" in head:
                        tls.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end")
                        if b"/close/cut" in head:
                            socket.socket(fileno=tls.detach()).close()
                            return
                        tls.unwrap()
                        return
                    elif b"/end" in head:
                        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                        return
                    else:
                        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (OSError, ValueError):
            pass

    def stop(self):
        self.listener.close()


HTTP = r"""
upstream named { server @origin.app@; }
server {
    listen @host@:@port@;
    location / { proxy_pass https://@origin.app@; }
    location /named/ { proxy_pass https://named; proxy_ssl_server_name on; proxy_ssl_name www.example.test; }
    location /verified/ { proxy_pass https://named; proxy_ssl_verify on; proxy_ssl_name example.test;
        proxy_ssl_trusted_certificate @certificate@; }
    location /wrong-name/ { proxy_pass https://named; proxy_ssl_verify on; proxy_ssl_name other.test;
        proxy_ssl_trusted_certificate @certificate@; }
    location /wrong-ca/ { proxy_pass https://named; proxy_ssl_verify on; proxy_ssl_name example.test;
        proxy_ssl_trusted_certificate @other@; }
    location /client/ { proxy_pass https://@origin.strict@; proxy_ssl_certificate @certificate@;
        proxy_ssl_certificate_key @key@; }
    location /no-client/ { proxy_pass https://@origin.strict@; }
    location /old/ { proxy_pass https://named; proxy_ssl_protocols TLSv1.2; proxy_ssl_session_reuse on; }
    location /plain/ { proxy_pass http://@origin.app@; }
    location /var/ { set $where @origin.app@; proxy_pass https://$where; }
}
"""


@pytest.fixture(scope="module")
def stand(shared):
    folder, strange = shared.folder(), shared.folder()
    certificate, key = make_certificate(folder)
    other, _ = make_certificate(strange)
    app = shared.keep(TlsOrigin(certificate, key))
    strict = shared.keep(TlsOrigin(certificate, key, client_ca=certificate))
    made = shared.server(HTTP, threads=1, names={
        "origin.app": app.name, "origin.strict": strict.name, "certificate": certificate,
        "key": key, "other": other})
    made.app = app
    return made


@pytest.mark.parametrize("path,status", [
    ("/", 200), ("/named/", 200), ("/verified/", 200), ("/wrong-name/", 502), ("/wrong-ca/", 502),
    ("/client/", 200), ("/no-client/", 502), ("/old/", 200), ("/plain/", 502), ("/var/", 200)])
def test_trust(stand, path, status):
    for _ in range(3):
        assert fetch(stand.address(), "GET " + path).status == status


def test_what_is_said(stand):
    since = len(stand.errors())
    fetch(stand.address(), "GET /wrong-name/")
    stand.wait_logged('upstream SSL certificate does not match "other.test" while SSL handshaking to upstream',
                      since=since)
    fetch(stand.address(), "GET /wrong-ca/")
    stand.wait_logged("upstream SSL certificate verify error: (18:self-signed certificate)", since=since)


def test_name_is_sent(stand):
    del stand.app.names[:]
    assert fetch(stand.address(), "GET /named/end").status == 200
    assert fetch(stand.address(), "GET /named/end").status == 200
    assert set(stand.app.names) <= {"www.example.test"} and stand.app.names


@pytest.mark.parametrize("place,version", [("/", "TLSv1.3"), ("/old/", "TLSv1.2")])
def test_resumption(stand, place, version):
    """A new connection resumes the last session; it is never one of another trust."""
    fetch(stand.address(), "GET %send" % place)
    del stand.app.resumed[:], stand.app.versions[:]
    for _ in range(3):
        assert fetch(stand.address(), "GET %send" % place).status == 200
    assert stand.app.resumed == [True] * 3 and set(stand.app.versions) == {version}
    fetch(stand.address(), "GET /wrong-ca/end")
    assert stand.app.resumed == [True] * 3 or stand.app.resumed[3:] == [False]


def test_connections_are_kept(stand):
    fetch(stand.address(), "GET /verified/")
    before = stand.app.connections
    for _ in range(10):
        assert fetch(stand.address(), "GET /verified/").status == 200
    assert stand.app.connections == before


def test_bulk(stand):
    answer = fetch(stand.address(), "GET /big")
    assert answer.status == 200 and answer.body == bytes(range(256)) * 8192


def test_end_of_connection(stand):
    """A body that the end of the connection delimits is whole only with close_notify."""
    assert fetch(stand.address(), "GET /close/x").body == b"until the end"
    since = len(stand.errors())
    with pytest.raises(WireError):
        fetch(stand.address(), "GET /close/cut")
    stand.wait_logged("while reading upstream", since=since)


# Any two differ in one thing that decides who is trusted, or what is shown.
TRUSTS = {
    "nobody": "",
    "name": "proxy_ssl_verify on; proxy_ssl_trusted_certificate @certificate@; proxy_ssl_name example.test;",
    "other-name": "proxy_ssl_verify on; proxy_ssl_trusted_certificate @certificate@; proxy_ssl_name a.example.test;",
    "other-ca": "proxy_ssl_verify on; proxy_ssl_trusted_certificate @both@; proxy_ssl_name example.test;",
    "unchecked": "proxy_ssl_trusted_certificate @certificate@; proxy_ssl_name example.test;",
    "client": "proxy_ssl_certificate @client.pem@; proxy_ssl_certificate_key @client.key@;",
    "other-client": "proxy_ssl_certificate @second.pem@; proxy_ssl_certificate_key @second.key@;",
    "perhaps-client": "proxy_ssl_certificate $arg_pem; proxy_ssl_certificate_key $arg_key;",
    "variable-client": "proxy_ssl_certificate @clients@/$arg_who.pem; proxy_ssl_certificate_key @clients@/$arg_who.key;",
}


@pytest.fixture(scope="module")
def trusts(shared):
    folder = shared.folder()
    certificate, key = make_certificate(folder)
    ca = Authority(folder, "clients")
    first, second = ca.issue("first"), ca.issue("second")
    both = certificate + ".both"
    with open(both, "w") as out, open(certificate) as one:
        out.write(one.read() + ca.own.text("pem"))
    origin = shared.keep(TlsOrigin(certificate, key))
    origin.context.verify_mode = ssl.CERT_OPTIONAL
    origin.context.load_verify_locations(ca.pem)
    places = "".join("location /%s/ { proxy_pass https://@origin.app@; %s }\n" % one for one in TRUSTS.items())
    made = shared.server(
        "server { listen @host@:@port@; proxy_ssl_protocols TLSv1.2;\n%s}\n"
        "server { listen @host@:@port.new@; proxy_ssl_protocols TLSv1.3;\n%s}\n" % (places, places), threads=1,
        names={"origin.app": origin.name, "certificate": certificate, "both": both,
               "client.pem": first.pem, "client.key": first.key, "second.pem": second.pem,
               "second.key": second.key, "clients": first.pem.rsplit("/", 1)[0]})
    made.app = origin
    made.first = first
    return made


@pytest.mark.parametrize("port", ["main", "new"])
def test_sessions_stay_with_their_trust(trusts, port):
    """Each place resumes its own sessions and nobody else's."""
    origin = trusts.app
    places = ["/%s/end" % place for place in TRUSTS if place != "variable-client"]
    places += ["/variable-client/end?who=first-ec", "/variable-client/end?who=second-ec"]
    for place in places:
        del origin.resumed[:], origin.clients[:]
        for _ in range(3):
            assert fetch(trusts.address(port), "GET " + place).status == 200
        assert origin.resumed == [False, True, True], place
        assert origin.clients == [{"client": "first", "other-client": "second"}.get(
            place.split("/")[1], place.partition("who=")[2][:-3] or None)] * 3, place


def test_variable_certificate(trusts):
    """Nothing is shown where the names are empty; what cannot be loaded is said."""
    assert fetch(trusts.address(), "GET /variable-client/end?who=missing").status == 500
    trusts.wait_logged('cannot load certificate "%s/missing.pem"' % trusts.first.pem.rsplit("/", 1)[0])
