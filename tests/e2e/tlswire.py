"""TLS clients for tests: raw exchanges over Python's ssl, and the openssl command."""

import re
import socket
import ssl
import subprocess

from wire import Wire, request


def context(ca=None, minimum=None, maximum=None, pair=None, alpn=None, ciphers=None,
            tickets=True):
    """A client's settings; ca None: nobody is checked."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        ctx.check_hostname = False
        ctx.verify_mode = ssl.CERT_NONE
    else:
        ctx.load_verify_locations(ca)
    ctx.minimum_version = minimum or ssl.TLSVersion.TLSv1_2
    ctx.maximum_version = maximum or ssl.TLSVersion.TLSv1_3
    if pair is not None:
        ctx.load_cert_chain(pair.pem, pair.key)
    if alpn:
        ctx.set_alpn_protocols(alpn)
    if ciphers:
        ctx.set_ciphers(ciphers)
    if not tickets:
        ctx.options |= ssl.OP_NO_TICKET
    return ctx


V12 = ssl.TLSVersion.TLSv1_2
V13 = ssl.TLSVersion.TLSv1_3


class TlsWire(Wire):
    """A Wire whose bytes go through TLS. name: SNI (None: none is sent)."""

    def __init__(self, address, name=None, ctx=None, session=None, before=b"", **options):
        super().__init__(address, **options)
        if before:
            self.socket.sendall(before)
        self.socket = (ctx or context()).wrap_socket(
            self.socket, server_hostname=name, session=session, suppress_ragged_eofs=False)

    def more(self):
        try:
            return super().more()
        except ssl.SSLEOFError:
            self.was_reset = True
            self.eof = True
            return False

    @property
    def reused(self):
        return self.socket.session_reused

    def certificate(self):
        """The server's certificate, DER."""
        return self.socket.getpeercert(binary_form=True)


def tls_fetch(address, line="GET /", *headers, name=None, ctx=None, host="example.test", body=b"",
              session=None, before=b"", timeout=20):
    """One request on a TLS connection of its own."""
    with TlsWire(address, name=name, ctx=ctx, session=session, before=before,
                 timeout=timeout) as wire:
        return wire.ask(request(line, *headers, body=body, host=host))


def s_client(address, *arguments, data=b"", timeout=20):
    """The text that `openssl s_client` prints (both streams)."""
    done = subprocess.run(
        ("openssl", "s_client", "-connect", "%s:%d" % address) + arguments, input=data,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    return done.stdout.decode("utf-8", "replace")


def alert_of(address, *arguments):
    """The number of the alert that ends an s_client handshake; None: it went well."""
    found = re.search(r"SSL alert number (\d+)", s_client(address, *arguments))
    return int(found.group(1)) if found else None


def records(data):
    """(type, version, payload) of each whole TLS record in the bytes."""
    made, at = [], 0
    while at + 5 <= len(data):
        size = int.from_bytes(data[at + 3:at + 5], "big")
        if at + 5 + size > len(data):
            break
        made.append((data[at], data[at + 1:at + 3], data[at + 5:at + 5 + size]))
        at += 5 + size
    return made


def client_hello(name="a.test", pad=0):
    """The bytes of a genuine ClientHello, taken from Python's ssl."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context(alpn=["http/1.1"] + ["x" * 250] * pad).wrap_bio(
        incoming, outgoing, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def plain(address, timeout=20):
    wire = socket.create_connection(address, timeout)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return wire
