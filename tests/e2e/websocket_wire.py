"""The client's side of WebSocket (RFC 6455), as much as tests need."""

import base64
import hashlib
import os
import struct

from wire import request

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class WebSocket:
    """Opens over a Wire; `answer` is what the server said to the handshake."""

    def __init__(self, wire, path, *headers, host="example.test", early=b""):
        self.wire = wire
        key = base64.b64encode(os.urandom(16))
        wire.send(request("GET " + path, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                          "Sec-WebSocket-Key: " + key.decode(), *headers, host=host) + early)
        self.answer = wire.read_response()
        if self.answer.status == 101:
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
            assert self.answer.get("Sec-WebSocket-Accept") == accept
            assert self.answer.get("Upgrade").lower() == "websocket"
            assert self.answer.get("Connection").lower() == "upgrade"

    @staticmethod
    def frame(kind, data):
        mask = os.urandom(4)
        size = len(data)
        head = bytes([0x80 | kind])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += bytes([0x80 | 126]) + struct.pack(">H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", size)
        repeated = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big") if size else b""
        return head + mask + masked

    def send(self, data, kind=None):
        if kind is None:
            kind = TEXT if isinstance(data, str) else BINARY
        self.wire.send(self.frame(kind, data.encode() if isinstance(data, str) else data))
        return self

    def read(self):
        """The next message: (kind, data), its frames put together."""
        kind, parts = None, []
        while True:
            first, second = self.wire.read_exactly(2)
            size = second & 0x7f
            if size == 126:
                size, = struct.unpack(">H", self.wire.read_exactly(2))
            elif size == 127:
                size, = struct.unpack(">Q", self.wire.read_exactly(8))
            data = self.wire.read_exactly(size)
            if first & 0x0f:
                kind = first & 0x0f
            parts.append(data)
            if first & 0x80:
                return kind, b"".join(parts)
