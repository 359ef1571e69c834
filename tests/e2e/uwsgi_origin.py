"""A scripted back end that speaks the uwsgi protocol: keeps every packet, answers chosen bytes."""

import socket
import struct
import threading

from server import wait_until

OK = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nhello"


class Packet:
    """One request as it arrived: the variables in their order, then the body by CONTENT_LENGTH."""

    def __init__(self, modifier1, modifier2, block):
        self.modifiers = (modifier1, modifier2)
        self.variables = []
        self.body = b""
        self.after = b""
        at = 0
        while at < len(block):
            name, at = self.text(block, at)
            value, at = self.text(block, at)
            self.variables.append((name, value))
        assert at == len(block), "the packet's length is wrong"

    @staticmethod
    def text(block, at):
        size, = struct.unpack_from("<H", block, at)
        return block[at + 2:at + 2 + size].decode("latin-1"), at + 2 + size

    def all(self, name):
        return [v for n, v in self.variables if n == name]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default


class UwsgiOrigin:
    """`reply` (bytes) answers every packet, or `script(connection, packet)` plays the answer."""

    def __init__(self, path=None):
        self.reply = OK
        self.script = None
        self.packets = []
        self.connections = 0
        if path is None:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
            self.name = "127.0.0.1:%d" % self.port
        else:
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(path)
            self.listener.listen(64)
            self.name = "unix:" + path
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            try:
                head = connection.recv(4, socket.MSG_WAITALL)
                if len(head) < 4:
                    return
                modifier1, size, modifier2 = struct.unpack("<BHB", head)
                packet = Packet(modifier1, modifier2, connection.recv(size, socket.MSG_WAITALL))
                if self.script is not None:
                    self.packets.append(packet)
                    self.script(connection, packet)
                    return
                self.read_body(connection, packet)
                self.packets.append(packet)
                connection.sendall(self.reply)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except OSError:
                pass

    @staticmethod
    def read_body(connection, packet):
        size = int(packet.get("CONTENT_LENGTH") or 0)
        while len(packet.body) < size:
            data = connection.recv(262144)
            if not data:
                return packet.body
            packet.body += data
        packet.body, packet.after = packet.body[:size], packet.body[size:]
        return packet.body

    def take(self, count=1):
        """The packets that came, once there are so many of them."""
        wait_until(lambda: len(self.packets) >= count, 5, "%d packets" % count)
        taken, self.packets = self.packets, []
        return taken

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
