"""A tiny DNS server on UDP: answers A and AAAA from a table, counts what it was asked."""

import socket
import struct
import threading

A, AAAA = 1, 28


class NameServer:
    """`names` maps a name to a list of addresses, to an rcode, or to None (no answer at all)."""

    def __init__(self, host="127.0.0.1"):
        self.names = {}
        self.ttl = 0
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.address = "%s:%d" % self.socket.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def _serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            reply = query and self.reply(query)
            if reply:
                self.socket.sendto(reply, peer)

    def reply(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += query[at] + 1
        name = ".".join(labels).lower()
        kind, = struct.unpack("!H", query[at + 1:at + 3])
        question = query[12:at + 5]
        found = self.names.get(name, 3)
        self.asked.append((name, kind))
        if found is None:
            return None
        if isinstance(found, int):
            return query[:2] + struct.pack("!HHHHH", 0x8180 | found, 1, 0, 0, 0) + question
        family = {A: socket.AF_INET, AAAA: socket.AF_INET6}.get(kind)
        records = b""
        count = 0
        for address in found:
            if family and (":" in address) == (kind == AAAA):
                data = socket.inet_pton(family, address)
                records += struct.pack("!HHHIH", 0xc00c, kind, 1, self.ttl, len(data)) + data
                count += 1
        return query[:2] + struct.pack("!HHHHH", 0x8180, 1, count, 0, 0) + question + records
