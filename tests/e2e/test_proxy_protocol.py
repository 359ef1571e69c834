"""The PROXY protocol before HTTP and before TLS, beside nginx; the real client's address."""

import socket
import struct

import pytest

from authority import Authority
from server import wait_until
from tlswire import TlsWire, context, tls_fetch
from wire import Wire, WireError, request

TEXT = ("$remote_addr|$remote_port|$realip_remote_addr|$proxy_protocol_addr|$proxy_protocol_port|"
        "$proxy_protocol_server_addr|$proxy_protocol_server_port|$scheme|$proxy_add_x_forwarded_for")

HTTP = r"""
server { listen @host@:@port@ proxy_protocol; return 200 "@text@"; }
server { listen @host@:@port.tls@ ssl proxy_protocol; ssl_certificate @pem@; ssl_certificate_key @key@;
    return 200 "@text@"; }
server { listen @host@:@port.real@ proxy_protocol; set_real_ip_from 127.0.0.0/8; real_ip_header proxy_protocol;
    return 200 "@text@"; }
server { listen @host@:@port.stranger@ proxy_protocol; set_real_ip_from 10.0.0.0/8; real_ip_header proxy_protocol;
    return 200 "@text@"; }
server { listen @host@:@port.chain@ proxy_protocol; set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8;
    real_ip_header X-Forwarded-For; real_ip_recursive on; return 200 "@text@"; }
"""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(payload=b"", command=0x21, family=0x11, length=None):
    return SIGNATURE + struct.pack(">BBH", command, family,
                                   len(payload) if length is None else length) + payload


INET = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.9") + struct.pack(">HH", 4711, 443)
INET6 = (socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "2001:db8::9")
         + struct.pack(">HH", 4711, 443))
TLV = b"\x04\x00\x10" + b"n" * 16

GOOD = {
    "tcp4": b"PROXY TCP4 192.0.2.7 198.51.100.9 4711 443\r\n",
    "tcp6": b"PROXY TCP6 2001:db8::7 2001:db8::9 4711 443\r\n",
    "unknown": b"PROXY UNKNOWN\r\n",
    "unknown-with-more": b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
    "v2-inet": v2(INET), "v2-inet6": v2(INET6, family=0x21),
    "v2-tlv": v2(INET + TLV), "v2-local": v2(b"", command=0x20, family=0),
    "v2-local-with-addresses": v2(INET, command=0x20),
    "v2-unspecified": v2(b"", family=0),
}
# Intended: more is accepted (any number of TLVs), less is believed (no address, no command that nobody knows).
LONG = {"v2-many-tlvs": v2(INET + TLV * 200), "v2-tlvs-of-64k": v2(INET + (b"\xe0\xff\x00" + b"z" * 0xff00))}
BAD = {
    "http": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "lower": b"proxy tcp4 192.0.2.7 198.51.100.9 4711 443\r\n",
    "kind": b"PROXY UDP4 192.0.2.7 198.51.100.9 4711 443\r\n",
    "no-address": b"PROXY TCP4\r\n",
    "long": b"PROXY TCP4 " + b"1" * 120 + b"\r\n",
    "v2-version": v2(INET, command=0x11),
    "v2-short": v2(INET[:8]),
}
STRICT = {
    "address": b"PROXY TCP4 192.0.2.777 198.51.100.9 4711 443\r\n",
    "other-family": b"PROXY TCP4 2001:db8::7 2001:db8::9 4711 443\r\n",
    "port": b"PROXY TCP4 192.0.2.7 198.51.100.9 471111 443\r\n",
    "signed-port": b"PROXY TCP4 192.0.2.7 198.51.100.9 +471 443\r\n",
    "blanks": b"PROXY TCP4  192.0.2.7 198.51.100.9 4711 443\r\n",
    "bare-lf": b"PROXY TCP4 192.0.2.7 198.51.100.9 4711 443\n",
    "extra": b"PROXY TCP4 192.0.2.7 198.51.100.9 4711 443 9\r\n",
    "v2-command": v2(INET, command=0x22),
}


@pytest.fixture(scope="module")
def pair(shared):
    pair = Authority(shared.folder()).issue("a.test")
    return shared.pair(HTTP, names={"pem": pair.pem, "key": pair.key, "text": TEXT})


def ask(one, header, port="main", line="GET /", *fields):
    with Wire(one.address(port)) as wire:
        answer = wire.ask(header + request(line, *fields), "GET")
        mine = wire.socket.getsockname()
        return answer.text.replace("|%d|" % mine[1], "|MINE|").replace(one.host, "HOST")


def both(pair, header, *more):
    return [ask(pair.servers[role], header, *more) for role in ("oracle", "subject")]


@pytest.mark.parametrize("port", ["main", "real", "stranger", "chain"])
@pytest.mark.parametrize("kind", GOOD)
def test_headers(pair, kind, port):
    oracle, subject = both(pair, GOOD[kind], port, "GET /", "X-Forwarded-For: 203.0.113.5, 10.1.1.1")
    assert subject == oracle


@pytest.mark.parametrize("kind", GOOD)
def test_before_tls(pair, kind):
    def answer(one):
        with TlsWire(one.address("tls"), before=GOOD[kind]) as wire:
            mine = wire.socket.getsockname()
            return wire.ask(request("GET /")).text.replace("|%d|" % mine[1], "|MINE|").replace(one.host, "HOST")
    oracle, subject = [answer(pair.servers[role]) for role in ("oracle", "subject")]
    assert subject == oracle and "|https|" in subject


def refused(one, header):
    """Closed without an answer."""
    with Wire(one.address(), timeout=10) as wire:
        wire.try_send(header + request("GET /"))
        return wire.read_to_end() == b""


@pytest.mark.parametrize("kind", BAD)
def test_refused(pair, kind):
    assert refused(pair.oracle, BAD[kind]) and refused(pair.subject, BAD[kind])


@pytest.mark.wproxy_only
@pytest.mark.parametrize("kind", STRICT)
def test_refused_by_us(pair, kind):
    """Invalid addresses and unknown commands: nginx 1.22 believes or overlooks them."""
    size = len(pair.subject.errors())
    assert refused(pair.subject, STRICT[kind])
    pair.subject.wait_logged("broken header: ", since=size)


@pytest.mark.wproxy_only
@pytest.mark.parametrize("kind", LONG)
def test_long(pair, kind):
    assert ask(pair.subject, LONG[kind]).split("|")[3:7] == ["192.0.2.7", "4711", "198.51.100.9", "443"]


@pytest.mark.wproxy_only
@pytest.mark.parametrize("kind", list(GOOD) + list(LONG))
def test_in_pieces(pair, kind):
    """A header over several segments, its end in one segment with the request or without."""
    header = dict(GOOD, **LONG)[kind]
    for step in (1, 7, len(header) - 1, len(header), len(header) + 3):
        if step == 1 and len(header) > 1000:
            continue
        data = header + request("GET /")
        with Wire(pair.subject.address()) as wire:
            for at in range(0, len(data), max(step, 1)):
                wire.send(data[at:at + step])
            assert wire.read_response().status == 200


@pytest.mark.wproxy_only
def test_it_is_waited_for(own):
    """A client that says nothing is closed after client_header_timeout."""
    one = own.server("server { listen @host@:@port@ proxy_protocol; client_header_timeout 300ms; return 200 x; }")
    with Wire(one.address()) as wire:
        wire.send(b"PROXY TCP4 192.0")
        assert wire.closes()
    one.wait_logged("client timed out (110: Connection timed out) while reading PROXY protocol, client: 127.0.0.1")


@pytest.mark.wproxy_only
def test_next_requests(pair):
    """The header stands once, before the first request."""
    with Wire(pair.subject.address()) as wire:
        wire.send(GOOD["tcp4"] + request("GET /") * 3)
        assert [wire.read_response().text.split("|")[3] for _ in range(3)] == ["192.0.2.7"] * 3
        wire.send(GOOD["tcp4"])
        assert wire.read_response().status == 400
