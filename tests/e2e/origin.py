"""A scripted back end: answers chosen bytes and keeps every request byte for byte."""

import os
import socket
import struct
import threading

from server import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Received:
    """One request as it arrived at the back end."""

    def __init__(self, head, connection, order):
        self.head = head
        self.connection = connection
        self.order = order
        self.body = b""
        self.raw_body = b""
        self.complete = True
        self.age = 0
        lines = head.rstrip(b"\r\n").split(b"\r\n")
        self.line = lines[0].decode("latin-1")
        words = self.line.split(" ")
        self.method = words[0]
        self.version = words[-1]
        self.target = " ".join(words[1:-1])
        self.headers = []
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            self.headers.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def __repr__(self):
        return "<%s %r body=%r>" % (self.line, self.headers, self.body[:100])


class Exchange:
    """One connection at the back end: what a script reads from and writes to."""

    def __init__(self, origin, connection, number):
        self.origin = origin
        self.socket = connection
        self.number = number
        self.buffer = b""
        self.open = True

    def fill(self):
        try:
            data = self.socket.recv(262144)
        except OSError:
            data = b""
        self.buffer += data
        return bool(data)

    def read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill():
                return None
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return Received(head + b"\r\n\r\n", self.number, self.origin.next_order())

    def read_line(self):
        while b"\r\n" not in self.buffer:
            if not self.fill():
                return None
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def read_exactly(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                data, self.buffer = self.buffer, b""
                return data, False
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data, True

    def read_body(self, received):
        """Reads the request's body by its framing into received.body."""
        if "chunked" in (received.get("Transfer-Encoding") or "").lower():
            while True:
                line = self.read_line()
                if line is None:
                    received.complete = False
                    return received.body
                received.raw_body += line + b"\r\n"
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    break
                data, whole = self.read_exactly(size + 2)
                received.raw_body += data
                received.body += data[:size]
                if not whole:
                    received.complete = False
                    return received.body
            while True:
                line = self.read_line()
                if not line:
                    break
                received.raw_body += line + b"\r\n"
        elif received.get("Content-Length"):
            received.body, received.complete = self.read_exactly(
                int(received.get("Content-Length")))
            received.raw_body = received.body
        return received.body

    def send(self, data):
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def close(self):
        self.open = False
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def finish(self):
        """Ends our sending half; what the peer still sends is read and forgotten."""
        self.open = False
        try:
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(65536):
                pass
        except OSError:
            pass
        self.socket.close()

    def reset(self):
        self.open = False
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def gone(self, timeout=5.0):
        """Whether the peer closes within the time."""
        self.socket.settimeout(timeout)
        try:
            while True:
                data = self.socket.recv(65536)
                if not data:
                    return True
                self.buffer += data
        except socket.timeout:
            return False
        except OSError:
            return True
        finally:
            try:
                self.socket.settimeout(None)
            except OSError:
                pass


class Origin:
    """A listening back end.

    `reply` (bytes) answers every request whose path has no script; `scripts[path]` is a
    function (exchange, received) that plays the answer itself. `requests` keeps what came.
    """

    def __init__(self, address=("127.0.0.1", 0)):
        self.reply = OK
        self.close_after = False
        self.scripts = {}
        self.requests = []
        self.connections = 0
        self.changed = threading.Condition()
        self._order = 0
        self._age = 0
        self._sockets = set()
        self.listener = None
        # Not an ephemeral port: a connection of anybody could have it while nobody listens.
        self.bound = address if address[1:] != (0,) else (address[0], free_port(address[:1]))
        self.listen()

    def listen(self):
        """Starts to accept (again, after `refuse`)."""
        family = socket.AF_UNIX if isinstance(self.bound, str) else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_UNIX and os.path.exists(self.bound):
            os.unlink(self.bound)
        self.listener.bind(self.bound)
        if family == socket.AF_UNIX:
            os.chmod(self.bound, 0o777)
        self.listener.listen(512)
        self.bound = self.listener.getsockname()
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    @property
    def port(self):
        return self.bound[1]

    @property
    def name(self):
        """host:port, or unix:path, as written in a configuration."""
        if isinstance(self.bound, str):
            return "unix:" + self.bound
        return "%s:%d" % self.bound

    def refuse(self):
        """Stops listening and drops every connection, like a back end that died."""
        listener, self.listener = self.listener, None
        if listener is not None:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()
        self.drop()
        return self

    stop = refuse

    def drop(self):
        """Closes all open connections."""
        with self.changed:
            sockets = list(self._sockets)
        for connection in sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def open_connections(self):
        with self.changed:
            return len(self._sockets)

    def next_order(self):
        with self.changed:
            self._order += 1
            return self._order

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.changed:
                self.connections += 1
                number = self.connections
                self._sockets.add(connection)
                self.changed.notify_all()
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection, number):
        exchange = Exchange(self, connection, number)
        try:
            while exchange.open:
                received = exchange.read_head()
                if received is None:
                    break
                received.age = self._age
                script = self.scripts.get(received.target.split("?")[0])
                if script is not None:
                    self._keep(received)
                    script(exchange, received)
                    continue
                exchange.read_body(received)
                self._keep(received)
                exchange.send(self.reply)
                if self.close_after:
                    exchange.finish()
        except (OSError, ValueError):
            pass
        finally:
            with self.changed:
                self._sockets.discard(connection)
                self.changed.notify_all()
            connection.close()

    def _keep(self, received):
        with self.changed:
            if received.age == self._age:
                self.requests.append(received)
            self.changed.notify_all()

    def take(self, count=None, timeout=5.0):
        """Returns the kept requests and forgets them; waits until there are `count`."""
        with self.changed:
            if count is not None:
                if not self.changed.wait_for(lambda: len(self.requests) >= count, timeout):
                    raise AssertionError("the back end got %d requests, not %d: %r" % (
                        len(self.requests), count, self.requests))
            taken, self.requests = self.requests, []
            return taken

    def clear(self):
        """Forgets the kept requests, and those that are being read, which an earlier test has left behind."""
        with self.changed:
            self._age += 1
            self.requests = []


def answer(status="200 OK", *headers, body=b"ok", length=True):
    """Answer bytes with the headers given; a Content-Length unless length is False."""
    if isinstance(body, str):
        body = body.encode()
    lines = ["HTTP/1.1 " + status] + list(headers)
    if length:
        lines.append("Content-Length: %d" % len(body))
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
