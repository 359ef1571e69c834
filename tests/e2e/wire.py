"""A raw HTTP client: sends chosen bytes, reads exact bytes, and knows where an answer ends."""

import select
import socket
import struct
import zlib


class WireError(AssertionError):
    """The answer breaks HTTP's framing, or ended before it was complete."""


class Response:
    """One answer as it came: status line, header fields in order, body by its framing."""

    def __init__(self):
        self.version = None
        self.status = 0
        self.reason = ""
        self.headers = []
        self.trailers = []
        self.head = b""
        self.body = b""
        self.framing = "none"
        self.infos = []

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    @property
    def text(self):
        return self.body.decode("utf-8", "surrogateescape")

    @property
    def persistent(self):
        """What the headers say about the connection's future."""
        tokens = ",".join(self.all("Connection")).lower().replace(" ", "").split(",")
        if "close" in tokens:
            return False
        return self.version == "HTTP/1.1" or "keep-alive" in tokens

    def inflated(self):
        if self.get("Content-Encoding") == "gzip":
            return zlib.decompress(self.body, 31)
        return self.body

    def __repr__(self):
        return "<%s %s %r %d bytes>" % (self.version, self.status, self.headers, len(self.body))


class Wire:
    """One client connection."""

    def __init__(self, address, timeout=20, source=None, receive_buffer=None):
        family = socket.AF_UNIX if isinstance(address, str) else (
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(address)
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.eof = False
        self.was_reset = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def try_send(self, data):
        """Sends although the peer may have closed; returns whether all of it was taken."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def shut(self):
        """Closes our sending half."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # -- reading -------------------------------------------------------------------------------

    def more(self):
        """Reads once into the buffer; False at the end of the stream."""
        if self.eof:
            return False
        try:
            data = self.socket.recv(262144)
        except ConnectionResetError:
            self.was_reset = True
            data = b""
        if not data:
            self.eof = True
            return False
        self.buffer += data
        return True

    def readable(self, timeout=0.0):
        return bool(self.buffer) or bool(select.select([self.socket], [], [], timeout)[0])

    def take(self, count):
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_until(self, mark):
        start = 0
        while True:
            at = self.buffer.find(mark, max(0, start - len(mark)))
            if at >= 0:
                return self.take(at + len(mark))
            start = len(self.buffer)
            if not self.more():
                raise WireError("connection ended before %r: %r" % (mark, self.buffer[:300]))

    def read_exactly(self, count):
        parts, have = [], 0
        while True:
            part = self.take(count - have)
            parts.append(part)
            have += len(part)
            if have == count:
                return b"".join(parts)
            if not self.more():
                raise WireError("body cut: %d of %d bytes" % (have, count))

    def read_to_end(self):
        parts = [self.take(len(self.buffer))]
        while self.more():
            parts.append(self.take(len(self.buffer)))
        return b"".join(parts)

    def read_head(self):
        """The next head as a Response without a body; an HTTP/0.9 stream has version None."""
        answer = Response()
        while len(self.buffer) < 5:
            if not self.more():
                if not self.buffer:
                    raise WireError("connection ended without an answer%s" % (
                        " (reset)" if self.was_reset else ""))
                break
        if not self.buffer.startswith(b"HTTP/"):
            answer.framing = "close"
            return answer
        answer.head = self.read_until(b"\r\n\r\n")
        lines = answer.head[:-4].split(b"\r\n")
        words = lines[0].decode("latin-1").split(" ", 2)
        answer.version, answer.status = words[0], int(words[1])
        answer.reason = words[2] if len(words) > 2 else ""
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon:
                raise WireError("bad header line %r" % line)
            answer.headers.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
        return answer

    def read_chunks(self, answer):
        parts = []
        while True:
            line = self.read_until(b"\r\n")[:-2]
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            parts.append(self.read_exactly(size))
            if self.read_exactly(2) != b"\r\n":
                raise WireError("chunk of %d bytes does not end in CRLF" % size)
        while True:
            line = self.read_until(b"\r\n")[:-2]
            if not line:
                break
            name, _, value = line.partition(b":")
            answer.trailers.append((name.decode("latin-1"), value.strip().decode("latin-1")))
        return b"".join(parts)

    def read_response(self, method="GET"):
        """One whole answer; 1xx answers before it are kept in its `infos`."""
        infos = []
        while True:
            answer = self.read_head()
            if not 100 <= answer.status < 200 or answer.status == 101:
                break
            infos.append(answer)
        answer.infos = infos
        if answer.status in (204, 304, 101) or method == "HEAD" and answer.version:
            answer.framing = "none"
        elif "chunked" in (answer.get("Transfer-Encoding") or "").lower():
            answer.framing = "chunked"
            answer.body = self.read_chunks(answer)
        elif answer.get("Content-Length") is not None:
            answer.framing = "length"
            answer.body = self.read_exactly(int(answer.get("Content-Length")))
        else:
            answer.framing = "close"
            answer.body = self.read_to_end()
        return answer

    def ask(self, data, method=None):
        """Sends a request and reads its answer."""
        self.send(data)
        return self.read_response(method or data.split(b" ", 1)[0].decode("latin-1"))

    def closes(self, timeout=5.0):
        """Whether the peer ends the connection within the time, sending nothing more."""
        self.socket.settimeout(timeout)
        try:
            return not self.buffer and not self.more()
        except socket.timeout:
            return False


def request(line, *headers, body=b"", host="example.test"):
    """Request bytes: `request("GET /x", "Host: a", body=b"...")`.

    HTTP/1.1, a Host and a Content-Length are supplied unless the caller wrote them;
    host=None leaves the Host out.
    """
    if isinstance(body, str):
        body = body.encode()
    if not line.rsplit(" ", 1)[-1].startswith("HTTP/"):
        line += " HTTP/1.1"
    names = [h.split(":")[0].strip().lower() for h in headers]
    lines = [line]
    if host is not None and "host" not in names:
        lines.append("Host: " + host)
    lines += headers
    if body and "content-length" not in names and "transfer-encoding" not in names:
        lines.append("Content-Length: %d" % len(body))
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def fetch(address, line, *headers, body=b"", host="example.test", timeout=20):
    """One request on a connection of its own; returns the Response."""
    with Wire(address, timeout) as wire:
        return wire.ask(request(line, *headers, body=body, host=host))


def chunked(*parts, trailers=b""):
    """A chunked body made of the parts."""
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n" + trailers + b"\r\n"
